"""`anymask models` and `anymask download`, and a model that is fetched when it is first asked for."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from commandline import Ran, ran
from openvino import Core, Model
from publisher import Publisher, Request, status

from anymask import Segmenter, catalog
from anymask.catalog import ModelEntry, Weights, find
from anymask.errors import WeightsError

POCKET = find("pocket").path / "weights.safetensors"
CONTENT = b"weights" * 10_000
PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    return partial(ran, capsys)


@pytest.fixture
def server() -> Iterator[Publisher]:
    publisher = Publisher(CONTENT)
    yield publisher
    publisher.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (*PROXIES, "ANYMASK_OFFLINE", "ANYMASK_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def published(server: Publisher, home: Path, monkeypatch: pytest.MonkeyPatch) -> ModelEntry:
    """A model of the catalogue, published by the server, not for commercial use."""
    weights = Weights(server.address, "weights.pth", sha256=hashlib.sha256(server.content).hexdigest())
    entry = replace(find("sam_vit_b"), name="tiny", weights=weights, licence="CC BY-NC 4.0", commercial=False)
    monkeypatch.setitem(catalog._catalogue(), "tiny", entry)
    return entry


def test_download_says_where_and_under_which_licence(run, published, server):
    first = run("download", "tiny")
    assert first.code == 0 and first.out == ""
    assert first.err.splitlines() == [
        f"Downloading tiny: 375 MB to {published.path}",
        f"{published.path}: tiny, verified; licence: CC BY-NC 4.0, not for commercial use",
    ]
    assert published.path.read_bytes() == CONTENT
    again = run("download", "tiny")
    assert again.code == 0
    assert again.err == (
        f"{published.path}: tiny, there already, verified; licence: CC BY-NC 4.0, not for commercial use\n"
    )
    assert len(server.asked) == 1


def test_several_and_what_ships(run, published):
    done = run("download", "pocket", "tiny")
    assert done.code == 0
    assert f"{find('pocket').path}: pocket, ships with anymask; licence: Apache-2.0\n" in done.err
    assert published.path.exists()


def test_an_unknown_name_is_refused_before_anything_is_fetched(run, published, server):
    refused = run("download", "tiny", "tinny")
    assert refused.code == 2 and "'tinny'; did you mean tiny" in refused.err
    assert server.asked == []


def test_failures_are_one_sentence(run, published, server, home, monkeypatch):
    server.answers = [status(404)]
    failed = run("download", "tiny")
    assert failed.code == 2
    assert failed.err.startswith("anymask: The weights of tiny could not be downloaded (the server answered 404")
    server.content = b"something else"
    assert "is not the published file and was deleted" in run("download", "tiny").err
    monkeypatch.setenv("ANYMASK_OFFLINE", "1")
    offline = run("download", "tiny")
    assert offline.code == 2
    for part in (server.address, str(home / "weights"), "the model pocket"):
        assert part in offline.err
    assert len(server.asked) == 2


def test_a_damaged_file_in_the_folder_is_refused(run, published):
    published.path.parent.mkdir(parents=True)
    published.path.write_bytes(b"cut")
    assert "is not the published checkpoint of tiny" in run("download", "tiny").err


def test_ctrl_c_keeps_what_came(server, home):
    """An official name, at a mirror that stalls half-way and, as turns out in the end, has another file."""
    server.answers = [Request.stall]
    command = [sys.executable, "-m", "anymask", "download", "sam_vit_b"]
    environment = {**os.environ, "ANYMASK_MIRROR": server.root}
    part, half = home / "weights" / "sam_vit_b_01ec64.pth.part", len(CONTENT) // 2
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (part.exists() and part.stat().st_size):
            server.over.wait(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert part.stat().st_size <= half
    came = part.stat().st_size
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 2 and "sam_vit_b (70000 bytes) is not the published file and was deleted" in again.stderr
    assert server.firsts == [0, came]
    assert [path.name for path in part.parent.iterdir()] == [".sam_vit_b_01ec64.pth.lock"]


def test_the_table_of_models(run, published, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = run("models").out.splitlines()
    assert lines[0].split() == ["name", "size", "licence", "commercial", "installed"]
    assert all(len(line) <= 80 for line in lines)
    rows = {line.split()[0]: line for line in lines[2:]}
    assert list(rows) == [entry.name for entry in catalog.models()], "a line for each"
    assert rows["sam_vit_b"].split() == ["sam_vit_b", "375.0", "MB", "Apache-2.0", "yes", "no"]
    assert rows["tiny"].split()[-2:] == ["no", "no"]
    assert rows["pocket"].split()[-2:] == ["yes", "yes"]
    monkeypatch.setenv("COLUMNS", "200")
    wide = run("models").out
    assert find("sam_vit_b").description in wide
    assert "prompts, subject" in wide


def test_models_by_licence_and_presence(run, published):
    def names(*options: str) -> list[str]:
        return [entry["name"] for entry in json.loads(run("models", "--json", *options).out)]

    assert "tiny" in names() and "tiny" not in names("--commercial")
    copyleft = ["fastsam_s", "fastsam_x"]
    assert names("--non-commercial") == [*copyleft, "isnet-general-use", "bria-rmbg", "rmbg-1.4", "tiny"]
    assert [row["name"] for row in json.loads(run("models", "--json").out) if row["copyleft"]] == copyleft
    assert "copyleft" in run("models", "--family", "fastsam").out
    assert names("--installed") == ["pocket"]
    run("download", "tiny")
    assert names("--installed") == ["pocket", "tiny"]
    assert "tiny" not in names("--missing")
    assert names("--family", "mobile_sam") == ["mobile_sam"]
    assert {"u2net", "pocket"} <= set(names("--finds", "subject")) and "sam_vit_b" not in names("--finds", "subject")
    assert run("models", "--finds", "cats").err == "anymask: Models find prompts, subject, edges, not 'cats'.\n"


def test_json_says_what_the_table_says(run, home):
    found = json.loads(run("models", "--json", "--family", "sam").out)
    assert [entry["name"] for entry in found] == ["sam_vit_b", "sam_vit_l", "sam_vit_h"]
    assert found[0].keys() >= {"name", "family", "licence", "commercial", "bytes", "installed", "description"}
    assert (found[0]["bytes"], found[0]["installed"]) == (375042383, False)


def test_a_segmenter_offline_says_what_to_do(home, monkeypatch):
    monkeypatch.setenv("ANYMASK_OFFLINE", "1")
    with pytest.raises(WeightsError, match="use the model pocket") as caught:
        Segmenter("sam_vit_b", device="cpu")
    assert find("sam_vit_b").weights.address in str(caught.value)
    assert str(home / "weights") in str(caught.value)


@pytest.mark.slow
def test_a_segmenter_fetches_its_model_once(server, home, monkeypatch, capsys):
    """pocket's own weights, as if they were published; for half a minute's conversion stand the graphs on board."""
    pytest.importorskip("torch", reason="checkpoints need the torch extra")

    def on_board(spec: ModelEntry, parts: object) -> Iterator[tuple[str, Model]]:
        for xml in sorted(POCKET.parent.glob("*.xml")):
            yield xml.stem, Core().read_model(xml, POCKET)

    monkeypatch.setattr("anymask.runtime.convert.convert_parts", on_board)
    server.content = POCKET.read_bytes()
    weights = Weights(server.address, "weights.pth", sha256=hashlib.sha256(server.content).hexdigest())
    entry = replace(find("pocket"), name="far", bundled="", weights=weights)
    monkeypatch.setitem(catalog._catalogue(), "far", entry)
    Segmenter("far", device="cpu")
    size = f"{entry.bytes / 1e6:.0f} MB"
    assert capsys.readouterr().err.splitlines()[0] == f"Downloading far: {size} to {entry.path}"
    Segmenter("far", device="cpu")
    assert capsys.readouterr().err == ""
    assert len(server.asked) == 1
