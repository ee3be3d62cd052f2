"""The encoder's convolutions in int8: two thirds of the time in bf16, and less than half of it in fp32."""

import logging
from collections.abc import Sequence

import numpy as np
import openvino as ov
import torch
from torch import Tensor

from anymask.catalog import ModelEntry
from anymask.errors import MissingExtraError
from anymask.formats.sa1b import Record
from anymask.images import read_image
from anymask.placement import Placement
from anymask.runtime.engine import padded_picture
from anymask.runtime.resize import resize_to_input

try:
    import nncf
    from nncf.telemetry import wrapper
    from nncf.telemetry.wrapper import NNCFTelemetryStub
except ImportError as error:
    raise MissingExtraError('int8 needs NNCF: pip install "anymask[int8]".') from error

wrapper.telemetry._impl = NNCFTelemetryStub()  # it would tell its makers about every use
nncf.set_log_level(logging.ERROR)

PICTURES, STEM = 300, 2


def quantized(model: ov.Model, pictures: Sequence[np.ndarray], seven_bits: bool = True) -> ov.Model:
    """A copy of an encoder's graph whose convolutions are int8, by NNCF's post-training quantization.

    Args:
        model: takes one picture, in a form that `pictures` have.
        pictures: the ranges of activations are measured on these.
        seven_bits: weights lie in -63..63, so that no sum of two products overflows on processors without VNNI.

    The attention's layers stay as they are, for they gain little; and the first two convolutions, the stem, whose
    rounding is most of what the finest maps would lose.
    """
    nodes = [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"]
    stem = [node.get_friendly_name() for node in nodes[:STEM]]
    fix = nncf.OverflowFix.ENABLE if seven_bits else nncf.OverflowFix.DISABLE
    return nncf.quantize(
        model,
        nncf.Dataset(list(pictures)),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pictures),
        ignored_scope=nncf.IgnoredScope(names=stem, types=["MatMul"], validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix),
    )


def calibration_pictures(spec: ModelEntry, records: Sequence[Record], count: int = PICTURES) -> list[np.ndarray]:
    """Labelled pictures as the encoder takes them, drawn with seed 0."""
    chosen = np.random.default_rng(0).permutation(len(records))[:count]
    found = []
    for record in (records[i] for i in chosen):
        rgb = read_image(record.path)
        placement = Placement.letterbox(rgb.shape[0], rgb.shape[1], spec.input.side)
        found.append(padded_picture(spec, resize_to_input(rgb, placement, spec.input.resize)))
    return found


def weights_of(model: ov.Model) -> list[tuple[Tensor, Tensor]]:
    """The int8 weights in a graph, OxIxKxK, each with its steps, float32 Ox1x1x1: a weight is its number times its
    channel's step."""
    found = []
    for constant in model.get_ordered_ops():
        if constant.get_type_name() != "Constant" or constant.get_element_type() != ov.Type.i8:
            continue
        number = _user(constant)  # a conversion to float
        times = _user(number)
        others = [times.input_value(i).get_node() for i in range(2)]
        step = next(node for node in others if node.get_friendly_name() != number.get_friendly_name())
        found.append((torch.from_numpy(constant.data.copy()), torch.from_numpy(step.data.astype(np.float32))))
    return found


def _user(node: ov.Node) -> ov.Node:
    """What alone reads a node's output."""
    (reader,) = node.output(0).get_target_inputs()
    return reader.get_node()
