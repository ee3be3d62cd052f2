"""Videos that clients have opened, by id: bounded in number and bytes, and closed when nobody asks about them."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from pathlib import Path

from anymask.errors import MissingExtraError
from anymask.server.errors import Busy, Gone, Missing, NotFound
from anymask.server.opened import OpenVideo
from anymask.server.settings import Settings
from anymask.tracker import Tracker

REMEMBERED = 1000  # ids of videos that were closed


class VideoStore:
    """Open videos. Each opening has an id of its own, which nobody guesses, since what is said of a video is one
    person's work.

    Args:
        folder: where their files lie while they are open.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._open: OrderedDict[str, OpenVideo] = OrderedDict()
        self._dropped: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def disk(self) -> int:
        """Bytes of their files."""
        return sum(video.bytes for video in list(self._open.values()))

    def add(self, upload: Path, name: str, tracker: Tracker) -> OpenVideo:
        """Take over a file that a client has sent, and open it; the least lately used one makes room for it.

        Raises ImageError or TooLarge for what cannot be opened, and Busy while all others are being tracked.
        """
        self._make_room(upload.stat().st_size)
        identity = secrets.token_hex(16)
        path = self._folder / f"video-{identity}"
        upload.replace(path)
        try:
            video = OpenVideo(identity, name, path, tracker, self._settings.max_pixels)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        with self._lock:
            self._open[identity] = video
        self._make_room(0)
        return video

    def get(self, identity: str) -> OpenVideo:
        """An open video, now the latest used. Raises NotFound, or Gone for one that was closed."""
        self._close_idle()
        with self._lock:
            video = self._open.get(identity)
            if video is not None:
                self._open.move_to_end(identity)
                video.used = time.monotonic()
                return video
            dropped = identity in self._dropped
        if dropped:
            raise Gone("This video was closed; open it again.")
        raise NotFound("There is no video with this id; open it first.")

    def drop(self, identity: str) -> None:
        """Close a video. Raises NotFound or Gone."""
        self._close(self.get(identity))

    def close(self) -> None:
        """End what is under way; the files go with the folder."""
        for video in list(self._open.values()):
            video.cancel()

    def _close(self, video: OpenVideo) -> None:
        with self._lock:
            self._open.pop(video.id, None)
            self._dropped[video.id] = None
            while len(self._dropped) > REMEMBERED:
                self._dropped.popitem(last=False)
        video.close()

    def _close_idle(self) -> None:
        before = time.monotonic() - self._settings.idle
        with self._lock:
            idle = [video for video in self._open.values() if video.used < before and not video.tracking]
        for video in idle:
            self._close(video)

    def _make_room(self, size: int) -> None:
        """Close videos until one more of a size fits; for 0, until those that are there do."""
        self._close_idle()
        most = self._settings.videos - (1 if size else 0)
        while self._open and (len(self._open) > most or self.disk + size > self._settings.disk):
            with self._lock:
                newest = None if size else next(reversed(self._open), None)
                free = [one for one in self._open.values() if not one.tracking and one.id != newest]
            if not free:
                if size:
                    raise Busy("Objects are being followed in all videos that are open; try again later.", 10)
                return
            self._close(free[0])


def has_video() -> bool:
    """Whether videos can be read: PyAV is installed."""
    try:
        import anymask.video.reading  # noqa: F401
    except MissingExtraError:
        return False
    return True


def check_video() -> None:
    """Raises Missing where videos cannot be read."""
    try:
        import anymask.video.reading  # noqa: F401
    except MissingExtraError as error:
        raise Missing(f"This server reads no videos. {error}") from None
