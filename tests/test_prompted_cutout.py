"""Cut-outs of what is pointed at, of several subjects and of classes."""

from pathlib import Path

import numpy as np
import pytest

from anymask import BackgroundRemover, Prompt, background, remove_background
from anymask.catalog import find
from anymask.errors import ImageError, ModelError, PromptError
from anymask.segmenter import Segmenter

BUS = Path(__file__).parents[1] / "assets" / "bus.jpg"
BOX = (105, 110, 570, 370)


@pytest.fixture(scope="module")
def pocket() -> BackgroundRemover:
    return BackgroundRemover("pocket", "cpu")


def test_what_is_pointed_at_is_cut_out(pocket: BackgroundRemover) -> None:
    alpha = pocket.matte(BUS, prompt=Prompt(box=BOX))
    masks = Segmenter("pocket", "cpu").encode(BUS).predict(box=BOX)
    mask = masks.array[0]
    assert alpha.shape == mask.shape and alpha.dtype == np.float32
    chosen = alpha > 0.5
    assert (chosen & mask).sum() / (chosen | mask).sum() > 0.9, "the segmenter's mask"
    assert ((alpha > 0.02) & (alpha < 0.98)).mean() < 0.2 and (alpha == 1).sum() > 0.6 * mask.sum(), "opaque inside"
    assert ((alpha > 0.02) & (alpha < 0.98)).sum() > 0, "with soft edges"


def test_a_prompt_makes_the_difference(pocket: BackgroundRemover) -> None:
    left, right = (pocket.matte(BUS, prompt=Prompt(points=[(x, 330)])) > 0.5 for x in (60, 560))
    assert (left & right).sum() < 0.5 * min(left.sum(), right.sum()) or left.sum() != right.sum()


def test_every_part_of_a_prompt_counts(pocket: BackgroundRemover) -> None:
    one = pocket.matte(BUS, prompt=Prompt(points=[(350, 240)]))
    two = pocket.matte(BUS, prompt=Prompt(points=[(350, 240), (350, 320)], labels=[1, 0]))
    assert not np.array_equal(one, two)


def test_a_prompt_outside_of_the_picture(pocket: BackgroundRemover) -> None:
    with pytest.raises(PromptError):
        pocket.remove(BUS, prompt=Prompt(points=[(10_000, 5)]))


def test_the_one_liner_takes_a_prompt() -> None:
    image = remove_background(BUS, prompt=Prompt(box=BOX), device="cpu")
    assert image.mode == "RGBA"
    assert np.asarray(image)[5, 5, 3] == 0


class KnownMattes:
    """An engine that gives these mattes for every picture."""

    def __init__(self, model: str, mattes: np.ndarray) -> None:
        self.spec, self.answer = find(model), mattes

    def mattes(self, rgb: np.ndarray) -> np.ndarray:
        return self.answer


def known(monkeypatch: pytest.MonkeyPatch, model: str, mattes: np.ndarray) -> BackgroundRemover:
    monkeypatch.setattr(background, "load_matte_engine", lambda *_: KnownMattes(model, mattes))
    return BackgroundRemover(model)


def test_models_that_cannot_say_which_can(monkeypatch: pytest.MonkeyPatch) -> None:
    remover = known(monkeypatch, "u2netp", np.ones((1, 8, 8), np.float32))
    with pytest.raises(PromptError, match="u2netp takes no points or boxes; these do: pocket, sam_vit_b"):
        remover.matte(BUS, prompt=Prompt(box=BOX))


def test_a_promptable_model_without_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        spec = find("sam_vit_b")

    monkeypatch.setattr(background, "load_segment_engine", lambda *_: Silent())
    with pytest.raises(PromptError, match="sam_vit_b finds nothing by itself: give it a point or a box"):
        BackgroundRemover("sam_vit_b").matte(BUS)


def test_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    mattes = np.zeros((3, 8, 8), np.float32)
    for index in range(3):
        mattes[index, 2 * index : 2 * index + 2] = 1
    remover = known(monkeypatch, "u2net_cloth_seg", mattes)
    picture = np.full((64, 64, 3), 90, np.uint8)
    assert remover.classes == ("upper", "lower", "full")
    assert remover.matte(picture, refine=False).mean() == pytest.approx(6 / 8, abs=0.1), "all of them"
    lower = remover.matte(picture, refine=False, classes=["lower"])
    assert lower[24, 5] == 1 and lower[5, 5] == 0 and lower[40, 5] == 0
    apart = remover.cutouts(picture, refine=False, foreground=False)
    assert list(apart) == ["upper", "lower", "full"]
    assert np.array_equal(apart["lower"].alpha, lower)
    assert list(remover.cutouts(picture, classes=["full"])) == ["full"]
    with pytest.raises(ModelError, match="tells apart upper, lower, full; there is no class 'hat'"):
        remover.matte(picture, classes=["hat"])
    with pytest.raises(ModelError, match="No class is wanted"):
        remover.matte(picture, classes=[])


def test_subjects_that_do_not_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    matte = np.zeros((1, 32, 32), np.float32)
    matte[0, 2:8, 2:8] = 1
    matte[0, 14:30, 10:30] = 1
    remover = known(monkeypatch, "u2netp", matte)
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    both = remover.matte(picture)
    apart = remover.cutouts(picture)
    assert list(apart) == ["1", "2"]
    assert apart["1"].alpha.sum() > apart["2"].alpha.sum() > 0, "the largest first"
    assert np.array_equal(apart["1"].alpha + apart["2"].alpha, both), "each soft pixel belongs to one"
    with pytest.raises(ModelError, match="u2netp knows no classes; there is no class 'upper'"):
        remover.matte(picture, classes=["upper"])


def test_no_subject_is_no_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    remover = known(monkeypatch, "u2netp", np.zeros((1, 8, 8), np.float32))
    assert remover.cutouts(np.full((30, 30, 3), 90, np.uint8)) == {}


def test_a_hard_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    matte = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1))[None]
    alpha = known(monkeypatch, "u2netp", matte).matte(np.full((64, 64, 3), 90, np.uint8), clean=True)
    assert set(np.unique(alpha)) == {0, 1}


def test_the_pictures_own_background_out_of_focus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stripes around a red disc: the stripes blur, and no red comes into them."""
    rows, columns = np.mgrid[:200, :200]
    disc = np.hypot(rows - 100, columns - 100) < 50
    picture = np.repeat(((columns // 4 % 2) * 200)[..., None].astype(np.uint8), 3, axis=2)
    picture[disc] = (255, 0, 0)
    remover = known(monkeypatch, "u2netp", disc[None].astype(np.float32))
    found = np.asarray(remover.remove(picture, "blur", refine=False)).astype(int)
    assert (found[disc] == (255, 0, 0)).mean() > 0.95
    outside = found[~(np.hypot(rows - 100, columns - 100) < 53)]
    assert outside.std() < 0.5 * picture[~disc].std()
    assert np.abs(outside[:, 0] - outside[:, 1]).max() < 12, "no halo"


def test_unknown_choices(pocket: BackgroundRemover) -> None:
    with pytest.raises(ModelError, match="no refinement called 'fine'; choose one of fast"):
        pocket.matte(BUS, refine="fine")
    with pytest.raises(TypeError, match="no option 'colour'"):
        pocket.matte(BUS, colour=1)  # type: ignore[call-arg]
    with pytest.raises(ImageError, match="neither a colour nor a picture"):
        pocket.remove(BUS, "nowhere.png")
