"""SAM 2's memory attention: a frame's features attend to what is remembered of an object (Ravi et al. 2024, §C).

Shapes: B objects, N = hxw cells of a frame, F remembered frames of 64 channels, T tokens without a place (pointers).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.sam2.positions import Turn, of_cells, rotate, turns

WIDTH, MEMORY, HIDDEN, LAYERS = 256, 64, 2048, 4
PLACE = 0.1  # how much of the cells' position code is added to them


class Memory(NamedTuple):
    """What is remembered of B objects: cells BxFxNx64 and tokens BxTx64, and their codes of place and time, FxNx64 and
    Tx64, which keys get and values do not."""

    cells: Tensor
    tokens: Tensor
    places: Tensor
    times: Tensor


class MemoryAttention(nn.Module):
    """A frame's features 1x256xhxw, or Bx256xhxw, and `Memory` -> the features in its light, Bx256xhxw."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MemoryLayer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, features: Tensor, memory: Memory) -> Tensor:
        height, width = features.shape[2:]
        cells = (features + PLACE * of_cells(WIDTH, height, width, features.device)).flatten(2).transpose(1, 2)
        cells = cells.expand(memory.cells.shape[0], -1, -1)
        turn = turns(WIDTH, height, width, features.device)
        for layer in self.layers:
            cells = layer(cells, memory, turn)
        changed: Tensor = self.norm(cells).transpose(1, 2).unflatten(2, (height, width))
        return changed


class MemoryLayer(nn.Module):
    """Cells attend to each other and to the memory, and pass an MLP; pre-norm. BxNx256 -> BxNx256."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = RotaryAttention(WIDTH)
        self.cross_attn_image = RotaryAttention(MEMORY)
        self.linear1 = nn.Linear(WIDTH, HIDDEN)
        self.linear2 = nn.Linear(HIDDEN, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.norm3 = nn.LayerNorm(WIDTH)

    def forward(self, cells: Tensor, memory: Memory, turn: Turn) -> Tensor:
        cells = cells + self.self_attn.within(self.norm1(cells), turn)
        cells = cells + self.cross_attn_image.to_memory(self.norm2(cells), memory, turn)
        changed: Tensor = cells + self.linear2(F.relu(self.linear1(self.norm3(cells))))
        return changed


class RotaryAttention(nn.Module):
    """Attention of one head whose queries and keys are turned by their place; tokens have none and are not turned.

    `inputs` is the width of keys and values before their projection.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.k_proj = nn.Linear(inputs, WIDTH)
        self.v_proj = nn.Linear(inputs, WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def within(self, cells: Tensor, turn: Turn) -> Tensor:
        """Cells BxNx256 attend to each other -> BxNx256."""
        return self._attend(rotate(self.q_proj(cells), *turn), rotate(self.k_proj(cells), *turn), self.v_proj(cells))

    def to_memory(self, cells: Tensor, memory: Memory, turn: Turn) -> Tensor:
        """Cells BxNx256 attend to the memory -> BxNx256."""
        placed = rotate(self.k_proj(memory.cells + memory.places), *turn)
        keys = torch.cat([placed.flatten(1, 2), self.k_proj(memory.tokens + memory.times)], dim=1)
        values = torch.cat([self.v_proj(memory.cells).flatten(1, 2), self.v_proj(memory.tokens)], dim=1)
        return self._attend(rotate(self.q_proj(cells), *turn), keys, values)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        mixed = F.scaled_dot_product_attention(query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1))
        attended: Tensor = self.out_proj(mixed.squeeze(1))
        return attended
