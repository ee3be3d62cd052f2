"""What can go wrong with projects."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from anymask.errors import AnymaskError, ImageError

if TYPE_CHECKING:
    from anymask.projects.items import Content


class ProjectError(AnymaskError):
    """A name that cannot be, annotations that do not fit, or a folder that cannot be read or written."""


class NotFoundError(ProjectError):
    """No project, or no picture, of that name."""


class ConflictError(ProjectError):
    """Something that is there already, or annotations that somebody else has saved meanwhile.

    Attributes:
        current: the annotations as they are now; None where it is not about annotations.
    """

    def __init__(self, message: str, current: Content | None = None) -> None:
        super().__init__(message)
        self.current = current


class DiskFullError(ProjectError):
    """No room on the disk."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def said(what: str) -> Iterator[None]:
    """Errors of the system as one sentence, without the server's paths.

    Args:
        what: "The picture a.jpg cannot be stored", say.
    """
    try:
        yield
    except ImageError as error:  # of `write_atomic`, which has the system's error as its cause
        if not isinstance(error.__cause__, OSError):
            raise
        raise _error(what, error.__cause__) from error
    except OSError as error:
        raise _error(what, error) from error


def _error(what: str, error: OSError) -> ProjectError:
    kind = DiskFullError if error.errno in FULL else ProjectError
    return kind(f"{what} ({error.strerror or error}); what was there before is as it was.")
