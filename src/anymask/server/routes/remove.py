"""rembg's `/api/remove`, for the clients that people have for it: its parameters, its results.

Parameters of a POST are read from the query as well as from the form, where the form's come first; in rembg's server
most are heard in one of the two only. What a client may not name here is anything of the server's own: files, keys,
models that the server was not started with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from fastapi import APIRouter
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from anymask.catalog import ModelEntry
from anymask.compat.rembg import BaseSession, NetworkSession, SamSession, remove
from anymask.errors import ImageError, PictureSizeError
from anymask.images import encode_image, open_image
from anymask.matting import VITMATTE
from anymask.runtime.engine import MatteEngine
from anymask.runtime.matte import NetworkMatte
from anymask.segmenter import Segmenter
from anymask.server.bodies import is_form
from anymask.server.errors import Forbidden, RequestError, TooLarge
from anymask.server.fetching import Rules, fetch
from anymask.server.models import Models

router = APIRouter()

TRUE, FALSE = frozenset({"1", "true", "t", "yes", "y", "on"}), frozenset({"0", "false", "f", "no", "n", "off"})
FLAGS = {
    "a": ("alpha_matting", "closed-form matting of the edges"),
    "om": ("only_mask", "give the mask"),
    "ppm": ("post_process_mask", "make the mask hard and smooth its outline"),
    "dc": ("decontaminate", "estimate the subject's own colours"),
    "vm": ("vitmatte", "refine the edges with ViTMatte"),
}
NUMBERS = {
    "af": ("alpha_matting_foreground_threshold", 255, "what is above it is foreground"),
    "ab": ("alpha_matting_background_threshold", 255, "what is below it is background"),
    "ae": ("alpha_matting_erode_size", 1000, "pixels by which both are made smaller"),
}
EXTRAS = ("cc", "cloth_category", "providers", "putalpha", "sam_model", "sam_prompt", "sam_quant", "vitmatte_model")
LONGEST_EXTRAS = 1 << 16  # characters
MOST_MARKS = 1000  # points and rectangles of one prompt
FARTHEST = 1e6  # pixels
IN_MEMORY = 1 << 20  # bytes of a picture that waits for its turn; more of it waits in a temporary file
MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16"})  # of Pillow; what rembg takes as it is
OPAQUE = frozenset({"I;16", "P", "PA"})  # but these cannot be given an alpha channel that a PNG file can have

PICTURE: dict[int | str, dict[str, Any]] = {200: {"description": "the cut-out", "content": {"image/png": {}}}}


@dataclass(frozen=True)
class Asked:
    """A request's parameters: the model's name or None, and what `anymask.compat.rembg.remove` takes."""

    model: str | None
    options: dict[str, Any] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)


def _described(also: Mapping[str, str]) -> dict[str, Any]:
    """The parameters as OpenAPI has them."""
    kinds: dict[str, tuple[dict[str, Any], str]] = {
        **{name: ({"type": "string"}, text) for name, text in also.items()},
        "model": ({"type": "string"}, "one of the models of this server"),
        **{name: ({"type": "boolean", "default": False}, text) for name, (_, text) in FLAGS.items()},
        **{name: ({"type": "integer", "minimum": 0, "maximum": top}, text) for name, (_, top, text) in NUMBERS.items()},
        "bgc": ({"type": "string"}, "a colour to lay behind, red,green,blue,alpha: 255,255,255,255"),
        "extras": ({"type": "string"}, f"JSON with any of {', '.join(EXTRAS)}"),
    }
    return {
        "parameters": [
            {"name": name, "in": "query", "required": name in also, "description": text, "schema": schema}
            for name, (schema, text) in kinds.items()
        ]
    }


FILE = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}},
    "additionalProperties": {"type": "string", "description": "the parameters, as form fields"},
}


@router.get(
    "/api/remove",
    summary="Remove the background of a picture at an address",
    response_class=Response,
    responses=PICTURE,
    openapi_extra=_described({"url": "where the picture is"}),
)
async def remove_of_address(request: Request) -> Response:
    """rembg's GET: the picture is fetched from `url`, where the server was started with leave to do so."""
    server = request.app.state.server
    if not server.settings.fetch_urls:
        raise Forbidden(
            "This server fetches no pictures; send the file by POST, or start the server with --fetch-urls."
        )
    url = request.query_params.get("url")
    if not url:
        raise RequestError("The parameter url, with the address of a picture, is missing.")
    asked = asked_of(request.query_params)
    entry = entry_of(server.models, asked)
    with SpooledTemporaryFile(IN_MEMORY) as file:
        await server.work.network.run(_fetched, url, Rules(server.settings.max_upload), file)
        return await _answer(server, entry, asked, file)


@router.post(
    "/api/remove",
    summary="Remove the background of a picture",
    response_class=Response,
    responses=PICTURE,
    openapi_extra=_described({}) | {"requestBody": {"content": {"multipart/form-data": {"schema": FILE}}}},
)
async def remove_of_upload(request: Request) -> Response:
    """rembg's POST: the picture is the form's field `file`."""
    server = request.app.state.server
    if not is_form(request):
        raise RequestError("Send a form (multipart/form-data) with the picture as its field `file`.")
    async with request.form(max_files=4, max_fields=32) as form:
        upload = form.get("file")
        if not isinstance(upload, UploadFile):
            raise RequestError("The form has no field `file` with a picture.")
        fields = {name: value for name, value in form.items() if isinstance(value, str) and value}
        asked = asked_of({**request.query_params, **fields})
        return await _answer(server, entry_of(server.models, asked), asked, upload.file)


async def _answer(server: Any, entry: ModelEntry, asked: Asked, file: IO[bytes]) -> Response:
    png = await server.work.run(cut_out, server.models, entry, asked, file, server.settings.max_pixels)
    return Response(png, media_type="image/png")


def _fetched(url: str, rules: Rules, file: IO[bytes]) -> None:
    file.write(fetch(url, rules))
    file.seek(0)


def asked_of(values: Mapping[str, str]) -> Asked:
    """The parameters of a request. Raises RequestError for what they cannot be."""
    options: dict[str, Any] = {}
    for name, (option, _) in FLAGS.items():
        text = values.get(name, "").strip().lower()
        if text and text not in TRUE | FALSE:
            raise RequestError(f"The parameter {name} is true or false, not {text[:40]!r}.")
        options[option] = text in TRUE
    for name, (option, most, _) in NUMBERS.items():
        text = values.get(name, "").strip()
        if text and not (text.isascii() and text.isdecimal() and len(text) < 8 and int(text) <= most):
            raise RequestError(f"The parameter {name} is a whole number from 0 to {most}, not {text[:40]!r}.")
        if text:
            options[option] = int(text)
    if values.get("bgc"):
        options["bgcolor"] = _color(values["bgc"])
    return Asked(values.get("model") or None, options, _extras(values.get("extras") or "{}"))


def _color(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text[:100].split(",")]
    if len(parts) != 4 or not all(part.isascii() and part.isdecimal() and int(part) < 256 for part in parts):
        raise RequestError(f"The parameter bgc is red,green,blue,alpha, each from 0 to 255, not {text[:40]!r}.")
    return tuple(map(int, parts))


def _extras(text: str) -> dict[str, Any]:
    """What `extras` says, each of it known and of its kind."""
    try:
        given = json.loads(text) if len(text) <= LONGEST_EXTRAS else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise RequestError('The parameter extras is a JSON object, such as {"cc": "upper"}.')
    for name, value in given.items():
        if name not in EXTRAS:
            raise RequestError(
                f"Requests may not set {name[:40]!r} in extras: files, keys and engines are chosen at the server's "
                f"start; what may be set is {', '.join(EXTRAS)}."
            )
        if name == "providers" and not (isinstance(value, list) and all(map(_is_provider, value))):
            raise RequestError("Requests may not set options of providers; only plain names of them are let pass.")
        if name in ("putalpha", "sam_quant") and not isinstance(value, bool | int):
            raise RequestError(f"{name} in extras is true or false.")
        if name in ("cc", "cloth_category", "sam_model", "vitmatte_model") and not isinstance(value, str | None):
            raise RequestError(f"{name} in extras is a name.")
    known = {name: value for name, value in given.items() if name != "providers"}  # ONNX Runtime's; not looked at
    if "sam_prompt" in known:
        known["sam_prompt"] = _marks(known["sam_prompt"])
    return known


def _is_provider(value: object) -> bool:
    return isinstance(value, str) and value.isalnum() and value.endswith("ExecutionProvider")


def _marks(given: object) -> list[dict[str, Any]]:
    """Points and rectangles, with nothing else in them."""
    wrong = RequestError(
        'sam_prompt in extras is a list such as [{"type": "point", "label": 1, "data": [320, 200]}, '
        '{"type": "rectangle", "data": [90, 80, 560, 420]}].'
    )
    try:
        marks = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        raise wrong from None
    if not isinstance(marks, list) or len(marks) > MOST_MARKS:
        raise wrong
    clean = []
    for mark in marks:
        if not isinstance(mark, dict) or mark.get("type") not in ("point", "rectangle"):
            raise wrong
        is_point, data = mark["type"] == "point", mark.get("data")
        if not isinstance(data, list) or len(data) != (2 if is_point else 4) or not all(map(_is_place, data)):
            raise wrong
        if is_point and mark.get("label") not in (0, 1):
            raise wrong
        clean.append({"type": mark["type"], "data": data} | ({"label": int(mark["label"])} if is_point else {}))
    return clean


def _is_place(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FARTHEST  # NaN is not


def entry_of(models: Models, asked: Asked) -> ModelEntry:
    """The model that a request asks for: the server's default without a name, and `sam` by `sam_model`.

    Raises:
        Forbidden: the server was not started with it. ModelError: there is none of this name.
    """
    if asked.options["vitmatte"]:
        named = asked.extras.get("vitmatte_model")
        models.entry(VITMATTE if named is None else f"vitmatte-{named}", "trimap")
    if asked.model == "sam":
        checkpoint = asked.extras.get("sam_model") or "sam_vit_b_01ec64"
        return models.entry("_".join(checkpoint.split("_")[:3]), "segment")
    return models.entry(asked.model, "matte")


class FedNetwork(NetworkSession):
    """A session over an engine that is there already."""

    def __init__(self, engine: MatteEngine) -> None:
        BaseSession.__init__(self, engine.spec.name)
        self.engine = engine


class AskedSegmenter(SamSession):
    """A session over a segmenter that is there already."""

    def __init__(self, segmenter: Segmenter) -> None:
        BaseSession.__init__(self, segmenter.name)
        self.segmenter = segmenter


def session_of(models: Models, entry: ModelEntry) -> BaseSession:
    """What rembg calls a session, over the model that the server has in memory for all its routes: a network that finds
    the subject is fed by rembg's recipe, any other is asked by `sam_prompt`. Raises as loading a model does."""
    engine = models.remover(entry.name).engine
    if engine is None:
        return AskedSegmenter(models.segmenter(entry.name))
    if isinstance(engine, NetworkMatte) and entry.rembg is not None:
        return FedNetwork(engine.fed_by(entry.rembg))
    return FedNetwork(engine)


def cut_out(models: Models, entry: ModelEntry, asked: Asked, file: IO[bytes], max_pixels: int) -> bytes:
    """The PNG file of rembg's result. Raises ImageError, TooLarge, and as loading a model does."""
    data = file.read()
    if not data:
        raise ImageError("The picture is empty (0 bytes).")
    try:
        image = open_image(data, max_pixels=max_pixels)
    except PictureSizeError as error:
        raise TooLarge(str(error)) from None
    del data
    if image.mode not in MODES or (image.mode in OPAQUE and asked.extras.get("putalpha")):
        try:
            image = image.convert("RGB")
        except ValueError:
            raise ImageError(f"A picture of Pillow's mode {image.mode} cannot be cut out.") from None
    result: Any = remove(image, session=session_of(models, entry), **asked.options, **asked.extras)
    return encode_image(result, "png")
