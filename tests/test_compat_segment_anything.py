"""Programs written for segment_anything 1.0, with only the module's name changed.

Shapes, types and errors are those of the reference package, which the same calls were made of side by side, with one
small network behind both. Here a stand-in answers in place of a network: discs around what was clicked.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import parity
import pytest
import torch
import torch.nn.functional as F
from test_everything import GOLDENS, RUNS, StandIn

from anymask import ImageError, MissingExtraError, ModelError, PromptError
from anymask.catalog import find
from anymask.compat.segment_anything import (
    SamAutomaticMaskGenerator,
    SamPredictor,
    build_sam,
    build_sam_vit_b,
    sam_model_registry,
)
from anymask.compat.segment_anything.utils.amg import (
    area_from_rle,
    batch_iterator,
    batched_mask_to_box,
    box_xyxy_to_xywh,
    build_all_layer_point_grids,
    calculate_stability_score,
    coco_encode_rle,
    generate_crop_boxes,
    is_box_near_crop_edge,
    mask_to_rle_pytorch,
    remove_small_regions,
    rle_to_mask,
    uncrop_masks,
    uncrop_points,
)
from anymask.compat.segment_anything.utils.transforms import ResizeLongestSide

PICTURE = np.random.default_rng(7).integers(0, 256, (60, 100, 3), np.uint8)
SIZE = PICTURE.shape[:2]
POINT, LABEL = np.array([[70, 20]]), np.array([1])
BOX = np.array([10, 10, 50, 50])


class Discs:
    """An engine that keeps a 16th of what it sees, and answers discs of 8 radii around the mean of the prompt's points;
    an earlier mask is added to its logits."""

    def __init__(self) -> None:
        self.spec = find("sam_vit_b")
        self.seen: list[Any] = []
        self.prepared = 0

    def encode(self, rgb: np.ndarray) -> tuple[np.ndarray, ...]:
        self.seen.append(np.array(rgb))
        features = np.zeros((1, 256, 64, 64), np.float32)
        small = rgb[::16, ::16].astype(np.float32).transpose(2, 0, 1)
        features[0, :3, : small.shape[1], : small.shape[2]] = small
        return (features,)

    def prepare(self, features: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        self.prepared += 1
        return (*features, features[0].mean(axis=(2, 3)))

    def decode(
        self, embedding: tuple[np.ndarray, ...], coords: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append((coords, labels, mask))
        assert coords.dtype == labels.dtype == np.float32
        y, x = np.mgrid[:256, :256] * 4 + 2
        logits = np.zeros((len(coords), 4, 256, 256), np.float32)
        for one, points, kinds in zip(logits, coords, labels, strict=True):
            centre = points[kinds > 0].mean(axis=0) if (kinds > 0).any() else (512, 512)
            distance = np.hypot(x - centre[0], y - centre[1])
            one[:] = [(radius - distance) / 10 for radius in (120, 80, 160, 240)]
        if mask is not None:
            logits += mask[:, None]
        scores = np.tile(np.array([0.5, 0.7, 0.9, 0.8], np.float32), (len(coords), 1))
        return logits, scores + embedding[1].mean() * 1e-4


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Discs:
    engine = Discs()
    monkeypatch.setattr("anymask.segmenter.load_segment_engine", lambda *choice: engine)
    return engine


@pytest.fixture
def predictor(engine: Discs) -> SamPredictor:
    predictor = SamPredictor(sam_model_registry["vit_b"]())
    predictor.set_image(PICTURE)
    return predictor


def test_the_predictor_s_notebook(predictor: SamPredictor) -> None:
    masks, scores, logits = predictor.predict(point_coords=POINT, point_labels=LABEL, multimask_output=True)
    assert (masks.shape, masks.dtype) == ((3, 60, 100), np.bool_)
    assert (scores.shape, scores.dtype) == ((3,), np.float32)
    assert (logits.shape, logits.dtype) == ((3, 256, 256), np.float32)
    assert masks[:, 20, 70].all()
    assert not masks[:, 20, 30].any()
    assert masks.sum(axis=(1, 2)).argsort().tolist() == [0, 1, 2]

    mask_input = logits[np.argmax(scores), :, :]
    points, labels = np.array([[70, 20], [90, 50]]), np.array([1, 0])
    refined, score, low = predictor.predict(points, labels, mask_input=mask_input[None, :, :], multimask_output=False)
    assert (refined.shape, score.shape, low.shape) == ((1, 60, 100), (1,), (1, 256, 256))
    assert refined.sum() > predictor.predict(points, labels, multimask_output=False)[0].sum()

    boxed, _, _ = predictor.predict(point_coords=None, point_labels=None, box=BOX[None, :], multimask_output=False)
    assert boxed[0, 30, 30]
    assert not boxed[0, 30, 80]
    assert (predictor.predict(box=BOX, multimask_output=False)[0] == boxed).all()

    boxes = torch.tensor([[10, 10, 50, 50], [60, 5, 90, 40], [0, 0, 100, 60]], device=predictor.device)
    sent = predictor.transform.apply_boxes_torch(boxes, PICTURE.shape[:2])
    many, qualities, low_res = predictor.predict_torch(
        point_coords=None, point_labels=None, boxes=sent, multimask_output=False
    )
    assert (many.shape, many.dtype) == (torch.Size([3, 1, 60, 100]), torch.bool)
    assert (qualities.shape, qualities.dtype) == (torch.Size([3, 1]), torch.float32)
    assert (low_res.shape, low_res.dtype) == (torch.Size([3, 1, 256, 256]), torch.float32)
    assert (many[0].numpy() == boxed).all()


def test_pictures_in_one_call(engine: Discs, predictor: SamPredictor) -> None:
    """The end of the predictor's notebook: the model itself, called with a list of dicts."""
    sam = predictor.model
    resize = ResizeLongestSide(sam.image_encoder.img_size)
    tall = np.ascontiguousarray(PICTURE[:, :30])

    def prepared(image: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(resize.apply_image(image), device=sam.device).permute(2, 0, 1).contiguous()

    boxes = torch.tensor([[10, 10, 50, 50], [60, 5, 90, 40]])
    records = [
        {"image": prepared(PICTURE), "boxes": resize.apply_boxes_torch(boxes, SIZE), "original_size": SIZE},
        {
            "image": prepared(tall),
            "point_coords": torch.tensor([[[500.0, 512.0]], [[100.0, 90.0]], [[7.0, 8.0]]]),
            "point_labels": torch.ones(3, 1),
            "original_size": tall.shape[:2],
        },
    ]
    wide, narrow = sam(records, multimask_output=False)
    assert list(wide) == ["masks", "iou_predictions", "low_res_logits"]
    assert (wide["masks"].shape, wide["masks"].dtype) == (torch.Size([2, 1, 60, 100]), torch.bool)
    assert narrow["masks"].shape == (3, 1, 60, 30)
    assert (narrow["iou_predictions"].shape, narrow["low_res_logits"].shape) == ((3, 1), (3, 1, 256, 256))
    assert sam(records, multimask_output=True)[1]["masks"].shape == (3, 3, 60, 30)
    assert (wide["masks"][0].numpy() == predictor.predict(box=BOX, multimask_output=False)[0]).all()
    assert engine.seen[-1][2] is None


def test_the_onnx_notebook_s_attributes(predictor: SamPredictor) -> None:
    sam = predictor.model
    embedding = predictor.get_image_embedding().cpu().numpy()
    assert (embedding.shape, embedding.dtype) == ((1, 256, 64, 64), np.float32)
    assert (sam.prompt_encoder.embed_dim, sam.prompt_encoder.image_embedding_size) == (256, (64, 64))
    assert (sam.prompt_encoder.input_image_size, sam.prompt_encoder.mask_input_size) == ((1024, 1024), (256, 256))
    assert (sam.mask_decoder.num_multimask_outputs, sam.mask_decoder.num_mask_tokens) == (3, 4)
    assert (sam.image_encoder.img_size, sam.mask_threshold, sam.image_format) == (1024, 0.0, "RGB")
    with pytest.raises(ModelError, match="MaskDecoder cannot be called by itself"):
        sam.mask_decoder(image_embeddings=embedding)


def test_prompts_reach_the_engine_in_input_pixels(engine: Discs, predictor: SamPredictor) -> None:
    predictor.predict(np.array([[70, 20], [0, 60]]), np.array([1, 0]), box=BOX)
    coords, labels, mask = engine.seen[-1]
    scale = np.array([1024 / 100, 614 / 60])
    np.testing.assert_allclose(coords[0], np.array([[70, 20], [0, 60], [10, 10], [50, 50]]) * scale, rtol=1e-6)
    assert (labels.tolist(), mask) == ([[1, 0, 2, 3]], None)
    logits = np.random.default_rng(0).normal(size=(1, 256, 256)).astype(np.float32)
    predictor.predict(mask_input=logits)
    assert engine.seen[-1][0].shape == (1, 0, 2)
    assert (engine.seen[-1][2] == logits).all()
    points, labels_torch = torch.rand(3, 2, 2) * 600, torch.tensor([[1, 0], [1, -1], [0, 0]])
    predictor.predict_torch(points, labels_torch, mask_input=torch.from_numpy(logits)[None])
    assert (engine.seen[-1][0] == points.numpy()).all()
    assert engine.seen[-1][1].tolist() == labels_torch.tolist()
    assert engine.seen[-1][2].shape == (3, 256, 256)
    assert engine.prepared == 1


def test_masks_are_enlarged_in_two_steps(predictor: SamPredictor) -> None:
    logits, _, low = predictor.predict(POINT, LABEL, return_logits=True)
    square = F.interpolate(torch.from_numpy(low)[None], (1024, 1024), mode="bilinear", align_corners=False)
    expected = F.interpolate(square[..., :614, :], SIZE, mode="bilinear", align_corners=False)[0].numpy()
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert (predictor.predict(POINT, LABEL)[0] == (logits > 0)).all()
    again = predictor.model.postprocess_masks(torch.from_numpy(low)[None], predictor.input_size, SIZE)
    assert (again[0].numpy() == logits).all()
    predictor.model.mask_threshold = 2.5
    assert (predictor.predict(POINT, LABEL)[0] != (logits > 2.5)).mean() < 1e-3
    assert (predictor.predict(POINT, LABEL, return_logits=True)[0] == logits).all()


def test_pictures_reach_the_engine_at_its_scale(engine: Discs, predictor: SamPredictor) -> None:
    resized = predictor.transform.apply_image(PICTURE)
    assert resized.shape == (614, 1024, 3)
    assert (engine.seen[0] == resized).all()
    assert (predictor.original_size, predictor.input_size) == ((60, 100), (614, 1024))
    predictor.set_image(PICTURE, image_format="BGR")
    assert (engine.seen[1] == predictor.transform.apply_image(PICTURE[..., ::-1])).all()
    tensor = torch.from_numpy(resized).permute(2, 0, 1)[None] * 0.5
    predictor.set_torch_image(tensor, SIZE)
    assert (engine.seen[2] == resized * np.float32(0.5)).all()
    assert predictor.is_image_set
    predictor.model.image_encoder(predictor.model.preprocess(tensor))
    np.testing.assert_allclose(engine.seen[3][:614], resized * 0.5, atol=1e-4)
    np.testing.assert_allclose(engine.seen[3][614:], np.broadcast_to([123.675, 116.28, 103.53], (410, 1024, 3)), 1e-6)


def test_an_embedding_kept_for_later(engine: Discs, predictor: SamPredictor, tmp_path: Path) -> None:
    """As programs do it that save `features` and set the attributes of another predictor."""
    names = ("original_size", "input_size", "features", "is_image_set")
    torch.save({name: getattr(predictor, name) for name in names}, tmp_path / "embedding.pt")
    expected = predictor.predict(POINT, LABEL)
    fresh = SamPredictor(sam_model_registry["vit_b"]())
    for name, value in torch.load(tmp_path / "embedding.pt").items():
        setattr(fresh, name, value)
    pictures = sum(isinstance(seen, np.ndarray) for seen in engine.seen)
    assert all((a == b).all() for a, b in zip(fresh.predict(POINT, LABEL), expected, strict=True))
    assert sum(isinstance(seen, np.ndarray) for seen in engine.seen) == pictures == 1
    fresh.features = torch.ones(1, 256, 64, 64)
    assert (fresh.predict(POINT, LABEL)[1] != expected[1]).all()
    assert fresh.get_image_embedding().mean() == 1


def test_before_a_picture_is_set(predictor: SamPredictor) -> None:
    predictor.reset_image()
    assert not predictor.is_image_set
    assert predictor.features is predictor.original_size is predictor.input_size is None
    for ask in (
        lambda: predictor.predict(POINT, LABEL),
        lambda: predictor.predict_torch(torch.ones(1, 1, 2), torch.ones(1, 1)),
        predictor.get_image_embedding,
    ):
        with pytest.raises(RuntimeError, match=r"An image must be set with \.set_image"):
            ask()


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"point_coords": POINT}, AssertionError, "point_labels must be supplied"),
        ({"point_coords": POINT, "point_labels": np.array([1, 0])}, PromptError, r"\[1, 1, 2\], labels \[1, 2\]"),
        ({"box": np.array([BOX, BOX])}, PromptError, "one box, not 2; give several to predict_torch"),
        ({"mask_input": np.zeros((1, 128, 128))}, PromptError, r"\[B, 1, 256, 256\]: masks \[1, 1, 128, 128\]"),
    ],
)
def test_prompts_that_do_not_fit(
    predictor: SamPredictor, arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        predictor.predict(**arguments)


def test_batches_that_do_not_fit(predictor: SamPredictor) -> None:
    points, labels = torch.ones(3, 1, 2), torch.ones(3, 1)
    with pytest.raises(PromptError, match=r"points \[3, 1, 2\], labels \[3, 1\], boxes \[2, 4\]"):
        predictor.predict_torch(points, labels, boxes=torch.ones(2, 4))
    with pytest.raises(PromptError, match="do not fit each other"):
        predictor.predict_torch(points, labels, mask_input=torch.ones(2, 1, 256, 256))


@pytest.mark.parametrize("picture", [PICTURE[..., 0], np.zeros((5, 5, 4), np.uint8), PICTURE / 255, "photo.jpg"])
def test_what_is_no_picture(predictor: SamPredictor, picture: Any) -> None:
    with pytest.raises(ImageError, match=r"must be a uint8 array \[H, W, 3\]"):
        predictor.set_image(picture)


def test_formats_and_tensors_that_are_refused(predictor: SamPredictor) -> None:
    with pytest.raises(AssertionError, match="RGB or BGR, not HSV"):
        predictor.set_image(PICTURE, "HSV")
    with pytest.raises(AssertionError, match="longer side is 1024"):
        predictor.set_torch_image(torch.zeros(1, 3, 600, 800), SIZE)


def test_the_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen: list[tuple[Any, ...]] = []
    monkeypatch.setattr("anymask.segmenter.load_segment_engine", lambda *choice: chosen.append(choice) or Discs())
    assert {"default", "vit_h", "vit_l", "vit_b", "vit_t"} <= sam_model_registry.keys()
    assert sam_model_registry["default"] is build_sam
    names = [sam_model_registry[key]().spec.name for key in ("default", "vit_h", "vit_l", "vit_b", "vit_t")]
    assert names == ["sam_vit_h", "sam_vit_h", "sam_vit_l", "sam_vit_b", "mobile_sam"]
    file = tmp_path / "sam.pth"
    file.touch()
    sam = build_sam_vit_b(checkpoint=file)
    assert sam.eval() is sam.to(device="cpu") is sam
    assert not chosen, "nothing is loaded before it is needed"
    SamPredictor(sam)
    assert chosen == [("sam_vit_b", "cpu", "auto", str(file))]
    assert sam.device == torch.device("cpu")
    SamAutomaticMaskGenerator(sam)
    assert len(chosen) == 1
    SamPredictor(sam.to(torch.device("cuda:0")))
    SamPredictor(build_sam_vit_b(precision="fp32").cuda().cpu())
    assert chosen[1:] == [("sam_vit_b", "cuda", "auto", str(file)), ("sam_vit_b", "cpu", "fp32", None)]
    assert sam.device == torch.device("cuda")
    with pytest.raises(ModelError, match="first GPU, not on cuda:1"):
        sam.to("cuda:1")
    with pytest.raises(FileNotFoundError, match="There is no checkpoint at"):
        build_sam_vit_b(checkpoint=tmp_path / "missing.pth")


def generator(monkeypatch: pytest.MonkeyPatch, run: str, **options: Any) -> SamAutomaticMaskGenerator:
    """One of the goldens' runs: the reference's own generator with the stand-in for a predictor."""
    monkeypatch.setattr("anymask.segmenter.load_segment_engine", lambda *choice: Discs())
    sam = sam_model_registry["vit_b"]()
    monkeypatch.setattr(sam.segmenter, "encode", lambda image: StandIn())
    return SamAutomaticMaskGenerator(sam, **{**RUNS[run]["settings"], **options})


@pytest.mark.parametrize("run", RUNS)
def test_the_reference_s_records(monkeypatch: pytest.MonkeyPatch, run: str) -> None:
    expected = RUNS[run]["masks"]
    with np.load(GOLDENS / "amg_stand_in.npz") as stored:
        runs = [stored[f"{run}.{i}.rle"].tolist() for i in range(len(expected))]
    records = generator(monkeypatch, run, output_mode="uncompressed_rle").generate(PICTURE)
    assert [record["segmentation"] for record in records] == [{"size": [360, 500], "counts": one} for one in runs]
    for record, golden in zip(records, expected, strict=True):
        assert list(record) == [
            "segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"
        ]  # fmt: skip
        assert [record[name] for name in ("area", "bbox", "crop_box")] == [
            golden[name] for name in ("area", "bbox", "crop_box")
        ]
        assert record["point_coords"] == [golden["point_coords"]]
        assert record["predicted_iou"] == pytest.approx(golden["predicted_iou"], abs=1e-6)
        assert record["stability_score"] == pytest.approx(golden["stability_score"], abs=1e-6)
        whole = [record["area"], *record["bbox"], *record["crop_box"]]
        assert {type(value) for value in whole} == {int}
        assert {type(record["predicted_iou"]), type(record["stability_score"])} == {float}
    json.dumps(records)


def test_three_output_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = [record["segmentation"] for record in generator(monkeypatch, "plain").generate(PICTURE)]
    assert (masks[0].shape, masks[0].dtype) == ((360, 500), np.bool_)
    runs = generator(monkeypatch, "plain", output_mode="uncompressed_rle").generate(PICTURE)
    strings = generator(monkeypatch, "plain", output_mode="coco_rle").generate(PICTURE)
    for mask, plain, packed in zip(masks, runs, strings, strict=True):
        assert (rle_to_mask(plain["segmentation"]) == mask).all()
        assert area_from_rle(plain["segmentation"]) == plain["area"] == mask.sum()
        assert coco_encode_rle(plain["segmentation"]) == packed["segmentation"]
        assert isinstance(packed["segmentation"]["counts"], str)
    with pytest.raises(AssertionError, match="output_mode must be one of binary_mask, uncompressed_rle, coco_rle"):
        generator(monkeypatch, "plain", output_mode="polygons")


def test_the_generator_s_attributes_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = generator(monkeypatch, "plain")
    before = everything.generate(PICTURE)
    everything.pred_iou_thresh = 0.8
    assert 0 < len(everything.generate(PICTURE)) < len(before)
    everything.pred_iou_thresh = 88
    with pytest.raises(PromptError, match="pred_iou_thresh"):
        everything.generate(PICTURE)
    with pytest.raises(AssertionError, match="Exactly one of points_per_side or point_grids"):
        generator(monkeypatch, "plain", point_grids=[np.ones((1, 2))])
    with pytest.raises(ImageError, match="not str"):
        everything.generate("photo.jpg")  # type: ignore[arg-type]


def test_everything_with_another_threshold(engine: Discs) -> None:
    sam = sam_model_registry["vit_b"]()
    grid = [np.array([[0.3, 0.5]]), np.array([[0.5, 0.5]])]
    options = {"points_per_side": None, "point_grids": grid, "stability_score_thresh": 0.5, "crop_n_layers": 1}
    everything = SamAutomaticMaskGenerator(sam, box_nms_thresh=1.0, crop_nms_thresh=1.0, **options)
    areas = [record["area"] for record in everything.generate(PICTURE)]
    sam.mask_threshold = 3.0
    smaller = [record["area"] for record in everything.generate(PICTURE)]
    assert len(smaller) == len(areas) > 0
    assert all(a < b for a, b in zip(smaller, areas, strict=True))


def test_what_needs_torch_and_what_does_not(engine: Discs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    sam = sam_model_registry["vit_b"]().eval().to("cpu")
    predictor = SamPredictor(sam)
    predictor.set_image(PICTURE)
    assert predictor.predict(POINT, LABEL)[0].shape == (3, 60, 100)
    assert SamAutomaticMaskGenerator(sam, points_per_side=2, stability_score_thresh=0.5).generate(PICTURE)
    for ask in (lambda: sam.device, predictor.get_image_embedding, lambda: sam.pixel_mean):
        with pytest.raises(MissingExtraError, match=r"anymask\[torch\]"):
            ask()


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, anymask.compat.segment_anything.utils.amg as a; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("size", "expected"), [((60, 100), (614, 1024)), ((1200, 1800), (683, 1024)), ((1, 9), (114, 1024))]
)
def test_the_longest_side(size: tuple[int, int], expected: tuple[int, int]) -> None:
    resize = ResizeLongestSide(1024)
    assert resize.get_preprocess_shape(*size, 1024) == expected
    coords = resize.apply_coords(np.array([[size[1], size[0]]]), size)
    assert coords.dtype == np.float64
    np.testing.assert_allclose(coords, [[1024, expected[0]]], rtol=1e-12)
    tensor = resize.apply_coords_torch(torch.tensor([[size[1], size[0]]]), size)
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.numpy(), coords, rtol=1e-6)
    box = np.array([0, 0, size[1], size[0]])
    assert resize.apply_boxes(box, size).shape == (1, 4)
    np.testing.assert_allclose(resize.apply_boxes_torch(torch.tensor([[0, 0, *size[::-1]]]), size)[0, 2:], coords[0])
    assert resize.apply_image(np.zeros((*size, 3), np.uint8)).shape == (*expected, 3)
    assert resize.apply_image_torch(torch.zeros(2, 3, *size)).shape == (2, 3, *expected)


def test_run_lengths_and_boxes() -> None:
    masks = torch.zeros(3, 4, 5, dtype=torch.bool)
    masks[1, 1:3, 2:4] = True
    masks[2] = True
    runs = mask_to_rle_pytorch(masks)
    assert runs[0] == {"size": [4, 5], "counts": [20]}
    assert runs[1] == {"size": [4, 5], "counts": [9, 2, 2, 2, 5]}
    assert runs[2] == {"size": [4, 5], "counts": [0, 20]}
    boxes = batched_mask_to_box(masks)
    assert boxes.tolist() == [[0, 0, 0, 0], [2, 1, 3, 2], [0, 0, 4, 3]]
    assert boxes.dtype == torch.int64
    assert batched_mask_to_box(masks[None, 1:]).shape == (1, 2, 4)
    assert batched_mask_to_box(masks[1]).tolist() == [2, 1, 3, 2]
    assert box_xyxy_to_xywh(boxes[1]).tolist() == box_xyxy_to_xywh([2, 1, 3, 2]) == [2, 1, 1, 1]


def test_grids_crops_and_batches() -> None:
    grids = build_all_layer_point_grids(4, 1, 2)
    assert [grid.shape for grid in grids] == [(16, 2), (4, 2)]
    assert grids[1].tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    crops, layers = generate_crop_boxes((300, 500), 1, 512 / 1500)
    assert layers == [0, 1, 1, 1, 1]
    assert crops[:3] == [[0, 0, 500, 300], [0, 0, 301, 201], [0, 99, 301, 300]]
    assert list(batch_iterator(2, [1, 2, 3], "abc")) == [[[1, 2], "ab"], [[3], "c"]]
    points = uncrop_points(torch.tensor([[1.0, 2.0]]), [10, 20, 30, 40])
    assert points.tolist() == [[11, 22]]
    inside = uncrop_masks(torch.ones(1, 2, 3, dtype=torch.bool), [1, 2, 4, 4], 5, 6)
    assert batched_mask_to_box(inside).tolist() == [[1, 2, 3, 3]]
    assert inside.shape == (1, 5, 6)
    boxes = torch.tensor([[5, 50, 60, 90], [50, 50, 60, 90]])
    assert is_box_near_crop_edge(boxes, [100, 0, 300, 200], [0, 0, 500, 200]).tolist() == [True, False]


def test_stability_and_small_regions() -> None:
    logits = torch.tensor([[[2.0, 0.5], [-0.5, -2.0]]])
    assert calculate_stability_score(logits, 0.0, 1.0).tolist() == pytest.approx([1 / 3])
    mask = np.zeros((20, 20), bool)
    mask[2:12, 2:12], mask[5, 5], mask[17, 17] = True, False, True
    filled, changed = remove_small_regions(mask, 2, "holes")
    assert changed
    assert filled[5, 5]
    assert filled[17, 17]
    kept, changed = remove_small_regions(mask, 2, "islands")
    assert changed
    assert kept.sum() == 99
    assert remove_small_regions(mask, 1000, "islands")[0].sum() == 99
    assert remove_small_regions(mask, 1, "holes") == (mask, False)


def seeded(model: str, name: str, folder: Path) -> Any:
    """A model of the registry with the goldens' made-up weights."""
    return sam_model_registry[name](checkpoint=parity.saved(model, folder), precision="fp32")


def agree(golden: parity.Golden, predictor: SamPredictor) -> None:
    """Every prompt of the golden, as the reference's predictor answered it; the CPU engine has ten times the limit."""
    predictor.set_image(golden.picture())
    assert golden.difference("encoder", predictor.get_image_embedding()) < 10 * parity.LIMIT
    for name, case in golden.cases.items():
        points, labels, box = (np.array(case[key]) if key in case else None for key in ("points", "labels", "box"))
        mask = parity.seeded_mask_logits(256, 256, case["mask_seed"])[None] if "mask_seed" in case else None
        if "batch" in name:
            size = predictor.original_size
            assert size is not None
            coords = None if points is None else torch.from_numpy(predictor.transform.apply_coords(points, size))
            kinds = None if labels is None else torch.from_numpy(labels)
            boxes = None if box is None else predictor.transform.apply_boxes_torch(torch.from_numpy(box), size)
            answers = [
                predictor.predict_torch(coords, kinds, boxes, None, case["multimask"], return_logits=logits)
                for logits in (False, True)
            ]
            (masks, scores, low), (full, _, _) = [[part.numpy() for part in answer] for answer in answers]
        else:
            masks, scores, low = predictor.predict(points, labels, box, mask, case["multimask"])
            full, _, _ = predictor.predict(points, labels, box, mask, case["multimask"], return_logits=True)
        assert golden.difference(f"{name}.low_res", low) < 10 * parity.LIMIT, name
        assert golden.difference(f"{name}.full_res", full) < 10 * parity.LIMIT, name
        np.testing.assert_allclose(scores, golden.arrays[f"{name}.iou"].reshape(scores.shape), atol=1e-4)
        if (bits := golden.arrays.get(f"{name}.mask.bits")) is not None:
            expected = np.unpackbits(bits, count=masks.size).reshape(masks.shape)
            assert (masks != expected).mean() < 1e-4, name


@pytest.mark.slow
def test_mobile_sam_answers_as_the_reference(shared_home: Path) -> None:
    predictor = SamPredictor(seeded("mobile_sam", "vit_t", shared_home))
    agree(parity.Golden("mobile_sam"), predictor)
    masks, scores, _ = predictor.predict()
    assert masks.shape == (3, 360, 500), "nothing asked is an answer too"
    assert np.isfinite(scores).all()


@pytest.mark.slow
def test_vit_b_answers_as_the_reference(shared_home: Path) -> None:
    sam = seeded("sam_vit_b", "vit_b", shared_home)
    agree(parity.Golden("sam_vit_b"), SamPredictor(sam))

    golden = parity.Golden("sam_vit_b.amg")
    records = SamAutomaticMaskGenerator(sam, **golden.settings["settings"]).generate(golden.picture())
    for i, (record, expected) in enumerate(zip(records, golden.settings["masks"], strict=True)):
        for name, tolerance in {"bbox": 1, "crop_box": 0, "predicted_iou": 1e-4, "stability_score": 1e-4}.items():
            np.testing.assert_allclose(record[name], expected[name], rtol=0, atol=tolerance)
        assert record["point_coords"] == [expected["point_coords"]]
        mask = rle_to_mask({"size": [360, 500], "counts": golden.arrays[f"whole.{i}.rle"].tolist()})
        assert (record["segmentation"] != mask).mean() < 5e-4
