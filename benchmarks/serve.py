"""`anymask serve` under load, and beside rembg's server: python benchmarks/serve.py (about 6 minutes).

First 32 clients, good and bad ones, for a minute (load.py). Then /api/remove alone against `rembg s` and ours in turn,
the same picture and the same ONNX file with made-up weights; this needs `pip install "rembg[cpu,cli]==2.0.86"` in an
environment of its own (--rembg), and is left out without it. Loopback only. Prints tables, writes benchmarks/SERVE.md.
"""

import argparse
import asyncio
import io
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
import numpy as np
from load import Load, Process, mixture, one_answer, percentiles, serving
from PIL import Image
from run import HEIGHT, WIDTH, machine

HERE = Path(__file__).parent
BUS = HERE.parent / "assets" / "bus.jpg"
PORT, THEIR_PORT = 7123, 7124
MEMORY, WAITING = 256, 8  # MB of caches; requests that wait: few, so that clients are turned away as well
TOO_LARGE = 66 << 20  # bytes; the server takes 64 MB
MODEL = "u2netp"
CLIENTS = (1, 4, 32)
FIGURES = {"rate": "answers a second", "median": "ms, p50", "late": "ms, p95", "peak": "MB, the most so far"}


@dataclass(frozen=True)
class Pace:
    """What one server did for so many clients: answers a second, latencies in ms, the most memory so far in MB."""

    rate: float
    median: float
    late: float
    peak: float


def load_lines(clients: int, seconds: float, home: Path) -> list[str]:
    """The load, as lines of a document. Raises RuntimeError when the server answers otherwise after it."""
    options = (
        "--no-projects",
        "--log",
        "json",
        "--memory",
        str(MEMORY),
        "--waiting",
        str(WAITING),
        "--model",
        "pocket",
    )
    with serving(PORT, *options, environment={"ANYMASK_HOME": str(home)}) as server:
        before = asyncio.run(one_answer(server.base))
        rest = server.memory("VmRSS")
        server.samples.clear()
        result = asyncio.run(mixture(server.base, clients, seconds, TOO_LARGE))
        samples = [megabytes for _, megabytes in server.samples]
        after = asyncio.run(one_answer(server.base))
        peak = server.memory("VmHWM")
        server.stop()
        faults = server.written.count('"level": "error"')
    if before != after:
        raise RuntimeError("after the load the server answers otherwise than before")
    return [*_kinds(result), "", *_verdict(result, faults, rest, samples, peak)]


def _kinds(result: Load) -> list[str]:
    head = ["| requests | answers | asked again after Retry-After | lost | p50 ms | p95 ms | p99 ms |"]
    return [
        *head,
        "|---|---|---|---:|---:|---:|---:|",
        *(kind.row(name) for name, kind in sorted(result.kinds.items())),
    ]


def _verdict(result: Load, faults: int, rest: float, samples: list[float], peak: float) -> list[str]:
    quarters = [statistics.fmean(part) for part in np.array_split(np.array(samples), 4)]
    means = ", ".join(f"{mean:.0f}" for mean in quarters)
    lost = [f"* lost: {line}" for line in result.lost[:20]]
    return [
        f"Lost: {len(result.lost)}. Faults in the server's log: {faults}. The same click and the same cut-out give the "
        "same answers, byte for byte, before and after.",
        *lost,
        "",
        f"Memory: {rest:.0f} MB with the model loaded, {means} MB on average in each quarter of the time, "
        f"{peak:.0f} MB at most; {MEMORY} MB of that may be kept pictures and embeddings.",
    ]


# -- Beside rembg --------------------------------------------------------------------------------------------------


def photo() -> bytes:
    """The picture of the other benchmarks as a JPEG file."""
    buffer = io.BytesIO()
    with Image.open(BUS) as image:
        image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@contextmanager
def their_server(rembg: Path, home: Path) -> Iterator[Process]:
    """`rembg s` without its page."""
    command = [str(rembg), "s", "--no-ui", "--host", "127.0.0.1", "--port", str(THEIR_PORT), "--log_level", "warning"]
    environment = {"REMBG_HOME": str(home), "MODEL_CHECKSUM_DISABLED": "1", "BROWSER": "true"}
    server = Process(command, f"http://127.0.0.1:{THEIR_PORT}", "/openapi.json", environment)
    try:
        yield server
    finally:
        server.stop()


async def cut(base: str, picture: bytes, clients: int, seconds: float) -> tuple[float, list[float]]:
    """Clients that send the picture again and again; answers a second, and the milliseconds of each.

    Raises RuntimeError for any answer but a PNG.
    """
    times: list[float] = []
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=base, limits=limits, timeout=120, trust_env=False) as http:

        async def one() -> None:
            start = time.perf_counter()
            answer = await http.post("/api/remove", files={"file": ("a.jpg", picture)}, data={"model": MODEL})
            if not answer.content.startswith(b"\x89PNG"):
                raise RuntimeError(f"{base} answered {answer.status_code} {answer.text[:200]}")
            times.append(1000 * (time.perf_counter() - start))

        async def client() -> None:
            while time.perf_counter() < end:
                await one()

        for _ in range(2):
            await one()
        times.clear()
        start = time.perf_counter()
        end = start + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
        return len(times) / (time.perf_counter() - start), times


def pace(server: Process, picture: bytes, clients: int, seconds: float) -> Pace:
    """What one server does for so many clients."""
    rate, times = asyncio.run(cut(server.base, picture, clients, seconds))
    median, late, _ = percentiles(times)
    return Pace(rate, median, late, server.memory("VmHWM"))


def difference(ours: bytes, theirs: bytes) -> str:
    """How far two cut-outs are apart."""
    pixels = [np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).astype(int) for png in (ours, theirs)]
    apart = np.abs(pixels[0] - pixels[1])[..., 3]
    return f"alpha differs by {apart.mean():.2f} of 255 on average, {apart.max()} at most"


def removed(base: str, picture: bytes) -> bytes:
    """One cut-out."""
    files, data = {"file": ("a.jpg", picture)}, {"model": MODEL}
    return httpx.post(f"{base}/api/remove", files=files, data=data, timeout=120, trust_env=False).content


def beside_lines(rembg: Path, folder: Path, seconds: float, rounds: int) -> list[str]:
    """Both servers, as lines of a document. They take turns, each started anew."""
    from onnx_models import onnx_file

    network = onnx_file(folder, MODEL)
    place = folder / "rembg" / "models" / MODEL
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(network, place / f"{MODEL}.onnx")
    picture = photo()
    options = ("--no-projects", "--log-level", "warning", "--model", f"{MODEL}={network}")
    home = {"ANYMASK_HOME": str(folder / "home")}
    both: dict[str, Callable[[], AbstractContextManager[Process]]] = {
        "rembg": lambda: their_server(rembg, folder / "rembg"),
        "anymask": lambda: serving(PORT, *options, environment=home),
    }
    found: dict[tuple[str, int], list[Pace]] = {}
    results = {}
    for _ in range(rounds):
        for name, start in both.items():
            with start() as server:
                results[name] = removed(server.base, picture)
                for clients in CLIENTS:
                    found.setdefault((name, clients), []).append(pace(server, picture, clients, seconds))
    lines = ["| clients | figure | anymask | rembg's server | ratio |", "|---:|---|---:|---:|---:|"]
    for clients in CLIENTS:
        for figure, unit in FIGURES.items():
            ours, theirs = (
                statistics.median(getattr(one, figure) for one in found[name, clients]) for name in ("anymask", "rembg")
            )
            lines.append(f"| {clients} | {unit} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2g} |")
    return [*lines, "", f"Their results: {difference(results['anymask'], results['rembg'])}."]


def version_of(rembg: Path) -> str:
    """rembg's and its ONNX Runtime's, as its own Python knows them."""
    code = "from importlib.metadata import version as v; print('rembg', v('rembg') + ', onnxruntime', v('onnxruntime'))"
    found = subprocess.run([str(rembg.with_name("python")), "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def load_section(options: argparse.Namespace, folder: Path) -> list[str]:
    """What many clients at once do to the server."""
    return [
        machine("fastapi", "uvicorn"),
        "",
        f"{options.clients} clients for {options.seconds:g} seconds. Each does one thing after another: send a picture "
        "and click into it, move over it (WebSocket, twenty places a second, of which the newest are answered), "
        "cut-outs, rembg's /api/remove, and what no server should be sent. At most "
        f"{WAITING} requests wait for each kind of work; the others are turned away for a while.",
        "",
        *load_lines(options.clients, options.seconds, folder / "home"),
    ]


def beside_section(options: argparse.Namespace, folder: Path) -> list[str]:
    """The same requests to two servers."""
    if not options.rembg.exists():
        return [f"Left out: there is no program {options.rembg.name} where --rembg says; see the script's first lines."]
    kept = options.keep or folder
    kept.mkdir(parents=True, exist_ok=True)
    return [
        machine("fastapi", "uvicorn"),
        "",
        f"{version_of(options.rembg)}; {MODEL}, the same ONNX file with made-up weights on both sides, picture "
        f"{WIDTH} x {HEIGHT}, {options.beside:g} seconds each, medians of {options.rounds} turns. A ratio is ours over "
        "theirs. Both answer with PNG files; theirs is packed harder and slower.",
        "",
        *beside_lines(options.rembg, kept, options.beside, options.rounds),
    ]


SECTIONS = {"load": ("Many clients", load_section), "beside": ("/api/remove beside rembg's server", beside_section)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="of the load")
    parser.add_argument("--clients", type=int, default=32, help="of the load")
    parser.add_argument("--rembg", type=Path, default=Path(sys.executable).with_name("rembg"), help="the program rembg")
    parser.add_argument("--beside", type=float, default=10, help="seconds for each server and number of clients")
    parser.add_argument("--rounds", type=int, default=3, help="turns of the two servers")
    parser.add_argument("--keep", type=Path, help="a folder for the ONNX file, so that it is made once")
    parser.add_argument("--only", choices=tuple(SECTIONS), help="only this section; the other stays as it is")
    parser.add_argument("--output", type=Path, default=HERE / "SERVE.md")
    options = parser.parse_args()
    before = options.output.read_text(encoding="utf-8") if options.output.exists() else ""
    kept = dict(part.split("\n", 1) for part in before.split("\n## ")[1:])
    lines = [
        "# The server under load",
        "",
        "Made by `python benchmarks/serve.py`; clients and servers share the machine.",
    ]
    with tempfile.TemporaryDirectory() as temporary:
        for name, (title, section) in SECTIONS.items():
            if options.only in (None, name):
                lines += ["", f"## {title}", "", *section(options, Path(temporary))]
            elif title in kept:
                lines += ["", f"## {title}", kept[title].rstrip("\n")]
    print("\n".join(lines))
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
