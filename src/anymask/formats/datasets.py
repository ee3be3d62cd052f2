"""Data sets: labelled pictures to files of other programs and back, one module for each format.

Every module has `entries(pictures)`, the files of a data set; `PICTURES`, the folder that the pictures go to; and
`read(files, find)`. What a format cannot hold stands on its module's page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from anymask.errors import FormatError
from anymask.formats import coco, labelme, labels, sa1b, yolo
from anymask.formats.annotations import LabelledPicture
from anymask.formats.archives import Entry, Files, stream
from anymask.formats.importing import Find

MODULES: dict[str, Any] = {"coco": coco, "yolo": yolo, "labels": labels, "labelme": labelme, "sa1b": sa1b}
"""Formats of many pictures."""

SINGLE = ("coco", "png", "svg", "geojson", "npz", "yolo", "labels", "labelme", "sa1b")
"""Formats of one picture."""

MEDIA = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "geojson": "application/geo+json",
    "npz": "application/x-npz",
}
LEFT_OUT = "LEFT-OUT.txt"


def export_one(format: str, picture: LabelledPicture) -> tuple[bytes, str, str]:
    """One picture's objects as a file: its bytes, its media type and a file name.

    yolo and labels are several files, so a zip. png, svg, geojson and npz are those of `Masks.save`.

    Raises:
        FormatError: there is no such format.
    """
    if format in MEDIA:
        masks = picture.masks()
        return import_module(f"anymask.formats.{format}").encode(masks), MEDIA[format], f"{picture.stem}.{format}"
    if format == "coco":
        return b"".join(coco.lines([picture])), "application/json", f"{picture.stem}.coco.json"
    if format in ("labelme", "sa1b"):
        return MODULES[format].encode(picture), "application/json", f"{picture.stem}.json"
    if format in ("yolo", "labels"):
        return b"".join(export_many(format, [picture])), "application/zip", f"{picture.stem}.{format}.zip"
    raise FormatError(f"There is no format {format!r}; use one of {', '.join(SINGLE)}.")


def export_many(
    format: str,
    records: Iterable[LabelledPicture],
    pictures: Callable[[LabelledPicture], Path] | None = None,
    missing: list[str] | None = None,
) -> Iterator[bytes]:
    """A data set as the bytes of a zip, made piece by piece: of annotations, one picture's are in memory at a time.

    Args:
        records: the labelled pictures.
        pictures: where a picture lies on disk; None to leave the pictures out.
        missing: sentences about what was left out, which may grow as `records` is read; they go into LEFT-OUT.txt.

    Raises:
        FormatError: there is no such format (at once, not when the first bytes are taken).
    """
    if format not in MODULES:
        raise FormatError(f"There is no format {format!r} for data sets; use one of {', '.join(MODULES)}.")
    return stream(_entries(MODULES[format], records, pictures, said := [] if missing is None else missing), said)


def detect(files: Files) -> str:
    """The format of files that were uploaded. Raises FormatError when it is none that is known."""
    for name in files.names:
        if not name.endswith(".json"):
            continue
        try:
            content = files.json(name)
        except FormatError:
            continue
        for format in ("coco", "labels", "labelme", "sa1b"):
            if MODULES[format].recognises(content):
                return format
    if yolo.recognises(files):
        return "yolo"
    raise FormatError(f"No annotations were found; known formats are {', '.join(MODULES)}.")


def read(format: str, files: Files, find: Find) -> Iterator[LabelledPicture]:
    """The labelled pictures among files. What cannot be read is skipped, with a sentence in `files.skipped`.

    Raises:
        FormatError: there is no such format.
    """
    if format not in MODULES:
        raise FormatError(f"There is no format {format!r} for data sets; use one of {', '.join(MODULES)}.")
    found: Iterator[LabelledPicture] = MODULES[format].read(files, find)
    return found


def _entries(
    module: Any,
    records: Iterable[LabelledPicture],
    pictures: Callable[[LabelledPicture], Path] | None,
    missing: list[str],
) -> Iterator[Entry]:
    seen: list[tuple[str, Path]] = []

    def noted() -> Iterator[LabelledPicture]:
        for record in records:
            if pictures is not None:
                seen.append((record.file_name, pictures(record)))
            yield record

    yield from module.entries(noted())
    for name, path in seen:
        yield Entry(module.PICTURES + name, path)
    if missing:
        yield Entry(LEFT_OUT, ["".join(f"{sentence}\n" for sentence in missing).encode()])
