"""A cache in the memory of this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.metadata.caching.base import Cache, is_amount

__all__ = ["MemoryCache"]

_OVERHEAD = 200  # bytes that an entry takes beside its answer


class MemoryCache(Cache):
    """Answers in memory, for `ttl_seconds`, of at most `max_bytes` altogether: what was not asked for the longest goes first.

    Writes by other processes are seen when the answers have expired. A copy by pickle begins empty.

    >>> from spark_dynamo.metadata.repositories import PipelineConfigRepository
    >>> pipelines = PipelineConfigRepository(cache=MemoryCache(ttl_seconds=30))
    """

    def __init__(self, ttl_seconds: float = 60.0, *, max_bytes: int = 64_000_000) -> None:
        super().__init__(ttl_seconds)
        if not is_amount(max_bytes):
            raise ConfigurationError(f"max_bytes is {max_bytes!r}: give the bytes that the cache may hold, as a number")
        self.max_bytes = max_bytes
        self._clear()

    def __repr__(self) -> str:
        return f"MemoryCache(ttl_seconds={self.ttl_seconds:g}, max_bytes={self.max_bytes})"

    def _clear(self) -> None:
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._size = 0
        self._entries_lock = threading.Lock()

    def __len__(self) -> int:
        """How many entries there are, marks of writes included."""
        return len(self._entries)

    @property
    def size(self) -> int:
        """The bytes that the entries take, about."""
        return self._size

    def load(self, names: Sequence[str]) -> Sequence[bytes | None]:
        """The entries of those names that have not expired."""
        now = time.monotonic()
        with self._entries_lock:
            return [self._loaded(name, now) for name in names]

    def _loaded(self, name: str, now: float) -> bytes | None:
        found = self._entries.get(name)
        if found is None:
            return None
        if found[0] <= now:
            self._forget(name)
            return None
        self._entries.move_to_end(name)
        return found[1]

    def store(self, entries: Mapping[str, bytes], seconds: float) -> None:
        """Take entries in, and let go of what there is no room for."""
        expires = time.monotonic() + seconds
        with self._entries_lock:
            for name, value in entries.items():
                if name in self._entries:
                    self._forget(name)
                self._entries[name] = (expires, value)
                self._size += len(value) + _OVERHEAD
            while self._size > self.max_bytes:
                self._forget(next(iter(self._entries)))

    def _forget(self, name: str) -> None:
        self._size -= len(self._entries.pop(name)[1]) + _OVERHEAD

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.ttl_seconds, self.max_bytes)


def _restored(ttl_seconds: float, max_bytes: int) -> MemoryCache:
    return MemoryCache(ttl_seconds, max_bytes=max_bytes)
