"""Edges out of masks and the benchmark of boundaries, on pictures whose truth is known."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("scipy", reason="the benchmark needs the evaluate extra")

from commandline import ran
from PIL import Image

from anymask import Masks
from anymask.errors import FormatError, MissingExtraError
from anymask.evaluation.boundaries import (
    Counts,
    compare,
    label_boundaries,
    read_boundaries,
    summarise,
    thin,
    thresholds,
)
from anymask.evaluation.edges import PAPER, EdgeOptions, canny_map, edge_map, evaluate_edges, outlines, ridges
from anymask.placement import Placement

SHAPE = 240, 320  # its diagonal is 400 pixels: the tolerance is 3
HALF = np.array([0.5])


def disc(radius: float, x: float = 160, y: float = 120) -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    return np.asarray(np.hypot(rows - y, columns - x) < radius)


def column(x: int) -> np.ndarray:
    line = np.zeros(SHAPE, bool)
    line[:, x] = True
    return line


def components(mask: np.ndarray, connectivity: int = 8) -> int:
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=connectivity)[0]


def test_thinning_leaves_lines_a_pixel_wide() -> None:
    bar = np.zeros((40, 60), bool)
    bar[18:23, 10:50] = True
    line = thin(bar)
    assert set(line.sum(axis=0)) == {0, 1} and 34 <= line.sum() <= 40
    assert not line[~bar].any() and np.flatnonzero(line.any(axis=1)).tolist() == [20]
    np.testing.assert_array_equal(thin(line), line)
    assert not thin(np.zeros((5, 5), bool)).any()


def test_thinning_keeps_what_is_joined_and_what_is_apart() -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(0).standard_normal((200, 200)), (0, 0), 3)
    blobs = noise > 0.05
    lines = thin(blobs)
    assert components(lines) == components(blobs) > 10
    ring = disc(60) & ~disc(50)
    assert components(~thin(ring), 4) == components(~ring, 4) == 3, "the hole stays a hole"


def test_boundaries_lie_between_labels() -> None:
    labels = np.ones((10, 12), np.uint16)
    labels[:, 7:] = 2
    boundary = label_boundaries(labels)
    assert np.flatnonzero(boundary.any(axis=0)).tolist() == [6] and boundary[:, 6].all()
    assert not label_boundaries(np.ones((10, 12), np.uint16)).any()
    assert label_boundaries(disc(50).astype(np.uint16)).sum() == pytest.approx(2 * np.pi * 50, rel=0.15)


def test_pixels_match_within_the_tolerance_and_one_to_one() -> None:
    def counts(found: np.ndarray, *true: np.ndarray) -> list[int]:
        return [int(column[0]) for column in vars(compare(found.astype(float), true, HALF)).values()]

    height = SHAPE[0]
    assert counts(column(100), column(100)) == [height, height, height, height]
    assert counts(column(100), column(103)) == [height, height, height, height]
    assert counts(column(100), column(104)) == [0, height, 0, height]
    assert counts(column(100) | column(102), column(101)) == [height, height, height, 2 * height]
    assert counts(column(100), column(100), column(200)) == [height, 2 * height, height, height]
    assert counts(column(100), column(100), column(102)) == [2 * height, 2 * height, height, height]
    assert counts(np.zeros(SHAPE, bool), column(100)) == [0, height, 0, 0]
    assert counts(column(100), np.zeros(SHAPE, bool)) == [0, 0, 0, height]


def test_the_matching_is_as_large_as_can_be() -> None:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching
    from scipy.spatial.distance import cdist

    rng = np.random.default_rng(1)
    for share in (0.02, 0.1, 0.3):
        found, true = thin(rng.random((60, 80)) < share), rng.random((60, 80)) < 0.05
        reach = 0.0075 * 100 * 1.0001
        near = csr_matrix(cdist(np.argwhere(found), np.argwhere(true)) <= reach)
        most = int((maximum_bipartite_matching(near, perm_type="column") >= 0).sum())
        counts = compare(found.astype(float), [true], HALF)
        assert counts.recalled[0] == counts.right[0] == most > 0


def test_the_figures_of_a_set() -> None:
    levels = thresholds(3)
    np.testing.assert_allclose(levels, [0.25, 0.5, 0.75])
    one = Counts(*np.array([[90, 80, 10], [100, 100, 100], [90, 80, 10], [300, 100, 10]]))
    two = Counts(*np.array([[100, 40, 20], [100, 100, 100], [100, 40, 20], [100, 40, 20]]))
    scores = summarise([one, two], levels)
    np.testing.assert_allclose(scores.precision, [190 / 400, 120 / 140, 1])
    np.testing.assert_allclose(scores.recall, [0.95, 0.6, 0.15])
    assert scores.pictures == (pytest.approx(0.8), 1.0)
    assert scores.ois == pytest.approx(0.9)
    at_half = 2 * (120 / 140) * 0.6 / (120 / 140 + 0.6)
    assert at_half <= scores.ods < 0.75 and 0.25 < scores.threshold <= 0.5
    whole = summarise([one], levels).ap
    steps = np.linspace(0, 1, 101)
    expected = np.interp(steps, [0.1, 0.8, 0.9], [1, 0.8, 0.3], left=0, right=0).sum() / 100
    assert whole == pytest.approx(expected)
    nothing = Counts(*np.zeros((4, 3), int))
    assert summarise([nothing], levels).ods == summarise([nothing], levels).ap == 0


def masks(*drawn: np.ndarray, scores: tuple[float, ...] = ()) -> Masks:
    """Masks whose probability falls from one to nothing within a few pixels."""
    logits = []
    for mask in drawn:
        inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
        outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
        logits.append(np.clip(inside - outside, -6, 6))
    placement = Placement(*SHAPE, *SHAPE, *SHAPE)
    return Masks(np.array(logits, np.float32), np.array(scores or (1.0,) * len(drawn)), placement)


def test_edges_run_along_the_outside_of_masks() -> None:
    edges = outlines(masks(disc(60)))
    assert edges.shape == SHAPE and edges.dtype == np.float32
    rows, columns = np.nonzero(edges)
    radii = np.hypot(rows - 119.5, columns - 159.5)
    assert radii.min() >= 59 and radii.max() <= 63
    assert 0.1 < edges.max() < 0.5
    np.testing.assert_array_equal(outlines(masks(disc(60))[:0]), np.zeros(SHAPE))


def test_the_largest_value_counts_and_scores_where_wanted() -> None:
    both = masks(disc(60), disc(30), scores=(0.5, 1.0))
    apart = [outlines(one) for one in both]
    np.testing.assert_allclose(outlines(both), np.maximum(*apart), atol=1e-6)
    np.testing.assert_allclose(outlines(both, weigh=True), np.maximum(apart[0] / 2, apart[1]), atol=1e-6)


def test_a_boundary_counts_for_more_the_more_masks_agree_on_it() -> None:
    thrice = masks(disc(60), disc(60), disc(60), disc(30))
    large, small = outlines(masks(disc(60))), outlines(masks(disc(30)))
    np.testing.assert_allclose(outlines(thrice, agreement=0.5), np.sqrt(3 * large + small), atol=1e-6)
    weighed = masks(disc(60), disc(30), scores=(0.5, 1.0))
    np.testing.assert_allclose(outlines(weighed, True, 1.0), large / 2 + small, atol=1e-6)
    found = {options.agreement: edge_map(KnownMasks(thrice), options) for options in (EdgeOptions(), PAPER)}  # type: ignore[arg-type]
    inner = np.hypot(*(np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5 - np.array([120, 160])[:, None, None])) < 45
    assert found[0.3][inner].max() < 0.8 * found[0.3].max()
    assert found[0.0][inner].max() > 0.9 * found[0.0].max()


def test_the_pictures_own_edge_is_no_boundary() -> None:
    left = np.zeros(SHAPE, bool)
    left[:, :100] = True
    found = ridges(outlines(masks(left)))
    assert found[10:-10, 99:102].max(axis=1).min() > 0.9
    found[:, 98:103] = 0
    assert not found.any()
    almost = np.ones(SHAPE, bool)
    almost[-1] = False
    assert outlines(masks(almost))[-1].max() > 0.1, "a mask that ends a row early"
    assert not ridges(outlines(masks(almost)), 0).any()


@pytest.mark.parametrize("angle", [0, 20, 45, 90, 110, 160])
def test_ridges_are_thin_at_every_angle(angle: float) -> None:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    direction = np.radians(angle)
    distance = (columns - 160) * np.sin(direction) - (rows - 120) * np.cos(direction)
    found = ridges(0.2 * np.exp(-(distance**2) / 18), 0)
    middle = np.hypot(columns - 160, rows - 120) < 80
    assert np.abs(distance[(found > 0.05) & middle]).max() <= 1
    assert found.max() == pytest.approx(1, abs=0.01)
    assert 150 * max(abs(np.cos(direction)), abs(np.sin(direction))) < np.count_nonzero(found[middle] > 0.05) < 330


def test_canny_is_soft_and_strongest_where_the_step_is_highest() -> None:
    picture = np.zeros((*SHAPE, 3), np.uint8)
    picture[:, 100:] = 60
    picture[:, 200:] = 255
    levels = thresholds(33)
    edges = canny_map(picture, levels)
    low, high = edges[20:-20, 97:104].max(axis=1), edges[20:-20, 197:204].max(axis=1)
    assert np.sqrt(60 / 255) == pytest.approx(low.min(), abs=0.06)
    assert np.sqrt(195 / 255) == pytest.approx(high.min(), abs=0.06)
    assert np.count_nonzero(edges) < 2.2 * SHAPE[0]


class KnownMasks:
    """A segmenter and its encoded picture: for every picture the same masks."""

    name = "known"

    def __init__(self, found: Masks) -> None:
        self.found = found
        self.asked: dict[str, object] = {}

    def encode(self, rgb: np.ndarray) -> "KnownMasks":
        return self

    def everything(self, **options: object) -> Masks:
        self.asked = options
        return self.found


def labelled(folder: Path, name: str, *labels: np.ndarray) -> None:
    picture = np.repeat((labels[0] * 90)[..., None], 3, axis=2).astype(np.uint8)
    Image.fromarray(picture).save(folder / f"{name}.png")
    np.savez_compressed(folder / f"{name}.npz", segmentations=np.array(labels, np.uint16))


def test_perfect_masks(tmp_path: Path) -> None:
    labelled(tmp_path, "a", 1 + disc(60), 1 + disc(61))
    seen: list[tuple[int, int]] = []
    known = KnownMasks(masks(disc(60), disc(2, 40, 40)))
    result = evaluate_edges(tmp_path, known, on_progress=lambda *at: seen.append(at))  # type: ignore[arg-type]
    assert result.scores.ods > 0.9 and result.scores.ois > 0.9
    assert result.canny is not None and result.canny.ods > 0.95
    assert seen == [(0, 1), (1, 1)]
    assert known.asked == {
        "points_per_side": 16, "pred_iou_thresh": 0, "stability_score_thresh": 0, "box_nms_thresh": 0.9,
    }  # fmt: skip
    figures = json.loads(json.dumps(result.to_dict()))
    assert figures["edges"]["ods"] == result.scores.ods and figures["pictures"][0]["f"] > 0.9


def test_masks_of_something_else(tmp_path: Path) -> None:
    for name in "abc":
        labelled(tmp_path, name, 1 + disc(60))
    options = EdgeOptions(points_per_side=8, min_score=0.5, min_stability=0.4, overlap=0.9)
    known = KnownMasks(masks(disc(20)))
    result = evaluate_edges(tmp_path, known, options=options, canny=False, limit=2)  # type: ignore[arg-type]
    assert result.scores.ods == 0 and result.canny is None and len(result.pictures) == 2
    assert list(known.asked.values()) == [8, 0.5, 0.4, 0.9]
    nothing = KnownMasks(masks(disc(20))[:0])
    assert not edge_map(nothing).any()  # type: ignore[arg-type]


def test_folders_that_are_no_such_data_set(tmp_path: Path) -> None:
    known = KnownMasks(masks(disc(20)))

    def refused(match: str) -> None:
        with pytest.raises(FormatError, match=match):
            evaluate_edges(tmp_path, known, canny=False)  # type: ignore[arg-type]

    refused("no pictures with segmentations")
    labelled(tmp_path, "a", np.ones((30, 40), int))
    refused("of another size")
    np.savez(tmp_path / "a.npz", labels=np.ones((1, 30, 40), np.uint16))
    refused("holds no segmentations")
    np.savez(tmp_path / "a.npz", segmentations=np.ones((30, 40)))
    refused("whole numbers")
    (tmp_path / "a.npz").write_bytes(b"nothing of the kind")
    refused("holds no segmentations")
    with pytest.raises(FormatError, match="holds no segmentations"):
        read_boundaries(tmp_path / "nowhere.npz")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.sparse.csgraph", None)
    with pytest.raises(MissingExtraError, match="evaluate extra"):
        compare(column(3).astype(float), [column(3)], HALF)


@pytest.mark.slow
def test_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, radius in (("a", 60), ("b", 90)):
        labelled(tmp_path, name, 1 + disc(radius))
    out, figures = tmp_path / "out", tmp_path / "x.json"
    done = ran(capsys, "evaluate", tmp_path, "--task", "edges", "--weigh", "--plots", out, "--json", figures)
    assert done.code == 0, done.err
    assert "ODS" in done.out and "Canny" in done.out and "2 pictures" in done.err
    assert 0 < json.loads(figures.read_text())["edges"]["ods"] <= 1
    for name in ("edges.png", "boundaries.png"):
        with Image.open(out / name) as image:
            assert min(image.size) > 300
