"""What a write promises beyond single rows: transactions as a whole, rows that only DynamoDB can judge, models, new tables."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import BaseModel
from pyspark.sql.types import StructType, YearMonthIntervalType

from spark_dynamo.aws.tables import Index, KeyAttribute, describe_table
from spark_dynamo.errors import ConditionFailedError, OptionError, SchemaError, TableNotFoundError, UnwrittenItemsError
from spark_dynamo.source.datasource import DynamoDataSource
from spark_dynamo.source.write.written import Written
from spark_dynamo.wire.items import item_schema
from spark_dynamo.wire.types import arrow_schema
from tests.conftest import Server

SCHEMA = StructType().add("id", "string").add("v", "string")
BY_COLUMN = StructType([*SCHEMA]).add("op", "string")


def write(server: Server, table: str, schema: StructType, *rows: Sequence[dict[str, Any]], **options: str) -> Written:
    """What one task writes of batches of rows."""
    batches = [pa.RecordBatch.from_pylist(list(batch), arrow_schema(schema)) for batch in rows]
    written = server.writer(table, schema, **options).write(iter(batches))
    assert isinstance(written, Written)
    return written


def ids(server: Server, table: str) -> list[str]:
    return sorted(item["id"]["S"] for item in server.items(table))


def lines(folder: Path) -> dict[str, dict[str, Any]]:
    """The rejected rows by their ids."""
    texts = [line for file in folder.rglob("part-*.jsonl") for line in file.read_text().splitlines()]
    parsed = [json.loads(text) for text in texts]
    assert len({line["item"]["id"]["S"] for line in parsed}) == len(parsed)
    return {line["item"]["id"]["S"]: line for line in parsed}


# ------------------------------------------------------------------------------------------------- transactions


def inserts(count: int, text: str = "x") -> list[dict[str, str]]:
    return [{"id": f"r{number:03d}", "v": text, "op": "insert"} for number in range(count)]


def test_a_hundred_rows_that_dynamodb_takes_only_apart_are_an_error(server: Server) -> None:
    table = server.create()
    sentence = r"'atomic' is true, and the 60 rows from \{id='r000'\} to \{id='r059'\} .* come to 6,\d+,\d+ bytes; .* 4,194,304"
    with pytest.raises(OptionError, match=sentence):
        write(
            server,
            table,
            SCHEMA,
            [{**row, "v": "x" * 100_000} for row in inserts(60)],
            operation="insert",
            atomic="true",
        )
    assert server.items(table) == []


@pytest.mark.parametrize("at_once", [1, 7, 150])
def test_a_hundred_rows_are_one_transaction_whatever_the_batches(dynoxide_server: Server, at_once: int) -> None:
    table = dynoxide_server.create()
    dynoxide_server.put(table, {"id": {"S": "r059"}, "there": {"BOOL": True}})
    rows = inserts(230)
    rows[110]["op"] = "update"
    batches = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
    written = write(
        dynoxide_server, table, BY_COLUMN, *batches, operationColumn="op", atomic="true", conditionFailed="skip"
    )
    assert (written.items, written.failed, written.requests) == (130, 100, 3)
    assert ids(dynoxide_server, table) == ["r059", *(row["id"] for row in rows[100:])]


def test_slices_cut_no_hundred(dynoxide_server: Server) -> None:
    """Batches of more than 8 MB are prepared in slices."""
    table = dynoxide_server.create()
    dynoxide_server.put(table, {"id": {"S": "r350"}, "there": {"BOOL": True}})
    rows = inserts(390, "x" * 25_000)
    written = write(dynoxide_server, table, SCHEMA, rows, operation="insert", atomic="true", conditionFailed="skip")
    assert (written.items, written.failed) == (300, 90)
    assert ids(dynoxide_server, table) == [*(row["id"] for row in rows[:300]), "r350"]


@pytest.mark.parametrize("at_once", [1, 250])
def test_a_bad_row_takes_its_hundred_along(server: Server, tmp_path: Path, at_once: int) -> None:
    table = server.create()
    rows = inserts(250)
    rows[3] |= {"op": "nothing"}
    rows[120] |= {"id": ""}
    rows[140] |= {"id": "r001", "op": "update"}  # a duplicate, dropped before
    batches = [rows[start : start + at_once] for start in range(0, len(rows), at_once)]
    options = {"operationColumn": "op", "atomic": "true", "duplicates": "first", "badItems": str(tmp_path)}
    written = write(server, table, BY_COLUMN, *batches, **options)
    assert (written.items, written.bad, written.failed, written.duplicates) == (50, 199, 0, 1)
    assert ids(server, table) == [row["id"] for row in rows[200:]]
    rejected = lines(tmp_path)
    assert len(rejected) == 199
    assert rejected["r004"] == {
        "table": table,
        "operation": "insert",
        "reason": "its transaction was not sent: row {id='r003'} can't be written",
        "attribute": None,
        "item": {"id": {"S": "r004"}, "v": {"S": "x"}},
        "stored": None,
    }
    assert rejected["r199"]["reason"] == "its transaction was not sent: row {id=''} can't be written"


# ------------------------------------------------------------------------------------------------- what is there already


@pytest.mark.parametrize("atomic", ["false", "true"])
@pytest.mark.parametrize("options", [{"operation": "insert"}, {"operation": "update", "condition": "v = 'free'"}])
def test_of_several_jobs_one_wins_where_their_rows_tell_them_apart(
    server: Server, options: dict[str, str], atomic: str
) -> None:
    table = server.create()
    if options["operation"] == "update":
        server.put(table, {"id": {"S": "lock"}, "v": {"S": "free"}})
    for _ in range(2):
        written = write(server, table, SCHEMA, [{"id": "lock", "v": "job 1"}], atomic=atomic, **options)
        assert written.items == 1, "a rerun has what it wants"
    with pytest.raises(ConditionFailedError):
        write(server, table, SCHEMA, [{"id": "lock", "v": "job 2"}], atomic=atomic, **options)
    assert server.items(table) == [{"id": {"S": "lock"}, "v": {"S": "job 1"}}]


def test_a_rerun_counts_only_what_is_just_as_wanted(server: Server) -> None:
    table = server.create()
    rows = inserts(3)
    write(server, table, SCHEMA, rows, operation="insert")
    server.put(table, {"id": {"S": "r001"}, "v": {"S": "x"}, "more": {"S": "by another"}})
    server.client.delete_item(TableName=table, Key={"id": {"S": "r002"}})
    written = write(server, table, SCHEMA, rows, operation="insert", conditionFailed="skip")
    assert (written.items, written.found, written.failed) == (2, 1, 1)


# ------------------------------------------------------------------------------------------------- unfit rows


@pytest.mark.parametrize("atomic", ["false", "true"])
def test_an_update_that_makes_an_item_too_large_is_a_bad_row(
    dynoxide_server: Server, tmp_path: Path, atomic: str
) -> None:
    table = dynoxide_server.create()
    dynoxide_server.put(table, {"id": {"S": "a"}, "old": {"S": "x" * 390_000}})
    rows = [{"id": "a", "v": "y" * 20_000}, {"id": "b", "v": "2"}]
    with pytest.raises(UnwrittenItemsError, match="Item size to update has exceeded"):
        write(dynoxide_server, table, SCHEMA, rows, operation="update", atomic=atomic)
    written = write(dynoxide_server, table, SCHEMA, rows, operation="update", atomic=atomic, badItems=str(tmp_path))
    rejected = lines(tmp_path)
    assert rejected["a"]["reason"] == "Item size to update has exceeded the maximum allowed size"
    assert rejected["a"]["item"]["v"] == {"S": "y" * 20_000}
    if atomic == "true":
        assert (written.items, written.bad, written.failed) == (0, 2, 0)
        assert rejected["b"]["reason"] == "its transaction was cancelled: row {id='a'} was refused"
    else:
        assert (written.items, written.bad, written.failed) == (1, 1, 0)
        assert {"id": {"S": "b"}, "v": {"S": "2"}} in dynoxide_server.items(table)


def test_whole_items_with_a_wrong_index_key_are_bad_rows(dynoxide_server: Server, tmp_path: Path) -> None:
    table = dynoxide_server.create(indexes=[Index("by_g", KeyAttribute("g", "S"), None)])
    rows = [
        {"item": json.dumps({"id": {"S": f"r{n:02d}"}, "g": {"N" if n in (3, 29) else "S": "1"}})} for n in range(30)
    ]
    with pytest.raises(UnwrittenItemsError, match="Type mismatch for Index Key"):
        write(dynoxide_server, table, item_schema("json"), rows, itemFormat="json")
    written = write(dynoxide_server, table, item_schema("json"), rows, itemFormat="json", badItems=str(tmp_path))
    assert (written.items, written.bad) == (28, 2)
    assert ids(dynoxide_server, table) == [f"r{n:02d}" for n in range(30) if n not in (3, 29)]
    rejected = lines(tmp_path)
    assert rejected.keys() == {"r03", "r29"}
    assert rejected["r03"]["reason"].startswith(
        "One or more parameter values were invalid: Type mismatch for Index Key"
    )
    assert rejected["r29"]["item"] == {"id": {"S": "r29"}, "g": {"N": "1"}}


# ------------------------------------------------------------------------------------------------- models


class Person(BaseModel):
    id: str
    name: str
    status: str | None = None


@pytest.mark.parametrize("by_column", [False, True])
def test_an_update_makes_no_item_that_its_model_cannot_read(server: Server, tmp_path: Path, by_column: bool) -> None:
    table = server.create()
    server.put(table, {"id": {"S": "a"}, "name": {"S": "Ann"}})
    rows = [{"id": "a", "status": "paid"}, {"id": "gone", "status": "paid"}]
    schema = StructType().add("id", "string", False).add("status", "string")
    options = {"operation": "update", "model": f"{__name__}:Person"}
    with pytest.raises(
        ConditionFailedError,
        match=r"\{id='gone'\}, because: there is no item with that key, and an update can't make one without name, which the",
    ):
        write(server, table, schema, rows[1:], **options)
    written = write(server, table, schema, rows, **options, conditionFailed=str(tmp_path))
    assert (written.items, written.failed) == (1, 1)
    assert server.items(table) == [{"id": {"S": "a"}, "name": {"S": "Ann"}, "status": {"S": "paid"}}]
    assert lines(tmp_path).keys() == {"gone"}
    whole = StructType([*schema]).add("name", "string")
    row = {"id": "new", "status": None, "name": "Eve", "op": "update"}
    by = {"model": options["model"], "operationColumn": "op"} if by_column else options
    whole = whole.add("op", "string") if by_column else whole
    assert write(server, table, whole, [{name: row[name] for name in whole.names}], **by).items == 1  # it makes one


@pytest.mark.parametrize("nulls", ["auto", "omit"])
def test_an_update_that_leaves_out_a_required_null_makes_no_item(server: Server, tmp_path: Path, nulls: str) -> None:
    table = server.create()
    server.put(table, {"id": {"S": "a"}, "name": {"S": "Ann"}})
    schema = StructType().add("id", "string").add("name", "string").add("status", "string")
    rows = [{"id": "a", "status": "paid"}, {"id": "gone", "status": "paid"}, {"id": "new", "name": "Eve"}]
    options = {"operation": "update", "model": f"{__name__}:Person", "nulls": nulls, "conditionFailed": str(tmp_path)}
    written = write(server, table, schema, rows, **options)
    assert (written.items, written.failed) == (2, 1)
    assert ids(server, table) == ["a", "new"]
    assert {"id": {"S": "a"}, "name": {"S": "Ann"}, "status": {"S": "paid"}} in server.items(table)
    assert "can't make one without name, which the model requires" in lines(tmp_path)["gone"]["reason"]


# ------------------------------------------------------------------------------------------------- new tables


@pytest.mark.parametrize(
    ("schema", "options", "error"),
    [
        (StructType().add("id", "string").add("p", YearMonthIntervalType()), {}, SchemaError),
        (SCHEMA, {"badItems": "dynamodb://nope"}, OptionError),
        (SCHEMA, {"conditionFailed": "hdfs://nope"}, OptionError),
        (SCHEMA, {"overwriteConfirm": "other"}, OptionError),
        (StructType([*BY_COLUMN]).add("op", "string"), {"operationColumn": "op"}, SchemaError),
    ],
)
def test_no_table_is_created_for_what_can_not_be_written(
    local_server: Server, schema: StructType, options: dict[str, str], error: type[Exception]
) -> None:
    name = f"test-{uuid.uuid4().hex}"
    created = {"table": name, "createTable": "true", "partitionKey": "id"}
    source = DynamoDataSource({**local_server.options, **created, **options})
    with pytest.raises(
        error, match=r"'p'|'nope'|'hdfs://nope'|'overwriteConfirm' is 'other'|two columns have that name"
    ):
        source.writer(schema, "overwriteConfirm" in options)
    with pytest.raises(TableNotFoundError):
        describe_table(local_server.client, name)
