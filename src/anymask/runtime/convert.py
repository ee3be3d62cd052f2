"""From PyTorch modules to OpenVINO's graphs, through `torch.export`."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder
from openvino.passes import ConstantFolding, Manager
from torch import Tensor, nn

from anymask.catalog import ModelEntry
from anymask.networks.parts import Parts, VideoParts
from anymask.runtime.engine import padded_picture
from anymask.runtime.parts import load_instances, load_matte, load_parts, load_video_parts
from anymask.runtime.precise import mark_exact

ROWS, COLUMNS = torch.export.Dim("rows", min=2, max=256), torch.export.Dim("columns", min=2, max=256)
PROMPTS, POINTS = torch.export.Dim("prompts", min=1, max=4096), torch.export.Dim("points", min=1, max=4096)
REMEMBERED = torch.export.Dim("remembered", min=1, max=4096)

Axes = dict[int, Any]
"""Which axes of an input are open, by number."""

PROMPT_AXES: tuple[Axes, ...] = ({0: PROMPTS, 1: POINTS}, {0: PROMPTS, 1: POINTS}, {0: PROMPTS})


def write_graphs(spec: ModelEntry, checkpoint: Path, folder: Path) -> None:
    """Write a checkpoint's graphs to a folder, constants in float32. Raises WeightsError as `load_parts` does."""
    for name, model in convert_parts(spec, load_parts(spec, checkpoint)):
        xml = folder / f"{name}.xml"
        ov.save_model(model, xml, compress_to_fp16=False)
        mark_exact(xml)


def write_matte_graph(spec: ModelEntry, checkpoint: Path, folder: Path) -> None:
    """Write the graph of a network that finds the subject to a folder, as matte.xml. Raises as `load_matte` does.

    Its input is float32 [1, 3, H, W], of the catalogue's size or, where that depends on the picture, of open size.
    """
    rules = spec.matte
    assert rules is not None
    image = torch.zeros(1, 3, rules.height, rules.width)
    model = convert_module(load_matte(spec, checkpoint), [image], open_size=rules.fit != "stretch")
    xml = folder / "matte.xml"
    ov.save_model(model, xml, compress_to_fp16=False)
    mark_exact(xml)


def write_instance_graph(spec: ModelEntry, checkpoint: Path, folder: Path) -> None:
    """Write the graph of a network that finds instances to a folder, as instances.xml. Raises as `load_instances` does.

    Its input is float32 [1, 3, H, W] of open size, for its height and width depend on the picture.
    """
    image = torch.zeros(1, 3, spec.input.side, spec.input.side)
    model = convert_module(load_instances(spec, checkpoint), [image], open_size=True)
    xml = folder / "instances.xml"
    ov.save_model(model, xml, compress_to_fp16=False)
    mark_exact(xml)


def convert_parts(spec: ModelEntry, parts: Parts) -> Iterator[tuple[str, ov.Model]]:
    """A network's graphs by the names of its parts; the numbers of prompts and of points stay open."""
    picture = torch.from_numpy(padded_picture(spec, np.zeros((1, 1, 3), np.uint8)))
    encoder = convert_module(parts.encoder, [picture])
    yield "encoder", encoder
    embedding = _outputs(encoder)
    if parts.prepare is not None:
        prepare = convert_module(parts.prepare, embedding)
        yield "prepare", prepare
        embedding = _outputs(prepare)
    prompts = [torch.zeros(2, 3, 2), torch.ones(2, 3), torch.zeros(2, spec.mask_side, spec.mask_side)]
    yield "decoder", convert_module(parts.decoder, embedding, prompts[:2])
    if parts.masked is not None:
        yield "masked", convert_module(parts.masked, embedding, prompts)


def write_video_graphs(spec: ModelEntry, checkpoint: Path, folder: Path) -> None:
    """Write the graphs that a model with a memory runs beside its encoder to a folder; as `write_graphs`."""
    side = spec.input.side
    parts, video = load_video_parts(spec, checkpoint)
    with torch.device("meta"):  # for the shapes alone
        named = chain(parts.encoder.named_parameters(), parts.encoder.named_buffers())
        bare = {name: torch.empty_like(tensor, device="meta") for name, tensor in named}
        found = torch.func.functional_call(parts.encoder, bare, (torch.zeros(1, side, side, 3),))
    shapes = [tuple(map.shape) for map in found]
    for name, model in convert_video_parts(video, shapes, spec.mask_side, side):
        xml = folder / f"{name}.xml"
        ov.save_model(model, xml, compress_to_fp16=False)
        mark_exact(xml)


def convert_video_parts(
    parts: VideoParts, features: Sequence[tuple[int, ...]], mask_side: int, side: int
) -> Iterator[tuple[str, ov.Model]]:
    """A network's graphs for a video by the names of its parts, for one object; the numbers of points, of remembered
    frames and of pointers stay open.

    features: the shapes of the encoder's, the coarse one first, whose channels are those of pointers.
    mask_side, side: of the low-resolution masks and of the input.
    """
    coarse, *finer = (torch.zeros(shape) for shape in features)
    low = torch.zeros(1, mask_side, mask_side)
    present, hard = torch.ones(1, 1), torch.ones(1, 1)  # given twice, one tensor would become one input
    yield "alone", convert_module(parts.alone, [coarse])
    look = convert_module(parts.look, [coarse])
    yield "look", look
    (maps,) = parts.remember(coarse, low, present, hard)
    width = coarse.shape[1]
    remembered = [
        torch.zeros(1, 2, dtype=torch.int64),
        torch.zeros(1, 3),
        torch.zeros(1, 2, *maps.shape[1:]),
        torch.zeros(1, 3, width),
    ]
    axes = [{1: REMEMBERED}, {1: POINTS}, {1: REMEMBERED}, {1: POINTS}]
    condition = convert_module(parts.condition, _outputs(look), remembered, axes)
    # What does not depend on inputs is computed here, not every time that it is compiled for another memory.
    constants = Manager()
    constants.register_pass(ConstantFolding())
    constants.run_passes(condition)
    yield "condition", condition
    prompts, several = [torch.zeros(1, 3, 2), torch.ones(1, 3)], [{1: POINTS}, {1: POINTS}]
    yield "answer", convert_module(parts.answer, [*finer, coarse], prompts, several)
    yield "corrected", convert_module(parts.corrected, [*finer, coarse], [*prompts, low], [*several, {}])
    yield "adopt", convert_module(parts.adopt, [coarse, *finer, torch.zeros(1, side, side)])
    yield "remember", convert_module(parts.remember, [coarse, low, present, hard])


def convert_module(
    module: nn.Module,
    fixed: Sequence[Tensor],
    prompts: Sequence[Tensor] = (),
    axes: Sequence[Axes] = PROMPT_AXES,
    open_size: bool = False,
) -> ov.Model:
    """The graph of a module called with inputs of fixed shapes, and then with prompts, whose `axes` stay open: as given
    when left out, coords, labels and mask.

    `open_size`: height and width of the first input stay open, both multiples of 32.

    Through OpenVINO's PyTorch frontend itself: `openvino.convert_model` would do the same and report its use over the
    network.
    """
    size: Axes = {2: 32 * ROWS, 3: 32 * COLUMNS} if open_size else {}
    opened = (size, *({} for _ in fixed[1:]), *axes[: len(prompts)])
    logging.disable(logging.WARNING)  # OpenVINO logs which decompositions this torch does not know
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch.export's own, about its tree specs
            program = torch.export.export(module, (*fixed, *prompts), dynamic_shapes=opened)
            frontend = FrontEndManager().load_by_framework("pytorch")
            decoder = TorchFXPythonDecoder.from_exported_program(program)  # must outlive the conversion
            model = frontend.convert(frontend.load(decoder))
    finally:
        logging.disable(logging.NOTSET)
    shapes = [
        [-1 if axis in open_axes else size for axis, size in enumerate(tensor.shape)]
        for tensor, open_axes in zip((*fixed, *prompts), opened, strict=True)
    ]
    model.reshape({port: ov.PartialShape(shape) for port, shape in zip(model.inputs, shapes, strict=True)})
    model.validate_nodes_and_infer_types()
    return model


def _outputs(model: ov.Model) -> list[Tensor]:
    """Stand-ins for what a graph of fixed shapes gives."""
    return [torch.zeros(*output.shape) for output in model.outputs]
