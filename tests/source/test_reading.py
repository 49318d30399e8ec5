"""Reading tables through Spark, from both servers."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pyspark.errors import AnalysisException, PythonException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from tests.conftest import Server
from tests.tiers import quick


def read(spark: SparkSession, server: Server, table: str, schema: StructType | str, **options: Any) -> DataFrame:
    return spark.read.format("dynamo-meta").options(**server.options, **options).schema(schema).load(table)


def rows(frame: DataFrame) -> list[dict[str, Any]]:
    return sorted((row.asDict(recursive=True) for row in frame.collect()), key=lambda row: str(row.get("id")))


def test_every_attribute_type_with_a_given_schema(spark: SparkSession, server: Server) -> None:
    table = server.create()
    server.put(
        table,
        {
            "id": {"S": "a"},
            "long": {"N": "-9223372036854775808"},
            "exact": {"N": "12345678901234567890.123456789012345678"},
            "double": {"N": "0.1"},
            "flag": {"BOOL": True},
            "bytes": {"B": b"\x00\xff"},
            "nothing": {"NULL": True},
            "moment": {"S": "2026-11-01T12:30:00.5+02:00"},
            "expires": {"N": "1793520000"},
            "local": {"S": "2026-11-01T12:30:00"},
            "day": {"S": "2026-11-01"},
            "digits": {"N": "98765432109876543210987654321098765432"},
            "list": {"L": [{"M": {"price": {"N": "1.25"}}}, {"NULL": True}]},
            "struct": {"M": {"street": {"S": "Main"}, "geo": {"M": {"lat": {"N": "1.5"}}}}},
            "map": {"M": {"first": {"N": "1"}, "second": {"NULL": True}}},
            "strings": {"SS": ["x", "y"]},
            "numbers": {"NS": ["1", "2"]},
            "binaries": {"BS": [b"1"]},
            "any": {"M": {"deep": {"L": [{"N": "1.5"}, {"S": "s"}, {"BOOL": False}]}}},
        },
    )
    schema = (
        StructType()
        .add("id", "string", False)
        .add("long", "long")
        .add("exact", "decimal(38,18)")
        .add("double", "double")
        .add("flag", "boolean")
        .add("bytes", "binary")
        .add("nothing", "string")
        .add("moment", "timestamp")
        .add(StructField("expires", TimestampType(), True, {"dynamodb": "N"}))
        .add("local", "timestamp_ntz")
        .add("day", "date")
        .add(StructField("digits", StringType(), True, {"dynamodb": "N"}))
        .add("list", ArrayType(StructType().add("price", "decimal(10,2)")))
        .add("struct", StructType().add("street", "string").add("geo", StructType().add("lat", "double")))
        .add("map", MapType(StringType(), LongType()))
        .add(StructField("strings", ArrayType(StringType()), True, {"dynamodb": "SS"}))
        .add(StructField("numbers", ArrayType(LongType()), True, {"dynamodb": "NS"}))
        .add(StructField("binaries", ArrayType(BinaryType()), True, {"dynamodb": "BS"}))
        .add("any", "variant")
    )
    (row,) = rows(read(spark, server, table, schema).selectExpr("* except (any)", "to_json(any) any"))
    for name in ("strings", "numbers"):  # sets have no order, and moto's differs from process to process
        row[name].sort()
    assert row | {"moment": None, "expires": None} == {
        "id": "a",
        "long": -(2**63),
        "exact": Decimal("12345678901234567890.123456789012345678"),
        "double": 0.1,
        "flag": True,
        "bytes": bytearray(b"\x00\xff"),
        "nothing": None,
        "moment": None,
        "expires": None,
        "local": datetime(2026, 11, 1, 12, 30),
        "day": date(2026, 11, 1),
        "digits": "98765432109876543210987654321098765432",
        "list": [{"price": Decimal("1.25")}, None],
        "struct": {"street": "Main", "geo": {"lat": 1.5}},
        "map": {"first": 1, "second": None},
        "strings": ["x", "y"],
        "numbers": [1, 2],
        "binaries": [bytearray(b"1")],
        "any": '{"deep":[1.5,"s",false]}',
    }
    assert row["moment"].astimezone(UTC) == datetime(2026, 11, 1, 10, 30, 0, 500_000, UTC)
    assert row["expires"].astimezone(UTC) == datetime(2026, 11, 1, 8, 0, tzinfo=UTC)


def test_an_empty_table_has_no_rows(spark: SparkSession, server: Server) -> None:
    assert read(spark, server, server.create(), "id STRING, n BIGINT").collect() == []


def test_attributes_missing_from_some_or_all_items_are_null(spark: SparkSession, server: Server) -> None:
    table = server.create()
    server.put(table, {"id": {"S": "a"}, "n": {"N": "1"}}, {"id": {"S": "b"}})
    found = rows(read(spark, server, table, "id STRING, n BIGINT, m MAP<STRING, STRING>, never STRUCT<x: INT>"))
    assert found == [
        {"id": "a", "n": 1, "m": None, "never": None},
        {"id": "b", "n": None, "m": None, "never": None},
    ]


ODD_NAMES = [
    "with.dot",
    "with-dash",
    "with space",
    "it's",
    'say "yes"',
    "status",
    "#n0",
    ":v",
    "größe",
    "数",
    "1st",
    "😀",
]


def test_odd_attribute_names(spark: SparkSession, server: Server) -> None:
    table = server.create("partition key:S")
    server.put(table, {"partition key": {"S": "a"}} | {name: {"S": name} for name in ODD_NAMES})
    schema = StructType().add("partition key", "string")
    for name in ODD_NAMES:
        schema = schema.add(name, "string")
    (row,) = read(spark, server, table, schema).collect()
    assert row.asDict() == {"partition key": "a"} | {name: name for name in ODD_NAMES}


def test_large_items_and_many_pages_arrive_once(spark: SparkSession, server: Server) -> None:
    table = server.create()
    long_text = "ü😀" * 60_000  # 360,000 bytes
    server.put(table, *({"id": {"S": f"{n}"}, "text": {"S": long_text}} for n in range(7)))
    found = rows(read(spark, server, table, "id STRING, text STRING", numPartitions=2, segments=3))
    assert found == [{"id": f"{n}", "text": long_text} for n in range(7)]


@pytest.mark.parametrize(("partitions", "segments"), [(1, 1), (3, 7), (5, 5)])
def test_each_item_arrives_once_however_it_is_cut(
    spark: SparkSession, server: Server, partitions: int, segments: int
) -> None:
    table = server.create("id:S", "n:N")
    server.put(table, *({"id": {"S": f"{n % 9}"}, "n": {"N": f"{n}"}} for n in range(60)))
    frame = read(spark, server, table, "n BIGINT", numPartitions=partitions, segments=segments, consistentRead="TRUE")
    assert frame.rdd.getNumPartitions() == partitions
    assert sorted(row.n for row in frame.collect()) == list(range(60))


def test_columns_left_out_of_the_schema_are_not_read(spark: SparkSession, server: Server) -> None:
    table = server.create()
    server.put(table, {"id": {"S": "a"}, "n": {"N": "1"}, "odd": {"S": "no number"}})
    assert rows(read(spark, server, table, "n BIGINT")) == [{"n": 1}]


def test_a_very_wide_table_outgrows_the_projection_expression(spark: SparkSession, server: Server) -> None:
    table = server.create()
    names = [f"attribute_{n:04d}" for n in range(1_000)]
    server.put(table, {"id": {"S": "a"}} | {name: {"N": f"{n}"} for n, name in enumerate(names)})
    schema = StructType().add("id", "string")
    for name in names:
        schema = schema.add(name, "integer")
    (row,) = read(spark, server, table, schema).collect()
    assert list(row) == ["a", *range(1_000)]


MISFITS = [
    ("BIGINT", {"S": "seven"}, "'n' is seven, of DynamoDB type S, and does not fit the schema's BIGINT"),
    ("BIGINT", {"N": "1.5"}, "'n' is 1.5, of DynamoDB type N, and does not fit the schema's BIGINT: it has a fraction"),
    (
        "INT",
        {"N": "3000000000"},
        "'n' is 3000000000, of DynamoDB type N, and does not fit the schema's INT: it is outside",
    ),
    ("DECIMAL(5,2)", {"N": "1.255"}, "'n' is 1.255, of DynamoDB type N, and does not fit the schema's DECIMAL(5,2)"),
    ("STRING", {"N": "5"}, "'n' is 5, of DynamoDB type N, and does not fit the schema's STRING"),
    ("TIMESTAMP", {"S": "yesterday"}, "'n' is yesterday, of DynamoDB type S, and does not fit the schema's TIMESTAMP"),
    ("ARRAY<STRUCT<x: INT>>", {"L": [{"M": {"x": {"S": "?"}}}]}, "attribute 'n[0].x' is ?, of DynamoDB type S"),
    ("MAP<STRING, INT>", {"M": {"k": {"BOOL": True}}}, "attribute 'n.k' is true, of DynamoDB type BOOL"),
]


@pytest.mark.parametrize(("column", "value", "sentence"), quick(3, MISFITS), ids=[column for column, *_ in MISFITS])
def test_a_value_that_does_not_fit_is_named(
    spark: SparkSession, server: Server, column: str, value: dict[str, Any], sentence: str
) -> None:
    table = server.create()
    server.put(table, {"id": {"S": "good"}}, {"id": {"S": "bad"}, "n": value})
    with pytest.raises(PythonException) as caught:
        read(spark, server, table, f"n {column}").collect()
    assert f"MalformedItemError: Table '{table}', item {{id='bad'}}:" in str(caught.value)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("item", "found"), [({}, "missing"), ({"n": {"NULL": True}}, "NULL")])
def test_null_in_a_column_that_must_not_be_null_is_named(
    spark: SparkSession, server: Server, item: dict[str, Any], found: str
) -> None:
    table = server.create()
    server.put(table, {"id": {"S": "a"}, "n": {"N": "1"}}, {"id": {"S": "b"}} | item)
    with pytest.raises(PythonException, match=rf"item \{{id='b'\}}: attribute 'n' is {found}, but the schema's BIGINT"):
        read(spark, server, table, StructType().add("n", "long", False)).collect()


def test_a_table_that_does_not_exist(spark: SparkSession, server: Server) -> None:
    with pytest.raises(AnalysisException, match="TableNotFoundError: DynamoDB has no table 'no-such-table'"):
        read(spark, server, "no-such-table", "id STRING").collect()


def test_a_type_without_a_dynamodb_form(spark: SparkSession, server: Server) -> None:
    with pytest.raises(AnalysisException, match="SchemaError: Field 'd': .* has no DynamoDB form; cast it to one of"):
        read(spark, server, server.create(), "id STRING, d INTERVAL YEAR TO MONTH").collect()


def test_a_table_without_a_schema_is_inferred(spark: SparkSession, server: Server) -> None:
    table = server.create("id:S", "day:N")
    server.put(table, {"id": {"S": "a"}, "day": {"N": "1"}, "price": {"N": "1.50"}, "tags": {"SS": ["x"]}})
    server.put(table, {"id": {"S": "b"}, "day": {"N": "2"}, "price": {"S": "free"}})
    frame = spark.read.format("dynamo-meta").options(**server.options).load(table)
    assert frame.schema.simpleString() == "struct<id:string,day:bigint,price:variant,tags:array<string>>"
    assert [field.nullable for field in frame.schema] == [False, False, True, True]
    assert frame.schema["tags"].metadata == {"dynamodb": "SS"}
    rows = frame.selectExpr("id", "day", "variant_get(price, '$', 'string') AS price", "tags").orderBy("id").collect()
    assert [tuple(row) for row in rows] == [("a", 1, "1.5", ["x"]), ("b", 2, "free", None)]
    narrow = spark.read.format("dynamo-meta").options(**server.options, columns="day, id").load(table)
    assert narrow.columns == ["day", "id"]
    assert sorted(map(tuple, narrow.collect())) == [(1, "a"), (2, "b")]


def test_modes(spark: SparkSession, local_server: Server) -> None:
    table = local_server.create()
    local_server.put(
        table, {"id": {"S": "good"}, "n": {"N": "1"}}, {"id": {"S": "bad"}, "n": {"S": "x"}, "m": {"N": "1.5"}}
    )
    reader = spark.read.format("dynamo-meta").options(**local_server.options)
    schema = "id STRING NOT NULL, n BIGINT, _corrupt_record STRING"
    permissive = reader.option("mode", "PERMISSIVE").schema(schema).load(table).orderBy("id").collect()
    assert [tuple(row)[:2] for row in permissive] == [("bad", None), ("good", 1)]
    assert json.loads(permissive[0]["_corrupt_record"]) == {"id": {"S": "bad"}, "n": {"S": "x"}, "m": {"N": "1.5"}}
    assert permissive[1]["_corrupt_record"] is None
    dropped = reader.option("mode", "DROPMALFORMED").schema("id STRING, n BIGINT").load(table).collect()
    assert [tuple(row) for row in dropped] == [("good", 1)]
    # a predicate that a null fulfils finds the item whose value became one
    nulls = reader.options(mode="PERMISSIVE", filter="n IS NULL").schema("id STRING, n BIGINT").load(table).collect()
    assert [tuple(row) for row in nulls] == [("bad", None)]


def test_a_corrupt_record_column_must_be_nullable_text(spark: SparkSession, local_server: Server) -> None:
    reader = spark.read.format("dynamo-meta").options(**local_server.options, mode="PERMISSIVE")
    with pytest.raises(AnalysisException, match="the column for corrupt records must be STRING and nullable"):
        reader.schema("id STRING, _corrupt_record BIGINT").load(local_server.create()).collect()


def test_columns_that_are_not_there_are_named(spark: SparkSession, local_server: Server) -> None:
    reader = spark.read.format("dynamo-meta").options(**local_server.options)
    table = local_server.create()
    with pytest.raises(
        AnalysisException, match=r"Option 'columns' names 'idd', and there is no such column; did you mean"
    ):
        reader.option("columns", "idd").load(table)
    with pytest.raises(
        AnalysisException, match=r"Option 'columns' names other columns than the schema, id, n; leave out"
    ):
        reader.option("columns", "id").schema("id STRING, n BIGINT").load(table).collect()


def test_nobody_at_the_endpoint_is_one_sentence(spark: SparkSession) -> None:
    options = {"endpointUrl": "http://127.0.0.1:1", "region": "x", "accessKeyId": "k", "secretAccessKey": "hidden-key"}
    with pytest.raises(AnalysisException, match="ConnectionError: Nobody answers at the DynamoDB endpoint") as caught:
        spark.read.format("dynamo-meta").options(**options).schema("id STRING").load("t").collect()
    assert "hidden-key" not in str(caught.value)


def test_a_stream_of_a_table_is_refused_with_what_there_is(spark: SparkSession, local_server: Server) -> None:
    reader = spark.readStream.format("dynamo-meta").options(**local_server.options).schema("id STRING")
    table = local_server.create()
    with pytest.raises(
        (AnalysisException, StreamingQueryException), match=f"Table '{table}' can't be read as a stream"
    ):
        reader.load(table).writeStream.format("noop").trigger(availableNow=True).start().awaitTermination()


def test_several_tables_at_once_are_refused(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException, match=r"Option 'path' must be one table, not .*a.*b.*; load each by itself"):
        spark.read.format("dynamo-meta").load(["a", "b"])


def test_sql_with_a_temporary_view(spark: SparkSession, server: Server) -> None:
    table = server.create()
    server.put(table, {"id": {"S": "a"}, "n": {"N": "1"}}, {"id": {"S": "b"}, "n": {"N": "2"}})
    options = ", ".join(f"{name} '{value}'" for name, value in server.options.items())
    spark.sql(
        f"CREATE OR REPLACE TEMPORARY VIEW items (id STRING, n BIGINT) USING `dynamo-meta` "
        f"OPTIONS (table '{table}', {options})"
    )
    assert spark.sql("SELECT sum(n) FROM items").first()[0] == 3


@pytest.mark.slow
def test_one_frame_used_twice_gives_all_rows_twice(spark: SparkSession, server: Server) -> None:
    table = server.create()
    server.put(table, *({"id": {"S": f"{n}"}, "n": {"N": f"{n}"}} for n in range(4)))
    frame = read(spark, server, table, "id STRING, n BIGINT")
    assert frame.where("n = 1").count() == 1
    assert frame.count() == 4
    assert frame.where("n = 1").union(frame.where("n = 2")).count() == 2
    assert frame.limit(1).count() == 1
