"""Masks as answers: JSON with run lengths, or a file of another kind where that is what the client accepts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from starlette.responses import Response

from anymask import rle
from anymask.masks import Masks
from anymask.polygons import trace as outlines

# What may be accepted instead of JSON, and the module of `anymask.formats` that makes it.
KINDS = {
    "image/png": "png",
    "application/geo+json": "geojson",
    "image/svg+xml": "svg",
    "application/x-npz": "npz",
}


def mask_json(masks: Masks, row: int, identity: str | None = None, polygons: bool = False) -> dict[str, Any]:
    """One mask as the API gives it."""
    region = masks.region(row)  # once for all: of a large picture this is what takes the time
    height, width = region.pixels.shape
    answer: dict[str, Any] = {} if identity is None else {"id": identity}
    answer |= {
        "score": round(float(masks.scores[row]), 4),
        "area": int(np.count_nonzero(region.pixels)),
        "box": [region.x, region.y, region.x + max(width - 1, 0), region.y + max(height - 1, 0)],
        "rle": rle.compress(rle.encode(region, masks.height, masks.width)),
    }
    if polygons:
        answer["polygons"] = [rings[0].tolist() for rings in outlines(region)]
    return answer


def accepted(accept: str) -> str | None:
    """The module of `anymask.formats` for an Accept header; None for JSON."""
    wanted = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    kind = next((one for one in wanted if one in KINDS or one in ("application/json", "*/*")), "application/json")
    return KINDS.get(kind)


def masks_file(masks: Masks, kind: str) -> Response:
    """Masks as a file of `anymask.formats`."""
    media = next(name for name, module in KINDS.items() if module == kind)
    return Response(import_module(f"anymask.formats.{kind}").encode(masks), media_type=media)


def best_of_each(answers: Sequence[tuple[Masks, list[str]]]) -> Masks:
    """The likeliest mask of each answer."""
    return Masks.concatenate([masks[:1] for masks, _ in answers])
