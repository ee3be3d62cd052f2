"""A `VideoEngine` without a network, which logs what it is asked: an object is what has its colour, and pointers and
memories say which frame's brightness they were made at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anymask.catalog import find
from anymask.runtime.engine import FOREGROUND, Answered, to_bfloat16
from anymask.segmenter import Segmenter
from anymask.tracker import Tracker
from anymask.tracking.memory import MemoryFollower

SIDE, CELLS = 64, 16  # of the input, of the masks


class ColourEngine:
    """`anymask.runtime.engine.VideoEngine`; `log` holds (what, about) of every call."""

    def __init__(self):
        entry = find("sam2.1_hiera_tiny")
        self.spec = replace(entry, input=replace(entry.input, side=SIDE), mask_side=CELLS)
        self.log = []

    def calls(self, what):
        return [about for name, about in self.log if name == what]

    def encode(self, rgb):
        assert rgb.shape == (SIDE, SIDE, 3) and rgb.dtype == np.uint8
        self.log.append(("encode", None))
        return (rgb.astype(np.float32),)

    def prepare(self, features):
        raise AssertionError("only for pictures")

    decode = prepare

    def alone(self, features):
        self.log.append(("alone", None))
        return (*features, None)

    def condition(self, features, rows, times, maps, pointers):
        assert maps.dtype == pointers.dtype == np.float32 and maps.shape[1:] == (rows.shape[-1], 2, 4, 4)
        assert pointers.shape[1:] == (times.shape[-1], 3) and len(maps) == len(pointers)
        self.log.append(("condition", (rows.tolist(), times.tolist(), maps.copy())))
        return (*features, pointers[:, 0])  # of the earliest prompt that is not ahead

    def answer(self, lit, coords, labels, earlier=None):
        rgb, known = lit
        self.log.append(("answer", (coords.copy(), labels.tolist(), earlier)))
        colours = known
        if coords.shape[1]:
            on = [
                one[mark == FOREGROUND] if (mark == FOREGROUND).any() else one
                for one, mark in zip(coords, labels, strict=True)
            ]
            spots = [one[-1] if (mark < 2).all() else one.mean(axis=0) for one, mark in zip(on, labels, strict=True)]
            colours = np.array([rgb[int(y), int(x)] for x, y in spots])
        return self._answered(rgb, colours)

    def adopt(self, features, masks):
        assert masks.dtype == bool and masks.shape[1:] == (SIDE, SIDE)
        self.log.append(("adopt", masks))
        (rgb,) = features
        colours = np.array([rgb[mark].mean(axis=0) for mark in masks], np.float32)
        shares = masks.reshape(-1, CELLS, 4, CELLS, 4).mean(axis=(2, 4), dtype=np.float32)
        ones = np.ones((len(masks), 1), np.float32)
        return Answered((20 * shares - 10)[:, None], ones, colours[:, None], 10 * ones[:, 0])

    def remember(self, features, logits, presence, prompted):
        self.log.append(("remember", (logits.copy(), presence.tolist(), prompted)))
        maps = np.full((len(logits), 2, 4, 4), float(prompted), np.float32)
        maps[:, 0] += logits.mean(axis=(1, 2))[:, None, None]
        return to_bfloat16(maps)

    def _answered(self, rgb, colours):
        """The candidate in the middle is the best; the single mask is a little larger."""
        like = np.abs(rgb[None] - colours[:, None, None]).max(axis=-1) < 60
        shares = like.reshape(-1, CELLS, 4, CELLS, 4).mean(axis=(2, 4), dtype=np.float32)
        there = shares.max(axis=(1, 2)) > 0
        logits = np.stack([40 * shares - 10, 40 * shares - 39, 40 * shares - 20.03, 40 * shares - 1], axis=1)
        logits[~there] = -1024
        scores = np.tile(np.array([0.8, 0.3, 0.9, 0.2], np.float32), (len(like), 1))
        pointers = np.repeat(colours[:, None], 4, axis=1).astype(np.float32)
        return Answered(logits, scores, pointers, np.where(there, 3.0, -3.0).astype(np.float32))


def memory_tracker(path, content=b"weights", robust=False):
    """A tracker over such an engine, whose weights are said to be the file `path`; and the engine."""
    path.write_bytes(content)
    engine = ColourEngine()
    return Tracker.over(MemoryFollower(Segmenter.over(engine, path), robust)), engine
