"""The models of a server: those that requests may ask for, loaded when first asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from anymask.background import BackgroundRemover
from anymask.catalog import ModelEntry, find
from anymask.errors import ModelError
from anymask.segmenter import Segmenter
from anymask.server.errors import Forbidden
from anymask.server.settings import Settings
from anymask.tracker import Tracker
from anymask.tracking.light import LightFollower

T = TypeVar("T")


class Models:
    """Models by name, of which the last few stay in memory.

    Raises ModelError at once for a name that is not in the catalogue.
    """

    def __init__(self, settings: Settings) -> None:
        self.entries = {entry.name: entry for entry in map(find, settings.models)}
        self._settings = settings
        self._weights = {find(name).name: path for name, path in settings.weights.items()}
        self._ready: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._locks = {name: threading.Lock() for name in self.entries}
        self._lock = threading.Lock()

    def default(self, task: str) -> str | None:
        """The name of the first model that can `segment` or find a `matte`; None when none can."""
        return next((name for name, entry in self.entries.items() if task in entry.tasks), None)

    def entry(self, name: str | None, task: str) -> ModelEntry:
        """The model of a name, or the default for a task.

        Raises:
            Forbidden: it is not among those that this server offers.
            ModelError: there is no such model, or it cannot do that.
        """
        chosen = name or self.default(task)
        if chosen is None:
            raise ModelError(f"This server has no model that can {task}; it has {', '.join(self.entries)}.")
        entry = find(chosen)
        if entry.name not in self.entries:
            raise Forbidden(f"This server does not offer {entry.name}; it has {', '.join(self.entries)}.")
        able = entry.tasks if task != "matte" else (*entry.tasks, *(["matte"] if "segment" in entry.tasks else []))
        if task not in able:
            raise ModelError(f"The model {entry.name} cannot {task}.")
        return entry

    def check_refiner(self, name: str) -> None:
        """Raises Forbidden where a model that refines edges is neither offered nor there: requests download nothing."""
        if name not in self.entries and not find(name).installed:
            raise Forbidden(f"This server does not offer {name}; take other edges: fast or closed-form.")

    def weights(self, name: str) -> Path | None:
        """The file that a model is opened from where that is not its own."""
        return self._weights.get(name)

    def remover(self, name: str, preprocessing: str = "original") -> BackgroundRemover:
        """A model, loaded now if need be, which may take seconds. Raises as BackgroundRemover does."""
        device, precision = self._settings.device, self._settings.precision

        def load() -> BackgroundRemover:
            return BackgroundRemover(name, device, precision, self.weights(name), preprocessing)

        return self._loaded(name, preprocessing, load)

    def segmenter(self, name: str) -> Segmenter:
        """The same model as a segmenter. Raises ModelError where it takes no prompts."""
        segmenter = self.remover(name).segmenter
        if segmenter is None:
            raise ModelError(f"The model {name} takes no prompts.")
        return segmenter

    def tracking(self, name: str | None) -> ModelEntry:
        """The model of a name, or the first that follows objects. Raises as `entry`."""
        return self.entry(name or next((one.name for one in self.entries.values() if tracks(one)), None), "segment")

    def tracker(self, name: str) -> Tracker:
        """The same model as a tracker; one without a memory shares what answers prompts in pictures.

        Raises ModelError where it follows no objects, and as Tracker does.
        """
        entry = self.entry(name, "segment")
        if not tracks(entry):
            raise ModelError(f"The model {entry.name} takes no mask as a prompt, so that it cannot follow objects.")
        if not entry.memory:
            return Tracker.over(LightFollower(self.segmenter(entry.name)))
        device, precision = self._settings.device, self._settings.precision
        return self._loaded(
            entry.name, "tracker", lambda: Tracker(entry.name, device, precision, self.weights(entry.name))
        )

    def _loaded(self, name: str, kind: str, load: Callable[[], T]) -> T:
        """A model of a kind, from what is in memory or loaded now."""
        key = name, kind
        with self._locks[name]:
            with self._lock:
                if key in self._ready:
                    self._ready.move_to_end(key)
                    return self._ready[key]  # type: ignore[no-any-return]
            found = load()
            with self._lock:
                self._ready[key] = found
                while len(self._ready) > self._settings.loaded:
                    self._ready.popitem(last=False)
            return found

    def listing(self) -> list[dict[str, Any]]:
        """What there is to say of each model, as JSON."""
        loaded = {name for name, _ in list(self._ready)}
        return [
            {
                "name": entry.name,
                "family": entry.family,
                "description": entry.description,
                "tasks": list(entry.tasks),
                "licence": entry.licence,
                "commercial": entry.commercial,
                "copyleft": entry.copyleft,
                "classes": list(entry.matte.classes) if entry.matte else [],
                "takes_mask": "segment" in entry.tasks and entry.prompts.mask,
                "tracks": tracks(entry),
                "installed": entry.installed,
                "loaded": entry.name in loaded,
            }
            for entry in self.entries.values()
        ]


def tracks(entry: ModelEntry) -> bool:
    """Whether a model can follow objects through a video."""
    return "segment" in entry.tasks and (entry.memory or entry.prompts.mask)
