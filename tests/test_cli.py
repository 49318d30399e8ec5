"""`spark-dynamo schema`: what a table holds, on the screen or as the source of a model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import spark_dynamo as sd
import spark_dynamo.schema.outline
from spark_dynamo.cli import app
from spark_dynamo.errors import OptionError, SchemaError, TableNotFoundError
from spark_dynamo.metadata.models import PipelineRunLog
from tests.conftest import Server

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
ITEM = {
    "id": {"S": "1"},
    "tags": {"SS": ["a", "b"]},
    "unit price": {"N": "9.5"},
    "lines": {"L": [{"M": {"sku": {"S": "x"}, "[red]\x1b": {"BOOL": True}}}]},
    "labels": {"M": {"a": {"S": "b"}}},
}


@pytest.fixture
def orders(local_server: Server) -> str:
    table = local_server.create()
    local_server.put(table, ITEM, {"id": {"S": "2"}})
    return table


def run(server: Server, *arguments: str) -> Result:
    options = ["--endpoint-url", server.endpoint, "--region", "us-east-1"]
    return CliRunner().invoke(app, ["schema", *arguments, *options], env={**CREDENTIALS, "COLUMNS": "120"})


def rows(screen: str) -> list[list[str]]:
    """The cells of the lines of a printed table."""
    return [[*re.split(r"\s{2,}", line.strip()), "", ""] for line in screen.splitlines() if line.strip()]


def executed(source: str, name: str) -> Any:
    module: dict[str, Any] = {}
    exec(compile(source, "order.py", "exec", dont_inherit=True), module)
    return module[name]


def test_the_columns_of_a_table(local_server: Server, orders: str) -> None:
    result = run(local_server, orders)
    assert result.exit_code == 0, result.output
    printed = rows(result.stdout)
    assert printed[0][0] == f"Table {orders}"
    assert ["id", "STRING NOT NULL", "", ""] in printed
    assert any(row[0] == "tags" and row[1].startswith("ARRAY<STRING") and row[2] == "SS" for row in printed)
    assert any(row[0] == "unit price" and row[1].startswith("DECIMAL(") for row in printed)
    assert any(row[0] == "lines" and row[1].startswith("ARRAY<STRUCT") for row in printed)
    assert ["lines[].sku", "STRING", "", ""] in printed
    assert ["lines[].[red]\\x1b", "BOOLEAN", "", ""] in printed


def test_a_model_of_a_table(local_server: Server, orders: str) -> None:
    result = run(local_server, orders, "--model", "--name", "Order")
    assert result.exit_code == 0, result.output
    inferred = sd.infer_schema(orders, **local_server.options).schema
    assert sd.struct_type(executed(result.stdout, "Order")) == inferred
    assert "class OrderLines(BaseModel):" in result.stdout


def test_a_model_is_named_after_its_table(local_server: Server, orders: str) -> None:
    result = run(local_server, orders, "--model")
    assert f"\nclass Test{orders.removeprefix('test-').capitalize()}(BaseModel):\n" in result.stdout


def test_a_sample_of_one_item(local_server: Server) -> None:
    table = local_server.create()
    local_server.put(table, *({"id": {"S": f"{number}"}, f"a{number}": {"S": "x"}} for number in range(5)))
    found = rows(run(local_server, table, "--sample", "1").stdout)
    assert len([row for row in found if row[0].startswith("a") and row[1] == "STRING"]) == 1


def test_a_metadata_table_is_known_without_a_server() -> None:
    result = CliRunner().invoke(app, ["schema", "pipeline_run_logs", "--model", "--name", "Log"])
    assert result.exit_code == 0, result.output
    assert sd.struct_type(executed(result.stdout, "Log")) == sd.struct_type(PipelineRunLog)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["no-such-table"], TableNotFoundError),
        (["--model", "--name", "my order"], SchemaError),
        (["--sample", "0"], OptionError),
    ],
)
def test_what_goes_wrong_is_named(
    local_server: Server, orders: str, arguments: Sequence[str], error: type[Exception]
) -> None:
    result = run(local_server, *arguments, *([] if "no-such-table" in arguments else [orders]))
    assert result.exit_code == 1
    assert isinstance(result.exception, error)
    assert result.stdout == ""


def test_help_has_an_example() -> None:
    result = CliRunner().invoke(app, ["schema", "--help"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    assert "Example: spark-dynamo schema orders --model --name Order > order.py" in result.stdout


def test_the_command_itself(local_server: Server, orders: str, tmp_path: Path) -> None:
    """In a process of its own: a model goes to a file whole, and an error is one sentence without a traceback."""
    command = [sys.executable, "-c", "from spark_dynamo.cli import main; main()", "schema"]
    where = ["--endpoint-url", local_server.endpoint, "--region", "us-east-1"]
    environment = {**os.environ, **CREDENTIALS}
    with (tmp_path / "order.py").open("w") as file:
        subprocess.run(
            [*command, orders, "--model", "--name", "Order", *where],
            stdout=file,
            env=environment,
            check=True,
            timeout=120,
        )
    written = executed((tmp_path / "order.py").read_text(), "Order")
    assert sd.struct_type(written) == sd.infer_schema(orders, **local_server.options).schema
    failed = subprocess.run(
        [*command, "no-such-table", *where], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "no-such-table" in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1
