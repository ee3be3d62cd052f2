"""Tracking with `robust`: which memories are trusted, where an object is expected, objects that exclude each other, and
an object that is hidden for longer than a tracker remembers; without a network."""

import numpy as np
import pytest
from followers import SIDE, ColourFollower
from hypothesis import given
from hypothesis import strategies as st
from video_engine import memory_tracker

from anymask import Tracker
from anymask.placement import NOTHING, Placement
from anymask.recall import MAPS, POINTERS, PROMPTED, Quality, recall, recall_trusted
from anymask.tracking.bank import KEPT_MAPS, Bank, Remembered
from anymask.tracking.exclusion import LEFT, exclude
from anymask.tracking.follower import Answer
from anymask.tracking.kalman import STEADY, BoxMotion, overlap
from anymask.tracking.memory import MemoryFollower

shares = st.floats(0, 1)
qualities = st.dictionaries(st.integers(0, 80), st.builds(Quality, shares, shares, shares), max_size=40)


@given(st.integers(0, 80), st.sets(st.integers(0, 80), min_size=1, max_size=4), qualities, st.booleans(), st.data())
def test_what_is_recalled_is_bounded_and_trusted(frame, prompted, tracked, reverse, data):
    tracked = {shown: one for shown, one in tracked.items() if shown not in prompted}
    mapped = data.draw(st.sets(st.sampled_from(sorted(tracked)))) if tracked else set()
    count = data.draw(st.none() | st.integers(81, 100))
    found = recall_trusted(frame, prompted, tracked, mapped, count, reverse)
    read = [shown for shown, row in found.maps if row != PROMPTED]
    assert {shown for shown, row in found.maps if row == PROMPTED} == prompted, "prompted frames are always read"
    before = {shown for shown in tracked if (shown > frame if reverse else shown < frame)}
    good = sorted((shown for shown in before if tracked[shown].trusted), key=lambda shown: abs(frame - shown))
    if not good:
        assert found == recall(frame, prompted, tracked, count, reverse), "nothing is good: the latest"
        return
    assert read == [shown for shown in good if shown in mapped][:MAPS]
    assert [row for _, row in found.maps if row != PROMPTED] == list(range(len(read)))
    pointed = [shown for shown, _ in found.pointers if shown not in prompted]
    assert pointed == good[: POINTERS - 1]
    assert all(time >= 0 for _, time in found.pointers)
    times = dict(found.pointers)
    assert all(times[shown] == pytest.approx(abs(frame - shown) / (POINTERS - 1)) for shown in pointed)


@given(st.integers(1, 30), st.integers(1, 30))
def test_where_all_are_trusted_it_is_as_without(frame, count):
    tracked = dict.fromkeys(range(1, frame), Quality(0.9, 0.9, 0.9))
    assert recall_trusted(frame, [0], tracked, tracked, None) == recall(frame, [0], tracked, None)
    assert len(recall_trusted(frame, [0], tracked, tracked, count).pointers) <= 1 + min(count, POINTERS)


@pytest.mark.parametrize(("quality", "trusted"), [((0.6, 0.6, 0.1), 1), ((0.5, 0.6, 0.1), 0), ((0.6, 0.5, 1), 0)])
def test_all_three_have_to_be_good(quality, trusted):
    assert Quality(*quality).trusted == trusted
    assert not Quality(0.9, 0.9, 0.0).trusted, "nowhere near where it was expected"


def test_good_memories_outlast_bad_ones():
    bank = Bank(lambda: "weights", choosy=True)
    good, bad = Quality(0.9, 0.9, 0.9), Quality(0.2, 0.9, 0.9)

    def kept(quality):
        return Remembered(np.zeros((2, 4, 4), np.uint16), np.zeros(3, np.float32), quality=quality)

    bank.tell(0, kept(good))
    for index in range(1, 60):
        bank.track(index, kept(good if index < 20 else bad))
        assert sum(one.map is not None for one in bank.tracked.values()) <= KEPT_MAPS
    one = bank.recollect(60, None, False)
    assert one.rows == (PROMPTED, 0, 1, 2, 3, 4, 5) and one.maps.shape[0] == 7
    assert [round(time * 15) for time in one.times[:3]] == [60, 41, 42]
    again = Bank(lambda: "weights", bank.arrays(), choosy=True)
    assert again.recollect(60, None, False).times == one.times
    fresh = Bank(lambda: "weights", choosy=True)
    fresh.tell(0, kept(good))
    for index in range(1, 60):
        fresh.track(index, kept(bad))
    assert [round(time * 15) for time in fresh.recollect(60, None, False).times[1:3]] == [1, 2], "the latest bad ones"


def boxes(count, speed=(3.0, -1.0), size=(40.0, 30.0), way=1):
    middles = np.array([100.0, 80.0]) + np.arange(count)[:, None] * way * np.array(speed)
    half = np.array(size) / 2
    return [np.concatenate([one - half, one + half]) for one in middles]


@pytest.mark.parametrize("way", [1, -1])
def test_a_steady_box_is_expected_where_it_will_be(way):
    motion, truth = BoxMotion(), boxes(60)
    order = list(range(40))[::way]
    for index in order:
        motion.update(index, truth[index])
    assert motion.believed and motion.steady == 39
    ahead = 45 if way == 1 else -5
    assert np.allclose(motion.expected(ahead)[:2], truth[0][:2] + ahead * np.array([3, -1]), atol=1.0)
    assert motion.spread(ahead) > motion.spread(order[-1])
    assert motion.agreement(order[-1] + way, truth[order[-1]]) > 0.7
    assert motion.agreement(order[-1] + way, truth[order[-1]] + 60) == 0
    motion.update(order[-1] + way, truth[order[-1]] + 60)
    assert motion.steady == 0 and not motion.believed, "it jumped"


def test_a_saved_motion_goes_on():
    motion = BoxMotion()
    assert motion.expected(3) is None and motion.agreement(3, boxes(1)[0]) == 1.0
    assert BoxMotion(motion.arrays()).expected(0) is None
    for index, box in enumerate(boxes(STEADY + 2)):
        motion.update(index, box)
    again = BoxMotion(motion.arrays())
    assert again.believed and np.array_equal(again.expected(30), motion.expected(30))
    motion.forget()
    assert motion.expected(30) is None


def test_a_growing_box_does_not_grow_for_ever():
    motion = BoxMotion()
    for index in range(20):
        motion.update(index, np.array([100 - index, 100 - index, 140 + index, 140 + index], float))
    x0, _, x1, _ = motion.expected(60)
    assert 70 < x1 - x0 < 100


@given(st.tuples(*[st.floats(-50, 50)] * 2), st.floats(1, 30), st.tuples(*[st.floats(-50, 50)] * 2), st.floats(1, 30))
def test_the_overlap_of_boxes(one, size, other, length):
    first, second = np.array([*one, one[0] + size, one[1] + size]), np.array([*other, other[0] + length, other[1] + 5])
    assert 0 <= overlap(first, second) <= 1 and overlap(first, second) == overlap(second, first)
    assert overlap(first, first) == pytest.approx(1)


def answer(x0, x1, logit=6.0, place=None, presence=0.9, ramp=0.0):
    place = place or Placement.stretch(96, 96, 96)
    logits = np.full((32, 32), NOTHING, np.float32)
    logits[8:24, x0:x1] = logit + ramp * np.arange(x1 - x0)
    return Answer(logits, place, 0.9, presence)


def full(one):
    return one.placement.upscale(one.logits[None])[0] > 0


def test_a_pixel_belongs_to_one_object():
    random = np.random.default_rng(0)
    place = Placement.stretch(90, 130, 64, enlarge="bilinear-once")
    answers = {
        key: Answer(random.normal(0, 4, (16, 16)).astype(np.float32) + np.float32(key), place, 0.5, 0.9)
        for key in range(1, 5)
    }
    found = exclude(answers, set())
    assert sum(full(one).astype(int) for one in found.values()).max() == 1
    values = np.stack([one.logits for one in answers.values()])
    for row, one in enumerate(found.values()):
        assert np.array_equal(one.logits > 0, (values[row] > 0) & (values.argmax(axis=0) == row)), "the surest"
    alone = {1: answers[1], 2: Answer(np.full((16, 16), NOTHING, np.float32), place, 0.0, 0.0)}
    assert exclude(alone, set())[1] is answers[1]


def test_what_lies_on_other_views_yields_too():
    other = Placement.letterbox(96, 96, 96, (20, 10, 80, 70))
    one, two = answer(4, 20, 6.0), answer(4, 28, 3.0, other)
    found = exclude({1: one, 2: two}, set())
    parts = np.zeros((2, 96, 96), bool)
    for number, part in enumerate(found.values()):
        x0, y0, x1, y1 = part.placement.crop
        parts[number, y0:y1, x0:x1] = full(part)
    before = np.zeros((96, 96), bool)
    before[10:70, 20:80] = full(two)
    assert (parts[0] <= full(one)).all() and parts[0].sum() > 0.97 * full(one).sum(), "the surer one keeps all"
    assert (parts[0] & before).sum() > 500 and (parts[0] & parts[1]).sum() < 0.03 * (parts[0] & before).sum()


def test_what_a_user_said_stands_and_little_that_is_left_is_nothing():
    told, found = answer(0, 20, 2.0), answer(2, 24, 7.0)
    kept = exclude({1: told, 2: found}, {1})
    assert kept[1] is told and not (full(kept[2]) & full(told)).any() and not (kept[2].logits > 0).any()
    assert kept[2].presence == 0, f"less than {LEFT} of it is left"
    both = exclude({1: told, 2: found}, {1, 2})
    assert both[1] is told and both[2] is found
    beside = exclude({1: told, 2: answer(12, 30, 7.0)}, {1})
    assert (beside[2].logits > 0).any() and beside[2].presence == 0.9


class Overlapping(ColourFollower):
    """Finds every object in the same place, the later ones a little surer to the right."""

    def follow(self, seen, memories, reverse):
        place = Placement.stretch(64, 96, SIDE)
        made = []
        for number, _ in enumerate(memories):
            logits = np.full((SIDE, SIDE), NOTHING, np.float32)
            logits[20:60] = 3 + number * np.linspace(-1, 1, SIDE, dtype=np.float32)
            made.append(Answer(logits, place, 0.9, 0.9))
        return made


@pytest.mark.parametrize("robust", [False, True])
def test_objects_of_a_session_exclude_each_other(robust):
    follower = Overlapping(robust)
    session = Tracker.over(follower).open([np.zeros((64, 96, 3), np.uint8)] * 3)
    session.prompt(0, 1, points=[(5, 20)])
    session.prompt(0, 2, points=[(85, 50)])
    (_, first), (_, second), _ = session.propagate()
    assert np.array_equal(first.array[0], first.array[1]), "both were told so"
    assert (second.array[0] & second.array[1]).any() != robust
    assert second.array.any(axis=0).sum() == pytest.approx(second.array[1].sum() * (2 if robust else 1), rel=0.06)


HIDDEN = range(8, 30)


def hiding(count=40):
    """A yellow square that moves to the right, behind something for a while."""
    frames = np.full((count, 64, 96, 3), 90, np.uint8)
    for index, rgb in enumerate(frames):
        if index not in HIDDEN:
            rgb[8:32, index : index + 24] = (250, 220, 40)
    return list(frames)


@pytest.mark.parametrize("robust", [False, True])
def test_frames_without_the_object_are_not_remembered(tmp_path, robust):
    tracker, engine = memory_tracker(tmp_path / "weights.pt", robust=robust)
    session = tracker.open(hiding())
    session.prompt(0, 1, points=[(5, 20)])
    found = dict(session.propagate())
    bank = session._objects[1].memory
    assert bool(set(HIDDEN) & set(bank.tracked)) != robust
    assert all(not found[index].array.any() for index in HIDDEN) and found[35].array.any()
    conditions = engine.calls("condition")
    rows, times, maps = conditions[HIDDEN[-1]]  # on the first frame after
    if robust:
        assert rows == [6, 0, 1, 2, 3, 4, 5] and [round(time * 15) for time in times[:3]] == [30, 23, 24]
        assert maps[0, 1:, 0].min() > -100, "they show the object"
    else:
        assert rows == [6, 0, 1, 2, 3, 4, 5] and [round(time * 15) for time in times[:3]] == [30, 1, 2]
    assert len(engine.calls("remember")) == (40 - len(HIDDEN) if robust else 40)


def test_motion_chooses_among_candidates(tmp_path):
    tracker, _ = memory_tracker(tmp_path / "weights.pt", robust=True)
    follower = tracker.follower
    assert isinstance(follower, MemoryFollower)
    seen = follower.see(20, np.zeros((64, 96, 3), np.uint8), None)
    bank = follower.memory()
    logits = np.full((1, 4, 16, 16), NOTHING, np.float32)
    logits[0, 1, 4:8, 4:8] = logits[0, 2, 4:8, 10:14] = 5
    found = type("Found", (), {"logits": logits, "scores": np.array([[0.9, 0.80, 0.85, 0.1]])})()
    assert follower._expected(seen, bank, found, 0) is None, "nothing is known of its motion"
    for index in range(20):
        bank.motion.update(index, np.array([24.0, 16, 48, 32]))
    assert follower._expected(seen, bank, found, 0) == 1
    found.scores = np.array([[0.9, 0.60, 0.85, 0.1]])
    assert follower._expected(seen, bank, found, 0) == 2, "motion is a small part of it"


def test_robust_sessions_are_saved_and_gone_on_with(tmp_path):
    tracker, _ = memory_tracker(tmp_path / "weights.pt", robust=True)
    session = tracker.open(hiding())
    session.prompt(0, 1, points=[(5, 20)])
    dict(session.propagate(stop=20))
    session.save(tmp_path / "a.session")
    again = memory_tracker(tmp_path / "again.pt", robust=True)[0].resume(tmp_path / "a.session", hiding())
    expected, found = dict(session.propagate(start=20)), dict(again.propagate(start=20))
    assert all(np.array_equal(found[index].logits, expected[index].logits) for index in expected)
    plain = memory_tracker(tmp_path / "plain.pt")[0].resume(tmp_path / "a.session", hiding())
    assert dict(plain.propagate(start=35))[39].array.any()
