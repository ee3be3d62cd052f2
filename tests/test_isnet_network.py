"""IS-Net and RMBG-1.4 against the references' numbers, with made-up weights (see parity/README.md)."""

import parity
import pytest
import torch
from parity.matting import LIMIT, isnet_image, through_openvino
from torch import Tensor

from anymask.networks import isnet
from anymask.networks.isnet import IsNet

MODELS = ("isnet", "rmbg_1_4")


@pytest.fixture(scope="module")
def network() -> IsNet:
    """Both models' made-up weights: their tensors have the same names."""
    with torch.device("meta"):
        made = isnet.build()
    parity.load(made, "isnet")
    return made


def image(model: str) -> Tensor:
    return isnet_image(parity.Golden(model).picture(), truncated=model == "isnet")


@pytest.mark.parametrize("model", MODELS)
def test_every_tensor_of_the_checkpoint_has_its_place(model: str) -> None:
    with torch.device("meta"):
        state = isnet.build().state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == parity.shapes(model)


@pytest.mark.parametrize("model", MODELS)
def test_the_input_is_the_references(model: str) -> None:
    assert parity.Golden(model).difference("preprocessed", image(model)) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_the_network_gives_the_references_maps(network: IsNet, model: str) -> None:
    golden = parity.Golden(model)
    maps, features = network(image(model))
    assert len(maps) == len(features) == 6
    for i in range(6):
        assert golden.difference(f"feature{i + 1}", features[i]) < LIMIT, f"feature{i + 1}"
        assert golden.difference(f"d{i + 1}", maps[i]) < LIMIT, f"d{i + 1}"


@pytest.mark.slow
def test_what_an_engine_runs_gives_the_references_answer(network: IsNet) -> None:
    golden, served, picture = parity.Golden("isnet"), isnet.matte(network), image("isnet")
    assert golden.difference("d1", served(picture)) < LIMIT
    assert golden.difference("d1", through_openvino(served, picture)) < LIMIT
