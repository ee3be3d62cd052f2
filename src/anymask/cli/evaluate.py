"""`anymask evaluate`: how good a model's masks are on labelled pictures."""

import json
from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.options import Device, Model, Precision, Weights, note
from anymask.errors import FormatError
from anymask.progress import progress

EXAMPLES = """\
[bold]Examples[/bold]

  anymask evaluate photos/ --limit 100

  anymask evaluate photos/ --model pocket --json pocket.json

  anymask evaluate photos/ --task matte --model u2netp --plots figures/
"""


def evaluate(
    folder: Annotated[
        Path, typer.Argument(help="Pictures with masks in the SA-1B layout (NAME.jpg, NAME.json).", show_default=False)
    ],
    task: Annotated[
        str, typer.Option("--task", help="prompts: boxes, clicks and the subject; matte: the subject's alpha.")
    ] = "prompts",
    model: Model = "pocket",
    device: Device = "auto",
    precision: Precision = "auto",
    weights: Weights = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="How many objects (300) or pictures (all) at most.", show_default=False),
    ] = None,
    min_area: Annotated[int, typer.Option("--min-area", min=1, help="Leave out objects of fewer pixels.")] = 400,
    seed: Annotated[int, typer.Option("--seed", help="Decides which are taken.")] = 0,
    masks: Annotated[
        Path | None, typer.Option("--masks", help="matte: a folder of grey masks NAME.png, in place of JSON files.")
    ] = None,
    refine: Annotated[bool, typer.Option("--refine/--no-refine", help="matte: with refined edges.")] = True,
    preprocessing: Annotated[str, typer.Option("--preprocessing", help="matte: original or rembg.")] = "original",
    plots: Annotated[
        Path | None, typer.Option("--plots", help="matte: write curves.png and pictures.png to this folder.")
    ] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file, too.")] = None,
) -> None:
    """How good a model is: mean IoU by kind of prompt, or the measures of its mattes."""
    if task not in ("prompts", "matte"):
        raise FormatError(f"A task is prompts or matte, not {task!r}.")
    if task == "matte":
        _mattes(folder, model, device, precision, weights, limit, seed, masks, refine, preprocessing, plots, json_path)
        return
    from anymask.evaluation.protocol import evaluate as measure

    with progress("Evaluating") as advance:
        result = measure(
            folder,
            model,
            device,
            precision,
            weights,
            limit=300 if limit is None else limit,
            min_area=min_area,
            seed=seed,
            on_progress=advance,
        )
    _table(
        ("prompt", "mean IoU", "objects"),
        [(kind, f"{value:.3f}", str(result.counts[kind])) for kind, value in result.rows.items()],
    )
    _write(json_path, result.to_dict())


def _mattes(
    folder: Path,
    model: str,
    device: str,
    precision: str,
    weights: Path | None,
    limit: int | None,
    seed: int,
    masks: Path | None,
    refine: bool,
    preprocessing: str,
    plots: Path | None,
    json_path: Path | None,
) -> None:
    from anymask.background import BackgroundRemover
    from anymask.evaluation.matte import evaluate_mattes
    from anymask.evaluation.plots import contact_sheet, plot_curves

    remover = BackgroundRemover(model, device, precision, weights, preprocessing)
    with progress("Evaluating") as advance:
        result = evaluate_mattes(
            folder, remover, masks=masks, refine=refine, limit=limit, seed=seed, on_progress=advance
        )
    _table(("measure", "value"), [(name, f"{value:.3f}") for name, value in result.rows.items()])
    note(f"{len(result.pictures)} pictures")
    _write(json_path, result.to_dict())
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
        plot_curves(result, plots / "curves.png")
        contact_sheet(result, remover, plots / "pictures.png", refine)
        note(f"{plots}: curves.png, pictures.png")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _write(path: Path | None, figures: dict[str, object]) -> None:
    if path is None:
        return
    from anymask.images import write_atomic

    write_atomic(path, (json.dumps(figures, indent=2) + "\n").encode())
    note(f"{path}: the figures")
