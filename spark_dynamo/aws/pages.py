"""The pages of Scans, Queries and reads of keys: several chains of requests at once while the caller decodes.

What is needed of a page's fields is cut out of its bytes; the items in it are left to the caller. That is safe because the
value of an attribute is always `{"TAG":...}`, and the quotes inside a string are escaped: so neither a bare number nor an
object with several members ever follows an attribute of such a name.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Literal

import orjson

from spark_dynamo.aws.budget import PAGE_UNITS, Reservation
from spark_dynamo.aws.failures import explain_unprocessed
from spark_dynamo.aws.requests import ChainCounts, Requests
from spark_dynamo.errors import InvalidResponseError

logger = logging.getLogger(__name__)

KEYS_PER_REQUEST = 100
_FULL_ANSWER = 8_000_000  # bytes; what DynamoDB left out of a larger answer had no room in its 16 MB
_NEAR = 4_000  # bytes
_UNITS = re.compile(rb'"ConsumedCapacity":[\s\[{]*[\[{][^{}]*?"CapacityUnits":\s*([0-9.eE+-]+)')
_SCANNED = re.compile(rb'"ScannedCount":\s*(\d+)')
_RETURNED = re.compile(rb'"Count":\s*(\d+)')
_NOTHING_LEFT = re.compile(rb'"UnprocessedKeys":\s*(?:\{\s*\}|null)')


@dataclass(frozen=True, slots=True)
class Chain:
    """Requests that follow one another, each beginning where the last one ended: a segment, a query or a batch of keys.

    `parameters` are the request's in DynamoDB JSON but for table, ExclusiveStartKey and ReturnConsumedCapacity; those of a
    BatchGetItem are the table's, with any number of Keys, no two of them equal.

    >>> Chain("Scan", {"Segment": 3, "TotalSegments": 64}, "segment 3").label
    'segment 3'
    """

    operation: Literal["Scan", "Query", "BatchGetItem", "GetItem"]
    parameters: Mapping[str, Any]
    label: str


@dataclass(frozen=True, slots=True)
class _Page:
    walk: _Walk
    body: bytes


def fetch_pages(requests: Requests, chains: Sequence[Chain], *, concurrency: int) -> Iterator[bytes]:
    """The bodies of all pages of those chains, in no order; pages without items are among them.

    At most `concurrency` requests are under way or waiting for the caller, so memory is bounded by as many pages of 1 MB
    (16 MB from BatchGetItem). The next page of a chain is asked for before the caller gets the last one. Closing the
    iterator ends the requests. Raises what `Requests.send` raises.
    """
    waiting = deque(chains)
    next_walks: SimpleQueue[_Walk | None] = SimpleQueue()
    finished: SimpleQueue[_Page | BaseException] = SimpleQueue()

    def fetch() -> None:
        while (walk := next_walks.get()) is not None:
            try:
                finished.put(_Page(walk, walk.next_page()))
            except BaseException as error:  # every failure must reach the caller, or it would wait forever
                finished.put(error)

    threads: list[threading.Thread] = []
    try:
        while waiting and len(threads) < concurrency:
            next_walks.put(_Walk(requests, waiting.popleft()))
            # a daemon: a request that nobody answers must not keep the interpreter from ending
            thread = threading.Thread(target=fetch, name=f"dynamodb-read-{len(threads)}", daemon=True)
            thread.start()
            threads.append(thread)
        under_way = len(threads)
        while under_way:
            page = finished.get()
            if isinstance(page, BaseException):
                raise page
            if not page.walk.is_over:
                next_walks.put(page.walk)
            elif waiting:
                next_walks.put(_Walk(requests, waiting.popleft()))
            else:
                under_way -= 1
            yield page.body
    finally:
        requests.stop.set()
        for _ in threads:
            next_walks.put(None)


def fetch_in_turn(requests: Requests, chains: Sequence[Chain], limit: Callable[[], int | None]) -> Iterator[bytes]:
    """The bodies of the pages of those chains one after the other, of which none is asked for before the caller wants it.

    For callers who may have had enough at any page: `limit` says how many items the next one shall have at most, None for as many
    as DynamoDB gives. Raises what `Requests.send` raises.
    """
    for chain in chains:
        walk = _Walk(requests, chain)
        while not walk.is_over:
            walk.limit = limit()
            yield walk.next_page()


class _Walk:
    """A chain on its way: where its next request begins. One thread at a time asks it for a page."""

    def __init__(self, requests: Requests, chain: Chain) -> None:
        self.is_over = False
        self.limit: int | None = None  # items of the next page of a Scan or Query
        self._requests = requests
        self._operation = chain.operation
        self._parameters = dict(chain.parameters)
        self._keys: list[Any] = list(self._parameters.pop("Keys", ()))
        self._is_consistent = bool(self._parameters.get("ConsistentRead"))
        self._is_throttled = False
        self._sent_at = 0.0
        self._counts = ChainCounts(chain.label)
        requests.chains.append(self._counts)

    def next_page(self) -> bytes:
        """The body of the next page; afterwards `is_over` tells whether it was the last."""
        try:
            match self._operation:
                case "BatchGetItem":
                    body = self._next_batch()
                case "GetItem":
                    body = self._only_item()
                case _:
                    body = self._next_part()
        except orjson.JSONDecodeError as error:  # not damaged on its way: its CRC32 is right
            raise InvalidResponseError(self._requests.table, str(error), error) from error
        if self.is_over:
            logger.debug("table %s, %s", self._requests.table, self._counts)
        return body

    def _next_part(self) -> bytes:
        """The next page of a Scan or Query."""
        with self._reserve(None) as reservation:
            given = (self._parameters.get("Limit"), self.limit, reservation.limit)
            limits = [limit for limit in given if limit is not None]
            limit = {"Limit": min(limits)} if limits else {}
            body = self._send(self._operation, {**self._table(), **self._parameters, **limit}, reservation)
            items = scanned_items(body)
            key = next_key(body)
            is_whole = key is not None and items and items != limit.get("Limit")  # DynamoDB ended it at 1 MB
            self._count(body, reservation, items, PAGE_UNITS * (1 + self._is_consistent) if is_whole else None)
        self._parameters["ExclusiveStartKey"] = key
        self.is_over = key is None
        return body

    def _only_item(self) -> bytes:
        with self._reserve(1) as reservation:
            body = self._send("GetItem", {**self._table(), **self._parameters}, reservation)
            self._count(body, reservation, 1)
        self.is_over = True
        return body

    def _next_batch(self) -> bytes:
        """The answer for the next keys; those that it leaves unprocessed come first in the next request."""
        backoff = self._requests.backoff
        if self._is_throttled and not backoff.failed(sent_at=self._sent_at):
            raise explain_unprocessed("keys", self._requests.table, backoff.tried())
        with self._reserve(min(KEYS_PER_REQUEST, len(self._keys))) as reservation:
            asked, later = self._keys[: reservation.limit], self._keys[reservation.limit :]
            request = {"RequestItems": {self._requests.table: {**self._parameters, "Keys": asked}}}
            self._sent_at = time.monotonic()
            body = self._send("BatchGetItem", {**request, "ReturnConsumedCapacity": "TOTAL"}, reservation)
            left = unprocessed_keys(body)
            self._count(body, reservation, len(asked) - len(left))
        self._is_throttled = bool(left) and len(body) < _FULL_ANSWER
        answered = len(asked) - len(left)
        backoff.answered(answered, len(asked) if self._is_throttled else answered)
        if self._is_throttled:
            self._requests.counts.add(retries=1, unprocessed=1)
            self._requests.throttled("UnprocessedKeys")
        self._keys = left + later
        self.is_over = not self._keys
        return body

    def _table(self) -> dict[str, str]:
        return {"TableName": self._requests.table, "ReturnConsumedCapacity": "TOTAL"}

    def _reserve(self, most: int | None) -> Reservation:
        factor = 1 + self._is_consistent
        return self._requests.budget.reserve(
            self._requests.stop, most=most, each=0.5 * factor, page=PAGE_UNITS * factor
        )

    def _send(self, operation: str, request: Mapping[str, Any], reservation: Reservation) -> bytes:
        is_done = operation != "BatchGetItem"  # whether such an answer got something done is yet to be seen
        return self._requests.send(operation, orjson.dumps(request), done=lambda body: is_done, reservation=reservation)

    def _count(self, body: bytes, reservation: Reservation, items: int, page_units: float | None = None) -> None:
        """Account for an answer: what it consumed, or would have where the server does not tell."""
        units = paid = consumed_units(body) or 0.0
        if not units:
            returned = returned_items(body) or items
            paid = page_units or self._requests.budget.estimate(
                items,
                item_bytes=len(body) / returned if returned else None,
                separately=self._operation in ("BatchGetItem", "GetItem"),
                consistent=self._is_consistent,
            )
        reservation.settle(paid, items=items)
        self._requests.counts.add(bytes=len(body), items=items, units=units)
        self._counts.add(items, len(body))


def next_key(body: bytes) -> dict[str, Any] | None:
    """The LastEvaluatedKey of a page, None on the last page, without parsing the page's items.

    >>> next_key(b'{"Items":[{"id":{"S":"a"}}],"LastEvaluatedKey":{"id":{"S":"a"}}}')
    {'id': {'S': 'a'}}
    """
    key: dict[str, Any] | None = _last_field(body, "LastEvaluatedKey")
    return key


def unprocessed_keys(body: bytes) -> list[dict[str, Any]]:
    """The keys that an answer of BatchGetItem leaves to be asked for again.

    >>> unprocessed_keys(b'{"Responses":{"t":[]},"UnprocessedKeys":{"t":{"Keys":[{"id":{"S":"a"}}]}}}')
    [{'id': {'S': 'a'}}]
    >>> unprocessed_keys(b'{"Responses":{"t":[]},"UnprocessedKeys":{}}')
    []
    """
    if _search(_NOTHING_LEFT, b'"UnprocessedKeys":', body):
        return []
    tables = _last_field(body, "UnprocessedKeys") or {}
    return [key for table in tables.values() for key in table["Keys"]]


def consumed_units(body: bytes) -> float | None:
    """The capacity units that an answer says it consumed, None where it does not say.

    >>> consumed_units(b'{"ConsumedCapacity":{"CapacityUnits":128.5,"TableName":"t"},"Items":[]}')
    128.5
    """
    found = _search(_UNITS, b'"ConsumedCapacity":', body)
    return None if found is None else float(found)


def scanned_items(body: bytes) -> int:
    """How many items DynamoDB read for a page, before any filter; 0 where it does not say."""
    return int(_search(_SCANNED, b'"ScannedCount":', body) or 0)


def returned_items(body: bytes) -> int:
    """How many items a page has; 0 where it does not say, as an answer of BatchGetItem does not."""
    return int(_search(_RETURNED, b'"Count":', body) or 0)


def _search(pattern: re.Pattern[bytes], name: bytes, body: bytes) -> bytes | None:
    """What the pattern takes from behind the name, which mostly stands near one of the answer's ends."""
    for first, last in ((0, _NEAR), (max(0, len(body) - _NEAR), len(body)), (0, len(body))):
        start = body.find(name, first, last)
        while start >= 0:
            found = pattern.match(body, start)
            if found:
                return found.group(pattern.groups)
            start = body.find(name, start + 1, last)
    return None


def _last_field(body: bytes, name: str) -> Any:
    """The value of a field of the answer itself; ValueError where that is no JSON.

    What follows the last place where the name stands is parsed as an object; if that place were inside an item, brackets
    would be left over, and the whole answer is parsed instead.
    """
    start = body.rfind(b'"%s":' % name.encode())
    if start < 0:
        return None
    try:
        answer = orjson.loads(b"{" + body[start:])
    except orjson.JSONDecodeError:
        answer = orjson.loads(body)
    return answer.get(name)
