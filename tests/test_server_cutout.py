"""Cut-outs over HTTP, against the same made by the package itself."""

import io
import zipfile
from typing import Any

import numpy as np
import pytest
from PIL import Image
from served import ASSETS, BUS, sent
from starlette.testclient import TestClient

import anymask
from anymask import rle
from anymask.finishing import crop_to_subject

BOX = (100.0, 80.0, 560.0, 350.0)


@pytest.fixture(scope="module")
def remover() -> anymask.BackgroundRemover:
    return anymask.BackgroundRemover("pocket")


def cut(server: TestClient, picture: str, **body: Any) -> Image.Image:
    answer = server.post(f"/api/pictures/{picture}/cutout", json=body)
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(answer.content))
    image.load()
    assert answer.headers["content-type"] == Image.MIME[str(image.format)]
    return image


def alike(first: Image.Image, second: Image.Image) -> bool:
    """To two levels: how sums are rounded depends on how many threads share the work, and a server has others."""
    if first.mode != second.mode or first.size != second.size:
        return False
    return bool(np.abs(np.asarray(first).astype(int) - np.asarray(second)).max() <= 2)


def test_the_subject(server: TestClient, bus: str, remover: anymask.BackgroundRemover) -> None:
    assert alike(cut(server, bus), remover.remove(BUS))
    assert alike(cut(server, bus, background="#f2c14e"), remover.remove(BUS, "#f2c14e"))
    assert alike(cut(server, bus, background="blur"), remover.remove(BUS, "blur"))
    assert alike(cut(server, bus, edges="none", foreground=False), remover.remove(BUS, refine=False, foreground=False))
    matte = np.asarray(cut(server, bus, mask_only=True))
    assert np.abs(matte / 255 - remover.matte(BUS)).max() < 0.003


def test_a_picture_as_its_background(server: TestClient, bus: str, remover: anymask.BackgroundRemover) -> None:
    flowers = (ASSETS / "flowers.jpg").read_bytes()
    behind = sent(server, flowers)
    assert alike(cut(server, bus, background={"picture": behind}), remover.remove(BUS, flowers))


def test_what_is_pointed_at(server: TestClient, bus: str, remover: anymask.BackgroundRemover) -> None:
    found = cut(server, bus, prompt={"box": BOX})
    expected = remover.remove(BUS, prompt=anymask.Prompt(box=BOX))
    assert np.abs(np.asarray(found).astype(int) - np.asarray(expected)).max() <= 2


def test_what_was_drawn(server: TestClient, bus: str) -> None:
    drawn = np.zeros((2, 427, 640), bool)
    drawn[0, 100:300, 100:250] = True
    drawn[1, 150:350, 400:560] = True
    masks = [rle.compress(rle.encode(one)) for one in drawn]
    alpha = np.asarray(cut(server, bus, masks=masks, mask_only=True)) > 127
    whole = drawn.any(axis=0)
    assert (alpha & whole).sum() / (alpha | whole).sum() > 0.9
    # Without refinement it is the masks, but for the grid that they are reduced to.
    plain = np.asarray(cut(server, bus, masks=masks, mask_only=True, edges="none")) > 127
    assert (plain & whole).sum() / (plain | whole).sum() > 0.98


def test_a_preview_is_the_result_but_smaller(server: TestClient, bus: str) -> None:
    drawn = np.zeros((427, 640), bool)
    drawn[100:300, 100:250] = True
    points = {"points": [(320, 200), (20, 20)], "labels": [1, 0]}
    for what in ({"masks": [rle.compress(rle.encode(drawn))]}, {"prompt": {"box": BOX}}, {"prompt": points}):
        whole = cut(server, bus, mask_only=True, **what)
        small = cut(server, bus, mask_only=True, max=320, **what)
        assert small.size == (320, 214)
        expected = np.asarray(whole.resize(small.size, Image.Resampling.BOX)).astype(int)
        assert np.abs(expected - np.asarray(small)).mean() < 4


def test_finishing(server: TestClient, bus: str, remover: anymask.BackgroundRemover) -> None:
    cropped = cut(server, bus, crop=True, margin="8%")
    assert alike(cropped, crop_to_subject(remover.cutout(BUS), 0.08).image())
    squared = cut(server, bus, crop=True, pad="square", shadow=True, outline="2%:red", format="webp")
    assert squared.width == squared.height
    assert squared.format == "WEBP"
    assert max(cut(server, bus, max=200).size) == 200


def test_each_subject_in_a_zip(server: TestClient, bus: str, remover: anymask.BackgroundRemover) -> None:
    answer = server.post(f"/api/pictures/{bus}/cutout", json={"each": True})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        expected = remover.cutouts(BUS)
        assert archive.namelist() == [f"{name}.png" for name in expected]
        first = Image.open(io.BytesIO(archive.read("1.png")))
        assert alike(first, expected["1"].image())


def test_the_format_that_is_accepted(server: TestClient, bus: str) -> None:
    for kind in ("image/webp", "image/jpeg", "image/png"):
        answer = server.post(f"/api/pictures/{bus}/cutout", json={}, headers={"Accept": f"text/html, {kind};q=0.9"})
        assert answer.headers["content-type"] == kind
        assert Image.MIME[str(Image.open(io.BytesIO(answer.content)).format)] == kind


def test_in_one_request(server: TestClient, remover: anymask.BackgroundRemover) -> None:
    form = {"options": '{"background": "white", "format": "png"}'}
    answer = server.post("/api/cutout", files={"file": ("bus.jpg", BUS)}, data=form)
    assert answer.status_code == 200, answer.text
    assert alike(Image.open(io.BytesIO(answer.content)), remover.remove(BUS, "white"))
    assert server.post("/api/cutout", content=BUS).status_code == 400
    assert server.post("/api/cutout", files={"file": ("bus.jpg", BUS)}, data={"options": "{"}).status_code == 422
    assert server.post("/api/cutout", files={"file": ("bus.jpg", b"no")}).status_code == 400


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"background": "/etc/hostname"}, 400, "no colour"),
    ({"background": "assets/bus.jpg"}, 400, "no colour"),
    ({"background": {"picture": "nothing"}}, 404, "no picture"),
    ({"edges": "sharp"}, 400, "refinement"),
    ({"edges": "vitmatte"}, 403, "does not offer"),
    ({"format": "exe"}, 400, "cannot be written"),
    ({"margin": "lots", "crop": True}, 400, "share"),
    ({"pad": "round"}, 400, "shape"),
    ({"bgcolor": [1, 2, 3, 400]}, 400, "0 to 255"),
    ({"classes": ["upper"]}, 400, "knows no classes"),
    ({"preprocessing": "magic"}, 400, "preprocessing"),
    ({"model": "u2net"}, 403, "does not offer"),
    ({"background": "blur", "crop": True}, 400, "blurred and cropped"),
    ({"prompt": {"points": [[9999, 1]]}}, 400, "outside"),
    ({"each": True, "prompt": {"points": [[9, 9]]}}, 400, "each"),
    ({"masks": [{"size": [427, 640], "counts": [5, 5]}]}, 400, "cannot be read"),
    ({"masks": [{"size": [10, 10], "counts": [100]}]}, 400, "has 10 x 10 pixels"),
    ({"masks": [], "edges": "fast"}, 422, "masks"),
    ({"quality": 500}, 422, "quality"),
]


@pytest.mark.parametrize(("body", "status", "said"), BAD)
def test_what_cannot_be_is_said(server: TestClient, bus: str, body: dict[str, Any], status: int, said: str) -> None:
    answer = server.post(f"/api/pictures/{bus}/cutout", json=body)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
