"""How `everything` looks and what it keeps: SAM's options, names and defaults."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anymask.errors import PromptError
from anymask.grids import layer_grids


@dataclass(frozen=True)
class Options:
    """How to look and what to keep: SAM's names and defaults.

    Attributes:
        points_per_side: the grid has the square of this many points; None when `point_grids` are given.
        points_per_batch: points decoded at once; more need more memory.
        pred_iou_thresh: masks whose predicted IoU is not above this are dropped; 0 or less keeps all.
        stability_score_thresh: masks less stable than this, 0 to 1, are dropped; 0 keeps all.
        stability_score_offset: by how much the logits' threshold is moved up and down to measure stability.
        box_nms_thresh: of two masks of one crop whose boxes' IoU is above this, the one of lower predicted IoU goes.
        crop_n_layers: layers of crops to look at besides the picture; layer i has 2**i a side.
        crop_nms_thresh: as `box_nms_thresh`, between masks of different crops; the one of the larger crop goes.
        crop_overlap_ratio: by how much the first layer's crops overlap, as a share of the picture's shorter side.
        crop_n_points_downscale_factor: in layer i, `points_per_side` is divided by this to the power of i.
        point_grids: instead of `points_per_side`, a grid for the picture and one for each layer: `[K, 2]`, x and y in 0
            to 1.
        min_mask_region_area: holes and islands of fewer pixels are removed from masks, and what then is found twice.
        second_look: ask for small masks once more in closer views of the picture, where they are finer; not SAM's (see
            `everything_closer`). Takes up to twenty encodings more.

    Raises:
        PromptError: a value is out of its range.
    """

    points_per_side: int | None = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    point_grids: Sequence[np.ndarray] | None = None
    min_mask_region_area: float = 0
    second_look: bool = False

    def __post_init__(self) -> None:
        for name in ("points_per_batch", "crop_n_points_downscale_factor"):
            _check_count(name, getattr(self, name), 1)
        _check_count("crop_n_layers", self.crop_n_layers, 0)
        _check_range("pred_iou_thresh", self.pred_iou_thresh, -1, 1)
        for name in ("stability_score_thresh", "box_nms_thresh", "crop_nms_thresh", "crop_overlap_ratio"):
            _check_range(name, getattr(self, name), 0, 1)
        for name in ("stability_score_offset", "min_mask_region_area"):
            _check_range(name, getattr(self, name), 0, math.inf)
        if (self.points_per_side is None) == (self.point_grids is None):
            raise PromptError("Give either points_per_side or point_grids: one of them, not both.")
        if self.points_per_side is not None:
            _check_count("points_per_side", self.points_per_side, 1)
        self.grids()

    def grids(self) -> list[np.ndarray]:
        """The points to ask in the picture, then in the crops of each layer: `[K, 2]`, x and y in 0 to 1."""
        if self.point_grids is None:
            assert self.points_per_side is not None
            return layer_grids(self.points_per_side, self.crop_n_layers, self.crop_n_points_downscale_factor)
        grids = [np.asarray(grid, np.float64) for grid in self.point_grids]
        if len(grids) != self.crop_n_layers + 1:
            raise PromptError(
                f"point_grids must hold a grid for the picture and one for each layer of crops, "
                f"{self.crop_n_layers + 1} in all, not {len(grids)}."
            )
        if any(grid.ndim != 2 or grid.shape[1] != 2 or not len(grid) for grid in grids):
            shapes = ", ".join(str(grid.shape) for grid in grids)
            raise PromptError(f"Each of point_grids must be one or more points [K, 2], not of shape {shapes}.")
        if not all(((grid >= 0) & (grid <= 1)).all() for grid in grids):
            raise PromptError("The points of point_grids must lie between 0 and 1, as shares of width and height.")
        return grids


def _check_count(name: str, value: Any, lowest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < lowest:
        raise PromptError(f"{name} must be a whole number of at least {lowest}, not {value!r}.")


def _check_range(name: str, value: Any, low: float, high: float) -> None:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not low <= value <= high or math.isinf(value):
        limits = f"between {low} and {high}" if math.isfinite(high) else f"of at least {low}"
        raise PromptError(f"{name} must be a number {limits}, not {value!r}.")
