"""`SamAutomaticMaskGenerator`: the reference's signature and records over `anymask.everything`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from anymask.compat.mask_generator import MaskGenerator
from anymask.compat.segment_anything.modeling import Sam
from anymask.compat.segment_anything.predictor import SamPredictor, in_model_format


class SamAutomaticMaskGenerator(MaskGenerator):
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
        super().__init__(
            points_per_side, points_per_batch, pred_iou_thresh, stability_score_thresh, stability_score_offset,
            box_nms_thresh, crop_n_layers, crop_nms_thresh, crop_overlap_ratio, crop_n_points_downscale_factor,
            point_grids, min_mask_region_area, output_mode,
        )  # fmt: skip
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
        return self.found(model.segmenter.encode(in_model_format(model, image)), model.mask_threshold)
