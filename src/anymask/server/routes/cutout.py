"""Cut-outs."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from PIL import Image

from anymask import matting
from anymask.background import BackgroundRemover
from anymask.errors import PromptError
from anymask.images import encode_image
from anymask.matting import method_of
from anymask.server.bodies import form_to_file, is_form
from anymask.server.context import Server, server_of
from anymask.server.cutouts import MEDIA, MasksCutter, drawn_masks, make, recipe_of
from anymask.server.errors import RequestError
from anymask.server.schemas import Asked, Cutout

router = APIRouter(prefix="/api", tags=["cut-outs"])

OPTIONS_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "options": {"type": "string", "description": "JSON, as for /api/pictures/{id}/cutout"},
                    },
                }
            }
        },
    }
}


@router.post("/pictures/{identity}/cutout")
async def cutout(request: Request, identity: str, asked: Cutout | None = None) -> Response:
    """A cut-out of a picture: of its subject, of what a prompt points at, or of given masks.

    The format is the body's, else the Accept header's, else PNG. With `each` it is a zip.
    """
    return await _cut(request, server_of(request), identity, asked or Cutout())


@router.post("/cutout", openapi_extra=OPTIONS_BODY)
async def cutout_at_once(request: Request) -> Response:
    """The same in one request: the multipart field `file`, and `options` as JSON."""
    server = server_of(request)
    if not is_form(request):
        raise RequestError("Send a form with the field `file`, and `options` as JSON.")
    with server.store.upload() as path:
        fields = await form_to_file(request, path)
        asked = Cutout.model_validate_json(fields.get("options", "{}"))
        info = await server.work.run(server.store.add, path)
    return await _cut(request, server, info.id, asked)


async def _cut(request: Request, server: Server, identity: str, asked: Cutout) -> Response:
    form = asked.format or _accepted(request.headers.get("accept", ""))
    encode_image(Image.new("1", (1, 1)), form)  # what cannot be is told before the work
    known = server.store.info(identity)
    if asked.masks is not None and asked.prompt is not None:
        raise PromptError("A cut-out is of masks or of what a prompt points at, not both.")
    if asked.refine and method_of(asked.edges) == "vitmatte":
        server.models.check_refiner(matting.VITMATTE)

    def work() -> bytes:
        recipe = recipe_of(asked, server.store)
        cutter: BackgroundRemover | MasksCutter
        if asked.masks is not None:
            cutter = MasksCutter(drawn_masks(asked.masks, known.height, known.width))
        elif asked.prompt is not None:
            entry = server.models.entry(asked.model, "segment")
            image = server.store.encoded(identity, entry.name)
            prompt = Asked(**asked.prompt.model_dump())
            ((masks, _),) = server.questions.ask(image, identity, [prompt])
            cutter = MasksCutter(masks[:1])
        else:
            entry = server.models.entry(asked.model, "matte")
            cutter = server.models.remover(entry.name, asked.preprocessing)
        return make(asked, recipe, server.store.picture(identity), cutter, form)

    data = await server.work.run(work)
    media = "application/zip" if asked.each else MEDIA[form.lower().lstrip(".")]
    return Response(data, media_type=media)


def _accepted(accept: str) -> str:
    wanted = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    forms = {media: form for form, media in reversed(MEDIA.items())}
    return next((forms[one] for one in wanted if one in forms), "png")
