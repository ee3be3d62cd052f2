"""Clients that ask a server all at once, good and bad ones, and what becomes of each request.

Used by benchmarks/serve.py and tests/test_server_load.py. Loopback only, bounded in number and time.
"""

import asyncio
import json
import os
import random
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

ROOT = Path(__file__).parents[1]
BUS = ROOT / "assets" / "bus.jpg"
CLICKS = ((350, 240), (220, 200), (480, 260), (300, 300))
PATIENCE = 60.0  # seconds after the end within which what was begun has to be answered
PLACES = 20  # that a client moves over
COMMON = 8  # pictures that are sent again and again


@dataclass
class Kind:
    """What became of the requests of one kind: answers by status, milliseconds of the good ones, and what was lost."""

    answers: Counter[str] = field(default_factory=Counter)
    retried: Counter[int] = field(default_factory=Counter)
    ms: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def row(self, name: str) -> str:
        """A row of a table: name, counts, latencies."""
        counts = ", ".join(f"{status}: {count}" for status, count in sorted(self.answers.items()))
        retried = ", ".join(f"{status}: {count}" for status, count in sorted(self.retried.items())) or "-"
        times = " | ".join(f"{value:.0f}" for value in percentiles(self.ms)) if self.ms else "- | - | -"
        return f"| {name} | {counts or '-'} | {retried} | {len(self.lost)} | {times} |"


def percentiles(values: list[float]) -> tuple[float, float, float]:
    """The 50th, 95th and 99th."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


@dataclass
class Load:
    """One run: the server's address, when it ends, and what became of everything, by kind."""

    base: str
    end: float
    http: httpx.AsyncClient
    too_large: int = 0
    kinds: defaultdict[str, Kind] = field(default_factory=lambda: defaultdict(Kind))

    async def ask(self, kind: str, method: str, path: str, expected: tuple[int, ...], **content: Any) -> Any:
        """One request, asked again as long as the server is busy and says when; its response, None when it is lost."""
        found = self.kinds[kind]
        while True:
            start = time.perf_counter()
            try:
                response = await self.http.request(method, path, **content)
            except httpx.HTTPError as error:
                found.lost.append(f"{kind}: {type(error).__name__} {error}")
                return None
            patience = response.headers.get("retry-after", "")
            if response.status_code in (429, 503) and patience.isdecimal() and time.time() < self.end + PATIENCE:
                found.retried[response.status_code] += 1
                await asyncio.sleep(int(patience) * random.uniform(1, 1.5))
                continue
            if response.status_code not in expected:
                found.lost.append(f"{kind}: {response.status_code} {response.text[:200]}")
                return None
            found.answers[str(response.status_code)] += 1
            if response.status_code < 400:
                found.ms.append(1000 * (time.perf_counter() - start))
            elif not _is_sentence(response):
                found.lost.append(f"{kind}: {response.status_code} without a sentence: {response.text[:200]}")
            return response

    @property
    def lost(self) -> list[str]:
        """Everything that was lost."""
        return [line for kind in self.kinds.values() for line in kind.lost]


def _is_sentence(response: httpx.Response) -> bool:
    try:
        return bool(response.json()["error"].strip())
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


# -- What clients do -----------------------------------------------------------------------------------------------


def variant(number: int) -> bytes:
    """The picture, as a file of its own: what follows a JPEG's end is read by nobody."""
    return BUS.read_bytes() + number.to_bytes(16, "big")


async def upload(load: Load, luck: random.Random) -> str | None:
    """Send a picture, new or known; its id."""
    number = luck.randrange(COMMON) if luck.random() < 0.5 else luck.getrandbits(100)
    content = {"content": variant(number), "headers": {"Content-Type": "image/jpeg"}}
    response = await load.ask("upload", "POST", "/api/pictures", (200, 201), **content)
    return None if response is None else str(response.json()["id"])


async def predict(load: Load, luck: random.Random) -> None:
    """Send a picture and click into it a few times."""
    picture = await upload(load, luck)
    for _ in range(3):
        if picture is None:
            return
        body = {"prompts": [{"points": [luck.choice(CLICKS)], "labels": [1]}]}
        response = await load.ask("predict", "POST", f"/api/pictures/{picture}/predict", (200, 410), json=body)
        if response is None:
            return
        if response.status_code == 410:
            picture = await upload(load, luck)
            continue
        masks = response.json()["results"][0]["masks"]
        if len(masks) != 3 or masks[0]["area"] <= 0 or masks[0]["rle"]["size"] != [427, 640]:
            load.kinds["predict"].lost.append(f"predict: a wrong answer {json.dumps(masks)[:200]}")


async def hover(load: Load, luck: random.Random) -> None:
    """Move over a picture, twenty places a second; the server answers those that it can, and always the last."""
    picture = await upload(load, luck)
    if picture is None:
        return
    found, sent = load.kinds["hover"], dict[int, float]()
    try:
        address = f"ws://{urlsplit(load.base).netloc}/api/live"
        async with asyncio.timeout(2 * PATIENCE), connect(address, max_size=1 << 24, proxy=None) as socket:

            async def say(number: int) -> None:
                x, y = luck.choice(CLICKS)
                place = [x + luck.randrange(-40, 40), y + luck.randrange(-40, 40)]
                sent[number] = time.perf_counter()
                await socket.send(json.dumps({"seq": number, "picture": picture, "points": [place], "labels": [1]}))

            async def move() -> None:
                for number in range(1, PLACES + 1):
                    await say(number)
                    await asyncio.sleep(0.05)

            moving, last = asyncio.create_task(move()), PLACES
            try:
                while True:
                    answer = json.loads(await socket.recv())
                    status = answer.get("status", 200)
                    if "masks" in answer:
                        found.ms.append(1000 * (time.perf_counter() - sent[answer["seq"]]))
                        found.answers["200"] += 1
                    elif status in (429, 503) and time.time() < load.end + PATIENCE:
                        found.retried[status] += 1
                        if answer["seq"] == last:
                            await asyncio.sleep(1)
                            last += 1
                            await say(last)
                            continue
                    elif status == 410:
                        found.answers["410"] += 1
                    else:
                        found.lost.append(f"hover: {json.dumps(answer)[:200]}")
                    if answer["seq"] == last:
                        break
            finally:
                moving.cancel()
    except (OSError, TimeoutError, WebSocketException) as error:
        found.lost.append(f"hover: {type(error).__name__} {error}")


async def cutout(load: Load, luck: random.Random) -> None:
    """A cut-out in one request."""
    file = variant(luck.randrange(COMMON))
    response = await load.ask("cut-out", "POST", "/api/cutout", (200,), files={"file": ("bus.jpg", file)})
    _has_to_be_png(load, "cut-out", response)


async def remove(load: Load, luck: random.Random) -> None:
    """rembg's request."""
    files = {"file": ("bus.jpg", variant(luck.randrange(COMMON)))}
    response = await load.ask("/api/remove", "POST", "/api/remove", (200,), files=files, data={"om": luck.choice("01")})
    _has_to_be_png(load, "/api/remove", response)


def _has_to_be_png(load: Load, kind: str, response: httpx.Response | None) -> None:
    if response is not None and not response.content.startswith(b"\x89PNG"):
        load.kinds[kind].lost.append(f"{kind}: no PNG but {response.content[:40]!r}")


async def mischief(load: Load, luck: random.Random) -> None:
    """One of the things that no server should be sent."""
    whole = BUS.read_bytes()
    files: dict[str, tuple[bytes, tuple[int, ...]]] = {
        "nothing": (b"", (400, 422)),
        "truncated": (whole[: luck.randrange(200, len(whole) - 2000)], (400,)),
        "corrupt": (whole[:300] + luck.randbytes(2000), (400,)),
        "noise": (luck.randbytes(5000), (400,)),
        "text": (b"<html>no picture</html>", (400,)),
        "PDF": (b"%PDF-1.7\n" + bytes(500), (400,)),
        "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", (400,)),
        "bomb": (bomb(), (413,)),
    }
    if luck.random() < 0.05:
        files = {"huge": (bytes(load.too_large), (413,))}
    what = luck.choice(list(files))
    data, expected = files[what]
    kind = f"bad: {what}"
    if luck.random() < 0.5:
        headers = {"Content-Type": luck.choice(("image/jpeg", "image/png", "application/octet-stream"))}
        await load.ask(kind, "POST", "/api/pictures", expected, content=data, headers=headers)
    else:
        path = luck.choice(("/api/remove", "/api/cutout"))
        await load.ask(kind, "POST", path, expected, files={"file": ("picture.jpg", data)})


async def nonsense(load: Load, luck: random.Random) -> None:
    """Requests about good pictures that mean nothing."""
    kind, picture = "bad: requests", await upload(load, luck)
    if picture is None:
        return
    place = f"/api/pictures/{picture}/predict"
    outside = {"prompts": [{"points": [[9000, 9000]], "labels": [1]}]}
    unknown = {"model": "no-such-model", "prompts": [{"points": [[9, 9]], "labels": [1]}]}
    both = {"files": {"file": ("bus.jpg", BUS.read_bytes())}}
    asks: list[Callable[[], Awaitable[Any]]] = [
        lambda: load.ask(kind, "POST", place, (400, 422), content=b"{", headers={"Content-Type": "application/json"}),
        lambda: load.ask(kind, "POST", place, (400, 410, 422), json=outside),
        lambda: load.ask(kind, "POST", place, (400,), json=unknown),
        lambda: load.ask(kind, "POST", "/api/pictures/0123456789abcdef/predict", (404,), json=outside),
        lambda: load.ask(kind, "GET", "/api/pictures/../../etc/passwd", (404,)),
        lambda: load.ask(kind, "POST", "/api/remove", (400,), data={"a": "perhaps"}, **both),
        lambda: load.ask(kind, "POST", "/api/remove", (400,), data={"extras": '{"model_path": "/etc/passwd"}'}, **both),
        lambda: load.ask(kind, "GET", "/api/remove?url=http://127.0.0.1/", (403,)),
    ]
    await luck.choice(asks)()


@lru_cache
def bomb(side: int = 30_000) -> bytes:
    """A PNG file of side x side pixels in some hundred kilobytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer, row = zlib.compressobj(6), bytes(1 + (side + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


MIXTURE = {predict: 4, hover: 3, cutout: 2, remove: 2, mischief: 2, nonsense: 1}


async def mixture(base: str, clients: int, seconds: float, too_large: int) -> Load:
    """So many clients, each doing one thing of the mixture after another until the time is up; what became of it.

    `too_large` is a number of bytes that the server refuses.
    """
    bomb()
    # More connections than clients: one that waits for its turn to retry keeps none.
    limits = httpx.Limits(max_connections=2 * clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=base, limits=limits, timeout=2 * PATIENCE, trust_env=False) as http:
        load = Load(base, time.time() + seconds, http, too_large)

        async def client(number: int) -> None:
            luck = random.Random(number)
            while time.time() < load.end:
                (what,) = luck.choices(list(MIXTURE), list(MIXTURE.values()))
                await what(load, luck)

        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(client(number))
        return load


async def one_answer(base: str) -> tuple[Any, bytes]:
    """What a server answers to a click and to /api/remove, to be compared before and after."""
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE, trust_env=False) as http:
        load = Load(base, time.time(), http)
        sent = await load.ask("check", "POST", "/api/pictures", (200, 201), content=BUS.read_bytes())
        body = {"prompts": [{"points": [[350, 240]], "labels": [1]}]}
        place = f"/api/pictures/{sent.json()['id']}/predict" if sent else ""
        clicked = await load.ask("check", "POST", place, (200,), json=body)
        files = {"file": ("bus.jpg", BUS.read_bytes())}
        removed = await load.ask("check", "POST", "/api/remove", (200,), files=files)
        if load.lost:
            raise RuntimeError(f"the server does not answer: {load.lost}")
        masks = [(mask["rle"], mask["score"]) for mask in clicked.json()["results"][0]["masks"]]
        return masks, removed.content


# -- Servers -------------------------------------------------------------------------------------------------------


class Process:
    """A server of this machine: started, waited for, its memory watched, ended."""

    def __init__(self, command: list[str], base: str, ready: str, environment: dict[str, str] | None = None) -> None:
        self.base = base
        handle, name = tempfile.mkstemp(prefix="anymask-load-")
        self.log, self.written = Path(name), ""
        environment = os.environ | {"ANYMASK_LICENCES_KNOWN": "1"} | (environment or {})
        self.process = subprocess.Popen(command, stdout=handle, stderr=handle, env=environment)
        os.close(handle)
        self.samples: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._sample)
        self._watch.start()
        try:
            self._wait(base + ready)
        except BaseException:
            self.stop()
            raise

    def _wait(self, address: str) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if httpx.get(address, trust_env=False).is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"{self.process.args!r} did not start:\n{self.written[-3000:]}")

    def _sample(self) -> None:
        start = time.monotonic()
        while not self._ended.wait(0.5):
            with suppress(OSError, KeyError):
                self.samples.append((time.monotonic() - start, self.memory("VmRSS")))

    def memory(self, name: str) -> float:
        """VmRSS or VmHWM (the peak) in megabytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        return int(fields[name].split()[0]) / 1024

    def stop(self) -> int:
        """End it; its exit code. What it wrote is in `written` then."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self._ended.set()
            self._watch.join()
            if self.log.exists():
                self.written = self.log.read_text(errors="replace")
                self.log.unlink()


@contextmanager
def serving(port: int, *options: str, environment: dict[str, str] | None = None) -> Iterator[Process]:
    """`anymask serve` on a port of this machine, with options."""
    command = [sys.executable, "-m", "anymask", "serve", "--host", "127.0.0.1", "--port", str(port), *options]
    server = Process(command, f"http://127.0.0.1:{port}", "/readyz", environment)
    try:
        yield server
    finally:
        server.stop()
