"""A project: a folder of pictures, each with a JSON file of its annotations beside it, in SA-1B's layout.

Files are whole or not there: whatever happens, and whoever else is at work, a reader finds the annotations of before or
those of after. Who writes holds the folder's lock, against other threads and other processes. What somebody puts into
the folder by hand belongs to it.
"""

from __future__ import annotations

import errno
import filecmp
import os
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any

from anymask.errors import FormatError, ImageError
from anymask.formats import sa1b
from anymask.formats.annotations import MAX_OBJECTS, LabelledObject, LabelledPicture
from anymask.images import read_header, read_picture, write_atomic
from anymask.locks import alone
from anymask.projects.errors import ConflictError, ProjectError, said
from anymask.projects.items import MAX_JSON, Content, Item, Reader, check_status, is_picture, pack
from anymask.projects.names import key, stored_name

REMOVED = ".removed"
FORGOTTEN = 24 * 3600  # seconds after which a file that a kill left half written is deleted


class Project:
    """One project folder. Threads may share it; other processes may have it open, too.

    Args:
        folder: it must exist.
        max_pixels: larger pictures are refused; by default as `read_picture`.
    """

    def __init__(self, folder: Path, max_pixels: int | None = None) -> None:
        self.folder, self.name = folder, folder.name
        self._max_pixels = max_pixels
        self._reader = Reader(folder, max_pixels)
        self._lock, self._listing = threading.Lock(), threading.Lock()
        self._clean()

    def items(self) -> list[Item]:
        """The pictures by name; only what has changed since the last time is read again."""
        with self._listing:
            return self._reader.items()

    def labels(self, items: Sequence[Item] | None = None) -> list[str]:
        """The names of all objects, the most used first."""
        uses: Counter[str] = Counter()
        for item in self.items() if items is None else items:
            uses.update(item.labels)
        return sorted(uses, key=lambda name: (-uses[name], name))

    def content(self, name: str) -> Content:
        """A picture's annotations. Raises NotFoundError."""
        return self._reader.content(name)

    def path(self, name: str) -> Path:
        """Where a picture lies. Raises NotFoundError."""
        return self.folder / self.content(name).item.name

    def add(self, source: Path, name: str) -> tuple[Item, bool]:
        """Store a picture as it is, under a name that is safe and free.

        Args:
            source: a file, which stays where it is.
            name: what it is called, perhaps with folders, which are left out.

        Returns:
            Its item, and whether it is new: the same bytes again are the item that has them.

        Raises:
            ImageError: it is no picture, or damaged, or too large.
            ProjectError: it cannot be stored; DiskFullError when there is no room.
        """
        try:
            read_picture(source, max_pixels=self._max_pixels)
            _, _, format = read_header(source, max_pixels=self._max_pixels)
        except ImageError as error:
            raise type(error)(str(error).replace(str(source), PurePath(name).name[:100] or "The picture")) from None
        temporary = self.temporary()
        with said(f"The picture {PurePath(name).name[:100]} cannot be stored"):
            try:
                _copy(source, temporary)
                with self._alone():
                    size = temporary.stat().st_size
                    taken = [other for other in os.listdir(self.folder) if is_picture(other)]
                    for other in taken:
                        if _same(temporary, self.folder / other, size):
                            return self._reader.content(other).item, False
                    stored = stored_name(name, format, {key(PurePath(other).stem) for other in taken})
                    _rename_new(temporary, self.folder / stored)
            finally:
                temporary.unlink(missing_ok=True)
        return self.content(stored).item, True

    def save(self, name: str, revision: int, status: str, objects: Sequence[Any]) -> int:
        """Save a picture's annotations; the new revision.

        Args:
            revision: the one that they are based on.
            status: new, started, done or reviewed.
            objects: the one on top first: `LabelledObject`s, or what `LabelledObject.of` takes.

        Raises:
            NotFoundError: there is no such picture.
            ConflictError: somebody has saved, or edited the file, meanwhile; nothing is changed.
            FormatError: an object is not what it must be.
            ProjectError: it cannot be saved; DiskFullError when there is no room. Nothing is changed then.
        """
        check_status(status)
        if not isinstance(objects, list | tuple) or len(objects) > MAX_OBJECTS:
            raise FormatError(f"The objects must be a list of at most {MAX_OBJECTS}.")
        item = _usable(self.content(name).item)
        checked = [
            one if isinstance(one, LabelledObject) else LabelledObject.of(one, item.height, item.width)
            for one in objects
        ]
        with self._alone():
            now = self.content(name)
            if now.item.revision != revision:
                raise ConflictError(f"{name} was saved by somebody else meanwhile.", now)
            return self._write(now, status, checked)

    def merge(self, picture: LabelledPicture, only_new: bool = False) -> int:
        """Put objects below those that a picture has; how many were new. One with a mask and name that the picture has
        already is left out. A new picture gets the status that comes along, or is started.

        Args:
            picture: the objects; its name is the item's.
            only_new: leave a picture alone that somebody has begun with meanwhile.

        Raises:
            NotFoundError, ProjectError, DiskFullError: as `save`, and for annotations that are damaged.
        """
        with self._alone():
            now = self.content(picture.file_name)
            if now.item.error is not None:
                raise ProjectError(now.item.error)
            is_new = now.item.status == "new" and not now.objects
            if only_new and not is_new:
                return 0
            known = {(one.name, one.toggles.tobytes()) for one in now.objects}
            added = []
            for one in picture.objects:
                if (mark := (one.name, one.toggles.tobytes())) not in known:
                    known.add(mark)
                    added.append(one)
            if not added and not (is_new and picture.status):
                return 0
            objects = [*now.objects, *added]
            if len(objects) > MAX_OBJECTS:
                raise ProjectError(f"{picture.file_name} would have more than {MAX_OBJECTS} objects.")
            status = (picture.status or "started") if is_new else now.item.status
            self._write(now, status, objects)
            return len(added)

    def remove(self, name: str) -> None:
        """Move a picture and its annotations to the folder .removed. Raises NotFoundError, ProjectError."""
        with self._alone(), said(f"{name} cannot be removed"):
            now = self.content(name)
            place = self.folder / REMOVED
            place.mkdir(exist_ok=True)
            stem, suffix = PurePath(name).stem, PurePath(name).suffix
            number, free = 1, stem
            while any((place / f"{free}{other}").exists() for other in (suffix, ".json")):
                number += 1
                free = f"{stem}-{number}"
            # Annotations first: a kill in between leaves a picture that can be removed again.
            beside = self.folder / f"{stem}.json"
            if now.item.revision or (len(self._reader.rivals(name)) == 1 and beside.exists()):
                os.rename(beside, place / f"{free}.json")
            os.rename(self.folder / name, place / f"{free}{suffix}")

    def temporary(self) -> Path:
        """A name for a file that is still to become something, in this folder but not part of the project."""
        return self.folder / f".anymask-{secrets.token_hex(6)}.tmp"

    def _write(self, now: Content, status: str, objects: Sequence[LabelledObject]) -> int:
        """Write annotations over those of `now`; the lock must be held."""
        item = _usable(now.item)
        picture = LabelledPicture(item.name, item.width, item.height, objects, status)
        revision = now.item.revision + 1
        data = pack({"source": self.name, **sa1b.content(picture, now.raw)}, revision)
        if len(data) > MAX_JSON:
            raise ProjectError(f"The annotations of {item.name} have more than the {MAX_JSON >> 20} MB allowed.")
        path = self.folder / f"{PurePath(item.name).stem}.json"
        with said(f"The annotations of {item.name} cannot be saved"):
            aside = _set_aside(path) if item.damaged else None
            try:
                write_atomic(path, data)
            except BaseException:
                if aside is not None:  # the damaged file is still in its place
                    aside.unlink(missing_ok=True)
                raise
        return revision

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            with said("The project cannot be written"):
                lock = alone(self.folder / ".lock")
                lock.__enter__()
            try:
                yield
            finally:
                lock.__exit__(None, None, None)

    def _clean(self) -> None:
        """Delete what a kill left half written, long ago."""
        with suppress(OSError):
            for path in self.folder.glob(".anymask-*.tmp"):
                if path.stat().st_mtime < time.time() - FORGOTTEN:
                    path.unlink()


def _usable(item: Item) -> Item:
    if item.error is not None and not item.damaged:
        raise ProjectError(item.error)
    return item


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb") as origin, open(target, "xb") as copy:
        shutil.copyfileobj(origin, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())


def _same(path: Path, other: Path, size: int) -> bool:
    try:
        return other.stat().st_size == size and filecmp.cmp(path, other, shallow=False)
    except OSError:  # gone, or not ours to read
        return False


def _rename_new(source: Path, target: Path) -> None:
    """Give a file its name, never over another, even one that a person put there at this very moment."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise OSError(errno.EEXIST, "a file of that name appeared meanwhile; try again") from None
    except OSError:  # a file system without links
        if target.exists():
            raise
        os.rename(source, target)


def _set_aside(path: Path) -> Path:
    """A second name, NAME.json.damaged-N, for a file that is about to be replaced."""
    number = 1
    while True:
        aside = path.with_name(f"{path.name}.damaged-{number}")
        try:
            os.link(path, aside)
            return aside
        except FileExistsError:
            number += 1
        except OSError:  # a file system without links
            if not aside.exists():
                shutil.copyfile(path, aside)
                return aside
            number += 1
