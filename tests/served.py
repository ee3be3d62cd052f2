"""Servers for tests: within the process, and as `anymask serve` on a port of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from anymask.server.app import create_app
from anymask.server.settings import Settings

ASSETS = Path(__file__).parents[1] / "assets"
BUS = (ASSETS / "bus.jpg").read_bytes()


@contextmanager
def client(**settings: Any) -> Iterator[TestClient]:
    """The application within this process, started and stopped; its `Server` is `client.app.state.server`."""
    with TestClient(create_app(replace(Settings(), **settings)), raise_server_exceptions=False) as one:
        yield one


def sent(one: TestClient, picture: bytes = BUS) -> str:
    """The id of a picture that is sent now."""
    answer = one.post("/api/pictures", content=picture)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


class Process:
    """`anymask serve` as users start it: `address`, the process `id`, and `log`, what it wrote so far."""

    def __init__(self, *options: str, cwd: Path, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "anymask", "serve", "--port", "0", "--log", "json", *options]
        self._process = subprocess.Popen(
            command, cwd=cwd, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
        )
        self.log: list[str] = []
        self._listening = threading.Event()
        self.address = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._listening.wait(60), "".join(self.log)
        assert self.address, "".join(self.log)

    @property
    def id(self) -> int:
        return self._process.pid

    def memory(self, name: str = "VmHWM") -> int:
        """Bytes of memory: the most there ever were (VmHWM) or those of now (VmRSS)."""
        status = Path(f"/proc/{self.id}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def kill(self) -> None:
        """End it without a word of warning."""
        self._process.kill()
        self._process.wait()

    def stop(self, by: signal.Signals = signal.SIGTERM, seconds: float = 30) -> int:
        """End it as systems do; its exit code."""
        self._process.send_signal(by)
        code = self._process.wait(seconds)
        self._reader.join(5)
        return code

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process.poll() is None:
            self.kill()
        self._reader.join(5)
        assert self._process.stderr
        self._process.stderr.close()

    def _read(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self.log.append(line)
            if found := re.search(r"anymask is at (http://\S+)", line):
                self.address = found[1]
                self._listening.set()
        self._listening.set()
