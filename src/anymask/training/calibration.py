"""How sure the subject's matte should be: two numbers fitted on labelled pictures, kept in the catalogue.

A network trained for a short while hedges: where it doubts whether something belongs to the subject it answers between
0 and 1, and as
a matte that is a veil. Its logits are therefore shifted and scaled: alpha = sigmoid(gain * (logit + bias)).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from anymask import rle
from anymask.evaluation.protocol import intersection_over_union
from anymask.formats.sa1b import Record
from anymask.images import read_image
from anymask.runtime.matte import SubjectMatte

BIASES = np.arange(-1.0, 2.01, 0.25)
GAINS = np.array([1.0, 1.5, 2.0, 2.5, 3.0, 4.0])


@dataclass(frozen=True)
class Calibration:
    """The best gain and bias, and what they reach on the pictures they were chosen on: mean IoU and mean absolute
    error."""

    gain: float
    bias: float
    iou: float
    error: float


def calibrate(model: SubjectMatte, records: Sequence[Record], limit: int = 200, seed: int = 0) -> Calibration:
    """The bias with the best mean IoU at one half, then the gain with the smallest mean absolute error.

    Args:
        model: whose logits are to be calibrated.
        records: labelled pictures; those with a subject are used, at most `limit`, drawn with `seed`.
    """
    labelled = [record for record in records if record.subject is not None]
    order = np.random.default_rng(seed).permutation(len(labelled))[:limit]
    pairs = [_pair(model, labelled[i]) for i in order]
    ious = [
        np.mean([intersection_over_union(logits > -bias, truth > 0.5) for logits, truth in pairs]) for bias in BIASES
    ]
    bias = float(BIASES[int(np.argmax(ious))])
    errors = [
        np.mean([np.abs(1 / (1 + np.exp(-gain * (logits + bias))) - truth).mean() for logits, truth in pairs])
        for gain in GAINS
    ]
    gain = float(GAINS[int(np.argmin(errors))])
    return Calibration(gain, bias, float(max(ious)), float(min(errors)))


def _pair(model: SubjectMatte, record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Raw logits and the true coverage, both float32 at the network's resolution."""
    assert record.subject is not None
    logits = model.logits(read_image(record.path))
    truth = np.ascontiguousarray(rle.decode(record.subject), np.float32)
    return logits, cv2.resize(truth, logits.shape[::-1], interpolation=cv2.INTER_AREA)
