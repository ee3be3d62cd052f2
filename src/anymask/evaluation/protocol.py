"""Mean IoU by kind of prompt on a data set in SA-1B's layout."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anymask import rle
from anymask.background import BackgroundRemover
from anymask.errors import FormatError
from anymask.evaluation.clicks import centre_of, corrective_click
from anymask.formats.sa1b import Record, read_folder
from anymask.images import read_image
from anymask.segmenter import EncodedImage, Segmenter

CLICKS = (1, 3, 5)
KINDS: tuple[str, ...] = ("box", "1 click", "1 click, chosen", "3 clicks", "5 clicks", "subject")


@dataclass(frozen=True)
class EvaluationResult:
    """Mean IoU of each kind of prompt (`rows`), and of how many masks it is the mean (`counts`).

    Kinds: "box" the true box; "1 click" one click in the middle, best of the three masks; "1 click, chosen" the one of
    them that the
    model itself scores highest; "3 clicks" and "5 clicks" after corrective clicks; "subject" the matte above one half.
    """

    model: str
    folder: str
    rows: dict[str, float]
    counts: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"model": self.model, "folder": self.folder, "iou": self.rows, "count": self.counts}


def evaluate(
    folder: str | Path,
    model: str = "pocket",
    device: str = "auto",
    precision: str = "auto",
    weights: str | Path | None = None,
    *,
    limit: int | None = 300,
    min_area: int = 400,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> EvaluationResult:
    """Prompt a model for labelled objects as a user would and compare.

    Args:
        folder: pictures with SA-1B style JSON files.
        model, device, precision, weights: as for `Segmenter`.
        limit: objects drawn at random for the prompts; None for all. Every subject of the folder counts.
        min_area: objects of fewer pixels are passed over.
        seed: of the drawing.
        on_progress: called with the pictures done and their number.

    Raises FormatError for a folder without such files or without a large enough object, and what `Segmenter` raises.
    """
    records = read_folder(folder)
    chosen = _choose(records, limit, min_area, seed)
    if not chosen:
        raise FormatError(f"No mask in {folder} has at least {min_area} pixels.")
    segmenter = Segmenter(model, device, precision, weights)
    remover = BackgroundRemover(model, device, precision, weights) if "matte" in segmenter.spec.tasks else None
    ious: dict[str, list[float]] = defaultdict(list)
    for done, (index, record) in enumerate(enumerate(records)):
        if index in chosen:
            image = segmenter.encode(record.path)
            for annotation in chosen[index]:
                truth = rle.decode(record.annotations[annotation].rle)
                for kind, iou in _prompted(image, truth).items():
                    ious[kind].append(iou)
        if record.subject is not None and remover is not None:
            ious["subject"].append(_subject(remover, record))
        if on_progress is not None:
            on_progress(done + 1, len(records))
    kinds = [kind for kind in KINDS if kind in ious]
    rows = {kind: float(np.mean(ious[kind])) for kind in kinds}
    return EvaluationResult(segmenter.name, str(folder), rows, {kind: len(ious[kind]) for kind in kinds})


def _choose(records: list[Record], limit: int | None, min_area: int, seed: int) -> dict[int, list[int]]:
    """Indices of the annotations to ask for, by record."""
    eligible = [(i, j) for i, r in enumerate(records) for j, a in enumerate(r.annotations) if a.area > min_area]
    if limit is not None and len(eligible) > limit:
        rng = np.random.default_rng(seed)
        eligible = [eligible[k] for k in rng.choice(len(eligible), limit, replace=False)]
    chosen: dict[int, list[int]] = defaultdict(list)
    for i, j in eligible:
        chosen[i].append(j)
    return chosen


def intersection_over_union(predicted: np.ndarray, truth: np.ndarray, ignore: np.ndarray | None = None) -> float:
    """IoU of two boolean masks [H, W], pixels of `ignore` left out; 1 where both are empty."""
    if ignore is not None:
        predicted, truth = predicted & ~ignore, truth & ~ignore
    union = int(np.count_nonzero(predicted | truth))
    return int(np.count_nonzero(predicted & truth)) / union if union else 1.0


def _prompted(image: EncodedImage, truth: np.ndarray) -> dict[str, float]:
    rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    ious = {"box": intersection_over_union(image.predict(box=box).array[0], truth)}
    points, labels = [centre_of(truth)], [1]
    candidates = image.predict(points=points)
    each = [intersection_over_union(mask, truth) for mask in candidates.array]
    best = int(candidates.scores.argmax())
    ious["1 click"], ious["1 click, chosen"] = max(each), each[best]
    current = candidates[best]
    for count in range(2, max(CLICKS) + 1):
        click = corrective_click(current.array[0], truth)
        if click is not None:
            points.append(click[0])
            labels.append(click[1])
            current = image.predict(points=points, labels=labels, mask=current.logits[0], multimask=False)
        if count in CLICKS:
            ious[f"{count} clicks"] = intersection_over_union(current.array[0], truth)
    return ious


def _subject(remover: BackgroundRemover, record: Record) -> float:
    assert record.subject is not None
    truth = rle.decode(record.subject)
    ignore = None if record.ignore is None else rle.decode(record.ignore)
    return intersection_over_union(remover.matte(read_image(record.path)) > 0.5, truth, ignore)
