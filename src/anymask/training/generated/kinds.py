"""The kinds of scenes. Each paints a stage; `KINDS` gives their names and how often they are drawn."""

from collections.abc import Callable

import cv2
import numpy as np

from anymask.training.generated import assemblies, light, outlines, plants, silhouettes, solids
from anymask.training.generated.materials import Material
from anymask.training.generated.outlines import Outline, Stencil, pose
from anymask.training.generated.stage import Stage
from anymask.training.generated.tree import Node


def _anything(stage: Stage) -> tuple[Outline, float]:
    """An outline of any sort and an angle that suits it."""
    rng, chance = stage.rng, stage.rng.random()
    if chance < 0.45:
        return outlines.bent(stage.pick(outlines.PLAIN)(rng), rng), float(rng.uniform(0, 6.28))
    if chance < 0.72:
        return outlines.bent(stage.pick(silhouettes.UPRIGHT)(rng), rng), float(rng.normal(0, 0.15))
    return outlines.bent(stage.pick(silhouettes.ANYHOW)(rng), rng), float(rng.uniform(0, 6.28))


def _place(stage: Stage, x: float, y: float, radius: float, angle: float = 0.0) -> np.ndarray:
    stretch = float(np.exp(abs(stage.rng.normal(0, 0.35))))
    return pose(x, y, radius, angle, stretch, stage.chance(0.5))


def _thing(
    stage: Stage, x: float, y: float, radius: float, blur: float = 0.0, subject: bool = False, shadow: float = 0.3
) -> None:
    """One thing at a place: a silhouette mostly, or a solid or an assembly where it is large enough."""
    rng = stage.rng
    chance = rng.random()
    if radius > 24 and not blur and chance < 0.12:
        assemblies.assemble(stage, _place(stage, x, y, radius, rng.normal(0, 0.2)), subject=subject)
        return
    if radius > 10 and not blur and chance < 0.2:
        _solid(stage, x, y, radius, subject)
        return
    outline, angle = _anything(stage)
    shape = stage.stencil(outline, _place(stage, x, y, radius, angle))
    if stage.chance(shadow):
        stage.drop_shadow(shape, rng.uniform(0.02, 0.12) * radius + 1, rng.uniform(0.2, 0.6))
    relief = float(rng.choice([0.0, 0.5, 1.0], p=[0.5, 0.25, 0.25]))
    material = stage.materials.bold() if stage.chance(0.12) else stage.materials.any()
    stage.paint(shape, material, relief=relief, blur=blur, subject=subject)


def _solid(
    stage: Stage, x: float, y: float, radius: float, subject: bool = False, upright: bool = False
) -> Node | None:
    rng, material = stage.rng, stage.materials.any()
    kind = int(rng.integers(4))
    angle = float(rng.normal(0, 0.05)) if upright else float(rng.uniform(0, 6.28))
    if kind == 0:
        return solids.sphere(stage, x, y, radius * 0.9, material, subject=subject)
    if kind == 1:
        half = (radius * rng.uniform(0.25, 0.85), radius * rng.uniform(0.25, 0.85), radius * rng.uniform(0.25, 0.85))
        return solids.box(stage, x, y, half, material, tumbled=not upright, subject=subject)
    matrix = pose(x, y, radius, angle) @ np.diag([rng.uniform(0.25, 0.9), 1, 1])
    if kind == 2:
        return solids.cylinder(
            stage, matrix, material, stage.materials.any() if stage.chance(0.4) else material, subject=subject
        )
    return solids.cone(stage, matrix, material, subject=subject)


def _scattered(
    stage: Stage, count: int, smallest: float, largest: float, ordered: bool
) -> list[tuple[float, float, float]]:
    """Places and radii, x, y, radius, in pixels; large ones first where ordered."""
    radii = [stage.size(smallest, largest) for _ in range(count)]
    if ordered:
        radii.sort(reverse=True)
    return [(*stage.rng.uniform(0, stage.side, 2), radius) for radius in radii]


def leaves(stage: Stage) -> None:
    """Dead leaves: all sorts of things over one another, small ones commoner."""
    stage.fill(stage.materials.background())
    largest = stage.rng.uniform(0.15, 0.45)
    shadow = float(stage.rng.choice([0.0, 0.3, 0.8]))
    for x, y, radius in _scattered(stage, int(stage.rng.integers(10, 34)), 0.025, largest, stage.chance(0.6)):
        _thing(stage, x, y, radius, shadow=shadow)


def _floor(stage: Stage) -> float:
    """Wall and floor as stuff; the row where they meet."""
    side, rng = stage.side, stage.rng
    stage.fill(stage.materials.background(), 0.4)
    horizon = rng.uniform(0.15, 0.6) * side
    wall = Outline([[np.array([[0, 0], [side, 0], [side, horizon], [0, horizon]])]])
    slope = rng.normal(0, 0.06) * side
    floor = Outline([[np.array([[0, horizon - slope], [side, horizon + slope], [side, side], [0, side]])]])
    identity = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    whole = stage.stencil(wall, identity)
    if whole is not None:
        stage.roots.append(Node("stuff", Stencil(0, 0, np.full((side, side), 255, np.uint8))))
    material = stage.materials.plain() if stage.chance(0.5) else stage.materials.any()
    shape = stage.stencil(floor, identity)
    if shape is not None:
        colours = light.apply(
            material(*shape.alpha.shape), light.ramp(shape.alpha.shape[0], shape.alpha.shape[1], 0.3, rng)
        )
        stage.paint(shape, colours, "stuff")
    return horizon


def room(stage: Stage) -> None:
    """Lit bodies and furniture on a floor before a wall, nearer ones larger, with their shadows."""
    rng, side = stage.rng, stage.side
    horizon = _floor(stage)
    count = int(rng.integers(2, 9))
    strength = rng.uniform(0.3, 0.7)
    for foot in np.sort(rng.uniform(horizon + 0.08 * side, 1.05 * side, count)):
        near = (foot - horizon) / (side - horizon + 1) + 0.25
        _standing(stage, rng.uniform(0.05, 0.95) * side, foot, near * stage.size(0.07, 0.26), strength)


def _standing(stage: Stage, x: float, foot: float, radius: float, strength: float, subject: bool = False) -> None:
    """Something that stands at (x, foot) with its shadow on the floor."""
    rng, chance = stage.rng, stage.rng.random()
    y = foot - radius * 0.9
    if chance < 0.6 or radius < 16:
        before = stage.image.copy()
        node = _solid(stage, x, y, radius, subject, upright=True)
        if node is not None and node.shape is not None:  # the shadow lies under the body: fit it in afterwards
            painted = stage.image[node.shape.window].copy()
            stage.image = before
            stage.ground_shadow(node.shape, strength)
            weight = node.shape.alpha.astype(np.float32) / 255
            stage.image[node.shape.window] = cv2.blendLinear(
                painted, stage.image[node.shape.window], weight, 1 - weight
            )
        return
    if chance < 0.8:
        assemblies.assemble(stage, pose(x, y, radius, rng.normal(0, 0.03), 1, stage.chance(0.5)), subject=subject)
        return
    outline = outlines.bent(stage.pick(silhouettes.UPRIGHT)(rng), rng)
    shape = stage.stencil(outline, pose(x, y, radius, rng.normal(0, 0.05)))
    stage.ground_shadow(shape, strength)
    stage.paint(shape, stage.materials.any(), relief=rng.uniform(0, 1.2), subject=subject)


def nests(stage: Stage) -> None:
    """Things made of parts, side by side or over one another."""
    rng, side = stage.rng, stage.side
    stage.fill(stage.materials.background())
    for _ in range(int(rng.integers(0, 6))):
        _thing(stage, rng.uniform(0, side), rng.uniform(0, side), stage.size(0.03, 0.15))
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0.2, 0.8, 2) * side
        assemblies.assemble(stage, _place(stage, x, y, rng.uniform(0.16, 0.42) * side, rng.normal(0, 0.15)))


def _sheet(stage: Stage, material: Material, shape: Stencil, gain: float) -> np.ndarray:
    colours = material(*shape.alpha.shape)
    return np.asarray(cv2.convertScaleAbs(colours, alpha=gain))


def camouflage(stage: Stage) -> None:
    """Things of the material of what is behind them: another cut of it, a little lighter, an edge, a slight shadow."""
    rng, side = stage.rng, stage.side
    material = stage.materials.photographic() if stage.chance(0.5) else stage.materials.patterned()
    stage.fill(material, 0.0)
    alone = stage.chance(0.4)
    places = (
        [(*rng.uniform(0.35, 0.65, 2) * side, rng.uniform(0.2, 0.4) * side)]
        if alone
        else _scattered(stage, int(rng.integers(2, 9)), 0.05, 0.3, True)
    )
    for x, y, radius in places:
        outline, angle = _anything(stage)
        shape = stage.stencil(outline, _place(stage, x, y, radius, angle))
        if shape is None:
            continue
        how = rng.random()
        if how < 0.4:
            stage.drop_shadow(shape, rng.uniform(1, 5), rng.uniform(0.3, 0.7))
        gain = 1 + rng.choice([-1, 1]) * (rng.uniform(0.03, 0.12) if how < 0.7 else rng.uniform(0.1, 0.22))
        relief = rng.uniform(0.4, 1.0) if stage.chance(0.5) else 0.0
        stage.paint(shape, _sheet(stage, material, shape, gain), relief=relief, subject=alone)
        if how > 0.8:
            line = cv2.morphologyEx(shape.alpha, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
            stage.darken(shape.window, np.asarray(line), rng.uniform(0.2, 0.6))


def glass(stage: Stage) -> None:
    """Clear and coloured panes, drops and vessels that bend and tint what is behind them."""
    rng, side = stage.rng, stage.side
    if stage.chance(0.5):
        leaves(stage)
    else:
        room(stage)
    alone = stage.chance(0.4)
    for _ in range(1 if alone else int(rng.integers(1, 4))):
        radius = rng.uniform(0.2, 0.38) * side if alone else stage.size(0.08, 0.3)
        maker = stage.pick([silhouettes.vessel, silhouettes.vessel, outlines.blob, outlines.superellipse, outlines.box])
        outline = outlines.bent(maker(rng), rng)
        x, y = rng.uniform(0.25, 0.75, 2) * side
        shape = stage.stencil(outline, _place(stage, x, y, radius, rng.normal(0, 0.3)))
        if shape is not None:
            stage.paint(shape, _refracted(stage, shape), subject=alone)


def _refracted(stage: Stage, shape: Stencil) -> np.ndarray:
    """What is seen through a stencil of glass: displaced along its slopes, tinted, with a rim and a highlight."""
    rng, (height, width) = stage.rng, shape.alpha.shape
    spread = max(1.5, 0.08 * min(height, width))
    mound = cv2.GaussianBlur(shape.alpha.astype(np.float32) / 255, (0, 0), spread, borderType=cv2.BORDER_CONSTANT)
    slope_x, slope_y = cv2.Sobel(mound, cv2.CV_32F, 1, 0), cv2.Sobel(mound, cv2.CV_32F, 0, 1)
    bend = np.float32(rng.uniform(-1, 1) * 2.5 * spread**2)
    xs = np.arange(shape.x, shape.x + width, dtype=np.float32)[None] + bend * slope_x
    ys = np.arange(shape.y, shape.y + height, dtype=np.float32)[:, None] + bend * slope_y
    seen = cv2.remap(stage.image, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    tint = np.exp(rng.normal(-0.06, 0.12, 3)) if stage.chance(0.6) else np.ones(3)
    rim = np.clip(np.hypot(slope_x, slope_y) * np.float32(spread * 0.4), 0, 1)
    gain = (1 + np.float32(rng.uniform(-0.7, 0.5)) * rim)[..., None] * tint.astype(np.float32)
    colours = light.apply(np.asarray(seen), light.gain_map(gain))
    facing = -(slope_x * stage.towards[0] + slope_y * stage.towards[1]) * np.float32(spread)
    glow = np.clip(facing * rng.uniform(0.5, 2.5), 0, 1) ** 3 * rng.uniform(80, 255)
    return np.asarray(cv2.add(colours, cv2.cvtColor(glow.astype(np.uint8), cv2.COLOR_GRAY2RGB)))


def focus(stage: Stage) -> None:
    """Depth of field: a blurred background with its things, sharp ones in front, and blurred ones nearest."""
    rng, side = stage.rng, stage.side
    if stage.chance(0.5):
        room(stage)
    else:
        stage.fill(stage.materials.background())
        for x, y, radius in _scattered(stage, int(rng.integers(3, 12)), 0.04, 0.25, True):
            _thing(stage, x, y, radius)
    stage.defocus(rng.uniform(1.2, 5))
    alone = stage.chance(0.6)
    for _ in range(1 if alone else int(rng.integers(1, 5))):
        radius = rng.uniform(0.2, 0.4) * side if alone else stage.size(0.08, 0.25)
        _thing(stage, rng.uniform(0.3, 0.7) * side, rng.uniform(0.3, 0.7) * side, radius, subject=alone)
    if stage.chance(0.4):
        edge = stage.pick([(0.0, 0.5), (1.0, 0.5), (0.5, 1.0), (0.1, 0.9)])
        outline, angle = _anything(stage)
        place = _place(stage, edge[0] * side, edge[1] * side, rng.uniform(0.1, 0.3) * side, angle)
        stage.paint(stage.stencil(outline, place), stage.materials.any(), blur=rng.uniform(2, 5))


def bold(stage: Stage) -> None:
    """Striped, checked and printed things whose inner edges are stronger than their outlines."""
    rng = stage.rng
    stage.fill(stage.materials.plain() if stage.chance(0.7) else stage.materials.bold())
    for x, y, radius in _scattered(stage, int(rng.integers(2, 9)), 0.08, 0.35, True):
        outline, angle = _anything(stage)
        shape = stage.stencil(outline, _place(stage, x, y, radius, angle))
        stage.paint(shape, stage.materials.bold(), relief=rng.uniform(0, 0.8))


def crowd(stage: Stage) -> None:
    """Many of one sort, in rows or heaped, touching or not: pebbles, cells, goods, a herd."""
    rng, side = stage.rng, stage.side
    stage.fill(stage.materials.background())
    maker = stage.pick(
        [*outlines.PLAIN, *silhouettes.UPRIGHT, *silhouettes.ANYHOW, outlines.blob, outlines.superellipse]
    )
    materials = [stage.materials.any() for _ in range(int(rng.integers(1, 4)))]
    radius = stage.size(0.045, 0.16)
    relief, turned = float(rng.choice([0.0, 0.6, 1.2])), stage.chance(0.6)
    outline = maker(rng)
    gap = radius * rng.uniform(1.3, 2.6)
    jitter = rng.choice([0.05, 0.25, 0.6]) * radius
    count = min(int(np.ceil(side / gap)), 8)
    start = rng.uniform(0, max(1.0, side - (count - 1) * gap), 2)
    spots = [(start[0] + gap * i, start[1] + gap * j) for j in range(count) for i in range(count)]
    keep = min(len(spots), int(rng.integers(8, 44)))
    for index in np.sort(rng.choice(len(spots), keep, replace=False)):
        x, y = spots[int(index)] + rng.normal(0, jitter, 2)
        if stage.chance(0.3):
            outline = maker(rng)
        size = radius * float(np.exp(rng.normal(0, 0.12)))
        shape = stage.stencil(outline, pose(x, y, size, rng.uniform(0, 6.28) if turned else rng.normal(0, 0.05)))
        if jitter > 0.2 * radius:
            stage.drop_shadow(shape, 0.08 * radius + 0.5, 0.4)
        stage.paint(shape, stage.pick(materials), relief=relief)


def mosaic(stage: Stage) -> None:
    """Regions that fill the picture: paving, tiles, a map, a patched cloth, with joints or without."""
    rng, side = stage.rng, stage.side
    stage.fill(stage.materials.plain())
    count = int(rng.integers(6, 30))
    points = rng.uniform(0, side, (count, 2)).astype(np.float32)
    division = cv2.Subdiv2D((-side, -side, 3 * side, 3 * side))
    for point in points:
        division.insert((float(point[0]), float(point[1])))
    facets, _ = division.getVoronoiFacetList([])
    joint = rng.choice([0.0, 0.5, 1.5, 3.0])
    materials = [stage.materials.any() for _ in range(int(rng.integers(2, 8)))]
    smooth = stage.chance(0.4)
    relief = float(rng.choice([0.0, 0.6]))
    for facet in facets:
        points = np.asarray(facet, float)
        middle = points.mean(axis=0)
        reach = float(np.abs(points - middle).max())
        shrunk = middle + (points - middle) * max(0.3, 1 - joint / max(reach, 1.0))
        contour = outlines.rounded(shrunk) if smooth else shrunk
        shape = stage.stencil(Outline([[contour]]), np.array([[1.0, 0, 0], [0, 1.0, 0]]))
        material: Material = materials[int(rng.integers(len(materials)))]
        stage.paint(shape, material, relief=relief)


def landscape(stage: Stage) -> None:
    """Sky, ridges and ground as stuff, with trees, houses, beasts and clouds."""
    rng, side = stage.rng, stage.side
    stage.fill(stage.materials.plain() if stage.chance(0.6) else stage.materials.background(), 0.5)
    stage.roots.append(Node("stuff", Stencil(0, 0, np.full((side, side), 255, np.uint8))))
    if stage.chance(0.5):
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.uniform(0, side), rng.uniform(0, 0.3) * side
            shape = stage.stencil(plants.cloud(rng), _place(stage, x, y, stage.size(0.06, 0.25)))
            stage.paint(shape, stage.materials.plain(np.full(3, 225.0)), relief=0.8, blur=rng.uniform(0, 3))
    rows = np.sort(rng.uniform(0.25, 0.85, int(rng.integers(1, 4)))) * side
    xs = np.linspace(0, side, 40)
    identity = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    for number, row in enumerate(rows):
        height = rng.uniform(0, 0.12) * side
        ridge = row + sum(
            height / w * np.sin(w * rng.uniform(1, 3) * xs / side * 2 + rng.uniform(0, 6.3)) for w in (1, 2, 4, 7)
        )
        contour = np.concatenate([np.stack([xs, ridge], 1), [[side, side], [0, side]]])
        shape = stage.stencil(Outline([[contour]]), identity)
        stage.paint(shape, stage.materials.any(), "stuff")
        near = (number + 1) / len(rows)
        for _ in range(int(rng.integers(0, 5))):
            foot, x = row + rng.uniform(0, 0.12) * side, rng.uniform(0, side)
            _standing(stage, x, foot, near * stage.size(0.07, 0.22), 0.4)


def subject(stage: Stage) -> None:
    """One large thing, or a few that touch, before clutter, a photograph or a room."""
    rng, side = stage.rng, stage.side
    background = rng.random()
    if background < 0.35:
        stage.fill(stage.materials.background())
    elif background < 0.7:
        stage.fill(stage.materials.background())
        for x, y, radius in _scattered(stage, int(rng.integers(3, 14)), 0.03, 0.15, True):
            _thing(stage, x, y, radius)
    elif background < 0.85:
        _floor(stage)
    else:
        landscape(stage)
    if stage.chance(0.3):
        stage.defocus(rng.uniform(0.8, 3.5))
    x, y = rng.uniform(0.36, 0.64, 2) * side
    radius = rng.uniform(0.22, 0.46) * side
    count = 1 if stage.chance(0.75) else int(rng.integers(2, 4))
    for number in range(count):
        share = 1.0 if number == 0 else rng.uniform(0.4, 0.8)
        dx, dy = (0.0, 0.0) if number == 0 else rng.uniform(-0.9, 0.9, 2) * radius
        _leading(stage, x + dx, y + dy, radius * share)
    if stage.chance(0.12):
        _thing(stage, rng.uniform(0, side), rng.uniform(0, side), stage.size(0.05, 0.12))


def _leading(stage: Stage, x: float, y: float, radius: float) -> None:
    rng, chance = stage.rng, stage.rng.random()
    if chance < 0.35:
        assemblies.assemble(stage, _place(stage, x, y, radius, rng.normal(0, 0.12)), subject=True)
    elif chance < 0.5:
        _solid(stage, x, y, radius * 0.9, True, stage.chance(0.6))
    else:
        _thing(stage, x, y, radius, subject=True)


KINDS: dict[str, tuple[Callable[[Stage], None], float]] = {
    "leaves": (leaves, 0.16),
    "room": (room, 0.12),
    "nests": (nests, 0.12),
    "camouflage": (camouflage, 0.07),
    "glass": (glass, 0.05),
    "focus": (focus, 0.07),
    "bold": (bold, 0.06),
    "crowd": (crowd, 0.08),
    "mosaic": (mosaic, 0.03),
    "landscape": (landscape, 0.05),
    "subject": (subject, 0.22),
}
