"""Prompts to masks, and the ids of masks.

An id stands for the question that a mask answers, not for its logits: a question is small, and asking it again takes
milliseconds and gives the same logits. So ids of a hundred thousand masks cost next to nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from anymask import rle
from anymask.errors import FormatError, PromptError
from anymask.masks import Masks
from anymask.prompts import Prompt
from anymask.refine import resize
from anymask.segmenter import EncodedImage
from anymask.server.errors import Gone
from anymask.server.schemas import Asked, Rle

KEPT = 100_000
CERTAIN = 8.0  # logits of a mask that was drawn, inside and outside
DEEPEST = 32  # refinements of refinements

SAID = {"points", "labels", "box", "mask_id", "mask"}  # what makes one question different from another

Answer = tuple[Masks, list[str]]


@dataclass(frozen=True)
class Question:
    """One mask of one answer: `row` among the masks of what was `asked` of a model about a picture."""

    picture: str
    model: str
    asked: str
    multimask: bool | None
    row: int
    second_look: bool | None = None


class Questions:
    """Asks, and remembers what was asked."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Question] = OrderedDict()
        self._lock = threading.Lock()

    def ask(
        self,
        image: EncodedImage,
        picture: str,
        asked: Sequence[Asked],
        multimask: bool | None = None,
        second_look: bool | None = None,
    ) -> list[Answer]:
        """The masks for each prompt, the best first, and their ids; `second_look` as in `EncodedImage.predict`.

        Raises:
            PromptError: a prompt is malformed or outside of the picture.
            Gone: the mask that one refines is not remembered.
        """
        model = image.segmenter.name
        prompts = [self._prompt(image, picture, one, 0) for one in asked]
        answers: list[Answer | None] = [None] * len(asked)
        for choice in {_choice(one, multimask) for one in asked}:  # alike ones are decoded together
            rows = [row for row, one in enumerate(asked) if _choice(one, multimask) == choice]
            found = image.predict_batch([prompts[row] for row in rows], choice, second_look)
            for row, masks in zip(rows, found, strict=True):
                text = asked[row].model_dump_json(include=SAID, exclude_none=True)
                order = np.argsort(-masks.scores, kind="stable")
                ids = [
                    self._remember(Question(picture, model, text, choice, int(place), second_look)) for place in order
                ]
                answers[row] = masks[order], ids
        return [answer for answer in answers if answer is not None]

    def _remember(self, question: Question) -> str:
        identity = sha256(repr(question).encode()).hexdigest()[:24]
        with self._lock:
            self._kept[identity] = question
            self._kept.move_to_end(identity)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return identity

    def _prompt(self, image: EncodedImage, picture: str, asked: Asked, depth: int) -> Prompt:
        mask = None
        if asked.mask_id is not None and asked.mask is not None:
            raise PromptError("A prompt takes a mask_id or a mask, not both.")
        if asked.mask_id is not None:
            mask = self._logits(image, picture, asked.mask_id, depth)
        elif asked.mask is not None:
            mask = drawn_logits(image, asked.mask)
        return Prompt(points=asked.points or None, labels=asked.labels or None, box=asked.box, mask=mask)

    def _logits(self, image: EncodedImage, picture: str, identity: str, depth: int) -> np.ndarray:
        with self._lock:
            question = self._kept.get(identity)
        if question is None or depth >= DEEPEST:
            raise Gone("The mask that is to be refined is not known any more; ask without it.")
        if (question.picture, question.model) != (picture, image.segmenter.name):
            raise PromptError("The mask that is to be refined is of another picture or model.")
        asked = Asked.model_validate_json(question.asked)
        prompt = self._prompt(image, picture, asked, depth + 1)
        logits: np.ndarray = image.predict_batch([prompt], question.multimask, question.second_look)[0].logits[
            question.row
        ]
        return logits


def drawn_logits(image: EncodedImage, drawn: Rle) -> np.ndarray:
    """A mask at the picture's size as the low-resolution logits [h, w] that a network takes as a prompt.

    Raises PromptError for a mask of another size or one that cannot be read.
    """
    whole = decoded(drawn, image.height, image.width)
    placement, side = image.placement, image.segmenter.spec.mask_side
    grid = np.full((side, side), -CERTAIN, np.float32)
    valid = placement.valid(grid)
    coverage = resize(whole.astype(np.float32), (valid.shape[0], valid.shape[1]))
    valid[:] = np.clip(2 * coverage - 1, -1, 1) * CERTAIN
    return grid


def decoded(drawn: Rle, height: int, width: int) -> np.ndarray:
    """The bool [H, W] mask of an RLE for a picture of that size. Raises PromptError for any other."""
    if tuple(drawn.size) != (height, width):
        raise PromptError(
            f"The mask is of a picture of {drawn.size[1]} x {drawn.size[0]} pixels, not of {width} x {height}."
        )
    try:
        return rle.decode(drawn.model_dump())
    except (FormatError, ValueError, IndexError, OverflowError, UnicodeEncodeError) as error:
        raise PromptError(f"The mask's RLE cannot be read ({error}).") from None


def _choice(asked: Asked, multimask: bool | None) -> bool | None:
    return multimask if asked.multimask is None else asked.multimask
