"""Figures of how good mattes are: curves, spread, and the pictures themselves from the worst to the best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from anymask.background import BackgroundRemover, Choice
from anymask.compositing import CutOut
from anymask.errors import MissingExtraError
from anymask.evaluation.matte import MatteResult
from anymask.foreground import estimate_foreground
from anymask.images import read_image

INK, SOFT = "#2b2d42", "#3a86c8"
CELL = 240, 180  # width and height of a picture on the sheet
MAGENTA = (255, 0, 255)


def plot_curves(result: MatteResult, path: Path) -> None:
    """Precision over recall, F-measure over the threshold, and how the pictures' IoUs spread, as one PNG.

    Raises MissingExtraError without matplotlib.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError('Plots need the evaluate extra: pip install "anymask[evaluate]".') from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

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


def _style(axes: Any, across: str, up: str, x: tuple[float, float], y: tuple[float, float] | None) -> None:
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(up, color=INK)
    axes.set_xlim(*x)
    if y is not None:
        axes.set_ylim(*y)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
