"""Files that masks are written to: one module for each format, with one function `encode(masks) -> bytes`."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from anymask.errors import FormatError
from anymask.images import write_atomic

if TYPE_CHECKING:
    from anymask.masks import Masks

MODULES = {".png": "png", ".json": "coco", ".svg": "svg", ".geojson": "geojson", ".npz": "npz"}


def check(path: str | os.PathLike[str]) -> str:
    """The suffix of a path that masks can be written to, in lower case. Raises FormatError for any other."""
    suffix = Path(path).suffix.lower()
    if suffix not in MODULES:
        raise FormatError(f"Masks cannot be written as {suffix or os.fspath(path)!r}; use one of {', '.join(MODULES)}.")
    return suffix


def save(masks: Masks, path: str | os.PathLike[str]) -> None:
    """Write masks in the format that the path's suffix names; see `Masks.save`."""
    module = import_module(f"anymask.formats.{MODULES[check(path)]}")
    write_atomic(path, module.encode(masks))
