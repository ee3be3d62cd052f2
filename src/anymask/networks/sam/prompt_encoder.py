"""SAM's prompt encoder: points and box corners become tokens, a mask becomes a map (Kirillov et al. 2023, §A).

Shapes: B prompts, K points a prompt, an embedding of 256 channels and `grid` x `grid` cells.
"""

import torch
from torch import Tensor, nn

from anymask.networks.sam.layers import LayerNorm2d

WIDTH = 256


class PromptEncoder(nn.Module):
    """coords BxKx2 (input pixels), labels BxK (1 foreground, 0 background, 2 and 3 the corners of a box, -1 padding)
    -> tokens BxKx256. The input is `side` pixels wide and high."""

    def __init__(self, side: int = 1024, grid: int = 64) -> None:
        super().__init__()
        self.side, self.grid = side, grid
        self.pe_layer = FourierPosition(WIDTH)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, WIDTH) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, WIDTH)
        self.no_mask_embed = nn.Embedding(1, WIDTH)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, 2),
            LayerNorm2d(4),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, 2),
            LayerNorm2d(16),
            nn.GELU(),
            nn.Conv2d(16, WIDTH, 1),
        )

    def forward(self, coords: Tensor, labels: Tensor) -> Tensor:
        kinds = torch.cat([embedding.weight for embedding in (self.not_a_point_embed, *self.point_embeddings)])
        placed = (labels >= 0).to(coords.dtype).unsqueeze(-1)  # padding has no place
        code: Tensor = self.pe_layer(coords, self.side)
        return code * placed + kinds[(labels + 1).long()]

    def mask(self, mask: Tensor) -> Tensor:
        """Logits Bx(4*grid)x(4*grid) -> the map that is added to the embedding, Bx256xgridxgrid."""
        encoded: Tensor = self.mask_downscaling(mask.unsqueeze(1))
        return encoded

    def no_mask(self) -> Tensor:
        """What is added to the embedding where no mask is given, 1x256x1x1."""
        weight: Tensor = self.no_mask_embed.weight
        return weight.view(1, WIDTH, 1, 1)

    def positions(self) -> Tensor:
        """The position code of each cell's centre, 1x256xgridxgrid."""
        return self.pe_layer.cells(self.grid)


class FourierPosition(nn.Module):
    """Random Fourier features (Tancik et al. 2020) of the centres of pixels ...x2, x before y, of a picture of `side` x
    `side` pixels -> ...xC."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.positional_encoding_gaussian_matrix: Tensor
        self.register_buffer("positional_encoding_gaussian_matrix", torch.zeros(2, width // 2))

    def forward(self, pixels: Tensor, side: int) -> Tensor:
        # Without a matrix product, and in one run of elementwise steps: an engine for bf16 leaves just these in float32
        # (see runtime/convert.py), or else the sines would lose their phase.
        places = pixels.unsqueeze(-1)
        x, y = (2 * ((place + 0.5) / side) - 1 for place in (places[..., 0, :], places[..., 1, :]))
        frequencies = self.positional_encoding_gaussian_matrix
        angles = 2 * torch.pi * (x * frequencies[0] + y * frequencies[1])
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def cells(self, grid: int) -> Tensor:
        """The features of the centre of each of `grid` x `grid` cells, 1xCxgridxgrid."""
        places = torch.arange(grid, device=self.positional_encoding_gaussian_matrix.device, dtype=torch.float32)
        y, x = torch.meshgrid(places, places, indexing="ij")
        code: Tensor = self(torch.stack([x, y], dim=-1), grid)
        return code.permute(2, 0, 1).unsqueeze(0)
