"""`anymask track`: prompts as text, and what it writes."""

import json
import subprocess
import sys

import numpy as np
import pytest
from clips import HEIGHT, WIDTH, clip, frame, read
from commandline import ran
from followers import colour_tracker
from PIL import Image

from anymask import rle
from anymask.errors import FormatError, PromptError
from anymask.masks import Masks
from anymask.placement import Placement
from anymask.tracking.prompting import read_prompts
from anymask.tracking.writing import davis_palette, labels


@pytest.fixture
def tracked(monkeypatch, capsys):
    """The command, with a tracker that follows colours."""
    monkeypatch.setattr("anymask.tracker.Tracker", lambda *options: colour_tracker())
    return lambda *arguments: ran(capsys, "track", *arguments)


def test_prompts_as_text():
    found = read_prompts(["0:5,20", "0:9,9,0", "3:1.5,2@2"], ["4:1,2,30,40@2", "0:1,1,9,9"], [])
    assert [(one.frame, one.object_id) for one in found] == [(0, 1), (3, 2), (4, 2)]
    assert found[0].points == [(5, 20), (9, 9)] and found[0].labels == [1, 0] and found[0].box == [1, 1, 9, 9]
    assert found[1].points == [(1.5, 2)] and found[2].box == [1, 2, 30, 40]


@pytest.mark.parametrize(
    ("points", "boxes", "masks", "message"),
    [
        ([], [], [], "Say where the objects are"),
        (["5,20"], [], [], "--point must be FRAME:X,Y"),
        (["0:5"], [], [], "--point must be"),
        (["0:5,nan"], [], [], "--point must be"),
        (["0:5,20,2"], [], [], "label must be 1"),
        (["0:5,20@dog"], [], [], "--point must be"),
        ([], ["0:1,2,3"], [], "--box must be"),
        ([], ["0:1,2,3,4", "0:1,2,3,5"], [], "two boxes on frame 0"),
        ([], [], ["first.png"], "--mask must be FRAME:FILE"),
        ([], [], ["0:none.png"], "none.png cannot be read"),
    ],
)
def test_texts_that_are_no_prompts(points, boxes, masks, message):
    with pytest.raises(PromptError, match=message):
        read_prompts(points, boxes, masks)


def test_labels_json_overlay_and_cutout(tracked, tmp_path):
    source = clip(tmp_path / "a.mp4", 6)
    out = [tmp_path / name for name in ("labels", "a.json", "over.mp4", "cut.webm", "a.session")]
    options = ["--labels", out[0], "--json", out[1], "--overlay", out[2], "--cutout", out[3], "--session", out[4]]
    done = tracked(source, "--point", "0:5,20", "--box", "2:60,44,90,60@3", *options)
    assert done.code == 0, done.err
    assert "6 frames" in done.err and "a second" in done.err
    files = sorted(out[0].iterdir())
    assert [path.name for path in files] == [f"{i:05}.png" for i in range(6)]
    with Image.open(files[3]) as image:
        assert image.mode == "P" and image.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
        values = np.array(image)
    assert values[20, 20] == 1 and values[50, 70] == 3
    with Image.open(files[1]) as image:
        assert set(np.unique(np.array(image))) == {0, 1}
    said = json.loads(out[1].read_text())
    assert said["masklet_id"] == [1, 3] and said["masklet_num"] == 2 and said["video_frame_count"] == 6
    assert said["masklet_first_appeared_frame"] == [0, 2] and said["masklet_frame_count"] == [6, 4]
    assert (said["video_height"], said["video_width"], said["fps"]) == (HEIGHT, WIDTH, 10)
    first, other = said["masklet"][1]
    assert rle.area(first) == pytest.approx(24 * 24, rel=0.1) and rle.area(other) == 0
    over, cut = read(out[2]), read(out[3], "libvpx-vp9")
    assert len(over) == len(cut) == 6
    assert np.abs(over[3][20, 14, :3].astype(int) - frame(3)[20, 14]).max() > 30
    assert cut[1][20, 14, 3] > 240 and cut[1][60, 5, 3] < 15  # from frame 2 on the ground is an object, too
    with colour_tracker().resume(out[4], source) as session:
        assert session.object_ids == [1, 3]


def test_nothing_asked_for_is_an_overlay(tracked, tmp_path):
    source = clip(tmp_path / "a.mp4", 3)
    done = tracked(source, "--point", "1:7,20", "--stop", 2)
    assert done.code == 0, done.err
    found = read(tmp_path / "a.tracked.mp4")
    assert len(found) == 2
    assert np.abs(found[0][20, 7, :3].astype(int) - frame(0)[20, 7]).max() < 25  # not prompted yet


def test_a_folder_and_a_label_picture(tracked, tmp_path):
    (tmp_path / "in").mkdir()
    for index in range(3):
        Image.fromarray(frame(index)).save(tmp_path / "in" / f"{index}.png")
    first = np.zeros((HEIGHT, WIDTH), np.uint8)
    first[16:40, 0:24] = 2
    image = Image.fromarray(first)
    image.putpalette(davis_palette().tobytes())
    image.save(tmp_path / "first.png")
    done = tracked(tmp_path / "in", "--mask", f"0:{tmp_path / 'first.png'}", "--labels", tmp_path / "out")
    assert done.code == 0, done.err
    with Image.open(tmp_path / "out" / "00000.png") as image:
        assert np.array_equal(np.array(image), first)
    again = tracked(tmp_path / "in", "--mask", f"0:{tmp_path / 'first.png'}", "--labels", tmp_path / "out")
    assert again.code == 2 and "has pictures in it already" in again.err


def test_a_clip_that_breaks_off_keeps_what_there_is(tracked, tmp_path):
    source = clip(tmp_path / "a.mp4", 60, width=320, height=240, early=True)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    done = tracked(source, "--point", "0:5,20", "--json", tmp_path / "a.json")
    assert done.code == 1 and "cut off" in done.err and "frames are kept" in done.err
    assert 0 < json.loads((tmp_path / "a.json").read_text())["video_frame_count"] < 60


def test_what_is_refused(tracked, tmp_path):
    source = clip(tmp_path / "a.mp4", 3)

    def refused(match, *options):
        done = tracked(source, *options)
        assert done.code == 2 and match in done.err, done.err
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]

    refused("no frame 9", "--point", "9:5,5")
    refused("outside of the picture", "--point", "0:500,5")
    refused("would be overwritten", "--point", "0:5,20", "--overlay", source)
    refused("Clips cannot be written as .xyz", "--point", "0:5,20", "--overlay", tmp_path / "a.xyz")
    refused("have no transparency", "--point", "0:5,20", "--cutout", tmp_path / "a.mkv")


def test_a_pixel_belongs_to_the_object_that_is_surest_of_it():
    logits = np.full((2, 8, 8), -8, np.float32)
    logits[0, :, :5], logits[1, :, 3:] = 2, 5
    masks = Masks(logits, np.ones(2), Placement.stretch(8, 8, 8), extra={"object_id": np.array([4, 9])})
    assert labels(masks)[0].tolist() == [4, 4, 4, 9, 9, 9, 9, 9]
    masks.extra["object_id"][1] = 300
    with pytest.raises(FormatError, match="up to 254, not 300"):
        labels(masks)


def test_a_folder_of_frames_needs_no_pyav(tmp_path):
    """In a process of its own, for here PyAV has been imported."""
    (tmp_path / "frames").mkdir()
    for index in range(3):
        Image.fromarray(np.full((60, 80, 3), 40 * index, np.uint8)).save(tmp_path / "frames" / f"{index:03}.png")
    arguments = ["track", tmp_path / "frames", "--box", "0:20,20,60,40", "--labels", tmp_path / "labels"]
    code = f"import sys; sys.modules['av'] = None; from anymask.cli import main; main({[str(a) for a in arguments]!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "labels").glob("*.png"))) == 3
