"""Runs that DynamoDB did not get are brought into the table afterwards: whole, once, and over nothing that has ended."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import spark_dynamo as sd
from spark_dynamo.aws.client import Connection
from spark_dynamo.cli import app
from spark_dynamo.errors import ConfigurationError, TableNotFoundError
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.metadata.repositories import PipelineRunLogsRepository
from spark_dynamo.run_logs.events import Ended, Logged, StageStarted
from spark_dynamo.run_logs.recorder import Recorder
from spark_dynamo.run_logs.state import RunState
from spark_dynamo.run_logs.store import LEASE, RunStore
from tests.conftest import Server
from tests.runs.tables import RunTable, run_table

pytestmark = pytest.mark.server
START = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def table(server: Server) -> RunTable:
    return run_table(server)


def log_of(run_id: str = "r1", status: str = "success", **given: Any) -> PipelineRunLog:
    ended = {} if status == "running" else {"end_time": START + timedelta(minutes=5), "duration_seconds": 300}
    given = {"start_time": START, "updated_at": START + timedelta(minutes=5), **ended, **given}
    return PipelineRunLog(run_id=run_id, pipeline_id="sales", status=RunStatus(status), trigger_type="test", **given)


def file_of(folder: Path, *logs: PipelineRunLog) -> Path:
    path = folder / "missed.jsonl"
    path.write_text("".join(f"{log.model_dump_json()}\n" for log in logs))
    return path


def test_what_a_recorder_could_not_write_is_imported_whole_and_once(table: RunTable, tmp_path: Path) -> None:
    nobody = Connection("us-east-1", "http://127.0.0.1:9", access_key_id="k", secret_access_key="s")
    recorder, logs = Recorder(RunStore(nobody, "runs"), folder=tmp_path), {}
    for number in range(3):
        state = RunState(log_of(str(number), "running", config_snapshot={"größe": [1, {"a": None}]}))
        recorder.changed(state)
        state.apply(Ended(RunStatus.FAILED, START, error_message="ValueError: no", error_stack_trace="in x\n"))
        recorder.changed(state)
        logs[state.run_id] = state.snapshot()
    assert not recorder.close(0.1)
    assert recorder.missed_path is not None

    imported = sd.import_missed_runs(recorder.missed_path, table.config())
    assert [(run.run_id, run.status, run.is_written, run.found) for run in imported] == [
        (run_id, "failed", True, None) for run_id in logs
    ]
    assert {run_id: table.log(run_id) for run_id in logs} == logs
    again = sd.import_missed_runs(str(recorder.missed_path), table.config())
    assert [(run.is_written, run.found) for run in again] == [(False, "failed")] * 3
    assert {run_id: table.log(run_id) for run_id in logs} == logs


@pytest.mark.parametrize("reaped", [False, True])
def test_a_row_that_the_run_has_left_open_or_lost_ends(table: RunTable, tmp_path: Path, reaped: bool) -> None:
    recorder, state = Recorder(table.store(), folder=tmp_path), RunState(log_of("r1", "running"))
    state.apply(StageStarted("a", "load", START))
    state.apply(Logged("before", START))
    recorder.changed(state, urgent=True, lease=1.0)
    assert recorder.flush(30)
    recorder.close(5)
    PipelineRunLogsRepository(table.config()).add_log_message("r1", "theirs")
    if reaped:
        sd.reap(table.config(), now=datetime.now(UTC) + timedelta(hours=1))
        assert table.log("r1").status == "lost"
    state.apply(Logged("after", START))
    state.apply(Ended(RunStatus.SUCCESS, START + timedelta(minutes=5)))

    (run,) = sd.import_missed_runs(file_of(tmp_path, state.snapshot()), table.config())
    assert (run.is_written, run.found) == (True, None)
    found = table.log("r1")
    assert (found.status, found.error_message, found.current_stage) == ("success", None, None)
    assert [stage.status for stage in found.stages] == [stage.status for stage in state.snapshot().stages]
    assert [message["message"] for message in found.log_messages] == ["before", "theirs", "after"]
    assert LEASE not in table.item("r1")


def test_a_run_that_has_ended_in_the_table_stays_as_it_is(
    table: RunTable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "missed.jsonl"
    sd.import_missed_runs(file_of(tmp_path, log_of("r1", "failed", rows_read=7)), table.config())
    (run,) = sd.import_missed_runs(file_of(tmp_path, log_of("r1", "success")), table.config())
    assert (run.is_written, run.found) == (False, "failed")
    assert (table.log("r1").status, table.log("r1").rows_read) == ("failed", 7)
    assert "The row of run r1 says 'failed': 'success' is not written over it" in caplog.text
    assert path.exists()


def test_of_several_lines_of_a_run_the_last_counts(table: RunTable, tmp_path: Path) -> None:
    path = file_of(tmp_path, log_of("r1", "running"), log_of("r2"), log_of("r1", "cancelled"))
    path.write_text(path.read_text().replace("\n", "\r\n\n"))
    imported = sd.import_missed_runs(path, table.config())
    assert [(run.run_id, run.status, run.is_written) for run in imported] == [
        ("r1", "cancelled", True),
        ("r2", "success", True),
    ]


def test_a_run_that_was_left_open_is_lost_at_the_next_reap(table: RunTable, tmp_path: Path) -> None:
    path = file_of(tmp_path, log_of("r1", "running"))
    assert [run.is_written for run in sd.import_missed_runs(path, table.config())] == [True]
    assert [run.run_id for run in sd.reap(table.config())] == ["r1"]
    assert table.log("r1").status == "lost"
    assert [(run.is_written, run.found) for run in sd.import_missed_runs(path, table.config())] == [(False, "lost")]


def test_an_open_run_of_the_file_goes_over_no_row_of_a_driver(table: RunTable, tmp_path: Path) -> None:
    recorder, state = Recorder(table.store(), folder=tmp_path), RunState(log_of("r1", "running"))
    state.apply(Logged("newer", START))
    recorder.changed(state, urgent=True)
    assert recorder.flush(30)
    (run,) = sd.import_missed_runs(file_of(tmp_path, log_of("r1", "running")), table.config())
    assert (run.is_written, run.found) == (False, "running")
    assert [message["message"] for message in table.log("r1").log_messages] == ["newer"]
    recorder.close(5)


def test_a_log_that_is_larger_than_an_item_is_shortened_and_says_so(table: RunTable, tmp_path: Path) -> None:
    path = file_of(tmp_path, log_of("r1", "failed", error_stack_trace="x" * 600_000))
    sd.import_missed_runs(path, table.config())
    assert "Shortened to fit into an item" in table.log("r1").log_messages[-1]["message"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b'{"run_id": "r2"}', "pipeline_id: Field required"),
        (b"\xff\xfe", "Invalid JSON"),
    ],
)
def test_a_line_that_is_no_run_log_is_named_and_nothing_is_written(
    table: RunTable, tmp_path: Path, line: bytes, problem: str
) -> None:
    path = file_of(tmp_path, log_of("r1"))
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(ConfigurationError, match=f"Line 2 of '{path}' is no run log: {problem}.* Nothing was imported"):
        sd.import_missed_runs(path, table.config())
    assert table.item("r1") == {}


def test_what_can_not_be_read_or_written_is_named(table: RunTable, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"File '.*none' can't be read: No such file or directory"):
        sd.import_missed_runs(tmp_path / "none", table.config())
    with pytest.raises(ConfigurationError, match="Is a directory"):
        sd.import_missed_runs(tmp_path, table.config())
    elsewhere = table.config().model_copy(update={"table_prefix": "no-such"})
    with pytest.raises(TableNotFoundError):
        sd.import_missed_runs(file_of(tmp_path, log_of()), elsewhere)


def test_the_command_lists_what_it_has_done(table: RunTable, tmp_path: Path) -> None:
    path = file_of(tmp_path, log_of("r1"), log_of("r2", "failed"))
    for is_written in (True, False):
        arguments = ["runs", "import", str(path), "-o", "json", "--region", "us-east-1"]
        done = CliRunner().invoke(app, arguments, env=table.environment())
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout) == [
            {
                "run_id": run_id,
                "pipeline_id": "sales",
                "status": status,
                "is_written": is_written,
                "found": None if is_written else status,
            }
            for run_id, status in (("r1", "success"), ("r2", "failed"))
        ]
