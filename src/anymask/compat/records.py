"""Masks of everything as the reference packages' generators give them: a dict for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anymask import rle
from anymask.masks import Masks

SEGMENTATIONS: dict[str, Callable[[rle.RLE], Any]] = {
    "binary_mask": rle.decode,
    "uncompressed_rle": dict,
    "coco_rle": rle.compress,
}
"""By output_mode."""


def records(masks: Masks, output_mode: str) -> list[dict[str, Any]]:
    """What `anymask.everything.generate` found, as dicts with SAM's keys, types and order."""
    shaped = SEGMENTATIONS[output_mode]
    boxes, crops = _sizes(masks.boxes), _sizes(masks.extra["crop_box"])
    return [
        {
            "segmentation": shaped(runs),
            "area": rle.area(runs),
            "bbox": boxes[i],
            "predicted_iou": masks.extra["predicted_iou"][i].item(),
            "point_coords": [masks.extra["point_coords"][i].tolist()],
            "stability_score": masks.extra["stability_score"][i].item(),
            "crop_box": crops[i],
        }
        for i, runs in enumerate(masks.rles(compressed=False))
    ]


def _sizes(boxes: np.ndarray) -> list[list[int]]:
    """x0, y0, x1, y1 to x, y, width, height, whole numbers."""
    sizes: list[list[int]] = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(int).tolist()
    return sizes
