"""Cut-outs of what is pointed at, of several subjects and of classes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from anymask import BackgroundRemover, Masks, Prompt, background, cut_out, remove_background, rle
from anymask.catalog import find
from anymask.errors import ImageError, ModelError, PromptError
from anymask.placement import Placement
from anymask.pointing import coarse_matte
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
    bus, ground = (pocket.matte(BUS, prompt=Prompt(points=[point])) > 0.5 for point in ((350, 240), (60, 330)))
    assert bus[240, 350] and ground[330, 60]
    assert (bus & ground).sum() < 0.1 * min(bus.sum(), ground.sum())


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


def logits(*blobs: tuple[int, int, int, int]) -> np.ndarray:
    """A map of 64 x 64 cells, 8 inside of the blobs (x0, y0, x1, y1), -8 elsewhere."""
    whole = np.full((64, 64), -8, np.float32)
    for x0, y0, x1, y1 in blobs:
        whole[y0:y1, x0:x1] = 8
    return whole


SMALL, LARGE, NEAR_HALF = (4, 4, 14, 14), (30, 30, 60, 50), (4, 30, 24, 50)


@pytest.mark.parametrize(
    ("prompt", "stays"),
    [
        (Prompt(points=[(36, 36)]), {SMALL, LARGE, NEAR_HALF}),  # the small one; others at least half as large
        (Prompt(points=[(180, 160)]), {LARGE, NEAR_HALF}),
        (Prompt(points=[(180, 160), (36, 36)]), {SMALL, LARGE, NEAR_HALF}),
        (Prompt(points=[(180, 160), (50, 160)], labels=[1, 0]), {LARGE}),
        (Prompt(box=(0, 0, 256, 256)), {LARGE, NEAR_HALF}),
        (Prompt(points=[(256, 256)]), {LARGE, NEAR_HALF}),  # on nothing, in the picture's last corner
        (Prompt(points=[(36, 36), (180, 160), (50, 160)], labels=[0, 0, 0]), {SMALL, LARGE, NEAR_HALF}),
        (None, {SMALL, LARGE, NEAR_HALF}),
    ],
)
def test_pieces_that_are_not_meant_go(prompt: Prompt | None, stays: set[tuple[int, int, int, int]]) -> None:
    placement = Placement.letterbox(256, 256, 256)
    masks = Masks(logits(SMALL, LARGE, NEAR_HALF)[None], np.ones(1), placement, prompts=prompt)
    matte = coarse_matte(masks)
    expected = sum(logits(blob) > 0 for blob in stays) > 0
    np.testing.assert_array_equal(matte > 0.5, expected)
    if prompt is not None:
        assert matte[~expected].max() < 0.01


def test_doubts_far_away_go_and_soft_edges_stay() -> None:
    whole = logits(LARGE)
    whole[2:6, 2:6] = whole[30:50, 26:30] = -0.5
    masks = Masks(whole[None], np.ones(1), Placement.letterbox(256, 256, 256), prompts=Prompt(points=[(180, 160)]))
    matte = coarse_matte(masks)
    assert matte[:10, :10].max() < 1e-6
    assert matte[32:48, 26:30].min() > 0.3


def test_a_network_that_is_never_sure_gives_an_opaque_matte() -> None:
    masks = Masks(logits(LARGE)[None] / 40, np.ones(1), Placement.letterbox(256, 256, 256))
    matte = coarse_matte(masks)
    assert matte[35:45, 35:55].min() > 0.99
    assert matte[:20].max() < 0.01


def test_each_mask_of_a_segmenter_is_cut_out(pocket: BackgroundRemover) -> None:
    image = Segmenter("pocket", "cpu").encode(BUS)
    prompts = [Prompt(box=BOX), Prompt(points=[(350, 240)])]
    masks = Masks.concatenate([one.best for one in image.predict_batch(prompts)])
    cuts = cut_out(BUS, masks)
    assert len(cuts) == 2
    for cut, prompt in zip(cuts, prompts, strict=True):
        expected = pocket.cutout(BUS, prompt=prompt)
        assert np.abs(cut.alpha - expected.alpha).mean() < 1e-3, "as if asked one by one"
        np.testing.assert_array_equal(cut_out(BUS, masks[0], foreground=False)[0].rgb[200, 300], image.rgb[200, 300])
    assert cut_out(BUS, masks[:0]) == []
    assert set(np.unique(cut_out(BUS, masks[0], clean=True)[0].alpha)) == {0, 1}


def test_a_mask_that_was_cleaned_up_is_what_is_cut_out() -> None:
    """Its logits still have the hole."""
    whole = logits(LARGE)
    whole[38:42, 42:46] = -8
    filled = np.zeros((256, 256), bool)
    filled[120:200, 120:240] = True
    placement = Placement.letterbox(256, 256, 256)
    masks = Masks(np.stack([whole, whole]), np.ones(2), placement, rles=[None, rle.encode(filled)])
    picture = np.full((256, 256, 3), 90, np.uint8)
    holed, cleaned = (cut.alpha for cut in cut_out(picture, masks, refine=False))
    assert masks.cleaned == (False, True)
    assert holed[160, 176] < 0.01 and cleaned[160, 176] == 1
    assert np.abs((cleaned > 0.5).astype(int) - filled).mean() < 0.01


def test_a_mask_of_a_crop_lies_where_the_crop_is() -> None:
    placement = Placement.letterbox(256, 256, 256, crop=(128, 64, 256, 192))
    masks = Masks(logits((16, 16, 48, 48))[None], np.ones(1), placement, prompts=Prompt(points=[(192, 128)]))
    alpha = cut_out(np.full((256, 256, 3), 90, np.uint8), masks)[0].alpha
    assert alpha[128, 192] == 1 and alpha[:64].max() == alpha[:, :128].max() == 0
    assert (alpha > 0.5).sum() == pytest.approx(64 * 64, rel=0.1)


def test_masks_of_another_picture() -> None:
    masks = Masks(logits(LARGE)[None], np.ones(1), Placement.letterbox(256, 256, 256))
    with pytest.raises(ImageError, match="has 640 x 427 pixels, but the masks are of one of 256 x 256"):
        cut_out(BUS, masks)
    with pytest.raises(ModelError, match="no refinement called 'fine'"):
        cut_out(np.zeros((256, 256, 3), np.uint8), masks, refine="fine")


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
    with pytest.raises(ModelError, match="multilevel, blur-fusion, not 'clairvoyance'"):
        pocket.remove(BUS, foreground="clairvoyance")


@pytest.mark.parametrize(
    "placement",
    [
        Placement.letterbox(427, 640, 1024),
        Placement.stretch(427, 640, 1024, None, "bicubic"),
        Placement.letterbox(427, 640, 1024, (100, 50, 333, 400)),
    ],
)
def test_a_cut_out_lies_where_its_mask_does(placement: Placement) -> None:
    noise = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    smooth = 200 * cv2.GaussianBlur(noise, (0, 0), 6)
    masks = Masks(smooth[None], np.ones(1), placement)
    chosen = cut_out(np.full((427, 640, 3), 90, np.uint8), masks, refine=False)[0].alpha > 0.5
    mask = masks.array[0]
    assert 0.05 < mask.mean() < 0.95
    assert (chosen & mask).sum() / (chosen | mask).sum() > 0.99
