"""The picture of durations and rows over time, with what is usual as a band and outliers marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.run_logs.report.canvas import (
    INK,
    MUTED,
    Picture,
    clean,
    count_axis,
    drawable,
    empty_picture,
    plain_text,
    set_title,
    time_axis,
    time_place,
    time_unit,
)
from spark_dynamo.run_logs.report.standing import LOOKS, seconds_of
from spark_dynamo.run_logs.report.usual import FEWEST, Usual, usual
from spark_dynamo.run_logs.report.words import duration_text, short_count
from spark_dynamo.run_logs.state import OPEN_STATUSES

__all__ = ["Point", "duration_points", "row_points", "trend"]

_MOST_PIPELINES = 4
_MOST_NAMED = 6  # outliers of a panel whose value is written beside them
_MARKERS = {
    RunStatus.SUCCESS: "o",
    RunStatus.FAILED: "X",
    RunStatus.RUNNING: ">",
    RunStatus.PENDING: ">",
    RunStatus.CANCELLED: "s",
    RunStatus.LOST: "P",
    RunStatus.SKIPPED: "d",
}
_READ, _WRITTEN = "#0072b2", "#d98200"
_BAND = "#e8eef2"


@dataclass(frozen=True, slots=True)
class Point:
    """What one run has of a figure, and whether that is an outlier."""

    time: datetime
    value: float
    status: RunStatus
    is_outlier: bool


def duration_points(logs: Sequence[PipelineRunLog], now: datetime) -> tuple[list[Point], Usual | None]:
    """Seconds of each run whose duration is known, and the usual ones."""
    values = [(log, seconds_of(log, now)) for log in logs]
    known = [(log, float(seconds)) for log, seconds in values if seconds is not None]
    limits = usual(seconds for log, seconds in known if log.status is RunStatus.SUCCESS)
    return [
        Point(
            log.start_time,
            seconds,
            log.status,
            limits is not None and (limits.is_outlier(seconds) if _counts(log) else seconds > limits.high),
        )
        for log, seconds in known
    ], limits


def row_points(logs: Sequence[PipelineRunLog], field: str) -> tuple[list[Point], Usual | None]:
    """Rows read or written of each run that knows them, and the usual ones; an outlier can only be a successful run."""
    known = [(log, float(getattr(log, field))) for log in logs if getattr(log, field) is not None]
    limits = usual(count for log, count in known if _counts(log))
    return [
        Point(log.start_time, count, log.status, limits is not None and _counts(log) and limits.is_outlier(count))
        for log, count in known
    ], limits


def _counts(log: PipelineRunLog) -> bool:
    return log.status is RunStatus.SUCCESS


def trend(logs: Sequence[PipelineRunLog], zone: tzinfo, now: datetime) -> Picture:
    """The picture; see `Runs.trend`."""
    if not logs:
        return empty_picture("No runs")
    counts = Counter(log.pipeline_id for log in logs)
    pipelines = [pipeline for pipeline, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))]
    shown = pipelines[:_MOST_PIPELINES]
    picture = Picture(figsize=(max(9.0, 4.6 * len(shown)), 5.6), facecolor="white", layout="constrained")
    grid = picture.subplots(2, len(shown), squeeze=False, sharex="col")
    for column, pipeline in enumerate(shown):
        of_pipeline = sorted((log for log in logs if log.pipeline_id == pipeline), key=lambda log: log.start_time)
        _durations(grid[0][column], of_pipeline, now)
        _rows(grid[1][column], of_pipeline)
        runs = "1 run" if len(of_pipeline) == 1 else f"{len(of_pipeline)} runs"
        set_title(grid[0][column], f"{drawable(pipeline, max(34, 80 // len(shown)))}: {runs}")
        time_axis(grid[1][column], zone, [log.start_time for log in of_pipeline])
    if len(pipelines) > len(shown):
        left_out = len(pipelines) - len(shown)
        picture.suptitle(f"The {len(shown)} pipelines with the most runs; {left_out} more are left out", fontsize=9)
    picture.align_ylabels()
    _legend(picture, [log for log in logs if log.pipeline_id in shown])
    return picture


def _durations(axes: Axes, logs: Sequence[PipelineRunLog], now: datetime) -> None:
    points, limits = duration_points(logs, now)
    unit, name = time_unit(max((point.value for point in points), default=1.0))
    clean(axes, "y")
    axes.set_ylabel(f"duration ({name})", fontsize=9, color=INK)
    _band(axes, limits, unit, _BAND, 1.0)
    ended = [point for point in points if point.status is RunStatus.SUCCESS]
    axes.plot(_times(ended), [point.value / unit for point in ended], color=MUTED, linewidth=1, zorder=2)
    for status in RunStatus:
        chosen = [point for point in points if point.status is status]
        if chosen:
            look = LOOKS[status]
            axes.scatter(
                _times(chosen),
                [point.value / unit for point in chosen],
                marker=_MARKERS[status],
                s=48 if status is not RunStatus.SUCCESS else 26,
                color=look.fill,
                edgecolors="white" if look.text == "#ffffff" else INK,
                linewidths=0.6,
                zorder=3,
            )
    lost = [time_place(log.start_time) for log in logs if seconds_of(log, now) is None]
    axes.scatter(
        lost, [0.0] * len(lost), marker=_MARKERS[RunStatus.LOST], s=48, color=LOOKS[RunStatus.LOST].fill, zorder=3
    )
    _name_outliers(axes, points, limits, unit, duration_text)
    _from_zero(axes, _top(points, limits) / unit)


def _rows(axes: Axes, logs: Sequence[PipelineRunLog]) -> None:
    clean(axes, "y")
    axes.set_ylabel("rows", fontsize=9, color=INK)
    tops = [1.0]
    for field, color, marker, line in (("rows_read", _READ, "o", "-"), ("rows_written", _WRITTEN, "s", "--")):
        points, limits = row_points(logs, field)
        if not points:
            continue
        _band(axes, limits, 1.0, color, 0.12)
        axes.plot(
            _times(points),
            [point.value for point in points],
            color=color,
            marker=marker,
            linestyle=line,
            markersize=4,
            linewidth=1.2,
            zorder=3,
        )
        _name_outliers(axes, points, limits, 1.0, short_count)
        tops.append(_top(points, limits))
    if len(tops) == 1:
        axes.text(0.5, 0.5, "rows are not known", ha="center", va="center", color=MUTED, transform=axes.transAxes)
    _from_zero(axes, max(tops))
    count_axis(axes)


def _from_zero(axes: Axes, top: float) -> None:
    """From 0 up, and a little below, so that the marks at 0 are whole."""
    axes.set_ylim(-0.045 * top, top)


def _times(points: Sequence[Point]) -> list[float]:
    return [time_place(point.time) for point in points]


def _top(points: Sequence[Point], limits: Usual | None) -> float:
    """The upper end of an axis, with room for what is written above the points."""
    return 1.2 * max([point.value for point in points] + ([limits.high] if limits else []), default=1.0) or 1.0


def _band(axes: Axes, limits: Usual | None, unit: float, color: str, strength: float) -> None:
    if limits is not None:
        axes.axhspan(limits.low / unit, limits.high / unit, color=color, alpha=strength, zorder=0, linewidth=0)
        axes.axhline(limits.median / unit, color=MUTED, linewidth=0.8, linestyle=":", zorder=1)


def _name_outliers(
    axes: Axes, points: Sequence[Point], limits: Usual | None, unit: float, say: Callable[[float], str]
) -> None:
    outliers = [point for point in points if point.is_outlier]
    axes.scatter(
        _times(outliers),
        [point.value / unit for point in outliers],
        s=150,
        facecolors="none",
        edgecolors=INK,
        linewidths=1.3,
        zorder=4,
    )
    if limits is None:
        return
    furthest = sorted(outliers, key=lambda point: -abs(point.value - limits.median))[:_MOST_NAMED]
    for point in furthest:
        text = axes.annotate(
            say(point.value),
            (time_place(point.time), point.value / unit),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=INK,
            zorder=5,
        )
        plain_text(text)


def _legend(picture: Picture, logs: Sequence[PipelineRunLog]) -> None:
    found = {log.status for log in logs}
    handles = [
        Line2D([], [], linestyle="", marker=_MARKERS[status], color=LOOKS[status].fill, label=_status_label(status))
        for status in RunStatus
        if status in found
    ]
    if any(log.rows_read is not None for log in logs):
        handles.append(Line2D([], [], color=_READ, marker="o", markersize=4, label="rows read"))
    if any(log.rows_written is not None for log in logs):
        handles.append(Line2D([], [], color=_WRITTEN, marker="s", linestyle="--", markersize=4, label="rows written"))
    if max(Counter(log.pipeline_id for log in logs if _counts(log)).values(), default=0) >= FEWEST:
        handles.append(Line2D([], [], color=_BAND, linewidth=8, label="usual"))
        handles.append(
            Line2D([], [], linestyle="", marker="o", markersize=10, markerfacecolor="none", color=INK, label="outlier")
        )
    picture.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 8), frameon=False, fontsize=8)


def _status_label(status: RunStatus) -> str:
    if status is RunStatus.LOST:
        return "lost, end unknown"
    return f"{status.value}, so far" if status in OPEN_STATUSES else status.value
