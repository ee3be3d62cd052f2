"""Where trackers drift, on made-up clips whose truth is known: an object that a bar hides for longer than a blink, two
that look alike and cross, eight at once, and a long clip with all of that; with `robust` and without.

    python benchmarks/hard_clips.py PICTURES --seed 2 --clips 6

PICTURES is a folder of pictures with masks in SA-1B's layout, searched with its subfolders. Seeds 0, 1 and 10 were
looked at while `robust` was made; take others to measure.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from moving_clips import laid, thing_of
from run import machine

from anymask.evaluation.davis import boundary_accuracy, region_similarity
from anymask.images import read_image
from anymask.tracker import Tracker

WIDTH, HEIGHT = 512, 304
NOISE = 2.0  # grey levels, of every pixel
DOUBLE = 100  # a label from this on is of something that nobody follows

Place = Callable[[int], tuple[float, float]]


class Mover(NamedTuple):
    """Something of a clip: RGBA, its longer side in pixels, where it is on each frame, how it turns (degrees a frame)
    and grows, and its label, 0 for what only hides. Later ones lie before earlier ones."""

    thing: np.ndarray
    size: float
    place: Place
    turn: float = 0.0
    grow: float = 1.0
    label: int = 0


class Frame(NamedTuple):
    """uint8 `[H, W, 3]`, and the visible objects' labels uint8 `[H, W]`."""

    rgb: np.ndarray
    labels: np.ndarray


class Found(NamedTuple):
    """Of one object in one clip: J and F of each frame but the first, whether it is to be seen there, whether it had
    been hidden before, and whether its mask lies on another object more than on itself."""

    j: np.ndarray
    f: np.ndarray
    seen: np.ndarray
    after: np.ndarray
    swapped: np.ndarray


def main() -> None:
    """Follow everything, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--clips", type=int, default=6, help="of each kind")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--only", choices=SCENES, action="append")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--write", type=Path, help="write the frames with what was found drawn in to this folder")
    options = parser.parse_args()
    pictures = Pictures(options.pictures, np.random.default_rng(options.seed))
    trackers = {"default": Tracker(options.model), "robust": Tracker(options.model, robust=True)}
    print(f"{machine()}\n")
    print("| clips | tracker | J&F | J | J after hiding | ghosts | on another | frames a second |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for name in options.only or SCENES:
        clips = [SCENES[name](pictures) for _ in range(options.clips)]
        for way, tracker in trackers.items():
            found: list[Found] = []
            frames, begun = 0, time.perf_counter()
            for number, clip in enumerate(clips):
                folder = options.write / f"{name}-{number}-{way}" if options.write else None
                found += followed(tracker, clip, folder)
                frames += len(clip) - 1
            print(row(name, way, found, frames / (time.perf_counter() - begun)), flush=True)


def row(name: str, way: str, found: list[Found], fps: float) -> str:
    """A line of the table. J&F and J: over all frames, where what is hidden is to have no mask; J after hiding: on
    frames where it is to be seen again; ghosts: share of the frames without the object on which a mask was found; on
    another: share of the frames with the object on which its mask is another's."""

    def over(frames: Callable[[Found], np.ndarray], what: Callable[[Found], np.ndarray]) -> str:
        values = [what(one)[frames(one)] for one in found]
        joined = np.concatenate(values)
        return f"{joined.mean():.3f}" if len(joined) else ""

    both = np.mean([(one.j.mean() + one.f.mean()) / 2 for one in found])
    j = np.mean([one.j.mean() for one in found])
    columns = (
        over(lambda one: one.seen & one.after, lambda one: one.j),
        over(lambda one: ~one.seen, lambda one: (one.j == 0).astype(float)),
        over(lambda one: one.seen, lambda one: one.swapped.astype(float)),
    )
    return f"| {name} | {way} | {both:.3f} | {j:.3f} | {' | '.join(columns)} | {fps:.1f} |"


def followed(tracker: Tracker, clip: list[Frame], folder: Path | None = None) -> list[Found]:
    """All objects of the first frame, followed together from their masks."""
    ids = [int(value) for value in np.unique(clip[0].labels) if 0 < value < DOUBLE]
    masks: dict[int, list[np.ndarray]] = defaultdict(list)
    with tracker.open([frame.rgb for frame in clip]) as session:
        for value in ids:
            session.prompt(0, value, mask=clip[0].labels == value)
        for index, found in session.propagate():
            for value, mask in zip(found.extra["object_id"], found.array, strict=True):
                masks[int(value)].append(mask)
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                found.overlay(clip[index].rgb).save(folder / f"{index:03d}.png")
    return [_found(value, masks[value], clip) for value in ids]


def _found(value: int, masks: list[np.ndarray], clip: list[Frame]) -> Found:
    truths = [frame.labels == value for frame in clip]
    pairs = list(zip(masks, truths, strict=True))[1:]
    seen = np.array([bool(truth.any()) for truth in truths])
    hidden = np.cumsum(~seen) > 0
    on = [np.bincount(frame.labels[mask], minlength=256) for mask, frame in zip(masks, clip, strict=True)]
    swapped = np.array([one[1:].max(initial=0) > one[value] for one in on])
    return Found(
        np.array([region_similarity(*pair) for pair in pairs]),
        np.array([boundary_accuracy(*pair) for pair in pairs]),
        seen[1:],
        hidden[1:],
        swapped[1:],
    )


class Pictures:
    """Things and grounds out of labelled pictures, by chance."""

    def __init__(self, folder: Path, random: np.random.Generator) -> None:
        self.records = sorted(folder.rglob("*.json"))
        self.random = random

    def things(self, count: int) -> Iterator[np.ndarray]:
        """So many objects out of different pictures, RGBA."""
        while count:
            path = self.records[int(self.random.integers(len(self.records)))]
            found = thing_of(path, self.random)
            if found is not None and min(found.shape[:2]) > 0.4 * max(found.shape[:2]):
                count -= 1
                yield found

    def ground(self, frames: int) -> list[np.ndarray]:
        """A picture that pans slowly: float32 `[H, W, 3]` for each frame."""
        path = self.records[int(self.random.integers(len(self.records)))].with_suffix(".jpg")
        rgb = read_image(path)
        zoom = 1.3 * max(WIDTH / rgb.shape[1], HEIGHT / rgb.shape[0])
        way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
        rgb = cv2.resize(rgb, None, fx=zoom, fy=zoom, interpolation=way)
        room = (np.array(rgb.shape[1::-1]) - (WIDTH, HEIGHT)) / 2
        sway = self.random.uniform(0, 2 * np.pi, 2)
        made = []
        for t in range(frames):
            x, y = np.array(rgb.shape[1::-1]) / 2 + 0.6 * room * np.sin(0.02 * t + sway) - 0.5
            made.append(cv2.getRectSubPix(rgb, (WIDTH, HEIGHT), (float(x), float(y))).astype(np.float32))
        return made

    def bar(self, width: float) -> np.ndarray:
        """An upright bar, RGBA, with the texture of some picture; twice as high as wide enough for the frame."""
        path = self.records[int(self.random.integers(len(self.records)))].with_suffix(".jpg")
        rgb = cv2.resize(read_image(path), (round(width), 2 * HEIGHT), interpolation=cv2.INTER_AREA)
        soft = cv2.GaussianBlur(rgb, (0, 0), 2)
        return np.dstack([soft, np.full(soft.shape[:2], 255, np.uint8)])


def shot(ground: list[np.ndarray], movers: list[Mover], random: np.random.Generator) -> list[Frame]:
    """A clip of movers over a ground."""
    made = []
    for t, below in enumerate(ground):
        rgb, labels = below.copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
        for one in movers:
            place = np.array(one.place(t))
            colour, alpha = laid(one.thing, place, one.size * one.grow**t, one.turn * t, 0.0, (WIDTH, HEIGHT))
            rgb += (colour - rgb) * alpha[..., None]
            labels[alpha > 0.5] = one.label
        rgb += random.normal(0, NOISE, rgb.shape)
        made.append(Frame(np.clip(rgb, 0, 255).astype(np.uint8), labels))
    return made


def _extent(thing: np.ndarray, size: float) -> float:
    """A thing's width at that size."""
    return float(size * thing.shape[1] / max(thing.shape[:2]))


def hidden(pictures: Pictures) -> list[Frame]:
    """An object goes behind a bar and is not to be seen for 10 to 20 frames; on every third clip it turns back there
    and comes out where it went in."""
    random = pictures.random
    (thing,) = pictures.things(1)
    size, speed, away = random.uniform(75, 120), random.uniform(5, 8), random.integers(10, 21)
    wide, back = _extent(thing, size) * 1.1, random.random() < 1 / 3
    bar = wide + speed * away
    middle, height = WIDTH / 2, random.uniform(0.4, 0.6) * HEIGHT
    begin = middle - bar / 2 - wide / 2 - 6 * speed
    wobble = random.uniform(0, 2 * np.pi)
    turning = round((middle - begin) / speed)
    count = 2 * turning if back else round((2 * (middle - begin) + 2 * speed) / speed)

    def place(t: int) -> tuple[float, float]:
        travelled = begin + speed * (t if not back or t < turning else 2 * turning - t)
        return travelled, height + 8 * np.sin(0.3 * t + wobble)

    movers = [
        Mover(thing, size, place, random.uniform(-0.6, 0.6), random.uniform(0.997, 1.003), 1),
        Mover(pictures.bar(bar), 2 * HEIGHT, lambda t: (middle, HEIGHT / 2)),
    ]
    return shot(pictures.ground(count), movers, random)


def alike(pictures: Pictures) -> list[Frame]:
    """Two objects that look the same cross, one before the other."""
    random = pictures.random
    (thing,) = pictures.things(1)
    size, speed = random.uniform(80, 120), random.uniform(7, 10)
    count, middle = 40, HEIGHT / 2 + random.uniform(-24, 24)
    apart, wobble = random.uniform(-0.3, 0.3) * size, random.uniform(0, 2 * np.pi, 2)
    start = WIDTH / 2 - speed * count / 2

    def right(t: int) -> tuple[float, float]:
        return start + speed * t, middle - apart / 2 + 6 * np.sin(0.25 * t + wobble[0])

    def left(t: int) -> tuple[float, float]:
        return WIDTH - start - speed * t, middle + apart / 2 + 6 * np.sin(0.25 * t + wobble[1])

    movers = [Mover(thing, size, right, 0.3, label=1), Mover(thing, size, left, -0.3, label=2)]
    return shot(pictures.ground(count), movers, random)


def many(pictures: Pictures) -> list[Frame]:
    """Eight objects, close to each other, that sway and now and then cover each other."""
    random, count = pictures.random, 30
    movers = []
    for number, thing in enumerate(pictures.things(8)):
        column, line = number % 4, number // 4
        centre = np.array([(column + 0.5) * WIDTH / 4, (line + 0.5) * HEIGHT / 2]) + random.uniform(-12, 12, 2)
        sway, phase, reach = random.uniform(0.1, 0.2, 2), random.uniform(0, 2 * np.pi, 2), random.uniform(24, 48, 2)

        def place(
            t: int,
            centre: np.ndarray = centre,
            sway: np.ndarray = sway,
            phase: np.ndarray = phase,
            reach: np.ndarray = reach,
        ) -> tuple[float, float]:
            x, y = centre + reach * (np.sin(sway * t + phase) - np.sin(phase))
            return float(x), float(y)

        movers.append(Mover(thing, random.uniform(85, 115), place, random.uniform(-0.5, 0.5), 1.0, number + 1))
    return shot(pictures.ground(count), movers, random)


def lengthy(pictures: Pictures) -> list[Frame]:
    """160 frames: an object wanders and turns; a bar passes before it twice, and its double stands in a corner."""
    random, count = pictures.random, 160
    (thing,) = pictures.things(1)
    size, phase = random.uniform(75, 100), random.uniform(0, 2 * np.pi, 2)
    wide = _extent(thing, size)
    corner = np.array([WIDTH * 0.12, HEIGHT * 0.2 if random.random() < 0.5 else HEIGHT * 0.8])

    def place(t: int) -> tuple[float, float]:
        x = WIDTH * 0.6 + 96 * np.sin(0.05 * t + phase[0])
        return x, HEIGHT / 2 + 64 * np.sin(0.07 * t + phase[1])

    away = random.integers(10, 21)
    bar, speed = wide * 1.2 + 13 * away, 13.0

    def passing(first: int) -> Place:
        reach = WIDTH / 2 + bar / 2
        return lambda t: (WIDTH / 2 + np.clip(speed * (t - first), -reach, reach), HEIGHT / 2)

    movers = [
        Mover(thing, size * 0.9, lambda t: (corner[0], corner[1]), label=DOUBLE),
        Mover(thing, size, place, random.uniform(-0.5, 0.5), random.uniform(0.999, 1.001), 1),
        Mover(pictures.bar(bar), 2 * HEIGHT, passing(50)),
        Mover(pictures.bar(bar), 2 * HEIGHT, passing(120)),
    ]
    return shot(pictures.ground(count), movers, random)


SCENES = {"behind a bar": hidden, "look-alikes cross": alike, "eight objects": many, "long": lengthy}


if __name__ == "__main__":
    main()
