"""SAM 2's trunk: Hiera (Ryali et al. 2023), a transformer in four stages that halve the map and double the width.

With the windowed position embedding of Bolya et al. 2023 and a few blocks that attend to the whole map (Ravi et al.
2024, §C). Shapes: B pictures, S input side, C channels; stage s = 0..3 has (S/4/2^s)² cells of 2^s · C channels.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.sam.image_encoder import join_windows, split_windows

PATCH, STRIDE = 7, 4


class Size(NamedTuple):
    """A trunk's measures: width and heads of the first stage (both double from stage to stage), blocks of each stage,
    indices of the blocks that attend to the whole map, side of each stage's windows, side of the position embedding."""

    width: int
    heads: int
    depths: tuple[int, int, int, int]
    global_blocks: tuple[int, ...]
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)
    positions: int = 7


SIZES = {
    "tiny": Size(96, 1, (1, 2, 7, 2), (5, 7, 9)),
    "small": Size(96, 1, (1, 2, 11, 2), (7, 10, 13)),
    "base_plus": Size(112, 2, (2, 3, 16, 3), (12, 16, 20), positions=14),
    "large": Size(144, 2, (2, 6, 36, 4), (23, 33, 43), windows=(8, 4, 16, 8)),
}


class Hiera(nn.Module):
    """Normalised picture Bx3xSxS -> the map after each stage, Bx(2^s C)x(S/4/2^s)x(S/4/2^s), finest first."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.widths = [size.width * 2**stage for stage in range(4)]
        self.pos_embed = nn.Parameter(torch.zeros(1, size.width, size.positions, size.positions))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, size.width, size.windows[0], size.windows[0]))
        self.patch_embed = PatchEmbed(size.width)
        blocks: list[Block] = []
        self.last: list[int] = []  # the index of each stage's last block
        for stage, depth in enumerate(size.depths):
            for number in range(depth):
                begins = number == 0 and stage > 0  # it halves the map, within the windows of the stage before
                window = 0 if len(blocks) in size.global_blocks else size.windows[stage - begins]
                heads = size.heads * 2**stage
                blocks.append(Block(self.widths[stage - begins], self.widths[stage], heads, window))
            self.last.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, image: Tensor) -> list[Tensor]:
        tokens = self.patch_embed(image)
        tokens = tokens + self.positions(*tokens.shape[1:3])
        maps = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in self.last:
                maps.append(tokens.permute(0, 3, 1, 2))
        return maps

    def positions(self, height: int, width: int) -> Tensor:
        """What is added to the patches, 1xheightxwidthxC: a coarse code of the place in the picture, stretched, and a
        fine one of the place in its window, repeated. Height and width are multiples of the window's side."""
        side = self.pos_embed_window.shape[-1]
        coarse = F.interpolate(self.pos_embed, size=(height, width), mode="bicubic", align_corners=False)
        return (coarse + self.pos_embed_window.tile(1, 1, height // side, width // side)).permute(0, 2, 3, 1)


class PatchEmbed(nn.Module):
    """Overlapping patches of 7 x 7 pixels, one for every 4 x 4: Bx3xSxS -> Bx(S/4)x(S/4)xC."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, STRIDE, PATCH // 2)

    def forward(self, image: Tensor) -> Tensor:
        tokens: Tensor = self.proj(image).permute(0, 2, 3, 1)
        return tokens


class Block(nn.Module):
    """A pre-norm transformer block, BxHxWxC -> BxHxWxC, or Bx(H/2)x(W/2)xD where it begins a stage of width D > C.

    `window` is the side of the windows of its input, 0 for the whole map. Where the map is no multiple of it, zeros
    fill up the last windows and take part in the attention, as they did in training.
    """

    def __init__(self, inputs: int, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.window, self.halves = window, inputs != width
        self.norm1 = nn.LayerNorm(inputs, eps=1e-6)
        self.attn = Attention(inputs, width, heads, self.halves)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width)
        if self.halves:
            self.proj = nn.Linear(inputs, width)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        if self.halves:
            tokens = halve(self.proj(normed))
        height, width = tokens.shape[1:3]
        if self.window:
            attended = join_windows(self.attn(split_windows(normed, self.window)), height, width)
        else:
            attended = self.attn(normed)
        tokens = tokens + attended
        changed: Tensor = tokens + self.mlp(self.norm2(tokens))
        return changed


class Attention(nn.Module):
    """Multi-head self-attention within maps BxHxWxC -> BxHxWxD, or, with `halves`, Bx(H/2)x(W/2)xD: then the queries
    are pooled."""

    def __init__(self, inputs: int, width: int, heads: int, halves: bool) -> None:
        super().__init__()
        self.heads, self.halves = heads, halves
        self.qkv = nn.Linear(inputs, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = self.qkv(tokens).chunk(3, dim=-1)
        if self.halves:
            query = halve(query)
        mixed = F.scaled_dot_product_attention(self._split(query), self._split(key), self._split(value))
        mixed = mixed.squeeze(1).unflatten(0, (-1, self.heads))
        attended: Tensor = self.proj(mixed.transpose(1, 2).reshape(query.shape))
        return attended

    def _split(self, x: Tensor) -> Tensor:
        """BxHxWxD -> (B·heads)x1xHWx(D/heads).

        With heads on an axis of their own, OpenVINO in bf16 gives wrong sums for four heads and four queries.
        """
        heads: Tensor = x.flatten(1, 2).unflatten(-1, (self.heads, -1))
        return heads.transpose(1, 2).flatten(0, 1).unsqueeze(1)


class Mlp(nn.Module):
    """Two linear layers with a GELU between. ...xC -> ...xC."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, 4 * width), nn.Linear(4 * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.layers
        changed: Tensor = second(F.gelu(first(x)))
        return changed


def halve(x: Tensor) -> Tensor:
    """The largest of every 2 x 2 cells: BxHxWxC -> Bx(H/2)x(W/2)xC, H and W even.

    Pair by pair, which OpenVINO does many times faster than a reduction over two axes.
    """
    rows = x.unflatten(1, (-1, 2))
    columns = torch.maximum(rows[:, :, 0], rows[:, :, 1]).unflatten(2, (-1, 2))
    return torch.maximum(columns[:, :, :, 0], columns[:, :, :, 1])
