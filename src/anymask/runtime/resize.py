"""A picture at the scale of a network's input."""

import cv2
import numpy as np

from anymask.placement import Placement


def resize_to_input(rgb: np.ndarray, placement: Placement) -> np.ndarray:
    """uint8 [crop height, crop width, 3] to uint8 [input height, input width, 3]: by areas when reducing, else
    bilinearly."""
    size = (placement.input_width, placement.input_height)
    if size == (rgb.shape[1], rgb.shape[0]):
        return rgb
    reduces = size[0] <= rgb.shape[1] and size[1] <= rgb.shape[0]
    resized: np.ndarray = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if reduces else cv2.INTER_LINEAR)
    return resized
