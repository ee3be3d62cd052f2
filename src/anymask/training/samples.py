"""From a labelled scene to one training sample of fixed size: geometry, mask choice, first prompts."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

MASK_STRIDE = 4
PADDING = (124, 116, 104)  # the mean colour, as at inference
ROLE_WEIGHT = {"object": 1.0, "part": 0.6, "stuff": 0.25}
MOST_ENLARGED = 4.0  # input pixels a pixel of the picture


Look = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass
class Scene:
    """A picture with its labels at full size; masks are uint8 [H, W] of 0 and 1, or 0..255 where edges are soft."""

    image: np.ndarray  # uint8 [H, W, 3] RGB
    masks: list[np.ndarray]
    roles: list[str]
    subject: np.ndarray | None = None
    ignore: np.ndarray | None = None


@dataclass
class Sample:
    """What the loop stacks into a batch. S is the side, P the prompts a picture, g = S / 4."""

    image: np.ndarray  # uint8 [S, S, 3]
    targets: np.ndarray  # uint8 [P, g, g], coverage 0..255
    clicks: np.ndarray  # float32 [P, 2], a foreground pixel, input pixels
    boxes: np.ndarray  # float32 [P, 4]
    ignore: np.ndarray  # uint8 [g, g], 0..255
    subject: np.ndarray  # uint8 [g, g]
    has_subject: bool


def make_sample(
    scene: Scene, side: int, prompts: int, rng: np.random.Generator, look: Look | None = None, close_share: float = 0.5
) -> Sample | None:
    """Place the scene in a side x side input, change what it looks like, and choose `prompts` of its masks; in
    `close_share` of the cases it is a close look at one of them. None when no mask is large enough there."""
    order = _order(scene, rng)
    matrix, size = _placement(scene, order[0] if order else None, side, rng, close_share)
    image = _warp(scene.image, matrix, (side, side), size, PADDING)
    if look is not None:
        seen = slice(0, max(1, int(size[1] + 0.5))), slice(0, max(1, int(size[0] + 0.5)))
        image[seen] = look(np.ascontiguousarray(image[seen]), rng)
    grid = side // MASK_STRIDE
    coarse = matrix / MASK_STRIDE  # edges of pixels to edges of cells

    def reduce(mask: np.ndarray) -> np.ndarray:
        extent = (size[0] / MASK_STRIDE, size[1] / MASK_STRIDE)
        return _warp(mask * np.uint8(255) if mask.max() == 1 else mask, coarse, (grid, grid), extent, 0)

    targets: list[np.ndarray] = []
    clicks: list[tuple[float, float]] = []
    boxes: list[tuple[float, float, float, float]] = []
    for index in order[: 3 * prompts]:
        if len(targets) == prompts:
            break
        target = reduce(scene.masks[index])
        area = int((target > 127).sum())
        if area < 2 or area > 0.95 * grid * grid:
            continue
        fine = _warp(scene.masks[index], matrix, (side, side), size, 0)
        prompt = _first_prompt(fine > (127 if fine.max() > 1 else 0), rng)
        if prompt is None:
            continue
        targets.append(target)
        clicks.append(prompt[0])
        boxes.append(prompt[1])
    if not targets:
        return None
    repeat = [i % len(targets) for i in range(prompts)]
    subject = reduce(scene.subject) if scene.subject is not None else np.zeros((grid, grid), np.uint8)
    has_subject = scene.subject is not None and _keeps_subject(scene.subject, subject, coarse)
    ignore = reduce(scene.ignore) if scene.ignore is not None else np.zeros((grid, grid), np.uint8)
    return Sample(
        image,
        np.stack([targets[i] for i in repeat]),
        np.array([clicks[i] for i in repeat], np.float32),
        np.array([boxes[i] for i in repeat], np.float32),
        ignore,
        subject,
        has_subject,
    )


def _order(scene: Scene, rng: np.random.Generator) -> list[int]:
    """The scene's masks in random order, by role; the first is what a close look is at."""
    weights = np.array([ROLE_WEIGHT[role] for role in scene.roles])
    return [int(i) for i in np.argsort(-(rng.random(len(weights)) ** (1 / weights)))] if len(weights) else []


def _placement(
    scene: Scene, focus: int | None, side: int, rng: np.random.Generator, close_share: float
) -> tuple[np.ndarray, tuple[float, float]]:
    """A 2x3 matrix from scene to input (pixel edges, not centres) and the picture's extent there.

    The whole picture as at inference, now and then smaller; or a close look at the mask `focus`, as at inference too:
    the crop is as long as 1.2 to 6 times the mask's box.
    """
    height, width = scene.image.shape[:2]
    x0, y0, x1, y1 = 0.0, 0.0, float(width), float(height)
    shrink = 1.0
    box = cv2.boundingRect(scene.masks[focus]) if focus is not None else (0, 0, 0, 0)
    if rng.random() < close_share and min(box[2:]) > 0:
        length = max(max(box[2:]) * float(np.exp(rng.uniform(np.log(1.2), np.log(6.0)))), side / MOST_ENLARGED)
        crop_w = min(length * rng.uniform(0.75, 1.0), width)
        crop_h = min(length * rng.uniform(0.75, 1.0), height)
        x0 = _start(box[0], box[2], crop_w, width, rng)
        y0 = _start(box[1], box[3], crop_h, height, rng)
        x1, y1 = x0 + crop_w, y0 + crop_h
    elif rng.random() < 0.2:
        shrink = rng.uniform(0.5, 1.0)
    scale = shrink * side / max(x1 - x0, y1 - y0)
    scale_x, scale_y = scale * np.array([1.0, rng.uniform(0.8, 1.0)])[:: 1 if rng.random() < 0.5 else -1]
    extent = ((x1 - x0) * scale_x, (y1 - y0) * scale_y)
    if rng.random() < 0.5:
        return np.array([[-scale_x, 0, x1 * scale_x], [0, scale_y, -y0 * scale_y]]), extent
    return np.array([[scale_x, 0, -x0 * scale_x], [0, scale_y, -y0 * scale_y]]), extent


def _start(low: float, length: float, crop: float, size: float, rng: np.random.Generator) -> float:
    """Where a crop begins on one axis: the thing of `length` at `low` mostly within, anywhere in it."""
    slack = crop - length
    return float(np.clip(low - slack * rng.uniform(0.1, 0.9), 0, size - crop))


def _warp(
    picture: np.ndarray,
    matrix: np.ndarray,
    size: tuple[int, int],
    extent: tuple[float, float],
    border: int | tuple[int, int, int],
) -> np.ndarray:
    """Apply a scale-and-shift matrix, averaging over areas when it reduces. `extent` cuts the result to the picture
    placed."""
    scale = math.sqrt(abs(matrix[0, 0] * matrix[1, 1]))
    if scale < 0.75:  # reduce by areas first, so that the bilinear warp does not alias
        height, width = picture.shape[:2]
        reduced = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, reduced, interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([width / reduced[0], height / reduced[1], 1.0])
    centred = matrix.copy()  # OpenCV maps pixel centres at integers
    centred[:, 2] += 0.5 * (matrix[:, 0] + matrix[:, 1]) - 0.5
    result = cv2.warpAffine(picture, centred, size, flags=cv2.INTER_LINEAR, borderValue=border)
    result[:, int(extent[0] + 0.5) :] = border
    result[int(extent[1] + 0.5) :] = border
    return result


def _first_prompt(
    mask: np.ndarray, rng: np.random.Generator
) -> tuple[tuple[float, float], tuple[float, float, float, float]] | None:
    """A click inside the mask (its centre half of the time) and its jittered box (SAM: a tenth of the side, at most 20
    px)."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width < 3 or height < 3:
        return None
    window = np.ascontiguousarray(mask[y : y + height, x : x + width]).view(np.uint8)
    depth = cv2.distanceTransform(cv2.copyMakeBorder(window, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 3)[
        1:-1, 1:-1
    ]
    central = rng.random() < 0.5
    flat = int(depth.argmax() if central else rng.choice(depth.size, p=(depth / depth.sum()).ravel()))
    click = (x + flat % width + 0.5, y + flat // width + 0.5)
    jitter = np.clip(rng.normal(0, 0.06, 4) * [width, height, width, height], -20, 20)
    if rng.random() < 0.3:
        jitter[:] = 0
    side = mask.shape[0]
    x0, y0, x1, y1 = np.clip(np.array([x, y, x + width, y + height]) + jitter, 0, side)
    return click, (min(x0, x1 - 2), min(y0, y1 - 2), x1, y1)


def _keeps_subject(subject: np.ndarray, placed: np.ndarray, matrix: np.ndarray) -> bool:
    """Whether enough of the subject is left after cropping for it still to be what the picture shows."""
    unit = 255 if subject.max() > 1 else 1
    whole = float(subject.sum(dtype=np.int64)) / unit * abs(matrix[0, 0] * matrix[1, 1])
    left = float(placed.sum(dtype=np.int64)) / 255
    return left > 0.4 * whole and left > 0.03 * placed.size
