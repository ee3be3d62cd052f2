"""Make the README's screenshots of the studio: python docs/make_studio.py (needs playwright and Chromium)."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
ASSETS = HERE.parent / "assets"
IMAGES = HERE / "images"
LARGEST = 900_000  # bytes of a screenshot

# Boxes around what is to be seen in street.jpg, with the names they get; the first one is kept first and lies below.
STREET = [
    ("bus", (153, 113, 457, 340)),
    ("bus", (61, 45, 202, 187)),
    ("taxi", (124, 291, 266, 400)),
    ("car", (410, 345, 563, 468)),
    ("car", (0, 151, 52, 222)),
    ("motorcycle", (15, 55, 45, 111)),
    ("screen", (381, 38, 547, 139)),
]

# Boxes around what is to be followed from the first frame of `film` on; the last one leaves the picture.
FILMED = [(108, 70, 414, 352), (306, 192, 888, 639), (252, 495, 515, 639), (0, 272, 112, 406)]


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """`anymask serve` on a free port, with projects; its address."""
    command = [sys.executable, "-m", "anymask", "serve", "--port", "0", "--projects", "projects"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if found := re.search(r"anymask is at (http://\S+)", line):
                yield found[1]
                break
        process.terminate()


def open_page(browser: Browser, address: str, **options: Any) -> Page:
    page = browser.new_context(**options).new_page()
    page.goto(address)
    wait(page, "s.live === 'open'")
    return page


def wait(page: Page, condition: str) -> Any:
    """The page's state once an expression of it, `s`, is true."""
    page.wait_for_function(
        f"() => {{ const s = window.__anymask?.state(); return s && ({condition}); }}", timeout=60_000
    )
    return page.evaluate("window.__anymask.state()")


def choose(page: Page, *names: str) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_test_id("open").click()
    chooser.value.set_files([ASSETS / name for name in names])
    wait(page, "s.current && s.current.info && s.view.scale !== 1")


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the picture is on the screen."""
    view, box = page.evaluate("window.__anymask.state().view"), page.get_by_test_id("canvas").bounding_box()
    assert box
    return box["x"] + view["x"] + (x + 0.5) * view["scale"], box["y"] + view["y"] + (y + 0.5) * view["scale"]


def draw_box(page: Page, box: tuple[int, int, int, int]) -> None:
    page.mouse.move(*place(page, box[0], box[1]))
    page.mouse.down()
    page.mouse.move(*place(page, box[2], box[3]), steps=8)
    page.mouse.up()
    wait(page, "s.pending && !s.pending.waiting && s.pending.area")


def keep_as(page: Page, name: str) -> None:
    page.keyboard.press("n")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    wait(page, "!s.pending")


def save(page: Page, name: str) -> None:
    """A screenshot as a PNG that is not too large: with fewer levels of each colour where it has to be."""
    page.wait_for_timeout(700)  # what fades and slides has come to rest
    path = IMAGES / f"{name}.png"
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        picture = shot.convert("RGB")
    for step in (1, 2, 4, 6, 8):
        # Steps of 4 of 256 levels are hardly seen in a photograph, and the page's flat colours stay flat.
        picture.point([min(255, round(level / step) * step) for level in range(256)] * 3).save(path, optimize=True)
        if path.stat().st_size <= LARGEST:
            break
    print(f"{path}: {path.stat().st_size // 1000} kB")


def street(page: Page) -> None:
    """Named objects in the street; the pointer is on one of them."""
    choose(page, "street.jpg", "bus.jpg", "flowers.jpg")
    for name, box in STREET:
        draw_box(page, box)
        keep_as(page, name)
    page.get_by_test_id("object-1").click()
    page.keyboard.press("v")
    page.mouse.move(*place(page, 300, 250))


def background(page: Page) -> None:
    choose(page, "flowers.jpg")
    page.get_by_test_id("tab-background").click()
    page.locator('[data-testid="bg-stage"][aria-busy="false"] [alt="The cut-out"]').wait_for()


def project(page: Page) -> None:
    page.get_by_test_id("tab-project").click()
    page.get_by_test_id("project-name").fill("Streets and gardens")
    page.get_by_test_id("project-create").click()
    page.get_by_test_id("project-add").set_input_files(sorted(ASSETS.glob("*.jpg")))
    page.get_by_test_id("project-item-street.jpg").wait_for()
    page.get_by_test_id("project-item-bus.jpg").click()
    wait(page, "s.current?.name === 'bus.jpg' && s.current.info && s.view.scale !== 1")
    draw_box(page, (118, 108, 574, 322))
    keep_as(page, "bus")
    page.keyboard.press("d")
    page.get_by_test_id("project-item-street.jpg").click()
    wait(page, "s.current?.name === 'street.jpg' && s.current.info")
    for name, box in STREET[:4]:
        draw_box(page, box)
        keep_as(page, name)
    page.keyboard.press("Escape")
    page.mouse.move(2, 400)
    page.locator('[data-testid="save-state"][data-state="saved"]').wait_for()


def film(folder: Path) -> Path:
    """A clip of the street, along which the camera goes."""
    from anymask.video.writing import open_writer

    frames, side = 48, (480, 320)
    with Image.open(ASSETS / "street.jpg") as street:
        whole = street.convert("RGB")
    path = folder / "street.mp4"
    rate = SimpleNamespace(rate=Fraction(12), time_base=Fraction(1, 12), sound=None)
    writer = None
    for index in range(frames):
        way = index / (frames - 1)
        left, top = (whole.width - side[0]) * way, (whole.height - side[1]) * (0.1 + 0.3 * way)
        box = (left, top, left + side[0], top + side[1])
        shown = np.asarray(whole.resize((960, 640), Image.Resampling.BICUBIC, box=box))
        writer = writer or open_writer(path, shown, rate)
        writer.write(shown, index)
    assert writer
    writer.close()
    return path


def video(page: Page) -> None:
    """Objects of the street, tracked; the second one is chosen on a later frame."""
    with tempfile.TemporaryDirectory() as folder:
        page.get_by_test_id("tab-video").click()
        with page.expect_file_chooser() as chooser:
            page.get_by_test_id("video-open").click()
        chooser.value.set_files(film(Path(folder)))
        wait(page, "s.video.clip && s.video.shown === 0 && s.view.scale !== 1")
    for number, box in enumerate(FILMED, 1):
        page.mouse.move(*place(page, box[0], box[1]))
        page.mouse.down()
        page.mouse.move(*place(page, box[2], box[3]), steps=8)
        page.mouse.up()
        wait(page, f"s.video.asking === 0 && s.video.masks.length === {number}")
        page.keyboard.press("Enter")
    page.keyboard.press("t")
    page.wait_for_function("() => !window.__anymask.state().video.run", timeout=600_000)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.get_by_test_id("video-scrub").evaluate(
        "(e) => { e.value = 28; e.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    wait(page, "s.video.shown === 28")
    page.mouse.move(2, 400)


def phone(page: Page) -> None:
    choose(page, "bus.jpg")
    page.touchscreen.tap(*place(page, 430, 240))
    wait(page, "s.pending && !s.pending.waiting")
    page.wait_for_timeout(500)  # the thumbnails


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        raise SystemExit("There is no chromium on the path.")
    IMAGES.mkdir(exist_ok=True)
    desk: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
    small: dict[str, Any] = {
        "viewport": {"width": 390, "height": 844},
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 2,
    }
    pictures = {
        "studio": (street, desk, "dark"),
        "studio_light": (street, desk, "light"),
        "studio_background": (background, desk, "dark"),
        "studio_project": (project, desk, "dark"),
        "studio_video": (video, desk, "dark"),
        "studio_phone": (phone, small, "dark"),
    }
    wanted = sys.argv[1:] or list(pictures)
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name in wanted:
            make, options, scheme = pictures[name]
            page = open_page(browser, address, color_scheme=scheme, **options)
            make(page)
            save(page, name)
            page.context.close()
        browser.close()


if __name__ == "__main__":
    main()
