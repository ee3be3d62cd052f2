"""Mattes: from networks that find the subject by themselves, from a promptable network that knows the subject prompt,
and from one that refines a trimap."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from PIL import Image

from anymask.catalog import MatteRules, ModelEntry
from anymask.placement import Placement
from anymask.runtime.engine import SUBJECT, SegmentEngine
from anymask.runtime.matte_input import mattes_of, network_input
from anymask.runtime.resize import resize_to_input

Network = Callable[[np.ndarray], np.ndarray]
"""A normalised picture float32 [1, C, H, W] to a network's answer float32 [1, C, h, w]."""


class NetworkMatte:
    """A network that finds the subject by itself, fed by a recipe (see `runtime.engine.MatteEngine`).

    `size` is the height and width that the network wants where they are not the recipe's; `probabilities` says that it
    gives these, whatever the recipe says of the published file.
    """

    def __init__(
        self, spec: ModelEntry, rules: MatteRules, network: Network, size: tuple[int, int] | None, probabilities: bool
    ) -> None:
        self.spec, self.network = spec, network
        self._rules = rules if size is None else replace(rules, height=size[0], width=size[1])
        self._size, self._probabilities = size, probabilities

    def fed_by(self, rules: MatteRules) -> "NetworkMatte":
        """The same network, in memory once, fed by another recipe."""
        return NetworkMatte(self.spec, rules, self.network, self._size, self._probabilities)

    def mattes(self, rgb: np.ndarray) -> np.ndarray:
        answer = self.network(network_input(self._rules, rgb))
        return mattes_of(self._rules, answer, rgb.shape, self._probabilities)


class NetworkTrimap:
    """A network that finds alpha where a trimap leaves it open, as ViTMatte is published: picture and trimap in 0..1,
    stretched to a square (see `runtime.engine.TrimapEngine`)."""

    def __init__(self, spec: ModelEntry, network: Network) -> None:
        self.spec, self.network = spec, network

    def alpha(self, rgb: np.ndarray, trimap: np.ndarray) -> np.ndarray:
        side = self.spec.input.side
        picture = Image.fromarray(rgb).resize((side, side), Image.Resampling.BILINEAR)
        marks = cv2.resize(trimap, (side, side), interpolation=cv2.INTER_NEAREST)
        stacked = np.dstack((np.asarray(picture), marks)).astype(np.float32) / np.float32(255)
        answer = self.network(np.ascontiguousarray(stacked.transpose(2, 0, 1))[None])
        limited: np.ndarray = np.clip(answer[0, 0], 0, 1)
        return limited


class SubjectMatte:
    """The subject of a picture, asked of a promptable network (see `runtime.engine.MatteEngine`).

    It is asked twice, the second time with its first answer as the mask prompt, which is how it was trained. The
    catalogue says how its logits are calibrated (see `training/calibration.py`).
    """

    def __init__(self, engine: SegmentEngine) -> None:
        self.spec: ModelEntry = engine.spec
        self.segments = engine

    def mattes(self, rgb: np.ndarray) -> np.ndarray:
        calibration = self.spec.subject
        scaled = calibration.gain * (self.logits(rgb) + calibration.bias)
        probabilities = 1 / (1 + np.exp(-np.clip(scaled, -30, 30)))
        mattes: np.ndarray = probabilities.astype(np.float32)[None]
        return mattes

    def logits(self, rgb: np.ndarray) -> np.ndarray:
        """The network's own answer for a picture uint8 [H, W, 3]: float32 [h, w] over just the picture."""
        placement = Placement.letterbox(rgb.shape[0], rgb.shape[1], self.spec.input.side)
        features = self.segments.encode(resize_to_input(rgb, placement, self.spec.input.resize))
        embedding = self.segments.prepare(features)
        prompt = np.zeros((1, 1, 2), np.float32), np.full((1, 1), SUBJECT)
        guess = self.segments.decode(embedding, *prompt)[0][:, 0]
        return placement.covering(self.segments.decode(embedding, *prompt, guess)[0][0, 0])
