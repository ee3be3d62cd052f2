"""Where an object's box is to be expected: a Kalman filter of constant velocity, as SAMURAI has one (Yang et al. 2024,
arXiv 2411.11922, §4.1).

The state is the box's middle, width and height, each with its velocity. All uncertainties are shares of the box's
size, as in trackers by detection (Wojke et al. 2017, "Simple online and realtime tracking with a deep association
metric", whose 1/20 and 1/160 they are), so that the four go through one and the same 2 x 2 covariance.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

PLACE, VELOCITY = 1 / 20, 1 / 160  # deviations, of the box's size and of its size in a frame
STEADY, AGREES = 15, 0.3  # frames in a row on which the box has agreed so far with what was expected: it is believed
FAR = 100  # frames, after which nothing becomes less certain
GROWING = 1  # frame that a box is expected to go on growing or shrinking for; what is hidden bit by bit seems to shrink

Arrays = Mapping[str, np.ndarray]


class BoxMotion:
    """One object's motion. Frames may come in either direction.

    Args:
        arrays: what `arrays` gave.
    """

    def __init__(self, arrays: Arrays | None = None) -> None:
        self.index: int | None = None
        self.steady = 0
        self._state: np.ndarray | None = None  # [4, 2]: middle x, y, width, height; and how they change in a frame
        self._doubt = np.zeros((2, 2))
        if arrays and len(arrays["motion"]):
            self._state, self._doubt = arrays["motion"][:4].copy(), arrays["motion"][4:].copy()
            self.index, self.steady = (int(value) for value in arrays["motion_at"])

    def arrays(self) -> dict[str, np.ndarray]:
        """What is to be saved."""
        if self._state is None:
            return {"motion": np.zeros((0, 2)), "motion_at": np.zeros(2, np.int64)}
        return {
            "motion": np.concatenate([self._state, self._doubt]),
            "motion_at": np.array([self.index, self.steady], np.int64),
        }

    @property
    def believed(self) -> bool:
        """Whether it has been right so far."""
        return self.steady >= STEADY

    def expected(self, index: int) -> np.ndarray | None:
        """The box x0, y0, x1, y1 on a frame; None when nothing is known."""
        if self._state is None or self.index is None:
            return None
        state = self._state[:, 0] + self._ahead(index - self.index) * self._state[:, 1]
        half = np.maximum(state[2:], self._state[2:, 0] / 2) / 2
        return np.asarray(np.concatenate([state[:2] - half, state[:2] + half]))

    def spread(self, index: int) -> float:
        """How far the middle may be from there: the deviation, in sizes of the box."""
        if self.index is None:
            return 0.0
        return float(np.sqrt(self._later(index - self.index)[0, 0]))

    def agreement(self, index: int, box: np.ndarray) -> float:
        """IoU of a box with the expected one; 1 when nothing is known."""
        expected = self.expected(index)
        return 1.0 if expected is None else overlap(expected, box)

    def update(self, index: int, box: np.ndarray) -> None:
        """Take a box x0, y0, x1, y1 that was found on a frame."""
        seen = np.concatenate([(box[:2] + box[2:]) / 2, box[2:] - box[:2]]).astype(float)
        if self._state is None or self.index is None:
            self._state, self.index, self.steady = np.stack([seen, np.zeros(4)], axis=1), index, 0
            self._doubt = np.diag([(2 * PLACE) ** 2, (10 * VELOCITY) ** 2])
            return
        self.steady = self.steady + 1 if self.agreement(index, box) >= AGREES else 0
        doubt = self._later(index - self.index)
        expected = self._state[:, 0] + self._ahead(index - self.index) * self._state[:, 1]
        gain = doubt[:, 0] / (doubt[0, 0] + PLACE**2)
        self._state = np.stack([expected, self._state[:, 1]], axis=1) + (seen - expected)[:, None] * gain
        self._doubt = doubt - np.outer(gain, doubt[0])
        self.index = index

    def forget(self) -> None:
        """Begin anew, as after a jump."""
        self._state, self.index, self.steady = None, None, 0

    @staticmethod
    def _ahead(frames: int) -> np.ndarray:
        """For how many frames each of the four goes on."""
        growing = int(np.clip(frames, -GROWING, GROWING))
        return np.array([frames, frames, growing, growing])

    def _later(self, frames: int) -> np.ndarray:
        """The covariance so many frames later; earlier, where that is below 0."""
        doubt, step = self._doubt, np.array([[1.0, np.sign(frames)], [0.0, 1.0]])
        for _ in range(min(abs(frames), FAR)):
            doubt = step @ doubt @ step.T + np.diag([PLACE**2, VELOCITY**2])
        return doubt


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """IoU of two boxes x0, y0, x1, y1."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    whole = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - shared
    return shared / max(whole, 1e-9)
