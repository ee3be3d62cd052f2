"""Changes of a training picture's looks that leave its labels valid: light, colour, blur, noise, JPEG."""

import cv2
import numpy as np


def vary_look(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A uint8 RGB picture [H, W, 3] under another light or camera."""
    if rng.random() < 0.8:
        image = _tone(image, rng)
    if rng.random() < 0.08:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if rng.random() < 0.08:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.5))
    if rng.random() < 0.1:
        noise = rng.normal(0, rng.uniform(2, 12), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.1:
        quality = int(rng.integers(30, 80))
        packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    return image


def _tone(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast, gamma and white balance through one table per channel; saturation by mixing with grey."""
    ramp = np.linspace(0, 1, 256, dtype=np.float32)
    gamma = np.exp(rng.normal(0, 0.25))
    contrast = np.exp(rng.normal(0, 0.2))
    shift = rng.normal(0, 0.06)
    balance = np.exp(rng.normal(0, 0.07, 3))
    curve = (ramp**gamma - 0.5) * contrast + 0.5 + shift
    table = np.clip(curve[:, None] * balance * 255, 0, 255).astype(np.uint8).reshape(1, 256, 3)
    toned = cv2.LUT(image, table)
    if rng.random() < 0.5:
        grey = cv2.cvtColor(cv2.cvtColor(toned, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        amount = rng.uniform(0.4, 1.5)
        toned = cv2.addWeighted(toned, amount, grey, 1 - amount, 0)
    return toned
