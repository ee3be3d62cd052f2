"""Scenes of things laid over one another before something flat."""

import cv2
import numpy as np

from anymask.training.generated import assemblies, outlines, plants, silhouettes, things
from anymask.training.generated.materials import Material
from anymask.training.generated.outlines import Outline, pose
from anymask.training.generated.stage import Stage


def leaves(stage: Stage) -> None:
    """Dead leaves: all sorts of things over one another, small ones commoner, sparse or heaped."""
    stage.fill(stage.materials.background())
    rng = stage.rng
    heaped = stage.chance(0.5)
    largest = rng.uniform(0.25, 0.5) if heaped else rng.uniform(0.12, 0.4)
    count = int(rng.integers(18, 40)) if heaped else int(rng.integers(8, 24))
    shadow = float(stage.pick([0.0, 0.3, 0.8]))
    for x, y, radius in things.scattered(stage, count, 0.05 if heaped else 0.025, largest, stage.chance(0.7)):
        things.thing(stage, x, y, radius, shadow=shadow)
    if stage.chance(0.06):  # seen through a fence
        at = pose(0.5 * stage.side, 0.5 * stage.side, 0.8 * stage.side, rng.normal(0, 0.2))
        blur = rng.uniform(0, 2.5)
        stage.paint(stage.stencil(silhouettes.lattice(rng), at), stage.materials.plain(), relief=0.4, blur=blur)


def nests(stage: Stage) -> None:
    """Things made of parts, side by side or over one another."""
    rng, side = stage.rng, stage.side
    stage.fill(stage.materials.background())
    for _ in range(int(rng.integers(0, 6))):
        things.thing(stage, rng.uniform(0, side), rng.uniform(0, side), stage.size(0.03, 0.15))
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0.2, 0.8, 2) * side
        assemblies.assemble(stage, things.place(stage, x, y, rng.uniform(0.16, 0.42) * side, rng.normal(0, 0.15)))


def camouflage(stage: Stage) -> None:
    """Things of the material of what is behind them."""
    rng, side = stage.rng, stage.side
    stage.fill(stage.materials.photographic() if stage.chance(0.5) else stage.materials.patterned(), 0.0)
    alone = stage.chance(0.4)
    places = things.scattered(stage, int(rng.integers(2, 9)), 0.06, 0.3, True)
    if alone:
        places = [(rng.uniform(0.35, 0.65) * side, rng.uniform(0.35, 0.65) * side, rng.uniform(0.2, 0.42) * side)]
    for x, y, radius in places:
        outline, angle = things.anything(stage)
        shape = stage.stencil(outline, things.place(stage, x, y, radius, angle))
        if stage.chance(0.4):
            stage.drop_shadow(shape, rng.uniform(1, 5), rng.uniform(0.3, 0.7))
        things.hidden(stage, shape, stage.backdrop, rng.uniform(0.4, 1.0) if stage.chance(0.5) else 0.0, alone)


def bold(stage: Stage) -> None:
    """Striped, checked and printed things whose inner edges are stronger than their outlines."""
    rng = stage.rng
    stage.fill(stage.materials.plain() if stage.chance(0.7) else stage.materials.bold())
    for x, y, radius in things.scattered(stage, int(rng.integers(2, 9)), 0.08, 0.35, True):
        outline, angle = things.anything(stage)
        shape = stage.stencil(outline, things.place(stage, x, y, radius, angle))
        stage.paint(shape, stage.materials.bold(), relief=rng.uniform(0, 0.8))


def crowd(stage: Stage) -> None:
    """Many of one sort, in rows or heaped, touching or not: pebbles, cells, goods, a herd."""
    rng, side = stage.rng, stage.side
    stage.fill(stage.materials.background())
    materials = [stage.materials.any() for _ in range(int(rng.integers(1, 4)))]
    radius = stage.size(0.045, 0.16)
    gap = radius * rng.uniform(1.3, 2.6)
    jitter = float(stage.pick([0.05, 0.25, 0.6])) * radius
    count = min(int(np.ceil(side / gap)) + 1, 9)
    start = rng.uniform(min(0.0, side - (count - 1) * gap), max(1.0, side - (count - 1) * gap), 2)
    spots = [start + np.array([gap * column, gap * row]) for row in range(count) for column in range(count)]
    keep = len(spots) if stage.chance(0.4) else min(len(spots), int(rng.integers(8, 44)))
    order = np.sort(rng.choice(len(spots), min(keep, 48), replace=False))
    chosen = [spots[int(index)] + rng.normal(0, jitter, 2) for index in order]
    if stage.chance(0.25):
        kind, upright = stage.pick(things.SOLIDS), stage.chance(0.5)
        for x, y in chosen[:30]:
            things.solid(stage, x, y, 0.6 * gap, upright=upright, kind=kind, material=stage.pick(materials))
        return
    if radius > 0.08 * side and stage.chance(0.3):
        sort = stage.pick(assemblies.KINDS)
        for x, y in chosen[:8]:
            assemblies.assemble(stage, pose(x, y, 0.6 * gap, rng.normal(0, 0.1)), kind=sort)
        return
    maker = stage.pick(
        [*outlines.PLAIN, *silhouettes.UPRIGHT, *silhouettes.ANYHOW, *[outlines.blob, outlines.superellipse] * 5]
    )
    relief, turned, fur = float(stage.pick([0.0, 0.6, 1.2])), stage.chance(0.6), stage.chance(0.15)
    outline = maker(rng)
    for number, (x, y) in enumerate(chosen):
        if number == 0 or stage.chance(0.3):
            outline = outlines.furry(maker(rng), rng) if fur else maker(rng)
        size = radius * float(np.exp(rng.normal(0, 0.12)))
        shape = stage.stencil(outline, pose(x, y, size, rng.uniform(0, 6.28) if turned else rng.normal(0, 0.05)))
        if jitter > 0.2 * radius:
            stage.drop_shadow(shape, 0.08 * radius + 0.5, 0.4)
        stage.paint(shape, stage.pick(materials), relief=relief)


def foliage(stage: Stage) -> None:
    """Leaves, blades and fronds of one or two plants before and behind things."""
    rng, side = stage.rng, stage.side
    stage.fill(stage.materials.background())
    for _ in range(int(rng.integers(1, 5))):
        things.cluster(stage, rng.uniform(0, side), rng.uniform(0, side), rng.uniform(0.12, 0.4) * side)
    makers = (plants.leaf, plants.frond, plants.tuft, plants.bouquet, outlines.star)
    maker, material, angle = stage.pick(makers), stage.materials.any(), rng.uniform(0, 6.28)
    for x, y, radius in things.scattered(stage, int(rng.integers(4, 18)), 0.07, 0.25, False):
        if stage.chance(0.2):
            things.thing(stage, x, y, radius)
            continue
        at = pose(x, y, radius, angle + rng.normal(0, 0.7), rng.uniform(0.8, 1.6))
        shape = stage.stencil(outlines.bent(maker(rng), rng), at)
        stage.drop_shadow(shape, 0.1 * radius, rng.uniform(0, 0.6))
        stage.paint(shape, material, relief=0.5)


def table(stage: Stage) -> None:
    """A table top from above: plates with things on them, sheets of paper, cutlery."""
    rng, side = stage.rng, stage.side
    stage.fill(stage.materials.background() if stage.chance(0.4) else stage.materials.patterned())
    for x, y, radius in things.scattered(stage, int(rng.integers(2, 7)), 0.12, 0.42, True):
        chance = rng.random()
        if chance < 0.5:
            assemblies.assemble(
                stage, pose(x, y, radius, rng.uniform(0, 6.28), rng.uniform(1, 1.6)), kind=assemblies.plate
            )
        elif chance < 0.75:
            assemblies.assemble(stage, pose(x, y, radius, rng.uniform(0, 6.28)), kind=assemblies.page)
        else:
            shape = stage.stencil(silhouettes.tool(rng), pose(x, y, radius, rng.normal(0, 0.3)))
            stage.drop_shadow(shape, 3, 0.5)
            stage.paint(shape, stage.materials.plain(), relief=1.0)
    for _ in range(int(rng.integers(0, 8))):
        things.thing(stage, rng.uniform(0, side), rng.uniform(0, side), stage.size(0.03, 0.12), shadow=0.8)


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
