"""GeoJSON (RFC 7946) in pixels of the picture instead of degrees: x to the right, y down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from anymask import polygons

if TYPE_CHECKING:
    from anymask.masks import Masks


def encode(masks: Masks) -> bytes:
    """A feature for each mask: its outlines as a MultiPolygon (null when empty), with score, area and extra columns."""
    columns = {"score": masks.scores, "area": masks.areas, **masks.extra}
    features = [
        {
            "type": "Feature",
            "id": i + 1,
            "geometry": _geometry(polygons.trace(masks.region(i))),
            "properties": {name: column[i].tolist() for name, column in columns.items()},
        }
        for i in range(len(masks))
    ]
    picture = {"width": masks.width, "height": masks.height, "coordinates": "pixels, x right, y down"}
    return json.dumps({"type": "FeatureCollection", "picture": picture, "features": features}).encode()


def _geometry(pieces: list[polygons.Polygon]) -> dict[str, Any] | None:
    if not pieces:
        return None
    closed = [[np.concatenate([ring, ring[:1]]).tolist() for ring in rings] for rings in pieces]
    return {"type": "MultiPolygon", "coordinates": closed}
