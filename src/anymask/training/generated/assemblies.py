"""Things made of parts: every part is painted into its whole and makes a mask of its own."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from anymask.training.generated import outlines, plants, silhouettes
from anymask.training.generated.materials import Material
from anymask.training.generated.outlines import Outline, Stencil, ellipse, limb, rectangle, rounded, within
from anymask.training.generated.stage import Stage
from anymask.training.generated.tree import Node


class Builder:
    """Paints the parts of one thing in its unit frame.

    Attributes:
        whole: the node of the thing.
        body: the stencil to which parts are cut, once `base` was painted.
    """

    def __init__(self, stage: Stage, matrix: np.ndarray, subject: bool) -> None:
        self.stage = stage
        self.matrix = matrix
        self.relief = stage.pick([0.0, 0.4, 0.9])
        self.whole = stage.group(subject=subject)
        self.body: Stencil | None = None

    def base(self, contours: Outline, material: Material) -> None:
        """The body of the whole, without a mask of its own; later parts are cut to it unless they are `loose`."""
        self.body = self.stage.stencil(contours, self.matrix)
        self.stage.paint(self.body, material, "", self.whole, self.relief)

    def part(
        self,
        shape: np.ndarray | Outline,
        material: Material,
        *,
        loose: bool = False,
        parent: Node | None = None,
        role: str = "part",
        at: tuple[float, float] = (0.0, 0.0),
        size: float = 1.0,
        angle: float = 0.0,
    ) -> Node | None:
        """A part: a contour or outline in the frame of the thing, or scaled by `size` about `at`."""
        contours = shape if isinstance(shape, Outline) else Outline([[shape]])
        clip = None if loose else self.body
        place = within(self.matrix, *at, size, angle)
        return self.stage.paint(
            self.stage.stencil(contours, place, clip), material, role, parent or self.whole, 0.7 * self.relief
        )


def face(b: Builder, stage: Stage) -> None:
    """Hair, skin, eyes with pupils, brows, nose, mouth, ears."""
    rng, m = stage.rng, stage.materials
    b.relief = max(b.relief, 0.5)  # parts of one material are told apart by their shading alone
    skin, hair, white, dark = m.plain(), m.any(), m.plain(np.full(3, 235.0)), m.plain()
    if stage.chance(0.8):
        b.part(outlines.blob(rng), hair, at=(0, -0.25), size=rng.uniform(0.75, 1.0))
    for s in (-1, 1):
        b.part(ellipse(s * 0.68, 0.05, 0.14, 0.22), skin, loose=True)
    b.part(ellipse(0, 0.05, 0.68, rng.uniform(0.75, 0.95)), skin)
    wide, eye_y = rng.uniform(0.22, 0.36), rng.uniform(-0.2, 0.05)
    for s in (-1, 1):
        eye = b.part(ellipse(s * wide, eye_y, rng.uniform(0.11, 0.2), rng.uniform(0.06, 0.18)), white)
        b.part(ellipse(s * wide + rng.normal(0, 0.03), eye_y, 0.07, 0.07), dark, parent=eye)
        b.part(
            Outline([], [(np.array([[s * (wide - 0.15), eye_y - 0.22], [s * (wide + 0.15), eye_y - 0.24]]), 0.06)]),
            hair,
        )
    b.part(rounded(np.array([[0, -0.05], [0.12, 0.3], [-0.12, 0.3]]), rounds=2), skin)
    b.part(ellipse(0, 0.55, rng.uniform(0.15, 0.35), rng.uniform(0.04, 0.14)), m.plain())


def car(b: Builder, stage: Stage) -> None:
    """Body, windows, wheels with hubs, lamps, a door."""
    rng, m = stage.rng, stage.materials
    nose, roof = rng.uniform(-0.15, 0.1), rng.uniform(-0.65, -0.35)
    front, back = rng.uniform(0.25, 0.6), rng.uniform(-0.9, -0.45)
    body = np.array(
        [
            [-1, 0.3],
            [-1, -0.1],
            [back, -0.12],
            [back + 0.2, roof],
            [front - 0.2, roof],
            [front, -0.1],
            [1, nose],
            [1, 0.3],
        ]
    )
    b.base(Outline([[rounded(body, rounds=2)]]), m.plain())
    pane, tyre = m.plain(), m.plain(np.full(3, 35.0))
    cut = rng.uniform(back + 0.3, front - 0.25)
    b.part(
        np.array([[back + 0.12, -0.12], [back + 0.24, roof + 0.07], [cut - 0.03, roof + 0.07], [cut - 0.03, -0.12]]),
        pane,
    )
    b.part(
        np.array([[cut + 0.03, -0.12], [cut + 0.03, roof + 0.07], [front - 0.22, roof + 0.07], [front - 0.07, -0.12]]),
        pane,
    )
    if stage.chance(0.5):
        b.part(rectangle(cut - 0.25, 0.08, 0.22, 0.17), m.plain())
    b.part(ellipse(0.93, 0.08, 0.08, 0.07), m.plain(np.full(3, 240.0)))
    size = rng.uniform(0.17, 0.25)
    for x in (-0.6, 0.58):
        wheel = b.part(ellipse(x, 0.32, size, size), tyre, loose=True)
        b.part(ellipse(x, 0.32, size * 0.6, size * 0.6), m.any(), parent=wheel, loose=True)


def shelf(b: Builder, stage: Stage) -> None:
    """A frame with compartments; in them books, jars, boxes, or doors and drawers."""
    rng, m = stage.rng, stage.materials
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(2, 5))
    b.base(Outline([[rectangle(0, 0, 0.9, 1)]]), m.any())
    wide, tall = 1.8 / columns, 2.0 / rows
    back = m.plain()
    for row in range(rows):
        for column in range(columns):
            x, y = -0.9 + wide * (column + 0.5), -1 + tall * (row + 0.5)
            a, h = wide / 2 - 0.05, tall / 2 - 0.05
            cell = b.part(rectangle(x, y, a, h), back if stage.chance(0.8) else m.any())
            if stage.chance(0.25):
                b.part(rectangle(x, y, min(0.12, a / 2), 0.025), m.plain(), parent=cell)
                continue
            at = x - a
            while at < x + a - 0.06 and stage.chance(0.93):
                width = rng.uniform(0.04, 0.3)
                height = h * rng.uniform(0.5, 0.95)
                if at + width > x + a:
                    break
                middle = at + width / 2
                thing: np.ndarray | Outline = rectangle(middle, y + h - height, width / 2, height)
                if width > 0.12 and stage.chance(0.5):
                    kind = stage.pick([outlines.blob, outlines.superellipse])
                    thing = Outline([[c * [width / 2, height] + [middle, y + h - height] for c in kind(rng).fills[0]]])
                b.part(thing, m.any(), parent=cell, role="object")
                at += width + (0.0 if stage.chance(0.7) else 0.08)


def house(b: Builder, stage: Stage) -> None:
    """Wall, roof, door, rows of windows with panes, chimney; tall ones are towers."""
    rng, m = stage.rng, stage.materials
    top, half = rng.uniform(-0.9, 0.1), rng.uniform(0.4, 0.95)
    b.part(rectangle(rng.uniform(-0.3, 0.3), top - 0.2, 0.08, 0.25), m.any(), loose=True)
    wall = b.part(rectangle(0, (top + 1) / 2, half, (1 - top) / 2), m.any())
    if stage.chance(0.7):
        peak = rng.uniform(-0.3, 0.3) * half
        ridge = np.array([[-half * 1.12, top], [peak, top - rng.uniform(0.2, 0.7)], [half * 1.12, top]])
        b.part(ridge, m.any(), loose=True)
    pane, frame = m.plain(), m.plain()
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(1, 5))
    for row in range(rows):
        for column in range(columns):
            x = half * ((2 * column + 1) / columns - 1)
            y = top + (1 - top) * (row + 0.5) / (rows + 0.8)
            a, h = 0.6 * half / columns, 0.3 * (1 - top) / (rows + 0.8)
            window = b.part(rectangle(x, y, a, h), frame, parent=wall)
            b.part(rectangle(x, y, a * 0.8, h * 0.85), pane, parent=window)
    b.part(rectangle(rng.uniform(-0.5, 0.5) * half, 0.85, 0.11, 0.15), m.plain(), parent=wall)


def figure(b: Builder, stage: Stage) -> None:
    """A dressed person: hair, head, arms, shirt with bold cloth perhaps, trousers or skirt, shoes, bag."""
    rng, m = stage.rng, stage.materials
    skin, cloth = m.plain(), m.bold() if stage.chance(0.5) else m.any()
    trousers, shoes, thick = m.any(), m.plain(), rng.uniform(0.08, 0.13)
    skirt = stage.chance(0.3)
    legs = Outline([])
    for s in (-1, 1):
        knee, foot = (s * rng.uniform(0.1, 0.25), 0.5), (s * rng.uniform(0.1, 0.35), 0.9)
        legs.fills += [[limb((s * 0.1, 0.05), knee, thick * 1.3, thick)], [limb(knee, foot, thick, thick * 0.7)]]
        b.part(ellipse(foot[0] + 0.05 * s, 0.96, 0.12, 0.055), shoes, loose=True)
    b.part(legs, skin if skirt else trousers, loose=True)
    if skirt:
        b.part(np.array([[-0.2, 0], [0.2, 0], [rng.uniform(0.3, 0.5), 0.5], [-0.4, 0.5]]), trousers, loose=True)
    arms, sleeves = Outline([]), Outline([])
    for s in (-1, 1):
        elbow = (s * rng.uniform(0.3, 0.5), -0.4 + rng.uniform(-0.2, 0.3))
        end = (elbow[0] + rng.normal(0, 0.2), elbow[1] + rng.uniform(-0.3, 0.35))
        arms.fills += [[limb(elbow, end, thick * 0.7, thick * 0.6)], [ellipse(*end, 0.07, 0.07)]]
        sleeves.fills.append([limb((s * 0.22, -0.48), elbow, thick, thick * 0.9)])
    b.part(arms, skin, loose=True)
    trunk = np.array([[-0.28, -0.55], [-0.1, -0.6], [0.1, -0.6], [0.28, -0.55], [0.2, 0.1], [-0.2, 0.1]])
    b.part(Outline([[trunk], *sleeves.fills]), cloth, loose=True)
    b.part(Outline([[limb((0, -0.58), (0, -0.7), 0.06, 0.06)], [ellipse(0, -0.79, 0.12, 0.16)]]), skin, loose=True)
    hair = rounded(
        np.array([[-0.14, -0.8], [-0.15, -0.98], [0.15, -0.98], [0.14, -0.8], [0.08, -0.88], [-0.08, -0.88]]), rounds=2
    )
    b.part(hair, m.any(), loose=True)
    if stage.chance(0.3):
        b.part(rounded(rectangle(0.35, 0.1, 0.16, 0.18), rounds=2), m.any(), loose=True)


def flower(b: Builder, stage: Stage) -> None:
    """Petals around a heart, on a stem with leaves."""
    rng, m = stage.rng, stage.materials
    b.relief = max(b.relief, 0.5)  # parts of one material are told apart by their shading alone
    petals, wide = int(rng.integers(5, 13)), rng.uniform(0.12, 0.28)
    green, tone = m.any(), m.any()
    b.part(
        Outline([], [(rounded(np.array([[0, 0], [rng.normal(0, 0.1), 0.5], [rng.normal(0, 0.2), 1.1]]), False), 0.05)]),
        green,
        loose=True,
    )
    for s in (-1, 1):
        if stage.chance(0.6):
            b.part(plants.leaf(rng), green, loose=True, at=(s * 0.28, 0.6), size=0.32, angle=s * 1.0)
    for index in range(petals):
        angle = 2 * np.pi * index / petals + rng.normal(0, 0.08)
        x, y = 0.4 * np.cos(angle), 0.4 * np.sin(angle) - 0.3
        b.part(ellipse(x, y, 0.32, wide, angle), tone, loose=True)
    b.part(ellipse(0, -0.3, rng.uniform(0.12, 0.25), rng.uniform(0.12, 0.25)), m.any(), loose=True)


def dial(b: Builder, stage: Stage) -> None:
    """A clock, a target, a plate with a rim, a button with holes."""
    rng, m = stage.rng, stage.materials
    inner: Node | None = b.whole
    size, first = 1.0, True
    for _ in range(int(rng.integers(2, 5))):
        inner = b.part(ellipse(0, 0, size, size), m.any(), parent=inner, loose=first) or inner
        size *= rng.uniform(0.5, 0.88)
        first = False
    if stage.chance(0.6):
        for length in (0.8, 0.5):
            angle = rng.uniform(0, 6.28)
            tip = (size * length * np.cos(angle), size * length * np.sin(angle))
            b.part(limb((0, 0), tip, 0.05, 0.02), m.plain(), parent=inner)
    else:
        for x, y in ((-0.3, 0), (0.3, 0), (0, -0.3), (0, 0.3)):
            b.part(ellipse(x * size, y * size, 0.13 * size, 0.13 * size), m.plain(), parent=inner)


def jar(b: Builder, stage: Stage) -> None:
    """A turned vessel with label, print on the label, and lid."""
    rng, m = stage.rng, stage.materials
    half = silhouettes.profile(rng)
    right = np.stack([half, np.linspace(-1, 1, 24)], axis=1)
    b.relief = 1.0
    b.base(Outline([[np.concatenate([right, (right * [-1, 1])[::-1]])]]), m.any())
    low, high = rng.uniform(0.2, 0.7), rng.uniform(-0.3, 0.1)
    label = b.part(rectangle(0, (low + high) / 2, 1, (low - high) / 2), m.any())
    if label is not None and stage.chance(0.7):
        kind = stage.pick([outlines.letters, outlines.blob, outlines.star])
        b.part(kind(rng), m.plain(), parent=label, at=(0, (low + high) / 2), size=0.3 * (low - high))
    if stage.chance(0.7):
        cap = float(half[0]) * rng.uniform(1.0, 1.3)
        b.part(rectangle(0, -1.0, cap, rng.uniform(0.06, 0.16)), m.plain(), loose=True)


def beast(b: Builder, stage: Stage) -> None:
    """An animal with eyes, muzzle, ears, legs and a patch as parts."""
    rng, m = stage.rng, stage.materials
    b.relief = max(b.relief, 0.5)  # parts of one material are told apart by their shading alone
    coat, other = m.any(), m.any()
    thick = rng.uniform(0.06, 0.12)
    for x in (-0.5, -0.35, 0.25, 0.4):
        foot = (x + rng.normal(0, 0.08), 0.9)
        b.part(Outline([[limb((x, 0.3), foot, thick * 1.4, thick)]]), coat, loose=True)
    body = b.part(ellipse(-0.05, 0.1, rng.uniform(0.5, 0.7), rng.uniform(0.28, 0.42)), coat, loose=True)
    if stage.chance(0.5):
        b.part(outlines.blob(rng), other, parent=body, at=(rng.uniform(-0.3, 0.2), 0.05), size=0.2, loose=True)
    x, y, size = 0.6, rng.uniform(-0.55, -0.15), rng.uniform(0.24, 0.36)
    b.part(limb((0.35, 0), (x, y), 0.2, 0.15), coat, loose=True)
    for s in (-1, 1):
        ear = limb(
            (x + s * 0.6 * size, y - 0.6 * size),
            (x + s * size, y - rng.uniform(1.2, 2.2) * size),
            0.4 * size,
            0.12 * size,
        )
        b.part(ear, other, loose=True)
    head = b.part(ellipse(x, y, size, size * 0.9), coat, loose=True)
    muzzle = b.part(ellipse(x + 0.1 * size, y + 0.4 * size, 0.5 * size, 0.38 * size), other, parent=head, loose=True)
    b.part(ellipse(x + 0.1 * size, y + 0.25 * size, 0.16 * size, 0.12 * size), m.plain(), parent=muzzle, loose=True)
    for s in (-1, 1):
        b.part(
            ellipse(x + s * 0.4 * size, y - 0.2 * size, 0.14 * size, 0.16 * size), m.plain(), parent=head, loose=True
        )


def device(b: Builder, stage: Stage) -> None:
    """A housing with a screen, rows of buttons, a knob: telephone, remote control, oven, board with chips."""
    rng, m = stage.rng, stage.materials
    half = rng.uniform(0.45, 1.0)
    b.base(Outline([[rounded(rectangle(0, 0, half, 1), rounds=int(rng.integers(1, 4)))]]), m.any())
    screen = b.part(rectangle(0, -0.45, half * 0.8, 0.36), m.any())
    if screen is not None and stage.chance(0.5):
        b.part(outlines.letters(rng), m.plain(), parent=screen, at=(0, -0.45), size=0.25)
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(1, 5))
    key, round_keys = m.plain(), stage.chance(0.5)
    for row in range(rows):
        for column in range(columns):
            x, y = half * 0.8 * ((2 * column + 1) / columns - 1), 0.02 + 0.8 * (row + 0.5) / rows
            size = min(half * 0.55 / columns, 0.28 / rows)
            button = ellipse(x, y, size, size) if round_keys else rectangle(x, y, size * 1.2, size)
            b.part(button, key if stage.chance(0.85) else m.any())


def dressed(b: Builder, stage: Stage) -> None:
    """Any solid silhouette with prints on it."""
    rng, m = stage.rng, stage.materials
    outline = stage.pick([*silhouettes.SOLID, *outlines.PLAIN[:6]])(rng)
    b.base(outlines.bent(outline, rng), m.any())
    for _ in range(int(rng.integers(1, 5))):
        print_on = stage.pick([outlines.blob, outlines.star, outlines.letters, outlines.box, outlines.ring])(rng)
        x, y = rng.uniform(-0.5, 0.5, 2)
        b.part(print_on, m.any(), at=(x, y), size=rng.uniform(0.12, 0.4), angle=rng.uniform(0, 6.28))


def sandwich(b: Builder, stage: Stage) -> None:
    """Layers across a body: cake, burger, striped snake, layered drink."""
    rng, m = stage.rng, stage.materials
    b.base(outlines.superellipse(rng) if stage.chance(0.6) else outlines.blob(rng), m.any())
    edges = np.sort(rng.uniform(-1, 1, int(rng.integers(2, 6))))
    xs, wave, depth = np.linspace(-1.2, 1.2, 24), rng.uniform(0, 12), rng.uniform(0, 0.08)
    for low, high in pairwise(edges):
        ripple = depth * np.sin(wave * xs)
        band = np.concatenate([np.stack([xs, low + ripple], 1), np.stack([xs, high + ripple], 1)[::-1]])
        b.part(band, m.any())


def plate(b: Builder, stage: Stage) -> None:
    """A plate or bowl with a rim and food on it, lump beside lump."""
    rng, m = stage.rng, stage.materials
    rim = b.part(ellipse(), m.any(), loose=True)
    inner = b.part(ellipse(0, 0, 0.75, 0.75), m.plain(), parent=rim, loose=True)
    for _ in range(int(rng.integers(0, 7))):
        food = stage.pick([outlines.blob, outlines.blob, outlines.superellipse, plants.leaf, outlines.ring])(rng)
        out, turn = 0.55 * np.sqrt(rng.random()), rng.uniform(0, 6.28)
        at = (out * np.cos(turn), out * np.sin(turn))
        b.part(food, m.any(), role="object", parent=inner, loose=True, at=at, size=rng.uniform(0.1, 0.32), angle=turn)


def page(b: Builder, stage: Stage) -> None:
    """A printed sheet, a poster, a screen: pictures, boxes and heads among lines of text."""
    rng, m = stage.rng, stage.materials
    half = rng.uniform(0.6, 1.0)
    b.relief = 0.0
    b.base(Outline([[rectangle(0, 0, half, 1)]]), m.plain(np.full(3, 232.0)) if stage.chance(0.6) else m.plain())
    ink, at = m.plain(np.full(3, 40.0)), -0.9
    while at < 0.8:
        height = rng.uniform(0.12, 0.5)
        if stage.chance(0.45):
            lines = [
                (np.array([[-0.8 * half, y], [half * rng.uniform(0.2, 0.8), y]]), 0.035)
                for y in np.arange(at, at + height, 0.09)
            ]
            b.part(Outline([], lines), ink, role="")
        else:
            wide = rng.uniform(0.25, 0.8) * half
            b.part(
                rectangle(rng.uniform(-0.8 * half + wide, 0.8 * half - wide), at + height / 2, wide, height / 2),
                m.any(),
            )
        at += height + 0.08


KINDS: tuple[Callable[[Builder, Stage], None], ...] = (
    *(face, car, shelf, house, figure, figure, flower, dial, jar, beast, beast, device, dressed, dressed, sandwich),
    *(plate, page),
)


def assemble(
    stage: Stage, matrix: np.ndarray, subject: bool = False, kind: Callable[[Builder, Stage], None] | None = None
) -> None:
    """Paint one of them, any where `kind` is not given, in the frame of `matrix`."""
    (kind or stage.pick(KINDS))(Builder(stage, matrix, subject), stage)
