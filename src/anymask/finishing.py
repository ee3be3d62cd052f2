"""What a cut-out still needs before it is shown: cropped, on a canvas of some shape, with a shadow or an outline.

Every function takes a `CutOut` and gives another; lengths are shares of the subject's longer side, so that the same
settings suit pictures of any size.
"""

from __future__ import annotations

import cv2
import numpy as np

from anymask.compositing import Color, CutOut, opaque_color
from anymask.errors import ImageError

VISIBLE = 0.02  # alpha of what belongs to the subject
EDGE = 0.5  # alpha at its edge


def crop_to_subject(cut: CutOut, margin: float = 0.0) -> CutOut:
    """The smallest canvas that holds the subject, with a margin around it, beyond the picture's border if need be.

    A cut-out without a subject stays as it is. Raises ImageError for a margin below 0.
    """
    if margin < 0:
        raise ImageError(f"A margin must be 0 or more, not {margin:g}.")
    box = subject_box(cut)
    if box is None:
        return cut
    x0, y0, x1, y1 = box
    extra = round(margin * max(x1 - x0, y1 - y0))
    return _canvas(cut, x0 - extra, y0 - extra, x1 + extra, y1 + extra)


def pad_to_ratio(cut: CutOut, width: float, height: float) -> CutOut:
    """The cut-out in the middle of the smallest canvas of the shape `width` : `height`, transparent around it.

    Raises ImageError unless both are above 0.
    """
    if width <= 0 or height <= 0:
        raise ImageError(f"A shape must have two sides above 0, not {width:g}:{height:g}.")
    rows, columns = cut.alpha.shape
    wide, high = max(columns, round(rows * width / height)), max(rows, round(columns * height / width))
    left, top = (wide - columns) // 2, (high - rows) // 2
    return _canvas(cut, -left, -top, wide - left, high - top)


def add_shadow(
    cut: CutOut,
    offset: tuple[float, float] = (0.02, 0.03),
    blur: float = 0.025,
    opacity: float = 0.5,
    color: Color = (0, 0, 0),
) -> CutOut:
    """A soft shadow under the subject; the canvas grows as far as it reaches.

    Args:
        cut: the cut-out.
        offset: how far it falls to the right and down.
        blur: deviation of the Gaussian that softens it.
        opacity: 0 to 1.
        color: a name, "#rrggbb", or red, green, blue in 0..255.

    Raises ImageError for a blur below 0, an opacity beyond 0 to 1, or what is no colour.
    """
    if blur < 0 or not 0 <= opacity <= 1:
        raise ImageError(f"A shadow has a blur of 0 or more and an opacity of 0 to 1, not {blur:g} and {opacity:g}.")
    below = opaque_color(color)
    box = subject_box(cut)
    if box is None:
        return cut
    side = max(box[2] - box[0], box[3] - box[1])
    across, down = round(offset[0] * side), round(offset[1] * side)
    deviation = blur * side
    reach = int(3 * deviation + 1)
    cut = _canvas(
        cut,
        min(0, box[0] + across - reach),
        min(0, box[1] + down - reach),
        max(cut.alpha.shape[1], box[2] + across + reach),
        max(cut.alpha.shape[0], box[3] + down + reach),
    )
    moved = np.array([[1, 0, across], [0, 1, down]], np.float64)
    shadow = cv2.warpAffine(cut.alpha, moved, cut.alpha.shape[::-1], flags=cv2.INTER_NEAREST)
    if deviation > 0:
        shadow = _softened(shadow, deviation)
    return _under(cut, shadow * np.float32(opacity), below)


def add_outline(cut: CutOut, width: float = 0.012, color: Color = (255, 255, 255)) -> CutOut:
    """An outline around the subject, as of a sticker; the canvas grows by its width.

    Raises ImageError for a width that is not above 0, or what is no colour.
    """
    if width <= 0:
        raise ImageError(f"An outline must be wider than 0, not {width:g}.")
    below = opaque_color(color)
    box = subject_box(cut)
    if box is None:
        return cut
    wide = max(1.0, width * max(box[2] - box[0], box[3] - box[1]))
    reach = int(wide) + 2
    rows, columns = cut.alpha.shape
    cut = _canvas(
        cut,
        min(0, box[0] - reach),
        min(0, box[1] - reach),
        max(columns, box[2] + reach),
        max(rows, box[3] + reach),
    )
    if cut.alpha.max() < EDGE:  # a veil only, without an edge to outline
        return cut
    outline = np.clip(np.float32(wide + 0.5) - _distance(cut.alpha), 0, 1)
    return _under(cut, outline, below)


def subject_box(cut: CutOut) -> tuple[int, int, int, int] | None:
    """Where the subject is: x0, y0, x1, y1 in pixels; None without one."""
    visible = (cut.alpha > VISIBLE).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(visible)
    return (x, y, x + width, y + height) if width else None


def _canvas(cut: CutOut, x0: int, y0: int, x1: int, y1: int) -> CutOut:
    """The rectangle of the cut-out's plane, which may reach beyond it."""
    rows, columns = cut.alpha.shape
    inside = slice(max(y0, 0), min(y1, rows)), slice(max(x0, 0), min(x1, columns))
    edges = max(-y0, 0), max(y1 - rows, 0), max(-x0, 0), max(x1 - columns, 0)
    rgb = cv2.copyMakeBorder(cut.rgb[inside], *edges, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    alpha = cv2.copyMakeBorder(cut.alpha[inside], *edges, cv2.BORDER_CONSTANT, value=0)
    return CutOut(rgb, alpha, cut.icc_profile, cut.dpi)


def _distance(alpha: np.ndarray) -> np.ndarray:
    """How far each pixel is from the subject's edge, 0 or less inside: float32 `[H, W]`.

    The edge runs through the nearest pixel of the subject, and how much of it the subject fills says where: without
    that, slanting outlines would be stairs.
    """
    outside = (alpha < EDGE).astype(np.uint8)
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    _, nearest = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inside = outside == 0
    filled = np.zeros(int(nearest.max()) + 1, np.float32)
    filled[nearest[inside]] = alpha[inside] - np.float32(EDGE)
    away: np.ndarray = distance - filled[nearest]
    return away


def _softened(alpha: np.ndarray, deviation: float) -> np.ndarray:
    """A Gaussian blur; a broad one of a smaller copy, which nobody can tell."""
    shrink = max(1, int(deviation / 6))
    if shrink == 1:
        return cv2.GaussianBlur(alpha, (0, 0), deviation, borderType=cv2.BORDER_CONSTANT)
    rows, columns = alpha.shape
    small = cv2.resize(alpha, (-(-columns // shrink), -(-rows // shrink)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), deviation / shrink, borderType=cv2.BORDER_CONSTANT)
    return cv2.resize(soft, (columns, rows), interpolation=cv2.INTER_LINEAR)


def _under(cut: CutOut, below: np.ndarray, color: tuple[int, int, int]) -> CutOut:
    """The cut-out over a plain colour of that alpha float32 `[H, W]`."""
    share = below * (1 - cut.alpha)
    alpha = cut.alpha + share
    mixed = share > 0
    ratio = (share[mixed] / alpha[mixed])[:, None]
    rgb = cut.rgb.copy()
    rgb[mixed] = (rgb[mixed] * (1 - ratio) + np.array(color, np.float32) * ratio + 0.5).astype(np.uint8)
    return CutOut(rgb, np.minimum(alpha, 1), cut.icc_profile, cut.dpi)
