"""A table's items copied into another one, byte for byte: pages of parallel segments become BatchWriteItem requests.

Neither Spark nor a Python object per item has a part in it. Items are put, so that a copy may be stopped at any time and
repeated; an item of the target with the same key is replaced, all others stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa

from spark_dynamo.aws.batch_write import ITEMS_PER_REQUEST, BatchWriter
from spark_dynamo.aws.budget import Budget
from spark_dynamo.aws.client import Connection, dynamodb_client
from spark_dynamo.aws.in_flight import Flight
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.table_names import table_identity
from spark_dynamo.aws.tables import DynamoDBClient, TableDescription, describe_table, ensure_table, wait_until_active
from spark_dynamo.errors import ConfigurationError, TableNotFoundError
from spark_dynamo.source.location import Found
from spark_dynamo.source.read.item_read import ItemRead

__all__ = ["CopyReport", "copy_items", "copy_target"]

_ITEMS_AT_ONCE = 40 * ITEMS_PER_REQUEST
_BYTES_AT_ONCE = 1_000_000
_PROGRESS_INTERVAL = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a copy came to, so far or in the end.

    `read` items are those that DynamoDB looked at, `copied` those that are in the target now. Units are 0 where the server
    doesn't tell them.
    """

    source: str
    target: str
    read: int
    copied: int
    read_units: float
    write_units: float
    seconds: float


def copy_target(source: Found, connection: Connection, name: str, *, create: bool = False) -> Found:
    """The table to copy to, looked at or, with `create`, made with the source's keys and indexes, on demand.

    Raises ConfigurationError where there is none and it is not to be created, where it has other keys than the source, and
    where it is the source.
    """
    client = dynamodb_client(connection)
    try:
        table = describe_table(client, name)
    except TableNotFoundError as error:
        if not create:
            raise ConfigurationError(
                f"There is no table '{name}' to copy to. Have it created with the keys and indexes of '{source.name}', "
                "by --create, or check its name, region and endpoint",
                error,
            ) from error
        table = _create(client, name, source.table)
    target = Found(connection, name, table)
    _check(source, target)
    return target


def copy_items(
    read: ItemRead,
    target: Found,
    *,
    max_write_units: float | None = None,
    progress: Callable[[CopyReport], None] | None = None,
) -> CopyReport:
    """Copy the items of that read; `progress` hears of it some times a second, in the calling thread.

    Raises UnwrittenItemsError where DynamoDB doesn't take an item, and what the read raises.
    """
    started = told = time.monotonic()
    budget = None if max_write_units is None else Budget(max_write_units)
    requests = Requests(target.connection, target.name, budget=budget)

    def report() -> CopyReport:
        return CopyReport(
            source=read.found.table.name,
            target=target.table.name,
            read=read.requests.counts.items,
            copied=requests.counts.items,
            read_units=read.requests.counts.units,
            write_units=requests.counts.units,
            seconds=time.monotonic() - started,
        )

    with closing(read.texts()) as texts, Flight(requests) as flight:
        writer = BatchWriter(flight, [key.name for key in target.table.keys])
        for items in _together(texts):
            writer.send(items)
            if progress is not None and time.monotonic() - told >= _PROGRESS_INTERVAL:
                told = time.monotonic()
                progress(report())
    done = report()
    if progress is not None:
        progress(done)
    return done


def _create(client: DynamoDBClient, name: str, like: TableDescription) -> TableDescription:
    ensure_table(client, name, partition_key=like.partition_key, sort_key=like.sort_key, indexes=like.indexes)
    wait_until_active(client, name, indexes=[index.name for index in like.indexes])
    return describe_table(client, name)


def _together(pages: Iterable[pa.StringArray]) -> Iterator[pa.StringArray]:
    """The items of small pages in groups, so that requests are full."""
    waiting: list[pa.StringArray] = []
    count = size = 0
    for texts in pages:
        waiting.append(texts)
        count += len(texts)
        size += texts.nbytes
        if count >= _ITEMS_AT_ONCE or size >= _BYTES_AT_ONCE:
            joined = pa.concat_arrays(waiting)
            full = count - count % ITEMS_PER_REQUEST or count
            yield joined.slice(0, full)
            waiting, count, size = ([joined.slice(full)], count - full, 0) if full < count else ([], 0, 0)
    if waiting:
        yield pa.concat_arrays(waiting)


def _check(source: Found, target: Found) -> None:
    if source.table.keys != target.table.keys:
        raise ConfigurationError(
            f"Table '{target.name}' has the keys {_shown(target.table)}, and table '{source.name}' has "
            f"{_shown(source.table)}. Items are copied only between tables with the same keys"
        )
    own, other = (table_identity(dynamodb_client(found.connection), found.name) for found in (source, target))
    if own == other:
        raise ConfigurationError(
            f"Table '{source.name}' can't be copied to itself. Name another table, region or endpoint to copy to"
        )


def _shown(table: TableDescription) -> str:
    return " and ".join(f"{key.name} ({key.type})" for key in table.keys)
