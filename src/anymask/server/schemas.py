"""What requests may hold: the JSON of the API, checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Point = tuple[float, float]
Points = Annotated[list[Point], Field(max_length=1000)]
Share = Annotated[str, Field(max_length=20)]


class Strict(BaseModel):
    """Keys that mean nothing are refused, since they are typing errors."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Rle(Strict):
    """A mask as COCO's RLE: height and width, and runs column by column, compressed or as a list."""

    size: tuple[int, int]
    counts: str | list[int]


class Asked(Strict):
    """One object that is asked for; all coordinates in pixels of the upright picture.

    `mask_id` refines an earlier answer, `mask` one that was drawn. `multimask` is null for three candidates where a
    lone point leaves it open, and one mask otherwise.
    """

    points: Points | None = None
    labels: Annotated[list[Literal[0, 1]], Field(max_length=1000)] | None = None
    box: tuple[float, float, float, float] | None = None
    mask_id: Annotated[str, Field(max_length=64)] | None = None
    mask: Rle | None = None
    name: Annotated[str, Field(max_length=200)] | None = None
    multimask: bool | None = None


class Predict(Strict):
    """Masks for prompts. `second_look`: encode the part of the picture round something small once more; null for what
    suits the model."""

    model: str | None = None
    prompts: Annotated[list[Asked], Field(min_length=1, max_length=256)]
    multimask: bool | None = None
    second_look: bool | None = None
    polygons: bool = False


class Live(Asked):
    """A message of a live connection. `best`: of several candidates only the best is wanted."""

    seq: int
    picture: str = ""
    model: str | None = None
    ping: bool = False
    best: bool = False


class ModelChoice(Strict):
    """A model by its name, or the server's default."""

    model: str | None = None


class Everything(Strict):
    """Everything in a picture: the options of `anymask.everything_options.Options`; null for the model's own."""

    model: str | None = None
    points_per_side: Annotated[int, Field(ge=1, le=128)] | None = None
    points_per_batch: Annotated[int, Field(ge=1, le=256)] | None = None
    pred_iou_thresh: float | None = None
    stability_score_thresh: float | None = None
    stability_score_offset: float | None = None
    box_nms_thresh: float | None = None
    crop_n_layers: Annotated[int, Field(ge=0, le=2)] | None = None
    crop_nms_thresh: float | None = None
    crop_overlap_ratio: Annotated[float, Field(ge=0, lt=1)] | None = None
    crop_n_points_downscale_factor: int | None = None
    min_mask_region_area: float | None = None
    second_look: bool | None = None
    polygons: bool = False
    stream: bool = True

    def options(self) -> dict[str, Any]:
        """What is given, for `everything`."""
        others = ("model", "polygons", "stream")
        return {name: value for name, value in self.model_dump(exclude_none=True).items() if name not in others}


class PictureBackground(Strict):
    """A picture that was sent, as a background."""

    picture: str


class PointedAt(Strict):
    """What is to be cut out."""

    points: Points | None = None
    labels: Annotated[list[Literal[0, 1]], Field(max_length=1000)] | None = None
    box: tuple[float, float, float, float] | None = None


class Cutout(Strict):
    """A cut-out: the options of `anymask cutout`, by their names there.

    `masks` are objects to cut out just as they are, their edges refined; `prompt` points at one; without either it is
    the subject that the model finds. `max` reduces the picture first, for previews.
    """

    model: str | None = None
    prompt: PointedAt | None = None
    masks: Annotated[list[Rle], Field(min_length=1, max_length=2000)] | None = None
    mask_only: bool = False
    background: str | PictureBackground | None = None
    bgcolor: tuple[int, int, int, int] | None = None
    edges: str = "fast"
    refine: bool = True
    foreground: bool = True
    clean: bool = False
    classes: list[str] | None = None
    each: bool = False
    crop: bool = False
    margin: Share = "0%"
    outline: Annotated[str, Field(max_length=60)] | None = None
    shadow: bool = False
    pad: Share | None = None
    foreground_threshold: Annotated[int, Field(ge=0, le=255)] = 240
    background_threshold: Annotated[int, Field(ge=0, le=255)] = 10
    erode: Annotated[int, Field(ge=0, le=200)] = 10
    preprocessing: str = "original"
    format: Annotated[str, Field(max_length=8)] | None = None
    quality: Annotated[int, Field(ge=1, le=100)] | None = None
    max: Annotated[int, Field(ge=16, le=100_000)] | None = None


class Drawn(Strict):
    """An object to export."""

    rle: Rle
    name: Annotated[str, Field(max_length=200)] = ""
    score: float | None = None


class Export(Strict):
    """Objects of a picture as a file."""

    format: str
    file_name: Annotated[str, Field(max_length=200)] = ""
    objects: Annotated[list[Drawn], Field(max_length=5000)]


class VideoPrompt(Strict):
    """What is said of an object on a frame of a video. Points add to those that were given there before; with `replace`
    all that was said of it there is taken back first."""

    frame: Annotated[int, Field(ge=0)]
    object: Annotated[int, Field(ge=1, le=254)]
    points: Points | None = None
    labels: Annotated[list[Literal[0, 1]], Field(max_length=1000)] | None = None
    box: tuple[float, float, float, float] | None = None
    mask: Rle | None = None
    replace: bool = False


class VideoObject(Strict):
    """An object on a frame of a video."""

    frame: Annotated[int, Field(ge=0)]
    object: int


class Propagate(Strict):
    """Which way objects are followed: the arguments of `anymask.tracking.session.Session.propagate`."""

    start: Annotated[int, Field(ge=0)] | None = None
    stop: Annotated[int, Field(ge=-1)] | None = None
    reverse: bool = False


class Address(Strict):
    """A picture to fetch."""

    url: Annotated[str, Field(max_length=4000)]


class Key(Strict):
    """What signs a page in."""

    key: Annotated[str, Field(max_length=1000)]
