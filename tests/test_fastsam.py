"""FastSAM as a segmenter: prompts choose among instances, on a made-up scene whose instances are known."""

import json
import shutil
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from PIL import Image

import anymask
from anymask.catalog import find, models
from anymask.errors import FormatError, ImageError, PromptError, WeightsError
from anymask.everything import everything_in_steps
from anymask.pointing import whole_matte
from anymask.runtime.engine import InstanceEngine, SegmentEngine
from anymask.runtime.instances import STRIDES, NetworkInstances, finds, framed, snapped

HEIGHT, WIDTH, BINS = 360, 500, 26
SCALE, TOP = 1024 / WIDTH, 15  # of the picture in the network's input of 768 x 1024
EVERYWHERE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


class Thing(NamedTuple):
    """An instance of the scene, in pixels of the picture: an ellipse in its box, or all of it."""

    box: tuple[float, float, float, float]
    score: float
    round: bool = False

    def mask(self) -> np.ndarray:
        """bool [H, W]."""
        y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        return self.depth(x, y) > 0

    def depth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How far places are inside of it, in pixels; below 0 outside."""
        x0, y0, x1, y1 = self.box
        if not self.round:
            return np.full(x.shape, 9.0)  # the network's own box is what ends it
        distance: np.ndarray = np.hypot((2 * x - x0 - x1) / (x1 - x0), (2 * y - y0 - y1) / (y1 - y0))
        return (1 - distance) * min(x1 - x0, y1 - y0) / 2

    def inside(self) -> np.ndarray:
        """bool [H, W]; of a box, too."""
        y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
        x0, y0, x1, y1 = self.box
        return self.mask() & (x > x0) & (x < x1) & (y > y0) & (y < y1)


BODY = Thing((121, 62, 379, 301), 0.9)
BAG = Thing((161, 142, 241, 222), 0.8, round=True)
BALL = Thing((400, 40, 460, 100), 0.7, round=True)
AGAIN = Thing((122, 62, 380, 302), 0.6)  # the body, found twice
DOUBT = Thing((20, 250, 90, 330), 0.3, round=True)
SCENE = (BALL, BODY, DOUBT, AGAIN, BAG)


def network(things: Sequence[Thing]) -> Any:
    """A stand-in for the network that finds these things: each is one cell of a map and one prototype."""

    def run(image: np.ndarray) -> tuple[np.ndarray, ...]:
        assert image.shape == (1, 3, 768, 1024) and image.dtype == np.float32
        maps = [np.full((1, 4 * BINS + 1, 768 // s, 1024 // s), -9.0, np.float32) for s in STRIDES]
        coefficients = np.zeros((1, 32, sum(one.shape[2] * one.shape[3] for one in maps)), np.float32)
        y, x = np.mgrid[2:768:4, 2:1024:4].astype(float)
        prototypes = np.zeros((1, 32, 192, 256), np.float32)
        for number, thing in enumerate(things):
            prototypes[0, number] = thing.depth(x / SCALE, (y - TOP) / SCALE)
            x0, y0, x1, y1 = np.array(thing.box) * SCALE + (0, TOP, 0, TOP)
            level = next(i for i, s in enumerate(STRIDES) if max(x1 - x0, y1 - y0) / 2 + s < (BINS - 1) * s)
            stride = STRIDES[level]
            column, row = int((x0 + x1) / 2 / stride), int((y0 + y1) / 2 / stride) + number % 3
            cx, cy = (column + 0.5) * stride, (row + 0.5) * stride
            cell = maps[level][0, :, row, column]
            cell[:] = -50
            cell[-1] = np.log(thing.score / (1 - thing.score))
            for side, distance in enumerate(np.array([cx - x0, cy - y0, x1 - cx, y1 - cy]) / stride):
                low = int(distance)
                cell[side * BINS + low] = np.log(1 - distance % 1)
                cell[side * BINS + low + 1] = np.log(max(distance % 1, 1e-9))
            before = sum(one.shape[2] * one.shape[3] for one in maps[:level])
            coefficients[0, number, before + row * maps[level].shape[3] + column] = 1
        return *maps, coefficients, prototypes

    return run


def encoded(things: Sequence[Thing] = SCENE) -> anymask.EncodedImage:
    engine = NetworkInstances(find("fastsam_s"), network(things))
    return anymask.Segmenter.over(engine).encode(EVERYWHERE)


@pytest.fixture(scope="module")
def image() -> anymask.EncodedImage:
    return encoded()


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def is_thing(mask: np.ndarray, *things: Thing) -> bool:
    """Whether a mask is just these things."""
    return iou(mask, np.any([thing.inside() for thing in things], axis=0)) > 0.97


# ---- Instances ----


def test_everything_is_all_instances_the_surest_first(image):
    found = image.everything()
    assert np.allclose(found.scores, [0.9, 0.8, 0.7], atol=1e-3)
    for mask, thing in zip(found.array, (BODY, BAG, BALL), strict=True):
        assert is_thing(mask, thing)
    assert np.allclose(found.boxes[0], np.array(BODY.box) - (0, 0, 1, 1), atol=1), "cut off at its box, to the pixel"
    assert found.logits.shape == (3, 256, 256)
    assert np.allclose(found.extra["point_coords"], [(250, 181.5), (201, 182), (430, 70)], atol=0.5)
    assert np.allclose(found.extra["predicted_iou"], found.scores)


def test_the_thresholds_are_the_references_and_options(image):
    assert (find("fastsam_s").everything["pred_iou_thresh"], find("fastsam_x").everything["box_nms_thresh"]) == (
        0.4,
        0.9,
    )
    sensitive = image.everything(pred_iou_thresh=0.25)
    assert len(sensitive) == 4 and is_thing(sensitive.array[3], DOUBT)
    assert len(image.everything(pred_iou_thresh=0.75)) == 2
    twice = image.everything(box_nms_thresh=1.0)
    assert len(twice) == 4 and is_thing(twice.array[3], AGAIN)
    assert len(image.everything(pred_iou_thresh=0.995)) == 0
    with pytest.raises(PromptError, match="box_nms_thresh must be a number between 0 and 1"):
        image.everything(box_nms_thresh=2)


def test_options_that_mean_something_for_masks_still_do(image):
    assert len(image.everything(stability_score_thresh=0.999, stability_score_offset=4)) < 3
    assert len(image.everything(min_mask_region_area=50)) == 3


def test_everything_tells_of_its_progress_and_in_steps(image):
    told: list[tuple[int, int]] = []
    found = image.everything(on_progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 1024) and told[-1] == (1024, 1024)
    *_, last = steps = list(everything_in_steps(image))
    shown = {number: mask for step in steps for number, mask in step.found.items()}
    assert last.done == last.total and len(shown) == len(found)
    assert np.array_equal(np.concatenate([mask.logits for mask in shown.values()]), found.logits)


def test_no_more_than_the_catalogue_says_are_kept(monkeypatch):
    crowd = [Thing((10 + 40 * i, 10, 45 + 40 * i, 60), 0.5 + i / 100, round=True) for i in range(12)]
    image = encoded(crowd)
    assert len(image.everything()) == 12
    import dataclasses

    engine = NetworkInstances(dataclasses.replace(find("fastsam_s"), instances=5), network(crowd))
    few = anymask.Segmenter.over(engine).encode(EVERYWHERE).everything()
    assert np.allclose(few.scores, [0.61, 0.6, 0.59, 0.58, 0.57], atol=1e-3)


def test_a_box_near_the_edge_reaches_to_it():
    frame = np.array([0, 0, 1024, 768], np.float32)
    boxes = np.array([[19, 21, 300, 760], [30, 30, 1003, 740], [21, 5, 1010, 765]], np.float32)
    expected = [[0, 21, 300, 768], [30, 30, 1003, 740], [0, 0, 1024, 768]]
    assert snapped(boxes, frame).tolist() == expected
    assert snapped(boxes[:0], frame).shape == (0, 4)


def test_maps_in_which_nothing_is_sure_hold_nothing():
    maps = [np.full((1, 4 * BINS + 1, 768 // s, 1024 // s), -9.0, np.float32) for s in STRIDES]
    boxes, scores, chosen = finds(maps, 0.01)
    assert boxes.shape == (0, 4) and not len(scores) and not len(chosen)
    assert len(encoded(()).everything()) == 0


@pytest.mark.parametrize("size", [(1, 1024), (1024, 1), (33, 1024), (1024, 1024), (737, 1024)])
def test_the_frame_is_the_next_multiple_of_32_with_the_picture_in_the_middle(size):
    rgb = np.full((*size, 3), 255, np.uint8)
    frame, left, top = framed(find("fastsam_s"), rgb)
    assert all(length % 32 == 0 and length - given < 32 for length, given in zip(frame.shape[2:], size, strict=True))
    inside = frame[0, :, top : top + size[0], left : left + size[1]]
    assert (inside == 1).all() and np.isclose(frame, 114 / 255).sum() == frame.size - inside.size
    assert abs(frame.shape[2] - size[0] - 2 * top) <= 1 and abs(frame.shape[3] - size[1] - 2 * left) <= 1


# ---- Prompts ----


def test_a_lone_point_has_the_instances_under_it_as_candidates(image):
    found = image.predict(points=[(201, 182)])
    assert np.allclose(found.scores, [0.9, 0.8], atol=1e-3)
    assert is_thing(found.array[0], BODY) and is_thing(found.array[1], BAG)
    (joined,) = image.predict(points=[(201, 182)], multimask=False).array
    assert is_thing(joined, BODY), "the bag is part of it"
    (alone,) = image.predict(points=[(430, 70)]).array
    assert is_thing(alone, BALL)


def test_points_join_instances_and_take_them_away(image):
    (both,) = image.predict(points=[(300, 100), (430, 70)]).array
    assert is_thing(both, BODY, BALL)
    for order in (slice(None), slice(None, None, -1)):
        (hole,) = image.predict(points=[(300, 100), (201, 182)][order], labels=[1, 0][order]).array
        assert iou(hole, BODY.inside() & ~BAG.inside()) > 0.97, "the background point lies on the body, too"
    (kept,) = image.predict(points=[(300, 100), (140, 280)], labels=[1, 0]).array
    assert is_thing(kept, BODY), "there is nothing smaller to answer the foreground point with"


def test_a_background_point_leaves_the_instance_out_that_it_is_on(image):
    """On the bag there are the bag and the body; a point on the body beside it leaves the bag alone."""
    for order in (slice(None), slice(None, None, -1)):
        points, labels = [(201, 182), (300, 100)][order], [1, 0][order]
        found = image.predict(points=points, labels=labels)
        assert is_thing(found.array[0], BAG) and len(found) == 1
        assert found.scores[0] == pytest.approx(0.8, abs=1e-3)


def test_a_smaller_background_instance_leaves_a_hole():
    """What is taken away lies on what was asked for, and only a click on its own part says so."""
    collar = Thing((350, 130, 400, 180), 0.75, round=True)  # half on the body
    image = encoded([BODY, BAG, collar])
    (mask,) = image.predict(points=[(300, 100), (390, 155)], labels=[1, 0]).array
    assert iou(mask, BODY.inside() & ~collar.inside()) > 0.97


def test_a_box_takes_the_instance_whose_mask_it_fits_best(image):
    for thing in (BODY, BAG, BALL):
        x0, y0, x1, y1 = thing.box
        found = image.predict(box=(x0 - 4, y0 - 4, x1 + 3, y1 + 3))
        assert len(found) == 1 and is_thing(found.array[0], thing)
        assert found.scores[0] == pytest.approx(thing.score, abs=1e-3)
    several = image.predict(box=BAG.box, multimask=True)
    assert is_thing(several.array[0], BAG) and is_thing(several.array[1], BODY) and len(several) == 2


def test_points_overrule_the_box(image):
    found = image.predict(box=BAG.box, points=[(300, 100)])
    assert is_thing(found.array[0], BODY)
    found = image.predict(box=BODY.box, points=[(201, 182), (300, 100)], labels=[1, 0])
    assert is_thing(found.array[0], BAG)


@pytest.mark.parametrize("multimask", [None, True, False])
@pytest.mark.parametrize(
    "prompt", [{"points": [(5, 5)]}, {"box": (2, 2, 12, 9)}, {"points": [(250, 90)], "labels": [0]}]
)
def test_where_nothing_is_found_the_answer_is_an_empty_mask(image, prompt, multimask):
    for one in (image, encoded(())):
        found = one.predict(**prompt, multimask=multimask)
        assert len(found) == 1 and found.scores[0] == 0 and not found.array.any()
        assert found.best.areas[0] == 0


def test_prompts_of_a_batch_are_answered_each_for_itself(image):
    prompts = [anymask.Prompt(points=[(430, 70)]), anymask.Prompt(box=BODY.box), anymask.Prompt(points=[(201, 182)])]
    many = image.predict_batch(prompts)
    assert [len(found) for found in many] == [1, 1, 2]
    for prompt, found in zip(prompts, many, strict=True):
        alone = image.predict_batch([prompt])[0]
        assert np.array_equal(found.logits, alone.logits) and np.array_equal(found.scores, alone.scores)


def test_an_earlier_mask_is_no_prompt(image):
    with pytest.raises(PromptError, match="fastsam_s takes no mask as a prompt; give it points or a box"):
        image.predict(mask=image.predict(box=BODY.box).logits[0])


def test_a_saved_picture_gives_the_same_masks(image, tmp_path, monkeypatch):
    monkeypatch.setattr(anymask.Segmenter, "fingerprint", "made up")
    image.save(tmp_path / "picture.npz")
    again = anymask.EncodedImage.load(tmp_path / "picture.npz", image.segmenter, EVERYWHERE)
    for one, other in (
        (image.everything(), again.everything()),
        (image.predict(box=BAG.box), again.predict(box=BAG.box)),
    ):
        assert np.array_equal(one.logits, other.logits) and np.array_equal(one.scores, other.scores)
    assert len(again.everything(pred_iou_thresh=0.25)) == 4, "what is less sure is kept, too"
    data = bytearray((tmp_path / "picture.npz").read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "damaged.npz").write_bytes(data)
    with pytest.raises(ImageError, match="is damaged"):
        anymask.EncodedImage.load(tmp_path / "damaged.npz", image.segmenter)


def test_an_answer_becomes_a_matte(image):
    matte = whole_matte(image.predict(points=[(430, 70)]))
    large = cv2.resize(matte, (WIDTH, HEIGHT))
    assert is_thing(large > 0.5, BALL) and large[70, 430] > 0.99 and large[200, 100] < 0.01
    assert whole_matte(image.predict(points=[(5, 5)])).max() < 0.01


# ---- The engine, the catalogue ----


def test_it_is_an_engine_that_proposes_instances(image):
    engine: SegmentEngine = image.segmenter.engine
    assert isinstance(engine, InstanceEngine) and image.proposes
    assert not isinstance(anymask.Segmenter("pocket", device="cpu").engine, InstanceEngine)
    assert all(hasattr(part, "nbytes") for part in (*image.features, *image.embedding)), "the server counts them"


def test_the_catalogue_tells_the_terms(capfd, monkeypatch):
    entries = models(family="fastsam")
    assert [entry.name for entry in entries] == ["fastsam_s", "fastsam_x"]
    assert all(entry.licence == "AGPL-3.0" and entry.copyleft and not entry.commercial for entry in entries)
    assert not any(entry.family == "fastsam" for entry in models(commercial=True))
    assert [entry.name for entry in models() if entry.copyleft] == ["fastsam_s", "fastsam_x"]
    from anymask import runtime

    monkeypatch.setattr(runtime, "_told", set())
    monkeypatch.delenv("ANYMASK_LICENCES_KNOWN", raising=False)
    runtime._tell_licence(entries[0])
    said = "fastsam_s asks that programs and services which use it be open, too (licence: AGPL-3.0).\n"
    assert capfd.readouterr().err == said


def test_it_is_not_exported(tmp_path):
    with pytest.raises(FormatError, match="fastsam_s cannot be exported"):
        anymask_export("fastsam_s", tmp_path)


def anymask_export(model: str, folder: Path) -> None:
    from anymask.export import export

    export(model, folder, "openvino", weights=folder)


# ---- With a checkpoint of the published structure ----


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up weights as the published file has them: a pickled object of classes that do not exist here."""
    torch = pytest.importorskip("torch", reason="checkpoints need the torch extra")
    import parity

    from anymask.networks import fastsam

    with torch.device("meta"):
        network = fastsam.build("s")
    parity.load(network, "fastsam_s")
    module, path = types.ModuleType("elsewhere"), tmp_path_factory.mktemp("fastsam") / "FastSAM-s.pt"
    sys.modules["elsewhere"] = module
    for part in network.modules():
        kind = type(part)
        if kind.__module__.startswith("anymask"):
            made = type(kind.__name__, (torch.nn.Module,), {"__module__": "elsewhere"})
            part.__class__ = module.__dict__.setdefault(kind.__name__, made)
    torch.save({"epoch": -1, "model": network.half(), "ema": None, "train_args": {"imgsz": 1024}}, path)
    del sys.modules["elsewhere"]
    return path


@pytest.fixture
def graphs(checkpoint, monkeypatch) -> Path:
    """Where the checkpoint's graphs lie once one of these tests has made them."""
    monkeypatch.setenv("ANYMASK_HOME", str(checkpoint.parent / "home"))
    return checkpoint.parent / "home" / "graphs"


@pytest.mark.slow
def test_the_command_line_with_a_checkpoint(checkpoint, graphs, tmp_path, capsys):
    import parity

    from anymask.cli import main

    shutil.rmtree(graphs, ignore_errors=True)  # it makes them itself, and says so
    Image.fromarray(parity.Golden("fastsam_s").picture()).save(tmp_path / "photo.png")

    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as left:
            main([str(one) for one in (*arguments, "-m", "fastsam_s", "--weights", checkpoint, "--device", "cpu")])
        _, err = capsys.readouterr()
        assert not left.value.code, err
        return str(err)

    said = run("everything", tmp_path / "photo.png", "-o", tmp_path / "all.json", "--precision", "fp32")
    assert "Preparing fastsam_s for this machine" in said and "AGPL-3.0" in said
    annotations = json.loads((tmp_path / "all.json").read_text())["annotations"]
    options = ("--pred-iou-thresh", 0.9, "--box-nms-thresh", 0.5, "--precision", "fp32")
    run("everything", tmp_path / "photo.png", "-o", tmp_path / "few.json", *options)
    assert 0 < len(json.loads((tmp_path / "few.json").read_text())["annotations"]) < 50 < len(annotations)
    x, y, width, height = annotations[0]["bbox"]
    box = ",".join(str(value) for value in (x, y, x + width, y + height))
    said = run("segment", tmp_path / "photo.png", "--box", box, "-o", tmp_path / "one.png", "--precision", "fp32")
    assert "Preparing" not in said
    mask = np.asarray(Image.open(tmp_path / "one.png"))
    assert mask.shape == (HEIGHT, WIDTH) and mask.any()


@pytest.mark.slow
@pytest.mark.usefixtures("graphs")
def test_both_engines_give_the_same_numbers(checkpoint):
    pytest.importorskip("torch", reason="one of them is PyTorch")
    from anymask.runtime.graphs import graph_folder
    from anymask.runtime.openvino import OpenVINOInstanceNetwork
    from anymask.runtime.torch import TorchInstanceNetwork

    spec = find("fastsam_s")
    graph = OpenVINOInstanceNetwork(graph_folder(spec, checkpoint), "fp32")
    plain = TorchInstanceNetwork(spec, checkpoint, "cpu", "fp32")
    rng = np.random.default_rng(4)
    for size in ((32, 256), (160, 96)):
        picture = rng.random((1, 3, *size), np.float32)
        for found, expected in zip(graph(picture), plain(picture), strict=True):
            assert found.shape == expected.shape
            assert np.abs(found - expected).max() < 2e-4 * expected.std()


@pytest.mark.slow
def test_files_that_are_not_its_weights(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "home"))
    with pytest.raises(WeightsError, match=r"it looks like fastsam_s: use Segmenter\('fastsam_s', weights"):
        anymask.Segmenter("fastsam_x", device="cpu", weights=checkpoint)
    (tmp_path / "cut.pt").write_bytes(checkpoint.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match=r"cut\.pt is damaged or cut short"):
        anymask.Segmenter("fastsam_s", device="cpu", weights=tmp_path / "cut.pt")
    with pytest.raises(WeightsError, match=r"has no instances\.xml"):
        anymask.Segmenter("fastsam_s", device="cpu", weights=tmp_path)
    assert not list((tmp_path / "home").rglob("instances.xml"))
