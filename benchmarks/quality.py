"""Quality for the benchmarks: IoU on labelled pictures, anymask beside OpenCV's grabCut and beside no work at all."""

from pathlib import Path

import cv2
import numpy as np

import anymask
from anymask import rle
from anymask.evaluation.protocol import intersection_over_union
from anymask.formats.sa1b import Record, read_folder
from anymask.images import read_image

MIN_AREA = 400
ROUNDS = 5


def grabcut(rgb: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """grabCut's mask, bool `[H, W]`, from a rectangle x, y, width, height."""
    mask = np.zeros(rgb.shape[:2], np.uint8)
    try:
        cv2.grabCut(rgb, mask, box, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_RECT)
    except cv2.error:  # a rectangle that leaves no background to learn from
        return filled(rgb, box)
    return (mask & 1).astype(bool)


def filled(rgb: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The rectangle itself as a mask."""
    x, y, width, height = box
    mask = np.zeros(rgb.shape[:2], bool)
    mask[y : y + height, x : x + width] = True
    return mask


def quality_table(folder: Path, objects: int) -> list[str]:
    """Mean IoU over `objects` objects drawn with seed 0, and over the subjects of their pictures: lines of Markdown."""
    records = read_folder(folder)
    candidates = [(record, a) for record in records for a in record.annotations if a.area >= MIN_AREA]
    order = np.random.default_rng(0).permutation(len(candidates))[:objects]
    chosen = [candidates[i] for i in order]
    pictures: dict[Path, Record] = {record.path: record for record, _ in chosen}

    segmenter, remover = anymask.Segmenter("pocket"), anymask.BackgroundRemover("pocket")
    boxes: list[tuple[float, float, float]] = []
    subjects: list[tuple[float, float, float]] = []
    for path, record in pictures.items():
        rgb = read_image(path)
        ignore = None if record.ignore is None else rle.decode(record.ignore)
        image = segmenter.encode(rgb)
        for truth in [rle.decode(a.rle) for owner, a in chosen if owner is record]:
            x, y, width, height = cv2.boundingRect(truth.astype(np.uint8))
            box = (x, y, width, height)
            found = image.predict(box=(x, y, x + width, y + height)).array[0]
            masks = (found, grabcut(rgb, box), filled(rgb, box))
            boxes.append(_three(masks, truth, ignore))
        if record.subject is not None:
            truth = rle.decode(record.subject)
            height, width = truth.shape
            inset = (width // 20, height // 20, width * 9 // 10, height * 9 // 10)
            masks = (remover.matte(rgb) > 0.5, grabcut(rgb, inset), np.ones_like(truth))
            subjects.append(_three(masks, truth, ignore))

    lines = [
        "| mean IoU | number | anymask | grabCut | no work (box filled, whole picture) |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, rows in (("object from its box", boxes), ("subject", subjects)):
        if rows:
            means = " | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0))
            lines.append(f"| {name} | {len(rows)} | {means} |")
    return lines


def _three(masks: tuple[np.ndarray, ...], truth: np.ndarray, ignore: np.ndarray | None) -> tuple[float, float, float]:
    first, second, third = (intersection_over_union(mask, truth, ignore) for mask in masks)
    return first, second, third
