"""A run's story, told by several writers at once, over connections that lose answers, until its item is full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from spark_dynamo.errors import ConnectionError, InvalidItemError, ItemNotFoundError, ValidationError
from spark_dynamo.metadata.models import DataQualityResult, RunStatus, StageInfo
from spark_dynamo.metadata.repositories import PipelineRunLogsRepository
from tests.conftest import Server
from tests.metadata.stores import Store, make_store

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from spark_dynamo.metadata.repositories import PipelineRunLogsRepository
runs = PipelineRunLogsRepository()
for number in range(250):
    runs.add_stage("shared", f"{sys.argv[1]} {number}")
    runs.add_log_message("shared", f"{sys.argv[1]} {number}", writer=sys.argv[1])
"""


@pytest.fixture(scope="module")
def store(server: Server) -> Store:
    return make_store(server)


@pytest.fixture(scope="module")
def one_store(local_server: Server) -> Store:
    return make_store(local_server)


@pytest.mark.slow
def test_two_processes_add_a_thousand_stages_and_messages_to_one_run(dynoxide_server: Server, tmp_path: Path) -> None:
    store = make_store(dynoxide_server)
    store.runs.create_run_log("shared", "sales")
    environment = {
        **os.environ,
        "DYNAMODB_ENDPOINT_URL": dynoxide_server.endpoint,
        "DYNAMODB_TABLE_PREFIX": store.prefix,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "PYTHONPATH": str(ROOT),
    }
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name], env=environment, cwd=tmp_path)
        for name in ("left", "right")
    ]
    assert [writer.wait(300) for writer in writers] == [0, 0]
    run = store.runs.get_or_raise("shared")
    wanted = [f"{name} {number}" for name in ("left", "right") for number in range(250)]
    assert sorted(stage.stage_name for stage in run.stages) == sorted(wanted)
    assert sorted(message["message"] for message in run.log_messages) == sorted(wanted)
    lefts = [message["message"] for message in run.log_messages if message["writer"] == "left"]
    assert lefts == [f"left {number}" for number in range(250)], "each writer's messages are in their order"


@pytest.mark.parametrize("fault", ["answer lost", "error after the effect", "reset before the answer"])
def test_an_append_whose_answer_is_lost_is_there_once(store: Store, fault: str) -> None:
    run_id = fault.replace(" ", "-")
    store.runs.create_run_log(run_id, "sales")
    check = DataQualityResult(check_name="rows", passed=False, expected_value=1, actual_value={"a": [Decimal("1.5")]})
    with store.watched() as proxy:
        runs = PipelineRunLogsRepository(store.config(proxy.endpoint))
        for act in (
            lambda: runs.add_stage(run_id, "load"),
            lambda: runs.add_quality_result(run_id, check),
            lambda: runs.add_log_message(run_id, "hello", attempt=2),
        ):
            first = iter([fault])
            proxy.choose = lambda operation, _: next(first, None)  # noqa: B023
            act()
        assert proxy.faults == {fault: 3}
    run = store.runs.get_or_raise(run_id)
    assert [stage.stage_name for stage in run.stages] == ["load"]
    assert run.data_quality_results == [check]
    assert run.data_quality_passed is False
    assert [message["message"] for message in run.log_messages] == ["hello"]


def test_an_append_that_failed_altogether_may_be_repeated_by_its_caller(one_store: Store) -> None:
    one_store.runs.create_run_log("again", "sales")
    stage = StageInfo(stage_name="load", status=RunStatus.RUNNING, start_time=datetime(2026, 7, 1, tzinfo=UTC))
    with one_store.watched() as proxy:
        proxy.choose = lambda operation, _: "answer lost"
        runs = PipelineRunLogsRepository(one_store.config(proxy.endpoint, retries=1))
        with pytest.raises(ConnectionError, match="attempts=2"):
            runs.add_stage("again", stage)
    one_store.runs.add_stage("again", stage)
    assert one_store.runs.get_or_raise("again").stages == [stage]


def test_a_story_is_told_in_full(store: Store) -> None:
    runs = store.runs
    runs.create_run_log("full", "sales")
    begun = runs.add_stage("full", "load", start_time="2026-07-01T09:00:00", current_timezone="Asia/Tokyo")
    runs.add_stage("full", StageInfo(stage_name="check", status=RunStatus.SKIPPED))
    assert runs.get_or_raise("full").current_stage == "load"
    ended = runs.end_stage("full", "load", records_processed=12, end_time=datetime(2026, 7, 1, 0, 1, 30, tzinfo=UTC))
    assert ended == begun.model_copy(
        update={
            "status": RunStatus.SUCCESS,
            "end_time": datetime(2026, 7, 1, tzinfo=UTC) + timedelta(seconds=90),
            "duration_seconds": Decimal(90),
            "records_processed": 12,
        }
    )
    runs.add_stage("full", "load")
    failed = runs.end_stage("full", "load", "failed", "no such bucket")
    runs.add_quality_result("full", {"check_name": "rows", "passed": True})
    message = runs.add_log_message("full", "retrying", "warning", "2026-07-01T09:00:00", "Asia/Tokyo", attempt=2)
    run = runs.get_or_raise("full")
    assert run.stages == [ended, StageInfo(stage_name="check", status=RunStatus.SKIPPED), failed]
    assert run.current_stage is None
    assert run.data_quality_passed is True
    assert run.log_messages == [message]
    assert {name: message[name] for name in ("time", "level", "attempt")} == {
        "time": "2026-07-01T00:00:00.000000+00:00",
        "level": "warning",
        "attempt": 2,
    }
    assert set(store.item("pipeline_run_logs", run_id={"S": "full"})["stages"]["L"][1]["M"]) == {"stage_name", "status"}


def test_a_stage_of_the_same_name_is_replaced(store: Store) -> None:
    runs = store.runs
    runs.create_run_log("replaced", "sales")
    begun = {"stage_name": "load", "status": "running", "start_time": "2026-07-01T09:00:00"}
    run = runs.add_stage_info("replaced", begun, "Asia/Tokyo")
    assert (run.current_stage, run.stages[0].start_time) == (
        "load",
        datetime(2026, 7, 1, 9, tzinfo=ZoneInfo("Asia/Tokyo")),
    )
    runs.add_stage("replaced", StageInfo(stage_name="check", status=RunStatus.SKIPPED))
    times = {"start_time": "2026-07-01T00:00:00Z", "end_time": "2026-07-01T00:01:30Z"}
    run = runs.add_stage_info("replaced", {"stage_name": "load", "status": "success", **times})
    assert [(stage.stage_name, stage.status) for stage in run.stages] == [("load", "success"), ("check", "skipped")]
    assert run.stages[0].duration_seconds == Decimal(90)
    assert run.current_stage is None
    assert run == runs.get_or_raise("replaced")
    run = runs.add_stage_info("replaced", StageInfo(stage_name="load", status=RunStatus.FAILED, error_message="no"))
    assert run.stages[0] == StageInfo(stage_name="load", status=RunStatus.FAILED, error_message="no"), (
        "it is replaced whole"
    )
    with pytest.raises(ItemNotFoundError, match="no item with the key {run_id='nothing'}"):
        runs.add_stage_info("nothing", begun)
    for wrong in ({"status": "running"}, {**begun, "stage": 1}, {**begun, "status": "fine"}, "load"):
        with pytest.raises(ValidationError, match=r"refuses a value for table.*\n  stages\[0\]"):
            runs.add_stage_info("replaced", wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", ["answer lost", "reset before the answer"])
def test_a_stage_whose_answer_is_lost_is_there_once(store: Store, fault: str) -> None:
    run_id = f"once {fault}"
    store.runs.create_run_log(run_id, "sales")
    with store.watched() as proxy:
        runs = PipelineRunLogsRepository(store.config(proxy.endpoint))
        for status in ("running", "success"):
            first = iter([None, fault])  # the read, then the write
            proxy.choose = lambda operation, _: next(first, None)  # noqa: B023
            runs.add_stage_info(run_id, {"stage_name": "load", "status": status})
        assert proxy.faults == {fault: 2}
    run = store.runs.get_or_raise(run_id)
    assert [(stage.stage_name, stage.status) for stage in run.stages] == [("load", "success")]


def test_writers_of_one_name_at_once_leave_one_stage(store: Store) -> None:
    store.runs.create_run_log("raced", "sales")
    met = threading.Barrier(4)

    def add(number: int) -> None:
        met.wait()
        for name in ("load", f"own {number}"):
            store.runs.add_stage_info("raced", {"stage_name": name, "status": "success", "records_processed": number})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    names = [stage.stage_name for stage in store.runs.get_or_raise("raced").stages]
    assert sorted(names) == ["load", "own 0", "own 1", "own 2", "own 3"]


def test_equal_messages_of_two_writers_are_two(one_store: Store) -> None:
    one_store.runs.create_run_log("twice", "sales")
    for _ in range(2):
        one_store.runs.add_log_message("twice", "same", time="2026-07-01T09:00:00Z")
    assert len(one_store.runs.get_or_raise("twice").log_messages) == 2


def test_bad_stories_get_a_sentence(one_store: Store) -> None:
    runs = one_store.runs
    runs.create_run_log("bad", "sales")
    for act in (
        lambda: runs.add_stage("nothing", "load"),
        lambda: runs.end_stage("nothing", "load"),
        lambda: runs.add_log_message("nothing", "x"),
        lambda: runs.add_quality_result("nothing", {"check_name": "rows", "passed": True}),
    ):
        with pytest.raises(ItemNotFoundError, match="no item with the key {run_id='nothing'}"):
            act()
    with pytest.raises(ValidationError, match="Run 'bad' of table .* has no stage 'load': add it first"):
        runs.end_stage("bad", "load")
    with pytest.raises(ValidationError, match=r"stages\[0\].status: Input should be 'pending'"):
        runs.add_stage("bad", "load", "fine")
    with pytest.raises(ValidationError, match=r"data_quality_results\[0\].passed: Field required"):
        runs.add_quality_result("bad", {"check_name": "rows"})
    with pytest.raises(ValidationError, match="message is text, not 7"):
        runs.add_log_message("bad", 7)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="log_level: Input should be 'debug'"):
        runs.add_log_message("bad", "x", "loud")


def test_a_full_item_takes_no_more_and_says_so(store: Store) -> None:
    store.runs.create_run_log("long", "sales")
    store.runs.add_log_message("long", "x" * 300_000)
    with pytest.raises(InvalidItemError, match=r"\{run_id='long'\}.*larger than the 400 KB that DynamoDB takes"):
        store.runs.add_log_message("long", "y" * 120_000)
    assert len(store.runs.get_or_raise("long").log_messages) == 1
    json.dumps(store.runs.get_or_raise("long").model_dump(mode="json"))
