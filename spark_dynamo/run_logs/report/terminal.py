"""Runs in the terminal, by rich: a table of them, one run whole, and the same in plain text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from spark_dynamo.errors.masking import masked
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus, StageInfo
from spark_dynamo.run_logs.report.standing import LOOKS, is_open, last_sign, over_sla, seconds_of, stage_seconds
from spark_dynamo.run_logs.report.table import HEADINGS, RunRow, pipeline_sums, run_rows
from spark_dynamo.run_logs.report.words import (
    UNKNOWN,
    block_text,
    bytes_text,
    count_text,
    duration_text,
    line_text,
    number_text,
    run_text,
    time_text,
    unreadable_lines,
    zone_text,
)
from spark_dynamo.timezones import read_iso

__all__ = ["LastLines", "run_view", "runs_text", "runs_view"]

_MOST_IN_TEXT = 20
_MOST_METRICS = _MOST_STAGES = 40
_MOST_MESSAGES = 15
_MOST_SETTINGS = 20
_MOST_STACK_LINES = 25
_BLOCKS = "▁▂▃▄▅▆▇█"
_MOST_BLOCKS = 40
_LEAST_NAME, _LEAST_RUN = 20, 32  # columns of a terminal down to which a pipeline's name, and a run's id, may be folded
_WHOLE = frozenset({"status", "started", "took", "rows in", "rows out"})  # what is never folded
_GAP = 3  # columns of a terminal between those of a table
_OF_MESSAGES = ("time", "level", "message", "id")  # all else in one is a detail of the user's
_NOTHING: Mapping[str, str] = MappingProxyType({})


def runs_view(
    logs: Sequence[PipelineRunLog], zone: tzinfo, now: datetime, unreadable: Mapping[str, str] = _NOTHING
) -> RenderableType:
    """The runs as a table, with whole ids, under a line a pipeline where there are several runs.

    One run after the other where the terminal is too narrow for a table. Under them, which rows are no run logs.
    """
    told = [Text(line) for line in unreadable_lines(unreadable)]
    if not logs:
        return Group(Text("No runs"), *told)
    sums = list(_sums(logs)) if len(logs) > 1 else []
    return Group(
        *sums, _RunsTable(run_rows(logs, zone, now)), Text(f"Newest first; times in {zone_text(zone)}", "dim"), *told
    )


class _RunsTable:
    """Runs in as many columns as the terminal has room for: figures and times are always whole."""

    def __init__(self, rows: Sequence[RunRow]) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        cells = [_cells(row) for row in self._rows]
        table = _table(None)
        for place, heading in enumerate((*HEADINGS[:-2], "run, and what failed")):
            width = max(cell_len(line) for row in cells for line in (heading, *row[place].plain.split("\n")))
            least = width if heading in _WHOLE else min(width, _LEAST_NAME if heading == "pipeline" else _LEAST_RUN)
            is_right = heading in ("took", "rows in", "rows out")
            table.add_column(heading, justify="right" if is_right else "left", min_width=least, overflow="fold")
            table.columns[place].no_wrap = heading in _WHOLE
        needed = sum(column.min_width or 0 for column in table.columns) + _GAP * (len(table.columns) - 1)
        if needed > options.max_width:
            yield from map(_record, self._rows)
            return
        for row in cells:
            table.add_row(*row)
        yield table


def _cells(row: RunRow) -> list[Text]:
    run = Text(line_text(row.log.run_id, 2_048))
    return [
        Text(f"{row.look.glyph} {row.status}", row.look.style),
        Text(row.pipeline),
        Text(row.started),
        _remarked(row.took, row.remark),
        _remarked(row.rows_in, row.rows_in_remark),
        _remarked(row.rows_out, row.rows_out_remark),
        run.append(f"\n{row.trouble}", "red") if row.trouble else run,
    ]


def _remarked(text: str, remark: str) -> Text:
    return Text(text).append(f"\n{remark}", "bold") if remark else Text(text)


def _record(row: RunRow) -> Padding:
    """One run in a few lines."""
    name = Text(f"{row.look.glyph} {row.status}", row.look.style)
    name.append(f"  {row.pipeline}", "bold default").append(f"  {line_text(row.log.run_id, 2_048)}", "not bold default")
    told = [
        ("started", row.started, ""),
        ("took", row.took, row.remark),
        ("rows in", row.rows_in, row.rows_in_remark),
        ("rows out", row.rows_out, row.rows_out_remark),
    ]
    parts = [
        Text(f"{heading} ", "dim").append(value, "not dim").append(f" {remark}" if remark else "", "bold not dim")
        for heading, value, remark in told
        if value != UNKNOWN
    ]
    figures = Columns(parts, padding=(0, 2, 0, 0))  # no part is folded
    trouble = [Text(row.trouble, "red", overflow="fold")] if row.trouble else []
    return Padding(Group(name, Padding(Group(figures, *trouble), (0, 0, 0, 2))), (0, 0, 1, 0))


class LastLines:
    """A view of a run that goes on, in a terminal that is less high: its headline, and its end with what is new."""

    def __init__(self, view: RenderableType) -> None:
        self._view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._view, options.update(height=None), pad=False)
        if len(lines) > console.height:
            lines = [lines[0], [Segment("…")], *lines[3 - console.height :]]
        for line in lines:
            yield from (*line, Segment.line())


def _sums(logs: Sequence[PipelineRunLog]) -> Iterator[Text]:
    for found in [found for found in pipeline_sums(logs) if found.count > 1][:8]:
        line = Text(f"{found.pipeline}  ", "bold")
        line.append(f"{count_text(found.count)} runs, {found.succeeded} of {found.ended} succeeded", "not bold")
        if found.usual != UNKNOWN:
            line.append(f", usually {found.usual}", "not bold")
        line.append(f"  {found.rows_name} {_blocks(found.rows)}" if any(found.rows) else "", "not bold cyan")
        yield line


def _blocks(rows: Sequence[int | None]) -> str:
    """Rows over the newest runs as blocks, from 0 up; a space where they are not known."""
    newest = rows[-_MOST_BLOCKS:]
    most = max((count for count in newest if count is not None), default=0) or 1
    return "".join(" " if count is None else _BLOCKS[round(count / most * (len(_BLOCKS) - 1))] for count in newest)


def run_view(
    log: PipelineRunLog, zone: tzinfo, now: datetime, children: Sequence[PipelineRunLog] = ()
) -> RenderableType:
    """One run: what it is, its figures, metrics, configuration, stages, the runs within it, checks, newest messages, and its error."""
    parts: list[RenderableType] = [_headline(log, now), _facts(log, zone)]
    for title, table in (
        ("Metrics", _metrics(log)),
        ("Configuration", _configuration(log)),
        ("Stages", _stages(log, zone, now)),
        ("Runs within it", _children(children, zone, now)),
        ("Checks", _checks(log)),
        ("Messages", _messages(log, zone)),
    ):
        if table is not None:
            parts += [Text(f"\n{title}", "bold"), table]
    if log.error_message:
        parts += [Text("\nError", "bold red"), Text(block_text(log.error_message))]
    if log.error_stack_trace:
        lines = block_text(log.error_stack_trace).rstrip().splitlines()
        left_out = len(lines) - _MOST_STACK_LINES
        start = [f"… {left_out} lines left out"] if left_out > 0 else []
        parts.append(Text("\n".join([*start, *lines[-_MOST_STACK_LINES:]]), "dim"))
    return Group(*parts)


def _headline(log: PipelineRunLog, now: datetime) -> Text:
    look = LOOKS[log.status]
    line = Text(f"{look.glyph} {log.status.value}", look.style)
    line.append(f"  {line_text(log.pipeline_id, 200)}", "bold default")
    line.append(f"  {line_text(log.run_id, 200)}", "not bold default")
    seconds = seconds_of(log, now)
    if seconds is not None:
        line.append(f"  {duration_text(seconds)}{' so far' if is_open(log) else ''}", "not bold default")
    if (allowed := over_sla(log, now)) is not None:
        line.append(f"  longer than its SLA of {duration_text(allowed)}", "bold")
    if is_open(log) and log.current_stage:
        line.append(f"  in {line_text(log.current_stage, 200)}", "not bold cyan")
    return line


def _facts(log: PipelineRunLog, zone: tzinfo) -> Table:
    cpu = None if log.cpu_hours is None else log.cpu_hours * 3_600
    figures = [
        ("rows read", count_text(log.rows_read)),
        ("rows written", count_text(log.rows_written)),
        ("records processed", count_text(log.total_records_processed)),
        ("records failed", count_text(log.total_records_failed)),
        ("input", bytes_text(log.input_data_size_bytes)),
        ("output", bytes_text(log.output_data_size_bytes)),
        ("shuffle read", bytes_text(log.shuffle_read_bytes)),
        ("shuffle written", bytes_text(log.shuffle_write_bytes)),
        ("spilled", bytes_text(log.spill_bytes)),
        ("tasks", count_text(log.task_count)),
        ("failed tasks", count_text(log.failed_task_count)),
        ("peak memory of a task", bytes_text(log.peak_memory_bytes)),
        ("CPU time", duration_text(cpu)),
    ]
    known = [(name, value) for name, value in figures if value != UNKNOWN]
    if log.metrics_complete is False:
        known.append(("figures", "incomplete: events were dropped"))
    if log.metrics_source:
        known.append(("counted by", log.metrics_source))
    told = [
        ("started", f"{time_text(log.start_time, zone)} {zone_text(zone)}"),
        ("ended", time_text(log.end_time, zone)),
        ("alive until", time_text(log.lease_expires_at, zone) if is_open(log) else UNKNOWN),
        ("last seen", time_text(last_sign(log), zone) if log.status is RunStatus.LOST else UNKNOWN),
        ("trigger", log.trigger_type),
        ("version", log.pipeline_version or UNKNOWN),
        ("parent", " ".join(filter(None, map(log.tags.get, ("parent_pipeline_id", "parent_run_id")))) or UNKNOWN),
        ("started by", log.created_by or UNKNOWN),
        ("driver", log.lease_owner or UNKNOWN),
        ("Spark", " ".join(filter(None, (log.spark_version, log.spark_application_id))) or UNKNOWN),
        *((name.replace("_", " ").replace("spark ui", "Spark UI"), url) for name, url in log.monitoring_urls.items()),
        ("read", ", ".join(log.input_tables) or UNKNOWN),
        ("wrote", ", ".join(log.output_tables) or UNKNOWN),
        ("tags", ", ".join(f"{name}={value}" for name, value in log.tags.items()) or UNKNOWN),
    ]
    told = [(name, value) for name, value in told if value != UNKNOWN]
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for style in ("dim", "", "dim", ""):
        table.add_column(style=style, overflow="fold")
    for (name, value), (figure, amount) in zip_longest(told, known, fillvalue=("", "")):
        table.add_row(Text(name), Text(block_text(value)), Text(figure), Text(amount))
    return table


def _metrics(log: PipelineRunLog) -> Table | None:
    if not log.custom_metrics:
        return None
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    shown = list(log.custom_metrics.items())[:_MOST_METRICS]
    for name, metric in shown:
        table.add_row(Text(line_text(name, 200)), Text(number_text(metric.value)), Text(line_text(metric.unit, 80)))
    left_out = len(log.custom_metrics) - len(shown)
    if left_out:
        table.add_row(Text(f"… {left_out} more"), "", "")
    return table


def _configuration(log: PipelineRunLog) -> Table | None:
    if not log.config_snapshot:
        return None
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", overflow="fold")
    table.add_column(overflow="fold")
    for name, value in list(masked(log.config_snapshot).items())[:_MOST_SETTINGS]:
        told = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
        table.add_row(Text(line_text(name, 80)), Text(line_text(told, 300)))
    left_out = len(log.config_snapshot) - _MOST_SETTINGS
    if left_out > 0:
        table.add_row("", Text(f"… {left_out} more settings"))
    return table


def _children(children: Sequence[PipelineRunLog], zone: tzinfo, now: datetime) -> Table | None:
    if not children:
        return None
    table = _table("", "pipeline", "started", "took", "run")
    table.columns[3].justify = "right"
    for log in children:
        look, seconds = LOOKS[log.status], seconds_of(log, now)
        table.add_row(
            Text(look.glyph, look.style),
            Text(line_text(log.pipeline_id, 200)),
            Text(time_text(log.start_time, zone)),
            Text(f"{duration_text(seconds)}{' so far' if is_open(log) else ''}"),
            Text(line_text(log.run_id, 200)),
        )
    return table


def _stages(log: PipelineRunLog, zone: tzinfo, now: datetime) -> Table | None:
    if not log.stages:
        return None
    table = _table("", "stage", "started", "took", "records", "")
    table.columns[3].justify = table.columns[4].justify = "right"
    for place in (2, 3, 4):
        table.columns[place].no_wrap = True
    left_out = len(log.stages) - _MOST_STAGES
    if left_out > 0:
        table.add_row("", Text(f"… {left_out} earlier stages"), "", "", "", "")
    for stage in log.stages[-_MOST_STAGES:]:
        look = LOOKS[stage.status]
        table.add_row(
            Text(look.glyph, look.style),
            Text(line_text(stage.stage_name, 200)),
            Text(time_text(stage.start_time, zone)),
            Text(_took(stage, log, now)),
            Text(count_text(stage.records_processed)),
            Text(line_text(stage.error_message, 300), "red"),
        )
    return table


def _took(stage: StageInfo, log: PipelineRunLog, now: datetime) -> str:
    seconds = stage_seconds(stage, log, now)
    if seconds is None and is_open(stage):
        return "end unknown"
    return f"{duration_text(seconds)} so far" if is_open(stage) else duration_text(seconds)


def _checks(log: PipelineRunLog) -> Table | None:
    if not log.data_quality_results:
        return None
    table = _table("", "check", "expected", "actual", "")
    for check in log.data_quality_results:
        look = LOOKS[RunStatus.SUCCESS if check.passed else RunStatus.FAILED]
        values = [UNKNOWN if value is None else str(value) for value in (check.expected_value, check.actual_value)]
        table.add_row(
            Text(look.glyph, look.style),
            Text(line_text(check.check_name, 200)),
            *(Text(line_text(value, 80)) for value in values),
            Text(line_text(check.error_message, 300), "red"),
        )
    return table


def _messages(log: PipelineRunLog, zone: tzinfo) -> Table | None:
    if not log.log_messages:
        return None
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_column(overflow="fold")
    for message in log.log_messages[-_MOST_MESSAGES:]:
        level = str(message.get("level", ""))
        style = {"warning": "yellow", "error": "red", "critical": "bold red"}.get(level, "dim")
        told = Text(block_text(str(message.get("message", message))))
        if "message" in message:
            details = [f"{name}={value}" for name, value in message.items() if name not in _OF_MESSAGES]
            told.append(f"  {line_text(', '.join(details), 300)}" if details else "", "dim")
        table.add_row(Text(_time_in(message.get("time", ""), zone)), Text(level, style), told)
    return table


def _time_in(time: Any, zone: tzinfo) -> str:
    """A message's time, which is text in UTC, in that zone; what is no time stays as it is."""
    try:
        found = read_iso(str(time))
    except ValueError:
        return line_text(str(time), 40)
    return time_text(found if found.tzinfo else found.replace(tzinfo=UTC), zone)


def _table(title: str | None, *headings: str) -> Table:
    names = (title, *headings) if title is not None else headings
    return Table(*names, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))


def runs_text(
    logs: Sequence[PipelineRunLog], zone: tzinfo, now: datetime, unreadable: Mapping[str, str] = _NOTHING
) -> str:
    """The newest twenty runs in plain text, for `repr`."""
    told = unreadable_lines(unreadable)
    if not logs:
        return "\n".join(["Runs(no runs)", *told])
    rows = [
        (
            row.status,
            row.pipeline,
            row.started,
            row.took,
            row.rows_in,
            row.rows_out,
            run_text(row.log.run_id),
            row.trouble,
        )
        for row in run_rows(logs, zone, now)[:_MOST_IN_TEXT]
    ]
    table = [HEADINGS, *rows]
    widths = [max(len(cells[place]) for cells in table) for place in range(len(HEADINGS) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)), cells[-1]]).rstrip()
        for cells in table
    ]
    more = [f"… and {len(logs) - len(rows)} older ones"] if len(logs) > len(rows) else []
    return "\n".join([f"Runs({len(logs)} newest first, times in {zone_text(zone)})", *lines, *more, *told])
