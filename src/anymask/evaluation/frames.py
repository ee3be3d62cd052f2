"""Cut-outs of what a box points at, on frames of clips in the layout of DAVIS 2016 (Perazzi et al. 2016, "A benchmark
dataset and evaluation methodology for video object segmentation"): CLIP/NNNNN.jpg and beside it CLIP/NNNNN.png, the
mask of the clip's main object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anymask import rle
from anymask.background import BackgroundRemover
from anymask.errors import FormatError, ImageError, PromptError
from anymask.evaluation.protocol import box_of, intersection_over_union
from anymask.formats.sa1b import PICTURE_SUFFIXES
from anymask.images import read_image
from anymask.prompts import Prompt


@dataclass(frozen=True)
class FrameResult:
    """What a model made of one frame.

    Attributes:
        path: the frame.
        truth: RLE of the true mask.
        box: its box, x0, y0, x1, y1 in pixels, which is what the model was given.
        predicted: RLE of the cut-out's alpha above one half.
        cutout: IoU of that with the truth.
        mask: IoU of `Segmenter`'s mask for the same box.
    """

    path: Path
    truth: rle.RLE
    box: tuple[int, int, int, int]
    predicted: rle.RLE
    cutout: float
    mask: float


@dataclass(frozen=True)
class FramesResult:
    """Figures of a model on a folder of clips: means over the frames (`rows`), and the frames in the folder's order."""

    model: str
    folder: str
    rows: dict[str, float]
    frames: tuple[FrameResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        frames = [{"path": str(one.path), "cut-out": one.cutout, "mask": one.mask} for one in self.frames]
        return {"model": self.model, "folder": self.folder, "iou": self.rows, "frames": frames}


def evaluate_frames(
    folder: str | Path,
    remover: BackgroundRemover,
    *,
    frames: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FramesResult:
    """Cut each clip's main object out of its first frame, from its true box, and compare.

    Args:
        folder: one folder for each clip.
        remover: a promptable model.
        frames: so many of each clip, evenly spread from the first one on. Frames whose mask is empty are passed over.
        on_progress: called with frames done and their number.

    Raises:
        FormatError: there are no clips in this layout, or a mask is damaged or of another size than its frame.
        PromptError: the model takes no box.
        What `BackgroundRemover.matte` raises.
    """
    segmenter = remover.segmenter
    if segmenter is None:
        raise PromptError(f"{remover.name} takes no box, so that it cannot be told what to cut out.")
    pairs = _pairs(Path(folder), frames)
    results = []
    on_progress(0, len(pairs))
    for done, (picture, label) in enumerate(pairs, 1):
        rgb, truth = read_image(picture), _mask(label)
        if truth.shape != rgb.shape[:2]:
            raise FormatError(f"The mask {label} is of another size than its frame.")
        if truth.any():
            box = box_of(truth)
            found = remover.matte(rgb, prompt=Prompt(box=box)) > 0.5
            mask = segmenter.encode(rgb).predict(box=box).array[0]
            ious = (intersection_over_union(one, truth) for one in (found, mask))
            known, predicted = (rle.compress(rle.encode(one)) for one in (truth, found))
            results.append(FrameResult(picture, known, box, predicted, *ious))
        on_progress(done, len(pairs))
    if not results:
        raise FormatError(f"The masks in {folder} are all empty.")
    rows = {
        "cut-out": float(np.mean([one.cutout for one in results])),
        "mask": float(np.mean([one.mask for one in results])),
    }
    return FramesResult(remover.name, str(folder), rows, tuple(results))


def _pairs(folder: Path, frames: int) -> list[tuple[Path, Path]]:
    """Frames and their masks, of every clip so many."""
    chosen = []
    for clip in sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []:
        pictures = [path for path in sorted(clip.iterdir()) if path.suffix.lower() in PICTURE_SUFFIXES]
        pairs = [(path, path.with_suffix(".png")) for path in pictures if path.suffix.lower() != ".png"]
        pairs = [pair for pair in pairs if pair[1].is_file()]
        places = np.linspace(0, len(pairs), min(frames, len(pairs)), endpoint=False).astype(int)
        chosen += [pairs[place] for place in places]
    if not chosen:
        raise FormatError(f"{folder} holds no clips: folders of frames NNNNN.jpg with masks NNNNN.png beside them.")
    return chosen


def _mask(path: Path) -> np.ndarray:
    try:
        pixels = read_image(path)
    except ImageError as error:
        raise FormatError(f"The mask {error}") from error
    return np.asarray(pixels.any(axis=-1))
