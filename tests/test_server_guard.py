"""Who may ask a server, and how much."""

import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from served import BUS, client, sent
from starlette.websockets import WebSocketDisconnect

from anymask.server.cache import Cache
from anymask.server.errors import Busy
from anymask.server.logs import TextLines
from anymask.server.work import Lane

CLICK = {"prompts": [{"points": [[320, 200]]}]}


def test_a_key_is_asked_for_everywhere_but_where_it_must_not() -> None:
    with client(api_key="très secret") as one:
        for path in ("/api/models", "/api/pictures/x", "/metrics", "/openapi.json", "/api/remove"):
            answer = one.get(path)
            assert (answer.status_code, "key" in answer.json()["error"]) == (401, True), path
        assert one.post("/api/pictures", content=BUS).status_code == 401
        for path in ("/healthz", "/readyz", "/api/session", "/docs"):
            assert one.get(path).status_code in (200, 503), path
        with pytest.raises(WebSocketDisconnect), one.websocket_connect("/api/live"):
            pass
        key = "très secret".encode()
        for headers in ({"Authorization": b"Bearer " + key}, {"X-API-Key": key}):
            assert one.get("/api/models", headers=headers).status_code == 200
        assert one.get("/api/models", headers={"X-API-Key": "secret"}).status_code == 401
        assert one.get("/api/models", headers={"Cookie": "anymask_key=zz"}).status_code == 401


def test_a_page_signs_in() -> None:
    with client(api_key="secret") as one:
        assert one.get("/api/session").json() == {"needs_key": True, "signed_in": False}
        assert one.post("/api/session", json={"key": "wrong"}).status_code == 401
        answer = one.post("/api/session", json={"key": "secret"})
        assert answer.status_code == 204
        assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
        assert one.get("/api/session").json() == {"needs_key": True, "signed_in": True}
        assert one.get("/api/models").status_code == 200
        with one.websocket_connect("/api/live") as socket:
            socket.send_json({"seq": 1, "ping": True})
            assert socket.receive_json() == {"seq": 1, "pong": True}


def test_other_sites_are_kept_out() -> None:
    with client(hosts=("localhost", "127.0.0.1", "::1"), origins=("https://friend.example",)) as one:
        here = {"Host": "localhost:7000"}
        assert one.get("/api/models", headers=here).status_code == 200
        assert one.get("/api/models", headers={"Host": "[::1]:7000"}).status_code == 200
        assert one.get("/healthz", headers={"Host": "10.0.0.7:7000"}).status_code == 200
        across = {**here, "Sec-Fetch-Site": "cross-site"}
        assert one.get("/api/remove?url=https://a.example/b.jpg", headers=across).status_code == 403
        assert one.get("/docs", headers=across).status_code == 200  # a link to the page is no harm
        for host in ("evil.example", "evil.example:7000", "localhost@evil.example", "", "127.0.0.1.evil.example"):
            assert one.get("/api/models", headers={"Host": host}).status_code == 403, host
        for origin in ("http://evil.example", "null", "http://localhost:9999"):
            answer = one.post("/api/pictures", content=BUS, headers={**here, "Origin": origin})
            assert answer.status_code == 403, origin
            with (
                pytest.raises(WebSocketDisconnect),
                one.websocket_connect("/api/live", headers={**here, "Origin": origin}),
            ):
                pass
        for origin in ("http://localhost:7000", "https://friend.example"):
            answer = one.post("/api/pictures", content=BUS, headers={**here, "Origin": origin})
            assert answer.status_code == 201, origin
        asked = {**here, "Origin": "https://friend.example", "Access-Control-Request-Method": "POST"}
        assert one.options("/api/pictures", headers=asked).headers["access-control-allow-origin"]
    with client() as one:  # off unless asked for
        answer = one.get("/api/models", headers={"Origin": "https://friend.example"})
        assert "access-control-allow-origin" not in answer.headers


def test_pages_may_load_nothing_from_elsewhere() -> None:
    with client() as one:
        answer = one.get("/docs")
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "//" not in answer.text.replace("</", "")
        for path in ("/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/start.js", "/"):
            assert one.get(path).status_code == 200, path
        for path in ("/../settings.py", "/%2e%2e/settings.py", "/..%2fsettings.py", "/docs/../../app.py"):
            assert one.get(path).status_code == 404, path


def test_bodies_have_a_limit() -> None:
    limit = 100_000
    with client(max_upload=limit) as one:
        assert sent(one)
        noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, "PNG")
        answers = [
            one.post("/api/pictures", content=buffer.getvalue()),
            one.post("/api/pictures", content=iter([buffer.getvalue()] * 2)),  # of a length that is not announced
            one.post("/api/pictures", files={"file": ("x.png", buffer.getvalue())}),
            one.post("/api/pictures/x/predict", json={"prompts": [{"points": [[1, 1]] * 40_000}]}),
        ]
        for answer in answers:
            assert answer.status_code == 413, answer.text
            assert "larger than" in answer.json()["error"]
        left = list(one.app.state.server.store.folder.iterdir())  # type: ignore[attr-defined]
        assert len(left) == 1  # the picture that was fine


def test_pictures_have_a_limit() -> None:
    with client(max_pixels=300_000) as one:
        assert sent(one)
        buffer = io.BytesIO()
        Image.new("RGB", (700, 700)).save(buffer, "PNG")
        answer = one.post("/api/pictures", content=buffer.getvalue())
        assert (answer.status_code, "700 x 700" in answer.json()["error"]) == (413, True)
        buffer = io.BytesIO()
        Image.new("1", (30_000, 30_000)).save(buffer, "PNG")  # 100 KB that would be 900 million pixels
        answer = one.post("/api/pictures", content=buffer.getvalue())
        assert answer.status_code == 413


def test_what_waits_has_a_limit() -> None:
    lane = Lane("test", threads=1, waiting=2)
    release, begun = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        release.wait(10)
        return 7

    jobs = [lane.submit(work) for _ in range(3)]
    assert begun.wait(10)
    with pytest.raises(Busy) as refused:
        lane.submit(work)
    assert refused.value.retry_after and refused.value.retry_after >= 1
    assert jobs[2].cancel()  # whoever left takes no thread
    jobs.append(lane.submit(work))
    release.set()
    assert [job.result(10) for job in (jobs[0], jobs[1], jobs[3])] == [7, 7, 7]
    deadline = time.monotonic() + 10
    while lane.load and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (lane.load, lane.refused) == (0, 1)
    lane.close()
    with pytest.raises(Busy, match="stopping"):
        lane.submit(work)


def test_a_busy_server_says_when_to_come_back() -> None:
    with client(workers=1, waiting=1) as one:
        picture = sent(one)
        lane = one.app.state.server.work.light  # type: ignore[attr-defined]
        release = threading.Event()
        blockers = [lane.submit(release.wait, 30) for _ in range(2)]
        answer = one.post(f"/api/pictures/{picture}/predict", json=CLICK)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        release.set()
        for blocker in blockers:
            blocker.result(10)
        deadline = time.monotonic() + 10
        while (answer := one.post(f"/api/pictures/{picture}/predict", json=CLICK)).status_code == 503:
            assert time.monotonic() < deadline
        assert answer.status_code == 200


def test_one_client_cannot_take_it_all() -> None:
    with client(per_client=2) as one:
        picture = sent(one)
        work = one.app.state.server.work.light  # type: ignore[attr-defined]
        release = threading.Event()
        blockers = [work.submit(release.wait, 30) for _ in range(2)]
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(one.post(f"/api/pictures/{picture}/predict", json=CLICK).status_code)

        waiting = [threading.Thread(target=ask) for _ in range(2)]
        for thread in waiting:
            thread.start()
        deadline = time.monotonic() + 10
        while work.load < 4:
            assert time.monotonic() < deadline, statuses
            time.sleep(0.01)
        answer = one.get("/api/models")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        release.set()
        for thread in waiting:
            thread.join(20)
        assert statuses == [200, 200]
        assert [blocker.result(1) for blocker in blockers]
        assert one.get("/api/models").status_code == 200


def picture_of(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (200, 200, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_what_is_kept_has_a_limit() -> None:
    with client(disk=400_000, memory=1_000_000) as one:
        first = sent(one, picture_of(0))
        assert one.post(f"/api/pictures/{first}/predict", json=CLICK_SMALL).status_code == 200
        store = one.app.state.server.store  # type: ignore[attr-defined]
        ids = [sent(one, picture_of(number)) for number in range(1, 6)]
        for picture in ids[-2:]:
            assert one.post(f"/api/pictures/{picture}/predict", json=CLICK_SMALL).status_code == 200
        assert store.disk <= 400_000
        assert sum(path.stat().st_size for path in store.folder.iterdir()) == store.disk
        assert one.post(f"/api/pictures/{first}/predict", json=CLICK_SMALL).status_code == 410
        # An embedding that had to go is made again.
        misses = store.memory.misses
        for _ in range(2):
            for picture in ids[-3:]:
                assert one.post(f"/api/pictures/{picture}/predict", json=CLICK_SMALL).status_code == 200
        assert store.memory.misses > misses
        folder = store.folder
        assert folder.exists()
    assert not folder.exists()


CLICK_SMALL = {"prompts": [{"points": [[100, 100]]}]}


def test_a_cache_forgets_the_oldest_and_makes_things_once() -> None:
    cache, made = Cache(100), []

    def maker(name: str) -> Any:
        return lambda: made.append(name) or name  # type: ignore[func-returns-value]

    for name in ("a", "b", "c"):
        cache.get_or_make(name, maker(name), lambda _: 40)
    assert (cache.get("a"), cache.get("b"), cache.size) == (None, "b", 80)
    cache.get_or_make("d", maker("d"), lambda _: 40)
    assert (cache.get("c"), cache.get("b")) == (None, "b")  # what was used lately stays
    cache.get_or_make("huge", maker("huge"), lambda _: 1000)
    assert (cache.get("huge"), len(cache)) == ("huge", 1)

    slow, started = [], threading.Barrier(8)

    def make() -> str:
        slow.append(1)
        time.sleep(0.05)
        return "once"

    def ask() -> None:
        started.wait()
        assert cache.get_or_make("shared", make, lambda _: 1) == "once"

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(slow) == 1
    with pytest.raises(ZeroDivisionError):
        cache.get_or_make("fails", lambda: 1 // 0, lambda _: 1)
    assert cache.get_or_make("fails", lambda: 5, lambda _: 1) == 5


def test_a_path_is_no_line_of_the_log() -> None:
    record = logging.LogRecord("anymask.server", logging.INFO, "", 0, "request", (), None)
    record.path, record.status = "/x\n2026 request status=200", 404
    line = TextLines().format(record)
    assert "\n" not in line
    assert line.endswith('path="/x\\n2026 request status=200" status=404')


def test_what_is_counted() -> None:
    with client() as one:
        picture = sent(one)
        one.post(f"/api/pictures/{picture}/predict", json=CLICK)
        one.get("/api/pictures/nothing")
        text = one.get("/metrics").text
    route = 'route="/api/pictures/{identity}/predict"'
    assert f'anymask_requests_total{{method="POST",{route},status="200"}} 1.0' in text
    assert 'anymask_requests_total{method="GET",route="/api/pictures/{identity}",status="404"} 1.0' in text
    assert f"anymask_request_seconds_count{{{route}}} 1.0" in text
    assert 'anymask_jobs{lane="heavy"} 0.0' in text
    assert "anymask_memory_bytes" in text


def test_an_api_that_describes_itself() -> None:
    with client() as one:
        paths = one.get("/openapi.json").json()["paths"]
    assert {"/api/pictures", "/api/pictures/{identity}/predict", "/api/remove", "/healthz"} <= paths.keys()
    assert paths["/api/pictures/{identity}/predict"]["post"]["summary"].startswith("Masks for one or more prompts")
    body = json.dumps(paths["/api/pictures"]["post"]["requestBody"])
    assert "multipart/form-data" in body


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NO_PROXY", "*")
    yield
