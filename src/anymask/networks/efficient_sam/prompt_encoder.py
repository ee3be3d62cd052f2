"""EfficientSAM's prompt encoder: always six points, of which the corners of a box are two, and no mask.

Shapes: B prompts, K points a prompt, an embedding of 256 channels and `grid` x `grid` cells.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.sam.prompt_encoder import WIDTH, FourierPosition

SLOTS = 6
EMPTY = -1.0  # the label of a slot without a point, and its coordinates


class PromptEncoder(nn.Module):
    """coords BxKx2 (input pixels), labels BxK (1 foreground, 0 background, 2 and 3 the corners of a box, -1 padding)
    -> tokens Bx6x256. The input is `side` pixels wide and high.

    Points beyond the sixth are dropped. A background point is a mere position: no embedding was trained for it.
    """

    def __init__(self, side: int = 1024, grid: int = 64) -> None:
        super().__init__()
        self.side, self.grid = side, grid
        self.pe_layer = FourierPosition(WIDTH)
        self.invalid_points = nn.Embedding(1, WIDTH)
        self.point_embeddings = nn.Embedding(1, WIDTH)
        self.bbox_top_left_embeddings = nn.Embedding(1, WIDTH)
        self.bbox_bottom_right_embeddings = nn.Embedding(1, WIDTH)

    def forward(self, coords: Tensor, labels: Tensor) -> Tensor:
        labels = F.pad(labels, (0, SLOTS), value=EMPTY)[:, :SLOTS]
        coords = F.pad(coords, (0, 0, 0, SLOTS))[:, :SLOTS]
        coords = torch.where(labels.unsqueeze(-1) == EMPTY, EMPTY, coords)  # an empty slot has a place, too
        point = self.point_embeddings.weight
        corners = self.bbox_top_left_embeddings.weight, self.bbox_bottom_right_embeddings.weight
        kinds = torch.cat([self.invalid_points.weight, torch.zeros_like(point), point, *corners])
        code: Tensor = self.pe_layer(coords, self.side)
        return code + kinds[(labels + 1).long()]

    def positions(self) -> Tensor:
        """The position code of each cell's centre, 1x256xgridxgrid."""
        return self.pe_layer.cells(self.grid)
