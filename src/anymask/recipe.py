"""What is to become of a picture: all that may be asked of a cut-out, as data, and doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, Unpack

import numpy as np
from PIL import Image

from anymask.background import BackgroundRemover, Choice, MatteOptions
from anymask.compositing import BLUR, Background, CutOut, blurred, levels
from anymask.errors import FormatError, ImageError
from anymask.finishing import add_outline, add_shadow, crop_to_subject, pad_to_ratio
from anymask.images import Picture, Source, encode_image, read_picture


class Cutter(Protocol):
    """Whatever makes cut-outs as `BackgroundRemover` does."""

    def matte(self, picture: Source | Picture, refine: Choice = True, **options: Unpack[MatteOptions]) -> np.ndarray:
        """As `BackgroundRemover.matte`."""
        ...

    def cutout(
        self,
        picture: Source | Picture,
        *,
        refine: Choice = True,
        foreground: Choice = True,
        **options: Unpack[MatteOptions],
    ) -> CutOut:
        """As `BackgroundRemover.cutout`."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How a cut-out is made, finished and shown.

    Attributes:
        mask_only: give the matte in grey instead of the cut-out.
        background: what lies behind it (see `BackgroundRemover.remove`).
        tint: red, green, blue, alpha of a colour that lies behind it and may be transparent itself; instead of
            `background`.
        refine, foreground, options: as for `BackgroundRemover.remove`.
        crop: cut off what is no subject, with this margin (see `finishing.crop_to_subject`); None to leave it.
        outline: width and colour (see `finishing.add_outline`); None for none.
        shadow: whether it throws one.
        pad: width and height of the canvas's shape; None to leave it.
    """

    mask_only: bool = False
    background: Background | None = None
    tint: tuple[int, int, int, int] | None = None
    refine: Choice = True
    foreground: Choice = True
    options: MatteOptions = field(default_factory=lambda: MatteOptions())
    crop: float | None = None
    outline: tuple[float, tuple[int, int, int]] | None = None
    shadow: bool = False
    pad: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        blurs = isinstance(self.background, str) and self.background == BLUR
        if blurs and (self.crop is not None or self.outline or self.shadow or self.pad):
            raise ImageError("The picture's own background cannot be blurred and cropped, padded or outlined as well.")

    def one(self, remover: Cutter, picture: Source | Picture) -> Image.Image:
        """The result for a picture: RGBA, RGB over a background, or grey."""
        source = read_picture(picture)
        if self.mask_only:
            if self.crop is None and self.pad is None:
                return _grey(remover.matte(source, self.refine, **self.options))
            return _grey(
                self.finished(remover.cutout(source, refine=self.refine, foreground=False, **self.options)).alpha
            )
        cut = remover.cutout(source, refine=self.refine, foreground=self.foreground, **self.options)
        if isinstance(self.background, str) and self.background == BLUR:
            return cut.over(blurred(source.rgb, cut.alpha))
        return self._shown(cut)

    def each(self, remover: BackgroundRemover, picture: Source | Picture) -> dict[str, Image.Image]:
        """The results for each subject or class apart, by name (see `BackgroundRemover.cutouts`)."""
        cuts = remover.cutouts(picture, refine=self.refine, foreground=self.foreground, **self.options)
        return {
            name: _grey(self.finished(cut).alpha) if self.mask_only else self._shown(cut) for name, cut in cuts.items()
        }

    def finished(self, cut: CutOut) -> CutOut:
        """Cropped, outlined, with its shadow, padded: in this order, as far as wanted."""
        if self.crop is not None:
            cut = crop_to_subject(cut, self.crop)
        if self.outline is not None:
            cut = add_outline(cut, *self.outline)
        if self.shadow:
            cut = add_shadow(cut)
        return cut if self.pad is None else pad_to_ratio(cut, *self.pad)

    def _shown(self, cut: CutOut) -> Image.Image:
        cut = self.finished(cut)
        if self.tint is not None:
            return cut.on(self.tint)
        return cut.image() if self.background is None else cut.over(self.background)


def encoded(image: Image.Image, form: str, quality: int | None = None) -> bytes:
    """A result as the bytes of a file, with its colour profile and dots per inch. Raises as `encode_image` does."""
    profile = None if image.mode == "L" else image.info.get("icc_profile")
    return encode_image(image, form, quality=quality, icc_profile=profile, dpi=image.info.get("dpi"))


def parse_ratio(text: str) -> tuple[float, float]:
    """ "square" or "4:5" as two numbers. Raises FormatError for anything else."""
    parts: Sequence[str] = ("1", "1") if text == "square" else text.split(":")
    try:
        width, height = (float(part) for part in parts)
    except ValueError:
        width = height = 0.0
    if not (0 < width < 1e6 and 0 < height < 1e6):
        raise FormatError(f"A shape is square or WIDTH:HEIGHT, such as 4:5, not {text!r}.")
    return width, height


def parse_share(text: str) -> float:
    """ "5%" or "0.05" as 0.05. Raises FormatError for anything else."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 10:
        raise FormatError(f"A length is a share of the subject's longer side, such as 5%, not {text!r}.")
    return share


def _grey(alpha: np.ndarray) -> Image.Image:
    return Image.fromarray(levels(alpha))
