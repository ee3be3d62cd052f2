"""Segment Anything (Kirillov et al. 2023) in three sizes, under the official parameter names."""

from anymask.networks.sam.image_encoder import ImageEncoder
from anymask.networks.sam.mask_decoder import MaskDecoder
from anymask.networks.sam.sam import Sam
from anymask.networks.sam.served import parts

__all__ = ["build", "parts"]

# width, depth, heads, global blocks of the image encoder
SIZES = {
    "vit_b": (768, 12, 12, (2, 5, 8, 11)),
    "vit_l": (1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": (1280, 32, 16, (7, 15, 23, 31)),
}


def build(variant: str) -> Sam:
    """The network of a size ("vit_b", "vit_l", "vit_h"), its weights not yet loaded."""
    return Sam(ImageEncoder(*SIZES[variant]), MaskDecoder())
