"""A mask that gets better click by click: each answer's logits go back in with the next click."""

from pathlib import Path

import anymask

HERE = Path(__file__).parent.parent
OUT = Path("out")
OUT.mkdir(exist_ok=True)

picture = HERE / "assets" / "street.jpg"
image = anymask.Segmenter("pocket").encode(picture)

# The yellow taxi, x and y in pixels: one click on its bonnet, one on its roof, and one on the road beside it.
clicks = [(195, 360, 1), (190, 305, 1), (300, 400, 0)]

masks = None
for count in range(1, len(clicks) + 1):
    points = [(x, y) for x, y, _ in clicks[:count]]
    labels = [label for _, _, label in clicks[:count]]
    masks = image.predict(points, labels, mask=None if masks is None else masks.logits[0]).best
    masks.overlay(picture).save(OUT / f"taxi.{count}.png")
    print(f"{count} clicks: {masks.areas[0]} pixels, predicted IoU {masks.scores[0]:.2f}")
