"""What a task may ask of a running model, whichever engine runs it."""

from typing import Protocol

import numpy as np

from anymask.catalog import ModelEntry

Embedding = tuple[np.ndarray, ...]
"""What the encoder made of a picture; only the engine that made it looks inside."""

PADDING, BACKGROUND, FOREGROUND, BOX_START, BOX_END, SUBJECT = -1, 0, 1, 2, 3, 4
"""Labels of prompt points: SAM's, and pocket's subject, whose position does not matter."""


class SegmentEngine(Protocol):
    """A promptable network. S is the input's side, h x w the low-resolution masks'. Safe to call from many threads."""

    spec: ModelEntry

    def encode(self, rgb: np.ndarray) -> Embedding:
        """A picture uint8 [H, W, 3], already of the network's scale (H, W <= S), to its embedding."""
        ...

    def decode(
        self, embedding: Embedding, coords: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """B prompts to masks: coords float32 [B, K, 2] in input pixels, labels [B, K], previous logits float32 [B, h,
        w].

        Returns logits float32 [B, 4, h, w] and predicted IoU float32 [B, 4]; 0 is the single mask, 1 to 3 the
        candidates.
        """
        ...


class MatteEngine(Protocol):
    """A network that finds a picture's subject. Safe to call from many threads."""

    spec: ModelEntry

    def matte(self, rgb: np.ndarray) -> np.ndarray:
        """A picture uint8 [H, W, 3] of any size to probabilities float32 [h, w] that cover just the picture, at low
        resolution."""
        ...


def padded_picture(spec: ModelEntry, rgb: np.ndarray) -> np.ndarray:
    """The encoder's input uint8 [1, S, S, 3]: the picture at the top left, the model's padding colour around it."""
    picture = np.empty((1, spec.input.side, spec.input.side, 3), np.uint8)
    picture[:] = spec.input.padding
    picture[0, : rgb.shape[0], : rgb.shape[1]] = rgb
    return picture


def prompt_inputs(
    spec: ModelEntry, coords: np.ndarray, labels: np.ndarray, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The decoder's inputs, all float32: coords [B, K, 2], labels [B, K], mask [B, h, w] and whether there is one
    [B]."""
    count = len(coords)
    if coords.shape[1] == 0:  # a mask alone: one padding point stands for "no points"
        coords, labels = np.zeros((count, 1, 2)), np.full((count, 1), PADDING)
    given = np.full(count, mask is not None, np.float32)
    if mask is None:
        mask = np.zeros((count, spec.mask_side, spec.mask_side), np.float32)
    return coords.astype(np.float32), labels.astype(np.float32), mask.astype(np.float32), given
