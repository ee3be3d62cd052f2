"""The light tracker: masks along the flow, what an object looks like, and pocket following something."""

import cv2
import numpy as np
import pytest

from anymask import Tracker
from anymask.errors import ModelError, WeightsError
from anymask.placement import NOTHING, Placement
from anymask.tracking.appearance import MOST_TOLD, Appearance, features_of
from anymask.tracking.follower import Answer
from anymask.tracking.light import area_of, box_of, region_box, view_of
from anymask.tracking.motion import centres, flow_between, logits_at, sampled


def texture(height, width, cell, seed):
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (height // cell + 2, width // cell + 2, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def test_the_flow_says_where_pixels_were():
    large = texture(240, 400, 8, 0)
    before, now = large[20:200, 40:340], large[20 + 5 : 205, 40 - 9 : 331]  # all moves 9 to the right and 5 up
    window = (20, 10, 280, 170)
    flow, trust = flow_between(now, before, window)
    places = np.array([[[150.0, 90.0], [100.0, 60.0]]], np.float32)
    assert np.allclose(sampled(flow, window, places), [-9, 5], atol=0.5)
    assert sampled(trust, window, places).min() > 0.8
    _, doubt = flow_between(texture(180, 300, 8, 1), before, window)
    assert doubt.mean() < 0.5


@pytest.mark.parametrize("crop", [None, (30, 20, 130, 90)])
def test_cells_and_logits_of_a_placement(crop):
    place = Placement.letterbox(120, 200, 512, crop)
    logits = np.full((128, 128), NOTHING, np.float32)
    logits[40:60, 30:50] = 8
    assert np.allclose(logits_at(logits, place, centres(place, 128))[:80, :128], logits[:80, :128], atol=1e-3)
    x, y, pixels = place.region(logits)
    xs, ys = np.meshgrid(np.arange(200) + 0.5, np.arange(120) + 0.5)
    there = logits_at(logits, place, np.dstack([xs, ys]).astype(np.float32)) > 0
    whole = np.zeros((120, 200), bool)
    whole[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    assert (there & whole).sum() / (there | whole).sum() > 0.97
    box = region_box(place, logits)
    assert np.allclose(box, [x, y, x + pixels.shape[1], y + pixels.shape[0]], atol=1)
    assert area_of(Answer(logits, place, 1.0, 1.0)) == pytest.approx(whole.sum(), rel=0.06)
    assert box_of(Answer(np.full((128, 128), NOTHING, np.float32), place, 0.0, 0.0)) is None


def test_what_moves_in_from_the_edge_goes_on_as_it_was():
    place = Placement.letterbox(100, 100, 512)
    logits = np.full((128, 128), NOTHING, np.float32)
    logits[:, :20] = 8
    beyond = np.array([[[-7.0, 50.0], [107.0, 50.0]]], np.float32)
    assert logits_at(logits, place, beyond)[0].tolist() == [8, NOTHING]
    part = Placement.letterbox(100, 100, 512, (20, 0, 80, 60))
    assert logits_at(logits, part, np.array([[[12.0, 30.0], [22.0, 30.0]]], np.float32))[0].tolist() == [NOTHING, 8]


def test_views_lie_within_the_frame():
    assert view_of(np.array([10, 10, 60, 30]), 480, 854) == (0, 0, 100, 100)
    assert view_of(np.array([700, 400, 854, 480]), 480, 854) == (546, 172, 854, 480)
    assert view_of(np.array([5, 5, 849, 475]), 480, 854) == (0, 0, 854, 480)


def cells(seed, colour, count=400):
    random = np.random.default_rng(seed)
    return np.concatenate([random.normal(colour, 0.3, (count, 3)), np.ones((count, 1))], axis=1).astype(np.float32)


def test_an_object_is_told_from_its_surroundings():
    looks = Appearance()
    features = np.concatenate([cells(0, (1, 0, 0), 100), cells(1, (0, 1, 0), 900)])
    assert looks.scores(features) is None
    logits = np.repeat([8.0, -8.0], [100, 900])
    looks.learn(features, np.full(1000, 8.0), 0)
    assert looks.scores(features) is None  # all object: nothing to tell it from
    looks.learn(features, logits, 0)
    assert looks.scores(cells(2, (1, 0, 0))).mean() > 0.6 and looks.scores(cells(3, (0, 1, 0))).mean() < -0.6
    for step in range(30):  # slowly it becomes blue
        shade = step / 30
        new = np.concatenate([cells(step, (1 - shade, 0, shade), 100), cells(step + 1, (0, 1, 0), 900)])
        looks.learn(new, logits, None)
    assert looks.scores(cells(4, (0, 0, 1))).mean() > 0.3
    saved = Appearance(looks.arrays())
    assert np.allclose(saved.scores(features), looks.scores(features), atol=1e-4)
    looks.forget(0)
    assert not np.allclose(saved.scores(features), looks.scores(features), atol=1e-2)


def test_what_is_known_of_an_object_is_bounded():
    looks = Appearance()
    features, logits = np.concatenate([cells(0, (1, 0, 0)), cells(1, (0, 1, 0))]), np.repeat([8.0, -8.0], 400)
    for frame in range(40):
        looks.learn(features, logits, frame)
        looks.learn(features, logits, None)
    assert sum(array.nbytes for array in looks.arrays().values()) < (MOST_TOLD + 1) * 4 * 5 * 8 + 200
    with pytest.raises(WeightsError, match="saved with another model"):
        looks.scores(np.ones((5, 9), np.float32))
    arrays = looks.arrays() | {"recent": np.zeros((1, 3, 9), np.float32)}
    with pytest.raises(WeightsError, match="memory is damaged"):
        Appearance(arrays)


def test_features_of_any_encoder():
    place = Placement.letterbox(60, 100, 512)
    maps = (np.ones((1, 8, 32, 32), np.float32), np.ones((1, 3, 64, 64), np.float32), np.ones((1, 5, 9, 7), np.float32))
    found = features_of(maps, texture(60, 100, 8, 0), place, 64)
    assert found.shape == (64, 64, 8 + 3 + 3 + 1)
    assert np.isfinite(found).all() and (found[..., -1] == 1).all()


def test_a_model_that_takes_no_mask(monkeypatch):
    from anymask import tracker
    from anymask.catalog import find

    class Segmenter:
        name, spec = "efficient_sam_ti", find("efficient_sam_ti")

    monkeypatch.setattr(tracker, "Segmenter", lambda *options: Segmenter())
    with pytest.raises(ModelError, match="efficient_sam_ti takes no mask as a prompt"):
        Tracker("efficient_sam_ti")


def scene(index, hidden=False):
    """A plain red disc with a pattern that moves over a soft ground; and its mask."""
    rgb = cv2.GaussianBlur(texture(180, 320, 20, 3), (0, 0), 6)
    rgb = (0.5 * rgb + np.array([20, 60, 40])).astype(np.uint8)
    mask = np.zeros((180, 320), np.uint8)
    place = (90 + 8 * index, 80 + 3 * index)
    cv2.circle(mask, place, 34, 1, -1)
    if not hidden:
        cv2.circle(rgb, place, 34, (214, 40, 30), -1, cv2.LINE_AA)
        cv2.circle(rgb, (place[0] - 10, place[1] - 8), 9, (250, 220, 60), -1, cv2.LINE_AA)
    return rgb, mask.astype(bool)


@pytest.fixture(scope="module")
def pocket():
    return Tracker("pocket", device="cpu")


@pytest.mark.slow
def test_pocket_follows_a_disc(pocket, tmp_path):
    frames = [scene(index) for index in range(6)]
    with pocket.open([rgb for rgb, _ in frames]) as session:
        session.prompt(0, 1, points=[(90, 95)])
        found = dict(session.propagate(stop=4))
        session.save(tmp_path / "a.session")
    again = pocket.resume(tmp_path / "a.session", [rgb for rgb, _ in frames])
    found |= dict(again.propagate(start=4))
    for index, (_, mask) in enumerate(frames):
        one = found[index].array[0]
        assert (one & mask).sum() / (one | mask).sum() > 0.85, index
        assert found[index].extra["presence"][0] > 0.8


@pytest.mark.slow
def test_what_is_hidden_is_lost_and_found_again(pocket):
    frames = [scene(index, hidden=index in (2, 3)) for index in range(6)]
    with pocket.open(iter([rgb for rgb, _ in frames])) as session:
        session.prompt(0, 1, mask=frames[0][1])
        found = dict(session.propagate())
    assert found[1].areas[0] > 0 and found[1].extra["presence"][0] > 0.8
    assert [int(found[index].areas[0]) for index in (2, 3)] == [0, 0]
    assert max(found[index].extra["presence"][0] for index in (2, 3)) < 0.9
    one, mask = found[5].array[0], frames[5][1]
    assert (one & mask).sum() / (one | mask).sum() > 0.7
