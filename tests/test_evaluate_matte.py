"""The measures of mattes, on small folders whose truth is known."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("py_sod_metrics", reason="the measures need the evaluate extra")

from commandline import Ran, ran
from onnx_files import onnx_file
from PIL import Image

from anymask import BackgroundRemover, rle
from anymask.errors import FormatError
from anymask.evaluation.matte import boundary_iou, evaluate_mattes


class Known:
    """A remover that gives what is red."""

    name = "known"

    def matte(self, picture, refine=True):
        with Image.open(picture) as image:
            return np.asarray(image.convert("RGB"))[..., 0].astype(np.float32) / 255


def disc(radius: float, size: int = 96) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return np.hypot(rows - size / 2, columns - size / 2) < radius


def record(
    folder: Path, name: str, drawn: np.ndarray, truth: np.ndarray | None, ignore: np.ndarray | None = None
) -> None:
    red = np.zeros((*drawn.shape, 3), np.uint8)
    red[..., 0] = drawn * 255
    Image.fromarray(red).save(folder / f"{name}.png")
    content = {"image": {"height": drawn.shape[0], "width": drawn.shape[1]}, "annotations": []}
    if truth is not None:
        content["subject"] = rle.encode(truth)
    if ignore is not None:
        content["ignore"] = rle.encode(ignore)
    (folder / f"{name}.json").write_text(json.dumps(content, default=lambda value: value.decode()))


def test_a_perfect_matte(tmp_path):
    record(tmp_path, "a", disc(30), disc(30))
    rows = evaluate_mattes(tmp_path, Known()).rows
    assert rows["IoU"] == rows["boundary IoU"] == 1 and rows["MAE"] == 0
    assert min(rows[name] for name in ("max F", "weighted F", "S-measure", "mean E")) > 0.98


def test_a_worse_matte_is_worse_in_every_measure(tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder, radius in ((good, 29), (bad, 20)):
        folder.mkdir()
        record(folder, "a", disc(radius), disc(30))
    better, worse = (evaluate_mattes(folder, Known()).rows for folder in (good, bad))
    assert better["MAE"] < worse["MAE"]
    for name in ("IoU", "boundary IoU", "max F", "weighted F", "S-measure", "mean E"):
        assert better[name] > worse[name], name
    assert worse["IoU"] == pytest.approx((20 / 30) ** 2, abs=0.01)
    assert worse["MAE"] == pytest.approx((disc(30) & ~disc(20)).mean(), abs=1e-6)


def test_what_is_ignored_does_not_count(tmp_path):
    record(tmp_path, "a", disc(20), disc(30), disc(32) & ~disc(19))
    rows = evaluate_mattes(tmp_path, Known()).rows
    assert rows["IoU"] == 1 and rows["MAE"] == 0


def test_pictures_without_a_subject_are_passed_over(tmp_path):
    record(tmp_path, "a", disc(20), None)
    with pytest.raises(FormatError, match=r"No picture in .* has a labelled subject"):
        evaluate_mattes(tmp_path, Known())
    record(tmp_path, "b", disc(20), disc(20))
    assert len(evaluate_mattes(tmp_path, Known()).pictures) == 1


def test_masks_in_a_folder_of_their_own(tmp_path):
    pictures, masks = tmp_path / "im", tmp_path / "gt"
    pictures.mkdir()
    masks.mkdir()
    for name in "abc":
        red = np.zeros((96, 96, 3), np.uint8)
        red[..., 0] = disc(20) * 255
        Image.fromarray(red).save(pictures / f"{name}.png")
        Image.fromarray((disc(20) * 255).astype(np.uint8)).save(masks / f"{name}.png")
    assert evaluate_mattes(pictures, Known(), masks=masks).rows["IoU"] == 1
    assert len(evaluate_mattes(pictures, Known(), masks=masks, limit=2).pictures) == 2
    (masks / "b.png").unlink()
    with pytest.raises(FormatError, match=r"no mask for b\.png"):
        evaluate_mattes(pictures, Known(), masks=masks)
    (masks / "b.png").write_bytes(b"no picture")
    with pytest.raises(FormatError, match="The mask"):
        evaluate_mattes(pictures, Known(), masks=masks)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(masks / "b.png")
    with pytest.raises(FormatError, match="of another size"):
        evaluate_mattes(pictures, Known(), masks=masks)
    with pytest.raises(FormatError, match="no pictures"):
        evaluate_mattes(tmp_path / "nowhere", Known(), masks=masks)


def test_boundary_iou_looks_at_the_rim_only():
    assert boundary_iou(disc(30), disc(30)) == 1
    shifted = np.roll(disc(30), 4, axis=1)
    inner = (disc(30) & shifted).sum() / (disc(30) | shifted).sum()
    assert boundary_iou(disc(30), shifted) < 0.6 * inner
    assert boundary_iou(disc(0), disc(0)) == 1
    hole = disc(30) & ~disc(10)
    assert boundary_iou(hole, disc(30)) < 1


def test_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A network of a file goes the same way as pocket."""

    def run(*arguments: object) -> Ran:
        return ran(capsys, *arguments)

    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for name, radius in (("a", 20), ("b", 35)):
        record(folder, name, disc(radius), disc(radius))
    file = onnx_file(tmp_path / "red.onnx", (320, 320), weights=[1, 0, 0])
    options = ["--model", "u2netp", "--weights", file, "--preprocessing", "rembg"]
    done = run("evaluate", folder, "--task", "matte", *options, "--json", tmp_path / "x.json", "--plots", out)
    assert done.code == 0, done.err
    assert "S-measure" in done.out and "2 pictures" in done.err
    figures = json.loads((tmp_path / "x.json").read_text())
    assert figures["measures"]["IoU"] > 0.95 and len(figures["pictures"]) == 2
    for name in ("curves.png", "pictures.png"):
        with Image.open(out / name) as image:
            assert min(image.size) > 300
    assert (
        "prompts, matte, edges, frames, everything or video, not 'colours'"
        in run("evaluate", folder, "--task", "colours").err
    )


def test_pocket_goes_the_same_way(tmp_path):
    record(tmp_path, "a", disc(30), disc(30))
    result = evaluate_mattes(tmp_path, BackgroundRemover("pocket", "cpu"))
    assert 0 <= result.rows["IoU"] <= 1 and result.model == "pocket"
