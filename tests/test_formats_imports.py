"""Data sets that other programs made, and files that were made to do harm."""

import base64
import json
import stat
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from anymask import rle
from anymask.errors import FormatError
from anymask.formats import datasets
from anymask.formats.annotations import LabelledPicture
from anymask.formats.archives import MAX_SENTENCES, Files, Limits

WIDTH, HEIGHT = 40, 30
pycocotools_decodes = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
Read = Callable[..., tuple[dict[str, list[Any]], list[str]]]


def find(name: str, said_by: str) -> LabelledPicture | None:
    """A project with the pictures a.jpg and b.jpg, of 40 x 30 pixels."""
    stem = Path(name.replace("\\", "/")).name.removesuffix(".jpg")
    return LabelledPicture(f"{stem}.jpg", WIDTH, HEIGHT) if stem in ("a", "b") else None


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The objects in files, by picture, and the sentences."""

    def work(files: dict[str, Any] | bytes, format: str = "auto") -> tuple[dict[str, list[Any]], list[str]]:
        place = tmp_path / "upload"
        place.write_bytes(files if isinstance(files, bytes) else zipped(files))
        with Files(place) as opened:
            chosen = datasets.detect(opened) if format == "auto" else format
            found = {one.file_name: list(one.objects) for one in datasets.read(chosen, opened, find)}
            return found, opened.skipped

    return work


def zipped(files: dict[str, Any]) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, str | bytes) else json.dumps(content))
    return buffer.getvalue()


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def instances(*annotations: Any, **image: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 3, "file_name": "train/a.jpg", "width": WIDTH, "height": HEIGHT, **image}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 19, "name": "cow"}],
        "annotations": [{"id": i, "image_id": 3, **one} for i, one in enumerate(annotations, 1)],
    }


@pycocotools_decodes
def test_coco_polygons_lists_and_strings(read: Read) -> None:
    square = [2, 3, 12, 3, 12, 9, 2, 9]
    mask = box(5, 5, 30, 20)
    data = instances(
        {"category_id": 18, "segmentation": [square, [20, 20, 25, 20, 25, 25, 20, 25]]},
        {"category_id": 19, "segmentation": rle.encode(mask), "iscrowd": 1},
        {"category_id": 77, "segmentation": rle.compress(rle.encode(mask)), "score": 0.5},
    )
    found, skipped = read(json.dumps(data).encode())
    assert skipped == []
    first, second, third = found["a.jpg"]
    assert (rle.decode(first.rle) == box(2, 3, 12, 9) | box(20, 20, 25, 25)).all()
    assert (coco.decode(coco.frPyObjects([square], HEIGHT, WIDTH))[..., 0] == box(2, 3, 12, 9)).all()
    assert (rle.decode(second.rle) == mask).all()
    assert (rle.decode(third.rle) == mask).all()
    assert [(one.name, one.score) for one in found["a.jpg"]] == [("dog", None), ("cow", None), ("", 0.5)]
    assert {one.source for one in found["a.jpg"]} == {"import"}


@pytest.mark.parametrize(
    ("annotation", "sentence"),
    [
        ({"segmentation": []}, "has a box, but no mask"),
        ({}, "must be an RLE"),
        ({"segmentation": [[1, 2, 3]]}, "not lists of x and y"),
        ({"segmentation": ["abc"]}, "not lists of x and y"),
        ({"segmentation": [{"a": 1}]}, "not lists of x and y"),
        ({"segmentation": [[1, 2, 3, 4, 5, 1e400]]}, "finite numbers"),
        ({"segmentation": [[50, 50, 60, 50, 60, 60]]}, "mask is empty"),
        ({"segmentation": {"size": [30, 40], "counts": [1199]}}, "do not add up"),
        ({"segmentation": {"size": [40, 30], "counts": [1200]}}, "but the picture's is"),
        ({"segmentation": {"size": [30, 40], "counts": [0, 1200]}, "score": "x"}, "score must be a number"),
    ],
)
def test_bad_annotations_do_not_stop_good_ones(read: Read, annotation: dict[str, Any], sentence: str) -> None:
    good = {"category_id": 18, "segmentation": rle.encode(box(0, 0, 5, 5))}
    found, (said,) = read(json.dumps(instances(annotation, good)).encode())
    assert [one.name for one in found["a.jpg"]] == ["dog"]
    assert said.startswith("annotations.json, annotation 1 of train/a.jpg was skipped: ")
    assert sentence in said


def test_coco_of_another_size_and_of_pictures_that_are_not_there(read: Read) -> None:
    whole = {"segmentation": {"size": [30, 40], "counts": [0, 1200]}}
    _, (said,) = read(json.dumps(instances(whole, width=41)).encode())
    assert said == "annotations.json is for 41 x 30 pixels, but a.jpg has 40 x 30."
    _, (said, more) = read(json.dumps(instances(whole, file_name="x.jpg", id=9)).encode())
    assert "no picture 'x.jpg'" in said
    assert "picture 3 were skipped" in more
    data = instances(whole) | {"annotations": [5, {"image_id": [1]}], "images": [7, {"id": 1}], "categories": [None]}
    found, skipped = read(json.dumps(data).encode())
    assert not found
    assert len(skipped) == 4


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", "train: ../train\nnc: 2\nnames: ['dog', \"a: cow\"]\nroboflow:\n  x: 1\n"),
        ("data.yaml", "names:\n  0: dog # first\n  1: 'a: cow'\nnc: 2\n"),
        ("data.yaml", 'path: x\nnames:\n- dog\n- "a: cow"\ntrain: y\n'),
        ("dataset.yaml", "names: {0: dog, 1: 'a: cow'}\n"),
        ("data.yaml", "names: [\n  dog,\n  'a: cow'\n]\n"),
        ("classes.txt", "dog\na: cow\n"),
        ("obj.names", "dog\na: cow\n"),
    ],
)
def test_yolo_with_every_kind_of_list_of_classes(read: Read, name: str, text: str) -> None:
    if name == "obj.names":
        name = "labels/classes.txt"
    lines = "1 0.25 0.2 0.5 0.2 0.5 0.5 0.25 0.5\n\n0 0 0 1 0 1 1 0 1\n"
    found, skipped = read({name: text, "labels/train/a.txt": lines, "README.txt": "hello"})
    assert skipped == []
    cow, dog = found["a.jpg"]
    assert (cow.name, dog.name) == ("a: cow", "dog")
    assert (rle.decode(cow.rle) == box(10, 6, 20, 15)).all()
    assert rle.decode(dog.rle).all()


def test_yolo_lines_that_are_no_outlines(read: Read) -> None:
    lines = (
        "0 0.5 0.5 0.2 0.2\nx y\n0 0.1 0.1 0.2 0.2\n0.5 0 0 1 0 1 1\n0 nan 0 1 0 1 1\n3 0 0 1 0 1 1 0 1\n0 0 0 1 0 1\n"
    )
    found, skipped = read({"labels/a.txt": lines, "labels/c.txt": lines})
    assert [one.name for one in found["a.jpg"]] == ["class 3"]
    said = "\n".join(skipped)
    for sentence in (
        "no list of classes",
        "line 1 was skipped: it is a box",
        "line 2 was skipped: it is not a class and numbers",
        "line 3 was skipped: it is a box",
        "line 4 was skipped: it is not a class and numbers",
        "line 5 was skipped: An outline's coordinates must be finite",
        "line 7 was skipped: an outline needs three points",
        "no picture 'labels/c'",
    ):
        assert sentence in said


def labelme_file(*shapes: Any, **more: Any) -> dict[str, Any]:
    size = {"imageWidth": WIDTH, "imageHeight": HEIGHT}
    return {"version": "5.2.1", "shapes": shapes, "imagePath": "..\\photos\\a.jpg", **size, **more}


def test_labelme_shapes_of_every_kind(read: Read) -> None:
    disc = np.hypot(*np.mgrid[-3:4, -3:4]) <= 3
    png = base64.b64encode(cv2.imencode(".png", disc.astype(np.uint8) * 255)[1].tobytes()).decode()
    corners = [[2, 3], [12, 3], [12, 9], [2, 9]]
    shapes = [
        {"label": "square", "points": corners, "shape_type": "polygon", "group_id": None},
        {"label": "box", "points": [[20, 12], [10, 4]], "shape_type": "rectangle"},
        {"label": "round", "points": [[20, 15], [20, 25]], "shape_type": "circle"},
        {"label": "disc", "points": [[4, 6], [10, 12]], "shape_type": "mask", "mask": png},
        {"label": "two", "points": corners, "shape_type": "polygon", "group_id": 1},
        {"label": "two", "points": [[30, 20], [35, 25]], "shape_type": "rectangle", "group_id": 1},
        {"label": "other", "points": corners, "shape_type": "polygon", "group_id": 1},
        {"label": "line", "points": [[1, 1], [5, 5]], "shape_type": "line"},
        {"label": "bad", "points": [[1, 1], [5]], "shape_type": "polygon"},
        {"label": "bad", "points": [[1, 1], [5, 5]], "shape_type": "mask", "mask": "no base64"},
        {"label": "bad", "points": [[1, 1], [5, 5]], "shape_type": "mask", "mask": "aGVsbG8="},
        {"points": corners},
        7,
    ]
    found, skipped = read({"deep/x.json": labelme_file(*shapes)})
    by_name = {one.name: rle.decode(one.rle) for one in found["a.jpg"]}
    assert list(by_name) == ["other", "two", "disc", "round", "box", "square"]  # LabelMe's last is on top
    assert (by_name["square"] == box(2, 3, 12, 9)).all()
    assert (by_name["box"] == box(10, 4, 20, 12)).all()
    assert (by_name["two"] == box(2, 3, 12, 9) | box(30, 20, 35, 25)).all()
    assert (by_name["disc"][6:13, 4:11] == disc).all()
    assert by_name["disc"].sum() == disc.sum()
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    circle = np.hypot(x - 20, y - 15) < 10
    assert (circle & by_name["round"]).sum() / (circle | by_name["round"]).sum() > 0.98
    assert len(skipped) == 6


def test_a_labelme_mask_over_the_edge_is_cut_off(read: Read) -> None:
    png = base64.b64encode(cv2.imencode(".png", np.full((10, 10), 255, np.uint8))[1].tobytes()).decode()
    for (x, y), (width, height) in {(-4, 25): (6, 5), (35, -2): (5, 8)}.items():
        shape = {"label": "m", "points": [[x, y], [x + 9, y + 9]], "shape_type": "mask", "mask": png}
        found, _ = read({"a.json": labelme_file(shape)})
        assert found["a.jpg"][0].measures == (width * height, (max(0, x), max(0, y), width, height))


def test_label_pictures_that_do_not_fit(read: Read) -> None:
    def png(size: tuple[int, int], mode: str = "L") -> bytes:
        buffer = BytesIO()
        Image.new(mode, size, 1).save(buffer, "PNG")
        return buffer.getvalue()

    def files(data: bytes | None) -> dict[str, Any]:
        one = {"file_name": "a.jpg", "width": WIDTH, "height": HEIGHT, "instances": "instances/a.png"}
        legend = {"format": "anymask-labels", "classes": [], "pictures": [one]}
        return {"legend.json": legend} | ({} if data is None else {"instances/a.png": data})

    found, skipped = read(files(png((WIDTH, HEIGHT))))
    assert rle.decode(found["a.jpg"][0].rle).all()
    assert skipped == []
    for data, sentence in [
        (png((WIDTH - 1, HEIGHT)), "is no label picture of 40 x 30"),
        (png((WIDTH, HEIGHT), "RGB"), "is no label picture"),
        (png((4000, 4000)), "more than the 1200 pixels allowed"),
        (b"no png", "in no format that can be read"),
        (None, "there is no 'instances/a.png'"),
    ]:
        found, (said,) = read(files(data))
        assert not found
        assert sentence in said


def test_json_that_is_none(read: Read) -> None:
    for data in (b"{", b"[1]", b"\xff\xfe", b'{"a": ' + b"[" * 100_000, b'{"a": ' + b"9" * 10_000 + b"}", b"hello"):
        with pytest.raises(FormatError, match="No annotations were found"):
            read(data)
        for format in datasets.MODULES:
            found, _ = read(data, format)
            assert not found


def test_names_that_lead_elsewhere_are_skipped(tmp_path: Path) -> None:
    link = ZipInfo("link.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    bad = [
        "../evil.txt",
        "/etc/evil.txt",
        "a/../../evil.txt",
        "C:/evil.txt",
        "a\\..\\evil.txt",
        "evil.exe",
        "evil",
        "e\n.txt",
    ]
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in bad:
            archive.writestr(name, "x")
        archive.writestr(link, "/etc/passwd")
        for name in ("labels/a.txt", "__MACOSX/labels/a.txt", ".DS_Store", "labels/.hidden.txt", "folder/"):
            archive.writestr(name, "x")
    with Files(tmp_path / "a.zip") as files:
        assert files.names == ["labels/a.txt"]
        assert len(files.skipped) == len(bad) + 1
        assert not any("/etc/passwd" in sentence for sentence in files.skipped)


def test_bombs(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(
        zipped({"bomb.json": b" " * (5 << 20), "b.jpg": b"x" * 3000, "c.jpg": b"x" * 3000})
    )
    assert (tmp_path / "a.zip").stat().st_size < 20_000
    with Files(tmp_path / "a.zip", Limits(text=1 << 20, picture=3000, total=4 << 20)) as files:
        with pytest.raises(FormatError, match=r"bomb\.json was skipped, because it has more than the 1048576 bytes"):
            files.read("bomb.json")
        assert files.read("b.jpg") == b"x" * 3000
    with (
        Files(tmp_path / "a.zip", Limits(total=5000)) as files,
        pytest.raises(FormatError, match="more than the 5000 bytes allowed in all"),
    ):
        [files.read(name) for name in ("b.jpg", "c.jpg")]
    with pytest.raises(FormatError, match="has 3 files, more than the 2 allowed"):
        Files(tmp_path / "a.zip", Limits(entries=2))


def test_a_size_that_is_a_lie_does_not_help(tmp_path: Path) -> None:
    data = bytearray(zipped({"bomb.json": b" " * (5 << 20)}))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(mark) + place
        assert struct.unpack_from("<I", data, at) == (5 << 20,)
        struct.pack_into("<I", data, at, 10)
    (tmp_path / "a.zip").write_bytes(data)
    with Files(tmp_path / "a.zip", Limits(text=1 << 20)) as files, pytest.raises(FormatError, match="was skipped"):
        files.read("bomb.json")


def test_a_table_of_contents_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.json": "{}"}))
    struct.pack_into("<I", data, data.index(b"PK\x05\x06") + 12, 1 << 30)
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(FormatError, match="too many files"):
        Files(tmp_path / "a.zip")


def test_damaged_zips(tmp_path: Path, read: Read) -> None:
    whole = zipped({"labels/a.txt": "0 0 0 1 0 1 1 0 1\n" * 200, "classes.txt": "dog\n"})
    for data in (whole[: len(whole) // 2], b"PK\x03\x04" + b"\0" * 100):
        (tmp_path / "a.zip").write_bytes(data)
        with pytest.raises(FormatError, match="The zip is damaged"):
            Files(tmp_path / "a.zip")
    flipped = bytearray(whole)
    flipped[45:60] = b"\xff" * 15
    found, skipped = read(bytes(flipped), "yolo")
    assert not found
    assert any("labels/a.txt was skipped" in sentence for sentence in skipped)


def test_the_list_of_sentences_is_bounded(read: Read) -> None:
    _, skipped = read({"labels/a.txt": "0 1\n" * 1000, "classes.txt": "dog\n"})
    assert len(skipped) == MAX_SENTENCES + 1
    assert skipped[-1] == "800 more were skipped."
