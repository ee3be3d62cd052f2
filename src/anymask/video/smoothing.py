"""Less flicker: a pixel that differs from both of its neighbours in time, which agree, takes their mean.

That is the one-frame delay of MODNet (Ke et al. 2022, "MODNet: Real-Time Trimap-Free Portrait Matting via Objective
Decomposition", section on one-frame delay): in a moving picture things come and go, but nothing is there, away, and
there again within three frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import cv2
import numpy as np

T = TypeVar("T")

AGREE = 0.1  # the neighbours differ by no more
DIFFER = 0.1  # and the pixel from either by more


def steadied(frames: Iterable[tuple[T, np.ndarray]]) -> Iterator[tuple[T, np.ndarray]]:
    """Frames with their mattes float32 [H, W], each matte steadied by the one before and the one behind it.

    A frame comes out when the next has come in; the first and the last stay as they are.
    """
    before: np.ndarray | None = None
    waiting: tuple[T, np.ndarray] | None = None
    for item, alpha in frames:
        if waiting is not None:
            yield waiting[0], waiting[1] if before is None else steady(before, waiting[1], alpha)
            before = waiting[1]
        waiting = item, alpha
    if waiting is not None:
        yield waiting


def steady(before: np.ndarray, alpha: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """The middle one of three mattes float32 [H, W], steadied."""
    lonely = cv2.absdiff(before, behind) <= AGREE
    lonely &= cv2.absdiff(alpha, before) > DIFFER
    lonely &= cv2.absdiff(alpha, behind) > DIFFER
    return np.where(lonely, (before + behind) / 2, alpha)
