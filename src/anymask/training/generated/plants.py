"""Outlines of plants and of what is clumped like them: leaves, fronds, trees, tufts, clouds. Unit frame, y down."""

import numpy as np

from anymask.training.generated.outlines import Outline, ellipse, rectangle, rounded


def _blade(rng: np.random.Generator, wide: float) -> np.ndarray:
    """A leaf from (0, 0) up to (0, -1)."""
    along = np.linspace(0, 1, 16)
    half = wide * np.sin(np.pi * along ** rng.uniform(0.6, 1.3)) * (1 - 0.3 * along)
    right = np.stack([half, -along], axis=1)
    points = np.concatenate([right, (right * [-1, 1])[::-1][1:-1]])
    if rng.random() < 0.2:
        points = points * np.where(np.arange(len(points)) % 2, 1.0, rng.uniform(0.6, 0.9))[:, None]
    return points


def _turned(points: np.ndarray, angle: float, size: float, x: float, y: float) -> np.ndarray:
    cos, sin = np.cos(angle) * size, np.sin(angle) * size
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]) + [x, y])


def leaf(rng: np.random.Generator) -> Outline:
    """One leaf on its stalk."""
    return Outline(
        [[_blade(rng, rng.uniform(0.15, 0.5)) * [2, 1.8] + [0, 0.8]]],
        [(np.array([[0, 0.7], [rng.normal(0, 0.1), 1.0]]), 0.05)],
    )


def frond(rng: np.random.Generator) -> Outline:
    """Leaflets along a bent stem: fern, palm, twig."""
    count, wide = int(rng.integers(4, 12)), rng.uniform(0.1, 0.35)
    bend = rng.normal(0, 0.4)
    along = np.linspace(0, 1, count)
    stem = np.stack([bend * along**2, 0.95 - 1.8 * along], axis=1)
    fills = []
    for (x, y), share in zip(stem, along, strict=True):
        size = rng.uniform(0.4, 0.6) * (1.1 - 0.7 * share)
        angles = [side * rng.uniform(0.6, 1.4) + bend * share for side in (-1, 1)]
        fills += [[_turned(_blade(rng, wide), angle, size, x, y)] for angle in angles]
    fills.append([_turned(_blade(rng, wide), bend, 0.3, *stem[-1])])
    return Outline(fills, [(stem, 0.035)])


def tree(rng: np.random.Generator) -> Outline:
    """A trunk with boughs and a crown of clumps, or bare."""
    strokes = [(np.array([[0, 1], [rng.normal(0, 0.05), 0.2]]), rng.uniform(0.08, 0.2))]
    fills = []
    bare = rng.random() < 0.25
    for _ in range(int(rng.integers(6, 16))):
        x, y = rng.normal(0, 0.38), rng.uniform(-0.85, 0.1)
        strokes.append((rounded(np.array([[0, 0.4], [0.3 * x, 0.1], [x, y]]), False), 0.04))
        if bare:
            strokes += [
                (np.array([[x * 0.7, y * 0.6 + 0.1], [x + rng.normal(0, 0.3), y - 0.1]]), 0.02) for _ in range(2)
            ]
        else:
            ragged = rng.uniform(0.8, 1.15, (48, 1))
            fills.append([ellipse(0, 0, rng.uniform(0.15, 0.4), rng.uniform(0.12, 0.3)) * ragged + [x, y]])
    return Outline(fills, strokes)


def conifer(rng: np.random.Generator) -> Outline:
    """Tiers of triangles with ragged hems."""
    tiers = int(rng.integers(2, 6))
    fills = [[rectangle(0, 0.85, 0.07, 0.15)]]
    for tier in range(tiers):
        top, bottom = -1 + 1.4 * tier / tiers, -0.5 + 1.25 * (tier + 1) / tiers
        half = (0.25 + 0.45 * (tier + 1) / tiers) * rng.uniform(0.8, 1.1)
        hem = np.linspace(half, -half, 13)
        fills.append([np.concatenate([[[0, top]], np.stack([hem, bottom + 0.08 * (np.arange(13) % 2)], 1)])])
    return Outline(fills)


def tuft(rng: np.random.Generator) -> Outline:
    """A bundle of hairs or blades of grass from one root."""
    strokes = []
    for _ in range(int(rng.integers(8, 28))):
        angle, reach = rng.normal(0, 0.5), rng.uniform(0.9, 1.8)
        tip = np.array([np.sin(angle) * reach, 0.9 - np.cos(angle) * reach])
        bow = tip * 0.5 + [rng.normal(0, 0.15), 0.3]
        strokes.append((rounded(np.array([[rng.normal(0, 0.12), 0.95], bow, tip]), False), rng.uniform(0.012, 0.04)))
    return Outline([[ellipse(0, 0.9, 0.2, 0.08)]], strokes)


def cloud(rng: np.random.Generator) -> Outline:
    """A union of discs over a flat bottom: clouds, bushes, foam, wool."""
    count = int(rng.integers(4, 10))
    xs = np.linspace(-0.7, 0.7, count)
    fills = [
        [ellipse(x, rng.uniform(-0.25, 0.15), r, r * 0.85)]
        for x, r in zip(xs, rng.uniform(0.2, 0.45, count), strict=True)
    ]
    return Outline([*fills, [rectangle(0, 0.2, 0.75, 0.15)]])


def bouquet(rng: np.random.Generator) -> Outline:
    """A plant in a pot: leaves in all directions over a trapezium."""
    fills = [[np.array([[-0.32, 0.4], [0.32, 0.4], [0.22, 1.0], [-0.22, 1.0]])]]
    wide = rng.uniform(0.08, 0.3)
    angles = rng.normal(0, 0.9, int(rng.integers(5, 16)))
    fills += [[_turned(_blade(rng, wide), a, rng.uniform(0.7, 1.4), rng.normal(0, 0.08), 0.42)] for a in angles]
    return Outline(fills)
