"""Clips written with PyAV, with or without transparency, and folders of numbered PNGs."""

from __future__ import annotations

import os
import secrets
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import cv2
import numpy as np

from anymask.errors import ImageError
from anymask.images import encode_image, write_atomic

# By suffix: video codec, pixel format without and with transparency, codec options, sound that fits, sound otherwise.
KINDS: dict[str, tuple[str, str, str | None, dict[str, str], tuple[str, ...], str]] = {
    ".webm": (
        "libvpx-vp9",
        "yuv420p",
        "yuva420p",
        {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1", "auto-alt-ref": "0"},
        ("opus", "vorbis"),
        "libopus",
    ),
    ".mov": ("prores_ks", "yuv422p10le", "yuva444p10le", {}, ("aac", "mp3", "pcm_s16le"), "aac"),
    ".mp4": ("libx264", "yuv420p", None, {"crf": "18", "preset": "veryfast"}, ("aac", "mp3", "ac3", "opus"), "aac"),
    ".mkv": ("libx264", "yuv420p", None, {"crf": "18", "preset": "veryfast"}, ("aac", "mp3", "opus", "vorbis"), "aac"),
}
BT709 = 1


class Writer(Protocol):
    """Takes frames uint8 [H, W, 3] or [H, W, 4] with their times, and packets of sound."""

    def write(self, frame: np.ndarray, pts: int) -> None: ...

    def write_sound(self, packet: Any) -> None: ...

    def close(self) -> None:
        """Complete the file; without a frame there is none."""
        ...


def open_writer(
    target: Path, size: tuple[int, int], transparent: bool, rate: Fraction, time_base: Fraction, sound: Any
) -> Writer:
    """A clip of the kind that the suffix names, or a folder, for frames of `size` (height, width)."""
    if target.suffix.lower() in KINDS:
        return ClipWriter(target, size, transparent, rate, time_base, sound)
    return FolderWriter(target)


def check_target(target: Path, transparent: bool) -> None:
    """Raise ImageError for a kind that cannot be written, or that cannot be transparent and is to be."""
    suffix = target.suffix.lower()
    if suffix and suffix not in KINDS and not target.is_dir():
        raise ImageError(f"Clips cannot be written as {suffix}; use {', '.join(KINDS)} or a folder for the frames.")
    if transparent and suffix in KINDS and KINDS[suffix][2] is None:
        raise ImageError(
            f"{suffix} files have no transparency: write a .webm, a .mov or a folder of frames, or give a background."
        )


class FolderWriter:
    """Frames as 00000.png, 00001.png ... in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImageError(f"{folder} cannot be made ({error.strerror}).") from error

    def write(self, frame: np.ndarray, pts: int) -> None:
        write_atomic(self._folder / f"{self._count:05d}.png", encode_image(frame, "png"))
        self._count += 1

    def write_sound(self, packet: Any) -> None:
        pass

    def close(self) -> None:
        pass


class ClipWriter:
    """A clip under another name until it is closed, so that none is ever found half-written."""

    def __init__(
        self, target: Path, size: tuple[int, int], transparent: bool, rate: Fraction, time_base: Fraction, sound: Any
    ) -> None:
        codec, opaque, alpha, options, fitting, otherwise = KINDS[target.suffix.lower()]
        self._target = target
        self._part = target.with_name(f".anymask-{secrets.token_hex(6)}{target.suffix}")
        self._even = opaque == "yuv420p"
        self._count = 0
        try:
            self._container = av.open(str(self._part), "w")
        except (av.error.FFmpegError, OSError) as error:
            raise ImageError(f"{target} cannot be written ({getattr(error, 'strerror', error)}).") from error
        video: Any = self._container.add_stream(codec, rate=rate)
        self._video = video
        height, width = (side + side % 2 if self._even else side for side in size)
        video.width, video.height = width, height
        video.pix_fmt = alpha if transparent and alpha else opaque
        video.options = options | ({"profile": "4444"} if transparent and codec == "prores_ks" else {})
        self._video.codec_context.time_base = time_base
        for name in ("color_primaries", "color_trc", "colorspace"):
            setattr(self._video.codec_context, name, BT709)
        if transparent and codec == "libvpx-vp9":
            self._video.metadata["alpha_mode"] = "1"
        self._sound: Any = None
        self._resampler: Any = None
        if sound is not None:
            if sound.codec_context.name in fitting:
                self._sound = self._container.add_stream_from_template(sound)
            else:
                rates = 48000 if otherwise == "libopus" else sound.codec_context.sample_rate
                self._sound = self._container.add_stream(otherwise, rate=rates, layout=sound.codec_context.layout.name)
                self._resampler = av.AudioResampler(
                    self._sound.codec_context.format, self._sound.codec_context.layout, rates
                )

    def write(self, frame: np.ndarray, pts: int) -> None:
        height, width = frame.shape[:2]
        if self._even and (
            height % 2 or width % 2
        ):  # half as many colours each way: the last row or column is repeated
            frame = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        kind = "rgba" if frame.shape[2] == 4 else "rgb24"
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=kind)
        picture = picture.reformat(format=self._video.pix_fmt, dst_colorspace=BT709, dst_color_range=1)
        picture.pts, picture.time_base = pts, self._video.codec_context.time_base
        self._container.mux(self._video.encode(picture))
        self._count += 1

    def write_sound(self, packet: Any) -> None:
        if self._sound is None:
            return
        if self._resampler is None:
            packet.stream = self._sound
            self._container.mux(packet)
            return
        for decoded in packet.decode():
            for piece in self._resampler.resample(decoded):
                self._container.mux(self._sound.encode(piece))

    def close(self) -> None:
        try:
            if self._count:
                self._container.mux(self._video.encode(None))
                if self._resampler is not None:
                    for piece in self._resampler.resample(None):
                        self._container.mux(self._sound.encode(piece))
                    self._container.mux(self._sound.encode(None))
            self._container.close()
            if self._count:
                os.replace(self._part, self._target)
        except (av.error.FFmpegError, OSError) as error:
            raise ImageError(f"{self._target} cannot be written ({getattr(error, 'strerror', error)}).") from error
        finally:
            self._part.unlink(missing_ok=True)
