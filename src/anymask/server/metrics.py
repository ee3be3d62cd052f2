"""What Prometheus may ask of a server."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from anymask.server.store import PictureStore
from anymask.server.videos import VideoStore
from anymask.server.work import Work

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self, work: Work, store: PictureStore, videos: VideoStore) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "anymask_requests", "Answered requests.", ("route", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "anymask_request_seconds", "From a request to the end of its answer.", ("route",),
            buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.live = Counter(
            "anymask_live_messages", "Messages of live connections.", ("outcome",), registry=self.registry
        )
        self.registry.register(_State(work, store, videos))

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _State(Collector):
    """What is counted elsewhere, read when asked for."""

    def __init__(self, work: Work, store: PictureStore, videos: VideoStore) -> None:
        self._work, self._store, self._videos = work, store, videos

    def collect(self) -> Iterable[Metric]:
        load = GaugeMetricFamily("anymask_jobs", "Jobs that run or wait, by lane.", labels=["lane"])
        refused = GaugeMetricFamily("anymask_jobs_refused", "Jobs that were turned away, by lane.", labels=["lane"])
        for lane in self._work.lanes:
            load.add_metric([lane.name], lane.load)
            refused.add_metric([lane.name], lane.refused)
        memory = self._store.memory
        yield load
        yield refused
        for name, text, value in (
            ("memory_bytes", "Decoded pictures and embeddings that are kept.", memory.size),
            ("memory_limit_bytes", "How much of them may be kept.", memory.limit),
            ("memory_hits", "How often one was there.", memory.hits),
            ("memory_misses", "How often one had to be made.", memory.misses),
            ("pictures_bytes", "Uploaded pictures on the disk.", self._store.disk),
            ("videos_bytes", "Open videos on the disk.", self._videos.disk),
            ("videos_open", "Open videos.", len(self._videos)),
        ):
            yield GaugeMetricFamily(f"anymask_{name}", text, value)
