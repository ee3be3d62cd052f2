"""The engine for CUDA and MPS, and for comparing: the same networks run by PyTorch."""

from pathlib import Path

import numpy as np

from anymask.catalog import ModelEntry
from anymask.errors import MissingExtraError
from anymask.runtime.engine import Embedding, Features, padded_picture, prompt_points

try:
    import torch

    from anymask.runtime.parts import load_parts
except ImportError as error:  # pragma: no cover - the base install has no torch
    raise MissingExtraError(
        'Running a model through PyTorch needs the torch extra: pip install "anymask[torch]".'
    ) from error

from anymask.networks.parts import Parts

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def is_available(device: str) -> bool:
    """Whether PyTorch sees a device of this kind (cuda, mps, cpu)."""
    if device == "mps":
        return torch.backends.mps.is_available()
    return device == "cpu" or torch.cuda.is_available()


class TorchSegmentEngine:
    """A promptable network as two PyTorch modules (see `runtime.engine.SegmentEngine`)."""

    def __init__(self, spec: ModelEntry, weights: Path, device: str, precision: str) -> None:
        self.spec = spec
        self._device = torch.device(device)
        self._dtype = DTYPES[precision]
        parts = load_parts(spec, weights)
        modules = [part and part.to(self._device) for part in parts]
        self._parts = Parts._make(modules)

    def _run(self, module: torch.nn.Module, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        tensors = [torch.from_numpy(np.ascontiguousarray(array)).to(self._device) for array in inputs]
        mixed = self._dtype is not torch.float32
        with torch.inference_mode(), torch.autocast(self._device.type, self._dtype, enabled=mixed):
            outputs = module(*tensors)
        return tuple(output.float().cpu().numpy() for output in outputs)

    def encode(self, rgb: np.ndarray) -> Features:
        return self._run(self._parts.encoder, padded_picture(self.spec, rgb))

    def prepare(self, features: Features) -> Embedding:
        return features if self._parts.prepare is None else self._run(self._parts.prepare, *features)

    def decode(
        self, embedding: Embedding, coords: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        points = prompt_points(self.spec, coords, labels)
        if mask is None or self._parts.masked is None:
            logits, scores = self._run(self._parts.decoder, *embedding, *points)
        else:
            logits, scores = self._run(self._parts.masked, *embedding, *points, mask.astype(np.float32))
        return logits, scores
