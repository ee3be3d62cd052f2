"""A network's small matte brought to the picture's size, with edges that follow the picture.

From the matte's size to the picture's in steps of two. At each level, and only where the matte is uncertain, the matte
is regressed on the colours around every pixel: the guided filter (He, Sun & Tang 2013), its coefficients on a grid
twice as coarse (He & Sun 2015). What we add to it:

* A regression explains only the share R2 of the matte's variance and shrinks towards the mean by that same share. For
  two classes regression and Fisher's discriminant have one direction, so dividing by R2 undoes the shrinking: the
  typical foreground colour becomes 1, the typical background colour 0, a mixture its fraction. Hair stays soft.
* R2 also says how far the colours can be trusted. Where they cannot, the ramp that the network's coarse grid makes of a
  hard edge is made steeper, level by level; ramps broader than the grid explains are the picture's own and stay.
* A broad ramp may be hair or an edge out of focus. Colours make strands of hair, finer than the ramp; where they make
  nothing finer, the ramp is left as the network drew it.
* Seen through the network's grid again, the result has to be the network's matte. What is missing to that is given
  back after each level, except at hard edges, which the network may have misplaced.
"""

from __future__ import annotations

import cv2
import numpy as np

from anymask.tiles import Tile, bands, enlarged, uncertain

CERTAIN = 0.03  # what is closer than this to 0 or 1, of the network's matte, is taken to be there
KNEE = 0.1  # and what is farther than this is left as it is
SURE = 0.01, 0.03  # the same for ours, where edges are broad and where they are hard
SPECK = 0.03  # of the largest piece's weight
PIECE = 0.3  # a matte below this holds no pieces together
NOISE = 1e-4  # variance of a colour channel (of 0..1) that says nothing
TRUST = 0.3, 0.8  # R2 from which the colours count, and from which they decide
PRIOR = 5.0  # the share of the colours is at most this times a (1 - a): what is nearly certain moves little
RAMP = 0.4, 1.0  # slope over a (1 - a), per cell of the network's grid: of ramps to leave alone, of hard edges
CRISP = 1.4, 1.9  # the same, of edges that have no blur of a grid: in a matte of the picture's size they are right
BROAD = 0.4  # hardness up to which a ramp needs fine structure for the colours to count
FINE = (
    0.25,
    0.6,
)  # deviation of what is finer than FINER pixels of half the size, over a (1 - a): of plain ramps, of hair
FINER = 5
GRID = 1.2  # deviation, in cells, of the blur that the network's own grid makes
KEPT = 0.8  # of a difference to the network's matte at hard edges
WIDTHS = 15, 11, 7  # of the windows, in coefficients, from the coarsest level on; the last for all finer levels
SAME = 0.7, 1.3  # pixels to a cell of a matte that is of the picture's size: followed once; below, only reduced


def refine_matte(matte: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Enlarge a matte to the picture's size along the picture's edges.

    Args:
        matte: float `[h, w]` in 0..1 over the whole picture, of any size.
        rgb: uint8 `[H, W, 3]`.

    Returns:
        float32 `[H, W]` in 0..1, exactly 0 or 1 where the matte is certain. A matte that is clearly larger than the
        picture is resized only.
    """
    shape = rgb.shape[:2]
    guides = _pyramid(rgb, matte.shape)
    cells = min(matte.shape[0], shape[0]), min(matte.shape[1], shape[1])
    alpha = coarse = _settled(resize(matte.astype(np.float32), cells))
    if not guides:
        return resize(alpha, shape)
    steepness = _steepness(coarse)
    hardness = _step(steepness, RAMP)
    given = 1 - np.float32(KEPT) * hardness
    for step, guide in enumerate(reversed(guides)):
        finest = guide is rgb
        before = alpha
        alpha, places = _follow(before, hardness, guide, WIDTHS[-1 if finest else min(step, len(WIDTHS) - 1)])
        if all(side <= SAME[1] * cell for side, cell in zip(shape, cells, strict=True)):
            crisp = _step(steepness, CRISP)
            given *= 1 - crisp
            alpha += resize(crisp, shape) * (resize(before, shape) - alpha)
        missing = coarse - cv2.GaussianBlur(resize(alpha, cells), (0, 0), GRID)  # what the network would see
        _give_back(alpha, places, missing * given, hardness if finest else None)
    return alpha


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
    if all(side < SAME[0] * cells for side, cells in zip(rgb.shape, shape, strict=False)):
        return levels
    while not levels or any(side > SAME[1] * cells for side, cells in zip(rgb.shape, shape, strict=False)):
        levels.append(rgb)
        sides = zip(rgb.shape, shape, strict=False)
        rgb = resize(rgb, tuple(-(-side // 2) if side > SAME[1] * cells else side for side, cells in sides))
    return levels


def _steepness(alpha: np.ndarray) -> np.ndarray:
    """The slope of a matte `[h, w]` over a (1 - a), per cell."""
    across, down = (cv2.Scharr(alpha, cv2.CV_32F, dx, 1 - dx, scale=1 / 32) for dx in (1, 0))
    spread = cv2.blur(alpha * (1 - alpha), (3, 3)) + np.float32(1e-3)
    steepness: np.ndarray = cv2.blur(cv2.magnitude(across, down), (3, 3)) / spread
    return steepness


def _follow(
    alpha: np.ndarray, hardness: np.ndarray, guide: np.ndarray, width: int
) -> tuple[np.ndarray, list[tuple[slice, list[Tile]]]]:
    """One level: alpha float32 `[h, w]` enlarged and fitted to the guide uint8 `[H, W, 3]`, tile by tile.

    Returns float32 `[H, W]` and, band by band, the tiles where it is uncertain.
    """
    result = np.empty(guide.shape[:2], np.float32)
    margin = 2 * (width - 1)  # two windows, one after the other, on a grid of half the size
    places = []
    for rows in bands(len(result)):
        reach = slice(rows.start - margin, rows.stop + (rows.stop - rows.start) % 2 + margin)
        around = enlarged(alpha, result.shape, reach)
        result[rows] = around[margin : margin + rows.stop - rows.start]
        found = [Tile(rows, tile.columns) for tile in uncertain(result[rows])]
        hard = enlarged(hardness, result.shape, reach) if found else hardness
        for tile in found:
            colours = tile.cut(guide, margin).astype(np.float32) / np.float32(255)
            here = tile.among(reach)
            result[tile] = tile.inner(_fit(here.cut(around, margin), here.cut(hard, margin), colours, width), margin)
        places.append((rows, found))
    return result, places


def _give_back(
    alpha: np.ndarray, places: list[tuple[slice, list[Tile]]], missing: np.ndarray, hardness: np.ndarray | None
) -> None:
    """Add what is missing, `[h, w]`, to alpha `[H, W]` where that is uncertain, in place; with hardness, settle it."""
    for rows, found in places:
        if not found:
            continue
        more = enlarged(missing, alpha.shape, rows)
        hard = None if hardness is None else enlarged(hardness, alpha.shape, rows)
        for tile in found:
            here = tile.among(rows)
            values = alpha[tile]
            values = _unit(values + more[here] * ((values > 0) & (values < 1)))
            if hard is not None:
                sure = np.float32(SURE[0]) + np.float32(SURE[1] - SURE[0]) * hard[here]
                values = _unit((values - sure) / (1 - 2 * sure))
            alpha[tile] = values


def _fit(alpha: np.ndarray, hardness: np.ndarray, colours: np.ndarray, width: int) -> np.ndarray:
    """A tile: alpha and hardness float32 `[H, W]`, colours float32 `[H, W, 3]` in 0..1; H and W even."""
    *slopes, offset, explained = (resize(part, alpha.shape) for part in _regress(alpha, colours, width))
    projected = offset
    for slope, channel in zip(slopes, cv2.split(colours), strict=True):
        projected += slope * channel
    projected = _unit(projected)
    spread = alpha * (1 - alpha)
    trust = _step(explained, TRUST) * np.minimum(PRIOR * spread, 1)
    if np.any((hardness < BROAD) & (spread > 0)):
        trust *= np.maximum(_step(hardness, (0, BROAD)), _fineness(projected, spread))
    steeper = alpha + hardness * spread * (2 * alpha - 1)  # the smoothstep polynomial where the edge is hard
    fitted: np.ndarray = steeper + trust * (projected - steeper)  # alpha itself where that is 0 or 1
    return fitted


def _fineness(projected: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """1 where the colours make a ramp into strands, 0 where they make nothing of it that is finer than the ramp."""
    half = spread.shape[0] // 2, spread.shape[1] // 2
    window = (FINER, FINER)
    strands, ramp = resize(projected, half), resize(spread, half)
    fine = strands - cv2.blur(strands, window)
    deviation = cv2.sqrt(np.maximum(cv2.blur(fine * fine, window), 0))
    return resize(_step(deviation / (cv2.blur(ramp, window) + np.float32(0.03)), FINE), spread.shape)


def _regress(alpha: np.ndarray, colours: np.ndarray, width: int) -> list[np.ndarray]:
    """Alpha as a linear function of colour, on a grid of half the size: three slopes, the offset, and R2."""
    half = alpha.shape[0] // 2, alpha.shape[1] // 2
    p = resize(alpha, half)
    channels = cv2.split(resize(colours, half))
    weight = (2 * p - 1) ** 2 + np.float32(0.01)  # the network teaches best where it is certain
    weighted = [weight * channel for channel in channels]
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    weighted_p = weight * p
    per_weight, mean_p, mean_pp, *rest = _means(
        [weight, weighted_p, weighted_p * p, *weighted]
        + [weighted_p * channel for channel in channels]
        + [weighted[i] * channels[j] for i, j in pairs],
        width,
    )
    per_weight = 1 / per_weight
    mean_p = mean_p * per_weight
    means = [mean * per_weight for mean in rest[:3]]
    variance = mean_pp * per_weight - mean_p * mean_p
    covariances = [mean * per_weight - m * mean_p for mean, m in zip(rest[3:6], means, strict=True)]
    scatter = {
        (i, j): mean * per_weight - means[i] * means[j] + np.float32(NOISE * (i == j))
        for (i, j), mean in zip(pairs, rest[6:], strict=True)
    }
    slopes = _solve(scatter, covariances)
    explained = _dot(slopes, covariances) / (variance + np.float32(1e-4))
    enlarge = 1 / np.clip(explained, np.float32(TRUST[0]), 1)
    slopes = [slope * enlarge for slope in slopes]
    # Windows without an edge have nothing to say about the edge beside them.
    say = np.maximum(variance, 0) * explained + np.float32(1e-6)
    said, *parts = _means([say] + [say * part for part in (*slopes, mean_p - _dot(slopes, means), explained)], width)
    per_say = 1 / said
    return [part * per_say for part in parts]


def _means(parts: list[np.ndarray], width: int) -> list[np.ndarray]:
    """Every part float32 `[h, w]` averaged over windows; four at a time, which costs little more than one."""
    means: list[np.ndarray] = []
    for first in range(0, len(parts), 4):
        group = cv2.merge(parts[first : first + 4])
        means += cv2.split(cv2.blur(group, (width, width), borderType=cv2.BORDER_REFLECT))
    return means


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


def _settled(matte: np.ndarray) -> np.ndarray:
    """A network's matte, certain where it is nearly so, and elsewhere as it is."""
    low = np.maximum(matte - np.float32(CERTAIN), 0) * np.float32(KNEE / (KNEE - CERTAIN))
    high = 1 - np.maximum(1 - np.float32(CERTAIN) - matte, 0) * np.float32(KNEE / (KNEE - CERTAIN))
    settled: np.ndarray = np.where(matte < KNEE, low, np.where(matte > 1 - KNEE, high, matte))
    return settled


def _step(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """0 below the first limit, 1 above the second, linear between."""
    low, high = limits
    return _unit((values - np.float32(low)) * np.float32(1 / (high - low)))


def _unit(values: np.ndarray) -> np.ndarray:
    """Within 0..1; np.clip takes three times as long."""
    within: np.ndarray = np.minimum(np.maximum(values, 0), 1)
    return within
