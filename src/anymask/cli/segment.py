"""`anymask segment`: a mask for points and a box."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anymask.cli.batch import Overwrite, Recursive, carry_out, draw_overlay, is_lone, plan
from anymask.cli.options import Device, Model, Precision, Weights, note, numbers, points
from anymask.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from anymask.folders import Job
    from anymask.formats.prompts import NamedPrompt

EXAMPLES = """\
[bold]Examples[/bold]

  anymask segment photo.jpg --point 420,310

  anymask segment photo.jpg --box 100,80,560,420 --negative 500,100 -o car.svg

  anymask segment photo.jpg --point 420,310 --multimask --overlay

  anymask segment photos/ --prompts prompts.json -o masks/ --format json

[bold]prompts.json[/bold] holds for each picture the list of what to find; labels and names may be left out:

  {"a.jpg": [{"points": [[420, 310], [9, 9]], "labels": [1, 0]},
             {"box": [100, 80, 560, 420], "name": "car"}]}
"""


def segment(
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help="Pictures, or folders of pictures.", show_default=False)
    ],
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
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts", help="A JSON file with the prompts of each picture instead (see below).", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to write (.png, .json COCO, .svg, .geojson, .npz), or for several pictures the folder. "
            "By default NAME.mask.png beside the picture.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="The format, where --output names no file.")] = "png",
    multimask: Annotated[
        bool | None,
        typer.Option(
            "--multimask/--single",
            help="All three candidates, or the one-answer mask. By default the best of three for one lone point, "
            "else the one answer.",
            show_default=False,
        ),
    ] = None,
    second_look: Annotated[
        bool | None,
        typer.Option(
            "--second-look/--one-look",
            help="Encode the part of the picture round something small once more, larger. By default pocket does for "
            "boxes and other models do not.",
            show_default=False,
        ),
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw the masks on the picture, too: NAME.overlay.png.")
    ] = False,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    model: Model = "pocket",
    device: Device = "auto",
    precision: Precision = "auto",
    weights: Weights = None,
) -> None:
    """The mask of the object at a [bold]point[/bold] or in a [bold]box[/bold].

    Several prompts of one picture become one file, with a mask for each. Points and box without --prompts are asked of
    every picture.
    """
    given = points(point or [], negative or [])
    corners = None if box is None else numbers(box, "--box", "x0,y0,x1,y1")
    if prompts and (point or negative or box):
        raise PromptError("Give either --prompts or points and a box on the command line, not both.")
    todo = plan(pictures, output, f".mask.{format.lstrip('.')}", recursive, overwrite)

    from anymask import formats
    from anymask.formats.prompts import NamedPrompt, names
    from anymask.images import read_image
    from anymask.masks import Masks
    from anymask.prompts import Prompt
    from anymask.segmenter import Segmenter

    for job in todo:
        formats.check(job.target)
    if prompts:
        asked = _asked(prompts, todo)
        todo = [job for job in todo if job.source in asked]
    else:
        same = [NamedPrompt(Prompt(*given, corners))]
        asked = {job.source: same for job in todo}
    segmenter = Segmenter(model, device, precision, weights)

    def read(source: Path) -> "tuple[np.ndarray, Sequence[NamedPrompt]]":
        return read_image(source), asked[source]

    def find(picture: "tuple[np.ndarray, Sequence[NamedPrompt]]", target: Path) -> None:
        rgb, wanted = picture
        answers = segmenter.encode(rgb).predict_batch([one.prompt for one in wanted], multimask, second_look)
        if multimask is None:
            answers = [answer.best for answer in answers]
        masks = Masks.concatenate(answers)
        categories = names(wanted)
        if categories is not None:
            masks.extra["name"] = categories.repeat([len(answer) for answer in answers])
        masks.save(target)
        for mask in masks:
            note(f"{target}: {mask.areas[0]} pixels, predicted IoU {mask.scores[0]:.2f}")
        if overlay:
            draw_overlay(masks, rgb, target)

    if is_lone(pictures):
        for job in todo:
            find(read(job.source), job.target)
    else:
        carry_out(pictures, todo, find, read)


def _asked(path: Path, todo: "list[Job]") -> "dict[Path, Sequence[NamedPrompt]]":
    """The prompts of each picture, out of a file; says which pictures have none, and which prompts have no picture.

    Raises PromptError for a file that is no such file, or that has nothing for any of the pictures.
    """
    from anymask.formats.prompts import match, read_prompts

    sources = [job.source for job in todo]
    asked, homeless = match(read_prompts(path), sources)
    if not asked:
        raise PromptError(f"{path} has no prompts for any of the pictures; its keys are pictures' names.")
    bare = [source.name for source in sources if source not in asked]
    if bare:
        note(f"Without prompts in {path.name}, left out: {_listed(bare)}")
    if homeless:
        note(f"In {path.name}, but not among the pictures: {_listed(homeless)}")
    return asked


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
