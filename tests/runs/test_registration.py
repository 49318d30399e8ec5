"""A session's run: how it ends with `unregister`, with the session, and with the process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.run_logs.context import current_run, pipeline_run
from spark_dynamo.run_logs.process import close_recorders
from spark_dynamo.run_logs.process_outcome import Outcome
from spark_dynamo.run_logs.registration import register_run_listener
from spark_dynamo.run_logs.run import Run
from tests.conftest import Server
from tests.runs.tables import RunTable, run_table
from tests.servers.spark_driver import CONFIG

ROOT = Path(__file__).parents[2]
BEGIN = f"""
import atexit, os, signal, sys, threading, time
from pyspark.sql import SparkSession
from spark_dynamo.run_logs import registration
from spark_dynamo.run_logs.registration import register_run_listener

def session(**more):
    builder = SparkSession.builder.master("local[2,3]")  # a task has three attempts
    for name, value in {{**{CONFIG!r}, **more}}.items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("OFF")
    return made

spark = session()
"""


@pytest.fixture(scope="module")
def table(local_server: Server) -> Iterator[RunTable]:
    yield run_table(local_server)
    assert close_recorders()


@contextmanager
def process(code: str, table: RunTable, folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, **table.environment(), "PYTHONPATH": str(ROOT)},
    ) as started:
        try:
            yield started
        finally:
            started.kill()


@pytest.mark.slow
def test_a_registered_session_logs_what_it_does(spark: SparkSession, table: RunTable) -> None:
    listener = register_run_listener(
        spark, pipeline_id="registered", trigger_type="schedule", config=table.config(), created_by="ann"
    )
    try:
        assert listener.flush()
        assert table.log(listener.run_id).status is RunStatus.RUNNING
        assert current_run() is listener.run
        assert spark.range(10).count() == 10
        with pipeline_run(spark, "inner", config=table.config()) as inner:
            assert current_run() is inner
            assert spark.range(20).count() == 20
        with pipeline_run(None, "without Spark", config=table.config()) as other:
            pass
        assert spark.sparkContext.parallelize([1, 2, 3]).sum() == 6
    finally:
        listener.unregister()
    assert listener.flush()
    assert listener.last_error is None
    log = table.log(listener.run_id)
    assert (log.status, log.pipeline_id, log.trigger_type, log.created_by) == (
        RunStatus.SUCCESS,
        "registered",
        "schedule",
        "ann",
    )
    assert [stage.stage_name.partition(" at ")[0] for stage in log.stages] == ["count", "sum"]
    assert (log.spark_application_id, log.spark_version) == (spark.sparkContext.applicationId, spark.version)
    assert (log.metrics_source, log.metrics_complete, log.rows_read) == ("listener", True, 0)
    assert len(inner.snapshot().stages) == 1
    assert inner.snapshot().tags["parent_run_id"] == other.snapshot().tags["parent_run_id"] == listener.run_id
    assert current_run() is None
    spark.range(10).count()  # nobody's
    assert len(listener.run.snapshot().stages) == 2


def test_a_session_has_one_listener(spark: SparkSession, table: RunTable) -> None:
    with register_run_listener(spark, pipeline_id="one", config=table.config()) as listener:
        assert register_run_listener(spark, pipeline_id="one", config=table.config()) is listener
        assert register_run_listener(spark.newSession(), pipeline_id="one", config=table.config()) is listener
        with pytest.raises(ConfigurationError, match=f"is {listener.run_id} of pipeline 'one' already: end it by"):
            register_run_listener(spark, pipeline_id="two", config=table.config())
    with register_run_listener(spark, pipeline_id="two", config=table.config()) as other:
        assert other.run_id != listener.run_id
    with pytest.raises(ConfigurationError, match="pipeline_id"):
        register_run_listener(spark, pipeline_id="")
    with pytest.raises(ConfigurationError, match="spark is a NoneType: give a SparkSession"):
        register_run_listener(None, pipeline_id="none")


def test_a_run_within_a_batch_of_a_stream_has_figures_of_its_own(
    spark: SparkSession, table: RunTable, tmp_path: Path
) -> None:
    spark.range(5).coalesce(1).write.parquet(f"{tmp_path}/source")
    inner: list[Run] = []

    def write(batch: DataFrame, number: int) -> None:
        with pipeline_run(batch.sparkSession, "inner", config=table.config()) as run:
            batch.write.mode("append").parquet(f"{tmp_path}/target")
        inner.append(run)

    with register_run_listener(spark, pipeline_id="batches", config=table.config()):
        stream = spark.readStream.schema("id long").parquet(f"{tmp_path}/source")
        query = stream.writeStream.foreachBatch(write).trigger(availableNow=True)
        query.option("checkpointLocation", f"{tmp_path}/checkpoint").start().awaitTermination(60)
    log = inner[0].snapshot()
    assert (log.rows_written, len(log.stages), log.metrics_complete) == (5, 1, True)


def test_an_error_in_a_block_of_a_listener_fails_its_run(spark: SparkSession, table: RunTable) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        register_run_listener(spark, pipeline_id="block", config=table.config()) as listener,
    ):
        spark.range(1 // 0)
    assert listener.run.snapshot().error_message == "ZeroDivisionError: integer division or modulo by zero"


def test_an_error_that_passes_by_is_caught_or_not(spark: SparkSession, table: RunTable) -> None:
    """Only the end can tell whether an exception that `unregister` sees on its way is caught."""
    try:
        listener = register_run_listener(spark, pipeline_id="passing", config=table.config())
        try:
            raise ValueError("on its way")
        finally:
            listener.unregister()
            assert listener.flush()
            assert listener.run.status is RunStatus.RUNNING
    except ValueError:
        pass
    assert listener.flush()
    log = table.log(listener.run_id)
    assert (log.status, log.error_message) == (RunStatus.SUCCESS, None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_an_error_ends_is_a_failure() -> None:
    def fail() -> None:
        raise ValueError("in a thread")

    outcome = Outcome()
    try:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        verdict = outcome.verdict()
    finally:
        outcome.close()
    assert (verdict.status, verdict.message) == (RunStatus.FAILED, "ValueError: in a thread")
    assert "in fail" in (verdict.stack or "")


def test_hooks_are_there_only_as_long_as_they_are_needed() -> None:
    former = threading.excepthook, sys.exit
    first, second = Outcome(), Outcome()
    assert (threading.excepthook, sys.exit) != former
    first.close()
    with pytest.raises(SystemExit) as caught:
        sys.exit("told")
    assert (type(caught.value), caught.value.code) == (SystemExit, "told")
    del caught
    assert second.verdict().status is RunStatus.SUCCESS
    second.close()
    assert (threading.excepthook, sys.exit) == former


# each way for a process to end: what it runs, the run's status and message
ENDS = {
    "the end": ("", "success", None),
    "exit 0": ("sys.exit(0)", "success", None),
    "exit 1": ("sys.exit(1)", "failed", "SystemExit: 1"),
    "exit with a message": ("def stop():\n    sys.exit('no input')\nstop()", "failed", "SystemExit: no input"),
    "quit": ("quit(3)", "failed", "SystemExit: 3"),
    "an exit that is caught": ("try:\n    sys.exit(1)\nexcept SystemExit:\n    pass", "success", None),
    "an exit that is caught, then another": (
        "try:\n    sys.exit(1)\nexcept SystemExit as error:\n    sys.exit(4)",
        "failed",
        "SystemExit: 4",
    ),
    "an error": ("def load():\n    raise ValueError('no rows')\nload()", "failed", "ValueError: no rows"),
    "an error with a hook": (
        "sys.excepthook = lambda *error: None\n1 / 0",
        "failed",
        "ZeroDivisionError: division by zero",
    ),
    "an error that is caught": ("try:\n    1 / 0\nexcept ZeroDivisionError:\n    pass", "success", None),
    "an interrupt": ("os.kill(os.getpid(), signal.SIGINT)", "cancelled", "KeyboardInterrupt:"),
    "a termination": (
        "os.kill(os.getpid(), signal.SIGTERM)",
        "cancelled",
        "SIGTERM: the process was told to terminate",
    ),
    "a termination with a handler of its own": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\nos.kill(os.getpid(), signal.SIGTERM)",
        "cancelled",
        "SystemExit: 143",
    ),
}
UNSEEN = (
    "Exit: the program was left by SystemExit, and its exit code is told to nobody: leave by sys.exit(...), which is seen unless "
    "SPARK_DYNAMO_EXIT_HOOKS is off"
)
if sys.version_info < (3, 12):  # Python tells nobody with which code
    ENDS |= {
        "a raised exit": ("def stop():\n    raise SystemExit(5)\nstop()", "lost", UNSEEN),
        "a raised exit 0": ("raise SystemExit(0)", "lost", UNSEEN),
        "a raised exit that is caught": (
            "try:\n    raise SystemExit(1)\nexcept SystemExit:\n    pass",
            "success",
            None,
        ),
    }
else:
    ENDS |= {
        "a raised exit": ("def stop():\n    raise SystemExit(5)\nstop()", "failed", "SystemExit: 5"),
        "a raised exit 0": ("raise SystemExit(0)", "success", None),
        "a raised exit that is caught": (
            "try:\n    raise SystemExit(1)\nexcept SystemExit:\n    pass",
            "success",
            None,
        ),
    }


# the same with SPARK_DYNAMO_EXIT_HOOKS=off, where that is another
ENDS_WITHOUT_HOOKS = {
    f"{name}, without hooks": way
    for name, way in {
        "exit 0": ("sys.exit(0)", "lost", UNSEEN),
        "exit 1": ("sys.exit(1)", "lost", UNSEEN),
        "quit": ("quit(3)", "lost", UNSEEN),
        "a raised exit": ("raise SystemExit(5)", "lost", UNSEEN),
        **{
            name: ENDS[name]
            for name in ("an exit that is caught", "an error", "the end", "an interrupt", "a termination")
        },
    }.items()
}


@pytest.mark.jvm
def test_the_ways_in_which_a_process_ends(table: RunTable, tmp_path: Path) -> None:
    codes, logs, stderr = ended(ENDS, table, tmp_path)
    found = {name: (logs[name].status.value, logs[name].error_message) for name in ENDS}
    assert found == {name: way[1:] for name, way in ENDS.items()}, stderr
    assert codes["exit 1"] == codes["exit with a message"] == codes["an error"] == 1
    assert (codes["quit"], codes["an exit that is caught, then another"], codes["the end"]) == (3, 4, 0)
    assert (codes["an interrupt"], codes["a termination"]) == (-signal.SIGINT, -signal.SIGTERM)
    assert "in load" in (logs["an error"].error_stack_trace or "")
    assert "in stop" in (logs["exit with a message"].error_stack_trace or "")
    assert "no input" in stderr


@pytest.mark.jvm
def test_without_hooks_no_exit_code_is_told_as_a_success(table: RunTable, tmp_path: Path) -> None:
    codes, logs, stderr = ended(ENDS_WITHOUT_HOOKS, table, tmp_path, SPARK_DYNAMO_EXIT_HOOKS="off")
    found = {name: (logs[name].status.value, logs[name].error_message) for name in ENDS_WITHOUT_HOOKS}
    assert found == {name: way[1:] for name, way in ENDS_WITHOUT_HOOKS.items()}, stderr
    told = [codes[f"{name}, without hooks"] for name in ("exit 0", "exit 1", "quit", "a raised exit", "the end")]
    assert told == [0, 1, 3, 5, 0]


def test_without_hooks_what_ends_the_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_DYNAMO_EXIT_HOOKS", "off")
    former, quitting = sys.exit, type(exit).__call__
    outcome = Outcome()
    try:
        assert (sys.exit, type(exit).__call__) == (former, quitting)
        monitoring = getattr(sys, "monitoring", None)
        assert monitoring is None or "spark_dynamo" not in map(monitoring.get_tool, range(6))
    finally:
        outcome.close()


def ended(
    ways: Mapping[str, tuple[str, str, str | None]], table: RunTable, folder: Path, **variables: str
) -> tuple[dict[str, int], Mapping[str, PipelineRunLog], str]:
    """Exit codes and run logs by the names of ways for a process to end, and all that was on stderr.

    Without Spark, which would cost a second each; forked, so that the imports are paid for once.
    """
    code = """
import json, os, signal, sys
from spark_dynamo.run_logs.registration import RunListener
from spark_dynamo.run_logs.settings import RunSettings
ways, codes = json.loads(sys.argv[1]), {}
for name, code in ways.items():
    child = os.fork()
    if not child:
        break
    codes[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
else:
    print(json.dumps(codes), flush=True)
    os._exit(0)
listener = RunListener(RunSettings(pipeline_id=name))
listener.flush(30)  # a first request takes long on a busy machine
exec(code)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps({name: way[0] for name, way in ways.items()})],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
        env={**os.environ, **table.environment(), "PYTHONPATH": str(ROOT), **variables},
    )
    return json.loads(done.stdout), table.logs(), done.stderr


@pytest.mark.jvm
def test_sessions_that_stop_and_a_process_that_fails_afterwards(table: RunTable, tmp_path: Path) -> None:
    code = """
def timed(action):
    started = time.monotonic()
    action()
    return time.monotonic() - started

def flaky(batches):
    from pyspark import TaskContext
    kept = list(batches)
    if TaskContext.get().attemptNumber() == 0 and TaskContext.get().partitionId() == 0:
        raise ValueError("the first time")
    yield from kept

spark.range(90).repartition(3).write.parquet("numbers")
plain = timed(spark.stop)
spark = session()
first = register_run_listener(spark, pipeline_id="stopped")
numbers = spark.read.schema("id long").parquet("numbers")
numbers.mapInArrow(flaky, "id long").write.parquet("copied")
try:
    spark.sql("SELECT * FROM nowhere")
except Exception:
    pass
slower = timed(spark.stop) - plain
spark = session()
with register_run_listener(spark, pipeline_id="overrun"):
    spark.range(3).collect()
    # as Spark itself counts where a queue is full, which no test can bring about for certain
    metrics = spark.sparkContext._jsc.sc().listenerBus().metrics().metricRegistry()
    metrics.counter("queue.spark-dynamo.numDroppedEvents").inc()
spark.stop()
SparkSession.builder._options.clear()
spark = session()
second = register_run_listener(spark, pipeline_id="failed after its end")
print(first.run.status.value, slower < 5, flush=True)
try:
    spark.sparkContext.parallelize([0], 1).map(lambda value: 1 / value).collect()
finally:
    registration._GRACE = 0.0  # much later
    spark.stop()
    while second._stopped_at is None:
        time.sleep(0.01)
    for thread in threading.enumerate():
        if thread.name == "spark-dynamo-verdict":
            while thread.ident is None:  # it is being started
                time.sleep(0.01)
            thread.join()
    atexit.register(lambda left=time.monotonic(): print(time.monotonic() - left < 5, flush=True))
"""
    with process(code, table, tmp_path) as ended:
        stdout, stderr = ended.communicate(timeout=120)
    assert (ended.returncode, stdout.split()) == (1, ["success", "True", "True"]), stderr
    logs = table.logs()
    first, second = logs["stopped"], logs["failed after its end"]
    assert (first.status, [stage.stage_name for stage in first.stages], first.metrics_complete) == (
        RunStatus.SUCCESS,
        [f"parquet to {tmp_path}/copied", "sql"],  # even a query of a table that is not there
        True,
    )
    assert (first.rows_read, first.rows_written, first.failed_task_count) == (90, 90, 1)
    assert "nowhere" in (first.stages[1].error_message or "")
    assert "RunTables" not in stderr  # nothing of ours in anybody's stack
    assert first.end_time is not None
    assert first.end_time < second.start_time
    assert logs["overrun"].metrics_complete is False
    assert second.metrics_complete is True
    assert (second.status, second.stages[0].status) == (RunStatus.FAILED, RunStatus.FAILED)
    assert "ZeroDivisionError" in (second.error_message or "")
    assert "in collect" in (second.error_stack_trace or "")


@pytest.mark.jvm
def test_a_terminated_driver_whose_job_runs(table: RunTable, tmp_path: Path) -> None:
    code = """
listener = register_run_listener(spark, pipeline_id="terminated")
def wait(value):
    time.sleep(30)
    return value
threading.Timer(0, lambda: print("go", flush=True)).start()
spark.sparkContext.parallelize([1], 1).map(wait).collect()
"""
    with process(code, table, tmp_path) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "go\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == -signal.SIGTERM
    log: PipelineRunLog = table.logs()["terminated"]
    assert (log.status, log.error_message) == (RunStatus.CANCELLED, "SIGTERM: the process was told to terminate")


@pytest.mark.jvm
def test_the_last_cell_of_a_notebook_counts(table: RunTable, tmp_path: Path) -> None:
    """Errors stay in their cell; a later one that ends well makes up for them."""
    code = """
from IPython.core.interactiveshell import InteractiveShell
from spark_dynamo.run_logs.registration import RunListener
from spark_dynamo.run_logs.settings import RunSettings
shell = InteractiveShell.instance()
for name, cells in {"mended": ["1 / 0", "x = 1"], "left": ["x = 1", "1 / 0"], "exit": ["import sys; sys.exit(2)"]}.items():
    listener = RunListener(RunSettings(pipeline_id=name))
    for cell in cells:
        shell.run_cell(cell, store_history=False)
    listener.unregister()
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        env={**os.environ, **table.environment(), "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path)},
    )
    logs = table.logs()
    found = {name: (logs[name].status.value, logs[name].error_message) for name in ("mended", "left", "exit")}
    assert found == {
        "mended": ("success", None),
        "left": ("failed", "ZeroDivisionError: division by zero"),
        "exit": ("failed", "SystemExit: 2"),
    }, ended.stderr


@pytest.mark.jvm
@pytest.mark.parametrize(
    ("cell", "status", "message"),
    [
        ("1", "success", None),
        ("1 / 0", "failed", "ZeroDivisionError: division by zero"),
        ("print('ready', flush=True); signal.pause()", "cancelled", "SIGTERM: the process was told to terminate"),
    ],
)
def test_a_notebook_that_is_shut_down_leaves_what_stands(
    table: RunTable, tmp_path: Path, cell: str, status: str, message: str | None
) -> None:
    """Jupyter sends SIGTERM to a kernel that takes its time to end: only what it interrupts is cancelled."""
    begin = """
import signal
from spark_dynamo.run_logs.registration import RunListener
from spark_dynamo.run_logs.settings import RunSettings
listener = RunListener(RunSettings(pipeline_id="notebook STATUS"))
assert listener.flush(30)
"""
    code = f"""
import signal
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell({begin.replace("STATUS", status)!r}, store_history=False)
shell.run_cell({cell!r}, store_history=False)
print("ready", flush=True)
signal.pause()
"""
    environment = {**os.environ, **table.environment(), "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as notebook:
        assert notebook.stdout is not None
        while notebook.stdout.readline() not in ("ready\n", ""):
            pass
        notebook.terminate()
        assert notebook.wait(60) == -signal.SIGTERM
    log = table.logs()[f"notebook {status}"]
    assert (log.status.value, log.error_message) == (status, message)
