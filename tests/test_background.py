"""The background remover: with a network of known answers, and with pocket itself."""

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from composites import bilinear, blob, compose, reduced
from PIL import Image

from anymask import background
from anymask.background import BackgroundRemover, remove_background
from anymask.catalog import find
from anymask.errors import ImageError, ModelError

ASSETS = Path(__file__).parents[1] / "assets"


class KnownMatte:
    """An engine that answers every picture with the same matte, and keeps the picture."""

    def __init__(self, matte: np.ndarray) -> None:
        self.spec = find("pocket")
        self.answer = matte
        self.seen: list[np.ndarray] = []

    def mattes(self, rgb: np.ndarray) -> np.ndarray:
        self.seen.append(rgb)
        return self.answer[None]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> KnownMatte:
    known = KnownMatte(reduced(blob()))
    monkeypatch.setattr(background, "load_matte_engine", lambda *_: known)
    background._remover.cache_clear()
    return known


SCENE = compose(blob())


@pytest.mark.usefixtures("engine")
def test_matte() -> None:
    remover = BackgroundRemover()
    refined, plain = remover.matte(SCENE.picture), remover.matte(SCENE.picture, refine=False)
    assert refined.dtype == plain.dtype == np.float32
    whole = cv2.resize(reduced(SCENE.alpha), SCENE.alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(plain, whole, atol=1e-6)  # the network's own map, its doubts and all
    error = np.abs(bilinear(reduced(SCENE.alpha), SCENE.alpha) - SCENE.alpha).sum()
    assert np.abs(refined - SCENE.alpha).sum() < 0.3 * error


@pytest.mark.usefixtures("engine")
def test_a_cut_out_close_to_the_truth() -> None:
    image = BackgroundRemover().remove(SCENE.picture)
    assert image.mode == "RGBA"
    assert image.size == SCENE.alpha.shape[::-1]
    over = np.asarray(BackgroundRemover().remove(SCENE.picture, "magenta")).astype(np.float32)
    opacity = SCENE.alpha[..., None]
    truth = opacity * SCENE.foreground + (1 - opacity) * np.array([255, 0, 255])
    edge = (SCENE.alpha > 0) & (SCENE.alpha < 1)
    errors = {
        options: np.abs(
            np.asarray(
                BackgroundRemover().remove(SCENE.picture, "magenta", refine=options[0], foreground=options[1])
            ).astype(np.float32)
            - truth
        )[edge].mean()
        for options in [(True, True), (True, False), (False, False)]
    }
    assert errors[True, True] < 0.7 * errors[True, False] < 0.7 * errors[False, False]
    assert np.abs(over - truth)[~edge].mean() < 3


@pytest.mark.usefixtures("engine")
def test_without_foreground_estimation_the_colours_are_the_pictures() -> None:
    image = BackgroundRemover().remove(SCENE.picture, foreground=False)
    np.testing.assert_array_equal(np.asarray(image)[..., :3], SCENE.picture)


def test_what_was_transparent_stays_transparent(engine: KnownMatte) -> None:
    given = np.full(SCENE.alpha.shape, 255, np.uint8)
    given[:, : SCENE.alpha.shape[1] // 2] = 51
    picture = Image.fromarray(np.dstack((SCENE.picture, given)))
    remover = BackgroundRemover()
    opaque, alpha = remover.matte(engine_picture(remover, engine, picture)), remover.matte(picture)
    np.testing.assert_allclose(alpha, np.minimum(opaque, given / np.float32(255)), atol=1e-6)
    assert 0.19 < alpha[:, : alpha.shape[1] // 2].max() < 0.21
    assert np.asarray(remover.remove(picture))[..., 3].max() == 255


def engine_picture(remover: BackgroundRemover, engine: KnownMatte, picture: Image.Image) -> np.ndarray:
    """The picture as the network saw it."""
    remover.matte(picture)
    return engine.seen[-1]


@pytest.mark.usefixtures("engine")
def test_profile_and_resolution_are_kept() -> None:
    profile = b"\0" * 16 + b"RGB " + b"\0" * 108
    buffer = BytesIO()
    Image.fromarray(SCENE.picture).save(buffer, "PNG", icc_profile=profile, dpi=(300, 300))
    for image in (BackgroundRemover().remove(buffer.getvalue()), BackgroundRemover().remove(buffer.getvalue(), "red")):
        assert image.info["icc_profile"] == profile
        assert image.info["dpi"][0] == pytest.approx(300, abs=0.1)


def test_the_one_liner_loads_a_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[object, ...]] = []

    def load(*choice: object) -> KnownMatte:
        loaded.append(choice)
        return KnownMatte(reduced(blob()))

    monkeypatch.setattr(background, "load_matte_engine", load)
    background._remover.cache_clear()
    for _ in range(2):
        assert remove_background(SCENE.picture).mode == "RGBA"
    assert remove_background(SCENE.picture, background="white", refine=False, precision="fp32").mode == "RGB"
    assert loaded == [("pocket", "auto", precision, None, "original") for precision in ("auto", "fp32")]
    background._remover.cache_clear()


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (5, 7)])
def test_pictures_of_every_shape(size: tuple[int, int]) -> None:
    assert BackgroundRemover().remove(Image.new("L", size, 90)).size == size


@pytest.mark.usefixtures("engine")
def test_bad_pictures_and_backgrounds(tmp_path: Path) -> None:
    remover = BackgroundRemover()
    with pytest.raises(ImageError, match="does not exist"):
        remover.remove(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="neither a colour nor a picture"):
        remover.remove(SCENE.picture, "blurple")


def test_unknown_models() -> None:
    with pytest.raises(ModelError, match="pokcet"):
        BackgroundRemover("pokcet")


@pytest.mark.parametrize("name", ["bus.jpg", "flowers.jpg"])
def test_pocket_on_a_photograph(name: str) -> None:
    remover = BackgroundRemover("pocket")
    assert (remover.name, repr(remover)) == ("pocket", "BackgroundRemover('pocket')")
    with Image.open(ASSETS / name) as photo:
        size = photo.size
    alpha = remover.matte(ASSETS / name)
    assert alpha.shape == size[::-1]
    assert 0 <= alpha.min() <= alpha.max() <= 1
    assert remover.remove(ASSETS / name).size == size
