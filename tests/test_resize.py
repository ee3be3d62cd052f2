"""Pictures at a network's scale, and masks back at the picture's, as the reference packages do both."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import Golden

from anymask.masks import Masks
from anymask.placement import Placement
from anymask.runtime.resize import resize_to_input

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def test_sams_picture_is_the_references_to_the_bit():
    golden = Golden("sam_vit_b")
    picture = golden.picture()
    resized = resize_to_input(picture, Placement.letterbox(*picture.shape[:2], 1024), "antialias")
    assert resized.dtype == np.uint8 and list(resized.shape) == golden.settings["shapes"]["resized_uint8"]
    assert golden.difference("resized_uint8", resized) == 0


def test_a_picture_of_the_right_size_is_left_alone():
    picture = np.random.default_rng(0).integers(0, 255, (40, 64, 3), np.uint8)
    for how in ("area", "antialias"):
        assert resize_to_input(picture, Placement.letterbox(40, 64, 64), how) is picture


def test_efficient_sams_picture_is_the_references():
    golden = Golden("efficient_sam_ti")
    picture = golden.picture()
    resized = resize_to_input(picture, Placement.stretch(*picture.shape[:2], 1024), "linear")
    normalised = (resized / 255 - MEAN) / DEVIATION
    assert golden.difference("preprocessed", normalised.transpose(2, 0, 1).astype(np.float32)) < 1e-4


def test_sam2s_picture_is_the_references():
    golden = Golden("sam2.1_hiera_tiny")
    picture = golden.picture()
    resized = resize_to_input(picture, Placement.stretch(*picture.shape[:2], 1024), "smooth")
    normalised = (resized / 255 - MEAN) / DEVIATION
    assert golden.difference("preprocessed", normalised.transpose(2, 0, 1).astype(np.float32)) < 1e-5


@pytest.mark.parametrize("size", [(300, 2000), (2000, 300), (1500, 1600), (40, 1024)])
def test_sam2s_picture_is_reduced_as_pytorch_does(size):
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    resized = resize_to_input(picture, Placement.stretch(*size, 256), "smooth")
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    expected = F.interpolate(planes, (256, 256), mode="bilinear", antialias=True, align_corners=False)[0]
    np.testing.assert_allclose(resized, expected.permute(1, 2, 0), atol=1e-3)


def test_sam2s_masks_are_the_references():
    golden = Golden("sam2.1_hiera_tiny")
    height, width = golden.picture().shape[:2]
    logits = golden.arrays["point_multi.low_res.f16"].reshape(3, 256, 256).astype(np.float32)
    place = Placement.stretch(height, width, 1024, enlarge="bilinear-once")
    assert golden.difference("point_multi.full_res", place.upscale(logits)) < 2e-3  # stored in half precision
    masks = Masks(logits, np.zeros(3), place).array
    stored = np.unpackbits(golden.arrays["point_multi.mask.bits"])[: masks.size].reshape(masks.shape)
    assert (masks != stored).mean() < 2e-4


def test_efficient_sams_masks_are_the_references():
    golden = Golden("efficient_sam_ti")
    height, width = golden.picture().shape[:2]
    logits = golden.arrays["point.low_res.f16"].reshape(3, 256, 256).astype(np.float32)
    place = Placement.stretch(height, width, 1024, enlarge="bicubic")
    assert golden.difference("point.full_res", place.upscale(logits)) < 2e-3  # the stored logits are half precision
    masks = Masks(logits, np.zeros(3), place).array
    stored = np.unpackbits(golden.arrays["point.mask.bits"])[: masks.size].reshape(masks.shape)
    assert (masks != stored).mean() < 2e-4


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 40), st.integers(0, 99))
def test_bicubic_masks_agree_with_pytorch(height: int, width: int, cells: int, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 4, (2, cells, cells)).astype(np.float32)
    logits[0] = np.sign(logits[0]) * 5  # plateaus: tiles of one sign, whose edges overshoot
    place = Placement.stretch(height, width, 64, enlarge="bicubic")
    expected = F.interpolate(torch.from_numpy(logits)[None], (height, width), mode="bicubic", align_corners=False)[0]
    np.testing.assert_allclose(place.upscale(logits), expected, atol=2e-4)
    clear = np.abs(expected.numpy()) > 1e-3
    assert ((Masks(logits, np.zeros(2), place).array == (expected.numpy() > 0)) | ~clear).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 40), st.integers(0, 99))
def test_masks_enlarged_in_one_step_agree_with_pytorch(height: int, width: int, cells: int, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 4, (2, cells, cells)).astype(np.float32)
    logits[0] = -5
    logits[0, : cells // 3, : cells // 4] = 5  # most tiles of one sign
    place = Placement.stretch(height, width, 64, enlarge="bilinear-once")
    expected = F.interpolate(torch.from_numpy(logits)[None], (height, width), mode="bilinear", align_corners=False)[0]
    np.testing.assert_allclose(place.upscale(logits), expected, atol=2e-4)
    clear = np.abs(expected.numpy()) > 1e-3
    assert ((Masks(logits, np.zeros(2), place).array == (expected.numpy() > 0)) | ~clear).all()


def test_bicubic_overshoot_is_not_cut_off():
    """Between cells far apart a bicubic curve rises above all of them; a mask may show where no cell is positive."""
    logits = np.full((1, 8, 8), -10.0, np.float32)
    logits[0, 3:5, 3:5] = -0.01
    place = Placement.stretch(64, 64, 64, enlarge="bicubic")
    assert place.upscale(logits).max() > 0
    assert Masks(logits, np.zeros(1), place).areas[0] == (place.upscale(logits) > 0).sum() > 0


@pytest.mark.parametrize("how", ["area", "antialias", "smooth", "linear"])
def test_a_picture_one_pixel_high_is_resized(how):
    picture = np.full((1, 5000, 3), 7, np.uint8)
    resized = resize_to_input(picture, Placement.letterbox(1, 5000, 64), how)
    assert resized.shape == (1, 64, 3) and (resized == 7).all()
