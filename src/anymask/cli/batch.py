"""One picture, several, or folders of them: what the commands that take all three have in common."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.options import note
from anymask.cli.progress import progress
from anymask.folders import Job, jobs, process

Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Take the folders in folders, too.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Do again what is there already; of folders it is skipped otherwise.")
]


def plan(inputs: list[Path], output: Path | None, suffix: str, recursive: bool, overwrite: bool) -> list[Job]:
    """The jobs for some pictures and folders; a lone picture is always done. Raises ImageError (see `folders.jobs`)."""
    return jobs(inputs, output, suffix=suffix, recursive=recursive, overwrite=overwrite or is_lone(inputs))


def carry_out(inputs: list[Path], todo: list[Job], work: Callable[[Path, Path], object]) -> None:
    """Do the jobs. What is wrong with a lone picture is raised; of several the rest is done, and the exit code is 1."""
    if is_lone(inputs):
        for job in todo:
            job.target.parent.mkdir(parents=True, exist_ok=True)
            work(job.source, job.target)
        return
    with progress("Pictures") as advance:
        outcome = process(todo, work, advance)
    for _, sentence in outcome.failed:
        note(sentence)
    note(f"{len(outcome.done)} written, {len(outcome.skipped)} there already, {len(outcome.failed)} failed")
    if outcome.failed:
        raise typer.Exit(1)


def is_lone(inputs: list[Path]) -> bool:
    """Whether one picture was given, and no folder."""
    return len(inputs) == 1 and not inputs[0].is_dir()
