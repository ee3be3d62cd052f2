"""Hair over magenta, cut out plainly and with anymask's edges and colours: python docs/make_edges.py

Writes docs/images/edges.png from a composite of benchmarks/edge_scenes.py: the picture, a plain cut-out by the mask
enlarged, ours by the same mask, and the truth.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from edge_scenes import composites, network_mask  # noqa: E402

from anymask.compositing import CutOut  # noqa: E402
from anymask.foreground import estimate_foreground  # noqa: E402
from anymask.matting import refine  # noqa: E402

MAGENTA = (255, 0, 255)
SIDE = 300


def main() -> None:
    scene = next(iter(composites("hair", 1, seed=3)))
    mask = network_mask(scene.alpha, 320)
    size = scene.picture.shape[1::-1]
    enlarged = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.LANCZOS), np.float32) / 255
    alpha = refine(mask / np.float32(255), scene.picture)
    plain = CutOut(scene.picture, enlarged).over(MAGENTA)
    ours = CutOut(estimate_foreground(scene.picture, alpha), alpha).over(MAGENTA)
    truth = CutOut(scene.foreground.clip(0, 255).astype(np.uint8), scene.alpha).over(MAGENTA)
    rows, columns = np.nonzero((scene.alpha > 0.05) & (scene.alpha < 0.95))
    left, top = int(columns.max()) - SIDE + 20, int(np.median(rows)) - SIDE // 2
    box = (left, top, left + SIDE, top + SIDE)
    pieces = [image.crop(box) for image in (Image.fromarray(scene.picture), plain, ours, truth)]
    sheet = Image.new("RGB", (len(pieces) * (SIDE + 6) - 6, SIDE), "white")
    for index, piece in enumerate(pieces):
        sheet.paste(piece, (index * (SIDE + 6), 0))
    sheet.save(ROOT / "docs" / "images" / "edges.png", optimize=True)


if __name__ == "__main__":
    main()
