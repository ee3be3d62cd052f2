"""The names and signatures of the package rembg 2.0.86 over anymask's engines.

What comes out is what comes out there: the same kinds and modes, masks by rembg's own recipe for each network, plain
cut-outs unless more is asked for. docs/compat.md says what differs. anymask's own names (`BackgroundRemover`) refine
edges and keep the subject's colours by default.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from anymask import matting
from anymask.catalog import find
from anymask.downloads import located
from anymask.errors import ImageError, ModelError, WeightsError
from anymask.foreground import estimate_foreground
from anymask.matting import Trimap
from anymask.prompts import Prompt
from anymask.refine import resize
from anymask.runtime import load_matte_engine
from anymask.segmenter import Segmenter

__all__ = ["BaseSession", "download_models", "new_session", "remove", "sessions", "sessions_class", "sessions_names"]

DEFAULT = "bria-rmbg"
NETWORKS = (
    "birefnet-general",
    "birefnet-general-lite",
    "birefnet-general-fp16",
    "birefnet-portrait",
    "birefnet-dis",
    "birefnet-hrsod",
    "birefnet-cod",
    "birefnet-massive",
    "isnet-anime",
    "dis_custom",
    "isnet-general-use",
    "silueta",
    "u2net_cloth_seg",
    "u2net_custom",
    "u2net_human_seg",
    "u2net",
    "u2netp",
    "bria-rmbg",
    "ben_custom",
)
CLOTHES: dict[str | None, tuple[tuple[int, ...], ...]] = {
    "upper": ((0,),), "lower": ((1,),), "full": ((2,),), "attire": ((0, 1, 2),), None: ((0,), (1,), (2,)),
}  # fmt: skip


class UnknownSession(ModelError, ValueError):
    """A name that is no session's; a ValueError as in rembg."""


class BaseSession:
    """What `remove` asks for masks. Sessions of one's own derive from this and define `predict`.

    `sess_opts` and `providers` are ONNX Runtime's and are not looked at; `inner_session` does not exist.
    """

    def __init__(self, model_name: str = "", sess_opts: Any = None, *args: Any, **kwargs: Any) -> None:
        self.model_name = model_name

    def predict(self, img: Image.Image, *args: Any, **kwargs: Any) -> list[Image.Image]:
        """The masks of a picture: grey images (mode L) of its size."""
        raise NotImplementedError

    @classmethod
    def name(cls, *args: Any, **kwargs: Any) -> str:
        """The session's name."""
        raise NotImplementedError

    @classmethod
    def download_models(cls, *args: Any, **kwargs: Any) -> str:
        """Fetch what the session needs; the path of its weights. Raises WeightsError."""
        raise NotImplementedError


class NetworkSession(BaseSession):
    """A network that finds the subject, fed and read as rembg does it."""

    model = ""

    def __init__(self, model_name: str = "", sess_opts: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(model_name or self.model, sess_opts)
        weights = kwargs.get("model_path")
        if weights is None and self.model.endswith("_custom"):
            raise UnknownSession(f"{self.model} needs model_path=, the file of your network.")
        weights = None if weights is None else Path(weights).expanduser()
        self.engine = load_matte_engine(self.model, weights=weights, preprocessing="rembg")

    def predict(self, img: Image.Image, *args: Any, **kwargs: Any) -> list[Image.Image]:
        mattes = self.engine.mattes(np.asarray(img.convert("RGB")))
        rules = self.engine.spec.matte
        if rules is None or not rules.classes:
            return [_image(mattes[0]).resize(img.size, Image.Resampling.LANCZOS)]
        wanted = kwargs.get("cc") or kwargs.get("cloth_category")
        # A class of a pixel is one of four: between two of them there is nothing to interpolate.
        return [
            _image(mattes[list(group)].max(axis=0)).resize(img.size, Image.Resampling.NEAREST)
            for group in CLOTHES.get(wanted, CLOTHES[None])
        ]

    @classmethod
    def name(cls, *args: Any, **kwargs: Any) -> str:
        return cls.model

    @classmethod
    def download_models(cls, *args: Any, **kwargs: Any) -> str:
        return str(located(find(cls.model)))


class SamSession(BaseSession):
    """Segment Anything, asked by `sam_prompt`: points and rectangles, as a list of dicts or as JSON."""

    def __init__(self, model_name: str = "sam", sess_opts: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(model_name, sess_opts)
        name = str(kwargs.get("sam_model", "sam_vit_b_01ec64"))
        self.segmenter = Segmenter("_".join(name.split("_")[:3]), weights=kwargs.get("model_path"))

    def predict(self, img: Image.Image, *args: Any, **kwargs: Any) -> list[Image.Image]:
        given = kwargs.get("sam_prompt") or "{}"
        asked = json.loads(given) if isinstance(given, str) else given
        points, labels, box = [], [], None
        for mark in asked or [{"type": "point", "label": 1, "data": [img.width / 2, img.height / 2]}]:
            if mark.get("type") == "point":
                points.append(mark["data"])
                labels.append(int(mark["label"]))
            elif mark.get("type") == "rectangle":
                box = mark["data"]
        prompt = Prompt(points=points or None, labels=labels or None, box=box)
        found = self.segmenter.encode(img.convert("RGB")).predict_batch([prompt])[0].best
        return [_image(found.array[0].astype(np.float32))]

    @classmethod
    def name(cls, *args: Any, **kwargs: Any) -> str:
        return "sam"

    @classmethod
    def download_models(cls, *args: Any, **kwargs: Any) -> str:
        return str(located(find("sam_vit_b")))


class PocketSession(NetworkSession):
    """anymask's own model, which needs no download."""

    model = "pocket"


def _session(name: str) -> type[BaseSession]:
    return type(f"{name.title().replace('-', '').replace('_', '')}Session", (NetworkSession,), {"model": name})


sessions: dict[str, type[BaseSession]] = {name: _session(name) for name in NETWORKS}
sessions |= {"sam": SamSession, "pocket": PocketSession}
sessions_class: list[type[BaseSession]] = list(sessions.values())
sessions_names: list[str] = list(sessions)


def new_session(
    model_name: str = DEFAULT, *args: Any, sess_opts: Any = None, providers: Any = None, **kwargs: Any
) -> BaseSession:
    """A model, loaded; what is not there yet is downloaded.

    Args:
        model_name: one of `sessions_names`.
        sess_opts, providers: ONNX Runtime's; not looked at.
        kwargs: model_path of custom models (and, here, of all others), sam_model.

    Raises:
        UnknownSession: no session has this name. WeightsError: the weights cannot be had.
    """
    kind = next((kind for kind in sessions_class if kind.name() == model_name), None)
    if kind is None:
        raise UnknownSession(f"No session class found for model '{model_name}'; there are {', '.join(sessions_names)}.")
    return kind(model_name, sess_opts, *args, **kwargs)


def remove(
    data: bytes | Image.Image | np.ndarray,
    alpha_matting: bool = False,
    alpha_matting_foreground_threshold: int = 240,
    alpha_matting_background_threshold: int = 10,
    alpha_matting_erode_size: int = 10,
    session: BaseSession | None = None,
    only_mask: bool = False,
    post_process_mask: bool = False,
    decontaminate: bool = False,
    vitmatte: bool = False,
    vitmatte_model: str | None = None,
    bgcolor: Sequence[int] | None = None,
    force_return_bytes: bool = False,
    *args: Any,
    **kwargs: Any,
) -> bytes | Image.Image | np.ndarray:
    """A picture without its background.

    Args:
        data: the bytes of a picture file, a PIL image, or an array uint8 `[H, W]`, `[H, W, 3]` or `[H, W, 4]`.
        alpha_matting: refine the mask by closed-form matting (the matting extra), with rembg's thresholds.
        session: what `new_session` gave; a new one of bria-rmbg without it.
        only_mask: give the mask, mode L.
        post_process_mask: make it hard and smooth its outline.
        decontaminate: estimate the subject's own colours. vitmatte, vitmatte_model: refine with ViTMatte.
        bgcolor: red, green, blue, alpha of a colour to lay behind.
        force_return_bytes: `data` is bytes, and so is the result.
        kwargs: putalpha (keep the picture's colours), and what the session's `predict` takes: cc, sam_prompt.

    Returns:
        The same kind as `data`: PNG bytes, an RGBA image, an array `[H, W, 4]`; several masks one below the other.

    Raises:
        ValueError: `data` is of another kind. ImageError: its bytes are no picture.
    """
    kind: type = bytes if isinstance(data, bytes) or force_return_bytes else type(data)
    if kind is bytes:
        img = _opened(data)
    elif isinstance(data, Image.Image):
        img = data
    elif isinstance(data, np.ndarray):
        img = Image.fromarray(data)
    else:
        raise ValueError(f"Input type {type(data)} is not supported. Try using force_return_bytes=True.")
    putalpha = kwargs.pop("putalpha", False)
    img = ImageOps.exif_transpose(img)
    if session is None:
        session = new_session(DEFAULT, *args, **kwargs)
    trimap = Trimap(
        alpha_matting_foreground_threshold, alpha_matting_background_threshold, max(alpha_matting_erode_size, 0)
    )
    cutouts = []
    for mask in session.predict(img, *args, **kwargs):
        if post_process_mask:
            mask = _image(matting.clean(_alpha(mask)))
        if only_mask:
            cutouts.append(mask)
        elif vitmatte or alpha_matting:
            method = "vitmatte" if vitmatte else "closed-form"
            rgb = np.asarray(img.convert("RGB"))
            model = None if vitmatte_model is None else f"vitmatte-{vitmatte_model}"
            certain = trimap.of(resize(_alpha(mask), rgb.shape))
            solved = matting.solve_trimap(rgb, certain, method, model)
            alpha = _alpha(mask) if solved is None else solved
            cutouts.append(_with_alpha(img, _image(alpha)) if putalpha and vitmatte else _decontaminated(img, alpha))
        elif putalpha:
            cutouts.append(_with_alpha(img, mask))
        elif decontaminate:
            cutouts.append(_decontaminated(img, _alpha(mask)))
        else:
            cutouts.append(Image.composite(img, Image.new("RGBA", img.size, 0), mask))
    result = _stacked(cutouts) if cutouts else img
    if bgcolor is not None and not only_mask:
        red, green, blue, opacity = (int(part) for part in bgcolor)
        behind = Image.new("RGBA", result.size, (red, green, blue, opacity))
        result = Image.alpha_composite(behind, result.convert("RGBA"))
    if kind is bytes:
        buffer = io.BytesIO()
        result.save(buffer, "PNG")
        return buffer.getvalue()
    return np.asarray(result) if isinstance(data, np.ndarray) else result


def download_models(models: Sequence[str] = ()) -> None:
    """Fetch the weights of these sessions, or of all of them; what cannot be had is said on standard error."""
    for name in models or [name for name in NETWORKS if not name.endswith("_custom")]:
        if name not in sessions:
            raise UnknownSession(f"No session class found for model '{name}'; there are {', '.join(sessions_names)}.")
        try:
            sessions[name].download_models()
        except WeightsError as error:
            sys.stderr.write(f"{error}\n")


def _opened(data: Any) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        return image
    except Exception as error:  # what Pillow raises over damaged files is of every kind
        raise ImageError("The bytes are no picture that can be read, or are cut short.") from error


def _image(alpha: np.ndarray) -> Image.Image:
    """float32 [H, W] in 0..1 as grey, cut down to whole numbers as rembg's masks are."""
    return Image.fromarray((np.clip(alpha, 0, 1) * 255).astype(np.uint8))


def _alpha(mask: Image.Image) -> np.ndarray:
    grey: np.ndarray = np.asarray(mask.convert("L"), np.float32) / np.float32(255)
    return grey


def _decontaminated(img: Image.Image, alpha: np.ndarray) -> Image.Image:
    rgb = np.asarray(img.convert("RGB"))
    alpha = resize(alpha, rgb.shape)
    return Image.fromarray(np.dstack((estimate_foreground(rgb, alpha), np.asarray(_image(alpha)))))


def _with_alpha(img: Image.Image, mask: Image.Image) -> Image.Image:
    cut = img.copy()
    cut.putalpha(mask)
    return cut


def _stacked(images: list[Image.Image]) -> Image.Image:
    """One below the other, RGBA where there are several."""
    if len(images) == 1:
        return images[0]
    whole = Image.new("RGBA", (images[0].width, sum(image.height for image in images)))
    top = 0
    for image in images:
        whole.paste(image, (0, top))
        top += image.height
    return whole
