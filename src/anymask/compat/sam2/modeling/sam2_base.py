"""What the builders build, as far as programs look into it."""

from __future__ import annotations

import os

from anymask.compat.models import LazyModel


class SAM2Base(LazyModel):
    """One of SAM 2's models; see `LazyModel`.

    Attributes:
        image_size: side of the network's square input in pixels.
    """

    def __init__(self, name: str, checkpoint: str | os.PathLike[str] | None = None, precision: str = "auto") -> None:
        super().__init__(name, checkpoint, precision)
        self.image_size = self.spec.input.side

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spec.name!r}, {self._device})"
