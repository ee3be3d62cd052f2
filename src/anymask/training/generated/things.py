"""Single things at given places, as the kinds of scenes need them."""

import cv2
import numpy as np

from anymask.training.generated import assemblies, light, outlines, plants, silhouettes, solids, tree
from anymask.training.generated.materials import Material
from anymask.training.generated.outlines import Outline, Stencil, pose
from anymask.training.generated.stage import Stage
from anymask.training.generated.tree import Node

SOLIDS = ("sphere", "box", "cylinder", "cone")


def anything(stage: Stage) -> tuple[Outline, float]:
    """An outline of any sort, furry perhaps, and an angle that suits it."""
    rng, chance = stage.rng, stage.rng.random()
    angle = float(rng.uniform(0, 6.28))
    if chance < 0.42:
        outline = stage.pick(outlines.PLAIN)(rng)
    elif chance < 0.72:
        outline, angle = stage.pick(silhouettes.UPRIGHT)(rng), float(rng.normal(0, 0.15))
    else:
        outline = stage.pick(silhouettes.ANYHOW)(rng)
    outline = outlines.bent(outline, rng)
    return (outlines.furry(outline, rng) if stage.chance(0.12) else outline), angle


def place(stage: Stage, x: float, y: float, radius: float, angle: float = 0.0) -> np.ndarray:
    """A pose, mirrored or stretched at random."""
    stretch = float(np.exp(abs(stage.rng.normal(0, 0.3))))
    return pose(x, y, radius, angle, stretch, stage.chance(0.5))


def thing(
    stage: Stage, x: float, y: float, radius: float, blur: float = 0.0, subject: bool = False, shadow: float = 0.3
) -> None:
    """One thing at a place: a silhouette mostly, or a solid or an assembly where it is large enough.

    `shadow` is the chance of a shadow behind a silhouette.
    """
    rng = stage.rng
    chance = rng.random()
    if radius > 24 and not blur and chance < 0.12:
        assemblies.assemble(stage, place(stage, x, y, radius, rng.normal(0, 0.2)), subject=subject)
        return
    if radius > 10 and not blur and chance < 0.2:
        solid(stage, x, y, radius, subject)
        return
    if radius > 16 and not blur and chance < 0.24:
        cluster(stage, x, y, radius, subject=subject)
        return
    outline, angle = anything(stage)
    shape = stage.stencil(outline, place(stage, x, y, radius, angle))
    if stage.chance(shadow):
        stage.drop_shadow(shape, rng.uniform(0.02, 0.12) * radius + 1, rng.uniform(0.2, 0.6))
    relief = float(stage.pick([0.0, 0.0, 0.5, 1.0]))
    chance = rng.random()
    if chance < 0.1:
        hidden(stage, shape, stage.backdrop, relief, subject, blur)
        return
    material = stage.materials.bold() if chance < 0.22 else stage.materials.any()
    stage.paint(shape, material, relief=relief, blur=blur, subject=subject)


def hidden(
    stage: Stage, shape: Stencil | None, material: Material, relief: float, subject: bool = False, blur: float = 0.0
) -> None:
    """A shape of a material that lies behind it too: another cut, a little lighter or darker, an edge perhaps.

    What that leaves all but invisible is given a line around it.
    """
    if shape is None:
        return
    rng = stage.rng
    gain = 1 + float(stage.pick([-1, 1])) * rng.uniform(0.04, 0.2)
    colours = np.asarray(cv2.convertScaleAbs(material(*shape.alpha.shape), alpha=gain))
    if relief:
        colours = light.apply(colours, light.relief(shape.alpha, stage.towards, relief, rng))
    edge = np.asarray(cv2.morphologyEx(shape.alpha, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)))
    gap = float(np.mean(cv2.mean(cv2.absdiff(colours, np.ascontiguousarray(stage.image[shape.window])), edge)[:3]))
    stage.paint(shape, colours, blur=blur, subject=subject)
    if gap < 14 or stage.chance(0.2):
        bright = float(np.mean(cv2.mean(colours)[:3])) < 90
        stage.darken(shape.window, edge, rng.uniform(-1.0, -0.5) if bright else rng.uniform(0.2, 0.5))


def cluster(stage: Stage, x: float, y: float, radius: float, subject: bool = False) -> None:
    """A plant, a pile, a wig: many leaves, blades or lumps of one material that make one thing."""
    rng = stage.rng
    material = stage.materials.any()
    maker = stage.pick([plants.leaf, plants.leaf, plants.frond, plants.tuft, outlines.blob, outlines.crescent])
    made = [outlines.bent(maker(rng), rng) for _ in range(3)]
    whole = stage.group(subject=subject)
    size, upwards = radius * rng.uniform(0.25, 0.5), stage.chance(0.5)
    tones = rng.uniform(0.6, 1.3, 4)
    for number in range(int(rng.integers(6, 16))):
        out = 0.8 * radius * np.sqrt(rng.random())
        turn = rng.uniform(0, 6.28)
        angle = rng.normal(0, 0.6) if upwards else turn + np.pi / 2
        at = pose(x + out * np.cos(turn), y + out * np.sin(turn), size * rng.uniform(0.7, 1.2), angle)
        tone = float(tones[number % 4])
        stage.paint(stage.stencil(made[number % 3], at), solids.toned(material, tone), "", whole, 0.5)


def solid(
    stage: Stage,
    x: float,
    y: float,
    radius: float,
    subject: bool = False,
    upright: bool = False,
    kind: str | None = None,
    material: Material | None = None,
) -> Node | None:
    """One of SOLIDS, of any material and kind where none is given."""
    rng = stage.rng
    material = material or stage.materials.any()
    kind = kind or stage.pick(SOLIDS)
    angle = float(rng.normal(0, 0.05)) if upright else float(rng.uniform(0, 6.28))
    if kind == "sphere":
        return solids.sphere(stage, x, y, radius * 0.9, material, subject=subject)
    if kind == "box":
        half = (radius * rng.uniform(0.25, 0.85), radius * rng.uniform(0.25, 0.85), radius * rng.uniform(0.25, 0.85))
        return solids.box(stage, x, y, half, material, tumbled=not upright, subject=subject)
    matrix = pose(x, y, radius, angle) @ np.diag([rng.uniform(0.25, 0.9), 1, 1])
    if kind == "cylinder":
        top = stage.materials.any() if stage.chance(0.4) else material
        return solids.cylinder(stage, matrix, material, top, subject=subject)
    return solids.cone(stage, matrix, material, subject=subject)


def standing(
    stage: Stage, x: float, foot: float, radius: float, strength: float, subject: bool = False, gloss: float = 0.0
) -> None:
    """Something that stands at (x, foot), in pixels, with its shadow of `strength` 0..1 on the floor.

    `gloss` is how much of its mirror image the floor shows.
    """
    rng, chance = stage.rng, stage.rng.random()
    y = foot - radius * 0.9
    before, count = stage.image.copy(), len(stage.roots)
    if chance < 0.55 or radius < 14:
        solid(stage, x, y, radius, subject, upright=True)
    elif chance < 0.75:
        assemblies.assemble(stage, pose(x, y, radius, rng.normal(0, 0.03), 1, stage.chance(0.5)), subject=subject)
    elif chance < 0.8:
        cluster(stage, x, y, radius, subject)
    else:
        outline = outlines.bent(stage.pick(silhouettes.UPRIGHT)(rng), rng)
        shape = stage.stencil(outline, pose(x, y, radius, rng.normal(0, 0.05)))
        stage.paint(shape, stage.materials.any(), relief=rng.uniform(0, 1.2), subject=subject)
    if len(stage.roots) == count:
        return
    seen = tree.visible(stage.roots[count:], stage.side)
    if not seen:
        return
    mask = seen[0].mask  # the whole comes first; its shadow lies under it, hence it is fitted in afterwards
    painted = stage.image[mask.window].copy()
    stage.image = before
    if gloss:
        _mirror(stage, mask, painted, gloss)
    stage.ground_shadow(mask, strength)
    stage.blend(mask.window, painted, mask.alpha)


def _mirror(stage: Stage, mask: Stencil, painted: np.ndarray, share: float) -> None:
    """Paint what is painted in the mask upside down below it, fainter with distance."""
    height, width = mask.alpha.shape
    top = mask.y + height - 5
    rows = min(height, stage.side - top)
    if rows < 4:
        return
    fading = np.linspace(share, 0, height, dtype=np.float32)[:rows, None]
    alpha = (mask.alpha[::-1][:rows] * fading).astype(np.uint8)
    window = slice(top, top + rows), slice(mask.x, mask.x + width)
    stage.blend(window, np.ascontiguousarray(painted[::-1][:rows]), alpha)


def scattered(
    stage: Stage, count: int, smallest: float, largest: float, ordered: bool
) -> list[tuple[float, float, float]]:
    """Places and radii, x, y, radius, in pixels, for shares of the side; large ones first where ordered."""
    radii = [stage.size(smallest, largest) for _ in range(count)]
    if ordered:
        radii.sort(reverse=True)
    return [(stage.rng.uniform(0, stage.side), stage.rng.uniform(0, stage.side), radius) for radius in radii]
