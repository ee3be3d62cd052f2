"""SAM ViT-B beside its reference code, same weights and picture: python benchmarks/sam.py (about 8 minutes).

Needs `pip install --no-deps segment-anything==1.0` and `pip install transformers`. The reference is segment_anything
1.0 in PyTorch at fp32, as it comes; the second reference is transformers' encoder with PyTorch's fused attention at
bf16. Weights are made up (tests/parity): the arithmetic is that of the official ones. Rows are measured by turns in one
process; `everything`, its memory and the starts have a process each. Prints a table and writes benchmarks/SAM.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from run import BUS, HEIGHT, WIDTH, Row, machine

import anymask
from anymask.images import read_image

HERE = Path(__file__).parent
CLICK = (690, 430)
# Made-up weights know no objects: the surest tenth of the candidates is kept, whatever overlaps, so that both sides
# have about as many masks to measure and to write as on a real picture.
EVERYTHING = {"stability_score_thresh": 0.0, "box_nms_thresh": 1.0, "output_mode": "coco_rle"}


def photo() -> np.ndarray:
    """The bus, 1024 x 768."""
    return np.asarray(cv2.resize(read_image(BUS), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))


def by_turns(works: list[Callable[[], Any]], runs: int, pause: float = 0.0) -> list[float]:
    """Median milliseconds of each work; they take turns, so that whatever else the machine does meets all of them.
    `pause`: seconds before each, where a library's threads go on spinning for a while after their work."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(runs + 1):
        for work, found in zip(works, times, strict=True):
            time.sleep(pause)
            start = time.perf_counter()
            work()
            if turn:  # the first one warms up
                found.append(time.perf_counter() - start)
    return [1000 * statistics.median(found) for found in times]


def side_by_side(checkpoint: Path, runs: int) -> list[Row]:
    """Encoding and clicks, in this process."""
    import torch
    from reference import normalised, segment_anything, transformers_encoder

    rgb = photo()
    model = segment_anything(checkpoint)
    from segment_anything import SamPredictor

    predictor = SamPredictor(model)
    encoder = transformers_encoder(checkpoint)
    pixels = normalised(rgb).to(torch.bfloat16)
    ours = {precision: anymask.Segmenter("sam_vit_b", "cpu", precision, checkpoint) for precision in ("auto", "fp32")}

    def fused() -> Any:
        with torch.inference_mode():
            return encoder(pixels).last_hidden_state

    works: list[Callable[[], Any]] = [lambda: predictor.set_image(rgb), fused]
    works += [lambda segmenter=segmenter: segmenter.encode(rgb).embedding for segmenter in ours.values()]  # type: ignore[misc]
    reference, second, auto, fp32 = by_turns(works, max(2, runs // 3))

    same = predictor.features.numpy()
    exact = ours["fp32"].encode(rgb)
    others = {"fp32": exact.features[0], "auto": ours["auto"].encode(rgb).features[0], "transformers": fused().float()}
    for name, features in others.items():
        print(f"embedding, {name}: differs by {np.abs(np.asarray(features) - same).max() / same.std():.2g} deviations")

    image = ours["auto"].encode(rgb)
    rows = [
        Row("ViT-B encode, auto", auto, "segment_anything, fp32", reference),
        Row("the same", auto, "transformers, fused attention, bf16", second),
        Row("ViT-B encode, fp32", fp32, "segment_anything, fp32", reference),
    ]
    points, labels = np.array([CLICK]), np.ones(1, int)
    for several, name in ((True, "three masks"), (False, "one mask")):
        clicks: list[Callable[[], Any]] = [
            lambda: predictor.predict(points, labels, multimask_output=several),  # noqa: B023
            lambda: image.predict(points=points, multimask=several).array,  # noqa: B023
            lambda: exact.predict(points=points, multimask=several).array,  # noqa: B023
        ]
        theirs, fast, full = by_turns(clicks, 4 * runs)
        rows += [
            Row(f"click to {name} at full size, auto", fast, "segment_anything, fp32", theirs),
            Row(f"click to {name} at full size, fp32", full, "segment_anything, fp32", theirs),
        ]
        masks, _, _ = predictor.predict(points, labels, multimask_output=several)
        for name, found in (("fp32", exact), ("auto", image)):
            array = found.predict(points=points, multimask=several).array
            print(f"click, {name}: mask IoU {(array & masks).sum() / (array | masks).sum():.5f}")
    return rows


def threshold(checkpoint: Path) -> float:
    """The predicted IoU that a tenth of the candidates reach."""
    grid = (np.stack(np.meshgrid(np.arange(32), np.arange(32)), -1).reshape(-1, 2) + 0.5) / 32
    image = anymask.Segmenter("sam_vit_b", "cpu", "fp32", checkpoint).encode(photo())
    _, scores = image.predict_points((grid * (WIDTH, HEIGHT)).astype(np.float32))
    return float(np.quantile(scores, 0.9))


def everything(side: str, checkpoint: Path, level: float, points: int) -> dict[str, float]:
    """One side's automatic masks of the photo: seconds, number of masks, and the process's peak memory in MB."""
    options: dict[str, Any] = {**EVERYTHING, "pred_iou_thresh": level, "points_per_side": points}
    rgb = photo()
    if side == "reference":
        from reference import segment_anything  # with torch, which would count as the other side's memory

        model = segment_anything(checkpoint)
        from segment_anything import SamAutomaticMaskGenerator as Generator
    else:
        from anymask.compat.segment_anything import SamAutomaticMaskGenerator as Generator
        from anymask.compat.segment_anything import sam_model_registry

        model = sam_model_registry["vit_b"](checkpoint=str(checkpoint))
    generator = Generator(model, **options)
    start = time.perf_counter()
    records = generator.generate(rgb)
    seconds = time.perf_counter() - start
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
    return {"seconds": seconds, "masks": len(records), "peak": peak}


def everything_rows(checkpoint: Path, points: int) -> list[Row]:
    """Each side in a process of its own."""
    level = threshold(checkpoint)
    found = {}
    for side in ("reference", "anymask"):
        command = [sys.executable, __file__, "--side", side, "--checkpoint", str(checkpoint)]
        command += ["--level", repr(level), "--points", str(points)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[side] = json.loads(output.splitlines()[-1])
        print(f"everything, {side}: {found[side]}")
    ours, theirs = found["anymask"], found["reference"]
    name = f"everything, {points} x {points} points, encoding included"
    return [
        Row(name, 1000 * ours["seconds"], "segment_anything, fp32", 1000 * theirs["seconds"]),
        Row("its peak memory", ours["peak"], "segment_anything", theirs["peak"], "MB"),
    ]


START_REFERENCE = """
import sys
sys.path.insert(0, {here!r})
import reference
reference.import_segment_anything()
"""

START = """
from {module} import SamPredictor, sam_model_registry
import numpy as np
predictor = SamPredictor(sam_model_registry["vit_b"](checkpoint={checkpoint!r}))
predictor.set_image(np.load({picture!r}))
predictor.predict(np.array([[690, 430]]), np.array([1]))
"""


def start_row(checkpoint: Path, folder: Path) -> Row:
    """From the start of a process to its first mask; on our side with the graphs that an earlier run has made."""
    picture = folder / "photo.npy"
    np.save(picture, photo())
    seconds = {}
    for module in ("segment_anything", "anymask.compat.segment_anything"):
        code = START.format(module=module, checkpoint=str(checkpoint), picture=str(picture))
        if module == "segment_anything":
            code = START_REFERENCE.format(here=str(HERE)) + code
        times = []
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - start)
        seconds[module] = statistics.median(times)
    ours, theirs = seconds["anymask.compat.segment_anything"], seconds["segment_anything"]
    return Row("process start to first mask, graphs cached", 1000 * ours, "segment_anything, fp32", 1000 * theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="runs of each figure (slow ones: fewer)")
    parser.add_argument("--points", type=int, default=32, help="points a side for everything")
    parser.add_argument("--only", choices=("side", "everything", "start"), help="only these rows; writes nothing")
    parser.add_argument("--output", type=Path, default=HERE / "SAM.md")
    parser.add_argument("--side", choices=("reference", "anymask"), help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--level", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(everything(options.side, options.checkpoint, options.level, options.points)))
        return

    lines = [
        "# SAM ViT-B beside the reference code",
        "",
        "Made by `python benchmarks/sam.py`; medians, picture 1024 x 768, the same made-up weights on both sides.",
        "",
        machine("torch", "transformers"),
        "",
        "| what | anymask | reference | its figure | ratio |",
        "|---|---:|---|---:|---:|",
    ]
    from reference import seeded_checkpoint

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["ANYMASK_HOME"] = str(folder / "home")
        checkpoint = seeded_checkpoint(folder)
        rows: list[Row] = []
        if options.only in (None, "side"):
            rows += side_by_side(checkpoint, options.runs)
        if options.only in (None, "start"):
            rows.append(start_row(checkpoint, folder))
        if options.only in (None, "everything"):
            rows += everything_rows(checkpoint, options.points)
    lines += [str(row) for row in rows]
    print("\n".join(lines))
    if options.only is None:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
