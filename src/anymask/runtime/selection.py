"""Prompts answered by a choice among instances (Zhao et al. 2023, "Fast Segment Anything", section 3.3)."""

from functools import cached_property

import numpy as np

from anymask.placement import NOTHING
from anymask.runtime.engine import BACKGROUND, BOX_END, BOX_START, FOREGROUND

CANDIDATES = 3
SLOPE = 8.0  # logits for a cell; how steeply a mask ends at its box
CHUNK = 32  # instances mixed at a time

Answer = tuple[np.ndarray, float]
"""Logits [h, w] and their score."""


class Instances:
    """N instances of a picture, the surest first, on the grid of its mask prototypes.

    Args:
        prototypes: float32 [C, h, w].
        boxes: float32 [N, 4], x0, y0, x1, y1 in cells, (0, 0) the corner of the first.
        scores: float32 [N], 0 to 1.
        coefficients: float32 [N, C]; an instance's logits are the prototypes mixed by them, within its box.
    """

    def __init__(self, prototypes: np.ndarray, boxes: np.ndarray, scores: np.ndarray, coefficients: np.ndarray) -> None:
        self.prototypes, self.boxes, self.scores, self.coefficients = prototypes, boxes, scores, coefficients

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def width(self) -> int:
        """Cells in a row of the grid."""
        return int(self.prototypes.shape[2])

    @property
    def nbytes(self) -> int:
        """What is kept of them in memory beside the prototypes: mostly which cells are theirs."""
        return len(self) * int(self.prototypes[0].size)

    def logits(self, chosen: np.ndarray) -> np.ndarray:
        """The masks of some of them, float32 [n, h, w]."""
        rows, columns = (np.arange(length) for length in self.prototypes.shape[1:])
        return self._mixed(chosen, self.prototypes, self._within(chosen, columns, rows, outer=True))

    def at(self, point: np.ndarray) -> np.ndarray:
        """Every instance's logit at a point x, y in cells, interpolated bilinearly as masks are enlarged: [N]."""
        height, width = self.prototypes.shape[1:]
        x, y = np.clip(point - 0.5, 0, (width - 1, height - 1))
        columns, rows = np.array([x, x + 1, x, x + 1]).astype(int), np.array([y, y, y + 1, y + 1]).astype(int)
        columns, rows = columns.clip(max=width - 1), rows.clip(max=height - 1)
        everyone = np.arange(len(self))
        corners = self._mixed(everyone, self.prototypes[:, rows, columns], self._within(everyone, columns, rows))
        right, low = x % 1, y % 1
        logits: np.ndarray = corners @ [(1 - right) * (1 - low), right * (1 - low), (1 - right) * low, right * low]
        return logits

    @cached_property
    def areas(self) -> np.ndarray:
        """Cells of each, [N]."""
        return np.asarray(np.count_nonzero(self._cells, axis=(1, 2)))

    def overlaps(self, box: np.ndarray) -> np.ndarray:
        """Every instance's IoU with a box x0, y0, x1, y1 in cells: [N]."""
        x0, y0, x1, y1 = box
        left, top, right, bottom = (int(side) for side in (x0, y0, np.ceil(x1), np.ceil(y1)))
        across = np.minimum(np.arange(left, right) + 1, x1) - np.maximum(np.arange(left, right), x0)
        down = np.minimum(np.arange(top, bottom) + 1, y1) - np.maximum(np.arange(top, bottom), y0)
        part = self._cells[:, top:bottom, left:right]
        shared = part @ across[: part.shape[2]] @ down[: part.shape[1]]
        ratio: np.ndarray = shared / np.maximum((x1 - x0) * (y1 - y0) + self.areas - shared, 1e-6)
        return ratio

    @cached_property
    def _cells(self) -> np.ndarray:
        """Which cells are an instance's, bool [N, h, w]."""
        cells = np.empty((len(self), *self.prototypes.shape[1:]), bool)
        for start in range(0, len(self), CHUNK):
            chosen = np.arange(start, min(start + CHUNK, len(self)))
            np.greater(self.logits(chosen), 0, out=cells[chosen[0] : chosen[-1] + 1])
        return cells

    def _mixed(self, chosen: np.ndarray, prototypes: np.ndarray, within: np.ndarray) -> np.ndarray:
        mixed = self.coefficients[chosen] @ prototypes.reshape(len(prototypes), -1)
        logits: np.ndarray = np.maximum(np.minimum(mixed.reshape(within.shape), within), np.float32(NOTHING))
        return logits

    def _within(self, chosen: np.ndarray, columns: np.ndarray, rows: np.ndarray, outer: bool = False) -> np.ndarray:
        """How far inside of their boxes cells are, as logits; so that enlarged masks end at the boxes and not at the
        next cell. Of cells given one by one [n, K]; of all rows and columns [n, h, w]."""
        x0, y0, x1, y1 = (side[:, None] for side in self.boxes[chosen].T)
        across = np.minimum(columns + 0.5 - x0, x1 - columns - 0.5)
        down = np.minimum(rows + 0.5 - y0, y1 - rows - 0.5)
        inside = np.minimum(across[:, None], down[:, :, None]) if outer else np.minimum(across, down)
        return np.asarray(SLOPE * inside, np.float32)


def choose(instances: Instances, coords: np.ndarray, labels: np.ndarray) -> list[Answer]:
    """What a prompt points at: the answer, and up to three candidates, the likeliest first; [] where nothing fits.

    Points alone are answered with all instances on which a foreground point lies, joined, without those on which a
    background point lies too, unless a foreground point would be left without any: then the smallest on which it lies
    is taken all the same. A box is answered with the instance whose mask has the highest IoU with it, among those that
    agree with the most points. Smaller instances on which a background point lies leave a hole. Candidates are single
    instances: those that agree with the most points, by score, or by IoU with the box.

    The reference takes an instance or not by the last point on it, so that the order of the points matters.

    Args:
        coords: [K, 2], x and y in cells.
        labels: [K], 1 and 0, or 2 and 3 for the corners of a box.
    """
    box = coords[np.isin(labels, (BOX_START, BOX_END))]
    hits = np.array([instances.at(point) > 0 for point in coords], bool).reshape(len(coords), len(instances))
    wanted, unwanted = hits[labels == FOREGROUND], hits[labels == BACKGROUND].any(axis=0)
    disagreement = hits[labels == BACKGROUND].sum(axis=0) - wanted.sum(axis=0)
    if len(box):
        overlaps = instances.overlaps(np.concatenate([box.min(axis=0), box.max(axis=0)]))
        fitting = np.flatnonzero(overlaps > 0)
        order = fitting[np.lexsort((-overlaps[fitting], disagreement[fitting]))]
        taken = order[:1]
    else:
        fitting = np.flatnonzero(wanted.any(axis=0))
        order = fitting[np.lexsort((-instances.scores[fitting], disagreement[fitting]))]
        taken = _joined(instances, wanted, unwanted)
    if not len(taken):
        return []
    best = order[:CANDIDATES]
    answer = _painted(instances, taken, np.setdiff1d(np.flatnonzero(unwanted), taken))
    candidates = zip(instances.logits(best), instances.scores[best], strict=True)
    return [(answer, float(instances.scores[taken].mean())), *((one, float(score)) for one, score in candidates)]


def _joined(instances: Instances, wanted: np.ndarray, unwanted: np.ndarray) -> np.ndarray:
    """The instances that answer points: `wanted` [K, N], whether a foreground point lies on each; `unwanted` [N]."""
    taken = wanted.any(axis=0) & ~unwanted
    for hits in wanted:
        if hits.any() and not (hits & taken).any():
            taken[min(np.flatnonzero(hits), key=lambda number: instances.areas[number])] = True
    return np.flatnonzero(taken)


def _painted(instances: Instances, taken: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Logits [h, w] of instances painted over each other, large ones first; those removed leave a hole."""
    canvas: np.ndarray = np.full(instances.prototypes.shape[1:], NOTHING, np.float32)
    order = np.concatenate([taken, removed])
    for number in order[np.argsort(-instances.areas[order], kind="stable")]:
        (one,) = instances.logits(np.array([number]))
        canvas = np.maximum(canvas, one) if number in taken else np.minimum(canvas, -one)
    return canvas
