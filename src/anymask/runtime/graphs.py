"""Where a checkpoint's graphs lie: made once, found again without PyTorch.

A folder of graphs holds encoder.xml, decoder.xml and, where the network has such parts, prepare.xml and masked.xml (see
`networks/parts.py`), or matte.xml of a network that finds the subject by itself, or instances.xml of one that finds all
objects at once; each with its constants in a .bin file beside it, in float32. What a network with a memory runs for a
video lies in a folder of its own, made when a video is first opened.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from anymask.catalog import ModelEntry
from anymask.errors import MissingExtraError
from anymask.hashes import checkpoint_sha256
from anymask.home import writable_folder
from anymask.locks import alone

GRAPH_VERSION = 8
"""Raised whenever the code that graphs are made of changes what they hold; they are then made anew."""


def graph_folder(spec: ModelEntry, checkpoint: Path, video: bool = False) -> Path:
    """The folder of a checkpoint's graphs, converted unless an earlier run did; standard error says when that begins.

    `video`: of those graphs that only a video needs.

    It is kept under `home()`, or, where that cannot be written, until the process ends.

    Raises:
        WeightsError: the checkpoint is damaged or another model's.
        MissingExtraError: it has to be converted and torch is not installed.
    """
    kept = writable_folder("graphs")
    if kept is None:
        kept = Path(tempfile.mkdtemp(prefix="anymask-"))
        atexit.register(shutil.rmtree, kept, ignore_errors=True)
    name = f"{spec.name}-video" if video else spec.name
    folder = kept / f"{name}-{GRAPH_VERSION}-{checkpoint_sha256(checkpoint)[:16]}"
    if not folder.exists():
        with alone(kept / f".{folder.name}.lock"):
            if not folder.exists():  # another process may have made it while this one waited
                _make(spec, checkpoint, folder, video)
    return folder


def _make(spec: ModelEntry, checkpoint: Path, folder: Path, video: bool) -> None:
    """Convert next to the folder and move it there in one step, so that nobody ever finds half of it."""
    write = _writer(spec, checkpoint, video)
    unfinished = folder.with_name(f".{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    sys.stderr.write(f"Preparing {spec.name} for {'videos on ' if video else ''}this machine, once ...\n")
    try:
        unfinished.mkdir()
        write(spec, checkpoint, unfinished)
        os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _writer(spec: ModelEntry, checkpoint: Path, video: bool) -> Callable[[ModelEntry, Path, Path], None]:
    """What makes the graphs of this file."""
    if is_onnx(checkpoint):
        from anymask.runtime.onnx import write_onnx_graph

        return write_onnx_graph
    if find_spec("torch") is None:
        raise MissingExtraError(f'Preparing {spec.name}, once, needs the torch extra: pip install "anymask[torch]".')
    from anymask.runtime.convert import write_graphs, write_instance_graph, write_matte_graph, write_video_graphs

    if spec.instances:
        return write_instance_graph
    if video:
        return write_video_graphs
    return write_graphs if "segment" in spec.tasks else write_matte_graph


def is_onnx(path: Path) -> bool:
    """Whether a file is an ONNX model: by its content, or, where that says nothing, by its name."""
    with path.open("rb") as file:
        start = file.read(9)
    if start.startswith((b"PK", b"\x80")) or start[8:] == b"{":  # a zip archive, a pickle, safetensors
        return False
    return start.startswith(b"\x08") or path.suffix.lower() == ".onnx"
