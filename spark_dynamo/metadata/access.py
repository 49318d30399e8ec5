"""The way of one call to the server: a connection, a cache where there is one, and an end before its time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable

from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.aws.requests import Requests, Stopped
from spark_dynamo.aws.tables import TableDescription, describe_table
from spark_dynamo.errors import AccessDeniedError, DynamoDBWrapperError
from spark_dynamo.metadata.caching.base import Cache
from spark_dynamo.telemetry import operation as observe

__all__ = ["Access"]

logger = logging.getLogger(__name__)

_LOOK_AGAIN = 300.0  # seconds after which a table is described again, as it may have got another index

_described: dict[tuple[Connection, str], tuple[float, TableDescription | None]] = {}
_told: set[str] = set()  # tables without a cache that the log has named
_locks: dict[Hashable, threading.Lock] = {}


class Access:
    """The way to the server for one call: a connection, and a cache where there is one. `end`, from another thread, ends it."""

    def __init__(self, connection: Connection, cache: Cache | None = None) -> None:
        self.connection = connection
        self.cache = cache
        self._lock = threading.Lock()
        self._under_way: list[Requests] = []
        self._is_over = False

    def end(self) -> None:
        """Let nothing more be sent; what waits for its turn wakes up."""
        with self._lock:
            self._is_over = True
            for requests in self._under_way:
                requests.stop.set()

    def enter(self, requests: Requests) -> None:
        """Note requests that `end` is to end."""
        with self._lock:
            self._under_way[:] = [requests]
            if self._is_over:
                raise Stopped

    def describe(self, table: str) -> TableDescription | None:
        """The table as it is described, looked up once in a while; None where this user may not see it."""
        key = (self.connection, table)
        with _lock_of(key):
            at, known = _described.get(key, (None, None))
            if at is not None and time.monotonic() - at < _LOOK_AGAIN:
                return known
            with observe("DescribeTable", table=table):
                try:
                    known = describe_table(dynamodb_client(self.connection), table)
                except AccessDeniedError:
                    known = None
            _described[key] = (time.monotonic(), known)
        return known

    def scope(self, table: str) -> str | None:
        """What tells this table from all others in a cache that many share; None where that is not known."""
        try:
            description = self.describe(table)
        except DynamoDBWrapperError:  # the request itself says what is wrong, if anything is
            return None
        if description is not None:
            return f"{self.connection.endpoint_url or 'aws'} {description.arn}"
        if table not in _told:
            _told.add(table)
            logger.warning(
                "Table '%s' is read without its cache, which needs the permission dynamodb:DescribeTable to tell the table from "
                "those of other accounts",
                table,
            )
        return None


def _lock_of(key: Hashable) -> threading.Lock:
    """The lock of what is done once for a connection, or for a table there."""
    return _locks.setdefault(key, threading.Lock())
