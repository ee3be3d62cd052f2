"""Published ONNX files as the CPU engine's graphs, without PyTorch."""

from pathlib import Path

import openvino as ov
from openvino import opset13 as opset

from anymask.catalog import ModelEntry
from anymask.errors import WeightsError
from anymask.runtime.precise import mark_exact

CHANNELS = {"matte": 3, "trimap": 4}


def write_onnx_graph(spec: ModelEntry, file: Path, folder: Path) -> None:
    """Write an ONNX file of a matting network as matte.xml to a folder: one float32 input [1, 3, H, W] (4 channels for
    a trimap network), and of its outputs the first.

    H and W are the file's own; where these are open, the catalogue's, unless they depend on the picture.

    Raises:
        WeightsError: the file is damaged, quantised beyond what OpenVINO reads, or has other inputs or another size.
    """
    task = next((task for task in spec.tasks if task in CHANNELS), None)
    if task is None:
        raise WeightsError(f"{file} is an ONNX file; {spec.name} opens from PyTorch checkpoints.")
    try:
        model = ov.Core().read_model(file)
    except (RuntimeError, OSError) as error:
        reason = (
            "its weights are in another file that is missing" if "external" in str(error) else "it may be cut short"
        )
        raise WeightsError(f"{file} is no ONNX model that can be read: {reason}.") from error
    model = _one_output(model)
    _check(spec, file, model, CHANNELS[task])
    shape = _shape(spec, file, model, CHANNELS[task])
    model.reshape(shape)
    if len(model.output(0).partial_shape) != 4:
        raise WeightsError(f"{file} gives {model.output(0).partial_shape} where [1, C, H, W] is expected.")
    xml = folder / "matte.xml"
    ov.save_model(model, xml, compress_to_fp16=False)
    mark_exact(xml)


def _one_output(model: ov.Model) -> ov.Model:
    """The model with its first output alone, all floats outside in float32."""
    first = model.get_results()[0].input_value(0)
    model = ov.Model([opset.result(first)], model.get_parameters(), "matte")
    converted = ov.preprocess.PrePostProcessor(model)
    for index, port in enumerate(model.inputs):
        if port.get_element_type().is_real():
            converted.input(index).tensor().set_element_type(ov.Type.f32)
    converted.output(0).tensor().set_element_type(ov.Type.f32)
    return converted.build()


def _check(spec: ModelEntry, file: Path, model: ov.Model, channels: int) -> None:
    """Raise WeightsError unless there is one float input [1, C, H, W]."""
    found = ", ".join(f"{port.get_element_type().to_string()} {port.partial_shape}" for port in model.inputs)
    shape = model.inputs[0].partial_shape if model.inputs else ov.PartialShape([])
    right = len(model.inputs) == 1 and model.inputs[0].get_element_type() == ov.Type.f32
    right = right and not shape.rank.is_dynamic and len(shape) == 4
    if not right or not all(_allows(axis, size) for axis, size in zip(shape, (1, channels), strict=False)):
        raise WeightsError(
            f"{file} is not a model that {spec.name} can be: it wants one picture [1, {channels}, height, width], and "
            f"the file asks for {found or 'nothing'}."
        )


def _shape(spec: ModelEntry, file: Path, model: ov.Model, channels: int) -> ov.PartialShape:
    rules, given = spec.matte, list(model.inputs[0].partial_shape)[2:]
    if rules is not None and rules.fit != "stretch" and all(axis.is_dynamic for axis in given):
        return ov.PartialShape([1, channels, -1, -1])
    expected = (spec.input.side, spec.input.side) if rules is None else (rules.height, rules.width)
    if spec.weights is None or all(_allows(axis, size) for axis, size in zip(given, expected, strict=True)):
        sizes = [size if axis.is_dynamic else axis.get_length() for axis, size in zip(given, expected, strict=True)]
        return ov.PartialShape([1, channels, *sizes])
    size = " x ".join(str(axis) for axis in given)
    raise WeightsError(
        f"{file} is another model than {spec.name}: it is for pictures of {size} and not {expected[0]} x {expected[1]}."
    )


def _allows(axis: ov.Dimension, size: int) -> bool:
    return bool(axis.is_dynamic or axis.get_length() == size)
