"""`Masks`: what every task of anymask answers. It keeps low-resolution logits and makes the rest on demand."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from anymask import rle
from anymask.errors import AnymaskError
from anymask.placement import Placement, Region
from anymask.prompts import Prompt

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Masks", "Placement", "non_maximum_suppression", "stability"]


class Masks:
    """N masks of one picture.

    Args:
        logits: float32 `[N, h, w]`, the network's low-resolution maps; above 0 is the object.
        scores: float32 `[N]`, the network's own estimate of each mask's IoU, about 0 to 1.
        placement: how the maps lie on the picture; one for all, or one for each.
        rles: for each mask None, or a COCO RLE at the picture's size that takes the place of its logits (a mask that
            was cleaned up after the network).
        extra: more columns, arrays of length N by name (`stability_score`, `point_coords`, ...).
        prompts: what was asked; one for all, or one for each.
    """

    def __init__(
        self,
        logits: np.ndarray,
        scores: np.ndarray,
        placement: Placement | Sequence[Placement],
        *,
        rles: Sequence[rle.RLE | None] | None = None,
        extra: dict[str, np.ndarray] | None = None,
        prompts: Prompt | Sequence[Prompt | None] | None = None,
    ) -> None:
        self.logits = np.asarray(logits, np.float32)
        self.scores = np.asarray(scores, np.float32)
        if self.logits.ndim != 3 or self.scores.shape != self.logits.shape[:1]:
            shapes = f"{self.logits.shape} and {self.scores.shape}"
            raise AnymaskError(f"Masks need logits [N, h, w] and scores [N], not arrays of shapes {shapes}.")
        count = len(self.scores)
        # Of no masks the placement is still kept: it knows the picture's size.
        self.placements = (placement,) * max(count, 1) if isinstance(placement, Placement) else tuple(placement)
        self.height, self.width = self.placements[0].height, self.placements[0].width
        self.extra = {name: np.asarray(column) for name, column in (extra or {}).items()}
        self.prompts = (prompts,) * count if isinstance(prompts, Prompt) or prompts is None else tuple(prompts)
        self._rles = (None,) * count if rles is None else tuple(rles)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> Masks:
        """Some of the masks: by number (`Masks` of length 1), slice, list of numbers, or bool `[N]`."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return Masks(
            self.logits[chosen],
            self.scores[chosen],
            [self.placements[i] for i in chosen] or self.placements[0],
            rles=[self._rles[i] for i in chosen],
            extra={name: column[chosen] for name, column in self.extra.items()},
            prompts=[self.prompts[i] for i in chosen],
        )

    def __iter__(self) -> Iterator[Masks]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        scores = ", ".join(f"{score:.2f}" for score in self.scores[:8]) + (", ..." if len(self) > 8 else "")
        return f"Masks({len(self)} on {self.width} x {self.height} pixels, scores [{scores}])"

    @classmethod
    def concatenate(cls, parts: Sequence[Masks]) -> Masks:
        """The masks of several answers for one picture, in order; extra columns that all of them have are kept."""
        if not parts:
            raise AnymaskError("There are no masks to put together; give at least one Masks.")
        sizes = {(part.height, part.width) for part in parts} | {part.logits.shape[1:] for part in parts}
        if len(sizes) > 2:
            raise AnymaskError("Masks can be put together only when their pictures and logits have the same size.")
        names = [name for name in parts[0].extra if all(name in part.extra for part in parts)]
        return cls(
            np.concatenate([part.logits for part in parts]),
            np.concatenate([part.scores for part in parts]),
            [placement for part in parts for placement in part.placements[: len(part)]] or parts[0].placements[0],
            rles=[one for part in parts for one in part._rles],
            extra={name: np.concatenate([part.extra[name] for part in parts]) for name in names},
            prompts=[prompt for part in parts for prompt in part.prompts],
        )

    @property
    def best(self) -> Masks:
        """The mask with the highest score, as `Masks` of length 1."""
        if not len(self):
            raise AnymaskError("There is no best mask, because there are no masks.")
        return self[int(self.scores.argmax())]

    @property
    def cleaned(self) -> tuple[bool, ...]:
        """Whether each mask was changed after the network made it, so that its logits are another's."""
        return tuple(one is not None for one in self._rles)

    def region(self, index: int) -> Region:
        """One mask cut to its bounding box, made without a picture-sized array."""
        override = self._rles[index]
        if override is not None:
            return rle.region(override)
        return self.placements[index].region(self.logits[index])

    @cached_property
    def array(self) -> np.ndarray:
        """bool `[N, H, W]` at the picture's size; made once, then kept."""
        array = np.zeros((len(self), self.height, self.width), bool)
        for i, whole in enumerate(array):
            x, y, pixels = self.region(i)
            whole[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        return array

    @cached_property
    def _measures(self) -> tuple[np.ndarray, np.ndarray]:
        areas, boxes = np.zeros(len(self), np.int64), np.zeros((len(self), 4), np.float32)
        for i in range(len(self)):
            x, y, pixels = self.region(i)
            if pixels.size:
                areas[i] = np.count_nonzero(pixels)
                boxes[i] = x, y, x + pixels.shape[1] - 1, y + pixels.shape[0] - 1
        return areas, boxes

    @property
    def areas(self) -> np.ndarray:
        """int64 `[N]`, pixels in each mask."""
        return self._measures[0]

    @property
    def boxes(self) -> np.ndarray:
        """float32 `[N, 4]`: first column, first row, last column, last row of each mask (SAM's convention: the last
        ones belong to the mask); zeros for an empty mask."""
        return self._measures[1]

    def rles(self, compressed: bool = True) -> list[rle.RLE]:
        """COCO's RLE of each mask, `{"size": [H, W], "counts": ...}`; uncompressed, counts are a list of runs."""
        runs = [one or rle.encode(self.region(i), self.height, self.width) for i, one in enumerate(self._rles)]
        return [rle.compress(one) if compressed else {**one, "counts": rle.counts(one)} for one in runs]

    def polygons(self, tolerance: float = 0.5, holes: bool = False) -> list[list[np.ndarray]]:
        """The outlines of each mask: a list of rings, float32 `[K, 2]` x and y, not closed.

        Coordinates run along the edges of pixels: the pixel at column 0, row 0 covers 0 to 1. Outer rings run clockwise
        on the screen; with `holes`, each is followed by the rings of its holes, which run the other way.

        Args:
            tolerance: how far a ring may leave the mask's edge, in pixels; 0 follows every pixel exactly.
        """
        from anymask import polygons

        found = [polygons.trace(self.region(i), tolerance) for i in range(len(self))]
        return [[ring for rings in one for ring in (rings if holes else rings[:1])] for one in found]

    def to_coco(self, image_id: int = 1, file_name: str | None = None, category: str = "object") -> dict[str, Any]:
        """A whole COCO data set of one picture (images, annotations, categories), ready for `json.dump`."""
        from anymask.formats import coco

        return coco.dataset(self, image_id, file_name, category)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the masks to a file whose suffix names the format.

        `.png`: one mask as 8-bit 0 and 255; several as a label picture, 0 for nothing, i + 1 for mask i. `.json`: COCO.
        `.svg`, `.geojson`: outlines in pixels, y down. `.npz`: masks, scores, boxes, areas, logits and extra columns.

        Raises:
            FormatError: the suffix is none of these.
            ImageError: the file cannot be written; one that was there before is left as it was.
        """
        from anymask import formats

        formats.save(self, path)

    def overlay(self, picture: Any, *, prompts: bool = True) -> Image.Image:
        """The picture (anything that `read_image` takes) with the masks, and what was asked, drawn on it.

        Raises:
            ImageError: the picture is not of the masks' size.
        """
        from anymask.overlay import draw

        return draw(self, picture, prompts=prompts)


def stability(logits: np.ndarray, threshold: float = 0.0, offset: float = 1.0) -> np.ndarray:
    """SAM's stability score of logits `[..., h, w]`: float32 `[...]`, 0 to 1.

    It is the IoU of the masks at `threshold + offset` and `threshold - offset` (`calculate_stability_score`), 0 where
    both are empty. Give only logits that lie on the picture: `placement.valid(logits)`.
    """
    inner = np.count_nonzero(logits > threshold + offset, axis=(-2, -1))
    outer = np.count_nonzero(logits > threshold - offset, axis=(-2, -1))
    return np.asarray(inner / np.maximum(outer, 1), np.float32)


def non_maximum_suppression(
    boxes: np.ndarray, scores: np.ndarray, iou_threshold: float, most: int | None = None
) -> np.ndarray:
    """The boxes to keep, best first: int64 indices into `boxes` `[N, 4]` (x0, y0, x1, y1) and `scores` `[N]`.

    Greedy: a box goes when its IoU with a better kept one is above `iou_threshold`; of equal scores the first wins.
    With `most` it ends at so many.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    rest = np.argsort(-np.asarray(scores), kind="stable")
    kept: list[int] = []
    while len(rest) and (most is None or len(kept) < most):
        first, rest = rest[0], rest[1:]
        kept.append(int(first))
        size = np.minimum(boxes[first, 2:], boxes[rest, 2:]) - np.maximum(boxes[first, :2], boxes[rest, :2])
        shared = size.clip(min=0).prod(axis=1)
        rest = rest[shared <= iou_threshold * (areas[first] + areas[rest] - shared)]
    return np.array(kept, np.int64)
