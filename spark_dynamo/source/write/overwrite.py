"""Overwriting: once every item of the frame is in the table, the items whose keys are not in the frame are deleted.

The tasks hand over fingerprints of all their keys and items. Then one process looks at the table, deletes what no task handed over,
and looks again until there is nothing to delete and every item of the frame is there as it was put. A failure at any time leaves
all items of the frame where they are, and the write is safe to repeat.

Two overwrites at once need no lock to find each other out: whichever takes its last look later looks at a table to which neither
writes any more, so it finds its own frame and nothing else, or it fails.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import cast

import numpy as np
import orjson
import pyarrow as pa

from spark_dynamo.aws.batch_write import DELETE, BatchWriter
from spark_dynamo.aws.budget import Budget
from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.in_flight import Flight
from spark_dynamo.aws.pages import Chain, fetch_pages
from spark_dynamo.aws.requests import PATIENCE, Counts, Requests
from spark_dynamo.aws.tables import TableDescription
from spark_dynamo.errors import OptionError, OverwriteConflictError
from spark_dynamo.source.key_texts import key_schema, key_texts
from spark_dynamo.source.read.reader import together
from spark_dynamo.source.read.targets import Target
from spark_dynamo.source.write.kept_rows import Kept
from spark_dynamo.source.write.key_hashes import Fingerprints, Flags, KeptKeys
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.encode import ItemEncoder, key_of
from spark_dynamo.wire.equality import canonical_texts

logger = logging.getLogger(__name__)

UNCONFIRMED_ITEMS = 100_000  # that an overwrite may delete without being asked twice
_CONCURRENT_SEGMENTS = 32
_BYTES_PER_SEGMENT = 16_000_000
_MOST_SEGMENTS = 4096
_KEYS_TOGETHER = 1000  # deletes that wait for more, so that requests are full
_MOST_LOOKS = 5  # where others put new items all the time, there is no last one
_LOG_INTERVAL = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Deleted:
    """What came of it: items looked at first, items deleted, the capacity units and requests of all looks and deletes, and seconds.

    `left` are items that others put so lately that they stay.

    >>> print(Deleted(scanned=1_200, items=200, left=0, read_units=130.5, write_units=200.0, requests=12, retries=0, seconds=0.7))
    200 of 1,200 items deleted in 0.7 s: 130.5 read units, 200 write units, 12 requests, 0 repeated
    """

    scanned: int
    items: int
    left: int
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
    kept: Kept,
    *,
    confirmed: bool,
    patience: float = PATIENCE,
    read_units: float | None = None,
    write_units: float | None = None,
    unconfirmed_items: int = UNCONFIRMED_ITEMS,
) -> Deleted:
    """Delete the items of the table whose keys are not among those `kept`, and see that those of the frame are as they were put.

    Call it when all tasks have put all their items. The table is scanned by strongly consistent reads, and items are deleted when
    all of them are found. Where they are more than `unconfirmed_items`, they are deleted as they are found if that is `confirmed`;
    if not, OptionError is raised and none deleted. `read_units` and `write_units` are what it may consume per second, None for no
    limit; `patience` is seconds without any success. Items that others put meanwhile are deleted, too, but at the fifth look.

    Raises OverwriteConflictError where an item of the frame is missing or another than was put, DynamoDBWrapperError where `kept`
    is not of its seed, and as `Requests.send` and `Flight.wait` do.
    """
    started = time.monotonic()
    wanted = _Wanted(kept, table)
    average = table.size_bytes / table.item_count if table.size_bytes and table.item_count else None
    concurrency = min(_CONCURRENT_SEGMENTS, max(1, connection.max_pool_connections // 2))
    key_names = [key.name for key in table.keys]
    scans: list[Counts] = []
    deletes: list[Counts] = []
    while True:
        scan = Requests(connection, table_name, patience=patience, budget=_budget(read_units, average))
        sends = Requests(connection, table_name, patience=patience, budget=_budget(write_units))
        deleted = sum(count.items for count in deletes)
        scans.append(scan.counts)
        deletes.append(sends.counts)
        is_last = len(scans) == _MOST_LOOKS
        look = _Look(wanted)
        pages = cast("Generator[bytes]", fetch_pages(scan, _segments(table), concurrency=concurrency))
        with closing(pages), Flight(sends, most=concurrency) as flight, _reported(scan.counts, sends.counts, table):
            writer = BatchWriter(flight, key_names)
            for texts in _to_delete(look, pages, deleted, unconfirmed_items, confirmed=confirmed or is_last):
                if not is_last:
                    writer.send(texts, DELETE)
        look.check(deleted + sends.counts.items)
        if is_last or not look.other_items:
            break
    counts = (*scans, *deletes)
    return Deleted(
        scanned=scans[0].items,
        items=sum(count.items for count in deletes),
        left=look.other_items,
        read_units=sum(count.units for count in scans),
        write_units=sum(count.units for count in deletes),
        requests=sum(count.requests for count in counts),
        retries=sum(count.retries for count in counts),
        seconds=time.monotonic() - started,
    )


class _Wanted:
    """The frame, as the tasks hand it over."""

    def __init__(self, kept: Kept, table: TableDescription) -> None:
        fingerprints = Fingerprints(kept.seed)
        self.table = table
        self.keys, self.items, self.unwritten = (
            KeptKeys(parts, fingerprints) for parts in (kept.keys, kept.items, kept.unwritten)
        )
        self.count = self.keys.distinct_without(self.unwritten)


class _Look:
    """One look at all items of the table: which are not of the frame, and whether those of the frame are as they were put."""

    def __init__(self, wanted: _Wanted) -> None:
        self.table = wanted.table
        self._wanted = wanted
        self.other_items = 0
        self._found = 0
        self._changed = 0
        self._changed_key: Mapping[str, object] | None = None

    def others(self, pages: Iterator[bytes]) -> Iterator[pa.StringArray]:
        """The keys of items that are not of the frame, as JSON texts, some thousand at a time."""
        table = self.table
        schema = key_schema(table.keys)
        decoder = PageDecoder(schema, table=table.name, key_names=schema.names)
        encoder = ItemEncoder(schema, table=table.name, key_names=schema.names)
        waiting: list[pa.StringArray] = []
        count = 0
        for bodies in together(pages):
            keys = decoder.decode(*bodies)
            others = keys.filter(pa.array(self._others(keys, key_texts(keys, table.keys, schema), bodies)))
            if not others.num_rows:
                continue
            waiting.append(encoder.encode(others))
            count += others.num_rows
            if count >= _KEYS_TOGETHER:
                yield pa.concat_arrays(waiting)
                waiting, count = [], 0
        if waiting:
            yield pa.concat_arrays(waiting)

    def check(self, deleted: int) -> None:
        """Raise OverwriteConflictError unless all items of the frame were found as they were put; `deleted` others were deleted."""
        missing = self._wanted.count - self._found - self._changed
        if missing > 0 or self._changed:
            raise OverwriteConflictError(
                self.table.name,
                self._wanted.count,
                missing=missing,
                changed=self._changed,
                deleted=deleted,
                key=self._changed_key,
            )

    def _others(self, keys: pa.RecordBatch, texts: pa.StringArray, bodies: Sequence[bytes]) -> Flags:
        """Which items are not of the frame, those of the frame counted."""
        wanted = self._wanted
        items = canonical_texts(item for body in bodies for item in orjson.loads(body)["Items"])
        unwritten = wanted.unwritten.has(texts)
        of_frame = wanted.keys.has(texts) & ~unwritten
        changed = np.flatnonzero(of_frame & ~wanted.items.has(items))
        if len(changed) and self._changed_key is None:
            self._changed_key = key_of(keys, int(changed[0]))
        others = ~of_frame & ~unwritten
        self._changed += len(changed)
        self._found += int(of_frame.sum()) - len(changed)
        self.other_items += int(others.sum())
        return others


def _budget(units: float | None, average_item_bytes: float | None = None) -> Budget | None:
    return None if units is None else Budget(units, average_item_bytes=average_item_bytes)


def _segments(table: TableDescription) -> list[Chain]:
    """A Scan; a table whose size is not known is taken for a large one."""
    size = Target(table).size_bytes or _CONCURRENT_SEGMENTS * _BYTES_PER_SEGMENT
    total = min(_MOST_SEGMENTS, max(1, math.ceil(size / _BYTES_PER_SEGMENT)))
    consistent = {"ConsistentRead": True}
    if total == 1:  # moto, which the embedded server is, knows no segments where the partition key is binary
        return [Chain("Scan", consistent, "the table")]
    return [
        Chain("Scan", {**consistent, "Segment": number, "TotalSegments": total}, f"segment {number}")
        for number in range(total)
    ]


def _to_delete(
    look: _Look, pages: Iterator[bytes], deleted: int, most: int, *, confirmed: bool
) -> Iterator[pa.StringArray]:
    """The keys of the items to delete, of which none is given before all are found, or more than `most`."""
    others = look.others(pages)
    first: list[pa.StringArray] = []
    count = deleted
    for texts in others:
        first.append(texts)
        count += len(texts)
        if count > most:
            break
    if count <= most:
        look.check(deleted)  # who has lost deletes nothing
    elif not confirmed:
        name = look.table.name
        raise OptionError(
            "overwriteConfirm",
            f"is missing; table '{name}' has all items of the frame now, but also more than {most:,} "
            f"others, of which {f'{deleted:,} were' if deleted else 'none was'} deleted. Set it to '{name}' and write again to "
            "delete them",
        )
    yield from chain(first, others)


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
