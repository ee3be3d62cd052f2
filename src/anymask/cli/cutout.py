"""`anymask cutout`: the subject without its background."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.batch import Overwrite, Recursive, carry_out, is_lone, plan
from anymask.cli.options import Device, Model, Precision, Weights, note
from anymask.errors import ImageError

EXAMPLES = """\
[bold]Examples[/bold]

  anymask cutout photo.jpg

  anymask cutout photo.jpg --background white -o passport.jpg

  anymask cutout photos/ -o cut/ --recursive --format webp

  curl -s https://example.org/photo.jpg | anymask cutout - > cut.png
"""

STREAM = Path("-")


def cutout(
    pictures: Annotated[
        list[Path],
        typer.Argument(
            metavar="PICTURE...", help="Pictures, folders of pictures, or - for standard input.", show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to write, the folder, or - for standard output. "
            "By default NAME.cutout.png beside the picture.",
            show_default=False,
        ),
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(
            "--background",
            "-b",
            metavar="COLOUR|PICTURE",
            help="Put the subject over a colour (red, #f2c14e) or a picture.",
        ),
    ] = None,
    mask_only: Annotated[
        bool, typer.Option("--mask-only", help="Write the matte in grey instead: NAME.matte.png.")
    ] = False,
    refine: Annotated[bool, typer.Option("--refine/--no-refine", help="Let the edges follow the picture's.")] = True,
    foreground: Annotated[
        bool, typer.Option("--foreground/--no-foreground", help="Take the old background's colours out of the edges.")
    ] = True,
    format: Annotated[str, typer.Option("--format", help="png or webp, where --output names no file.")] = "png",
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    model: Model = "pocket",
    device: Device = "auto",
    precision: Precision = "auto",
    weights: Weights = None,
) -> None:
    """The subject of a picture, [bold]cut out[/bold] from its background.

    Folders are worked through as a whole: what is there already is skipped, a bad picture is named at the end (exit
    code 1).
    """
    streams = STREAM in pictures or output == STREAM
    if streams and (len(pictures) > 1 or pictures[0].is_dir()):
        raise ImageError("With - for standard input or output, give one picture at a time.")
    suffix = f".{'matte' if mask_only else 'cutout'}.{format.lstrip('.')}"
    todo = [] if streams else plan(pictures, output, suffix, recursive, overwrite)

    from PIL import Image

    from anymask.background import BackgroundRemover
    from anymask.compositing import load_background
    from anymask.images import encode_image, write_atomic

    for target in {job.target.suffix: job.target for job in todo}.values():
        encode_image(Image.new("1", (1, 1)), target.suffix)  # an unknown format is refused before the work
    behind = None if background is None else load_background(background)
    remover = BackgroundRemover(model, device, precision, weights)

    def cut(source: Path | bytes, form: str) -> bytes:
        if mask_only:
            return encode_image((remover.matte(source, refine) * 255 + 0.5).astype("uint8"), form)
        image = remover.remove(source, behind, refine=refine, foreground=foreground)
        return encode_image(image, form, icc_profile=image.info.get("icc_profile"), dpi=image.info.get("dpi"))

    def cut_file(source: Path, target: Path) -> None:
        write_atomic(target, cut(source, target.suffix))

    if not streams:
        carry_out(pictures, todo, cut_file)
        if is_lone(pictures):
            note(f"{todo[0].target}: the {'matte' if mask_only else 'cut-out'}")
        return
    source = sys.stdin.buffer.read() if pictures == [STREAM] else pictures[0]
    if output in (None, STREAM):
        sys.stdout.buffer.write(cut(source, format))
        sys.stdout.buffer.flush()
    else:
        write_atomic(output, cut(source, output.suffix))
