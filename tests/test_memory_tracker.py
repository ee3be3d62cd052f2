"""Objects followed by a network's own memory: what it is shown of which frames; with a made-up network."""

import numpy as np
import pytest
from PIL import Image
from video_engine import CELLS, SIDE, ColourEngine, memory_tracker

from anymask import tracker as trackers
from anymask.errors import PromptError, WeightsError
from anymask.placement import Placement
from anymask.runtime.resize import resize_to_input
from anymask.tracker import Tracker
from anymask.tracking.bank import KEPT_MAPS, KEPT_POINTERS, Bank, Remembered, narrowed, widened
from anymask.tracking.memory import MemoryFollower

HEIGHT, WIDTH, FRAMES = 64, 96, 10
GREY, YELLOW, RED = (90, 90, 90), (250, 220, 40), (230, 30, 30)


def video(count=FRAMES):
    """A yellow square that moves, and a red one that stands still."""
    made = np.full((count, HEIGHT, WIDTH, 3), GREY, np.uint8)
    for index, rgb in enumerate(made):
        rgb[square(index)] = YELLOW
        rgb[44:60, 72:90] = RED
    return list(made)


def square(index):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    left = 2 * (index % 20)
    mask[8:32, left : left + 24] = True
    return mask


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "home"))
    tracker, engine = memory_tracker(tmp_path / "weights.pt")
    return tracker.open(video()), engine


def test_an_object_is_followed_both_ways(opened):
    session, engine = opened
    masks = session.prompt(5, 1, points=[(20, 20)])
    assert iou(masks.array[0], square(5)) > 0.8 and masks.extra["presence"][0] == pytest.approx(0.953, abs=1e-3)
    assert masks.scores[0] == pytest.approx(0.9)  # the best of the candidates for a lone point
    found = dict(session.propagate())
    assert all(iou(one.array[0], square(index)) > 0.8 for index, one in found.items())
    assert list(dict(session.propagate(reverse=True))) == [5, 4, 3, 2, 1, 0]
    assert iou(session.masks(0).array[0], square(0)) > 0.8
    ahead = engine.calls("condition")
    assert [rows for rows, _, _ in ahead[:3]] == [[6], [6, 0], [6, 0, 1]]
    assert [time * 9 for time in ahead[2][1]] == pytest.approx([3, 1, 2])  # of ten frames
    assert ahead[4][0] == [6, 1, 2, 3, 4], "turning round, the frames on the other side are still known"
    assert len(engine.calls("alone")) == 1 and len(engine.calls("encode")) <= FRAMES + 1
    asked, labels, earlier = engine.calls("answer")[0]
    assert asked.tolist() == [[[pytest.approx(20 * SIDE / WIDTH), 20]]] and labels == [[1]] and earlier is None
    assert [prompted for _, _, prompted in engine.calls("remember")].count(True) == 1, "a prompted frame's is kept"


def test_what_is_remembered_is_bounded(tmp_path):
    tracker, engine = memory_tracker(tmp_path / "weights.pt")
    session = tracker.open(iter(video(60)))
    for index, _ in session.propagate():
        if index == 0:
            session.prompt(0, 1, points=[(5, 20)])
    bank = session._objects[1].memory
    assert sum(one.map is not None for one in bank.tracked.values()) == KEPT_MAPS == 12
    rows, times, maps = engine.calls("condition")[-1]
    assert rows == [6, 0, 1, 2, 3, 4, 5] and maps.shape[1] == 7
    assert [round(time * 15) for time in times] == [59, *range(1, 16)]
    pointer = bank.tracked[59].pointer
    for index in range(60, 60 + KEPT_POINTERS):
        bank.track(index, Remembered(None, pointer))
        assert len(bank.tracked) <= KEPT_POINTERS and bank.told.keys() == {0}
    assert min(bank.tracked) == 60


def test_objects_whose_banks_are_alike_are_asked_together(opened):
    session, engine = opened
    session.prompt(0, 1, points=[(5, 20)])
    session.prompt(0, 2, box=(70, 42, 92, 62))
    _, labels, _ = engine.calls("answer")[1]
    assert labels == [[2, 3]]
    found = []
    for index, masks in session.propagate():
        found.append(masks)
        if index == 2:
            session.prompt(2, 3, points=[(80, 50)])
        if index == 5:
            session.remove(3)
    assert [len(maps) for _, _, maps in engine.calls("condition")] == [2, 2, 2, 1, 2, 1, 2, 1, 2, 2, 2, 2]
    assert [len(logits) for logits, _, _ in engine.calls("remember")][2:] == [2, 2, 1, 3, 3, 3, 2, 2, 2, 2]
    assert found[4].extra["object_id"].tolist() == [1, 2, 3]
    assert all(iou(one.array[0], square(index)) > 0.8 for index, one in enumerate(found))
    assert iou(found[9].array[1], found[1].array[1]) == 1 and not np.array_equal(found[9].array[0], found[9].array[1])


def test_objects_prompted_on_different_frames_are_asked_together(tmp_path):
    tracker, engine = memory_tracker(tmp_path / "weights.pt")
    session = tracker.open(video(20))
    session.prompt(0, 1, points=[(5, 20)])
    session.prompt(1, 2, box=(70, 42, 92, 62))
    found = dict(session.propagate(start=1))
    rows, times, maps = engine.calls("condition")[-1]
    assert rows == [6, 0, 1, 2, 3, 4, 5] and len(maps) == 2
    (first, *others), (second, *same) = times
    assert [round(15 * first), round(15 * second)] == [19, 18] and others == same
    assert iou(found[19].array[0], square(19)) > 0.8


def test_a_correction_is_seen_in_the_light_of_memory_and_sticks(opened):
    session, engine = opened
    session.prompt(0, 1, points=[(5, 20)])
    found = dict(session.propagate())
    engine.log.clear()
    session.prompt(4, 1, points=[(80, 50)])  # no, the red one
    ((rows, times, _),) = engine.calls("condition")
    assert rows == [6, 0, 1, 2] and [round(time * 9) for time in times] == [4, 1, 2, 3]
    ((_, _, earlier),) = engine.calls("answer")
    assert np.array_equal(earlier[0], found[4].logits[0]), "not as the session packs it"
    again = dict(session.propagate())
    assert np.array_equal(again[4].array[0], session.masks(4).array[0])
    rows = [rows for rows, _, _ in engine.calls("condition")[1:]]
    assert rows[0] == [6, 6] and rows[3] == [6, 6, 1, 2, 3], "frames before it see it, too"
    engine.log.clear()
    session.prompt(4, 1, points=[(92, 20)], labels=[0])
    ((rows, times, _),) = engine.calls("condition")
    assert rows == [6, 6, 0, 1, 2] and times[1] == 0
    assert engine.calls("answer")[0][1] == [[1, 0]]


def test_a_frame_that_was_not_tracked_is_answered_by_itself(opened):
    session, engine = opened
    first = session.prompt(0, 1, points=[(5, 20)]).logits[0]
    masks = session.prompt(0, 1, points=[(90, 5)], labels=[0])
    assert masks.scores[0] == pytest.approx(0.8)  # two points: the single mask
    assert np.array_equal(engine.calls("answer")[1][2][0], first)
    session.prompt(6, 1, box=(12, 8, 36, 32))
    assert engine.calls("condition") == [] and len(engine.calls("alone")) == 3
    assert [flag for _, _, flag in engine.calls("remember")] == [True] * 3


def test_a_correction_on_the_way_back_looks_the_same_way(opened):
    session, engine = opened
    session.prompt(7, 1, points=[(20, 20)])
    list(session.propagate(reverse=True))
    engine.log.clear()
    session.prompt(3, 1, points=[(10, 20)])
    ((rows, times, _),) = engine.calls("condition")
    assert rows == [6, 0, 1, 2] and [round(time * 9) for time in times] == [4, 1, 2, 3]


def test_a_whole_mask_is_adopted(opened):
    session, engine = opened
    mask = square(0)
    mask[20, 5] = False
    assert np.array_equal(session.prompt(0, 1, mask=mask).array[0], mask)
    (adopted,) = engine.calls("adopt")
    assert iou(adopted[0], np.asarray(Image.fromarray(mask).resize((SIDE, SIDE)))) > 0.9
    (_, again), (_, following) = session.propagate(stop=2)
    assert np.array_equal(again.array[0], mask) and iou(following.array[0], square(1)) > 0.8
    ((logits, presence, prompted), _) = engine.calls("remember")
    assert logits.shape == (1, CELLS, CELLS) and presence[0] > 0 and prompted


def test_an_object_that_is_gone_is_remembered_as_absent_and_found_again(tmp_path):
    tracker, engine = memory_tracker(tmp_path / "weights.pt")
    frames = video(6)
    frames[2][:] = frames[3][:] = GREY
    session = tracker.open(frames)
    session.prompt(0, 1, points=[(5, 20)])
    found = dict(session.propagate())
    assert not found[2].array.any() and found[2].extra["presence"][0] < 0.1 and found[2].logits.max() == -1024
    assert [presence[0] > 0 for _, presence, _ in engine.calls("remember")] == [True, True, False, False, True, True]
    assert iou(found[4].array[0], square(4)) > 0.8


def test_far_from_where_it_was_the_frame_before_is_remembered_anew(tmp_path):
    tracker, engine = memory_tracker(tmp_path / "weights.pt")
    session = tracker.open(video(40))
    session.prompt(0, 1, points=[(5, 20)])
    whole = dict(session.propagate())
    engine.log.clear()
    found = dict(session.propagate(start=15, stop=17))
    assert [rows for rows, _, _ in engine.calls("condition")] == [[6, 0], [6, 0, 1]]
    assert [len(times) for _, times, _ in engine.calls("condition")] == [15, 16], "pointers are all there"
    assert len(engine.calls("remember")) == 3
    assert all(np.array_equal(one.array, whole[index].array) for index, one in found.items())


def test_what_was_said_is_taken_back(opened):
    session, engine = opened
    session.prompt(0, 1, points=[(5, 20)])
    session.prompt(5, 1, points=[(80, 50)])
    session.clear(5, 1)
    assert session._objects[1].memory.told.keys() == {0}
    list(session.propagate(stop=2))
    assert engine.calls("condition")[0][0] == [6]
    session.reset()
    assert session.object_ids == [] and session.masks(0) is None
    session.prompt(3, 1, points=[(10, 20)])
    assert engine.log[-2][0] != "condition", "nothing is left of the object that had its number"


def test_a_session_is_saved_and_gone_on_with(opened, tmp_path):
    session, _ = opened
    session.prompt(0, 1, points=[(5, 20)])
    session.prompt(2, 5, mask=square(2))
    list(session.propagate(stop=6))
    session.prompt(4, 5, points=[(12, 20)])
    session.save(tmp_path / "a.session")
    tracker, engine = memory_tracker(tmp_path / "again.pt")
    again = tracker.resume(tmp_path / "a.session", video())
    expected, found = dict(session.propagate(start=5)), dict(again.propagate(start=5))
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[index].logits, expected[index].logits) for index in found)
    ours = [(rows, times) for rows, times, _ in opened[1].calls("condition")][-len(engine.calls("condition")) :]
    assert [(rows, times) for rows, times, _ in engine.calls("condition")] == ours
    with pytest.raises(PromptError, match="no object 7"):
        again.remove(7)
    other, _ = memory_tracker(tmp_path / "other.pt", b"other weights")
    with pytest.raises(WeightsError, match="saved with other weights"):
        other.resume(tmp_path / "a.session", video())


def test_banks_that_are_damaged(opened):
    session, _ = opened
    session.prompt(0, 1, points=[(5, 20)])
    list(session.propagate(stop=3))
    bank = session._objects[1].memory
    arrays = bank.arrays()
    same = Bank(lambda: str(arrays["weights"]), arrays)
    assert same.at() == 2 and same.told.keys() == {0} and list(same.tracked) == [1, 2]
    assert np.array_equal(same.tracked[2].map, bank.tracked[2].map) and same.told[0].passed
    for name in ("told_frames", "tracked_map", "index"):
        with pytest.raises(WeightsError, match="memory is damaged"):
            Bank(lambda: str(arrays["weights"]), {key: value for key, value in arrays.items() if key != name})
    with pytest.raises(WeightsError, match="memory is damaged"):
        Bank(lambda: str(arrays["weights"]), arrays | {"told_map_of": np.array([3])})


def test_halves_are_whole_bfloat16s():
    values = np.array([0, -1.5, 3.25, -1024, 2**-20], np.float32)
    assert narrowed(values).dtype == np.uint16 and np.array_equal(widened(narrowed(values)), values)


def test_frames_are_resized_as_pillow_does():
    rgb = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    found = resize_to_input(rgb, Placement.stretch(50, 70, 32), "cubic8")
    assert np.array_equal(found, np.asarray(Image.fromarray(rgb).resize((32, 32), Image.Resampling.BICUBIC)))


def test_models_with_a_memory_follow_by_it(monkeypatch, tmp_path):
    asked = []

    def load(*options):
        asked.append(options)
        return ColourEngine()

    monkeypatch.setattr(trackers, "load_video_engine", load)
    tracker = Tracker("sam2.1_hiera_tiny", "cpu", weights=tmp_path / "w.pt")
    assert isinstance(tracker.follower, MemoryFollower) and tracker.name == "sam2.1_hiera_tiny"
    assert asked == [("sam2.1_hiera_tiny", "cpu", "auto", tmp_path / "w.pt")]
