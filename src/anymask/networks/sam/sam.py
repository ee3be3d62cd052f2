"""Segment Anything whole: image encoder, prompt encoder and mask decoder, as published and as stored."""

import torch
from torch import Tensor, nn

from anymask.networks.sam.mask_decoder import MaskDecoder
from anymask.networks.sam.prompt_encoder import PromptEncoder

PIXEL_MEAN, PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Sam(nn.Module):
    """A picture and prompts to four scored masks. The plain computation, of which `served.parts` is the fast one.

    `image_encoder` maps a normalised picture Bx3xSxS to a tuple that begins with the embedding Bx256xhxw.
    """

    def __init__(self, image_encoder: nn.Module, mask_decoder: MaskDecoder) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder()
        self.mask_decoder = mask_decoder

    def forward(
        self, image: Tensor, coords: Tensor, labels: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """image 1xSxSx3 (0..255, padded with the mean), coords BxKx2 in input pixels, labels BxK, mask BxhxW logits
        -> logits Bx4x4hx4w, predicted IoU Bx4."""
        return self.decode(self.image_encoder(normalize(image))[0], coords, labels, mask)

    def decode(
        self, embedding: Tensor, coords: Tensor, labels: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `forward`, from the embedding 1x256xhxw."""
        prompt, dense = self.prompted(embedding, coords, labels, mask)
        decoded: tuple[Tensor, Tensor] = self.mask_decoder(dense, self.prompt_encoder.positions(), prompt)
        return decoded

    def prompted(self, embedding: Tensor, coords: Tensor, labels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """The prompt's tokens BxKx256, and the embedding with the mask prompt, or its absence, added."""
        encoder = self.prompt_encoder
        return encoder(coords, labels), embedding + (encoder.no_mask() if mask is None else encoder.mask(mask))


def normalize(image: Tensor) -> Tensor:
    """NHWC pixel values 0..255 -> NCHW, mean 0 and deviation 1 of SAM's training pictures, in float32."""
    mean, std = (torch.tensor(values, device=image.device) for values in (PIXEL_MEAN, PIXEL_STD))
    return ((image.float() - mean) / std).permute(0, 3, 1, 2)
