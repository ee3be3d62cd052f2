"""Many pictures: what is written where, what is left alone, and what happens when one is bad."""

from pathlib import Path

import pytest

from anymask.errors import ImageError
from anymask.folders import Job, jobs, process

SUFFIX = ".cutout.png"


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """album/{a.jpg, b.PNG, notes.txt, .hidden.jpg, trip/{c.webp, day/d.tif}, .thumbs/t.jpg}"""
    for name in ("a.jpg", "b.PNG", "notes.txt", ".hidden.jpg", "trip/c.webp", "trip/day/d.tif", ".thumbs/t.jpg"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "album"


def names(found: list[Job], root: Path) -> dict[str, str]:
    return {str(job.source.relative_to(root)): str(job.target.relative_to(root)) for job in found}


def copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def test_beside_the_pictures(album: Path) -> None:
    assert names(jobs([album], suffix=SUFFIX), album) == {"a.jpg": "a.cutout.png", "b.PNG": "b.cutout.png"}
    assert names(jobs([album / "notes.txt"], suffix=SUFFIX), album) == {"notes.txt": "notes.cutout.png"}


def test_into_a_folder_with_the_same_structure(album: Path) -> None:
    out = album.parent / "out"
    assert names(jobs([album], out, suffix=".png", recursive=True), album.parent) == {
        "album/a.jpg": "out/a.png",
        "album/b.PNG": "out/b.png",
        "album/trip/c.webp": "out/trip/c.png",
        "album/trip/day/d.tif": "out/trip/day/d.png",
    }
    assert len(jobs([album], out, suffix=".png")) == 2
    assert not out.exists()


def test_one_picture_to_a_file_or_a_folder(album: Path) -> None:
    picture = album / "a.jpg"
    assert jobs([picture], album / "x.png", suffix=".png")[0].target == album / "x.png"
    assert jobs([picture], album / "new", suffix=".png")[0].target == album / "new" / "a.png"
    (album / "v1.5").mkdir()
    assert jobs([picture], album / "v1.5", suffix=".png")[0].target == album / "v1.5" / "a.png"
    with pytest.raises(ImageError, match=r"need a folder .*x\.png names one file"):
        jobs([picture, album / "b.PNG"], album / "x.png", suffix=".png")


def test_a_picture_named_twice_is_done_once(album: Path) -> None:
    assert len(jobs([album, album / "a.jpg", album / "a.jpg"], suffix=SUFFIX)) == 2


def test_results_of_earlier_runs_are_no_pictures(album: Path) -> None:
    process(jobs([album], suffix=SUFFIX), copy)
    again = jobs([album], suffix=SUFFIX)
    assert names(again, album) == {"a.jpg": "a.cutout.png", "b.PNG": "b.cutout.png"}
    assert all(job.skip for job in again)
    inside = album / "cut"
    process(jobs([album], inside, suffix=".png", recursive=True), copy)
    assert not any("cut/" in str(job.source) for job in jobs([album], inside, suffix=".png", recursive=True))


def test_what_is_there_is_left_alone_unless_told(album: Path) -> None:
    (album / "a.cutout.png").write_text("mine")
    outcome = process(jobs([album], suffix=SUFFIX), copy)
    assert outcome.skipped == [album / "a.cutout.png"]
    assert outcome.done == [album / "b.cutout.png"]
    assert (album / "a.cutout.png").read_text() == "mine"
    outcome = process(jobs([album], suffix=SUFFIX, overwrite=True), copy)
    assert outcome.skipped == []
    assert (album / "a.cutout.png").read_text() == "a.jpg"


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_never_overwritten(album: Path, overwrite: bool) -> None:
    with pytest.raises(ImageError, match=r"b\.PNG would overwrite a picture that is to be read"):
        jobs([album], album, suffix=".PNG", overwrite=overwrite)
    (album.parent / "link").symlink_to(album)
    with pytest.raises(ImageError, match="would overwrite"):
        jobs([album / "a.jpg"], album.parent / "link" / "a.jpg", suffix=".jpg", overwrite=overwrite)


def test_two_pictures_with_one_result(album: Path) -> None:
    (album / "a.png").write_text("another a")
    with pytest.raises(ImageError, match=r"a\.jpg and .*a\.png would both become .*a\.cutout\.png"):
        jobs([album], suffix=SUFFIX)


def test_inputs_that_are_not_there(album: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.jpg does not exist"):
        jobs([album, tmp_path / "none.jpg"], suffix=SUFFIX)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="empty holds no pictures"):
        jobs([tmp_path / "empty"], suffix=SUFFIX, recursive=True)


def test_a_bad_picture_does_not_stop_the_rest(album: Path) -> None:
    def work(source: Path, target: Path) -> None:
        if source.name == "a.jpg":
            raise ImageError("a.jpg is damaged.")
        if source.name == "c.webp":
            raise ZeroDivisionError("a fault of ours")
        copy(source, target)

    seen: list[tuple[int, int]] = []
    found = jobs([album], album.parent / "out", suffix=".png", recursive=True)
    outcome = process(found, work, lambda done, total: seen.append((done, total)))
    bad = album / "trip/c.webp"
    assert outcome.failed == [
        (album / "a.jpg", "a.jpg is damaged."),
        (bad, f"{bad}: a fault of ours (ZeroDivisionError)"),
    ]
    assert [path.name for path in outcome.done] == ["b.png", "d.png"]
    assert (album.parent / "out/trip/day/d.png").read_text() == "trip/day/d.tif"
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_ctrl_c_stops_at_once(album: Path) -> None:
    def interrupted(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process(jobs([album], suffix=SUFFIX), interrupted)
