"""A camera's pictures, as they come."""

from __future__ import annotations

import re

import cv2
import numpy as np

from anymask.errors import ImageError


class Camera:
    """An iterator of what a camera sees, uint8 RGB `[H, W, 3]`, through OpenCV. It ends when the camera does.

    Args:
        which: its number, counted from 0 as the system does, or the address of one in the network (http, rtsp).

    Raises ImageError when it cannot be opened.
    """

    def __init__(self, which: int | str) -> None:
        numbered = isinstance(which, int)
        # Without the password that an address may hold: the name is shown, and logged.
        self.name = f"camera {which}" if numbered else re.sub(r"//[^/]*@", "//", str(which))
        logging = cv2.utils.logging
        level = logging.setLogLevel(logging.LOG_LEVEL_ERROR)  # it would warn of what is an error here
        self._capture = cv2.VideoCapture(which)
        logging.setLogLevel(level)
        if not self._capture.isOpened():
            counted = "; cameras are counted from 0" if numbered else ""
            raise ImageError(f"There is no {self.name}, or it is in use{counted}.")
        # Whoever asks seldom is to see what is there now, not what was there some frames ago; not all drivers listen.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def __iter__(self) -> Camera:
        return self

    def __next__(self) -> np.ndarray:
        read, bgr = self._capture.read()
        if not read:
            raise StopIteration
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()
