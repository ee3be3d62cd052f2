"""Pictures and masks over HTTP, against the same asked of the package itself."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from served import ASSETS, BUS, sent
from starlette.testclient import TestClient

import anymask
from anymask import rle
from anymask.everything import everything, everything_in_steps

POINT = (320.0, 200.0)
BOX = (100.0, 80.0, 560.0, 350.0)


@pytest.fixture(scope="module")
def encoded() -> anymask.EncodedImage:
    return anymask.Segmenter("pocket").encode(BUS)


def asked(server: TestClient, picture: str, **body: Any) -> Any:
    answer = server.post(f"/api/pictures/{picture}/predict", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_same_bytes_have_the_same_id(server: TestClient) -> None:
    first = server.post("/api/pictures", content=BUS)
    form = server.post("/api/pictures", files={"file": ("anything.bin", BUS)})
    assert first.status_code == form.status_code == 201
    assert first.json() == form.json() == server.get(f"/api/pictures/{first.json()['id']}").json()
    assert (first.json()["width"], first.json()["height"], first.json()["format"]) == (640, 427, "JPEG")


def test_a_picture_is_turned_by_its_exif(server: TestClient) -> None:
    image = Image.open(io.BytesIO(BUS)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    picture = server.post("/api/pictures", content=buffer.getvalue()).json()
    assert (picture["width"], picture["height"]) == (427, 640)
    shown = server.get(f"/api/pictures/{picture['id']}/image", params={"max": 320})
    assert shown.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(shown.content)).size == (214, 320)


def test_a_picture_is_shown_as_it_was_sent_or_reduced(server: TestClient, bus: str) -> None:
    whole = server.get(f"/api/pictures/{bus}/image")
    assert whole.content == BUS
    again = server.get(f"/api/pictures/{bus}/image", headers={"If-None-Match": whole.headers["etag"]})
    assert again.status_code == 304
    small = server.get(f"/api/pictures/{bus}/image", params={"max": 160})
    assert Image.open(io.BytesIO(small.content)).size == (160, 107)


def test_masks_are_those_of_the_package(server: TestClient, bus: str, encoded: anymask.EncodedImage) -> None:
    answer = asked(server, bus, prompts=[{"points": [POINT]}, {"box": BOX}], polygons=True)
    assert (answer["model"], answer["width"], answer["height"]) == ("pocket", 640, 427)
    click, box = (result["masks"] for result in answer["results"])
    expected = encoded.predict(points=[POINT])
    order = np.argsort(-expected.scores, kind="stable")
    assert [mask["rle"] for mask in click] == [expected.rles()[i] for i in order]
    assert [mask["score"] for mask in click] == pytest.approx(expected.scores[order], abs=1e-4)
    assert [mask["area"] for mask in click] == expected.areas[order].tolist()
    assert click[0]["box"] == expected[int(order[0])].boxes[0].tolist()
    assert len(box) == 1
    assert box[0]["rle"] == encoded.predict(box=BOX).rles()[0]
    assert box[0]["polygons"] == [ring.tolist() for ring in encoded.predict(box=BOX).polygons()[0]]


def test_a_mask_is_refined_by_its_id(server: TestClient, bus: str, encoded: anymask.EncodedImage) -> None:
    first = asked(server, bus, prompts=[{"points": [POINT]}])["results"][0]["masks"]
    second = asked(server, bus, prompts=[{"points": [POINT, (40, 40)], "labels": [1, 0], "mask_id": first[1]["id"]}])
    before = encoded.predict(points=[POINT])
    chosen = int(np.argsort(-before.scores, kind="stable")[1])
    points = [POINT, (40, 40)]
    expected = encoded.predict(points=points, labels=[1, 0], mask=before.logits[chosen])
    found = second["results"][0]["masks"][0]
    assert found["rle"] == expected.rles()[0]
    # And an answer to that by its own id: questions lead back to questions.
    third = asked(server, bus, prompts=[{"points": [POINT], "mask_id": found["id"]}])["results"][0]["masks"][0]
    assert third["rle"] == encoded.predict(points=[POINT], mask=expected.logits[0]).rles()[0]


def test_a_mask_that_was_drawn_is_refined(server: TestClient, bus: str, encoded: anymask.EncodedImage) -> None:
    drawn = np.zeros((427, 640), bool)
    drawn[130:310, 125:525] = True
    body = {"points": [POINT], "mask": rle.compress(rle.encode(drawn))}
    with_mask = asked(server, bus, prompts=[body])["results"][0]["masks"][0]["rle"]
    mask = rle.decode(with_mask)
    overlap = (mask & drawn).sum() / (mask | drawn).sum()
    alone = rle.decode(asked(server, bus, prompts=[{"points": [(20, 400)]}])["results"][0]["masks"][0]["rle"])
    assert overlap > 0.8
    assert (alone & drawn).sum() / (alone | drawn).sum() < 0.5
    wrong = {"points": [POINT], "mask": {"size": [20, 20], "counts": [400]}}
    answer = server.post(f"/api/pictures/{bus}/predict", json={"prompts": [wrong]})
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        "The mask is of a picture of 20 x 20 pixels, not of 640 x 427.",
    )


@pytest.mark.parametrize("kind", ["image/png", "application/geo+json", "image/svg+xml", "application/x-npz"])
def test_other_kinds_of_answers(server: TestClient, bus: str, encoded: anymask.EncodedImage, kind: str) -> None:
    body = {"prompts": [{"points": [POINT]}, {"box": BOX}]}
    answer = server.post(f"/api/pictures/{bus}/predict", json=body, headers={"Accept": kind})
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == kind
    best = [encoded.predict(points=[POINT]).best.array[0], encoded.predict(box=BOX).array[0]]
    if kind == "image/png":
        labels = np.array(Image.open(io.BytesIO(answer.content)))
        assert ((labels > 0) == (best[0] | best[1])).all()
    elif kind == "application/x-npz":
        with np.load(io.BytesIO(answer.content)) as arrays:
            assert (arrays["masks"] == best).all()
    elif kind == "application/geo+json":
        assert len(answer.json()["features"]) == 2
    else:
        assert answer.text.count("<path") == 2


def lines_of(server: TestClient, picture: str, **body: Any) -> list[dict[str, Any]]:
    answer = server.post(f"/api/pictures/{picture}/everything", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize(
    "options",
    [
        {"points_per_side": 10, "points_per_batch": 16},
        {"points_per_side": 8, "crop_n_layers": 1, "points_per_batch": 16},
        {"points_per_side": 14, "min_mask_region_area": 100.0, "points_per_batch": 16},
    ],
)
def test_everything_as_it_is_found(
    server: TestClient, bus: str, encoded: anymask.EncodedImage, options: dict[str, Any]
) -> None:
    events = lines_of(server, bus, **options)
    expected = everything(encoded, **options)
    assert len(expected) > 3
    assert events[0]["type"] == "start"
    assert events[-1]["type"] == "done"
    alive: dict[int, dict[str, Any]] = {}
    told = []
    for event in events:
        if event["type"] == "mask":
            assert event["key"] not in alive
            alive[event["key"]] = event
        elif event["type"] == "drop":
            for key in event["keys"]:
                del alive[key]
        elif event["type"] == "progress":
            told.append(event["done"])
    assert told == sorted(told)
    assert told[-1] == events[0]["total"]
    assert len(told) > 3  # masks came before the end
    assert sorted(alive) == sorted(events[-1]["keys"])
    assert [alive[key]["rle"] for key in events[-1]["keys"]] == expected.rles()
    assert [alive[key]["area"] for key in events[-1]["keys"]] == expected.areas.tolist()
    found = [alive[key]["stability_score"] for key in events[-1]["keys"]]
    assert found == pytest.approx(expected.extra["stability_score"], abs=1e-4)


def test_everything_at_the_end(server: TestClient, bus: str, encoded: anymask.EncodedImage) -> None:
    body = {"points_per_side": 10, "stream": False}
    answer = server.post(f"/api/pictures/{bus}/everything", json=body).json()
    expected = everything(encoded, points_per_side=10)
    assert [mask["rle"] for mask in answer["masks"]] == expected.rles()
    labels = server.post(f"/api/pictures/{bus}/everything", json=body, headers={"Accept": "image/png"})
    assert np.array(Image.open(io.BytesIO(labels.content))).max() == len(expected)


def test_steps_of_a_search_that_is_closed(encoded: anymask.EncodedImage) -> None:
    search = everything_in_steps(encoded, points_per_side=8, points_per_batch=16)
    assert next(search).done == 0
    assert next(search).done == 16
    search.close()
    with pytest.raises(anymask.PromptError, match="points_per_batch"):
        everything_in_steps(encoded, points_per_batch=0)


@pytest.mark.parametrize("form", ["coco", "png", "svg", "geojson", "npz", "yolo", "labels", "labelme", "sa1b"])
def test_objects_as_a_file(server: TestClient, bus: str, form: str) -> None:
    (mask,) = asked(server, bus, prompts=[{"box": BOX}])["results"][0]["masks"]
    body = {"format": form, "file_name": "my bus.jpg", "objects": [{"rle": mask["rle"], "name": "bus"}]}
    answer = server.post(f"/api/pictures/{bus}/export", json=body)
    assert answer.status_code == 200, answer.text
    assert "my%20bus" in answer.headers["content-disposition"]
    if form == "coco":
        data = answer.json()
        assert data["annotations"][0]["segmentation"] == mask["rle"]
        assert data["categories"][0]["name"] == "bus"
    elif form == "png":
        assert (np.array(Image.open(io.BytesIO(answer.content)).convert("L")) > 0).sum() == mask["area"]


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"prompts": []}, 422, "prompts"),
    ({"prompts": [{}]}, 400, "empty"),
    ({"prompts": [{"points": [[9999, 1]]}]}, 400, "outside"),
    ({"prompts": [{"points": [[1, 2, 3]]}]}, 422, "points"),
    ({"prompts": [{"box": [5, 5, 5, 5]}]}, 400, "no area"),
    ({"prompts": [{"points": [[1, 1]], "labels": [7]}]}, 422, "labels"),
    ({"prompts": [{"points": [[1, 1]], "colour": "red"}]}, 422, "colour"),
    ({"prompts": [{"points": [[1, 1]]}], "model": "sam_vit_x"}, 400, "no model called"),
    ({"prompts": [{"points": [[1, 1]]}], "model": "sam_vit_b"}, 403, "does not offer sam_vit_b"),
    ({"prompts": [{"points": [[1, 1]], "mask_id": "nothing"}]}, 410, "not known any more"),
    ({"prompts": [{"points": [[1, 1]], "mask": {"size": [427, 640], "counts": "\x00zz"}}]}, 400, "cannot be read"),
]


@pytest.mark.parametrize(("body", "status", "said"), BAD)
def test_what_cannot_be_is_said(server: TestClient, bus: str, body: dict[str, Any], status: int, said: str) -> None:
    answer = server.post(f"/api/pictures/{bus}/predict", json=body)
    assert answer.status_code == status
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [{"pred_iou_thresh": 3}, {"points_per_batch": -1}, {"points_per_side": 1000}, {"x": 1}]
)
def test_a_search_that_cannot_be(server: TestClient, bus: str, body: dict[str, Any]) -> None:
    assert server.post(f"/api/pictures/{bus}/everything", json=body).status_code in (400, 422)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no bytes"),
        (b"hello", "no format that can be read"),
        (BUS[:2000], "damaged"),
        (BUS[:50] + bytes(1000), "no format that can be read"),
    ],
)
def test_what_is_no_picture(server: TestClient, data: bytes, said: str) -> None:
    for answer in (
        server.post("/api/pictures", content=data),
        server.post("/api/pictures", files={"file": ("x.jpg", data)}),
    ):
        assert answer.status_code == 400
        assert said in answer.json()["error"]
        assert "anymask-" not in answer.json()["error"]  # no path of the server's
    assert server.post("/api/pictures", data={"name": "x"}, files={"other": b"y"}).status_code == 400
    assert server.get("/healthz").status_code == 200


def test_ids_that_nothing_has(server: TestClient, bus: str) -> None:
    for path in ("/api/pictures/x", "/api/pictures/x/image"):
        assert server.get(path).status_code == 404
    assert server.post("/api/pictures/x/predict", json={"prompts": [{"points": [[1, 1]]}]}).status_code == 404
    assert server.post("/api/pictures/x/everything", json={}).status_code == 404
    assert server.post("/api/pictures/x/cutout", json={}).status_code == 404
    flowers = sent(server, (ASSETS / "flowers.jpg").read_bytes())
    assert server.delete(f"/api/pictures/{flowers}").status_code == 204
    gone = server.get(f"/api/pictures/{flowers}")
    assert (gone.status_code, gone.json()["error"]) == (410, "This picture was dropped to make room; send it again.")
    assert sent(server, (ASSETS / "flowers.jpg").read_bytes()) == flowers


def test_pictures_to_try(server: TestClient) -> None:
    assert server.get("/api/models").json()["samples"] == ["bus.jpg", "flowers.jpg", "street.jpg"]
    assert server.get("/api/samples/bus.jpg").content == BUS
    for name in ("README.md", "..%2f..%2fpyproject.toml", "none.jpg"):
        assert server.get(f"/api/samples/{name}").status_code == 404
