"""What an operation of a repository asks of the outside, one step after the other: all IO there is, and none of the logic.

An operation is a generator: it yields steps and is sent what each came to, and its return value is the operation's result.
`run` performs the steps; an operation is tested without a server by sending it answers.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import orjson

from spark_dynamo.aws.attempts import Attempts
from spark_dynamo.aws.batch_write import BatchWriter, Entry
from spark_dynamo.aws.failures import Cancellation, cancellations, failed_condition
from spark_dynamo.aws.in_flight import Flight, consumed_write_units
from spark_dynamo.aws.pages import KEYS_PER_REQUEST, Chain, consumed_units, fetch_pages, returned_items
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.tables import TableDescription
from spark_dynamo.errors import RequestFailedError
from spark_dynamo.metadata.access import Access
from spark_dynamo.metadata.caching.base import Cache
from spark_dynamo.telemetry import Operation as Observed
from spark_dynamo.telemetry import operation as observe

__all__ = [
    "Answer",
    "Ask",
    "Describe",
    "Found",
    "Paged",
    "ReadKeys",
    "Step",
    "Steps",
    "Transact",
    "WriteAll",
    "run",
    "run_pages",
]

R = TypeVar("R")
Y = TypeVar("Y")

_READS = ("GetItem", "Query", "Scan")
_CONCURRENCY = 8


class Step(Protocol):
    """Something to be done outside."""

    def perform(self, access: Access) -> Any:
        """Do it, and give what it came to; raises errors of `spark_dynamo.errors`."""
        ...


# what an operation with a result is, and one that gives pages
Steps: TypeAlias = Generator[Step, Any, R]
Paged: TypeAlias = Generator["Step | Found[R]", Any, None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request came to: the answer's body, or why its condition was not met.

    `is_lost` says that the request was sent more than once, and that an earlier attempt may have taken effect.
    """

    body: bytes = b""
    refused: Cancellation | None = None
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. A read with `keep` may be answered by a cache: `keep` names the item that it is about, "" for others.

    `changes` names the items that a write changes, `pipeline` is the id of the one pipeline that the request is about.
    """

    operation: str
    table: str
    request: Mapping[str, Any]
    keep: str | None = None
    changes: tuple[str, ...] = ()
    pipeline: str | None = None

    def perform(self, access: Access) -> Answer:
        """The answer; RequestFailedError, ConnectionError or AccessDeniedError where there is none."""
        if self.keep is not None and access.cache is not None:
            scope = access.scope(self.table)
            if scope is not None:
                named = orjson.dumps([self.operation, self.request], option=orjson.OPT_SORT_KEYS)
                found = access.cache.read(
                    scope, named, self.keep, lambda: self._send(access).body, lambda body: not _is_absent(body)
                )
                return Answer(found)
        return self._send(access)

    def _send(self, access: Access) -> Answer:
        requests = Attempts(access.connection, self.table)
        access.enter(requests)
        is_read = self.operation in _READS
        with observe(self.operation, table=self.table, pipeline=self.pipeline) as observed:
            try:
                body, refused = requests.send(self.operation, orjson.dumps(self.request)), None
            except RequestFailedError as error:
                body, refused = b"", failed_condition(error)
                if refused is None:
                    raise
            finally:
                observed.retries += requests.counts.retries
                if not is_read and access.cache is not None:  # also where it failed: it may have taken effect
                    _tell(access, access.cache, self.table, self.changes)
            observed.units += consumed_units(body) or 0.0
            if self.operation == "GetItem":
                observed.items += not _is_absent(body)
            else:
                observed.items += returned_items(body) if is_read else not refused
        return Answer(body, refused, requests.is_lost)


@dataclass(frozen=True, slots=True)
class Describe:
    """Look at a table's keys and indexes."""

    table: str

    def perform(self, access: Access) -> TableDescription | None:
        """What the server tells, None where this user may not see it."""
        return access.describe(self.table)


@dataclass(frozen=True, slots=True)
class ReadKeys:
    """The items with those keys, none of them twice, by BatchGetItem: several requests at once."""

    table: str
    keys: Sequence[bytes]
    consistent_read: bool

    def perform(self, access: Access) -> list[bytes]:
        """The bodies of the answers, in no order."""
        requests = Requests(access.connection, self.table)
        access.enter(requests)
        share = -(-len(self.keys) // _CONCURRENCY)
        size = -(-share // KEYS_PER_REQUEST) * KEYS_PER_REQUEST
        chains = [
            Chain(
                "BatchGetItem",
                {
                    "Keys": [orjson.loads(key) for key in self.keys[start : start + size]],
                    "ConsistentRead": self.consistent_read,
                },
                f"keys from {start:,}",
            )
            for start in range(0, len(self.keys), size)
        ]
        with observe("BatchGetItem", table=self.table) as observed:
            bodies = list(fetch_pages(requests, chains, concurrency=_CONCURRENCY))
            observed.retries += requests.counts.retries
            observed.units += requests.counts.units
            observed.items += requests.counts.items
        return bodies


@dataclass(frozen=True, slots=True)
class WriteAll:
    """Put items, or delete keys, none of them twice, by BatchWriteItem: several requests at once."""

    table: str
    key_names: Sequence[str]
    texts: Any
    entry: Entry

    def perform(self, access: Access) -> None:
        """Return when all is done; UnwrittenItemsError, with the first keys, where it could not be."""
        requests = Requests(access.connection, self.table)
        access.enter(requests)
        with observe("BatchWriteItem", table=self.table) as observed:
            try:
                with Flight(requests) as flight:
                    BatchWriter(flight, self.key_names).send(self.texts, self.entry)
            finally:
                observed.retries += requests.counts.retries
                observed.units += requests.counts.units
                observed.items += requests.counts.items
                if access.cache is not None:
                    _tell(access, access.cache, self.table, None)


@dataclass(frozen=True, slots=True)
class Transact:
    """Actions in several tables, all of them or none, by TransactWriteItems; `changes` are the items of each table.

    Each of `caches` is told of all of them. `pipeline` is the id of the one pipeline that they are about.

    The token by which DynamoDB knows a request that it has done makes it safe to repeat.
    """

    actions: Sequence[Mapping[str, Any]]
    changes: Mapping[str, Sequence[str]]
    caches: Sequence[Cache] = ()
    pipeline: str | None = None

    def perform(self, access: Access) -> tuple[list[Cancellation] | None, bool]:
        """The reasons of the cancellation, None where there was none, and whether an earlier attempt may have taken effect."""
        requests = Attempts(access.connection, next(iter(self.changes)))
        access.enter(requests)
        token = str(uuid.uuid4())
        body = orjson.dumps(
            {"TransactItems": self.actions, "ClientRequestToken": token, "ReturnConsumedCapacity": "TOTAL"}
        )
        with observe("TransactWriteItems", table=requests.table, pipeline=self.pipeline) as observed:
            try:
                for _ in range(access.connection.max_attempts - 1):
                    reasons = self._send(requests, body, observed)
                    if reasons is None or not any(reason.passes for reason in reasons):
                        break
                    if any(reason.is_condition for reason in reasons):
                        break
                    requests.counts.add(retries=1, unprocessed=1)
                    requests.backoff.failed()
                else:
                    reasons = self._send(requests, body, observed)
            finally:
                observed.retries += requests.counts.retries
                for cache in self.caches:
                    for table, changes in self.changes.items():
                        _tell(access, cache, table, changes)
        return reasons, requests.is_lost

    def _send(self, requests: Attempts, body: bytes, observed: Observed) -> list[Cancellation] | None:
        try:
            answer = requests.send("TransactWriteItems", body)
        except RequestFailedError as error:
            reasons = cancellations(error)
            if not reasons or len(reasons) != len(self.actions):
                raise
            return reasons
        observed.units += consumed_write_units(orjson.loads(answer)) or 0.0
        observed.items += len(self.actions)
        return None


@dataclass(frozen=True, slots=True)
class Found(Generic[R]):
    """No step, but a page of results for the caller of an operation that gives pages."""

    page: R


def run(steps: Steps[R], access: Access) -> R:
    """The result of an operation, whose steps are performed one after the other."""
    try:
        step = next(steps)
        while True:
            step = _advance(steps, step, access)
    except StopIteration as ended:
        result: R = ended.value
        return result


def run_pages(steps: Paged[R], access: Access) -> Generator[R, None, None]:
    """The pages of an operation, each read when it is asked for."""
    try:
        step = next(steps)
        while True:
            if isinstance(step, Found):
                yield step.page
                step = steps.send(None)
            else:
                step = _advance(steps, step, access)
    except StopIteration:
        return
    finally:
        steps.close()


def _advance(steps: Generator[Y, Any, Any], step: Step, access: Access) -> Y:
    """Perform a step, and let the operation go on to the next one."""
    try:
        answer = step.perform(access)
    except BaseException as error:  # the operation may have something to say to it
        return steps.throw(error)
    return steps.send(answer)


def _tell(access: Access, cache: Cache, table: str, changes: Sequence[str] | None) -> None:
    """Tell a cache what was written; None: anything in the table."""
    scope = access.scope(table)
    if scope is not None:
        cache.changed(scope, changes)


def _is_absent(body: bytes) -> bool:
    """Whether an answer of GetItem says that there is no such item."""
    return b'"Item"' not in body and b'"Items"' not in body
