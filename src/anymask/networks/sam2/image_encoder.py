"""SAM 2's image encoder: Hiera, and a feature pyramid that brings its stages to 256 channels (Ravi et al. 2024, §C)."""

import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.sam2.hiera import Hiera, Size

WIDTH = 256
MIXED = 2  # the stage that gets what the coarser one knows; the finer two are only projected


class ImageEncoder(nn.Module):
    """Normalised picture Bx3xSxS -> maps of 256 channels at S/4, S/8 and S/16, finest first."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.trunk = Hiera(size)
        self.neck = Neck(self.trunk.widths)

    def forward(self, image: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.neck(self.trunk(image))
        return maps


class Neck(nn.Module):
    """Four maps, finest first, of `widths` channels, each half as large as the one before -> the finer three, of 256
    channels. The coarsest, doubled, is added to the one before it and then dropped."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Projection(width) for width in reversed(widths))  # the coarsest map's first

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        *projected, coarsest = (conv(found) for conv, found in zip(reversed(self.convs), maps, strict=True))
        projected[MIXED] = projected[MIXED] + F.interpolate(coarsest, scale_factor=2.0, mode="nearest")
        return projected


class Projection(nn.Module):
    """A map to 256 channels: BxCxHxW -> Bx256xHxW."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.conv(x)
        return projected
