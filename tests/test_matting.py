"""Refinement by choice: trimaps, closed-form matting, ViTMatte, hard masks."""

import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from composites import bilinear, blob, compose, hair, reduced
from onnx_files import onnx_file

from anymask import matting
from anymask.errors import AnymaskError, MissingExtraError, ModelError
from anymask.matting import REFINEMENTS, Trimap, clean, refine, solve_trimap
from anymask.refine import refine_matte, resize, without_specks
from anymask.runtime import load_trimap_engine

ALPHA = hair()
PICTURE = compose(ALPHA).picture
COARSE = reduced(ALPHA)


def sad(matte: np.ndarray, alpha: np.ndarray) -> float:
    return float(np.abs(matte - alpha).sum())


def test_a_trimap_keeps_away_from_the_edge() -> None:
    alpha = np.zeros((60, 80), np.float32)
    alpha[20:60, 10:70] = 1
    alpha[30, 40] = 0.5
    trimap = Trimap(erode=5).of(alpha)
    assert trimap.dtype == np.uint8
    assert set(np.unique(trimap)) == {0, 128, 255}
    assert trimap[17, 40] == 0
    assert trimap[18, 40] == 128  # two pixels of five reach the subject
    assert trimap[21, 40] == 128
    assert trimap[22, 40] == 255
    assert (trimap[28:33, 38:43] == 128).all()
    assert trimap[59, 40] == 255  # the picture's border takes nothing away
    np.testing.assert_array_equal(Trimap(erode=0).of(alpha) == 128, alpha == 0.5)


def test_a_trimaps_thresholds_are_of_255() -> None:
    levels = np.array([[9, 10, 11, 239, 240, 241]], np.float32) / 255
    np.testing.assert_array_equal(Trimap(erode=0).of(levels), [[0, 128, 128, 128, 128, 255]])


@pytest.mark.parametrize(
    "thresholds", [{"foreground": 256}, {"background": -1}, {"foreground": 5, "background": 9}, {"erode": -1}]
)
def test_thresholds_that_make_no_trimap(thresholds: dict[str, int]) -> None:
    with pytest.raises(ModelError, match="trimap"):
        Trimap(**thresholds)


def test_fast_and_none() -> None:
    fast = refine_matte(without_specks(COARSE), PICTURE)
    np.testing.assert_allclose(refine(COARSE, PICTURE), fast, atol=1e-3)
    np.testing.assert_allclose(refine(COARSE, PICTURE, "fast"), fast, atol=1e-3)
    plain = resize(COARSE, ALPHA.shape)
    np.testing.assert_array_equal(refine(COARSE, PICTURE, False), plain)
    np.testing.assert_array_equal(refine(COARSE, PICTURE, "none"), plain)


def test_an_unknown_refinement() -> None:
    with pytest.raises(ModelError, match="'magic'; choose one of fast, closed-form, vitmatte, none"):
        refine(COARSE, PICTURE, "magic")
    with pytest.raises(AnymaskError, match="vitmatte-huge"):
        refine(COARSE, PICTURE, "vitmatte", model="vitmatte-huge")


def test_closed_form_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "pymatting"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymatting", None)
    with pytest.raises(MissingExtraError, match=r'pip install "anymask\[matting\]"'):
        refine(COARSE, PICTURE, "closed-form")


# -- closed-form matting ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pymatting() -> None:
    """PyMatting, which compiles itself on its first use: half a minute, once."""
    pytest.importorskip("pymatting", reason="closed-form matting needs the matting extra")


@pytest.mark.slow
@pytest.mark.usefixtures("pymatting")
def test_closed_form_finds_hair(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = refine(COARSE, PICTURE, "closed-form")
    assert found.shape == ALPHA.shape
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    known = Trimap().of(resize(without_specks(COARSE), ALPHA.shape))
    assert (found[known == 255] == 1).all()
    assert (found[known == 0] == 0).all()
    assert sad(found, ALPHA) < 0.25 * sad(bilinear(COARSE, ALPHA), ALPHA)
    alone = solve_trimap(PICTURE, known, "closed-form")
    assert alone is not None
    assert sad(found, ALPHA) < sad(alone, ALPHA) < 0.5 * sad(bilinear(COARSE, ALPHA), ALPHA)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.usefixtures("pymatting")
def test_closed_form_of_a_large_picture_is_solved_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = blob()
    picture, matte = compose(alpha).picture, reduced(alpha)
    monkeypatch.setattr(matting, "PIXELS", alpha.size // 6)
    found = refine(matte, picture, "closed-form")
    known = Trimap().of(resize(matte, alpha.shape))
    assert (found[known == 255] == 1).all()
    assert (found[known == 0] == 0).all()
    assert sad(found, alpha) < 0.15 * sad(bilinear(matte, alpha), alpha)


@pytest.mark.slow
@pytest.mark.usefixtures("pymatting")
@pytest.mark.parametrize(
    ("shape", "matte"),
    [
        ((40, 50), np.zeros((10, 10), np.float32)),
        ((40, 50), np.ones((10, 10), np.float32)),
        ((40, 50), np.full((10, 10), 0.5, np.float32)),
        ((1, 1), np.full((4, 4), 0.7, np.float32)),
        ((2, 300), np.linspace(0, 1, 30, dtype=np.float32)[None]),
        ((300, 5), np.linspace(0, 1, 30, dtype=np.float32)[:, None]),
    ],
)
def test_what_closed_form_cannot_solve_is_refined_fast(shape: tuple[int, int], matte: np.ndarray) -> None:
    for picture in (np.zeros((*shape, 3), np.uint8), np.full((*shape, 3), 255, np.uint8)):
        found = refine(matte, picture, "closed-form")
        assert found.shape == shape
        assert np.isfinite(found).all()
        if matte.shape[0] > 1 and matte.shape[1] > 1:
            np.testing.assert_allclose(found, refine(matte, picture), atol=1e-3)


# -- ViTMatte ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of ViTMatte's signature that answers with how red the picture is."""
    path = onnx_file(tmp_path / "network.onnx", (1024, 1024), 4, [1, 0, 0, 0])
    engine = load_trimap_engine(matting.VITMATTE, "cpu", "fp32", path)
    monkeypatch.setattr(matting, "_trimap_engine", lambda model: engine)


@pytest.mark.usefixtures("network")
def test_vitmatte_answers_where_the_trimap_is_open() -> None:
    alpha = blob()
    red = np.zeros((*alpha.shape, 3), np.uint8)
    red[..., 0] = np.linspace(0, 255, alpha.shape[1])
    matte = reduced(alpha)
    found = refine(matte, red, "vitmatte")
    known = Trimap().of(resize(matte, alpha.shape))
    assert (found[known == 255] == 1).all()
    assert (found[known == 0] == 0).all()
    open_ = known == 128
    assert open_.any()
    assert np.abs(found - red[..., 0] / 255)[open_].mean() < 0.01


@pytest.mark.usefixtures("network")
def test_vitmatte_without_a_foreground_is_refined_fast() -> None:
    matte = np.full((10, 12), 0.4, np.float32)
    np.testing.assert_allclose(refine(matte, PICTURE, "vitmatte"), refine(matte, PICTURE), atol=1e-3)


# -- hard masks -------------------------------------------------------------------------------------------------------


def test_a_clean_mask_is_hard_and_without_specks() -> None:
    alpha = np.zeros((60, 80), np.float32)
    alpha[10:50, 10:70] = 1
    alpha[3, 3] = alpha[5, 60:70] = 1  # a point and a line
    mask = clean(alpha)
    assert mask.dtype == np.float32
    assert set(np.unique(mask)) == {0, 1}
    assert not mask[:8].any()
    assert mask[12:48, 12:68].all()
    assert not mask[10, 10]  # corners are rounded


def test_a_clean_mask_cuts_at_half_of_255() -> None:
    assert (clean(np.full((20, 20), 127 / 255, np.float32)) == 1).all()
    assert (clean(np.full((20, 20), 126 / 255, np.float32)) == 0).all()
    soft = cv2.GaussianBlur(blob(), (0, 0), 4)
    assert np.count_nonzero((clean(soft) > 0) != (soft > 0.5)) < 0.002 * soft.size


def test_the_names() -> None:
    assert REFINEMENTS == ("fast", "closed-form", "vitmatte", "none")


LARGE = """
import sys
import numpy as np, cv2
sys.path.insert(0, sys.argv[1])
from composites import compose, hair, reduced
from anymask.foreground import estimate_foreground
from anymask.matting import refine

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

alpha = hair()
matte, small = reduced(alpha, 2), compose(alpha).picture
estimate_foreground(small, refine(matte, small))
picture = cv2.resize(small, (7500, 6667), interpolation=cv2.INTER_NEAREST)
before = peak()
alpha = refine(matte, picture)
foreground = estimate_foreground(picture, alpha)
print(peak() - before - (alpha.nbytes + foreground.nbytes) / 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_fifty_megapixels_cost_little_beyond_picture_and_result() -> None:
    command = [sys.executable, "-c", LARGE, str(Path(__file__).parent)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert float(run.stdout) < 250  # MB; a copy of the picture in float32 would be 600
