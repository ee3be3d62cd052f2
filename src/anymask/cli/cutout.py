"""`anymask cutout`: the subject, or what is pointed at, without its background."""

from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.batch import Overwrite, Recursive
from anymask.cli.options import Device, Model, Precision, Weights, numbers, points

EXAMPLES = """\
[bold]Examples[/bold]

  anymask cutout photo.jpg

  anymask cutout photo.jpg --background white -o passport.jpg

  anymask cutout photo.jpg --point 420,310 --model sam_vit_b

  anymask cutout shoes/ -o shop/ --crop --margin 8% --pad square --shadow --format webp

  anymask cutout clip.mp4 -o clip.webm --model modnet

  curl -s https://example.org/photo.jpg | anymask cutout - > cut.png

rembg's options (-a -af -ab -ae -om -ppm -dc -vm -bgc -w -d) work as they do there; docs/from_rembg.md has the rest.
"""

WHAT, EDGES, FINISH, OUTPUT, MODEL = "What is cut out", "Edges", "Finish", "Output", "Model"


def cutout(
    pictures: Annotated[
        list[Path],
        typer.Argument(
            metavar="PICTURE...",
            help="Pictures, clips, folders of pictures, or - for standard input.",
            show_default=False,
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
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(
            "--point", "-p", metavar="X,Y", help="A point on what is wanted; repeatable.", rich_help_panel=WHAT
        ),
    ] = None,
    negative: Annotated[
        list[str] | None,
        typer.Option("--negative", "-n", metavar="X,Y", help="A point off it; repeatable.", rich_help_panel=WHAT),
    ] = None,
    box: Annotated[
        str | None, typer.Option("--box", metavar="X0,Y0,X1,Y1", help="A box around it.", rich_help_panel=WHAT)
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="NAMES", help="Of u2net_cloth_seg: upper,lower,full.", rich_help_panel=WHAT),
    ] = None,
    each: Annotated[
        bool,
        typer.Option(
            "--each", help="A file for each class or separate subject: NAME.1.cutout.png.", rich_help_panel=WHAT
        ),
    ] = False,
    edges: Annotated[
        str,
        typer.Option("--edges", help="fast, closed-form (the matting extra), vitmatte or none.", rich_help_panel=EDGES),
    ] = "fast",
    refine: Annotated[
        bool, typer.Option("--refine/--no-refine", help="Let the edges follow the picture's.", rich_help_panel=EDGES)
    ] = True,
    alpha_matting: Annotated[
        bool, typer.Option("--alpha-matting", "-a", help="The same as --edges closed-form.", rich_help_panel=EDGES)
    ] = False,
    vitmatte: Annotated[
        bool, typer.Option("--vitmatte", "-vm", help="The same as --edges vitmatte.", rich_help_panel=EDGES)
    ] = False,
    foreground_threshold: Annotated[
        int,
        typer.Option(
            "--alpha-matting-foreground-threshold",
            "-af",
            help="Closed-form and vitmatte: above this of 255 is subject.",
            rich_help_panel=EDGES,
        ),
    ] = 240,
    background_threshold: Annotated[
        int,
        typer.Option(
            "--alpha-matting-background-threshold", "-ab", help="... below, background.", rich_help_panel=EDGES
        ),
    ] = 10,
    erode: Annotated[
        int,
        typer.Option(
            "--alpha-matting-erode-size", "-ae", help="... pixels to doubt around either.", rich_help_panel=EDGES
        ),
    ] = 10,
    foreground: Annotated[
        bool,
        typer.Option(
            "--foreground/--no-foreground",
            help="Take the old background's colours out of the edges.",
            rich_help_panel=EDGES,
        ),
    ] = True,
    decontaminate: Annotated[
        bool, typer.Option("--decontaminate", "-dc", help="rembg's name for --foreground.", hidden=True)
    ] = False,
    clean: Annotated[
        bool,
        typer.Option("--post-process-mask", "-ppm", help="A hard mask with a smooth outline.", rich_help_panel=EDGES),
    ] = False,
    mask_only: Annotated[
        bool,
        typer.Option(
            "--mask-only",
            "--only-mask",
            "-om",
            help="Write the matte in grey instead: NAME.matte.png.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    background: Annotated[
        str | None,
        typer.Option(
            "--background",
            "-b",
            metavar="COLOUR|PICTURE|blur",
            help="Put the subject over a colour (red, #f2c14e), a picture, or its own background out of focus.",
            rich_help_panel=FINISH,
        ),
    ] = None,
    bgcolor: Annotated[
        tuple[int, int, int, int] | None,
        typer.Option(
            "--bgcolor", "-bgc", metavar="R G B A", help="A colour as rembg takes it.", rich_help_panel=FINISH
        ),
    ] = None,
    crop: Annotated[bool, typer.Option("--crop", help="Cut off what is no subject.", rich_help_panel=FINISH)] = False,
    margin: Annotated[
        str, typer.Option("--margin", metavar="SHARE", help="What --crop leaves around it.", rich_help_panel=FINISH)
    ] = "0%",
    outline: Annotated[
        str | None,
        typer.Option(
            "--outline", metavar="SHARE[:COLOUR]", help="As of a sticker: 1.5%, 2%:red.", rich_help_panel=FINISH
        ),
    ] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="A soft shadow under it.", rich_help_panel=FINISH)] = False,
    pad: Annotated[
        str | None,
        typer.Option("--pad", metavar="SHAPE", help="In the middle of a canvas: square, 4:5.", rich_help_panel=FINISH),
    ] = None,
    format: Annotated[
        str,
        typer.Option("--format", help="png, webp, tiff ..., where --output names no file.", rich_help_panel=OUTPUT),
    ] = "png",
    quality: Annotated[
        int | None, typer.Option("--quality", min=1, max=100, help="Of JPEG, WebP and AVIF.", rich_help_panel=OUTPUT)
    ] = None,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Go on with what comes into the folder, until Ctrl-C or a file stop.txt."),
    ] = False,
    delete_input: Annotated[
        bool, typer.Option("--delete-input", "-d", help="Delete each picture when its result is written.")
    ] = False,
    frames: Annotated[
        str | None,
        typer.Option("--frames", metavar="WIDTHxHEIGHT", help="Standard input is raw RGB frames; -o out/%05d.png."),
    ] = None,
    smooth: Annotated[bool, typer.Option("--smooth/--no-smooth", help="Clips: less flicker, one frame late.")] = True,
    audio: Annotated[bool, typer.Option("--audio/--no-audio", help="Clips: keep the sound.")] = True,
    model: Model = "pocket",
    device: Device = "auto",
    precision: Precision = "auto",
    weights: Weights = None,
    preprocessing: Annotated[
        str, typer.Option("--preprocessing", help="original, or rembg: that package's recipe for the network.")
    ] = "original",
) -> None:
    """The subject of a picture, [bold]cut out[/bold] from its background; or what you point at.

    Folders are worked through as a whole: what is there already is skipped, a bad picture is named at the end (exit
    code 1). Clips need the video extra.
    """
    from anymask.background import BackgroundRemover, MatteOptions
    from anymask.cli.cutting import Job, carry_out_cutouts
    from anymask.compositing import BLUR, load_background, opaque_color
    from anymask.errors import ImageError, PromptError
    from anymask.matting import Trimap
    from anymask.prompts import Prompt
    from anymask.recipe import Recipe, parse_ratio, parse_share

    method = "vitmatte" if vitmatte else "closed-form" if alpha_matting else edges
    options = MatteOptions(trimap=Trimap(foreground_threshold, background_threshold, erode), clean=clean)
    if point or negative or box:
        xy, labels = points(point or [], negative or [])
        corners = None if box is None else numbers(box, "--box", "x0,y0,x1,y1")
        options["prompt"] = Prompt(points=xy or None, labels=labels or None, box=corners)
    if classes is not None:
        options["classes"] = [name.strip() for name in classes.split(",")]
    line = None
    if outline is not None:
        share, _, colour = outline.partition(":")
        line = parse_share(share), opaque_color(colour or "white")
    if bgcolor is not None and not all(0 <= part <= 255 for part in bgcolor):
        raise ImageError(f"A colour is four numbers of 0 to 255 (red, green, blue, alpha), not {bgcolor}.")
    if each and "prompt" in options:
        raise PromptError("--each is for the subjects that a model finds by itself, not for points and boxes.")
    recipe = Recipe(
        mask_only=mask_only,
        background=background if background in (None, BLUR) else load_background(background),
        tint=bgcolor if bgcolor is not None and bgcolor[3] else None,
        refine=method if refine else False,
        foreground=foreground or decontaminate,
        options=options,
        crop=parse_share(margin) if crop else None,
        outline=line,
        shadow=shadow,
        pad=None if pad is None else parse_ratio(pad),
    )
    carry_out_cutouts(
        Job(
            pictures=pictures,
            output=output,
            recipe=recipe,
            each=each,
            format=format,
            quality=quality,
            recursive=recursive,
            overwrite=overwrite,
            watch=watch,
            delete_input=delete_input,
            frames=frames,
            smooth=smooth,
            audio=audio,
        ),
        lambda: BackgroundRemover(model, device, precision, weights, preprocessing),
    )
