"""Projects over HTTP: every route, through the whole application, on real folders."""

import json
import os
import resource
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image
from served import ASSETS, BUS, Process, client, sent
from starlette.testclient import TestClient

import anymask
from anymask import rle
from anymask.formats.sa1b import read_folder

STREET = (ASSETS / "street.jpg").read_bytes()
P = "/api/projects/My street"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server") / "projects"


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[TestClient]:
    with client(projects=folder) as one:
        yield one


@pytest.fixture
def server(running: TestClient, folder: Path) -> Iterator[TestClient]:
    """A server with the project P, which has the bus's picture."""
    assert running.post("/api/projects", json={"name": "My street"}).status_code == 201
    assert running.post(f"{P}/items", params={"name": "bus.jpg"}, content=BUS).status_code == 201
    yield running
    for number in range(100):  # out of the way; the server notices
        if not (aside := folder.parent / f"used-{number}").exists():
            (folder / "My street").rename(aside)
            return


def obj(name: str = "bus", x0: int = 10, **more: Any) -> dict[str, Any]:
    mask = np.zeros((427, 640), bool)
    mask[20:200, x0:300] = True
    return {"rle": rle.compress(rle.encode(mask)), "name": name, **more}


def saved(server: TestClient, revision: int, objects: list[Any], status: str = "done") -> Any:
    return server.put(f"{P}/items/bus.jpg", json={"revision": revision, "status": status, "objects": objects})


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_projects(server: TestClient) -> None:
    assert server.get("/api/models").json()["projects"] is True
    assert {"name": "My street", "pictures": 1, "done": 0} in server.get("/api/projects").json()["projects"]
    again = server.post("/api/projects", json={"name": "my street"})
    assert (again.status_code, again.json()) == (409, {"error": "There is a project 'my street' already."})
    for name in ("../x", "a/b", "CON", "", "ü", "x" * 300):
        answer = server.post("/api/projects", json={"name": name})
        assert (answer.status_code, "A project's name is" in answer.json()["error"]) == (400, True)
    assert server.post("/api/projects", json={"nom": "x"}).status_code == 422
    for path in ("x", "..%2Fserver", "%2e%2e", "a%00b"):
        assert server.get(f"/api/projects/{path}").status_code == 404


def test_pictures_are_added(server: TestClient, folder: Path) -> None:
    item = {"name": "bus.jpg", "status": "new", "objects": 0, "width": 640, "height": 427, "revision": 0}
    again = server.post(f"{P}/items", params={"name": "other.jpg"}, content=BUS)
    assert (again.status_code, again.json()) == (200, item)
    other = server.post(f"{P}/items", params={"name": "../../bus.png"}, files={"file": ("x", STREET)})
    assert (other.status_code, other.json()["name"]) == (201, "bus-2.jpg")
    assert (folder / "My street" / "bus-2.jpg").read_bytes() == STREET
    listed = server.get(P).json()
    assert listed["name"] == "My street"
    assert listed["labels"] == []
    assert [one["name"] for one in listed["items"]] == ["bus-2.jpg", "bus.jpg"]
    assert listed["items"][1] == item
    for data, status in ((b"hello", 400), (b"", 400), (BUS[:9000], 400)):
        answer = server.post(f"{P}/items", params={"name": "x.jpg"}, content=data)
        assert answer.status_code == status
        assert str(folder) not in answer.json()["error"]
        assert "upload-" not in answer.json()["error"]
    assert len(server.get(P).json()["items"]) == 2
    assert server.post("/api/projects/none/items?name=x.jpg", content=BUS).status_code == 404


def test_pictures_are_shown_small(server: TestClient, folder: Path) -> None:
    path = f"{P}/items/bus.jpg/image"
    small = server.get(path, params={"max": 160})
    assert Image.open(BytesIO(small.content)).size == (160, 107)
    assert server.get(path, params={"max": 160}, headers={"If-None-Match": small.headers["etag"]}).status_code == 304
    (folder / "My street" / "bus.jpg").write_bytes(STREET)  # a person puts another picture in its place
    other = server.get(path, params={"max": 160}, headers={"If-None-Match": small.headers["etag"]})
    assert Image.open(BytesIO(other.content)).size == (160, 120)
    before = json.loads(server.get(f"{P}/items/bus.jpg").text)["picture"]
    (folder / "My street" / "bus.jpg").write_bytes(BUS)
    server.app.state.server.store.memory.drop(lambda key: True)  # type: ignore[attr-defined]
    click = {"prompts": [{"points": [[9, 9]]}]}
    assert server.post(f"/api/pictures/{before}/predict", json=click).status_code == 410  # never another's masks
    assert server.get(f"{P}/items/none.jpg/image").status_code == 404
    assert server.get(f"{P}/items/..%2f..%2fx.jpg/image").status_code == 404


def test_annotations_are_saved_and_conflicts_answered(server: TestClient) -> None:
    first = server.get(f"{P}/items/bus.jpg").json()
    assert (first["status"], first["revision"], first["objects"]) == ("new", 0, [])
    assert server.get(f"/api/pictures/{first['picture']}").json()["width"] == first["width"] == 640
    assert sent(server) == first["picture"]
    one = obj(id=3, color="#112233", hidden=True, source="brush", score=0.5, point=[3, 4], confirmed=True)
    assert saved(server, 0, [one, obj("tram", 20)]).json() == {"revision": 1}
    found = server.get(f"{P}/items/bus.jpg").json()
    assert (found["status"], found["revision"]) == ("done", 1)
    assert found["objects"][0] == one
    assert found["objects"][1]["name"] == "tram"
    conflict = saved(server, 0, [])
    assert conflict.status_code == 409
    assert conflict.json() == {
        "error": "bus.jpg was saved by somebody else meanwhile.",
        "revision": 1,
        "status": "done",
        "objects": found["objects"],
    }
    assert server.get(P).json()["labels"] == ["bus", "tram"]


def test_annotations_that_cannot_be(server: TestClient, folder: Path) -> None:
    for objects, status, code in [
        ([{"rle": {"size": [1, 1], "counts": [1]}}], "done", 400),
        ([obj("x" * 201)], "done", 400),
        ([obj(color="red")], "done", 400),
        ([], "finished", 400),
        ([5], "done", 422),
        ("many", "done", 422),
    ]:
        answer = saved(server, 0, objects, status)  # type: ignore[arg-type]
        assert answer.status_code == code
        assert answer.json()["error"].endswith(".")
    assert saved(server, -1, []).status_code == 422
    assert not (folder / "My street" / "bus.json").exists()
    for name in ("..%2F..%2Fsecret.jpg", "..%2Fbus.jpg", "a%2Fb.jpg"):  # with a slash, no item's address
        assert server.get(f"{P}/items/{name}").status_code == 404
        assert server.delete(f"{P}/items/{name}").status_code in (404, 405)
    for name in ("x.jpg", "..%5Cbus.jpg", ".lock", "bus.json", "bus.jpg%00", "x" * 300 + ".jpg"):
        body = {"revision": 0, "status": "done", "objects": []}
        assert server.get(f"{P}/items/{name}").status_code == 404
        assert server.put(f"{P}/items/{name}", json=body).status_code == 404
        assert server.delete(f"{P}/items/{name}").status_code == 404


def test_files_that_a_person_damages(server: TestClient, folder: Path) -> None:
    saved(server, 0, [obj()])
    (folder / "My street" / "bus.json").write_text("{")
    (item,) = server.get(P).json()["items"]
    assert item["error"].startswith("bus.json is not valid JSON")
    found = server.get(f"{P}/items/bus.jpg").json()
    assert (found["objects"], found["error"]) == ([], item["error"])
    assert saved(server, 1, []).status_code == 409
    assert saved(server, found["revision"], [obj()]).status_code == 200
    assert (folder / "My street" / "bus.json.damaged-1").read_text() == "{"
    (folder / "My street" / "bad.jpg").write_bytes(b"hello")
    answer = server.get(f"{P}/items/bad.jpg")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("bad.jpg is in no format")


def test_removing(server: TestClient, folder: Path) -> None:
    saved(server, 0, [obj()])
    assert server.delete(f"{P}/items/bus.jpg").status_code == 204
    assert server.get(P).json()["items"] == []
    assert {path.name for path in (folder / "My street" / ".removed").iterdir()} == {"bus.jpg", "bus.json"}
    assert server.get(f"{P}/items/bus.jpg").status_code == 404


@pytest.mark.parametrize("format", ["coco", "yolo", "labels", "labelme", "sa1b"])
def test_export_and_import(server: TestClient, format: str) -> None:
    saved(server, 0, [obj("bus")])
    answer = server.get(f"{P}/export", params={"format": format})
    assert answer.headers["content-type"] == "application/zip"
    assert f"My%20street.{format}.zip" in answer.headers["content-disposition"]
    with ZipFile(BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert sum(name.endswith("bus.jpg") for name in archive.namelist()) == 1
    bare = server.get(f"{P}/export", params={"format": format, "pictures": "false"})
    with ZipFile(BytesIO(bare.content)) as archive:
        assert not any(name.endswith("bus.jpg") for name in archive.namelist())
    copy = f"/api/projects/copy of {format}"
    assert server.post("/api/projects", json={"name": f"copy of {format}"}).status_code == 201
    report = server.post(f"{copy}/import", content=answer.content)
    assert (report.status_code, report.json()) == (200, {"pictures": 1, "objects": 1, "skipped": []})
    (found,) = server.get(f"{copy}/items/bus.jpg").json()["objects"]
    assert found["rle"] == obj()["rle"]


def test_exports_and_imports_that_cannot_be(server: TestClient) -> None:
    assert server.get(f"{P}/export", params={"format": "docx"}).status_code == 400
    for data in (b"hello", b"PK hello", b"{}", b""):
        answer = server.post(f"{P}/import", content=data)
        assert answer.status_code == 400
        assert answer.json()["error"].endswith(".")
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil.jpg", BUS)
        archive.writestr("good.jpg", STREET)
    report = server.post(f"{P}/import", content=buffer.getvalue()).json()
    assert report["pictures"] == 1
    assert "leads out of the zip" in report["skipped"][0]
    data = {"images": [], "annotations": []}
    assert server.post(f"{P}/import", json=data).json() == {"pictures": 0, "objects": 0, "skipped": []}


def test_a_full_disk_is_told(server: TestClient) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        answer = saved(server, 0, [obj()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert answer.status_code == 507
    assert answer.json()["error"].startswith("The annotations of bus.jpg cannot be saved (File too large)")
    assert saved(server, 0, [obj()]).json() == {"revision": 1}


def test_automatic_masks_of_what_is_new(server: TestClient, folder: Path) -> None:
    server.post(f"{P}/items", params={"name": "street.jpg"}, content=STREET)
    (folder / "My street" / "bad.jpg").write_bytes(b"hello")
    saved(server, 0, [obj("mine")])
    answer = server.post(f"{P}/automatic", json={"points_per_side": 8})
    assert answer.headers["content-type"] == "application/x-ndjson"
    start, *progress, item, done = events(answer.text)
    assert start == {"type": "start", "model": "pocket", "total": 1}
    assert done == {"type": "done"}
    assert (progress[0]["done"], progress[-1]["done"], progress[-1]["name"]) == (0, 64, "street.jpg")
    assert {key: item[key] for key in ("type", "name", "done", "total")} == {
        "type": "item", "name": "street.jpg", "done": 1, "total": 1
    }  # fmt: skip
    found = server.get(f"{P}/items/street.jpg").json()
    expected = anymask.Segmenter("pocket").encode(STREET).everything(points_per_side=8)
    assert len(found["objects"]) == item["objects"] == len(expected) > 0
    assert {one["rle"]["counts"] for one in found["objects"]} == {one["counts"] for one in expected.rles()}
    areas = [rle.area(one["rle"]) for one in found["objects"]]
    assert areas == sorted(areas)
    assert (found["status"], found["objects"][0]["source"]) == ("started", "everything")
    assert {"score", "stability_score", "point"} <= set(found["objects"][0])
    assert [one["name"] for one in server.get(f"{P}/items/bus.jpg").json()["objects"]] == ["mine"]
    assert events(server.post(f"{P}/automatic").text)[-1] == {"type": "done"}
    again = events(server.post(f"{P}/automatic", json={"points_per_side": 4, "only_new": False}).text)
    assert [one["name"] for one in again if one["type"] == "item"] == ["bus.jpg", "street.jpg"]
    assert server.get(f"{P}/items/bus.jpg").json()["objects"][0]["name"] == "mine"
    assert {record.path.name for record in read_folder(folder / "My street")} == {"bus.jpg", "street.jpg"}


def test_automatic_masks_that_cannot_be(server: TestClient) -> None:
    assert server.post(f"{P}/automatic", json={"stability_score_thresh": 5}).status_code == 400
    assert server.post(f"{P}/automatic", json={"points_per_side": 0}).status_code == 422
    assert server.post(f"{P}/automatic", json={"model": "sam_vit_b"}).status_code == 403
    assert server.post("/api/projects/none/automatic").status_code == 404


def test_a_server_without_projects() -> None:
    with client() as server:
        assert server.get("/api/models").json()["projects"] is False
        for path in ("/api/projects", "/api/projects/x", "/api/projects/x/items/y.jpg", "/api/projects/x/export"):
            answer = server.get(path)
            assert answer.status_code == 404
            assert answer.json()["error"] == "This server keeps no projects; start it with --projects FOLDER."


def test_projects_need_the_key(tmp_path: Path) -> None:
    with client(projects=tmp_path, api_key="secret") as server:
        assert server.get("/api/projects").status_code == 401
        assert server.post("/api/projects", json={"name": "x"}).status_code == 401
        assert server.get("/api/projects", headers={"X-API-Key": "secret"}).json() == {"projects": []}
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_automatic_masks_end_with_the_connection(tmp_path: Path) -> None:
    pictures = tmp_path / "projects" / "p"
    pictures.mkdir(parents=True)
    for i in range(6):
        (pictures / f"{i}.jpg").write_bytes(STREET)
    with (
        Process("--projects", str(tmp_path / "projects"), cwd=tmp_path) as process,
        httpx.Client(base_url=process.address, timeout=60, trust_env=False) as http,
    ):
        body = {"points_per_side": 32}
        with http.stream("POST", "/api/projects/p/automatic", json=body) as answer:
            for line in answer.iter_lines():
                if json.loads(line)["type"] == "item":
                    break
        time.sleep(3)
        statuses = [item["status"] for item in http.get("/api/projects/p").json()["items"]]
        assert statuses[0] == "started"
        assert statuses.count("started") <= 2
        left = statuses.count("new")
        assert left >= 4
        # What was done is saved, and the rest can be gone on with.
        http.post("/api/projects/p/automatic", json={"points_per_side": 4})
        assert [item["status"] for item in http.get("/api/projects/p").json()["items"]] == ["started"] * 6


@pytest.mark.slow
def test_a_killed_server_loses_nothing_that_it_said_was_saved(tmp_path: Path) -> None:
    place = tmp_path / "projects"
    last = 0
    for attempt in range(2):
        with (
            Process("--projects", str(place), cwd=tmp_path) as process,
            httpx.Client(base_url=process.address, timeout=60, trust_env=False) as http,
        ):
            if attempt == 0:
                http.post("/api/projects", json={"name": "p"})
                http.post("/api/projects/p/items?name=bus.jpg", content=BUS)
            assert http.get("/api/projects/p").json()["items"][0]["revision"] == last
            for _ in range(10):
                body = {"revision": last, "status": "started", "objects": [obj(str(last))]}
                last = http.put("/api/projects/p/items/bus.jpg", json=body).json()["revision"]
            process.kill()
    assert last == 20
    assert json.loads((place / "p" / "bus.json").read_text())["annotations"][0]["category"] == "19"
