"""pocket's encoder in int8 beside bf16: its time, its size, and what it does to the masks.

    git show b1bf00e:src/anymask/weights/pocket/weights.safetensors > before.safetensors
    python benchmarks/int8.py --weights before.safetensors --data DATA/train --pictures DATA/eval/coco

The weights are exported as they are, and with the encoder's convolutions in int8 (`training/quantization.py`) of eight
bits and of seven; the last is what is on board. Encoders are timed by turns in this process.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from anymask.catalog import find
from anymask.evaluation.protocol import KINDS, evaluate
from anymask.formats.sa1b import read_folder
from anymask.runtime import load_segment_engine
from anymask.training.export import Quantize, export_pocket
from anymask.training.quantization import calibration_pictures, quantized


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--weights", type=Path, required=True, help="with fp16 weights")
    options.add_argument("--data", type=Path, required=True, help="pictures to measure activations on")
    options.add_argument("--pictures", type=Path, required=True, help="labelled pictures to evaluate")
    options.add_argument("--rounds", type=int, default=40)
    asked = options.parse_args()
    pictures = calibration_pictures(find("pocket"), read_folder(asked.data))
    ways: dict[str, Quantize | None] = {
        "fp16 weights": None,
        "int8": partial(quantized, pictures=pictures, seven_bits=False),
        "int8, seven bits": partial(quantized, pictures=pictures),
    }
    with tempfile.TemporaryDirectory() as name:
        folders = {way: export_pocket(asked.weights, Path(name) / way, each) for way, each in ways.items()}
        plain = export_pocket(folders["int8, seven bits"] / "weights.safetensors", Path(name) / "plain")
        folders["the last one's weights, as with PyTorch"] = plain
        times = {
            precision: by_turns(
                {way: load_segment_engine("pocket", "cpu", precision, at).encode for way, at in folders.items()},
                pictures,
                asked.rounds,
            )
            for precision in ("auto", "fp32")
        }
        print("| encoder | ms | ms, fp32 | MB in all | " + " | ".join(KINDS) + " |\n|---|" + "---:|" * (3 + len(KINDS)))
        for way, folder in folders.items():
            size = sum(path.stat().st_size for path in folder.iterdir())
            found = evaluate(asked.pictures, weights=folder).rows
            row = [*(f"{each[way]:.1f}" for each in times.values()), f"{size / 1e6:.1f}"]
            print(f"| {way} | " + " | ".join([*row, *(f"{found[kind]:.3f}" for kind in KINDS)]) + " |", flush=True)


def by_turns(
    encoders: dict[str, Callable[[np.ndarray], object]], pictures: list[np.ndarray], rounds: int
) -> dict[str, float]:
    """Median milliseconds of each, asked one after the other."""
    times: dict[str, list[float]] = {way: [] for way in encoders}
    for number in range(rounds + 3):
        for way, encode in encoders.items():
            begin = time.perf_counter()
            encode(pictures[number % len(pictures)][0])
            times[way].append(1000 * (time.perf_counter() - begin))
    return {way: statistics.median(each[3:]) for way, each in times.items()}


if __name__ == "__main__":
    main()
