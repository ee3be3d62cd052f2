"""What the readers of data sets share: whose annotations these are, and going on past a bad one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec

from anymask.errors import FormatError
from anymask.formats.annotations import LabelledObject, LabelledPicture
from anymask.formats.archives import Files

P = ParamSpec("P")

Find = Callable[[str, str], LabelledPicture | None]
"""The picture that annotations belong to, without objects, or None when there is no such picture: by its file name, or
that name without its suffix, and the name of the file that speaks of it."""


def placed(name: str, said_by: str, width: Any, height: Any, files: Files, find: Find) -> LabelledPicture | None:
    """The picture of that name when it has the size that the annotations are for; else None, and a sentence.

    Args:
        name: the picture's file name, perhaps with folders, or its stem.
        said_by: the file of annotations.
        width, height: what that file says; None when it does not.
    """
    found = find(name, said_by)
    if found is None:
        files.skip(f"{said_by}: there is no picture {name[-100:]!r}; its annotations were skipped.")
    elif (width, height) not in ((None, None), (found.width, found.height)):
        said = f"{str(width)[:20]} x {str(height)[:20]}"
        files.skip(f"{said_by} is for {said} pixels, but {found.file_name} has {found.width} x {found.height}.")
        return None
    return found


def read_object(
    files: Files, place: str, make: Callable[P, LabelledObject], *args: P.args, **kwargs: P.kwargs
) -> LabelledObject | None:
    """The object that `make` makes; or None, and a sentence, when it is damaged or empty."""
    try:
        one = make(*args, **kwargs)
    except FormatError as error:
        files.skip(f"{place} was skipped: {error}")
        return None
    if not len(one.toggles):
        files.skip(f"{place} was skipped: its mask is empty.")
        return None
    return one
