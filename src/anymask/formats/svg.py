"""SVG: every mask a path, in pixels of the picture, so that the drawing laid over it fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from anymask.colors import palette

if TYPE_CHECKING:
    from anymask.masks import Masks


def encode(masks: Masks) -> bytes:
    """Bigger masks first, each in a colour of its own, with its score as the title."""
    colors, outlines = palette(len(masks)), masks.polygons(holes=True)
    size = f'width="{masks.width}" height="{masks.height}" viewBox="0 0 {masks.width} {masks.height}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} fill-rule="evenodd" fill-opacity="0.6">']
    for i in np.argsort(-masks.areas, kind="stable"):
        red, green, blue = colors[i]
        path = "".join(_path(ring) for ring in outlines[i])
        title = f"<title>mask {i + 1}, score {masks.scores[i]:.3f}</title>"
        lines.append(f'<path id="mask-{i + 1}" fill="#{red:02x}{green:02x}{blue:02x}" d="{path}">{title}</path>')
    return "\n".join([*lines, "</svg>\n"]).encode()


def _path(ring: np.ndarray) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in ring.tolist()) + "Z"
