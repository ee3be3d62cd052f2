"""Clips read with PyAV: upright RGB frames of square pixels with their times, and the packets of the sound."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anymask.errors import ImageError, MissingExtraError

try:
    import av
except ImportError as error:
    raise MissingExtraError('Clips need the video extra: pip install "anymask[video]".') from error

BT709, UNKNOWN = 1, 2
HD = 720  # rows from which a clip that does not name its colour matrix is taken to have BT.709's, as players do
EXACT = ("mov", "matroska")  # kinds of files that say how long they are; of others FFmpeg guesses
MISSING = 0.5  # seconds that a clip may be shorter than it says


class Frame(NamedTuple):
    """rgb uint8 [H, W, 3]; pts in units of the reader's time base; sound: the packets that come before it."""

    rgb: np.ndarray
    pts: int
    sound: list[Any]


class Reader:
    """A clip, opened. Iterate over it once.

    Args:
        path: the clip.
        sound: whether its sound is wanted.
        limit: end after so many frames.
        fps: leave frames out, so that no more than about so many come a second.

    Attributes:
        rate: frames a second on average; time_base: the unit of `Frame.pts`, in seconds; total: how many frames come,
            None where the file does not say; sound: the audio stream or None.
        size: the frames' width and height as they are coded, before they are turned, known before any is decoded.
        rest: when all frames are read, the packets of sound after them.
        trouble: what ended the clip before its end or is missing from it, or "".

    Times begin where the file does. Raises ImageError for what is no clip or has no pictures, and for a limit or fps
    that leave nothing.
    """

    def __init__(self, path: Path, sound: bool = True, limit: int | None = None, fps: float | None = None) -> None:
        self.rest: list[Any] = []
        self.trouble = ""
        self._limit, self._damaged = limit, 0
        self._end = 0.0  # of all that is in the file, in seconds
        if (limit is not None and limit < 1) or (fps is not None and not 0 < fps < math.inf):
            raise ImageError(f"At least one frame, and some a second, are wanted, not {limit} and {fps}.")
        if path.is_file() and path.stat().st_size == 0:
            raise ImageError(f"{path} is empty (0 bytes).")
        try:  # as a file and nothing else: lists of other files or addresses are not followed
            self._container = av.open(f"file:{path}", metadata_errors="ignore", options={"protocol_whitelist": "file"})
        except FileNotFoundError:
            raise ImageError(f"{path} does not exist.") from None
        except IsADirectoryError:
            raise ImageError(f"{path} is a folder, not a clip.") from None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise ImageError(f"{path} is no clip that can be read ({reason(error)}).") from error
        covers = av.stream.Disposition.attached_pic
        pictures = [stream for stream in self._container.streams.video if not stream.disposition & covers]
        if not pictures:
            self._container.close()
            raise ImageError(f"{path} has no moving pictures, only sound or data.")
        self._video = pictures[0]
        self._video.thread_type = "AUTO"
        self.size = self._video.codec_context.width, self._video.codec_context.height
        self.sound = self._container.streams.audio[0] if sound and self._container.streams.audio else None
        self.rate: Fraction = self._video.average_rate or self._video.guessed_rate or Fraction(25)
        self.time_base: Fraction = self._video.time_base or 1 / self.rate
        self._fraction = 1.0 if fps is None else min(1.0, fps / float(self.rate))
        if fps is not None and self._fraction < 1:
            self.rate = Fraction(fps).limit_denominator(1001)
        self.total = self._count()

    def __iter__(self) -> Iterator[Frame]:
        seen, given = 0, 0
        last: int | None = None
        shape: tuple[int, ...] | None = None
        try:
            for packet in self._container.demux():
                self._note_end(packet)
                if packet.stream is not self._video:
                    if packet.stream is self.sound and packet.dts is not None:
                        self.rest.append(self._from_start(packet))
                    continue
                for decoded in self._decoded(packet):
                    seen += 1
                    pts = self._time(decoded.pts, last)
                    last = pts
                    if given >= seen * self._fraction:
                        continue
                    rgb = self.upright(decoded)
                    if shape not in (None, rgb.shape):
                        self.trouble = f"the frames change from {_size(shape)} to {_size(rgb.shape)} pixels"
                        return
                    shape = rgb.shape
                    sound, self.rest = self.rest, []
                    yield Frame(rgb, pts, sound)
                    given += 1
                    if given == self._limit:
                        return
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.trouble = f"the clip breaks off or is damaged ({reason(error)})"
        if self._damaged and not self.trouble:
            self.trouble = f"damaged packets of the clip ({self._damaged}) are left out"
        self.trouble = self.trouble or self._missing()

    def times(self) -> list[int]:
        """When the frames are shown, in rising order and units of `time_base`: all packets are read and none decoded.

        Empty for a file that does not say. `trouble` tells of a file that is cut off. Nothing else can be read then.
        """
        found: set[int] = set()
        try:
            for packet in self._container.demux():
                self._note_end(packet)
                if packet.stream is not self._video or not packet.size:
                    continue
                if packet.pts is None:
                    return []
                if not packet.is_discard:
                    found.add(packet.pts)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.trouble = f"the clip breaks off or is damaged ({reason(error)})"
        self.trouble = self.trouble or self._missing()
        return sorted(found)

    def frames_from(self, pts: int | None = None) -> Iterator[Any]:
        """PyAV's frames as they are decoded, damaged ones left out; from where the reader stands, or from the last key
        frame before a time. Give them to `upright`. Raises what FFmpeg raises."""
        if pts is not None:
            self._container.seek(pts, stream=self._video, backward=True)
        for packet in self._container.demux(self._video):
            yield from self._decoded(packet)

    def close(self) -> None:
        self._container.close()

    def _decoded(self, packet: Any) -> list[Any]:
        """A packet's frames; a damaged one has none, and the next may be whole again."""
        try:
            frames: list[Any] = packet.decode()
        except av.error.InvalidDataError:
            self._damaged += 1
            return []
        return frames

    def _time(self, pts: int | None, last: int | None) -> int:
        """A frame's time; a broken clip's, that are missing or stand still, go on."""
        if pts is not None:
            start = self._container.start_time or 0
            pts -= round(Fraction(start, av.time_base) / self.time_base)
            return pts if last is None else max(pts, last + 1)
        return 0 if last is None else last + max(1, round(1 / (self.rate * self.time_base)))

    def _from_start(self, packet: Any) -> Any:
        shift = round(Fraction(self._container.start_time or 0, av.time_base) / packet.time_base)
        packet.dts -= shift
        if packet.pts is not None:
            packet.pts -= shift
        return packet

    def upright(self, decoded: Any) -> np.ndarray:
        """A frame as uint8 [H, W, 3], its pixels square, turned as phones ask for."""
        guess = decoded.colorspace == UNKNOWN and decoded.height >= HD
        matrix = {"src_colorspace": BT709} if guess else {}
        width = round(decoded.width * (self._video.sample_aspect_ratio or 1))
        rgb: np.ndarray = decoded.to_ndarray(format="rgb24", width=width, height=decoded.height, **matrix)
        turns = round(decoded.rotation / 90) % 4  # counterclockwise
        return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb

    def _note_end(self, packet: Any) -> None:
        if packet.dts is not None:
            self._end = max(self._end, float((packet.dts + (packet.duration or 0)) * packet.time_base))

    def _missing(self) -> str:
        missing = self._length() - self._end
        return f"the clip is cut off, its last {missing:.1f} seconds are missing" if missing > MISSING else ""

    def _length(self) -> float:
        """When the file ends as far as its header says, in seconds; 0 where that is a guess."""
        container = self._container
        if container.duration is None or container.format.name.split(",")[0] not in EXACT:
            return 0.0
        return (container.duration + (container.start_time or 0)) / float(av.time_base)

    def _count(self) -> int | None:
        total = self._video.frames
        if not total and self._container.duration is not None:
            total = round(self._container.duration / av.time_base * (self._video.average_rate or self.rate))
        total = math.ceil(total * self._fraction)
        return min(total, self._limit or total) or None


def reason(error: Exception) -> str:
    """What FFmpeg or the system say, as part of a sentence."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).lower()


def _size(shape: tuple[int, ...] | None) -> str:
    return "nothing" if shape is None else f"{shape[1]} x {shape[0]}"
