"""SAM's two-way transformer: prompt tokens attend to the image and the image attends to them (Kirillov et al. 2023).

Shapes: B prompts, T tokens, N image cells, D channels. Each module is here as published; `served.py` computes the same
with less arithmetic.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.sam.layers import MLP

WIDTH, HEADS, HIDDEN = 256, 8, 2048


class TwoWayTransformer(nn.Module):
    """image BxNxD, its position code 1xNxD and prompt tokens BxTxD -> tokens BxTxD, image BxNxD.

    The tokens as they come in serve as their own position code.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([TwoWayLayer(first=True), TwoWayLayer(first=False)])
        self.final_attn_token_to_image = Attention(WIDTH // 2)
        self.norm_final_attn = nn.LayerNorm(WIDTH)

    def forward(self, image: Tensor, positions: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
        tokens = prompt
        for layer in self.both:
            tokens, image = layer(tokens, image, prompt, positions)
        attended = self.final_attn_token_to_image(tokens + prompt, image + positions, image)
        return self.norm_final_attn(tokens + attended), image

    @property
    def both(self) -> tuple["TwoWayLayer", "TwoWayLayer"]:
        """The layers, as ones with their type."""
        first, second = self.layers
        assert isinstance(first, TwoWayLayer) and isinstance(second, TwoWayLayer)
        return first, second


class TwoWayLayer(nn.Module):
    """Tokens attend to each other and to the image, pass an MLP, and the image attends to them.

    In the first layer the tokens' self-attention has no position code and replaces them.
    """

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.cross_attn_token_to_image = Attention(WIDTH // 2)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp: nn.Module = MLP(WIDTH, HIDDEN, nn.ReLU())
        self.norm3 = nn.LayerNorm(WIDTH)
        self.norm4 = nn.LayerNorm(WIDTH)
        self.cross_attn_image_to_token = Attention(WIDTH // 2)

    def forward(self, tokens: Tensor, image: Tensor, prompt: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.among_tokens(tokens, prompt)
        attended = self.cross_attn_token_to_image(tokens + prompt, image + positions, image)
        tokens = self.after_image(tokens, attended)
        attended = self.cross_attn_image_to_token(image + positions, tokens + prompt, tokens)
        return tokens, self.norm4(image + attended)

    def among_tokens(self, tokens: Tensor, prompt: Tensor) -> Tensor:
        """The self-attention's step."""
        if self.first:
            changed = self.self_attn(tokens, tokens, tokens)
        else:
            query = tokens + prompt
            changed = tokens + self.self_attn(query, query, tokens)
        normed: Tensor = self.norm1(changed)
        return normed

    def after_image(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """What follows the tokens' attention to the image: its residual, and the MLP."""
        tokens = self.norm2(tokens + attended)
        normed: Tensor = self.norm3(tokens + self.mlp(tokens))
        return normed


class Attention(nn.Module):
    """Multi-head attention at an inner width: queries BxQxD, keys and values BxNxD -> BxQxD."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, inner)
        self.k_proj = nn.Linear(WIDTH, inner)
        self.v_proj = nn.Linear(WIDTH, inner)
        self.out_proj = nn.Linear(inner, WIDTH)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        mixed = F.scaled_dot_product_attention(
            split_heads(self.q_proj(query)), split_heads(self.k_proj(key)), split_heads(self.v_proj(value))
        )
        result: Tensor = self.out_proj(join_heads(mixed))
        return result


def split_heads(x: Tensor) -> Tensor:
    """BxNx(8d) -> Bx8xNxd."""
    heads: Tensor = x.unflatten(-1, (HEADS, -1))
    return heads.transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """Bx8xNxd -> BxNx(8d)."""
    return x.transpose(1, 2).flatten(2)
