"""A second look: where what is asked for covers little of the picture, the part round it is encoded once more, larger.

A network sees every picture at one size; of a small thing in it few pixels are left. A closer view shows it at the size
at which the network has learned most. The views are kept with the picture, so that the next clicks nearby cost no more
than clicks on the picture do.

Masks of a closer view lie on it (`Masks.placements`), and so do their logits. Given back as a prompt they are known
again, and are carried over to the view that answers next.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from anymask.catalog import SecondLook
from anymask.masks import Masks
from anymask.placement import Box, Placement, Region, span
from anymask.prompts import Prompt

if TYPE_CHECKING:
    from anymask.segmenter import EncodedImage

KEPT_VIEWS = 4
KEPT_ANSWERS = 12
MARGIN = 0.08  # of a thing's length, that must be left around it in a view that is used again
WORTHWHILE = 0.75  # of the picture's length; a view that is hardly smaller shows nothing new
MOST_ENLARGED = 4.0  # pixels of the network's input for a pixel of the picture


def closer_view(rules: SecondLook, thing: np.ndarray, picture: Placement) -> Box | None:
    """The part of the picture to look at for a thing x0, y0, x1, y1; None where the picture itself will do."""
    x0, y0, x1, y1 = (float(value) for value in thing)
    length, whole = max(x1 - x0, y1 - y0), max(picture.height, picture.width)
    side = max(rules.around * length, max(picture.model_height, picture.model_width) / MOST_ENLARGED)
    if length >= rules.below * whole or side > WORTHWHILE * whole:
        return None
    left, right = span((x0 + x1) / 2, side, picture.width)
    top, bottom = span((y0 + y1) / 2, side, picture.height)
    return left, top, right, bottom


class Views:
    """The closer views of one picture, and which logits were answered on which of them. Safe to use from threads."""

    def __init__(self) -> None:
        self._views: OrderedDict[Box, EncodedImage] = OrderedDict()
        self._answers: deque[tuple[np.ndarray, Placement]] = deque(maxlen=KEPT_ANSWERS)
        self._lock = Lock()

    def at(self, box: Box, thing: np.ndarray, look: Callable[[Box], EncodedImage]) -> EncodedImage:
        """A view of about this part of the picture in which the thing x0, y0, x1, y1 lies: a kept one, or a new one."""
        with self._lock:
            for kept in reversed(self._views):
                if _serves(kept, box, thing):
                    self._views.move_to_end(kept)
                    return self._views[kept]
        view = look(box)
        with self._lock:
            self._views[box] = view
            while len(self._views) > KEPT_VIEWS:
                self._views.popitem(last=False)
        return view

    def remember(self, answer: Masks) -> None:
        """Keep an answer's logits and where they lie, so that `placement_of` knows them; not the masks made of them,
        which are as large as the picture."""
        with self._lock:
            self._answers.append((answer.logits, answer.placements[0]))

    def placement_of(self, logits: np.ndarray) -> Placement | None:
        """Where logits `[h, w]` of an earlier answer lie; None for those of the whole picture, or of somewhere else."""
        with self._lock:
            newest_first = list(self._answers)[::-1]
        for maps, placement in newest_first:
            if any(np.array_equal(one, logits) for one in maps):
                return placement
        return None


def extent(prompt: Prompt, mask: Placement) -> np.ndarray | None:
    """The box x0, y0, x1, y1 that a prompt itself gives its thing: its box or its mask's, with its foreground points.

    `mask` is where the prompt's mask lies. None for a prompt of points alone, or with an empty mask.
    """
    if prompt.box is not None:
        return _with_points(np.asarray(prompt.box, np.float64), prompt)
    if prompt.mask is None:
        return None
    return _around(mask.region(prompt.mask), prompt)


def covered(answer: Masks, prompt: Prompt) -> np.ndarray | None:
    """The box of the mask that an answer ranks first, with the prompt's foreground points; None when it is empty."""
    return _around(answer.region(int(answer.scores.argmax())), prompt)


def _around(region: Region, prompt: Prompt) -> np.ndarray | None:
    x, y, pixels = region
    if not pixels.size:
        return None
    return _with_points(np.array([x, y, x + pixels.shape[1], y + pixels.shape[0]], np.float64), prompt)


def _with_points(box: np.ndarray, prompt: Prompt) -> np.ndarray:
    points = prompt.points[prompt.labels == 1]
    if not len(points):
        return box
    return np.concatenate([np.minimum(box[:2], points.min(axis=0)), np.maximum(box[2:], points.max(axis=0))])


def _serves(kept: Box, wanted: Box, thing: np.ndarray) -> bool:
    """Whether a kept view will do for the wanted one: of a like scale, and the thing well within."""
    scale = max(kept[2] - kept[0], kept[3] - kept[1]) / max(wanted[2] - wanted[0], wanted[3] - wanted[1])
    margin = MARGIN * max(thing[2] - thing[0], thing[3] - thing[1])
    # At the picture's edge there is nothing to leave around it; the wanted view says where that is.
    low = np.maximum(thing[:2] - margin, np.array(wanted[:2]).clip(max=thing[:2]))
    high = np.minimum(thing[2:] + margin, np.array(wanted[2:]).clip(min=thing[2:]))
    return bool(0.6 <= scale <= 1.7 and (low >= kept[:2]).all() and (high <= kept[2:]).all())
