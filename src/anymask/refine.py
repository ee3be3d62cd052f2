"""A network's small matte brought to the picture's size, with edges that follow the picture.

From the matte's size to the picture's in steps of two. At each level, and only where the matte is uncertain, the matte
is regressed on the colours around every pixel: the guided filter (He, Sun & Tang 2013), its coefficients on a grid
twice as coarse (He & Sun 2015). What we add to it:

* A regression explains only the share R2 of the matte's variance and shrinks towards the mean by that same share. For
  two classes regression and Fisher's discriminant have one direction, so dividing by R2 undoes the shrinking: the
  typical foreground colour becomes 1, the typical background colour 0, a mixture its fraction. Hair stays soft.
* R2 also says how far the colours can be trusted. Where they cannot, the ramp that the network's coarse grid makes of a
  hard edge is made steeper, level by level; ramps broader than the grid explains are the picture's own and stay.
"""

from __future__ import annotations

import cv2
import numpy as np

from anymask.tiles import uncertain

CERTAIN = 0.03  # what is closer than this to 0 or 1, of the network's matte or of ours, is taken to be there
SPECK = 0.03  # of the largest piece's weight
PIECE = 0.3  # a matte below this holds no pieces together
NOISE = 1e-4  # variance of a colour channel (of 0..1) that says nothing
TRUST = 0.3, 0.8  # R2 from which the colours count, and from which they decide
PRIOR = 5.0  # the share of the colours is at most this times a (1 - a): what is nearly certain moves little
RAMP = 0.4, 1.0  # slope over a (1 - a), per cell of the network's grid: of ramps to leave alone, of hard edges
WIDTHS = 15, 11, 7  # of the windows, in coefficients, from the coarsest level on; the last for all finer levels


def refine_matte(matte: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Enlarge a matte to the picture's size along the picture's edges.

    Args:
        matte: float `[h, w]` in 0..1 over the whole picture, of any size.
        rgb: uint8 `[H, W, 3]`.

    Returns:
        float32 `[H, W]` in 0..1, exactly 0 or 1 where the matte is certain. A matte that is no smaller than the
        picture is resized only.
    """
    alpha = _certain(matte.astype(np.float32))
    hardness = _hardness(alpha)
    for step, guide in enumerate(reversed(_pyramid(rgb, matte.shape))):
        width = WIDTHS[min(step, len(WIDTHS) - 1)]
        alpha = _follow(resize(alpha, guide.shape), resize(hardness, guide.shape), guide, width)
    return _certain(resize(alpha, rgb.shape))


def without_specks(matte: np.ndarray) -> np.ndarray:
    """A network's matte float32 `[h, w]` without what lies apart and weighs under 3% of its largest piece.

    Several subjects stay; a bright leaf in a corner goes.
    """
    count, pieces = cv2.connectedComponents((matte > PIECE).astype(np.uint8))
    weights = np.bincount(pieces.ravel(), matte.ravel(), count)
    weights[0] = 0
    small = weights < SPECK * weights.max()
    small[0] = False
    veil = cv2.dilate(small[pieces].astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    return np.where(veil & (small[pieces] | (pieces == 0)), np.float32(0), matte)


def resize(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """To `shape` (height, width, ...): bilinear with half-pixel centres, areas averaged where it gets smaller."""
    height, width = shape[:2]
    if image.shape[:2] == (height, width):
        return image
    smaller = height < image.shape[0] or width < image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _pyramid(rgb: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """The picture and its halves, while a side is clearly longer than the matte's; a side that is not is kept."""
    levels: list[np.ndarray] = []
    while any(side > 1.3 * cells for side, cells in zip(rgb.shape, shape, strict=False)):
        levels.append(rgb)
        halves = [-(-side // 2) if side > 1.3 * cells else side for side, cells in zip(rgb.shape, shape, strict=False)]
        rgb = resize(rgb, tuple(halves))
    return levels


def _hardness(alpha: np.ndarray) -> np.ndarray:
    """1 where the ramp of a matte is as steep as the network's grid allows, 0 where it is broad."""
    across, down = (cv2.Scharr(alpha, cv2.CV_32F, dx, 1 - dx, scale=1 / 32) for dx in (1, 0))
    spread = cv2.blur(alpha * (1 - alpha), (3, 3)) + np.float32(1e-3)
    slope = cv2.blur(cv2.magnitude(across, down), (3, 3)) / spread
    return _step(slope, RAMP)


def _follow(alpha: np.ndarray, hardness: np.ndarray, guide: np.ndarray, width: int) -> np.ndarray:
    """One level: alpha float32 `[H, W]` fitted to the guide uint8 `[H, W, 3]`, tile by tile."""
    result = alpha.copy()
    margin = 2 * (width - 1)  # two windows, one after the other, on a grid of half the size
    for tile in uncertain(alpha):
        colours = tile.cut(guide, margin).astype(np.float32) / np.float32(255)
        fitted = _fit(tile.cut(alpha, margin), tile.cut(hardness, margin), colours, width)
        result[tile] = tile.inner(fitted, margin)
    return result


def _fit(alpha: np.ndarray, hardness: np.ndarray, colours: np.ndarray, width: int) -> np.ndarray:
    """A tile: alpha and hardness float32 `[H, W]`, colours float32 `[H, W, 3]` in 0..1; H and W even."""
    *slopes, offset, explained = (resize(part, alpha.shape) for part in _regress(alpha, colours, width))
    projected = offset
    for slope, channel in zip(slopes, cv2.split(colours), strict=True):
        projected += slope * channel
    spread = alpha * (1 - alpha)
    trust = _step(explained, TRUST) * np.minimum(PRIOR * spread, 1)
    steeper = alpha + hardness * spread * (2 * alpha - 1)  # the smoothstep polynomial where the edge is hard
    fitted = steeper + trust * (np.clip(projected, 0, 1) - steeper)
    return np.where(spread > 0, fitted, alpha)


def _regress(alpha: np.ndarray, colours: np.ndarray, width: int) -> list[np.ndarray]:
    """Alpha as a linear function of colour, on a grid of half the size: three slopes, the offset, and R2."""

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (width, width), borderType=cv2.BORDER_REFLECT)

    half = alpha.shape[0] // 2, alpha.shape[1] // 2
    p = resize(alpha, half)
    channels = cv2.split(resize(colours, half))
    weight = (2 * p - 1) ** 2 + np.float32(0.01)  # the network teaches best where it is certain
    per_weight = 1 / mean(weight)
    weighted = [weight * channel for channel in channels]
    mean_p = mean(weight * p) * per_weight
    means = [mean(channel) * per_weight for channel in weighted]
    variance = mean(weight * p * p) * per_weight - mean_p * mean_p
    covariances = [mean(channel * p) * per_weight - m * mean_p for channel, m in zip(weighted, means, strict=True)]
    scatter = {
        (i, j): mean(weighted[i] * channels[j]) * per_weight - means[i] * means[j] + np.float32(NOISE * (i == j))
        for i in range(3)
        for j in range(i, 3)
    }
    slopes = _solve(scatter, covariances)
    explained = _dot(slopes, covariances) / (variance + np.float32(1e-4))
    enlarge = 1 / np.clip(explained, np.float32(TRUST[0]), 1)
    slopes = [slope * enlarge for slope in slopes]
    # Windows without an edge have nothing to say about the edge beside them.
    say = np.maximum(variance, 0) * explained + np.float32(1e-6)
    per_say = 1 / mean(say)
    return [mean(say * part) * per_say for part in (*slopes, mean_p - _dot(slopes, means), explained)]


def _solve(a: dict[tuple[int, int], np.ndarray], b: list[np.ndarray]) -> list[np.ndarray]:
    """Symmetric 3x3 systems, one per pixel, by Cramer's rule; `a` holds the upper triangle."""
    c00 = a[1, 1] * a[2, 2] - a[1, 2] * a[1, 2]
    c01 = a[0, 2] * a[1, 2] - a[0, 1] * a[2, 2]
    c02 = a[0, 1] * a[1, 2] - a[0, 2] * a[1, 1]
    c11 = a[0, 0] * a[2, 2] - a[0, 2] * a[0, 2]
    c12 = a[0, 1] * a[0, 2] - a[0, 0] * a[1, 2]
    c22 = a[0, 0] * a[1, 1] - a[0, 1] * a[0, 1]
    rows = [c00, c01, c02], [c01, c11, c12], [c02, c12, c22]
    per_determinant = 1 / _dot([a[0, 0], a[0, 1], a[0, 2]], rows[0])
    return [_dot(row, b) * per_determinant for row in rows]


def _dot(a: list[np.ndarray], b: list[np.ndarray]) -> np.ndarray:
    product: np.ndarray = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return product


def _certain(alpha: np.ndarray) -> np.ndarray:
    return _step(alpha, (CERTAIN, 1 - CERTAIN))


def _step(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """0 below the first limit, 1 above the second, linear between."""
    low, high = limits
    ramp: np.ndarray = np.clip((values - low) / (high - low), 0, 1)
    return ramp
