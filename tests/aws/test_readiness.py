"""What is there but not ready is not called missing."""

from __future__ import annotations

from typing import Any

import pytest

from spark_dynamo.aws.client import dynamodb_client
from spark_dynamo.aws.requests import Requests
from spark_dynamo.aws.tables import describe_table
from spark_dynamo.errors import InvalidResponseError, RequestFailedError, TableNotFoundError
from tests.aws.test_answers import TABLE
from tests.servers.scripted import Reply, refusal, scripted_server

pytestmark = pytest.mark.server


def in_state(described: Reply) -> Any:
    """An answering function of a server that finds the table only where it is described."""
    return lambda operation, _: described if operation == "DescribeTable" else refusal("ResourceNotFoundException")


@pytest.mark.parametrize(
    ("status", "advice"), [("CREATING", "wait until it is ACTIVE"), ("DELETING", "create it again once it is gone")]
)
def test_a_table_that_is_not_ready_is_said_to_be_that(status: str, advice: str) -> None:
    with (
        scripted_server(in_state(Reply({"Table": {**TABLE, "TableStatus": status}}))) as server,
        pytest.raises(RequestFailedError, match=f"Table 't' is there, but its status is {status}: {advice}") as caught,
    ):
        Requests(server.connection, "t").send("Scan", b"{}")
    assert not isinstance(caught.value, TableNotFoundError)
    assert caught.value.code == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "described",
    [Reply({"Table": TABLE}), refusal("ResourceNotFoundException"), refusal("AccessDeniedException")],
    ids=["ready", "missing", "denied"],
)
def test_what_else_is_not_found_is_missing(described: Reply) -> None:
    with scripted_server(in_state(described)) as server, pytest.raises(TableNotFoundError, match="has no table 't'"):
        Requests(server.connection, "t").send("Scan", b"{}")


def test_an_index_that_is_being_filled_is_said_to_be_that() -> None:
    reply = refusal("ValidationException", "Cannot read from backfilling global secondary index: by_day")
    with (
        scripted_server(lambda *_: reply) as server,
        pytest.raises(RequestFailedError, match="index: by_day. The index is still being filled: wait until"),
    ):
        Requests(server.connection, "t").send("Query", b"{}")


@pytest.mark.parametrize("field", ["TableArn", "TableStatus", "KeySchema", "AttributeDefinitions", "TableName"])
def test_a_description_that_lacks_something_is_an_error_that_names_it(field: str) -> None:
    lacking = {name: value for name, value in TABLE.items() if name != field}
    with (
        scripted_server(lambda *_: Reply({"Table": lacking})) as server,
        pytest.raises(InvalidResponseError, match=f"table 't' .* lacks '{field}'"),
    ):
        describe_table(dynamodb_client(server.connection), "t")
