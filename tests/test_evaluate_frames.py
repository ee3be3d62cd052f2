"""Cut-outs of clips' frames, beside masks that are known."""

import json
from pathlib import Path

import numpy as np
import pytest
from commandline import ran
from PIL import Image

from anymask import Masks
from anymask.errors import FormatError, PromptError
from anymask.evaluation.frames import evaluate_frames
from anymask.placement import Placement


class BoxFiller:
    """A remover, its segmenter and its encoded picture: alpha fills the left half of the box, the mask all of it."""

    name = "filler"

    def __init__(self) -> None:
        self.segmenter = self

    def matte(self, rgb, prompt):
        x0, y0, x1, y1 = map(int, prompt.box)
        alpha = np.zeros(rgb.shape[:2], np.float32)
        alpha[y0:y1, x0 : (x0 + x1) // 2] = 0.7
        return alpha

    def encode(self, rgb):
        self.size = rgb.shape[:2]
        return self

    def predict(self, box):
        x0, y0, x1, y1 = box
        logits = np.full((1, *self.size), -8, np.float32)
        logits[0, y0:y1, x0:x1] = 8
        return Masks(logits, np.ones(1), Placement(*self.size, *self.size, *self.size))


def clip(folder: Path, name: str, frames: int) -> None:
    """A square that moves by a pixel a frame."""
    (folder / name).mkdir()
    for number in range(frames):
        mask = np.zeros((48, 64), bool)
        mask[10:30, 10 + number : 30 + number] = True
        picture = np.repeat(60 + 150 * mask[..., None], 3, axis=2).astype(np.uint8)
        Image.fromarray(picture).save(folder / name / f"{number:05}.jpg")
        Image.fromarray(mask).save(folder / name / f"{number:05}.png")


def test_the_first_frame_of_every_clip(tmp_path):
    for name in ("walk", "dog"):
        clip(tmp_path, name, 3)
    (tmp_path / "readme.txt").write_text("no clip")
    seen = []
    result = evaluate_frames(tmp_path, BoxFiller(), on_progress=lambda *at: seen.append(at))
    assert [str(one.path.relative_to(tmp_path)) for one in result.frames] == ["dog/00000.jpg", "walk/00000.jpg"]
    assert result.frames[0].box == (10, 10, 30, 30)
    assert result.rows == {"cut-out": 0.5, "mask": 1.0}
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert json.loads(json.dumps(result.to_dict()))["iou"] == result.rows


def test_more_frames_are_spread_evenly(tmp_path):
    clip(tmp_path, "walk", 9)
    stems = [int(one.path.stem) for one in evaluate_frames(tmp_path, BoxFiller(), frames=3).frames]
    assert stems == [0, 3, 6]
    assert len(evaluate_frames(tmp_path, BoxFiller(), frames=50).frames) == 9


def test_folders_that_hold_no_clips(tmp_path):
    def refused(match):
        with pytest.raises(FormatError, match=match):
            evaluate_frames(tmp_path, BoxFiller())

    refused("holds no clips")
    clip(tmp_path, "walk", 1)
    mask = tmp_path / "walk" / "00000.png"
    Image.fromarray(np.zeros((48, 64), bool)).save(mask)
    refused("are all empty")
    Image.fromarray(np.ones((9, 9), bool)).save(mask)
    refused("of another size")
    mask.write_bytes(b"no picture")
    refused("The mask")
    mask.unlink()
    refused("holds no clips")


def test_a_model_that_takes_no_box(tmp_path):
    remover = BoxFiller()
    remover.segmenter = None
    with pytest.raises(PromptError, match="filler takes no box"):
        evaluate_frames(tmp_path, remover)


@pytest.mark.slow
def test_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    clip(tmp_path, "walk", 16)
    out, figures = tmp_path / "out", tmp_path / "x.json"
    options = ["--task", "frames", "--frames", 14, "--device", "cpu", "--plots", out, "--json", figures]
    done = ran(capsys, "evaluate", tmp_path, *options)
    assert done.code == 0, done.err
    assert "walk/00001" in done.out and "mean" in done.out
    assert len(json.loads(figures.read_text())["frames"]) == 14
    with Image.open(out / "frames.png") as image:
        assert image.width > 900 and image.height > 600
