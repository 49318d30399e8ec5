"""A run as a state machine: what events make of its log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_dynamo.metadata.models import LogLevel, PipelineRunLog, RunStatus
from spark_dynamo.run_logs.events import (
    Checked,
    Described,
    Ended,
    Event,
    Figures,
    Logged,
    Measured,
    StageEnded,
    StageStarted,
    TableRead,
    TableWritten,
)
from spark_dynamo.run_logs.state import RunState

START = datetime(2026, 11, 1, 8, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def state_of(*events: Event, **given: Any) -> RunState:
    first = PipelineRunLog(
        run_id="r",
        pipeline_id="p",
        status=RunStatus.RUNNING,
        trigger_type="t",
        start_time=START,
        updated_at=START,
        **given,
    )
    state = RunState(first)
    for event in events:
        assert state.apply(event)
    return state


def test_a_new_run_knows_nothing_but_that_it_runs() -> None:
    log = state_of().snapshot()
    assert log.status is RunStatus.RUNNING
    unknown = {
        name: getattr(log, name)
        for name in PipelineRunLog.model_fields
        if name.endswith(
            ("_count", "_bytes", "_hours", "_gb", "_time", "_seconds", "_processed", "_failed", "_complete")
        )
        or name.startswith("rows_")
    }
    assert set(unknown) >= {"rows_read", "rows_written", "spill_bytes", "task_count", "total_records_processed"}
    assert {name for name, value in unknown.items() if value is not None} == {"start_time", "retry_count"}


def test_an_end_gives_time_and_exact_seconds() -> None:
    log = state_of(Ended(RunStatus.FAILED, at(1.000001), "ValueError: no", "Traceback")).snapshot()
    assert (log.status, log.end_time, log.duration_seconds) == (RunStatus.FAILED, at(1.000001), Decimal("1.000001"))
    assert (log.error_message, log.error_stack_trace) == ("ValueError: no", "Traceback")


def test_nothing_changes_after_the_end() -> None:
    state = state_of(StageStarted("a", "load", at(1)), Ended(RunStatus.SUCCESS, at(2)))
    before = state.snapshot()
    for event in (
        Ended(RunStatus.FAILED, at(3)),
        Logged("late", at(3)),
        StageEnded("a", at(3)),
        Measured("a", Figures(rows_read=1), at(3)),
    ):
        assert not state.apply(event)
    assert state.snapshot() == before


def test_a_failed_stage_fails_no_run() -> None:
    log = state_of(
        StageStarted("a", "load", at(1)),
        StageEnded("a", at(3), RunStatus.FAILED, "ValueError: bad file"),
        Ended(RunStatus.SUCCESS, at(4)),
    ).snapshot()
    (stage,) = log.stages
    assert (stage.status, stage.error_message, stage.duration_seconds) == (
        RunStatus.FAILED,
        "ValueError: bad file",
        Decimal(2),
    )
    assert log.status is RunStatus.SUCCESS


def test_the_current_stage_is_the_innermost_open_one() -> None:
    state = state_of(StageStarted("a", "outer", at(1)), StageStarted("b", "inner", at(2)))
    assert state.snapshot().current_stage == "inner"
    state.apply(StageEnded("b", at(3)))
    assert state.snapshot().current_stage == "outer"
    state.apply(StageEnded("a", at(4)))
    assert state.snapshot().current_stage is None


def test_stages_with_one_name_get_numbers() -> None:
    state = state_of(*(StageStarted(key, name, at(1)) for key, name in enumerate(["load", "load", "load (2)", "load"])))
    assert [stage.stage_name for stage in state.snapshot().stages] == ["load", "load (2)", "load (2) (2)", "load (3)"]


def test_a_stage_that_is_open_at_the_end_is_cancelled() -> None:
    log = state_of(StageStarted("a", "load", at(1)), Ended(RunStatus.SUCCESS, at(2))).snapshot()
    assert (log.stages[0].status, log.stages[0].end_time, log.current_stage) == (RunStatus.CANCELLED, at(2), None)


def test_figures_of_a_key_take_the_place_of_its_former_ones_and_keys_add_up() -> None:
    state = state_of(
        StageStarted("a", "load", at(1)),
        Measured("a", Figures(rows_read=5, records_processed=5, peak_memory_bytes=70), at(2)),
        Measured("a", Figures(rows_read=7, records_processed=7, peak_memory_bytes=80), at(3)),
        Measured("b", Figures(rows_read=3, rows_written=0, peak_memory_bytes=60, cpu_seconds=Decimal(1800)), at(4)),
    )
    log = state.snapshot()
    assert (log.rows_read, log.rows_written, log.spill_bytes) == (10, 0, None)
    assert (log.peak_memory_bytes, log.cpu_hours) == (80, Decimal("0.5"))
    assert (log.stages[0].records_processed, log.total_records_processed) == (7, 7)


def test_a_failed_check_is_told_and_fails_no_run() -> None:
    state = state_of(Checked("rows", True, at(1), 1, 1), Checked("nulls", False, at(2), expected=0, actual={"id": 3}))
    log = state.snapshot()
    assert [(check.check_name, check.passed) for check in log.data_quality_results] == [
        ("rows", True),
        ("nulls", False),
    ]
    assert (log.data_quality_passed, log.data_quality_results[1].actual_value) == (False, {"id": 3})
    assert log.status is RunStatus.RUNNING


def test_messages_below_the_level_are_left_out() -> None:
    state = state_of(log_level=LogLevel.WARNING)
    assert not state.apply(Logged("quiet", at(1), "info"))
    assert state.apply(Logged("loud", at(2), "ERROR"))
    assert state.apply(Logged("of a level of its own", at(3), "audit"))
    assert [message["level"] for message in state.snapshot().log_messages] == ["error", "audit"]


def test_tables_count_once_and_keep_their_order() -> None:
    log = state_of(
        TableRead("b", at(1)), TableRead("a", at(2)), TableRead("b", at(3)), TableWritten("c", at(4))
    ).snapshot()
    assert (log.input_tables, log.output_tables, log.updated_at) == (["b", "a"], ["c"], at(4))


def test_metrics_that_were_incomplete_once_stay_so() -> None:
    state = state_of(Described(at(1), spark_version="4.3.0", metrics_complete=True))
    assert state.snapshot().metrics_complete is True
    state.apply(Described(at(2), metrics_complete=False, monitoring_urls={"ui": "http://u"}))
    state.apply(Described(at(3), metrics_complete=True))
    log = state.snapshot()
    assert (log.metrics_complete, log.spark_version, log.monitoring_urls) == (False, "4.3.0", {"ui": "http://u"})


def test_a_clock_that_was_set_back_gives_no_duration() -> None:
    assert state_of(Ended(RunStatus.SUCCESS, at(-5))).snapshot().duration_seconds is None


def test_a_run_with_very_many_messages_keeps_the_first_and_the_newest_and_says_so() -> None:
    state = state_of(*(Logged(str(number), at(number)) for number in range(6_000)))
    messages = [message["message"] for message in state.snapshot().log_messages]
    assert messages[:1_000] == [str(number) for number in range(1_000)]
    assert messages[1_000:-1] == [str(number) for number in range(2_000, 6_000)]
    assert messages[-1] == "Left out between the first 1,000 and the newest 4,000: 1,000 log messages"


EVENTS = st.one_of(
    st.builds(StageStarted, st.integers(0, 3), st.sampled_from(["load", "save"]), st.integers(0, 9).map(at)),
    st.builds(StageEnded, st.integers(0, 3), st.integers(0, 9).map(at), st.just(RunStatus.FAILED)),
    st.builds(Measured, st.integers(0, 3), st.builds(Figures, rows_read=st.none() | st.integers(0, 9)), st.just(at(1))),
    st.builds(Ended, st.sampled_from([RunStatus.SUCCESS, RunStatus.CANCELLED]), st.integers(0, 9).map(at)),
)


@given(st.lists(EVENTS, max_size=12))
def test_whatever_happens_the_log_is_valid_and_ends_once(events: list[Event]) -> None:
    state = state_of()
    for event in events:
        state.apply(event)
    log = state.snapshot()
    assert PipelineRunLog.model_validate(log.model_dump()) == log
    names = [stage.stage_name for stage in log.stages]
    assert len(set(names)) == len(names)
    ends = [event for event in events if isinstance(event, Ended)]
    assert log.status is (ends[0].status if ends else RunStatus.RUNNING)
    if ends:
        assert all(stage.status is not RunStatus.RUNNING for stage in log.stages)


def test_a_run_can_not_end_as_running() -> None:
    with pytest.raises(AssertionError, match="can't end as running"):
        state_of().apply(Ended(RunStatus.RUNNING, at(1)))
