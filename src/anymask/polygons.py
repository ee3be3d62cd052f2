"""Outlines of a mask as polygons, along the edges of its pixels."""

from __future__ import annotations

import cv2
import numpy as np

from anymask.placement import Region

Polygon = list[np.ndarray]
"""An outer ring and then its holes, each float32 `[K, 2]` x and y, not closed."""


def trace(region: Region, tolerance: float = 0.5) -> list[Polygon]:
    """The polygons of a mask, one for each connected piece (pixels that touch at a corner are connected).

    Coordinates are pixels of the picture: the pixel at column 0, row 0 covers 0 to 1. Outer rings run clockwise on the
    screen, holes against it.

    Args:
        tolerance: 0 for rings that follow every pixel's edge, whose areas add up to the mask's exactly. Above 0, rings
            go through the middles of these edges, which makes stairs into slopes, and are then thinned (Douglas and
            Peucker 1973) to stay within that many pixels.
    """
    if not region.pixels.size:
        return []
    # OpenCV's contours run through the centres of border pixels. Of pixels doubled, these lie a quarter of a pixel
    # inside the edge, so that rounding puts them on it.
    doubled = region.pixels.view(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    polygons: dict[int, Polygon] = {}
    # In this order every outer ring comes before its holes.
    for index in sorted(range(len(contours)), key=lambda i: hierarchy[0, i, 3] >= 0):
        parent = int(hierarchy[0, index, 3])
        ring = _ring(contours[index][::-1, 0], tolerance) + np.array([region.x, region.y], np.float32)
        polygons.setdefault(index if parent < 0 else parent, []).append(ring)
    return list(polygons.values())


def area(ring: np.ndarray) -> float:
    """The area within a ring `[K, 2]`, positive when it runs clockwise on the screen."""
    x, y = ring.astype(np.float64).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _ring(contour: np.ndarray, tolerance: float) -> np.ndarray:
    corners = (contour + 1) // 2
    corners = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]
    if tolerance > 0:
        slopes = ((corners + np.roll(corners, -1, axis=0)) / 2).astype(np.float32)
        thinned: np.ndarray = cv2.approxPolyDP(slopes, tolerance, closed=True)[:, 0]
        if len(thinned) > 2:
            return thinned
    before, after = corners - np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0) - corners
    return np.asarray(corners[(before != after).any(axis=1)], np.float32)
