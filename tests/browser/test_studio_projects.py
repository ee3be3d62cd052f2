"""Projects in the page: saved by themselves, whatever happens to the server, the page or the other person."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx2 as httpx
import pytest
from conftest import Open, free_port
from driving import Json, Studio, area, bitmap, drop, until
from playwright.sync_api import Route
from pycocotools.coco import COCO
from served import ASSETS, BUS, Process

pytestmark = pytest.mark.slow

BUS_BOX = (118, 108, 574, 322)
# What Chromium writes while a server is away, and when the new one does not know the picture yet.
AWAY = r"net::ERR_|WebSocket connection|status of 404 .*/api/pictures/"
Serve = Callable[..., Process]


@pytest.fixture
def kept(serve: Serve, tmp_path: Path) -> tuple[Process, Path]:
    """A server of its own and the folder of its projects."""
    return serve("--projects", "projects", "--port", str(free_port())), tmp_path / "projects"


def create(studio: Studio, name: str, *pictures: str) -> None:
    """Makes a project with some of the assets, by the page."""
    studio.by("tab-project").click()
    studio.by("project-name").fill(name)
    studio.by("project-create").click()
    studio.by("project-title").wait_for()
    assert studio.by("project-title").inner_text() == name
    studio.by("project-add").set_input_files([ASSETS / one for one in pictures])
    for one in pictures:
        studio.by(f"project-item-{one}").wait_for()


def open_item(studio: Studio, name: str) -> None:
    studio.by(f"project-item-{name}").click()
    studio.wait(f"s.current && s.current.name === '{name}' && s.current.info && s.view.scale !== 1")


def saved(studio: Studio, seconds: float = 10) -> None:
    until(lambda: studio.by("save-state").get_attribute("data-state") == "saved", "the save", seconds)


def annotate(studio: Studio, box: tuple[int, int, int, int], name: str) -> Json:
    studio.box(*box)
    studio.press("n")
    studio.page.keyboard.type(name)
    studio.press("Enter")
    state = studio.wait(f"!s.pending && s.objects.some((one) => one.name === '{name}')")
    found: Json = next(one for one in state["objects"] if one["name"] == name)
    return found


def on_disk(file: Path) -> list[Json]:
    """The annotations of an item, as SA-1B's layout has them."""
    if not file.exists():
        return []
    found: list[Json] = json.loads(file.read_text())["annotations"]
    return found


def names(file: Path) -> list[str]:
    return sorted(one["category"] for one in on_disk(file))


def test_from_pictures_to_a_data_set_and_back(open_page: Open, kept: tuple[Process, Path], tmp_path: Path) -> None:
    server, folder = kept
    studio = open_page(server.address).visit()
    create(studio, "street life", "bus.jpg", "street.jpg")
    open_item(studio, "bus.jpg")
    made = annotate(studio, BUS_BOX, "bus")
    file = folder / "street life" / "bus.json"
    until(lambda: names(file) == ["bus"], "the object in the file", seconds=3)
    assert (on_disk(file)[0]["segmentation"], on_disk(file)[0]["area"]) == (made["rle"], made["area"])
    studio.press("d")
    until(lambda: json.loads(file.read_text())["status"] == "done", "the status in the file", seconds=3)
    until(lambda: "1 of 2 done" in studio.by("project-progress").inner_text(), "the progress")
    # A reload comes back to the item and its object.
    studio.page.reload()
    studio.wait("s.current && s.current.name === 'bus.jpg' && s.objects.length === 1")
    assert studio.state()["objects"][0]["rle"] == made["rle"]
    # Out as COCO: a zip that pycocotools reads.
    studio.page.get_by_text("Export and import").click()
    with studio.page.expect_download() as download:
        studio.by("project-export-coco").click()
    archive = tmp_path / "out.zip"
    download.value.save_as(archive)
    with zipfile.ZipFile(archive) as inside:
        inside.extractall(tmp_path / "out")
    (annotations,) = (tmp_path / "out").rglob("*.json")
    data = COCO(annotations)
    (one,) = data.anns.values()
    assert (bitmap(data.annToRLE(one)) == bitmap(made["rle"])).all()
    assert data.cats[one["category_id"]]["name"] == "bus"
    assert {image["file_name"].rpartition("/")[2] for image in data.imgs.values()} == {"bus.jpg"}
    # And in again, into another project.
    studio.by("project-close").click()
    create(studio, "again")
    studio.page.get_by_text("Export and import").click()
    studio.by("import-file").set_input_files(archive)
    report = studio.page.get_by_role("dialog", name="Imported")
    report.wait_for()
    assert "1 new picture, 1 new object." in report.inner_text()
    studio.press("Escape")
    open_item(studio, "bus.jpg")
    (again,) = studio.wait("s.objects.length === 1")["objects"]
    assert (again["rle"], again["name"]) == (made["rle"], "bus")


def test_a_server_that_dies_while_saving_loses_nothing(
    open_page: Open, kept: tuple[Process, Path], serve: Serve
) -> None:
    server, folder = kept
    port = server.address.rpartition(":")[2]
    studio = open_page(server.address).visit()
    studio.expect(AWAY)
    create(studio, "p", "bus.jpg", "street.jpg")
    file = folder / "p" / "bus.json"
    open_item(studio, "bus.jpg")
    annotate(studio, BUS_BOX, "before")
    saved(studio)
    # Killed with a change on its way: names are given without the server's help.
    studio.press("b")
    studio.drag((30, 30), (90, 30))
    studio.wait("s.pending || s.objects.length")
    server.kill()
    studio.press("Escape", "Escape")
    studio.drag((30, 60), (90, 60))
    studio.press("n")
    studio.page.keyboard.type("while it was away")
    studio.press("Enter")
    until(lambda: studio.by("save-state").get_attribute("data-state") == "offline", "that the page says so")
    assert "will retry" in studio.by("save-state").inner_text()
    assert json.loads(file.read_text())  # whole, old or new
    objects = studio.state()["objects"]
    assert len(objects) == 2
    serve("--projects", "projects", "--port", port)
    saved(studio, 40)
    assert names(file) == ["before", "while it was away"]
    assert sorted(area(one["segmentation"]) for one in on_disk(file)) == sorted(one["area"] for one in objects)
    # And work goes on.
    studio.wait("s.live === 'open'")
    studio.press("p", "Escape")
    studio.click(430, 300)
    studio.answered()
    studio.keep()
    until(lambda: len(on_disk(file)) == 3, "the third object", seconds=5)


def test_what_is_not_saved_survives_a_reload_without_a_server(
    open_page: Open, kept: tuple[Process, Path], serve: Serve
) -> None:
    server, folder = kept
    port = server.address.rpartition(":")[2]
    studio = open_page(server.address).visit()
    studio.expect(AWAY)
    create(studio, "p", "bus.jpg")
    open_item(studio, "bus.jpg")
    annotate(studio, BUS_BOX, "saved")
    saved(studio)
    server.kill()
    studio.press("F2")
    studio.page.keyboard.type("renamed in the dark")
    studio.press("Enter")
    until(lambda: studio.by("save-state").get_attribute("data-state") == "offline", "that the page says so")
    studio.page.close()
    serve("--projects", "projects", "--port", port)
    page = studio.page.context.new_page()
    again = Studio(page, server.address)
    again.page.goto(f"{server.address}/#/project/p/bus.jpg")
    until(lambda: names(folder / "p" / "bus.json") == ["renamed in the dark"], "the change")
    again.wait("s.objects.length === 1 && s.objects[0].name === 'renamed in the dark'")
    assert not again.unexpected()


def test_going_on_keeps_and_saves_what_is_being_made(open_page: Open, kept: tuple[Process, Path]) -> None:
    server, folder = kept
    studio = open_page(server.address).visit()
    create(studio, "p", "bus.jpg", "street.jpg")
    open_item(studio, "bus.jpg")
    made = studio.box(*BUS_BOX)
    studio.press("PageDown")
    studio.wait("s.current && s.current.name === 'street.jpg'")
    file = folder / "p" / "bus.json"
    until(lambda: [one["area"] for one in on_disk(file)] == [made["area"]], "the object in the file", seconds=5)
    # There and back at once, with something on its way: nobody else was here, so there is no conflict.
    studio.ready()
    for round_ in range(4):
        studio.box(60 + 20 * round_, 60, 200 + 20 * round_, 190)
        studio.press("PageUp")
        studio.wait("s.current && s.current.name === 'bus.jpg'")
        studio.press("PageDown")
        studio.wait(f"s.current && s.current.name === 'street.jpg' && s.objects.length === {round_ + 1}")
    until(lambda: len(on_disk(folder / "p" / "street.json")) == 4, "four objects", seconds=5)
    saved(studio)


def test_a_save_whose_answer_is_lost_is_no_conflict(open_page: Open, kept: tuple[Process, Path]) -> None:
    server, folder = kept
    studio = open_page(server.address).visit()
    studio.expect(r"net::ERR_FAILED|status of 409")
    create(studio, "p", "bus.jpg")
    open_item(studio, "bus.jpg")
    lost: list[str] = []

    def lose(route: Route) -> None:
        if route.request.method != "PUT" or lost:
            return route.fallback()
        lost.append(route.request.url)
        route.fetch()  # the server saves
        return route.abort()  # and the page is not told

    studio.page.route("**/items/*", lose)
    annotate(studio, BUS_BOX, "bus")
    until(
        lambda: studio.by("save-state").is_visible() and lost, "the lost answer"
    )  # routes run while the page is asked
    annotate(studio, (10, 20, 80, 120), "lamp")
    saved(studio)
    assert not studio.page.get_by_role("dialog").is_visible()
    assert names(folder / "p" / "bus.json") == ["bus", "lamp"]


def test_two_people_at_one_item(open_page: Open, kept: tuple[Process, Path]) -> None:
    server, folder = kept
    one, other = open_page(server.address).visit(), open_page(server.address)
    other.expect("status of 409")
    create(one, "shared", "street.jpg")
    open_item(one, "street.jpg")
    other.page.goto(f"{server.address}/#/project/shared/street.jpg")
    other.ready()
    mine = annotate(one, (155, 115, 465, 350), "bus")
    saved(one)
    theirs = annotate(other, (130, 290, 270, 405), "taxi")
    dialog = other.page.get_by_role("dialog", name="Saved by somebody else")
    dialog.wait_for()
    assert "1 object" in dialog.inner_text()
    file = folder / "shared" / "street.json"
    assert names(file) == ["bus"]
    other.by("conflict-both").click()
    dialog.wait_for(state="hidden")
    until(lambda: names(file) == ["bus", "taxi"], "both")
    assert sorted(area(a["segmentation"]) for a in on_disk(file)) == sorted((mine["area"], theirs["area"]))
    saved(other)
    # The first one meets the conflict now, and takes what is there.
    one.expect("status of 409")
    one.press("h")
    one.by("conflict-theirs").click()
    one.wait("s.objects.length === 2")
    saved(one)
    assert names(file) == ["bus", "taxi"]
    # Their version is no dead end: undo brings one's own back.
    one.press("Control+z")
    one.wait("s.objects.length === 1")
    until(lambda: names(file) == ["bus"], "the undone")


def test_two_windows_of_one_person_follow_each_other(open_page: Open, kept: tuple[Process, Path]) -> None:
    server, _ = kept
    one = open_page(server.address).visit()
    create(one, "shared", "street.jpg")
    open_item(one, "street.jpg")
    other = Studio(one.page.context.new_page(), server.address)
    other.page.goto(f"{server.address}/#/project/shared/street.jpg")
    other.ready()
    annotate(one, (155, 115, 465, 350), "bus")
    assert other.wait("s.objects.length === 1")["objects"][0]["name"] == "bus"
    annotate(other, (130, 290, 270, 405), "taxi")
    one.wait("s.objects.length === 2")
    saved(one)
    saved(other)
    assert not other.unexpected()


def test_semi_automatic_fills_in(open_page: Open, kept: tuple[Process, Path]) -> None:
    server, folder = kept
    studio = open_page(server.address).visit()
    create(studio, "semi", "bus.jpg")
    studio.search_with(points_per_side=16)
    studio.by("engine-semi").check()
    studio.slide("engine-confidence", 0.35)
    open_item(studio, "bus.jpg")
    objects = studio.wait("s.objects.length > 0", 60)["objects"]
    assert all(one["score"] >= 0.35 and one["confirmed"] is False for one in objects)
    bar = studio.page.get_by_role("group", name="Item of the project")
    until(lambda: re.search(rf"{len(objects)} of \d+ to confirm", bar.inner_text()), "how many are to be confirmed")
    fewer = [one for one in objects if one["score"] >= 0.5]
    studio.slide("item-confidence", 0.5)
    assert len(studio.wait(f"s.objects.length === {len(fewer)}")["objects"]) == len(fewer) > 0
    studio.by("confirm-all").click()
    studio.wait("s.objects.every((one) => one.confirmed)")
    saved(studio)
    file = folder / "semi" / "bus.json"
    until(lambda: len(on_disk(file)) == len(fewer), "the confirmed ones on disk", seconds=5)


def test_automatic_runs_and_is_cancelled(open_page: Open, kept: tuple[Process, Path]) -> None:
    server, folder = kept
    studio = open_page(server.address).visit()
    create(studio, "auto", "bus.jpg", "flowers.jpg", "street.jpg")
    studio.by("engine-automatic").check()
    studio.by("engine-run").click()
    studio.by("automatic-progress").wait_for()
    until(lambda: studio.gauge('anymask_jobs{lane="long"}') == 1, "the search")
    until(lambda: on_disk(folder / "auto" / "bus.json"), "the first picture", 60)
    studio.by("automatic-cancel").click()
    studio.by("automatic-progress").wait_for(state="hidden")
    until(lambda: studio.gauge('anymask_jobs{lane="long"}') == 0, "the end of the work", 10)
    assert not on_disk(folder / "auto" / "street.json")
    assert studio.by("project-item-bus.jpg").get_attribute("data-status") == "started"
    assert studio.by("project-item-street.jpg").get_attribute("data-status") == "new"
    open_item(studio, "bus.jpg")
    objects = studio.wait("s.objects.length > 0")["objects"]
    assert len(objects) == len(on_disk(folder / "auto" / "bus.json"))
    # Review: accepted, it is confirmed, and the next one comes.
    if not studio.by("project-review").is_checked():
        studio.by("project-review").check()
    studio.by("review-accept").click()
    until(
        lambda: json.loads((folder / "auto" / "bus.json").read_text())["status"] == "reviewed", "the verdict", seconds=5
    )


def test_annotations_that_are_damaged(open_page: Open, kept: tuple[Process, Path]) -> None:
    server, folder = kept
    with httpx.Client(base_url=server.address, trust_env=False) as http:
        assert http.post("/api/projects", json={"name": "p"}).status_code == 201
        for name in ("a.jpg", "b.jpg"):
            assert http.post(f"/api/projects/p/items?name={name}", content=picture(name)).status_code == 201
    (folder / "p" / "a.json").write_text('{"image": {"image_id"')
    studio = open_page(server.address)
    studio.expect("status of 4")
    studio.visit("/#/project/p")
    row = studio.by("project-item-a.jpg")
    row.wait_for()
    assert "cannot be used" in row.inner_text()
    assert "a.json" in (row.get_attribute("title") or "")
    row.click()
    toast = studio.by("toast-error")
    toast.wait_for()
    assert "a.json" in toast.inner_text()
    # Nothing writes over it, and the others can be used.
    open_item(studio, "b.jpg")
    annotate(studio, BUS_BOX, "bus")
    saved(studio)
    assert (folder / "p" / "a.json").read_text() == '{"image": {"image_id"'


def test_files_dropped_on_the_project_go_into_it(open_page: Open, kept: tuple[Process, Path]) -> None:
    server, folder = kept
    studio = open_page(server.address).visit()
    create(studio, "p")
    drop(studio.page, [("x.jpg", "image/jpeg", BUS), ("x.jpg", "image/jpeg", picture("other"))])
    studio.by("project-item-x.jpg").wait_for()
    studio.by("project-item-x-2.jpg").wait_for()
    assert (folder / "p" / "x.jpg").read_bytes() in (BUS, picture("other"))
    assert {file.name for file in (folder / "p").glob("*.jpg")} == {"x.jpg", "x-2.jpg"}


def picture(name: str) -> bytes:
    """A picture of its own for each name."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(ASSETS / "bus.jpg") as bus:
        bus.save(buffer, "JPEG", quality=80, comment=name.encode())
    return buffer.getvalue()
