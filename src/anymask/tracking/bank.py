"""What SAM 2 remembers of one object (Ravi et al. 2024, §4), bounded whatever the clip's length.

Of every frame that a user prompted: its memory and its pointer, for good. Of frames that were tracked: the memories of
the last twelve, twice what a frame reads, so that a correction a few frames back, or turning round, finds those that it
needs; and a thousand pointers. With `choosy` the twelve are the last that are trusted (`anymask.recall.Quality`), so
that what was seen before an object was hidden is still known when it comes out again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from anymask.errors import WeightsError
from anymask.recall import MAPS, Quality, recall, recall_trusted
from anymask.tracking.kalman import BoxMotion

KEPT_MAPS, KEPT_POINTERS = 2 * MAPS, 1000
SURE = Quality(1.0, 1.0, 1.0)


@dataclass(eq=False)
class Remembered:
    """What is kept of a frame.

    Attributes:
        map: the upper halves of its float32 values, which are all that a bfloat16 has: uint16 `[c, M, M]`.
        pointer: float32 `[C]`.
        logits: float32 `[h, w]`, the answer that a correction starts from.
        passed: whether frames were propagated over it; only then is a prompt there seen in the light of memory.
        backward: from later frames to earlier ones.
        quality: how far a tracked frame is to be believed; only `choosy` banks ask.
    """

    map: np.ndarray | None
    pointer: np.ndarray | None
    logits: np.ndarray | None = None
    passed: bool = True
    backward: bool = False
    quality: Quality = SURE


@dataclass(frozen=True, eq=False)
class Recollection:
    """What a frame is seen in the light of: `rows` int `[F]`, `times` `[P]`, maps `[F, c, M, M]` and pointers `[P, C]`,
    as `VideoEngine.condition` takes them of one object."""

    rows: tuple[int, ...]
    times: tuple[float, ...]
    maps: np.ndarray
    pointers: np.ndarray


class Bank:
    """One object's memories; see `anymask.tracking.follower.Memory`.

    Args:
        weights: gives what tells the network's weights from others, by which a saved bank is known again.
        arrays: what `arrays` gave.
        choosy: read the latest frames that are trusted, not just the latest.

    Raises WeightsError when these are of other weights, or damaged.
    """

    def __init__(
        self, weights: Callable[[], str], arrays: Mapping[str, np.ndarray] | None = None, choosy: bool = False
    ) -> None:
        self.choosy = choosy
        self.motion = BoxMotion()
        self.told: dict[int, Remembered] = {}
        self.tracked: OrderedDict[int, Remembered] = OrderedDict()
        self.index: int | None = None
        self._weights = weights
        if arrays is not None:
            self._restore(arrays)

    def at(self) -> int | None:
        """The frame that was remembered last."""
        return self.index

    def of(self, index: int) -> Remembered | None:
        """What is kept of a frame."""
        return self.told.get(index) or self.tracked.get(index)

    def tell(self, index: int, kept: Remembered) -> None:
        """Keep a prompted frame, in place of what was found there before."""
        before = self.of(index)
        if before is not None:
            kept.passed, kept.backward = before.passed, before.backward
        self.tracked.pop(index, None)
        self.told[index] = kept

    def track(self, index: int, kept: Remembered) -> None:
        """Keep a tracked frame, as the latest one."""
        self.tracked.pop(index, None)
        self.tracked[index] = kept
        whole = [one for one in self.tracked.values() if one.map is not None]
        if self.choosy:  # of those that are not trusted the latest, where there is none else
            whole.sort(key=lambda one: one.quality.trusted)
        for oldest in whole[:-KEPT_MAPS]:
            oldest.map = oldest.logits = None
        while len(self.tracked) > KEPT_POINTERS:
            self.tracked.popitem(last=False)

    def recollect(self, index: int, count: int | None, reverse: bool) -> Recollection:
        """What a frame is seen in the light of; `count`: how many frames the video has, if that is known."""
        if self.choosy:
            qualities = {frame: one.quality for frame, one in self.tracked.items()}
            mapped = {frame for frame, one in self.tracked.items() if one.map is not None}
            found = recall_trusted(index, self.told, qualities, mapped, count, reverse)
        else:
            found = recall(index, self.told, self.tracked, count, reverse)
        maps = [(row, kept.map) for frame, row in found.maps if (kept := self.of(frame)) and kept.map is not None]
        pointers = [(t, kept.pointer) for frame, t in found.pointers if (kept := self.of(frame))]
        known = [(time, pointer) for time, pointer in pointers if pointer is not None]
        width = next((len(one.pointer) for one in self.told.values() if one.pointer is not None), 0)
        return Recollection(
            tuple(row for row, _ in maps),
            tuple(time for time, _ in known),
            np.stack([widened(one) for _, one in maps]),
            # None at all where all prompts are ahead.
            np.array([pointer for _, pointer in known], np.float32).reshape(-1, width),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """What is to be saved."""
        made = {
            "weights": np.array(self._weights()),
            "index": np.array([-1 if self.index is None else self.index], np.int64),
            "tracked_quality": np.array([one.quality for one in self.tracked.values()], float).reshape(-1, 3),
            **self.motion.arrays(),
        }
        for name, group in (("told", self.told), ("tracked", self.tracked)):
            about = [(frame, one.passed, one.backward) for frame, one in group.items()]
            made[f"{name}_frames"] = np.array(about, np.int64).reshape(-1, 3)
            for part in ("map", "pointer", "logits"):
                values = {frame: value for frame, one in group.items() if (value := getattr(one, part)) is not None}
                made[f"{name}_{part}_of"] = np.array(list(values), np.int64)
                made[f"{name}_{part}"] = np.stack(list(values.values())) if values else np.zeros(0, np.float32)
        return made

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        if "weights" not in arrays or str(arrays["weights"]) != self._weights():
            raise WeightsError("The session was saved with other weights; open it with those, or begin a new one.")
        try:
            self.index = int(arrays["index"][0]) if arrays["index"][0] >= 0 else None
            for name, group in (("told", self.told), ("tracked", self.tracked)):
                parts = {part: dict(_pairs(arrays, f"{name}_{part}")) for part in ("map", "pointer", "logits")}
                for frame, passed, backward in arrays[f"{name}_frames"].tolist():
                    there, pointer, logits = (parts[part].get(frame) for part in ("map", "pointer", "logits"))
                    group[frame] = Remembered(there, pointer, logits, bool(passed), bool(backward))
            if "tracked_quality" in arrays:  # sessions of earlier versions have none
                for one, values in zip(self.tracked.values(), arrays["tracked_quality"].tolist(), strict=True):
                    one.quality = Quality(*values)
                self.motion = BoxMotion(arrays)
            damaged = any(one.map is None or one.pointer is None for one in self.told.values())
        except (KeyError, ValueError, IndexError, TypeError):
            damaged = True
        if damaged:
            raise WeightsError("The session's memory is damaged; begin a new one.")


def _pairs(arrays: Mapping[str, np.ndarray], name: str) -> Iterator[tuple[int, np.ndarray]]:
    return zip(arrays[f"{name}_of"].tolist(), arrays[name], strict=True)


def narrowed(values: np.ndarray) -> np.ndarray:
    """float32 values that are bfloat16s, as uint16."""
    halves: np.ndarray = (np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return halves


def widened(halves: np.ndarray) -> np.ndarray:
    """The way back: uint16 to float32."""
    values: np.ndarray = (halves.astype(np.uint32) << 16).view(np.float32)
    return values
