"""Work off the event loop: a few threads for each kind of it, and a bound on what waits for them.

Kinds are kept apart so that a click does not wait for somebody's `everything`.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from anymask.server.errors import Busy

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_WAIT = 30  # seconds that a client is told to wait at the most


class Lane:
    """Threads for one kind of work. `load` is how many jobs run or wait, `refused` how many were turned away."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self.name, self.threads, self.waiting = name, threads, waiting
        self.load = self.refused = 0
        self._usual = 0.1  # seconds that a job took lately
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"anymask-{name}")

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a job, or let it wait for a thread. Raises Busy when too many wait already."""
        with self._lock:
            if self.load >= self.threads + self.waiting:
                self.refused += 1
                seconds = math.ceil(self._usual * self.load / self.threads)
                raise Busy("The server is busy; try again in a moment.", min(max(seconds, 1), LONGEST_WAIT))
            self.load += 1
        try:
            future = self._pool.submit(self._timed, partial(function, *args, **kwargs))
        except RuntimeError:  # the pool is shut down
            with self._lock:
                self.load -= 1
            raise Busy("The server is stopping.", 5) from None
        future.add_done_callback(self._over)
        return future

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns, or its error. A job that has not begun when its client leaves is never begun."""
        return await asyncio.wrap_future(self.submit(function, *args, **kwargs))

    def close(self) -> None:
        """Begin nothing more; what runs goes on to its end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _timed(self, job: Callable[[], T]) -> T:
        start = time.monotonic()
        try:
            return job()
        finally:
            self._usual += 0.2 * (time.monotonic() - start - self._usual)

    def _over(self, future: Future[T]) -> None:
        with self._lock:
            self.load -= 1


class Work:
    """The lanes: `heavy` for what looks at whole pictures, `light` for prompts, `long` for whole searches, `files` for
    disks, `network` for pictures that are fetched, `frames` for those of videos that are shown."""

    def __init__(self, workers: int, waiting: int) -> None:
        self.heavy = Lane("heavy", workers, waiting)
        self.light = Lane("light", workers, waiting)
        self.long = Lane("long", 1, max(1, waiting // 8))
        self.files = Lane("files", 8, 4 * waiting)
        self.network = Lane("network", 4, waiting)
        self.frames = Lane("frames", workers, waiting)

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """All of them."""
        return self.heavy, self.light, self.long, self.files, self.network, self.frames

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A heavy job; see `Lane.run`."""
        return await self.heavy.run(function, *args, **kwargs)

    def close(self) -> None:
        """See `Lane.close`."""
        for lane in self.lanes:
            lane.close()
