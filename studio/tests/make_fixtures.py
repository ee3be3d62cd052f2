"""Writes rle.json: masks as pycocotools compresses them, for the studio's own reader and writer.

python studio/tests/make_fixtures.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

from anymask.colors import palette


def shapes() -> dict[str, np.ndarray]:
    """Masks that reach the corners of the format: empty, full, first and last pixel, long runs, noise."""
    random = np.random.default_rng(7)
    rows, columns = np.mgrid[0:90, 0:120]
    disc = (rows - 40) ** 2 + (columns - 60) ** 2 < 30**2
    corners = np.zeros((5, 7), bool)
    corners[0, 0] = corners[-1, -1] = True
    tall = np.zeros((4000, 30), bool)
    tall[100:3900, 5:20] = True
    whole_columns = np.zeros((6, 8), bool)
    whole_columns[:, 2:5] = True
    return {
        "empty": np.zeros((4, 6), bool),
        "full": np.ones((4, 6), bool),
        "corners": corners,
        "disc": disc,
        "ring": disc & ~((rows - 40) ** 2 + (columns - 60) ** 2 < 15**2),
        "noise": random.random((23, 31)) < 0.5,
        "tall": tall,
        "columns": whole_columns,
    }


if __name__ == "__main__":
    cases = []
    for name, array in shapes().items():
        counts = coco.encode(np.asfortranarray(array, np.uint8))["counts"].decode()
        x, y, width, height = (int(value) for value in coco.toBbox({"size": list(array.shape), "counts": counts}))
        box = [x, y, x + width - 1, y + height - 1] if array.any() else None
        rows = ["".join("#" if pixel else "." for pixel in row) for row in array] if array.size < 20_000 else None
        cases.append(
            {
                "name": name,
                "size": list(array.shape),
                "counts": counts,
                "area": int(array.sum()),
                "box": box,
                "rows": rows,
            }
        )
    colors = ["#{:02x}{:02x}{:02x}".format(*color) for color in palette(12)]
    text = json.dumps({"masks": cases, "colors": colors}, indent=1)
    Path(__file__).with_name("rle.json").write_text(text + "\n", encoding="utf-8")
