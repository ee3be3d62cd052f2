"""How a model is found, compiled, cached and shared."""

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anymask.catalog import PromptRules, find
from anymask.errors import MissingExtraError, ModelError, WeightsError
from anymask.images import read_image
from anymask.placement import Placement
from anymask.runtime import load_matte_engine, load_segment_engine
from anymask.runtime.engine import padded_picture, prompt_points
from anymask.runtime.openvino import Graph, SizedGraphs, has_native_bf16
from anymask.runtime.resize import resize_to_input

PICTURE = np.random.default_rng(0).integers(0, 255, (300, 512, 3), np.uint8)

RUN = """
import numpy as np, socket
def refuse(*arguments): raise OSError("the network was asked for")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
from anymask import Segmenter
masks = Segmenter("pocket", device="cpu").encode(np.zeros((64, 64, 3), np.uint8)).predict(points=[(30, 30)])
print(len(masks))
"""


def run_with_home(home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ANYMASK_HOME": str(home)}
    return subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, env=environment)


def test_compiled_graphs_are_kept_and_no_network_is_used(tmp_path):
    result = run_with_home(tmp_path / "home")
    assert result.stdout.strip() == "3", result.stderr
    kept = {path.name for path in (tmp_path / "home" / "compiled").rglob("*") if path.is_file()}
    assert len(kept) == 2
    assert run_with_home(tmp_path / "home").stdout.strip() == "3"
    assert {path.name for path in (tmp_path / "home" / "compiled").rglob("*") if path.is_file()} == kept


def test_a_home_that_cannot_be_written_does_not_break_a_run(tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = run_with_home(tmp_path / "file")
    assert result.stdout.strip() == "3", result.stderr


def test_a_changed_graph_never_meets_the_cache_of_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "home"))
    for name in ("decoder.xml", "weights.safetensors"):
        (tmp_path / name).write_bytes((find("pocket").path / name).read_bytes())
    Graph(tmp_path / "decoder.xml", "fp32")
    with (tmp_path / "decoder.xml").open("a") as file:
        file.write("<!-- to OpenVINO the same graph -->\n")
    Graph(tmp_path / "decoder.xml", "fp32")
    blobs = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.blob")]
    assert len({path.parent for path in blobs}) == 2 and len({path.name for path in blobs}) == 1


def test_a_damaged_cache_does_not_break_a_run(tmp_path):
    run_with_home(tmp_path)
    for path in (tmp_path / "compiled").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:1000])
    result = run_with_home(tmp_path)
    assert result.stdout.strip() == "3", result.stderr


def row_sums(folder: Path) -> Path:
    """A graph of open shapes: each row's sum beside the shared numbers."""
    import openvino as ov
    from openvino import opset13 as ops

    shared, each = (ops.parameter([-1, -1], np.float32, name) for name in ("shared", "each"))
    both = ops.concat([shared, each], 1)
    total = ops.reduce_sum(both, np.array([1]), keep_dims=True)
    ov.save_model(ov.Model([total], [shared, each]), folder / "sums.xml", compress_to_fp16=False)
    return folder / "sums.xml"


def test_a_graph_of_open_shapes_is_compiled_for_the_latest_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "home"))
    xml, made = row_sums(tmp_path), []

    class Noted(Graph):
        def __init__(self, *arguments, **options):
            made.append(tuple(shape[1] for shape in options["shapes"]))
            super().__init__(*arguments, **options)

    monkeypatch.setattr("anymask.runtime.openvino.Graph", Noted)
    graphs = SizedGraphs(xml, "fp32", latest=2, most=2, idle=3, kept=False)

    def asked(shared: int, each: int) -> None:
        rows = np.arange(3 * each, dtype=np.float32).reshape(3, each)
        (sums,) = graphs([np.full((1, shared), 10, np.float32)], [rows])
        assert sums.tolist() == (rows.sum(1, keepdims=True) + 10 * shared).tolist()

    for shapes in ((2, 4), (2, 5), (2, 4), (2, 5), (2, 0), (2, 5)):
        asked(*shapes)  # rows of no length, too
    assert made == [(2, 4), (2, 5), (2, 0)]
    asked(2, 4)  # had made room for (2, 0), and takes its place
    for _ in range(3):
        asked(2, 4)
    asked(2, 5)  # had gone after three calls without it
    assert made == [(2, 4), (2, 5), (2, 0), (2, 4), (2, 5)]
    assert not list(tmp_path.rglob("*.blob"))

    made.clear()
    graphs = SizedGraphs(xml, "fp32", latest=1, most=3, idle=4, kept=False)
    for each in (1, 2, 3, 4):  # growing: one is held
        asked(2, each)
    for each in (5, 6, 7) * 4:  # taking turns: room is made for them
        asked(2, each)
    assert made == [(2, each) for each in (1, 2, 3, 4, 5, 6, 7, 5, 6)]
    for each in [8] * 6 + [9, 8]:  # and goes again: one is held
        asked(2, each)
    assert made[9:] == [(2, 8), (2, 9), (2, 8)]


def test_precision_follows_the_processor():
    engine = load_segment_engine("pocket")
    fp32 = load_segment_engine("pocket", precision="fp32")
    differs = not np.array_equal(engine.encode(PICTURE)[0], fp32.encode(PICTURE)[0])
    assert differs == has_native_bf16()


def test_features_may_lie_in_memory_in_any_way():
    engine = load_segment_engine("pocket")
    features = engine.encode(PICTURE)
    prompt = np.full((1, 1, 2), 200.0), np.ones((1, 1))
    expected = engine.decode(engine.prepare(features), *prompt)[0]
    turned = tuple(array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) for array in features)
    for array in (frozen := tuple(array.copy() for array in features)):
        array.flags.writeable = False
    for other in (turned, frozen):
        np.testing.assert_array_equal(engine.decode(engine.prepare(other), *prompt)[0], expected)


def test_bf16_masks_are_fp32_masks():
    """The mean IoU between the two precisions' masks over a grid of clicks."""
    if not has_native_bf16():
        pytest.skip("this processor has no bf16")
    picture = read_image(Path(__file__).parents[1] / "assets" / "street.jpg")
    placement = Placement.letterbox(*picture.shape[:2], 512)
    masks = []
    for precision in ("fp32", "bf16"):
        engine = load_segment_engine("pocket", "cpu", precision)
        x, y = np.meshgrid(np.linspace(30, 480, 6), np.linspace(30, 350, 6))
        coords = np.stack([x.ravel(), y.ravel()], -1)[:, None]
        embedding = engine.encode(resize_to_input(picture, placement))
        masks.append(engine.decode(embedding, coords, np.ones((36, 1)))[0][:, 1:] > 0)
    union = (masks[0] | masks[1]).sum((2, 3))
    ious = (masks[0] & masks[1]).sum((2, 3))[union > 0] / union[union > 0]
    assert ious.mean() > 0.95


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("points", [1, 2, 3])
def test_a_prompt_has_one_answer_in_either_precision(points, masked):
    """OpenVINO's own fusion of attention made bf16 decoders answer otherwise at every call."""
    coords, labels = np.full((1, points, 2), 200.0) + 20 * np.arange(points)[:, None], np.ones((1, points))
    mask = np.random.default_rng(1).normal(0, 5, (1, 128, 128)) if masked else None
    answers = {}
    for precision in ("fp32", "bf16") if has_native_bf16() else ("fp32",):
        engine = load_segment_engine("pocket", "cpu", precision)
        features = engine.encode(PICTURE)
        first = engine.decode(features, coords, labels, mask)[0]
        for _ in range(4):
            np.random.default_rng(0).normal(size=1_000_000)  # other values in memory that is free
            np.testing.assert_array_equal(engine.decode(features, coords, labels, mask)[0], first)
        answers[precision] = first
    if len(answers) == 2:
        assert np.abs(answers["bf16"] - answers["fp32"]).mean() < 0.15 * answers["fp32"].std()


def test_an_unavailable_device_is_refused():
    torch = pytest.importorskip("torch", reason="asking for a GPU needs the torch extra")
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ModelError, match="no cuda device"):
        load_segment_engine("pocket", device="cuda")


def test_torch_missing_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "anymask.runtime.torch", raising=False)
    weights = find("pocket").path / "weights.safetensors"
    with pytest.raises(MissingExtraError, match=r"anymask\[torch\]"):
        load_segment_engine("pocket", weights=weights)


class Malice:
    def __reduce__(self):
        return (os.system, ("echo executed",))


@pytest.mark.parametrize("content", [b"", b"PK not a zip", b"\x10\x00\x00\x00\x00\x00\x00\x00{broken json}}}", None])
def test_damaged_and_hostile_checkpoints_are_refused(tmp_path, content, capfd):
    torch = pytest.importorskip("torch", reason="checkpoints need the torch extra")
    path = tmp_path / "weights.pth"
    if content is None:
        torch.save({"a": Malice()}, path, pickle_module=pickle)
    else:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        load_segment_engine("pocket", weights=path)
    assert "executed" not in capfd.readouterr().out


def test_another_models_weights_are_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="checkpoints need the torch extra")
    torch.save({"image_encoder.pos_embed": torch.zeros(2)}, tmp_path / "sam.pth")
    with pytest.raises(WeightsError, match="is not a checkpoint of pocket"):
        load_segment_engine("pocket", weights=tmp_path / "sam.pth")


@pytest.mark.parametrize("size", [(1, 1), (300, 512), (768, 1024), (900, 7), (333, 500)])
def test_a_matte_covers_just_the_picture(size):
    """A bright square in one corner must come out in that corner, whatever the padding."""
    matte = load_matte_engine("pocket", device="cpu").mattes(np.full((*size, 3), 90, np.uint8))[0]
    assert matte.dtype == np.float32
    assert ((matte >= 0) & (matte <= 1)).all()
    ratio = max(size) / 128
    assert abs(matte.shape[0] - size[0] / ratio) <= 1 and abs(matte.shape[1] - size[1] / ratio) <= 1


def test_inputs_are_padded_with_the_models_colour():
    spec = find("pocket")
    padded = padded_picture(spec, np.full((2, 3, 3), 9, np.uint8))
    assert padded.shape == (1, 512, 512, 3)
    assert (padded[0, :2, :3] == 9).all() and tuple(padded[0, 2, 3]) == spec.input.padding


@pytest.mark.parametrize(
    ("rule", "labels", "padded"),
    [
        ("alone", [], [-1]),
        ("alone", [1, 0], [1, 0]),
        ("after_points", [], []),
        ("after_points", [1, 0], [1, 0, -1]),
        ("after_points", [1, 2, 3], [1, 2, 3]),
        ("never", [1], [1]),
    ],
)
def test_a_padding_point_is_added_as_the_network_wants_it(rule, labels, padded):
    spec = replace(find("pocket"), prompts=PromptRules(padding_point=rule))
    coords, given = prompt_points(spec, np.ones((2, len(labels), 2)), np.array([labels] * 2).reshape(2, -1))
    assert given.tolist() == [padded] * 2
    assert coords.shape == (2, len(padded), 2) and coords.dtype == given.dtype == np.float32
