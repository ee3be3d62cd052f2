"""One picture, several, or folders of them: what the commands that take all three have in common."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anymask.cli.options import note
from anymask.folders import Job, jobs, process
from anymask.progress import progress

if TYPE_CHECKING:
    import numpy as np

    from anymask.masks import Masks

Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Take the folders in folders, too.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Do again what is there already; of folders it is skipped otherwise.")
]

OVERLAY = ".overlay.png"


def plan(inputs: list[Path], output: Path | None, suffix: str, recursive: bool, overwrite: bool) -> list[Job]:
    """The jobs for some pictures and folders; a lone picture is always done, overlays of earlier runs in folders never.

    Raises ImageError (see `folders.jobs`).
    """
    found = jobs(inputs, output, suffix=suffix, recursive=recursive, overwrite=overwrite or is_lone(inputs))
    return [job for job in found if job.source in inputs or not job.source.name.endswith(OVERLAY)]


def carry_out(
    inputs: list[Path],
    todo: list[Job],
    work: Callable[[Any, Path], object],
    read: Callable[[Path], Any] = Path,
    workers: int = 1,
) -> None:
    """Do the jobs: `work` on what `read` made of the picture. What is wrong with a lone picture is raised; of several
    the rest is done, and the exit code is 1."""
    if is_lone(inputs):
        for job in todo:
            job.target.parent.mkdir(parents=True, exist_ok=True)
            work(read(job.source), job.target)
        return
    with progress("Pictures") as advance:
        outcome = process(todo, work, advance, read, workers)
    for _, sentence in outcome.failed:
        note(sentence)
    note(f"{len(outcome.done)} written, {len(outcome.skipped)} there already, {len(outcome.failed)} failed")
    if outcome.failed:
        raise typer.Exit(1)


def is_lone(inputs: list[Path]) -> bool:
    """Whether one picture was given, and no folder."""
    return len(inputs) == 1 and not inputs[0].is_dir()


def draw_overlay(masks: "Masks", rgb: "np.ndarray", target: Path) -> None:
    """The masks drawn on their picture, in a file beside the one that holds them."""
    from anymask.images import save_image

    path = target.with_name(target.stem.removesuffix(".mask").removesuffix(".masks") + OVERLAY)
    save_image(path, masks.overlay(rgb))
    note(f"{path}: the overlay")
