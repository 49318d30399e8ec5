"""The picture of when runs and their stages ran: a lane a run, or of a single run a lane a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from statistics import median
from typing import Literal

from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Patch

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus, StageInfo
from spark_dynamo.reports.figures import (
    INK,
    MUTED,
    Picture,
    clean,
    drawable,
    empty_picture,
    plain_text,
    set_labels,
    set_title,
    time_axis,
    time_place,
    time_unit,
)
from spark_dynamo.reports.formatting import duration_text, run_text, time_text, zone_text
from spark_dynamo.reports.status import LOOKS, is_open, seconds_of, stage_seconds

__all__ = ["timeline"]

_MOST_LANES = 60
_LANE = 0.34  # inches
_WIDTH = 10.0
_MOST_ROWS = 4  # of stages at the same time, in the lane of a run
_LEAST_SHARE = 1 / 40  # of the time shown: where half of the runs are shorter, nobody sees them
_MOST_TIMES = 20  # the median duration: a longer bar is cut, where all begin at 0
_LETTER = 0.075  # inches, of the text in bars
_FADE = 12  # steps in which a bar without an end fades out


@dataclass(frozen=True, slots=True)
class _Bar:
    name: str
    start: datetime
    end: datetime
    status: RunStatus
    has_end: bool
    took: str


@dataclass(frozen=True, slots=True)
class _Lane:
    label: str
    run: _Bar
    rows: list[list[_Bar]]


def timeline(
    logs: Sequence[PipelineRunLog], zone: tzinfo, now: datetime, aligned: bool | Literal["day"] | None
) -> Picture:
    """The picture of runs that are sorted, the newest first; see `Runs.timeline`."""
    if not logs:
        return empty_picture("No runs")
    shown = logs[:_MOST_LANES]
    lanes = _stage_lanes(shown[0], now) if len(shown) == 1 else _run_lanes(shown, zone, now)
    is_aligned = (len(shown) > 1 and _is_sparse(lanes)) if aligned is None else aligned
    heights = [max(1.0, 0.55 * len(lane.rows) + 0.45) for lane in lanes]
    picture = Picture(figsize=(_WIDTH, 1.5 + _LANE * sum(heights)), facecolor="white", layout="constrained")
    axes = picture.add_subplot()
    clean(axes, "x")
    measure = (_OfDay if is_aligned == "day" else _Measure)(axes, lanes, bool(is_aligned), zone)
    centers, bottom = [], 0.0
    for lane, height in zip(lanes, heights, strict=True):
        measure.draw(lane, bottom, height)
        centers.append(bottom + height / 2)
        bottom += height
    axes.set_ylim(bottom, 0)
    set_labels(axes, centers, [lane.label for lane in lanes])
    set_title(axes, _title(logs, shown, zone))
    _legend(picture, lanes)
    return picture


def _title(logs: Sequence[PipelineRunLog], shown: Sequence[PipelineRunLog], zone: tzinfo) -> str:
    pipelines = {log.pipeline_id for log in shown}
    of = drawable(shown[0].pipeline_id, 30) if len(pipelines) == 1 else f"{len(pipelines)} pipelines"
    if len(logs) == 1:
        log = logs[0]
        return f"{of}: {log.status.value} run {run_text(log.run_id)} of {time_text(log.start_time, zone)}"
    count = f"{len(shown)} runs" if len(shown) == len(logs) else f"the newest {len(shown)} of {len(logs)} runs"
    return f"{of}: {count}"


def _run_lanes(logs: Sequence[PipelineRunLog], zone: tzinfo, now: datetime) -> list[_Lane]:
    several = len({log.pipeline_id for log in logs}) > 1
    # what tells the runs apart: the time of a day, or the day
    part = slice(11, 19) if logs[0].start_time - logs[-1].start_time < timedelta(days=1) else slice(5, 16)
    lanes = []
    for log in logs:
        run = _run_bar(log, run_text(log.run_id), now)
        started = time_text(log.start_time, zone)[part]
        label = f"{drawable(log.pipeline_id, 26)}  {started}" if several else f"{run_text(log.run_id)}  {started}"
        lanes.append(_Lane(drawable(label, 46), run, _rows([_stage_bar(stage, log, run, now) for stage in log.stages])))
    return lanes


def _stage_lanes(log: PipelineRunLog, now: datetime) -> list[_Lane]:
    run = _run_bar(log, "", now)
    stages = [_stage_bar(stage, log, run, now) for stage in log.stages[-(_MOST_LANES - 1) :]]
    return [_Lane("the whole run", run, []), *(_Lane(drawable(stage.name, 46), stage, []) for stage in stages)]


def _run_bar(log: PipelineRunLog, name: str, now: datetime) -> _Bar:
    has_end = log.end_time is not None or is_open(log)
    return _bar(log, name, (log.start_time, _end(log, now)), seconds_of(log, now), has_end=has_end)


def _stage_bar(stage: StageInfo, log: PipelineRunLog, run: _Bar, now: datetime) -> _Bar:
    """A stage's bar: one whose end nobody told ends with its run."""
    goes_on = is_open(stage) and is_open(log)
    times = (stage.start_time or run.start, stage.end_time or (now if goes_on else run.end))
    has_end = stage.end_time is not None or goes_on
    return _bar(stage, stage.stage_name, times, stage_seconds(stage, log, now), has_end=has_end)


def _bar(
    of: PipelineRunLog | StageInfo,
    name: str,
    times: tuple[datetime, datetime | None],
    seconds: Decimal | None,
    *,
    has_end: bool,
) -> _Bar:
    start, end = times
    so_far = " so far" if is_open(of) else ""
    return _Bar(
        name=name,
        start=start,
        end=max(end or start, start),
        status=of.status,
        has_end=has_end,
        took="end unknown" if seconds is None else duration_text(seconds) + so_far,
    )


def _end(log: PipelineRunLog, now: datetime) -> datetime | None:
    """Where a run's bar ends: that of a lost one with the last sign of life."""
    if log.end_time is not None or is_open(log):
        return log.end_time or now
    if log.duration_seconds is not None:
        return log.start_time + timedelta(seconds=float(log.duration_seconds))
    signs = [log.lease_expires_at, *(stage.end_time or stage.start_time for stage in log.stages)]
    return max((sign for sign in signs if sign is not None), default=None)


def _rows(bars: Sequence[_Bar]) -> list[list[_Bar]]:
    """Bars in rows, so that those of one row don't overlap; what finds no row goes into the last one."""
    rows: list[list[_Bar]] = []
    for bar in sorted(bars, key=lambda bar: bar.start):
        free = next((row for row in rows if row[-1].end <= bar.start), None)
        if free is None and len(rows) < _MOST_ROWS:
            rows.append(free := [])
        (rows[-1] if free is None else free).append(bar)
    return rows


def _seconds(lanes: Sequence[_Lane]) -> list[float]:
    return [(lane.run.end - lane.run.start).total_seconds() for lane in lanes]


def _is_sparse(lanes: Sequence[_Lane]) -> bool:
    """Whether most bars where they were in time would be too short to be seen."""
    whole = (max(lane.run.end for lane in lanes) - min(lane.run.start for lane in lanes)).total_seconds()
    return whole > 0 and median(_seconds(lanes)) / whole < _LEAST_SHARE


def _longest_shown(lanes: Sequence[_Lane]) -> float:
    """Seconds of the longest bar, but for those that would make all others too short to be seen."""
    found = _seconds(lanes)
    most = _MOST_TIMES * median(found)
    return max((seconds for seconds in found if seconds <= most), default=0.0) or max(found)


class _Measure:
    """Where times are on the axis, and how bars are drawn there."""

    def __init__(self, axes: Axes, lanes: Sequence[_Lane], is_aligned: bool, zone: tzinfo) -> None:
        self._axes = axes
        self._is_aligned = is_aligned
        self._zone = zone
        self._longest = _longest_shown(lanes)
        self._unit, name = time_unit(self._longest)
        low, high = (
            min(self.place(lane.run.start, lane.run) for lane in lanes),
            max(self.place(lane.run.end, lane.run) for lane in lanes),
        )
        if high <= low:
            high = low + (1.0 if is_aligned else 1 / 1_440)
        self._whole = (high - low) * 1.16  # with room for what is written behind the bars
        self._set_axis(lanes, zone, name)
        axes.set_xlim(low, low + self._whole)

    def _set_axis(self, lanes: Sequence[_Lane], zone: tzinfo, unit: str) -> None:
        if self._is_aligned:
            self._axes.set_xlabel(f"time since each run's start ({unit})", fontsize=9, color=MUTED)
        else:
            time_axis(self._axes, zone, [min(lane.run.start for lane in lanes)])

    def place(self, time: datetime, run: _Bar) -> float:
        if self._is_aligned:
            return min((time - run.start).total_seconds(), self._longest) / self._unit
        return time_place(time)

    def _is_cut(self, run: _Bar) -> bool:
        return self._is_aligned and (run.end - run.start).total_seconds() > self._longest

    def draw(self, lane: _Lane, bottom: float, height: float) -> None:
        self._rectangle(lane.run, lane.run, bottom + 0.08, height - 0.16, faint=bool(lane.rows))
        inner = (height - 0.3) / max(len(lane.rows), 1)
        for number, row in enumerate(lane.rows):
            for bar in row:
                low = bottom + 0.15 + number * inner
                self._rectangle(bar, lane.run, low + 0.02, inner - 0.04, faint=False)
                self._write_in(bar, lane.run, low + inner / 2)
        text = self._axes.text(
            self.place(lane.run.end, lane.run) + self._whole * 0.006,
            bottom + height / 2,
            f"→ {lane.run.took}" if self._is_cut(lane.run) else lane.run.took,
            va="center",
            fontsize=8,
            color=INK,
        )
        plain_text(text)

    def _rectangle(self, bar: _Bar, run: _Bar, low: float, height: float, *, faint: bool) -> None:
        look = LOOKS[bar.status]
        left = self.place(bar.start, run)
        width = max(self.place(bar.end, run) - left, self._whole / 700)
        strength = 0.22 if faint else 1.0
        edge = look.fill if faint or width < self._whole / 150 else "white"
        steps = 1 if bar.has_end else _FADE
        for step in range(steps):
            self._axes.barh(
                low + height / 2,
                width / steps,
                height,
                left=left + step * width / steps,
                facecolor=to_rgba(look.fill, strength * (1 - step / steps)),
                edgecolor="none" if steps > 1 else edge,
                linewidth=0.8,
            )
        if look.hatch and not faint:
            self._axes.barh(
                low + height / 2, width, height, left=left, fill=False, hatch=look.hatch, edgecolor="white", linewidth=0
            )

    def _write_in(self, bar: _Bar, run: _Bar, middle: float) -> None:
        left, right = self.place(bar.start, run), self.place(bar.end, run)
        letters = int((right - left) / self._whole * (_WIDTH - 2.5) / _LETTER) - 1
        if letters >= min(4, len(bar.name)):
            look = LOOKS[bar.status]
            text = self._axes.text(
                (left + right) / 2,
                middle,
                drawable(bar.name, letters),
                ha="center",
                va="center",
                fontsize=7.5,
                color=look.text,
            )
            plain_text(text)
            text.set_clip_on(True)
            if look.hatch:
                text.set_bbox({"facecolor": look.fill, "edgecolor": "none", "pad": 0.8})


class _OfDay(_Measure):
    """Where bars are by the time of day: each run at the hour that a clock showed at its start, whatever the day."""

    def place(self, time: datetime, run: _Bar) -> float:
        """Hours since the midnight before the run; a bar that is cut is as long as the longest one that isn't."""
        start = run.start.astimezone(self._zone)
        hour = start.hour + start.minute / 60 + start.second / 3_600
        return hour + min((time - run.start).total_seconds(), self._longest) / 3_600

    def _set_axis(self, lanes: Sequence[_Lane], zone: tzinfo, unit: str) -> None:
        self._axes.xaxis.set_major_locator(ticker.MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10]))
        self._axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda hours, _: _clock(hours)))
        self._axes.set_xlabel(f"time of day ({zone_text(zone)})", fontsize=9, color=MUTED)


def _clock(hours: float) -> str:
    """Hours since a midnight as a clock shows them."""
    seconds = round(hours * 3_600) % 86_400
    shown = f"{seconds // 3_600:02}:{seconds % 3_600 // 60:02}"
    return f"{shown}:{seconds % 60:02}" if seconds % 60 else shown


def _legend(picture: Picture, lanes: Sequence[_Lane]) -> None:
    found = {lane.run.status for lane in lanes} | {bar.status for lane in lanes for row in lane.rows for bar in row}
    handles = [
        Patch(facecolor=look.fill, edgecolor="white", hatch=look.hatch, label=status.value)
        for status, look in LOOKS.items()
        if status in found
    ]
    picture.legend(handles=handles, loc="outside lower right", ncols=len(handles), frameon=False, fontsize=8)
