"""Data sets of many pictures: written, read by somebody else's reader, and read back."""

import json
import tempfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pycocotools.coco import COCO

from anymask import rle
from anymask.errors import FormatError
from anymask.formats import datasets, labels, yolo
from anymask.formats.annotations import MAX_NAME, LabelledObject, LabelledPicture, numbered
from anymask.formats.archives import Files

ASSETS = Path(__file__).parents[1] / "assets"
NAMES = ["cat", "", 'Großer "Hund": 1', "zebra, # crossing", "猫"]
pycocotools_decodes = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")


def labelled(mask: np.ndarray, name: str = "", **more: Any) -> LabelledObject:
    return LabelledObject(rle.compress(rle.encode(mask)), name, **more)


def read(format: str, data: bytes, known: Iterable[LabelledPicture]) -> tuple[list[LabelledPicture], list[str]]:
    """What a file holds, and the sentences about what was skipped."""
    bare = [LabelledPicture(one.file_name, one.width, one.height) for one in known]
    by_name = {key: one for one in bare for key in (one.file_name, one.stem)}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "upload").write_bytes(data)
        with Files(Path(folder) / "upload") as files:
            assert datasets.detect(files) == format
            found = list(datasets.read(format, files, lambda name, _: by_name.get(Path(name).name)))
            return found, files.skipped


def blobs(count: int, height: int, width: int, seed: int = 0) -> list[np.ndarray]:
    """Smooth masks with holes and pieces."""
    rng = np.random.default_rng(seed)
    fields = [cv2.GaussianBlur(rng.random((height, width)).astype(np.float32), (0, 0), 6) for _ in range(count)]
    return [field > np.quantile(field, 0.6) for field in fields]


pictures = st.tuples(st.integers(1, 16), st.integers(1, 16)).flatmap(
    lambda size: st.lists(
        st.tuples(arrays.arrays(bool, size).filter(np.any), st.sampled_from(NAMES)), min_size=1, max_size=4
    )
)


@pytest.mark.parametrize("format", ["coco", "yolo", "labelme", "sa1b"])
@settings(max_examples=40)
@given(pictures)
def test_masks_come_back_exactly(format: str, objects: list[tuple[np.ndarray, str]]) -> None:
    height, width = objects[0][0].shape
    record = LabelledPicture("é a.b.jpg", width, height, [labelled(*one) for one in objects], "done")
    empty = LabelledPicture("empty.png", 7, 5, [], "done")
    records, skipped = read(format, b"".join(datasets.export_many(format, [record, empty])), [record, empty])
    assert skipped == []
    found = {one.file_name: one for one in records}
    assert set(found) == {"é a.b.jpg", "empty.png"}
    assert not found["empty.png"].objects
    masks = found["é a.b.jpg"].objects
    assert [one.name for one in masks] == [name if format == "sa1b" else name or "object" for _, name in objects]
    for (mask, _), one in zip(objects, masks, strict=True):
        assert (rle.decode(one.rle) == mask).all()


@settings(max_examples=40)
@given(pictures)
def test_label_pictures_keep_what_is_on_top(objects: list[tuple[np.ndarray, str]]) -> None:
    height, width = objects[0][0].shape
    record = LabelledPicture("a.jpg", width, height, [labelled(*one) for one in objects], "done")
    (found,), skipped = read("labels", b"".join(datasets.export_many("labels", [record])), [record])
    assert skipped == []
    covered = np.zeros((height, width), bool)
    visible = []
    for mask, name in objects:
        visible += [(mask & ~covered, name)] if (mask & ~covered).any() else []
        covered |= mask
    assert [one.name for one in found.objects] == [name for _, name in visible]
    for (mask, _), one in zip(visible, found.objects, strict=True):
        assert (rle.decode(one.rle) == mask).all()


@pycocotools_decodes
def test_coco_of_many_pictures(tmp_path: Path) -> None:
    a, b, c = blobs(3, 40, 60)
    records = [
        LabelledPicture("one.jpg", 60, 40, [labelled(a, "cat", score=0.75), labelled(b, "dog")]),
        LabelledPicture("none.jpg", 30, 20),
        LabelledPicture("two.jpg", 60, 40, [labelled(c, "dog")]),
    ]
    with ZipFile(BytesIO(b"".join(datasets.export_many("coco", records)))) as archive:
        archive.extract("annotations.json", tmp_path)
    data = COCO(tmp_path / "annotations.json")
    assert [image["file_name"] for image in data.imgs.values()] == ["one.jpg", "none.jpg", "two.jpg"]
    assert {one["id"]: one["name"] for one in data.cats.values()} == {1: "cat", 2: "dog"}
    found = data.loadAnns(data.getAnnIds())
    assert [(one["image_id"], one["category_id"]) for one in found] == [(1, 1), (1, 2), (3, 2)]
    assert [one.get("score") for one in found] == [0.75, None, None]
    for one, mask in zip(found, (a, b, c), strict=True):
        assert (data.annToMask(one) == mask).all()
        assert one["area"] == mask.sum()
        x, y, width, height = map(int, one["bbox"])
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert (x, y, x + width - 1, y + height - 1) == (columns[0], rows[0], columns[-1], rows[-1])


def drawn(ring: np.ndarray, height: int, width: int) -> np.ndarray:
    """A ring filled by OpenCV, sixteen times enlarged and looked at in the middles of pixels."""
    canvas = np.zeros((height * 16 + 1, width * 16 + 1), np.uint8)
    cv2.fillPoly(canvas, [np.round(ring * 16).astype(np.int32)], 1)
    return canvas[8::16, 8::16] > 0


def test_yolo_labels_filled_by_another_program() -> None:
    masks = blobs(4, 60, 80)
    record = LabelledPicture("a.jpg", 80, 60, [labelled(mask, f"c{i % 2}") for i, mask in enumerate(masks)])
    classes: dict[str, int] = {}
    text = yolo.label_lines(record, classes)
    assert classes == {"c0": 0, "c1": 1}
    for line, mask in zip(text.splitlines(), masks, strict=True):
        number, *shares = map(float, line.split())
        assert min(shares) >= 0
        assert max(shares) <= 1
        found = drawn(np.array(shares).reshape(-1, 2) * [80, 60], 60, 80)
        assert mask.sum() > 400
        assert (found & mask).sum() / (found | mask).sum() > 0.97
        assert number in (0, 1)


def test_labelme_polygons_filled_by_another_program() -> None:
    masks = blobs(3, 60, 80)
    record = LabelledPicture("a.jpg", 80, 60, [labelled(mask, f"c{i}") for i, mask in enumerate(masks)])
    data, media, name = datasets.export_one("labelme", record)
    assert (media, name) == ("application/json", "a.json")
    content = json.loads(data)
    assert (content["imagePath"], content["imageWidth"], content["imageHeight"]) == ("a.jpg", 80, 60)
    for i, mask in enumerate(masks):
        shapes = [shape for shape in content["shapes"] if shape["label"] == f"c{i}"]
        assert len({shape["group_id"] for shape in shapes}) == 1
        assert (shapes[0]["group_id"] is None) == (len(shapes) == 1)
        found = np.any([drawn(np.array(shape["points"]), 60, 80) for shape in shapes], axis=0)
        assert (found & mask).sum() / (found | mask).sum() > 0.97
    assert content["shapes"][0]["label"] == "c2"  # the lowest first


def test_label_pictures_as_pillow_reads_them() -> None:
    big, small = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    big[2:18, 2:28], small[5:9, 5:9] = True, True
    record = LabelledPicture("a.jpg", 30, 20, [labelled(small, "eye"), labelled(big, "face"), labelled(big, "eye")])
    with ZipFile(BytesIO(b"".join(datasets.export_many("labels", [record])))) as archive:
        legend = json.loads(archive.read("legend.json"))
        with Image.open(archive.open("classes/a.png")) as image:
            assert image.mode == "P"
            classes = np.asarray(image)
        with Image.open(archive.open("instances/a.png")) as image:
            instances = np.asarray(image)
    assert {one["name"]: one["value"] for one in legend["classes"]} == {"eye": 1, "face": 2}
    assert (instances == np.where(small, 1, np.where(big, 2, 0))).all()
    assert (classes == np.where(small, 1, np.where(big, 2, 0))).all()
    assert [one["name"] for one in legend["pictures"][0]["objects"]] == ["eye", "face", "eye"]


def test_more_than_255_objects_in_label_pictures() -> None:
    objects = []
    for i in range(300):
        mask = np.zeros((15, 20), bool)
        mask.ravel()[i] = True
        objects.append(labelled(mask, f"n{i}"))
    record = LabelledPicture("a.jpg", 20, 15, objects)
    data = b"".join(datasets.export_many("labels", [record]))
    with ZipFile(BytesIO(data)) as archive, Image.open(archive.open("instances/a.png")) as image:
        assert image.mode == "I;16"
    assert (labels.paint(record).ravel() == np.arange(1, 301)).all()
    (found,), _ = read("labels", data, [record])
    assert [one.name for one in found.objects] == [f"n{i}" for i in range(300)]


def test_all_that_is_known_of_an_object_comes_back() -> None:
    more = {"score": 0.5, "stability_score": 0.25, "point": (3.0, 4.5), "id": 7, "color": "#12ab34"}
    one = labelled(np.eye(9, dtype=bool), "x", **more, hidden=True, locked=True, confirmed=True, source="brush")
    record = LabelledPicture("a.jpg", 9, 9, [one], "reviewed")
    for format in ("sa1b", "labels"):
        (found,), _ = read(format, b"".join(datasets.export_many(format, [record])), [record])
        assert found.objects[0].to_dict() == one.to_dict()
    (found,), _ = read("sa1b", b"".join(datasets.export_many("sa1b", [record])), [record])
    assert found.status == "reviewed"


def test_pictures_go_along_and_missing_ones_are_told_of(tmp_path: Path) -> None:
    records = [LabelledPicture("bus.jpg", 640, 427), LabelledPicture("gone.jpg", 10, 10)]
    missing = ["x was left out."]
    for format, folder in [("coco", "pictures/"), ("yolo", "images/"), ("labels", "pictures/"), ("sa1b", "")]:
        pieces = datasets.export_many(format, records, lambda one: ASSETS / one.file_name, list(missing))
        with ZipFile(BytesIO(b"".join(pieces))) as archive:
            assert archive.testzip() is None
            assert archive.read(f"{folder}bus.jpg") == (ASSETS / "bus.jpg").read_bytes()
            said = archive.read("LEFT-OUT.txt").decode().splitlines()
        assert said[0] == "x was left out."
        assert said[1].startswith(f"{folder}gone.jpg was left out, because it cannot be read")


def test_a_zip_is_sent_while_it_is_made(tmp_path: Path) -> None:
    big = tmp_path / "big.jpg"
    big.write_bytes(np.random.default_rng(0).bytes(9 << 20))
    taken = 0

    def records() -> Iterable[LabelledPicture]:
        nonlocal taken
        for i in range(20):
            taken += 1
            yield LabelledPicture(f"{i}.jpg", 10, 10, [labelled(np.eye(10, dtype=bool))], "done")

    pieces = datasets.export_many("sa1b", records(), lambda _: big)
    first = next(pieces)
    assert first.startswith(b"PK")
    assert taken < 3
    largest = max(map(len, pieces))
    assert largest < 4 << 20


@pytest.mark.parametrize("format", datasets.SINGLE)
def test_one_picture_in_every_format(format: str) -> None:
    masks = blobs(2, 40, 50)
    record = LabelledPicture("my bus.jpg", 50, 40, [labelled(masks[0], "a", score=0.5), labelled(masks[1])])
    data, media, name = datasets.export_one(format, record)
    assert name.startswith("my bus.")
    if media == "application/json":
        assert json.loads(data)
    elif media == "application/zip":
        with ZipFile(BytesIO(data)) as archive:
            assert archive.testzip() is None
    elif format == "npz":
        with np.load(BytesIO(data)) as arrays:
            assert (arrays["masks"] == np.stack(masks)).all()
            assert arrays["name"].tolist() == ["a", "object"]
    elif format == "png":
        with Image.open(BytesIO(data)) as image:
            assert set(np.unique(np.asarray(image))) == {0, 1, 2}
    else:
        assert media in ("image/svg+xml", "application/geo+json")
        assert data.count(b"0.5") >= 1
    assert datasets.export_one(format, LabelledPicture("", 4, 4))[2].startswith("picture.")


def test_unknown_formats() -> None:
    with pytest.raises(FormatError, match="no format 'docx'"):
        datasets.export_one("docx", LabelledPicture("a.jpg", 4, 4))
    with pytest.raises(FormatError, match="no format 'png' for data sets"):
        datasets.export_many("png", [])


def test_ids_are_made_unique() -> None:
    one = labelled(np.ones((2, 2), bool))
    given_ids = [LabelledObject(one.rle, id=number) for number in (0, 5, 5, 2, 0)]
    found = [each.id for each in numbered(given_ids)]
    assert len(set(found)) == 5
    assert found[1] == 5
    assert found[3] == 2
    assert 0 not in found


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "must be an RLE"),
        ({"name": "x" * (MAX_NAME + 1)}, "at most 200 characters"),
        ({"name": "a\nb"}, "control characters"),
        ({"name": "\ud800"}, "control characters"),
        ({"name": 5}, "must be text"),
        ({"color": "red"}, "#rrggbb"),
        ({"score": "high"}, "score must be a number"),
        ({"score": float("nan")}, "score must be a number"),
        ({"point": [1]}, r"\[x, y\]"),
        ({"point": [1, None]}, r"\[x, y\]"),
        ({"id": -1}, "id must be a whole number"),
        ({"id": True}, "id must be a whole number"),
        ({"hidden": "yes"}, "hidden must be true or false"),
        ({"source": "magic"}, "source must be one of"),
        ({"role": "hero"}, "role must be one of"),
    ],
)
def test_objects_from_outside_are_checked(values: dict[str, Any], sentence: str) -> None:
    good = {} if not values else {"rle": rle.encode(np.ones((3, 4), bool))}
    with pytest.raises(FormatError, match=sentence):
        LabelledObject.of({**good, **values}, 3, 4)


def test_names_of_every_script_are_fine() -> None:
    for name in ("Straßenbahn", "猫", "👩\u200d🚒", "a" * MAX_NAME):
        assert LabelledObject.of({"rle": rle.encode(np.ones((3, 4), bool)), "name": f" {name} "}, 3, 4).name == name
