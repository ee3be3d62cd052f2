"""BiRefNet's decoder: from the coarsest map up to the picture, of which every level sees patches (Zheng et al. 2024,
"Bilateral Reference for High-Resolution Dichotomous Image Segmentation").

Parameter names are those of the official package. Shapes: B pictures of HxW pixels; block n works at stride 2**(n + 1).
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anymask.networks.birefnet.blocks import DecoderBlock

INNER = 64  # channels between the two convolutions of what is read from the picture
SHARE = 8  # what is read from the picture has an eighth of a level's channels
ATTENTION = 16


class Decoder(nn.Module):
    """Picture Bx3xHxW and four maps of `widths` channels at strides 4 to 32 -> logits Bx1xHxW.

    `conv_ms_spvn_*` and `gdt_convs_pred_*` served in training alone; they are here for their tensors.
    """

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        for level in (4, 3, 2, 1):
            inputs, outputs = widths[level - 1], widths[level - 2] if level > 1 else widths[0] // 2
            side, seen = 2 << level, widths[min(level, 3)] // SHARE
            parts: dict[str, nn.Module] = {
                f"ipt_blk{level + 1}": PictureBlock(3 * side * side, seen),
                f"decoder_block{level}": DecoderBlock(inputs + seen, outputs),
            }
            if level > 1:
                parts |= {
                    f"lateral_block{level}": nn.Sequential(OrderedDict(conv=nn.Conv2d(outputs, outputs, 1))),
                    f"gdt_convs_{level}": nn.Sequential(
                        nn.Conv2d(outputs, ATTENTION, 3, padding=1), nn.BatchNorm2d(ATTENTION), nn.ReLU()
                    ),
                    f"gdt_convs_attn_{level}": nn.Sequential(nn.Conv2d(ATTENTION, 1, 1)),
                    f"gdt_convs_pred_{level}": nn.Sequential(nn.Conv2d(ATTENTION, 1, 1)),
                    f"conv_ms_spvn_{level}": nn.Conv2d(outputs, 1, 1),
                }
            for name, part in parts.items():
                self.add_module(name, part)
        self.ipt_blk1 = PictureBlock(3, widths[0] // SHARE)
        self.conv_out1 = nn.Sequential(nn.Conv2d(widths[0] // 2 + widths[0] // SHARE, 1, 1))

    def forward(self, image: Tensor, maps: list[Tensor]) -> Tensor:
        x = maps[3]
        for level, wider in zip((4, 3, 2), reversed(maps[:3]), strict=True):
            x = self.get_submodule(f"decoder_block{level}")(self.with_picture(level, x, image))
            attention = self.get_submodule(f"gdt_convs_attn_{level}")(self.get_submodule(f"gdt_convs_{level}")(x))
            x = resized(x * attention.sigmoid(), wider) + self.get_submodule(f"lateral_block{level}")(wider)
        return self.finish(self.with_picture(1, x, image), image)

    def with_picture(self, level: int, x: Tensor, image: Tensor) -> Tensor:
        """A block's input: the map, and what it reads from the picture's patches that its cells stand for."""
        return torch.cat([x, self.get_submodule(f"ipt_blk{level + 1}")(patches(image, x))], dim=1)

    def finish(self, x: Tensor, image: Tensor) -> Tensor:
        """Block 1 and the output: Bx1xHxW.

        The output is a weighted sum of channels, those of block 1, enlarged to the picture's size, and those that are
        read from the picture. Both are summed up before there are that many pixels of them.
        """
        block, output = self.get_submodule("decoder_block1"), self.conv_out1[0]
        assert isinstance(block, DecoderBlock) and isinstance(output, nn.Conv2d) and output.bias is not None
        decoded, read = output.weight.split([block.conv_out.out_channels, self.ipt_blk1.conv_out.out_channels], dim=1)
        logits = resized(block.projected(x, decoded), image) + self.ipt_blk1.projected(image, read)
        return logits + output.bias.view(1, 1, 1, 1)


class PictureBlock(nn.Module):
    """Two convolutions with nothing between them, BxCxHxW -> BxDxHxW."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, INNER, 3, padding=1)
        self.conv_out = nn.Conv2d(INNER, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        read: Tensor = self.conv_out(self.conv1(x))
        return read

    def projected(self, x: Tensor, weight: Tensor) -> Tensor:
        """The output's channels summed with weights 1xDx1x1: Bx1xHxW.

        For each tap of the second convolution, the first gives at once what that tap would make of its channels.
        """
        assert self.conv1.bias is not None and self.conv_out.bias is not None
        mix = weight.flatten(1)
        by_tap = torch.tensordot(mix, self.conv_out.weight, dims=1).flatten(2)[0].T  # 9x64
        kernel = torch.tensordot(by_tap, self.conv1.weight, dims=1)
        taps = F.conv2d(x, kernel, by_tap @ self.conv1.bias, padding=1)
        place = torch.eye(len(by_tap), dtype=x.dtype, device=x.device).view(1, -1, *self.conv_out.kernel_size)
        return F.conv2d(taps, place, mix @ self.conv_out.bias, padding=1)


def patches(image: Tensor, grid: Tensor) -> Tensor:
    """BxCxHxW cut into patches as large as the map `grid`, hxw, which lie on each other: Bx(C * H/h * W/w)xhxw.

    Channel by channel, its patches row by row.
    """
    height, width = grid.shape[2:]
    cut: Tensor = image.unflatten(3, (-1, width)).unflatten(2, (-1, height))
    return cut.transpose(3, 4).flatten(1, 3)


def resized(x: Tensor, like: Tensor) -> Tensor:
    """BxCxhxw -> BxCxHxW of another map's height and width, the corners staying corners."""
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=True)
