"""NumPy's .npz: everything there is, for `numpy.load`."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

if TYPE_CHECKING:
    from anymask.masks import Masks


def encode(masks: Masks) -> bytes:
    """`masks` bool `[N, H, W]`, `scores`, `areas`, `boxes`, `logits`, and the extra columns by their names.

    The masks are made and packed one after the other: of a large picture, all of them need not fit in memory.
    """
    columns = {"scores": masks.scores, "areas": masks.areas, "boxes": masks.boxes, "logits": masks.logits}
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, column in {**masks.extra, **columns}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, column, allow_pickle=False)
        with archive.open("masks.npy", "w", force_zip64=True) as file:
            header = {"descr": "|b1", "fortran_order": False, "shape": (len(masks), masks.height, masks.width)}
            np.lib.format.write_array_header_1_0(file, header)
            for mask in masks:
                file.write(mask.array.data)
    return buffer.getvalue()
