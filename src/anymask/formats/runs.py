"""Runs of an RLE as arrays: checked, measured, united, and made of polygons, without a picture-sized array.

A mask's toggles are the places, counted column by column, where it begins and ends: strictly rising, an even number of
them. They are what `numpy.cumsum` makes of an RLE's runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from anymask import rle
from anymask.errors import FormatError
from anymask.placement import Region

MAX_CROSSINGS = 20_000_000
"""Columns that the edges of one outline may cross in all; more is nothing that a person drew."""


def toggles(one: Any, height: int, width: int) -> np.ndarray:
    """The toggles of an RLE that comes from outside: int64 `[2 * runs]`.

    Raises:
        FormatError: it is no RLE, not of this size, or its runs do not add up to it.
    """
    if not isinstance(one, dict) or not isinstance(one.get("size"), list | tuple) or "counts" not in one:
        raise FormatError('A mask must be an RLE, {"size": [height, width], "counts": ...}.')
    if list(one["size"]) != [height, width]:
        raise FormatError(f"A mask's size is {str(one['size'])[:40]}, but the picture's is [{height}, {width}].")
    runs = _unpack(one["counts"]) if isinstance(one["counts"], str | bytes) else _listed(one["counts"])
    if (runs < 0).any() or runs.sum() != height * width:
        raise FormatError(f"A mask's runs do not add up to its {width} x {height} pixels.")
    return _canonical(np.cumsum(runs)[: len(runs) // 2 * 2])


def encode(places: np.ndarray, height: int, width: int) -> rle.RLE:
    """The compressed RLE of a mask's toggles."""
    runs = np.diff(places, prepend=0, append=height * width)
    if len(runs) > 1 and runs[-1] == 0:
        runs = runs[:-1]
    return rle.compress({"size": [height, width], "counts": runs.tolist()})


def measure(places: np.ndarray, height: int) -> tuple[int, tuple[int, int, int, int]]:
    """A mask's area, and its box as x, y, width and height (COCO's `bbox`); zeros when it is empty."""
    starts, ends = places[0::2], places[1::2]
    if not len(starts):
        return 0, (0, 0, 0, 0)
    lasts = ends - 1
    x, x1 = int(starts[0] // height), int(lasts[-1] // height)
    if (starts // height != lasts // height).any():  # a run over the edge of a column has its last row and its first
        y, y1 = 0, height - 1
    else:
        y, y1 = int((starts % height).min()), int((lasts % height).max())
    return int((ends - starts).sum()), (x, y, x1 - x + 1, y1 - y + 1)


def region(places: np.ndarray, height: int, width: int) -> Region:
    """A mask cut to its bounding box, made without a picture-sized array."""
    return rle.region({"size": [height, width], "counts": np.diff(places, prepend=0, append=height * width).tolist()})


def union(masks: Sequence[np.ndarray]) -> np.ndarray:
    """The toggles of what lies in at least one of several masks of one picture."""
    if len(masks) == 1:
        return np.asarray(masks[0])
    if not masks:
        return np.zeros(0, np.int64)
    steps = np.concatenate([np.where(np.arange(len(places)) % 2, -1, 1) for places in masks])
    places, which = np.unique(np.concatenate(masks), return_inverse=True)
    inside = np.cumsum(np.bincount(which, steps, len(places))) > 0.5
    return np.asarray(places[np.diff(inside, prepend=False) != 0])


def fill(rings: Iterable[np.ndarray], height: int, width: int) -> np.ndarray:
    """The toggles of the pixels whose centres lie within an odd number of rings `[K, 2]` (x, y; SVG's `evenodd`).

    A ring that `polygons.trace` made with tolerance 0 gives its mask back exactly. What lies off the picture is cut
    off.

    Raises:
        FormatError: a coordinate is no finite number, or the outline is too intricate.
    """
    found, crossings = [np.zeros(0, np.int64)], 0
    for ring in rings:
        edges = _edges(ring)
        first, end = (np.clip(np.ceil(edges[:, i] - 0.5), 0, width).astype(np.int64) for i in (0, 2))
        spans = end - first
        crossings += int(spans.sum())
        if crossings > MAX_CROSSINGS:
            raise FormatError("An outline is too intricate: its edges cross the picture's columns too many times.")
        which = np.repeat(np.arange(len(edges)), spans)
        column = np.arange(len(which)) - np.repeat(np.cumsum(spans) - spans, spans) + first[which]
        x0, y0, x1, y1 = edges[which].T
        y = y0 + (column + 0.5 - x0) * ((y1 - y0) / np.where(x1 > x0, x1 - x0, 1))
        found.append(column * height + np.clip(np.ceil(y - 0.5), 0, height).astype(np.int64))
    return _canonical(np.sort(np.concatenate(found)))


def by_value(labels: np.ndarray) -> dict[int, np.ndarray]:
    """The toggles of each value but 0 of a label picture, integers `[H, W]`."""
    flat = labels.T.ravel()
    if not len(flat):
        return {}
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], len(flat))
    values = flat[starts]
    order = np.argsort(values, kind="stable")
    kinds, firsts = np.unique(values[order], return_index=True)
    pairs = np.stack([starts[order], ends[order]], axis=1)
    pieces = np.split(pairs, firsts[1:])
    return {int(kind): piece.ravel() for kind, piece in zip(kinds, pieces, strict=True) if kind}


def _edges(ring: np.ndarray) -> np.ndarray:
    """Edges from left to right, `[K, 4]`: the way there and the way back then cross a column at the same place."""
    points = np.asarray(ring, np.float64).reshape(-1, 2)
    if not np.isfinite(points).all() or (np.abs(points) > 1e9).any():
        raise FormatError("An outline's coordinates must be finite numbers.")
    edges = np.concatenate([points, np.roll(points, -1, axis=0)], axis=1)
    backward = edges[:, 0] > edges[:, 2]
    edges[backward] = edges[backward][:, [2, 3, 0, 1]]
    return np.asarray(edges)


def _canonical(places: np.ndarray) -> np.ndarray:
    """Sorted toggles without those that take each other back."""
    places, counts = np.unique(places, return_counts=True)
    return np.asarray(places[counts % 2 == 1])


def _listed(counts: Any) -> np.ndarray:
    if not isinstance(counts, list) or not all(type(run) is int and 0 <= run < 2**40 for run in counts):
        raise FormatError("A mask's counts must be COCO's string or a list of whole numbers.")
    return np.array(counts, np.int64)


def _unpack(text: str | bytes) -> np.ndarray:
    """As `rle.counts`, all characters at once."""
    try:
        codes = np.frombuffer(text.encode("ascii") if isinstance(text, str) else text, np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        codes = np.full(1, -1)
    if (codes < 0).any() or (codes > 63).any() or (len(codes) and codes[-1] & 32):
        raise FormatError("A mask's counts are not COCO's string: there are characters that do not belong there.")
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    place = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    if (place > 7).any():
        raise FormatError("A mask's counts are not COCO's string: a run is too long.")
    if not len(ends):
        return np.zeros(0, np.int64)
    runs = np.add.reduceat((codes & 31) << (5 * place), starts)
    runs -= np.where(codes[ends] & 16, np.int64(1) << (5 * (place[ends] + 1)), 0)
    runs[1::2] = np.cumsum(runs[1::2])  # from the third on, differences to the run before the last
    runs[2::2] = np.cumsum(runs[2::2])
    return runs
