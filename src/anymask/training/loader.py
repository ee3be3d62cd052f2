"""Batches of training samples, made in worker processes while the network computes."""

import multiprocessing
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from anymask.training.augment import vary_look
from anymask.training.samples import Sample, Scene, make_sample
from anymask.training.scenes import SceneSource

WORKERS = multiprocessing.get_context("spawn")  # a forked worker waits for ever on OpenCV's threads of the parent
SEEN_AGAIN_AFTER = 24  # scenes


@dataclass
class Batch:
    """B samples stacked (see samples.Sample): image uint8 Bx3xSxS; the rest float32, coverages in 0..1."""

    image: Tensor
    targets: Tensor  # BxPxgxg
    clicks: Tensor  # BxPx2
    boxes: Tensor  # BxPx4
    weight: Tensor  # Bxgxg, 0 where the label is uncertain
    subject: Tensor  # Bxgxg
    has_subject: Tensor  # bool B

    @classmethod
    def stack(cls, samples: list[Sample]) -> "Batch":
        def scaled(arrays: list[np.ndarray]) -> Tensor:
            return torch.from_numpy(np.stack(arrays)).float() / 255

        return cls(
            torch.from_numpy(np.stack([s.image for s in samples])).permute(0, 3, 1, 2),
            scaled([s.targets for s in samples]),
            torch.from_numpy(np.stack([s.clicks for s in samples])),
            torch.from_numpy(np.stack([s.boxes for s in samples])),
            1 - scaled([s.ignore for s in samples]),
            scaled([s.subject for s in samples]),
            torch.tensor([s.has_subject for s in samples]),
        )

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__dataclass_fields__))


class _Stream(IterableDataset[Batch]):
    def __init__(self, source: SceneSource, prompts: int, seed: int, side: int, batch: int) -> None:
        self.source, self.prompts, self.seed = source, prompts, seed
        self.side = WORKERS.Value("i", side)
        self.batch = WORKERS.Value("i", batch)

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, 0 if worker is None else worker.id])
        scenes = self._scenes(rng)
        while True:
            side, count = self.side.value, self.batch.value
            samples: list[Sample] = []
            while len(samples) < count:
                sample = make_sample(next(scenes), side, self.prompts, rng, vary_look, self.source.close_share)
                if sample is not None:
                    samples.append(sample)
            yield Batch.stack(samples)

    def _scenes(self, rng: np.random.Generator) -> Iterator[Scene]:
        """Scenes, each of them twice: drawing one costs several times what making a sample of it does."""
        waiting: deque[Scene] = deque()
        while True:
            waiting.append(self.source.draw(rng))
            yield waiting[-1]
            if len(waiting) > SEEN_AGAIN_AFTER:
                yield waiting.popleft()


class BatchLoader:
    """An endless stream of batches whose side and size may change on the way (a few batches later)."""

    def __init__(self, source: SceneSource, prompts: int, seed: int, side: int, batch: int, workers: int = 1) -> None:
        self._stream = _Stream(source, prompts, seed, side, batch)
        self._loader = DataLoader(
            self._stream,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=3 if workers else None,
            multiprocessing_context=WORKERS if workers else None,
        )

    def resize(self, side: int, batch: int) -> None:
        """Make batches of another side from now on."""
        self._stream.side.value, self._stream.batch.value = side, batch

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._loader)
