"""BiRefNet's network against the reference package's numbers, with made-up weights (see parity/README.md)."""

import hashlib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import parity
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from anymask.networks import birefnet
from anymask.networks.birefnet import BiRefNet
from anymask.networks.birefnet.blocks import DecoderBlock
from anymask.networks.birefnet.decoder import PictureBlock, patches
from anymask.networks.birefnet.deformable import DeformableConv2d, deform_conv2d
from anymask.networks.swin import Block, Swin
from anymask.runtime.convert import convert_module
from anymask.runtime.precise import keep_exact

LIMIT = 2e-4  # largest difference over the sample, in deviations of the array
MODELS = {"birefnet": "swin_l", "birefnet_lite": "swin_t"}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalized(picture: np.ndarray, side: int = 1024) -> Tensor:
    """BiRefNet's input: Pillow's bilinear resize, ImageNet's mean and deviation. 1x3xSxS."""
    resized = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))
    scaled = (torch.from_numpy(resized.copy()).float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    return scaled.permute(2, 0, 1)[None]


@pytest.mark.parametrize("model", MODELS)
def test_every_tensor_of_the_checkpoint_has_its_place(model: str) -> None:
    with torch.device("meta"):
        state = birefnet.build(MODELS[model]).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == parity.shapes(model)
    for name, about in parity.manifest(model)["computed"].items():
        assert hashlib.sha256(state[name].numpy().astype("<i8").tobytes()).hexdigest() == about["sha256"]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_the_network_gives_the_references_matte(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = parity.Golden(model)
    with torch.device("meta"):
        made = birefnet.build(MODELS[model])
    network = parity.load(made, model)
    assert isinstance(network, BiRefNet)
    image = normalized(golden.picture())
    assert golden.difference("preprocessed", image) < 1e-6
    of_backbone: list[list[Tensor]] = []  # of the picture and of its half-size copy
    network.bb.register_forward_hook(lambda module, inputs, output: of_backbone.append(output))
    with torch.inference_mode():
        maps = network.encode(image)
        for index, found in enumerate(of_backbone[0], start=1):
            assert golden.difference(f"backbone{index}", found) < LIMIT
        assert golden.difference("encoder1", maps[0]) < LIMIT
        assert golden.difference("encoder4", maps[3]) < LIMIT
        monkeypatch.setattr(network, "encode", lambda image: maps)  # half a minute's work, not done twice
        matte = birefnet.matte(network)(image)
    assert golden.difference("logits", matte.logit()) < LIMIT
    assert golden.difference("final", matte) < LIMIT
    assert golden.difference("final.every8", matte[:, 0, ::8, ::8]) < 5e-3  # stored in half precision


@pytest.mark.slow
def test_the_graph_gives_the_networks_matte() -> None:
    with torch.device("meta"):
        made = birefnet.build("swin_t")
    served = birefnet.matte(parity.load(made, "birefnet_lite"))
    image = normalized(parity.Golden("birefnet_lite").picture(), side=512)
    graph = convert_module(served, [image])
    found = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(image.numpy())[0]
    with torch.inference_mode():
        np.testing.assert_allclose(found, served(image), atol=1e-4)


def test_places_are_not_rounded_in_a_graph_for_bf16(tmp_path: Path) -> None:
    layer = parity.scattered(DeformableConv2d(16, 8, kernel=3))
    x = torch.randn(1, 16, 192, 192, generator=torch.Generator().manual_seed(0))
    xml = tmp_path / "layer.xml"
    ov.save_model(convert_module(layer, [x]), xml, compress_to_fp16=False)
    tree = ElementTree.parse(xml)
    keep_exact(tree)
    tree.write(xml, encoding="utf-8")
    core = ov.Core()
    found = core.compile_model(core.read_model(xml), "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})(x.numpy())[0]
    with torch.inference_mode():
        expected = layer(x).numpy()
    assert np.sqrt(np.square(found - expected).mean()) < 0.02 * expected.std()


@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_a_deformable_convolution_is_the_sum_over_its_taps(kernel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(kernel)
    height, width, taps = 6, 9, kernel * kernel
    x = random.normal(size=(2, 3, height, width))
    offsets = random.normal(scale=2.5, size=(2, 2 * taps, height, width))
    offsets[:, ::3] = offsets[:, ::3].round()  # also exactly on a row or a column
    factors = random.uniform(0, 2, size=(2, taps, height, width))
    weight = random.normal(size=(4, 3, kernel, kernel))

    def read(b: int, c: int, y: float, x_: float) -> float:
        value = 0.0
        for row in (int(np.floor(y)), int(np.floor(y)) + 1):
            for column in (int(np.floor(x_)), int(np.floor(x_)) + 1):
                if 0 <= row < height and 0 <= column < width:
                    value += x[b, c, row, column] * (1 - abs(y - row)) * (1 - abs(x_ - column))
        return value

    expected = np.zeros((2, 4, height, width))
    for b, row, column, tap in np.ndindex(2, height, width, taps):
        y = row + tap // kernel - kernel // 2 + offsets[b, 2 * tap, row, column]
        x_ = column + tap % kernel - kernel // 2 + offsets[b, 2 * tap + 1, row, column]
        values = [read(b, c, y, x_) for c in range(3)]
        tap_weight = weight[:, :, tap // kernel, tap % kernel]
        expected[b, :, row, column] += factors[b, tap, row, column] * (tap_weight @ values)

    given = [torch.from_numpy(array) for array in (x, offsets, factors, weight)]
    whole = deform_conv2d(*given)
    np.testing.assert_allclose(whole, expected, atol=1e-12)
    monkeypatch.setattr("anymask.networks.birefnet.deformable.SAMPLES", 4 * 3 * taps * width)  # four rows at a time
    np.testing.assert_allclose(deform_conv2d(*given), expected, atol=1e-12)


def test_a_deformable_convolution_that_moves_nothing_is_a_convolution() -> None:
    layer = parity.scattered(DeformableConv2d(3, 5, kernel=3))
    assert isinstance(layer, DeformableConv2d)
    for part in (layer.offset_conv, layer.modulator_conv):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)  # a factor of 2 * sigmoid(0) = 1
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(layer(x), layer.regular_conv(x))


def test_cells_of_a_shifted_window_see_only_their_neighbours() -> None:
    """Against a mask for every window, found from where each cell comes from (Liu et al. 2021, figure 4)."""
    window, shift, side = 4, 2, 10  # two cells fill up the last window
    block = parity.scattered(Block(64, window, shift))
    x = torch.randn(1, side, side, 64)
    padded = F.pad(x, (0, 0, 0, 2, 0, 2)).roll((-shift, -shift), (1, 2))[0]
    band = torch.tensor([0] * 8 + [1] * 2 + [2] * 2)
    region = band[:, None] * 3 + band
    attention: Any = block.attn
    mixed = torch.zeros_like(padded)
    bias = attention.relative_position_bias_table[attention.relative_position_index].permute(2, 0, 1)
    for top in range(0, 12, window):
        for left in range(0, 12, window):
            cells = padded[top : top + window, left : left + window].reshape(16, 64)
            origin = region[top : top + window, left : left + window].flatten()
            query, key, value = attention.qkv(cells).view(16, 3, 2, 32).permute(1, 2, 0, 3)
            scores = query @ key.transpose(1, 2) / 32**0.5 + bias
            scores = scores.masked_fill(origin[:, None] != origin, -torch.inf)
            result = attention.proj((scores.softmax(-1) @ value).transpose(0, 1).reshape(16, 64))
            mixed[top : top + window, left : left + window] = result.view(window, window, 64)
    expected = mixed.roll((shift, shift), (0, 1))[:side, :side]
    torch.testing.assert_close(block.attended(x)[0], expected)  # type: ignore[operator]


@pytest.mark.parametrize("size", [(32, 32), (36, 44)])
def test_the_backbone_takes_any_multiple_of_4(size: tuple[int, int]) -> None:
    """One window alone is the last one; odd maps are filled up before they are halved."""
    maps = parity.scattered(Swin(32, (2, 2, 2, 2), window=7))(torch.randn(1, 3, *size))
    sizes = [(-(-size[0] // stride), -(-size[1] // stride)) for stride in (4, 8, 16, 32)]
    assert [tuple(found.shape[2:]) for found in maps] == sizes
    assert all(found.isfinite().all() for found in maps)


def test_patches_lie_on_each_other_channel_by_channel_and_row_by_row() -> None:
    image = torch.arange(2 * 4 * 6).view(1, 2, 4, 6)
    found = patches(image, torch.zeros(1, 1, 2, 2))
    assert found.shape == (1, 2 * 2 * 3, 2, 2)
    assert found[0, 1 * 6 + 1 * 3 + 2].tolist() == image[0, 1, 2:4, 4:6].tolist()


def test_outputs_that_are_only_summed_up_are_never_made() -> None:
    x, weight = torch.randn(1, 6, 9, 11), torch.randn(1, 10, 1, 1)
    for block in (DecoderBlock(6, 10), PictureBlock(6, 10)):
        expected: Tensor = F.conv2d(parity.scattered(block)(x), weight)
        torch.testing.assert_close(block.projected(x, weight), expected, rtol=1e-4, atol=1e-4)
