"""Pictures of a project and the JSON files beside them, as they are on the disk at this moment.

A file that we wrote begins with a line of its revision and a checksum of the rest. One that does not, or whose checksum
does not fit, was made or edited by somebody else: its revision is then made of its content, so that nobody who has seen
another content can save over it unawares.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any
from zlib import crc32

from anymask.errors import FormatError, ImageError
from anymask.formats import sa1b
from anymask.formats.annotations import LabelledObject, LabelledPicture
from anymask.formats.archives import PICTURES, parse
from anymask.images import read_header
from anymask.projects.errors import NotFoundError, ProjectError, said

STATUSES = sa1b.STATUSES
MAX_JSON = 64 << 20
FOREIGN = 1_000_000  # keeps the revisions of files that are not ours away from those that we count
HEAD = re.compile(rb'\{"revision": (\d{1,16}), "checksum": "([0-9a-f]{8})",?\n')


@dataclass(frozen=True)
class Item:
    """A picture of a project, and what its annotations are in short.

    Attributes:
        name: its file name.
        width, height: pixels, upright; 0 when it cannot be read.
        status: new, started, done or reviewed.
        objects: how many.
        revision: of its annotations; 0 when there are none. Every saving raises it.
        error: why the picture or its annotations cannot be used; None when they can.
        labels: how often each name is used.
        damaged: the error is the JSON file's, and saving moves that aside.
    """

    name: str
    width: int
    height: int
    status: str
    objects: int
    revision: int
    error: str | None = None
    labels: Mapping[str, int] = field(default_factory=dict)
    damaged: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `error` only where there is one."""
        keys = ("name", "status", "objects", "width", "height", "revision")
        values = {key: getattr(self, key) for key in keys}
        return values | ({} if self.error is None else {"error": self.error})


@dataclass(frozen=True, eq=False)
class Content:
    """A picture's annotations.

    Attributes:
        item: the picture.
        objects: the one on top first.
        raw: all that the JSON file holds; empty when there is none, or a damaged one.
    """

    item: Item
    objects: Sequence[LabelledObject] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def picture(self) -> LabelledPicture:
        """The same for the writers of data sets."""
        return LabelledPicture(self.item.name, self.item.width, self.item.height, self.objects, self.item.status)


def pack(content: Mapping[str, Any], revision: int) -> bytes:
    """The JSON file of a revision."""
    rest = json.dumps({key: value for key, value in content.items() if key not in ("revision", "checksum")})[
        1:
    ].encode()
    return b'{"revision": %d, "checksum": "%08x",\n' % (revision, crc32(rest)) + rest


class Reader:
    """Reads a folder's items, each again only when one of its files has changed."""

    def __init__(self, folder: Path, max_pixels: int | None = None) -> None:
        self.folder, self._max_pixels = folder, max_pixels
        self._known: dict[str, tuple[tuple[Any, ...], Item]] = {}

    def items(self) -> list[Item]:
        """All pictures of the folder by name. Raises ProjectError when it cannot be read."""
        with said("The project cannot be read"), os.scandir(self.folder) as found:
            entries = [entry for entry in found if not entry.name.startswith(".")]
            states = {entry.name: _signature(entry.stat()) for entry in entries if _wanted(entry)}
        names = [name for name in states if is_picture(name)]
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault(PurePath(name).stem, []).append(name)
        items = {name: self._item(name, groups[PurePath(name).stem], states) for name in names}
        self._known = {name: known for name, known in self._known.items() if name in items}
        return [items[name] for name in sorted(items)]

    def content(self, name: str) -> Content:
        """One picture's annotations.

        Raises:
            NotFoundError: the folder has no such picture.
        """
        rivals = self.rivals(name)
        item, raw, objects = self._read(name, rivals)
        return Content(item, objects, raw)

    def rivals(self, name: str) -> list[str]:
        """The pictures of one stem, this one among them."""
        plain = name and PurePath(name).name == name and not name.startswith(".") and "\\" not in name
        if not plain or not is_picture(name) or not os.path.isfile(self.folder / name):
            raise NotFoundError(f"There is no picture {name[:100]!r} in this project.")
        with said("The project cannot be read"):
            names = os.listdir(self.folder)
        stem = PurePath(name).stem
        return [
            other for other in names if other.startswith(stem) and PurePath(other).stem == stem and is_picture(other)
        ]

    def _item(self, name: str, rivals: list[str], states: Mapping[str, tuple[int, ...]]) -> Item:
        signature = (states[name], states.get(PurePath(name).stem + ".json"), tuple(sorted(rivals)))
        known = self._known.get(name)
        if known is None or known[0] != signature:
            known = self._known[name] = signature, self._read(name, rivals, brief=True)[0]
        return known[1]

    def _read(
        self, name: str, rivals: list[str], brief: bool = False
    ) -> tuple[Item, Mapping[str, Any], list[LabelledObject]]:
        """An item, what its JSON file holds, and its objects; when `brief`, no objects, and those of a file that is as
        we wrote it are not checked again."""
        path = self.folder / name
        try:
            width, height, _ = read_header(path, max_pixels=self._max_pixels)
        except ImageError as error:
            return Item(name, 0, 0, "new", 0, 0, str(error).replace(str(path), name)), {}, []
        beside = f"{path.stem}.json"
        data: bytes | None
        try:
            data = _json_bytes(self.folder / beside)
        except FileNotFoundError:
            data = None
        except OSError as error:
            reason = f"{beside} cannot be read ({error.strerror})."
            return Item(name, width, height, "new", 0, 0, reason), {}, []
        raw: Mapping[str, Any] = {}
        problem = None
        if data is not None:
            try:
                if len(data) > MAX_JSON:
                    raise FormatError(f"{beside} has more than {MAX_JSON >> 20} MB.")
                raw = parse(data, beside)
                size = sa1b.size_of(raw)
            except FormatError as error:
                problem = str(error) if str(error).startswith(beside) else f"{beside}: {error}"
        owner = _owner(raw, rivals)
        if owner != name:
            reason = f"{name} and {owner} would share {beside}; rename one of them."
            return Item(name, width, height, "new", 0, 0, reason), {}, []
        if data is None:
            return Item(name, width, height, "new", 0, 0), {}, []
        known = _known_revision(data)
        revision = _foreign_revision(data, raw) if known is None else known
        objects: list[LabelledObject] = []
        if problem is None and size != (width, height):
            problem = f"{beside} is for a picture of {size[0]} x {size[1]} pixels, but {name} has {width} x {height}."
        if problem is None and not (brief and known is not None):
            try:
                objects = [sa1b.object_of(one, height, width) for one in raw["annotations"]]
            except FormatError as error:
                problem = f"{beside}, annotation: {error}"
        if problem is not None:
            return Item(name, width, height, "new", 0, revision, problem, damaged=True), {}, []
        status = raw.get("status")
        if status not in STATUSES:
            status = "started" if raw["annotations"] else "new"
        labels = Counter(one["category"] for one in raw["annotations"] if one.get("category"))
        return Item(name, width, height, str(status), len(raw["annotations"]), revision, None, labels), raw, objects


def is_picture(name: str) -> bool:
    """Whether a file of that name is an item."""
    return not name.startswith(".") and PurePath(name).suffix.lower() in PICTURES


def check_status(status: Any) -> str:
    """A status. Raises ProjectError for anything else."""
    if status not in STATUSES:
        raise ProjectError(f"The status must be one of {', '.join(STATUSES)}, not {str(status)[:40]!r}.")
    return str(status)


def _owner(raw: Mapping[str, Any], rivals: list[str]) -> str:
    """Whose a JSON file is where several pictures have its stem: the one it names, else the one that training takes."""
    image = raw.get("image")
    said_by = image.get("file_name") if isinstance(image, dict) else None
    if said_by in rivals:
        return str(said_by)
    order = {suffix: place for place, suffix in enumerate(sa1b.PICTURE_SUFFIXES)}
    return min(rivals, key=lambda name: (order.get(PurePath(name).suffix.lower(), len(order)), name))


def _known_revision(data: bytes) -> int | None:
    """The revision of a file that is as we wrote it; None for any other."""
    head = HEAD.match(data)
    return int(head[1]) if head and int(head[2], 16) == crc32(data[head.end() :]) else None


def _foreign_revision(data: bytes, raw: Mapping[str, Any]) -> int:
    before = raw.get("revision")
    return (before if type(before) is int and 0 <= before < 2**52 else 0) + FOREIGN + crc32(data)


def _json_bytes(path: Path) -> bytes:
    """A file, or as much of it as shows that it is too large."""
    with open(path, "rb") as file:
        return file.read(MAX_JSON + 1)


def _wanted(entry: os.DirEntry[str]) -> bool:
    return (is_picture(entry.name) or entry.name.endswith(".json")) and entry.is_file()


def _signature(state: os.stat_result) -> tuple[int, ...]:
    return state.st_size, state.st_mtime_ns, state.st_ino, state.st_ctime_ns
