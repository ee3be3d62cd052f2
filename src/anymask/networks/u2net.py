"""U²-Net (Qin et al. 2020, "U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection").

Parameter names are those of the official package. Shapes: B pictures of HxW pixels, C classes.
"""

import torch
from torch import Tensor, nn

from anymask.networks.residual_u import NestedU

# Of the stages from fine to coarse: channels within a block, channels out of it. IS-Net has the same.
ENCODER = ((32, 64), (32, 128), (64, 256), (128, 512), (256, 512), (256, 512))
DECODER = ((16, 64), (32, 64), (64, 128), (128, 256), (256, 512))
SMALL = (16, 64)


class U2Net(NestedU):
    """Normalised picture Bx3xHxW -> seven maps of probabilities BxCxHxW: all sides fused, then sides 1 to 6."""

    def __init__(
        self, encoder: tuple[tuple[int, int], ...], decoder: tuple[tuple[int, int], ...], classes: int
    ) -> None:
        super().__init__(3, encoder, decoder, classes)
        self.outconv = nn.Conv2d(6 * classes, classes, 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [logits.sigmoid() for logits in self.logits(image)]

    def logits(self, image: Tensor) -> list[Tensor]:
        """As `forward`, before the sigmoid."""
        sides = [self.side(i + 1, decoded, image) for i, decoded in enumerate(self.decode(image))]
        return [self.outconv(torch.cat(sides, dim=1)), *sides]


class Matte(nn.Module):
    """Normalised picture 1x3xHxW -> probability of the subject 1x1xHxW; of classes, their logits 1xCxHxW."""

    def __init__(self, network: U2Net) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        fused = self.network.logits(image)[0]
        return fused.sigmoid() if fused.shape[1] == 1 else fused


def build(variant: str) -> U2Net:
    """The network of a variant, its weights not yet loaded.

    "full"; "p", of a fortieth of its size; "cloth", with four classes (background, upper body, lower body, full body).
    """
    if variant == "p":
        return U2Net((SMALL,) * len(ENCODER), (SMALL,) * len(DECODER), classes=1)
    return U2Net(ENCODER, DECODER, classes={"full": 1, "cloth": 4}[variant])


def matte(network: U2Net) -> nn.Module:
    """What an engine runs of the network."""
    return Matte(network)
