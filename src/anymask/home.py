"""The folder where anymask keeps what it need not make or fetch twice."""

import os
import sys
import tempfile
from pathlib import Path


def home() -> Path:
    """`ANYMASK_HOME`, or `anymask` in the user's cache folder of this operating system. It need not exist."""
    if chosen := os.environ.get("ANYMASK_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "anymask"


def writable_folder(name: str) -> Path | None:
    """A folder of that name under `home()`, made if need be; None where it cannot be written, since a cache is never a
    must."""
    folder = home() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None
