"""Runs in the terminal, by rich: a table of them, and the same in plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from types import MappingProxyType

from rich import box
from rich.cells import cell_len
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from spark_dynamo.metadata.models import PipelineRunLog
from spark_dynamo.reports.formatting import (
    UNKNOWN,
    count_text,
    line_text,
    run_text,
    unreadable_lines,
    zone_text,
)
from spark_dynamo.reports.rows import HEADINGS, RunRow, pipeline_sums, run_rows

__all__ = ["LastLines", "plain_table", "runs_text", "runs_view"]

_MOST_IN_TEXT = 20
_BLOCKS = "▁▂▃▄▅▆▇█"
_MOST_BLOCKS = 40
_LEAST_NAME, _LEAST_RUN = 20, 32  # columns of a terminal down to which a pipeline's name, and a run's id, may be folded
_WHOLE = frozenset({"status", "started", "took", "rows in", "rows out"})  # what is never folded
_GAP = 3  # columns of a terminal between those of a table
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
        table = plain_table(None)
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


def plain_table(title: str | None, *headings: str) -> Table:
    """An empty table with these headings, with one line beneath them; `title` heads the first column."""
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
