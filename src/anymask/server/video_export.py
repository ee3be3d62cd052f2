"""What was found in a video as a file, in the formats of `anymask track`."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anymask.errors import FormatError
from anymask.server.errors import Full, RequestError
from anymask.server.opened import OpenVideo

READ_BYTES = 32 << 20  # of decoded frames
LOOK = 32  # frames between two looks at how much is written
# By its name the option of `open_writers`, the ending of what is written, and the media type.
FORMATS: dict[str, tuple[str, str, str]] = {
    "labels": ("labels", ".labels.zip", "application/zip"),
    "sav": ("json", ".sav.zip", "application/zip"),
    "overlay": ("overlay", ".overlay.mp4", "video/mp4"),
    "cutout": ("cutout", ".cutout.webm", "video/webm"),
    "cutout-mov": ("cutout", ".cutout.mov", "video/quicktime"),
}


def export(
    video: OpenVideo, form: str, folder: Path, most: int, on_progress: Callable[[int, int], object]
) -> tuple[Path, str]:
    """Write a file: where it lies, and its media type. All frames are in it, also those that nothing was found on.

    Args:
        form: of FORMATS.
        folder: an empty one, for this file and what it is made of.
        most: bytes that may be written.
        on_progress: called with frames done and frames in all; what it raises ends the work.

    Raises FormatError for an unknown format, RequestError where nothing was found yet, Full for what has no room, and
    what the writers raise.
    """
    try:
        return _written(video, form, folder, most, on_progress)
    except OSError as error:
        raise Full(f"The server cannot write the export ({error.strerror or error}).") from error


def _written(
    video: OpenVideo, form: str, folder: Path, most: int, on_progress: Callable[[int, int], object]
) -> tuple[Path, str]:
    from anymask.tracking.writing import open_writers
    from anymask.video.seeking import ClipFrames

    if form not in FORMATS:
        raise FormatError(f"Videos are exported as {', '.join(FORMATS)}, not as {form[:40]!r}.")
    if not video.objects():
        raise RequestError("Nothing was found in this video yet; say first where an object is.")
    option, ending, media = FORMATS[form]
    target = folder / f"{stem(video.name)}{ending}"
    inside = folder / "frames" if option == "labels" else folder / f"{stem(video.name)}.json"
    place = inside if media == "application/zip" else target
    session = video.session
    rate = float(getattr(session.frames, "rate", None) or 24)
    wanted: dict[str, Any] = {option: place}
    writers = open_writers(session, rate, **wanted)
    frames = ClipFrames(video.path, READ_BYTES)
    total = session.count or 0
    try:
        for index in range(total):
            on_progress(index, total)
            if index % LOOK == LOOK - 1 and sum(path.stat().st_size for path in _files(folder)) > most:
                raise Full(f"The export takes more than the {most >> 20} MB allowed; take another format, or a part.")
            rgb = frames.at(index)
            if rgb is None:
                break
            for writer in writers:
                writer.write(index, rgb, video.masks(index) or video.empty())
    finally:
        frames.close()
        for writer in writers:
            writer.close()
    if media == "application/zip":
        files = sorted(inside.glob("*.png")) if inside.is_dir() else [inside]
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.name)
    return target, media


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def stem(name: str) -> str:
    """A file's name without its ending, and without what file systems take amiss."""
    plain = re.sub(r"[^\w\- ]+", "_", Path(name.replace("\\", "/")).stem).strip(" _")
    return plain[:80] or "video"
