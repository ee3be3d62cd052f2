"""How much of what is labelled a search finds, beside masks that are known."""

import json

import numpy as np
import pytest
from commandline import ran
from PIL import Image
from pycocotools import mask as coco

from anymask import Masks
from anymask.errors import FormatError
from anymask.evaluation.proposals import average_recall, best_iou, evaluate_proposals
from anymask.placement import Placement

SIZE = (120, 160)


def box(x0, y0, x1, y1):
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def masks_of(*arrays):
    logits = np.where(np.stack(arrays), np.float32(8), np.float32(-8)) if arrays else np.zeros((0, *SIZE), np.float32)
    return Masks(logits, np.ones(len(arrays)), Placement(*SIZE, *SIZE, *SIZE))


@pytest.fixture
def folder(tmp_path):
    """Two pictures: a small and a medium object and a part; and one without objects."""
    labelled = {"a": [(box(10, 10, 40, 40), "object"), (box(60, 20, 140, 100), "object"), (box(0, 0, 50, 50), "part")]}
    labelled["b"] = [(box(5, 5, 90, 90), "stuff")]
    for name, masks in labelled.items():
        Image.new("RGB", SIZE[::-1], (90, 90, 90)).save(tmp_path / f"{name}.jpg")
        found = []
        for mask, role in masks:
            code = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
            code = {"size": code["size"], "counts": code["counts"].decode()}
            found.append({"segmentation": code, "area": int(mask.sum()), "role": role})
        content = {"image": {"width": SIZE[1], "height": SIZE[0]}, "annotations": found}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


class Finder:
    """A segmenter and its picture: the medium object but for a fifth of it, and something else."""

    name = "finder"

    def __init__(self):
        self.asked = []

    def encode(self, path):
        return self

    def everything(self, **options):
        self.asked.append(options)
        return masks_of(box(60, 20, 124, 100), box(0, 100, 20, 120))


def test_objects_beside_the_masks_that_fit_best(folder):
    finder = Finder()
    result = evaluate_proposals(folder, finder, options={"second_look": True})
    assert finder.asked == [{"second_look": True}]  # the picture without objects is passed over
    assert result.counts == {"all": 2, "small": 1, "medium": 1}
    assert result.rows["small"] == (0, 0) and result.masks == 2
    assert result.rows["medium"] == pytest.approx((0.7, 0.8))  # 0.5 to 0.8 of ten thresholds
    assert result.rows["all"] == pytest.approx((0.35, 0.4))
    assert result.to_dict()["objects"]["medium"]["mean best IoU"] == pytest.approx(0.8)


def test_parts_of_it():
    assert best_iou(masks_of(), box(0, 0, 10, 10)) == 0
    assert best_iou(masks_of(box(0, 0, 10, 10), box(0, 0, 10, 5)), box(0, 0, 10, 5)) == 1
    assert average_recall(np.array([1.0, 0.5])) == pytest.approx(0.55)


def test_a_folder_without_objects(tmp_path, folder):
    (folder / "a.json").unlink()
    (folder / "a.jpg").unlink()
    with pytest.raises(FormatError, match="No object"):
        evaluate_proposals(folder, Finder())


def test_on_the_command_line(folder, tmp_path, capsys):
    printed = ran(capsys, "evaluate", folder, "--task", "everything", "--second-look", "--json", tmp_path / "out.json")
    assert printed.code == 0 and "average recall" in printed.out
    assert json.loads((tmp_path / "out.json").read_text())["count"] == {"all": 2, "small": 1, "medium": 1}
