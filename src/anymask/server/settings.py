"""What a server is told at its start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What a server may do, for whom, and how much of the machine it may take.

    Attributes:
        models: names of the models that requests may choose among; the first that can do a task is that task's default.
        weights: files to open some of them from instead of their own weights, by name.
        device, precision: as for `anymask.Segmenter`.
        api_key: what every request must carry; None for a server that asks for none.
        hosts: the names under which the server may be addressed (the Host header, without its port); empty for any.
            Without a key this is what keeps other sites' pages, which can give their own name any address, out.
        origins: origins ("https://example.org") whose pages may use the server; "*" for all. The server's own always
            may.
        max_upload: bytes of a request's body.
        max_pixels: pixels of a picture.
        memory: bytes of decoded pictures and embeddings that are kept, the least lately used going first.
        disk: bytes of uploaded pictures that are kept, in a temporary folder, likewise.
        workers: pictures that are worked on at a time.
        waiting: requests that may wait for each kind of work; more are answered with 503.
        per_client: requests that one client may have under way; more are answered with 429.
        loaded: models kept in memory.
        fetch_urls: whether the server fetches pictures from public addresses.
        videos: videos that are open at a time, the least lately used being closed for a new one.
        idle: seconds after which a video that nobody asks about is closed.
        projects: the folder of project folders; None for a server without projects.
    """

    models: tuple[str, ...] = ("pocket",)
    weights: Mapping[str, Path] = field(default_factory=dict)
    device: str = "auto"
    precision: str = "auto"
    api_key: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_upload: int = 64 * MEGABYTE
    max_pixels: int = 128_000_000
    memory: int = 1024 * MEGABYTE
    disk: int = 4096 * MEGABYTE
    workers: int = 2
    waiting: int = 64
    per_client: int = 64
    loaded: int = 3
    fetch_urls: bool = False
    videos: int = 4
    idle: float = 3600
    projects: Path | None = None
