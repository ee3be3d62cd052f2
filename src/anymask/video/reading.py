"""Clips read with PyAV: upright RGB frames with their times, and the packets of the sound."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anymask.errors import ImageError, MissingExtraError

try:
    import av
except ImportError as error:  # pragma: no cover - tests have the extra
    raise MissingExtraError('Clips need the video extra: pip install "anymask[video]".') from error

av.logging.set_level(av.logging.PANIC)  # what is wrong with a file is said in our sentence


class Frame(NamedTuple):
    """rgb uint8 [H, W, 3]; pts in units of the stream's time base."""

    rgb: np.ndarray
    pts: int


class Sound(NamedTuple):
    """A packet of the sound, as it is in the file."""

    packet: Any


class Reader:
    """A clip, opened. Iterate over it once: frames and sound, in the file's order.

    Attributes:
        rate: frames a second on average; time_base: the unit of `Frame.pts`, in seconds; total: how many frames there
            are, None where the file does not say; sound: the audio stream or None.
        trouble: a sentence about what ended the clip before its end, or "".

    Raises ImageError for what is no clip, or has no pictures.
    """

    def __init__(self, path: Path, sound: bool = True) -> None:
        self.path = path
        self.trouble = ""
        try:
            self._container = av.open(str(path), metadata_errors="ignore")
        except FileNotFoundError:
            raise ImageError(f"{path} does not exist.") from None
        except IsADirectoryError:
            raise ImageError(f"{path} is a folder, not a clip.") from None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise ImageError(f"{path} is no clip that can be read ({_reason(error)}).") from error
        if not self._container.streams.video:
            self._container.close()
            raise ImageError(f"{path} has no pictures, only sound or data.")
        self._video = self._container.streams.video[0]
        self._video.thread_type = "AUTO"
        self.sound = self._container.streams.audio[0] if sound and self._container.streams.audio else None
        self.rate: Fraction = self._video.average_rate or self._video.guessed_rate or Fraction(25)
        self.time_base: Fraction = self._video.time_base or 1 / self.rate
        self.total = self._video.frames or self._estimated()

    def __iter__(self) -> Iterator[Frame | Sound]:
        wanted = [self._video] if self.sound is None else [self._video, self.sound]
        last: int | None = None
        shape: tuple[int, ...] | None = None
        try:
            for packet in self._container.demux(*wanted):
                if packet.stream is self.sound:
                    if packet.dts is not None:
                        yield Sound(packet)
                    continue
                decoded: Any
                for decoded in packet.decode():
                    rgb = _upright(decoded.to_ndarray(format="rgb24"), decoded.rotation)
                    step = max(1, round(1 / (self.rate * self.time_base)))
                    pts = decoded.pts if decoded.pts is not None else (0 if last is None else last + step)
                    last = pts if last is None else max(pts, last + 1)  # a broken clip's times may stand still
                    if shape not in (None, rgb.shape):
                        self.trouble = f"its frames change from {_size(shape)} to {_size(rgb.shape)}"
                        return
                    shape = rgb.shape
                    yield Frame(rgb, last)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.trouble = f"it breaks off or is damaged ({_reason(error)})"

    def close(self) -> None:
        self._container.close()

    def _estimated(self) -> int | None:
        if self._container.duration is None:
            return None
        return round(self._container.duration / av.time_base * self.rate) or None


def _upright(rgb: np.ndarray, rotation: int) -> np.ndarray:
    """Turned counterclockwise by so many degrees, as phones ask for."""
    turns = round(rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


def _size(shape: tuple[int, ...] | None) -> str:
    return "nothing" if shape is None else f"{shape[1]} x {shape[0]}"


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).lower()
