"""EfficientSAM's networks against the reference package's numbers, with made-up weights (see parity/README.md)."""

from pathlib import Path

import numpy as np
import parity
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from anymask import Segmenter
from anymask.networks import efficient_sam
from anymask.networks.efficient_sam.efficient_sam import EfficientSam
from anymask.networks.sam.sam import normalize

GOLDENS = {variant: parity.Golden(f"efficient_sam_{variant}") for variant in ("ti", "s")}
CASES = list(GOLDENS["ti"].cases)


def image(golden: parity.Golden) -> Tensor:
    """The picture stretched to the input, in floating point and without antialiasing: 1x1024x1024x3."""
    pixels = torch.from_numpy(golden.picture()).float().permute(2, 0, 1)[None]
    return F.interpolate(pixels, size=(1024, 1024), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def prompt(golden: parity.Golden, case: str) -> tuple[Tensor, Tensor]:
    """coords BxKx2 in input pixels, labels BxK."""
    height, width = golden.picture().shape[:2]
    points = torch.tensor(golden.cases[case]["points"], dtype=torch.float32)[0]
    labels = torch.tensor(golden.cases[case]["labels"], dtype=torch.float32)[0]
    return points * torch.tensor([1024 / width, 1024 / height]), labels


def check(golden: parity.Golden, case: str, logits: Tensor, scores: Tensor) -> None:
    """The three candidates and the mask of a clear prompt."""
    for name, chosen in ((case, slice(1, None)), (f"{case}.single", slice(0, 1))):
        assert golden.difference(f"{name}.low_res", logits[:, chosen]) < parity.LIMIT
        np.testing.assert_allclose(scores[:, chosen].flatten(), golden.arrays[f"{name}.iou"].flatten(), atol=1e-5)


@pytest.fixture(scope="module", params=["ti", pytest.param("s", marks=pytest.mark.slow)])
def variant(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def network(variant: str) -> EfficientSam:
    with torch.device("meta"):
        made = efficient_sam.build(variant)
    loaded = parity.load(made, f"efficient_sam_{variant}")
    assert isinstance(loaded, EfficientSam)
    return loaded


@pytest.fixture(scope="module")
def embedding(network: EfficientSam, variant: str) -> Tensor:
    found: Tensor = efficient_sam.parts(network).encoder(image(GOLDENS[variant]))[0]
    return found


@pytest.mark.parametrize("name", ["ti", "s"])
def test_every_tensor_of_the_checkpoint_has_its_place(name: str) -> None:
    with torch.device("meta"):
        state = efficient_sam.build(name).state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == parity.shapes(f"efficient_sam_{name}")


def test_the_input_and_the_embedding_are_the_references(embedding: Tensor, variant: str) -> None:
    golden = GOLDENS[variant]
    assert golden.difference("preprocessed", normalize(image(golden))) < 1e-5
    assert golden.difference("encoder", embedding) < parity.LIMIT


@pytest.mark.parametrize("case", CASES)
def test_the_network_gives_the_references_masks(
    network: EfficientSam, embedding: Tensor, variant: str, case: str
) -> None:
    check(GOLDENS[variant], case, *network.decode(embedding, *prompt(GOLDENS[variant], case)))


@pytest.mark.parametrize("case", CASES)
def test_what_an_engine_runs_gives_the_references_masks(
    network: EfficientSam, embedding: Tensor, variant: str, case: str
) -> None:
    parts = efficient_sam.parts(network)
    assert parts.prepare
    check(GOLDENS[variant], case, *parts.decoder(*parts.prepare(embedding), *prompt(GOLDENS[variant], case)))


def test_padding_is_an_empty_slot_wherever_it_lies(network: EfficientSam, embedding: Tensor, variant: str) -> None:
    coords, labels = prompt(GOLDENS[variant], "point")
    coords = torch.cat([coords, torch.full((1, 2, 2), 300.0)], dim=1)
    check(GOLDENS[variant], "point", *network.decode(embedding, coords, F.pad(labels, (0, 2), value=-1.0)))


@pytest.mark.slow
def test_the_cpu_engine_gives_the_references_masks(shared_home: Path) -> None:
    golden, checkpoint = GOLDENS["ti"], parity.saved("efficient_sam_ti", shared_home)
    segmenter = Segmenter("efficient_sam_ti", device="cpu", precision="fp32", weights=checkpoint)
    picture = segmenter.encode(golden.picture())

    masks = picture.predict(points=[(210, 150)], multimask=True)
    assert golden.difference("point.low_res", masks.logits) < 10 * parity.LIMIT
    np.testing.assert_allclose(masks.scores, golden.arrays["point.iou"].ravel(), atol=1e-4)
    expected = np.unpackbits(golden.arrays["point.mask.bits"], count=masks.array.size).reshape(masks.array.shape)
    assert (masks.array != expected).mean() < 1e-4
    masks = picture.predict(box=(120, 80, 380, 300), points=[(250, 190)], multimask=False)
    assert golden.difference("box_point.single.low_res", masks.logits) < 10 * parity.LIMIT
    many = golden.cases["seven_points"]["points"][0][0]
    assert golden.difference("seven_points.low_res", picture.predict(points=many, multimask=True).logits) < 1e-3
