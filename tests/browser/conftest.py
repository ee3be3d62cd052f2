"""A browser, a real server and a page for each test of the studio."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from driving import Studio, until
from playwright.sync_api import Browser, sync_playwright
from served import Process

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Open = Callable[..., Studio]


def is_up(server: Process) -> bool:
    return httpx.get(f"{server.address}/readyz", trust_env=False).status_code == 200


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium. One for each file: playwright's event loop must not outlive the tests that need it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("there is no chromium on the path")
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium, args=ARGS)
        yield one
        one.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server with projects, for all tests that leave it alive."""
    with Process("--projects", "projects", cwd=tmp_path_factory.mktemp("studio")) as one:
        until(lambda: is_up(one), "the server")
        yield one


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts servers of one's own in tmp_path; they end with the test."""
    started: list[Process] = []

    def start(*options: str, **more: Any) -> Process:
        one = Process(*options, cwd=tmp_path, **more)
        started.append(one)
        until(lambda: is_up(one), "the server")
        return one

    yield start
    for one in started:
        one.__exit__()


@pytest.fixture
def open_page(browser: Browser, server: Process, serve: object) -> Iterator[Open]:
    """Opens pages in contexts of their own: `open_page(address=..., **what playwright's new_context takes)`.

    After the test no page may have thrown or written an error that was not expected. Pages are closed before the
    servers of `serve` end, which they would complain about.
    """
    pages: list[Studio] = []

    def make(address: str = server.address, **options: Any) -> Studio:
        options = {
            "viewport": {"width": 1280, "height": 800},
            "color_scheme": "dark",
            "accept_downloads": True,
            **options,
        }
        context = browser.new_context(**options)
        one = Studio(context.new_page(), address)
        pages.append(one)
        return one

    yield make
    for one in pages:
        one.page.context.close()
    for one in pages:
        assert not one.unexpected(), "\n".join(one.unexpected())


@pytest.fixture
def studio(open_page: Open) -> Studio:
    """A page that was opened and is connected."""
    return open_page().visit()
