"""Bodies of requests: to the disk as they come, and never more than is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anymask.server.errors import Full, RequestError, TooLarge, TooSlow, answer

JSON_LIMIT = 16 << 20
ENVELOPE = 1 << 20  # what a multipart body has around its file
PATIENCE = 120.0  # seconds for a body to arrive
DRAIN = 4  # times the limit that is read and thrown away, so that a client gets to read why


class BodyLimit:
    """ASGI middleware that ends the reading of a body that is too large (TooLarge) or too slow (TooSlow)."""

    def __init__(self, app: ASGIApp, limit: int, patience: float = PATIENCE) -> None:
        self._app, self._limit, self._patience = app, limit, patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_json = headers.get("content-type", "").startswith("application/json")
        limit = min(JSON_LIMIT, self._limit) if is_json else self._limit + ENVELOPE
        read, complete = 0, False
        until = asyncio.get_running_loop().time() + self._patience

        async def counted() -> Message:
            nonlocal read, complete
            if complete:
                return await receive()  # what comes now is the client's leaving, whenever that is
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise Refused(TooSlow(f"The body did not arrive within {self._patience:g} seconds.")) from None
            read += len(message.get("body", b""))
            complete = message["type"] == "http.disconnect" or not message.get("more_body", False)
            if read > limit:
                if not complete:
                    await self._drain(receive)
                    complete = True
                raise Refused(TooLarge(f"The body is larger than the {limit >> 20} MB allowed."))
            return message

        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit * DRAIN:
            # Too much even to throw away: said at once, and the connection ends.
            error = TooLarge(f"The body is larger than the {limit >> 20} MB allowed.")
            await answer(error)(scope, receive, send)
            return
        await self._app(scope, counted, send)

    async def _drain(self, receive: Receive) -> None:
        thrown = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                while thrown < self._limit * DRAIN:
                    message = await receive()
                    thrown += len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return


class Refused(HTTPException):
    """A RequestError in the shape that FastAPI lets through while it reads bodies."""

    def __init__(self, error: RequestError) -> None:
        super().__init__(error.status, str(error))
        self.error = error


async def body_to_file(request: Request, path: Path) -> None:
    """Write the picture of a request to `path`: its body, or the multipart field `file`.

    Raises:
        RequestError: there is none, or it is empty; Full: the disk has no room.
    """
    if is_form(request):
        await form_to_file(request, path)
        return
    with _told(), open(path, "wb") as file:
        async for chunk in request.stream():
            file.write(chunk)
    _check_content(path)


async def form_to_file(request: Request, path: Path) -> dict[str, str]:
    """Write the field `file` of a form to `path`; its other fields. Raises as `body_to_file`."""
    with _told():
        async with request.form(max_files=8, max_fields=64) as form:
            upload = form.get("file")
            if not isinstance(upload, UploadFile):
                raise RequestError("The form has no field `file` with a picture.")
            with open(path, "wb") as file:
                while chunk := await upload.read(1 << 20):
                    file.write(chunk)
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
    _check_content(path)
    return fields


def is_form(request: Request) -> bool:
    """Whether a request's body is a form with files."""
    return request.headers.get("content-type", "").startswith("multipart/form-data")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ClientDisconnect:
        raise RequestError("The client left before all bytes had arrived.") from None
    except OSError as error:
        raise Full(f"The server cannot keep the picture ({error.strerror}).") from error


def _check_content(path: Path) -> None:
    if not path.stat().st_size:
        raise RequestError("There are no bytes in the request.")
