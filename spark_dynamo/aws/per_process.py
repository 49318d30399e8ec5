"""What is made once per process for the same arguments, however many threads ask for it at the same time."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import update_wrapper
from typing import Generic, TypeVar

T = TypeVar("T")


class _OncePerProcess(Generic[T]):
    """The results of `make` by its arguments; those used last are kept."""

    def __init__(self, make: Callable[..., T], most: int) -> None:
        self._make = make
        self._most = most
        self._made: OrderedDict[Hashable, T] = OrderedDict()
        self._locks: dict[Hashable, threading.Lock] = {}
        update_wrapper(self, make)

    def __call__(self, *arguments: Hashable) -> T:
        key = (arguments, os.getpid())  # a forked child needs its own sockets, and its parent's locks may be held
        with suppress(KeyError):
            return self._known(key)
        lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            try:
                return self._known(key)
            except KeyError:
                made = self._made[key] = self._make(*arguments)
            self._locks.pop(key, None)
        while len(self._made) > self._most:
            with suppress(KeyError):
                self._made.popitem(last=False)
        return made

    def _known(self, key: Hashable) -> T:
        known = self._made[key]
        with suppress(KeyError):  # another thread has put it out
            self._made.move_to_end(key)
        return known


def once_per_process(most: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Keep what the function makes, at most so many results, and make each once: unlike `lru_cache`, also among threads.

    What it raises is not kept. A forked child makes its own.

    >>> @once_per_process(most=2)
    ... def client(region: str) -> object:
    ...     return object()
    >>> client("us-east-1") is client("us-east-1")
    True
    """
    return lambda make: _OncePerProcess(make, most)
