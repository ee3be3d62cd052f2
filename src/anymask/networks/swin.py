"""Swin Transformer (Liu et al. 2021): attention within windows, which every second block shifts by half a window.

In its form for dense prediction, with a normalised map from each of its four stages; parameter names are those of the
official package. Shapes: B pictures, C channels, HxW cells, N = window**2 cells of a window, attention heads of
dimension 32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.mlp import Mlp
from anymask.networks.sam.image_encoder import join_windows, split_windows

PATCH, HEAD = 4, 32

# By variant: width of the first stage, depths, window.
SIZES = {"swin_t": (96, (2, 2, 6, 2), 7), "swin_l": (192, (2, 2, 18, 2), 12)}


class Swin(nn.Module):
    """Normalised picture Bx3xHxW -> four maps at strides 4, 8, 16 and 32, the width doubling: BxCx(H/4)x(W/4), ...

    H and W are multiples of 4; where a later stage has an odd number of rows or columns, zeros fill it up.
    """

    def __init__(self, width: int, depths: tuple[int, ...], window: int) -> None:
        super().__init__()
        self.widths = [width << stage for stage in range(len(depths))]
        self.patch_embed = PatchEmbed(width)
        last = len(depths) - 1
        self.layers = nn.ModuleList(
            Stage(channels, depth, window, merged=stage < last)
            for stage, (channels, depth) in enumerate(zip(self.widths, depths, strict=True))
        )
        for stage, channels in enumerate(self.widths):
            self.add_module(f"norm{stage}", nn.LayerNorm(channels))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x = self.patch_embed(image)
        maps = []
        for index, stage in enumerate(self.layers):
            found, x = stage(x)
            maps.append(self.get_submodule(f"norm{index}")(found).permute(0, 3, 1, 2))
        return tuple(maps)


class PatchEmbed(nn.Module):
    """A normalised token for each patch of 4 x 4 pixels: Bx3xHxW -> Bx(H/4)x(W/4)xC."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, PATCH)
        self.norm = nn.LayerNorm(channels)

    def forward(self, image: Tensor) -> Tensor:
        tokens: Tensor = self.norm(self.proj(image).permute(0, 2, 3, 1))
        return tokens


class Stage(nn.Module):
    """BxHxWxC -> the same after the blocks, and what the next stage takes: Bx(H/2)x(W/2)x2C, nothing new if not
    `merged`."""

    def __init__(self, channels: int, depth: int, window: int, merged: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(channels, window, shift=window // 2 if index % 2 else 0) for index in range(depth)
        )
        self.downsample = PatchMerging(channels) if merged else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for block in self.blocks:
            x = block(x)
        return x, x if self.downsample is None else self.downsample(x)


class PatchMerging(nn.Module):
    """Each 2 x 2 cells become one of twice the width: BxHxWxC -> Bx(H/2)x(W/2)x2C, halves rounded up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        cells = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).permute(0, 1, 3, 4, 2, 5)  # a column's two rows together
        merged: Tensor = self.reduction(self.norm(cells.flatten(3)))
        return merged


class Block(nn.Module):
    """Attention within windows and an MLP, both behind a normalisation and beside a shortcut. BxHxWxC -> same.

    With a `shift` the windows begin that many cells further down and right, and what is left of the first rows and
    columns shares the last windows, where cells see only those that were their neighbours.
    """

    def __init__(self, channels: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, window, shift)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attended(self.norm1(x))
        changed: Tensor = x + self.mlp(self.norm2(x))
        return changed

    def attended(self, x: Tensor) -> Tensor:
        """The attention alone. Zeros past the edge take part in it like any other cell. BxHxWxC -> same."""
        batch, height, width, _ = x.shape
        x = F.pad(x, (0, 0, 0, -width % self.window, 0, -height % self.window))
        down, across = x.shape[1] // self.window, x.shape[2] // self.window
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        windows = split_windows(x, self.window).flatten(1, 2).unflatten(0, (batch, down, across))
        windows = self.attn(windows).flatten(0, 2).unflatten(1, (self.window, self.window))
        x = join_windows(windows, x.shape[1], x.shape[2])
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x[:, :height, :width]


class WindowAttention(nn.Module):
    """Self-attention within each of the windows that cover a map, with a learned bias for each distance between two
    cells. Bx(windows down)x(windows across)xNxC -> same."""

    relative_position_index: Tensor

    def __init__(self, channels: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads, self.shift = channels // HEAD, shift
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, self.heads))
        self.register_buffer("relative_position_index", distances(window))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, windows: Tensor) -> Tensor:
        qkv = self.qkv(windows)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        attended: Tensor = self.proj(self.attend_shifted(qkv, bias) if self.shift else self.attend(qkv, bias))
        return attended

    def attend(self, qkv: Tensor, bias: Tensor) -> Tensor:
        """Windows' queries, keys and values, ...xNx3C, with a bias heads x N x N of all scores -> ...xNxC."""
        heads = qkv.flatten(0, 2).unflatten(-1, (3, self.heads, HEAD)).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)  # windows x heads x N x 32 each
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.unsqueeze(0))
        joined: Tensor = mixed.transpose(1, 2).flatten(2).unflatten(0, qkv.shape[:3])
        return joined

    def attend_shifted(self, qkv: Tensor, bias: Tensor) -> Tensor:
        """`attend` where cells of the last windows are hidden from those that came over from the other edge.

        The last row, the last column and the others are each done at once: a mask for every window would be larger than
        all that it is for.
        """
        window = round(qkv.shape[3] ** 0.5)
        came = torch.arange(window, device=qkv.device) >= window - self.shift
        hidden = bias.new_zeros(window, window).masked_fill(came[:, None] != came, -torch.inf)
        by_row, by_column = (
            hidden.repeat_interleave(window, 0).repeat_interleave(window, 1),
            hidden.repeat(window, window),
        )
        rows = []
        for row, mask in last_apart(qkv, 1, by_row):
            row_bias = bias + mask
            parts = [self.attend(part, row_bias + mask) for part, mask in last_apart(row, 2, by_column)]
            rows.append(torch.cat(parts, dim=2))
        return torch.cat(rows, dim=1)


def last_apart(windows: Tensor, axis: int, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
    """All windows but the last along an axis with a mask of zeros, if there are any, and the last with its mask."""
    last = windows.shape[axis] - 1
    parts = [(windows.narrow(axis, 0, last), torch.zeros_like(mask))] if last else []
    return [*parts, (windows.narrow(axis, last, 1), mask)]


def distances(window: int) -> Tensor:
    """Which row of the bias table two cells of a window share: NxN, from how many rows and columns they are apart."""
    place = torch.arange(window, device="cpu")
    apart = place[:, None] - place + window - 1
    index = apart[:, None, :, None] * (2 * window - 1) + apart[None, :, None, :]
    return index.flatten(2).flatten(0, 1)
