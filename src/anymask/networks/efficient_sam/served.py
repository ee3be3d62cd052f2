"""What an engine runs of EfficientSAM: as of SAM (see `sam/served.py`), but for the prompts and the upscaling.

Shapes: B prompts of one picture, T tokens, N cells.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.efficient_sam.efficient_sam import EfficientSam
from anymask.networks.efficient_sam.mask_decoder import MaskDecoder
from anymask.networks.parts import Parts
from anymask.networks.sam.served import Embedding, Encoder, by_pixel, embed, picture_order, transform


class Prepare(nn.Module):
    """The image embedding 1x256xhxw -> `Embedding`."""

    def __init__(self, network: EfficientSam) -> None:
        super().__init__()
        self.prompt_encoder = network.prompt_encoder
        self.transformer = network.mask_decoder.transformer

    def forward(self, embedding: Tensor) -> Embedding:
        return embed(self.transformer, embedding, self.prompt_encoder.positions())


class Decoder(nn.Module):
    """`Embedding`, coords BxKx2 (input pixels), labels BxK -> logits Bx4x4hx4w, predicted IoU Bx4."""

    def __init__(self, network: EfficientSam) -> None:
        super().__init__()
        self.prompt_encoder = network.prompt_encoder
        self.mask_decoder = network.mask_decoder

    def forward(
        self, cells: Tensor, first_key: Tensor, first_value: Tensor, first_query: Tensor, second_key: Tensor,
        second_query: Tensor, final_key: Tensor, coords: Tensor, labels: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        image = Embedding(cells, first_key, first_value, first_query, second_key, second_query, final_key)
        prompt = self.mask_decoder.tokens(self.prompt_encoder(coords, labels))
        tokens, cells = transform(self.mask_decoder.transformer, image, prompt)
        logits = self.mask_decoder.mask_weights(tokens) @ upscale(self.mask_decoder, cells).transpose(1, 2)
        return picture_order(logits, self.prompt_encoder.grid).float(), self.mask_decoder.scores(tokens).float()


def parts(network: EfficientSam) -> Parts:
    """What an engine runs of the network. It takes no mask."""
    return Parts(Encoder(network.image_encoder), Prepare(network), Decoder(network), None)


def upscale(decoder: MaskDecoder, cells: Tensor) -> Tensor:
    """`final_output_upscaling_layers` of cells BxNx256, each pixel's channels together: Bx(16N)x32."""
    first, norm, second = decoder.upscaling
    quarter = F.linear(cells, *by_pixel(first))  # BxNx(4*64)
    normed = F.layer_norm(quarter, quarter.shape[1:], eps=norm.eps)  # over all cells and channels of a prompt
    quarter = F.gelu(normed * norm.weight.repeat(4) + norm.bias.repeat(4)).unflatten(-1, (4, -1))
    sixteenth: Tensor = F.gelu(F.linear(quarter, *by_pixel(second))).unflatten(-1, (4, -1))
    return sixteenth.flatten(1, 3)
