"""Whether training or pictures are what pocket's idea of the subject lacks: a run on subjects alone.

    git show b1bf00e:src/anymask/weights/pocket/weights.safetensors > before.safetensors
    python benchmarks/subjects.py --weights before.safetensors --data DATA/train --out runs/subjects \\
        --seen DATA/train/coco --unseen DATA/eval/coco

Continues from the weights with the subject's loss only, COCO's pictures most often, and prints the mean IoU of subjects
on pictures of the training and on others, before and after. A run that is there already is only measured.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anymask import BackgroundRemover, rle
from anymask.evaluation.protocol import intersection_over_union
from anymask.formats.sa1b import read_folder
from anymask.images import read_image
from anymask.training.export import export_pocket
from anymask.training.loader import Batch
from anymask.training.pocket import Recipe, Stage, Trainer
from anymask.training.scenes import SceneSource

WEIGHTS = {"coco": 14.0, "animals": 2.5, "pantry": 1.5, "pets": 1.0, "fashion": 0.8, "microcontrollers": 0.5}


class SubjectTrainer(Trainer):
    """A run whose loss is the subject's."""

    def _loss(self, batch: Batch) -> Tensor:
        pixels = batch.image.float().contiguous(memory_format=torch.channels_last)
        return self._subject_loss(self.network.encoder(pixels), batch)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--weights", type=Path, required=True, help="begin with these")
    options.add_argument("--data", type=Path, required=True, help="pictures to train on")
    options.add_argument("--seen", type=Path, required=True, help="of those, the ones to measure on")
    options.add_argument("--unseen", type=Path, required=True, help="others to measure on")
    options.add_argument("--out", type=Path, required=True, help="the run's folder")
    options.add_argument("--minutes", type=float, default=18.0)
    asked = options.parse_args()
    last = asked.out / "last.pt"
    if not last.exists():
        stages = (Stage(0.55, 256, 24), Stage(1.0, 384, 12))
        recipe = Recipe(
            minutes=asked.minutes, stages=stages, prompts=1, learning_rate=6e-4, set_weights=WEIGHTS,
            composite_share=0.25, generated_share=0.0, close_share=0.0,
        )  # fmt: skip
        source = recipe.source([asked.data])
        records = [one for one in source.records if one.subject or one.path.parent.name in recipe.whole_sets]
        shares = {name: getattr(recipe, name) for name in ("composite_share", "generated_share", "close_share")}
        trainer = SubjectTrainer(recipe)
        trainer.start_from(asked.weights)
        trainer.run(SceneSource(records, source.cutouts, WEIGHTS, recipe.whole_sets, **shares), asked.out)
    print("| weights | seen | unseen |\n|---|---:|---:|")
    for name, weights in (("before", asked.weights), ("after", last)):
        remover = BackgroundRemover("pocket", weights=export_pocket(weights, asked.out / name))
        found = [measure(remover, folder) for folder in (asked.seen, asked.unseen)]
        print(f"| {name} | " + " | ".join(f"{iou:.3f}" for iou in found) + " |", flush=True)


def measure(remover: BackgroundRemover, folder: Path) -> float:
    """Mean IoU of the subjects of a folder's pictures, the matte above one half."""
    ious = []
    for record in read_folder(folder):
        if record.subject is not None:
            ignore = None if record.ignore is None else rle.decode(record.ignore)
            found = remover.matte(read_image(record.path)) > 0.5
            ious.append(intersection_over_union(found, rle.decode(record.subject), ignore))
    return float(np.mean(ious))


if __name__ == "__main__":
    main()
