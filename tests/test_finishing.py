"""Crops, canvases, shadows and outlines of cut-outs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anymask.compositing import CutOut
from anymask.errors import ImageError
from anymask.finishing import add_outline, add_shadow, crop_to_subject, pad_to_ratio, subject_box


def square(height: int = 60, width: int = 80, box: tuple[int, int, int, int] = (20, 10, 50, 40)) -> CutOut:
    """A red square, opaque, on nothing."""
    rgb, alpha = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.float32)
    x0, y0, x1, y1 = box
    rgb[y0:y1, x0:x1], alpha[y0:y1, x0:x1] = (200, 0, 0), 1
    return CutOut(rgb, alpha, b"profile", (300.0, 300.0))


EMPTY = CutOut(np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.float32))


@given(
    x=st.integers(0, 50),
    y=st.integers(0, 40),
    wide=st.integers(1, 30),
    high=st.integers(1, 20),
    margin=st.floats(0, 1),
)
def test_a_crop_is_the_subject_and_its_margin(x: int, y: int, wide: int, high: int, margin: float) -> None:
    cut = square(box=(x, y, x + wide, y + high))
    found = crop_to_subject(cut, margin)
    extra = round(margin * max(wide, high))
    assert found.alpha.shape == (high + 2 * extra, wide + 2 * extra)
    assert subject_box(found) == (extra, extra, extra + wide, extra + high)
    assert found.alpha.sum() == cut.alpha.sum()


@given(width=st.floats(0.2, 5), height=st.floats(0.2, 5))
def test_a_padded_canvas_has_its_shape_and_the_picture_in_its_middle(width: float, height: float) -> None:
    cut = square()
    found = pad_to_ratio(cut, width, height)
    rows, columns = found.alpha.shape
    assert abs(columns - rows * width / height) <= max(1, width / height)
    assert rows == 60 or columns == 80, "no larger than need be"
    x0, y0, _, _ = subject_box(found) or (-1, -1, 0, 0)
    assert (x0, y0) == (20 + (columns - 80) // 2, 10 + (rows - 60) // 2)


def test_a_shadow_falls_where_it_is_told_and_under_the_subject() -> None:
    found = add_shadow(square(), offset=(0.5, 0.0), blur=0, opacity=0.5, color=(0, 0, 255))
    x0, y0, x1, y1 = 20, 10, 50, 40
    assert (found.alpha[y0:y1, x0:x1] == 1).all() and (found.rgb[y0:y1, x0:x1] == (200, 0, 0)).all()
    assert np.allclose(found.alpha[y0:y1, x1 : x1 + 15], 0.5) and (found.rgb[y0:y1, x1 : x1 + 15] == (0, 0, 255)).all()
    assert found.alpha.sum() == pytest.approx(900 + 0.5 * 15 * 30)


def test_a_soft_shadow_grows_the_canvas_and_loses_nothing() -> None:
    cut = square(box=(40, 20, 80, 60))
    found = add_shadow(cut, offset=(0.1, 0.1), blur=0.2, opacity=1)
    assert found.alpha.shape > cut.alpha.shape
    edge = np.concatenate([found.alpha[-1], found.alpha[:, -1]])
    assert edge.max() < 0.01, "it fades before the canvas ends"
    assert found.alpha.max() <= 1
    assert (found.icc_profile, found.dpi) == (cut.icc_profile, cut.dpi)


def test_where_shadow_and_subject_mix_colours_mix_by_their_shares() -> None:
    cut = square()
    cut.alpha[10:40, 20:50] = 0.5
    found = add_shadow(cut, offset=(0, 0), blur=0, opacity=1, color=(0, 0, 0))
    inside = found.alpha[12:38, 22:48]
    assert np.allclose(inside, 0.5 + 0.5 * 0.5)
    assert np.abs(found.rgb[12:38, 22:48, 0].astype(float) - 200 * 0.5 / 0.75).max() <= 1


def test_an_outline_is_as_wide_as_told_and_outside_only() -> None:
    found = add_outline(square(box=(0, 10, 40, 50)), width=0.1, color=(255, 255, 255))
    x0, y0, x1, y1 = subject_box(found) or (0, 0, 0, 0)
    assert x1 - x0 == pytest.approx(40 + 2 * 4, abs=2) and y1 - y0 == pytest.approx(40 + 2 * 4, abs=2)
    middle = (y0 + y1) // 2
    assert (found.rgb[middle, x0 + 2] == 255).all() and found.alpha[middle, x0 + 2] == 1
    assert (found.rgb[middle, (x0 + x1) // 2] == (200, 0, 0)).all()


def test_without_a_subject_nothing_happens() -> None:
    assert crop_to_subject(EMPTY, 0.5) is EMPTY
    assert add_shadow(EMPTY) is EMPTY
    assert add_outline(EMPTY) is EMPTY
    assert pad_to_ratio(EMPTY, 1, 1).alpha.shape == (30, 30)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda cut: crop_to_subject(cut, -0.1), "margin must be 0 or more"),
        (lambda cut: pad_to_ratio(cut, 0, 1), "two sides above 0, not 0:1"),
        (lambda cut: add_shadow(cut, blur=-1), "blur of 0 or more"),
        (lambda cut: add_shadow(cut, opacity=2), "opacity of 0 to 1"),
        (lambda cut: add_outline(cut, 0), "wider than 0"),
    ],
)
def test_settings_that_make_no_sense(call, sentence) -> None:
    with pytest.raises(ImageError, match=sentence):
        call(square())
