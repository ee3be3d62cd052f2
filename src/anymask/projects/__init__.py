"""Project folders: pictures and their annotations as plain files, for any number of people and programs.

DIR/NAME/a.jpg, a.json ...   `Project`
DIR/NAME/.removed/           what was removed
DIR/NAME/.lock               held while somebody writes
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from anymask.projects.errors import ConflictError, DiskFullError, NotFoundError, ProjectError, said
from anymask.projects.items import Content, Item
from anymask.projects.names import check_project_name
from anymask.projects.project import Project

__all__ = ["ConflictError", "Content", "DiskFullError", "Item", "NotFoundError", "Project", "ProjectError", "Projects"]


class Projects:
    """The projects in a folder, which is made when it is first needed.

    Args:
        root: the folder.
        max_pixels: as for `Project`.
    """

    def __init__(self, root: str | os.PathLike[str], max_pixels: int | None = None) -> None:
        self.root = Path(root)
        self._max_pixels = max_pixels
        self._open: dict[str, Project] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """The names of all projects, sorted; folders whose names cannot be a project's are none."""
        with said("The projects cannot be read"):
            if not self.root.is_dir():
                return []
            found = sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())
        return [name for name in found if _is_name(name)]

    def listing(self) -> list[dict[str, Any]]:
        """Of each project its `name`, how many `pictures` it has and how many of these are `done` (or reviewed)."""
        listed = []
        for name in self.names():
            items = self.open(name).items()
            done = sum(item.status in ("done", "reviewed") for item in items)
            listed.append({"name": name, "pictures": len(items), "done": done})
        return listed

    def create(self, name: str) -> Project:
        """A new project.

        Raises:
            ProjectError: the name cannot be one, or the folder cannot be made.
            ConflictError: there is one already, perhaps with small letters for capital ones.
        """
        check_project_name(name)
        if name.casefold() in [other.casefold() for other in self.names()]:
            raise ConflictError(f"There is a project {name!r} already.")
        with said(f"The project {name!r} cannot be made"):
            self.root.mkdir(parents=True, exist_ok=True)
            try:
                (self.root / name).mkdir()
            except FileExistsError:
                raise ConflictError(f"There is a project {name!r} already.") from None
        return self.open(name)

    def open(self, name: str) -> Project:
        """A project. Raises NotFoundError when there is none of that name."""
        if not _is_name(name) or not (self.root / name).is_dir():
            raise NotFoundError(f"There is no project {name[:100]!r}.")
        with self._lock:
            if name not in self._open:
                self._open[name] = Project(self.root / name, self._max_pixels)
            return self._open[name]


def _is_name(name: str) -> bool:
    try:
        return bool(check_project_name(name))
    except ProjectError:
        return False
