"""Scenes with depth: floors, landscapes, glass, focus, and one subject before a background."""

import cv2
import numpy as np

from anymask.training.generated import assemblies, layers, light, outlines, plants, silhouettes, solids, things
from anymask.training.generated.outlines import Outline, Stencil
from anymask.training.generated.stage import Stage
from anymask.training.generated.tree import Node

_IDENTITY = np.array([[1.0, 0, 0], [0, 1.0, 0]])


def _backdrop(stage: Stage) -> None:
    """Fill the picture, as stuff unless it is a photograph (which shows many things)."""
    if stage.chance(0.35):
        stage.fill(stage.materials.photographic(1.0), 0.4)
        return
    stage.fill(stage.materials.plain() if stage.chance(0.6) else stage.materials.patterned(), 0.4)
    stage.roots.append(Node("stuff", Stencil(0, 0, np.full((stage.side, stage.side), 255, np.uint8))))


def floor(stage: Stage) -> float:
    """Wall and floor, with a corner or a skirting board perhaps; the row where they meet."""
    side, rng = stage.side, stage.rng
    _backdrop(stage)
    horizon = rng.uniform(-0.05, 0.6) * side
    slope = rng.normal(0, 0.05) * side
    if horizon > 0.2 * side and stage.chance(0.25):  # a second wall
        corner = rng.uniform(0.1, 0.9) * side
        wall = np.array([[corner, 0], [side, 0], [side, horizon + slope + 2], [corner, horizon + 2]])
        tone = solids.toned(stage.backdrop, rng.uniform(0.6, 0.9))
        stage.paint(stage.stencil(Outline([[wall]]), _IDENTITY), tone, "stuff")
    material = stage.materials.plain() if stage.chance(0.5) else stage.materials.any()
    if stage.chance(0.2):
        skirting = np.array([[0, horizon - slope - 7], [side, horizon + slope - 7], [side, side], [0, side]])
        stage.paint(stage.stencil(Outline([[skirting]]), _IDENTITY), stage.materials.plain(), "")
    shape = stage.stencil(
        Outline([[np.array([[0, horizon - slope], [side, horizon + slope], [side, side], [0, side]])]]), _IDENTITY
    )
    if shape is not None:
        height, width = shape.alpha.shape
        colours = light.apply(material(height, width), light.ramp(height, width, 0.3, rng))
        stage.paint(shape, colours, "stuff")
    return horizon


def room(stage: Stage) -> None:
    """Lit bodies and furniture on a floor before a wall, nearer ones larger, with their shadows."""
    rng, side = stage.rng, stage.side
    horizon = floor(stage)
    strength = rng.uniform(0.3, 0.7)
    gloss = rng.uniform(0.15, 0.5) if stage.chance(0.2) else 0.0
    for foot in np.sort(rng.uniform(horizon + 0.08 * side, 1.1 * side, int(rng.integers(2, 9)))):
        near = (foot - horizon) / (side - horizon + 1) + 0.35
        radius = near * stage.size(0.07, 0.3)
        things.standing(stage, rng.uniform(0.05, 0.95) * side, foot, radius, strength, gloss=gloss)


def landscape(stage: Stage) -> None:
    """Sky, ridges and ground as stuff, with trees, houses, beasts and clouds."""
    rng, side = stage.rng, stage.side
    _backdrop(stage)
    if stage.chance(0.5):
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.uniform(0, side), rng.uniform(0, 0.3) * side
            shape = stage.stencil(plants.cloud(rng), things.place(stage, x, y, stage.size(0.06, 0.25)))
            stage.paint(shape, stage.materials.plain(np.full(3, 225.0)), relief=0.8, blur=rng.uniform(0, 3))
    rows = np.sort(rng.uniform(0.25, 0.85, int(rng.integers(1, 4)))) * side
    xs = np.linspace(0, side, 40)
    for number, row in enumerate(rows):
        height = rng.uniform(0, 0.12) * side
        ridge = row + sum(
            height / w * np.sin(w * rng.uniform(1, 3) * xs / side * 2 + rng.uniform(0, 6.3)) for w in (1, 2, 4, 7)
        )
        contour = np.concatenate([np.stack([xs, ridge], 1), [[side, side], [0, side]]])
        shape = stage.stencil(Outline([[contour]]), _IDENTITY)
        stage.paint(shape, stage.materials.any(), "stuff")
        near = (number + 1) / len(rows)
        for _ in range(int(rng.integers(0, 5))):
            foot, x = row + rng.uniform(0, 0.12) * side, rng.uniform(0, side)
            things.standing(stage, x, foot, near * stage.size(0.07, 0.22), 0.4)


def glass(stage: Stage) -> None:
    """Clear and coloured panes, drops and vessels that bend and tint what is behind them."""
    rng, side = stage.rng, stage.side
    if stage.chance(0.5):
        layers.leaves(stage)
    else:
        room(stage)
    alone = stage.chance(0.4)
    for _ in range(1 if alone else int(rng.integers(1, 4))):
        radius = rng.uniform(0.2, 0.38) * side if alone else stage.size(0.08, 0.3)
        maker = stage.pick([silhouettes.vessel, silhouettes.vessel, outlines.blob, outlines.superellipse, outlines.box])
        outline = outlines.bent(maker(rng), rng)
        x, y = rng.uniform(0.25, 0.75, 2) * side
        shape = stage.stencil(outline, things.place(stage, x, y, radius, rng.normal(0, 0.3)))
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
        for x, y, radius in things.scattered(stage, int(rng.integers(3, 12)), 0.04, 0.25, True):
            things.thing(stage, x, y, radius)
    stage.defocus(rng.uniform(1.2, 5))
    alone = stage.chance(0.6)
    for _ in range(1 if alone else int(rng.integers(1, 5))):
        radius = rng.uniform(0.2, 0.4) * side if alone else stage.size(0.08, 0.25)
        things.thing(stage, rng.uniform(0.3, 0.7) * side, rng.uniform(0.3, 0.7) * side, radius, subject=alone)
    if stage.chance(0.4):
        edge = stage.pick([(0.0, 0.5), (1.0, 0.5), (0.5, 1.0), (0.1, 0.9)])
        outline, angle = things.anything(stage)
        place = things.place(stage, edge[0] * side, edge[1] * side, rng.uniform(0.1, 0.3) * side, angle)
        stage.paint(stage.stencil(outline, place), stage.materials.any(), blur=rng.uniform(2, 5))


def subject(stage: Stage) -> None:
    """One large thing, or a few that touch, before clutter, a photograph or a room."""
    rng, side = stage.rng, stage.side
    background = rng.random()
    if background < 0.35:
        stage.fill(stage.materials.background())
    elif background < 0.7:
        stage.fill(stage.materials.background())
        for x, y, radius in things.scattered(stage, int(rng.integers(3, 14)), 0.03, 0.15, True):
            things.thing(stage, x, y, radius)
    elif background < 0.88:
        floor(stage)
    else:
        landscape(stage)
    if stage.chance(0.3):
        stage.defocus(rng.uniform(0.8, 3.5))
    x, y = rng.uniform(0.36, 0.64, 2) * side
    radius = (rng.uniform(0.22, 0.46) if stage.chance(0.8) else rng.uniform(0.4, 0.65)) * side
    count = 1 if stage.chance(0.75) else int(rng.integers(2, 4))
    for number in range(count):
        share = 1.0 if number == 0 else rng.uniform(0.4, 0.8)
        dx, dy = (0.0, 0.0) if number == 0 else rng.uniform(-0.9, 0.9, 2) * radius
        _leading(stage, x + dx, y + dy, radius * share)
    if stage.chance(0.12):
        things.thing(stage, rng.uniform(0, side), rng.uniform(0, side), stage.size(0.05, 0.12))


def _leading(stage: Stage, x: float, y: float, radius: float) -> None:
    rng, chance = stage.rng, stage.rng.random()
    if chance < 0.35:
        assemblies.assemble(stage, things.place(stage, x, y, radius, rng.normal(0, 0.12)), subject=True)
    elif chance < 0.5:
        things.solid(stage, x, y, radius * 0.9, True, stage.chance(0.6))
    else:
        things.thing(stage, x, y, radius, subject=True)
