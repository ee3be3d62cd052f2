"""Simulated users: the first prompt of each mask, and clicks that correct what a prediction got wrong."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from anymask.training.samples import MASK_STRIDE


@dataclass
class Prompts:
    """A batch of N prompts: coords NxKx2 in input pixels, labels NxK (see networks/pocket_decoder.py), mask Nxgxg,
    has_mask N."""

    coords: Tensor
    labels: Tensor
    mask: Tensor
    has_mask: Tensor


def first_prompts(clicks: Tensor, boxes: Tensor, grid: int, box_share: float, generator: torch.Generator) -> Prompts:
    """A click or a box for each of N masks: clicks Nx2, boxes Nx4, a share of boxes, and now and then both."""
    count = clicks.shape[0]
    choice = torch.rand(count, generator=generator).to(clicks.device)
    use_box = choice < box_share
    both = choice < 0.15 * box_share
    coords = torch.stack([clicks, boxes[:, :2], boxes[:, 2:]], dim=1)
    labels = torch.tensor([1.0, 2.0, 3.0], device=clicks.device).repeat(count, 1)
    labels[use_box & ~both, 0] = -1
    labels[~use_box, 1:] = -1
    return Prompts(coords, labels, clicks.new_zeros(count, grid, grid), clicks.new_zeros(count))


def correct(
    prompts: Prompts,
    logits: Tensor,
    target: Tensor,
    weight: Tensor,
    generator: torch.Generator,
    mask_alone: float = 0.0,
) -> Prompts:
    """Add one click in the wrong area, inner places first, and hand the prediction back as the mask (nine times of
    ten).

    logits, target and weight are Nxgxg. Where nothing is wrong the click falls anywhere inside the mask. A share
    `mask_alone` gets its own answer back and no click, to be looked over.
    """
    missed = ((target > 0.5) & (logits <= 0)).float() * weight
    extra = ((target <= 0.5) & (logits > 0)).float() * weight
    foreground = target * weight + 1e-6
    wrong = missed + extra
    depth = F.avg_pool2d(wrong[:, None], 5, 1, 2)[:, 0]
    chances = torch.where(wrong.sum((1, 2), keepdim=True) > 0, wrong * depth**2, foreground).flatten(1).cpu()
    flat = torch.multinomial(chances, 1, generator=generator).to(target.device)  # Nx1
    label = torch.where(extra.flatten(1).gather(1, flat) > 0, 0.0, 1.0)
    grid = target.shape[-1]
    cell = torch.cat([flat % grid, flat // grid], dim=1).float()
    jitter = torch.rand(cell.shape, generator=generator).to(cell.device)
    click = (cell + jitter) * MASK_STRIDE
    alone = (torch.rand(len(flat), generator=generator) < mask_alone).to(target.device)
    label = label.masked_fill(alone[:, None], -1.0)
    keep = ((torch.rand(len(flat), generator=generator) < 0.9).to(target.device) | alone).float()
    return Prompts(
        torch.cat([prompts.coords, click[:, None]], dim=1),
        torch.cat([prompts.labels, label], dim=1),
        logits.detach() * keep[:, None, None],
        keep,
    )


def subject_prompts(count: int, grid: int, device: torch.device) -> Prompts:
    """The subject token for each of `count` pictures."""
    zeros = torch.zeros(count, grid, grid, device=device)
    return Prompts(
        torch.zeros(count, 1, 2, device=device), torch.full((count, 1), 4.0, device=device), zeros, zeros[:, 0, 0]
    )
