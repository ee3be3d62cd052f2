"""`anymask segment` over several pictures and folders, with the prompts of each from a JSON file."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import Ran, ran
from PIL import Image

import anymask
from anymask import rle
from anymask.errors import PromptError
from anymask.formats.prompts import match, read_prompts

ASSETS = Path(__file__).parents[1] / "assets"
BUS_BOX = [120, 110, 570, 320]


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def pocket() -> anymask.Segmenter:
    return anymask.Segmenter("pocket")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], pocket: anymask.Segmenter, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("anymask.segmenter.Segmenter", lambda *_: pocket)

    return partial(ran, capsys)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """bus.jpg and flowers.jpg, and a street in a folder of its own."""
    folder = tmp_path / "album"
    (folder / "north").mkdir(parents=True)
    for name in ("bus", "flowers"):
        (folder / f"{name}.jpg").write_bytes((ASSETS / f"{name}.jpg").read_bytes())
    (folder / "north" / "street.jpg").write_bytes((ASSETS / "street.jpg").read_bytes())
    return folder


def written(folder: Path, content: Any) -> Path:
    path = folder.parent / "prompts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


PROMPTS = {
    "bus.jpg": [
        {"points": [[400, 220], [10, 10]], "labels": [1, 0], "name": "bus"},
        {"box": BUS_BOX},
        {"points": [[400, 220]], "name": "bus"},
    ],
    "north/street.jpg": [{"points": [[300, 200]]}],
}


def test_each_picture_has_its_own_prompts(run: Run, album: Path, pocket: anymask.Segmenter) -> None:
    prompts, out = written(album, PROMPTS), album.parent / "out"
    ran = run("segment", album, "-r", "--prompts", prompts, "-o", out, "--format", "json")
    assert ran.code == 0
    assert "Without prompts in prompts.json, left out: flowers.jpg\n" in ran.err
    assert "2 written, 0 there already, 0 failed" in ran.err
    assert files(out) == {"bus.mask.json", "north/street.mask.json"}

    found = json.loads((out / "bus.mask.json").read_text())
    assert found["categories"] == [{"id": 1, "name": "bus"}, {"id": 2, "name": "object"}]
    assert [annotation["category_id"] for annotation in found["annotations"]] == [1, 2, 1]
    image = pocket.encode(album / "bus.jpg")
    expected = [
        image.predict(points=[(400, 220), (10, 10)], labels=[1, 0]),
        image.predict(box=BUS_BOX),
        image.predict(points=[(400, 220)]).best,
    ]
    for annotation, masks in zip(found["annotations"], expected, strict=True):
        mask = rle.decode(annotation["segmentation"])
        assert np.mean(mask != masks.array[0]) < 1e-3  # decoded in another batch: the last bits may differ
        assert annotation["score"] == pytest.approx(masks.scores[0], abs=1e-3)

    street = json.loads((out / "north/street.mask.json").read_text())
    assert street["categories"] == [{"id": 1, "name": "object"}]
    assert len(street["annotations"]) == 1


def test_candidates_keep_their_names(run: Run, album: Path) -> None:
    prompts = written(album, {"bus.jpg": [{"box": BUS_BOX, "name": "bus"}, {"points": [[5, 5]], "name": "sky"}]})
    target = album / "all.json"
    assert run("segment", album / "bus.jpg", "--prompts", prompts, "--multimask", "-o", target).code == 0
    found = json.loads(target.read_text())
    assert [annotation["category_id"] for annotation in found["annotations"]] == [1, 1, 1, 2, 2, 2]
    assert [category["name"] for category in found["categories"]] == ["bus", "sky"]


def test_label_pictures_and_overlays_lie_beside_the_pictures(run: Run, album: Path) -> None:
    prompts = written(album, PROMPTS)
    assert run("segment", album, "--prompts", prompts, "--overlay").code == 0
    assert files(album) >= {"bus.mask.png", "bus.overlay.png"}
    with Image.open(album / "bus.mask.png") as labels:
        assert set(np.unique(np.array(labels))) <= {0, 1, 2, 3}
    again = run("segment", album, "--prompts", prompts, "--overlay")
    assert "0 written, 1 there already, 0 failed" in again.err, "results of the first run are no pictures"


def test_one_click_for_several_pictures(run: Run, album: Path) -> None:
    ran = run("segment", album / "bus.jpg", album / "flowers.jpg", "--point", "300,200")
    assert ran.code == 0
    assert files(album) >= {"bus.mask.png", "flowers.mask.png"}


def test_what_is_missing_and_what_is_broken_is_reported(run: Run, album: Path) -> None:
    (album / "bus.jpg").write_bytes(b"\xff\xd8 no picture")
    prompts = written(
        album,
        {"bus.jpg": [{"box": BUS_BOX}], "flowers.jpg": [{"points": [[300, 200]]}], "gone.jpg": [{"box": BUS_BOX}]},
    )
    ran = run("segment", album, "--prompts", prompts, "-o", album.parent / "out")
    assert ran.code == 1
    assert "In prompts.json, but not among the pictures: gone.jpg\n" in ran.err
    assert "bus.jpg is damaged" in ran.err or "bus.jpg is in no format" in ran.err
    assert "1 written, 0 there already, 1 failed" in ran.err
    assert files(album.parent / "out") == {"flowers.mask.png"}


def test_a_prompt_outside_of_its_picture_fails_that_picture(run: Run, album: Path) -> None:
    prompts = written(album, {"bus.jpg": [{"points": [[4000, 2]]}], "flowers.jpg": [{"points": [[300, 200]]}]})
    ran = run("segment", album, "--prompts", prompts)
    assert ran.code == 1
    assert "(4000, 2) lies outside of the picture of 640 x 427 pixels" in ran.err
    assert "1 written" in ran.err


def test_refused_before_any_work(run: Run, album: Path) -> None:
    prompts = written(album, {"gone.jpg": [{"box": BUS_BOX}]})
    ran = run("segment", album, "--prompts", prompts)
    assert ran.code == 2
    assert "has no prompts for any of the pictures" in ran.err
    ran = run("segment", album, "--prompts", prompts, "--point", "1,1")
    assert ran.code == 2
    assert "either --prompts or points" in ran.err
    ran = run("segment", album, "--prompts", album / "none.json")
    assert ran.code == 2
    assert "none.json cannot be read (No such file or directory)" in ran.err
    assert files(album) == {"bus.jpg", "flowers.jpg", "north/street.jpg"}


def test_everything_reads_ahead_and_goes_on(run: Run, album: Path) -> None:
    (album / "broken.jpg").write_bytes((ASSETS / "bus.jpg").read_bytes()[:9000])
    ran = run("everything", album, "-r", "-o", album.parent / "out", "--points-per-side", "3")
    assert ran.code == 1
    assert "broken.jpg is damaged" in ran.err
    assert "3 written, 0 there already, 1 failed" in ran.err
    assert files(album.parent / "out") == {"bus.masks.json", "flowers.masks.json", "north/street.masks.json"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a.jpg": [\n{"box": [1, 2, 3,]}]}', r"not valid JSON: .*line 2, column 1\d"),
        ("", "not valid JSON: .*line 1, column 1"),
        ("[]", "must be an object whose keys name pictures, not a list"),
        ('{"a.jpg": {"box": [1, 2, 3, 4]}}', "'a.jpg': there must be a list of one or more prompts, not {"),
        ('{"a.jpg": []}', "'a.jpg': there must be a list of one or more prompts"),
        ('{"a.jpg": [{"box": [1, 2, 3, 4]}, [1, 2]]}', r"'a.jpg', prompt 2: it must be an object .* not \[1, 2\]"),
        (
            '{"a.jpg": [{"bbox": [1, 2, 3, 4]}]}',
            "prompt 1: there is no key 'bbox'; known are points, labels, box, name",
        ),
        ('{"a.jpg": [{"name": "cat"}]}', "prompt 1: The prompt is empty"),
        ('{"a.jpg": [{"box": [1, 2, 3, 4], "name": 7}]}', "prompt 1: the name must be text, not 7"),
        ('{"a.jpg": [{"box": [9, 2, 3, 4]}]}', r"prompt 1: The box \(9, 2, 3, 4\) has no area"),
        ('{"a.jpg": [{"points": [1, 2]}]}', "prompt 1: The points must be a list of"),
        ('{"a.jpg": [{"points": [[1, 2]], "labels": [2]}]}', "prompt 1: A label must be 1"),
        ('{"a.jpg": [{"points": [[NaN, 2]]}]}', "prompt 1: The points must be finite"),
        ('{"a.jpg": [{"points": "here"}]}', "prompt 1: The points must be numbers"),
        ('{"a.jpg": [{"box": [1, 2, 3, 4]}], "a.jpg": [{"box": [1, 2, 3, 4]}]}', "the key 'a.jpg' stands there twice"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(content)
    with pytest.raises(PromptError, match=r"prompts\.json.*" + said):
        read_prompts(path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "prompts.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PromptError, match="is not text in UTF-8"):
        read_prompts(tmp_path / "prompts.json")


def test_pictures_are_told_by_the_end_of_their_path(tmp_path: Path) -> None:
    north, south, lone = tmp_path / "north/a.jpg", tmp_path / "south/a.jpg", tmp_path / "b.jpg"
    pictures = [north, south, lone]
    prompts: dict[str, list[Any]] = {"north/a.jpg": [1], str(south): [2], "./b.jpg": [3], "c.jpg": [4], "rth/a.jpg": []}
    assert match(prompts, pictures) == ({north: [1], south: [2], lone: [3]}, ["c.jpg", "rth/a.jpg"])
    with pytest.raises(PromptError, match=r"'a\.jpg' could be .*north/a\.jpg or .*south/a\.jpg; write more"):
        match({"a.jpg": []}, pictures)
    with pytest.raises(PromptError, match=r"b\.jpg has prompts as 'b\.jpg' and as '\./b\.jpg'; put them together"):
        match({"b.jpg": [], "./b.jpg": []}, pictures)
