"""`anymask everything`: masks of all that is in a picture."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anymask.cli.batch import Overwrite, Recursive, carry_out, draw_overlay, is_lone, plan
from anymask.cli.options import Device, Model, Precision, Weights, note
from anymask.progress import progress

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """\
[bold]Examples[/bold]

  anymask everything photo.jpg --overlay

  anymask everything photo.jpg -o masks.svg --points-per-side 16

  anymask everything *.jpg -o masks/ --format png --crop-n-layers 1

  anymask everything photo.jpg --second-look
"""


def _option(name: str, help: str) -> Any:
    return typer.Option(f"--{name}", help=help, show_default=False, rich_help_panel="How to look, what to keep")


def everything(
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help="Pictures, or folders of pictures.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to write (.json COCO, .png, .svg, .geojson, .npz), or for several pictures the folder. "
            "By default NAME.masks.json beside the picture.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="The format, where --output names no file.")] = "json",
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw the masks on the picture, too: NAME.overlay.png.")
    ] = False,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    model: Model = "pocket",
    device: Device = "auto",
    precision: Precision = "auto",
    weights: Weights = None,
    points_per_side: Annotated[
        int | None, _option("points-per-side", "The grid has the square of this many points.")
    ] = None,
    points_per_batch: Annotated[int | None, _option("points-per-batch", "Points decoded at once.")] = None,
    pred_iou_thresh: Annotated[float | None, _option("pred-iou-thresh", "Drop masks of a lower predicted IoU.")] = None,
    stability_score_thresh: Annotated[
        float | None, _option("stability-score-thresh", "Drop masks that are less stable, 0 to 1.")
    ] = None,
    stability_score_offset: Annotated[
        float | None, _option("stability-score-offset", "How far the threshold moves to measure stability.")
    ] = None,
    box_nms_thresh: Annotated[
        float | None, _option("box-nms-thresh", "Of two masks whose boxes' IoU is higher, keep one.")
    ] = None,
    crop_n_layers: Annotated[
        int | None, _option("crop-n-layers", "Look again in crops: layer i has 2**i a side.")
    ] = None,
    crop_nms_thresh: Annotated[float | None, _option("crop-nms-thresh", "As --box-nms-thresh, between crops.")] = None,
    crop_overlap_ratio: Annotated[
        float | None, _option("crop-overlap-ratio", "How much crops overlap, as a share of the shorter side.")
    ] = None,
    crop_n_points_downscale_factor: Annotated[
        int | None, _option("crop-n-points-downscale-factor", "By how much the grid gets sparser with each layer.")
    ] = None,
    min_mask_region_area: Annotated[
        float | None, _option("min-mask-region-area", "Fill holes and remove islands of fewer pixels.")
    ] = None,
    second_look: Annotated[
        bool | None, _option("second-look/--one-look", "Ask for small masks once more in closer views.")
    ] = None,
) -> None:
    """Masks of [bold]everything[/bold] in a picture: SAM's automatic mask generation, with its option names.

    What is not given is as the model suits it, else as in SAM. FastSAM finds all in one step, without a grid; what its
    score and its boxes have to be say --pred-iou-thresh and --box-nms-thresh.
    """
    given = {
        "points_per_side": points_per_side,
        "points_per_batch": points_per_batch,
        "pred_iou_thresh": pred_iou_thresh,
        "stability_score_thresh": stability_score_thresh,
        "stability_score_offset": stability_score_offset,
        "box_nms_thresh": box_nms_thresh,
        "crop_n_layers": crop_n_layers,
        "crop_nms_thresh": crop_nms_thresh,
        "crop_overlap_ratio": crop_overlap_ratio,
        "crop_n_points_downscale_factor": crop_n_points_downscale_factor,
        "min_mask_region_area": min_mask_region_area,
        "second_look": second_look,
    }
    options = {name: value for name, value in given.items() if value is not None}
    todo = plan(pictures, output, f".masks.{format.lstrip('.')}", recursive, overwrite)

    from anymask import formats
    from anymask.images import read_image
    from anymask.segmenter import Segmenter

    for job in todo:
        formats.check(job.target)
    segmenter = Segmenter(model, device, precision, weights)

    def find(rgb: "np.ndarray", target: Path) -> None:
        with progress("Points") if is_lone(pictures) else nullcontext() as advance:
            masks = segmenter.encode(rgb).everything(on_progress=advance, **options)
        masks.save(target)
        note(f"{target}: {len(masks)} masks")
        if overlay:
            draw_overlay(masks, rgb, target)

    carry_out(pictures, todo, find, read_image)
