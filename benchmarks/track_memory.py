"""How much memory a long clip takes to track: python benchmarks/track_memory.py (minutes; --help for other clips)

The frames of a folder, forward and back again, are written as a clip, which is then tracked from a click in a process
of its own, that reads it as any user does. What it occupies is read after a hundred frames and at the end, where it is
to be the same but for the answers that a session keeps (4,096 packed ones). Models of SAM 2 run with made-up weights.
Prints a table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np
from PIL import Image
from run import machine

import anymask

HERE = Path(__file__).parent
CLIP = HERE.parent.parent / "shared" / "data" / "eval" / "davis" / "blackswan"
EARLY = 100


def occupied(what: str) -> float:
    """VmRSS (now) or VmHWM (at most so far) of this process in MB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(what))


def write_clip(folder: Path, path: Path, frames: int, size: tuple[int, int]) -> None:
    """A clip of so many frames, width and height given, of the pictures in a folder."""
    pictures = sorted(folder.glob("*.jpg"))
    if len(pictures) < 2:
        raise SystemExit(f"{folder} has no JPEGs; name a folder of frames: --clip FOLDER")
    arrays = [np.asarray(Image.open(picture).convert("RGB").resize(size)) for picture in pictures]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height = size
        stream.pix_fmt, stream.bit_rate = "yuv420p", 8_000_000
        for rgb in islice(cycle(arrays + arrays[-2:0:-1]), frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())


def track(clip: str, model: str, weights: str | None, objects: int) -> dict[str, float]:
    """Memory in MB and frames a second of a clip that is tracked from clicks on its first frame."""
    session = anymask.Tracker(model, "cpu", weights=weights).open(clip)
    height, width = session.frame(0).shape[:2]
    for number in range(objects):
        session.prompt(0, number + 1, points=[((number + 0.5) * width / objects, height / 2)])
    early, frames, start = 0.0, 0, time.perf_counter()
    for index, masks in session.propagate():
        masks.array  # noqa: B018
        frames = index + 1
        if frames == EARLY:
            early = occupied("VmRSS")
    seconds = time.perf_counter() - start
    return {
        "frames": frames,
        "early": early,
        "end": occupied("VmRSS"),
        "peak": occupied("VmHWM"),
        "fps": frames / seconds,
    }


def main() -> None:
    """Write the clip, track it, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--size", type=int, nargs=2, default=(854, 480))
    parser.add_argument("--objects", type=int, default=1)
    parser.add_argument("--clip", type=Path, default=CLIP, help="a folder of JPEGs")
    parser.add_argument("--track", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.track:
        clip, weights = options.track
        print(json.dumps(track(clip, options.model, weights or None, options.objects)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clip = folder / "clip.mp4"
        write_clip(options.clip, clip, options.frames, tuple(options.size))
        weights = ""
        if options.model != "pocket":
            from reference import seeded_checkpoint

            weights = str(seeded_checkpoint(folder, options.model))
        command = [sys.executable, __file__, "--model", options.model, "--objects", str(options.objects)]
        command += ["--track", str(clip), weights]
        if weights:  # the graphs are made in a process of their own, whose memory is not looked at
            write_clip(options.clip, folder / "short.mp4", 2, tuple(options.size))
            subprocess.run([*command[:-2], str(folder / "short.mp4"), weights], check=True, capture_output=True)
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ)).stdout
    found = json.loads(output.splitlines()[-1])
    width, height = options.size
    print(machine("av"))
    print()
    print("| model | clip | objects | after 100 frames | at the end | peak | frames a second |")
    print("|---|---|---:|---:|---:|---:|---:|")
    memory = " | ".join(f"{found[name]:.0f} MB" for name in ("early", "end", "peak"))
    clip_name = f"{found['frames']:.0f} frames, {width} x {height}"
    print(f"| {options.model} | {clip_name} | {options.objects} | {memory} | {found['fps']:.2f} |")


if __name__ == "__main__":
    main()
