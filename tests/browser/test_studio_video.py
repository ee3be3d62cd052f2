"""The video page: a clip is opened, clicked, tracked, corrected and exported."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import Studio, bitmap, drop, until
from PIL import Image
from served import ASSETS

pytest.importorskip("av", reason="clips need the video extra")

from clips import clip, frame, read

pytestmark = pytest.mark.slow

NAMES = (Path(__file__).parent / "names.js").read_text()
ON = (12, 28)  # on the square of the first six frames
FRAMES = 12
TRACKING = 120.0  # seconds that a busy machine may take


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clips") / "square.mp4", FRAMES)


def opened(studio: Studio, path: Path) -> Studio:
    """Opens a clip by the file chooser of the video page."""
    studio.by("tab-video").click()
    with studio.page.expect_file_chooser() as chooser:
        studio.by("video-open").click()
    chooser.value.set_files(path)
    studio.wait("s.video.clip && s.video.shown === 0 && s.view.scale !== 1")
    return studio


def clicked(studio: Studio, x: float, y: float, *held: str) -> dict[str, Any]:
    """A click on the frame; the chosen object's mask there."""
    before = len(prompts(studio.state()))
    studio.click(x, y, *held)
    studio.wait(f"s.video.asking === 0 && s.video.objects.flatMap((o) => o.prompts).length >= {max(1, before)}")
    state = studio.state()["video"]
    found: dict[str, Any] = next(one for one in state["masks"] if one["object"] == state["chosen"])
    return found


def prompts(state: dict[str, Any]) -> list[dict[str, Any]]:
    return [prompt for one in state["video"]["objects"] for prompt in one["prompts"]]


def tracked(studio: Studio, key: str = "t") -> dict[str, Any]:
    """Tracks by a key, to the end."""
    studio.press(key)
    studio.says("Tracked")
    state: dict[str, Any] = studio.wait("!s.video.run && s.video.shown === s.video.at", TRACKING)["video"]
    return state


def seek(studio: Studio, index: int) -> dict[str, Any]:
    studio.slide("video-scrub", index)
    found: dict[str, Any] = studio.wait(f"s.video.shown === {index}")["video"]
    return found


def truth(index: int) -> np.ndarray:
    return frame(index)[..., 0] > 128


def iou(mask: np.ndarray, index: int) -> float:
    return float((mask & truth(index)).sum() / (mask | truth(index)).sum())


def test_click_track_correct_and_export(studio: Studio, square: Path, tmp_path: Path) -> None:
    opened(studio, square)
    assert studio.by("video-frame").inner_text() == f"Frame 1 of {FRAMES}"
    bare = studio.shot()
    first = clicked(studio, *ON)
    assert iou(bitmap(first["rle"]), 0) > 0.5
    assert prompts(studio.state())[0]["points"] == [list(ON)]
    studio.page.mouse.move(2, 2)
    # The mask lies over the frame in the object's colour, and nothing else changed.
    on = studio.on_shot(bitmap(first["rle"]), bare)
    apart = np.abs(studio.shot().astype(int) - bare).max(axis=-1)
    assert (apart[on] > 20).mean() > 0.9 and (apart[~on] > 20).mean() < 0.05

    state = tracked(studio)
    assert (state["at"], state["objects"][0]["spans"]) == (FRAMES - 1, [[0, FRAMES - 1]])
    assert min(iou(bitmap(seek(studio, index)["masks"][0]["rle"]), index) for index in (4, 8, 11)) > 0.5
    lane = studio.by("lane-1").locator("i").bounding_box()
    rail = studio.page.locator(".rail").bounding_box()
    assert lane and rail and lane["width"] == pytest.approx(rail["width"], abs=2)

    # A correction on a tracked frame; then from there to the end, and the frames before stay.
    seek(studio, 6)
    before = seek(studio, 5)["masks"][0]["rle"]
    seek(studio, 6)
    clicked(studio, 90, 60, "Alt")
    assert [one["labels"] for one in prompts(studio.state())] == [[1], [0]]
    studio.press("t")
    studio.wait("!s.video.run && s.video.at === 11 && s.video.shown === 11", TRACKING)
    assert seek(studio, 5)["masks"][0]["rle"] == before
    assert studio.by("lane-1").locator("b").count() == 2

    # Another object, on the last frame, back to the first.
    seek(studio, 11)
    studio.by("video.new").click()
    studio.drag((72, 46), (90, 60))
    studio.wait("s.video.asking === 0 && s.video.masks.length === 2")
    assert prompts(studio.state())[2] == {
        "frame": 11,
        "points": [],
        "labels": [],
        "box": [72, 46, 90, 60],
        "mask": False,
    }
    studio.press("Shift+T")
    studio.wait("!s.video.run && s.video.at === 0 && s.video.shown === 0", TRACKING)
    masks = {index: {one["object"]: bitmap(one["rle"]) for one in seek(studio, index)["masks"]} for index in (0, 7)}
    assert set(masks[0]) == {1, 2}

    # The page is loaded again: the server has it all.
    objects = studio.state()["video"]["objects"]
    studio.visit()
    studio.by("tab-video").click()
    state = studio.wait("s.video.clip && s.video.shown === 0 && s.video.masks.length === 2")["video"]
    assert state["objects"] == objects

    with zipfile.ZipFile(exported(studio, "labels", tmp_path)) as archive:
        assert len(archive.namelist()) == FRAMES
        label = np.asarray(Image.open(io.BytesIO(archive.read("00007.png"))))
        assert ((label > 0) == (masks[7][1] | masks[7][2])).all()
    with zipfile.ZipFile(exported(studio, "sav", tmp_path)) as archive:
        about = json.loads(archive.read("square.json"))
    assert (about["masklet_id"], about["video_frame_count"]) == ([1, 2], FRAMES)
    assert (bitmap(about["masklet"][7][0]) == masks[7][1]).all()
    assert len(read(exported(studio, "overlay", tmp_path))) == FRAMES
    alpha = read(exported(studio, "cutout", tmp_path), "libvpx-vp9")[7][..., 3] > 128
    both = masks[7][1] | masks[7][2]
    assert (alpha & both).sum() / (alpha | both).sum() > 0.85


def exported(studio: Studio, form: str, folder: Path) -> Path:
    """The file of a format, downloaded by the dialog."""
    studio.by("video.export").click()
    studio.by(f"video-export-{form}").check()
    with studio.page.expect_download() as download:
        studio.by("video-export-save").click()
    studio.by("video-export").locator("form").wait_for(state="detached")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_long_one_is_cancelled_and_gone_on_with(studio: Studio, tmp_path: Path) -> None:
    count = 400
    opened(studio, clip(tmp_path / "long.mp4", count))
    clicked(studio, *ON)
    studio.press("t")
    studio.wait("s.video.run && s.video.run.done >= 3", TRACKING)
    assert studio.by("video-fps").inner_text().endswith("a second")
    assert studio.state()["video"]["run"]["total"] == count
    studio.by("video-cancel").click()
    studio.says("Stopped after")
    state = studio.wait("!s.video.run", TRACKING)["video"]
    ((first, end),) = state["objects"][0]["spans"]
    assert (first, state["at"]) == (0, end) and 2 <= end < count // 2
    with studio.http() as http:
        assert not http.get(f"/api/videos/{state['clip']['id']}").json()["tracking"]
    # On from there; Escape ends it as well. Who looks elsewhere meanwhile is not carried along.
    studio.press("t")
    studio.wait("s.video.run && s.video.run.done >= 2", TRACKING)
    seek(studio, 1)
    studio.wait("s.video.run && s.video.run.done >= 4", TRACKING)
    studio.press("Escape")
    state = studio.wait("!s.video.run", TRACKING)["video"]
    assert state["objects"][0]["spans"][0][0] == 0 and state["objects"][0]["spans"][-1][1] > end
    assert (len(state["objects"][0]["spans"]), state["at"]) == (1, 1)
    # A page that goes away ends it too.
    studio.press("t")
    studio.wait("s.video.run && s.video.run.done >= 1", TRACKING)
    studio.page.goto("about:blank")
    with studio.http() as http:
        until(lambda: not http.get(f"/api/videos/{state['clip']['id']}").json()["tracking"], "the end of tracking")
        http.delete(f"/api/videos/{state['clip']['id']}")


def test_by_keys_alone_and_with_names(studio: Studio, square: Path) -> None:
    page = studio.page
    studio.press("Shift+V")
    assert page.evaluate(NAMES) == []
    with page.expect_file_chooser() as chooser:
        studio.press("Control+o")
    chooser.value.set_files(square)
    studio.wait("s.video.clip && s.video.shown === 0 && s.view.scale !== 1")
    # The arrows go from frame to frame.
    studio.press("ArrowRight", "ArrowRight", "ArrowLeft")
    studio.says(f"Frame 2 of {FRAMES}")
    studio.press("End")
    studio.wait(f"s.video.shown === {FRAMES - 1}")
    studio.press("Home")
    studio.wait("s.video.shown === 0")
    # Tab comes to the picture, where they move the crosshair.
    for _ in range(40):
        if page.evaluate("document.activeElement?.matches('canvas.canvas')"):
            break
        studio.press("Tab")
    else:
        raise AssertionError("Tab does not reach the frame")
    assert "Space adds a point" in (studio.by("canvas").get_attribute("aria-label") or "")
    studio.press(*["Shift+ArrowLeft"] * 4)
    studio.says("Column")
    studio.press("Space")
    state = studio.wait("s.video.asking === 0 && s.video.masks.length === 1")["video"]
    ((x, y),) = state["objects"][0]["prompts"][0]["points"]
    assert (x < 30, y, state["at"]) == (True, 32, 0)
    assert page.evaluate(NAMES) == []
    studio.press("Control+z")
    assert studio.wait("s.video.asking === 0 && s.video.objects.length === 0")["video"]["chosen"] is None
    studio.press("Space")
    studio.wait("s.video.asking === 0 && s.video.masks.length === 1")
    # The slider of the timeline takes the arrows for itself; Enter lets the next point be another object's.
    studio.by("video-scrub").focus()
    studio.press("ArrowRight")
    studio.wait("s.video.shown === 1")
    studio.press("Control+ArrowLeft")
    studio.wait("s.video.at === 0")
    studio.by("canvas").focus()
    studio.press("Enter")
    studio.says("new object")
    studio.press("j")
    studio.wait("s.video.chosen === 1")
    studio.press("Control+s")
    page.get_by_role("dialog", name="Export the video").wait_for()
    assert page.evaluate(NAMES) == []
    studio.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    studio.press("?")
    sheet = page.get_by_role("dialog", name="Keys and commands")
    sheet.wait_for()
    assert "Track forward" in sheet.inner_text()
    keys = [one for one in sheet.locator("kbd").all_inner_texts() if len(one) == 1 and one.isalpha()]
    assert sorted(keys) == sorted(set(keys))
    studio.press("Escape")
    sheet.wait_for(state="hidden")
    # Without a crosshair the space bar plays, to the end.
    studio.by("canvas").evaluate("(element) => element.blur()")
    studio.press("Space")
    studio.wait("s.video.playing")
    studio.wait(f"!s.video.playing && s.video.shown === {FRAMES - 1}")
    studio.press("Home", "Delete")
    studio.wait("s.video.objects.length === 0")
    page.get_by_role("button", name="Put its points back").click()
    studio.wait("s.video.asking === 0 && s.video.masks.length === 1")


def test_what_goes_wrong_is_said(studio: Studio, square: Path) -> None:
    studio.expect("status of 400")
    studio.expect("status of 410")
    data = square.read_bytes()
    with studio.http() as http:
        sentence = http.post("/api/videos", content=data[:300]).json()["error"]
    drop(studio.page, [("broken.mp4", "video/mp4", data[:300])])
    studio.by("toast-error").filter(has_text=sentence).wait_for()
    assert studio.by("video-empty").is_visible()
    drop(studio.page, [("square.mp4", "video/mp4", data)])
    state = studio.wait("s.video.clip && s.video.shown === 0 && s.view.scale !== 1")["video"]
    # A first point off the object means nothing.
    studio.click(*ON, "Alt")
    studio.says("needs an object")
    # A server that closed the video says so, and the page opens it again.
    with studio.http() as http:
        http.delete(f"/api/videos/{state['clip']['id']}")
    studio.click(*ON)
    toast = studio.by("toast-error").filter(has_text="was closed")
    toast.wait_for()
    toast.get_by_role("button", name="Open it again").click()
    again = studio.wait("s.video.clip && s.video.shown === 0")["video"]
    assert again["clip"]["id"] != state["clip"]["id"]
    assert clicked(studio, *ON)["area"] > 100
    studio.by("video-close").click()
    studio.by("video-empty").wait_for()


def test_pictures_and_the_video_leave_each_other_alone(studio: Studio, square: Path) -> None:
    studio.choose(ASSETS / "bus.jpg", ASSETS / "street.jpg")
    studio.box(118, 108, 574, 322)
    kept = studio.keep()
    view = studio.state()["view"]
    opened(studio, square)
    assert studio.state()["current"] is None
    assert not studio.by("strip").is_visible() and not studio.by("everything").is_visible()
    clicked(studio, *ON)
    studio.press("a", "b", "g", "u", "PageDown")  # keys of pictures
    state = studio.state()
    assert (state["video"]["at"], len(state["video"]["objects"])) == (10, 1)
    studio.by("tab-objects").click()
    state = studio.wait("s.current && s.current.name === 'bus.jpg'")
    assert (state["objects"], state["view"], state["tool"]) == ([kept], view, "point")
    studio.by("tab-video").click()
    assert studio.wait("s.video.shown === 10 && s.current === null")["video"]["chosen"] == 1
    # A picture that is opened meanwhile is shown among the pictures.
    drop(studio.page, [("flowers.jpg", "image/jpeg", (ASSETS / "flowers.jpg").read_bytes())])
    studio.wait("s.current && s.current.name === 'flowers.jpg'")
    assert studio.by("tab-objects").get_attribute("aria-selected") == "true"


def test_models_are_listed_by_their_terms(studio: Studio) -> None:
    studio.by("help.about").click()
    dialog = studio.page.get_by_role("dialog", name="About anymask")
    assert "pocket" in dialog.inner_text()
    studio.by("about-filter").select_option(label="Not for commercial use")
    assert "no such model" in dialog.inner_text() and not dialog.locator("table").count()
    studio.by("about-filter").select_option(label="For commercial use, in closed programs too")
    assert "pocket" in dialog.locator("table").inner_text()
