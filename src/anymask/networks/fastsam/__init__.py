"""FastSAM (Zhao et al. 2023) in two sizes: a network that finds all objects at once, among which prompts choose."""

from anymask.networks.fastsam.fastsam import FastSam

__all__ = ["build", "forms"]

SIZES = {"s": ((32, 64, 128, 256, 512), 1), "x": ((80, 160, 320, 640, 640), 3)}
BINS = {"s": (16, 26), "x": (26, 16)}  # the likely number first: authors' code and published files disagree


def build(variant: str) -> FastSam:
    """The network of a size ("s", "x"), its weights not yet loaded."""
    return forms(variant)[0]


def forms(variant: str) -> list[FastSam]:
    """The networks that a checkpoint of a size may hold: they differ in how finely a box's sides are told."""
    return [FastSam(*SIZES[variant], bins) for bins in BINS[variant]]
