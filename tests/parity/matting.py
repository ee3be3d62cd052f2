"""The networks that give a matte: their inputs, made as the authors' scripts make them, and their graphs."""

import numpy as np
import openvino as ov
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from anymask.runtime.convert import convert_module

LIMIT = 2e-4  # as parity.LIMIT, for networks this deep
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def channels_first(picture: np.ndarray) -> Tensor:
    """HxWx3, 0 to 255 -> float32 1x3xHxW, 0 to 1."""
    return torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]


def smoothed(size: int, target: int) -> np.ndarray:
    """The matrix target x size by which scikit-image reduces a line of pixels: a Gaussian of deviation
    (reduction - 1) / 2, cut at four deviations, with zeros past the ends, then linear interpolation."""
    factor = size / target
    deviation = (factor - 1) / 2
    radius = int(4 * deviation + 0.5)
    apart = np.arange(size)[:, None] - np.arange(size)
    bell = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    gaussian = np.where(abs(apart) <= radius, np.exp(-0.5 * (apart / deviation) ** 2), 0) / bell.sum()
    place = (np.arange(target)[:, None] + 0.5) * factor - 0.5
    interpolation: np.ndarray = np.clip(1 - abs(place - np.arange(size)), 0, None)
    return interpolation @ gaussian


def u2net_image(picture: np.ndarray, side: int = 320) -> Tensor:
    """U²-Net's input: scikit-image's antialiased resize, divided by its maximum, ImageNet's mean and deviation."""
    rows, columns = smoothed(picture.shape[0], side), smoothed(picture.shape[1], side)
    resized = np.einsum("yh,hwc,xw->yxc", rows, picture.astype(np.float64) / 255, columns, optimize=True)
    normal = (resized / resized.max() - IMAGENET_MEAN) / IMAGENET_STD
    return torch.from_numpy(normal.astype(np.float32)).permute(2, 0, 1)[None]


def cloth_image(picture: np.ndarray, side: int = 768) -> Tensor:
    """The cloth variant's input: Pillow's bicubic resize, -1 to 1."""
    resized = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
    return (channels_first(np.asarray(resized)) - 0.5) / 0.5


def isnet_image(picture: np.ndarray, truncated: bool, side: int = 1024) -> Tensor:
    """IS-Net's input: bilinear resize without antialiasing, `truncated` to 8 bits or not (RMBG-1.4), -0.5 to 0.5."""
    floats = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    resized = F.interpolate(floats, (side, side), mode="bilinear", align_corners=False)
    return (resized.floor() if truncated else resized) / 255 - 0.5


def modnet_image(picture: np.ndarray) -> Tensor:
    """MODNet's input: the short side resized to 512 by areas, both sides multiples of 32, -1 to 1."""
    height, width = picture.shape[:2]
    size = [side * 512 // min(height, width) // 32 * 32 for side in (height, width)]
    return F.interpolate((channels_first(picture) - 0.5) / 0.5, size, mode="area")


def through_openvino(served: nn.Module, image: Tensor) -> Tensor:
    """What the graph of a serving module gives."""
    return run_graph(convert_module(served, [image]), image)


def run_graph(graph: ov.Model, image: Tensor) -> Tensor:
    """What a graph gives on a CPU in float32."""
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}
    compiled = ov.Core().compile_model(graph, "CPU", settings)
    return torch.from_numpy(compiled([image.numpy()])[0].copy())
