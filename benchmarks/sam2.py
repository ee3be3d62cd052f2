"""SAM 2.1 beside its reference code, same weights, frames and clicks: python benchmarks/sam2.py --reference PYTHON

PYTHON is that of an environment with the package sam2 (`SAM2_BUILD_CUDA=0 pip install --no-build-isolation sam2==1.1.0`
over a CPU build of torch). The reference runs in fp32, as it comes, and under autocast in bf16. Both sides have a
process of their own and the same number of threads, and take turns frame by frame, so that whatever else the machine
does meets both. Weights are made up (tests/parity): the arithmetic is that of the official ones. A tracked frame is
everything from the file to masks of its size; the objects are clicked on the first, and the frames from the
eighteenth on are counted, which read seven memories and sixteen pointers, as all later ones do. Those before them,
which read a little more each time, have a line of their own. The least that an encoder and a frame could take is
computed from the number of their products and those that the engine does a second in one large one. Prints a table and
writes benchmarks/SAM2.md.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from products import products_a_second, products_of
from run import Row, machine
from sam2_side import THREADS

HERE = Path(__file__).parent
CLIP = HERE.parent.parent / "shared" / "data" / "eval" / "davis" / "blackswan"
FILLED = 17  # frames until memory is full: the maps of the clicked one and of six more, and sixteen pointers
PAUSE = 0.3  # seconds before each turn, for the other side's threads to stop spinning


class Side:
    """A process of one side."""

    def __init__(self, python: str, side: str, precision: str, model: str, checkpoint: Path, frames: Path,
                 clicks: list[list[float]]) -> None:  # fmt: skip
        self.name, self.precision = side, precision
        self.masks_file = frames.parent / f"{side}-{precision}-{len(clicks)}.npz"
        command = [python, str(HERE / "sam2_side.py"), side, precision, model, str(checkpoint), str(frames)]
        command += [json.dumps(clicks), str(self.masks_file)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"The process of {self.name}, {self.precision}, ended with {self._process.wait()}.")
        return line

    def __call__(self, work: str) -> tuple[float, float]:
        """Seconds that a piece of work took, by the clock and of all the processors together."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{work}\n")
        self._process.stdin.flush()
        answer = json.loads(self._read())
        return float(answer["seconds"]), float(answer["processor"])

    def masks(self) -> dict[str, np.ndarray]:
        """The masks of each frame so far."""
        self("masks")
        return dict(np.load(self.masks_file))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def has_reference(python: str) -> bool:
    """Whether the package sam2 is installed for a Python."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('sam2') is None)"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=False, cwd=HERE.parent).returncode == 0
    except OSError:
        return False


class Taken(NamedTuple):
    """Milliseconds of a piece of work: the median by the clock and of the processors, and the mean by the clock of the
    turns before, but the first; NaN without any."""

    clock: float
    processors: float
    before: float


def by_turns(sides: list[Side], work: str, runs: int, warm: int) -> list[Taken]:
    """A piece of work on each side; `warm` turns come before those that count."""
    times: list[list[tuple[float, float]]] = [[] for _ in sides]
    for _ in range(warm + runs):
        for side, found in zip(sides, times, strict=True):
            time.sleep(PAUSE)
            found.append(side(work))
    taken = []
    for found in times:
        clock, processors = (1000 * statistics.median(one) for one in zip(*found[warm:], strict=True))
        early = [1000 * seconds for seconds, _ in found[1:warm]]
        taken.append(Taken(clock, processors, statistics.mean(early) if early else math.nan))
    return taken


def rows_of(what: str, sides: list[Side], times: list[Taken]) -> list[Row]:
    """Each precision of ours beside each of the reference."""
    timed = list(zip(sides, times, strict=True))
    for side, taken in timed:
        figures = f"{taken.clock:.0f} ms, processors {taken.processors:.0f} ms, before {taken.before:.0f} ms"
        print(f"{what}: {side.name} {side.precision} {figures}", flush=True)
    theirs = [(values, f"sam2, {side.precision}") for side, values in timed if side.name == "reference"]
    rows = []
    for side, own in timed:
        for values, name in (theirs or [(Taken(*[math.nan] * 3), "not installed")]) if side.name == "anymask" else ():
            rows.append(Row(f"{what}, {side.precision}", own.clock, name, values.clock))
            rows.append(Row("the same, processor time", own.processors, name, values.processors))
            if not math.isnan(own.before):
                rows.append(Row(f"the frames before, 2 to {FILLED}, mean", own.before, name, values.before))
    return rows


def agreement(sides: list[Side]) -> list[str]:
    """How well the masks of all frames agree with those of the first side, and of the same precision's."""
    masks = [side.masks() for side in sides]
    lines = []
    for one, other in ((0, number) for number in range(1, len(sides))):
        values = []
        for index, expected in masks[one].items():
            for first, second in zip(expected, masks[other][index], strict=True):
                whole = (first | second).sum()
                values.append((first & second).sum() / whole if whole else 1.0)
        names = " and ".join(f"{sides[number].name} {sides[number].precision}" for number in (one, other))
        count = len(masks[one]["0"])
        lines.append(f"{names}: mean IoU {np.mean(values):.4f}, least {np.min(values):.4f} (objects: {count})")
    return lines


def clicks_of(objects: int, width: int, height: int) -> list[list[float]]:
    """Points spread over a frame, the first in its middle."""
    spread = [(0.5, 0.5)] + [((0.5 + 0.618 * number) % 1, (0.5 + 0.382 * number) % 1) for number in range(1, objects)]
    return [[round(x * width), round(y * height)] for x, y in spread]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", default=sys.executable, help="the Python of an environment with sam2")
    parser.add_argument(
        "--precisions", nargs="*", default=["fp32", "bf16"], help="of the reference; several objects: the first alone"
    )
    parser.add_argument("--encoders", nargs="*", default=["tiny", "base_plus"])
    parser.add_argument("--tracked", nargs="*", default=["tiny"])
    parser.add_argument("--objects", nargs="*", type=int, default=[1, 8])
    parser.add_argument("--runs", type=int, default=5, help="encoded pictures")
    parser.add_argument("--counted", type=int, default=3, help="tracked frames")
    parser.add_argument("--fp32", action="store_true", help="ours in fp32, too, where objects are tracked")
    parser.add_argument("--clip", type=Path, default=CLIP, help="a folder of JPEGs")
    parser.add_argument("--output", type=Path, default=HERE / "SAM2.md")
    options = parser.parse_args()
    if len(list(options.clip.glob("*.jpg"))) < FILLED + options.counted:
        raise SystemExit(
            f"{options.clip} has no {FILLED + options.counted} JPEGs; name a folder of frames: --clip FOLDER"
        )
    installed = has_reference(options.reference)
    if not installed:
        print(f"The reference is not installed: {options.reference} has no package sam2. Only anymask is measured.")

    rows: list[Row] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["ANYMASK_HOME"] = os.environ.get("SAM2_BENCHMARK_HOME", str(folder / "home"))
        frames = folder / "frames"
        frames.mkdir()
        pictures = sorted(options.clip.glob("*.jpg"))[: FILLED + options.counted]
        for number, picture in enumerate(pictures):
            (frames / f"{number:05d}.jpg").symlink_to(picture.resolve())
        width, height = Image.open(pictures[0]).size

        def sides_of(
            model: str, clicks: list[list[float]], reference: tuple[str, ...], ours: tuple[str, ...]
        ) -> list[Side]:
            checkpoint = made_up(folder, model)
            chosen = [(options.reference, "reference", precision) for precision in reference if installed]
            chosen += [(sys.executable, "anymask", precision) for precision in ours]
            return [
                Side(python, name, precision, model, checkpoint, frames, clicks) for python, name, precision in chosen
            ]

        both = tuple(options.precisions)
        for size in options.encoders:
            sides = sides_of(f"sam2.1_hiera_{size}", [[width / 2, height / 2]], both, ("bf16", "fp32"))
            rows += rows_of(f"encoder, {size}", sides, by_turns(sides, "encode", options.runs, warm=1))
            for side in sides:
                side.close()
            notes.append(least(f"sam2.1_hiera_{size}", made_up(folder, f"sam2.1_hiera_{size}")))
        for size in options.tracked:
            theirs: tuple[str, ...] = both
            if options.objects:
                notes.append(
                    least_of_a_frame(f"sam2.1_hiera_{size}", made_up(folder, f"sam2.1_hiera_{size}"), options.objects)
                )
            for objects in sorted(options.objects):
                clicks = clicks_of(objects, width, height)
                ours = ("bf16", "fp32") if options.fp32 or objects == 1 else ("bf16",)
                sides = sides_of(f"sam2.1_hiera_{size}", clicks, theirs, ours)
                times = by_turns(sides, "frame", options.counted, warm=FILLED)
                rows += rows_of(f"tracked frame, {size}, objects: {objects}", sides, times)
                notes += [f"{size}, {line}" for line in agreement(sides)]
                for side in sides:
                    side.close()
                theirs = theirs[:1]  # the others are not asked about more objects
    lines = [
        "# SAM 2.1 beside the reference code",
        "",
        "Made by `python benchmarks/sam2.py`; medians, the same made-up weights on both sides, frames of "
        f"{width} x {height}, {THREADS} threads.",
        "sam2, fp32 is the reference as it comes; bf16 is the reference under torch's autocast. Processor time is that",
        "of both cores together, which other work on the machine changes less than the clock's.",
        "",
        machine("torch"),
        "",
        "| what | anymask | reference | its figure | ratio |",
        "|---|---:|---|---:|---:|",
    ]
    lines += [str(row) for row in rows]
    if notes:
        lines += [
            "",
            "The least that encoders and tracked frames could take, and how well the masks of all frames agree:",
            "",
            *(f"* {line}" for line in notes),
        ]
    print("\n".join(lines))
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def least(model: str, checkpoint: Path) -> str:
    """How long the products of an encoder alone would take."""
    import torch

    from anymask.catalog import find
    from anymask.runtime.parts import load_parts

    spec = find(model)
    side = spec.input.side
    products = products_of(load_parts(spec, checkpoint).encoder, torch.zeros(1, side, side, 3))
    rate = products_a_second("bf16")
    return (
        f"{model}'s encoder: {products / 1e9:.0f} billion products, of which the engine does {rate / 1e9:.0f} billion "
        f"a second in bf16 in one of two matrices: {1000 * products / rate:.0f} ms if it did nothing else"
    )


def least_of_a_frame(model: str, checkpoint: Path, objects: list[int]) -> str:
    """How long the products of a tracked frame alone would take, with a full memory."""
    import torch

    from anymask.catalog import find
    from anymask.runtime.parts import load_video_parts

    spec = find(model)
    side, low = spec.input.side, spec.mask_side
    parts, video = load_video_parts(spec, checkpoint)
    with torch.inference_mode():
        coarse, middle, fine = parts.encoder(torch.zeros(1, side, side, 3))
        seen = video.look(coarse)
    rows, times = torch.tensor([[6, 0, 1, 2, 3, 4, 5]]), torch.linspace(0, 1, 16)[None]
    remembered = rows, times, torch.zeros(1, 7, 64, *coarse.shape[2:]), torch.zeros(1, 16, coarse.shape[1])
    nowhere = torch.zeros(1, 2, 2), -torch.ones(1, 2)
    shared = products_of(parts.encoder, torch.zeros(1, side, side, 3)) + products_of(video.look, coarse)
    each = products_of(video.condition, *seen, *remembered)
    each += products_of(video.answer, middle, fine, coarse, *nowhere)
    each += products_of(video.remember, coarse, torch.zeros(1, low, low), torch.ones(1, 1), torch.zeros(1, 1))
    rate = products_a_second("bf16")
    least = ", ".join(f"{1000 * (shared + number * each) / rate:.0f} ms (objects: {number})" for number in objects)
    return (
        f"a frame tracked by {model}: {shared / 1e9:.0f} billion products and {each / 1e9:.0f} billion more for each "
        f"object; at {rate / 1e9:.0f} billion a second {least}"
    )


def made_up(folder: Path, model: str) -> Path:
    """A checkpoint as published, of made-up weights."""
    import torch
    from reference import seeded_checkpoint

    path = folder / f"{model}.pt"
    if not path.exists():
        bare = seeded_checkpoint(folder, model)
        torch.save({"model": torch.load(bare, weights_only=True)}, path)
    return path


if __name__ == "__main__":
    main()
