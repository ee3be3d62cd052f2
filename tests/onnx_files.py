"""Small ONNX files of matting networks' signatures, built by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
Axis = int | str


def onnx_file(
    path: Path,
    size: tuple[Axis, Axis] = (8, 8),
    channels: int = 3,
    weights: Sequence[float] | None = None,
    outputs: int = 1,
    kind: int = FLOAT,
    inputs: int = 1,
    decided: bool = False,
) -> Path:
    """A network that gives a weighted sum of its input's channels [1, 1, H, W]; further outputs are twice, thrice ...
    as much. A further input is added to the sum. `decided`: a sigmoid at the end makes most of it 0 or 1."""
    dtype = np.float16 if kind == HALF else np.float32
    weights = [1 / channels] * channels if weights is None else weights
    kernel = numpy_helper.from_array(np.array(weights, dtype).reshape(1, channels, 1, 1), "kernel")
    shape = [1, channels, *size]
    given = [helper.make_tensor_value_info(name, kind, shape) for name in ("image", "other")[:inputs]]
    nodes = [helper.make_node("Conv", ["image", "kernel"], ["map0"])]
    constants = [kernel]
    if inputs == 2:
        nodes = [
            helper.make_node("Add", ["image", "other"], ["sum"]),
            helper.make_node("Conv", ["sum", "kernel"], ["map0"]),
        ]
    if decided:
        nodes[-1].output[0] = "sum0"
        nodes.append(helper.make_node("Sigmoid", ["sum0"], ["map0"]))
    for index in range(1, outputs):
        constants.append(numpy_helper.from_array(np.array(index + 1, dtype), f"factor{index}"))
        nodes.append(helper.make_node("Mul", ["map0", f"factor{index}"], [f"map{index}"]))
    maps = [helper.make_tensor_value_info(f"map{index}", kind, [1, 1, *size]) for index in range(outputs)]
    graph = helper.make_graph(nodes, "hand-made", given, maps, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def deformed(path: Path, side: int = 64, channels: int = 8) -> Path:
    """A network as BiRefNet's published files have its deformable convolutions: from a convolution come offsets in
    pixels; each pixel's place is rounded down, the four neighbours are picked up by flat index, and mixed by how near
    they are."""
    rng = np.random.default_rng(0)
    constants: dict[str, np.ndarray] = {
        "to_offsets": rng.normal(0, 3, (2, 3, 3, 3)).astype(np.float32),
        "to_values": rng.normal(0, 0.5, (channels, 3, 3, 3)).astype(np.float32),
        "to_map": rng.normal(0, 0.5, (1, channels, 1, 1)).astype(np.float32),
        "rows": np.broadcast_to(np.arange(side, dtype=np.float32)[:, None], (1, 1, side, side)).copy(),
        "columns": np.broadcast_to(np.arange(side, dtype=np.float32), (1, 1, side, side)).copy(),
        "one": np.array(1, np.float32),
        "low": np.array(0, np.float32),
        "high": np.array(side - 1, np.float32),
        "side": np.array(side, np.float32),
        "flat": np.array([1, channels, side * side], np.int64),
        "line": np.array([side * side], np.int64),
        "square": np.array([1, channels, side, side], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["image", "to_offsets"], ["offsets"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["image", "to_values"], ["values"], pads=[1, 1, 1, 1]),
        helper.make_node("Reshape", ["values", "flat"], ["flat_values"]),
        helper.make_node("Split", ["offsets"], ["down", "across"], axis=1, num_outputs=2),
    ]
    for name, start, move in (("y", "rows", "down"), ("x", "columns", "across")):
        nodes += [
            helper.make_node("Add", [start, move], [f"{name}_free"]),
            helper.make_node("Clip", [f"{name}_free", "low", "high"], [name]),
            helper.make_node("Floor", [name], [f"{name}0"]),
            helper.make_node("Add", [f"{name}0", "one"], [f"{name}1_free"]),
            helper.make_node("Min", [f"{name}1_free", "high"], [f"{name}1"]),
            helper.make_node("Sub", [name, f"{name}0"], [f"{name}1_share"]),
            helper.make_node("Sub", ["one", f"{name}1_share"], [f"{name}0_share"]),
        ]
    parts = []
    for y in "01":
        for x in "01":
            at = f"{y}{x}"
            nodes += [
                helper.make_node("Mul", [f"y{y}", "side"], [f"line{at}"]),
                helper.make_node("Add", [f"line{at}", f"x{x}"], [f"place{at}"]),
                helper.make_node("Cast", [f"place{at}"], [f"index{at}"], to=TensorProto.INT64),
                helper.make_node("Reshape", [f"index{at}", "line"], [f"indices{at}"]),
                helper.make_node("Gather", ["flat_values", f"indices{at}"], [f"picked{at}"], axis=2),
                helper.make_node("Reshape", [f"picked{at}", "square"], [f"shaped{at}"]),
                helper.make_node("Mul", [f"y{y}_share", f"x{x}_share"], [f"share{at}"]),
                helper.make_node("Mul", [f"shaped{at}", f"share{at}"], [f"part{at}"]),
            ]
            parts.append(f"part{at}")
    nodes += [
        helper.make_node("Sum", parts, ["sampled"]),
        helper.make_node("Conv", ["sampled", "to_map"], ["raw"]),
        helper.make_node("Sigmoid", ["raw"], ["map"]),
    ]
    image = helper.make_tensor_value_info("image", FLOAT, [1, 3, side, side])
    result = helper.make_tensor_value_info("map", FLOAT, [1, 1, side, side])
    initial = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "deformed", [image], [result], initial)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path
