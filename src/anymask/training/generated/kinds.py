"""The kinds of scenes: how each is painted and how often it is drawn."""

from collections.abc import Callable

from anymask.training.generated import layers, spaces
from anymask.training.generated.stage import Stage

KINDS: dict[str, tuple[Callable[[Stage], None], float]] = {
    "leaves": (layers.leaves, 0.15),
    "nests": (layers.nests, 0.11),
    "camouflage": (layers.camouflage, 0.06),
    "bold": (layers.bold, 0.05),
    "crowd": (layers.crowd, 0.09),
    "mosaic": (layers.mosaic, 0.03),
    "foliage": (layers.foliage, 0.04),
    "table": (layers.table, 0.04),
    "room": (spaces.room, 0.1),
    "landscape": (spaces.landscape, 0.05),
    "glass": (spaces.glass, 0.05),
    "focus": (spaces.focus, 0.07),
    "subject": (spaces.subject, 0.25),
}
