"""Reading: how a scan is cut into Spark's partitions, and what a task does with its segments."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.scan import scan_pages
from spark_dynamo.wire.decode import PageDecoder

logger = logging.getLogger(__name__)

ROWS_PER_BATCH = 10_000
BYTES_PER_BATCH = 8_000_000
CONCURRENT_SEGMENTS = 16  # pages of 1 MB under way in a task: hides 50 ms of latency behind decoding
_BYTES_PER_PARTITION = 128_000_000
_BYTES_PER_SEGMENT = 4_000_000
_MOST_PARTITIONS = 200
_LONGEST_PROJECTION = 4_000  # bytes; DynamoDB refuses expressions over 4 KB


@dataclass
class Segments(InputPartition):
    """One Spark partition: the scan segments that its task fetches."""

    segments: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True)
class ScanReader(DataSourceReader):
    """A parallel Scan of one table, decoded into record batches of one schema; it is pickled into every task."""

    connection: Connection
    table: str
    key_names: tuple[str, ...]
    schema: StructType
    size_bytes: int  # as DescribeTable tells it: some hours old, 0 on a new table
    consistent_read: bool = False
    num_partitions: int | None = None
    segments: int | None = None

    def partitions(self) -> list[InputPartition]:
        """The segments dealt out to partitions at random, so that neighbours in a hot key range part."""
        partitions, total = self._division()
        order = list(range(total))
        random.Random(total).shuffle(order)  # noqa: S311 - the same for every planning of the same scan
        return [Segments(tuple(order[index::partitions]), total) for index in range(partitions)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """The rows of that partition's segments as record batches of about 10,000 rows or 8 MB."""
        assert isinstance(partition, Segments)
        requests = Requests(self.connection, self.table)
        decoder = PageDecoder(self.schema, table=self.table, key_names=self.key_names)
        pages = scan_pages(
            requests,
            partition.segments,
            total_segments=partition.total,
            parameters=self._parameters(),
            concurrency=min(CONCURRENT_SEGMENTS, len(partition.segments)),
        )
        started, rows = time.monotonic(), 0
        for batch in assemble(map(decoder.decode, pages), decoder.arrow_schema):
            rows += batch.num_rows
            yield batch
        logger.info(
            "read %s rows from %s segments of table %s in %.1f s: %s",
            rows,
            len(partition.segments),
            self.table,
            time.monotonic() - started,
            requests.counts,
        )

    def _division(self) -> tuple[int, int]:
        """Numbers of partitions and of segments; a table whose size is not known is taken for a middling one."""
        size = self.size_bytes or 2 * _BYTES_PER_PARTITION
        least = 1 if size <= _BYTES_PER_SEGMENT else 2
        partitions = self.num_partitions or min(
            max(least, math.ceil(size / _BYTES_PER_PARTITION)), _MOST_PARTITIONS, self.segments or _MOST_PARTITIONS
        )
        if self.segments:
            return partitions, self.segments
        per_partition = min(CONCURRENT_SEGMENTS, max(1, math.ceil(size / partitions / _BYTES_PER_SEGMENT)))
        return partitions, partitions * per_partition

    def _parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = {"ConsistentRead": True} if self.consistent_read else {}
        names = list(dict.fromkeys([*self.key_names, *self.schema.names]))  # keys are for error messages
        aliases = {f"#n{index}": name for index, name in enumerate(names)}
        projection = ",".join(aliases)
        if len(projection) <= _LONGEST_PROJECTION:
            parameters |= {"ProjectionExpression": projection, "ExpressionAttributeNames": aliases}
        return parameters


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
