"""`pipeline_run` in one process: how a run ends, nests, and keeps apart from others."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.metadata.models import RunStatus
from spark_dynamo.run_logs.context import current_run, pipeline_run
from spark_dynamo.run_logs.process import close_recorders, flush_recorders
from spark_dynamo.run_logs.run import Run
from tests.conftest import Server
from tests.runs.tables import RunTable, run_table


@pytest.fixture(scope="module")
def one_table(server: Server) -> Iterator[RunTable]:
    """One table for the whole file, since each new recorder costs."""
    yield run_table(server)
    assert close_recorders()


@pytest.fixture
def table(one_table: RunTable) -> Iterator[RunTable]:
    yield one_table
    assert current_run() is None
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.fixture
def moto_table(local_server: Server) -> Iterator[RunTable]:
    yield run_table(local_server)
    assert close_recorders()


def test_a_run_is_there_at_once_and_at_its_end(table: RunTable) -> None:
    with pipeline_run(
        None,
        "sales",
        "schedule",
        config=table.config(),
        created_by="ann",
        tags={"team": "a"},
        pipeline_version="1.2",
        config_snapshot={"limit": 10},
        ttl=timedelta(days=30),
    ) as run:
        assert run.flush()
        log = table.log(run.run_id)
        assert (log.status, log.end_time) == (RunStatus.RUNNING, None)
        assert run.status is RunStatus.RUNNING
        with run.stage("load"):
            run.table_read("orders")
            run.table_written("totals")
            run.log("half way", "warning")
        assert run.check("row count", passed=False, expected=100, actual=97) is False
    assert run.flush()
    log = table.log(run.run_id)
    assert log == run.snapshot()
    assert (log.status, log.error_message, log.rows_read) == (RunStatus.SUCCESS, None, None)
    assert (log.trigger_type, log.created_by, log.tags, log.pipeline_version) == (
        "schedule",
        "ann",
        {"team": "a"},
        "1.2",
    )
    assert (log.config_snapshot, log.environment) == ({"limit": 10}, "dev")
    assert log.python_version == sys.version.split()[0]
    assert log.expires_at == (log.start_time + timedelta(days=30)).replace(microsecond=0)
    assert (log.input_tables, log.output_tables, log.data_quality_passed) == (["orders"], ["totals"], False)
    assert [(stage.stage_name, stage.status) for stage in log.stages] == [("load", RunStatus.SUCCESS)]
    assert [(message["level"], message["message"]) for message in log.log_messages] == [("warning", "half way")]


class LoadError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (LoadError("no rows"), "failed", f"{__name__}.LoadError: no rows"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (SystemExit(0), "success", None),
        (KeyboardInterrupt(), "cancelled", "KeyboardInterrupt:"),
        (asyncio.CancelledError(), "cancelled", "asyncio.exceptions.CancelledError:"),
    ],
)
def test_an_exception_goes_on_unchanged_and_is_told(
    table: RunTable, error: BaseException, status: str, message: str | None
) -> None:
    with (
        pytest.raises(type(error)) as caught,
        pipeline_run(None, "sales", config=table.config()) as run,
        run.stage("load"),
    ):
        raise error
    assert caught.value is error
    assert run.flush()
    log = table.log(run.run_id)
    assert (log.status, log.error_message) == (status, message)
    assert (log.stages[0].status, log.stages[0].error_message) == (status, message)
    assert ("raise error" in (log.error_stack_trace or "")) == (message is not None)


def test_an_exception_that_the_body_catches_is_a_failed_stage_of_a_successful_run(table: RunTable) -> None:
    with pipeline_run(None, "sales", config=table.config()) as run:
        try:
            with run.stage("optional"):
                raise LoadError
        except LoadError:
            pass
    assert run.flush()
    log = table.log(run.run_id)
    assert (log.status, log.stages[0].status) == (RunStatus.SUCCESS, RunStatus.FAILED)


def test_a_function_has_a_run_for_each_call(table: RunTable) -> None:
    seen: list[Run | None] = []

    @pipeline_run(None, "sales", config=table.config())
    def job(value: int) -> int:
        """Docs."""
        seen.append(current_run())
        return 1 // value

    assert (job(1), job.__name__, job.__doc__) == (1, "job", "Docs.")
    with pytest.raises(ZeroDivisionError):
        job(0)
    assert flush_recorders(5)
    first, second = seen
    assert first is not None
    assert second is not None
    assert table.log(first.run_id).status is RunStatus.SUCCESS
    assert (table.log(second.run_id).error_message or "").startswith("ZeroDivisionError: ")


def test_a_coroutine_function_stays_one(table: RunTable) -> None:
    @pipeline_run(None, "sales", config=table.config())
    async def job() -> Run | None:
        await asyncio.sleep(0)
        return current_run()

    run = asyncio.run(job())
    assert run is not None
    assert run.flush()
    assert table.log(run.run_id).status is RunStatus.SUCCESS


def test_a_generator_function_is_refused() -> None:
    def rows() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="is a generator: put `with pipeline_run"):
        pipeline_run(None, "sales")(rows)


def test_runs_in_a_run_know_it(table: RunTable) -> None:
    with pipeline_run(None, "outer", config=table.config()) as outer:
        with pipeline_run(None, "inner", config=table.config(), tags={"a": "b"}) as inner:
            assert current_run() is inner
            with pipeline_run(None, "innermost", config=table.config()) as innermost:
                pass
        assert current_run() is outer
    assert flush_recorders(5)
    assert table.log(outer.run_id).tags == {}
    assert table.log(inner.run_id).tags == {"a": "b", "parent_run_id": outer.run_id, "parent_pipeline_id": "outer"}
    assert table.log(innermost.run_id).tags == {"parent_run_id": inner.run_id, "parent_pipeline_id": "inner"}


def test_threads_do_not_mix(table: RunTable) -> None:
    barrier = threading.Barrier(2)

    def job(name: str, parent: str | None) -> Run:
        with pipeline_run(None, name, config=table.config(), parent_run_id=parent) as run:
            barrier.wait(10)
            found = current_run()
            assert found is run
            for number in range(50):
                found.log(f"{name} {number}")
            with found.stage(name):
                barrier.wait(10)
        return run

    with pipeline_run(None, "outer", config=table.config()) as outer, ThreadPoolExecutor(2) as pool:
        runs = [future.result() for future in [pool.submit(job, "a", outer.run_id), pool.submit(job, "b", None)]]
    assert flush_recorders(5)
    for name, run in zip("ab", runs, strict=True):
        log = table.log(run.run_id)
        assert [message["message"] for message in log.log_messages] == [f"{name} {number}" for number in range(50)]
        assert [stage.stage_name for stage in log.stages] == [name]
        assert log.tags == ({"parent_run_id": outer.run_id} if name == "a" else {})


def test_asyncio_tasks_do_not_mix_and_know_the_run_around_them(table: RunTable) -> None:
    async def job(name: str) -> Run:
        with pipeline_run(None, name, config=table.config()) as run:
            for number in range(20):
                await asyncio.sleep(0)
                found = current_run()
                assert found is run
                found.log(f"{name} {number}")
        return run

    async def main() -> tuple[Run, list[Run]]:
        with pipeline_run(None, "outer", config=table.config()) as outer:
            return outer, await asyncio.gather(job("a"), job("b"))

    outer, runs = asyncio.run(main())
    assert flush_recorders(5)
    for name, run in zip("ab", runs, strict=True):
        log = table.log(run.run_id)
        assert [message["message"] for message in log.log_messages] == [f"{name} {number}" for number in range(20)]
        assert log.tags == {"parent_run_id": outer.run_id, "parent_pipeline_id": "outer"}


def test_what_comes_after_the_end_is_not_noted(table: RunTable, caplog: pytest.LogCaptureFixture) -> None:
    with pipeline_run(None, "sales", config=table.config()) as run:
        pass
    run.log("late")
    run.table_read("late")
    with run.stage("late"):
        pass
    assert run.flush()
    assert table.log(run.run_id).log_messages == []
    late = [record.getMessage() for record in caplog.records if "is not noted" in record.getMessage()]
    assert late == [f"Run {run.run_id} has ended: what it is told now is not noted (Logged)"]


def test_nothing_that_a_body_hands_in_raises(table: RunTable) -> None:
    class Rude:
        def __str__(self) -> str:
            raise RuntimeError

    with pipeline_run(None, "sales", config=table.config()) as run:
        run.log(Rude(), Rude())  # type: ignore[arg-type]
        run.check(None, passed=1, expected=Rude(), actual=float("nan"))  # type: ignore[arg-type]
        run.table_read(7)  # type: ignore[arg-type]
        with run.stage(None):  # type: ignore[arg-type]
            pass
    assert run.flush()
    log = table.log(run.run_id)
    assert (log.status, log.input_tables, log.data_quality_results[0].actual_value) == ("success", ["7"], "nan")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pipeline_id": ""}, "pipeline_id '' must be a text of 1 to 2,048 bytes"),
        ({"pipeline_id": "p", "run_id": "ü" * 1025}, "run_id"),
        ({"pipeline_id": 7}, "pipeline_id 7 must be a text"),
        (
            {"pipeline_id": "p", "log_level": "loud"},
            "log_level 'loud' is none of debug, info, warning, error, critical",
        ),
        ({"pipeline_id": "p", "lease_seconds": 0}, "lease_seconds 0 must be a number of seconds greater than 0"),
        ({"pipeline_id": "p", "lease_seconds": "30"}, "lease_seconds '30' must be a number of seconds greater than 0"),
        ({"pipeline_id": "p", "lease_seconds": 1e15}, "lease_seconds 1000000000000000.0 must be a number of seconds"),
        (
            {"pipeline_id": "p", "ttl": "3600"},
            "ttl '3600' must be a number of seconds greater than 0, 3,162,240,000 at most",
        ),
        ({"pipeline_id": "p", "ttl": float("nan")}, "ttl nan must be a number of seconds"),
        ({"pipeline_id": "p", "ttl": timedelta(days=-1)}, "ttl -86400.0 must be a number of seconds"),
        ({"pipeline_id": "p", "tags": ["a"]}, "tags is a list: give a dict"),
        ({"pipeline_id": "p", "config_snapshot": "prod"}, "config_snapshot is a str: give a dict"),
        ({"pipeline_id": "p", "config": "prod"}, "config is a str: give a DynamoDBConfig"),
    ],
)
def test_arguments_that_can_not_be_used_are_refused_before_the_body(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        pipeline_run(None, **arguments)
    assert message in str(caught.value)


def test_the_former_handler_of_sigterm_decides_and_comes_back(table: RunTable) -> None:
    class StopError(Exception):
        pass

    def stop(number: int, frame: object) -> None:
        raise StopError

    def note(number: int, frame: object) -> None:
        noted.append(number)

    noted: list[int] = []
    former = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(StopError), pipeline_run(None, "sales", config=table.config()) as cancelled:
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is stop
        signal.signal(signal.SIGTERM, note)
        with pipeline_run(None, "sales", config=table.config()) as finished:
            os.kill(os.getpid(), signal.SIGTERM)
            with pipeline_run(None, "sales", config=table.config()):
                pass
            assert signal.getsignal(signal.SIGTERM) is not note
        assert signal.getsignal(signal.SIGTERM) is note
    finally:
        signal.signal(signal.SIGTERM, former)
    assert noted == [signal.SIGTERM]
    assert flush_recorders(5)
    assert table.log(cancelled.run_id).status is RunStatus.CANCELLED
    assert (table.log(cancelled.run_id).error_message or "").endswith("StopError:")
    assert table.log(finished.run_id).status is RunStatus.SUCCESS


@pytest.mark.parametrize("handler", [signal.SIG_IGN, "another"])
def test_a_handler_that_is_not_to_be_touched_is_not(moto_table: RunTable, handler: Any) -> None:
    def another(number: int, frame: object) -> None:
        pass

    former = signal.getsignal(signal.SIGTERM)
    try:
        if handler is signal.SIG_IGN:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with pipeline_run(None, "sales", config=moto_table.config()):
            if handler == "another":
                signal.signal(signal.SIGTERM, another)
            inside = signal.getsignal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is inside
        assert inside is (another if handler == "another" else signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGTERM, former)


def test_a_run_that_is_over_leaves_no_memory(moto_table: RunTable) -> None:
    with pipeline_run(None, "sales", config=moto_table.config()) as run:
        gone = weakref.ref(run), weakref.ref(run._state)
    assert run.flush()
    del run
    gc.collect()
    assert [found() for found in gone] == [None, None]


def test_a_run_goes_on_after_its_recorder_was_closed(moto_table: RunTable) -> None:
    with pipeline_run(None, "sales", config=moto_table.config()) as run:
        assert close_recorders()
    assert run.flush()
    assert moto_table.log(run.run_id) == run.snapshot()


def test_a_session_tells_its_version_and_application_and_tags_its_jobs(
    moto_table: RunTable, spark: SparkSession
) -> None:
    spark.addTag("mine")
    with pipeline_run(spark, "sales", config=moto_table.config()) as run:
        assert spark.getTags() == {"mine", run.job_tag}
        with (
            pytest.raises(Exception, match="SPARK_JOB_CANCELLED"),
            pipeline_run(spark, "cancelled", config=moto_table.config()) as inner,
        ):
            assert spark.getTags() == {"mine", run.job_tag, inner.job_tag}
            raise RuntimeError("[SPARK_JOB_CANCELLED] Job 0 cancelled")
    assert spark.getTags() == {"mine"}
    spark.removeTag("mine")
    assert flush_recorders(5)
    log = moto_table.log(run.run_id)
    assert (log.spark_version, log.spark_application_id) == (spark.version, spark.sparkContext.applicationId)
    assert moto_table.log(inner.run_id).status is RunStatus.CANCELLED


class ConnectSession:
    """What of Spark Connect's session matters here: no context, and a server that may be gone."""

    version = "4.3.0"

    @property
    def sparkContext(self) -> Any:  # noqa: N802 - Spark's own name
        raise AttributeError("JVM_ATTRIBUTE_NOT_SUPPORTED")

    def addTag(self, tag: str) -> None:  # noqa: N802
        self.tag = tag

    def removeTag(self, tag: str) -> None:  # noqa: N802
        raise ConnectionError("the server is gone")


def test_a_session_without_a_context_or_a_server_troubles_no_run(moto_table: RunTable) -> None:
    with pipeline_run(ConnectSession(), "sales", config=moto_table.config()) as run:
        pass
    with pipeline_run(object(), "sales", config=moto_table.config()) as other:
        pass
    assert flush_recorders(5)
    log = moto_table.log(run.run_id)
    assert (log.status, log.spark_version, log.spark_application_id) == ("success", "4.3.0", None)
    assert moto_table.log(other.run_id).spark_version is None
