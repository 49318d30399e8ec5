"""How a run stands: its status with the look that it has everywhere, how long it took or has taken, and what failed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus, StageInfo
from spark_dynamo.reports.formatting import line_text
from spark_dynamo.run_logs.state import OPEN_STATUSES
from spark_dynamo.run_logs.store import lease_text, lost_message

__all__ = [
    "LOOKS",
    "Look",
    "as_lost",
    "is_open",
    "is_overdue",
    "last_sign",
    "over_sla",
    "rows_field",
    "seconds_of",
    "stage_seconds",
    "trouble",
]


@dataclass(frozen=True, slots=True)
class Look:
    """How a status looks: a glyph beside its name, a fill that people with any colour vision tell apart, its text's colour.

    `hatch` is matplotlib's, so that a bar tells its status in print too, and `style` rich's.
    """

    glyph: str
    fill: str
    text: str
    hatch: str
    style: str


# fills: the palette of Okabe and Ito, darkened where white text stands on it (contrast of at least 4.5)
LOOKS: Mapping[RunStatus, Look] = MappingProxyType(
    {
        RunStatus.SUCCESS: Look("✓", "#00795a", "#ffffff", "", "green"),
        RunStatus.FAILED: Look("✗", "#c44601", "#ffffff", "////", "bold red"),
        RunStatus.RUNNING: Look("▶", "#0072b2", "#ffffff", "", "bold blue"),
        RunStatus.PENDING: Look("◷", "#c7dcea", "#000000", "", "blue"),
        RunStatus.CANCELLED: Look("■", "#f0c419", "#000000", "----", "yellow"),
        RunStatus.LOST: Look("?", "#b3548c", "#ffffff", "xxxx", "bold magenta"),
        RunStatus.SKIPPED: Look("↷", "#bdbdbd", "#000000", "", "dim"),
    }
)
_ROW_FIELDS = ("rows_written", "total_records_processed", "rows_read")
_LONGEST_TROUBLE = 200
_MODULES = re.compile(r"^(?:[^\W\d]\w*\.)+(?=[^\W\d]\w*:)")  # before an exception's class


def is_open(log: PipelineRunLog | StageInfo) -> bool:
    """Whether a run or stage has not ended."""
    return log.status in OPEN_STATUSES


def is_overdue(log: PipelineRunLog, now: datetime) -> bool:
    """Whether a run is open though its lease has run out: its driver is taken to be dead."""
    return is_open(log) and log.lease_expires_at is not None and log.lease_expires_at < now


def as_lost(log: PipelineRunLog) -> PipelineRunLog:
    """The log of an overdue run as `reap` would mark it, where its row can't be changed."""
    assert log.lease_expires_at is not None
    message = lost_message(log.lease_owner, lease_text(log.lease_expires_at))
    stages = [stage.model_copy(update={"status": RunStatus.LOST}) if is_open(stage) else stage for stage in log.stages]
    return log.model_copy(
        update={"status": RunStatus.LOST, "stages": stages, "error_message": log.error_message or message}
    )


def seconds_of(log: PipelineRunLog | StageInfo, now: datetime | None = None) -> Decimal | None:
    """Seconds that a run or stage took, until now where it is open; None where that is not known, as of a lost one.

    Nor is it known where the end is before the start.
    """
    if log.duration_seconds is not None:
        return log.duration_seconds
    if log.start_time is None or (log.end_time is None and not is_open(log)):
        return None
    end = log.end_time or max(now or datetime.now(UTC), log.start_time)
    return None if end < log.start_time else Decimal(str((end - log.start_time).total_seconds()))


def stage_seconds(stage: StageInfo, log: PipelineRunLog, now: datetime | None = None) -> Decimal | None:
    """The seconds that a run's stage took, or takes so far; None of one that was left open in a run that has ended."""
    return None if is_open(stage) and not is_open(log) and stage.end_time is None else seconds_of(stage, now)


def last_sign(log: PipelineRunLog) -> datetime:
    """When a run's driver last told something: the newest time of its stages and messages, else the start.

    >>> log = PipelineRunLog(run_id="r", pipeline_id="p", status="lost", trigger_type="x", start_time="2026-11-01T08:00Z")
    >>> last_sign(log.model_copy(update={"log_messages": [{"time": "2026-11-01T08:05:00+00:00"}]})).minute
    5
    """
    signs = [log.start_time]
    signs += [time for stage in log.stages for time in (stage.start_time, stage.end_time) if time is not None]
    for message in log.log_messages:
        with suppress(ValueError):  # somebody else's, without a time
            told = datetime.fromisoformat(str(message.get("time")))
            signs.append(told if told.tzinfo else told.replace(tzinfo=UTC))
    return max(signs)


def over_sla(log: PipelineRunLog, now: datetime | None = None) -> Decimal | None:
    """The seconds that the tag `sla_minutes` allows a run that took or takes longer; None of any other.

    >>> late = {"duration_seconds": 1900, "tags": {"sla_minutes": "30"}}
    >>> str(over_sla(PipelineRunLog(run_id="r", pipeline_id="p", status="success", trigger_type="x", **late)))
    '1800'
    """
    try:
        allowed = Decimal(log.tags.get("sla_minutes", "")) * 60
        seconds = seconds_of(log, now)
        return allowed if seconds is not None and seconds > allowed > 0 else None
    except ArithmeticError:  # no number, or none that time has
        return None


def rows_field(logs: Sequence[PipelineRunLog]) -> str:
    """The one figure that stands for the rows of these runs: those written, processed or read.

    The first that half of them know, else the one that most know.
    """
    known = {field: sum(getattr(log, field) is not None for log in logs) for field in _ROW_FIELDS}
    return next((field for field, count in known.items() if 2 * count >= len(logs)), max(known, key=known.__getitem__))


def trouble(log: PipelineRunLog, longest: int = _LONGEST_TROUBLE) -> str:
    """What failed in a run, in a line: its error, else its failed stages; its failed checks and records; empty where nothing did.

    >>> trouble(PipelineRunLog(run_id="r", pipeline_id="p", status="failed", trigger_type="x", error_message="a.b.IOError: a\\nb"))
    'IOError: a'
    """
    parts = [_MODULES.sub("", line_text(log.error_message, longest * 2))] if log.error_message else []
    if not parts:
        parts += _named("stage", [stage.stage_name for stage in log.stages if stage.status is RunStatus.FAILED])
    parts += _named("check", [check.check_name for check in log.data_quality_results if not check.passed])
    if not parts and not log.data_quality_passed:
        parts.append("a check failed")
    if log.total_records_failed:
        parts.append(f"{log.total_records_failed:,} records failed")
    return line_text("; ".join(parts), longest)


def _named(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [f"{what} '{line_text(names[0], 60)}'{more} failed"]
