"""Where automatic mask generation looks: grids of points, and layers of overlapping crops (Kirillov et al. 2023, B)."""

import math
from itertools import product

import numpy as np

from anymask.placement import Box


def point_grid(points_per_side: int) -> np.ndarray:
    """The centres of `points_per_side` x `points_per_side` equal cells of the unit square, row by row: `[K, 2]`."""
    centres = (np.arange(points_per_side) + 0.5) / points_per_side
    return np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)


def layer_grids(points_per_side: int, layers: int, downscale_factor: int) -> list[np.ndarray]:
    """One grid for the picture and one for the crops of each layer, each `downscale_factor` times sparser a side."""
    return [point_grid(max(1, points_per_side // downscale_factor**layer)) for layer in range(layers + 1)]


def crop_boxes(height: int, width: int, layers: int, overlap_ratio: float) -> list[tuple[Box, int]]:
    """The picture, then each layer's crops, with the layer's number: x0, y0, x1, y1 in pixels (`generate_crop_boxes`).

    Layer i has 2**i crops a side, column by column. Those of the first layer overlap by `overlap_ratio` of the
    picture's shorter side, those of each later layer by half as much. Crops outside of a tiny picture are left out.
    """
    crops = [((0, 0, width, height), 0)]
    for layer in range(1, layers + 1):
        count = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / count))
        crop_width, crop_height = (math.ceil((overlap * (count - 1) + length) / count) for length in (width, height))
        for column, row in product(range(count), repeat=2):
            x0, y0 = column * (crop_width - overlap), row * (crop_height - overlap)
            box = (x0, y0, min(x0 + crop_width, width), min(y0 + crop_height, height))
            if box[0] < box[2] and box[1] < box[3]:
                crops.append((box, layer))
    return crops
