"""A server from its start to its end."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from anymask.errors import AnymaskError
from anymask.server.app import create_app
from anymask.server.logs import LOGGER, set_up
from anymask.server.settings import Settings

GRACE = 10  # seconds that requests under way get when the server is told to stop


class _Server(uvicorn.Server):
    """uvicorn's server, for which being told to stop is no failure: it does not raise the signal again at its end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class AddressError(AnymaskError):
    """An address that cannot be listened on."""


def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    log_format: str = "text",
    log_level: str = "info",
    on_ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until SIGINT or SIGTERM; what is under way then gets a few seconds.

    Args:
        settings: see `Settings`.
        host, port: where to listen; port 0 for any that is free.
        log_format: json or text. log_level: debug, info, warning or error.
        on_ready: called with the address once it is listened on.

    Raises:
        AddressError: it cannot be listened on there.
        ModelError: a model is not in the catalogue.
    """
    set_up(log_format, log_level)
    app = create_app(settings)
    listening = _listen(host, port)
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{listening.getsockname()[1]}"
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            timeout_keep_alive=20,
            ws_max_size=2 << 20,
            ws_ping_interval=20,
            ws_ping_timeout=20,
            h11_max_incomplete_event_size=64 << 10,
        )
    )
    LOGGER.info("listening", extra={"address": address, "models": list(settings.models)})
    on_ready(address)
    asyncio.run(server.serve(sockets=[listening]))
    LOGGER.info("stopped")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # The protocol is named because asyncio switches Nagle's algorithm off only where it is: an answer's head and
        # body are two writes, and the second would wait 40 ms for the client to acknowledge the first.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        raise AddressError(
            f"{host}:{port} cannot be listened on ({error.strerror}); choose another with --port."
        ) from None
    return listening
