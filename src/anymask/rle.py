"""Run-length encoding as COCO writes it: column by column, first a run of background, compressed to a short string.

An RLE is a dict `{"size": [height, width], "counts": str | list[int]}`: a string when compressed, else the run lengths
(`mask_to_rle_pytorch` of segment_anything writes the same lists). The string's code is pycocotools'.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from anymask.errors import FormatError
from anymask.placement import Region

RLE = dict[str, Any]


def encode(mask: np.ndarray | Region, height: int | None = None, width: int | None = None) -> RLE:
    """The uncompressed RLE of a bool `[H, W]` mask, or of a region of a picture of `height` x `width` pixels."""
    region = mask if isinstance(mask, Region) else Region(0, 0, np.asarray(mask, bool))
    height, width = height or region.pixels.shape[0], width or region.pixels.shape[1]
    rows, columns = region.pixels.shape
    # Column after column, each ended by a zero, so that every run starts and ends at a change.
    flat = np.zeros((columns, rows + 1), bool)
    flat[:, :-1] = region.pixels.T
    flat = np.concatenate([[False], flat.ravel()])
    column, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), rows + 1)
    edges = (region.x + column) * height + region.y + row
    # A run that goes on at the top of the next column ends and starts at the same place: both go.
    joined = np.flatnonzero(edges[1:-1:2] == edges[2::2]) * 2 + 1
    edges = np.delete(edges, np.concatenate([joined, joined + 1]))
    counts = np.diff(np.concatenate([[0], edges, [height * width]]))
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    return {"size": [height, width], "counts": counts.tolist()}


def compress(rle: RLE) -> RLE:
    """The same RLE with its counts as a string."""
    from pycocotools import mask as coco

    if not isinstance(rle["counts"], list):
        return rle
    packed = coco.frPyObjects(rle, *rle["size"])
    return {"size": list(rle["size"]), "counts": packed["counts"].decode("ascii")}


def counts(rle: RLE) -> list[int]:
    """The run lengths, background first.

    Raises:
        FormatError: they do not add up to the size.
    """
    runs = rle["counts"] if isinstance(rle["counts"], list) else _unpack(rle["counts"])
    height, width = rle["size"]
    if sum(runs) != height * width or min(runs, default=0) < 0:
        raise FormatError(f"The RLE's runs add up to {sum(runs)} pixels, but its size is {width} x {height}.")
    return runs


def decode(rle: RLE) -> np.ndarray:
    """The bool `[H, W]` mask of an RLE, compressed or not."""
    runs = counts(rle)
    height, width = rle["size"]
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def region(rle: RLE) -> Region:
    """The mask of an RLE, cut to its bounding box, made without a picture-sized array.

    Raises:
        FormatError: as `counts`.
    """
    height = rle["size"][0]
    edges = np.cumsum(counts(rle), dtype=np.int64)
    starts, lasts = edges[0:-1:2], edges[1::2] - 1
    starts, lasts = starts[starts <= lasts], lasts[starts <= lasts]
    if not len(starts):
        return Region(0, 0, np.zeros((0, 0), bool))
    x, width = starts[0] // height, lasts[-1] // height - starts[0] // height + 1
    # A run that goes on in the next column has the last row and the first.
    spans = (starts // height != lasts // height).any()
    y, rows = (0, height) if spans else (min(starts % height), max(lasts % height) - min(starts % height) + 1)
    first, last = ((places // height - x) * rows + places % height - y for places in (starts, lasts))
    runs = np.diff(np.stack([first, last + 1], axis=1).ravel(), prepend=0, append=width * rows)
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, rows).T
    return Region(int(x), int(y), pixels)


def area(rle: RLE) -> int:
    """The number of pixels in the mask."""
    return sum(counts(rle)[1::2])


def _unpack(text: str | bytes) -> list[int]:
    """The run lengths in a compressed string: 5 bits a character above code 48, low bits first, the sixth bit says that
    more follow; from the third run on, the difference to the run before the last (pycocotools' `rleFrString`)."""
    runs: list[int] = []
    value = shift = 0
    for code in text.encode("ascii") if isinstance(text, str) else text:
        code -= 48
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return runs
