"""A video that a client has opened: a session on it, and what was said and found there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from anymask import rle
from anymask.errors import FormatError, ImageError, PromptError
from anymask.images import encode_image
from anymask.masks import Masks
from anymask.placement import Placement
from anymask.refine import resize
from anymask.server.answers import mask_json
from anymask.server.errors import Conflict, Gone, NotFound, RequestError, TooLarge
from anymask.server.schemas import VideoPrompt
from anymask.tracker import Tracker
from anymask.tracking.frames import check_index, count_frames
from anymask.tracking.session import Session, objects_of

Json = dict[str, Any]

TRACKED_BYTES, SHOWN_BYTES = 64 << 20, 64 << 20  # of decoded frames: for the session, and for those that are looked at
MOST_OBJECTS = 64
MOST_ANSWERS = 65_536  # of one object on one frame each, 1 to 2 KB
QUALITY = 88
THE_VIDEO = "the video"


class Run:
    """Objects on their way through a video. `cancelled` may be set at any time."""

    def __init__(self, steps: Iterator[tuple[int, Masks]]) -> None:
        self.steps = steps
        self.cancelled = False
        self.done = 0
        self.last: int | None = None
        self.began = time.monotonic()


class OpenVideo:
    """A video, safe for many threads: the session has one lock, the frames that are looked at have another, so that
    who scrubs does not wait for who tracks.

    Args:
        path: the file. name: what its owner calls it. model: the tracker's name.

    Raises:
        ImageError: it is no video, damaged at its beginning, or changes its size. TooLarge: its frames have too many
            pixels.
    """

    def __init__(self, identity: str, name: str, path: Path, tracker: Tracker, max_pixels: int) -> None:
        from anymask.video.reading import Reader
        from anymask.video.seeking import ClipFrames

        self.id, self.name, self.path, self.bytes = identity, name, path, path.stat().st_size
        self.closed = False
        self.used = time.monotonic()
        self._working, self._looking, self._beginning = threading.Lock(), threading.Lock(), threading.Lock()
        self._said: dict[int, dict[int, Json]] = {}
        self._found: dict[int, dict[int, bool]] = {}  # of each object the frames, and whether it is seen there
        self._run: Run | None = None
        try:
            reader = Reader(path, sound=False)
            width, height = reader.size
            reader.close()
            if width * height > max_pixels:
                raise TooLarge(f"The video has {width} x {height} pixels; at most {max_pixels:,} are taken.")
            self._shown = ClipFrames(path, SHOWN_BYTES)
            frames = ClipFrames(path, TRACKED_BYTES)
            self._shown.count = frames.count = count_frames(frames)
        except ImageError as error:
            raise ImageError(_told(error, path)) from None
        frames.name = self._shown.name = THE_VIDEO
        self._frames = frames
        self.height, self.width = self._size()
        self._use(tracker)

    def json(self) -> Json:
        """What clients are told of it."""
        rate = float(self._frames.rate)
        count = self._frames.count or 0
        return {
            "id": self.id,
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "frames": count,
            "fps": round(rate, 3),
            "seconds": round(count / rate, 3) if rate else 0.0,
            "bytes": self.bytes,
            "model": self.model,
            "tracking": self.tracking,
            "trouble": self._frames.trouble,
            "objects": self.objects(),
        }

    def objects(self) -> list[Json]:
        """The objects with what was said of them, the spans of frames, first and last, that they were looked for on,
        and of these the ones that they are not seen on."""
        found = {number: sorted(frames.items()) for number, frames in list(self._found.items())}
        return [
            {
                "id": number,
                "prompts": [{"frame": frame, **said} for frame, said in sorted(frames.items())],
                "spans": _spans([frame for frame, _ in found.get(number, [])]),
                "absent": _spans([frame for frame, seen in found.get(number, []) if not seen]),
            }
            for number, frames in list(self._said.items())
        ]

    @property
    def tracking(self) -> bool:
        """Whether objects are on their way through it."""
        run = self._run
        return run is not None and not run.cancelled

    @property
    def session(self) -> Session:
        """The session. Only times of frames may be read from it without this object's methods."""
        return self._session

    def frame(self, index: int, longest: int) -> bytes:
        """A frame as a JPEG whose longer side has at most so many pixels.

        Raises NotFound where there is none, ImageError where it cannot be read, Gone.
        """
        with self._looking:
            self._check()
            self._check_frame(index)
            rgb = self._shown.at(index)
            trouble = self._shown.trouble
        if rgb is None:
            raise ImageError(f"Frame {index} of the video cannot be read{f': {trouble}' if trouble else ''}.")
        height, width = rgb.shape[:2]
        scale = min(1.0, longest / max(height, width))
        shape = max(1, round(height * scale)), max(1, round(width * scale))
        return encode_image(resize(rgb, shape), "jpg", quality=QUALITY)

    def prompt(self, asked: VideoPrompt) -> Json:
        """Say where an object is on a frame: its mask there, and all objects.

        Raises as `Session.prompt`, NotFound for a frame that does not exist, and RequestError for one object or mask
        too many.
        """
        with self._at_work() as session:
            self._check_frame(asked.frame)
            if asked.object not in self._said and len(self._said) >= MOST_OBJECTS:
                raise RequestError(f"No more than {MOST_OBJECTS} objects of one video are followed; remove some.")
            self._check_room(1)
            given = _mask_of(asked, self.height, self.width)
            if asked.replace and asked.frame in self._said.get(asked.object, {}):
                session.clear(asked.frame, asked.object)
                self._unsay(asked.frame, asked.object)
            session.prompt(asked.frame, asked.object, asked.points, asked.labels, asked.box, given)
            self._said.setdefault(asked.object, {})[asked.frame] = _together(
                self._said.get(asked.object, {}).get(asked.frame), asked
            )
            found = self._note(session, asked.frame, [asked.object])
            return {"mask": found[0], "objects": self.objects()}

    def clear(self, frame: int, number: int) -> Json:
        """Take back what was said of an object on a frame. Raises as `Session.clear`."""
        with self._at_work() as session:
            session.clear(frame, number)
            self._unsay(frame, number)
            return {"objects": self.objects()}

    def remove(self, number: int) -> Json:
        """Follow an object no longer. Raises NotFound."""
        with self._at_work() as session:
            if number not in self._said:
                raise NotFound(f"There is no object {number} in the video.")
            session.remove(number)
            self._forget(number)
            return {"objects": self.objects()}

    def reset(self, tracker: Tracker) -> Json:
        """Forget all objects, and go on with a tracker. What is under way ends."""
        self.cancel()
        with self._at_work():
            self._said.clear()
            self._found.clear()
            self._use(tracker)
        return self.json()

    def masks(self, index: int) -> Masks | None:
        """What was last found on a frame; None where nothing was. Raises NotFound for one that does not exist."""
        with self._at_work() as session:
            self._check_frame(index)
            return session.masks(index)

    def empty(self) -> Masks:
        """No masks of a frame of this video."""
        side = self._session_side
        extra: dict[str, np.ndarray] = {"object_id": np.zeros(0, np.int64), "presence": np.zeros(0, np.float32)}
        place = Placement.stretch(self.height, self.width, 4 * side)
        return Masks(np.zeros((0, side, side), np.float32), np.zeros(0, np.float32), place, extra=extra)

    def begin(self, start: int | None, stop: int | None, reverse: bool) -> Run:
        """Set objects on their way; nothing is computed yet. Raises Conflict where they are on it already, Gone."""
        with self._beginning:  # never held for long, as this is asked from the event loop
            self._check()
            if self.tracking:
                raise Conflict("This video is being tracked already; cancel that first.")
            self._run = Run(self._session.propagate(start, stop, reverse))
            return self._run

    def step(self, run: Run) -> Json | None:
        """The next frame of a run and what was found on it; None when it is over.

        Raises as `Session.propagate`, RequestError for more masks than are kept, and Gone.
        """
        with self._at_work() as session:
            if run.cancelled:
                return None
            self._check_room(len(self._said))
            found = next(run.steps, None)
            if found is None:
                return None
            index, numbers = found[0], objects_of(found[1])
            masks = self._note(session, index, numbers)
            run.done += 1
            run.last = index
        return {"type": "frame", "frame": index, "done": run.done, "fps": self.fps(run), "masks": masks}

    def fps(self, run: Run) -> float:
        """Frames of a run that were done in a second."""
        return round(run.done / max(1e-3, time.monotonic() - run.began), 2)

    def end(self, run: Run) -> None:
        """A run is over."""
        run.cancelled = True
        if self._run is run:
            self._run = None

    def cancel(self) -> bool:
        """End what is under way at its next frame; whether there was something."""
        run = self._run
        was = self.tracking
        if run is not None:
            run.cancelled = True
        return was

    def close(self) -> None:
        """Close the video and delete its file."""
        self.cancel()
        with self._working, self._looking:
            self.closed = True
            self._session.close()
            self._shown.close()
        self.path.unlink(missing_ok=True)

    def _use(self, tracker: Tracker) -> None:
        self.model = tracker.name
        self._session_side = tracker.spec.mask_side
        self._session = Session(tracker.follower, self._frames)
        self._session.kept.most = MOST_ANSWERS

    @contextmanager
    def _at_work(self) -> Iterator[Session]:
        """The session for one thread."""
        with self._working:
            self._check()
            yield self._session

    def _check(self) -> None:
        if self.closed:
            raise Gone("This video was closed; open it again.")

    def _check_frame(self, index: int) -> None:
        try:
            check_index(THE_VIDEO, index, self._frames.count)
        except PromptError as error:
            raise NotFound(str(error)) from None

    def _check_room(self, more: int) -> None:
        if sum(map(len, self._found.values())) + more > MOST_ANSWERS:
            raise RequestError(
                f"No more than {MOST_ANSWERS:,} masks of one video are kept; remove objects, or cut the video."
            )

    def _note(self, session: Session, index: int, numbers: Sequence[int]) -> list[Json]:
        """What is kept of some objects on a frame, with logits in whole steps: what is shown is what is exported."""
        found = found_json(session.masks(index) or self.empty(), numbers)
        for one in found:
            self._found.setdefault(one["object"], {})[index] = one["area"] > 0
        return found

    def _unsay(self, frame: int, number: int) -> None:
        self._said[number].pop(frame, None)
        self._found.get(number, {}).pop(frame, None)
        if not self._said[number]:
            self._forget(number)

    def _forget(self, number: int) -> None:
        self._said.pop(number, None)
        self._found.pop(number, None)

    def _size(self) -> tuple[int, int]:
        first = self._frames.at(0)
        assert first is not None  # or it could not have been opened
        return int(first.shape[0]), int(first.shape[1])


def found_json(masks: Masks, numbers: Sequence[int] | None = None) -> list[Json]:
    """What was found on a frame, one entry for each object, or for some of them."""
    presence = masks.extra["presence"]
    return [
        {"object": number, "presence": round(float(presence[row]), 3), **mask_json(masks, row)}
        for row, number in enumerate(objects_of(masks))
        if numbers is None or number in numbers
    ]


def _mask_of(asked: VideoPrompt, height: int, width: int) -> np.ndarray | None:
    if asked.mask is None:
        return None
    if tuple(asked.mask.size) != (height, width):
        size = asked.mask.size
        raise PromptError(f"The mask has {size[1]} x {size[0]} pixels, the video {width} x {height}.")
    try:
        return rle.decode(asked.mask.model_dump())
    except (FormatError, ValueError, IndexError, OverflowError, UnicodeEncodeError) as error:
        raise PromptError(f"The mask's RLE cannot be read ({error}).") from None


def _together(before: Json | None, asked: VideoPrompt) -> Json:
    """What was said of an object on a frame in all, as the session puts it together."""
    if asked.mask is not None or before is None or before["mask"]:
        before = {"points": [], "labels": [], "box": None}
    points = asked.points or []
    labels = asked.labels if asked.labels is not None else [1] * len(points)
    return {
        "points": [*before["points"], *(list(point) for point in points)],
        "labels": [*before["labels"], *labels],
        "box": before["box"] if asked.box is None else list(asked.box),
        "mask": asked.mask is not None,
    }


def _told(error: Exception, path: Path) -> str:
    """An error's sentence without the name of the file that the video lies in meanwhile."""
    return str(error).replace(str(path), "The video")


def _spans(frames: list[int]) -> list[list[int]]:
    """Rising numbers as runs of first and last."""
    spans: list[list[int]] = []
    for frame in frames:
        if spans and frame == spans[-1][1] + 1:
            spans[-1][1] = frame
        else:
            spans.append([frame, frame])
    return spans
