"""`Sam`: what the reference's registry builds, as far as programs look into it, around a `Segmenter`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from anymask.compat.models import LazyModel
from anymask.compat.tensors import import_torch, to_array, to_tensor
from anymask.errors import ModelError
from anymask.placement import Placement

if TYPE_CHECKING:
    import torch

PIXEL_STD = (58.395, 57.12, 57.375)
"""By how much the network divides pixels; the mean that it takes off is the catalogue's padding colour."""

PATCH = 16
"""Input pixels a side for one cell of the image embedding."""


class ImageEncoder:
    """The image encoder: `img_size`, and called with pictures that `Sam.preprocess` made, their embeddings."""

    def __init__(self, sam: Sam) -> None:
        self.img_size = sam.spec.input.side
        self._sam = sam

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised and padded pictures float32 `[B, 3, S, S]` to image embeddings `[B, 256, S/16, S/16]`."""
        pictures = to_array(x * self._sam.pixel_std + self._sam.pixel_mean)
        assert pictures is not None
        encode = self._sam.segmenter.engine.encode
        features = np.concatenate([encode(picture.transpose(1, 2, 0))[0] for picture in pictures])
        return to_tensor(features, self._sam.device)


class _Fused:
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        raise ModelError(
            f"{type(self).__name__} cannot be called by itself, because anymask runs SAM's prompt encoder and mask "
            "decoder as one; ask SamPredictor.predict_torch."
        )


@dataclass(frozen=True)
class PromptEncoder(_Fused):
    """The prompt encoder's sizes, (height, width); it cannot be called by itself."""

    input_image_size: tuple[int, int]
    image_embedding_size: tuple[int, int]
    mask_input_size: tuple[int, int]
    embed_dim: int = 256
    num_point_embeddings: int = 4


@dataclass(frozen=True)
class MaskDecoder(_Fused):
    """The mask decoder's sizes; it cannot be called by itself."""

    transformer_dim: int = 256
    num_multimask_outputs: int = 3
    num_mask_tokens: int = 4


class Sam(LazyModel):
    """A model of the registry. It is loaded when first needed, so that `to` costs nothing before.

    Args:
        name: the model's name in anymask's catalogue.
        checkpoint: the path of its weights; None for the official ones, downloaded if need be.
        precision: auto, fp32, bf16 or fp16.

    Attributes:
        mask_threshold: logits above this are the object.
        image_format: the order of channels that the network is given, RGB or BGR.
        image_encoder, prompt_encoder, mask_decoder: their sizes; the first can be called too.
    """

    def __init__(self, name: str, checkpoint: str | os.PathLike[str] | None = None, precision: str = "auto") -> None:
        super().__init__(name, checkpoint, precision)
        self.mask_threshold = 0.0
        self.image_format = "RGB"
        side, cells, mask_side = self.spec.input.side, self.spec.input.side // PATCH, self.spec.mask_side
        self.image_encoder = ImageEncoder(self)
        self.prompt_encoder = PromptEncoder((side, side), (cells, cells), (mask_side, mask_side))
        self.mask_decoder = MaskDecoder()

    @property
    def pixel_mean(self) -> torch.Tensor:
        """float32 `[3, 1, 1]`, in 0 to 255."""
        return to_tensor(np.array(self.spec.input.padding, np.float32)[:, None, None], self.device)

    @property
    def pixel_std(self) -> torch.Tensor:
        """float32 `[3, 1, 1]`, in 0 to 255."""
        return to_tensor(np.array(PIXEL_STD, np.float32)[:, None, None], self.device)

    def preprocess(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures `[..., 3, H, W]` in 0 to 255, normalised, with zeros to the right and below up to the input's
        size."""
        height, width = x.shape[-2:]
        side = self.image_encoder.img_size
        normal = (x - self.pixel_mean) / self.pixel_std
        padded: torch.Tensor = import_torch().nn.functional.pad(normal, (0, side - width, 0, side - height))
        return padded

    def postprocess_masks(
        self, masks: torch.Tensor, input_size: tuple[int, ...], original_size: tuple[int, ...]
    ) -> torch.Tensor:
        """Low-resolution logits `[B, C, h, w]` to logits float32 `[B, C, H, W]` at the picture's size.

        Args:
            masks: as `predict_torch` gives them.
            input_size: height and width of the picture at the network's scale, without padding.
            original_size: height and width H, W of the picture.
        """
        logits = to_array(masks)
        assert logits is not None
        full = self.placement(input_size, original_size).upscale(logits.reshape(-1, *logits.shape[-2:]))
        return to_tensor(full.reshape(*logits.shape[:-2], *full.shape[-2:]), masks.device)

    def placement(self, input_size: tuple[int, ...], original_size: tuple[int, ...]) -> Placement:
        """How low-resolution logits lie on a picture of `original_size` whose input had `input_size`."""
        side = self.image_encoder.img_size
        (height, width), (input_height, input_width) = map(int, original_size), map(int, input_size)
        return Placement(height, width, side, side, input_height, input_width)

    def forward(self, batched_input: list[dict[str, Any]], multimask_output: bool) -> list[dict[str, torch.Tensor]]:
        """Masks for several pictures with prompts known beforehand.

        Args:
            batched_input: for each picture a dict with `image`, a tensor `[3, h, w]` in 0 to 255 at the network's
                scale, and `original_size`, the picture's (height, width); and any of `point_coords` `[B, K, 2]` and
                `point_labels` `[B, K]`, `boxes` `[B, 4]`, all in pixels of `image`, `mask_inputs` `[B, 1, 256, 256]`.
            multimask_output: three candidates for each prompt, or one mask.

        Returns:
            For each picture `masks` bool `[B, C, H, W]`, `iou_predictions` float32 `[B, C]` and `low_res_logits`
            float32 `[B, C, 256, 256]`.
        """
        from anymask.compat.segment_anything.predictor import SamPredictor

        predictor = SamPredictor(self)
        answers = []
        for record in batched_input:
            predictor.encode(record["image"], record["original_size"])
            masks, scores, logits = predictor.predict_torch(
                record.get("point_coords"),
                record.get("point_labels"),
                record.get("boxes"),
                record.get("mask_inputs"),
                multimask_output,
            )
            answers.append({"masks": masks, "iou_predictions": scores, "low_res_logits": logits})
        return answers

    __call__ = forward

    def __repr__(self) -> str:
        return f"Sam({self.spec.name!r}, {self._device})"
