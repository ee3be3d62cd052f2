"""The measures of mattes against cases that can be counted by hand."""

import numpy as np
import pytest

from anymask.errors import ModelError
from anymask.evaluation.alpha import alpha_errors, connectivity_error, foreground_error, gradient_error, mse, sad
from anymask.foreground import estimate_foreground

TRUTH = np.zeros((40, 60), np.float32)
TRUTH[10:30, 10:40] = 1


def test_the_truth_has_no_error():
    assert tuple(alpha_errors(TRUTH, TRUTH)) == pytest.approx((0, 0, 0, 0), abs=1e-9)


def test_a_known_difference():
    found = TRUTH.copy()
    found[:5, :10] = 0.5
    assert sad(found, TRUTH) == pytest.approx(50 * 0.5 / 1000)
    assert mse(found, TRUTH) == pytest.approx(50 * 0.25 / TRUTH.size)
    assert gradient_error(found, TRUTH) > 0
    region = np.zeros(TRUTH.shape, bool)
    region[20:] = True
    assert tuple(alpha_errors(found, TRUTH, region))[:2] == (0, 0)


def test_what_lies_apart_is_not_connected():
    apart, attached = TRUTH.copy(), TRUTH.copy()
    apart[15:25, 48:55] = 1
    attached[15:25, 40:47] = 1
    assert connectivity_error(apart, TRUTH) == pytest.approx(70 / 1000)
    assert connectivity_error(attached, TRUTH) > 0


def test_a_blurred_edge_has_a_gradient_error():
    soft = TRUTH.copy()
    soft[:, 40:44] = TRUTH[:, 39:40] * np.array([0.8, 0.6, 0.4, 0.2], np.float32)
    softer = TRUTH.copy()
    softer[:, 38:46] = TRUTH[:, 37:38] * np.linspace(0.9, 0.1, 8, dtype=np.float32)
    assert 0 < gradient_error(soft, TRUTH) < gradient_error(softer, TRUTH) * 2


def test_colours_count_where_they_mix():
    truth = np.full((10, 10), 0.5, np.float32)
    truth[:, 5:] = 1
    colours, foreground = np.full((10, 10, 3), 100.0), np.full((10, 10, 3), 90.0)
    colours[:, 5:] = 0
    assert foreground_error(colours, foreground, truth) == pytest.approx(10)
    assert foreground_error(colours, foreground, np.ones((10, 10), np.float32)) == 0


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="different shapes"):
        sad(TRUTH, TRUTH[:5])
    with pytest.raises(ValueError, match="no pixels"):
        sad(TRUTH, TRUTH, np.zeros(TRUTH.shape, bool))


def test_blur_fusion_finds_the_foreground():
    alpha = np.tile(np.clip(np.linspace(-1, 2, 90), 0, 1).astype(np.float32), (60, 1))
    red, blue = np.array([200.0, 40, 30]), np.array([20.0, 60, 220])
    picture = (alpha[..., None] * red + (1 - alpha[..., None]) * blue).astype(np.uint8)
    for method in ("multilevel", "blur-fusion"):
        found = estimate_foreground(picture, alpha, method)
        assert np.abs(found[alpha > 0.2].astype(float) - red).mean() < 6, method
    with pytest.raises(ModelError, match="multilevel, blur-fusion, not 'magic'"):
        estimate_foreground(picture, alpha, "magic")
