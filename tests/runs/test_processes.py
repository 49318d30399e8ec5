"""Runs in processes of their own, which end in every way that a process can."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.run_logs.reaper import reap
from spark_dynamo.run_logs.registration import RunListener
from spark_dynamo.run_logs.settings import RunSettings
from tests.conftest import Server
from tests.runs.tables import RunTable, run_table, until

ROOT = Path(__file__).parents[2]
BEGIN = """
import logging, os, signal, sys, threading, time
logging.basicConfig(format="%(message)s")
from spark_dynamo.run_logs.context import pipeline_run
"""
# the process says that the run is open, and waits for what is done to it
OPEN = """
with pipeline_run(None, "sales", lease_seconds=0.5) as run:
    with run.stage("load"):
        print(run.flush(), flush=True)
        while True:
            time.sleep(60)
"""


@contextmanager
def process(code: str, environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
    ) as started:
        try:
            yield started
        finally:
            started.kill()


@pytest.fixture(scope="module")
def shared_table(local_server: Server) -> RunTable:
    return run_table(local_server)


@pytest.fixture
def table(local_server: Server) -> RunTable:
    return run_table(local_server)


def only(table: RunTable) -> PipelineRunLog:
    (log,) = table.logs().values()
    return log


def test_a_process_that_ends_by_itself(table: RunTable, tmp_path: Path) -> None:
    """Each run's last row is written though nothing waits for it, also in threads that the end cuts off."""
    code = """
def endless():
    with pipeline_run(None, "a thread that is cut off"):
        opened.set()
        threading.Event().wait()

def attempt(name, action):
    try:
        with pipeline_run(None, name):
            action()
    except BaseException as error:
        print(type(error).__name__)

opened = threading.Event()
threading.Thread(target=endless, daemon=True).start()
opened.wait()
attempt("exit 0", lambda: sys.exit(0))
attempt("error", lambda: 1 / 0)
with pipeline_run(None, "exit 1"):
    sys.exit(1)
"""
    with process(code, table.environment(), tmp_path) as ended:
        stdout, stderr = ended.communicate(timeout=60)
    assert (ended.returncode, stdout.split(), stderr) == (1, ["SystemExit", "ZeroDivisionError"], "")
    logs = table.logs()
    assert {name: (log.status.value, log.error_message) for name, log in logs.items()} == {
        "a thread that is cut off": ("cancelled", "Exit: the process ended while the run was open"),
        "exit 0": ("success", None),
        "error": ("failed", "ZeroDivisionError: division by zero"),
        "exit 1": ("failed", "SystemExit: 1"),
    }
    assert (logs["exit 1"].error_stack_trace or "").endswith("SystemExit: 1\n")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGTERM, "SIGTERM: the process was told to terminate"),
        (signal.SIGINT, "KeyboardInterrupt:"),
    ],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_signal_cancels_the_run_and_ends_the_process_as_ever(
    table: RunTable, tmp_path: Path, number: signal.Signals, message: str
) -> None:
    with process(OPEN, table.environment(), tmp_path) as open_run:
        assert open_run.stdout is not None
        assert open_run.stdout.readline() == "True\n"
        open_run.send_signal(number)
        assert open_run.wait(10) == -number
    log = only(table)
    assert (log.status, log.error_message, log.stages[0].status) == (RunStatus.CANCELLED, message, RunStatus.CANCELLED)
    assert log.end_time is not None


def test_a_killed_driver_leaves_a_run_that_the_next_listener_marks_as_lost(table: RunTable, tmp_path: Path) -> None:
    with process(OPEN, table.environment(), tmp_path) as open_run:
        assert open_run.stdout is not None
        assert open_run.stdout.readline() == "True\n"
        first = table.server.items(table.name)[0]["lease_expires_at"]
        until(lambda: table.server.items(table.name)[0]["lease_expires_at"] != first)  # it lives
        open_run.kill()
        open_run.wait(10)
    assert only(table).status is RunStatus.RUNNING
    run_id = only(table).run_id
    until(lambda: table.server.items(table.name)[0]["lease_expires_at"]["S"] < datetime.now(UTC).isoformat())
    with RunListener(RunSettings(pipeline_id="the next one", config=table.config())):
        until(lambda: table.log(run_id).status is RunStatus.LOST)


def test_the_reaper_marks_open_stages_and_says_whose_they_were(table: RunTable, tmp_path: Path) -> None:
    with process(OPEN, table.environment(), tmp_path) as open_run:
        assert open_run.stdout is not None
        assert open_run.stdout.readline() == "True\n"
        pid = open_run.pid
        open_run.kill()
        open_run.wait(10)
    lost: list[Any] = []
    until(lambda: lost.extend(reap(table.config())) or lost)
    log = only(table)
    assert (log.status, log.stages[0].status) == (RunStatus.LOST, RunStatus.LOST)
    assert f":{pid} said nothing more" in (log.error_message or "")


@pytest.mark.slow
def test_processes_that_are_forked_have_runs_of_their_own_and_leave_the_parents_alone(
    table: RunTable, tmp_path: Path
) -> None:
    code = """
import multiprocessing

def job(name):
    run.log("from the child")
    with pipeline_run(None, name):
        pass

with pipeline_run(None, "parent") as run:
    run.flush()
    child = multiprocessing.get_context("fork").Process(target=job, args=("multiprocessing",))
    child.start()
    child.join()
    pid = os.fork()
    if not pid:
        with pipeline_run(None, "fork"):
            sys.exit(3)  # through the parent's `with` too
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    run.log("from the parent")
    print(run.run_id)
"""
    with process(code, table.environment(), tmp_path) as ended:
        stdout, stderr = ended.communicate(timeout=60)
    logs = table.logs()
    assert {name: log.status.value for name, log in logs.items()} == {
        "parent": "success",
        "multiprocessing": "success",
        "fork": "failed",
    }, stderr
    assert [message["message"] for message in logs["parent"].log_messages] == ["from the parent"]
    assert (
        logs["multiprocessing"].tags
        == logs["fork"].tags
        == {
            "parent_run_id": stdout.strip(),
            "parent_pipeline_id": "parent",
        }
    )
    assert "what it is told now is not noted (Logged)" in stderr


@pytest.mark.slow
@pytest.mark.parametrize("silent", [False, True], ids=["nobody listens", "nobody answers"])
def test_a_terminated_process_leaves_a_file_where_there_is_no_server(
    table: RunTable, tmp_path: Path, silent: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if not silent:
            listener.close()
        code = """
with pipeline_run(None, "ended"):
    pass
with pipeline_run(None, "open"):
    print("open", flush=True)
    time.sleep(60)
"""
        with process(code, table.environment(endpoint), tmp_path) as ended:
            assert ended.stdout is not None
            ended.stdout.readline()
            ended.terminate()
            stderr = ended.communicate(timeout=60)[1]
    assert ended.returncode == -signal.SIGTERM
    (path,) = tmp_path.glob("spark-dynamo-missed-runs-*.jsonl")
    assert str(path) in stderr
    logs = [PipelineRunLog.model_validate_json(line) for line in path.read_text().splitlines()]
    assert {log.pipeline_id: log.status.value for log in logs} == {"ended": "success", "open": "cancelled"}


@pytest.mark.slow
@pytest.mark.parametrize("silent", [False, True], ids=["nobody listens", "nobody answers"])
def test_without_a_server_a_process_ends_in_time_and_says_where_its_runs_are(
    table: RunTable, tmp_path: Path, silent: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if not silent:
            listener.close()
        code = """
started = time.monotonic()
with pipeline_run(None, "sales") as run:
    pass
print(time.monotonic() - started, flush=True)
"""
        with process(code, table.environment(endpoint), tmp_path) as ended:
            assert ended.stdout is not None
            body = float(ended.stdout.readline())
            since = time.monotonic()
            stderr = ended.communicate(timeout=60)[1]
            lasted = time.monotonic() - since
    assert body < 5  # it waits for nobody; on a busy machine everything takes longer
    assert lasted < 20  # 5 s, and the interpreter's own end on a busy machine
    assert ended.returncode == 0
    (path,) = tmp_path.glob("spark-dynamo-missed-runs-*.jsonl")
    assert str(path) in stderr
    (line,) = path.read_text().splitlines()
    assert PipelineRunLog.model_validate_json(line).status is RunStatus.SUCCESS


def test_an_error_long_after_a_signal_that_was_survived_is_a_failure(table: RunTable, tmp_path: Path) -> None:
    code = """
def ends(name, handler, error):
    signal.signal(signal.SIGTERM, handler)
    try:
        with pipeline_run(None, name):
            os.kill(os.getpid(), signal.SIGTERM)
            raise error
    except BaseException:
        pass

def interrupt(*_):
    raise RuntimeError("told to end")

ends("survived", lambda *_: None, ValueError("no rows"))
ends("raised", interrupt, ValueError("never"))
ends("left afterwards", lambda *_: None, SystemExit(1))
"""
    with process(code, table.environment(), tmp_path) as ended:
        ended.communicate(timeout=60)
    assert {name: (log.status.value, log.error_message) for name, log in table.logs().items()} == {
        "survived": ("failed", "ValueError: no rows"),
        "raised": ("cancelled", "RuntimeError: told to end"),
        "left afterwards": ("cancelled", "SystemExit: 1"),
    }
