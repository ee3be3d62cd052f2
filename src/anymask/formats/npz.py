"""NumPy's .npz: everything there is, for `numpy.load`."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from anymask.masks import Masks


def encode(masks: Masks) -> bytes:
    """`masks` bool `[N, H, W]`, `scores`, `areas`, `boxes`, `logits`, and the extra columns by their names."""
    columns = {"scores": masks.scores, "areas": masks.areas, "boxes": masks.boxes, "logits": masks.logits}
    arrays: dict[str, Any] = {**masks.extra, **columns, "masks": masks.array}
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
