"""How a network's low-resolution logits lie on the picture, and how they become masks at the picture's size.

The rule is SAM's (Kirillov et al. 2023, `Sam.postprocess_masks`): logits are enlarged bilinearly to the network's
input grid, the padding is cut off, and the rest is enlarged bilinearly to the picture. EfficientSAM's is one bicubic
step from logits to picture, SAM 2's one bilinear. Each is linear and separable, so a piece of the result is `rows @
logits @ columns.T` with the steps' matrices multiplied once and kept. We work in square tiles: a tile touches few
logits, and one whose logits all have the same sign needs no arithmetic at all. Large masks are enlarged whole instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

WHOLE = 8  # a mask that touches more than one in so many tiles is enlarged whole, which OpenCV does faster
TILE, WIDE_TILE = 64, 128  # pixels of a tile's side; the wide one where a logit covers many

NOTHING = -8.0  # a logit that says so

Box = tuple[int, int, int, int]


class Region(NamedTuple):
    """A mask cut to its bounding box: `pixels` bool `[h, w]` (0 x 0 when empty), its first column `x` and row `y`."""

    x: int
    y: int
    pixels: np.ndarray


@dataclass(frozen=True)
class Placement:
    """How a grid of low-resolution logits lies on a picture; all sizes in pixels.

    Attributes:
        height, width: the picture.
        model_height, model_width: the network's input grid, which the whole logit grid covers.
        input_height, input_width: the part of the input grid, from its top left corner, that the crop was resized to;
            the rest is padding.
        crop: x0, y0, x1, y1, the part of the picture that the network saw; the whole picture when left out.
        enlarge: bilinear, in two steps; or, for a picture that fills the input grid, in one: bilinear-once or bicubic.
    """

    height: int
    width: int
    model_height: int
    model_width: int
    input_height: int
    input_width: int
    crop: Box = (0, 0, 0, 0)
    enlarge: str = "bilinear"

    def __post_init__(self) -> None:
        if self.crop == (0, 0, 0, 0):
            object.__setattr__(self, "crop", (0, 0, self.width, self.height))

    @classmethod
    def letterbox(cls, height: int, width: int, side: int, crop: Box | None = None) -> Placement:
        """The longer side fills a square of `side`, the aspect is kept (SAM's `ResizeLongestSide`)."""
        x0, y0, x1, y1 = crop or (0, 0, width, height)
        scale = side / max(y1 - y0, x1 - x0)
        input_height, input_width = (max(1, int(length * scale + 0.5)) for length in (y1 - y0, x1 - x0))
        return cls(height, width, side, side, input_height, input_width, (x0, y0, x1, y1))

    @classmethod
    def stretch(
        cls, height: int, width: int, side: int, crop: Box | None = None, enlarge: str = "bilinear"
    ) -> Placement:
        """The picture fills a square of `side`, whatever its aspect."""
        return cls(height, width, side, side, side, side, crop or (0, 0, width, height), enlarge)

    @property
    def crop_height(self) -> int:
        return self.crop[3] - self.crop[1]

    @property
    def crop_width(self) -> int:
        return self.crop[2] - self.crop[0]

    def to_input(self, xy: np.ndarray) -> np.ndarray:
        """Picture pixels to pixels of the network's input: float32 `[..., 2]` to `[..., 2]`, x and y."""
        scale = np.array([self.input_width / self.crop_width, self.input_height / self.crop_height])
        return np.asarray((np.asarray(xy, np.float64) - self.crop[:2]) * scale, np.float32)

    def to_picture(self, xy: np.ndarray) -> np.ndarray:
        """The way back: float32 `[..., 2]` to `[..., 2]`, x and y."""
        scale = np.array([self.crop_width / self.input_width, self.crop_height / self.input_height])
        return np.asarray(np.asarray(xy, np.float64) * scale + self.crop[:2], np.float32)

    def valid(self, logits: np.ndarray) -> np.ndarray:
        """The part of low-resolution logits `[..., h, w]` that lies on the crop and not on padding."""
        h, w = logits.shape[-2:]
        rows = -(-self.input_height * h // self.model_height)
        columns = -(-self.input_width * w // self.model_width)
        return logits[..., :rows, :columns]

    def covering(self, logits: np.ndarray) -> np.ndarray:
        """Low-resolution logits `[h, w]` on a grid of about the same cells that covers just the crop: float32
        `[h', w']`. The crop may end inside of a cell."""
        height = self.input_height * logits.shape[0] / self.model_height
        width = self.input_width * logits.shape[1] / self.model_width
        rows, columns = max(1, round(height)), max(1, round(width))
        scale = np.array([width / columns, height / rows])
        matrix = np.array([[scale[0], 0, scale[0] / 2 - 0.5], [0, scale[1], scale[1] / 2 - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(logits, matrix, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def carry(self, logits: np.ndarray, source: Placement) -> np.ndarray:
        """Logits `[h, w]` that lie on the picture as `source` says, on this placement's grid: float32 `[h, w]`.

        Where the source saw nothing they say that there is nothing.
        """
        h, w = logits.shape
        ratio = np.array([w, h]) / (self.model_width, self.model_height)
        to_picture = np.array([self.crop_width / self.input_width, self.crop_height / self.input_height]) / ratio
        from_picture = np.array([source.input_width / source.crop_width, source.input_height / source.crop_height])
        from_picture = from_picture * (w / source.model_width, h / source.model_height)
        scale = to_picture * from_picture
        # Cell centres: (i + 0.5) * to_picture + crop, less the source's crop, * from_picture - 0.5.
        shift = (np.array(self.crop[:2], np.float64) - source.crop[:2]) * from_picture + 0.5 * scale - 0.5
        matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = np.ascontiguousarray(source.valid(logits))
        carried: np.ndarray = cv2.warpAffine(seen, matrix, (w, h), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        for axis, length in enumerate(seen.shape):
            places = np.arange(logits.shape[axis]) * scale[1 - axis] + shift[1 - axis]
            unseen = (places < -0.5) | (places > length - 0.5)
            carried[unseen if axis == 0 else (slice(None), unseen)] = NOTHING
        return carried

    def upscale(self, logits: np.ndarray, window: Box | None = None) -> np.ndarray:
        """Logits float32 `[N, h, w]` at the picture's size: float32 `[N, crop height, crop width]`.

        With `window` (x0, y0, x1, y1 in picture pixels, inside the crop) only that piece, at a piece's cost.
        """
        left, top = self.crop[:2]
        x0, y0, x1, y1 = window or self.crop
        rows, columns = self._strips(logits)
        rows = [strip for strip in rows if strip.start < y1 - top and strip.stop > y0 - top]
        columns = [strip for strip in columns if strip.start < x1 - left and strip.stop > x0 - left]
        if not rows or not columns:
            return np.zeros((len(logits), y1 - y0, x1 - x0), np.float32)
        first_row, first_column = rows[0].start, columns[0].start
        shape = (len(logits), rows[-1].stop - first_row, columns[-1].stop - first_column)
        result = np.empty(shape, np.float32)
        for row in rows:
            for column in columns:
                result[:, row.span(first_row), column.span(first_column)] = _tile(logits, row, column)
        y, x = y0 - top - first_row, x0 - left - first_column
        return result[:, y : y + y1 - y0, x : x + x1 - x0]

    def region(self, logits: np.ndarray) -> Region:
        """The mask of one logit map float32 `[h, w]`: where the enlarged logits are above 0."""
        rows, columns = self._strips(logits)
        # Weights sum to 1, and bilinear ones are never negative: where all logits are positive, or none, so is the
        # tile. Bicubic ones may carry it past its logits, by no more than `margin`.
        margin = _overshoot(rows, columns) * float(np.ptp(logits))
        cells = np.outer([row.cells for row in rows], [column.cells for column in columns])
        filled = _counts(logits > margin, rows, columns) == cells
        touched = np.argwhere(_counts(logits > -margin, rows, columns) > 0)
        if not len(touched):
            return Region(0, 0, np.zeros((0, 0), bool))
        if self.enlarge != "bicubic" and len(touched) * WHOLE > cells.size:
            return tight(self._enlarged(logits) > 0, *self.crop[:2])
        (top, left), (bottom, right) = touched.min(axis=0), touched.max(axis=0)
        y, x = rows[top].start, columns[left].start
        pixels = np.zeros((rows[bottom].stop - y, columns[right].stop - x), bool)
        for i, j in touched:
            tile = pixels[rows[i].span(y), columns[j].span(x)]
            if filled[i, j]:
                tile[:] = True
            else:
                np.greater(_tile(logits, rows[i], columns[j]), 0, out=tile)
        return tight(pixels, self.crop[0] + x, self.crop[1] + y)

    def _enlarged(self, logits: np.ndarray) -> np.ndarray:
        """The bilinear steps on a whole map float32 `[h, w]`, by OpenCV: float32 `[crop height, crop width]`."""
        size = (self.crop_width, self.crop_height)
        if self.enlarge == "bilinear-once":
            return _resized(logits, size)
        grid = _resized(logits, (self.model_width, self.model_height))
        valid = grid[: self.input_height, : self.input_width]
        if valid.shape == (self.crop_height, self.crop_width):
            return valid
        return _resized(valid, size)

    def _strips(self, logits: np.ndarray) -> tuple[list[Strip], list[Strip]]:
        h, w = logits.shape[-2:]
        return (
            _strips(h, self.model_height, self.input_height, self.crop_height, self.enlarge),
            _strips(w, self.model_width, self.input_width, self.crop_width, self.enlarge),
        )


class Strip(NamedTuple):
    """One tile's extent along an axis: pixels `start:stop` of the crop are `weights` @ logits `low:high`."""

    start: int
    stop: int
    low: int
    high: int
    weights: np.ndarray

    @property
    def cells(self) -> int:
        return self.high - self.low

    def span(self, origin: int) -> slice:
        return slice(self.start - origin, self.stop - origin)


def span(centre: float, side: float, size: int) -> tuple[int, int]:
    """An interval of `side` around `centre`, moved into 0 to `size`."""
    length = max(1, min(round(side), size))
    start = int(np.clip(round(centre - side / 2), 0, size - length))
    return start, start + length


def tight(pixels: np.ndarray, x: int = 0, y: int = 0) -> Region:
    """Cut a bool `[h, w]` map, whose first pixel is at column `x` and row `y`, to its bounding box."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        return Region(0, 0, np.zeros((0, 0), bool))
    pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Region(x + int(columns[0]), y + int(rows[0]), pixels)


def _resized(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    resized: np.ndarray = cv2.resize(logits, size, interpolation=cv2.INTER_LINEAR)
    return resized


def _tile(logits: np.ndarray, row: Strip, column: Strip) -> np.ndarray:
    tile: np.ndarray = row.weights @ logits[..., row.low : row.high, column.low : column.high] @ column.weights.T
    return tile


def _counts(positive: np.ndarray, rows: list[Strip], columns: list[Strip]) -> np.ndarray:
    """How many of the logits that reach each tile are positive, int `[len(rows), len(columns)]`."""
    sums = np.zeros((positive.shape[0] + 1, positive.shape[1] + 1), np.int64)
    positive.cumsum(axis=0, out=sums[1:, 1:]).cumsum(axis=1, out=sums[1:, 1:])
    across = sums[[row.high for row in rows]] - sums[[row.low for row in rows]]
    counts: np.ndarray = across[:, [column.high for column in columns]] - across[:, [column.low for column in columns]]
    return counts


def _overshoot(rows: list[Strip], columns: list[Strip]) -> float:
    """How far beyond its logits a tile can reach, as a share of their range: the sum of its negative weights."""
    y, x = (max(float(-strip.weights.clip(max=0).sum(axis=1).min()) for strip in strips) for strips in (rows, columns))
    return y * (1 + x) + x * (1 + y)


@lru_cache(maxsize=128)
def _strips(cells: int, model: int, valid: int, size: int, enlarge: str) -> list[Strip]:
    """An axis's `cells` logits enlarged to `model` pixels, cut to the first `valid`, enlarged to `size`; in tiles."""
    if enlarge == "bicubic":
        indices, weights = _cubic_taps(cells, size)
    elif enlarge == "bilinear-once":
        low, high, weight = _taps(cells, size)
        indices, weights = np.stack([low, high], axis=1), np.stack([1 - weight, weight], axis=1)
    else:
        near, far, share = _taps(valid, size)
        low, high, weight = _taps(cells, model)
        indices = np.stack([low[near], high[near], low[far], high[far]], axis=1)
        weights = np.stack([(1 - share) * (1 - weight[near]), (1 - share) * weight[near],
                            share * (1 - weight[far]), share * weight[far]], axis=1)  # fmt: skip
    # Products of more than 2^18 steps make numpy's BLAS start threads, which go on spinning for a while and slow down
    # the next prompt's decoder.
    tile = WIDE_TILE if size * model >= 10 * cells * valid else TILE
    strips = []
    for start in range(0, size, tile):
        piece = indices[start : start + tile]
        first, last = int(piece.min()), int(piece.max()) + 1
        matrix = np.zeros((len(piece), last - first), np.float32)
        np.add.at(matrix, (np.arange(len(piece))[:, None], piece - first), weights[start : start + tile])
        strips.append(Strip(start, start + len(piece), first, last, matrix))
    return strips


def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bilinear resizing with half-pixel centres: for each target the two sources and the share of the second."""
    position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    low = position.astype(np.int64)
    return low, np.minimum(low + 1, source - 1), position - low


def _cubic_taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Bicubic resizing with half-pixel centres, PyTorch's (Keys 1981, a = -0.75): four sources and their weights."""
    position = (np.arange(target) + 0.5) * source / target - 0.5
    low = np.floor(position).astype(np.int64)
    taps = low[:, None] + np.arange(-1, 3)
    distance, a = np.abs(position[:, None] - taps), -0.75
    inner = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    outer = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.clip(taps, 0, source - 1), np.where(distance <= 1, inner, outer)
