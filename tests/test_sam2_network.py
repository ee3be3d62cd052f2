"""SAM 2's networks: the official layouts, the reference package's numbers, and that the served form computes the same.

The goldens were made by the `sam2` package with made-up weights; tests/parity/README.md says how.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import parity
import pytest
import torch
import torch.nn.functional as F
from parity import scattered
from torch import Tensor

from anymask import Prompt, Segmenter
from anymask.networks import sam2
from anymask.networks.parts import Parts
from anymask.networks.sam.sam import normalize
from anymask.networks.sam2.hiera import Hiera, Size, halve
from anymask.networks.sam2.mask_decoder import Features, settle
from anymask.networks.sam2.sam2 import Sam2
from anymask.networks.sam2.served import by_cell

GOLDEN = parity.Golden("sam2.1_hiera_tiny")
BASE_PLUS = parity.Golden("sam2.1_hiera_base_plus.encoder")
PICTURE = (360, 500)
SIZES = ("tiny", "small", "base_plus", "large")
MINUTE = Size(8, 1, (1, 1, 2, 1), (2,))  # a trunk for tests that are not about it


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("version", "name"), [("2.0", "sam2"), ("2.1", "sam2.1")])
def test_every_key_and_shape_is_the_official_one(version: str, name: str, size: str) -> None:
    with torch.device("meta"):
        network = sam2.build(f"{version}_{size}")
    found = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert found == parity.shapes(f"{name}_hiera_{size}")


def test_the_trunk_halves_its_map_from_stage_to_stage() -> None:
    trunk = scattered(Hiera(MINUTE))
    found = trunk(torch.randn(2, 3, 128, 192, generator=torch.Generator().manual_seed(0)))
    assert [tuple(stage.shape) for stage in found] == [(2, 8, 32, 48), (2, 16, 16, 24), (2, 32, 8, 12), (2, 64, 4, 6)]


def test_a_map_is_halved_as_by_max_pooling() -> None:
    x = torch.randn(2, 6, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(halve(x), F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1))


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    trunk = scattered(Hiera(MINUTE))
    pictures = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    for together, alone in zip(trunk(pictures), trunk(pictures[1:]), strict=True):
        torch.testing.assert_close(together[1:], alone, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def minute() -> tuple[Sam2, Parts, Features]:
    """SAM 2.1 with a minute trunk, all weights random, and features of a picture, random too."""
    with torch.no_grad():
        network = Sam2(MINUTE, improved=True)
        scattered(network)
        network.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix.normal_()
        generator = torch.Generator().manual_seed(3)
        shapes = ((1, 256, 64, 64), (1, 64, 128, 128), (1, 32, 256, 256))
        return network, sam2.parts(network), Features(*(torch.randn(shape, generator=generator) for shape in shapes))


@pytest.mark.parametrize(("prompts", "points", "with_mask"), [(1, 2, False), (3, 3, True), (2, 0, True)])
def test_the_served_decoder_computes_what_the_plain_one_does(
    minute: tuple[Sam2, Parts, Features], prompts: int, points: int, with_mask: bool
) -> None:
    network, served, features = minute
    generator = torch.Generator().manual_seed(prompts)
    coords = 1024 * torch.rand(prompts, points, 2, generator=generator)
    labels = torch.randint(-1, 4, (prompts, points), generator=generator).float()
    mask = 5 * torch.randn(prompts, 256, 256, generator=generator) if with_mask else None
    alone = features._replace(coarse=network.without_memory(features.coarse))
    plain = network.decode(alone, coords, labels, mask)
    single, score = settle(plain.logits, plain.scores)
    expected = torch.cat([single, plain.logits[:, 1:]], dim=1)
    given = (coords, labels) if mask is None else (coords, labels, mask)
    assert served.prepare is not None
    logits, scores = (served.decoder if mask is None else served.masked)(*served.prepare(*features), *given)
    assert logits.shape == (prompts, 4, 256, 256) and scores.shape == (prompts, 4)
    assert (logits - expected).abs().max() < 2e-5 * expected.std()
    torch.testing.assert_close(scores, torch.cat([score, plain.scores[:, 1:]], dim=1), rtol=1e-4, atol=1e-5)


def test_an_earlier_mask_is_given_back_within_the_references_bounds(minute: tuple[Sam2, Parts, Features]) -> None:
    _, served, features = minute
    mask = 60 * torch.randn(1, 256, 256, generator=torch.Generator().manual_seed(0))
    assert served.prepare is not None and served.masked is not None
    embedding, nowhere = served.prepare(*features), (torch.zeros(1, 0, 2), torch.zeros(1, 0))
    logits, _ = served.masked(*embedding, *nowhere, mask)
    bounded, _ = served.masked(*embedding, *nowhere, mask.clamp(-32, 32))
    assert torch.equal(logits, bounded)


def test_the_finer_maps_lie_as_the_upscaling_makes_its_pixels() -> None:
    middle = torch.arange(2.0 * 6 * 8).reshape(1, 2, 6, 8)
    fine = torch.arange(1.0 * 12 * 16).reshape(1, 1, 12, 16)
    pairs, fours = by_cell(middle, fine)
    assert pairs.shape == (1, 12, 4, 2) and fours.shape == (1, 12, 4, 4, 1)
    row, column = 1, 2  # of a cell, of 3 x 4
    assert pairs[0, row * 4 + column, 2].tolist() == middle[0, :, 2 * row + 1, 2 * column].tolist()
    assert fours[0, row * 4 + column, 2, 1].tolist() == fine[0, :, 4 * row + 2, 4 * column + 1].tolist()


def test_a_vague_single_mask_gives_way_to_the_best_of_three() -> None:
    logits = torch.full((3, 4, 10, 10), -1.0)
    logits[:2, 0, :5] = 1.0
    logits[1, 0, 5] = 0.01  # of 60 pixels ten lie between the thresholds
    scores = torch.tensor([[0.9, 0.2, 0.8, 0.3]]).repeat(3, 1)
    logits[:, 2] = 7.0
    found, score = settle(logits, scores)
    assert score.flatten().tolist() == pytest.approx([0.9, 0.8, 0.9]), "the last is empty, and that is clear"
    assert torch.equal(found[0], logits[0, :1]) and torch.equal(found[1], logits[1, 2:3])


# Against the reference package.


@pytest.fixture(scope="module")
def official() -> tuple[Sam2, Parts, Features]:
    """The tiny model of 2.1 with the made-up checkpoint, and what its encoder makes of the golden's picture."""
    with torch.device("meta"):
        network = sam2.build("2.1_tiny")
    parity.load(network, "sam2.1_hiera_tiny")
    served = sam2.parts(network)
    with torch.no_grad():
        return network, served, served.encoder(parity.sam2_image(GOLDEN.picture()))


def compare(golden: parity.Golden, network: Sam2, features: Features) -> None:
    assert golden.difference("image_embed", network.without_memory(features.coarse)) < parity.LIMIT
    assert golden.difference("high_res_1", features.middle) < parity.LIMIT
    assert golden.difference("high_res_0", features.fine) < parity.LIMIT


@pytest.mark.slow
def test_the_input_and_the_features_are_the_references(official: tuple[Sam2, Parts, Features]) -> None:
    network, _, features = official
    assert GOLDEN.difference("preprocessed", normalize(parity.sam2_image(GOLDEN.picture()))) < 1e-5
    compare(GOLDEN, network, features)


@pytest.mark.slow
def test_the_features_of_base_plus_are_the_references() -> None:
    with torch.device("meta"):
        network = sam2.build("2.1_base_plus")
    parity.load(network, "sam2.1_hiera_base_plus")
    compare(BASE_PLUS, network, network.encode(parity.sam2_image(BASE_PLUS.picture())))


def check(case: str, logits: Tensor | np.ndarray, scores: Tensor | np.ndarray, limit: float = parity.LIMIT) -> None:
    """The masks that were asked for, against the reference's, which are bounded."""
    assert GOLDEN.difference(f"{case}.low_res", logits.clip(-32, 32)) < limit
    expected = GOLDEN.arrays[f"{case}.iou"]
    np.testing.assert_allclose(np.asarray(scores).reshape(expected.shape), expected, atol=limit)


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN.cases)
def test_every_prompt_gives_the_references_masks(official: tuple[Sam2, Parts, Features], name: str) -> None:
    network, _, features = official
    case, (coords, labels, mask) = GOLDEN.cases[name], parity.sam2_prompt(GOLDEN.cases[name], PICTURE)
    alone = features._replace(coarse=network.without_memory(features.coarse))
    logits, scores, _, presence = network.decode(alone, coords, labels, mask)
    assert (presence > 0).all()
    if case["multimask"]:
        check(name, logits[:, 1:], scores[:, 1:])
    elif case["dynamic"]:
        check(name, *settle(logits, scores))
    else:
        check(name, logits[:, :1], scores[:, :1])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, case in GOLDEN.cases.items() if case["dynamic"]])
def test_what_an_engine_runs_gives_the_references_masks(official: tuple[Sam2, Parts, Features], name: str) -> None:
    _, served, features = official
    coords, labels, _ = parity.sam2_prompt(GOLDEN.cases[name], PICTURE)
    assert served.prepare is not None
    logits, scores = served.decoder(*served.prepare(*features), coords, labels)
    asked = slice(1, None) if GOLDEN.cases[name]["multimask"] else slice(0, 1)
    check(name, logits[:, asked], scores[:, asked])


@pytest.mark.slow
def test_the_cpu_engine_gives_the_references_masks(shared_home: Path) -> None:
    checkpoint = parity.saved("sam2.1_hiera_tiny", shared_home)
    segmenter = Segmenter("sam2.1_hiera_tiny", device="cpu", precision="fp32", weights=checkpoint)
    picture = segmenter.encode(GOLDEN.picture())
    assert GOLDEN.difference("high_res_1", picture.features[1]) < 10 * parity.LIMIT
    assert GOLDEN.difference("high_res_0", picture.features[2]) < 10 * parity.LIMIT
    for name, case in GOLDEN.cases.items():
        given = {"points": case.get("points"), "labels": case.get("labels"), "box": case.get("box")}
        if "mask_seed" in case:
            given["mask"] = parity.seeded_mask_logits(256, 256, case["mask_seed"])
        batch = len(given["points"] or given["box"]) if name.startswith("batch") else 0
        several = [{key: value[i] for key, value in given.items() if value is not None} for i in range(batch)]
        found = picture.predict_batch([Prompt(**one) for one in several or [given]], multimask=case["multimask"])
        if not case["dynamic"]:  # the engine never leaves the fallback out
            continue
        check(name, np.stack([masks.logits for masks in found]), np.stack([masks.scores for masks in found]), 1e-3)
        if f"{name}.mask.bits" in GOLDEN.arrays:
            masks = np.stack([masks.array for masks in found])
            expected = np.unpackbits(GOLDEN.arrays[f"{name}.mask.bits"], count=masks.size).reshape(masks.shape)
            assert (masks != expected).mean() < 1e-4
