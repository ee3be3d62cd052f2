"""Foreground colours, against composites whose foreground is known."""

import cv2
import numpy as np
import pytest
from composites import blob, compose, hair, veil
from hypothesis import given, settings
from hypothesis import strategies as st

from anymask import tiles
from anymask.foreground import GUARD, estimate_foreground


def error(colours: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    return float(np.abs(colours.astype(np.float32) - truth)[where].mean())


@pytest.mark.parametrize(("alpha", "share"), [(blob(), 0.15), (hair(), 0.15), (veil(0.5), 0.7)])
def test_the_old_background_goes(alpha: np.ndarray, share: float) -> None:
    scene = compose(alpha)
    band = (alpha > 0.05) & (alpha < 0.95)
    estimated = estimate_foreground(scene.picture, alpha)
    assert error(estimated, scene.foreground, band) < share * error(scene.picture, scene.foreground, band)


def test_over_a_new_background_no_fringe_is_seen() -> None:
    scene = compose(hair())
    opacity = scene.alpha[..., None]
    magenta = (1 - opacity) * np.array([255, 0, 255], np.float32)
    band = (scene.alpha > 0) & (scene.alpha < 1)
    truth = opacity * scene.foreground + magenta
    estimated = opacity * estimate_foreground(scene.picture, scene.alpha) + magenta
    assert error(estimated, truth, band) < 0.3 * error(opacity * scene.picture + magenta, truth, band)
    assert error(estimated, truth, band) < 3


def test_opaque_pixels_keep_their_colours_and_nothing_is_black() -> None:
    scene = compose(blob())
    estimated = estimate_foreground(scene.picture, scene.alpha)
    np.testing.assert_array_equal(estimated[scene.alpha == 1], scene.picture[scene.alpha == 1])
    reach = cv2.dilate(scene.alpha, np.ones((2 * GUARD + 1, 2 * GUARD + 1), np.uint8))
    assert not estimated[reach == 0].any()


def test_the_foregrounds_colours_go_on_a_little_beyond_it() -> None:
    scene = compose(blob())
    estimated = estimate_foreground(scene.picture, scene.alpha)
    guard = (scene.alpha == 0) & (cv2.dilate(scene.alpha, np.ones((2 * GUARD + 1, 2 * GUARD + 1), np.uint8)) > 0)
    assert error(estimated, scene.foreground, guard) < 0.3 * error(scene.picture, scene.foreground, guard)


@pytest.mark.parametrize("opacity", [0.0, 0.02, 0.5, 1.0])
def test_one_opacity_everywhere(opacity: float) -> None:
    picture = compose(blob()).picture
    estimated = estimate_foreground(picture, np.full(picture.shape[:2], opacity, np.float32))
    # Nothing tells foreground from background, so the picture's colours are the best guess.
    if opacity:
        assert abs(float(estimated.mean()) - float(picture.mean())) < 4
    else:
        assert not estimated.any()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 70), st.integers(2, 70), st.integers(0, 100))
def test_flat_colours_are_found_again(height: int, width: int, seed: int) -> None:
    foreground, background = np.random.default_rng(seed).integers(0, 256, (2, 3))
    alpha = np.repeat(np.clip(np.linspace(-0.5, 1.5, width, dtype=np.float32), 0, 1)[None], height, axis=0)
    opacity = alpha[..., None]
    picture = np.round(opacity * foreground + (1 - opacity) * background).astype(np.uint8)
    assert error(estimate_foreground(picture, alpha), foreground, alpha > 0.5) < 8


@pytest.mark.parametrize("side", [64, 100, 1024])
def test_tiles_leave_no_seams(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = compose(hair())
    expected = estimate_foreground(scene.picture, scene.alpha)
    monkeypatch.setattr(tiles, "SIDE", side)
    visible = scene.alpha > 0
    difference = np.abs(estimate_foreground(scene.picture, scene.alpha).astype(int) - expected)[visible]
    assert difference.max() <= 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 700)])
def test_pictures_of_every_shape(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (*shape, 3), np.uint8)
    estimated = estimate_foreground(picture, random.random(shape, np.float32))
    assert estimated.shape == picture.shape
    assert estimated.dtype == np.uint8
