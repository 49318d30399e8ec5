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
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from spark_dynamo.aws.answers import check_answer
from spark_dynamo.aws.budget import Budget, Reservation
from spark_dynamo.aws.client import Connection, dynamodb_client, raw_client
from spark_dynamo.aws.failures import (
    explain,
    failure_kind,
    is_in_use,
    may_be_done,
    may_pass,
    never_reached,
    throttling_reason,
)
from spark_dynamo.aws.fast_requests import sender
from spark_dynamo.aws.readiness import unready
from spark_dynamo.aws.time_limit import TimeLimitError, time_limit
from spark_dynamo.errors import DynamoDBWrapperError, TableNotFoundError
from spark_dynamo.telemetry import facts

logger = logging.getLogger(__name__)

_FIRST_DELAY = 0.05  # seconds
_LONGEST_DELAY = 10.0
_LEAST_LEFT = 0.05  # seconds of patience with which it is not worth while to go on
_LITTLE = 0.25  # of what was asked for lately; where less got done, the delays grow
_MEMORY = 0.7  # what an earlier answer counts beside a later one
_LOG_INTERVAL = 10.0  # seconds between two lines about throttling
_KINDS = {  # the counts of failures, in words
    "throttles": "throttled",
    "server_errors": "server errors",
    "connection_errors": "connection errors",
    "unprocessed": "left something unprocessed",
}
PATIENCE = 300.0  # seconds without any success until a task gives up
PATIENCE_UNREACHED = 10.0  # the same where nobody answers at the endpoint
PATIENCE_LOCAL = 10.0  # the same where a server of this machine fails: what it fails at doesn't pass

T = TypeVar("T")


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
        self._done = self._asked = 0.0  # items of the last answers
        self._succeeded_at = -1.0
        self._failing_since: float | None = None
        self._failures: Counter[str] = Counter()  # by kind, since the last success

    def answered(self, done: int, asked: int) -> None:
        """Tell it how many of the items that a request names got done.

        One answer tells little: that a single item is left for later is no sign that DynamoDB takes nothing. So what counts is
        the share of all items of the last answers.
        """
        with self._lock:
            self._done = self._done * _MEMORY + done
            self._asked = self._asked * _MEMORY + asked
        if done:
            self.succeeded(is_whole=done == asked)

    def succeeded(self, *, is_whole: bool = True) -> None:
        """Tell it that a request got something done, or all of it, which shortens the delays most."""
        with self._lock:
            if is_whole:
                self._exponent //= 2
            elif not self._takes_little():
                self._exponent = max(0, self._exponent - 1)
            self._succeeded_at = time.monotonic()
            self._failing_since = None
            self._failures.clear()

    def left(self) -> float:
        """For how many seconds more a request may be under way, if nothing else succeeds meanwhile."""
        with self._lock:
            now = time.monotonic()
            return max(_LEAST_LEFT, (self._failing_since or now) + self.patience - now)

    def failed(self, kind: str = "unprocessed", *, patience: float | None = None, sent_at: float | None = None) -> bool:
        """Wait after a failure; False where nothing has succeeded for `patience` seconds, so that waiting is over.

        `kind` is one of the counts of failures; what was left unprocessed makes the delays grow only where most is. Requests
        that were under way together when the first of them failed count once: 16 threads that run into one throttling are no
        reason to wait 2^16 times as long. The time in which nothing succeeds begins when the first of them was sent, and no
        delay takes more than half of what is left of it. Raises `Stopped` where the task ends meanwhile.
        """
        with self._lock:
            now = time.monotonic()
            sent_at = now if sent_at is None else sent_at
            if (kind != "unprocessed" or self._takes_little()) and sent_at >= self._raised_at:
                self._exponent = min(self._exponent + 1, 16)
                self._raised_at = now
            self._failures[kind] += 1
            self._failing_since = self._failing_since or max(sent_at, self._succeeded_at)
            left = self._failing_since + (self.patience if patience is None else patience) - now
            if left < _LEAST_LEFT:
                return False
            delay = random.uniform(0, min(_LONGEST_DELAY, _FIRST_DELAY * 2**self._exponent))  # noqa: S311 - jitter
            delay = min(delay, left / 2)  # what comes after it must be done in time, too
        stopped = self._stop.wait(delay)
        self.counts.add(waited=time.monotonic() - now)
        if stopped:
            raise Stopped
        return True

    def _takes_little(self) -> bool:
        return self._done <= _LITTLE * self._asked

    def tried(self) -> str:
        """How long and how often it was tried in vain, as the end of a sentence says it."""
        with self._lock:
            lasted = time.monotonic() - (self._failing_since or time.monotonic())
            failures = dict(self._failures)
        named = ", ".join(f"{count:,} {_KINDS[kind]}" for kind, count in failures.items())
        return f"{sum(failures.values()):,} requests failed within {lasted:.1f} s ({named}), and none succeeded"


class Requests:
    """The bulk requests of one task on one table; its threads share it.

    `patience` is how many seconds may pass without any success until the task gives up (option retryTimeout), whatever they
    are spent on; where nobody answers at the endpoint at all, or a server of this machine fails, that is 10 seconds at most.
    One request may take as long as the connection's `read_timeout` (option requestTimeout), with all of its answer. `budget`
    paces the requests.
    """

    def __init__(
        self, connection: Connection, table: str, *, patience: float = PATIENCE, budget: Budget | None = None
    ) -> None:
        if patience < connection.connect_timeout:
            connection = replace(connection, connect_timeout=patience)
        self.connection = connection
        self.table = table
        self.budget = budget or Budget()
        self.counts = Counts()
        self.chains: list[ChainCounts] = []
        self.stop = threading.Event()
        self.backoff = Backoff(self.stop, patience=patience, counts=self.counts)
        self._sender = sender(connection)
        self._told: Exception | None = None  # what requests fail at, since the last success
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
            except (BotoCoreError, ClientError) as error:
                self._failed(operation, error, sent_at)
                if may_be_done(error):
                    lost()
                    if reservation is not None:
                        reservation.renew()
            else:
                self.counts.add(requests=1)
                if done(answer):
                    self._told = None
                    self.backoff.succeeded()
                return answer

    def call(self, operation: str, ask: Callable[[Any], T]) -> T:
        """What a function gets of a client that makes each request once; it is called again as requests are sent again.

        The function raises errors of this package. It must be safe to repeat, and may take as long as one request.
        """
        client = raw_client(self.connection)
        while True:
            sent_at = time.monotonic()
            try:
                with self._limited():
                    got = ask(client)
            except TimeLimitError as error:
                self._failed(operation, error, sent_at)
            except DynamoDBWrapperError as error:
                cause = error.original_error
                if not isinstance(cause, BotoCoreError | ClientError) or not may_pass(cause):
                    raise
                self._failed(operation, cause, sent_at)
            else:
                self._told = None
                self.backoff.succeeded()
                return got

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
        if not may_pass(error):
            self.counts.add(requests=1)
            explained = explain(error, self.connection.endpoint_url, self.connection.region, self.table)
            if isinstance(explained, TableNotFoundError):
                explained = unready(dynamodb_client(self.connection), explained)
            raise explained from explained.original_error
        kind = failure_kind(error)
        self.counts.add(requests=1, **{kind: 1})
        logger.debug("%s on table %s failed for now: %s", operation, self.table, error)
        if kind == "throttles":
            self.throttled(throttling_reason(error))
        patience = self.backoff.patience
        if never_reached(error):
            patience = min(PATIENCE_UNREACHED, patience)
        elif kind == "server_errors" and self.connection.is_loopback and not is_in_use(error):
            patience = min(PATIENCE_LOCAL, patience)
        if not isinstance(error, TimeLimitError):
            self._told = error
        if not self.backoff.failed(kind, patience=patience, sent_at=sent_at):
            tried = self.backoff.tried()
            # the last request may have had hardly any time; what the others failed at says more
            error = self._told or error
            raise explain(error, self.connection.endpoint_url, self.connection.region, self.table, tried) from error
        self.counts.add(retries=1)

    def _limited(self) -> AbstractContextManager[None]:
        return time_limit(min(self.connection.read_timeout, self.backoff.left()), self.connection.endpoint_url)

    def _once(self, operation: str, routing: dict[str, Any], body: bytes) -> bytes:
        with self._limited():
            content = self._sender.send(operation, routing, self.table, body)
        check_answer(operation, body, content, self.connection.endpoint_url)
        return content
