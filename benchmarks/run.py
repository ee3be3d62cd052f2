"""Measure anymask on this machine, each figure beside a reference of the same run: python benchmarks/run.py.

Prints a table and writes benchmarks/RESULTS.md. Times are medians; a ratio is the figure over its reference, so below
1 is faster (or smaller) than the reference.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from quality import grabcut, quality_table

import anymask
from anymask.images import read_image, save_image

HERE = Path(__file__).parent
BUS = HERE.parent / "assets" / "bus.jpg"
WIDTH, HEIGHT = 1024, 768
RECTANGLE = (180, 190, 740, 390)  # around the bus in the enlarged picture: x, y, width, height
CLICK = (690, 430)

GRABCUT_SCRIPT = """
import sys, cv2, numpy as np
picture = cv2.imread(sys.argv[1])
mask = np.zeros(picture.shape[:2], np.uint8)
height, width = mask.shape
box = (width // 20, height // 20, width * 9 // 10, height * 9 // 10)
cv2.grabCut(picture, mask, box, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_RECT)
cv2.imwrite(sys.argv[2], np.dstack([picture, (mask & 1) * 255]))
"""


@dataclass(frozen=True)
class Row:
    """One figure and what it is held against, in the same unit."""

    name: str
    value: float
    reference: str
    reference_value: float
    unit: str = "ms"

    def __str__(self) -> str:
        ratio = self.value / self.reference_value
        return (
            f"| {self.name} | {self.value:.1f} {self.unit} "
            f"| {self.reference} | {self.reference_value:.1f} {self.unit} | {ratio:.2g} |"
        )


def median_ms(work: Callable[[], object], runs: int) -> float:
    """Median milliseconds of `work` over `runs` calls, after one that does not count."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def process_ms(*command: str, runs: int, environment: dict[str, str] | None = None) -> float:
    """Median milliseconds of a whole process, from start to end."""
    merged = os.environ | (environment or {})
    return median_ms(lambda: subprocess.run(command, check=True, capture_output=True, env=merged), runs)


def peak_mb(*command: str) -> float:
    """Peak resident memory of a process in megabytes, asked of a parent that has no other child."""
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, capture_output=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    found = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True)
    return int(found.stdout) / 1024


def start_rows(photo: Path, folder: Path, runs: int) -> list[Row]:
    """Whole processes: starting, help, and a cut-out from process start to written file."""
    python, program = sys.executable, [sys.executable, "-m", "anymask"]
    cut = [*program, "cutout", str(photo), "-o", str(folder / "cut.png"), "--overwrite"]
    peer = [python, "-c", GRABCUT_SCRIPT, str(photo), str(folder / "grabcut.png")]
    libraries = [python, "-c", "import cv2, numpy, openvino"]
    every = [*program, "everything", str(photo), "-o", str(folder / "every.json")]
    nothing = process_ms(python, "-c", "pass", runs=runs)
    numpy = process_ms(python, "-c", "import numpy", runs=runs)
    cold_grabcut = process_ms(*peer, runs=runs)

    def first() -> None:
        with tempfile.TemporaryDirectory() as home:
            subprocess.run(cut, check=True, capture_output=True, env=os.environ | {"ANYMASK_HOME": home})

    return [
        Row("`import anymask`", process_ms(python, "-c", "import anymask", runs=runs), "`python -c pass`", nothing),
        Row("`anymask --help`", process_ms(*program, "--help", runs=runs), "`import numpy`", numpy),
        Row("`anymask cutout`, cold process", process_ms(*cut, runs=runs), "cold grabCut process", cold_grabcut),
        Row("the same, nothing cached yet", median_ms(first, max(1, runs // 2)), "cold grabCut process", cold_grabcut),
        Row("peak memory of `anymask cutout`", peak_mb(*cut), "grabCut process", peak_mb(*peer), "MB"),
        Row("peak memory of `anymask everything`", peak_mb(*every), "its libraries alone", peak_mb(*libraries), "MB"),
    ]


def work_rows(photo: Path, runs: int) -> list[Row]:
    """What a loaded model does, in milliseconds."""
    rgb = read_image(photo)
    square = np.random.default_rng(0).normal(size=(1024, 1024)).astype(np.float32)
    gemm = median_ms(lambda: square @ square, 2 * runs)
    cut = median_ms(lambda: grabcut(rgb, RECTANGLE), max(1, runs // 3))

    rows = []
    for precision in ("auto", "fp32"):
        segmenter = anymask.Segmenter("pocket", device="cpu", precision=precision)
        rows.append(
            Row(
                f"encode, {precision}",
                median_ms(lambda: segmenter.encode(rgb), 2 * runs),  # noqa: B023
                "1024³ fp32 matrix product (numpy)",
                gemm,
            )
        )
    image = anymask.Segmenter("pocket", device="cpu").encode(rgb)
    click = median_ms(lambda: image.predict(points=[CLICK], multimask=False).array, 4 * runs)
    x, y, width, height = RECTANGLE
    box = median_ms(lambda: image.predict(box=(x, y, x + width, y + height)).array, 4 * runs)
    everything = median_ms(image.everything, max(1, runs // 3))
    remover = anymask.BackgroundRemover("pocket", device="cpu")
    return [
        *rows,
        Row("click to full-size mask", click, "grabCut", cut),
        Row("box to full-size mask", box, "grabCut", cut),
        Row("everything, 32 x 32 points", everything, "1,024 clicks one by one", 1024 * click),
        Row("cut-out, refined, foreground colours", median_ms(lambda: remover.remove(rgb), runs), "grabCut", cut),
    ]


def machine(*others: str) -> str:
    """The processor, what of bf16 it has, and the versions that matter (of `others` too), in two lines."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    names = {key.strip(): value.strip() for key, value in fields.items()}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in names.get("flags", "").split()]
    packages = ("numpy", "opencv-python-headless", "openvino", "pillow", *others)
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return (
        f"{names.get('model name', platform.processor())}, {os.cpu_count()} cores, {' '.join(flags)}; "
        f"{platform.system()}, load {os.getloadavg()[0]:.1f} at the start.\n"
        f"anymask {anymask.__version__}, Python {platform.python_version()}, {versions}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9, help="runs of each figure (slow ones: fewer)")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data" / "eval" / "coco")
    parser.add_argument("--objects", type=int, default=100, help="objects for the comparison of quality")
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md")
    options = parser.parse_args()

    lines = [
        "# Benchmarks",
        "",
        "Made by `python benchmarks/run.py`; times are medians, picture 1024 x 768.",
        "",
        machine(),
        "",
    ]
    lines += ["| what | anymask | reference | its figure | ratio |", "|---|---:|---|---:|---:|"]
    with tempfile.TemporaryDirectory() as temporary:
        photo = Path(temporary) / "photo.jpg"
        save_image(photo, cv2.resize(read_image(BUS), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), quality=90)
        lines += [str(row) for row in start_rows(photo, Path(temporary), options.runs)]
        lines += [str(row) for row in work_rows(photo, options.runs)]
    if options.data.is_dir():
        lines += ["", *quality_table(options.data, options.objects)]
    print("\n".join(lines))
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
