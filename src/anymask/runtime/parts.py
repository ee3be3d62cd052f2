"""A checkpoint's network, loaded and taken apart."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from torch import nn

from anymask.catalog import ModelEntry
from anymask.errors import WeightsError
from anymask.networks.parts import Parts, VideoParts
from anymask.runtime.checkpoint import check, loaded, read_state_dict


def load_parts(spec: ModelEntry, checkpoint: Path) -> Parts:
    """What an engine runs of a model, with a checkpoint's weights in float32, for inference only.

    Raises WeightsError for a file that is damaged, hostile or another model's checkpoint.
    """
    family = import_module(f"anymask.networks.{spec.family}")
    parts: Parts
    if spec.family == "pocket":  # whose weights come with their normalisation folded
        state = read_state_dict(checkpoint)
        check(state, spec, checkpoint)
        parts = family.from_state_dict(state)
    else:
        parts = family.parts(loaded(spec, checkpoint))
    return Parts._make(part and part.requires_grad_(False) for part in parts)


def load_video_parts(spec: ModelEntry, checkpoint: Path) -> tuple[Parts, VideoParts]:
    """What an engine runs of a model that has a memory, for pictures and beside that for a video, over one network; as
    `load_parts`, and raises as that does."""
    family = import_module(f"anymask.networks.{spec.family}")
    network = loaded(spec, checkpoint).requires_grad_(False)
    return family.parts(network), family.video_parts(network)


def load_matte(spec: ModelEntry, checkpoint: Path) -> nn.Module:
    """What an engine runs of a model that finds the subject: a normalised picture to its answer (see `networks/`).

    Raises WeightsError as `load_parts` does, and for a model whose network anymask does not have.
    """
    if find_spec(f"anymask.networks.{spec.family}") is None:
        raise WeightsError(f"{checkpoint} is no ONNX file, and {spec.name} opens from ONNX files only.")
    family = import_module(f"anymask.networks.{spec.family}")
    module: nn.Module = family.matte(loaded(spec, checkpoint))
    return module.eval().requires_grad_(False)


def load_instances(spec: ModelEntry, checkpoint: Path) -> nn.Module:
    """What an engine runs of a model that finds instances: a picture to its network's maps (`runtime/instances.py`).

    Raises WeightsError as `load_parts` does.
    """
    return loaded(spec, checkpoint).requires_grad_(False)
