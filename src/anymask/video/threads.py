"""Work that overlaps: an iterator run in a thread of its own, a few items ahead of who uses them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

AHEAD = 3
WAIT = 0.1  # seconds between two looks at whether anybody still wants the items


class _End:
    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def in_thread(items: Iterable[T], ahead: int = AHEAD) -> Generator[T, None, None]:
    """The items in their order, at most `ahead` of them made in advance. What making them raises is raised here, in its
    turn. Closing the generator ends the thread after the item that it is at; so does whoever makes them."""
    made: queue.Queue[T | _End] = queue.Queue(ahead)
    closed = threading.Event()

    def put(item: T | _End) -> bool:
        while not closed.is_set():
            try:
                made.put(item, timeout=WAIT)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_End())
        except BaseException as error:
            put(_End(error))

    thread = threading.Thread(target=work, daemon=True, name="anymask-video")
    thread.start()
    try:
        while True:
            item = made.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        closed.set()
        thread.join()
