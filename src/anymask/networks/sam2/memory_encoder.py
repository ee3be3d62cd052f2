"""SAM 2's memory encoder: a frame's features and an object's mask to what is remembered of it (Ravi et al. 2024, §C).

Shapes: B objects, features of 256 channels and hxw cells, masks of 16h x 16w, memories of 64 channels.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.sam.layers import LayerNorm2d

WIDTH, MEMORY = 256, 64
STEPS = (1, 4, 16, 64, 256)  # channels of the mask, each step at half the size


class MemoryEncoder(nn.Module):
    """A frame's features 1x256xhxw or Bx256xhxw, as the image encoder gives them, and masks Bx1x16hx16w (what the
    reference makes of them: -10..10) -> memories Bx64xhxw."""

    def __init__(self) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler()
        self.pix_feat_proj = nn.Conv2d(WIDTH, WIDTH, 1)
        self.fuser = Fuser()
        self.out_proj = nn.Conv2d(WIDTH, MEMORY, 1)

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        fused = self.fuser(self.pix_feat_proj(features) + self.mask_downsampler(masks))
        memory: Tensor = self.out_proj(fused)
        return memory


class MaskDownsampler(nn.Module):
    """Bx1x16hx16w -> Bx256xhxw."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(STEPS):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), LayerNorm2d(outputs), nn.GELU()]
        self.encoder = nn.Sequential(*layers, nn.Conv2d(WIDTH, WIDTH, 1))

    def forward(self, masks: Tensor) -> Tensor:
        encoded: Tensor = self.encoder(masks)
        return encoded


class Fuser(nn.Module):
    """Two ConvNeXt blocks (Liu et al. 2022), Bx256xhxw -> Bx256xhxw."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConvNeXtBlock() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class ConvNeXtBlock(nn.Module):
    """A convolution of each channel by itself, then an MLP of each cell, scaled by `gamma`."""

    def __init__(self) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH)
        self.norm = LayerNorm2d(WIDTH)
        self.pwconv1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.pwconv2 = nn.Linear(4 * WIDTH, WIDTH)
        self.gamma = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        cells = self.norm.last(self.dwconv(x).permute(0, 2, 3, 1))
        cells = self.gamma * self.pwconv2(F.gelu(self.pwconv1(cells)))
        changed: Tensor = x + cells.permute(0, 3, 1, 2)
        return changed
