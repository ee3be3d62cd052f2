"""Raw frames from a pipe: uint8 RGB, row by row, one frame after the other (ffmpeg: `-f rawvideo -pix_fmt rgb24`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np

from anymask.errors import ImageError


def raw_frames(stream: IO[bytes], width: int, height: int) -> Iterator[np.ndarray]:
    """The frames of a stream as uint8 `[height, width, 3]`.

    Raises:
        ImageError: the size is not one, or the stream ends inside of a frame; the frames before it have been given.
    """
    if width < 1 or height < 1:
        raise ImageError(f"Frames have at least one pixel, not {width} x {height}.")
    size, count = width * height * 3, 0
    while True:
        data = _exactly(stream, size)
        if not data:
            return
        if len(data) < size:
            raise ImageError(
                f"The stream ends inside of frame {count + 1} ({len(data)} of {size} bytes); is the size right?"
            )
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
        count += 1


def parse_size(text: str) -> tuple[int, int]:
    """ "640x360" as width and height. Raises ImageError for anything else."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ImageError(f"A size of frames is WIDTHxHEIGHT, such as 640x360, not {text!r}.")
    return int(width), int(height)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    """So many bytes of a pipe, fewer at its end only."""
    parts, missing = [], size
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
