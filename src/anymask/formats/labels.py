"""Label pictures: for each picture a PNG of classes and a PNG of instances, and a legend in JSON.

`classes/NAME.png` holds at each pixel the value of its class, `instances/NAME.png` the number of its object, 0 for
nothing; the legend says what the values mean. Both are indexed with a palette up to 255, else grey of 16 bits. A pixel
belongs to the object on top, and only that part of an object is kept: what lies wholly under others is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from anymask.colors import palette
from anymask.errors import FormatError, ImageError
from anymask.formats import runs
from anymask.formats.annotations import LabelledObject, LabelledPicture
from anymask.formats.archives import Entry, Files
from anymask.formats.importing import Find, placed, read_object
from anymask.images import encode_image, open_image

PICTURES = "pictures/"
LEGEND = "legend.json"
FORMAT = "anymask-labels"


def entries(pictures: Iterable[LabelledPicture]) -> Iterator[Entry]:
    """The two PNGs of each picture, then the legend."""
    classes: dict[str, int] = {}
    legend = []
    for picture in pictures:
        values = np.array([0, *(classes.setdefault(one.name, len(classes) + 1) for one in picture.objects)], np.uint16)
        instances = paint(picture)
        names = {key: f"{key}/{picture.stem}.png" for key in ("classes", "instances")}
        yield Entry(names["classes"], [_png(values[instances])])
        yield Entry(names["instances"], [_png(instances)])
        objects: list[dict[str, Any]] = []
        for value, one in enumerate(picture.objects, 1):
            said = one.to_dict()
            del said["rle"]
            objects.append({"value": value, **said})
        size = {"width": picture.width, "height": picture.height}
        legend.append({"file_name": picture.file_name, **size, **names, "objects": objects})
    colors = palette(len(classes)).tolist()
    listed = [
        {"value": value, "name": name, "color": "#{:02x}{:02x}{:02x}".format(*color)}
        for (name, value), color in zip(classes.items(), colors, strict=True)
    ]
    yield Entry(LEGEND, [json.dumps({"format": FORMAT, "classes": listed, "pictures": legend}, indent=1).encode()])


def paint(picture: LabelledPicture) -> np.ndarray:
    """uint16 `[H, W]`: i + 1 where object i is on top, 0 for nothing."""
    values = np.zeros((picture.height, picture.width), np.uint16)
    for i in reversed(range(len(picture.objects))):
        x, y, pixels = picture.objects[i].region()
        values[y : y + pixels.shape[0], x : x + pixels.shape[1]][pixels] = i + 1
    return values


def recognises(content: dict[str, Any]) -> bool:
    """Whether a JSON file's content is a legend."""
    return content.get("format") == FORMAT and isinstance(content.get("pictures"), list)


def label_files(files: Files) -> set[str]:
    """The PNGs that hold labels and are no pictures, as the legends say."""
    return {path for folder, one in _legend(files, say=False) for path in _paths(folder, one)}


def read(files: Files, find: Find) -> Iterator[LabelledPicture]:
    """The pictures of the legends, each with its objects."""
    for folder, one in _legend(files, say=True):
        if not isinstance(one.get("file_name"), str):
            files.skip(f"{LEGEND}: a picture without a file name was skipped.")
            continue
        picture = placed(one["file_name"], folder + LEGEND, one.get("width"), one.get("height"), files, find)
        try:
            if picture is not None:
                yield _picture(one, folder, picture, files)
        except FormatError as error:
            files.skip(str(error))


def _legend(files: Files, say: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in files.names:
        if name.rsplit("/", 1)[-1] != LEGEND:
            continue
        try:
            content = files.json(name)
        except FormatError as error:
            if say:
                files.skip(str(error))
            continue
        if recognises(content):
            folder = name.removesuffix(LEGEND)
            yield from ((folder, one) for one in content["pictures"] if isinstance(one, dict))


def _paths(folder: str, one: dict[str, Any]) -> list[str]:
    return [folder + str(one.get(key)) for key in ("classes", "instances")]


def _picture(one: dict[str, Any], folder: str, picture: LabelledPicture, files: Files) -> LabelledPicture:
    _, name = _paths(folder, one)
    if name not in files.names:
        raise FormatError(f"{folder}{LEGEND}: there is no {name!r}; {picture.file_name} was skipped.")
    found = runs.by_value(_values(files.read(name), name, picture))
    objects = []
    said = {entry.get("value"): entry for entry in one.get("objects") or [] if isinstance(entry, dict)}
    for value, places in found.items():
        values = {"id": value, "source": "import", **said.get(value, {})}
        values["rle"] = runs.encode(places, picture.height, picture.width)
        place = f"{name}, object {value}"
        drawn = read_object(files, place, LabelledObject.of, values, picture.height, picture.width)
        objects += [drawn] if drawn else []
    return LabelledPicture(picture.file_name, picture.width, picture.height, objects)


def _values(data: bytes, name: str, picture: LabelledPicture) -> np.ndarray:
    try:
        image = open_image(data, max_pixels=picture.width * picture.height)
    except ImageError as error:
        raise FormatError(f"{name} was skipped: {error}") from None
    if image.size != (picture.width, picture.height) or image.mode not in ("P", "L", "1", "I;16", "I"):
        raise FormatError(f"{name} is no label picture of {picture.width} x {picture.height} pixels.")
    return np.asarray(image).astype(np.int64)


def _png(values: np.ndarray) -> bytes:
    most = int(values.max())
    if most > 255:
        return encode_image(values, "png")
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette(bytes(3) + palette(most).tobytes())
    return encode_image(image, "png")
