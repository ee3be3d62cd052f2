"""Clips with known masks, in DAVIS's layout: an object out of one picture moves, turns, bends and changes its light
over another picture that pans, and now and then a third thing passes before it.

The constants of the light tracker (`anymask.tracking.light`) were chosen on clips like these, not on DAVIS.

    python benchmarks/moving_clips.py PICTURES TARGET --clips 12 --frames 16 --seed 0

PICTURES is a folder of pictures with masks in SA-1B's layout, searched with its subfolders.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from anymask import rle
from anymask.images import read_image

WIDTH, HEIGHT = 640, 360
LARGEST, SMALLEST = 0.7, 0.2  # of the frame's height, the object's longer side


def main() -> None:
    """Write the clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    records = sorted(options.pictures.rglob("*.json"))
    made = 0
    while made < options.clips:
        chosen = [records[i] for i in random.choice(len(records), 3, replace=False)]
        things = [thing_of(path, random) for path in chosen[:2]]
        if things[0] is None or things[1] is None:
            continue
        ground = read_image(chosen[2].with_suffix(".jpg"))
        folder = options.target / f"clip{made:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        for index, (rgb, mask) in enumerate(clip(things[0], things[1], ground, options.frames, random)):
            Image.fromarray(rgb).save(folder / f"{index:05d}.jpg", quality=85)
            Image.fromarray(mask).save(folder / f"{index:05d}.png")
        made += 1


def thing_of(path: Path, random: np.random.Generator) -> np.ndarray | None:
    """An object of a labelled picture, RGBA; None where the picture has none that is large and whole enough."""
    record = json.loads(path.read_text(encoding="utf-8"))
    if "image" not in record:
        return None
    height, width = record["image"]["height"], record["image"]["width"]
    fit = []
    for one in record["annotations"]:
        x, y, w, h = one["bbox"]
        inside = x > 1 and y > 1 and x + w < width - 1 and y + h < height - 1
        if one["role"] == "object" and inside and one["area"] > 3000 and one["area"] > 0.3 * w * h:
            fit.append(one)
    if not fit:
        return None
    one = fit[int(random.integers(len(fit)))]
    mask = rle.decode(one["segmentation"])
    x, y, w, h = (int(value) for value in one["bbox"])
    rgb = read_image(path.with_suffix(".jpg"))
    alpha = cv2.GaussianBlur(mask.astype(np.float32) * 255, (0, 0), 0.8).astype(np.uint8)
    return np.dstack([rgb, alpha])[y : y + h, x : x + w]


def clip(
    thing: np.ndarray, other: np.ndarray, ground: np.ndarray, frames: int, random: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames uint8 [H, W, 3] with their masks bool [H, W]."""
    size = random.uniform(SMALLEST, LARGEST) * HEIGHT
    zoom = 1.25 * max(WIDTH / ground.shape[1], HEIGHT / ground.shape[0])
    ground = cv2.resize(ground, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    pan, speed = random.uniform(-4, 4, 2), random.uniform(-9, 9, 2)
    turn, grow, light = random.uniform(-2.5, 2.5), random.uniform(0.985, 1.015), random.uniform(-0.015, 0.015)
    bend, phase = random.uniform(0, 0.06), random.uniform(0, 2 * np.pi, 2)
    start = np.array([random.uniform(0.35, 0.65) * WIDTH, random.uniform(0.35, 0.65) * HEIGHT])
    crosses = random.random() < 0.35
    made = []
    for t in range(frames):
        left, top = ((np.array(ground.shape[1::-1]) - (WIDTH, HEIGHT)) / 2 + pan * t).clip(
            0, np.array(ground.shape[1::-1]) - (WIDTH, HEIGHT)
        )
        rgb = cv2.getRectSubPix(ground, (WIDTH, HEIGHT), (left + WIDTH / 2 - 0.5, top + HEIGHT / 2 - 0.5)).astype(
            np.float32
        )
        place = start + speed * t + 6 * np.sin(0.5 * t + phase)
        colour, alpha = laid(thing, place, size * grow**t, turn * t, bend * np.sin(0.4 * t + phase[0]))
        rgb += (colour * (1 + light * t) - rgb) * alpha[..., None]
        mask = alpha > 0.5
        if crosses:
            x = np.interp(t, (0, frames - 1), (-0.3 * WIDTH, 1.3 * WIDTH))
            colour, alpha = laid(other, np.array([x, start[1]]), 0.5 * HEIGHT, 0.0, 0.0)
            rgb += (colour - rgb) * alpha[..., None]
            mask &= alpha <= 0.5
        rgb += random.normal(0, 2, rgb.shape)
        made.append((np.clip(rgb, 0, 255).astype(np.uint8), mask))
    return made


def laid(
    thing: np.ndarray,
    place: np.ndarray,
    size: float,
    degrees: float,
    bend: float,
    canvas: tuple[int, int] = (WIDTH, HEIGHT),
) -> tuple[np.ndarray, np.ndarray]:
    """A thing on a canvas of the frame's width and height: its colours float32 [H, W, 3] and alpha [H, W]."""
    h, w = thing.shape[:2]
    scale = size / max(h, w)
    angle = np.radians(degrees)
    x, y = np.meshgrid(*(np.arange(length, dtype=np.float32) for length in canvas))
    x, y = x - np.float32(place[0]), y - np.float32(place[1])
    along, down = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    along = along + bend * size * np.sin(down * 2 * np.pi / size)
    places = np.dstack([along / scale + w / 2, down / scale + h / 2]).astype(np.float32)
    if scale < 0.7:  # without this, fine texture glitters
        thing = cv2.GaussianBlur(thing, (0, 0), 0.4 / scale)
    found = cv2.remap(thing, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)  # type: ignore[call-overload]
    laid = np.asarray(found, np.float32)
    return laid[..., :3], laid[..., 3] / 255


if __name__ == "__main__":
    main()
