"""Losses over soft targets: the coverage of each low-resolution cell, in 0..1."""

import torch
import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, target: Tensor, weight: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al. 2017) for soft targets, mean over the weighted pixels: ...xhxw -> ... ."""
    error = (logits.sigmoid() - target).abs()
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * error**gamma
    return (loss * weight).sum((-2, -1)) / weight.sum((-2, -1)).clamp(min=1.0)


def dice_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """1 - Dice coefficient (Milletari et al. 2016): ...xhxw -> ... ."""
    probability = logits.sigmoid() * weight
    target = target * weight
    overlap = 2 * (probability * target).sum((-2, -1)) + 1
    return 1 - overlap / (probability.sum((-2, -1)) + target.sum((-2, -1)) + 1)


def mask_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """SAM's mix: focal and Dice 20 to 1."""
    return 20 * focal_loss(logits, target, weight) + dice_loss(logits, target, weight)


def intersection_over_union(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """IoU of the thresholded logits with soft targets: ...xhxw -> ... ."""
    predicted = (logits > 0).to(target.dtype) * weight
    target = target * weight
    overlap = (predicted * target).sum((-2, -1))
    return overlap / (predicted.sum((-2, -1)) + target.sum((-2, -1)) - overlap).clamp(min=1e-6)


def subject_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """BCE + soft IoU + SSIM, BASNet's three (Qin et al. 2019): pixel, map and edge level. Bxhxw -> B."""
    area = weight.sum((-2, -1)).clamp(min=1.0)
    bce = (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight).sum((-2, -1)) / area
    probability = logits.sigmoid()
    overlap = (probability * target * weight).sum((-2, -1))
    union = ((probability + target - probability * target) * weight).sum((-2, -1)).clamp(min=1.0)
    ssim = (_ssim(probability, target) * weight).sum((-2, -1)) / area
    return bce + (1 - overlap / union) + (1 - ssim)


def _ssim(a: Tensor, b: Tensor, window: int = 7) -> Tensor:
    """Structural similarity over box windows, per pixel: Bxhxw -> Bxhxw."""
    stacked = torch.stack([a, b, a * a, b * b, a * b], dim=1)
    mean_a, mean_b, aa, bb, ab = F.avg_pool2d(stacked, window, 1, window // 2, count_include_pad=False).unbind(1)
    c1, c2 = 0.01**2, 0.03**2
    covariance = ab - mean_a * mean_b
    variance = (aa - mean_a**2) + (bb - mean_b**2)
    return ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / ((mean_a**2 + mean_b**2 + c1) * (variance + c2))
