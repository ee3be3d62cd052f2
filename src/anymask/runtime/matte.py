"""A matte from a promptable network that knows the subject prompt."""

import cv2
import numpy as np

from anymask.catalog import ModelEntry
from anymask.placement import Placement
from anymask.runtime.engine import SUBJECT, SegmentEngine
from anymask.runtime.resize import resize_to_input


class SubjectMatte:
    """The subject of a picture, asked of a promptable network (see `runtime.engine.MatteEngine`).

    It is asked twice, the second time with its first answer as the mask prompt, which is how it was trained. The
    catalogue says how its logits are calibrated (see `training/calibration.py`).
    """

    def __init__(self, engine: SegmentEngine) -> None:
        self.spec: ModelEntry = engine.spec
        self._engine = engine

    def matte(self, rgb: np.ndarray) -> np.ndarray:
        calibration = self.spec.subject
        scaled = calibration.gain * (self.logits(rgb) + calibration.bias)
        probabilities: np.ndarray = 1 / (1 + np.exp(-np.clip(scaled, -30, 30)))
        return probabilities.astype(np.float32)

    def logits(self, rgb: np.ndarray) -> np.ndarray:
        """The network's own answer for a picture uint8 [H, W, 3]: float32 [h, w] over just the picture."""
        side, grid = self.spec.input.side, self.spec.mask_side
        placement = Placement.letterbox(rgb.shape[0], rgb.shape[1], side)
        features = self._engine.encode(resize_to_input(rgb, placement, self.spec.input.resize))
        embedding = self._engine.prepare(features)
        prompt = np.zeros((1, 1, 2), np.float32), np.full((1, 1), SUBJECT)
        guess = self._engine.decode(embedding, *prompt)[0][:, 0]
        logits = self._engine.decode(embedding, *prompt, guess)[0][0, 0]
        # The picture may end inside a cell of the grid: resample so that the result's cells cover just the picture.
        height, width = placement.input_height * grid / side, placement.input_width * grid / side
        rows, columns = max(1, round(height)), max(1, round(width))
        scale = np.array([width / columns, height / rows])
        matrix = np.array([[scale[0], 0, scale[0] / 2 - 0.5], [0, scale[1], scale[1] / 2 - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        covered: np.ndarray = cv2.warpAffine(
            logits, matrix, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        return covered
