"""Watching a folder: pictures that come into it, each once it is complete."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

STOP = "stop.txt"
INTERVAL = 0.5  # seconds; a file that has not changed for so long is complete


def arrivals(
    folder: str | os.PathLike[str],
    listing: Callable[[], Iterable[Path]],
    known: Iterable[Path] = (),
    interval: float = INTERVAL,
) -> Iterator[Path]:
    """The files of `listing` that are not known yet, as they come and once they are complete; for ever, or until there
    is a file stop.txt in the folder, which is deleted.

    The folder is looked at again and again: it may be a network's, where nobody tells of changes.
    """
    stop = Path(folder) / STOP
    done = {os.path.realpath(path) for path in known}
    seen: dict[str, tuple[int, int]] = {}
    while True:
        if stop.exists():
            stop.unlink()
            return
        ready = []
        for path in listing():
            place = os.path.realpath(path)
            if place in done:
                continue
            try:
                about = path.stat()
            except OSError:  # gone again
                continue
            state = about.st_size, about.st_mtime_ns
            if about.st_size and seen.get(place) == state:
                ready.append(path)
                done.add(place)
            seen[place] = state
        yield from ready
        time.sleep(interval)
