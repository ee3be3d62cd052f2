"""Everything in a picture: SAM's automatic mask generation (Kirillov et al. 2023, section 5 and appendix B).

The model is asked at every point of a grid, then again in overlapping crops; what it is unsure of and what is found
twice is dropped. The rules, and the order of the results, are those of segment_anything's `SamAutomaticMaskGenerator`.
The arithmetic is smaller: a candidate is measured only where it is, and never on a finer grid than the network's own
input. So stability and boxes are exact for pictures and crops no larger than that input; on larger ones they are the
reference's to about a pixel of the input and a few thousandths, which can only turn a decision that was close. Masks,
areas and boxes of the result are made from its logits when asked for, and are exact at any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from anymask import rle
from anymask.errors import PromptError
from anymask.grids import crop_boxes, layer_grids
from anymask.masks import Masks, non_maximum_suppression, stability
from anymask.placement import Box, Placement, tight
from anymask.regions import remove_small_regions

if TYPE_CHECKING:
    from anymask.segmenter import EncodedImage

EDGE_TOLERANCE = 20.0
"""A mask whose box comes this near to the edge of its crop, in pixels, is taken to be cut off there."""

Progress = Callable[[int, int], None]


class PointModel(Protocol):
    """What is asked of an encoded picture, or crop of one; `anymask.segmenter.EncodedImage` is one."""

    placement: Placement

    def predict_points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points `[B, 2]` in pixels of the picture to logits float32 `[B, 3, h, w]` and scores float32 `[B, 3]`."""
        ...

    def crop(self, box: Box) -> PointModel:
        """The same picture with only x0, y0, x1, y1 seen."""
        ...


@dataclass(frozen=True)
class Options:
    """How to look and what to keep: SAM's names and defaults.

    Attributes:
        points_per_side: the grid has the square of this many points; None when `point_grids` are given.
        points_per_batch: points decoded at once; more need more memory.
        pred_iou_thresh: masks whose predicted IoU is not above this are dropped; 0 or less keeps all.
        stability_score_thresh: masks less stable than this, 0 to 1, are dropped; 0 keeps all.
        stability_score_offset: by how much the logits' threshold is moved up and down to measure stability.
        box_nms_thresh: of two masks of one crop whose boxes' IoU is above this, the one of lower predicted IoU goes.
        crop_n_layers: layers of crops to look at besides the picture; layer i has 2**i a side.
        crop_nms_thresh: as `box_nms_thresh`, between masks of different crops; the one of the larger crop goes.
        crop_overlap_ratio: by how much the first layer's crops overlap, as a share of the picture's shorter side.
        crop_n_points_downscale_factor: in layer i, `points_per_side` is divided by this to the power of i.
        point_grids: instead of `points_per_side`, a grid for the picture and one for each layer: `[K, 2]`, x and y in 0
            to 1.
        min_mask_region_area: holes and islands of fewer pixels are removed from masks, and what then is found twice.

    Raises:
        PromptError: a value is out of its range.
    """

    points_per_side: int | None = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    point_grids: Sequence[np.ndarray] | None = None
    min_mask_region_area: float = 0

    def __post_init__(self) -> None:
        for name in ("points_per_batch", "crop_n_points_downscale_factor"):
            _check_count(name, getattr(self, name), 1)
        _check_count("crop_n_layers", self.crop_n_layers, 0)
        _check_range("pred_iou_thresh", self.pred_iou_thresh, -1, 1)
        for name in ("stability_score_thresh", "box_nms_thresh", "crop_nms_thresh", "crop_overlap_ratio"):
            _check_range(name, getattr(self, name), 0, 1)
        for name in ("stability_score_offset", "min_mask_region_area"):
            _check_range(name, getattr(self, name), 0, math.inf)
        if (self.points_per_side is None) == (self.point_grids is None):
            raise PromptError("Give either points_per_side or point_grids: one of them, not both.")
        if self.points_per_side is not None:
            _check_count("points_per_side", self.points_per_side, 1)
        self.grids()

    def grids(self) -> list[np.ndarray]:
        """The points to ask in the picture, then in the crops of each layer: `[K, 2]`, x and y in 0 to 1."""
        if self.point_grids is None:
            assert self.points_per_side is not None
            return layer_grids(self.points_per_side, self.crop_n_layers, self.crop_n_points_downscale_factor)
        grids = [np.asarray(grid, np.float64) for grid in self.point_grids]
        if len(grids) != self.crop_n_layers + 1:
            raise PromptError(
                f"point_grids must hold a grid for the picture and one for each layer of crops, "
                f"{self.crop_n_layers + 1} in all, not {len(grids)}."
            )
        if any(grid.ndim != 2 or grid.shape[1] != 2 or not len(grid) for grid in grids):
            shapes = ", ".join(str(grid.shape) for grid in grids)
            raise PromptError(f"Each of point_grids must be one or more points [K, 2], not of shape {shapes}.")
        if not all(((grid >= 0) & (grid <= 1)).all() for grid in grids):
            raise PromptError("The points of point_grids must lie between 0 and 1, as shares of width and height.")
        return grids


@dataclass(eq=False, slots=True)
class _Candidate:
    """A mask that passed the filters. `logits` is None while a better candidate takes its place."""

    logits: np.ndarray | None
    token: int
    point: np.ndarray
    score: float
    stability: np.float32
    box: np.ndarray
    placement: Placement


def everything(image: EncodedImage, *, on_progress: Progress | None = None, **options: Any) -> Masks:
    """Masks of all that is in a picture, the surest first; with crops or clean-up in the reference's order.

    Args:
        image: what `Segmenter.encode` returned.
        on_progress: called with the points done and the points in all, at the start and after every batch; what it
            raises ends the search.
        options: see `Options`. What is not given is as the model's catalogue entry says, else as in SAM.

    Returns:
        `Masks` whose `extra` columns are `predicted_iou` and `stability_score` float32 `[N]`, `point_coords` float32
        `[N, 2]`, the point that found the mask, and `crop_box` float32 `[N, 4]`, x0, y0, x1, y1 of the crop it was seen
        in, all in pixels. Empty masks are left out.

    Raises:
        PromptError: an option is out of its range.
    """
    given = {**image.segmenter.spec.everything, **options}
    if options.get("point_grids") is not None and "points_per_side" not in options:
        given["points_per_side"] = None
    return generate(image, Options(**given), on_progress)


def generate(image: PointModel, options: Options, on_progress: Progress | None = None) -> Masks:
    """The same for anything that answers points, with all options said."""
    height, width = image.placement.height, image.placement.width
    crops = crop_boxes(height, width, options.crop_n_layers, options.crop_overlap_ratio)
    grids = options.grids()
    done, total = 0, sum(len(grids[layer]) for _, layer in crops)

    def advance(points: int) -> None:
        nonlocal done
        done += points
        if on_progress:
            on_progress(done, total)

    advance(0)
    found: list[_Candidate] = []
    for crop, layer in crops:
        view = image if layer == 0 else image.crop(crop)
        x0, y0, x1, y1 = crop
        points = (grids[layer] * (x1 - x0, y1 - y0) + (x0, y0)).astype(np.float32)
        kept, shape = _search(view, points, options, advance)
        found += kept
    if len(crops) > 1:
        areas = [candidate.placement.crop_height * candidate.placement.crop_width for candidate in found]
        found = _suppress(found, 1 / np.array(areas), options.crop_nms_thresh)

    masks = _as_masks(found, shape, image.placement)
    if options.min_mask_region_area > 0:
        return _clean(masks, options.min_mask_region_area, max(options.box_nms_thresh, options.crop_nms_thresh))
    return masks


def _search(
    view: PointModel, points: np.ndarray, options: Options, advance: Callable[[int], None]
) -> tuple[list[_Candidate], tuple[int, ...]]:
    """What is found at the points of one crop, without what is found twice, and the shape of a logit map.

    Logits are held only of the candidates that lead so far. The last suppression is over all of them; one that it
    brings back, because what had displaced it was displaced itself, is asked for again.
    """
    found: list[_Candidate] = []
    leading: list[_Candidate] = []
    shape: tuple[int, ...] = (0, 0)
    for batch in _batches(points, options.points_per_batch):
        logits, scores = view.predict_points(batch)
        shape = logits.shape[2:]
        new = list(_filter(view.placement, batch, logits, scores, options))
        found += new
        rivals, leading = leading + new, _suppress_by_score(leading + new, options)
        for candidate in set(rivals).difference(leading):
            candidate.logits = None
        advance(len(batch))
    kept = _suppress_by_score(found, options)
    lost = [candidate for candidate in kept if candidate.logits is None]
    for again in _batches(lost, options.points_per_batch):
        logits, _ = view.predict_points(np.stack([candidate.point for candidate in again]))
        for candidate, maps in zip(again, logits, strict=True):
            candidate.logits = maps[candidate.token].copy()
    return kept, shape


def _filter(
    placement: Placement, points: np.ndarray, logits: np.ndarray, scores: np.ndarray, options: Options
) -> Iterable[_Candidate]:
    """The masks of a batch that are sure, stable, not empty, and not cut off by their crop."""
    crop, picture = np.array(placement.crop), np.array([0, 0, placement.width, placement.height])
    for i, token in np.ndindex(scores.shape):
        if options.pred_iou_thresh > 0 and not scores[i, token] > options.pred_iou_thresh:
            continue
        measured = _measure(logits[i, token], placement, options.stability_score_offset)
        if measured is None:
            continue
        steady, box = measured
        at_crop, at_picture = (np.abs(box - edges) <= EDGE_TOLERANCE for edges in (crop, picture))
        if steady >= options.stability_score_thresh and not (at_crop & ~at_picture).any():
            yield _Candidate(logits[i, token].copy(), token, points[i], float(scores[i, token]), steady, box, placement)


def _measure(logits: np.ndarray, placement: Placement, offset: float) -> tuple[np.float32, np.ndarray] | None:
    """A mask's stability score and box, x0, y0, x1, y1 in pixels of the picture; None when it is empty.

    It is enlarged to the crop's size or to that of the network's input, whichever is smaller, and only as far as it
    reaches.
    """
    height = min(placement.crop_height, placement.input_height)
    width = min(placement.crop_width, placement.input_width)
    grid = (placement.model_height, placement.model_width, placement.input_height, placement.input_width)
    small = Placement(height, width, *grid, enlarge=placement.enlarge)
    h, w = placement.valid(logits).shape
    cells = logits[: h + 1, : w + 1] > -offset  # the first cells of the padding still weigh on the last pixels
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    if not len(rows):
        return None
    y0, y1 = _reach(rows, height * placement.model_height / (placement.input_height * logits.shape[0]), height)
    x0, x1 = _reach(columns, width * placement.model_width / (placement.input_width * logits.shape[1]), width)
    field = small.upscale(logits[None], (x0, y0, x1, y1))[0]
    x, y, pixels = tight(field > 0, x0, y0)
    if not pixels.size:
        return None
    box = np.array([x, y, x + pixels.shape[1] - 1, y + pixels.shape[0] - 1])
    scale = np.array([placement.crop_width / width, placement.crop_height / height] * 2)
    return stability(field[None], offset=offset)[0], (box + 0.5) * scale - 0.5 + (placement.crop[:2] * 2)


def _reach(cells: np.ndarray, scale: float, size: int) -> tuple[int, int]:
    """The pixels of an axis of `size` on which the first to the last of `cells` weigh, at `scale` pixels a cell.

    Two bilinear steps reach less than two cells from a cell's edges.
    """
    return max(0, math.floor((cells[0] - 2) * scale)), min(size, math.ceil((cells[-1] + 3) * scale))


def _as_masks(found: list[_Candidate], shape: tuple[int, ...], placement: Placement) -> Masks:
    scores = np.array([candidate.score for candidate in found], np.float32)
    columns = {
        "predicted_iou": scores,
        "stability_score": np.array([candidate.stability for candidate in found], np.float32),
        "point_coords": np.array([candidate.point for candidate in found], np.float32).reshape(-1, 2),
        "crop_box": np.array([candidate.placement.crop for candidate in found], np.float32).reshape(-1, 4),
    }
    logits = np.empty((len(found), *shape), np.float32)
    for row, candidate in zip(logits, found, strict=True):
        row[:], candidate.logits = candidate.logits, None  # never all of them twice: of SAM each is 256 KB
    return Masks(logits, scores, [candidate.placement for candidate in found] or placement, extra=columns)


def _clean(masks: Masks, min_area: float, threshold: float) -> Masks:
    """Masks without small holes and islands; of two that now are alike, the one that needed no change stays."""
    rles: list[rle.RLE | None] = []
    boxes = np.zeros((len(masks), 4), np.float32)
    for i in range(len(masks)):
        region, changed = remove_small_regions(masks.region(i), min_area, masks.height, masks.width)
        rles.append(rle.encode(region, masks.height, masks.width) if changed else None)
        h, w = region.pixels.shape
        boxes[i] = region.x, region.y, region.x + max(w - 1, 0), region.y + max(h - 1, 0)
    cleaned = Masks(masks.logits, masks.scores, masks.placements, rles=rles, extra=masks.extra)
    return cleaned[_order(boxes, np.array([one is None for one in rles], np.float32), threshold)]


def _suppress_by_score(candidates: list[_Candidate], options: Options) -> list[_Candidate]:
    return _suppress(candidates, np.array([candidate.score for candidate in candidates]), options.box_nms_thresh)


def _suppress(candidates: list[_Candidate], scores: np.ndarray, threshold: float) -> list[_Candidate]:
    boxes = np.array([candidate.box for candidate in candidates], np.float32).reshape(-1, 4)
    return [candidates[i] for i in _order(boxes, scores, threshold)]


def _order(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """The boxes to keep, best first; of equal scores the last comes first, as in the reference's results."""
    return len(boxes) - 1 - non_maximum_suppression(boxes[::-1], scores[::-1], threshold)


def _batches(items: Any, size: int) -> list[Any]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _check_count(name: str, value: Any, lowest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < lowest:
        raise PromptError(f"{name} must be a whole number of at least {lowest}, not {value!r}.")


def _check_range(name: str, value: Any, low: float, high: float) -> None:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not low <= value <= high or math.isinf(value):
        limits = f"between {low} and {high}" if math.isfinite(high) else f"of at least {low}"
        raise PromptError(f"{name} must be a number {limits}, not {value!r}.")
