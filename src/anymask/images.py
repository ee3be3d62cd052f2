"""Any picture to an RGB array (EXIF turned, alpha, CMYK, 16 bits), and pictures to files, whole or not at all."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from anymask.errors import FormatError, ImageError, PictureSizeError

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | np.ndarray

DEFAULT_MAX_PIXELS = 200_000_000

# Pillow reads more, but no photographs, and some of it by starting other programs (PostScript).
READABLE = ("JPEG", "PNG", "MPO", "BMP", "GIF", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000", "HEIF")

# By suffix: Pillow's name, and options that are quick and without visible loss.
WRITABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {"compress_level": 3}),
    "jpg": ("JPEG", {"quality": 95}),
    "jpeg": ("JPEG", {"quality": 95}),
    "webp": ("WEBP", {"quality": 95, "method": 2}),
    "avif": ("AVIF", {"quality": 85, "speed": 8}),
    "tif": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "bmp": ("BMP", {}),
}


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as it was read, upright.

    Attributes:
        rgb: uint8 `[H, W, 3]`; where the picture is transparent, laid over white.
        alpha: uint8 `[H, W]`, None when the picture is opaque.
        icc_profile: the colour profile of `rgb`, None where the file has none for RGB.
        dpi: dots per inch across and down, as the file says.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None


def read_image(source: Source, *, max_pixels: int | None = None) -> np.ndarray:
    """Any picture as uint8 RGB `[H, W, 3]`; see `read_picture`."""
    return read_picture(source, max_pixels=max_pixels).rgb


def read_picture(source: Source | Picture, *, max_pixels: int | None = None) -> Picture:
    """Read a picture: a path, the bytes or the open binary file of one, a PIL image or an array. One that has been read
    is given back.

    Files: JPEG, PNG, WebP, TIFF, BMP, GIF (first frame), PPM, JPEG 2000, AVIF where the installed Pillow reads it, HEIC
    where the package pillow-heif is installed. EXIF orientation is applied, CMYK converted, 16-bit grey scaled to 8
    bits.

    Arrays: `[H, W]`, `[H, W, 1]`, `[H, W, 3]` RGB or `[H, W, 4]` RGBA. uint8 is taken as it is, uint16 is divided by
    257, floats are expected in 0..1, bool is black and white. Pictures of floats are treated as arrays are.

    Args:
        max_pixels: refuse larger pictures, before they are decoded; by default the environment's `ANYMASK_MAX_PIXELS`,
            else 200 million.

    Raises:
        ImageError: there is no such file, it is no picture or damaged, too large, or the array is not a picture.
    """
    if isinstance(source, Picture):
        return source
    limit = _max_pixels(max_pixels)
    with _explained(source, limit):
        if isinstance(source, np.ndarray):
            return _from_array(source, limit)
        with _pillow(limit), _open(source) as image:
            _check_size(image.width, image.height, limit)
            return _from_pil(image, limit)


def open_image(data: bytes, *, max_pixels: int | None = None) -> Image.Image:
    """A picture file as Pillow has it, decoded, in its own mode, not turned; limit and errors as of `read_picture`."""
    limit = _max_pixels(max_pixels)
    with _explained(data, limit), _pillow(limit), _open(data) as image:
        _check_size(image.width, image.height, limit)
        image.load()
        return image


def read_header(
    source: str | os.PathLike[str] | bytes | IO[bytes], *, max_pixels: int | None = None
) -> tuple[int, int, str]:
    """Width and height of a picture file as `read_picture` would give it, upright, and Pillow's name of its format.

    Its pixels are not decoded, so that a damaged picture may pass. Raises ImageError otherwise as `read_picture` does.
    """
    limit = _max_pixels(max_pixels)
    with _explained(source, limit), _pillow(limit), _open(source) as image:
        width, height = image.size
        _check_size(width, height, limit)
        turned = _orientation(image) in (5, 6, 7, 8)
        return (height, width, str(image.format)) if turned else (width, height, str(image.format))


@contextmanager
def _explained(source: Any, limit: int) -> Iterator[None]:
    """What reading a picture raises, as one sentence with its name."""
    name = str(source) if isinstance(source, str | os.PathLike) else "The picture"
    try:
        yield
    except ImageError as error:
        raise type(error)(f"{name} {error}") from None
    except FileNotFoundError:
        raise ImageError(f"{name} does not exist.") from None
    except IsADirectoryError:
        raise ImageError(f"{name} is a folder, not a picture.") from None
    except PermissionError:
        raise ImageError(f"{name} must not be read with your permissions.") from None
    except UnidentifiedImageError:
        known = ", ".join(_known())
        raise ImageError(f"{name} is in no format that can be read ({known}; HEIC with pillow-heif).") from None
    except Image.DecompressionBombError:
        raise PictureSizeError(f"{name} has more than the {limit} pixels allowed (see max_pixels).") from None
    except Exception as error:  # what Pillow raises over damaged files is of every kind
        raise ImageError(f"{name} is damaged or cannot be decoded ({error}).") from error


def encode_image(
    image: Image.Image | np.ndarray,
    format: str,
    *,
    quality: int | None = None,
    icc_profile: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> bytes:
    """The bytes of a picture file; where the format has no transparency (JPEG, BMP), laid over white.

    Args:
        image: a PIL image, or an array uint8, uint16 (grey only) or bool, `[H, W]`, `[H, W, 3]` or `[H, W, 4]`.
        format: a suffix: png, jpg, jpeg, webp, avif, tif, tiff or bmp.
        quality: 1 to 100, of the formats that lose something; high by default.

    Raises:
        FormatError: the format is not one of these, or the installed Pillow cannot write it.
        ImageError: the array is not a picture, or larger than the format allows.
    """
    suffix = format.lower().lstrip(".")
    if suffix not in WRITABLE:
        raise FormatError(f"Pictures cannot be written as {format!r}; use one of {', '.join(WRITABLE)}.")
    name, options = WRITABLE[suffix]
    extra = {"quality": quality if "quality" in options else None, "icc_profile": icc_profile, "dpi": dpi}
    buffer = BytesIO()
    try:
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image * np.uint8(255) if image.dtype == bool else image)
        if name in ("JPEG", "BMP") and image.has_transparency_data:
            image = _over_white(image.convert("RGBA"))
        image.save(buffer, name, **options | {key: value for key, value in extra.items() if value is not None})
    except KeyError:
        raise FormatError(f"The installed Pillow cannot write {name}; use another format, such as png.") from None
    except (OSError, ValueError, TypeError, SystemError) as error:
        raise ImageError(f"The picture cannot be written as {name} ({error}).") from error
    return buffer.getvalue()


def save_image(
    path: str | os.PathLike[str],
    image: Image.Image | np.ndarray,
    *,
    quality: int | None = None,
    icc_profile: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> None:
    """Write a picture to a file whose suffix names the format, atomically; see `encode_image` and `write_atomic`."""
    suffix = Path(path).suffix
    write_atomic(path, encode_image(image, suffix, quality=quality, icc_profile=icc_profile, dpi=dpi))


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file as a whole or not at all: it appears, or replaces the one that was there, when all of it is on disk.

    Raises:
        ImageError: it cannot be written (no such folder, no permission, disk full); nothing is left behind then.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".anymask-{secrets.token_hex(6)}.tmp")
    try:
        if target.exists() and not target.is_file():  # a device or a pipe is written to, not replaced
            target.write_bytes(data)
            return
        if not _write_unnamed(temporary, data):
            with open(temporary, "xb") as file:
                _write_through(file, data)
        os.replace(temporary, target)
    except OSError as error:
        raise ImageError(f"{path} cannot be written ({error.strerror}).") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _write_unnamed(temporary: Path, data: bytes) -> bool:
    """Write a file that gets its name only when it is complete, so that even a kill leaves nothing; False where the
    system or the file system has no such files."""
    if sys.platform != "linux":
        return False
    try:
        descriptor = os.open(temporary.parent, os.O_WRONLY | os.O_TMPFILE, 0o666)
    except OSError:
        return False
    with open(descriptor, "wb") as file:
        _write_through(file, data)
        try:
            os.link(f"/proc/self/fd/{descriptor}", temporary, src_dir_fd=descriptor)
        except OSError:
            return False
    return True


def _write_through(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _max_pixels(given: int | None) -> int:
    text = os.environ.get("ANYMASK_MAX_PIXELS") if given is None else str(given)
    if text is None:
        return DEFAULT_MAX_PIXELS
    if not text.isdecimal():
        raise ImageError(f"The limit of pixels (max_pixels, ANYMASK_MAX_PIXELS) must be a whole number, not {text!r}.")
    return int(text)


_reading = threading.Lock()
_limits: list[int] = []
_restore = ExitStack()


@contextmanager
def _pillow(limit: int) -> Iterator[None]:
    """While pictures are read, in any number of threads, Pillow's own limit, which is the whole process's, is the
    largest of ours, and its warnings (of large pictures, of odd EXIF) are silent."""
    with _reading:
        if not _limits:
            _restore.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            _restore.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _limits.append(limit)
        Image.MAX_IMAGE_PIXELS = max(_limits)
    try:
        yield
    finally:
        with _reading:
            _limits.remove(limit)
            if not _limits:
                _restore.close()


def _known() -> list[str]:
    return [name for name in READABLE if name in Image.OPEN]


@contextmanager
def _open(source: Any) -> Iterator[Image.Image]:
    """The PIL image of a source, its header read, its pixels not."""
    if isinstance(source, Image.Image):
        yield source
    elif isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            yield _identify(file, not file.peek(1))
    else:
        data = source.read() if hasattr(source, "read") else source
        if not isinstance(data, bytes | bytearray | memoryview):
            kind = type(source).__name__
            raise ImageError(f"must be a path, bytes, a binary file, a PIL image or an array, not {kind}.")
        yield _identify(BytesIO(data), not len(data))


def _identify(file: IO[bytes], empty: bool) -> Image.Image:
    if empty:
        raise ImageError("is empty (0 bytes).")
    Image.preinit()
    try:
        return Image.open(file, formats=_known())
    except UnidentifiedImageError:
        Image.init()  # the rarer formats, slower to load
        with suppress(ImportError):
            import_module("pillow_heif").register_heif_opener()
        return Image.open(file, formats=_known())


def _check_size(width: int, height: int, limit: int) -> None:
    if width * height == 0:
        raise ImageError(f"has no pixels ({width} x {height}).")
    if width * height > limit:
        raise PictureSizeError(f"has {width} x {height} pixels, more than the {limit} allowed (see max_pixels).")


def _from_pil(image: Image.Image, limit: int) -> Picture:
    image.load()
    profile, dpi = image.info.get("icc_profile"), image.info.get("dpi")
    if profile is not None and (image.mode not in ("RGB", "RGBA", "P") or profile[16:20] != b"RGB "):
        profile = None
    if dpi is not None:
        dpi = (float(dpi[0]), float(dpi[1])) if min(dpi) > 0 else None
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        picture = _from_array(_wide(image), limit)
        return Picture(picture.rgb, picture.alpha, profile, dpi)
    if image.has_transparency_data:
        rgb, alpha = _split(image.convert("RGBA"))
        return Picture(rgb, alpha, profile, dpi)
    return Picture(np.array(image.convert("RGB") if image.mode != "RGB" else image), None, profile, dpi)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # EXIF that cannot be parsed turns nothing
        return 1


def _wide(image: Image.Image) -> np.ndarray:
    """The pixels of Pillow's modes of more than 8 bits: uint16 or float."""
    values = np.asarray(image)
    if image.mode != "I":
        return values.astype(values.dtype.newbyteorder("="))
    if values.min() < 0 or values.max() > 65535:
        raise ImageError("has 32-bit values beyond 0 to 65535; scale them to 8 or 16 bits first.")
    return values.astype(np.uint16)


def _from_array(array: np.ndarray, limit: int) -> Picture:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ImageError(f"must be an array of shape [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], not {array.shape}.")
    height, width, channels = array.shape
    _check_size(width, height, limit)
    pixels = _eight_bits(array)
    if channels == 4:
        return Picture(*_split(Image.fromarray(pixels)))
    return Picture(np.array(np.broadcast_to(pixels, (height, width, 3)), order="C"))


def _eight_bits(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(f"must be an array of uint8, uint16, bool or floats in 0..1, not of {array.dtype}.")
    low, high = array.min(), array.max()
    if not np.isfinite(low) or not np.isfinite(high):
        raise ImageError("holds NaN or infinity.")
    if low < 0 or high > 1:
        raise ImageError(f"holds floats from {low:g} to {high:g}, but floats are expected in 0..1.")
    return (array * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _split(rgba: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """RGB over white, and the alpha channel where it says anything."""
    alpha = rgba.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return np.array(rgba.convert("RGB")), None
    return np.array(_over_white(rgba)), np.array(alpha)


def _over_white(rgba: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", rgba.size, "white")
    canvas.paste(rgba, mask=rgba.getchannel("A"))
    return canvas
