"""A pool of grey patterns from which textures are cut: noise, cells, wood, weaves, checks, strokes, pages of letters.

The pool is the same in every process (its seeds are fixed), each pattern is made when first asked for, and variety
comes from random crops, turns and colours of it.
"""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

EXTENT = 512  # side of a pattern, pixels
VARIANTS = 3  # patterns of a family
_SEED = 20_240_611


@cache
def field(index: int) -> np.ndarray:
    """Pattern number 0..COUNT-1: uint8 [EXTENT, EXTENT], mean about 128. Callers must not write into it."""
    rng = np.random.default_rng([_SEED, index])
    values = _FAMILIES[index % len(_FAMILIES)](rng).astype(np.float32)
    spread = float(values.std()) + 1e-6
    grey: np.ndarray = np.clip(128 + (values - values.mean()) * (52 / spread), 0, 255).astype(np.uint8)
    grey.flags.writeable = False
    return grey


@cache
def grain() -> np.ndarray:
    """White noise of standard deviation 1: float32 [EXTENT, EXTENT]."""
    return np.random.default_rng(_SEED).standard_normal((EXTENT, EXTENT), np.float32)


def _axes() -> tuple[np.ndarray, np.ndarray]:
    ramp = np.arange(EXTENT, dtype=np.float32)
    return ramp[:, None], ramp[None, :]


def _spectrum(rng: np.random.Generator, power: float, lean: float = 1.0) -> np.ndarray:
    """Noise whose amplitude falls as frequency ** -power (photographs are near 1); `lean` draws it out along x."""
    fy = np.fft.fftfreq(EXTENT)[:, None]
    fx = np.fft.rfftfreq(EXTENT)[None, :] * lean
    distance = np.sqrt(fy * fy + fx * fx)
    distance[0, 0] = 1
    gain = distance**-power
    gain[0, 0] = 0
    noise: np.ndarray = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((EXTENT, EXTENT))) * gain, (EXTENT, EXTENT))
    return np.asarray(noise / noise.std())


def _smooth(rng: np.random.Generator) -> np.ndarray:
    return _spectrum(rng, rng.uniform(1.6, 2.2))


def _natural(rng: np.random.Generator) -> np.ndarray:
    return _spectrum(rng, rng.uniform(0.9, 1.3))


def _rough(rng: np.random.Generator) -> np.ndarray:
    return _spectrum(rng, rng.uniform(0.3, 0.8))


def _brushed(rng: np.random.Generator) -> np.ndarray:
    return _spectrum(rng, rng.uniform(0.8, 1.3), rng.uniform(6, 20))


def _ridged(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(-np.abs(_spectrum(rng, rng.uniform(1.3, 1.7))))


def _blotches(rng: np.random.Generator) -> np.ndarray:
    """A few flat tones with smooth borders, as on a cow or on army cloth."""
    steps = int(rng.integers(2, 5))
    return np.asarray(np.floor((_spectrum(rng, rng.uniform(1.5, 2.2)) * 0.5).clip(-1, 1) * steps))


def _nearest(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of random points: the distance to the nearest and its number, [EXTENT, EXTENT] each."""
    empty = np.full((EXTENT, EXTENT), 255, np.uint8)
    empty[rng.integers(0, EXTENT, count), rng.integers(0, EXTENT, count)] = 0
    distance, labels = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return np.asarray(distance), np.asarray(labels)


def _cells(rng: np.random.Generator) -> np.ndarray:
    _, labels = _nearest(rng, int(np.exp(rng.uniform(4, 7.5))))
    return np.asarray(rng.random(int(labels.max()) + 1)[labels])


def _walls(rng: np.random.Generator) -> np.ndarray:
    _, labels = _nearest(rng, int(np.exp(rng.uniform(4.5, 7))))
    edge = (cv2.morphologyEx(labels.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0) * 1.0
    return np.asarray(cv2.GaussianBlur(edge.astype(np.float32), (0, 0), rng.uniform(0.7, 1.5)) * rng.choice([-1, 1]))


def _pebbles(rng: np.random.Generator) -> np.ndarray:
    distance, labels = _nearest(rng, int(np.exp(rng.uniform(5, 7.5))))
    return np.asarray(rng.random(int(labels.max()) + 1)[labels] * 4 - distance * 0.5)


def _wood(rng: np.random.Generator) -> np.ndarray:
    ys, xs = _axes()
    warp = _spectrum(rng, 1.8, rng.uniform(3, 8)) * rng.uniform(4, 12)
    rings = np.sin((ys + warp + 0.02 * xs) * (2 * np.pi / rng.uniform(7, 22)))
    return rings + 0.35 * _spectrum(rng, 0.8, 15)


def _marble(rng: np.random.Generator) -> np.ndarray:
    ys, xs = _axes()
    waves = np.sin((xs + 0.6 * ys + 35 * _spectrum(rng, 1.6)) * (np.pi / rng.uniform(40, 100)))
    return np.asarray(-(np.abs(waves) ** 0.4))


def _stripes(rng: np.random.Generator) -> np.ndarray:
    ys, xs = _axes()
    wave = np.sin(xs * (2 * np.pi / rng.uniform(6, 34)) + 0 * ys)
    return np.asarray(np.sign(wave - rng.uniform(-0.5, 0.5)) if rng.random() < 0.6 else wave)


def _bars(rng: np.random.Generator) -> np.ndarray:
    """Stripes of random widths and tones."""
    tones = np.repeat(rng.random(EXTENT), rng.integers(2, 24, EXTENT))[:EXTENT]
    return np.tile(tones, (EXTENT, 1))


def _checks(rng: np.random.Generator) -> np.ndarray:
    ys, xs = _axes()
    period = rng.uniform(6, 40)
    return np.asarray((np.floor(ys / period) + np.floor(xs / period)) % 2)


def _plaid(rng: np.random.Generator) -> np.ndarray:
    tones = np.tile(np.repeat(rng.random(5), rng.integers(3, 22, 5)), 200)[:EXTENT]
    return tones[:, None] + tones[None, :]


def _bricks(rng: np.random.Generator) -> np.ndarray:
    ys, xs = _axes()
    height, width = rng.uniform(10, 30), rng.uniform(24, 70)
    rows = np.floor(ys / height)
    along = xs + 0.5 * width * (rows % 2)
    joint = ((ys % height) < 2.5) | ((along % width) < 2.5)
    tone = np.sin(rows * 12.9 + np.floor(along / width) * 78.2) * 0.3
    return np.where(joint, -1.5 if rng.random() < 0.5 else 1.5, tone) + 0.15 * _spectrum(rng, 0.7)


def _dots(rng: np.random.Generator) -> np.ndarray:
    ys, xs = _axes()
    period, share = rng.uniform(8, 30), rng.uniform(0.2, 0.4)
    shifted = xs + (np.floor(ys / period) % 2) * period / 2
    inside = np.hypot((ys % period) / period - 0.5, (shifted % period) / period - 0.5) < share
    return cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.7)


def _weave(rng: np.random.Generator) -> np.ndarray:
    ys, xs = _axes()
    period = rng.uniform(4, 10)
    over = (np.floor(ys / period) + np.floor(xs / period)) % 2
    return np.where(over > 0, np.sin(np.pi * (ys % period) / period), 0.8 * np.sin(np.pi * (xs % period) / period))


def _strokes(rng: np.random.Generator, count: int, length: float, turn: float, thick: int) -> np.ndarray:
    canvas = np.full((EXTENT, EXTENT), 128, np.uint8)
    for _ in range(count):
        start = rng.uniform(0, EXTENT, 2)
        angle = rng.normal(np.pi / 2, turn)
        end = start + length * rng.uniform(0.4, 1) * np.array([np.cos(angle), np.sin(angle)])
        tone = int(rng.integers(256))
        width = int(rng.integers(1, thick + 1))
        cv2.line(canvas, tuple(np.rint(start).astype(int)), tuple(np.rint(end).astype(int)), tone, width, cv2.LINE_AA)
    return canvas


def _grass(rng: np.random.Generator) -> np.ndarray:
    return _strokes(rng, 4500, rng.uniform(15, 45), rng.uniform(0.1, 0.5), 2)


def _scratches(rng: np.random.Generator) -> np.ndarray:
    return _strokes(rng, 300, 160, 3, 2)


def _foliage(rng: np.random.Generator) -> np.ndarray:
    canvas = np.full((EXTENT, EXTENT), 40, np.uint8)
    size = rng.uniform(5, 14)
    for _ in range(int(90_000 / size**2)):
        x, y = rng.integers(0, EXTENT, 2)
        axes = (int(size * rng.uniform(0.7, 1.4)), int(size * rng.uniform(0.25, 0.6)) + 1)
        tone = int(rng.integers(20, 256))
        cv2.ellipse(canvas, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, tone, -1, cv2.LINE_AA)
    return canvas


def _letters(rng: np.random.Generator) -> np.ndarray:
    canvas = np.zeros((EXTENT, EXTENT), np.uint8)
    scale = rng.uniform(0.35, 1.1)
    for row in range(10, EXTENT + 30, int(34 * scale) + 3):
        line = "".join(chr(int(c)) for c in rng.integers(65, 123, int(40 / scale)))
        cv2.putText(canvas, line, (-5, row), cv2.FONT_HERSHEY_DUPLEX, scale, 255, 1 + int(scale * 1.5), cv2.LINE_AA)
    return canvas


def _speckle(rng: np.random.Generator) -> np.ndarray:
    spots = cv2.GaussianBlur(rng.standard_normal((EXTENT, EXTENT)), (0, 0), rng.uniform(0.8, 2))
    return spots > np.quantile(spots, rng.uniform(0.75, 0.95))


_FAMILIES: tuple[Callable[[np.random.Generator], np.ndarray], ...] = (
    *(_smooth, _natural, _rough, _brushed, _ridged, _blotches, _cells, _walls, _pebbles, _wood, _marble),
    *(_stripes, _bars, _checks, _plaid, _bricks, _dots, _weave, _grass, _scratches, _foliage, _letters, _speckle),
)
COUNT = len(_FAMILIES) * VARIANTS
_BOLD = {_stripes, _bars, _checks, _plaid, _dots, _blotches, _cells, _letters}
SMOOTH = tuple(range(0, COUNT, len(_FAMILIES)))
NATURAL = tuple(i for i in range(COUNT) if i % len(_FAMILIES) in (0, 1, 2, 3, 4))
BOLD = tuple(i for i in range(COUNT) if _FAMILIES[i % len(_FAMILIES)] in _BOLD)
