"""The names and signatures of Meta's `sam2` (Ravi et al. 2024), for pictures, over anymask's engines.

Its modules lie where they do there: `sam2.build_sam`, `sam2.sam2_image_predictor`; docs/compat.md says what differs.
torch is imported only by what gives tensors.
"""

from anymask.compat.sam2.build_sam import build_sam2, build_sam2_hf
from anymask.compat.sam2.sam2_image_predictor import SAM2ImagePredictor

__all__ = ["SAM2ImagePredictor", "build_sam2", "build_sam2_hf"]
