"""Textured shapes over one another: the backgrounds of the edge scenes, as when benchmarks/EDGES.md was recorded."""

import cv2
import numpy as np

from anymask.training.samples import Scene


def layered_shapes(rng: np.random.Generator, side: int = 512) -> Scene:
    """Textured shapes over one another ("dead leaves"): blobs, polygons, rings with holes, thin strokes, letters."""
    image = _texture(side, side, rng)
    owner = np.zeros((side, side), np.int32)
    count = int(rng.integers(8, 30))
    for number in range(1, count + 1):
        shape = _shape(side, rng)
        x, y, width, height = cv2.boundingRect(shape)
        if width * height == 0:
            continue
        window = slice(y, y + height), slice(x, x + width)
        soft = cv2.GaussianBlur(shape[window], (0, 0), 0.7)[..., None].astype(np.float32) / 255
        image[window] = (image[window] * (1 - soft) + _texture(height, width, rng) * soft).astype(np.uint8)
        owner[shape > 127] = number
    masks = [(owner == n).astype(np.uint8) for n in range(1, count + 1)]
    masks = [m for m in masks if np.count_nonzero(m) > 80]
    return Scene(image, masks, ["object"] * len(masks))


def _texture(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A colour with smooth or fine variation, perhaps stripes: uint8 [height, width, 3]."""
    colour = rng.uniform(20, 235, 3).astype(np.float32)
    cells = int(rng.choice([2, 4, 16, 64, 128]))
    noise = rng.normal(0, rng.uniform(2, 40), (cells, cells, int(rng.choice([1, 3]))))
    variation = cv2.resize(noise.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    texture = colour + variation.reshape(height, width, -1)
    if rng.random() < 0.25:
        angle, period = rng.uniform(0, np.pi), rng.uniform(6, 60)
        ys, xs = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
        stripes = np.sin(
            (xs * np.float32(np.cos(angle)) + ys * np.float32(np.sin(angle))) * np.float32(2 * np.pi / period)
        )
        texture = texture + stripes[..., None] * rng.uniform(5, 50, 3).astype(np.float32)
    result: np.ndarray = np.clip(texture, 0, 255).astype(np.uint8)
    return result


def _shape(side: int, rng: np.random.Generator) -> np.ndarray:
    """One shape, antialiased, 0..255: uint8 [side, side]."""
    canvas = np.zeros((side, side), np.uint8)
    centre = rng.uniform(0, side, 2)
    radius = float(np.exp(rng.uniform(np.log(12), np.log(side / 2.5))))
    kind = rng.choice(["blob", "polygon", "ellipse", "ring", "stroke", "text"], p=[0.3, 0.2, 0.2, 0.1, 0.12, 0.08])
    at = (int(centre[0]), int(centre[1]))
    if kind in ("blob", "polygon"):
        corners = int(rng.integers(3, 8)) if kind == "polygon" else 48
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners)) if kind == "polygon" else np.linspace(0, 2 * np.pi, 48)
        reach = np.full(corners, 1.0)
        for wave in range(2, 6):
            reach += rng.normal(0, 0.35 / wave) * np.cos(wave * angles + rng.uniform(0, 6.3))
        ring = centre + radius * np.maximum(reach, 0.15)[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        cv2.fillPoly(canvas, [np.rint(ring * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    elif kind in ("ellipse", "ring"):
        axes = (int(radius) + 1, int(radius * rng.uniform(0.3, 1)) + 1)
        thickness = -1 if kind == "ellipse" else int(max(2, radius * rng.uniform(0.1, 0.4)))
        cv2.ellipse(canvas, at, axes, rng.uniform(0, 180), 0, 360, 255, thickness, cv2.LINE_AA)
    elif kind == "stroke":
        walk = centre + np.cumsum(rng.normal(0, radius / 4, (12, 2)), axis=0)
        cv2.polylines(canvas, [np.rint(walk).astype(np.int32)], False, 255, int(rng.integers(2, 10)), cv2.LINE_AA)
    else:
        letters = "".join(chr(int(c)) for c in rng.integers(48, 91, int(rng.integers(1, 4))))
        scale = radius / 30 + 0.5
        start = (int(centre[0] - radius), int(centre[1]))
        cv2.putText(canvas, letters, start, cv2.FONT_HERSHEY_DUPLEX, scale, 255, max(2, int(scale * 3)), cv2.LINE_AA)
    return canvas
