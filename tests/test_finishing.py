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


@given(
    box=st.tuples(st.integers(0, 60), st.integers(0, 40), st.integers(1, 20), st.integers(1, 20)),
    offset=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    blur=st.floats(0, 0.3),
    opacity=st.floats(0, 1),
)
def test_a_shadow_never_touches_what_is_opaque(
    box: tuple[int, int, int, int], offset: tuple[float, float], blur: float, opacity: float
) -> None:
    x, y, wide, high = box
    cut = square(box=(x, y, x + wide, y + high))
    found = add_shadow(cut, offset, blur, opacity, "navy")
    assert (np.array(found.alpha.shape) >= cut.alpha.shape).all()
    assert found.rgb.shape[:2] == found.alpha.shape
    assert 0 <= found.alpha.min() <= found.alpha.max() <= 1
    opaque = (found.alpha == 1) & (found.rgb == (200, 0, 0)).all(axis=2)
    assert opaque.sum() == wide * high
    edges = [found.alpha[0], found.alpha[-1], found.alpha[:, 0], found.alpha[:, -1]]
    assert min(x, y, 80 - x - wide, 60 - y - high) == 0 or max(edge.max() for edge in edges) < 0.1, "all of it is there"


@given(
    box=st.tuples(st.integers(0, 60), st.integers(0, 40), st.integers(1, 20), st.integers(1, 20)),
    width=st.floats(0.01, 1),
)
def test_an_outline_reaches_as_far_on_every_side(box: tuple[int, int, int, int], width: float) -> None:
    x, y, wide, high = box
    found = add_outline(square(box=(x, y, x + wide, y + high)), width, (0, 255, 0))
    x0, y0, x1, y1 = subject_box(found) or (0, 0, 0, 0)
    reach = max(1.0, width * max(wide, high))
    assert x1 - x0 - wide == pytest.approx(2 * reach, abs=2.1)
    assert y1 - y0 - high == pytest.approx(2 * reach, abs=2.1)
    assert ((found.rgb == (200, 0, 0)).all(axis=2) & (found.alpha == 1)).sum() == wide * high


def test_a_slanting_outline_is_no_stair() -> None:
    """Along an edge of any slope the outline's edge is where it should be, to a twentieth of a pixel in the mean."""
    rows, columns = np.mgrid[:120, :120] + 0.5
    for slope in (0.1, 0.35, 1.0):
        away = (columns - 60 - slope * (rows - 60)) / np.hypot(1, slope)  # pixels beyond the edge
        alpha = np.clip(0.5 - away, 0, 1).astype(np.float32)
        found = add_outline(CutOut(np.zeros((120, 120, 3), np.uint8), alpha), 8 / 120)
        inner = slice(20, 100), slice(20, 100)
        missed = (found.alpha[10:130, 10:130] - np.clip(8.5 - away, 0, 1))[inner]  # the canvas has grown by 10
        band = ((away > 6) & (away < 10))[inner]
        assert np.abs(missed[band]).mean() < 0.05


def test_a_veil_has_no_outline() -> None:
    veil = CutOut(np.zeros((20, 20, 3), np.uint8), np.full((20, 20), 0.3, np.float32))
    assert add_outline(veil).alpha.max() == np.float32(0.3)


def test_colours_by_name() -> None:
    assert (add_outline(square(), 0.2, "lime").rgb == (0, 255, 0)).all(axis=2).any()
    assert (add_shadow(square(), (0.5, 0), 0, 1, "#0000ff").rgb == (0, 0, 255)).all(axis=2).any()


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
        (lambda cut: add_shadow(cut, color="blurple"), "'blurple' is no colour"),
        (lambda cut: add_shadow(cut, color=(0, 0, 300)), "three integers in 0..255"),
        (lambda cut: add_outline(cut, 0), "wider than 0"),
        (lambda cut: add_outline(cut, color="#12"), "'#12' is no colour"),
        (lambda cut: add_outline(cut, color=(1, 2)), "three integers in 0..255"),
    ],
)
def test_settings_that_make_no_sense(call, sentence) -> None:
    with pytest.raises(ImageError, match=sentence):
        call(square())
