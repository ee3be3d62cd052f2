"""Run-length encoding against pycocotools."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from anymask import rle
from anymask.errors import FormatError
from anymask.placement import Region, tight

masks = arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)), fill=st.booleans())
few = settings(max_examples=60, deadline=None)


def reference(mask: np.ndarray) -> dict[str, Any]:
    packed = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": packed["size"], "counts": packed["counts"].decode()}


@few
@given(masks)
def test_there_and_back(mask: np.ndarray) -> None:
    runs = rle.encode(mask)
    packed = rle.compress(runs)
    assert packed == reference(mask)
    assert rle.compress(packed) == packed
    assert rle.counts(packed) == runs["counts"]
    for one in (runs, packed, {**packed, "counts": packed["counts"].encode()}):
        assert (rle.decode(one) == mask).all()
        assert rle.area(one) == mask.sum()
        expected = tight(mask)
        found = rle.region(one)
        assert found[:2] == expected[:2]
        assert (found.pixels == expected.pixels).all()


@few
@given(masks, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_a_region_of_a_larger_picture(mask: np.ndarray, left: int, top: int, right: int, bottom: int) -> None:
    whole = np.pad(mask, ((top, bottom), (left, right)))
    assert rle.encode(Region(left, top, mask), *whole.shape) == rle.encode(whole)
    region = tight(whole)
    assert rle.encode(region, *whole.shape) == rle.encode(whole)


def test_a_large_mask_of_long_runs() -> None:
    mask = np.zeros((3000, 2000), bool)
    mask[10:, 500:1500] = True
    assert rle.compress(rle.encode(mask)) == reference(mask)
    assert (rle.decode(reference(mask)) == mask).all()


@pytest.mark.parametrize("counts", [[3, 3], [10, -1], [], "04", [5, 5]])
def test_runs_that_do_not_fill_the_picture_are_refused(counts: list[int] | str) -> None:
    with pytest.raises(FormatError, match="add up to"):
        rle.decode({"size": [3, 3], "counts": counts})
