"""The user that an evaluation simulates: clicks in the middle of what is still wrong."""

import cv2
import numpy as np

Point = tuple[float, float]


def centre_of(region: np.ndarray) -> Point:
    """The point of a boolean region [H, W] farthest from its edge (and from the picture's), x and y in pixels."""
    return _deepest(region)[1]


def corrective_click(predicted: np.ndarray, truth: np.ndarray) -> tuple[Point, int] | None:
    """Where a user would click next, and the label: in the middle of the deeper of missed and extra area; None where
    all is right.

    As in SAM's evaluation of interactive segmentation (Kirillov et al. 2023, appendix A; Sofiiuk et al. 2022). Both
    masks are boolean
    [H, W].
    """
    missed, missed_at = _deepest(truth & ~predicted)
    extra, extra_at = _deepest(predicted & ~truth)
    if missed == extra == 0:
        return None
    return (missed_at, 1) if missed >= extra else (extra_at, 0)


def _deepest(region: np.ndarray) -> tuple[float, Point]:
    """The largest distance to the region's edge, and where; 0 for an empty region."""
    bordered = cv2.copyMakeBorder(region.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    depth = cv2.distanceTransform(bordered, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(depth[y, x]), (float(x) + 0.5, float(y) + 0.5)
