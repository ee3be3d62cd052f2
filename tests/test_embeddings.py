"""`EncodedImage.save` and `load`: the same masks to the last bit, and a sentence for whatever is not such a file."""

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import anymask
from anymask import embeddings
from anymask.errors import ImageError, WeightsError
from anymask.segmenter import EncodedImage

ASSETS = Path(__file__).parents[1] / "assets"
BUS = ASSETS / "bus.jpg"


@pytest.fixture(scope="module")
def segmenter() -> anymask.Segmenter:
    return anymask.Segmenter("pocket", device="cpu")


@pytest.fixture(scope="module")
def bus(segmenter: anymask.Segmenter) -> EncodedImage:
    return segmenter.encode(BUS)


@pytest.fixture
def stored(bus: EncodedImage, tmp_path: Path) -> Path:
    bus.save(tmp_path / "bus.embedding")
    return tmp_path / "bus.embedding"


def test_masks_are_the_same_to_the_last_bit(segmenter: anymask.Segmenter, bus: EncodedImage, stored: Path) -> None:
    again = EncodedImage.load(stored, segmenter)
    assert (again.width, again.height, again.placement) == (640, 427, bus.placement)
    first = bus.predict(points=[(400, 220)], box=(120, 110, 570, 320), multimask=True)
    second = again.predict(points=[(400, 220)], box=(120, 110, 570, 320), multimask=True)
    assert np.array_equal(first.logits, second.logits)
    assert np.array_equal(first.scores, second.scores)
    found = again.everything(points_per_side=4)
    assert found.rles() == bus.everything(points_per_side=4).rles()
    assert sorted(path.name for path in stored.parent.iterdir()) == [stored.name]


def test_a_crop_stays_where_it_is(segmenter: anymask.Segmenter, bus: EncodedImage, tmp_path: Path) -> None:
    part = bus.crop((100, 50, 500, 400))
    part.save(tmp_path / "part.npz")
    again = EncodedImage.load(tmp_path / "part.npz", segmenter)
    assert again.placement == part.placement
    assert np.array_equal(again.predict(points=[(300, 200)]).array, part.predict(points=[(300, 200)]).array)


def test_the_picture_is_asked_for_where_it_is_needed(segmenter: anymask.Segmenter, stored: Path) -> None:
    without = EncodedImage.load(stored, segmenter)
    for needs_it in (
        lambda: without.rgb,
        lambda: without.crop((0, 0, 99, 99)),
        lambda: without.everything(points_per_side=2, crop_n_layers=1),
    ):
        with pytest.raises(ImageError, match=r"give it to EncodedImage\.load\(\.\.\., picture=\.\.\.\)"):
            needs_it()
    having = EncodedImage.load(stored, segmenter, picture=BUS)
    options = {"points_per_side": 2, "crop_n_layers": 1, "pred_iou_thresh": 0.3}
    assert having.everything(**options).rles() == segmenter.encode(BUS).everything(**options).rles()


def test_another_picture_is_refused_also_after_saving_again(segmenter: anymask.Segmenter, stored: Path) -> None:
    EncodedImage.load(stored, segmenter).save(stored)
    for other in (ASSETS / "street.jpg", np.zeros((427, 640, 3), np.uint8)):
        with pytest.raises(ImageError, match="is not the one of 640 x 427 pixels"):
            EncodedImage.load(stored, segmenter, picture=other)
    assert EncodedImage.load(stored, segmenter, picture=BUS).rgb.shape == (427, 640, 3)


def changed(path: Path, **fields: object) -> Path:
    """The file with something else said of where it comes from."""
    with np.load(path) as arrays:
        content = dict(arrays)
    content["origin"] = np.array(json.dumps({**json.loads(str(content["origin"])), **fields}))
    with path.open("wb") as file:
        np.savez(file, **content)
    return path


def test_features_of_another_model_or_other_weights(segmenter: anymask.Segmenter, stored: Path) -> None:
    with pytest.raises(WeightsError, match="was encoded by pocket with other weights; encode the picture again"):
        EncodedImage.load(changed(stored, weights="0" * 64), segmenter)
    with pytest.raises(WeightsError, match="was encoded by sam_vit_b; pocket cannot read its features"):
        EncodedImage.load(changed(stored, model="sam_vit_b"), segmenter)
    with pytest.raises(WeightsError, match="another version of anymask"):
        EncodedImage.load(changed(stored, format=embeddings.FORMAT + 1), segmenter)


def test_the_fingerprint_is_of_the_weights_file(segmenter: anymask.Segmenter, tmp_path: Path) -> None:
    assert len(segmenter.fingerprint) == 64
    assert segmenter.fingerprint == anymask.Segmenter("pocket", precision="fp32").fingerprint
    for file in segmenter.spec.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    copy = anymask.Segmenter("pocket", weights=tmp_path)
    assert copy.fingerprint == segmenter.fingerprint


def test_damaged_files(segmenter: anymask.Segmenter, stored: Path) -> None:
    whole = stored.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for data in (b"", whole[: len(whole) // 2], whole[:-30], bytes(flipped), b"PK\x03\x04" + bytes(200), b"text"):
        stored.write_bytes(data)
        with pytest.raises(ImageError, match=r"is damaged, or not a file that EncodedImage\.save wrote"):
            EncodedImage.load(stored, segmenter)


def test_other_files(segmenter: anymask.Segmenter, tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.zeros(4))
    np.savez(tmp_path / "arrays.npz", masks=np.zeros((1, 4, 4)))
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"features_0": 1}))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("read.me", "hello")
    for path in [*tmp_path.iterdir(), BUS]:
        with pytest.raises(ImageError, match=r"is damaged, or not a file that EncodedImage\.save wrote"):
            EncodedImage.load(path, segmenter)
    with pytest.raises(ImageError, match=r"none\.npz cannot be read \(No such file or directory\)"):
        EncodedImage.load(tmp_path / "none.npz", segmenter)


def test_nothing_is_executed(segmenter: anymask.Segmenter, tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", origin=np.array([print], dtype=object))
    with pytest.raises(ImageError, match="is damaged"):
        EncodedImage.load(tmp_path / "evil.npz", segmenter)


def test_a_place_that_cannot_be_written(bus: EncodedImage, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be written"):
        bus.save(tmp_path / "no" / "such" / "folder.npz")
