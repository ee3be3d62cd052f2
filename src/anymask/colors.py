"""Colours that are told apart easily: one lightness, hues a golden angle apart."""

from __future__ import annotations

import numpy as np

LIGHTNESS = 0.72
CHROMA = 0.19
FIRST_HUE = 355.0
GOLDEN_ANGLE = 137.50776

# Oklab to cone responses, and their cubes to linear sRGB (Ottosson 2020, "A perceptual color space for image
# processing").
_TO_CONES = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_TO_LINEAR = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def palette(count: int) -> np.ndarray:
    """The first `count` colours of an endless series: uint8 `[count, 3]` sRGB, equally light to the eye."""
    hue = np.radians(FIRST_HUE + GOLDEN_ANGLE * np.arange(count))
    lab = np.stack([np.full(count, LIGHTNESS), CHROMA * np.cos(hue), CHROMA * np.sin(hue)], axis=1)
    linear = np.clip((lab @ _TO_CONES.T) ** 3 @ _TO_LINEAR.T, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(srgb * 255), np.uint8)
