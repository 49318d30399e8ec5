"""One run whole, in the terminal, by rich."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from itertools import zip_longest
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spark_dynamo.errors.masking import masked
from spark_dynamo.metadata.models import PipelineRunLog, RunStatus, StageInfo
from spark_dynamo.reports.formatting import (
    UNKNOWN,
    block_text,
    bytes_text,
    count_text,
    duration_text,
    line_text,
    number_text,
    time_text,
    zone_text,
)
from spark_dynamo.reports.status import LOOKS, is_open, last_sign, over_sla, seconds_of, stage_seconds
from spark_dynamo.reports.terminal import plain_table
from spark_dynamo.timezones import read_iso

__all__ = ["run_view"]

_MOST_METRICS = _MOST_STAGES = 40
_MOST_MESSAGES = 15
_MOST_SETTINGS = 20
_MOST_STACK_LINES = 25
_OF_MESSAGES = ("time", "level", "message", "id")  # all else in one is a detail of the user's


def run_view(
    log: PipelineRunLog, zone: tzinfo, now: datetime, children: Sequence[PipelineRunLog] = ()
) -> RenderableType:
    """One run: what it is, its figures, metrics, configuration, stages, runs within it, checks, newest messages and error."""
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
    table = plain_table("", "pipeline", "started", "took", "run")
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
    table = plain_table("", "stage", "started", "took", "records", "")
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
    table = plain_table("", "check", "expected", "actual", "")
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
