"""Masks that a search of everything may keep: measured where they are, suppressed, and made into `Masks`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from anymask.masks import Masks, non_maximum_suppression, stability
from anymask.placement import Placement, tight


@dataclass(eq=False, slots=True)
class Candidate:
    """A mask that passed the filters. `logits` is None while a better candidate takes its place."""

    logits: np.ndarray | None
    token: int
    point: np.ndarray
    score: float
    stability: np.float32
    box: np.ndarray
    placement: Placement
    number: int


def measure(logits: np.ndarray, placement: Placement, offset: float) -> tuple[np.float32, np.ndarray] | None:
    """A mask's stability score and box, x0, y0, x1, y1 in pixels of the picture; None when it is empty.

    It is enlarged to the crop's size or to that of the network's input, whichever is smaller, and only as far as it
    reaches.
    """
    height = min(placement.crop_height, placement.input_height)
    width = min(placement.crop_width, placement.input_width)
    grid = (placement.model_height, placement.model_width, placement.input_height, placement.input_width)
    small = Placement(height, width, *grid, enlarge=placement.enlarge)
    h, w = placement.valid(logits).shape
    cells = logits[: h + 1, : w + 1] > -offset  # the first cells of the padding still weigh on the last pixels
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    if not len(rows):
        return None
    y0, y1 = _reach(rows, height * placement.model_height / (placement.input_height * logits.shape[0]), height)
    x0, x1 = _reach(columns, width * placement.model_width / (placement.input_width * logits.shape[1]), width)
    field = small.upscale(logits[None], (x0, y0, x1, y1))[0]
    x, y, pixels = tight(field > 0, x0, y0)
    if not pixels.size:
        return None
    box = np.array([x, y, x + pixels.shape[1] - 1, y + pixels.shape[0] - 1])
    scale = np.array([placement.crop_width / width, placement.crop_height / height] * 2)
    return stability(field[None], offset=offset)[0], (box + 0.5) * scale - 0.5 + (placement.crop[:2] * 2)


def _reach(cells: np.ndarray, scale: float, size: int) -> tuple[int, int]:
    """The pixels of an axis of `size` on which the first to the last of `cells` weigh, at `scale` pixels a cell.

    Two bilinear steps reach less than two cells from a cell's edges.
    """
    return max(0, math.floor((cells[0] - 2) * scale)), min(size, math.ceil((cells[-1] + 3) * scale))


def as_masks(found: list[Candidate], shape: tuple[int, ...], placement: Placement) -> Masks:
    """Candidates, which give their logits away; `shape` and `placement` are those of a map where there are none."""
    columns = _columns(found)
    logits = np.empty((len(found), *shape), np.float32)
    for row, candidate in zip(logits, found, strict=True):
        row[:], candidate.logits = candidate.logits, None  # never all of them twice: of SAM each is 256 KB
    placements = [candidate.placement for candidate in found] or placement
    return Masks(logits, columns["predicted_iou"], placements, extra=columns)


def as_mask(candidate: Candidate) -> Masks:
    """One candidate, which keeps its logits."""
    assert candidate.logits is not None
    columns = _columns([candidate])
    return Masks(candidate.logits[None], columns["predicted_iou"], candidate.placement, extra=columns)


def _columns(found: list[Candidate]) -> dict[str, np.ndarray]:
    return {
        "predicted_iou": np.array([candidate.score for candidate in found], np.float32),
        "stability_score": np.array([candidate.stability for candidate in found], np.float32),
        "point_coords": np.array([candidate.point for candidate in found], np.float32).reshape(-1, 2),
        "crop_box": np.array([candidate.placement.crop for candidate in found], np.float32).reshape(-1, 4),
    }


def suppress(candidates: list[Candidate], scores: np.ndarray, threshold: float) -> list[Candidate]:
    """Those that are left, best first, when of two whose boxes' IoU is above the threshold the worse one goes."""
    boxes = np.array([candidate.box for candidate in candidates], np.float32).reshape(-1, 4)
    return [candidates[i] for i in best_first(boxes, scores, threshold)]


def best_first(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """The boxes to keep, best first; of equal scores the last comes first, as in the reference's results."""
    return len(boxes) - 1 - non_maximum_suppression(boxes[::-1], scores[::-1], threshold)
