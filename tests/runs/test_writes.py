"""What a run knows of its writes, table by table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.run_logs.events import Figures, Measured, StageEnded, StageStarted, TableWritten
from spark_dynamo.run_logs.state import RunState

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def state() -> RunState:
    return RunState(PipelineRunLog(run_id="r", pipeline_id="p", status=RunStatus.RUNNING, trigger_type="x"))


def write(state: RunState, key: Any, *tables: str, rows: int | None = 1, status: str = "success") -> None:
    state.apply(StageStarted(key, "save", NOW))
    for table in tables:
        state.apply(TableWritten(table, NOW, key))
    if rows is not None:
        state.apply(Measured(key, Figures(rows_written=rows), NOW))
    if status:
        state.apply(StageEnded(key, NOW, RunStatus(status)))


def rows(state: RunState) -> dict[str, int | None]:
    return {table: figures.rows_written for table, figures in state.writes().items()}


def test_the_newest_write_of_each_table_counts(state: RunState) -> None:
    write(state, 1, "a", rows=5)
    write(state, 2, "b", rows=0)
    write(state, 3, "a", rows=7)
    assert rows(state) == {"a": 7, "b": 0}
    assert state.snapshot().output_tables == ["a", "b"]


@pytest.mark.parametrize(
    "newest",
    [{"rows": None}, {"status": "failed"}, {"status": ""}],
    ids=["not measured", "failed", "under way"],
)
def test_of_a_write_that_is_not_known_nothing_older_is_told(state: RunState, newest: dict[str, Any]) -> None:
    write(state, 1, "a", rows=5)
    write(state, 2, "a", **newest)
    assert rows(state) == {}


def test_a_stage_that_wrote_several_tables_counts_for_none(state: RunState) -> None:
    write(state, 1, "a", "b", rows=5)
    write(state, 2, "c", rows=6)
    assert rows(state) == {"c": 6}


def test_a_table_of_which_somebody_tells_by_hand_has_no_figures(state: RunState) -> None:
    state.apply(TableWritten("a", NOW))
    assert rows(state) == {}
    write(state, 1, "a", rows=5)
    state.apply(TableWritten("a", NOW))
    assert rows(state) == {"a": 5}


def test_memory_does_not_grow_with_the_number_of_writes(state: RunState) -> None:
    for number in range(3_000):
        write(state, number, "a", rows=number)
    assert rows(state) == {"a": 2_999}
    assert len(state._targets) <= 1_001
