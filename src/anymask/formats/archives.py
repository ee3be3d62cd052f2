"""Zips: written while they are sent, and read as what a stranger may have made to do harm."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from time import localtime
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from anymask.errors import FormatError

CHUNK = 1 << 20
PHOTOGRAPHS = ".jpg", ".jpeg", ".jfif", ".mpo", ".heic", ".heif", ".avif", ".webp", ".tif", ".tiff", ".jp2"
PICTURES = frozenset([*PHOTOGRAPHS, ".png", ".bmp", ".gif", ".ppm", ".pgm"])
TEXTS = frozenset([".json", ".txt", ".yaml", ".yml"])
DIRECTORY = 64 << 20  # bytes; a zip's table of contents is read as a whole
MAX_SENTENCES = 200


@dataclass(frozen=True)
class Entry:
    """A file of an archive: its bytes in pieces, or where it lies on disk."""

    name: str
    content: Iterable[bytes] | Path


def stream(entries: Iterable[Entry], missing: list[str]) -> Iterator[bytes]:
    """The bytes of a zip, piece by piece, with no more than a piece in memory.

    A file that cannot be read is left out; a sentence about it goes to `missing`.
    """
    sink = _Sink()
    with ZipFile(sink, "w", ZIP_DEFLATED) as archive:  # type: ignore[call-overload]  # a sink needs no more
        for entry in entries:
            info = ZipInfo(entry.name, localtime()[:6])
            packed = PurePosixPath(entry.name).suffix.lower() in PICTURES
            info.compress_type = ZIP_STORED if packed else ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            try:
                pieces: Iterable[bytes] = entry.content if not isinstance(entry.content, Path) else _file(entry.content)
                first = next(iter_pieces := iter(pieces), b"")
            except OSError as error:
                missing.append(f"{entry.name} was left out, because it cannot be read ({error.strerror}).")
                continue
            with archive.open(info, "w", force_zip64=_may_be_huge(entry.content)) as file:
                file.write(first)
                for piece in iter_pieces:
                    file.write(piece)
                    if sink.size > CHUNK:
                        yield sink.take()
            yield sink.take()
    yield sink.take()


@dataclass(frozen=True)
class Limits:
    """What an import may hold, uncompressed: entries, bytes of one picture, of one text file, and of all together."""

    entries: int = 100_000
    picture: int = 512 << 20
    text: int = 64 << 20
    total: int = 8 << 30


class Files:
    """The files of an import: a zip, or one JSON file. Whatever is not wanted is skipped, with a sentence.

    Attributes:
        names: of the files that are left, with forward slashes.
        skipped: what was left out, one sentence each, at most MAX_SENTENCES and one that counts the rest.

    Raises:
        FormatError: it is neither zip nor JSON, or damaged as a whole.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._path = path
        self._zip: ZipFile | None = None
        self._skipped: list[str] = []
        self._more = 0
        self._read = 0
        self.names: list[str] = []
        with open(path, "rb") as file:
            start = file.read(4)
        if start[:2] == b"PK":
            self._open_zip()
        elif path.stat().st_size <= self.limits.text:
            self.names = ["annotations.json"]
        else:
            raise FormatError(f"The JSON file has more than the {self.limits.text} bytes allowed.")

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *_: object) -> None:
        if self._zip is not None:
            self._zip.close()

    @property
    def skipped(self) -> list[str]:
        return [*self._skipped, *([f"{self._more} more were skipped."] if self._more else [])]

    def skip(self, sentence: str) -> None:
        """Note what was left out."""
        if len(self._skipped) < MAX_SENTENCES:
            self._skipped.append(sentence)
        else:
            self._more += 1

    def pieces(self, name: str) -> Iterator[bytes]:
        """A file's bytes, piece by piece. Raises FormatError when it is damaged or too large."""
        limit = self.limits.picture if PurePosixPath(name).suffix.lower() in PICTURES else self.limits.text
        size = 0
        try:
            with open(self._path, "rb") if self._zip is None else self._zip.open(name) as file:
                while piece := file.read(CHUNK):
                    size += len(piece)
                    self._read += len(piece)
                    if size > limit:
                        raise FormatError(f"{name} was skipped, because it has more than the {limit} bytes allowed.")
                    if self._read > self.limits.total:
                        raise FormatError(f"The files have more than the {self.limits.total} bytes allowed in all.")
                    yield piece
        except FormatError:
            raise
        except Exception as error:  # zipfile and zlib raise every kind over damaged archives
            raise FormatError(f"{name} was skipped, because it is damaged ({error}).") from error

    def read(self, name: str) -> bytes:
        """A file's bytes. Raises FormatError when it is damaged or too large."""
        return b"".join(self.pieces(name))

    def json(self, name: str) -> dict[str, Any]:
        """A JSON object. Raises FormatError when the file is none."""
        return parse(self.read(name), name)

    def _open_zip(self) -> None:
        try:
            _check_directory(self._path)
            archive = self._zip = ZipFile(self._path)
        except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise FormatError(f"The zip is damaged ({error}).") from None
        entries = archive.infolist()
        if len(entries) > self.limits.entries:
            raise FormatError(f"The zip has {len(entries)} files, more than the {self.limits.entries} allowed.")
        taken: set[str] = set()
        for entry in entries:
            name, suffix = entry.filename, PurePosixPath(entry.filename).suffix.lower()
            hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/") if part not in (".", ".."))
            if entry.is_dir() or (hidden and ".." not in name.split("/")):
                continue
            if why := _harm(entry):
                self.skip(f"{name[:100]!r} was skipped, because {why}.")
            elif suffix not in PICTURES | TEXTS:
                self.skip(f"{name[:100]!r} was skipped, because {suffix or 'its kind'} is of no use here.")
            elif name in taken:
                self.skip(f"{name[:100]!r} is in the zip more than once; the last was taken.")
            else:
                taken.add(name)
                self.names.append(name)


def parse(data: bytes, name: str) -> dict[str, Any]:
    """A JSON object from a file's bytes.

    Raises:
        FormatError: it is no JSON in UTF-8, or no object.
    """
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise FormatError(f"{name} is not valid JSON: it is not text in UTF-8.") from None
    except json.JSONDecodeError as error:
        raise FormatError(f"{name} is not valid JSON: {error.msg}, line {error.lineno}.") from None
    except (ValueError, RecursionError):
        raise FormatError(f"{name} is not valid JSON: a number is too long, or it is nested too deeply.") from None
    if not isinstance(content, dict):
        raise FormatError(f"{name} must hold a JSON object, not a {type(content).__name__}.")
    return content


def _harm(entry: ZipInfo) -> str:
    """Why a file of a zip must not be touched; "" when it may."""
    name = entry.filename
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or "\\" in name:
        return "its name is not a plain path within the zip"
    if ".." in name.split("/"):
        return "its name leads out of the zip"
    if len(name) > 1000 or any(ord(char) < 32 for char in name):
        return "its name is too long or has control characters"
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        return "it is a link or no plain file"
    if entry.flag_bits & 1:
        return "it is encrypted"
    return ""


def _check_directory(path: Path) -> None:
    """Refuse a zip whose table of contents alone would fill the memory, before it is read."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        file.seek(max(0, size - 65_557))
        tail = file.read()
    sizes = [int.from_bytes(tail[at + 12 : at + 16], "little") for at in _all(tail, b"PK\5\6")]
    sizes = [one for one in sizes if one != 0xFFFFFFFF]
    sizes += [int.from_bytes(tail[at + 40 : at + 48], "little") for at in _all(tail, b"PK\6\6")]
    if max(sizes, default=0) > DIRECTORY:
        raise FormatError("The zip has too many files.")


def _all(data: bytes, mark: bytes) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(mark), data)]


def _may_be_huge(content: Iterable[bytes] | Path) -> bool:
    """Zip's longer numbers, which some old programs cannot read, only where the size asks for them or is not known."""
    return content.stat().st_size > 1 << 30 if isinstance(content, Path) else not isinstance(content, list)


def _file(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            yield piece


class _Sink:
    """A file that can be written only, and hands out what was written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        self.size = 0
        return data
