"""The training code on data made here: what a sample holds, that losses and prompts are right, that a run learns and
resumes."""

import dataclasses
import itertools
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

torch = pytest.importorskip("torch", reason="training needs the torch extra")

from anymask.errors import WeightsError  # noqa: E402
from anymask.networks.pocket import Pocket  # noqa: E402
from anymask.networks.pocket_decoder import ScoreCorrection, draw_canvas  # noqa: E402
from anymask.training.loader import SEEN_AGAIN_AFTER, _Stream  # noqa: E402
from anymask.training.losses import dice_loss, focal_loss, intersection_over_union, subject_loss  # noqa: E402
from anymask.training.muon import Muon, optimizers, orthogonal  # noqa: E402
from anymask.training.pocket import Recipe, Stage, Trainer  # noqa: E402
from anymask.training.prompting import correct, first_prompts  # noqa: E402
from anymask.training.samples import Scene, make_sample  # noqa: E402
from anymask.training.scenes import SceneSource, paste  # noqa: E402


def disc_scene(size=(240, 320), centre=(160, 120), radius=60):
    mask = np.zeros(size, np.uint8)
    cv2.circle(mask, centre, radius, 1, -1)
    picture = np.full((*size, 3), 60, np.uint8)
    picture[mask == 1] = (220, 40, 40)
    return Scene(picture, [mask], ["object"], subject=mask)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Eight pictures with one or two discs each, in SA-1B's layout, and one RGBA cut-out."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for number in range(8):
        scene = disc_scene(centre=tuple(int(v) for v in rng.integers(70, 170, 2)), radius=int(rng.integers(25, 60)))
        rle = coco.encode(np.asfortranarray(scene.masks[0]))
        rle = {"size": rle["size"], "counts": rle["counts"].decode()}
        Image.fromarray(scene.image).save(folder / f"{number}.jpg")
        content = {
            "image": {"width": 320, "height": 240},
            "annotations": [{"segmentation": rle, "area": int(scene.masks[0].sum()), "role": "object"}],
            "subject": rle,
        }
        (folder / f"{number}.json").write_text(json.dumps(content))
    alpha = np.zeros((64, 64, 4), np.uint8)
    alpha[16:48, 16:48] = (20, 200, 20, 255)
    Image.fromarray(alpha).save(folder / "cut.png")
    return folder


def _centre(weights):
    ys, xs = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return np.array([(weights * xs).sum(), (weights * ys).sum()]) / weights.sum()


def test_a_sample_keeps_picture_mask_and_prompts_together():
    """Wherever the scene is placed, the target covers the red pixels, the click is on red and the box is around
    them."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        sample = make_sample(disc_scene(), 128, 2, rng)
        red = sample.image[..., 0] > 140
        coverage = cv2.resize(red.astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA)
        assert np.abs(coverage - sample.targets[0] / 255).mean() < 0.02
        x, y = sample.clicks[0]
        assert red[int(y), int(x)]
        assert np.abs(_centre(coverage) - _centre(sample.targets[0])).max() < 0.1  # cells
        ys, xs = np.nonzero(red)
        jitter = 0.3 * max(np.ptp(xs), np.ptp(ys)) + 3
        assert np.abs(sample.boxes[0] - (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)).max() < jitter


def test_a_cut_subject_is_no_subject():
    rng = np.random.default_rng(0)
    large = disc_scene(radius=119)
    spot = np.zeros_like(large.masks[0])
    cv2.circle(spot, (80, 60), 12, 1, -1)
    large.masks.append(spot)  # a close look at this one shows little of the disc
    large.roles.append("part")
    samples = [make_sample(large, 64, 1, rng) for _ in range(150)]
    assert {sample.has_subject for sample in samples} == {True, False}


def test_the_recipe_says_how_scenes_are_mixed(data):
    recipe = Recipe(composite_share=0.1, generated_share=0.0, close_share=1.0, set_weights={})
    source = recipe.source([data])
    assert (source.composite_share, source.generated_share, source.close_share) == (0.1, 0.0, 1.0)
    rng = np.random.default_rng(0)
    small = disc_scene(radius=24)
    covered = {
        share: np.mean([make_sample(small, 128, 1, rng, close_share=share).targets.mean() for _ in range(20)])
        for share in (0.0, 1.0)
    }
    assert covered[1.0] > 3 * covered[0.0]


def test_a_scene_without_a_usable_mask_gives_no_sample():
    scene = disc_scene()
    scene.masks = [np.zeros((240, 320), np.uint8)]
    assert make_sample(scene, 128, 2, np.random.default_rng(0)) is None


def test_pasting_hides_what_is_beneath():
    rng = np.random.default_rng(3)
    scene = disc_scene(radius=100)
    before = int(scene.masks[0].sum())
    thing = np.zeros((100, 100, 4), np.uint8)
    thing[...] = (10, 240, 10, 255)
    for _ in range(6):
        paste(scene, thing, rng)
    green = (scene.image[..., 1] > 180) & (scene.image[..., 0] < 90)
    disc = scene.masks[0].astype(bool)
    assert green.sum() > 500
    assert disc.sum() < before
    assert not (disc & green).any()


def test_a_close_look_shows_what_was_chosen_larger():
    """Of a small thing in a large picture, most samples show more than the whole picture would."""
    rng = np.random.default_rng(0)
    scene = disc_scene(size=(960, 1280), centre=(300, 700), radius=40)
    areas = []
    for _ in range(60):
        sample = make_sample(scene, 128, 1, rng)
        if sample is not None:  # in the whole picture it may be less than two cells
            assert sample.targets[0].max() > 127  # wherever the view lies, the thing is in it
            areas.append(np.count_nonzero(sample.targets[0] > 127))
    whole = np.pi * (40 / 1280 * 32) ** 2
    assert 20 < np.count_nonzero(np.array(areas) > 2 * whole) < 55
    assert np.max(areas) > 20 * whole


def test_looks_change_and_padding_does_not():
    scene = disc_scene(size=(120, 320), centre=(160, 60), radius=40)
    sample = make_sample(scene, 128, 1, np.random.default_rng(1), lambda picture, rng: 255 - picture)
    flat = sample.image.reshape(-1, 3)
    assert (flat == (124, 116, 104)).all(axis=1).mean() > 0.2
    assert (flat == (195, 195, 195)).all(axis=1).mean() > 0.1


def test_muon_takes_directions_of_equal_length():
    torch.manual_seed(0)
    matrix = torch.randn(40, 25) @ torch.diag(torch.logspace(0, -2, 25))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.shape == (25,) and values.min() > 0.4 and values.max() < 1.3
    torch.testing.assert_close(orthogonal(matrix.T), orthogonal(matrix).T, atol=0.05, rtol=0)


@pytest.mark.parametrize("use_muon", [True, False])
def test_every_weight_is_trained_by_one_optimiser(use_muon):
    network = Pocket()
    chosen = [
        weight
        for optimizer in optimizers(network, 1e-3, 0.01, use_muon)
        for group in optimizer.param_groups
        for weight in group["params"]
    ]
    assert sorted(map(id, chosen)) == sorted(map(id, network.parameters()))


def test_muon_has_the_matrices():
    network = Pocket()
    muon = optimizers(network, 1e-3, 0.01)[1].param_groups[0]["params"]
    assert all(weight.ndim > 1 for weight in muon)
    assert sum(weight.numel() for weight in muon) > 0.95 * sum(weight.numel() for weight in network.parameters())


def test_muon_descends():
    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 8, bias=False)
    goal, inputs = torch.randn(8, 8), torch.randn(64, 8)
    optimizer = Muon([layer.weight], lr=0.3)
    losses = []
    for _ in range(60):
        loss = (layer(inputs) - inputs @ goal.T).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


def test_losses_reward_the_truth():
    target = torch.zeros(1, 16, 16)
    target[:, 4:12, 4:12] = 1
    right, wrong, weight = (target - 0.5) * 20, (0.5 - target) * 20, torch.ones(1, 16, 16)
    for loss in (focal_loss, dice_loss, subject_loss):
        assert loss(right, target, weight) < 0.02
        assert loss(wrong, target, weight) > 0.5
    assert intersection_over_union(right, target, weight) == 1
    half = weight.clone()
    half[:, :, 8:] = 0
    damaged = right.clone()
    damaged[:, :, 8:] *= -1
    assert intersection_over_union(damaged, target, half) == 1
    assert dice_loss(damaged, target, half) < 0.02


def test_corrections_click_on_the_error_with_its_label():
    generator = torch.Generator().manual_seed(0)
    target = torch.zeros(2, 32, 32)
    target[:, 8:24, 8:24] = 1
    logits = torch.full((2, 32, 32), -5.0)
    logits[1, :, :] = 5.0
    prompts = first_prompts(torch.full((2, 2), 64.0), torch.tensor([[32.0, 32, 96, 96]] * 2), 32, 0.0, generator)
    assert prompts.labels.tolist() == [[1, -1, -1], [1, -1, -1]]
    corrected = correct(prompts, logits, target, torch.ones_like(target), generator)
    assert corrected.labels[:, -1].tolist() == [1, 0]
    cells = (corrected.coords[:, -1] / 4).long()
    alone = correct(prompts, logits, target, torch.ones_like(target), generator, mask_alone=1.0)
    assert alone.labels[:, -1].tolist() == [-1, -1] and alone.has_mask.tolist() == [1, 1]
    assert target[0, cells[0, 1], cells[0, 0]] == 1
    assert target[1, cells[1, 1], cells[1, 0]] == 0


def test_the_canvas_draws_the_prompt():
    coords = torch.tensor([[[40.0, 24.0], [16.0, 8.0], [100.0, 60.0]]])
    canvas = draw_canvas(coords, torch.tensor([[1.0, 2.0, 3.0]]), torch.zeros(1, 32, 32), torch.zeros(1))[0]
    assert divmod(int(canvas[2].argmax()), 32) in {(5, 9), (5, 10), (6, 9), (6, 10)}
    assert canvas[4:6].abs().max() == 0
    inside = canvas[6] > 0.5
    assert inside[2:15, 4:25].all() and inside.sum() == 13 * 21


def test_padding_points_change_nothing():
    torch.manual_seed(0)
    network = Pocket().eval()
    with torch.no_grad():
        features = network.encoder(torch.rand(1, 3, 64, 64) * 255)
        coords, labels = torch.tensor([[[20.0, 30.0]]]), torch.ones(1, 1)
        mask, given = torch.zeros(1, 16, 16), torch.zeros(1)
        alone, _ = network.decoder(*features, coords, labels, mask, given)
        padded = torch.cat([coords, torch.full((1, 2, 2), 50.0)], 1), torch.tensor([[1.0, -1.0, -1.0]])
        together, _ = network.decoder(*features, *padded, mask, given)
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-4)


def test_scores_see_the_masks_and_masks_do_not_see_the_scores():
    logits = torch.full((1, 2, 8, 8), -6.0)
    logits[0, 0, 2:6, 2:6] = 6.0  # sure, sixteen cells
    logits[0, 1, 2:6, 2:4] = 0.5  # in doubt, half of them
    logits.requires_grad_()
    correction = ScoreCorrection(2)
    assert correction(logits).tolist() == [[0, 0]]
    measures = correction.measure(logits)[0].detach().numpy()
    certainty, stability, agreement, size = measures.T
    np.testing.assert_allclose(size, [0.5, np.sqrt(8 / 64)], atol=1e-4)
    np.testing.assert_allclose(agreement, [1, 0.5], atol=1e-3)
    np.testing.assert_allclose(stability, [1, 0], atol=1e-3)
    assert certainty[0] > 0.95 > 0.7 > certainty[1]
    with torch.no_grad():
        correction.slopes[:, 2] = 0.1
        correction.offsets[1] = 0.2
    corrected = correction(logits)
    np.testing.assert_allclose(corrected[0].tolist(), [0.1, 0.25], atol=1e-3)
    corrected.sum().backward()
    assert logits.grad is None and correction.slopes.grad is not None


def test_scenes_come_twice(data):
    stream = _Stream(SceneSource.from_folders([data], {}), 1, 0, 64, 4)
    scenes = stream._scenes(np.random.default_rng(0))
    drawn = [next(scenes) for _ in range(3 * SEEN_AGAIN_AFTER)]  # kept, so that no two have one address
    order = [id(scene) for scene in drawn]
    assert len(set(order[: SEEN_AGAIN_AFTER + 1])) == SEEN_AGAIN_AFTER + 1
    assert order[SEEN_AGAIN_AFTER + 1] == order[0] and max(map(order.count, order)) == 2


def test_folding_keeps_the_function():
    torch.manual_seed(0)
    network = Pocket()
    network.train()
    for _ in range(3):
        network.encoder(torch.rand(2, 3, 64, 64) * 255)
    network.eval()
    folded = Pocket().eval()
    folded.load_folded(network.fold())
    picture = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        for a, b in zip(network.encoder(picture), folded.encoder(picture), strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)
    with pytest.raises(ValueError, match="1 do not belong"):
        folded.load_folded({**network.fold(), "stranger": torch.zeros(1)})


SMALL = Recipe(
    minutes=0.5,
    stages=(Stage(1.0, 64, 4),),
    prompts=2,
    corrected=1,
    report_seconds=0.0,
    checkpoint_minutes=0.1,
)


@pytest.mark.slow
def test_a_short_run_learns_and_resumes(data, tmp_path, monkeypatch):
    """By a clock on which a step takes a second, however busy the machine is: 30 steps, and then three more."""
    ticks = itertools.count()
    monkeypatch.setattr("anymask.training.pocket.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    torch.manual_seed(0)
    source = SceneSource.from_folders([data], {})
    assert len(source.records) == 8 and len(source.cutouts) == 1
    source.generated_share = 0.05  # they take most of the time that such a small network has
    reports = []
    path = Trainer(SMALL).run(source, tmp_path / "run", reports.append, workers=0)
    assert reports[-1].step == 30
    assert reports[-1].metrics["loss"] < 0.85 * reports[0].metrics["loss"]
    assert {"box", "click", "subject", "corrected"} <= set(reports[-1].metrics)
    curve = [json.loads(line) for line in (tmp_path / "run" / "curve.jsonl").read_text().splitlines()]
    assert [row["step"] for row in curve] == sorted({report.step for report in reports})
    assert curve[-1]["metrics"] == reports[-1].metrics
    again = Trainer(dataclasses.replace(SMALL, minutes=0.55))
    again.load(path)
    assert again.step == reports[-1].step and again.progress > 0.8
    again.run(source, tmp_path / "run", workers=1)
    assert again.step == 33


@pytest.mark.slow
def test_a_run_ends_after_so_many_pictures(data, tmp_path):
    trainer = Trainer(dataclasses.replace(SMALL, minutes=1e-6, pictures=12))
    trainer.run(SceneSource.from_folders([data], {}, generated_share=0.0), tmp_path / "run", workers=0)
    assert (trainer.step, trainer.pictures, trainer.progress) == (3, 12, 1.0)


def test_a_foreign_checkpoint_is_refused(tmp_path):
    trainer = Trainer(SMALL)
    with pytest.raises(WeightsError, match="not a checkpoint of this training"):
        trainer.load(tmp_path / "none.pt")
    torch.save({"network": {}}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="not a checkpoint of this training"):
        trainer.load(tmp_path / "other.pt")


@pytest.mark.slow
def test_an_export_runs_without_torch_and_agrees_with_it(tmp_path):
    """Fresh weights through both engines: the graphs, the folding and the shared file of constants are right."""
    from anymask import Segmenter
    from anymask.catalog import find
    from anymask.runtime.torch import TorchSegmentEngine
    from anymask.training.export import write_artefact

    torch.manual_seed(0)
    folder = write_artefact(Pocket().eval(), tmp_path / "artefact")
    assert sorted(p.name for p in folder.iterdir()) == [
        "decoder.xml",
        "encoder.xml",
        "masked.xml",
        "weights.safetensors",
    ]
    picture = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    fast = Segmenter("pocket", device="cpu", precision="fp32", weights=folder).encode(picture)
    plain = TorchSegmentEngine(find("pocket"), folder / "weights.safetensors", "cpu", "fp32")
    slow = Segmenter.over(plain).encode(picture)
    for a, b in zip(fast.embedding, map(np.asarray, slow.embedding), strict=True):
        assert np.abs(a - b).max() < 0.02 * b.std()
    prompt = {"points": [(100, 100), (50, 20)], "labels": [1, 0], "box": (40, 30, 300, 200)}
    for more in ({}, {"mask": np.random.default_rng(1).normal(size=(128, 128)).astype(np.float32)}):
        a, b = fast.predict(**prompt, **more), slow.predict(**prompt, **more)
        assert np.abs(a.logits - b.logits).max() < 0.05 * b.logits.std()


def test_a_run_can_start_from_the_shipped_weights(tmp_path):
    from anymask.catalog import find
    from anymask.networks.pocket import from_state_dict
    from anymask.runtime.checkpoint import read_state_dict

    shipped = find("pocket").path / "weights.safetensors"
    trainer = Trainer(SMALL)
    trainer.start_from(shipped)
    encoder = from_state_dict(read_state_dict(shipped)).encoder
    picture = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        started = trainer.average.encoder(picture.permute(0, 3, 1, 2).float())
        for a, b in zip(encoder(picture), started, strict=True):
            torch.testing.assert_close(a, b)
    torch.save({"image_encoder.pos_embed": torch.zeros(2)}, tmp_path / "sam.pth")
    with pytest.raises(WeightsError, match="does not fit pocket"):
        trainer.start_from(tmp_path / "sam.pth")


def test_folded_weights_are_normalised_again_without_a_change(data):
    from anymask.catalog import find
    from anymask.training.loader import BatchLoader

    trainer = Trainer(SMALL)
    trainer.start_from(find("pocket").path / "weights.safetensors")
    batch = next(iter(BatchLoader(SceneSource.from_folders([data], {}), 2, 0, 128, 4, workers=0)))
    picture = batch.image.float()
    encoder = trainer.network.encoder
    with torch.no_grad():
        before = encoder.eval()(picture)[0]
        broken = encoder.train()(picture)[0]  # by the batch's own mean and variance
    trainer = Trainer(SMALL)
    trainer.start_from(find("pocket").path / "weights.safetensors")
    trainer._unfold(batch)
    encoder = trainer.network.encoder
    with torch.no_grad():
        after = encoder.eval()(picture)[0]
        trained = encoder.train()(picture)[0]
    assert (after - before).square().mean() < 0.01 * before.var()
    assert (trained - before).square().mean() < 0.05 * before.var() < (broken - before).square().mean()
    trainer.train_step(batch)
    assert trainer.step == 1


def test_calibration_undoes_a_shift_and_a_veil(data):
    """A model whose logits are right but faint and too low gets a positive bias and a gain."""
    from anymask.formats.sa1b import read_folder
    from anymask.training.calibration import calibrate

    class Faint:
        def logits(self, rgb):
            disc = cv2.resize((rgb[..., 0] > 140).astype(np.float32), (80, 60), interpolation=cv2.INTER_AREA)
            return disc * 2 - 2  # 0 inside, -2 outside

    found = calibrate(Faint(), read_folder(data))
    assert found.bias > 0.5 and found.gain >= 2
    assert found.iou > 0.95 and found.error < 0.1


def test_calibration_on_the_command_line(data):
    from typer.testing import CliRunner

    from anymask.cli import app

    result = CliRunner().invoke(app, ["train", "calibrate", "--data", str(data), "--limit", "3"])
    assert result.exit_code == 0
    assert result.output.startswith("gain ")
