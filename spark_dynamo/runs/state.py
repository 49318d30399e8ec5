"""One run as a state machine: events go in, a `PipelineRunLog` comes out. Nothing here reads a clock or does IO.

Events may come from several threads. Each carries its own time. A run ends once: events that come later change nothing. What
no event has told stays None, never 0.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, TypeVar

from spark_dynamo.metadata.models import DataQualityResult, LogLevel, PipelineRunLog, RunStatus, StageInfo
from spark_dynamo.runs.events import (
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
from spark_dynamo.runs.values import plain, text

__all__ = ["OPEN_STATUSES", "RunState"]

OPEN_STATUSES = frozenset({RunStatus.PENDING, RunStatus.RUNNING})
_FIRST_KEPT = 1_000  # stages and messages: the first so many and the newest so many
_NEWEST_KEPT = 4_000
_HOURS = Decimal(3600)
_LEVELS = list(LogLevel)
T = TypeVar("T")


@dataclass(slots=True)
class _Stage:
    name: str
    started: datetime
    status: RunStatus = RunStatus.RUNNING
    ended: datetime | None = None
    records: int | None = None
    error: str | None = None

    def info(self) -> StageInfo:
        return StageInfo(
            stage_name=self.name,
            status=self.status,
            start_time=self.started,
            end_time=self.ended,
            duration_seconds=_seconds(self.started, self.ended),
            records_processed=self.records,
            error_message=self.error,
        )


class _Kept(Generic[T]):
    """The first 1,000 and the newest 4,000 of what was added, so that a run of any length needs no more memory."""

    def __init__(self) -> None:
        self._first: list[T] = []
        self._newest: deque[T] = deque(maxlen=_NEWEST_KEPT)
        self.left_out = 0

    def add(self, value: T) -> None:
        if len(self._first) < _FIRST_KEPT:
            self._first.append(value)
        else:
            self.left_out += len(self._newest) == _NEWEST_KEPT
            self._newest.append(value)

    def __iter__(self) -> Iterator[T]:
        yield from self._first
        yield from self._newest


class RunState:
    """How one run stands. `first` is its log at the start, with all that never changes.

    >>> from datetime import UTC
    >>> from spark_dynamo.runs.events import Ended
    >>> eight = datetime(2026, 11, 1, 8, tzinfo=UTC)
    >>> first = PipelineRunLog(run_id="r", pipeline_id="p", status="running", trigger_type="x", start_time=eight)
    >>> state = RunState(first)
    >>> state.apply(Ended(RunStatus.SUCCESS, eight + timedelta(seconds=90)))
    True
    >>> log = state.snapshot()
    >>> log.status, log.duration_seconds, log.rows_read
    (<RunStatus.SUCCESS: 'success'>, Decimal('90.000000'), None)
    """

    def __init__(self, first: PipelineRunLog) -> None:
        self._first = first
        self._lock = threading.RLock()  # a signal's handler may come in between
        self._stages: _Kept[_Stage] = _Kept()
        self._by_key: dict[Hashable, _Stage] = {}
        self._open: dict[Hashable, _Stage] = {}
        self._names: set[str] = set()
        self._messages: _Kept[dict[str, Any]] = _Kept()
        self._checks: _Kept[DataQualityResult] = _Kept()
        self._failed_checks = 0
        self._measured: dict[Hashable, Figures] = {}
        self._read: dict[str, None] = {}
        self._written: dict[str, None] = {}
        self._described: dict[str, Any] = {
            "monitoring_urls": first.monitoring_urls,
            "schema_fingerprints": first.schema_fingerprints,
        }
        self._ended: Ended | None = None
        self._updated = first.updated_at

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._first.run_id

    @property
    def status(self) -> RunStatus:
        """How the run stands."""
        return self._first.status if self._ended is None else self._ended.status

    @property
    def is_ended(self) -> bool:
        """Whether the run has ended."""
        return self._ended is not None

    def apply(self, event: Event) -> bool:
        """Take in what happened; False where it changes nothing, as the run or the stage has ended before."""
        with self._lock:
            if self._ended is not None or not self._take(event):
                return False
            self._updated = max(self._updated, event.at)
            return True

    def _take(self, event: Event) -> bool:
        match event:
            case StageStarted():
                return self._start(event)
            case StageEnded():
                return self._end_stage(event)
            case Measured():
                self._measured[event.key] = event.figures
                if event.key in self._by_key:
                    self._by_key[event.key].records = event.figures.records_processed
            case Logged():
                return self._log(event)
            case Checked():
                self._failed_checks += not event.passed
                self._checks.add(
                    DataQualityResult(
                        check_name=text(event.name),
                        passed=bool(event.passed),
                        expected_value=plain(event.expected),
                        actual_value=plain(event.actual),
                        error_message=event.error_message and text(event.error_message),
                    )
                )
            case TableRead():
                self._read[text(event.name)] = None
            case TableWritten():
                self._written[text(event.name)] = None
            case Described():
                self._describe(event)
            case Ended():
                assert event.status not in OPEN_STATUSES, f"a run can't end as {event.status}"
                for stage in self._open.values():
                    stage.status, stage.ended = RunStatus.CANCELLED, event.at
                    stage.error = "The run ended while this stage was open"
                self._open.clear()
                self._ended = event
        return True

    def _start(self, event: StageStarted) -> bool:
        if event.key in self._by_key:
            return False
        name = unique = text(event.name)
        number = 1
        while unique in self._names:
            number += 1
            unique = f"{name} ({number})"
        self._names.add(unique)
        stage = _Stage(unique, event.at)
        self._by_key[event.key] = self._open[event.key] = stage
        self._stages.add(stage)
        return True

    def _end_stage(self, event: StageEnded) -> bool:
        stage = self._open.pop(event.key, None)
        if stage is None:
            return False
        stage.status, stage.ended = event.status, event.at
        stage.error = event.error_message and text(event.error_message)
        return True

    def _log(self, event: Logged) -> bool:
        level = text(event.level).lower()
        if level in _LEVELS and _LEVELS.index(LogLevel(level)) < _LEVELS.index(self._first.log_level):
            return False
        self._messages.add({"time": event.at.isoformat(), "level": level, "message": text(event.message)})
        return True

    def _describe(self, event: Described) -> None:
        told = self._described
        for name in ("spark_version", "spark_application_id", "metrics_source"):
            if getattr(event, name) is not None:
                told[name] = getattr(event, name)
        if event.metrics_complete is not None:
            told["metrics_complete"] = event.metrics_complete and told.get("metrics_complete") is not False
        told["monitoring_urls"] = {**told["monitoring_urls"], **event.monitoring_urls}
        told["schema_fingerprints"] = {**told["schema_fingerprints"], **event.schema_fingerprints}

    def snapshot(self) -> PipelineRunLog:
        """The run log as of now."""
        with self._lock:
            ended = self._ended
            changes: dict[str, Any] = {
                "status": self.status,
                "stages": [stage.info() for stage in self._stages],
                "current_stage": list(self._open.values())[-1].name if self._open else None,
                "data_quality_results": list(self._checks),
                "data_quality_passed": not self._failed_checks,
                "log_messages": [*self._messages, *self._left_out()],
                "input_tables": list(self._read),
                "output_tables": list(self._written),
                "updated_at": self._updated,
                **self._described,
                **self._figures(),
            }
        if ended is not None:
            changes |= {
                "end_time": ended.at,
                "duration_seconds": _seconds(self._first.start_time, ended.at),
                "error_message": ended.error_message and text(ended.error_message),
                "error_stack_trace": ended.error_stack_trace and text(ended.error_stack_trace),
            }
        return self._first.model_copy(update=changes)

    def _left_out(self) -> Iterator[dict[str, Any]]:
        kept: dict[str, _Kept[Any]] = {"log messages": self._messages, "stages": self._stages, "checks": self._checks}
        told = ", ".join(f"{part.left_out:,} {name}" for name, part in kept.items() if part.left_out)
        if told:
            message = f"Left out between the first {_FIRST_KEPT:,} and the newest {_NEWEST_KEPT:,}: {told}"
            yield {"time": self._updated.isoformat(), "level": LogLevel.WARNING.value, "message": message}

    def _figures(self) -> dict[str, Any]:
        known: dict[str, list[Any]] = {one.name: [] for one in fields(Figures)}
        for figures in self._measured.values():
            for name, values in known.items():
                value = getattr(figures, name)
                if value is not None:
                    values.append(value)
        cpu = known["cpu_seconds"]
        return {
            "total_records_processed": _total(known["records_processed"]),
            "total_records_failed": _total(known["records_failed"]),
            "rows_read": _total(known["rows_read"]),
            "rows_written": _total(known["rows_written"]),
            "input_data_size_bytes": _total(known["input_bytes"]),
            "output_data_size_bytes": _total(known["output_bytes"]),
            "shuffle_read_bytes": _total(known["shuffle_read_bytes"]),
            "shuffle_write_bytes": _total(known["shuffle_write_bytes"]),
            "spill_bytes": _total(known["spill_bytes"]),
            "task_count": _total(known["task_count"]),
            "failed_task_count": _total(known["failed_task_count"]),
            "peak_memory_bytes": max(known["peak_memory_bytes"], default=None),
            "cpu_hours": round(sum(cpu, Decimal()) / _HOURS, 9) if cpu else None,
        }


def _total(values: list[int]) -> int | None:
    return sum(values) if values else None


def _seconds(start: datetime, end: datetime | None) -> Decimal | None:
    """Seconds between two times; None where one is not known, or the clock was set back meanwhile."""
    if end is None or end < start:
        return None
    return Decimal((end - start) // timedelta(microseconds=1)).scaleb(-6)
