"""MobileSAM's network against the reference package's numbers, with made-up weights (see parity/README.md)."""

from pathlib import Path

import numpy as np
import parity
import pytest
import torch
from torch import Tensor

from anymask import Prompt, Segmenter
from anymask.networks import mobile_sam
from anymask.networks.sam.sam import Sam, normalize

GOLDEN = parity.Golden("mobile_sam")


@pytest.fixture(scope="module")
def network() -> Sam:
    with torch.device("meta"):
        made = mobile_sam.build("tiny_vit")
    loaded = parity.load(made, "mobile_sam")
    assert isinstance(loaded, Sam)
    return loaded


@pytest.fixture(scope="module")
def embedding(network: Sam) -> Tensor:
    found: Tensor = network.image_encoder(normalize(parity.sam_image(GOLDEN.picture())))[0]
    return found


def check(case: str, logits: Tensor, scores: Tensor) -> None:
    """All four masks against the one or the three that the reference returns."""
    chosen = slice(1, None) if GOLDEN.cases[case]["multimask"] else slice(0, 1)
    assert GOLDEN.difference(f"{case}.low_res", logits[:, chosen]) < parity.LIMIT
    np.testing.assert_allclose(scores[:, chosen].flatten(), GOLDEN.arrays[f"{case}.iou"].flatten(), atol=1e-5)


def test_every_tensor_of_the_checkpoint_has_its_place() -> None:
    with torch.device("meta"):
        state = mobile_sam.build("tiny_vit").state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == parity.shapes("mobile_sam")


def test_the_input_and_the_embedding_are_the_references(embedding: Tensor) -> None:
    assert GOLDEN.difference("preprocessed", normalize(parity.sam_image(GOLDEN.picture()))) < 1e-6
    assert GOLDEN.difference("encoder", embedding) < parity.LIMIT


@pytest.mark.parametrize("case", GOLDEN.cases)
def test_the_network_gives_the_references_masks(network: Sam, embedding: Tensor, case: str) -> None:
    coords, labels, mask = parity.sam_prompt(GOLDEN.cases[case], GOLDEN.picture().shape)
    check(case, *network.decode(embedding, coords, labels, mask))


@pytest.mark.parametrize("case", GOLDEN.cases)
def test_what_an_engine_runs_gives_the_references_masks(network: Sam, embedding: Tensor, case: str) -> None:
    parts = mobile_sam.parts(network)
    assert parts.prepare and parts.masked
    coords, labels, mask = parity.sam_prompt(GOLDEN.cases[case], GOLDEN.picture().shape)
    prepared = parts.prepare(embedding)
    if mask is None:
        check(case, *parts.decoder(*prepared, coords, labels))
    else:
        check(case, *parts.masked(*prepared, coords, labels, mask))


@pytest.mark.slow
def test_the_cpu_engine_gives_the_references_masks(shared_home: Path) -> None:
    checkpoint = parity.saved("mobile_sam", shared_home)
    picture = Segmenter("mobile_sam", device="cpu", precision="fp32", weights=checkpoint).encode(GOLDEN.picture())
    for case in GOLDEN.cases.values():
        given = {"points": case.get("points"), "labels": case.get("labels"), "box": case.get("box")}
        if "mask_seed" in case:
            given["mask"] = parity.seeded_mask_logits(256, 256, case["mask_seed"])
        batch = len(given["points"] or given["box"]) if case["name"].startswith("batch") else 0
        several = [{key: value[i] for key, value in given.items() if value is not None} for i in range(batch)]
        found = picture.predict_batch([Prompt(**one) for one in several or [given]], multimask=case["multimask"])
        logits = np.stack([masks.logits for masks in found])
        assert GOLDEN.difference(f"{case['name']}.low_res", logits) < 10 * parity.LIMIT, case["name"]
        if f"{case['name']}.mask.bits" in GOLDEN.arrays:
            masks = np.stack([masks.array for masks in found])
            expected = np.unpackbits(GOLDEN.arrays[f"{case['name']}.mask.bits"], count=masks.size).reshape(masks.shape)
            assert (masks != expected).mean() < 1e-4
