"""Cut-outs over nothing, a colour, a picture; and colours as people write them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anymask.compositing import CutOut, load_background, opaque_color, parse_color
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


@pytest.mark.parametrize(
    "color", [(0, 0, 255, 128), [0, 0, 255, 128], np.array([0, 0, 255, 128]), "#0000ff80", "rgba(0, 0, 255, 128)"]
)
def test_on_a_colour_that_is_transparent_itself(color: str) -> None:
    image = cut().on(color)
    assert image.mode == "RGBA"
    assert image.getpixel((0, 0)) == (0, 0, 255, 128)
    assert image.getpixel((2, 0)) == (200, 100, 0, 255)
    red, green, blue, alpha = image.getpixel((1, 0))  # type: ignore[misc]
    # Half of the cut-out, and of the other half the colour, half opaque: two thirds and one third of three quarters.
    assert np.abs(np.subtract((red, green, blue, alpha), (200 * 2 / 3, 100 * 2 / 3, 255 / 3, 191.5))).max() <= 2
    assert image.info == {"icc_profile": b"profile", "dpi": (300.0, 300.0)}


def test_on_a_colour_without_opacity() -> None:
    assert cut().on("white").getpixel((0, 0)) == (255, 255, 255, 255)
    assert cut().on((1, 2, 3)).getpixel((0, 0)) == (1, 2, 3, 255)


@pytest.mark.parametrize("color", ["blurple", "#12", "photo.jpg", (1, 2), (1, 2, 3, 256), (0.5, 0.5, 0.5, 1), None])
def test_what_is_no_colour(color: str) -> None:
    with pytest.raises(ImageError, match="is no colour; give a name, '#rrggbbaa' or three or four integers"):
        cut().on(color)
    with pytest.raises(ImageError, match="colour"):
        opaque_color(color)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_background_that_cannot_be_read(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "background.png"
    path.write_bytes(content)
    with pytest.raises(ImageError):
        cut().over(path)
