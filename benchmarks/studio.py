"""The studio in a browser: python benchmarks/studio.py (a minute; needs Chromium and the dev extra).

How long it takes from the pointer's event to the painted mask, measured by the page, beside what the live connection
alone takes; and how long frames take while a picture with 500 objects is dragged and zoomed. Writes
benchmarks/STUDIO.md.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import median, quantiles

import cv2
import httpx2 as httpx
import numpy as np
from load import Process
from playwright.sync_api import FilePayload, Page, TimeoutError, sync_playwright
from run import machine
from websockets.sync.client import connect

from anymask import rle
from anymask.images import encode_image, read_image

HERE = Path(__file__).parent
BUS = HERE.parent / "assets" / "bus.jpg"
PORT = 7128
SIZES = ((640, 427), (1024, 768), (4000, 3000))
OBJECTS = 500
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def hover_row(page: Page, base: str, size: tuple[int, int], moves: int) -> str:
    """A row of the first table for the bus at a size."""
    rgb = cv2.resize(read_image(BUS), size, interpolation=cv2.INTER_CUBIC)
    data = encode_image(rgb, "jpg", quality=90)
    name = f"bus-{size[0]}.jpg"
    with page.expect_file_chooser() as chooser:
        page.get_by_test_id("open").click()
    chooser.value.set_files(FilePayload(name=name, mimeType="image/jpeg", buffer=data))
    page.wait_for_function("(name) => window.__anymask.state().current?.name === name", arg=name)
    page.wait_for_function("window.__anymask.state().current?.info")
    box = page.get_by_test_id("canvas").bounding_box()
    assert box
    times: list[float] = []
    luck = np.random.default_rng(0)
    for _ in range(moves + 5):
        before = page.evaluate("window.__anymask.lastLatency()")
        x, y = luck.uniform(0.3, 0.7, 2)
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        with suppress(TimeoutError):  # where the best mask is empty nothing is painted
            page.wait_for_function("(before) => window.__anymask.lastLatency() !== before", arg=before, timeout=1500)
            times.append(page.evaluate("window.__anymask.lastLatency()"))
    alone = live_times(base, data, size, moves)
    return (
        f"| {size[0]} x {size[1]} | {median(times[5:]):.0f} | {quantiles(times[5:], n=20)[-1]:.0f} "
        f"| {median(alone):.0f} | {quantiles(alone, n=20)[-1]:.0f} |"
    )


def live_times(base: str, data: bytes, size: tuple[int, int], moves: int) -> list[float]:
    """Milliseconds of answers to one program that asks at one place after another, the best mask each."""
    picture = httpx.post(f"{base}/api/pictures", content=data, trust_env=False).json()["id"]
    luck = np.random.default_rng(0)
    times = []
    with connect(f"{base.replace('http', 'ws')}/api/live", max_size=None, proxy=None) as live:
        for seq in range(moves + 5):
            x, y = luck.uniform(0.3, 0.7, 2)
            start = time.perf_counter()
            live.send(
                json.dumps({"seq": seq, "picture": picture, "points": [[x * size[0], y * size[1]]], "best": True})
            )
            live.recv()
            times.append((time.perf_counter() - start) * 1000)
    return times[5:]


def crowded(base: str) -> None:
    """A project with one picture and 500 round objects in it."""
    rgb = cv2.resize(read_image(BUS), (2400, 1600), interpolation=cv2.INTER_CUBIC)
    httpx.post(f"{base}/api/projects", json={"name": "crowd"}, trust_env=False).raise_for_status()
    place = f"{base}/api/projects/crowd/items"
    data = encode_image(rgb, "jpg", quality=90)
    httpx.post(place, params={"name": "bus.jpg"}, content=data, trust_env=False).raise_for_status()
    luck = np.random.default_rng(0)
    y, x = np.mgrid[:1600, :2400]
    objects = []
    for number in range(1, OBJECTS + 1):
        radius = luck.uniform(20, 90)
        disc = (x - luck.uniform(0, 2400)) ** 2 + (y - luck.uniform(0, 1600)) ** 2 < radius**2
        objects.append({"id": number, "name": f"disc {number % 7}", "rle": rle.compress(rle.encode(disc))})
    body = {"revision": 0, "status": "started", "objects": objects}
    httpx.put(f"{place}/bus.jpg", json=body, trust_env=False, timeout=60).raise_for_status()


def frame_row(page: Page, base: str, objects: int, seconds: float) -> str:
    """A row of the second table: the open picture dragged about and zoomed."""
    box = page.get_by_test_id("canvas").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    end = time.monotonic() + seconds
    page.mouse.move(x, y)
    page.keyboard.down("Space")
    step = 0
    while time.monotonic() < end:
        page.mouse.down()
        for _ in range(15):
            step += 1
            page.mouse.move(x + 150 * np.cos(step / 7), y + 100 * np.sin(step / 7))
        page.mouse.up()
        for delta in (-240, -240, 240, 240):
            page.mouse.wheel(0, delta)
    page.keyboard.up("Space")
    work, gaps = page.evaluate(
        "[window.__anymask.frameTimes(), window.__anymask.frameGaps().filter((gap) => gap < 500)]"
    )
    return (
        f"| {objects} | {median(work):.1f} | {quantiles(work, n=20)[-1]:.1f} "
        f"| {median(gaps):.1f} | {quantiles(gaps, n=20)[-1]:.1f} | {len(work)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moves", type=int, default=100, help="places of the pointer for each figure")
    parser.add_argument("--seconds", type=float, default=5.0, help="of dragging and zooming")
    parser.add_argument("--output", type=Path, default=HERE / "STUDIO.md")
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is needed: apt-get install chromium")
    base = f"http://127.0.0.1:{PORT}"
    head = machine("fastapi", "uvicorn", "playwright")
    lines = [
        "# The studio in a browser",
        "",
        "Made by `python benchmarks/studio.py`; browser and server share the machine.",
        "",
        head,
    ]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        command = [
            sys.executable,
            "-m",
            "anymask",
            "serve",
            "--port",
            str(PORT),
            "--projects",
            folder,
            "--model",
            "pocket",
        ]
        server = Process(command, base, "/readyz")
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_context(viewport={"width": 1440, "height": 900}, bypass_csp=True).new_page()
            page.goto(base)
            lines += [f"Chromium {browser.version}, 1440 x 900, no graphics card.", ""]
            lines += ["From the pointer's event to the painted mask under it, `pocket`, milliseconds:", ""]
            lines += ["| picture | p50 | p95 | the live connection alone, p50 | p95 |", "|---|---:|---:|---:|---:|"]
            lines += [hover_row(page, base, size, options.moves) for size in SIZES]
            lines += ["", "A picture of 2400 x 1600 dragged about and zoomed, milliseconds:", ""]
            lines += ["| objects | drawing a frame, p50 | p95 | from frame to frame, p50 | p95 | frames |"]
            lines += ["|---:|---:|---:|---:|---:|---:|", frame_row(page, base, 0, options.seconds)]
            crowded(base)
            page.goto("about:blank")
            page.goto(f"{base}/#/project/crowd/bus.jpg")
            page.wait_for_function(f"window.__anymask.state().objects.length === {OBJECTS}")
            page.wait_for_timeout(2000)
            lines += [frame_row(page, base, OBJECTS, options.seconds)]
            browser.close()
        finally:
            server.stop()
    print("\n".join(lines))
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
