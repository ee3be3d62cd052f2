"""The things of a scene as a tree in painting order, and what of each is visible in the end."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from anymask.training.generated.outlines import Stencil

MAX_MASKS = 24
SMALLEST = 40  # visible pixels
_HIDDEN = 0.12  # of its own area; less visible than this makes no mask


@dataclass
class Node:
    """One thing or part of a thing.

    Attributes:
        role: "object", "part", "stuff", or "" for what is painted but labelled by no mask of its own.
        shape: its own coverage; None for what is only the union of its children.
        children: its parts, in painting order, over its own coverage.
        subject: whether it belongs to the subject of the scene.
    """

    role: str
    shape: Stencil | None = None
    children: list["Node"] = field(default_factory=list)
    subject: bool = False


@dataclass
class Visible:
    """What is seen of a node: coverage 0..255 in its window, its area in pixels, and the visible node around it."""

    node: Node
    mask: Stencil
    area: int
    parent: "Visible | None" = None


def visible(roots: list[Node], side: int) -> list[Visible]:
    """Every labelled node of which enough is seen, wholes before their parts.

    From front to back, light passes through what no thing has covered yet; a node covers what it takes from the light.
    Hence siblings never cover more than a pixel together, and parts never more than their whole.
    """
    light = np.full((side, side), 255, np.uint8)
    found: list[Visible] = []
    for node in reversed(roots):
        found += _cover(node, light)[0]
    return found


def _cover(node: Node, light: np.ndarray) -> tuple[list[Visible], int]:
    """Take the node's coverage from the light; what is seen in it and its own area were nothing in front."""
    box = _extent(node)
    if box is None:
        return [], 0
    x0, y0, x1, y1 = box
    before = light[y0:y1, x0:x1].copy()
    below: list[Visible] = []
    direct: list[Visible] = []
    own = 0
    for child in reversed(node.children):
        entries, area = _cover(child, light)
        direct += [e for e in entries if e.parent is None]
        below += entries
        own += area
    if node.shape is not None:
        part = light[node.shape.window]
        part[:] = cv2.multiply(part, cv2.bitwise_not(node.shape.alpha), scale=1 / 255)
        own = int(np.count_nonzero(node.shape.alpha > 127))
    if not node.role:
        return below, own
    mask = before - light[y0:y1, x0:x1]
    area = int(np.count_nonzero(mask > 127))
    if area < SMALLEST or area < _HIDDEN * own:
        return [], own
    entry = Visible(node, Stencil(x0, y0, mask), area)
    for child_entry in direct:
        child_entry.parent = entry
    return [entry, *below], own


def _extent(node: Node) -> tuple[int, int, int, int] | None:
    boxes = [b for b in map(_extent, node.children) if b is not None]
    if node.shape is not None:
        height, width = node.shape.alpha.shape
        boxes.append((node.shape.x, node.shape.y, node.shape.x + width, node.shape.y + height))
    if not boxes:
        return None
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def chosen(entries: list[Visible], rng: np.random.Generator) -> list[Visible]:
    """At most MAX_MASKS of them: rare sizes (by factors of two) first, and no part without its whole."""
    if len(entries) <= MAX_MASKS:
        return entries
    classes = np.log2([e.area for e in entries]).astype(int)
    weights = 1 / np.bincount(classes)[classes]
    taken: dict[int, Visible] = {}
    for index in np.argsort(-(rng.random(len(entries)) ** (1 / weights))):
        chain = []
        entry: Visible | None = entries[int(index)]
        while entry is not None and id(entry) not in taken:
            chain.append(entry)
            entry = entry.parent
        if len(taken) + len(chain) <= MAX_MASKS:
            taken.update((id(e), e) for e in chain)
    return list(taken.values())


def full(mask: Stencil, side: int) -> np.ndarray:
    """The stencil in a mask of the whole scene, uint8 [side, side]."""
    result = np.zeros((side, side), np.uint8)
    result[mask.window] = mask.alpha
    return result
