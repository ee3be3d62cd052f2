"""Outlines as polygons and strokes in a unit frame (about -1..1, y down), and how they become stencils of pixels."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np

_TURNS = np.linspace(0, 2 * np.pi, 48, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURNS), np.sin(_TURNS)], axis=1)
_MARGIN = 3  # pixels around a shape in its window, for softening


@dataclass
class Outline:
    """A union of fills and strokes.

    Attributes:
        fills: groups of contours, float [N, 2]; within a group a contour inside another one is a hole.
        strokes: lines, float [N, 2], with their widths in units.
    """

    fills: list[list[np.ndarray]] = field(default_factory=list)
    strokes: list[tuple[np.ndarray, float]] = field(default_factory=list)


@dataclass
class Stencil:
    """Coverage 0..255, uint8 [h, w], whose first pixel lies at column x and row y of the scene."""

    x: int
    y: int
    alpha: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns of the scene."""
        return slice(self.y, self.y + self.alpha.shape[0]), slice(self.x, self.x + self.alpha.shape[1])


def pose(x: float, y: float, radius: float, angle: float = 0.0, stretch: float = 1.0, flip: bool = False) -> np.ndarray:
    """The 2x3 matrix that puts the unit frame at (x, y), `radius` pixels to a unit, turned by `angle` radians; y is
    divided by `stretch`."""
    cos, sin = np.cos(angle), np.sin(angle)
    first = np.array([cos, sin]) * radius * (-1 if flip else 1)
    second = np.array([-sin, cos]) * (radius / stretch)
    return np.column_stack([first, second, [x, y]])


def within(matrix: np.ndarray, x: float, y: float, size: float, angle: float = 0.0, stretch: float = 1.0) -> np.ndarray:
    """The pose of a part at (x, y) of the frame of `matrix`, `size` of its units to a unit."""
    inner = pose(x, y, size, angle, stretch)
    result: np.ndarray = matrix[:, :2] @ inner
    result[:, 2] += matrix[:, 2]
    return result


def stencil(outline: Outline, matrix: np.ndarray, side: int) -> Stencil | None:
    """Draw an outline, cut to the scene; None where nothing of it lies inside."""
    points, rebuild = _flat(outline)
    if not len(points):
        return None
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    placed = points @ matrix[:, :2].T + matrix[:, 2]
    reach = _MARGIN + scale * max([width for _, width in outline.strokes], default=0) / 2
    x0, y0 = np.maximum(np.floor(placed.min(axis=0) - reach), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(placed.max(axis=0) + reach + 1), side).astype(int)
    if x1 - x0 < 4 or y1 - y0 < 4:
        return None
    alpha = np.zeros((y1 - y0, x1 - x0), np.uint8)
    drawn = rebuild(np.rint((placed - [x0, y0]) * 16).astype(np.int32))  # sixteenths of a pixel
    for group in drawn.fills:
        cv2.fillPoly(alpha, group, 255, cv2.LINE_AA, 4)
    for line, width in drawn.strokes:
        cv2.polylines(alpha, [line], False, 255, max(1, round(width * scale)), cv2.LINE_AA, 4)
    return Stencil(int(x0), int(y0), alpha)


def clipped(inner: Stencil, outer: Stencil) -> Stencil | None:
    """The part of a stencil that lies in another one."""
    x0, y0 = max(inner.x, outer.x), max(inner.y, outer.y)
    x1 = min(inner.x + inner.alpha.shape[1], outer.x + outer.alpha.shape[1])
    y1 = min(inner.y + inner.alpha.shape[0], outer.y + outer.alpha.shape[0])
    if x1 - x0 < 4 or y1 - y0 < 4:
        return None
    first = inner.alpha[y0 - inner.y : y1 - inner.y, x0 - inner.x : x1 - inner.x]
    second = outer.alpha[y0 - outer.y : y1 - outer.y, x0 - outer.x : x1 - outer.x]
    return Stencil(x0, y0, np.asarray(cv2.min(np.ascontiguousarray(first), np.ascontiguousarray(second))))


# Pieces.


def ellipse(x: float = 0, y: float = 0, a: float = 1, b: float = 1, angle: float = 0) -> np.ndarray:
    """A contour [48, 2]."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray((_CIRCLE * [a, b]) @ np.array([[cos, sin], [-sin, cos]]) + [x, y])


def rectangle(x: float, y: float, a: float, b: float) -> np.ndarray:
    """The contour with centre (x, y) and half sides a, b."""
    return np.array([[x - a, y - b], [x + a, y - b], [x + a, y + b], [x - a, y + b]])


def limb(start: tuple[float, float], end: tuple[float, float], first: float, last: float) -> np.ndarray:
    """Two discs of radii first and last and what lies between them."""
    points = np.concatenate([_CIRCLE[::2] * first + start, _CIRCLE[::2] * last + end]).astype(np.float32)
    return cv2.convexHull(points)[:, 0].astype(np.float64)


def rounded(points: np.ndarray, closed: bool = True, rounds: int = 3) -> np.ndarray:
    """Cut corners until they are smooth."""
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0) if closed else points[1:]
        current = points if closed else points[:-1]
        cut = np.stack([0.75 * current + 0.25 * following, 0.25 * current + 0.75 * following], axis=1).reshape(-1, 2)
        points = cut if closed else np.concatenate([points[:1], cut, points[-1:]])
    return points


def dense(points: np.ndarray, pieces: int = 6) -> np.ndarray:
    """Every side of a contour cut into `pieces`."""
    along = np.arange(pieces)[:, None] / pieces
    following = np.roll(points, -1, axis=0)
    return (points[:, None] * (1 - along) + following[:, None] * along).reshape(-1, 2)


# Plain shapes.


def blob(rng: np.random.Generator) -> Outline:
    """A smooth closed curve, convex or not."""
    rough = rng.uniform(0.1, 0.5)
    reach = np.ones(48)
    for wave in range(2, 7):
        reach += rng.normal(0, rough / wave) * np.cos(wave * _TURNS + rng.uniform(0, 6.3))
    return Outline([[np.maximum(reach, 0.2)[:, None] * _CIRCLE]])


def _on_circle(rng: np.random.Generator, count: int, jitter: float = 0.6) -> np.ndarray:
    angles = (np.arange(count) + rng.uniform(-jitter, jitter, count) / 2) * (2 * np.pi / count) + rng.uniform(0, 6.3)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def polygon(rng: np.random.Generator) -> Outline:
    """Three to eight corners, sharp or rounded."""
    points = _on_circle(rng, int(rng.integers(3, 9))) * rng.uniform(0.7, 1.0)
    return Outline([[rounded(dense(points, 3)) if rng.random() < 0.3 else points]])


def superellipse(rng: np.random.Generator) -> Outline:
    """From a diamond over the ellipse to a box with round corners."""
    power = 2 / rng.choice([1.0, 2.0, 2.0, 4.0, 8.0])
    return Outline([[np.sign(_CIRCLE) * np.abs(_CIRCLE) ** power]])


def box(rng: np.random.Generator) -> Outline:
    """A rectangle, sometimes slanted to a trapezium."""
    corners = rectangle(0, 0, 1, 1)
    if rng.random() < 0.3:
        corners = corners * (1 - rng.uniform(0, 0.5) * (corners[:, 1:] > 0))
    return Outline([[corners]])


def star(rng: np.random.Generator) -> Outline:
    """Points or teeth around a centre, even or uneven; sometimes with a hole."""
    count = int(rng.integers(4, 16))
    inner = rng.uniform(0.25, 0.85)
    reach = np.where(np.arange(2 * count) % 2 == 0, 1.0, inner)
    if rng.random() < 0.4:
        reach = reach * rng.uniform(0.5, 1.1, 2 * count)
    points = _on_circle(rng, 2 * count, 0.2) * reach[:, None]
    if rng.random() < 0.25:
        points = rounded(points, rounds=2)
    contours = [points]
    if rng.random() < 0.3:
        contours.append(ellipse(0, 0, 0.5 * inner, 0.5 * inner))
    return Outline([contours])


def ring(rng: np.random.Generator) -> Outline:
    """A ring, a frame, a plate with several holes."""
    outer = [ellipse(), rectangle(0, 0, 1, 0.8), blob(rng).fills[0][0]][int(rng.integers(3))]
    if rng.random() < 0.6:
        inner = outer * rng.uniform(0.4, 0.85) + rng.uniform(-0.08, 0.08, 2)
        return Outline([[outer, inner]])
    holes = [ellipse(x, y, 0.16, 0.16) for x in (-0.4, 0.0, 0.4) for y in (-0.35, 0.2) if rng.random() < 0.7]
    return Outline([[outer, *holes]])


def crescent(rng: np.random.Generator) -> Outline:
    """A sickle or an arc of a ring."""
    half = rng.uniform(0.6, 2.8)
    angles = np.linspace(-half, half, 40)
    thick = rng.uniform(0.15, 0.6) * (np.cos(angles / half * np.pi / 2) if rng.random() < 0.5 else np.ones(40))
    outer = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Outline([[np.concatenate([outer, (outer * (1 - thick)[:, None])[::-1]])]])


def beams(rng: np.random.Generator) -> Outline:
    """L, T, U, E, plus and hash: bars that meet at right angles."""
    bars = []
    for _ in range(int(rng.integers(2, 5))):
        at, half, thick = rng.choice([-0.8, 0.0, 0.8]), rng.uniform(0.5, 1), rng.uniform(0.08, 0.25)
        bars.append([rectangle(at, 0, thick, half) if rng.random() < 0.5 else rectangle(0, at, half, thick)])
    return Outline([*bars, [rectangle(0, 0, 0.12, 0.9)]])


def spiky(rng: np.random.Generator) -> Outline:
    """Thorns of random length: a burr, a splash, a torn scrap."""
    count = int(rng.integers(8, 36))
    reach = rng.uniform(0.3, 0.6) + rng.uniform(0, 1, count) ** rng.uniform(0.8, 3) * 0.6
    points = _on_circle(rng, count, 0.9) * reach[:, None]
    return Outline([[rounded(points, rounds=2) if rng.random() < 0.4 else points]])


@cache
def _letter(code: int, font: int, weight: int) -> list[np.ndarray]:
    """The contours of a character, one unit high; holes are contours within contours."""
    canvas = np.zeros((160, 220), np.uint8)
    cv2.putText(canvas, chr(code), (30, 125), font, 3.4, 255, weight, cv2.LINE_AA)
    contours, _ = cv2.findContours((canvas > 127).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    simple = [cv2.approxPolyDP(c, 0.8, True)[:, 0] for c in contours if len(c) > 8]
    return [(c - [80, 90]) / 50 for c in simple if len(c) > 2]


def letters(rng: np.random.Generator) -> Outline:
    """One character or a short word as one thing."""
    font = [cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX][int(rng.integers(3))]
    weight = int(rng.integers(8, 26))
    count = 1 if rng.random() < 0.6 else int(rng.integers(2, 6))
    codes = [int(c) for c in rng.choice([*range(48, 58), *range(65, 91), *range(97, 123), 38, 63], count)]
    groups = []
    for place, code in enumerate(codes):
        shift = np.array([(place - (count - 1) / 2) * 2.2, 0])
        groups.append([(c * 1.4 + shift) / (count + 0.4) for c in _letter(code, font, weight)])
    return Outline([g for g in groups if g])


PLAIN: tuple[Callable[[np.random.Generator], Outline], ...] = (
    *(blob, blob, polygon, superellipse, box, star, ring, crescent, beams, spiky, letters),
)


def bent(outline: Outline, rng: np.random.Generator) -> Outline:
    """The same outline leaned, bent and wobbled a little, so that no two are alike."""
    lean, bend, taper = rng.normal(0, 0.15), rng.normal(0, 0.12), rng.normal(0, 0.12)
    wave, phase, depth = rng.uniform(1, 3), rng.uniform(0, 6.3), abs(rng.normal(0, 0.05))
    fills = [[dense(c) if len(c) < 20 else c for c in group] for group in outline.fills]
    points, rebuild = _flat(Outline(fills, outline.strokes))
    x, y = points[:, 0], points[:, 1]
    moved = np.empty_like(points)
    moved[:, 0] = x * (1 + taper * y) + lean * y + bend * y * y
    moved[:, 1] = y + depth * np.sin(wave * 3 * x + phase) - bend * x * x
    return rebuild(moved)


def furry(outline: Outline, rng: np.random.Generator) -> Outline:
    """The same outline with hairs, thorns or frayed threads all along it."""
    length, lean = rng.uniform(0.02, 0.12), rng.normal(0, 0.7)

    def frayed(points: np.ndarray) -> np.ndarray:
        points = dense(points, 12 if len(points) < 12 else 3)
        along = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
        along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)[:, None]
        out = np.stack([along[:, 1], -along[:, 0]], axis=1)
        if float(np.sum((points - points.mean(axis=0)) * out)) < 0:
            out = -out
        reach = length * rng.random(len(points)) * (np.arange(len(points)) % 2)
        return np.asarray(points + (out + lean * along) * reach[:, None])

    return Outline([[frayed(c) for c in group] for group in outline.fills], outline.strokes)


def _flat(outline: Outline) -> tuple[np.ndarray, Callable[[np.ndarray], Outline]]:
    """All points of an outline, [N, 2], and what makes the outline again from as many moved ones."""
    contours = [c for group in outline.fills for c in group]
    pieces = contours + [line for line, _ in outline.strokes]
    bounds = np.cumsum([len(piece) for piece in pieces])[:-1]

    def rebuild(points: np.ndarray) -> Outline:
        rest = iter(np.split(points, bounds))
        fills = [[next(rest) for _ in group] for group in outline.fills]
        return Outline(fills, [(next(rest), width) for _, width in outline.strokes])

    return (np.concatenate(pieces) if pieces else np.empty((0, 2))), rebuild
