"""Everything in a picture."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from anymask.everything import Progress
from anymask.everything_options import Options
from anymask.masks import Masks
from anymask.server.answers import accepted, masks_file
from anymask.server.context import server_of
from anymask.server.schemas import Everything
from anymask.server.searches import Event, found_json, lines, search_events, while_connected

router = APIRouter(prefix="/api/pictures", tags=["masks"])


@router.post("/{identity}/everything")
async def everything(request: Request, identity: str, asked: Everything | None = None) -> Response:
    """Masks of all that is in a picture, as lines of JSON while they are found; closing the connection ends the search.

    With `stream` false, or another Accept header than JSON, all of it at the end.
    """
    server = server_of(request)
    asked = asked or Everything()
    entry = server.models.entry(asked.model, "segment")
    Options(**{**entry.everything, **asked.options()})  # what cannot be is told before the work
    known = server.store.info(identity)
    kind = accepted(request.headers.get("accept", "").replace("application/x-ndjson", "application/json"))
    start = time.monotonic()
    if kind is not None or not asked.stream:

        def search(on_progress: Progress) -> Masks:
            image = server.store.with_pixels(identity, entry.name)
            return image.everything(on_progress=on_progress, **asked.options())

        found = await while_connected(request, server.work.long, search)
        return await server.work.light.run(_whole, found, kind, asked.polygons)

    def events() -> Iterator[Event]:
        image = server.store.with_pixels(identity, entry.name)
        for event in search_events(image, asked.options(), asked.polygons):
            if event["type"] == "progress" and event["done"] == 0:
                yield {
                    "type": "start",
                    "model": entry.name,
                    "width": known.width,
                    "height": known.height,
                    "total": event["total"],
                }
            elif event["type"] == "done":
                yield {**event, "milliseconds": round((time.monotonic() - start) * 1000, 1)}
            else:
                yield event

    stream = lines(server.work.long, events)
    first = await anext(stream)  # so that a server with no room answers 503 instead of an empty stream

    async def rest() -> AsyncIterator[bytes]:
        async with aclosing(stream):
            yield first
            async for line in stream:
                yield line

    return StreamingResponse(rest(), media_type="application/x-ndjson", headers={"X-Accel-Buffering": "no"})


def _whole(found: Masks, kind: str | None, polygons: bool) -> Response:
    if kind is not None:
        return masks_file(found, kind)
    masks = [found_json(found, row, polygons) for row in range(len(found))]
    return JSONResponse({"width": found.width, "height": found.height, "masks": masks})
