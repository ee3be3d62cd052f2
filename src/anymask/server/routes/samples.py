"""Pictures to try things out with."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from anymask.server.errors import NotFound

router = APIRouter(prefix="/api/samples", tags=["pictures"])

_PACKAGE = Path(str(resources.files("anymask")))
# In the package where it was built, in the repository where it is worked on.
_PLACES = (_PACKAGE / "assets", _PACKAGE.parents[1] / "assets")


def sample_files() -> dict[str, Path]:
    """The sample pictures that are here, by name."""
    folder = next((place for place in _PLACES if (place / "bus.jpg").is_file()), None)
    return {} if folder is None else {path.name: path for path in sorted(folder.glob("*.jpg"))}


@router.get("/{name}")
async def sample(name: str) -> Response:
    """A sample picture; `/api/models` lists their names."""
    path = sample_files().get(name)
    if path is None:
        raise NotFound("There is no sample picture of this name.")
    return FileResponse(path, media_type="image/jpeg")
