"""OpenVINO's graphs: the folder that the CPU engine runs, with what each input and output is."""

from pathlib import Path
from typing import Any

import openvino as ov

from anymask.catalog import ModelEntry
from anymask.export.metadata import Signature, labels, points
from anymask.runtime.convert import convert_parts


def write_openvino(spec: ModelEntry, parts: Any, folder: Path, half: bool) -> dict[str, Signature]:
    """Write the graphs of a network's `Parts` (see `networks/parts.py`); returns what their inputs and outputs are."""
    signatures: dict[str, Signature] = {}
    for name, model in convert_parts(spec, parts):
        ov.save_model(model, folder / f"{name}.xml", compress_to_fp16=half)
        signatures[name] = _signature(spec, name, model)
    return signatures


def _signature(spec: ModelEntry, name: str, model: ov.Model) -> Signature:
    """In order, for OpenVINO's inputs have no names here."""
    prompt = [f"points, {points(spec)}", f"labels, {labels(spec)}", "logits of an earlier mask"]
    count = {"decoder": 2, "masked": 3}.get(name, 0)
    fixed = len(model.inputs) - count
    of_picture = "the padded picture, RGB values 0 to 255" if name == "encoder" else "of the picture"
    answers = ["logits; mask 0 answers a clear prompt, the others are candidates for an ambiguous one", "predicted IoU"]
    return {
        "inputs": _texts(model.inputs, [of_picture] * fixed + prompt[:count]),
        "outputs": _texts(model.outputs, answers if count else ["of the picture"] * len(model.outputs)),
    }


def _texts(ports: list[Any], meanings: list[str]) -> dict[str, str]:
    return {
        str(index): f"{port.element_type.get_type_name()} {port.partial_shape}: {meaning}"
        for index, (port, meaning) in enumerate(zip(ports, meanings, strict=True))
    }
