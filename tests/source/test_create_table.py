"""`sd.create_table` makes a table of one's own, leaves one that is just so, and says where one is otherwise."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

import spark_dynamo as sd
from spark_dynamo.aws.table_names import ttl_attribute
from spark_dynamo.aws.tables import Index, KeyAttribute, TableDescription, describe_table
from tests.conftest import Server

INDEXES = "by_page(page, day); local by_size(user, size)"
WHOLE: dict[str, Any] = {"sort_key": "day", "types": {"day": "N", "size": "N"}, "indexes": INDEXES, "ttl": "expires_at"}
PROVISIONED = {"billingMode": "PROVISIONED", "readCapacityUnits": 5, "writeCapacityUnits": 7}


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4().hex}"


def create(server: Server, name: str, partition_key: str = "user", **arguments: Any) -> TableDescription:
    sd.create_table(name, partition_key, **{**server.options, **arguments})
    return describe_table(server.client, name)


def test_a_table_has_all_that_was_asked_for_and_can_be_created_again(server: Server, name: str) -> None:
    user, day, page, size = (KeyAttribute(*key) for key in (("user", "S"), ("day", "N"), ("page", "S"), ("size", "N")))  # type: ignore[arg-type]
    for _ in range(2):
        found = create(server, name, **WHOLE)
        assert found.keys == (user, day)
        assert set(found.indexes) == {Index("by_page", page, day), Index("by_size", user, size, kind="LSI")}
        assert (found.status, found.read_units) == ("ACTIVE", None)
        assert ttl_attribute(server.client, name) == "expires_at"
    create(server, name, sort_key="day", types={"day": "N"})  # it may have more indexes, and TTL


def test_throughput_is_the_tables_and_its_indexes(server: Server, name: str) -> None:
    for _ in range(2):
        found = create(server, name, indexes="by_page(page)", **PROVISIONED)
        assert (found.read_units, found.write_units) == (5, 7)
        assert [(index.read_units, index.write_units) for index in found.indexes] == [(5, 7)]


def test_ttl_is_enabled_on_a_table_that_has_none(local_server: Server, name: str) -> None:
    create(local_server, name)
    assert ttl_attribute(local_server.client, name) is None
    create(local_server, name, ttl="until")
    assert ttl_attribute(local_server.client, name) == "until"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"partition_key": "id", "types": {"day": "N"}, "indexes": None},
            r"exists with partition key 'user' \(S\) and sort key 'day' \(N\)",
        ),
        (
            {"sort_key": None, "types": {"size": "N"}, "indexes": "by_page(page, size)"},
            "exists with partition key 'user'",
        ),
        ({"types": {}}, r"sort key 'day' \(S\) is needed"),
        ({"indexes": "by_page(page)", "types": {"day": "N"}}, "has index 'by_page' with partition key 'page'"),
        ({"indexes": "by_name(name)", "types": {"day": "N"}}, "exists without index 'by_name'"),
        (PROVISIONED, "exists on demand, and is wanted with 5 read and 7 write units per second"),
        ({"ttl": "until"}, "expire by attribute 'expires_at', not by 'until'"),
    ],
)
def test_a_table_that_exists_otherwise_is_an_error(
    local_server: Server, name: str, arguments: dict[str, Any], sentence: str
) -> None:
    before = create(local_server, name, **WHOLE)
    with pytest.raises(sd.ConfigurationError, match=sentence):
        create(local_server, name, **{**WHOLE, **arguments})
    assert describe_table(local_server.client, name) == before


def test_a_table_on_demand_is_not_taken_for_one_with_units(local_server: Server, name: str) -> None:
    create(local_server, name, **PROVISIONED)
    with pytest.raises(
        sd.ConfigurationError, match="exists with 5 read and 7 write units per second, and is wanted on demand"
    ):
        create(local_server, name)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"types": {"usr": "N"}},
            "'types' names 'usr', which is no key of the table or of an index; did you mean 'user'",
        ),
        ({"types": {"user": "BOOL"}}, "'types' gives 'user' the type 'BOOL'; keys are of type S, N, B"),
        ({"partition_key": ""}, "'partitionKey' must not be empty"),
        ({"readCapacityUnits": 5}, "'readCapacityUnits' needs billingMode=PROVISIONED"),
        ({"billingMode": "PROVISIONED"}, "'readCapacityUnits' is missing"),
        ({"indexes": "by_page"}, "'indexes' is not understood from 'by_page' on"),
        ({"indexes": "local by_size(user, size)"}, "option sortKey is missing"),
        ({"regoin": "eu-west-1"}, "'regoin' is not known. Did you mean 'region'"),
        ({"table": "pipeline_config"}, r"sd.create_tables\(\) creates it"),
    ],
)
def test_what_no_table_can_have(local_server: Server, name: str, arguments: dict[str, Any], sentence: str) -> None:
    table = arguments.get("table", name)
    given = {key: value for key, value in arguments.items() if key != "table"}
    with pytest.raises(sd.OptionError, match=sentence):
        create(local_server, table, **given)
    with pytest.raises(sd.TableNotFoundError):
        describe_table(local_server.client, name)


def test_what_only_dynamodb_refuses_is_a_named_error(dynoxide_server: Server) -> None:
    with pytest.raises(sd.RequestFailedError, match="x y"):
        create(dynoxide_server, "x y")
