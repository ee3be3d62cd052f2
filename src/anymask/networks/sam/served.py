"""What an engine runs of SAM: the published computation, arranged so that a prompt costs half the arithmetic.

* What depends on the picture alone is computed once per picture, in `Prepare`: the first layer's image-side
  projections, and the projections of the position code in every attention.
* There are few tokens (T, about 7) and many cells (N, 4096), so where cells that are a prompt's own would be projected,
  the tokens are instead: q · (W x) = (Wᵀ q) · x, and Σ a (W x) = W (Σ a x). Per head that is N·T·256 products in place
  of N·256·16, and no projected map is written.
* The two upscaling convolutions have stride = kernel, that is, they are matrix products for each cell. Only the four
  finished masks are put in picture order.

Shapes: B prompts of one picture, T tokens, N cells, 8 heads of 16 channels.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.parts import Parts
from anymask.networks.sam.layers import LayerNorm2d
from anymask.networks.sam.mask_decoder import MaskDecoder
from anymask.networks.sam.prompt_encoder import PromptEncoder
from anymask.networks.sam.sam import Sam, normalize
from anymask.networks.sam.transformer import HEADS, Attention, TwoWayLayer, TwoWayTransformer, join_heads, split_heads


class Embedding(NamedTuple):
    """A picture as the decoder reads it.

    cells: 1xNx256, the image embedding without a mask prompt. The others are projected and split into heads, keys and
    queries 1x8x16xN, the value 1x8xNx16: in the first layer from the cells, later from the position code alone.
    """

    cells: Tensor
    first_key: Tensor
    first_value: Tensor
    first_query: Tensor
    second_key: Tensor
    second_query: Tensor
    final_key: Tensor


class Encoder(nn.Module):
    """image 1xSxSx3 (0..255, padded with the mean) -> (embedding 1x256xhxw,)."""

    def __init__(self, image_encoder: nn.Module) -> None:
        super().__init__()
        self.image_encoder = image_encoder

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.image_encoder(normalize(image))[0],)


class Prepare(nn.Module):
    """The image embedding 1x256xhxw -> `Embedding`."""

    def __init__(self, sam: Sam) -> None:
        super().__init__()
        self.prompt_encoder = sam.prompt_encoder
        self.transformer = sam.mask_decoder.transformer

    def forward(self, embedding: Tensor) -> Embedding:
        without_mask = embedding + self.prompt_encoder.no_mask()
        return embed(self.transformer, without_mask, self.prompt_encoder.positions())


class Decoder(nn.Module):
    """`Embedding`, coords BxKx2 (input pixels), labels BxK, perhaps mask Bx4hx4w -> logits Bx4x4hx4w, predicted IoU
    Bx4."""

    def __init__(self, sam: Sam) -> None:
        super().__init__()
        self.prompt_encoder = sam.prompt_encoder
        self.mask_decoder = sam.mask_decoder

    def forward(
        self, cells: Tensor, first_key: Tensor, first_value: Tensor, first_query: Tensor, second_key: Tensor,
        second_query: Tensor, final_key: Tensor, coords: Tensor, labels: Tensor, mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        image = Embedding(cells, first_key, first_value, first_query, second_key, second_query, final_key)
        tokens, cells = prompted(self.prompt_encoder, self.mask_decoder, image, coords, labels, mask)
        upscaled = upscale(self.mask_decoder, cells)
        logits = self.mask_decoder.mask_weights(tokens) @ upscaled.transpose(1, 2)
        return picture_order(logits, self.prompt_encoder.grid).float(), self.mask_decoder.scores(tokens).float()


def parts(network: Sam) -> Parts:
    """What an engine runs of the network. `masked` is the decoder called with one more argument."""
    decoder = Decoder(network)
    return Parts(Encoder(network.image_encoder), Prepare(network), decoder, decoder)


def embed(transformer: TwoWayTransformer, image: Tensor, positions: Tensor) -> Embedding:
    """Everything that the transformer reads of an image 1x256xhxw and its position code 1x256xhxw."""
    cells, positions = as_cells(image), as_cells(positions)
    placed = cells + positions
    first, second = transformer.both
    from_image = first.cross_attn_token_to_image
    return Embedding(
        cells,
        project(from_image.k_proj, placed),
        project(from_image.v_proj, cells).transpose(2, 3),
        project(first.cross_attn_image_to_token.q_proj, placed),
        project(second.cross_attn_token_to_image.k_proj, positions),
        project(second.cross_attn_image_to_token.q_proj, positions),
        project(transformer.final_attn_token_to_image.k_proj, positions),
    )


def prompted(
    encoder: PromptEncoder, decoder: MaskDecoder, image: Embedding, coords: Tensor, labels: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The two-way transformer over a picture and its prompts -> tokens BxTx256, cells BxNx256."""
    own = None if mask is None else as_cells(encoder.mask(mask) - encoder.no_mask())
    return transform(decoder.transformer, image, decoder.tokens(encoder(coords, labels)), own)


def transform(
    transformer: TwoWayTransformer, image: Embedding, prompt: Tensor, own: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The two-way transformer over a picture, prompt tokens BxTx256 and what a mask prompt adds to the cells, BxNx256
    -> tokens BxTx256, cells BxNx256."""
    cells = image.cells if own is None else image.cells + own
    first, second = transformer.both
    tokens, cells = two_way(first, prompt, prompt, cells, own, image.first_key, image.first_value, image.first_query)
    tokens, cells = two_way(second, tokens, prompt, cells, cells, image.second_key, None, image.second_query)
    attention = transformer.final_attn_token_to_image
    attended = attend_to_cells(attention, tokens + prompt, cells, image.final_key, None)
    return transformer.norm_final_attn(tokens + attended), cells


def two_way(
    layer: TwoWayLayer, tokens: Tensor, prompt: Tensor, cells: Tensor, own: Tensor | None, key: Tensor,
    value: Tensor | None, query: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A layer of the transformer. `own` is what of the cells is not in the shared projections key, value and query."""
    tokens = layer.among_tokens(tokens, prompt)
    attended = attend_to_cells(layer.cross_attn_token_to_image, tokens + prompt, own, key, value)
    tokens = layer.after_image(tokens, attended)
    change = attend_to_tokens(layer.cross_attn_image_to_token, tokens + prompt, tokens, own, query)
    return tokens, layer.norm4(cells + change)


def attend_to_cells(
    attention: Attention, tokens: Tensor, own: Tensor | None, key: Tensor, value: Tensor | None
) -> Tensor:
    """Tokens BxTx256 attend to cells whose keys 1x8x16xN and values 1x8xNx16 are known but for the part due to
    `own` BxNx256 -> BxTx256."""
    query = split_heads(attention.q_proj(tokens))
    weights = similarity(query, attention.k_proj, own, key).softmax(dim=3)
    mixed = by_head(attention.v_proj.bias) if value is None else weights @ value
    if own is not None:
        gathered = (weights.flatten(1, 2) @ own).unflatten(1, (HEADS, -1))  # Bx8xTx256
        mixed = gathered @ by_head(attention.v_proj.weight).transpose(1, 2) + mixed
    attended: Tensor = attention.out_proj(join_heads(mixed))
    return attended


def attend_to_tokens(attention: Attention, keys: Tensor, values: Tensor, own: Tensor | None, query: Tensor) -> Tensor:
    """Cells whose queries 1x8x16xN are known but for the part due to `own` BxNx256 attend to tokens, keys and values
    BxTx256 -> BxNx256."""
    key, value = split_heads(attention.k_proj(keys)), split_heads(attention.v_proj(values))
    weights = similarity(key, attention.q_proj, own, query).softmax(dim=2)
    out = (value @ by_head(attention.out_proj.weight.transpose(0, 1))).flatten(1, 2)  # Bx8Tx256
    return weights.flatten(1, 2).transpose(1, 2) @ out + attention.out_proj.bias


def similarity(vectors: Tensor, projection: nn.Linear, own: Tensor | None, known: Tensor) -> Tensor:
    """Scaled scores Bx8xTxN of the tokens' vectors Bx8xTx16 with the projected cells: those known, 1x8x16xN, and the
    projection of `own` BxNx256, which is never formed."""
    vectors = vectors * vectors.shape[-1] ** -0.5
    scores = vectors @ known
    if own is None:
        return scores
    seen = (vectors @ by_head(projection.weight)).flatten(1, 2)  # Bx8Tx256: what each token looks for in a cell
    found: Tensor = (seen @ own.transpose(1, 2)).unflatten(1, (HEADS, -1))
    return scores + found


def upscale(decoder: MaskDecoder, cells: Tensor) -> Tensor:
    """`output_upscaling` of cells BxNx256, each pixel's channels together: Bx(16N)x32. See `picture_order`."""
    first, norm, _, second, _ = decoder.output_upscaling
    assert isinstance(first, nn.ConvTranspose2d) and isinstance(norm, LayerNorm2d)
    assert isinstance(second, nn.ConvTranspose2d)
    quarter = F.linear(cells, *by_pixel(first)).unflatten(-1, (4, -1))
    quarter = F.gelu(norm.last(quarter))
    sixteenth: Tensor = F.gelu(F.linear(quarter, *by_pixel(second))).unflatten(-1, (4, -1))
    return sixteenth.flatten(1, 3)


def by_pixel(conv: nn.ConvTranspose2d) -> tuple[Tensor, Tensor]:
    """A transposed 2x2 convolution of stride 2, C -> D, as a linear layer C -> 4D: its weight 4DxC and bias."""
    assert conv.bias is not None
    return conv.weight.permute(2, 3, 1, 0).flatten(0, 2), conv.bias.repeat(4)


def picture_order(maps: Tensor, grid: int) -> Tensor:
    """Maps BxCx(16N), each cell's pixels together as `upscale` leaves them -> BxCx4hx4w, for N = grid x grid."""
    maps = maps.unflatten(2, (grid, grid, 2, 2, 2, 2))  # row, column, then row and column of each doubling
    return maps.permute(0, 1, 2, 4, 6, 3, 5, 7).flatten(5, 7).flatten(2, 4)


def as_cells(image: Tensor) -> Tensor:
    """BxCxhxw -> BxNxC."""
    return image.flatten(2).transpose(1, 2)


def project(linear: nn.Linear, cells: Tensor) -> Tensor:
    """Cells projected and split into heads: BxNx256 -> Bx8x16xN."""
    return split_heads(linear(cells)).transpose(2, 3)


def by_head(weight: Tensor) -> Tensor:
    """A projection's weight 128xC or bias 128, for each head: 8x16xC or 8x1x16."""
    return weight.unflatten(0, (HEADS, -1)) if weight.ndim == 2 else weight.view(HEADS, 1, -1)
