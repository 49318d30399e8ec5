"""PutItem, UpdateItem and DeleteItem, one request per row: for whatever has a condition or changes an item in part.

A request whose answer is lost is sent again and may then find its own effect: that its condition is not met any more, and
an item that already is what the row wanted. Such a row is done, and is no refusal.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from spark_dynamo.aws.failures import failed_condition, unfit_row
from spark_dynamo.aws.in_flight import Flight, consumed_write_units, write_units
from spark_dynamo.errors import RequestFailedError
from spark_dynamo.wire.equality import is_done

REQUEST_OF: Mapping[str, str] = {
    "put": "PutItem",
    "insert": "PutItem",
    "update": "UpdateItem",
    "delete": "DeleteItem",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was not written because of a condition, or because DynamoDB can't take it.

    `action` is the row's action as it was sent, `stored` the item that was found in DynamoDB JSON, None where there is no
    item with that key, or where the row's own condition was not what failed.
    """

    operation: str
    action: bytes
    stored: dict[str, Any] | None
    reason: str


class SingleWriter:
    """Sends one request per action; `flight` is the task's, which other senders may share.

    `refused` is called from the flight's threads for each row whose condition was not met, `unfit` for each that DynamoDB can't
    take, which ends the task where there is no `unfit`. With `repeated` the write may have been made before: then, as after a
    lost answer, a row whose stored item already is what it wanted counts as done.
    """

    def __init__(
        self,
        flight: Flight,
        key_names: Sequence[str],
        *,
        refused: Callable[[Refused], None],
        unfit: Callable[[Refused], None] | None = None,
        repeated: bool = False,
    ) -> None:
        self.flight = flight
        self.key_names = key_names
        self.refused = refused
        self.unfit = unfit
        self.repeated = repeated

    def send(self, actions: pa.StringArray, operation: str) -> None:
        """Queue one request for each action, which is what stands in Put, Update or Delete of TransactWriteItems.

        No two may have the same key. Returns when the requests are queued, raises as `Flight.submit` does.
        """
        for action in actions:
            self.flight.submit(_Single(self, operation, action.as_buffer().to_pybytes()))


class _Single:
    """One request."""

    __slots__ = ("_action", "_is_lost", "_writer", "left", "operation")

    def __init__(self, writer: SingleWriter, operation: str, action: bytes) -> None:
        self._writer = writer
        self._action = action
        self._is_lost = writer.repeated
        self.operation = operation
        self.left = 1

    @property
    def size(self) -> int:
        return len(self._action)

    def send(self) -> None:
        requests = self._writer.flight.requests
        body = self._action[:-1] + b',"ReturnConsumedCapacity":"TOTAL"}'
        estimated = write_units(len(self._action))
        with requests.budget.reserve(requests.stop, most=1, each=estimated) as reservation:
            try:
                answer = requests.send(REQUEST_OF[self.operation], body, lost=self._lose, reservation=reservation)
                units = consumed_write_units(orjson.loads(answer))
            except RequestFailedError as error:
                condition, unfit = failed_condition(error), unfit_row(error)
                if condition is None and (unfit is None or self._writer.unfit is None):
                    raise
                requests.backoff.succeeded()
                reservation.settle(estimated, items=1)  # it costs as much, but the answer does not say so
                if condition is not None:
                    self._condition_failed(len(body), condition.stored)
                else:
                    assert self._writer.unfit is not None
                    assert unfit is not None
                    requests.counts.add(bytes=len(body))
                    self._writer.unfit(Refused(self.operation, self._action, None, unfit))
            else:
                reservation.settle(estimated if units is None else units, items=1)
                requests.counts.add(items=1, units=units or 0.0, bytes=len(body))
        self.left = 0

    def keys(self, most: int) -> list[dict[str, object]]:
        return [key_of_action(self._action, self._writer.key_names)]

    def _lose(self) -> None:
        self._is_lost = True

    def _condition_failed(self, size: int, stored: dict[str, Any] | None) -> None:
        counts = self._writer.flight.requests.counts
        if self._is_lost and is_done(self.operation, orjson.loads(self._action), stored):
            counts.add(items=1, found=1, bytes=size)
            return
        counts.add(refused=1, bytes=size)
        self._writer.refused(Refused(self.operation, self._action, stored, reason_of(self.operation, stored)))


def reason_of(operation: str, stored: Mapping[str, Any] | None) -> str:
    """Why a condition was not met, in words.

    >>> reason_of("delete", None)
    'its condition is not met: there is no item with that key'
    """
    if operation == "insert":
        return "there is an item with that key already"
    found = "there is no item with that key" if stored is None else "the item with that key is another"
    return f"its condition is not met: {found}"


def key_of_action(action: bytes, key_names: Sequence[str]) -> dict[str, object]:
    """The key of the item that an action is about.

    >>> key_of_action(b'{"TableName":"t","Key":{"id":{"S":"a"}}}', ["id"])
    {'id': 'a'}
    """
    parsed = orjson.loads(action)
    attributes = parsed.get("Item") or parsed["Key"]
    return {name: next(iter(attributes[name].values())) for name in key_names}
