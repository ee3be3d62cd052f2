"""The colours of a foreground, without the background that shines through its edges.

Every pixel of a picture is I = a F + (1 - a) B. Both F and B change slowly, so they are the means of their neighbours,
weighted by how much of either a pixel shows, and what is then missing to I is shared out between the two: blur fusion
(Forte 2021, "Approximate fast foreground colour estimation"). In place of a wide blur and a narrow one at full size we
take small windows from a small copy of the picture up to half its size (as Germer et al. 2020 do, "Fast multi-level
foreground estimation"), which reaches further, costs less and is closer to the truth.
"""

from __future__ import annotations

import cv2
import numpy as np

from anymask.errors import ModelError
from anymask.refine import resize
from anymask.tiles import across, bands, enlarged, uncertain

LEVELS = (16, 11), (8, 5), (4, 5), (2, 5)  # how much smaller than the picture; the window's width there
GUARD = 4  # pixels around the foreground that get its colours too: scaled or blurred later, it shows no fringe
METHODS = "multilevel", "blur-fusion"
FUSION = 90, 6  # widths of the two blurs
REACH = 48  # of both together
FAINT = 1e-6  # a neighbourhood with less weight than this knows less than the coarser level


def estimate_foreground(rgb: np.ndarray, alpha: np.ndarray, method: str = "multilevel") -> np.ndarray:
    """The foreground's colours under a matte.

    Args:
        rgb: uint8 `[H, W, 3]`.
        alpha: float32 `[H, W]` in 0..1.
        method: "multilevel", ours, or "blur-fusion" as Forte published it, with two blurs at full size (BiRefNet's
            `refine_foreground`).

    Returns:
        uint8 `[H, W, 3]`: the picture's colours where alpha is 1, the foreground's share of them where it is between,
        the nearest foreground's where it is 0 within 4 pixels of something, and black elsewhere.

    Raises:
        ModelError: an unknown method.
    """
    if method not in METHODS:
        raise ModelError(f"Foreground colours are estimated by {', '.join(METHODS)}, not {method!r}.")
    smooth = _smooth(rgb, alpha) if method == "multilevel" else None
    result = np.zeros_like(rgb)
    square = np.ones((2 * GUARD + 1, 2 * GUARD + 1), np.uint8)
    for rows in bands(len(rgb)):
        above = min(rows.start, GUARD)
        reach = slice(rows.start - above, rows.stop + GUARD)
        near = cv2.dilate((alpha[reach] > 0).view(np.uint8), square)[above:][: rows.stop - rows.start]
        cv2.copyTo(rgb[rows], (alpha[rows] == 1).view(np.uint8), result[rows])
        unclear = near & (alpha[rows] < 1).view(np.uint8)
        if cv2.countNonZero(unclear):
            _fill(result, rgb, alpha, rows, unclear, smooth)
    return result


def foreground_by(rgb: np.ndarray, alpha: np.ndarray, choice: bool | str) -> np.ndarray:
    """`estimate_foreground` by a method, or by "multilevel" (True); the picture's own colours with False."""
    if choice is False:
        return rgb
    return estimate_foreground(rgb, alpha, "multilevel" if choice is True else choice)


def _fill(
    result: np.ndarray,
    rgb: np.ndarray,
    alpha: np.ndarray,
    rows: slice,
    unclear: np.ndarray,
    smooth: tuple[np.ndarray, np.ndarray] | None,
) -> None:
    """The colours of a band's pixels that are not opaque, `unclear` uint8 `[h, W]`, into `result`."""
    whole = None if smooth is None else [enlarged(part, alpha.shape, rows) for part in smooth]
    for tile in across(rows, alpha.shape[1]):
        where = unclear[:, tile.columns]
        if not cv2.countNonZero(where):
            continue
        if whole is None:
            colours = tile.inner(_blur_fusion(tile.cut(rgb, REACH), tile.cut(alpha, REACH)), REACH)
        else:
            colours, _ = _share(rgb[tile], _thrice(alpha[tile]), *(part[:, tile.columns] for part in whole))
        cv2.copyTo(_eight_bits(colours), where, result[tile])


def _blur_fusion(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Forte 2021, algorithm 1, twice: blurred widely and then narrowly. float32 `[h, w, 3]` in 0..255."""
    opacity = _thrice(alpha)
    foreground = background = image = rgb.astype(np.float32)
    for width in FUSION:
        size = (width, width)
        weight = cv2.blur(opacity, size)
        fore = cv2.blur(foreground * opacity, size) / (weight + np.float32(1e-5))
        background = cv2.blur(background * (1 - opacity), size) / (1 - weight + np.float32(1e-5))
        missing = image - opacity * fore - (1 - opacity) * background
        foreground = np.clip(fore + opacity * missing, 0, 255)
    return foreground


def _smooth(rgb: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Foreground and background as they are known from small copies of the picture: uint8 `[H / 2, W / 2, 3]`."""
    foreground = background = rgb
    for scale, width in LEVELS:
        shape = tuple(-(-side // scale) for side in alpha.shape)
        image, matte = resize(rgb, shape), resize(alpha, shape)
        old = resize(foreground, shape), resize(background, shape)
        foreground, background = old[0].copy(), old[1].copy()
        margin = width // 2
        for tile in uncertain(matte):
            opacity = _thrice(tile.cut(matte, margin))
            pieces = [tile.cut(whole, margin).astype(np.float32) for whole in old]
            shared = _share(tile.cut(image, margin), opacity, *pieces)
            for level, new, piece, share in zip(
                (foreground, background), shared, pieces, (opacity, 1 - opacity), strict=True
            ):
                level[tile] = _eight_bits(tile.inner(_mean(new, share, piece, width), margin))
    return foreground, background


def _share(
    image: np.ndarray, opacity: np.ndarray, foreground: np.ndarray, background: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What is missing to the picture, added to foreground and background as far as a pixel shows them; `[h, w, 3]`."""
    missing = image - (background + opacity * (foreground - background.astype(np.float32)))
    return (
        np.clip(foreground + opacity * missing, 0, 255),
        np.clip(background + (1 - opacity) * missing, 0, 255),
    )


def _mean(colours: np.ndarray, share: np.ndarray, coarser: np.ndarray, width: int) -> np.ndarray:
    """Colours `[h, w, 3]` averaged where they show clearly; the coarser ones where none does."""
    weight = share * share * share
    total = cv2.blur(weight, (width, width)) + np.float32(FAINT)
    mean: np.ndarray = (cv2.blur(colours * weight, (width, width)) + coarser * np.float32(FAINT)) / total
    return mean


def _thrice(values: np.ndarray) -> np.ndarray:
    return cv2.merge((values, values, values))


def _eight_bits(colours: np.ndarray) -> np.ndarray:
    return (colours + np.float32(0.5)).astype(np.uint8)
