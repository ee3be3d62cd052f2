"""The names and signatures of Meta's `sam2` (Ravi et al. 2024), for pictures and videos, over anymask's engines.

Its modules lie where they do there: `sam2.build_sam`, `sam2.sam2_image_predictor`, `sam2.sam2_video_predictor`,
`sam2.automatic_mask_generator`; docs/compat.md says what differs. torch is imported only by what gives tensors.
"""

from anymask.compat.sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator
from anymask.compat.sam2.build_sam import (
    build_sam2,
    build_sam2_hf,
    build_sam2_video_predictor,
    build_sam2_video_predictor_hf,
)
from anymask.compat.sam2.sam2_image_predictor import SAM2ImagePredictor
from anymask.compat.sam2.sam2_video_predictor import SAM2VideoPredictor

__all__ = [
    "SAM2AutomaticMaskGenerator",
    "SAM2ImagePredictor",
    "SAM2VideoPredictor",
    "build_sam2",
    "build_sam2_hf",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
]
