"""`anymask evaluate`: how good a model's masks are on labelled pictures."""

import json
from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.options import Device, Model, Precision, Weights, note
from anymask.progress import progress

EXAMPLES = """\
[bold]Examples[/bold]

  anymask evaluate photos/ --limit 100

  anymask evaluate photos/ --model pocket --json pocket.json
"""


def evaluate(
    folder: Annotated[
        Path, typer.Argument(help="Pictures with masks in the SA-1B layout (NAME.jpg, NAME.json).", show_default=False)
    ],
    model: Model = "pocket",
    device: Device = "auto",
    precision: Precision = "auto",
    weights: Weights = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many objects at most.")] = 300,
    min_area: Annotated[int, typer.Option("--min-area", min=1, help="Leave out objects of fewer pixels.")] = 400,
    seed: Annotated[int, typer.Option("--seed", help="Decides which objects are taken.")] = 0,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file, too.")] = None,
) -> None:
    """Mean IoU by kind of prompt: box, 1, 3 and 5 simulated clicks, and the subject."""
    from anymask.evaluation.protocol import evaluate as measure
    from anymask.images import write_atomic

    with progress("Evaluating") as advance:
        result = measure(
            folder,
            model,
            device,
            precision,
            weights,
            limit=limit,
            min_area=min_area,
            seed=seed,
            on_progress=advance,
        )

    from rich.console import Console
    from rich.table import Table

    table = Table("prompt", "mean IoU", "objects", box=None, pad_edge=False)
    for kind, value in result.rows.items():
        table.add_row(kind, f"{value:.3f}", str(result.counts[kind]))
    Console().print(table)
    if json_path:
        write_atomic(json_path, (json.dumps(result.to_dict(), indent=2) + "\n").encode())
        note(f"{json_path}: the figures")
