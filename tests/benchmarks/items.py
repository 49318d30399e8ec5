"""The replay server's table as this package and Spark see it."""

import json
from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DecimalType,
    LongType,
    StringType,
    StructType,
    TimestampType,
)

from spark_dynamo.wire.decode import PageDecoder
from tests.servers.replay import TABLE, example_item

KEYS = ("id",)
BATCH_ROWS = 10_000  # what Spark gives a writer at once
_PIECE = 250  # items that are Python objects at once, so that they don't count in the peak of memory

# as SCHEMA_DDL says, which only a Spark session can parse
SCHEMA = (
    StructType()
    .add("id", StringType())
    .add("customer", StringType())
    .add("status", StringType())
    .add("country", StringType())
    .add("created_at", TimestampType())
    .add("quantity", LongType())
    .add("sequence", LongType())
    .add("amount", DecimalType(18, 2))
    .add("score", DecimalType(18, 6))
    .add("is_active", BooleanType())
    .add("address", StructType().add("city", StringType()).add("postcode", StringType()).add("floor", LongType()))
    .add("tags", ArrayType(StringType()))
    .add("note", StringType())
)


def batches(items: int) -> Iterator[pa.RecordBatch]:
    """Record batches of as many example items with different ids, made one by one."""
    decoder = PageDecoder(SCHEMA, table=TABLE, key_names=KEYS)
    pieces = []
    for start in range(0, min(items, BATCH_ROWS), _PIECE):
        page = {"Items": [example_item(number) for number in range(start, start + _PIECE)]}
        pieces.append(decoder.decode(json.dumps(page, ensure_ascii=False).encode()))
    model = pa.concat_batches(pieces)
    for start in range(0, items, BATCH_ROWS):
        rows = min(BATCH_ROWS, items - start)
        ids = pa.array([f"item-{number:012d}" for number in range(start, start + rows)])
        yield pa.RecordBatch.from_arrays([ids, *model.slice(0, rows).columns[1:]], schema=decoder.arrow_schema)
