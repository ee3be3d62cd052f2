"""Masks under a moving pointer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import anyio
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from anymask.errors import AnymaskError
from anymask.server.answers import mask_json
from anymask.server.context import Server, server_of
from anymask.server.errors import RequestError, status_of
from anymask.server.logs import LOGGER
from anymask.server.schemas import Live

router = APIRouter()

LONGEST = 1 << 20  # characters of a message


class Mailbox:
    """Room for one message: a newer one takes the place of one that nobody has taken out."""

    def __init__(self) -> None:
        self._message: Live | None = None
        self._filled = asyncio.Event()

    def put(self, message: Live) -> bool:
        """Put a message in; whether it took the place of another."""
        replaced = self._message is not None
        self._message = message
        self._filled.set()
        return replaced

    async def take(self) -> Live:
        """Take it out, or wait for one."""
        await self._filled.wait()
        self._filled.clear()
        message, self._message = self._message, None
        assert message is not None
        return message


@router.websocket("/api/live")
async def live(socket: WebSocket) -> None:
    """Each message is a prompt; the latest wins, and those that came in between get no answer (docs/server.md)."""
    server = server_of(socket)
    await socket.accept()
    mailbox = Mailbox()
    async with anyio.create_task_group() as both:

        async def until_left(job: Coroutine[Any, Any, None]) -> None:
            # A socket that is closed, by either side, ends whichever job meets it first, and so the other.
            with suppress(WebSocketDisconnect, RuntimeError):
                await job
            both.cancel_scope.cancel()

        both.start_soon(until_left, _read(server, socket, mailbox))
        both.start_soon(until_left, _answer_all(server, socket, mailbox))


async def _read(server: Server, socket: WebSocket, mailbox: Mailbox) -> None:
    while True:
        text = await socket.receive_text()
        try:
            if len(text) > LONGEST:
                raise RequestError("The message is too long.")
            message = Live.model_validate_json(text)
        except (ValidationError, RequestError) as error:
            await socket.send_json(
                {"seq": None, "error": f"The message is not understood: {_first(error)}", "status": 422}
            )
            continue
        if message.ping:
            await socket.send_json({"seq": message.seq, "pong": True})
        elif mailbox.put(message):
            server.metrics.live.labels("stale").inc()


async def _answer_all(server: Server, socket: WebSocket, mailbox: Mailbox) -> None:
    while True:
        message = await mailbox.take()
        try:
            answer = await _answer(server, message)
            server.metrics.live.labels("answered").inc()
        except AnymaskError as error:
            refusal = {"error": str(error), "status": status_of(error)}
            answer = {"seq": message.seq, "picture": message.picture, **refusal}
            server.metrics.live.labels("refused").inc()
        except Exception:
            LOGGER.exception("live")
            answer = {"seq": message.seq, "error": "Something went wrong in the server.", "status": 500}
        await socket.send_json(answer)


async def _answer(server: Server, message: Live) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    start = loop.time()
    entry = server.models.entry(message.model, "segment")
    image = await server.encoded(message.picture, entry.name)

    def ask() -> list[dict[str, Any]]:
        # One look: the pointer does not wait for a part of the picture to be encoded. A click looks twice.
        ((masks, ids),) = server.questions.ask(image, message.picture, [message], second_look=False)
        # Each mask of a large picture takes a while to write down.
        return [mask_json(masks, row, identity) for row, identity in enumerate(ids[:1] if message.best else ids)]

    masks = await server.work.light.run(ask)
    taken = round((loop.time() - start) * 1000, 1)
    return {"seq": message.seq, "picture": message.picture, "masks": masks, "milliseconds": taken}


def _first(error: Exception) -> str:
    return str(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else str(error)
