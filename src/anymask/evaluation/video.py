"""Objects followed through clips in DAVIS's layout, from the first frame's mask or from one click, beside what a still
mask and optical flow alone achieve. The measures and what counts are in `anymask.evaluation.davis`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anymask.errors import FormatError
from anymask.evaluation.clicks import centre_of
from anymask.evaluation.davis import Sequence, boundary_accuracy, read_labels, region_similarity, sequences, summarise
from anymask.images import read_image
from anymask.tracker import Tracker

STARTS = ("mask", "click")
STILL, FLOW = "first mask, never moved", "first mask, moved by DIS flow"


@dataclass(frozen=True)
class Track:
    """One object of one clip, followed in one way.

    Attributes:
        sequence: the clip's name; object_id: the object's label; start: mask or click; method: the model or a baseline.
        j, f: of every frame, float `[T]`; the first and the last do not count.
        seconds: what following took, on the frames after the first.
    """

    sequence: str
    object_id: int
    start: str
    method: str
    j: np.ndarray
    f: np.ndarray
    seconds: float

    @property
    def mean(self) -> tuple[float, float, float]:
        """J, F and their mean over the frames that count."""
        j, f = float(self.j[1:-1].mean()), float(self.f[1:-1].mean())
        return j, f, (j + f) / 2


@dataclass(frozen=True)
class TracksResult:
    """Every object of a folder's clips, from every start, by every method."""

    model: str
    folder: str
    tracks: tuple[Track, ...]

    @property
    def methods(self) -> list[str]:
        """The model, then the baselines."""
        return list(dict.fromkeys(one.method for one in self.tracks))

    @property
    def sequences(self) -> list[str]:
        """The clips, in the order of their names."""
        return list(dict.fromkeys(one.sequence for one in self.tracks))

    @property
    def fps(self) -> float:
        """Frames in a second that the model followed a clip's objects on, all of them together."""
        runs = {(one.sequence, one.start): one for one in self.tracks if one.method == self.model}.values()
        return sum(len(one.j) - 1 for one in runs) / max(1e-9, sum(one.seconds for one in runs))

    @property
    def starts(self) -> list[str]:
        """Of mask and click, those that were measured."""
        return list(dict.fromkeys(one.start for one in self.tracks))

    def mean(self, start: str, method: str, sequence: str | None = None) -> tuple[float, float, float]:
        """J, F and J&F, the mean over objects of all clips, or of one."""
        chosen = [
            one.mean
            for one in self.tracks
            if (one.start, one.method) == (start, method) and sequence in (None, one.sequence)
        ]
        j, f = (float(np.mean([values[i] for values in chosen])) for i in (0, 1))
        return j, f, (j + f) / 2

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        tracks = []
        for one in self.tracks:
            about: dict[str, Any] = {
                "sequence": one.sequence, "object": one.object_id, "start": one.start, "method": one.method,
                "seconds": one.seconds,
            }  # fmt: skip
            for name, values in (("J", one.j), ("F", one.f)):
                measure = summarise(values[1:-1])
                about |= {
                    f"{name}_mean": measure.mean,
                    f"{name}_recall": measure.recall,
                    f"{name}_decay": measure.decay,
                }
            tracks.append({**about, "J": one.j.tolist(), "F": one.f.tolist()})
        means = [
            {"start": start, "method": method, **dict(zip(("J", "F", "J&F"), self.mean(start, method), strict=True))}
            for start in self.starts
            for method in self.methods
        ]
        return {"model": self.model, "folder": self.folder, "means": means, "tracks": tracks}


def evaluate_video(
    folder: str | Path,
    tracker: Tracker,
    *,
    starts: tuple[str, ...] = STARTS,
    frames: int | None = None,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> TracksResult:
    """Follow every object of the clips' first frames, and compare.

    Args:
        folder: the clips, see `anymask.evaluation.davis.sequences`.
        tracker: the model.
        starts: from what: the true mask of the first frame, or a click in its middle (the point farthest from its
            edge). The baselines begin with the mask that the model begins with.
        frames: so many of each clip at most, from the first one on; three or more.
        limit: so many clips at most, in the order of their names.
        on_progress: called with frames done and frames in all.

    Raises:
        FormatError: there are no clips in this layout, or a mask is damaged, of another size than its frame, or empty
            on the first one.
    """
    name = f"{tracker.name}, robust" if tracker.robust else tracker.name
    clips = [_cut(clip, frames) for clip in sequences(Path(folder))[:limit]]
    total = sum(len(clip.frames) for clip in clips) * len(starts)
    done = 0
    tracks: list[Track] = []
    on_progress(0, total)
    for clip in clips:
        truths = [read_labels(path) for path in clip.labels]
        objects = [int(value) for value in np.unique(truths[0]) if value]
        if not objects:
            raise FormatError(f"The first mask of {clip.name} is empty.")
        first: dict[tuple[str, int], np.ndarray] = {}
        found: dict[tuple[str, int], list[np.ndarray]] = {}
        seconds: dict[str, float] = {}
        for start in starts:
            with tracker.open([str(path) for path in clip.frames]) as session:
                if session.frame(0).shape[:2] != truths[0].shape:
                    raise FormatError(f"The masks of {clip.name} are of another size than its frames.")
                for value in objects:
                    truth = truths[0] == value
                    asked = {"mask": truth} if start == "mask" else {"points": [centre_of(truth)]}
                    first[start, value] = session.prompt(0, value, **asked).array[0]
                    found[start, value] = [first[start, value]]
                begun = time.perf_counter()
                for index, masks in session.propagate():
                    for value, mask in zip(masks.extra["object_id"], masks.array, strict=True):
                        if index:
                            found[start, int(value)].append(mask)
                    done += 1
                    on_progress(done, total)
            seconds[start] = time.perf_counter() - begun
        flowing = _measured(_flowing(first, clip), truths)
        for start, value in first:
            followed = _measured(({(start, value): mask} for mask in found[start, value]), truths)[start, value]
            still = _measured(repeat({(start, value): first[start, value]}), truths)[start, value]
            tracks.append(Track(clip.name, value, start, name, *followed, seconds[start]))
            tracks.append(Track(clip.name, value, start, STILL, *still, 0.0))
            tracks.append(Track(clip.name, value, start, FLOW, *flowing[start, value], 0.0))
    return TracksResult(name, str(folder), tuple(tracks))


def _cut(clip: Sequence, frames: int | None) -> Sequence:
    if frames is not None and frames < 3:
        raise FormatError("Three frames of a clip are needed at least: the first and the last do not count.")
    return Sequence(clip.name, clip.frames[:frames], clip.labels[:frames])


def _measured(
    frames: Iterable[dict[tuple[str, int], np.ndarray]], truths: list[np.ndarray]
) -> dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]:
    """J and F of every frame, float `[T]`, of masks by start and object."""
    measured: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for truth, masks in zip(truths, frames, strict=False):
        for key, mask in masks.items():
            pair = mask, truth == key[1]
            measured[key].append((region_similarity(*pair), boundary_accuracy(*pair)))
    tables = {key: np.array(values) for key, values in measured.items()}
    return {key: (table[:, 0], table[:, 1]) for key, table in tables.items()}


def _flowing(first: dict[tuple[str, int], np.ndarray], clip: Sequence) -> Iterator[dict[tuple[str, int], np.ndarray]]:
    """The first masks moved from frame to frame along DIS flow (Kroeger et al. 2016) of whole frames, cut at one half
    each time; that was found to hold better than moving a soft mask, and than following each pixel back to the first
    frame. The flow is found once for all of them."""
    yield first
    masks = first
    height, width = next(iter(first.values())).shape
    grid = np.dstack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    before: np.ndarray | None = None
    for path in clip.frames:
        grey = cv2.cvtColor(read_image(path), cv2.COLOR_RGB2GRAY)
        if before is not None:
            places = grid + search.calc(grey, before, None)  # type: ignore[call-overload]
            masks = {key: _at(mask.astype(np.float32), places) > 0.5 for key, mask in masks.items()}
            yield masks
        before = grey


def _at(field: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.remap(field, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))  # type: ignore[call-overload]
