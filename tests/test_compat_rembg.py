"""rembg's names: programs written for it run, and give what it gives (the goldens are of rembg 2.0.86 itself)."""

import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pytest
from onnx_files import onnx_file
from PIL import Image

from anymask.catalog import find
from anymask.compat import rembg
from anymask.compat.rembg import BaseSession, new_session, remove
from anymask.errors import AnymaskError, ImageError, WeightsError

HERE = Path(__file__).parent
BUS = HERE.parent / "assets" / "bus.jpg"
with Image.open(BUS) as _image:
    SIZE = _image.size
GOLDENS = dict(np.load(HERE / "goldens" / "rembg.npz"))

_about = importlib.util.spec_from_file_location("make_rembg", HERE / "goldens" / "make_rembg.py")
make_rembg = importlib.util.module_from_spec(_about)
_about.loader.exec_module(make_rembg)
PICTURE = make_rembg.picture()


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> BaseSession:
    folder = tmp_path_factory.mktemp("rembg")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANYMASK_HOME", str(folder))
        file = onnx_file(folder / "network.onnx", (320, 320), weights=make_rembg.WEIGHTS, decided=True)
        return new_session("u2net_custom", model_path=str(file))


@pytest.mark.parametrize("case", ["mask", "naive", "putalpha", "colour", "tint"])
def test_results_are_rembgs(session, case):
    found = np.asarray(remove(PICTURE, session=session, **make_rembg.CASES[case]))
    expected = GOLDENS[case]
    assert found.shape == expected.shape and found.dtype == np.uint8
    difference = np.abs(found.astype(int) - expected.astype(int))
    assert difference.max() <= 4 and difference.mean() < 0.7, "bfloat16, and cutting down to whole numbers"


def test_a_hard_mask_is_rembgs(session):
    found = np.asarray(remove(PICTURE, session=session, only_mask=True, post_process_mask=True))
    assert set(np.unique(found)) <= {0, 255}
    assert (found != GOLDENS["hard_mask"]).mean() < 0.02


@pytest.mark.parametrize("case", ["decontaminated", "matting"])
def test_refined_results_are_about_rembgs(session, case):
    """Colours by our estimate, alpha by the same equations: alike where alpha says that there is something to see."""
    if case == "matting":
        pytest.importorskip("pymatting", reason="closed-form matting needs the matting extra")
    found = np.asarray(remove(PICTURE, session=session, **make_rembg.CASES[case])).astype(int)
    expected = GOLDENS[case].astype(int)
    assert found.shape == expected.shape
    assert np.abs(found[..., 3] - expected[..., 3]).mean() < (6 if case == "matting" else 1)
    seen = np.minimum(found[..., 3], expected[..., 3]) > 60
    assert np.abs(found[..., :3] - expected[..., :3])[seen].mean() < 12


# -- Programs as people write them ---------------------------------------------------------------------------------


def test_bytes_in_bytes_out(session):
    output = remove(BUS.read_bytes(), session=session)
    assert isinstance(output, bytes)
    image = Image.open(io.BytesIO(output))
    assert (image.format, image.mode, image.size) == ("PNG", "RGBA", SIZE)


def test_pil_in_pil_out(session):
    with Image.open(BUS) as image:
        output = remove(image, session=session)
    assert isinstance(output, Image.Image) and output.mode == "RGBA"


def test_array_in_array_out(session):
    with Image.open(BUS) as image:
        output = remove(np.asarray(image), session=session)
    assert isinstance(output, np.ndarray) and output.dtype == np.uint8 and output.shape[2] == 4


def test_force_return_bytes(session):
    assert isinstance(remove(BUS.read_bytes(), session=session, force_return_bytes=True), bytes)


def test_one_session_for_a_folder(session, tmp_path):
    for index in range(3):
        PICTURE.save(tmp_path / f"{index}.png")
    for path in sorted(tmp_path.glob("*.png")):
        path.with_suffix(".out.png").write_bytes(remove(path.read_bytes(), session=session))
    results = [path.read_bytes() for path in sorted(tmp_path.glob("*.out.png"))]
    assert len(results) == 3 and results[0] == results[1] == results[2]


def test_the_mask_alone(session):
    output = remove(PICTURE, session=session, only_mask=True)
    assert (output.mode, output.size) == ("L", PICTURE.size)
    assert remove(PICTURE, session=session, only_mask=True, bgcolor=(255, 0, 0, 255)).mode == "L"


def test_the_default_model_without_network_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path))
    monkeypatch.setenv("REMBG_HOME", str(tmp_path))
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.setenv("ANYMASK_OFFLINE", "1")
    with pytest.raises(WeightsError, match="The weights of bria-rmbg could not be downloaded"):
        remove(PICTURE)


def test_anymasks_own_model():
    with Image.open(BUS) as image:
        output = remove(image, session=new_session("pocket"))
    alpha = np.asarray(output)[..., 3]
    assert alpha.max() == 255 and alpha[2, 2] == 0


def test_sam_prompts(monkeypatch):
    """With pocket in SAM's place, whose weights are not here."""
    monkeypatch.setattr(rembg, "Segmenter", lambda name, weights=None: made.append(name) or segmenter)
    from anymask import Segmenter

    made: list[str] = []
    segmenter = Segmenter("pocket", "cpu")
    session = new_session("sam", sam_model="sam_vit_l_0b3195")
    assert made == ["sam_vit_l"]
    prompt = [{"type": "rectangle", "data": [105, 110, 570, 370]}, {"type": "point", "label": 1, "data": [350, 240]}]
    with Image.open(BUS) as image:
        image.load()
    found = [
        np.asarray(remove(image, session=session, only_mask=True, sam_prompt=given))
        for given in (prompt, json.dumps(prompt))
    ]
    assert np.array_equal(*found) and set(np.unique(found[0])) == {0, 255}
    assert found[0][240, 350] == 255 and found[0][20, 20] == 0
    assert remove(image, session=session, only_mask=True).size == SIZE


class Halves(BaseSession):
    """A session of a user's own, with two masks."""

    def predict(self, img, *args, **kwargs):
        left, right = Image.new("L", img.size, 0), Image.new("L", img.size, 0)
        left.paste(255, (0, 0, img.width // 2, img.height))
        right.paste(255, (img.width // 2, 0, img.width, img.height))
        return [left, right]

    @classmethod
    def name(cls, *args, **kwargs):
        return "halves"


def test_a_session_of_ones_own_and_several_masks(monkeypatch):
    monkeypatch.setattr(rembg, "sessions_class", [*rembg.sessions_class, Halves])
    output = remove(PICTURE, session=new_session("halves"))
    assert output.size == (PICTURE.width, 2 * PICTURE.height) and output.mode == "RGBA"
    alpha = np.asarray(output)[..., 3]
    assert alpha[5, 5] == 255 and alpha[5, -5] == 0 and alpha[-5, 5] == 0 and alpha[-5, -5] == 255


@pytest.mark.parametrize("category", ["upper", "lower", "full", "attire", None])
def test_clothes(monkeypatch, category):
    class Clothes:
        spec = find("u2net_cloth_seg")

        def mattes(self, rgb):
            return np.stack([np.tile(np.arange(6) // 2 == index, (4, 1)) for index in range(3)]).astype(np.float32)

    monkeypatch.setattr(rembg, "load_matte_engine", lambda *_, **__: Clothes())
    output = remove(PICTURE, session=new_session("u2net_cloth_seg"), only_mask=True, cc=category)
    alpha = np.asarray(output.convert("RGBA" if category is None else "L"))
    if category is None:
        assert output.size == (PICTURE.width, 3 * PICTURE.height)
    elif category == "attire":
        assert (alpha == 255).all()
    else:
        third = {"upper": 0, "lower": 1, "full": 2}[category]
        columns = np.arange(PICTURE.width) * 3 // PICTURE.width == third
        assert ((alpha == 255) == columns).mean() > 0.97


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "P", "CMYK", "I;16", "1"])
@pytest.mark.parametrize("options", [{}, {"decontaminate": True}, {"putalpha": True}, {"bgcolor": (1, 2, 3, 255)}])
def test_pictures_of_every_mode(session, mode, options):
    img = PICTURE.convert("L").convert("I;16") if mode == "I;16" else PICTURE.convert(mode)
    if (mode, options.get("putalpha")) == ("I;16", True):
        pytest.skip("Pillow itself has no transparency for 16 bits")
    assert remove(img, session=session, **options).size == img.size


def test_turned_pictures_come_out_upright(session):
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    PICTURE.save(buffer, "JPEG", exif=exif)
    assert Image.open(io.BytesIO(remove(buffer.getvalue(), session=session))).size == PICTURE.size[::-1]


def test_what_is_refused(session):
    with pytest.raises(ValueError, match="No session class found for model 'u2nett'") as caught:
        new_session("u2nett")
    assert isinstance(caught.value, AnymaskError)
    with pytest.raises(ValueError, match="needs model_path="):
        new_session("dis_custom")
    with pytest.raises(ValueError, match="is not supported"):
        remove("photo.jpg", session=session)
    with pytest.raises(ImageError, match="no picture that can be read"):
        remove(b"not a picture", session=session)
    with pytest.raises(WeightsError, match="are not at"):
        new_session("u2net_custom", model_path="/nowhere/x.onnx")


def test_every_name_is_there():
    names = {"birefnet-general", "isnet-anime", "u2netp", "silueta", "bria-rmbg", "sam", "ben_custom"}
    assert names <= set(rembg.sessions_names) and rembg.sessions["u2netp"].name() == "u2netp"
    assert all(kind.name() in rembg.sessions for kind in rembg.sessions_class)
