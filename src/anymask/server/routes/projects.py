"""Project folders: pictures and annotations that the server keeps for people who label them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import Field

from anymask.errors import AnymaskError
from anymask.everything import everything_in_steps
from anymask.everything_options import Options
from anymask.formats.annotations import LabelledObject, LabelledPicture
from anymask.masks import Masks
from anymask.projects import ConflictError, Content, DiskFullError, Project, Projects, exchange
from anymask.server.bodies import body_to_file
from anymask.server.context import Server, server_of
from anymask.server.errors import Busy, NotFound
from anymask.server.routes.pictures import SHOWN, shown
from anymask.server.schemas import Everything, Strict
from anymask.server.searches import Event, line, lines

router = APIRouter(prefix="/api/projects", tags=["projects"])

FILE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class NewProject(Strict):
    """A project to make."""

    name: Annotated[str, Field(max_length=1000)]


class Save(Strict):
    """Annotations of a picture, and the revision that they are based on."""

    revision: Annotated[int, Field(ge=0, lt=2**53)]
    status: str
    objects: list[dict[str, Any]]


class Automatic(Everything):
    """Everything in every picture; with `only_new`, of pictures that nobody has begun with."""

    only_new: bool = True


@router.get("")
async def listing(request: Request) -> JSONResponse:
    """All projects, with how many pictures they have and how many of these are done."""
    server = server_of(request)
    return JSONResponse({"projects": await server.work.files.run(_projects(server).listing)})


@router.post("", status_code=201)
async def create(request: Request, asked: NewProject) -> JSONResponse:
    """Make a project."""
    server = server_of(request)
    project = await server.work.files.run(_projects(server).create, asked.name)
    return JSONResponse({"name": project.name, "pictures": 0, "done": 0}, 201)


@router.get("/{project}")
async def items(request: Request, project: str) -> JSONResponse:
    """The pictures of a project, and the names in use, the most used first."""
    server = server_of(request)

    def work() -> dict[str, Any]:
        opened = _projects(server).open(project)
        found = opened.items()
        return {"name": project, "items": [item.to_dict() for item in found], "labels": opened.labels(found)}

    return JSONResponse(await server.work.files.run(work))


@router.post("/{project}/items", status_code=201, openapi_extra=FILE_BODY)
async def add(request: Request, project: str, name: Annotated[str, Query(max_length=2000)] = "") -> JSONResponse:
    """Add a picture: its bytes, or the multipart field `file`. The same bytes again are the item that has them: 200."""
    server = server_of(request)
    opened = await server.work.files.run(_projects(server).open, project)
    with server.store.upload() as path:
        await body_to_file(request, path)
        item, is_new = await server.work.run(opened.add, path, name or "picture")
    return JSONResponse(item.to_dict(), 201 if is_new else 200)


@router.get("/{project}/items/{name}")
async def item(request: Request, project: str, name: str) -> Response:
    """A picture's annotations, and the id under which the picture can be asked about."""
    server = server_of(request)

    def work() -> bytes:
        opened = _projects(server).open(project)
        content = opened.content(name)
        known = server.store.add_path(opened.folder / content.item.name)
        size = {"width": known.width, "height": known.height}
        error = {} if content.item.error is None else {"error": content.item.error}
        return json.dumps({"name": name, "picture": known.id, **size, **_state(content), **error}).encode()

    return Response(await server.work.run(work), media_type="application/json")


@router.get("/{project}/items/{name}/image")
async def image(
    request: Request, project: str, name: str, max: Annotated[int, Query(ge=16, le=16384)] = SHOWN
) -> Response:
    """A picture of a project, upright and reduced; as `/api/pictures/{identity}/image`."""
    server = server_of(request)
    known = await server.work.run(lambda: server.store.add_path(_projects(server).open(project).path(name)))
    response = await shown(request, server, known, max)
    response.headers["Cache-Control"] = "private, no-cache"  # another picture may get this name
    return response


@router.put("/{project}/items/{name}")
async def save(request: Request, project: str, name: str, asked: Save) -> JSONResponse:
    """Save a picture's annotations; 409 with those of now when somebody has saved in between."""
    server = server_of(request)

    def work() -> JSONResponse:
        opened = _projects(server).open(project)
        try:
            return JSONResponse({"revision": opened.save(name, asked.revision, asked.status, asked.objects)})
        except ConflictError as error:
            now = {} if error.current is None else _state(error.current)
            return JSONResponse({"error": str(error), **now}, 409)

    return await server.work.files.run(work)


@router.delete("/{project}/items/{name}", status_code=204)
async def remove(request: Request, project: str, name: str) -> Response:
    """Move a picture and its annotations to the project's folder .removed."""
    server = server_of(request)
    opened = await server.work.files.run(_projects(server).open, project)
    await server.work.files.run(opened.remove, name)
    return Response(status_code=204)


@router.get("/{project}/export")
async def export(request: Request, project: str, format: str = "coco", pictures: bool = True) -> Response:
    """The project as a zip, sent while it is made; `format` is coco, yolo, labels, labelme or sa1b."""
    server = server_of(request)
    opened = await server.work.files.run(_projects(server).open, project)
    pieces = exchange.export(opened, format, pictures)
    name = quote(f"{project}.{format}.zip")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


@router.post("/{project}/import", openapi_extra=FILE_BODY)
async def import_files(request: Request, project: str, format: str = "auto") -> JSONResponse:
    """Put the pictures and annotations of a zip or a JSON file into the project; what cannot be used is skipped, with a
    sentence."""
    server = server_of(request)
    opened = await server.work.files.run(_projects(server).open, project)
    with server.store.upload() as path:
        await body_to_file(request, path)
        report = await server.work.long.run(exchange.import_files, opened, path, format)
    return JSONResponse(report.to_dict())


@router.post("/{project}/automatic")
async def automatic(request: Request, project: str, asked: Automatic | None = None) -> StreamingResponse:
    """Everything in one picture after the other, as lines of JSON. Each is saved when it is done; closing the
    connection ends the work."""
    server = server_of(request)
    asked = asked or Automatic()
    entry = server.models.entry(asked.model, "segment")
    options = {key: value for key, value in asked.options().items() if key != "only_new"}
    Options(**{**entry.everything, **options})  # what cannot be is told before the work
    opened = await server.work.files.run(_projects(server).open, project)
    names = await server.work.files.run(_waiting, opened, asked.only_new)
    search = partial(_search, server, opened, entry.name, options, asked.only_new)

    async def told() -> AsyncIterator[bytes]:
        yield line({"type": "start", "model": entry.name, "total": len(names)})
        for done, name in enumerate(names, 1):
            ends: list[str] = []
            async for text in _in_turn(server, partial(search, name, done, len(names), ends)):
                yield text
            if ends:
                return
        yield line({"type": "done"})

    return StreamingResponse(told(), media_type="application/x-ndjson", headers={"X-Accel-Buffering": "no"})


def _waiting(project: Project, only_new: bool) -> list[str]:
    """The pictures that `automatic` is to look at."""
    return [
        item.name
        for item in project.items()
        if item.error is None and (not only_new or (item.status == "new" and not item.objects))
    ]


async def _in_turn(server: Server, events: Callable[[], Iterator[Event]]) -> AsyncIterator[bytes]:
    """The lines of one picture's search. It waits its turn, so that a thousand pictures do not keep others waiting for
    longer than one takes."""
    while True:
        try:
            async with aclosing(lines(server.work.long, events)) as stream:
                async for text in stream:
                    yield text
            return
        except Busy as busy:  # nothing was sent yet
            await asyncio.sleep(busy.retry_after or 1)


def _search(
    server: Server,
    project: Project,
    model: str,
    options: dict[str, Any],
    only_new: bool,
    name: str,
    done: int,
    total: int,
    ends: list[str],
) -> Iterator[Event]:
    """The events of one picture of `automatic`. Those of progress come often: whoever listens can end the work at any
    of them. What goes wrong for good is put into `ends`."""
    told = {"type": "item", "name": name, "done": done, "total": total}
    try:
        known = server.store.add_path(project.path(name))
        search = everything_in_steps(server.store.with_pixels(known.id, model), **options)
        while True:
            try:
                step = next(search)
            except StopIteration as end:
                objects = _objects(end.value[0])
                break
            yield {"type": "progress", "name": name, "done": step.done, "total": step.total}
        picture = LabelledPicture(name, known.width, known.height, objects, "started")
        yield {**told, "objects": project.merge(picture, only_new)}
    except DiskFullError as error:
        ends.append(str(error))
        yield {"type": "error", "error": str(error), "status": 507}
    except AnymaskError as error:  # one picture that cannot be read, or was removed meanwhile, is not the end
        yield {**told, "objects": 0, "error": str(error)}


def _objects(masks: Masks) -> list[LabelledObject]:
    """What a search found, small objects on top."""
    points, stabilities = masks.extra["point_coords"], masks.extra["stability_score"]
    rles = masks.rles()
    return [
        LabelledObject(
            rles[i],
            score=round(float(masks.scores[i]), 4),
            stability_score=round(float(stabilities[i]), 4),
            point=(float(points[i][0]), float(points[i][1])),
            source="everything",
        )
        for i in sorted(range(len(masks)), key=lambda i: int(masks.areas[i]))
    ]


def _state(content: Content) -> dict[str, Any]:
    objects = [one.to_dict() for one in content.objects]
    return {"status": content.item.status, "revision": content.item.revision, "objects": objects}


def _projects(server: Server) -> Projects:
    if server.projects is None:
        raise NotFound("This server keeps no projects; start it with --projects FOLDER.")
    return server.projects
