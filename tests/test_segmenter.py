"""Prompted segmentation with the model on board, on drawn scenes whose answer is known and on the sample pictures."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

import anymask
from anymask.errors import ModelError, PromptError, WeightsError

ASSETS = Path(__file__).parents[1] / "assets"


@pytest.fixture(scope="module")
def segmenter():
    return anymask.Segmenter("pocket", device="cpu")


@pytest.fixture(scope="module")
def disc():
    """A red disc on green noise, and its mask."""
    rng = np.random.default_rng(0)
    picture = np.clip(rng.normal((60, 130, 70), 12, (480, 640, 3)), 0, 255).astype(np.uint8)
    mask = np.zeros((480, 640), np.uint8)
    cv2.circle(mask, (400, 200), 90, 1, -1)
    picture[mask == 1] = np.clip(rng.normal((200, 40, 40), 12, (int(mask.sum()), 3)), 0, 255)
    return picture, mask.astype(bool)


@pytest.fixture(scope="module")
def encoded(segmenter, disc):
    return segmenter.encode(disc[0])


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_click_and_a_box_find_the_disc(encoded, disc):
    by_box = encoded.predict(box=(310, 110, 491, 291))
    by_click = encoded.predict(points=[(400, 200)])
    assert len(by_box) == 1 and len(by_click) == 3
    assert iou(by_box.array[0], disc[1]) > 0.85
    assert max(iou(mask, disc[1]) for mask in by_click.array) > 0.8
    assert by_box.array.shape == (1, 480, 640) and by_box.array.dtype == bool
    assert by_box.logits.shape == (1, 128, 128)
    assert ((by_click.scores >= 0) & (by_click.scores <= 1)).all()


def test_multimask_is_forced_or_suits_the_prompt(encoded):
    assert len(encoded.predict(points=[(400, 200)])) == 3
    assert len(encoded.predict(points=[(400, 200)], multimask=False)) == 1
    assert len(encoded.predict(points=[(400, 200), (10, 10)], labels=[1, 0])) == 1
    assert len(encoded.predict(box=(310, 110, 491, 291), multimask=True)) == 3


def test_a_previous_mask_refines(encoded, disc):
    first = encoded.predict(points=[(400, 200)]).best
    second = encoded.predict(points=[(400, 200), (400, 150)], mask=first.logits[0])
    assert iou(second.array[0], disc[1]) > 0.8
    assert encoded.predict(mask=first.logits[0]).array.shape == (1, 480, 640)


@pytest.mark.parametrize("point", [(300, 220), (450, 230), (200, 210)])
def test_the_label_matters(segmenter, point):
    """On the bus, in a box around it: a foreground click is inside the mask, a background click is not."""
    image = segmenter.encode(ASSETS / "bus.jpg")
    box = (118, 108, 574, 322)
    x, y = point
    assert image.predict(points=[point], labels=[1], box=box).array[0, y, x]
    assert not image.predict(points=[point], labels=[0], box=box).array[0, y, x]


def test_a_batch_gives_what_single_prompts_give(encoded):
    prompts = [
        anymask.Prompt(points=[(400, 200)]),
        anymask.Prompt(box=(310, 110, 491, 291)),
        anymask.Prompt(points=[(400, 200), (20, 20)], labels=[1, 0]),
        anymask.Prompt(points=[(100, 100)]),
    ]
    together = encoded.predict_batch(prompts)
    for prompt, masks in zip(prompts, together, strict=True):
        alone = encoded.predict_batch([prompt])[0]
        assert len(alone) == len(masks)
        assert np.mean(alone.array != masks.array) < 0.002
        np.testing.assert_allclose(alone.scores, masks.scores, atol=0.02)
    assert encoded.predict_batch([]) == []


def test_many_prompts_at_once(encoded):
    count = 35
    points = np.linspace((10, 10), (600, 470), count)
    results = encoded.predict_batch([anymask.Prompt(points=[point]) for point in points])
    assert len(results) == count
    logits, scores = encoded.predict_points(points)
    assert logits.shape == (count, 3, 128, 128) and scores.shape == (count, 3)
    np.testing.assert_allclose(scores[-1], results[-1].scores, atol=0.02)


def test_a_crop_sees_more_and_answers_in_the_same_coordinates(segmenter):
    rng = np.random.default_rng(1)
    picture = np.clip(rng.normal(90, 8, (600, 800, 3)), 0, 255).astype(np.uint8)
    truth = np.zeros((600, 800), np.uint8)
    cv2.circle(truth, (620, 400), 25, 1, -1)
    picture[truth == 1] = (240, 220, 40)
    crop = segmenter.encode(picture).crop((500, 300, 740, 500))
    masks = crop.predict(box=(595, 375, 646, 426))
    assert masks.array.shape == (1, 600, 800)
    assert iou(masks.array[0], truth.astype(bool)) > 0.8
    assert not masks.array[0, :300].any() and not masks.array[0, :, :500].any()


def test_threads_share_a_segmenter(segmenter, disc):
    expected = segmenter.encode(disc[0]).predict(box=(310, 110, 491, 291)).areas[0]

    def work(_):
        return segmenter.encode(disc[0]).predict(box=(310, 110, 491, 291)).areas[0]

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(12))) == {expected}


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 900)])
def test_pictures_of_odd_sizes(segmenter, size):
    image = segmenter.encode(np.full((*size, 3), 127, np.uint8))
    masks = image.predict(points=[(size[1] / 2, size[0] / 2)])
    assert masks.array.shape == (3, *size)


def test_a_real_picture(segmenter):
    """The bus: a box around it gives a mask that fills most of the box and little else."""
    image = segmenter.encode(ASSETS / "bus.jpg")
    box = np.array([118, 145, 510, 315])
    mask = image.predict(box=box).array[0]
    inside = mask[box[1] : box[3], box[0] : box[2]]
    assert inside.mean() > 0.55
    assert inside.sum() / mask.sum() > 0.95


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ({"points": [(700, 10)]}, "outside"),
        ({"points": [(float("nan"), 10)]}, "NaN"),
        ({"box": (10, 10, 10, 50)}, "no area"),
        ({"points": [(10, 10)], "labels": [1, 0]}, "labels"),
        ({"mask": np.zeros((64, 64), np.float32)}, "128 x 128"),
        ({}, "empty"),
    ],
)
def test_bad_prompts_are_refused_with_a_sentence(encoded, prompt, sentence):
    with pytest.raises(PromptError, match=sentence):
        encoded.predict(**prompt)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model": "poket"}, "did you mean pocket"),
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"precision": "int3"}, "no precision 'int3'"),
        ({"device": "cpu", "precision": "fp16"}, "no fp16"),
    ],
)
def test_bad_choices_are_refused_with_a_sentence(arguments, sentence):
    with pytest.raises(ModelError, match=sentence):
        anymask.Segmenter(**arguments)


def test_missing_weights(tmp_path):
    with pytest.raises(WeightsError, match="not at"):
        anymask.Segmenter("pocket", weights=tmp_path / "none")
    with pytest.raises(WeightsError, match="could not be loaded"):
        anymask.Segmenter("pocket", weights=tmp_path)
