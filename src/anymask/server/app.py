"""The application: the API's parts put together, what guards them, and what errors become."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from anymask import __version__
from anymask.errors import AnymaskError
from anymask.server.bodies import BodyLimit, Refused
from anymask.server.context import Server
from anymask.server.errors import answer
from anymask.server.guard import Guard
from anymask.server.logs import LOGGER
from anymask.server.routes import (
    cutout,
    everything,
    export,
    health,
    live,
    pictures,
    predict,
    projects,
    remove,
    samples,
    studio,
    video,
)
from anymask.server.settings import Settings

QUIET = ("/healthz", "/readyz", "/metrics")


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application of a server. Raises ModelError for a model that is not in the catalogue."""
    server = Server(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await server.start()
        try:
            yield
        finally:
            await server.stop()

    app = FastAPI(
        title="anymask",
        version=__version__,
        summary="Masks out of pictures.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.server = server
    parts = (health, pictures, predict, everything, cutout, export, live, video, remove, projects, samples, studio)
    for part in parts:
        for route in part.router.routes:
            if isinstance(route, APIRoute) and route.description and not route.summary:
                route.summary = route.description.splitlines()[0].rstrip(".")  # better than the function's name
        app.include_router(part.router)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(ValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(AnymaskError, _refused)
    app.add_exception_handler(Exception, _failed)
    # The last one added is asked first.
    app.add_middleware(BodyLimit, limit=settings.max_upload)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.origins, allow_methods=["*"], allow_headers=["*"], max_age=600
        )
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Observed, server=server)
    return app


class Observed:
    """ASGI middleware that counts, times and logs every request."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app, self._server = app, server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, size = time.monotonic(), 0, 0
        identity = uuid.uuid4().hex[:12]

        async def counted(message: Any) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", identity.encode())]}
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            seconds = time.monotonic() - start
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "DELETE", "HEAD") else "other"
            self._server.metrics.requests.labels(route, method, str(status)).inc()
            self._server.metrics.seconds.labels(route).observe(seconds)
            if scope["path"] not in QUIET:
                client = scope["client"][0] if scope.get("client") else None
                LOGGER.info(
                    "request",
                    extra={
                        "id": identity,
                        "client": client,
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": status or "left",
                        "milliseconds": round(seconds * 1000, 1),
                        "bytes": size,
                    },
                )


async def _malformed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError | ValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    text = str(first["msg"]).removeprefix("Value error, ")
    return JSONResponse({"error": f"The request is not understood: {place + ': ' if place else ''}{text}."}, 422)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if isinstance(error, Refused):
        return answer(error.error)
    return JSONResponse({"error": str(error.detail)}, error.status_code, headers=error.headers)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnymaskError)
    return answer(error)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    LOGGER.error("fault", exc_info=error, extra={"path": request.url.path})
    return JSONResponse({"error": "Something went wrong in the server."}, 500)
