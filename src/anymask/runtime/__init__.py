"""How a model runs: OpenVINO on CPUs, PyTorch on GPUs, behind the protocols of `engine.py`.

The engines themselves are imported when one is chosen, so that this package costs nothing to import.
"""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from anymask.catalog import ModelEntry, find, models
from anymask.downloads import located
from anymask.errors import MissingExtraError, ModelError, WeightsError
from anymask.runtime.engine import MatteEngine, SegmentEngine, TrimapEngine, VideoEngine
from anymask.runtime.graphs import graph_folder, is_onnx

if TYPE_CHECKING:
    from anymask.runtime.openvino import OpenVINOMatteNetwork

T = TypeVar("T")

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
PREPROCESSINGS = ("original", "rembg")

__all__ = [
    "DEVICES",
    "PRECISIONS",
    "PREPROCESSINGS",
    "load_matte_engine",
    "load_segment_engine",
    "load_trimap_engine",
    "load_video_engine",
]

_told: set[str] = set()


def load_segment_engine(
    model: str, device: str = "auto", precision: str = "auto", weights: str | Path | None = None
) -> SegmentEngine:
    """A promptable model, ready to run.

    Args:
        model: a name from the catalogue.
        device: auto, cpu, cuda or mps; auto is the CPU unless a CUDA GPU and the torch extra are there.
        precision: auto, fp32, bf16 or fp16; auto is bf16 where the processor has it natively, else fp32.
        weights: a checkpoint to use instead of the model's own: a PyTorch checkpoint, a .safetensors file, or a folder
            of graphs (see `runtime/graphs.py`).

    Raises:
        ModelError: the model, device or precision is unknown or cannot be had.
        WeightsError: the weights are missing, damaged, or another model's.
        MissingExtraError: the choice needs torch, which is not installed.
    """
    spec = find(model, "segment")
    return _load(spec, *_choose(device, precision), weights)


def load_video_engine(
    model: str, device: str = "auto", precision: str = "auto", weights: str | Path | None = None
) -> VideoEngine:
    """A model with a memory, ready to run on pictures and videos; arguments and errors as for `load_segment_engine`.

    `weights` is a checkpoint, not a folder. Raises ModelError for a model without a memory, too.
    """
    spec = find(model, "segment")
    if not spec.memory:
        able = [entry.name for entry in models() if entry.memory]
        raise ModelError(f"{spec.name} has no memory of objects; these have: {', '.join(able)}.")
    device, precision = _choose(device, precision)
    path = _file(spec, weights)
    if path.is_dir():
        raise WeightsError(f"{path} is a folder; for videos {spec.name} opens from a checkpoint.")
    if device != "cpu":
        from anymask.runtime.torch import TorchVideoEngine

        return TorchVideoEngine(spec, path, device, precision)
    from anymask.runtime.openvino import OpenVINOVideoEngine

    video = graph_folder(spec, path, video=True)
    return _opened(spec, path, lambda folder: OpenVINOVideoEngine(spec, folder, video, precision))


def load_matte_engine(
    model: str,
    device: str = "auto",
    precision: str = "auto",
    weights: str | Path | None = None,
    preprocessing: str = "original",
) -> MatteEngine:
    """A model that finds a picture's subject, ready to run.

    `weights` may also be an ONNX file. The first use of a model whose licence forbids commercial use is told on
    standard error. `preprocessing` is original, the recipe of the network's authors, or rembg, that of the package
    rembg, where it has one of its own. The rest is as for `load_segment_engine`.
    """
    from anymask.runtime.matte import NetworkMatte, SubjectMatte

    if preprocessing not in PREPROCESSINGS:
        raise ModelError(f"There is no preprocessing {preprocessing!r}; choose one of {', '.join(PREPROCESSINGS)}.")
    spec = find(model, "matte")
    device, precision = _choose(device, precision)
    if spec.matte is None:
        return SubjectMatte(_load(spec, device, precision, weights))
    rules = spec.rembg if preprocessing == "rembg" and spec.rembg is not None else spec.matte
    if device != "cpu":
        from anymask.runtime.torch import TorchMatteNetwork

        original = spec if spec.checkpoint is None else replace(spec, weights=spec.checkpoint)
        path = _file(original, weights)
        if is_onnx(path):
            raise ModelError(f"{path} is an ONNX file, which runs on the CPU only: device='cpu'.")
        return NetworkMatte(spec, rules, TorchMatteNetwork(spec, path, device, precision), None, probabilities=True)
    path = _file(spec, weights)
    network = _cpu_network(spec, path, precision, open_size=rules.fit != "stretch")
    return NetworkMatte(spec, rules, network, network.size, probabilities=not is_onnx(path))


def load_trimap_engine(
    model: str = "vitmatte-small-distinctions-646",
    device: str = "auto",
    precision: str = "auto",
    weights: str | Path | None = None,
) -> TrimapEngine:
    """A model that refines a trimap, ready to run on the CPU; arguments and errors as for `load_matte_engine`."""
    from anymask.runtime.matte import NetworkTrimap

    spec = find(model, "trimap")
    if device == "auto":
        device = "cpu"
    device, precision = _choose(device, precision)
    if device != "cpu":
        raise ModelError(f"{spec.name} is an ONNX file, which runs on the CPU only: device='cpu'.")
    return NetworkTrimap(spec, _cpu_network(spec, _file(spec, weights), precision))


def _load(spec: ModelEntry, device: str, precision: str, weights: str | Path | None) -> SegmentEngine:
    path = _file(spec, weights)
    if spec.instances:
        return _load_instances(spec, device, precision, path)
    if device != "cpu":
        from anymask.runtime.torch import TorchSegmentEngine

        return TorchSegmentEngine(spec, path / "weights.safetensors" if path.is_dir() else path, device, precision)
    from anymask.runtime.openvino import OpenVINOSegmentEngine

    return _opened(spec, path, lambda folder: OpenVINOSegmentEngine(spec, folder, precision))


def _load_instances(spec: ModelEntry, device: str, precision: str, path: Path) -> SegmentEngine:
    from anymask.runtime.instances import NetworkInstances

    if device == "cpu":
        from anymask.runtime.openvino import OpenVINOInstanceNetwork

        return NetworkInstances(spec, _opened(spec, path, lambda folder: OpenVINOInstanceNetwork(folder, precision)))
    if path.is_dir():
        raise WeightsError(f"{path} is a folder of graphs, which run on the CPU only: device='cpu'.")
    from anymask.runtime.torch import TorchInstanceNetwork

    return NetworkInstances(spec, TorchInstanceNetwork(spec, path, device, precision))


def _cpu_network(spec: ModelEntry, path: Path, precision: str, open_size: bool = False) -> "OpenVINOMatteNetwork":
    from anymask.runtime.openvino import OpenVINOMatteNetwork

    return _opened(spec, path, lambda folder: OpenVINOMatteNetwork(folder, precision, open_size))


def _opened(spec: ModelEntry, path: Path, engine: Callable[[Path], T]) -> T:
    """An engine over a folder of graphs, or over those of a checkpoint."""
    if path.is_dir():
        return engine(path)
    folder = graph_folder(spec, path)
    try:
        return engine(folder)
    except WeightsError:  # damaged since it was made
        shutil.rmtree(folder)
        return engine(graph_folder(spec, path))


def _file(spec: ModelEntry, weights: str | Path | None) -> Path:
    """The weights to open: the user's own, or the model's, fetched if need be."""
    if weights is None:
        path = located(spec)
    elif not (path := Path(weights)).exists():
        raise WeightsError(f"The weights of {spec.name} are not at {path}.")
    elif path.is_dir() and "segment" not in spec.tasks:
        raise WeightsError(f"{path} is a folder; {spec.name} opens from a file.")
    _tell_licence(spec)
    return path


def _tell_licence(spec: ModelEntry) -> None:
    """One line, once in a process, about a licence that forbids or restricts commercial use;
    ANYMASK_LICENCES_KNOWN=1 spares it."""
    if spec.commercial or spec.name in _told or os.environ.get("ANYMASK_LICENCES_KNOWN", "0") not in ("", "0"):
        return
    _told.add(spec.name)
    terms = (
        "asks that programs and services which use it be open, too" if spec.copyleft else "is not for commercial use"
    )
    sys.stderr.write(f"{spec.name} {terms} (licence: {spec.licence}).\n")


def _choose(device: str, precision: str) -> tuple[str, str]:
    if device not in DEVICES:
        raise ModelError(f"There is no device {device!r}; choose one of {', '.join(DEVICES)}.")
    if precision not in PRECISIONS:
        raise ModelError(f"There is no precision {precision!r}; choose one of {', '.join(PRECISIONS)}.")
    if device == "auto":
        device = "cuda" if _has_torch_device("cuda") else "cpu"
    elif device != "cpu":
        from anymask.runtime.torch import is_available

        if not is_available(device):
            raise ModelError(f"PyTorch finds no {device} device on this machine; use device='cpu' or 'auto'.")
    if device == "cpu":
        return device, _cpu_precision(precision)
    return device, {"cuda": "bf16", "mps": "fp16"}[device] if precision == "auto" else precision


def _cpu_precision(precision: str) -> str:
    from anymask.runtime.openvino import has_native_bf16

    if precision == "fp16":
        raise ModelError("This CPU engine has no fp16 arithmetic; choose fp32, bf16 or auto.")
    if precision == "auto":
        return "bf16" if has_native_bf16() else "fp32"
    return precision


def _has_torch_device(device: str) -> bool:
    """Whether torch is installed with a device of this kind, without importing torch where no such device can be."""
    drivers = ("/proc/driver/nvidia", "/dev/dxg")  # Linux itself, and under Windows
    if sys.platform == "linux" and device == "cuda" and not any(Path(driver).exists() for driver in drivers):
        return False
    if find_spec("torch") is None:
        return False
    try:
        from anymask.runtime.torch import is_available
    except MissingExtraError:
        return False
    return is_available(device)
