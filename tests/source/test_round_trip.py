"""What is written comes back equal: random nested schemas and values, on both servers, and through Spark."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
from chispa import assert_df_equality
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from spark_dynamo.source.datasource import DynamoDataSource
from spark_dynamo.wire.types import arrow_schema
from tests.conftest import Server

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = TEXT.filter(bool).map(
    lambda text: text.replace("\0", "-")
)  # under a NUL Spark loses values: an error, tested elsewhere
MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))

# Exponents of doubles within DynamoDB's range; -0.0 comes back as 0.0, as DynamoDB has one zero.
DOUBLES = (
    st.floats(-1e100, 1e100, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-100).map(lambda x: x + 0.0)
)

LEAVES: list[tuple[DataType, st.SearchStrategy[Any]]] = [
    (StringType(), TEXT),
    (LongType(), st.integers(-(2**63), 2**63 - 1)),
    (IntegerType(), st.integers(-(2**31), 2**31 - 1)),
    (DecimalType(38, 9), st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: Decimal(f"{n}e-9"))),
    (DoubleType(), DOUBLES),
    (BooleanType(), st.booleans()),
    (BinaryType(), st.binary(max_size=9)),
    (TimestampType(), MOMENTS.map(lambda moment: moment.replace(tzinfo=dt.UTC))),
    (TimestampNTZType(), MOMENTS),
    (DateType(), st.dates()),
]
SETS: list[tuple[StructField, st.SearchStrategy[Any]]] = [
    (
        StructField("set", ArrayType(kind), True, {"dynamodb": tag}),
        st.lists(values, min_size=1, max_size=4, unique=True),
    )
    for kind, tag, values in [
        (StringType(), "SS", TEXT.filter(bool)),
        (LongType(), "NS", st.integers(-99, 99)),
        (BinaryType(), "BS", st.binary(min_size=1, max_size=4)),
    ]
]


@st.composite
def typed(draw: st.DrawFn, depth: int = 3) -> tuple[DataType, st.SearchStrategy[Any]]:
    """A Spark type, and a strategy for its values, nulls among them."""
    shape = draw(st.sampled_from(["leaf", "array", "map", "struct"])) if depth else "leaf"
    if shape == "leaf":
        kind, values = draw(st.sampled_from(LEAVES))
        return kind, st.none() | values
    if shape == "struct":
        fields = draw(st.dictionaries(NAMES, typed(depth - 1), min_size=1, max_size=3))
        struct = StructType([StructField(name, kind) for name, (kind, _) in fields.items()])
        return struct, st.none() | st.fixed_dictionaries({name: values for name, (_, values) in fields.items()})
    kind, values = draw(typed(depth - 1))
    if shape == "array":
        return ArrayType(kind), st.none() | st.lists(values, max_size=3)
    entries = st.dictionaries(TEXT.filter(bool), values, max_size=3).map(lambda entries: list(entries.items()))
    return MapType(StringType(), kind), st.none() | entries


@st.composite
def tables(draw: st.DrawFn) -> tuple[StructType, list[dict[str, Any]]]:
    """A schema with the key `id`, and rows."""
    columns = draw(st.lists(typed(), min_size=1, max_size=5))
    fields = [StructField(f"c{index}", kind) for index, (kind, _) in enumerate(columns)]
    values = [values for _, values in columns]
    for index, (field, elements) in enumerate(draw(st.lists(st.sampled_from(SETS), max_size=2))):
        fields.append(StructField(f"set{index}", field.dataType, True, field.metadata))
        values.append(st.none() | elements.map(sorted))
    schema = StructType([StructField("id", LongType()), *fields])
    row = st.fixed_dictionaries({field.name: value for field, value in zip(fields, values, strict=True)})
    rows = draw(st.lists(row, min_size=1, max_size=20))
    return schema, [{"id": index, **row} for index, row in enumerate(rows)]


@given(tables())
@settings(max_examples=settings().max_examples // 4)
def test_what_is_written_comes_back_equal(server: Server, table: tuple[StructType, list[dict[str, Any]]]) -> None:
    """By the writer and the reader that Spark gets, without Spark."""
    schema, rows = table
    name = server.create("id:N")
    server.writer(name, schema).write(iter([pa.RecordBatch.from_pylist(rows, arrow_schema(schema))]))
    reader = DynamoDataSource({**server.options, "table": name}).reader(schema)
    found = [row for part in reader.partitions() for batch in reader.read(part) for row in batch.to_pylist()]
    sets = [field.name for field in schema if "dynamodb" in field.metadata]
    assert sorted((comparable(row, sets) for row in found), key=lambda row: row["id"]) == [
        comparable(row, sets) for row in pa.RecordBatch.from_pylist(rows, arrow_schema(schema)).to_pylist()
    ]
    server.client.delete_table(TableName=name)


def comparable(row: dict[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    """The row with what has no order sorted: sets, and the entries of maps, which Arrow has as a list of tuples."""
    return {name: sorted(value) if name in sets and value else _sorted(value) for name, value in row.items()}


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(inner) for name, inner in value.items()}
    if isinstance(value, list):
        entries = [tuple(map(_sorted, entry)) if isinstance(entry, tuple) else _sorted(entry) for entry in value]
        return sorted(entries) if entries and isinstance(entries[0], tuple) else entries
    return value


@given(tables())
@settings(max_examples=3)
def test_it_comes_back_equal_through_spark(
    spark: SparkSession, server: Server, table: tuple[StructType, list[dict[str, Any]]]
) -> None:
    schema, rows = table
    name = server.create("id:N")
    batch = pa.Table.from_pylist(rows, arrow_schema(schema))
    frame = spark.createDataFrame(batch, schema)
    frame = frame.select(*(frame[f"`{field.name}`"].alias(field.name, metadata=field.metadata) for field in schema))
    frame.write.format("dynamo-meta").options(**server.options).mode("append").save(name)
    found = spark.read.format("dynamo-meta").options(**server.options).schema(schema).load(name)
    for field in schema:
        if "dynamodb" in field.metadata:  # the order of a set means nothing
            found = found.withColumn(field.name, F.sort_array(found[field.name]))
    assert_df_equality(found.orderBy("id"), frame.orderBy("id"), ignore_metadata=True, ignore_nullable=True)
    server.client.delete_table(TableName=name)
