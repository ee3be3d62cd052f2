"""Mattes brought to the picture's size, against composites whose alpha is known."""

import cv2
import numpy as np
import pytest
from composites import Composite, bilinear, blob, compose, hair, reduced, veil
from hypothesis import given, settings
from hypothesis import strategies as st

from anymask import tiles
from anymask.refine import refine_matte, resize, without_specks


def sad(matte: np.ndarray, alpha: np.ndarray) -> float:
    return float(np.abs(matte - alpha).sum())


def mse(matte: np.ndarray, alpha: np.ndarray) -> float:
    return float(((matte - alpha) ** 2).mean())


@pytest.mark.parametrize(("alpha", "factor"), [(blob(), 8), (blob(), 4), (hair(), 8), (hair(), 4)])
def test_edges_follow_the_picture(alpha: np.ndarray, factor: int) -> None:
    scene, matte = compose(alpha), reduced(alpha, factor)
    refined, plain = refine_matte(matte, scene.picture), bilinear(matte, alpha)
    assert sad(refined, alpha) < 0.5 * sad(plain, alpha)
    assert mse(refined, alpha) < 0.3 * mse(plain, alpha)


def test_a_grey_picture_guides_as_well() -> None:
    alpha = blob()
    grey = np.repeat(compose(alpha).picture[..., :1], 3, axis=2)
    matte = reduced(alpha)
    assert sad(refine_matte(matte, grey), alpha) < 0.4 * sad(bilinear(matte, alpha), alpha)


def test_a_wrong_edge_is_moved_to_the_right_place() -> None:
    alpha = blob()
    matte = reduced(np.roll(alpha, 5, axis=1))  # more than half a cell off
    refined = refine_matte(matte, compose(alpha).picture)
    assert sad(refined, alpha) < 0.25 * sad(bilinear(matte, alpha), alpha)


def test_no_halo_and_no_holes_away_from_the_edge() -> None:
    alpha = blob()
    matte = reduced(alpha)
    refined = refine_matte(matte, compose(alpha).picture)
    certain = bilinear(matte, alpha)
    assert np.all(refined[certain == 1] == 1)
    assert np.all(refined[certain == 0] == 0)
    assert np.count_nonzero((refined > 0) & (refined < 1)) < 0.4 * np.count_nonzero((certain > 0) & (certain < 1))


def test_what_is_translucent_stays_so() -> None:
    alpha = veil(0.5)
    refined = refine_matte(reduced(alpha), compose(alpha).picture)
    inside = refined[alpha == 0.5]
    assert abs(float(inside.mean()) - 0.5) < 0.03
    assert np.mean((inside > 0.3) & (inside < 0.7)) > 0.98


def test_without_colours_to_follow_the_edge_stays_where_it_was() -> None:
    alpha = blob()
    matte = reduced(alpha)
    flat = np.full((*alpha.shape, 3), 90, np.uint8)
    refined, plain = refine_matte(matte, flat), bilinear(matte, alpha)
    assert np.count_nonzero((refined > 0.5) != (plain > 0.5)) < 0.002 * alpha.size
    assert sad(refined, alpha) < sad(plain, alpha)  # the ramp of the coarse grid got steeper


def test_a_true_matte_of_the_pictures_size_stays() -> None:
    alpha = blob()
    refined = refine_matte(0.02 + 0.96 * alpha, compose(alpha).picture)
    assert np.abs(refined - alpha).max() < 0.15
    assert sad(refined, alpha) < 0.002 * alpha.sum()
    assert np.all(refined[alpha == 0] == 0)
    assert np.all(refined[alpha == 1] == 1)


def test_a_blurred_matte_of_the_pictures_size_is_sharpened_by_the_picture() -> None:
    alpha = hair()
    blurred = cv2.GaussianBlur(alpha, (0, 0), 1.5)
    assert sad(refine_matte(blurred, compose(alpha).picture), alpha) < 0.5 * sad(blurred, alpha)


def test_a_larger_matte_is_only_reduced() -> None:
    alpha = hair()
    large = resize(alpha, (2 * alpha.shape[0], 2 * alpha.shape[1]))
    assert np.abs(refine_matte(large, compose(alpha).picture) - alpha).max() < 0.2


@pytest.mark.parametrize(("deviation", "factor", "most"), [(8, 4, 0.035), (8, 2, 0.01), (14, 8, 0.045), (14, 4, 0.013)])
def test_an_edge_out_of_focus_stays_soft(deviation: float, factor: int, most: float) -> None:
    alpha = cv2.GaussianBlur(blob(), (0, 0), deviation)
    refined = refine_matte(reduced(alpha, factor), compose(alpha).picture)
    band = (alpha > 0.02) & (alpha < 0.98)
    assert np.abs(refined - alpha)[band].mean() < most


@pytest.mark.parametrize("side", [64, 100, 1024])
def test_tiles_leave_no_seams(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scene: Composite = compose(hair())
    matte = reduced(scene.alpha)
    expected = refine_matte(matte, scene.picture)
    monkeypatch.setattr(tiles, "SIDE", side)
    np.testing.assert_allclose(refine_matte(matte, scene.picture), expected, atol=0.01)


@pytest.mark.parametrize(
    ("shape", "grid"),
    [((1, 1), (1, 1)), ((1, 5000), (1, 128)), ((5000, 1), (320, 320)), ((3, 700), (128, 128)), ((7, 9), (96, 128))],
)
def test_pictures_of_every_shape(shape: tuple[int, int], grid: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (*shape, 3), np.uint8)
    refined = refine_matte(random.random(grid, np.float32), picture)
    assert refined.shape == shape
    assert refined.dtype == np.float32
    assert refined.min() >= 0
    assert refined.max() <= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 24), st.integers(1, 24), st.booleans())
def test_a_certain_matte_stays_certain(height: int, width: int, rows: int, columns: int, subject: bool) -> None:
    picture = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    matte = np.full((rows, columns), 0.99 if subject else 0.01, np.float32)
    assert np.all(refine_matte(matte, picture) == subject)


@pytest.mark.slow
def test_twenty_megapixels() -> None:
    alpha = blob()
    large = resize(alpha, (3648, 5472))
    picture = resize(compose(alpha).picture, large.shape)
    matte = reduced(alpha, 4)
    assert sad(refine_matte(matte, picture), large) < 0.4 * sad(resize(bilinear(matte, alpha), large.shape), large)


def test_resize_is_bilinear_with_half_pixel_centres_and_averages_areas() -> None:
    row = np.array([[0, 1]], np.float32)
    np.testing.assert_allclose(resize(row, (1, 4)), [[0, 0.25, 0.75, 1]])
    np.testing.assert_allclose(resize(np.array([[0, 1, 1, 1]], np.float32), (1, 2)), [[0.5, 1]])


def test_specks_go_and_several_subjects_stay() -> None:
    matte = np.zeros((60, 80), np.float32)
    matte[5:45, 5:35] = 1
    matte[20:40, 45:60] = 0.8  # a fifth of the first
    matte[50:53, 70:74] = 0.9  # one in a hundred
    cleaned = without_specks(matte)
    assert (cleaned[:46, :61] == matte[:46, :61]).all()
    assert (cleaned[46:] == 0).all()
    assert (without_specks(np.zeros((3, 4), np.float32)) == 0).all()
