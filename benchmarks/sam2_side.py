"""One side of `sam2.py`, a process that does a piece of work for each line that it reads and answers in JSON.

    python sam2_side.py reference|anymask PRECISION MODEL CHECKPOINT FRAMES CLICKS MASKS

The reference's side imports torch and sam2 and nothing of anymask, so that it runs in an environment of its own.
FRAMES is a folder of JPEGs; CLICKS, JSON, are points [x, y], one of each object, which is clicked there on the first
frame; MASKS is the file, .npz, that `masks` writes: bool [objects, H, W] by the number of the frame.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

THREADS = 2
CONFIGS = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}

Tracks = Iterator[tuple[int, np.ndarray]]


class Reference:
    """The package sam2 as it comes, on the CPU."""

    def __init__(self, precision: str, model: str, checkpoint: str) -> None:
        os.environ["TQDM_DISABLE"] = "1"
        sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve()]  # sam2.py
        import torch

        build = import_module("sam2.build_sam").build_sam2_video_predictor

        self.torch = torch
        torch.set_num_threads(THREADS)
        version, size = model.split("_hiera_")
        config = f"configs/{version}/{version}_hiera_{CONFIGS[size]}.yaml"
        self.predictor = build(config, checkpoint, device="cpu")
        mixed = precision == "bf16"
        self._arithmetic = contextlib.ExitStack()
        self._arithmetic.enter_context(torch.inference_mode())
        self._arithmetic.enter_context(torch.autocast("cpu", torch.bfloat16, enabled=mixed))

    def encoder(self, rgb: np.ndarray) -> Callable[[], object]:
        """The image encoder over a normalised picture."""
        mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        image = ((rgb / 255 - mean) / deviation).transpose(2, 0, 1)[None].astype(np.float32)
        pixels = self.torch.from_numpy(np.ascontiguousarray(image))
        return lambda: self.predictor.forward_image(pixels)

    def tracks(self, frames: Path, clicks: list[list[float]]) -> Tracks:
        """Frames and masks, one by one."""
        state = self.predictor.init_state(str(frames))
        for number, click in enumerate(clicks, start=1):
            self.predictor.add_new_points_or_box(state, 0, number, points=[click], labels=[1])
        for index, _, logits in self.predictor.propagate_in_video(state):
            yield index, (logits[:, 0] > 0).numpy()


class Ours:
    """This package."""

    def __init__(self, precision: str, model: str, checkpoint: str) -> None:
        self._choice = model, "cpu", precision, checkpoint

    def encoder(self, rgb: np.ndarray) -> Callable[[], object]:
        """The image encoder, which normalises the picture itself."""
        import anymask

        engine = anymask.Segmenter(*self._choice).engine
        return lambda: engine.encode(rgb)

    def tracks(self, frames: Path, clicks: list[list[float]]) -> Tracks:
        """Frames and masks, one by one."""
        import anymask

        session = anymask.Tracker(*self._choice).open(frames)
        for number, click in enumerate(clicks, start=1):
            session.prompt(0, number, points=[click])
        for index, masks in session.propagate():
            yield index, masks.array


def main() -> None:
    """Answer until the input ends."""
    side, precision, model, checkpoint, folder, clicks, file = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever the packages print
    frames, points = Path(folder), json.loads(clicks)
    made = (Reference if side == "reference" else Ours)(precision, model, checkpoint)
    rgb = np.asarray(Image.open(min(frames.glob("*.jpg"))).convert("RGB").resize((1024, 1024)))
    encoders: list[Callable[[], object]] = []
    tracks = made.tracks(frames, points)
    found: dict[str, np.ndarray] = {}

    def encode() -> None:
        if not encoders:
            encoders.append(made.encoder(rgb))
        encoders[0]()

    def frame() -> None:
        index, masks = next(tracks)
        found[str(index)] = masks

    def masks() -> None:
        np.savez_compressed(file, allow_pickle=False, **found)

    works: dict[str, Callable[[], Any]] = {"encode": encode, "frame": frame, "masks": masks}
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        work = works[line.strip()]
        start, before = time.perf_counter(), time.process_time()
        work()
        taken = {"seconds": time.perf_counter() - start, "processor": time.process_time() - before}
        answers.write(json.dumps(taken) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
