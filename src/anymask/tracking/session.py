"""A session: one video, the objects that are followed through it, and what a user said of them on which frames."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anymask.errors import PromptError
from anymask.masks import Masks
from anymask.placement import Placement
from anymask.prompts import Prompt
from anymask.tracking.exclusion import exclude
from anymask.tracking.follower import Answer, Follower
from anymask.tracking.frames import Frames, check_index
from anymask.tracking.kept import KeptAnswers

SEEN_FRAMES = 3
KEPT_ANSWERS = 4096  # a few KB each


@dataclass(eq=False)
class Told:
    """What a user said of an object on a frame, and what that was answered with."""

    prompt: Prompt | np.ndarray
    answer: Answer


@dataclass(eq=False)
class Followed:
    """An object: its memory, and the frames that it was prompted on."""

    memory: Any
    told: dict[int, Told] = field(default_factory=dict)

    def known(self, index: int, reverse: bool) -> bool:
        """Whether it was prompted on a frame or before it, in the direction that frames come in."""
        return any(frame >= index if reverse else frame <= index for frame in self.told)


class Session:
    """Objects followed through a video; made by `Tracker.open` or `Tracker.resume`. For one thread.

    Memory is bounded: a few frames and their features, what the tracker remembers of each object, and the last few
    thousand answers, packed. Frames are numbered from 0 in the order in which they are shown.

    Attributes:
        frames: where the frames come from.
        kept: what was found, of one object on one frame each; `kept.most` says how many.
    """

    def __init__(self, follower: Follower, frames: Frames) -> None:
        self.frames = frames
        self.kept = KeptAnswers(KEPT_ANSWERS)
        self._follower = follower
        self._objects: dict[int, Followed] = {}
        self._seen: OrderedDict[int, Any] = OrderedDict()

    @property
    def count(self) -> int | None:
        """How many frames there are; None while nobody knows."""
        return self.frames.count

    @property
    def trouble(self) -> str:
        """What ended the video early or is missing from it, or ""."""
        return self.frames.trouble

    @property
    def object_ids(self) -> list[int]:
        """The objects that are followed, in the order in which they were added."""
        return list(self._objects)

    @property
    def prompted(self) -> dict[int, list[int]]:
        """For each object the frames that it was prompted on, in rising order."""
        return {object_id: sorted(one.told) for object_id, one in self._objects.items()}

    def frame(self, index: int) -> np.ndarray:
        """A frame, uint8 `[H, W, 3]`. Raises PromptError where there is none, ImageError where it cannot be read."""
        rgb = self.frames.at(index)
        if rgb is None:
            trouble = f" ({self.frames.trouble})" if self.frames.trouble else ""
            raise PromptError(f"There is no frame {index} in {self.frames.name}{trouble}.")
        return rgb

    def prompt(
        self,
        frame: int,
        object_id: int,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
    ) -> Masks:
        """Say where an object is on a frame; the object is new, or is corrected there.

        Points add to those that were given for the object on this frame before, and a box takes the place of an
        earlier one. A correction starts from what was found on the frame, sticks there, and holds for the frames that
        are propagated to after it. Objects may be added and corrected while `propagate` is under way.

        Args:
            frame: its number. Of a stream one of the last few, or the next.
            object_id: a whole number of your choice, from 1 on.
            points: `[K, 2]`, x and y in pixels of the frame.
            labels: `[K]`, 1 on the object and 0 off it; all 1 when left out.
            box: x0, y0, x1, y1 in pixels.
            mask: bool `[H, W]`, all that the object covers; taken as it is. It stands alone.

        Returns:
            The object's mask on the frame: `Masks` of length 1, as `propagate` gives them.

        Raises:
            PromptError: there is no such frame, or the prompt is malformed or does not fit it.
            ImageError: the frame cannot be read.
        """
        if isinstance(object_id, bool) or not isinstance(object_id, int | np.integer) or object_id < 1:
            raise PromptError(f"An object's id is a whole number from 1 on, not {object_id!r}.")
        seen, shape = self._see(frame), self.frame(frame).shape[:2]
        one = self._objects.get(object_id) or Followed(self._follower.memory())
        told = one.told.get(frame)
        asked: Prompt | np.ndarray
        if mask is not None:
            if points is not None or box is not None:
                raise PromptError("A mask says all of an object; correct it with points or a box afterwards.")
            asked = _whole_mask(mask, shape)
        else:
            earlier = told.prompt if told and isinstance(told.prompt, Prompt) else None
            asked = _together(earlier, Prompt(points, labels, box)).check(*shape)
        before = told.answer if told else self.kept.answer(frame, object_id)
        if before is not None and not (before.logits > 0).any():
            before = None
        if isinstance(asked, Prompt) and asked.box is None and not (asked.labels == 1).any() and before is None:
            raise PromptError(f"Object {object_id} is not known on frame {frame}; give a point on it, a box or a mask.")
        answer = self._follower.answer(seen, asked, one.memory, before)
        self._objects[object_id] = one
        one.told[frame] = Told(asked, answer)
        self._follower.remember(seen, [one.memory], [answer], [True])
        self.kept.keep(frame, object_id, answer)
        return self._masks({object_id: answer})

    def clear(self, frame: int, object_id: int) -> None:
        """Take back what was said of an object on a frame. An object of which nothing is left goes.

        Raises PromptError for an object or a frame of which nothing was said.
        """
        one = self._object(object_id)
        if frame not in one.told:
            raise PromptError(f"Nothing was said of object {object_id} on frame {frame}.")
        del one.told[frame]
        self.kept.forget(object_id, frame)
        self._follower.forget(one.memory, frame)
        if not one.told:
            self.remove(object_id)

    def remove(self, object_id: int) -> None:
        """Follow an object no longer. Raises PromptError when it is not followed."""
        self._object(object_id)
        del self._objects[object_id]
        self.kept.forget(object_id)

    def reset(self) -> None:
        """Forget all objects and what was found; the video stays open."""
        self._objects.clear()
        self.kept.clear()

    def masks(self, frame: int) -> Masks | None:
        """What was last found on a frame; None where nothing was, or too long ago to be kept."""
        answers = {object_id: self.kept.answer(frame, object_id) for object_id in self._objects}
        found = {object_id: answer for object_id, answer in answers.items() if answer is not None}
        return self._masks(found) if found else None

    def propagate(
        self, start: int | None = None, stop: int | None = None, reverse: bool = False
    ) -> Iterator[tuple[int, Masks]]:
        """Follow the objects from frame to frame.

        Args:
            start: the first frame; when left out, the first that was prompted (with `reverse` the last); of a stream
                the next one to come, or the last one that came if it was prompted.
            stop: the frame to end before, as of `range`; when left out, the end of the video (with `reverse` its
                beginning).
            reverse: from later frames to earlier ones.

        Yields:
            The frame's number and the masks of the objects that were prompted on it or before it, in the direction of
            travel: `Masks` with their ids in `extra["object_id"]`, how sure it is that the object is there in
            `extra["presence"]` (0 to 1), and an empty mask for one that is not seen. A frame's masks are those of its
            prompts where it has some.

        Raises:
            PromptError: nothing was prompted (of a stream, masks are empty until something is), or there is no such
                frame.
            ImageError: a frame cannot be read or has another size. A clip that breaks off ends the iteration, and
                `trouble` says why.
        """
        if reverse and self.frames.streams:
            raise PromptError("A stream cannot be followed backwards.")
        index, end = self._span(start, stop, reverse)
        step = -1 if reverse else 1
        while end is None or index != end:
            if self.count is not None and not 0 <= index < self.count:
                return
            if self.frames.at(index) is None:
                return
            yield index, self._advance(index, reverse)
            index += step

    def _span(self, start: int | None, stop: int | None, reverse: bool) -> tuple[int, int | None]:
        told = [frame for one in self._objects.values() for frame in one.told]
        streaming = self.frames.streams
        if not told and not streaming:
            raise PromptError("Nothing was prompted yet; say first where an object is, with session.prompt(...).")
        if start is None and streaming:
            newest = self.frames.newest
            start = newest if newest in told else newest + 1
        if start is None:
            start = max(told) if reverse else min(told)
        check_index(self.frames.name, start, self.count)
        if stop is not None and (stop > start if reverse else stop < start):
            raise PromptError(f"There is no way from frame {start} to frame {stop} {'back' if reverse else 'on'}.")
        return start, -1 if stop is None and reverse else stop

    def _advance(self, index: int, reverse: bool) -> Masks:
        """All objects on the next frame."""
        seen = self._see(index)
        known = {object_id: one for object_id, one in self._objects.items() if one.known(index, reverse)}
        answers = {object_id: one.told[index].answer for object_id, one in known.items() if index in one.told}
        sought = {object_id: one for object_id, one in known.items() if index not in one.told}
        before = index + 1 if reverse else index - 1
        for object_id, one in sought.items():
            self._go_back(object_id, one, before)
        found = self._follower.follow(seen, [one.memory for one in sought.values()], reverse) if sought else []
        answers |= dict(zip(sought, found, strict=True))
        told = [index in one.told for one in known.values()]
        ordered = {object_id: answers[object_id] for object_id in known}
        if self._follower.robust:
            ordered = exclude(ordered, {object_id for object_id, one in known.items() if index in one.told})
        if known:
            self._follower.remember(seen, [one.memory for one in known.values()], list(ordered.values()), told)
        for object_id, answer in ordered.items():
            self.kept.keep(index, object_id, answer)
        return self._masks(ordered)

    def _go_back(self, object_id: int, one: Followed, before: int) -> None:
        """Remind an object of where it was on the frame before, where that was not the last it was seen on."""
        if one.memory.at() == before or before < 0:
            return
        answer = one.told[before].answer if before in one.told else self.kept.answer(before, object_id)
        if answer is not None and not self.frames.streams:
            self._follower.remember(self._see(before), [one.memory], [answer], [before in one.told])

    def _see(self, index: int) -> Any:
        if index not in self._seen:
            self._seen[index] = self._follower.see(index, self.frame(index), self.count)
            while len(self._seen) > SEEN_FRAMES:
                self._seen.popitem(last=False)
        self._seen.move_to_end(index)
        return self._seen[index]

    def _object(self, object_id: int) -> Followed:
        if object_id not in self._objects:
            followed = ", ".join(map(str, self._objects)) or "none"
            raise PromptError(f"There is no object {object_id}; followed: {followed}.")
        return self._objects[object_id]

    def _masks(self, answers: dict[int, Answer]) -> Masks:
        found = list(answers.values())
        side = self._follower.spec.mask_side
        if not found:
            height, width = self.frame(self.frames.newest if self.frames.streams else 0).shape[:2]
            empty: dict[str, np.ndarray] = {"object_id": np.zeros(0, np.int64), "presence": np.zeros(0, np.float32)}
            place = Placement.stretch(height, width, 4 * side)
            return Masks(np.zeros((0, side, side), np.float32), np.zeros(0, np.float32), place, extra=empty)
        return Masks(
            np.stack([one.logits for one in found]),
            np.array([one.score for one in found], np.float32),
            [one.placement for one in found],
            rles=[one.mask for one in found],
            extra={
                "object_id": np.array(list(answers), np.int64),
                "presence": np.array([one.presence for one in found], np.float32),
            },
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was said, what is remembered of the objects and what was found to a file, for `Tracker.resume`.

        Raises ImageError when it cannot be written; a file that was there before is left as it was then.
        """
        from anymask.tracking import saving

        saving.save(self, self._follower, path)

    def close(self) -> None:
        """Close the video. What was found before can still be asked for."""
        self.frames.close()
        self._seen.clear()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Session({self.frames.name!r}, objects {self.object_ids})"


def _whole_mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(mask)
    if array.shape != shape:
        raise PromptError(
            f"An object's mask has the frame's size, {shape[1]} x {shape[0]} pixels, not the shape {list(array.shape)}."
        )
    whole: np.ndarray = array > 0
    if not whole.any():
        raise PromptError("The mask is empty; give the object's pixels, or remove the object.")
    return whole


def _together(earlier: Prompt | None, prompt: Prompt) -> Prompt:
    """What was said before and what is said now, as one prompt."""
    if earlier is None:
        return prompt
    points = np.concatenate([earlier.points, prompt.points])
    labels = np.concatenate([earlier.labels, prompt.labels])
    return Prompt(points, labels, earlier.box if prompt.box is None else prompt.box)


def objects_of(masks: Masks) -> Sequence[int]:
    """The ids of the objects that masks belong to."""
    return [int(one) for one in masks.extra["object_id"]]
