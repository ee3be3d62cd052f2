"""torch for those calls that take or give tensors; nothing else in this room needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from anymask.errors import MissingExtraError

if TYPE_CHECKING:
    import torch


def import_torch() -> Any:
    """The module. Raises MissingExtraError where it is not installed."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(
            'This call takes or gives tensors and needs the torch extra: pip install "anymask[torch]".'
        ) from error
    return torch


def to_tensor(array: np.ndarray, device: Any) -> torch.Tensor:
    """An array as a tensor on a device."""
    tensor: torch.Tensor = import_torch().from_numpy(array).to(device)
    return tensor


def to_array(tensor: torch.Tensor | np.ndarray | None) -> np.ndarray | None:
    """A tensor's values as float32 in main memory; an array stays one, None stays None."""
    if tensor is None:
        return None
    return np.asarray(tensor if isinstance(tensor, np.ndarray) else tensor.detach().float().cpu(), np.float32)
