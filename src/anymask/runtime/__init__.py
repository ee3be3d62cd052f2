"""How a model runs: OpenVINO on CPUs, PyTorch on GPUs, behind the protocols of `engine.py`.

The engines themselves are imported when one is chosen, so that this package costs nothing to import.
"""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from anymask.catalog import ModelEntry, find
from anymask.downloads import located
from anymask.errors import MissingExtraError, ModelError, WeightsError
from anymask.runtime.engine import MatteEngine, SegmentEngine
from anymask.runtime.graphs import graph_folder

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")

__all__ = ["DEVICES", "PRECISIONS", "load_matte_engine", "load_segment_engine"]


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


def load_matte_engine(
    model: str, device: str = "auto", precision: str = "auto", weights: str | Path | None = None
) -> MatteEngine:
    """A model that finds a picture's subject, ready to run; arguments and errors as for `load_segment_engine`."""
    from anymask.runtime.matte import SubjectMatte

    spec = find(model, "matte")
    return SubjectMatte(_load(spec, *_choose(device, precision), weights))


def _load(spec: ModelEntry, device: str, precision: str, weights: str | Path | None) -> SegmentEngine:
    path = located(spec) if weights is None else Path(weights)
    if not path.exists():
        raise WeightsError(f"The weights of {spec.name} are not at {path}.")
    if device != "cpu":
        from anymask.runtime.torch import TorchSegmentEngine

        return TorchSegmentEngine(spec, path / "weights.safetensors" if path.is_dir() else path, device, precision)
    from anymask.runtime.openvino import OpenVINOSegmentEngine

    if path.is_dir():
        return OpenVINOSegmentEngine(spec, path, precision)
    folder = graph_folder(spec, path)
    try:
        return OpenVINOSegmentEngine(spec, folder, precision)
    except WeightsError:  # damaged since it was made
        shutil.rmtree(folder)
        return OpenVINOSegmentEngine(spec, graph_folder(spec, path), precision)


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
