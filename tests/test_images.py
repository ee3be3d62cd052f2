"""Pictures read: every kind of file and array, and what is refused."""

import struct
import sys
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from anymask.errors import ImageError
from anymask.images import read_image, read_picture

ROOT = Path(__file__).parents[1]


def photo(height: int = 30, width: int = 40) -> np.ndarray:
    """Something smooth, which every format keeps well, and different in every corner."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.round(np.stack([255 * x, 255 * y, 128 + 60 * x * y], axis=2)).astype(np.uint8)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 4) -> bool:
    return a.shape == b.shape and np.abs(a.astype(float) - b).mean() < tolerance


FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000"] + ["AVIF"] * bool(features.check("avif"))


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_from_every_source(format: str, tmp_path: Path) -> None:
    data = encoded(Image.fromarray(photo()), format)
    path = tmp_path / "no suffix needed"
    path.write_bytes(data)
    with open(path, "rb") as file, Image.open(BytesIO(data)) as image:
        sources: list[Any] = [path, str(path), data, bytearray(data), memoryview(data), file, BytesIO(data), image]
        for source in sources:
            rgb = read_image(source)
            assert rgb.dtype == np.uint8
            assert rgb.flags.c_contiguous
            assert rgb.flags.writeable
            assert close(rgb, photo(), 8 if format == "GIF" else 4)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "store"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, 1)),
        (7, lambda a: a[::-1, ::-1].swapaxes(0, 1)),
        (8, lambda a: np.rot90(a, -1)),
    ],
)
def test_exif_orientation_is_applied_once(
    format: str, orientation: int, store: Callable[[np.ndarray], np.ndarray]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(store(photo())))
    assert close(read_image(encoded(stored, format, exif=exif)), photo())


def test_a_pil_image_given_is_not_changed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(BytesIO(encoded(Image.fromarray(photo()), "JPEG", exif=exif))) as image:
        assert read_image(image).shape == (40, 30, 3)
        assert image.size == (40, 30)
        assert image.getexif()[0x0112] == 6


def test_broken_exif_turns_nothing() -> None:
    data = encoded(Image.fromarray(photo()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert close(read_image(data), photo())


def test_cmyk_jpeg_with_adobes_inverted_values() -> None:
    cmyk = np.zeros((16, 16, 4), np.uint8)
    cmyk[:, :8] = 0, 255, 255, 0  # red
    cmyk[:, 8:] = 255, 0, 0, 51  # cyan with a fifth of black
    data = encoded(Image.fromarray(cmyk, "CMYK"), "JPEG", quality=100)
    assert b"Adobe" in data
    rgb = read_image(data)
    assert np.abs(rgb[8, 3].astype(int) - [255, 0, 0]).max() < 6
    assert np.abs(rgb[8, 12].astype(int) - [0, 204, 204]).max() < 6


def test_palette_with_transparency_over_white_and_kept() -> None:
    image = Image.new("P", (4, 2), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.putpixel((1, 1), 1)
    picture = read_picture(encoded(image, "PNG", transparency=0))
    assert picture.rgb[0, 0].tolist() == [255, 255, 255]
    assert picture.rgb[1, 1].tolist() == [0, 0, 200]
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 0, 0, 0], [0, 255, 0, 0]]


@pytest.mark.parametrize(("mode", "pixel", "rgb"), [("LA", (100, 51), 224), ("RGBA", (100, 100, 100, 51), 224)])
def test_half_transparent_over_white(mode: str, pixel: tuple[int, ...], rgb: int) -> None:
    picture = read_picture(encoded(Image.new(mode, (3, 2), pixel), "PNG"))
    assert picture.rgb[0, 0].tolist() == [rgb] * 3  # 255 + (100 - 255) / 5
    assert picture.alpha is not None
    assert (picture.alpha == 51).all()


def test_an_opaque_alpha_channel_says_nothing() -> None:
    picture = read_picture(encoded(Image.new("RGBA", (3, 2), (10, 20, 30, 255)), "PNG"))
    assert picture.alpha is None
    assert picture.rgb[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled(format: str) -> None:
    grey = np.array([[0, 257, 256 * 128, 65535]], np.uint16)
    assert read_image(encoded(Image.fromarray(grey), format))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_big_endian_16_bit_tiff() -> None:
    image = Image.new("I;16B", (2, 1))
    image.putpixel((1, 0), 65535)
    assert read_image(image)[0, :, 1].tolist() == [0, 255]


def test_float_tiff_is_expected_in_0_to_1() -> None:
    values = np.array([[0, 0.5, 1]], np.float32)
    assert read_image(encoded(Image.fromarray(values), "TIFF"))[0, :, 2].tolist() == [0, 128, 255]
    with pytest.raises(ImageError, match=r"floats from 0 to 255, but floats are expected in 0\.\.1"):
        read_image(encoded(Image.fromarray(values * 255), "TIFF"))


def test_32_bit_integers_only_up_to_16_bits() -> None:
    assert read_image(Image.fromarray(np.array([[0, 65535]], np.int32)))[0, :, 0].tolist() == [0, 255]
    with pytest.raises(ImageError, match="32-bit values beyond"):
        read_image(Image.fromarray(np.array([[0, 65536]], np.int32)))


def test_one_bit_and_grey_files() -> None:
    bits = Image.fromarray(np.eye(5, dtype=bool))
    assert (read_image(encoded(bits, "PNG"))[..., 0] == np.eye(5) * 255).all()
    assert (read_image(encoded(Image.new("L", (3, 2), 77), "PNG")) == 77).all()


def test_first_frame_of_a_gif() -> None:
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_image(data)[3, 4].tolist() == [255, 0, 0]


def test_heic_where_pillow_heif_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def register() -> None:
        monkeypatch.setattr(Image, "ID", [*Image.ID, "HEIF"])
        reader = (lambda *_: Image.new("RGB", (4, 2), "red"), lambda prefix: prefix[4:12] == b"ftypheic")
        monkeypatch.setitem(Image.OPEN, "HEIF", reader)

    data = b"\0\0\0\x18ftypheic"
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # not installed
    with pytest.raises(ImageError, match="HEIC with pillow-heif"):
        read_image(data)
    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))
    assert read_image(data)[1, 3].tolist() == [255, 0, 0]


def test_profile_and_dpi_are_kept_for_rgb_only() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read_picture(encoded(Image.fromarray(photo()), "PNG", icc_profile=profile, dpi=(300, 300)))
    assert picture.icc_profile == profile
    assert picture.dpi == pytest.approx((300, 300), abs=0.1)
    assert read_picture(encoded(Image.new("CMYK", (8, 8)), "JPEG", icc_profile=profile)).icc_profile is None


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (np.uint8, 77, 77),
        (np.uint16, 257 * 77 + 100, 77),
        (np.uint16, 140, 1),
        (np.uint16, 65535, 255),
        (np.float32, 0.5, 128),
        (np.float64, 1.0, 255),
        (np.float16, 0.0, 0),
        (bool, True, 255),
    ],
)
def test_arrays(shape: tuple[int, ...], dtype: type, value: float, expected: int) -> None:
    array: np.ndarray = np.full(shape, value, dtype)
    if len(shape) == 3 and shape[2] == 4:
        array[..., 3] = 255 if dtype == np.uint8 else 65535 if dtype == np.uint16 else 1
    rgb = read_image(array)
    assert rgb.shape == (5, 7, 3)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    assert (rgb == expected).all()


def test_an_array_is_copied_and_rgba_is_laid_over_white() -> None:
    array = photo()
    rgb = read_image(array)
    array[:] = 0
    assert (rgb == photo()).all()
    assert (read_image(photo()[::-1, ::2]) == photo()[::-1, ::2]).all()
    clear = np.zeros((2, 3, 4), np.float32)
    assert (read_image(clear) == 255).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 5), np.uint8), "has no pixels"),
        (np.zeros((5, 0, 3), np.uint8), "has no pixels"),
        (np.zeros(5, np.uint8), "must be an array of shape"),
        (np.zeros((3, 5, 5), np.uint8), "must be an array of shape"),
        (np.zeros((5, 5, 2), np.uint8), "must be an array of shape"),
        (np.zeros((5, 5), np.int64), "not of int64"),
        (np.zeros((5, 5), complex), "not of complex128"),
        (np.full((5, 5), "a"), "not of <U1"),
        (np.full((5, 5), np.nan), "NaN"),
        (np.full((5, 5), np.inf), "infinity"),
        (np.full((5, 5), 1.01), "floats from 1.01 to 1.01"),
        (np.full((5, 5), -0.5), "expected in 0"),
    ],
)
def test_arrays_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(array)


def test_files_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("this is not a picture, whatever its name says")
    cases: list[tuple[Any, str]] = [
        (tmp_path / "none.jpg", r"none\.jpg does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "empty.jpg", r"empty\.jpg is empty"),
        (tmp_path / "text.jpg", r"text\.jpg is in no format that can be read"),
        (b"", "is empty"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "no format that can be read"),
        ("a\0b", "cannot be decoded"),
        (7, "not int"),
        (None, "not NoneType"),
    ]
    for source, message in cases:
        with pytest.raises(ImageError, match=message) as caught:
            read_image(source)
        assert "\n" not in str(caught.value)
    with open(tmp_path / "text.jpg") as text, pytest.raises(ImageError, match="not TextIOWrapper"):
        read_image(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_files_are_refused(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    data = encoded(Image.fromarray(noise), format)
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(ImageError):
            read_image(data[: int(len(data) * share)])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMATS), st.data())
def test_damaged_files_are_read_or_refused(format: str, data: st.DataObject) -> None:
    damaged = bytearray(encoded(Image.fromarray(photo(8, 8)), format))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ImageError):
        assert read_image(bytes(damaged), max_pixels=10_000).shape[2] == 3


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(1000))
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("side", [14_143, 20_000, 60_000])  # just over our limit; over Pillow's; far over both
def test_bombs_are_refused_from_their_header(side: int) -> None:
    with pytest.raises(ImageError, match="200000000"):
        read_image(png_header(side, side))


def test_the_limit_is_ours_and_not_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    data = encoded(Image.fromarray(photo()), "TIFF")
    assert close(read_image(data), photo())
    assert Image.MAX_IMAGE_PIXELS == 10
    for source in (data, photo(), Image.fromarray(photo())):
        for limit in (500, 1199):  # Pillow would raise, and warn
            with pytest.raises(ImageError, match=str(limit)):
                read_image(source, max_pixels=limit)
        assert read_image(source, max_pixels=1200).shape == (30, 40, 3)
    monkeypatch.setenv("ANYMASK_MAX_PIXELS", "1199")
    with pytest.raises(ImageError, match="1199"):
        read_image(data)
    assert read_image(data, max_pixels=1200).shape == (30, 40, 3)
    monkeypatch.setenv("ANYMASK_MAX_PIXELS", "many")
    with pytest.raises(ImageError, match="'many'"):
        read_image(data)


def test_threads_leave_pillows_limit_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS
    data = encoded(Image.fromarray(photo()), "PNG")
    shapes: list[tuple[int, ...]] = []

    def work(limit: int) -> None:
        shapes.extend(read_image(data, max_pixels=limit).shape for _ in range(30))

    threads = [threading.Thread(target=work, args=(2000 + i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shapes == [(30, 40, 3)] * 120
    assert before == Image.MAX_IMAGE_PIXELS
