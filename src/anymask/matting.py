"""From a network's matte to the picture's alpha, by whichever method is asked for.

`refine` is the one way: fast (`anymask.refine`), closed-form matting (Levin, Lischinski & Weiss 2008, solved by
PyMatting) or ViTMatte (Yao et al. 2023). The last two look at the pixels that a trimap leaves open and at no others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

import cv2
import numpy as np

from anymask.errors import MissingExtraError, ModelError
from anymask.refine import refine_matte, resize, without_specks

if TYPE_CHECKING:
    from anymask.runtime.engine import TrimapEngine

Solver = Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray | None]
"""A picture uint8 `[H, W, 3]`, its trimap, and a guess float32 `[H, W]` or None, to alpha float32 `[H, W]` or None,
where there is no solution."""

REFINEMENTS = ("fast", "closed-form", "vitmatte", "none")
VITMATTE = "vitmatte-small-distinctions-646"
PULL = 0.1, 0.001  # towards the guess: where it is certain, and where it is one half
PIXELS = 2_000_000  # of the box that closed-form matting solves at once; larger ones are solved smaller
CONTEXT = 0.05  # of the subject's longer side, around it, for ViTMatte to see


@dataclass(frozen=True)
class Trimap:
    """What of a matte is certain: rembg's thresholds for alpha matting.

    Attributes:
        foreground: of 0..255; what is above it is foreground.
        background: of 0..255; what is below it is background.
        erode: side in pixels of the square by which both are made smaller; 0 leaves them as they are.

    Raises ModelError for thresholds out of range or order.
    """

    foreground: int = 240
    background: int = 10
    erode: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.background <= self.foreground <= 255:
            raise ModelError(
                "The thresholds of a trimap lie between 0 and 255, background not above foreground; "
                f"got background {self.background} and foreground {self.foreground}."
            )
        if self.erode < 0:
            raise ModelError(f"A trimap is eroded by 0 pixels or more; got {self.erode}.")

    def of(self, alpha: np.ndarray) -> np.ndarray:
        """A matte float32 `[H, W]` in 0..1 to uint8 `[H, W]`: 0 background, 255 foreground, 128 unknown.

        The border of the picture erodes nothing: a subject that it cuts is certain up to there.
        """
        levels = _levels(alpha)
        foreground, background = _bytes(levels > self.foreground), _bytes(levels < self.background)
        if self.erode:
            square = np.ones((self.erode, self.erode), np.uint8)
            foreground, background = cv2.erode(foreground, square), cv2.erode(background, square)
        trimap = np.full(alpha.shape, 128, np.uint8)
        trimap[foreground > 0] = 255
        trimap[background > 0] = 0
        return trimap


def refine(
    coarse: np.ndarray,
    rgb: np.ndarray,
    method: bool | str = True,
    trimap: Trimap = Trimap(),
    model: str | None = None,
) -> np.ndarray:
    """A network's matte at the picture's size.

    "closed-form" keeps a little to the matte of "fast", as far as that is certain: without, colours that foreground and
    background share carry the one into the other.

    Args:
        coarse: float32 `[h, w]` in 0..1 over the whole picture, of any size.
        rgb: uint8 `[H, W, 3]`.
        method: "fast" or True, "closed-form", "vitmatte", or "none" or False, which enlarges bilinearly.
        trimap: how "closed-form" and "vitmatte" tell what is certain.
        model: the ViTMatte model; default `vitmatte-small-distinctions-646`.

    Returns:
        float32 `[H, W]` in 0..1. With "closed-form" and "vitmatte" it is exactly 0 or 1 where the trimap is certain;
        where that leaves no foreground, no background or no solution, the result is that of "fast".

    Raises:
        ModelError: an unknown method or model.
        MissingExtraError: "closed-form" without PyMatting.
        WeightsError: "vitmatte" without its weights.
    """
    name = method_of(method)
    if name == "none":
        return resize(coarse, rgb.shape)
    cleaned = without_specks(coarse)
    if name == "fast":
        return refine_matte(cleaned, rgb)
    # What is missing is said before any work, and whatever the picture.
    solver = _solver(name, model)
    fast = refine_matte(cleaned, rgb) if name == "closed-form" else None
    known = trimap.of(resize(cleaned, rgb.shape))
    solved = solver(rgb, known, fast) if _solvable(known) else None
    if solved is not None:
        return solved
    return refine_matte(cleaned, rgb) if fast is None else fast


def solve_trimap(rgb: np.ndarray, trimap: np.ndarray, method: str, model: str | None = None) -> np.ndarray | None:
    """Alpha float32 `[H, W]` for a picture uint8 `[H, W, 3]` and a trimap uint8 `[H, W]` of 0, 128 and 255, by the
    method "closed-form" or "vitmatte"; None where the trimap lacks foreground or background, or there is no solution.

    Nothing but picture and trimap counts, as in Levin et al. 2008. Raises as `refine` does.
    """
    solver = _solver(method, model)
    return solver(rgb, trimap, None) if _solvable(trimap) else None


def method_of(method: bool | str) -> str:
    """The name of a refinement: True is "fast", False is "none". Raises ModelError for one that does not exist."""
    name = {True: "fast", False: "none"}[method] if isinstance(method, bool) else method
    if name not in REFINEMENTS:
        raise ModelError(f"There is no refinement called {name!r}; choose one of {', '.join(REFINEMENTS)}.")
    return name


def clean(alpha: np.ndarray) -> np.ndarray:
    """A hard mask with a smooth outline, as rembg's post-processing makes it.

    Grey opening with a cross of 3x3 pixels, a Gaussian of deviation 2, and a threshold at 127 of 255.

    Args:
        alpha: float32 `[H, W]` in 0..1.

    Returns:
        float32 `[H, W]` of 0 and 1.
    """
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    opened = cv2.morphologyEx(_levels(alpha), cv2.MORPH_OPEN, cross).astype(np.float32)
    smooth = cv2.GaussianBlur(opened, (17, 17), 2, dst=opened, borderType=cv2.BORDER_REFLECT)
    mask: np.ndarray = (smooth >= 127).astype(np.float32)
    return mask


def _levels(alpha: np.ndarray) -> np.ndarray:
    """0..1 as the nearest of 0..255, uint8."""
    return cv2.convertScaleAbs(alpha, alpha=255).astype(np.uint8, copy=False)


def _bytes(mask: np.ndarray) -> np.ndarray:
    """bool as uint8 of 0 and 1, which OpenCV reads; the same memory."""
    return mask.view(np.uint8)


def _solvable(trimap: np.ndarray) -> bool:
    return bool(np.any(trimap == 0) and np.any(trimap == 255))


def _box(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Rows and columns of what is not 0 in uint8 `[H, W]`, with a margin inside of the picture."""
    x, y, width, height = cv2.boundingRect(mask)
    rows, columns = mask.shape
    return (
        slice(max(y - margin, 0), min(y + height + margin, rows)),
        slice(max(x - margin, 0), min(x + width + margin, columns)),
    )


def _fill(trimap: np.ndarray, box: tuple[slice, slice], solved: np.ndarray) -> np.ndarray:
    """The trimap as alpha float32, what it leaves open taken from `solved`, which covers the box."""
    alpha: np.ndarray = (trimap == 255).astype(np.float32)
    np.copyto(alpha[box], solved, where=trimap[box] == 128)
    return alpha


def _enlarged(alpha: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """What was solved smaller than the picture is, enlarged along its edges; what was not, as it is."""
    return alpha if alpha.shape == rgb.shape[:2] else refine_matte(alpha, rgb)


def _solver(method: str, model: str | None) -> Solver:
    return _vitmatte(model or VITMATTE) if method == "vitmatte" else _closed_form()


# -- closed-form matting ----------------------------------------------------------------------------------------------


def _closed_form() -> Solver:
    matting = _ClosedForm()

    def solve(rgb: np.ndarray, trimap: np.ndarray, guess: np.ndarray | None) -> np.ndarray | None:
        unknown = _bytes(trimap == 128)
        if not unknown.any():
            return _fill(trimap, (slice(0), slice(0)), np.empty((0, 0), np.float32))
        box = _box(unknown, 2)
        picture, known = rgb[box], trimap[box]
        shrink = (known.size / PIXELS) ** 0.5
        if shrink > 1:
            picture, known = _smaller(picture, known, shrink)
        alpha = matting(picture, known, None if guess is None else resize(guess[box], known.shape))
        return None if alpha is None else _fill(trimap, box, _enlarged(alpha, rgb[box]))

    return solve


def _smaller(rgb: np.ndarray, trimap: np.ndarray, shrink: float) -> tuple[np.ndarray, np.ndarray]:
    """Picture and trimap reduced; a pixel of the trimap stays certain where all that it covers is."""
    shape = max(round(rgb.shape[0] / shrink), 1), max(round(rgb.shape[1] / shrink), 1)
    foreground = resize(_bytes(trimap == 255) * np.uint8(255), shape) == 255
    background = resize(_bytes(trimap == 0) * np.uint8(255), shape) == 255
    known = np.full(shape, 128, np.uint8)
    known[foreground] = 255
    known[background] = 0
    return resize(rgb, shape), known


class _ClosedForm:
    """PyMatting's closed-form matting, which on its first use ever compiles itself for half a minute."""

    def __init__(self) -> None:
        try:
            self._laplacian = import_module("pymatting.laplacian.cf_laplacian").cf_laplacian
            preconditioner = import_module("pymatting.preconditioner.ichol")
            self._solve = import_module("pymatting.solver.cg").cg
        except ImportError as error:
            raise MissingExtraError(
                'Closed-form matting needs the matting extra: pip install "anymask[matting]".'
            ) from error
        vars(preconditioner)["print"] = _silent
        self._factorise = preconditioner.ichol

    def __call__(self, rgb: np.ndarray, trimap: np.ndarray, guess: np.ndarray | None) -> np.ndarray | None:
        known = trimap != 128
        if min(trimap.shape) < 3 or not known.any():  # the Laplacian is made of windows of 3 x 3
            return None
        unknown = ~known.ravel()
        foreground = (trimap == 255).ravel().astype(np.float64)
        laplacian = self._laplacian(rgb / 255.0, is_known=known)[unknown]
        matrix = laplacian[:, unknown]
        matrix.eliminate_zeros()
        right = -laplacian[:, ~unknown].dot(foreground[~unknown])
        del laplacian
        start = None
        if guess is not None:
            start = guess.ravel()[unknown].astype(np.float64)
            pull = PULL[1] + (PULL[0] - PULL[1]) * (2 * start - 1) ** 2
            matrix.setdiag(matrix.diagonal() + pull)
            right += pull * start
        try:
            factor = self._factorise(matrix, discard_threshold=1e-3, max_nnz=100 * matrix.shape[0])
            with np.errstate(all="ignore"):
                solution: np.ndarray = self._solve(matrix, right, x0=start, M=factor, rtol=1e-5)
        except ValueError:  # not positive definite, or no convergence
            return None
        if not np.isfinite(solution).all():
            return None
        alpha: np.ndarray = foreground.astype(np.float32)
        alpha[unknown] = np.clip(solution, 0, 1)
        return alpha.reshape(trimap.shape)


def _silent(*_: object) -> None:
    """PyMatting prints to standard output when it tries again, where a picture may be going."""


# -- ViTMatte ---------------------------------------------------------------------------------------------------------


def _vitmatte(model: str) -> Solver:
    engine = _trimap_engine(model)

    def solve(rgb: np.ndarray, trimap: np.ndarray, _: np.ndarray | None) -> np.ndarray | None:
        box = _box(trimap, 0)
        longer = max(part.stop - part.start for part in box)
        box = _box(trimap, max(round(CONTEXT * longer), 16))
        alpha = engine.alpha(np.ascontiguousarray(rgb[box]), np.ascontiguousarray(trimap[box]))
        return _fill(trimap, box, _enlarged(alpha, rgb[box]))

    return solve


@lru_cache(maxsize=1)
def _trimap_engine(model: str) -> TrimapEngine:
    from anymask.runtime import load_trimap_engine

    return load_trimap_engine(model)
