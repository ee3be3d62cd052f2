"""SAM 2 on the engines: a video's parts as graphs, and whole tracks through them. See test_sam2_network.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import parity
import pytest
import torch
from openvino import save_model
from parity.seeded import seeded_video
from PIL import Image

from anymask.catalog import find
from anymask.errors import ModelError, WeightsError
from anymask.networks.sam2.hiera import Size
from anymask.networks.sam2.sam2 import Sam2
from anymask.networks.sam2.video import video_parts
from anymask.recall import recall
from anymask.runtime import load_video_engine
from anymask.runtime.convert import convert_video_parts
from anymask.runtime.engine import Features, VideoEngine, bounded, recalled, to_bfloat16, video_points
from anymask.runtime.openvino import Graph, SizedGraphs
from anymask.runtime.parts import load_video_parts
from anymask.runtime.torch import TorchSegmentEngine

GOLDEN = parity.Golden("sam2.1_hiera_tiny.video")
VIDEO = GOLDEN.settings["video"]
SHAPES = ((1, 256, 16, 16), (1, 64, 32, 32), (1, 32, 64, 64))  # of features on a quarter of the usual grid


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("improved", [True, False], ids=["2.1", "2.0"])
@pytest.mark.slow
def test_the_graphs_of_a_video_compute_what_pytorch_does(improved: bool, tmp_path: Path) -> None:
    network = Sam2(Size(8, 1, (1, 1, 1, 1), ()), improved)
    parity.scattered(network).requires_grad_(False)
    network.sam_prompt_encoder.side, network.sam_prompt_encoder.grid = 256, 16
    parts, graphs = video_parts(network), {}
    for name, model in convert_video_parts(parts, SHAPES, 64, 256):
        save_model(model, tmp_path / f"{name}.xml", compress_to_fp16=False)
        kind = SizedGraphs if name == "condition" else Graph
        graphs[name] = kind(tmp_path / f"{name}.xml", "fp32")
    assert graphs.keys() == set(parts._fields)
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    coarse, middle, fine = (noise(*shape) for shape in SHAPES)
    cases: list[tuple[str, list[torch.Tensor], list[torch.Tensor]]] = [
        ("alone", [coarse], []),
        ("look", [coarse], []),
        (
            "answer",
            [middle, fine],
            [noise(2, 256, 16, 16), 125 + 50 * noise(2, 2, 2), torch.tensor([[1.0, -1], [0, -1]])],
        ),
        (
            "corrected",
            [middle, fine],
            [noise(1, 256, 16, 16), 125 + 50 * noise(1, 4, 2), torch.tensor([[2.0, 3, 1, -1]]), noise(1, 64, 64)],
        ),
        ("adopt", [coarse, middle, fine], [(noise(2, 256, 256) > 1).float()]),
        (
            "remember",
            [coarse],
            [noise(4, 64, 64), torch.tensor([[1.0], [-1], [1], [-1]]), torch.tensor([[1.0], [0], [0], [1]])],
        ),
    ]
    for frames, pointers in ((1, 1), (2, 3), (7, 9), (2, 0)):
        rows, times = torch.arange(2 * frames).view(2, -1) % 7, torch.linspace(0, 1, 2 * pointers).view(2, -1)
        remembered = [rows, times, noise(2, frames, 64, 16, 16), noise(2, pointers, 256)]
        cases.append(("condition", list(parts.look(coarse)), remembered))
    for name, shared, each in cases:
        found = graphs[name]([one.numpy() for one in shared], [one.numpy() for one in each])
        expected = getattr(parts, name)(*shared, *each)
        for one, other in zip(found, expected, strict=True):
            scale = other.std() if other.numel() > 2 else 1.0
            assert np.abs(one - other.numpy()).max() < 1e-4 * scale, name


def test_pictures_and_videos_are_served_by_one_network_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def loaded(*_: object) -> Sam2:
        made.append(Sam2(Size(8, 1, (1, 1, 1, 1), ()), True))
        return made[-1]

    monkeypatch.setattr("anymask.runtime.parts.loaded", loaded)
    parts, video = load_video_parts(find("sam2.1_hiera_tiny", "segment"), Path("unread"))
    assert len(made) == 1 and parts.encoder.network is video.look.network is video.adopt.network is made[0]
    assert not any(tensor.requires_grad for tensor in made[0].parameters())


def test_times_and_rows_may_be_shared_or_each_objects_own() -> None:
    rows, times = recalled(np.array([6, 0]), np.array([0.5]), 3)
    assert rows.tolist() == [[6, 0]] * 3 and times.tolist() == [[0.5]] * 3
    assert rows.dtype == np.int64 and times.dtype == np.float32
    rows, times = recalled(np.array([[6, 0], [6, 1]]), np.array([[0.5], [1]]), 2)
    assert rows.tolist() == [[6, 0], [6, 1]] and times.tolist() == [[0.5], [1]]


def test_a_prompt_on_a_frame_is_padded() -> None:
    coords, labels = video_points(np.full((2, 1, 2), 7.0), np.ones((2, 1)))
    assert coords.tolist() == [[[7, 7], [0, 0]]] * 2 and labels.tolist() == [[1, -1]] * 2
    coords, labels = video_points(np.zeros((1, 0, 2)), np.zeros((1, 0)))
    assert coords.shape == (1, 2, 2) and labels.tolist() == [[-1, -1]]
    assert coords.dtype == labels.dtype == np.float32


def test_rounding_is_bfloat16s() -> None:
    values = np.random.default_rng(0).normal(0, 30, 2000).astype(np.float32)
    values[:4] = 0, -0.0, 1 + 2**-8, 1 + 3 * 2**-8  # the last two are ties
    expected = torch.from_numpy(values).bfloat16().float().numpy()
    assert np.array_equal(to_bfloat16(values), expected)
    assert bounded(np.array([-50.0, 3, 99])).tolist() == [-32, 3, 32]


def test_arrays_that_cannot_be_written_to_reach_pytorch() -> None:
    engine = TorchSegmentEngine.__new__(TorchSegmentEngine)
    engine._device = torch.device("cpu")
    row, own = np.broadcast_to(np.arange(3.0), (2, 3)), np.ones((2, 2), np.float32)
    tensors = engine._on_device([row, own])
    assert tensors[0].tolist() == row.tolist() and tensors[1].data_ptr() == own.ctypes.data


def test_only_models_with_a_memory_run_on_videos(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"sam_vit_b has no memory of objects; these have: sam2\.1_hiera_tiny"):
        load_video_engine("sam_vit_b", "cpu")
    with pytest.raises(WeightsError, match="is a folder; for videos sam2_hiera_tiny opens from a checkpoint"):
        load_video_engine("sam2_hiera_tiny", "cpu", weights=tmp_path)


def clicked_and_tracked(engine: VideoEngine) -> dict[str, np.ndarray]:
    """The golden's two objects on its first two frames, both at once: each array by its name there."""
    frames = seeded_video(VIDEO["height"], VIDEO["width"], VIDEO["frames"], VIDEO["seed"])[:2]
    pictures = [np.asarray(Image.fromarray(frame).resize((1024, 1024), Image.Resampling.BICUBIC)) for frame in frames]
    clicks: Any = GOLDEN.settings["frame0_clicks"].values()
    coords = np.array([click["points"] for click in clicks]) * (1024 / VIDEO["width"], 1024 / VIDEO["height"])
    first = engine.encode(pictures[0])
    found: dict[str, np.ndarray] = {}
    seen = kept(found, engine, 0, first, engine.alone(first), coords, np.ones((2, 1)))
    recalled = recall(1, [0], [], VIDEO["frames"])
    rows, times = (np.array([value for _, value in part]) for part in recalled)
    second = engine.encode(pictures[1])
    lit = engine.condition(second, rows, times, seen[0][:, None], seen[1][:, None])
    kept(found, engine, 1, second, lit, np.zeros((2, 0, 2)), np.zeros((2, 0)))
    return found


def kept(
    found: dict[str, np.ndarray], engine: VideoEngine, frame: int, features: Features, lit: Features,
    coords: np.ndarray, labels: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Maps and pointers of the objects on a frame."""
    answer = engine.answer(lit, coords, labels)
    row, best = np.arange(2), 1 + answer.scores[:, 1:].argmax(axis=1)
    logits, pointers = answer.logits[row, best], answer.pointers[row, best]
    maps = engine.remember(features, logits, answer.presence, prompted=labels.shape[1] > 0)
    for number in range(2):
        name = f"pass1.frame{frame}.obj{number + 1}"
        found |= {
            f"{name}.low_res": logits[number],
            f"{name}.obj_ptr": pointers[number],
            f"{name}.memory": maps[number],
        }
    return maps, pointers


@pytest.mark.slow
def test_the_cpu_engine_tracks_as_the_reference_does(shared_home: Path) -> None:
    checkpoint = parity.saved("sam2.1_hiera_tiny", shared_home)
    found = clicked_and_tracked(load_video_engine("sam2.1_hiera_tiny", "cpu", "fp32", checkpoint))
    assert len(found) == 12
    for name, value in found.items():
        assert GOLDEN.difference(name, value) < (5e-2 if name.endswith("memory") else 1e-3), name
