"""MODNet against the reference's numbers, with made-up weights (see parity/README.md)."""

import parity
import pytest
import torch
from parity.matting import modnet_image, run_graph, through_openvino
from torch import Tensor

from anymask.networks import modnet
from anymask.networks.modnet import Modnet
from anymask.runtime.convert import convert_module

GOLDEN = parity.Golden("modnet")
LIMIT = 5e-3  # it divides by the deviation of nearly constant channels: the reference differs by 1e-3 from itself


@pytest.fixture(scope="module")
def network() -> Modnet:
    with torch.device("meta"):
        made = modnet.build()
    parity.load(made, "modnet")
    return made


@pytest.fixture(scope="module")
def image() -> Tensor:
    return modnet_image(GOLDEN.picture())


def test_every_tensor_of_the_checkpoint_has_its_place() -> None:
    with torch.device("meta"):
        state = modnet.build().state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == parity.shapes("modnet")


def test_the_backbone_under_two_names_is_one(network: Modnet) -> None:
    state = network.state_dict()
    twice = [name for name in state if name.startswith("backbone.")]
    assert twice
    assert all(state[name].data_ptr() == state[f"lr_branch.{name}"].data_ptr() for name in twice)


def test_the_network_gives_the_references_maps(network: Modnet, image: Tensor) -> None:
    assert GOLDEN.difference("preprocessed", image) < 1e-6
    for name, found in zip(("semantic", "detail", "matte"), network(image), strict=True):
        assert GOLDEN.difference(name, found) < LIMIT, name


def test_what_an_engine_runs_gives_the_references_matte(network: Modnet, image: Tensor) -> None:
    assert GOLDEN.difference("matte", modnet.matte(network)(image)) < LIMIT


@pytest.mark.slow
def test_its_graph_gives_the_references_matte_whatever_size_it_was_made_for(network: Modnet, image: Tensor) -> None:
    served = modnet.matte(network)
    assert GOLDEN.difference("matte", through_openvino(served, image)) < LIMIT
    graph = convert_module(served, [torch.zeros(1, 3, 64, 96)])
    graph.reshape(list(image.shape))
    assert GOLDEN.difference("matte", run_graph(graph, image)) < LIMIT
