"""Promptable engines made of a network that finds all instances at once (FastSAM): prompts choose among them.

The network's maps hold, in each of their cells, the distances to the four sides of a box, a score and the coefficients
by which 32 prototypes of masks are mixed (Bolya et al. 2019, "YOLACT"; the arithmetic is that of ultralytics' YOLOv8).
What is sure enough and not found twice is an instance.
"""

from collections.abc import Callable, Sequence

import numpy as np

from anymask.catalog import ModelEntry
from anymask.masks import non_maximum_suppression
from anymask.placement import NOTHING
from anymask.runtime.engine import Embedding, Features
from anymask.runtime.selection import CANDIDATES, Instances, choose

STRIDES = (8, 16, 32)  # pixels of the input for a cell of each map
CELL = 4  # pixels of the input for a cell of the prototypes
MULTIPLE = STRIDES[-1]
LEAST = 0.01  # a score; what is less sure is not kept
SNAP = 20  # pixels of the input; a box that comes nearer to an edge reaches to it
WHOLE = 0.9  # a box's IoU with the picture, from which on it is the picture

Network = Callable[[np.ndarray], Sequence[np.ndarray]]
"""A picture float32 [1, 3, H, W], RGB in 0 to 1, to three maps [1, 4 * bins + 1, h, w], coefficients [1, 32, A] and
prototypes [1, 32, H/4, W/4]."""


class NetworkInstances:
    """A network that finds instances, as an engine (see `runtime.engine.InstanceEngine`).

    Features are prototypes [32, S/4, S/4], on a grid that begins at the picture's corner; of each of N finds, the
    surest first, the box x0, y0, x1, y1 [N, 4] in pixels of the network's input, the score [N] and coefficients
    [N, 32]; and `frame` [2, 4], the corners of the network's input and of the picture in it.
    """

    def __init__(self, spec: ModelEntry, network: Network) -> None:
        self.spec = spec
        self._network = network

    def encode(self, rgb: np.ndarray) -> Features:
        image, left, top = framed(self.spec, rgb)
        *maps, coefficients, prototypes = self._network(image)
        boxes, scores, chosen = finds(maps, LEAST)
        order = np.argsort(-scores, kind="stable")
        height, width = image.shape[2:]
        frame = np.array([[0, 0, width, height], [left, top, left + rgb.shape[1], top + rgb.shape[0]]], np.float32)
        return (
            _shifted(prototypes[0], top / CELL, left / CELL, self.spec.input.side // CELL),
            boxes[order],
            scores[order],
            np.ascontiguousarray(coefficients[0].T[chosen[order]], np.float32),
            frame,
        )

    def prepare(self, features: Features) -> Embedding:
        rules = self.spec.everything
        return (self.instances(features, rules["pred_iou_thresh"], rules["box_nms_thresh"]),)

    def instances(self, features: Features, confidence: float, iou: float) -> Instances:
        prototypes, boxes, scores, coefficients, frame = features
        sure = np.flatnonzero(scores > confidence)
        kept = sure[non_maximum_suppression(boxes[sure], scores[sure], iou, self.spec.instances)]
        settled = np.clip(snapped(boxes[kept], frame[0]), np.tile(frame[1, :2], 2), np.tile(frame[1, 2:], 2))
        cells = (settled - np.tile(frame[1, :2], 2)) / CELL
        return Instances(prototypes, cells, scores[kept], coefficients[kept])

    def decode(
        self, embedding: Embedding, coords: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        assert mask is None, "prompts are checked against the catalogue"
        (instances,) = embedding
        side = self.spec.mask_side
        logits = np.full((len(coords), 1 + CANDIDATES, side, side), NOTHING, np.float32)
        scores = np.full((len(coords), 1 + CANDIDATES), -np.inf, np.float32)  # none found yet
        for row, (points, kinds) in enumerate(zip(np.asarray(coords, np.float64) / CELL, labels, strict=True)):
            for index, (found, score) in enumerate(choose(instances, points, kinds)):
                logits[row, index], scores[row, index] = found, score
        scores[:, :2] = scores[:, :2].clip(min=0)  # where nothing is found, that is the answer and the only candidate
        return logits, scores


def framed(spec: ModelEntry, rgb: np.ndarray) -> tuple[np.ndarray, int, int]:
    """A picture uint8 [h, w, 3] of the network's scale as its input float32 [1, 3, H, W], RGB in 0 to 1: in the middle
    of a frame whose sides are the next multiples of 32; and the columns and rows of padding before it."""
    height, width = (-(-length // MULTIPLE) * MULTIPLE for length in rgb.shape[:2])
    top, left = (height - rgb.shape[0]) // 2, (width - rgb.shape[1]) // 2
    image = np.empty((1, 3, height, width), np.float32)
    image[:] = np.array(spec.input.padding, np.float32).reshape(3, 1, 1) / 255
    image[0, :, top : top + rgb.shape[0], left : left + rgb.shape[1]] = rgb.transpose(2, 0, 1) / np.float32(255)
    return image, left, top


def finds(maps: Sequence[np.ndarray], least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the maps hold with a score above `least`: boxes x0, y0, x1, y1 float32 [N, 4] in pixels of the network's
    input, scores [N], and the numbers of their cells [N], which count through all maps.

    A side's distance, in cells, is the mean of its bins' distribution (Li et al. 2020, "Generalized Focal Loss").
    """
    boxes, scores, chosen, first = [], [], [], 0
    for stride, one in zip(STRIDES, maps, strict=True):
        channels, _, width = one.shape[1:]
        flat = one[0].reshape(channels, -1)
        score = 1 / (1 + np.exp(-flat[-1].astype(np.float32)))
        sure = np.flatnonzero(score > least)
        bins = flat[:-1, sure].astype(np.float32).reshape(4, (channels - 1) // 4, len(sure))
        weights = np.exp(bins - bins.max(axis=1, keepdims=True))
        ramp = np.arange(bins.shape[1], dtype=np.float32)
        left, top, right, bottom = np.einsum("sbn,b->sn", weights, ramp) / weights.sum(axis=1)
        x, y = sure % width + np.float32(0.5), sure // width + np.float32(0.5)
        boxes.append(np.stack([x - left, y - top, x + right, y + bottom], axis=1).astype(np.float32) * stride)
        scores.append(score[sure])
        chosen.append(first + sure)
        first += flat.shape[1]
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(chosen)


def snapped(boxes: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] that come near to an edge of the frame x0, y0, x1, y1 carried to it, and those that nearly are the
    frame made just it, as FastSAM's authors do: a mask is cut off at its box, and would miss the picture's edge."""
    x0, y0, x1, y1 = frame
    low, high = np.array([x0, y0]), np.array([x1, y1])
    starts = np.where(boxes[:, :2] < low + SNAP, low, boxes[:, :2])
    ends = np.where(boxes[:, 2:] > high - SNAP, high, boxes[:, 2:])
    shares = (ends - starts).clip(min=0).prod(axis=1) / (high - low).prod()
    return np.where((shares > WHOLE)[:, None], frame, np.concatenate([starts, ends], axis=1)).astype(np.float32)


def _shifted(maps: np.ndarray, top: float, left: float, side: int) -> np.ndarray:
    """Maps [C, h, w] on a grid of `side` cells that begins `top` and `left` cells, quarters of a cell, further in.

    What lies beyond the maps repeats their last cells. Interpolation is cubic (Keys 1981, a = -0.5), which leaves
    smooth maps nearly as they are.
    """
    for axis, start in ((1, top), (2, left)):
        low, t = int(start // 1), start % 1
        weights = (
            -0.5 * t + t**2 - 0.5 * t**3,
            1 - 2.5 * t**2 + 1.5 * t**3,
            0.5 * t + 2 * t**2 - 1.5 * t**3,
            -0.5 * t**2 + 0.5 * t**3,
        )
        places = np.arange(side) + low
        terms = [
            np.float32(weight) * maps.take((places + step).clip(0, maps.shape[axis] - 1), axis=axis)
            for step, weight in zip((-1, 0, 1, 2), weights, strict=True)
            if weight
        ]
        maps = np.sum(terms, axis=0)
    return np.ascontiguousarray(maps, np.float32)
