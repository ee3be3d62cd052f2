"""Small holes and islands of masks, as the reference tells them on low-resolution logits."""

from __future__ import annotations

import cv2
import numpy as np

INSIDE = 0.1
"""The logit that a hole of a video's mask is filled with."""


def small_parts(pixels: np.ndarray, area: float) -> np.ndarray:
    """The parts of bool `[h, w]` that have at most so many pixels, joined by sides or corners."""
    _, labels, found, _ = cv2.connectedComponentsWithStats(pixels.astype(np.uint8), connectivity=8)
    small = found[:, cv2.CC_STAT_AREA] <= area
    small[0] = False  # what is not in `pixels`
    inside: np.ndarray = small[labels]
    return inside


def without_holes(logits: np.ndarray, area: float) -> np.ndarray:
    """Logits float32 `[h, w]` without holes of at most so many pixels."""
    return logits if area <= 0 else np.where(small_parts(logits <= 0, area), np.float32(INSIDE), logits)
