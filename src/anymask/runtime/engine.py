"""What a task may ask of a running model, whichever engine runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from anymask.catalog import ModelEntry

if TYPE_CHECKING:
    from anymask.runtime.selection import Instances

Features = tuple[np.ndarray, ...]
"""What the encoder made of a picture: worth keeping, and all that is needed to go on. Only its engine looks inside."""

Embedding = tuple[Any, ...]
"""What the decoder reads: features, and whatever else depends on the picture alone; arrays of the engine's own kind."""

PADDING, BACKGROUND, FOREGROUND, BOX_START, BOX_END, SUBJECT = -1, 0, 1, 2, 3, 4
"""Labels of prompt points: SAM's, and pocket's subject, whose position does not matter."""


class SegmentEngine(Protocol):
    """A promptable network. S is the input's side, h x w the low-resolution masks'. Safe to call from many threads."""

    spec: ModelEntry

    def encode(self, rgb: np.ndarray) -> Features:
        """A picture [H, W, 3] in 0..255, already of the network's scale (H, W <= S), to its features."""
        ...

    def prepare(self, features: Features) -> Embedding:
        """Features to what the decoder reads; done once for a picture."""
        ...

    def decode(
        self, embedding: Embedding, coords: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """B prompts to masks: coords float32 [B, K, 2] in input pixels, labels [B, K], previous logits float32 [B, h,
        w].

        Returns logits float32 [B, 1 + C, h, w] and predicted IoU float32 [B, 1 + C]; 0 is the single mask, the others
        are the candidates for an ambiguous prompt (three in most networks, one in SAM-HQ). A score of -inf says that
        there is no such candidate; the first is always there.
        """
        ...


@runtime_checkable
class InstanceEngine(SegmentEngine, Protocol):
    """A promptable network that finds all instances at once, among which its prompts choose."""

    def instances(self, features: Features, confidence: float, iou: float) -> Instances:
        """What it is surer of than `confidence`, the surest first; of two boxes whose IoU is above `iou`, one."""
        ...


@runtime_checkable
class VideoEngine(SegmentEngine, Protocol):
    """A promptable network that remembers objects from frame to frame. B objects, F remembered frames and P pointers of
    each; the features are those of `encode`. It holds no state of any video; safe to call from many threads.

    `lit` is what `alone` or `condition` made: a frame's features without a memory, or in the light of one.
    """

    def alone(self, features: Features) -> Features:
        """A frame by itself, as the first that an object is prompted on."""
        ...

    def condition(
        self, features: Features, rows: np.ndarray, times: np.ndarray, maps: np.ndarray, pointers: np.ndarray
    ) -> Features:
        """A frame in the light of memory: rows int [F] and times [P] as `anymask.recall` gives them, or [B, F] and
        [B, P] where objects differ, maps float32 [B, F, c, M, M], at least one, and pointers float32 [B, P, C]."""
        ...

    def answer(
        self, lit: Features, coords: np.ndarray, labels: np.ndarray, earlier: np.ndarray | None = None
    ) -> Answered:
        """B prompts, one for each object that the frame was lit for: coords float32 [B, K, 2] in input pixels, labels
        [B, K], earlier logits float32 [B, h, w] that they correct. K may be 0: where is it now?"""
        ...

    def adopt(self, features: Features, masks: np.ndarray) -> Answered:
        """Objects whose masks are given, bool [B, S, S] on the input grid, and believed as they are: C is 0."""
        ...

    def remember(self, features: Features, logits: np.ndarray, presence: np.ndarray, prompted: bool) -> np.ndarray:
        """What to keep of a frame: logits float32 [B, h, w] and presence [B] of the answer, and whether it was prompted
        -> maps float32 [B, c, M, M], rounded to bfloat16 as the published network keeps them."""
        ...


class Answered(NamedTuple):
    """Masks of B objects: logits float32 [B, 1 + C, h, w], predicted IoU [B, 1 + C], pointers [B, 1 + C, width], and
    presence [B], above 0 where the object is on the frame. 0 is the single mask, the others are the candidates for an
    ambiguous prompt, and for a frame without one."""

    logits: np.ndarray
    scores: np.ndarray
    pointers: np.ndarray
    presence: np.ndarray


class MatteEngine(Protocol):
    """A network that finds a picture's subject. Safe to call from many threads."""

    spec: ModelEntry

    def mattes(self, rgb: np.ndarray) -> np.ndarray:
        """A picture uint8 [H, W, 3] of any size to probabilities float32 [N, h, w] that cover just the picture, at low
        resolution: one map for each of the model's classes, or a single one."""
        ...


class TrimapEngine(Protocol):
    """A network that finds alpha where a trimap leaves it open. Safe to call from many threads."""

    spec: ModelEntry

    def alpha(self, rgb: np.ndarray, trimap: np.ndarray) -> np.ndarray:
        """A picture uint8 [H, W, 3] and its trimap uint8 [H, W] (0, 128, 255) to alpha float32 [h, w] in 0..1."""
        ...


def padded_picture(spec: ModelEntry, rgb: np.ndarray) -> np.ndarray:
    """The encoder's input [1, S, S, 3]: the picture at the top left, the model's padding colour around it."""
    padding = np.array(spec.input.padding)
    dtype = np.uint8 if padding.dtype.kind == "i" else np.float32
    picture = np.empty((1, spec.input.side, spec.input.side, 3), dtype)
    picture[:, rgb.shape[0] :] = padding
    picture[:, :, rgb.shape[1] :] = padding
    picture[0, : rgb.shape[0], : rgb.shape[1]] = rgb
    return picture


def prompt_points(spec: ModelEntry, coords: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The decoder's points, float32: coords [B, K, 2] and labels [B, K], with the padding point that the network
    wants."""
    rule, points = spec.prompts.padding_point, coords.shape[1]
    boxless = points > 0 and not (labels == BOX_START).any()
    wanted = {"after_points": boxless, "after_prompt": points > 0, "alone": points == 0}
    if wanted.get(rule):
        coords = np.concatenate([coords, np.zeros((len(coords), 1, 2))], axis=1)
        labels = np.concatenate([labels, np.full((len(labels), 1), PADDING)], axis=1)
    return coords.astype(np.float32), labels.astype(np.float32)


def video_points(coords: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A prompt's points on a video's frame, float32: a padding point follows them, and two stand where there are
    none."""
    more = 1 if coords.shape[1] else 2
    coords = np.pad(np.asarray(coords, np.float32), ((0, 0), (0, more), (0, 0)))
    return coords, np.pad(np.asarray(labels, np.float32), ((0, 0), (0, more)), constant_values=PADDING)


def recalled(rows: np.ndarray, times: np.ndarray, objects: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows and times of what is remembered, of each of so many objects: int64 [B, F] and float32 [B, P]."""
    rows, times = np.atleast_2d(np.asarray(rows, np.int64)), np.atleast_2d(np.asarray(times, np.float32))
    own = (np.broadcast_to(one, (objects, one.shape[1])) for one in (rows, times))
    rows, times = (one.copy() for one in own)  # PyTorch wants arrays that can be written
    return rows, times


def bounded(earlier: np.ndarray) -> np.ndarray:
    """Earlier logits within the bounds that SAM 2 was shown them in."""
    return np.asarray(earlier, np.float32).clip(-32, 32)


def adopted(logits: np.ndarray, pointers: np.ndarray, presence: np.ndarray) -> Answered:
    """The answer for masks that were given: logits [B, h, w], pointers [B, width], presence [B, 1]; it is sure."""
    return Answered(logits[:, None], np.ones((len(logits), 1), np.float32), pointers[:, None], presence[:, 0])


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 values rounded to the nearest bfloat16, ties to even; finite ones."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded: np.ndarray = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    return rounded
