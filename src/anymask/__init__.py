"""anymask: masks out of pictures, for a click, a box, everything at once, or the subject cut out from its background.

Importing this module loads neither numpy nor any engine; each name below is fetched from its home when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anymask.background import BackgroundRemover, cut_out, remove_background
    from anymask.catalog import models
    from anymask.compositing import CutOut
    from anymask.errors import (
        AnymaskError,
        FormatError,
        ImageError,
        MissingExtraError,
        ModelError,
        PromptError,
        WeightsError,
    )
    from anymask.masks import Masks
    from anymask.matting import Trimap
    from anymask.prompts import Prompt
    from anymask.segmenter import EncodedImage, Segmenter
    from anymask.tracker import Tracker
    from anymask.tracking.session import Session

__version__ = "0.1.0"

__all__ = [
    "AnymaskError",
    "BackgroundRemover",
    "CutOut",
    "EncodedImage",
    "FormatError",
    "ImageError",
    "Masks",
    "MissingExtraError",
    "ModelError",
    "Prompt",
    "PromptError",
    "Segmenter",
    "Session",
    "Tracker",
    "Trimap",
    "WeightsError",
    "__version__",
    "cut_out",
    "models",
    "remove_background",
]

_HOMES = {
    "BackgroundRemover": "background",
    "CutOut": "compositing",
    "EncodedImage": "segmenter",
    "Masks": "masks",
    "Prompt": "prompts",
    "Segmenter": "segmenter",
    "Session": "tracking.session",
    "Tracker": "tracker",
    "Trimap": "matting",
    "cut_out": "background",
    "models": "catalog",
    "remove_background": "background",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
