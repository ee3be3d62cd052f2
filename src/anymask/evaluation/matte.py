"""How good the mattes of a model are: the measures of salient object detection, on pictures with a labelled subject.

MAE, F-measure, weighted F-measure (Margolin et al. 2014), S-measure (Fan et al. 2017) and E-measure (Fan et al. 2018)
are PySODMetrics'; IoU and boundary IoU (Cheng et al. 2021) are of the matte above one half.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anymask import rle
from anymask.background import BackgroundRemover, Choice
from anymask.errors import FormatError, ImageError, MissingExtraError
from anymask.evaluation.protocol import intersection_over_union
from anymask.formats.sa1b import PICTURE_SUFFIXES, read_folder
from anymask.images import read_image

BOUNDARY = 0.02  # of the diagonal: how far from the edge boundary IoU looks


@dataclass(frozen=True)
class Subject:
    """A picture and its subject: truth float32 `[H, W]` in 0..1; ignore bool `[H, W]`, pixels that do not count."""

    path: Path
    truth: np.ndarray
    ignore: np.ndarray | None = None


@dataclass(frozen=True)
class PictureResult:
    """Figures of one picture; seconds include reading it."""

    path: Path
    iou: float
    boundary_iou: float
    mae: float
    seconds: float


@dataclass(frozen=True)
class MatteResult:
    """Figures of a model on a folder.

    Attributes:
        rows: each measure's mean over the pictures, by name.
        pictures: each picture's own figures, in the folder's order.
        curves: over the 256 thresholds, the highest first, `precision`, `recall` and `f_measure` (beta squared 0.3),
            means over the pictures.
    """

    model: str
    folder: str
    rows: dict[str, float]
    pictures: tuple[PictureResult, ...]
    curves: dict[str, np.ndarray]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        pictures = [
            {"path": str(one.path), "iou": one.iou, "boundary_iou": one.boundary_iou, "mae": one.mae}
            for one in self.pictures
        ]
        return {"model": self.model, "folder": self.folder, "measures": self.rows, "pictures": pictures}


def evaluate_mattes(
    folder: str | Path,
    remover: BackgroundRemover,
    *,
    masks: str | Path | None = None,
    refine: Choice = True,
    limit: int | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> MatteResult:
    """Compare a model's mattes with labelled subjects.

    Args:
        folder: pictures in SA-1B's layout with `subject`; or, with `masks`, pictures of any name.
        remover: the model.
        masks: a folder with a grey mask for each picture, NAME.png.
        refine: as for `BackgroundRemover.matte`.
        limit: so many pictures at most, drawn at random by `seed`; None for all.
        on_progress: called with pictures done and their number.

    Raises:
        FormatError: there is no labelled subject, or a mask is missing or of another size.
        MissingExtraError: PySODMetrics is not installed.
        What `BackgroundRemover.matte` raises.
    """
    metrics = _metrics()
    sources = _masked(Path(folder), Path(masks)) if masks is not None else _labelled(folder)
    if limit is not None and len(sources) > limit:
        chosen = np.random.default_rng(seed).choice(len(sources), limit, replace=False)
        sources = [sources[index] for index in sorted(chosen)]
    results = []
    on_progress(0, len(sources))
    for done, load in enumerate(sources, 1):
        subject = load()
        start = time.perf_counter()
        alpha = remover.matte(subject.path, refine)
        seconds = time.perf_counter() - start
        if alpha.shape != subject.truth.shape:
            raise FormatError(f"The mask of {subject.path} is of another size than the picture.")
        if subject.ignore is not None:
            alpha = np.where(subject.ignore, subject.truth, alpha)
        found, truth = alpha > 0.5, subject.truth > 0.5
        grey, gold = (np.round(values * 255).astype(np.uint8) for values in (alpha, truth.astype(np.float32)))
        for metric in metrics.values():
            metric.step(pred=grey, gt=gold)
        results.append(
            PictureResult(
                subject.path,
                intersection_over_union(found, truth),
                boundary_iou(found, truth),
                float(np.abs(alpha - subject.truth).mean()),
                seconds,
            )
        )
        on_progress(done, len(sources))
    return _summary(remover.name, str(folder), metrics, results)


def boundary_iou(found: np.ndarray, truth: np.ndarray, share: float = BOUNDARY) -> float:
    """IoU of the rims of two masks bool `[H, W]`: of what lies inside of each, within a share of the diagonal from its
    edge (Cheng et al. 2021). 1 where both are empty."""
    width = max(1, round(share * float(np.hypot(*truth.shape))))
    return intersection_over_union(_rim(found, width), _rim(truth, width))


def _rim(mask: np.ndarray, width: int) -> np.ndarray:
    # With a border of nothing, so that the picture's edge is an edge of the mask, as in the paper's code.
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    rim: np.ndarray = mask & (inner == 0)
    return rim


def _metrics() -> dict[str, Any]:
    try:
        import py_sod_metrics as sod
    except ImportError as error:
        raise MissingExtraError(
            'The measures of mattes need the evaluate extra: pip install "anymask[evaluate]".'
        ) from error
    return {
        "mae": sod.MAE(),
        "f": sod.FmeasureV2(
            metric_handlers={
                "f": sod.FmeasureHandler(with_adaptive=False, with_dynamic=True, beta=0.3),
                "precision": sod.PrecisionHandler(with_adaptive=False, with_dynamic=True),
                "recall": sod.RecallHandler(with_adaptive=False, with_dynamic=True),
            }
        ),
        "weighted_f": sod.WeightedFmeasure(),
        "s": sod.Smeasure(),
        "e": sod.Emeasure(),
    }


def _labelled(folder: str | Path) -> list[Callable[[], Subject]]:
    records = [record for record in read_folder(folder) if record.subject is not None]
    if not records:
        raise FormatError(f"No picture in {folder} has a labelled subject.")

    def loader(index: int) -> Callable[[], Subject]:
        record = records[index]
        assert record.subject is not None
        subject = record.subject

        def load() -> Subject:
            ignore = None if record.ignore is None else rle.decode(record.ignore)
            return Subject(record.path, rle.decode(subject).astype(np.float32), ignore)

        return load

    return [loader(index) for index in range(len(records))]


def _masked(folder: Path, masks: Path) -> list[Callable[[], Subject]]:
    pictures = (
        sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES) if folder.is_dir() else []
    )
    pairs = [(path, masks / f"{path.stem}.png") for path in pictures if masks / path.name != path]
    pairs = [(path, mask) for path, mask in pairs if mask != path]
    missing = [path.name for path, mask in pairs if not mask.is_file()]
    if not pairs or missing:
        what = f"no mask for {', '.join(missing[:3])}" if missing else "no pictures"
        raise FormatError(f"There are {what} in {masks if missing else folder}; a picture's mask is called NAME.png.")

    def loader(path: Path, mask: Path) -> Callable[[], Subject]:
        def load() -> Subject:
            try:
                return Subject(path, read_image(mask)[..., 0].astype(np.float32) / 255)
            except ImageError as error:
                raise FormatError(f"The mask {error}") from error

        return load

    return [loader(path, mask) for path, mask in pairs]


def _summary(model: str, folder: str, metrics: dict[str, Any], results: list[PictureResult]) -> MatteResult:
    found = metrics["f"].get_results()
    curve, precision, recall = (np.asarray(found[name]["dynamic"]) for name in ("f", "precision", "recall"))
    rows = {
        "IoU": float(np.mean([one.iou for one in results])),
        "boundary IoU": float(np.mean([one.boundary_iou for one in results])),
        "MAE": float(np.mean([one.mae for one in results])),
        "max F": float(curve.max()),
        "weighted F": float(metrics["weighted_f"].get_results()["wfm"]),
        "S-measure": float(metrics["s"].get_results()["sm"]),
        "mean E": float(np.asarray(metrics["e"].get_results()["em"]["curve"]).mean()),
        "seconds": float(np.median([one.seconds for one in results])),
    }
    curves = {"precision": precision, "recall": recall, "f_measure": curve}
    return MatteResult(model, folder, rows, tuple(results), curves)
