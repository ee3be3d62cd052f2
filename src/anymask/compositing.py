"""Foregrounds over something else: nothing, a colour, another picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageOps

from anymask.errors import ImageError
from anymask.images import Source, read_image

Color = str | Sequence[int]
Background = Source | Sequence[int]
BLUR = "blur"
"""The background that stands for the picture's own, out of focus."""
OUT_OF_FOCUS = 0.02  # of the picture's longer side: the deviation of the blur


@dataclass(frozen=True, eq=False)
class CutOut:
    """A foreground cut out from its picture.

    Attributes:
        rgb: uint8 `[H, W, 3]`, the foreground's colours, not multiplied by alpha.
        alpha: float32 `[H, W]` in 0..1.
        icc_profile, dpi: of the picture (see `anymask.images.Picture`).
    """

    rgb: np.ndarray
    alpha: np.ndarray
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None

    def image(self) -> Image.Image:
        """The cut-out as RGBA."""
        return self._tagged(Image.fromarray(np.dstack((self.rgb, levels(self.alpha)))))

    def over(self, background: Background) -> Image.Image:
        """The cut-out over a colour or over a picture, as RGB.

        Args:
            background: a colour as a name, "#rrggbb" or three integers in 0..255; or a picture (see
                `anymask.images.read_image`), scaled to cover the cut-out and cropped around its centre.

        Raises:
            ImageError: it is neither.
        """
        height, width = self.alpha.shape
        behind = load_background(background)
        if isinstance(behind, tuple):
            canvas = Image.new("RGB", (width, height), behind)
        else:
            canvas = ImageOps.fit(Image.fromarray(behind), (width, height), Image.Resampling.BICUBIC)
        return self._tagged(Image.composite(Image.fromarray(self.rgb), canvas, Image.fromarray(levels(self.alpha))))

    def on(self, color: Color) -> Image.Image:
        """The cut-out on a colour that may be transparent itself, as RGBA.

        Args:
            color: a name, "#rrggbb", "#rrggbbaa", or three or four integers in 0..255, the fourth the opacity.

        Raises:
            ImageError: it is no colour.
        """
        plane = Image.new("RGBA", self.alpha.shape[::-1], _rgba(color))
        return self._tagged(Image.alpha_composite(plane, self.image()))

    def _tagged(self, image: Image.Image) -> Image.Image:
        tags = {"icc_profile": self.icc_profile, "dpi": self.dpi}
        image.info.update({name: value for name, value in tags.items() if value is not None})
        return image


def levels(alpha: np.ndarray) -> np.ndarray:
    """Alpha in 0..1 as the nearest of 0..255, uint8."""
    return (alpha * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def blurred(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A picture's background out of focus, with nothing of its subject in the blur.

    Args:
        rgb: uint8 `[H, W, 3]`.
        alpha: float32 `[H, W]` in 0..1, the subject.

    Returns:
        uint8 `[H, W, 3]`.
    """
    height, width = alpha.shape
    shrink = max(1, round(OUT_OF_FOCUS * max(height, width) / 4))  # so blurred, a picture may as well be small
    small = max(1, width // shrink), max(1, height // shrink)
    weight = cv2.resize(1 - alpha, small, interpolation=cv2.INTER_AREA) ** 2 + np.float32(1e-4)
    colours = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA).astype(np.float32) * weight[..., None]
    deviation = OUT_OF_FOCUS * max(height, width) / shrink
    sums, weights = (cv2.GaussianBlur(values, (0, 0), deviation) for values in (colours, weight))
    soft = np.clip(sums / weights[..., None] + 0.5, 0, 255).astype(np.uint8)
    whole: np.ndarray = cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC)
    return whole


def load_background(background: Background) -> tuple[int, int, int] | np.ndarray:
    """What a background stands for (see `CutOut.over`): an RGB colour, or a picture uint8 `[H, W, 3]`.

    Both are backgrounds again, so that one for many pictures is checked and read only once.

    Raises:
        ImageError: it is neither a colour nor a picture.
    """
    color = parse_color(background)
    if color is not None:
        return color
    if isinstance(background, str | os.PathLike) and not Path(background).exists():
        raise ImageError(f"The background {str(background)!r} is neither a colour nor a picture that exists.")
    return read_image(background)  # type: ignore[arg-type]  # sequences of integers are colours


def parse_color(value: object) -> tuple[int, int, int] | None:
    """A colour's name, "#rrggbb" (what `PIL.ImageColor` knows) or three integers in 0..255 as RGB; None for pictures.

    Raises:
        ImageError: a colour that does not exist, or one that is not opaque.
    """
    if isinstance(value, str):
        try:
            red, green, blue, *alpha = ImageColor.getrgb(value)
        except ValueError:
            if value.startswith("#"):
                raise ImageError(f"{value!r} is no colour; write it as '#rrggbb'.") from None
            return None
        if alpha and alpha[0] < 255:
            raise ImageError(f"The background colour {value!r} is not opaque; leave its last part out.")
        return red, green, blue
    if not isinstance(value, list | tuple) and not (isinstance(value, np.ndarray) and value.ndim == 1):
        return None
    parts = list(value)
    if len(parts) != 3 or not _are_levels(parts):
        raise ImageError(f"A background colour is three integers in 0..255 (red, green, blue), not {value!r}.")
    return int(parts[0]), int(parts[1]), int(parts[2])


def opaque_color(value: Color) -> tuple[int, int, int]:
    """What `parse_color` reads, and only that. Raises ImageError for anything that is no opaque colour."""
    color = parse_color(value)
    if color is None:
        raise ImageError(f"{value!r} is no colour; give a name, '#rrggbb' or three integers in 0..255.")
    return color


def _rgba(value: Color) -> tuple[int, int, int, int]:
    parts: Sequence[object] = ()
    if isinstance(value, str):
        with suppress(ValueError):
            parts = ImageColor.getcolor(value, "RGBA")  # type: ignore[assignment]  # four integers, in this mode
    elif isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim == 1):
        parts = [*value, 255] if len(value) == 3 else list(value)
    if len(parts) != 4 or not _are_levels(parts):
        raise ImageError(f"{value!r} is no colour; give a name, '#rrggbbaa' or three or four integers in 0..255.")
    red, green, blue, alpha = (int(part) for part in parts)  # type: ignore[call-overload]  # integers, as was seen
    return red, green, blue, alpha


def _are_levels(parts: Sequence[object]) -> bool:
    return all(isinstance(part, int | np.integer) and 0 <= part <= 255 for part in parts)
