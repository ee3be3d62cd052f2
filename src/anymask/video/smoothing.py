"""Less flicker: each matte is set right by the one before it and the one after it, both moved to where the frame is.

The one-frame delay of MODNet (Ke et al. 2022, "MODNet: Real-Time Trimap-Free Portrait Matting via Objective
Decomposition") replaces a pixel by the mean of its neighbours in time where these agree and it differs from both. That
calms what stands still, and tears what moves: a pixel that a narrow thing passes in one frame is such a pixel. So the
neighbours' mattes are moved along the optical flow first (DIS, Kroeger et al. 2016), and the pixel takes the middle one
of the three values. The delay is the same one frame. benchmarks/VIDEO.md compares both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import cv2
import numpy as np

from anymask.video.reading import Frame

FLOW_SIDE = 320  # the longer side of the pictures that the flow is found in
LEAST = 32  # the flow needs so many rows and columns
ALIKE = 20  # grey levels (of 255), mean of 5 x 5: where moved frames differ by more, the flow is not believed

Matted = tuple[Frame, np.ndarray]


def steadied(frames: Iterable[Matted]) -> Iterator[Matted]:
    """Frames with their mattes float32 `[H, W]`, each matte steadied by its neighbours.

    A frame comes out when the next has come in; the first and the last stay as they are.
    """
    before: Matted | None = None
    waiting: Matted | None = None
    for after in frames:
        if waiting is not None:
            frame, alpha = waiting
            yield frame, alpha if before is None else steady(before, waiting, after)
            before = waiting
        waiting = after
    if waiting is not None:
        yield waiting


def steady(before: Matted, middle: Matted, after: Matted) -> np.ndarray:
    """The matte of the middle one of three frames in a row, steadied: float32 `[H, W]`.

    Where a neighbour cannot be moved onto the frame (cuts, what was hidden, fast motion), the matte stays as it is.
    """
    alpha = middle[1]
    here = _reduced(middle[0].rgb)
    if min(here.shape) < LEAST:
        return alpha
    (first, first_fits), (second, second_fits) = (_moved(matte, frame.rgb, here) for frame, matte in (before, after))
    calm = np.maximum(np.minimum(first, second), np.minimum(np.maximum(first, second), alpha))
    fits = cv2.resize(first_fits & second_fits, alpha.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return cv2.copyTo(calm, fits, alpha.copy())


def _moved(matte: np.ndarray, rgb: np.ndarray, here: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A neighbour's matte moved to where the frame `here` (grey, reduced) has things; and where that is to be
    believed, uint8 of the reduced size, 0 or 255."""
    there = _reduced(rgb)
    # Its state is no use to others, and several clips may be cut out at once.
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST).calc(here, there, None)  # type: ignore[call-overload]
    apart = cv2.blur(cv2.absdiff(_warped(there, flow), here), (5, 5))
    height, width = matte.shape
    scale = np.array([width / here.shape[1], height / here.shape[0]], np.float32)
    whole = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR) * scale
    return _warped(matte, whole), np.asarray(cv2.compare(apart, np.full_like(apart, ALIKE), cv2.CMP_LE))


def _warped(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    places = _grid(*image.shape) + flow
    return np.asarray(cv2.remap(image, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))  # type: ignore[call-overload]


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> np.ndarray:
    """Each pixel's x and y: float32 [H, W, 2]."""
    return np.dstack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))


def _reduced(rgb: np.ndarray) -> np.ndarray:
    """A frame as it is for the flow: grey, uint8."""
    height, width = rgb.shape[:2]
    scale = min(1.0, FLOW_SIDE / max(height, width))
    small = cv2.resize(rgb, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
