"""What the demo shows: its stages while they run, its answers as small tables, the run as it was recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from spark_dynamo.metadata.models import RunStatus, StageInfo

__all__ = ["Answer", "Story"]

_BAR = 10  # characters
_ENOUGH_FOR_A_RATE = 1_000  # rows: with fewer, what is seen is the time that Spark takes to begin
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Answer:
    """A table for people: a title, column names and rows, whose last column is a number that gets a bar."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float]]


class Story:
    """Tells each stage on a console, and remembers all of them for the run log."""

    def __init__(self, console: Console) -> None:
        self.started = datetime.now(UTC)
        self.stages: list[StageInfo] = []
        self._console = console

    def heading(self, title: str, note: str) -> None:
        """What this is about."""
        self._console.print(f"[bold]{title}[/bold]\n[dim]{note}[/dim]\n")

    @contextmanager
    def stage(self, name: str) -> Iterator[StageInfo]:
        """A stage of the run, with the seconds it takes; its body sets `records_processed` where it has records."""
        stage = StageInfo(stage_name=name, status=RunStatus.RUNNING, start_time=datetime.now(UTC))
        self.stages.append(stage)
        clock = time.monotonic()
        try:
            with self._console.status(f"{name} ..."):
                yield stage
        except BaseException:
            self._console.print(f"  [red]✗[/red] {name}")
            raise
        seconds = time.monotonic() - clock
        stage.status, stage.end_time = RunStatus.SUCCESS, datetime.now(UTC)
        stage.duration_seconds = Decimal(f"{seconds:.3f}")
        self._console.print(
            f"  [green]✓[/green] {name:<34}{seconds:>5.1f} s{_counted(stage.records_processed, seconds)}"
        )

    def show(self, *answers: Answer) -> None:
        """The answers, one below the other."""
        self._console.print()
        for answer in answers:
            most = max(float(row[-1]) for row in answer.rows)
            rows = [[*row, _bar(float(row[-1]), most)] for row in answer.rows]
            self._print_table(answer.title, [*answer.columns, ""], rows)

    def show_run(self, run: Any) -> None:
        """A row of the run-log table."""
        rows = [
            (stage.stage_name, stage.records_processed, float(stage.duration_seconds), stage.status)
            for stage in run.stages
        ]
        title = f"The log of run {run.run_id}, read back from DynamoDB"
        self._print_table(title, ("stage", "rows", "seconds", "status"), rows)
        checks = run.data_quality_results
        self._console.print(
            f"  [bold]{run.status}[/bold] in {run.duration_seconds:.1f} s: {run.rows_read:,} rows read, "
            f"{run.rows_written:,} written, {sum(check.passed for check in checks)} of {len(checks)} checks passed\n"
        )

    def farewell(self, endpoint_url: str | None) -> None:
        """What to try next; None where the server was an embedded one."""
        if endpoint_url:
            self._console.print(
                f"Next: the tables stay at {endpoint_url}, so try\n"
                '  spark.read.format("dynamo-meta").load("pipeline_run_logs").show()'
            )
            return
        self._console.print(
            "Next: run [bold]spark-dynamo local[/bold] in another terminal and set the variables that it prints;\n"
            "then this demo leaves its tables there for queries of your own."
        )

    def _print_table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str | int | float | None]]
    ) -> None:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for name, value in zip(columns, rows[-1], strict=True):
            is_text = isinstance(value, str)
            table.add_column(name, justify="left" if is_text else "right", no_wrap=not is_text)
        for row in rows:
            table.add_row(*map(_text, row))
        self._console.print(f"[bold]{title}[/bold]\n")
        self._console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _counted(rows: int | None, seconds: float) -> str:
    """Rows and, where there are enough of them to tell, their rate."""
    if rows is None:
        return ""
    rate = f"[dim]{rows / seconds:>9,.0f} rows/s[/dim]" if rows >= _ENOUGH_FOR_A_RATE else ""
    return f"{rows:>9,} {'row' if rows == 1 else 'rows'}{rate}"


def _text(value: str | int | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}"


def _bar(value: float, most: float) -> str:
    """A bar of blocks, as long as the value's share of the largest one; empty where it is below 0."""
    eighths = round(max(0.0, value) / most * _BAR * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
