"""The codes of place and time that SAM 2 computes instead of storing."""

import torch
from torch import Tensor

BASE = 10000.0

Turn = tuple[Tensor, Tensor]
"""Cosine and sine of the angles that `rotate` turns by."""


def of_cells(channels: int, height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Sine code of each cell's row, then of its column (Carion et al. 2020): 1xchannelsxheightxwidth.

    Coordinates run from 1/N to 1 of a turn; sines and cosines alternate.
    """
    half = channels // 2
    power = torch.arange(half, device=device).div(2, rounding_mode="floor") * 2 / half

    def along(length: int) -> Tensor:
        place = torch.arange(1, length + 1, dtype=torch.float32, device=device) / (length + 1e-6) * 2 * torch.pi
        angles = place.unsqueeze(1) / BASE**power
        return torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=2).flatten(1)

    rows, columns = along(height), along(width)
    code = torch.cat([rows.unsqueeze(1).expand(-1, width, -1), columns.expand(height, -1, -1)], dim=2)
    return code.permute(2, 0, 1).unsqueeze(0)


def of_times(times: Tensor, channels: int) -> Tensor:
    """Sine code of times N, as shares of the longest: Nxchannels, all the sines before all the cosines."""
    half = channels // 2
    power = torch.arange(half, device=times.device).div(2, rounding_mode="floor") * 2 / half
    angles = times.unsqueeze(1) / BASE**power
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def turns(channels: int, height: int, width: int, device: torch.device | None = None) -> Turn:
    """Cosine and sine, each (height·width)x(channels/2), by which `rotate` turns each pair of channels: the first half
    of the pairs by the cell's column, the second by its row (axial rotary code, Heo et al. 2024)."""
    frequency = BASE ** -(torch.arange(0, channels, 4, device=device) / channels)
    cell = torch.arange(height * width, device=device)
    column, row = (cell % width).float(), cell.div(width, rounding_mode="floor").float()
    angles = torch.cat([column.unsqueeze(1) * frequency, row.unsqueeze(1) * frequency], dim=1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Each pair of neighbouring channels of ...xNxC turned by an angle of its own, whose cosine and sine Nx(C/2) are
    given."""
    first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([first * cosine - second * sine, first * sine + second * cosine], dim=-1).flatten(-2)
