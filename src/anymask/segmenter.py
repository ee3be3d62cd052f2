"""Prompted segmentation: encode a picture once, then ask for masks."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anymask import embeddings
from anymask.ahead import AHEAD, read_ahead
from anymask.catalog import ModelEntry, SecondLook
from anymask.errors import ImageError, PromptError, WeightsError
from anymask.hashes import checkpoint_sha256
from anymask.images import read_image
from anymask.masks import Masks
from anymask.placement import Box, Placement
from anymask.prompts import Prompt
from anymask.runtime import load_segment_engine
from anymask.runtime.engine import BOX_END, BOX_START, Embedding, Features, InstanceEngine, SegmentEngine
from anymask.runtime.resize import resize_to_input
from anymask.second_look import Views, closer_view, covered, extent
from anymask.second_pass import pass_again


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
        self._use(load_segment_engine(model, device, precision, weights), weights)

    @classmethod
    def over(cls, engine: SegmentEngine, weights: str | Path | None = None) -> "Segmenter":
        """A segmenter over an engine that is loaded already; `weights` is what it was loaded from."""
        segmenter = cls.__new__(cls)
        segmenter._use(engine, weights)
        return segmenter

    def _use(self, engine: SegmentEngine, weights: str | Path | None) -> None:
        self.engine = engine
        self._weights = self.spec.path if weights is None else Path(weights)

    @property
    def spec(self) -> ModelEntry:
        """The model's entry in the catalogue."""
        return self.engine.spec

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    @cached_property
    def fingerprint(self) -> str:
        """What tells these weights from others: the SHA-256 of their file; of a folder of graphs, of the encoder's."""
        names = ("weights.safetensors", "encoder.bin", "instances.bin")
        files = [self._weights / name for name in names] if self._weights.is_dir() else [self._weights]
        return checkpoint_sha256(next(file for file in files if file.exists()))

    def encode(self, picture: Any, crop: Box | None = None) -> "EncodedImage":
        """Run the encoder on a picture: a path, bytes, file object, PIL image or array.

        With `crop`, x0, y0, x1, y1 in pixels, only on that part of it, larger; prompts and masks stay in pixels of the
        whole picture. Raises ImageError for what is no picture (see `anymask.images.read_image`).
        """
        if crop is not None:
            return self._encode(_scaled(self.spec, read_image(picture), crop))
        return self._encode(self._read(picture))

    def encode_many(
        self,
        pictures: Iterable[Any],
        *,
        ahead: int = AHEAD,
        on_error: Callable[[Any, ImageError], object] | None = None,
    ) -> Iterator["EncodedImage"]:
        """Encode pictures one after the other, in their order; while one is encoded, a thread reads the next.

        Nothing is read before the first is asked for. Closing the iterator, or dropping it, ends the thread.

        Args:
            pictures: what `encode` takes, any number of them; the thread takes them from the iterable when their turn
                to be read comes.
            ahead: how many are read, and held in memory, in advance; with 0 nothing overlaps.
            on_error: called with a picture that cannot be read and its error, in its turn, and the others follow.
                Without it the error is raised in its turn, and ends the iteration.

        Raises ImageError (see `on_error`), and what `pictures` itself raises.
        """
        with closing(read_ahead(pictures, self._read, ahead)) as readings:
            for picture, reading in readings:
                try:
                    scaled = reading.result()
                except ImageError as error:
                    if on_error is None:
                        raise
                    on_error(picture, error)
                else:
                    yield self._encode(scaled)

    def _read(self, picture: Any) -> "_Scaled":
        return _scaled(self.spec, read_image(picture))

    def _encode(self, scaled: "_Scaled") -> "EncodedImage":
        return EncodedImage(self, scaled.placement, self.engine.encode(scaled.pixels), scaled.rgb)

    def __repr__(self) -> str:
        return f"Segmenter({self.name!r})"


class EncodedImage:
    """A picture, or a crop of one, that its segmenter has looked at; made by `Segmenter.encode`, or loaded.

    Attributes:
        segmenter: what encoded it.
        placement: how low-resolution masks lie on the picture.
        features: the encoder's output.
    """

    def __init__(
        self, segmenter: Segmenter, placement: Placement, features: Features, rgb: np.ndarray | None = None
    ) -> None:
        self.segmenter = segmenter
        self.placement = placement
        self.features = features
        self._rgb = rgb
        self._views = Views()

    @property
    def rgb(self) -> np.ndarray:
        """The whole picture, uint8 [H, W, 3]. Raises ImageError when it was loaded without its picture."""
        if self._rgb is None:
            raise ImageError("The picture itself is needed here; give it to EncodedImage.load(..., picture=...).")
        return self._rgb

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

    @cached_property
    def _picture_hash(self) -> str:
        return embeddings.picture_hash(self.rgb)

    def crop(self, box: Box) -> "EncodedImage":
        """The same picture with only the part x0, y0, x1, y1 encoded, larger; prompts stay in pixels of the whole
        picture."""
        return self.segmenter._encode(_scaled(self.segmenter.spec, self.rgb, box))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what the encoder made to a file, to be loaded again; of the picture itself only a hash.

        Raises ImageError when it cannot be written; a file that was there before is left as it was then.
        """
        name, weights = self.segmenter.name, self.segmenter.fingerprint
        origin = embeddings.Origin(name, weights, self.height, self.width, self.placement.crop, self._picture_hash)
        embeddings.write(path, origin, self.features)

    @classmethod
    def load(cls, path: str | os.PathLike[str], segmenter: Segmenter, picture: Any = None) -> "EncodedImage":
        """What `save` wrote, for the same model with the same weights; its masks are the same to the last bit.

        Args:
            picture: the picture, as for `Segmenter.encode`. Only `rgb`, `crop`, and `everything` with crop layers need
                it.

        Raises:
            ImageError: the file is missing, damaged or another kind of file, or the picture is not the one encoded.
            WeightsError: another model, or the same with other weights, encoded it.
        """
        origin, features = embeddings.read(path)
        if origin.model != segmenter.name:
            raise WeightsError(f"{path} was encoded by {origin.model}; {segmenter.name} cannot read its features.")
        if origin.weights != segmenter.fingerprint:
            raise WeightsError(f"{path} was encoded by {origin.model} with other weights; encode the picture again.")
        rgb = None if picture is None else read_image(picture)
        if rgb is not None and origin.picture != embeddings.picture_hash(rgb):
            size = f"{origin.width} x {origin.height}"
            raise ImageError(f"The picture given is not the one of {size} pixels that was encoded in {path}.")
        placement = _placement(segmenter.spec, origin.height, origin.width, origin.crop)
        image = cls(segmenter, placement, features, rgb)
        image._picture_hash = origin.picture
        return image

    def predict(
        self,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
        multimask: bool | None = None,
        second_look: bool | None = None,
        second_pass: bool | None = None,
    ) -> Masks:
        """Masks for one prompt; points, box and mask combine.

        Args:
            points: [K, 2], x and y in pixels of the picture.
            labels: [K], 1 foreground and 0 background; all 1 when left out.
            box: x0, y0, x1, y1 in pixels of the picture.
            mask: low-resolution logits [h, w] of an earlier prediction, to refine (`masks.logits[i]`).
            multimask: three candidates (True), one mask (False), or what suits the prompt: three for a lone point,
                else one. SAM-HQ has one candidate, FastSAM as many of its instances as fit, up to three.
            second_look: where the box, the mask given, or what points alone are answered with is small in the picture,
                encode the part round it once more, larger, and answer from that; the next prompts nearby use it again.
                When left out, pocket does so for boxes and masks, and the other models do as their reference does.
            second_pass: ask for the one mask that answers a box once more, with itself as the mask. When left out,
                pocket does so, and the other models do not.

        Raises PromptError for a prompt that is malformed or outside of the picture.
        """
        prompt = Prompt(points=points, labels=labels, box=box, mask=mask)
        return self.predict_batch([prompt], multimask, second_look, second_pass)[0]

    def predict_batch(
        self,
        prompts: Sequence[Prompt],
        multimask: bool | None = None,
        second_look: bool | None = None,
        second_pass: bool | None = None,
    ) -> list[Masks]:
        """Masks for each of many prompts, decoded together; the options as in `predict`. Raises PromptError."""
        prompts = [prompt.check(self.height, self.width) for prompt in prompts]
        whole = self.placement.crop == (0, 0, self.width, self.height)
        rules = self.segmenter.spec.second_look
        again = self.segmenter.spec.second_pass if second_pass is None else second_pass
        if second_look is False or self._rgb is None or not whole or (second_look is None and rules is None):
            return self._answers(prompts, multimask, again)
        return self._look_twice(prompts, multimask, again, rules or SecondLook(), bool(second_look))

    def _look_twice(
        self, prompts: Sequence[Prompt], multimask: bool | None, again: bool, rules: SecondLook, by_answer: bool
    ) -> list[Masks]:
        """`by_answer`: points alone are answered first, and what that covers is looked at again."""
        places = [self._place(prompt) for prompt in prompts]
        things = [extent(prompt, place) for prompt, place in zip(prompts, places, strict=True)]
        boxes = [None if thing is None else closer_view(rules, thing, self.placement) for thing in things]
        answers: dict[int, Masks] = {}
        first = [i for i, box in enumerate(boxes) if box is None]
        for i, answer in zip(first, self._answers([prompts[i] for i in first], multimask, again), strict=True):
            answers[i] = answer
            if things[i] is None and by_answer:
                things[i] = thing = covered(answer, prompts[i])
                boxes[i] = None if thing is None else closer_view(rules, thing, self.placement)
        for i, (box, thing) in enumerate(zip(boxes, things, strict=True)):
            if box is not None and thing is not None:
                view = self._views.at(box, thing, self.crop)
                (answers[i],) = view._answers([prompts[i]], multimask, again, places[i])
                self._views.remember(answers[i])
        return [answers[i] for i in range(len(prompts))]

    def _place(self, prompt: Prompt) -> Placement:
        """Where a prompt's mask lies: on a closer view that answered it, else on the picture."""
        known = None if prompt.mask is None else self._views.placement_of(prompt.mask)
        return known or self.placement

    def _answers(
        self, prompts: Sequence[Prompt], multimask: bool | None, again: bool, place: Placement | None = None
    ) -> list[Masks]:
        """What this view answers, in a second pass where `again` says so; a mask lies on `place`, or where `_place`
        says."""
        answers = self._decoded(prompts, multimask, place)
        if not again:
            return answers
        return pass_again(prompts, answers, lambda asked: self._decoded(asked, False, self.placement))

    def _decoded(self, prompts: Sequence[Prompt], multimask: bool | None, place: Placement | None) -> list[Masks]:
        tokens = [self._tokens(prompt) for prompt in prompts]
        alike: dict[tuple[int, bool], list[int]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            alike[len(tokens[index][1]), prompt.mask is not None].append(index)
        results: dict[int, Masks] = {}
        for (_, masked), indices in alike.items():
            coords = np.stack([tokens[i][0] for i in indices])
            labels = np.stack([tokens[i][1] for i in indices])
            previous = np.stack([self._mask(prompts[i], place) for i in indices]) if masked else None
            logits, scores = self.segmenter.engine.decode(self.embedding, coords, labels, previous)
            for row, index in enumerate(indices):
                several = _is_ambiguous(prompts[index]) if multimask is None else multimask
                chosen = np.flatnonzero(scores[row] > -np.inf)[slice(1, None) if several else slice(0, 1)]
                results[index] = Masks(logits[row, chosen], scores[row, chosen], self.placement, prompts=prompts[index])
        return [results[i] for i in range(len(prompts))]

    def predict_points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each of B points by itself, [B, 2] in pixels: candidates' logits float32 [B, C, h, w], scores [B, C]."""
        coords = self.placement.to_input(points)[:, None]
        logits, scores = self.segmenter.engine.decode(self.embedding, coords, np.ones((len(points), 1), np.float32))
        return logits[:, 1:], scores[:, 1:]

    @property
    def proposes(self) -> bool:
        """Whether the model finds all instances at once, instead of being asked point by point."""
        return isinstance(self.segmenter.engine, InstanceEngine)

    def instances(self, confidence: float, iou: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All instances that such a model finds, the surest first: logits float32 [N, h, w], scores float32 [N], and
        the middles of their boxes float32 [N, 2] in pixels of the picture.

        Args:
            confidence: what is less sure, 0 to 1, is left out.
            iou: of two whose boxes' IoU is higher, the surer one is kept.
        """
        engine = self.segmenter.engine
        assert isinstance(engine, InstanceEngine)
        found = engine.instances(self.features, confidence, iou)
        middles = found.boxes.reshape(-1, 2, 2).mean(axis=1) * (self.placement.model_width / found.width)
        return found.logits(np.arange(len(found))), found.scores, self.placement.to_picture(middles)

    def everything(self, **options: Any) -> Masks:
        """Masks of all that is in the picture: SAM's automatic mask generation; see `anymask.everything.everything`."""
        from anymask.everything import everything

        return everything(self, **options)

    def _tokens(self, prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
        """The prompt as points [K, 2] in input pixels and labels [K]: clicks first, then the box's corners.

        A network that reads few points gets the first clicks; the box is never left out.
        """
        corners = np.zeros((0, 2)) if prompt.box is None else prompt.box.reshape(2, 2)
        x0, y0, x1, y1 = self.placement.crop
        # A click on the background that a closer view does not show has nothing to say there.
        inside = ((prompt.points >= (x0, y0)) & (prompt.points <= (x1, y1))).all(axis=1)
        seen = inside | (prompt.labels == 1)
        most = self.segmenter.spec.prompts.max_points
        clicks = len(prompt.points) if most is None else max(0, most - len(corners))
        coords = np.concatenate([prompt.points[seen][:clicks], corners])
        labels = np.concatenate([prompt.labels[seen][:clicks], [BOX_START, BOX_END][: len(corners)]])
        return self.placement.to_input(coords), labels

    def _mask(self, prompt: Prompt, place: Placement | None) -> np.ndarray:
        """The prompt's mask as it lies on this view."""
        side = self.segmenter.spec.mask_side
        assert prompt.mask is not None
        if not self.segmenter.spec.prompts.mask:
            raise PromptError(f"{self.segmenter.name} takes no mask as a prompt; give it points or a box.")
        if prompt.mask.shape != (side, side):
            raise PromptError(
                f"A mask prompt for {self.segmenter.name} is {side} x {side} logits, not "
                f"{' x '.join(map(str, prompt.mask.shape))}; use masks.logits[i] of an earlier prediction."
            )
        place = place or self._place(prompt)
        return prompt.mask if place == self.placement else self.placement.carry(prompt.mask, place)

    def __repr__(self) -> str:
        return f"EncodedImage({self.width} x {self.height}, {self.segmenter.name!r})"


def _is_ambiguous(prompt: Prompt) -> bool:
    return len(prompt.points) == 1 and prompt.box is None and prompt.mask is None


class _Scaled(NamedTuple):
    """A picture and what the encoder sees of it: `pixels`, the part that `placement` names, at the network's scale."""

    rgb: np.ndarray
    placement: Placement
    pixels: np.ndarray


def _scaled(spec: ModelEntry, rgb: np.ndarray, crop: Box | None = None) -> _Scaled:
    placement = _placement(spec, rgb.shape[0], rgb.shape[1], crop)
    x0, y0, x1, y1 = placement.crop
    return _Scaled(rgb, placement, resize_to_input(rgb[y0:y1, x0:x1], placement, spec.input.resize))


def _placement(spec: ModelEntry, height: int, width: int, crop: Box | None) -> Placement:
    if spec.input.fit == "letterbox":
        return Placement.letterbox(height, width, spec.input.side, crop)
    return Placement.stretch(height, width, spec.input.side, crop, spec.enlarge)
