"""COCO's JSON (Lin et al. 2014): images, annotations with RLE segmentations, categories.

Masks are exact both ways. Objects without a name are of the category "object". Of polygons that are read, each covers
the pixels whose centres lie within it; an annotation's polygons are one object.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from anymask import rle
from anymask.errors import FormatError
from anymask.formats import runs
from anymask.formats.annotations import LabelledObject, LabelledPicture
from anymask.formats.archives import Entry, Files
from anymask.formats.importing import Find, placed, read_object

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


PICTURES = "pictures/"


def entries(pictures: Iterable[LabelledPicture]) -> Iterator[Entry]:
    """A data set of many pictures: annotations.json."""
    yield Entry("annotations.json", lines(pictures))


def lines(pictures: Iterable[LabelledPicture]) -> Iterator[bytes]:
    """The JSON of a data set of many pictures, piece by piece; only names and sizes are kept in memory."""
    categories: dict[str, int] = {}
    images: list[dict[str, Any]] = []
    number = 0
    yield b'{"annotations": ['
    for image_id, picture in enumerate(pictures, 1):
        image = {"file_name": picture.file_name, "width": picture.width, "height": picture.height}
        images.append({"id": image_id, **image})
        for one in picture.objects:
            number += 1
            area, box = one.measures
            annotation = {
                "id": number,
                "image_id": image_id,
                "category_id": categories.setdefault(one.class_name, len(categories) + 1),
                "segmentation": rle.compress(one.rle),
                "area": area,
                "bbox": [float(value) for value in box],
                "iscrowd": 0,
            }
            scores = {"score": one.score, "stability_score": one.stability_score}
            annotation |= {key: value for key, value in scores.items() if value is not None}
            yield (",\n" if number > 1 else "\n").encode() + json.dumps(annotation).encode()
    names = [{"id": value, "name": name} for name, value in categories.items()]
    yield f'],\n"images": {json.dumps(images)},\n"categories": {json.dumps(names)}}}\n'.encode()


def recognises(content: dict[str, Any]) -> bool:
    """Whether a JSON file's content is a data set of this format."""
    return isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list)


def read(files: Files, find: Find) -> Iterator[LabelledPicture]:
    """The pictures of every data set among the files, each with its objects."""
    for name in files.names:
        if not name.endswith(".json"):
            continue
        try:
            content = files.json(name)
            if recognises(content):
                yield from _pictures(content, name, files, find)
        except FormatError as error:
            files.skip(str(error))


def _pictures(content: dict[str, Any], name: str, files: Files, find: Find) -> Iterator[LabelledPicture]:
    names = {
        one.get("id"): one.get("name")
        for one in content.get("categories") or []
        if isinstance(one, dict) and type(one.get("id")) is int
    }
    by_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for one in content["annotations"]:
        if isinstance(one, dict) and type(one.get("image_id")) is int:
            by_image[one["image_id"]].append(one)
        else:
            files.skip(f"{name}: an annotation without the number of its picture was skipped.")
    for image in content["images"]:
        if not isinstance(image, dict) or not isinstance(image.get("file_name"), str):
            files.skip(f"{name}: a picture without a file name was skipped.")
            continue
        number = image.get("id")
        annotations = by_image.pop(number, []) if type(number) is int else []
        found = placed(image["file_name"], name, image.get("width"), image.get("height"), files, find)
        if found is None:
            continue
        objects = []
        for one in annotations:
            place = f"{name}, annotation {one.get('id')} of {image['file_name']}"
            category = one.get("category_id")
            label = names.get(category) if type(category) is int else None
            values = {"name": label, "score": one.get("score"), "stability_score": one.get("stability_score")}
            drawn = read_object(files, place, _object, one, values, found)
            objects += [drawn] if drawn else []
        yield LabelledPicture(found.file_name, found.width, found.height, objects)
    for number in by_image:
        files.skip(f"{name}: the annotations of picture {number} were skipped, because there is no such picture.")


def _object(annotation: dict[str, Any], values: dict[str, Any], picture: LabelledPicture) -> LabelledObject:
    height, width = picture.height, picture.width
    mask = annotation.get("segmentation")
    if isinstance(mask, list):
        if not mask:
            raise FormatError("it has a box, but no mask")
        try:
            rings = [np.array(ring, np.float64).reshape(-1, 2) for ring in mask]
        except (TypeError, ValueError):
            raise FormatError("its polygons are not lists of x and y") from None
        mask = runs.encode(runs.union([runs.fill([ring], height, width) for ring in rings]), height, width)
    return LabelledObject.of({"rle": mask, "source": "import", **values}, height, width)
