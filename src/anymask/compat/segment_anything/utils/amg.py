"""The reference's helpers around automatic mask generation: run-length codes, boxes, grids, clean-up.

`MaskData`, which only carried arrays from one step to the next, is not among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from anymask import grids, rle
from anymask.compat.tensors import import_torch
from anymask.everything import EDGE_TOLERANCE

if TYPE_CHECKING:
    import torch


def mask_to_rle_pytorch(tensor: torch.Tensor) -> list[rle.RLE]:
    """Masks bool `[B, H, W]` to uncompressed RLEs, `{"size": [H, W], "counts": [runs]}`."""
    return [rle.encode(mask) for mask in tensor.detach().cpu().numpy()]


def rle_to_mask(rle_: rle.RLE) -> np.ndarray:
    """An RLE to its mask, bool `[H, W]`. Raises FormatError when its runs do not add up to its size."""
    return rle.decode(rle_)


def area_from_rle(rle_: rle.RLE) -> int:
    """How many pixels an RLE's mask has."""
    return rle.area(rle_)


def coco_encode_rle(uncompressed_rle: rle.RLE) -> rle.RLE:
    """The same RLE with its runs as a string."""
    return rle.compress(uncompressed_rle)


def batched_mask_to_box(masks: torch.Tensor) -> torch.Tensor:
    """Masks bool `[..., H, W]` to boxes int64 `[..., 4]`: first column and row, last column and row; zeros if empty."""
    height, width = masks.shape[-2:]
    columns, rows = masks.any(dim=-2).int(), masks.any(dim=-1).int()
    first = [axis.argmax(dim=-1) for axis in (columns, rows)]
    last = [n - 1 - axis.flip(-1).argmax(dim=-1) for axis, n in ((columns, width), (rows, height))]
    boxes: torch.Tensor = import_torch().stack([*first, *last], dim=-1) * columns.any(dim=-1, keepdim=True)
    return boxes


def box_xyxy_to_xywh(box_xyxy: Any) -> Any:
    """One box `[4]`, a tensor, array or list: x0, y0, x1, y1 to x, y, width, height."""
    box = box_xyxy.clone() if hasattr(box_xyxy, "clone") else box_xyxy.copy()
    box[2], box[3] = box[2] - box[0], box[3] - box[1]
    return box


def calculate_stability_score(masks: torch.Tensor, mask_threshold: float, threshold_offset: float) -> torch.Tensor:
    """Logits `[..., H, W]` to `[...]`: the IoU of the masks at the threshold moved up and moved down by the offset."""
    inner = (masks > mask_threshold + threshold_offset).sum(dim=(-2, -1))
    outer = (masks > mask_threshold - threshold_offset).sum(dim=(-2, -1))
    return inner / outer


def build_point_grid(n_per_side: int) -> np.ndarray:
    """Points evenly spaced in 0 to 1, row by row: `[n * n, 2]`, x and y."""
    return grids.point_grid(n_per_side)


def build_all_layer_point_grids(n_per_side: int, n_layers: int, scale_per_layer: int) -> list[np.ndarray]:
    """A grid for the picture and one for the crops of each layer, each `scale_per_layer` times sparser a side."""
    return grids.layer_grids(n_per_side, n_layers, scale_per_layer)


def generate_crop_boxes(
    im_size: tuple[int, ...], n_layers: int, overlap_ratio: float
) -> tuple[list[list[int]], list[int]]:
    """The picture's and its crops' boxes x0, y0, x1, y1, and the layer of each; `im_size` is (height, width)."""
    height, width = im_size
    crops = grids.crop_boxes(height, width, n_layers, overlap_ratio)
    return [list(box) for box, _ in crops], [layer for _, layer in crops]


def is_box_near_crop_edge(
    boxes: torch.Tensor, crop_box: list[int], orig_box: list[int], atol: float = EDGE_TOLERANCE
) -> torch.Tensor:
    """Boxes `[B, 4]` in pixels of a crop: bool `[B]`, near an edge of the crop that is none of the picture."""
    boxes = uncrop_boxes_xyxy(boxes, crop_box).float()
    at_crop, at_picture = ((boxes - boxes.new_tensor(edges)).abs() <= atol for edges in (crop_box, orig_box))
    return (at_crop & ~at_picture).any(dim=1)


def uncrop_boxes_xyxy(boxes: torch.Tensor, crop_box: list[int]) -> torch.Tensor:
    """Boxes `[..., 4]` in pixels of a crop to pixels of the picture."""
    return boxes + boxes.new_tensor([*crop_box[:2], *crop_box[:2]])


def uncrop_points(points: torch.Tensor, crop_box: list[int]) -> torch.Tensor:
    """Points `[..., 2]` in pixels of a crop to pixels of the picture."""
    return points + points.new_tensor(crop_box[:2])


def uncrop_masks(masks: torch.Tensor, crop_box: list[int], orig_h: int, orig_w: int) -> torch.Tensor:
    """Masks `[..., h, w]` of a crop to `[..., orig_h, orig_w]`."""
    x0, y0, x1, y1 = crop_box
    whole = masks.new_zeros((*masks.shape[:-2], orig_h, orig_w))
    whole[..., y0:y1, x0:x1] = masks
    return whole


def batch_iterator(batch_size: int, *args: Any) -> Iterator[list[Any]]:
    """Sequences of equal length, `batch_size` items of each at a time. Raises AssertionError for unequal lengths."""
    assert args and all(len(arg) == len(args[0]) for arg in args), "Batches need sequences of one length."
    for start in range(0, len(args[0]), batch_size):
        yield [arg[start : start + batch_size] for arg in args]


def remove_small_regions(mask: np.ndarray, area_thresh: float, mode: str) -> tuple[np.ndarray, bool]:
    """A mask bool `[H, W]` without its `holes`, or its `islands`, of fewer than `area_thresh` pixels; and whether there
    were any. When all islands are small, the largest stays."""
    assert mode in ("holes", "islands"), f"mode must be holes or islands, not {mode}."
    holes = mode == "holes"
    _, labels, stats, _ = cv2.connectedComponentsWithStats((mask ^ holes).astype(np.uint8), connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    small = sizes < area_thresh
    if not small.any():
        return mask, False
    if holes:
        return mask | np.append(False, small)[labels], True
    if small.all():
        small[sizes.argmax()] = False
    return np.append(False, ~small)[labels], True
