"""`anymask serve` as a process of its own: its start, its end, and what it goes through in between."""

import asyncio
import io
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image
from served import BUS, Process
from starlette.types import Message

from anymask.server.bodies import BodyLimit
from anymask.server.errors import TooSlow
from anymask.server.logs import JsonLines

pytestmark = pytest.mark.slow

CLICK = {"prompts": [{"points": [[320, 200]]}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(cwd=tmp_path_factory.mktemp("server")) as one:
        until_ready(one)
        yield one


@pytest.fixture
def http(server: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=60, trust_env=False) as one:
        yield one


def until_ready(server: Process) -> None:
    deadline = time.monotonic() + 60
    while httpx.get(f"{server.address}/readyz", trust_env=False).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gauge(http: httpx.Client, name: str) -> float:
    line = next(line for line in http.get("/metrics").text.splitlines() if line.startswith(name))
    return float(line.rpartition(" ")[2])


def until_idle(http: httpx.Client) -> None:
    deadline = time.monotonic() + 5
    while gauge(http, 'anymask_jobs{lane="long"}'):
        assert time.monotonic() < deadline, "the search goes on without anybody"
        time.sleep(0.05)


def test_what_is_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    with Process("--projects", "kept", cwd=tmp_path, env={"TMPDIR": str(tmp_path)}) as server:
        until_ready(server)
        answers: list[httpx.Response] = []
        url = server.address

        def ask() -> None:
            with httpx.Client(base_url=url, timeout=60, trust_env=False) as one:
                picture = one.post("/api/pictures", content=BUS).json()["id"]
                begun.set()
                body = {"points_per_side": 24, "stream": False}
                answers.append(one.post(f"/api/pictures/{picture}/everything", json=body))

        begun = threading.Event()
        thread = threading.Thread(target=ask)
        thread.start()
        assert begun.wait(30)
        time.sleep(0.3)
        assert list(tmp_path.glob("anymask-*/*"))
        assert server.stop() == 0
        thread.join(30)
        assert answers[0].status_code == 200
        assert answers[0].json()["masks"]
    assert not list(tmp_path.glob("anymask-*"))
    events = [json.loads(line)["event"] for line in server.log if line.startswith("{")]
    assert events[0] == "listening"
    assert events[-1] == "stopped"


def test_every_request_is_a_line_of_the_log(server: Process, http: httpx.Client) -> None:
    answer = http.get("/api/pictures/none-such")
    deadline = time.monotonic() + 5
    while not any("none-such" in line for line in server.log):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    line = json.loads(next(line for line in server.log if "none-such" in line))
    assert (line["event"], line["method"], line["status"]) == ("request", "GET", 404)
    assert line["id"] == answer.headers["x-request-id"]
    assert line["milliseconds"] >= 0


def test_whoever_leaves_ends_the_search(http: httpx.Client) -> None:
    picture = http.post("/api/pictures", content=BUS).json()["id"]
    body = {"points_per_side": 100, "points_per_batch": 16}  # half a minute
    with http.stream("POST", f"/api/pictures/{picture}/everything", json=body) as answer:
        assert json.loads(next(answer.iter_lines()))["type"] == "start"
        assert gauge(http, 'anymask_jobs{lane="long"}') == 1
    until_idle(http)
    # So does one who waits for all of it at once.
    with pytest.raises(httpx.ReadTimeout):
        http.post(f"/api/pictures/{picture}/everything", json={**body, "stream": False}, timeout=1)
    until_idle(http)
    # And the next gets its turn.
    body = {"points_per_side": 4}
    assert (
        http.post(f"/api/pictures/{picture}/everything", json=body).text.splitlines()[-1].startswith('{"type":"done"')
    )


def test_a_slow_client_keeps_nobody_waiting(server: Process, http: httpx.Client) -> None:
    host, port = server.address.removeprefix("http://").split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(20)]
    head = f"POST /api/pictures HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 100000\r\n\r\n".encode()
    for one in slow:
        one.sendall(head + BUS[:1000])
    picture = http.post("/api/pictures", content=BUS).json()["id"]
    assert http.post(f"/api/pictures/{picture}/predict", json=CLICK).status_code == 200
    assert gauge(http, 'anymask_jobs{lane="heavy"}') == 0
    for one in slow:
        one.close()
    # One who does not read what it asked for holds up nobody either.
    deaf = socket.create_connection((host, int(port)))
    body = b'{"points_per_side": 16, "pred_iou_thresh": 0, "stability_score_thresh": 0, "box_nms_thresh": 1}'
    path = f"/api/pictures/{picture}/everything"
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.sendall(
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    deadline = time.monotonic() + 30
    while not gauge(http, 'anymask_jobs{lane="long"}'):
        assert time.monotonic() < deadline
    while gauge(http, 'anymask_jobs{lane="long"}'):  # the thread is done though nobody reads
        assert time.monotonic() < deadline
        time.sleep(0.05)
    deaf.close()


def test_a_body_that_never_comes_is_not_waited_for() -> None:
    async def sends_little() -> Message:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass

    async def nothing(message: Message) -> None:
        raise AssertionError

    scope = {"type": "http", "method": "POST", "headers": []}
    with pytest.raises(Exception, match="did not arrive") as refused:
        asyncio.run(BodyLimit(reads, 1000, patience=0.3)(scope, sends_little, nothing))
    assert isinstance(refused.value.error, TooSlow)  # type: ignore[attr-defined]


def test_a_hundred_megapixels(tmp_path: Path) -> None:
    with Image.open(io.BytesIO(BUS)) as small:
        large = small.resize((12_250, 8_173), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    large.save(buffer, "JPEG", quality=80)
    with Process(cwd=tmp_path) as server, httpx.Client(base_url=server.address, timeout=120, trust_env=False) as http:
        until_ready(server)
        info = http.post("/api/pictures", content=buffer.getvalue()).json()
        assert info["width"] * info["height"] > 100e6
        shown = http.get(f"/api/pictures/{info['id']}/image")
        assert shown.status_code == 200, shown.text
        assert max(Image.open(io.BytesIO(shown.content)).size) == 4096
        body = {"prompts": [{"box": [1900, 1500, 10_700, 6700]}]}
        (mask,) = http.post(f"/api/pictures/{info['id']}/predict", json=body).json()["results"][0]["masks"]
        assert mask["rle"]["size"] == [8173, 12_250]
        assert mask["area"] > 5e6
        lines = http.post(f"/api/pictures/{info['id']}/everything", json={"points_per_side": 4}).text.splitlines()
        assert json.loads(lines[-1])["keys"]
        cut = http.post(f"/api/pictures/{info['id']}/cutout", json={"masks": [mask["rle"]], "max": 1200})
        assert cut.status_code == 200, cut.text
        assert max(Image.open(io.BytesIO(cut.content)).size) == 1200
        assert server.memory() < 3e9


def test_a_model_that_is_missing(tmp_path: Path) -> None:
    def refused(*options: str) -> str:
        command = [sys.executable, "-m", "anymask", "serve", "--port", "0", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
        return done.stderr

    assert "There is no model called 'pockit'" in refused("--model", "pockit")
    assert "not at nowhere.onnx" in refused("--model", "u2netp=nowhere.onnx")
    assert "key is empty" in refused("--key", "")
    assert "text or json" in refused("--log", "xml")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port} cannot be listened on" in refused("--port", port)

    offline = {"ANYMASK_OFFLINE": "1", "ANYMASK_HOME": str(tmp_path / "home")}
    models = ("--model", "sam_vit_b", "--model", "pocket")
    with (
        Process(*models, cwd=tmp_path, env=offline) as server,
        httpx.Client(base_url=server.address, timeout=60, trust_env=False) as http,
    ):
        deadline = time.monotonic() + 30
        while "sam_vit_b cannot be loaded" not in http.get("/readyz").json()["error"]:
            assert time.monotonic() < deadline
        assert http.get("/healthz").status_code == 200
        picture = http.post("/api/pictures", content=BUS).json()["id"]
        answer = http.post(f"/api/pictures/{picture}/predict", json=CLICK)
        assert (answer.status_code, "could not be downloaded" in answer.json()["error"]) == (400, True)
        answer = http.post(f"/api/pictures/{picture}/predict", json={**CLICK, "model": "pocket"})
        assert answer.status_code == 200


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, "PNG")
        with Process(cwd=tmp_path, env={"TMPDIR": str(small)}) as server:
            with httpx.Client(base_url=server.address, timeout=60, trust_env=False) as http:
                before = http.post("/api/pictures", content=BUS).json()["id"]
                for _ in range(3):
                    answer = http.post("/api/pictures", content=buffer.getvalue())
                    assert (answer.status_code, "cannot keep" in answer.json()["error"]) == (507, True)
                assert http.post(f"/api/pictures/{before}/predict", json=CLICK).status_code == 200
                assert http.post("/api/pictures", content=BUS).status_code == 201
            server.stop()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_fault_is_told_without_its_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    import logging

    record = logging.LogRecord("anymask.server", logging.ERROR, "", 0, "fault", (), None)
    record.path = "/x"
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["event"], line["path"]) == ("error", "fault", "/x")

    from served import client, sent

    with client() as one:
        picture = sent(one)

        def broken(*arguments: object) -> None:
            raise ZeroDivisionError("a secret of the inside")

        monkeypatch.setattr(one.app.state.server.questions, "ask", broken)  # type: ignore[attr-defined]
        answer = one.post(f"/api/pictures/{picture}/predict", json=CLICK)
        assert (answer.status_code, answer.json()) == (500, {"error": "Something went wrong in the server."})
        assert one.get("/healthz").status_code == 200
