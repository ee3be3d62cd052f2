"""From a training checkpoint to what ships: three OpenVINO graphs over one safetensors file.

The graphs' XML files hold no weights. OpenVINO's format points into a file of constants by offset; here that file is a
.safetensors file with the network's own parameter names, so that the same bytes serve the CPU engine, PyTorch and
further training. A weight in int8 has its steps beside it, under its name after "graph.step.".
"""

import hashlib
import json
import struct
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openvino as ov
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from anymask.catalog import find
from anymask.networks.pocket import Pocket, parts
from anymask.networks.pocket_encoder import ConvNorm
from anymask.runtime.checkpoint import STEP, read_state_dict
from anymask.runtime.convert import convert_parts
from anymask.runtime.precise import keep_exact

Quantize = Callable[[ov.Model], ov.Model]


def export_pocket(checkpoint: Path, folder: Path, quantize: Quantize | None = None) -> Path:
    """Write encoder.xml, decoder.xml, masked.xml and weights.safetensors to `folder` from a run's checkpoint or an
    earlier export's weights.

    quantize: makes the encoder's graph int8 (`quantization.quantized`); without it all weights are fp16.

    Returns the folder. Raises WeightsError when the checkpoint cannot be read, ValueError when it is another network's.
    """
    network = Pocket()
    network.load_folded(read_state_dict(checkpoint))
    return write_artefact(network.eval(), folder, quantize)


def write_artefact(network: Pocket, folder: Path, quantize: Quantize | None = None) -> Path:
    """The same for a network at hand."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.half().contiguous() for name, tensor in network.fold().items()}
    rounded = Pocket()
    rounded.load_folded({name: tensor.float() for name, tensor in weights.items()})
    _drop_normalisation(rounded.eval())
    graphs = dict(convert_parts(find("pocket"), parts(rounded)))
    with tempfile.TemporaryDirectory() as name:
        if quantize is not None:
            # Through a file, because OpenVINO does not make a graph's constants fp16 once some of them are int8.
            half = Path(name) / "half.xml"
            ov.save_model(graphs["encoder"], half, compress_to_fp16=True)
            graphs["encoder"] = quantize(ov.Core().read_model(half))
            weights |= _numbers_and_steps(graphs["encoder"], weights)
        known = {_digest(_bytes(tensor)): key for key, tensor in weights.items()}
        trees: dict[str, ElementTree.ElementTree[Any]] = {}
        extra: dict[str, Tensor] = {}
        for graph, model in graphs.items():
            xml = Path(name) / f"{graph}.xml"
            ov.save_model(model, xml, compress_to_fp16=True)
            constants = xml.with_suffix(".bin").read_bytes()
            trees[graph] = ElementTree.parse(xml)
            keep_exact(trees[graph])
            for data in _constants(trees[graph]):
                start, size = int(data.attrib["offset"]), int(data.attrib["size"])
                piece = constants[start : start + size]
                if (digest := _digest(piece)) not in known:
                    known[digest] = f"graph.{len(extra)}"
                    extra[known[digest]] = torch.frombuffer(bytearray(piece), dtype=torch.uint8)
                data.attrib["offset"] = known[digest]
    target = folder / "weights.safetensors"
    save_file({**weights, **extra}, target, metadata={"format": "pt", "network": "pocket"})
    target.chmod(0o644)
    offsets = _tensor_offsets(target)
    for graph, tree in trees.items():
        for data in _constants(tree):
            data.attrib["offset"] = str(offsets[data.attrib["offset"]])
        _shorten(tree)
        tree.write(folder / f"{graph}.xml", encoding="utf-8")
    return folder


def _numbers_and_steps(model: ov.Model, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a quantized graph has in place of `weights`: int8 numbers by the same names, and their steps."""
    from anymask.training.quantization import weights_of

    found: dict[str, Tensor] = {}
    for numbers, steps in weights_of(model):
        distances = {
            name: float((weight.float() - numbers * steps).square().mean())
            for name, weight in weights.items()
            if weight.shape == numbers.shape and name not in found
        }
        name = min(distances, key=distances.__getitem__)
        found |= {name: numbers, f"{STEP}{name}": steps}
    return found


def _drop_normalisation(network: Pocket) -> None:
    """Replace each folded batch normalisation by its convolution's bias."""
    for module in network.modules():
        if isinstance(module, ConvNorm):
            module[0].bias = nn.Parameter(module.norm.bias.detach())
            module[1] = nn.Identity()


def _shorten(tree: "ElementTree.ElementTree[Any]") -> None:
    """Leave out what a graph does without: white space, the names of inner layers, the shapes of their inputs."""
    for element in tree.iter():
        element.text, element.tail = (
            text if text is not None and text.strip() else None for text in (element.text, element.tail)
        )
    for layer in tree.iter("layer"):
        for port in layer.iterfind("input/port"):
            for size in list(port):
                port.remove(size)
        if layer.get("type") not in ("Parameter", "Result"):
            layer.set("name", layer.attrib["id"])
            for port in layer.iter("port"):
                port.attrib.pop("names", None)


def _constants(tree: "ElementTree.ElementTree[Any]") -> list[ElementTree.Element]:
    return [data for layer in tree.iter("layer") if layer.get("type") == "Const" for data in layer.findall("data")]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.numpy().tobytes()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _tensor_offsets(path: Path) -> dict[str, int]:
    """Where each tensor of a safetensors file begins, in bytes from the file's start."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    return {name: 8 + length + entry["data_offsets"][0] for name, entry in header.items() if name != "__metadata__"}
