"""Pictures and the objects labelled in them, as data: what data sets are written from and read into.

`LabelledObject.of` and `LabelledPicture` check what comes from outside; the modules of the formats rely on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from pathlib import PurePosixPath
from typing import Any
from unicodedata import category

import numpy as np

from anymask import polygons, rle
from anymask.errors import FormatError
from anymask.formats import runs
from anymask.masks import Masks
from anymask.placement import Placement, Region

UNNAMED = "object"
"""The class of objects without a name, in formats where everything has one; the same as `anymask.formats.coco`'s."""

MAX_NAME = 200
MAX_OBJECTS = 10_000
SOURCES = ("prompt", "brush", "everything", "import")
ROLES = ("object", "part", "stuff")


@dataclass(frozen=True, eq=False)
class LabelledObject:
    """One object of a picture.

    Attributes:
        rle: its mask, a COCO RLE of the picture's size, compressed or not.
        name: its class; "" when it has none.
        score: the predicted IoU, 0 to 1, where a network found it.
        stability_score: SAM's, 0 to 1.
        point: the point that it was found by, x and y in pixels.
        id: a number that is its own in its picture; 0 when it has none yet.
        color: "#rrggbb", as it is shown.
        hidden, locked, confirmed: what a person said of it.
        source: prompt, brush, everything or import.
        role: object, part or stuff, for training.
    """

    rle: rle.RLE
    name: str = ""
    score: float | None = None
    stability_score: float | None = None
    point: tuple[float, float] | None = None
    id: int = 0
    color: str | None = None
    hidden: bool = False
    locked: bool = False
    confirmed: bool = False
    source: str | None = None
    role: str | None = None

    @cached_property
    def toggles(self) -> np.ndarray:
        """Where the mask begins and ends; see `formats.runs`. Raises FormatError when the RLE is none."""
        height, width = self.rle["size"]
        return runs.toggles(self.rle, height, width)

    @cached_property
    def measures(self) -> tuple[int, tuple[int, int, int, int]]:
        """Area in pixels, and box as x, y, width, height."""
        return runs.measure(self.toggles, self.rle["size"][0])

    @property
    def class_name(self) -> str:
        """The name, or UNNAMED."""
        return self.name or UNNAMED

    def region(self) -> Region:
        """The mask cut to its bounding box."""
        return runs.region(self.toggles, *self.rle["size"])

    def outlines(self) -> list[polygons.Polygon]:
        """The mask's polygons along the edges of its pixels, the largest first; filling them gives it back exactly."""
        found = polygons.trace(self.region(), 0)
        return sorted(found, key=lambda rings: -polygons.area(rings[0]))

    @classmethod
    def of(cls, values: Any, height: int, width: int) -> LabelledObject:
        """An object from JSON: the keys are the attributes' names; others are left out.

        Raises:
            FormatError: a value is not what it must be, or the RLE does not fit the picture.
        """
        if not isinstance(values, dict):
            raise FormatError("An object must be a JSON object with the key rle.")
        one = runs.toggles(values.get("rle"), height, width)
        color, source, role = (values.get(key) for key in ("color", "source", "role"))
        if color is not None and not (isinstance(color, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", color)):
            raise FormatError(f'A colour must be written as "#rrggbb", not {str(color)[:40]!r}.')
        if source is not None and source not in SOURCES:
            raise FormatError(f"An object's source must be one of {', '.join(SOURCES)}, not {str(source)[:40]!r}.")
        if role is not None and role not in ROLES:
            raise FormatError(f"An object's role must be one of {', '.join(ROLES)}, not {str(role)[:40]!r}.")
        number = values.get("id", 0)
        if type(number) is not int or not 0 <= number < 2**53:
            raise FormatError(f"An object's id must be a whole number, not {str(number)[:40]!r}.")
        flags = {key: values.get(key) or False for key in ("hidden", "locked", "confirmed")}
        for key, flag in flags.items():
            if not isinstance(flag, bool):
                raise FormatError(f"An object's {key} must be true or false, not {str(flag)[:40]!r}.")
        given = values["rle"]
        is_packed = isinstance(given["counts"], str)
        found = cls(
            {"size": [height, width], "counts": given["counts"]} if is_packed else runs.encode(one, height, width),
            clean_name(values.get("name")),
            _number("score", values.get("score")),
            _number("stability_score", values.get("stability_score")),
            _point(values.get("point")),
            number,
            color,
            source=source,
            role=role,
            **flags,
        )
        found.__dict__["toggles"] = one  # known already
        return found

    def to_dict(self) -> dict[str, Any]:
        """For JSON, as `of` reads it; what is not known is left out."""
        always = {"id": self.id, "rle": rle.compress(self.rle), "name": self.name}
        keys = ("score", "stability_score", "point", "color", "hidden", "locked", "confirmed", "source")
        values = {key: getattr(self, key) for key in keys}
        if self.point is not None:
            values["point"] = list(self.point)
        return always | {key: value for key, value in values.items() if value is not None and value is not False}


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """A picture's name and size, and its objects, the one on top first.

    Attributes:
        file_name: without folders.
        width, height: pixels, upright.
        status: new, started, done or reviewed; "" where a format does not say.
    """

    file_name: str
    width: int
    height: int
    objects: Sequence[LabelledObject] = ()
    status: str = ""

    @property
    def stem(self) -> str:
        """The name without its suffix, for files beside it."""
        return PurePosixPath(self.file_name).stem or "picture"

    def masks(self) -> Masks:
        """The objects as `Masks`, for the formats that take these; their logits say nothing."""
        count = len(self.objects)
        scores = np.array([1.0 if one.score is None else one.score for one in self.objects], np.float32)
        extra = {"name": np.array([one.class_name for one in self.objects])} if count else {}
        placement = Placement(self.height, self.width, 1, 1, 1, 1)
        rles = [one.rle for one in self.objects]
        return Masks(np.full((count, 1, 1), -1, np.float32), scores, placement, rles=rles, extra=extra)


def clean_name(value: Any) -> str:
    """A class name from outside, without blanks around it; None becomes "".

    Raises:
        FormatError: it is no text, too long, or has control characters.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or len(value.strip()) > MAX_NAME:
        raise FormatError(f"An object's name must be text of at most {MAX_NAME} characters.")
    if any(category(char) in ("Cc", "Cs", "Zl", "Zp") for char in value):
        raise FormatError("An object's name must not hold control characters or line breaks.")
    return value.strip()


def numbered(objects: Sequence[LabelledObject]) -> list[LabelledObject]:
    """The same objects, each with an id of its own; those that have one keep it."""
    taken: set[int] = set()
    free = max((one.id for one in objects), default=0) + 1
    found = []
    for one in objects:
        if one.id == 0 or one.id in taken:
            one, free = replace(one, id=free), free + 1
        taken.add(one.id)
        found.append(one)
    return found


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not isfinite(value) or abs(value) > 1e9:
        raise FormatError(f"An object's {name} must be a number, not {str(value)[:40]!r}.")
    return float(value)


def _point(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise FormatError(f"An object's point must be [x, y], not {str(value)[:40]!r}.")
    x, y = (_number("point", one) for one in value)
    if x is None or y is None:
        raise FormatError("An object's point must be [x, y], two numbers.")
    return x, y
