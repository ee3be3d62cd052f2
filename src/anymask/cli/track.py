"""`anymask track`: objects followed through a clip."""

from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.options import Device, Model, Precision, Robust, Weights, note
from anymask.errors import FormatError

EXAMPLES = """\
[bold]Examples[/bold]

  anymask track clip.mp4 --point 0:320,180

  anymask track clip.mp4 --point 0:320,180 --box 12:40,60,200,220@2 --labels masks/ --json masks.json

  anymask track clip.mp4 --point 0:320,180 --point 40:300,150,0 --cutout cut.webm

  anymask track frames/ --mask 0:first.png --labels masks/ --robust
"""


def track(
    video: Annotated[Path, typer.Argument(help="A clip, or a folder of frames.", show_default=False)],
    point: Annotated[
        list[str] | None,
        typer.Option(
            "--point",
            "-p",
            metavar="FRAME:X,Y[,0][@OBJECT]",
            help="A point on an object, on a frame counted from 0; with ,0 off it. Objects are numbered from 1; "
            "without @ it is 1. Repeatable, on several frames.",
        ),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option("--box", "-b", metavar="FRAME:X0,Y0,X1,Y1[@OBJECT]", help="A box round an object. Repeatable."),
    ] = None,
    mask: Annotated[
        list[str] | None,
        typer.Option("--mask", metavar="FRAME:FILE", help="A label PNG with all the objects of a frame. Repeatable."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Write label PNGs as DAVIS has them to this folder.", show_default=False),
    ] = None,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", help="Write COCO RLEs of every frame, in SA-V's layout.", show_default=False),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(
            "--overlay",
            help="Write the clip with the objects drawn in (.mp4, .webm ...). NAME.tracked.mp4 where nothing else is "
            "to be written.",
            show_default=False,
        ),
    ] = None,
    cutout: Annotated[
        Path | None,
        typer.Option(
            "--cutout", help="Write the objects cut out: a .webm, a .mov, or a folder of PNGs.", show_default=False
        ),
    ] = None,
    stop: Annotated[
        int | None, typer.Option("--stop", min=1, help="End before this frame.", show_default=False)
    ] = None,
    fps: Annotated[float, typer.Option("--fps", min=0.01, help="Frames a second, of a folder's frames.")] = 24.0,
    session_path: Annotated[
        Path | None,
        typer.Option("--session", help="Write the session, to be gone on with in Python.", show_default=False),
    ] = None,
    robust: Robust = False,
    model: Model = "pocket",
    device: Device = "auto",
    precision: Precision = "auto",
    weights: Weights = None,
) -> None:
    """Follow objects through a clip, from [bold]points[/bold], [bold]boxes[/bold] or masks on one or more frames.

    Every frame from the first on is written; an object is there from the first frame that it was prompted on.
    """
    from anymask.tracking.prompting import read_prompts
    from anymask.tracking.writing import open_writers, track_video

    prompts = read_prompts(point or [], box or [], mask or [])
    if not any((labels, json_path, overlay, cutout)):
        overlay = video.with_name(f"{video.stem}.tracked.mp4")

    from anymask.progress import video_progress
    from anymask.tracker import Tracker

    targets = {"labels": labels, "json": json_path, "overlay": overlay, "cutout": cutout}
    if video.is_file() and any(path and path.exists() and path.samefile(video) for path in targets.values()):
        raise FormatError(f"{video} would be overwritten; choose another name.")
    with Tracker(model, device, precision, weights, robust).open(video) as session:
        writers = open_writers(session, fps, **targets)
        with video_progress("Frames") as advance:
            result = track_video(session, prompts, writers, stop=stop, on_progress=advance)
        if session_path is not None:
            session.save(session_path)
    for path in (path for path in (*targets.values(), session_path) if path is not None):
        note(f"{path}: {result.frames} frames, {result.fps:.1f} a second")
    if result.trouble:
        note(f"{video}: {result.trouble}")
        raise typer.Exit(1)
