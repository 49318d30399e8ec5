"""Tables that a write creates first: billing mode, indexes, and the wait for all of it."""

from __future__ import annotations

import itertools
import time
import uuid
from typing import Any

import pytest
from pyspark.sql.types import ArrayType, StringType, StructType

from spark_dynamo.aws.client import dynamodb_client
from spark_dynamo.aws.tables import Index, KeyAttribute, create_table, describe_table, wait_until_active
from spark_dynamo.errors import ConfigurationError, OptionError, RequestFailedError, SchemaError
from spark_dynamo.source.options.index_specs import IndexSpec, parse_indexes
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.write.table_creation import ensure_target
from tests.conftest import Server
from tests.servers.scripted import Reply, ScriptedServer, refusal, scripted_server

SCHEMA = (
    StructType()
    .add("id", "string")
    .add("day", "long")
    .add("status", "string")
    .add("started at", "timestamp")
    .add("photo", "binary")
    .add("tags", ArrayType(StringType()))
)
ID, DAY, STATUS = KeyAttribute("id", "S"), KeyAttribute("day", "N"), KeyAttribute("status", "S")


def options_of(server: Server, table: str | None = None, **options: str) -> SourceOptions:
    given = {"partitionKey": "id", "sortKey": "day", "createTable": "true", **options}
    return SourceOptions({**server.options, "table": table or f"test-{uuid.uuid4().hex}", **given})


# ------------------------------------------------------------------------------------------------- the text


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("by_day(day)", [IndexSpec("by_day", "day")]),
        (" by-day ( day , id ) ; ", [IndexSpec("by-day", "day", "id")]),
        ("one(a);two(b, c)", [IndexSpec("one", "a"), IndexSpec("two", "b", "c")]),
        ("LOCAL by_day(id, day)", [IndexSpec("by_day", "id", "day", is_local=True)]),
        ("local(a)", [IndexSpec("local", "a")]),
        ("local (a); local  local(a, b)", None),
        ("by.day(started at, `a``;,)(b`)", [IndexSpec("by.day", "started at", "a`;,)(b")]),
        ("by_day(`day`)", [IndexSpec("by_day", "day")]),
    ],
)
def test_indexes_are_read(text: str, specs: list[IndexSpec] | None) -> None:
    if specs is None:
        with pytest.raises(OptionError, match="Option 'indexes' has 'local' twice"):
            parse_indexes(text)
    else:
        assert parse_indexes(text) == tuple(specs)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("by_day", r"is not understood from 'by_day' on; write indexes as in `by_status\(status, started_at\); local "),
        ("one(a) two(b)", r"is not understood from 'one\(a\) two\(b\)' on"),
        ("one(a); two(b", r"is not understood from 'two\(b' on"),
        ("one(a);; two(b)", r"is not understood from '; two\(b\)' on"),
        ("(a)", r"is not understood from '\(a\)' on"),
        ("   ", "names no index; write"),
        ("ab(a)", "has an index 'ab'; DynamoDB's index names are 3 to 255 letters"),
        ("by/day(a)", "has an index 'by/day'; DynamoDB's"),
        (f"{'x' * 256}(a)", "has an index 'x"),
        ("one()", r"gives index 'one' the keys \(\); an index has a partition key and, at most, a sort key"),
        ("one(a, b, c)", r"gives index 'one' the keys \(a, b, c\)"),
        ("one(a,)", r"gives index 'one' the keys \(a,\)"),
        ("one(a; b)", r"gives index 'one' the keys \(a; b\)"),
        ("one(a, a)", "gives index 'one' the column 'a' twice"),
        ("one(a); two(b); one(c)", "has 'one' twice; give each index a name of its own"),
        ("local one(a)", "gives the local index 'one' no sort key"),
    ],
)
def test_what_is_no_index_is_named(text: str, problem: str) -> None:
    with pytest.raises(OptionError, match=f"Option 'indexes' {problem}"):
        parse_indexes(text)


# ------------------------------------------------------------------------------------------------- tables


def test_a_table_is_created_on_demand_with_its_indexes(server: Server) -> None:
    indexes = "by_status(status, started at); by-photo(photo); local by_status_of_id(id, status)"
    options = options_of(server, indexes=indexes)
    for found in (ensure_target(options, SCHEMA), ensure_target(options, SCHEMA)):  # the second time it is there
        assert (found.table.partition_key, found.table.sort_key, found.table.status) == (ID, DAY, "ACTIVE")
        assert set(found.table.indexes) == {
            Index("by_status", STATUS, KeyAttribute("started at", "S")),
            Index("by-photo", KeyAttribute("photo", "B")),
            Index("by_status_of_id", ID, STATUS, kind="LSI"),
        }
        assert {index.status for index in found.table.indexes if index.kind == "GSI"} == {"ACTIVE"}
    described = server.client.describe_table(TableName=found.name)["Table"]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    server.put(found.name, {"id": {"S": "a"}, "day": {"N": "1"}, "status": {"S": "new"}})
    asked = {"KeyConditionExpression": "id=:i AND #s=:s", "ExpressionAttributeNames": {"#s": "status"}}
    values = {":i": {"S": "a"}, ":s": {"S": "new"}}
    answer = server.client.query(
        TableName=found.name, IndexName="by_status_of_id", ExpressionAttributeValues=values, **asked
    )
    assert answer["Count"] == 1


def test_a_table_is_created_with_provisioned_units(server: Server) -> None:
    options = options_of(
        server,
        billingMode="provisioned",
        readCapacityUnits="7",
        writeCapacityUnits="3",
        indexes="by_status(status); local by_photo(id, photo)",
    )
    table = ensure_target(options, SCHEMA).table
    assert (table.read_units, table.write_units) == (7, 3)
    by_name = {index.name: index for index in table.indexes}
    assert (by_name["by_status"].read_units, by_name["by_status"].write_units) == (7, 3)
    assert by_name["by_photo"].kind == "LSI"
    described = server.client.describe_table(TableName=table.name)["Table"]
    assert described.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED") == "PROVISIONED"


def test_columns_that_can_be_no_key_of_an_index_are_named(local_server: Server) -> None:
    with pytest.raises(
        OptionError, match="'indexes' names 'state', and the frame has no such column; did you mean 'status'?"
    ):
        ensure_target(options_of(local_server, indexes="by_state(state)"), SCHEMA)
    with pytest.raises(SchemaError, match="Field 'tags': array<string> can be no key"):
        ensure_target(options_of(local_server, indexes="by_status(status, tags)"), SCHEMA)
    options = options_of(local_server, indexes="local by_day(status, day)")
    with pytest.raises(
        OptionError, match=r"has the local index 'by_day', .* its partition key must be the table's, 'id'"
    ):
        ensure_target(options, SCHEMA)
    alone = {"createTable": "true", "partitionKey": "id", "indexes": "local by_day(id, day)"}
    options = SourceOptions({**local_server.options, "table": "test-none", **alone})
    with pytest.raises(OptionError, match="needs a table with a sort key, and option sortKey is missing"):
        ensure_target(options, SCHEMA)
    assert "test-none" not in local_server.client.list_tables()["TableNames"]


def test_a_table_that_lacks_an_index_is_an_error(local_server: Server) -> None:
    table = local_server.create("id:S", "day:N", [Index("by_day", DAY, projection="KEYS_ONLY"), Index("all", STATUS)])
    with pytest.raises(ConfigurationError) as caught:
        ensure_target(options_of(local_server, table, indexes="all(status); by_status(status, day)"), SCHEMA)
    assert str(caught.value) == (
        f"Table '{table}' exists without index 'by_status' with partition key 'status' (S) and sort key 'day' (N), GSI, "
        "projection ALL, and only a new table is created with its indexes. Add it to that table by UpdateTable, or leave it "
        "out"
    )
    with pytest.raises(
        ConfigurationError, match=r"has index 'by_day' with partition key 'day' \(N\), GSI, projection KEYS_ONLY"
    ):
        ensure_target(options_of(local_server, table, indexes="by_day(day)"), SCHEMA)
    assert ensure_target(options_of(local_server, table, indexes="all(status)"), SCHEMA).name == table


# ------------------------------------------------------------------------------------------------- waiting


def told(table: str, index: str) -> Reply:
    def keys(name: str) -> list[dict[str, str]]:
        return [{"AttributeName": name, "KeyType": "HASH"}]

    all_of_it = {"ProjectionType": "ALL"}
    by_status = {"IndexName": "by_status", "KeySchema": keys("status"), "Projection": all_of_it, "IndexStatus": index}
    by_day = {"IndexName": "by_day", "KeySchema": keys("day"), "Projection": all_of_it, "IndexStatus": "CREATING"}
    description = {
        "TableName": "orders",
        "TableArn": "arn:aws:dynamodb:eu-west-1:1:table/orders",
        "TableStatus": table,
        "KeySchema": keys("id"),
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind}
            for name, kind in (("id", "S"), ("status", "S"), ("day", "N"))
        ],
        "GlobalSecondaryIndexes": [by_status, by_day],
    }
    return Reply({"Table": description, "TableDescription": description})


def scripted_options(server: ScriptedServer) -> SourceOptions:
    given = {"table": "orders", "createTable": "true", "partitionKey": "id", "indexes": "by_status(status)"}
    keys = {"accessKeyId": "k", "secretAccessKey": "s", "region": "us-east-1"}
    return SourceOptions({**given, **keys, "endpointUrl": server.endpoint})


@pytest.mark.server
def test_the_indexes_that_were_asked_for_are_waited_for() -> None:
    """Others may take hours: `by_day` is still to be filled at the end."""
    describes = itertools.chain(
        [refusal("ResourceNotFoundException"), told("CREATING", "CREATING"), told("ACTIVE", "CREATING")],
        [told("ACTIVE", "CREATING"), told("ACTIVE", "ACTIVE")],
        itertools.repeat(told("ACTIVE", "ACTIVE")),
    )

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        return next(describes) if operation == "DescribeTable" else told("CREATING", "CREATING")

    with scripted_server(answer) as server:
        found = ensure_target(scripted_options(server), SCHEMA)
        assert found.table.status == "ACTIVE"
        assert {index.name: index.status for index in found.table.indexes} == {
            "by_status": "ACTIVE",
            "by_day": "CREATING",
        }
        assert [operation for operation, _ in server.requests].count("CreateTable") == 1


@pytest.mark.server
@pytest.mark.parametrize(
    ("table", "index"),
    [("UPDATING", "ACTIVE"), ("UPDATING", "CREATING"), ("ACTIVE", "UPDATING"), ("ACTIVE", "CREATING")],
)
def test_a_table_that_can_be_written_is_not_waited_for(table: str, index: str) -> None:
    with scripted_server(lambda operation, request: told(table, index)) as server:
        assert ensure_target(scripted_options(server), SCHEMA).table.status == table
        assert [operation for operation, _ in server.requests] == ["DescribeTable"]


@pytest.mark.server
def test_a_table_that_is_being_deleted_is_an_error_at_once() -> None:
    with scripted_server(lambda operation, request: told("DELETING", "DELETING")) as server:
        with pytest.raises(
            ConfigurationError, match="Table 'orders' is being deleted .* Repeat the call when it is gone"
        ):
            ensure_target(scripted_options(server), SCHEMA)
        assert len(server.requests) == 1


@pytest.mark.server
def test_waiting_for_an_index_ends_after_its_time() -> None:
    with scripted_server(lambda operation, request: told("ACTIVE", "CREATING")) as server:
        client = dynamodb_client(server.connection)
        started = time.monotonic()
        with pytest.raises(
            RequestFailedError, match="Index 'by_status' of table 'orders' was not ACTIVE after 0.3 seconds"
        ):
            wait_until_active(client, "orders", indexes=["by_status"], timeout_seconds=0.3)
        assert time.monotonic() - started < 30
        wait_until_active(client, "orders", timeout_seconds=0.3)


def test_an_index_that_is_still_filled_is_no_missing_one(local_server: Server) -> None:
    """A table that another process creates at the same time is waited for as well."""
    name = f"test-{uuid.uuid4().hex}"
    create_table(local_server.client, name, partition_key=ID, sort_key=DAY, indexes=[Index("by_status", STATUS)])
    assert ensure_target(options_of(local_server, name, indexes="by_status(status)"), SCHEMA).table == describe_table(
        local_server.client, name
    )
