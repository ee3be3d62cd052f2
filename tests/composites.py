"""Pictures whose foreground, background and alpha are known: the truth that cut-outs are measured against."""

from typing import NamedTuple

import cv2
import numpy as np

HEIGHT, WIDTH = 384, 512


class Composite(NamedTuple):
    """picture uint8, foreground and background float32, all `[H, W, 3]` in 0..255; alpha float32 `[H, W]` in 0..1."""

    picture: np.ndarray
    alpha: np.ndarray
    foreground: np.ndarray
    background: np.ndarray


def compose(alpha: np.ndarray, seed: int = 0) -> Composite:
    """A blueish textured foreground over a yellowish textured background, with a camera's noise."""
    random = np.random.default_rng(seed)
    foreground = texture(alpha.shape, (50, 90, 170), random)
    background = texture(alpha.shape, (190, 160, 70), random)
    opacity = alpha[..., None]
    exact = opacity * foreground + (1 - opacity) * background + random.normal(0, 2, foreground.shape)
    return Composite(np.clip(exact, 0, 255).astype(np.uint8), alpha, foreground, background)


def texture(shape: tuple[int, ...], color: tuple[int, int, int], random: np.random.Generator) -> np.ndarray:
    """A colour with broad and fine variation."""
    height, width = shape
    result = np.full((height, width, 3), color, np.float32)
    for cell, strength in ((64, 22), (6, 9)):
        grid = random.normal(0, strength, (height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        result += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(result, 0, 255)


def blob() -> np.ndarray:
    """The alpha of a wavy disc, its edge about two pixels wide."""
    angle = np.linspace(0, 2 * np.pi, 200)
    radius = 120 + 25 * np.sin(3 * angle) + 8 * np.sin(11 * angle)
    outline = np.stack([WIDTH / 2 + 1.2 * radius * np.cos(angle), HEIGHT / 2 + radius * np.sin(angle)], axis=1)
    return _drawn(lambda canvas: cv2.fillPoly(canvas, [_fixed(outline)], 255.0, cv2.LINE_AA, 4))


def hair() -> np.ndarray:
    """The alpha of a disc with strands one to three pixels wide."""
    random = np.random.default_rng(7)

    def draw(canvas: np.ndarray) -> None:
        cv2.circle(canvas, (WIDTH // 2, HEIGHT // 2), 90, 255.0, -1, cv2.LINE_AA)
        for angle in random.uniform(0, 2 * np.pi, 150):
            turns = angle + np.cumsum(random.normal(0, 0.2, 8))
            steps = 12 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
            start = (WIDTH / 2 + 80 * np.cos(angle), HEIGHT / 2 + 80 * np.sin(angle))
            thickness = int(random.integers(1, 4))
            cv2.polylines(canvas, [_fixed(start + np.cumsum(steps, axis=0))], False, 255.0, thickness, cv2.LINE_AA, 4)

    return _drawn(draw)


def veil(opacity: float) -> np.ndarray:
    """The alpha of a translucent disc."""
    return blob() * np.float32(opacity)


def reduced(alpha: np.ndarray, factor: int = 8) -> np.ndarray:
    """Alpha as a network sees it: `factor` times smaller, blurred, and never quite certain."""
    size = (alpha.shape[1] // factor, alpha.shape[0] // factor)
    small = cv2.GaussianBlur(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), (0, 0), 0.8)
    return (0.02 + 0.96 * small).astype(np.float32)


def bilinear(matte: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """What refinement is to be better than: the matte enlarged, its certain values made 0 and 1 just the same."""
    stretched = np.clip((matte - 0.03) / 0.94, 0, 1)
    return cv2.resize(stretched, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _drawn(draw: object) -> np.ndarray:
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    draw(canvas)  # type: ignore[operator]
    return cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), 0.7)


def _fixed(points: np.ndarray) -> np.ndarray:
    """OpenCV's coordinates with 4 fractional bits."""
    return np.round(points * 16).astype(np.int32)
