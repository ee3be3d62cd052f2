"""Generated scenes: the same for the same seed, and masks that tell the truth about what was painted."""

import numpy as np
import pytest

from anymask.training.generated import fields, tree
from anymask.training.generated.kinds import KINDS
from anymask.training.generated.outlines import Stencil
from anymask.training.generated.scene import compose, generate_scene
from anymask.training.generated.stage import Stage
from anymask.training.generated.tree import Node, Visible

SIDE = 160


def stages(kind: str, count: int = 3) -> list[Stage]:
    return [compose(np.random.default_rng([7, number]), kind, SIDE) for number in range(count)]


def full(entry: Visible) -> np.ndarray:
    return tree.full(entry.mask, SIDE).astype(int)


def square(x: int, y: int, size: int, role: str = "object") -> Node:
    return Node(role, Stencil(x, y, np.full((size, size), 255, np.uint8)))


def test_same_seed_same_scene() -> None:
    first, second = (generate_scene(np.random.default_rng(3), SIDE) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert first.roles == second.roles
    assert all(np.array_equal(a, b) for a, b in zip(first.masks, second.masks, strict=True))
    assert not np.array_equal(first.image, generate_scene(np.random.default_rng(4), SIDE).image)


def test_form_of_scenes() -> None:
    rng = np.random.default_rng(0)
    with_subject = 0
    for _ in range(40):
        scene = generate_scene(rng, SIDE)
        assert scene.image.shape == (SIDE, SIDE, 3)
        assert scene.image.dtype == np.uint8
        assert len(scene.masks) == len(scene.roles) <= tree.MAX_MASKS
        assert set(scene.roles) <= {"object", "part", "stuff"}
        for mask in scene.masks:
            assert mask.shape == (SIDE, SIDE)
            assert mask.dtype == np.uint8
            assert np.count_nonzero(mask > 127) >= tree.SMALLEST
        if scene.subject is not None:
            with_subject += 1
            assert scene.subject.dtype == np.uint8
            assert 0.02 < (scene.subject > 127).mean() < 0.85
    assert 5 <= with_subject <= 26


def test_default_side() -> None:
    assert generate_scene(np.random.default_rng(1)).image.shape == (320, 320, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_kind(kind: str) -> None:
    """Siblings are disjoint, parts lie in their whole, the subject is what is marked as such."""
    labelled = 0
    for stage in stages(kind):
        entries = stage.seen()
        labelled += len(entries)
        for level in {id(e.parent) for e in entries}:
            siblings = [full(e) for e in entries if id(e.parent) == level]
            assert np.sum(siblings, axis=0).max() <= 255
        for entry in entries:
            if entry.parent is not None:
                assert (full(entry) <= full(entry.parent)).all()
        marked = [full(e) for e in entries if e.node.subject]
        scene = stage.scene()
        assert scene.image.std() > 1
        if scene.subject is not None:
            assert np.array_equal(scene.subject, np.minimum(np.sum(marked, axis=0), 255))
    assert labelled > 0


def test_kinds_with_subject_parts_and_stuff() -> None:
    assert all(stage.scene().subject is not None for stage in stages("subject"))
    assert "part" in {role for stage in stages("nests") for role in stage.scene().roles}
    assert "stuff" in {role for stage in stages("room") for role in stage.scene().roles}


def test_every_kind_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: set[str] = set()
    for name, (_, share) in KINDS.items():

        def paint(stage: Stage, name: str = name) -> None:
            drawn.add(name)

        monkeypatch.setitem(KINDS, name, (paint, share))
    rng = np.random.default_rng(0)
    for _ in range(400):
        generate_scene(rng, 64)
    assert drawn == set(KINDS)


def test_camouflage_resembles_its_background() -> None:
    """The mean colours of a thing and of the rest are closer there than among dead leaves."""

    def difference(kind: str) -> float:
        found = []
        for stage in stages(kind, 12):
            for entry in stage.seen():
                inside = full(entry) > 127
                found.append(np.abs(stage.image[inside].mean(axis=0) - stage.image[~inside].mean(axis=0)).mean())
        return float(np.median(found))

    assert difference("camouflage") < 0.6 * difference("leaves")


def test_photographs_are_cut_into_textures() -> None:
    calls = []
    photograph = np.zeros((90, 700, 3), np.uint8)
    photograph[..., 0] = 250

    def photographs(rng: np.random.Generator) -> np.ndarray:
        calls.append(int(rng.integers(10)))
        return photograph

    rng = np.random.default_rng(5)
    scenes = [generate_scene(rng, SIDE, photographs) for _ in range(20)]
    assert 10 <= len(calls) <= 40
    pure = [(scene.image[..., 0].astype(int) - scene.image[..., 1:].max(axis=2) > 120).mean() for scene in scenes]
    assert max(pure) > 0.4
    assert generate_scene(rng, SIDE, lambda rng: None).image.shape == (SIDE, SIDE, 3)


def test_what_lies_in_front_is_cut_away() -> None:
    whole = square(10, 10, 40)
    whole.children = [square(10, 10, 20, "part"), square(30, 30, 20, "")]
    hidden, front = square(14, 14, 10), square(25, 10, 30)
    entries = tree.visible([hidden, whole, front], 64)
    assert [e.node for e in entries] == [front, whole, whole.children[0]]
    assert [e.area for e in entries] == [900, 40 * 40 - 25 * 30, 15 * 20]
    assert entries[2].parent is entries[1]


def test_a_group_is_the_union_of_its_parts() -> None:
    group = Node("object", children=[square(0, 0, 20, "part"), square(10, 0, 20, "part")])
    whole, *parts = tree.visible([group], 64)
    assert whole.area == 30 * 20
    assert sorted(p.area for p in parts) == [200, 400]


def test_choice_keeps_large_and_small_and_wholes() -> None:
    roots = [square(8 * (i % 16), 8 * (i // 16), 7) for i in range(64)]
    large = square(0, 64, 60)
    large.children = [square(2, 66, 7, "part")]
    picked = tree.chosen(tree.visible([*roots, large], 128), np.random.default_rng(0))
    assert len(picked) == tree.MAX_MASKS
    assert large in [e.node for e in picked]
    assert all(e.parent is None or e.parent in picked for e in picked)


def test_patterns() -> None:
    for index in range(0, fields.COUNT, 5):
        pattern = fields.field(index)
        assert pattern.shape == (fields.EXTENT, fields.EXTENT)
        assert pattern.dtype == np.uint8
        assert 20 < pattern.std() < 90
