"""U²-Net against the reference's numbers, with made-up weights (see parity/README.md)."""

import parity
import pytest
import torch
from parity.matting import LIMIT, cloth_image, through_openvino, u2net_image

from anymask.networks import u2net
from anymask.networks.residual_u import halved
from anymask.networks.u2net import U2Net

VARIANTS = {"p": "u2netp", "full": "u2net", "cloth": "u2net_cloth_seg"}
HEAVY = [pytest.param(name, marks=pytest.mark.slow) if name == "cloth" else name for name in VARIANTS]
IMAGES = {name: cloth_image if name == "cloth" else u2net_image for name in VARIANTS}


def official(variant: str) -> U2Net:
    with torch.device("meta"):
        network = u2net.build(variant)
    parity.load(network, VARIANTS[variant])
    return network


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_tensor_of_the_checkpoint_has_its_place(variant: str) -> None:
    with torch.device("meta"):
        state = u2net.build(variant).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == parity.shapes(VARIANTS[variant])


@pytest.mark.parametrize("variant", HEAVY)
def test_the_network_gives_the_references_maps(variant: str) -> None:
    golden, network = parity.Golden(VARIANTS[variant]), official(variant)
    image = IMAGES[variant](golden.picture())
    assert golden.difference("preprocessed", image) < 1e-6
    maps = network(image)
    assert len(maps) == 7
    for i, found in enumerate(maps):
        assert golden.difference(f"d{i}", found) < LIMIT, f"d{i}"


@pytest.mark.parametrize("variant", HEAVY)
def test_what_an_engine_runs_gives_the_references_answer(variant: str) -> None:
    golden = parity.Golden(VARIANTS[variant])
    found = u2net.matte(official(variant))(IMAGES[variant](golden.picture()))
    if variant == "cloth":
        assert found.shape == (1, 4, 768, 768)
        assert golden.difference("d0", found.sigmoid()) < LIMIT
        assert golden.difference("classes", found[0].argmax(0)[None, ::4, ::4]) < LIMIT
    else:
        assert golden.difference("d0", found) < LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_its_graph_gives_the_references_answer(variant: str) -> None:
    golden = parity.Golden(VARIANTS[variant])
    found = through_openvino(u2net.matte(official(variant)), IMAGES[variant](golden.picture()))
    assert golden.difference("d0", found.sigmoid() if variant == "cloth" else found) < LIMIT


def test_pooling_keeps_the_last_odd_row_and_column() -> None:
    assert halved(torch.arange(15.0).reshape(1, 1, 3, 5)).tolist() == [[[[6, 8, 9], [11, 13, 14]]]]


def test_maps_of_odd_sizes_find_their_partners() -> None:
    image = torch.linspace(-1, 1, 3 * 75 * 93).reshape(1, 3, 75, 93)
    assert [tuple(found.shape) for found in official("p")(image)] == 7 * [(1, 1, 75, 93)]
