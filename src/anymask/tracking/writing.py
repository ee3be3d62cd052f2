"""What tracking leaves on the disk: label PNGs as DAVIS has them, RLEs of every frame as SA-V has them, clips."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image

from anymask.clip_result import VideoResult
from anymask.colors import palette
from anymask.compositing import CutOut
from anymask.errors import FormatError, ImageError
from anymask.foreground import estimate_foreground
from anymask.images import encode_image, write_atomic
from anymask.masks import Masks
from anymask.overlay import draw
from anymask.tracking.prompting import FramePrompt
from anymask.tracking.session import Session

MOST_LABELS = 254  # 255 is DAVIS's void
SOFT = 0.8  # pixels, the deviation of the blur by which a cut-out's edge is softened


@dataclass
class Timing:
    """When the frames of a clip that is written are shown; `anymask.video.writing` asks for it."""

    rate: Fraction
    time_base: Fraction
    sound: Any = None

    def pts(self, session: Session, index: int) -> int:
        """A frame's time, in units of `time_base`."""
        shown = getattr(session.frames, "time", None)
        return index if shown is None else int(shown(index))

    @classmethod
    def of(cls, session: Session, fps: float) -> Timing:
        """A clip's own times; `fps` for frames that have none."""
        rate = getattr(session.frames, "rate", None) or Fraction(fps).limit_denominator(1001)
        return cls(rate, getattr(session.frames, "time_base", None) or 1 / rate)


class TrackWriter(Protocol):
    """Takes the frames of a video in rising order with what was found on them."""

    def write(self, index: int, rgb: np.ndarray, masks: Masks) -> None: ...

    def close(self) -> None: ...


class LabelWriter:
    """DAVIS's label pictures: NNNNN.png in a folder, of each pixel the id of its object, with DAVIS's palette.

    Raises FormatError for a folder that has PNGs already, and for ids above 254.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        _make(folder)
        if any(folder.glob("*.png")):
            raise FormatError(f"{folder} has pictures in it already; choose a new folder for the labels.")

    def write(self, index: int, rgb: np.ndarray, masks: Masks) -> None:
        image = Image.fromarray(labels(masks).astype(np.uint8))
        image.putpalette(davis_palette().tobytes())
        write_atomic(self._folder / f"{index:05d}.png", encode_image(image, "png"))

    def close(self) -> None:
        pass


class MaskletWriter:
    """SA-V's layout (Ravi et al. 2024): one JSON file, `masklet[frame][object]` a COCO RLE of the frame's size.

    `masklet_id` are the objects' ids, of all that were ever followed; an object that is not seen has an empty mask.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps = path, fps
        self._frames: list[dict[int, str]] = []
        self._size = 0, 0
        _make(path.parent)

    def write(self, index: int, rgb: np.ndarray, masks: Masks) -> None:
        self._size = rgb.shape[:2]
        self._frames += [{} for _ in range(index - len(self._frames))]
        ids = (int(value) for value in masks.extra["object_id"])
        self._frames.append({key: json.dumps(one) for key, one in zip(ids, masks.rles(), strict=True)})

    def close(self) -> None:
        height, width = self._size
        ids = sorted({key for frame in self._frames for key in frame})
        empty = json.dumps(_empty(height, width))
        rows = [f"[{', '.join(frame.get(key, empty) for key in ids)}]" for frame in self._frames]
        seen = [[i for i, frame in enumerate(self._frames) if frame.get(key, empty) != empty] for key in ids]
        about = {
            "video_id": self._path.name.split(".")[0],
            "video_duration": len(self._frames) / self._fps,
            "video_frame_count": len(self._frames),
            "video_height": height,
            "video_width": width,
            "video_resolution": height * width,
            "fps": self._fps,
            "masklet_num": len(ids),
            "masklet_id": ids,
            "masklet_first_appeared_frame": [frames[0] if frames else None for frames in seen],
            "masklet_frame_count": [len(frames) for frames in seen],
        }
        text = json.dumps(about)[:-1] + ', "masklet": [\n' + ",\n".join(rows) + "\n]}\n"
        write_atomic(self._path, text.encode())


class OverlayWriter:
    """The frames with the objects drawn in, as a clip; each object keeps its colour."""

    def __init__(self, path: Path, session: Session, timing: Timing) -> None:
        from anymask.video.writing import check_target

        check_target(path, transparent=False)
        self._path, self._session, self._timing = path, session, timing
        self._clip: Any = None

    def look(self, rgb: np.ndarray, masks: Masks) -> np.ndarray:
        """A frame as it is written: uint8 `[H, W, 3]`, or `[H, W, 4]`."""
        ids = masks.extra["object_id"]
        colors = palette(int(ids.max(initial=1)))[ids - 1]
        return np.asarray(draw(masks, rgb, prompts=False, colors=colors))

    def write(self, index: int, rgb: np.ndarray, masks: Masks) -> None:
        from anymask.video.writing import open_writer

        frame = self.look(rgb, masks)
        if self._clip is None:
            self._clip = open_writer(self._path, frame, self._timing)
        self._clip.write(frame, self._timing.pts(self._session, index))

    def close(self) -> None:
        if self._clip is not None:
            self._clip.close()


class CutOutWriter(OverlayWriter):
    """The objects cut out, transparent around: a .webm, a .mov, or a folder of PNGs."""

    def __init__(self, path: Path, session: Session, timing: Timing) -> None:
        from anymask.video.writing import check_target

        check_target(path, transparent=True)
        super().__init__(path, session, timing)

    def look(self, rgb: np.ndarray, masks: Masks) -> np.ndarray:
        """uint8 `[H, W, 4]`."""
        mask: np.ndarray = np.asarray(masks.array.any(axis=0))
        alpha = np.clip(cv2.GaussianBlur(np.asarray(mask, np.float32), (0, 0), SOFT), 0, 1)
        return np.asarray(CutOut(estimate_foreground(rgb, alpha), alpha).image())


def labels(masks: Masks) -> np.ndarray:
    """One label for each pixel: uint16 `[H, W]`, the id of the object there, 0 for none. Where objects overlap, the one
    whose logit is highest; a mask that a user gave wins.

    Raises FormatError for ids that DAVIS's label pictures have no room for.
    """
    ids = masks.extra["object_id"]
    if ids.max(initial=0) > MOST_LABELS:
        raise FormatError(f"Label pictures have room for ids up to {MOST_LABELS}, not {ids.max()}.")
    values = np.zeros((masks.height, masks.width), np.uint16)
    best = np.zeros(values.shape, np.float32)
    for i, value in enumerate(ids):
        x, y, pixels = masks.region(i)
        if not pixels.size:
            continue
        window = (slice(y, y + pixels.shape[0]), slice(x, x + pixels.shape[1]))
        if masks.cleaned[i]:
            strength = np.full(pixels.shape, np.inf, np.float32)
        else:
            box = (x, y, x + pixels.shape[1], y + pixels.shape[0])
            strength = masks.placements[i].upscale(masks.logits[i : i + 1], box)[0]
        wins = pixels & (strength > best[window])
        values[window][wins] = value
        best[window][wins] = strength[wins]
    return values


@lru_cache(maxsize=1)
def davis_palette() -> np.ndarray:
    """DAVIS's 256 colours, those of PASCAL VOC: uint8 `[256, 3]`; bit 3 i + c of a number is bit 7 - i of colour c."""
    numbers = np.arange(256)
    colors = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((numbers >> channel) & 1) << (7 - bit)
        numbers >>= 3
    return colors.astype(np.uint8)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"{folder} cannot be made ({error.strerror or error}).") from error


def _empty(height: int, width: int) -> dict[str, Any]:
    from anymask import rle

    return rle.compress({"size": [height, width], "counts": [height * width]})


def open_writers(
    session: Session,
    fps: float,
    *,
    labels: Path | None = None,
    json: Path | None = None,
    overlay: Path | None = None,
    cutout: Path | None = None,
) -> list[TrackWriter]:
    """Writers of what is wanted of a session; `fps` for frames that have no times.

    Raises FormatError, ImageError or MissingExtraError for what cannot be written.
    """
    timing = Timing.of(session, fps)
    writers: list[TrackWriter] = []
    if overlay is not None:
        writers.append(OverlayWriter(overlay, session, timing))
    if cutout is not None:
        writers.append(CutOutWriter(cutout, session, timing))
    if json is not None:
        writers.append(MaskletWriter(json, float(timing.rate)))
    if labels is not None:
        writers.append(LabelWriter(labels))
    return writers


def track_video(
    session: Session,
    prompts: Iterable[FramePrompt],
    writers: Sequence[TrackWriter],
    *,
    stop: int | None = None,
    on_progress: Callable[[int, int | None], object] = lambda done, total: None,
) -> VideoResult:
    """Prompt a session, follow its objects from the first frame on, and write what is found.

    Args:
        session: one on a clip or folder.
        prompts: what is said of which object on which frame.
        writers: of `open_writers`; they are closed, and what was found is there, when the clip breaks off or the work
            is stopped (Ctrl-C), too.
        stop: the frame to end before.
        on_progress: called with frames done and frames in all, or None.

    Raises PromptError for prompts that do not fit the video, before anything is written.
    """
    begun, done, trouble = time.perf_counter(), 0, ""
    for one in prompts:
        points, marks = (one.points, one.labels) if one.points else (None, None)
        if one.mask is not None or points is not None or one.box is not None:
            session.prompt(one.frame, one.object_id, points, marks, one.box, one.mask)
    total = session.count if stop is None or session.count is None else min(stop, session.count)
    on_progress(0, total)
    try:
        for index, masks in session.propagate(start=0, stop=stop):
            for writer in writers:
                writer.write(index, session.frame(index), masks)
            done += 1
            on_progress(done, total)
    except KeyboardInterrupt:
        trouble = "the work was stopped"
    except ImageError as error:
        if not done:
            raise
        trouble = str(error).rstrip(".")
    finally:
        for writer in writers:
            writer.close()
    trouble = trouble or session.trouble
    told = f"{trouble[0].upper()}{trouble[1:]}; {done} frames are kept." if trouble else ""
    return VideoResult(done, time.perf_counter() - begun, told)
