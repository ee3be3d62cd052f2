"""Masks for prompts."""

from __future__ import annotations

import asyncio

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from anymask.server.answers import accepted, best_of_each, mask_json, masks_file
from anymask.server.context import server_of
from anymask.server.questions import Answer
from anymask.server.schemas import Predict

router = APIRouter(prefix="/api/pictures", tags=["masks"])


@router.post("/{identity}/predict")
async def predict(request: Request, identity: str, asked: Predict) -> Response:
    """Masks for one or more prompts, each prompt one object.

    By the Accept header the answer is JSON with run lengths, or the best mask of each prompt as `image/png`,
    `image/svg+xml`, `application/geo+json` or `application/x-npz`.
    """
    server = server_of(request)
    entry = server.models.entry(asked.model, "segment")
    start = asyncio.get_running_loop().time()
    image = await server.encoded(identity, entry.name)
    kind = accepted(request.headers.get("accept", ""))

    def answers() -> Response | list[dict[str, object]]:
        found = server.questions.ask(image, identity, asked.prompts, asked.multimask, asked.second_look)
        if kind is not None:
            masks = best_of_each(found)
            if any(one.name for one in asked.prompts):
                masks.extra["name"] = np.array([one.name or "object" for one in asked.prompts])
            return masks_file(masks, kind)
        return [_json(answer, asked.polygons) for answer in found]

    results = await server.work.light.run(answers)
    if isinstance(results, Response):
        return results
    taken = asyncio.get_running_loop().time() - start
    return JSONResponse(
        {
            "model": entry.name,
            "width": image.width,
            "height": image.height,
            "milliseconds": round(taken * 1000, 1),
            "results": results,
        }
    )


def _json(answer: Answer, polygons: bool) -> dict[str, object]:
    masks, ids = answer
    return {"masks": [mask_json(masks, row, identity, polygons) for row, identity in enumerate(ids)]}
