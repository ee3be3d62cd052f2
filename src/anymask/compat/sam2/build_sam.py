"""The models by the reference's names: `build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", "sam2.1_hiera_tiny.pt")`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from anymask.compat.models import LazyModel
from anymask.errors import ModelError

SIZES = {"t": "tiny", "s": "small", "b+": "base_plus", "l": "large"}
CONFIGS = {
    f"{version}_{short}": f"{version}_{size}"
    for version in ("sam2_hiera", "sam2.1_hiera")
    for short, size in SIZES.items()
}
REPOSITORIES = {f"facebook/{name.replace('_', '-')}": name for name in CONFIGS.values()}


class SAM2Base(LazyModel):
    """What `build_sam2` builds, as far as programs look into it; see `LazyModel`.

    Attributes:
        image_size: side of the network's square input in pixels.
    """

    def __init__(self, name: str, checkpoint: str | os.PathLike[str] | None = None, precision: str = "auto") -> None:
        super().__init__(name, checkpoint, precision)
        self.image_size = self.spec.input.side

    def __repr__(self) -> str:
        return f"SAM2Base({self.spec.name!r}, {self._device})"


def build_sam2(
    config_file: str,
    ckpt_path: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    precision: str = "auto",
) -> SAM2Base:
    """A model by its config's name.

    Args:
        config_file: as in the reference, `configs/sam2.1/sam2.1_hiera_t.yaml` or `sam2_hiera_b+.yaml`; only the name
            counts, no such file is read.
        ckpt_path: an official checkpoint's path. None is the official one, downloaded if need be (the reference leaves
            such a model with random weights).
        device: cpu, cuda or mps (the reference's default is cuda).
        mode: only eval.
        hydra_overrides_extra: none.
        apply_postprocessing: only True: a vague single mask gives way to the best of three.
        precision: auto, fp32, bf16 or fp16, as in `Segmenter`.

    Raises:
        ModelError: another config, or an option that anymask does not have.
        FileNotFoundError: there is no such checkpoint. What is wrong with one that is there shows when the model is
            loaded, by `SAM2ImagePredictor`: WeightsError.
    """
    name = CONFIGS.get(PurePosixPath(str(config_file).replace("\\", "/")).name.removesuffix(".yaml"))
    if name is None:
        raise ModelError(
            f"There is no config {config_file!r}; known are: {', '.join(f'{one}.yaml' for one in CONFIGS)}."
        )
    if mode != "eval" or hydra_overrides_extra or not apply_postprocessing:
        raise ModelError("anymask has SAM 2 for inference as the reference builds it, without overrides.")
    if ckpt_path is not None and not os.path.isfile(ckpt_path):
        raise FileNotFoundError(f"There is no checkpoint at {os.fspath(ckpt_path)}; leave it out to download {name}.")
    return SAM2Base(name, ckpt_path, precision).to(device)


def build_sam2_hf(model_id: str, **options: Any) -> SAM2Base:
    """A model by its repository's name, `facebook/sam2.1-hiera-tiny`, with its official checkpoint, which is downloaded
    from where Meta publishes it; the options are `build_sam2`'s. Raises ModelError for another name."""
    name = REPOSITORIES.get(model_id)
    if name is None:
        raise ModelError(f"There is no model {model_id!r}; known are: {', '.join(REPOSITORIES)}.")
    config = next(config for config, model in CONFIGS.items() if model == name)
    return build_sam2(config, **options)
