"""Edges without having learnt any: a soft edge map out of all the masks that a promptable model finds.

The way of Kirillov et al. 2023 ("Segment anything", section 7.2 and appendix D.2): a grid of 16 x 16 points, three
masks for each, none left out for its score or its stability, what is found twice suppressed; a Sobel filter over each
mask's probabilities, kept along the mask's outer boundary only; the masks' values put together; and the suppression
of what is no ridge, as Canny does it (1986, "A computational approach to edge detection").

In one thing it departs from the paper, which takes the largest value over all masks: here they are added up, and fewer
masks are suppressed, so that a boundary counts for more the more masks agree on it. `PAPER` is the paper's own way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anymask.errors import FormatError
from anymask.evaluation.boundaries import (
    THRESHOLDS,
    BoundaryScores,
    Counts,
    compare,
    read_boundaries,
    summarise,
    thresholds,
)
from anymask.formats.sa1b import PICTURE_SUFFIXES
from anymask.images import read_image
from anymask.masks import Masks
from anymask.segmenter import EncodedImage, Segmenter

FADE = 5  # pixels from the picture's edge over which edges fade out: what ends there is no boundary
DIRECTION = 2.0  # deviation of the Gaussian over the map that an edge's direction is read from, in pixels
CANNY_DEVIATION = 3.0  # of the Gaussian before Canny, in pixels; of 1, 2 and 3 the best on BSDS500's validation set
MARGIN = 3  # pixels around a mask that its probabilities are looked at, for the filter's and the boundary's width


@dataclass(frozen=True)
class EdgeOptions:
    """How a picture is asked and what its masks count for.

    Attributes:
        points_per_side: the grid has the square of this many points.
        min_score: masks whose predicted IoU is not above this are left out; 0 for none.
        min_stability: masks less stable than this, 0 to 1, are left out; 0 for none.
        overlap: of two masks whose boxes' IoU is above this, the one of lower predicted IoU goes.
        agreement: the masks' edges are added up and raised to this power; 0 takes the largest of them.
        weigh: whether a mask's edges count as much as its predicted IoU.
        smoothing: deviation of the Gaussian over the edge map, in pixels; 0 for none.

    Raises PromptError, when a picture is asked, for a value out of its range.
    """

    points_per_side: int = 16
    min_score: float = 0.0
    min_stability: float = 0.0
    overlap: float = 0.9
    agreement: float = 0.3
    weigh: bool = False
    smoothing: float = 1.5


PAPER = EdgeOptions(overlap=0.7, agreement=0.0, smoothing=1.0)
"""As Kirillov et al. 2023 say."""


@dataclass(frozen=True, eq=False)
class EdgePicture:
    """One picture, its own best F, and its edge map, uint8 `[H, W]`."""

    path: Path
    f: float
    edges: np.ndarray


@dataclass(frozen=True, eq=False)
class EdgesResult:
    """Figures of a model's edges on a folder, of Canny's beside them where asked for, and the pictures in order."""

    model: str
    folder: str
    scores: BoundaryScores
    canny: BoundaryScores | None
    pictures: tuple[EdgePicture, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        named = {"edges": self.scores, **({"canny": self.canny} if self.canny else {})}
        return {
            "model": self.model,
            "folder": self.folder,
            **{name: scores.to_dict() for name, scores in named.items()},
            "pictures": [{"path": str(one.path), "f": one.f} for one in self.pictures],
        }


def evaluate_edges(
    folder: str | Path,
    segmenter: Segmenter,
    *,
    options: EdgeOptions | None = None,
    levels: int = THRESHOLDS,
    canny: bool = True,
    limit: int | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> EdgesResult:
    """Compare the edges of a model's masks with what people drew, by the Berkeley benchmark.

    Args:
        folder: pictures NAME.jpg and beside them NAME.npz with `segmentations`, whole numbers `[annotators, H, W]`, a
            label for each region (BSDS500).
        segmenter: a promptable model.
        options: how it is asked, `EdgeOptions()` when left out.
        levels: the number of thresholds. 33 give the same ODS as the benchmark's 99 to 0.002.
        canny: whether OpenCV's Canny goes through the same benchmark, as the floor.
        limit: so many pictures at most, drawn at random by `seed`; None for all.
        on_progress: called with pictures done and their number.

    Raises:
        FormatError: there are no such pictures, or a file is damaged or of another picture.
        PromptError: an option is out of its range.
        MissingExtraError: SciPy is not installed.
    """
    pictures = _pictures(Path(folder), limit, seed)
    at = thresholds(levels)
    counts: list[Counts] = []
    floor: list[Counts] = []
    maps = []
    on_progress(0, len(pictures))
    for done, path in enumerate(pictures, 1):
        rgb, annotators = read_image(path), read_boundaries(path.with_suffix(".npz"))
        edges = edge_map(segmenter.encode(rgb), options)
        counts.append(compare(edges, annotators, at))
        if canny:
            floor.append(compare(canny_map(rgb, at), annotators, at))
        maps.append(np.round(edges * 255).astype(np.uint8))
        on_progress(done, len(pictures))
    scores = summarise(counts, at)
    each = zip(pictures, scores.pictures, maps, strict=True)
    return EdgesResult(
        segmenter.name,
        str(folder),
        scores,
        summarise(floor, at) if canny else None,
        tuple(EdgePicture(*one) for one in each),
    )


def _pictures(folder: Path, limit: int | None, seed: int) -> list[Path]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    pictures = [
        path for path in found if path.suffix.lower() in PICTURE_SUFFIXES and path.with_suffix(".npz").is_file()
    ]
    if not pictures:
        raise FormatError(f"{folder} holds no pictures with segmentations NAME.npz beside them.")
    if limit is None or len(pictures) <= limit:
        return pictures
    return [pictures[i] for i in sorted(np.random.default_rng(seed).choice(len(pictures), limit, replace=False))]


def edge_map(image: EncodedImage, options: EdgeOptions | None = None) -> np.ndarray:
    """The soft edges of an encoded picture, thinned to their ridges: float32 `[H, W]` in 0..1.

    Raises PromptError for an option out of its range.
    """
    options = options or EdgeOptions()
    masks = image.everything(
        points_per_side=options.points_per_side,
        pred_iou_thresh=options.min_score,
        stability_score_thresh=options.min_stability,
        box_nms_thresh=options.overlap,
    )
    return ridges(outlines(masks, options.weigh, options.agreement), options.smoothing)


def outlines(masks: Masks, weigh: bool = False, agreement: float = 0.0) -> np.ndarray:
    """How steeply the masks' probabilities fall along their outer boundaries: float32 `[H, W]`, the largest value over
    all masks, or where `agreement` is not 0 their sum to that power; times a mask's score where `weigh` says so. What
    coincides with the picture's edge is no boundary."""
    edges = np.zeros((masks.height, masks.width), np.float32)
    for index, placement in enumerate(masks.placements[: len(masks)]):
        x, y, pixels = masks.region(index)
        left, top, right, bottom = placement.crop
        x0, y0 = max(left, x - MARGIN), max(top, y - MARGIN)
        x1, y1 = min(right, x + pixels.shape[1] + MARGIN), min(bottom, y + pixels.shape[0] + MARGIN)
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        mask[y - y0 :, x - x0 :][: pixels.shape[0], : pixels.shape[1]] = pixels
        logits = placement.upscale(masks.logits[index : index + 1], (x0, y0, x1, y1))[0]
        slope = _slope(1 / (1 + np.exp(-np.clip(logits, -30, 30))))
        slope[cv2.dilate(mask, np.ones((3, 3), np.uint8)) == mask] = 0
        piece = edges[y0:y1, x0:x1]
        together = np.add if agreement else np.maximum
        together(piece, slope * max(0.0, float(masks.scores[index])) if weigh else slope, out=piece)
    return edges**agreement if agreement else edges


def ridges(edges: np.ndarray, smoothing: float = 1.0) -> np.ndarray:
    """An edge map float32 `[H, W]`, smoothed, faded out towards the picture's own edges, stretched to 0..1, and 0 where
    a neighbour across the edge is stronger.

    Across the edge is where the map, smoothed some more, bends most: on a ridge downwards, at its foot upwards. The two
    neighbours, a pixel away, are interpolated.
    """
    edges = np.asarray(edges, np.float32)
    if smoothing > 0:
        edges = cv2.GaussianBlur(edges, (0, 0), smoothing)
    nearest = [np.minimum(np.arange(size), np.arange(size)[::-1]) / FADE for size in edges.shape]
    edges = edges * np.minimum(1, np.minimum(nearest[0][:, None], nearest[1])).astype(np.float32)
    top = float(edges.max())
    if top <= 0:
        return np.zeros_like(edges)
    edges = edges / top
    smooth = cv2.GaussianBlur(edges, (0, 0), DIRECTION)
    xx, yy, xy = (cv2.Sobel(smooth, cv2.CV_32F, *orders, ksize=5) for orders in ((2, 0), (0, 2), (1, 1)))
    upwards = 0.5 * np.arctan2(2 * xy, xx - yy)  # where the second derivative is greatest; it is least across that
    across = np.where(xx + yy > 0, upwards, upwards + np.float32(np.pi / 2))
    dx, dy = np.cos(across), np.sin(across)
    columns, rows = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in edges.shape[::-1]))
    kept = np.ones(edges.shape, bool)
    for side in (-1, 1):
        kept &= edges >= cv2.remap(edges, columns + side * dx, rows + side * dy, cv2.INTER_LINEAR)
    return np.where(kept, edges, np.float32(0))


def canny_map(rgb: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """OpenCV's Canny as a soft edge map: for each pixel of a picture uint8 `[H, W, 3]` the highest of the levels `[T]`,
    in 0..1 and ascending, at which it still is an edge, 0 for none: float32 `[H, W]`.

    A level stands for its square of the steepest possible slope; the lower of Canny's two thresholds is 0.4 of the
    upper, so that the edges at one level are a part of those at the one below.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    smooth = cv2.GaussianBlur(grey, (0, 0), CANNY_DEVIATION)
    # Canny takes whole numbers of 16 bits. A step of 0 to 1 has this slope after the Gaussian.
    steepest = 1 / (np.sqrt(2 * np.pi) * CANNY_DEVIATION)
    across, down = (
        np.round(cv2.Sobel(smooth, cv2.CV_32F, *orders, scale=16000 / (8 * steepest))).astype(np.int16)
        for orders in ((1, 0), (0, 1))
    )
    edges = np.zeros(grey.shape, np.float32)
    for level in levels:
        upper = 16000 * level**2
        edges[cv2.Canny(across, down, 0.4 * upper, upper, L2gradient=True) > 0] = level
    return edges


def _slope(probabilities: np.ndarray) -> np.ndarray:
    """The gradient's magnitude by Sobel's filter, float32 `[h, w]`, in probability a pixel."""
    across, down = (
        cv2.Sobel(probabilities, cv2.CV_32F, *orders, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
        for orders in ((1, 0), (0, 1))
    )
    return cv2.magnitude(across, down)
