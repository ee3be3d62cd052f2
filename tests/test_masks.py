"""Masks against a plain full-size implementation, and what they answer on top of it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from anymask.errors import AnymaskError
from anymask.masks import Masks, Placement, non_maximum_suppression, stability
from anymask.prompts import Prompt

few = settings(max_examples=40, deadline=None)


def resize(logits: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear with half-pixel centres, `[N, h, w]`, one axis after the other, in float64."""
    for axis, target in ((1, height), (2, width)):
        source = logits.shape[axis]
        position = np.maximum((np.arange(target) + 0.5) * source / target - 0.5, 0)
        low = np.minimum(np.floor(position).astype(int), source - 1)
        shape = [1, 1, 1]
        shape[axis] = target
        share = np.minimum(position - low, 1).reshape(shape)
        near, far = logits.take(low, axis), logits.take(np.minimum(low + 1, source - 1), axis)
        logits = near * (1 - share) + far * share
    return logits


def naive(logits: np.ndarray, place: Placement) -> np.ndarray:
    """Logits over the whole picture, below zero outside of the crop."""
    x0, y0, x1, y1 = place.crop
    enlarged = resize(logits.astype(float), place.model_height, place.model_width)
    whole = np.full((len(logits), place.height, place.width), -1.0)
    whole[:, y0:y1, x0:x1] = resize(enlarged[:, : place.input_height, : place.input_width], y1 - y0, x1 - x0)
    return whole


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    height, width = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    side = draw(st.sampled_from([16, 64, 100]))
    if draw(st.booleans()):
        return Placement.stretch(height, width, side)
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    return Placement.letterbox(height, width, side, draw(st.sampled_from([None, (x0, y0, x1, y1)])))


cells = st.tuples(st.integers(0, 3), st.integers(1, 20), st.integers(1, 20))
maps = arrays.arrays(np.float32, cells, elements=st.floats(-8, 8, width=16), fill=st.just(-2.0))


@few
@given(maps, placements())
def test_masks_agree_with_the_plain_way(logits: np.ndarray, place: Placement) -> None:
    expected = naive(logits, place)
    x0, y0, x1, y1 = place.crop
    np.testing.assert_allclose(place.upscale(logits), expected[:, y0:y1, x0:x1], atol=2e-5)

    masks = Masks(logits, np.zeros(len(logits)), place)
    assert masks.array.shape == (len(logits), place.height, place.width)
    clear = np.abs(expected) > 1e-4  # where rounding decides, either is right
    assert ((masks.array == (expected > 0)) | ~clear).all()

    # What is made from windows is exactly what the whole array gives.
    assert (masks.areas == masks.array.sum(axis=(1, 2))).all()
    for i, whole in enumerate(masks.array):
        rows, columns = np.nonzero(whole)
        box = [columns.min(), rows.min(), columns.max(), rows.max()] if len(rows) else [0, 0, 0, 0]
        assert masks.boxes[i].tolist() == box
        assert masks.rles(compressed=False)[i]["counts"] == run_lengths(whole)


def run_lengths(mask: np.ndarray) -> list[int]:
    counts, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


@few
@given(maps, placements(), st.data())
def test_a_window_is_a_piece_of_the_whole(logits: np.ndarray, place: Placement, data: st.DataObject) -> None:
    left, top, right, bottom = place.crop
    x0, y0 = data.draw(st.integers(left, right - 1)), data.draw(st.integers(top, bottom - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, right)), data.draw(st.integers(y0 + 1, bottom))
    whole = place.upscale(logits)
    assert (place.upscale(logits, (x0, y0, x1, y1)) == whole[:, y0 - top : y1 - top, x0 - left : x1 - left]).all()


@pytest.mark.parametrize("crop", [None, (30, 40, 171, 200)])
def test_upscale_is_sams_postprocessing(crop: tuple[int, int, int, int] | None) -> None:
    torch = pytest.importorskip("torch")
    place = Placement.letterbox(300, 400, 512, crop)
    logits = np.random.default_rng(0).normal(size=(2, 128, 128)).astype(np.float32)
    resized = torch.nn.functional.interpolate(torch.from_numpy(logits)[None], (512, 512), mode="bilinear")
    valid = resized[..., : place.input_height, : place.input_width]
    size = (place.crop_height, place.crop_width)
    expected = torch.nn.functional.interpolate(valid, size, mode="bilinear")[0].numpy()
    np.testing.assert_allclose(place.upscale(logits), expected, atol=1e-4)


def test_letterbox_and_to_input_are_sams() -> None:
    place = Placement.letterbox(768, 1024, 512)
    assert (place.input_height, place.input_width) == (384, 512)
    assert place.crop == (0, 0, 1024, 768)
    place = Placement.letterbox(1001, 333, 1024)
    assert (place.input_height, place.input_width) == (1024, 341)  # int(333 * 1024 / 1001 + 0.5)
    place = Placement.letterbox(200, 400, 100, (100, 50, 300, 150))
    assert place.to_input(np.array([[100, 50], [300, 150], [200, 100]])).tolist() == [[0, 0], [100, 50], [50, 25]]
    assert Placement.letterbox(1, 1000, 64).input_height == 1
    assert Placement.stretch(200, 400, 320).to_input(np.array([400, 200])).tolist() == [320, 320]


def test_valid_logits_are_those_on_the_picture() -> None:
    logits = np.zeros((3, 16, 16))
    assert Placement.letterbox(50, 100, 64).valid(logits).shape == (3, 8, 16)
    assert Placement.letterbox(100, 51, 64).valid(logits).shape == (
        3,
        16,
        9,
    )  # 33 of 64 pixels reach into the ninth cell
    assert Placement.stretch(50, 100, 64).valid(logits).shape == (3, 16, 16)


def some(count: int = 4, **options: Any) -> Masks:
    logits = np.full((count, 16, 16), -5, np.float32)
    for i in range(count):
        logits[i, 2 : 4 + i, 3 : 6 + i] = 5
    return Masks(logits, np.linspace(0.5, 0.9, count), Placement.letterbox(64, 48, 64), **options)


def test_indexing() -> None:
    prompts = [Prompt(points=[(i, i)]) for i in range(4)]
    masks = some(extra={"stability_score": np.arange(4) / 10}, prompts=prompts)
    assert len(masks) == 4
    for index in (slice(1, 3), [1, 2], np.array([1, 2]), np.array([False, True, True, False])):
        part = masks[index]
        assert len(part) == 2
        assert (part.array == masks.array[1:3]).all()
        assert part.scores.tolist() == masks.scores[1:3].tolist()
        assert part.extra["stability_score"].tolist() == [0.1, 0.2]
        assert part.prompts == tuple(prompts[1:3])
    assert len(masks[-1]) == 1
    assert (masks[-1].logits == masks.logits[3:]).all()
    assert (masks.best.array == masks.array[3:]).all()
    assert [len(mask) for mask in masks] == [1, 1, 1, 1]
    assert [mask.areas[0] for mask in masks] == masks.areas.tolist()
    with pytest.raises(IndexError):
        masks[4]
    assert repr(masks) == "Masks(4 on 48 x 64 pixels, scores [0.50, 0.63, 0.77, 0.90])"


def test_no_masks_still_know_the_picture() -> None:
    for none in (some(0), some()[[]], some()[np.zeros(4, bool)], Masks.concatenate([some(0), some(0)])):
        assert len(none) == 0
        assert none.array.shape == (0, 64, 48)
        assert none.boxes.shape == (0, 4)
        assert none.areas.shape == (0,)
        assert none.rles() == []
        assert none.polygons() == []
        assert list(none) == []
        assert (none.height, none.width) == (64, 48)
        with pytest.raises(AnymaskError, match="no best mask"):
            _ = none.best


def test_concatenate() -> None:
    crop = Placement.letterbox(64, 48, 64, (10, 10, 30, 30))
    a = some(2, extra={"x": np.arange(2), "y": np.arange(2)}, prompts=Prompt(points=[(1, 1)]))
    b = Masks(some(1).logits, np.ones(1), crop, extra={"x": np.array([7])})
    both = Masks.concatenate([a, some(0, extra={"x": np.zeros(0, int)}), b])
    assert len(both) == 3
    assert (both.array == np.concatenate([a.array, b.array])).all()
    assert both.extra["x"].tolist() == [0, 1, 7]
    assert list(both.extra) == ["x"]
    assert both.prompts == (*a.prompts, None)
    other = Masks(some(1).logits, np.ones(1), Placement.letterbox(64, 49, 64))
    for parts in ([], [a, other]):
        with pytest.raises(AnymaskError, match="put together"):
            Masks.concatenate(parts)


def test_an_rle_takes_the_place_of_logits() -> None:
    plain = some(2)
    cleaned = np.zeros((64, 48), bool)
    cleaned[5:7, 11:20] = True
    rle = Masks(plain.logits[:1], np.ones(1), plain.placements[0]).rles()[0]
    masks = some(2, rles=[{"size": [64, 48], "counts": run_lengths(cleaned)}, None])
    assert (masks.array[0] == cleaned).all()
    assert (masks.array[1] == plain.array[1]).all()
    assert masks.areas.tolist() == [18, plain.areas[1]]
    assert masks.boxes[0].tolist() == [11, 5, 19, 6]
    assert masks.rles()[1] == plain.rles()[1]
    assert masks.rles()[0] != rle
    assert masks.best.areas[0] == plain.areas[1]
    assert (masks.logits == plain.logits).all()


def test_wrong_shapes_are_refused() -> None:
    for logits, scores in [(np.zeros((2, 4)), np.zeros(2)), (np.zeros((2, 4, 4)), np.zeros(3))]:
        with pytest.raises(AnymaskError, match="Masks need logits"):
            Masks(logits, scores, Placement.stretch(4, 4, 4))


def test_stability_is_sams() -> None:
    logits = np.array([[[-2, -0.5, 0.5, 1.5], [2, 3, -4, 1]], [[5, 5, 5, 5]] * 2, [[-5, -5, -5, -5]] * 2])
    assert stability(logits).tolist() == [np.float32(3 / 6), 1, 0]
    assert stability(logits[0], threshold=1, offset=0.6).tolist() == np.float32(2 / 5)


@few
@given(st.integers(0, 30), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_non_maximum_suppression(count: int, seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 12, (count, 2, 2))
    boxes = np.sort(corners, axis=1).reshape(-1, 4).astype(np.float32)
    scores = rng.integers(0, 5, count) / 4  # with ties

    def iou(a: np.ndarray, b: np.ndarray) -> float:
        inner = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
        outer = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inner
        return inner / outer if outer else 0.0

    expected: list[int] = []
    for i in sorted(range(count), key=lambda i: (-scores[i], i)):
        if all(iou(boxes[i], boxes[j]) <= threshold for j in expected):
            expected.append(i)
    assert non_maximum_suppression(boxes, scores, threshold).tolist() == expected
