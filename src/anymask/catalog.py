"""The catalogue of models: what catalog.toml says, as typed entries."""

import difflib
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from anymask.errors import ModelError
from anymask.home import home


@dataclass(frozen=True)
class Input:
    """What a network wants to see: a square of `side` pixels.

    `fit` is letterbox or stretch, `resize` one of the ways of `runtime/resize.py`, `padding` the RGB colour, 0 to 255,
    that fills the rest: whole numbers for a network that takes uint8, fractions for one that takes float32.
    """

    side: int
    fit: str
    padding: tuple[float, float, float]
    resize: str = "area"


@dataclass(frozen=True)
class PromptRules:
    """How a network wants its prompts.

    `padding_point` says when a point without effect is added: after_points (after the points, when there is no box),
    after_prompt (after points and box alike), alone (when there is nothing else) or never; `max_points` how many points
    it reads, the box's two corners included; `mask` whether it takes an earlier mask.
    """

    padding_point: str = "never"
    max_points: int | None = None
    mask: bool = True


@dataclass(frozen=True)
class Weights:
    """Where a model's official checkpoint is published, and how to know it: one of the three hashes is given.

    `file` is its name on disk. `git_blob` is git's own hash of a file (SHA-1 of "blob SIZE\\0" and the content). Where
    a zip archive with the checkpoint in it is published, that is what is kept and hashed.
    """

    address: str
    file: str
    sha256: str = ""
    md5: str = ""
    git_blob: str = ""


@dataclass(frozen=True)
class MatteRules:
    """What goes into a network that finds a subject by itself, and what its answer means (`runtime/matte_input.py`).

    The picture is resized to `height` x `width` (`fit`: stretch, or short_side: the short side becomes `height`, both
    multiples of 32) in the way of `resize`, divided by 255 or by its own `maximum`, and normalised by `mean` and
    `deviation`. `output` is what the published ONNX file gives: probability, logit, or a logit for each class with the
    background first (classes; argmax to take the likeliest only). `stretch`: the answer is stretched to the minimum and
    maximum of the map, or of the map as large as the picture. `classes` are the names of those that are no background.
    """

    width: int
    height: int
    resize: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    fit: str = "stretch"
    divide: str = "255"
    output: str = "probability"
    stretch: str = ""
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """alpha = sigmoid(gain * (logit + bias)): how a model's logits for the subject become a matte."""

    gain: float = 1.0
    bias: float = 0.0


@dataclass(frozen=True)
class SecondLook:
    """When to look at something small once more, and how near (`second_look.py`); lengths are of the longer side.

    What is shorter than the share `below` of the picture is looked at again, in a part of the picture `around` times
    as long as the thing.
    """

    below: float = 0.4
    around: float = 3.0


@dataclass(frozen=True)
class ModelEntry:
    """One model of the catalogue.

    `family` and `variant` say which network it is, `bytes` how large its weights are. A model ships with anymask
    (`bundled` is its folder), or is published (`weights`, and where these are an ONNX file `checkpoint`, the PyTorch
    original), or is always opened from a file of the user's own (neither). `commercial` says whether the licence allows
    commercial use without asking that the user's own programs be open, `copyleft` that it allows it and asks that.
    `instances`: the network finds all objects at once, and so many of them are kept at most; prompts choose among those
    that `everything` finds unless told otherwise. `enlarge` is how masks become as large as the picture: bilinear in
    SAM's two steps, bilinear-once or bicubic in one. `matte` belongs to networks that find the subject by themselves,
    `rembg` is the same as the package rembg does it. `second_look` is given for models that look twice unless told not
    to, `second_pass` says so of passes; `memory` says that it remembers objects from frame to frame of a video.
    `aliases` are other names of the model.
    """

    name: str
    family: str
    description: str
    tasks: tuple[str, ...]
    licence: str
    commercial: bool
    bytes: int
    input: Input
    mask_side: int = 0
    variant: str = ""
    bundled: str = ""
    weights: Weights | None = None
    checkpoint: Weights | None = None
    aliases: tuple[str, ...] = ()
    matte: MatteRules | None = None
    rembg: MatteRules | None = None
    prompts: PromptRules = PromptRules()
    copyleft: bool = False
    instances: int = 0
    enlarge: str = "bilinear"
    everything: dict[str, float] = field(default_factory=dict, hash=False)
    subject: Calibration = Calibration()
    second_look: SecondLook | None = None
    second_pass: bool = False
    memory: bool = False

    @property
    def path(self) -> Path:
        """Where the model's weights are, or would be: a bundled model's folder of graphs, or a checkpoint."""
        if self.weights is None:
            return Path(str(resources.files("anymask"))) / "weights" / (self.bundled or self.name)
        return home() / "weights" / self.weights.file

    @property
    def installed(self) -> bool:
        """Whether the model can be used without fetching anything."""
        return self.path.exists()


@cache
def _catalogue() -> dict[str, ModelEntry]:
    content = tomllib.loads(resources.files("anymask").joinpath("catalog.toml").read_text(encoding="utf-8"))
    return {name: _entry(name, data) for name, data in content.items()}


def _entry(name: str, data: dict[str, Any]) -> ModelEntry:
    matte = _rules(data["matte"]) if "matte" in data else None
    if matte is None:
        picture = data["input"]
    else:
        picture = {
            "side": max(matte.width, matte.height),
            "fit": matte.fit,
            "padding": (0, 0, 0),
            "resize": matte.resize,
        }
    typed = {
        "input": Input(**{**picture, "padding": tuple(picture["padding"])}),
        "tasks": tuple(data["tasks"]),
        "weights": Weights(**data["weights"]) if "weights" in data else None,
        "checkpoint": Weights(**data["checkpoint"]) if "checkpoint" in data else None,
        "aliases": tuple(data.get("aliases", ())),
        "matte": matte,
        "rembg": _rules(data["matte"] | data["rembg"]) if "rembg" in data else None,
        "prompts": PromptRules(**data.get("prompts", {})),
        "subject": Calibration(**data.get("subject", {})),
        "second_look": SecondLook(**data["second_look"]) if "second_look" in data else None,
    }
    return ModelEntry(name=name, **{**data, **typed})


def _rules(data: dict[str, Any]) -> MatteRules:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return MatteRules(**values)


def models(
    family: str | None = None, commercial: bool | None = None, installed: bool | None = None
) -> list[ModelEntry]:
    """The models anymask knows, in the catalogue's order.

    Args:
        family: only this family's (`"pocket"`).
        commercial: True for those whose licence allows commercial use in programs that are not open, False for the
            others.
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
    """The model of that name or alias, able to do `task` (segment, matte, trimap).

    Raises ModelError for an unknown name, naming the nearest, and for a model that cannot do the task.
    """
    catalogue = _catalogue()
    named = catalogue | {alias: entry for entry in catalogue.values() for alias in entry.aliases}
    entry = named.get(name)
    if entry is None:
        near = difflib.get_close_matches(str(name), named, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are: {', '.join(catalogue)}."
        raise ModelError(f"There is no model called {name!r}; {hint}")
    if task is not None and task not in entry.tasks:
        able = [other.name for other in catalogue.values() if task in other.tasks]
        raise ModelError(f"The model {name} cannot {task}; these can: {', '.join(able)}.")
    return entry
