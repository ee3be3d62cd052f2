"""The head of YOLOv8-seg: boxes, scores and mask coefficients in every cell of three maps, and mask prototypes
(Bolya et al. 2019, "YOLACT")."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from anymask.networks.fastsam.blocks import Conv

PROTOTYPES = 32


class Prototypes(nn.Module):
    """The finest map Bx C x H/8 x W/8 -> prototypes Bx32 x H/4 x W/4."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.cv1 = Conv(channels, width, 3)
        self.upsample = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.cv2 = Conv(width, width, 3)
        self.cv3 = Conv(width, PROTOTYPES)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.cv3(self.cv2(self.upsample(self.cv1(x))))
        return out


class Ramp(nn.Module):
    """The bins' distances, 0 to bins - 1, which the published file holds as a convolution's weights. Boxes are read
    from the maps after the network (`runtime/instances.py`), which knows the numbers."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(bins, 1, 1, bias=False)
        ramp = torch.arange(bins, dtype=torch.float32, device="cpu")
        self.conv.weight = nn.Parameter(ramp.reshape(1, bins, 1, 1), requires_grad=False)


class Head(nn.Module):
    """Maps of strides 8, 16 and 32 with `channels` -> what is found in each of their A cells.

    Returns three maps Bx(4 * bins + 1)xhxw, each box side's distances as logits of `bins` bins and the score's logit;
    coefficients Bx32xA, the maps' cells one after the other; and prototypes Bx32xH/4xW/4.
    """

    def __init__(self, channels: Sequence[int], prototypes: int, bins: int) -> None:
        super().__init__()
        box, score, mask = max(16, channels[0] // 4, 4 * bins), channels[0], max(channels[0] // 4, PROTOTYPES)
        self.cv2 = nn.ModuleList(_branch(one, box, 4 * bins) for one in channels)
        self.cv3 = nn.ModuleList(_branch(one, score, 1) for one in channels)
        self.dfl = Ramp(bins)
        self.proto = Prototypes(channels[0], prototypes)
        self.cv4 = nn.ModuleList(_branch(one, mask, PROTOTYPES) for one in channels)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        small, middle, large = (
            torch.cat([box(x), score(x)], dim=1) for box, score, x in zip(self.cv2, self.cv3, features, strict=True)
        )
        masks = [mask(x).flatten(2) for mask, x in zip(self.cv4, features, strict=True)]
        return small, middle, large, torch.cat(masks, dim=2), self.proto(features[0])


def _branch(channels: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(Conv(channels, width, 3), Conv(width, width, 3), nn.Conv2d(width, outputs, 1))
