"""What requests can run into, each with the status it is answered with."""

from __future__ import annotations

from starlette.responses import JSONResponse

from anymask.errors import AnymaskError, PictureSizeError
from anymask.projects import ConflictError, DiskFullError, NotFoundError

STATUS: dict[type[AnymaskError], int] = {
    PictureSizeError: 413,
    NotFoundError: 404,
    ConflictError: 409,
    DiskFullError: 507,
}
"""What errors of the package are answered with; others are the request's fault: 400."""


class RequestError(AnymaskError):
    """A request that cannot be carried out as it is."""

    status = 400
    retry_after: int | None = None


class Unauthorised(RequestError):
    """No key, or a wrong one."""

    status = 401


class Forbidden(RequestError):
    """Something that this server does not do for anybody, or not for this origin."""

    status = 403


class NotFound(RequestError):
    """An id or a name that nothing has."""

    status = 404


class Gone(RequestError):
    """An id of something that was dropped to make room."""

    status = 410


class Conflict(RequestError):
    """Something that cannot be done while something else is under way."""

    status = 409


class Missing(RequestError):
    """Something that this installation lacks."""

    status = 501


class TooLarge(RequestError):
    """A body or a picture beyond the limits."""

    status = 413


class Full(RequestError):
    """No room on the server's disk."""

    status = 507


class TooSlow(RequestError):
    """A body that took too long to arrive."""

    status = 408


class TooMany(RequestError):
    """One client with too many requests under way; `retry_after` is in seconds."""

    status = 429

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Busy(TooMany):
    """A server with more work than it may keep waiting."""

    status = 503


def status_of(error: AnymaskError) -> int:
    """The status that an error is answered with."""
    if isinstance(error, RequestError):
        return error.status
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 400)


def answer(error: AnymaskError) -> JSONResponse:
    """The response to an error: its sentence, its status, and when to come again."""
    retry_after = error.retry_after if isinstance(error, RequestError) else None
    headers = None if retry_after is None else {"Retry-After": str(retry_after)}
    return JSONResponse({"error": str(error)}, status_of(error), headers=headers)
