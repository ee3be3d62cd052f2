"""A model as programs written for other packages hold one: loaded when first needed, moved by `to`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from anymask.catalog import ModelEntry, find
from anymask.compat.tensors import import_torch
from anymask.errors import ModelError
from anymask.segmenter import Segmenter

if TYPE_CHECKING:
    import torch


class LazyModel:
    """A promptable model. It is loaded when first needed, so that `to` costs nothing before.

    Args:
        name: the model's name in anymask's catalogue.
        checkpoint: the path of its weights; None for the official ones, downloaded if need be.
        precision: auto, fp32, bf16 or fp16.
    """

    def __init__(self, name: str, checkpoint: str | os.PathLike[str] | None = None, precision: str = "auto") -> None:
        self.spec: ModelEntry = find(name, "segment")
        self._checkpoint = None if checkpoint is None else os.fspath(checkpoint)
        self._precision = precision
        self._device = "cpu"
        self._segmenter: Segmenter | None = None

    @property
    def segmenter(self) -> Segmenter:
        """The model as anymask has it; the first use loads it. Raises as `Segmenter` does."""
        if self._segmenter is None:
            self._segmenter = self._load()
        return self._segmenter

    def _load(self) -> Segmenter:
        return Segmenter(self.spec.name, self._device, self._precision, self._checkpoint)

    @property
    def device(self) -> torch.device:
        """Where the tensors that it gives lie."""
        device: torch.device = import_torch().device(self._device)
        return device

    def to(self, device: str | int | torch.device) -> Self:
        """Choose the engine: `cpu` is OpenVINO's, `cuda` and `mps` are torch's. Raises ModelError for a second GPU."""
        kind, _, number = (f"cuda:{device}" if isinstance(device, int) else str(device)).partition(":")
        if number not in ("", "0"):
            raise ModelError(f"anymask runs on the first GPU, not on {device}; choose one with CUDA_VISIBLE_DEVICES.")
        if kind != self._device:
            self._device, self._segmenter = kind, None
        return self

    def cuda(self) -> Self:
        return self.to("cuda")

    def cpu(self) -> Self:
        return self.to("cpu")

    def eval(self) -> Self:
        """Nothing: it is never in training."""
        return self
