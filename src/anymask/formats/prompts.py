"""Prompts for many pictures in one JSON file: what `anymask segment --prompts` reads.

An object whose keys name the pictures; each value is the list of what to find there, one entry for each object:

    {
      "bus.jpg": [
        {"points": [[320, 200], [40, 60]], "labels": [1, 0], "name": "bus"},
        {"box": [48, 190, 130, 410], "name": "person"}
      ],
      "north/street.jpg": [{"points": [[512, 96]]}]
    }

Points and box (x0, y0, x1, y1) are in pixels of the picture; labels are 1 on the object and 0 off it, all 1 when left
out; the name is the object's category. A key is a picture's file name, or as much of the end of its path as it takes to
tell it from the others.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anymask.errors import PromptError
from anymask.prompts import Prompt

KEYS = ("points", "labels", "box", "name")
UNNAMED = "object"


@dataclass(frozen=True, eq=False)
class NamedPrompt:
    """One object to find, and its category."""

    prompt: Prompt
    name: str | None = None


def names(prompts: Sequence[NamedPrompt]) -> np.ndarray | None:
    """The categories, str `[N]`, as the column `name` of the masks that are found; None when none has any."""
    if not any(one.name for one in prompts):
        return None
    return np.array([one.name or UNNAMED for one in prompts])


def read_prompts(path: str | os.PathLike[str]) -> dict[str, list[NamedPrompt]]:
    """The prompts of a file, by the pictures' names as they are written there.

    Raises:
        PromptError: the file cannot be read, or is not what this module's page says; it names the place.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=_without_duplicates)
    except OSError as error:
        raise PromptError(f"The prompts {path} cannot be read ({error.strerror}).") from None
    except json.JSONDecodeError as error:
        raise PromptError(
            f"{path} is not valid JSON: {error.msg}, line {error.lineno}, column {error.colno}."
        ) from None
    except UnicodeDecodeError:
        raise PromptError(f"{path} is not valid JSON: it is not text in UTF-8.") from None
    except PromptError as error:
        raise PromptError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise PromptError(f"{path} must be an object whose keys name pictures, not a {type(content).__name__}.")
    return {picture: _prompts(f"{path}, {picture!r}", entries) for picture, entries in content.items()}


def match(
    prompts: Mapping[str, Sequence[NamedPrompt]], pictures: Iterable[Path]
) -> tuple[dict[Path, Sequence[NamedPrompt]], list[str]]:
    """The prompts of each picture that has any, and the keys that belong to none of the pictures.

    Raises:
        PromptError: a key belongs to several pictures, or several keys to one.
    """
    places = {picture: Path(os.path.abspath(picture)).parts for picture in pictures}
    namesakes: dict[str, list[Path]] = defaultdict(list)
    for picture, parts in places.items():
        namesakes[parts[-1]].append(picture)
    found: dict[Path, str] = {}
    homeless = []
    for key in prompts:
        parts = Path(os.path.normpath(key)).parts
        owners = [picture for picture in namesakes[parts[-1]] if places[picture][-len(parts) :] == parts]
        if not owners:
            homeless.append(key)
        elif len(owners) > 1:
            raise PromptError(f"{key!r} could be {owners[0]} or {owners[1]}; write more of the picture's path.")
        elif found.setdefault(owners[0], key) != key:
            raise PromptError(f"{owners[0]} has prompts as {found[owners[0]]!r} and as {key!r}; put them together.")
    return {picture: prompts[key] for picture, key in found.items()}, homeless


def _prompts(place: str, entries: Any) -> list[NamedPrompt]:
    if not isinstance(entries, list) or not entries:
        raise PromptError(f"{place}: there must be a list of one or more prompts, not {json.dumps(entries)[:60]}.")
    return [_prompt(f"{place}, prompt {number}", entry) for number, entry in enumerate(entries, 1)]


def _prompt(place: str, entry: Any) -> NamedPrompt:
    if not isinstance(entry, dict):
        raise PromptError(f"{place}: it must be an object with {', '.join(KEYS)}, not {json.dumps(entry)[:60]}.")
    for key in entry:
        if key not in KEYS:
            raise PromptError(f"{place}: there is no key {key!r}; known are {', '.join(KEYS)}.")
    name = entry.get("name")
    if name is not None and not isinstance(name, str):
        raise PromptError(f"{place}: the name must be text, not {json.dumps(name)[:60]}.")
    try:
        return NamedPrompt(Prompt(entry.get("points"), entry.get("labels"), entry.get("box")), name)
    except PromptError as error:
        raise PromptError(f"{place}: {error}") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets a key stand twice, and Python's reader keeps the last: prompts would be lost without a word."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise PromptError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands there twice.")
    return content
