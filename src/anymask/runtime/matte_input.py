"""A picture as a network that finds the subject wants it, and that network's answer as mattes.

The recipes are data (`catalog.MatteRules`); here is what their words mean.
"""

import cv2
import numpy as np
from PIL import Image

from anymask.catalog import MatteRules

PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
SIDES = 32  # MODNet's sides are multiples of it
FARTHEST = 8  # a Gaussian for a greater reduction is applied to a picture already reduced by areas


def network_input(rules: MatteRules, rgb: np.ndarray) -> np.ndarray:
    """A picture uint8 [H, W, 3] as a network's input, float32 [1, 3, h, w]."""
    resized = resize_for(rules.resize, rgb, *input_size(rules, rgb.shape[0], rgb.shape[1]))
    top = max(float(resized.max()), 1e-6) if rules.divide == "maximum" else 255.0
    mean, deviation = (np.array(values, np.float32) for values in (rules.mean, rules.deviation))
    if resized.dtype != np.uint8:
        normal = resized * (1 / (top * deviation)) - mean / deviation
        return np.ascontiguousarray(normal.astype(np.float32).transpose(2, 0, 1))[None]
    levels = (np.arange(256, dtype=np.float32)[:, None] / np.float32(top) - mean) / deviation
    return np.stack([levels[:, channel][resized[..., channel]] for channel in range(3)])[None]


def input_size(rules: MatteRules, height: int, width: int) -> tuple[int, int]:
    """Height and width of the network's input for a picture of that size."""
    if rules.fit == "stretch":
        return rules.height, rules.width
    # MODNet's rule: a picture whose long side is below the wanted short side, or whose short side is above it, is
    # brought to it; others keep their size. Then both sides are cut down to multiples of 32.
    short, target = min(height, width), rules.height
    if max(height, width) < target or short > target:
        height, width = (target if side == short else int(side / short * target) for side in (height, width))
    return max(height - height % SIDES, SIDES), max(width - width % SIDES, SIDES)


def resize_for(how: str, rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 [H, W, 3] to [height, width, 3], uint8 or float32 in 0..255.

    `how` is bilinear, bicubic or lanczos (Pillow's, with a filter as wide as the reduction), linear (between the four
    nearest pixels, however much it reduces), linear8 (the same cut down to whole numbers), gaussian (scikit-image's
    antialiasing) or area (the mean of all pixels that a new one touches, as torch's adaptive pooling).
    """
    if how in PILLOW:
        return np.asarray(Image.fromarray(rgb).resize((width, height), PILLOW[how]))
    if how == "area":
        return _touched(_touched(rgb, height).transpose(1, 0, 2), width).transpose(1, 0, 2)
    picture = _gaussian(rgb, height, width) if how == "gaussian" else rgb
    resized: np.ndarray = cv2.resize(picture.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return resized.astype(np.uint8) if how == "linear8" else resized


def mattes_of(rules: MatteRules, answer: np.ndarray, shape: tuple[int, ...], probabilities: bool = False) -> np.ndarray:
    """A network's answer [1, C, h, w] for a picture of `shape` (height, width, ...) as mattes float32 [N, h, w] in
    0..1, one for each of the classes or just one. Stretched as large as the picture, single cells may lie beyond 0..1.

    `probabilities`: it gives these, whatever the rules say of the published file (classes remain logits).
    """
    found = answer[0].astype(np.float32)
    if rules.output in ("classes", "argmax"):
        if found.min() >= 0 and found.max() <= 1:  # a file with a sigmoid at its end
            found = np.log(np.clip(found, 1e-6, None) / np.clip(1 - found, 1e-6, None))
        if rules.output == "argmax":
            likeliest = found.argmax(0)
            return np.stack([likeliest == 1 + i for i in range(len(rules.classes))]).astype(np.float32)
        powers = np.exp(found - found.max(0))
        shares: np.ndarray = powers[1:] / powers.sum(0)
        return shares
    found = found[:1]
    if rules.output == "logit" and not probabilities:
        found = 1 / (1 + np.exp(-np.clip(found, -30, 30)))
    if rules.stretch:
        whole = rules.stretch == "picture"
        seen = cv2.resize(found[0], shape[1::-1], interpolation=cv2.INTER_LINEAR) if whole else found
        low, high = float(seen.min()), float(seen.max())
        if high - low > 1e-6:  # else the map says nothing
            found = (found - low) / (high - low)
    mattes: np.ndarray = found if rules.stretch == "picture" else np.clip(found, 0, 1)
    return mattes


def _gaussian(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture smoothed as scikit-image does before it reduces: a deviation of (reduction - 1) / 2, zeros beyond the
    edges, cut at four deviations."""
    factors = [max(side / target, 1.0) for side, target in zip(rgb.shape, (height, width), strict=False)]
    near = [max(int(factor / FARTHEST), 1) for factor in factors]
    picture = rgb
    if max(near) > 1:
        size = rgb.shape[1] // near[1], rgb.shape[0] // near[0]
        picture = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        # What the areas have smoothed already is taken from the Gaussian's variance.
        deviations = [
            max(((factor - 1) / 2) ** 2 - (cells**2 - 1) / 12, 0) ** 0.5 / cells
            for factor, cells in zip(factors, near, strict=True)
        ]
    else:
        deviations = [(factor - 1) / 2 for factor in factors]
    down, across = (_bell(deviation) for deviation in deviations)
    smooth: np.ndarray = cv2.sepFilter2D(
        picture.astype(np.float32), cv2.CV_32F, across, down, borderType=cv2.BORDER_CONSTANT
    )
    return smooth


def _bell(deviation: float) -> np.ndarray:
    radius = int(4 * deviation + 0.5)
    if not radius:
        return np.ones(1)
    bell = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    normal: np.ndarray = bell / bell.sum()
    return normal


def _touched(picture: np.ndarray, rows: int) -> np.ndarray:
    """[H, W, 3] to float32 [rows, W, 3]: each new row is the mean of the rows it touches."""
    height = len(picture)
    if rows == height:
        return picture.astype(np.float32)
    spans = [(row * height // rows, -(-(row + 1) * height // rows)) for row in range(rows)]
    return np.stack([picture[first:last].mean(0, dtype=np.float32) for first, last in spans])
