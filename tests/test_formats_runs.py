"""Runs of RLEs as arrays, held against masks made pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from anymask import polygons, rle
from anymask.errors import FormatError
from anymask.formats import runs
from anymask.formats.bridges import one_ring
from anymask.placement import tight

sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))
masks = sizes.flatmap(lambda size: arrays.arrays(bool, size))


def toggles(mask: np.ndarray) -> np.ndarray:
    return runs.toggles(rle.encode(mask), *mask.shape)


def decoded(places: np.ndarray, height: int, width: int) -> np.ndarray:
    return rle.decode(runs.encode(places, height, width))


@given(masks)
def test_there_and_back(mask: np.ndarray) -> None:
    listed, packed = rle.encode(mask), rle.compress(rle.encode(mask))
    height, width = mask.shape
    assert (toggles(mask) == runs.toggles(packed, height, width)).all()
    assert runs.encode(toggles(mask), height, width) == packed
    assert rle.counts(packed) == rle.counts(listed)


@given(masks)
def test_area_and_box(mask: np.ndarray) -> None:
    area, (x, y, width, height) = runs.measure(toggles(mask), len(mask))
    region = tight(mask)
    assert area == mask.sum()
    if area:
        assert (x, y, width, height) == (region.x, region.y, *region.pixels.shape[::-1])
    else:
        assert (x, y, width, height) == (0, 0, 0, 0)


@given(sizes.flatmap(lambda size: st.lists(arrays.arrays(bool, size), min_size=1, max_size=4)))
def test_union(several: list[np.ndarray]) -> None:
    found = runs.union([toggles(mask) for mask in several])
    assert (decoded(found, *several[0].shape) == np.any(several, axis=0)).all()


@given(sizes.flatmap(lambda size: arrays.arrays(np.uint16, size, elements=st.integers(0, 4))))
def test_label_pictures(values: np.ndarray) -> None:
    found = runs.by_value(values)
    assert set(found) == set(np.unique(values).tolist()) - {0}
    for value, places in found.items():
        assert (decoded(places, *values.shape) == (values == value)).all()


@given(masks)
def test_outlines_fill_to_their_mask_even_as_one_ring(mask: np.ndarray) -> None:
    pieces = polygons.trace(tight(mask), 0)
    if pieces:
        assert (runs.fill([ring for rings in pieces for ring in rings], *mask.shape) == toggles(mask)).all()
        assert (runs.fill([one_ring(pieces)], *mask.shape) == toggles(mask)).all()


def test_what_lies_off_the_picture_is_cut_off() -> None:
    square = np.array([[-5, -3], [7, -3], [7, 4], [-5, 4]])
    found = decoded(runs.fill([square], 6, 9), 6, 9)
    assert found[:4, :7].all()
    assert found.sum() == 28


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (None, "must be an RLE"),
        ({"size": [4, 6]}, "must be an RLE"),
        ({"size": [6, 4], "counts": [24]}, r"size is \[6, 4\], but the picture's is \[4, 6\]"),
        ({"size": [4, 6], "counts": [23]}, "do not add up"),
        ({"size": [4, 6], "counts": [10, -2, 16]}, "list of whole numbers"),
        ({"size": [4, 6], "counts": [2.5, 21.5]}, "list of whole numbers"),
        ({"size": [4, 6], "counts": ""}, "do not add up"),
        ({"size": [4, 6], "counts": "ü"}, "characters that do not belong"),
        ({"size": [4, 6], "counts": "P"}, "characters that do not belong"),
        ({"size": [4, 6], "counts": "P" * 1000 + "0"}, "a run is too long"),
        ({"size": [4, 6], "counts": "\x7f~"}, "characters that do not belong"),
    ],
)
def test_damaged_rles(one: object, sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        runs.toggles(one, 4, 6)


@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=40))
def test_any_text_is_an_rle_or_refused(text: str) -> None:
    try:
        places = runs.toggles({"size": [5, 7], "counts": text}, 5, 7)
    except FormatError:
        return
    assert (decoded(places, 5, 7) == rle.decode({"size": [5, 7], "counts": text})).all()


def test_outlines_that_cannot_be() -> None:
    for ring in ([[0, 0], [np.nan, 1], [2, 2]], [[0, 0], [np.inf, 1], [2, 2]], [[0, 0], [1e300, 1], [2, 2]]):
        with pytest.raises(FormatError, match="finite"):
            runs.fill([np.array(ring)], 10, 10)
    back_and_forth = np.tile([[0.0, 0.0], [1e6, 3.0]], (50, 1))
    with pytest.raises(FormatError, match="too intricate"):
        runs.fill([back_and_forth], 10, 1_000_000)
