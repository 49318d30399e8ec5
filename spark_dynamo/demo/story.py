"""What the demo shows: its stages while they run, its answers as small tables, the run as it was recorded."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from spark_dynamo.metadata.models import RunStatus, StageInfo

__all__ = ["Answer", "Story"]

_BAR = 16  # characters
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
        with self._console.status(f"{name} ..."):
            yield stage
        seconds = time.monotonic() - clock
        stage.status, stage.end_time = RunStatus.SUCCESS, datetime.now(UTC)
        stage.duration_seconds = Decimal(f"{seconds:.3f}")
        rows = stage.records_processed
        counted = "" if rows is None else f"{rows:>9,} rows[dim]{rows / seconds:>9,.0f} rows/s[/dim]"
        self._console.print(f"  [green]✓[/green] {name:<36}{seconds:>5.1f} s{counted}")

    def show(self, *answers: Answer) -> None:
        """The answers, one below the other."""
        for answer in answers:
            most = max(float(row[-1]) for row in answer.rows)
            table = _table(answer.title)
            for name, value in zip(answer.columns, answer.rows[0], strict=True):
                table.add_column(name, justify="left" if isinstance(value, str) else "right", no_wrap=True)
            table.add_column("", no_wrap=True)
            for row in answer.rows:
                table.add_row(*map(_text, row), f"[cyan]{_bar(float(row[-1]), most)}[/cyan]")
            self._console.print(table)

    def show_run(self, run: Any) -> None:
        """A row of the run-log table."""
        table = _table("The run, as its log in DynamoDB tells it")
        for name, justify in (("stage", "left"), ("status", "left"), ("rows", "right"), ("seconds", "right")):
            table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for stage in run.stages:
            seconds = f"{stage.duration_seconds:.1f}"
            table.add_row(stage.stage_name, stage.status, _text(stage.records_processed), seconds)
        self._console.print(table)
        passed = sum(check.passed for check in run.data_quality_results)
        self._console.print(
            f"  Run {run.run_id}: [bold]{run.status}[/bold] in {run.duration_seconds:.1f} s, {run.rows_read:,} rows read, "
            f"{run.rows_written:,} written, {passed} of {len(run.data_quality_results)} checks passed\n"
        )

    def farewell(self, endpoint_url: str) -> None:
        """What to try next."""
        if os.environ.get("DYNAMODB_ENDPOINT_URL"):
            self._console.print(
                f'The tables stay at {endpoint_url}: try spark.read.format("dynamo-meta").load("pipeline_run_logs").show()'
            )
            return
        self._console.print(
            "This DynamoDB is gone now. To keep one: run [bold]spark-dynamo local[/bold] in another terminal, set what it "
            "tells you, and run this again."
        )


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


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
