"""Background removal: a picture's subject, or what a prompt points at, cut out along its edges and without the old
background's colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypedDict, Unpack

import cv2
import numpy as np
from PIL import Image

from anymask import matting
from anymask.catalog import ModelEntry, find, models
from anymask.compositing import BLUR, Background, CutOut, blurred
from anymask.errors import ImageError, ModelError, PromptError
from anymask.foreground import foreground_by
from anymask.images import Picture, Source, read_picture
from anymask.masks import Masks
from anymask.matting import Trimap
from anymask.pointing import coarse_matte, whole_matte
from anymask.prompts import Prompt
from anymask.refine import resize
from anymask.runtime import load_matte_engine, load_segment_engine
from anymask.runtime.engine import MatteEngine, SegmentEngine
from anymask.runtime.matte import SubjectMatte
from anymask.segmenter import Segmenter

Choice = bool | str
"""On, off, or the name of a method."""

APART = 0.01  # of the largest subject's area: smaller pieces are no subjects of their own


class MatteOptions(TypedDict, total=False):
    """What may be said about a matte.

    Keys:
        prompt: cut out what this points at instead of the subject that the model finds (`anymask.Prompt`); for
            promptable models.
        classes: of a model that tells classes apart (`BackgroundRemover.classes`), those that are wanted; all of them
            by default.
        trimap: what the refinements "closed-form" and "vitmatte" take for certain (`anymask.matting.Trimap`).
        refiner: the model of the refinement "vitmatte", a name from the catalogue.
        clean: make a hard mask of it, opened and smoothed, as rembg's post-processing does.
    """

    prompt: Prompt | None
    classes: Sequence[str] | None
    trimap: Trimap | None
    refiner: str | None
    clean: bool


class BackgroundRemover:
    """A model that finds a picture's subject, or what one points at, loaded and ready. One may be shared by threads.

    Args:
        model: a name from the catalogue (`anymask.models()`).
        device: auto, cpu, cuda or mps.
        precision: auto, fp32, bf16 or fp16.
        weights: a checkpoint's path, to use instead of the model's own weights.
        preprocessing: original, the recipe of the network's authors, or rembg, that of the package rembg.

    Raises ModelError, WeightsError or MissingExtraError when that cannot be had.
    """

    def __init__(
        self,
        model: str = "pocket",
        device: str = "auto",
        precision: str = "auto",
        weights: str | Path | None = None,
        preprocessing: str = "original",
    ) -> None:
        spec = find(model)
        self.engine: MatteEngine | None = None
        segments: SegmentEngine | None = None
        if "matte" in spec.tasks or "segment" not in spec.tasks:  # the engine says what is wrong with others
            self.engine = load_matte_engine(model, device, precision, weights, preprocessing)
            segments = self.engine.segments if isinstance(self.engine, SubjectMatte) else None
        else:
            segments = load_segment_engine(model, device, precision, weights)
        self._segmenter = None if segments is None else Segmenter.over(segments, weights)

    @property
    def spec(self) -> ModelEntry:
        """The model's entry in the catalogue."""
        if self.engine is not None:
            return self.engine.spec
        assert self._segmenter is not None
        return self._segmenter.spec

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    @property
    def classes(self) -> tuple[str, ...]:
        """What the model tells apart (u2net_cloth_seg: upper, lower, full); empty where there is just the subject."""
        return () if self.spec.matte is None else self.spec.matte.classes

    @property
    def segmenter(self) -> Segmenter | None:
        """The same model, loaded once, for prompts; None for one that takes none."""
        return self._segmenter

    def matte(self, picture: Source | Picture, refine: Choice = True, **options: Unpack[MatteOptions]) -> np.ndarray:
        """How much of the subject each pixel shows.

        Args:
            picture: a path, bytes, file object, PIL image or array (see `anymask.images.read_picture`). Where it is
                transparent, so is the matte.
            refine: how the network's small map becomes as large as the picture (see `anymask.matting`): True or "fast",
                along the picture's edges and without specks; "closed-form"; "vitmatte"; False or "none", the network's
                own map, enlarged bilinearly.
            options: see `MatteOptions`.

        Returns:
            float32 `[H, W]` in 0..1, of the picture's size; of several classes the largest value.

        Raises:
            ImageError: the picture cannot be read.
            PromptError: the model needs a prompt, knows none, or this one does not fit the picture.
            ModelError, MissingExtraError, WeightsError: the class or the refinement is unknown or cannot be had.
        """
        return _together(self._mattes(read_picture(picture), refine, options))

    def cutout(
        self,
        picture: Source | Picture,
        *,
        refine: Choice = True,
        foreground: Choice = True,
        **options: Unpack[MatteOptions],
    ) -> CutOut:
        """The subject's colours and its matte, to put over any number of backgrounds; arguments as for `remove`."""
        return self._cutout(read_picture(picture), refine, foreground, options)

    def cutouts(
        self,
        picture: Source | Picture,
        *,
        refine: Choice = True,
        foreground: Choice = True,
        **options: Unpack[MatteOptions],
    ) -> dict[str, CutOut]:
        """Each subject apart; arguments as for `remove`.

        Returns:
            By the names of its classes what a model tells apart; else by number ("1", "2", ...) the pieces that do not
            touch, the largest first, without those that are smaller than a hundredth of it. Empty without a subject.
        """
        source = read_picture(picture)
        mattes = self._mattes(source, refine, options)
        if self.classes:
            named = dict(zip(options.get("classes") or self.classes, mattes, strict=True))
            return {name: _cut(source, alpha, foreground) for name, alpha in named.items()}
        pieces = _pieces(mattes[0])
        return {str(number): _cut(source, alpha, foreground) for number, alpha in enumerate(pieces, 1)}

    def remove(
        self,
        picture: Source | Picture,
        background: Background | None = None,
        *,
        refine: Choice = True,
        foreground: Choice = True,
        **options: Unpack[MatteOptions],
    ) -> Image.Image:
        """The picture without its background.

        Args:
            picture, refine, options: as for `matte`.
            background: None for transparency; else a colour or a picture (see `anymask.compositing.CutOut.over`), or
                "blur" for the picture's own background out of focus.
            foreground: True, or "multilevel" or "blur-fusion": estimate the subject's own colours where the old
                background shines through (see `anymask.foreground`). False: keep the picture's.

        Returns:
            An RGBA image, or with a background an RGB one, with the picture's colour profile and dots per inch.

        Raises:
            ImageError: the picture or the background cannot be read.
            Others as for `matte`.
        """
        source = read_picture(picture)
        cut = self._cutout(source, refine, foreground, options)
        if background is None:
            return cut.image()
        if isinstance(background, str) and background == BLUR:
            background = blurred(source.rgb, cut.alpha)
        return cut.over(background)

    def _cutout(self, source: Picture, refine: Choice, foreground: Choice, options: MatteOptions) -> CutOut:
        return _cut(source, _together(self._mattes(source, refine, options)), foreground)

    def _mattes(self, source: Picture, refine: Choice, options: MatteOptions) -> list[np.ndarray]:
        """float32 [H, W], one for each wanted class, or one."""
        unknown = options.keys() - MatteOptions.__annotations__.keys()
        if unknown:
            raise TypeError(f"BackgroundRemover knows no option {min(unknown)!r}")
        matting.method_of(refine)  # an unknown one is told before the network's work
        prompt = options.get("prompt")
        coarse = (
            self._found(source.rgb, options.get("classes")) if prompt is None else self._pointed_at(source.rgb, prompt)
        )
        return [_refined(one, source, refine, options) for one in coarse]

    def _found(self, rgb: np.ndarray, classes: Sequence[str] | None) -> np.ndarray:
        """The subject, or the wanted classes of it: float32 [N, h, w]."""
        if self.engine is None:
            raise PromptError(f"{self.name} finds nothing by itself: give it a point or a box, or take another model.")
        wanted = self.classes if classes is None else tuple(classes)
        for name in wanted:
            if name not in self.classes:
                known = f"tells apart {', '.join(self.classes)}" if self.classes else "knows no classes"
                raise ModelError(f"{self.name} {known}; there is no class {name!r}.")
        if self.classes and not wanted:
            raise ModelError(f"No class is wanted; {self.name} tells apart {', '.join(self.classes)}.")
        mattes = self.engine.mattes(rgb)
        return mattes[[self.classes.index(name) for name in wanted]] if wanted else mattes

    def _pointed_at(self, rgb: np.ndarray, prompt: Prompt) -> np.ndarray:
        """The likeliest mask of a prompt as a matte float32 [1, h, w]."""
        if self._segmenter is None:
            able = [entry.name for entry in models() if "segment" in entry.tasks]
            raise PromptError(f"{self.name} takes no points or boxes; these do: {', '.join(able)}.")
        (found,) = self._segmenter.encode(rgb).predict_batch([prompt])
        return whole_matte(found.best)[None]

    def __repr__(self) -> str:
        return f"BackgroundRemover({self.name!r})"


def remove_background(
    picture: Source | Picture,
    model: str = "pocket",
    *,
    background: Background | None = None,
    refine: Choice = True,
    foreground: Choice = True,
    device: str = "auto",
    precision: str = "auto",
    weights: str | Path | None = None,
    preprocessing: str = "original",
    **options: Unpack[MatteOptions],
) -> Image.Image:
    """A picture without its background, in one call: `BackgroundRemover(...).remove(...)`, the model kept loaded."""
    remover = _remover(model, device, precision, weights, preprocessing)
    return remover.remove(picture, background, refine=refine, foreground=foreground, **options)


@lru_cache(maxsize=4)
def _remover(
    model: str, device: str, precision: str, weights: str | Path | None, preprocessing: str
) -> BackgroundRemover:
    return BackgroundRemover(model, device, precision, weights, preprocessing)


def cut_out(
    picture: Source | Picture,
    masks: Masks,
    *,
    refine: Choice = True,
    foreground: Choice = True,
    trimap: Trimap | None = None,
    refiner: str | None = None,
    clean: bool = False,
) -> list[CutOut]:
    """Each of a segmenter's masks as a cut-out with soft edges; so a picture that is asked many things, or for
    everything in it, is encoded once.

    Args:
        picture: the one that the masks are of.
        masks: what `EncodedImage.predict` (its `best`, of several candidates) or `everything` gave.
        refine, foreground: as for `BackgroundRemover.remove`.
        trimap, refiner, clean: see `MatteOptions`.

    Raises:
        ImageError: the picture cannot be read, or is not of the masks' size.
        ModelError, MissingExtraError, WeightsError: the refinement is unknown or cannot be had.
    """
    source = read_picture(picture)
    height, width = source.rgb.shape[:2]
    if (masks.height, masks.width) != (height, width):
        raise ImageError(
            f"The picture has {width} x {height} pixels, but the masks are of one of {masks.width} x {masks.height}."
        )
    matting.method_of(refine)
    options = MatteOptions(trimap=trimap, refiner=refiner, clean=clean)
    cuts = []
    for index, placement in enumerate(masks.placements[: len(masks)]):
        x0, y0, x1, y1 = placement.crop
        seen = None if source.alpha is None else source.alpha[y0:y1, x0:x1]
        part = replace(source, rgb=source.rgb[y0:y1, x0:x1], alpha=seen)
        alpha = np.zeros((height, width), np.float32)
        alpha[y0:y1, x0:x1] = _refined(coarse_matte(masks, index), part, refine, options)
        cuts.append(_cut(source, alpha, foreground))
    return cuts


def _refined(coarse: np.ndarray, source: Picture, refine: Choice, options: MatteOptions) -> np.ndarray:
    """A coarse matte float32 [h, w] over the picture at the picture's size, transparent where the picture is."""
    method = matting.method_of(refine)
    if method == "none":
        alpha: np.ndarray = np.clip(resize(coarse, source.rgb.shape), 0, 1)
    else:
        alpha = matting.refine(coarse, source.rgb, method, options.get("trimap") or Trimap(), options.get("refiner"))
    if options.get("clean"):
        alpha = matting.clean(alpha)
    return alpha if source.alpha is None else np.minimum(alpha, source.alpha / np.float32(255))


def _together(mattes: list[np.ndarray]) -> np.ndarray:
    """The largest value of each pixel; of one matte no copy is made."""
    return mattes[0] if len(mattes) == 1 else np.maximum.reduce(mattes)


def _cut(source: Picture, alpha: np.ndarray, foreground: Choice) -> CutOut:
    return CutOut(foreground_by(source.rgb, alpha, foreground), alpha, source.icc_profile, source.dpi)


def _pieces(alpha: np.ndarray) -> list[np.ndarray]:
    """The parts of a matte float32 [H, W] that do not touch, the largest first; soft pixels go to the nearest part."""
    _, labels, about, _ = cv2.connectedComponentsWithStats((alpha > 0.5).astype(np.uint8))
    areas = about[1:, cv2.CC_STAT_AREA]
    kept = [1 + int(index) for index in np.argsort(-areas, kind="stable") if areas[index] >= APART * areas.max()]
    if len(kept) <= 1:
        return [alpha] if kept else []
    wanted = np.isin(labels, kept)
    # The nearest pixel of a part, for every pixel; each such pixel has a number of its own.
    _, nearest = cv2.distanceTransformWithLabels(
        (~wanted).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    owner = np.zeros(int(nearest.max()) + 1, np.int32)
    owner[nearest[wanted]] = labels[wanted]
    whose = owner[nearest]
    return [np.where(whose == label, alpha, np.float32(0)) for label in kept]
