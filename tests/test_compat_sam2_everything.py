"""Programs written for `sam2`'s automatic mask generator, with only the module's name changed.

Its rules are `segment_anything`'s, whose results the goldens hold (see test_everything.py)."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_compat_sam2 import Discs
from test_everything import GOLDENS, RUNS, StandIn

from anymask import ImageError, ModelError, PromptError
from anymask.compat.sam2 import SAM2AutomaticMaskGenerator, build_sam2
from anymask.placement import Box

PICTURE = np.random.default_rng(7).integers(0, 256, (60, 120, 3), np.uint8)


class Encoded:
    """The goldens' predictor as an encoded picture; `mask` is what it was last given."""

    embedding = ()

    def __init__(self, model: StandIn) -> None:
        self.model, self.placement = model, model.placement
        self.segmenter = SimpleNamespace(engine=self)

    def decode(self, embedding: Any, coords: np.ndarray, labels: np.ndarray, mask: Any = None) -> Any:
        logits, scores = self.model.predict_points(self.placement.to_picture(coords[:, 0]))
        return np.concatenate([logits[:, :1] - 9, logits], axis=1), np.concatenate([scores[:, :1], scores], axis=1)

    def crop(self, box: Box) -> "Encoded":
        return Encoded(self.model.crop(box))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Discs:
    engine = Discs()
    monkeypatch.setattr("anymask.segmenter.load_segment_engine", lambda *choice: engine)
    return engine


@pytest.mark.parametrize("run", RUNS)
def test_the_references_records(engine: Discs, monkeypatch: pytest.MonkeyPatch, run: str) -> None:
    expected = RUNS[run]["masks"]
    with np.load(GOLDENS / "amg_stand_in.npz") as stored:
        runs = [stored[f"{run}.{i}.rle"].tolist() for i in range(len(expected))]
    monkeypatch.setattr("anymask.compat.sam2.automatic_mask_generator.encode", lambda *given: Encoded(StandIn()))
    options = {"pred_iou_thresh": 0.88, **RUNS[run]["settings"], "output_mode": "uncompressed_rle"}
    records = SAM2AutomaticMaskGenerator(build_sam2("sam2_hiera_t.yaml"), **options).generate(PICTURE)
    assert [record["segmentation"] for record in records] == [{"size": [360, 500], "counts": one} for one in runs]
    for record, golden in zip(records, expected, strict=True):
        assert [record[name] for name in ("area", "bbox", "crop_box")] == [
            golden[name] for name in ("area", "bbox", "crop_box")
        ]
        assert record["point_coords"] == [golden["point_coords"]]
        assert record["predicted_iou"] == pytest.approx(golden["predicted_iou"], abs=1e-6)
        assert record["stability_score"] == pytest.approx(golden["stability_score"], abs=1e-6)
    json.dumps(records)


def test_the_notebook(engine: Discs) -> None:
    model = build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml")
    generator = SAM2AutomaticMaskGenerator(model, points_per_side=6, points_per_batch=20, stability_score_thresh=0.7)
    masks = generator.generate(PICTURE)
    assert masks and masks[0].keys() == {
        "segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"
    }  # fmt: skip
    assert masks[0]["segmentation"].shape == (60, 120) and masks[0]["segmentation"].dtype == np.bool_
    assert {round(mask["predicted_iou"], 3) for mask in masks} == {0.9}, "0.8 is the reference's default, not 0.88"
    assert [asked[0].shape for asked in engine.asked[:2]] == [(20, 1, 2), (16, 1, 2)] and engine.asked[0][2] is None
    again = generator.generate(Image.fromarray(PICTURE))
    assert [mask["bbox"] for mask in again] == [mask["bbox"] for mask in masks]
    assert len(masks[0]["point_coords"]) == 1 and masks[0]["crop_box"] == [0, 0, 120, 60]


OPTIONS: dict[str, Any] = {
    "points_per_side": None, "point_grids": [np.array([[0.5, 0.5]])], "stability_score_thresh": 0.5,
    "pred_iou_thresh": 0.0, "box_nms_thresh": 1.0,
}  # fmt: skip


def test_one_mask_or_three(engine: Discs) -> None:
    model = build_sam2("sam2_hiera_t.yaml")
    three = SAM2AutomaticMaskGenerator(model, **OPTIONS).generate(PICTURE)
    one = SAM2AutomaticMaskGenerator(model, **OPTIONS, multimask_output=False).generate(PICTURE)
    assert [record["predicted_iou"] for record in three] == pytest.approx([0.9, 0.8, 0.7])
    assert [record["predicted_iou"] for record in one] == pytest.approx([0.5])
    assert three[2]["area"] < one[0]["area"] < three[0]["area"] < three[1]["area"], "radii of 120, 160, 200 and 240"


def test_masks_from_masks(engine: Discs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every candidate is given back with its point, and the single answer to that takes its place."""
    plain = engine.decode

    def decode(embedding: Any, coords: Any, labels: Any, mask: Any = None) -> Any:
        logits, scores = plain(embedding, coords, labels, mask)
        if mask is not None:
            logits[:, 0], scores[:, 0] = mask - 10, 0.6 + np.arange(len(mask)) / 100  # of a smaller radius
        return logits, scores

    model = build_sam2("sam2_hiera_t.yaml")
    before = SAM2AutomaticMaskGenerator(model, **OPTIONS).generate(PICTURE)
    monkeypatch.setattr(engine, "decode", decode)
    after = SAM2AutomaticMaskGenerator(model, **OPTIONS, use_m2m=True).generate(PICTURE)
    (coords, _, none), (again, labels, masks) = engine.asked[-2:]
    assert none is None and np.array_equal(again, coords.repeat(3, axis=0)) and labels.tolist() == [[1]] * 3
    assert np.array_equal(masks, plain((), coords, np.ones((1, 1)))[0][0, 1:])
    assert [record["predicted_iou"] for record in after] == pytest.approx([0.62, 0.61, 0.6])
    areas = {round(record["predicted_iou"], 2): record["area"] for record in before}
    assert [record["area"] for record in after] != [areas[0.8], areas[0.9], areas[0.7]]
    assert all(a["area"] < areas[b] for a, b in zip(after, (0.8, 0.9, 0.7), strict=True))


def test_another_threshold(engine: Discs) -> None:
    generator = SAM2AutomaticMaskGenerator(build_sam2("sam2_hiera_t.yaml"), **OPTIONS)
    areas = [record["area"] for record in generator.generate(PICTURE)]
    generator.mask_threshold = 10.0
    smaller = [record["area"] for record in generator.generate(PICTURE)]
    assert len(smaller) == len(areas) == 3 and all(a < b for a, b in zip(smaller, areas, strict=True))


def test_what_is_wrong(engine: Discs) -> None:
    model = build_sam2("sam2_hiera_t.yaml")
    with pytest.raises(AssertionError, match="Exactly one of points_per_side or point_grids"):
        SAM2AutomaticMaskGenerator(model, points_per_side=None)
    with pytest.raises(AssertionError, match="output_mode must be one of binary_mask"):
        SAM2AutomaticMaskGenerator(model, output_mode="png")
    with pytest.raises(PromptError, match="pred_iou_thresh must be a number between"):
        SAM2AutomaticMaskGenerator(model, pred_iou_thresh=88)
    with pytest.raises(ImageError, match="must be a uint8 array"):
        SAM2AutomaticMaskGenerator(model).generate(PICTURE / 255)
    with pytest.raises(ModelError, match="There is no model 'facebook/sam3'"):
        SAM2AutomaticMaskGenerator.from_pretrained("facebook/sam3")
    assert SAM2AutomaticMaskGenerator.from_pretrained("facebook/sam2-hiera-tiny", use_m2m=True).use_m2m
