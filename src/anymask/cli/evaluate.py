"""`anymask evaluate`: how good a model's masks are on labelled pictures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anymask.cli.options import Device, Model, Precision, Robust, Weights, note
from anymask.errors import FormatError
from anymask.progress import progress

if TYPE_CHECKING:
    from anymask.evaluation.video import TracksResult

EXAMPLES = """\
[bold]Examples[/bold]

  anymask evaluate photos/ --limit 100

  anymask evaluate photos/ --model pocket --json pocket.json

  anymask evaluate photos/ --plots figures/

  anymask evaluate photos/ --task matte --model u2netp --plots figures/

  anymask evaluate BSDS500/val/ --task edges

  anymask evaluate DAVIS/ --task frames

  anymask evaluate photos/ --task everything --second-look

  anymask evaluate DAVIS/ --task video --plots figures/

  anymask evaluate DAVIS/ --task video --robust
"""

TASKS = ("prompts", "matte", "edges", "frames", "everything", "video")
Loaded = tuple[str, str, str, Path | None]  # model, device, precision, weights


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Pictures with masks in the SA-1B layout (NAME.jpg, NAME.json); for edges in BSDS500's (NAME.jpg, "
            "NAME.npz with segmentations); for frames and video in DAVIS's (CLIP/NNNNN.jpg, CLIP/NNNNN.png).",
            show_default=False,
        ),
    ],
    task: Annotated[
        str,
        typer.Option(
            "--task",
            help="prompts: boxes, clicks and the subject; matte: the subject's alpha; edges: boundaries out of all "
            "masks, by the Berkeley benchmark; frames: the main object of clips' first frames, from its box; "
            "everything: how many of the labelled objects a search finds; video: objects followed from the first frame "
            "on, by DAVIS's measures.",
        ),
    ] = "prompts",
    model: Model = "pocket",
    device: Device = "auto",
    precision: Precision = "auto",
    weights: Weights = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", min=1, help="How many objects (300), pictures or clips (all) at most.", show_default=False
        ),
    ] = None,
    min_area: Annotated[int, typer.Option("--min-area", min=1, help="Leave out objects of fewer pixels.")] = 400,
    seed: Annotated[int, typer.Option("--seed", help="Decides which are taken.")] = 0,
    second_look: Annotated[
        bool | None,
        typer.Option(
            "--second-look/--one-look",
            help="prompts, everything: whether small things are looked at twice; by default as the model does.",
            show_default=False,
        ),
    ] = None,
    second_pass: Annotated[
        bool | None,
        typer.Option(
            "--second-pass/--one-pass",
            help="prompts: whether answers are asked for once more; by default as the model does.",
            show_default=False,
        ),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option("--masks", help="matte: a folder of grey masks NAME.png, in place of JSON files.")
    ] = None,
    refine: Annotated[bool, typer.Option("--refine/--no-refine", help="matte: with refined edges.")] = True,
    preprocessing: Annotated[str, typer.Option("--preprocessing", help="matte: original or rembg.")] = "original",
    plots: Annotated[
        Path | None,
        typer.Option("--plots", help="Write figures, and what is good and bad as pictures, to this folder."),
    ] = None,
    min_score: Annotated[
        float, typer.Option("--min-score", min=0, max=1, help="edges: leave out masks not above this predicted IoU.")
    ] = 0.0,
    min_stability: Annotated[
        float, typer.Option("--min-stability", min=0, max=1, help="edges: leave out masks less stable than this.")
    ] = 0.0,
    weigh: Annotated[
        bool, typer.Option("--weigh/--no-weigh", help="edges: masks count as much as their predicted IoU.")
    ] = False,
    agreement: Annotated[
        bool,
        typer.Option("--agreement/--largest", help="edges: masks add up, or the largest counts, as in SAM's paper."),
    ] = True,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            min=1,
            help="frames: so many of each clip, evenly spread (1); video: so many, from the first one on (all).",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option("--start", help="video: from the first frame's mask, or from a click; by default from both."),
    ] = None,
    robust: Robust = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file, too.")] = None,
) -> None:
    """How good a model is: mean IoU by kind of prompt, the measures of its mattes, the boundaries and objects that it
    finds."""
    if task not in TASKS:
        raise FormatError(f"A task is {', '.join(TASKS[:-1])} or {TASKS[-1]}, not {task!r}.")
    if plots is not None:
        plots.mkdir(parents=True, exist_ok=True)
    loaded = (model, device, precision, weights)
    if task == "prompts":
        most = 300 if limit is None else limit
        figures = _prompts(folder, loaded, most, min_area, seed, second_look, second_pass, plots)
    elif task == "matte":
        figures = _mattes(folder, loaded, limit, seed, masks, refine, preprocessing, plots)
    elif task == "edges":
        figures = _edges(folder, loaded, limit, seed, agreement, min_score, min_stability, weigh, plots)
    elif task == "frames":
        figures = _frames(folder, loaded, 1 if frames is None else frames, plots)
    elif task == "everything":
        figures = _proposals(folder, loaded, limit, min_area, seed, second_look)
    else:
        figures = _video(folder, loaded, robust, limit, frames, start, plots)
    _write(json_path, figures)


def _prompts(
    folder: Path,
    loaded: Loaded,
    limit: int,
    min_area: int,
    seed: int,
    second_look: bool | None,
    second_pass: bool | None,
    plots: Path | None,
) -> dict[str, object]:
    from anymask.evaluation.protocol import evaluate as measure

    with progress("Evaluating") as advance:
        result = measure(
            folder,
            *loaded,
            limit=limit,
            min_area=min_area,
            seed=seed,
            second_look=second_look,
            second_pass=second_pass,
            on_progress=advance,
        )
    _table(
        ("prompt", "mean IoU", "objects"),
        [(kind, f"{value:.3f}", str(result.counts[kind])) for kind, value in result.rows.items()],
    )
    if plots is not None:
        from anymask.evaluation.plots import object_sheet, subject_sheet

        object_sheet(result, plots / "objects.png")
        written = ["objects.png"]
        if result.subjects:
            subject_sheet(result, plots / "subjects.png")
            written.append("subjects.png")
        note(f"{plots}: {', '.join(written)}")
    return result.to_dict()


def _mattes(
    folder: Path,
    loaded: Loaded,
    limit: int | None,
    seed: int,
    masks: Path | None,
    refine: bool,
    preprocessing: str,
    plots: Path | None,
) -> dict[str, object]:
    from anymask.background import BackgroundRemover
    from anymask.evaluation.matte import evaluate_mattes
    from anymask.evaluation.plots import contact_sheet, plot_curves

    remover = BackgroundRemover(*loaded, preprocessing)
    with progress("Evaluating") as advance:
        result = evaluate_mattes(
            folder, remover, masks=masks, refine=refine, limit=limit, seed=seed, on_progress=advance
        )
    _table(("measure", "value"), [(name, f"{value:.3f}") for name, value in result.rows.items()])
    note(f"{len(result.pictures)} pictures")
    if plots is not None:
        plot_curves(result, plots / "curves.png")
        contact_sheet(result, remover, plots / "pictures.png", refine)
        note(f"{plots}: curves.png, pictures.png")
    return result.to_dict()


def _edges(
    folder: Path,
    loaded: Loaded,
    limit: int | None,
    seed: int,
    agreement: bool,
    min_score: float,
    min_stability: float,
    weigh: bool,
    plots: Path | None,
) -> dict[str, object]:
    from anymask.evaluation.edges import PAPER, EdgeOptions, evaluate_edges
    from anymask.segmenter import Segmenter

    kind = EdgeOptions() if agreement else PAPER
    options = replace(kind, min_score=min_score, min_stability=min_stability, weigh=weigh)
    with progress("Evaluating") as advance:
        result = evaluate_edges(
            folder, Segmenter(*loaded), options=options, limit=limit, seed=seed, on_progress=advance
        )
    rows = [(result.model, result.scores), *([("Canny", result.canny)] if result.canny else [])]
    _table(
        ("boundaries", "ODS", "OIS", "AP"),
        [(name, *(f"{value:.3f}" for value in (one.ods, one.ois, one.ap))) for name, one in rows],
    )
    note(f"{len(result.pictures)} pictures")
    if plots is not None:
        from anymask.evaluation.plots import edge_sheet, plot_boundaries

        edge_sheet(result, plots / "edges.png")
        plot_boundaries(result, plots / "boundaries.png")
        note(f"{plots}: edges.png, boundaries.png")
    return result.to_dict()


def _frames(folder: Path, loaded: Loaded, frames: int, plots: Path | None) -> dict[str, object]:
    from anymask.background import BackgroundRemover
    from anymask.evaluation.frames import evaluate_frames

    with progress("Evaluating") as advance:
        result = evaluate_frames(folder, BackgroundRemover(*loaded), frames=frames, on_progress=advance)
    names = [f"{one.path.parent.name}/{one.path.stem}" for one in result.frames]
    rows = [(name, one.cutout, one.mask) for name, one in zip(names, result.frames, strict=True)]
    rows.append(("mean", result.rows["cut-out"], result.rows["mask"]))
    _table(
        ("frame", "cut-out's IoU", "mask's IoU"),
        [(name, f"{cutout:.3f}", f"{mask:.3f}") for name, cutout, mask in rows],
    )
    if plots is not None:
        from anymask.evaluation.plots import frame_sheet

        frame_sheet(result, plots / "frames.png")
        note(f"{plots}: frames.png")
    return result.to_dict()


def _proposals(
    folder: Path, loaded: Loaded, limit: int | None, min_area: int, seed: int, second_look: bool | None
) -> dict[str, object]:
    from anymask.evaluation.proposals import evaluate_proposals
    from anymask.segmenter import Segmenter

    options = {} if second_look is None else {"second_look": second_look}
    with progress("Evaluating") as advance:
        result = evaluate_proposals(
            folder,
            Segmenter(*loaded),
            options=options,
            limit=limit,
            min_area=min_area,
            seed=seed,
            on_progress=advance,
        )
    _table(
        ("objects", "average recall", "mean best IoU", "number"),
        [
            (size, f"{recall:.3f}", f"{iou:.3f}", str(result.counts[size]))
            for size, (recall, iou) in result.rows.items()
        ],
    )
    note(f"{result.masks:.1f} masks a picture")
    return result.to_dict()


def _video(
    folder: Path,
    loaded: Loaded,
    robust: bool,
    limit: int | None,
    frames: int | None,
    start: list[str] | None,
    plots: Path | None,
) -> dict[str, object]:
    from anymask.evaluation.video import STARTS, evaluate_video
    from anymask.tracker import Tracker

    for one in start or ():
        if one not in STARTS:
            raise FormatError(f"Tracking starts from {' or '.join(STARTS)}, not {one!r}.")
    starts = tuple(start) if start else STARTS
    with progress("Evaluating") as advance:
        result = evaluate_video(
            folder, Tracker(*loaded, robust), starts=starts, frames=frames, limit=limit, on_progress=advance
        )
    rows = [(sequence, *one) for sequence in result.sequences for one in _tracked(result, sequence)]
    _table(("clip", "from", "method", "J", "F", "J&F"), [*rows, *(("mean", *one) for one in _tracked(result, None))])
    note(f"{result.model}: {result.fps:.2f} frames a second")
    if plots is not None:
        from anymask.evaluation.plots import plot_tracks

        plot_tracks(result, plots / "tracks.png")
        note(f"{plots}: tracks.png")
    return result.to_dict()


def _tracked(result: "TracksResult", sequence: str | None) -> list[tuple[str, str, str, str, str]]:
    rows = []
    for start in result.starts:
        for method in result.methods:
            j, f, both = (f"{value:.3f}" for value in result.mean(start, method, sequence))
            rows.append((start, method, j, f, both))
    return rows


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _write(path: Path | None, figures: dict[str, object]) -> None:
    if path is None:
        return
    from anymask.images import write_atomic

    write_atomic(path, (json.dumps(figures, indent=2) + "\n").encode())
    note(f"{path}: the figures")
