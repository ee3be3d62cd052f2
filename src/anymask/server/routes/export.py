"""Objects of one picture as a file."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from anymask.formats.annotations import LabelledObject, LabelledPicture
from anymask.formats.datasets import export_one
from anymask.server.context import server_of
from anymask.server.schemas import Export

router = APIRouter(prefix="/api/pictures", tags=["masks"])


@router.post("/{identity}/export")
async def export(request: Request, identity: str, asked: Export) -> Response:
    """Objects of a picture as a file: coco, png, svg, geojson, npz, yolo, labels, labelme or sa1b."""
    server = server_of(request)
    known = server.store.info(identity)

    def work() -> tuple[bytes, str, str]:
        objects = [LabelledObject.of(one.model_dump(), known.height, known.width) for one in asked.objects]
        name = asked.file_name.replace("\\", "/").rpartition("/")[2] or "picture"
        return export_one(asked.format, LabelledPicture(name, known.width, known.height, objects))

    data, media, name = await server.work.run(work)
    disposition = f"attachment; filename*=UTF-8''{quote(name)}"
    return Response(data, media_type=media, headers={"Content-Disposition": disposition})
