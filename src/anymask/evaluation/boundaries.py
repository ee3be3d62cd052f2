"""The Berkeley benchmark of boundary detection: precision, recall and F of a soft edge map against several annotators.

The measure of Martin, Fowlkes and Malik 2004 ("Learning to detect natural image boundaries using local brightness,
color, and texture cues") as Arbelaez et al. 2011 ("Contour detection and hierarchical image segmentation") report it:
at each threshold the edge map is thinned to lines a pixel wide, and its pixels are matched one to one with those of
each annotator's boundaries within 0.0075 of the picture's diagonal. Recall is summed over the annotators; a found pixel
is right when it is matched with any of them.

The matching here is one of maximum cardinality. The benchmark's own program looks for the least sum of distances, but a
pixel that stays alone costs it a hundred times the greatest distance: in all but ties it matches as many, and only how
many are matched counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anymask.errors import FormatError, MissingExtraError

TOLERANCE = 0.0075  # of the diagonal: how far from each other two pixels may lie that are the same boundary's
THRESHOLDS = 33
STEPS = 100  # between neighbouring thresholds, where the best F is looked for

# The eight neighbours clockwise from above, each a bit of the number that stands for a pixel's neighbourhood.
_BITS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)


@dataclass(frozen=True, eq=False)
class Counts:
    """Pixels of one picture at each threshold, int64 `[T]`: of the annotators' boundaries those that are matched and
    all of them, both summed over the annotators; of the found edges those that any annotator has, and all of them."""

    recalled: np.ndarray
    wanted: np.ndarray
    right: np.ndarray
    found: np.ndarray


@dataclass(frozen=True, eq=False)
class BoundaryScores:
    """How good edge maps are, 0 to 1.

    Attributes:
        ods: the F-measure at the one threshold that is best for the whole set; `threshold` is that one.
        ois: the same with the best threshold for each picture.
        ap: the mean precision over all recalls; recalls that are never reached count as 0.
        precision, recall: float64 `[T]` of the whole set, from the lowest threshold to the highest.
        pictures: each picture's own best F.
    """

    ods: float
    threshold: float
    ois: float
    ap: float
    precision: np.ndarray
    recall: np.ndarray
    pictures: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the pictures."""
        curves = {"precision": self.precision.tolist(), "recall": self.recall.tolist()}
        return {"ods": self.ods, "threshold": self.threshold, "ois": self.ois, "ap": self.ap, **curves}


def thresholds(count: int = THRESHOLDS) -> np.ndarray:
    """float64 `[count]`, evenly between 0 and 1 without these two, as the benchmark has them."""
    return np.arange(1, count + 1) / (count + 1)


def read_boundaries(path: Path) -> list[np.ndarray]:
    """Each annotator's boundaries, bool `[H, W]`, of a file with `segmentations`, whole numbers `[annotators, H, W]`.

    Raises FormatError for anything else.
    """
    try:
        with np.load(path) as file:
            labels = file["segmentations"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise FormatError(f"{path} holds no segmentations: {error}.") from error
    if labels.ndim != 3 or not len(labels) or labels.dtype.kind not in "ui":
        raise FormatError(f"The segmentations of {path} must be whole numbers [annotators, H, W].")
    return [label_boundaries(one) for one in labels]


def label_boundaries(labels: np.ndarray) -> np.ndarray:
    """The lines between regions of a label map `[H, W]`, thinned: bool `[H, W]`.

    A pixel is on a line when the four pixels to its right, below it and across do not all have its label, as in the
    data set's own boundary maps.
    """
    padded = np.pad(labels, (0, 1), mode="edge")
    corner = padded[:-1, :-1]
    lines = (padded[1:, :-1] != corner) | (padded[:-1, 1:] != corner) | (padded[1:, 1:] != corner)
    return thin(lines)


def thin(mask: np.ndarray) -> np.ndarray:
    """Lines a pixel wide in the middle of a bool `[H, W]` mask's areas, connected as these are (Guo and Hall 1989,
    "Parallel thinning with two-subiteration algorithms")."""
    lines: np.ndarray = mask.astype(np.uint8)
    while True:
        before = lines
        for kept in _thinning():
            around = cv2.filter2D(lines, cv2.CV_8U, _BITS, borderType=cv2.BORDER_CONSTANT)
            lines = cv2.bitwise_and(lines, cv2.LUT(around, kept))
        if np.array_equal(before, lines):
            return lines.astype(bool)


@cache
def _thinning() -> tuple[np.ndarray, np.ndarray]:
    """For every neighbourhood whether a pixel in it stays, uint8 `[256]`, in the first and in the second half step."""
    n, ne, e, se, s, sw, w, nw = (np.arange(256) >> bit & 1 == 1 for bit in range(8))
    crossings = np.sum([~n & (ne | e), ~e & (se | s), ~s & (sw | w), ~w & (nw | n)], axis=0)
    pairs = np.minimum(
        np.sum([nw | n, ne | e, se | s, sw | w], axis=0), np.sum([n | ne, e | se, s | sw, w | nw], axis=0)
    )
    border = (crossings == 1) & (pairs >= 2) & (pairs <= 3)
    first, second = border & ~((s | sw | ~nw) & w), border & ~((n | ne | ~se) & e)
    return (~first).astype(np.uint8), (~second).astype(np.uint8)


def compare(edges: np.ndarray, annotators: Sequence[np.ndarray], levels: np.ndarray) -> Counts:
    """Match a soft edge map with several annotators' boundaries.

    Args:
        edges: float `[H, W]` in 0..1.
        annotators: bool `[H, W]` each.
        levels: the thresholds `[T]`, ascending; a pixel is an edge from its value on.

    Raises:
        FormatError: a boundary map is of another size.
        MissingExtraError: SciPy is not installed.
    """
    if any(one.shape != edges.shape for one in annotators):
        raise FormatError("The annotators' boundaries are of another size than the picture.")
    sparse, maximum_flow = _scipy()
    # All pixels that are an edge at any threshold are joined with their neighbours once; each threshold takes some.
    pixels = np.flatnonzero(edges >= levels[0])
    row_of = np.zeros(edges.size, np.int64)
    row_of[pixels] = np.arange(len(pixels))
    graphs = [_Neighbours(pixels, one, sparse, maximum_flow) for one in annotators]
    counts = np.zeros((4, len(levels)), np.int64)
    counts[1] = sum(int(one.sum()) for one in annotators)
    last: np.ndarray | None = None
    for index, level in enumerate(levels):
        lines = np.flatnonzero(thin(edges >= level))
        if last is not None and np.array_equal(lines, last):
            counts[:, index] = counts[:, index - 1]
            continue
        right = np.zeros(len(lines), bool)
        for graph in graphs if len(lines) else []:
            matched = graph.matched(row_of[lines])
            right |= matched
            counts[0, index] += int(matched.sum())
        counts[2, index], counts[3, index] = int(right.sum()), len(lines)
        last = lines
    return Counts(*counts)


def _scipy() -> tuple[Any, Any]:
    try:
        from scipy import sparse  # type: ignore[import-untyped]
        from scipy.sparse.csgraph import maximum_flow  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(
            'The benchmark of boundaries needs the evaluate extra: pip install "anymask[evaluate]".'
        ) from error
    return sparse, maximum_flow


class _Neighbours:
    """Which pixels of a boundary bool `[H, W]` each of `pixels`, flat indices `[N]`, may be matched with."""

    def __init__(self, pixels: np.ndarray, boundary: np.ndarray, sparse: Any, maximum_flow: Any) -> None:
        self.matrix, self.flow = sparse.csr_matrix, maximum_flow
        height, width = boundary.shape
        reach = TOLERANCE * float(np.hypot(height, width))
        margin = int(reach)
        self.count = int(boundary.sum())
        numbers = np.full((height + 2 * margin, width + 2 * margin), -1, np.int32)
        numbers[margin : margin + height, margin : margin + width][boundary] = np.arange(self.count)
        y, x = np.mgrid[-margin : margin + 1, -margin : margin + 1].reshape(2, -1)
        steps = (y * numbers.shape[1] + x)[y**2 + x**2 <= reach**2]
        rows, columns = np.divmod(pixels, width)
        places = (rows + margin) * numbers.shape[1] + columns + margin
        near = numbers.ravel()[places[:, None] + steps]
        there = near >= 0
        starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        self.edges = self.matrix((np.ones(starts[-1], np.int32), near[there], starts), (len(pixels), self.count))

    def matched(self, rows: np.ndarray) -> np.ndarray:
        """bool `[K]`: which of the pixels with these numbers `[K]` a matching of the greatest size has.

        It is the greatest flow from a source over the pixels and the boundary's to a sink, each passed at most once.
        Of SciPy's ways this one is never slow; its Hopcroft-Karp took seconds for some pictures.
        """
        chosen = self.edges[rows]
        count, sink = len(rows), len(rows) + self.count + 1
        targets = np.concatenate(
            [np.arange(1, count + 1), chosen.indices + count + 1, np.full(self.count, sink)], dtype=np.int32
        )
        degrees = np.concatenate([[count], np.diff(chosen.indptr), np.ones(self.count), [0]])
        starts = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int32)
        network = self.matrix((np.ones(len(targets), np.int32), targets, starts), (sink + 1, sink + 1))
        flow = self.flow(network, 0, sink, method="dinic").flow
        return np.asarray(flow[0].toarray()[0, 1 : count + 1] > 0)


def summarise(pictures: Sequence[Counts], levels: np.ndarray) -> BoundaryScores:
    """The figures of a set of pictures, whose counts are of the same thresholds `[T]`."""
    whole = Counts(*(np.sum([getattr(one, name) for one in pictures], axis=0) for name in Counts.__annotations__))
    precision, recall = _precision_recall(whole)
    ods, threshold = _best(precision, recall, levels)
    best, chosen = [], []
    for one in pictures:
        f = _f(*_precision_recall(one))
        index = int(f.argmax())
        best.append(float(f[index]))
        chosen.append([getattr(one, name)[index : index + 1] for name in Counts.__annotations__])
    summed = Counts(*(np.sum(column, axis=0) for column in zip(*chosen, strict=True)))
    ois = float(_f(*_precision_recall(summed))[0])
    order = np.argsort(recall, kind="stable")
    places = np.linspace(0, 1, 101)
    ap = float(np.interp(places, recall[order], precision[order], left=0, right=0).sum() / 100)
    return BoundaryScores(ods, threshold, ois, ap, precision, recall, tuple(best))


def _precision_recall(counts: Counts) -> tuple[np.ndarray, np.ndarray]:
    return counts.right / np.maximum(counts.found, 1), counts.recalled / np.maximum(counts.wanted, 1)


def _f(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    f: np.ndarray = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return f


def _best(precision: np.ndarray, recall: np.ndarray, levels: np.ndarray) -> tuple[float, float]:
    """The best F and its threshold, precision and recall taken to be straight lines between the thresholds."""
    fine = np.linspace(0, len(levels) - 1, (len(levels) - 1) * STEPS + 1)
    at = np.arange(len(levels))
    f = _f(np.interp(fine, at, precision), np.interp(fine, at, recall))
    index = int(f.argmax())
    return float(f[index]), float(np.interp(fine[index], at, levels))
