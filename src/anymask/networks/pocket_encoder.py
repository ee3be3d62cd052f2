"""pocket's image encoder: residual 3x3 convolutions, three transformer blocks, and a pyramid of three maps.

Dense convolutions are what two CPU cores with bf16 do best, and they train from scratch on few pictures. Shapes: B
pictures, S the input side (512 in use, any multiple of 32 in training).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Sequential):
    """3x3 (or `kernel`) convolution and batch normalisation, with a ReLU unless `act` is false."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, act: bool = True) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), *([nn.ReLU()] if act else []))

    @property
    def norm(self) -> nn.BatchNorm2d:
        """The batch normalisation, as one with its type."""
        layer = self[1]
        assert isinstance(layer, nn.BatchNorm2d)
        return layer


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an identity (He et al. 2016). BxCxHxW -> BxCxHxW."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, channels)
        self.conv2 = ConvNorm(channels, channels, act=False)
        nn.init.zeros_(self.conv2.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.conv2(self.conv1(x))
        return F.relu(x + changed)


class TransformerBlock(nn.Module):
    """Pre-norm global self-attention over a feature map; a depthwise convolution gives positions. BxCxHxW -> same."""

    def __init__(self, channels: int, heads: int, expansion: int = 3) -> None:
        super().__init__()
        self.heads = heads
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, expansion * channels), nn.GELU(), nn.Linear(expansion * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        tokens = (x + self.position(x)).flatten(2).transpose(1, 2)
        qkv = self.qkv(self.norm1(tokens)).reshape(batch, height * width, 3, self.heads, channels // self.heads)
        mixed = attend(*qkv.permute(2, 0, 3, 1, 4).unbind(0)).transpose(1, 2).flatten(2)
        tokens = tokens + self.proj(mixed)
        tokens = tokens + self.mlp(self.norm2(tokens))
        result: Tensor = tokens.transpose(1, 2).reshape(batch, channels, height, width)
        return result


class PocketEncoder(nn.Module):
    """Picture to features, once per picture.

    In: Bx3xSxS, RGB in 0..255, the picture at the top left, the rest filled with the mean colour (124, 116, 104).
    Out: embedding BxDx(S/16)x(S/16), features BxD8x(S/8)x(S/8) and BxD4x(S/4)x(S/4).
    """

    def __init__(
        self,
        widths: tuple[int, int, int, int] = (48, 96, 192, 320),
        depths: tuple[int, int, int, int] = (2, 3, 4, 3),
        heads: int = 10,
        dim: int = 192,
        dim8: int = 48,
        dim4: int = 24,
    ) -> None:
        super().__init__()
        w4, w8, w16, w32 = widths
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor((123.675, 116.28, 103.53)).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor((58.395, 57.12, 57.375)).view(3, 1, 1), persistent=False)
        self.stem = nn.Sequential(ConvNorm(3, w4 // 2, stride=2), ConvNorm(w4 // 2, w4, stride=2))
        self.stage4 = nn.Sequential(*[ResidualBlock(w4) for _ in range(depths[0])])
        self.stage8 = nn.Sequential(ConvNorm(w4, w8, stride=2), *[ResidualBlock(w8) for _ in range(depths[1])])
        self.stage16 = nn.Sequential(ConvNorm(w8, w16, stride=2), *[ResidualBlock(w16) for _ in range(depths[2])])
        self.stage32 = nn.Sequential(
            ConvNorm(w16, w32, stride=2), *[TransformerBlock(w32, heads) for _ in range(depths[3])]
        )
        self.lateral32 = ConvNorm(w32, dim, kernel=1, act=False)
        self.lateral16 = ConvNorm(w16, dim, kernel=1, act=False)
        self.fuse16 = ConvNorm(dim, dim, act=False)
        self.top8 = ConvNorm(dim, dim8, kernel=1, act=False)
        self.lateral8 = ConvNorm(w8, dim8, kernel=1, act=False)
        self.fuse8 = ConvNorm(dim8, dim8, act=False)
        self.top4 = ConvNorm(dim8, dim4, kernel=1, act=False)
        self.lateral4 = ConvNorm(w4, dim4, kernel=1, act=False)
        self.fuse4 = ConvNorm(dim4, dim4, act=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x4 = self.stage4(self.stem((image - self.mean) / self.std))
        x8 = self.stage8(x4)
        x16 = self.stage16(x8)
        x32 = self.stage32(x16)
        top = self.fuse16(F.relu(self.lateral16(x16) + _double(self.lateral32(x32))))
        mid = self.fuse8(F.relu(self.lateral8(x8) + _double(self.top8(F.relu(top)))))
        low = self.fuse4(F.relu(self.lateral4(x4) + _double(self.top4(F.relu(mid)))))
        return top, mid, low


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax attention written out: with a handful of tokens on one side its gradient is faster than the fused
    kernel's."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    mixed: Tensor = (scores if bias is None else scores + bias).softmax(dim=-1) @ value
    return mixed


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
