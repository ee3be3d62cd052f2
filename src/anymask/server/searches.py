"""Everything in a picture, told of while it is found."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, TypeVar

from starlette.requests import Request

from anymask.errors import AnymaskError
from anymask.everything import Progress, everything_in_steps
from anymask.masks import Masks
from anymask.segmenter import EncodedImage
from anymask.server.answers import mask_json
from anymask.server.errors import RequestError, status_of
from anymask.server.logs import LOGGER
from anymask.server.work import Lane

Event = dict[str, Any]
T = TypeVar("T")


def search_events(image: EncodedImage, options: dict[str, Any], polygons: bool = False) -> Iterator[Event]:
    """The search as events (see docs/server.md). Raises PromptError for options that cannot be."""
    search = everything_in_steps(image, **options)
    while True:
        try:
            step = next(search)
        except StopIteration as end:
            yield {"type": "done", "keys": end.value[1]}
            return
        if step.dropped:
            yield {"type": "drop", "keys": list(step.dropped)}
        for key, mask in step.found.items():
            yield {"type": "mask", "key": key, **found_json(mask, 0, polygons)}
        yield {"type": "progress", "done": step.done, "total": step.total}


def found_json(masks: Masks, row: int, polygons: bool = False) -> Event:
    """A mask that a search found, as the API gives it."""
    x, y = masks.extra["point_coords"][row]
    return {
        **mask_json(masks, row, None, polygons),
        "stability_score": round(float(masks.extra["stability_score"][row]), 4),
        "point": [float(x), float(y)],
    }


async def lines(lane: Lane, events: Callable[[], Iterator[Event]]) -> AsyncGenerator[bytes, None]:
    """Events of work that goes on in a thread, as lines of JSON. Closing this ends the work at its next event.

    What is waiting to be sent is not bounded but small: a slow client must not keep a thread.

    Raises Busy before the first line.
    """
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue()
    over = threading.Event()

    def tell(text: bytes | None) -> None:
        if not over.is_set():
            loop.call_soon_threadsafe(waiting.put_nowait, text)

    def work() -> None:
        try:
            for event in events():
                if over.is_set():
                    return
                tell(line(event))
        except AnymaskError as error:
            tell(line({"type": "error", "error": str(error), "status": status_of(error)}))
        except Exception:
            LOGGER.exception("search")
            tell(line({"type": "error", "error": "Something went wrong in the server.", "status": 500}))
        finally:
            tell(None)

    job = lane.submit(work)
    try:
        while (text := await waiting.get()) is not None:
            yield text
    finally:
        over.set()
        job.cancel()


async def while_connected(request: Request, lane: Lane, work: Callable[[Progress], T]) -> T:
    """What `work` returns, which is ended at the next point that it tells of when its client leaves.

    Args:
        work: is given what it is to call with its progress (`on_progress` of `everything`).

    Raises RequestError when the client has left, Busy, and what `work` raises.
    """
    over = threading.Event()

    def on_progress(done: int, total: int) -> None:
        if over.is_set():
            raise RequestError("The client left before the search was over.")

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    job = asyncio.ensure_future(lane.run(work, on_progress))
    leaving = asyncio.create_task(left())
    try:
        await asyncio.wait((job, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            raise RequestError("The client left before the search was over.")
        return job.result()
    finally:
        over.set()
        job.cancel()
        leaving.cancel()


def line(event: Event) -> bytes:
    """An event as a line of JSON."""
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
