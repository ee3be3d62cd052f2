"""The pieces of a picture where a matte is neither 0 nor 1: edges are few, and only they need work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

SIDE = 256  # even; small enough that a tile's arrays stay in the processor's cache


class Tile(NamedTuple):
    """Rows and columns of a picture."""

    rows: slice
    columns: slice

    def cut(self, image: np.ndarray, margin: int) -> np.ndarray:
        """The tile with a margin on all sides, even in height and width; the picture's border repeats beyond it."""
        rows, above, below = _reach(self.rows, image.shape[0], margin)
        columns, left, right = _reach(self.columns, image.shape[1], margin)
        return cv2.copyMakeBorder(image[rows, columns], above, below, left, right, cv2.BORDER_REPLICATE)

    def among(self, rows: slice) -> Tile:
        """The tile where the rows of its picture are laid out from `rows.start` on."""
        return Tile(slice(self.rows.start - rows.start, self.rows.stop - rows.start), self.columns)

    def inner(self, piece: np.ndarray, margin: int) -> np.ndarray:
        """A piece made by `cut` without its margin."""
        height, width = self.rows.stop - self.rows.start, self.columns.stop - self.columns.start
        return piece[margin : margin + height, margin : margin + width]


def bands(height: int) -> Iterator[slice]:
    """A picture's rows, as many at a time as a tile has."""
    for top in range(0, height, SIDE):
        yield slice(top, min(top + SIDE, height))


def enlarged(image: np.ndarray, shape: tuple[int, ...], rows: slice) -> np.ndarray:
    """Some rows of an image `[h, w, ...]` enlarged bilinearly, with half-pixel centres, to `shape` (height, width).

    float32. Rows beyond the border repeat it. The whole is never made.
    """
    height, width = shape[:2]
    at = np.clip(np.arange(rows.start, rows.stop), 0, height - 1)
    position = np.clip((at + 0.5) * (image.shape[0] / height) - 0.5, 0, image.shape[0] - 1)
    above = position.astype(np.intp)
    share = (position - above).astype(np.float32).reshape(-1, *[1] * (image.ndim - 1))
    below = image[np.minimum(above + 1, image.shape[0] - 1)].astype(np.float32, copy=False)
    lines = image[above].astype(np.float32, copy=False)
    between: np.ndarray = lines + share * (below - lines)
    return cv2.resize(between, (width, len(at)), interpolation=cv2.INTER_LINEAR)


def across(rows: slice, width: int) -> Iterator[Tile]:
    """The tiles of a band."""
    for left in range(0, width, SIDE):
        yield Tile(rows, slice(left, min(left + SIDE, width)))


def uncertain(alpha: np.ndarray) -> Iterator[Tile]:
    """The tiles of alpha float32 `[H, W]` that hold values between 0 and 1."""
    for rows in bands(alpha.shape[0]):
        for tile in across(rows, alpha.shape[1]):
            values = alpha[tile]
            if cv2.countNonZero(values * (1 - values)):
                yield tile


def _reach(span: slice, size: int, margin: int) -> tuple[slice, int, int]:
    """Along one axis: what of the tile and its margin lies inside of `size`, and how much before and behind."""
    start, stop = span.start - margin, span.stop + (span.stop - span.start) % 2 + margin
    return slice(max(start, 0), min(stop, size)), max(-start, 0), max(stop - size, 0)
