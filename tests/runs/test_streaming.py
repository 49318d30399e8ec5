"""Streaming queries as runs of their own: figures, ends, restarts, and what happens when Spark doesn't tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery
from pyspark.sql.streaming.listener import QueryProgressEvent, QueryStartedEvent, QueryTerminatedEvent

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.run_logs.events import Described, Figures, Logged, Measured, StageStarted
from spark_dynamo.run_logs.failures import failure_of
from spark_dynamo.run_logs.micro_batches import JobFigures, Progress
from spark_dynamo.run_logs.process import close_recorders
from spark_dynamo.run_logs.settings import RunSettings
from spark_dynamo.run_logs.streaming import StreamRuns
from tests.conftest import Server
from tests.runs.streams import log_of, run_of
from tests.runs.tables import RunTable, run_table, until

EIGHT = datetime(2026, 11, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def table(local_server: Server) -> Iterator[RunTable]:
    yield run_table(local_server)
    assert close_recorders()


@dataclass
class Streams:
    """A folder of parquet files that queries read, and runs of these queries."""

    spark: SparkSession
    table: RunTable
    folder: Path
    runs: StreamRuns

    def feed(self, rows: int) -> None:
        """Another file of so many rows."""
        self.spark.range(rows).coalesce(1).write.mode("append").parquet(f"{self.folder}/source")

    @property
    def frame(self) -> DataFrame:
        reader = self.spark.readStream.schema("id long").option("maxFilesPerTrigger", "1")
        return reader.parquet(f"{self.folder}/source")

    def start(self, frame: DataFrame, sink: str, name: str | None = None, **options: str) -> StreamingQuery:
        writer = frame.writeStream.format(sink).options(**options).trigger(availableNow=True)
        writer = writer.option("checkpointLocation", f"{self.folder}/checkpoint")
        return (writer.queryName(name) if name else writer).start()

    def log(self, query: StreamingQuery) -> PipelineRunLog:
        """The run log of a query that is about to end, when it has."""
        until(lambda: log_of(self.table, query).status is not RunStatus.RUNNING)
        return log_of(self.table, query)


@pytest.fixture
def streams(spark: SparkSession, table: RunTable, tmp_path: Path) -> Iterator[Streams]:
    runs = StreamRuns(spark, RunSettings(pipeline_id="stream", config=table.config()))
    yield Streams(spark, table, tmp_path, runs)
    for query in spark.streams.active:
        query.stop()
    runs.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("spark-dynamo-stream")]


@pytest.mark.slow
def test_a_query_is_a_run_with_the_rows_of_its_sources_and_its_sink(streams: Streams) -> None:
    for rows in (100, 20, 3):
        streams.feed(rows)
    query = streams.start(streams.frame, "memory", "numbers")
    query.awaitTermination()
    log = streams.log(query)
    assert (log.status, log.error_message, log.pipeline_id) == (RunStatus.SUCCESS, None, "stream")
    assert (log.rows_read, log.rows_written, log.total_records_processed) == (123, 123, 123)
    assert log.tags == {"query_id": query.id, "query_run_id": query.runId, "query_name": "numbers"}
    assert (log.metrics_complete, log.spark_version) == (True, "4.3.0")
    assert log.spark_application_id == streams.spark.sparkContext.applicationId
    (stage,) = log.stages
    assert stage.stage_name.startswith("FileStreamSource[file:")
    assert (stage.status, stage.records_processed) == (RunStatus.SUCCESS, 123)
    first, last = (message["message"] for message in log.log_messages)
    assert first.startswith("Batch 0: ")
    assert last.startswith("Batch 2: ")
    assert 'to {"logOffset":2}' in last


@pytest.mark.slow
def test_a_table_of_dynamo_meta_is_written_and_read_as_a_stream(
    streams: Streams, local_server: Server, tmp_path: Path
) -> None:
    streams.feed(30)
    name = local_server.create()
    frame = streams.frame.selectExpr("CAST(id AS STRING) AS id", "id AS n")
    query = streams.start(frame, "dynamo-meta", table=name, **local_server.options)
    query.awaitTermination()
    log = streams.log(query)
    assert (log.status, log.rows_read, log.rows_written) == (RunStatus.SUCCESS, 30, 30)
    assert "query_name" not in log.tags
    assert len(local_server.items(name)) == 30

    streams.feed(30)
    frame = streams.frame.selectExpr("if(id % 5 = 0, '', 'b' || id) AS id")
    query = streams.start(frame, "dynamo-meta", table=name, badItems=str(tmp_path / "bad"), **local_server.options)
    query.awaitTermination()
    log = streams.log(query)
    assert (log.rows_read, log.rows_written, log.total_records_failed) == (30, 24, 6), "those that were written"


@pytest.mark.slow
def test_rows_that_the_sink_does_not_tell_are_those_that_the_jobs_wrote(streams: Streams, tmp_path: Path) -> None:
    for rows in (100, 23):
        streams.feed(rows)
    into_files = streams.start(streams.frame, "parquet", path=f"{tmp_path}/files")
    into_files.awaitTermination()

    def write_twice(frame: DataFrame, batch: int) -> None:
        for copy in "ab":
            frame.write.mode("append").parquet(f"{tmp_path}/{copy}")

    in_batches = streams.frame.writeStream.foreachBatch(write_twice).trigger(availableNow=True).start()
    in_batches.awaitTermination()
    for query, rows in ((into_files, 123), (in_batches, 246)):  # what is used twice is read twice
        log = streams.log(query)
        assert (log.rows_read, log.rows_written, log.metrics_source) == (rows, rows, "listener")
        assert len(log.stages) == 1
        assert (log.task_count or 0) >= 2
        assert (log.output_data_size_bytes or 0) > 0
        assert (log.metrics_complete, log.failed_task_count) == (True, 0)
        assert log.cpu_hours


@pytest.mark.slow
def test_a_restart_is_another_run_of_the_same_query(streams: Streams) -> None:
    streams.feed(5)
    first = streams.start(streams.frame, "noop")
    first.awaitTermination()
    streams.feed(7)
    second = streams.start(streams.frame, "noop")
    second.awaitTermination()
    logs = [streams.log(query) for query in (first, second)]
    assert [log.rows_read for log in logs] == [5, 7]
    assert logs[0].tags["query_id"] == logs[1].tags["query_id"]
    assert logs[0].run_id != logs[1].run_id


@pytest.mark.slow
def test_queries_in_parallel_do_not_mix_and_a_stopped_one_has_succeeded(streams: Streams) -> None:
    rate = streams.spark.readStream.format("rate-micro-batch")
    queries = [
        rate.option("rowsPerBatch", rows).load().writeStream.format("noop").queryName(f"rate{rows}").start()
        for rows in (10, 1000)
    ]
    for query in queries:
        until(lambda query=query: query.lastProgress and query.lastProgress["batchId"] >= 2)  # type: ignore[misc]
        query.stop()
    for query, rows in zip(queries, (10, 1000), strict=True):
        log = streams.log(query)
        assert log.status is RunStatus.SUCCESS
        told = sum(one["numInputRows"] for one in query.recentProgress)
        assert log.rows_read == log.rows_written == told
        assert told >= 2 * rows


def test_a_failing_query_is_a_failed_run_with_its_exception(streams: Streams) -> None:
    streams.feed(10)
    query = streams.start(streams.frame.selectExpr("assert_true(id < 5) AS checked"), "noop", "failing")
    with pytest.raises(StreamingQueryException):
        query.awaitTermination()
    log = streams.log(query)
    assert (log.status, log.rows_read) == (RunStatus.FAILED, None)
    assert log.error_message == (
        "org.apache.spark.SparkRuntimeException: [USER_RAISED_EXCEPTION] '(id < 5)' is not true! SQLSTATE: P0001"
    )
    assert "\tat org.apache.spark" in (log.error_stack_trace or "")


def test_an_error_of_python_in_a_batch_is_told(streams: Streams) -> None:
    streams.feed(10)

    def fail(frame: DataFrame, batch: int) -> None:
        raise LookupError("no such customer")

    query = streams.frame.writeStream.foreachBatch(fail).trigger(availableNow=True).start()
    with pytest.raises(StreamingQueryException):
        query.awaitTermination()
    log = streams.log(query)
    assert log.status is RunStatus.FAILED
    assert "LookupError: no such customer" in (log.error_message or "")


def test_a_query_whose_jobs_are_cancelled_is_cancelled(streams: Streams) -> None:
    rate = streams.spark.readStream.format("rate-micro-batch").option("rowsPerBatch", "2").load()
    slow = rate.selectExpr("reflect('java.lang.Thread', 'sleep', 20000L * value)")
    query = slow.writeStream.format("noop").queryName("slow").start()
    context = streams.spark.sparkContext
    until(lambda: context.statusTracker().getActiveJobsIds())
    context.cancelAllJobs()
    with pytest.raises(StreamingQueryException):
        query.awaitTermination()
    log = streams.log(query)
    assert log.status is RunStatus.CANCELLED
    assert "[SPARK_JOB_CANCELLED]" in (log.error_message or "")


def test_queries_are_runs_within_another_one_until_they_are_watched_no_more(
    spark: SparkSession, table: RunTable, tmp_path: Path
) -> None:
    settings = RunSettings(pipeline_id="app", config=table.config(), run_id=f"app {tmp_path.name}", tags={"team": "a"})
    outer = settings.open()
    active = spark.readStream.format("rate").load().writeStream.format("noop").start()
    runs = StreamRuns(spark, settings, outer)  # one that is active already
    until(lambda: any(run_of(item) == active.runId for item in table.server.items(table.name)))
    runs.stop()
    runs.stop()
    outer.end(failure_of(None))
    assert active.isActive
    active.stop()
    log = log_of(table, active)
    assert (log.status, log.tags["parent_run_id"], log.tags["team"]) == (RunStatus.CANCELLED, outer.run_id, "a")
    assert log.error_message == "The query is active still, but watched no more"
    assert RunStatus.RUNNING not in {stage.status for stage in log.stages}  # a batch may have begun meanwhile


def started(query_id: str, run_id: str) -> QueryStartedEvent:
    return QueryStartedEvent.fromJson({"id": query_id, "runId": run_id, "name": None, "timestamp": ""})


@pytest.mark.slow
def test_dropped_and_late_events_leave_no_run_open(spark: SparkSession, table: RunTable) -> None:
    def ids(number: int) -> str:
        return f"00000000-0000-0000-0000-{number:012}"

    runs = StreamRuns(spark, RunSettings(pipeline_id="dropped", config=table.config()))
    listener = runs._listener
    ended = {"exception": None, "errorClassOnException": None}
    # its end comes before its start, as it may on Connect
    listener.onQueryTerminated(QueryTerminatedEvent.fromJson({"id": ids(1), "runId": ids(11), **ended}))
    listener.onQueryStarted(started(ids(1), ids(11)))
    # the end of the first run was dropped, and the second one goes on
    listener.onQueryStarted(started(ids(2), ids(21)))
    listener.onQueryStarted(started(ids(2), ids(22)))
    assert listener._runs._queries.keys() == {ids(21), ids(22)}
    listener.onQueryTerminated(QueryTerminatedEvent.fromJson({"id": ids(2), "runId": ids(22), **ended}))
    # a query of which Spark knows nothing any more
    listener.onQueryStarted(started(ids(3), ids(31)))
    listener.onQueryProgress(QueryProgressEvent(None))  # type: ignore[arg-type]
    runs.stop()
    listener.onQueryStarted(started(ids(4), ids(41)))
    logs = {run: log_of(table, SimpleNamespace(runId=ids(run))) for run in (11, 21, 22, 31)}
    statuses = {run: log.status for run, log in logs.items()}
    assert statuses == {11: RunStatus.SUCCESS, 21: RunStatus.LOST, 22: RunStatus.SUCCESS, 31: RunStatus.LOST}
    assert logs[21].error_message == "The query is over, and Spark did not tell how it ended"
    assert all(run_of(item) != ids(41) for item in table.server.items(table.name))


def batch(number: int, rows: int, written: int = -1, late: int = 0, **more: Any) -> SimpleNamespace:
    source = SimpleNamespace(description="Kafka[orders]", numInputRows=rows, endOffset=f"{number}00", metrics={})
    return SimpleNamespace(
        batchId=number,
        timestamp=f"t{number}",
        numInputRows=rows,
        inputRowsPerSecond=float("inf"),
        processedRowsPerSecond=20.0,
        batchDuration=500,
        sources=[source],
        sink=SimpleNamespace(numOutputRows=written),
        stateOperators=[SimpleNamespace(numRowsDroppedByWatermark=late)],
        **more,
    )


def test_progress_adds_up_and_tells_its_batches_the_less_often_the_longer_it_runs() -> None:
    progress = Progress(EIGHT)
    first = list(progress.take(batch(0, 10, 4), EIGHT))
    assert first == [
        StageStarted(("source", 0), "Kafka[orders]", EIGHT),
        Measured(("source", 0), Figures(records_processed=10, rows_read=10), EIGHT),
        Measured("sink", Figures(rows_written=4), EIGHT),
        Logged("Batch 0: 10 rows in, 4 out in 0.500 s (20.0 rows/s processed); Kafka[orders] to 000", EIGHT),
    ]
    assert list(progress.take(batch(0, 10, 4), EIGHT)) == []  # told twice
    messages = 0
    at = EIGHT
    for number in range(1, 20_000):
        at += timedelta(seconds=30)
        events = list(progress.take(batch(number, 1, 1), at))
        messages += any(isinstance(event, Logged) for event in events)
    assert 100 < messages < 200
    assert Measured(("source", 0), Figures(records_processed=20_009, rows_read=20_009), at) in events
    assert Measured("sink", Figures(rows_written=20_003), at) in events
    *_, last, _, complete = progress.end(RunStatus.SUCCESS, at)
    assert isinstance(last, Logged)
    assert last.message.startswith("Batch 19,999: ")
    assert complete == Described(at, metrics_complete=True)


def test_a_gap_in_the_batches_and_late_rows_are_told() -> None:
    progress = Progress(EIGHT)
    assert progress.sink_counts is None
    list(progress.take(batch(7, 10), EIGHT))
    assert progress.sink_counts is False
    list(progress.take(batch(9, 10, late=3), EIGHT + timedelta(seconds=1)))
    message, _, complete = progress.end(RunStatus.FAILED, EIGHT)
    assert isinstance(message, Logged)
    assert message.level == "warning"
    assert message.message.endswith("; 3 rows came too late and were dropped")
    assert complete == Described(EIGHT, metrics_complete=False)


def test_figures_of_jobs_add_up_without_the_rows_that_the_progress_tells() -> None:
    figures = JobFigures()
    for number in range(3_000):
        for tasks in (1, 2):
            jobs = Figures(
                rows_read=5, rows_written=2, task_count=tasks, cpu_seconds=Decimal("0.5"), peak_memory_bytes=number
            )
            figures.put(number, jobs)
    known = Figures(task_count=6_000, cpu_seconds=Decimal("1500.0"), peak_memory_bytes=2_999)
    assert figures.total(sink_counts=True) == figures.total(sink_counts=None) == known
    assert figures.total(sink_counts=False).rows_written == 6_000
    assert len(figures._newest) == 1_000
