"""Other encoders for pocket at the time of the one on board, and pre-training without labels: from chance, over as many
pictures.

    python benchmarks/encoders.py                                  # each encoder's milliseconds
    python benchmarks/encoders.py --data ../shared/data/train      # and what it learns

Encoders are timed in the engine that runs them (OpenVINO, bf16 where the processor has it), by turns; what they compute
then is noise, which costs as much. The runs are those of benchmarks/ablation.py, from chance and longer, with its
held-out pictures and its measure. Pre-training is masked autoencoding (He et al. 2022) for a network of convolutions:
squares of 32 pixels are painted over with the mean colour, and 1x1 convolutions on the three maps say what was there,
each square's colours normalised; it sees as many pictures again, more than the others. Prints a row as soon as it is
known.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ablation
import numpy as np
import openvino as ov
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.pocket import Pocket, ServedEncoder
from anymask.networks.pocket_encoder import ConvNorm, PocketEncoder, ResidualBlock, TransformerBlock
from anymask.runtime.openvino import has_native_bf16
from anymask.training.loader import BatchLoader
from anymask.training.muon import optimizers
from anymask.training.pocket import Recipe, Stage, Trainer

SIDE, BATCH = 128, 48
HIDDEN, SQUARE = 0.6, 32  # share of the squares that are painted over, their side in pixels


class DepthwiseBlock(nn.Module):
    """A 7x7 depthwise convolution and two 1x1 ones around an identity (ConvNeXt, Liu et al. 2022). BxCxHxW -> same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.position = nn.Conv2d(channels, channels, 7, padding=3, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.widen = nn.Conv2d(channels, 4 * channels, 1)
        self.narrow = ConvNorm(4 * channels, channels, kernel=1, act=False)
        nn.init.zeros_(self.narrow.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.narrow(F.relu(self.widen(self.norm(self.position(x)))))
        return result


def convolutions_only() -> PocketEncoder:
    """Residual blocks in the transformer's place."""
    encoder = PocketEncoder()
    encoder.stage32 = nn.Sequential(encoder.stage32[0], *[ResidualBlock(320) for _ in range(2)])
    return encoder


def attention_at_16() -> PocketEncoder:
    """Transformer blocks at stride 16, too, for some of the residual ones there."""
    encoder = PocketEncoder()
    encoder.stage16 = nn.Sequential(
        encoder.stage16[0], *[ResidualBlock(192) for _ in range(2)], TransformerBlock(192, 6)
    )
    return encoder


def depthwise() -> PocketEncoder:
    """Depthwise blocks for the residual ones at strides 8 and 16."""
    encoder = PocketEncoder()
    encoder.stage8 = nn.Sequential(encoder.stage8[0], *[DepthwiseBlock(96) for _ in range(3)])
    encoder.stage16 = nn.Sequential(encoder.stage16[0], *[DepthwiseBlock(192) for _ in range(9)])
    return encoder


ENCODERS: dict[str, Callable[[], PocketEncoder]] = {
    "on board": PocketEncoder,
    "wider at fine strides, shallower": lambda: PocketEncoder((64, 112, 192, 320), (1, 2, 4, 3)),
    "narrower at fine strides, deeper": lambda: PocketEncoder((40, 80, 192, 320), (2, 3, 5, 3)),
    "convolutions only": convolutions_only,
    "attention at stride 16": attention_at_16,
    "depthwise": depthwise,
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, help="a folder in the SA-1B layout; without it only times are measured")
    options.add_argument("--pictures", type=int, default=24000, help="of each run")
    options.add_argument("--only", nargs="*", default=[*ENCODERS, "pre-trained"], choices=[*ENCODERS, "pre-trained"])
    options.add_argument("--rounds", type=int, default=30)
    asked = options.parse_args()
    chosen = {name: make for name, make in ENCODERS.items() if name in asked.only}
    print("| encoder | ms | parameters, million |\n|---|---:|---:|")
    for name, milliseconds in by_turns(chosen, asked.rounds).items():
        parameters = sum(tensor.numel() for tensor in chosen[name]().parameters())
        print(f"| {name} | {milliseconds:.1f} | {parameters / 1e6:.1f} |", flush=True)
    if asked.data is None:
        return
    with tempfile.TemporaryDirectory() as name:
        held_out = ablation.hold_out(asked.data, Path(name) / "held out")
        ablation.SIDE = SIDE
        batches = {look: ablation.draw(Path(name) / "held out", share, 8) for look, share in ablation.CLOSE.items()}
        print("\n| run | " + " | ".join(ablation.KINDS) + " |\n|---|" + "---:|" * len(ablation.KINDS), flush=True)
        recipe = Recipe(pictures=asked.pictures, stages=(Stage(1.0, SIDE, BATCH),), checkpoint_minutes=1e9)
        recipe = replace(recipe, held_out=(*recipe.held_out, *held_out))
        for run in asked.only:
            torch.manual_seed(recipe.seed)
            network = Pocket()
            if run in ENCODERS:
                network.encoder = ENCODERS[run]()
            else:
                pretrain(network.encoder, recipe, asked.data)
            trainer = Trainer(recipe, network=network)
            trainer.run(recipe.source([asked.data]), Path(name) / run)
            ablation.show(run, trainer.average, batches)


def by_turns(encoders: dict[str, Callable[[], PocketEncoder]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each over a picture of the engine's size, asked one after the other."""
    picture = np.random.default_rng(0).integers(0, 255, (1, 512, 512, 3), np.uint8)
    precision = "bf16" if has_native_bf16() else "f32"
    compiled = {}
    for name, make in encoders.items():
        served = ServedEncoder(make().eval())
        model = ov.convert_model(served, example_input=torch.from_numpy(picture), input=[1, 512, 512, 3])
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        compiled[name] = ov.Core().compile_model(model, "CPU", options)
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(rounds + 3):
        for name, network in compiled.items():
            begin = time.perf_counter()
            network(picture)
            times[name].append(1000 * (time.perf_counter() - begin))
    return {name: statistics.median(each[3:]) for name, each in times.items()}


def pretrain(encoder: PocketEncoder, recipe: Recipe, data: Path) -> None:
    """Teach an encoder to see what is behind painted squares, over the recipe's number of pictures."""
    heads = nn.ModuleList([nn.Conv2d(dim, 3 * stride**2, 1) for dim, stride in ((192, 16), (48, 8), (24, 4))])
    both = nn.ModuleList([encoder, heads]).train()
    chosen = optimizers(both, recipe.learning_rate, recipe.weight_decay, recipe.muon)
    generator = torch.Generator().manual_seed(recipe.seed)
    loader = BatchLoader(recipe.source([data]), 1, recipe.seed + 77, SIDE, BATCH, 2)
    steps = recipe.pictures // BATCH
    for step, batch in enumerate(itertools.islice(loader, steps)):
        for group in (group for optimizer in chosen for group in optimizer.param_groups):
            group["lr"] = recipe.learning_rate * min(1.0, (step + 1) / 100, 1.02 - step / steps)
        pixels = batch.image.float().contiguous(memory_format=torch.channels_last)
        squares = SIDE // SQUARE
        hidden = torch.rand(len(pixels), 1, squares, squares, generator=generator) < HIDDEN
        hidden = F.interpolate(hidden.float(), scale_factor=SQUARE)
        mean = F.avg_pool2d(pixels, SQUARE)
        spread = (F.avg_pool2d(pixels**2, SQUARE) - mean**2).clamp(min=0).sqrt()
        mean, spread = (F.interpolate(one, scale_factor=SQUARE) for one in (mean, spread))
        wanted = (pixels - mean) / (spread + 8)
        with torch.autocast("cpu", torch.bfloat16):
            maps = encoder(pixels * (1 - hidden) + encoder.mean * hidden)
            guesses = [F.pixel_shuffle(h(one), SIDE // one.shape[-1]) for h, one in zip(heads, maps, strict=True)]
        loss = sum(((guess.float() - wanted).square() * hidden).mean() for guess in guesses)
        both.zero_grad(set_to_none=True)
        assert isinstance(loss, Tensor)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(both.parameters(), recipe.clip)
        for optimizer in chosen:
            optimizer.step()


if __name__ == "__main__":
    main()
