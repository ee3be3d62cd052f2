"""EfficientSAM whole: image encoder, prompt encoder and mask decoder, as published and as stored."""

from torch import Tensor, nn

from anymask.networks.efficient_sam.mask_decoder import MaskDecoder
from anymask.networks.efficient_sam.prompt_encoder import PromptEncoder
from anymask.networks.efficient_sam.vit import PlainVit
from anymask.networks.sam.sam import normalize


class EfficientSam(nn.Module):
    """A picture and prompts to four scored masks. The plain computation, of which `served.parts` is the fast one."""

    def __init__(self, image_encoder: PlainVit) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder()
        self.mask_decoder = MaskDecoder()

    def forward(self, image: Tensor, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """image 1xSxSx3 (0..255), coords BxKx2 in input pixels, labels BxK -> logits Bx4x4hx4w, predicted IoU Bx4."""
        return self.decode(self.image_encoder(normalize(image))[0], coords, labels)

    def decode(self, embedding: Tensor, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, from the embedding 1x256xhxw."""
        prompt = self.prompt_encoder(coords, labels)
        decoded: tuple[Tensor, Tensor] = self.mask_decoder(embedding, self.prompt_encoder.positions(), prompt)
        return decoded
