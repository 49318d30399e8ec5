"""Writes by a model with a version: each item carries it, and updates touch only items of that version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from pydantic import BaseModel
from pyspark.sql import SparkSession
from pyspark.sql.types import LongType, StructField, StructType

from spark_dynamo.errors import ConditionFailedError, InvalidItemError, OptionError, SchemaError, SchemaMismatchError
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.source.write.written import Written
from spark_dynamo.wire.types import arrow_schema
from tests.conftest import Server
from tests.source.test_model_reading import ROWS, VERSIONS, comparable, read
from tests.source.versioned import MODEL, Item, Order, item_of
from tests.wire.strategies import canonical

SCHEMA = struct_type(Order)
PATCH = StructType([SCHEMA["customer"], SCHEMA["day"], SCHEMA["cents"]])
WITH_VERSION = StructType([*SCHEMA, StructField("schema_version", LongType())])
FIRST = MODEL.replace("Order", "First")


def write(server: Server, table: str, schema: StructType, rows: list[Item], **options: str) -> Written:
    """What one task writes of such rows."""
    batch = pa.RecordBatch.from_pylist(
        [{name: row.get(name) for name in schema.names} for row in rows], arrow_schema(schema)
    )
    written = server.writer(table, schema, **{"model": MODEL, **options}).write(
        iter([batch.slice(0, 2), batch.slice(2)])
    )
    assert isinstance(written, Written)
    return written


def stored(server: Server, table: str) -> dict[int, Any]:
    return {int(item["day"]["N"]): canonical({"M": item}) for item in server.items(table)}


def of(*rows: Item, version: int = 3) -> dict[int, Any]:
    """The items of those rows, as `stored` gives them."""
    items = [item_of(row, version) for row in rows]
    for item in items:
        del item["unknown"]
    return {int(item["day"]["N"]): canonical({"M": item}) for item in items}


@pytest.mark.parametrize("options", [{}, {"operation": "insert"}, {"atomic": "true"}, {"operation": "update"}])
def test_items_carry_the_version(server: Server, options: dict[str, str]) -> None:
    table = server.create("customer:S", "day:N")
    assert write(server, table, SCHEMA, ROWS[:5], **options).items == 5
    assert stored(server, table) == of(*ROWS[:5])


def test_each_row_with_its_own_operation(server: Server) -> None:
    table = server.create("customer:S", "day:N")
    write(server, table, SCHEMA, ROWS[:4])
    schema = StructType([*SCHEMA]).add("op", "string")
    rows = [{**ROWS[0], "cents": 9, "op": "put"}, {**ROWS[1], "op": "delete"}, {**ROWS[2], "cents": 8, "op": "update"}]
    write(server, table, schema, [*rows, {**ROWS[5], "op": "insert"}], operationColumn="op")
    assert stored(server, table) == of({**ROWS[0], "cents": 9}, {**ROWS[2], "cents": 8}, ROWS[3], ROWS[5])


def test_the_frames_own_version_must_be_the_models(server: Server, tmp_path: Path) -> None:
    table = server.create("customer:S", "day:N")
    rows = [{**ROWS[0], "schema_version": 3}, {**ROWS[1], "schema_version": 2}, {**ROWS[2], "schema_version": None}]
    assert write(server, table, WITH_VERSION, rows[:1]).items == 1
    for row in rows[1:]:
        with pytest.raises(
            InvalidItemError, match="attribute 'schema_version' is .*: the model's items are of version 3; read older"
        ):
            write(server, table, WITH_VERSION, [row])
    written = write(server, table, WITH_VERSION, rows, badItems=str(tmp_path))
    assert (written.items, written.bad) == (1, 2)
    assert stored(server, table) == of(ROWS[0])
    with pytest.raises(
        SchemaError,
        match="'schema_version': it is the version of the model's items, and so must be BIGINT or INT, not STRING",
    ):
        write(server, table, StructType([*SCHEMA]).add("schema_version", "string"), [])
    with pytest.raises(SchemaMismatchError, match="cents"):
        write(server, table, StructType([field for field in WITH_VERSION if field.name != "cents"]), [])


def test_an_update_leaves_items_of_other_versions_alone(server: Server, tmp_path: Path) -> None:
    table = server.create("customer:S", "day:N")
    items = [item_of(row, version) for row, version in zip(ROWS[:5], (None, 1, 2, 3, 4), strict=True)]
    server.put(table, *items)
    rows = [{**row, "cents": 7} for row in ROWS[:6]]
    for number in (0, 1, 2, 4):
        found = "4" if number == 4 else str(number or 1)
        with pytest.raises(
            ConditionFailedError,
            match=f"item with that key is of version {found}, and an update makes it one of version 3; upgrade such items",
        ):
            write(server, table, PATCH, [rows[number]], operation="update")
    written = write(server, table, PATCH, rows, operation="update", conditionFailed=str(tmp_path))
    assert (written.items, written.failed) == (1, 5)
    lines = [json.loads(line) for file in tmp_path.rglob("part-*.jsonl") for line in file.read_text().splitlines()]
    assert {line["reason"].split(",")[0] for line in lines} == {
        *(f"the item with that key is of version {n}" for n in (1, 2, 4)),
        "there is no item with that key",  # an update without the status can make none
    }
    after = stored(server, table)
    assert {day: after[day] for day in (0, 1, 2, 4)} == {
        int(item["day"]["N"]): canonical({"M": item}) for item in (*items[:3], items[4])
    }
    assert after[3] == canonical({"M": {**items[3], "cents": {"N": "7"}}})
    assert 5 not in after


def test_an_update_of_the_first_version_takes_items_without_one(server: Server) -> None:
    table = server.create("customer:S", "day:N")
    server.put(table, *(item_of(row, version) for row, version in zip(ROWS[:3], (None, 1, 2), strict=True)))
    schema = StructType([SCHEMA["customer"], SCHEMA["day"]]).add("state", "string")
    rows = [{**row, "state": "new"} for row in ROWS[:4]]
    written = write(server, table, schema, rows, model=FIRST, operation="update", conditionFailed="skip")
    assert (written.items, written.failed) == (3, 1)
    versions = {int(item["day"]["N"]): item["schema_version"]["N"] for item in server.items(table)}
    assert versions == {0: "1", 1: "1", 2: "2", 3: "1"}


def test_conditions_of_the_user_hold_as_well(server: Server) -> None:
    table = server.create("customer:S", "day:N")
    write(server, table, SCHEMA, ROWS[:3])
    server.put(table, item_of(ROWS[4], 2))
    rows = [{**row, "cents": 30} for row in ROWS[:5]]
    written = write(
        server,
        table,
        PATCH,
        rows,
        operation="update",
        condition="cents < new.cents OR customer IS NULL",
        conditionFailed="skip",
    )
    # 0 and 25 are less, 50 isn't, day 3 is new and can't be made without a status, and day 4 is of version 2
    assert (written.items, written.failed) == (2, 3)
    assert {int(item["day"]["N"]) for item in server.items(table) if item.get("cents") == {"N": "30"}} == {0, 1}
    with pytest.raises(OptionError, match="'condition'"):
        write(server, table, PATCH, rows, operation="update", condition="cens = 1")
    written = write(server, table, SCHEMA, ROWS[:5], condition="schema_version = 2", conditionFailed="skip")
    # day 4, and day 2, whose item is just what the row wants
    assert (written.items, written.found, written.failed) == (2, 1, 3)


def test_a_transaction_with_an_item_of_another_version_changes_nothing(server: Server) -> None:
    table = server.create("customer:S", "day:N")
    server.put(table, item_of(ROWS[0], 3), item_of(ROWS[1], 2))
    before = stored(server, table)
    rows = [{**row, "cents": 7} for row in ROWS[:2]]
    written = write(server, table, PATCH, rows, operation="update", atomic="true", conditionFailed="skip")
    assert (written.items, written.failed) == (0, 2)
    assert stored(server, table) == before


@pytest.mark.parametrize("nulls", ["remove", "write"])
def test_the_last_of_equal_updates_still_wins(server: Server, nulls: str) -> None:
    table = server.create("customer:S", "day:N")
    server.put(table, item_of(ROWS[0], 3))
    rows = [{**ROWS[0], "cents": cents} for cents in (1, 2, 3)]
    written = write(server, table, PATCH, rows, operation="update", nulls=nulls, duplicates="last")
    assert written.items == 2  # one in each batch
    assert server.items(table)[0]["cents"] == {"N": "3"}


def test_deletes_look_at_no_version(local_server: Server) -> None:
    table = local_server.create("customer:S", "day:N")
    local_server.put(table, item_of(ROWS[0], 2))
    write(local_server, table, PATCH, ROWS[:2], operation="delete")
    assert local_server.items(table) == []


def test_a_model_without_a_version_adds_none(local_server: Server) -> None:
    table = local_server.create("customer:S", "day:N")
    write(local_server, table, SCHEMA, ROWS[:1], model=f"{__name__}:Unversioned")
    assert "schema_version" not in local_server.items(table)[0]


class Unversioned(BaseModel):
    customer: str
    day: int
    status: str
    cents: int
    tags: set[str] | None = None
    note: str | None = None
    other: ClassVar[int] = 3


@pytest.mark.slow
def test_a_copy_is_upgraded_and_an_overwrite_upgrades_the_table(spark: SparkSession, local_server: Server) -> None:
    source, target = local_server.create("customer:S", "day:N"), local_server.create("customer:S", "day:N")
    local_server.put(source, *(item_of(row, VERSIONS[number % 5]) for number, row in enumerate(ROWS[:10])))
    local_server.put(target, item_of(ROWS[20], 1))
    frame = spark.read.format("dynamo-meta").options(**local_server.options, model=MODEL).load(source)
    frame.write.format("dynamo-meta").options(**local_server.options, model=MODEL).mode("overwrite").save(target)
    assert stored(local_server, target) == of(*ROWS[:10])
    assert comparable(read(local_server, target)[1]) == comparable(ROWS[:10])
