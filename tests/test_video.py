"""Clips cut out: every target, sound, times, phones' clips, and files that are broken in every way."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

av = pytest.importorskip("av", reason="clips need the video extra")

from clips import HEIGHT, WIDTH, clip, frame, read, sound_only, turned  # noqa: E402
from PIL import Image  # noqa: E402

from anymask.errors import ImageError, PromptError  # noqa: E402
from anymask.video import cut_out_video  # noqa: E402
from anymask.video.threads import in_thread  # noqa: E402


class Yellow:
    """Finds what is yellow, as a remover does."""

    def matte(self, picture, refine=True, **options):
        return (picture[..., 0] > 130).astype(np.float32)


@pytest.fixture
def remover() -> Yellow:
    return Yellow()


def square(index: int) -> np.ndarray:
    """Where the square is, without its rim, which video blurs."""
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[19:37, 2 * index + 3 : 2 * index + 21] = True
    return inside


def outside(index: int) -> np.ndarray:
    far = np.ones((HEIGHT, WIDTH), bool)
    far[12:44, max(0, 2 * index - 4) : 2 * index + 28] = False
    return far


@pytest.mark.parametrize(("name", "decoder"), [("out.webm", "libvpx-vp9"), ("out.mov", None)])
def test_transparent_clips(tmp_path, remover, name, decoder):
    result = cut_out_video(clip(tmp_path / "in.mp4"), tmp_path / name, remover)
    assert (result.frames, result.trouble) == (12, "") and result.fps > 0
    found = read(tmp_path / name, decoder)
    assert len(found) == 12
    for index, rgba in enumerate(found):
        assert rgba[square(index)][:, 3].min() > 230, index
        assert rgba[outside(index)][:, 3].max() < 25, index
        assert np.abs(rgba[square(index)][:, :3].astype(int) - (240, 220, 40)).mean() < 15
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].average_rate == 10
        if decoder:
            assert container.streams.video[0].metadata["ALPHA_MODE"] == "1"


def test_a_clip_over_a_colour(tmp_path, remover):
    cut_out_video(clip(tmp_path / "in.mp4"), tmp_path / "out.mp4", remover, background="#00ff00")
    for index, rgba in enumerate(read(tmp_path / "out.mp4")):
        assert np.abs(rgba[outside(index)][:, :3].astype(int) - (0, 255, 0)).mean() < 12


def test_a_clip_over_a_picture_of_another_size_and_over_itself(tmp_path, remover):
    behind = np.full((20, 300, 3), (200, 20, 20), np.uint8)
    cut_out_video(clip(tmp_path / "in.mp4"), tmp_path / "out.mkv", remover, background=behind)
    assert np.abs(read(tmp_path / "out.mkv")[3][outside(3)][:, :3].astype(int) - (200, 20, 20)).mean() < 12
    cut_out_video(tmp_path / "in.mp4", tmp_path / "blur.mp4", remover, background="blur")
    assert np.abs(read(tmp_path / "blur.mp4")[3][outside(3)][:, :3].astype(int) - (20, 30, 90)).mean() < 12


def test_mattes_in_grey(tmp_path, remover):
    cut_out_video(clip(tmp_path / "in.mp4"), tmp_path / "out.mp4", remover, mask_only=True)
    rgba = read(tmp_path / "out.mp4")[5]
    assert rgba[square(5)][:, :3].min() > 235 and rgba[outside(5)][:, :3].max() < 20


def test_a_folder_of_frames(tmp_path, remover):
    cut_out_video(clip(tmp_path / "in.mp4", 3), tmp_path / "frames", remover)
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == ["00000.png", "00001.png", "00002.png"]
    with Image.open(tmp_path / "frames" / "00001.png") as image:
        assert image.mode == "RGBA" and image.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "out.mov"])
def test_sound_is_kept(tmp_path, remover, name):
    cut_out_video(clip(tmp_path / "in.mp4", 20, sound=True), tmp_path / name, remover, background="white")
    with av.open(str(tmp_path / name)) as container:
        decoded = list(container.decode(container.streams.audio[0]))
        seconds = sum(piece.samples / piece.sample_rate for piece in decoded)
        loud = np.concatenate([piece.to_ndarray().ravel() for piece in decoded]).astype(float)
    assert seconds == pytest.approx(2.0, abs=0.25)
    assert loud.std() > 0.1 * np.abs(loud).max() > 0
    cut_out_video(tmp_path / "in.mp4", tmp_path / name, remover, background="white", audio=False)
    with av.open(str(tmp_path / name)) as container:
        assert not container.streams.audio


def test_uneven_times_are_kept(tmp_path, remover):
    times = [0, 7, 11, 40, 41, 90]
    cut_out_video(clip(tmp_path / "in.mp4", 6, times=times), tmp_path / "out.mp4", remover, background="white")
    with av.open(str(tmp_path / "out.mp4")) as container:
        found = [float(one.pts * one.time_base) for one in container.decode(container.streams.video[0])]
    assert np.allclose(np.array(found) - found[0], np.array(times) / 100, atol=0.011)


def test_a_phones_clip_is_upright(tmp_path, remover):
    cut_out_video(turned(clip(tmp_path / "in.mp4", 2)), tmp_path / "out", remover)
    with Image.open(tmp_path / "out" / "00000.png") as image:
        rgba = np.asarray(image)
    assert rgba.shape == (WIDTH, HEIGHT, 4)
    expected = np.rot90(frame(0), -1)
    assert np.abs(rgba[3:21, 27:45, :3].astype(int) - expected[3:21, 27:45]).mean() < 15


@pytest.mark.parametrize("name", ["out.mp4", "out.webm", "out.mov"])
def test_odd_sizes(tmp_path, remover, name):
    cut_out_video(clip(tmp_path / "in.mp4", 3, width=95, height=63), tmp_path / name, remover, background="white")
    rgba = read(tmp_path / name)[0]
    assert abs(rgba.shape[0] - 63) <= 1 and abs(rgba.shape[1] - 95) <= 1


def test_one_frame(tmp_path, remover):
    assert cut_out_video(clip(tmp_path / "in.mp4", 1), tmp_path / "out.webm", remover).frames == 1
    assert len(read(tmp_path / "out.webm")) == 1


def test_progress(tmp_path, remover):
    told: list[tuple[int, int | None]] = []
    cut_out_video(
        clip(tmp_path / "in.mp4", 4), tmp_path / "o.webm", remover, on_progress=lambda *about: told.append(about)
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("name", ["in.mkv", "in.mp4"])
def test_a_clip_cut_short_keeps_the_frames_so_far(tmp_path, remover, name):
    whole = clip(tmp_path / name, 40, early=True)
    content = whole.read_bytes()
    start = max(content.find(b"mdat"), 0)
    whole.write_bytes(content[: start + (len(content) - start) * 6 // 10])
    result = cut_out_video(whole, tmp_path / "out.webm", remover)
    assert 3 < result.frames < 40
    assert len(read(tmp_path / "out.webm")) == result.frames
    assert result.trouble.startswith("The clip") and result.trouble.endswith(f"; {result.frames} frames are kept.")


def test_damage_in_the_middle_is_told_or_passed(tmp_path, remover):
    path = clip(tmp_path / "in.mp4", 40)
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 3
    content[middle : middle + 300] = bytes(300)
    path.write_bytes(content)
    result = cut_out_video(path, tmp_path / "out.mp4", remover, background="white")
    assert result.frames == len(read(tmp_path / "out.mp4")) > 3


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.write_text("no clip at all"), "is no clip that can be read"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (sound_only, "has no moving pictures, only sound"),
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder, not a clip"),
    ],
)
def test_what_is_no_clip(tmp_path, remover, make, sentence):
    make(tmp_path / "in.mp4")
    with pytest.raises(ImageError, match=sentence):
        cut_out_video(tmp_path / "in.mp4", tmp_path / "out.webm", remover)
    assert not (tmp_path / "out.webm").exists()


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("out.mp4", "mp4 files have no transparency: write a .webm"),
        ("out.wmv", "cannot be written as .wmv; use .webm, .mov, .mp4, .mkv, .webp, .apng or a folder"),
        ("in.mp4", "no transparency|would overwrite"),
        ("nowhere/out.webm", "cannot be written"),
    ],
)
def test_targets_that_cannot_be(tmp_path, remover, target, sentence):
    before = clip(tmp_path / "in.mp4", 2).read_bytes()
    with pytest.raises(ImageError, match=sentence):
        cut_out_video(tmp_path / "in.mp4", tmp_path / target, remover)
    assert (tmp_path / "in.mp4").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"], "nothing half-made stays"


def test_an_error_in_the_middle_ends_every_thread(tmp_path):
    class Failing(Yellow):
        seen = 0

        def matte(self, picture, refine=True, **options):
            self.seen += 1
            if self.seen == 5:
                raise PromptError("enough")
            return super().matte(picture)

    with pytest.raises(PromptError, match="enough"):
        cut_out_video(clip(tmp_path / "in.mp4", 30), tmp_path / "out.webm", Failing(), smooth=False)
    assert not [thread for thread in threading.enumerate() if thread.name == "anymask-video"]
    assert len(read(tmp_path / "out.webm")) == 4, "the frames so far"


def test_a_thread_gives_items_and_errors_in_their_turn():
    def items():
        yield from range(10)
        raise ValueError("at the end")

    found = []
    with pytest.raises(ValueError, match="at the end"):
        found.extend(item for item in in_thread(items()))
    assert list(in_thread(range(100), 2)) == list(range(100))


def test_without_pyav_a_sentence_says_what_to_install():
    code = "import sys; sys.modules['av'] = None\nfrom anymask.errors import MissingExtraError\n"
    code += "try: import anymask.video\nexcept MissingExtraError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "anymask[video]"' in done.stdout


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path):
    """Two clips, one ten times as long, each in a process of its own."""
    code = """
import sys, numpy as np
from anymask.video import cut_out_video
class Yellow:
    def matte(self, picture, refine=True, **options):
        return (picture[..., 0] > 130).astype(np.float32)
cut_out_video(sys.argv[1], sys.argv[2], Yellow(), background="green")
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024)
"""
    peaks = []
    for frames in (60, 600):
        source = clip(tmp_path / f"{frames}.mp4", frames, width=320, height=180, sound=True)
        command = [sys.executable, "-c", code, str(source), str(tmp_path / "out.mp4")]
        peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert peaks[1] < peaks[0] + 40, f"600 frames of 170 kB would be 100 MB: {peaks}"


@pytest.mark.slow
def test_the_command_line(tmp_path):
    """With pocket, as a user does it."""
    source = clip(tmp_path / "in.mp4", 4, sound=True)
    command = [sys.executable, "-m", "anymask", "cutout", str(source)]
    done = subprocess.run([*command, "-o", str(tmp_path / "out.webm")], capture_output=True, text=True)
    assert done.returncode == 0 and "4 frames" in done.stderr, done.stderr
    assert len(read(tmp_path / "out.webm")) == 4
    refused = subprocess.run([*command, "-o", str(tmp_path / "out.mp4")], capture_output=True, text=True)
    assert refused.returncode == 2 and "no transparency" in refused.stderr
    assert not os.path.exists(tmp_path / "out.mp4")
