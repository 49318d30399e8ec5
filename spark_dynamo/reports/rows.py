"""The cells of a table of runs, and the sum of each pipeline's, as every screen shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.reports.formatting import UNKNOWN, count_text, duration_text, line_text, time_text
from spark_dynamo.reports.outliers import Usual, usual
from spark_dynamo.reports.status import LOOKS, Look, is_open, over_sla, rows_field, seconds_of, trouble

__all__ = ["HEADINGS", "PipelineSum", "RunRow", "pipeline_sums", "run_rows", "usual_rows", "usual_seconds"]

HEADINGS = ("status", "pipeline", "started", "took", "rows in", "rows out", "run", "what failed")
_LONGEST_NAME = 48


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as texts; remarks tell how far its duration and rows are from what is usual, and are empty where that is not far.

    A run that takes longer than its tag `sla_minutes` allows is remarked, too; of rows only a drop is.
    """

    log: PipelineRunLog
    look: Look
    status: str
    pipeline: str
    started: str
    took: str
    remark: str
    rows_in: str
    rows_out: str
    rows_in_remark: str
    rows_out_remark: str
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
    read, written = usual_rows(logs, "rows_read"), usual_rows(logs, "rows_written")
    return [
        _row(log, zone, now, (limits[log.pipeline_id], read[log.pipeline_id], written[log.pipeline_id])) for log in logs
    ]


def usual_rows(logs: Sequence[PipelineRunLog], field: str) -> dict[str, Usual | None]:
    """The usual rows of each pipeline in that field, `rows_read` or `rows_written`, from its successful runs."""
    counts: dict[str, list[float]] = {log.pipeline_id: [] for log in logs}
    for log in logs:
        count = getattr(log, field)
        if log.status is RunStatus.SUCCESS and count is not None:
            counts[log.pipeline_id].append(float(count))
    return {pipeline: usual(found) for pipeline, found in counts.items()}


def _row(
    log: PipelineRunLog, zone: tzinfo, now: datetime, limits: tuple[Usual | None, Usual | None, Usual | None]
) -> RunRow:
    seconds = seconds_of(log, now)
    took = duration_text(seconds)
    return RunRow(
        log=log,
        look=LOOKS[log.status],
        status=log.status.value,
        pipeline=line_text(log.pipeline_id, _LONGEST_NAME),
        started=time_text(log.start_time, zone),
        took=f"{took} so far" if is_open(log) and seconds is not None else took,
        remark=_remark(log, None if seconds is None else float(seconds), limits[0], now),
        rows_in=count_text(log.rows_read),
        rows_out=count_text(log.rows_written),
        rows_in_remark=_drop(log, log.rows_read, limits[1]),
        rows_out_remark=_drop(log, log.rows_written, limits[2]),
        trouble=trouble(log),
    )


def _remark(log: PipelineRunLog, seconds: float | None, limits: Usual | None, now: datetime) -> str:
    """What a run took against the usual and against what it may; one that did not succeed may well have ended early."""
    told = []
    if seconds is not None and limits is not None and limits.median:
        is_short = seconds < limits.low and log.status is RunStatus.SUCCESS
        if is_short or seconds > limits.high:
            told.append(_ratio(seconds, limits))
    if (allowed := over_sla(log, now)) is not None:
        told.append(f"SLA {duration_text(allowed)}")
    return ", ".join(told)


def _drop(log: PipelineRunLog, count: int | None, limits: Usual | None) -> str:
    """How few rows a successful run has against the usual."""
    is_drop = count is not None and limits is not None and log.status is RunStatus.SUCCESS and count < limits.low
    return _ratio(count, limits) if is_drop and count is not None and limits is not None else ""


def _ratio(value: float, limits: Usual) -> str:
    ratio = value / limits.median
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
