"""Changes to ONNX graphs that torch's exporter has no switch for."""

import numpy as np
import onnx_ir as ir

OPSET, IR_VERSION = 17, 8  # of Meta's exported decoder: read by ONNX Runtime from 1.12 on, in browsers too
NEWER = {"Split": ("num_outputs",), "Resize": ("antialias", "axes", "keep_aspect_ratio_policy")}
SMALL = 4096  # numbers; what is smaller (biases, the frequencies of position codes) is not worth its rounding


def lower_opset(model: ir.Model) -> None:
    """From opset 18 to 17: what 18 added is at its default in these graphs, or is said in another way."""
    for node in model.graph.all_nodes():
        for attribute in NEWER.get(node.op_type, ()):
            node.attributes.pop(attribute, None)
        if node.op_type.startswith("Reduce") and node.op_type != "ReduceSum":
            node.attributes.pop("noop_with_empty_axes", None)
            if len(node.inputs) == 2 and node.inputs[1] is not None:
                axes = ir.convenience.get_const_tensor(node.inputs[1])
                assert axes is not None
                node.attributes["axes"] = ir.AttrInt64s("axes", axes.numpy().tolist())
                node.resize_inputs(1)
    model.opset_imports[""] = OPSET
    model.ir_version = IR_VERSION


def half_constants(model: ir.Model) -> None:
    """Keep large float32 constants in fp16, each with a node that casts it back, which runtimes do once, on loading."""
    graph = model.graph
    for value in list(graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < SMALL:
            continue
        array = tensor.numpy()
        if np.abs(array).max() > np.finfo(np.float16).max:
            continue
        name = f"{value.name}.fp16"
        kept = ir.val(name, const_value=ir.tensor(array.astype(np.float16), name=name))
        graph.register_initializer(kept)
        cast = ir.node("Cast", [kept], {"to": ir.DataType.FLOAT})
        cast.outputs[0].name = f"{value.name}.fp32"  # a name made for it could be one of a subgraph
        cast.outputs[0].type, cast.outputs[0].shape = value.type, value.shape
        graph.insert_before(graph[0], cast)
        value.replace_all_uses_with(cast.outputs[0])
        assert value.name is not None
        del graph.initializers[value.name]
