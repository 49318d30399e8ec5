"""What can happen in a run, as events with their times; `state.RunState` takes them in."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

from spark_dynamo.metadata.models import LogLevel, RunStatus

__all__ = [
    "Checked",
    "Counted",
    "Described",
    "Ended",
    "Event",
    "Figures",
    "Logged",
    "Measured",
    "StageEnded",
    "StageStarted",
    "TableRead",
    "TableWritten",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was counted; None is not known, and 0 that there was none. Bytes are bytes, `cpu_seconds` those of all tasks."""

    records_processed: int | None = None
    records_failed: int | None = None
    rows_read: int | None = None
    rows_written: int | None = None
    input_bytes: int | None = None
    output_bytes: int | None = None
    shuffle_read_bytes: int | None = None
    shuffle_write_bytes: int | None = None
    spill_bytes: int | None = None
    task_count: int | None = None
    failed_task_count: int | None = None
    peak_memory_bytes: int | None = None
    cpu_seconds: Decimal | None = None


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage began; `key` tells it from all others of the run, its name is made unique."""

    key: Hashable
    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class StageEnded:
    """A stage ended; that it failed says nothing about the run, whose code may have caught the error."""

    key: Hashable
    at: datetime
    status: RunStatus = RunStatus.SUCCESS
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was counted so far under `key` (a stage's, a SQL execution's): it takes the place of what was told before.

    The run's figures are the sums over all keys that know them, its peak the largest. Under a stage's key,
    `records_processed` is the stage's. A stage's figures are final once 1,000 more stages have ended: tell nothing of it then.
    """

    key: Hashable
    figures: Figures
    at: datetime


@dataclass(frozen=True, slots=True)
class Logged:
    """A log message, perhaps with details by their names; one below the run's level is left out."""

    message: str
    at: datetime
    level: str = LogLevel.INFO
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counted:
    """A number of the run's own, which adds up with what was told under the same name; see `RunMetrics.add`."""

    name: str
    value: Any
    at: datetime
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A data quality check; one that failed does not fail the run."""

    name: str
    passed: bool
    at: datetime
    expected: Any = None
    actual: Any = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class TableRead:
    """The run read a table."""

    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class TableWritten:
    """The run wrote a table; `stage` is the key of the stage that did, None where that is not known."""

    name: str
    at: datetime
    stage: Hashable | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """What is learned of the session; None where nothing new is known. Once `metrics_complete` is False it stays so."""

    at: datetime
    spark_version: str | None = None
    spark_application_id: str | None = None
    metrics_complete: bool | None = None
    metrics_source: str | None = None
    monitoring_urls: Mapping[str, str] = field(default_factory=dict)
    schema_fingerprints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """The run ended, once and for all, with a status that is not pending or running."""

    status: RunStatus
    at: datetime
    error_message: str | None = None
    error_stack_trace: str | None = None


Event: TypeAlias = (
    StageStarted | StageEnded | Measured | Logged | Counted | Checked | TableRead | TableWritten | Described | Ended
)
