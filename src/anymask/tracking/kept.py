"""The last few thousand answers of a session, packed: logits in whole steps, compressed, side by side in pages.

The pages are mapped from the system for themselves. As blocks of the C library's heap, which lie wherever room was when
they came, a few kilobytes a frame kept the megabytes that every frame takes and gives back from being one piece again:
a long clip's memory grew by many times what was kept.
"""

from __future__ import annotations

import mmap
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from anymask.placement import NOTHING
from anymask.tracking.follower import Answer

PAGE = 1 << 20  # bytes; a page goes when the last answer in it does
STEPS = 127 / 8  # of a kept logit: whole steps of a sixteenth, from -8 to 8
BARE = np.zeros((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class Packed:
    """An answer but for its logits, and where these lie."""

    bare: Answer
    shape: tuple[int, ...]
    page: mmap.mmap
    start: int
    stop: int

    @property
    def data(self) -> bytes:
        """The logits as they are kept: whole steps, compressed."""
        return self.page[self.start : self.stop]

    def answer(self) -> Answer:
        """The answer, its logits to within half a step."""
        steps = np.frombuffer(zlib.decompress(self.data), np.int8).reshape(self.shape)
        bare = self.bare
        return Answer((steps / STEPS).astype(np.float32), bare.placement, bare.score, bare.presence, bare.mask)


class KeptAnswers:
    """Answers by frame and object, the oldest dropped when there are too many.

    Attributes:
        most: how many there are at most.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._packed: OrderedDict[tuple[int, int], Packed] = OrderedDict()
        self._page = mmap.mmap(-1, PAGE)
        self._used = 0

    def __len__(self) -> int:
        return len(self._packed)

    def __iter__(self) -> Iterator[tuple[tuple[int, int], Packed]]:
        """Frame and object, and what is kept of them; the oldest first."""
        return iter(self._packed.items())

    def keep(self, frame: int, object_id: int, answer: Answer) -> None:
        """Keep an answer, in place of an earlier one of the same object on the same frame."""
        steps = np.round(np.clip(answer.logits, NOTHING, -NOTHING) * STEPS).astype(np.int8)
        steps[(steps == 0) & (answer.logits > 0)] = 1  # so that the mask stays the same where its grid is the frame's
        self.keep_packed(frame, object_id, answer, zlib.compress(steps.tobytes(), 1), answer.logits.shape)

    def keep_packed(self, frame: int, object_id: int, answer: Answer, data: bytes, shape: tuple[int, ...]) -> None:
        """Keep an answer whose logits are packed already, as `Packed.data` gives them."""
        if self._used + len(data) > len(self._page):
            self._page, self._used = mmap.mmap(-1, max(PAGE, len(data))), 0
        start, self._used = self._used, self._used + len(data)
        self._page[start : self._used] = data
        bare = Answer(BARE, answer.placement, answer.score, answer.presence, answer.mask)
        self._packed[frame, object_id] = Packed(bare, shape, self._page, start, self._used)
        self._packed.move_to_end((frame, object_id))
        while len(self._packed) > self.most:
            self._packed.popitem(last=False)

    def answer(self, frame: int, object_id: int) -> Answer | None:
        """What is kept of an object on a frame; None where nothing is."""
        packed = self._packed.get((frame, object_id))
        return None if packed is None else packed.answer()

    def forget(self, object_id: int, frame: int | None = None) -> None:
        """Drop what is kept of an object, on one frame or on all."""
        for key in [key for key in self._packed if key[1] == object_id and frame in (None, key[0])]:
            del self._packed[key]

    def clear(self) -> None:
        """Drop everything."""
        self._packed.clear()
