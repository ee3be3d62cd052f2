"""How the server is, what it offers, and signing in."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from anymask import __version__
from anymask.server.context import server_of
from anymask.server.errors import Unauthorised
from anymask.server.guard import COOKIE, is_key, is_signed_in
from anymask.server.routes.samples import sample_files
from anymask.server.schemas import Key
from anymask.server.videos import has_video

router = APIRouter()


@router.get("/healthz", tags=["health"])
async def health() -> JSONResponse:
    """Alive."""
    return JSONResponse({"status": "ok", "version": __version__})


@router.get("/readyz", tags=["health"])
async def ready(request: Request) -> JSONResponse:
    """Whether requests are answered without waiting for a model; 503 and why where they are not."""
    reason = server_of(request).ready
    return JSONResponse({"status": "ready"} if reason is None else {"error": reason}, 200 if reason is None else 503)


@router.get("/metrics", tags=["health"])
async def metrics(request: Request) -> Response:
    """Counters for Prometheus."""
    return Response(server_of(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/api/models", tags=["models"])
async def models(request: Request) -> JSONResponse:
    """The models that requests may choose among, the defaults, and the server's limits."""
    server = server_of(request)
    settings = server.settings
    return JSONResponse(
        {
            "models": server.models.listing(),
            "segment": server.models.default("segment"),
            "matte": server.models.default("matte"),
            "limits": {"upload_bytes": settings.max_upload, "pixels": settings.max_pixels},
            "urls": settings.fetch_urls,
            "projects": settings.projects is not None,
            "videos": has_video(),
            "samples": list(sample_files()),
            "version": __version__,
        }
    )


@router.get("/api/session", tags=["session"])
async def session(request: Request) -> JSONResponse:
    """Whether this server asks for a key, and whether this client has given it."""
    settings = server_of(request).settings
    signed_in = is_signed_in(request.scope, settings)
    return JSONResponse({"needs_key": settings.api_key is not None, "signed_in": signed_in})


@router.post("/api/session", status_code=204, tags=["session"])
async def sign_in(request: Request, given: Key) -> Response:
    """Sign a page in: its key goes into a cookie that only this server gets."""
    if not is_key(given.key.encode(), server_of(request).settings):
        raise Unauthorised("This is not the key.")
    response = Response(status_code=204)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, given.key.encode().hex(), httponly=True, samesite="strict", secure=secure)
    return response
