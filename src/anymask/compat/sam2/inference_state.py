"""What `SAM2VideoPredictor.init_state` gives: a video, and what is said and known of the objects in it."""

from __future__ import annotations

import copy
import os
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anymask.compat.tensors import import_torch
from anymask.errors import ImageError
from anymask.placement import Placement
from anymask.tracking.bank import Bank
from anymask.tracking.frames import Frames, count_frames, open_frames
from anymask.tracking.memory import Found, MemoryFollower, Seen

if TYPE_CHECKING:
    import torch

SEEN_FRAMES = 3
KEYS = (
    "num_frames",
    "video_height",
    "video_width",
    "device",
    "storage_device",
    "offload_video_to_cpu",
    "offload_state_to_cpu",
    "obj_ids",
    "obj_id_to_idx",
    "obj_idx_to_id",
)


@dataclass(frozen=True, eq=False)
class Pending:
    """An answer that is not remembered yet, and whether its frame becomes a conditioning frame."""

    found: Found
    conditioning: bool


@dataclass(eq=False)
class FollowedObject:
    """One object.

    Attributes:
        memory: `told` are its conditioning frames, `tracked` the others; unlike a session's, all of them are kept.
        points: by frame, coords float32 `[K, 2]` in pixels and labels `[K]`, a box's corners (2 and 3) first.
        masked: frames on which its mask was given.
        pending: by frame, what was answered since the last propagation.
        passed: frames that were propagated over, and whether backwards.
    """

    memory: Bank
    points: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    masked: set[int] = field(default_factory=set)
    pending: dict[int, Pending] = field(default_factory=dict)
    passed: dict[int, bool] = field(default_factory=dict)

    def logits(self, index: int) -> np.ndarray | None:
        """What was last found on a frame, float32 `[h, w]`."""
        if index in self.pending:
            return self.pending[index].found.logits
        kept = self.memory.of(index)
        return None if kept is None else kept.logits


class InferenceState:
    """A video and its objects. Of the reference's dictionary it has the keys `KEYS`: `state["obj_ids"]`.

    Frames are read when they are needed, and kept nowhere but the last few; what is known of the objects lies in main
    memory. A deep copy shares the video.

    Attributes:
        frames: the video.
        placement: how low-resolution logits lie on a frame.
        objects: by their ids, in the order in which they were added.
    """

    def __init__(self, frames: Frames, follower: MemoryFollower, device: str, offload: tuple[bool, bool]) -> None:
        first = frames.at(0)
        assert first is not None and frames.count is not None
        self.frames, self.num_frames = frames, frames.count
        self.video_height, self.video_width = first.shape[:2]
        spec = follower.spec
        size = self.video_height, self.video_width, spec.input.side
        self.placement = Placement.stretch(*size, enlarge=spec.enlarge)
        self.offload_video_to_cpu, self.offload_state_to_cpu = offload
        self.objects: dict[Hashable, FollowedObject] = {}
        self._device = device
        self._seen: OrderedDict[int, Seen] = OrderedDict()

    @property
    def device(self) -> torch.device:
        """Where the network runs and masks lie."""
        device: torch.device = import_torch().device(self._device)
        return device

    @property
    def storage_device(self) -> torch.device:
        """Where what is known of the objects lies."""
        device: torch.device = import_torch().device("cpu")
        return device

    @property
    def obj_ids(self) -> list[Any]:
        """The objects' ids."""
        return list(self.objects)

    @property
    def obj_id_to_idx(self) -> dict[Any, int]:
        """The row of each object's mask."""
        return {obj_id: row for row, obj_id in enumerate(self.objects)}

    @property
    def obj_idx_to_id(self) -> dict[int, Any]:
        """The other way round."""
        return dict(enumerate(self.objects))

    def __getitem__(self, key: str) -> Any:
        if key not in KEYS:
            raise KeyError(f"anymask's inference state has no {key!r}; it has {', '.join(KEYS)}.")
        return getattr(self, key)

    def __contains__(self, key: object) -> bool:
        return key in KEYS

    def __deepcopy__(self, memo: dict[int, Any]) -> InferenceState:
        other = copy.copy(self)
        other.objects, other._seen = copy.deepcopy(self.objects, memo), self._seen.copy()
        return other

    def see(self, index: int, follower: MemoryFollower) -> Seen:
        """A frame, of which nothing is encoded before it is needed. Raises PromptError where there is none, ImageError
        where it cannot be read."""
        if index not in self._seen:
            rgb = self.frames.at(index)
            if rgb is None:
                raise ImageError(f"Frame {index} of {self.frames.name} cannot be read: {self.frames.trouble}.")
            self._seen[index] = follower.see(index, rgb, self.num_frames)
            while len(self._seen) > SEEN_FRAMES:
                self._seen.popitem(last=False)
        self._seen.move_to_end(index)
        return self._seen[index]


def open_video(video: Any) -> Frames:
    """A video's frames, their number known: a clip, a folder of JPEG files named by numbers (others in it are passed
    over), or what else `anymask.tracking.frames.open_frames` takes and does not stream. Raises ImageError."""
    if isinstance(video, bytes):
        raise ImageError("A clip is opened by its path; write its bytes to a file first.")
    if isinstance(video, str | os.PathLike) and (folder := Path(video)).is_dir():
        suffixes = (".jpg", ".jpeg")
        numbered = [one for one in folder.iterdir() if one.suffix.lower() in suffixes and one.stem.isdecimal()]
        video = sorted(numbered, key=lambda path: int(path.stem)) or folder
    frames = open_frames(video)
    if frames.streams:
        raise ImageError("The number of frames must be known here; anymask.Tracker takes streams.")
    frames.count = count_frames(frames)
    return frames
