"""The tracker of models with a memory: SAM 2's way of following objects (Ravi et al. 2024, §4), its reference's steps.

A prompt on a frame that was not tracked yet is answered by that frame alone; on one that was, in the light of memory,
and from the answer there. Every prompted frame is a conditioning frame, read by all others however far they are, as
the reference does when it is told to take corrections for such.

With `robust` three rules of SAMURAI (Yang et al. 2024, arXiv 2411.11922) come in; they ask nothing more of the network:

* the memories that are read are those of the latest frames that are trusted (`anymask.recall.recall_trusted`), in which
  SAM2Long (Ding et al. 2024, arXiv 2410.16268) agrees;
* a frame on which the object is judged absent is not remembered at all;
* once an object's box has been where its motion led to expect it for fifteen frames, its candidate masks are weighed by
  0.85 of their predicted IoU and 0.15 of their box's IoU with the expected one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from anymask import rle
from anymask.catalog import ModelEntry
from anymask.placement import Placement
from anymask.prompts import Prompt
from anymask.recall import Quality
from anymask.runtime.engine import BOX_END, BOX_START, Answered, Features, VideoEngine
from anymask.runtime.resize import resize_to_input
from anymask.segmenter import Segmenter
from anymask.tracking.bank import SURE, Bank, Remembered, narrowed
from anymask.tracking.extent import box_of, region_box
from anymask.tracking.follower import Answer
from anymask.tracking.kalman import AGREES

AMBIGUOUS = 2  # a prompt of fewer points is answered with the best of the candidates
MOTION = 0.15  # SAMURAI's weight of motion beside predicted IoU
THERE = 0.5  # presence below which an object is not on the frame


@dataclass(frozen=True, eq=False)
class Found(Answer):
    """An answer fresh from the network, with what is to be remembered of it: the object's pointer, float32 `[C]`."""

    pointer: np.ndarray | None = None
    backward: bool = False


class Seen:
    """A frame, encoded when that is needed first."""

    def __init__(self, engine: VideoEngine, index: int, rgb: np.ndarray, count: int | None) -> None:
        self.index, self.count = index, count
        spec, (height, width) = engine.spec, rgb.shape[:2]
        self.placement = Placement.stretch(height, width, spec.input.side, enlarge=spec.enlarge)
        self._engine, self._rgb = engine, rgb
        self._features: Features | None = None

    @property
    def features(self) -> Features:
        """What the engine makes of it."""
        if self._features is None:
            # As the reference reads a video's frames; those of pictures it resizes in another way.
            self._features = self._engine.encode(resize_to_input(self._rgb, self.placement, "cubic8"))
        return self._features


class MemoryFollower:
    """Such a tracker over a segmenter; see `anymask.tracking.follower.Follower`.

    Args:
        segmenter: one over a `VideoEngine`.
        robust: see the module's text; without it answers are the reference's.
    """

    def __init__(self, segmenter: Segmenter, robust: bool = False) -> None:
        assert isinstance(segmenter.engine, VideoEngine)
        self.segmenter = segmenter
        self.engine: VideoEngine = segmenter.engine
        self.spec: ModelEntry = segmenter.spec
        self.robust = robust

    def memory(self, arrays: Mapping[str, np.ndarray] | None = None) -> Bank:
        """Nothing is known yet, or what was saved."""
        return Bank(lambda: self.segmenter.fingerprint, arrays, self.robust)

    def see(self, index: int, rgb: np.ndarray, count: int | None) -> Seen:
        """A frame, of which nothing is encoded before it is needed."""
        return Seen(self.engine, index, rgb, count)

    def answer(self, seen: Seen, prompt: Prompt | np.ndarray, memory: Bank, before: Answer | None) -> Answer:
        """A mask is believed as it is; else the network's answer, which corrects an earlier one."""
        if isinstance(prompt, np.ndarray):
            return replace(self.given(seen, prompt), mask=rle.encode(prompt))
        kept = memory.of(seen.index)
        backward = None
        if memory.told and (before is not None if kept is None else kept.passed):
            backward = self._way(seen.index, memory, kept)
        earlier = None
        if before is not None:
            exact = None if kept is None else kept.logits  # the session packs what it keeps
            earlier = before.logits if exact is None else exact
        corners = np.zeros((0, 2)) if prompt.box is None else prompt.box.reshape(2, 2)
        labels = np.concatenate([[BOX_START, BOX_END][: len(corners)], prompt.labels])
        return self.asked(seen, np.concatenate([corners, prompt.points]), labels, memory, backward, earlier)

    def given(self, seen: Seen, mask: np.ndarray) -> Found:
        """What is known of an object whose mask on a frame is given, bool `[H, W]` of any size."""
        side = self.spec.input.side
        shares = Image.fromarray(mask.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR)
        return self._found(seen, self.engine.adopt(seen.features, np.asarray(shares)[None] >= 0.5), 0, 0)

    def asked(
        self,
        seen: Seen,
        points: np.ndarray,
        labels: np.ndarray,
        memory: Bank,
        backward: bool | None,
        earlier: np.ndarray | None,
    ) -> Found:
        """The network's answer to a prompt.

        Args:
            seen: the frame.
            points: `[K, 2]`, x and y in pixels of the frame; a box's corners come first.
            labels: `[K]`, 1 on the object, 0 off it, 2 and 3 the corners.
            memory: what is known of the object.
            backward: how the frame was reached, and so which frames of its memory it is seen in the light of: from
                earlier frames (False) or from later ones (True). None: the frame is seen by itself.
            earlier: logits float32 `[h, w]` that the prompt corrects.
        """
        if backward is None:
            lit = self.engine.alone(seen.features)
        else:
            one = memory.recollect(seen.index, seen.count, backward)
            rows, times = np.array(one.rows), np.array(one.times)
            lit = self.engine.condition(seen.features, rows, times, one.maps[None], one.pointers[None])
        coords = seen.placement.to_input(points)[None]
        found = self.engine.answer(lit, coords, labels[None], None if earlier is None else earlier[None])
        return self._found(seen, found, 0, len(labels), bool(backward))

    def follow(self, seen: Seen, memories: Sequence[Bank], reverse: bool) -> list[Answer]:
        """Objects that remember equally many frames and pointers are asked together."""
        alike: dict[tuple[int, int], list[int]] = defaultdict(list)
        recalled = [memory.recollect(seen.index, seen.count, reverse) for memory in memories]
        for number, one in enumerate(recalled):
            alike[len(one.rows), len(one.times)].append(number)
        answers: dict[int, Answer] = {}
        for numbers in alike.values():
            rows = _common([recalled[number].rows for number in numbers])
            times = _common([recalled[number].times for number in numbers])
            maps = np.stack([recalled[number].maps for number in numbers])
            pointers = np.stack([recalled[number].pointers for number in numbers])
            lit = self.engine.condition(seen.features, rows, times, maps, pointers)
            found = self.engine.answer(lit, np.zeros((len(numbers), 0, 2)), np.zeros((len(numbers), 0)))
            for row, number in enumerate(numbers):
                best = self._expected(seen, memories[number], found, row) if self.robust else None
                answers[number] = self._found(seen, found, row, 0, reverse, best=best)
        return [answers[number] for number in range(len(memories))]

    def remember(self, seen: Seen, memories: Sequence[Bank], answers: Sequence[Answer], told: Sequence[bool]) -> None:
        """Encode answers into memories; those that are kept already only become the latest."""
        new: dict[bool, list[tuple[Bank, Answer, Quality]]] = {True: [], False: []}
        for memory, answer, said in zip(memories, answers, told, strict=True):
            kept = (memory.told if said else memory.tracked).get(seen.index)
            quality = self._moved(seen, memory, answer, said) if self.robust else SURE
            memory.index = seen.index
            if quality.presence < THERE and not said:
                memory.tracked.pop(seen.index, None)
                continue
            again = not isinstance(answer, Found) or (kept is not None and kept.pointer is answer.pointer)
            if kept is not None and kept.map is not None and again:
                kept.passed = True
            else:
                new[said].append((memory, answer, quality))
        for said, those in new.items():
            if those:
                self._encode(seen, those, said)

    def forget(self, memory: Bank, index: int) -> None:
        """Take back what was told of a frame."""
        memory.told.pop(index, None)

    def _expected(self, seen: Seen, memory: Bank, found: Answered, row: int) -> int | None:
        """Of an object's candidates the one that is best by predicted IoU and motion together; None where motion has
        nothing to say."""
        expected = memory.motion.expected(seen.index) if memory.motion.believed else None
        if expected is None or len(found.scores[row]) < 2:
            return None
        boxes = [region_box(seen.placement, one) for one in found.logits[row, 1:]]
        agree = np.array([0.0 if box is None else memory.motion.agreement(seen.index, box) for box in boxes])
        return 1 + int(((1 - MOTION) * found.scores[row, 1:] + MOTION * agree).argmax())

    def _moved(self, seen: Seen, memory: Bank, answer: Answer, told: bool) -> Quality:
        """How far an answer is to be believed; its box is what motion goes on from."""
        motion = memory.motion
        if memory.index is not None and abs(seen.index - memory.index) > 1:
            motion.forget()
        box = box_of(answer)
        if box is None:
            return Quality(answer.score, 0.0, 0.0)
        agreement = motion.agreement(seen.index, box)
        if told and agreement < AGREES:
            motion.forget()
        if motion.index != seen.index and answer.presence >= THERE:
            motion.update(seen.index, box)
        return Quality(answer.score, answer.presence, agreement)

    def _encode(self, seen: Seen, those: Sequence[tuple[Bank, Answer, Quality]], told: bool) -> None:
        logits = np.stack([answer.logits for _, answer, _ in those])
        presence = np.array([answer.presence - 0.5 for _, answer, _ in those], np.float32)
        maps = narrowed(self.engine.remember(seen.features, logits, presence, told))
        for (memory, answer, quality), one in zip(those, maps, strict=True):
            if told:
                pointer = answer.pointer if isinstance(answer, Found) else None
                memory.tell(seen.index, Remembered(one.copy(), pointer, passed=False))
                continue
            kept = Remembered(one.copy(), None, answer.logits, quality=quality)
            if isinstance(answer, Found):
                kept.pointer, kept.backward = answer.pointer, answer.backward
            elif (earlier := memory.tracked.get(seen.index)) is not None:
                kept.pointer, kept.backward = earlier.pointer, earlier.backward
            memory.track(seen.index, kept)

    def _way(self, index: int, memory: Bank, kept: Remembered | None) -> bool:
        """Whether a frame is seen backwards: as it was reached, if there is a prompt where that comes from."""
        if min(memory.told) > index:
            return True
        return kept is not None and kept.backward and max(memory.told) >= index

    def _found(
        self, seen: Seen, found: Answered, row: int, points: int, backward: bool = False, best: int | None = None
    ) -> Found:
        """Of an object's masks `best`; by default the single one, or the best of the candidates."""
        scores = found.scores[row]
        if best is None:
            best = 1 + int(scores[1:].argmax()) if points < AMBIGUOUS and len(scores) > 1 else 0
        return Found(
            found.logits[row, best].astype(np.float32),  # a copy, so that the others can go
            seen.placement,
            float(scores[best]),
            float(1 / (1 + np.exp(-np.clip(found.presence[row], -50, 50)))),
            None,
            found.pointers[row, best].copy(),
            backward,
        )


def _common(values: list[tuple[float, ...]] | list[tuple[int, ...]]) -> np.ndarray:
    """Values that objects have, one row where they are equal."""
    return np.array(values if len(set(values)) > 1 else values[0])
