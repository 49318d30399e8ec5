"""TransactWriteItems: groups of rows that are written together or not at all.

Each request has a token, by which DynamoDB knows for ten minutes that it has done it already; so a lost answer does no harm.
Where a server knows no tokens (moto), or ten minutes are over, the stored items tell.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from spark_dynamo.aws.failures import Cancellation, cancellations, explain_cancelled
from spark_dynamo.aws.in_flight import Flight, consumed_write_units, write_units
from spark_dynamo.aws.single_write import Refused, key_of_action, reason_of
from spark_dynamo.errors import OptionError, RequestFailedError, show_key
from spark_dynamo.wire.equality import is_done
from spark_dynamo.wire.sizes import item_size

ACTIONS_PER_TRANSACTION = 100
_LARGEST = 4 * 1024 * 1024  # bytes of all items of a transaction, as DynamoDB counts them
_NAME_OF: Mapping[str, bytes] = {"put": b"Put", "insert": b"Put", "update": b"Update", "delete": b"Delete"}
_UNITS = 2  # how many times as much a write costs in a transaction


class TransactionWriter:
    """Sends actions in transactions of up to 100, in the order given; `flight` is the task's, which others may share.

    `refused` is called from the flight's threads for each row of a transaction in which a condition was not met, `unfit` for
    each of one in which there is a row that DynamoDB can't take, which ends the task where there is no `unfit`. With
    `repeated` the write may have been made before: then, as after a lost answer, rows whose stored item already is what they wanted
    count as done, and the others of their transaction are sent again.
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

    def send(self, actions: pa.StringArray, operations: str | Sequence[str]) -> None:
        """Queue the transactions of those actions; `operations` is one for all, or one for each.

        No two may have the same key. Returns when the requests are queued, raises as `Flight.submit` does, and OptionError
        where DynamoDB takes the actions of a transaction only apart from each other; nothing of that one is sent then.
        """
        for start in range(0, len(actions), ACTIONS_PER_TRANSACTION):
            stop = start + ACTIONS_PER_TRANSACTION
            texts = [action.as_buffer().to_pybytes() for action in actions[start:stop]]
            self._check_size(texts)
            chosen = [operations] * len(texts) if isinstance(operations, str) else operations[start:stop]
            self.flight.submit(_Transaction(self, list(zip(chosen, texts, strict=True))))

    def _check_size(self, actions: Sequence[bytes]) -> None:
        if sum(map(len, actions)) <= _LARGEST:  # their JSON is no shorter than they are
            return
        size = sum(_size_of(orjson.loads(action)) for action in actions)
        if size > _LARGEST:
            first, last = (show_key(key_of_action(actions[place], self.key_names)) for place in (0, -1))
            raise OptionError(
                "atomic",
                f"is true, and the {len(actions)} rows from {first} to {last} for table '{self.flight.requests.table}', which "
                f"are to be one transaction, come to {size:,} bytes; DynamoDB takes {_LARGEST:,}. Keep large values in S3 and "
                "their address here, or leave out the option",
            )


class _Transaction:
    """One transaction: its rows, as pairs of operation and action, that are not done yet."""

    __slots__ = ("_is_lost", "_is_renewed", "_rows", "_token", "_writer", "size")

    def __init__(self, writer: TransactionWriter, rows: list[tuple[str, bytes]]) -> None:
        self._writer = writer
        self._rows = rows
        self._is_lost = writer.repeated
        self._is_renewed = False
        self._token = str(uuid.uuid4())
        self.size = sum(len(action) for _, action in rows)

    @property
    def operation(self) -> str:
        return self._rows[0][0]

    @property
    def left(self) -> int:
        return len(self._rows)

    def send(self) -> None:
        requests = self._writer.flight.requests
        while self._rows:
            passing = self._send_once()
            if passing is None:
                continue
            kind = "unprocessed" if passing.code == "TransactionConflict" else "throttles"
            requests.counts.add(retries=1, **{kind: 1})
            if kind == "throttles":
                requests.throttled(passing.code)
            if not requests.backoff.failed(kind):
                key = show_key(self.keys(1)[0])
                raise explain_cancelled(requests.table, key, passing, requests.backoff.tried())

    def keys(self, most: int) -> list[dict[str, object]]:
        return [key_of_action(action, self._writer.key_names) for _, action in self._rows[:most]]

    def _send_once(self) -> Cancellation | None:
        """Send what is left; the reason where it was cancelled for now, None where it was dealt with."""
        requests = self._writer.flight.requests
        body, count = self._body(), len(self._rows)
        estimated = _UNITS * write_units(len(body), count)
        with requests.budget.reserve(requests.stop, most=count, each=estimated / count) as reservation:
            try:
                answer = requests.send(
                    "TransactWriteItems", body, done=lambda content: False, lost=self._lose, reservation=reservation
                )
            except RequestFailedError as error:
                reservation.settle(estimated, items=count)
                requests.counts.add(bytes=len(body))
                return self._cancelled(error)
            units = consumed_write_units(orjson.loads(answer))
            reservation.settle(estimated if units is None else units, items=count)
        requests.backoff.succeeded()
        requests.counts.add(items=count, units=units or 0.0, bytes=len(body))
        self._rows = []
        return None

    def _body(self) -> bytes:
        items = b",".join(b'{"%s":%s}' % (_NAME_OF[operation], action) for operation, action in self._rows)
        return b'{"TransactItems":[%s],"ClientRequestToken":"%s","ReturnConsumedCapacity":"TOTAL"}' % (
            items,
            self._token.encode(),
        )

    def _lose(self) -> None:
        self._is_lost = True

    def _renew(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Go on with those rows, which are another transaction and need another token."""
        self._rows = list(rows)
        self._token = str(uuid.uuid4())

    def _cancelled(self, error: RequestFailedError) -> Cancellation | None:
        """Deal with a cancelled transaction: the reason where it may succeed later, else None."""
        if error.code == "IdempotentParameterMismatchException" and not self._is_renewed:
            self._is_renewed = True  # something on the way has changed an earlier request of that token
            self._is_lost = True
            self._renew(self._rows)
            return None
        reasons = cancellations(error)
        if not reasons or len(reasons) != len(self._rows):
            raise error
        for row, reason in zip(self._rows, reasons, strict=True):
            if reason.unfit and self._writer.unfit:
                self._writer.flight.requests.backoff.succeeded()
                self._refuse_all(reasons, self._writer.unfit)
                return None
            if not (reason.is_none or reason.is_condition or reason.passes):
                self._rows = [row, *(other for other in self._rows if other is not row)]  # the one to name comes first
                key = show_key(key_of_action(row[1], self._writer.key_names))
                raise explain_cancelled(self._writer.flight.requests.table, key, reason) from error
        if any(reason.is_condition for reason in reasons):
            self._writer.flight.requests.backoff.succeeded()
            self._condition_failed(reasons)
            return None
        passing = [reason for reason in reasons if reason.passes]
        if not passing:
            raise error
        return passing[0]

    def _condition_failed(self, reasons: Sequence[Cancellation]) -> None:
        """Take rows out that are proven done, or refuse all."""
        counts = self._writer.flight.requests.counts
        failed = [(row, reason) for row, reason in zip(self._rows, reasons, strict=True) if reason.is_condition]
        if self._is_lost and all(
            is_done(operation, orjson.loads(action), reason.stored) for (operation, action), reason in failed
        ):
            counts.add(items=len(failed), found=len(failed), retries=len(failed) < len(self._rows))
            self._renew(row for row, reason in zip(self._rows, reasons, strict=True) if not reason.is_condition)
            return
        counts.add(refused=len(self._rows))
        self._refuse_all(reasons, self._writer.refused)

    def _refuse_all(self, reasons: Sequence[Cancellation], refused: Callable[[Refused], None]) -> None:
        """Hand over all rows, each with its own reason or with the key of the first that has one."""
        own = [
            reason_of(operation, reason.stored) if reason.is_condition else reason.unfit
            for (operation, _), reason in zip(self._rows, reasons, strict=True)
        ]
        first = next(action for (_, action), why in zip(self._rows, own, strict=True) if why)
        cancelled = (
            f"its transaction was cancelled: row {show_key(key_of_action(first, self._writer.key_names))} was refused"
        )
        for (operation, action), reason, why in zip(self._rows, reasons, own, strict=True):
            stored = reason.stored if reason.is_condition else None
            refused(Refused(operation, action, stored, why or cancelled))
        self._rows = []


def _size_of(action: Mapping[str, Any]) -> int:
    """The bytes that an action writes; of an update those of its values, with which the stored item may be larger still."""
    written = action.get("Item") or {**action["Key"], **action.get("ExpressionAttributeValues", {})}
    return item_size(written)
