"""LabelMe's JSON: one file for each picture, beside it, with polygons in pixels.

LabelMe's polygons have no holes: a hole is joined to its outline by a bridge without width (`formats.bridges`), and the
pieces of one object are polygons of one `group_id`. Later shapes lie on top. Coordinates run along the edges of pixels,
so that filling by parity gives the mask back exactly. Read are polygons, rectangles, circles and masks; shapes of one
group and label are one object.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from anymask import rle
from anymask.errors import FormatError, ImageError
from anymask.formats import runs
from anymask.formats.annotations import LabelledObject, LabelledPicture
from anymask.formats.archives import Entry, Files
from anymask.formats.bridges import one_ring
from anymask.formats.importing import Find, placed, read_object
from anymask.images import read_image
from anymask.placement import Region

PICTURES = ""
VERSION = "5.5.0"


def entries(pictures: Iterable[LabelledPicture]) -> Iterator[Entry]:
    """NAME.json of each picture."""
    for picture in pictures:
        yield Entry(f"{picture.stem}.json", [encode(picture)])


def encode(picture: LabelledPicture) -> bytes:
    """The JSON of one picture."""
    shapes = []
    for number, one in reversed(list(enumerate(picture.objects, 1))):
        pieces = one.outlines()
        shapes += [
            {
                "label": one.class_name,
                "points": one_ring([piece]).tolist(),
                "group_id": number if len(pieces) > 1 else None,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
                "mask": None,
            }
            for piece in pieces
        ]
    size = {"imageHeight": picture.height, "imageWidth": picture.width}
    head: dict[str, Any] = {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": picture.file_name,
        "imageData": None,
    }
    return json.dumps(head | size).encode()


def recognises(content: dict[str, Any]) -> bool:
    """Whether a JSON file's content is of this format."""
    return isinstance(content.get("shapes"), list) and "imagePath" in content


def read(files: Files, find: Find) -> Iterator[LabelledPicture]:
    """The pictures of every JSON file of this format, each with its objects."""
    for name in files.names:
        if not name.endswith(".json"):
            continue
        try:
            content = files.json(name)
        except FormatError as error:
            files.skip(str(error))
            continue
        if recognises(content):
            yield from _picture(content, name, files, find)


def _picture(content: dict[str, Any], name: str, files: Files, find: Find) -> Iterator[LabelledPicture]:
    path = str(content["imagePath"]).replace("\\", "/")  # LabelMe on Windows writes its own slashes
    if find(path, name) is None and find(PurePosixPath(name).stem, name) is not None:
        path = PurePosixPath(name).stem
    picture = placed(path, name, content.get("imageWidth"), content.get("imageHeight"), files, find)
    if picture is None:
        return
    groups: dict[Any, list[tuple[str, dict[str, Any]]]] = {}
    for number, shape in enumerate(content["shapes"], 1):
        place = f"{name}, shape {number}"
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
            files.skip(f"{place} was skipped: it has no label.")
            continue
        group = shape.get("group_id")
        key = (group, shape["label"]) if type(group) is int else number
        groups.setdefault(key, []).append((place, shape))
    objects = []
    for members in groups.values():
        pieces = [(place, shape, _mask(shape, place, picture, files)) for place, shape in members]
        masks = [mask for _, _, mask in pieces if mask is not None]
        place, shape, _ = pieces[0]
        if masks:
            mask = runs.encode(runs.union(masks), picture.height, picture.width)
            values = {"rle": mask, "name": shape["label"], "source": "import"}
            one = read_object(files, place, LabelledObject.of, values, picture.height, picture.width)
            objects += [one] if one else []
    yield LabelledPicture(picture.file_name, picture.width, picture.height, objects[::-1])


def _mask(shape: dict[str, Any], place: str, picture: LabelledPicture, files: Files) -> np.ndarray | None:
    """The toggles of a shape; or None, and a sentence."""
    try:
        return _toggles(shape, picture.height, picture.width)
    except (FormatError, ImageError) as error:
        files.skip(f"{place} was skipped: {error}")
        return None


def _toggles(shape: dict[str, Any], height: int, width: int) -> np.ndarray:
    kind = shape.get("shape_type") or "polygon"
    try:
        points = np.array(shape.get("points"), np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        raise FormatError("its points are not pairs of x and y.") from None
    if kind == "polygon" and len(points) > 2:
        return runs.fill([points], height, width)
    if kind == "rectangle" and len(points) in (2, 4):
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        return runs.fill([np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])], height, width)
    if kind == "circle" and len(points) == 2:
        angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
        radius = np.hypot(*(points[1] - points[0]))
        return runs.fill([points[0] + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)], height, width)
    if kind == "mask" and len(points) == 2 and isinstance(shape.get("mask"), str):
        return _painted(shape["mask"], points, height, width)
    raise FormatError(f"shapes of the kind {str(kind)[:40]!r} with {len(points)} points are no masks.")


def _painted(text: str, points: np.ndarray, height: int, width: int) -> np.ndarray:
    """A shape of the kind mask: a PNG, laid at its first point."""
    if not np.isfinite(points).all() or (np.abs(points) > 1e9).any():
        raise FormatError("its points must be finite numbers.")
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise FormatError("its mask is not in base64.") from None
    pixels = read_image(data, max_pixels=height * width).max(axis=2) > 0
    x, y = (round(value) for value in points[0])
    pixels = pixels[max(0, -y) : max(0, height - y), max(0, -x) : max(0, width - x)]
    found = rle.encode(Region(max(0, x), max(0, y), pixels), height, width)
    return runs.toggles(found, height, width)
