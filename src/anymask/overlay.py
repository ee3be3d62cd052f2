"""Masks and prompts drawn on their picture, with soft edges at every size.

Everything is drawn by distance: a shape is given as each pixel's signed distance to its edge (positive inside, in
pixels), and covers the pixels within half a pixel of that edge in part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from anymask.colors import palette
from anymask.errors import ImageError
from anymask.images import Source, read_image
from anymask.masks import Masks
from anymask.placement import Region
from anymask.prompts import FOREGROUND, Prompt

FILL = 0.45
GREEN, RED, WHITE, BLACK = (46, 204, 83), (238, 52, 52), (255, 255, 255), (0, 0, 0)

Color = tuple[int, int, int] | np.ndarray
Window = tuple[slice, slice]


def draw(
    masks: Masks, picture: Source, *, prompts: bool = True, colors: Sequence[np.ndarray] | np.ndarray | None = None
) -> Image.Image:
    """The picture with each mask tinted and outlined in a colour of its own, smaller masks over bigger ones, and with
    what was asked: points green (foreground) or red (background), boxes white. `colors` are uint8 `[N, 3]`, when left
    out the first ones of the palette.

    Raises:
        ImageError: the picture cannot be read, or is not of the masks' size.
    """
    canvas = read_image(picture)
    height, width = canvas.shape[:2]
    if (height, width) != (masks.height, masks.width):
        wanted = f"{masks.width} x {masks.height}"
        raise ImageError(f"The picture has {width} x {height} pixels, but its masks belong to one of {wanted}.")
    line = max(1.5, max(height, width) / 400)
    colors = palette(len(masks)) if colors is None else colors
    for i in np.argsort(-masks.areas, kind="stable"):
        if masks.areas[i]:
            _draw_mask(canvas, masks.region(i), colors[i], line)
    if prompts:
        for prompt in {id(prompt): prompt for prompt in masks.prompts if prompt is not None}.values():
            _draw_prompt(canvas, prompt, line)
    return Image.fromarray(canvas)


def _draw_mask(canvas: np.ndarray, region: Region, color: np.ndarray, line: float) -> None:
    h, w = region.pixels.shape
    window = _window(canvas, region.x, region.y, region.x + w, region.y + h, 2 * line + 2)
    inside = np.zeros(canvas[window].shape[:2], np.uint8)
    inside[region.y - window[0].start :, region.x - window[1].start :][:h, :w] = region.pixels
    distance = _distance(inside) - _distance(1 - inside)
    distance = cv2.GaussianBlur(distance, (0, 0), line / 2)
    _blend(canvas, window, BLACK, 0.25 * _coverage(line / 2 - np.abs(distance + line / 2)))
    _blend(canvas, window, color, FILL * _coverage(distance))
    _blend(canvas, window, color, _coverage(line / 2 - np.abs(distance - line / 2)))


def _draw_prompt(canvas: np.ndarray, prompt: Prompt, line: float) -> None:
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        window = _window(canvas, x0, y0, x1, y1, 2 * line + 2)
        x, y = _centres(window)
        edge = np.abs(np.maximum(np.maximum(x0 - x, x - x1), np.maximum(y0 - y, y - y1)))
        _blend(canvas, window, BLACK, 0.35 * _coverage(line - edge))
        _blend(canvas, window, WHITE, _coverage(line / 2 - edge))
    radius = 3 * line
    for (px, py), label in zip(prompt.points, prompt.labels, strict=True):
        window = _window(canvas, px, py, px, py, 2 * radius)
        x, y = _centres(window)
        reach = radius - np.hypot(x - px, y - py)
        _blend(canvas, window, BLACK, 0.35 * _coverage(reach + 1.6 * line))
        _blend(canvas, window, WHITE, _coverage(reach + line))
        _blend(canvas, window, GREEN if label == FOREGROUND else RED, _coverage(reach))


def _window(canvas: np.ndarray, x0: float, y0: float, x1: float, y1: float, margin: float) -> Window:
    """The part of the canvas that a shape between these edges can reach."""
    height, width = canvas.shape[:2]
    rows = slice(max(0, int(y0 - margin)), min(height, math.ceil(y1 + margin)))
    return rows, slice(max(0, int(x0 - margin)), min(width, math.ceil(x1 + margin)))


def _centres(window: Window) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = window
    x, y = np.arange(columns.start, columns.stop) + 0.5, np.arange(rows.start, rows.stop) + 0.5
    return x[None].astype(np.float32), y[:, None].astype(np.float32)


def _distance(inside: np.ndarray) -> np.ndarray:
    """Of each pixel inside, how far its centre lies from the edge; 0 outside."""
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.maximum(distance - 0.5, 0))


def _coverage(distance: np.ndarray) -> np.ndarray:
    """How much of a pixel lies in a shape whose edge is this far outwards."""
    return np.clip(distance + 0.5, 0, 1)


def _blend(canvas: np.ndarray, window: Window, color: Color, alpha: np.ndarray) -> None:
    piece = canvas[window]
    piece[:] = piece + (np.asarray(color, np.float32) - piece) * alpha[..., None] + np.float32(0.5)
