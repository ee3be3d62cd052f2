"""Cut-outs beside rembg, same ONNX files: python benchmarks/cutout.py (about 12 minutes).

Needs an environment with anymask's torch and export extras and `pip install "rembg[cpu,cli]==2.0.86"`. Weights are made
up (tests/parity), which changes no time; rembg finds them in a folder of models of its own. Networks take turns in one
process; whole runs have a process each. Prints a table and writes benchmarks/CUTOUT.md.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from onnx_models import NETWORKS, onnx_file
from PIL import Image
from run import Row, machine
from sam import by_turns, photo

HERE = Path(__file__).parent
MODELS = tuple(NETWORKS)
PICTURES = 50

PEAK = """
import resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def run(command: list[str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of a process, asked of a small parent that has no other child."""
    found = subprocess.run([sys.executable, "-c", PEAK, *command], check=True, capture_output=True, text=True)
    seconds, peak = found.stdout.split()
    return float(seconds), float(peak)


def turns(commands: list[list[str]], runs: int, before: Callable[[], None] = lambda: None) -> list[tuple[float, float]]:
    """Median seconds and greatest memory of each command; they take turns, after one round that does not count."""
    found: list[list[tuple[float, float]]] = [[] for _ in commands]
    for turn in range(runs + 1):
        for command, results in zip(commands, found, strict=True):
            before()
            result = run(command)
            if turn:
                results.append(result)
    return [(statistics.median(s for s, _ in results), max(p for _, p in results)) for results in found]


def network_rows(files: dict[str, Path], runs: int) -> list[Row]:
    """The network alone, and with what goes in and comes out of it, in this process."""
    import rembg

    from anymask.runtime import load_matte_engine

    rgb = photo()
    picture = Image.fromarray(rgb)
    rows = []
    for name in MODELS:
        session = rembg.new_session(name)
        image = np.random.default_rng(0).normal(0, 1, (1, 3, NETWORKS[name][2], NETWORKS[name][2])).astype(np.float32)
        feed = {session.inner_session.get_inputs()[0].name: image}
        engines: dict[str, Any] = {
            precision: load_matte_engine(name, "cpu", precision, files[name], preprocessing="rembg")
            for precision in ("auto", "fp32")
        }
        works: list[Callable[[], Any]] = [
            lambda: session.inner_session.run(None, feed),  # noqa: B023
            lambda: engines["auto"].network(image),  # noqa: B023
            lambda: engines["fp32"].network(image),  # noqa: B023
            lambda: session.predict(picture),  # noqa: B023
            lambda: engines["auto"].mattes(rgb),  # noqa: B023
        ]
        alone, fast, exact, whole, ours = by_turns(works, runs, pause=0.2)
        rows += [
            Row(f"{name}: network alone, auto", fast, "rembg's ONNX Runtime session", alone),
            Row(f"{name}: network alone, fp32", exact, "rembg's ONNX Runtime session", alone),
            Row(f"{name}: picture to map, auto", ours, "rembg's `session.predict`", whole),
        ]
        mask = np.asarray(session.predict(picture)[0], np.float32) / 255
        for precision, engine in engines.items():
            coarse = np.asarray(Image.fromarray(engine.mattes(rgb)[0]).resize(picture.size, Image.Resampling.LANCZOS))
            print(f"{name}, {precision}: mean difference of the masks {np.abs(coarse - mask).mean():.2g}")
    return rows


def profile_lines(files: dict[str, Path]) -> list[str]:
    """Where the engine's time goes by kind of operation, the least of some runs of each; bf16 where it is native."""
    from anymask.runtime.openvino import has_native_bf16

    core = ov.Core()
    settings = {"INFERENCE_PRECISION_HINT": "bf16" if has_native_bf16() else "f32", "PERF_COUNT": True}
    lines = ["", "Where the network's time goes, by OpenVINO's own counters, in milliseconds:", ""]
    for name in ("u2net", "birefnet-general-lite"):
        compiled = core.compile_model(core.read_model(files[name]), "CPU", {"PERFORMANCE_HINT": "LATENCY", **settings})
        request = compiled.create_infer_request()
        image = np.random.default_rng(0).normal(0, 1, tuple(compiled.inputs[0].shape)).astype(np.float32)
        least: dict[str, tuple[str, float]] = {}
        for _ in range(4):
            request.infer([image])
            for node in request.get_profiling_info():
                ms = 1000 * node.real_time.total_seconds()
                least[node.node_name] = node.node_type, min(ms, least.get(node.node_name, ("", ms))[1])
        kinds: defaultdict[str, float] = defaultdict(float)
        for kind, ms in least.values():
            kinds[kind] += ms
        most = ", ".join(f"{kind} {ms:.0f}" for kind, ms in sorted(kinds.items(), key=lambda item: -item[1])[:6])
        lines.append(f"* {name}: {sum(kinds.values()):.0f} in all; {most}.")
    return lines


def process_rows(files: dict[str, Path], folder: Path, runs: int) -> list[Row]:
    """Whole processes: one picture, a folder."""
    picture = folder / "photo.jpg"
    Image.fromarray(photo()).save(picture, quality=92)
    several = folder / "pictures"
    several.mkdir()
    rng = np.random.default_rng(0)
    for index in range(PICTURES):
        left, top = rng.integers(0, 200, 2)
        Image.fromarray(photo()[top : top + 568, left : left + 824]).save(several / f"{index:02}.jpg", quality=92)
    rembg = str(Path(sys.executable).with_name("rembg"))
    ours = [sys.executable, "-m", "anymask", "cutout"]
    out = folder / "out"

    def clear() -> None:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()

    rows = []
    for name in MODELS:
        own = ["-m", name, "--weights", str(files[name])]
        commands = [
            [rembg, "i", "-m", name, str(picture), str(out / "theirs.png")],
            [*ours, str(picture), "-o", str(out / "ours.png"), *own],
            [*ours, str(picture), "-o", str(out / "plain.png"), "--no-refine", "--no-foreground", *own],
        ]
        clear()
        (theirs, their_peak), (refined, peak), (plain, _) = turns(commands, runs)
        rows += [
            Row(f"{name}: one picture, process start to file", 1000 * refined, "`rembg i`", 1000 * theirs),
            Row("the same without refined edges, as rembg's", 1000 * plain, "`rembg i`", 1000 * theirs),
            Row("its peak memory", peak, "`rembg i`", their_peak, "MB"),
        ]
        if name == "birefnet-general-lite":
            continue
        commands = [
            [rembg, "p", "-m", name, str(several), str(out)],
            [*ours, str(several), "-o", str(out), *own],
            [*ours, str(several), "-o", str(out), "--no-refine", "--no-foreground", *own],
        ]
        (theirs, their_peak), (refined, peak), (plain, _) = turns(commands, max(1, runs // 3), clear)
        rows += [
            Row(f"{name}: folder of {PICTURES} pictures", 1000 * refined, "`rembg p`", 1000 * theirs),
            Row("the same without refined edges, as rembg's", 1000 * plain, "`rembg p`", 1000 * theirs),
            Row("its peak memory", peak, "`rembg p`", their_peak, "MB"),
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of each figure (slow ones: fewer)")
    parser.add_argument("--only", choices=("network", "process", "profile"), help="only these rows; writes nothing")
    parser.add_argument("--keep", type=Path, help="a folder for the ONNX files, so that they are made once")
    parser.add_argument("--output", type=Path, default=HERE / "CUTOUT.md")
    options = parser.parse_args()
    lines = [
        "# Cut-outs beside rembg",
        "",
        "Made by `python benchmarks/cutout.py`; medians, picture 1024 x 768, the same ONNX files on both sides, with "
        "made-up weights.",
        "",
        machine("rembg", "onnxruntime"),
        "",
        "| what | anymask | reference | its figure | ratio |",
        "|---|---:|---|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        kept = options.keep or folder
        files = {name: onnx_file(kept, name) for name in MODELS}
        os.environ["ANYMASK_HOME"] = str(folder / "home")
        os.environ["REMBG_HOME"] = str(folder / "rembg")
        for name, path in files.items():
            place = folder / "rembg" / "models" / name
            place.mkdir(parents=True)
            (place / f"{name}.onnx").symlink_to(path.resolve())
        rows: list[Row] = []
        if options.only in (None, "network"):
            rows += network_rows(files, options.runs)
        if options.only in (None, "process"):
            rows += process_rows(files, folder, options.runs)
        lines += [str(row) for row in rows]
        if options.only in (None, "profile"):
            lines += profile_lines(files)
    print("\n".join(lines))
    if options.only is None:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
