"""What matting networks are fed, and what their answers are taken for."""

import numpy as np
import pytest
from PIL import Image

from anymask.catalog import MatteRules, find
from anymask.runtime.matte_input import input_size, mattes_of, network_input, resize_for

HALF = {"mean": (0.0, 0.0, 0.0), "deviation": (1.0, 1.0, 1.0)}


def picture(height: int, width: int, top: int = 256) -> np.ndarray:
    return np.random.default_rng(0).integers(0, top, (height, width, 3), dtype=np.uint8)


def rules(**given) -> MatteRules:
    return MatteRules(**{"width": 4, "height": 4, "resize": "linear", **HALF, **given})


@pytest.mark.parametrize(
    ("model", "golden"),
    [
        ("u2net", "u2net"),
        ("u2net_cloth_seg", "u2net_cloth_seg"),
        ("isnet-general-use", "isnet"),
        ("rmbg-1.4", "rmbg_1_4"),
        ("birefnet-general", "birefnet"),
        ("modnet", "modnet"),
    ],
)
def test_inputs_are_those_of_the_reference_code(model, golden):
    pytest.importorskip("torch", reason="the goldens are read with torch")
    import parity

    reference = parity.Golden(golden)
    found = network_input(find(model).matte, reference.picture())
    assert found.dtype == np.float32 and found.flags.c_contiguous
    assert reference.difference("preprocessed", found) < 2e-6


@pytest.mark.parametrize(
    "model", ["u2netp", "silueta", "isnet-general-use", "isnet-anime", "birefnet-dis", "bria-rmbg"]
)
@pytest.mark.parametrize("top", [256, 60])
def test_rembgs_recipe_is_lanczos_and_the_pictures_own_maximum(model, top):
    entry, rgb = find(model), picture(90, 120, top)
    recipe = entry.rembg or entry.matte
    mean, deviation = {"isnet-general-use": (0.5, 1.0), "isnet-anime": ((0.485, 0.456, 0.406), 1.0)}.get(
        model, ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    side = 320 if model in ("u2netp", "silueta") else 1024
    small = np.array(Image.fromarray(rgb).resize((side, side), Image.Resampling.LANCZOS), float)
    expected = (small / small.max() - mean) / deviation
    assert np.abs(network_input(recipe, rgb)[0].transpose(1, 2, 0) - expected).max() < 1e-5


def test_a_large_picture_is_reduced_first_and_smoothed_as_much():
    """The shortcut for large pictures against the Gaussian at full size."""
    smooth = np.asarray(Image.fromarray(picture(60, 80)).resize((3000, 2600), Image.Resampling.BICUBIC))
    fine = np.clip(smooth + np.random.default_rng(1).normal(0, 20, smooth.shape), 0, 255).astype(np.uint8)
    quick = resize_for("gaussian", fine, 100, 110)
    from anymask.runtime import matte_input

    whole = matte_input.FARTHEST
    try:
        matte_input.FARTHEST = 1000
        exact = resize_for("gaussian", fine, 100, 110)
    finally:
        matte_input.FARTHEST = whole
    assert np.abs(quick - exact)[2:-2, 2:-2].mean() < 0.5


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((360, 500), (512, 704)), ((1080, 1920), (512, 896)), ((600, 400), (576, 384)), ((20, 2000), (32, 1984))],
)
def test_modnets_sizes(shape, expected):
    assert input_size(find("modnet").matte, *shape) == expected


def test_a_black_picture_is_no_division_by_zero():
    assert np.isfinite(network_input(find("u2net").matte, np.zeros((5, 7, 3), np.uint8))).all()


@pytest.mark.parametrize("how", ["area", "linear", "linear8", "gaussian", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (64, 64), (301, 77)])
def test_every_resize_keeps_a_plain_colour(how, shape):
    plain = np.full((*shape, 3), (10, 100, 250), np.uint8)
    found = resize_for(how, plain, 32, 40)
    assert found.shape == (32, 40, 3)
    middle = found[8:-8, 8:-8] if how == "gaussian" else found  # which fades towards the edges
    assert np.abs(middle.astype(float) - (10, 100, 250)).max() <= 1


def test_answers():
    answer = np.array([[[[-2.0, 0.0], [1.0, 3.0]]]], np.float32)
    sigmoid = 1 / (1 + np.exp(-answer[0]))
    assert np.allclose(mattes_of(rules(output="logit"), answer, (2, 2)), sigmoid)
    assert np.allclose(mattes_of(rules(output="logit"), sigmoid[None], (2, 2), probabilities=True), sigmoid)
    assert np.allclose(mattes_of(rules(), answer, (2, 2)), [[[0, 0], [1, 1]]]), "never beyond 0 and 1"
    assert np.allclose(mattes_of(rules(stretch="map"), answer, (2, 2)), (answer[0] + 2) / 5)
    several = np.concatenate([answer, answer + 9], axis=1)
    assert np.allclose(mattes_of(rules(stretch="map"), several, (2, 2)), (answer[0] + 2) / 5), "the first map counts"


def test_a_map_without_contrast_is_not_stretched():
    assert np.allclose(mattes_of(rules(stretch="map"), np.full((1, 1, 3, 3), 0.25), (3, 3)), 0.25)


def test_a_map_stretched_as_large_as_the_picture():
    answer = np.zeros((1, 1, 2, 2), np.float32)
    answer[0, 0, 0, 0] = 1
    found = mattes_of(rules(stretch="picture"), answer, (1, 1))
    assert np.allclose(found, answer[0]), "one pixel has no contrast"
    found = mattes_of(rules(stretch="picture"), answer, (4, 4))
    assert found.max() == 1 and found.min() == 0


def test_classes_are_shares_or_the_likeliest():
    logits = np.random.default_rng(0).normal(0, 3, (1, 4, 5, 6)).astype(np.float32)
    names = ("upper", "lower", "full")
    powers = np.exp(logits[0])
    soft = mattes_of(rules(output="classes", classes=names), logits, (5, 6))
    assert np.allclose(soft, powers[1:] / powers.sum(0), atol=1e-6)
    hard = mattes_of(rules(output="argmax", classes=names), logits, (5, 6))
    assert (hard == (logits[0].argmax(0) == np.array([1, 2, 3])[:, None, None])).all()
    squashed = 1 / (1 + np.exp(-logits))
    assert np.allclose(mattes_of(rules(output="classes", classes=names), squashed, (5, 6)), soft, atol=1e-3)
