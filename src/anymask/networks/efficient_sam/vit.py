"""EfficientSAM's image encoder: a plain vision transformer (Dosovitskiy et al. 2021), every attention global.

Shapes: B pictures, S input side, N = (S/16)**2 cells, C channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.mlp import Mlp
from anymask.networks.sam.image_encoder import PatchEmbed
from anymask.networks.sam.layers import LayerNorm2d

PRETRAINED_CELLS = 14  # along a side of the pictures that the positions were learned on


class Attention(nn.Module):
    """Multi-head self-attention. BxNxC -> BxNxC."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        attended: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return attended


class Block(nn.Module):
    """Pre-norm transformer block. BxNxC -> BxNxC."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = Attention(channels, heads)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = Mlp(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        changed: Tensor = x + self.mlp(self.norm2(x))
        return changed


class PlainVit(nn.Module):
    """Normalised picture Bx3xSxS -> (embedding Bx256x(S/16)x(S/16),)."""

    def __init__(self, channels: int, heads: int, depth: int = 12, outputs: int = 256) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + PRETRAINED_CELLS**2, channels))
        self.patch_embed = PatchEmbed(channels)
        self.blocks = nn.Sequential(*[Block(channels, heads) for _ in range(depth)])
        self.neck = nn.Sequential(
            nn.Conv2d(channels, outputs, 1, bias=False),
            LayerNorm2d(outputs),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            LayerNorm2d(outputs),
        )

    def forward(self, image: Tensor) -> tuple[Tensor]:
        patches = self.patch_embed(image)
        grid = patches.shape[1:3]
        tokens = self.blocks((patches + self._positions(*grid)).flatten(1, 2))
        return (self.neck(tokens.transpose(1, 2).unflatten(2, grid)),)

    def _positions(self, rows: int, columns: int) -> Tensor:
        """The learned positions without the class token's, stretched to a map 1x`rows`x`columns`xC."""
        grid = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (PRETRAINED_CELLS, PRETRAINED_CELLS))
        stretched = F.interpolate(grid, size=(rows, columns), mode="bicubic", align_corners=False)
        return stretched.permute(0, 2, 3, 1)
