"""What the progress of one streaming query comes to, and what its Spark jobs do. Nothing here reads a clock or does IO.

Rows that came in, and their sum over the sources, are those of the progress, whatever the source is. Rows that went out are those
of the progress too if the sink tells them (`numOutputRows`), else those that the jobs wrote (files, `foreachBatch`). All else, as
bytes, tasks, shuffle and CPU, is known by the jobs alone. So nothing counts twice.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from spark_dynamo.errors import shorten
from spark_dynamo.metadata.models import LogLevel, RunStatus
from spark_dynamo.run_logs.events import Described, Event, Figures, Logged, Measured, StageEnded, StageStarted

__all__ = ["JobFigures", "Progress"]

_SHORTEST_PACE = timedelta(seconds=10)  # between two messages about batches
_PART_OF_AGE = 20  # and this part of the query's age, so that a query of a year has some 300 of them
_KEYS_KEPT = 1_000
_PYTHON_SINK = ".python.PythonTable"  # in the description of any


class Progress:
    """The progress of one run of a streaming query, as events of its run log.

    Each source is a stage with the rows that came from it. Messages tell batches with their duration, rates and offsets: the
    first, the last, and others the fewer the longer the query runs; those with rows that came too late are warnings. With
    `is_watched`, the jobs' figures tell what a sink in Python wrote, of which the progress knows only what it was given.
    """

    def __init__(self, began: datetime, *, is_watched: bool = False) -> None:
        self._began = began
        self._is_watched = is_watched
        self._rows: list[int] = []  # of each source
        self._written = 0
        self._sink_counts: bool | None = None
        self._last: tuple[int, str] | None = None
        self._is_complete = True
        self._late = 0
        self._logged: datetime | None = None
        self._unlogged: Any = None

    @property
    def sink_counts(self) -> bool | None:
        """Whether the sink tells how many rows went out; None where that is not known yet."""
        return self._sink_counts

    def take(self, progress: Any, at: datetime) -> Iterator[Event]:
        """What a `StreamingQueryProgress` tells that is new."""
        batch = progress.batchId, str(progress.timestamp)
        if batch == self._last:
            return
        # an event was dropped, and its rows with it
        self._is_complete &= self._last is None or batch[0] <= self._last[0] + 1
        self._last = batch
        for place, source in enumerate(progress.sources):
            if place == len(self._rows):
                self._rows.append(0)
                yield StageStarted(("source", place), shorten(source.description), self._began)
            self._rows[place] += source.numInputRows
            rows = self._rows[place]
            yield Measured(("source", place), Figures(records_processed=rows, rows_read=rows), at)
        is_told = self._is_watched and _PYTHON_SINK in str(progress.sink.description)
        if progress.sink.numOutputRows >= 0 and not is_told:
            self._sink_counts = True
            self._written += progress.sink.numOutputRows
            yield Measured("sink", Figures(rows_written=self._written), at)
        elif self._sink_counts is None:
            self._sink_counts = False
        self._late += sum(operator.numRowsDroppedByWatermark for operator in progress.stateOperators)
        self._unlogged = progress
        if self._logged is None or at - self._logged >= max(_SHORTEST_PACE, (at - self._began) / _PART_OF_AGE):
            yield from self._log(at)

    def end(self, status: RunStatus, at: datetime) -> Iterator[Event]:
        """What is left to tell when the query has ended."""
        yield from self._log(at)
        for place in range(len(self._rows)):
            yield StageEnded(("source", place), at, status)
        yield Described(at, metrics_complete=self._is_complete)

    def _log(self, at: datetime) -> Iterator[Event]:
        if self._unlogged is None:
            return
        message, level = _sentence(self._unlogged), LogLevel.INFO
        if self._late:
            message += f"; {self._late:,} rows came too late and were dropped"
            level = LogLevel.WARNING
        self._logged, self._unlogged, self._late = at, None, 0
        yield Logged(message, at, level)


def _sentence(progress: Any) -> str:
    """A batch, as in `Batch 3: 100 rows in, 100 out in 0.722 s (95.1 rows/s in, 138.5 rows/s processed); Rate to 4`."""
    written = progress.sink.numOutputRows
    out = f", {written:,} out" if written >= 0 else ""
    rates = {"in": progress.inputRowsPerSecond, "processed": progress.processedRowsPerSecond}
    told = ", ".join(f"{rate:,.1f} rows/s {name}" for name, rate in rates.items() if rate and math.isfinite(rate))
    seconds = f"{progress.batchDuration / 1000:.3f} s"
    parts = [
        f"Batch {progress.batchId:,}: {progress.numInputRows:,} rows in{out} in {seconds}{f' ({told})' if told else ''}"
    ]
    for source in progress.sources:
        name = shorten(source.description)
        part = f"{name} to {shorten(str(source.endOffset))}"
        if source.metrics:
            metrics = ", ".join(f"{name}={value}" for name, value in source.metrics.items())
            part += f" ({shorten(metrics)})"
        parts.append(part)
    return "; ".join(parts)


@dataclass(slots=True)
class _Sum:
    value: int | Decimal
    is_peak: bool


class JobFigures:
    """The sums of what the jobs of a query were measured, of which each key's newest counts; the oldest keys are final.

    >>> figures = JobFigures()
    >>> for key, tasks in (("a", 1), ("b", 1), ("a", 3)):
    ...     figures.put(key, Figures(task_count=tasks))
    >>> figures.total(sink_counts=True).task_count
    4
    """

    def __init__(self) -> None:
        self._newest: OrderedDict[Hashable, Figures] = OrderedDict()
        self._sums: dict[str, _Sum] = {}

    def put(self, key: Hashable, figures: Figures) -> None:
        """Take in all that was counted so far under the key."""
        before = self._newest.pop(key, Figures())
        for one in fields(Figures):
            value = getattr(figures, one.name)
            if value is None:
                continue
            known = self._sums.setdefault(one.name, _Sum(value * 0, one.name == "peak_memory_bytes"))
            if known.is_peak:
                known.value = max(known.value, value)
            else:
                known.value += value - (getattr(before, one.name) or 0)
        self._newest[key] = figures
        if len(self._newest) > _KEYS_KEPT:
            self._newest.popitem(last=False)

    def total(self, *, sink_counts: bool | None) -> Figures:
        """The sums, without the rows that the progress tells; rows written are held back until that is known."""
        told = {name: known.value for name, known in self._sums.items()}
        told.pop("rows_read", None)
        told.pop("records_processed", None)
        if sink_counts is not False:
            told.pop("rows_written", None)
        return Figures(**told)  # type: ignore[arg-type]
