"""Data sets in SA-1B's layout: a picture and beside it a JSON file of the same stem.

The JSON holds `image` and `annotations` as SA-1B's does (Kirillov et al. 2023): each annotation's `segmentation` is a
COCO RLE. Three optional keys go further: an annotation's `role` (object, part or stuff), `subject`, the RLE of the
picture's foreground, and `ignore`, the RLE of pixels whose label is uncertain. Project folders (`anymask.projects`) add
an annotation's `category` and `anymask` (how it is shown, where it is from), and the picture's `status` and `revision`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from zlib import crc32

from anymask import rle
from anymask.errors import FormatError
from anymask.formats.annotations import MAX_OBJECTS, LabelledObject, LabelledPicture, numbered
from anymask.formats.archives import PICTURES as ANY_PICTURES
from anymask.formats.archives import Entry, Files
from anymask.formats.importing import Find, placed, read_object

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
PICTURES = ""
STATUSES = ("new", "started", "done", "reviewed")
SHOWN = ("color", "hidden", "locked", "source", "confirmed")
OURS = ("id", "segmentation", "bbox", "area", "predicted_iou", "stability_score", "crop_box", "point_coords")


@dataclass(frozen=True)
class Annotation:
    """One labelled region: its RLE, area in pixels and role."""

    rle: dict[str, Any]
    area: int
    role: str


@dataclass(frozen=True)
class Record:
    """One picture of a data set, its masks still as RLEs."""

    path: Path
    height: int
    width: int
    annotations: tuple[Annotation, ...]
    subject: dict[str, Any] | None
    ignore: dict[str, Any] | None
    source: str


def read_record(json_path: Path) -> Record:
    """One JSON file and its picture. Raises FormatError when either is missing or malformed."""
    picture = _picture_beside(json_path)
    if picture is None:
        raise FormatError(f"{json_path} has no picture beside it ({', '.join(PICTURE_SUFFIXES)}).")
    try:
        content = json.loads(json_path.read_text(encoding="utf-8"))
        annotations = tuple(
            Annotation(a["segmentation"], int(a["area"]), a.get("role", "object")) for a in content["annotations"]
        )
        image = content["image"]
        return Record(
            picture,
            int(image["height"]),
            int(image["width"]),
            annotations,
            content.get("subject"),
            content.get("ignore"),
            content.get("source", json_path.parent.name),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{json_path} is not in the SA-1B layout: {error!r}.") from error


def read_folder(root: str | Path) -> list[Record]:
    """Every record under a folder, at any depth but not in hidden folders, sorted by path. Raises FormatError when
    there is none."""
    records = list(_records(Path(root)))
    if not records:
        raise FormatError(f"{root} holds no pictures with SA-1B style JSON files beside them.")
    return records


def _records(root: Path) -> Iterator[Record]:
    for path in sorted(root.rglob("*.json")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)  # .removed of a project
        if not hidden and _picture_beside(path) is not None:
            yield read_record(path)


def _picture_beside(json_path: Path) -> Path | None:
    suffixes = [*PICTURE_SUFFIXES, *sorted(ANY_PICTURES.difference(PICTURE_SUFFIXES))]
    suffixes += [suffix.upper() for suffix in suffixes]
    return next((p for s in suffixes if (p := json_path.with_suffix(s)).is_file()), None)


def entries(pictures: Iterable[LabelledPicture]) -> Iterator[Entry]:
    """NAME.json of each picture that somebody has looked at."""
    for picture in pictures:
        if picture.objects or picture.status != "new":
            yield Entry(f"{picture.stem}.json", [encode(picture)])


def encode(picture: LabelledPicture) -> bytes:
    """The JSON of one picture."""
    return json.dumps(content(picture)).encode()


def content(picture: LabelledPicture, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a picture's JSON holds. The objects get ids where they have none.

    Args:
        before: what the file held; the keys that we do not write are kept, those of an annotation by its id.
    """
    old = before or {}
    kept = {one.get("id"): one for one in old.get("annotations", []) if isinstance(one, dict)}
    image = old.get("image", {}) | {"file_name": picture.file_name, "width": picture.width, "height": picture.height}
    image = {"image_id": crc32(picture.file_name.encode()), **image}
    objects = numbered(picture.objects)
    annotations = [_annotation(one, kept.get(one.id, {}), picture) for one in objects]
    said = {"status": picture.status} if picture.status else {}
    return {**old, "image": image, "annotations": annotations, **said}


def _annotation(one: LabelledObject, kept: Mapping[str, Any], picture: LabelledPicture) -> dict[str, Any]:
    area, box = one.measures
    written: dict[str, Any] = {
        "id": one.id,
        "segmentation": rle.compress(one.rle),
        "bbox": list(box),
        "area": area,
        "predicted_iou": one.score,
        "stability_score": one.stability_score,
        "crop_box": kept.get("crop_box", [0, 0, picture.width, picture.height]),
        "point_coords": [] if one.point is None else [list(one.point)],
        "category": one.name,
    }
    if one.role is not None:
        written["role"] = one.role
    shown = {key: getattr(one, key) for key in SHOWN if getattr(one, key) not in (None, False)}
    other = {key: value for key, value in kept.items() if key not in (*OURS, "category", "anymask")}
    return other | written | ({"anymask": shown} if shown else {})


def size_of(content: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height that a JSON file's annotations are for. Raises FormatError when it does not say."""
    image = content.get("image")
    width, height = (image.get("width"), image.get("height")) if isinstance(image, dict) else (None, None)
    if type(width) is not int or type(height) is not int or not isinstance(content.get("annotations"), list):
        raise FormatError("It is not in the SA-1B layout: it needs image, with width and height, and annotations.")
    if len(content["annotations"]) > MAX_OBJECTS:
        raise FormatError(f"It has more than {MAX_OBJECTS} annotations.")
    return width, height


def object_of(annotation: Any, height: int, width: int) -> LabelledObject:
    """An annotation of a JSON file. Raises FormatError when it is damaged."""
    if not isinstance(annotation, dict):
        raise FormatError("An annotation must be a JSON object.")
    shown, points = annotation.get("anymask", {}), annotation.get("point_coords")
    if not isinstance(shown, dict):
        raise FormatError("An annotation's `anymask` must be a JSON object.")
    values = {key: shown.get(key) for key in SHOWN} | {
        "id": annotation.get("id", 0),
        "rle": annotation.get("segmentation"),
        "name": annotation.get("category"),
        "score": annotation.get("predicted_iou"),
        "stability_score": annotation.get("stability_score"),
        "point": points[0] if isinstance(points, list) and points else None,
        "role": annotation.get("role"),
    }
    return LabelledObject.of(values, height, width)


def recognises(content: dict[str, Any]) -> bool:
    """Whether a JSON file's content is of this layout."""
    return isinstance(content.get("image"), dict) and isinstance(content.get("annotations"), list)


def read(files: Files, find: Find) -> Iterator[LabelledPicture]:
    """The pictures of every JSON file of this layout, each with its objects."""
    beside = {str(PurePosixPath(name).with_suffix("")): name for name in files.names if _is_picture(name)}
    for name in files.names:
        if not name.endswith(".json"):
            continue
        try:
            content = files.json(name)
            if not recognises(content):
                continue
            width, height = size_of(content)
        except FormatError as error:
            files.skip(f"{name} was skipped: {error}")
            continue
        said = content["image"].get("file_name")
        stem = str(PurePosixPath(name).with_suffix(""))
        wanted = beside.get(stem) or (said if isinstance(said, str) else stem)
        picture = placed(wanted, name, width, height, files, find)
        if picture is None:
            continue
        found = [
            read_object(files, f"{name}, annotation {number}", object_of, one, height, width)
            for number, one in enumerate(content["annotations"], 1)
        ]
        status = content.get("status")
        objects = [one for one in found if one]
        yield replace(picture, objects=objects, status=str(status) if status in STATUSES else "")


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in ANY_PICTURES
