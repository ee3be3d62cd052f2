"""Pictures: sent once, known by an id."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from PIL import Image

from anymask.images import encode_image
from anymask.server.bodies import body_to_file
from anymask.server.context import Server, server_of
from anymask.server.cutouts import reduced
from anymask.server.errors import Forbidden
from anymask.server.schemas import Address, ModelChoice
from anymask.server.store import PictureInfo

router = APIRouter(prefix="/api/pictures", tags=["pictures"])

SHOWN_AS_THEY_ARE = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
SHOWN = 4096

PICTURE_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
            "application/json": {"schema": {"type": "object", "properties": {"url": {"type": "string"}}}},
        },
    }
}


@router.post("", status_code=201, openapi_extra=PICTURE_BODY)
async def send(
    request: Request,
    encode: Annotated[str | None, Query(description="Encode it at once, for a model's name or `default`.")] = None,
) -> JSONResponse:
    """Send a picture: its bytes as the body, as the multipart field `file`, or an address to fetch it from."""
    server = server_of(request)
    info = await received(request, server)
    if encode is not None:
        entry = server.models.entry(None if encode == "default" else encode, "segment")
        # Nobody waits for this: a prompt that comes sooner encodes the picture itself.
        server.in_background(server.work.heavy.run(server.store.encoded, info.id, entry.name))
    return JSONResponse(info.json(), 201)


@router.get("/{identity}")
async def info(request: Request, identity: str) -> JSONResponse:
    """What is known of a picture."""
    return JSONResponse(server_of(request).store.info(identity).json())


@router.delete("/{identity}", status_code=204)
async def drop(request: Request, identity: str) -> Response:
    """Forget a picture."""
    server = server_of(request)
    await server.work.files.run(server.store.drop, identity)
    return Response(status_code=204)


@router.get("/{identity}/image")
async def image(request: Request, identity: str, max: Annotated[int, Query(ge=16, le=16384)] = SHOWN) -> Response:
    """The picture upright, for showing: at most `max` pixels on its longer side."""
    server = server_of(request)
    return await shown(request, server, server.store.info(identity), max)


@router.post("/{identity}/encode")
async def encode(request: Request, identity: str, asked: ModelChoice | None = None) -> JSONResponse:
    """Look at a picture now, so that prompts are answered at once."""
    server = server_of(request)
    entry = server.models.entry(asked.model if asked else None, "segment")
    start = asyncio.get_running_loop().time()
    await server.encoded(identity, entry.name)
    taken = asyncio.get_running_loop().time() - start
    return JSONResponse({"model": entry.name, "milliseconds": round(taken * 1000, 1)})


async def shown(request: Request, server: Server, known: PictureInfo, longest: int) -> Response:
    """A picture upright, for showing: at most `longest` pixels on its longer side."""
    tag = f'"{known.id}-{longest}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=86400, immutable"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    as_it_is = known.format in SHOWN_AS_THEY_ARE and known.bytes < 8 << 20 and not _is_larger(known, longest)
    if as_it_is and known.path.exists():
        # Browsers turn a picture by its EXIF themselves.
        return FileResponse(known.path, media_type=SHOWN_AS_THEY_ARE[known.format], headers=headers)
    data, media = await server.work.run(_shown, server, known.id, longest)
    return Response(data, media_type=media, headers=headers)


async def received(request: Request, server: Server) -> PictureInfo:
    """The picture that a request carries or names, taken in. Raises RequestError, ImageError."""
    if request.headers.get("content-type", "").startswith("application/json"):
        address = Address.model_validate_json(await request.body())
        if not server.settings.fetch_urls:
            raise Forbidden("This server fetches no pictures; send the bytes.")
        return await server.fetched(address.url)
    with server.store.upload() as path:
        await body_to_file(request, path)
        return await server.work.run(server.store.add, path)


def _is_larger(known: PictureInfo, longest: int) -> bool:
    return known.width > longest or known.height > longest


def _shown(server: Server, identity: str, longest: int) -> tuple[bytes, str]:
    picture = reduced(server.store.picture(identity), longest)
    profile = picture.icc_profile
    if picture.alpha is None:
        return encode_image(picture.rgb, "jpg", quality=90, icc_profile=profile), "image/jpeg"
    rgba = Image.fromarray(picture.rgb)
    rgba.putalpha(Image.fromarray(picture.alpha))
    return encode_image(rgba, "png", icc_profile=profile), "image/png"
