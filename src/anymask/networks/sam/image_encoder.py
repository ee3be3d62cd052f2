"""SAM's image encoder: a plain vision transformer with windowed attention and a few global blocks.

Kirillov et al. 2023, after Li et al. 2022 (ViTDet): absolute positions, decomposed relative positions in every
attention, windows of 14 x 14, and a convolutional neck down to 256 channels.
Shapes: B pictures, a token for each 16 x 16 pixels, C the width, attention heads of dimension d.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.sam.layers import MLP, LayerNorm2d

PATCH = 16
WINDOW = 14
HEADS, QUERIES = 2, 512  # that attend at a time on a CPU

# By variant: width, depth, heads, global blocks.
SIZES = {
    "vit_b": (768, 12, 12, (2, 5, 8, 11)),
    "vit_l": (1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": (1280, 32, 16, (7, 15, 23, 31)),
}


class ImageEncoder(nn.Module):
    """Normalised picture Bx3xSxS -> embedding Bx256x(S/16)x(S/16), and Bx(S/16)x(S/16)xC, the tokens after the first
    global block, which SAM-HQ reads.

    `side` is S; `global_blocks` are the indices of the blocks that attend to the whole picture instead of a window.
    """

    def __init__(
        self, width: int, depth: int, heads: int, global_blocks: tuple[int, ...], side: int = 1024, outputs: int = 256
    ) -> None:
        super().__init__()
        grid = side // PATCH
        self.first_global = global_blocks[0]
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, width))
        self.patch_embed = PatchEmbed(width)
        self.blocks = nn.ModuleList(
            Block(width, heads, grid, window=0 if index in global_blocks else WINDOW) for index in range(depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(width, outputs, 1, bias=False),
            LayerNorm2d(outputs),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            LayerNorm2d(outputs),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.patch_embed(image) + self.pos_embed
        early = tokens
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index == self.first_global:
                early = tokens
        return self.neck(tokens.permute(0, 3, 1, 2)), early


class PatchEmbed(nn.Module):
    """One token for each patch: Bx3xSxS -> Bx(S/16)x(S/16)xC."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, image: Tensor) -> Tensor:
        tokens: Tensor = self.proj(image).permute(0, 2, 3, 1)
        return tokens


class Block(nn.Module):
    """A pre-norm transformer block on a map of tokens, BxHxWxC -> BxHxWxC. `window` 0 means the whole map."""

    def __init__(self, width: int, heads: int, grid: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, window or grid)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLP(width, 4 * width, nn.GELU())

    def forward(self, tokens: Tensor) -> Tensor:
        height, width = tokens.shape[1:3]
        normed = self.norm1(tokens)
        if self.window:
            attended = join_windows(self.attn(split_windows(normed, self.window)), height, width)
        else:
            attended = self.attn(normed)
        tokens = tokens + attended
        changed: Tensor = tokens + self.mlp(self.norm2(tokens))
        return changed


class Attention(nn.Module):
    """Self-attention within square maps of `side` x `side` tokens, BxHxWxC -> BxHxWxC.

    The relative position of a query and a key adds q · rel_pos_h[row difference] + q · rel_pos_w[column difference] to
    their score.
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, width // heads))

    def forward(self, tokens: Tensor) -> Tensor:
        batch, side, _, width = tokens.shape
        qkv = self.qkv(tokens).reshape(batch, side * side, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # BxheadsxNxd each
        grid = query.unflatten(2, (side, side))
        rows = by_position(grid, self.rel_pos_h)
        columns = by_position(grid.transpose(2, 3), self.rel_pos_w).transpose(2, 3)
        mixed = attend(query, key, value, rows.flatten(2, 3), columns.flatten(2, 3))
        result: Tensor = self.proj(mixed.transpose(1, 2).reshape(tokens.shape))
        return result


def by_position(queries: Tensor, table: Tensor) -> Tensor:
    """What each query scores by its position along the third axis with every position there: BxheadsxSxSxd ->
    BxheadsxSxSxS.

    One product for each position of the queries. Broadcast over pictures and heads it would be simpler to write, and be
    exported with a copy of the table for every one of them.
    """
    batch, heads, side = queries.shape[:3]
    together = queries.permute(2, 0, 1, 3, 4).flatten(1, 3)
    scores = torch.bmm(together, relative(table, side).transpose(1, 2))
    result: Tensor = scores.unflatten(1, (batch, heads, side)).permute(1, 2, 0, 3, 4)
    return result


def relative(table: Tensor, side: int) -> Tensor:
    """A row of the table (2*side-1)xd for each pair of a query's and a key's coordinate: side x side x d."""
    place = torch.arange(side, device=table.device)
    return table[place[:, None] - place + side - 1]


def attend(query: Tensor, key: Tensor, value: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Attention where a key in row i and column j scores rows[..., i] + columns[..., j] more.

    query, key, value: BxheadsxNxd with N = side²; rows, columns: BxheadsxNxside, of each query. -> BxheadsxNxd.
    """
    wide = query.shape[2] > QUERIES
    inputs = query * query.shape[-1] ** -0.5, key, value, rows, columns
    return attend_in_pieces(*inputs) if wide and query.device.type == "cpu" else attend_lengthened(*inputs)


def attend_lengthened(query: Tensor, key: Tensor, value: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """`attend`, for a query that is scaled already, by one fused kernel.

    The positions enter the dot product itself: the query is lengthened by its two rows of scores, the key by one-hot
    codes of its row and its column. So no NxN bias is ever made.
    """
    side = rows.shape[-1]
    spare = -(query.shape[-1] + 2 * side) % 8 if query.is_cuda else 0  # its fused kernels take only multiples of 8
    codes = torch.eye(side, dtype=key.dtype, device=key.device)
    place = F.pad(torch.cat([codes.repeat_interleave(side, dim=0), codes.repeat(side, 1)], dim=1), (0, spare))
    long_query = torch.cat([query, rows, F.pad(columns, (0, spare))], dim=-1)
    long_key = torch.cat([key, place.expand(*key.shape[:2], -1, -1)], dim=-1)
    return F.scaled_dot_product_attention(long_query, long_key, value, scale=1.0)


def attend_in_pieces(query: Tensor, key: Tensor, value: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The same for many tokens on a CPU, step by step for a few heads and queries, whose scores stay in its cache.

    OpenVINO takes half the time of the fused kernel for it, which has three times as long a dot product to do.
    """
    heads = []
    for q_all, k, v, r_all, c_all in zip(
        *(x.split(HEADS, dim=1) for x in (query, key, value, rows, columns)), strict=True
    ):
        pieces = []
        for q, r, c in zip(*(x.split(QUERIES, dim=2) for x in (q_all, r_all, c_all)), strict=True):
            scores = (q @ k.transpose(2, 3)).unflatten(3, (r.shape[3], c.shape[3]))
            pieces.append((scores + r.unsqueeze(4) + c.unsqueeze(3)).flatten(3).softmax(dim=3) @ v)
        heads.append(torch.cat(pieces, dim=2))
    return torch.cat(heads, dim=1)


def split_windows(tokens: Tensor, window: int) -> Tensor:
    """BxHxWxC -> (B*windows) x window x window x C, zeros filling up the last row and column of windows."""
    batch, height, width, channels = tokens.shape
    down, across = -(-height // window), -(-width // window)
    tokens = F.pad(tokens, (0, 0, 0, across * window - width, 0, down * window - height))
    tokens = tokens.reshape(batch, down, window, across, window, channels).transpose(2, 3)
    return tokens.reshape(batch * down * across, window, window, channels)


def join_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `split_windows`, without the filling."""
    window, channels = windows.shape[1], windows.shape[3]
    down, across = -(-height // window), -(-width // window)
    tokens = windows.reshape(-1, down, across, window, window, channels).transpose(2, 3)
    return tokens.reshape(-1, down * window, across * window, channels)[:, :height, :width]
