"""What every cache of answers does: read-through, invalidation by marks, and going without where the store is down.

An entry holds an answer's own text and the marks that counted when it was asked for. A write through a repository replaces
the mark of the item and that of the table's queries, so that older entries don't match any more, whoever put them there and
however late. Marks are random, so that none comes twice. https://www.usenix.org/system/files/conference/nsdi13/nsdi13-final170_update.pdf
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import orjson

from spark_dynamo.errors import ConfigurationError

__all__ = ["Cache"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

_PAUSE = 5.0  # seconds until a store that failed is tried again
_EVERYTHING, _QUERIES = "everything", "queries"
_NO_MARK = ""


def is_amount(value: object) -> bool:
    """Whether it is a number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


class Cache(ABC):
    """A cache in front of a repository's reads; several repositories, threads and event loops may share one.

    What it answers is at most `ttl_seconds` old. A subclass says where entries are kept, by `load` and `store`; whatever they
    raise never reaches a caller: the cache is left alone for some seconds, and reads go to DynamoDB. Raises
    ConfigurationError where `ttl_seconds` is no positive number.

    >>> sd.PipelineConfigRepository(cache=sd.MemoryCache(ttl_seconds=30)).get("sales")  # doctest: +SKIP
    """

    def __init__(self, ttl_seconds: float) -> None:
        if not is_amount(ttl_seconds) or ttl_seconds == float("inf"):
            raise ConfigurationError(
                f"ttl_seconds is {ttl_seconds!r}: give the seconds for which an answer may be kept, as a number"
            )
        self.ttl_seconds = float(ttl_seconds)
        self._lock = threading.Lock()
        self._down_until: float | None = None
        self._missed: set[str] = set()  # scopes whose changes the store has not heard of

    @abstractmethod
    def load(self, names: Sequence[str]) -> Sequence[bytes | None]:
        """What is stored under each of the names, None where nothing is, or not any more."""

    @abstractmethod
    def store(self, entries: Mapping[str, bytes], seconds: float) -> None:
        """Store entries for that long."""

    def read(
        self, scope: str, request: bytes, item: str, fetch: Callable[[], bytes], is_kept: Callable[[bytes], bool]
    ) -> bytes:
        """The answer to a request about a table (`scope`): from the cache, else what `fetch` gives.

        `item` names the item that it is about, "" where it is a query. An answer is kept where `is_kept` says so.
        """
        began = time.monotonic()
        names = [_name(scope, _EVERYTHING), _name(scope, f"item {item}" if item else _QUERIES)]
        entry = _name(scope, request)
        # the marks last: a store that lets go of what was not asked for the longest loses the entry before them
        loaded = self._attempt(lambda: self.load([entry, *names]))
        if loaded is None:
            return fetch()
        kept, *found = loaded
        marks = [_NO_MARK if mark is None else mark.decode() for mark in found]
        if kept is not None:
            head, _, body = kept.partition(b"\n")
            if head == orjson.dumps(marks):
                return body
        body = fetch()
        left = self.ttl_seconds - (time.monotonic() - began)  # what is kept is as old as the question
        if left > 0 and is_kept(body):
            self._attempt(lambda: self.store({entry: orjson.dumps(marks) + b"\n" + body}, left))
        return body

    def changed(self, scope: str, items: Sequence[str] | None) -> None:
        """Forget what is known of those items, and of the table's queries; None: of the whole table."""
        names = [_EVERYTHING] if items is None else [_QUERIES, *(f"item {item}" for item in items)]
        if self._attempt(lambda: self._mark(scope, names)) is None:
            with self._lock:
                self._missed.add(scope)

    def _mark(self, scope: str, names: Sequence[str]) -> bool:
        mark = uuid.uuid4().hex.encode()
        self.store({_name(scope, name): mark for name in names}, 2 * self.ttl_seconds + 60)  # longer than any entry
        return True

    def _attempt(self, ask: Callable[[], T]) -> T | None:
        """What the store answers; None where it is down. It is tried again after a pause, and then learns what it missed."""
        was_down = False
        if self._down_until is not None:
            with self._lock:
                if self._down_until is not None:
                    if time.monotonic() < self._down_until:
                        return None
                    self._down_until = time.monotonic() + _PAUSE  # others go without while this thread tries
                    was_down = True
        try:
            if was_down:
                self._catch_up()
            answer = ask()
        except Exception as error:  # whatever a store raises, a read must not fail of it
            with self._lock:
                first = self._down_until is None
                self._down_until = time.monotonic() + _PAUSE
            if first:
                logger.warning(
                    "The cache %s is down, and DynamoDB is read instead until it answers again: %s: %s",
                    type(self).__name__,
                    type(error).__name__,
                    error,
                )
            return None
        if was_down:
            with self._lock:
                self._down_until = None
            logger.info("The cache %s answers again", type(self).__name__)
        return answer

    def _catch_up(self) -> None:
        """Forget the tables of which something was written while the store was down."""
        with self._lock:
            missed = set(self._missed)
        for scope in missed:
            self._mark(scope, [_EVERYTHING])
        with self._lock:
            self._missed -= missed


def _name(scope: str, what: str | bytes) -> str:
    """The name under which something about a table is stored: digests only, as keys may show what nobody is to see."""
    said = what.encode() if isinstance(what, str) else what
    return f"{hashlib.sha256(scope.encode()).hexdigest()[:16]}:{hashlib.sha256(said).hexdigest()[:40]}"
