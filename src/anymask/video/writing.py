"""Clips written with PyAV, with or without transparency, and folders of numbered PNGs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from anymask.errors import ImageError
from anymask.images import encode_image, write_atomic
from anymask.video.reading import BT709, av, reason

LIMITED = 1  # the colour range of video, 16 to 235


@dataclass(frozen=True)
class Kind:
    """A kind of clip: its video codec with options, the pixel formats of opaque and of transparent frames, the sound
    codecs that are copied as they are, and the one that others become; without the last there is no sound."""

    codec: str
    opaque: str
    transparent: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    copied: tuple[str, ...] = ()
    sound: str | None = None

    @property
    def halved(self) -> bool:
        """Whether four pixels share a colour, so that sides must be even."""
        return self.opaque == "yuv420p"


H264 = {"crf": "18", "preset": "veryfast"}
VP9 = {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1", "auto-alt-ref": "0"}
KINDS: dict[str, Kind] = {
    ".webm": Kind("libvpx-vp9", "yuv420p", "yuva420p", VP9, ("opus", "vorbis"), "libopus"),
    ".mov": Kind("prores_ks", "yuv422p10le", "yuva444p10le", {}, ("aac", "mp3", "ac3", "alac", "pcm_s16le"), "aac"),
    ".mp4": Kind("libx264", "yuv420p", None, H264, ("aac", "mp3", "ac3", "opus"), "aac"),
    ".mkv": Kind("libx264", "yuv420p", None, H264, ("aac", "mp3", "ac3", "opus", "vorbis", "flac"), "aac"),
    ".webp": Kind("libwebp_anim", "bgra", "bgra", {"quality": "85", "compression_level": "2"}),
    ".apng": Kind("apng", "rgb24", "rgba"),
}
FOR_EVER = {".webp": {"loop": "0"}, ".apng": {"plays": "0"}}


class Timing(Protocol):
    """What a clip that is written takes from the one that was read, `anymask.video.reading.Reader`."""

    rate: Fraction
    time_base: Fraction
    sound: Any


class Writer(Protocol):
    """Takes frames uint8 [H, W, 3] or [H, W, 4] with their times, and packets of sound."""

    def write(self, frame: np.ndarray, pts: int) -> None: ...

    def write_sound(self, packet: Any) -> None: ...

    def close(self) -> None: ...


def check_target(target: Path, transparent: bool) -> None:
    """Raise ImageError for a kind that cannot be written, or that cannot be transparent and is to be."""
    suffix = target.suffix.lower()
    if target.is_dir() or not suffix:
        return
    if not target.parent.is_dir():
        raise ImageError(f"{target} cannot be written: there is no folder {target.parent}.")
    if suffix not in KINDS:
        raise ImageError(f"Clips cannot be written as {suffix}; use {', '.join(KINDS)} or a folder for the frames.")
    if transparent and KINDS[suffix].transparent is None:
        raise ImageError(
            f"{suffix} files have no transparency: write a .webm, a .mov or a folder of frames, or give a background."
        )


def open_writer(target: Path, frame: np.ndarray, reader: Timing) -> Writer:
    """A clip of the kind that the suffix names, or a folder, for frames like this one."""
    if target.suffix.lower() in KINDS and not target.is_dir():
        return ClipWriter(target, frame, reader)
    return FolderWriter(target)


class FolderWriter:
    """Frames as 00000.png, 00001.png ... in a folder that has no PNGs yet."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImageError(f"{folder} cannot be made ({reason(error)}).") from error
        if any(folder.glob("*.png")):
            raise ImageError(f"{folder} has pictures in it already; choose a new folder for the frames.")

    def write(self, frame: np.ndarray, pts: int) -> None:
        write_atomic(self._folder / f"{self._count:05d}.png", encode_image(frame, "png"))
        self._count += 1

    def write_sound(self, packet: Any) -> None:
        pass

    def close(self) -> None:
        pass


class ClipWriter:
    """A clip under another name until it is closed, so that none is ever found half-written."""

    def __init__(self, target: Path, frame: np.ndarray, reader: Timing) -> None:
        suffix = target.suffix.lower()
        self._target, self._kind = target, KINDS[suffix]
        self._part = target.with_name(f".anymask-{secrets.token_hex(6)}{suffix}")
        self._count = 0
        self._sound: Any = None
        self._resampler: Any = None
        with self._said():
            self._container = av.open(f"file:{self._part}", "w", container_options=FOR_EVER.get(suffix, {}))
        try:
            with self._said():
                self._video = self._picture_stream(frame, reader)
                if reader.sound is not None and self._kind.sound is not None:
                    self._add_sound(reader.sound, self._kind.sound)
        except BaseException:
            self.close()
            raise

    def write(self, frame: np.ndarray, pts: int) -> None:
        """Raises ImageError where the file cannot be written."""
        height, width = frame.shape[:2]
        if self._kind.halved and (height % 2 or width % 2):
            frame = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        picture = av.VideoFrame.from_ndarray(frame, format="rgba" if frame.shape[2] == 4 else "rgb24")
        if self._video.pix_fmt != picture.format.name:
            colours = {"dst_colorspace": BT709, "dst_color_range": LIMITED} if "yuv" in self._video.pix_fmt else {}
            picture = picture.reformat(format=self._video.pix_fmt, **colours)
        picture.pts, picture.time_base = pts, self._video.codec_context.time_base
        with self._said():
            self._container.mux(self._video.encode(picture))
        self._count += 1

    def write_sound(self, packet: Any) -> None:
        """A packet of the clip's sound, as it is or encoded anew; what is damaged of it is left out."""
        if self._sound is None:
            return
        if self._resampler is None:
            packet.stream = self._sound
            with self._said():
                self._container.mux(packet)
            return
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError:
            return
        for piece in decoded:
            self._encode_sound(piece)

    def close(self) -> None:
        """Complete the file; without a frame there is none."""
        try:
            with self._said():
                if self._count:
                    self._container.mux(self._video.encode(None))
                    if self._resampler is not None:
                        self._encode_sound(None)
                        self._container.mux(self._sound.encode(None))
                self._container.close()
                if self._count:
                    os.replace(self._part, self._target)
        finally:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)

    def _picture_stream(self, frame: np.ndarray, reader: Timing) -> Any:
        kind = self._kind
        stream: Any = self._container.add_stream(kind.codec, rate=reader.rate)
        height, width = (side + side % 2 if kind.halved else side for side in frame.shape[:2])
        stream.width, stream.height = width, height
        transparent = frame.shape[2] == 4
        stream.pix_fmt = kind.transparent if transparent else kind.opaque
        stream.options = kind.options | ({"profile": "4444"} if transparent and kind.codec == "prores_ks" else {})
        context = stream.codec_context
        context.time_base = reader.time_base
        if "yuv" in stream.pix_fmt:
            context.color_primaries = context.color_trc = context.colorspace = BT709
            context.color_range = LIMITED
        if transparent and kind.codec == "libvpx-vp9":
            stream.metadata["alpha_mode"] = "1"  # players look here, not into the frames
        return stream

    def _add_sound(self, source: Any, otherwise: str) -> None:
        given = source.codec_context
        if given.codec.canonical_name in self._kind.copied:
            self._sound = self._container.add_stream_from_template(source)
            return
        rate = 48000 if otherwise == "libopus" else given.sample_rate
        layout = given.layout.name if given.layout.nb_channels <= 2 else "stereo"
        self._sound = self._container.add_stream(otherwise, rate=rate, layout=layout)
        context = self._sound.codec_context
        self._resampler = av.AudioResampler(context.format, context.layout, rate)

    def _encode_sound(self, decoded: Any) -> None:
        with self._said():
            for piece in self._resampler.resample(decoded):
                self._container.mux(self._sound.encode(piece))

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise ImageError(f"{self._target} cannot be written ({reason(error)}).") from error
