"""Automatic mask generation, against segment_anything's own results and against the same rules done the long way.

goldens/amg_stand_in.* hold what `SamAutomaticMaskGenerator` of segment_anything 1.0 returned for a picture of 500 x 360
with its predictor replaced by `stand_in` below: the settings and records of five runs (json), and each mask's
uncompressed RLE (npz). The stand-in answers at the crop's size, so there the placement is the identity and everything
must be equal, the order too.
"""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anymask.errors import PromptError
from anymask.everything import Options, everything, generate
from anymask.grids import crop_boxes, layer_grids
from anymask.masks import Masks, stability
from anymask.placement import Box, Placement, tight
from anymask.regions import remove_small_regions

GOLDENS = Path(__file__).parent / "goldens"
RECORDS = json.loads((GOLDENS / "amg_stand_in.json").read_text())
RUNS = RECORDS["runs"]
PICTURE = (RECORDS["image"]["height"], RECORDS["image"]["width"])


def stand_in(points: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """What the goldens' predictor answers for points `[B, 2]` in a crop's pixels: qualities, and three nested blobs
    around each, with a pin-hole and a stray islet. The arithmetic defines the fixture (`stand_in_masks` of its recipe).
    """
    y, x = np.arange(height)[:, None] + 0.5, np.arange(width)[None] + 0.5
    size = float(max(height, width))
    logits, quality = np.empty((len(points), 3, height, width), np.float32), np.empty((len(points), 3), np.float32)
    for n, (px, py) in enumerate(points.astype(np.float64)):
        u, v = px / width, py / height
        for m in range(3):
            rx, ry = size * (0.06 + 0.05 * m + 0.04 * u), size * (0.05 + 0.06 * m + 0.04 * v)
            dx, dy = (x - px) / rx, (y - py) / ry
            blob = 1.0 - np.maximum(dx * dx + dy * dy, np.abs(dx + dy))
            hole = (x - px - 0.4 * rx) ** 2 + (y - py) ** 2 < 16.0
            islet = (x - px + 1.3 * rx) ** 2 + (y - py - 0.9 * ry) ** 2 < 20.0
            logits[n, m] = (4.0 + 2.0 * u) * np.where(hole, -0.5, np.where(islet, 0.5, blob))
            quality[n, m] = 0.55 + 0.1 * m + 0.1731 * u - 0.1317 * v
    return logits, quality


class StandIn:
    """The goldens' predictor as a model. All crops' logits have the picture's size; the rest is padding, and loud."""

    def __init__(self, crop: Box = (0, 0, PICTURE[1], PICTURE[0])) -> None:
        x0, y0, x1, y1 = crop
        self.placement = Placement(*PICTURE, *PICTURE, y1 - y0, x1 - x0, crop)

    def predict_points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        crop = self.placement
        inside, scores = stand_in(points - crop.crop[:2], crop.crop_height, crop.crop_width)
        logits = np.full((len(points), 3, *PICTURE), 9, np.float32)
        logits[:, :, : crop.crop_height, : crop.crop_width] = inside
        return logits, scores

    def crop(self, box: Box) -> "StandIn":
        return StandIn(box)


def golden_options(run: str) -> Options:
    return Options(**{name: value for name, value in RUNS[run]["settings"].items() if name != "output_mode"})


@pytest.mark.parametrize("run", RUNS)
def test_the_reference_s_results(run: str) -> None:
    expected = RUNS[run]["masks"]
    with np.load(GOLDENS / "amg_stand_in.npz") as stored:
        runs = [stored[f"{run}.{i}.rle"].tolist() for i in range(len(expected))]
    masks = generate(StandIn(), golden_options(run))

    def column(name: str) -> np.ndarray:
        return np.array([record[name] for record in expected])

    def corners(name: str) -> np.ndarray:
        boxes = column(name)
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)

    assert [one["counts"] for one in masks.rles(compressed=False)] == runs
    assert masks.areas.tolist() == column("area").tolist()
    assert masks.boxes.tolist() == corners("bbox").tolist()
    assert masks.extra["point_coords"].tolist() == column("point_coords").tolist()
    assert masks.extra["crop_box"].tolist() == corners("crop_box").tolist()
    np.testing.assert_allclose(masks.scores, column("predicted_iou"), rtol=0, atol=1e-6)
    np.testing.assert_allclose(masks.extra["stability_score"], column("stability_score"), rtol=0, atol=1e-6)
    assert masks.extra["predicted_iou"].tolist() == masks.scores.tolist()


def test_the_size_of_batches_does_not_matter() -> None:
    options = golden_options("crops_small_regions")
    one = generate(StandIn(), replace(options, points_per_batch=1))
    all_at_once = generate(StandIn(), replace(options, points_per_batch=1000))
    assert one.scores.tolist() == all_at_once.scores.tolist()
    assert one.rles() == all_at_once.rles()
    assert (one.logits == all_at_once.logits).all()


class Discs:
    """A model that sees the same discs in every crop: at a point, those that hold it, as low-resolution logits."""

    side, cells = 256, 64

    def __init__(self, height: int, width: int, crop: Box | None = None) -> None:
        self.placement = Placement.letterbox(height, width, self.side, crop)
        draw = np.random.default_rng(5)
        self.centres = draw.uniform(0, 1, (40, 2)) * (width, height)
        self.radii = draw.uniform(0.03, 0.2, 40) * min(height, width)
        self.sharpness = draw.uniform(0.3, 3, 40)

    def predict_points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place = self.placement
        step = self.side / self.cells
        y, x = np.mgrid[: self.cells, : self.cells].astype(np.float64) + 0.5
        x = x * step * place.crop_width / place.input_width + place.crop[0]
        y = y * step * place.crop_height / place.input_height + place.crop[1]
        logits = np.full((len(points), 3, self.cells, self.cells), -5, np.float32)
        scores = np.zeros((len(points), 3), np.float32)
        for i, point in enumerate(points):
            distance = np.hypot(*(self.centres - point).T) - self.radii
            for token, disc in enumerate(np.flatnonzero(distance < 0)[:3]):
                across = np.hypot(x - self.centres[disc, 0], y - self.centres[disc, 1]) - self.radii[disc]
                waves = 0.3 * np.sin(x / 9 + point[0]) * np.sin(y / 7 + point[1])
                logits[i, token] = waves - across * self.sharpness[disc] * self.side / place.crop_width / step
                scores[i, token] = 0.8 - 0.3 * distance[disc] / self.radii[disc] + 0.01 * token
        return logits, scores

    def crop(self, box: Box) -> "Discs":
        return Discs(self.placement.height, self.placement.width, box)


LOOSE = Options(
    points_per_side=9, points_per_batch=20, pred_iou_thresh=0.85, stability_score_thresh=0.6, crop_n_layers=1
)


def the_long_way(image: Any, options: Options) -> list[dict[str, Any]]:
    """The paper's appendix B with every candidate at the picture's size."""
    height, width = image.placement.height, image.placement.width
    grids = layer_grids(options.points_per_side or 0, options.crop_n_layers, options.crop_n_points_downscale_factor)
    found = []
    for crop, layer in crop_boxes(height, width, options.crop_n_layers, options.crop_overlap_ratio):
        view = image if layer == 0 else image.crop(crop)
        x0, y0, x1, y1 = crop
        points = (grids[layer] * (x1 - x0, y1 - y0) + (x0, y0)).astype(np.float32)
        logits, scores = view.predict_points(points)
        inside = []
        for i, token in np.ndindex(scores.shape):
            if scores[i, token] <= options.pred_iou_thresh:
                continue
            field = view.placement.upscale(logits[i, token][None])[0]
            mask, steady = np.zeros((height, width), bool), stability(field, offset=options.stability_score_offset)
            mask[y0:y1, x0:x1] = field > 0
            if steady < options.stability_score_thresh:
                continue
            box = corners_of(mask)
            cut = np.abs(box - crop) <= 20
            if not (cut & (np.abs(box - (0, 0, width, height)) > 20)).any():
                inside.append(
                    {
                        "mask": mask,
                        "box": box,
                        "score": scores[i, token],
                        "stability": steady,
                        "small": -(x1 - x0) * (y1 - y0),
                    }
                )
        found += greedy(inside, "score", options.box_nms_thresh)
    found = greedy(found, "small", options.crop_nms_thresh)
    if options.min_mask_region_area:
        for record in found:
            clean = whole_picture_cleaning(record["mask"], options.min_mask_region_area)
            record.update(mask=clean[0], box=corners_of(clean[0]), untouched=not clean[1])
        found = greedy(found, "untouched", max(options.box_nms_thresh, options.crop_nms_thresh))
    return found


def corners_of(mask: np.ndarray) -> np.ndarray:
    y, x = np.nonzero(mask)
    return np.array([x.min(), y.min(), x.max(), y.max()], float)


def greedy(records: list[dict[str, Any]], key: str, threshold: float) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for i in np.argsort(np.array([record[key] for record in records]), kind="stable")[::-1]:
        record = records[i]
        if all(iou(record["box"], other["box"]) <= threshold for other in kept):
            kept.append(record)
    return kept


def iou(a: np.ndarray, b: np.ndarray) -> float:
    shared = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0).prod()
    return float(shared / max((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared, 1e-9))


def whole_picture_cleaning(mask: np.ndarray, area: float) -> tuple[np.ndarray, bool]:
    """Holes and islands below `area`, one component after the other, on a picture-sized array."""
    mask, changed = mask.copy(), False
    for value in (False, True):
        count, labels = cv2.connectedComponents((mask == value).astype(np.uint8), connectivity=8)
        parts = [labels == label for label in range(1, count)]
        small = [part for part in parts if part.sum() < area]
        changed |= bool(small)
        if value and len(small) == len(parts):
            small.pop(max(range(len(small)), key=lambda i: (small[i].sum(), -small[i].argmax())))
        for part in small:
            mask[part] = not value
    return mask, changed


@pytest.mark.parametrize("size", [(170, 240), (150, 90)])
@pytest.mark.parametrize("area", [0, 60])
def test_no_candidate_needs_the_picture_s_size(size: tuple[int, int], area: int) -> None:
    """Where the picture is no larger than the network's input, the short way is not an approximation."""
    options = replace(LOOSE, min_mask_region_area=area)
    masks, expected = generate(Discs(*size), options), the_long_way(Discs(*size), options)
    assert len(masks) > 10
    assert len({tuple(box) for box in masks.extra["crop_box"]}) == 5
    assert masks.scores.tolist() == [record["score"] for record in expected]
    assert masks.extra["stability_score"].tolist() == [record["stability"] for record in expected]
    assert (masks.array == np.array([record["mask"] for record in expected])).all()
    assert masks.boxes.tolist() == [record["box"].tolist() for record in expected]


def test_large_pictures_are_measured_on_the_network_s_input() -> None:
    size = (460, 690)
    masks, expected = generate(Discs(*size), LOOSE), the_long_way(Discs(*size), LOOSE)
    by_score = {float(record["score"]): record for record in expected}
    same = [i for i, score in enumerate(masks.scores) if float(score) in by_score]
    assert len(same) >= 0.9 * max(len(masks), len(expected))
    for i in same:
        record = by_score[float(masks.scores[i])]
        assert (masks[i].array[0] == record["mask"]).all()
        assert masks.boxes[i].tolist() == record["box"].tolist()
        assert masks.extra["stability_score"][i] == pytest.approx(record["stability"], abs=0.01)


def test_cost_grows_with_the_masks_kept() -> None:
    """Twenty megapixels: less memory than two masks at the picture's size would take."""
    image = Discs(4000, 5000)
    options = replace(LOOSE, points_per_side=16, points_per_batch=8, crop_n_layers=0)
    tracemalloc.start()
    masks = generate(image, options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(masks) > 10
    assert peak < 40e6
    assert (masks.height, masks.width) == (4000, 5000)
    assert masks.areas.min() > 1e4


class Rivals:
    """Three overlapping squares, one at each of three points: the second displaces the first, the third the second."""

    placement = Placement(100, 300, 100, 300, 100, 300)
    starts, scores = (10, 22, 34), (0.90, 0.92, 0.94)

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict_points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, scores = np.full((len(points), 3, 100, 300), -8, np.float32), np.zeros((len(points), 3), np.float32)
        for i, (x, _) in enumerate(points):
            which = int(x // 100)
            self.asked.append(which)
            logits[i, 1, 10:90, self.starts[which] : self.starts[which] + 80] = 8 + which
            scores[i, 1] = self.scores[which]
        return logits, scores

    def crop(self, box: Box) -> "Rivals":
        raise AssertionError


def test_a_mask_comes_back_when_its_rival_is_displaced() -> None:
    image = Rivals()
    grid = np.array([[0.1, 0.5], [0.5, 0.5], [0.9, 0.5]])
    masks = generate(image, Options(points_per_side=None, point_grids=[grid], points_per_batch=1))
    assert masks.boxes[:, 0].tolist() == [34, 10]
    assert masks.logits.max(axis=(1, 2)).tolist() == [10, 8]
    assert image.asked == [0, 1, 2, 0]


def test_progress_and_cancelling() -> None:
    steps: list[tuple[int, int]] = []
    generate(StandIn(), golden_options("plain"), lambda done, total: steps.append((done, total)))
    assert steps == [(0, 16), (4, 16), (8, 16), (12, 16), (16, 16)]
    steps.clear()
    generate(StandIn(), golden_options("crops"), lambda done, total: steps.append((done, total)))
    assert steps[-1] == (16 + 4 * 4, 16 + 4 * 4)

    def cancel(done: int, total: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(StandIn(), golden_options("plain"), cancel)


def test_nothing_found() -> None:
    masks = generate(Discs(70, 90), replace(LOOSE, stability_score_thresh=1, min_mask_region_area=5))
    assert isinstance(masks, Masks)
    assert len(masks) == 0
    assert masks.array.shape == (0, 70, 90)
    assert masks.logits.shape == (0, Discs.cells, Discs.cells)
    assert masks.boxes.shape == masks.extra["crop_box"].shape == (0, 4)
    assert masks.extra["point_coords"].shape == (0, 2)


class Bright:
    """A model for which all of what it sees is one object."""

    def __init__(self, height: int, width: int, crop: Box | None = None) -> None:
        self.placement = Placement.letterbox(height, width, 256, crop)

    def predict_points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full((len(points), 3, 64, 64), 5, np.float32), np.full((len(points), 3), 0.95, np.float32)

    def crop(self, box: Box) -> "Bright":
        return Bright(self.placement.height, self.placement.width, box)


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (3, 2)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    masks = generate(Bright(*size), Options(points_per_side=2, crop_n_layers=2, min_mask_region_area=1))
    assert len(masks) > 0
    assert masks.array.shape[1:] == size
    assert masks[int(masks.areas.argmax())].array.all()


def test_options_come_from_the_caller_then_the_model_then_sam() -> None:
    image: Any = StandIn()
    image.segmenter = SimpleNamespace(spec=SimpleNamespace(everything=RUNS["plain"]["settings"]))
    assert len(everything(image)) == len(RUNS["plain"]["masks"])
    assert everything(image, pred_iou_thresh=0.7).scores.min() > 0.7
    points = everything(image, point_grids=[[[0.875, 0.125]]]).extra["point_coords"]
    assert points.tolist() == [[437.5, 45]] * len(points)
    assert len(points) > 0
    image.segmenter.spec.everything = {}
    assert len(everything(image, points_per_side=4)) == 0
    with pytest.raises(PromptError, match="points_per_side or point_grids"):
        everything(image, points_per_side=4, point_grids=[[[0.5, 0.5]]])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"points_per_side": 0}, "points_per_side must be a whole number of at least 1, not 0"),
        ({"points_per_side": 2.5}, "points_per_side"),
        ({"points_per_batch": -1}, "points_per_batch"),
        ({"pred_iou_thresh": 88}, "pred_iou_thresh must be a number between -1 and 1, not 88"),
        ({"pred_iou_thresh": "high"}, "pred_iou_thresh"),
        ({"stability_score_thresh": float("nan")}, "stability_score_thresh"),
        ({"stability_score_offset": -0.1}, "stability_score_offset must be a number of at least 0, not -0.1"),
        ({"box_nms_thresh": 1.1}, "box_nms_thresh"),
        ({"crop_nms_thresh": True}, "crop_nms_thresh"),
        ({"crop_n_layers": -1}, "crop_n_layers"),
        ({"crop_overlap_ratio": 2}, "crop_overlap_ratio"),
        ({"crop_n_points_downscale_factor": 0}, "crop_n_points_downscale_factor"),
        ({"min_mask_region_area": float("inf")}, "min_mask_region_area"),
        ({"points_per_side": None}, "either points_per_side or point_grids"),
        ({"point_grids": [np.zeros((1, 2))]}, "not both"),
        ({"points_per_side": None, "point_grids": [], "crop_n_layers": 1}, "2 in all, not 0"),
        ({"points_per_side": None, "point_grids": [np.zeros((0, 2))]}, r"not of shape \(0, 2\)"),
        ({"points_per_side": None, "point_grids": [[[0.5, 1.5]]]}, "between 0 and 1"),
        ({"points_per_side": None, "point_grids": [[[0.5, float("nan")]]]}, "between 0 and 1"),
    ],
)
def test_options_out_of_range(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        Options(**wrong)


def test_holes_are_filled_and_islands_removed() -> None:
    mask = np.zeros((60, 80), bool)
    mask[10:40, 20:60] = True
    mask[20:23, 30:33] = False
    mask[50:54, 5:9] = True
    clean, changed = remove_small_regions(tight(mask), 17, 60, 80)
    assert changed
    assert (clean.x, clean.y) == (20, 10)
    assert clean.pixels.shape == (30, 40)
    assert clean.pixels.all()
    same, changed = remove_small_regions(tight(mask), 9, 60, 80)
    assert not changed
    assert (same.pixels == tight(mask).pixels).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 24), st.integers(1, 24), st.floats(0.5, 40), st.floats(0.05, 0.95))
def test_cleaning_needs_no_whole_picture(seed: int, height: int, width: int, area: float, share: float) -> None:
    draw = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    y0, y1 = sorted(draw.integers(0, height + 1, 2))
    x0, x1 = sorted(draw.integers(0, width + 1, 2))
    mask[y0:y1, x0:x1] = draw.random((y1 - y0, x1 - x0)) < share
    if not mask.any():
        assert remove_small_regions(tight(mask), area, height, width)[1] is False
        return
    region, changed = remove_small_regions(tight(mask), area, height, width)
    expected, expected_change = whole_picture_cleaning(mask, area)
    whole = np.zeros_like(mask)
    whole[region.y : region.y + region.pixels.shape[0], region.x : region.x + region.pixels.shape[1]] = region.pixels
    assert (whole == expected).all()
    assert changed == expected_change


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 3), st.floats(0, 1))
def test_crops_lie_on_the_picture_and_cover_it(height: int, width: int, layers: int, ratio: float) -> None:
    crops = crop_boxes(height, width, layers, ratio)
    assert crops[0] == ((0, 0, width, height), 0)
    for layer in range(layers + 1):
        covered = np.zeros((height, width), bool)
        for (x0, y0, x1, y1), number in crops:
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
            if number == layer:
                covered[y0:y1, x0:x1] = True
        assert covered.all()
