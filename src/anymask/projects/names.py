"""Names that are safe on every system: of projects, and of pictures that somebody sends."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from pathlib import PurePosixPath

from anymask.projects.errors import ProjectError

LONGEST = 100  # characters of a project's name
LONGEST_STEM = 150  # bytes of a picture's; a file system's 255 also have to hold ".json.damaged-12"
RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\..*)?", re.IGNORECASE)  # Windows' devices

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2",),
    "HEIF": (".heic", ".heif"),
}
"""By Pillow's name of a format; the first is the usual one."""


def check_project_name(name: str) -> str:
    """The name of a project, as it is.

    Raises:
        ProjectError: it cannot be one.
    """
    plain = re.fullmatch(r"[A-Za-z0-9_-]([A-Za-z0-9 ._-]*[A-Za-z0-9_-])?", name)
    if not plain or len(name) > LONGEST or RESERVED.fullmatch(name):
        raise ProjectError(
            f"A project's name is 1 to {LONGEST} letters without accents, digits, spaces or . _ -, with no space or "
            f"dot at its ends, and no name that Windows keeps for itself; {name[:LONGEST]!r} is not."
        )
    return name


def stored_name(name: str, format: str, stems: Collection[str]) -> str:
    """The name that a picture is stored under: the sender's, as far as that is safe and free.

    Args:
        name: what the sender calls it, perhaps with folders, which are left out.
        format: Pillow's name of its format; a suffix that does not belong to it is put right.
        stems: `key` of the names that are taken, without suffixes, since annotations go by these.
    """
    text = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    text = text.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    text = "".join("_" if char in '<>:"|?*' or unicodedata.category(char)[0] == "C" else char for char in text)
    path = PurePosixPath(text.strip(" .") or "picture")
    known = SUFFIXES[format]
    every = [suffix for group in SUFFIXES.values() for suffix in group]
    suffix = path.suffix.lower() if path.suffix.lower() in known else known[0]
    stem = path.stem if path.suffix.lower() in [*every, ".jfif", ".pnm"] else path.name
    stem = _cut(stem.strip(" ."), LONGEST_STEM) or "picture"
    if RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    number, free = 1, stem
    while key(free) in stems:
        number += 1
        free = f"{stem}-{number}"
    return free + suffix


def key(stem: str) -> str:
    """What is the same for stems that some file systems take for the same."""
    return unicodedata.normalize("NFC", stem).casefold()


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore").strip(" .")
