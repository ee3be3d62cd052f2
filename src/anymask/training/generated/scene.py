"""A random generated scene: the kind drawn by its share, painted, and read off as masks."""

import numpy as np

from anymask.training.generated.kinds import KINDS
from anymask.training.generated.materials import Photographs
from anymask.training.generated.stage import Stage
from anymask.training.samples import Scene


def generate_scene(rng: np.random.Generator, side: int = 320, photographs: Photographs | None = None) -> Scene:
    """A random scene.

    Args:
        rng: decides everything; the same state gives the same scene.
        side: of the picture, pixels.
        photographs: returns some RGB photograph, uint8 [H, W, 3], to cut textures from, or None; called at most twice.

    Returns:
        A picture with at most 24 masks of what is visible, uint8 [side, side] of 0..255, and `subject` for about a
        third of the scenes.
    """
    names = list(KINDS)
    shares = np.cumsum([KINDS[name][1] for name in names])
    kind = names[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]
    return compose(rng, kind, side, photographs).scene()


def compose(rng: np.random.Generator, kind: str, side: int = 320, photographs: Photographs | None = None) -> Stage:
    """The painted stage of a scene of one kind of `KINDS`."""
    stage = Stage(rng, side, photographs)
    KINDS[kind][0](stage)
    return stage
