"""Cut-outs over nothing, a colour, a picture; and colours as people write them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anymask.compositing import CutOut, load_background, parse_color
from anymask.errors import ImageError


def cut(height: int = 4, width: int = 4) -> CutOut:
    """Three columns: clear, half and opaque, in (200, 100, 0)."""
    alpha = np.ones((height, width), np.float32)
    alpha[:, 0], alpha[:, 1] = 0, 0.5
    rgb = np.full((height, width, 3), (200, 100, 0), np.uint8)
    return CutOut(rgb, alpha, b"profile", (300.0, 300.0))


def test_over_nothing() -> None:
    image = cut().image()
    assert image.mode == "RGBA"
    assert [image.getpixel((x, 0)) for x in range(3)] == [(200, 100, 0, 0), (200, 100, 0, 128), (200, 100, 0, 255)]
    assert image.info == {"icc_profile": b"profile", "dpi": (300.0, 300.0)}


@pytest.mark.parametrize(
    "blue", ["blue", "#0000ff", "#00f", "#0000ffff", (0, 0, 255), [0, 0, 255], np.array([0, 0, 255])]
)
def test_over_a_colour(blue: str) -> None:
    image = cut().over(blue)
    assert image.mode == "RGB"
    assert image.getpixel((0, 0)) == (0, 0, 255)
    assert np.abs(np.subtract(image.getpixel((1, 0)), (100, 50, 127.5))).max() <= 1  # type: ignore[arg-type]
    assert image.getpixel((2, 0)) == (200, 100, 0)
    assert image.info["dpi"] == (300.0, 300.0)


def stripes(width: int, height: int) -> Image.Image:
    """Red at both ends, green in the middle half, along the longer side."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = 255
    axis = pixels if height > width else pixels.transpose(1, 0, 2)
    quarter = len(axis) // 4
    axis[quarter:-quarter] = (0, 255, 0)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(("width", "height"), [(80, 40), (40, 80), (24, 12), (800, 400)])
def test_over_a_picture_that_covers_it_around_the_centre(width: int, height: int, tmp_path: Path) -> None:
    clear = CutOut(np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40), np.float32))
    image = stripes(width, height)
    path = tmp_path / "background.png"
    image.save(path)
    for background in (image, path, str(path), np.asarray(image)):
        result = np.asarray(clear.over(background))
        assert result.shape == (40, 40, 3)
        assert np.abs(result[2:-2, 2:-2].astype(int) - (0, 255, 0)).max() <= 40


@pytest.mark.parametrize(
    ("background", "words"),
    [
        ("blurple", "'blurple' is neither a colour nor a picture"),
        (Path("none.jpg"), "neither a colour nor a picture"),
        ("#12", "#rrggbb"),
        ("#ff000080", "not opaque"),
        ((1, 2), "three integers"),
        ((0, 0, 256), "three integers"),
        ((0.5, 0.5, 0.5), "three integers"),
    ],
)
def test_what_is_no_background(background: str, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        cut().over(background)


def test_colours() -> None:
    assert parse_color("rgb(1, 2, 3)") == (1, 2, 3)
    assert parse_color("White") == (255, 255, 255)
    assert parse_color("photo.jpg") is None
    assert parse_color(stripes(8, 4)) is None


def test_a_background_for_many_pictures_is_loaded_once() -> None:
    assert load_background("#102030") == (16, 32, 48)
    image = stripes(8, 4)
    loaded = load_background(image)
    np.testing.assert_array_equal(loaded, np.asarray(image))
    assert cut().over(loaded) == cut().over(image)
