"""rembg's /api/remove: its clients' requests, held against rembg's own names in Python; and what it must not do."""

import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import httpx2 as httpx
import numpy as np
import pytest
from onnx_files import onnx_file
from PIL import Image
from publisher import Publisher, status

pytest.importorskip("fastapi", reason="the server needs the serve extra")

import uvicorn

from anymask import Segmenter
from anymask.compat import rembg
from anymask.errors import AnymaskError, ImageError, ModelError
from anymask.server.app import create_app
from anymask.server.errors import Forbidden, RequestError, TooLarge
from anymask.server.fetching import fetch
from anymask.server.models import Models
from anymask.server.routes import remove as route
from anymask.server.settings import Settings

ASSETS = Path(__file__).parents[1] / "assets"
BUS = (ASSETS / "bus.jpg").read_bytes()


@contextmanager
def serving(settings: Settings) -> Iterator[httpx.Client]:
    """A client of a server with these settings, in a thread."""
    config = uvicorn.Config(create_app(settings), log_config=None, access_log=False, ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANYMASK_HOME", str(folder))
        patch.setenv("ANYMASK_OFFLINE", "1")
        yield folder


@pytest.fixture(scope="module")
def network(home) -> Path:
    """What is red is the subject."""
    return onnx_file(home / "network.onnx", (320, 320), weights=(9.0, -4.0, -6.0), decided=True)


@pytest.fixture(scope="module")
def settings(network) -> Settings:
    return Settings(
        models=("pocket", "u2netp", "u2net_custom"), weights={"u2netp": network, "u2net_custom": network}, device="cpu"
    )


@pytest.fixture(scope="module")
def client(settings) -> Iterator[httpx.Client]:
    with serving(settings) as client:
        yield client


@pytest.fixture(scope="module")
def sessions(network) -> dict[str, rembg.BaseSession]:
    """The same models as rembg's sessions."""
    return {
        "pocket": rembg.new_session("pocket"),
        **{name: rembg.new_session(name, model_path=str(network)) for name in ("u2netp", "u2net_custom")},
    }


def post(
    client: httpx.Client, data: bytes = BUS, /, params=None, name: str = "bus.jpg", **fields: str
) -> httpx.Response:
    return client.post("/api/remove", params=params, data=fields, files={"file": (name, data)})


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def picture(answer: httpx.Response) -> np.ndarray:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    return pixels(answer.content)


def refusal(answer: httpx.Response, code: int) -> str:
    assert answer.status_code == code, answer.text
    sentence = answer.json()["error"]
    assert sentence.endswith((".", "?")) and "\n" not in sentence
    return sentence


# -- Results -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["pocket", "u2netp", "u2net_custom"])
@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({}, {}),
        ({"om": "true"}, {"only_mask": True}),
        ({"om": "1", "ppm": "yes"}, {"only_mask": True, "post_process_mask": True}),
        ({"dc": "on"}, {"decontaminate": True}),
        ({"bgc": "10,200,30,255"}, {"bgcolor": (10, 200, 30, 255)}),
        ({"bgc": "10, 200, 30, 100", "ppm": "True"}, {"bgcolor": (10, 200, 30, 100), "post_process_mask": True}),
        ({"extras": '{"putalpha": true}'}, {"putalpha": True}),
        ({"a": "false", "om": "0", "bgc": "", "extras": ""}, {}),
    ],
    ids=lambda value: "-".join(value) or "plain",
)
def test_results_are_those_of_rembgs_names(client, sessions, model, parameters, options):
    found = picture(post(client, model=model, **parameters))
    expected = pixels(rembg.remove(BUS, session=sessions[model], **options))
    assert found.shape == expected.shape and np.array_equal(found, expected)


def test_alpha_matting_with_its_thresholds(client, sessions):
    pytest.importorskip("pymatting", reason="closed-form matting needs the matting extra")
    small = io.BytesIO()
    Image.open(io.BytesIO(BUS)).resize((160, 107)).save(small, "PNG")
    found = picture(post(client, small.getvalue(), a="true", af="230", ab="20", ae="3"))
    options = {
        "alpha_matting_foreground_threshold": 230,
        "alpha_matting_background_threshold": 20,
        "alpha_matting_erode_size": 3,
    }
    expected = rembg.remove(small.getvalue(), session=sessions["pocket"], alpha_matting=True, **options)
    assert np.array_equal(found, pixels(expected))
    plain = picture(post(client, small.getvalue(), a="true", af="250", ab="2", ae="15"))
    assert not np.array_equal(found, plain)


def test_the_default_model_is_the_servers(client, sessions):
    assert np.array_equal(picture(post(client)), pixels(rembg.remove(BUS, session=sessions["pocket"])))


def test_parameters_are_heard_in_the_query_and_in_the_form(client, sessions):
    """Issue 208 of rembg: parameters in the address of a POST had no effect."""
    mask = pixels(rembg.remove(BUS, session=sessions["u2netp"], only_mask=True))
    asked = {"om": "true", "model": "u2netp"}
    for answer in (
        post(client, params=asked),
        post(client, **asked),
        post(client, params={"om": "true"}, model="u2netp"),
        post(client, params={"om": "false", "model": "pocket"}, **asked),
    ):
        assert np.array_equal(picture(answer), mask)


def test_a_turned_picture_comes_out_upright(client):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = io.BytesIO()
    Image.open(io.BytesIO(BUS)).save(turned, "JPEG", exif=exif)
    assert picture(post(client, turned.getvalue(), om="1")).shape == (640, 427)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "LAB", "YCbCr"])
@pytest.mark.parametrize("parameters", [{}, {"dc": "1"}, {"extras": '{"putalpha": true}'}, {"bgc": "1,2,3,255"}])
def test_pictures_of_every_mode(client, sessions, mode, parameters):
    small = Image.open(io.BytesIO(BUS)).resize((64, 48))
    made = small.convert("L").convert("I;16") if mode == "I;16" else small.convert("L" if mode in "IF" else "RGB")
    if mode == "LAB":
        from PIL import ImageCms

        space = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        made = ImageCms.applyTransform(made, ImageCms.buildTransform(space[1], space[0], "RGB", "LAB"))
    elif mode != "I;16":
        made = made.convert(mode)
    buffer = io.BytesIO()
    made.save(buffer, "TIFF")
    answer = post(client, buffer.getvalue(), name="a.tif", **parameters)
    if mode == "LAB" and answer.status_code == 400:
        assert "mode LAB cannot be cut out" in refusal(answer, 400)
    else:
        assert picture(answer).shape[:2] == (48, 64)


def test_a_model_is_in_memory_once(settings):
    models = Models(settings)
    first, second = (route.session_of(models, models.entry("u2netp", "matte")) for _ in range(2))
    assert first.engine.network is second.engine.network is models.remover("u2netp").engine.network
    assert route.session_of(models, models.entry("pocket", "matte")).engine is models.remover("pocket").engine


# -- Segment Anything ----------------------------------------------------------------------------------------------

MARKS = [{"type": "rectangle", "data": [105, 110, 570, 370]}, {"type": "point", "label": 1, "data": [350, 240]}]


@pytest.mark.parametrize("given", [MARKS, json.dumps(MARKS), [], None], ids=["list", "text", "empty", "none"])
def test_sam_prompts(given):
    """With pocket in SAM's place, whose weights are not here."""
    segmenter = Segmenter("pocket", "cpu")
    models = SimpleNamespace(remover=lambda name: SimpleNamespace(engine=None), segmenter=lambda name: segmenter)
    values = {"model": "sam", "om": "1"} | ({} if given is None else {"extras": json.dumps({"sam_prompt": given})})
    asked = route.asked_of(values)
    mask = pixels(route.cut_out(models, segmenter.spec, asked, io.BytesIO(BUS), 10**9))
    if given:
        expected = segmenter.encode(ASSETS / "bus.jpg").predict(points=[(350, 240)], box=(105, 110, 570, 370)).best
        assert np.array_equal(mask > 0, expected.array[0])
    assert mask.shape == (427, 640) and set(np.unique(mask)) == {0, 255}


def test_sam_is_the_checkpoint_that_extras_name():
    models = Models(Settings(models=("pocket", "sam_vit_b", "sam_vit_l")))
    named = route.asked_of({"model": "sam", "extras": '{"sam_model": "sam_vit_l_0b3195", "sam_quant": true}'})
    assert route.entry_of(models, named).name == "sam_vit_l"
    assert route.entry_of(models, route.asked_of({"model": "sam"})).name == "sam_vit_b"
    with pytest.raises(Forbidden, match="does not offer sam_vit_h"):
        route.entry_of(models, route.asked_of({"model": "sam", "extras": '{"sam_model": "sam_vit_h_4b8939"}'}))
    with pytest.raises(ModelError, match="There is no model called"):
        route.entry_of(models, route.asked_of({"model": "sam", "extras": '{"sam_model": "../../etc/passwd"}'}))


# -- What is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["u2net", "bria-rmbg", "sam", "birefnet-general"])
def test_models_that_the_server_was_not_started_with(client, model):
    assert "does not offer" in refusal(post(client, model=model), 403)


def test_models_that_do_not_exist(client):
    assert "There is no model called '/etc/passwd'" in refusal(post(client, model="/etc/passwd"), 400)


def test_vitmatte_is_a_model_too(client):
    assert "does not offer vitmatte-small" in refusal(post(client, vm="true"), 403)
    assert "There is no model" in refusal(post(client, vm="true", extras='{"vitmatte_model": "../x"}'), 400)


@pytest.mark.parametrize(
    "extras",
    [
        {"model_path": "/etc/passwd"},
        {"model_path": "u2net.onnx", "putalpha": True},
        {"api_key": "secret"},
        {"session": 1},
        {"data": "x"},
        {"only_mask": True},
        {"sess_opts": {}},
        {"providers": [["CUDAExecutionProvider", {"device_id": 0}]]},
        {"providers": ["/usr/lib/evil.soExecutionProvider"]},
        {"providers": "CPUExecutionProvider"},
        {"cc": ["upper"]},
        {"sam_model": {"a": 1}},
        {"vitmatte_model": 7},
        {"putalpha": "yes"},
    ],
    ids=json.dumps,
)
def test_extras_name_nothing_of_the_servers(client, extras):
    for answer in (post(client, extras=json.dumps(extras)), post(client, params={"extras": json.dumps(extras)})):
        refusal(answer, 400)


@pytest.mark.parametrize(
    "extras", ["{", "[]", "7", "null", '"x"', "[" * 60_000, '{"a": ' * 9000, json.dumps({"cc": "x" * 70_000})]
)
def test_extras_that_are_no_object(client, extras):
    assert "is a JSON object" in refusal(post(client, extras=extras), 400)


def test_extras_that_mean_nothing_here_do_no_harm(client):
    extras = {"providers": ["CPUExecutionProvider"], "sam_quant": True, "cc": "upper", "sam_prompt": "[]"}
    assert picture(post(client, extras=json.dumps(extras))).shape == (427, 640, 4)


@pytest.mark.parametrize(
    "marks",
    [
        "{",
        {"type": "point"},
        ["point"],
        [{"type": "circle", "data": [1, 2], "label": 1}],
        [{"type": "point", "data": [1, 2]}],
        [{"type": "point", "data": [1, 2], "label": 7}],
        [{"type": "point", "data": [1], "label": 1}],
        [{"type": "point", "data": [1, "2"], "label": 1}],
        [{"type": "point", "data": [1, 1e30], "label": 1}],
        [{"type": "point", "data": [1, float("nan")], "label": 1}],
        [{"type": "rectangle", "data": [1, 2, 3]}],
        [{"type": "rectangle", "data": [1, 2, 3, 4]}] * 1001,
        "[" * 50_000,
    ],
    ids=lambda marks: str(marks)[:40],
)
def test_sam_prompts_that_are_none(client, marks):
    assert "sam_prompt in extras is a list such as" in refusal(
        post(client, extras=json.dumps({"sam_prompt": marks})), 400
    )


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"a": "perhaps"}, "The parameter a is true or false, not 'perhaps'."),
        ({"om": "2"}, "The parameter om is true or false"),
        ({"af": "256"}, "The parameter af is a whole number from 0 to 255, not '256'."),
        ({"ab": "-1"}, "The parameter ab is a whole number"),
        ({"ae": "1e9"}, "The parameter ae is a whole number"),
        ({"ae": "99999999999"}, "The parameter ae is a whole number from 0 to 1000"),
        ({"a": "1", "af": "5", "ab": "200"}, "background not above foreground"),
        ({"bgc": "red"}, "The parameter bgc is red,green,blue,alpha"),
        ({"bgc": "1,2,3"}, "The parameter bgc is red,green,blue,alpha"),
        ({"bgc": "1,2,3,256"}, "each from 0 to 255"),
    ],
)
def test_parameters_that_cannot_be(client, parameters, sentence):
    assert sentence in refusal(post(client, **parameters), 400)


@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        (b"", 400, "is empty"),
        (b"not a picture", 400, "in no format that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", 400, "in no format that can be read"),
        (BUS[: len(BUS) // 2], 400, "is damaged"),
    ],
)
def test_files_that_are_no_pictures(client, data, code, sentence):
    assert sentence in refusal(post(client, data), code)


def test_forms_without_a_picture(client):
    for answer in (
        client.post("/api/remove"),
        client.post("/api/remove", content=BUS, headers={"Content-Type": "image/jpeg"}),
        client.post("/api/remove", data={"file": "bus.jpg"}),
        client.post("/api/remove", data={"file": "bus.jpg"}, files={"other": BUS}),
        client.post("/api/remove", content=b"x", headers={"Content-Type": "multipart/form-data"}),
        client.post("/api/remove", content=b"x", headers={"Content-Type": "multipart/form-data; boundary=y"}),
    ):
        refusal(answer, 400)


def test_pictures_beyond_the_limits(settings):
    with serving(replace(settings, max_pixels=100_000, max_upload=1 << 20)) as client:
        assert "more than the 100000 pixels allowed" in refusal(post(client), 413)
        assert "larger than" in refusal(post(client, bytes(3 << 20)), 413)


# -- By address ----------------------------------------------------------------------------------------------------


def test_addresses_are_not_fetched_unless_the_server_was_told_so(client):
    with_url = client.get("/api/remove", params={"url": "http://127.0.0.1/"})
    assert "This server fetches no pictures" in refusal(with_url, 403)
    refusal(client.get("/api/remove"), 403)


@pytest.fixture(scope="module")
def fetching(settings) -> Iterator[httpx.Client]:
    with serving(replace(settings, fetch_urls=True, max_upload=1 << 20)) as client:
        yield client


@pytest.fixture
def publisher(monkeypatch) -> Iterator[Publisher]:
    """A server that may be asked although it is on this machine."""
    publisher = Publisher(BUS)
    here = {"ports": frozenset({publisher.server_port}), "allowed": lambda address: str(address) == "127.0.0.1"}
    monkeypatch.setattr(route, "fetch", lambda url, rules: fetch(url, replace(rules, **here)))
    yield publisher
    publisher.close()


def test_a_picture_at_an_address(fetching, publisher, sessions):
    parameters = {"url": f"{publisher.root}/bus.jpg?size=5", "model": "u2netp", "bgc": "1,2,3,255"}
    found = picture(fetching.get("/api/remove", params=parameters))
    assert np.array_equal(found, pixels(rembg.remove(BUS, session=sessions["u2netp"], bgcolor=(1, 2, 3, 255))))
    assert publisher.asked[0].path == "/bus.jpg?size=5"


def test_addresses_that_give_no_picture(fetching, publisher):
    def asked(url: str, code: int, **more: str) -> str:
        return refusal(fetching.get("/api/remove", params={"url": url, **more}), code)

    publisher.answers = [status(404), status(302, Location="http://127.0.0.2/")]
    assert "answered 404" in asked(publisher.root, 400)
    assert "redirect" not in asked(publisher.root, 400)
    publisher.content = b"<html>"
    assert "in no format" in asked(publisher.root, 400)
    publisher.content = bytes(2 << 20)
    assert "more than the 1048576 bytes allowed" in asked(publisher.root, 400)
    assert len(publisher.asked) == 4
    # What is wrong with the request is said before anybody is asked.
    assert "does not offer" in asked(publisher.root, 403, model="u2net")
    assert "true or false" in asked(publisher.root, 400, a="x")
    assert "missing" in refusal(fetching.get("/api/remove"), 400)
    assert len(publisher.asked) == 4


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "[::ffff:10.0.0.1]"])
def test_nothing_inside_is_asked(fetching, host):
    url = quote(f"http://{host}/latest/meta-data/", safe="")
    assert "is not on the public internet" in refusal(fetching.get(f"/api/remove?url={url}"), 400)


# -- Without HTTP --------------------------------------------------------------------------------------------------


def test_errors_are_of_the_family(settings):
    models = Models(settings)
    entry = models.entry(None, "matte")
    for data, limit, kind in ((b"", 10**9, ImageError), (BUS, 1000, TooLarge)):
        with pytest.raises(kind) as caught:
            route.cut_out(models, entry, route.asked_of({}), io.BytesIO(data), limit)
        assert isinstance(caught.value, AnymaskError)
    with pytest.raises(RequestError, match="is a JSON object"):
        route.asked_of({"extras": "no"})
