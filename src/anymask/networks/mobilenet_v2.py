"""MobileNetV2 (Sandler et al. 2018) without its classifier, the backbone of MODNet.

Parameter names are those under `features` of the usual implementations.
"""

from torch import Tensor, nn

# By stage: expansion, channels out, blocks, stride of the first of them.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """Widen, convolve each channel, narrow; added to the input where size and channels stay. BxCxHxW -> BxDxhxw."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = expansion * inputs
        self.adds = stride == 1 and inputs == outputs
        widen = [*conv_norm(inputs, wide)] if expansion > 1 else []
        convolve = conv_norm(wide, wide, kernel=3, stride=stride, groups=wide)
        narrow = [*conv_norm(wide, outputs)][:2]  # without activation
        self.conv = nn.Sequential(*widen, *convolve, *narrow)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.conv(x)
        return x + changed if self.adds else changed


class MobileNetV2(nn.Module):
    """Normalised picture Bx3xHxW -> five maps: 16 channels at half the size, 24 at 1/4, 32 at 1/8, 96 at 1/16 and 1280
    at 1/32. H and W are multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        features: list[nn.Module] = [conv_norm(3, 32, kernel=3, stride=2)]
        channels = 32
        for expansion, outputs, blocks, stride in STAGES:
            for i in range(blocks):
                features.append(InvertedResidual(channels, outputs, expansion, 1 if i else stride))
                channels = outputs
        features.append(conv_norm(channels, 1280))
        self.features = nn.Sequential(*features)

    def forward(self, image: Tensor) -> list[Tensor]:
        maps, x = [], image
        for start, end in ((0, 2), (2, 4), (4, 7), (7, 14), (14, 19)):
            x = self.features[start:end](x)
            maps.append(x)
        return maps


def conv_norm(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias, batch normalisation, ReLU6."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))
