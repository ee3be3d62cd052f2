"""Project folders: what is stored, what is refused, what a person does to the files by hand, and others at work."""

import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anymask import folders, rle
from anymask.errors import AnymaskError, FormatError, ImageError
from anymask.formats.annotations import LabelledObject, LabelledPicture
from anymask.formats.archives import PICTURES
from anymask.formats.sa1b import read_folder
from anymask.images import READABLE
from anymask.projects import ConflictError, DiskFullError, NotFoundError, Project, ProjectError, Projects
from anymask.projects.names import SUFFIXES

ASSETS = Path(__file__).parents[1] / "assets"
BUS, STREET = ASSETS / "bus.jpg", ASSETS / "street.jpg"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Projects(tmp_path / "projects").create("Street scenes")


def small(path: Path, seed: int = 0, size: tuple[int, int] = (12, 9), **options: Any) -> Path:
    """A picture of its own for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def rectangle(width: int, height: int, x0: int, y0: int, x1: int, y1: int) -> dict[str, Any]:
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return rle.compress(rle.encode(mask))


def obj(name: str = "bus", x0: int = 10, **more: Any) -> dict[str, Any]:
    """An object of the bus's picture."""
    return {"rle": rectangle(640, 427, x0, 20, 300, 200), "name": name, **more}


def test_projects_are_made_and_listed(tmp_path: Path) -> None:
    projects = Projects(tmp_path / "not" / "yet")
    assert projects.names() == []
    projects.create("b")
    projects.create("A 1").add(BUS, "bus.jpg")
    projects.open("A 1").save("bus.jpg", 0, "reviewed", [])
    (projects.root / ".hidden").mkdir()
    (projects.root / "file").write_text("no folder")
    assert projects.listing() == [{"name": "A 1", "pictures": 1, "done": 1}, {"name": "b", "pictures": 0, "done": 0}]
    for name in ("b", "B"):
        with pytest.raises(ConflictError, match="already"):
            projects.create(name)
    for name in ("c", "../A 1", "A 1/", "", ".hidden", "A 1/../b"):
        with pytest.raises(NotFoundError, match="There is no project"):
            projects.open(name)


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "../x", "a/b", "a\\b", "CON", "nul.txt", "com1", "x" * 101, "a.", " a", "ü", "a\nb", "a\0"],
)
def test_names_that_no_project_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProjectError, match="A project's name is"):
        Projects(tmp_path).create(name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("bus.jpg", "bus.jpg"),
        ("BUS.JPG", "BUS.jpg"),
        ("bus.jpeg", "bus.jpeg"),
        ("bus.png", "bus.jpg"),
        ("bus", "bus.jpg"),
        ("v1.2 of bus", "v1.2 of bus.jpg"),
        ("../x", "x.jpg"),
        ("../../etc/passwd", "passwd.jpg"),
        ("a/b", "b.jpg"),
        ("C:\\photos\\bus.jpg", "bus.jpg"),
        ("CON", "_CON.jpg"),
        ("nul.jpg", "_nul.jpg"),
        ("", "picture.jpg"),
        ("...", "picture.jpg"),
        (".jpg", "jpg.jpg"),
        (".hidden.jpg", "hidden.jpg"),
        ("a:b*c?.jpg", "a_b_c_.jpg"),
        ("line\nbreak\0.jpg", "line_break_.jpg"),
        ("Straße 猫.jpg", "Straße 猫.jpg"),
        ("e\u0301.jpg", "\u00e9.jpg"),
        ("a" * 300 + ".jpg", "a" * 150 + ".jpg"),
        ("猫" * 300, "猫" * 50 + ".jpg"),
        ("\ud800.jpg", "_.jpg"),
    ],
)
def test_names_of_pictures_are_made_safe(project: Project, name: str, stored: str) -> None:
    item, is_new = project.add(BUS, name)
    assert (item.name, is_new) == (stored, True)
    assert (project.folder / stored).read_bytes() == BUS.read_bytes()
    assert {path.name for path in project.folder.parent.parent.rglob("*.jp*g")} == {stored}
    project.save(stored, 0, "done", [obj()])
    project.remove(stored)
    assert project.items() == []


def test_the_same_bytes_are_the_same_item_and_the_same_name_is_not(project: Project, tmp_path: Path) -> None:
    first, _ = project.add(BUS, "foo.jpg")
    assert project.add(BUS, "other.jpg") == (first, False)
    assert project.add(STREET, "foo.jpg")[0].name == "foo-2.jpg"
    assert project.add(small(tmp_path / "a.png"), "FOO.png")[0].name == "FOO-3.png"  # annotations go by stem
    assert [item.name for item in project.items()] == ["FOO-3.png", "foo-2.jpg", "foo.jpg"]
    assert not list(project.folder.glob(".anymask-*"))


@pytest.mark.parametrize(
    ("format", "suffix"),
    [("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tif"), ("BMP", ".bmp"), ("GIF", ".gif"), ("PPM", ".ppm"),
     ("JPEG2000", ".jp2"), ("AVIF", ".avif")],
)  # fmt: skip
def test_every_format_gets_its_suffix(project: Project, tmp_path: Path, format: str, suffix: str) -> None:
    path = small(tmp_path / "upload", size=(33, 21), format=format)
    item, _ = project.add(path, "x.jpg")
    assert (item.name, item.width, item.height) == (f"x{suffix}", 33, 21)
    mask = rectangle(33, 21, 2, 3, 20, 10)
    project.save(item.name, 0, "done", [{"rle": mask}])
    (record,) = read_folder(project.folder)
    assert (record.path.name, record.annotations[0].rle) == (item.name, mask)


def test_every_format_that_can_be_read_has_a_suffix() -> None:
    assert set(SUFFIXES) == set(READABLE)
    assert {suffix for group in SUFFIXES.values() for suffix in group} <= PICTURES
    assert PICTURES == folders.PICTURES  # of a lower layer, which cannot ask the other


def test_sizes_are_upright(project: Project, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    item, _ = project.add(small(tmp_path / "turned.jpg", size=(40, 20), exif=exif), "turned.jpg")
    assert (item.width, item.height) == (20, 40)
    project.save(item.name, 0, "done", [{"rle": rectangle(20, 40, 0, 0, 5, 40)}])
    assert project.content(item.name).objects[0].measures == (200, (0, 0, 5, 40))


def test_what_is_no_picture_is_not_stored(project: Project, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    for data in (b"", b"hello", BUS.read_bytes()[:20_000]):
        bad.write_bytes(data)
        with pytest.raises(ImageError, match=r"^holiday\.jpg is") as told:
            project.add(bad, "/home/me/holiday.jpg")
        assert str(tmp_path) not in str(told.value)
    with pytest.raises(ImageError, match="more than the 1000"):
        Project(project.folder, max_pixels=1000).add(BUS, "bus.jpg")
    assert project.items() == []
    assert {path.name for path in project.folder.iterdir()} <= {".lock"}


def test_annotations_are_saved_and_read(project: Project) -> None:
    project.add(BUS, "bus.jpg")
    shown = {"color": "#ff8800", "hidden": True, "locked": True, "confirmed": True, "source": "brush"}
    found = {"score": 0.875, "stability_score": 0.5, "point": [30.5, 40.0]}
    empty = {"rle": {"size": [427, 640], "counts": [640 * 427]}, "name": ""}
    assert project.save("bus.jpg", 0, "started", [obj(id=7, **shown, **found), obj("person", 50), empty]) == 1
    content = project.content("bus.jpg")
    first, second, third = (one.to_dict() for one in content.objects)
    assert first == {"id": 7, "rle": obj()["rle"], "name": "bus", **shown, **found}
    assert (second["name"], second["id"], third["name"]) == ("person", 8, "")
    assert (content.item.status, content.item.objects, content.item.revision) == ("started", 3, 1)
    written = json.loads((project.folder / "bus.json").read_text())
    assert written["image"] == {
        "image_id": written["image"]["image_id"],
        "file_name": "bus.jpg",
        "width": 640,
        "height": 427,
    }
    assert written["annotations"][0] == {
        "id": 7,
        "segmentation": obj()["rle"],
        "bbox": [10, 20, 290, 180],
        "area": 290 * 180,
        "predicted_iou": 0.875,
        "stability_score": 0.5,
        "crop_box": [0, 0, 640, 427],
        "point_coords": [[30.5, 40.0]],
        "category": "bus",
        "anymask": shown,
    }
    assert (written["status"], written["revision"], written["source"]) == ("started", 1, "Street scenes")


def test_labels_come_by_use(project: Project) -> None:
    project.add(BUS, "bus.jpg")
    project.save("bus.jpg", 0, "done", [obj("a"), obj("b", 11), obj("b", 12), obj("", 13), obj("c", 14)])
    assert project.labels() == ["b", "a", "c"]


def test_saving_on_an_old_revision_is_a_conflict(project: Project) -> None:
    project.add(BUS, "bus.jpg")
    assert project.save("bus.jpg", 0, "started", [obj("mine")]) == 1
    for revision in (0, 2, 99):
        with pytest.raises(ConflictError, match="somebody else") as conflict:
            project.save("bus.jpg", revision, "done", [obj("theirs")])
        assert conflict.value.current
        assert conflict.value.current.item.revision == 1
        assert [one.name for one in conflict.value.current.objects] == ["mine"]
    assert project.save("bus.jpg", 1, "done", []) == 2
    assert project.items()[0].to_dict() == {
        "name": "bus.jpg", "status": "done", "objects": 0, "width": 640, "height": 427, "revision": 2
    }  # fmt: skip


@pytest.mark.parametrize(
    ("objects", "status", "sentence"),
    [
        ([{"rle": rectangle(427, 640, 0, 0, 5, 5)}], "done", "but the picture's is"),
        ([{"rle": {"size": [427, 640], "counts": "abc"}}], "done", "mask's (runs|counts)"),
        ([{"rle": {"size": [427, 640], "counts": [5]}}], "done", "do not add up"),
        ([{"name": "x"}], "done", "must be an RLE"),
        ([obj("x" * 201)], "done", "at most 200"),
        ([obj("a\x07")], "done", "control characters"),
        ([5], "done", "must be a JSON object"),
        ({"a": 1}, "done", "must be a list"),
        ([obj()] * 10_001, "done", "at most 10000"),
        ([], "finished", "status must be one of"),
        ([], None, "status must be one of"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(project: Project, objects: Any, status: Any, sentence: str) -> None:
    project.add(BUS, "bus.jpg")
    with pytest.raises(AnymaskError, match=sentence):
        project.save("bus.jpg", 0, status, objects)
    assert not (project.folder / "bus.json").exists()


def test_names_that_are_no_items(project: Project) -> None:
    project.add(BUS, "bus.jpg")
    (project.folder.parent / "secret.jpg").write_bytes(BUS.read_bytes())
    for name in ("x.jpg", "../secret.jpg", "..", "", ".lock", "bus.json", "./bus.jpg", "a/b.jpg", "bus.jpg/",
                 "bus.jpg\0", "x" * 300 + ".jpg", "\ud800.jpg", str(BUS)):  # fmt: skip
        for work in (project.content, project.remove, project.path, lambda name: project.save(name, 0, "done", [])):
            with pytest.raises(NotFoundError, match="There is no picture"):
                work(name)


def test_removed_pictures_are_kept_apart(project: Project) -> None:
    for _ in range(2):
        project.add(BUS, "bus.jpg")
        project.save("bus.jpg", 0, "done", [obj()])
        project.remove("bus.jpg")
    assert project.items() == []
    kept = {path.name for path in (project.folder / ".removed").iterdir()}
    assert kept == {"bus.jpg", "bus.json", "bus-2.jpg", "bus-2.json"}
    with pytest.raises(FormatError):  # training does not see them
        read_folder(project.folder)


def test_a_project_is_training_data(project: Project) -> None:
    project.add(BUS, "bus.jpg")
    project.add(STREET, "street.jpg")
    project.save("bus.jpg", 0, "done", [obj("bus"), obj("bus", 30)])
    project.add(ASSETS / "flowers.jpg", "flowers.jpg")
    project.save("flowers.jpg", 0, "done", [])
    project.remove("flowers.jpg")
    (record,) = read_folder(project.folder.parent)
    assert (record.path.name, record.width, record.height, record.source) == ("bus.jpg", 640, 427, "Street scenes")
    assert [(one.area, one.role) for one in record.annotations] == [(290 * 180, "object"), (270 * 180, "object")]
    assert rle.decode(record.annotations[0].rle)[20:200, 10:300].all()


def test_pictures_and_annotations_that_a_person_puts_there(project: Project) -> None:
    shutil.copy(BUS, project.folder / "IMG 1.JPG")
    (project.folder / "notes.txt").write_text("not a picture")
    (project.folder / "lonely.json").write_text("{}")
    (item,) = project.items()
    assert (item.name, item.status, item.revision, item.error) == ("IMG 1.JPG", "new", 0, None)
    annotation = {"segmentation": obj()["rle"], "area": 1, "role": "part", "my_note": "kept", "id": 4}
    content = {
        "image": {"width": 640, "height": 427, "licence": "mine"},
        "annotations": [annotation],
        "subject": obj()["rle"],
    }
    (project.folder / "IMG 1.json").write_text(json.dumps(content))
    (item,) = project.items()
    assert (item.status, item.objects) == ("started", 1)
    assert item.revision > 0
    found = project.content("IMG 1.JPG")
    objects = [one.to_dict() for one in found.objects]
    assert project.save("IMG 1.JPG", item.revision, "done", [*objects, obj("new")]) == item.revision + 1
    written = json.loads((project.folder / "IMG 1.json").read_text())
    assert written["subject"] == content["subject"]
    assert written["image"]["licence"] == "mine"
    assert written["image"]["file_name"] == "IMG 1.JPG"
    assert (written["annotations"][0]["role"], written["annotations"][0]["my_note"]) == ("part", "kept")
    assert written["annotations"][0]["area"] == 290 * 180


def test_an_edit_by_hand_is_not_saved_over(project: Project) -> None:
    project.add(BUS, "bus.jpg")
    project.save("bus.jpg", 0, "started", [obj("bus")])
    assert project.items()[0].revision == 1
    path = project.folder / "bus.json"
    for name in ("lorry", "tram"):
        before = project.items()[0].revision
        path.write_text(path.read_text().replace('"category": "bus"', f'"category": "{name}"').replace("lorry", name))
        item = project.items()[0]
        assert item.revision != before
        assert dict(item.labels) == {name: 1}
        with pytest.raises(ConflictError):
            project.save("bus.jpg", before, "done", [])
    project.save("bus.jpg", item.revision, "done", [])
    path.unlink()
    assert project.items()[0].revision == 0
    with pytest.raises(ConflictError):
        project.save("bus.jpg", item.revision + 1, "done", [])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda text: "", "not valid JSON"),
        (lambda text: text[: len(text) // 2], "not valid JSON"),
        (lambda text: "[1]", "must hold a JSON object"),
        (lambda text: "\ufffe" * 3, "not valid JSON"),
        (lambda text: "{}", "needs image"),
        (lambda text: text.replace("640", "641"), "is for a picture of 641 x 427 pixels, but bus.jpg has 640 x 427"),
        (lambda text: text.replace('"counts": "', '"counts": "0'), "mask's runs do not add up"),
        (lambda text: text.replace('"category": "bus"', '"category": 5'), "name must be text"),
        (lambda text: text.replace('"id": 1', '"id": "one"'), "id must be a whole number"),
        (lambda text: text.replace('"annotations": [', '"annotations": [7, '), "must be a JSON object"),
    ],
)  # fmt: skip
def test_damaged_annotations_are_told_of_and_set_aside(project: Project, damage: Any, sentence: str) -> None:
    project.add(BUS, "bus.jpg")
    project.add(STREET, "street.jpg")
    project.save("bus.jpg", 0, "started", [obj("bus")])
    path = project.folder / "bus.json"
    damaged = damage(path.read_text())
    path.write_text(damaged)
    bus, street = project.items()
    assert street.error is None
    assert bus.error
    assert sentence in bus.error
    assert bus.error.startswith("bus.json")
    assert (bus.status, bus.objects, bus.to_dict()["error"]) == ("new", 0, bus.error)
    assert not project.content("bus.jpg").objects
    with pytest.raises(ConflictError):
        project.save("bus.jpg", 1, "done", [obj("other")])
    with pytest.raises(ProjectError, match=r"bus\.json"):
        project.merge(LabelledPicture("bus.jpg", 640, 427, [LabelledObject(obj()["rle"])]))
    assert path.read_text() == damaged
    for number in (1, 2):
        project.save("bus.jpg", project.items()[0].revision, "done", [obj("other")])
        assert (project.folder / f"bus.json.damaged-{number}").read_text() == damaged
        assert project.items()[0].error is None
        path.write_text(damaged)
    assert len(list(project.folder.glob("*.damaged-*"))) == 2


def test_pictures_that_would_share_annotations(project: Project, tmp_path: Path) -> None:
    project.add(BUS, "a.jpg")
    project.save("a.jpg", 0, "done", [obj()])
    small(project.folder / "a.png")
    jpg, png = project.items()
    assert (jpg.error, png.objects) == (None, 0)
    assert png.error == "a.png and a.jpg would share a.json; rename one of them."
    with pytest.raises(ProjectError, match="would share"):
        project.save("a.png", 0, "done", [])
    project.remove("a.png")
    assert project.items() == [jpg]
    shutil.move(project.folder / "a.jpg", project.folder / "b.jpg")
    small(project.folder / "a.webp")
    webp, moved = project.items()
    assert webp.error
    assert moved.revision == 0


def test_pictures_that_are_damaged(project: Project) -> None:
    (project.folder / "bad.jpg").write_bytes(b"hello")
    (project.folder / "empty.png").write_bytes(b"")
    project.add(BUS, "bus.jpg")
    bad, bus, empty = project.items()
    assert bad.error
    assert bad.error.startswith("bad.jpg is in no format")
    assert (bad.width, bus.error) == (0, None)
    assert empty.error == "empty.png is empty (0 bytes)."
    with pytest.raises(ProjectError, match="no format"):
        project.save("bad.jpg", 0, "done", [])
    project.remove("bad.jpg")
    assert len(project.items()) == 2


def test_objects_are_put_below_those_there_are(project: Project) -> None:
    project.add(BUS, "bus.jpg")
    first, again, second = (LabelledObject(obj(x0=x)["rle"], "bus", id=1) for x in (10, 10, 20))
    assert project.merge(LabelledPicture("bus.jpg", 640, 427, [first, again])) == 1
    assert project.items()[0].status == "started"
    assert project.merge(LabelledPicture("bus.jpg", 640, 427, [second, first], "done"), only_new=True) == 0
    assert project.merge(LabelledPicture("bus.jpg", 640, 427, [second, first], "done")) == 1
    content = project.content("bus.jpg")
    assert [one.measures[1][0] for one in content.objects] == [10, 20]
    assert [one.id for one in content.objects] == [1, 2]
    assert content.item.status == "started"


def limited(size: int) -> Any:
    """A disk with no room for files above this size, for as long as it is used."""

    class Limit:
        def __enter__(self) -> None:
            self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, self.before[1]))

        def __exit__(self, *_: object) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, self.before)

    return Limit()


def test_no_room_for_a_file(project: Project) -> None:
    project.add(BUS, "bus.jpg")
    project.save("bus.jpg", 0, "started", [obj("mine")])
    path = project.folder / "bus.json"
    before = {path.name: path.read_bytes() for path in project.folder.iterdir()}
    with limited(100):
        with pytest.raises(DiskFullError, match=r"^The annotations of bus\.jpg cannot be saved \(File too large\)"):
            project.save("bus.jpg", 1, "done", [obj("mine"), obj("more", 40)])
        with pytest.raises(DiskFullError, match=r"^The picture street\.jpg cannot be stored \(File too large\)"):
            project.add(STREET, "street.jpg")
    assert {path.name: path.read_bytes() for path in project.folder.iterdir()} == before
    path.write_text(
        "damaged, and longer than the hundred bytes that there is room for, so that it cannot be copied" * 2
    )
    with limited(100), pytest.raises(DiskFullError):
        project.save("bus.jpg", project.items()[0].revision, "done", [obj()])
    assert path.read_text().startswith("damaged")
    assert not list(project.folder.glob("*.damaged-*"))
    assert project.save("bus.jpg", project.items()[0].revision, "done", [obj("mine")])


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True)
    if mount.returncode:
        pytest.skip("file systems may not be mounted here")
    try:
        project = Projects(place).create("p")
        project.add(BUS, "bus.jpg")
        saved = 0
        with pytest.raises(DiskFullError, match="No space left on device"):
            for saved in range(1, 1000):
                dots = np.random.default_rng(saved).random((427, 640)) < 0.01 * saved
                project.save("bus.jpg", saved - 1, "started", [{"rle": rle.compress(rle.encode(dots))}])
        assert saved > 1
        (item,) = project.items()
        assert (item.error, item.revision, item.objects) == (None, saved - 1, 1)
        with pytest.raises(DiskFullError, match="No space left on device"):
            (place / "filler").write_bytes(bytes(60_000))
            project.add(STREET, "street.jpg")
        assert len(project.items()) == 1
        assert not list(project.folder.glob(".anymask-*"))
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_must_not_be_written(project: Project) -> None:
    project.add(BUS, "bus.jpg")
    project.folder.chmod(0o500)
    try:
        with pytest.raises(ProjectError, match="Permission denied"):
            project.save("bus.jpg", 0, "done", [])
    finally:
        project.folder.chmod(0o700)


def test_leftovers_of_a_kill_are_cleared_after_a_day(project: Project) -> None:
    old, new = project.folder / ".anymask-1.tmp", project.folder / ".anymask-2.tmp"
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (time.time() - 90_000,) * 2)
    assert project.items() == []
    Project(project.folder)
    assert not old.exists()
    assert new.exists()


def test_a_hundred_pictures(project: Project) -> None:
    for i in range(100):
        small(project.folder / f"{i:03}.png", i)
    project.save("042.png", 0, "done", [{"rle": rectangle(12, 9, 0, 0, 3, 3), "name": "x"}])
    items = project.items()
    assert [item.name for item in items] == [f"{i:03}.png" for i in range(100)]
    assert sum(item.objects for item in items) == 1
    shutil.copy(project.folder / "001.png", project.folder / "000.png")
    (project.folder / "099.png").unlink()
    small(project.folder / "007.png", 7, size=(20, 30))
    again = {item.name: item for item in project.items()}
    assert len(again) == 99
    assert (again["007.png"].width, again["007.png"].height) == (20, 30)


@pytest.mark.slow
def test_two_thousand_pictures_are_listed_at_once(project: Project) -> None:
    data = small(project.folder / "0000.png").read_bytes()
    project.save("0000.png", 0, "done", [{"rle": rectangle(12, 9, 0, 0, 3, 3)}] * 20)
    annotations = (project.folder / "0000.json").read_bytes()
    for i in range(2000):
        (project.folder / f"{i:04}.png").write_bytes(data)
        (project.folder / f"{i:04}.json").write_bytes(annotations)
    assert len(project.items()) == 2000
    start = time.monotonic()
    assert sum(item.objects for item in project.items()) == 40_000
    assert time.monotonic() - start < 0.5


@pytest.mark.parametrize("shared", [True, False])
def test_threads_that_save_at_once(project: Project, shared: bool) -> None:
    """Everybody adds an object of his own again and again, on whatever is there by then; with a project of his own, as
    other processes have."""
    project.add(BUS, "bus.jpg")

    def work(name: str) -> None:
        mine = project if shared else Project(project.folder)
        for i in range(8):
            while True:
                now = mine.content("bus.jpg")
                objects = [one.to_dict() for one in now.objects]
                with suppress(ConflictError):
                    mine.save("bus.jpg", now.item.revision, "started", [*objects, obj(f"{name}{i}")])
                    break

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "abcd"))
    found = project.content("bus.jpg")
    assert sorted(one.name for one in found.objects) == sorted(f"{name}{i}" for name in "abcd" for i in range(8))
    assert found.item.revision == 32
    assert len({one.id for one in found.objects}) == 32


def test_threads_that_add_the_same_picture(project: Project, tmp_path: Path) -> None:
    others = [small(tmp_path / f"{i}.png", i) for i in range(4)]
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda path: project.add(path, "x.png"), [*others, *others, *others]))
    assert sorted(item.name for item in project.items()) == ["x-2.png", "x-3.png", "x-4.png", "x.png"]
    assert sum(is_new for _, is_new in added) == 4


WRITER = """
import sys
from pathlib import Path
from anymask.images import READABLE
from anymask.projects import ConflictError, Project
project, name, count = Project(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
for i in range(count):
    while True:
        now = project.content("bus.jpg")
        objects = [one.to_dict() for one in now.objects][:60]
        one = {"rle": {"size": [427, 640], "counts": [i, 5, 640 * 427 - i - 5]}, "name": f"{name}{i}"}
        try:
            project.save("bus.jpg", now.item.revision, "started", [one, *objects])
            break
        except ConflictError:
            pass
"""


def writer(project: Project, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(project.folder), name, str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_two_processes_that_save_at_once(project: Project) -> None:
    project.add(BUS, "bus.jpg")
    writers = [writer(project, name, 25) for name in ("a", "b")]
    for process in writers:
        process.communicate(timeout=60)
        assert process.returncode == 0
    found = project.content("bus.jpg")
    assert sorted(one.name for one in found.objects) == sorted(f"{name}{i}" for name in "ab" for i in range(25))
    assert found.item.revision == 50


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_whole_annotations(project: Project) -> None:
    project.add(BUS, "bus.jpg")
    last = 0
    for attempt in range(8):
        process = writer(project, f"{attempt}-", 1_000_000)
        time.sleep(0.1 + 0.037 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        (item,) = project.items()
        assert item.error is None
        assert item.revision > last
        last = item.revision
        content = project.content("bus.jpg")
        assert len(content.objects) == item.objects == min(61, item.revision - attempt)
        last = project.save("bus.jpg", last, "started", content.objects)  # the lock went with its holder
    (project.folder / ".lock").unlink()
    assert {path.name for path in project.folder.iterdir() if path.suffix != ".tmp"} == {"bus.jpg", "bus.json"}


def test_readers_never_see_half_of_a_file(project: Project) -> None:
    project.add(BUS, "bus.jpg")
    over = threading.Event()
    seen: list[tuple[str | None, int]] = []

    def read() -> None:
        while not over.is_set():
            item = project.items()[0]
            seen.append((item.error, item.revision))

    thread = threading.Thread(target=read)
    thread.start()
    for revision in range(20):
        project.save("bus.jpg", revision, "started", [obj(str(i)) for i in range(revision)])
    over.set()
    thread.join()
    assert {error for error, _ in seen} == {None}
    revisions = [revision for _, revision in seen]
    assert revisions == sorted(revisions)


def test_bytes_of_an_open_file_are_pictures_too(project: Project, tmp_path: Path) -> None:
    """An upload lies under a name without a suffix."""
    upload = tmp_path / "upload-x1"
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (255, 0, 0, 100)).save(buffer, "PNG")
    upload.write_bytes(buffer.getvalue())
    item, _ = project.add(upload, "logo")
    assert item.name == "logo.png"
    assert upload.exists()
