"""The thread that keeps rows up to date: what it writes, what it never writes over, and what it does where it can't."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from spark_dynamo.aws.client import Connection
from spark_dynamo.metadata.models import DataQualityResult, PipelineRunLog, RunStatus
from spark_dynamo.metadata.repositories import PipelineRunLogsRepository
from spark_dynamo.run_logs.concurrent_appends import Others
from spark_dynamo.run_logs.events import Checked, Ended, Event, Logged, StageEnded, StageStarted
from spark_dynamo.run_logs.reaper import reap
from spark_dynamo.run_logs.recorder import Recorder
from spark_dynamo.run_logs.state import RunState
from spark_dynamo.run_logs.store import LEASE, NUMBER, OWNER, RunStore
from tests.conftest import Server
from tests.runs.tables import RunTable, run_table, until
from tests.servers.faulty import READ_TIMEOUT, FaultyServer, every, faulty_server
from tests.servers.scripted import Reply, refusal, scripted_server
from tests.tiers import quick

Make = Callable[..., Recorder]


def now() -> datetime:
    return datetime.now(UTC)


def state_of(run_id: str = "r1", **given: Any) -> RunState:
    return RunState(
        PipelineRunLog(run_id=run_id, pipeline_id="sales", status=RunStatus.RUNNING, trigger_type="test", **given)
    )


def end(state: RunState, status: RunStatus = RunStatus.SUCCESS, **given: Any) -> RunState:
    state.apply(Ended(status, now(), **given))
    return state


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Recorder] = []

    def make(store: RunStore, **settings: Any) -> Recorder:
        made.append(Recorder(store, folder=tmp_path, **settings))
        return made[-1]

    yield make
    for recorder in made:
        recorder.close(1.0)


@pytest.fixture
def table(server: Server) -> RunTable:
    return run_table(server)


@pytest.fixture
def moto_table(local_server: Server) -> RunTable:
    return run_table(local_server)


@pytest.fixture
def proxy(local_server: Server) -> Iterator[FaultyServer]:
    with faulty_server(local_server.endpoint) as proxy:
        yield proxy


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def nobody() -> Connection:
    """A connection to where nobody answers."""
    return Connection("us-east-1", f"http://127.0.0.1:{free_port()}", access_key_id="k", secret_access_key="s")


def missed(recorder: Recorder) -> dict[str, PipelineRunLog]:
    assert recorder.missed_path is not None
    lines = recorder.missed_path.read_text().splitlines()
    return {log.run_id: log for log in map(PipelineRunLog.model_validate_json, lines)}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("spark_dynamo.run_logs") and record.levelno >= logging.WARNING
    ]


def test_a_row_follows_its_run_and_ends_without_a_lease(table: RunTable, make: Make) -> None:
    recorder, state = make(table.store()), state_of(config_snapshot={"a": [1, {"b": None}]})
    recorder.changed(state, urgent=True)
    assert recorder.flush(30)
    assert table.log("r1") == state.snapshot()
    item = table.item("r1")
    assert item[LEASE]["S"] > now().isoformat()
    assert item[OWNER]["S"].startswith(socket.gethostname())
    state.apply(StageStarted("a", "load", now()))
    recorder.changed(state)
    assert recorder.flush(30)
    assert table.log("r1") == state.snapshot()
    assert table.log("r1").current_stage == "load"
    recorder.changed(end(state, error_message="none"), urgent=True)
    assert recorder.flush(30)
    assert table.log("r1") == state.snapshot()
    assert LEASE not in table.item("r1")
    assert recorder.last_error is None


def test_what_others_put_into_a_row_stays(table: RunTable, make: Make) -> None:
    recorder, state = make(table.store()), state_of()
    recorder.changed(state)
    assert recorder.flush(30)
    table.server.client.update_item(
        TableName=table.name,
        Key={"run_id": {"S": "r1"}},
        UpdateExpression="SET note = :n, monitoring_urls = :m",
        ExpressionAttributeValues={":n": {"S": "mine"}, ":m": {"M": {"ui": {"S": "http://u"}}}},
    )
    state.apply(Logged("hello", now()))
    recorder.changed(state)
    recorder.changed(end(state))
    assert recorder.flush(30)
    item = table.item("r1")
    assert (item["note"], item["monitoring_urls"]) == ({"S": "mine"}, {"M": {"ui": {"S": "http://u"}}})
    assert (item["status"], len(item["log_messages"]["L"])) == ({"S": "success"}, 1)


def test_what_others_append_to_the_lists_of_a_live_run_stays(table: RunTable, make: Make) -> None:
    recorder, state = make(table.store()), state_of()
    theirs = PipelineRunLogsRepository(config=table.config())

    def own(*events: Event) -> None:
        for event in events:
            assert state.apply(event)
        recorder.changed(state)
        assert recorder.flush(30)

    own(StageStarted("a", "extract", now()), Logged("one", now()))
    theirs.add_stage("r1", "their load")
    theirs.add_stage("r1", "their check")
    theirs.add_log_message("r1", "two", attempt=1)
    theirs.add_quality_result("r1", DataQualityResult(check_name="rows", passed=False, expected_value=Decimal("1.50")))
    own(Logged("three", now()), StageStarted("b", "transform", now()), Checked("nulls", True, now()))
    theirs.end_stage("r1", "their load", records_processed=7)
    theirs.add_log_message("r1", "four")
    own(StageEnded("a", now(), RunStatus.SUCCESS), Logged("five", now()))
    own(Ended(RunStatus.SUCCESS, now()))
    log = table.log("r1")
    assert [entry["message"] for entry in log.log_messages] == ["one", "two", "three", "four", "five"]
    assert [(stage.stage_name, stage.status.value, stage.records_processed) for stage in log.stages] == [
        ("extract", "success", None),
        ("their load", "success", 7),
        ("their check", "cancelled", None),
        ("transform", "cancelled", None),
    ]
    assert all(stage.end_time is not None for stage in log.stages)
    assert [check.check_name for check in log.data_quality_results] == ["rows", "nulls"]
    assert (log.status, log.current_stage, log.data_quality_passed) == (RunStatus.SUCCESS, None, False)
    theirs.add_log_message("r1", "after the end")
    assert table.log("r1").log_messages[-1]["message"] == "after the end"


def test_the_lists_of_a_pending_row_are_taken_up(table: RunTable, make: Make) -> None:
    theirs = PipelineRunLogsRepository(config=table.config())
    theirs.create(PipelineRunLog(run_id="r1", pipeline_id="sales", status=RunStatus.PENDING, trigger_type="queue"))
    theirs.add_log_message("r1", "queued")
    theirs.add_quality_result("r1", DataQualityResult(check_name="input", passed=False))
    recorder, state = make(table.store()), state_of()
    state.apply(Logged("begun", now()))
    recorder.changed(state)
    recorder.changed(end(state))
    assert recorder.flush(30)
    log = table.log("r1")
    assert [entry["message"] for entry in log.log_messages] == ["queued", "begun"]
    assert ([check.check_name for check in log.data_quality_results], log.data_quality_passed) == (["input"], False)


@pytest.mark.slow
def test_two_writers_of_one_live_run_lose_nothing(table: RunTable, make: Make) -> None:
    recorder, state = make(table.store()), state_of()
    theirs = PipelineRunLogsRepository(config=table.config())
    recorder.changed(state)
    assert recorder.flush(30)

    def append() -> None:
        for place in range(40):
            theirs.add_log_message("r1", f"theirs {place}")
            theirs.add_stage("r1", f"their stage {place}")

    thread = threading.Thread(target=append)
    thread.start()
    for place in range(40):
        state.apply(Logged(f"own {place}", now()))
        state.apply(StageStarted(place, f"own stage {place}", now()))
        recorder.changed(state, urgent=True)
        assert recorder.flush(30)
    thread.join()
    recorder.changed(end(state))
    assert recorder.flush(30)
    log = table.log("r1")
    for kind in ("own", "theirs"):
        told = [entry["message"] for entry in log.log_messages if entry["message"].startswith(kind)]
        assert told == [f"{kind} {place}" for place in range(40)]
    assert len(log.stages) == len({stage.stage_name for stage in log.stages}) == 80
    assert {stage.status for stage in log.stages} == {RunStatus.CANCELLED}


def test_what_only_a_lost_answer_tells_of_is_no_others() -> None:
    def messages(*texts: str) -> Any:
        return {"log_messages": {"L": [{"M": {"message": {"S": text}}} for text in texts]}}

    others = Others()
    others.attempted(messages("a", "b"))
    others.written(messages("a", "b"))
    others.attempted(messages("a", "left out: 1", "c"))  # takes effect, but its answer is lost
    others.attempted(messages("a", "left out: 2", "d"))
    others.found(messages("a", "left out: 1", "c", "theirs"))
    assert others.joined(messages("a", "left out: 2", "d")) == messages("a", "left out: 2", "d", "theirs")


def test_a_list_that_is_none_is_replaced(table: RunTable, make: Make) -> None:
    row = {"run_id": {"S": "r1"}, "status": {"S": "pending"}, "log_messages": {"S": "odd"}}
    table.server.put(table.name, row)
    recorder, state = make(table.store()), state_of()
    state.apply(Logged("begun", now()))
    recorder.changed(end(state))
    assert recorder.flush(30)
    assert [entry["message"] for entry in table.log("r1").log_messages] == ["begun"]


@pytest.mark.parametrize("status", ["success", "failed", "cancelled", "skipped", "lost"])
def test_a_row_that_has_ended_never_goes_back_to_running(
    table: RunTable, make: Make, caplog: pytest.LogCaptureFixture, status: str
) -> None:
    table.server.put(table.name, {"run_id": {"S": "r1"}, "status": {"S": status}})
    before = table.item("r1")
    recorder, state = make(table.store()), state_of()
    for _ in range(3):
        recorder.changed(state)
        assert recorder.flush(30)
    assert table.item("r1") == before
    assert warnings_of(caplog) == [f"The row of run r1 says '{status}': 'running' is not written over it"]


def test_only_its_own_driver_knows_better_than_lost(table: RunTable, make: Make) -> None:
    recorder, state = make(table.store()), state_of()
    recorder.changed(state)
    assert recorder.flush(30)
    assert [run.run_id for run in reap(table.store(), now=now() + timedelta(hours=1))] == ["r1"]
    assert "Lost" in (table.log("r1").error_message or "")
    state.apply(Logged("I am alive", now()))
    recorder.changed(state)
    assert recorder.flush(30)
    assert table.log("r1").status is RunStatus.LOST
    recorder.changed(end(state))
    assert recorder.flush(30)
    assert table.log("r1") == state.snapshot()
    assert (table.log("r1").status, table.log("r1").error_message) == (RunStatus.SUCCESS, None)


def test_another_end_stays_as_it_is(table: RunTable, make: Make) -> None:
    recorder, state = make(table.store()), state_of()
    recorder.changed(end(state, RunStatus.CANCELLED))
    assert recorder.flush(30)
    recorder.changed(end(state_of()))
    assert recorder.flush(30)
    assert table.log("r1").status is RunStatus.CANCELLED


def test_a_write_that_was_overtaken_changes_nothing(table: RunTable) -> None:
    store = table.store()
    attributes = {"status": {"S": "running"}}
    assert store.save("r1", attributes, frozenset(), status="running", number=7, create=True) is None
    found = store.save("r1", attributes, frozenset(), status="running", number=6, create=True)
    assert found is not None
    assert (found.status, found.number) == ("running", 7)
    assert table.item("r1")[NUMBER] == {"N": "7"}


def test_a_driver_whose_clock_is_behind_takes_up_a_run(table: RunTable, make: Make) -> None:
    ahead = time.time_ns()  # a thousand times too far
    row = {"run_id": {"S": "r1"}, "status": {"S": "running"}, NUMBER: {"N": str(ahead)}}
    table.server.put(table.name, row)
    recorder, state = make(table.store()), state_of()
    recorder.changed(state)
    assert recorder.flush(30)
    assert table.item("r1")[NUMBER] == {"N": str(ahead + 1)}


def test_a_pending_row_of_a_scheduler_is_taken_up(table: RunTable, make: Make) -> None:
    table.server.put(table.name, {"run_id": {"S": "r1"}, "status": {"S": "pending"}, "queue": {"S": "q"}})
    recorder = make(table.store())
    recorder.changed(state_of())
    assert recorder.flush(30)
    assert (table.log("r1").status, table.item("r1")["queue"]) == (RunStatus.RUNNING, {"S": "q"})


def test_a_row_that_somebody_deletes_comes_back_whole(table: RunTable, make: Make) -> None:
    recorder, state = make(table.store()), state_of(tags={"team": "a"})
    recorder.changed(state)
    assert recorder.flush(30)
    table.server.client.delete_item(TableName=table.name, Key={"run_id": {"S": "r1"}})
    recorder.changed(end(state))
    assert recorder.flush(30)
    assert table.log("r1") == state.snapshot()


def test_a_lease_is_renewed_though_nothing_changes(moto_table: RunTable, make: Make) -> None:
    recorder = make(moto_table.store())
    recorder.changed(state_of(), lease=0.4)
    assert recorder.flush(30)
    first = moto_table.item("r1")
    until(lambda: moto_table.item("r1")[LEASE] != first[LEASE])
    renewed = moto_table.item("r1")
    changed = {name for name in renewed if renewed[name] != first.get(name)}
    assert changed == {LEASE, NUMBER}


def test_many_changes_are_few_writes(moto_table: RunTable, make: Make, proxy: FaultyServer) -> None:
    recorder, state = make(moto_table.store(proxy.connection)), state_of()
    for number in range(500):
        state.apply(Logged(str(number), now()))
        recorder.changed(state)
    recorder.changed(end(state), urgent=True)
    assert recorder.flush(30)
    assert len(moto_table.log("r1").log_messages) == 500
    assert len(proxy.log) <= 3


def test_many_runs_take_one_thread_and_leave_nothing(moto_table: RunTable, make: Make) -> None:
    recorder = make(moto_table.store())
    threads = set()
    for number in range(60):
        state = state_of(str(number))
        recorder.changed(state)
        recorder.changed(end(state), urgent=True)
        threads |= {thread.name for thread in threading.enumerate() if thread.name.startswith("spark-dynamo-runs")}
    assert recorder.flush(30)
    assert threads == {"spark-dynamo-runs"}
    assert not recorder._entries
    assert len(moto_table.server.items(moto_table.name)) == 60


def test_an_end_that_is_seen_before_it_is_told_is_written_once(
    moto_table: RunTable, make: Make, proxy: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    told = threading.Event()

    def wait(operation: str, request: dict[str, Any]) -> None:
        assert told.wait(10)

    proxy.choose = wait
    recorder, state = make(moto_table.store(proxy.connection)), end(state_of())
    recorder.changed(state)  # the thread sees the end already
    until(lambda: recorder._entries["r1"].numbers)
    recorder.changed(state, urgent=True)
    told.set()
    assert recorder.flush(30)
    recorder.changed(state, urgent=True)
    assert recorder.flush(30)
    assert len(proxy.log) == 1
    assert warnings_of(caplog) == []


WRITE_FAULTS = [
    "ProvisionedThroughputExceededException",
    "InternalServerError",
    "answer lost",
    "error after the effect",
    "reset before the answer",
    "answer too late",
    "wrong CRC32",
]


@pytest.mark.parametrize("fault", quick(3, WRITE_FAULTS))
def test_faults_are_got_over(
    moto_table: RunTable, make: Make, proxy: FaultyServer, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    assert READ_TIMEOUT < 1
    proxy.choose = every(fault, 2)
    recorder, state = make(moto_table.store(proxy.hasty_connection)), state_of()
    recorder.changed(state)
    assert recorder.flush(20)
    state.apply(StageStarted("a", "load", now()))
    recorder.changed(state)
    assert recorder.flush(20)
    recorder.changed(end(state, error_message="x"), urgent=True)
    assert recorder.flush(20)
    assert moto_table.log("r1") == state.snapshot()
    assert LEASE not in moto_table.item("r1")
    assert proxy.faults[fault] >= 2
    assert warnings_of(caplog) == []  # a single failure is no news
    assert recorder.missed_path is None


def test_a_throttled_table_is_told_once_and_tried_again(
    moto_table: RunTable, make: Make, proxy: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.choose = every("ThrottlingException", 1)
    recorder, state = make(moto_table.store(proxy.connection)), state_of()
    recorder.changed(state)
    assert not recorder.flush(1.0)
    until(lambda: len(proxy.log) >= 4)
    (warning,) = warnings_of(caplog)
    assert warning.startswith(f"Run logs can't be written to table '{moto_table.name}' for now; the job goes on")
    assert "throttling" in warning
    assert "ThrottlingException" in str(recorder.last_error)
    proxy.choose = lambda operation, request: None
    recorder.changed(end(state), urgent=True)
    assert recorder.flush(30)
    assert moto_table.log("r1").status is RunStatus.SUCCESS
    assert len(warnings_of(caplog)) == 1


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ExpiredTokenException"])
def test_what_is_set_up_wrong_costs_the_caller_nothing_and_is_told_once(
    moto_table: RunTable, make: Make, proxy: FaultyServer, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    proxy.choose = lambda operation, request: code
    recorder, states = make(moto_table.store(proxy.connection)), [state_of(str(number)) for number in range(3)]
    started = time.monotonic()
    for state in states:
        recorder.changed(state, urgent=True)
        recorder.changed(end(state), urgent=True)
    assert time.monotonic() - started < 2
    until(lambda: recorder.last_error)  # the first request may take a while to be made
    assert not recorder.close(1.5)
    assert missed(recorder) == {state.run_id: state.snapshot() for state in states}
    told, where = warnings_of(caplog)
    assert "can't be written" in told
    assert where == f"Run logs that could not be written to table '{moto_table.name}' are in {recorder.missed_path}"


@pytest.mark.server
def test_an_unreachable_server_ends_in_a_file_in_time(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    recorder, state = make(RunStore(nobody(), "runs")), state_of(config_snapshot={"a": 1})
    recorder.changed(state)
    recorder.changed(end(state, RunStatus.FAILED, error_message="ValueError: no", error_stack_trace="x" * 600_000))
    until(lambda: any("Nobody answers" in warning for warning in warnings_of(caplog)))
    started = time.monotonic()
    assert not recorder.close(2.0)
    assert time.monotonic() - started < 10
    assert missed(recorder) == {"r1": state.snapshot()}  # whole
    assert recorder.missed_path is not None
    assert recorder.missed_path.stat().st_mode & 0o077 == 0
    assert recorder.close(2.0)  # again


@pytest.mark.server
def test_a_server_that_says_nothing_does_not_hold_up_the_end(make: Make) -> None:
    with scripted_server(lambda operation, request: Reply(delay=30.0)) as silent:
        recorder, state = make(RunStore(silent.connection, "runs")), state_of()
        recorder.changed(end(state))
        until(lambda: silent.requests)
        started = time.monotonic()
        assert not recorder.close(1.5)
        assert time.monotonic() - started < 10
    assert list(missed(recorder)) == ["r1"]


@pytest.mark.server
def test_the_oldest_of_too_many_waiting_runs_go_to_the_file(make: Make) -> None:
    recorder = make(RunStore(nobody(), "runs"), most_waiting=5)
    states = [end(state_of(str(number))) for number in range(12)]
    for state in states:
        recorder.changed(state, urgent=True)
    until(lambda: recorder.missed_path is not None and len(missed(recorder)) == 7)
    assert set(missed(recorder)) == {str(number) for number in range(7)}
    recorder.close(0.5)
    assert set(missed(recorder)) == {str(number) for number in range(12)}


@pytest.mark.server
def test_where_not_even_a_file_can_be_written_the_log_says_so(
    make: Make, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    recorder = Recorder(RunStore(nobody(), "runs"), folder=tmp_path / "nowhere")
    recorder.changed(end(state_of()))
    assert not recorder.close(0.3)
    assert "The log of run r1 could be written nowhere and is lost" in warnings_of(caplog)


def test_a_log_that_is_too_large_is_cut_in_the_row(
    table: RunTable, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    recorder, state = make(table.store()), state_of()
    recorder.changed(end(state, RunStatus.FAILED, error_message="e", error_stack_trace="ü" * 500_000))
    assert recorder.flush(30)
    log = table.log("r1")
    assert (log.status, log.error_message) == (RunStatus.FAILED, "e")
    assert log.error_stack_trace is not None
    assert "characters left out]…" in log.error_stack_trace
    assert log.log_messages[-1]["message"] in warnings_of(caplog)[0]


def test_a_row_that_others_made_large_gets_a_smaller_log(dynoxide_server: Server, make: Make) -> None:
    table = run_table(dynoxide_server)
    row = {"run_id": {"S": "r1"}, "status": {"S": "running"}, "theirs": {"S": "x" * 300_000}}
    dynoxide_server.put(table.name, row)
    recorder = make(table.store())
    recorder.changed(end(state_of(), RunStatus.FAILED, error_stack_trace="x" * 350_000))
    assert recorder.flush(30)
    assert table.log("r1").status is RunStatus.FAILED
    assert len(table.item("r1")["theirs"]["S"]) == 300_000


@pytest.mark.server
def test_a_log_that_dynamodb_refuses_goes_to_the_file(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(operation: str, request: dict[str, Any]) -> Reply:
        return refusal("ValidationException", "The provided key element does not match the schema")

    with scripted_server(refuse) as server:
        recorder = make(RunStore(server.connection, "runs"))
        states = [state_of(str(number)) for number in range(2)]
        for state in states:
            recorder.changed(state, urgent=True)
        assert recorder.flush(30)
        for state in states:
            recorder.changed(end(state), urgent=True)
        assert not recorder.flush()
    assert set(missed(recorder)) == {"0", "1"}
    refused, where = warnings_of(caplog)
    assert "does not match the schema" in refused
    assert "are in" in where


@pytest.mark.server
def test_the_lines_of_the_file_are_json(make: Make) -> None:
    recorder = make(RunStore(nobody(), "runs"))
    recorder.changed(end(state_of(tags={"a": "b\nc"})))
    recorder.close(0.3)
    assert recorder.missed_path is not None
    (line,) = recorder.missed_path.read_text().splitlines()
    assert json.loads(line)["tags"] == {"a": "b\nc"}
