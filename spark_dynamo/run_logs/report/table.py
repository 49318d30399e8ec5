"""The cells of a table of runs, and the sum of each pipeline's, as every screen shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.run_logs.report.standing import LOOKS, Look, is_open, rows_field, seconds_of, trouble
from spark_dynamo.run_logs.report.usual import Usual, usual
from spark_dynamo.run_logs.report.words import UNKNOWN, count_text, duration_text, line_text, time_text

__all__ = ["HEADINGS", "PipelineSum", "RunRow", "pipeline_sums", "run_rows", "usual_seconds"]

HEADINGS = ("status", "pipeline", "started", "took", "rows in", "rows out", "run", "what failed")
_LONGEST_NAME = 48


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as texts; `remark` says how far its duration is from the usual one, and is empty where that is not far."""

    log: PipelineRunLog
    look: Look
    status: str
    pipeline: str
    started: str
    took: str
    remark: str
    rows_in: str
    rows_out: str
    trouble: str


@dataclass(frozen=True, slots=True)
class PipelineSum:
    """The runs of one pipeline in sum; `rows` has one number a run, oldest first, None where it is not known, and `rows_name`
    says of what, as in "rows written".
    """

    pipeline: str
    count: int
    succeeded: int
    ended: int
    usual: str
    rows_name: str
    rows: tuple[int | None, ...]
    statuses: tuple[RunStatus, ...]


def usual_seconds(logs: Sequence[PipelineRunLog]) -> dict[str, Usual | None]:
    """The usual duration of each pipeline, from its successful runs."""
    taken: dict[str, list[float]] = {log.pipeline_id: [] for log in logs}
    for log in logs:
        if log.status is RunStatus.SUCCESS and log.duration_seconds is not None:
            taken[log.pipeline_id].append(float(log.duration_seconds))
    return {pipeline: usual(seconds) for pipeline, seconds in taken.items()}


def run_rows(logs: Sequence[PipelineRunLog], zone: tzinfo, now: datetime) -> list[RunRow]:
    """A row for each run, in their order."""
    limits = usual_seconds(logs)
    return [_row(log, zone, now, limits[log.pipeline_id]) for log in logs]


def _row(log: PipelineRunLog, zone: tzinfo, now: datetime, limits: Usual | None) -> RunRow:
    seconds = seconds_of(log, now)
    took = duration_text(seconds)
    return RunRow(
        log=log,
        look=LOOKS[log.status],
        status=log.status.value,
        pipeline=line_text(log.pipeline_id, _LONGEST_NAME),
        started=time_text(log.start_time, zone),
        took=f"{took} so far" if is_open(log) and seconds is not None else took,
        remark=_remark(log, None if seconds is None else float(seconds), limits),
        rows_in=count_text(log.rows_read),
        rows_out=count_text(log.rows_written),
        trouble=trouble(log),
    )


def _remark(log: PipelineRunLog, seconds: float | None, limits: Usual | None) -> str:
    """What a run took against the usual; one that did not succeed may well have ended early."""
    if seconds is None or limits is None or not limits.median:
        return ""
    is_short = seconds < limits.low and log.status is RunStatus.SUCCESS
    if not is_short and seconds <= limits.high:
        return ""
    ratio = seconds / limits.median
    return f"{ratio:,.0f}× usual" if ratio >= 10 else f"{ratio:.2g}× usual"


def pipeline_sums(logs: Sequence[PipelineRunLog]) -> list[PipelineSum]:
    """The sum of each pipeline, that with the most runs first."""
    runs: dict[str, list[PipelineRunLog]] = {}
    for log in sorted(logs, key=lambda log: log.start_time):
        runs.setdefault(log.pipeline_id, []).append(log)
    limits = usual_seconds(logs)
    sums = [_sum(pipeline, ordered, limits[pipeline]) for pipeline, ordered in runs.items()]
    return sorted(sums, key=lambda found: (-found.count, found.pipeline))


def _sum(pipeline: str, ordered: Sequence[PipelineRunLog], limits: Usual | None) -> PipelineSum:
    field = rows_field(ordered)
    return PipelineSum(
        pipeline=line_text(pipeline, _LONGEST_NAME),
        count=len(ordered),
        succeeded=sum(log.status is RunStatus.SUCCESS for log in ordered),
        ended=sum(not is_open(log) for log in ordered),
        usual=duration_text(limits.median) if limits else UNKNOWN,
        rows_name=field.removeprefix("total_").replace("_", " "),
        rows=tuple(getattr(log, field) for log in ordered),
        statuses=tuple(log.status for log in ordered),
    )
