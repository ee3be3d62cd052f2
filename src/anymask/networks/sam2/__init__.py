"""SAM 2 and 2.1 (Ravi et al. 2024) in four sizes each, under the official parameter names."""

from anymask.networks.sam2.hiera import SIZES
from anymask.networks.sam2.sam2 import Sam2
from anymask.networks.sam2.served import parts
from anymask.networks.sam2.video import video_parts

__all__ = ["Sam2", "build", "parts", "video_parts"]


def build(variant: str) -> Sam2:
    """The network of a version and size ("2.0_tiny", "2.1_base_plus", ...; see `SIZES`), its weights not yet loaded."""
    version, _, size = variant.partition("_")
    return Sam2(SIZES[size], improved=version == "2.1")
