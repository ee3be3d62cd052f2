"""`SAM2ImagePredictor`: pictures encoded once, prompted many times, with the reference's signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from anymask.compat.sam2.cleaning import small_parts
from anymask.compat.sam2.modeling.sam2_base import SAM2Base
from anymask.compat.tensors import to_tensor
from anymask.errors import ImageError, PromptError
from anymask.runtime.engine import BOX_END, BOX_START
from anymask.segmenter import EncodedImage

if TYPE_CHECKING:
    import torch

NOT_SET = "An image must be set with .set_image(...) before mask prediction."
BOUND = 32.0  # of the low-resolution logits that are given back
FILLED = 10.0  # a logit beyond the threshold, where a hole was or a sprinkle

Answer = tuple[np.ndarray, np.ndarray, np.ndarray]


class SAM2ImagePredictor:
    """Encodes a picture, or several, then answers prompts. Not for sharing by threads: it holds its pictures.

    Args:
        sam_model: what `build_sam2` built.
        mask_threshold: logits above this are the object.
        max_hole_area, max_sprinkle_area: holes and islands of at most so many low-resolution pixels, joined by sides or
            corners, are filled and removed.

    Attributes:
        model: the model.

    Raises ModelError, WeightsError or MissingExtraError when the model cannot be loaded.
    """

    def __init__(
        self,
        sam_model: SAM2Base,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
    ) -> None:
        self.model = sam_model
        self.mask_threshold = mask_threshold
        self.max_hole_area, self.max_sprinkle_area = max_hole_area, max_sprinkle_area
        self.model.segmenter  # noqa: B018 - loads the network now, not with the first picture
        self.reset_predictor()

    @classmethod
    def from_pretrained(cls, model_id: str, **options: Any) -> SAM2ImagePredictor:
        """A predictor by the model's repository, `facebook/sam2.1-hiera-large`; the options are `build_sam2`'s and the
        predictor's. Raises as `build_sam2_hf` does."""
        from anymask.compat.sam2.build_sam import build_sam2_hf

        own = {
            name: options.pop(name)
            for name in ("mask_threshold", "max_hole_area", "max_sprinkle_area")
            if name in options
        }
        return cls(build_sam2_hf(model_id, **options), **own)

    @property
    def device(self) -> torch.device:
        """Where the tensors that it gives lie."""
        return self.model.device

    def reset_predictor(self) -> None:
        """Forget the pictures."""
        self._images: list[EncodedImage] = []
        self._is_batch = False

    def set_image(self, image: np.ndarray | Image.Image) -> None:
        """Encode a picture, uint8 `[H, W, 3]` RGB or of Pillow. Raises ImageError for anything else."""
        self.reset_predictor()
        self._images = [encode(self.model, image)]

    def set_image_batch(self, image_list: Sequence[np.ndarray]) -> None:
        """Encode several pictures, each uint8 `[H, W, 3]` RGB.

        Raises:
            AssertionError: not a list.
            ImageError: one of them is no such array.
        """
        self.reset_predictor()
        assert isinstance(image_list, list), "set_image_batch takes a list of pictures."
        self._images = [encode(self.model, image) for image in image_list]
        self._is_batch = True

    def predict(
        self,
        point_coords: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_input: np.ndarray | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> Answer:
        """Masks for one prompt, or for B.

        Args:
            point_coords: `[K, 2]`, x and y, or `[B, K, 2]`.
            point_labels: `[K]`, 1 foreground, 0 background, or `[B, K]`.
            box: `[4]` or `[B, 4]`, x0, y0, x1, y1.
            mask_input: `[1, 256, 256]` or `[B, 1, 256, 256]`, low-resolution logits of an earlier answer.
            multimask_output: three candidates, or one mask.
            return_logits: logits instead of masks.
            normalize_coords: coordinates are pixels of the picture; False: shares of its width and height, 0 to 1.

        Returns:
            Masks as float32 0 and 1 (as in the reference; or logits) `[C, H, W]`, predicted IoU `[C]` and
            low-resolution logits `[C, 256, 256]`, within -32 to 32; of several prompts each with B in front.

        Raises:
            RuntimeError: no picture has been set.
            AssertionError: points without labels.
            PromptError: shapes that do not fit each other.
        """
        if not self._images or self._is_batch:
            raise RuntimeError(NOT_SET)
        prompts = point_coords, point_labels, box, mask_input
        return self._answer(self._images[0], prompts, multimask_output, return_logits, normalize_coords)

    def predict_batch(
        self,
        point_coords_batch: Sequence[np.ndarray] | None = None,
        point_labels_batch: Sequence[np.ndarray] | None = None,
        box_batch: Sequence[np.ndarray] | None = None,
        mask_input_batch: Sequence[np.ndarray] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """`predict` for each picture of `set_image_batch`, of what is given for it in each list.

        Raises:
            AssertionError: the pictures were not set as a batch.
            RuntimeError: no picture has been set.
        """
        assert self._is_batch, "predict_batch is for pictures that set_image_batch has set."
        if not self._images:
            raise RuntimeError(NOT_SET)
        batches = point_coords_batch, point_labels_batch, box_batch, mask_input_batch
        answers = []
        for index, image in enumerate(self._images):
            prompts = tuple(None if batch is None else batch[index] for batch in batches)
            answers.append(self._answer(image, prompts, multimask_output, return_logits, normalize_coords))
        masks, scores, logits = (list(kind) for kind in zip(*answers, strict=True))
        return masks, scores, logits

    def get_image_embedding(self) -> torch.Tensor:
        """The encoder's coarse features, float32 `[B, 256, 64, 64]`, without `no_mem_embed`, which the reference adds.
        Raises RuntimeError when no picture has been set."""
        if not self._images:
            raise RuntimeError(NOT_SET)
        return to_tensor(np.concatenate([image.features[0] for image in self._images]), self.device)

    def _answer(
        self, image: EncodedImage, prompts: tuple[Any, ...], multimask: bool, as_logits: bool, pixels: bool
    ) -> Answer:
        engine = self.model.segmenter.engine
        coords, labels, previous = _stack(prompts, engine.spec.mask_side)
        if not pixels:
            coords = coords * np.array([image.width, image.height], np.float32)
        coords = image.placement.to_input(coords)
        logits, scores = engine.decode(image.embedding, coords, labels, previous)
        chosen = slice(1, None) if multimask else slice(0, 1)
        logits, scores = np.ascontiguousarray(logits[:, chosen]), np.ascontiguousarray(scores[:, chosen])
        flat = self._cleaned(logits.reshape(-1, *logits.shape[2:]))
        masks = image.placement.upscale(flat).reshape(*scores.shape, image.height, image.width)
        if not as_logits:
            masks = (masks > self.mask_threshold).astype(np.float32)
        found = masks, scores, logits.clip(-BOUND, BOUND)
        return found if len(scores) > 1 else (found[0][0], found[1][0], found[2][0])

    def _cleaned(self, logits: np.ndarray) -> np.ndarray:
        """Low-resolution logits `[N, h, w]` without small holes and sprinkles."""
        if self.max_hole_area > 0:
            holes = np.stack([small_parts(one <= self.mask_threshold, self.max_hole_area) for one in logits])
            logits = np.where(holes, np.float32(self.mask_threshold + FILLED), logits)
        if self.max_sprinkle_area > 0:
            sprinkles = np.stack([small_parts(one > self.mask_threshold, self.max_sprinkle_area) for one in logits])
            logits = np.where(sprinkles, np.float32(self.mask_threshold - FILLED), logits)
        return logits


def encode(model: SAM2Base, image: Any) -> EncodedImage:
    """A picture, uint8 `[H, W, 3]` RGB or of Pillow, encoded. Raises ImageError for anything else."""
    if isinstance(image, Image.Image):
        image = np.asarray(image.convert("RGB"))
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] != (3,) or not image.size:
        what = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"The picture must be a uint8 array [H, W, 3] or one of Pillow's, not {what}.")
    return model.segmenter.encode(image)


def _stack(prompts: tuple[Any, ...], side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Points, labels, boxes and masks of one prompt or of B: coords `[B, K, 2]`, labels `[B, K]`, masks `[B, side,
    side]` or None."""
    points, labels, boxes, masks = prompts
    assert points is None or labels is not None, "point_labels must be supplied if point_coords is supplied."
    given = {"points": points, "labels": labels, "boxes": boxes, "masks": masks}
    try:
        arrays = {name: np.asarray(part, np.float32) for name, part in given.items() if part is not None}
        if "points" in arrays:
            arrays["points"] = arrays["points"].reshape(-1, *arrays["points"].shape[-2:])
            arrays["labels"] = arrays["labels"].reshape(-1, arrays["labels"].shape[-1])
        if "boxes" in arrays:
            arrays["boxes"] = arrays["boxes"].reshape(-1, 2, 2)
        if "masks" in arrays:
            arrays["masks"] = arrays["masks"].reshape(-1, side, side)
        count = max((len(part) for part in arrays.values()), default=1)
        coords, kinds = np.zeros((count, 0, 2), np.float32), np.zeros((count, 0), np.float32)
        if "boxes" in arrays:
            coords = np.concatenate([coords, arrays["boxes"]], axis=1)
            ends = np.tile(np.array([BOX_START, BOX_END], np.float32), (count, 1))
            kinds = np.concatenate([kinds, ends], axis=1)
        if "points" in arrays:
            coords = np.concatenate([coords, arrays["points"]], axis=1)
            kinds = np.concatenate([kinds, arrays["labels"]], axis=1)
        if kinds.shape != coords.shape[:2]:
            raise ValueError("There must be as many labels as points.")
        previous = np.broadcast_to(arrays["masks"], (count, side, side)) if "masks" in arrays else None
    except (ValueError, IndexError) as error:
        shapes = ", ".join(f"{name} {list(np.shape(part))}" for name, part in given.items() if part is not None)
        raise PromptError(
            f"These prompts do not fit each other or the model, whose masks are [B, 1, {side}, {side}]: {shapes}."
        ) from error
    return coords, kinds, previous
