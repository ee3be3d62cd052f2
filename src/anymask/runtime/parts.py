"""A checkpoint's network, loaded and taken apart."""

from importlib import import_module
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from anymask.catalog import ModelEntry
from anymask.errors import WeightsError
from anymask.networks.parts import Parts


def load_parts(spec: ModelEntry, checkpoint: Path) -> Parts:
    """What an engine runs of a model, with a checkpoint's weights in float32, for inference only.

    Raises WeightsError for a file that is damaged, hostile or another model's checkpoint.
    """
    family = import_module(f"anymask.networks.{spec.family}")
    state = read_state_dict(checkpoint)
    try:
        parts: Parts
        if spec.family == "pocket":  # whose weights come with their normalisation folded
            parts = family.from_state_dict(state)
        else:
            with torch.device("meta"):
                network = family.build(spec.variant)
            network.load_state_dict(state, assign=True)
            parts = family.parts(network.float().eval())
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"{checkpoint} does not fit the model {spec.name}: {error}") from error
    return Parts._make(part and part.requires_grad_(False) for part in parts)


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .safetensors file or of a PyTorch checkpoint, told by content; nothing in it is executed.

    Raises WeightsError for a missing or damaged file.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        if not zipped:
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise WeightsError(f"{path} could not be read as weights: {str(error).splitlines()[0]}") from error
    except Exception as error:  # torch's UnpicklingError hides behind several classes
        raise WeightsError(f"{path} holds more than tensors and was refused.") from error
    state = content.get("average", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path} is not a checkpoint of named tensors.")
    return state
