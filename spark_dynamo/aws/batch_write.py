"""BatchWriteItem in bulk: the JSON text of items becomes full requests, several of them under way at once.

What DynamoDB leaves unprocessed is sent again, with backoff, until it is done or the patience is over.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from spark_dynamo.aws.failures import explain_unprocessed, unfit_row
from spark_dynamo.aws.in_flight import Flight, consumed_write_units, write_units
from spark_dynamo.aws.single_write import Refused
from spark_dynamo.errors import RequestFailedError

ITEMS_PER_REQUEST = 25
_LARGEST_BODY = 14_000_000  # bytes; DynamoDB takes 16 MB, and a body of fewer items is no slower


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of entry in a BatchWriteItem request: its name, the name of what it holds, and the operation that it is."""

    name: str
    content: str
    operation: str


PUT = Entry("PutRequest", "Item", "put")
DELETE = Entry("DeleteRequest", "Key", "delete")


class BatchWriter:
    """Puts items or deletes keys by BatchWriteItem; `flight` is the task's, which other senders may share.

    `unfit` is called from the flight's threads for each row that DynamoDB can't take; where there is none, such a row ends the
    task, and the other rows of its request are not written.

    >>> from spark_dynamo.aws.requests import Requests
    >>> def write(requests: Requests, items: pa.StringArray) -> None:
    ...     with Flight(requests) as flight:
    ...         BatchWriter(flight, ["id"]).send(items)
    """

    def __init__(
        self, flight: Flight, key_names: Sequence[str], *, unfit: Callable[[Refused], None] | None = None
    ) -> None:
        self.flight = flight
        self.key_names = key_names
        self.unfit = unfit

    def send(self, texts: pa.StringArray, entry: Entry = PUT) -> None:
        """Queue one put or delete for each text, which is the JSON of an item or of a key; no two with the same key.

        Returns when the requests are queued, raises as `Flight.submit` does.
        """
        for body, count in request_bodies(self.flight.requests.table, texts, entry):
            self.flight.submit(_Batch(self, entry, body, count))


class _Batch:
    """One request, and what of it is not written yet."""

    __slots__ = ("_body", "_entry", "_writer", "left", "size")

    def __init__(self, writer: BatchWriter, entry: Entry, body: bytes, count: int) -> None:
        self._writer = writer
        self._entry = entry
        self._body = body
        self.left = count
        self.size = len(body)

    @property
    def operation(self) -> str:
        return self._entry.operation

    def send(self) -> None:
        requests = self._writer.flight.requests
        while self.left:
            try:
                sent_at, unprocessed = self._send_once()
            except RequestFailedError as error:
                unfit = unfit_row(error)
                if unfit is None or self._writer.unfit is None:
                    raise
                requests.backoff.succeeded()
                self._send_apart(unfit)
                continue
            if unprocessed:
                requests.throttled("UnprocessedItems")
                if not requests.backoff.failed(sent_at=sent_at):
                    raise explain_unprocessed("items", requests.table, requests.backoff.tried())

    def _send_apart(self, unfit: str) -> None:
        """DynamoDB refuses a request for one of its rows, and does not say which: send each by itself."""
        entries = self._entries()
        if len(entries) == 1:
            assert self._writer.unfit is not None
            action = orjson.dumps(entries[0][self._entry.name])
            self._writer.unfit(Refused(self.operation, action, None, unfit))
            self.left = 0
        while self.left:
            _Batch(self._writer, self._entry, self._joined(entries[:1]), 1).send()
            entries = entries[1:]
            self.left, self._body = len(entries), self._joined(entries)

    def keys(self, most: int) -> list[dict[str, object]]:
        contents = [entry[self._entry.name][self._entry.content] for entry in self._entries()[:most]]
        return [{name: next(iter(item[name].values())) for name in self._writer.key_names} for item in contents]

    def _send_once(self) -> tuple[float, int]:
        """Send as much as the budget allows for; when that was, and how many items DynamoDB left unprocessed."""
        requests = self._writer.flight.requests
        each = write_units(len(self._body), self.left) / self.left
        with requests.budget.reserve(requests.stop, most=self.left, each=each) as reservation:
            body, count, later = self._part(reservation.limit)
            sent_at = time.monotonic()
            answer = orjson.loads(
                requests.send("BatchWriteItem", body, done=lambda content: False, reservation=reservation)
            )
            unprocessed = [entry for left in (answer.get("UnprocessedItems") or {}).values() for entry in left]
            done = count - len(unprocessed)
            units = consumed_write_units(answer)
            reservation.settle(each * done if units is None else units, items=done)
        requests.backoff.answered(done, count)
        has_left = bool(unprocessed)
        requests.counts.add(items=done, units=units or 0.0, bytes=len(body), retries=has_left, unprocessed=has_left)
        self.left -= done
        if unprocessed or later:
            self._body = self._joined(unprocessed + later)
        return sent_at, len(unprocessed)

    def _part(self, limit: int | None) -> tuple[bytes, int, list[Any]]:
        """The body of a request of at most that many items, their number, and the entries that are left for later."""
        if limit is None or limit >= self.left:
            return self._body, self.left, []
        entries = self._entries()
        return self._joined(entries[:limit]), limit, entries[limit:]

    def _entries(self) -> list[Any]:
        (entries,) = orjson.loads(self._body)["RequestItems"].values()
        return list(entries)

    def _joined(self, entries: list[Any]) -> bytes:
        table = self._writer.flight.requests.table
        return orjson.dumps({"RequestItems": {table: entries}, "ReturnConsumedCapacity": "TOTAL"})


def request_bodies(table: str, texts: pa.StringArray, entry: Entry = PUT) -> Iterator[tuple[bytes, int]]:
    """The bodies of BatchWriteItem requests that put those items, or delete those keys, each with their number.

    >>> next(request_bodies("t", pa.array(['{"id":{"S":"a"}}'])))[0].decode()
    '{"RequestItems":{"t":[{"PutRequest":{"Item":{"id":{"S":"a"}}}}]},"ReturnConsumedCapacity":"TOTAL"}'
    """
    head = b'{"RequestItems":{' + orjson.dumps(table) + b":["
    tail = b']},"ReturnConsumedCapacity":"TOTAL"}'
    entries = pc.binary_join_element_wise(f'{{"{entry.name}":{{"{entry.content}":', texts, "}}", "")
    bounds = [*group_bounds(entries, ITEMS_PER_REQUEST, _LARGEST_BODY)]
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), entries), ",")
    for index, (start, stop) in enumerate(pairwise(bounds)):
        yield head + joined[index].as_buffer().to_pybytes() + tail, stop - start


def group_bounds(texts: pa.StringArray, most: int, largest: int) -> Iterator[int]:
    """Where requests begin and end: at `most` texts, or earlier where they would come to more than `largest` bytes.

    >>> list(group_bounds(pa.array(["aaaa", "bb", "c", "d"]), 3, 5))
    [0, 1, 4]
    """
    yield 0
    ends = pc.cumulative_sum(pc.binary_length(texts).cast(pa.int64())).to_numpy()
    start = 0
    while start < len(texts):
        stop = min(start + most, len(texts))
        before = ends[start - 1] if start else 0
        while stop > start + 1 and ends[stop - 1] - before > largest:
            stop -= 1
        yield stop
        start = stop
