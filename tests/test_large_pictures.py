"""Pictures of odd shapes, and of sizes that make carelessness with memory visible."""

import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import anymask
from anymask import rle
from anymask.errors import ImageError, PromptError
from anymask.formats import npz
from anymask.masks import Masks
from anymask.placement import Placement

ASSETS = Path(__file__).parents[1] / "assets"
HEIGHT, WIDTH = 3648, 5472
MB = 2**20


@pytest.fixture(scope="module")
def segmenter() -> anymask.Segmenter:
    return anymask.Segmenter("pocket", device="cpu")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph enlarged to 20 megapixels, as a JPEG file."""
    street = anymask.images.read_image(ASSETS / "street.jpg")
    path = tmp_path_factory.mktemp("large") / "street.jpg"
    Image.fromarray(cv2.resize(street, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)).save(path, quality=90)
    return path


def allocated(work: Callable[[], object]) -> int:
    """The peak of what Python and NumPy held during some work, in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# -- odd shapes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (5000, 1), (2, 3), (3, 4000)])
def test_pictures_of_odd_shapes(segmenter: anymask.Segmenter, width: int, height: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(width)
    image = segmenter.encode(rng.integers(0, 256, (height, width, 3), np.uint8))
    masks = image.predict(points=[(width / 2, height / 2)])
    assert masks.array.shape == (3, height, width)
    assert (masks.areas == masks.array.sum(axis=(1, 2))).all()
    box = image.predict(box=(0, 0, width, height))
    assert box.array.shape == (1, height, width)
    loose = {"pred_iou_thresh": 0, "stability_score_thresh": 0, "min_mask_region_area": 3, "crop_n_layers": 1}
    found = image.everything(points_per_side=2, **loose)
    assert len(found), "whatever it is, something is in it"
    assert [int(rle.area(one)) for one in found.rles()] == found.areas.tolist()
    found.save(tmp_path / "found.json")
    found.save(tmp_path / "found.png")
    found.overlay(image.rgb)


def blank(width: int, height: int) -> bytes:
    buffer = BytesIO()
    Image.new("1", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_of_400_megapixels_is_refused_by_its_header(segmenter: anymask.Segmenter, tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    path.write_bytes(blank(20000, 20000))
    started = time.monotonic()

    def refused() -> None:
        with pytest.raises(ImageError, match=r"wall\.png has 20000 x 20000 pixels, more than the 200000000 allowed"):
            segmenter.encode(path)

    assert allocated(refused) < MB
    assert time.monotonic() - started < 1, "decoding it takes seconds"


def test_the_limit_is_the_users(segmenter: anymask.Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYMASK_MAX_PIXELS", "600")
    assert segmenter.encode(blank(30, 20)).width == 30
    with pytest.raises(ImageError, match="31 x 20 pixels, more than the 600 allowed"):
        segmenter.encode(blank(31, 20))


# -- many points ------------------------------------------------------------------------------------------------------


def test_a_thousand_points_in_one_prompt(segmenter: anymask.Segmenter) -> None:
    image = segmenter.encode(ASSETS / "bus.jpg")
    rng = np.random.default_rng(0)
    points, labels = rng.uniform((0, 0), (640, 427), (1000, 2)), rng.integers(0, 2, 1000)
    masks = image.predict(points=points, labels=labels)
    assert masks.array.shape == (1, 427, 640)
    assert np.isfinite(masks.logits).all()
    points[777] = 641, 5
    with pytest.raises(PromptError, match=r"\(641, 5\) lies outside"):
        image.predict(points=points, labels=labels)


@pytest.mark.slow
def test_a_thousand_prompts_are_answered_as_one_is(segmenter: anymask.Segmenter) -> None:
    image = segmenter.encode(ASSETS / "bus.jpg")
    rng = np.random.default_rng(0)
    prompts = [anymask.Prompt(points=[xy]) for xy in rng.uniform((0, 0), (640, 427), (100, 2))] * 10
    many = image.predict_batch(prompts)
    assert len(many) == 1000
    alone = image.predict_batch([prompts[99]])[0]
    assert np.allclose(many[99].logits, alone.logits, atol=0.05)
    assert np.allclose(many[999].logits, many[99].logits, atol=0.05)


# -- memory -----------------------------------------------------------------------------------------------------------


def small_disc() -> tuple[np.ndarray, Masks]:
    """A mask of 100 x 100 pixels in a picture of 20 megapixels, once as logits and once as an RLE."""
    logits = np.full((128, 128), -8, np.float32)
    cv2.circle(logits, (64, 40), 2, 8, -1)
    placement = Placement.letterbox(HEIGHT, WIDTH, 512)
    drawn = Masks(logits[None], np.ones(1, np.float32), placement)
    masks = Masks(np.stack([logits] * 2), np.ones(2, np.float32), placement, rles=[None, drawn.rles(False)[0]])
    return drawn.array[0], masks


def test_a_small_mask_of_a_large_picture_costs_little() -> None:
    whole, masks = small_disc()

    def measure() -> None:
        assert masks.areas.tolist() == [int(whole.sum())] * 2
        assert np.array_equal(masks.boxes[0], masks.boxes[1])
        first, second = masks.rles()
        assert first == second

    measure()
    masks = small_disc()[1]
    assert allocated(measure) < 2 * MB, "one mask of the whole picture is 20 MB"


def test_an_npz_of_many_masks_is_packed_one_by_one() -> None:
    whole, disc = small_disc()
    masks = Masks.concatenate([disc] * 5)
    packed = b""

    def pack() -> None:
        nonlocal packed
        packed = npz.encode(masks)

    assert allocated(pack) < 3 * whole.nbytes, "ten masks are 200 MB"
    with zipfile.ZipFile(BytesIO(packed)) as archive, archive.open("masks.npy") as file:
        version = np.lib.format.read_magic(file)
        assert np.lib.format.read_array_header_1_0(file) == ((10, HEIGHT, WIDTH), False, np.dtype(bool)), version
        for _ in range(10):
            assert file.read(whole.nbytes) == whole.tobytes()
        assert file.read() == b""


EVERYTHING = """
import sys
import anymask

def peak():  # not ru_maxrss, which begins with the peak of the process that started this one
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) // 1024

segmenter = anymask.Segmenter("pocket", device="cpu")
segmenter.encode(sys.argv[2]).everything(points_per_side=4)
before = peak()
masks = segmenter.encode(sys.argv[1]).everything(
    pred_iou_thresh=0.2, stability_score_thresh=0.5, box_nms_thresh=0.9, points_per_side=24, **eval(sys.argv[3])
)
masks.save(sys.argv[4])
print(len(masks), peak() - before, peak())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("options", "suffix"), [({}, "png"), ({"min_mask_region_area": 100}, "json"), ({"crop_n_layers": 1}, "json")]
)
def test_everything_in_20_megapixels_stays_small(
    large: Path, tmp_path: Path, options: dict[str, int], suffix: str
) -> None:
    """Hundreds of masks, for which thresholds are low; at a byte a pixel they would need 16 GB and more."""
    command = [sys.executable, "-c", EVERYTHING, str(large), str(ASSETS / "street.jpg"), str(options)]
    ran = subprocess.run([*command, str(tmp_path / f"found.{suffix}")], capture_output=True, text=True, check=True)
    count, more, most = map(int, ran.stdout.split())
    assert count > 500
    assert more < 600, "MB: the picture is 60, read from its file 190, clean-up of masks as large as it 170"
    assert most < 2048
