"""Polygons follow the mask: exactly where asked to, closely where not."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from anymask import polygons
from anymask.placement import Region, tight

masks = arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def inside(rings: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Whether each pixel's centre lies within an odd number of rings: how SVG fills, one edge after the other."""
    result = np.zeros((height, width), bool)
    x, y = np.arange(width)[None] + 0.5, np.arange(height)[:, None] + 0.5
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if y0 != y1:
                result ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return result


@settings(max_examples=80, deadline=None)
@given(masks, st.integers(0, 9), st.integers(0, 9))
def test_exact_polygons_fill_to_the_mask(mask: np.ndarray, x: int, y: int) -> None:
    region = tight(mask, x, y)
    found = polygons.trace(region, tolerance=0)
    rings = [ring for polygon in found for ring in polygon]
    assert (inside(rings, 25, 25) == np.pad(mask, ((y, 25 - y - mask.shape[0]), (x, 25 - x - mask.shape[1])))).all()
    assert sum(polygons.area(ring) for ring in rings) == mask.sum()
    assert len(found) == cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[0] - 1
    for outer, *holes in found:
        assert polygons.area(outer) > 0
        assert all(polygons.area(hole) < 0 for hole in holes)


def test_a_ring_with_a_hole() -> None:
    mask = np.ones((5, 5), bool)
    mask[2, 1:4] = False
    ((outer, hole),) = polygons.trace(Region(10, 20, mask), tolerance=0)
    assert {tuple(point) for point in outer.tolist()} == {(10, 20), (15, 20), (15, 25), (10, 25)}
    assert {tuple(point) for point in hole.tolist()} == {(11, 22), (14, 22), (14, 23), (11, 23)}


@pytest.mark.parametrize("tolerance", [0.3, 0.5, 1.0, 2.0])
def test_thinned_polygons_stay_near(tolerance: float) -> None:
    y, x = np.mgrid[:200, :200]
    mask = np.hypot(x - 100, (y - 90) * 1.5) < 80
    mask &= np.hypot(x - 90, y - 90) > 20
    ((outer, hole),) = polygons.trace(tight(mask), tolerance)
    exact = sum(len(ring) for ring in polygons.trace(tight(mask), 0)[0])
    assert len(outer) + len(hole) < exact * (0.7 if tolerance < 0.5 else 0.5)
    filled = inside([outer, hole], 200, 200)
    assert (filled & mask).sum() / (filled | mask).sum() > 1 - 0.015 * (tolerance + 0.1)
    on_ellipse = np.hypot(outer[:, 0] - 100.5, (outer[:, 1] - 90.5) * 1.5)
    assert np.abs(on_ellipse - 80).max() < 1.5 + tolerance


def test_small_masks_keep_a_polygon_at_any_tolerance() -> None:
    for shape in [(1, 1), (1, 5), (3, 1), (2, 2)]:
        ((ring,),) = polygons.trace(Region(0, 0, np.ones(shape, bool)), tolerance=3)
        assert len(ring) >= 3
        assert polygons.area(ring) > 0
    assert polygons.trace(Region(0, 0, np.zeros((0, 0), bool))) == []
