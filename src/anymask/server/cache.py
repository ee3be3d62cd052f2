"""Things kept in memory up to so many bytes, the least lately used going first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Cache:
    """A bounded cache, safe to use from many threads. `size` and `limit` are in bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = self.hits = self.misses = 0
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> Any | None:
        """What is kept under a key, now the latest used; None where there is nothing."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            self.hits += 1
            return self._kept[key][0]

    def get_or_make(self, key: Hashable, make: Callable[[], T], measure: Callable[[T], int]) -> T:
        """What is kept under a key, or what `make` makes, kept if it fits.

        Of several threads that ask for the same one makes it and the others wait; where making it fails, each that
        asked tries itself.
        """
        found = self.get(key)
        if found is not None:
            return found  # type: ignore[no-any-return]
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            found = self.get(key)
            if found is not None:
                return found  # type: ignore[no-any-return]
            try:
                self.misses += 1
                value = make()
                self._keep(key, value, measure(value))
                return value
            finally:
                with self._lock:
                    self._making.pop(key, None)

    def drop(self, matches: Callable[[Any], bool]) -> None:
        """Forget all whose key matches."""
        with self._lock:
            for key in [key for key in self._kept if matches(key)]:
                self.size -= self._kept.pop(key)[1]

    def _keep(self, key: Hashable, value: Any, size: int) -> None:
        with self._lock:
            if key in self._kept:
                self.size -= self._kept.pop(key)[1]
            self._kept[key] = value, size
            self.size += size
            # The newest stays even where it alone is too much: whoever asked is about to use it.
            while self.size > self.limit and len(self._kept) > 1:
                self.size -= self._kept.popitem(last=False)[1][1]
