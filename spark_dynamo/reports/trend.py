"""The picture of durations and rows over time, with what is usual as a band and outliers marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.reports.figures import (
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
from spark_dynamo.reports.formatting import duration_text, short_count
from spark_dynamo.reports.outliers import FEWEST, Usual, usual
from spark_dynamo.reports.status import LOOKS, seconds_of
from spark_dynamo.run_logs.state import OPEN_STATUSES

__all__ = ["Point", "duration_points", "row_points", "trend"]

_MOST_PIPELINES = 4
_MOST_MARKED = 200  # runs: more have no marks of their own, but lines
_MOST_NAMED = 6  # outliers of a panel whose value is written beside them
_LETTER, _LINE, _RING = 0.08, 0.19, 0.1  # inches: of what is written there, and half of the ring around an outlier
_MARKERS = {
    RunStatus.SUCCESS: "o",
    RunStatus.FAILED: "X",
    RunStatus.RUNNING: ">",
    RunStatus.PENDING: ">",
    RunStatus.CANCELLED: "s",
    RunStatus.LOST: "P",
    RunStatus.SKIPPED: "d",
}
_BAND = "#e8eef2"


@dataclass(frozen=True, slots=True)
class _Figure:
    """What a panel of rows shows, and how."""

    field: str
    name: str
    color: str
    marker: str


_FIGURES = (
    _Figure("rows_read", "rows read", "#0072b2", "o"),
    _Figure("rows_written", "rows written", "#d98200", "s"),
)


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
    of_shown = [log for log in logs if log.pipeline_id in shown]
    figures = [figure for figure in _FIGURES if any(getattr(log, figure.field) is not None for log in of_shown)]
    size = (max(9.0, 4.6 * len(shown)), 3.4 + 1.9 * len(figures))
    picture = Picture(figsize=size, facecolor="white", layout="constrained")
    grid = picture.subplots(1 + len(figures), len(shown), squeeze=False, sharex="col")
    for column, pipeline in enumerate(shown):
        of_pipeline = sorted((log for log in logs if log.pipeline_id == pipeline), key=lambda log: log.start_time)
        _durations(grid[0][column], of_pipeline, now)
        for panel, figure in zip(grid[1:], figures, strict=True):
            _rows(panel[column], of_pipeline, figure)
        runs = "1 run" if len(of_pipeline) == 1 else f"{len(of_pipeline)} runs"
        set_title(grid[0][column], f"{drawable(pipeline, max(34, 80 // len(shown)))}: {runs}")
        time_axis(grid[-1][column], zone, [log.start_time for log in of_pipeline])
    if len(pipelines) > len(shown):
        left_out = len(pipelines) - len(shown)
        picture.suptitle(f"The {len(shown)} pipelines with the most runs; {left_out} more are left out", fontsize=9)
    picture.align_ylabels()
    _legend(picture, of_shown, now)
    return picture


def _durations(axes: Axes, logs: Sequence[PipelineRunLog], now: datetime) -> None:
    points, limits = duration_points(logs, now)
    unit, name = time_unit(max((point.value for point in points), default=1.0))
    clean(axes, "y")
    axes.set_ylabel(f"duration ({name})", fontsize=9, color=INK)
    _band(axes, limits, unit)
    are_many = len(points) > _MOST_MARKED
    ended = [point for point in points if point.status is RunStatus.SUCCESS]
    axes.plot(
        _times(ended),
        [point.value / unit for point in ended],
        color=LOOKS[RunStatus.SUCCESS].fill if are_many else MUTED,
        zorder=2,
        **_line(are_many),
    )
    for status in RunStatus:
        chosen = [point for point in points if point.status is status]
        if chosen and not (are_many and status is RunStatus.SUCCESS):
            look = LOOKS[status]
            axes.scatter(
                _times(chosen),
                [point.value / unit for point in chosen],
                marker=_MARKERS[status],
                s=14 if are_many else 26 if status is RunStatus.SUCCESS else 48,
                color=look.fill,
                edgecolors="white" if look.text == "#ffffff" else INK,
                linewidths=0.2 if are_many else 0.6,
                zorder=3,
            )
    for status, unknown in _without_end(logs, now).items():
        fill = LOOKS[status].fill
        places = [time_place(log.start_time) for log in unknown]
        axes.scatter(
            places,
            [0.0] * len(places),
            marker=_MARKERS[status],
            s=48,
            facecolors=fill if status is RunStatus.LOST else "none",
            edgecolors=fill,
            zorder=3,
        )
    _name_outliers(axes, points, limits, unit, duration_text)
    _from_zero(axes, _top(points, limits) / unit)


def _without_end(logs: Sequence[PipelineRunLog], now: datetime) -> dict[RunStatus, list[PipelineRunLog]]:
    """The runs whose duration is not known, by status: mostly lost ones."""
    found: dict[RunStatus, list[PipelineRunLog]] = {}
    for log in logs:
        if seconds_of(log, now) is None:
            found.setdefault(log.status, []).append(log)
    return found


def _rows(axes: Axes, logs: Sequence[PipelineRunLog], figure: _Figure) -> None:
    clean(axes, "y")
    axes.set_ylabel(figure.name, fontsize=9, color=INK)
    points, limits = row_points(logs, figure.field)
    if not points:
        axes.set_yticks([])
        told = f"{figure.name} are not known"
        axes.text(0.5, 0.5, told, ha="center", va="center", color=MUTED, transform=axes.transAxes)
        return
    _band(axes, limits, 1.0)
    are_many = len(points) > _MOST_MARKED
    whole = [point for point in points if point.status is RunStatus.SUCCESS]
    axes.plot(
        _times(whole),
        [point.value for point in whole],
        color=figure.color,
        marker="" if are_many else figure.marker,
        markersize=4,
        zorder=3,
        **_line(are_many),
    )
    for status in {point.status for point in points} - {RunStatus.SUCCESS}:
        partial = [point for point in points if point.status is status]  # what such a run has counted may be a part
        axes.scatter(
            _times(partial),
            [point.value for point in partial],
            marker=_MARKERS[status],
            s=40,
            facecolors="none",
            edgecolors=LOOKS[status].fill,
            linewidths=1.2,
            zorder=3,
        )
    _name_outliers(axes, points, limits, 1.0, short_count)
    _from_zero(axes, _top(points, limits))
    count_axis(axes)


def _line(are_many: bool) -> dict[str, Any]:
    return {"linewidth": 0.6, "alpha": 0.7} if are_many else {"linewidth": 1.0}


def _from_zero(axes: Axes, top: float) -> None:
    """From 0 up, and a little below, so that the marks at 0 are whole."""
    axes.set_ylim(-0.045 * top, top)


def _times(points: Sequence[Point]) -> list[float]:
    return [time_place(point.time) for point in points]


def _top(points: Sequence[Point], limits: Usual | None) -> float:
    """The upper end of an axis, with room for what is written above the points."""
    return 1.2 * max([point.value for point in points] + ([limits.high] if limits else []), default=1.0) or 1.0


def _band(axes: Axes, limits: Usual | None, unit: float) -> None:
    if limits is not None:
        axes.axhspan(limits.low / unit, limits.high / unit, color=_BAND, zorder=0, linewidth=0)
        axes.axhline(limits.median / unit, color=MUTED, linewidth=0.8, linestyle=":", zorder=1)


def _name_outliers(
    axes: Axes, points: Sequence[Point], limits: Usual | None, unit: float, say: Callable[[float], str]
) -> None:
    outliers = [point for point in points if point.is_outlier]
    axes.scatter(
        _times(outliers),
        [point.value / unit for point in outliers],
        s=60 if len(points) > _MOST_MARKED else 150,
        facecolors="none",
        edgecolors=INK,
        linewidths=1.3,
        zorder=4,
    )
    if limits is None:
        return
    furthest = sorted(outliers, key=lambda point: -abs(point.value - limits.median))
    width, height = (inches / axes.figure.dpi for inches in (axes.bbox.width, axes.bbox.height))
    span = max(_times(points)) - min(_times(points)) or 1.0
    top = _top(points, limits)
    rings = [(time_place(point.time) / span * width, point.value / top * height) for point in furthest]
    written: list[tuple[float, float, float]] = []
    for point, (x, y) in zip(furthest[:60], rings, strict=False):
        # below a low point; beside it where there is no room
        is_low, is_lowest = point.value < limits.median, y < 2 * _LINE
        right, up = (_LINE, 0.0) if is_low and is_lowest else (0.0, -_LINE if is_low else _LINE)
        text = say(point.value)
        reach = _LETTER * len(text) / 2
        place = (x + (right + reach if right else 0.0), y + up)
        others = [(left, low, _RING) for left, low in rings if (left, low) != (x, y)] + written
        if any(abs(place[0] - left) < reach + other and abs(place[1] - low) < _LINE for left, low, other in others):
            continue
        written.append((*place, reach))
        plain_text(
            axes.annotate(
                text,
                (time_place(point.time), point.value / unit),
                xytext=(72 * right, 72 * up),
                textcoords="offset points",
                ha="left" if right else "center",
                va="center",
                fontsize=8,
                color=INK,
                zorder=5,
            )
        )
        if len(written) == _MOST_NAMED:
            break


def _legend(picture: Picture, logs: Sequence[PipelineRunLog], now: datetime) -> None:
    found = {log.status for log in logs}
    handles = [
        Line2D([], [], linestyle="", marker=_MARKERS[status], color=LOOKS[status].fill, label=_status_label(status))
        for status in RunStatus
        if status in found
    ]
    if set(_without_end(logs, now)) - {RunStatus.LOST}:
        handles.append(
            Line2D([], [], linestyle="", marker="o", markerfacecolor="none", color=MUTED, label="end unknown")
        )
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
