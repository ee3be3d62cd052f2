"""One ring of many: for formats whose outlines have neither holes nor pieces.

A hole, or another piece, is reached over a bridge: from a corner of the first ring to the nearest of the other, once
around it, and back the same way. The bridge has no width, so that filling by parity (SVG's `evenodd`) gives the mask
back exactly; a reader that also paints outlines shows it one pixel wide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anymask.polygons import Polygon


def one_ring(pieces: Sequence[Polygon]) -> np.ndarray:
    """The rings of one or more polygons as one, `[K, 2]`."""
    whole = [_attach(rings[0], rings[1:]) for rings in pieces]
    return _attach(whole[0], whole[1:])


def _attach(ring: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    detours: dict[int, list[np.ndarray]] = {}
    for other in others:
        # The nearest pair of corners, found in two steps: exact would cost as many comparisons as there are pairs.
        here = _nearest(ring, other[0])
        there = _nearest(other, ring[here])
        here = _nearest(ring, other[there])
        around = np.concatenate([other[there:], other[: there + 1], ring[here : here + 1]])
        detours.setdefault(here, []).append(around)
    if not detours:
        return ring
    parts, done = [], 0
    for place in sorted(detours):
        parts += [ring[done : place + 1], *detours[place]]
        done = place + 1
    return np.concatenate([*parts, ring[done:]])


def _nearest(ring: np.ndarray, point: np.ndarray) -> int:
    return int(np.square(ring - point).sum(axis=1).argmin())
