"""Answers as a session keeps them: packed in pages that go with their last answer."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anymask.placement import Placement
from anymask.tracking import kept
from anymask.tracking.follower import Answer
from anymask.tracking.kept import KeptAnswers

PLACE = Placement.stretch(60, 80, 64)


def answer(seed: int, side: int = 16) -> Answer:
    logits = np.random.default_rng(seed).normal(scale=4, size=(side, side)).astype(np.float32)
    return Answer(logits, PLACE, seed / 100, 1.0)


def test_logits_are_kept_to_half_a_step_and_masks_as_they_are():
    answers = KeptAnswers(10)
    given = answer(3)
    given.logits[0, :4] = [0.001, -0.001, 50, -50]
    answers.keep(7, 1, given)
    found = answers.answer(7, 1)
    assert found.placement == PLACE and found.score == given.score and found.presence == 1.0
    assert np.abs(found.logits - np.clip(given.logits, -8, 8)).max() <= 1 / 16
    assert np.array_equal(found.logits > 0, given.logits > 0)
    assert answers.answer(7, 2) is None and answers.answer(6, 1) is None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("keep"), st.integers(0, 5), st.integers(1, 3)),
            st.tuples(st.just("forget"), st.integers(0, 5), st.integers(1, 3)),
            st.tuples(st.just("forget all"), st.just(None), st.integers(1, 3)),
        ),
        max_size=60,
    ),
    st.integers(1, 6),
    st.sampled_from([300, 1000, 1 << 20]),
)
def test_as_a_dictionary_that_drops_the_oldest(steps, most, page):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "PAGE", page)  # of 300 bytes no page holds two answers, some not one
        answers, plain = KeptAnswers(most), {}
        for number, (action, frame, object_id) in enumerate(steps):
            if action == "keep":
                answers.keep(frame, object_id, answer(number))
                plain.pop((frame, object_id), None)
                plain[frame, object_id] = number
                plain = dict(list(plain.items())[-most:])
            else:
                answers.forget(object_id, frame)
                plain = {key: v for key, v in plain.items() if key[1] != object_id or frame not in (None, key[0])}
            assert [key for key, _ in answers] == list(plain) and len(answers) == len(plain)
        for (frame, object_id), number in plain.items():
            assert np.array_equal(answers.answer(frame, object_id).logits > 0, answer(number).logits > 0)
        answers.clear()
        assert len(answers) == 0


def test_pages_go_with_their_last_answer(monkeypatch):
    monkeypatch.setattr(kept, "PAGE", 4096)
    answers, pages = KeptAnswers(8), {}
    for frame in range(200):
        answers.keep(frame, 1, answer(frame, 32))
        for _, one in answers:
            pages[id(one.page)] = weakref.ref(one.page)
    gc.collect()
    assert 1 <= sum(page() is not None for page in pages.values()) <= 8
    answers.clear()
    gc.collect()
    assert sum(page() is not None for page in pages.values()) <= 1
