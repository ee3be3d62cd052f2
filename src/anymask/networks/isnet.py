"""IS-Net (Qin et al. 2022, "Highly Accurate Dichotomous Image Segmentation"), which is RMBG-1.4's network too.

U²-Net's nested U at half the picture's size, trained with supervision of its features. Parameter names are those of the
official package. Shapes: B pictures of HxW pixels.
"""

from torch import Tensor, nn

from anymask.networks.residual_u import NestedU
from anymask.networks.u2net import DECODER, ENCODER


class IsNet(NestedU):
    """Normalised picture Bx3xHxW -> six maps of probabilities Bx1xHxW and the six decoded maps they are read from, at
    1/2 to 1/64 of the size. The first map is the answer."""

    def __init__(self) -> None:
        super().__init__(64, ENCODER, DECODER, classes=1)
        self.conv_in = nn.Conv2d(3, 64, 3, stride=2, padding=1)

    def forward(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        decoded = self.decode(self.conv_in(image))
        return [self.side(i + 1, x, image).sigmoid() for i, x in enumerate(decoded)], decoded


class Matte(nn.Module):
    """Normalised picture 1x3xHxW -> probability of the subject 1x1xHxW."""

    def __init__(self, network: IsNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        finest = self.network.decode(self.network.conv_in(image))[0]
        return self.network.side(1, finest, image).sigmoid()


def build(variant: str = "") -> IsNet:
    """The network, its weights not yet loaded. There is one variant, without a name."""
    return {"": IsNet}[variant]()


def matte(network: IsNet) -> nn.Module:
    """What an engine runs of the network."""
    return Matte(network)
