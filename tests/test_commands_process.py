"""The command as people meet it: a process with exit codes, pipes, a shell that completes, and help that answers at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from spark_dynamo.cli import app, main
from spark_dynamo.commands.options import Place, config_from
from spark_dynamo.errors import ConfigurationError
from tests.conftest import Server
from tests.servers.scripted import Reply, scripted_server

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1"}
COMMAND = [sys.executable, "-c", "from spark_dynamo.cli import main; main()"]
HEAVY = ("pyspark", "pandas", "pyarrow", "boto3", "moto", "sqlglot")


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **CREDENTIALS, **variables}
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands with their paths."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if getattr(command, "commands", None):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())


def test_all_commands_are_there() -> None:
    assert {" ".join(path) for path in COMMANDS} >= {
        *("tables create", "tables list", "tables describe"),
        *("pipelines list", "pipelines show", "pipelines enable", "pipelines disable"),
        *("schema", "scan", "copy", "run", "local", "demo"),
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_each_help_has_an_example_that_begins_so(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    assert re.match(f"Examples?: spark-dynamo {' '.join(path)}( |$)", command.epilog)
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "300", "TERMINAL_WIDTH": "300"})
    assert shown.exit_code == 0
    assert " ".join(command.epilog.split()) in " ".join(shown.stdout.split())  # no markup has eaten a part of it


@pytest.mark.parametrize("path", [path for path in COMMANDS if path[0] not in ("local", "demo")], ids=" ".join)
def test_each_command_says_where_and_in_which_form(path: tuple[str, ...]) -> None:
    given = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    assert given >= {
        "--endpoint-url",
        "--region",
        "--profile",
        "--role-arn",
        "--environment",
        "--table-prefix",
        "--output",
    }


def test_help_and_version_import_next_to_nothing() -> None:
    code = (
        "import sys; from spark_dynamo.cli import app\n"
        "for arguments in (['--help'], ['tables', '--help'], ['--version']):\n"
        "    try: app(arguments)\n"
        "    except SystemExit as end: assert not end.code\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    *_, version, imported = done.stdout.splitlines()
    assert re.fullmatch(r"spark-dynamo \d+\.\d+\S*", version)
    assert imported == "[]"
    assert "Exit codes: 0" in done.stdout


def test_a_list_of_tables_needs_neither_spark_nor_pandas(local_server: Server) -> None:
    code = (
        "import sys; from spark_dynamo.cli import app\n"
        "try: app(['tables', 'list'])\n"
        "except SystemExit as end: assert not end.code\n"
        "print([name for name in ('pyspark', 'pandas', 'pyarrow', 'sqlglot', 'moto') if name in sys.modules])"
    )
    environment = {**os.environ, **CREDENTIALS, "DYNAMODB_ENDPOINT_URL": local_server.endpoint}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_exit_codes(local_server: Server) -> None:
    table = local_server.create()
    where = {"DYNAMODB_ENDPOINT_URL": local_server.endpoint}
    assert run("tables", "describe", table, **where).returncode == 0
    foreseen = run("tables", "describe", "no-such\x1b[2Jtable", **where)
    assert foreseen.returncode == 1
    assert foreseen.stdout == ""
    assert "\x1b[2J" not in foreseen.stderr
    assert "Traceback" not in foreseen.stderr
    assert "no-such" in foreseen.stderr
    usage = run("tables", "destroy")
    assert (usage.returncode, usage.stdout) == (2, "")
    assert "Usage: " in usage.stderr


def test_a_pipe_that_is_closed_early_is_no_traceback(local_server: Server) -> None:
    table = local_server.create()
    for number in range(40):
        local_server.put(table, {"id": {"S": str(number)}, "text": {"S": "x" * 10_000}})
    environment = {**os.environ, **CREDENTIALS}
    arguments = [*COMMAND, "scan", table, "-o", "json", "--endpoint-url", local_server.endpoint]
    with subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "[\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 128 + signal.SIGPIPE


def test_what_is_for_programs_is_utf_8_whatever_the_locale() -> None:
    code = "from spark_dynamo.commands.output import show; show([{'id': 'é\\x9b'}], ['id'], 'json')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout.decode("utf-8")) == [{"id": "é\x9b"}]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str) -> None:
    words = {"COMP_WORDS": "spark-dynamo tables d", "COMP_CWORD": "2"}
    other = {"_TYPER_COMPLETE_ARGS": "spark-dynamo tables d", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    result = CliRunner().invoke(
        app, prog_name="spark-dynamo", env={"_SPARK_DYNAMO_COMPLETE": f"complete_{shell}", **words, **other}
    )
    assert "describe" in result.stdout
    assert "create" not in result.stdout


def test_a_shell_completes_names_of_tables(local_server: Server) -> None:
    table = local_server.create()
    begun = f"spark-dynamo scan --endpoint-url {local_server.endpoint} {table[:12]}"
    found = CliRunner().invoke(
        app,
        prog_name="spark-dynamo",
        env={
            **CREDENTIALS,
            "_SPARK_DYNAMO_COMPLETE": "complete_bash",
            "COMP_WORDS": begun,
            "COMP_CWORD": "4",
        },
    )
    assert found.stdout.split() == [table]


def test_a_shell_is_not_kept_waiting_by_a_server_that_is_not_there() -> None:
    begun = "spark-dynamo scan --endpoint-url http://127.0.0.1:9 pipe"
    found = CliRunner().invoke(
        app,
        prog_name="spark-dynamo",
        env={**CREDENTIALS, "_SPARK_DYNAMO_COMPLETE": "complete_bash", "COMP_WORDS": begun, "COMP_CWORD": "4"},
    )
    assert found.stdout.split() == ["pipeline_config", "pipeline_run_logs"]


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CREDENTIALS, "ENVIRONMENT": "prod", "DYNAMODB_TABLE_PREFIX": "theirs"}.items():
        monkeypatch.setenv(name, value)
    config = config_from("http://127.0.0.1:8000", "eu-west-1", None, "dev", "ours")
    assert (config.endpoint_url, config.region_name) == ("http://127.0.0.1:8000", "eu-west-1")
    assert config.get_table_name("pipeline_config") == "ours_dev_pipeline_config"
    assert config.aws_access_key_id == "local"
    assert config_from().get_table_name("pipeline_config") == "theirs_pipeline_config"


def test_what_is_given_wins_over_what_can_not_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CREDENTIALS, "ENVIRONMENT": "production", "DYNAMODB_ENDPOINT_URL": "localhost:8000"}.items():
        monkeypatch.setenv(name, value)
    config = config_from("http://127.0.0.1:8000", environment="prod")
    assert (config.endpoint_url, config.environment) == ("http://127.0.0.1:8000", "prod")
    place = Place(endpoint_url="http://127.0.0.1:8000", environment="prod", table_prefix="ours")
    assert place.connection().endpoint_url == "http://127.0.0.1:8000"
    assert place.physical_name("pipeline_config") == "ours_pipeline_config"
    with pytest.raises(ConfigurationError, match="not 'production'"):
        config_from("http://127.0.0.1:8000")


@pytest.mark.parametrize("command", ["tables list", "runs", "scan orders", "copy a b", "pipelines list"])
def test_without_a_region_the_command_says_which_option_names_one(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "DYNAMODB_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["spark-dynamo", *command.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "No AWS region is known. Set option 'region' (on the command line --region)" in capsys.readouterr().err


FOREIGN = "--endpoint-url localhost:8000"
NO_URL = "Endpoint URL 'localhost:8000' must begin with http:// or https://"


@pytest.mark.parametrize(
    ("command", "variables", "sentence"),
    [
        (f"tables list {FOREIGN}", {}, NO_URL),
        (f"tables create {FOREIGN} --region us-east-1", {}, NO_URL),
        (f"pipelines list {FOREIGN} --region us-east-1", {}, NO_URL),
        (f"runs {FOREIGN}", {}, NO_URL),
        (f"scan t {FOREIGN}", {}, NO_URL),
        ("scan t --endpoint-url http://localhost:99999", {}, "must begin with http:// or https:// and name a host"),
        ("copy t u --to-endpoint-url http://dynamo_db:8000 --endpoint-url http://dynamo_db:8000", {}, "dynamo_db"),
        ("tables list --region us-west-2", {"AWS_ENDPOINT_URL": "localhost:1"}, "localhost:1. Check AWS_ENDPOINT_URL"),
        ("tables list", {".env": "DYNAMODB_TABLE_PREFIX=caf\xe9"}, "File .env is not in UTF-8, as its byte 26 tells"),
        ("pipelines list", {".env": "DYNAMODB_TABLE_PREFIX=caf\xe9"}, "File .env is not in UTF-8, as its byte 26 tells"),
    ],
)  # fmt: skip
def test_what_can_not_be_used_is_a_sentence(
    command: str,
    variables: dict[str, str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(variables.pop(".env", "").encode("latin-1"))
    for name, value in {**CREDENTIALS, **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["spark-dynamo", *command.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert (told.out, "Traceback" in told.err) == ("", False)
    assert sentence in " ".join(told.err.split())


TABLE = {
    "TableStatus": "ACTIVE",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "ItemCount": 0,
    "TableSizeBytes": 0,
}


@pytest.mark.server
@pytest.mark.parametrize("command", ["scan t -o json", "copy t u"])
def test_ctrl_c_ends_a_read_that_nobody_answers(command: str) -> None:
    is_asked = threading.Event()

    def answer(operation: str, request: dict[str, Any]) -> Reply:
        if operation == "DescribeTable":
            return Reply({"Table": {**TABLE, "TableName": request["TableName"], "TableArn": request["TableName"]}})
        is_asked.set()
        return Reply(delay=300.0)

    with (
        scripted_server(answer) as server,
        subprocess.Popen(
            [*COMMAND, *command.split(), "--endpoint-url", server.endpoint],
            env={**os.environ, **CREDENTIALS},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert is_asked.wait(60)
        process.send_signal(signal.SIGINT)
        try:
            _, told = process.communicate(timeout=5)
        finally:
            process.kill()
    assert (process.returncode, "Traceback" in told) == (130, False), told


def test_a_profile_that_is_named_is_meant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("[profile work]\nregion = eu-north-1\naws_access_key_id = A\naws_secret_access_key = B\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-environment")
    config = config_from(profile="work")
    assert (config.profile_name, config.aws_access_key_id) == ("work", None)
    assert config.region_name == "eu-north-1"
    with pytest.raises(ConfigurationError, match="nobody"):
        config_from(profile="nobody")
