"""Checkpoints become graphs: the same numbers, made once, whatever happens meanwhile."""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from anymask import Segmenter
from anymask.catalog import ModelEntry, find
from anymask.errors import WeightsError
from anymask.images import read_image
from anymask.masks import Masks
from anymask.runtime import graphs, load_segment_engine
from anymask.runtime.openvino import has_native_bf16

torch = pytest.importorskip("torch", reason="conversion needs the torch extra")

import parity  # noqa: E402

from anymask.runtime.torch import TorchSegmentEngine  # noqa: E402

ASSETS = Path(__file__).parents[1] / "assets"
MODELS = ("mobile_sam", "efficient_sam_ti", "sam2.1_hiera_tiny")
LIMIT = 10 * parity.LIMIT  # in deviations of the array
SAID = "Preparing efficient_sam_ti"

RUN = """
import sys
import numpy as np
from anymask import Segmenter
picture = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
masks = Segmenter("efficient_sam_ti", device="cpu", weights=sys.argv[1]).encode(picture).predict(points=[(30, 30)])
print(len(masks), "torch" in sys.modules)
"""


def start(shared: Path, home: Path) -> "subprocess.Popen[str]":
    """A process that opens EfficientSAM and clicks."""
    command = [sys.executable, "-c", RUN, str(parity.saved("efficient_sam_ti", shared))]
    environment = {**os.environ, "ANYMASK_HOME": str(home)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def made(home: Path) -> list[str]:
    """The folders of graphs and what conversions have left behind."""
    return sorted(path.name for path in (home / "graphs").iterdir() if path.is_dir())


def deviation(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / expected.std())


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_graphs_compute_what_pytorch_does(shared_home: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, spec = parity.saved(model, shared_home), find(model)
    graph = load_segment_engine(model, "cpu", "fp32", path)
    plain = TorchSegmentEngine(spec, path, "cpu", "fp32")
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 255, (700, 1024, 3), np.uint8)
    features = plain.encode(picture)
    for found, expected in zip(graph.encode(picture), features, strict=True):
        assert deviation(found, expected) < LIMIT
    there, here = graph.prepare(features), plain.prepare(features)
    monkeypatch.setattr("anymask.runtime.torch.PROMPTS", 3)  # the four clicks are decoded in two pieces
    clicks = rng.uniform(0, 700, (4, 1, 2))
    boxes = np.concatenate([clicks[:2], clicks[:2] + 300, clicks[2:4]], axis=1)
    cases = [
        (clicks[:1], np.ones((1, 1)), None),
        (clicks, np.ones((4, 1)), None),
        (boxes, np.tile([2, 3, 0], (2, 1)), None),
    ]
    if spec.prompts.mask:
        earlier = rng.normal(0, 5, (2, 256, 256)).astype(np.float32)
        cases += [(boxes, np.tile([2, 3, 1], (2, 1)), earlier), (np.zeros((2, 0, 2)), np.zeros((2, 0)), earlier)]
    for case in cases:
        logits, scores = graph.decode(there, *case)
        expected_logits, expected_scores = plain.decode(here, *case)
        assert logits.dtype == scores.dtype == np.float32
        assert deviation(logits, expected_logits) < LIMIT
        np.testing.assert_allclose(scores, expected_scores, atol=1e-4)


@pytest.mark.slow
def test_after_a_killed_conversion_two_processes_at_once_convert_once_and_the_next_needs_no_torch(
    shared: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    process = start(shared, home)
    assert process.stderr is not None
    while SAID not in process.stderr.readline():
        pass
    process.kill()
    process.communicate()
    assert all(name.startswith(".") for name in made(home))

    processes = [start(shared, home), start(shared, home)]
    results = [process.communicate() for process in processes]
    (converted,) = [output for output, errors in results if SAID in errors]
    assert converted.split() == ["3", "True"], "and both answer"
    assert all(output.startswith("3") for output, _ in results), results
    assert [name.startswith(".") for name in made(home)] == [False]

    output, errors = start(shared, home).communicate()
    assert output.split() == ["3", "False"] and SAID not in errors, errors
    assert len(made(home)) == 1


@pytest.fixture
def copied(shared_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint of EfficientSAM, whose graphs are converted once for all tests of this run and then copied."""
    checkpoint, whole = parity.saved("efficient_sam_ti", shared_home), tmp_path / "whole"
    shutil.copytree(graphs.graph_folder(find("efficient_sam_ti"), checkpoint), whole)

    def write(spec: ModelEntry, checkpoint: Path, folder: Path) -> None:
        shutil.copytree(whole, folder, dirs_exist_ok=True)

    monkeypatch.setattr(graphs, "_writer", lambda *_: write)
    return checkpoint


def clicked(checkpoint: Path) -> Masks:
    picture = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    segmenter = Segmenter("efficient_sam_ti", "cpu", "fp32", checkpoint)
    return segmenter.encode(picture).predict(points=[(30, 30)])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["encoder.bin", "decoder.xml"])
def test_damaged_graphs_are_made_anew(
    copied: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "home"))
    expected = clicked(copied)
    (kept,) = made(tmp_path / "home")
    damaged = tmp_path / "home" / "graphs" / kept / name
    size = damaged.stat().st_size
    damaged.write_bytes(damaged.read_bytes()[:1000])
    capsys.readouterr()
    assert np.array_equal(clicked(copied).logits, expected.logits)
    assert SAID in capsys.readouterr().err
    assert damaged.stat().st_size == size > 1000
    assert made(tmp_path / "home") == [kept]


@pytest.mark.slow
def test_a_home_that_cannot_be_written(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "file"))
    assert len(clicked(copied)) == 3


def test_a_failed_conversion_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path))
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="not a checkpoint of efficient_sam_ti"):
        graphs.graph_folder(find("efficient_sam_ti"), tmp_path / "other.pth")
    assert made(tmp_path) == []


def test_without_torch_a_checkpoint_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path))
    monkeypatch.setattr(graphs, "find_spec", lambda name: None)
    (tmp_path / "some.pth").write_bytes(b"PK")
    with pytest.raises(graphs.MissingExtraError, match=r"anymask\[torch\]"):
        graphs.graph_folder(find("sam_vit_b"), tmp_path / "some.pth")


@pytest.mark.parametrize("graph", ["decoder", "masked"])
def test_what_leads_to_a_sine_is_marked_to_stay_in_float32(graph: str) -> None:
    tree = ElementTree.parse(find("pocket").path / f"{graph}.xml")
    marked = {
        layer.get("type")
        for layer in tree.iter("layer")
        if any(attribute.get("name") == "precise" for attribute in layer.iter("attribute"))
    }
    assert {"Sin", "Cos", "Multiply", "Add"} <= marked
    assert not {"MatMul", "Convolution", "Parameter", "Const"} & marked


@pytest.mark.slow
def test_sam_on_the_cpu_gives_the_references_masks(shared_home: Path) -> None:
    golden = parity.Golden("sam_vit_b")
    checkpoint = parity.saved("sam_vit_b", shared_home)
    image = Segmenter("sam_vit_b", "cpu", "fp32", checkpoint).encode(golden.picture())
    assert golden.difference("encoder", image.features[0]) < LIMIT
    engine = image.segmenter.engine
    for name, case in golden.cases.items():
        coords, labels, mask = parity.sam_prompt(case, golden.picture().shape)
        if "box" not in case and "points" in case:
            coords, labels = coords[:, :-1], labels[:, :-1]  # the engine adds the padding point itself
        logits, _ = engine.decode(
            image.embedding, coords.numpy(), labels.numpy(), None if mask is None else mask.numpy()
        )
        chosen = slice(1, None) if case["multimask"] else slice(0, 1)
        assert golden.difference(f"{name}.low_res", logits[:, chosen]) < LIMIT


@pytest.mark.slow
def test_sams_masks_in_bf16_are_those_in_fp32(shared_home: Path) -> None:
    """Mean IoU of 108 masks on each picture. Made-up weights make masks of noise, with far longer borders than
    objects have, so that the bound is modest."""
    if not has_native_bf16():
        pytest.skip("this processor has no bf16")
    masks: dict[str, list[np.ndarray]] = {"fp32": [], "bf16": []}
    for precision, found in masks.items():
        segmenter = Segmenter("sam_vit_b", "cpu", precision, parity.saved("sam_vit_b", shared_home))
        for name in ("street.jpg", "flowers.jpg"):
            image = segmenter.encode(read_image(ASSETS / name))
            x, y = np.meshgrid(np.linspace(0.1, 0.9, 6) * image.width, np.linspace(0.1, 0.9, 6) * image.height)
            found.append(image.predict_points(np.stack([x.ravel(), y.ravel()], axis=1))[0] > 0)
    for full, half in zip(masks["fp32"], masks["bf16"], strict=True):
        union = (full | half).sum((2, 3))
        ious = (full & half).sum((2, 3))[union > 0] / union[union > 0]

        assert ious.mean() > 0.9
