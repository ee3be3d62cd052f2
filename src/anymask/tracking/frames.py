"""Where a session's frames come from: a clip, a folder of pictures, a list of arrays, a camera, or another stream that
passes once.

Frames are read when they are asked for and dropped soon after: what lies in memory does not depend on how many there
are. A clip's index of frames takes eight bytes for each.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from anymask.errors import ImageError, PromptError
from anymask.formats.sa1b import PICTURE_SUFFIXES
from anymask.images import read_image

STREAM_WINDOW = 8  # frames of a stream that can still be prompted once they have come

Video = str | os.PathLike[str] | int | np.ndarray | Sequence[Any] | Iterable[Any]
"""A clip's path, a folder of pictures, a camera's number or address, an array `[T, H, W, 3]` or list of pictures, or an
iterator of them."""


class Frames(Protocol):
    """Frames by number, uint8 `[H, W, 3]`, all of one size.

    Attributes:
        name: what to call them in a sentence.
        count: how many there are; None while nobody knows, as with a stream.
        trouble: what ended them early, or "".
        streams: whether they come one after the other, once.
        newest: of a stream the frame that came last, -1 before the first; else 0.
    """

    name: str
    count: int | None
    trouble: str
    streams: bool
    newest: int

    def at(self, index: int) -> np.ndarray | None:
        """A frame; None for one past the end that nobody knew of.

        Raises PromptError for a frame that does not exist, and ImageError for one that cannot be read or has another
        size than the first.
        """
        ...

    def close(self) -> None: ...


def open_frames(video: Video) -> Frames:
    """Frames of whatever a user calls a video.

    Raises:
        ImageError: it is missing, empty, or nothing that has frames; or a camera that cannot be opened.
        MissingExtraError: it is a clip, and PyAV is not installed.
    """
    if type(video) is int or (isinstance(video, str) and "://" in video):
        return _Live(video)
    if isinstance(video, str | os.PathLike):
        path = Path(video)
        if path.is_dir():
            return _Listed(_pictures(path), str(path))
        from anymask.video.seeking import ClipFrames

        return ClipFrames(path)
    if isinstance(video, np.ndarray) and video.ndim != 4:
        raise ImageError(f"Frames as one array have the shape [T, H, W, 3], not {list(video.shape)}.")
    if isinstance(video, Sequence | np.ndarray):
        return _Listed(video, "the list of frames")
    if isinstance(video, Iterable):
        return _Stream(iter(video))
    kinds = "a path, a folder, frames, an iterator of them, or a camera's number"
    raise ImageError(f"A video is {kinds}, not {type(video).__name__}.")


def count_frames(frames: Frames) -> int:
    """How many frames there are; one that does not say when its frames are shown is gone through. Not for streams."""
    index = 0
    while frames.count is None and frames.at(index) is not None:
        index += 1
    return index if frames.count is None else frames.count


def check_size(name: str, index: int, rgb: np.ndarray, shape: tuple[int, ...] | None) -> None:
    """Raise ImageError for a frame of another size than the first one's."""
    if shape is not None and rgb.shape != shape:
        sizes = [f"{one[1]} x {one[0]}" for one in (rgb.shape, shape)]
        raise ImageError(f"Frame {index} of {name} has {sizes[0]} pixels, but the first has {sizes[1]}.")


def check_index(name: str, index: int, count: int | None) -> None:
    """Raise PromptError for a frame that does not exist."""
    if index < 0 or (count is not None and index >= count):
        has = (
            ""
            if count is None
            else f": it has {count}, from 0 to {count - 1}"
            if count > 1
            else ": it has only frame 0"
        )
        raise PromptError(f"There is no frame {index} in {name}{has}.")


def _pictures(folder: Path) -> list[Path]:
    """A folder's pictures in the order of the numbers in their names; of NAME.jpg and NAME.png, which may be its mask,
    the first."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
    photographs = {path.stem for path in found if path.suffix.lower() != ".png"}
    found = [path for path in found if path.suffix.lower() != ".png" or path.stem not in photographs]
    if not found:
        raise ImageError(f"{folder} has no pictures that could be the frames of a video.")
    return sorted(found, key=lambda path: [int(part) if part.isdigit() else part for part in _parts(path.name)])


def _parts(name: str) -> list[str]:
    return re.split(r"(\d+)", name)


class _Listed:
    """Pictures that can be read at any time."""

    trouble, streams, newest = "", False, 0

    def __init__(self, pictures: Sequence[Any] | np.ndarray, name: str) -> None:
        if not len(pictures):
            raise ImageError(f"There is no frame in {name}.")
        self._pictures, self.name = pictures, name
        self.count: int | None = len(pictures)
        self._shape: tuple[int, ...] | None = None
        self._shape = self.at(0).shape

    def at(self, index: int) -> np.ndarray:
        check_index(self.name, index, self.count)
        rgb = read_image(self._pictures[index])
        check_size(self.name, index, rgb, self._shape)
        return rgb

    def close(self) -> None:
        pass


class _Stream:
    """Frames that come one after the other, once."""

    name, trouble, streams = "the stream", "", True

    def __init__(self, frames: Iterator[Any]) -> None:
        self._frames = frames
        self._window: OrderedDict[int, np.ndarray] = OrderedDict()
        self.newest = -1
        self._shape: tuple[int, ...] | None = None
        self.count: int | None = None

    def at(self, index: int) -> np.ndarray | None:
        check_index(self.name, index, self.count)
        if index in self._window:
            return self._window[index]
        if index <= self.newest:
            raise PromptError(
                f"Frame {index} of the stream has passed; only its last {len(self._window)} can still be asked about."
            )
        if index > self.newest + 1:
            raise PromptError(f"Frame {index} of the stream has not come yet; the next one is {self.newest + 1}.")
        try:
            rgb = read_image(next(self._frames))
        except StopIteration:
            self.count = self.newest + 1
            if not self.count:
                raise ImageError("There is no frame in the stream.") from None
            return None
        check_size(self.name, index, rgb, self._shape)
        self._shape = rgb.shape
        self._window[index] = rgb
        self.newest = index
        if len(self._window) > STREAM_WINDOW:
            self._window.popitem(last=False)
        return rgb

    def close(self) -> None:
        self._window.clear()


class _Live(_Stream):
    """What a camera sees."""

    def __init__(self, which: int | str) -> None:
        from anymask.tracking.camera import Camera

        self._camera = Camera(which)
        super().__init__(self._camera)
        self.name = self._camera.name

    def at(self, index: int) -> np.ndarray | None:
        rgb = super().at(index)
        if rgb is None:
            self.trouble = f"The {self.name} gives no more pictures."
        return rgb

    def close(self) -> None:
        super().close()
        self._camera.close()
