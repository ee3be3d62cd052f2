"""Made-up checkpoints under official names, and what the reference packages gave with them. See README.md here."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from anymask.locks import alone
from parity.seeded import sample_indices, seeded_image, seeded_mask_logits, seeded_state_dict

HERE = Path(__file__).parent
LIMIT = 1e-4  # largest difference over the sample, in deviations of the array
SAM_SIDE, SAM_MEAN = 1024, (123.675, 116.28, 103.53)


def manifest(model: str) -> dict[str, Any]:
    """What is known of an official checkpoint: `keys`, `computed`, `published_container` and more."""
    found: dict[str, Any] = json.loads((HERE / "manifests" / f"{model}.json").read_text())
    return found


def shapes(model: str) -> dict[str, tuple[int, ...]]:
    """Every key of the official checkpoint with its shape."""
    return {name: tuple(shape) for name, shape in manifest(model)["keys"].items()}


def checkpoint(model: str) -> dict[str, Tensor]:
    """The made-up checkpoint: a state dict without wrapper. Takes a second for each 100 million parameters."""
    return {name: torch.from_numpy(value) for name, value in seeded_state_dict(manifest(model)).items()}


def saved(model: str, folder: Path) -> Path:
    """The made-up checkpoint as a file in a folder, written by whoever needs it first, in its authors' container."""
    path = folder / f"{model}.pth"
    with alone(folder / f".{model}.lock"):
        if not path.exists():
            container = manifest(model)["published_container"]
            state = checkpoint(model)
            torch.save(state if container is None else {container: state}, folder / f".{model}.pth")
            os.replace(folder / f".{model}.pth", path)  # another process may end at any time
    return path


def load(network: nn.Module, model: str) -> nn.Module:
    """The network, made under `torch.device("meta")`, with the made-up checkpoint, in evaluation mode."""
    computed = {name: network.state_dict()[name] for name in manifest(model).get("computed", ())}
    network.load_state_dict(checkpoint(model) | computed, assign=True)
    return network.eval().requires_grad_(False)


def scattered(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network with every tensor random, for comparing two forms of it: nothing cancels, no bias is zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        around = 1.0 if name.endswith("weight") and tensor.ndim == 1 else 0.0
        spread = 0.3 if tensor.ndim < 2 or "rel_pos" in name else max(tensor[0].numel(), 1) ** -0.5
        if tensor.is_floating_point():
            tensor.copy_(around + spread * torch.randn(tensor.shape, generator=generator))
        if name.endswith("running_var"):
            tensor.abs_().add_(0.5)
    return network.eval()


class Golden:
    """One golden file: `settings` (its json) and the reference's arrays."""

    def __init__(self, name: str) -> None:
        self.settings: dict[str, Any] = json.loads((HERE / "goldens" / f"{name}.json").read_text())
        with np.load(HERE / "goldens" / f"{name}.npz") as stored:
            self.arrays: dict[str, np.ndarray] = dict(stored)

    @property
    def cases(self) -> dict[str, dict[str, Any]]:
        """Name -> prompts, with whether several masks are asked for."""
        return {case["name"]: case for case in self.settings["cases"]}

    def picture(self) -> np.ndarray:
        """The picture, uint8 `[H, W, 3]`."""
        about = self.settings["image"]
        picture = seeded_image(about["height"], about["width"], about["seed"])
        assert hashlib.sha256(picture.tobytes()).hexdigest() == about["sha256"]
        return picture

    def difference(self, name: str, value: Tensor | np.ndarray) -> float:
        """How far an array is from the reference's: the largest difference, in deviations of the reference's array."""
        array = value.detach().float().numpy() if isinstance(value, Tensor) else value
        if name in self.arrays:
            stored = self.arrays[name]
            assert array.size == stored.size, f"{name}: {array.shape} instead of {stored.shape}"
            scale = stored.std() or np.abs(stored).max()  # a lone number has no deviation
            return float(np.abs(array.reshape(stored.shape) - stored).max() / scale)
        size = int(np.prod(self.settings["shapes"][name]))
        assert array.size == size, f"{name}: {array.shape} instead of {self.settings['shapes'][name]}"
        sample = self.arrays[f"{name}.sample"]
        found = np.ascontiguousarray(array).reshape(-1)[sample_indices(size, len(sample))]
        return float(np.abs(found - sample).max() / self.arrays[f"{name}.stats"][1])


def sam_image(picture: np.ndarray) -> Tensor:
    """SAM's input: the longest side resized to 1024 by Pillow, the rest the mean colour. float32 1x1024x1024x3."""
    height, width = sam_size(picture.shape)
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    padded = torch.tensor(SAM_MEAN).repeat(SAM_SIDE, SAM_SIDE, 1)
    padded[:height, :width] = torch.from_numpy(np.array(resized)).float()
    return padded[None]


def sam_prompt(case: dict[str, Any], picture: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor | None]:
    """A golden's prompt as SAM's networks take it: coords BxKx2 in input pixels, labels BxK, mask Bx256x256 or None.

    Points come before the corners of the box; a padding point follows them where there is no box.
    """
    coords, labels = torch.zeros(1, 0, 2), torch.zeros(1, 0)
    if "points" in case:
        points = np.array(case["points"], np.float64)
        coords = torch.from_numpy(points.reshape(-1, *points.shape[-2:]))
        labels = torch.tensor(case["labels"], dtype=torch.float32).reshape(len(coords), -1)
    if "box" in case:
        corners = torch.tensor(case["box"], dtype=torch.float64).reshape(-1, 2, 2)
        coords = torch.cat([coords.expand(len(corners), -1, -1), corners], dim=1)
        labels = torch.cat([labels.expand(len(corners), -1), torch.tensor([[2.0, 3.0]]).expand(len(corners), -1)], 1)
    elif "points" in case:
        coords = torch.cat([coords, torch.zeros(len(coords), 1, 2)], dim=1)
        labels = torch.cat([labels, -torch.ones(len(labels), 1)], dim=1)
    height, width = sam_size(picture)
    coords = coords * torch.tensor([width / picture[1], height / picture[0]], dtype=torch.float64)
    mask = torch.from_numpy(seeded_mask_logits(256, 256, case["mask_seed"]))[None] if "mask_seed" in case else None
    return coords.float(), labels.float(), mask


def sam2_image(picture: np.ndarray) -> Tensor:
    """SAM 2's input: the picture stretched to 1024 x 1024 in floating point, antialiased. float32 1x1024x1024x3."""
    pixels = torch.from_numpy(picture).float().permute(2, 0, 1)[None]
    resized = F.interpolate(pixels, (SAM_SIDE, SAM_SIDE), mode="bilinear", antialias=True, align_corners=False)
    return resized.permute(0, 2, 3, 1)


def sam2_prompt(case: dict[str, Any], picture: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor | None]:
    """A golden's prompt as SAM 2's networks take it, as `sam_prompt`; a padding point follows a box as well."""
    coords, labels, mask = sam_prompt(case, (SAM_SIDE, SAM_SIDE))
    if "box" in case:
        coords = torch.cat([coords, torch.zeros(len(coords), 1, 2)], dim=1)
        labels = torch.cat([labels, -torch.ones(len(labels), 1)], dim=1)
    return coords * torch.tensor([SAM_SIDE / picture[1], SAM_SIDE / picture[0]]), labels, mask


def sam_size(picture: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of a picture within SAM's square input."""
    scale = SAM_SIDE / max(picture[:2])
    return int(picture[0] * scale + 0.5), int(picture[1] * scale + 0.5)
