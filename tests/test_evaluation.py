import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from anymask import rle
from anymask.errors import FormatError
from anymask.evaluation.clicks import centre_of, corrective_click
from anymask.evaluation.plots import PROMPT, _window, object_sheet, subject_sheet
from anymask.evaluation.protocol import evaluate, intersection_over_union
from anymask.formats.sa1b import read_folder


def rectangle(x0, y0, x1, y1, size=(60, 80)):
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def encode(mask):
    rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


@pytest.fixture
def folder(tmp_path):
    """Two pictures with bright rectangles on dark noise; the second also has a subject and an ignored strip."""
    rng = np.random.default_rng(0)
    for name, boxes in {"one": [(40, 30, 140, 130), (200, 60, 290, 200)], "deep/two": [(80, 50, 240, 190)]}.items():
        masks = [rectangle(*box, size=(240, 320)) for box in boxes]
        picture = rng.normal(50, 8, (240, 320, 3))
        for mask in masks:
            picture[mask] = rng.normal((220, 160, 60), 8, (int(mask.sum()), 3))
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path.with_suffix(".jpg"), quality=95)
        content = {
            "image": {"image_id": 1, "file_name": path.name + ".jpg", "width": 320, "height": 240},
            "annotations": [{"segmentation": encode(m), "area": int(m.sum())} for m in masks],
        }
        if name == "deep/two":
            content["subject"] = encode(masks[0])
            content["ignore"] = encode(rectangle(70, 40, 80, 200, size=(240, 320)))
        path.with_suffix(".json").write_text(json.dumps(content))
    return tmp_path


def test_reading_finds_pictures_at_any_depth(folder):
    records = read_folder(folder)
    assert [r.path.name for r in records] == ["two.jpg", "one.jpg"]
    assert [len(r.annotations) for r in records] == [1, 2]
    assert (records[1].height, records[1].width, records[1].subject) == (240, 320, None)
    assert rle.decode(records[0].annotations[0].rle).sum() == records[0].annotations[0].area == 160 * 140


def test_folders_that_are_not_data_sets(tmp_path):
    with pytest.raises(FormatError, match="holds no pictures"):
        read_folder(tmp_path)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg")
    (tmp_path / "a.json").write_text("{broken")
    with pytest.raises(FormatError, match=r"a\.json is not in the SA-1B layout"):
        read_folder(tmp_path)


def test_clicks_go_where_the_error_is_deepest():
    truth = rectangle(10, 10, 40, 40)
    x, y = centre_of(truth)
    assert abs(x - 25) <= 1 and abs(y - 25) <= 1
    point, label = corrective_click(np.zeros_like(truth), truth)
    assert label == 1 and truth[int(point[1]), int(point[0])]
    point, label = corrective_click(truth | rectangle(50, 5, 79, 55), truth)
    assert label == 0 and point[0] > 50
    assert corrective_click(truth, truth) is None


def test_iou_leaves_ignored_pixels_out():
    a, b = rectangle(0, 0, 10, 10), rectangle(0, 0, 20, 10)
    assert intersection_over_union(a, b) == 0.5
    assert intersection_over_union(a, b, ignore=rectangle(10, 0, 20, 10)) == 1.0
    assert intersection_over_union(a & ~a, a & ~a) == 1.0


def test_the_protocol_measures_every_kind_of_prompt(folder):
    seen = []
    result = evaluate(folder, device="cpu", on_progress=lambda done, total: seen.append((done, total)))
    assert list(result.rows) == ["box", "1 click", "1 click, chosen", "3 clicks", "5 clicks", "subject"]
    assert result.counts["box"] == 3 and result.counts["subject"] == 1
    assert seen == [(1, 2), (2, 2)]
    assert result.rows["box"] > 0.7
    assert result.rows["1 click"] >= result.rows["1 click, chosen"]
    assert json.loads(json.dumps(result.to_dict()))["iou"] == result.rows


def test_single_answers_are_kept_and_shown(folder, tmp_path):
    result = evaluate(folder, device="cpu")
    assert [one.path.name for one in result.objects] == ["two.jpg", "one.jpg", "one.jpg"]
    assert len(result.subjects) == 1
    one = result.objects[0]
    assert one.box == (80, 50, 240, 190) and abs(one.click[0] - 160) < 20
    assert intersection_over_union(rle.decode(one.predicted["box"]), rle.decode(one.truth)) == one.ious["box"]
    chosen = rle.decode(one.predicted["1 click, chosen"])
    assert intersection_over_union(chosen, rle.decode(one.truth)) == one.ious["1 click, chosen"]
    subject = result.subjects[0]
    assert rle.decode(subject.predicted).shape == rle.decode(subject.truth).shape
    object_sheet(result, tmp_path / "objects.png")
    subject_sheet(result, tmp_path / "subjects.png")
    with Image.open(tmp_path / "objects.png") as objects, Image.open(tmp_path / "subjects.png") as subjects:
        assert objects.width == subjects.width > 240
        assert objects.height == 2 * subjects.height
        prompt = (np.asarray(objects) == PROMPT).all(axis=-1)
        assert prompt[: subjects.height].any(axis=1).sum() > 100, "the box"
        assert prompt[subjects.height :].any(), "the click"


@pytest.mark.parametrize("box", [(0, 0, 20, 20), (300, 220, 320, 240), (5, 5, 315, 235), (100, 0, 130, 240)])
def test_what_a_cell_shows_holds_the_box(box):
    x0, y0, x1, y1 = _window(box, 240, 320)
    assert x0 <= box[0] and y0 <= box[1] and x1 >= box[2] and y1 >= box[3]
    assert (x1 - x0) / (y1 - y0) == pytest.approx(4 / 3, rel=0.02)
    assert x1 - x0 <= 320


def test_the_draw_is_limited_and_repeats(folder):
    one = evaluate(folder, device="cpu", limit=1, seed=3)
    assert one.counts["box"] == 1
    assert evaluate(folder, device="cpu", limit=1, seed=3).rows == one.rows
    with pytest.raises(FormatError, match="at least 100000 pixels"):
        evaluate(folder, device="cpu", min_area=100_000)
