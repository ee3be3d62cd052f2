"""The work of `anymask cutout`: pictures, folders, a pipe, raw frames, moving pictures, clips, a watched folder."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import typer
from PIL import Image

from anymask.animation import Animation, is_moving, read_animation
from anymask.background import BackgroundRemover
from anymask.cli.batch import carry_out, is_lone, plan
from anymask.cli.options import note
from anymask.errors import AnymaskError, ImageError
from anymask.folders import pictures_in
from anymask.images import Picture, encode_image, read_picture, write_atomic
from anymask.rawframes import parse_size, raw_frames
from anymask.recipe import Recipe, encoded
from anymask.watch import STOP, arrivals

STREAM = Path("-")
WORKERS = 2  # while one picture is in the network, the edges of another are refined and written
CLIPS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".mts", ".wmv")


@dataclass(frozen=True)
class Job:
    """What the command line asks for; see `anymask cutout --help`."""

    pictures: list[Path]
    output: Path | None
    recipe: Recipe
    each: bool
    format: str
    quality: int | None
    recursive: bool
    overwrite: bool
    watch: bool
    delete_input: bool
    frames: str | None
    smooth: bool
    audio: bool

    @property
    def suffix(self) -> str:
        """What takes the place of a picture's suffix."""
        return f".{'matte' if self.recipe.mask_only else 'cutout'}.{self.format.lstrip('.')}"


def carry_out_cutouts(job: Job, load: Callable[[], BackgroundRemover]) -> None:
    """Do it; `load` gives the model and is called when all that can be checked before has been."""
    if job.frames is not None:
        _cut_frames(job, load)
    elif job.pictures == [STREAM] or job.output == STREAM:
        _cut_stream(job, load)
    elif len(job.pictures) == 1 and job.pictures[0].suffix.lower() in CLIPS:
        _cut_clip(job, load)
    elif job.watch:
        _cut_arrivals(job, load)
    else:
        _cut_files(job, load)


def _cut_files(job: Job, load: Callable[[], BackgroundRemover]) -> None:
    if STREAM in job.pictures:
        raise ImageError("With - for standard input or output, give one picture at a time.")
    todo = plan(job.pictures, job.output, job.suffix, job.recursive, job.overwrite)
    for target in {one.target.suffix: one.target for one in todo}.values():
        if not (target.suffix == ".gif" and len(todo) == 1 and is_moving(todo[0].source)):
            encode_image(Image.new("1", (1, 1)), target.suffix)  # an unknown format is refused before the work
    remover = load()
    carry_out(job.pictures, todo, partial(_cut_file, job, remover), _read, WORKERS)
    if is_lone(job.pictures):
        note(f"{todo[0].target}: the {'matte' if job.recipe.mask_only else 'cut-out'}{', each' if job.each else ''}")


def _read(path: Path) -> tuple[Path, Picture | Animation]:
    return path, read_animation(path) if is_moving(path) else read_picture(path)


def _cut_file(job: Job, remover: BackgroundRemover, read: tuple[Path, Picture | Animation], target: Path) -> None:
    """Make the results of a picture and write them."""
    path, picture = read
    recipe, form = job.recipe, target.suffix
    results: dict[Path, Image.Image | Animation]
    if isinstance(picture, Animation):
        frames = tuple(recipe.one(remover, frame) for frame in picture.frames)
        results = {target: Animation(frames, picture.durations, picture.loop)}
    elif job.each:
        named = recipe.each(remover, picture)
        if not named:
            raise ImageError(f"{path} shows no subject.")
        results = {_named(target, name, job.suffix): image for name, image in named.items()}
    else:
        results = {target: recipe.one(remover, picture)}
    for place, result in results.items():
        data = result.save(form) if isinstance(result, Animation) else encoded(result, form, job.quality)
        write_atomic(place, data)
    if job.delete_input:
        path.unlink()


def _named(target: Path, name: str, suffix: str) -> Path:
    """NAME.cutout.png as NAME.upper.cutout.png; the names of files given with -o likewise."""
    end = suffix if target.name.endswith(suffix) else target.suffix
    return target.with_name(f"{target.name.removesuffix(end)}.{name}{end}")


def _cut_stream(job: Job, load: Callable[[], BackgroundRemover]) -> None:
    if len(job.pictures) > 1 or job.pictures[0].is_dir() or job.each or job.watch:
        raise ImageError("With - for standard input or output, give one picture at a time.")
    target = None if job.output == STREAM else job.output
    form = job.format if target is None else target.suffix
    encode_image(Image.new("1", (1, 1)), form)
    source = sys.stdin.buffer.read() if job.pictures == [STREAM] else job.pictures[0]
    picture = read_picture(source)
    data = encoded(job.recipe.one(load(), picture), form, job.quality)
    if target is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_atomic(target, data)
    if job.delete_input and isinstance(source, Path):
        source.unlink()


def _cut_frames(job: Job, load: Callable[[], BackgroundRemover]) -> None:
    """Raw frames from standard input, to numbered files or as one PNG after the other to standard output."""
    width, height = parse_size(job.frames or "")
    if job.pictures != [STREAM]:
        raise ImageError("Raw frames come from standard input: give - as the picture.")
    pattern = None if job.output in (None, STREAM) else str(job.output)
    if pattern is not None:
        try:
            if pattern % 0 == pattern % 1:
                raise ValueError
        except (ValueError, TypeError):
            raise ImageError(f"Frames need a place for their numbers, such as out/%05d.png, not {pattern}.") from None
        Path(pattern % 0).parent.mkdir(parents=True, exist_ok=True)
    form = job.format if pattern is None else Path(pattern % 0).suffix
    encode_image(Image.new("1", (1, 1)), form)
    remover, count = load(), 0
    try:
        for frame in raw_frames(sys.stdin.buffer, width, height):
            data = encoded(job.recipe.one(remover, frame), form, job.quality)
            if pattern is None:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            else:
                write_atomic(pattern % count, data)
            count += 1
    finally:
        note(f"{count} frames")


def _cut_clip(job: Job, load: Callable[[], BackgroundRemover]) -> None:
    from anymask.video import cut_out_video, video_progress

    source, recipe = job.pictures[0], job.recipe
    if job.each or recipe.crop is not None or recipe.pad or recipe.shadow or recipe.outline or job.watch:
        raise ImageError(
            "Clips are cut out as they are: without --each, --crop, --pad, --shadow, --outline and --watch."
        )
    if recipe.tint is not None and recipe.tint[3] < 255:
        raise ImageError("Behind a clip lies a colour that is opaque, or nothing: give 255 as the fourth number.")
    target = job.output or source.with_name(f"{source.stem}.{'matte.mp4' if recipe.mask_only else 'cutout.webm'}")
    background = recipe.background if recipe.tint is None else recipe.tint[:3]
    with video_progress("Frames") as advance:
        result = cut_out_video(
            source,
            target,
            load(),
            background=background,
            mask_only=recipe.mask_only,
            smooth=job.smooth,
            audio=job.audio,
            refine=recipe.refine,
            foreground=recipe.foreground,
            options=recipe.options,
            on_progress=advance,
        )
    note(f"{target}: {result.frames} frames, {result.fps:.1f} a second")
    if result.trouble:
        note(f"{source}: {result.trouble}")
        raise typer.Exit(1)
    if job.delete_input:
        source.unlink()


def _cut_arrivals(job: Job, load: Callable[[], BackgroundRemover]) -> None:
    """The pictures that are in a folder, and those that come."""
    folder = job.pictures[0]
    if len(job.pictures) != 1 or not folder.is_dir():
        raise ImageError("One folder can be watched: give its name.")
    encode_image(Image.new("1", (1, 1)), job.format)
    remover = load()

    def listing() -> list[Path]:
        return pictures_in(folder, job.output, job.suffix, job.recursive)

    note(f"Watching {folder}; Ctrl-C or a file {STOP} in it ends this.")
    try:
        for path in arrivals(folder, listing):
            output = None if job.output is None else job.output / os.path.relpath(path.parent, folder)
            try:
                for one in plan([path], output, job.suffix, False, job.overwrite):
                    if one.target.exists() and not job.overwrite:
                        continue
                    one.target.parent.mkdir(parents=True, exist_ok=True)
                    _cut_file(job, remover, _read(path), one.target)
                    note(f"{path} -> {one.target}")
            except AnymaskError as error:
                note(str(error))
    except KeyboardInterrupt:
        note("Ended.")
