"""A vision transformer's two linear layers, under the names that timm and those who follow it give them."""

import torch.nn.functional as F
from torch import Tensor, nn


class Mlp(nn.Module):
    """Two linear layers with a GELU between. ...xC -> ...xC."""

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, expansion * channels)
        self.fc2 = nn.Linear(expansion * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return changed
