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
from anymask.evaluation.clicks import Point, centre_of, corrective_click
from anymask.formats.sa1b import Record, read_folder
from anymask.images import read_image
from anymask.segmenter import EncodedImage, Segmenter

CLICKS = (1, 3, 5)
KINDS: tuple[str, ...] = ("box", "1 click", "1 click, chosen", "3 clicks", "5 clicks", "subject")


@dataclass(frozen=True)
class ObjectResult:
    """What a model made of one labelled object.

    Attributes:
        path: the picture.
        truth: the object's RLE.
        box: the true box, x0, y0, x1, y1 in pixels.
        click: the one in the object's middle, x and y in pixels.
        ious: by kind of prompt, as in `EvaluationResult`.
        predicted: RLEs of the answers to "box" and to "1 click, chosen".
    """

    path: Path
    truth: rle.RLE
    box: tuple[int, int, int, int]
    click: Point
    ious: dict[str, float]
    predicted: dict[str, rle.RLE]


@dataclass(frozen=True)
class SubjectResult:
    """A picture, the RLEs of its true subject and of the matte above one half, and their IoU."""

    path: Path
    truth: rle.RLE
    predicted: rle.RLE
    iou: float


@dataclass(frozen=True)
class EvaluationResult:
    """Mean IoU of each kind of prompt (`rows`), and of how many masks it is the mean (`counts`).

    Kinds: "box" the true box; "1 click" one click in the middle, best of the three masks; "1 click, chosen" the one of
    them that the model itself scores highest; "3 clicks" and "5 clicks" after corrective clicks; "subject" the matte
    above one half. `objects` and `subjects` are the single ones, in the folder's order.
    """

    model: str
    folder: str
    rows: dict[str, float]
    counts: dict[str, int]
    objects: tuple[ObjectResult, ...] = ()
    subjects: tuple[SubjectResult, ...] = ()

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
    second_look: bool | None = None,
    second_pass: bool | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> EvaluationResult:
    """Prompt a model for labelled objects as a user would and compare.

    Args:
        folder: pictures with SA-1B style JSON files.
        model, device, precision, weights: as for `Segmenter`.
        limit: objects drawn at random for the prompts; None for all. Every subject of the folder counts.
        min_area: objects of fewer pixels are passed over.
        seed: of the drawing.
        second_look, second_pass: as for `EncodedImage.predict`.
        on_progress: called with the pictures done and their number.

    Raises FormatError for a folder without such files or without a large enough object, and what `Segmenter` raises.
    """
    records = read_folder(folder)
    chosen = _choose(records, limit, min_area, seed)
    if not chosen:
        raise FormatError(f"No mask in {folder} has at least {min_area} pixels.")
    segmenter = Segmenter(model, device, precision, weights)
    remover = BackgroundRemover(model, device, precision, weights) if "matte" in segmenter.spec.tasks else None
    objects: list[ObjectResult] = []
    subjects: list[SubjectResult] = []
    for done, (index, record) in enumerate(enumerate(records)):
        if index in chosen:
            image = segmenter.encode(record.path)
            objects += [
                _prompted(image, record.path, record.annotations[each].rle, second_look, second_pass)
                for each in chosen[index]
            ]
        if record.subject is not None and remover is not None:
            subjects.append(_subject(remover, record))
        if on_progress is not None:
            on_progress(done + 1, len(records))
    ious: dict[str, list[float]] = defaultdict(list)
    for one in objects:
        for kind, iou in one.ious.items():
            ious[kind].append(iou)
    if subjects:
        ious["subject"] = [one.iou for one in subjects]
    kinds = [kind for kind in KINDS if kind in ious]
    rows = {kind: float(np.mean(ious[kind])) for kind in kinds}
    counts = {kind: len(ious[kind]) for kind in kinds}
    return EvaluationResult(segmenter.name, str(folder), rows, counts, tuple(objects), tuple(subjects))


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


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The tight box of a bool `[H, W]` mask that is not empty: x0, y0, x1, y1, where its last column and row end."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _prompted(
    image: EncodedImage, path: Path, label: rle.RLE, second_look: bool | None, second_pass: bool | None
) -> ObjectResult:
    truth = rle.decode(label)
    box, click = box_of(truth), centre_of(truth)
    boxed = image.predict(box=box, second_look=second_look, second_pass=second_pass)
    ious = {"box": intersection_over_union(boxed.array[0], truth)}
    points, labels = [click], [1]
    candidates = image.predict(points=points, second_look=second_look, second_pass=second_pass)
    each = [intersection_over_union(mask, truth) for mask in candidates.array]
    best = int(candidates.scores.argmax())
    ious["1 click"], ious["1 click, chosen"] = max(each), each[best]
    current = chosen = candidates[best]
    for count in range(2, max(CLICKS) + 1):
        correction = corrective_click(current.array[0], truth)
        if correction is not None:
            points.append(correction[0])
            labels.append(correction[1])
            previous = current.logits[0] if image.segmenter.spec.prompts.mask else None
            current = image.predict(points, labels, mask=previous, multimask=False, second_look=second_look)
        if count in CLICKS:
            ious[f"{count} clicks"] = intersection_over_union(current.array[0], truth)
    predicted = {"box": boxed[0].rles()[0], "1 click, chosen": chosen.rles()[0]}
    return ObjectResult(path, label, box, click, ious, predicted)


def _subject(remover: BackgroundRemover, record: Record) -> SubjectResult:
    assert record.subject is not None
    truth = rle.decode(record.subject)
    ignore = None if record.ignore is None else rle.decode(record.ignore)
    found = remover.matte(read_image(record.path)) > 0.5
    iou = intersection_over_union(found, truth, ignore)
    return SubjectResult(record.path, record.subject, rle.compress(rle.encode(found)), iou)
