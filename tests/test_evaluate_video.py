"""DAVIS's measures, and tracking measured by them."""

import json
import math

import cv2
import numpy as np
import pytest
from commandline import ran
from followers import colour_tracker
from PIL import Image

from anymask.errors import FormatError
from anymask.evaluation.davis import boundary, boundary_accuracy, read_labels, region_similarity, sequences, summarise
from anymask.evaluation.plots import plot_tracks
from anymask.evaluation.video import FLOW, STILL, evaluate_video


def square(left, top=20, side=20, height=64, width=96):
    mask = np.zeros((height, width), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def clips(folder, name="walk", frames=6, step=3):
    """A textured square that moves over a textured ground; beside it one that does not."""
    random = np.random.default_rng(5)
    ground = cv2.resize(random.integers(20, 110, (16, 24, 3), np.uint8), (96, 64), interpolation=cv2.INTER_CUBIC)
    red = cv2.resize(random.integers(160, 220, (5, 5), np.uint8), (20, 20), interpolation=cv2.INTER_CUBIC)
    thing = np.stack([red, np.full_like(red, 30), np.full_like(red, 30)], axis=-1)
    (folder / name).mkdir(parents=True)
    for number in range(frames):
        rgb, labels = ground.copy(), np.zeros((64, 96), np.uint8)
        rgb[20:40, 10 + step * number : 30 + step * number] = thing
        labels[20:40, 10 + step * number : 30 + step * number] = 1
        rgb[50:60, 80:90], labels[50:60, 80:90] = (20, 200, 20), 2
        labels[0, 0] = 255
        Image.fromarray(rgb).save(folder / name / f"{number:05}.jpg", quality=95, subsampling=0)
        image = Image.fromarray(labels)
        image.putpalette([value for value in range(256) for _ in range(3)])
        image.save(folder / name / f"{number:05}.png")


def test_regions():
    assert region_similarity(square(10), square(10)) == 1
    assert region_similarity(square(10), square(20)) == pytest.approx(10 / 30)
    empty = np.zeros((64, 96), bool)
    assert region_similarity(empty, empty) == 1
    assert region_similarity(empty, square(10)) == 0


def test_a_boundary_is_where_a_pixel_differs_from_those_right_and_below():
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:4] = True
    assert boundary(mask).astype(int).tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]


def test_boundaries_against_distances_of_every_pair():
    random = np.random.default_rng(0)
    truth = square(30, 10, 30)
    for _ in range(4):
        found = square(int(random.integers(26, 36)), int(random.integers(8, 14)), int(random.integers(24, 34)))
        reach = math.ceil(0.008 * math.hypot(64, 96))
        first, second = (np.argwhere(boundary(one)) for one in (found, truth))
        near = np.hypot(*np.moveaxis(first[:, None] - second[None], -1, 0)) <= reach
        precision, recall = near.any(axis=1).mean(), near.any(axis=0).mean()
        expected = 2 * precision * recall / (precision + recall)
        assert boundary_accuracy(found, truth) == pytest.approx(expected)
    assert boundary_accuracy(square(30, 10, 30), truth) == 1
    empty = np.zeros_like(truth)
    assert boundary_accuracy(empty, empty) == 1
    assert boundary_accuracy(empty, truth) == boundary_accuracy(truth, empty) == 0


def test_mean_recall_and_decay():
    measure = summarise(np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]))
    assert measure.mean == pytest.approx(0.65)
    assert measure.recall == 5 / 8
    # borders 0, 2, 4, 5, 7: the first quarter is frames 0 to 2, the last 5 to 7
    assert measure.decay == pytest.approx(0.9 - 0.4)


def test_layouts(tmp_path):
    clips(tmp_path / "flat", "b")
    clips(tmp_path / "flat", "a")
    (tmp_path / "flat" / "short").mkdir()
    assert [one.name for one in sequences(tmp_path / "flat")] == ["a", "b"]
    clips(tmp_path / "x", "walk")
    own = tmp_path / "davis"
    for kind, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
        (own / kind / "480p" / "walk").mkdir(parents=True)
        for path in (tmp_path / "x" / "walk").glob(f"*.{suffix}"):
            path.rename(own / kind / "480p" / "walk" / path.name)
    (found,) = sequences(own)
    assert found.name == "walk" and len(found.frames) == len(found.labels) == 6
    with pytest.raises(FormatError, match="holds no clips of three frames"):
        sequences(tmp_path / "x")


def test_labels(tmp_path):
    clips(tmp_path)
    values = read_labels(tmp_path / "walk" / "00000.png")
    assert sorted(np.unique(values)) == [0, 1, 2] and values[0, 0] == 0
    Image.fromarray(square(3)).save(tmp_path / "bits.png")
    assert np.array_equal(read_labels(tmp_path / "bits.png"), square(3).astype(np.uint8))
    (tmp_path / "bits.png").write_bytes(b"no")
    with pytest.raises(FormatError, match="cannot be read"):
        read_labels(tmp_path / "bits.png")


def test_every_object_from_every_start_beside_the_baselines(tmp_path):
    clips(tmp_path)
    seen = []
    result = evaluate_video(tmp_path, colour_tracker(), on_progress=lambda *at: seen.append(at))
    assert seen[0] == (0, 12) and seen[-1] == (12, 12)
    assert result.starts == ["mask", "click"] and result.methods == ["pocket", STILL, FLOW]
    by = {(one.object_id, one.start, one.method): one for one in result.tracks}
    assert len(by) == 12
    still = by[1, "mask", STILL]
    assert still.j[0] == 1 and still.j[3] == pytest.approx((20 - 9) / (20 + 9))
    assert still.mean[0] == pytest.approx(np.mean([(20 - 3 * t) / (20 + 3 * t) for t in range(1, 5)]))  # not 0, not 5
    assert by[2, "mask", STILL].mean == (1, 1, 1)
    assert by[1, "mask", FLOW].mean[0] > still.mean[0] + 0.1
    assert by[1, "mask", "pocket"].mean[0] > 0.9
    assert result.mean("mask", STILL, "walk")[0] == pytest.approx((still.mean[0] + 1) / 2)
    figures = json.loads(json.dumps(result.to_dict()))
    assert len(figures["tracks"]) == 12 and figures["means"][0]["J&F"] == pytest.approx(
        result.mean("mask", "pocket")[2]
    )
    few = evaluate_video(tmp_path, colour_tracker(), starts=("click",), frames=3)
    assert len(few.tracks[0].j) == 3 and few.starts == ["click"]
    plot_tracks(result, tmp_path / "tracks.png")
    with Image.open(tmp_path / "tracks.png") as image:
        assert image.width > 600


def test_what_cannot_be_measured(tmp_path):
    clips(tmp_path)
    with pytest.raises(FormatError, match="Three frames"):
        evaluate_video(tmp_path, colour_tracker(), frames=2)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "walk" / "00000.png")
    with pytest.raises(FormatError, match="first mask of walk is empty"):
        evaluate_video(tmp_path, colour_tracker())
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(tmp_path / "walk" / "00000.png")
    with pytest.raises(FormatError, match="another size"):
        evaluate_video(tmp_path, colour_tracker())


def test_the_command(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("anymask.tracker.Tracker", lambda *options: colour_tracker())
    clips(tmp_path / "set")
    figures, plots = tmp_path / "x.json", tmp_path / "plots"
    done = ran(
        capsys, "evaluate", tmp_path / "set", "--task", "video", "--frames", 4, "--json", figures, "--plots", plots
    )
    assert done.code == 0, done.err
    assert "walk" in done.out and "J&F" in done.out and "DIS flow" in done.out
    assert (plots / "tracks.png").exists() and len(json.loads(figures.read_text())["tracks"]) == 12
    refused = ran(capsys, "evaluate", tmp_path / "set", "--task", "video", "--start", "box")
    assert refused.code == 2 and "mask or click, not 'box'" in refused.err
