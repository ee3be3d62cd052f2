"""TinyViT (Wu et al. 2022), the image encoder of MobileSAM (Zhang et al. 2023) and of SAM-HQ's small model.

Four stages at strides 4, 8, 16 and 16: inverted bottleneck convolutions, then three of windowed attention. Parameter
names are those of the MobileSAM package. Shapes: B pictures, C channels, HxW cells, N cells of a window.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.sam.image_encoder import join_windows, split_windows
from anymask.networks.sam.layers import LayerNorm2d

WIDTHS, DEPTHS, HEADS, WINDOWS = (64, 128, 160, 320), (2, 2, 6, 2), (2, 4, 5, 10), (7, 7, 14, 7)


class ConvNorm(nn.Sequential):
    """Convolution without bias, padded to keep the size at stride 1, and batch normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(OrderedDict(c=conv, bn=nn.BatchNorm2d(outputs)))


class Stem(nn.Module):
    """Bx3xSxS -> BxCx(S/4)x(S/4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.seq = nn.Sequential(
            ConvNorm(3, half, kernel=3, stride=2), nn.GELU(), ConvNorm(half, channels, kernel=3, stride=2)
        )

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.seq(image)
        return features


class Bottleneck(nn.Module):
    """Inverted bottleneck (Sandler et al. 2018): widen, convolve each channel, narrow, add. BxCxHxW -> same."""

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        wide = expansion * channels
        self.conv1 = ConvNorm(channels, wide)
        self.conv2 = ConvNorm(wide, wide, kernel=3, groups=wide)
        self.conv3 = ConvNorm(wide, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class Downsampling(nn.Module):
    """Between two stages: new width, and half the size at stride 2. BxCxHxW -> BxDx(H/stride)x(W/stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, kernel=3, stride=stride, groups=outputs)
        self.conv3 = ConvNorm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        merged: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return merged


class WindowAttention(nn.Module):
    """Normalisation and attention among the cells of a window, with a learned bias for each distance between two cells
    (rows and columns apart, without sign). BxNxC -> BxNxC, N = window**2."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))
        cells = torch.arange(window, device="cpu")
        apart = (cells[:, None] - cells).abs()
        distance = apart[:, None, :, None] * window + apart[None, :, None, :]
        self.distance: Tensor
        self.register_buffer("distance", distance.flatten(2).flatten(0, 1), persistent=False)  # NxN, into the biases

    def forward(self, x: Tensor) -> Tensor:
        heads = self.qkv(self.norm(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        query, key, value = heads.chunk(3, dim=-1)  # a head's query, key and value lie together
        bias = self.attention_biases[:, self.distance].unsqueeze(0)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        attended: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return attended


class Mlp(nn.Module):
    """Normalisation and two linear layers. ...xC -> ...xC."""

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, expansion * channels)
        self.fc2 = nn.Linear(expansion * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return changed


class WindowBlock(nn.Module):
    """Attention within windows, a convolution of each channel, an MLP. BxHxWxC -> same."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(channels, heads, window)
        self.local_conv = ConvNorm(channels, channels, kernel=3, groups=channels)
        self.mlp = Mlp(channels)

    def forward(self, x: Tensor) -> Tensor:
        windows = split_windows(x, self.window)  # zeros past the edge take part like any other cell
        attended = self.attn(windows.flatten(1, 2)).view(windows.shape)
        x = x + join_windows(attended, x.shape[1], x.shape[2])
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        changed: Tensor = x + self.mlp(x)
        return changed


class WindowBlocks(nn.Sequential):
    """Window blocks over a map of channels. BxCxHxW -> same."""

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = super().forward(x.permute(0, 2, 3, 1))
        return changed.permute(0, 3, 1, 2)


class TinyVit(nn.Module):
    """Normalised picture Bx3xSxS -> embedding Bx256x(S/16)x(S/16), and early features Bx(S/16)x(S/16)x160: what the
    second stage hands on, which SAM-HQ reads."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = Stem(WIDTHS[0])
        self.layers = nn.ModuleList()
        for i, (width, depth, heads, window) in enumerate(zip(WIDTHS, DEPTHS, HEADS, WINDOWS, strict=True)):
            stage = OrderedDict[str, nn.Module]()
            if i == 0:
                stage["blocks"] = nn.Sequential(*[Bottleneck(width) for _ in range(depth)])
            else:
                stage["blocks"] = WindowBlocks(*[WindowBlock(width, heads, window) for _ in range(depth)])
            if i < 3:
                stage["downsample"] = Downsampling(width, WIDTHS[i + 1], stride=1 if i == 2 else 2)
            self.layers.append(nn.Sequential(stage))
        self.norm_head = nn.LayerNorm(WIDTHS[-1])  # of the classifier it was before: stored, never used
        self.head = nn.Linear(WIDTHS[-1], 1000)
        self.neck = nn.Sequential(
            nn.Conv2d(WIDTHS[-1], 256, 1, bias=False),
            LayerNorm2d(256),
            nn.Conv2d(256, 256, 3, padding=1, bias=False),
            LayerNorm2d(256),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.layers[0](self.patch_embed(image))
        early = self.layers[1](x)
        x = self.layers[3](self.layers[2](early))
        return self.neck(x), early.permute(0, 2, 3, 1)
