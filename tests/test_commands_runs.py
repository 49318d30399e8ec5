"""`spark-dynamo runs` and `spark-dynamo run`: listed, filtered, shown, followed, and run."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from spark_dynamo.cli import app
from spark_dynamo.errors import ConfigurationError, ItemNotFoundError, TableNotFoundError
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus, StageInfo
from spark_dynamo.run_logs.context import pipeline_run
from tests.conftest import Server
from tests.runs.report.logs import made
from tests.runs.tables import ITEMS, RunTable, run_table, until

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def table(local_server: Server) -> RunTable:
    """A successful run, a failed one, one that goes on and one whose driver died."""
    table = run_table(local_server)
    logs = [
        made("good", start_time=NOW - timedelta(days=3), rows_read=1_000, rows_written=990),
        made(
            "bad",
            "failed",
            start_time=NOW - timedelta(hours=2),
            pipeline_id="orders",
            error_message="ValueError: [red]no rows[/red]\n in x",
            error_stack_trace='Traceback:\n  File "job.py", line 7',
        ),
        made("open", "running", seconds=None, start_time=NOW, lease_expires_at=NOW + timedelta(hours=1)),
        made("cut", "cancelled", start_time=NOW - timedelta(hours=1)),
    ]
    put(table, *logs)
    return table


def put(table: RunTable, *logs: PipelineRunLog) -> None:
    table.server.put(table.name, *(orjson.loads(text) for text in ITEMS.encode(logs).to_pylist()))


def call(table: RunTable, *arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, [*arguments], env={**table.environment(), "COLUMNS": "200", **environment})


def listed(table: RunTable, *arguments: str) -> list[str]:
    result = call(table, "runs", "--output", "csv", *arguments)
    assert result.exit_code == 0, result.output
    return [row["run_id"] for row in csv.DictReader(io.StringIO(result.stdout))]


def test_runs_are_listed_newest_first(table: RunTable) -> None:
    result = call(table, "runs")
    assert result.exit_code == 0, result.output
    assert [line.split()[2] for line in result.stdout.splitlines()[2:]] == ["open", "cut", "bad", "good"]
    assert "ValueError: [red]no rows[/red]" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["open", "cut", "bad", "good"]),
        (["--last", "1"], ["open"]),
        (["--pipeline-id", "orders"], ["bad"]),
        (["--status", "failed", "--status", "success"], ["bad", "good"]),
        (["--since", "90m"], ["open", "cut"]),
        (["--since", "2d"], ["open", "cut", "bad"]),
        pytest.param(["--since", (NOW - timedelta(minutes=5)).isoformat()], ["open"], id="since a time"),
        (["--since", "1h", "--status", "failed"], []),
    ],
    ids=str,
)
def test_lists_are_filtered(table: RunTable, arguments: list[str], expected: list[str]) -> None:
    assert listed(table, *arguments) == expected


def test_json_has_whole_runs(table: RunTable) -> None:
    result = call(table, "runs", "--pipeline-id", "orders", "--output", "json")
    (found,) = json.loads(result.stdout)
    assert PipelineRunLog.model_validate(found) == table.log("bad")
    assert json.loads(call(table, "runs", "--pipeline-id", "none", "--output", "json").stdout) == []


def test_a_row_that_is_no_run_log_is_told_beside_what_is_piped(local_server: Server) -> None:
    table = run_table(local_server)
    put(table, made("good"), made("odd"))
    table.server.put(table.name, {**table.item("odd"), "status": {"S": "succeeded"}})
    result = call(table, "runs", "--pipeline-id", "sales", "--output", "csv")
    assert [row["run_id"] for row in csv.DictReader(io.StringIO(result.stdout))] == ["good"]
    assert result.stderr.startswith("1 row is no run log: odd: status: ")


def test_people_get_their_zone_and_programs_utc(table: RunTable) -> None:
    start = NOW - timedelta(days=3)
    shown = call(table, "runs", "--timezone", "Asia/Tokyo", "--pipeline-id", "sales", "--status", "success").stdout
    assert (start + timedelta(hours=9)).isoformat()[:19] in shown
    assert (start.isoformat()[:19]) in call(table, "runs", "--timezone", "Asia/Tokyo", "--output", "csv").stdout


@pytest.mark.parametrize(
    ("run_id", "code", "said"),
    [("good", 0, "990"), ("bad", 3, 'File "job.py", line 7'), ("open", 0, "so far"), ("cut", 3, "cancelled")],
)
def test_one_run_is_shown_and_its_exit_code_tells_how_it_stands(
    table: RunTable, run_id: str, code: int, said: str
) -> None:
    result = call(table, "run", run_id)
    assert result.exit_code == code, result.output
    assert said in result.stdout
    assert run_id in result.stdout


def test_one_run_for_programs(table: RunTable) -> None:
    result = call(table, "run", "bad", "--output", "json")
    assert result.exit_code == 3
    (found,) = json.loads(result.stdout)
    assert PipelineRunLog.model_validate(found) == table.log("bad")


def test_a_run_is_shown_with_those_within_it(local_server: Server) -> None:
    table = run_table(local_server)
    start = NOW - timedelta(hours=1)
    inner = made(
        "inner", "failed", pipeline_id="load", start_time=start + timedelta(seconds=1), tags={"parent_run_id": "outer"}
    )
    put(table, made("outer", start_time=start), inner)
    shown = call(table, "run", "outer").stdout
    assert re.search(r"Runs within it\n[^✗]*✗ +load .* inner", shown)
    assert re.search(r"parent +outer", call(table, "run", "inner").stdout)


def test_the_beginning_of_an_id_will_do_where_one_run_has_it(local_server: Server) -> None:
    table = run_table(local_server)
    ids = [f"5f0c{digit}a9e8b7d4c6fa1b2c3d4e5f60718" for digit in "1233"]
    ids[3] = ids[3][:-1] + "9"
    put(table, *(made(run_id) for run_id in ids))
    found = call(table, "run", ids[0][:8], "--output", "json")
    assert (found.exit_code, json.loads(found.stdout)[0]["run_id"]) == (0, ids[0])
    several = call(table, "run", ids[3][:8])
    assert isinstance(several.exception, ConfigurationError)
    assert f"The ids of 2 runs begin with '{ids[3][:8]}'" in str(several.exception)
    assert all(run_id in str(several.exception) for run_id in ids[2:])
    assert isinstance(call(table, "run", "5f0c9").exception, ItemNotFoundError)


def test_dead_runs_are_reaped(local_server: Server) -> None:
    table = run_table(local_server)
    dead = {"seconds": None, "lease_expires_at": NOW - timedelta(minutes=1), "lease_owner": "host:7"}
    put(table, made("dead", "running", **dead), made("good"))
    result = call(table, "runs", "reap", "--output", "json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    assert (found["run_id"], found["owner"]) == ("dead", "host:7")
    assert table.log("dead").status is RunStatus.LOST
    assert call(table, "run", "dead").exit_code == 3
    assert json.loads(call(table, "runs", "reap", "--output", "json").stdout) == []


def test_where_is_said_by_options_too(table: RunTable) -> None:
    result = CliRunner().invoke(
        app,
        [
            "run",
            "good",
            "--endpoint-url",
            table.server.endpoint,
            "--table-prefix",
            table.prefix,
            "--region",
            "us-east-1",
        ],
        env={"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"},
    )
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["run", "none"], ItemNotFoundError),
        (["runs", "--status", "done"], ConfigurationError),
        (["runs", "--timezone", "Mars"], ConfigurationError),
        (["run", "--pipeline-id", "sales", "--tag", "team", "job.py"], ConfigurationError),
        (["runs", "--table-prefix", "none"], TableNotFoundError),
    ],
    ids=str,
)
def test_what_goes_wrong_is_named(table: RunTable, arguments: list[str], error: type[Exception]) -> None:
    result = call(table, *arguments)
    assert isinstance(result.exception, error), result.output
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs", "--since", "yesterday"], "neither a duration such as 90m"),
        (["runs", "--since", "999999d"], "before the year 1"),
        (["runs", "--last", "0"], "greater than or equal to 1"),
        (["run", "good", "bad"], "name its pipeline before it"),
        (["run", "job.py"], "no run has the id 'job.py'; to run a job, name its pipeline"),
        (["run", "--pipeline-id", "sales", "--follow", "job.py"], "it is about a run that is shown"),
        (["run", "--pipeline-id", "sales", "--output", "json", "job.py"], "it is about a run that is shown"),
        (["run", "good", "--created-by", "me"], "it is about a job that is run, which needs --pipeline-id"),
        (["run"], "Missing argument"),
    ],
    ids=str,
)
def test_a_wrong_command_line_says_what_is_right(table: RunTable, arguments: list[str], said: str) -> None:
    result = call(table, *arguments)
    assert result.exit_code == 2
    assert said in re.sub(r"[\s│]+", " ", result.stderr)


@pytest.mark.parametrize(
    ("arguments", "example"),
    [(["runs"], "--since 7d"), (["runs", "reap"], "--environment prod"), (["run"], "--follow")],
)
def test_help_has_an_example(arguments: list[str], example: str) -> None:
    result = CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "140"})
    assert result.exit_code == 0
    assert re.search(rf"Examples?: spark-dynamo {' '.join(arguments)}.*{example}", result.stdout, re.DOTALL)


def test_help_tells_exit_codes() -> None:
    shown = re.sub(r"\s+", " ", CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "140"}).stdout)
    assert "3: it failed, was cancelled or is lost" in shown


# ------------------------------------------------------------------------------------------------------- following


@pytest.mark.parametrize(("error", "code"), [(None, 0), (ValueError("no rows"), 3)], ids=["success", "failure"])
def test_a_run_is_followed_until_it_ends(local_server: Server, error: Exception | None, code: int) -> None:
    table = run_table(local_server)
    seen, found = threading.Event(), threading.Event()

    def job() -> None:
        try:
            with pipeline_run(None, "sales", config=table.config(), run_id="followed") as run:
                found.set()
                with run.stage("extract"):
                    seen.wait(20)
                if error:
                    raise error
        except ValueError:
            pass

    thread = threading.Thread(target=job)
    thread.start()
    until(lambda: table.item("followed"))
    timer = threading.Timer(0.3, seen.set)
    timer.start()
    result = call(table, "run", "followed", "--follow", "--interval", "0.05")
    thread.join()
    assert found.is_set()
    assert result.exit_code == code, result.output
    assert ("✗ failed" if error else "✓ success") in result.stdout
    assert "extract" in result.stdout
    assert "▶ running" not in result.stdout  # no terminal: told once, at its end


def test_following_in_a_terminal_that_is_less_high_leaves_one_copy(local_server: Server) -> None:
    table = run_table(local_server)
    start = NOW - timedelta(minutes=5)
    stages = [
        StageInfo(stage_name=f"stage-{place:03}", status=RunStatus.SUCCESS, start_time=start) for place in range(35)
    ]
    fields: dict[str, Any] = {"stages": stages, "start_time": start}
    put(table, made("long", "running", seconds=None, lease_expires_at=NOW + timedelta(hours=1), **fields))
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = "from spark_dynamo.cli import main; main()"
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    said, is_ended = "", False
    with subprocess.Popen(
        [sys.executable, "-c", command, "run", "long", "-f", "--interval", "0.05"],
        env={**environment, **table.environment(), "TERM": "xterm-256color"},
        stdin=inner,
        stdout=inner,
        stderr=inner,
    ) as process:
        os.close(inner)
        with suppress(OSError):  # how a terminal tells that nobody writes any more
            while data := os.read(outer, 65_536):
                said += data.decode(errors="replace")
                if not is_ended and said.count("stage-034") >= 5:  # the newest stages are seen, the oldest not
                    is_ended, before = True, said
                    put(table, made("long", seconds=300, **fields))
        os.close(outer)
    assert process.returncode == 0
    assert "stage-000" not in before
    lines = seen(said, 24)
    assert [line.split()[1] for line in lines if "stage-" in line] == [stage.stage_name for stage in stages]
    assert sum("long" in line for line in lines) == 1


def seen(said: str, height: int) -> list[str]:
    """What a terminal of so many lines shows in the end, and what has scrolled out of it."""
    lines, row = [""], 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", said):
        if token == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token.endswith("A") and token.startswith("\x1b"):
            row = max(row - int(token[2:-1] or 1), len(lines) - height, 0)
        elif token == "\x1b[2K":
            lines[row] = ""
        elif token[0] not in "\x1b\r":
            lines[row] += token
    return lines


def test_a_run_that_has_ended_is_not_waited_for(table: RunTable) -> None:
    assert call(table, "run", "good", "--follow").exit_code == 0


def test_ctrl_c_ends_only_the_looking(table: RunTable) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-u",
            "-c",
            "from spark_dynamo.cli import main; main()",
            "run",
            "open",
            "-f",
            "--interval",
            "0.05",
        ],
        env={**os.environ, **table.environment(), "FORCE_COLOR": "1", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = iter(process.stdout.readline, "")
    assert any("so far" in line for line in said)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == "No longer followed; the run goes on."
    assert table.log("open").status is RunStatus.RUNNING


# ---------------------------------------------------------------------------------------------------------- running


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.py"
    path.write_text("import sys\nprint('arguments', sys.argv[1:])\nsys.exit(int(sys.argv[1]))\n")
    return path


def test_a_job_is_run_as_a_run(local_server: Server, job: Path) -> None:
    table = run_table(local_server)
    options = ["--pipeline-id", "nightly", "--trigger-type", "cron", "--tag", "team=sales", "--created-by", "me"]
    finished = subprocess.run(
        [
            sys.executable,
            "-c",
            "from spark_dynamo.cli import main; main()",
            "run",
            *options,
            str(job),
            "7",
            "--day",
            "-f",
        ],
        env={**os.environ, **table.environment()},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 7, finished.stderr
    assert "arguments ['7', '--day', '-f']" in finished.stdout
    log = table.logs()["nightly"]
    expected: tuple[Any, ...] = (RunStatus.FAILED, "cron", "me", "sales")
    assert (log.status, log.trigger_type, log.created_by, log.tags["team"]) == expected
    assert log.config_snapshot == {"script": str(job), "arguments": ["7", "--day", "-f"]}


def test_a_job_s_row_has_its_user_and_no_secret_of_its_command_line(
    local_server: Server, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = run_table(local_server)
    monkeypatch.setenv("LOGNAME", "alice")
    given = ["0", "--password", "hidden", "--api-token=hidden-too", "jdbc:x://u:hidden-as-well@host", "--day", "1"]
    finished = subprocess.run(
        [
            sys.executable,
            "-c",
            "from spark_dynamo.cli import main; main()",
            "run",
            "--pipeline-id",
            "x",
            job.name,
            *given,
        ],
        env={**os.environ, **table.environment()},
        cwd=job.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    assert f"arguments {given}" in finished.stdout  # the job itself has them all
    log = table.logs()["x"]
    assert (log.status, log.created_by) == (RunStatus.SUCCESS, "alice")
    shown = ["0", "--password", "**********", "--api-token=**********", "jdbc:x://u:**********@host", "--day", "1"]
    assert log.config_snapshot == {"script": str(job), "arguments": shown}
    assert "hidden" not in json.dumps(table.item(log.run_id))


@pytest.mark.parametrize("output", ["table", "csv", "json", "jsonl"])
@pytest.mark.parametrize("arguments", [["runs"], ["run", "r1"]])
def test_figures_have_no_zeros_of_the_table_s_scale_and_settings_no_secrets(
    local_server: Server, arguments: list[str], output: str
) -> None:
    table = run_table(local_server)
    settings = {"password": "hidden-in-here"}  # as somebody else may have put it there
    put(table, made("r1", seconds=0.011047, cpu_hours=Decimal("0.5"), rows_read=1_000, config_snapshot=settings))
    shown = call(table, *arguments, "--output", output).stdout
    assert "0000000" not in shown
    assert "hidden-in-here" not in shown
    assert ("0.011047" in shown) is (arguments == ["runs"] or output != "table")
    assert ("1000" if output != "table" or arguments == ["runs"] else "1,000") in shown
