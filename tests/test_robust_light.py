"""The light tracker with `robust`: an object that goes behind things, and its doubles; a made-up segmenter that knows
colours takes the network's place."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from anymask import Tracker
from anymask.catalog import find
from anymask.placement import NOTHING, Placement
from anymask.tracking.follower import Answer
from anymask.tracking.light import LightFollower
from anymask.tracking.motion import centres, flow_between, sampled
from anymask.tracking.relocation import PATIENT, RIVALS, RelocatingFollower, RelocatingMemory, Rival, apart, peaks

HEIGHT, WIDTH = 120, 240
RED = np.array([214, 40, 30], np.float32)


class ColourSegmenter:
    """As much of `anymask.Segmenter` as the light tracker asks for: what is red within the box is the object."""

    spec = find("pocket")

    def __init__(self):
        self.engine = self
        self.encoded = 0

    def encode(self, rgb, box):
        self.encoded += 1
        place = Placement.letterbox(*rgb.shape[:2], self.spec.input.side, box)
        x0, y0, x1, y1 = place.crop
        side = self.spec.mask_side
        rows, columns = place.valid(np.empty((side, side))).shape
        small = np.zeros((side, side, 3), np.float32)
        small[:rows, :columns] = cv2.resize(rgb[y0:y1, x0:x1], (columns, rows), interpolation=cv2.INTER_AREA)
        features = (np.moveaxis(cv2.resize(small, (32, 32)), -1, 0)[None] / 255,)
        return SimpleNamespace(placement=place, features=features, embedding=small)

    def decode(self, small, coords, labels, mask):
        scale = self.spec.mask_side / self.spec.input.side
        x0, y0, x1, y1 = (coords.reshape(4) * scale).round().astype(int)
        reach = max(4, (x1 - x0) // 3, (y1 - y0) // 3)
        logits = np.full((1, 1, *small.shape[:2]), NOTHING, np.float32)
        window = np.s_[max(0, y0 - reach) : y1 + reach, max(0, x0 - reach) : x1 + reach]
        red = np.abs(small[window] - RED).max(axis=-1) < 70
        logits[0, 0][window] = np.where(red, 6, NOTHING)
        return logits, np.array([[0.9]], np.float32)


def ground():
    random = np.random.default_rng(3)
    small = random.integers(60, 140, (8, 14), np.uint8)
    grey = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.dstack([grey // 2, grey, grey])


def scene(place, bar=None, others=()):
    """A frame with a patterned red disc at `place`, doubles of it at others, and an upright bar from x0 to x1; and the
    mask of what is to be seen of the disc."""
    rgb, mask = ground(), np.zeros((HEIGHT, WIDTH), np.uint8)
    for spot in (*others, place):
        if spot is None:
            continue
        x, y = (round(value) for value in spot)
        cv2.circle(rgb, (x, y), 17, tuple(int(value) for value in RED), -1, cv2.LINE_AA)
        cv2.circle(rgb, (x - 5, y - 4), 4, (190, 80, 60), -1, cv2.LINE_AA)
    if place is not None:
        cv2.circle(mask, (round(place[0]), round(place[1])), 17, 1, -1)
    if bar is not None:
        rgb[:, bar[0] : bar[1]] = (200, 200, 190)
        mask[:, bar[0] : bar[1]] = 0
    return rgb, mask.astype(bool)


def iou(one, other):
    return (one & other).sum() / max(1, (one | other).sum())


def followed(follower, frames, others=()):
    """What is found of the first frame's disc, and of further masks there."""
    with Tracker.over(follower).open([rgb for rgb, _ in frames]) as session:
        session.prompt(0, 1, mask=frames[0][1])
        for number, mask in enumerate(others, 2):
            session.prompt(0, number, mask=mask)
        return [masks.array for _, masks in session.propagate()]


def behind_a_bar(count=40, speed=4):
    return [scene((30 + speed * index, 60 + 6 * np.sin(0.3 * index)), (85, 165)) for index in range(count)]


def test_an_object_that_was_away_for_long_is_found_again():
    frames = behind_a_bar()
    hidden = [index for index, (_, mask) in enumerate(frames) if not mask.any()]
    assert 10 <= len(hidden) <= 20
    found = followed(RelocatingFollower(ColourSegmenter()), frames)
    assert all(not found[index].any() for index in hidden[2:])
    out = next(index for index in range(hidden[-1], 40) if frames[index][1].sum() > 700)
    assert min(iou(found[index][0], frames[index][1]) for index in range(out, 40)) > 0.7
    assert min(iou(found[index][0], frames[index][1]) for index in range(10)) > 0.7


def test_it_may_come_out_anywhere():
    frames = [scene((40 + 3 * index, 40), (70, 130)) for index in range(18)]
    frames += [scene(None, (70, 130))] * 12
    frames += [scene((200 - 2 * index, 90), (70, 130)) for index in range(8)]
    found = followed(RelocatingFollower(ColourSegmenter()), frames)
    assert not any(found[index].any() for index in range(26, 30))
    assert min(iou(found[index][0], frames[index][1]) for index in range(32, 38)) > 0.7


def test_a_double_that_stood_there_before_is_not_taken_for_it():
    double = (210, 30)
    frames = [scene((30 + 3 * index, 80), (70, 130), [double]) for index in range(24)]
    frames += [scene(None, (70, 130), [double])] * 14
    found = followed(RelocatingFollower(ColourSegmenter()), frames)
    assert iou(found[8][0], frames[8][1]) > 0.7
    assert not any(found[index].any() for index in range(28, 38)), "only its double is to be seen"
    plain = followed(LightFollower(ColourSegmenter()), frames)
    assert any(plain[index].any() for index in range(28, 38)), "without looking round it would be"


def test_a_lost_object_is_not_looked_for_on_another():
    frames = [scene((30 + 4 * index, 80), (70, 240), [(30 + 4 * index, 30)]) for index in range(6)]
    frames += [scene(None, (110, 240), [(50, 30)])] * 8
    beside = scene((30, 30))[1]
    both = followed(RelocatingFollower(ColourSegmenter()), frames, [beside])
    assert not any((masks[0] & masks[1]).any() for masks in both)
    assert not any(both[index][0].any() for index in range(8, 14))
    assert iou(both[10][1], scene((50, 30))[1]) > 0.7


def test_the_default_is_what_it_was():
    """What is seen all the time is followed alike; the light tracker encodes one view of each frame."""
    frames = [scene((50 + 3 * index, 60)) for index in range(10)]
    segmenter = ColourSegmenter()
    plain = followed(LightFollower(segmenter), frames)
    assert segmenter.encoded <= 11
    robust = ColourSegmenter()
    other = followed(RelocatingFollower(robust), frames)
    assert robust.encoded <= segmenter.encoded + 2 * (1 + 2 * RIVALS)
    assert all(iou(plain[index][0], other[index][0]) > 0.9 for index in range(10))


def test_only_frames_that_show_it_whole_are_learned_from():
    follower = RelocatingFollower(ColourSegmenter())
    frames = behind_a_bar()
    with Tracker.over(follower).open([rgb for rgb, _ in frames]) as session:
        session.prompt(0, 1, mask=frames[0][1])
        memory = session._objects[1].memory
        assert isinstance(memory, RelocatingMemory)
        areas, learned = [], []
        for index, _ in session.propagate(stop=20):
            areas.append(frames[index][1].sum())
            learned.append(memory.motion.index)
    last = max(index for index in range(20) if learned[index] == index)
    assert areas[last] > 0.5 * areas[0] and learned[-1] == last < 19
    assert memory.area > 0.6 * areas[0], "what is left of it at last is not its size"


def test_a_session_is_saved_and_gone_on_with(tmp_path):
    frames = behind_a_bar()
    session = Tracker.over(RelocatingFollower(ColourSegmenter())).open([rgb for rgb, _ in frames])
    session.prompt(0, 1, mask=frames[0][1])
    list(session.propagate(stop=9))
    session.save(tmp_path / "a.session")
    for follower in (RelocatingFollower(ColourSegmenter()), LightFollower(ColourSegmenter())):
        again = Tracker.over(follower).resume(tmp_path / "a.session", [rgb for rgb, _ in frames])
        found = dict(again.propagate(start=9, stop=11))
        assert iou(found[10].array[0], frames[10][1]) > 0.7
    plain = Tracker.over(LightFollower(ColourSegmenter())).open([rgb for rgb, _ in frames])
    plain.prompt(0, 1, mask=frames[0][1])
    plain.save(tmp_path / "b.session")
    again = Tracker.over(RelocatingFollower(ColourSegmenter())).resume(
        tmp_path / "b.session", [rgb for rgb, _ in frames]
    )
    assert iou(dict(again.propagate(start=0, stop=4))[3].array[0], frames[3][1]) > 0.7


def test_places_that_look_like_an_object():
    place = Placement.letterbox(100, 200, 512)
    looks = np.full((128, 128), -1.0, np.float32)
    cells = centres(place, 128)
    for x, y, value in ((50, 40, 1.0), (150, 60, 0.8)):
        looks[(np.abs(cells[..., 0] - x) < 10) & (np.abs(cells[..., 1] - y) < 8)] = value
    found = peaks(place, looks, np.array([0.0, 0, 20, 16]), 3)
    assert np.allclose(found[0][0], [40, 32, 60, 48], atol=2.5) and found[0][1] > 0.8
    assert apart(found[1][0], np.array([140, 52, 160, 68])) < 2.5 and 0.5 < found[1][1] < 0.8
    assert found[2][1] < found[1][1]
    assert len(peaks(place, looks, np.array([0.0, 0, 500, 400]), 3)) == 1, "there is room for one of that size"


def test_look_alikes_are_kept_in_mind_for_a_while():
    follower, memory = RelocatingFollower(ColourSegmenter()), RelocatingMemory()
    usual, there = np.array([0.0, 0, 30, 30]), np.array([100.0, 50, 130, 80])
    memory.motion.update(0, usual)
    memory.rivals = [Rival(there, 0)]
    moved = there + 8
    assert follower._unclaimed(SimpleNamespace(index=1), memory, usual, [(moved, 0.9), (there + 60, 0.8)])[0][0] == 160
    assert memory.rivals[0].box is moved
    assert follower._unclaimed(SimpleNamespace(index=1 + PATIENT), memory, usual, []) == [] and memory.rivals
    assert follower._unclaimed(SimpleNamespace(index=2 + PATIENT), memory, usual, []) == [] and not memory.rivals


def test_flow_that_does_not_lead_back_is_not_believed():
    random = np.random.default_rng(0)

    def texture(height, width):
        small = random.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)

    large, bar = texture(180, 340), texture(180, 60)
    before, now = large[:, 20:320].copy(), large[:, 20:320].copy()
    before[:, 100:160], now[:, 130:190] = bar, bar  # a bar passes before what stands still
    window = (0, 0, 300, 180)
    (_, once), (_, both) = (flow_between(now, before, window, both_ways=way) for way in (False, True))
    assert (both <= once + 1e-6).all()
    still, covered = (
        np.array([[[40.0, 90.0]]], np.float32),
        np.dstack(np.meshgrid(np.arange(104, 126), np.arange(40, 140))),
    )
    covered = covered.astype(np.float32)
    assert sampled(both, window, still)[0, 0] > 0.8
    assert sampled(both, window, covered).mean() < 0.6 * sampled(once, window, covered).mean()


@pytest.mark.slow
def test_pocket_finds_a_disc_again():
    frames = behind_a_bar()
    with Tracker("pocket", device="cpu", robust=True).open([rgb for rgb, _ in frames]) as session:
        assert session._follower.robust
        session.prompt(0, 1, mask=frames[0][1])
        found = [masks.array[0] for _, masks in session.propagate()]
    assert np.mean([iou(found[index], frames[index][1]) for index in range(36, 40)]) > 0.7


def test_answers_of_others_take_place():
    follower = RelocatingFollower(ColourSegmenter())
    place = Placement.letterbox(HEIGHT, WIDTH, 512)
    logits = np.full((128, 128), NOTHING, np.float32)
    logits[10:30, 20:40] = 5
    left = np.where(np.arange(128) < 30, logits, NOTHING).astype(np.float32)
    one, other = Answer(logits, place, 0.9, 0.9), Answer(left, place, 0.9, 0.9)
    assert follower._claimed(one, [other]) == pytest.approx(0.5) and follower._claimed(one, []) == 0
