"""What an engine runs of memory attention: the published computation (`memory_attention.py`), arranged so that a
remembered cell costs less.

* Values go through two projections with nothing but a weighted mean between them, whose weights sum to one. So the mean
  is taken of the memories themselves, of 64 channels instead of 256, and the two projections, as one, follow it.
* Turning a projection by a cell's place is the projection times a cosine plus that of a turned weight times a sine: no
  channels are taken apart and put together again.
* What the first layer does before it meets memory depends on the frame alone: it is computed once for all objects.

Shapes: B objects, N = hxw cells of a frame, F remembered frames of 64 channels, T tokens without a place (pointers).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.sam2.memory_attention import PLACE, WIDTH, MemoryAttention, MemoryLayer, RotaryAttention
from anymask.networks.sam2.positions import of_cells, turns


class Recalled(NamedTuple):
    """Memories of B objects as keys see them, BxFxNx64 and BxTx64 with their codes of place and time added, and as
    values, cells before tokens, Bx(F·N+T)x64."""

    cells: Tensor
    tokens: Tensor
    values: Tensor


class Looked(NamedTuple):
    """A frame before it meets memory: its cells and the first layer's query, each 1xNx256, and cosine and sine of what
    each channel of a cell is turned by, also 1xNx256. These are the same for every frame, but as constants of a graph
    they would be held once for every layer that they are used in, and spread over all memories."""

    cells: Tensor
    query: Tensor
    cosine: Tensor
    sine: Tensor


def look(attention: MemoryAttention, coarse: Tensor) -> Looked:
    """A frame's features 1x256xhxw before they meet memory."""
    height, width = coarse.shape[2:]
    cells = (coarse + PLACE * of_cells(WIDTH, height, width, coarse.device)).flatten(2).transpose(1, 2)
    turn = _turn(height, width, coarse.device)
    first = _layers(attention)[0]
    cells = _among_cells(first, cells, turn)
    return Looked(cells, _query(first, cells, turn), *turn)


def light(attention: MemoryAttention, seen: Looked, memory: Recalled, height: int, width: int) -> Tensor:
    """What `look` found, in the light of memory: Bx256xhxw."""
    cells, query, *turn = seen
    for number, layer in enumerate(_layers(attention)):
        if number:
            cells = _among_cells(layer, cells, turn)
            query = _query(layer, cells, turn)
        cells = cells + _to_memory(layer.cross_attn_image, query, memory, turn)
        cells = cells + layer.linear2(F.relu(layer.linear1(layer.norm3(cells))))
    found: Tensor = attention.norm(cells).transpose(1, 2).unflatten(2, (height, width))
    return found


def _layers(attention: MemoryAttention) -> list[MemoryLayer]:
    """The layers, as ones with their type."""
    return [layer for layer in attention.layers if isinstance(layer, MemoryLayer)]


def _among_cells(layer: MemoryLayer, cells: Tensor, turn: Sequence[Tensor]) -> Tensor:
    own, normed = layer.self_attn, layer.norm1(cells)
    mixed = _mixed(_turned(own.q_proj, normed, turn), _turned(own.k_proj, normed, turn), own.v_proj(normed))
    attended: Tensor = own.out_proj(mixed)
    return cells + attended


def _query(layer: MemoryLayer, cells: Tensor, turn: Sequence[Tensor]) -> Tensor:
    return _turned(layer.cross_attn_image.q_proj, layer.norm2(cells), turn)


def _to_memory(attention: RotaryAttention, query: Tensor, memory: Recalled, turn: Sequence[Tensor]) -> Tensor:
    """Cells whose query BxNx256 or 1xNx256 is known attend to the memory -> BxNx256."""
    placed = _turned(attention.k_proj, memory.cells, turn).flatten(1, 2)
    keys = torch.cat([placed, attention.k_proj(memory.tokens)], dim=1)
    mixed = _mixed(query.expand(len(keys), -1, -1), keys, memory.values)
    last, inner = attention.out_proj, attention.v_proj
    return F.linear(mixed, last.weight @ inner.weight, last.weight @ inner.bias + last.bias)


def _mixed(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    mixed = F.scaled_dot_product_attention(query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1))
    return mixed.squeeze(1)


def _turned(projection: nn.Linear, x: Tensor, turn: Sequence[Tensor]) -> Tensor:
    """...xNxC projected, each pair of channels turned: `rotate(projection(x), *turn)`."""
    cosine, sine = turn
    across = F.linear(x, _quarter_turn(projection.weight), _quarter_turn(projection.bias))
    turned: Tensor = projection(x) * cosine + across * sine
    return turned


def _quarter_turn(weight: Tensor) -> Tensor:
    """Each pair of rows (a, b) as (-b, a)."""
    first, second = weight.unflatten(0, (-1, 2)).unbind(1)
    return torch.stack([-second, first], dim=1).flatten(0, 1)


def _turn(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """`turns`, for every channel instead of every pair."""
    cosine, sine = turns(WIDTH, height, width, device)
    return cosine.repeat_interleave(2, dim=1).unsqueeze(0), sine.repeat_interleave(2, dim=1).unsqueeze(0)
