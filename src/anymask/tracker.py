"""Objects followed through video: a model, opened on one video after the other.

session = anymask.Tracker("pocket").open("clip.mp4")
session.prompt(0, 1, points=[(320, 180)])
for frame, masks in session.propagate():
    ...
"""

from __future__ import annotations

import os
from pathlib import Path

from anymask.catalog import ModelEntry, find
from anymask.errors import ModelError
from anymask.runtime import load_video_engine
from anymask.segmenter import Segmenter
from anymask.tracking.follower import Follower
from anymask.tracking.frames import Video, open_frames
from anymask.tracking.light import LightFollower
from anymask.tracking.memory import MemoryFollower
from anymask.tracking.relocation import RelocatingFollower
from anymask.tracking.session import Session


class Tracker:
    """A model that follows objects, loaded and ready.

    Args:
        model: a promptable model's name from the catalogue. SAM 2's models follow objects by their own memory
            (`anymask.tracking.memory`); the light tracker (`anymask.tracking.light`) carries the masks of others from
            frame to frame.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32, bf16 or fp16.
        weights: a checkpoint's path, to use instead of the model's own weights.
        robust: take measures against drift in long clips, among look-alikes and behind things: learn and remember only
            from frames that are to be believed, look for a lost object in the whole frame, let objects exclude each
            other. It costs time where objects are lost. Without it SAM 2's models answer as the reference does.

    Raises ModelError, WeightsError or MissingExtraError when that cannot be had.
    """

    def __init__(
        self,
        model: str = "pocket",
        device: str = "auto",
        precision: str = "auto",
        weights: str | Path | None = None,
        robust: bool = False,
    ) -> None:
        spec = find(model, "segment")
        if spec.memory:
            engine = load_video_engine(model, device, precision, weights)
            self.follower: Follower = MemoryFollower(Segmenter.over(engine, weights), robust)
            return
        if not spec.prompts.mask:  # told before anything is fetched or loaded
            raise ModelError(f"{spec.name} takes no mask as a prompt, so that it cannot follow objects; use pocket.")
        light = RelocatingFollower if robust else LightFollower
        self.follower = light(Segmenter(model, device, precision, weights))

    @classmethod
    def over(cls, follower: Follower) -> Tracker:
        """A tracker over what is loaded already."""
        tracker = cls.__new__(cls)
        tracker.follower = follower
        return tracker

    @property
    def spec(self) -> ModelEntry:
        """The model's entry in the catalogue."""
        return self.follower.spec

    @property
    def name(self) -> str:
        """The model's name."""
        return self.spec.name

    @property
    def robust(self) -> bool:
        """Whether measures against drift are taken."""
        return self.follower.robust

    def open(self, video: Video) -> Session:
        """A session on a video: a clip's path, a folder of pictures in the order of their numbers, an array `[T, H, W,
        3]` or list of pictures, any iterator of pictures, which is read once and never ahead, or a camera,
        by its number, 0 for the first, or its address, whose pictures are read when they are asked for.

        Raises ImageError for what has no frames and for a camera that cannot be opened, MissingExtraError for a clip
        without PyAV.
        """
        return Session(self.follower, open_frames(video))

    def resume(self, path: str | os.PathLike[str], video: Video) -> Session:
        """The session that `Session.save` wrote, on the same video again; of a stream, the frames that come now follow
        on those that had come.

        Raises:
            ImageError: the file is missing, damaged or another kind of file, or the video is not the one it was saved
                with.
            WeightsError: it was saved with another model, or with other weights.
        """
        from anymask.tracking.saving import load

        return load(self.follower, path, open_frames(video))

    def __repr__(self) -> str:
        return f"Tracker({self.name!r}{', robust=True' if self.robust else ''})"
