"""The light tracker: objects followed with any promptable segmenter that takes a mask, pocket above all.

On each frame three things are asked where the object is, on a view of the frame round where it is expected:

* motion: its last mask, carried along the optical flow (`motion.py`);
* the segmenter, which is given that mask and its box as a prompt;
* appearance: a classifier of the encoder's features that learns what the object looks like (`appearance.py`).

Their logits are added. An object whose mask dwindles, swells or looks like something else is taken for lost: its mask
is empty, nothing more is learned, and it is looked for by appearance in views that grow until it is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from anymask import rle
from anymask.catalog import ModelEntry
from anymask.placement import NOTHING, Box, Placement, span, tight
from anymask.prompts import Prompt
from anymask.runtime.engine import BOX_END, BOX_START
from anymask.segmenter import EncodedImage, Segmenter
from anymask.tracking.appearance import Appearance, features_of
from anymask.tracking.extent import area_of, box_in_pixels, box_of, region_box
from anymask.tracking.follower import Answer
from anymask.tracking.motion import centres, flow_between, logits_at, sampled

AROUND = 2.0  # a view's side, in lengths of the object
LEAST_VIEW = 96  # pixels of a view's side
MOTION, NETWORK, APPEARANCE = 0.4, 1.0, 1.0  # what each says is multiplied by, before the three are added
CLIP = 6.0  # logits of motion beyond this say no more
ALIKE, STEEP = 0.2, 8.0  # the mean look of a mask at which its presence is one half, and how fast it rises there
CHANGED, RETURNED = 4.0, 1.6  # times smaller or larger than usual, beyond which a mask counts for less; found again
DOUBTFUL, SURE = 0.4, 0.9  # presence below which an object is taken for lost, and above which for found again
WIDER = 1.3  # by so much the search grows with each frame


class Seen:
    """A frame, and what was encoded of it."""

    def __init__(self, segmenter: Segmenter, index: int, rgb: np.ndarray) -> None:
        self.index, self.rgb = index, rgb
        self.height, self.width = rgb.shape[:2]
        self._segmenter = segmenter
        self._views: dict[Box, EncodedImage] = {}
        self._features: dict[Box, np.ndarray] = {}

    def view(self, box: Box) -> EncodedImage:
        """A part of the frame, encoded."""
        if box not in self._views:
            self._views[box] = self._segmenter.encode(self.rgb, box)
        return self._views[box]

    def features(self, view: EncodedImage) -> np.ndarray:
        """What the cells of a view look like: float32 `[side, side, C]`, on a grid of half the masks' side."""
        box = view.placement.crop
        if box not in self._features:
            side = self._segmenter.spec.mask_side // 2
            self._features[box] = features_of(view.features, self.rgb, view.placement, side)
        return self._features[box]


class LightMemory:
    """What is known of one object: its last mask with the frame that it was found on, and what it looks like."""

    def __init__(self, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        self.appearance = Appearance(arrays)
        self.index: int | None = None
        self.lost = 0  # frames that it was not seen on since it was
        self.last: Answer | None = None
        self.rgb: np.ndarray | None = None
        self.box: np.ndarray | None = None
        self.area = 0.0
        if arrays and len(arrays["box"]):
            self.box, self.area = arrays["box"], float(arrays["area"][0])

    def at(self) -> int | None:
        """As `anymask.tracking.follower.Memory`."""
        return self.index

    def arrays(self) -> dict[str, np.ndarray]:
        """As `anymask.tracking.follower.Memory`; where the object is, the session knows."""
        box = np.zeros(0, np.float32) if self.box is None else self.box
        return {**self.appearance.arrays(), "box": box, "area": np.array([self.area], np.float32)}

    @property
    def away(self) -> bool:
        """Whether nobody knows where it was on the frame before."""
        return bool(self.lost) or self.last is None or self.rgb is None or self.box is None


class LightFollower:
    """The light tracker over a segmenter; see `anymask.tracking.follower.Follower`.

    Args:
        segmenter: one that takes masks as prompts.
    """

    robust = False
    returned, sure = RETURNED, SURE

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.spec: ModelEntry = segmenter.spec

    def memory(self, arrays: Mapping[str, np.ndarray] | None = None) -> LightMemory:
        """Nothing is known yet, or what was saved."""
        return LightMemory(arrays)

    def see(self, index: int, rgb: np.ndarray, count: int | None = None) -> Seen:
        """A frame, of which nothing is encoded before it is needed."""
        return Seen(self.segmenter, index, rgb)

    def answer(self, seen: Seen, prompt: Prompt | np.ndarray, memory: LightMemory, before: Answer | None) -> Answer:
        """What the segmenter makes of a prompt; of an earlier answer it makes a corrected one."""
        if isinstance(prompt, np.ndarray):
            return self._given(seen, prompt)
        boxes = [] if prompt.box is None else [prompt.box]
        if before is not None and (box := box_of(before)) is not None:
            boxes.append(box)
        if not boxes:
            found = seen.view((0, 0, seen.width, seen.height)).predict_batch([prompt], None, True)[0].best
        else:
            points = prompt.points[prompt.labels == 1]
            corners = np.concatenate([np.reshape(boxes, (-1, 2)), points])
            around = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
            view = seen.view(view_of(around, seen.height, seen.width))
            earlier = None
            if before is not None:
                cells = centres(view.placement, self.spec.mask_side)
                earlier = logits_at(before.logits, before.placement, cells)
            asked = Prompt(prompt.points, prompt.labels, prompt.box, earlier)
            found = view.predict_batch([asked], False, False)[0]
        return Answer(found.logits[0], found.placements[0], float(found.scores[0]), 1.0)

    def follow(self, seen: Seen, memories: Sequence[LightMemory], reverse: bool = False) -> list[Answer]:
        """Each object by motion, segmenter and appearance together; the direction makes no difference."""
        return [self._follow(seen, memory) for memory in memories]

    def remember(
        self, seen: Seen, memories: Sequence[LightMemory], answers: Sequence[Answer], told: Sequence[bool]
    ) -> None:
        """Learn what the objects look like, but from no answer that is doubtful."""
        for memory, answer, said in zip(memories, answers, told, strict=True):
            memory.index = seen.index
            box = box_of(answer)
            if box is None:
                memory.lost += 1
                memory.rgb = None
                continue
            if said or answer.presence >= SURE:
                view = seen.view(view_of(box, seen.height, seen.width) if said else answer.placement.crop)
                self._learn(seen, view, answer, memory.appearance, said)
            memory.last, memory.rgb, memory.box, memory.lost = answer, seen.rgb, box, 0
            area = area_of(answer)
            memory.area = area if said or not memory.area else 0.9 * memory.area + 0.1 * area

    def forget(self, memory: LightMemory, index: int) -> None:
        """Take back what was told of a frame."""
        memory.appearance.forget(index)

    def _learn(
        self,
        seen: Seen,
        view: EncodedImage,
        answer: Answer,
        appearance: Appearance,
        told: bool,
        beside: Sequence[np.ndarray] = (),
        within: Box | None = None,
    ) -> None:
        """Show a classifier the cells of a view, with the answer's logits there, but none of the boxes `beside` it, and
        none but those `within`."""
        features = seen.features(view)
        cells = centres(view.placement, len(features))
        logits = logits_at(answer.logits, answer.placement, cells)
        for box in beside:
            logits[((cells >= box[:2]) & (cells <= box[2:])).all(axis=-1)] = 0
        if within is not None:
            logits[((cells < within[:2]) | (cells > within[2:])).any(axis=-1)] = 0
        rows, columns = view.placement.valid(logits).shape
        known = features[:rows, :columns].reshape(-1, features.shape[-1])
        appearance.learn(known, logits[:rows, :columns].ravel(), seen.index if told else None)

    def _given(self, seen: Seen, mask: np.ndarray) -> Answer:
        """A user's whole mask."""
        x, y, pixels = tight(mask)
        box = np.array([x, y, x + pixels.shape[1], y + pixels.shape[0]], np.float32)
        place = seen.view(view_of(box, seen.height, seen.width)).placement
        x0, y0, x1, y1 = place.crop
        side = self.spec.mask_side
        rows, columns = place.valid(np.empty((side, side))).shape
        share = cv2.resize(mask[y0:y1, x0:x1].astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
        logits = np.full((side, side), NOTHING, np.float32)
        logits[:rows, :columns] = (2 * share - 1) * -NOTHING
        return Answer(logits, place, 1.0, 1.0, rle.encode(mask))

    def _follow(self, seen: Seen, memory: LightMemory) -> Answer:
        if memory.away:
            return self._search(seen, memory)
        assert memory.last is not None and memory.rgb is not None and memory.box is not None
        window = view_of(memory.box, seen.height, seen.width, AROUND + 0.5)
        flow, trust = flow_between(seen.rgb, memory.rgb, window, both_ways=self.robust)
        side, last = self.spec.mask_side, memory.last

        def carried(place: Placement) -> np.ndarray:
            cells = centres(place, side)
            logits = logits_at(last.logits, last.placement, cells + sampled(flow, window, cells))
            return np.asarray(np.clip(logits, -CLIP, CLIP) * sampled(trust, window, cells))

        place = Placement.letterbox(seen.height, seen.width, self.spec.input.side, window)
        box = region_box(place, carried(place))
        if box is None:
            return self._nowhere(place)
        view = seen.view(view_of(box, seen.height, seen.width))
        moved = carried(view.placement)
        network, score = self._asked(view, box, moved)
        looks = self._looks(seen, view, memory.appearance)
        logits = MOTION * moved + NETWORK * network + APPEARANCE * looks
        return self._judged(seen, view, memory, logits, looks, score)

    def _search(self, seen: Seen, memory: LightMemory) -> Answer:
        """Look for a lost object by its appearance, in a view that grows with every frame that it is lost; what is
        found there is looked at again in a view of the usual scale, as the classifier knows it."""
        whole = np.array([0, 0, seen.width, seen.height], np.float32)
        box = whole if memory.box is None else memory.box
        view = seen.view(view_of(box, seen.height, seen.width, AROUND * WIDER ** min(memory.lost, 20)))
        found = spots(view.placement, self._looks(seen, view, memory.appearance))
        if not found:
            return self._nowhere(view.placement)
        return self._closer(seen, memory, found[0], memory.box, view)

    def _closer(
        self,
        seen: Seen,
        memory: LightMemory,
        spot: np.ndarray,
        usual: np.ndarray | None,
        view: EncodedImage | None = None,
    ) -> Answer:
        """What a place that looks like a lost object is, in a view as is usual for a box of its size; where none is
        known, in the `view` that the place was found in."""
        if usual is not None:
            shift = (spot[:2] + spot[2:] - usual[:2] - usual[2:]) / 2
            view = seen.view(view_of(usual + np.tile(shift, 2), seen.height, seen.width))
            found = spots(view.placement, self._looks(seen, view, memory.appearance))
            if not found:
                return self._nowhere(view.placement)
            spot = found[0]
        assert view is not None
        looks = self._looks(seen, view, memory.appearance)
        network, score = self._asked(view, spot, np.clip(CLIP * looks, -CLIP, CLIP))
        logits = NETWORK * network + APPEARANCE * looks
        return self._judged(seen, view, memory, logits, looks, score, again=True)

    def _asked(self, view: EncodedImage, box: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, float]:
        """The segmenter's single answer to a box and a mask: logits `[side, side]`, predicted IoU."""
        coords = view.placement.to_input(box.reshape(1, 2, 2))
        labels = np.array([[BOX_START, BOX_END]], np.float32)
        logits, scores = self.segmenter.engine.decode(view.embedding, coords, labels, mask[None])
        return np.asarray(logits[0, 0]), float(scores[0, 0])

    def _looks(self, seen: Seen, view: EncodedImage, appearance: Appearance) -> np.ndarray:
        """How much each cell looks like the object, about -1 to 1: `[side, side]`."""
        side = self.spec.mask_side
        scores = appearance.scores(seen.features(view))
        if scores is None:
            return np.zeros((side, side), np.float32)
        return np.clip(cv2.resize(scores, (side, side), interpolation=cv2.INTER_LINEAR), -1.5, 1.5)

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
        """The answer, or an empty one where what was found is too small or looks too little like the object."""
        answer = Answer(np.ascontiguousarray(logits, np.float32), view.placement, score, 1.0)
        on = view.placement.valid(answer.logits) > 0
        if not on.any():
            return self._nowhere(view.placement)
        alike = float(view.placement.valid(looks)[on].mean())
        share = area_of(answer) / max(1.0, memory.area)
        most = self.returned if again else CHANGED
        size = min(1.0, most * share, most / share)
        presence = size / (1 + np.exp(-STEEP * (alike - ALIKE)))
        if presence < (self.sure if again else DOUBTFUL):
            return self._nowhere(view.placement, presence)
        return Answer(answer.logits, answer.placement, score, float(presence))

    def _nowhere(self, place: Placement, presence: float = 0.0) -> Answer:
        """The answer for an object that is not seen."""
        side = self.spec.mask_side
        return Answer(np.full((side, side), NOTHING, np.float32), place, 0.0, float(presence))


def spots(place: Placement, looks: np.ndarray) -> list[np.ndarray]:
    """The connected places that look like an object, that which does so most in all first: their boxes x0, y0, x1, y1
    in pixels."""
    alike = place.valid(looks) > ALIKE
    count, labels, about, _ = cv2.connectedComponentsWithStats(alike.astype(np.uint8), connectivity=4)
    sums = np.bincount(labels.ravel(), place.valid(looks).ravel(), count)
    order = 1 + np.argsort(-sums[1:], kind="stable")
    corners = about[order][:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]]
    ends = corners + about[order][:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    return list(box_in_pixels(place, looks.shape[-1], np.concatenate([corners, ends], axis=1)))


def view_of(box: np.ndarray, height: int, width: int, around: float = AROUND) -> Box:
    """The part of a frame to look at for a thing x0, y0, x1, y1: a square round it, cut where the frame ends."""
    x0, y0, x1, y1 = (float(value) for value in box)
    side = max(around * max(x1 - x0, y1 - y0), LEAST_VIEW)
    left, right = span((x0 + x1) / 2, side, width)
    top, bottom = span((y0 + y1) / 2, side, height)
    return left, top, right, bottom
