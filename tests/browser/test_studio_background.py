"""The background panel: what is downloaded is what the server's API gives."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import Studio, until
from PIL import Image
from served import ASSETS

pytestmark = pytest.mark.slow


@pytest.fixture
def flowers(studio: Studio) -> Studio:
    studio.choose(ASSETS / "flowers.jpg")
    studio.press("g")
    shown(studio)
    return studio


def shown(studio: Studio) -> None:
    """Waits for a preview of what is chosen now."""
    studio.page.locator('[data-testid="bg-stage"][aria-busy="false"] [alt="The cut-out"]').wait_for()


def downloaded(studio: Studio, testid: str) -> tuple[str, np.ndarray, str]:
    """The name, the pixels (RGBA) and the format of a download."""
    with studio.page.expect_download() as download:
        studio.by(testid).click()
    with Image.open(Path(download.value.path())) as picture:
        return download.value.suggested_filename, np.asarray(picture.convert("RGBA")), str(picture.format)


def asked(studio: Studio, **options: Any) -> np.ndarray:
    """The pixels that the API gives for these options."""
    picture = studio.state()["current"]["info"]["id"]
    with studio.http() as http:
        answer = http.post(f"/api/pictures/{picture}/cutout", json=options)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def test_transparent(flowers: Studio) -> None:
    name, pixels, kind = downloaded(flowers, "bg-download")
    assert (name, kind, pixels.shape) == ("flowers.cutout.png", "PNG", (428, 640, 4))
    wanted = asked(flowers, model="pocket", edges="fast", clean=False)
    assert (pixels == wanted).all()
    assert 0.05 < (pixels[..., 3] > 128).mean() < 0.95


def test_a_colour_and_webp(flowers: Studio) -> None:
    flowers.by("background-mode-color").check()
    flowers.by("bg-color").fill("#3355aa")
    shown(flowers)
    name, pixels, kind = downloaded(flowers, "bg-download-webp")
    assert (name, kind) == ("flowers.cutout.webp", "WEBP")
    options = {"model": "pocket", "edges": "fast", "clean": False, "background": "#3355aa"}
    assert (pixels == asked(flowers, **options, format="webp")).all()
    assert (pixels[..., 3] == 255).all()
    alpha = asked(flowers, model="pocket", edges="fast")[..., 3]
    assert np.abs(pixels[alpha == 0][:, :3].astype(int).mean(axis=0) - (0x33, 0x55, 0xAA)).max() < 6


def test_chosen_objects(studio: Studio) -> None:
    studio.choose(ASSETS / "bus.jpg")
    studio.box(118, 108, 574, 322)
    studio.press("Enter")
    kept = studio.wait("!s.pending")["objects"][0]
    studio.by("tab-background").click()
    studio.by("background-subject-objects").check()
    shown(studio)
    studio.by("bg-crop").check()
    studio.by("bg-shadow").check()
    shown(studio)
    _, pixels, _ = downloaded(studio, "bg-download")
    wanted = asked(studio, masks=[kept["rle"]], edges="fast", crop=True, margin="8%", shadow=True)
    assert pixels.shape == wanted.shape != (427, 640, 4)
    assert (pixels == wanted).all()


def test_before_and_after(flowers: Studio) -> None:
    slider = flowers.by("bg-slider")
    slider.wait_for()
    slider.focus()
    assert slider.get_attribute("aria-valuetext") == "50 percent shows the picture before"
    frame = flowers.page.locator(".bg-frame")

    def look() -> np.ndarray:
        flowers.settle()
        return np.asarray(Image.open(io.BytesIO(frame.screenshot())).convert("RGB")).astype(int)

    flowers.press("Home")
    after = look()
    flowers.press("End")
    assert slider.input_value() == "100"
    before = look()
    with Image.open(ASSETS / "flowers.jpg") as photo:
        wanted = np.asarray(photo.convert("RGB").resize(before.shape[1::-1], Image.Resampling.BICUBIC)).astype(int)
    middle = slice(20, -60), slice(20, -60)  # without the words and the handle
    assert np.abs(before[middle] - wanted[middle]).mean() < 4
    assert np.abs(before - after).mean() > 20
    flowers.press("ArrowLeft", "ArrowLeft")
    assert slider.input_value() == "98"


def test_a_picture_behind_that_the_server_forgot(flowers: Studio) -> None:
    flowers.expect("status of 410")
    flowers.by("background-mode-picture").check()
    flowers.by("bg-picture").set_input_files(ASSETS / "street.jpg")
    until(lambda: "street.jpg" in flowers.page.locator(".button.file").first.inner_text(), "the picture behind")
    shown(flowers)
    with flowers.http() as http:
        street = http.post("/api/pictures", content=(ASSETS / "street.jpg").read_bytes()).json()["id"]
        options = {"model": "pocket", "edges": "fast", "clean": False, "background": {"picture": street}}
        wanted = asked(flowers, **options)
        assert http.delete(f"/api/pictures/{street}").status_code == 204
    _, pixels, _ = downloaded(flowers, "bg-download")
    assert (pixels == wanted).all()
