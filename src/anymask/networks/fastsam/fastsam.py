"""FastSAM's network (Zhao et al. 2023, "Fast Segment Anything"): YOLOv8-seg with one class, object."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from anymask.networks.fastsam.blocks import SPPF, C2f, Conv, Enlarge
from anymask.networks.fastsam.head import Head


class FastSam(nn.Module):
    """Picture Bx3xHxW, RGB in 0 to 1, H and W multiples of 32 -> what `Head` gives.

    Args:
        widths: channels of the maps of strides 2, 4, 8, 16 and 32.
        depth: bottlenecks in the shortest blocks; those of strides 8 and 16 have twice as many.
        bins: distances from a cell to a box's side that are told apart.
    """

    def __init__(self, widths: Sequence[int], depth: int, bins: int) -> None:
        super().__init__()
        half, quarter, w8, w16, w32 = widths
        self.model = nn.ModuleList([
            Conv(3, half, 3, 2),
            Conv(half, quarter, 3, 2),
            C2f(quarter, quarter, depth, shortcut=True),
            Conv(quarter, w8, 3, 2),
            C2f(w8, w8, 2 * depth, shortcut=True),  # 4
            Conv(w8, w16, 3, 2),
            C2f(w16, w16, 2 * depth, shortcut=True),  # 6
            Conv(w16, w32, 3, 2),
            C2f(w32, w32, depth, shortcut=True),
            SPPF(w32),  # 9
            Enlarge(),
            nn.Identity(),  # here and below: where the published list has a concatenation
            C2f(w32 + w16, w16, depth),  # 12
            Enlarge(),
            nn.Identity(),
            C2f(w16 + w8, w8, depth),  # 15
            Conv(w8, w8, 3, 2),
            nn.Identity(),
            C2f(w8 + w16, w16, depth),  # 18
            Conv(w16, w16, 3, 2),
            nn.Identity(),
            C2f(w16 + w32, w32, depth),  # 21
            Head((w8, w16, w32), quarter * 2, bins),
        ])  # fmt: skip

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        model, maps, x = self.model, [], image
        for number in range(10):
            x = model[number](x)
            maps.append(x)
        fine, middle, coarse = maps[4], maps[6], maps[9]
        down16 = model[12](torch.cat([model[10](coarse), middle], dim=1))
        out8 = model[15](torch.cat([model[13](down16), fine], dim=1))
        out16 = model[18](torch.cat([model[16](out8), down16], dim=1))
        out32 = model[21](torch.cat([model[19](out16), coarse], dim=1))
        found: tuple[Tensor, Tensor, Tensor, Tensor, Tensor] = model[22]((out8, out16, out32))
        return found
