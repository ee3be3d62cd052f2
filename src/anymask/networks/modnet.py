"""MODNet (Ke et al. 2022, "MODNet: Real-Time Trimap-Free Portrait Matting via Objective Decomposition").

A branch of low resolution for where the person is, one of high resolution for the edges, and the fusion of both.
Parameter names are those of the official package. Shapes: B pictures of HxW pixels, both multiples of 32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.mobilenet_v2 import MobileNetV2


class HalfNorm(nn.Module):
    """Batch normalisation of the first half of the channels, instance normalisation of the others. BxCxHxW -> same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bnorm = nn.BatchNorm2d(channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        batch, instance = x.chunk(2, dim=1)
        # Written out, for the graph of F.instance_norm is good for one size only, and OpenVINO fuses this all the same.
        centred = instance - instance.mean(dim=(2, 3), keepdim=True)
        deviation = (centred.square().mean(dim=(2, 3), keepdim=True) + self.bnorm.eps).sqrt()
        return torch.cat([self.bnorm(batch), centred / deviation], dim=1)


class Conv(nn.Module):
    """Convolution, normalisation by halves, ReLU; or the `plain` convolution alone. BxCxHxW -> BxDxhxw."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, plain: bool = False) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.layers = nn.Sequential(conv, *([] if plain else [HalfNorm(outputs), nn.ReLU(inplace=True)]))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result


class SqueezeExcite(nn.Module):
    """Weights each channel by what all channels' means say (Hu et al. 2018). BxCxHxW -> same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = channels // 4
        self.fc = nn.Sequential(
            nn.Linear(channels, squeezed, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(squeezed, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.fc(x.mean(dim=(2, 3)))
        return x * weights[:, :, None, None]


class LowResolution(nn.Module):
    """Normalised picture -> context Bx32x(H/8)x(W/8), and the backbone's maps at 1/2 and 1/4 of the size."""

    def __init__(self, backbone: nn.ModuleDict) -> None:
        super().__init__()
        self.backbone = backbone
        self.se_block = SqueezeExcite(1280)
        self.conv_lr16x = Conv(1280, 96, kernel=5)
        self.conv_lr8x = Conv(96, 32, kernel=5)
        self.conv_lr = Conv(32, 1, stride=2, plain=True)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        half, quarter, _, _, coarsest = self.backbone["model"](image)
        context = self.conv_lr16x(scaled(self.se_block(coarsest), 2))
        return self.conv_lr8x(scaled(context, 2)), half, quarter

    def semantic(self, context: Tensor) -> Tensor:
        """Where the person is, roughly: probability Bx1x(H/16)x(W/16)."""
        logits: Tensor = self.conv_lr(context)
        return logits.sigmoid()


class HighResolution(nn.Module):
    """Picture, the backbone's maps at 1/2 and 1/4, context -> detail Bx32x(H/2)x(W/2)."""

    def __init__(self) -> None:
        super().__init__()
        self.tohr_enc2x = Conv(16, 32, kernel=1)
        self.conv_enc2x = Conv(32 + 3, 32, stride=2)
        self.tohr_enc4x = Conv(24, 32, kernel=1)
        self.conv_enc4x = Conv(2 * 32, 64)
        self.conv_hr4x = nn.Sequential(Conv(64 + 32 + 3, 64), Conv(64, 64), Conv(64, 32))
        self.conv_hr2x = nn.Sequential(Conv(2 * 32, 64), Conv(64, 32), Conv(32, 32), Conv(32, 32))
        self.conv_hr = nn.Sequential(Conv(32 + 3, 32), Conv(32, 1, kernel=1, plain=True))

    def forward(self, image: Tensor, half: Tensor, quarter: Tensor, context: Tensor) -> Tensor:
        half = self.tohr_enc2x(half)
        fine = self.conv_enc2x(torch.cat([scaled(image, 0.5), half], dim=1))
        fine = self.conv_enc4x(torch.cat([fine, self.tohr_enc4x(quarter)], dim=1))
        fine = self.conv_hr4x(torch.cat([fine, scaled(context, 2), scaled(image, 0.25)], dim=1))
        detail: Tensor = self.conv_hr2x(torch.cat([scaled(fine, 2), half], dim=1))
        return detail

    def edges(self, image: Tensor, detail: Tensor) -> Tensor:
        """The matte, meant to be right along the edges: Bx1xHxW."""
        logits: Tensor = self.conv_hr(torch.cat([scaled(detail, 2), image], dim=1))
        return logits.sigmoid()


class Fusion(nn.Module):
    """Picture, context, detail -> matte Bx1xHxW, 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_lr4x = Conv(32, 32, kernel=5)
        self.conv_f2x = Conv(2 * 32, 32)
        self.conv_f = nn.Sequential(Conv(32 + 3, 16), Conv(16, 1, kernel=1, plain=True))

    def forward(self, image: Tensor, context: Tensor, detail: Tensor) -> Tensor:
        context = scaled(self.conv_lr4x(scaled(context, 2)), 2)
        fused = self.conv_f2x(torch.cat([context, detail], dim=1))
        logits: Tensor = self.conv_f(torch.cat([scaled(fused, 2), image], dim=1))
        return logits.sigmoid()


class Modnet(nn.Module):
    """Normalised picture Bx3xHxW -> semantic map Bx1x(H/16)x(W/16), edges Bx1xHxW and matte Bx1xHxW, all 0 to 1.

    Its checkpoints hold the backbone's tensors twice, under `backbone` and under `lr_branch.backbone`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict({"model": MobileNetV2()})
        self.lr_branch = LowResolution(self.backbone)
        self.hr_branch = HighResolution()
        self.f_branch = Fusion()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        context, half, quarter = self.lr_branch(image)
        detail = self.hr_branch(image, half, quarter, context)
        edges = self.hr_branch.edges(image, detail)
        return self.lr_branch.semantic(context), edges, self.f_branch(image, context, detail)


class Matte(nn.Module):
    """Normalised picture 1x3xHxW -> matte 1x1xHxW, 0 to 1."""

    def __init__(self, network: Modnet) -> None:
        super().__init__()
        self.low, self.high, self.fusion = network.lr_branch, network.hr_branch, network.f_branch

    def forward(self, image: Tensor) -> Tensor:
        context, half, quarter = self.low(image)
        matte: Tensor = self.fusion(image, context, self.high(image, half, quarter, context))
        return matte


def scaled(x: Tensor, factor: float) -> Tensor:
    """A map `factor` times as high and wide, bilinear between the centres of cells."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def build(variant: str = "") -> Modnet:
    """The network, its weights not yet loaded. There is one variant, without a name."""
    return {"": Modnet}[variant]()


def matte(network: Modnet) -> nn.Module:
    """What an engine runs of the network."""
    return Matte(network)
