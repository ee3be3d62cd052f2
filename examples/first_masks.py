"""The main job in four pictures: a cut-out, a mask for a click, a mask for a box, and everything.

Run it from the repository's folder; it needs no network, and writes its files into out/.
"""

from pathlib import Path

import anymask

HERE = Path(__file__).parent.parent
OUT = Path("out")
OUT.mkdir(exist_ok=True)

# The subject, cut out from its background.
anymask.remove_background(HERE / "assets" / "flowers.jpg").save(OUT / "flowers.cutout.png")

# A picture is encoded once and asked many times.
picture = HERE / "assets" / "bus.jpg"
image = anymask.Segmenter("pocket").encode(picture)

click = image.predict(points=[(430, 240)]).best
click.save(OUT / "bus.click.png")
click.overlay(picture).save(OUT / "bus.click.overlay.png")

box = image.predict(box=(118, 108, 574, 322))
box.save(OUT / "bus.box.png")
box.overlay(picture).save(OUT / "bus.box.overlay.png")

everything = image.everything()
everything.save(OUT / "bus.everything.json")
everything.overlay(picture).save(OUT / "bus.everything.overlay.png")

print(f"click      {click.areas[0]} pixels, predicted IoU {click.scores[0]:.2f}")
print(f"box        {box.areas[0]} pixels, predicted IoU {box.scores[0]:.2f}")
print(f"everything {len(everything)} masks")
for path in sorted(OUT.iterdir()):
    print(path)
