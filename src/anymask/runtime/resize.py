"""A picture at the scale of a network's input."""

import cv2
import numpy as np
from PIL import Image

from anymask.placement import Placement


def resize_to_input(rgb: np.ndarray, placement: Placement, how: str = "area") -> np.ndarray:
    """uint8 [crop height, crop width, 3] to [input height, input width, 3], the way a network was trained with.

    `how` is one of

    * area: uint8, by areas when reducing, else bilinearly;
    * antialias: uint8, bilinear with a filter as wide as the reduction (Pillow's, as SAM's `ResizeLongestSide`);
    * cubic8: uint8, bicubic with such a filter (frames of a video for SAM 2);
    * linear8: uint8, bilinear between the four nearest pixels however much it reduces (FastSAM);
    * smooth: float32 0 to 255, as antialias but never rounded to whole numbers (SAM 2);
    * linear: float32 0 to 255, bilinear between the four nearest pixels however much it reduces (EfficientSAM).
    """
    size = (placement.input_width, placement.input_height)
    if how == "linear":
        floats: np.ndarray = cv2.resize(rgb.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        return floats
    if how == "smooth":
        planes = (Image.fromarray(plane) for plane in rgb.astype(np.float32).transpose(2, 0, 1))
        return np.stack([np.asarray(plane.resize(size, Image.Resampling.BILINEAR)) for plane in planes], axis=2)
    if size == (rgb.shape[1], rgb.shape[0]):
        return rgb
    if how == "linear8":
        nearest: np.ndarray = cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR)
        return nearest
    if how == "cubic8":
        return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC))
    if how == "antialias":
        return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))
    reduces = size[0] <= rgb.shape[1] and size[1] <= rgb.shape[0]
    resized: np.ndarray = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if reduces else cv2.INTER_LINEAR)
    return resized
