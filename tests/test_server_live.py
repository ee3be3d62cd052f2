"""Masks under a moving pointer: what a live connection answers, and what it leaves out."""

import threading
from typing import Any

import pytest
from served import BUS
from starlette.testclient import TestClient

import anymask

POINT = (320.0, 200.0)


def test_a_message_is_answered(server: TestClient, bus: str) -> None:
    expected = anymask.Segmenter("pocket").encode(BUS).predict(points=[POINT])
    with server.websocket_connect("/api/live") as socket:
        socket.send_json({"seq": 5, "picture": bus, "points": [POINT]})
        answer = socket.receive_json()
        assert (answer["seq"], answer["picture"]) == (5, bus)
        assert {mask["rle"]["counts"] for mask in answer["masks"]} == {one["counts"] for one in expected.rles()}
        scores = [mask["score"] for mask in answer["masks"]]
        assert scores == sorted(scores, reverse=True)
        best = answer["masks"][0]
        socket.send_json({"seq": 5, "picture": bus, "points": [POINT], "best": True})
        assert socket.receive_json()["masks"] == [best]
        socket.send_json({"seq": 6, "picture": bus, "points": [POINT], "mask_id": best["id"], "multimask": False})
        assert len(socket.receive_json()["masks"]) == 1
    # A new connection goes on where the old one was: nothing is remembered between messages but ids of masks.
    with server.websocket_connect("/api/live") as socket:
        socket.send_json({"seq": 7, "picture": bus, "points": [POINT], "mask_id": best["id"]})
        assert "masks" in socket.receive_json()


def test_the_latest_message_wins(server: TestClient, bus: str) -> None:
    lane = server.app.state.server.work.light  # type: ignore[attr-defined]
    release = threading.Event()
    blockers = [lane.submit(release.wait, 30) for _ in range(lane.threads)]
    with server.websocket_connect("/api/live") as socket:
        for seq in range(100):
            socket.send_json({"seq": seq, "picture": bus, "points": [[seq + 1, 50]]})
        socket.send_json({"seq": 999, "ping": True})
        assert socket.receive_json() == {"seq": 999, "pong": True}  # so all of the hundred have been read
        release.set()
        answered = [socket.receive_json()["seq"]]
        while answered[-1] != 99:
            answered.append(socket.receive_json()["seq"])
        assert len(answered) <= 2  # the one that was at work, and the newest
    assert all(blocker.result(10) for blocker in blockers)
    assert 'anymask_live_messages_total{outcome="stale"}' in server.get("/metrics").text


@pytest.mark.parametrize(
    ("message", "status", "said"),
    [
        ({"seq": 1, "picture": "nothing", "points": [POINT]}, 404, "no picture"),
        ({"seq": 1, "picture": "", "points": [POINT]}, 404, "no picture"),
        ({"seq": 1, "points": [[99999, 1]]}, 400, "outside"),
        ({"seq": 1}, 400, "empty"),
        ({"seq": 1, "points": [POINT], "model": "u2net"}, 403, "does not offer u2net"),
        ({"seq": 1, "points": [POINT], "model": "sam_vit_b"}, 403, "does not offer"),
        ({"points": [POINT]}, 422, "not understood"),
        ({"seq": 1, "points": "here"}, 422, "not understood"),
        ({"seq": 1, "text": "x" * (1 << 20)}, 422, "too long"),
    ],
)
def test_what_cannot_be_is_said(server: TestClient, bus: str, message: dict[str, Any], status: int, said: str) -> None:
    with server.websocket_connect("/api/live") as socket:
        socket.send_json({"picture": bus, **message})
        answer = socket.receive_json()
        assert (answer["status"], said in answer["error"]) == (status, True), answer
        socket.send_text("{")
        assert socket.receive_json()["status"] == 422
        socket.send_json({"seq": 2, "picture": bus, "points": [POINT]})  # and the connection goes on
        assert "masks" in socket.receive_json()


def test_a_busy_server_says_so(server: TestClient, bus: str) -> None:
    lane = server.app.state.server.work.light  # type: ignore[attr-defined]
    release = threading.Event()
    blockers = [lane.submit(release.wait, 30) for _ in range(lane.threads + lane.waiting)]
    with server.websocket_connect("/api/live") as socket:
        socket.send_json({"seq": 1, "picture": bus, "points": [POINT]})
        assert socket.receive_json()["status"] == 503
        release.set()
        assert all(blocker.result(20) for blocker in blockers)
        socket.send_json({"seq": 2, "picture": bus, "points": [POINT]})
        assert "masks" in socket.receive_json()
