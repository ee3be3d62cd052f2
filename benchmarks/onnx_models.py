"""ONNX files of matting networks with made-up weights, for both sides of a comparison: as published ones, they take a
normalised picture float32 [1, 3, S, S] and give a map [1, 1, S, S]."""

import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]

# By the name in the catalogue: family, variant, side, the parity fixture whose weights are made up, and whether what is
# published gives logits (BiRefNet) instead of probabilities.
NETWORKS = {
    "u2net": ("u2net", "full", 320, "u2net", False),
    "u2netp": ("u2net", "p", 320, "u2netp", False),
    "birefnet-general-lite": ("birefnet", "swin_t", 1024, "birefnet_lite", True),
}


def onnx_file(folder: Path, name: str) -> Path:
    """A network's ONNX file, written once."""
    path = folder / f"{name}.onnx"
    if path.exists():
        return path
    sys.path.insert(0, str(ROOT / "tests"))
    import parity
    import torch

    family, variant, side, fixture, logits = NETWORKS[name]
    module = import_module(f"anymask.networks.{family}")
    with torch.device("meta"):
        network = module.build(variant)
    parity.load(network, fixture)
    program = torch.onnx.export(
        network.eval() if logits else module.matte(network).eval(),
        (torch.zeros(1, 3, side, side),),
        dynamo=True,
        opset_version=18,
        input_names=["input"],
        output_names=["output"],
        verbose=False,
    )
    assert program is not None
    program.save(path, external_data=False)
    return path
