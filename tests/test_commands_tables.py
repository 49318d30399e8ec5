"""`spark-dynamo tables`: create, list and describe."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from spark_dynamo.aws.client import dynamodb_client
from spark_dynamo.aws.tables import Index, KeyAttribute, describe_table
from spark_dynamo.cli import app
from spark_dynamo.errors import ConfigurationError, TableNotFoundError
from tests.conftest import Server
from tests.servers.scripted import Reply, refusal, scripted_server

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


def run(server: Server, *arguments: str) -> Result:
    where = ["--endpoint-url", server.endpoint, "--region", "us-east-1"]
    return CliRunner().invoke(app, ["tables", *arguments, *where], env=ENVIRONMENT)


def parsed(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


def new_name() -> str:
    return f"test-{uuid.uuid4().hex}"


def test_the_metadata_tables_are_created_and_marked(local_server: Server) -> None:
    where = ["--environment", "staging", "--table-prefix", f"p{uuid.uuid4().hex[:8]}", "--output", "json"]
    created = parsed(run(local_server, "create", *where))
    again = parsed(run(local_server, "create", *where))
    assert again == created
    assert [row["metadata"] for row in created] == ["pipeline_config", "table_config", "pipeline_run_logs"]
    assert {row["status"] for row in created} == {"ACTIVE"}
    prefix = created[0]["table"].removesuffix("pipeline_config")
    assert prefix.endswith("_staging_")
    listed = parsed(run(local_server, "list", "--starts-with", prefix, *where))
    assert {row["table"]: row["metadata"] for row in listed} == {row["table"]: row["metadata"] for row in created}
    unmarked = parsed(run(local_server, "list", "--starts-with", prefix, "--output", "json"))
    assert {row["metadata"] for row in unmarked} == {None}
    (logs,) = parsed(run(local_server, "describe", "pipeline_run_logs", *where))
    assert (logs["table"], logs["ttl"]) == (f"{prefix}pipeline_run_logs", "expires_at")


@pytest.mark.parametrize("option", ["--region", "--profile"])
def test_the_metadata_tables_are_created_where_an_option_says(
    option: str, local_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(
        "[profile tables]\nregion = eu-central-1\naws_access_key_id = A\naws_secret_access_key = B\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", local_server.endpoint)  # which does not name a server of this machine
    prefix = f"p{uuid.uuid4().hex[:8]}"
    where = [option, "eu-central-1" if option == "--region" else "tables", "--table-prefix", prefix]
    created = CliRunner().invoke(app, ["tables", "create", *where, "--output", "json"], env=ENVIRONMENT)
    assert [row["metadata"] for row in parsed(created)] == ["pipeline_config", "table_config", "pipeline_run_logs"]
    there = dynamodb_client(replace(local_server.connection, region="eu-central-1"))
    assert there.describe_table(TableName=f"{prefix}_dev_table_config")


def test_a_table_of_ones_own(server: Server) -> None:
    name = new_name()
    keys = ["--partition-key", "customer", "--sort-key", "day:N"]
    indexes = ["--index", "by_day=day,customer", "--index", "by_code=code:B", "--local-index", "by_total=total:N"]
    (created,) = parsed(run(server, "create", name, *keys, *indexes, "--ttl", "gone", "--output", "json"))
    assert (created["table"], created["keys"], created["status"]) == (name, "customer (S), day (N)", "ACTIVE")
    customer, day = KeyAttribute("customer", "S"), KeyAttribute("day", "N")
    assert {index.name: index for index in describe_table(server.client, name).indexes} == {
        "by_day": Index("by_day", day, customer),
        "by_code": Index("by_code", KeyAttribute("code", "B")),
        "by_total": Index("by_total", customer, KeyAttribute("total", "N"), kind="LSI"),
    }
    server.put(name, {"customer": {"S": "c"}, "day": {"N": "1"}, "total": {"N": "2"}})
    (told,) = parsed(run(server, "describe", name, "-o", "json"))
    assert told["keys"] == [{"name": "customer", "type": "S"}, {"name": "day", "type": "N"}]
    assert (told["ttl"], told["billing"], told["items"]) == ("gone", "PAY_PER_REQUEST", 1)
    by_day = next(index for index in told["indexes"] if index["name"] == "by_day")
    assert by_day["keys"] == [{"name": "day", "type": "N"}, {"name": "customer", "type": "S"}]
    shown = run(server, "describe", name).stdout
    assert "customer (S), day (N)" in shown
    assert "by_total  LSI" in shown
    assert run(server, "create", name, *keys, *indexes, "--ttl", "gone").exit_code == 0  # safe to repeat


def test_a_table_with_other_keys_is_left_alone(local_server: Server) -> None:
    name = local_server.create("id:S")
    result = run(local_server, "create", name, "--partition-key", "id:N")
    assert result.exit_code == 1
    assert isinstance(result.exception, ConfigurationError)
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["orders"], "--partition-key"),
        (["--partition-key", "id"], "for a table that is named"),
        (["orders", "--partition-key", "id:T"], "S, N or B"),
        (["orders", "--partition-key", ":N"], "S, N or B"),
        (["orders", "--partition-key", ""], "S, N or B"),
        (["orders", "--partition-key", " "], "S, N or B"),
        (["orders", "--partition-key", "id", "--sort-key", ""], "S, N or B"),
        (["orders", "--partition-key", "id", "--ttl", ""], "must not be empty"),
        (["--partition-key", ""], "for a table that is named"),
        (["orders", "--partition-key", "id", "--index", "by_day"], "partition_key,sort_key"),
        (["orders", "--partition-key", "id", "--index", "ab=day"], "3 to 255"),
        (["orders", "--partition-key", "id", "--index", "abc=a,b,c"], "partition_key,sort_key"),
        (["orders", "--partition-key", "id", "--index", "by_id=id:N"], "type S elsewhere"),
        (["orders", "--partition-key", "id", "--local-index", "abc=a,b"], "name=sort_key"),
        (["pipeline_config", "--partition-key", "id"], "keys are fixed"),
    ],
)
def test_what_no_table_can_have_is_wrong_usage(local_server: Server, arguments: list[str], told: str) -> None:
    result = run(local_server, "create", *arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


def test_a_table_that_is_not_there(local_server: Server) -> None:
    result = run(local_server, "describe", new_name())
    assert result.exit_code == 1
    assert isinstance(result.exception, TableNotFoundError)


@pytest.mark.parametrize("command", ["scan", "schema", "tables describe", "copy"])
def test_a_table_that_is_misspelt_is_named_as_it_may_be_meant(local_server: Server, command: str) -> None:
    table = local_server.create()
    misspelt = f"{table[:8]}{table[9:]}"
    more = [new_name()] if command == "copy" else []
    options = ["--endpoint-url", local_server.endpoint, "--region", "us-east-1"]
    result = CliRunner().invoke(app, [*command.split(), misspelt, *more, *options], env=ENVIRONMENT)
    assert result.exit_code == 1
    assert isinstance(result.exception, TableNotFoundError)
    assert result.exception.near[0] == table
    assert f"no table '{misspelt}': did you mean '{table}'" in str(result.exception)
    assert f"endpoint={local_server.endpoint}" in str(result.exception)


def test_a_logical_name_that_is_misspelt_is_named_too(local_server: Server) -> None:
    result = run(local_server, "describe", "pipeline_confg")
    assert "did you mean 'pipeline_config'" in str(result.exception)


@pytest.mark.server
def test_a_missing_table_is_the_error_though_nobody_may_list_tables() -> None:
    def answer(operation: str, request: dict[str, Any]) -> Reply:
        if operation == "ListTables":
            return refusal("AccessDeniedException")
        return refusal("ResourceNotFoundException")

    with scripted_server(answer) as server:
        options = ["--endpoint-url", server.endpoint, "--region", "us-east-1"]
        result = CliRunner().invoke(app, ["tables", "describe", "zzzzzz", *options], env=ENVIRONMENT)
    assert isinstance(result.exception, TableNotFoundError)
    assert "no table 'zzzzzz'. Check the name" in str(result.exception)


def test_more_tables_than_a_page_has(local_server: Server) -> None:
    prefix = f"many{uuid.uuid4().hex[:8]}-"
    for number in range(101):
        local_server.client.create_table(
            TableName=f"{prefix}{number}",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
    result = run(local_server, "list", "--starts-with", prefix, "--output", "csv")
    assert len(result.stdout.splitlines()) == 102
