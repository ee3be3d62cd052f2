"""Every file that masks are saved to, read back by somebody else's reader."""

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO

from anymask.errors import FormatError, ImageError
from anymask.masks import Masks, Placement

NONE = slice(0, 0)
# pycocotools 2.0.11 decodes with a warning on NumPy 2.
pycocotools_decodes = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")


@pytest.fixture
def masks() -> Masks:
    """A small square on a big one, a ring with a hole, and nothing at all."""
    logits = np.full((4, 32, 32), -4, np.float32)
    logits[0, 4:8, 4:8] = 4
    logits[1, 2:14, 2:14] = 4
    logits[2, 10:22, 16:30] = 4
    logits[2, 14:18, 20:26] = -4
    extra = {"stability_score": np.array([0.9, 0.8, 0.7, 0.6]), "point_coords": np.arange(8.0).reshape(4, 1, 2)}
    return Masks(logits, np.array([0.5, 0.6, 0.7, 0.8]), Placement.letterbox(100, 120, 128), extra=extra)


def test_one_mask_as_png(masks: Masks, tmp_path: Path) -> None:
    masks[2].save(tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as image:
        assert image.mode == "L"
        assert (np.asarray(image) == masks.array[2] * 255).all()
    masks[NONE].save(tmp_path / "none.png")
    with Image.open(tmp_path / "none.png") as image:
        assert image.size == (120, 100)
        assert image.getextrema() == (0, 0)


def test_several_masks_as_a_label_picture(masks: Masks, tmp_path: Path) -> None:
    masks.save(tmp_path / "labels.PNG")
    with Image.open(tmp_path / "labels.PNG") as image:
        assert image.mode == "P"
        labels = np.asarray(image)
        colors = np.asarray(image.convert("RGB"))
    a, b, c, _ = masks.array
    assert (labels == np.where(a, 1, np.where(b, 2, np.where(c, 3, 0)))).all()
    assert (colors[~masks.array.any(axis=0)] == 0).all()
    assert len({tuple(colors[labels == i][0]) for i in range(4)}) == 4


def test_more_than_255_masks_as_16_bits(tmp_path: Path) -> None:
    logits = np.full((300, 20, 15), -1, np.float32)
    logits.reshape(300, 300)[np.arange(300), np.arange(300)] = 1
    Masks(logits, np.ones(300), Placement(20, 15, 20, 15, 20, 15)).save(tmp_path / "many.png")
    with Image.open(tmp_path / "many.png") as image:
        assert image.mode == "I;16"
        assert (np.asarray(image) == np.arange(1, 301).reshape(20, 15)).all()


@pycocotools_decodes
def test_coco(masks: Masks, tmp_path: Path) -> None:
    masks.save(tmp_path / "a.json")
    data = COCO(tmp_path / "a.json")
    assert data.imgs[1] == {"id": 1, "file_name": "", "width": 120, "height": 100}
    for i, found in enumerate(data.loadAnns(data.getAnnIds())):
        assert (data.annToMask(found) == masks.array[i]).all()
        assert found["bbox"] == coco.toBbox(found["segmentation"]).tolist()
        assert found["area"] == coco.area(found["segmentation"])
        assert found["iscrowd"] == 0
        assert found["score"] == masks.scores[i]
        assert found["stability_score"] == masks.extra["stability_score"][i]
        assert found["point_coords"] == masks.extra["point_coords"][i].tolist()
    named = masks[0].to_coco(image_id=7, file_name="cat.jpg", category="cat")
    assert named["images"][0] | {"id": 7, "file_name": "cat.jpg"} == named["images"][0]
    assert named["annotations"][0]["image_id"] == 7
    assert named["categories"] == [{"id": 1, "name": "cat"}]
    assert masks[NONE].to_coco()["annotations"] == []


def test_svg(masks: Masks, tmp_path: Path) -> None:
    masks.save(tmp_path / "a.svg")
    root = ET.parse(tmp_path / "a.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("viewBox") == "0 0 120 100"
    paths = {path.get("id"): path.get("d", "") for path in root}
    assert list(paths) == ["mask-3", "mask-2", "mask-1", "mask-4"]  # small ones later, to be seen
    assert len({path.get("fill") for path in root}) == 4
    assert [paths[f"mask-{i}"].count("M") for i in (1, 2, 3, 4)] == [1, 1, 2, 0]
    points = np.array([pair.split() for pair in paths["mask-1"].strip("MZ").split("L")], float)
    x0, y0, x1, y1 = masks.boxes[0]
    assert np.abs(points.min(axis=0) - [x0, y0]).max() <= 0.5
    assert np.abs(points.max(axis=0) - [x1 + 1, y1 + 1]).max() <= 0.5


def test_geojson(masks: Masks, tmp_path: Path) -> None:
    masks.save(tmp_path / "a.geojson")
    data = json.loads((tmp_path / "a.geojson").read_text())
    assert data["type"] == "FeatureCollection"
    assert data["picture"]["width"] == 120
    square, _, ring, nothing = data["features"]
    assert square["properties"]["score"] == 0.5
    assert square["properties"]["stability_score"] == 0.9
    assert square["properties"]["area"] == masks.areas[0]
    assert nothing["geometry"] is None
    assert ring["geometry"]["type"] == "MultiPolygon"
    ((outer, hole),) = ring["geometry"]["coordinates"]
    for closed in (outer, hole):
        assert closed[0] == closed[-1]
        assert len(closed) >= 4
    assert min(x for x, _ in outer) < min(x for x, _ in hole)


def test_npz(masks: Masks, tmp_path: Path) -> None:
    masks.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as data:
        assert set(data) == {"masks", "scores", "areas", "boxes", "logits", "stability_score", "point_coords"}
        assert (data["masks"] == masks.array).all()
        assert data["masks"].dtype == bool
        assert (data["logits"] == masks.logits).all()
        assert (data["boxes"] == masks.boxes).all()


@pycocotools_decodes
def test_polygons_with_and_without_holes(masks: Masks) -> None:
    assert [len(rings) for rings in masks.polygons()] == [1, 1, 1, 0]
    assert [len(rings) for rings in masks.polygons(holes=True)] == [1, 1, 2, 0]
    # pycocotools takes them as they are; it fills outlines its own way, hence not exactly.
    rings = [ring.ravel().tolist() for ring in masks[1].polygons(tolerance=0)[0]]
    filled = coco.decode(coco.frPyObjects(rings, 100, 120))[..., 0]
    assert (filled != masks.array[1]).mean() < 0.005


def test_unknown_suffix_and_folders_that_are_missing(masks: Masks, tmp_path: Path) -> None:
    for name in ("a.docx", "a", "a.jpg"):
        with pytest.raises(FormatError, match=r"use one of \.png, \.json, \.svg, \.geojson, \.npz"):
            masks.save(tmp_path / name)
    with pytest.raises(ImageError, match="No such file or directory"):
        masks.save(tmp_path / "missing" / "a.png")
    assert os.listdir(tmp_path) == []
