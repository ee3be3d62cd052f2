"""The studio's page and the page about the API, from files of this package: nothing comes from elsewhere."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

from anymask.server.errors import NotFound

STATIC = Path(str(resources.files("anymask"))) / "server" / "static"
ALWAYS_ASKED = {"Cache-Control": "no-cache"}  # the files' names do not change with their content; their ETags do

router = APIRouter(include_in_schema=False)

DOCS = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>anymask: HTTP API</title>
<link rel="icon" href="icon.svg">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

START = 'SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true });\n'


@router.get("/docs")
async def docs() -> HTMLResponse:
    """The page about the API."""
    return HTMLResponse(DOCS)


@router.get("/docs/start.js")
async def start() -> Response:
    """What begins that page; a file of its own, since scripts inside of pages are not allowed here."""
    return Response(START, media_type="text/javascript")


@router.get("/")
async def page() -> Response:
    """The studio."""
    return _file("index.html")


@router.get("/{path:path}")
async def file(path: str) -> Response:
    """A file of the studio."""
    return _file(path)


def _file(path: str) -> Response:
    place = (STATIC / path).resolve()
    if not place.is_relative_to(STATIC.resolve()) or not place.is_file():
        raise NotFound("There is nothing here.")
    return FileResponse(place, headers=ALWAYS_ASKED)
