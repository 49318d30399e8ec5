"""Runs of Spark Connect sessions: what is known of each operation, to whom it belongs, and that the client works as ever."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus, StageInfo
from spark_dynamo.run_logs.connect import ConnectWatch
from spark_dynamo.run_logs.context import pipeline_run
from spark_dynamo.run_logs.failures import failure_of
from spark_dynamo.run_logs.process import close_recorders, flush_recorders
from spark_dynamo.run_logs.registration import register_run_listener
from spark_dynamo.run_logs.run import Run
from spark_dynamo.run_logs.settings import RunSettings
from spark_dynamo.run_logs.streaming import StreamRuns
from tests.conftest import Server
from tests.runs.streams import log_of
from tests.runs.tables import RunTable, run_table, until
from tests.servers.spark_connect import connect_server

METHOD = "_execute_and_fetch_as_iterator"


@pytest.fixture(scope="module")
def table(local_server: Server) -> Iterator[RunTable]:
    yield run_table(local_server)
    assert close_recorders()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with connect_server() as address:
        yield address


@pytest.fixture
def connect(address: str) -> Iterator[Any]:
    """A new session; at the end of each test its client is as it was."""
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(address).create()
    yield session
    assert METHOD not in vars(session.client)
    assert not session.client._progress_handlers
    assert not session.getTags()
    session.stop()


@pytest.fixture(scope="module")
def parquet(address: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """1,000 rows in two files: id, and k from 0 to 6."""
    from pyspark.sql.connect.session import SparkSession

    folder = str(tmp_path_factory.mktemp("data") / "numbers")
    session = SparkSession.builder.remote(address).create()
    session.range(1000, numPartitions=2).selectExpr("id", "id % 7 AS k").write.parquet(folder)
    session.stop()
    return folder


def logged(spark: Any, table: RunTable, body: Callable[[], object]) -> PipelineRunLog:
    """The row of a run with that body."""
    with pipeline_run(spark, "sales", config=table.config()) as run:
        body()
    assert run.flush()
    return table.log(run.run_id)


def test_runs_of_connect_sessions_have_metrics_of_their_own(connect: Any, table: RunTable) -> None:
    with pipeline_run(connect, "outer", config=table.config()) as outer:
        with pipeline_run(connect, "inner", config=table.config()) as inner:
            inner.metric("rows_rejected", connect.range(7).count(), "rows")
        outer.metric("rows_rejected", 1)
    assert flush_recorders(10)
    found = [table.log(run.run_id).custom_metrics["rows_rejected"] for run in (inner, outer)]
    assert [(metric.value, metric.unit) for metric in found] == [(7, "rows"), (8, "rows")]


def only_stage(log: PipelineRunLog) -> StageInfo:
    (stage,) = log.stages
    return stage


def test_a_query_is_a_stage_with_its_call_site_rows_and_bytes(connect: Any, table: RunTable, parquet: str) -> None:
    log = logged(connect, table, lambda: connect.read.parquet(parquet).collect())
    stage = only_stage(log)
    assert stage.stage_name.startswith("collect at test_connect.py:")
    assert (stage.status, stage.records_processed, stage.error_message) == (RunStatus.SUCCESS, 1000, None)
    assert stage.start_time
    assert stage.end_time
    assert log.end_time
    assert log.start_time <= stage.start_time < stage.end_time <= log.end_time
    assert (log.status, log.metrics_source, log.spark_version) == (RunStatus.SUCCESS, "connect", "4.3.0")
    assert (log.rows_read, log.rows_written, log.total_records_processed) == (1000, 0, 1000)
    assert log.shuffle_write_bytes == log.shuffle_read_bytes == 0
    assert log.input_tables == [parquet]
    assert log.output_tables == []
    for unknown in (
        log.cpu_hours,
        log.peak_memory_bytes,
        log.spill_bytes,
        log.failed_task_count,
        log.output_data_size_bytes,
    ):
        assert unknown is None


def test_tasks_and_bytes_are_exact_or_unknown(connect: Any, table: RunTable, parquet: str) -> None:
    frame = connect.read.schema("id long, k long").parquet(parquet).repartition(4, "k")
    logs: list[PipelineRunLog] = []

    def is_known() -> bool:
        """Whether the server's last report came in time."""
        with pipeline_run(connect, "sales", config=table.config()) as run:
            frame.collect()
        logs.append(run.snapshot())
        return logs[-1].task_count is not None

    until(is_known)
    for log in logs:
        assert log.rows_read == 1000
        assert log.shuffle_write_bytes == log.shuffle_read_bytes
        assert (log.shuffle_write_bytes or 0) > 0
        assert log.metrics_complete is (log.task_count is not None)
    assert logs[-1].task_count == 2 + 4
    assert (logs[-1].input_data_size_bytes or 0) > 0


def test_joins_and_reused_exchanges_count_each_row_that_is_read_once(
    connect: Any, table: RunTable, parquet: str
) -> None:
    numbers = connect.read.parquet(parquet)
    counts = numbers.groupBy("k").count()
    log = logged(connect, table, lambda: numbers.join(counts.union(counts), "k").count())
    assert log.rows_read == 2000
    assert only_stage(log).records_processed == 2000


def test_what_the_server_does_not_tell_is_none(connect: Any, table: RunTable, parquet: str) -> None:
    frame = connect.read.parquet(parquet).cache()
    for body in (frame.count, frame.count, lambda: frame.limit(2).show()):
        log = logged(connect, table, body)
        assert only_stage(log).status is RunStatus.SUCCESS
        assert (log.rows_read, log.input_data_size_bytes, log.total_records_processed) == (None, None, None)
        assert log.metrics_complete is False
    frame.unpersist()
    nothing = logged(connect, table, lambda: None)
    assert (nothing.stages, nothing.rows_read, nothing.task_count, nothing.metrics_complete) == ([], None, None, True)


def test_rows_of_local_data_are_not_read_from_anywhere(connect: Any, table: RunTable) -> None:
    log = logged(connect, table, lambda: connect.createDataFrame([(1, "a"), (2, "b")], "n int, s string").collect())
    assert (log.rows_read, log.rows_written, log.input_data_size_bytes) == (0, 0, 0)
    assert log.metrics_complete is True


def test_rows_written_are_counted_whatever_the_format(
    connect: Any, table: RunTable, parquet: str, tmp_path: Path
) -> None:
    frame = connect.read.parquet(parquet)

    def body() -> None:
        frame.where("id < 300").write.partitionBy("k").parquet(f"{tmp_path}/parts")
        frame.where("id < 40").write.mode("overwrite").csv(f"{tmp_path}/csv")
        frame.where("id < 0").write.format("noop").mode("overwrite").save()
        frame.groupBy("k").count().writeTo("counts").using("parquet").create()
        frame.where("id < 5").selectExpr("k", "id AS count").write.insertInto("counts")

    log = logged(connect, table, body)
    connect.sql("DROP TABLE counts")
    assert [stage.records_processed for stage in log.stages] == [300, 40, 0, 7, 5]
    names = [stage.stage_name.split(" at ")[0] for stage in log.stages]
    assert names == ["parquet", "csv", "save", "create", "insertInto"]
    assert (log.rows_written, log.rows_read, log.metrics_complete) == (352, None, False)
    assert log.output_tables == [f"{tmp_path}/parts", f"{tmp_path}/csv", "counts"]


def test_tables_of_dynamo_meta_are_counted_in_both_directions(
    connect: Any, table: RunTable, local_server: Server
) -> None:
    name = local_server.create()
    options = local_server.options

    def body() -> None:
        rows = connect.range(200).selectExpr("CAST(id AS STRING) AS id", "id AS n")
        rows.write.format("dynamo-meta").options(**options).mode("append").save(name)
        read = connect.read.format("dynamo-meta").options(**options).schema("id string, n bigint").load(name)
        assert len(read.where("n > 9").collect()) == 190

    log = logged(connect, table, body)
    assert (log.rows_written, log.rows_read, log.total_records_processed) == (200, 200, 400)
    assert [stage.records_processed for stage in log.stages] == [200, 200]
    assert (log.input_tables, log.output_tables) == ([name], [name])
    assert log.input_data_size_bytes is None  # Spark counts no bytes of Python sources
    assert len(local_server.items(name)) == 200


def test_how_many_rows_a_write_left_out_the_client_is_not_told(
    connect: Any, table: RunTable, local_server: Server
) -> None:
    name = local_server.create()
    rows = connect.range(20).selectExpr("CAST(id % 10 AS STRING) AS id").coalesce(1)
    write = rows.write.format("dynamo-meta").options(**local_server.options, duplicates="last").mode("append")
    log = logged(connect, table, lambda: write.save(name))
    assert len(local_server.items(name)) == 10
    assert (log.rows_written, log.metrics_complete) == (None, False)


def test_sql_runs_where_its_rows_are_asked_for(connect: Any, table: RunTable, parquet: str) -> None:
    connect.read.parquet(parquet).createOrReplaceTempView("numbers")

    def body() -> None:
        frame = connect.sql("SELECT * FROM numbers WHERE id < 10")
        connect.catalog.listTables()
        assert len(frame.collect()) == 10

    log = logged(connect, table, body)
    assert only_stage(log).stage_name.startswith("collect at ")
    assert log.rows_read == 500  # one of the two files: the statistics of the other one say that it has none of them

    log = logged(connect, table, lambda: connect.sql("CREATE TABLE few USING parquet AS SELECT 1 AS a"))
    assert only_stage(log).stage_name.startswith("sql at ")
    assert (log.rows_read, log.rows_written, log.metrics_complete) == (None, None, False)
    connect.sql("DROP TABLE few")

    nested = "SELECT count(*) FROM numbers WHERE id < (SELECT max(id) FROM numbers)"
    assert logged(connect, table, lambda: connect.sql(nested).collect()).metrics_complete is False


def test_an_error_that_is_caught_fails_its_stage_and_not_the_run(connect: Any, table: RunTable, tmp_path: Path) -> None:
    failing = connect.range(10).selectExpr("assert_true(id < 5) AS checked")

    def body() -> None:
        for action in (failing.collect, lambda: failing.write.parquet(f"{tmp_path}/out")):
            with pytest.raises(Exception, match="is not true"):
                action()
        with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
            connect.sql("SELECT * FROM nowhere")

    log = logged(connect, table, body)
    assert log.status is RunStatus.SUCCESS
    assert [stage.status for stage in log.stages] == [RunStatus.FAILED] * 3
    for stage in log.stages:
        assert "[" in (stage.error_message or "")
        assert "JVM stacktrace" not in (stage.error_message or "")
    assert (log.rows_read, log.rows_written, log.output_tables) == (None, 0, [])
    assert log.metrics_complete is False


def test_an_error_that_nobody_catches_fails_the_run(connect: Any, table: RunTable) -> None:
    with (
        pytest.raises(Exception, match="is not true"),
        pipeline_run(connect, "sales", config=table.config()) as run,
    ):
        connect.range(10).selectExpr("assert_true(id < 5)").collect()
    assert run.flush()
    log = table.log(run.run_id)
    assert (log.status, only_stage(log).status) == (RunStatus.FAILED, RunStatus.FAILED)
    assert log.error_message is not None
    assert log.error_message.startswith(
        "pyspark.errors.exceptions.connect.SparkRuntimeException: [USER_RAISED_EXCEPTION]"
    )
    assert "test_connect.py" in (log.error_stack_trace or "")


def test_an_interrupted_query_is_cancelled(connect: Any, table: RunTable) -> None:
    def sleep(batches: Any) -> Any:
        import time

        for batch in batches:
            time.sleep(30)
            yield batch

    interrupted: list[str] = []

    def interrupt() -> None:
        until(lambda: interrupted.extend(connect.interruptTag("slow")) or interrupted)

    connect.addTag("slow")
    helper = threading.Thread(target=interrupt)
    helper.start()
    with (
        pytest.raises(Exception, match="OPERATION_CANCELED"),
        pipeline_run(connect, "sales", config=table.config()) as run,
    ):
        connect.range(2).mapInArrow(sleep, "id long").collect()
    helper.join()
    connect.removeTag("slow")
    assert run.flush()
    log = table.log(run.run_id)
    assert (log.status, only_stage(log).status) == (RunStatus.CANCELLED, RunStatus.CANCELLED)
    assert (log.rows_read, log.metrics_complete) == (None, False)


def test_runs_in_parallel_threads_do_not_mix(connect: Any, table: RunTable, parquet: str) -> None:
    everything = RunSettings(pipeline_id="rest", config=table.config()).open()
    everything.attach(connect, is_default=True)
    together = threading.Barrier(3)

    def work(number: int) -> PipelineRunLog:
        frame = connect.read.parquet(parquet)
        together.wait()
        if not number:
            frame.collect()
            return everything.snapshot()
        with pipeline_run(connect, f"sales {number}", config=table.config()) as run:
            for _ in range(number):
                frame.collect()
        return run.snapshot()

    with ThreadPoolExecutor(3) as pool:
        _, one, two = pool.map(work, range(3))
    everything.end(failure_of(None))
    assert [len(log.stages) for log in (everything.snapshot(), one, two)] == [1, 1, 2]
    assert [log.rows_read for log in (everything.snapshot(), one, two)] == [1000, 1000, 2000]


def test_a_run_in_a_run_has_figures_of_its_own(connect: Any, table: RunTable, parquet: str) -> None:
    frame = connect.read.parquet(parquet)
    with pipeline_run(connect, "outer", config=table.config()) as outer:
        frame.collect()
        with pipeline_run(connect, "inner", config=table.config()) as inner:
            frame.collect()
        connect.clearTags()  # as somebody may do; the run is still that of this thread
        frame.collect()
    assert (outer.snapshot().rows_read, inner.snapshot().rows_read) == (2000, 1000)
    assert inner.snapshot().tags["parent_run_id"] == outer.run_id


def test_results_errors_and_laziness_stay_as_they_are(
    connect: Any, table: RunTable, parquet: str, tmp_path: Path
) -> None:
    frame = connect.read.parquet(parquet).repartition(1).sortWithinPartitions("id")
    rows, nodes = frame.collect(), frame.executionInfo
    with pipeline_run(connect, "sales", config=table.config()) as run:
        assert frame.collect() == rows
        assert len(frame.executionInfo.metrics._metrics) == len(nodes.metrics._metrics)
        frame.write.parquet(f"{tmp_path}/out")
        assert frame.executionInfo.flows == []
        lazily = frame.toLocalIterator()
        assert len(run.snapshot().stages) == 2
        assert next(lazily) == rows[0]
        assert run.snapshot().stages[-1].status is RunStatus.RUNNING
        lazily.close()
        stage = run.snapshot().stages[-1]
        assert (stage.status, stage.error_message) == (RunStatus.CANCELLED, "The rows were not fetched to their end")
        left = frame.toLocalIterator()
        next(left)
    assert [row.id for row in left] == list(range(1, 1000))  # and the run that has ended takes no notice of it
    assert connect.read.parquet(f"{tmp_path}/out").count() == 1000
    assert run.snapshot().rows_read == 1000


def test_a_client_of_another_kind_is_let_alone(
    connect: Any, table: RunTable, parquet: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = getattr(connect.client, METHOD)
    with monkeypatch.context() as patched, caplog.at_level(logging.DEBUG, "spark_dynamo.run_logs.connect"):
        patched.setitem(vars(connect.client), METHOD, lambda request, *rest, **named: original(request, *rest, **named))
        log = logged(connect, table, lambda: connect.read.parquet(parquet).collect())
    assert (log.status, log.stages, log.rows_read, log.metrics_complete) == (RunStatus.SUCCESS, [], None, False)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["This client of Spark Connect can't be watched"]


def test_a_client_that_others_have_wrapped_is_left_as_they_want_it(
    connect: Any, table: RunTable, parquet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def wrap() -> Callable[..., Any]:
        inner = getattr(connect.client, METHOD)

        def wrapped(req: Any, *rest: Any, **named: Any) -> Any:
            seen.append(req.operation_id)
            return inner(req, *rest, **named)

        return wrapped

    frame = connect.read.parquet(parquet)
    with monkeypatch.context() as patched:
        before = wrap()
        patched.setitem(vars(connect.client), METHOD, before)
        assert logged(connect, table, frame.collect).rows_read == 1000
        assert vars(connect.client)[METHOD] is before
        with pipeline_run(connect, "sales", config=table.config()) as run:
            patched.setitem(vars(connect.client), METHOD, wrap())
            connect.clearProgressHandlers()
            frame.collect()
        assert run.snapshot().rows_read == 1000
        assert frame.count() == 1000
    assert len(seen) == 1 + 2 + 2


def test_many_runs_leave_nothing_behind(connect: Any, table: RunTable, parquet: str) -> None:
    watch = ConnectWatch.of(connect)
    assert ConnectWatch.of(connect) is watch
    settings = RunSettings(pipeline_id="many", config=table.config())

    def one() -> Run:
        run = settings.open()
        run.attach(connect)
        run.end(failure_of(None))
        return run

    connect.read.parquet(parquet).count()
    assert flush_recorders(60)
    one()
    threads = threading.active_count()
    gone = [weakref.ref(one()) for _ in range(30)]
    assert flush_recorders(60)
    assert threading.active_count() <= threads
    assert not watch._runs
    gc.collect()
    assert not any(run() for run in gone)


def test_a_streaming_query_is_a_run_of_its_own(connect: Any, table: RunTable, parquet: str, tmp_path: Path) -> None:
    streams = StreamRuns(connect, RunSettings(pipeline_id="stream", config=table.config()), None)
    frame = connect.readStream.schema("id long, k long").parquet(parquet)
    query = (
        frame.writeStream.format("parquet")
        .option("path", f"{tmp_path}/out")
        .option("checkpointLocation", f"{tmp_path}/checkpoint")
        .trigger(availableNow=True)
        .queryName("numbers")
        .start()
    )
    query.awaitTermination()
    streams.stop()
    log = log_of(table, query)
    assert (log.status, log.rows_read, log.metrics_source) == (RunStatus.SUCCESS, 1000, "connect")
    assert log.tags == {"query_id": query.id, "query_run_id": query.runId, "query_name": "numbers"}


def test_a_session_is_as_it_was_when_it_is_watched_no_more(connect: Any, table: RunTable) -> None:
    rounds = []
    for _ in range(3):
        register_run_listener(connect, pipeline_id="rounds", config=table.config()).unregister()
        rounds.append((list(vars(connect)), list(vars(connect.client))))
    assert rounds[0] == rounds[1] == rounds[2]
    assert "stop" not in vars(connect)


def test_a_session_that_is_stopped_ends_its_streams(address: str, table: RunTable) -> None:
    from pyspark.sql.connect.session import SparkSession

    session = SparkSession.builder.remote(address).create()
    StreamRuns(session, RunSettings(pipeline_id="cut off", config=table.config()), None)
    query = session.readStream.format("rate").load().writeStream.format("noop").start()
    session.stop()
    log = log_of(table, query)
    assert (log.status, log.error_message) == (
        RunStatus.CANCELLED,
        "The Spark session was stopped while the query was active",
    )


def test_a_script_that_watches_streams_comes_to_its_end(
    address: str, table: RunTable, python: Callable[..., Any], pytestconfig: pytest.Config
) -> None:
    code = f"""
from pyspark.sql import SparkSession
from spark_dynamo.run_logs.settings import RunSettings
from spark_dynamo.run_logs.streaming import StreamRuns

spark = SparkSession.builder.remote("{address}").getOrCreate()
StreamRuns(spark, RunSettings(pipeline_id="script"))
query = spark.readStream.format("rate").load().writeStream.format("noop").trigger(availableNow=True).start()
query.awaitTermination()
print(query.runId)
"""
    finished = python(code, timeout=120, PYTHONPATH=str(pytestconfig.rootpath), **table.environment())
    assert finished.returncode == 0, finished.stderr[-3000:]
    log = log_of(table, SimpleNamespace(runId=finished.stdout.strip()))
    assert log.status is RunStatus.SUCCESS
    assert "UserWarning" not in finished.stderr  # as pyspark says where its listening is cut off


def test_operations_of_plain_threads_make_the_figures_incomplete(connect: Any, table: RunTable) -> None:
    def body() -> None:
        thread = threading.Thread(target=connect.range(5).count)
        thread.start()
        thread.join()

    log = logged(connect, table, body)
    assert (log.stages, log.metrics_complete) == ([], False)
    (said,) = (message["message"] for message in log.log_messages)
    assert "belongs to no run" in said
    assert "inheritable_thread_target(spark)" in said
