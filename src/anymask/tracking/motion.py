"""A mask carried from frame to frame along the optical flow (DIS: Kroeger et al. 2016, "Fast optical flow using dense
inverse search")."""

from __future__ import annotations

import cv2
import numpy as np

from anymask.placement import NOTHING, Box, Placement

FLOW_SIDE = 256  # the longer side of the pictures that the flow is found in
LEAST = 24  # pixels of the shorter side; the flow needs so many rows and columns
ALIKE = 16.0  # grey levels (of 255), mean of 5 x 5: by so much moved frames may differ for the flow to be half believed


def flow_between(
    here: np.ndarray, there: np.ndarray, window: Box, both_ways: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a part of one frame were on another.

    Args:
        here, there: frames uint8 `[H, W, 3]`.
        window: x0, y0, x1, y1, the part, in pixels.
        both_ways: believe it less where the flow back does not lead to where it came from, as behind what passes
            before it (Sundaram et al. 2010, "Dense point trajectories by GPU-accelerated large displacement optical
            flow", §3, whose bound is taken for one half here).

    Returns:
        The flow float32 `[h, w, 2]`, x and y in pixels of the frame, of the part reduced to about `FLOW_SIDE`; and how
        far it is to be believed, float32 `[h, w]`, 0 to 1.
    """
    first, second = (_reduced(frame, window) for frame in (here, there))
    height, width = first.shape
    # Its state is no use to others, and several may be at work at once.
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = search.calc(first, second, None)  # type: ignore[call-overload]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = cv2.remap(second, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    apart = cv2.blur(cv2.absdiff(first, moved).astype(np.float32), (5, 5))
    scale = np.array([(window[2] - window[0]) / width, (window[3] - window[1]) / height], np.float32)
    trust = 1 / (1 + (apart / ALIKE) ** 2)
    if both_ways:
        back = search.calc(second, first, None)  # type: ignore[call-overload]
        back = cv2.remap(back, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        bound = 0.01 * ((flow**2).sum(axis=-1) + (back**2).sum(axis=-1)) + 0.5
        trust = trust / (1 + ((flow + back) ** 2).sum(axis=-1) / bound)
    return flow * scale, trust


def sampled(field: np.ndarray, window: Box, xy: np.ndarray) -> np.ndarray:
    """A field `[h, w]` or `[h, w, C]` that covers a window of a frame, at places `[..., 2]` in pixels of the frame."""
    height, width = field.shape[:2]
    scale = np.array([width / (window[2] - window[0]), height / (window[3] - window[1])], np.float32)
    places = (xy - np.array(window[:2], np.float32)) * scale - np.float32(0.5)
    return np.asarray(cv2.remap(field, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))  # type: ignore[call-overload]


def centres(place: Placement, side: int) -> np.ndarray:
    """Where the cells of a grid of `side` x `side` logits lie: their centres in pixels of the frame, float32
    `[side, side, 2]`; cells on padding lie outside of the crop."""
    x = (np.arange(side, dtype=np.float32) + 0.5) * (place.model_width / side * place.crop_width / place.input_width)
    y = (np.arange(side, dtype=np.float32) + 0.5) * (place.model_height / side * place.crop_height / place.input_height)
    return np.dstack(np.meshgrid(x + place.crop[0], y + place.crop[1]))


def logits_at(logits: np.ndarray, place: Placement, xy: np.ndarray) -> np.ndarray:
    """Logits `[h, w]` of one frame at places `[..., 2]` in pixels of it: float32; `NOTHING` where they do not reach.

    At the frame's own edges they reach on, so that what moves in from there is as what stood there.
    """
    seen = np.ascontiguousarray(place.valid(logits))
    scale = np.array(
        [
            place.input_width / place.crop_width * logits.shape[1] / place.model_width,
            place.input_height / place.crop_height * logits.shape[0] / place.model_height,
        ],
        np.float32,
    )
    corner = np.array(place.crop[:2], np.float32)
    places = (xy - corner) * scale - np.float32(0.5)
    values: np.ndarray = cv2.remap(seen, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    x0, y0, x1, y1 = place.crop
    outside = (xy[..., 0] < x0) & (x0 > 0) | (xy[..., 0] > x1) & (x1 < place.width)
    outside |= (xy[..., 1] < y0) & (y0 > 0) | (xy[..., 1] > y1) & (y1 < place.height)
    values[outside] = NOTHING
    return values


def _reduced(frame: np.ndarray, window: Box) -> np.ndarray:
    """A part of a frame, grey and small: uint8."""
    x0, y0, x1, y1 = window
    scale = min(1.0, FLOW_SIDE / max(x1 - x0, y1 - y0))
    size = tuple(max(LEAST, round(length * scale)) for length in (x1 - x0, y1 - y0))
    grey = cv2.cvtColor(frame[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
