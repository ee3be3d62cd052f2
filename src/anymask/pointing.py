"""Masks of a segmenter as mattes: what a prompt points at, without what lies apart from it, soft enough to refine."""

from __future__ import annotations

import cv2
import numpy as np

from anymask.masks import Masks
from anymask.placement import Placement
from anymask.prompts import BACKGROUND, FOREGROUND, Prompt
from anymask.refine import resize

SURE = 6.0  # logit of what is as good as certain
NEVER = -30.0  # logit of what is no part of it
SHARE = 0.5  # of the largest piece that is pointed at: a smaller one that no point lies on is no part of it
REACH = 8.0  # cells from the nearest piece, up to which there may be something soft


def coarse_matte(masks: Masks, index: int = 0) -> np.ndarray:
    """One mask as a matte on about the network's own grid: float32 `[h, w]` in 0..1 over the placement's crop.

    Networks differ in how large a logit is that means certainty; what is typical inside the mask is made certain. Of a
    mask that answers a prompt, pieces that no point lies on are left out where they are less than half as large as the
    largest piece that is pointed at, or where a point says that they are none of it; so is what is far from all that
    stay. A mask that was cleaned up after the network, so that its logits tell of another, is reduced to that grid.
    """
    placement = masks.placements[index]
    logits = placement.covering(masks.logits[index])
    if masks.cleaned[index]:
        x0, y0, x1, y1 = placement.crop
        whole = masks[index].array[0, y0:y1, x0:x1]
        smaller = min(logits.shape[0], y1 - y0), min(logits.shape[1], x1 - x0)
        return resize(whole.astype(np.float32), smaller)
    prompt = masks.prompts[index]
    if prompt is not None:
        logits = _without_others(logits, prompt, placement)
    inside = logits[logits > 0]
    gain = max(1.0, SURE / float(np.median(inside))) if inside.size else 1.0
    matte: np.ndarray = 1 / (1 + np.exp(-np.clip(gain * logits, -30, 30)))
    return matte.astype(np.float32)


def whole_matte(masks: Masks, index: int = 0) -> np.ndarray:
    """The same on a grid that covers the whole picture, with cells of the same size: float32 `[h, w]` in 0..1."""
    matte, placement = coarse_matte(masks, index), masks.placements[index]
    x0, y0, x1, y1 = placement.crop
    scale = np.array([matte.shape[1] / (x1 - x0), matte.shape[0] / (y1 - y0)])
    columns, rows = (max(1, round(size * per)) for size, per in zip((masks.width, masks.height), scale, strict=True))
    if (rows, columns) == matte.shape:
        return matte
    step = np.array([masks.width / columns, masks.height / rows]) * scale
    shift = -np.array([x0, y0]) * scale + 0.5 * step - 0.5
    matrix = np.array([[step[0], 0, shift[0]], [0, step[1], shift[1]]])
    whole: np.ndarray = cv2.warpAffine(
        matte, matrix, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=0
    )
    return whole


def _without_others(logits: np.ndarray, prompt: Prompt, placement: Placement) -> np.ndarray:
    """Logits float32 `[h, w]` over the crop without the pieces that the prompt does not mean (see `coarse_matte`)."""
    count, pieces, about, _ = cv2.connectedComponentsWithStats((logits > 0).astype(np.uint8))
    if count == 1:
        return logits
    areas = about[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    wanted = _under(pieces, prompt.points[prompt.labels == FOREGROUND], placement, beside=1)
    refused = _under(pieces, prompt.points[prompt.labels == BACKGROUND], placement, beside=0) & ~wanted
    if refused[1:].all():
        return logits
    largest = areas[wanted].max() if wanted.any() else areas[~refused].max()
    kept = wanted | (areas >= SHARE * largest) & (areas > 0) & ~refused
    others = ~kept
    others[0] = False
    near = _distance(kept[pieces])
    soft = (near <= REACH) & (near <= _distance(others[pieces]))
    return np.where(soft, logits, np.float32(NEVER))


def _distance(mask: np.ndarray) -> np.ndarray:
    """Cells to the nearest of a mask bool `[h, w]`: float32 `[h, w]`; very many where there is none."""
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)


def _under(pieces: np.ndarray, points: np.ndarray, placement: Placement, beside: int) -> np.ndarray:
    """Which pieces, numbered in `[h, w]`, points `[K, 2]` lie on, or so many cells beside: bool [pieces]; the first is
    what belongs to none, and False."""
    found = np.zeros(int(pieces.max()) + 1, bool)
    height, width = pieces.shape
    scale = np.array([width / placement.crop_width, height / placement.crop_height])
    for x, y in ((points - placement.crop[:2]) * scale).astype(int):
        x, y = min(x, width - 1), min(y, height - 1)  # a point may lie on the picture's last edge
        found[pieces[max(y - beside, 0) : y + beside + 1, max(x - beside, 0) : x + beside + 1]] = True
    found[0] = False
    return found
