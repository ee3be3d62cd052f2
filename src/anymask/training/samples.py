"""From a labelled scene to one training sample of fixed size: geometry, mask choice, first prompts."""

from dataclasses import dataclass

import cv2
import numpy as np

MASK_STRIDE = 4
PADDING = (124, 116, 104)  # the mean colour, as at inference
ROLE_WEIGHT = {"object": 1.0, "part": 0.6, "stuff": 0.25}


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


def make_sample(scene: Scene, side: int, prompts: int, rng: np.random.Generator) -> Sample | None:
    """Place the scene in a side x side input and choose `prompts` of its masks. None when no mask is large enough
    there."""
    matrix, size = _placement(scene, side, rng)
    image = _warp(scene.image, matrix, (side, side), size, PADDING)
    grid = side // MASK_STRIDE
    coarse = matrix / MASK_STRIDE
    coarse[:, 2] += 0.5 / MASK_STRIDE - 0.5  # the same mapping in coordinates of cell centres

    def reduce(mask: np.ndarray) -> np.ndarray:
        extent = (size[0] / MASK_STRIDE, size[1] / MASK_STRIDE)
        return _warp(mask * np.uint8(255) if mask.max() == 1 else mask, coarse, (grid, grid), extent, 0)

    candidates = list(rng.permutation(len(scene.masks)))
    weights = np.array([ROLE_WEIGHT[scene.roles[i]] for i in candidates])
    order = [candidates[j] for j in np.argsort(-(rng.random(len(candidates)) ** (1 / weights)))] if candidates else []
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


def _placement(scene: Scene, side: int, rng: np.random.Generator) -> tuple[np.ndarray, tuple[float, float]]:
    """A 2x3 matrix from scene to input (pixel edges, not centres) and the picture's extent there.

    Half of the time the whole picture as at inference, now and then smaller; otherwise a crop around a random mask.
    """
    height, width = scene.image.shape[:2]
    x0, y0, x1, y1 = 0.0, 0.0, float(width), float(height)
    if rng.random() < 0.5:
        fraction = rng.uniform(0.35, 1.0)
        crop_w = fraction * width * rng.uniform(0.8, 1.0)
        crop_h = fraction * height * rng.uniform(0.8, 1.0)
        centre_x, centre_y = rng.uniform(0, width), rng.uniform(0, height)
        if scene.masks:
            ys, xs = np.nonzero(scene.masks[rng.integers(len(scene.masks))])
            if len(xs):
                pick = rng.integers(len(xs))
                centre_x, centre_y = float(xs[pick]), float(ys[pick])
        x0 = float(np.clip(centre_x - crop_w * rng.uniform(0.2, 0.8), 0, width - crop_w))
        y0 = float(np.clip(centre_y - crop_h * rng.uniform(0.2, 0.8), 0, height - crop_h))
        x1, y1 = x0 + crop_w, y0 + crop_h
    scale = side / max(x1 - x0, y1 - y0)
    if rng.random() < 0.15:
        scale *= rng.uniform(0.6, 1.0)
    extent = ((x1 - x0) * scale, (y1 - y0) * scale)
    if rng.random() < 0.5:
        return np.array([[-scale, 0, x1 * scale], [0, scale, -y0 * scale]]), extent
    return np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale]]), extent


def _warp(
    picture: np.ndarray,
    matrix: np.ndarray,
    size: tuple[int, int],
    extent: tuple[float, float],
    border: int | tuple[int, int, int],
) -> np.ndarray:
    """Apply a scale-and-shift matrix, averaging over areas when it reduces. `extent` cuts the result to the picture
    placed."""
    scale = abs(matrix[0, 0])
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
