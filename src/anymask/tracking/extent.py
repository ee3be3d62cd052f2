"""Where on a frame an answer's mask lies, to about a cell of its grid: its box, its area."""

from __future__ import annotations

import numpy as np

from anymask.placement import Placement
from anymask.tracking.follower import Answer


def box_of(answer: Answer) -> np.ndarray | None:
    """x0, y0, x1, y1 of an answer's mask in pixels, float32; None when it is empty."""
    return region_box(answer.placement, answer.logits)


def region_box(place: Placement, logits: np.ndarray) -> np.ndarray | None:
    """x0, y0, x1, y1 of a mask in pixels, float32, to about a cell; None when it is empty."""
    on = place.valid(logits) > 0
    if not on.any():
        return None
    rows, columns = np.flatnonzero(on.any(axis=1)), np.flatnonzero(on.any(axis=0))
    return box_in_pixels(place, logits.shape[-1], np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]))


def box_in_pixels(place: Placement, side: int, cells: np.ndarray) -> np.ndarray:
    """Boxes `[..., 4]` in cells of a grid of `side` x `side` logits, in pixels of the frame, float32."""
    corners = cells * np.tile(cell_of(place, side), 2) + np.tile(place.crop[:2], 2)
    low, high = np.tile(place.crop[:2], 2), np.tile(place.crop[2:], 2)
    return np.asarray(np.clip(corners, low, high), np.float32)


def cell_of(place: Placement, side: int) -> np.ndarray:
    """Width and height of a cell of a grid of logits, in pixels of the frame."""
    return np.array(
        [
            place.model_width / side * place.crop_width / place.input_width,
            place.model_height / side * place.crop_height / place.input_height,
        ]
    )


def area_of(answer: Answer) -> float:
    """About how many pixels of the frame an answer's mask covers."""
    on = answer.placement.valid(answer.logits) > 0
    return float(np.count_nonzero(on) * cell_of(answer.placement, answer.logits.shape[-1]).prod())
