"""DAVIS's measures of masks over time, and clips in its layout.

The measures are those of the semi-supervised protocol of DAVIS 2017 (Pont-Tuset et al. 2017, "The 2017 DAVIS challenge
on video object segmentation"; Perazzi et al. 2016): J, the IoU of regions, and F, the F measure of their boundaries
within 0.8% of the frame's diagonal; of each object on every frame but the first, which was given, and the last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from anymask.errors import FormatError
from anymask.evaluation.protocol import intersection_over_union
from anymask.formats.sa1b import PICTURE_SUFFIXES

TOLERANCE = 0.008  # of the frame's diagonal
VOID = 255


@dataclass(frozen=True)
class Sequence:
    """A clip with its true masks: frames' files in order, and label files for all of them."""

    name: str
    frames: tuple[Path, ...]
    labels: tuple[Path, ...]


def sequences(folder: Path) -> list[Sequence]:
    """A folder's clips: CLIP/NNNNN.jpg with CLIP/NNNNN.png beside, or DAVIS's own JPEGImages/480p and Annotations/480p.

    Raises FormatError when there are none with masks for all frames, of three or more.
    """
    pictures, labels = folder, folder
    for resolution in ("480p", "Full-Resolution"):
        if (folder / "JPEGImages" / resolution).is_dir():
            pictures, labels = folder / "JPEGImages" / resolution, folder / "Annotations" / resolution
            break
    found = []
    for clip in sorted(path for path in pictures.iterdir() if path.is_dir()) if pictures.is_dir() else []:
        frames = sorted(p for p in clip.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.suffix != ".png")
        masks = [labels / clip.name / f"{path.stem}.png" for path in frames]
        if len(frames) > 2 and all(path.is_file() for path in masks):
            found.append(Sequence(clip.name, tuple(frames), tuple(masks)))
    if not found:
        raise FormatError(f"{folder} holds no clips of three frames NNNNN.jpg or more, each with its mask NNNNN.png.")
    return found


def read_labels(path: Path) -> np.ndarray:
    """The objects of a frame, uint8 `[H, W]`: the numbers of a palette's colours; 1 for what is not black in a picture
    without palette. 255 of a palette, DAVIS's void, is 0 here.

    Raises FormatError for what is no such picture.
    """
    try:
        with Image.open(path) as image:
            if image.mode == "P":
                values = np.array(image)
                return np.where(values == VOID, 0, values).astype(np.uint8)
            return np.asarray(np.array(image.convert("L")) > 0, np.uint8)
    except (OSError, ValueError) as error:
        raise FormatError(f"The mask {path} cannot be read.") from error


def region_similarity(found: np.ndarray, truth: np.ndarray) -> float:
    """J of two bool masks `[H, W]`: their IoU, 1 where both are empty."""
    return intersection_over_union(found, truth)


def boundary_accuracy(found: np.ndarray, truth: np.ndarray) -> float:
    """F of two bool masks `[H, W]`: boundary pixels of each that lie near the other's, precision and recall together.

    Where one has no boundary, 1 if the other has none either, else 0.
    """
    first, second = boundary(found), boundary(truth)
    if not first.any() or not second.any():
        return float(first.any() == second.any())
    radius = math.ceil(TOLERANCE * math.hypot(*truth.shape))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = (x * x + y * y <= radius * radius).astype(np.uint8)
    near_first, near_second = (cv2.dilate(one.astype(np.uint8), disc) > 0 for one in (first, second))
    precision = np.count_nonzero(first & near_second) / np.count_nonzero(first)
    recall = np.count_nonzero(second & near_first) / np.count_nonzero(second)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: np.ndarray) -> np.ndarray:
    """The pixels of a bool mask `[H, W]` that differ from the one to the right, below, or both."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, both = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    edges: np.ndarray = (mask != right) | (mask != below) | (mask != both)
    return edges


@dataclass(frozen=True)
class Measure:
    """J or F of one object over time: mean, share of frames above one half, and how much it falls from the first
    quarter of the clip to the last."""

    mean: float
    recall: float
    decay: float


def summarise(values: np.ndarray) -> Measure:
    """Mean, recall and decay of a measure's values on the frames that count, float `[T]`.

    Quarters share their borders' frames, as in DAVIS's own evaluation.
    """
    borders = np.round(np.linspace(1, len(values), 5) + 1e-10).astype(int) - 1
    quarters = [values[borders[i] : borders[i + 1] + 1] for i in range(4)]
    decay = quarters[0].mean() - quarters[3].mean()
    return Measure(float(values.mean()), float((values > 0.5).mean()), float(decay))
