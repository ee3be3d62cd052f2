"""EfficientSAM (Xiong et al. 2024) in two sizes: a plain vision transformer and a SAM decoder with changes of its own.

It takes points and boxes, six points at most of which a box is two, and no mask.
"""

from anymask.networks.efficient_sam.efficient_sam import EfficientSam
from anymask.networks.efficient_sam.served import parts
from anymask.networks.efficient_sam.vit import PlainVit

__all__ = ["build", "parts"]

SIZES = {"ti": (192, 3), "s": (384, 6)}  # width and heads of the image encoder


def build(variant: str) -> EfficientSam:
    """The network of a size ("ti", "s"), its weights not yet loaded."""
    return EfficientSam(PlainVit(*SIZES[variant]))
