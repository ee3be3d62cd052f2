"""Checkpoints: reading their tensors without running what else is in them, and telling whose they are."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor, nn

from anymask.catalog import ModelEntry, find, models
from anymask.errors import WeightsError
from anymask.runtime.pickled import read_module

CONTAINERS = ("average", "model", "state_dict")  # where a training run keeps the tensors; its average before its last
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and torch.compile
SUFFIXES = (".pt", ".pth", ".safetensors")
GRAPH = "graph."  # constants that pocket's graphs keep in the same file; not the network's
STEP = f"{GRAPH}step."  # of those, what to multiply the int8 weight of the following name with, float32 Ox1x1x1

NETWORK = "anymask.networks.{}"

Layout = dict[str, tuple[int, ...]]
"""The shape of each tensor of a checkpoint."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, on the CPU, floating ones in float32.

    Told by content: a PyTorch checkpoint (.pth, .pt; either of its formats), a .safetensors file, or a zip archive with
    one of these in it. Of a checkpoint that is a pickled network object its tensors are taken (`pickled.py`). What
    training puts around the tensors or their names (`CONTAINERS`, `PREFIXES`) is taken off.

    Raises:
        WeightsError: the file is missing, damaged, quantised, or more than tensors; nothing in it has been executed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about formats that it still reads
            content = _read(path)
    except WeightsError as error:
        raise WeightsError(f"{path} {error}") from error.__cause__
    except FileNotFoundError as error:
        raise WeightsError(f"{path} does not exist.") from error
    except Exception as error:  # what unpickling a damaged file raises can be anything
        raise WeightsError(f"{path} is damaged or cut short; download it again.") from error
    for container in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    named = content if isinstance(content, Mapping) and all(isinstance(name, str) for name in content) else {}
    state = {
        name: _multiplied(value, named.get(STEP + name)) for name, value in named.items() if not name.startswith(GRAPH)
    }
    if any(_is_quantised(name, value) for name, value in state.items()):
        raise WeightsError(f"{path} is a quantised checkpoint, which is not supported; use the original one.")
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} is not a checkpoint of named tensors.")
    while prefix := next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in state)), ""):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return {name: value.detach().float() if value.is_floating_point() else value for name, value in state.items()}


def identify(state: Mapping[str, Tensor]) -> str | None:
    """Which model of the catalogue has just these tensors, by name and shape; None if there is none."""
    found = _layout(state)
    networks: dict[tuple[str, str], str] = {}  # several models are one network: the first of them stands for all
    for entry in models():
        if find_spec(NETWORK.format(entry.family)) is not None:
            networks.setdefault((entry.family, entry.variant), entry.name)
    return next((name for name in networks.values() if found in layouts(find(name))), None)


def check(state: Mapping[str, Tensor], entry: ModelEntry, path: Path) -> None:
    """Raise WeightsError, naming `path`, unless these are a model's tensors, all of them and no others.

    The sentence says what differs, and which model it looks like.
    """
    found = _layout(state)
    differences = min((_differences(found, layout) for layout in layouts(entry)), key=lambda texts: sum(texts.values()))
    if not differences:
        return
    name = identify(state)
    task = "Segmenter" if "segment" in entry.tasks else "BackgroundRemover"
    hint = f"; it looks like {name}: use {task}({name!r}, weights=...)" if name else ""
    raise WeightsError(f"{path} is not a checkpoint of {entry.name}: {', '.join(differences)}{hint}.")


def layouts(entry: ModelEntry) -> list[Layout]:
    """How a model's checkpoints may look: as it is trained, in each of its forms, and, if its network has `fold`, as it
    is shipped."""
    networks = forms(entry)
    states = [network.state_dict() for network in networks]
    with torch.device("meta"):
        states += [fold() for network in networks if callable(fold := getattr(network, "fold", None))]
    return [_layout(state) for state in states]


def forms(entry: ModelEntry) -> list[nn.Module]:
    """A model's network without weights, or, where its published checkpoints differ in a size (`forms` of its family),
    each that it may be."""
    family = import_module(NETWORK.format(entry.family))
    with torch.device("meta"):
        networks: list[nn.Module] = (
            family.forms(entry.variant) if hasattr(family, "forms") else [family.build(entry.variant)]
        )
    return networks


def loaded(entry: ModelEntry, checkpoint: Path) -> nn.Module:
    """A model's network with a checkpoint's weights in float32, in evaluation mode.

    Raises WeightsError for a file that is damaged, hostile or another model's checkpoint.
    """
    state = read_state_dict(checkpoint)
    check(state, entry, checkpoint)
    network = next(network for network in forms(entry) if _layout(network.state_dict()) == _layout(state))
    network.load_state_dict(state, assign=True)
    return network.eval()


def _layout(state: Mapping[str, Tensor]) -> Layout:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _differences(found: Layout, expected: Layout) -> dict[str, int]:
    """What is missing, too much, and of another shape, in words, each with how many that are."""
    shared = expected.keys() & found.keys()
    kinds = {
        "missing": [name for name in expected if name not in shared],
        "unexpected": [name for name in found if name not in shared],
        "of another shape": [
            f"{name} {list(found[name])} instead of {list(expected[name])}"
            for name in expected
            if name in shared and found[name] != expected[name]
        ],
    }
    return {
        f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})": len(names)
        for kind, names in kinds.items()
        if names
    }


def _read(source: Path | bytes) -> Any:
    """What a file, or the content of one, holds; its first bytes tell. Raises WeightsError with the end of a sentence.

    Of a file as little as possible is read before it is needed.
    """
    with _open(source) as file:
        start = file.read(9)
    if start.startswith(b"PK"):
        return _read_zip(source)
    if start.endswith(b"\0\0\0\0{"):  # after eight bytes with the header's length, the first of which may be a pickle's
        return safetensors.torch.load(source) if isinstance(source, bytes) else safetensors.torch.load_file(source)
    if start.startswith(pickle.PROTO):
        return _unpickle(source)
    raise WeightsError("is neither a PyTorch checkpoint nor a .safetensors file.")


def _open(source: Path | bytes) -> BinaryIO:
    return BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _read_zip(source: Path | bytes) -> Any:
    """A PyTorch checkpoint, which is a zip archive itself, or the one that was put into an archive."""
    with _open(source) as file, zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if any(name.endswith("/data.pkl") for name in names):
            return _unpickle(source, mmap=isinstance(source, Path))
        inside = [name for name in names if name.endswith(SUFFIXES) and not Path(name).name.startswith(".")]
        if len(inside) != 1:
            raise WeightsError("is a zip archive without a checkpoint, or with several; take out the one you want.")
        return _read(archive.read(inside[0]))


def _unpickle(source: Path | bytes, mmap: bool = False) -> Any:
    """PyTorch's own restricted reading, which knows how to make tensors and containers and nothing else; and where that
    meets a network object, what `read_module` finds in it."""
    try:
        return torch.load(
            source if isinstance(source, Path) else BytesIO(source), map_location="cpu", weights_only=True, mmap=mmap
        )
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(source if isinstance(source, Path) else BytesIO(source)):
            return {name: torch.from_numpy(array) for name, array in read_module(source).items()}
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        what = f"wants {wanted[1]}" if wanted else "is a pickle of something else than tensors"
        raise WeightsError(f"{what} and was refused: a checkpoint may hold tensors only.") from error
    except RuntimeError as error:
        if "TorchScript" not in str(error):
            raise
        raise WeightsError("is a TorchScript program and was refused: a checkpoint may hold tensors only.") from error


def _multiplied(value: Any, step: Any) -> Any:
    """A weight whose int8 numbers are multiplied by their channels' steps, where it has such; else what it is."""
    if not isinstance(value, Tensor) or not isinstance(step, Tensor) or value.dtype != torch.int8:
        return value
    return value.float() * step if step.shape == (len(value), *[1] * (value.ndim - 1)) else value


def _is_quantised(name: str, value: object) -> bool:
    """Torch's quantised tensors and packed parameters, and the bytes in which others keep theirs."""
    quantised = isinstance(value, Tensor) and (value.is_quantized or value.dtype in (torch.int8, torch.uint8))
    return quantised or "_packed_params" in name
