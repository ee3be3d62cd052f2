"""Progress bars on standard error, where somebody watches. rich is loaded only when one is drawn."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function to be called with (done, total) of things that are counted."""
    with _bar(description, _counting) as advance:
        yield advance


@contextmanager
def byte_progress(description: str, detail: str) -> Iterator[Callable[[int, int | None], None]]:
    """Gives a function to be called with (done, total) in bytes; total is None while it is not known.

    Where nobody watches, a line with description and detail says that it has begun.
    """
    with _bar(description, _bytes, otherwise=f"{description}: {detail}\n") as advance:
        yield advance


@contextmanager
def video_progress(description: str) -> Iterator[Callable[[int, int | None], None]]:
    """Gives a function to be called with (frames done, frames in all or None). Draws where somebody watches."""
    with ExitStack() as stack:
        if not sys.stderr.isatty():
            yield lambda done, total: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
        )  # fmt: skip
        bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
        task = bar.add_task(description, total=None, rate="")

        def advance(done: int, total: int | None) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:.1f} fps" if speed else "")

        yield advance


@contextmanager
def _bar(
    description: str, make: Callable[[], "Progress"], otherwise: str = ""
) -> Iterator[Callable[[int, int | None], None]]:
    with ExitStack() as stack:
        bar: Progress | None = None
        begun = False

        def advance(done: int, total: int | None) -> None:
            nonlocal bar, begun
            if not begun and sys.stderr.isatty():
                bar = stack.enter_context(make())
                bar.add_task(description, total=None)
            elif not begun:
                sys.stderr.write(otherwise)
            begun = True
            if bar is not None:
                bar.update(bar.task_ids[0], completed=done, total=total)

        yield advance


def _counting() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _bytes() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=Console(stderr=True), transient=True)
