"""Cut-outs as requests describe them."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import Any, Unpack

import numpy as np

from anymask import rle
from anymask.background import BackgroundRemover, Choice, MatteOptions, cut_out
from anymask.compositing import BLUR, CutOut, load_background, opaque_color, parse_color
from anymask.errors import FormatError, ImageError, PromptError
from anymask.images import Picture, Source, read_picture
from anymask.masks import Masks
from anymask.matting import Trimap
from anymask.placement import Placement
from anymask.prompts import Prompt
from anymask.recipe import Recipe, encoded, parse_ratio, parse_share
from anymask.refine import resize
from anymask.server.schemas import Cutout, PictureBackground, Rle
from anymask.server.store import PictureStore

GRID = 512  # cells of the longer side of a mask that was drawn, from which its edges are refined
MEDIA = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif",
         "tif": "image/tiff", "tiff": "image/tiff", "bmp": "image/bmp"}  # fmt: skip


class MasksCutter:
    """Cuts out what masks say instead of what a model finds; for `Recipe.one`. `masks` are one, of the picture."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks

    def cutout(
        self, picture: Source | Picture, *, refine: Choice = True, foreground: Choice = True,
        **options: Unpack[MatteOptions],
    ) -> CutOut:  # fmt: skip
        """As `BackgroundRemover.cutout`."""
        source = read_picture(picture)
        masks = _fitted(self._masks, *source.rgb.shape[:2])
        trimap, clean = options.get("trimap"), options.get("clean", False)
        (cut,) = cut_out(source, masks, refine=refine, foreground=foreground, trimap=trimap, clean=clean)
        return cut

    def matte(self, picture: Source | Picture, refine: Choice = True, **options: Unpack[MatteOptions]) -> np.ndarray:
        """As `BackgroundRemover.matte`."""
        return self.cutout(picture, refine=refine, foreground=False, **options).alpha


def drawn_masks(drawn: list[Rle], height: int, width: int) -> Masks:
    """Some RLEs of a picture as one mask. Raises PromptError for those that are of another size or cannot be read."""
    whole = np.zeros((height, width), bool)
    for one in drawn:
        if tuple(one.size) != (height, width):
            raise PromptError(f"A mask has {one.size[1]} x {one.size[0]} pixels, the picture {width} x {height}.")
        try:
            x, y, pixels = rle.region(one.model_dump())
        except (FormatError, ValueError, IndexError, OverflowError, UnicodeEncodeError) as error:
            raise PromptError(f"A mask's RLE cannot be read ({error}).") from None
        whole[y : y + pixels.shape[0], x : x + pixels.shape[1]] |= pixels
    return _as_masks(whole)


def _as_masks(whole: np.ndarray) -> Masks:
    """A mask bool [H, W] as `Masks`, whose edges are refined from a grid of GRID cells."""
    height, width = whole.shape
    scale = min(1.0, GRID / max(height, width))
    cells = np.zeros((1, max(1, round(height * scale)), max(1, round(width * scale))), np.float32)
    placement = Placement(height, width, height, width, height, width)
    return Masks(cells, np.ones(1, np.float32), placement, rles=[rle.encode(whole)])


def _fitted(masks: Masks, height: int, width: int) -> Masks:
    """One mask of a whole picture, for that picture in another size."""
    if (masks.height, masks.width) == (height, width):
        return masks
    if masks.cleaned[0]:
        return _as_masks(resize(masks.array[0].astype(np.float32), (height, width)) > 0.5)
    x0, y0, x1, y1 = masks.placements[0].crop
    across, down = width / masks.width, height / masks.height
    crop = round(x0 * across), round(y0 * down), round(x1 * across), round(y1 * down)
    if not (crop[0] < crop[2] and crop[1] < crop[3]):
        return _as_masks(resize(masks.array[0].astype(np.float32), (height, width)) > 0.5)
    placement = replace(masks.placements[0], height=height, width=width, crop=crop)
    prompt = masks.prompts[0]
    if prompt is not None and len(prompt.points):
        scale = np.array([width / masks.width, height / masks.height])
        prompt = Prompt(
            prompt.points * scale, prompt.labels, None if prompt.box is None else prompt.box * np.tile(scale, 2)
        )
    return Masks(masks.logits, masks.scores, placement, prompts=prompt)


def recipe_of(asked: Cutout, store: PictureStore) -> Recipe:
    """What a request asks for. Raises AnymaskError where it cannot be."""
    options = MatteOptions(
        trimap=Trimap(asked.foreground_threshold, asked.background_threshold, asked.erode), clean=asked.clean
    )
    if asked.classes is not None:
        options["classes"] = asked.classes
    background: Any = asked.background
    if isinstance(background, PictureBackground):
        background = store.picture(background.picture).rgb
    elif isinstance(background, str) and background != BLUR:
        # A name that is no colour would be taken for a file of this machine.
        if parse_color(background) is None:
            raise ImageError(f"The background {background[:60]!r} is no colour; give one, blur, or a picture's id.")
        background = load_background(background)
    if asked.bgcolor is not None and not all(0 <= part <= 255 for part in asked.bgcolor):
        raise ImageError(f"A colour is four numbers of 0 to 255 (red, green, blue, alpha), not {asked.bgcolor}.")
    line = None
    if asked.outline is not None:
        share, _, colour = asked.outline.partition(":")
        line = parse_share(share), opaque_color(colour or "white")
    return Recipe(
        mask_only=asked.mask_only,
        background=background,
        tint=asked.bgcolor if asked.bgcolor is not None and asked.bgcolor[3] else None,
        refine=asked.edges if asked.refine else False,
        foreground=asked.foreground,
        options=options,
        crop=parse_share(asked.margin) if asked.crop else None,
        outline=line,
        shadow=asked.shadow,
        pad=None if asked.pad is None else parse_ratio(asked.pad),
    )


def reduced(picture: Picture, longest: int | None) -> Picture:
    """A picture whose longer side has at most so many pixels."""
    height, width = picture.rgb.shape[:2]
    if longest is None or max(height, width) <= longest:
        return picture
    scale = longest / max(height, width)
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    alpha = None if picture.alpha is None else resize(picture.alpha, shape)
    return replace(picture, rgb=resize(picture.rgb, shape), alpha=alpha)


def make(asked: Cutout, recipe: Recipe, picture: Picture, cutter: BackgroundRemover | MasksCutter, form: str) -> bytes:
    """The bytes of the picture, or with `each` of a zip with one for each subject or class."""
    source = reduced(read_picture(picture), asked.max)
    if not asked.each:
        return encoded(recipe.one(cutter, source), form, asked.quality)
    if not isinstance(cutter, BackgroundRemover):
        raise PromptError("`each` is for the subjects that a model finds by itself, not for points, boxes and masks.")
    named = recipe.each(cutter, source)
    if not named:
        raise ImageError("The picture shows no subject.")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, image in named.items():
            archive.writestr(f"{name}.{form}", encoded(image, form, asked.quality))
    return buffer.getvalue()
