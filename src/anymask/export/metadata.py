"""What an exported model is and how to call it, in words that travel with the files."""

import json
from pathlib import Path
from typing import Any

from anymask import __version__
from anymask.catalog import ModelEntry

Signature = dict[str, dict[str, str]]
"""Of a graph: "inputs" and "outputs", each by name with its type, shape and meaning."""

FIT = {
    "letterbox": "the aspect is kept and the longer side becomes {side} pixels: round(length * {side} / longer)",
    "stretch": "both sides become {side} pixels",
}
RESIZE = {
    "area": "each pixel the mean of what it covers (OpenCV's INTER_AREA)",
    "antialias": "bilinear with antialiasing, on 8-bit values (Pillow's BILINEAR)",
    "smooth": "bilinear with antialiasing, on floating-point values",
    "linear": "bilinear without antialiasing, on floating-point values",
}


def describe(spec: ModelEntry, checkpoint_sha256: str, format: str, half: bool) -> dict[str, Any]:
    """The model, its licence and origin, and what to do with a picture before the encoder sees it."""
    return {
        "model": spec.name,
        "family": spec.family,
        "description": spec.description,
        "licence": spec.licence,
        "commercial": spec.commercial,
        "checkpoint_sha256": checkpoint_sha256,
        "anymask": __version__,
        "format": format,
        "weights": "fp16" if half else "fp32",
        "input_size": spec.input.side,
        "fit": FIT[spec.input.fit].format(side=spec.input.side),
        "resize": RESIZE[spec.input.resize],
        "padding": list(spec.input.padding),
        "normalisation": "in the encoder: it takes RGB values 0 to 255",
        "padding_point": spec.prompts.padding_point,
        "max_points": spec.prompts.max_points,
        "mask_threshold": 0.0,
    }


def points(spec: ModelEntry) -> str:
    """What the coordinates of points are."""
    return f"x and y in pixels of the encoder's {spec.input.side} x {spec.input.side} input"


def labels(spec: ModelEntry) -> str:
    """What the labels of points are, and which points the caller adds."""
    rule = {
        "after_points": "; where there is no box, a padding point at (0, 0) must follow the points",
        "after_prompt": "; a padding point at (0, 0) must follow points and box, unless there are none",
        "alone": "; a padding point stands where there is nothing else",
        "never": "",
    }[spec.prompts.padding_point]
    most = spec.prompts.max_points
    limit = f"; {most} points are read, the box's corners included" if most else ""
    return f"1 foreground, 0 background, 2 and 3 the first and last corner of a box, -1 padding{rule}{limit}"


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
