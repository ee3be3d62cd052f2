"""Networks that find the subject, opened from real files: ONNX without torch, checkpoints, and what is neither."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx_files import HALF, deformed, onnx_file
from PIL import Image

from anymask import catalog
from anymask.catalog import find
from anymask.downloads import located
from anymask.errors import ModelError, WeightsError
from anymask.hashes import compute
from anymask.runtime import load_matte_engine, load_trimap_engine
from anymask.runtime.graphs import is_onnx
from anymask.runtime.matte_input import network_input
from anymask.runtime.openvino import has_native_bf16

RGB = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "network.onnx"


def engine(path: Path, model: str = "u2net_custom", precision: str = "fp32", **options: str):
    return load_matte_engine(model, "cpu", precision, path, **options)


def expected(rgb: np.ndarray, side: int) -> np.ndarray:
    """What the hand-made network gives, by the recipe of u2net_custom."""
    rules = replace(find("u2net_custom").matte, width=side, height=side)
    mean = network_input(rules, rgb)[0].mean(0)
    return (mean - mean.min()) / (mean.max() - mean.min())


def test_a_file_runs_at_its_own_size(path):
    found = engine(onnx_file(path, (24, 24))).mattes(RGB)
    assert found.dtype == np.float32
    assert np.abs(found - expected(RGB, 24)).max() < 1e-5


def test_open_sizes_are_the_recipes(path):
    found = engine(onnx_file(path, ("height", "width"))).mattes(RGB)
    assert found.shape == (1, 320, 320)


def test_of_several_outputs_the_first_counts(path):
    assert np.abs(engine(onnx_file(path, outputs=7)).mattes(RGB) - expected(RGB, 8)).max() < 1e-5


def test_half_precision_files_run(path):
    assert np.abs(engine(onnx_file(path, kind=HALF)).mattes(RGB) - expected(RGB, 8)).max() < 1e-2


def test_modnet_sees_pictures_of_any_size(path):
    network = engine(onnx_file(path, ("height", "width")), "modnet")
    for shape in ((512, 704), (300, 301), (512, 704), (64, 640)):
        rgb = np.full((*shape, 3), 255, np.uint8)
        found = network.mattes(rgb)
        assert found.shape[1] % 32 == 0 and found.shape[2] % 32 == 0
        assert np.allclose(found, 1)


def test_both_recipes(path):
    onnx_file(path, (1024, 1024))
    original, rembg = (engine(path, "rmbg-1.4", preprocessing=name).mattes(RGB) for name in ("original", "rembg"))
    assert 0.001 < np.abs(original - rembg).mean() < 0.1
    with pytest.raises(ModelError, match="no preprocessing 'mine'; choose one of original, rembg"):
        engine(path, preprocessing="mine")


def test_clothes_are_three_mattes(path):
    import onnx
    from onnx import helper, numpy_helper

    kernel = numpy_helper.from_array(np.eye(4, 3, dtype=np.float32).reshape(4, 3, 1, 1) * 50, "kernel")
    ports = [helper.make_tensor_value_info(n, 1, [1, c, 768, 768]) for n, c in (("image", 3), ("classes", 4))]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "kernel"], ["classes"])], "x", ports[:1], ports[1:], [kernel]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    green = np.zeros((20, 20, 3), np.uint8)
    green[:, 10:, 1] = 255
    found = engine(path, "u2net_cloth_seg").mattes(green)
    assert found.shape == (3, 768, 768)
    assert found[0, :, 400:].min() > 0.99 and found[0, :, :360].max() < 0.5, "green is the second class, upper"


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        ({"channels": 4}, "wants one picture [1, 3, height, width], and the file asks for f32 [1,4,8,8]"),
        ({"inputs": 2}, "the file asks for f32 [1,3,8,8], f32 [1,3,8,8]"),
    ],
)
def test_a_network_with_other_inputs_is_refused(path, made, sentence):
    with pytest.raises(WeightsError) as caught:
        engine(onnx_file(path, **made))
    assert sentence in str(caught.value)


def test_a_named_model_of_another_size_is_another_model(path):
    with pytest.raises(
        WeightsError, match="another model than u2netp: it is for pictures of 24 x 24 and not 320 x 320"
    ):
        engine(onnx_file(path, (24, 24)), "u2netp")


@pytest.mark.parametrize("keep", [0, 1, 40, 0.5, 0.9])
def test_a_file_cut_short_is_refused(path, keep):
    content = onnx_file(path).read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(len(content) * keep)])
    with pytest.raises(WeightsError, match=r"network\.onnx is no ONNX model that can be read"):
        engine(path)


def test_noise_is_refused(path, home):
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(WeightsError, match="no ONNX model"):
        engine(path)
    assert not list(home.glob("graphs/*/")), "nothing half-made stays"


def test_a_segmenters_name_does_not_open_onnx_files(path):
    from anymask.runtime import load_segment_engine

    with pytest.raises(WeightsError, match="sam_vit_b opens from PyTorch checkpoints"):
        load_segment_engine("sam_vit_b", "cpu", weights=onnx_file(path))


def test_a_missing_file_and_a_model_without_weights():
    with pytest.raises(WeightsError, match=r"are not at nowhere\.onnx"):
        engine(Path("nowhere.onnx"))
    with pytest.raises(WeightsError, match="is a folder; u2netp opens from a file"):
        engine(Path(__file__).parent, "u2netp")
    with pytest.raises(
        WeightsError, match="u2net_custom has no weights of its own: give it a file of yours with weights="
    ):
        load_matte_engine("u2net_custom")


def test_content_tells_what_a_file_is(tmp_path, path):
    renamed = tmp_path / "network.pth"
    onnx_file(path).rename(renamed)
    assert is_onnx(renamed)
    assert engine(renamed).mattes(RGB).shape == (1, 8, 8)
    torch = pytest.importorskip("torch", reason="checkpoints need the torch extra")
    torch.save({"a": torch.ones(1)}, path)
    assert not is_onnx(path)
    with pytest.raises(WeightsError, match="silueta opens from ONNX files only"):
        engine(path, "silueta")
    with pytest.raises(WeightsError, match="is not a checkpoint of u2netp"):
        engine(path, "u2netp")


def test_threads_share_an_engine(path):
    shared = engine(onnx_file(path, ("height", "width")), "modnet")
    pictures = [np.full((64 + 32 * i, 544, 3), 60 * i, np.uint8) for i in range(4)]
    alone = [shared.mattes(picture) for picture in pictures]
    wrong: list[int] = []

    def work(index: int) -> None:
        for turn in range(8):
            which = (index + turn) % 4
            if not np.array_equal(shared.mattes(pictures[which]), alone[which]):
                wrong.append(which)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_second_start_makes_nothing_anew(path, capsys):
    engine(onnx_file(path))
    assert "Preparing u2net_custom for this machine, once" in capsys.readouterr().err
    engine(path)
    assert capsys.readouterr().err == ""


def test_a_licence_against_commerce_is_told_once(path, capsys, monkeypatch):
    import anymask.runtime

    monkeypatch.setattr(anymask.runtime, "_told", set())
    onnx_file(path, (1024, 1024))
    engine(path, "bria-rmbg")
    assert "bria-rmbg is not for commercial use (licence: CC BY-NC 4.0" in capsys.readouterr().err
    engine(path, "bria-rmbg")
    assert "commercial" not in capsys.readouterr().err
    monkeypatch.setattr(anymask.runtime, "_told", set())
    monkeypatch.setenv("ANYMASK_LICENCES_KNOWN", "1")
    engine(path, "rmbg-2.0")
    assert "commercial" not in capsys.readouterr().err


@pytest.mark.parametrize("place", ["rembg/models/u2netp/u2netp.onnx", "u2net/u2netp.onnx"])
def test_what_rembg_has_downloaded_is_used(tmp_path, monkeypatch, place):
    monkeypatch.setenv("REMBG_HOME", str(tmp_path / "rembg"))
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "u2net"))
    monkeypatch.setenv("ANYMASK_OFFLINE", "1")
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    onnx_file(file, (320, 320))
    with pytest.raises(WeightsError, match="ANYMASK_OFFLINE"):
        located(find("u2netp"))
    entry = find("u2netp")
    known = replace(entry, weights=replace(entry.weights, md5=compute(file, "md5")))
    monkeypatch.setitem(catalog._catalogue(), "u2netp", known)
    assert located(known) == file
    assert load_matte_engine("u2netp", "cpu", "fp32").mattes(RGB).shape == (1, 320, 320)


def test_a_trimap_network_sees_picture_and_trimap(path):
    onnx_file(path, (1024, 1024), channels=4, weights=[0, 0, 0, 1])
    network = load_trimap_engine("vitmatte-small-composition-1k", "cpu", "fp32", path)
    trimap = np.zeros((30, 40), np.uint8)
    trimap[:, 20:] = 255
    found = network.alpha(RGB, trimap)
    assert found.shape == (1024, 1024)
    assert (found[:, :512] == 0).all() and np.allclose(found[:, 512:], 1)
    onnx_file(path, (1024, 1024), channels=4, weights=[0.5, 0.25, 0.25, 0])
    bright = load_trimap_engine("vitmatte-small-composition-1k", "cpu", "fp32", path).alpha(RGB, trimap)
    assert abs(bright.mean() - (RGB * [0.5, 0.25, 0.25]).sum(2).mean() / 255) < 0.01


def test_a_graph_card_is_for_checkpoints(path):
    with pytest.raises(ModelError, match=r"runs on the CPU only|finds no cuda"):
        load_trimap_engine(device="cuda", weights=onnx_file(path))


@pytest.mark.skipif(not has_native_bf16(), reason="this processor has no bfloat16")
def test_places_stay_exact_in_bf16(path, tmp_path, monkeypatch):
    """Published deformable convolutions: a place rounded to eight bits would read pixels beside the right ones."""
    small = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    rgb = np.asarray(Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC))
    image = network_input(replace(find("u2net_custom").matte, width=256, height=256), rgb)
    session = onnxruntime.InferenceSession(deformed(path, 256), providers=["CPUExecutionProvider"])
    reference = session.run(None, {"image": image})[0]
    assert np.abs(engine(path).network(image) - reference).max() < 1e-3
    marked = np.abs(engine(path, precision="bf16").network(image) - reference).mean()
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "other"))
    monkeypatch.setattr("anymask.runtime.onnx.mark_exact", lambda xml: None)
    unmarked = np.abs(engine(path, precision="bf16").network(image) - reference).mean()
    assert marked < unmarked / 3, (marked, unmarked)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch.export's own
def test_one_model_from_either_file(tmp_path):
    """u2netp from its PyTorch checkpoint, by our own network, and from an ONNX file of it: the same matte."""
    torch = pytest.importorskip("torch", reason="checkpoints need the torch extra")
    import parity

    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    import onnx_models

    torch.save(parity.checkpoint("u2netp"), tmp_path / "u2netp.pth")
    picture = parity.Golden("u2netp").picture()
    mattes = [
        load_matte_engine("u2netp", "cpu", "fp32", weights).mattes(picture)
        for weights in (tmp_path / "u2netp.pth", onnx_models.onnx_file(tmp_path, "u2netp"))
    ]
    assert parity.Golden("u2netp").difference("final", mattes[0]) < 1e-4
    assert np.abs(mattes[0] - mattes[1]).max() < 1e-4


@pytest.mark.slow
def test_onnx_files_need_no_torch(path):
    """In a process in which torch cannot be imported."""
    onnx_file(path, (320, 320))
    bus = Path(__file__).parents[1] / "assets" / "bus.jpg"
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from anymask import BackgroundRemover\n"
        f"assert BackgroundRemover('u2netp', weights={str(path)!r}).matte({str(bus)!r}).ndim == 2\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"ANYMASK_HOME": str(path.parent)})


@pytest.mark.slow
def test_the_torch_engine_gives_the_same(tmp_path):
    torch = pytest.importorskip("torch", reason="checkpoints need the torch extra")
    import parity

    from anymask.runtime.torch import TorchMatteNetwork

    torch.save(parity.checkpoint("modnet"), tmp_path / "modnet.ckpt")
    network = TorchMatteNetwork(find("modnet"), tmp_path / "modnet.ckpt", "cpu", "fp32")
    golden = parity.Golden("modnet")
    image = network_input(find("modnet").matte, golden.picture())
    assert golden.difference("matte", network(image)) < 2e-3, "made-up weights enlarge what the input differs by"
    graph = load_matte_engine("modnet", "cpu", "fp32", tmp_path / "modnet.ckpt")
    assert np.abs(graph.network(image) - network(image)).max() < 1e-3
