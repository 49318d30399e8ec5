"""Requests about single items, each sent at most as often as the connection says: `max_attempts`.

Bulk work is patient (`aws.requests`); a call for one item is to end when the configuration's `retries` and timeouts are used up.
"""

from __future__ import annotations

from collections.abc import Callable

from spark_dynamo.aws.budget import Reservation
from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.failures import explain, failure_kind, may_pass
from spark_dynamo.aws.requests import Requests


class Attempts(Requests):
    """The requests of one call, one after the other; `lost` tells whether one was sent again that may have taken effect."""

    def __init__(self, connection: Connection, table: str) -> None:
        super().__init__(connection, table)
        self.is_lost = False
        self._attempts = 0

    def send(
        self,
        operation: str,
        body: bytes,
        *,
        done: Callable[[bytes], bool] = lambda answer: True,
        lost: Callable[[], None] | None = None,
        reservation: Reservation | None = None,
    ) -> bytes:
        """The body of the answer, as `Requests.send` gives it; the last attempt's failure is raised with their number."""
        self._attempts = 0
        return super().send(operation, body, done=done, lost=lost or self._lose, reservation=reservation)

    def _lose(self) -> None:
        self.is_lost = True

    def _failed(self, operation: str, error: Exception, sent_at: float) -> None:
        self._attempts += 1
        most = self.connection.max_attempts
        if may_pass(error) and self._attempts >= most:
            self.counts.add(requests=1, **{failure_kind(error): 1})
            explained = explain(error, self.connection.endpoint_url, self.connection.region, self.table)
            explained.context["attempts"] = self._attempts
            raise explained from error
        super()._failed(operation, error, sent_at)
