"""The catalogue of models: what catalog.toml says, as typed entries."""

import difflib
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from anymask.errors import ModelError


@dataclass(frozen=True)
class Input:
    """What a network wants to see: a square of `side` pixels; `fit` letterbox or stretch; `padding` RGB in 0..255."""

    side: int
    fit: str
    padding: tuple[int, int, int]


@dataclass(frozen=True)
class Calibration:
    """alpha = sigmoid(gain * (logit + bias)): how a model's logits for the subject become a matte."""

    gain: float = 1.0
    bias: float = 0.0


@dataclass(frozen=True)
class ModelEntry:
    """One model of the catalogue. `bytes` is the size of its weights; `bundled` the folder of a model that ships with
    anymask."""

    name: str
    family: str
    description: str
    tasks: tuple[str, ...]
    licence: str
    commercial: bool
    bytes: int
    bundled: str
    input: Input
    mask_side: int
    batch: int
    everything: dict[str, float] = field(default_factory=dict, hash=False)
    subject: Calibration = Calibration()

    @property
    def folder(self) -> Path:
        """Where the model's files are, or would be."""
        return Path(str(resources.files("anymask"))) / "weights" / self.bundled

    @property
    def installed(self) -> bool:
        """Whether the model can be used without fetching anything."""
        return self.folder.is_dir()


@cache
def _catalogue() -> dict[str, ModelEntry]:
    content = tomllib.loads(resources.files("anymask").joinpath("catalog.toml").read_text(encoding="utf-8"))
    return {name: _entry(name, data) for name, data in content.items()}


def _entry(name: str, data: dict[str, Any]) -> ModelEntry:
    picture = data["input"]
    typed = {
        "input": Input(picture["side"], picture["fit"], tuple(picture["padding"])),
        "tasks": tuple(data["tasks"]),
        "subject": Calibration(**data.get("subject", {})),
    }
    return ModelEntry(name=name, **{**data, **typed})


def models(
    family: str | None = None, commercial: bool | None = None, installed: bool | None = None
) -> list[ModelEntry]:
    """The models anymask knows, in the catalogue's order.

    Args:
        family: only this family's (`"pocket"`).
        commercial: True for those whose licence allows commercial use, False for the others.
        installed: True for those that need no download, False for the others.
    """
    return [
        entry
        for entry in _catalogue().values()
        if (family is None or entry.family == family)
        and (commercial is None or entry.commercial == commercial)
        and (installed is None or entry.installed == installed)
    ]


def find(name: str, task: str | None = None) -> ModelEntry:
    """The model of that name, able to do `task` (segment, matte).

    Raises ModelError for an unknown name, naming the nearest, and for a model that cannot do the task.
    """
    catalogue = _catalogue()
    entry = catalogue.get(name)
    if entry is None:
        near = difflib.get_close_matches(str(name), catalogue, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are: {', '.join(catalogue)}."
        raise ModelError(f"There is no model called {name!r}; {hint}")
    if task is not None and task not in entry.tasks:
        able = [other.name for other in catalogue.values() if task in other.tasks]
        raise ModelError(f"The model {name} cannot {task}; these can: {', '.join(able)}.")
    return entry
