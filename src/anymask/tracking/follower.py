"""What a tracker of one kind does: the seam between sessions, which know users and videos, and networks.

A session calls, for each frame, `see` once, then `follow` for all objects that are to be found on it, then `remember`.
For what a user says of a frame it calls `answer` and `remember`. All that is known of an object lies in its `Memory`,
which the follower makes, bounds, and alone looks into; the session keeps it with the object and saves its arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from anymask import rle
from anymask.catalog import ModelEntry
from anymask.placement import Placement
from anymask.prompts import Prompt


@dataclass(frozen=True, eq=False)
class Answer:
    """Where an object is on a frame.

    Attributes:
        logits: float32 `[h, w]`, above 0 is the object; nowhere above 0 when it is not seen.
        placement: how they lie on the frame.
        score: predicted IoU, about 0 to 1.
        presence: how sure it is that the object is on the frame, 0 to 1.
        mask: RLE at the frame's size, where the user gave the mask; it takes the place of the logits.
    """

    logits: np.ndarray
    placement: Placement
    score: float
    presence: float
    mask: rle.RLE | None = None


class Memory(Protocol):
    """What is known of one object, bounded whatever the clip's length."""

    def at(self) -> int | None:
        """The frame that was remembered last; None for one that knows no place, as after loading."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """What is to be saved; `Follower.memory` takes it again."""
        ...


class Follower(Protocol):
    """A tracker of one kind, loaded. It keeps nothing of any video itself. Frames come in either direction.

    Attributes:
        spec: the model.
        robust: it takes measures against drift, and its objects exclude each other.
    """

    spec: ModelEntry
    robust: bool

    def memory(self, arrays: Mapping[str, np.ndarray] | None = None) -> Any:
        """An empty `Memory`, or a saved one.

        Raises WeightsError for arrays that are another model's.
        """
        ...

    def see(self, index: int, rgb: np.ndarray, count: int | None) -> Any:
        """A frame uint8 `[H, W, 3]`, ready for all that may be asked of it: encoded, now or when that is needed first.
        Sessions keep the last few.

        Args:
            index: its number.
            rgb: the frame.
            count: how many frames there are in all; None while nobody knows.
        """
        ...

    def answer(self, seen: Any, prompt: Prompt | np.ndarray, memory: Any, before: Answer | None) -> Answer:
        """The object that a user points at.

        Args:
            seen: the frame.
            prompt: all that was said of the object on this frame; or its whole mask, bool `[H, W]`.
            memory: what is known of it.
            before: what was found on this frame before; a correction starts from there.

        Raises PromptError for a prompt that the model does not take.
        """
        ...

    def follow(self, seen: Any, memories: Sequence[Any], reverse: bool) -> list[Answer]:
        """Where each of several objects is on a frame, asked together; `reverse`: frames come from later to earlier."""
        ...

    def remember(self, seen: Any, memories: Sequence[Any], answers: Sequence[Answer], told: Sequence[bool]) -> None:
        """Keep what each object looks like on a frame, and where it is. `told`: the answer is a user's, which is never
        forgotten for newer ones; told again of the same frame, it takes the earlier one's place."""
        ...

    def forget(self, memory: Any, index: int) -> None:
        """Take back what was told of a frame."""
        ...
