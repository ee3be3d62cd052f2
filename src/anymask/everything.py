"""Everything in a picture: SAM's automatic mask generation (Kirillov et al. 2023, section 5 and appendix B).

The model is asked at every point of a grid, then again in overlapping crops; what it is unsure of and what is found
twice is dropped. The rules, and the order of the results, are those of segment_anything's `SamAutomaticMaskGenerator`.
The arithmetic is smaller: a candidate is measured only where it is, and never on a finer grid than the network's own
input. So stability and boxes are exact for pictures and crops no larger than that input; on larger ones they are the
reference's to about a pixel of the input and a few thousandths, which can only turn a decision that was close. Masks,
areas and boxes of the result are made from its logits when asked for, and are exact at any size.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from anymask import rle
from anymask.candidates import Candidate, as_mask, as_masks, best_first, measure, suppress
from anymask.catalog import SecondLook
from anymask.errors import PromptError
from anymask.everything_closer import Closer, Small, look_closer
from anymask.everything_options import Options
from anymask.grids import crop_boxes
from anymask.masks import Masks
from anymask.placement import Box, Placement
from anymask.regions import remove_small_regions

if TYPE_CHECKING:
    from anymask.segmenter import EncodedImage

EDGE_TOLERANCE = 20.0
"""A mask whose box comes this near to the edge of its crop, in pixels, is taken to be cut off there."""

Progress = Callable[[int, int], None]
LookCloser = Callable[[Sequence[Small]], list[Closer | None]]


class PointModel(Protocol):
    """What is asked of an encoded picture, or crop of one; `anymask.segmenter.EncodedImage` is one."""

    placement: Placement

    def predict_points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points `[B, 2]` in pixels of the picture to logits float32 `[B, 3, h, w]` and scores float32 `[B, 3]`."""
        ...

    def crop(self, box: Box) -> PointModel:
        """The same picture with only x0, y0, x1, y1 seen."""
        ...


@runtime_checkable
class InstanceModel(PointModel, Protocol):
    """One that may be able to tell all at once, which `proposes` says."""

    @property
    def proposes(self) -> bool:
        """Whether it can."""
        ...

    def instances(self, confidence: float, iou: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits float32 `[N, h, w]`, scores float32 `[N]`, middles of boxes float32 `[N, 2]` in pixels."""
        ...


@dataclass(frozen=True, eq=False)
class Step:
    """How far the search has come.

    Attributes:
        done, total: points asked so far, and in all.
        found: masks (`Masks` of length 1) that lead now and did not before, by a number of their own.
        dropped: the numbers of those that lead no longer. What was dropped may lead again later.
    """

    done: int
    total: int
    found: dict[int, Masks]
    dropped: tuple[int, ...]


Search = Generator[Step, None, tuple[Masks, list[int]]]
CropSearch = Generator[tuple[int, list[Candidate]], None, tuple[list[Candidate], tuple[int, ...]]]


def everything(image: EncodedImage, *, on_progress: Progress | None = None, **options: Any) -> Masks:
    """Masks of all that is in a picture, the surest first; with crops or clean-up in the reference's order.

    A model that finds all instances at once (FastSAM) is not asked point by point: `pred_iou_thresh` is then what an
    instance's score has to exceed, `box_nms_thresh` the IoU of boxes above which one is left out, and the options of
    points have no effect.

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
        ImageError: crops or closer views are wanted, and the image was loaded without its picture.
    """
    said = _said(image, options)
    return _to_the_end(_steps(image, said, _way(image), closer=_closer(image, said)), on_progress)


def everything_in_steps(image: EncodedImage, **options: Any) -> Search:
    """The same, telling what leads after every batch of points, for those who show masks as they are found.

    Yields a `Step` at the start, after every batch and at the end, when what leads is just the result; closing the
    generator ends the search. Returns the masks that `everything` does, and their numbers. Raises PromptError at once.
    """
    said = _said(image, options)
    return _steps(image, said, _way(image), numbered=True, closer=_closer(image, said))


def _said(image: EncodedImage, options: dict[str, Any]) -> Options:
    """The options that are given, and the model's own for the rest."""
    given = {**image.segmenter.spec.everything, **options}
    if options.get("point_grids") is not None and "points_per_side" not in options:
        given["points_per_side"] = None
    return Options(**given)


def generate(image: PointModel, options: Options, on_progress: Progress | None = None) -> Masks:
    """The same for anything that answers points, with all options said. Raises PromptError for a second look, which
    takes more than points."""
    if options.second_look:
        raise PromptError("A second look needs a picture encoded by a Segmenter.")
    return _to_the_end(_steps(image, options, _search), on_progress)


def _to_the_end(steps: Search, on_progress: Progress | None) -> Masks:
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            masks: Masks = end.value[0]
            return masks
        if on_progress:
            on_progress(step.done, step.total)


def _way(image: PointModel) -> Callable[..., CropSearch]:
    """How one view of a picture is searched."""
    return _proposed if isinstance(image, InstanceModel) and image.proposes else _search


def _closer(image: EncodedImage, options: Options) -> LookCloser | None:
    if not options.second_look:
        return None
    rules = image.segmenter.spec.second_look or SecondLook()
    return lambda found: look_closer(image, found, rules)


def _steps(
    image: PointModel,
    options: Options,
    search_view: Callable[..., CropSearch],
    numbered: bool = False,
    closer: LookCloser | None = None,
) -> Search:
    """The search; only what is `numbered` tells of masks before the end, which takes making them."""
    height, width = image.placement.height, image.placement.width
    crops = crop_boxes(height, width, options.crop_n_layers, options.crop_overlap_ratio)
    grids = options.grids()
    done, total = 0, sum(len(grids[layer]) for _, layer in crops)
    yield Step(0, total, {}, ())
    numbers = itertools.count()
    found: list[Candidate] = []
    shown: set[int] = set()
    for crop, layer in crops:
        view = image if layer == 0 else image.crop(crop)
        x0, y0, x1, y1 = crop
        points = (grids[layer] * (x1 - x0, y1 - y0) + (x0, y0)).astype(np.float32)
        search = search_view(view, points, options, numbers)
        while True:
            try:
                asked, leading = next(search)
            except StopIteration as end:
                kept, shape = end.value
                break
            done += asked
            yield Step(done, total, *(_news(found + leading, shown) if numbered else ({}, ())))
        found += kept
    if len(crops) > 1:
        areas = [candidate.placement.crop_height * candidate.placement.crop_width for candidate in found]
        found = suppress(found, 1 / np.array(areas), options.crop_nms_thresh)
    if closer is not None:
        closely = list(_seen_closer(found, image.placement, closer, options, numbers))
        found = found if closely == found else _suppress_by_score(closely, options)

    masks, order = as_masks(found, shape, image.placement), [candidate.number for candidate in found]
    if options.min_mask_region_area > 0:
        masks, rows = _clean(masks, options.min_mask_region_area, max(options.box_nms_thresh, options.crop_nms_thresh))
        # What was cleaned is another mask than the one that was told of.
        order = [next(numbers) if cleaned else order[row] for row, cleaned in zip(rows, masks.cleaned, strict=True)]
    if numbered:
        fresh = {number: masks[row] for row, number in enumerate(order) if number not in shown}
        yield Step(done, total, fresh, tuple(sorted(shown.difference(order))))
    return masks, order


def _seen_closer(
    found: list[Candidate], whole: Placement, closer: LookCloser, options: Options, numbers: Iterator[int]
) -> Iterator[Candidate]:
    """The candidates; those that were found in the whole picture and are small, as closer views show them."""
    asked = [one for one in found if one.placement == whole and one.logits is not None]
    answers = closer([Small(one.logits, one.box, one.point) for one in asked if one.logits is not None])
    again = dict(zip(map(id, asked), answers, strict=True))
    for one in found:
        answer = again.get(id(one))
        measured = None
        if answer is not None:
            measured = measure(answer.logits, answer.placement, options.stability_score_offset)
        if answer is None or measured is None or measured[0] < options.stability_score_thresh:
            yield one
            continue
        steady, box = measured
        yield Candidate(answer.logits, one.token, one.point, answer.score, steady, box, answer.placement, next(numbers))


def _news(leading: Iterable[Candidate], shown: set[int]) -> tuple[dict[int, Masks], tuple[int, ...]]:
    """What leads now and is not shown yet, and the numbers of what is shown and leads no longer; notes it as shown."""
    now = {candidate.number: candidate for candidate in leading}
    new, gone = now.keys() - shown, shown - now.keys()
    shown ^= new | gone
    return {number: as_mask(now[number]) for number in sorted(new)}, tuple(sorted(gone))


def _proposed(view: InstanceModel, points: np.ndarray, options: Options, numbers: Iterator[int]) -> CropSearch:
    """As `_search`, of a model that finds all at once: the points are passed over, and the instances are filtered like
    masks found at the middles of their boxes. What is found twice the model leaves out itself, by its own boxes."""
    logits, scores, middles = view.instances(options.pred_iou_thresh, options.box_nms_thresh)
    found = list(_filter(view.placement, middles, logits[:, None], scores[:, None], options, numbers))
    yield len(points), found
    return found, logits.shape[1:]


def _search(view: PointModel, points: np.ndarray, options: Options, numbers: Iterator[int]) -> CropSearch:
    """Yields after each batch how many points it had, and what leads; returns what is found at the points of one crop,
    without what is found twice, and the shape of a logit map.

    Logits are held only of the candidates that lead so far. The last suppression is over all of them; one that it
    brings back, because what had displaced it was displaced itself, is asked for again.
    """
    found: list[Candidate] = []
    leading: list[Candidate] = []
    shape: tuple[int, ...] = (0, 0)
    for batch in _batches(points, options.points_per_batch):
        logits, scores = view.predict_points(batch)
        shape = logits.shape[2:]
        new = list(_filter(view.placement, batch, logits, scores, options, numbers))
        found += new
        rivals, leading = leading + new, _suppress_by_score(leading + new, options)
        for candidate in set(rivals).difference(leading):
            candidate.logits = None
        yield len(batch), leading
    kept = _suppress_by_score(found, options)
    lost = [candidate for candidate in kept if candidate.logits is None]
    for again in _batches(lost, options.points_per_batch):
        logits, _ = view.predict_points(np.stack([candidate.point for candidate in again]))
        for candidate, maps in zip(again, logits, strict=True):
            candidate.logits = maps[candidate.token].copy()
    return kept, shape


def _filter(
    placement: Placement,
    points: np.ndarray,
    logits: np.ndarray,
    scores: np.ndarray,
    options: Options,
    numbers: Iterator[int],
) -> Iterable[Candidate]:
    """The masks of a batch that are sure, stable, not empty, and not cut off by their crop."""
    crop, picture = np.array(placement.crop), np.array([0, 0, placement.width, placement.height])
    for i, token in np.ndindex(scores.shape):
        if options.pred_iou_thresh > 0 and not scores[i, token] > options.pred_iou_thresh:
            continue
        measured = measure(logits[i, token], placement, options.stability_score_offset)
        if measured is None:
            continue
        steady, box = measured
        at_crop, at_picture = (np.abs(box - edges) <= EDGE_TOLERANCE for edges in (crop, picture))
        if steady >= options.stability_score_thresh and not (at_crop & ~at_picture).any():
            score, number = float(scores[i, token]), next(numbers)
            yield Candidate(logits[i, token].copy(), token, points[i], score, steady, box, placement, number)


def _clean(masks: Masks, min_area: float, threshold: float) -> tuple[Masks, np.ndarray]:
    """Masks without small holes and islands; of two that now are alike, the one that needed no change stays. And the
    rows that these had before."""
    rles: list[rle.RLE | None] = []
    boxes = np.zeros((len(masks), 4), np.float32)
    for i in range(len(masks)):
        region, changed = remove_small_regions(masks.region(i), min_area, masks.height, masks.width)
        rles.append(rle.encode(region, masks.height, masks.width) if changed else None)
        h, w = region.pixels.shape
        boxes[i] = region.x, region.y, region.x + max(w - 1, 0), region.y + max(h - 1, 0)
    cleaned = Masks(masks.logits, masks.scores, masks.placements, rles=rles, extra=masks.extra)
    kept = best_first(boxes, np.array([one is None for one in rles], np.float32), threshold)
    return cleaned[kept], kept


def _suppress_by_score(candidates: list[Candidate], options: Options) -> list[Candidate]:
    return suppress(candidates, np.array([candidate.score for candidate in candidates]), options.box_nms_thresh)


def _batches(items: Any, size: int) -> list[Any]:
    return [items[start : start + size] for start in range(0, len(items), size)]
