"""Published checkpoints on this machine: fetched, verified, found again.

A download goes to FILE.part and becomes FILE in one step, when its hash is the published one: a file of that name is
always whole.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from anymask import hashes
from anymask.catalog import ModelEntry
from anymask.errors import WeightsError
from anymask.locks import alone
from anymask.progress import byte_progress

if TYPE_CHECKING:
    from anymask.transfer import Progress

REMBG = "https://github.com/danielgatis/rembg/releases/download/v0.0.0"


def located(entry: ModelEntry) -> Path:
    """A model's weights on this machine, verified; if they are not there they are fetched, which standard error tells.

    Raises WeightsError (see `verified` and `fetch`).
    """
    if entry.weights is None:
        if not entry.bundled:
            raise WeightsError(f"{entry.name} has no weights of its own: give it a file of yours with weights=.")
        return entry.path
    if entry.path.exists():
        return verified(entry)
    if (other := _of_rembg(entry)) is not None:
        return other
    with byte_progress(f"Downloading {entry.name}", f"{entry.bytes / 1e6:.0f} MB to {entry.path}") as advance:
        return fetch(entry, advance)


def _of_rembg(entry: ModelEntry) -> Path | None:
    """The same file where the package rembg keeps it, so that those who come from there download nothing again."""
    if entry.weights is None or entry.weights.address.rpartition("/")[0] != REMBG:
        return None
    new = os.environ.get("REMBG_HOME", "~/.rembg")
    old = os.environ.get("U2NET_HOME", "~/.u2net")
    name = f"{entry.name}.onnx"
    for path in (Path(new, "models", entry.name, name), Path(old, "models", entry.name, name), Path(old, name)):
        path = path.expanduser()
        algorithm, expected = _expected(entry)
        try:
            if path.is_file() and hashes.digest(path, algorithm) == expected:
                return path
        except OSError:  # not ours to read
            continue
    return None


def verified(entry: ModelEntry) -> Path:
    """The checkpoint of a published model that lies at its place, whoever put it there.

    Its hash is compared once, and again when the file has changed. Raises WeightsError when it is another.
    """
    path, (algorithm, expected) = entry.path, _expected(entry)
    try:
        found = hashes.digest(path, algorithm)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}).") from error
    if found != expected:
        raise WeightsError(
            f"{path} is not the published checkpoint of {entry.name}: its {algorithm} should be {expected} and is "
            f"{found}; delete it to have it downloaded again, or open it as it is with weights=."
        )
    return path


def fetch(entry: ModelEntry, on_progress: "Progress" = lambda done, total: None) -> Path:
    """A published model's checkpoint, downloaded to `entry.path` unless it is there, and verified.

    Goes on where an earlier try broke off. Several processes may ask for the same file: one downloads, the others wait.
    `ANYMASK_OFFLINE=1` forbids it; `ANYMASK_MIRROR` is the address of a folder that has the files, asked instead of the
    published addresses.

    Raises:
        WeightsError: it cannot be reached or written, or what came is not the published file (and is deleted).
    """
    from anymask.transfer import TransferError, discard, transfer  # with Python's HTTP client, seldom needed

    path, address = entry.path, _address(entry)
    part = path.with_name(path.name + ".part")
    try:
        if os.environ.get("ANYMASK_OFFLINE", "0") not in ("", "0"):
            raise TransferError("ANYMASK_OFFLINE is set")
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path.with_name(f".{path.name}.lock")):
            if path.exists():  # another process has fetched it while this one waited
                return verified(entry)
            transfer(address, part, on_progress)
            algorithm, expected = _expected(entry)
            size, found = part.stat().st_size, hashes.compute(part, algorithm)
            if found == expected:
                os.replace(part, path)
                hashes.remember(path, algorithm, found)
            discard(part)
    except TransferError as error:
        raise WeightsError(
            f"The weights of {entry.name} could not be downloaded ({error}): fetch {address} by other means and "
            f"put it there as {path}, or use the model pocket, which needs no download."
        ) from error
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be written ({error.strerror}); make room, or set ANYMASK_HOME to another folder."
        ) from error
    if found != expected:
        raise WeightsError(
            f"What {address} sent for {entry.name} ({size} bytes) is not the published file and was deleted: its "
            f"{algorithm} should be {expected} and is {found}."
        )
    return path


def _address(entry: ModelEntry) -> str:
    """Where to ask for a model's checkpoint. Raises WeightsError for a model that is not published."""
    if entry.weights is None:
        raise WeightsError(f"The model {entry.name} ships with anymask; there is nothing to download.")
    mirror = os.environ.get("ANYMASK_MIRROR")
    return f"{mirror.rstrip('/')}/{entry.weights.file}" if mirror else entry.weights.address


def _expected(entry: ModelEntry) -> tuple[str, str]:
    """The algorithm and the value of the hash by which a published checkpoint is known."""
    return next((name, value) for name in hashes.ALGORITHMS if (value := getattr(entry.weights, name)))
