"""Hashes of files, remembered: a checkpoint of gigabytes is read once, not at every start."""

import hashlib
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from anymask.home import home

ALGORITHMS = ("sha256", "md5", "git_blob")


def checkpoint_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal digits; see `digest`."""
    return digest(path)


def digest(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """A file's hash in hexadecimal digits: sha256, md5, or git_blob, git's own name for a file's content.

    It is remembered under `home()` for as long as the file keeps its path, size and time of change.

    Raises OSError when the file cannot be read.
    """
    known = _read().get(str(Path(path).resolve()), {})
    if known.get("identity") == _identity(path) and algorithm in known:
        return str(known[algorithm])
    found = compute(path, algorithm)
    remember(path, algorithm, found)
    return found


def compute(path: str | os.PathLike[str], algorithm: str) -> str:
    """As `digest`, always from the file itself."""
    if algorithm == "git_blob":
        hasher = hashlib.sha1(b"blob %d\0" % os.path.getsize(path), usedforsecurity=False)
    else:
        hasher = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        hashlib.file_digest(file, lambda: hasher)
    return hasher.hexdigest()


def remember(path: str | os.PathLike[str], algorithm: str, found: str) -> None:
    """Keep a file's hash for `digest`. Where nothing can be written, nothing is kept."""
    memo, place, identity = _read(), str(Path(path).resolve()), _identity(path)
    known = memo.get(place, {})
    memo[place] = {**(known if known.get("identity") == identity else {}), "identity": identity, algorithm: found}
    memo = {name: entry for name, entry in memo.items() if os.path.exists(name)}
    temporary = home() / f".hashes-{secrets.token_hex(6)}.tmp"
    with suppress(OSError):
        home().mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(memo, indent=1), encoding="utf-8")
        os.replace(temporary, _memo())
    with suppress(OSError):
        temporary.unlink()


def _identity(path: str | os.PathLike[str]) -> list[int]:
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def _memo() -> Path:
    return home() / "hashes.json"


def _read() -> dict[str, dict[str, Any]]:
    """What is remembered, by path. Two processes that write at once lose one's entry, which costs time and no more."""
    try:
        memo: dict[str, dict[str, Any]] = json.loads(_memo().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return memo if isinstance(memo, dict) else {}
