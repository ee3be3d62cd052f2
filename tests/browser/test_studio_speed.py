"""How quick the page feels. The figures are printed (pytest -s); only what is hopeless fails."""

from __future__ import annotations

import statistics

import httpx2 as httpx
import numpy as np
import pytest
from conftest import Open
from driving import Studio, rle_of
from served import ASSETS, BUS, Process

pytestmark = pytest.mark.slow


def test_from_the_pointer_to_the_mask(studio: Studio) -> None:
    studio.choose(ASSETS / "bus.jpg")
    studio.move(430, 240)
    studio.wait("s.hover")
    times = []
    for step in range(50):
        x, y = 140 + 8 * step, 150 + 3 * step
        studio.move(x, y)
        studio.wait(f"s.hover && s.hover.at[0] === {x}")
        times.append(studio.page.evaluate(f"({LATENCY})()"))
    report("pointer to mask, 640 x 427", times)
    assert statistics.median(times) < 200


# Once the frame that shows the hovered mask is drawn.
LATENCY = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(
    window.__anymask.lastLatency()))))"""


def test_five_hundred_objects(open_page: Open, server: Process) -> None:
    with httpx.Client(base_url=server.address, trust_env=False) as http:
        http.post("/api/projects", json={"name": "crowd"})
        item = http.post("/api/projects/crowd/items?name=bus.jpg", content=BUS).json()
        objects = [{"id": number + 1, "rle": rle_of(disc(number)), "name": f"disc {number}"} for number in range(500)]
        body = {"revision": item["revision"], "status": "started", "objects": objects}
        assert http.put("/api/projects/crowd/items/bus.jpg", json=body).status_code == 200
    studio = open_page(viewport={"width": 1440, "height": 900})
    studio.page.goto(f"{server.address}/#/project/crowd/bus.jpg")
    studio.wait("s.objects.length === 500 && s.current.info && s.view.scale !== 1")
    studio.by("tab-objects").click()
    assert studio.by("object-count").inner_text().startswith("500 objects")
    assert studio.page.locator(".object").count() < 60  # only the rows in sight
    studio.settle()
    studio.page.evaluate(PULSE)
    mouse = studio.page.mouse
    mouse.move(*studio.place(320, 210))
    for _ in range(25):  # about two seconds, with a mouse wheel's steps and a held wheel
        mouse.wheel(0, -120)
        studio.page.wait_for_timeout(16)
    mouse.down(button="middle")
    for step in range(60):
        mouse.move(640 + 4 * (step if step < 30 else 60 - step), 400 + 2 * step)
        studio.page.wait_for_timeout(16)
    mouse.up(button="middle")
    for _ in range(25):
        mouse.wheel(0, 120)
        studio.page.wait_for_timeout(16)
    drawn = studio.page.evaluate("window.__anymask.frameTimes()")
    gaps = studio.page.evaluate("window.pulse()")
    assert len(drawn) > 60
    report("500 objects, drawing a frame", drawn)
    report("500 objects, from frame to frame of the browser", gaps)
    assert np.percentile(gaps, 95) < 250
    assert np.percentile(drawn, 95) < 100
    # Changing one of them among all the others.
    studio.by("object-1").click()
    studio.press("h")
    studio.wait("s.objects[0].hidden")
    report("500 objects, the frame after hiding one", studio.page.evaluate("window.__anymask.frameTimes().slice(-3)"))


# What the whole browser takes from frame to frame, and not only the page's own drawing.
PULSE = """() => {
    const times = [];
    let on = true;
    const tick = (time) => (times.push(time), on && requestAnimationFrame(tick));
    requestAnimationFrame(tick);
    window.pulse = () => (on = false, times.slice(1).map((time, index) => time - times[index]));
}"""


def disc(number: int) -> np.ndarray:
    rows, columns = np.ogrid[:427, :640]
    x, y = 12 + 25.6 * (number % 25), 12 + 21 * (number // 25)
    return (rows - y) ** 2 + (columns - x) ** 2 < (8 + number % 9) ** 2


def report(what: str, times: list[float]) -> None:
    median, late = statistics.median(times), np.percentile(times, 95)
    print(f"\n{what}: median {median:.1f} ms, 95 % below {late:.1f} ms ({len(times)})")  # noqa: T201


@pytest.mark.parametrize("width", [760, 900, 1280])
def test_narrow_windows_hide_nothing(open_page: Open, server: Process, width: int) -> None:
    with httpx.Client(base_url=server.address, trust_env=False) as http:
        http.post("/api/projects", json={"name": "narrow"})
        http.post("/api/projects/narrow/items?name=a picture with a rather long name of its own.jpg", content=BUS)
    studio = open_page(viewport={"width": width, "height": 640})
    studio.visit("/#/project/narrow")
    studio.page.get_by_role("option", name="a picture").click()
    studio.ready()
    studio.search_with(points_per_side=12)
    studio.by("engine-semi").check()
    studio.by("engine-fill").click()
    studio.wait("s.objects.length > 0", 60)
    assert studio.page.evaluate(CLIPPED, ".item-bar") == []
    studio.click(430, 240)
    studio.answered()
    assert studio.page.evaluate(CLIPPED, ".bar") == []
    assert studio.page.evaluate(CLIPPED, ".top") == []


# What a bar has that cannot be seen whole: cut off at the window, or under the panel.
CLIPPED = """(bar) => [...document.querySelectorAll(`${bar} :is(button, input, select)`)]
    .filter((element) => element.checkVisibility())
    .filter((element) => {
        const box = element.getBoundingClientRect();
        const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
        const seen = (x, y) => element.contains(document.elementFromPoint(x, y));
        const whole = seen(x, y) && seen(box.left + 3, y) && seen(box.right - 3, y);
        return !whole || element.scrollWidth > element.clientWidth + 2;
    })
    .map((element) => element.outerHTML.slice(0, 120))"""


def test_a_finger_held_is_a_point_of_the_background(open_page: Open) -> None:
    studio = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    studio.visit().choose(ASSETS / "bus.jpg")
    studio.page.touchscreen.tap(*studio.place(430, 240))
    studio.answered()
    touches = studio.page.context.new_cdp_session(studio.page)
    x, y = studio.place(200, 390)
    touches.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    studio.page.wait_for_timeout(600)
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert studio.wait("s.pending.prompt.labels.length === 2")["pending"]["prompt"]["labels"] == [1, 0]
    studio.answered()
    # Two fingers zoom and draw nothing.
    before = studio.state()
    (ax, ay), (bx, by) = studio.place(250, 200), studio.place(350, 200)
    for step, kind in enumerate(["touchStart"] + ["touchMove"] * 6 + ["touchEnd"]):
        points = [{"x": ax - 8 * step, "y": ay, "id": 0}, {"x": bx + 8 * step, "y": by, "id": 1}]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if kind == "touchEnd" else points})
    after = studio.wait(f"s.view.scale > {1.5 * before['view']['scale']}")
    assert after["pending"] == before["pending"]


def test_phones(open_page: Open) -> None:
    studio = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=2)
    studio.visit()
    studio.choose(ASSETS / "bus.jpg")
    studio.page.touchscreen.tap(*studio.place(430, 240))
    made = studio.answered()
    assert made["candidates"]
    bar = studio.by("pending-bar").bounding_box()
    assert bar and bar["x"] >= 0 and bar["x"] + bar["width"] <= 390
    studio.by("keep").tap()
    studio.wait("s.objects.length === 1")
    # The panel is a sheet that is raised and lowered.
    list_of_objects = studio.by("objects")
    assert not in_sight(studio, 'data-testid="objects"')
    studio.page.get_by_role("button", name="Raise the panel").tap()
    studio.page.wait_for_function(IN_SIGHT, arg='[data-testid="objects"]')
    studio.by("object-1").tap()
    assert list_of_objects.get_by_role("row").get_attribute("aria-selected") == "true"
    studio.page.get_by_role("button", name="Lower the panel").tap()
    # Nothing sticks out at the side, and what is tapped is large enough for a finger.
    assert studio.page.evaluate("document.documentElement.scrollWidth") <= 390
    small = studio.page.evaluate(SMALL)
    assert small == []


IN_SIGHT = """(selector) => {
    const box = document.querySelector(selector)?.getBoundingClientRect();
    return !!box && box.height > 40 && box.top < innerHeight - 80;
}"""
# Buttons that are smaller than 24 CSS pixels (WCAG 2.2, 2.5.8).
SMALL = """() => [...document.querySelectorAll("button, select, input[type=range], [role=tab]")]
    .filter((element) => element.checkVisibility())
    .map((element) => [element.getBoundingClientRect(), element.outerHTML.slice(0, 90)])
    .filter(([box]) => box.width > 0 && Math.min(box.width, box.height) < 24)
    .map(([box, html]) => `${Math.round(box.width)} x ${Math.round(box.height)}: ${html}`)"""


def in_sight(studio: Studio, attribute: str) -> bool:
    return bool(studio.page.evaluate(IN_SIGHT, f"[{attribute}]"))
