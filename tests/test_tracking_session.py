"""Sessions: prompts, corrections, objects that come and go, streams, and what stays in memory; without a network."""

import numpy as np
import pytest
from clips import HEIGHT, WIDTH, clip, frame
from followers import ColourFollower, colour_tracker

from anymask.errors import ImageError, PromptError, WeightsError
from anymask.tracker import Tracker
from anymask.tracking import session as sessions

FRAMES = 8


def video(count: int = FRAMES) -> list[np.ndarray]:
    """The yellow square of `clips`, and a red one that stands still."""
    made = [frame(index) for index in range(count)]
    for rgb in made:
        rgb[48:60, 80:92] = (230, 30, 30)
    return made


def yellow(index: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[16:40, 2 * index : 2 * index + 24] = True
    return mask


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.fixture
def session():
    return colour_tracker().open(video())


def test_an_object_is_followed_both_ways(session):
    masks = session.prompt(3, 1, points=[(18, 20)])
    assert masks.extra["object_id"].tolist() == [1] and iou(masks.array[0], yellow(3)) > 0.9
    forward = list(session.propagate())
    assert [index for index, _ in forward] == [3, 4, 5, 6, 7]
    assert all(iou(found.array[0], yellow(index)) > 0.9 for index, found in forward)
    assert [index for index, _ in session.propagate(reverse=True)] == [3, 2, 1, 0]
    follower = session._follower
    assert follower.ways == [(4, False), (5, False), (6, False), (7, False), (2, True), (1, True), (0, True)]
    assert follower.seen[:5] == [(index, FRAMES) for index in range(3, 8)]  # each frame once
    assert [index for index, _ in session.propagate(start=4, stop=6)] == [4, 5]
    assert [index for index, _ in session.propagate(start=6, stop=4, reverse=True)] == [6, 5]
    assert iou(session.masks(0).array[0], yellow(0)) > 0.9
    assert session.object_ids == [1] and session.prompted == {1: [3]}


def test_objects_are_there_from_where_they_were_prompted(session):
    session.prompt(0, 1, points=[(5, 20)])
    session.prompt(4, 7, box=(78, 46, 94, 62))
    ids = {index: found.extra["object_id"].tolist() for index, found in session.propagate()}
    assert ids == {i: [1] if i < 4 else [1, 7] for i in range(FRAMES)}
    back = {index: found.extra["object_id"].tolist() for index, found in session.propagate(reverse=True)}
    assert back == {4: [7], 3: [7], 2: [7], 1: [7], 0: [1, 7]}


def test_objects_come_and_go_while_frames_are_propagated(session):
    session.prompt(0, 1, points=[(5, 20)])
    ids = []
    for index, found in session.propagate():
        ids.append(found.extra["object_id"].tolist())
        if index == 2:
            session.prompt(2, 2, points=[(85, 50)])
        if index == 5:
            session.remove(1)
    assert ids == [[1], [1], [1], [1, 2], [1, 2], [1, 2], [2], [2]]
    with pytest.raises(PromptError, match="There is no object 1; followed: 2"):
        session.remove(1)


def test_a_correction_sticks_and_starts_from_what_was_found(session):
    follower = session._follower
    session.prompt(0, 1, points=[(5, 20)])
    before = dict(session.propagate())
    session.prompt(4, 1, points=[(85, 50)])  # no, the red one
    assert np.array_equal(follower.before[-1].logits > 0, before[4].logits[0] > 0)
    found = dict(session.propagate(start=2))
    assert iou(found[3].array[0], session.masks(3).array[0]) == 1
    red = np.zeros((HEIGHT, WIDTH), bool)
    red[48:60, 80:92] = True
    assert all(iou(found[index].array[0], red) > 0.8 for index in range(4, FRAMES))
    assert iou(session.masks(0).array[0], yellow(0)) > 0.9


def test_points_of_a_frame_add_up_until_they_are_cleared(session):
    session.prompt(0, 1, points=[(5, 20)])
    session.prompt(0, 1, points=[(90, 3)], labels=[0])
    told = session._objects[1].told[0].prompt
    assert told.points.tolist() == [[5, 20], [90, 3]] and told.labels.tolist() == [1, 0]
    session.prompt(0, 1, box=(0, 14, 30, 44))
    assert session._objects[1].told[0].prompt.box.tolist() == [0, 14, 30, 44]
    session.prompt(3, 1, points=[(85, 50)])
    session.clear(3, 1)
    assert session.prompted == {1: [0]} and list(session._objects[1].memory.told) == [0]
    session.clear(0, 1)
    assert session.object_ids == []
    with pytest.raises(PromptError, match="no object 1; followed: none"):
        session.clear(0, 1)


def test_a_whole_mask_is_taken_as_it_is(session):
    mask = yellow(0)
    mask[20, 5] = False
    found = session.prompt(0, 1, mask=mask)
    assert np.array_equal(found.array[0], mask)
    (_, again), (_, following) = session.propagate(stop=2)
    assert np.array_equal(again.array[0], mask)
    assert iou(following.array[0], yellow(1)) > 0.9


def test_reset_forgets_everything(session):
    session.prompt(0, 1, points=[(5, 20)])
    list(session.propagate())
    session.reset()
    assert session.object_ids == [] and session.masks(0) is None
    with pytest.raises(PromptError, match="Nothing was prompted yet"):
        next(session.propagate())


@pytest.mark.parametrize(
    ("frame_index", "object_id", "options", "message"),
    [
        (8, 1, {"points": [(5, 20)]}, "no frame 8 in the list of frames: it has 8, from 0 to 7"),
        (-1, 1, {"points": [(5, 20)]}, "no frame -1"),
        (0, 0, {"points": [(5, 20)]}, "whole number from 1 on, not 0"),
        (0, "dog", {"points": [(5, 20)]}, "not 'dog'"),
        (0, 1, {"points": [(500, 20)]}, "outside of the picture of 96 x 64"),
        (0, 1, {}, "The prompt is empty"),
        (0, 1, {"mask": np.ones((5, 5), bool)}, "the frame's size, 96 x 64 pixels"),
        (0, 1, {"mask": np.zeros((HEIGHT, WIDTH), bool)}, "The mask is empty"),
        (0, 1, {"mask": np.ones((HEIGHT, WIDTH), bool), "box": (1, 1, 5, 5)}, "A mask says all"),
        (0, 1, {"points": [(5, 20)], "labels": [0]}, "Object 1 is not known on frame 0"),
    ],
)
def test_prompts_that_are_refused_change_nothing(session, frame_index, object_id, options, message):
    with pytest.raises(PromptError, match=message):
        session.prompt(frame_index, object_id, **options)
    assert session.object_ids == []


def test_ways_that_lead_nowhere(session):
    session.prompt(2, 1, points=[(8, 20)])
    with pytest.raises(PromptError, match="no frame 30"):
        next(session.propagate(start=30))
    with pytest.raises(PromptError, match="no way from frame 4 to frame 2 on"):
        next(session.propagate(start=4, stop=2))
    with pytest.raises(PromptError, match="no way from frame 2 to frame 4 back"):
        next(session.propagate(start=2, stop=4, reverse=True))
    assert list(session.propagate(start=2, stop=2)) == []


def test_a_clip_of_one_frame(tmp_path):
    with colour_tracker().open(clip(tmp_path / "one.mp4", 1)) as session:
        session.prompt(0, 1, points=[(5, 20)])
        assert [index for index, _ in session.propagate()] == [0]
        assert [index for index, _ in session.propagate(reverse=True)] == [0]


def test_a_clip_that_breaks_off_ends_the_way(tmp_path):
    path = clip(tmp_path / "a.mp4", 200, width=320, height=240, early=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with colour_tracker().open(path) as session:
        session.prompt(0, 1, points=[(5, 20)])
        found = [index for index, _ in session.propagate()]
        assert found == list(range(len(found))) and len(found) > 10
        assert "cut off" in session.trouble


def test_a_stream_in_bounded_memory():
    def coming():
        for index in range(2000):
            yield frame(index % 30)

    session = colour_tracker().open(coming())
    first = {}
    for index, found in session.propagate():
        if index == 0:
            assert len(found) == 0 and found.extra["object_id"].tolist() == []
            session.prompt(0, 1, points=[(5, 20)])
        else:
            first.setdefault(index, iou(found.array[0], yellow(index % 30)))
        assert len(session._seen) <= sessions.SEEN_FRAMES and len(session.frames._window) <= 8
    assert len(first) == 1999 and min(first.values()) > 0.9
    assert len(session.kept) == 2000 and sum(len(one.data) for _, one in session.kept) < 2_000_000
    with pytest.raises(PromptError, match="Frame 5 of the stream has passed"):
        session.prompt(5, 1, points=[(5, 20)])
    with pytest.raises(PromptError, match="cannot be followed backwards"):
        next(session.propagate(reverse=True))


def test_answers_are_kept_up_to_a_bound(session):
    session.kept.most = 5
    session.prompt(0, 1, points=[(5, 20)])
    whole = dict(session.propagate())
    assert session.masks(0) is None
    assert all(np.array_equal(session.masks(i).array, whole[i].array) for i in range(3, FRAMES))


def test_a_session_is_saved_and_gone_on_with(session, tmp_path):
    session.prompt(0, 1, points=[(5, 20)])
    session.prompt(2, 5, mask=yellow(2))
    expected = dict(session.propagate())
    session.save(tmp_path / "a.session")
    again = colour_tracker().resume(tmp_path / "a.session", video())
    assert again.object_ids == [1, 5] and again.prompted == {1: [0], 5: [2]}
    assert np.array_equal(again.masks(6).array, expected[6].array)
    found = dict(again.propagate(start=1))
    assert all(np.array_equal(found[i].array, expected[i].array) for i in range(1, FRAMES))
    assert np.array_equal(found[2].array[1], yellow(2))
    again.prompt(6, 1, points=[(14, 20)])


def test_a_stream_goes_on_after_a_session_was_saved(tmp_path):
    frames = video()
    session = colour_tracker().open(iter(frames[:4]))
    session.prompt(0, 1, points=[(5, 20)])
    assert [index for index, _ in session.propagate()] == [0, 1, 2, 3]
    session.save(tmp_path / "a.session")
    again = colour_tracker().resume(tmp_path / "a.session", iter(frames[4:]))
    found = dict(again.propagate())
    assert list(found) == [4, 5, 6, 7] and iou(found[7].array[0], yellow(7)) > 0.9


def test_sessions_that_cannot_be_gone_on_with(session, tmp_path):
    session.prompt(0, 1, points=[(5, 20)])
    path = tmp_path / "a.session"
    session.save(path)

    def refused(kind, match, frames=None, tracker=None):
        with pytest.raises(kind, match=match):
            (tracker or colour_tracker()).resume(path, frames or video())

    refused(ImageError, "not the video that", video(4))
    refused(ImageError, "not the video that", [255 - one for one in video()])
    other = ColourFollower()
    other.spec = type("Spec", (), {"name": "another"})()
    refused(WeightsError, "was saved with pocket, not with another", tracker=Tracker.over(other))
    path.write_bytes(path.read_bytes()[:-200])
    refused(ImageError, "damaged")
    path.unlink()
    refused(ImageError, "cannot be read")
    with pytest.raises(ImageError, match="cannot be written"):
        session.save(tmp_path / "none" / "a.session")
