"""BiRefNet's decoder block: two convolutions around a pyramid of deformable ones.

Parameter names are those of the official package. Shapes: B pictures, C channels, HxW cells.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.birefnet.deformable import DeformableConv2d

INNER, BRANCH = 64, 256  # channels between the two convolutions, and of each branch of the pyramid
KERNELS = (1, 3, 7)


class DecoderBlock(nn.Module):
    """BxCxHxW -> BxDxHxW."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, INNER, 3, padding=1)
        self.bn_in = nn.BatchNorm2d(INNER)
        self.dec_att = DeformablePyramid(INNER)
        self.conv_out = nn.Conv2d(INNER, outputs, 3, padding=1)
        self.bn_out = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        decoded: Tensor = self.bn_out(self.conv_out(self.inner(x)))
        return decoded

    def inner(self, x: Tensor) -> Tensor:
        """What the last convolution takes: Bx64xHxW."""
        found: Tensor = self.dec_att(F.relu(self.bn_in(self.conv_in(x))))
        return found

    def projected(self, x: Tensor, weight: Tensor) -> Tensor:
        """The output's channels summed with weights ExDx1x1, BxExHxW, at the cost of a block that has E outputs."""
        conv, norm = self.conv_out, self.bn_out
        assert conv.bias is not None and norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias + scale * (conv.bias - norm.running_mean)
        mix = weight.flatten(1)
        kernel = torch.tensordot(mix * scale, conv.weight, dims=1)
        return F.conv2d(self.inner(x), kernel, mix @ shift, padding=1)


class DeformablePyramid(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017) with deformable convolutions of several sizes in place of the
    atrous ones, and the picture's mean. BxCxHxW -> same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.aspp1 = Branch(channels, kernel=1)
        self.aspp_deforms = nn.ModuleList(Branch(channels, kernel) for kernel in KERNELS)
        self.global_avg_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, BRANCH, 1, bias=False), nn.BatchNorm2d(BRANCH), nn.ReLU()
        )
        self.conv1 = nn.Conv2d((len(KERNELS) + 2) * BRANCH, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        branches = torch.cat([branch(x) for branch in (self.aspp1, *self.aspp_deforms)], dim=1)
        local, pooled = self.conv1.weight.split([branches.shape[1], BRANCH], dim=1)
        # The mean is the same everywhere, so its share of the sum is found once.
        mixed = F.conv2d(branches, local) + F.conv2d(self.global_avg_pool(x), pooled)
        return F.relu(self.bn1(mixed))


class Branch(nn.Module):
    """BxCxHxW -> Bx256xHxW."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.atrous_conv = DeformableConv2d(channels, BRANCH, kernel)
        self.bn = nn.BatchNorm2d(BRANCH)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.atrous_conv(x)))
