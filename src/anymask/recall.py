"""Which earlier frames of a video a frame is seen in the light of, in numbers only: SAM 2's rule.

Ravi et al. 2024, §4.
"""

from collections.abc import Collection
from typing import NamedTuple

MAPS, POINTERS = 6, 16  # frames just before whose memories are read; frames whose pointers are, this one included
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
