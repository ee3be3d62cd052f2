"""COCO's JSON (Lin et al. 2014): images, annotations with RLE segmentations, categories."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from anymask.masks import Masks


def encode(masks: Masks) -> bytes:
    return json.dumps(dataset(masks)).encode()


def dataset(masks: Masks, image_id: int = 1, file_name: str | None = None, category: str = "object") -> dict[str, Any]:
    """A data set of one picture; each annotation also has the mask's score and extra columns.

    `bbox` is x, y, width, height as pycocotools counts them: a box of one pixel is 1 wide. A column `name` says each
    mask's category; without it all are of `category`.
    """
    columns = {"score": masks.scores, **masks.extra}
    names = columns.pop("name", np.full(len(masks), category)).tolist()
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names or [category]), 1)}
    rles, areas, boxes = masks.rles(), masks.areas, masks.boxes
    annotations = []
    for i in range(len(masks)):
        x0, y0, x1, y1 = boxes[i]
        size = (x1 - x0 + 1, y1 - y0 + 1) if areas[i] else (0, 0)
        annotations.append(
            {
                "id": i + 1,
                "image_id": image_id,
                "category_id": numbers[names[i]],
                "segmentation": rles[i],
                "area": int(areas[i]),
                "bbox": [float(value) for value in (x0, y0, *size)],
                "iscrowd": 0,
                **{name: column[i].tolist() for name, column in columns.items()},
            }
        )
    image = {"id": image_id, "file_name": file_name or "", "width": masks.width, "height": masks.height}
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    return {"images": [image], "annotations": annotations, "categories": categories}
