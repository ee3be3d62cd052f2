"""PNG: one mask as black and white, several as a label picture that looks like one and counts like one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from anymask.colors import palette
from anymask.images import encode_image

if TYPE_CHECKING:
    from anymask.masks import Masks


def encode(masks: Masks) -> bytes:
    """8 bits, 0 and 255, for one mask or none; for several `labels`, indexed with a palette up to 255, else 16 bits."""
    if len(masks) < 2:
        return encode_image(labels(masks).astype(bool), "png")
    values = labels(masks)
    if len(masks) > 255:
        return encode_image(values, "png")
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette(bytes(3) + palette(len(masks)).tobytes())
    return encode_image(image, "png")


def labels(masks: Masks) -> np.ndarray:
    """uint16 `[H, W]`: 0 for nothing, i + 1 for mask i; where masks overlap, the smaller one, so that none hides."""
    values = np.zeros((masks.height, masks.width), np.uint16)
    for i in np.argsort(-masks.areas, kind="stable"):
        x, y, pixels = masks.region(i)
        values[y : y + pixels.shape[0], x : x + pixels.shape[1]][pixels] = i + 1
    return values
