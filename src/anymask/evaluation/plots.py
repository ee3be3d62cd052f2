"""Figures of how good a model is: curves, spread, and the pictures themselves from the best to the worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from anymask import rle
from anymask.background import BackgroundRemover, Choice
from anymask.compositing import CutOut
from anymask.errors import MissingExtraError
from anymask.evaluation.boundaries import BoundaryScores, read_boundaries
from anymask.evaluation.edges import EdgesResult
from anymask.evaluation.frames import FramesResult
from anymask.evaluation.matte import MatteResult
from anymask.evaluation.protocol import EvaluationResult, ObjectResult, box_of
from anymask.evaluation.video import STILL, TracksResult
from anymask.foreground import estimate_foreground
from anymask.images import read_image
from anymask.placement import Box

INK, SOFT = "#2b2d42", "#3a86c8"
CELL = 240, 180  # width and height of a picture on the sheet
MAGENTA = (255, 0, 255)
FOUND, TRUE, PROMPT = (255, 64, 129), (255, 255, 255), (255, 214, 0)
COLUMNS = 6  # of a sheet: so many of the best, of the middle and of the worst
GAP, TITLE, CAPTION = 6, 30, 20  # pixels between cells, over a row and under a cell

Item = TypeVar("Item")


@dataclass(frozen=True)
class Cell:
    """One answer on a sheet: a picture, the RLEs of what was found and of the truth, what was asked, a line below."""

    path: Path
    found: rle.RLE
    truth: rle.RLE
    caption: str
    box: Box | None = None
    click: tuple[float, float] | None = None


def object_sheet(result: EvaluationResult, path: Path) -> None:
    """Answers to the true box and to one click, as one PNG: of each the best, the middle and the worst by IoU."""
    rows: list[tuple[str, list[Cell]]] = []
    for title, kind in (("true box", "box"), ("one click, the mask ranked first", "1 click, chosen")):
        about = f"of {len(result.objects)} objects (mean {result.rows[kind]:.3f})"
        for name, chosen in _spread(result.objects, [one.ious[kind] for one in result.objects]):
            rows.append((f"{title}: {name} {about}", [_answer(one, kind) for one in chosen]))
    _sheet(rows, path)


def _answer(one: ObjectResult, kind: str) -> Cell:
    caption = f"IoU {one.ious[kind]:.2f}"
    if kind == "box":
        return Cell(one.path, one.predicted[kind], one.truth, caption, box=one.box)
    caption += f", best of three {one.ious['1 click']:.2f}"
    return Cell(one.path, one.predicted[kind], one.truth, caption, click=one.click)


def subject_sheet(result: EvaluationResult, path: Path) -> None:
    """Subjects that were cut out without a prompt, as one PNG: the best, the middle and the worst by IoU."""
    about = f"of {len(result.subjects)} pictures (mean {result.rows['subject']:.3f})"
    _sheet(
        [
            (f"subject: {name} {about}", [Cell(o.path, o.predicted, o.truth, f"IoU {o.iou:.2f}") for o in chosen])
            for name, chosen in _spread(result.subjects, [one.iou for one in result.subjects])
        ],
        path,
    )


def frame_sheet(result: FramesResult, path: Path) -> None:
    """Cut-outs of clips' frames, as one PNG: all of them where they are few, else the best, the middle, the worst."""
    if len(result.frames) <= 2 * COLUMNS:
        ordered = sorted(result.frames, key=lambda one: -one.cutout)
        groups = [("from the best on", ordered[:COLUMNS]), ("the others", ordered[COLUMNS:])]
    else:
        groups = _spread(result.frames, [one.cutout for one in result.frames])
    about = f"of {len(result.frames)} frames (mean {result.rows['cut-out']:.3f})"
    rows = []
    for name, chosen in groups:
        cells = [
            Cell(one.path, one.predicted, one.truth, f"IoU {one.cutout:.2f}  {one.path.parent.name}", one.box)
            for one in chosen
        ]
        if cells:
            rows.append((f"cut-out from the true box: {name} {about}", cells))
    _sheet(rows, path)


def edge_sheet(result: EdgesResult, path: Path, rows: int = 3) -> None:
    """Pictures beside their edges and those of all annotators, dark where they agree, as one PNG: the best, the middle
    and the worst by F."""
    groups = _spread(result.pictures, [one.f for one in result.pictures], rows)
    width, height = CELL
    sheet = Image.new("RGB", (3 * width + 4 * GAP, sum(_row(len(chosen)) for _, chosen in groups)), "white")
    pen, top = ImageDraw.Draw(sheet), 0
    for name, chosen in groups:
        pen.text((GAP, top + 7), f"{name} of {len(result.pictures)} pictures (F of each)", INK, _font(15))
        for row, one in enumerate(chosen):
            y = top + TITLE + row * (height + CAPTION)
            boundaries = read_boundaries(one.path.with_suffix(".npz"))
            shown = (
                Image.fromarray(read_image(one.path)),
                _drawn(one.edges / 255),
                _drawn(np.mean(boundaries, axis=0)),
            )
            for column, image in enumerate(shown):
                fitted = ImageOps.pad(image, CELL, color="white")
                sheet.paste(fitted, (GAP + column * (width + GAP), y))
            pen.text((GAP, y + height + 3), f"{one.f:.2f}  {one.path.stem}", INK, _font(12))
        top += _row(len(chosen))
    sheet.save(path)


def plot_boundaries(result: EdgesResult, path: Path) -> None:
    """Precision over recall of a model's edges, and of Canny's where these were measured, as one PNG.

    Raises MissingExtraError without matplotlib.
    """
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(4.6, 4.2), layout="constrained")
    curves: list[tuple[str, BoundaryScores | None, str]] = [
        (result.model, result.scores, SOFT),
        ("Canny", result.canny, INK),
    ]
    for name, scores, color in curves:
        if scores is not None:
            reached = scores.precision > 0
            label = f"{name}, ODS {scores.ods:.3f}"
            axes.plot(scores.recall[reached], scores.precision[reached], color=color, label=label)
    axes.legend(frameon=False, loc="lower left")
    _style(axes, "recall", "precision", (0, 1.02), (0, 1.02))
    figure.suptitle(f"{len(result.pictures)} pictures", color=INK)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def plot_curves(result: MatteResult, path: Path) -> None:
    """Precision over recall, F-measure over the threshold, and how the pictures' IoUs spread, as one PNG.

    Raises MissingExtraError without matplotlib.
    """
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    curves = result.curves
    axes[0].plot(curves["recall"], curves["precision"], color=SOFT)
    _style(axes[0], "recall", "precision", (0, 1.02), (0, 1.02))
    axes[1].plot(np.arange(256) / 255, curves["f_measure"][::-1], color=SOFT)
    _style(axes[1], "threshold of alpha", "F-measure", (0, 1), (0, 1.02))
    ious = [one.iou for one in result.pictures]
    axes[2].hist(ious, bins=20, range=(0, 1), color=SOFT)
    axes[2].axvline(float(np.mean(ious)), color=INK, linestyle="--", linewidth=1)
    _style(axes[2], "IoU (dashed: the mean)", "pictures", (0, 1), None)
    figure.suptitle(f"{result.model}: {len(ious)} pictures", color=INK)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def plot_tracks(result: TracksResult, path: Path) -> None:
    """J&F over time as one PNG: a row for each clip, a column for each start; of several objects the mean.

    Raises MissingExtraError without matplotlib.
    """
    pyplot = _pyplot()
    rows, columns = len(result.sequences), len(result.starts)
    size = (4.4 * columns, 2.3 * rows + 0.4)
    figure, grid = pyplot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for row, sequence in enumerate(result.sequences):
        for axes, start in zip(grid[row], result.starts, strict=True):
            for method in result.methods:
                chosen = [t for t in result.tracks if (t.sequence, t.start, t.method) == (sequence, start, method)]
                values = np.mean([(one.j + one.f) / 2 for one in chosen], axis=0)
                own = method == result.model
                line = "-" if own else ":" if method == STILL else "--"
                axes.plot(values, line, color=SOFT if own else INK, linewidth=2 if own else 1.2, label=method)
            _style(axes, "frame", "J&F", (0, len(values) - 1), (0, 1.02))
            axes.set_title(f"{sequence}, from the first frame's {start}", color=INK, fontsize="medium")
    grid[0][0].legend(frameon=False, fontsize="small", loc="lower left")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def contact_sheet(
    result: MatteResult, remover: BackgroundRemover, path: Path, refine: Choice = True, rows: int = 4
) -> None:
    """The worst, the middle and the best pictures, each beside its cut-out over magenta, as one PNG."""
    order = sorted(result.pictures, key=lambda one: one.iou)
    middle = max(0, len(order) // 2 - rows // 2)
    columns = [order[:rows], order[middle : middle + rows], order[-rows:][::-1]]
    width, height = CELL
    sheet = Image.new("RGB", (len(columns) * (2 * width + 12), rows * (height + 6)), "white")
    for column, chosen in enumerate(columns):
        for row, one in enumerate(chosen):
            rgb = read_image(one.path)
            alpha = remover.matte(rgb, refine)
            cut = CutOut(estimate_foreground(rgb, alpha), alpha).over(MAGENTA)
            for place, image in enumerate((Image.fromarray(rgb), cut)):
                small = ImageOps.pad(image, CELL, color="white")
                sheet.paste(small, (column * (2 * width + 12) + place * width, row * (height + 6)))
    sheet.save(path)


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError('Plots need the evaluate extra: pip install "anymask[evaluate]".') from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _spread(items: Sequence[Item], values: Sequence[float], count: int = COLUMNS) -> list[tuple[str, list[Item]]]:
    """The best, the middle and the worst, at most `count` of each; fewer where there are few."""
    order = [items[index] for index in np.argsort(-np.asarray(values), kind="stable")]
    count = max(1, min(count, len(order) // 3))
    start = (len(order) - count) // 2
    return [
        ("the best", order[:count]), ("the middle", order[start : start + count]), ("the worst", order[-count:]),
    ]  # fmt: skip


def _sheet(rows: Sequence[tuple[str, Sequence[Cell]]], path: Path) -> None:
    """Rows of cells, each with its title, as one PNG."""
    width, height = CELL
    columns = max(len(cells) for _, cells in rows)
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, len(rows) * _row(1)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (title, cells) in enumerate(rows):
        top = row * _row(1)
        pen.text((GAP, top + 7), title, INK, _font(15))
        for column, cell in enumerate(cells):
            left = GAP + column * (width + GAP)
            sheet.paste(Image.fromarray(_painted(cell)), (left, top + TITLE))
            pen.text((left, top + TITLE + height + 3), cell.caption, INK, _font(12))
    sheet.save(path)


def _row(cells: int) -> int:
    """The height of a titled row, or of so many cells under one title, in pixels."""
    return TITLE + cells * (CELL[1] + CAPTION)


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _painted(cell: Cell) -> np.ndarray:
    """The part of the picture round the object, or all of it where no prompt says where to look: what was found in
    colour, the truth as a line, the prompt on top."""
    rgb, truth = read_image(cell.path), rle.decode(cell.truth)
    height, width = truth.shape
    prompted = cell.box is not None or cell.click is not None
    x0, y0, x1, y1 = _window(box_of(truth), height, width) if prompted else _framed((0, 0, width, height), 1.0)
    scale = CELL[0] / (x1 - x0)
    inside = slice(max(0, y0), y1), slice(max(0, x0), x1)
    borders = max(0, -y0), max(0, y1 - height), max(0, -x0), max(0, x1 - width)

    def shown(image: np.ndarray, empty: int) -> np.ndarray:
        part = cv2.copyMakeBorder(image[inside], *borders, cv2.BORDER_CONSTANT, value=(empty,) * 3)
        return cv2.resize(part, CELL, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)

    canvas = shown(rgb, 245)
    found, true = (shown(mask.astype(np.float32), 0) for mask in (rle.decode(cell.found), truth))
    canvas = (canvas + (np.array(FOUND) - canvas) * (0.5 * found[..., None]) + 0.5).astype(np.uint8)
    outlines = cv2.findContours((true > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    for color, thickness in (((0, 0, 0), 2), (TRUE, 1)):
        cv2.drawContours(canvas, outlines, -1, color, thickness, cv2.LINE_AA)

    def at(x: float, y: float) -> tuple[int, int]:
        return round((x - x0) * scale), round((y - y0) * scale)

    if cell.box is not None:
        cv2.rectangle(canvas, at(*cell.box[:2]), at(*cell.box[2:]), PROMPT, 2)
    if cell.click is not None:
        for color, radius in (((0, 0, 0), 7), (TRUE, 6), (PROMPT, 4)):
            cv2.circle(canvas, at(*cell.click), radius, color, -1, cv2.LINE_AA)
    return np.asarray(canvas)


def _window(box: Box, height: int, width: int) -> Box:
    """A box and its surroundings in a cell's shape, moved into the picture as far as it fits."""
    x0, y0, x1, y1 = _framed(box, 1.6)
    whole = _framed((0, 0, width, height), 1.0)
    if x1 - x0 >= whole[2] - whole[0]:
        return whole
    across, down = (
        max(0, -low) - max(0, high - size) if high - low <= size else (size - low - high) // 2
        for low, high, size in ((x0, x1, width), (y0, y1, height))
    )
    return x0 + across, y0 + down, x1 + across, y1 + down


def _framed(box: Box, room: float, least: int = 96) -> Box:
    """A part in a cell's shape, `room` times as large as a box that it has in its middle, and not too small."""
    x0, y0, x1, y1 = box
    aspect = CELL[0] / CELL[1]
    wide = max(least, room * (x1 - x0), room * (y1 - y0) * aspect)
    left, top = round((x0 + x1 - wide) / 2), round((y0 + y1 - wide / aspect) / 2)
    return left, top, left + round(wide), top + round(wide / aspect)


def _drawn(edges: np.ndarray) -> Image.Image:
    """Edges in 0..1 as dark lines on white; weak ones are made visible."""
    return Image.fromarray(np.round(255 * (1 - np.clip(edges, 0, 1) ** 0.7)).astype(np.uint8)).convert("RGB")


def _style(axes: Any, across: str, up: str, x: tuple[float, float], y: tuple[float, float] | None) -> None:
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(up, color=INK)
    axes.set_xlim(*x)
    if y is not None:
        axes.set_ylim(*y)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
