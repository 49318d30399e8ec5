"""Writing frames through Spark, to both servers."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyspark.errors import AnalysisException, PythonException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spark_dynamo.errors import DuplicateKeyError, InvalidItemError
from spark_dynamo.source.write.written import Written
from tests.conftest import Server
from tests.tiers import quick


def write(frame: DataFrame, server: Server, table: str, **options: str) -> None:
    frame.write.format("dynamo-meta").options(**server.options, **options).mode("append").save(table)


def test_every_type_becomes_its_attribute_type(spark: SparkSession, server: Server) -> None:
    table = server.create()
    frame = spark.sql(
        """SELECT 'a' id, 1Y tiny, 2 int, 3L long, 1.5D double, 1.25BD exact, true flag, X'00FF' bytes,
           timestamp'2026-11-01 10:30:00.5' moment, timestamp_ntz'2026-11-01 10:30:00' local, date'2026-11-01' day,
           array(1, null) list, named_struct('street', 'Main', 'none', cast(null as int)) struct,
           map('k', 1.5D, 'n', null) map, parse_json('{"x": [1, "s", null], "y": {}}') any, cast(null as string) nothing"""
    )
    write(frame, server, table)
    assert server.items(table) == [
        {
            "id": {"S": "a"},
            "tiny": {"N": "1"},
            "int": {"N": "2"},
            "long": {"N": "3"},
            "double": {"N": "1.5"},
            "exact": {"N": "1.25"},
            "flag": {"BOOL": True},
            "bytes": {"B": b"\x00\xff"},
            "moment": {"S": "2026-11-01T10:30:00.500000+00:00"},
            "local": {"S": "2026-11-01T10:30:00.000000"},
            "day": {"S": "2026-11-01"},
            "list": {"L": [{"N": "1"}, {"NULL": True}]},
            "struct": {"M": {"street": {"S": "Main"}}},
            "map": {"M": {"k": {"N": "1.5"}, "n": {"NULL": True}}},
            "any": {"M": {"x": {"L": [{"N": "1"}, {"S": "s"}, {"NULL": True}]}, "y": {"M": {}}}},
        }
    ]


def test_metadata_chooses_sets_and_epoch_seconds(spark: SparkSession, server: Server) -> None:
    table = server.create()
    frame = spark.sql("SELECT 'a' id, array('x') strings, array(1.5BD) numbers, timestamp'2026-11-01 08:00:00' ttl")
    tagged = frame.select(
        "id",
        frame.strings.alias("strings", metadata={"dynamodb": "SS"}),
        frame.numbers.alias("numbers", metadata={"dynamodb": "NS"}),
        frame.ttl.alias("ttl", metadata={"dynamodb": "N"}),
    )
    write(tagged, server, table)
    (item,) = server.items(table)
    assert item["strings"] == {"SS": ["x"]}
    assert [Decimal(number) for number in item["numbers"]["NS"]] == [Decimal("1.5")]
    assert item["ttl"] == {"N": "1793520000"}


def test_large_arrow_types_are_taken_too(spark: SparkSession, local_server: Server) -> None:
    table = local_server.create()
    spark.conf.set("spark.sql.execution.arrow.useLargeVarTypes", "true")
    try:
        frame = spark.sql(
            "SELECT 'a' id, X'00FF' b, array('x', null) l, map('k', named_struct('s', 't')) m, parse_json('1') v"
        )
        write(frame, local_server, table)
    finally:
        spark.conf.unset("spark.sql.execution.arrow.useLargeVarTypes")
    assert local_server.items(table) == [
        {
            "id": {"S": "a"},
            "b": {"B": b"\x00\xff"},
            "l": {"L": [{"S": "x"}, {"NULL": True}]},
            "m": {"M": {"k": {"M": {"s": {"S": "t"}}}}},
            "v": {"N": "1"},
        }
    ]


def test_nulls_are_omitted_or_written(spark: SparkSession, server: Server) -> None:
    table = server.create()
    frame = spark.sql("SELECT 'a' id, cast(null as int) n, named_struct('x', cast(null as int)) s")
    write(frame, server, table)
    assert server.items(table) == [{"id": {"S": "a"}, "s": {"M": {}}}]
    write(frame, server, table, nulls="write")
    assert server.items(table) == [{"id": {"S": "a"}, "n": {"NULL": True}, "s": {"M": {"x": {"NULL": True}}}}]


def test_append_replaces_items_with_the_same_key(spark: SparkSession, server: Server) -> None:
    table = server.create()
    write(spark.sql("SELECT 'a' id, 1 n, 2 m"), server, table)
    write(spark.sql("SELECT 'a' id, 3 n"), server, table)
    assert server.items(table) == [{"id": {"S": "a"}, "n": {"N": "3"}}]


def test_an_empty_frame_writes_nothing(spark: SparkSession, server: Server) -> None:
    table = server.create()
    write(spark.sql("SELECT 'a' id").limit(0), server, table)
    assert server.items(table) == []


def test_more_rows_than_one_request_takes(spark: SparkSession, server: Server) -> None:
    table = server.create("id:S", "n:N")
    write(spark.range(510).selectExpr("concat('k', id % 3) id", "id n", "repeat('x', 2000) text"), server, table)
    assert sorted(int(item["n"]["N"]) for item in server.items(table)) == list(range(510))


@pytest.mark.slow
def test_large_items_fit_into_requests(spark: SparkSession, server: Server) -> None:
    table = server.create()
    write(spark.range(30).selectExpr("string(id) id", "repeat('\\u0001', 350000) text"), server, table)
    items = server.items(table)
    assert sorted(int(item["id"]["S"]) for item in items) == list(range(30))
    assert all(item["text"]["S"] == "\x01" * 350_000 for item in items)


REFUSED_ROWS = [
    ("if(id = 7, null, string(id))", "1", "Row {id=None} can't be written", "a key attribute must not be NULL"),
    ("if(id = 7, '', string(id))", "1", "Row {id=''} can't be written", "a key attribute must not be empty"),
    ("if(id = 7, repeat('k', 2049), string(id))", "1", "Row {id='kkk", "a partition key holds 2,048 bytes"),
    (
        "string(id)",
        "if(id = 7, double('NaN'), 1.5D)",
        "Row {id='7'} can't be written",
        "'n' is nan: DynamoDB has no NaN",
    ),
    (
        "string(id)",
        "if(id = 7, double('-Infinity'), 1.5D)",
        "Row {id='7'}",
        "'n' is -inf: DynamoDB has no NaN and no inf",
    ),
    ("string(id)", "if(id = 7, 1e126D, 1.5D)", "Row {id='7'}", "numbers reach from 1E-130 to 9.99E+125"),
    (
        "string(id)",
        "repeat('x', if(id = 7, 409598, 9))",
        "Row {id='7'}",
        "the item is 409,602 bytes, and DynamoDB takes at",
    ),
    (
        "string(id)",
        "array(if(id = 7, cast(X'EDA080' as string), 'x'))",
        "Row {id='7'}",
        "'n[]' is b'\\xed\\xa0\\x80': it is not",
    ),
    (
        "string(id)",
        "map(if(id = 7, '', 'k'), 1)",
        "Row {id='7'}",
        "attribute 'n{}' is : DynamoDB takes no empty attribute name",
    ),
    (
        "string(id)",
        r"""parse_json(if(id = 7, '{"": 1}', '{"a": "\\\"\\\":"}'))""",
        "Row {id='7'}",
        "no empty attribute name",
    ),
    (
        "string(id)",
        "if(id = 7, timestamp'+12345-01-01', current_timestamp())",
        "Row {id='7'}",
        "the years 0001 to 9999",
    ),
]


@pytest.mark.parametrize(
    ("key", "value", "row", "problem"), quick(3, REFUSED_ROWS), ids=[row[3][:40] for row in REFUSED_ROWS]
)
def test_rows_that_dynamodb_cannot_take_are_named_before_anything_is_sent(
    spark: SparkSession, local_server: Server, key: str, value: str, row: str, problem: str
) -> None:
    table = local_server.create()
    frame = spark.range(0, 20, 1, 1).selectExpr(f"{key} id", f"{value} n")
    with pytest.raises(PythonException, match="InvalidItemError") as caught:
        write(frame, local_server, table)
    assert row in str(caught.value)
    assert problem in str(caught.value)
    assert local_server.items(table) == []


def test_a_number_of_39_digits_is_named(spark: SparkSession, local_server: Server) -> None:
    table = local_server.create()
    frame = spark.sql("SELECT 'a' id, repeat('9', 39) n")
    tagged = frame.select("id", frame.n.alias("n", metadata={"dynamodb": "N"}))
    with pytest.raises(PythonException, match="'n' is 9{39}: DynamoDB keeps 38 significant digits"):
        write(tagged, local_server, table)


@pytest.mark.parametrize(("keep", "kept"), [("last", "2"), ("first", "0")])
def test_equal_keys_keep_the_last_or_the_first(spark: SparkSession, server: Server, keep: str, kept: str) -> None:
    table = server.create()
    frame = spark.range(0, 3, 1, 1).selectExpr("'same' id", "id n")
    write(frame, server, table, duplicates=keep)
    assert server.items(table) == [{"id": {"S": "same"}, "n": {"N": kept}}]


def test_equal_keys_are_an_error_before_anything_is_sent(spark: SparkSession, server: Server) -> None:
    table = server.create()
    with pytest.raises(PythonException, match="DuplicateKeyError: Two rows for table .* have the key {id='x'}"):
        write(spark.range(0, 2, 1, 1).selectExpr("'x' id"), server, table)
    assert server.items(table) == []


KEYED = StructType().add("id", "string").add("n", "long")


def batches(*groups: list[tuple[str, int]]) -> Any:
    return iter([pa.RecordBatch.from_pylist([{"id": key, "n": n} for key, n in group]) for group in groups])


def test_equal_keys_in_different_batches_of_a_task(local_server: Server) -> None:
    groups = [("a", 1), ("b", 2)], [("a", 3), ("a", 4)], [("b", 5), ("c", 6)]
    for keep, expected in (("last", {"a": "4", "b": "5", "c": "6"}), ("first", {"a": "1", "b": "2", "c": "6"})):
        table = local_server.create()
        message = local_server.writer(table, KEYED, duplicates=keep).write(batches(*groups))
        assert {item["id"]["S"]: item["n"]["N"] for item in local_server.items(table)} == expected
        assert message.items + message.duplicates == 6
    table = local_server.create()
    with pytest.raises(DuplicateKeyError, match="id='a'"):
        local_server.writer(table, KEYED).write(batches(*groups))
    assert {item["id"]["S"] for item in local_server.items(table)} <= {"a", "b"}  # the first batch only


def test_equal_numbers_are_equal_keys_however_they_are_written(local_server: Server) -> None:
    table = local_server.create("id:N")
    schema = StructType().add("id", "string", metadata={"dynamodb": "N"})
    writer = local_server.writer(table, schema)
    with pytest.raises(DuplicateKeyError, match="id='1.0'"):
        writer.write(iter([pa.record_batch({"id": ["1", "1.0"]})]))


def test_nothing_of_a_batch_is_sent_where_its_last_row_is_bad(local_server: Server) -> None:
    table = local_server.create()
    rows = [{"id": f"{n}", "x": "y" * 100_000} for n in range(200)] + [{"id": "", "x": ""}]  # 20 MB: three slices
    schema = StructType().add("id", "string").add("x", "string")
    with pytest.raises(InvalidItemError):
        local_server.writer(table, schema).write(iter([pa.RecordBatch.from_pylist(rows)]))
    rows[-1] = {"id": "big", "x": "y" * 500_000}
    with pytest.raises(InvalidItemError, match="Row {id='big'}"):
        local_server.writer(table, schema).write(iter([pa.RecordBatch.from_pylist(rows)]))
    assert local_server.items(table) == []


def test_counts_travel_in_the_commit_message(dynoxide_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    table = dynoxide_server.create()
    writer = dynoxide_server.writer(table, KEYED)
    messages = [writer.write(batches([(f"{task}-{n}", n) for n in range(30)])) for task in range(2)]
    assert messages[0].items == 30
    assert messages[0].requests == 2
    assert messages[0].units == 30
    assert messages[0].bytes > 30 * len('{"PutRequest":{"Item":{"id":{"S":"0-0"},"n":{"N":"0"}}}}')
    total = Written.total(messages)
    assert (total.items, total.requests, total.retries, total.duplicates) == (60, 4, 0, 0)
    with caplog.at_level(logging.INFO, "spark_dynamo"):
        writer.commit(messages)
        writer.abort([messages[0], None])
    assert "60 items" in caplog.text
    told = vars(caplog.records[0])
    assert (told["operation"], told["table"], told["items"], told["units"]) == ("put", table, 60, 60)
    assert "failed; items of finished tasks stay" in caplog.text


def test_a_table_that_does_not_exist_says_how_to_create_it(spark: SparkSession, server: Server) -> None:
    with pytest.raises(AnalysisException, match="no table 'missing'.* to create the table, set option createTable"):
        write(spark.sql("SELECT 'a' id"), server, "missing")


@pytest.mark.parametrize(
    ("frame", "sentence"),
    quick(
        2,
        [
            (
                "SELECT 'a' ID_",
                "Field 'id': table 'T' has it as a key attribute, but the frame has no such column; did you mean 'ID_",
            ),
            ("SELECT 1 id", "Field 'id': table 'T' has it as a key of type S, but int is stored as N; cast the column"),
            ("SELECT array('a') id", "Field 'id': a key attribute can't be array<string>"),
            ("SELECT 'a' id, map(1, 2) m", "Field 'm': map<int,int> has keys that are no strings; cast them to STRING"),
            ("SELECT 'a' id, interval 1 month i", "Field 'i': interval month has no DynamoDB form"),
            (
                "SELECT 'a' id, array(named_struct('b\\u0000', 1)) l",
                r"Field 'l[].b\0': Spark loses values under a name with a NUL",
            ),
        ],
    ),
)
def test_frames_that_do_not_suit_the_table(
    spark: SparkSession, local_server: Server, frame: str, sentence: str
) -> None:
    table = local_server.create()
    with pytest.raises(AnalysisException) as caught:
        write(spark.sql(frame), local_server, table)
    assert sentence.replace("'T'", f"'{table}'") in str(caught.value)


def test_keys_must_be_in_the_frame(local_server: Server) -> None:
    table = local_server.create("id:S", "n:N")
    local_server.writer(table, KEYED)
