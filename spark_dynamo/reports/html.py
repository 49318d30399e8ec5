"""Runs as a table for notebooks: HTML with inline styles alone, no scripts, nothing fetched, readable on light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from html import escape
from types import MappingProxyType

from spark_dynamo.metadata.models import PipelineRunLog, RunStatus
from spark_dynamo.reports.formatting import UNKNOWN, count_text, line_text, run_text, unreadable_lines, zone_text
from spark_dynamo.reports.rows import HEADINGS, PipelineSum, RunRow, pipeline_sums, run_rows
from spark_dynamo.reports.status import LOOKS

__all__ = ["MOST_SHOWN", "runs_html", "sparkline"]

MOST_SHOWN = 100
_MOST_PIPELINES = 12
_RIGHT = frozenset({"took", "rows in", "rows out", "runs", "succeeded", "usually takes"})
_WIDTH, _HEIGHT, _EDGE = 180, 28, 4  # of a sparkline, in pixels
# the page's own colour, so that a table fits into any theme
_LINE = "border-bottom:1px solid color-mix(in srgb,currentColor 18%,transparent)"
_CELL = f"padding:3px 10px 3px 0;vertical-align:top;background:transparent;{_LINE}"
_HEAD = (
    "padding:3px 10px 3px 0;font-weight:600;white-space:nowrap;opacity:.75;background:transparent;"
    "border-bottom:1px solid currentColor"
)
_TROUBLE = "display:inline-block;min-width:16em;overflow-wrap:anywhere"
_TABLE = "border-collapse:collapse;border:0;margin:0 0 10px 0;font-size:13px;font-variant-numeric:tabular-nums"


def runs_html(
    logs: Sequence[PipelineRunLog],
    zone: tzinfo,
    now: datetime,
    unreadable: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """A table of the newest 100 runs, in their order, under a line a pipeline with its rows over its runs.

    Under it, which rows are no run logs.
    """
    shown = run_rows(logs, zone, now)[:MOST_SHOWN]
    parts = [
        f'<div style="overflow-x:auto"><p style="margin:0 0 6px 0"><b>{_caption(logs)}</b>'
        f' <span style="opacity:.75">newest first; times in {escape(zone_text(zone))}</span></p>'
    ]
    sums = [found for found in pipeline_sums(logs) if found.count > 1]
    if sums:
        parts.append(_sums_table(sums))
    if shown:
        parts.append(_table(HEADINGS, [_cells(row) for row in shown]))
    if len(logs) > len(shown):
        parts.append(f'<p style="opacity:.75;margin:0">and {count_text(len(logs) - len(shown))} older ones</p>')
    parts += [f'<p style="margin:0;overflow-wrap:anywhere">{escape(line)}</p>' for line in unreadable_lines(unreadable)]
    return "".join([*parts, "</div>"])


def _caption(logs: Sequence[PipelineRunLog]) -> str:
    if not logs:
        return "No runs"
    pipelines = {log.pipeline_id for log in logs}
    runs = "1 run" if len(logs) == 1 else f"{count_text(len(logs))} runs"
    return f"{runs} of {escape(line_text(logs[0].pipeline_id, 48)) if len(pipelines) == 1 else f'{len(pipelines)} pipelines'}"


def _cells(row: RunRow) -> list[str]:
    log = row.log
    return [
        _pill(log.status),
        _titled(row.pipeline, log.pipeline_id),
        f'<span style="white-space:nowrap">{escape(row.started)}</span>',
        f'<span style="white-space:nowrap">{_remarked(row.took, row.remark)}</span>',
        _remarked(row.rows_in, row.rows_in_remark),
        _remarked(row.rows_out, row.rows_out_remark),
        f'<code style="background:transparent">{_titled(run_text(log.run_id), log.run_id)}</code>',
        f'<span style="{_TROUBLE}">{_titled(row.trouble, log.error_message or row.trouble)}</span>'
        if row.trouble
        else "",
    ]


def _remarked(text: str, remark: str) -> str:
    return f"{escape(text)}<br><b>{escape(remark)}</b>" if remark else escape(text)


def _pill(status: RunStatus) -> str:
    """The status on a ground of its own, with the same contrast on any page."""
    look = LOOKS[status]
    style = f"background:{look.fill};color:{look.text};border-radius:9px;padding:1px 8px;white-space:nowrap"
    return f'<span style="{style}">{look.glyph} {status.value}</span>'


def _titled(text: str, whole: str) -> str:
    """A text that shows the whole of it under the pointer."""
    return f'<span title="{escape(whole[:2_000])}">{escape(text)}</span>' if whole != text else escape(text)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    aligned = ["right" if heading in _RIGHT else "left" for heading in headings]
    head = "".join(
        f'<th scope="col" style="{_HEAD};text-align:{align}">{escape(heading)}</th>'
        for heading, align in zip(headings, aligned, strict=True)
    )
    body = "".join(
        '<tr style="background:transparent">'
        + "".join(
            f'<td style="{_CELL};text-align:{align}">{cell}</td>' for cell, align in zip(row, aligned, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _sums_table(sums: Sequence[PipelineSum]) -> str:
    rows = [
        [
            escape(found.pipeline),
            count_text(found.count),
            f"{found.succeeded} of {found.ended}" if found.ended else UNKNOWN,
            escape(found.usual),
            _rows_over_runs(found),
        ]
        for found in sums[:_MOST_PIPELINES]
    ]
    more = len(sums) - len(rows)
    note = f'<p style="opacity:.75;margin:0 0 10px 0">and {more} more pipelines</p>' if more > 0 else ""
    return _table(("pipeline", "runs", "succeeded", "usually takes", "rows, oldest to newest"), rows) + note


def _rows_over_runs(found: PipelineSum) -> str:
    line = sparkline(found.rows, found.statuses, found.rows_name)
    return line if line == UNKNOWN else f'{line} <span style="opacity:.75">{found.rows_name}</span>'


def sparkline(rows: Sequence[int | None], statuses: Sequence[RunStatus], name: str = "rows") -> str:
    """Rows over runs as a line of 180 by 28 pixels, from 0 up; a dot for each run that did not succeed, and for the last one.

    A run whose rows are not known leaves a gap, and one between two gaps is a point. A dash where none are known.
    """
    known = [count for count in rows if count is not None]
    if not known:
        return UNKNOWN
    most = max(*known, 1)
    step = (_WIDTH - 2 * _EDGE) / max(len(rows) - 1, 1)
    points = [
        None if count is None else (_EDGE + place * step, _HEIGHT - _EDGE - count / most * (_HEIGHT - 2 * _EDGE))
        for place, count in enumerate(rows)
    ]
    path = ""
    for before, point, after in zip([None, *points], points, [*points[1:], None], strict=False):
        if point and (before or after):
            path += f"{'L' if before else 'M'}{point[0]:.1f} {point[1]:.1f}"
        elif point:
            path += f"M{point[0] - 1:.1f} {point[1]:.1f}h2"
    dots = "".join(
        f'<circle cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="2.5" fill="{LOOKS[status].fill}" stroke="currentColor" '
        'stroke-width=".5"/>'
        for place, (point, status) in enumerate(zip(points, statuses, strict=True))
        if point and (status is not RunStatus.SUCCESS or place == len(points) - 1)
    )
    label = f"{name} of {len(rows)} runs: from {count_text(min(known))} to {count_text(max(known))}, last {_last(rows)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" role="img" style="vertical-align:middle" '
        f'aria-label="{label}">'
        f"<title>{label}</title>"
        f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="1.3" stroke-linejoin="round" '
        f'stroke-linecap="round"/>{dots}</svg>'
    )


def _last(rows: Sequence[int | None]) -> str:
    return "not known" if rows[-1] is None else count_text(rows[-1])
