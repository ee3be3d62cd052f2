"""The engine for CUDA and MPS, and for comparing: the same networks run by PyTorch."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from anymask.catalog import ModelEntry
from anymask.errors import MissingExtraError
from anymask.runtime.engine import (
    Answered,
    Embedding,
    Features,
    adopted,
    bounded,
    padded_picture,
    prompt_points,
    recalled,
    to_bfloat16,
    video_points,
)

try:
    import torch

    from anymask.runtime.parts import load_instances, load_matte, load_parts, load_video_parts
except ImportError as error:  # pragma: no cover - the base install has no torch
    raise MissingExtraError(
        'Running a model through PyTorch needs the torch extra: pip install "anymask[torch]".'
    ) from error

from anymask.networks.parts import Parts, VideoParts

PROMPTS = 64  # decoded at a time, so that thousands need no more memory
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def is_available(device: str) -> bool:
    """Whether PyTorch sees a device of this kind (cuda, mps, cpu)."""
    if device == "mps":
        return torch.backends.mps.is_available()
    return device == "cpu" or torch.cuda.is_available()


class TorchSegmentEngine:
    """A promptable network as PyTorch modules (see `runtime.engine.SegmentEngine`).

    Features are arrays, so that they can be kept; the embedding stays on the device. Not measured on a GPU yet.
    """

    def __init__(
        self, spec: ModelEntry, weights: Path, device: str, precision: str, parts: Parts | None = None
    ) -> None:
        """`parts`: what `weights` holds, where they have been loaded already."""
        self.spec = spec
        self._device = torch.device(device)
        self._dtype = DTYPES[precision]
        parts = load_parts(spec, weights) if parts is None else parts
        self._parts = Parts._make(part and part.to(self._device) for part in parts)

    def encode(self, rgb: np.ndarray) -> Features:
        (picture,) = self._on_device([padded_picture(self.spec, rgb)])
        return tuple(output.float().cpu().numpy() for output in self._run(self._parts.encoder, picture))

    def prepare(self, features: Features) -> Embedding:
        tensors = self._on_device(features)
        return tensors if self._parts.prepare is None else self._run(self._parts.prepare, *tensors)

    def decode(
        self, embedding: Embedding, coords: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        prompts = list(prompt_points(self.spec, coords, labels))
        decoder = self._parts.decoder
        if mask is not None:
            assert self._parts.masked is not None, "prompts are checked against the catalogue"
            decoder = self._parts.masked
            prompts.append(mask.astype(np.float32))
        pieces = zip(*(tensor.split(PROMPTS) for tensor in self._on_device(prompts)), strict=True)
        answers = zip(*(self._run(decoder, *embedding, *piece) for piece in pieces), strict=True)
        logits, scores = (torch.cat(kind).float().cpu().numpy() for kind in answers)
        return logits, scores

    def _on_device(self, arrays: Iterable[np.ndarray]) -> tuple[torch.Tensor, ...]:
        # Those that cannot be written to, such as a row for all objects, are copied: torch warns of sharing them.
        own = (np.require(array, requirements=("C", "W")) for array in arrays)
        return tuple(torch.from_numpy(array).to(self._device) for array in own)

    def _run(self, module: torch.nn.Module, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mixed = self._dtype is not torch.float32
        with torch.inference_mode(), torch.autocast(self._device.type, self._dtype, enabled=mixed):
            outputs: tuple[torch.Tensor, ...] = module(*inputs)
        return outputs


class TorchVideoEngine(TorchSegmentEngine):
    """The same of a network with a memory (see `runtime.engine.VideoEngine`). Not measured on a GPU yet."""

    def __init__(self, spec: ModelEntry, weights: Path, device: str, precision: str) -> None:
        parts, video = load_video_parts(spec, weights)
        super().__init__(spec, weights, device, precision, parts)
        self._video = VideoParts._make(part.to(self._device) for part in video)

    def alone(self, features: Features) -> Features:
        return (*self._arrays(self._video.alone, features[0]), *features[1:])

    def condition(
        self, features: Features, rows: np.ndarray, times: np.ndarray, maps: np.ndarray, pointers: np.ndarray
    ) -> Features:
        found = self._run(self._video.look, *self._on_device(features[:1]))
        remembered = self._on_device([*recalled(rows, times, len(maps)), maps, pointers])
        (lit,) = self._run(self._video.condition, *found, *remembered)
        return (lit.float().cpu().numpy(), *features[1:])

    def answer(
        self, lit: Features, coords: np.ndarray, labels: np.ndarray, earlier: np.ndarray | None = None
    ) -> Answered:
        coarse, *finer = lit
        given = [*finer, coarse, *video_points(coords, labels)]
        module = self._video.answer
        if earlier is not None:
            module, given = self._video.corrected, [*given, bounded(earlier)]
        logits, scores, pointers, presence = self._arrays(module, *given)
        return Answered(logits, scores, pointers, presence[:, 0])

    def adopt(self, features: Features, masks: np.ndarray) -> Answered:
        return adopted(*self._arrays(self._video.adopt, *features, masks.astype(np.float32)))

    def remember(self, features: Features, logits: np.ndarray, presence: np.ndarray, prompted: bool) -> np.ndarray:
        hard = np.full((len(logits), 1), prompted, np.float32)
        (maps,) = self._arrays(self._video.remember, features[0], logits, presence[:, None], hard)
        return to_bfloat16(maps)

    def _arrays(self, module: torch.nn.Module, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(output.float().cpu().numpy() for output in self._run(module, *self._on_device(inputs)))


class TorchMatteNetwork:
    """A network that finds the subject as a PyTorch module: a normalised picture float32 [1, 3, H, W] to its answer.
    Not measured on a GPU yet."""

    size = None

    def __init__(self, spec: ModelEntry, checkpoint: Path, device: str, precision: str) -> None:
        self._device, self._dtype = torch.device(device), DTYPES[precision]
        self._module = load_matte(spec, checkpoint).to(self._device)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        mixed = self._dtype is not torch.float32
        with torch.inference_mode(), torch.autocast(self._device.type, self._dtype, enabled=mixed):
            answer: np.ndarray = self._module(torch.from_numpy(image).to(self._device)).float().cpu().numpy()
        return answer


class TorchInstanceNetwork:
    """A network that finds instances as a PyTorch module (see `runtime/instances.py`). Not measured on a GPU yet."""

    def __init__(self, spec: ModelEntry, checkpoint: Path, device: str, precision: str) -> None:
        self._device, self._dtype = torch.device(device), DTYPES[precision]
        self._module = load_instances(spec, checkpoint).to(self._device)

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
        mixed = self._dtype is not torch.float32
        with torch.inference_mode(), torch.autocast(self._device.type, self._dtype, enabled=mixed):
            outputs = self._module(torch.from_numpy(image).to(self._device))
        return tuple(output.float().cpu().numpy() for output in outputs)
