"""`spark-dynamo pipelines`: what is configured, and which of it is active."""

from __future__ import annotations

import csv
import getpass
import io
import json
import os
import uuid
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from spark_dynamo.cli import app
from spark_dynamo.commands.options import config_from
from spark_dynamo.errors import ItemNotFoundError
from spark_dynamo.metadata.models import PipelineConfig
from spark_dynamo.metadata.repositories import PipelineConfigRepository
from spark_dynamo.metadata.tables import create_tables
from tests.conftest import Server

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


class Shell:
    """The command line at tables of its own."""

    def __init__(self, server: Server) -> None:
        self.prefix = f"p{uuid.uuid4().hex[:8]}"
        self.server = server

    def run(self, *arguments: str) -> Result:
        where = ["--endpoint-url", self.server.endpoint, "--region", "us-east-1", "--table-prefix", self.prefix]
        return CliRunner().invoke(app, ["pipelines", *arguments, *where], env=ENVIRONMENT)

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        result = self.run(*arguments, "--output", "json")
        assert result.exit_code == 0, (result.output, result.exception)
        rows: list[dict[str, Any]] = json.loads(result.stdout)
        return rows


@pytest.fixture
def shell(local_server: Server, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Three pipelines, of which `sales` is active and of prod."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    shell = Shell(local_server)
    config = config_from(endpoint_url=local_server.endpoint, region="us-east-1", table_prefix=shell.prefix)
    create_tables(config)
    pipelines = PipelineConfigRepository(config)
    for name, is_active, environment in (("sales", True, "prod"), ("stock", False, "dev"), ("clicks", True, "dev")):
        pipelines.create(
            PipelineConfig(
                pipeline_id=name,
                pipeline_name=f"The {name}\x1b[2J",
                source_type="s3",
                destination_type="delta",
                is_active=is_active,
                environment=environment,
                config={"depth": 2},
                memory_gb="1.50",
            )
        )
    return shell


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["pipeline_id"] for row in rows]


def test_pipelines_are_listed_by_id(shell: Shell) -> None:
    assert ids(shell.rows("list")) == ["clicks", "sales", "stock"]
    assert ids(shell.rows("list", "--active")) == ["clicks", "sales"]
    assert ids(shell.rows("list", "--inactive")) == ["stock"]
    assert ids(shell.rows("list", "--pipeline-environment", "dev", "--active")) == ["clicks"]
    header, *rows = csv.reader(io.StringIO(shell.run("list", "--output", "csv").stdout))
    assert header[:3] == ["pipeline_id", "pipeline_name", "is_active"]
    assert [row[2] for row in rows] == ["true", "true", "false"]
    assert "The sales\\x1b[2J" in shell.run("list").stdout


def test_a_pipeline_is_shown_whole(shell: Shell) -> None:
    (shown,) = shell.rows("show", "sales")
    assert {*shown} == {*PipelineConfig.model_fields}
    assert (shown["config"], shown["memory_gb"], shown["schedule_expression"]) == ({"depth": 2}, 1.5, None)
    assert '"memory_gb":1.50' in shell.run("show", "sales", "-o", "json").stdout


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "csv"])
@pytest.mark.parametrize("command", ["show", "list", "enable", "disable"])
def test_no_secret_of_a_pipeline_is_shown(shell: Shell, command: str, output: str) -> None:
    config = config_from(endpoint_url=shell.server.endpoint, region="us-east-1", table_prefix=shell.prefix)
    config_of_source = {
        "url": "jdbc:x://me:hunter2-hidden@host/db",
        "options": [{"name": "password", "value": "s3cret-x"}],
    }
    PipelineConfigRepository(config).update("sales", {"config": {"db_password": "pa55word-y", **config_of_source}})
    shown = shell.run(command, *(["sales"] if command != "list" else []), "--output", output)
    assert shown.exit_code == 0, shown.output
    assert not [secret for secret in ("hunter2-hidden", "s3cret-x", "pa55word-y") if secret in shown.output]
    assert ("**********" in shown.stdout) is (command == "show")
    stored = PipelineConfigRepository(config).get_or_raise("sales").config
    assert stored["db_password"] == "pa55word-y"  # the pipeline itself still has it


def test_a_pipeline_is_disabled_and_enabled(shell: Shell) -> None:
    (disabled,) = shell.rows("disable", "sales", "--by", "alice")
    assert (disabled["is_active"], disabled["updated_by"]) == (False, "alice")
    assert ids(shell.rows("list", "--active")) == ["clicks"]
    assert shell.rows("disable", "sales", "--by", "bob") == [disabled]  # it was disabled already
    (enabled,) = shell.rows("enable", "sales")
    assert (enabled["is_active"], enabled["updated_by"]) == (True, getpass.getuser())
    assert enabled["updated_at"] > disabled["updated_at"]


def test_a_user_without_a_name_is_told_by_number(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)
    (disabled,) = shell.rows("disable", "sales")
    assert (disabled["is_active"], disabled["updated_by"]) == (False, "uid 54321")


@pytest.mark.parametrize("command", ["show", "enable", "disable"])
def test_a_pipeline_that_is_not_there(shell: Shell, command: str) -> None:
    result = shell.run(command, "slaes")
    assert result.exit_code == 1
    assert isinstance(result.exception, ItemNotFoundError)
    assert f"{shell.prefix}_dev_pipeline_config" in str(result.exception)
    assert result.stdout == ""
