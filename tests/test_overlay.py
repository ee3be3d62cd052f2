"""The overlay: colours where the masks are, outlines, prompts, the picture as it was elsewhere."""

import numpy as np
import pytest
from PIL import Image

from anymask.colors import palette
from anymask.errors import ImageError
from anymask.masks import Masks, Placement
from anymask.overlay import FILL, GREEN, RED
from anymask.prompts import Prompt

SIZE = 200
GREY = np.full((SIZE, SIZE, 3), 100, np.uint8)


def square(prompts: Prompt | None = None) -> Masks:
    logits = np.full((1, 50, 50), -4, np.float32)
    logits[0, 15:35, 15:35] = 4  # edges at 60 and 140
    return Masks(logits, np.ones(1), Placement.stretch(SIZE, SIZE, 50), prompts=prompts)


def near(pixel: np.ndarray, color: object, tolerance: int = 3) -> bool:
    return bool(np.abs(pixel.astype(int) - np.asarray(color)).max() <= tolerance)


def test_fill_outline_and_the_rest() -> None:
    image = square().overlay(GREY)
    assert image.mode == "RGB"
    pixels, color = np.asarray(image), palette(1)[0]
    assert near(pixels[100, 100], 100 + FILL * (color - 100.0))
    assert near(pixels[100, 60], color, 40)
    assert near(pixels[139, 100], color, 40)
    outside = np.ones((SIZE, SIZE), bool)
    outside[55:145, 55:145] = False
    assert (pixels[outside] == 100).all()
    assert (pixels[57:60, 100] < 100).any()  # a dark rim on the outside, for bright pictures


def test_edges_are_smooth() -> None:
    y, x = np.mgrid[:50, :50]
    logits = (15 - np.hypot(x - 24.5, y - 24.5)).astype(np.float32)[None]
    pixels = np.asarray(Masks(logits, np.ones(1), Placement.stretch(SIZE, SIZE, 50)).overlay(GREY)).astype(int)
    # Many shades around a disc's edge; a hard one would have the fill, the outline and the picture.
    edge = np.abs(np.hypot(*np.mgrid[:SIZE, :SIZE] - 99.5) - 60) < 3
    assert len(np.unique(pixels[edge][:, 0])) > 20


def test_small_masks_lie_over_big_ones() -> None:
    logits = np.full((2, 50, 50), 4, np.float32)
    logits[0] = square().logits[0]
    pixels = np.asarray(Masks(logits, np.ones(2), Placement.stretch(SIZE, SIZE, 50)).overlay(GREY))
    first, second = palette(2)
    big = 100 + FILL * (second - 100.0)
    assert near(pixels[30, 30], big)
    assert near(pixels[100, 100], big + FILL * (first - big))


def test_prompts_are_drawn_or_not() -> None:
    prompt = Prompt(points=[(100, 100), (20, 30)], labels=[1, 0], box=(50, 52, 150, 148))
    pixels = np.asarray(square(prompt).overlay(GREY))
    assert near(pixels[100, 100], GREEN)
    assert near(pixels[30, 20], RED)
    ring = pixels[30, 20:32].min(axis=1)
    assert ring.max() > 240  # white around the dot
    for y, x in [(52, 80), (148, 80), (80, 50), (80, 150)]:
        assert pixels[y - 1 : y + 1, x - 1 : x + 1].min(axis=2).max() > 200
    plain = np.asarray(square(prompt).overlay(GREY, prompts=False))
    assert (plain == np.asarray(square().overlay(GREY))).all()
    assert (plain != pixels).any()


def test_lines_grow_with_the_picture() -> None:
    def outline(size: int) -> int:
        place = Placement.stretch(size, size, 50)
        pixels = np.asarray(Masks(square().logits, np.ones(1), place).overlay(np.full((size, size), 100, np.uint8)))
        middle = pixels[size // 2, : size // 2].astype(int)
        return int((np.abs(middle - palette(1)[0]).max(axis=1) < 10).sum())

    assert 1 <= outline(300) <= 3
    assert 6 <= outline(3000) <= 10


def test_shapes_at_the_borders_of_the_picture() -> None:
    everywhere = Masks(np.ones((1, 8, 8)), np.ones(1), Placement.stretch(40, 60, 8))
    corner = Prompt(points=[(0, 0), (60, 40)], box=(0, 0, 60, 40))
    masks = Masks.concatenate(
        [everywhere, Masks(-np.ones((1, 8, 8)), np.ones(1), everywhere.placements[0], prompts=corner)]
    )
    assert masks.overlay(Image.new("L", (60, 40))).size == (60, 40)
    assert masks[1].overlay(np.zeros((40, 60), np.uint8), prompts=False).getextrema() == ((0, 0),) * 3


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ImageError, match="200 x 100 pixels, but its masks belong to one of 200 x 200"):
        square().overlay(GREY[:100])


def test_colors_are_distinct_and_equally_light() -> None:
    colors = palette(60).astype(float)
    assert (palette(5) == palette(60)[:5]).all()
    difference = np.abs(colors[:, None] - colors[None]).sum(axis=2) + 999 * np.eye(60)
    assert difference.min() > 0
    assert difference[:12, :12].min() > 40
    linear = (colors / 255) ** 2.2 @ [0.2126, 0.7152, 0.0722]
    assert linear.max() < 1.5 * linear.min()
