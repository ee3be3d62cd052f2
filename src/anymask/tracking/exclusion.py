"""Objects that exclude each other: what is visible of a frame at a place belongs to one of them at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from anymask.placement import NOTHING, Placement
from anymask.tracking.extent import box_of
from anymask.tracking.follower import Answer
from anymask.tracking.kalman import overlap
from anymask.tracking.motion import centres, logits_at

ROUNDING = 1e-4  # of a logit, so that no rounding makes of two that are about 0 two above it
LEFT = 0.25  # of its mask; an object that keeps less was found on others


def exclude(answers: Mapping[int, Answer], told: set[int]) -> dict[int, Answer]:
    """Answers that share no place.

    With logits a and b of two objects a becomes min(a, (a - b) / 2), and b likewise: the surer one keeps its place, and
    since their sum is nowhere above 0, no interpolation between cells of one grid can bring them together again (on
    views of different grids they may still meet in the pixels along an edge). SAM 2's reference has a harder rule for
    the same, off unless asked for: all but the largest logit of a pixel at most -10. What a user said stands as it is,
    and takes its places from the others. An object that keeps less than a quarter of its mask had been found on
    others; it becomes one that is not seen.

    Args:
        answers: of one frame, by object.
        told: the objects whose answers are a user's.
    """
    boxes = {key: box for key, one in answers.items() if (box := box_of(one)) is not None}
    found: dict[int, Answer] = {}
    for key, one in answers.items():
        near = [other for other in boxes if other != key and key in boxes and overlap(boxes[key], boxes[other]) > 0]
        found[key] = one if key in told or not near else _less(one, [(answers[i], i in told) for i in near])
    return found


def _less(one: Answer, others: list[tuple[Answer, bool]]) -> Answer:
    """An answer without what others are surer of, or were told of."""
    cells = centres(one.placement, one.logits.shape[-1])
    logits = one.logits
    for other, told in others:
        theirs = on_cells(other, one.placement, cells)
        logits = np.minimum(logits, (-theirs if told else (one.logits - theirs) / 2) - ROUNDING)
    before, after = (np.count_nonzero(one.placement.valid(values) > 0) for values in (one.logits, logits))
    if after < LEFT * before:
        return replace(one, logits=np.full_like(logits, NOTHING), score=0.0, presence=0.0)
    return one if logits is one.logits else replace(one, logits=logits)


def on_cells(answer: Answer, place: Placement, cells: np.ndarray) -> np.ndarray:
    """An answer's logits on the cells of another grid, whose `centres` are given: float32 `[h, w]`."""
    if answer.placement == place:
        return answer.logits
    return logits_at(answer.logits, answer.placement, cells)
