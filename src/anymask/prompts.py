"""What a user says about an object: points, a box, an earlier mask; checked once, in pixels of the original picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from anymask.errors import PromptError

FOREGROUND = 1
BACKGROUND = 0


@dataclass(frozen=True, init=False, eq=False)
class Prompt:
    """One object, asked for by points, a box, an earlier mask, or several of them together.

    Coordinates are pixels of the original picture, x to the right and y down, (0, 0) the corner of its first pixel.

    Args:
        points: `[K, 2]`, x and y of each point.
        labels: `[K]`, 1 for a point on the object, 0 for a point off it; all 1 when left out.
        box: `[4]`, x0, y0, x1, y1 with x0 < x1 and y0 < y1.
        mask: `[h, w]` or `[1, h, w]`, low-resolution logits of an earlier prediction (`masks.logits[i]`).

    Raises:
        PromptError: nothing is given, a shape or a label is wrong, a number is not finite, the box has no area.
    """

    points: np.ndarray
    """float32 `[K, 2]`; K may be 0."""
    labels: np.ndarray
    """int64 `[K]`, 1 or 0."""
    box: np.ndarray | None
    """float32 `[4]`."""
    mask: np.ndarray | None
    """float32 `[h, w]`."""

    def __init__(
        self,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> None:
        xy = _points(points)
        values = {"points": xy, "labels": _labels(labels, len(xy)), "box": _box(box), "mask": _mask(mask)}
        if not len(xy) and box is None and mask is None:
            raise PromptError("The prompt is empty; give at least one point, a box or a mask.")
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def check(self, height: int, width: int) -> Prompt:
        """The same prompt with its box clipped to a picture of `height` x `width` pixels.

        Raises:
            PromptError: a point lies outside of 0 <= x <= width, 0 <= y <= height, or no part of the box inside.
        """
        size = np.array([width, height], np.float32)
        outside = ((self.points < 0) | (self.points > size)).any(axis=1)
        if outside.any():
            x, y = self.points[outside][0]
            raise PromptError(f"The point ({x:g}, {y:g}) lies outside of the picture of {width} x {height} pixels.")
        if self.box is None:
            return self
        clipped = np.clip(self.box, 0, np.tile(size, 2))
        if not (clipped[:2] < clipped[2:]).all():
            raise PromptError(f"The box {_text(self.box)} lies outside of the picture of {width} x {height} pixels.")
        return replace(self, box=clipped)


def _floats(name: str, value: ArrayLike) -> np.ndarray:
    try:
        array = np.array(value, np.float32)
    except (TypeError, ValueError, OverflowError):
        raise PromptError(f"The {name} must be numbers in rows of equal length, not {_short(value)}.") from None
    if not np.isfinite(array).all():
        raise PromptError(f"The {name} must be finite numbers, but hold NaN or infinity.")
    return array


def _points(value: ArrayLike | None) -> np.ndarray:
    if value is None:
        return np.zeros((0, 2), np.float32)
    points = _floats("points", value)
    if points.size == 0:
        return np.zeros((0, 2), np.float32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise PromptError(f"The points must be a list of (x, y) pairs, not an array of shape {points.shape}.")
    return points


def _labels(value: ArrayLike | None, count: int) -> np.ndarray:
    if value is None:
        return np.full(count, FOREGROUND, np.int64)
    labels = _floats("labels", value)
    if labels.shape != (count,):
        raise PromptError(
            f"There are {count} points, so there must be {count} labels, not labels of shape {labels.shape}."
        )
    wrong = labels[~np.isin(labels, (FOREGROUND, BACKGROUND))]
    if wrong.size:
        raise PromptError(f"A label must be 1 (foreground) or 0 (background), not {wrong[0]:g}.")
    return labels.astype(np.int64)


def _box(value: ArrayLike | None) -> np.ndarray | None:
    if value is None:
        return None
    box = _floats("box", value)
    if box.shape != (4,):
        raise PromptError(f"The box must be four numbers x0, y0, x1, y1, not an array of shape {box.shape}.")
    if not (box[:2] < box[2:]).all():
        raise PromptError(f"The box {_text(box)} has no area; give x0, y0, x1, y1 with x0 < x1 and y0 < y1.")
    return box


def _mask(value: ArrayLike | None) -> np.ndarray | None:
    if value is None:
        return None
    mask = _floats("mask", value)
    if mask.ndim == 3 and len(mask) == 1:
        mask = mask[0]
    if mask.ndim != 2 or mask.size == 0:
        raise PromptError(f"The mask must be one map of logits [h, w], not an array of shape {mask.shape}.")
    return mask


def _text(box: np.ndarray) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
