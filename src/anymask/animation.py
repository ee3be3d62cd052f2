"""Moving pictures of Pillow's formats: GIF, WebP and PNG with several frames, read one by one and written again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageSequence

from anymask.errors import FormatError, ImageError

MOVING = (".gif", ".webp", ".png", ".apng")
FORMATS = {"gif": "GIF", "webp": "WEBP", "png": "PNG", "apng": "PNG"}
USUAL = 100  # milliseconds of a frame that does not say how long it stays


@dataclass(frozen=True)
class Animation:
    """The frames of a moving picture, RGBA, whole pictures each; how long each stays, in milliseconds; how often it is
    played, 0 for ever."""

    frames: tuple[Image.Image, ...]
    durations: tuple[int, ...]
    loop: int

    def save(self, form: str) -> bytes:
        """The bytes of a file; `form` is gif, webp, png or apng. Raises FormatError for another."""
        name = FORMATS.get(form.lower().lstrip("."))
        if name is None:
            raise FormatError(f"Moving pictures cannot be written as {form!r}; use one of {', '.join(FORMATS)}.")
        options = {"WEBP": {"quality": 90, "method": 2, "minimize_size": False}, "GIF": {"disposal": 2}, "PNG": {}}[
            name
        ]
        if name == "PNG":
            options = {"default_image": False, "disposal": 1, "blend": 0}
        buffer = BytesIO()
        first, *others = self.frames
        first.save(
            buffer,
            name,
            save_all=True,
            append_images=others,
            duration=list(self.durations),
            loop=self.loop,
            **options,
        )
        return buffer.getvalue()


def is_moving(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a picture of several frames. Files that cannot be read are not."""
    if Path(path).suffix.lower() not in MOVING:
        return False
    try:
        with Image.open(path, formats=("GIF", "WEBP", "PNG")) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # whoever reads it in earnest says what is wrong
        return False


def read_animation(path: str | os.PathLike[str], max_pixels: int = 400_000_000) -> Animation:
    """All frames of a moving picture.

    Raises:
        ImageError: it cannot be read, or all its frames together have more than `max_pixels` pixels.
    """
    try:
        with Image.open(path, formats=("GIF", "WEBP", "PNG")) as image:
            count = getattr(image, "n_frames", 1)
            if count * image.width * image.height > max_pixels:
                raise ImageError(
                    f"{path} has {count} frames of {image.width} x {image.height} pixels, which is too much."
                )
            loop = int(image.info.get("loop", 1))
            frames, durations = [], []
            for frame in ImageSequence.Iterator(image):
                frames.append(frame.convert("RGBA"))
                durations.append(int(frame.info.get("duration", 0)) or USUAL)  # known when the frame has been decoded
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path} does not exist.") from None
    except Exception as error:  # what Pillow raises over damaged files is of every kind
        raise ImageError(f"{path} is damaged or cannot be decoded ({error}).") from error
    return Animation(tuple(frames), tuple(durations), loop)
