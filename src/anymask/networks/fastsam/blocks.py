"""The blocks of YOLOv8 (Jocher et al. 2023, the package ultralytics), under their official parameter names.

Shapes: B pictures, C channels, maps of H x W cells.
"""

import torch
from torch import Tensor, nn


class Conv(nn.Module):
    """Convolution without bias, batch normalisation, SiLU: BxCxHxW -> BxC'xH/stride x W/stride."""

    def __init__(self, channels: int, width: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=1e-3, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.silu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    """Two 3x3 convolutions, with what went in added where there is a `shortcut`: BxCxHxW -> the same shape."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels, 3)
        self.cv2 = Conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C2f(nn.Module):
    """Half of the channels go through `depth` bottlenecks in a row, and every step's result goes into the last
    convolution: BxCxHxW -> BxC'xHxW."""

    def __init__(self, channels: int, width: int, depth: int, shortcut: bool = False) -> None:
        super().__init__()
        self.cv1 = Conv(channels, width)
        self.cv2 = Conv((2 + depth) * (width // 2), width)
        self.m = nn.ModuleList(Bottleneck(width // 2, shortcut) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        steps = list(self.cv1(x).chunk(2, dim=1))
        for block in self.m:
            steps.append(block(steps[-1]))
        out: Tensor = self.cv2(torch.cat(steps, dim=1))
        return out


class SPPF(nn.Module):
    """Spatial pyramid pooling: the maximum over windows of 5, 9 and 13 cells beside the map itself; shape kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels // 2)
        self.cv2 = Conv(channels // 2 * 4, channels)

    def forward(self, x: Tensor) -> Tensor:
        pools = [self.cv1(x)]
        for _ in range(3):
            pools.append(nn.functional.max_pool2d(pools[-1], 5, stride=1, padding=2))
        out: Tensor = self.cv2(torch.cat(pools, dim=1))
        return out


class Enlarge(nn.Module):
    """A map twice as large, each cell repeated: BxCxHxW -> BxCx2Hx2W."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
