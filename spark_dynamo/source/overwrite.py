"""Overwriting: once every item of the frame is in the table, the items whose keys are not in the frame are deleted.

The tasks hand over fingerprints of all their keys; then one process scans the table's keys and deletes those that no task
handed over. A failure at any time leaves all items of the frame where they are, and the write is safe to repeat.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import cast

import pyarrow as pa

from spark_dynamo.aws.batch_write import DELETE, BatchWriter
from spark_dynamo.aws.budget import Budget
from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.flight import Flight
from spark_dynamo.aws.pages import Chain, fetch_pages
from spark_dynamo.aws.requests import PATIENCE, Counts, Requests
from spark_dynamo.aws.tables import TableDescription
from spark_dynamo.errors import OptionError
from spark_dynamo.source.fingerprints import Fingerprints, KeptKeys
from spark_dynamo.source.key_texts import key_schema, key_texts
from spark_dynamo.source.reader import together
from spark_dynamo.source.targets import Target
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.encode import ItemEncoder

logger = logging.getLogger(__name__)

UNCONFIRMED_ITEMS = 100_000  # that an overwrite may delete without being asked twice
_CONCURRENT_SEGMENTS = 32
_BYTES_PER_SEGMENT = 16_000_000
_MOST_SEGMENTS = 4096
_KEYS_TOGETHER = 1000  # deletes that wait for more, so that requests are full
_LOG_INTERVAL = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Deleted:
    """What came of it: items looked at, items deleted, the capacity units and requests of both, and seconds.

    >>> print(Deleted(scanned=1_200, items=200, read_units=130.5, write_units=200.0, requests=12, retries=0, seconds=0.7))
    200 of 1,200 items deleted in 0.7 s: 130.5 read units, 200 write units, 12 requests, 0 repeated
    """

    scanned: int
    items: int
    read_units: float
    write_units: float
    requests: int
    retries: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.items:,} of {self.scanned:,} items deleted in {self.seconds:,.1f} s: {self.read_units:,g} read units, "
            f"{self.write_units:,g} write units, {self.requests:,} requests, {self.retries:,} repeated"
        )


def check_confirmed_name(given: str | None, table: str, asked_for: str) -> None:
    """Raise OptionError where option overwriteConfirm, None where it is not given, names another table.

    A table's name is its physical one, or the ARN by which it is asked for.
    """
    if given not in (None, table, asked_for):
        raise OptionError(
            "overwriteConfirm",
            f"is '{given}', and the table to overwrite is '{table}'; name that, or leave it out",
        )


def check_confirmation(given: str | None, table: TableDescription, table_name: str) -> bool:
    """Whether option overwriteConfirm, None where it is not given, names the table.

    OptionError as `check_confirmed_name` raises it, and where it is missing and DynamoDB tells of more than 100,000 items; as
    what it tells is hours old, `delete_others` counts once more.
    """
    check_confirmed_name(given, table.name, table_name)
    if given is not None:
        return True
    if table.item_count > UNCONFIRMED_ITEMS:
        raise OptionError(
            "overwriteConfirm",
            f"is missing; table '{table.name}' has about {table.item_count:,} items, and mode 'overwrite' deletes all whose "
            f"keys are not in the frame. Set it to '{table.name}' where that is meant",
        )
    return False


def delete_others(
    connection: Connection,
    table: TableDescription,
    table_name: str,
    kept: Sequence[bytes],
    seed: bytes,
    *,
    confirmed: bool,
    patience: float = PATIENCE,
    read_units: float | None = None,
    write_units: float | None = None,
    unconfirmed_items: int = UNCONFIRMED_ITEMS,
) -> Deleted:
    """Delete the items of the table whose keys are not among those `kept`, which each task's `SeenKeys.to_bytes` gave.

    `seed` is that of the tasks' `Fingerprints`. Call it when all tasks have put all their items. Where it is `confirmed`,
    items are deleted while the table is scanned, by strongly consistent reads of the keys; where not, first all are found, and
    OptionError is raised and nothing deleted where they are more than `unconfirmed_items`. `read_units` and `write_units` are
    what it may consume per second, None for no limit; `patience` is seconds without any success. An item that others put
    meanwhile may be deleted, too.

    Raises DynamoDBWrapperError where `kept` is not of that seed, and as `Requests.send` and `Flight.wait` do.
    """
    started = time.monotonic()
    wanted = KeptKeys(kept, Fingerprints(seed))
    average = table.size_bytes / table.item_count if table.size_bytes and table.item_count else None
    scan = Requests(connection, table_name, patience=patience, budget=_budget(read_units, average))
    deletes = Requests(connection, table_name, patience=patience, budget=_budget(write_units))
    concurrency = min(_CONCURRENT_SEGMENTS, max(1, connection.max_pool_connections // 2))
    pages = cast("Generator[bytes]", fetch_pages(scan, _segments(table), concurrency=concurrency))
    with closing(pages), Flight(deletes, most=concurrency) as flight, _reported(scan.counts, deletes.counts, table):
        others = _others(pages, table, wanted)
        writer = BatchWriter(flight, [key.name for key in table.keys])
        for texts in others if confirmed else _few(others, table, unconfirmed_items):
            writer.send(texts, DELETE)
    counts = (scan.counts, deletes.counts)
    return Deleted(
        scanned=scan.counts.items,
        items=deletes.counts.items,
        read_units=scan.counts.units,
        write_units=deletes.counts.units,
        requests=sum(count.requests for count in counts),
        retries=sum(count.retries for count in counts),
        seconds=time.monotonic() - started,
    )


def _budget(units: float | None, average_item_bytes: float | None = None) -> Budget | None:
    return None if units is None else Budget(units, average_item_bytes=average_item_bytes)


def _segments(table: TableDescription) -> list[Chain]:
    """A Scan for the keys alone; a table whose size is not known is taken for a large one."""
    size = Target(table).size_bytes or _CONCURRENT_SEGMENTS * _BYTES_PER_SEGMENT
    total = min(_MOST_SEGMENTS, max(1, math.ceil(size / _BYTES_PER_SEGMENT)))
    names = {f"#k{place}": key.name for place, key in enumerate(table.keys)}
    keys = {"ConsistentRead": True, "ProjectionExpression": ",".join(names), "ExpressionAttributeNames": names}
    if total == 1:  # moto, which the embedded server is, knows no segments where the partition key is binary
        return [Chain("Scan", keys, "the table")]
    return [
        Chain("Scan", {**keys, "Segment": number, "TotalSegments": total}, f"segment {number}")
        for number in range(total)
    ]


def _others(pages: Iterator[bytes], table: TableDescription, kept: KeptKeys) -> Iterator[pa.StringArray]:
    """The keys that are not kept, as JSON texts, some thousand at a time."""
    schema = key_schema(table.keys)
    decoder = PageDecoder(schema, table=table.name, key_names=schema.names)
    encoder = ItemEncoder(schema, table=table.name, key_names=schema.names)
    waiting: list[pa.StringArray] = []
    count = 0
    for bodies in together(pages):
        keys = decoder.decode(*bodies)
        others = keys.filter(pa.array(~kept.has(key_texts(keys, table.keys, schema))))
        if not others.num_rows:
            continue
        waiting.append(encoder.encode(others))
        count += others.num_rows
        if count >= _KEYS_TOGETHER:
            yield pa.concat_arrays(waiting)
            waiting, count = [], 0
    if waiting:
        yield pa.concat_arrays(waiting)


def _few(others: Iterator[pa.StringArray], table: TableDescription, most: int) -> list[pa.StringArray]:
    """All of them, if that are not too many."""
    found: list[pa.StringArray] = []
    count = 0
    for texts in others:
        found.append(texts)
        count += len(texts)
        if count > most:
            raise OptionError(
                "overwriteConfirm",
                f"is missing; table '{table.name}' has all items of the frame now, but also more than {most:,} "
                f"others, of which none was deleted. Set it to '{table.name}' and write again to delete them",
            )
    return found


@contextmanager
def _reported(scan: Counts, deletes: Counts, table: TableDescription, every: float = _LOG_INTERVAL) -> Iterator[None]:
    """Meanwhile the log tells every so many seconds how far it is."""
    over = threading.Event()

    def report() -> None:
        known = f" of about {table.item_count:,}" if table.item_count else ""
        while not over.wait(every):
            progress = f"{scan.items:,}{known} items looked at, {deletes.items:,} deleted"
            logger.info("overwrite of table %s: %s", table.name, progress)

    reporter = threading.Thread(target=report, name="dynamodb-overwrite", daemon=True)
    reporter.start()
    try:
        yield
    finally:
        over.set()
        reporter.join()
