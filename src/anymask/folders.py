"""Many pictures: which file goes where is decided before the first is written, and a bad one does not stop the rest."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anymask.ahead import read_ahead
from anymask.errors import AnymaskError, ImageError

PHOTOGRAPHS = ".jpg", ".jpeg", ".jfif", ".mpo", ".heic", ".heif", ".avif", ".webp", ".tif", ".tiff", ".jp2"
PICTURES = frozenset([*PHOTOGRAPHS, ".png", ".bmp", ".gif", ".ppm", ".pgm"])


@dataclass(frozen=True)
class Job:
    """A picture to read, the file to write, and whether that is there already and to be left alone."""

    source: Path
    target: Path
    skip: bool = False


@dataclass
class Outcome:
    """What became of the jobs: files written, files there already, and pictures that failed, each with a sentence."""

    done: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def jobs(
    inputs: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
    *,
    suffix: str,
    recursive: bool = False,
    overwrite: bool = False,
) -> list[Job]:
    """Which pictures are to be worked on, and what files come of them.

    Args:
        inputs: pictures and folders of pictures. Of folders we take the files whose suffix is a picture's, sorted;
            hidden ones and results of earlier runs are left out.
        output: a folder, made when needed; or, for one picture, a file. By default each result lies beside its picture.
        suffix: what takes the place of a picture's own suffix in the result's name, such as ".cutout.png".
        recursive: take the folders in folders, too; `output` gets the same structure.
        overwrite: do again what is there already; such jobs are marked to be skipped otherwise.

    Raises:
        ImageError: an input does not exist, a folder has no pictures, several pictures have one result, or a result
            would overwrite an input. Nothing has been written then.
    """
    given = [Path(path) for path in inputs]
    folder = None if output is None else Path(output)
    if folder is not None and _is_file_name(folder, given):
        if len(given) != 1 or given[0].is_dir():
            raise ImageError(f"Several pictures need a folder for their results, but {folder} names one file.")
        pairs = [(given[0], folder)]
    else:
        pairs = [
            (source, (source.parent if folder is None else folder / source.parent.relative_to(root)) / name)
            for path in given
            for root, source in _pictures(path, folder, suffix, recursive)
            for name in [source.stem + suffix]
        ]
    _check(pairs)
    return [Job(source, target, not overwrite and target.exists()) for source, target in dict(pairs).items()]


def process(
    jobs: Iterable[Job],
    function: Callable[[Any, Path], object],
    on_progress: Callable[[int, int], object] = lambda done, total: None,
    read: Callable[[Path], Any] = Path,
    workers: int = 1,
) -> Outcome:
    """Do the jobs, in their order; what fails is noted, and the rest is done all the same.

    Args:
        function: writes the target, its second argument, whose folder exists by then; its first is what `read` made of
            the source.
        on_progress: called with the number of jobs behind us and the number of all, from 0 on.
        read: called with the next sources, in a thread, while `function` works; by default the path is handed on.
        workers: with more than one, so many jobs are at work at a time, each in a thread.
    """
    todo = list(jobs)
    outcome = Outcome()
    at_work: deque[tuple[Job, Future[None]]] = deque()

    def settle(waiting: int) -> None:
        """Note what became of the oldest jobs, until no more than so many are waited for."""
        while len(at_work) > waiting:
            job, work = at_work.popleft()
            try:
                work.result()
                outcome.done.append(job.target)
            except AnymaskError as error:
                outcome.failed.append((job.source, str(error)))
            except Exception as error:  # a fault of ours must not cost the user the other thousand pictures
                outcome.failed.append((job.source, f"{job.source}: {error} ({type(error).__name__})"))
            told()

    def told() -> None:
        on_progress(len(outcome.done) + len(outcome.skipped) + len(outcome.failed), len(todo))

    def do(job: Job, source: Future[Any]) -> None:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        function(source.result(), job.target)

    told()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="anymask-work") if workers > 1 else None
    try:
        with closing(read_ahead([job.source for job in todo if not job.skip], read)) as sources:
            for job in todo:
                if job.skip:
                    outcome.skipped.append(job.target)
                    told()
                    continue
                _, source = next(sources)
                at_work.append((job, _done(do, job, source) if pool is None else pool.submit(do, job, source)))
                settle(0 if pool is None else workers)
            settle(0)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    return outcome


def _done(function: Callable[..., object], *arguments: Any) -> Future[None]:
    """What a function did, as a future, done here and now; Ctrl-C ends it."""
    future: Future[None] = Future()
    try:
        function(*arguments)
        future.set_result(None)
    except Exception as error:
        future.set_exception(error)
    return future


def _is_file_name(output: Path, inputs: list[Path]) -> bool:
    """A path that is not a folder yet means a file when it has a suffix, unless a folder goes in."""
    return bool(output.suffix) and not output.is_dir() and not any(path.is_dir() for path in inputs)


def _pictures(path: Path, output: Path | None, suffix: str, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """An input's pictures, each with the folder that its place in `output` is relative to."""
    if not path.exists():
        raise ImageError(f"{path} does not exist.")
    if not path.is_dir():
        yield path.parent, path
        return
    found = pictures_in(path, output, suffix, recursive)
    if not found:
        raise ImageError(f"The folder {path} holds no pictures{'' if recursive else ' (see recursive)'}.")
    yield from ((path, file) for file in found)


def pictures_in(folder: Path, output: Path | None, suffix: str, recursive: bool) -> list[Path]:
    """The pictures of a folder at this moment, as `jobs` finds them; there may be none."""
    return [file for file in _walk(folder, output, recursive) if not _is_result(file, output, suffix)]


def _walk(folder: Path, output: Path | None, recursive: bool) -> Iterator[Path]:
    """The picture files of a folder; an output folder inside of it is not looked into."""
    for place, subfolders, names in os.walk(folder):
        beyond = [Path(place, name) for name in sorted(subfolders) if recursive and not name.startswith(".")]
        subfolders[:] = [path.name for path in beyond if output is None or not _same(path, output)]
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURES:
                yield Path(place, name)


def _is_result(file: Path, output: Path | None, suffix: str) -> bool:
    """Whether an earlier run with results beside their pictures wrote this; a plain ".png" does not tell."""
    beside = output is None or _same(file.parent, output)
    return beside and suffix.count(".") > 1 and file.name.lower().endswith(suffix.lower())


def _check(pairs: list[tuple[Path, Path]]) -> None:
    sources = {os.path.realpath(source) for source, _ in pairs}
    owners: dict[str, Path] = {}
    for source, target in pairs:
        place = os.path.realpath(target)
        if place in sources:
            raise ImageError(f"{target} would overwrite a picture that is to be read; choose another output folder.")
        other = owners.setdefault(os.path.normcase(place), source)
        if os.path.realpath(other) != os.path.realpath(source):
            raise ImageError(f"{other} and {source} would both become {target}; rename one of them.")


def _same(path: Path, other: Path) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)
