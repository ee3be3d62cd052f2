"""What each part of pocket's training brings: runs over as many pictures that differ in one thing, from the same start.

    git show 878ce4b:src/anymask/weights/pocket/weights.safetensors > first.safetensors
    python benchmarks/ablation.py --data DATA --weights first.safetensors

The start is the first released weights, as the second run's was (from chance, so few pictures teach nothing that could
be compared). Every tenth picture of each set is held out of all the runs; prompts on these, at the side of training,
are answered by each, the same for all. The start saw these pictures, so that only differences count. The first
variant is run with a second seed, too: differences no larger than between those two say nothing. Counted in pictures,
a run is the same whatever else the machine does. Prints a row as soon as it is known.
"""

import argparse
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anymask.formats.sa1b import read_folder
from anymask.networks.pocket import Pocket
from anymask.training.loader import Batch, BatchLoader
from anymask.training.losses import intersection_over_union
from anymask.training.pocket import Recipe, Stage, Trainer
from anymask.training.prompting import Prompts, correct, first_prompts, subject_prompts
from anymask.training.scenes import SceneSource

SIDE, BATCH, PROMPTS = 192, 32, 3
CLOSE = {"whole": 0.0, "close": 1.0}  # pictures as they are, and close looks at their things
VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "as it is, another seed": {"seed": 1},
    "AdamW in place of Muon": {"muon": False},
    "no close looks": {"close_share": 0.0},
    "no generated scenes": {"generated_share": 0.0},
    "nothing pasted": {"composite_share": 0.0},
    "no corrections": {"rounds": (1.0,)},
    "all sets alike": {"set_weights": {}},
}
KINDS = ("box", "click, best", "click, ranked first", "3 clicks", "subject", "box, close look", "click, close look")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="a folder in the SA-1B layout")
    options.add_argument("--pictures", type=int, default=6000, help="of each run")
    options.add_argument("--weights", type=Path, help="begin with these; from chance when left out")
    options.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    options.add_argument("--batches", type=int, default=12, help="of held-out pictures, of whole ones and close looks")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        held_out = hold_out(asked.data, Path(name) / "held out")
        batches = {look: draw(Path(name) / "held out", share, asked.batches) for look, share in CLOSE.items()}
        print("| run | " + " | ".join(KINDS) + " |\n|---|" + "---:|" * len(KINDS), flush=True)
        if asked.weights:
            start = Trainer(Recipe())
            start.start_from(asked.weights)
            show("the start", start.average, batches)
        for variant in asked.only:
            recipe = replace(
                Recipe(pictures=asked.pictures, stages=(Stage(1.0, SIDE, BATCH),), checkpoint_minutes=1e9),
                **VARIANTS[variant],
            )
            recipe = replace(recipe, held_out=(*recipe.held_out, *held_out))
            trainer = Trainer(recipe)
            if asked.weights:
                trainer.start_from(asked.weights)
            trainer.run(recipe.source([asked.data]), Path(name) / variant)
            show(variant, trainer.average, batches)


def hold_out(data: Path, folder: Path) -> list[str]:
    """Links to every tenth picture of each set, with its labels, in `folder`; returns their stems."""
    stems = []
    for number, record in enumerate(read_folder(data)):
        if number % 10 == 0:
            target = folder / record.path.parent.name / record.path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(record.path.resolve())
            target.with_suffix(".json").symlink_to(record.path.with_suffix(".json").resolve())
            stems.append(record.path.stem)
    return stems


def draw(folder: Path, close_share: float, count: int) -> list[Batch]:
    """Batches of a folder's pictures, sets as often as in the recipe, nothing pasted or made up."""
    recipe = Recipe()
    shares = {"composite_share": 0.0, "generated_share": 0.0, "close_share": close_share}
    source = SceneSource.from_folders([folder], recipe.set_weights, (), recipe.whole_sets, **shares)
    batches = iter(BatchLoader(source, PROMPTS, 12345, SIDE, BATCH, workers=0))
    return [next(batches) for _ in range(count)]


def show(name: str, network: Pocket, batches: dict[str, list[Batch]]) -> None:
    """Print a row of mean IoU."""
    found = measure(network, batches["whole"])
    found |= {f"{kind}, close look": value for kind, value in measure(network, batches["close"]).items()}
    found["click, close look"] = found["click, best, close look"]
    print(f"| {name} | " + " | ".join(f"{found[kind]:.3f}" for kind in KINDS) + " |", flush=True)


@torch.no_grad()
def measure(network: Pocket, batches: list[Batch]) -> dict[str, float]:
    """Mean IoU by kind of prompt, on the decoder's own grid."""
    generator = torch.Generator().manual_seed(0)
    values: dict[str, list[Tensor]] = defaultdict(list)
    network.eval()
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16):
            features = network.encoder(batch.image.float().contiguous(memory_format=torch.channels_last))
        images, each, grid = *batch.targets.shape[:2], batch.targets.shape[-1]
        owner = torch.arange(images).repeat_interleave(each)
        target, weight = batch.targets.flatten(0, 1), batch.weight[owner]

        def ask(prompts: Prompts, owner: Tensor, target: Tensor, weight: Tensor,
                features: Any = features) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
            with torch.autocast("cpu", torch.bfloat16):
                masks, scores = network.decoder(
                    *(one[owner] for one in features), prompts.coords, prompts.labels, prompts.mask, prompts.has_mask
                )
            ious = intersection_over_union(masks, target[:, None].expand_as(masks), weight[:, None].expand_as(masks))
            return masks.float(), scores, ious

        clicks, boxes = batch.clicks.flatten(0, 1), batch.boxes.flatten(0, 1)
        prompts = first_prompts(clicks, boxes, grid, 1.0, generator)  # all boxes; a few come with a click
        prompts.labels[:, 0] = -1
        values["box"].append(ask(prompts, owner, target, weight)[2][:, 0])
        prompts = first_prompts(clicks, boxes, grid, 0.0, generator)
        masks, scores, ious = ask(prompts, owner, target, weight)
        values["click, best"].append(ious[:, 1:].amax(1))
        chosen = scores[:, 1:].argmax(1) + 1
        values["click, ranked first"].append(ious.gather(1, chosen[:, None])[:, 0])
        shown = masks[torch.arange(len(owner)), chosen]
        for _ in range(2):
            prompts = correct(prompts, shown, target, weight, generator)
            masks, _, ious = ask(prompts, owner, target, weight)
            shown = masks[:, 0]
        values["3 clicks"].append(ious[:, 0])
        owner = batch.has_subject.nonzero()[:, 0]
        if len(owner):
            prompts, target, weight = (
                subject_prompts(len(owner), grid, owner.device),
                batch.subject[owner],
                batch.weight[owner],
            )
            masks, _, _ = ask(prompts, owner, target, weight)
            prompts = replace(prompts, mask=masks[:, 0], has_mask=torch.ones_like(prompts.has_mask))
            values["subject"].append(ask(prompts, owner, target, weight)[2][:, 0])
    return {kind: float(torch.cat(found).mean()) for kind, found in values.items()}


if __name__ == "__main__":
    main()
