"""Flicker taken out of mattes, and what moves left as it is."""

import cv2
import numpy as np
import pytest

pytest.importorskip("av", reason="clips need the video extra")

from composites import texture

from anymask.video.reading import Frame
from anymask.video.smoothing import steadied

SIZE = 200, 300


def scene(count: int, step: int, width: int = 60) -> list[tuple[Frame, np.ndarray]]:
    """A textured bar that moves to the right over a textured ground, with its true mattes."""
    random = np.random.default_rng(0)
    ground, bar = texture(SIZE, (60, 90, 60), random), texture(SIZE, (190, 120, 60), random)
    result = []
    for index in range(count):
        alpha = np.zeros(SIZE, np.float32)
        alpha[40:160, 50 + index * step : 50 + index * step + width] = 1
        moved = np.roll(bar, index * step, axis=1)
        rgb = alpha[..., None] * moved + (1 - alpha[..., None]) * ground + random.normal(0, 2, ground.shape)
        result.append((Frame(np.clip(rgb, 0, 255).astype(np.uint8), index, []), alpha))
    return result


@pytest.mark.parametrize("step", [0, 3, 10])
def test_what_is_missing_for_one_frame_comes_back(step):
    frames = scene(5, step)
    spoilt = frames[2][1].copy()
    cv2.circle(spoilt, (80 + 2 * step, 100), 15, 0.0, -1)
    given = [(frame, spoilt if frame.pts == 2 else alpha) for frame, alpha in frames]
    found = list(steadied(given))
    assert [frame.pts for frame, _ in found] == [0, 1, 2, 3, 4]
    before, after = (np.abs(alpha - frames[2][1]).mean() for alpha in (spoilt, found[2][1]))
    assert after < 0.1 * before
    assert (spoilt == given[2][1]).all(), "what was given is left alone"


@pytest.mark.parametrize(("step", "width"), [(3, 60), (10, 60), (6, 8)])
def test_what_moves_stays_whole(step, width):
    """Narrow things as well, which are gone in the frames before and after it where they are now."""
    frames = scene(5, step, width)
    for (_, alpha), (_, true) in zip(steadied(frames), frames, strict=True):
        assert np.abs(alpha - true).sum() < 0.12 * true.sum()


def test_a_cut_is_no_flicker():
    """One frame of another scene: nothing of its neighbours fits."""
    frames = scene(3, 0)
    other = np.full((*SIZE, 3), 250, np.uint8), np.zeros(SIZE, np.float32)
    frames[1] = Frame(other[0], 1, []), other[1]
    assert not list(steadied(frames))[1][1].any()


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("side", [1, 7, 40])
def test_few_and_small_frames(count, side):
    flat = np.zeros((side, 2 * side, 3), np.uint8)
    given = [(Frame(flat, index, []), np.full((side, 2 * side), 1, np.float32)) for index in range(count)]
    found = list(steadied(iter(given)))
    assert [frame.pts for frame, _ in found] == list(range(count))
    assert all((alpha == 1).all() for _, alpha in found)


def test_a_frame_comes_when_the_next_has_come():
    asked = []

    def frames():
        for frame, alpha in scene(4, 3):
            asked.append(frame.pts)
            yield frame, alpha

    steady = steadied(frames())
    for expected in range(3):
        frame, _ = next(steady)
        assert frame.pts == expected and asked[-1] == expected + 1
