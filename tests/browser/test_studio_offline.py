"""The page asks nobody but its own server, and goes on by itself when that comes back."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from conftest import Open, free_port
from driving import Studio, until
from playwright.sync_api import Route
from served import ASSETS, Process

pytestmark = pytest.mark.slow

AWAY = r"net::ERR_|WebSocket connection|status of 404 .*/api/"


def test_nothing_is_asked_of_others(open_page: Open, server: Process) -> None:
    studio = open_page()
    foreign: list[str] = []

    def guard(route: Route) -> None:
        url = route.request.url
        if url.startswith((server.address, "blob:", "data:")):
            route.fallback()
        else:
            foreign.append(url)
            route.abort()

    studio.page.context.route("**/*", guard)
    sockets: list[str] = []
    studio.page.on("websocket", lambda one: sockets.append(one.url))
    studio.visit()
    studio.choose(ASSETS / "bus.jpg", ASSETS / "flowers.jpg")
    studio.move(430, 240)
    studio.wait("s.hover")
    studio.click(430, 240)
    studio.answered()
    studio.keep()
    for tab in ("project", "background"):
        studio.by(f"tab-{tab}").click()
    studio.page.locator('[data-testid="bg-stage"][aria-busy="false"] [alt="The cut-out"]').wait_for()
    for command in ("help.keys", "help.settings", "help.about"):
        studio.by(command).click()
        studio.page.get_by_role("dialog").wait_for()
        studio.page.get_by_role("button", name="Close", exact=True).click()
    # The page of the API as well.
    with studio.page.context.expect_page() as opened:
        studio.by("help.about").click()
        studio.page.get_by_role("link", name="the HTTP API").click()
    opened.value.get_by_text("/api/pictures", exact=True).first.wait_for()
    with studio.page.context.expect_page() as opened:
        studio.page.get_by_role("link", name="their licences").click()
    opened.value.get_by_text("Permission is hereby granted").first.wait_for()
    assert foreign == []
    assert {urlsplit(url).netloc for url in sockets} == {urlsplit(server.address).netloc}


def test_hovering_and_clicks_go_on_with_a_new_server(open_page: Open, serve: Callable[..., Process]) -> None:
    port = str(free_port())
    server = serve("--port", port)
    studio = open_page(server.address).visit()
    studio.expect(AWAY)
    studio.choose(ASSETS / "bus.jpg")
    studio.move(430, 240)
    studio.wait("s.hover")
    uploads = studio.count("/api/pictures?encode")
    assert uploads == 1
    server.kill()
    studio.by("reconnecting").wait_for()
    serve("--port", port)
    studio.wait("s.live === 'open'")
    # The new server knows nothing of the picture: hovering sends it again, without a reload.
    studio.move(300, 200)
    studio.wait("s.hover && s.hover.at[0] === 300")
    assert studio.count("/api/pictures?encode") == uploads + 1
    assert not studio.by("reconnecting").is_visible()


def test_a_click_while_the_server_is_away_is_answered_later(open_page: Open, serve: Callable[..., Process]) -> None:
    port = str(free_port())
    server = serve("--port", port)
    studio = open_page(server.address).visit()
    studio.expect(AWAY)
    studio.choose(ASSETS / "bus.jpg")
    studio.box(118, 108, 574, 322)
    whole = studio.keep()
    server.kill()
    studio.by("reconnecting").wait_for()
    studio.click(60, 380)
    studio.wait("s.pending")
    assert "cannot be reached" in studio.by("toast-error").inner_text()
    serve("--port", port)
    made = studio.answered()
    assert made["area"] == studio.predict(points=[[60, 380]], labels=[1])[0]["area"]
    assert studio.state()["objects"] == [whole]
    assert studio.count("/api/pictures?encode") == 2


def test_a_page_that_is_opened_before_its_server_is_up_again(open_page: Open, serve: Callable[..., Process]) -> None:
    port = str(free_port())
    server = serve("--port", port)
    studio = open_page(server.address).visit()
    studio.expect(AWAY)
    studio.choose(ASSETS / "bus.jpg")
    until(lambda: studio.by("undo").is_visible(), "the page")
    server.kill()
    studio.by("reconnecting").wait_for()
    serve("--port", port)
    studio.page.reload()
    assert studio.ready().state()["current"]["name"] == "bus.jpg"


def test_a_key_is_asked_for(open_page: Open, serve: Callable[..., Process]) -> None:
    server = serve(env={"ANYMASK_API_KEY": "open sesame"})
    studio = open_page(server.address)
    studio.expect("status of 401|WebSocket connection")
    studio.page.goto(server.address)
    form = studio.page.get_by_role("dialog", name="This server asks for a key")
    form.wait_for()
    studio.by("key").fill("wrong")
    studio.by("sign-in").click()
    alert = form.get_by_role("alert")
    alert.wait_for()
    assert "key" in alert.inner_text()
    studio.by("key").fill("open sesame")
    studio.by("sign-in").click()
    form.wait_for(state="hidden")
    studio.wait("s.live === 'open'")
    studio.choose(ASSETS / "bus.jpg")
    studio.click(430, 240)
    studio.answered()
    # The session is a cookie that scripts do not see, and holds over a reload.
    assert studio.page.evaluate("document.cookie") == ""
    studio.page.reload()
    studio.wait("s.live === 'open'")
    assert not form.is_visible()


def test_a_server_without_projects_says_so(open_page: Open, serve: Callable[..., Process]) -> None:
    server = serve("--no-projects")
    studio = open_page(server.address).visit()
    studio.by("tab-project").click()
    studio.page.get_by_text("This server keeps no projects").wait_for()


def test_a_sample_to_try(studio: Studio) -> None:
    studio.by("sample-street.jpg").click()
    assert studio.ready().state()["current"]["name"] == "street.jpg"
