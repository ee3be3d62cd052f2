"""Programs written for `sam2`, with only the module's name changed. A stand-in answers in place of a network: discs
round what was clicked."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from anymask import ImageError, ModelError, PromptError
from anymask.catalog import find
from anymask.compat.sam2 import SAM2ImagePredictor, build_sam2, build_sam2_hf

PICTURE = np.random.default_rng(7).integers(0, 256, (60, 120, 3), np.uint8)
POINT, LABEL = np.array([[90, 20]]), np.array([1])
BOX = np.array([10, 10, 50, 50])


class Discs:
    """An engine that keeps what it is asked, and answers discs of four radii around the mean of the prompt's points."""

    def __init__(self) -> None:
        self.spec = find("sam2.1_hiera_tiny")
        self.asked: list[Any] = []

    def encode(self, rgb: np.ndarray) -> tuple[np.ndarray, ...]:
        assert rgb.shape == (1024, 1024, 3) and rgb.dtype == np.float32
        return (np.full((1, 256, 64, 64), rgb.mean(), np.float32),)

    def prepare(self, features: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        return features

    def decode(
        self, embedding: tuple[np.ndarray, ...], coords: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        self.asked.append((coords, labels, mask))
        y, x = np.mgrid[:256, :256] * 4 + 2
        logits = np.zeros((len(coords), 4, 256, 256), np.float32)
        for one, points, kinds in zip(logits, coords, labels, strict=True):
            centre = points[kinds > 0].mean(axis=0) if (kinds > 0).any() else (512, 512)
            one[:] = [(radius - np.hypot(x - centre[0], y - centre[1])) / 2 for radius in (160, 120, 200, 240)]
        return logits, np.tile(np.array([0.5, 0.7, 0.9, 0.8], np.float32), (len(coords), 1))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Discs:
    engine = Discs()
    monkeypatch.setattr("anymask.segmenter.load_segment_engine", lambda *choice: engine)
    return engine


@pytest.fixture
def predictor(engine: Discs) -> SAM2ImagePredictor:
    predictor = SAM2ImagePredictor(build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml"))
    predictor.set_image(PICTURE)
    return predictor


def test_the_predictors_notebook(predictor: SAM2ImagePredictor, engine: Discs) -> None:
    masks, scores, logits = predictor.predict(point_coords=POINT, point_labels=LABEL, multimask_output=True)
    assert (masks.shape, masks.dtype) == ((3, 60, 120), np.float32) and set(np.unique(masks)) == {0, 1}
    assert (scores.shape, scores.dtype) == ((3,), np.float32)
    assert (logits.shape, logits.dtype) == ((3, 256, 256), np.float32)
    assert logits.min() == -32 and logits.max() == 32, "low-resolution logits are bounded"
    assert masks[:, 20, 90].all() and not masks[:, 20, 20].any()
    coords, labels, _ = engine.asked[-1]
    np.testing.assert_allclose(coords, [[[90 * 1024 / 120, 20 * 1024 / 60]]])
    assert labels.tolist() == [[1]]

    full, _, _ = predictor.predict(POINT, LABEL, return_logits=True)
    assert full.max() > 32 and np.array_equal(full > 0, masks > 0), "but the masks are made of all of them"

    mask_input = logits[np.argmax(scores), :, :]
    points, kinds = np.array([[90, 20], [110, 50]]), np.array([1, 0])
    refined, score, low = predictor.predict(points, kinds, mask_input=mask_input[None], multimask_output=False)
    assert (refined.shape, score.shape, low.shape) == ((1, 60, 120), (1,), (1, 256, 256))
    assert np.array_equal(engine.asked[-1][2], mask_input[None])

    boxed, _, _ = predictor.predict(box=BOX[None, :], multimask_output=False)
    assert boxed[0, 30, 30] and not boxed[0, 30, 100]
    assert engine.asked[-1][1].tolist() == [[2, 3]]


def test_a_box_with_points_and_many_boxes(predictor: SAM2ImagePredictor, engine: Discs) -> None:
    predictor.predict(POINT, LABEL, box=BOX, multimask_output=False)
    coords, labels, _ = engine.asked[-1]
    assert labels.tolist() == [[2, 3, 1]] and coords.shape == (1, 3, 2)
    boxes = np.array([[10, 10, 50, 50], [60, 5, 90, 40], [0, 0, 120, 60]])
    masks, scores, logits = predictor.predict(box=boxes, multimask_output=False)
    assert (masks.shape, scores.shape, logits.shape) == ((3, 1, 60, 120), (3, 1), (3, 1, 256, 256))
    points = np.array([[[90, 20]], [[30, 30]]])
    masks, _, _ = predictor.predict(points, np.array([[1], [1]]))
    assert masks.shape == (2, 3, 60, 120) and masks[0, 0, 20, 90] and masks[1, 0, 30, 30] and not masks[1, 0, 20, 90]


def test_coordinates_as_shares(predictor: SAM2ImagePredictor, engine: Discs) -> None:
    expected, _, _ = predictor.predict(POINT, LABEL)
    found, _, _ = predictor.predict(POINT / (120, 60), LABEL, normalize_coords=False)
    assert np.array_equal(found, expected)


def test_several_pictures(predictor: SAM2ImagePredictor) -> None:
    tall = np.ascontiguousarray(PICTURE.transpose(1, 0, 2))
    predictor.set_image_batch([PICTURE, tall])
    masks, scores, _ = predictor.predict_batch(
        [POINT, np.array([[20, 90], [20, 91]])], [LABEL, np.array([1, 1])], multimask_output=False
    )
    assert [mask.shape for mask in masks] == [(1, 60, 120), (1, 120, 60)] and len(scores) == 2
    assert masks[0][0, 20, 90] and masks[1][0, 90, 20]
    assert predictor.get_image_embedding().shape == (2, 256, 64, 64)
    with pytest.raises(RuntimeError, match="An image must be set"):
        predictor.predict(POINT, LABEL)


def test_small_holes_and_sprinkles(predictor: SAM2ImagePredictor) -> None:
    logits = np.full((1, 12, 12), -1.0, np.float32)
    logits[0, 2:9, 2:9] = 1
    logits[0, 4, 4], logits[0, 6:8, 6:8] = -1, -1  # holes of 1 and 4
    logits[0, 11, 11], logits[0, 10, 10] = 1, 1  # one sprinkle: corners touch
    predictor.max_hole_area, predictor.max_sprinkle_area = 3, 1
    found = predictor._cleaned(logits)
    assert found[0, 4, 4] == 10 and (found[0, 6:8, 6:8] == -1).all() and found[0, 11, 11] == 1
    predictor.max_sprinkle_area = 2
    assert predictor._cleaned(logits)[0, 11, 11] == -10


def test_before_and_after_a_picture(predictor: SAM2ImagePredictor) -> None:
    predictor.reset_predictor()
    with pytest.raises(RuntimeError, match="An image must be set"):
        predictor.predict(POINT, LABEL)
    with pytest.raises(RuntimeError, match="An image must be set"):
        predictor.get_image_embedding()
    with pytest.raises(AssertionError, match="set_image_batch"):
        predictor.predict_batch([POINT], [LABEL])
    predictor.set_image(Image.fromarray(PICTURE).convert("RGBA"))
    assert predictor.predict(POINT, LABEL)[0].shape == (3, 60, 120)
    assert predictor.device == torch.device("cpu")


@pytest.mark.parametrize(
    "picture", [PICTURE.astype(np.float32), PICTURE[..., 0], "photo.jpg", np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_picture(predictor: SAM2ImagePredictor, picture: Any) -> None:
    with pytest.raises(ImageError, match="must be a uint8 array"):
        predictor.set_image(picture)


@pytest.mark.parametrize(
    "prompt",
    [
        {"point_coords": POINT, "point_labels": np.array([1, 0])},
        {"point_coords": POINT, "point_labels": LABEL, "box": np.tile(BOX, (2, 1))},
        {"box": np.array([1, 2, 3])},
        {"point_coords": POINT, "point_labels": LABEL, "mask_input": np.zeros((1, 128, 100))},
        {"point_coords": np.array(3), "point_labels": LABEL},
    ],
)
def test_prompts_that_do_not_fit(predictor: SAM2ImagePredictor, prompt: dict[str, Any]) -> None:
    with pytest.raises(PromptError, match="do not fit each other"):
        predictor.predict(**prompt)


def test_points_without_labels(predictor: SAM2ImagePredictor) -> None:
    with pytest.raises(AssertionError, match="point_labels"):
        predictor.predict(POINT)


@pytest.mark.parametrize(
    ("config", "model"),
    [
        ("configs/sam2.1/sam2.1_hiera_b+.yaml", "sam2.1_hiera_base_plus"),
        ("sam2_hiera_s.yaml", "sam2_hiera_small"),
        (r"configs\sam2\sam2_hiera_l", "sam2_hiera_large"),
    ],
)
def test_models_by_their_configs(config: str, model: str) -> None:
    assert build_sam2(config).spec.name == model
    assert build_sam2(config).to("cpu").eval().image_size == 1024


def test_models_by_their_repositories(engine: Discs) -> None:
    assert build_sam2_hf("facebook/sam2.1-hiera-base-plus").spec.name == "sam2.1_hiera_base_plus"
    predictor = SAM2ImagePredictor.from_pretrained("facebook/sam2-hiera-tiny", mask_threshold=1.5)
    assert predictor.model.spec.name == "sam2_hiera_tiny" and predictor.mask_threshold == 1.5
    with pytest.raises(ModelError, match="There is no model 'facebook/sam3'; known are: facebook/sam2-hiera-tiny"):
        build_sam2_hf("facebook/sam3")


def test_what_cannot_be_built(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"There is no config 'sam2_hiera_xl\.yaml'; known are: sam2_hiera_t\.yaml"):
        build_sam2("sam2_hiera_xl.yaml")
    for option in ({"mode": "train"}, {"hydra_overrides_extra": ["a=b"]}, {"apply_postprocessing": False}):
        with pytest.raises(ModelError, match="without overrides"):
            build_sam2("sam2_hiera_t.yaml", **option)
    with pytest.raises(FileNotFoundError, match="leave it out to download sam2_hiera_tiny"):
        build_sam2("sam2_hiera_t.yaml", tmp_path / "nothing.pt")


def test_importing_it_loads_no_torch() -> None:
    code = "import sys, anymask.compat.sam2; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
