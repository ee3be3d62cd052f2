"""Which earlier frames of a video a frame is seen in the light of, in numbers only.

`recall` is SAM 2's rule (Ravi et al. 2024, §4): the latest ones. `recall_trusted` takes the latest of those that are to
be believed, as SAMURAI (Yang et al. 2024, arXiv 2411.11922, §4.2) and SAM2Long (Ding et al. 2024, arXiv 2410.16268,
§3.3) do; the thresholds are those of SAMURAI's release.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

MAPS, POINTERS = 6, 16  # frames just before whose memories are read; frames whose pointers are, this one included
TRUSTED_SCORE, TRUSTED_PRESENCE, TRUSTED_MOTION = 0.5, 0.5, 0.0  # to be exceeded; SAM2Long asks for IoUs above 0.3
PROMPTED = 6  # the temporal code of prompted frames; frame r steps before has r - 1


class Recalled(NamedTuple):
    """Frames whose memories are read, each with the row of its temporal code, and frames whose pointers are, each with
    how long ago it was as a share of the longest time."""

    maps: list[tuple[int, int]]
    pointers: list[tuple[int, float]]


def recall(
    frame: int, prompted: Collection[int], tracked: Collection[int], frames: int | None = None, reverse: bool = False
) -> Recalled:
    """What of an object's memories frame `frame` is seen in the light of.

    Args:
        frame: its index.
        prompted: frames on which the object was first shown (or corrected, where corrections stick); all are read.
        tracked: other frames with a memory; of these the six just before, and their pointers up to fifteen before.
        frames: the length of the video, None where it is not known; shorter ones have fewer pointers.
        reverse: the video is gone through backwards, so that before is after.
    """
    longest = POINTERS if frames is None else min(frames, POINTERS)
    back = 1 if reverse else -1
    share = 1 / max(longest - 1, 1)
    maps = [(shown, PROMPTED) for shown in prompted]
    maps += [(frame + back * r, r - 1) for r in range(1, MAPS + 1) if frame + back * r in tracked]
    pointers = [(shown, (frame - shown) * -back * share) for shown in prompted if (frame - shown) * -back >= 0]
    pointers += [(frame + back * r, r * share) for r in range(1, longest) if frame + back * r in tracked]
    return Recalled(maps, pointers)


class Quality(NamedTuple):
    """How far a tracked frame is to be believed: predicted IoU, about 0 to 1; the probability that the object is there;
    and the IoU of its box with the one that its motion had led to expect, 0 to 1."""

    score: float
    presence: float
    motion: float

    @property
    def trusted(self) -> bool:
        """Whether all three are above their thresholds."""
        return self.score > TRUSTED_SCORE and self.presence > TRUSTED_PRESENCE and self.motion > TRUSTED_MOTION


def recall_trusted(
    frame: int,
    prompted: Collection[int],
    tracked: Mapping[int, Quality],
    mapped: Collection[int],
    frames: int | None = None,
    reverse: bool = False,
) -> Recalled:
    """What of an object's memories frame `frame` is seen in the light of, where some tracked frames mislead.

    All prompted frames are read, as in `recall`. Of the tracked ones before it the six nearest with a memory that are
    trusted, however long ago: the nearest has the temporal code of the frame just before, and so on in that order; and
    the pointers of the fifteen nearest trusted ones, with their true times. Where none is trusted it is as in `recall`.

    Args:
        frame, prompted, frames, reverse: as in `recall`.
        tracked: other frames, whose pointers are known.
        mapped: those of them whose memories are.
    """
    ahead = -1 if reverse else 1
    good = sorted((shown for shown, one in tracked.items() if one.trusted), key=lambda shown: (frame - shown) * ahead)
    good = [shown for shown in good if (frame - shown) * ahead > 0]
    if not good:
        return recall(frame, prompted, tracked, frames, reverse)
    longest = POINTERS if frames is None else min(frames, POINTERS)
    share = 1 / max(longest - 1, 1)
    maps = [(shown, PROMPTED) for shown in prompted]
    maps += [(shown, row) for row, shown in enumerate([one for one in good if one in mapped][:MAPS])]
    pointers = [(shown, (frame - shown) * ahead * share) for shown in prompted if (frame - shown) * ahead >= 0]
    pointers += [(shown, (frame - shown) * ahead * share) for shown in good[: longest - 1]]
    return Recalled(maps, pointers)
