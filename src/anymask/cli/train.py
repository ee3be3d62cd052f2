"""`anymask train`: anymask's own networks, made anew from pictures with masks."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anymask.cli.options import note
from anymask.errors import WeightsError

if TYPE_CHECKING:
    from anymask.formats.sa1b import Record
    from anymask.training.export import Quantize
    from anymask.training.pocket import Report

EXAMPLES = """\
[bold]Examples[/bold]

  anymask train pocket --data photos/ --out runs/first --minutes 90

  anymask train pocket --data photos/ --data more/ --out runs/first --minutes 180 --resume
"""

QUANTIZE_EXAMPLES = """\
[bold]Examples[/bold]

  anymask train quantize runs/first/last.pt --data photos/ --out runs/first/int8
"""

app = typer.Typer(no_args_is_help=True, help="Train anymask's own networks (needs the extra [bold]torch[/bold]).")


@app.callback()
def _group() -> None:
    pass


@app.command("pocket", epilog=EXAMPLES)
def pocket(
    data: Annotated[
        list[Path],
        typer.Option(
            "--data", help="A folder in the SA-1B layout, searched at every depth. Repeatable.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where checkpoints and weights go.", show_default=False)],
    minutes: Annotated[
        float, typer.Option("--minutes", min=0, help="How long to train, the minutes before a resume included.")
    ] = 100.0,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="Begin with these (.safetensors, or a checkpoint) instead of from chance."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    int8: Annotated[
        bool, typer.Option("--int8", help="Export the encoder in int8, as on board (needs the extra int8).")
    ] = False,
) -> None:
    """Train [bold]pocket[/bold] and export it as graphs that run without PyTorch.

    The originals in MS COCO of this repository's sample pictures are left out of the training wherever they turn up.
    """
    last = out / "last.pt"
    if last.exists() and not resume:
        raise WeightsError(f"{last} is there already; go on from it with --resume, or choose another --out.")

    from anymask.runtime.torch import is_available  # first, because it names the extra that is missing
    from anymask.training.export import export_pocket
    from anymask.training.pocket import Recipe, Trainer

    if int8:
        from anymask.training import quantization  # noqa: F401  # an extra that is missing is named before the training
    recipe = Recipe(minutes=minutes)
    source = recipe.source(data)
    if device == "auto":
        device = "cuda" if is_available("cuda") else "cpu"
    trainer = Trainer(recipe, device)
    if resume:
        trainer.load(last)
    elif weights:
        trainer.start_from(weights)
    note(
        f"{len(source.records)} pictures, {len(source.cutouts)} cut-outs; training on {device} for {minutes:g} minutes"
    )
    with _watch(minutes) as show:
        checkpoint = trainer.run(source, out, show)
    export_pocket(checkpoint, out / "pocket", _quantizer(source.records) if int8 else None)
    note(f"{out / 'pocket'}: the weights; try them with --weights")


@app.command("quantize", epilog=QUANTIZE_EXAMPLES)
def quantize(
    weights: Annotated[Path, typer.Argument(help="A run's checkpoint, or the weights.safetensors of an export.")],
    data: Annotated[
        list[Path],
        typer.Option("--data", help="As for training; activations are measured here.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.", show_default=False)],
) -> None:
    """Export pocket with its encoder in int8 (needs the extra [bold]int8[/bold])."""
    from anymask.formats.sa1b import read_folder
    from anymask.runtime.torch import is_available  # noqa: F401  # first, because it names the extra that is missing
    from anymask.training.export import export_pocket

    quantizer = _quantizer([record for folder in data for record in read_folder(folder)])
    try:
        export_pocket(weights, out, quantizer)
    except ValueError as error:
        raise WeightsError(f"{weights} does not fit pocket: {error}.") from error
    note(f"{out}: the weights; try them with --weights")


def _quantizer(records: "Sequence[Record]") -> "Quantize":
    """What makes an encoder int8, measured on these pictures."""
    from anymask.catalog import find
    from anymask.training.quantization import calibration_pictures, quantized

    return partial(quantized, pictures=calibration_pictures(find("pocket"), records))


@app.command("calibrate")
def calibrate(
    data: Annotated[
        list[Path],
        typer.Option("--data", help="As for training; pictures with a subject are used.", show_default=False),
    ],
    weights: Annotated[
        Path | None, typer.Option("--weights", help="The folder an export wrote; by default what is on board.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many pictures at most.")] = 200,
) -> None:
    """Find the gain and bias of the subject's matte on labelled pictures, for `subject` in catalog.toml."""
    from anymask.formats.sa1b import read_folder
    from anymask.runtime import load_segment_engine
    from anymask.runtime.matte import SubjectMatte
    from anymask.training.calibration import calibrate as fit

    records = [record for folder in data for record in read_folder(folder)]
    found = fit(SubjectMatte(load_segment_engine("pocket", weights=weights)), records, limit)
    typer.echo(
        f"gain {found.gain:g}, bias {found.bias:g}: mean IoU {found.iou:.3f}, mean absolute error {found.error:.3f}"
    )


@contextmanager
def _watch(minutes: float) -> Iterator[Callable[["Report"], None]]:
    """A live line with the running IoUs; where nobody watches, one line a minute."""
    if not sys.stderr.isatty():
        yield _printer()
        return

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.completed:.1f} of {task.total:g} min"), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("warming up", total=minutes)
        yield lambda report: bar.update(task, completed=report.minutes, description=_line(report))


def _printer() -> Callable[["Report"], None]:
    printed = -1

    def show(report: "Report") -> None:
        nonlocal printed
        if int(report.minutes) > printed:
            printed = int(report.minutes)
            note(f"{report.minutes:6.1f} min  {_line(report)}")

    return show


def _line(report: "Report") -> str:
    metrics = "  ".join(f"{name} {value:.3f}" for name, value in report.metrics.items())
    return f"step {report.step}  {report.side} px  {metrics}"
