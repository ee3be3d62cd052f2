"""Cleaning a mask: small holes filled, small islands taken away (segment_anything's `remove_small_regions`)."""

import math

import cv2
import numpy as np

from anymask.placement import Region, tight


def remove_small_regions(region: Region, min_area: float, height: int, width: int) -> tuple[Region, bool]:
    """A mask of a picture of `height` x `width` pixels without holes, then without islands, of fewer than `min_area`.

    Pixels that touch at a corner belong together. Background cut off by the picture's edge counts as a hole. When all
    islands are small, the largest stays, of equals the topmost. Also says whether there was anything small.
    """
    rows, columns = region.pixels.shape
    if not region.pixels.size:
        return region, False
    # Background that goes on beyond this window covers a whole side of it, and so is at least `min_area` large.
    above, left = (min(start, math.ceil(min_area / side)) for start, side in ((region.y, columns), (region.x, rows)))
    below = min(height - region.y - rows, math.ceil(min_area / columns))
    right = min(width - region.x - columns, math.ceil(min_area / rows))
    mask = np.pad(region.pixels, ((above, below), (left, right)))

    labels, sizes = _components(~mask)
    holes = sizes < min_area
    if holes.any():
        mask |= np.append(False, holes)[labels]

    labels, sizes = _components(mask)
    islands = sizes < min_area
    if islands.any():
        stays = ~islands
        if islands.all():
            largest = labels[np.isin(labels, np.flatnonzero(sizes == sizes.max()) + 1)]
            stays[largest[0] - 1] = True  # of equals the first; OpenCV's numbers depend on what lies around
        mask = np.append(False, stays)[labels]
    return tight(mask, region.x - left, region.y - above), bool(holes.any() or islands.any())


def _components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of each pixel's connected component, 0 outside, int `[H, W]`, and the sizes of 1, 2, ... in pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    return labels, stats[1:, cv2.CC_STAT_AREA]
