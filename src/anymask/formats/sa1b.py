"""Reading data sets in SA-1B's layout: a picture and beside it a JSON file of the same stem.

The JSON holds `image` and `annotations` as SA-1B's does (Kirillov et al. 2023): each annotation's `segmentation` is a
COCO RLE. Three
optional keys go further: an annotation's `role` (object, part or stuff), `subject`, the RLE of the picture's
foreground, and `ignore`, the
RLE of pixels whose label is uncertain.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anymask.errors import FormatError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


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
    picture = next((p for s in PICTURE_SUFFIXES if (p := json_path.with_suffix(s)).is_file()), None)
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
    """Every record under a folder, at any depth, sorted by path. Raises FormatError when there is none."""
    records = list(_records(Path(root)))
    if not records:
        raise FormatError(f"{root} holds no pictures with SA-1B style JSON files beside them.")
    return records


def _records(root: Path) -> Iterator[Record]:
    for path in sorted(root.rglob("*.json")):
        if any(path.with_suffix(suffix).is_file() for suffix in PICTURE_SUFFIXES):
            yield read_record(path)
