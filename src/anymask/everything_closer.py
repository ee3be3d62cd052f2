"""A second look for `everything`: what was found and is small is asked for again in closer views of the picture.

The views are SAM's crops of the second and third layer (`grids.crop_boxes`), each encoded once for all the masks that
lie well within it, so that a search costs at most twenty encodings more however much it found. A mask is asked for with
the mask itself and the point that found it. What comes back counts only where it is the same thing, seen more finely.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anymask.catalog import SecondLook
from anymask.grids import crop_boxes
from anymask.placement import Box, Placement
from anymask.prompts import Prompt
from anymask.second_look import MARGIN, MOST_ENLARGED

if TYPE_CHECKING:
    from anymask.segmenter import EncodedImage

LAYERS = 2
OVERLAP = 512 / 1500  # SAM's crop_overlap_ratio
ROOM = 2.0  # a view is at least so many times as long as what is looked at in it
SAME = 0.6  # IoU with the first mask from which a second one is taken to show the same thing
AT_ONCE = 32  # masks decoded together


@dataclass(frozen=True, eq=False)
class Small:
    """A mask of the whole picture: logits float32 `[h, w]`, its box x0, y0, x1, y1 and the point x, y that found it."""

    logits: np.ndarray
    box: np.ndarray
    point: np.ndarray


@dataclass(frozen=True, eq=False)
class Closer:
    """The same thing in a closer view: logits float32 `[h, w]`, predicted IoU, and where the view lies."""

    logits: np.ndarray
    score: float
    placement: Placement


def look_closer(image: EncodedImage, found: Sequence[Small], rules: SecondLook) -> list[Closer | None]:
    """What closer views say of each mask; None where it is large enough as it is, or the views show something else.

    Args:
        image: the encoded picture.
        found: masks that lie on `image.placement`.
        rules: what counts as small.

    Raises ImageError when the image was loaded without its picture.
    """
    answers: list[Closer | None] = [None] * len(found)
    for box, members in _views(image.placement, [one.box for one in found], rules).items():
        view = image.crop(box)
        for start in range(0, len(members), AT_ONCE):
            batch = members[start : start + AT_ONCE]
            before = [view.placement.carry(found[i].logits, image.placement) for i in batch]
            prompts = [
                Prompt(points=[found[i].point], mask=mask if image.segmenter.spec.prompts.mask else None)
                for i, mask in zip(batch, before, strict=True)
            ]
            for i, mask, masks in zip(batch, before, view.predict_batch(prompts, multimask=False), strict=True):
                if _agreement(mask > 0, masks.logits[0] > 0) >= SAME:
                    answers[i] = Closer(masks.logits[0], float(masks.scores[0]), view.placement)
    return answers


def _views(picture: Placement, boxes: Sequence[np.ndarray], rules: SecondLook) -> dict[Box, list[int]]:
    """Which views to make, and the numbers of the boxes to be looked at in each."""
    whole = max(picture.height, picture.width)
    least = max(picture.model_height, picture.model_width) / MOST_ENLARGED
    crops = crop_boxes(picture.height, picture.width, LAYERS, OVERLAP)
    chosen: dict[Box, list[int]] = defaultdict(list)
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        length = max(x1 - x0, y1 - y0) + 1
        if length >= rules.below * whole:
            continue
        fitting = [
            (-layer, float(np.hypot((x0 + x1 - left - right) / 2, (y0 + y1 - top - bottom) / 2)), crop)
            for crop, layer in crops
            if layer
            for left, top, right, bottom in [crop]
            if max(right - left, bottom - top) >= max(ROOM * length, least)
            and _holds(crop, (x0, y0, x1, y1), MARGIN * length, picture)
        ]
        if fitting:
            chosen[min(fitting)[2]].append(number)
    return chosen


def _holds(view: Box, box: tuple[float, ...], margin: float, picture: Placement) -> bool:
    """Whether a box lies in a view with a margin, except at the picture's own edges."""
    low, high = np.array(view[:2]), np.array(view[2:])
    first, last = np.array(box[:2]) - margin, np.array(box[2:]) + margin
    at_start, at_end = low == 0, high == (picture.width, picture.height)
    return bool(((first >= low) | at_start).all() and ((last <= high - 1) | at_end).all())


def _agreement(a: np.ndarray, b: np.ndarray) -> float:
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0
