"""What else `anymask cutout` does: prompts, finishing, rembg's options, pipes, moving pictures, watched folders."""

import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commandline import Ran, ran
from hypothesis import given
from hypothesis import strategies as st
from onnx_files import onnx_file
from PIL import Image, ImageCms

from anymask.animation import is_moving, read_animation
from anymask.catalog import find
from anymask.errors import FormatError, ImageError
from anymask.rawframes import raw_frames
from anymask.recipe import parse_ratio, parse_share
from anymask.watch import arrivals

ASSETS = Path(__file__).parents[1] / "assets"
BOX = "105,110,570,370"


class RedEngine:
    """What is red is the subject."""

    spec = find("u2netp")

    def mattes(self, rgb: np.ndarray) -> np.ndarray:
        return ((rgb[..., 0] > 150) & (rgb[..., 1] < 90)).astype(np.float32)[None]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """The command line over a remover that knows what is red."""
    monkeypatch.setattr("anymask.background.load_matte_engine", lambda *_: RedEngine())

    def call(command: object, *arguments: object) -> Ran:
        return ran(capsys, command, *arguments, "--model", "u2netp")

    return call


def drawn(path: Path, squares: list[tuple[int, int, int]] | None = None, size: tuple[int, int] = (160, 120)) -> Path:
    """A grey picture with red squares (x, y, side)."""
    rgb = np.full((size[1], size[0], 3), 110, np.uint8)
    for x, y, side in squares or [(40, 30, 50)]:
        rgb[y : y + side, x : x + side] = (220, 20, 20)
    Image.fromarray(rgb).save(path, dpi=(300, 300))
    return path


def alpha(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA"))[..., 3]


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


# -- What is cut out --------------------------------------------------------------------------------------------------


def test_what_is_pointed_at(capsys, tmp_path):
    target = tmp_path / "cut.png"
    assert ran(capsys, "cutout", ASSETS / "bus.jpg", "--box", BOX, "-o", target).code == 0
    found = alpha(target)
    assert found[240, 350] == 255 and found[10, 10] == 0 and found[240, 620] == 0
    options = ["--point", "350,240", "--negative", "20,20", "-o", target]
    assert ran(capsys, "cutout", ASSETS / "bus.jpg", *options).code == 0


def test_prompts_that_do_not_fit(run, tmp_path):
    photo = drawn(tmp_path / "a.png")
    assert "u2netp takes no points or boxes; these do: pocket" in run("cutout", photo, "--point", "5,5").err
    assert "--point must be x,y" in run("cutout", photo, "--point", "5").err
    assert "--each is for the subjects" in run("cutout", photo, "--each", "--box", "1,1,9,9").err


def test_each_subject_in_a_file(run, tmp_path):
    photo = drawn(tmp_path / "a.png", [(10, 10, 30), (90, 40, 60)])
    assert run("cutout", photo, "--each").code == 0
    first, second = tmp_path / "a.1.cutout.png", tmp_path / "a.2.cutout.png"
    assert alpha(first)[70, 120] == 255 and alpha(first)[25, 25] == 0
    assert alpha(second)[25, 25] == 255 and alpha(second)[70, 120] == 0
    grey = tmp_path / "grey.png"
    Image.fromarray(np.full((50, 50, 3), 110, np.uint8)).save(grey)
    assert "shows no subject" in run("cutout", grey, "--each").err


def test_unknown_classes(run, tmp_path):
    assert "u2netp knows no classes" in run("cutout", drawn(tmp_path / "a.png"), "--classes", "upper").err


# -- Finishing --------------------------------------------------------------------------------------------------------


def test_a_shop_picture(run, tmp_path):
    photo, target = drawn(tmp_path / "a.png", [(40, 30, 50)]), tmp_path / "out.png"
    assert run("cutout", photo, "--crop", "--margin", "10%", "--pad", "4:3", "-o", target).code == 0
    wide, high = size(target)
    assert abs(wide - 80) <= 4 and abs(high - 60) <= 2
    assert run("cutout", photo, "--crop", "--outline", "10%:blue", "-o", target).code == 0
    with Image.open(target) as image:
        pixels = np.asarray(image)
    assert (pixels[pixels.shape[0] // 2, 3, :3] == (0, 0, 255)).all() and pixels[pixels.shape[0] // 2, 3, 3] > 200
    assert run("cutout", photo, "--shadow", "-b", "white", "-o", target).code == 0
    with Image.open(target) as image:
        assert np.asarray(image.convert("RGB"))[82, 70].max() < 230, "it is darker under the square"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--pad", "wide"], "A shape is square or WIDTH:HEIGHT"),
        (["--crop", "--margin", "much"], "A length is a share"),
        (["--outline", "x"], "A length is a share"),
        (["--outline", "2%:bleu"], "'bleu' is no colour"),
        (["-b", "blur", "--crop"], "cannot be blurred and cropped"),
        (["-bgc", "300", "0", "0", "255"], "four numbers of 0 to 255"),
        (["--edges", "soft"], "no refinement called 'soft'"),
        (["-af", "5", "-ab", "10", "-a"], "background not above foreground"),
        (["--format", "xyz"], "'.xyz'"),
        (["--frames", "10"], "WIDTHxHEIGHT"),
        (["--frames", "10x10"], "give - as the picture"),
        (["--watch"], "One folder can be watched"),
    ],
)
def test_options_that_make_no_sense(run, tmp_path, options, sentence):
    done = run("cutout", drawn(tmp_path / "a.png"), *options)
    assert done.code == 2 and sentence in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_the_own_background_out_of_focus(run, tmp_path):
    target = tmp_path / "o.jpg"
    assert run("cutout", drawn(tmp_path / "a.png"), "-b", "blur", "-o", target).code == 0
    with Image.open(target) as image:
        assert image.mode == "RGB" and abs(int(np.asarray(image)[5, 5, 0]) - 110) < 6


def test_shares_and_shapes_are_read():
    assert parse_share("5%") == parse_share("0.05") == 0.05
    assert parse_ratio("square") == (1, 1) and parse_ratio("4:5") == (4, 5)
    for text in ("", "4", "4:0", "a:b", "1:2:3", "-1:2", "nan:1"):
        with pytest.raises(FormatError):
            parse_ratio(text)
    for text in ("", "-1%", "5 percent", "nan", "10000%"):
        with pytest.raises(FormatError):
            parse_share(text)


# -- rembg's spellings ------------------------------------------------------------------------------------------------


def test_rembgs_options_mean_the_same(run, tmp_path):
    photo = drawn(tmp_path / "a.png")

    def result(*options: str) -> np.ndarray:
        assert run("cutout", photo, "-o", tmp_path / "o.png", *options).code == 0
        with Image.open(tmp_path / "o.png") as image:
            return np.asarray(image)

    assert np.array_equal(result("-om"), result("--mask-only"))
    assert set(np.unique(result("-ppm", "--only-mask"))) == {0, 255}
    assert np.array_equal(result("-dc"), result())
    over = result("-bgc", "0", "0", "255", "255")
    assert (over[5, 5] == (0, 0, 255, 255)).all()
    half = result("-bgc", "0", "0", "255", "100")
    assert (half[5, 5] == (0, 0, 255, 100)).all() and half[50, 60, 3] == 255


def test_alpha_matting(run, tmp_path):
    pytest.importorskip("pymatting", reason="closed-form matting needs the matting extra")
    photo = drawn(tmp_path / "a.png")
    assert run("cutout", photo, "-a", "-ae", "4", "-o", tmp_path / "o.png").code == 0
    found = alpha(tmp_path / "o.png")
    assert found[55, 65] == 255 and found[5, 5] == 0


# -- Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_profile_resolution_and_transparency_are_kept(run, tmp_path, suffix):
    photo, target = drawn(tmp_path / "a.png"), tmp_path / f"o{suffix}"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with Image.open(photo) as image:
        image.save(photo, icc_profile=profile, dpi=(300, 300))
    assert run("cutout", photo, "-o", target).code == 0
    with Image.open(target) as image:
        assert image.mode == "RGBA" and image.info["icc_profile"] == profile
        if suffix != ".webp":  # which has no place for it
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_inputs_are_deleted_when_their_results_are_there(run, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    drawn(folder / "a.png")
    drawn(folder / "b.png")
    (folder / "bad.jpg").write_text("no picture")
    done = run("cutout", folder, "-o", out, "-d")
    assert done.code == 1 and "2 written, 0 there already, 1 failed" in done.err
    assert [path.name for path in folder.iterdir()] == ["bad.jpg"], "what failed stays"
    drawn(folder / "a.png")
    assert "1 there already" in run("cutout", folder, "-o", out, "-d").err
    assert (folder / "a.png").exists(), "what was skipped stays"


def test_a_folder_that_is_its_own_output(run, tmp_path):
    drawn(tmp_path / "a.png")
    for written in (1, 0):
        done = run("cutout", tmp_path, "-o", tmp_path)
        assert f"{written} written" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.cutout.png", "a.png"]


def test_a_result_that_cannot_be_written_is_that_pictures_failure(run, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in "abc":
        drawn(folder / f"{name}.png")
    (out / "b.cutout.png").mkdir(parents=True)
    done = run("cutout", folder, "-o", out, "--overwrite")
    assert done.code == 1 and "2 written" in done.err and "b.cutout.png" in done.err


# -- Raw frames -------------------------------------------------------------------------------------------------------


class Pipe:
    def __init__(self, data: bytes, at_once: int = 7) -> None:
        self.buffer = self
        self.file, self.at_once = io.BytesIO(data), at_once

    def read(self, count: int = -1) -> bytes:
        return self.file.read(min(count, self.at_once) if count >= 0 else -1)


@given(count=st.integers(0, 4), at_once=st.integers(1, 100), left=st.integers(0, 35))
def test_frames_of_a_pipe_that_gives_little_at_a_time(count: int, at_once: int, left: int) -> None:
    data = np.random.default_rng(0).bytes(36 * count + left)
    frames = raw_frames(Pipe(data, at_once), 4, 3)
    for index in range(count):
        assert next(frames).tobytes() == data[36 * index : 36 * index + 36]
    if left:
        with pytest.raises(ImageError, match=f"inside of frame {count + 1} \\({left} of 36 bytes\\)"):
            next(frames)
    else:
        assert list(frames) == []


def test_raw_frames_to_files_and_to_a_pipe(run, tmp_path, monkeypatch):
    photo = drawn(tmp_path / "a.png", size=(32, 24), squares=[(8, 8, 10)])
    with Image.open(photo) as image:
        data = image.tobytes() * 2
    monkeypatch.setattr("sys.stdin", Pipe(data, 10**6))
    assert run("cutout", "-", "--frames", "32x24", "-o", tmp_path / "out" / "%03d.png").code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000.png", "001.png"]
    monkeypatch.setattr("sys.stdin", Pipe(data[:-5], 10**6))
    done = run("cutout", "-", "--frames", "32x24", "-o", tmp_path / "cut" / "%d.webp")
    assert done.code == 2 and "inside of frame 2" in done.err
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["0.webp"]
    monkeypatch.setattr("sys.stdin", Pipe(data, 10**6))
    assert "a place for their numbers" in run("cutout", "-", "--frames", "32x24", "-o", tmp_path / "x.png").err


# -- Moving pictures --------------------------------------------------------------------------------------------------


def moving(path: Path, count: int = 3, **options: object) -> Path:
    frames = []
    for index in range(count):
        rgb = np.full((60, 80, 3), 110, np.uint8)
        rows, columns = np.mgrid[:60, :80]  # a disc: WebP drops the transparency of what is a rectangle
        rgb[np.hypot(rows - 30, columns - 10 * index - 10) < 9] = (220, 20, 20)
        frames.append(Image.fromarray(rgb))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[80, 200, 120][:count], loop=2, **options)
    return path


@pytest.mark.parametrize("source", ["a.gif", "a.webp", "a.png"])
@pytest.mark.parametrize("target", ["o.gif", "o.webp", "o.png"])
def test_all_frames_of_a_moving_picture(run, tmp_path, source, target):
    options = {"lossless": True} if source == "a.webp" else {}
    assert run("cutout", moving(tmp_path / source, **options), "-o", tmp_path / target, "--no-refine").code == 0
    found = read_animation(tmp_path / target)
    assert len(found.frames) == 3 and found.durations == (80, 200, 120)
    for index, frame in enumerate(found.frames):
        opacity = np.asarray(frame)[..., 3]
        assert opacity[30, 10 * index + 10] == 255 and opacity[30, 10 * index + 30] == 0, index
    assert found.loop in (2, 3), "GIF counts the repetitions"


def test_one_frame_is_a_still_picture(run, tmp_path):
    assert run("cutout", moving(tmp_path / "a.gif", 1)).code == 0
    assert not is_moving(tmp_path / "a.cutout.png")


def test_a_damaged_moving_picture(run, tmp_path):
    path = moving(tmp_path / "a.gif")
    path.write_bytes(path.read_bytes()[:200])
    done = run("cutout", path)
    assert done.code == 2 and "a.gif" in done.err


def test_moving_pictures_of_too_many_pixels(tmp_path):
    with pytest.raises(ImageError, match="3 frames of 80 x 60 pixels, which is too much"):
        read_animation(moving(tmp_path / "a.gif"), max_pixels=10_000)
    with pytest.raises(ImageError, match="does not exist"):
        read_animation(tmp_path / "none.gif")


# -- Watching ---------------------------------------------------------------------------------------------------------


def test_pictures_are_taken_when_they_are_complete(tmp_path):
    folder = tmp_path
    (folder / "old.png").write_bytes(b"old")
    sizes: list[int] = []

    def listing() -> list[Path]:
        growing = folder / "growing.png"
        looks = len(sizes)
        sizes.append(looks)
        if looks < 4:
            growing.write_bytes(b"x" * (looks + 1))
        if looks == 8:
            (folder / "stop.txt").write_text("")
        return sorted(folder.glob("*.png"))

    found = {}
    for path in arrivals(folder, listing, known=[folder / "old.png"], interval=0.01):
        found[path.name] = len(path.read_bytes())
    assert found == {"growing.png": 4}
    assert not (folder / "stop.txt").exists()


@pytest.mark.slow
def test_a_watched_folder(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.copy(ASSETS / "bus.jpg", folder / "first.jpg")
    command = [sys.executable, "-m", "anymask", "cutout", str(folder), "-o", str(out), "--watch"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60

        def wait_for(name: str) -> None:
            while not (out / name).exists():
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.1)

        wait_for("first.cutout.png")
        (folder / "bad.jpg").write_text("no picture")
        shutil.copy(ASSETS / "flowers.jpg", folder / "second.jpg")
        wait_for("second.cutout.png")
        (folder / "stop.txt").write_text("")
        _, told = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "bad.jpg is in no format that can be read" in told


@pytest.mark.slow
def test_an_onnx_file_from_the_command_line(tmp_path):
    file = onnx_file(tmp_path / "red.onnx", (320, 320), weights=[2, -1, -1])
    photo = drawn(tmp_path / "a.png")
    command = [sys.executable, "-m", "anymask", "cutout", str(photo), "-m", "u2net_custom", "--weights", str(file)]
    environment = os.environ | {"ANYMASK_HOME": str(tmp_path / "home")}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    found = alpha(tmp_path / "a.cutout.png")
    assert found[55, 65] > 200 and found[5, 5] < 60
    file.write_bytes(file.read_bytes()[:60])
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and "no ONNX model that can be read" in done.stderr
