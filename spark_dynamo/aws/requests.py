"""Requests of bulk operations as bytes, repeated with backoff where that may help, and counted.

Backoff is exponential with full jitter and shared: when one thread of a task is throttled, the others slow down with it.
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import logging
import random
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from spark_dynamo.aws.client import Connection, raw_client
from spark_dynamo.aws.failures import CorruptAnswerError, explain, is_transient, never_reached

logger = logging.getLogger(__name__)

_FIRST_DELAY = 0.05  # seconds
_LONGEST_DELAY = 10.0
PATIENCE = 300.0  # seconds without any success until a task gives up
PATIENCE_UNREACHED = 10.0  # the same where nobody answers at the endpoint


class Stopped(Exception):  # noqa: N818 - not an error: the task was told to end
    """The task ended while a request was under way."""


@dataclass(slots=True)
class Counts:
    """What a task's requests came to; threads add to it under its lock."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    items: int = 0
    units: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, *, requests: int = 0, retries: int = 0, bytes: int = 0, items: int = 0, units: float = 0.0) -> None:  # noqa: A002
        """Add to each figure at once."""
        with self.lock:
            self.requests += requests
            self.retries += retries
            self.bytes += bytes
            self.items += items
            self.units += units


class Backoff:
    """The delays of one task: they grow while requests fail and shrink as requests succeed."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self._failures = 0
        self._failing_since: float | None = None

    def succeeded(self) -> None:
        """Tell it that a request got something done."""
        with self._lock:
            self._failures = max(0, self._failures - 1)
            self._failing_since = None

    def failed(self, patience: float | None = None) -> bool:
        """Wait after a failure; False where nothing has succeeded for `patience` seconds, so that waiting is over."""
        with self._lock:
            now = time.monotonic()
            self._failures = min(self._failures + 1, 16)
            self._failing_since = self._failing_since or now
            if now - self._failing_since > (PATIENCE if patience is None else patience):
                return False
            delay = random.uniform(0, min(_LONGEST_DELAY, _FIRST_DELAY * 2**self._failures))  # noqa: S311 - jitter
        if self._stop.wait(delay):
            raise Stopped
        return True


class Requests:
    """The bulk requests of one task on one table; its threads share it."""

    def __init__(self, connection: Connection, table: str) -> None:
        self.connection = connection
        self.table = table
        self.counts = Counts()
        self.stop = threading.Event()
        self.backoff = Backoff(self.stop)
        self._client = raw_client(connection)

    def send(self, operation: str, body: bytes, *, done: Callable[[bytes], bool] = lambda answer: True) -> bytes:
        """The body of the answer; transient failures are repeated, all others raise an error that says what to do.

        `done` tells of an answer whether anything got done: one that says no does not end a time of failures.
        """
        batch = operation.startswith("Batch")
        routing: dict[str, Any] = {"RequestItems": {self.table: []}} if batch else {"TableName": self.table}
        while True:
            if self.stop.is_set():
                raise Stopped
            try:
                answer = self._once(operation, routing, body)
            except (BotoCoreError, ClientError, CorruptAnswerError) as error:
                self.counts.add(requests=1)
                patience = PATIENCE_UNREACHED if never_reached(error) else None
                if not is_transient(error) or not self.backoff.failed(patience):
                    raise explain(error, self.connection.endpoint_url, self.connection.region, self.table) from error
                self.counts.add(retries=1)
                logger.debug("%s on table %s is repeated after: %s", operation, self.table, error)
            else:
                self.counts.add(requests=1)
                if done(answer):
                    self.backoff.succeeded()
                return answer

    def _once(self, operation: str, routing: dict[str, Any], body: bytes) -> bytes:
        answer = self._client._make_api_call(operation, {**routing, "RawBody": body})
        content: bytes = answer["Body"]
        expected = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-crc32")
        if expected is not None and int(expected) != zlib.crc32(content):
            raise CorruptAnswerError(f"the answer of {len(content)} bytes does not match its CRC32")
        return content
