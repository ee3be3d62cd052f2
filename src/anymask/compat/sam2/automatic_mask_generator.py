"""`SAM2AutomaticMaskGenerator`: the reference's signature and records over `anymask.everything`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from anymask.compat.mask_generator import MaskGenerator
from anymask.compat.sam2.modeling.sam2_base import SAM2Base
from anymask.compat.sam2.sam2_image_predictor import SAM2ImagePredictor, encode
from anymask.placement import Box
from anymask.segmenter import EncodedImage


class SAM2AutomaticMaskGenerator(MaskGenerator):
    """Masks of all that is in a picture.

    Args:
        model: what `build_sam2` built.
        mask_threshold: logits above this are the object.
        output_mode: the masks as `binary_mask`, bool `[H, W]`; `uncompressed_rle`, lists of runs; or `coco_rle`.
        use_m2m: ask for every mask once more, with itself as the mask prompt; takes about four times as long.
        multimask_output: three candidates at each point, or one mask.

    The other arguments are those of `anymask.everything.Options`. All may be changed later as attributes.

    Raises:
        AssertionError: both or neither of points_per_side and point_grids, or another output_mode.
        PromptError: a value out of its range.
        ModelError, WeightsError, MissingExtraError: the model cannot be loaded.
    """

    def __init__(
        self,
        model: SAM2Base,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.8,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        mask_threshold: float = 0.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[np.ndarray] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
        use_m2m: bool = False,
        multimask_output: bool = True,
    ) -> None:
        super().__init__(
            points_per_side, points_per_batch, pred_iou_thresh, stability_score_thresh, stability_score_offset,
            box_nms_thresh, crop_n_layers, crop_nms_thresh, crop_overlap_ratio, crop_n_points_downscale_factor,
            point_grids, min_mask_region_area, output_mode,
        )  # fmt: skip
        self.mask_threshold = mask_threshold
        self.use_m2m = use_m2m
        self.multimask_output = multimask_output
        self.predictor = SAM2ImagePredictor(model)

    @classmethod
    def from_pretrained(cls, model_id: str, **options: Any) -> SAM2AutomaticMaskGenerator:
        """A generator by the model's repository, `facebook/sam2.1-hiera-large`, with its official checkpoint; the
        options are the generator's. Raises ModelError for another name."""
        from anymask.compat.sam2.build_sam import build_sam2_hf

        return cls(build_sam2_hf(model_id), **options)

    def generate(self, image: np.ndarray | Image.Image) -> list[dict[str, Any]]:
        """All masks of a picture, uint8 `[H, W, 3]` RGB or of Pillow, in the reference's order.

        Returns:
            For each mask a dict: `segmentation` as `output_mode` says; `area` in pixels; `bbox` [x, y, w, h], w and h
            from the first to the last column and row; `predicted_iou`; `point_coords` [[x, y]], what was asked;
            `stability_score`; `crop_box` [x, y, w, h], what was looked at.

        Raises:
            ImageError: not such a picture.
            PromptError: an attribute was set to a value out of its range.
        """
        encoded = encode(self.predictor.model, image)
        return self.found(_Asked(encoded, self.multimask_output, self.use_m2m), self.mask_threshold)


class _Asked:
    """A picture that answers points in one of the ways that the generator has; see `everything.PointModel`."""

    def __init__(self, image: EncodedImage, several: bool, again: bool) -> None:
        self._image, self._several, self._again = image, several, again
        self.placement = image.placement

    def predict_points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        engine, embedding = self._image.segmenter.engine, self._image.embedding
        coords, labels = self.placement.to_input(points)[:, None], np.ones((len(points), 1), np.float32)
        logits, scores = engine.decode(embedding, coords, labels)
        chosen = slice(1, None) if self._several else slice(0, 1)
        logits, scores = logits[:, chosen], scores[:, chosen]
        if self._again:
            count, maps = logits.shape[1], logits.reshape(-1, *logits.shape[2:])
            found = engine.decode(embedding, coords.repeat(count, axis=0), labels.repeat(count, axis=0), maps)
            logits, scores = found[0][:, 0].reshape(logits.shape), found[1][:, 0].reshape(scores.shape)
        return logits, scores

    def crop(self, box: Box) -> _Asked:
        return _Asked(self._image.crop(box), self._several, self._again)
