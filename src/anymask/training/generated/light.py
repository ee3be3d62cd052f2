"""Light and camera: how solid a shape looks, and what falls over the whole picture without changing any outline.

Gains are uint8 maps in which 128 leaves a colour as it is.
"""

import cv2
import numpy as np

from anymask.training.generated import fields


def apply(colours: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Multiply uint8 [h, w, 3] by a gain [h, w] or [h, w, 3]."""
    if gain.ndim == 2:
        gain = np.asarray(cv2.cvtColor(gain, cv2.COLOR_GRAY2RGB))
    return np.asarray(cv2.multiply(colours, gain, scale=1 / 128))


def gain_map(values: np.ndarray) -> np.ndarray:
    """Factors (1 is neutral) as a gain."""
    return np.clip(values * 128, 0, 255).astype(np.uint8)


def relief(alpha: np.ndarray, towards: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """The gain of a shape puffed up like a cushion, lit from `towards` (x, y): uint8 like alpha."""
    height, width = alpha.shape
    factor = min(1.0, 40 / max(height, width))
    small = cv2.resize(alpha, (max(4, int(width * factor)), max(4, int(height * factor))), interpolation=cv2.INTER_AREA)
    spread = max(1.0, rng.uniform(0.06, 0.2) * min(small.shape))
    mound = cv2.GaussianBlur(small.astype(np.float32) / 255, (0, 0), spread, borderType=cv2.BORDER_CONSTANT)
    slope_x = cv2.Sobel(mound, cv2.CV_32F, 1, 0, scale=spread / 4)
    slope_y = cv2.Sobel(mound, cv2.CV_32F, 0, 1, scale=spread / 4)
    facing = -(slope_x * towards[0] + slope_y * towards[1])
    gain = gain_map(1 + strength * 2.2 * facing + 0.4 * strength * (mound - 0.7))
    return np.asarray(cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR))


def ramp(height: int, width: int, depth: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth gain between about 1 - depth and 1 + depth."""
    corners = rng.uniform(-depth, depth, (2, 2)).astype(np.float32)
    return gain_map(1 + np.asarray(cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)))


def fall_over(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gradients, vignettes, shadows of things outside, dapples, tinted light and reflections over a whole picture."""
    side = image.shape[0]
    grid = 64
    gain = np.ones((grid, grid), np.float32)
    ys, xs = np.mgrid[-1 : 1 : grid * 1j, -1 : 1 : grid * 1j].astype(np.float32)
    touched = False
    if rng.random() < 0.45:
        slope = rng.normal(0, 0.22, 2)
        gain *= 1 + np.float32(slope[0]) * xs + np.float32(slope[1]) * ys
        touched = True
    if rng.random() < 0.15:
        gain *= 1 - np.float32(rng.uniform(0.1, 0.45)) * (xs * xs + ys * ys)
        touched = True
    tint = np.ones(3, np.float32)
    if rng.random() < 0.15:
        tint = np.exp(rng.normal(0, 0.12, 3)).astype(np.float32)
        touched = True
    if touched:
        toned = gain_map(gain[..., None] * tint)
        image = apply(image, np.asarray(cv2.resize(toned, (side, side), interpolation=cv2.INTER_LINEAR)))
    if rng.random() < 0.22:
        image = _shadowed(image, rng)
    if rng.random() < 0.06:
        image = _glossed(image, rng)
    return image


def _shadowed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bands, blinds, a corner in the dark, or the dapples of a tree."""
    side = image.shape[0]
    half = side // 2
    cover = np.zeros((half, half), np.uint8)
    kind = rng.random()
    if kind < 0.3:
        patch = fields.field(int(fields.SMOOTH[int(rng.integers(len(fields.SMOOTH)))]))
        x, y = rng.integers(0, fields.EXTENT - half, 2)
        cover = np.asarray(cv2.threshold(patch[y : y + half, x : x + half], 128, 255, cv2.THRESH_BINARY)[1])
    else:
        count = 1 if kind < 0.65 else int(rng.integers(2, 8))
        turn, width = rng.uniform(0, 6.28), rng.uniform(0.06, 0.5 if count == 1 else 0.1) * half
        along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        first = rng.uniform(0.2, 0.8, 2) * half
        for place in range(count):
            middle = first + across * (place - count // 2) * width * 2.2
            lean = rng.uniform(-0.3, 0.3) * along if count == 1 else 0
            corners = [middle + u * half * along + v * width * (across + lean) for u, v in _SQUARE]
            cv2.fillConvexPoly(cover, np.rint(corners).astype(np.int32), 255)
    cover = cv2.GaussianBlur(cover, (0, 0), rng.choice([0.7, 1.5, 4.0]))
    dark = rng.uniform(0.3, 0.8) * np.array([1.05, 1.0, 0.9 - 0.1 * rng.random()])
    table = np.linspace(1, np.minimum(dark, 1), 256)
    gains = cv2.applyColorMap(cover, gain_map(table)[:, None])
    return apply(image, np.asarray(cv2.resize(gains, (side, side), interpolation=cv2.INTER_LINEAR)))


_SQUARE = ((-2, -0.5), (2, -0.5), (2, 0.5), (-2, 0.5))


def _glossed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Glare and the reflection of something bright, as on a pane before the scene."""
    side = image.shape[0]
    patch = fields.field(int(rng.integers(fields.COUNT)))[:64, :64]
    glare = cv2.resize(cv2.GaussianBlur(patch, (0, 0), 3), (side, side), interpolation=cv2.INTER_LINEAR)
    faint = cv2.convertScaleAbs(glare, alpha=rng.uniform(0.3, 0.9), beta=-60)
    return np.asarray(cv2.add(image, cv2.cvtColor(faint, cv2.COLOR_GRAY2RGB)))


def exposed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Most of the pictures that came out too dark to see anything brightened."""
    mean = float(np.mean(cv2.mean(image)[:3]))
    if mean > 60 or rng.random() < 0.2:
        return image
    return np.asarray(cv2.convertScaleAbs(image, alpha=min(rng.uniform(55, 100) / (mean + 5), 4.0), beta=5))


def through_camera(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sharpening or softness, and noise."""
    chance = rng.random()
    if chance < 0.25:
        image = np.asarray(cv2.addWeighted(image, 1.6, cv2.GaussianBlur(image, (0, 0), 1.0), -0.6, 0))
    elif chance < 0.45:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.9)))
    if rng.random() < 0.35:
        side = image.shape[0]
        noise = fields.grain()
        x, y = rng.integers(0, fields.EXTENT - side, 2) if side < fields.EXTENT else (0, 0)
        cut = cv2.resize(noise, (side, side)) if side > fields.EXTENT else noise[y : y + side, x : x + side]
        grains = cv2.cvtColor(cut * np.float32(rng.uniform(1.5, 7)), cv2.COLOR_GRAY2RGB)
        image = np.asarray(cv2.add(image, grains, dtype=cv2.CV_8U))
    return image
