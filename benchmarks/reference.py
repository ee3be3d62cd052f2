"""The reference packages, made to run on a machine without torchvision, and a checkpoint that all of them load.

segment_anything 1.0 needs four functions of torchvision, whose binary does not go with every torch; three short
stand-ins take their place (the fourth, `resize`, is Pillow's, as it is in torchvision for pictures).
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from anymask.masks import non_maximum_suppression

ROOT = Path(__file__).parents[1]


def import_segment_anything() -> None:
    """Import segment_anything with stand-ins where it looks for torchvision; they are gone afterwards, so that other
    packages do not take them for the real one."""

    def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
        apart = boxes + (groups.to(boxes) * (boxes.max() + 1))[:, None] if len(boxes) else boxes
        return torch.as_tensor(non_maximum_suppression(apart.numpy(), scores.numpy(), iou_threshold))

    def box_area(boxes: Tensor) -> Tensor:
        return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

    def resize(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
        return picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)

    contents = {
        "torchvision": {},
        "torchvision.ops": {},
        "torchvision.ops.boxes": {"batched_nms": batched_nms, "box_area": box_area},
        "torchvision.transforms": {},
        "torchvision.transforms.functional": {"resize": resize, "to_pil_image": Image.fromarray},
    }
    for name, functions in contents.items():
        module = ModuleType(name)
        module.__dict__.update(functions)
        sys.modules[name] = module
    import segment_anything  # noqa: F401

    for name in contents:
        del sys.modules[name]


def segment_anything(checkpoint: Path, variant: str = "vit_b") -> Any:
    """The reference's model with the checkpoint's weights."""
    import_segment_anything()
    from segment_anything import sam_model_registry

    return sam_model_registry[variant](checkpoint=str(checkpoint)).eval()


def seeded_checkpoint(folder: Path, model: str = "sam_vit_b") -> Path:
    """A checkpoint of made-up weights under official names (tests/parity), written once."""
    path = folder / f"{model}.pth"
    if not path.exists():
        sys.path.insert(0, str(ROOT / "tests"))
        from parity import checkpoint

        torch.save(checkpoint(model), path)
    return path


def transformers_encoder(checkpoint: Path, dtype: torch.dtype = torch.bfloat16) -> Any:
    """The ViT-B image encoder of transformers' `SamModel` with the checkpoint's weights, using torch's attention."""
    from transformers import SamConfig
    from transformers.models.sam.modeling_sam import SamVisionEncoder

    config = SamConfig().vision_config
    config._attn_implementation = "sdpa"
    encoder = SamVisionEncoder(config)
    renamed = {}
    for name, value in torch.load(checkpoint, weights_only=True).items():
        if not name.startswith("image_encoder."):
            continue
        name = name.removeprefix("image_encoder.").replace("blocks.", "layers.").replace("norm", "layer_norm")
        name = name.replace("patch_embed.proj", "patch_embed.projection")
        for old, new in (("0", "conv1"), ("1", "layer_norm1"), ("2", "conv2"), ("3", "layer_norm2")):
            name = name.replace(f"neck.{old}.", f"neck.{new}.")
        renamed[name] = value
    encoder.load_state_dict(renamed)
    return encoder.eval().to(dtype)


def normalised(rgb: np.ndarray, side: int = 1024) -> Tensor:
    """A picture as transformers' encoder wants it: float32 1x3xSxS, the longer side `side`, zeros around it."""
    scale = side / max(rgb.shape[:2])
    size = [int(length * scale + 0.5) for length in rgb.shape[1::-1]]
    small = np.asarray(Image.fromarray(rgb).resize((size[0], size[1]), Image.Resampling.BILINEAR), np.float32)
    padded = np.zeros((1, 3, side, side), np.float32)
    padded[0, :, : size[1], : size[0]] = (
        (small - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
    ).transpose(2, 0, 1)
    return torch.from_numpy(padded)
