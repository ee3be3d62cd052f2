"""A file from an address to this disk, over connections that stall and break.

FILE.part.json, beside the part, says which address and which version of its file the part belongs to.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

Progress = Callable[[int, int | None], object]
"""Called with the bytes that are there and the bytes of the whole file, None where the server does not say."""

STALLED = 30.0  # seconds without a byte after which a connection is given up
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds before each new attempt; from the first again whenever bytes have come
LONGEST_PAUSE = 120.0  # a server that wants more patience than this gets none
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers after which it is worth asking again


class TransferError(Exception):
    """Why a file could not be had, in words for a sentence."""


def transfer(address: str, part: Path, on_progress: Progress = lambda done, total: None) -> None:
    """Make `part` the whole file of that address.

    What an earlier call left is gone on from, if the server still has that version of the file (RFC 9110: Range,
    If-Range). As long as each attempt brings bytes that were never there, attempts go on.

    Raises:
        TransferError: the server cannot be reached, does not have the file, or keeps failing. The part stays.
        OSError: the part cannot be written.
    """
    best, failures = _size(part), 0
    while True:
        try:
            return _attempt(address, part, on_progress)
        except _Broken as broken:
            failures = 0 if _size(part) > best else failures + 1
            best = max(best, _size(part))
            if failures == len(PAUSES) or broken.pause > LONGEST_PAUSE:
                raise TransferError(broken.reason) from broken
            time.sleep(max(PAUSES[failures], broken.pause))


def discard(part: Path) -> None:
    """Delete what belongs to a part, and the part if it is still there."""
    part.unlink(missing_ok=True)
    _sidecar(part).unlink(missing_ok=True)


@dataclass
class _Broken(Exception):
    """An attempt that did not come to the end; another may do better, after so many seconds."""

    reason: str
    pause: float = 0.0


@dataclass(frozen=True)
class _Answer:
    """A server's answer: the file's bytes from `start` on, its whole size if known, and which version of it this is."""

    body: http.client.HTTPResponse
    start: int
    total: int | None
    version: str


def _attempt(address: str, part: Path, on_progress: Progress) -> None:
    """One request, for what the part lacks. Raises _Broken when it ends before the file does."""
    have, version = _size(part), _version(part, address)
    answer = _ask(address, have, version) if have and version else _ask(address)
    if answer is None:
        return
    done = answer.start
    with answer.body, open(part, "ab" if done else "wb") as file:
        if not done:
            _note_version(part, address, answer.version)
        on_progress(done, answer.total)
        for piece in _pieces(answer.body):
            file.write(piece)
            done += len(piece)
            on_progress(done, answer.total)
    if answer.total is not None and done < answer.total:
        raise _Broken(f"the connection broke after {done} of {answer.total} bytes")


def _ask(address: str, have: int = 0, version: str = "") -> _Answer | None:
    """Ask for the file, or for what lies beyond `have` bytes if it still is that version; None where nothing does."""
    from anymask import __version__

    headers = {"User-Agent": f"anymask/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        body = urlopen(Request(address, headers=headers), timeout=STALLED)
    except HTTPError as error:
        error.close()
        if error.code == 416 and have:  # the part is the file, or longer than it
            return None if error.headers.get("Content-Range", "").endswith(f"/{have}") else _ask(address)
        reason = f"the server answered {error.code} {error.reason}".rstrip()
        if error.code in BUSY:
            raise _Broken(reason, _patience(error.headers.get("Retry-After"))) from error
        raise TransferError(reason) from error
    except URLError as error:
        reason = _words(error.reason)
        if not have:  # most likely there is no network: say so now rather than after half a minute
            raise TransferError(reason) from error
        raise _Broken(reason) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(_words(error)) from error
    except ValueError as error:
        raise TransferError(str(error)) from error
    etag = body.headers.get("ETag", "")
    version = body.headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag
    start, total = 0, body.headers.get("Content-Length", "")
    if body.status == 206:
        span, _, total = body.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        start = have
        if span.partition("-")[0] != str(have):
            body.close()
            return _ask(address)
    return _Answer(body, start, int(total) if total.isdecimal() else None, version)


def _pieces(body: http.client.HTTPResponse) -> Iterator[bytes]:
    """What comes, as it comes. Raises _Broken when the connection stalls or breaks."""
    while True:
        try:
            piece = body.read1(1 << 18)
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(_words(error)) from error
        if not piece:
            return
        yield piece


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _sidecar(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _note_version(part: Path, address: str, version: str) -> None:
    _sidecar(part).write_text(json.dumps({"address": address, "version": version}), encoding="utf-8")


def _version(part: Path, address: str) -> str:
    """Which version of the file at this address the part is of, in the server's words; "" where that is not known."""
    try:
        noted = json.loads(_sidecar(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(noted["version"]) if noted["address"] == address else ""


def _patience(text: str | None) -> float:
    """The seconds of a Retry-After header, which holds seconds or a date."""
    with suppress(TypeError, ValueError):
        return float(text or 0)
    with suppress(ValueError):
        return parsedate_to_datetime(str(text)).timestamp() - time.time()
    return 0.0


def _words(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came for {STALLED:g} seconds"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
