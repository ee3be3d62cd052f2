"""What surfaces look like: colours, coloured patterns, and cuts out of photographs."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from anymask.training.generated import fields

Material = Callable[[int, int], np.ndarray]  # (height, width) -> uint8 [height, width, 3], another place at every call
Photographs = Callable[[np.random.Generator], "np.ndarray | None"]

_LONGEST = 640  # photographs are reduced to this side


def colour(rng: np.random.Generator) -> np.ndarray:
    """An RGB colour, float32 [3] in 0..255; dull colours are commoner than pure ones."""
    value = rng.uniform(18, 248)
    saturation = rng.beta(1.0, 2.5)
    hue = rng.uniform(0, 6)
    ramp = np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    return (value * (1 - saturation * (1 - np.clip(ramp, 0, 1)))).astype(np.float32)


def palette(rng: np.random.Generator, contrast: float, middle: np.ndarray | None = None) -> np.ndarray:
    """A table from grey to colour, uint8 [256, 1, 3], through a few colours around `middle`.

    `contrast` is the usual distance from middle to ends in grey levels; much more than 100 gives unrelated colours.
    """
    middle = colour(rng) if middle is None else middle
    knots = int(rng.integers(2, 5))
    along = np.linspace(-1, 1, knots)[:, None]
    tone = along * contrast * (1 if rng.random() < 0.5 else -1)
    points = middle + tone * rng.uniform(0.6, 1.2, (1, 3)) + rng.normal(0, 0.3 * contrast, (knots, 3))
    if contrast > 90:
        points[0], points[-1] = colour(rng), colour(rng)
    at = np.linspace(16, 240, knots)
    table = np.stack([np.interp(np.arange(256), at, points[:, c]) for c in range(3)], axis=1)
    return np.clip(table, 0, 255).astype(np.uint8)[:, None]


def _cut(
    source: np.ndarray, height: int, width: int, scale: float, angle: float, rng: np.random.Generator
) -> np.ndarray:
    """A turned window out of `source`, `scale` source pixels for each of the result; mirrored beyond the border."""
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    x, y = rng.uniform(0, source.shape[1]), rng.uniform(0, source.shape[0])
    sides = np.array(
        [[cos, -sin, x - (cos * width - sin * height) / 2], [sin, cos, y - (sin * width + cos * height) / 2]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(source, sides, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT))


class Materials:
    """Draws the materials of one scene.

    Args:
        photographs: gives RGB photographs, uint8 [H, W, 3], or None when it has none at hand.
    """

    def __init__(self, rng: np.random.Generator, photographs: Photographs | None = None) -> None:
        self._rng = rng
        self._pictures: list[np.ndarray] = []
        count = int(np.searchsorted([0.3, 0.75], rng.random())) if photographs is not None else 0
        for _ in range(count):
            picture = photographs(rng) if photographs is not None else None
            if picture is not None:
                self._pictures.append(_reduced(picture))

    def any(self) -> Material:
        """Plain, patterned or photographic."""
        chance = self._rng.random()
        if self._pictures and chance < 0.4:
            return self.photographic()
        return self.plain() if chance < 0.65 else self.patterned()

    def background(self) -> Material:
        """For what lies behind everything: rather photographic."""
        chance = self._rng.random()
        if self._pictures and chance < 0.65:
            return self.photographic(1.0)
        return self.plain() if chance < 0.8 else self.patterned()

    def plain(self, middle: np.ndarray | None = None) -> Material:
        """One colour with little variation."""
        rng = self._rng
        return self._from_field(fields.NATURAL, palette(rng, float(rng.choice([2, 6, 14])), middle), 0.3, 1.2)

    def patterned(self, middle: np.ndarray | None = None) -> Material:
        """A pattern between faint and glaring."""
        rng = self._rng
        contrast = float(np.exp(rng.uniform(np.log(10), np.log(130))))
        return self._from_field(range(fields.COUNT), palette(rng, contrast, middle), 0.5, 1.5)

    def bold(self) -> Material:
        """Stripes, checks, letters and the like in contrasting colours: edges within stronger than most outlines."""
        rng = self._rng
        return self._from_field(fields.BOLD, palette(rng, rng.uniform(70, 140)), 0.4, 1.3)

    def photographic(self, scale: float | None = None) -> Material:
        """Cuts out of one of the scene's photographs, often recoloured. Patterned where there is none."""
        rng = self._rng
        if not self._pictures:
            return self.patterned()
        picture = self._pictures[int(rng.integers(len(self._pictures)))]
        scale = float(np.exp(rng.uniform(np.log(0.4), np.log(1.6)))) if scale is None else scale
        angle = float(rng.normal(0, 0.2) if rng.random() < 0.6 else rng.uniform(0, 6.28))
        mix = _recolouring(rng) if rng.random() < 0.6 else None

        def render(height: int, width: int) -> np.ndarray:
            cut = _cut(picture, height, width, scale, angle, rng)
            return cut if mix is None else np.asarray(cv2.transform(cut, mix))

        return render

    def _from_field(self, choices: Sequence[int], table: np.ndarray, smallest: float, largest: float) -> Material:
        rng = self._rng
        source = fields.field(choices[int(rng.integers(len(choices)))])
        scale = float(np.exp(rng.uniform(np.log(smallest), np.log(largest))))
        angle = float(rng.uniform(0, 6.28))

        def render(height: int, width: int) -> np.ndarray:
            return np.asarray(cv2.applyColorMap(_cut(source, height, width, scale, angle, rng), table))

        return render


def _reduced(picture: np.ndarray) -> np.ndarray:
    scale = _LONGEST / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _recolouring(rng: np.random.Generator) -> np.ndarray:
    """A 3x4 matrix that mixes the channels, changes contrast and shifts the tone."""
    mix = np.eye(3) * rng.uniform(0.5, 1.2) + rng.normal(0, 0.25, (3, 3))
    mix *= rng.uniform(0.5, 1.1) / np.maximum(mix.sum(axis=1, keepdims=True), 0.4)
    return np.concatenate([mix, rng.normal(20, 35, (3, 1))], axis=1)
