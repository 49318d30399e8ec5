"""Reading: what a task does with the requests that fell to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import starmap

import pyarrow as pa
from pyspark.sql.datasource import DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from spark_dynamo.aws.budget import Budget
from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.pages import Chain, fetch_pages
from spark_dynamo.aws.requests import Requests
from spark_dynamo.predicates.evaluate import mask
from spark_dynamo.predicates.settings import Predicate, Settings
from spark_dynamo.source.read.access import Access
from spark_dynamo.source.read.session import session_settings
from spark_dynamo.source.upgrade.decoder import UpgradingDecoder, Versions
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.envelope import Decoder
from spark_dynamo.wire.items import ITEM_COLUMN, ItemDecoder
from spark_dynamo.wire.types import arrow_schema

logger = logging.getLogger(__name__)

ROWS_PER_BATCH = 10_000
BYTES_PER_BATCH = 8_000_000
_BYTES_AT_ONCE = 1_000_000
_PAGES_AT_ONCE = 64
CONCURRENT_CHAINS = 16  # pages of 1 MB under way in a task: hides 50 ms of latency behind decoding


@dataclass
class Part(InputPartition):
    """One Spark partition: the chains of requests that its task follows."""

    chains: tuple[Chain, ...]


@dataclass(frozen=True, slots=True)
class TableReader(DataSourceReader):
    """A planned read of one table, decoded into record batches of `schema`; it is pickled into every task.

    `predicate` is evaluated on `decoded`, the schema's columns and those that only the predicate needs; None where every
    item that DynamoDB gives is wanted. `units_per_second` is what one task may consume. With `versions`, items are of a
    model that has some, and older ones are upgraded before they are decoded.
    """

    connection: Connection
    table: str
    key_names: tuple[str, ...]
    schema: StructType
    access: Access
    decoded: StructType
    predicate: Predicate | None = None
    mode: str = "FAILFAST"
    corrupt_column: str | None = None
    item_format: str = "columns"
    patience: float = 300.0
    units_per_second: float | None = None
    consistent_read: bool = False
    average_item_bytes: float | None = None
    versions: Versions | None = None

    def partitions(self) -> list[InputPartition]:
        """The chains of requests dealt out to tasks."""
        return [Part(chains) for chains in self.access.deal()]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of that partition as record batches of about 10,000 rows or 8 MB."""
        assert isinstance(partition, Part)
        settings = session_settings()
        if self.predicate is not None:
            settings.check(self.predicate)
        if not partition.chains:
            return
        requests = Requests(self.connection, self.table, patience=self.patience, budget=self._budget())
        decoder = self._decoder()
        pages = fetch_pages(requests, partition.chains, concurrency=min(CONCURRENT_CHAINS, len(partition.chains)))
        batches: Iterator[pa.RecordBatch] = starmap(decoder.decode, together(pages))
        if self.predicate is not None:
            batches = self._matching(self.predicate, settings, batches)
        started, rows = time.monotonic(), 0
        for batch in assemble(batches, arrow_schema(self.schema)):
            rows += batch.num_rows
            yield batch
        seconds = time.monotonic() - started
        logger.info(
            "read %s rows of table %s in %.1f s: %s; %s",
            rows,
            self.table,
            seconds,
            requests.counts,
            requests.summary(),
            extra=requests.counts.facts(self.access.operation, self.table, seconds),
        )
        if decoder.misfits:
            logger.warning("%s", decoder.misfits)

    def _decoder(self) -> Decoder:
        if self.item_format != "columns":
            nullable = self.schema[ITEM_COLUMN].nullable
            return ItemDecoder(self.item_format, table=self.table, envelope=self.access.envelope, nullable=nullable)
        if self.versions is None:
            return self._page_decoder()
        return UpgradingDecoder(
            self.versions,
            self._page_decoder,
            self.decoded,
            table=self.table,
            key_names=self.key_names,
            mode=self.mode,
            corrupt_column=self.corrupt_column,
            envelope=self.access.envelope,
        )

    def _page_decoder(self, version: int | None = None) -> PageDecoder:
        return PageDecoder(
            self.decoded,
            table=self.table,
            key_names=self.key_names,
            mode=self.mode,
            corrupt_column=self.corrupt_column,
            envelope=self.access.envelope,
            version=version,
        )

    def _budget(self) -> Budget | None:
        if self.units_per_second is None:
            return None
        return Budget(self.units_per_second, average_item_bytes=self.average_item_bytes)

    def _matching(
        self, predicate: Predicate, settings: Settings, batches: Iterator[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """The rows for which the predicate is true, without the columns that only it needs."""
        for batch in batches:
            fits = mask(predicate.node, batch, settings.zone, size_of_null=settings.size_of_null)
            yield batch.filter(fits).select(self.schema.names)


def together(pages: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Small pages in groups of about 1 MB, to be decoded at once: most of what a small one costs is the call."""
    waiting: list[bytes] = []
    size = 0
    for page in pages:
        waiting.append(page)
        size += len(page)
        if size >= _BYTES_AT_ONCE or len(waiting) >= _PAGES_AT_ONCE:
            yield tuple(waiting)
            waiting, size = [], 0
    if waiting:
        yield tuple(waiting)


def assemble(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Small batches joined to ones of about 10,000 rows or 8 MB, in order; empty ones vanish."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        waiting.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= ROWS_PER_BATCH or size >= BYTES_PER_BATCH:
            yield _joined(waiting, schema)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield _joined(waiting, schema)


def _joined(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    (joined,) = pa.Table.from_batches(batches, schema).combine_chunks().to_batches()
    return joined
