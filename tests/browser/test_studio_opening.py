"""Pictures come into the studio: chosen, dropped, pasted, by folders, damaged, huge."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from driving import Studio, area, drop, paste, until
from PIL import Image
from served import ASSETS, BUS, Process

pytestmark = pytest.mark.slow


def test_the_file_chooser(studio: Studio) -> None:
    assert studio.by("empty").is_visible()
    with studio.page.expect_file_chooser() as chooser:
        studio.by("open-empty").click()
    chooser.value.set_files([ASSETS / "bus.jpg", ASSETS / "street.jpg"])
    state = studio.ready().state()
    assert [one["name"] for one in state["pictures"]] == ["bus.jpg", "street.jpg"]
    with Image.open(ASSETS / "bus.jpg") as bus:
        assert (state["current"]["info"]["width"], state["current"]["info"]["height"]) == bus.size
    assert not studio.by("empty").is_visible()
    # The strip goes to the other one, and its thumbnails are there.
    studio.by("frame-1").click()
    assert studio.wait("s.current.name === 'street.jpg' && s.current.info")["pictures"][1]["status"] == "ready"
    until(lambda: studio.by("strip").locator("img").count() == 2, "both thumbnails")
    studio.press("PageUp")
    studio.wait("s.current.name === 'bus.jpg'")
    studio.page.get_by_role("button", name="Close bus.jpg").click()
    assert [one["name"] for one in studio.wait("s.pictures.length === 1")["pictures"]] == ["street.jpg"]


def test_the_picture_is_what_is_painted(studio: Studio) -> None:
    studio.choose(ASSETS / "flowers.jpg")
    view = studio.state()["view"]
    shot = studio.shot()
    with Image.open(ASSETS / "flowers.jpg") as flowers:
        width, height = (round(side * view["scale"]) for side in flowers.size)
        wanted = flowers.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    left, top = round(view["x"]), round(view["y"])
    painted = Image.fromarray(shot[top : top + height, left : left + width])
    small = (64, 48)
    pairs = zip(painted.resize(small).tobytes(), wanted.resize(small).tobytes(), strict=True)
    assert sum(abs(a - b) for a, b in pairs) / (64 * 48 * 3) < 3


def test_dropped_and_pasted(studio: Studio) -> None:
    drop(studio.page, [("dropped.jpg", "image/jpeg", BUS), ("notes.txt", "text/plain", b"no picture")])
    assert studio.ready().state()["current"]["name"] == "dropped.jpg"
    assert "1 of 2 files are no pictures" in (studio.by("toast-info").text_content() or "")
    paste(studio.page, "image.png", "image/png", png(ASSETS / "flowers.jpg"))
    state = studio.wait("s.pictures.length === 2 && s.current.name === 'image.png' && s.current.info")
    assert state["current"]["info"]["format"] == "PNG"


def test_a_folder(studio: Studio, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "more").mkdir(parents=True)
    for name, source in (("b 10.jpg", "bus"), ("b 9.jpg", "street"), ("more/c.jpg", "flowers")):
        shutil.copy(ASSETS / f"{source}.jpg", folder / name)
    (folder / "list.csv").write_text("a,b\n")
    with studio.page.expect_file_chooser() as chooser:
        studio.by("pictures.folder").click()
    assert chooser.value.is_multiple()
    chooser.value.set_files(folder)
    state = studio.wait("s.pictures.length === 3 && s.current.info")
    assert [one["name"] for one in state["pictures"]] == ["b 9.jpg", "b 10.jpg", "c.jpg"]


def test_damaged_files_say_what_the_server_says(studio: Studio) -> None:
    studio.expect("status of 415")
    studio.expect("status of 400")
    with studio.http() as http:
        sentence = http.post("/api/pictures", content=BUS[:200]).json()["error"]
    drop(studio.page, [("broken.jpg", "image/jpeg", BUS[:200]), ("good.jpg", "image/jpeg", BUS)])
    alert = studio.page.get_by_role("alert").filter(has_text="cannot be opened")
    alert.wait_for()
    assert sentence in (alert.text_content() or "")
    # The others are not harmed.
    studio.by("frame-1").click()
    studio.wait("s.current.name === 'good.jpg' && s.current.info")


def test_pictures_of_phones_stand_upright(studio: Studio, tmp_path: Path) -> None:
    with Image.open(ASSETS / "street.jpg") as street:
        exif = street.getexif()
        exif[0x0112] = 6  # to be turned by 90 degrees
        street.save(tmp_path / "phone.jpg", exif=exif)
        width, height = street.size
    info = studio.choose(tmp_path / "phone.jpg").state()["current"]["info"]
    assert (info["width"], info["height"]) == (height, width)
    # Clicks hit what is seen: the pixel asked for is the one of the upright picture.
    studio.click(200, 500)
    studio.answered()
    assert studio.state()["pending"]["prompt"]["points"] == [[200, 500]]


def test_a_hundred_megapixels(studio: Studio, tmp_path: Path, server: Process) -> None:
    with Image.open(ASSETS / "bus.jpg") as bus:
        bus.resize((12_250, 8_173), Image.Resampling.BILINEAR).save(tmp_path / "huge.jpg", quality=80)
    info = studio.choose(tmp_path / "huge.jpg").state()["current"]["info"]
    assert info["width"] * info["height"] > 100e6
    studio.move(8200, 4600)
    studio.wait("s.hover && s.hover.at[0] > 8000")
    studio.click(8200, 4600)
    made = studio.answered()
    x, y = made["prompt"]["points"][0]
    assert abs(x - 8200) < 20
    assert abs(y - 4600) < 20
    masks = studio.predict(points=[[x, y]], labels=[1])
    assert made["area"] == masks[0]["area"]
    studio.press("b")
    studio.drag((1000, 1000), (3000, 1000))
    grown = studio.wait(f"s.pending.area > {made['area']}")["pending"]["area"]
    kept = studio.keep()
    assert area(kept["rle"]) == grown
    assert kept["rle"]["size"] == [8173, 12_250]


def png(path: Path) -> bytes:
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        picture.save(buffer, "PNG")
    return buffer.getvalue()
