"""Flicker of mattes with and without smoothing: python benchmarks/flicker.py (about 2 minutes).

A cut-out whose alpha is known moves, turns and grows over a moving background out of focus, with a sensor's noise. The
mattes come from pocket, and from a stand-in for a good network: the known alpha, its edge displaced anew in each frame
and holes that open for one frame or for three. Beside our smoothing stands the one-frame delay of MODNet's paper. Where
DAVIS is (../shared/data/eval/davis: folders of NNNNN.jpg and NNNNN.png), pocket's mattes of real clips are held against
its masks, which are hard. Writes benchmarks/VIDEO.md, with how fast clips are cut out.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from run import machine

from anymask.background import BackgroundRemover
from anymask.foreground import estimate_foreground
from anymask.images import read_image
from anymask.video import cut_out_video
from anymask.video.reading import Frame, Reader
from anymask.video.smoothing import steadied
from anymask.video.writing import open_writer

HERE = Path(__file__).parent
ASSETS = HERE.parent / "assets"
DAVIS = HERE.parents[1] / "shared" / "data" / "eval" / "davis"
HEIGHT, WIDTH, FRAMES = 360, 640, 60
PAIRS = ("bus", "flowers"), ("flowers", "street"), ("bus", "street"), ("flowers", "bus")
SPEEDS = {"slow": 0.5, "brisk": 1.0, "fast": 2.5}

Mattes = list[np.ndarray]


class Clip(NamedTuple):
    """Frames uint8 [H, W, 3], and the alpha of each, float32 [H, W]."""

    kind: str
    frames: list[np.ndarray]
    alphas: Mattes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "VIDEO.md")
    options = parser.parse_args()
    remover = BackgroundRemover()
    lines = [
        "# Clips",
        "",
        f"Made by `python benchmarks/flicker.py`; {WIDTH} x {HEIGHT} pixels.",
        "",
        machine("av"),
        "",
        "## Flicker",
        "",
        "Temporal error: mean of |change of alpha from frame to frame - true change|, in thousandths. dtSSD: root of "
        "its mean square, in hundredths. SAD: sum of |alpha - true alpha| of a frame, in thousands.",
        "",
        "| clips | mattes | smoothing | temporal error | dtSSD | SAD | ms a frame |",
        "|---|---|---|---:|---:|---:|---:|",
        *flicker_rows(remover),
        "",
        "## Speed",
        "",
        *speed_rows(remover),
    ]
    print("\n".join(lines))
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


# -- flicker ----------------------------------------------------------------------------------------------------------


def flicker_rows(remover: BackgroundRemover) -> Iterator[str]:
    found: dict[tuple[str, str, str], list[list[float]]] = {}
    for number, clip in enumerate(clips(remover)):
        makers: dict[str, Callable[[], Mattes]] = {
            "pocket": lambda: [remover.matte(frame) for frame in clip.frames]  # noqa: B023
        }
        if not clip.kind.startswith("DAVIS"):
            makers["stand-in"] = lambda: stand_in(clip.alphas, number)  # noqa: B023
        for maker, make in makers.items():
            mattes = make()
            for name, smooth in (("none", lambda _, m: m), ("one-frame delay", one_frame_delay), ("ours", ours)):
                start = time.perf_counter()
                smoothed = smooth(clip.frames, mattes)
                spent = 1000 * (time.perf_counter() - start) / len(mattes)
                figures = [*errors(smoothed, clip.alphas), spent]
                found.setdefault((clip.kind, maker, name), []).append(figures)
    for (kind, maker, name), all_figures in sorted(found.items(), key=lambda item: (item[0][1], item[0][0])):
        temporal, dtssd, sad, spent = np.mean(all_figures, axis=0)
        last = f"{spent:.1f}" if name != "none" else ""
        yield f"| {kind} | {maker} | {name} | {temporal:.2f} | {dtssd:.2f} | {sad:.2f} | {last} |"


def errors(mattes: Mattes, alphas: Mattes) -> tuple[float, float, float]:
    found, true = np.stack(mattes), np.stack(alphas)
    wrong = np.diff(found, axis=0) - np.diff(true, axis=0)
    dtssd = np.sqrt((wrong**2).mean(axis=(1, 2))).mean()
    return (
        1e3 * float(np.abs(wrong).mean()),
        1e2 * float(dtssd),
        float(np.abs(found - true).sum(axis=(1, 2)).mean()) / 1e3,
    )


def ours(frames: Sequence[np.ndarray], mattes: Mattes) -> Mattes:
    matted = ((Frame(frame, 0, []), alpha) for frame, alpha in zip(frames, mattes, strict=True))
    return [alpha for _, alpha in steadied(matted)]


def one_frame_delay(frames: Sequence[np.ndarray], mattes: Mattes, agree: float = 0.1) -> Mattes:
    """As in MODNet's paper: the mean of two neighbours that agree replaces what differs from both."""
    result = list(mattes)
    for index, (before, alpha, after) in enumerate(zip(mattes, mattes[1:], mattes[2:], strict=False), 1):
        lonely = cv2.absdiff(before, after) <= agree
        lonely &= (cv2.absdiff(alpha, before) > agree) & (cv2.absdiff(alpha, after) > agree)
        result[index] = np.where(lonely, (before + after) / 2, alpha)
    return result


def clips(remover: BackgroundRemover) -> Iterator[Clip]:
    for kind, speed in SPEEDS.items():
        for number, (subject, behind) in enumerate(PAIRS):
            yield moving(remover, f"composites, {kind}", subject, behind, speed, number)
    for folder in sorted(DAVIS.iterdir()) if DAVIS.is_dir() else []:
        pictures = sorted(folder.glob("*.jpg"))
        masks = (read_image(path.with_suffix(".png")).max(axis=2) > 0 for path in pictures)
        yield Clip(
            "DAVIS", [small(read_image(path)) for path in pictures], [small(mask.astype(np.float32)) for mask in masks]
        )


def moving(remover: BackgroundRemover, kind: str, subject: str, behind: str, speed: float, seed: int) -> Clip:
    """At speed 1 the subject moves by 4 pixels a frame on average, by 9 at most; the background by half as much."""
    rng = np.random.default_rng(seed)
    rgb = read_image(ASSETS / f"{subject}.jpg")
    matte = remover.matte(rgb)
    colours = estimate_foreground(rgb, matte).astype(np.float32) * matte[..., None]
    rows, columns = (np.flatnonzero((matte > 0.05).any(axis=axis)) for axis in (1, 0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    layer = np.dstack((colours[part], matte[part]))
    size = min(0.75 * HEIGHT / layer.shape[0], 0.7 * WIDTH / layer.shape[1])
    far = cv2.resize(read_image(ASSETS / f"{behind}.jpg"), None, fx=1.6, fy=1.6, interpolation=cv2.INTER_CUBIC)
    far = cv2.GaussianBlur(far, (0, 0), 12).astype(np.float32)
    frames, alphas = [], []
    for index in range(FRAMES):
        phase = 2 * np.pi * speed * index / FRAMES
        middle = layer.shape[1] / 2, layer.shape[0] / 2
        turn = cv2.getRotationMatrix2D(middle, 8 * np.sin(1.3 * phase), size * (1 + 0.15 * np.sin(phase)))
        place = np.asarray(turn, np.float64)
        place[:, 2] += (
            WIDTH * (0.5 + 0.08 * np.sin(1.7 * phase)) - middle[0],
            HEIGHT * (0.5 + 0.08 * np.sin(2.3 * phase)) - middle[1],
        )
        near = cv2.warpAffine(layer, place, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
        x = (far.shape[1] - WIDTH) * (0.5 + 0.2 * np.sin(0.7 * phase))
        y = (far.shape[0] - HEIGHT) * (0.5 + 0.2 * np.cos(0.9 * phase))
        view = cv2.getRectSubPix(far, (WIDTH, HEIGHT), (x + WIDTH / 2, y + HEIGHT / 2))
        exact = near[..., :3] + (1 - near[..., 3:]) * view + rng.normal(0, 4, view.shape)
        frames.append(np.clip(exact + 0.5, 0, 255).astype(np.uint8))
        alphas.append(near[..., 3])
    return Clip(kind, frames, alphas)


def stand_in(alphas: Mattes, seed: int) -> Mattes:
    """What a good network that flickers would find."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    holes: list[tuple[tuple[int, int], int, int]] = []
    result = []
    for alpha in alphas:
        shift = [
            cv2.resize(rng.normal(0, 1, (13, 22)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            for _ in "xy"
        ]
        found = cv2.remap(alpha, x + shift[0], y + shift[1], cv2.INTER_LINEAR)
        holes = [(place, radius, left - 1) for place, radius, left in holes if left > 1]
        if rng.random() < 0.3:
            place = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
            holes.append((place, int(rng.integers(20, 60)), 1 if rng.random() < 0.7 else 3))
        whole = np.ones_like(alpha)
        for place, radius, _ in holes:
            cv2.circle(whole, place, radius, 0.0, -1)
        result.append(found * cv2.GaussianBlur(whole, (0, 0), 3))
    return result


def small(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


# -- speed ------------------------------------------------------------------------------------------------------------


def speed_rows(remover: BackgroundRemover) -> Iterator[str]:
    """Whole clips, and what each step takes by itself."""
    frames = moving(remover, "", "flowers", "street", 0.5, 0).frames * 3
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = written(folder / "clip.mp4", frames)
        cut_out_video(source, folder / "warm.webm", remover, limit=10)
        steps = {
            "reading": lambda: list(Reader(source)),
            "network": lambda: [remover.engine.mattes(frame) for frame in frames] if remover.engine else None,
            "network and refinement": lambda: [remover.matte(frame) for frame in frames],
        }
        spent = {name: 1000 * seconds(step) / len(frames) for name, step in steps.items()}
        mattes = [remover.matte(frame) for frame in frames]
        spent["smoothing"] = 1000 * seconds(lambda: ours(frames, mattes)) / len(frames)
        pairs = list(zip(frames, mattes, strict=True))
        spent["foreground colours"] = (
            1000 * seconds(lambda: [estimate_foreground(frame, alpha) for frame, alpha in pairs]) / len(frames)
        )
        layers = [np.dstack((frame, np.uint8(255 * alpha))) for frame, alpha in pairs]
        for suffix in (".webm", ".mov", ".webp", ""):
            spent[f"writing {suffix or 'PNGs'}, transparent"] = (
                1000 * seconds(lambda: rewritten(source, folder / f"out{suffix}", layers)) / len(frames)  # noqa: B023
            )
        spent["writing .mp4"] = 1000 * seconds(lambda: rewritten(source, folder / "out.mp4", frames)) / len(frames)
        yield f"pocket, {len(frames)} frames. Each step by itself:"
        yield ""
        yield "| step | ms a frame |"
        yield "|---|---:|"
        yield from (f"| {name} | {value:.1f} |" for name, value in spent.items())
        yield ""
        yield "All of them, overlapped:"
        yield ""
        yield "| what | frames a second |"
        yield "|---|---:|"
        for name, more in (("x.webm", {}), ("x.mov", {}), ("x.mp4", {"background": "#00ff00"}), ("x", {})):
            rate = max(cut_out_video(source, folder / f"{turn}{name}", remover, **more).fps for turn in range(2))  # type: ignore[arg-type]
            yield f"| {Path(name).suffix or 'folder of PNGs'}{', green' if more else ', transparent'} | {rate:.1f} |"
        rate = max(cut_out_video(source, folder / f"{turn}n.webm", remover, smooth=False).fps for turn in range(2))
        yield f"| .webm, transparent, without smoothing | {rate:.1f} |"
        plain = {"smooth": False, "foreground": False, "refine": False}
        rate = max(cut_out_video(source, folder / f"{turn}p.webm", remover, **plain).fps for turn in range(2))  # type: ignore[arg-type]
        yield f"| .webm, transparent, the network's matte enlarged, nothing else | {rate:.1f} |"


def seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def rewritten(source: Path, target: Path, frames: Sequence[np.ndarray]) -> None:
    reader = Reader(source)
    writer = open_writer(target, frames[0], reader)
    for index, frame in enumerate(frames):
        writer.write(frame, round(index / (reader.rate * reader.time_base)))
    writer.close()
    reader.close()


def written(path: Path, frames: Sequence[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
