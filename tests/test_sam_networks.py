"""SAM's networks: the official layout, the reference package's numbers, and that the served form computes the same.

The goldens were made by `segment_anything` 1.0 with made-up weights; tests/parity/README.md says how.
"""

from collections.abc import Callable, Iterator

import numpy as np
import parity
import pytest
import torch
from parity import scattered
from torch import Tensor, nn

from anymask.networks import sam
from anymask.networks.parts import Parts
from anymask.networks.sam import Sam
from anymask.networks.sam.image_encoder import Attention, ImageEncoder, join_windows, split_windows
from anymask.networks.sam.mask_decoder import MaskDecoder
from anymask.networks.sam.sam import normalize
from anymask.networks.sam.served import picture_order, upscale

GOLDEN = parity.Golden("sam_vit_b")
PICTURE = (360, 500)


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("variant", ["vit_b", "vit_l", "vit_h"])
def test_every_key_and_shape_is_the_official_one(variant: str) -> None:
    with torch.device("meta"):
        network = sam.build(variant)
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == parity.shapes(f"sam_{variant}")


# The image encoder, in parts.


def additive_attention(attention: Attention, tokens: Tensor) -> Tensor:
    """Attention with its relative positions the plain way: a bias for every query and key, read from the tables."""
    batch, side, _, width = tokens.shape
    count, dim = side * side, width // attention.heads
    row, column = np.divmod(np.arange(count), side)
    down = attention.rel_pos_h[row[:, None] - row[None, :] + side - 1]  # of each pair of cells, NxNxd
    right = attention.rel_pos_w[column[:, None] - column[None, :] + side - 1]
    queries, keys, values = attention.qkv(tokens).reshape(batch, count, 3, attention.heads, dim).unbind(2)
    scores = torch.einsum("bqhd,bkhd->bhqk", queries, keys) * dim**-0.5
    scores = scores + torch.einsum("bqhd,qkd->bhqk", queries, down + right)
    mixed = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), values)
    return attention.proj(mixed.reshape(batch, side, side, width))


def test_positions_within_the_product_are_positions_added_to_the_scores() -> None:
    attention = scattered(Attention(width=24, heads=3, side=6))
    tokens = torch.randn(2, 6, 6, 24)
    expected = additive_attention(attention, tokens)
    torch.testing.assert_close(attention(tokens), expected, rtol=1e-4, atol=1e-5)
    attention.rel_pos_w.zero_()
    assert (attention(tokens) - expected).abs().max() > 0.05  # the positions are seen


def test_the_encoder_is_the_published_transformer(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = scattered(ImageEncoder(width=24, depth=3, heads=3, global_blocks=(1,), side=20 * 16, outputs=8))
    image = torch.randn(1, 3, 320, 320)
    embedding, early = encoder(image)
    monkeypatch.setattr(Attention, "forward", additive_attention)
    expected, expected_early = encoder(image)
    torch.testing.assert_close(embedding, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(early, expected_early, rtol=1e-4, atol=1e-4)

    tokens = encoder.blocks[1](encoder.blocks[0](encoder.patch_embed(image) + encoder.pos_embed))
    torch.testing.assert_close(early, tokens)  # what SAM-HQ reads: the tokens after the first global block


def test_windows_are_filled_up_with_zeros_at_the_bottom_right() -> None:
    tokens = torch.arange(1.0, 2 * 5 * 7 * 3 + 1).reshape(2, 5, 7, 3)
    windows = split_windows(tokens, 4)
    assert windows.shape == (2 * 2 * 2, 4, 4, 3)
    torch.testing.assert_close(windows[1, :4, :3], tokens[0, :4, 4:])
    assert (windows[1, :, 3] == 0).all() and (windows[3, 1:] == 0).all()
    torch.testing.assert_close(join_windows(windows, 5, 7), tokens)


def test_padding_with_the_mean_colour_is_zero_to_the_network() -> None:
    image = torch.tensor(parity.SAM_MEAN).expand(1, 4, 5, 3).clone()
    image[0, 0, 0] += torch.tensor([58.395, 0.0, 57.375])
    normal = normalize(image)
    assert normal.shape == (1, 3, 4, 5)
    torch.testing.assert_close(normal[0, :, 0, 0], torch.tensor([1.0, 0.0, 1.0]))
    assert (normal[0, :, 1:] == 0).all()


# The served decoder against the plain one.


@pytest.fixture(scope="module")
def decoder() -> tuple[Sam, Parts, Tensor]:
    """SAM without an image encoder, all weights random, and an image embedding."""
    with torch.no_grad():
        network = scattered(Sam(nn.Identity(), MaskDecoder()))
        network.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix.normal_()
        return network, sam.parts(network), torch.randn(1, 256, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize(("prompts", "points"), [(1, 1), (3, 4), (2, 0), (1, 20)])
def test_the_served_decoder_computes_what_the_plain_one_does(
    decoder: tuple[Sam, Parts, Tensor], prompts: int, points: int, with_mask: bool
) -> None:
    network, served, embedding = decoder
    generator = torch.Generator().manual_seed(prompts * 100 + points)
    coords = 1024 * torch.rand(prompts, points, 2, generator=generator)
    labels = torch.randint(-1, 4, (prompts, points), generator=generator).float()
    mask = 5 * torch.randn(prompts, 256, 256, generator=generator) if with_mask else None
    expected, expected_scores = network.decode(embedding, coords, labels, mask)
    given = (coords, labels) if mask is None else (coords, labels, mask)
    logits, scores = (served.decoder if mask is None else served.masked)(*served.prepare(embedding), *given)
    assert logits.shape == (prompts, 4, 256, 256) and scores.shape == (prompts, 4)
    assert (logits - expected).abs().max() < 2e-5 * expected.std()
    torch.testing.assert_close(scores, expected_scores, rtol=1e-4, atol=1e-4)


def test_upscaling_by_cells_is_the_transposed_convolutions() -> None:
    decoder = scattered(MaskDecoder())
    image = torch.randn(2, 256, 6, 6)
    found = picture_order(upscale(decoder, image.flatten(2).transpose(1, 2)).transpose(1, 2), grid=6)
    torch.testing.assert_close(found, decoder.output_upscaling(image), rtol=1e-4, atol=1e-5)


def test_a_padding_point_has_no_place_and_a_background_point_has(decoder: tuple[Sam, Parts, Tensor]) -> None:
    encoder = decoder[0].prompt_encoder
    places = torch.tensor([[[10.0, 20.0], [700.0, 90.0]]])
    padding = encoder(places, torch.full((1, 2), -1.0))
    torch.testing.assert_close(padding[0, 0], padding[0, 1])
    torch.testing.assert_close(padding[0, 0], encoder.not_a_point_embed.weight[0])
    for label in range(4):
        tokens = encoder(places, torch.full((1, 2), float(label)))[0]
        assert (tokens[0] - tokens[1]).abs().max() > 0.1
        code = encoder.pe_layer(places[0, 0], 1024)
        torch.testing.assert_close(tokens[0], code + encoder.point_embeddings[label].weight[0])


@pytest.mark.slow
def test_prompts_and_points_stay_dynamic_in_an_exported_decoder(decoder: tuple[Sam, Parts, Tensor]) -> None:
    _, served, embedding = decoder
    prepared = served.prepare(embedding)
    prompts, points = torch.export.Dim("prompts"), torch.export.Dim("points")
    shapes = (*(None for _ in prepared), {0: prompts, 1: points}, {0: prompts, 1: points})
    example = (*prepared, torch.zeros(3, 5, 2), torch.zeros(3, 5))
    exported = torch.export.export(served.decoder, example, dynamic_shapes=shapes).module()
    coords, labels = 1000 * torch.rand(2, 3, 2), torch.tensor([[1.0, 0.0, -1.0], [2.0, 3.0, 1.0]])
    for found, expected in zip(
        exported(*prepared, coords, labels), served.decoder(*prepared, coords, labels), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


# Against the reference package.


@pytest.fixture(scope="module")
def official() -> tuple[Sam, Parts, Tensor]:
    """ViT-B with the made-up checkpoint, and what its encoder makes of the golden's picture."""
    with torch.device("meta"):
        network = sam.build("vit_b")
    parity.load(network, "sam_vit_b")
    served = sam.parts(network)
    with torch.no_grad():
        (embedding,) = served.encoder(parity.sam_image(GOLDEN.picture()))
    return network, served, embedding


@pytest.fixture(scope="module")
def prepared(official: tuple[Sam, Parts, Tensor]) -> tuple[Tensor, ...]:
    with torch.no_grad():
        return official[1].prepare(official[2])


@pytest.mark.slow
def test_the_image_encoder_gives_the_references_embedding(official: tuple[Sam, Parts, Tensor]) -> None:
    network, _, embedding = official
    assert GOLDEN.difference("encoder", embedding) < parity.LIMIT
    assert GOLDEN.difference("dense_pe", network.prompt_encoder.positions()) < parity.LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN.cases)
@pytest.mark.parametrize("form", ["plain", "served"])
def test_every_prompt_gives_the_references_masks(
    official: tuple[Sam, Parts, Tensor], prepared: tuple[Tensor, ...], name: str, form: str
) -> None:
    network, served, embedding = official
    case = GOLDEN.cases[name]
    coords, labels, mask = parity.sam_prompt(case, PICTURE)
    if form == "plain":
        logits, scores = network.decode(embedding, coords, labels, mask)
    elif mask is None:
        logits, scores = served.decoder(*prepared, coords, labels)
    else:
        logits, scores = served.masked(*prepared, coords, labels, mask)
    asked = slice(1, None) if case["multimask"] else slice(0, 1)
    assert GOLDEN.difference(f"{name}.low_res", logits[:, asked]) < parity.LIMIT
    assert GOLDEN.difference(f"{name}.iou", scores[:, asked]) < parity.LIMIT


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil",
    [
        lambda network: network.mask_decoder.transformer.layers[1].norm4.bias.add_(0.01),
        lambda network: network.prompt_encoder.point_embeddings[1].weight.add_(0.01),
        lambda network: network.mask_decoder.transformer.final_attn_token_to_image.k_proj.weight.mul_(1.01),
    ],
    ids=["norm4", "point_embedding", "final_key"],
)
def test_the_goldens_see_a_wrong_tensor(official: tuple[Sam, Parts, Tensor], spoil: Callable[[Sam], object]) -> None:
    network, served, embedding = official
    kept = {name: value.clone() for name, value in network.mask_decoder.state_dict().items()}
    kept_prompt = {name: value.clone() for name, value in network.prompt_encoder.state_dict().items()}
    try:
        spoil(network)
        coords, labels, _ = parity.sam_prompt(GOLDEN.cases["point_multi"], PICTURE)
        logits, _ = served.decoder(*served.prepare(embedding), coords, labels)
    finally:
        network.mask_decoder.load_state_dict(kept)
        network.prompt_encoder.load_state_dict(kept_prompt)
    assert GOLDEN.difference("point_multi.low_res", logits[:, 1:]) > parity.LIMIT


@pytest.mark.slow
def test_vit_l_gives_the_references_embedding() -> None:
    with torch.device("meta"):
        encoder = sam.build("vit_l").image_encoder
    prefix = "image_encoder."
    state = {k.removeprefix(prefix): v for k, v in parity.checkpoint("sam_vit_l").items() if k.startswith(prefix)}
    encoder.load_state_dict(state, assign=True)
    embedding, _ = encoder.eval()(normalize(parity.sam_image(GOLDEN.picture())))
    assert parity.Golden("sam_vit_l.encoder").difference("encoder", embedding) < parity.LIMIT
