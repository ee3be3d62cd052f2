"""YOLO's segmentation labels: a text file for each picture, a line for each object, `class x1 y1 x2 y2 ...`.

Coordinates are shares of the picture's width and height, along the edges of pixels. A line is one outline: holes and
pieces are joined by bridges without width (`formats.bridges`), so that filling by parity gives the mask back exactly.
The classes stand in classes.txt and data.yaml, numbered by first use; objects without a name are of the class "object".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

import numpy as np

from anymask.errors import FormatError
from anymask.formats import runs
from anymask.formats.annotations import LabelledObject, LabelledPicture, clean_name
from anymask.formats.archives import Entry, Files
from anymask.formats.bridges import one_ring
from anymask.formats.importing import Find, placed, read_object

PICTURES = "images/"
LISTS = ("classes.txt", "obj.names", "data.yaml", "data.yml", "dataset.yaml")
ITEM = re.compile(r"""\s*(?:(\d{1,9})\s*:\s*)?("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,\[\]{}]+)""")
LONGEST_LIST = 1 << 20
OTHERS = ("readme.txt", "train.txt", "val.txt", "test.txt", "notes.txt", "left-out.txt")


def entries(pictures: Iterable[LabelledPicture]) -> Iterator[Entry]:
    """labels/NAME.txt of each picture, then the classes."""
    classes: dict[str, int] = {}
    for picture in pictures:
        yield Entry(f"labels/{picture.stem}.txt", [label_lines(picture, classes).encode()])
    yield Entry("classes.txt", ["".join(f"{name}\n" for name in classes).encode()])
    names = "".join(f"  {number}: {json.dumps(name)}\n" for name, number in classes.items()) or "  {}\n"
    yield Entry("data.yaml", [f"path: .\ntrain: images\nval: images\nnames:\n{names}".encode()])


def label_lines(picture: LabelledPicture, classes: dict[str, int]) -> str:
    """The text file of one picture; classes that are not known yet are added."""
    lines = []
    for one in picture.objects:
        pieces = one.outlines()
        if pieces:
            number = classes.setdefault(one.class_name, len(classes))
            shares = one_ring(pieces).astype(np.float64) / [picture.width, picture.height]
            lines.append(f"{number} {' '.join(f'{value:.9g}' for value in shares.ravel().tolist())}\n")
    return "".join(lines)


def recognises(files: Files) -> bool:
    """Whether the files look like this format."""
    return any(_is_label(name) for name in files.names)


def read(files: Files, find: Find) -> Iterator[LabelledPicture]:
    """The pictures that label files are there for."""
    classes = _classes(files)
    for name in sorted(filter(_is_label, files.names)):
        picture = placed(str(PurePosixPath(name).with_suffix("")), name, None, None, files, find)
        if picture is None:
            continue
        try:
            lines = files.read(name).decode().splitlines()
        except (FormatError, UnicodeDecodeError) as error:
            files.skip(f"{name} was skipped, because it cannot be read ({error}).")
            continue
        found = [
            read_object(files, f"{name}, line {number}", _object, line, classes, picture)
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
        yield LabelledPicture(picture.file_name, picture.width, picture.height, [one for one in found if one])


def _is_label(name: str) -> bool:
    base = PurePosixPath(name).name.lower()
    return base.endswith(".txt") and base not in LISTS + OTHERS


def _object(line: str, classes: dict[int, str], picture: LabelledPicture) -> LabelledObject:
    try:
        number, *shares = (float(word) for word in line.split())
        if not number.is_integer():
            raise ValueError
    except (ValueError, OverflowError):
        raise FormatError("it is not a class and numbers.") from None
    if len(shares) == 4:
        raise FormatError("it is a box, not an outline.")
    if len(shares) < 6 or len(shares) % 2:
        raise FormatError("an outline needs three points or more, each x and y.")
    ring = np.array(shares).reshape(-1, 2) * [picture.width, picture.height]
    # Nine digits put a corner a hair off the grid; corners that are meant to be the same stay the same.
    mask = runs.encode(runs.fill([ring], picture.height, picture.width), picture.height, picture.width)
    values = {"rle": mask, "name": classes.get(int(number), f"class {int(number)}"), "source": "import"}
    return LabelledObject.of(values, picture.height, picture.width)


def _classes(files: Files) -> dict[int, str]:
    """The classes by number, of the first list that has any."""
    by_base = {PurePosixPath(name).name.lower(): name for name in reversed(files.names)}
    for base in LISTS:
        if base not in by_base:
            continue
        try:
            text = files.read(by_base[base]).decode("utf-8-sig")
            if len(text) > LONGEST_LIST:
                raise FormatError(f"it has more than {LONGEST_LIST} characters")
            lines = text.splitlines()
            names = _yaml_names(lines) if base.endswith("ml") else dict(enumerate(line.strip() for line in lines))
            if names:
                return {number: clean_name(name) for number, name in names.items()}
        except (FormatError, UnicodeDecodeError) as error:
            files.skip(f"{by_base[base]} was skipped, because it cannot be read ({error}).")
    files.skip("There is no list of classes (classes.txt or data.yaml); they are named by their numbers.")
    return {}


def _yaml_names(lines: list[str]) -> dict[int, str]:
    """The `names` of a data.yaml: a list in brackets, a list of dashes, or numbers with names."""
    start = next((i for i, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        return {}
    rest = lines[start].split(":", 1)[1].strip()
    block = [rest]
    for line in lines[start + 1 :]:
        if line.strip() and not line.startswith((" ", "-", "\t", "]", "}")):
            break
        block.append(line.strip())
    text = " ".join(block).strip()
    if text.startswith(("[", "{")):
        items = ITEM.findall(text[1:].rstrip("]} "))
        return {int(key) if key else i: _scalar(name) for i, (key, name) in enumerate(items) if name.strip()}
    found: dict[int, str] = {}
    for line in block:
        if match := re.match(r"-\s+(.*)", line):
            found[len(found)] = _scalar(match[1])
        elif match := re.match(r"['\"]?(\d{1,9})['\"]?\s*:\s*(.*)", line):
            found[int(match[1])] = _scalar(match[2])
    return found


def _scalar(text: str) -> str:
    text = text.strip()
    if text.startswith('"'):
        try:
            return str(json.JSONDecoder().raw_decode(text)[0])
        except ValueError:
            return text.strip('"')
    if text.startswith("'"):
        return text[1:].split("'")[0] if "''" not in text else text.strip("'").replace("''", "'")
    return text.split(" #")[0].strip()
