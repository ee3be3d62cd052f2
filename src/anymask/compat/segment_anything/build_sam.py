"""The models by the reference's names: `sam_model_registry["vit_b"](checkpoint="sam_vit_b_01ec64.pth")`."""

import os
from collections.abc import Callable

from anymask.compat.segment_anything.modeling import Sam

Checkpoint = str | os.PathLike[str] | None


def build_sam_vit_h(checkpoint: Checkpoint = None, precision: str = "auto") -> Sam:
    """SAM ViT-H.

    Args:
        checkpoint: an official checkpoint's path. None is the official one, downloaded if need be (the reference
            leaves such a model with random weights).
        precision: auto, fp32, bf16 or fp16, as in `Segmenter`.

    Raises:
        FileNotFoundError: there is no such checkpoint. What is wrong with one that is there shows when the model is
            loaded, by `SamPredictor` or `SamAutomaticMaskGenerator`: WeightsError.
    """
    return _build("sam_vit_h", checkpoint, precision)


def build_sam_vit_l(checkpoint: Checkpoint = None, precision: str = "auto") -> Sam:
    """SAM ViT-L; see `build_sam_vit_h`."""
    return _build("sam_vit_l", checkpoint, precision)


def build_sam_vit_b(checkpoint: Checkpoint = None, precision: str = "auto") -> Sam:
    """SAM ViT-B; see `build_sam_vit_h`."""
    return _build("sam_vit_b", checkpoint, precision)


def build_sam_vit_t(checkpoint: Checkpoint = None, precision: str = "auto") -> Sam:
    """MobileSAM (Zhang et al. 2023), by the name that its fork of the reference gives it; see `build_sam_vit_h`."""
    return _build("mobile_sam", checkpoint, precision)


build_sam = build_sam_vit_h

sam_model_registry: dict[str, Callable[..., Sam]] = {
    "default": build_sam_vit_h,
    "vit_h": build_sam_vit_h,
    "vit_l": build_sam_vit_l,
    "vit_b": build_sam_vit_b,
    "vit_t": build_sam_vit_t,
}


def _build(name: str, checkpoint: Checkpoint, precision: str) -> Sam:
    if checkpoint is not None and not os.path.isfile(checkpoint):
        raise FileNotFoundError(f"There is no checkpoint at {os.fspath(checkpoint)}; leave it out to download {name}.")
    return Sam(name, checkpoint, precision)
