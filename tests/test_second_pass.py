"""A second pass: masks asked for once more with themselves as the mask prompt."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import anymask
from anymask import Prompt
from anymask.second_pass import is_first

BUS = Path(__file__).parent.parent / "assets" / "bus.jpg"
CLICK, BOX = (300.0, 200.0), (100.0, 60.0, 500.0, 350.0)


@pytest.fixture(scope="module")
def image() -> anymask.EncodedImage:
    return anymask.Segmenter("pocket", precision="fp32").encode(BUS)


def test_what_is_a_first_prompt() -> None:
    mask = np.zeros((128, 128))
    assert is_first(Prompt(box=BOX)) and is_first(Prompt(points=[CLICK], box=BOX))
    assert not is_first(Prompt(points=[CLICK])) and not is_first(Prompt(points=[CLICK, CLICK]))
    assert not is_first(Prompt(mask=mask)) and not is_first(Prompt(box=BOX, mask=mask))


@pytest.mark.parametrize("prompt", [{"box": BOX}, {"points": [CLICK], "box": BOX}])
def test_pocket_goes_on_from_its_answer(image: anymask.EncodedImage, prompt: dict[str, object]) -> None:
    once = image.predict(**prompt, second_look=False, second_pass=False)
    twice = image.predict(**prompt, second_look=False)
    assert len(once) == len(twice) == 1
    alone = image.predict(**prompt, mask=once.logits[0], second_look=False)
    np.testing.assert_allclose(twice.logits, alone.logits, atol=1e-3)
    np.testing.assert_allclose(twice.scores, alone.scores, atol=1e-5)
    assert np.abs(twice.logits - once.logits).max() > 0.1


def test_candidates_stay_different(image: anymask.EncodedImage) -> None:
    found = image.predict(box=BOX, multimask=True)
    plain = image.predict(box=BOX, multimask=True, second_pass=False)
    np.testing.assert_array_equal(found.logits, plain.logits)
    assert len(found) == 3


def test_clicks_and_corrections_are_answered_once(image: anymask.EncodedImage) -> None:
    points = {"points": [CLICK, (20.0, 20.0)], "labels": [1, 0]}
    for prompt in ({"points": [CLICK]}, points, {**points, "mask": image.predict(box=BOX).logits[0]}):
        plain = image.predict(**prompt, second_pass=False)
        np.testing.assert_array_equal(image.predict(**prompt).logits, plain.logits)


def test_a_batch_is_answered_as_its_prompts_are(image: anymask.EncodedImage) -> None:
    prompts = [Prompt(points=[CLICK]), Prompt(points=[CLICK, (20, 20)]), Prompt(box=BOX), Prompt(points=[CLICK])]
    batch = image.predict_batch(prompts)
    assert [len(one) for one in batch] == [3, 1, 1, 3]
    for prompt, found in zip(prompts, batch, strict=True):
        (alone,) = image.predict_batch([prompt])
        np.testing.assert_allclose(found.logits, alone.logits, atol=1e-3)
        assert found.prompts is not None and found.placements[0] == alone.placements[0]


def test_a_closer_view_is_asked_again_itself(image: anymask.EncodedImage) -> None:
    small = (250.0, 180.0, 310.0, 240.0)
    found, once = image.predict(box=small), image.predict(box=small, second_pass=False)
    assert found.placements[0] == once.placements[0] != image.placement
    again = image.predict(box=small, mask=once.logits[0])
    np.testing.assert_allclose(found.logits, again.logits, atol=1e-3)


def test_other_models_answer_once_unless_asked(image: anymask.EncodedImage, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = anymask.EncodedImage(anymask.Segmenter("pocket", precision="fp32"), image.placement, image.features, None)
    monkeypatch.setattr(plain.segmenter.engine, "spec", replace(image.segmenter.spec, second_pass=False))
    np.testing.assert_array_equal(plain.predict(box=BOX).logits, plain.predict(box=BOX, second_pass=False).logits)
    assert not np.array_equal(plain.predict(box=BOX, second_pass=True).logits, plain.predict(box=BOX).logits)
    assert [entry.name for entry in anymask.models() if entry.second_pass] == ["pocket"]
