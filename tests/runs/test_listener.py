"""What the listener of a classic session tells of each run, compared with the data."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest
from pyspark import inheritable_thread_target
from pyspark.sql import DataFrame, SparkSession

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.reports.status import trouble
from spark_dynamo.run_logs.classic.watch import ClassicWatch
from spark_dynamo.run_logs.context import pipeline_run
from spark_dynamo.run_logs.process import close_recorders
from spark_dynamo.run_logs.run import Run
from spark_dynamo.schema.fingerprint import fingerprint
from tests.conftest import Server
from tests.runs.tables import RunTable, run_table

DERBY = {"driver": "org.apache.derby.jdbc.EmbeddedDriver", "user": "sa", "password": "s3cret"}


@pytest.fixture(scope="module")
def table(local_server: Server) -> Iterator[RunTable]:
    yield run_table(local_server)
    assert close_recorders()


@contextmanager
def logged(spark: SparkSession, table: RunTable, **given: str) -> Iterator[list[PipelineRunLog]]:
    """A run around the block; the list gets its log when it has ended."""
    logs: list[PipelineRunLog] = []
    run = pipeline_run(spark, "sales", config=table.config(), **given)
    with run as opened:
        yield logs
    logs.append(opened.snapshot())


def rows(log: PipelineRunLog) -> tuple[int | None, int | None]:
    return log.rows_read, log.rows_written


def size(folder: Path, pattern: str = "part-*") -> int:
    return sum(file.stat().st_size for file in folder.glob(pattern))


@pytest.fixture(scope="module")
def numbers(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 1,000 rows in 4 parquet files."""
    folder = tmp_path_factory.mktemp("data") / "numbers"
    spark.range(1_000).repartition(4).write.parquet(str(folder))
    return folder


@pytest.mark.slow
def test_files(spark: SparkSession, table: RunTable, numbers: Path, tmp_path: Path) -> None:
    with logged(spark, table) as logs:
        frame = spark.read.schema("id long").parquet(str(numbers))
        spark.sparkContext.setJobDescription("thin out")
        frame.where("id % 10 = 0").coalesce(1).write.csv(str(tmp_path / "out"))
        spark.sparkContext.setJobDescription(None)
        back = spark.read.schema("id long").csv(str(tmp_path / "out"))
        assert back.count() == 100
    (log,) = logs
    written = size(tmp_path / "out")
    assert rows(log) == (1_100, 100)
    assert log.output_data_size_bytes == written
    assert written < (log.input_data_size_bytes or 0) < size(numbers) + 2 * written  # of parquet, what was asked for
    assert log.total_records_processed == 200
    assert [(stage.stage_name, stage.records_processed, stage.status) for stage in log.stages] == [
        ("thin out", 100, RunStatus.SUCCESS),
        ("count", 100, RunStatus.SUCCESS),
    ]
    assert all(stage.duration_seconds is not None for stage in log.stages)
    assert log.input_tables == [f"file:{numbers}", f"file:{tmp_path}/out"]
    assert log.output_tables == [f"file:{tmp_path}/out"]
    assert log.schema_fingerprints[f"file:{numbers}"] == fingerprint(frame)
    assert (log.metrics_source, log.metrics_complete) == ("listener", True)
    assert (log.failed_task_count, log.spill_bytes) == (0, 0)
    assert log.task_count == 3
    assert (log.cpu_hours or 0) > 0


@pytest.mark.slow
def test_bytes_of_text_are_those_of_the_file(spark: SparkSession, table: RunTable, tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"line {number}\n" for number in range(5_000)))
    with logged(spark, table) as logs:
        assert spark.read.text(str(lines)).where("value like '%7'").count() == 500
        assert spark.sparkContext.textFile(str(lines), 1).count() == 5_000
    (log,) = logs
    assert (log.rows_read, log.input_data_size_bytes) == (10_000, 2 * lines.stat().st_size)
    assert [stage.stage_name.partition(" at ")[0] for stage in log.stages] == ["count", "count"]
    assert log.stages[1].stage_name.startswith("count at test_listener.py:")


@pytest.mark.slow
def test_tables_of_a_database(spark: SparkSession, table: RunTable) -> None:
    with logged(spark, table) as logs:
        address = "jdbc:derby:memory:listener;create=true"
        spark.range(70).write.jdbc(address, "orders", "append", DERBY)
        assert spark.read.jdbc(address, "orders", properties=DERBY).where("id < 50").count() == 50
        query = '(SELECT "id" FROM orders WHERE "id" < 7) AS few'
        assert len(spark.read.jdbc(address, query, properties=DERBY).collect()) == 7
    (log,) = logs
    assert log.rows_written == 70
    assert log.rows_read in (57, 8)  # the database may count for Spark
    assert (log.input_data_size_bytes, log.output_data_size_bytes) == (None, None)
    assert (log.input_tables, log.output_tables) == (["orders"], ["orders"])
    assert log.stages[0].stage_name == "jdbc to orders"
    assert "s3cret" not in log.model_dump_json()
    assert "derby" not in log.model_dump_json()


@pytest.mark.slow
def test_dynamodb_tables_both_ways(spark: SparkSession, table: RunTable, local_server: Server) -> None:
    name = local_server.create("id:N")
    with logged(spark, table) as logs:
        frame = spark.range(120).repartition(3)
        frame.write.format("dynamo-meta").mode("append").options(**local_server.options).save(name)
        back = spark.read.format("dynamo-meta").options(**local_server.options).load(name)
        assert back.count() == 120
    (log,) = logs
    assert len(local_server.items(name)) == 120
    assert rows(log) == (120, 120)
    assert (log.input_data_size_bytes, log.output_data_size_bytes) == (None, None)
    assert (log.input_tables, log.output_tables) == ([name], [name])
    assert log.stages[0].stage_name == f"save to {name}"
    assert local_server.endpoint not in log.model_dump_json()


@pytest.mark.slow
def test_bytes_that_are_known_in_part_are_not_known(
    spark: SparkSession, table: RunTable, numbers: Path, local_server: Server
) -> None:
    name = local_server.create("id:N")
    local_server.put(name, *({"id": {"N": str(number)}} for number in range(10)))
    dynamo = spark.read.format("dynamo-meta").options(**local_server.options).schema("id long").load(name)
    parquet = spark.read.schema("id long").parquet(str(numbers))
    with logged(spark, table) as one_after_the_other:
        assert (dynamo.count(), parquet.where("id > 1").count()) == (10, 998)
    with logged(spark, table) as joined:
        assert parquet.join(dynamo, "id").count() == 10
    for (log,) in (one_after_the_other, joined):
        assert (log.rows_read, log.input_data_size_bytes) == (1_010, None)


def test_scans_that_wait_for_a_subquery_are_counted(spark: SparkSession, table: RunTable, tmp_path: Path) -> None:
    """A filter by a subquery makes it a child of the scan's node; so does the pruning of partitions by a join."""
    for name, count in (("a", 1_000), ("b", 300)):
        spark.range(count).write.parquet(str(tmp_path / name))
        spark.read.parquet(str(tmp_path / name)).createOrReplaceTempView(f"subquery_{name}")
    fact = spark.range(100).selectExpr("id", "id % 10 AS g")
    fact.write.partitionBy("g").parquet(str(tmp_path / "fact"))
    spark.read.parquet(str(tmp_path / "fact")).createOrReplaceTempView("subquery_fact")
    spark.range(10).coalesce(1).selectExpr("id AS g", "concat('n', id) AS name").write.parquet(str(tmp_path / "dim"))
    spark.read.parquet(str(tmp_path / "dim")).createOrReplaceTempView("subquery_dim")
    with logged(spark, table) as above_average:
        query = "SELECT count(*) FROM subquery_a WHERE id > (SELECT avg(id) FROM subquery_b)"
        assert spark.sql(query).collect()[0][0] == 850
    with logged(spark, table) as star:
        query = "SELECT f.id, d.name FROM subquery_fact f JOIN subquery_dim d ON f.g = d.g WHERE d.name = 'n3'"
        assert spark.sql(query).count() == 10
    assert above_average[0].rows_read == 1_300
    assert star[0].rows_read == 20  # the dimension, once for the pruning and the join, and one partition
    for name in "a", "b", "fact", "dim":
        spark.catalog.dropTempView(f"subquery_{name}")


@pytest.mark.slow
def test_cached_rows_are_read_once(spark: SparkSession, table: RunTable, numbers: Path) -> None:
    frame = spark.read.schema("id long").parquet(str(numbers)).where("id >= 0").cache()
    try:
        with logged(spark, table) as first:
            assert frame.count() == 1_000
        with logged(spark, table) as second:
            assert frame.count() == 1_000
            assert frame.union(spark.read.text(str(numbers / "_SUCCESS")).selectExpr("1L AS id")).count() == 1_000
    finally:
        frame.unpersist()
    assert first[0].rows_read == 1_000
    assert (second[0].rows_read, second[0].input_data_size_bytes) == (0, 0)


@pytest.mark.slow
def test_adaptive_plans_skipped_stages_and_shuffles(spark: SparkSession, table: RunTable, numbers: Path) -> None:
    def pairs() -> DataFrame:
        return spark.read.schema("id long").parquet(str(numbers))

    with logged(spark, table) as logs:
        grouped = pairs().selectExpr("id % 7 AS rest").groupBy("rest").count()
        assert len(grouped.join(grouped.withColumnRenamed("count", "again"), "rest").orderBy("rest").collect()) == 7
        shuffled = (
            spark.sparkContext.parallelize(range(100), 2).map(lambda value: (value % 3, 1)).reduceByKey(int.__add__)
        )
        assert shuffled.count() == shuffled.count() == 3  # the second time, a stage is skipped
    (log,) = logs
    # the two sides of the join are one exchange
    assert log.rows_read == 1_000
    assert (log.shuffle_read_bytes or 0) > 0
    assert (log.shuffle_write_bytes or 0) > 0
    assert (log.peak_memory_bytes or 0) > 0
    first, second, third = log.stages
    assert first.stage_name.startswith("collect at test_listener.py:")
    assert (second.records_processed, third.records_processed) == (0, 0)
    assert log.rows_written == 0


def test_an_error_that_the_code_catches_is_a_failed_stage(
    spark: SparkSession, table: RunTable, numbers: Path, tmp_path: Path
) -> None:
    with logged(spark, table) as logs:
        frame = spark.read.schema("id long").parquet(str(numbers))
        with pytest.raises(Exception, match="too large"):
            frame.selectExpr("if(id = 999, raise_error('too large'), id) AS id").write.parquet(str(tmp_path / "out"))
        with pytest.raises(Exception, match="ZeroDivisionError"):
            spark.sparkContext.parallelize([1, 0], 2).map(lambda value: 1 / value).collect()
    (log,) = logs
    assert log.status is RunStatus.SUCCESS
    assert [stage.status for stage in log.stages] == [RunStatus.FAILED, RunStatus.FAILED]
    assert "too large" in (log.stages[0].error_message or "")
    assert "ZeroDivisionError" in (log.stages[1].error_message or "")
    assert log.rows_written == 0  # nothing was committed
    assert (log.failed_task_count or 0) >= 2


def test_what_a_python_function_raised_comes_first(spark: SparkSession, table: RunTable) -> None:
    def fails(batches: Any) -> Any:
        try:
            raise KeyError("price")
        except KeyError as error:
            raise ValueError("no price for item 7") from error
        yield

    with (
        pytest.raises(Exception, match="no price"),
        pipeline_run(spark, "sales", config=table.config()) as run,
    ):
        spark.range(1).mapInArrow(fails, "id long").collect()
    log = run.snapshot()
    assert (log.error_message or "").startswith(
        "pyspark.errors.exceptions.captured.PythonException: ValueError: no price for item 7\n\n"
    )
    assert ", in fails\n" in (log.error_message or "")  # all that Spark says stands behind it
    assert [(stage.error_message or "").partition("\n")[0] for stage in log.stages] == [
        "ValueError: no price for item 7"
    ]
    assert trouble(log) == "PythonException: ValueError: no price for item 7"


def test_nested_and_parallel_runs_have_figures_of_their_own(
    spark: SparkSession, table: RunTable, numbers: Path
) -> None:
    frame = spark.read.schema("id long").parquet(str(numbers))
    barrier = threading.Barrier(2)

    def job(count: int) -> PipelineRunLog:
        with pipeline_run(spark, f"thread {count}", config=table.config()) as run:
            barrier.wait(20)
            for _ in range(count):
                assert frame.where("id < 100").count() == 100
            barrier.wait(20)
        return run.snapshot()

    with pipeline_run(spark, "outer", config=table.config()) as outer:
        frame.count()
        with pipeline_run(spark, "inner", config=table.config()) as inner:
            frame.where("id >= 500").count()
            frame.where("id >= 500").count()
        frame.count()
        with ThreadPoolExecutor(2) as pool:
            threads = list(pool.map(job, (1, 3)))
    assert inner.snapshot().rows_read == 2_000
    assert len(inner.snapshot().stages) == 2
    assert (outer.snapshot().rows_read, len(outer.snapshot().stages)) == (2_000, 2)
    assert [(log.rows_read, len(log.stages)) for log in threads] == [(1_000, 1), (3_000, 3)]


def test_threads_of_a_run_carry_its_tags_where_spark_is_told_so(
    spark: SparkSession, table: RunTable, numbers: Path
) -> None:
    frame = spark.read.schema("id long").parquet(str(numbers)).where("id >= 0")
    with logged(spark, table, run_id="with, a comma") as logs, ThreadPoolExecutor(2) as pool:
        counts = [pool.submit(inheritable_thread_target(spark)(frame.count)) for _ in range(2)]
        assert [count.result() for count in counts] == [1_000, 1_000]
    assert (rows(logs[0]), logs[0].metrics_complete) == ((2_000, 0), True)


def test_work_that_can_not_be_told_apart_is_said_to_be_so(spark: SparkSession, table: RunTable, numbers: Path) -> None:
    frame = spark.read.schema("id long").parquet(str(numbers)).where("id >= 0")

    async def job(name: str) -> PipelineRunLog:
        with pipeline_run(spark, name, config=table.config()) as run:
            await asyncio.sleep(0)
            frame.count()
        return run.snapshot()

    async def both() -> list[PipelineRunLog]:
        return list(await asyncio.gather(job("first"), job("second")))

    first, second = asyncio.run(both())
    assert (first.metrics_complete, second.metrics_complete) == (False, False)
    assert f"run {second.run_id} was open in the same thread" in first.log_messages[-1]["message"]
    with logged(spark, table) as logs:
        spark.clearTags()
        spark.sparkContext.clearJobTags()
        frame.count()
    assert logs[0].metrics_complete is False
    assert any("cleared the tags" in message["message"] for message in logs[0].log_messages)


def test_figures_are_there_while_a_run_goes_on(spark: SparkSession, table: RunTable, numbers: Path) -> None:
    with pipeline_run(spark, "sales", config=table.config()) as run:
        spark.read.schema("id long").parquet(str(numbers)).count()
        seen = threading.Event()
        for _ in range(200):
            if run.snapshot().rows_read == 1_000:
                seen.set()
                break
            seen.wait(0.05)
        assert seen.is_set()
        assert run.snapshot().metrics_complete is None  # who knows what is yet to come


def test_a_cancelled_job_is_a_cancellation(spark: SparkSession, table: RunTable) -> None:
    started = threading.Event()

    def cancel(run: Run) -> None:
        while not run.snapshot().stages:
            started.wait(0.05)
        spark.sparkContext.cancelJobsWithTag(run.job_tag)

    with (
        pytest.raises(Exception, match="CANCEL"),
        pipeline_run(spark, "sales", config=table.config()) as run,
    ):
        canceller = threading.Thread(target=cancel, args=(run,))
        canceller.start()
        try:
            spark.sparkContext.parallelize(range(2), 2).map(_wait_long).collect()
        finally:
            canceller.join()
    log = run.snapshot()
    assert log.status is RunStatus.CANCELLED
    assert log.stages[0].status is RunStatus.CANCELLED


def _wait_long(value: int) -> int:
    threading.Event().wait(30)
    return value


@pytest.mark.slow
def test_many_runs_leave_neither_threads_nor_memory(spark: SparkSession, table: RunTable) -> None:
    def jvm_threads() -> int:
        return int(spark._jvm.Thread.activeCount())  # type: ignore[union-attr]

    def repeat(times: int) -> None:
        for _ in range(times):
            with pipeline_run(spark, "sales", config=table.config()) as run:
                pass
        assert run.flush(60)

    repeat(30)
    before = threading.active_count(), jvm_threads()
    gc.collect()
    objects = len(gc.get_objects())
    repeat(100)
    gc.collect()
    assert len(gc.get_objects()) - objects < 1_000
    assert threading.active_count() <= before[0]
    assert jvm_threads() <= before[1] + 1
    watch = ClassicWatch.of(spark)
    assert watch is not None
    assert not watch._watched
    assert not watch._work


def test_rows_written_are_those_that_were_written(
    spark: SparkSession, table: RunTable, local_server: Server, tmp_path: Path
) -> None:
    """Not those that the write was given, which are all that Spark counts."""
    name = local_server.create("id:S")
    local_server.put(name, *({"id": {"S": str(number)}, "n": {"N": str(number - 100)}} for number in range(5)))
    frame = spark.range(10).selectExpr("string(id) AS id", "id AS n")

    def write(rows: DataFrame, **options: str) -> PipelineRunLog:
        with logged(spark, table) as logs:
            rows.write.format("dynamo-meta").mode("append").options(**local_server.options, **options).save(name)
        return logs[0]

    def counts(log: PipelineRunLog) -> tuple[int | None, int | None, bool | None]:
        return log.rows_written, log.total_records_failed, log.metrics_complete

    inserted = write(frame, operation="insert", conditionFailed="skip")
    assert counts(inserted) == (5, 5, True)
    assert "5 items" in inserted.log_messages[-1]["message"]
    assert "rows not written: 5 whose condition failed" in inserted.log_messages[-1]["message"]
    updated = write(frame.selectExpr("id", "n + 1 AS n"), operation="update", condition="n < 4", conditionFailed="skip")
    assert counts(updated) == (5, 5, True)
    odd = spark.range(20).selectExpr("if(id % 5 = 0, '', string(id)) AS id")
    assert counts(write(odd, badItems=str(tmp_path / "bad"))) == (16, 4, True)
    doubled = frame.unionAll(frame.selectExpr("id", "-n")).coalesce(1)
    assert counts(write(doubled, duplicates="last"))[0] == 10
    assert counts(write(frame))[0] == 10
    assert not list(Path(gettempdir()).glob(f"spark-dynamo-receipts-{spark.sparkContext.applicationId}"))


def test_work_of_plain_threads_makes_the_figures_incomplete(
    spark: SparkSession, table: RunTable, numbers: Path
) -> None:
    frame = spark.read.schema("id long").parquet(str(numbers))
    tagged = inheritable_thread_target(spark)(lambda _: frame.count())  # one for all: its second use has no tags
    other = spark.newSession()
    with logged(spark, table) as plain, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: frame.count(), range(4))) == [1_000] * 4
    with logged(spark, table) as rdd, ThreadPoolExecutor(2) as pool:
        assert pool.submit(lambda: spark.sparkContext.parallelize(range(7)).count()).result() == 7
    with logged(spark, table) as one_for_all, ThreadPoolExecutor(1) as pool:
        assert list(pool.map(tagged, range(3))) == [1_000] * 3
    with logged(spark, table) as elsewhere, ThreadPoolExecutor(1) as pool:
        assert pool.submit(other.range(5).count).result() == 5
        assert frame.count() == 1_000
    assert (plain[0].rows_read, plain[0].metrics_complete) == (None, False)
    assert rdd[0].metrics_complete is False
    assert (one_for_all[0].rows_read, one_for_all[0].metrics_complete) == (None, False)
    assert (elsewhere[0].rows_read, elsewhere[0].metrics_complete) == (1_000, True)
    for log in (plain[0], rdd[0], one_for_all[0]):
        (said,) = (message for message in log.log_messages if message["level"] == "warning")
        assert "'count" in said["message"]
        assert "belongs to no run" in said["message"]
        assert "inheritable_thread_target(spark)" in said["message"]


def test_what_no_receipt_tells_is_not_known(spark: SparkSession, table: RunTable, local_server: Server) -> None:
    name = local_server.create("id:S")
    with logged(spark, table) as logs:
        shutil.rmtree(Path(gettempdir()) / f"spark-dynamo-receipts-{spark.sparkContext.applicationId}")
        frame = spark.range(10).selectExpr("string(id) AS id")
        frame.write.format("dynamo-meta").mode("append").options(**local_server.options).save(name)
    assert logs[0].rows_written is None


def test_rows_that_are_looked_at_twice_are_read_once(
    spark: SparkSession, table: RunTable, numbers: Path, tmp_path: Path
) -> None:
    """A sort by ranges looks at all rows to find them, and so do readers that infer a schema."""
    frame = spark.read.schema("id long").parquet(str(numbers))
    with logged(spark, table) as sorted_:
        frame.orderBy("id").write.parquet(str(tmp_path / "sorted"))
        frame.repartitionByRange(3, "id").write.parquet(str(tmp_path / "ranges"))
    assert rows(sorted_[0]) == (2_000, 2_000)
    assert sorted_[0].input_data_size_bytes is not None
    with logged(spark, table) as twice:
        assert frame.unionAll(frame).count() == 2_000
    assert twice[0].rows_read == 2_000, "two scans of one table are two"
    with logged(spark, table) as taken:
        assert len(frame.take(900)) == 900
    assert 900 <= (taken[0].rows_read or 0) <= 1_000
    frame.write.option("header", "true").csv(str(tmp_path / "csv"))
    frame.write.json(str(tmp_path / "json"))
    with logged(spark, table) as inferred:
        assert spark.read.csv(str(tmp_path / "csv"), header=True, inferSchema=True).count() == 1_000
        assert spark.read.json(str(tmp_path / "json")).count() == 1_000
        assert spark.sql(f"SELECT * FROM json.`{tmp_path}/json`").count() == 1_000
    log = inferred[0]
    assert (log.rows_read, log.metrics_complete) == (3_000, True)
    assert [stage.stage_name.split(" at ")[0] for stage in log.stages] == ["count", "count (2)", "count (3)"]
    assert log.input_tables == [f"file:{tmp_path}/csv", f"file:{tmp_path}/json"]


def test_a_write_that_leaves_a_table_be_has_written_none(spark: SparkSession, table: RunTable, tmp_path: Path) -> None:
    frame, there, new = spark.range(5), str(tmp_path / "there"), str(tmp_path / "new")
    frame.write.parquet(there)
    with logged(spark, table) as logs:
        frame.write.mode("ignore").parquet(there)
        frame.write.mode("ignore").parquet(new)
    assert (logs[0].rows_written, logs[0].output_tables) == (5, [f"file:{new}"])
