"""Requests of bulk operations as bytes, repeated with backoff where that may help, paced by a budget, and counted.

Backoff is exponential with full jitter and shared: when one thread of a task is throttled, the others slow down with it.
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from spark_dynamo.aws.budget import Budget, Reservation
from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.failures import (
    CorruptAnswerError,
    check_answer,
    explain,
    failure_kind,
    is_transient,
    may_be_done,
    never_reached,
    throttling_reason,
)
from spark_dynamo.aws.sending import sender
from spark_dynamo.telemetry import facts

logger = logging.getLogger(__name__)

_FIRST_DELAY = 0.05  # seconds
_LONGEST_DELAY = 10.0
_LOG_INTERVAL = 10.0  # seconds between two lines about throttling
_KINDS = {  # the counts of failures, in words
    "throttles": "throttled",
    "server_errors": "server errors",
    "connection_errors": "connection errors",
    "unprocessed": "left something unprocessed",
}
PATIENCE = 300.0  # seconds without any success until a task gives up
PATIENCE_UNREACHED = 10.0  # the same where nobody answers at the endpoint


class Stopped(Exception):  # noqa: N818 - not an error: the task was told to end
    """The task ended while a request was under way."""


@dataclass(slots=True)
class Counts:
    """What a task's requests came to; threads add to it under its lock.

    `items` are those that were written, or those that DynamoDB read (a filter gives the caller fewer); `refused` are those
    that were not written because of their condition, `found` those of the items that were as wanted already. `retries` are the
    requests that were sent again, for one of four reasons: throttles, server errors, connection errors (no answer, or a
    damaged one) and answers that left something unprocessed. `waited` is the time that all threads spent on backoff.

    >>> print(Counts(requests=5, retries=2, throttles=2, items=1_200, bytes=3_400_000, units=128.5, waited=0.3))
    5 requests, 1,200 items, 3.4 MB, 128.5 units; 2 repeated (2 throttled), 0.3 s of backoff
    """

    requests: int = 0
    retries: int = 0
    throttles: int = 0
    server_errors: int = 0
    connection_errors: int = 0
    unprocessed: int = 0
    bytes: int = 0
    items: int = 0
    refused: int = 0
    found: int = 0
    units: float = 0.0
    waited: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **figures: float) -> None:
        """Add to each of the named figures at once."""
        with self.lock:
            for name, figure in figures.items():
                setattr(self, name, getattr(self, name) + figure)

    def facts(self, operation: str, table: str, seconds: float | None = None) -> dict[str, Any]:
        """What a log record of these requests carries as `extra`."""
        duration = None if seconds is None else seconds * 1000
        return facts(operation, table, units=self.units, retries=self.retries, items=self.items, duration_ms=duration)

    def __str__(self) -> str:
        refused = f" ({self.refused:,} refused)" if self.refused else ""
        done = f"{self.requests:,} requests, {self.items:,} items{refused}, {self.bytes / 1e6:,.1f} MB, {self.units:,.1f} units"
        named = ", ".join(f"{getattr(self, kind):,} {words}" for kind, words in _KINDS.items() if getattr(self, kind))
        if not named:
            return done
        return f"{done}; {self.retries:,} repeated ({named}), {self.waited:,.1f} s of backoff"


@dataclass(slots=True)
class ChainCounts:
    """What one chain of requests came to: a segment, a query or a batch of keys; items are those that DynamoDB read."""

    label: str
    pages: int = 0
    items: int = 0
    bytes: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """From the first request to the last answer so far."""
        return max(0.0, self.ended - self.started)

    def add(self, items: int, size: int) -> None:
        """Add a page; a chain has one request at a time, so no lock is needed."""
        self.pages += 1
        self.items += items
        self.bytes += size
        self.ended = time.monotonic()

    def __str__(self) -> str:
        return f"{self.label}: {self.pages:,} pages, {self.items:,} items, {self.bytes:,} bytes, {self.seconds:.1f} s"


class Backoff:
    """The delays of one task: they grow while requests fail and shrink as requests succeed."""

    def __init__(self, stop: threading.Event, *, patience: float = PATIENCE, counts: Counts | None = None) -> None:
        self.patience = patience
        self.counts = counts or Counts()
        self._stop = stop
        self._lock = threading.Lock()
        self._exponent = 0
        self._raised_at = -1.0
        self._failing_since: float | None = None
        self._failures: Counter[str] = Counter()  # by kind, since the last success

    def succeeded(self) -> None:
        """Tell it that a request got something done."""
        with self._lock:
            self._exponent = max(0, self._exponent - 1)
            self._failing_since = None
            self._failures.clear()

    def failed(self, kind: str = "unprocessed", *, patience: float | None = None, sent_at: float | None = None) -> bool:
        """Wait after a failure; False where nothing has succeeded for `patience` seconds, so that waiting is over.

        `kind` is one of the counts of failures. Requests that were under way together when the first of them failed count
        once: 16 threads that run into one throttling are no reason to wait 2^16 times as long. Raises `Stopped` where the
        task ends meanwhile.
        """
        with self._lock:
            now = time.monotonic()
            if (now if sent_at is None else sent_at) >= self._raised_at:
                self._exponent = min(self._exponent + 1, 16)
                self._raised_at = now
            self._failures[kind] += 1
            self._failing_since = self._failing_since or now
            if now - self._failing_since > (self.patience if patience is None else patience):
                return False
            delay = random.uniform(0, min(_LONGEST_DELAY, _FIRST_DELAY * 2**self._exponent))  # noqa: S311 - jitter
        stopped = self._stop.wait(delay)
        self.counts.add(waited=time.monotonic() - now)
        if stopped:
            raise Stopped
        return True

    def tried(self) -> str:
        """How long and how often it was tried in vain, as the end of a sentence says it."""
        with self._lock:
            lasted = time.monotonic() - (self._failing_since or time.monotonic())
            failures = dict(self._failures)
        named = ", ".join(f"{count:,} {_KINDS[kind]}" for kind, count in failures.items())
        return f"{sum(failures.values()):,} requests failed within {lasted:.1f} s ({named}), and none succeeded"


class Requests:
    """The bulk requests of one task on one table; its threads share it.

    `patience` is how many seconds may pass without any success until the task gives up (option retryTimeout); where nobody
    answers at the endpoint at all, that is 10 seconds at most. `budget` paces the requests.
    """

    def __init__(
        self, connection: Connection, table: str, *, patience: float = PATIENCE, budget: Budget | None = None
    ) -> None:
        self.connection = connection
        self.table = table
        self.budget = budget or Budget()
        self.counts = Counts()
        self.chains: list[ChainCounts] = []
        self.stop = threading.Event()
        self.backoff = Backoff(self.stop, patience=patience, counts=self.counts)
        self._sender = sender(connection)
        self._throttling: Counter[str] = Counter()
        self._logged_at: float | None = None

    def send(
        self,
        operation: str,
        body: bytes,
        *,
        done: Callable[[bytes], bool] = lambda answer: True,
        lost: Callable[[], None] = lambda: None,
        reservation: Reservation | None = None,
    ) -> bytes:
        """The body of the answer; transient failures are repeated, all others raise an error that says what to do.

        `done` tells of an answer whether anything got done: one that says no does not end a time of failures. `lost` is called
        before a request is sent again that may have taken effect, and a `reservation` is then paid once more.
        """
        routing = self._routing(operation)
        while True:
            if self.stop.is_set():
                raise Stopped
            sent_at = time.monotonic()
            try:
                answer = self._once(operation, routing, body)
            except (BotoCoreError, ClientError, CorruptAnswerError) as error:
                self._failed(operation, error, sent_at)
                if may_be_done(error):
                    lost()
                    if reservation is not None:
                        reservation.renew()
            else:
                self.counts.add(requests=1)
                if done(answer):
                    self.backoff.succeeded()
                return answer

    def throttled(self, reason: str) -> None:
        """Note a throttling; the log tells of the first, and then every 10 seconds at most."""
        with self.counts.lock:
            self._throttling[reason] += 1
            now = time.monotonic()
            if self._logged_at is not None and now - self._logged_at < _LOG_INTERVAL:
                return
            self._logged_at = now
            reasons = ", ".join(f"{name}: {count:,}" for name, count in self._throttling.most_common())
            total, waited = self._throttling.total(), self.counts.waited
        logger.warning(
            "DynamoDB throttles table %s: %s so far (%s), %.1f s of backoff", self.table, f"{total:,}", reasons, waited
        )

    def summary(self) -> str:
        """What the chains of requests came to, for the log at a task's end: how many, and the one that took longest."""
        slowest = max(self.chains, key=lambda chain: chain.seconds, default=None)
        if slowest is None:
            return "no chains of requests"
        items = sum(chain.items for chain in self.chains)
        share = f", {slowest.items / items:.0%} of the items" if items else ""
        return f"the slowest of {len(self.chains):,} chains was {slowest}{share}"

    def _routing(self, operation: str) -> dict[str, Any]:
        """The parameters from which botocore learns which table a request is about."""
        match operation:
            case "BatchGetItem":
                return {"RequestItems": {self.table: {}}}
            case "BatchWriteItem":
                return {"RequestItems": {self.table: []}}
            case "TransactWriteItems":
                return {"TransactItems": [{"Put": {"TableName": self.table, "Item": {}}}]}
            case _:
                return {"TableName": self.table}

    def _failed(self, operation: str, error: Exception, sent_at: float) -> None:
        """Count the failure and wait; raise what it means where it can't pass or has not passed in time."""
        if not is_transient(error):
            self.counts.add(requests=1)
            raise explain(error, self.connection.endpoint_url, self.connection.region, self.table) from error
        kind = failure_kind(error)
        self.counts.add(requests=1, **{kind: 1})
        logger.debug("%s on table %s failed for now: %s", operation, self.table, error)
        if kind == "throttles":
            self.throttled(throttling_reason(error))
        patience = min(PATIENCE_UNREACHED, self.backoff.patience) if never_reached(error) else None
        if not self.backoff.failed(kind, patience=patience, sent_at=sent_at):
            tried = self.backoff.tried()
            raise explain(error, self.connection.endpoint_url, self.connection.region, self.table, tried) from error
        self.counts.add(retries=1)

    def _once(self, operation: str, routing: dict[str, Any], body: bytes) -> bytes:
        content, crc32 = self._sender.send(operation, routing, self.table, body)
        if not content:  # even an answer that says nothing is {}
            raise CorruptAnswerError("the answer is empty")
        check_answer(content, crc32)
        return content
