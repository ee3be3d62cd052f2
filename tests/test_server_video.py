"""Videos over HTTP: opened, prompted, tracked as a stream that can be cancelled, exported."""

import io
import json
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="clips need the video extra")

from clips import HEIGHT, WIDTH, clip, frame, read, sound_only, turned  # noqa: E402
from PIL import Image  # noqa: E402
from served import BUS, client  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from anymask import rle  # noqa: E402
from anymask.server import video_export  # noqa: E402
from anymask.server.errors import Full  # noqa: E402

FRAMES = 10
ON = (28, 28)  # within the square on the first ten frames
Json = dict[str, Any]


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return clip(tmp_path_factory.mktemp("video") / "square.mp4", FRAMES).read_bytes()


@pytest.fixture
def video(server: TestClient, square: bytes) -> Iterator[str]:
    """The address of a video that is open."""
    answer = server.post("/api/videos?name=my%20square.mp4", content=square)
    assert answer.status_code == 201, answer.text
    address = f"/api/videos/{answer.json()['id']}"
    yield address
    server.delete(address)


def said(server: TestClient, video: str, **prompt: Any) -> Json:
    answer = server.post(f"{video}/prompt", json=prompt)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def tracked(server: TestClient, video: str, **way: Any) -> list[Json]:
    answer = server.post(f"{video}/propagate", json=way)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def truth(index: int) -> np.ndarray:
    return frame(index)[..., 0] > 128


def iou(found: Json, index: int) -> float:
    mask = rle.decode(found["rle"])
    return float((mask & truth(index)).sum() / (mask | truth(index)).sum())


def test_a_video_is_opened_and_shown(server: TestClient, video: str) -> None:
    about = server.get(video).json()
    assert (about["width"], about["height"], about["frames"], about["fps"]) == (WIDTH, HEIGHT, FRAMES, 10)
    assert (about["name"], about["model"], about["objects"], about["seconds"]) == ("my square.mp4", "pocket", [], 1)
    for index in (7, 0, 9):
        answer = server.get(f"{video}/frames/{index}")
        assert answer.headers["content-type"] == "image/jpeg"
        shown = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert np.abs(shown.astype(int) - frame(index)).mean() < 6
    small = Image.open(io.BytesIO(server.get(f"{video}/frames/0?max=48").content))
    assert small.size == (48, 32)
    for missing in (f"frames/{FRAMES}", "frames/-1", f"frames/{FRAMES}/masks"):
        answer = server.get(f"{video}/{missing}")
        assert (answer.status_code, "has 10, from 0 to 9" in answer.json()["error"]) == (404, True)
        assert "anymask-" not in answer.text  # where it lies is nobody's business


def test_a_form_and_a_turned_video(server: TestClient, tmp_path: Path) -> None:
    data = turned(clip(tmp_path / "turned.mp4", 3)).read_bytes()
    answer = server.post("/api/videos", files={"file": ("turned.mp4", data, "video/mp4")})
    about = answer.json()
    assert (answer.status_code, about["width"], about["height"], about["frames"]) == (201, HEIGHT, WIDTH, 3)
    assert server.delete(f"/api/videos/{about['id']}").status_code == 204


def test_prompts_tracking_and_corrections(server: TestClient, video: str) -> None:
    first = said(server, video, frame=0, object=1, box=[0, 16, 23, 39])
    assert iou(first["mask"], 0) > 0.7
    expected = {"frame": 0, "points": [], "labels": [], "box": [0, 16, 23, 39], "mask": False}
    assert first["objects"] == [{"id": 1, "prompts": [expected], "spans": [[0, 0]], "absent": []}]

    start, *frames, done = tracked(server, video)
    assert (start["type"], start["total"], start["model"]) == ("start", FRAMES, "pocket")
    assert [one["frame"] for one in frames] == list(range(FRAMES))
    assert all(one["fps"] > 0 for one in frames) and frames[-1]["done"] == FRAMES
    assert frames[0]["masks"][0]["rle"] == first["mask"]["rle"]
    assert min(iou(one["masks"][0], one["frame"]) for one in frames) > 0.5
    assert (done["type"], done["frames"], done["last"], done["cancelled"]) == ("done", FRAMES, FRAMES - 1, False)
    assert server.get(video).json()["objects"][0]["spans"] == [[0, FRAMES - 1]]
    assert server.get(f"{video}/frames/6/masks").json()["masks"][0]["rle"] == frames[6]["masks"][0]["rle"]

    # A correction on a tracked frame, and on from there; then another object, which is tracked back.
    corrected = said(server, video, frame=5, object=1, points=[[2, 2]], labels=[0])
    assert [one["frame"] for one in corrected["objects"][0]["prompts"]] == [0, 5]
    again = tracked(server, video, start=5)
    assert [one["frame"] for one in again[1:-1]] == list(range(5, FRAMES))
    assert again[1]["masks"][0]["rle"] == corrected["mask"]["rle"]
    said(server, video, frame=9, object=2, points=[[80, 55]])
    back = tracked(server, video, start=9, stop=5, reverse=True)
    assert (back[0]["total"], [one["frame"] for one in back[1:-1]]) == (4, [9, 8, 7, 6])
    assert {one["object"] for one in back[1]["masks"]} == {2}
    objects = {one["id"]: one for one in server.get(video).json()["objects"]}
    assert objects[2]["spans"] == [[6, 9]]

    # Said anew, cleared, removed, and all forgotten.
    said(server, video, frame=5, object=1, points=[[30, 28], [3, 60]], labels=[1, 0], replace=True)
    now = server.get(video).json()["objects"][0]["prompts"][1]
    assert (now["points"], now["labels"]) == ([[30, 28], [3, 60]], [1, 0])
    left = server.post(f"{video}/clear", json={"frame": 5, "object": 1}).json()["objects"][0]
    assert ([one["frame"] for one in left["prompts"]], left["spans"]) == ([0], [[0, 4], [6, 9]])
    assert [one["id"] for one in server.delete(f"{video}/objects/2").json()["objects"]] == [1]
    assert server.get(f"{video}/frames/9/masks").json()["masks"][0]["object"] == 1
    assert server.post(f"{video}/reset").json()["objects"] == []
    assert server.get(f"{video}/frames/3/masks").json()["masks"] == []


def test_a_mask_says_all_of_an_object(server: TestClient, video: str) -> None:
    whole = rle.compress(rle.encode(truth(0)))
    found = said(server, video, frame=0, object=3, mask=whole)
    assert found["mask"]["rle"] == whole and found["objects"][0]["prompts"][0]["mask"]
    smaller = rle.compress(rle.encode(truth(0)[:10]))
    answer = server.post(f"{video}/prompt", json={"frame": 0, "object": 4, "mask": smaller})
    assert (answer.status_code, "The mask has 96 x 10 pixels" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    ("prompt", "status", "text"),
    [
        ({"frame": 10, "object": 1, "points": [ON]}, 404, "no frame 10"),
        ({"frame": -1, "object": 1, "points": [ON]}, 422, "frame"),
        ({"frame": 0, "object": 0, "points": [ON]}, 422, "object"),
        ({"frame": 0, "object": 1, "points": [[500, 5]]}, 400, "outside"),
        ({"frame": 0, "object": 1, "points": [ON], "labels": [0]}, 400, "not known on frame 0"),
        ({"frame": 0, "object": 1, "points": [ON], "labels": [1, 1]}, 400, "label"),
        ({"frame": 0, "object": 1}, 400, "empty"),
        ({"frame": 0, "object": 1, "pionts": [ON]}, 422, "pionts"),
    ],
)
def test_prompts_that_cannot_be(server: TestClient, video: str, prompt: Json, status: int, text: str) -> None:
    answer = server.post(f"{video}/prompt", json=prompt)
    assert (answer.status_code, text in answer.json()["error"]) == (status, True), answer.text
    assert server.get(video).json()["objects"] == []


def test_ways_that_cannot_be(server: TestClient, video: str) -> None:
    answer = server.post(f"{video}/propagate")
    assert (answer.status_code, "Nothing was prompted" in answer.json()["error"]) == (400, True)
    said(server, video, frame=0, object=1, points=[ON])
    for way, text in (({"start": 10}, "no frame 10"), ({"start": 5, "stop": 2}, "no way from frame 5")):
        answer = server.post(f"{video}/propagate", json=way)
        assert (answer.status_code, text in answer.json()["error"]) == (400, True), answer.text
    assert len(tracked(server, video, stop=2)) == 4  # and what failed is not taken for under way
    assert server.post(f"{video}/clear", json={"frame": 3, "object": 1}).status_code == 400
    assert server.delete(f"{video}/objects/7").status_code == 404
    assert server.post(f"{video}/cancel").json() == {"cancelled": False}


@pytest.fixture
def gate(server: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Lets only so many frames be tracked, until it is told to let more."""
    from anymask.tracking.light import LightFollower

    free = threading.Semaphore(0)
    follow = LightFollower.follow

    def gated(self: Any, *args: Any) -> Any:
        assert free.acquire(timeout=30)
        return follow(self, *args)

    monkeypatch.setattr(LightFollower, "follow", gated)
    yield lambda count: free.release(count)
    free.release(1000)


def test_cancelled_and_gone_on_with(server: TestClient, video: str, gate: Callable[[int], None]) -> None:
    said(server, video, frame=0, object=1, box=[0, 16, 23, 39])
    lines: list[Json] = []
    told = threading.Thread(target=lambda: lines.extend(tracked(server, video)))
    told.start()
    gate(3)
    deadline = time.monotonic() + 30
    while server.get(video).json()["objects"][0]["spans"] != [[0, 3]]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    # While it is under way: frames are shown, another run is refused, others wait no longer than for a frame.
    assert server.get(video).json()["tracking"]
    assert server.get(f"{video}/frames/8").status_code == 200
    again = server.post(f"{video}/propagate")
    assert (again.status_code, "being tracked already" in again.json()["error"]) == (409, True)
    assert server.post(f"{video}/cancel").json() == {"cancelled": True}
    gate(1)  # the frame that it is at
    told.join(30)
    done = lines[-1]
    assert (done["type"], done["cancelled"], server.get(video).json()["tracking"]) == ("done", True, False)
    reached = done["last"]
    assert reached in (3, 4) and [one["frame"] for one in lines[1:-1]] == list(range(reached + 1))
    gate(100)
    rest = tracked(server, video, start=reached + 1)
    assert [one["frame"] for one in rest[1:-1]] == list(range(reached + 1, FRAMES))
    assert min(iou(one["masks"][0], one["frame"]) for one in rest[1:-1]) > 0.5


def exported(server: TestClient, video: str, form: str, path: Path) -> Path:
    answer = server.get(f"{video}/export?format={form}")
    assert answer.status_code == 200, answer.text
    path.write_bytes(answer.content)
    return path


def test_exports(server: TestClient, video: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = server.get(f"{video}/export")
    assert (answer.status_code, "Nothing was found" in answer.json()["error"]) == (400, True)
    said(server, video, frame=2, object=3, box=[4, 16, 27, 39])
    masks = {one["frame"]: rle.decode(one["masks"][0]["rle"]) for one in tracked(server, video, stop=8)[1:-1]}
    assert sorted(masks) == list(range(2, 8))

    answer = server.get(f"{video}/export?format=labels")
    assert "my%20square.labels.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == [f"{index:05d}.png" for index in range(FRAMES)]
        for index in range(FRAMES):
            label = np.asarray(Image.open(io.BytesIO(archive.read(f"{index:05d}.png"))))
            assert (label == (3 * masks[index] if index in masks else np.zeros_like(label))).all()
    with zipfile.ZipFile(exported(server, video, "sav", tmp_path / "sav.zip")) as archive:
        (name,) = archive.namelist()
        about = json.loads(archive.read(name))
    assert (name, about["masklet_id"], about["masklet_first_appeared_frame"]) == ("my square.json", [3], [2])
    for index, mask in masks.items():
        assert (rle.decode(about["masklet"][index][0]) == mask).all()

    drawn = read(exported(server, video, "overlay", tmp_path / "overlay.mp4"))
    assert len(drawn) == FRAMES and drawn[0].shape == (HEIGHT, WIDTH, 4)
    apart = [np.abs(one[..., :3].astype(int) - frame(index)).max(axis=-1) for index, one in enumerate(drawn)]
    assert (apart[5][masks[5]] > 40).mean() > 0.8 and (apart[0] > 40).mean() < 0.05
    cut = read(exported(server, video, "cutout", tmp_path / "cut.webm"), "libvpx-vp9")
    alpha = cut[5][..., 3] > 128
    assert (alpha & masks[5]).sum() / (alpha | masks[5]).sum() > 0.9 and not (cut[0][..., 3] > 128).any()
    cut = read(exported(server, video, "cutout-mov", tmp_path / "cut.mov"))
    assert len(cut) == FRAMES and (cut[5][..., 3][masks[5]] > 128).mean() > 0.9
    answer = server.get(f"{video}/export?format=gif")
    assert (answer.status_code, "not as 'gif'" in answer.json()["error"]) == (400, True)
    folder = server.app.state.server.store.folder  # type: ignore[attr-defined]
    assert not list(folder.glob("export-*"))
    # What grows too large is ended.
    monkeypatch.setattr(video_export, "LOOK", 2)
    opened = server.app.state.server.videos.get(video.rpartition("/")[2])  # type: ignore[attr-defined]
    (tmp_path / "large").mkdir()
    with pytest.raises(Full, match="more than the 0 MB allowed"):
        video_export.export(opened, "labels", tmp_path / "large", 200, lambda done, total: None)


def test_what_is_no_video(server: TestClient, square: bytes, tmp_path: Path) -> None:
    folder = server.app.state.server.store.folder  # type: ignore[attr-defined]
    before = sorted(folder.iterdir())
    tone = sound_only(tmp_path / "tone.mp4").read_bytes()
    for data, text in (
        (square[:300], "no clip"),
        (b"words", "no clip"),
        (tone, "no moving pictures"),
        (b"", "no bytes"),
    ):
        answer = server.post("/api/videos", content=data)
        assert (answer.status_code, text in answer.json()["error"]) == (400, True), answer.text
        assert "anymask-" not in answer.text
    assert server.post("/api/videos", json={"url": "http://example.org"}).status_code == 400
    assert server.post("/api/videos?model=u2net", content=square).status_code in (400, 403)
    assert server.get("/api/videos/nothing").status_code == 404
    assert sorted(folder.iterdir()) == before
    # One that breaks off opens, and says so.
    early = clip(tmp_path / "early.mp4", 40, early=True).read_bytes()
    about = server.post("/api/videos", content=early[: len(early) * 2 // 3]).json()
    assert about["trouble"]
    assert server.delete(f"/api/videos/{about['id']}").status_code == 204


def test_a_picture_is_a_video_of_one_frame(server: TestClient) -> None:
    about = server.post("/api/videos", content=BUS).json()
    assert (about["width"], about["height"], about["frames"]) == (640, 427, 1)
    video = f"/api/videos/{about['id']}"
    said(server, video, frame=0, object=1, points=[[320, 200]])
    assert len(tracked(server, video)) == 3
    server.delete(video)


def test_bounds(square: bytes, tmp_path: Path) -> None:
    with client(videos=2, max_pixels=WIDTH * HEIGHT) as one:
        store = one.app.state.server.videos  # type: ignore[attr-defined]
        ids = [one.post("/api/videos", content=square).json()["id"] for _ in range(2)]
        one.get(f"/api/videos/{ids[0]}")
        third = one.post("/api/videos", content=square).json()["id"]
        assert len(store) == 2 and store.disk == 2 * len(square)
        answer = one.get(f"/api/videos/{ids[1]}/frames/0")  # the least lately used
        assert (answer.status_code, "open it again" in answer.json()["error"]) == (410, True)
        # None is closed while it is tracked.
        runs = [store.get(key).begin(0, None, False) for key in (ids[0], third)]
        answer = one.post("/api/videos", content=square)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        store.get(third).end(runs[1])
        assert one.post("/api/videos", content=square).status_code == 201
        assert one.get(f"/api/videos/{third}").status_code == 410
        larger = clip(tmp_path / "larger.mp4", 2, width=WIDTH + 2).read_bytes()
        answer = one.post("/api/videos", content=larger)
        assert (answer.status_code, "98 x 64 pixels" in answer.json()["error"]) == (413, True)
        assert one.delete(f"/api/videos/{ids[0]}").status_code == 204
        assert one.get(f"/api/videos/{ids[0]}").status_code == 410
        folder = store._folder
        assert len(list(folder.glob("video-*"))) == len(store)
    assert not folder.exists()
    with client(max_upload=len(square) - 1) as one:
        assert one.post("/api/videos", content=square + bytes(2 << 20)).status_code == 413


def test_nobody_asks_for_a_while(square: bytes) -> None:
    with client(idle=0) as one:
        identity = one.post("/api/videos", content=square).json()["id"]
        answer = one.get(f"/api/videos/{identity}")
        assert (answer.status_code, "was closed" in answer.json()["error"]) == (410, True)


def test_other_sites_and_strangers_are_kept_out(square: bytes) -> None:
    with client(api_key="secret") as one:
        assert one.post("/api/videos", content=square).status_code == 401
        key = {"X-API-Key": "secret"}
        foreign = {**key, "Origin": "https://elsewhere.example"}
        assert one.post("/api/videos", content=square, headers=foreign).status_code == 403
        about = one.post("/api/videos", content=square, headers=key).json()
        assert one.get(f"/api/videos/{about['id']}/frames/0").status_code == 401
        hidden = {**key, "Sec-Fetch-Site": "cross-site"}
        assert one.get(f"/api/videos/{about['id']}/frames/0", headers=hidden).status_code == 403


WITHOUT = """
import sys
sys.modules["av"] = None
sys.path.insert(0, sys.argv[1])
from served import client
with client() as one:
    answer = one.post("/api/videos", content=b"video")
    print(answer.status_code, answer.json()["error"], one.get("/api/models").json()["videos"])
"""


def test_without_pyav() -> None:
    command = [sys.executable, "-c", WITHOUT, str(Path(__file__).parent)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    text = 'This server reads no videos. Clips need the video extra: pip install "anymask[video]".'
    assert found.stdout.strip() == f"501 {text} False", found.stderr


def test_models_that_cannot(square: bytes) -> None:
    with client(models=("fastsam_s", "pocket")) as one:
        about = one.post("/api/videos", content=square).json()
        assert about["model"] == "pocket"  # the first that follows objects
        answer = one.post("/api/videos?model=fastsam_s", content=square)
        assert (answer.status_code, "takes no mask" in answer.json()["error"]) == (400, True)
        answer = one.post(f"/api/videos/{about['id']}/reset", json={"model": "fastsam_s"})
        assert answer.status_code == 400
        assert one.post(f"/api/videos/{about['id']}/reset", json={"model": "sam2.1_hiera_tiny"}).status_code == 403
        listed = {entry["name"]: entry for entry in one.get("/api/models").json()["models"]}
        assert (listed["fastsam_s"]["tracks"], listed["fastsam_s"]["copyleft"]) == (False, True)


def test_models_say_what_they_do(server: TestClient) -> None:
    answer = server.get("/api/models").json()
    pocket = answer["models"][0]
    assert (answer["videos"], pocket["tracks"], pocket["copyleft"], pocket["commercial"]) == (True, True, False, True)
