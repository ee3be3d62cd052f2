"""Whole projects out to other programs' files, and these into projects."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
from PIL import Image

from anymask import rle
from anymask.errors import FormatError
from anymask.formats import datasets
from anymask.formats.archives import Limits
from anymask.formats.sa1b import read_folder
from anymask.projects import Project, Projects
from anymask.projects.exchange import Report, export, import_files

ASSETS = Path(__file__).parents[1] / "assets"
FORMATS = list(datasets.MODULES)


@pytest.fixture
def projects(tmp_path: Path) -> Projects:
    return Projects(tmp_path / "projects")


@pytest.fixture
def project(projects: Projects) -> Project:
    """The bus with three objects that do not overlap, the street with none, and flowers that nobody has looked at."""
    project = projects.create("source")
    for name in ("bus.jpg", "street.jpg", "flowers.jpg"):
        project.add(ASSETS / name, name)
    field = cv2.GaussianBlur(np.random.default_rng(0).random((427, 640)).astype(np.float32), (0, 0), 20)
    shares = np.quantile(field, [0.2, 0.4, 0.6, 0.8])
    masks = [(field > shares[i]) & (field <= shares[i + 1]) for i in (0, 2)] + [field > shares[3]]
    names = ["bus", 'tram, "old"', "bus"]
    objects = [{"rle": rle.compress(rle.encode(mask)), "name": name} for mask, name in zip(masks, names, strict=True)]
    project.save("bus.jpg", 0, "done", objects)
    project.save("street.jpg", 0, "reviewed", [])
    return project


def taken(project: Project, tmp_path: Path, format: str, pictures: bool = True) -> Path:
    path = tmp_path / f"{format}.zip"
    path.write_bytes(b"".join(export(project, format, pictures)))
    return path


def content(project: Project) -> dict[str, list[tuple[str, bytes]]]:
    return {
        item.name: [(one.name, one.toggles.tobytes()) for one in project.content(item.name).objects]
        for item in project.items()
    }


@pytest.mark.parametrize("format", FORMATS)
def test_a_project_comes_back_in_a_new_one(project: Project, projects: Projects, tmp_path: Path, format: str) -> None:
    path = taken(project, tmp_path, format)
    copy = projects.create("copy")
    expected = content(project)
    if format != "sa1b":
        del expected["flowers.jpg"]
    report = import_files(copy, path)
    assert report == Report(len(expected), 3, [])
    assert content(copy) == expected
    for name in expected:
        assert (copy.folder / name).read_bytes() == (ASSETS / name).read_bytes()
    assert import_files(copy, path, format) == Report(0, 0, [])
    assert content(copy) == expected
    if format == "sa1b":
        assert {item.name: item.status for item in copy.items()} == {
            "bus.jpg": "done", "street.jpg": "reviewed", "flowers.jpg": "new"
        }  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_annotations_alone_go_to_the_pictures_there(
    project: Project, projects: Projects, tmp_path: Path, format: str
) -> None:
    path = taken(project, tmp_path, format, pictures=False)
    with ZipFile(path) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".jpg")]
    copy = projects.create("copy")
    copy.add(ASSETS / "bus.jpg", "bus.jpg")
    report = import_files(copy, path)
    assert (report.pictures, report.objects) == (0, 3)
    assert all("street" in sentence for sentence in report.skipped)
    assert content(copy)["bus.jpg"] == content(project)["bus.jpg"]


def test_what_is_left_out_is_told(project: Project, tmp_path: Path) -> None:
    (project.folder / "street.json").write_text("{")
    (project.folder / "bad.jpg").write_bytes(b"hello")
    with ZipFile(taken(project, tmp_path, "coco")) as archive:
        said = archive.read("LEFT-OUT.txt").decode()
        assert set(archive.namelist()) == {"annotations.json", "pictures/bus.jpg", "LEFT-OUT.txt"}
    assert "bad.jpg was left out: bad.jpg is in no format" in said
    assert "street.jpg was left out: street.json is not valid JSON" in said
    assert "Pictures that nobody has begun with were left out: 1." in said


def test_sa1b_is_the_project_as_it_is(project: Project, tmp_path: Path) -> None:
    with ZipFile(taken(project, tmp_path, "sa1b")) as archive:
        archive.extractall(tmp_path / "out")
    records = read_folder(tmp_path / "out")
    assert [(record.path.name, len(record.annotations)) for record in records] == [("bus.jpg", 3), ("street.jpg", 0)]
    assert (tmp_path / "out" / "flowers.jpg").exists()


def test_pictures_alone(projects: Projects, tmp_path: Path) -> None:
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(ASSETS / "bus.jpg", "deep/in/bus.jpg")
        archive.write(ASSETS / "bus.jpg", "again.jpg")
        archive.writestr("bad.png", b"hello")
        archive.writestr("readme.md", b"hello")
    report = import_files(projects.create("p"), tmp_path / "a.zip")
    assert report.pictures == 1
    assert len(report.skipped) == 2
    assert "bad.png is in no format" in report.skipped[1]
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(FormatError, match="No annotations were found"):
        import_files(projects.open("p"), tmp_path / "b.json")
    with pytest.raises(FormatError, match="no format 'xml'"):
        import_files(projects.open("p"), tmp_path / "a.zip", "xml")


def png(seed: int, size: tuple[int, int] = (20, 10)) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_pictures_of_one_name_in_several_folders(projects: Projects, tmp_path: Path) -> None:
    """Also where the project has one of that name already, and where a suffix is put right."""
    project = projects.create("p")
    (tmp_path / "own.png").write_bytes(png(0))
    project.add(tmp_path / "own.png", "a.png")
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("data.yaml", "names: [left, right]")
        for number, part in enumerate(("train", "val")):
            archive.writestr(f"images/{part}/a.jpg", png(number + 1))
            x = number / 2
            archive.writestr(f"labels/{part}/a.txt", f"{number} {x} 0 {x + 0.5} 0 {x + 0.5} 1 {x} 1\n")
    assert import_files(project, tmp_path / "a.zip") == Report(2, 2, [])
    assert {name: [one for one, _ in objects] for name, objects in content(project).items()} == {
        "a.png": [], "a-2.png": ["left"], "a-3.png": ["right"]
    }  # fmt: skip
    for name, x in (("a-2.png", 0), ("a-3.png", 10)):
        assert project.content(name).objects[0].measures == (100, (x, 0, 10, 10))


def coco_file(tmp_path: Path, mask: np.ndarray, name: str, file_name: str = "bus.jpg") -> Path:
    height, width = mask.shape
    data: dict[str, Any] = {
        "images": [{"id": 1, "file_name": file_name, "width": width, "height": height}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": rle.encode(mask)}],
        "categories": [{"id": 1, "name": name}],
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(data))
    return path


def test_nothing_that_is_there_is_lost(project: Project, tmp_path: Path) -> None:
    before = content(project)["bus.jpg"]
    whole = np.ones((427, 640), bool)
    assert import_files(project, coco_file(tmp_path, whole, "all")) == Report(0, 1, [])
    after = project.content("bus.jpg")
    assert content(project)["bus.jpg"][:3] == before
    assert [one.name for one in after.objects] == ["bus", 'tram, "old"', "bus", "all"]
    assert (after.item.status, after.objects[3].source) == ("done", "import")
    (project.folder / "bus.json").write_text("{")
    report = import_files(project, coco_file(tmp_path, whole, "all"))
    assert report.objects == 0
    assert "bus.json is not valid JSON" in report.skipped[0]
    assert (project.folder / "bus.json").read_text() == "{"


def test_sizes_that_do_not_fit_are_skipped(project: Project, tmp_path: Path) -> None:
    report = import_files(project, coco_file(tmp_path, np.ones((640, 427), bool), "turned"))
    assert report.objects == 0
    assert report.skipped == ["annotations.json is for 427 x 640 pixels, but bus.jpg has 640 x 427."]


def test_limits_hold_for_pictures_too(projects: Projects, tmp_path: Path) -> None:
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../../evil.png", png(1))
        archive.writestr("/evil.png", png(2))
        archive.writestr("good.png", png(3))
        archive.writestr("big.png", png(4, (200, 200)))
    project = projects.create("p")
    report = import_files(project, tmp_path / "a.zip", limits=Limits(picture=2000))
    assert report.pictures == 1
    assert [item.name for item in project.items()] == ["good.png"]
    assert len(report.skipped) == 3
    assert {path.name for path in tmp_path.rglob("*.png")} == {"good.png"}
    assert not list(project.folder.glob(".anymask-*"))
