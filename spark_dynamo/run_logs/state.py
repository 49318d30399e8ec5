"""One run as a state machine: events go in, a `PipelineRunLog` comes out. Nothing here reads a clock or does IO.

Events may come from several threads. Each carries its own time. A run ends once: events that come later change nothing. What
no event has told stays None, never 0.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from spark_dynamo.errors.masking import masked
from spark_dynamo.metadata.models import (
    DataQualityResult,
    LogLevel,
    PipelineRunLog,
    RunStatus,
    StageInfo,
    seconds_between,
)
from spark_dynamo.run_logs.events import (
    Checked,
    Counted,
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
from spark_dynamo.run_logs.metrics import RunMetrics
from spark_dynamo.run_logs.plain_values import plain, text

__all__ = ["LEFT_OPEN", "OPEN_STATUSES", "RunState"]

OPEN_STATUSES = frozenset({RunStatus.PENDING, RunStatus.RUNNING})
LEFT_OPEN = "The run ended while this stage was open"
_FIRST_KEPT = 1_000  # stages and messages: the first so many and the newest so many
_NEWEST_KEPT = 4_000
_SETTLING = 1_000  # ended stages whose figures may still change
_NAMES_KEPT = 10_000
_NUMBERED = re.compile(r"(.+) \((\d+)\)", re.DOTALL)
_HOURS = Decimal(3600)
_NAMES = tuple(one.name for one in fields(Figures))
_COLUMNS = {  # of a run log, by the names of its figures
    "records_processed": "total_records_processed",
    "records_failed": "total_records_failed",
    "input_bytes": "input_data_size_bytes",
    "output_bytes": "output_data_size_bytes",
} | {
    name: name
    for name in (
        "rows_read",
        "rows_written",
        "shuffle_read_bytes",
        "shuffle_write_bytes",
        "spill_bytes",
        "task_count",
        "failed_task_count",
        "peak_memory_bytes",
    )
}
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
            duration_seconds=seconds_between(self.started, self.ended),
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
    """How one run stands. `first` is its log at the start, with all that never changes; `secrets` become stars in each text.

    >>> from datetime import UTC, timedelta
    >>> from spark_dynamo.run_logs.events import Ended
    >>> eight = datetime(2026, 11, 1, 8, tzinfo=UTC)
    >>> first = PipelineRunLog(run_id="r", pipeline_id="p", status="running", trigger_type="x", start_time=eight)
    >>> state = RunState(first)
    >>> state.apply(Ended(RunStatus.SUCCESS, eight + timedelta(seconds=90)))
    True
    >>> log = state.snapshot()
    >>> log.status, log.duration_seconds, log.rows_read
    (<RunStatus.SUCCESS: 'success'>, Decimal('90.000000'), None)
    """

    def __init__(self, first: PipelineRunLog, secrets: Sequence[str | None] = ()) -> None:
        self._first = first
        self._secrets = secrets
        self._lock = threading.RLock()  # a signal's handler may come in between
        self._stages: _Kept[_Stage] = _Kept()
        self._by_key: dict[Hashable, _Stage] = {}
        self._open: dict[Hashable, _Stage] = {}
        self._numbers: dict[str, int] = {}  # the last number of each name
        self._settling: deque[Hashable] = deque()
        self._settled: dict[str, Any] = {}  # sums of the figures that no longer change
        self._uncounted: set[str] = set()  # sums that some of these would make too small
        self._messages: _Kept[dict[str, Any]] = _Kept()
        self._checks: _Kept[DataQualityResult] = _Kept()
        self._failed_checks = 0
        self._metrics = RunMetrics()
        self._measured: dict[Hashable, Figures] = {}
        self._read: dict[str, None] = {}
        self._written: dict[str, Hashable | None] = {}  # the newest stage that wrote each table
        self._targets: dict[Hashable, set[str]] = {}  # what each of these stages wrote
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
    def pipeline_id(self) -> str:
        """The pipeline's id."""
        return self._first.pipeline_id

    @property
    def status(self) -> RunStatus:
        """How the run stands."""
        return self._first.status if self._ended is None else self._ended.status

    @property
    def is_ended(self) -> bool:
        """Whether the run has ended."""
        return self._ended is not None

    def apply(self, event: Event) -> bool:
        """Take in what happened; False where it changes nothing, as the run or the stage has ended before.

        Raises ValidationError for a number that can't be counted.
        """
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
            case Counted():
                self._metrics.add(event.name, event.value, event.unit)
            case Checked():
                self._failed_checks += not event.passed
                self._checks.add(
                    DataQualityResult(
                        check_name=text(event.name),
                        passed=bool(event.passed),
                        expected_value=self._masked(plain(event.expected)),
                        actual_value=self._masked(plain(event.actual)),
                        error_message=self._told(event.error_message),
                    )
                )
            case TableRead():
                self._read[text(event.name)] = None
            case TableWritten():
                self._write(text(event.name), event.stage)
            case Described():
                self._describe(event)
            case Ended():
                assert event.status not in OPEN_STATUSES, f"a run can't end as {event.status}"
                for stage in self._open.values():
                    stage.status, stage.ended = RunStatus.CANCELLED, event.at
                    stage.error = LEFT_OPEN
                self._open.clear()
                self._ended = replace(
                    event,
                    error_message=self._told(event.error_message),
                    error_stack_trace=self._told(event.error_stack_trace),
                )
        return True

    def _masked(self, value: Any) -> Any:
        return masked(value, self._secrets)

    def _told(self, message: str | None) -> str | None:
        """A text of the user's, or of an error, without secrets."""
        return message and str(self._masked(text(message)))

    def _write(self, name: str, stage: Hashable | None) -> None:
        if stage is None:
            self._written.setdefault(name)
        else:
            self._written[name] = stage
            self._targets.setdefault(stage, set()).add(name)

    def _start(self, event: StageStarted) -> bool:
        if event.key in self._by_key:
            return False
        stage = _Stage(self._unique(text(event.name)), event.at)
        self._by_key[event.key] = self._open[event.key] = stage
        self._stages.add(stage)
        return True

    def _unique(self, name: str) -> str:
        number = self._numbers.pop(name, 0)
        if not number and not self._is_taken(name):
            unique, number = name, 1
        else:
            number = max(number, 1) + 1
            while self._is_taken(unique := f"{name} ({number})"):
                number += 1
        self._numbers[name] = number
        if len(self._numbers) > _NAMES_KEPT:
            del self._numbers[next(iter(self._numbers))]
        return unique

    def _is_taken(self, name: str) -> bool:
        numbered = _NUMBERED.fullmatch(name)
        return name in self._numbers or (
            numbered is not None and 1 < int(numbered[2]) <= self._numbers.get(numbered[1], 0)
        )

    def _end_stage(self, event: StageEnded) -> bool:
        stage = self._open.pop(event.key, None)
        if stage is None:
            return False
        stage.status, stage.ended = event.status, event.at
        stage.error = self._told(event.error_message)
        self._settling.append(event.key)
        if len(self._settling) > _SETTLING:
            self._settle(self._settling.popleft())
        return True

    def _settle(self, key: Hashable) -> None:
        """Add the figures of a stage that ended long ago to those of others, so that memory does not grow."""
        del self._by_key[key]
        self._targets.pop(key, None)
        figures = self._measured.pop(key, None)
        if figures is not None:
            self._settled = _sums([self._settled, _known(figures)])
            self._uncounted |= _uncounted(figures)

    def _log(self, event: Logged) -> bool:
        level = text(event.level).lower()
        if level in _LEVELS and _LEVELS.index(LogLevel(level)) < _LEVELS.index(self._first.log_level):
            return False
        entry: dict[str, Any] = {"time": event.at.isoformat(), "level": level, "message": self._told(event.message)}
        for name, detail in self._masked(plain(event.details)).items():
            while name in entry:
                name += "_"
            entry[name] = detail
        self._messages.add(entry)
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

    def writes(self) -> dict[str, Figures]:
        """What the newest stage that wrote a table counted, by table: where it succeeded, is measured and wrote no other."""
        with self._lock:
            return {
                name: self._measured[stage]
                for name, stage in self._written.items()
                if stage in self._measured
                and stage in self._by_key
                and self._by_key[stage].status is RunStatus.SUCCESS
                and self._targets[stage] == {name}
            }

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
                "custom_metrics": self._metrics.snapshot(),
                "updated_at": self._updated,
                **self._described,
                **self._figures(),
            }
        if ended is not None:
            changes |= {
                "end_time": ended.at,
                "duration_seconds": seconds_between(self._first.start_time, ended.at),
                "error_message": ended.error_message,
                "error_stack_trace": ended.error_stack_trace,
            }
        return self._first.model_copy(update=changes)

    def _left_out(self) -> Iterator[dict[str, Any]]:
        kept: dict[str, _Kept[Any]] = {"log messages": self._messages, "stages": self._stages, "checks": self._checks}
        told = ", ".join(f"{part.left_out:,} {name}" for name, part in kept.items() if part.left_out)
        if told:
            message = f"Left out between the first {_FIRST_KEPT:,} and the newest {_NEWEST_KEPT:,}: {told}"
            yield {"time": self._updated.isoformat(), "level": LogLevel.WARNING.value, "message": message}

    def _figures(self) -> dict[str, Any]:
        sums = _sums([self._settled, *map(_known, self._measured.values())])
        for name in self._uncounted.union(*map(_uncounted, self._measured.values())):
            sums.pop(name, None)
        cpu = sums.pop("cpu_seconds", None)
        figures = {column: sums.get(name) for name, column in _COLUMNS.items()}
        return {**figures, "cpu_hours": None if cpu is None else round(cpu / _HOURS, 9)}


def _uncounted(figures: Figures) -> set[str]:
    """The sizes that are not known of rows that are: nobody has counted their bytes, as of JDBC."""
    pairs = (("rows_read", "input_bytes"), ("rows_written", "output_bytes"))
    return {size for rows, size in pairs if getattr(figures, rows) and not getattr(figures, size)}


def _known(figures: Figures) -> dict[str, Any]:
    return {name: value for name in _NAMES if (value := getattr(figures, name)) is not None}


def _sums(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of what is known, of peaks the largest."""
    sums: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            former = sums.get(name)
            if former is not None:
                value = max(former, value) if name == "peak_memory_bytes" else former + value
            sums[name] = value
    return sums
