"""SAM 2 in the rest of the package, with made-up weights (see parity/README.md): everything, saved embeddings, closer
views, the command line, and its pictures' parts as ONNX."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import parity
import pytest
import torch
from commandline import ran
from PIL import Image

from anymask import ImageError
from anymask.catalog import find
from anymask.compat.sam2 import SAM2AutomaticMaskGenerator, SAM2ImagePredictor, build_sam2
from anymask.export.onnx import write_onnx
from anymask.networks import sam2
from anymask.networks.parts import Parts
from anymask.networks.sam2.hiera import Size
from anymask.networks.sam2.sam2 import Sam2
from anymask.segmenter import EncodedImage, Segmenter

MODEL = "sam2.1_hiera_tiny"
PICTURE = parity.Golden(MODEL).picture()
CLICK, BOX = (150, 120), (60, 40, 300, 260)
ALL = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}  # masks are kept


@pytest.fixture(scope="module")
def segmenter(shared: Path) -> Iterator[Segmenter]:
    """What everything here opens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANYMASK_HOME", str(shared / "home"))
        one = Segmenter(MODEL, "cpu", "fp32", parity.saved(MODEL, shared))
        patch.setattr("anymask.segmenter.load_segment_engine", lambda *choice: one.engine)
        yield one


@pytest.fixture(scope="module")
def image(segmenter: Segmenter) -> EncodedImage:
    return segmenter.encode(PICTURE)


@pytest.mark.slow
def test_everything_is_what_the_points_find(image: EncodedImage) -> None:
    found = image.everything(points_per_side=2, points_per_batch=3, **ALL)
    assert len(found) == 12 and np.array_equal(found.scores, np.sort(found.scores)[::-1])
    for masks in (found[0], found[7]):
        (point,) = masks.extra["point_coords"]
        three = image.predict(points=[point], multimask=True)
        (which,) = np.flatnonzero(np.abs(three.scores - masks.scores[0]) < 1e-5)
        assert np.abs(masks.logits[0] - three.logits[which]).max() < 1e-4
    assert len(image.everything(points_per_side=2)) < 12, "with the thresholds of the catalogue"


@pytest.mark.slow
def test_the_generator_asks_once_more(segmenter: Segmenter, image: EncodedImage, monkeypatch: Any) -> None:
    """`use_m2m`: each mask is the answer to its point and to the mask that the point alone found."""
    monkeypatch.setattr(Segmenter, "encode", lambda self, picture: image)
    model = build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml")
    grid = {"points_per_side": None, "point_grids": [np.array([[0.3, 0.4]])]}
    records = SAM2AutomaticMaskGenerator(model, **grid, **ALL, use_m2m=True).generate(PICTURE)
    plain = SAM2AutomaticMaskGenerator(model, **grid, **ALL).generate(PICTURE)
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(PICTURE)
    prompt = {"point_coords": np.array(plain[0]["point_coords"]), "point_labels": np.array([1])}
    _, scores, logits = predictor.predict(**prompt)
    again = [predictor.predict(**prompt, mask_input=one[None], multimask_output=False) for one in logits]
    expected = sorted((float(score[0]), int(masks.sum())) for masks, score, _ in again)[::-1]
    assert [(record["predicted_iou"], record["area"]) for record in records] == [
        (pytest.approx(score, abs=1e-5), pytest.approx(area, abs=20)) for score, area in expected
    ]
    assert sorted(record["predicted_iou"] for record in plain) == pytest.approx(sorted(scores.tolist()), abs=1e-5)
    assert {record["area"] for record in plain} != {record["area"] for record in records}


@pytest.mark.slow
def test_an_encoded_picture_is_kept(segmenter: Segmenter, image: EncodedImage, tmp_path: Path) -> None:
    image.save(tmp_path / "picture.npz")
    loaded = EncodedImage.load(tmp_path / "picture.npz", segmenter)
    for prompt in ({"points": [CLICK]}, {"box": BOX, "mask": image.predict(box=BOX).logits[0]}):
        assert np.array_equal(loaded.predict(**prompt).logits, image.predict(**prompt).logits)
    with pytest.raises(ImageError, match="The picture itself is needed"):
        loaded.everything(points_per_side=1, crop_n_layers=1)


@pytest.mark.slow
def test_something_small_is_looked_at_again(image: EncodedImage) -> None:
    box = (60, 40, 120, 90)
    masks = image.predict(box=box, second_look=True)
    (place,) = masks.placements
    x0, y0, x1, y1 = place.crop
    assert (x1 - x0) * (y1 - y0) < 0.5 * PICTURE.shape[0] * PICTURE.shape[1] and x0 <= 60 and y1 >= 90
    assert masks.array.shape == (1, *PICTURE.shape[:2]) and not masks.array[0, :, x1:].any()
    refined = image.predict(box=box, mask=masks.logits[0], second_look=True)
    assert list(refined.placements) == [place] and not np.array_equal(refined.logits, masks.logits)


@pytest.mark.slow
def test_the_command(image: EncodedImage, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    encoded = []
    monkeypatch.setattr(Segmenter, "encode", lambda self, picture: encoded.append(picture) or image)
    out = tmp_path / "mask.png"
    point = ",".join(map(str, CLICK))
    done = ran(capsys, "segment", tmp_path / "a.png", "--point", point, "--model", MODEL, "-o", out)
    expected = image.predict(points=[CLICK]).best
    assert done.code == 0 and f"{expected.areas[0]} pixels, predicted IoU {expected.scores[0]:.2f}" in done.err
    assert np.array_equal(np.asarray(Image.open(out)) > 0, expected.array[0]) and np.array_equal(encoded[0], PICTURE)


@pytest.fixture(scope="module")
def minute() -> tuple[Any, Parts]:
    """SAM 2.1 with a minute trunk and a quarter of the input's side, all weights random."""
    with torch.no_grad():
        network = parity.scattered(Sam2(Size(8, 1, (1, 1, 1, 1), ()), improved=True)).requires_grad_(False)
    network.sam_prompt_encoder.side, network.sam_prompt_encoder.grid = 256, 16
    spec = find(MODEL)
    return replace(spec, input=replace(spec.input, side=256), mask_side=64), sam2.parts(network)


@pytest.mark.slow
def test_pictures_parts_as_onnx(minute: tuple[Any, Parts], tmp_path: Path) -> None:
    """Without an earlier mask, a choice within the graph that takes half a minute to export; test_export.py has it."""
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript", reason="exporting needs the export extra")
    spec, parts = minute
    served = parts._replace(masked=None)
    signatures = write_onnx(spec, served, tmp_path, {"anymask": "test"}, half=False, single_mask=False)
    encoder, decoder = (runtime.InferenceSession(tmp_path / f"{name}.onnx") for name in ("encoder", "decoder"))
    names = ["image_embeddings", "high_res_features_1", "high_res_features_2"]
    assert [output.name for output in encoder.get_outputs()] == names == list(signatures["encoder"]["outputs"])
    generator = torch.Generator().manual_seed(1)
    picture = 255 * torch.rand(256, 256, 3, generator=generator)
    coords = 256 * torch.rand(2, 3, 2, generator=generator)
    labels = torch.tensor([[2.0, 3, -1], [1, 0, -1]])
    with torch.no_grad():
        features = parts.encoder(picture[None])
        assert parts.prepare is not None
        logits, iou = parts.decoder(*parts.prepare(*features), coords, labels)
    maps = encoder.run(None, {"input_image": picture.numpy()})
    for found, expected in zip(maps, features, strict=True):
        assert found.shape == expected.shape and np.abs(found - expected.numpy()).max() < 1e-4 * expected.std()
    points = {"point_coords": coords.numpy(), "point_labels": labels.numpy()}
    size = {"orig_im_size": np.array([90, 120], np.float32)}
    masks, scores, low = decoder.run(None, {**dict(zip(names, maps, strict=True)), **points, **size})
    assert np.abs(low - logits.numpy()).max() < 1e-4 * logits.std()
    np.testing.assert_allclose(scores, iou.numpy(), atol=1e-4)
    assert masks.shape == (2, 4, 90, 120)
