"""Who may ask, and how much: the checks that every request passes before anything else is done with it."""

from __future__ import annotations

import hmac
from collections import Counter
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anymask.server.errors import Forbidden, RequestError, TooMany, Unauthorised, answer
from anymask.server.settings import Settings

COOKIE = "anymask_key"
HEALTH = ("/healthz", "/readyz")  # asked by whatever watches over the server, under whatever name
OPEN = (*HEALTH, "/api/session")
SAFE = ("GET", "HEAD", "OPTIONS")

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
        b"worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        b"frame-ancestors 'none'",
    ),
]


class Guard:
    """ASGI middleware: the Host and Origin headers, the key, and how many requests one client has under way.

    Host keeps out pages of other sites that give their own name this machine's address. Origin keeps out what other
    sites' pages send here on their own behalf; programs send none. Both matter even on loopback, since any page in a
    browser can reach it.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._under_way: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        client = scope["client"][0] if scope.get("client") else ""
        try:
            self._check(scope)
            if self._under_way[client] >= self._settings.per_client:
                raise TooMany(f"You have {self._under_way[client]} requests under way; wait for some to end.")
        except RequestError as error:
            await _refuse(scope, receive, send, error)
            return
        self._under_way[client] += 1
        try:
            await self._app(scope, receive, _with_headers(send))
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]

    def _check(self, scope: Scope) -> None:
        headers, path = Headers(scope=scope), scope["path"]
        host = headers.get("host", "")
        name = (urlsplit(f"//{host}").hostname or "") if _is_host(host) else ""
        if self._settings.hosts and name not in self._settings.hosts and path not in HEALTH:
            raise Forbidden(f"This server is not addressed as {host[:100]!r}.")
        origin = headers.get("origin")
        if (
            origin is not None
            and (scope["type"] == "websocket" or scope["method"] not in SAFE)
            and not self._may_ask(origin, host)
        ):
            raise Forbidden(f"Pages of {origin[:100]!r} may not use this server.")
        # A page of another site that shows or opens an address of ours sends no Origin; browsers say this much of it.
        if origin is None and headers.get("sec-fetch-site") == "cross-site" and _is_protected(path):
            raise Forbidden("Pages of other sites may not use this server.")
        if self._settings.api_key is None or path in OPEN or scope.get("method") == "OPTIONS":
            return
        if _is_protected(path) and not is_signed_in(scope, self._settings):
            raise Unauthorised("This server asks for a key: Authorization: Bearer KEY, or X-API-Key: KEY.")

    def _may_ask(self, origin: str, host: str) -> bool:
        if origin in self._settings.origins or "*" in self._settings.origins:
            return True
        return urlsplit(origin).netloc.lower() == host.lower() if origin != "null" else False


def is_key(key: bytes | None, settings: Settings) -> bool:
    """Whether this is the key; always where the server asks for none."""
    expected = settings.api_key
    return expected is None or (key is not None and hmac.compare_digest(key, expected.encode()))


def is_signed_in(scope: Scope, settings: Settings) -> bool:
    """Whether a request carries the key, or none is asked for."""
    return is_key(_key(Headers(scope=scope)), settings)


def _is_protected(path: str) -> bool:
    """The page itself holds no secrets; all else that is not said to be open is protected."""
    return path.startswith("/api/") or path in ("/metrics", "/openapi.json")


def _is_host(host: str) -> bool:
    return bool(host) and not any(character in host for character in "/@?# ")


def _key(headers: Headers) -> bytes | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip().encode("latin-1")
    if "x-api-key" in headers:
        return headers["x-api-key"].encode("latin-1")
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        return None if cookie is None else bytes.fromhex(cookie.value)
    except (CookieError, ValueError):
        return None


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message.get("headers", ())}
            message = {
                **message,
                "headers": [*message.get("headers", ()), *(pair for pair in HEADERS if pair[0] not in present)],
            }
        await send(message)

    return sender


async def _refuse(scope: Scope, receive: Receive, send: Send, error: RequestError) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": str(error)[:120]})
        return
    await answer(error)(scope, receive, _with_headers(send))
