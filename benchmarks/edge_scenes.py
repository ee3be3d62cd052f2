"""Composites whose alpha and foreground colours are known, and what a network would make of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from layered_shapes import layered_shapes

from anymask.images import read_image
from anymask.training.samples import Scene
from anymask.training.scenes import paste

ROOT = Path(__file__).parents[1]
PHOTOS = sorted((ROOT / "assets").glob("*.jpg"))
CUTOUTS = ROOT.parent / "shared" / "data" / "train" / "cutouts"
HEIGHT, WIDTH = 960, 1280
KINDS = ("hair", "thin", "hard", "defocus", "cut-outs", "shapes")


class Composite(NamedTuple):
    """picture uint8 `[H, W, 3]`, alpha float32 `[H, W]` in 0..1, foreground float32 `[H, W, 3]` in 0..255."""

    kind: str
    picture: np.ndarray
    alpha: np.ndarray
    foreground: np.ndarray


def composites(kind: str, count: int, seed: int = 0) -> Iterator[Composite]:
    """`count` scenes of one kind: hair, thin, hard, defocus, cut-outs (only where such files are) or shapes."""
    cutouts = sorted(CUTOUTS.rglob("*.webp"))
    if kind == "cut-outs" and not cutouts:
        return
    for number in range(count):
        rng = np.random.default_rng([seed, number, KINDS.index(kind)])
        behind, other = rng.choice(len(PHOTOS), 2, replace=False)
        background = _photo(behind, rng)
        if kind in ("cut-outs", "shapes"):
            rgba = _cutout(cutouts[int(rng.integers(len(cutouts)))]) if kind == "cut-outs" else _shape(rng)
            yield _pasted(kind, background, rgba, rng)
            continue
        alpha = {"hair": _hair, "thin": _thin, "hard": _hard, "defocus": _defocus}[kind](rng)
        foreground = _texture(rng) if rng.random() < 0.5 else _photo(other, rng)
        if kind == "defocus":  # what is out of focus has no fine texture either
            foreground = cv2.GaussianBlur(foreground, (0, 0), 4)
        opacity = alpha[..., None]
        exact = opacity * foreground + (1 - opacity) * background + rng.normal(0, 2, foreground.shape)
        yield Composite(kind, np.clip(exact + 0.5, 0, 255).astype(np.uint8), alpha, foreground)


def network_mask(alpha: np.ndarray, side: int, seed: int = 0) -> np.ndarray:
    """Alpha as a network of side x side gives it: uint8, blurred by its grid, a little displaced and uncertain."""
    rng = np.random.default_rng([seed, side])
    shift = [_smooth(rng, (side, side), side // 10, 0.35) for _ in range(2)]
    small = cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.8)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    small = cv2.remap(small, x + shift[0], y + shift[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    small = small + 4 * small * (1 - small) * _smooth(rng, small.shape, side // 4, 0.05)
    small = small + np.abs(rng.normal(0, 0.002, small.shape)) * np.sign(0.5 - small)
    small = (small - small.min()) / (small.max() - small.min())  # as most programs stretch a network's output
    levels: np.ndarray = (small * 255 + 0.5).astype(np.uint8)
    return levels


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], cells: int, strength: float) -> np.ndarray:
    grid = rng.normal(0, strength, (cells, cells)).astype(np.float32)
    return cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC)


def _photo(number: int, rng: np.random.Generator) -> np.ndarray:
    """A part of one of the photographs, perhaps mirrored; enlarged, so not quite in focus."""
    photo = read_image(PHOTOS[number])
    height = int(rng.uniform(0.6, 1) * photo.shape[0])
    width = min(height * WIDTH // HEIGHT, photo.shape[1])
    top, left = (int(rng.integers(have - want + 1)) for have, want in zip(photo.shape, (height, width), strict=False))
    part = photo[top : top + height, left : left + width][:, :: 1 if rng.random() < 0.5 else -1]
    return cv2.resize(np.ascontiguousarray(part), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.float32)


def _texture(rng: np.random.Generator) -> np.ndarray:
    """A colour with broad and fine variation, as skin, cloth and hair have."""
    result = np.full((HEIGHT, WIDTH, 3), rng.uniform(25, 230, 3), np.float32)
    for cell, strength in ((160, 22), (24, 9), (4, 6)):
        grid = rng.normal(0, strength, (HEIGHT // cell + 2, WIDTH // cell + 2, 3)).astype(np.float32)
        result += cv2.resize(grid, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(result, 0, 255)


def _outline(rng: np.random.Generator, radius: float) -> np.ndarray:
    """A wavy closed curve near the middle: `[n, 2]` of x, y."""
    angle = np.linspace(0, 2 * np.pi, 360)
    reach = np.full(360, float(radius))
    for wave in range(2, 14):
        reach += rng.normal(0, 0.22 * radius / wave) * np.cos(wave * angle + rng.uniform(0, 6.3))
    centre = np.array([WIDTH, HEIGHT]) * rng.uniform(0.42, 0.58, 2)
    outline: np.ndarray = centre + reach[:, None] * np.stack([1.2 * np.cos(angle), np.sin(angle)], axis=1)
    return outline


def _filled(outline: np.ndarray) -> np.ndarray:
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    return cv2.fillPoly(canvas, [_fixed(outline)], 255.0, cv2.LINE_AA, 4)


def _finished(canvas: np.ndarray, deviation: float) -> np.ndarray:
    return cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), deviation)


def _hair(rng: np.random.Generator) -> np.ndarray:
    """A body with some hundred curved strands, one to three pixels wide."""
    outline = _outline(rng, 230)
    canvas = _filled(outline)
    centre = outline.mean(axis=0)
    for _ in range(420):
        root = outline[int(rng.integers(len(outline)))]
        outward = np.arctan2(*(root - centre)[::-1])
        turns = outward + rng.normal(0, 0.35) + np.cumsum(rng.normal(0, 0.13, 12))
        steps = rng.uniform(6, 14) * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        strand = root + np.cumsum(steps, axis=0) - 2 * steps[0]
        cv2.polylines(canvas, [_fixed(strand)], False, 255.0, int(rng.integers(1, 4)), cv2.LINE_AA, 4)
    return _finished(canvas, 0.7)


def _thin(rng: np.random.Generator) -> np.ndarray:
    """A body with a wheel's spokes and twigs, two to nine pixels wide."""
    outline = _outline(rng, 150)
    canvas = _filled(outline)
    centre = outline.mean(axis=0)
    for angle in np.linspace(0, 2 * np.pi, int(rng.integers(9, 22)), endpoint=False) + rng.uniform(0, 1):
        end = centre + rng.uniform(300, 430) * np.array([np.cos(angle), np.sin(angle)])
        ends = [_fixed(np.stack([centre, end]))]
        cv2.polylines(canvas, ends, False, 255.0, int(rng.integers(2, 10)), cv2.LINE_AA, 4)
    rim = (int(rng.uniform(330, 400)), int(rng.uniform(300, 400)))
    cv2.ellipse(canvas, tuple(centre.astype(int)), rim, 0, 0, 360, 255.0, int(rng.integers(3, 9)), cv2.LINE_AA)
    return _finished(canvas, 0.7)


def _hard(rng: np.random.Generator) -> np.ndarray:
    """A body in focus."""
    return _finished(_filled(_outline(rng, 290)), 0.6)


def _defocus(rng: np.random.Generator) -> np.ndarray:
    """A body out of focus, evenly or more and more from left to right."""
    canvas = _filled(_outline(rng, 260))
    near, far = _finished(canvas, rng.uniform(5, 9)), _finished(canvas, rng.uniform(9, 22))
    if rng.random() < 0.5:
        return far
    across = np.linspace(0, 1, WIDTH, dtype=np.float32)
    mixed: np.ndarray = near + across * (far - near)
    return mixed


def _cutout(path: Path) -> np.ndarray:
    bgra = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if bgra is None:
        raise OSError(f"{path} cannot be read.")
    return _bled(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA))


def _shape(rng: np.random.Generator) -> np.ndarray:
    """One of the training's layered shapes as RGBA, its colours those of the scene around it."""
    scene = layered_shapes(rng, 768)
    mask = max(scene.masks, key=lambda mask: int(mask.sum()))
    x, y, width, height = cv2.boundingRect(mask)
    cut = slice(y, y + height), slice(x, x + width)
    inside = cv2.erode(mask, np.ones((5, 5), np.uint8))  # without the scene's own soft edge
    alpha = cv2.GaussianBlur(inside * np.uint8(255), (0, 0), rng.uniform(0.6, 1.4))
    return _bled(np.dstack([scene.image, alpha])[cut])


def _bled(rgba: np.ndarray) -> np.ndarray:
    """Opaque colours carried on to where nothing is opaque, so that resampling mixes no others in."""
    rgba = cv2.copyMakeBorder(rgba, 8, 8, 8, 8, cv2.BORDER_CONSTANT)
    weight = (rgba[..., 3:].astype(np.float32) / 255) ** 2
    colours = rgba[..., :3].astype(np.float32)
    for deviation in (1, 2, 4, 8, 16, 32):
        total = cv2.GaussianBlur(weight, (0, 0), deviation)[..., None]
        mean = cv2.GaussianBlur(colours * weight, (0, 0), deviation) / np.maximum(total, 1e-6)
        colours = np.where((weight < 0.9) & (total > 1e-3), weight * colours + (1 - weight) * mean, colours)
        weight = np.maximum(weight, (total > 1e-3).astype(np.float32))
    rgba[..., :3] = np.clip(colours + 0.5, 0, 255)
    return rgba


def _pasted(kind: str, background: np.ndarray, rgba: np.ndarray, rng: np.random.Generator) -> Composite:
    """A cut-out as training pastes it, with shadow, turn and blur; again with every pixel opaque for its colours."""
    seed = int(rng.integers(2**31))
    while True:
        shown, opaque = (_paste(background, layer, seed) for layer in (rgba, _opaque(rgba)))
        if shown.masks and 0.03 < shown.masks[-1].mean() / 255 < 0.7:
            break
        seed += 1
    alpha = shown.masks[-1].astype(np.float32) / 255
    noisy = shown.image + rng.normal(0, 2, shown.image.shape)
    picture = np.clip(noisy + 0.5, 0, 255).astype(np.uint8)
    return Composite(kind, picture, alpha, opaque.image.astype(np.float32))


def _paste(background: np.ndarray, rgba: np.ndarray, seed: int) -> Scene:
    scene = Scene(background.astype(np.uint8), [], [])
    paste(scene, rgba, np.random.default_rng(seed))
    return scene


def _opaque(rgba: np.ndarray) -> np.ndarray:
    return np.dstack([rgba[..., :3], np.full(rgba.shape[:2], 255, np.uint8)])


def _fixed(points: np.ndarray) -> np.ndarray:
    """OpenCV's coordinates with 4 fractional bits."""
    return np.round(points * 16).astype(np.int32)
