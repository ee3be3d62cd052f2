"""MobileSAM (Zhang et al. 2023): SAM with TinyViT, distilled from ViT-H, as its image encoder."""

from anymask.networks.sam import parts
from anymask.networks.sam.mask_decoder import MaskDecoder
from anymask.networks.sam.sam import Sam
from anymask.networks.tiny_vit import TinyVit

__all__ = ["build", "parts"]

ENCODERS = {"tiny_vit": TinyVit}


def build(variant: str) -> Sam:
    """The network of a variant ("tiny_vit" is the only one), its weights not yet loaded."""
    return Sam(ENCODERS[variant](), MaskDecoder())
