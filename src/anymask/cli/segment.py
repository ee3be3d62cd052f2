"""`anymask segment`: a mask for points and a box."""

from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.options import Device, Model, Precision, Weights, note, numbers, points

EXAMPLES = """\
[bold]Examples[/bold]

  anymask segment photo.jpg --point 420,310

  anymask segment photo.jpg --box 100,80,560,420 --negative 500,100 -o car.svg

  anymask segment photo.jpg --point 420,310 --multimask --overlay
"""

OVERLAY = ".overlay.png"


def segment(
    picture: Annotated[Path, typer.Argument(help="The picture.", show_default=False)],
    point: Annotated[
        list[str] | None,
        typer.Option("--point", "-p", metavar="X,Y", help="A point on the object; X,Y,0 for one off it. Repeatable."),
    ] = None,
    negative: Annotated[
        list[str] | None, typer.Option("--negative", "-n", metavar="X,Y", help="A point off the object. Repeatable.")
    ] = None,
    box: Annotated[
        str | None, typer.Option("--box", "-b", metavar="X0,Y0,X1,Y1", help="The box around the object.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to write: .png, .json (COCO), .svg, .geojson or .npz. "
            "By default NAME.mask.png beside the picture.",
            show_default=False,
        ),
    ] = None,
    multimask: Annotated[
        bool | None,
        typer.Option(
            "--multimask/--single",
            help="All three candidates, or the one-answer mask. By default the best of three for one lone point, "
            "else the one answer.",
            show_default=False,
        ),
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw the masks on the picture, too: NAME.overlay.png.")
    ] = False,
    model: Model = "pocket",
    device: Device = "auto",
    precision: Precision = "auto",
    weights: Weights = None,
) -> None:
    """The mask of the object at a [bold]point[/bold] or in a [bold]box[/bold]."""
    xy, labels = points(point or [], negative or [])
    corners = None if box is None else numbers(box, "--box", "x0,y0,x1,y1")

    target = output or picture.with_name(f"{picture.stem}.mask.png")

    from anymask import formats
    from anymask.images import read_image, save_image
    from anymask.segmenter import Segmenter

    formats.check(target)
    rgb = read_image(picture)
    image = Segmenter(model, device, precision, weights).encode(rgb)
    masks = image.predict(points=xy or None, labels=labels or None, box=corners, multimask=multimask)
    if multimask is None:
        masks = masks.best
    masks.save(target)
    for mask in masks:
        note(f"{target}: {mask.areas[0]} pixels, predicted IoU {mask.scores[0]:.2f}")
    if overlay:
        save_image(overlay_path(target), masks.overlay(rgb))
        note(f"{overlay_path(target)}: the overlay")


def overlay_path(target: Path) -> Path:
    """Where the overlay to a file of masks goes: beside it."""
    return target.with_name(target.stem.removesuffix(".mask").removesuffix(".masks") + OVERLAY)
