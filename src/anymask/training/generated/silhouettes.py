"""Outlines of things with a meaning: creatures, vessels, tools, furniture, cables, fences.

All in the unit frame, y down.
"""

from collections.abc import Callable

import numpy as np

from anymask.training.generated.outlines import Outline, dense, ellipse, limb, rectangle, rounded
from anymask.training.generated.plants import bouquet, cloud, conifer, frond, leaf, tree, tuft


def creature(rng: np.random.Generator) -> Outline:
    """A four-legged animal: body, neck, head with ears, legs with a joint, tail."""
    length, height = rng.uniform(0.45, 0.7), rng.uniform(0.18, 0.38)
    fills = [[ellipse(0, 0, length, height, rng.normal(0, 0.1))]]
    fills.append([ellipse(0.5 * length, -0.05, 0.5 * length, height * rng.uniform(0.8, 1.2))])
    lift = rng.uniform(-0.7, 0.15)
    head = (length + rng.uniform(0.1, 0.3), lift)
    size = rng.uniform(0.12, 0.24)
    fills.append([limb((0.75 * length, -0.05), head, height * 0.6, size * 0.8)])
    fills.append([ellipse(*head, size, size * 0.85)])
    fills.append([limb(head, (head[0] + size * rng.uniform(0.8, 1.8), head[1] + 0.3 * size), size * 0.6, size * 0.35)])
    for side in (-0.5, 0.2):
        tip = (head[0] + side * size * 1.4, head[1] - size * rng.uniform(1.1, 2.4))
        fills.append(
            [limb((head[0] + side * size, head[1] - 0.6 * size), tip, size * 0.35, size * rng.uniform(0.08, 0.3))]
        )
    reach, thick = rng.uniform(0.35, 0.8), rng.uniform(0.05, 0.12)
    for start in (-0.8 * length, -0.6 * length, 0.55 * length, 0.75 * length):
        knee = (start + rng.normal(0, 0.12), height * 0.5 + 0.5 * reach)
        foot = (knee[0] + rng.normal(0, 0.12), height * 0.5 + reach)
        fills += [[limb((start, 0.3 * height), knee, thick * 1.6, thick)], [limb(knee, foot, thick, thick * 0.8)]]
        fills.append([ellipse(foot[0] + 0.6 * thick, foot[1], thick * 1.2, thick * 0.7)])
    tail = np.array(
        [
            [-length, 0],
            [-length - 0.2, rng.uniform(-0.4, 0.1)],
            [-length - rng.uniform(0.2, 0.5), rng.uniform(-0.7, 0.5)],
        ]
    )
    return Outline(fills, [(rounded(tail, False), rng.uniform(0.03, 0.12))])


def bird(rng: np.random.Generator) -> Outline:
    """Body, wings, fanned tail, beak."""
    body = ellipse(0, 0, 0.55, rng.uniform(0.18, 0.3), rng.normal(0, 0.1))
    head = (0.55, rng.uniform(-0.35, 0.0))
    beak = np.array(
        [
            [head[0] + 0.1, head[1] - 0.08],
            [head[0] + rng.uniform(0.25, 0.5), head[1] + 0.05],
            [head[0] + 0.1, head[1] + 0.08],
        ]
    )
    spread, sweep = rng.uniform(0.3, 1.0), rng.uniform(-0.6, 0.3)
    wing = rounded(np.array([[0.25, 0], [sweep + 0.1, -spread], [sweep - 0.2, -spread * 0.95], [-0.3, 0]]))
    fills = [[body], [ellipse(*head, 0.17, 0.15)], [limb((0.3, -0.05), head, 0.18, 0.12)], [beak], [wing]]
    if rng.random() < 0.5:
        fills.append([wing * [1, -1]])
    fan = rng.uniform(0.05, 0.3)
    fills.append([np.array([[-0.4, -0.06], [-1, -fan], [-0.92, 0.0], [-1, fan], [-0.4, 0.06]])])
    return Outline(fills, [(np.array([[x, 0.15], [x + 0.03, 0.55]]), 0.035) for x in (-0.05, 0.1)])


def fish(rng: np.random.Generator) -> Outline:
    """Body, tail fin, fins above and below."""
    tall = rng.uniform(0.2, 0.55)
    xs = np.linspace(-0.7, 0.9, 20)
    half = tall * np.sin(np.linspace(0.12, np.pi, 20)) ** rng.uniform(0.5, 1)
    body = np.concatenate([np.stack([xs, -half], 1), np.stack([xs, half * rng.uniform(0.7, 1)], 1)[::-1]])
    fan = rng.uniform(0.2, 0.6)
    tail = np.array([[-0.6, -0.06], [-1, -fan], [-0.85, 0], [-1, fan * rng.uniform(0.5, 1)], [-0.6, 0.06]])
    fin = rounded(
        np.array([[0.3, -0.5 * tall], [rng.uniform(-0.4, 0.1), -tall - rng.uniform(0.05, 0.4)], [-0.4, -0.5 * tall]]),
        rounds=2,
    )
    return Outline([[body], [tail], [fin], [fin * [0.8, -0.9]]])


def insect(rng: np.random.Generator) -> Outline:
    """A row of round segments, thin jointed legs, feelers, wings perhaps."""
    sizes = rng.uniform(0.12, 0.32, 3)
    fills = [[ellipse(x, 0, s * 1.2, s)] for x, s in zip((-0.45, 0.05, 0.42), sizes, strict=True)]
    if rng.random() < 0.5:
        wing = ellipse(0.15 - rng.uniform(0.1, 0.5), -0.5, rng.uniform(0.2, 0.4), 0.5, rng.normal(0.3, 0.3))
        fills += [[wing], [wing * [1, -1]]]
    strokes = []
    for x in (-0.15, 0.05, 0.25):
        out, swing = rng.uniform(0.3, 0.6), rng.normal(0, 0.15)
        for side in (-1, 1):
            leg = np.array([[x, 0], [x + swing, side * out], [x + 2 * swing - 0.15, side * (out + 0.3)]])
            strokes.append((leg, 0.045))
    strokes += [(rounded(np.array([[0.5, 0], [0.8, s * 0.1], [0.95, s * 0.35]]), False), 0.03) for s in (-1, 1)]
    return Outline(fills, strokes)


def person(rng: np.random.Generator) -> Outline:
    """A figure: head, trunk, arms and legs in some posture, hair or a hat perhaps."""
    thick = rng.uniform(0.07, 0.13)
    fills = [[ellipse(0, -0.8, 0.13, 0.17)], [limb((0, -0.7), (0, -0.5), 0.06, 0.07)]]
    fills.append([np.array([[-0.26, -0.55], [0.26, -0.55], [0.18, 0.1], [-0.18, 0.1]])])
    for side in (-1, 1):
        elbow = (side * rng.uniform(0.25, 0.55), -0.5 + rng.uniform(-0.25, 0.4))
        hand = (elbow[0] + rng.normal(0.1 * side, 0.25), elbow[1] + rng.uniform(-0.4, 0.4))
        fills += [[limb((side * 0.24, -0.5), elbow, thick, thick * 0.8)], [limb(elbow, hand, thick * 0.8, thick * 0.6)]]
        knee = (side * rng.uniform(0.08, 0.35), 0.5)
        foot = (knee[0] + rng.normal(0.05 * side, 0.12), 0.95)
        fills += [[limb((side * 0.1, 0.1), knee, thick * 1.3, thick)], [limb(knee, foot, thick, thick * 0.6)]]
        fills.append([ellipse(foot[0] + 0.06 * side, foot[1], 0.11, 0.05)])
    if rng.random() < 0.4:
        fills.append([rectangle(0, -0.95, 0.22, 0.03)])
    elif rng.random() < 0.5:
        fills.append([ellipse(0, -0.78, 0.19, rng.uniform(0.2, 0.4))])
    return Outline(fills)


def hand(rng: np.random.Generator) -> Outline:
    """A palm with fingers, or anything with fingers: a glove, a coral."""
    fills = [[ellipse(0, 0.35, 0.4, 0.45)]]
    count = int(rng.integers(3, 7))
    for angle in np.linspace(-0.8, 0.8, count) + rng.normal(0, 0.1, count):
        tip = (np.sin(angle) * rng.uniform(0.75, 1.05), 0.3 - np.cos(angle) * rng.uniform(0.8, 1.2))
        fills.append([limb((np.sin(angle) * 0.25, 0.25 - np.cos(angle) * 0.25), tip, 0.12, rng.uniform(0.06, 0.11))])
    return Outline(fills)


def profile(rng: np.random.Generator) -> np.ndarray:
    """Half widths of a turned vessel from top (y = -1) to bottom (y = 1): [24]."""
    kind = int(rng.integers(4))
    knots = {
        0: [0.12, 0.14, 0.14, rng.uniform(0.3, 0.5), 0.42, 0.42, 0.4],  # bottle
        1: [rng.uniform(0.2, 0.5), 0.18, rng.uniform(0.3, 0.6), 0.55, 0.35, 0.2, rng.uniform(0.2, 0.4)],  # vase
        2: [0.5, 0.48, rng.uniform(0.3, 0.5), 0.06, 0.05, 0.06, 0.35],  # goblet
        3: [rng.uniform(0.3, 0.7), *rng.uniform(0.15, 0.7, 5), rng.uniform(0.3, 0.6)],
    }[kind]
    return np.asarray(np.interp(np.linspace(0, 6, 24), np.arange(7), knots))


def vessel(rng: np.random.Generator) -> Outline:
    """Bottle, vase, goblet, jug: a turned profile, with a handle and a spout perhaps."""
    half = profile(rng)
    right = np.stack([half, np.linspace(-1, 1, 24)], axis=1)
    body = rounded(np.concatenate([right, (right * [-1, 1])[::-1]]), rounds=2)
    strokes = []
    if rng.random() < 0.35:
        at = float(half[12])
        grip = np.array([[at * 0.9, -0.45], [at + 0.35, -0.4], [at + 0.35, 0.3], [at * 0.9, 0.4]])
        strokes.append((rounded(grip, False), rng.uniform(0.05, 0.12)))
    fills = [[body]]
    if rng.random() < 0.2:
        fills.append([limb((-float(half[12]), 0.2), (-0.8, -0.5), 0.14, 0.06)])
    return Outline(fills, strokes)


def tool(rng: np.random.Generator) -> Outline:
    """A handle with a head: spoon, fork, hammer, wrench, racket, key, axe, brush."""
    grip, kind = rng.uniform(0.03, 0.09), int(rng.integers(7))
    fills = [[limb((0, 1), (0, -0.4), grip * rng.uniform(1, 1.8), grip)]]
    strokes: list[tuple[np.ndarray, float]] = []
    if kind == 0:
        fills.append([ellipse(0, -0.65, rng.uniform(0.15, 0.28), 0.34)])
    elif kind == 1:
        fills.append([ellipse(0, -0.4, 0.2, 0.16)])
        strokes += [(np.array([[x, -0.4], [x, -1.0]]), 0.05) for x in (-0.16, -0.055, 0.055, 0.16)]
    elif kind == 2:
        fills += [
            [rectangle(0, -0.6, rng.uniform(0.25, 0.5), 0.12)],
            [np.array([[-0.2, -0.7], [-0.6, -0.55], [-0.2, -0.48]])],
        ]
    elif kind == 3:
        jaw = ellipse(0, -0.7, 0.26, 0.26)
        jaw[34:39] = [0, -0.62]
        fills.append([jaw])
    elif kind == 4:
        strokes.append((np.concatenate([ellipse(0, -0.6, 0.32, 0.4)] * 2)[:49], 0.07))
        strokes += [(np.array([[x, -0.95], [x, -0.25]]), 0.015) for x in np.linspace(-0.24, 0.24, 6)]
    elif kind == 5:
        fills += [
            [ellipse(0, -0.65, 0.3, 0.3), ellipse(0, -0.7, 0.14, 0.12)],
            [rectangle(0.14, 0.85, 0.12, 0.06)],
            [rectangle(0.14, 0.6, 0.12, 0.05)],
        ]
    else:
        fills.append([rounded(np.array([[-0.05, -0.85], [0.45, -1], [0.5, -0.35], [-0.05, -0.5]]), rounds=2)])
    return Outline(fills, strokes)


def scissors(rng: np.random.Generator) -> Outline:
    """Two blades crossed, with ring handles; also pliers and tongs."""
    turn, thick = rng.uniform(0.12, 0.5), rng.uniform(0.05, 0.1)
    fills = []
    for side in (-1, 1):
        tip, grip = (side * np.sin(turn), -np.cos(turn)), (-side * np.sin(turn) * 0.8, np.cos(turn) * 0.65)
        fills.append([limb(grip, tip, thick, thick * 0.3)])
        loop = ellipse(grip[0], grip[1] + 0.15, 0.2, 0.26)
        fills.append([loop, (loop - [grip[0], grip[1] + 0.15]) * 0.62 + [grip[0], grip[1] + 0.15]])
    return Outline(fills)


def chair(rng: np.random.Generator) -> Outline:
    """Chair, stool or table out of sticks: legs with gaps between them, rungs, a back with slats."""
    thick, depth = rng.uniform(0.04, 0.1), rng.uniform(0.12, 0.3)
    wide = rng.uniform(0.4, 0.9)
    seat = rng.uniform(-0.2, 0.3)
    top = np.array(
        [[-wide, seat], [wide, seat], [wide - depth, seat - depth], [-wide + depth * rng.uniform(-1, 1), seat - depth]]
    )
    fills = [[top], [rectangle(0, seat + thick / 2, wide, thick / 2)]]
    strokes = [(np.array([[x, seat], [x * rng.uniform(0.9, 1.1), 1.0]]), thick) for x in (-wide * 0.93, wide * 0.93)]
    strokes += [(np.array([[x, seat], [x, 1.0 - depth]]), thick) for x in (-wide * 0.6, wide * 0.65)]
    if rng.random() < 0.6:
        strokes.append((np.array([[-wide * 0.93, 0.65], [wide * 0.93, 0.65]]), thick * 0.8))
    if rng.random() < 0.6:
        back = seat - depth
        for x in np.linspace(-wide + depth, wide - depth, int(rng.integers(2, 6))):
            strokes.append((np.array([[x, back], [x * 1.05, -1.0]]), thick * 0.8))
        strokes.append((np.array([[-wide + depth, -0.95], [wide - depth, -0.95]]), thick * 1.6))
    return Outline(fills, strokes)


def cable(rng: np.random.Generator) -> Outline:
    """One long thin line that wanders and loops, with a plug perhaps."""
    steps = rng.normal(0, 0.25, (9, 2)).cumsum(axis=0) * 0.7
    walk = np.cumsum(0.3 * np.stack([np.cos(steps[:, 0] * 4), np.sin(steps[:, 0] * 4)], 1), axis=0)
    walk -= walk.mean(axis=0)
    walk /= max(0.5, np.abs(walk).max())
    fills = [[ellipse(walk[0, 0], walk[0, 1], 0.09, 0.06)]] if rng.random() < 0.3 else []
    return Outline(fills, [(rounded(walk, False), rng.uniform(0.015, 0.06))])


def lattice(rng: np.random.Generator) -> Outline:
    """Fence, grid, net, ladder: crossed bars with the background between them."""
    columns, rows = int(rng.integers(2, 9)), int(rng.integers(2, 7))
    thick, lean = rng.uniform(0.02, 0.09), rng.choice([0.0, 0.0, 0.4])
    upright = np.linspace(-1, 1, columns)
    strokes = [(np.array([[x - lean, -0.8], [x + lean, 0.8]]), thick) for x in upright]
    if lean:
        strokes += [(np.array([[x + lean, -0.8], [x - lean, 0.8]]), thick) for x in upright]
    else:
        strokes += [(np.array([[-1, y], [1, y]]), thick * rng.uniform(0.5, 1.5)) for y in np.linspace(-0.7, 0.7, rows)]
    return Outline([], strokes)


def wheel(rng: np.random.Generator) -> Outline:
    """Rim, spokes and hub: what shows between the spokes is background."""
    rim = rng.uniform(0.06, 0.2)
    spokes = int(rng.integers(3, 14))
    angles = np.arange(spokes) * 2 * np.pi / spokes + rng.uniform(0, 6)
    strokes = [(np.array([[0, 0], [np.cos(a) * 0.9, np.sin(a) * 0.9]]), rng.uniform(0.02, 0.1)) for a in angles]
    return Outline([[ellipse(), ellipse(0, 0, 1 - rim, 1 - rim)], [ellipse(0, 0, 0.16, 0.16)]], strokes)


def garment(rng: np.random.Generator) -> Outline:
    """Shirt, dress or trousers laid flat."""
    hem, sleeve = rng.uniform(0.35, 0.9), rng.uniform(0.3, 0.9)
    shirt = np.array(
        [
            [-0.15, -0.85],
            [-0.4, -0.8],
            [-0.4 - sleeve * 0.7, -0.8 + sleeve],
            [-0.2 - sleeve * 0.7, -0.65 + sleeve],
            [-0.36, -0.3],
            [-hem, 0.9],
        ]
    )
    if rng.random() < 0.25:
        leg = np.array([[-0.4, -0.9], [-hem, 0.9], [-hem + 0.32, 0.9], [0, -0.2]])
        return Outline([[np.concatenate([leg, (leg * [-1, 1])[::-1]])]])
    return Outline([[np.concatenate([shirt, (shirt * [-1, 1])[::-1], [[0, rng.uniform(-0.8, -0.6)]]])]])


def aeroplane(rng: np.random.Generator) -> Outline:
    """A fuselage with swept wings and a tail; seen from above."""
    sweep, wide = rng.uniform(-0.1, 0.6), rng.uniform(0.06, 0.14)
    wing = np.array([[0.25, 0], [-0.05 - sweep, -0.95], [-0.2 - sweep, -0.95], [-0.2, 0]])
    tail = np.array([[-0.7, 0], [-0.95, -0.35], [-1.0, -0.35], [-0.95, 0]])
    return Outline([[limb((0.9, 0), (-0.95, 0), wide, wide * 0.4)], [wing], [wing * [1, -1]], [tail], [tail * [1, -1]]])


def hung(rng: np.random.Generator) -> Outline:
    """A bag, basket or lamp: a body with a bow over it that leaves a hole."""
    top = rng.uniform(0.4, 0.8)
    body = dense(np.array([[-top, -0.1], [top, -0.1], [rng.uniform(0.5, 0.9), 0.9], [-rng.uniform(0.5, 0.9), 0.9]]), 3)
    bow = np.array(
        [[-0.6 * top, 0], [-0.5 * top, -rng.uniform(0.5, 1.4)], [0.5 * top, -rng.uniform(0.5, 1.4)], [0.6 * top, 0]]
    )
    return Outline([[rounded(body, rounds=2)]], [(rounded(bow, False), rng.uniform(0.04, 0.1))])


UPRIGHT: tuple[Callable[[np.random.Generator], Outline], ...] = (
    *(creature, creature, person, tree, conifer, vessel, vessel, chair, bouquet, hung, garment, tuft, wheel),
)
ANYHOW: tuple[Callable[[np.random.Generator], Outline], ...] = (
    *(bird, fish, insect, hand, leaf, frond, tool, tool, scissors, cable, lattice, wheel, cloud, garment, aeroplane),
)
SOLID: tuple[Callable[[np.random.Generator], Outline], ...] = (
    creature,
    bird,
    fish,
    person,
    vessel,
    tool,
    hand,
    hung,
    leaf,
)
