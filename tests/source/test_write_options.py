"""What a write's options mean together: each that can't be used is named in one sentence, before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql.types import StructType

from spark_dynamo.config import DynamoDBConfig
from spark_dynamo.errors import (
    DuplicateKeyError,
    InvalidItemError,
    OptionError,
    SchemaError,
    SchemaMismatchError,
    TableNotFoundError,
)
from spark_dynamo.metadata.tables import create_tables
from spark_dynamo.source.datasource import DynamoDataSource
from spark_dynamo.source.write.writer import ItemWriter
from tests.conftest import Server
from tests.servers.faulty import faulty_server

SCHEMA = StructType().add("id", "string").add("v", "long").add("s", "string").add("op", "string")
WHOLE = StructType().add("item", "string")
MODEL = "tests.source.test_contract:Order"


@pytest.fixture(scope="module")
def table(moto_server: Server) -> str:
    return moto_server.create()


def writer(
    server: Server, table: str, schema: StructType = SCHEMA, *, overwrite: bool = False, **options: str
) -> ItemWriter:
    made = DynamoDataSource({**server.options, "table": table, **options}).writer(schema, overwrite)
    assert isinstance(made, ItemWriter)
    return made


WRONG = [
    ({"operation": "upsert"}, "must be one of put, insert, update, delete, not 'upsert'"),
    ({"operationColumn": "opp"}, "names 'opp', and there is no such column; did you mean 'op'?"),
    ({"operationColumn": " "}, "must not be empty"),
    (
        {"operation": "delete", "operationColumn": "op"},
        "is 'delete', and operationColumn names an operation for each row",
    ),
    ({"condition": "v <"}, "can't be read near '<'"),
    ({"condition": "v < new.w"}, "names 'new.w', and the frame has no such column"),
    ({"condition": "s = new.op", "operationColumn": "op"}, "names 'new.op', and the frame has no such column"),
    ({"condition": "upper(s) = 'A'"}, "calls upper(...)"),
    ({"condition": "v < 3", "operation": "insert"}, "is not for operation insert"),
    ({"conditionFailed": ""}, "must not be empty"),
    ({"conditionFailed": "skp"}, "is 'skp'; did you mean 'skip'? Write './skp' for a folder of that name"),
    ({"conditionFailed": "ftp://there"}, "must be a folder, file:///folder, s3://bucket/prefix or dynamodb://table"),
    ({"conditionFailed": "skip"}, "is 'skip', and no row of this write has a condition that could fail; give option"),
    ({"conditionFailed": "./x", "operation": "delete"}, "is './x', and no row of this write has a condition"),
    ({"conditionFailed": "skip", "operation": "update"}, "is 'skip', and no row of this write has a condition"),
    ({"atomic": "yes"}, "must be true or false, not 'yes'"),
    ({"badItems": "eror"}, "is 'eror'; did you mean 'error'? Write './eror' for a folder of that name"),
    ({"badItems": "skip"}, "can't be 'skip', as no row is dropped without a trace"),
    ({"badItems": "s3://"}, "must be a folder, file:///folder, s3://bucket/prefix or dynamodb://table"),
    ({"badItems": "dynamodb://no-such-table"}, "names 'dynamodb://no-such-table', and DynamoDB has no table"),
    ({"model": "Order"}, "must be like package.module:Model, not 'Order'"),
    ({"maxWriteUnits": "0"}, "must be a number above 0, not '0'"),
    ({"maxWriteUnits": "many"}, "must be a number above 0, not 'many'"),
    ({"writeRatio": "1.5"}, "must be a number above 0 and up to 1, not '1.5'"),
    ({"retryTimeout": "-1"}, "must be a number above 0, not '-1'"),
    ({"numPartitions": "0"}, "must be a whole number from 1 to 10,000"),
    ({"nulls": "keep"}, "must be one of auto, omit, write, remove"),
    ({"nulls": "remove"}, "'remove' is for operation update, and the operation is put"),
    ({"nulls": "remove", "operation": "delete"}, "'remove' is for operation update, and the operation is delete"),
    ({"duplicates": "any"}, "must be one of error, last, first"),
    ({"duplicates": "last", "operation": "insert"}, "'last' can't be used with operation insert"),
    ({"duplicates": "last", "operation": "update"}, "'last' can't be used with operation update without nulls=remove"),
    ({"duplicates": "last", "condition": "v < 3"}, "'last' can't be used with a condition"),
    ({"createTable": "true"}, "partitionKey' is missing"),
    ({"createTable": "true", "partitionKey": "ids"}, "partitionKey' is 'ids', and the frame has no such column"),
    (
        {"createTable": "true", "partitionKey": "op", "operationColumn": "op"},
        "partitionKey' is 'op', which operationColumn names, too",
    ),
    ({"partitionKey": "id"}, "needs createTable=true beside it"),
    ({"sortKey": "id"}, "needs createTable=true beside it"),
    ({"indexes": "by_v(v)"}, "needs createTable=true beside it"),
    ({"billingMode": "PROVISIONED"}, "billingMode' needs createTable=true beside it"),
    ({"createTable": "yes", "partitionKey": "id"}, "createTable' must be true or false"),
    ({"filter": "id = 'a'"}, "'filter' is for reads, and this is a write; filter the frame with where() instead"),
    ({"columns": "id"}, "'columns' is for reads, and this is a write; select the frame's columns instead"),
    ({"index": "by_v"}, "'index' is for reads, and this is a write; write to the table"),
]


@pytest.mark.parametrize(("options", "sentence"), WRONG, ids=[" ".join(map("=".join, one.items())) for one, _ in WRONG])
def test_what_cannot_be_used_is_named(moto_server: Server, table: str, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(OptionError) as caught:
        writer(moto_server, table, **options)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("Option '")
    assert "\n" not in str(caught.value)


OF_WHOLE_ITEMS = [
    ({"operation": "update"}, "'update' needs columns, and itemFormat 'json' has none; put whole items"),
    ({"operationColumn": "item"}, "needs columns, and itemFormat 'json' has none"),
    ({"nulls": "write"}, "needs columns, and itemFormat 'json' has none"),
    ({"model": MODEL}, "needs columns, and itemFormat 'json' has none"),
    ({"createTable": "true", "partitionKey": "id"}, "needs columns, and itemFormat 'json' has none"),
    ({"condition": "v < new.v"}, "names 'new.v', and the frame has no such column"),
]


@pytest.mark.parametrize(("options", "sentence"), OF_WHOLE_ITEMS, ids=[next(iter(one)) for one, _ in OF_WHOLE_ITEMS])
def test_what_whole_items_cannot_be_used_with(
    moto_server: Server, table: str, options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(OptionError) as caught:
        writer(moto_server, table, WHOLE, itemFormat="json", **options)
    assert sentence in str(caught.value)


OF_OVERWRITE = [
    ({"operation": "delete"}, "Option 'operation' can't be used with mode 'overwrite'.*'delete' needs 'append'"),
    ({"operation": "insert"}, "'insert' needs 'append'"),
    ({"operationColumn": "op"}, "Option 'operationColumn' can't be used.*an operation for each row needs 'append'"),
    ({"condition": "v < 3"}, "Option 'condition' can't be used.*a condition needs 'append'"),
    ({"atomic": "true"}, "Option 'atomic' can't be used with mode 'overwrite'.*a write by transactions needs 'append'"),
    ({"overwriteConfirm": "another"}, "Option 'overwriteConfirm' is 'another', and the table to overwrite is 'test-"),
]


@pytest.mark.parametrize(
    ("options", "sentence"), OF_OVERWRITE, ids=[next(iter(one.values())) for one, _ in OF_OVERWRITE]
)
def test_what_an_overwrite_cannot_be_used_with(
    moto_server: Server, table: str, options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence):
        writer(moto_server, table, overwrite=True, **options)


def test_a_table_cannot_keep_its_own_rejected_rows(moto_server: Server, table: str) -> None:
    for option in ("badItems", "conditionFailed"):
        with pytest.raises(
            OptionError, match=f"Option '{option}' names 'dynamodb://{table}', the table that is written"
        ):
            writer(moto_server, table, **{option: f"dynamodb://{table}"})


def test_what_can_be_used_together(moto_server: Server, table: str, tmp_path: Path) -> None:
    bad, failed = str(tmp_path / "bad"), str(tmp_path / "failed")
    for options in (
        {"operationColumn": "op", "nulls": "remove", "condition": "v < new.v", "duplicates": "first", "atomic": "true"},
        {"operationColumn": "op", "duplicates": "last"},
        {"operation": "update", "nulls": "write", "duplicates": "last", "badItems": bad},
        {"operation": "update", "condition": "v < 3", "conditionFailed": failed},
        {"operation": "delete", "condition": "v < new.v"},
        {
            "operation": "insert",
            "conditionFailed": "SKIP",
            "badItems": "ERROR",
            "maxWriteUnits": "5",
            "numPartitions": "2",
        },
        {"badItems": f"{tmp_path}/errors"},  # only a bare word is taken for one that is misspelt
    ):
        assert writer(moto_server, table, **options).plan.table_name == table
    for options in ({"overwriteConfirm": table}, {"badItems": bad, "nulls": "write"}):
        assert writer(moto_server, table, overwrite=True, **options).plan.overwrite
    for options in ({"condition": "v < 3 OR id IS NULL"}, {"operation": "delete"}, {"operation": "insert"}):
        assert writer(moto_server, table, WHOLE, itemFormat="json", **options).plan.item_format == "json"


@pytest.mark.parametrize(
    ("schema", "options", "sentence"),
    [
        (SCHEMA, {"operationColumn": "v"}, "Field 'v': it names operations, and so must be STRING, not BIGINT"),
        (
            SCHEMA,
            {"operationColumn": "id"},
            "Field 'id': table '.*' has it as a key attribute, but the frame has no such",
        ),
        (
            SCHEMA,
            {"itemFormat": "json"},
            "Field 'item': with itemFormat 'json' it is the single column, of type STRING",
        ),
        (
            WHOLE,
            {"itemFormat": "variant"},
            "Field 'item': with itemFormat 'variant' it is the single column, of type VARIANT",
        ),
        (WHOLE, {}, "Field 'id': table '.*' has it as a key attribute, but the frame has no such column"),
    ],
)
def test_frames_that_do_not_suit_the_options(
    moto_server: Server, table: str, schema: StructType, options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SchemaError, match=sentence):
        writer(moto_server, table, schema, **options)


def test_the_smaller_budget_holds(moto_server: Server, table: str) -> None:
    whole = writer(moto_server, table, writeRatio="1").plan.units
    assert whole
    assert writer(moto_server, table, writeRatio="0.5").plan.units == whole / 2
    assert writer(moto_server, table, writeRatio="0.5", maxWriteUnits="7").plan.units == 7


# ---------------------------------------------------------------------------------------------------- models


def test_a_frame_that_is_not_its_models_is_shown_beside_it(moto_server: Server, table: str) -> None:
    with pytest.raises(SchemaMismatchError) as caught:
        writer(moto_server, table, SCHEMA, model=MODEL)
    text = str(caught.value)
    assert f"The frame for table '{table}' is not what model Order asks for" in text
    shown = {line[3:].split()[0]: line for line in text.splitlines()[1:]}
    assert shown["order_id"].split() == ["!", "order_id", "STRING", "NOT", "NULL", "-", "breaking:", "missing"]
    assert "BIGINT" in shown["v"]


def test_metadata_tables_refuse_a_frame_without_a_required_column(moto_server: Server) -> None:
    """Before anything is sent: no request but those that describe the table."""
    config = DynamoDBConfig(
        region_name="us-east-1",
        endpoint_url=moto_server.endpoint,
        environment="dev",
        table_prefix="options-",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    create_tables(config)
    options = {"tablePrefix": "options-", "environment": "dev"}
    schema = StructType().add("pipeline_id", "string", False)
    with faulty_server(moto_server.endpoint) as proxy:
        faulty = Server("proxy", proxy.endpoint)
        with pytest.raises(SchemaMismatchError, match=r"pipeline_name\s+STRING NOT NULL\s+-\s+breaking: missing"):
            writer(faulty, "pipeline_config", schema, **options)
        assert {operation for operation, _, _ in proxy.log} <= {"DescribeTable"}
        writer(faulty, "pipeline_config", schema, **options, operation="delete")  # a key is all that it needs
        with pytest.raises(OptionError, match=r"is not for 'pipeline_config'; sd.create_tables\(\) creates it"):
            writer(faulty, "pipeline_config", schema, **options, createTable="true", partitionKey="pipeline_id")


def test_a_null_that_the_model_forbids_is_a_bad_row(moto_server: Server, tmp_path: Path) -> None:
    table = moto_server.create("order_id:S")
    moto_server.put(table, {"order_id": {"S": "a"}})
    schema = StructType().add("order_id", "string").add("status", "string")
    made = writer(moto_server, table, schema, model=MODEL, operation="update", nulls="remove", badItems=str(tmp_path))
    batch = pa.record_batch({"order_id": ["a", "b"], "status": ["new", None]})
    written = made.write(iter([batch]))
    assert (written.items, written.bad) == (1, 1)
    (line,) = rejected(tmp_path)
    assert (line["attribute"], line["item"]) == ("status", {"order_id": {"S": "b"}})
    assert "the model requires a value" in line["reason"]


# ---------------------------------------------------------------------------------------------------- rows and options


def rejected(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.rglob("part-*")) for line in file.read_text().splitlines()]


BY_COLUMN = StructType().add("id", "string").add("v", "double").add("op", "string")


def changes(*rows: tuple[str, float | None, str | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [dict(zip(BY_COLUMN.names, row, strict=True)) for row in rows],
        pa.schema([("id", pa.string()), ("v", pa.float64()), ("op", pa.string())]),
    )


def test_a_row_that_names_no_operation_is_a_bad_row(moto_server: Server, tmp_path: Path) -> None:
    table = moto_server.create()
    batch = changes(("a", 1, "PUT"), ("b", 2, "merge"), ("c", 3, None), ("d", float("nan"), ""), ("e", 4, " insert "))
    with pytest.raises(
        InvalidItemError, match=r"Row {id='b'} .*'op' is merge: it names no operation; each row needs one"
    ):
        writer(moto_server, table, BY_COLUMN, operationColumn="op").write(iter([batch]))
    assert moto_server.items(table) == []
    written = writer(moto_server, table, BY_COLUMN, operationColumn="op", badItems=str(tmp_path)).write(iter([batch]))
    assert (written.items, written.bad) == (2, 3)
    assert {item["id"]["S"] for item in moto_server.items(table)} == {"a", "e"}
    found = rejected(tmp_path)
    assert [line["operation"] for line in found] == ["merge", None, ""]
    assert [line["item"] for line in found] == [
        {"id": {"S": "b"}, "v": {"N": "2"}},
        {"id": {"S": "c"}, "v": {"N": "3"}},
        {"id": {"S": "d"}},
    ]
    assert [line.get("unfit") for line in found] == [{"op": "merge"}, None, {"v": "nan", "op": ""}]
    assert all("names no operation" in line["reason"] for line in found)


def test_equal_keys_are_an_error_wherever_the_rows_do_different_things(moto_server: Server) -> None:
    """A delete that came after a put in another batch would else be dropped, as equal deletes are."""
    table = moto_server.create()
    made = writer(moto_server, table, BY_COLUMN, operationColumn="op")
    with pytest.raises(DuplicateKeyError, match="id='a'"):
        made.write(iter([changes(("a", 1, "put")), changes(("a", None, "delete"))]))
    versions = StructType().add("id", "string").add("v", "long")
    older = writer(moto_server, table, versions, operation="delete", condition="v < new.v")
    with pytest.raises(DuplicateKeyError, match="id='b'"):
        older.write(iter([pa.record_batch({"id": ["b", "b"], "v": [1, 2]})]))
    plain = writer(moto_server, table, BY_COLUMN, operation="delete", condition="v < 7", conditionFailed="skip")
    written = plain.write(iter([changes(("b", 1, None), ("b", 2, None))]))
    assert (written.items, written.found, written.failed, written.duplicates) == (1, 1, 0, 1), "there is no such item"


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_the_last_of_several_changes_is_kept_however_the_rows_are_cut(moto_server: Server, parts: int) -> None:
    table = moto_server.create()
    moto_server.put(table, {"id": {"S": "b"}, "w": {"N": "1"}})
    made = writer(moto_server, table, BY_COLUMN, operationColumn="op", duplicates="last")
    rows = [("a", 1, "put"), ("b", 1, "put"), ("c", 1, "update"), ("a", None, "delete"), ("b", 2, "put")]
    size = -(-len(rows) // parts)
    written = made.write(iter([changes(*rows[start : start + size]) for start in range(0, len(rows), size)]))
    assert {item["id"]["S"]: item.get("v") for item in moto_server.items(table)} == {"b": {"N": "2"}, "c": {"N": "1"}}
    assert written.items + written.duplicates == len(rows)
    builds = [("d", 1, "put"), ("d", None, "update")]
    for batches in ([changes(*builds)], [changes(row) for row in builds]):
        with pytest.raises(DuplicateKeyError, match="id='d'"):
            made.write(iter(batches))


@pytest.mark.parametrize("item_format", ["columns", "json"])
def test_an_overwrite_keeps_the_items_of_bad_rows(moto_server: Server, tmp_path: Path, item_format: str) -> None:
    """What can't be replaced stays as it was, as nothing says that it is to go."""
    table = moto_server.create()
    moto_server.put(table, *({"id": {"S": name}, "v": {"N": "0"}} for name in "abc"))
    options = {"itemFormat": item_format, "badItems": str(tmp_path)}
    if item_format == "json":
        made = writer(moto_server, table, WHOLE, overwrite=True, **options)
        items = ['{"id":{"S":"a"},"v":{"N":"1"}}', '{"id":{"S":"b"},"v":{"N":"nan"}}', '{"id":{"S":7}}', "no item"]
        batch = pa.record_batch({"item": items})
    else:
        made = writer(moto_server, table, BY_COLUMN, overwrite=True, **options)
        batch = changes(("a", 1, "x"), ("b", float("nan"), "x"), ("", 1, "x"), ("c" * 2049, 1, "x"))
    written = made.write(iter([batch]))
    assert (written.items, written.bad) == (1, 3)
    made.commit([written])
    assert {item["id"]["S"]: item["v"]["N"] for item in moto_server.items(table)} == {"a": "1", "b": "0"}


def test_a_table_that_is_not_there_is_named(moto_server: Server) -> None:
    with pytest.raises(TableNotFoundError, match="no-such-table"):
        writer(moto_server, "no-such-table", operation="update")
