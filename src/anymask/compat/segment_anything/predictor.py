"""`SamPredictor`: one picture, many prompts, with the reference's signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from anymask.compat.segment_anything.modeling import Sam
from anymask.compat.segment_anything.utils.transforms import ResizeLongestSide
from anymask.compat.tensors import to_array, to_tensor
from anymask.errors import ImageError, PromptError
from anymask.masks import Masks
from anymask.runtime.engine import BOX_END, BOX_START, Embedding, Features

if TYPE_CHECKING:
    import torch

NOT_SET = "An image must be set with .set_image(...) first."


class SamPredictor:
    """Encodes a picture once, then answers prompts. Not for sharing by threads: it holds one picture.

    Attributes:
        model: the `Sam` that it was made of.
        transform: `ResizeLongestSide`, from the picture to the network's input.
        is_image_set: whether there is a picture.
        original_size, input_size: (height, width) of the picture and of its input without padding; None before.
        features: the image embedding, a tensor; may be set, as may the three above, to go on with a stored one.

    Raises ModelError, WeightsError or MissingExtraError when the model cannot be loaded.
    """

    def __init__(self, sam_model: Sam) -> None:
        self.model = sam_model
        self.transform = ResizeLongestSide(sam_model.image_encoder.img_size)
        self.model.segmenter  # noqa: B018 - loads the network now, not with the first picture
        self.reset_image()

    @property
    def device(self) -> torch.device:
        """Where the tensors that it gives lie."""
        return self.model.device

    @property
    def features(self) -> torch.Tensor | None:
        """float32 `[1, 256, 64, 64]`."""
        return None if self._features is None else to_tensor(self._features[0], self.device)

    @features.setter
    def features(self, value: torch.Tensor | np.ndarray | None) -> None:
        array = to_array(value)
        self._features: Features | None = None if array is None else (array,)
        self._embedding: Embedding | None = None

    def reset_image(self) -> None:
        """Forget the picture."""
        self.is_image_set = False
        self.features = None
        self.original_size: tuple[int, ...] | None = None
        self.input_size: tuple[int, ...] | None = None

    def set_image(self, image: np.ndarray, image_format: str = "RGB") -> None:
        """Encode a picture, uint8 `[H, W, 3]`, RGB or BGR as `image_format` says.

        Raises:
            AssertionError: another format.
            ImageError: not such an array.
        """
        image = in_model_format(self.model, image, image_format)
        self._encode(self.transform.apply_image(image), image.shape[:2])

    def set_torch_image(self, transformed_image: torch.Tensor, original_image_size: tuple[int, ...]) -> None:
        """Encode a picture that already has the network's scale.

        Args:
            transformed_image: `[1, 3, h, w]`, RGB, 0 to 255, its longer side `model.image_encoder.img_size`
                (`transform.apply_image`).
            original_image_size: (height, width) of the picture itself.

        Raises:
            AssertionError: another shape.
        """
        side, shape = self.model.image_encoder.img_size, tuple(transformed_image.shape)
        assert len(shape) == 4 and shape[:2] == (1, 3) and max(shape[2:]) == side, (
            f"set_torch_image takes one picture [1, 3, h, w] whose longer side is {side}, not {list(shape)}."
        )
        self.encode(transformed_image[0], original_image_size)

    def encode(self, image: torch.Tensor, original_size: tuple[int, ...]) -> None:
        """`set_torch_image` for a picture `[3, h, w]` of any size up to the network's input."""
        array = to_array(image)
        assert array is not None
        self._encode(array.transpose(1, 2, 0), tuple(original_size))

    def _encode(self, resized: np.ndarray, original_size: tuple[int, ...]) -> None:
        self.reset_image()
        self._features = self.model.segmenter.engine.encode(resized)
        self.original_size, self.input_size = original_size, resized.shape[:2]
        self.is_image_set = True

    def predict(
        self,
        point_coords: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_input: np.ndarray | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks for one prompt, in pixels of the picture.

        Args:
            point_coords: `[K, 2]`, x and y.
            point_labels: `[K]`, 1 foreground, 0 background.
            box: `[4]` or `[1, 4]`, x0, y0, x1, y1.
            mask_input: `[1, 256, 256]`, low-resolution logits of an earlier answer.
            multimask_output: three candidates, or one mask.
            return_logits: logits instead of masks.

        Returns:
            Masks bool (or logits float32) `[C, H, W]`, predicted IoU float32 `[C]`, and low-resolution logits float32
            `[C, 256, 256]`.

        Raises:
            RuntimeError: no picture has been set.
            AssertionError: points without labels.
            PromptError: shapes that do not fit each other.
        """
        size = self._size()
        if point_coords is not None:
            assert point_labels is not None, "point_labels must be supplied if point_coords is supplied."
            point_coords = self.transform.apply_coords(np.asarray(point_coords), size)[None]
            point_labels = np.asarray(point_labels)[None]
        boxes = None if box is None else self.transform.apply_boxes(np.asarray(box), size)
        if boxes is not None and len(boxes) != 1:
            raise PromptError(f"predict takes one box, not {len(boxes)}; give several to predict_torch.")
        mask = None if mask_input is None else np.asarray(mask_input, np.float32)[None]
        logits, scores = self._decode(point_coords, point_labels, boxes, mask, multimask_output)
        return self._full_size(logits, return_logits)[0], scores[0], logits[0]

    def predict_torch(
        self,
        point_coords: torch.Tensor | None,
        point_labels: torch.Tensor | None,
        boxes: torch.Tensor | None = None,
        mask_input: torch.Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Masks for B prompts, in pixels of the network's input (`transform.apply_coords_torch`).

        Args:
            point_coords: `[B, K, 2]`, x and y.
            point_labels: `[B, K]`, 1 foreground, 0 background, -1 for a point that fills a row.
            boxes: `[B, 4]`, x0, y0, x1, y1.
            mask_input: `[B, 1, 256, 256]`, or `[1, 1, 256, 256]` for all, low-resolution logits.
            multimask_output: three candidates for each prompt, or one mask.
            return_logits: logits instead of masks.

        Returns:
            Masks bool (or logits float32) `[B, C, H, W]`, predicted IoU float32 `[B, C]`, and low-resolution logits
            float32 `[B, C, 256, 256]`.

        Raises:
            RuntimeError: no picture has been set.
            AssertionError: points without labels.
            PromptError: shapes that do not fit each other.
        """
        self._size()
        assert point_coords is None or point_labels is not None, "point_labels must be supplied with point_coords."
        points, labels = to_array(point_coords), to_array(point_labels)
        logits, scores = self._decode(points, labels, to_array(boxes), to_array(mask_input), multimask_output)
        full = self._full_size(logits, return_logits)
        device = self.device
        return to_tensor(full, device), to_tensor(scores, device), to_tensor(logits, device)

    def get_image_embedding(self) -> torch.Tensor:
        """The image embedding, float32 `[1, 256, 64, 64]`. Raises RuntimeError when no picture has been set."""
        self._size()
        assert self.features is not None, "Features must exist if an image has been set."
        return self.features

    def _size(self) -> tuple[int, ...]:
        if not self.is_image_set or self.original_size is None:
            raise RuntimeError(NOT_SET)
        return self.original_size

    def _decode(
        self,
        points: np.ndarray | None,
        labels: np.ndarray | None,
        boxes: np.ndarray | None,
        masks: np.ndarray | None,
        multimask: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Prompts in input pixels to logits `[B, C, h, w]` and scores `[B, C]`."""
        engine = self.model.segmenter.engine
        if self._embedding is None:
            assert self._features is not None, "Features must exist if an image has been set."
            self._embedding = engine.prepare(self._features)
        logits, scores = engine.decode(self._embedding, *_stack(points, labels, boxes, masks, engine.spec.mask_side))
        chosen = slice(1, None) if multimask else slice(0, 1)
        return np.ascontiguousarray(logits[:, chosen]), np.ascontiguousarray(scores[:, chosen])

    def _full_size(self, logits: np.ndarray, as_logits: bool) -> np.ndarray:
        """Low-resolution logits `[B, C, h, w]` to masks or logits `[B, C, H, W]`."""
        assert self.original_size is not None and self.input_size is not None
        placement = self.model.placement(self.input_size, self.original_size)
        flat = logits.reshape(-1, *logits.shape[2:])
        if as_logits:
            full = placement.upscale(flat)
        else:  # weights of the enlargement sum to 1, so that a threshold may be taken off before
            full = Masks(flat - self.model.mask_threshold, np.zeros(len(flat)), placement).array
        return full.reshape(*logits.shape[:2], *full.shape[1:])


def in_model_format(model: Sam, image: Any, image_format: str = "RGB") -> np.ndarray:
    """A picture uint8 `[H, W, 3]` with its channels in the order that the model wants. Raises AssertionError for an
    unknown order, ImageError for another kind of picture."""
    assert image_format in ("RGB", "BGR"), f"image_format must be RGB or BGR, not {image_format}."
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] != (3,) or not image.size:
        what = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f"The picture must be a uint8 array [H, W, 3], not {what}.")
    return image if image_format == model.image_format else np.ascontiguousarray(image[..., ::-1])


def _stack(
    points: np.ndarray | None, labels: np.ndarray | None, boxes: np.ndarray | None, masks: np.ndarray | None, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """B prompts as the engine takes them: coords `[B, K, 2]`, labels `[B, K]`, masks `[B, side, side]` or None."""
    count = next((len(part) for part in (points, boxes, masks) if part is not None), 1)
    coords, kinds = np.zeros((count, 0, 2), np.float32), np.zeros((count, 0), np.float32)
    try:
        if points is not None and labels is not None:
            coords, kinds = np.concatenate([coords, points], axis=1), np.concatenate([kinds, labels], axis=1)
        if boxes is not None:
            ends = np.tile(np.array([BOX_START, BOX_END], np.float32), (count, 1))
            coords = np.concatenate([coords, boxes.reshape(-1, 2, 2)], axis=1)
            kinds = np.concatenate([kinds, ends], axis=1)
        if kinds.shape != coords.shape[:2]:
            raise ValueError("There must be as many labels as points.")
        previous = None if masks is None else np.broadcast_to(masks, (count, 1, side, side))[:, 0]
    except ValueError as error:
        given = {"points": points, "labels": labels, "boxes": boxes, "masks": masks}
        shapes = ", ".join(f"{name} {list(part.shape)}" for name, part in given.items() if part is not None)
        raise PromptError(
            f"These prompts do not fit each other or the model, whose masks are [B, 1, {side}, {side}]: {shapes}."
        ) from error
    return coords.astype(np.float32), kinds.astype(np.float32), previous
