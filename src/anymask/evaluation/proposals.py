"""How much of what is in a picture `everything` finds: each labelled object beside the mask that fits it best.

The measure is that of object proposals (Kirillov et al. 2023, section 7.3): average recall, the share of objects with a
mask of at least an IoU, mean over the IoUs 0.5, 0.55, ... 0.95; here for all masks that a search keeps, whose number is
given beside it. Sizes are those of MS COCO.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anymask import rle
from anymask.errors import FormatError
from anymask.formats.sa1b import read_folder
from anymask.masks import Masks
from anymask.segmenter import Segmenter

THRESHOLDS = np.arange(0.5, 0.96, 0.05)
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, float("inf"))}  # areas in pixels


@dataclass(frozen=True)
class ProposalsResult:
    """What a search found of labelled objects.

    Attributes:
        rows: by size of the objects, "all" first: average recall and mean best IoU.
        counts: of objects, by size.
        masks: mean number of masks a picture.
    """

    model: str
    folder: str
    rows: dict[str, tuple[float, float]]
    counts: dict[str, int]
    masks: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        rows = {size: {"average recall": recall, "mean best IoU": iou} for size, (recall, iou) in self.rows.items()}
        return {
            "model": self.model, "folder": self.folder, "objects": rows, "count": self.counts, "masks": self.masks
        }  # fmt: skip


def evaluate_proposals(
    folder: str | Path,
    segmenter: Segmenter,
    *,
    options: dict[str, Any] | None = None,
    min_area: int = 400,
    limit: int | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ProposalsResult:
    """Search pictures for everything and compare with the objects that are labelled in them (not parts, not stuff).

    Args:
        folder: pictures with SA-1B style JSON files.
        segmenter: a promptable model.
        options: of `everything`; the model's own when left out.
        min_area: objects of fewer pixels are passed over.
        limit: so many pictures at most, drawn at random by `seed`; None for all.
        on_progress: called with the pictures done and their number.

    Raises FormatError for a folder without such files or without a large enough object, PromptError for an option.
    """
    objects = [
        (record, [one for one in record.annotations if one.role == "object" and one.area >= min_area])
        for record in read_folder(folder)
    ]
    objects = [(record, members) for record, members in objects if members]
    if not objects:
        raise FormatError(f"No object in {folder} has at least {min_area} pixels.")
    if limit is not None and limit < len(objects):
        chosen = np.random.default_rng(seed).choice(len(objects), limit, replace=False)
        objects = [objects[i] for i in sorted(chosen)]
    areas: list[float] = []
    best: list[float] = []
    number = 0
    on_progress(0, len(objects))
    for done, (record, members) in enumerate(objects, 1):
        found = segmenter.encode(record.path).everything(**(options or {}))
        number += len(found)
        for one in members:
            areas.append(one.area)
            best.append(best_iou(found, np.asarray(rle.decode(one.rle))))
        on_progress(done, len(objects))
    every, sizes = np.array(best), np.array(areas)
    groups = {"all": np.ones(len(every), bool)}
    groups.update({name: (sizes >= low) & (sizes < high) for name, (low, high) in SIZES.items()})
    groups = {name: members for name, members in groups.items() if members.any()}
    rows = {name: (average_recall(every[members]), float(every[members].mean())) for name, members in groups.items()}
    counts = {name: int(members.sum()) for name, members in groups.items()}
    return ProposalsResult(segmenter.name, str(folder), rows, counts, number / len(objects))


def average_recall(ious: np.ndarray) -> float:
    """The share of best IoUs `[N]` that reach a threshold, mean over `THRESHOLDS`."""
    return float(np.mean([(ious >= threshold - 1e-9).mean() for threshold in THRESHOLDS]))


def best_iou(masks: Masks, truth: np.ndarray) -> float:
    """The largest IoU that any of the masks has with a mask bool `[H, W]`; 0 where there are none."""
    area, best = int(truth.sum()), 0.0
    for index in range(len(masks)):
        x, y, pixels = masks.region(index)
        common = int((truth[y : y + pixels.shape[0], x : x + pixels.shape[1]] & pixels).sum())
        union = area + int(pixels.sum()) - common
        best = max(best, common / union if union else 0.0)
    return best
