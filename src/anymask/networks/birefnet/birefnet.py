"""BiRefNet (Zheng et al. 2024): a Swin Transformer that looks twice, and a decoder that keeps seeing the picture.

Parameter names are those of the official package; RMBG-2.0 has the same. Shapes: B pictures of HxW pixels, multiples of
32. Made for inference: normalisation always goes by the stored statistics in parts that `Decoder` computes in short.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.birefnet.blocks import DecoderBlock
from anymask.networks.birefnet.decoder import Decoder, resized
from anymask.networks.swin import SIZES, Swin


class BiRefNet(nn.Module):
    """Normalised picture Bx3xHxW -> logits of the subject Bx1xHxW."""

    def __init__(self, backbone: Swin) -> None:
        super().__init__()
        widths = [2 * width for width in backbone.widths]
        self.bb = backbone
        self.squeeze_module = nn.Sequential(DecoderBlock(sum(widths), widths[-1]))
        self.decoder = Decoder(widths)

    def forward(self, image: Tensor) -> Tensor:
        *finer, coarsest = self.encode(image)
        logits: Tensor = self.decoder(image, [*finer, self.squeeze_module(coarsest)])
        return logits

    def encode(self, image: Tensor) -> list[Tensor]:
        """Maps at strides 4, 8, 16 and 32. Each holds what the backbone makes of the picture and of its half-size copy;
        the last one follows on the three others, reduced to its size."""
        height, width = image.shape[2:]
        half = F.interpolate(image, size=(height // 2, width // 2), mode="bilinear", align_corners=True)
        both = zip(self.bb(image), self.bb(half), strict=True)
        *finer, coarsest = [torch.cat([whole, resized(small, whole)], dim=1) for whole, small in both]
        return [*finer, torch.cat([*(resized(found, coarsest) for found in finer), coarsest], dim=1)]


class Matte(nn.Module):
    """Normalised picture 1x3xHxW -> probability of the subject 1x1xHxW."""

    def __init__(self, network: BiRefNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return torch.sigmoid(self.network(image))


def build(variant: str) -> BiRefNet:
    """The network with a backbone "swin_l" or "swin_t" (the lite one), its weights not yet loaded."""
    return BiRefNet(Swin(*SIZES[variant]))


def matte(network: BiRefNet) -> nn.Module:
    """What an engine runs of the network."""
    return Matte(network)
