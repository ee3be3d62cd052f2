"""Where a scene is painted: the picture so far, the tree of what is in it, its light and its materials."""

from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np

from anymask.training.generated import light
from anymask.training.generated.materials import Material, Materials, Photographs
from anymask.training.generated.outlines import Outline, Stencil, clipped, stencil
from anymask.training.generated.tree import Node, Visible, chosen, full, visible
from anymask.training.samples import Scene

_Option = TypeVar("_Option")


class Stage:
    """A scene in the making.

    Attributes:
        rng, side: randomness and the side in pixels.
        image: uint8 [side, side, 3].
        roots: what was painted, in order.
        materials: of this scene.
        towards: unit vector (x, y) to the light.
        softness: blur of edges, pixels; the scene's lens.
        backdrop: the material behind everything.
    """

    def __init__(self, rng: np.random.Generator, side: int, photographs: Photographs | None = None) -> None:
        self.rng = rng
        self.side = side
        self.image = np.zeros((side, side, 3), np.uint8)
        self.roots: list[Node] = []
        self.materials = Materials(rng, photographs)
        angle = rng.normal(-np.pi / 2, 0.9)
        self.towards = np.array([np.cos(angle), np.sin(angle)])
        self.softness = float(rng.uniform(0.35, 0.8))
        self.backdrop: Material = self.materials.plain()

    def pick(self, options: Sequence[_Option]) -> _Option:
        """One of several, all equally likely."""
        return options[int(self.rng.integers(len(options)))]

    def chance(self, share: float) -> bool:
        """True in `share` of the cases."""
        return bool(self.rng.random() < share)

    def size(self, smallest: float, largest: float) -> float:
        """A radius in pixels for shares of the side: small ones are commoner (density as radius ** -2)."""
        low, high = 1 / smallest, 1 / largest
        return self.side / float(self.rng.uniform(high, low))

    def fill(self, material: Material, gradient: float = 0.3) -> None:
        """Paint the whole picture as an unlabelled background."""
        self.backdrop = material
        self.image = material(self.side, self.side)
        if gradient and self.chance(0.7):
            self.image = light.apply(self.image, light.ramp(self.side, self.side, gradient, self.rng))

    def stencil(self, outline: Outline, matrix: np.ndarray, clip: Stencil | None = None) -> Stencil | None:
        """An outline in place, cut to another stencil where one is given."""
        shape = stencil(outline, matrix, self.side)
        if shape is None or clip is None:
            return shape
        return clipped(shape, clip)

    def paint(
        self,
        shape: Stencil | None,
        fill: Material | np.ndarray,
        role: str = "object",
        parent: Node | None = None,
        relief: float = 0.0,
        blur: float = 0.0,
        subject: bool = False,
    ) -> Node | None:
        """Paint a stencil and enter it in the tree.

        Args:
            shape: None does nothing.
            fill: a material, or its colours already shaded, uint8 like the stencil [h, w, 3].
            role: as in the tree.
            parent: the whole of which it is a part.
            relief: how strongly it is shaded as a solid body; 0 leaves it flat.
            blur: of the edge, pixels, beyond the scene's softness (out of focus).
        """
        if shape is None:
            return None
        sigma = float(np.hypot(self.softness, blur))
        if blur:
            shape = _padded(shape, int(2.5 * blur), self.side)
        alpha = np.asarray(cv2.GaussianBlur(shape.alpha, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))
        height, width = alpha.shape
        colours = fill(height, width) if callable(fill) else fill
        if relief:
            colours = light.apply(colours, light.relief(alpha, self.towards, relief, self.rng))
        if blur:
            colours = np.asarray(cv2.GaussianBlur(colours, (0, 0), blur))
        self.blend(shape.window, colours, alpha)
        node = Node(role, Stencil(shape.x, shape.y, alpha), subject=subject)
        (self.roots if parent is None else parent.children).append(node)
        return node

    def group(self, subject: bool = False) -> Node:
        """An object that is the union of what will be painted with it as parent."""
        node = Node("object", subject=subject)
        self.roots.append(node)
        return node

    def blend(self, window: tuple[slice, slice], colours: np.ndarray, alpha: np.ndarray) -> None:
        """Lay colours over a window, uint8 [h, w, 3], with coverage alpha; the tree does not change."""
        weight = alpha.astype(np.float32) * np.float32(1 / 255)
        self.image[window] = cv2.blendLinear(colours, self.image[window], weight, 1 - weight)

    def darken(self, window: tuple[slice, slice], cover: np.ndarray, strength: float) -> None:
        """Let a shadow of coverage `cover`, like the window, fall on what is painted so far; below 0 it brightens."""
        gain = cv2.convertScaleAbs(cover, alpha=-strength * 128 / 255, beta=128)
        self.image[window] = light.apply(np.ascontiguousarray(self.image[window]), gain)

    def drop_shadow(self, shape: Stencil | None, reach: float, strength: float) -> None:
        """The shadow on something flat close behind: the shape itself, shifted away from the light and blurred."""
        if shape is None:
            return
        shift = -self.towards * reach
        blur = max(0.8, 0.5 * reach)
        grown = _padded(shape, int(reach + 2 * blur) + 1, self.side)
        cover = cv2.warpAffine(
            grown.alpha,
            np.array([[1, 0, shift[0]], [0, 1, shift[1]]]),
            grown.alpha.shape[::-1],
            flags=cv2.INTER_NEAREST,
        )
        self.darken(grown.window, np.asarray(cv2.GaussianBlur(cover, (0, 0), blur)), strength)

    def ground_shadow(self, shape: Stencil | None, strength: float) -> None:
        """The shadow on a floor: dark where the thing stands, and the thing laid down away from the light."""
        if shape is None:
            return
        half = self.side // 2
        foot = shape.y + shape.alpha.shape[0] - 3
        lean, flat = -self.towards[0] * 1.2, float(np.clip(0.15 - 0.2 * self.towards[1], 0.12, 0.4))
        # y' = foot - flat * (foot - y), x' = x + lean * (foot - y), at half the size
        matrix = 0.5 * np.array(
            [[1, -lean, shape.x + lean * (foot - shape.y)], [0, flat, foot - flat * (foot - shape.y)]]
        )
        cover = cv2.warpAffine(shape.alpha, matrix, (half, half))
        width = shape.alpha.shape[1]
        middle, axes = (int(shape.x + width / 2) // 2, int(foot) // 2), (max(2, width // 4), max(1, width // 22))
        cover = cv2.GaussianBlur(cover, (0, 0), max(0.8, 0.02 * shape.alpha.shape[0]))
        contact = np.zeros_like(cover)
        cv2.ellipse(contact, middle, axes, 0, 0, 360, 200, -1)
        cover = cv2.max(cover, cv2.GaussianBlur(contact, (0, 0), max(1.0, axes[1])))
        whole = slice(0, self.side), slice(0, self.side)
        self.darken(whole, np.asarray(cv2.resize(cover, (self.side, self.side))), strength)

    def defocus(self, blur: float) -> None:
        """Blur everything painted so far, picture and masks."""
        self.image = np.asarray(cv2.GaussianBlur(self.image, (0, 0), blur))
        entries = visible(self.roots, self.side)
        nodes = {}
        self.roots = []
        for entry in entries:
            grown = _padded(entry.mask, int(2.5 * blur), self.side)
            grown.alpha = np.asarray(cv2.GaussianBlur(grown.alpha, (0, 0), blur))
            node = Node(entry.node.role, grown, subject=entry.node.subject)
            nodes[id(entry)] = node
        for entry in entries:
            siblings = self.roots if entry.parent is None else nodes[id(entry.parent)].children
            siblings.append(nodes[id(entry)])

    def seen(self) -> list[Visible]:
        """What is visible so far."""
        return visible(self.roots, self.side)

    def scene(self) -> Scene:
        """The finished scene under its light, seen through a camera."""
        image = light.through_camera(light.exposed(light.fall_over(self.image, self.rng), self.rng), self.rng)
        entries = self.seen()
        subject = np.zeros((self.side, self.side), np.uint8)
        for entry in entries:
            if entry.node.subject:
                window = subject[entry.mask.window]
                window[:] = cv2.add(window, entry.mask.alpha)
        picked = chosen(entries, self.rng)
        masks = [full(entry.mask, self.side) for entry in picked]
        shown = float(np.count_nonzero(subject > 127)) / self.side**2
        return Scene(image, masks, [e.node.role for e in picked], subject if 0.02 < shown < 0.85 else None)


def _padded(shape: Stencil, margin: int, side: int) -> Stencil:
    """The stencil in a window larger by `margin`, as far as the scene goes."""
    height, width = shape.alpha.shape
    left, top = min(margin, shape.x), min(margin, shape.y)
    right, bottom = min(margin, side - shape.x - width), min(margin, side - shape.y - height)
    alpha = cv2.copyMakeBorder(shape.alpha, top, bottom, left, right, cv2.BORDER_CONSTANT)
    return Stencil(shape.x - left, shape.y - top, np.asarray(alpha))
