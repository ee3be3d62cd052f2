"""Muon, an optimiser for weight matrices: momentum whose direction is made orthogonal (Jordan et al. 2024).

A gradient of a matrix is mostly a few directions; the update that is used has all of its singular values near one, so
that rare directions are learned as fast. The scale of the update is matched to AdamW's (Liu et al. 2025, "Muon is
scalable for LLM training"), so that one learning rate serves both. PyTorch's own Muon takes matrices only; here a
convolution's kernel is one, outputs by everything else.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, Jordan et al.
MATCHED_RMS = 0.2  # of AdamW's updates


class Muon(torch.optim.Optimizer):
    """Decoupled weight decay, Nesterov momentum, orthogonal updates. All parameters have at least two dimensions."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                mean = state["momentum"]
                mean.lerp_(weight.grad, 1 - group["momentum"])
                matrix = weight.grad.lerp(mean, group["momentum"]).reshape(len(weight), -1)
                update = orthogonal(matrix).reshape(weight.shape)
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * MATCHED_RMS * max(matrix.shape) ** 0.5)


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """A matrix with the singular vectors of `matrix`, and singular values of about one: float32 RxC -> the same."""
    a, b, c = COEFFICIENTS
    x = matrix.bfloat16()
    turned = x.shape[0] > x.shape[1]
    if turned:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    result: Tensor = (x.T if turned else x).float()
    return result


def optimizers(
    network: nn.Module, lr: float, weight_decay: float, use_muon: bool = True
) -> list[torch.optim.Optimizer]:
    """Muon for the network's matrices and kernels; AdamW for biases, norms, embeddings, depthwise kernels and for the
    layers that read pixels or drawn prompts, whose few inputs have scales of their own; or AdamW for all."""
    own = {
        id(weight)
        for name, module in network.named_modules()
        for weight in module.parameters(recurse=False)
        if isinstance(module, nn.Embedding) or "stem.0" in name or "canvas" in name or "position" in name
    }
    muon: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, weight in network.named_parameters():
        if use_muon and weight.ndim > 1 and id(weight) not in own and name.split(".")[-1] == "weight":
            muon.append(weight)
        else:
            (decayed if weight.ndim > 1 else plain).append(weight)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))
    return [adam, Muon(muon, lr, weight_decay=weight_decay)] if muon else [adam]
