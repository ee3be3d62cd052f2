"""ONNX files: an encoder, and a decoder with the names and the meaning of the one that Meta's package exports.

`input_image`, as exporters of SAM's encoder call it, is the picture itself, so that the caller need neither pad nor
normalise. A model whose picture has several maps hands the others on as `high_res_features_N`.
"""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from anymask.catalog import ModelEntry
from anymask.export.graphs import half_constants, lower_opset
from anymask.export.metadata import Signature, labels, points
from anymask.export.modules import PictureEncoder, PromptDecoder

EXPORTED_OPSET = 18  # the lowest that torch writes itself
LARGEST = 2**31 - 2**24  # bytes of constants in one file, whose format ends at 2 GB

Axes = dict[int, Any]


def write_onnx(
    spec: ModelEntry, parts: Any, folder: Path, about: dict[str, Any], half: bool, single_mask: bool
) -> dict[str, Signature]:
    """Write encoder.onnx and decoder.onnx of a network's `Parts`; returns what their inputs and outputs are.

    `about` goes into both files' metadata, one entry for each key.
    """
    side, mask_side = spec.input.side, spec.mask_side
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):  # shapes alone
        features = parts.encoder(torch.zeros(1, side, side, 3))
    extra = [f"high_res_features_{index}" for index in range(1, len(features))]
    shapes = {name: list(map_.shape) for name, map_ in zip(["image_embeddings", *extra], features, strict=True)}
    maps = {name: f"float32 {shape}: of the picture, for the decoder" for name, shape in shapes.items()}

    free = {axis: torch.export.Dim(name, min=1, max=side) for axis, name in enumerate(("height", "width"))}
    letterboxed = spec.input.fit == "letterbox"
    picture = torch.zeros(*((side // 2, side) if letterboxed else (side, side)), 3)
    size = f"height, width <= {side}" if letterboxed else f"{side}, {side}"
    encoder: Signature = {
        "inputs": {"input_image": f"float32 [{size}, 3]: the resized picture, RGB values 0 to 255, not padded"},
        "outputs": maps,
    }
    _write(
        PictureEncoder(spec, parts.encoder),
        [(picture, free if letterboxed else {})], encoder, folder / "encoder.onnx", about, half,
    )  # fmt: skip

    prompts, several = torch.export.Dim("prompts", min=1, max=4096), torch.export.Dim("points", min=1, max=4096)
    inputs: dict[str, tuple[Tensor, Axes, str]] = {
        name: (torch.zeros(shape), {}, maps[name]) for name, shape in shapes.items()
    }
    inputs["point_coords"] = (torch.zeros(2, 3, 2), {0: prompts, 1: several}, f"[B, K, 2]: {points(spec)}")
    inputs["point_labels"] = (torch.ones(2, 3), {0: prompts, 1: several}, f"[B, K]: {labels(spec)}")
    if parts.masked is not None:
        mask = torch.zeros(2, 1, mask_side, mask_side)
        shape = f"[B, 1, {mask_side}, {mask_side}]"
        inputs["mask_input"] = (mask, {0: prompts}, f"{shape}: an earlier low_res_masks, or zeros")
        inputs["has_mask_input"] = (torch.zeros(1), {}, "[1]: 1 to use mask_input, 0 to ignore it")
    inputs["orig_im_size"] = (torch.tensor([300.0, 400.0]), {}, "[2]: height and width of the picture")
    count = "1" if single_mask else "M"
    which = "" if single_mask else "; mask 0 answers a clear prompt, the others are candidates for an ambiguous one"
    decoder: Signature = {
        "inputs": {
            name: text if name in maps else f"float32 {text}" for name, (_, _, text) in inputs.items()
        },
        "outputs": {
            "masks": f"float32 [B, {count}, height, width]: logits at the picture's size{which}",
            "iou_predictions": f"float32 [B, {count}]: predicted IoU",
            "low_res_masks": f"float32 [B, {count}, {mask_side}, {mask_side}]: logits, to be given as mask_input",
        },
    }  # fmt: skip
    module = PromptDecoder(spec, parts.prepare, parts.decoder, parts.masked, single_mask)
    examples = [(tensor, axes) for tensor, axes, _ in inputs.values()]
    _write(module, examples, decoder, folder / "decoder.onnx", about, half)
    return {"encoder": encoder, "decoder": decoder}


def _write(
    module: nn.Module,
    examples: list[tuple[Tensor, Axes]],
    signature: Signature,
    path: Path,
    about: dict[str, Any],
    half: bool,
) -> None:
    """One graph, from examples of its inputs and the axes that stay open."""
    tensors, axes = zip(*examples, strict=True)
    logging.disable(logging.ERROR)  # torch's exporter tells of torchvision, of opsets, and of its own guesses
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)  # torch.export's own, about its tree specs
            warnings.filterwarnings("ignore", message="# The axis name")  # two inputs share an open axis, as meant
            program = torch.onnx.export(
                module.eval(),
                tensors,
                dynamo=True,
                opset_version=EXPORTED_OPSET,
                input_names=list(signature["inputs"]),
                output_names=list(signature["outputs"]),
                dynamic_shapes=(axes if isinstance(module, PictureEncoder) else {"inputs": axes}),
                verbose=False,
            )
    finally:
        logging.disable(logging.NOTSET)
    assert program is not None
    model: ir.Model = program.model
    lower_opset(model)
    if half:
        half_constants(model)
    model.producer_name, model.producer_version = "anymask", about["anymask"]
    model.metadata_props.update({key: value if isinstance(value, str) else json.dumps(value)
                                 for key, value in {**about, **signature}.items()})  # fmt: skip
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)
    ir.save(model, path, external_data=data.name if size > LARGEST else None)
