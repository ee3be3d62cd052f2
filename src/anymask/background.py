"""Background removal: a picture's subject, cut out along its edges and without the old background's colours."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from anymask.catalog import ModelEntry
from anymask.compositing import Background, CutOut
from anymask.foreground import estimate_foreground
from anymask.images import Picture, Source, read_picture
from anymask.refine import refine_matte, resize, without_specks
from anymask.runtime import load_matte_engine
from anymask.runtime.engine import MatteEngine


class BackgroundRemover:
    """A model that finds a picture's subject, loaded and ready. One may be shared by threads.

    Args:
        model: a name from the catalogue (`anymask.models()`).
        device: auto, cpu, cuda or mps.
        precision: auto, fp32, bf16 or fp16.
        weights: a checkpoint's path, to use instead of the model's own weights.

    Raises ModelError, WeightsError or MissingExtraError when that cannot be had.
    """

    def __init__(
        self, model: str = "pocket", device: str = "auto", precision: str = "auto", weights: str | Path | None = None
    ) -> None:
        self.engine: MatteEngine = load_matte_engine(model, device, precision, weights)

    @property
    def spec(self) -> ModelEntry:
        """The model's entry in the catalogue."""
        return self.engine.spec

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    def matte(self, picture: Source, refine: bool = True) -> np.ndarray:
        """How much of the subject each pixel shows.

        Args:
            picture: a path, bytes, file object, PIL image or array (see `anymask.images.read_picture`). Where it is
                transparent, so is the matte.
            refine: leave specks out and let edges follow the picture's (see `anymask.refine`); else the network's own
                map, enlarged bilinearly.

        Returns:
            float32 `[H, W]` in 0..1, of the picture's size.

        Raises:
            ImageError: the picture cannot be read.
        """
        return self._matte(read_picture(picture), refine)

    def cutout(self, picture: Source, *, refine: bool = True, foreground: bool = True) -> CutOut:
        """The subject's colours and its matte, to put over any number of backgrounds; arguments as for `remove`."""
        source = read_picture(picture)
        alpha = self._matte(source, refine)
        rgb = estimate_foreground(source.rgb, alpha) if foreground else source.rgb
        return CutOut(rgb, alpha, source.icc_profile, source.dpi)

    def remove(
        self, picture: Source, background: Background | None = None, *, refine: bool = True, foreground: bool = True
    ) -> Image.Image:
        """The picture without its background.

        Args:
            picture, refine: as for `matte`.
            background: None for transparency; else a colour or a picture (see `anymask.compositing.CutOut.over`).
            foreground: estimate the subject's own colours where the old background shines through (see
                `anymask.foreground`); else keep the picture's.

        Returns:
            An RGBA image, or with a background an RGB one, with the picture's colour profile and dots per inch.

        Raises:
            ImageError: the picture or the background cannot be read.
        """
        cut = self.cutout(picture, refine=refine, foreground=foreground)
        return cut.image() if background is None else cut.over(background)

    def _matte(self, picture: Picture, refine: bool) -> np.ndarray:
        coarse = self.engine.mattes(picture.rgb).max(axis=0)
        alpha = refine_matte(without_specks(coarse), picture.rgb) if refine else resize(coarse, picture.rgb.shape)
        if picture.alpha is None:
            return alpha
        both: np.ndarray = np.minimum(alpha, picture.alpha / np.float32(255))
        return both

    def __repr__(self) -> str:
        return f"BackgroundRemover({self.name!r})"


def remove_background(
    picture: Source,
    model: str = "pocket",
    *,
    background: Background | None = None,
    refine: bool = True,
    foreground: bool = True,
    device: str = "auto",
    precision: str = "auto",
    weights: str | Path | None = None,
) -> Image.Image:
    """A picture without its background, in one call: `BackgroundRemover(...).remove(...)`, the model kept loaded."""
    return _remover(model, device, precision, weights).remove(picture, background, refine=refine, foreground=foreground)


@lru_cache(maxsize=4)
def _remover(model: str, device: str, precision: str, weights: str | Path | None) -> BackgroundRemover:
    return BackgroundRemover(model, device, precision, weights)
