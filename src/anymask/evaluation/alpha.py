"""How far an alpha matte, and the foreground's colours under it, are from the truth.

The four measures of Rhemann et al. 2009, "A perceptually motivated online benchmark for image matting", with the
parameters of the programs that later benchmarks share (Xu et al. 2017, "Deep image matting"). Mattes are float
`[H, W]` in 0..1; `region` is bool `[H, W]`, such as the unknown part of a trimap, or None for the whole picture.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

DEVIATION = 1.4  # of the Gaussian whose derivative the gradient error takes
STEP = 0.1  # between the thresholds of the connectivity error
TOLERANCE = 0.15  # a pixel this close to the level at which it is connected counts as connected
BAND = 0.05, 0.95  # alpha of the pixels whose colour is judged


class AlphaErrors(NamedTuple):
    """Errors of a matte, all 0 for the truth itself; `sad`, `gradient` and `connectivity` are sums, in thousands."""

    sad: float
    mse: float
    gradient: float
    connectivity: float


def alpha_errors(alpha: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> AlphaErrors:
    """All four measures. Raises ValueError for arrays of different shapes and for an empty region."""
    return AlphaErrors(
        sad(alpha, truth, region),
        mse(alpha, truth, region),
        gradient_error(alpha, truth, region),
        connectivity_error(alpha, truth, region),
    )


def sad(alpha: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> float:
    """The sum of absolute differences, in thousands."""
    return _sum(np.abs(_difference(alpha, truth)), region)


def mse(alpha: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> float:
    """The mean squared difference, over the region's pixels."""
    squares = _difference(alpha, truth) ** 2
    return float(np.mean(squares if region is None else squares[region], dtype=np.float64))


def gradient_error(alpha: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> float:
    """The sum of squared differences of the gradients' magnitudes, in thousands.

    Gradients are derivatives of a Gaussian of deviation 1.4, the filter scaled to an L2 norm of 1.
    """
    _difference(alpha, truth)
    return _sum((_gradient(alpha) - _gradient(truth)) ** 2, region)


def connectivity_error(alpha: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None) -> float:
    """The sum of differences of connectedness, in thousands.

    A pixel's level is the highest threshold, in steps of 0.1, at which the largest 4-connected area where both mattes
    reach the threshold still holds it. How far a matte exceeds that level, from 0.15 on, is what is not connected.
    """
    _difference(alpha, truth)
    level = np.zeros(alpha.shape, np.float32)
    both = np.minimum(alpha, truth)
    held = np.ones(alpha.shape, bool)
    for threshold in np.arange(1, round(1 / STEP) + 1) * STEP:
        held &= _largest(both >= threshold - 1e-6)
        level[held] = threshold
    return _sum(np.abs(_unconnected(alpha, level) - _unconnected(truth, level)), region)


def foreground_error(
    colours: np.ndarray, foreground: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None
) -> float:
    """How far the foreground's colours are off where they mix with the background's.

    Args:
        colours: `[H, W, 3]`, the estimate.
        foreground: `[H, W, 3]`, the true colours, in the same units.
        truth: the true matte. Pixels where it lies between 0.05 and 0.95 count, each as much as it is opaque.
        region: of these, the pixels to look at.

    Returns:
        The mean absolute difference over channels and pixels, in the colours' unit; 0 where there is nothing to judge.
    """
    band = (truth > BAND[0]) & (truth < BAND[1])
    if region is not None:
        band &= region
    weights = truth[band].astype(np.float64)
    if not weights.size:
        return 0.0
    difference = np.abs(colours[band].astype(np.float64) - foreground[band])
    return float(np.average(difference.mean(axis=1), weights=weights))


def _difference(alpha: np.ndarray, truth: np.ndarray) -> np.ndarray:
    if alpha.shape != truth.shape:
        raise ValueError(f"The mattes have different shapes: {alpha.shape} and {truth.shape}.")
    difference: np.ndarray = alpha.astype(np.float32) - truth.astype(np.float32)
    return difference


def _sum(errors: np.ndarray, region: np.ndarray | None) -> float:
    chosen = errors if region is None else errors[region]
    if not chosen.size:
        raise ValueError("The region holds no pixels.")
    return float(np.sum(chosen, dtype=np.float64)) / 1000


def _gradient(alpha: np.ndarray) -> np.ndarray:
    """Its magnitude, float32 `[H, W]`."""
    half = np.ceil(DEVIATION * np.sqrt(-2 * np.log(np.sqrt(2 * np.pi) * DEVIATION * 0.01)))
    x = np.arange(-half, half + 1)
    gaussian = np.exp(-(x**2) / (2 * DEVIATION**2))
    slope = -x * gaussian
    gaussian, slope = gaussian / np.linalg.norm(gaussian), slope / np.linalg.norm(slope)
    values = alpha.astype(np.float32)
    across = cv2.sepFilter2D(values, cv2.CV_32F, slope, gaussian, borderType=cv2.BORDER_REPLICATE)
    down = cv2.sepFilter2D(values, cv2.CV_32F, gaussian, slope, borderType=cv2.BORDER_REPLICATE)
    return cv2.magnitude(across, down)


def _largest(mask: np.ndarray) -> np.ndarray:
    """bool `[H, W]`: the largest 4-connected area."""
    count, areas, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    if count == 1:
        return np.zeros(mask.shape, bool)
    largest: np.ndarray = areas == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    return largest


def _unconnected(alpha: np.ndarray, level: np.ndarray) -> np.ndarray:
    excess = alpha - level
    missing: np.ndarray = np.where(excess >= TOLERANCE, excess, 0)
    return missing
