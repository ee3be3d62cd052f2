"""A whole project to the files of other programs, and their files into a project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from anymask.errors import AnymaskError, FormatError
from anymask.formats import datasets, labels
from anymask.formats.annotations import LabelledPicture
from anymask.formats.archives import PICTURES, Files, Limits
from anymask.projects.errors import DiskFullError, said
from anymask.projects.project import Project


@dataclass
class Report:
    """What an import brought: pictures that are new, objects that are new, and what was left out, a sentence each."""

    pictures: int = 0
    objects: int = 0
    skipped: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def export(project: Project, format: str, pictures: bool = True) -> Iterator[bytes]:
    """A project as the bytes of a zip, piece by piece.

    Pictures that nobody has begun with are left out, since nothing would tell them from pictures without objects;
    but not of sa1b, which is the project as it is. What else is left out stands in LEFT-OUT.txt.

    Args:
        format: coco, yolo, labels, labelme or sa1b.
        pictures: whether the pictures go in.

    Raises:
        FormatError: there is no such format.
    """
    missing: list[str] = []
    records = _records(project, format, missing)
    return datasets.export_many(
        format, records, (lambda one: project.folder / one.file_name) if pictures else None, missing
    )


def import_files(project: Project, upload: Path, format: str = "auto", limits: Limits | None = None) -> Report:
    """Put the pictures and annotations of a file, a zip or JSON, into a project.

    Pictures are added as `Project.add` does; objects are put below those that their pictures have, those that are there
    already are left out. What cannot be used is skipped, with a sentence.

    Raises:
        FormatError: the file is neither zip nor JSON, or has nothing of the format.
        DiskFullError: there is no room; what is done by then stays.
    """
    with Files(upload, limits) as files:
        report = Report()
        chosen = _format(files, format)
        places = _add_pictures(project, files, labels.label_files(files) if chosen == "labels" else set(), report)
        finder = _Finder(project, places)
        for record in datasets.read(chosen, files, finder) if chosen else []:
            try:
                report.objects += project.merge(record)
            except DiskFullError:
                raise
            except AnymaskError as error:
                files.skip(str(error))
        report.skipped = files.skipped
        return report


def _records(project: Project, format: str, missing: list[str]) -> Iterator[LabelledPicture]:
    unseen = 0
    for item in project.items():
        if item.error is not None:
            missing.append(f"{item.name} was left out: {item.error}")
        elif item.status == "new" and not item.objects and format != "sa1b":
            unseen += 1
        else:
            try:
                content = project.content(item.name)
            except AnymaskError as error:
                missing.append(f"{item.name} was left out: {error}")
                continue
            if content.item.error is None:
                yield content.picture
            else:
                missing.append(f"{item.name} was left out: {content.item.error}")
    if unseen:
        missing.append(f"Pictures that nobody has begun with were left out: {unseen}.")


def _format(files: Files, format: str) -> str:
    """The format of the annotations; "" for files that are pictures only."""
    if format != "auto":
        if format not in datasets.MODULES:
            raise FormatError(f"There is no format {format!r}; use auto, {', '.join(datasets.MODULES)}.")
        return format
    try:
        return datasets.detect(files)
    except FormatError:
        if any(_is_picture(name) for name in files.names):
            return ""
        raise


def _add_pictures(project: Project, files: Files, left: set[str], report: Report) -> dict[str, str]:
    """Add the pictures of an import; the items' names by the names in the zip."""
    places: dict[str, str] = {}
    for name in files.names:
        if not _is_picture(name) or name in left:
            continue
        temporary = project.temporary()
        try:
            with said(f"{name} cannot be unpacked"), open(temporary, "xb") as file:
                for piece in files.pieces(name):
                    file.write(piece)
            item, is_new = project.add(temporary, name)
            places[name] = item.name
            report.pictures += is_new
        except DiskFullError:
            raise
        except AnymaskError as error:
            files.skip(str(error))
        finally:
            temporary.unlink(missing_ok=True)
    return places


class _Finder:
    """Finds the picture that a file of annotations is about: first among those of the import, whose names may have
    changed, then among the project's."""

    def __init__(self, project: Project, places: dict[str, str]) -> None:
        self._items = {item.name: item for item in project.items()}
        self._by_name: dict[str, list[tuple[PurePosixPath, str]]] = {}
        for place, name in [*places.items(), *((name, name) for name in self._items)]:
            path = PurePosixPath(place)
            for key in {path.name, path.stem}:
                self._by_name.setdefault(key, []).append((path, name))

    def __call__(self, name: str, said_by: str) -> LabelledPicture | None:
        wanted = PurePosixPath(name.replace("\\", "/"))
        candidates = self._by_name.get(wanted.name, [])
        if not candidates:
            return None
        # Of several of one name the one whose folders are the most alike: images/train/a.jpg for labels/train/a.txt.
        folders = [wanted.parts[:-1], PurePosixPath(said_by).parts[:-1]]
        _, chosen = max(candidates, key=lambda one: max(_alike(one[0].parts[:-1], other) for other in folders))
        item = self._items.get(chosen)
        return LabelledPicture(item.name, item.width, item.height) if item and item.width else None


def _alike(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    count = 0
    for here, there in zip(reversed(one), reversed(other), strict=False):
        if here != there:
            break
        count += 1
    return count


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PICTURES
