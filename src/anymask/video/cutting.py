"""A clip cut out: reading, the network, compositing and writing, each in a thread of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from anymask.background import BackgroundRemover, Choice, MatteOptions
from anymask.compositing import BLUR, Background, CutOut, blurred, load_background
from anymask.errors import ImageError
from anymask.foreground import estimate_foreground
from anymask.video.reading import Frame, Reader, Sound
from anymask.video.smoothing import steadied
from anymask.video.threads import in_thread
from anymask.video.writing import Writer, check_target, open_writer

Progress = Callable[[int, int | None], object]


@dataclass(frozen=True)
class VideoResult:
    """What became of a clip: frames written, seconds it took, and a sentence about what ended it early, or ""."""

    frames: int
    seconds: float
    trouble: str = ""

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds else 0.0


def cut_out_video(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    remover: BackgroundRemover,
    *,
    background: Background | None = None,
    mask_only: bool = False,
    smooth: bool = True,
    audio: bool = True,
    refine: Choice = True,
    foreground: Choice = True,
    options: MatteOptions | None = None,
    on_progress: Progress = lambda done, total: None,
) -> VideoResult:
    """Cut a clip's subject out, frame by frame, in memory that does not depend on its length.

    Args:
        source: a clip that FFmpeg reads.
        target: .webm (VP9) or .mov (ProRes), transparent unless there is a background; .mp4 or .mkv (H.264) over a
            background; or a folder for numbered PNGs. .webm, .mp4 and .mkv get even sides: a last row or column is
            repeated where that must be.
        remover: the model.
        background: None for transparency; a colour, a picture, or "blur" for the clip's own, out of focus.
        mask_only: write the mattes in grey instead.
        smooth: take the flicker out of the mattes (see `anymask.video.smoothing`).
        audio: keep the sound, as it is where the target takes it, else encoded anew.
        refine, foreground, options: as for `BackgroundRemover.remove`.
        on_progress: called with frames done and frames in all, as far as the file says.

    Returns:
        How many frames there are and how fast it went. A clip that breaks off, and Ctrl-C, end the work early: the
        frames so far are there, in a file that plays.

    Raises:
        ImageError: the source is no clip, or the target cannot be written as asked for.
        MissingExtraError: PyAV is not installed.
        What `BackgroundRemover.matte` raises.
    """
    source, target = Path(source), Path(target)
    transparent = background is None and not mask_only
    check_target(target, transparent)
    if os.path.realpath(source) == os.path.realpath(target):
        raise ImageError(f"{target} would overwrite the clip that is to be read; choose another name.")
    behind = background
    if background is not None and not (isinstance(background, str) and background == BLUR):
        behind = load_background(background)
    reader = Reader(source, audio)
    start, count = time.perf_counter(), 0
    writer: Writer | None = None
    early: list[Sound] = []  # sound that comes before the first frame
    trouble = ""

    def mattes(items: Iterable[Frame | Sound]) -> Iterator[tuple[Frame | Sound, np.ndarray | None]]:
        for item in items:
            yield item, remover.matte(item.rgb, refine, **(options or {})) if isinstance(item, Frame) else None

    def pictures(items: Iterable[tuple[Frame | Sound, np.ndarray | None]]) -> Iterator[tuple[np.ndarray, int] | Sound]:
        nonlocal behind
        for item, alpha in items:
            if isinstance(item, Sound) or alpha is None:
                assert isinstance(item, Sound)
                yield item
                continue
            if isinstance(behind, np.ndarray) and behind.shape != item.rgb.shape:  # once for all frames
                size = item.rgb.shape[1::-1]
                behind = np.asarray(ImageOps.fit(Image.fromarray(behind), size, Image.Resampling.BICUBIC))
            yield _picture(item.rgb, alpha, behind, mask_only, foreground), item.pts

    try:
        with (
            closing(in_thread(reader)) as read,
            closing(in_thread(mattes(read))) as found,
            closing(in_thread(pictures(_steadied(found) if smooth else found))) as made,
        ):
            for item in made:
                if isinstance(item, Sound):
                    early.append(item)
                else:
                    picture, pts = item
                    if writer is None:
                        size = picture.shape[0], picture.shape[1]
                        writer = open_writer(target, size, transparent, reader.rate, reader.time_base, reader.sound)
                    writer.write(picture, pts)
                    count += 1
                    on_progress(count, reader.total)
                while writer is not None and early:
                    writer.write_sound(early.pop(0).packet)
    except KeyboardInterrupt:
        trouble = "stopped"
    finally:
        if writer is not None:
            writer.close()
        reader.close()
    trouble = trouble or reader.trouble
    if not count:
        raise ImageError(f"{source} has no frame that can be read{f': {trouble}' if trouble else ''}.")
    told = f"{trouble}; the {count} frames so far are kept" if trouble else ""
    return VideoResult(count, time.perf_counter() - start, told)


def _steadied(
    items: Iterable[tuple[Frame | Sound, np.ndarray | None]],
) -> Iterator[tuple[Frame | Sound, np.ndarray | None]]:
    """`steadied` for the frames; sound passes by."""
    passing: list[Sound] = []

    def frames() -> Iterator[tuple[Frame, np.ndarray]]:
        for item, alpha in items:
            if isinstance(item, Frame) and alpha is not None:
                yield item, alpha
            elif isinstance(item, Sound):
                passing.append(item)

    for frame, alpha in steadied(frames()):
        yield frame, alpha
        while passing:
            yield passing.pop(0), None
    while passing:
        yield passing.pop(0), None


def _picture(
    rgb: np.ndarray, alpha: np.ndarray, behind: Background | None, mask_only: bool, foreground: Choice
) -> np.ndarray:
    """A frame of the result: uint8 [H, W, 3], or [H, W, 4] where nothing lies behind."""
    if mask_only:
        grey = (alpha * np.float32(255) + np.float32(0.5)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    colours = rgb
    if foreground is not False:
        colours = estimate_foreground(rgb, alpha, *([] if foreground is True else [foreground]))
    cut = CutOut(colours, alpha)
    if behind is None:
        return np.asarray(cut.image())
    if isinstance(behind, str) and behind == BLUR:
        behind = blurred(rgb, alpha)
    return np.asarray(cut.over(behind))
