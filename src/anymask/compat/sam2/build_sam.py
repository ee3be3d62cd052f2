"""The models by the reference's names: `build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", "sam2.1_hiera_tiny.pt")`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from anymask.compat.sam2.modeling.sam2_base import SAM2Base
from anymask.compat.sam2.sam2_video_predictor import SAM2VideoPredictor
from anymask.errors import ModelError

SIZES = {"t": "tiny", "s": "small", "b+": "base_plus", "l": "large"}
CONFIGS = {
    f"{version}_{short}": f"{version}_{size}"
    for version in ("sam2_hiera", "sam2.1_hiera")
    for short, size in SIZES.items()
}
REPOSITORIES = {f"facebook/{name.replace('_', '-')}": name for name in CONFIGS.values()}
VIDEO_OPTIONS: dict[str, type] = {
    "fill_hole_area": float,
    "non_overlap_masks": bool,
    "clear_non_cond_mem_around_input": bool,
    "add_all_frames_to_correct_as_cond": bool,
    "binarize_mask_from_pts_for_mem_enc": bool,
}
AS_IT_IS = {
    "sam_mask_decoder_extra_args.dynamic_multimask_via_stability": True,
    "sam_mask_decoder_extra_args.dynamic_multimask_stability_delta": 0.05,
    "sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh": 0.98,
}
"""Overrides that say what is so anyway."""

Checkpoint = str | os.PathLike[str] | None


def build_sam2(
    config_file: str,
    ckpt_path: Checkpoint = None,
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
    name = _named(config_file, ckpt_path)
    if mode != "eval" or hydra_overrides_extra or not apply_postprocessing:
        raise ModelError("anymask has SAM 2 for inference as the reference builds it, without overrides.")
    return SAM2Base(name, ckpt_path, precision).to(device)


def build_sam2_video_predictor(
    config_file: str,
    ckpt_path: Checkpoint = None,
    device: str = "cpu",
    mode: str = "eval",
    hydra_overrides_extra: Sequence[str] = (),
    apply_postprocessing: bool = True,
    vos_optimized: bool = False,
    precision: str = "auto",
) -> SAM2VideoPredictor:
    """A model for videos by its config's name; what is not said here is as for `build_sam2`.

    Args:
        hydra_overrides_extra: `++model.NAME=VALUE` for the arguments of `SAM2VideoPredictor`, such as
            `++model.add_all_frames_to_correct_as_cond=true`.
        apply_postprocessing: only True; `++model.fill_hole_area=0` leaves holes as they are.
        vos_optimized: makes no difference; graphs are compiled in any case.

    Raises:
        ModelError: another config or override, or an option that anymask does not have.
        FileNotFoundError: there is no such checkpoint; what else is wrong with one shows in `init_state`: WeightsError.
    """
    name = _named(config_file, ckpt_path)
    if mode != "eval" or not apply_postprocessing:
        raise ModelError(
            "anymask has SAM 2 for inference with the reference's postprocessing; of that "
            "hydra_overrides_extra=['++model.fill_hole_area=0'] leaves out the filling of holes."
        )
    return SAM2VideoPredictor(name, ckpt_path, precision, **_overrides(hydra_overrides_extra)).to(device)


def build_sam2_hf(model_id: str, **options: Any) -> SAM2Base:
    """A model by its repository's name, `facebook/sam2.1-hiera-tiny`, with its official checkpoint, which is downloaded
    from where Meta publishes it; the options are `build_sam2`'s. Raises ModelError for another name."""
    return build_sam2(_config(model_id), **options)


def build_sam2_video_predictor_hf(model_id: str, **options: Any) -> SAM2VideoPredictor:
    """The same for videos; the options are `build_sam2_video_predictor`'s."""
    return build_sam2_video_predictor(_config(model_id), **options)


def _named(config_file: str, checkpoint: Checkpoint) -> str:
    name = CONFIGS.get(PurePosixPath(str(config_file).replace("\\", "/")).name.removesuffix(".yaml"))
    if name is None:
        raise ModelError(
            f"There is no config {config_file!r}; known are: {', '.join(f'{one}.yaml' for one in CONFIGS)}."
        )
    if checkpoint is not None and not os.path.isfile(checkpoint):
        raise FileNotFoundError(f"There is no checkpoint at {os.fspath(checkpoint)}; leave it out to download {name}.")
    return name


def _config(model_id: str) -> str:
    name = REPOSITORIES.get(model_id)
    if name is None:
        raise ModelError(f"There is no model {model_id!r}; known are: {', '.join(REPOSITORIES)}.")
    return next(config for config, model in CONFIGS.items() if model == name)


def _overrides(extra: Sequence[str]) -> dict[str, Any]:
    """What `++model.NAME=VALUE` says of the video predictor's arguments."""
    options: dict[str, Any] = {}
    for text in extra:
        key, _, given = text.lstrip("+").partition("=")
        name = key.removeprefix("model.")
        try:
            value = json.loads(given.lower())
        except ValueError:
            value = None
        if name in AS_IT_IS and value == AS_IT_IS[name]:
            continue
        kind = VIDEO_OPTIONS.get(name)
        if kind is None or isinstance(value, bool) != (kind is bool) or not isinstance(value, int | float):
            known = ", ".join(f"++model.{one}" for one in VIDEO_OPTIONS)
            raise ModelError(f"There is no override {text!r}; known are, with a number or true or false: {known}.")
        options[name] = value
    return options
