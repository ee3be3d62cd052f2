"""What became of a clip that was worked on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VideoResult:
    """What became of a clip.

    Attributes:
        frames: how many are written.
        seconds: how long that took.
        trouble: a sentence on what ended the clip early or is missing from it, or "".
    """

    frames: int
    seconds: float
    trouble: str = ""

    @property
    def fps(self) -> float:
        """Frames that were done in a second."""
        return self.frames / self.seconds if self.seconds else 0.0
