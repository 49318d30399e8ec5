"""BatchWriteItem in bulk: the JSON text of items becomes full requests, several of them under way at once.

What DynamoDB leaves unprocessed is sent again, with backoff, until it is done or the patience is over.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from spark_dynamo.aws.failures import explain_unprocessed
from spark_dynamo.aws.requests import Requests, Stopped
from spark_dynamo.errors import DynamoDBWrapperError, UnwrittenItemsError

ITEMS_PER_REQUEST = 25
_LARGEST_BODY = 14_000_000  # bytes; DynamoDB takes 16 MB, and a body of fewer items is no slower
_SHOWN_KEYS = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind of entry in a BatchWriteItem request: its name, and the name of what it holds."""

    name: str
    content: str


PUT = Entry("PutRequest", "Item")
DELETE = Entry("DeleteRequest", "Key")


class BatchWriter:
    """Puts items or deletes keys by BatchWriteItem, at most `concurrency` requests at once; use it as a context manager.

    `send` returns as soon as the requests are queued, and waits where too many are; leaving the context waits for all. No two
    texts of one `send` may have the same key. Raises `UnwrittenItemsError`, with the first keys and the cause, where DynamoDB
    refuses items or does not take them in time.
    """

    def __init__(self, requests: Requests, key_names: Sequence[str], *, concurrency: int, entry: Entry = PUT) -> None:
        self._requests = requests
        self._entry = entry
        self._key_names = key_names
        self._room = threading.Semaphore(concurrency * 2)
        self._pool = ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="dynamodb-write")
        self._pending: set[Future[None]] = set()
        self._queued = 0
        self._failure: tuple[Exception, bytes] | None = None

    def __enter__(self) -> BatchWriter:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is not None:
            self._requests.stop.set()
        try:
            if kind is None:
                self.wait()
        finally:
            self._requests.stop.set()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def send(self, texts: pa.StringArray) -> None:
        """Queue one put or delete for each text, which is the JSON of an item or of a key."""
        for body, count in request_bodies(self._requests.table, texts, self._entry):
            self._room.acquire()
            if self._failure is not None:
                self._room.release()
                self.wait()
            self._queued += count
            future = self._pool.submit(self._write, body, count)
            self._pending.add(future)
            future.add_done_callback(self._done)

    def wait(self) -> None:
        """Return when all that was queued is written; raise `UnwrittenItemsError` where some of it could not be."""
        for future in list(self._pending):
            if not future.cancelled():
                future.exception()
        if self._failure is not None:
            error, body = self._failure
            if not isinstance(error, DynamoDBWrapperError):
                raise error
            (entries,) = orjson.loads(body)["RequestItems"].values()
            keys = [self._key(entry) for entry in entries[:_SHOWN_KEYS]]
            count = self._queued - self._requests.counts.items
            raise UnwrittenItemsError(self._requests.table, count, keys, error) from error

    def _done(self, future: Future[None]) -> None:
        self._pending.discard(future)
        self._room.release()

    def _write(self, body: bytes, count: int) -> None:
        try:
            while count:
                body, left = self._write_once(body, count)
                if left:
                    self._requests.throttled("UnprocessedItems")
                    if not self._requests.backoff.failed():
                        raise explain_unprocessed("items", self._requests.table, self._requests.backoff.tried())
                count = left
        except Stopped:
            return
        except Exception as error:  # whatever it is, the caller must hear of it
            if self._failure is None:
                self._failure = (error, body)
            self._requests.stop.set()

    def _write_once(self, body: bytes, count: int) -> tuple[bytes, int]:
        """Send a body of `count` items; the body and the number of those that DynamoDB left unprocessed."""
        counts = self._requests.counts
        answer = orjson.loads(self._requests.send("BatchWriteItem", body, done=lambda content: False))
        unprocessed = answer.get("UnprocessedItems") or {}
        left = sum(map(len, unprocessed.values()))
        if left < count:
            self._requests.backoff.succeeded()
        units = sum(float(table["CapacityUnits"]) for table in answer.get("ConsumedCapacity") or ())
        counts.add(items=count - left, units=units, bytes=len(body), retries=bool(left), unprocessed=bool(left))
        if left:
            body = orjson.dumps({"RequestItems": unprocessed, "ReturnConsumedCapacity": "TOTAL"})
        return body, left

    def _key(self, entry: Mapping[str, Any]) -> dict[str, object]:
        item = entry[self._entry.name][self._entry.content]
        return {name: next(iter(item[name].values())) for name in self._key_names}


def request_bodies(table: str, texts: pa.StringArray, entry: Entry = PUT) -> Iterator[tuple[bytes, int]]:
    """The bodies of BatchWriteItem requests that put those items, or delete those keys, each with their number.

    >>> next(request_bodies("t", pa.array(['{"id":{"S":"a"}}'])))[0].decode()
    '{"RequestItems":{"t":[{"PutRequest":{"Item":{"id":{"S":"a"}}}}]},"ReturnConsumedCapacity":"TOTAL"}'
    """
    head = b'{"RequestItems":{' + orjson.dumps(table) + b":["
    tail = b']},"ReturnConsumedCapacity":"TOTAL"}'
    entries = pc.binary_join_element_wise(f'{{"{entry.name}":{{"{entry.content}":', texts, "}}", "")
    bounds = list(_bounds(entries))
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), entries), ",")
    for index, (start, stop) in enumerate(pairwise(bounds)):
        yield head + joined[index].as_buffer().to_pybytes() + tail, stop - start


def _bounds(entries: pa.StringArray) -> Iterator[int]:
    """Where requests begin and end: every 25 items, or earlier where the body would grow too large."""
    yield 0
    ends = pc.cumulative_sum(pc.binary_length(entries).cast(pa.int64())).to_numpy()
    start = 0
    while start < len(entries):
        stop = min(start + ITEMS_PER_REQUEST, len(entries))
        before = ends[start - 1] if start else 0
        while stop > start + 1 and ends[stop - 1] - before > _LARGEST_BODY:
            stop -= 1
        yield stop
        start = stop
