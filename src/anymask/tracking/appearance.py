"""What an object looks like, as distinct from what lies around it: a linear classifier of the encoder's features.

It is ridge regression on +1 for the object and -1 for its surroundings, so that all that was seen is kept in one matrix
of features' products and one vector, whatever the clip's length; as in trackers that learn a target's model online
(Robinson et al. 2020, "Learning fast and robust target models for video object segmentation", solve a like problem by
steps).
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from anymask.errors import WeightsError
from anymask.placement import Placement

RIDGE = 0.01  # of the features' mean square
DECAY = 0.85  # of what was seen, for each frame that is added
TOLD_SHARE = 0.5  # of the classifier's evidence; the rest comes from frames that were tracked
MOST_TOLD = 12  # frames with a user's prompts, of which the last count


def features_of(maps: tuple[np.ndarray, ...], rgb: np.ndarray, place: Placement, side: int) -> np.ndarray:
    """What each cell of a view looks like: float32 `[side, side, C]`, the last of them constant.

    Args:
        maps: the encoder's maps `[1, C, h, w]`, which cover the network's input; other arrays are passed over.
        rgb: the frame, uint8 `[H, W, 3]`, and `place`, which part of it the network's input shows.
        side: of the grid of cells.
    """
    square = [one[0] for one in maps if one.ndim == 4 and one.shape[2] == one.shape[3]]
    planes = [_resized(np.moveaxis(one, 0, -1), side) for one in square]
    planes = [one / max(1e-6, float(np.sqrt(np.mean(one * one)))) for one in planes]
    x0, y0, x1, y1 = place.crop
    rows, columns = place.valid(np.empty((side, side))).shape
    small = cv2.resize(rgb[y0:y1, x0:x1], (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    colours = np.zeros((side, side, 3), np.float32)
    colours[:rows, :columns] = cv2.cvtColor(small, cv2.COLOR_RGB2Lab) / 50
    return np.concatenate([*planes, colours, np.ones((side, side, 1), np.float32)], axis=-1)


def _resized(plane: np.ndarray, side: int) -> np.ndarray:
    """`[h, w, C]` to `[side, side, C]`, channel by channel where there are more than OpenCV takes."""
    if plane.shape[0] == side:
        return plane.astype(np.float32)
    way = cv2.INTER_AREA if plane.shape[0] > side else cv2.INTER_LINEAR
    pieces = [
        cv2.resize(plane[..., i : i + 4].astype(np.float32), (side, side), interpolation=way)
        for i in range(0, plane.shape[-1], 4)
    ]
    return np.concatenate([one.reshape(side, side, -1) for one in pieces], axis=-1)


class Appearance:
    """One object's classifier.

    Args:
        arrays: what `arrays` gave.

    Raises WeightsError for arrays that do not belong together.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        self._told: dict[int, np.ndarray] = {}
        self._recent: np.ndarray | None = None
        self._weights: np.ndarray | None = None
        if arrays:
            self._told = {int(k): m for k, m in zip(arrays["told_frames"], arrays["told"], strict=True)}
            self._recent = arrays["recent"][0] if len(arrays["recent"]) else None
            shapes = {one.shape for one in (*self._told.values(), *arrays["recent"])}
            if any(len(shape) != 2 or shape[1] != shape[0] + 1 for shape in shapes) or len(shapes) > 1:
                raise WeightsError("The saved session's memory is damaged.")

    def arrays(self) -> dict[str, np.ndarray]:
        """What is to be saved."""
        told = list(self._told.values())
        return {
            "told_frames": np.array(list(self._told), np.int64),
            "told": np.stack(told) if told else np.zeros((0, 0, 1), np.float32),
            "recent": np.zeros((0, 0, 1), np.float32) if self._recent is None else self._recent[None],
        }

    def learn(self, features: np.ndarray, logits: np.ndarray, told: int | None) -> None:
        """Add a frame: features `[K, C]` of cells and the object's logits `[K]` there; `told` is the number of a frame
        that a user prompted."""
        moments = _moments(features, logits)
        if moments is None:
            return
        if told is not None:
            self._told.pop(told, None)
            self._told[told] = moments
            while len(self._told) > MOST_TOLD:
                del self._told[next(iter(self._told))]
        else:
            self._recent = moments if self._recent is None else DECAY * self._recent + (1 - DECAY) * moments
        self._weights = None

    def forget(self, told: int) -> None:
        """Take back a frame that a user prompted."""
        self._told.pop(told, None)
        self._weights = None

    def scores(self, features: np.ndarray) -> np.ndarray | None:
        """Of cells with features `[..., C]`, about +1 for the object and -1 for other things; None when nothing is
        known yet. Raises WeightsError for features of another size than those learned from."""
        if self._weights is None:
            known = list(self._told.values())
            if not known and self._recent is None:
                return None
            if known:
                total = np.mean(known, axis=0)
                if self._recent is not None:
                    total = TOLD_SHARE * total + (1 - TOLD_SHARE) * self._recent
            else:
                total = self._recent
            products, answers = total[:, :-1].astype(np.float64), total[:, -1].astype(np.float64)
            ridge = RIDGE * np.trace(products) / len(products)
            self._weights = np.linalg.solve(products + ridge * np.eye(len(products)), answers).astype(np.float32)
        if features.shape[-1] != len(self._weights):
            raise WeightsError("The session was saved with another model, whose features are other ones.")
        return np.asarray(features @ self._weights)


def _moments(features: np.ndarray, logits: np.ndarray) -> np.ndarray | None:
    """Products of the features with each other and, in the last column, with the answers: `[C, C + 1]`. Object and
    surroundings weigh the same; cells on the edge count little. None where one of the two is missing."""
    answers = np.tanh(logits / 2)
    weights = np.abs(answers)
    inside = answers > 0
    if not inside.any() or inside.all():
        return None
    weights = np.where(inside, weights / weights[inside].sum(), weights / weights[~inside].sum()).astype(np.float32)
    weighted = features * weights[:, None]
    signs = np.where(inside, np.float32(1), np.float32(-1))
    return np.asarray(np.concatenate([weighted.T @ features, (weighted.T @ signs)[:, None]], axis=1))
