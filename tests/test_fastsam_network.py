"""FastSAM's networks against the reference's numbers, with made-up weights (see parity/README.md)."""

import numpy as np
import parity
import pytest
import torch
from parity.matting import LIMIT
from torch import Tensor

from anymask.catalog import find
from anymask.networks import fastsam
from anymask.networks.fastsam.fastsam import FastSam
from anymask.placement import Placement
from anymask.runtime.convert import convert_module
from anymask.runtime.instances import finds, framed
from anymask.runtime.resize import resize_to_input

SIZES = ("s", "x")


def made(size: str) -> FastSam:
    with torch.device("meta"):
        network = fastsam.build(size)
    parity.load(network, f"fastsam_{size}")
    return network


def image(golden: parity.Golden, size: str = "s") -> np.ndarray:
    """The picture as the engine gives it to the network, float32 [1, 3, H, W]."""
    spec, picture = find(f"fastsam_{size}"), golden.picture()
    placement = Placement.letterbox(*picture.shape[:2], spec.input.side)
    framing, left, top = framed(spec, resize_to_input(picture, placement, spec.input.resize))
    assert (left, top) == (0, 15)
    return framing


def predictions(maps: tuple[np.ndarray, ...], coefficients: np.ndarray) -> np.ndarray:
    """The reference's rows before suppression: middle and size of each box, score, coefficients; [1, 37, A]."""
    boxes, scores, chosen = finds(maps, least=0.0)
    assert np.array_equal(chosen, np.arange(len(scores))), "every cell scores more than nothing"
    middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([middle.T, size.T, scores[None], coefficients[0]])[None]


def check(golden: parity.Golden, outputs: list[np.ndarray]) -> None:
    *maps, coefficients, prototypes = outputs
    for number, one in enumerate(maps):
        assert golden.difference(f"map{number}", one) < LIMIT, f"map{number}"
    assert golden.difference("coefficients", coefficients) < LIMIT
    assert golden.difference("prototypes", prototypes) < LIMIT
    rows = predictions(tuple(maps), coefficients)
    assert golden.difference("predictions", rows) < LIMIT
    assert golden.difference("boxes", rows[:, :4]) < LIMIT
    assert golden.difference("scores", rows[:, 4:5]) < LIMIT


@pytest.mark.parametrize("size", SIZES)
def test_every_tensor_of_the_checkpoint_has_its_place(size: str) -> None:
    with torch.device("meta"):
        forms = [network.state_dict() for network in fastsam.forms(size)]
    first, other = ({name: tuple(tensor.shape) for name, tensor in form.items()} for form in forms)
    assert first == parity.shapes(f"fastsam_{size}")
    assert {name for name in first if first[name] != other[name]} >= {"model.22.dfl.conv.weight"}


def test_the_input_is_the_references() -> None:
    golden = parity.Golden("fastsam_s")
    assert golden.difference("preprocessed", image(golden)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_the_network_gives_the_references_numbers(size: str) -> None:
    golden, network = parity.Golden(f"fastsam_{size}"), made(size)
    layers: dict[str, Tensor] = {}
    for number in (4, 9, 15, 18, 21):
        network.model[number].register_forward_hook(
            lambda module, inputs, output, name=f"layer{number}": layers.__setitem__(name, output)
        )
    outputs = network(torch.from_numpy(image(golden, size)))
    for name, output in layers.items():
        assert golden.difference(name, output) < LIMIT, name
    assert len(layers) == 5
    check(golden, [output.numpy() for output in outputs])


@pytest.mark.slow
def test_its_graph_gives_them_too() -> None:
    import openvino as ov

    golden = parity.Golden("fastsam_s")
    graph = convert_module(made("s"), [torch.zeros(1, 3, 1024, 1024)], open_size=True)
    picture = image(golden)
    graph.reshape(picture.shape)
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers = compiled([picture])
    check(golden, [answers[port].copy() for port in compiled.outputs])
