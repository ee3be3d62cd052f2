"""Modulated deformable convolution (Zhu et al. 2019, "Deformable ConvNets v2").

Shapes: B pictures, C channels in, D out, HxW pixels, T = K * K taps of a kernel.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SAMPLES = 1 << 24  # at a time: 64 MiB, or a picture of 1024 x 1024 would need more than 800


class DeformableConv2d(nn.Module):
    """A convolution that finds, for each output pixel, where each tap reads and how much it counts. BxCxHxW -> BxDxHxW.

    Two convolutions of the input give a tap's offset from its regular place, in pixels, and its factor, 2 * sigmoid.
    """

    def __init__(self, channels: int, outputs: int, kernel: int) -> None:
        super().__init__()
        taps = kernel * kernel
        self.offset_conv = nn.Conv2d(channels, 2 * taps, kernel, padding=kernel // 2)
        self.modulator_conv = nn.Conv2d(channels, taps, kernel, padding=kernel // 2)
        self.regular_conv = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        factors = 2 * self.modulator_conv(x).sigmoid()
        return deform_conv2d(x, self.offset_conv(x), factors, self.regular_conv.weight)


def deform_conv2d(x: Tensor, offsets: Tensor, factors: Tensor, weight: Tensor) -> Tensor:
    """Convolve BxCxHxW by DxCxKxK, K odd, at stride 1 and with the size kept, with taps that move: BxDxHxW.

    offsets BxTxHxW pairs: channel 2t is by how many rows tap t moves and channel 2t + 1 by how many columns, Bx2TxHxW;
    factors BxTxHxW multiply what it reads. Between pixels it reads their linear interpolation, past the edge zeros.
    """
    height, width = x.shape[2:]
    kernel = weight.shape[2]
    step = torch.tensor([2 / height, 2 / width], dtype=x.dtype, device=x.device)
    moves = offsets.unflatten(1, (-1, 2)).permute(0, 1, 3, 4, 2) * step
    regular = centres(height, width, kernel, x).expand_as(moves)
    # Added up over an axis: OpenVINO would merge a plain addition into a kernel that rounds places to bfloat16.
    grid = torch.cat([regular, moves], dim=1).unflatten(1, (2, -1)).sum(1).flip(-1)
    strip = max(SAMPLES // (weight[0].numel() * width), 1)
    strips = zip(grid.split(strip, dim=2), factors.split(strip, dim=2), strict=True)
    return torch.cat([convolve_samples(x, places, counts, weight) for places, counts in strips], dim=2)


def centres(height: int, width: int, kernel: int, like: Tensor) -> Tensor:
    """Where each tap regularly reads for each pixel, row and column, -1 to 1 from edge to edge: TxHxWx2."""
    tap = torch.arange(kernel, dtype=like.dtype, device=like.device) - kernel // 2
    down, right = (
        (2 * (tap[:, None] + torch.arange(size, dtype=like.dtype, device=like.device)) + 1) / size - 1
        for size in (height, width)
    )
    shape = kernel, kernel, height, width
    return torch.stack([down[:, None, :, None].expand(shape), right[:, None].expand(shape)], dim=-1).flatten(0, 1)


def convolve_samples(x: Tensor, places: Tensor, factors: Tensor, weight: Tensor) -> Tensor:
    """The output's rows for which places BxTxhxWx2 (-1 to 1, x before y) and factors BxTxhxW are given: BxDxhxW."""
    taps, height = factors.shape[1:3]
    samples = F.grid_sample(x, places.flatten(1, 2), mode="bilinear", padding_mode="zeros", align_corners=False)
    samples = samples.unflatten(2, (taps, height)) * factors.unsqueeze(1)  # BxCxTxhxW
    return F.conv2d(samples.flatten(1, 2), weight.flatten(1)[:, :, None, None])
