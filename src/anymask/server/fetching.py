"""Pictures from addresses that clients name, without being led into the server's own network.

A client that may name an address may try to make the server ask where the client itself cannot: its own machine, its
neighbours, a cloud's metadata service. So each host is looked up once, everything it leads to has to be public, and the
connection goes to the very address that was checked; a second look-up, which could answer otherwise, does not exist.
Redirects start over with all of it. Environment variables that name proxies are not looked at.

Python's own http.client does the HTTP. What this takes of a connection (an address to dial that is not the name in the
certificate, a deadline under every read) is a few lines over a socket, and httpx or requests would need a transport of
their own for it.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from anymask.errors import AnymaskError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]

LONGEST_ADDRESS = 8192  # characters; more is no address of a picture
PIECE = 1 << 16
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PORTS = {"http": 80, "https": 443}
UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")
ASCII_SIGNS = "".join(map(chr, range(0x21, 0x7F)))
NUMBER = re.compile(r"\d+|0[xX][0-9a-fA-F]*")

# What Python's ipaddress counts as global, depending on its version, and is not.
NOT_PUBLIC_4 = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4", "240.0.0.0/4")))
UNICAST = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

LOOKUPS = threading.BoundedSemaphore(8)
"""Look-ups cannot be broken off; this many may be under way, those that nobody waits for any more included."""


class FetchError(AnymaskError):
    """An address that must not be asked, or that did not give a file."""


def is_public(address: Address) -> bool:
    """Whether an address belongs to a machine on the public internet.

    IPv6 addresses with an IPv4 address in them (mapped, NAT64, 6to4) are public when that one is; of the others only
    global unicast is (RFC 4291, 2000::/3). Multicast, relays and what is reserved are not.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in NOT_PUBLIC_4)
    if address.scope_id is not None:
        return False
    inner = address.ipv4_mapped or address.sixtofour
    if address in NAT64:
        inner = ipaddress.IPv4Address(address.packed[-4:])
    if inner is not None:
        return is_public(inner)
    return address.is_global and address in UNICAST


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system's resolver gives them, each once. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Rules:
    """What may be fetched.

    Attributes:
        max_bytes: of the file; more ends the transfer, whatever the server announced.
        seconds: for everything together: look-ups, redirects, the file.
        redirects: how many are followed.
        ports: those that may be asked; None means any.
        allowed: which addresses may be asked.
        resolver: gives the addresses of a host and port; called once for each hop.
        tls: the trusted authorities; None means the system's.
    """

    max_bytes: int
    seconds: float = 20.0
    redirects: int = 5
    ports: frozenset[int] | None = frozenset({80, 443})
    allowed: Callable[[Address], bool] = is_public
    resolver: Resolver = resolve
    tls: ssl.SSLContext | None = None


def fetch(url: str, rules: Rules) -> bytes:
    """The file at an address, as the server keeps it. Blocks: call it in a thread.

    Raises:
        FetchError: the address is none or must not be asked, the server cannot be reached or does not answer 200, or
            the file is empty, compressed on the way, too large, or did not come in time.
    """
    deadline = _Deadline(rules.seconds)
    for _ in range(rules.redirects + 1):
        target = _target(url, rules)
        try:
            body, onward = _ask(target, rules, deadline)
        except TimeoutError:
            raise FetchError(f"{target.host} did not give the file within {rules.seconds:g} seconds.") from None
        if onward is None:
            return body
        url = onward
    raise FetchError(f"The address leads through more than {rules.redirects} redirects.")


class _Deadline:
    """A moment after which everything raises TimeoutError."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        seconds = self.end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


@dataclass(frozen=True)
class _Target:
    """An address taken apart: `host` as names and certificates have it, `path` with the query."""

    url: str
    secure: bool
    host: str
    port: int
    path: str


def _target(url: str, rules: Rules) -> _Target:
    """An address, taken apart and judged by all that needs no look-up. Raises FetchError."""
    if len(url) > LONGEST_ADDRESS:
        raise FetchError(f"The address has {len(url)} characters; {LONGEST_ADDRESS} is the most.")
    if UNPRINTABLE.search(url):
        raise FetchError("The address holds spaces, control characters or backslashes; write them as %20 and the like.")
    try:
        parts = urlsplit(url)
        port = PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    except ValueError as error:
        raise FetchError(f"The address cannot be read ({error}).") from None
    if parts.scheme not in PORTS:
        raise FetchError("Only addresses that begin with http:// or https:// are fetched.")
    if "@" in parts.netloc:
        raise FetchError("Addresses with a user name or password in them are not fetched.")
    if rules.ports is not None and port not in rules.ports:
        raise FetchError(f"Port {port} is not asked; allowed are {', '.join(map(str, sorted(rules.ports)))}.")
    path = quote(parts.path or "/", safe=ASCII_SIGNS) + (f"?{quote(parts.query, safe=ASCII_SIGNS)}" * bool(parts.query))
    return _Target(url, parts.scheme == "https", _host(parts.hostname or ""), port, path)


def _host(name: str) -> str:
    """A host in ASCII. Raises FetchError where it is none, or a number in one of the spellings that hide an address."""
    if ":" in name:
        if "%" in name:
            raise FetchError("Addresses within one network link are not fetched.")
        return name  # urlsplit has seen to it that this is IPv6, or the look-up will not know it
    try:
        host = name.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        host = ""
    if not host or not re.fullmatch(r"[a-z0-9._-]+", host):
        raise FetchError("The address names no host that can be looked up.")
    if NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise FetchError(f"{host} is no host; write an IP address as four decimal numbers.") from None
    return host


def _ask(target: _Target, rules: Rules, deadline: _Deadline) -> tuple[bytes, str | None]:
    """The file, or where the server says that it is. Raises FetchError, TimeoutError."""
    connection = _connected(target, _addresses(target, rules, deadline), rules, deadline)
    try:
        with closing(connection), closing(_request(connection, target)) as response:
            location = response.getheader("Location") if response.status in REDIRECTS else None
            if location:
                return b"", _onward(target, location)
            if response.status != 200:
                raise FetchError(f"{target.host} answered {response.status}.")
            if response.getheader("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
                raise FetchError(f"{target.host} sent the file compressed, although it was asked not to.")
            return _body(response, target, rules), None
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(f"The connection to {target.host} broke ({_words(error)}).") from error


def _request(connection: http.client.HTTPConnection, target: _Target) -> http.client.HTTPResponse:
    from anymask import __version__

    headers = {"User-Agent": f"anymask/{__version__}", "Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity"}
    connection.request("GET", target.path, headers=headers | {"Connection": "close"})
    return connection.getresponse()


def _onward(target: _Target, location: str) -> str:
    """The address of a redirect. A header's bytes come as Latin-1; where they are more than ASCII, they are UTF-8."""
    try:
        return urljoin(target.url, quote(location.strip().encode("latin-1"), safe=ASCII_SIGNS))
    except ValueError:
        raise FetchError(f"{target.host} leads on to an address that cannot be read.") from None


def _body(response: http.client.HTTPResponse, target: _Target, rules: Rules) -> bytes:
    too_large = FetchError(f"The file at {target.host} has more than the {rules.max_bytes} bytes allowed.")
    if response.length is not None and response.length > rules.max_bytes:
        raise too_large
    pieces, size = [], 0
    while piece := response.read1(PIECE):
        size += len(piece)
        if size > rules.max_bytes:
            raise too_large
        pieces.append(piece)
    if response.length:
        raise FetchError(f"The connection to {target.host} broke {response.length} bytes before the file's end.")
    if not size:
        raise FetchError(f"The file at {target.host} is empty.")
    return b"".join(pieces)


def _addresses(target: _Target, rules: Rules, deadline: _Deadline) -> list[Address]:
    """What a host leads to, all of it allowed. Raises FetchError, TimeoutError.

    The sentence does not say which addresses those are: names of a network's inside are nobody's business outside.
    """
    try:
        found = [ipaddress.ip_address(text) for text in _looked_up(target, rules.resolver, deadline)]
    except TimeoutError:
        raise
    except (OSError, UnicodeError, ValueError):
        found = []
    if not found:
        raise FetchError(f"There is no host {target.host}.")
    if not all(rules.allowed(address) for address in found):
        raise FetchError(f"{target.host} is not on the public internet, and nothing else is fetched.")
    return found


def _looked_up(target: _Target, resolver: Resolver, deadline: _Deadline) -> Sequence[str]:
    """What the resolver says, within the time that is left: the system's has no limit of its own."""
    found: list[Sequence[str]] = []
    failed: list[Exception] = []

    def look_up() -> None:
        try:
            found.append(resolver(target.host, target.port))
        except Exception as error:
            failed.append(error)
        finally:
            LOOKUPS.release()

    if not LOOKUPS.acquire(timeout=deadline.left()):
        raise TimeoutError
    thread = threading.Thread(target=look_up, name="anymask-lookup", daemon=True)
    thread.start()
    thread.join(deadline.left())
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError
    return found[0]


def _connected(
    target: _Target, addresses: list[Address], rules: Rules, deadline: _Deadline
) -> http.client.HTTPConnection:
    """A connection to the first of these addresses that answers. Raises FetchError, TimeoutError."""
    trouble = ""
    for count, address in enumerate(addresses):
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            # One address that does not answer leaves time for the others.
            sock.settimeout(deadline.left() / (len(addresses) - count))
            sock.connect((str(address), target.port))
            if target.secure:
                sock.settimeout(deadline.left())
                tls = rules.tls or ssl.create_default_context()
                sock = tls.wrap_socket(sock, server_hostname=target.host)
        except ssl.SSLCertVerificationError as error:
            sock.close()
            message = error.verify_message.rstrip(".")
            raise FetchError(f"The certificate of {target.host} does not hold ({message}).") from None
        except OSError as error:
            sock.close()
            deadline.left()
            trouble = _words(error)
            continue
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.default_port = PORTS["https" if target.secure else "http"]  # when to leave it out of Host
        connection.sock = _TimedSocket(sock, deadline)
        return connection
    raise FetchError(f"{target.host} cannot be reached ({trouble}).")


class _TimedSocket:
    """What http.client needs of a socket, where every call has the time that is left of the whole.

    A socket's own timeout starts anew with each read, so that a byte every now and then would keep it going for ever.
    """

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self.sock, self.deadline = sock, deadline

    def sendall(self, data: Any) -> None:
        self.sock.settimeout(self.deadline.left())
        self.sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self.sock, self.deadline), PIECE)

    def close(self) -> None:
        self.sock.close()


class _TimedReader(io.RawIOBase):
    """The socket's own file keeps the socket open until it is closed as well."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        self.sock, self.deadline, self.file = sock, deadline, sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self.sock.settimeout(self.deadline.left())
        return self.file.readinto(buffer)

    def close(self) -> None:
        self.file.close()
        super().close()


def _words(error: object) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
