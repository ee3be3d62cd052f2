"""SAM-HQ's network: the official layout, the reference package's numbers, and that the served form computes the same.

The goldens were made by the authors' `sam-hq` package with made-up weights; tests/parity/README.md says how.
"""

from collections.abc import Iterator

import parity
import pytest
import torch
from parity import scattered
from torch import Tensor, nn

from anymask.networks import sam_hq
from anymask.networks.parts import Parts
from anymask.networks.sam.sam import normalize
from anymask.networks.sam_hq import HqMaskDecoder, SamHq, fine_logits

GOLDEN = parity.Golden("sam_hq_vit_b")
PICTURE = (360, 500)
TOKEN_ONLY = [name for name in GOLDEN.cases if f"{name}_hqonly.iou" in GOLDEN.arrays]


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize(
    ("variant", "model"),
    [("vit_b", "sam_hq_vit_b"), ("vit_l", "sam_hq_vit_l"), ("vit_h", "sam_hq_vit_h"), ("tiny", "sam_hq_vit_tiny")],
)
def test_every_key_and_shape_is_the_official_one(variant: str, model: str) -> None:
    with torch.device("meta"):
        network = sam_hq.build(variant)
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == parity.shapes(model)


@pytest.fixture(scope="module")
def decoder() -> tuple[SamHq, Parts, tuple[Tensor, Tensor]]:
    """SAM-HQ without an image encoder, all weights random, and an embedding with its fine features."""
    with torch.no_grad():
        network = scattered(SamHq(nn.Identity(), HqMaskDecoder(early=160)))
        network.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix.normal_()
        generator = torch.Generator().manual_seed(3)
        embedding = torch.randn(1, 256, 64, 64, generator=generator)
        early = torch.randn(1, 64, 64, 160, generator=generator)
        return network, sam_hq.parts(network), (embedding, network.mask_decoder.features(embedding, early))


@pytest.mark.parametrize(("prompts", "points", "with_mask"), [(1, 2, False), (3, 3, True), (2, 0, True)])
def test_the_served_decoder_computes_what_the_plain_one_does(
    decoder: tuple[SamHq, Parts, tuple[Tensor, Tensor]], prompts: int, points: int, with_mask: bool
) -> None:
    network, served, features = decoder
    generator = torch.Generator().manual_seed(prompts)
    coords = 1024 * torch.rand(prompts, points, 2, generator=generator)
    labels = torch.randint(-1, 4, (prompts, points), generator=generator).float()
    mask = 5 * torch.randn(prompts, 256, 256, generator=generator) if with_mask else None
    expected, expected_scores = network.decode_fine(*features, coords, labels, mask)
    given = (coords, labels) if mask is None else (coords, labels, mask)
    logits, scores = (served.decoder if mask is None else served.masked)(*served.prepare(*features), *given)
    assert logits.shape == (prompts, 2, 256, 256) and scores.shape == (prompts, 2)
    assert (logits - expected).abs().max() < 2e-5 * expected.std()
    torch.testing.assert_close(scores, expected_scores, rtol=1e-4, atol=1e-4)


def test_the_ambiguous_answer_is_the_best_of_three_by_predicted_iou(
    decoder: tuple[SamHq, Parts, tuple[Tensor, Tensor]],
) -> None:
    network, _, features = decoder
    coords, labels = 1024 * torch.rand(8, 2, 2, generator=torch.Generator().manual_seed(1)), torch.ones(8, 2)
    logits, scores = network.decode_fine(*features, coords, labels)
    token, _ = network.decode_fine(*features, coords, labels, hq_token_only=True)
    plain, plain_scores = network.decode(features[0], coords, labels)  # SAM's own four
    torch.testing.assert_close(token[:, 0], token[:, 1])
    torch.testing.assert_close(logits[:, 0], plain[:, 0] + token[:, 0], rtol=1e-3, atol=1e-4)
    for prompt in range(8):
        best = 1 + int(plain_scores[prompt, 1:].argmax())
        assert scores[prompt].tolist() == plain_scores[prompt, [0, best]].tolist()
        torch.testing.assert_close(logits[prompt, 1], plain[prompt, best] + token[prompt, 1], rtol=1e-3, atol=1e-4)


def test_the_prompts_weights_in_the_kernel_are_the_convolution_and_the_product() -> None:
    decoder = scattered(HqMaskDecoder(early=8))
    upscaled, weights = torch.randn(2, 32, 12, 10), torch.randn(2, 1, 32)
    expected = (weights @ decoder.embedding_maskfeature(upscaled).flatten(2)).unflatten(2, (12, 10))
    torch.testing.assert_close(fine_logits(decoder, upscaled, weights), expected, rtol=1e-4, atol=1e-4)


# Against the reference package.


@pytest.fixture(scope="module")
def official() -> tuple[SamHq, Parts, Tensor, Tensor]:
    """The ViT-B model with the made-up checkpoint, and what its encoder makes of the golden's picture."""
    with torch.device("meta"):
        network = sam_hq.build("vit_b")
    parity.load(network, "sam_hq_vit_b")
    with torch.no_grad():
        embedding, early = network.image_encoder(normalize(parity.sam_image(GOLDEN.picture())))
    return network, sam_hq.parts(network), embedding, early


@pytest.fixture(scope="module")
def features(official: tuple[SamHq, Parts, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    network, _, embedding, early = official
    with torch.no_grad():
        return embedding, network.mask_decoder.features(embedding, early)


@pytest.mark.slow
def test_the_image_encoder_gives_the_references_tokens(official: tuple[SamHq, Parts, Tensor, Tensor]) -> None:
    _, _, embedding, early = official
    assert GOLDEN.difference("encoder_early", early) < parity.LIMIT
    assert GOLDEN.difference("encoder", embedding) < parity.LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN.cases)
@pytest.mark.parametrize("form", ["plain", "served"])
def test_every_prompt_gives_the_references_masks(
    official: tuple[SamHq, Parts, Tensor, Tensor], features: tuple[Tensor, Tensor], name: str, form: str
) -> None:
    network, served, *_ = official
    case = GOLDEN.cases[name]
    coords, labels, mask = parity.sam_prompt(case, PICTURE)
    if form == "plain":
        logits, scores = network.decode_fine(*features, coords, labels, mask)
    elif mask is None:
        logits, scores = served.decoder(*served.prepare(*features), coords, labels)
    else:
        logits, scores = served.masked(*served.prepare(*features), coords, labels, mask)
    asked = slice(1, 2) if case["multimask"] else slice(0, 1)
    assert GOLDEN.difference(f"{name}.low_res", logits[:, asked]) < parity.LIMIT
    assert GOLDEN.difference(f"{name}.iou", scores[:, asked]) < parity.LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("name", TOKEN_ONLY)
def test_the_high_quality_token_alone_gives_the_references_masks(
    official: tuple[SamHq, Parts, Tensor, Tensor], features: tuple[Tensor, Tensor], name: str
) -> None:
    case = GOLDEN.cases[name]
    logits, scores = official[0].decode_fine(*features, *parity.sam_prompt(case, PICTURE), hq_token_only=True)
    reading = int(case["multimask"])
    assert GOLDEN.difference(f"{name}_hqonly.low_res", logits[:, reading]) < parity.LIMIT
    assert GOLDEN.difference(f"{name}_hqonly.iou", scores[:, reading]) < parity.LIMIT


def test_the_goldens_of_the_token_alone_are_there() -> None:
    assert TOKEN_ONLY == ["point_multi", "box"]


@pytest.mark.slow
def test_the_tiny_variant_has_mobile_sams_encoder_and_serves_what_it_computes() -> None:
    with torch.device("meta"):
        network = sam_hq.build("tiny")
    parity.load(network, "sam_hq_vit_tiny")
    served, golden = sam_hq.parts(network), parity.Golden("mobile_sam")
    image = parity.sam_image(golden.picture())
    embedding, features = served.encoder(image)
    assert golden.difference("encoder", embedding) < parity.LIMIT  # the same names, so the same made-up weights
    coords, labels, _ = parity.sam_prompt(golden.cases["batch3_points"], golden.picture().shape)
    assert served.prepare is not None
    logits, scores = served.decoder(*served.prepare(embedding, features), coords, labels)
    expected, expected_scores = network(image, coords, labels)
    assert (logits - expected).abs().max() < 2e-5 * expected.std()
    torch.testing.assert_close(scores, expected_scores, rtol=1e-4, atol=1e-4)
