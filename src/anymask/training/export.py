"""From a training checkpoint to what ships: three OpenVINO graphs over one safetensors file.

The graphs' XML files hold no weights. OpenVINO's format points into a file of constants by offset; here that file is a
.safetensors file with the network's own parameter names, so that the same bytes serve the CPU engine, PyTorch and
further training.
"""

import hashlib
import json
import logging
import struct
import tempfile
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder
from safetensors.torch import save_file
from torch import Tensor, nn

from anymask.networks.pocket import ConvNorm, Pocket, parts

SIDE, MASK_SIDE = 512, 128
GRAPHS = ("encoder", "decoder", "masked")


def export_pocket(checkpoint: Path, folder: Path) -> Path:
    """Write encoder.xml, decoder.xml, masked.xml and weights.safetensors (fp16) to `folder` from a run's checkpoint.
    Returns the folder."""
    network = Pocket()
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    network.load_folded(content.get("average", content))
    return write_artefact(network.eval(), folder)


def write_artefact(network: Pocket, folder: Path) -> Path:
    """The same for a network at hand."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.half().contiguous() for name, tensor in network.fold().items()}
    rounded = Pocket()
    rounded.load_folded({name: tensor.float() for name, tensor in weights.items()})
    _drop_normalisation(rounded.eval())
    with tempfile.TemporaryDirectory() as name:
        trees: dict[str, ElementTree.ElementTree[Any]] = {}
        extra: dict[str, Tensor] = {}
        known = {_digest(_bytes(tensor)): key for key, tensor in weights.items()}
        for graph, model in zip(GRAPHS, _graphs(rounded), strict=True):
            xml = Path(name) / f"{graph}.xml"
            ov.save_model(model, xml, compress_to_fp16=True)
            constants = xml.with_suffix(".bin").read_bytes()
            trees[graph] = ElementTree.parse(xml)
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
        tree.write(folder / f"{graph}.xml", encoding="utf-8")
    return folder


def _drop_normalisation(network: Pocket) -> None:
    """Replace each folded batch normalisation by its convolution's bias."""
    for module in network.modules():
        if isinstance(module, ConvNorm):
            module[0].bias = nn.Parameter(module.norm.bias.detach())
            module[1] = nn.Identity()


def _graphs(network: Pocket) -> list[ov.Model]:
    """Encoder with a fixed input; decoder with any number of prompts and points, without and with earlier masks."""
    image = torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8)
    encoder, _, decoder, _ = parts(network.eval())
    with torch.no_grad():
        features = encoder(image)
    prompts, points = torch.export.Dim("prompts", min=1, max=4096), torch.export.Dim("points", min=1, max=4096)
    count = 2
    inputs = (*features, torch.zeros(count, 3, 2), torch.ones(count, 3), torch.zeros(count, MASK_SIDE, MASK_SIDE))
    free = (None, None, None, {0: prompts, 1: points}, {0: prompts, 1: points}, {0: prompts})
    shapes: list[list[Any]] = [list(f.shape) for f in features]
    shapes += [[-1, -1, 2], [-1, -1], [-1, MASK_SIDE, MASK_SIDE]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.export's own, about its tree specs
        graphs = [_convert(torch.export.export(encoder, (image,)), [[1, SIDE, SIDE, 3]])]
        for end in (-1, None):
            program = torch.export.export(decoder, inputs[:end], dynamic_shapes=free[:end])
            graphs.append(_convert(program, shapes[:end]))
    return graphs


def _convert(program: torch.export.ExportedProgram, shapes: list[list[Any]]) -> ov.Model:
    """Through OpenVINO's PyTorch frontend itself: `openvino.convert_model` would do the same and report its use over
    the network."""
    frontend = FrontEndManager().load_by_framework("pytorch")
    logging.disable(logging.WARNING)  # it logs which decompositions this torch does not know
    try:
        decoder = TorchFXPythonDecoder.from_exported_program(program)  # must outlive the conversion
        model = frontend.convert(frontend.load(decoder))
    finally:
        logging.disable(logging.NOTSET)
    model.reshape({port: ov.PartialShape(shape) for port, shape in zip(model.inputs, shapes, strict=True)})
    model.validate_nodes_and_infer_types()
    return model


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
