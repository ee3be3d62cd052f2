"""Prompted segmentation: encode a picture once, then ask for masks."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from anymask.catalog import ModelEntry
from anymask.errors import PromptError
from anymask.images import read_image
from anymask.masks import Masks
from anymask.placement import Placement
from anymask.prompts import Prompt
from anymask.runtime import load_segment_engine
from anymask.runtime.engine import BOX_END, BOX_START, Embedding, Features, SegmentEngine
from anymask.runtime.resize import resize_to_input


class Segmenter:
    """A promptable model, loaded and ready. One may be shared by threads.

    Args:
        model: a name from the catalogue (`anymask.models()`).
        device: auto, cpu, cuda or mps.
        precision: auto, fp32, bf16 or fp16.
        weights: a checkpoint's path, to use instead of the model's own weights.

    Raises ModelError, WeightsError or MissingExtraError when that cannot be had.
    """

    def __init__(
        self, model: str = "pocket", device: str = "auto", precision: str = "auto", weights: str | Path | None = None
    ) -> None:
        self.engine: SegmentEngine = load_segment_engine(model, device, precision, weights)

    @property
    def spec(self) -> ModelEntry:
        """The model's entry in the catalogue."""
        return self.engine.spec

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    def encode(self, picture: Any) -> "EncodedImage":
        """Run the encoder on a picture: a path, bytes, file object, PIL image or array (see
        `anymask.images.read_image`)."""
        rgb = read_image(picture)
        return EncodedImage(self, rgb, (0, 0, rgb.shape[1], rgb.shape[0]))

    def __repr__(self) -> str:
        return f"Segmenter({self.name!r})"


class EncodedImage:
    """A picture, or a crop of one, that its segmenter has looked at; made by `Segmenter.encode`.

    Attributes:
        segmenter: what encoded it.
        rgb: the whole picture, uint8 [H, W, 3].
        placement: how low-resolution masks lie on the picture.
        features: the encoder's output.
    """

    def __init__(self, segmenter: Segmenter, rgb: np.ndarray, crop: tuple[int, int, int, int]) -> None:
        self.segmenter = segmenter
        self.rgb = rgb
        x0, y0, x1, y1 = crop
        spec = segmenter.spec
        if spec.input.fit == "letterbox":
            self.placement = Placement.letterbox(rgb.shape[0], rgb.shape[1], spec.input.side, crop)
        else:
            self.placement = Placement.stretch(rgb.shape[0], rgb.shape[1], spec.input.side, crop, spec.enlarge)
        scaled = resize_to_input(rgb[y0:y1, x0:x1], self.placement, spec.input.resize)
        self.features: Features = segmenter.engine.encode(scaled)

    @cached_property
    def embedding(self) -> Embedding:
        """What the decoder reads, made of the features once."""
        return self.segmenter.engine.prepare(self.features)

    @property
    def height(self) -> int:
        """Height of the picture in pixels."""
        return self.placement.height

    @property
    def width(self) -> int:
        """Width of the picture in pixels."""
        return self.placement.width

    def crop(self, box: tuple[int, int, int, int]) -> "EncodedImage":
        """The same picture with only the part x0, y0, x1, y1 encoded, larger; prompts stay in pixels of the whole
        picture."""
        return EncodedImage(self.segmenter, self.rgb, box)

    def predict(
        self,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
        multimask: bool | None = None,
    ) -> Masks:
        """Masks for one prompt; points, box and mask combine.

        Args:
            points: [K, 2], x and y in pixels of the picture.
            labels: [K], 1 foreground and 0 background; all 1 when left out.
            box: x0, y0, x1, y1 in pixels of the picture.
            mask: low-resolution logits [h, w] of an earlier prediction, to refine (`masks.logits[i]`).
            multimask: three candidates (True), one mask (False), or what suits the prompt: three for a lone point,
            else one.

        Raises PromptError for a prompt that is malformed or outside of the picture.
        """
        return self.predict_batch([Prompt(points=points, labels=labels, box=box, mask=mask)], multimask)[0]

    def predict_batch(self, prompts: Sequence[Prompt], multimask: bool | None = None) -> list[Masks]:
        """Masks for each of many prompts, decoded together; `multimask` as in `predict`. Raises PromptError."""
        prompts = [prompt.check(self.height, self.width) for prompt in prompts]
        tokens = [self._tokens(prompt) for prompt in prompts]
        alike: dict[tuple[int, bool], list[int]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            alike[len(tokens[index][1]), prompt.mask is not None].append(index)
        results: dict[int, Masks] = {}
        for (_, masked), indices in alike.items():
            coords = np.stack([tokens[i][0] for i in indices])
            labels = np.stack([tokens[i][1] for i in indices])
            previous = np.stack([self._checked_mask(prompts[i]) for i in indices]) if masked else None
            logits, scores = self.segmenter.engine.decode(self.embedding, coords, labels, previous)
            for row, index in enumerate(indices):
                several = _is_ambiguous(prompts[index]) if multimask is None else multimask
                chosen = slice(1, None) if several else slice(0, 1)
                results[index] = Masks(logits[row, chosen], scores[row, chosen], self.placement, prompts=prompts[index])
        return [results[i] for i in range(len(prompts))]

    def predict_points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each of B points by itself, [B, 2] in pixels: candidates' logits float32 [B, C, h, w], scores [B, C]."""
        coords = self.placement.to_input(points)[:, None]
        logits, scores = self.segmenter.engine.decode(self.embedding, coords, np.ones((len(points), 1), np.float32))
        return logits[:, 1:], scores[:, 1:]

    def everything(self, **options: Any) -> Masks:
        """Masks of all that is in the picture: SAM's automatic mask generation; see `anymask.everything.everything`."""
        from anymask.everything import everything

        return everything(self, **options)

    def _tokens(self, prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
        """The prompt as points [K, 2] in input pixels and labels [K]: clicks first, then the box's corners.

        A network that reads few points gets the first clicks; the box is never left out.
        """
        corners = np.zeros((0, 2)) if prompt.box is None else prompt.box.reshape(2, 2)
        most = self.segmenter.spec.prompts.max_points
        clicks = len(prompt.points) if most is None else max(0, most - len(corners))
        coords = np.concatenate([prompt.points[:clicks], corners])
        labels = np.concatenate([prompt.labels[:clicks], [BOX_START, BOX_END][: len(corners)]])
        return self.placement.to_input(coords), labels

    def _checked_mask(self, prompt: Prompt) -> np.ndarray:
        side = self.segmenter.spec.mask_side
        assert prompt.mask is not None
        if not self.segmenter.spec.prompts.mask:
            raise PromptError(f"{self.segmenter.name} takes no mask as a prompt; give it points or a box.")
        if prompt.mask.shape != (side, side):
            raise PromptError(
                f"A mask prompt for {self.segmenter.name} is {side} x {side} logits, not "
                f"{' x '.join(map(str, prompt.mask.shape))}; use masks.logits[i] of an earlier prediction."
            )
        return prompt.mask

    def __repr__(self) -> str:
        return f"EncodedImage({self.width} x {self.height}, {self.segmenter.name!r})"


def _is_ambiguous(prompt: Prompt) -> bool:
    return len(prompt.points) == 1 and prompt.box is None and prompt.mask is None
