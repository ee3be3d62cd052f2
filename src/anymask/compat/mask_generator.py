"""What the automatic mask generators of both reference packages share: their settings, and a dict for each mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anymask import rle
from anymask.everything import Options, PointModel, generate
from anymask.grids import layer_grids
from anymask.masks import Masks
from anymask.placement import Box

SEGMENTATIONS: dict[str, Callable[[rle.RLE], Any]] = {
    "binary_mask": rle.decode,
    "uncompressed_rle": dict,
    "coco_rle": rle.compress,
}
"""By output_mode."""


class MaskGenerator:
    """The settings, as attributes that may be changed later; see `anymask.everything.Options`.

    Raises:
        AssertionError: both or neither of points_per_side and point_grids, or another output_mode.
        PromptError: a value out of its range.
    """

    def __init__(
        self,
        points_per_side: int | None,
        points_per_batch: int,
        pred_iou_thresh: float,
        stability_score_thresh: float,
        stability_score_offset: float,
        box_nms_thresh: float,
        crop_n_layers: int,
        crop_nms_thresh: float,
        crop_overlap_ratio: float,
        crop_n_points_downscale_factor: int,
        point_grids: Sequence[np.ndarray] | None,
        min_mask_region_area: int,
        output_mode: str,
    ) -> None:
        assert (points_per_side is None) != (point_grids is None), (
            "Exactly one of points_per_side or point_grids must be provided."
        )
        modes = ", ".join(SEGMENTATIONS)
        assert output_mode in SEGMENTATIONS, f"output_mode must be one of {modes}, not {output_mode}."
        self.points_per_batch = points_per_batch
        self.pred_iou_thresh = pred_iou_thresh
        self.stability_score_thresh = stability_score_thresh
        self.stability_score_offset = stability_score_offset
        self.box_nms_thresh = box_nms_thresh
        self.crop_n_layers = crop_n_layers
        self.crop_nms_thresh = crop_nms_thresh
        self.crop_overlap_ratio = crop_overlap_ratio
        self.crop_n_points_downscale_factor = crop_n_points_downscale_factor
        self.min_mask_region_area = min_mask_region_area
        self.output_mode = output_mode
        self.point_grids = point_grids
        if points_per_side is not None:
            self.point_grids = layer_grids(points_per_side, crop_n_layers, crop_n_points_downscale_factor)
        self._options()

    def found(self, model: PointModel, mask_threshold: float) -> list[dict[str, Any]]:
        """The records of what a model finds in a picture, masks being the logits above a threshold.

        Raises PromptError where an attribute was set to a value out of its range.
        """
        if mask_threshold:
            model = _Thresholded(model, mask_threshold)
        return _records(generate(model, self._options()), self.output_mode)

    def _options(self) -> Options:
        return Options(
            points_per_side=None,
            points_per_batch=self.points_per_batch,
            pred_iou_thresh=self.pred_iou_thresh,
            stability_score_thresh=self.stability_score_thresh,
            stability_score_offset=self.stability_score_offset,
            box_nms_thresh=self.box_nms_thresh,
            crop_n_layers=self.crop_n_layers,
            crop_nms_thresh=self.crop_nms_thresh,
            crop_overlap_ratio=self.crop_overlap_ratio,
            crop_n_points_downscale_factor=self.crop_n_points_downscale_factor,
            point_grids=self.point_grids,
            min_mask_region_area=self.min_mask_region_area,
        )


class _Thresholded:
    """A model whose masks begin at another logit than 0."""

    def __init__(self, model: PointModel, threshold: float) -> None:
        self._model, self._threshold = model, np.float32(threshold)
        self.placement = model.placement

    def predict_points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = self._model.predict_points(points)
        return logits - self._threshold, scores

    def crop(self, box: Box) -> PointModel:
        return _Thresholded(self._model.crop(box), float(self._threshold))


def _records(masks: Masks, output_mode: str) -> list[dict[str, Any]]:
    """What was found as dicts with SAM's keys, types and order."""
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
