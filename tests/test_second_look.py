"""A second look: when a part of the picture is encoded again, what it answers, and how masks go between the views.

The network is a stand-in that sees red: its logits are the redness of what it was shown, so that every answer is known
and the pictures that were encoded can be counted.
"""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anymask
from anymask.catalog import SecondLook, find
from anymask.everything import everything_in_steps, generate
from anymask.everything_options import Options
from anymask.placement import Placement
from anymask.second_look import closer_view
from anymask.segmenter import EncodedImage, Segmenter

SIDE, GRID = 512, 128


class SeesRed:
    """A segment engine: a cell's logit is its redness, less for cells far from the first point or out of the box."""

    def __init__(self, rules=None):
        self.spec = dataclasses.replace(find("pocket"), second_look=rules)
        self.encoded, self.masks = [], []

    def encode(self, rgb):
        self.encoded.append(rgb.shape)
        padded = np.zeros((SIDE, SIDE, 3), np.float32)
        padded[: rgb.shape[0], : rgb.shape[1]] = rgb
        small = cv2.resize(padded, (GRID, GRID), interpolation=cv2.INTER_AREA)
        return ((small[..., 0] - small[..., 1] - 60) / 20,)

    def prepare(self, features):
        return features

    def decode(self, embedding, coords, labels, mask=None):
        self.masks += [] if mask is None else list(mask)
        logits = np.repeat(embedding[0][None, None], len(coords), axis=0).repeat(4, axis=1)
        for one, points, kinds in zip(logits, coords, labels, strict=True):
            region = cv2.connectedComponents((one[0] > 0).astype(np.uint8))[1]
            clicks = (points[kinds == 1] / 4).astype(int).clip(0, GRID - 1)
            for x, y in clicks[:1]:
                one[:, region != region[y, x]] = -4
            if len(clicks) and not region[clicks[0][1], clicks[0][0]]:
                one[:] = -4
        return logits.astype(np.float32), np.tile(np.array([0.5, 0.6, 0.9, 0.7], np.float32), (len(coords), 1))


@pytest.fixture
def scene():
    """A small red disc, a second one near it, and a large one."""
    picture = np.full((480, 640, 3), 90, np.uint8)
    for centre, radius in (((100, 100), 12), ((140, 110), 11), ((450, 300), 120)):
        cv2.circle(picture, centre, radius, (220, 30, 30), -1)
    return picture


def disc(centre, radius):
    mask = np.zeros((480, 640), np.uint8)
    cv2.circle(mask, centre, radius, 1, -1)
    return mask.astype(bool)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_small_thing_is_looked_at_again_and_its_mask_is_finer(scene):
    engine = SeesRed(SecondLook(below=0.3, around=3.5))
    image = Segmenter.over(engine).encode(scene)
    once = image.predict(points=[(100, 100)], second_look=False)
    assert len(engine.encoded) == 1 and once.placements[0].crop == (0, 0, 640, 480)
    assert image.predict(points=[(100, 100)]).placements == once.placements  # a click alone waits for no second look
    twice = image.predict(points=[(100, 100)], second_look=True)
    assert len(engine.encoded) == 2 and len(twice) == 3
    x0, y0, x1, y1 = twice.placements[0].crop
    assert x0 <= 88 and y0 <= 88 and x1 >= 112 and y1 >= 112 and max(x1 - x0, y1 - y0) <= 140
    truth = disc((100, 100), 12)
    assert iou(twice.array[0], truth) > 0.95 > iou(once.array[0], truth)
    assert twice.array.shape == once.array.shape and twice.logits.shape == once.logits.shape


def test_candidates_of_scores_below_zero_are_candidates(scene):
    class Unsure(SeesRed):
        def decode(self, embedding, coords, labels, mask=None):
            logits, scores = super().decode(embedding, coords, labels, mask)
            return logits, -scores

    found = Segmenter.over(Unsure()).encode(scene).predict(points=[(100, 100)])
    assert found.scores.tolist() == pytest.approx([-0.6, -0.9, -0.7])


def test_a_box_needs_no_first_answer(scene):
    engine = SeesRed(SecondLook())
    image = Segmenter.over(engine).encode(scene)
    found = image.predict(box=(86, 86, 114, 114))
    assert len(found) == 1 and found.placements[0].crop != (0, 0, 640, 480) and len(engine.encoded) == 2


def test_what_is_large_or_not_there_is_answered_at_once(scene):
    engine = SeesRed(SecondLook())
    image = Segmenter.over(engine).encode(scene)
    large = image.predict(points=[(450, 300)], second_look=True)
    assert iou(large.array[0], disc((450, 300), 120)) > 0.95
    assert not image.predict(points=[(300, 30)], second_look=True).areas.any()
    image.predict(box=(320, 170, 580, 430))
    assert len(engine.encoded) == 1


def test_views_are_used_again_nearby_and_the_oldest_are_let_go(scene):
    engine = SeesRed(SecondLook())
    image = Segmenter.over(engine).encode(scene)
    for x in (98, 100, 102, 104):
        image.predict(points=[(x, 100)], second_look=True)
    assert len(engine.encoded) == 2
    image.predict(points=[(140, 110)], second_look=True)
    assert len(engine.encoded) <= 3
    for x in range(20, 620, 60):
        image.predict(box=(x, 10, x + 20, 30))
    assert len(image._views._views) == 4


def test_a_mask_given_back_is_known_and_carried(scene):
    engine = SeesRed(SecondLook())
    image = Segmenter.over(engine).encode(scene)
    first = image.predict(points=[(100, 100)], second_look=True).best
    second = image.predict(points=[(100, 100), (104, 96)], mask=first.logits[0], multimask=False)
    assert len(engine.encoded) == 2 and second.placements == first.placements
    np.testing.assert_array_equal(engine.masks[-1], first.logits[0])
    # A far click makes the thing larger than the view: the picture answers, and the mask lies on it.
    image.predict(points=[(100, 100), (450, 300)], mask=second.logits[0].copy(), multimask=False)
    carried = Placement.letterbox(480, 640, SIDE).region(engine.masks[-1])
    whole = np.zeros((480, 640), bool)
    whole[carried.y : carried.y + carried.pixels.shape[0], carried.x : carried.x + carried.pixels.shape[1]] = (
        carried.pixels
    )
    assert iou(whole, disc((100, 100), 12)) > 0.75
    # And a mask of the whole picture is carried to the closer view.
    again = Segmenter.over(engine).encode(scene)
    rough = again.predict(points=[(100, 100)], second_look=False).best
    refined = again.predict(points=[(100, 100)], mask=rough.logits[0], multimask=False)
    assert refined.placements[0].crop != (0, 0, 640, 480)
    assert iou(refined.array[0], disc((100, 100), 12)) > 0.95
    assert np.count_nonzero(engine.masks[-1] > 0) > 3 * np.count_nonzero(rough.logits[0] > 0)


def test_background_clicks_outside_of_the_view_are_left_out(scene):
    engine = SeesRed(SecondLook())
    image = Segmenter.over(engine).encode(scene)
    found = image.predict(points=[(100, 100), (600, 400)], labels=[1, 0], box=(86, 86, 114, 114))
    assert iou(found.array[0], disc((100, 100), 12)) > 0.95


def test_other_models_look_twice_when_asked(scene, tmp_path):
    engine = SeesRed(None)
    image = Segmenter.over(engine).encode(scene)
    assert image.predict(points=[(100, 100)]).placements[0].crop == (0, 0, 640, 480)
    assert image.predict(points=[(100, 100)], second_look=True).placements[0].crop != (0, 0, 640, 480)
    batch = [anymask.Prompt(points=[(100, 100)]), anymask.Prompt(points=[(450, 300)])]
    small, large = image.predict_batch(batch, second_look=True)
    assert small.placements[0].crop != (0, 0, 640, 480) == large.placements[0].crop


def test_without_the_picture_there_is_one_look(scene):
    engine = SeesRed(SecondLook())
    segmenter = Segmenter.over(engine)
    image = segmenter.encode(scene)
    bare = EncodedImage(segmenter, image.placement, image.features)
    assert bare.predict(box=(86, 86, 114, 114), second_look=True).placements[0].crop == (0, 0, 640, 480)


FIND = {"points_per_side": 24, "pred_iou_thresh": 0, "stability_score_thresh": 0}


def test_everything_shows_small_things_more_finely(scene):
    engine = SeesRed(SecondLook(below=0.3, around=3.0))
    image = Segmenter.over(engine).encode(scene)
    once = image.everything(**FIND)
    assert len(engine.encoded) == 1
    twice = image.everything(**FIND, second_look=True)
    assert 2 <= len(engine.encoded) <= 1 + 20 and len(engine.masks) == 2  # the two small ones, with their masks
    assert len(once) == len(twice) == 3
    for centre, radius in (((100, 100), 12), ((140, 110), 11)):
        truth = disc(centre, radius)
        before, after = (max(iou(mask, truth) for mask in found.array) for found in (once, twice))
        assert after > before and after > 0.93
    large = disc((450, 300), 120)
    assert max(iou(mask, large) for mask in twice.array) == max(iou(mask, large) for mask in once.array)
    crops = {tuple(crop) for crop in twice.extra["crop_box"].tolist()}
    assert (0, 0, 640, 480) in crops and len(crops) == 2  # both small ones in one view


def test_a_closer_view_that_shows_something_else_changes_nothing(scene):
    class Contrary(SeesRed):
        def decode(self, embedding, coords, labels, mask=None):
            logits, scores = super().decode(embedding, coords, labels, mask)
            return (logits, scores) if mask is None else (-logits, scores)

    image = Segmenter.over(Contrary(SecondLook(below=0.3))).encode(scene)
    once, twice = image.everything(**FIND), image.everything(**FIND, second_look=True)
    assert once.rles() == twice.rles() and once.scores.tolist() == twice.scores.tolist()


def test_in_steps_closer_masks_take_the_place_of_what_was_shown(scene):
    image = Segmenter.over(SeesRed(SecondLook(below=0.3))).encode(scene)
    shown = {}
    for step in everything_in_steps(image, **FIND, second_look=True):
        shown.update(step.found)
        for number in step.dropped:
            del shown[number]
    expected = image.everything(**FIND, second_look=True)
    assert sorted(mask.rles()[0]["counts"] for mask in shown.values()) == sorted(
        one["counts"] for one in expected.rles()
    )


def test_everything_cannot_look_closer_without_the_picture(scene, tmp_path):
    segmenter = Segmenter.over(SeesRed(SecondLook(below=0.3)))
    segmenter.encode(scene).save(tmp_path / "seen")
    with pytest.raises(anymask.ImageError, match="picture itself"):
        EncodedImage.load(tmp_path / "seen", segmenter).everything(**FIND, second_look=True)
    with pytest.raises(anymask.PromptError, match="second look"):
        generate(segmenter.encode(scene), Options(second_look=True))


@settings(max_examples=200)
@given(
    st.integers(1, 4000), st.integers(1, 4000), st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 1),
    st.floats(0.001, 1), st.floats(0.05, 0.9), st.floats(1.2, 8.0),
)  # fmt: skip
def test_a_view_holds_the_thing_and_lies_on_the_picture(height, width, x, y, w, h, below, around):
    box = np.array([x * width, y * height, min(x + w, 1) * width, min(y + h, 1) * height])
    view = closer_view(SecondLook(below, around), box, Placement.letterbox(height, width, SIDE))
    if view is None:
        return
    x0, y0, x1, y1 = view
    assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
    assert x0 <= box[0] + 1 and y0 <= box[1] + 1 and x1 >= box[2] - 1 and y1 >= box[3] - 1
    assert max(x1 - x0, y1 - y0) <= 0.75 * max(height, width) + 1
    assert max(box[2] - box[0], box[3] - box[1]) < below * max(height, width)


@settings(max_examples=50)
@given(st.integers(0, 300), st.integers(0, 200), st.integers(80, 400), st.integers(80, 300))
def test_carrying_there_and_back_changes_little(x, y, width, height):
    whole = Placement.letterbox(480, 640, SIDE)
    part = Placement.letterbox(480, 640, SIDE, (x, y, min(x + width, 640), min(y + height, 480)))
    ys, xs = np.mgrid[:GRID, :GRID]
    smooth = np.sin(xs / 9).astype(np.float32) * 3 + ys / 40
    there = part.carry(smooth, whole)
    x0, y0, x1, y1 = part.crop
    np.testing.assert_allclose(
        part.upscale(there[None])[0][4:-4, 4:-4], whole.upscale(smooth[None], part.crop)[0][4:-4, 4:-4], atol=0.35
    )
    back = whole.carry(there, part)
    inside = whole.upscale(back[None], part.crop)[0][8:-8, 8:-8]
    np.testing.assert_allclose(inside, whole.upscale(smooth[None], part.crop)[0][8:-8, 8:-8], atol=0.8)
    outside = np.ones((480, 640), bool)
    outside[max(y0 - 12, 0) : y1 + 12, max(x0 - 12, 0) : x1 + 12] = False
    assert (whole.upscale(back[None])[0][outside] < -7).all()
