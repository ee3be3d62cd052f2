"""SAM 2's memory attention: a frame's features attend to what is remembered of an object (Ravi et al. 2024, §C).

Shapes: B objects, N = hxw cells of a frame, M tokens of memory of 64 channels, D = 256.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.sam2.positions import of_cells, rotate, turns

WIDTH, MEMORY, HIDDEN, LAYERS = 256, 64, 2048, 4
PLACE = 0.1  # how much of the cells' position code is added to them


class MemoryAttention(nn.Module):
    """A frame's features 1x256xhxw, or Bx256xhxw, and an object's memory -> the features in its light, Bx256xhxw.

    memory: BxMx64, maps of h·w cells one after the other and then tokens without a place, object pointers.
    places: the memory's code of place and time, 1xMx64 or BxMx64, which keys get and values do not.
    pointers: how many of the M have no place.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MemoryLayer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, features: Tensor, memory: Tensor, places: Tensor, pointers: int) -> Tensor:
        height, width = features.shape[2:]
        cells = (features + PLACE * of_cells(WIDTH, height, width, features.device)).flatten(2).transpose(1, 2)
        cells = cells.expand(len(memory), -1, -1)
        angles = turns(WIDTH, height, width, features.device)
        for layer in self.layers:
            cells = layer(cells, memory + places, memory, angles, pointers)
        changed: Tensor = self.norm(cells).transpose(1, 2).unflatten(2, (height, width))
        return changed


class MemoryLayer(nn.Module):
    """Cells attend to each other and to the memory, and pass an MLP; pre-norm. cells BxNx256, keys and values of the
    memory BxMx64 -> BxNx256."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = RotaryAttention(WIDTH)
        self.cross_attn_image = RotaryAttention(MEMORY)
        self.linear1 = nn.Linear(WIDTH, HIDDEN)
        self.linear2 = nn.Linear(HIDDEN, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.norm3 = nn.LayerNorm(WIDTH)

    def forward(
        self, cells: Tensor, keys: Tensor, values: Tensor, angles: tuple[Tensor, Tensor], pointers: int
    ) -> Tensor:
        normed = self.norm1(cells)
        cells = cells + self.self_attn(normed, normed, normed, angles, 0)
        cells = cells + self.cross_attn_image(self.norm2(cells), keys, values, angles, pointers)
        changed: Tensor = cells + self.linear2(F.relu(self.linear1(self.norm3(cells))))
        return changed


class RotaryAttention(nn.Module):
    """Attention of one head with a rotary code of place: queries BxNx256, keys and values BxMxK -> BxNx256.

    The last `pointers` keys have no place and are not turned; the others are maps of N cells.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.k_proj = nn.Linear(inputs, WIDTH)
        self.v_proj = nn.Linear(inputs, WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, angles: tuple[Tensor, Tensor], pointers: int
    ) -> Tensor:
        query, key, value = rotate(self.q_proj(queries), *angles), self.k_proj(keys), self.v_proj(values)
        placed = key.shape[1] - pointers
        maps = key[:, :placed].unflatten(1, (-1, queries.shape[1]))
        key = torch.cat([rotate(maps, *angles).flatten(1, 2), key[:, placed:]], dim=1)
        mixed = F.scaled_dot_product_attention(*(x.unsqueeze(1) for x in (query, key, value)))
        attended: Tensor = self.out_proj(mixed.squeeze(1))
        return attended
