"""Hiera's small windows as OpenVINO computes them: in bf16 to within its rounding, in fp32 exactly whatever came
before."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from torch import Tensor, nn

from anymask.networks.sam2.hiera import SIZES, Attention, Block
from anymask.runtime.convert import convert_module
from anymask.runtime.openvino import KNOWN, Graph


class HeadsApart(nn.Module):
    """The same attention with its heads on an axis of their own, which OpenVINO's bf16 was seen to get wrong."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block

    def forward(self, tokens: Tensor) -> Tensor:
        own, heads = self.block.attn, self.block.attn.heads
        assert isinstance(own, Attention)
        query, key, value = own.qkv(tokens[0]).flatten(1, 2).chunk(3, dim=-1)
        split = [one.unflatten(-1, (heads, -1)).transpose(1, 2) for one in (query[:, ::4], key, value)]
        mixed = nn.functional.scaled_dot_product_attention(*split)
        attended: Tensor = own.proj(mixed.transpose(1, 2).flatten(2))[None]
        return attended


def sharp(block: Block) -> Block:
    """With weights under which attention tells keys well apart, so that a wrong one shows."""
    torch.manual_seed(0)
    for parameter in block.attn.parameters():
        nn.init.normal_(parameter, std=2.5 / parameter.shape[-1] ** 0.5 if parameter.ndim > 1 else 0.1)
    return block.eval()


def graph_of(module: nn.Module, example: Tensor, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    ov.save_model(convert_module(module, [example]), folder / "block.xml", compress_to_fp16=False)
    return folder / "block.xml"


@pytest.mark.parametrize("size", ["tiny", "base_plus", "large"])
@pytest.mark.parametrize("stage", [2, 3])
def test_a_stages_first_block_in_bf16(tmp_path, monkeypatch, size, stage):
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "home"))
    measures = SIZES[size]
    width, heads, window = measures.width * 2**stage, measures.heads * 2**stage, measures.windows[stage - 1]
    block = sharp(Block(width // 2, width, heads, window))
    tokens = torch.randn(1, 16, 16, width // 2)
    expected = block(tokens).detach().numpy()
    (found,) = Graph(graph_of(block, tokens, tmp_path / "graph"), "bf16", KNOWN)([tokens.numpy()])
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.03 * expected.std()


def test_fp32_is_exact_where_bf16_was_compiled_before(tmp_path, monkeypatch):
    monkeypatch.setenv("ANYMASK_HOME", str(tmp_path / "home"))
    module = HeadsApart(sharp(Block(192, 384, 4, 4)))
    tokens = torch.randn(1, 8, 4, 4, 192)  # eight windows
    xml = graph_of(module, tokens, tmp_path / "graph")
    Graph(xml, "bf16", KNOWN)
    (found,) = Graph(xml, "fp32", KNOWN)([tokens.numpy()])
    expected = module(tokens).detach().numpy()
    assert np.abs(found - expected).max() < 1e-4 * expected.std()
