"""Encoded pictures as files, since people encode once and prompt for days: what `EncodedImage.save` writes.

A file is an .npz archive without pickles: the encoder's output, and what it takes to know whose it is. NumPy's archives
carry checksums, so that a damaged file is noticed.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from io import BytesIO
from typing import Any

import numpy as np

from anymask.errors import ImageError, WeightsError
from anymask.images import write_atomic
from anymask.placement import Box

FORMAT = 1
"""Counts up when features of older files would be misread."""


@dataclass(frozen=True)
class Origin:
    """Where features come from.

    Attributes:
        model: the model's name.
        weights: what tells its weights from others (`Segmenter.fingerprint`).
        height, width: the picture in pixels.
        crop: x0, y0, x1, y1, the part of it that was encoded.
        picture: the whole picture's `picture_hash`.
    """

    model: str
    weights: str
    height: int
    width: int
    crop: Box
    picture: str


def picture_hash(rgb: np.ndarray) -> str:
    """SHA-256 of a picture's pixels, uint8 `[H, W, 3]`, in hexadecimal digits."""
    return sha256(np.ascontiguousarray(rgb).data).hexdigest()


def write(path: str | os.PathLike[str], origin: Origin, features: tuple[np.ndarray, ...]) -> None:
    """Write a file, as a whole or not at all. Raises ImageError when it cannot be written."""
    arrays: dict[str, Any] = {f"features_{number}": array for number, array in enumerate(features)}
    buffer = BytesIO()
    np.savez(buffer, origin=np.array(json.dumps({"format": FORMAT, **asdict(origin)})), **arrays)
    write_atomic(path, buffer.getvalue())


def read(path: str | os.PathLike[str]) -> tuple[Origin, tuple[np.ndarray, ...]]:
    """What `write` wrote.

    Raises:
        ImageError: the file is missing, damaged, or holds something else.
        WeightsError: it was written by a version of anymask whose features are other ones.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            fields = json.loads(str(arrays["origin"]))
            version = fields.pop("format")
            origin = Origin(**{**fields, "crop": tuple(fields["crop"])})
            features = tuple(arrays[f"features_{number}"] for number in range(len(arrays) - 1))
    except OSError as error:
        raise ImageError(f"The encoded picture {path} cannot be read ({error.strerror or error}).") from None
    except Exception as error:  # what damaged archives raise is of every kind
        raise ImageError(f"{path} is damaged, or not a file that EncodedImage.save wrote.") from error
    if version != FORMAT:
        raise WeightsError(f"{path} was written by another version of anymask; encode the picture again.")
    return origin, features
