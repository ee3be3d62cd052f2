"""`ResizeLongestSide`: pictures, points and boxes to the network's scale, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from anymask.compat.tensors import import_torch
from anymask.placement import Placement
from anymask.runtime.resize import resize_to_input

if TYPE_CHECKING:
    import torch


class ResizeLongestSide:
    """The longer side becomes `target_length` pixels, the aspect is kept."""

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    def apply_image(self, image: np.ndarray) -> np.ndarray:
        """A picture uint8 `[H, W, 3]` to uint8 `[h, w, 3]`, bilinear with a filter as wide as the reduction."""
        placement = Placement.letterbox(image.shape[0], image.shape[1], self.target_length)
        return np.array(resize_to_input(image, placement, "antialias"))

    def apply_coords(self, coords: np.ndarray, original_size: tuple[int, ...]) -> np.ndarray:
        """Points `[..., 2]` of a picture of (height, width) `original_size`: float64 `[..., 2]` in the result's
        pixels."""
        return coords.astype(float) * self._scale(original_size)

    def apply_boxes(self, boxes: np.ndarray, original_size: tuple[int, ...]) -> np.ndarray:
        """The same for boxes `[B, 4]`, x0, y0, x1, y1."""
        return self.apply_coords(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def apply_image_torch(self, image: torch.Tensor) -> torch.Tensor:
        """Pictures float `[B, 3, H, W]` to float `[B, 3, h, w]`. Not bit for bit what `apply_image` gives, which rounds
        to whole numbers; the model was trained with that."""
        size = self.get_preprocess_shape(image.shape[-2], image.shape[-1], self.target_length)
        resized: torch.Tensor = import_torch().nn.functional.interpolate(
            image, size, mode="bilinear", align_corners=False, antialias=True
        )
        return resized

    def apply_coords_torch(self, coords: torch.Tensor, original_size: tuple[int, ...]) -> torch.Tensor:
        """`apply_coords` for a tensor; float32."""
        return coords.float() * coords.new_tensor(self._scale(original_size), dtype=import_torch().float32)

    def apply_boxes_torch(self, boxes: torch.Tensor, original_size: tuple[int, ...]) -> torch.Tensor:
        """`apply_boxes` for a tensor; float32."""
        return self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """(height, width) of the result for a picture of `oldh` x `oldw`."""
        placement = Placement.letterbox(oldh, oldw, long_side_length)
        return placement.input_height, placement.input_width

    def _scale(self, original_size: tuple[int, ...]) -> tuple[float, float]:
        height, width = original_size
        new_height, new_width = self.get_preprocess_shape(height, width, self.target_length)
        return new_width / width, new_height / height
