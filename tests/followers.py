"""A tracker without a network, for tests of all that lies around one: an object is what has its colour."""

from __future__ import annotations

import cv2
import numpy as np

from anymask import rle
from anymask.catalog import find
from anymask.placement import NOTHING, Placement
from anymask.tracker import Tracker
from anymask.tracking.follower import Answer

SIDE = 128


class Colour:
    """Its memory: the colours that it was told of, by frame, and how often anything was remembered."""

    def __init__(self, arrays=None):
        self.told = {}
        self.index = None
        self.remembered = 0
        if arrays:
            self.told = {int(k): v for k, v in zip(arrays["frames"], arrays["colours"], strict=True)}

    def at(self):
        return self.index

    def arrays(self):
        colours = list(self.told.values())
        return {"frames": np.array(list(self.told), int), "colours": np.array(colours, float).reshape(-1, 3)}


class ColourFollower:
    """`anymask.tracking.follower.Follower`; keeps a log of the calls."""

    def __init__(self, robust=False):
        self.spec = find("pocket")
        self.robust = robust
        self.seen = []
        self.before = []
        self.ways = []

    def memory(self, arrays=None):
        return Colour(arrays)

    def see(self, index, rgb, count):
        self.seen.append((index, count))
        return index, rgb

    def answer(self, seen, prompt, memory, before):
        index, rgb = seen
        self.before.append(before)
        if isinstance(prompt, np.ndarray):
            memory.told[index] = rgb[prompt].mean(axis=0)
            found = self._answer(rgb, memory)
            return Answer(found.logits, found.placement, 1.0, 1.0, rle.encode(prompt))
        x, y = prompt.points[prompt.labels == 1][-1] if len(prompt.points) else prompt.box.reshape(2, 2).mean(axis=0)
        memory.told[index] = rgb[int(y), int(x)].astype(float)
        return self._answer(rgb, memory)

    def follow(self, seen, memories, reverse):
        self.ways.append((seen[0], reverse))
        return [self._answer(seen[1], memory) for memory in memories]

    def remember(self, seen, memories, answers, told):
        for memory in memories:
            memory.index = seen[0]
            memory.remembered += 1

    def forget(self, memory, index):
        memory.told.pop(index, None)

    def _answer(self, rgb, memory):
        colour = list(memory.told.values())[-1]
        like = (np.abs(rgb - colour).max(axis=-1) < 40).astype(np.float32)
        height, width = like.shape
        place = Placement.stretch(height, width, SIDE)
        share = cv2.resize(like, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        logits = (2 * share - 1) * -NOTHING
        presence = float(share.max())
        return Answer(logits, place, 0.9 if presence else 0.0, presence)


def colour_tracker(robust: bool = False) -> Tracker:
    return Tracker.over(ColourFollower(robust))
