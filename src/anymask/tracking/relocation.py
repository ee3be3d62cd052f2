"""The light tracker with measures against drift, for long clips, look-alikes and things that pass before an object.

What it does beside `anymask.tracking.light`:

* The flow is believed as far as the flow back leads to where it came from.
* An object whose motion has been steady is expected in a box (`kalman.py`); a mask that lies elsewhere counts for less.
* Only frames that are sure, that lie where the object was expected and that show about all of it are learned from.
* Now and then, on a frame that is sure, the whole frame is looked at: a second classifier learns what the object looks
  like at that scale, against all there is, and where the frame has something that looks the same (as DAM4SAM keeps
  distractors in mind: Videnovic et al. 2025, arXiv 2411.17576).
* A lost object is looked for where it is expected, and in the whole frame; the best places are looked at closer, and of
  what is found there that is taken which looks most like the object and lies nearest to where it is expected, but
  nothing that lies on another object, and nothing that had stood there before the object was lost, or farther away than
  it can have got to.
* What was found again and is not seen whole and sure within a few frames was something else, and is lost again.
* One whose mask is lost is looked for where it is expected on the same frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from anymask.placement import Placement
from anymask.segmenter import EncodedImage
from anymask.tracking.appearance import Appearance
from anymask.tracking.exclusion import on_cells
from anymask.tracking.extent import area_of, box_of, cell_of
from anymask.tracking.follower import Answer
from anymask.tracking.kalman import AGREES, BoxMotion
from anymask.tracking.light import SURE, LightFollower, LightMemory, Seen, spots, view_of
from anymask.tracking.motion import centres

STEADY = 5  # frames in a row that have agreed with what was expected; then elsewhere counts for less
WIDE_EVERY = 8  # frames, of those that are learned from, between two looks at the whole frame
CLOSER = 2  # places of the whole frame that are looked at closer for one object on one frame
WHOLE, MOVED = 1.5, 1.25  # times smaller or larger than usual that an object may be to be learned from; its motion
SLOWLY, SOON = 0.02, 0.1  # share by which a frame changes the usual size: any, and one that is learned from
STALE = 10  # frames without one that is learned from, after which motion is not believed, as long as it is seen
ELSEWHERE, ROOM = 6.0, 0.5  # taken from logits beyond the expected box and so much of its size around it
NEAR = 0.5  # sizes of the object; a place so far from where it is expected counts for about 0.6 of what it looks
FLOOR = 0.5  # what a place counts for that is far away
HERE = 0.6  # of what a place counts; what is found so near is not looked for elsewhere
AGAIN, FAR = 0.75, 0.95  # presence from which an object is taken for found again: where it is expected, and far away
PARTLY = 3.0  # times smaller or larger than usual, beyond which what is found again counts for less
CENTRED = 0.3  # sizes from the middle of a view, from which a place is looked at in a better one
MOSTLY = 0.5  # of a mask; so much on other objects is too much
RIVALS, RIVAL = 3, 0.75  # look-alikes at most; sizes within which one is known again
REACH = 0.5  # sizes that an object may be away for every frame that it was lost
TRIAL = 8  # frames within which something to be learned from must follow where an object was found again
PATIENT = 60  # frames that a look-alike is kept in mind for while it cannot be seen


@dataclass
class Rival:
    """Something that looks like an object: its box, and the frame that it was last seen on."""

    box: np.ndarray
    index: int


class RelocatingMemory(LightMemory):
    """What is known of one object; beside the light tracker's memory its motion, its looks in whole frames, and where
    its look-alikes are."""

    def __init__(self, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        super().__init__(arrays)
        own = {name.removeprefix("wide_"): one for name, one in (arrays or {}).items() if name.startswith("wide_")}
        self.wide = Appearance(own)
        self.motion = BoxMotion(arrays if own else None)
        self.rivals: list[Rival] = []
        self.trial = 0  # frames that are left to what was found again
        self.before = self.motion  # as it was when that was found
        self.learned = WIDE_EVERY  # frames since the whole frame was looked at

    def arrays(self) -> dict[str, np.ndarray]:
        """As `anymask.tracking.follower.Memory`; look-alikes are found anew."""
        wide = {f"wide_{name}": one for name, one in self.wide.arrays().items()}
        return {**super().arrays(), **wide, **self.motion.arrays()}


class RelocatingFollower(LightFollower):
    """The light tracker with all that; see `anymask.tracking.follower.Follower`."""

    robust = True
    returned, sure = PARTLY, AGAIN

    def memory(self, arrays: Mapping[str, np.ndarray] | None = None) -> RelocatingMemory:
        """Nothing is known yet, or what was saved, by the plain light tracker too."""
        return RelocatingMemory(arrays)

    def follow(self, seen: Seen, memories: Sequence[LightMemory], reverse: bool = False) -> list[Answer]:
        """First the objects that are followed, then those that are lost, which are not looked for on the others."""
        answers: dict[int, Answer] = {}
        for number, memory in sorted(enumerate(memories), key=lambda one: (one[1].away, one[1].lost)):
            assert isinstance(memory, RelocatingMemory)
            if memory.away:
                answers[number] = self._relocated(seen, memory, list(answers.values()))
                continue
            answers[number] = self._follow(seen, memory)
            if box_of(answers[number]) is None:
                others = list(answers.values())[:-1]
                answers[number] = self._relocated(seen, memory, others, everywhere=False)
        return [answers[number] for number in range(len(memories))]

    def remember(
        self, seen: Seen, memories: Sequence[LightMemory], answers: Sequence[Answer], told: Sequence[bool]
    ) -> None:
        """Learn what the objects look like and how they move, but only from frames that show them as they are."""
        for memory, answer, said in zip(memories, answers, told, strict=True):
            assert isinstance(memory, RelocatingMemory)
            if memory.index is not None and abs(seen.index - memory.index) > 1:
                memory.motion.forget()
                memory.rivals = []
            memory.index = seen.index
            box = box_of(answer)
            if box is None:
                memory.lost += 1
                memory.rgb = None
                continue
            if said or not memory.area:
                memory.area = area_of(answer)
            share = area_of(answer) / memory.area
            agrees = memory.motion.agreement(seen.index, box) >= AGREES
            if memory.lost and not said:
                memory.trial, memory.before = TRIAL, memory.motion
            if not agrees and (said or memory.lost):
                memory.motion = BoxMotion()
                memory.motion.update(seen.index, box)
            changed = max(share, 1 / max(share, 1e-6))
            worth = said or (answer.presence >= SURE and agrees and changed <= WHOLE)
            if worth:
                self._study(seen, memory, answer, box, said)
                memory.trial = 0
            elif memory.trial:
                memory.trial -= 1
                if not memory.trial:
                    self._mistaken(memory, box)
                    continue
            if worth and (said or changed <= MOVED):
                memory.motion.update(seen.index, box)
            elif memory.motion.index is not None and abs(seen.index - memory.motion.index) > STALE:
                memory.motion.forget()
            memory.last, memory.rgb, memory.box, memory.lost = answer, seen.rgb, box, 0
            memory.area *= 1 + (SOON if worth else SLOWLY) * (share - 1)

    def _mistaken(self, memory: RelocatingMemory, box: np.ndarray) -> None:
        """What had been found again was something else; go on looking."""
        assert memory.index is not None
        memory.rivals = [*memory.rivals, Rival(box, memory.index)][-2 * RIVALS :]
        memory.motion, memory.rgb, memory.lost = memory.before, None, TRIAL

    def forget(self, memory: LightMemory, index: int) -> None:
        """Take back what was told of a frame."""
        super().forget(memory, index)
        assert isinstance(memory, RelocatingMemory)
        memory.wide.forget(index)

    def _study(self, seen: Seen, memory: RelocatingMemory, answer: Answer, box: np.ndarray, told: bool) -> None:
        """Learn from a frame."""
        view = seen.view(view_of(box, seen.height, seen.width) if told else answer.placement.crop)
        self._learn(seen, view, answer, memory.appearance, told)
        memory.learned += 1
        if told or memory.learned >= WIDE_EVERY:
            memory.learned = 0
            whole = self._whole(seen)
            if told:  # what is alike is found with what lies round the object for all that it is not
                near = view_of(box, seen.height, seen.width)
                self._learn(seen, whole, answer, memory.wide, told, within=near)
                memory.rivals = self._alike(seen, memory, box)
            self._learn(seen, whole, answer, memory.wide, told, [one.box for one in memory.rivals])
            memory.rivals = self._alike(seen, memory, box)

    def _alike(self, seen: Seen, memory: RelocatingMemory, box: np.ndarray) -> list[Rival]:
        """What would be taken for the object if it were not known to be at `box`."""
        whole, size = self._whole(seen), float((box[2:] - box[:2]).max())
        likely = peaks(whole.placement, self._looks(seen, whole, memory.wide), box, RIVALS)
        found = [Rival(box, seen.index)]
        for place in [*(one.box for one in memory.rivals), *(place for place, _ in likely)]:
            if any(apart(place, one.box) < RIVAL * size for one in found):
                continue
            there = box_of(self._closer(seen, memory, place, box))
            if there is not None and all(apart(there, one.box) > RIVAL * size for one in found):
                found.append(Rival(there, seen.index))
        return found[1 : 1 + RIVALS]

    @staticmethod
    def _whole(seen: Seen) -> EncodedImage:
        return seen.view((0, 0, seen.width, seen.height))

    def _search(self, seen: Seen, memory: LightMemory) -> Answer:
        assert isinstance(memory, RelocatingMemory)
        return self._relocated(seen, memory, [])

    def _relocated(
        self, seen: Seen, memory: RelocatingMemory, taken: Sequence[Answer], everywhere: bool = True
    ) -> Answer:
        """An object where it is expected, or `everywhere`; `taken`: where others are."""
        usual = memory.motion.expected(seen.index)
        usual = memory.box if usual is None else usual
        if usual is None:
            return super()._search(seen, memory)
        places, size = [usual], float((usual[2:] - usual[:2]).max())
        whole = Placement.letterbox(seen.height, seen.width, self.spec.input.side)
        best, most = self._nowhere(whole), 0.0
        for last in (not everywhere, True):
            for place in places:
                answer = self._closer(seen, memory, self._centred(seen, memory, place, usual), usual)
                box = box_of(answer)
                if box is None:
                    continue
                near = self._nearness(seen, memory, box)
                if any(apart(box, one.box) < RIVAL * size for one in memory.rivals):
                    continue
                if apart(box, usual) > REACH * (1 + memory.lost) * size:  # so fast nothing is
                    memory.rivals = [*memory.rivals, Rival(box, seen.index)][-2 * RIVALS :]
                    continue
                claim = answer.presence * (FLOOR + (1 - FLOOR) * near)
                if answer.presence < FAR + (AGAIN - FAR) * near:
                    continue
                if claim > most and self._claimed(answer, taken) <= MOSTLY:
                    best, most = answer, claim
            if last or most > AGAIN * (FLOOR + (1 - FLOOR) * HERE):
                break
            view = self._whole(seen)
            found = peaks(view.placement, self._looks(seen, view, memory.wide), usual, CLOSER + RIVALS)
            places = self._unclaimed(seen, memory, usual, found)[:CLOSER]
        return best

    def _centred(self, seen: Seen, memory: RelocatingMemory, place: np.ndarray, usual: np.ndarray) -> np.ndarray:
        """A place, or what looks like the object in a view of it, where that is off the middle."""
        shift = (place[:2] + place[2:] - usual[:2] - usual[2:]) / 2
        view = seen.view(view_of(usual + np.tile(shift, 2), seen.height, seen.width))
        found = spots(view.placement, self._looks(seen, view, memory.appearance))
        off = bool(found) and apart(found[0], place) > CENTRED * float((usual[2:] - usual[:2]).max())
        return found[0] if off else place

    def _unclaimed(
        self, seen: Seen, memory: RelocatingMemory, usual: np.ndarray, found: list[tuple[np.ndarray, float]]
    ) -> list[np.ndarray]:
        """Places that are not known for look-alikes, which are kept up to date."""
        size, free = float((usual[2:] - usual[:2]).max()), []
        for place, _ in found:
            known = [one for one in memory.rivals if apart(one.box, place) < RIVAL * size]
            if known and known[0].index != seen.index:  # the best of the places near it is where it is
                known[0].box, known[0].index = place, seen.index
            if not known:
                free.append(place)
        memory.rivals = [one for one in memory.rivals if abs(seen.index - one.index) <= PATIENT]
        return free

    def _nearness(self, seen: Seen, memory: RelocatingMemory, box: np.ndarray) -> float:
        """How near a box is to where the object is expected, 1 for there; 1 where nothing is expected."""
        expected = memory.motion.expected(seen.index)
        if expected is None:
            return 1.0
        away = apart(box, expected) / float((expected[2:] - expected[:2]).max())
        return float(np.exp(-0.5 * (away / (NEAR + memory.motion.spread(seen.index))) ** 2))

    def _claimed(self, answer: Answer, taken: Sequence[Answer]) -> float:
        """How much of a mask lies on others, 0 to 1."""
        on = answer.placement.valid(answer.logits) > 0
        cells = centres(answer.placement, answer.logits.shape[-1])
        others = np.zeros_like(answer.logits, bool)
        for other in taken:
            others |= on_cells(other, answer.placement, cells) > 0
        shared = int(np.count_nonzero(answer.placement.valid(others) & on))
        return shared / max(1, int(np.count_nonzero(on)))

    def _judged(
        self,
        seen: Seen,
        view: EncodedImage,
        memory: LightMemory,
        logits: np.ndarray,
        looks: np.ndarray,
        score: float,
        again: bool = False,
    ) -> Answer:
        """As the light tracker does, with an eye on where the object is expected while it is followed."""
        assert isinstance(memory, RelocatingMemory)
        expected = memory.motion.expected(seen.index)
        if not again and expected is not None and memory.motion.steady >= STEADY:
            size = expected[2:] - expected[:2]
            room = (ROOM + memory.motion.spread(seen.index)) * size
            low, high = expected[:2] - room, expected[2:] + room
            cells = centres(view.placement, logits.shape[-1])
            logits = logits - ELSEWHERE * ((cells < low) | (cells > high)).any(axis=-1)
        return super()._judged(seen, view, memory, logits, looks, score, again)


def peaks(place: Placement, looks: np.ndarray, box: np.ndarray, count: int) -> list[tuple[np.ndarray, float]]:
    """Where a box of some size would lie on the most that looks like the object: so many boxes x0, y0, x1, y1 in
    pixels whose middles are apart by more than half of it, the best first, with the mean looks in each."""
    cell = cell_of(place, looks.shape[-1])
    width, height = (max(1, round(float(length))) for length in (box[2:] - box[:2]) / cell)
    mean = cv2.blur(place.valid(looks), (width, height), borderType=cv2.BORDER_REPLICATE)
    half = (box[2:] - box[:2]) / 2
    found = []
    for _ in range(count):
        y, x = divmod(int(mean.argmax()), mean.shape[1])
        value = float(mean[y, x])
        if value == -np.inf:
            break
        middle = (np.array([x, y]) + 0.5) * cell + place.crop[:2]
        found.append((np.concatenate([middle - half, middle + half]), value))
        mean[max(0, y - height // 2) : y + height // 2 + 1, max(0, x - width // 2) : x + width // 2 + 1] = -np.inf
    return found


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Pixels between the middles of two boxes x0, y0, x1, y1."""
    return float(np.hypot(*(one[:2] + one[2:] - other[:2] - other[2:]) / 2))
