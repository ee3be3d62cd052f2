"""Checkpoints that are pickled network objects (FastSAM's, and YOLOv8's in general), read as data.

Such a file names classes, which Python's and PyTorch's own readers would import and call. Here nothing that a file
names is imported or called: every class or function becomes an inert `Shell` that only remembers what the file puts
into it, and tensors become notes of where their numbers lie (`Note`). Afterwards the tree of modules is walked, and the
tensors found in it are read, each checked against the file's size first.

Before the pickle is unpickled its operations are read one by one: what belongs to Python's standard library and no data
needs (`os.system`, `builtins.eval`) is refused by name, and so are operations by which a small file asks for a lot of
memory.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from anymask.errors import WeightsError

MODULES = 100_000  # visited at most; real networks have hundreds
DEEPEST = 50  # modules within one another
LONGEST_PICKLE = 16 << 20  # bytes; those of real networks have some hundred thousand
DTYPES = {
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
PLAIN: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": OrderedDict,
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "torch.Size": tuple,
}
# Of the standard library, what harmless checkpoints hold beside their tensors; inert all the same.
HARMLESS = {
    "builtins": ("bytearray", "complex", "dict", "getattr", "int", "list", "object", "range", "slice", "str", "tuple"),
    "_codecs": ("encode",),
    "argparse": ("Namespace",),
    "collections": ("Counter", "defaultdict", "deque"),
    "copyreg": ("_reconstructor",),
    "datetime": ("date", "datetime", "timedelta", "timezone"),
    "functools": ("partial",),
    "pathlib": ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    "types": ("SimpleNamespace",),
}
PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # a pickle's second protocol uses the old names
MEMO = ("PUT", "BINPUT", "LONG_BINPUT")
UNKNOWN = ("EXT1", "EXT2", "EXT4", "INST", "OBJ", "PERSID", "NEXT_BUFFER", "READONLY_BUFFER")


@dataclass(frozen=True)
class Storage:
    """A run of numbers in the file: the name of its record, their type and how many."""

    record: str
    dtype: str
    count: int


@dataclass(frozen=True)
class Note:
    """A tensor that has not been read: where it lies in a storage, in numbers and not in bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Shell:
    """What stands for an object of a class that the file names. Holds what the file put into it, and does nothing."""

    state: Any = None

    def __init__(self, *content: Any) -> None:
        """Whatever it is called with, nothing happens."""

    def __setstate__(self, state: Any) -> None:
        self.state = state[0] if isinstance(state, tuple) and len(state) == 2 else state

    def append(self, item: Any) -> None:
        """Containers of unknown classes are filled like lists or like dictionaries; nobody needs what is in them."""

    def extend(self, items: Any) -> None:
        """As `append`."""

    def add(self, item: Any) -> None:
        """As `append`."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """As `append`."""

    def __call__(self, *content: Any) -> Shell:
        """What a file calls may itself be something that it made."""
        return Shell()


class Maker:
    """What stands for a function that the file names: one of ours that makes plain data or notes of it.

    Unpickling may try to change it, which `__setstate__` refuses.
    """

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *content: Any) -> Any:
        return self._make(*content)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("functions have no state")


def read_module(source: Path | bytes) -> dict[str, np.ndarray]:
    """The state dict of the network object in a PyTorch checkpoint, half precision as it is, bfloat16 as float32.

    The object is the file's whole content, or what a dictionary holds as `ema` (the average of a run) or `model`.

    Raises:
        WeightsError: the end of a sentence on what is wrong with the file: it wants something that is no data, holds no
            network, or promises more than is in it.
    """
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = name.removesuffix("data.pkl")
        if archive.getinfo(name).file_size > min(size, LONGEST_PICKLE):
            raise WeightsError("is damaged: what it says of its network is longer than any network needs.")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise WeightsError("was written by a machine of the other byte order, which is not supported.")
        code = archive.read(name)
        _inspect(code)
        notes = _tensors(_Reader(io.BytesIO(code)).load())
        if sum(prod(note.shape) * np.dtype(note.storage.dtype).itemsize for note in notes.values()) > size:
            raise WeightsError("is damaged: its tensors are larger than the file.")
        return {key: _numbers(archive, folder, note) for key, note in notes.items()}


def _inspect(code: bytes) -> None:
    """Raise WeightsError for operations that no such checkpoint has; nothing is carried out."""
    for operation, argument, _ in pickletools.genops(code):
        if operation.name in UNKNOWN:
            raise WeightsError("is a pickle of something else than tensors and was refused.")
        if (
            operation.name in MEMO and isinstance(argument, int) and argument > len(code)
        ):  # a table of that length would be made
            raise WeightsError("is damaged: it numbers more objects than it has bytes.")
        if operation.name == "GLOBAL":
            _known(*str(argument).split(" ", 1))


def _known(module: str, name: str) -> str:
    """The full name of a class or function. Raises WeightsError for what belongs to Python itself and is no data."""
    module = PYTHON_2.get(module, module)
    full, root = f"{module}.{name}", module.partition(".")[0]
    if full in PLAIN or name in HARMLESS.get(module, ()):
        return full
    if root in sys.stdlib_module_names:
        raise WeightsError(f"wants {full} and was refused: a checkpoint may hold tensors only.")
    return full


class _Reader(pickle.Unpickler):
    """Unpickles without importing anything."""

    def find_class(self, module: str, name: str) -> Any:
        full = _known(module, name)
        if full in PLAIN:
            return Maker(PLAIN[full])
        if full in ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"):
            return Maker(_note)
        if full in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"):
            return Maker(lambda tensor, *rest: tensor)
        if module in ("torch", "torch.storage") and name in DTYPES:
            return DTYPES[name]
        return Shell

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, record, _, count = pid
        if kind != "storage" or dtype not in DTYPES.values() or not isinstance(record, str):
            raise pickle.UnpicklingError("not a storage")
        return Storage(record, dtype, _whole(count))


def _note(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Note:
    """A tensor's note. Raises UnpicklingError where it does not lie in its storage."""
    if not isinstance(storage, Storage):
        raise pickle.UnpicklingError("a tensor without numbers")
    note = Note(storage, _whole(offset), tuple(map(_whole, shape)), tuple(map(_whole, strides)))
    last = note.offset + sum((n - 1) * step for n, step in zip(note.shape, note.strides, strict=True))
    if prod(note.shape) and (last >= storage.count or prod(note.shape) > storage.count):
        raise pickle.UnpicklingError("a tensor beyond its numbers")
    return note


def _whole(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 48:
        raise pickle.UnpicklingError("not a size")
    return value


def _tensors(content: Any) -> dict[str, Note]:
    """The state dict of a network object: its modules' parameters and buffers under their names joined by dots."""
    if isinstance(content, dict):
        content = next((content[key] for key in ("ema", "model") if isinstance(content.get(key), Shell)), None)
    notes: dict[str, Note] = {}
    todo: list[tuple[str, Any]] = [("", content)]
    visited = 0
    while todo:
        prefix, module = todo.pop()
        visited += 1
        if visited > MODULES or prefix.count(".") > DEEPEST:  # names that grow without end would fill the memory
            raise WeightsError("is damaged: its modules contain each other.")
        state = module.state if isinstance(module, Shell) and isinstance(module.state, dict) else {}
        passing = state.get("_non_persistent_buffers_set")
        for kind in ("_parameters", "_buffers"):
            for name, tensor in _items(state, kind):
                if isinstance(tensor, Note) and not (isinstance(passing, set) and name in passing):
                    notes[prefix + name] = tensor
        todo += [(f"{prefix}{name}.", child) for name, child in reversed(list(_items(state, "_modules")))]
    if not notes:
        raise WeightsError("is a pickle of something else than a network and was refused.")
    return notes


def _items(state: dict[Any, Any], kind: str) -> Iterator[tuple[str, Any]]:
    found = state.get(kind)
    for name, value in found.items() if isinstance(found, dict) else ():
        if isinstance(name, str):
            yield name, value


def _numbers(archive: zipfile.ZipFile, folder: str, note: Note) -> np.ndarray:
    """A tensor's numbers as an array of its own."""
    storage = note.storage
    info = archive.getinfo(f"{folder}data/{storage.record}")
    itemsize = np.dtype(storage.dtype).itemsize
    if info.compress_type != zipfile.ZIP_STORED or info.file_size < storage.count * itemsize:
        raise WeightsError("is damaged: a tensor has fewer numbers than it should.")
    with archive.open(info) as record:
        flat = np.frombuffer(record.read(storage.count * itemsize), storage.dtype)
    if storage.dtype == DTYPES["BFloat16Storage"]:
        flat = (flat.astype(np.uint32) << 16).view(np.float32)
    steps = [step * flat.itemsize for step in note.strides]
    strided = np.lib.stride_tricks.as_strided(flat[note.offset :], note.shape, steps)
    return np.array(strided, order="C")  # a copy, which may be written
