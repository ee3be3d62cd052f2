"""Reading ahead: while one picture is worked on, a thread reads the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

AHEAD = 2
"""So many pictures are read in advance: enough for a large one among small ones, and not much memory."""


def read_ahead(
    items: Iterable[S], read: Callable[[S], T], ahead: int = AHEAD
) -> Generator[tuple[S, Future[T]], None, None]:
    """Each item, in order, with what `read` made of it; `result()` of that returns it, or raises what `read` raised.

    One thread takes the items from the iterable and reads them. At most `ahead` are read and not yet handed out; with 0
    an item is read when it is asked for. What the iterable raises is raised here, when the items before it are handed
    out. Closing the generator ends the thread, after the item that it is at.
    """
    iterator = iter(items)

    def step() -> tuple[S, Future[T]] | None:
        for item in iterator:
            future: Future[T] = Future()
            try:
                future.set_result(read(item))
            except Exception as error:
                future.set_exception(error)
            return item, future
        return None

    thread = ThreadPoolExecutor(1, thread_name_prefix="anymask-read")
    try:
        steps = deque(thread.submit(step) for _ in range(ahead))
        while True:
            steps.append(thread.submit(step))
            if (one := steps.popleft().result()) is None:
                return
            yield one
    finally:
        thread.shutdown(cancel_futures=True)
