"""A person at the studio: finds pixels of the picture on the screen, waits for what the page says of itself."""

from __future__ import annotations

import base64
import io
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
from PIL import Image
from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Request, Route
from pycocotools import mask as coco

Json = dict[str, Any]
PATIENCE = 30.0
TRANSFER = (Path(__file__).parent / "transfer.js").read_text()
SET = "(field, value) => { field.value = value; field.dispatchEvent(new Event('input', { bubbles: true })); }"
FRAMES = "() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 200))"


def until(check: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """What `check` gives as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.03)
    return value


def area(rle: Json) -> int:
    """The pixels of a mask, counted by pycocotools."""
    return int(coco.area(rle))


def bitmap(rle: Json) -> np.ndarray:
    """A mask as bool [H, W], by pycocotools."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' arrays and numpy 2
        return coco.decode(rle).astype(bool)


def rle_of(mask: np.ndarray) -> Json:
    """The run lengths of a bool [H, W] as JSON has them, by pycocotools."""
    found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


class Studio:
    """One page. Whatever it writes into the console as an error, or throws, must have been `expected`."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._expected: list[str] = []
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", self._console)
        page.on("pageerror", self._thrown)
        page.on("request", self._requested)
        # With somebody listening from the start no chooser is missed: turned on at the click, it now and then is.
        page.on("filechooser", lambda _: None)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.text} ({message.location.get('url', '')})")

    def _thrown(self, error: Error) -> None:
        self.problems.append(f"thrown: {error.message}\n{error.stack}")

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)

    def expect(self, pattern: str) -> None:
        """Problems that match this are none."""
        self._expected.append(pattern)

    def unexpected(self) -> list[str]:
        return [one for one in self.problems if not any(re.search(known, one) for known in self._expected)]

    # Going there, opening pictures

    def visit(self, path: str = "/") -> Studio:
        self.page.goto(self.address + path)
        self.wait("s.live === 'open'")
        return self

    def choose(self, *files: Path) -> Studio:
        """Opens pictures by the file chooser."""
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_test_id("open").click()
        chooser.value.set_files(list(files))
        return self.ready()

    def ready(self) -> Studio:
        """Waits until the current picture is known to the server and drawn."""
        self.wait("s.current && s.current.info && s.view.scale !== 1")
        return self

    # What the page says

    def state(self) -> Json:
        found: Json = self.page.evaluate("window.__anymask.state()")
        return found

    def wait(self, condition: str, seconds: float = PATIENCE) -> Json:
        """The page's state once an expression of it, `s`, is true."""
        try:
            self.page.wait_for_function(
                f"() => {{ const s = window.__anymask?.state(); return s && ({condition}); }}", timeout=seconds * 1000
            )
        except Error as error:
            raise AssertionError(f"waited {seconds} s for {condition}; the page is at {self.summary()}") from error
        return self.state()

    def summary(self) -> Json:
        state = self.state()
        state["objects"] = [{**one, "rle": "…"} for one in state["objects"]]
        return state

    def answered(self) -> Json:
        """The pending object once the server answered its prompt."""
        found: Json = self.wait("s.pending && !s.pending.waiting && s.pending.area > 0")["pending"]
        return found

    def says(self, text: str | re.Pattern[str]) -> None:
        self.page.get_by_test_id("status").filter(has_text=text).wait_for(state="attached")

    def by(self, testid: str) -> Locator:
        return self.page.get_by_test_id(testid)

    # The pointer, in pixels of the picture

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where the middle of a pixel of the picture is on the screen."""
        box = self.by("canvas").bounding_box()
        assert box
        view = self.state()["view"]
        return box["x"] + view["x"] + (x + 0.5) * view["scale"], box["y"] + view["y"] + (y + 0.5) * view["scale"]

    def move(self, x: float, y: float) -> None:
        self.page.mouse.move(*self.place(x, y))

    def click(self, x: float, y: float, *held: str) -> None:
        for key in held:
            self.page.keyboard.down(key)
        self.page.mouse.click(*self.place(x, y))
        for key in held:
            self.page.keyboard.up(key)

    def drag(self, *places: tuple[float, float], held: str = "") -> None:
        """Presses the button at the first place, moves through the others and lets go."""
        on_screen = [self.place(*one) for one in places]
        if held:
            self.page.keyboard.down(held)
        self.page.mouse.move(*on_screen[0])
        self.page.mouse.down()
        for one in on_screen[1:]:
            self.page.mouse.move(*one, steps=6)
        self.page.mouse.up()
        if held:
            self.page.keyboard.up(held)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def away(self) -> None:
        """Takes the pointer off the picture."""
        self.page.mouse.move(2, 2)
        self.wait("!s.hover")

    def box(self, x0: float, y0: float, x1: float, y1: float) -> Json:
        """Makes a pending object of a box."""
        self.drag((x0, y0), (x1, y1))
        return self.answered()

    def keep(self) -> Json:
        """Keeps the pending object; gives it."""
        self.press("Enter")
        state = self.wait("!s.pending && s.selection.length === 1")
        found: Json = next(one for one in state["objects"] if one["id"] == state["selection"][0])
        return found

    def shot(self) -> np.ndarray:
        """The canvas as it is painted: uint8 [H, W, 3]."""
        self.settle()
        box = self.by("canvas").bounding_box()
        assert box
        png = self.page.screenshot(clip=box)
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def settle(self) -> None:
        """Waits for two frames, and for what fades in."""
        self.page.evaluate(FRAMES)

    def slide(self, testid: str, value: float) -> None:
        """Moves a slider."""
        self.by(testid).evaluate(SET, value)

    def on_shot(self, mask: np.ndarray, shot: np.ndarray) -> np.ndarray:
        """A mask of the picture as it lies on a screenshot of the canvas: bool [H, W] of the screenshot."""
        view = self.state()["view"]
        rows = np.floor((np.arange(shot.shape[0]) + 0.5 - view["y"]) / view["scale"]).astype(int)
        columns = np.floor((np.arange(shot.shape[1]) + 0.5 - view["x"]) / view["scale"]).astype(int)
        inside = ((rows >= 0) & (rows < mask.shape[0]))[:, None] & ((columns >= 0) & (columns < mask.shape[1]))[None]
        return inside & mask[np.clip(rows, 0, mask.shape[0] - 1)][:, np.clip(columns, 0, mask.shape[1] - 1)]

    def search_with(self, **options: Any) -> None:
        """Changes what the page asks of everything: fewer points where only some masks are needed, or very many."""

        def ask(route: Route) -> None:
            route.continue_(post_data={**(route.request.post_data_json or {}), **options})

        self.page.route("**/everything", ask)

    # The server, beside the page

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=60, trust_env=False)

    def predict(self, **prompt: Any) -> list[Json]:
        """The masks that the server gives for a prompt in the current picture, asked without the page."""
        picture = self.state()["current"]["info"]["id"]
        with self.http() as http:
            answer = http.post(f"/api/pictures/{picture}/predict", json={"prompts": [prompt]})
        assert answer.status_code == 200, answer.text
        masks: list[Json] = answer.json()["results"][0]["masks"]
        return masks

    def gauge(self, name: str) -> float:
        """A number of /metrics."""
        self.page.wait_for_timeout(1)  # what `search_with` answers is only answered while the page is waited for
        with self.http() as http:
            lines = http.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(name)).rpartition(" ")[2])

    def count(self, part: str) -> int:
        """How many requests of the page had this in their address."""
        return sum(part in url for url in self.requests)


def drop(page: Page, files: list[tuple[str, str, bytes]], on: str = "body") -> None:
    """Drops files, each of (name, type, bytes), on the page, as a file manager does."""
    page.evaluate(TRANSFER, ["drop", [[name, kind, _base64(data)] for name, kind, data in files], on])


def paste(page: Page, name: str, kind: str, data: bytes) -> None:
    """Pastes a file, as a screenshot tool leaves it on the clipboard."""
    page.evaluate(TRANSFER, ["paste", [[name, kind, _base64(data)]], "body"])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
