"""What an engine runs of SAM 2 for a picture: as of SAM (see `sam/served.py`), with its finer features.

Shapes: B prompts of one picture, T tokens, N = hxw cells; each cell is 4 pixels of the middle map and 16 of the fine
one, which lie together here as the upscaling makes them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.parts import Parts
from anymask.networks.sam.layers import LayerNorm2d
from anymask.networks.sam.served import Embedding, as_cells, by_pixel, embed, picture_order, transform
from anymask.networks.sam2.mask_decoder import Features, MaskDecoder, settle
from anymask.networks.sam2.sam2 import Sam2

CLAMP = 32.0  # the reference gives an earlier mask back within these bounds


class Encoder(nn.Module):
    """image 1xSxSx3 (0..255) -> `Features`, that know of no memory nor of its absence."""

    def __init__(self, network: Sam2) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Features:
        return self.network.encode(image)


class Prepare(nn.Module):
    """`Features` -> `Embedding` of a picture by itself, middle 1xNx4x64, fine 1xNx4x4x32."""

    def __init__(self, network: Sam2) -> None:
        super().__init__()
        self.network = network

    def forward(self, coarse: Tensor, middle: Tensor, fine: Tensor) -> tuple[Tensor, ...]:
        encoder, decoder = self.network.sam_prompt_encoder, self.network.sam_mask_decoder
        image = self.network.without_memory(coarse) + encoder.no_mask()
        return *embed(decoder.transformer, image, encoder.positions()), *by_cell(middle, fine)


class Decoder(nn.Module):
    """`Embedding`, middle, fine, coords BxKx2 (input pixels), labels BxK, perhaps mask Bx4hx4w -> logits Bx4x4hx4w,
    predicted IoU Bx4; index 0 is `settle`d."""

    def __init__(self, network: Sam2) -> None:
        super().__init__()
        self.prompt_encoder, self.mask_decoder = network.sam_prompt_encoder, network.sam_mask_decoder

    def forward(
        self, cells: Tensor, first_key: Tensor, first_value: Tensor, first_query: Tensor, second_key: Tensor,
        second_query: Tensor, final_key: Tensor, middle: Tensor, fine: Tensor, coords: Tensor, labels: Tensor,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        encoder, decoder = self.prompt_encoder, self.mask_decoder
        image = Embedding(cells, first_key, first_value, first_query, second_key, second_query, final_key)
        own = None if mask is None else as_cells(encoder.mask(mask.clamp(-CLAMP, CLAMP)) - encoder.no_mask())
        tokens, cells = transform(decoder.transformer, image, decoder.tokens(encoder(coords, labels)), own)
        upscaled = upscale(decoder, cells, middle, fine)
        logits = picture_order(decoder.mask_weights(tokens) @ upscaled.transpose(1, 2), encoder.grid).float()
        scores = decoder.scores(tokens).float()
        single, score = settle(logits, scores)
        return torch.cat([single, logits[:, 1:]], dim=1), torch.cat([score, scores[:, 1:]], dim=1)


def parts(network: Sam2) -> Parts:
    """What an engine runs of the network for a picture. `masked` is the decoder called with one more argument."""
    decoder = Decoder(network)
    return Parts(Encoder(network), Prepare(network), decoder, decoder)


def by_cell(middle: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
    """The finer maps Bx64x2hx2w and Bx32x4hx4w, each cell's pixels together: BxNx4x64, BxNx4x4x32."""
    pairs = middle.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))  # B, C, row, in it, column, in it
    fours = fine.unflatten(3, (-1, 2, 2)).unflatten(2, (-1, 2, 2))
    pairs = pairs.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)
    fours = fours.permute(0, 2, 5, 3, 6, 4, 7, 1).flatten(5, 6).flatten(3, 4).flatten(1, 2)
    return pairs, fours


def upscale(decoder: MaskDecoder, cells: Tensor, middle: Tensor, fine: Tensor) -> Tensor:
    """`output_upscaling` of cells BxNx256 with the finer features `by_cell`: Bx(16N)x32, for `picture_order`."""
    first, norm, _, second, _ = decoder.output_upscaling
    assert isinstance(first, nn.ConvTranspose2d) and isinstance(norm, LayerNorm2d)
    assert isinstance(second, nn.ConvTranspose2d)
    doubled = F.gelu(norm.last(F.linear(cells, *by_pixel(first)).unflatten(-1, (4, -1)) + middle))
    upscaled: Tensor = F.gelu(F.linear(doubled, *by_pixel(second)).unflatten(-1, (4, -1)) + fine)
    return upscaled.flatten(1, 3)
