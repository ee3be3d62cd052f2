"""`Segmenter.encode_many`: order, bounded memory, overlap, pictures that cannot be read, and an early end."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import anymask
from anymask.ahead import read_ahead
from anymask.errors import ImageError

ASSETS = Path(__file__).parents[1] / "assets"
PICTURES = [ASSETS / f"{name}.jpg" for name in ("bus", "flowers", "street")]
LONG = 20.0


@pytest.fixture(scope="module")
def segmenter() -> anymask.Segmenter:
    return anymask.Segmenter("pocket", device="cpu")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.jpg"
    path.write_bytes(PICTURES[0].read_bytes()[:9000])
    return path


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("anymask-read")}


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_the_same_as_one_by_one(segmenter: anymask.Segmenter, ahead: int) -> None:
    many = list(segmenter.encode_many(PICTURES, ahead=ahead))
    assert len(many) == 3
    for picture, image in zip(PICTURES, many, strict=True):
        alone = segmenter.encode(picture)
        assert (image.rgb == alone.rgb).all()
        assert image.placement == alone.placement
        assert all(np.array_equal(a, b) for a, b in zip(image.features, alone.features, strict=True))
    assert not threads()


def test_any_kind_of_picture_from_any_iterable(segmenter: anymask.Segmenter) -> None:
    kinds = (kind for kind in (PICTURES[0].read_bytes(), np.zeros((5, 9, 3), np.uint8), str(PICTURES[1])))
    assert [image.width for image in segmenter.encode_many(kinds)] == [640, 9, 640]
    assert list(segmenter.encode_many([])) == []


def test_a_bad_picture_is_raised_in_its_turn(segmenter: anymask.Segmenter, broken: Path) -> None:
    images = segmenter.encode_many([PICTURES[0], broken, PICTURES[1]])
    assert next(images).width == 640
    with pytest.raises(ImageError, match=r"broken\.jpg is damaged"):
        next(images)
    assert list(images) == []
    assert not threads()


def test_on_error_is_told_in_turn_and_the_rest_follows(segmenter: anymask.Segmenter, broken: Path) -> None:
    missing = broken.with_name("none.png")
    told: list[tuple[Path, str]] = []
    images = segmenter.encode_many(
        [broken, PICTURES[0], missing, PICTURES[1]],
        on_error=lambda picture, error: told.append((picture, str(error))),
    )
    assert [(image.height, len(told)) for image in images] == [(427, 1), (428, 2)]
    assert [picture for picture, _ in told] == [broken, missing]
    assert told[1][1] == f"{missing} does not exist."


def test_what_the_iterable_raises_comes_after_the_pictures_before_it(segmenter: anymask.Segmenter) -> None:
    def camera() -> Iterator[Path]:
        yield from PICTURES[:2]
        raise TimeoutError("the camera is gone")

    images = segmenter.encode_many(camera(), on_error=lambda *_: None)
    assert [next(images).height for _ in range(2)] == [427, 428]
    with pytest.raises(TimeoutError, match="the camera is gone"):
        next(images)


def test_the_next_is_read_while_one_is_encoded(segmenter: anymask.Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [threading.Event() for _ in PICTURES]
    encoded: list[bool] = []
    encode = segmenter.engine.encode

    def pictures() -> Iterator[Path]:
        for event, picture in zip(taken, PICTURES, strict=True):
            event.set()
            yield picture

    def patient(pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        encoded.append(taken[min(len(encoded) + 1, 2)].wait(LONG))  # for ever, did one wait for the other
        return encode(pixels)

    monkeypatch.setattr(segmenter.engine, "encode", patient)
    assert len(list(segmenter.encode_many(pictures(), ahead=1))) == 3
    assert encoded == [True, True, True]


@pytest.mark.parametrize("ahead", [0, 2])
def test_no_more_are_read_than_said(ahead: int) -> None:
    read: list[int] = []
    caught_up = threading.Semaphore(0)

    def reader(number: int) -> int:
        read.append(number)
        caught_up.release()
        return -number

    numbers = read_ahead(range(100), reader, ahead)
    for number in range(5):
        item, result = next(numbers)
        assert (item, result.result()) == (number, -number)
        for _ in range(1 + (ahead if number == 0 else 0)):
            assert caught_up.acquire(timeout=LONG)
        assert read == list(range(number + 1 + ahead)), "read in order, so many and no more"
    numbers.close()
    assert len(read) == 5 + ahead


def test_closing_early_ends_the_thread(segmenter: anymask.Segmenter) -> None:
    def endless() -> Iterator[Path]:
        while True:
            yield PICTURES[0]

    images = segmenter.encode_many(endless())
    assert not threads(), "nothing happens before the first is asked for"
    next(images)
    assert threads()
    images.close()
    assert not threads()
    for _ in segmenter.encode_many(endless()):
        break  # dropped, it ends as well
    assert not threads()
