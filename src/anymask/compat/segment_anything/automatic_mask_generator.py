"""`SamAutomaticMaskGenerator`: the reference's signature and records over `anymask.everything`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from anymask.compat.records import SEGMENTATIONS, records
from anymask.compat.segment_anything.modeling import Sam
from anymask.compat.segment_anything.predictor import SamPredictor, in_model_format
from anymask.compat.segment_anything.utils.amg import build_all_layer_point_grids
from anymask.everything import Options, PointModel, generate
from anymask.placement import Box


class SamAutomaticMaskGenerator:
    """Masks of all that is in a picture.

    Args:
        model: what the registry built.
        output_mode: the masks as `binary_mask`, bool `[H, W]`; `uncompressed_rle`, lists of runs; or `coco_rle`.

    The other arguments are those of `anymask.everything.Options`, and may be changed later as attributes.

    Raises:
        AssertionError: both or neither of points_per_side and point_grids, or another output_mode.
        PromptError: a value out of its range.
        ModelError, WeightsError, MissingExtraError: the model cannot be loaded.
    """

    def __init__(
        self,
        model: Sam,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[np.ndarray] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
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
            self.point_grids = build_all_layer_point_grids(
                points_per_side, crop_n_layers, crop_n_points_downscale_factor
            )
        self._options()
        self.predictor = SamPredictor(model)

    def generate(self, image: np.ndarray) -> list[dict[str, Any]]:
        """All masks of a picture, uint8 `[H, W, 3]` RGB, in the reference's order.

        Returns:
            For each mask a dict: `segmentation` as `output_mode` says; `area` in pixels; `bbox` [x, y, w, h], w and h
            from the first to the last column and row; `predicted_iou`; `point_coords` [[x, y]], what was asked;
            `stability_score`; `crop_box` [x, y, w, h], what was looked at.

        Raises:
            ImageError: not such an array.
            PromptError: an attribute was set to a value out of its range.
        """
        model = self.predictor.model
        encoded: PointModel = model.segmenter.encode(in_model_format(model, image))
        if model.mask_threshold:
            encoded = _Thresholded(encoded, model.mask_threshold)
        return records(generate(encoded, self._options()), self.output_mode)

    def _options(self) -> Options:
        assert self.point_grids is not None
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
