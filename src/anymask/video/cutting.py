"""A clip cut out: reading, the network, compositing and writing, each in a thread of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol, Unpack

import numpy as np
from PIL import Image, ImageOps

from anymask.background import Choice, MatteOptions
from anymask.clip_result import VideoResult
from anymask.compositing import BLUR, Background, CutOut, blurred, levels, load_background
from anymask.errors import ImageError
from anymask.foreground import foreground_by
from anymask.images import Source
from anymask.video.reading import Frame, Reader
from anymask.video.smoothing import steadied
from anymask.video.threads import in_thread
from anymask.video.writing import Writer, check_target, open_writer

Progress = Callable[[int, int | None], object]


class Remover(Protocol):
    """Who finds the subject of each frame: `anymask.background.BackgroundRemover`."""

    def matte(self, picture: Source, refine: Choice = True, **options: Unpack[MatteOptions]) -> np.ndarray: ...


def cut_out_video(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    remover: Remover,
    *,
    background: Background | None = None,
    mask_only: bool = False,
    smooth: bool = True,
    audio: bool = True,
    refine: Choice = True,
    foreground: Choice = True,
    options: MatteOptions | None = None,
    limit: int | None = None,
    fps: float | None = None,
    on_progress: Progress = lambda done, total: None,
) -> VideoResult:
    """Cut a clip's subject out, frame by frame, in memory that does not depend on its length.

    Args:
        source: a clip that FFmpeg reads. It is turned as its file says, and gets square pixels of 8 bits; HDR is not
            tone-mapped.
        target: transparent unless there is a background: .webm (VP9), .mov (ProRes 4444; 422 where it is opaque), .webp
            or .apng (without sound), or a folder for numbered PNGs. Over a background also .mp4 and .mkv (H.264). Where
            the format wants even sides (.webm, .mp4, .mkv), an odd picture's last row or column is repeated once.
        remover: the model.
        background: None for transparency; a colour, a picture (see `CutOut.over`), or "blur" for the clip's own, out
            of focus.
        mask_only: write the mattes in grey instead.
        smooth: take the flicker out of the mattes (see `anymask.video.smoothing`).
        audio: keep the sound: as it is where the target takes its codec, else encoded anew (Opus, AAC).
        refine, foreground, options: as for `BackgroundRemover.remove`.
        limit: cut out no more than so many frames.
        fps: leave frames out, so that no more than so many come a second. Times are kept, with those of clips of
            varying rate.
        on_progress: called with frames done and frames in all; None where the file does not say.

    Returns:
        How many frames there are and how long it took. A clip that breaks off, and Ctrl-C, end the work early: the
        frames so far are there, in a file that plays, and `trouble` says so.

    Raises:
        ImageError: the source is no clip, or the target cannot be written as asked for.
        MissingExtraError: PyAV is not installed (when this file is imported).
        What `BackgroundRemover.matte` raises; the frames so far are kept then, too.
    """
    source, target = Path(source), Path(target)
    check_target(target, transparent=background is None and not mask_only)
    if os.path.realpath(source) == os.path.realpath(target):
        raise ImageError(f"{target} would overwrite the clip that is to be read; choose another name.")
    look = _Look(background, mask_only, foreground)
    start, count, trouble = time.perf_counter(), 0, ""
    reader = Reader(source, audio, limit, fps)

    def mattes(frames: Iterable[Frame]) -> Iterator[tuple[Frame, np.ndarray]]:
        for frame in frames:
            yield frame, remover.matte(frame.rgb, refine, **(options or {}))

    def pictures(frames: Iterable[tuple[Frame, np.ndarray]]) -> Iterator[Frame]:
        for frame, alpha in frames:
            yield frame._replace(rgb=look(frame.rgb, alpha))

    writer: Writer | None = None
    try:
        with (
            closing(in_thread(reader)) as read,
            closing(in_thread(mattes(read))) as found,
            closing(in_thread(pictures(steadied(found) if smooth else found))) as made,
        ):
            for picture, pts, sound in made:
                if writer is None:
                    writer = open_writer(target, picture, reader)
                for packet in sound:
                    writer.write_sound(packet)
                writer.write(picture, pts)
                count += 1
                on_progress(count, reader.total)
            if writer is not None and limit is None:
                for packet in reader.rest:
                    writer.write_sound(packet)
    except KeyboardInterrupt:
        trouble = "the work was stopped"
    finally:
        if writer is not None:
            writer.close()
        reader.close()
    trouble = trouble or reader.trouble
    if not count:
        raise ImageError(f"{source} has no frame that can be read{f': {trouble}' if trouble else ''}.")
    told = f"{trouble[0].upper()}{trouble[1:]}; {count} frames are kept." if trouble else ""
    return VideoResult(count, time.perf_counter() - start, told)


class _Look:
    """What the result's frames look like."""

    def __init__(self, background: Background | None, mask_only: bool, foreground: Choice) -> None:
        self._blurs = isinstance(background, str) and background == BLUR
        self._behind = None if background is None or self._blurs else load_background(background)
        self._mask_only, self._foreground = mask_only, foreground

    def __call__(self, rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3], or [H, W, 4] where nothing lies behind."""
        if self._mask_only:
            return np.repeat(levels(alpha)[..., None], 3, axis=2)
        cut = CutOut(foreground_by(rgb, alpha, self._foreground), alpha)
        if self._blurs:
            return np.asarray(cut.over(blurred(rgb, alpha)))
        if self._behind is None:
            return np.asarray(cut.image())
        if isinstance(self._behind, np.ndarray) and self._behind.shape != rgb.shape:  # once for all frames
            fitted = ImageOps.fit(Image.fromarray(self._behind), rgb.shape[1::-1], Image.Resampling.BICUBIC)
            self._behind = np.asarray(fitted)
        return np.asarray(cut.over(self._behind))
