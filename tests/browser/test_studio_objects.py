"""Making objects and working with them: hovering, clicks, boxes, candidates, names, brush, the list, undo."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from driving import Json, Studio, area, bitmap, until
from served import ASSETS

pytestmark = pytest.mark.slow

BUS_BOX = (118, 108, 574, 322)
AT = (430, 240)


@pytest.fixture
def bus(studio: Studio) -> Studio:
    return studio.choose(ASSETS / "bus.jpg")


@pytest.fixture
def street(studio: Studio) -> Studio:
    return studio.choose(ASSETS / "street.jpg")


def rles(studio: Studio) -> list[Any]:
    """All that is kept of objects, to be compared."""
    return [json.dumps(one, sort_keys=True) for one in studio.state()["objects"]]


def test_hovering_paints_the_mask(bus: Studio) -> None:
    bus.away()
    plain = bus.shot()
    bus.move(*AT)
    hovered = bus.wait(f"s.hover && s.hover.at[0] === {AT[0]} && s.hover.at[1] === {AT[1]}")["hover"]
    best = bus.predict(points=[list(AT)], labels=[1])[0]
    assert hovered["area"] == best["area"]
    painted = bus.shot()
    inside = bus.on_shot(bitmap(best["rle"]), plain)
    changed = np.abs(painted.astype(int) - plain.astype(int)).max(axis=2) > 4
    # Well inside the mask everything is tinted, far outside nothing; the pending bar is not there yet.
    assert changed[eroded(inside, 4)].mean() > 0.97
    assert changed[~grown(inside, 8)].mean() < 0.01
    bus.away()
    assert np.abs(bus.shot().astype(int) - plain.astype(int)).max() == 0


def test_a_click_gives_what_the_api_gives(bus: Studio) -> None:
    bus.move(*AT)
    bus.wait(f"s.hover && s.hover.at[0] === {AT[0]}")
    bus.click(*AT)
    made = bus.answered()
    masks = bus.predict(points=[list(AT)], labels=[1])
    assert len(masks) == 3
    told = [{"score": one["score"], "area": one["area"], "box": one["box"]} for one in masks]
    assert made["candidates"] == told
    assert (made["prompt"], made["area"]) == ({"points": [list(AT)], "labels": [1], "box": None}, masks[0]["area"])
    # The candidates are cycled with their scores, and what is kept is the one that is shown.
    for number in (1, 2, 0, 1):
        bus.press("c")
        made = bus.wait(f"s.pending.chosen === {number}")["pending"]
        assert made["area"] == masks[number]["area"]
        button = bus.by(f"candidate-{number}")
        assert button.get_attribute("aria-checked") == "true"
        assert button.inner_text().strip() == f"{masks[number]['score']:.2f}"
    kept = bus.keep()
    assert (kept["rle"], kept["score"], kept["area"]) == (masks[1]["rle"], masks[1]["score"], masks[1]["area"])
    assert area(kept["rle"]) == kept["area"]


def test_a_click_without_hovering_first(bus: Studio) -> None:
    bus.by("tool.box").click()
    bus.drag(BUS_BOX[:2], BUS_BOX[2:])
    made = bus.answered()
    (mask,) = bus.predict(box=list(BUS_BOX))
    assert made["area"] == mask["area"]
    assert made["prompt"] == {"points": [], "labels": [], "box": list(BUS_BOX)}
    # In the point tool a drag is a box, too.
    bus.press("Escape", "p")
    bus.wait("!s.pending")
    assert bus.box(*BUS_BOX)["area"] == mask["area"]


def test_background_points_take_away(bus: Studio) -> None:
    whole = bus.box(*BUS_BOX)["area"]
    bus.click(200, 290, "Alt")
    made = bus.answered()
    assert made["prompt"]["labels"] == [0]
    assert made["prompt"]["points"] == [[200, 290]]
    assert made["area"] != whole
    bus.click(430, 240)
    assert bus.answered()["prompt"]["labels"] == [0, 1]
    # A click on a point removes it; with undo it is there again, with its very mask.
    before = bus.answered()
    bus.click(200, 290)
    assert bus.answered()["prompt"]["labels"] == [1]
    bus.press("Control+z")
    assert bus.answered() == before


def test_a_background_point_needs_an_object(bus: Studio) -> None:
    bus.click(*AT, "Alt")
    bus.says("A point of the background needs an object")
    assert bus.state()["pending"] is None


def test_names_are_offered_again(bus: Studio) -> None:
    bus.box(*BUS_BOX)
    bus.press("n")
    bus.page.keyboard.type("double-decker")
    bus.press("Enter")
    assert bus.wait("!s.pending && s.objects.length === 1")["objects"][0]["name"] == "double-decker"
    bus.click(60, 300)
    bus.answered()
    bus.press("n")
    bus.page.keyboard.type("dou")
    option = bus.page.get_by_role("option", name="double-decker")
    option.wait_for()
    field = bus.by("pending-name")
    assert field.get_attribute("aria-expanded") == "true"
    bus.press("ArrowDown")
    assert field.get_attribute("aria-activedescendant") == option.get_attribute("id")
    bus.press("Enter")
    assert [one["name"] for one in bus.wait("s.objects.length === 2")["objects"]] == ["double-decker"] * 2
    # And in the list: F2, another name, Escape leaves it as it was.
    bus.press("F2")
    bus.page.keyboard.type("kerb")
    bus.press("Enter")
    assert bus.wait("s.objects[0].name === 'kerb'")["objects"][1]["name"] == "double-decker"
    bus.press("F2")
    bus.page.keyboard.type("nonsense")
    bus.press("Escape")
    assert bus.state()["objects"][0]["name"] == "kerb"


def test_undo_and_redo_bring_back_the_same(street: Studio) -> None:
    versions = [rles(street)]

    def noted() -> None:
        versions.append(rles(street))

    for box in ((55, 55, 205, 195), (155, 115, 465, 350), (130, 290, 270, 405)):
        street.box(*box)
        street.keep()
        noted()
    street.press("h")
    street.wait("s.objects[0].hidden")
    noted()
    street.press("Control+a", "m")
    street.wait("s.objects.length === 1")
    noted()
    street.press("Delete")
    street.wait("s.objects.length === 0")
    noted()
    steps = street.state()["current"]["history"]["undo"]
    seen = []
    for _ in range(steps):
        seen.append(rles(street))
        street.press("Control+z")
    street.wait("s.current.history.undo === 0")
    seen.append(rles(street))
    assert unrepeated(seen) == versions[::-1]
    for _ in range(steps):
        street.press("Control+Shift+z")
    street.wait("s.current.history.redo === 0")
    assert rles(street) == versions[-1]
    street.press("Control+z", "Control+z")
    street.wait("s.objects.length === 3")
    assert rles(street) == versions[-3]
    assert street.by("undo").is_enabled()
    # Another change ends what could be redone.
    street.press("Escape")
    street.by("object-1").click()
    street.press("l")
    street.wait("s.objects.some((one) => one.locked)")
    assert street.by("redo").is_disabled()


def test_brush_and_eraser(bus: Studio) -> None:
    bus.press("b")
    line = ((100, 60), (300, 60))
    bus.drag(*line)
    drawn = bus.wait("s.pending && s.pending.area > 0")["pending"]["area"]
    radius = 16 / bus.state()["view"]["scale"]
    assert drawn == pytest.approx(200 * 2 * radius + np.pi * radius**2, rel=0.08)
    kept = bus.keep()
    before = bitmap(kept["rle"])
    rows, columns = np.nonzero(before)
    assert columns.min() == pytest.approx(100 - radius, abs=1.5)
    assert columns.max() == pytest.approx(300 + radius, abs=1.5)
    assert rows.min() == pytest.approx(60 - radius, abs=1.5)
    assert kept["source"] == "brush"
    # The eraser takes from the selected object, where it is drawn and nowhere else.
    bus.press("e")
    bus.drag((200, 20), (200, 100))
    bus.wait(f"s.objects[0].area < {drawn}")
    after = bitmap(bus.state()["objects"][0]["rle"])
    gone = before & ~after
    assert not (after & ~before).any()
    assert abs(np.nonzero(gone)[1].mean() - 200) < 1
    assert not after[:, int(200 - radius) + 2 : int(200 + radius) - 1].any()
    # With Alt it paints; the brush's size follows its keys.
    bus.drag((200, 60), (200, 60.5), held="Alt")
    bus.wait(f"s.objects[0].area > {int(after.sum())}")
    bus.press("]", "]", "]")
    assert int(bus.by("brush-size").input_value()) > 40
    bus.press("Control+z", "Control+z", "Control+z")
    assert bus.wait("s.pending !== null || s.objects[0].area > 0")


def test_brushing_on_a_model_s_mask(bus: Studio) -> None:
    made = bus.box(*BUS_BOX)["area"]
    (mask,) = bus.predict(box=list(BUS_BOX))
    bus.press("b")
    bus.drag((20, 20), (80, 20))
    with_stroke = bus.wait(f"s.pending.area > {made}")["pending"]["area"]
    kept = bitmap(bus.keep()["rle"])
    stroke = kept & ~bitmap(mask["rle"])
    assert int(kept.sum()) == with_stroke
    assert not (bitmap(mask["rle"]) & ~kept).any()
    assert np.nonzero(stroke)[0].max() < 45
    # Opened again it has its prompt and its stroke.
    bus.press("Enter")
    again = bus.answered()
    assert (again["prompt"]["box"], again["area"], again["edits"]) == (list(BUS_BOX), with_stroke, 1)
    bus.press("Escape")
    bus.wait("!s.pending && s.objects.length === 1")


def three(studio: Studio) -> list[Json]:
    """Three objects: 1, 2, 3 made in this order, so that 3 is on top."""
    for name, box in (
        ("bus behind", (55, 55, 205, 195)),
        ("bus", (155, 115, 465, 350)),
        ("taxi", (130, 290, 270, 405)),
    ):
        studio.box(*box)
        studio.press("n")
        studio.page.keyboard.type(name)
        studio.press("Enter")
        studio.wait("!s.pending")
    found: list[Json] = studio.state()["objects"]
    assert [one["id"] for one in found] == [3, 2, 1]
    return found


def ids(studio: Studio) -> list[int]:
    return [one["id"] for one in studio.state()["objects"]]


def test_the_list(street: Studio) -> None:
    objects = three(street)
    assert street.by("object-count").inner_text().startswith("3 objects")
    # Order: by keys, and by dragging a row.
    street.by("object-1").click()
    street.press("Alt+ArrowUp")
    assert ids(street) == [3, 1, 2]
    street.press("Control+z")
    assert ids(street) == [3, 2, 1]
    street.by("object-1").drag_to(street.by("object-3"), target_position={"x": 60, "y": 4})
    until(lambda: ids(street) == [1, 3, 2], "the dragged row")
    street.press("Control+z")
    # Hidden objects are not painted, and not hit.
    street.by("object-3").click()
    street.away()
    shown = street.shot()
    street.press("h")
    street.wait("s.objects[0].hidden")
    where = street.on_shot(bitmap(objects[0]["rle"]), shown)
    assert (np.abs(street.shot().astype(int) - shown.astype(int)).max(axis=2) > 4)[eroded(where, 4)].mean() > 0.9
    street.press("v")
    street.click(200, 350)
    street.wait("!s.selection.includes(3)")
    # Locked objects are neither deleted nor brushed on nor merged.
    street.by("object-2").click()
    street.press("l")
    street.wait("s.objects[1].locked")
    street.press("Delete")
    street.says("locked stay")
    assert ids(street) == [3, 2, 1]
    street.press("b")
    street.drag((20, 20), (60, 20))
    street.says("is locked")
    assert street.state()["objects"][1] == {**objects[1], "locked": True}
    street.press("l")
    # Merged, they are the pixels of both, and have the name of the one that had it.
    street.by("object-1").click(modifiers=["Control"])
    street.press("m")
    merged = next(one for one in street.wait("s.objects.length === 2")["objects"] if one["id"] == 2)
    assert merged["name"] == "bus"
    assert (bitmap(merged["rle"]) == bitmap(objects[1]["rle"]) | bitmap(objects[2]["rle"])).all()
    street.press("Delete")
    assert [one["id"] for one in street.wait("s.objects.length === 1")["objects"]] == [3]


def test_objects_survive_a_reload(street: Studio) -> None:
    three(street)
    before = rles(street)
    street.page.wait_for_timeout(600)  # the store is written 0.4 s after the last change
    street.page.reload()
    street.ready()
    assert rles(street) == before
    street.box(430, 40, 590, 200)
    assert street.keep()["id"] == 4


def test_a_closed_picture_is_opened_again_with_its_objects(street: Studio) -> None:
    street.choose(ASSETS / "bus.jpg")
    street.by("frame-0").click()
    street.wait("s.current.name === 'street.jpg'")
    three(street)
    before = rles(street)
    street.page.get_by_role("button", name="Close street.jpg").click()
    street.wait("s.pictures.length === 1 && s.current.name === 'bus.jpg'")
    street.by("toast-info").get_by_role("button", name="Open again").click()
    street.wait("s.current.name === 'street.jpg' && s.current.info")
    assert rles(street) == before
    street.press("Control+z")  # its history as well: the name of the last one is typed again
    street.wait("s.pending || s.objects.length < 3 || s.objects[0].name === ''")
    street.press("Control+Shift+z")
    street.page.wait_for_timeout(600)
    street.page.reload()
    street.ready()
    assert rles(street) == before


def test_export_is_what_is_seen(street: Studio) -> None:
    objects = three(street)
    street.press("Control+s")
    street.by("export-coco").check()
    with street.page.expect_download() as download:
        street.by("export-save").click()
    data = json.loads(download.value.path().read_text())
    assert download.value.suggested_filename.startswith("street")
    assert sorted(area(one["segmentation"]) for one in data["annotations"]) == sorted(one["area"] for one in objects)
    assert {one["name"] for one in data["categories"]} == {"bus behind", "bus", "taxi"}


def unrepeated(values: list[Any]) -> list[Any]:
    return [one for index, one in enumerate(values) if not index or one != values[index - 1]]


def eroded(mask: np.ndarray, by: int) -> np.ndarray:
    return ~grown(~mask, by)


def grown(mask: np.ndarray, by: int) -> np.ndarray:
    import cv2

    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8)).astype(bool)
