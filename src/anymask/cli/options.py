"""Options that several commands share, and the reading of points and boxes."""

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from anymask.errors import PromptError

Model = Annotated[str, typer.Option("--model", "-m", help="A name from [bold]anymask models[/bold].")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")]
Weights = Annotated[Path | None, typer.Option("--weights", help="Weights of your own instead of the model's.")]
Robust = Annotated[
    bool,
    typer.Option(
        "--robust/--plain",
        help="With measures against drift: among look-alikes, behind things, in long clips; objects exclude each "
        "other.",
    ),
]


def numbers(text: str, option: str, shape: str) -> list[float]:
    """The numbers of one option's text; `shape` is what it should look like, such as `x,y`.

    Raises:
        PromptError: there are more or fewer than `shape` has, or they are no numbers.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != len(shape.split(",")) or not all(map(math.isfinite, values)):
        raise PromptError(f"{option} must be {shape} in pixels of the picture, not {text!r}.")
    return values


def points(positive: list[str], negative: list[str]) -> tuple[list[tuple[float, float]], list[int]]:
    """Points and labels of `--point x,y`, `--point x,y,label` and `--negative x,y`.

    Raises:
        PromptError: an option's text is none of these.
    """
    rows = [numbers(text, "--point", "x,y,label" if text.count(",") == 2 else "x,y") for text in positive]
    rows += [[*numbers(text, "--negative", "x,y"), 0] for text in negative]
    for row in rows:
        if row[2:] not in ([], [0], [1]):
            raise PromptError(f"A point's label must be 1 (on the object) or 0 (off it), not {row[2]:g}.")
    return [(row[0], row[1]) for row in rows], [int(row[2]) if len(row) == 3 else 1 for row in rows]


def note(text: str) -> None:
    """A line for the person at the terminal; standard output stays free for data."""
    typer.echo(text, err=True)


def on_terminal() -> bool:
    """Whether somebody watches standard error, so that a progress display makes sense."""
    return sys.stderr.isatty()
