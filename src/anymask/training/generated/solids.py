"""Spheres, boxes, cylinders and cones under one light: shaded bodies whose faces are parts."""

import cv2
import numpy as np

from anymask.training.generated import light
from anymask.training.generated.materials import Material
from anymask.training.generated.outlines import Outline, Stencil, ellipse, pose, within
from anymask.training.generated.stage import Stage
from anymask.training.generated.tree import Node


def _lamp(stage: Stage) -> np.ndarray:
    """Unit vector to the light; x right, y down, z to the viewer."""
    vector = np.array([*stage.towards, 0.9])
    return np.asarray(vector / np.linalg.norm(vector))


def _frame(shape: Stencil, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of a window's pixels in the unit frame: float32 [h, w] each."""
    inverse = np.linalg.inv(matrix[:, :2])
    height, width = shape.alpha.shape
    xs = np.arange(shape.x, shape.x + width, dtype=np.float32)[None] - np.float32(matrix[0, 2])
    ys = np.arange(shape.y, shape.y + height, dtype=np.float32)[:, None] - np.float32(matrix[1, 2])
    inverse = inverse.astype(np.float32)
    return inverse[0, 0] * xs + inverse[0, 1] * ys, inverse[1, 0] * xs + inverse[1, 1] * ys


def _shine(colours: np.ndarray, glow: np.ndarray) -> np.ndarray:
    """Add a highlight, float [h, w] of 0..1."""
    added = np.clip(glow * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.add(colours, cv2.cvtColor(added, cv2.COLOR_GRAY2RGB)))


def sphere(stage: Stage, x: float, y: float, radius: float, material: Material, subject: bool = False) -> Node | None:
    """A ball, dull or polished."""
    shape = stage.stencil(Outline([[ellipse()]]), pose(x, y, radius))
    if shape is None:
        return None
    u, v = _frame(shape, pose(x, y, radius))
    depth = np.sqrt(np.maximum(1 - u * u - v * v, 0))
    lamp = _lamp(stage).astype(np.float32)
    facing = u * lamp[0] + v * lamp[1] + depth * lamp[2]
    ambient = stage.rng.uniform(0.25, 0.6)
    colours = light.apply(
        material(*shape.alpha.shape), light.gain_map(ambient + (1.25 - ambient) * np.maximum(facing, 0))
    )
    if stage.chance(0.6):
        mirrored = 2 * facing * depth - lamp[2]
        power = float(stage.rng.choice([6, 20, 60]))
        colours = _shine(colours, np.maximum(mirrored, 0) ** power * stage.rng.uniform(0.2, 0.9))
    return stage.paint(shape, colours, subject=subject)


def _sides(stage: Stage, matrix: np.ndarray, shape: Stencil, material: Material, narrowing: bool) -> np.ndarray:
    """Colours of a round wall whose axis is the frame's y: shaded across, with a streak of light perhaps."""
    u, v = _frame(shape, matrix)
    if narrowing:
        u = u / np.maximum(0.5 * (v + 1), 0.02)
    across = np.clip(u, -1, 1)
    axis = matrix[:, 0] / np.linalg.norm(matrix[:, 0])
    lamp = _lamp(stage)
    side = float(axis @ lamp[:2])
    facing = across * np.float32(side) + np.sqrt(1 - across * across) * np.float32(lamp[2])
    ambient = stage.rng.uniform(0.25, 0.6)
    colours = light.apply(
        material(*shape.alpha.shape), light.gain_map(ambient + (1.2 - ambient) * np.maximum(facing, 0))
    )
    if stage.chance(0.5):
        streak = np.exp(-(((across - 0.6 * side) / stage.rng.uniform(0.06, 0.2)) ** 2))
        colours = _shine(colours, streak * stage.rng.uniform(0.15, 0.6))
    return colours


def cylinder(stage: Stage, matrix: np.ndarray, material: Material, top: Material, subject: bool = False) -> Node | None:
    """A drum standing on the frame's y axis: its lid, or its mouth, is a part."""
    flat = stage.rng.uniform(0.12, 0.4)
    rim = ellipse(0, -1 + flat, 1, flat)
    lower = ellipse(0, 1 - flat, 1, flat)
    wall = np.concatenate([[[1, -1 + flat]], lower[:25], [[-1, -1 + flat]]])
    body = stage.stencil(Outline([[wall], [rim]]), matrix)
    if body is None:
        return None
    whole = stage.paint(body, _sides(stage, matrix, body, material, False), subject=subject)
    lid = stage.stencil(Outline([[rim]]), matrix, body)
    lid_node = stage.paint(lid, toned(top, stage.rng.uniform(0.85, 1.25)), "part", whole)
    if lid_node is not None and stage.chance(0.35):
        hole = Outline([[ellipse(0, -1 + flat, 0.85, 0.85 * flat)]])
        dark = toned(material, stage.rng.uniform(0.2, 0.6))
        stage.paint(stage.stencil(hole, matrix, body), dark, "part", lid_node)
    if stage.chance(0.45):
        low, high = sorted(stage.rng.uniform(-0.55, 0.75, 2))
        if high - low > 0.2:
            band = np.concatenate(
                [lower[:25] + np.array([0, high - 1 + flat]), (lower[:25] + np.array([0, low - 1 + flat]))[::-1]]
            )
            label = stage.stencil(Outline([[band]]), matrix, body)
            if label is not None:
                stage.paint(label, _sides(stage, matrix, label, stage.materials.any(), False), "part", whole)
    return whole


def cone(stage: Stage, matrix: np.ndarray, material: Material, subject: bool = False) -> Node | None:
    """A cone with its tip up."""
    flat = stage.rng.uniform(0.1, 0.3)
    foot = ellipse(0, 1 - flat, 1, flat)
    body = stage.stencil(Outline([[np.concatenate([[[0, -1]], foot[:25]])]]), matrix)
    if body is None:
        return None
    return stage.paint(body, _sides(stage, matrix, body, material, True), subject=subject)


def toned(material: Material, factor: float) -> Material:
    """The material `factor` times as bright."""
    return lambda height, width: np.asarray(cv2.convertScaleAbs(material(height, width), alpha=factor))


_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
_FACES = [
    (np.array(normal, float), np.array(corners, float))
    for normal, corners in (
        ((1, 0, 0), ((1, -1, -1), (1, -1, 1), (1, 1, 1), (1, 1, -1))),
        ((-1, 0, 0), ((-1, -1, -1), (-1, -1, 1), (-1, 1, 1), (-1, 1, -1))),
        ((0, 1, 0), ((-1, 1, -1), (1, 1, -1), (1, 1, 1), (-1, 1, 1))),
        ((0, -1, 0), ((-1, -1, -1), (1, -1, -1), (1, -1, 1), (-1, -1, 1))),
        ((0, 0, 1), ((-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1))),
        ((0, 0, -1), ((-1, -1, -1), (1, -1, -1), (1, 1, -1), (-1, 1, -1))),
    )
]


def box(
    stage: Stage,
    x: float,
    y: float,
    half: tuple[float, float, float],
    material: Material,
    tumbled: bool = False,
    subject: bool = False,
) -> Node | None:
    """A cuboid of half sides `half` pixels, seen a little from above, or turned anyhow.

    Its visible faces are parts, with prints and doors on them perhaps.
    """
    rng = stage.rng
    yaw, pitch = rng.uniform(0.2, 1.37), rng.uniform(0.2, 0.75)
    roll = rng.uniform(0, 6.28) if tumbled else 0.0
    turn = _about(2, roll) @ _about(0, -pitch) @ _about(1, yaw)
    far = rng.uniform(4, 12) * max(half)

    def project(points: np.ndarray) -> np.ndarray:
        rotated = (points * half) @ turn.T
        return np.asarray(rotated[:, :2] * (far / (far - rotated[:, 2:])) + [x, y])

    hull = cv2.convexHull(project(_CORNERS).astype(np.float32))[:, 0].astype(float)
    identity = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    body = stage.stencil(Outline([[hull]]), identity)
    if body is None:
        return None
    whole = stage.paint(body, material, subject=subject)
    lamp, ambient = _lamp(stage), rng.uniform(0.25, 0.6)
    other = stage.materials.any() if stage.chance(0.25) else material
    for normal, corners in _FACES:
        points = project(corners)
        first, second = points[1] - points[0], points[3] - points[0]
        facing = turn @ normal
        if facing[2] < 0.12:
            continue
        tone = ambient + (1.25 - ambient) * max(0.0, float(facing @ lamp))
        shape = stage.stencil(Outline([[points]]), identity, body)
        if shape is None:
            continue
        face_material = other if abs(normal[1]) > 0 else material
        face = stage.paint(shape, _laid(shape, points, face_material, tone), "part", whole)
        if face is not None and stage.chance(0.35):
            frame = np.column_stack([first / 2, second / 2, points.mean(axis=0)])
            _decorate(stage, face, shape, frame, tone)
    return whole


def _decorate(stage: Stage, face: Node, shape: Stencil, frame: np.ndarray, tone: float) -> None:
    """A label, a round sign, or rows of panels on a face whose unit frame is `frame`."""
    rng = stage.rng
    material = toned(stage.materials.any(), tone)
    if stage.chance(0.6):
        outline = (
            Outline([[ellipse()]])
            if stage.chance(0.3)
            else Outline([[np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])]])
        )
        at = within(
            frame, rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3), rng.uniform(0.25, 0.65), 0, rng.uniform(0.8, 2)
        )
        stage.paint(stage.stencil(outline, at, shape), material, "part", face)
        return
    columns, rows = rng.integers(1, 4, 2)
    panel = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) * rng.uniform(0.6, 0.85)
    for row in range(rows):
        for column in range(columns):
            middle = np.array([(2 * column + 1) / columns - 1, (2 * row + 1) / rows - 1])
            outline = Outline([[panel / [columns, rows] + middle]])
            stage.paint(stage.stencil(outline, frame, shape), material, "part", face)


def _about(axis: int, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.eye(3)
    first, second = [i for i in range(3) if i != axis]
    turn[first, first] = turn[second, second] = cos
    turn[first, second], turn[second, first] = -sin, sin
    return turn


def _laid(shape: Stencil, points: np.ndarray, material: Material, tone: float) -> np.ndarray:
    """A material laid into the parallelogram of a face, so that its pattern follows the perspective."""
    height, width = shape.alpha.shape
    sheet = toned(material, tone)(96, 96)
    corners = (points[[0, 1, 3]] - [shape.x, shape.y]).astype(np.float32)
    matrix = cv2.getAffineTransform(np.array([[0, 0], [95, 0], [0, 95]], np.float32), corners)
    return np.asarray(cv2.warpAffine(sheet, matrix, (width, height), borderMode=cv2.BORDER_REFLECT))
