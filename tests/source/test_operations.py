"""What a write does with its rows besides putting them, and tables that it creates first."""

from __future__ import annotations

import uuid
from typing import Any

import pyarrow as pa
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, StringType, StructType

from spark_dynamo.aws.tables import KeyAttribute, describe_table
from spark_dynamo.errors import ConfigurationError, InvalidItemError, OptionError, SchemaError
from spark_dynamo.source.creation import ensure_target
from spark_dynamo.source.options import SourceOptions
from spark_dynamo.source.writer import ItemWriter
from tests.conftest import Server
from tests.servers.faulty import faulty_server, sometimes

KEYS = StructType().add("id", "string").add("day", "long").add("note", "string")


def write(frame: DataFrame, server: Server, table: str, **options: str) -> None:
    frame.write.format("dynamo-meta").options(**server.options, **options).mode("append").save(table)


def delete(server: Server, table: str, batch: pa.RecordBatch, schema: StructType, **fields: Any) -> Any:
    """What one task's delete tells."""
    described = describe_table(server.client, table)
    writer = ItemWriter(server.connection, described, table, schema, operation="delete", **fields)
    return writer.write(iter([batch]))


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
    delete(server, table, batch, StructType().add("item", "string"), item_format="json")
    assert [item["id"]["S"] for item in server.items(table)] == ["b"]


def test_a_key_without_a_value_deletes_nothing(moto_server: Server) -> None:
    table = moto_server.create("id:S", "day:N")
    moto_server.put(table, {"id": {"S": "a"}, "day": {"N": "1"}})
    batch = pa.record_batch({"id": ["a", None], "day": [1, 1], "note": ["x", "y"]})
    with pytest.raises(InvalidItemError, match="a key attribute must not be NULL"):
        delete(moto_server, table, batch, KEYS)
    assert len(moto_server.items(table)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_deletes_survive_faults(moto_server: Server, seed: int) -> None:
    """An answer that is lost after the deletes took effect is no matter: they are safe to repeat."""
    table = moto_server.create("id:S", "day:N")
    moto_server.put(table, *({"id": {"S": f"item-{number}"}, "day": {"N": "1"}} for number in range(120)))
    faults = ["ThrottlingException", "InternalServerError", "answer lost", "reset before the answer", "wrong CRC32"]
    with faulty_server(moto_server.endpoint, sometimes(faults, seed=seed, probability=0.5)) as proxy:
        described = describe_table(moto_server.client, table)
        writer = ItemWriter(proxy.connection, described, table, KEYS, operation="delete")
        batch = pa.record_batch(
            {"id": [f"item-{number}" for number in range(100)], "day": [1] * 100, "note": ["x"] * 100}
        )
        assert writer.write(iter([batch])).items == 100
        assert proxy.faults
    assert len(moto_server.items(table)) == 20


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


def test_a_table_with_other_keys_is_an_error(moto_server: Server) -> None:
    options = options_of(moto_server, partitionKey="id")
    ensure_target(options, KEYS)
    other = SourceOptions({**moto_server.options, "table": options.table, "createTable": "true", "partitionKey": "day"})
    with pytest.raises(
        ConfigurationError, match=r"exists with partition key 'id' \(S\), and partition key 'day' \(N\) is"
    ):
        ensure_target(other, KEYS)


def test_columns_that_can_be_no_key_are_named(moto_server: Server) -> None:
    schema = StructType().add("id", "string").add("flag", "boolean").add("list", ArrayType(StringType()))
    with pytest.raises(
        OptionError, match=r"'partitionKey' is 'idd', and the frame has no such column; did you mean 'id'\?"
    ):
        ensure_target(options_of(moto_server, partitionKey="idd"), schema)
    with pytest.raises(SchemaError, match="Field 'flag': BOOLEAN can be no key"):
        ensure_target(options_of(moto_server, partitionKey="id", sortKey="flag"), schema)
    with pytest.raises(SchemaError, match=r"Field 'list': array<string> can be no key"):
        ensure_target(options_of(moto_server, partitionKey="list"), schema)


def test_metadata_tables_are_not_created_by_a_write(moto_server: Server) -> None:
    options = SourceOptions(
        {**moto_server.options, "table": "pipeline_config", "createTable": "true", "partitionKey": "pipeline_id"}
    )
    with pytest.raises(OptionError, match=r"is not for 'pipeline_config'; sd.create_tables\(\) creates it"):
        ensure_target(options, StructType().add("pipeline_id", "string"))


def test_without_create_table_a_missing_table_is_an_error(spark: SparkSession, moto_server: Server) -> None:
    with pytest.raises(AnalysisException, match="DynamoDB has no table 'test-none'"):
        write(spark.sql("SELECT 'a' AS id"), moto_server, "test-none")
