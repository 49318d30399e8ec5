"""What a write does with its rows besides putting them, and tables that it creates first."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.errors import AnalysisException, PythonException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, StringType, StructType

from spark_dynamo.aws.tables import KeyAttribute, describe_table
from spark_dynamo.errors import ConfigurationError, InvalidItemError, OptionError, SchemaError
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.write.table_creation import ensure_target
from spark_dynamo.wire.items import item_schema
from spark_dynamo.wire.types import VARIANT
from spark_dynamo.wire.variant import encode_variant
from tests.conftest import Server
from tests.servers.faulty import faulty_server, sometimes
from tests.wire.strategies import canonical

KEYS = StructType().add("id", "string").add("day", "long").add("note", "string")


def write(frame: DataFrame, server: Server, table: str, **options: str) -> None:
    frame.write.format("dynamo-meta").options(**server.options, **options).mode("append").save(table)


def delete(server: Server, table: str, batch: pa.RecordBatch, schema: StructType, **options: str) -> Any:
    """What one task's delete tells."""
    return server.writer(table, schema, operation="delete", **options).write(iter([batch]))


def test_rows_delete_their_items(spark: SparkSession, server: Server) -> None:
    table = server.create("id:S", "day:N")
    server.put(table, *({"id": {"S": name}, "day": {"N": str(day)}} for name in "abc" for day in range(20)))
    # the other columns don't matter, not even where no item could hold them, and neither do keys that are not there
    frame = spark.sql(
        "SELECT id, day, double('NaN') AS n FROM VALUES ('a'), ('c'), ('z') AS t(id), range(20) AS d(day)"
    )
    write(frame.withColumnRenamed("n", "odd"), server, table, operation="delete")
    assert {item["id"]["S"] for item in server.items(table)} == {"b"}
    assert len(server.items(table)) == 20


def test_equal_keys_are_deleted_once(server: Server) -> None:
    table = server.create("id:S", "day:N")
    server.put(table, {"id": {"S": "a"}, "day": {"N": "1"}}, {"id": {"S": "b"}, "day": {"N": "1"}})
    batch = pa.record_batch({"id": ["a", "a", "a"], "day": [1, 1, 2], "note": ["x", "y", None]})
    written = delete(server, table, batch, KEYS)
    assert (written.items, written.duplicates) == (2, 1)
    assert [item["id"]["S"] for item in server.items(table)] == ["b"]


def test_whole_items_are_deleted_by_the_keys_in_them(server: Server) -> None:
    table = server.create("id:S", "day:N")
    server.put(table, {"id": {"S": "a"}, "day": {"N": "1"}, "n": {"N": "7"}}, {"id": {"S": "b"}, "day": {"N": "1"}})
    batch = pa.record_batch({"item": ['{"id":{"S":"a"},"day":{"N":"1.0"},"n":{"N":"7"}}']})
    delete(server, table, batch, StructType().add("item", "string"), itemFormat="json")
    assert [item["id"]["S"] for item in server.items(table)] == ["b"]


def test_a_key_without_a_value_deletes_nothing(local_server: Server) -> None:
    table = local_server.create("id:S", "day:N")
    local_server.put(table, {"id": {"S": "a"}, "day": {"N": "1"}})
    batch = pa.record_batch({"id": ["a", None], "day": [1, 1], "note": ["x", "y"]})
    with pytest.raises(InvalidItemError, match="a key attribute must not be NULL"):
        delete(local_server, table, batch, KEYS)
    assert len(local_server.items(table)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_deletes_survive_faults(local_server: Server, seed: int) -> None:
    """An answer that is lost after the deletes took effect is no matter: they are safe to repeat."""
    table = local_server.create("id:S", "day:N")
    local_server.put(table, *({"id": {"S": f"item-{number}"}, "day": {"N": "1"}} for number in range(120)))
    faults = ["ThrottlingException", "InternalServerError", "answer lost", "reset before the answer", "wrong CRC32"]
    with faulty_server(local_server.endpoint, sometimes(faults, seed=seed, probability=0.5)) as proxy:
        writer = Server("faulty", proxy.endpoint).writer(table, KEYS, operation="delete")
        batch = pa.record_batch(
            {"id": [f"item-{number}" for number in range(100)], "day": [1] * 100, "note": ["x"] * 100}
        )
        assert writer.write(iter([batch])).items == 100
        assert proxy.faults
    assert len(local_server.items(table)) == 20


# ------------------------------------------------------------------------------------------------- through Spark


def values_of(server: Server, table: str, name: str) -> dict[str, Any]:
    """An attribute of all items, by their ids."""
    return {item["id"]["S"]: next(iter(item[name].values())) if name in item else None for item in server.items(table)}


@pytest.mark.slow
def test_inserts_that_are_refused_can_be_read_back(spark: SparkSession, server: Server, tmp_path: Path) -> None:
    table = server.create()
    server.put(table, {"id": {"S": "a"}, "n": {"N": "1"}}, {"id": {"S": "b"}, "n": {"N": "1"}})
    frame = spark.sql("SELECT id, 2 AS n FROM VALUES ('a'), ('c'), ('d') AS t(id)")
    with pytest.raises(PythonException, match=r"1 row was not written .* there is an item with that key already"):
        write(frame, server, table, operation="insert")
    write(frame.where("id <> 'd'"), server, table, operation="insert", conditionFailed="skip")
    write(frame, server, table, operation="insert", conditionFailed=str(tmp_path))
    assert values_of(server, table, "n") == {"a": "1", "b": "1", "c": "2", "d": "2"}
    lines = [
        json.loads(row.value) for row in spark.read.option("recursiveFileLookup", "true").text(str(tmp_path)).collect()
    ]
    refused = {line["item"]["id"]["S"]: line["stored"] for line in lines}
    assert refused["a"] == {"id": {"S": "a"}, "n": {"N": "1"}}
    assert refused.keys() <= {"a", "c", "d"}  # the first write may have come to c or d before it failed


def test_updates_leave_other_attributes_as_they_are(spark: SparkSession, server: Server) -> None:
    table = server.create()
    server.put(table, {"id": {"S": "a"}, "n": {"N": "1"}, "note": {"S": "x"}, "other": {"SS": ["y"]}})
    frame = spark.sql("SELECT 'a' AS id, 2 AS n, cast(null AS string) AS note UNION ALL SELECT 'b', 3, 'z'")
    write(frame, server, table, operation="update")
    new = {"id": {"S": "b"}, "n": {"N": "3"}, "note": {"S": "z"}}
    assert by_id(server, table)["a"] == {"id": {"S": "a"}, "n": {"N": "2"}, "note": {"S": "x"}, "other": {"SS": ["y"]}}
    write(frame, server, table, operation="update", nulls="remove", condition="n <= new.n", atomic="true")
    assert by_id(server, table) == {"a": {"id": {"S": "a"}, "n": {"N": "2"}, "other": {"SS": ["y"]}}, "b": new}


def test_each_row_names_its_operation(spark: SparkSession, server: Server) -> None:
    table = server.create()
    server.put(table, *({"id": {"S": name}, "n": {"N": "1"}, "m": {"N": "1"}} for name in "abcd"))
    frame = spark.sql(
        "SELECT * FROM VALUES ('a', 'put', 2), ('b', 'Update', 2), ('c', 'delete', 2), ('d', 'insert', 2), ('e', 'insert', 2) "
        "AS t(id, op, n)"
    )
    write(frame, server, table, operationColumn="op", conditionFailed="skip")
    assert values_of(server, table, "n") == {"a": "2", "b": "2", "d": "1", "e": "2"}
    assert values_of(server, table, "m") == {"a": None, "b": "1", "d": "1", "e": None}
    assert all("op" not in item for item in server.items(table))


@pytest.mark.slow
def test_bad_rows_are_mended_and_written_again(spark: SparkSession, local_server: Server, tmp_path: Path) -> None:
    table = local_server.create()
    frame = spark.range(40).selectExpr("string(id) id", "if(id % 20 = 7, double('NaN'), id) n", "repeat('x', 9) text")
    write(frame, local_server, table, badItems=str(tmp_path))
    assert len(local_server.items(table)) == 38
    lines = spark.read.option("recursiveFileLookup", "true").text(str(tmp_path))
    bad = lines.selectExpr("get_json_object(value, '$.item') AS item", "get_json_object(value, '$.unfit.n') AS unfit")
    assert [row.unfit for row in bad.collect()] == ["nan", "nan"]
    mended = bad.selectExpr("""concat(substring(item, 1, length(item) - 1), ',"n":{"N":"-1"}}') AS item""")
    write(mended, local_server, table, itemFormat="json")
    found = values_of(local_server, table, "n")
    assert found == {str(number): str(-1 if number % 20 == 7 else number) for number in range(40)}
    assert set(values_of(local_server, table, "text").values()) == {"x" * 9}


def test_an_overwrite_leaves_exactly_the_frame(spark: SparkSession, server: Server) -> None:
    table = server.create("id:S", "day:N")
    server.put(
        table, *({"id": {"S": name}, "day": {"N": str(day)}, "old": {"N": "1"}} for name in "ab" for day in range(30))
    )
    frame = spark.sql("SELECT 'b' AS id, id AS day, 'x' AS note FROM range(20, 40)")

    def overwrite(**options: str) -> None:
        frame.write.format("dynamo-meta").options(**server.options, **options).mode("overwrite").save(table)

    with pytest.raises(AnalysisException, match="'overwriteConfirm' is 'other', and the table to overwrite is"):
        overwrite(overwriteConfirm="other")
    assert len(server.items(table)) == 60
    for options in ({}, {"overwriteConfirm": table}):
        overwrite(**options)
        items = server.items(table)
        assert sorted(int(item["day"]["N"]) for item in items) == list(range(20, 40))
        assert all(item.keys() == {"id", "day", "note"} and item["id"] == {"S": "b"} for item in items)


def test_a_view_takes_inserts_in_sql(spark: SparkSession, local_server: Server) -> None:
    table = local_server.create()
    options = {**local_server.options, "table": table, "operation": "insert", "conditionFailed": "skip"}
    listed = ", ".join(f"{name} '{value}'" for name, value in options.items())
    spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW orders (id STRING, n BIGINT) USING `dynamo-meta` OPTIONS ({listed})")
    spark.sql("INSERT INTO orders VALUES ('a', 1), ('b', 2)")
    spark.sql("INSERT INTO orders VALUES ('a', 3), ('c', 4)")
    assert values_of(local_server, table, "n") == {"a": "1", "b": "2", "c": "4"}


def by_id(server: Server, table: str) -> dict[str, Any]:
    return {item["id"]["S"]: item for item in server.items(table)}


# ------------------------------------------------------------------------------------------------- whole items


def whole(item_format: str, *items: dict[str, Any]) -> pa.RecordBatch:
    """A frame of items in DynamoDB JSON."""
    if item_format == "json":
        return pa.record_batch({"item": [json.dumps(item) for item in items]})
    pairs = [dict(zip(("value", "metadata"), encode_variant({"M": item}), strict=True)) for item in items]
    return pa.RecordBatch.from_arrays([pa.array(pairs, VARIANT)], names=["item"])


@pytest.mark.parametrize("item_format", ["json", "variant"])
@pytest.mark.parametrize("atomic", ["false", "true"])
def test_whole_items_in_every_operation(server: Server, item_format: str, atomic: str) -> None:
    table = server.create("id:S", "day:N")
    old, new = (
        {"v": {"N": "1"}},
        {"v": {"N": "2"}, "tags": {"SS": ["x", "y"]}, "deep": {"M": {"l": {"L": [{"NULL": True}]}}}},
    )

    def items(days: Iterable[int], values: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"id": {"S": "a"}, "day": {"N": str(day)}, **values} for day in days]

    def run(days: Iterable[int], **options: str) -> tuple[int, int]:
        schema = item_schema(item_format)
        if "condition" in options or options.get("operation") == "insert":
            options["conditionFailed"] = "skip"
        writer = server.writer(table, schema, itemFormat=item_format, atomic=atomic, **options)
        written = writer.write(iter([whole(item_format, *items(days, new))]))
        return written.items, written.failed

    def versions() -> dict[int, str]:
        return {int(item["day"]["N"]): item["v"]["N"] for item in server.items(table)}

    server.put(table, *items([1, 2, 3], old))
    assert run([2], operation="insert") == (0, 1)
    assert run([4, 5], operation="insert") == (2, 0)
    assert run([1]) == (1, 0)
    assert versions() == {1: "2", 2: "1", 3: "1", 4: "2", 5: "2"}
    assert run([4, 6], operation="delete") == (2, 0)
    assert run([2], condition="v >= 2") == (0, 1)
    assert run([2], condition="v < 2 OR id IS NULL") == (1, 0)
    assert run([3], operation="delete", condition="v >= 2") == (0, 1)
    assert run([5], operation="delete", condition="v >= 2") == (1, 0)
    assert versions() == {1: "2", 2: "2", 3: "1"}
    assert canonical(
        {"M": {name: value for name, value in server.items(table)[0].items() if name in new}}
    ) == canonical({"M": new})


# ------------------------------------------------------------------------------------------------- transactions


@pytest.mark.parametrize("refused", [None, 150])
def test_each_hundred_rows_of_a_task_are_written_together(server: Server, refused: int | None) -> None:
    """Rows of all operations in the order of the frame; a row that is refused takes its hundred along."""
    table = server.create("id:S", "day:N")
    schema = StructType().add("id", "string").add("day", "long").add("op", "string")
    names = ("put", "insert", "update", "delete")
    server.put(table, *({"id": {"S": "a"}, "day": {"N": str(day)}} for day in range(3, 250, 4)))
    days = list(range(250))
    operations = ["insert" if day == refused else names[day % 4] for day in days]
    if refused:
        server.put(table, {"id": {"S": "a"}, "day": {"N": str(refused)}, "there": {"BOOL": True}})
    batch = pa.record_batch({"id": ["a"] * 250, "day": days, "op": operations})
    writer = server.writer(table, schema, operationColumn="op", atomic="true", conditionFailed="skip")
    written = writer.write(iter([batch]))
    assert (written.items, written.failed) == ((150, 100) if refused else (250, 0))
    kept = set(range(100, 200)) if refused else set()
    expected = {day for day in days if day % 4 != 3 and day not in kept} | {
        day for day in kept if day % 4 == 3 or day == 150
    }
    assert {int(item["day"]["N"]) for item in server.items(table)} == expected


# ------------------------------------------------------------------------------------------------- tables to create


def options_of(server: Server, **options: str) -> SourceOptions:
    return SourceOptions({**server.options, "table": f"test-{uuid.uuid4().hex}", "createTable": "true", **options})


def test_a_table_is_created_with_the_columns_types(spark: SparkSession, server: Server) -> None:
    table = f"test-{uuid.uuid4().hex}"
    frame = spark.sql("SELECT 'a' AS id, 7L AS day, 1.5D AS n")
    for _ in range(2):  # the second time it is there
        write(frame, server, table, createTable="true", partitionKey="id", sortKey="day")
    described = describe_table(server.client, table)
    assert described.keys == (KeyAttribute("id", "S"), KeyAttribute("day", "N"))
    assert server.items(table) == [{"id": {"S": "a"}, "day": {"N": "7"}, "n": {"N": "1.5"}}]


def test_a_table_with_other_keys_is_an_error(local_server: Server) -> None:
    options = options_of(local_server, partitionKey="id")
    ensure_target(options, KEYS)
    other = SourceOptions(
        {**local_server.options, "table": options.table, "createTable": "true", "partitionKey": "day"}
    )
    with pytest.raises(
        ConfigurationError, match=r"exists with partition key 'id' \(S\), and partition key 'day' \(N\) is"
    ):
        ensure_target(other, KEYS)


def test_columns_that_can_be_no_key_are_named(local_server: Server) -> None:
    schema = StructType().add("id", "string").add("flag", "boolean").add("list", ArrayType(StringType()))
    with pytest.raises(
        OptionError, match=r"'partitionKey' is 'idd', and the frame has no such column; did you mean 'id'\?"
    ):
        ensure_target(options_of(local_server, partitionKey="idd"), schema)
    with pytest.raises(SchemaError, match="Field 'flag': BOOLEAN can be no key"):
        ensure_target(options_of(local_server, partitionKey="id", sortKey="flag"), schema)
    with pytest.raises(SchemaError, match=r"Field 'list': array<string> can be no key"):
        ensure_target(options_of(local_server, partitionKey="list"), schema)


def test_metadata_tables_are_not_created_by_a_write(local_server: Server) -> None:
    options = SourceOptions(
        {**local_server.options, "table": "pipeline_config", "createTable": "true", "partitionKey": "pipeline_id"}
    )
    with pytest.raises(OptionError, match=r"is not for 'pipeline_config'; sd.create_tables\(\) creates it"):
        ensure_target(options, StructType().add("pipeline_id", "string"))


def test_without_create_table_a_missing_table_is_an_error(spark: SparkSession, local_server: Server) -> None:
    with pytest.raises(AnalysisException, match="DynamoDB has no table 'test-none'"):
        write(spark.sql("SELECT 'a' AS id"), local_server, "test-none")
