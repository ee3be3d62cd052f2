"""Objects followed through videos: a video is opened, prompted on any frame, tracked frame by frame, and exported."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.background import BackgroundTask

from anymask.errors import AnymaskError
from anymask.everything import Progress
from anymask.server.bodies import body_to_file, is_form
from anymask.server.context import Server, server_of
from anymask.server.errors import Busy, RequestError, status_of
from anymask.server.logs import LOGGER
from anymask.server.opened import OpenVideo, Run, found_json
from anymask.server.schemas import ModelChoice, Propagate, VideoObject, VideoPrompt
from anymask.server.searches import Event, line, while_connected
from anymask.server.video_export import export as write
from anymask.server.videos import check_video

router = APIRouter(prefix="/api/videos", tags=["videos"])

SHOWN = 1600

VIDEO_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
        },
    }
}


@router.post("", status_code=201, openapi_extra=VIDEO_BODY)
async def send(
    request: Request,
    name: Annotated[str, Query(max_length=2000)] = "",
    model: Annotated[str | None, Query(description="The model that follows objects.")] = None,
) -> JSONResponse:
    """Open a video: its bytes as the body, or as the multipart field `file`."""
    server = server_of(request)
    check_video()
    entry = server.models.tracking(model)
    if not is_form(request) and request.headers.get("content-type", "").startswith("application/json"):
        raise RequestError("A video is sent as its bytes, not as JSON.")
    with server.store.upload() as path:
        await body_to_file(request, path)
        tracker = await server.work.heavy.run(server.models.tracker, entry.name)
        video = await server.work.heavy.run(server.videos.add, path, name or "video", tracker)
    return JSONResponse(video.json(), 201)


@router.get("/{identity}")
async def info(request: Request, identity: str) -> JSONResponse:
    """What is known of a video: its size, its objects, what was said of them, and where they were found."""
    return JSONResponse(server_of(request).videos.get(identity).json())


@router.delete("/{identity}", status_code=204)
async def close(request: Request, identity: str) -> Response:
    """Close a video; what is under way ends."""
    server = server_of(request)
    await server.work.files.run(server.videos.drop, identity)
    return Response(status_code=204)


@router.get("/{identity}/frames/{index}")
async def frame(
    request: Request, identity: str, index: int, max: Annotated[int, Query(ge=16, le=8192)] = SHOWN
) -> Response:
    """A frame as a JPEG, upright: at most `max` pixels on its longer side."""
    server = server_of(request)
    video = server.videos.get(identity)
    data = await server.work.frames.run(video.frame, index, max)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600, immutable"})


@router.get("/{identity}/frames/{index}/masks")
async def masks(request: Request, identity: str, index: int) -> JSONResponse:
    """What was last found on a frame."""
    server = server_of(request)
    video = server.videos.get(identity)

    def work() -> list[dict[str, Any]]:
        found = video.masks(index)
        return [] if found is None else found_json(found)

    return JSONResponse({"frame": index, "masks": await server.work.light.run(work)})


@router.post("/{identity}/prompt")
async def prompt(request: Request, identity: str, asked: VideoPrompt) -> JSONResponse:
    """Say where an object is on a frame, or correct it there: its mask, and all objects of the video."""
    server = server_of(request)
    video = server.videos.get(identity)
    return JSONResponse(await server.work.heavy.run(video.prompt, asked))


@router.post("/{identity}/clear")
async def clear(request: Request, identity: str, asked: VideoObject) -> JSONResponse:
    """Take back what was said of an object on a frame; one of which nothing is left goes."""
    server = server_of(request)
    video = server.videos.get(identity)
    return JSONResponse(await server.work.light.run(video.clear, asked.frame, asked.object))


@router.delete("/{identity}/objects/{number}")
async def remove(request: Request, identity: str, number: int) -> JSONResponse:
    """Follow an object no longer."""
    server = server_of(request)
    video = server.videos.get(identity)
    return JSONResponse(await server.work.light.run(video.remove, number))


@router.post("/{identity}/reset")
async def reset(request: Request, identity: str, asked: ModelChoice | None = None) -> JSONResponse:
    """Forget all objects, and go on with a model; with the same one where none is named."""
    server = server_of(request)
    video = server.videos.get(identity)
    entry = server.models.tracking((asked.model if asked else None) or video.model)
    tracker = await server.work.heavy.run(server.models.tracker, entry.name)
    return JSONResponse(await server.work.heavy.run(video.reset, tracker))


@router.post("/{identity}/propagate")
async def propagate(request: Request, identity: str, asked: Propagate | None = None) -> StreamingResponse:
    """Follow the objects from frame to frame, as lines of JSON while they are found; closing the connection, or
    `cancel`, ends it. What was found stays, and another call goes on from where one says."""
    server = server_of(request)
    video = server.videos.get(identity)
    stream = _followed(server, video, asked or Propagate())
    first = await anext(stream)  # so that what cannot be is a status instead of a line

    async def rest() -> AsyncIterator[bytes]:
        async with aclosing(stream):
            yield first
            async for text in stream:
                yield text

    return StreamingResponse(rest(), media_type="application/x-ndjson", headers={"X-Accel-Buffering": "no"})


@router.post("/{identity}/cancel")
async def cancel(request: Request, identity: str) -> JSONResponse:
    """End `propagate` at its next frame; its stream ends with a line that says so."""
    return JSONResponse({"cancelled": server_of(request).videos.get(identity).cancel()})


@router.get("/{identity}/export")
async def export(request: Request, identity: str, format: str = "labels") -> FileResponse:
    """What was found as a file: `labels` (DAVIS's PNGs), `sav` (SA-V's JSON), `overlay` (MP4), `cutout` (WebM with
    alpha) or `cutout-mov` (ProRes 4444)."""
    server = server_of(request)
    video = server.videos.get(identity)
    folder = Path(tempfile.mkdtemp(dir=server.store.folder, prefix="export-"))

    def work(on_progress: Progress) -> tuple[Path, str]:
        try:
            return write(video, format, folder, server.settings.disk, on_progress)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    path, media = await while_connected(request, server.work.long, work)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(path.name)}"}
    done = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(path, media_type=media, headers=headers, background=done)


async def _followed(server: Server, video: OpenVideo, asked: Propagate) -> AsyncGenerator[bytes]:
    """The lines of a run. Each frame is a job of its own, so that others' come in between."""
    run = video.begin(asked.start, asked.stop, asked.reverse)
    try:
        step = await _step(server, video, run)
        yield line({"type": "start", "model": video.model, "total": _total(video, asked, run)})
        while step is not None:
            yield line(step)
            try:
                step = await _step(server, video, run)
            except AnymaskError as error:
                yield line({"type": "error", "error": str(error), "status": status_of(error)})
                return
            except Exception:
                LOGGER.exception("tracking")
                yield line({"type": "error", "error": "Something went wrong in the server.", "status": 500})
                return
        end = {"frames": run.done, "last": run.last, "fps": video.fps(run), "cancelled": run.cancelled}
        yield line({"type": "done", **end, "trouble": video.session.trouble})
    finally:
        video.end(run)


async def _step(server: Server, video: OpenVideo, run: Run) -> Event | None:
    while not run.cancelled:
        try:
            return await server.work.heavy.run(video.step, run)
        except Busy as busy:  # a run that has begun waits for its turn
            await asyncio.sleep(busy.retry_after or 1)
    return None


def _total(video: OpenVideo, asked: Propagate, run: Run) -> int:
    """How many frames a run that did its first has in all."""
    if run.last is None:
        return 0
    if asked.reverse:
        return run.last - (-1 if asked.stop is None else asked.stop)
    count = video.session.count or 0
    return (count if asked.stop is None else min(asked.stop, count)) - run.last
