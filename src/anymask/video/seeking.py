"""A clip's frames by number, in any order, however its times are spread.

A clip's packets are read once, undecoded, for the times of its frames: frame number i is the one with the i-th time.
Decoding goes on from where it is, or begins anew at the last key frame before. The frames decoded last are kept,
bounded by bytes, so that going backwards decodes a stretch of the clip once for many frames.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from anymask.errors import ImageError
from anymask.tracking.frames import check_index, check_size
from anymask.video.reading import Reader, av, reason

KEPT_BYTES = 128 * 2**20
KEPT_FRAMES = 32


class ClipFrames:
    """A clip, opened; its frames upright, RGB uint8 `[H, W, 3]`, with square pixels.

    Args:
        path: the clip.
        kept: bytes of decoded frames that are kept, but for the last two.

    Attributes:
        name, count, trouble: as in `anymask.tracking.frames.Frames`. A file that does not say when its frames are shown
            has its frames counted while they are decoded.
        rate, time_base: as in `anymask.video.reading.Reader`.

    Raises ImageError for what is no clip, or has no frame that can be read.
    """

    streams, newest = False, 0

    def __init__(self, path: Path, kept: int = KEPT_BYTES) -> None:
        self._path, self.name, self._room = path, str(path), kept
        index = Reader(path, sound=False)
        self._times = index.times()
        self.trouble = index.trouble
        index.close()
        self.count: int | None = len(self._times) or None
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._shape: tuple[int, ...] | None = None
        self._start()
        self.rate, self.time_base = self._reader.rate, self._reader.time_base
        first = self.at(0)
        if first is None:
            raise ImageError(f"{path} has no frame that can be read{f': {self.trouble}' if self.trouble else ''}.")
        self._shape = first.shape

    def at(self, index: int) -> np.ndarray | None:
        """A frame; None where nothing can be decoded any more, and `trouble` says why. In the place of a single damaged
        frame stands the one before it, as on a screen."""
        check_index(self.name, index, self.count)
        if index not in self._kept:
            try:
                self._decode(index)
            except (av.error.FFmpegError, OSError, ValueError) as error:
                self.trouble = f"frame {index} cannot be decoded ({reason(error)})"
        if index not in self._kept:
            return None
        self._kept.move_to_end(index)
        rgb = self._kept[index]
        check_size(self.name, index, rgb, self._shape)
        return rgb

    def time(self, index: int) -> int:
        """When a frame is shown, in units of `time_base` after the first."""
        if not self._times:
            return round(index / (self.rate * self.time_base))
        return self._times[index] - self._times[0]

    def close(self) -> None:
        self._reader.close()
        self._kept.clear()

    def _start(self) -> None:
        self._reader = Reader(self._path, sound=False)
        self._coming = self._numbered(self._reader.frames_from(), 0)
        self._next = 0

    def _decode(self, index: int) -> None:
        """Decode up to a frame, and keep it and those before it."""
        ahead = index - self._next
        if ahead < 0 or (self._times and ahead > 2 * self.rate):  # shorter ways are decoded faster than sought
            self._seek(index)
        for number, frame in self._coming:
            self._next = number + 1
            if number > index - KEPT_FRAMES:
                self._keep(number, self._reader.upright(frame))
            if number >= index:
                break
        else:
            self._end(index)
        if index not in self._kept and self._next > index and (before := [k for k in self._kept if k < index]):
            self.trouble = self.trouble or f"frame {index} is damaged"
            self._keep(index, self._kept[max(before)])

    def _seek(self, index: int) -> None:
        """Stand at or before a frame."""
        if self._times:
            frames = self._numbered(self._reader.frames_from(self._times[index]), index)
            first = next(frames, None)
            if first is not None and first[0] <= index:
                self._coming, self._next = _chained(first, frames), first[0]
                return
        self._reader.close()
        self._start()

    def _numbered(self, frames: Iterator[Any], number: int) -> Iterator[tuple[int, Any]]:
        for frame in frames:
            if self._times and frame.pts is not None:
                number = bisect_left(self._times, frame.pts)
            yield number, frame
            number += 1

    def _end(self, index: int) -> None:
        if not self._times:
            self.count = self._next
        elif self._next <= index:
            self.trouble = self.trouble or f"the clip breaks off before frame {index}"

    def _keep(self, index: int, rgb: np.ndarray) -> None:
        self._kept[index] = rgb
        self._kept.move_to_end(index)
        most = min(KEPT_FRAMES, max(2, self._room // rgb.nbytes))
        while len(self._kept) > most:
            self._kept.popitem(last=False)


def _chained(first: tuple[int, Any], rest: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    yield first
    yield from rest
