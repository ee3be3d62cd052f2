"""Residual U-blocks, and the U of such blocks that U²-Net (Qin et al. 2020) and IS-Net (Qin et al. 2022) share.

Parameter names are those of both official packages. Shapes: B pictures, C channels, HxW cells of a map.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEIGHTS = (7, 6, 5, 4, 4, 4)  # of the stages' U-blocks, from fine to coarse
POOLED = 4  # stages whose U-block pools; the maps of the others are so small already that it dilates instead


class ConvNorm(nn.Module):
    """3x3 convolution, batch normalisation, ReLU. BxCxHxW -> BxDxHxW."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn_s1(self.conv_s1(x)))


class ResidualU(nn.Module):
    """A small U-Net added to its own input (the papers' RSU-`height`, dilated RSU-4F). BxCxHxW -> BxDxHxW.

    Of its `height` levels the first has the full size, each further one half of that before; the last stays and
    dilates. Where the whole block is `dilated`, all stay, and a level dilates twice as far as that before.
    """

    def __init__(self, inputs: int, middle: int, outputs: int, height: int, dilated: bool = False) -> None:
        super().__init__()
        self.height, self.dilated = height, dilated
        self.rebnconvin = ConvNorm(inputs, outputs)
        for level in range(1, height + 1):
            dilation = 2 ** (level - 1) if dilated else 1 + (level == height)
            self.add_module(f"rebnconv{level}", ConvNorm(outputs if level == 1 else middle, middle, dilation))
        for level in range(height - 1, 0, -1):
            dilation = 2 ** (level - 1) if dilated else 1
            self.add_module(f"rebnconv{level}d", ConvNorm(2 * middle, outputs if level == 1 else middle, dilation))

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.rebnconvin(x)
        x = residual
        maps: list[Tensor] = []
        for level in range(1, self.height + 1):
            pools = 1 < level < self.height and not self.dilated
            x = self.get_submodule(f"rebnconv{level}")(halved(x) if pools else x)
            maps.append(x)
        x = maps.pop()
        for level in range(self.height - 1, 0, -1):
            x = self.get_submodule(f"rebnconv{level}d")(joined(x, maps.pop()))
        return x + residual


class NestedU(nn.Module):
    """A U-Net of six stages, each a `ResidualU`, with a map of logits from every stage that decodes.

    `inputs` channels come in; `encoder` and `decoder` give the stages' (middle, outputs), from fine to coarse, six and
    five of them; `classes` is the number of channels of the logits.
    """

    def __init__(
        self, inputs: int, encoder: tuple[tuple[int, int], ...], decoder: tuple[tuple[int, int], ...], classes: int
    ) -> None:
        super().__init__()
        wide = [inputs, *(outputs for _, outputs in encoder)]
        for i, (middle, outputs) in enumerate(encoder):
            self.add_module(f"stage{i + 1}", ResidualU(wide[i], middle, outputs, HEIGHTS[i], dilated=i >= POOLED))
        below = wide[-1]
        for i in range(len(decoder) - 1, -1, -1):
            middle, outputs = decoder[i]
            joint = wide[i + 1] + below
            self.add_module(f"stage{i + 1}d", ResidualU(joint, middle, outputs, HEIGHTS[i], dilated=i >= POOLED))
            below = outputs
        for i, channels in enumerate([*(outputs for _, outputs in decoder), wide[-1]]):
            self.add_module(f"side{i + 1}", nn.Conv2d(channels, classes, 3, padding=1))

    def decode(self, x: Tensor) -> list[Tensor]:
        """The decoding stages' maps of a map of `inputs` channels: six, the first of its size, each next one half."""
        maps: list[Tensor] = []
        for stage in range(1, 7):
            x = self.get_submodule(f"stage{stage}")(halved(x) if maps else x)
            maps.append(x)
        decoded = [maps.pop()]
        for stage in range(5, 0, -1):
            decoded.insert(0, self.get_submodule(f"stage{stage}d")(joined(decoded[0], maps.pop())))
        return decoded

    def side(self, stage: int, decoded: Tensor, like: Tensor) -> Tensor:
        """Logits of a stage (1 to 6) from its decoded map, in the height and width of `like`."""
        return enlarged(self.get_submodule(f"side{stage}")(decoded), like)


def halved(x: Tensor) -> Tensor:
    """Each 2x2 cells' maxima; a last odd row or column is kept."""
    return F.max_pool2d(x, 2, stride=2, ceil_mode=True)


def enlarged(x: Tensor, like: Tensor) -> Tensor:
    """A map in the height and width of another, bilinear between the centres of cells."""
    same = x.shape[2:] == like.shape[2:]
    return x if same else F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


def joined(x: Tensor, partner: Tensor) -> Tensor:
    """The channels of a coarser map, enlarged, before those of its partner."""
    return torch.cat([enlarged(x, partner), partner], dim=1)
