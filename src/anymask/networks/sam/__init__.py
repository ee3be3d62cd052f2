"""Segment Anything (Kirillov et al. 2023) in three sizes, under the official parameter names."""

from anymask.networks.sam.image_encoder import SIZES, ImageEncoder
from anymask.networks.sam.mask_decoder import MaskDecoder
from anymask.networks.sam.sam import Sam
from anymask.networks.sam.served import parts

__all__ = ["Sam", "build", "parts"]


def build(variant: str) -> Sam:
    """The network of a size ("vit_b", "vit_l", "vit_h"), its weights not yet loaded."""
    return Sam(ImageEncoder(*SIZES[variant]), MaskDecoder())
