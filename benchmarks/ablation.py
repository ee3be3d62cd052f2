"""What each part of pocket's training brings: runs over as many pictures that differ in one thing, from the same start.

    python benchmarks/ablation.py --data DATA

Every tenth picture of each set is held out of all the runs; on these each is evaluated as `anymask evaluate` does.
The first variant is run with a second seed, too: differences that are no larger than between those two say nothing.
Counted in pictures, a run is the same whatever else the machine does; 8,000 take nine minutes of two idle cores.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from anymask.evaluation.protocol import EvaluationResult, evaluate
from anymask.formats.sa1b import read_folder
from anymask.training.export import export_pocket
from anymask.training.pocket import Recipe, Stage, Trainer

SIDE, BATCH = 192, 32
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
KINDS = ("box", "1 click", "1 click, chosen", "3 clicks", "subject")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="a folder in the SA-1B layout")
    options.add_argument("--pictures", type=int, default=8000, help="of each run")
    options.add_argument("--weights", type=Path, help="begin with these instead of from chance")
    options.add_argument("--only", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        held_out = hold_out(asked.data, Path(name) / "held out")
        print("| run | " + " | ".join(KINDS) + " |\n|---|" + "---:|" * len(KINDS), flush=True)
        for variant in asked.only:
            recipe = replace(
                Recipe(pictures=asked.pictures, stages=(Stage(1.0, SIDE, BATCH),), checkpoint_minutes=1e9),
                **VARIANTS[variant],
            )
            recipe = replace(recipe, held_out=(*recipe.held_out, *held_out))
            result = run(recipe, asked.data, asked.weights, Path(name))
            figures = " | ".join(f"{result.rows[kind]:.3f}" for kind in KINDS)
            print(f"| {variant} | {figures} |", flush=True)


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


def run(recipe: Recipe, data: Path, weights: Path | None, folder: Path) -> EvaluationResult:
    """Train by a recipe and evaluate what comes of it."""
    trainer = Trainer(recipe)
    if weights:
        trainer.start_from(weights)
    checkpoint = trainer.run(recipe.source([data]), folder / "run")
    exported = export_pocket(checkpoint, folder / "exported")
    return evaluate(folder / "held out", weights=exported, limit=300)


if __name__ == "__main__":
    main()
