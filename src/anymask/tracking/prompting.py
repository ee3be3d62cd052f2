"""Prompts as text: what `anymask track` reads."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from anymask.errors import PromptError
from anymask.images import open_image

POINT, BOX = "FRAME:X,Y[,LABEL][@OBJECT]", "FRAME:X0,Y0,X1,Y1[@OBJECT]"


@dataclass
class FramePrompt:
    """All that is said of one object on one frame; mask is bool `[H, W]`."""

    frame: int
    object_id: int
    points: list[tuple[float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    box: list[float] | None = None
    mask: np.ndarray | None = None


def read_prompts(points: list[str], boxes: list[str], masks: list[str]) -> list[FramePrompt]:
    """The prompts of a command line, those of one object and frame together, by rising frame.

    Args:
        points: `0:320,180`, the frame's number and x and y in pixels; `,0` after it for a point off the object, `@2`
            for the second object; without it is the first.
        boxes: `0:100,80,560,420`, likewise.
        masks: `0:labels.png`, a label picture of the frame's size: all its objects, by the numbers of its palette.

    Raises:
        PromptError: an option's text is none of these, or nothing is said at all.
        ImageError: a label picture cannot be read.
    """
    found: dict[tuple[int, int], FramePrompt] = {}

    def at(frame: int, object_id: int) -> FramePrompt:
        return found.setdefault((frame, object_id), FramePrompt(frame, object_id))

    for text in points:
        frame, values, object_id = _parsed(text, "--point", POINT, (2, 3))
        if values[2:] not in ([], [0], [1]):
            raise PromptError(f"A point's label must be 1 (on the object) or 0 (off it), not {values[2]:g}.")
        one = at(frame, object_id)
        one.points.append((values[0], values[1]))
        one.labels.append(int(values[2]) if len(values) == 3 else 1)
    for text in boxes:
        frame, values, object_id = _parsed(text, "--box", BOX, (4,))
        if at(frame, object_id).box is not None:
            raise PromptError(f"Object {object_id} has two boxes on frame {frame}; name another object with @OBJECT.")
        at(frame, object_id).box = values
    for text in masks:
        number, colon, path = text.partition(":")
        if not colon or not number.isdigit():
            raise PromptError(f"--mask must be FRAME:FILE, not {text!r}.")
        for object_id, mask in _label_masks(Path(path)).items():
            at(int(number), object_id).mask = mask
    if not found:
        raise PromptError("Say where the objects are: with --point, --box or --mask.")
    return sorted(found.values(), key=lambda one: (one.frame, one.object_id))


def _parsed(text: str, option: str, shape: str, lengths: tuple[int, ...]) -> tuple[int, list[float], int]:
    match = re.fullmatch(r"(\d+):([^@:]+)(?:@(\d+))?", text.strip())
    try:
        values = [float(part) for part in match[2].split(",")] if match else []
    except ValueError:
        values = []
    if match is None or len(values) not in lengths or not all(map(math.isfinite, values)):
        raise PromptError(f"{option} must be {shape}, such as {_example(option)}, not {text!r}.")
    return int(match[1]), values, int(match[3] or 1)


def _example(option: str) -> str:
    return "0:320,180" if option == "--point" else "0:100,80,560,420@2"


def _label_masks(path: Path) -> dict[int, np.ndarray]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PromptError(f"{path} cannot be read ({(error.strerror or str(error)).lower()}).") from None
    image: Image.Image = open_image(data)
    values = np.array(image) if image.mode == "P" else (np.array(image.convert("L")) > 0).astype(np.uint8)
    ids = [int(value) for value in np.unique(values) if 0 < value < 255]
    if not ids:
        raise PromptError(f"{path} has no objects: all of its labels are 0.")
    return {value: values == value for value in ids}
