"""Training pocket: SAM's interactive recipe on whatever is at hand, within a budget of minutes."""

import copy
import json
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from anymask.errors import WeightsError
from anymask.networks.pocket import Pocket
from anymask.networks.pocket_encoder import ConvNorm
from anymask.runtime.checkpoint import read_state_dict
from anymask.training.loader import Batch, BatchLoader
from anymask.training.losses import intersection_over_union, mask_loss, subject_loss
from anymask.training.muon import optimizers
from anymask.training.prompting import Prompts, correct, first_prompts, subject_prompts
from anymask.training.scenes import SceneSource


@dataclass(frozen=True)
class Stage:
    """A stretch of the training at one input side: until this share of the time, in batches of so many pictures."""

    until: float
    side: int
    batch: int


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run apart from the data."""

    minutes: float = 100.0
    pictures: int = 0  # where not 0 the run lasts until it has seen so many, however long that takes
    stages: tuple[Stage, ...] = (Stage(0.35, 192, 32), Stage(0.65, 256, 24), Stage(0.88, 384, 12), Stage(1.0, 512, 8))
    prompts: int = 3  # masks a picture
    rounds: tuple[float, ...] = (0.5, 0.3, 0.2)  # chance of 1, 2, 3 rounds of prompting
    corrected: int = 2  # of a picture's masks that go on to the next round
    mask_alone: float = 0.15  # of the corrections that are no click, only the mask given back
    box_share: float = 0.5
    subject_weight: float = 4.0
    learning_rate: float = 8e-4
    weight_decay: float = 0.05
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 0
    checkpoint_minutes: float = 5.0
    report_seconds: float = 10.0
    set_weights: dict[str, float] = field(
        default_factory=lambda: {
            "coco": 10.0,
            "animals": 3.0,
            "pets": 1.5,
            "fashion": 1.2,
            "pantry": 1.5,
            "facade": 0.5,
            "nuclei": 0.4,
            "granular": 0.4,
        }
    )
    whole_sets: tuple[str, ...] = ("pantry",)  # see SceneSource
    composite_share: float = 0.35  # of pictures, as in SceneSource
    generated_share: float = 0.2
    close_share: float = 0.5
    muon: bool = True  # for the matrices; else AdamW for all
    held_out: tuple[str, ...] = ("000000000030", "000000000471", "000000423617")  # stems: the package's sample pictures

    def source(self, folders: Sequence[str | Path]) -> SceneSource:
        """The scenes of these folders, as the recipe mixes them. Raises FormatError when one holds no labelled
        pictures."""
        shares = {name: getattr(self, name) for name in ("composite_share", "generated_share", "close_share")}
        return SceneSource.from_folders(folders, self.set_weights, self.held_out, self.whole_sets, **shares)


@dataclass(frozen=True)
class Report:
    """Where a run stands. `metrics` are running means: loss, and IoU of box, click (best of three), corrected,
    subject."""

    step: int
    pictures: int
    minutes: float
    side: int
    learning_rate: float
    metrics: dict[str, float]


class Trainer:
    """A training run: network, its moving average (what is kept in the end), optimiser, and the time spent so far."""

    def __init__(self, recipe: Recipe, device: str = "cpu", network: Pocket | None = None) -> None:
        """`network` is trained instead of a new one."""
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.device = torch.device(device)
        self.network = (Pocket() if network is None else network).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's types
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizers = optimizers(self.network, recipe.learning_rate, recipe.weight_decay, recipe.muon)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.step = 0
        self.pictures = 0
        self.seconds = 0.0
        self._running: dict[str, float] = defaultdict(float)
        self._folded: list[ConvNorm] = []  # layers whose normalisation is still to be measured

    # -- the run ------------------------------------------------------------------------------------------------

    def run(
        self,
        source: SceneSource,
        folder: Path,
        on_report: Callable[[Report], None] = lambda report: None,
        workers: int = 2,
    ) -> Path:
        """Train until the minutes are spent or the pictures seen; checkpoints go to `folder`/last.pt, the reports to
        curve.jsonl. Returns the checkpoint's path."""
        folder.mkdir(parents=True, exist_ok=True)
        stage = self._stage()
        loader = BatchLoader(
            source, self.recipe.prompts, self.recipe.seed + self.step, stage.side, stage.batch, workers
        )
        counted = reported = saved = time.monotonic()
        for batch in loader:
            self.train_step(batch.to(self.device))
            now = time.monotonic()
            self.seconds += now - counted  # the waiting for batches included
            counted = now
            if self._stage() != stage:
                stage = self._stage()
                loader.resize(stage.side, stage.batch)
            if now - reported > self.recipe.report_seconds:
                report = self.report(batch.image.shape[-1])
                on_report(report)
                with (folder / "curve.jsonl").open("a") as curve:
                    curve.write(json.dumps(asdict(report)) + "\n")
                reported = now
            if now - saved > 60 * self.recipe.checkpoint_minutes:
                self.save(folder / "last.pt")
                saved = now
            if self.progress >= 1:
                break
        on_report(self.report(stage.side))
        return self.save(folder / "last.pt")

    @property
    def progress(self) -> float:
        """Share of the time that is spent, or of the pictures that are seen where the recipe counts these."""
        if self.recipe.pictures:
            return self.pictures / self.recipe.pictures
        return self.seconds / (60 * self.recipe.minutes)

    def _stage(self) -> Stage:
        return next((s for s in self.recipe.stages if self.progress < s.until), self.recipe.stages[-1])

    def _learning_rate(self) -> float:
        """Warm-up over 100 steps, then a cosine down to 2% over the time."""
        decay = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(self.progress, 1.0)))
        return self.recipe.learning_rate * min(1.0, (self.step + 1) / 100) * decay

    # -- one step -----------------------------------------------------------------------------------------------

    def train_step(self, batch: Batch) -> None:
        """One update of the network and of its average."""
        if self._folded:
            self._unfold(batch)
        self.network.train()
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = self._learning_rate()
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = self._loss(batch)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self._track("loss", loss)
        self.step += 1
        self.pictures += len(batch.image)
        self._update_average()

    @torch.no_grad()
    def _unfold(self, batch: Batch) -> None:
        """Give layers that were folded a normalisation again, measured on a batch, which leaves what they compute."""

        def measure(norm: nn.BatchNorm2d, output: Tensor) -> None:
            variance, mean = torch.var_mean(output.float(), dim=(0, 2, 3))
            norm.running_mean, norm.running_var = mean, variance
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.add_(mean)

        running, self._running = self._running, defaultdict(float)
        hooks = [_once(layer, measure) for layer in self._folded]
        with torch.autocast(self.device.type, torch.bfloat16):
            self.network.eval()
            self._loss(batch)
        for hook in hooks:
            hook.remove()
        self._running, self._folded = running, []
        self.average.load_state_dict(self.network.state_dict())

    def _loss(self, batch: Batch) -> Tensor:
        images, masks_each = batch.targets.shape[:2]
        grid = batch.targets.shape[-1]
        pixels = batch.image.float().contiguous(memory_format=torch.channels_last)
        features = self.network.encoder(pixels)
        owner = torch.arange(images, device=self.device).repeat_interleave(masks_each)
        target, weight = batch.targets.flatten(0, 1), batch.weight[owner]
        prompts = first_prompts(
            batch.clicks.flatten(0, 1), batch.boxes.flatten(0, 1), grid, self.recipe.box_share, self.generator
        )
        rounds = 1 + int(torch.multinomial(torch.tensor(self.recipe.rounds), 1, generator=self.generator))
        # Each picture's maps as often as it has prompts: a view, whose gradient is a sum.
        repeated = [f[:, None].expand(-1, masks_each, -1, -1, -1).flatten(0, 1) for f in features]
        logits = self.network.decoder(*repeated, prompts.coords, prompts.labels, prompts.mask, prompts.has_mask)
        loss = self._prompt_loss(logits, prompts, target, weight, "first")
        for _ in range(rounds - 1):
            chosen = torch.randperm(len(owner), generator=self.generator).to(self.device)
            chosen = chosen[: images * self.recipe.corrected]
            shown = torch.where(self._ambiguous(prompts), logits[1][:, 1:].argmax(1) + 1, 0)
            previous = logits[0][torch.arange(len(owner), device=self.device), shown]
            owner, target, weight = owner[chosen], target[chosen], weight[chosen]
            before = Prompts(
                prompts.coords[chosen], prompts.labels[chosen], prompts.mask[chosen], prompts.has_mask[chosen]
            )
            prompts = correct(before, previous[chosen], target, weight, self.generator, self.recipe.mask_alone)
            logits = self._predict(features, owner, prompts)
            loss = loss + 0.5 * self._prompt_loss(logits, prompts, target, weight, "corrected")
        if bool(batch.has_subject.any()):
            loss = loss + self._subject_loss(features, batch)
        return loss

    def _predict(self, features: Sequence[Tensor], owner: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
        chosen = [f[owner] for f in features]
        logits, scores = self.network.decoder(*chosen, prompts.coords, prompts.labels, prompts.mask, prompts.has_mask)
        return logits, scores

    @staticmethod
    def _ambiguous(prompts: Prompts) -> Tensor:
        return (prompts.labels >= 0).sum(1) == 1

    def _prompt_loss(
        self, logits: tuple[Tensor, Tensor], prompts: Prompts, target: Tensor, weight: Tensor, kind: str
    ) -> Tensor:
        """The single mask's loss and the best of three's, weighted by which of them the prompt calls for; and the
        scores'."""
        masks, scores = logits
        target, weight = target[:, None].expand_as(masks), weight[:, None].expand_as(masks)
        losses = mask_loss(masks, target, weight)  # Nx4
        ambiguous = self._ambiguous(prompts)
        single_share = torch.where(ambiguous, 0.4, 1.0)
        several_share = torch.where(ambiguous, 1.0, 0.3)
        ious = intersection_over_union(masks.detach(), target, weight)
        if kind == "first":
            self._track("box", ious[~ambiguous, 0])
            self._track("click", ious[ambiguous, 1:].amax(1))
        else:
            self._track("corrected", ious[:, 0])
        score_loss = (scores - ious).square().mean()
        return (single_share * losses[:, 0] + several_share * losses[:, 1:].amin(1)).mean() + score_loss

    def _subject_loss(self, features: Sequence[Tensor], batch: Batch) -> Tensor:
        """Ask for the subject, then once more with the answer as the mask prompt, as at inference."""
        owner = batch.has_subject.nonzero()[:, 0]
        target, weight = batch.subject[owner], batch.weight[owner]
        prompts = subject_prompts(len(owner), batch.subject.shape[-1], self.device)
        loss = torch.zeros((), device=self.device)
        for _ in range(2):
            masks, scores = self._predict(features, owner, prompts)
            iou = intersection_over_union(masks[:, 0].detach(), target, weight)
            loss = loss + (subject_loss(masks[:, 0], target, weight) + (scores[:, 0] - iou).square()).mean()
            prompts = replace(prompts, mask=masks[:, 0].detach(), has_mask=torch.ones_like(prompts.has_mask))
        self._track("subject", iou)
        return 0.5 * self.recipe.subject_weight * loss

    # -- book-keeping ------------------------------------------------------------------------------------------

    def _track(self, name: str, values: Tensor) -> None:
        if values.numel():
            value = float(values.detach().float().mean())
            self._running[name] = value if name not in self._running else 0.98 * self._running[name] + 0.02 * value

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        pairs = list(zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True))
        real = [pair for pair in pairs if pair[0].dtype.is_floating_point]
        torch._foreach_lerp_([kept for kept, _ in real], [new for _, new in real], 1 - decay)
        for kept, new in pairs:
            if not kept.dtype.is_floating_point:
                kept.copy_(new)

    def report(self, side: int) -> Report:
        """The run's state for a progress display."""
        return Report(self.step, self.pictures, self.seconds / 60, side, self._learning_rate(), dict(self._running))

    def save(self, path: Path) -> Path:
        """Write a checkpoint from which `load` goes on; atomic."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
            "step": self.step,
            "pictures": self.pictures,
            "seconds": self.seconds,
            "running": dict(self._running),
        }
        temporary = path.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, path)
        return path

    def start_from(self, weights: Path) -> None:
        """Begin with weights instead of noise: a shipped or exported weights.safetensors, or another run's checkpoint.

        Raises WeightsError when they cannot be read or are another network's.
        """
        try:
            tensors = {name: tensor.float() for name, tensor in read_state_dict(weights).items()}
            self.network.load_folded(tensors, partly=True)
        except ValueError as error:
            raise WeightsError(f"{weights} does not fit pocket: {error}.") from error
        self.average.load_state_dict(self.network.state_dict())
        self._folded = [
            layer
            for name, layer in self.network.named_modules()
            if isinstance(layer, ConvNorm) and f"{name}.0.weight" in tensors and f"{name}.1.running_var" not in tensors
        ]

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises WeightsError when it is missing or of another network."""
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(kept)
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise WeightsError(f"{path} is not a checkpoint of this training: {error}") from error
        self.generator.set_state(state["generator"].cpu())
        self.step, self.pictures, self.seconds = state["step"], state["pictures"], state["seconds"]
        self._running = defaultdict(float, state["running"])


def _once(layer: ConvNorm, measure: Callable[[nn.BatchNorm2d, Tensor], None]) -> RemovableHandle:
    """Call `measure` with the first output of a layer's convolution, before it is normalised."""

    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        handle.remove()
        measure(layer.norm, output)

    handle = layer[0].register_forward_hook(hook)
    return handle
