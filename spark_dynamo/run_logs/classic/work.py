"""A SQL execution, or a job outside of SQL, as a stage of a run: its name, its figures, how it ends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from spark_dynamo.metadata.models import RunStatus
from spark_dynamo.run_logs.events import Figures
from spark_dynamo.run_logs.failures import is_cancellation
from spark_dynamo.run_logs.run import Run
from spark_dynamo.source.write.receipts import Receipt

__all__ = ["Key", "Work", "stage_name", "status_of", "streaming_query", "time_of"]

Key = tuple[str, int]  # "sql" or "job", and Spark's id

_COUNTS = (
    "records_failed",
    "rows_read",
    "rows_written",
    "input_bytes",
    "output_bytes",
    "shuffle_read_bytes",
    "shuffle_write_bytes",
    "spill_bytes",
    "task_count",
    "failed_task_count",
)
_LONGEST_NAME = 200
_NO_PLACE = re.compile(r" at (?:\S*NativeMethodAccessorImpl\S*|<unknown>\S*|\S*\$anonfun\S*|\S+\.(?:scala|java):\d+)$")
_FOLDERS = re.compile(r"( at )\S*/([^/\s]+:\d+)$")
# the lines are apart by <br/> or, since Spark 4.3, by line ends
_BATCH = re.compile(r"(?:^|<br/>|\n)id = ([0-9a-f-]{36})(?:<br/>|\n)runId = [0-9a-f-]{36}(?:<br/>|\n)batch = (\w+)$")


@dataclass(slots=True)
class Work:
    """A stage of `run`, made of one or more executions (a command runs others within it); `run` is None for nobody's work."""

    key: Key
    run: Run | None
    tags: frozenset[str] = frozenset()
    figures: dict[Key, Mapping[str, int]] = field(default_factory=dict)
    has_written: bool = False
    is_hidden: bool = False  # no stage, as when a schema is inferred
    leaves_receipt: set[Key] = field(default_factory=set)
    receipts: dict[Key, Receipt] = field(default_factory=dict)

    def sums(self) -> Figures:
        """The sums over all parts that know them."""
        parts = [self._told_truly(key, part) for key, part in self.figures.items()]
        known = {name: [part[name] for part in parts if name in part] for name in _COUNTS}
        # a command's own part has none, which says nothing where the execution within it does not know
        unknown = {name for name in _COUNTS if any(name not in part for part in parts) and not any(known[name])}
        sums: dict[str, Any] = {name: sum(values) for name, values in known.items() if values and name not in unknown}
        peaks = [part["peak_memory_bytes"] for part in parts if "peak_memory_bytes" in part]
        cpu = sum(part.get("cpu_nanoseconds", 0) for part in parts)
        return Figures(
            **sums,
            records_processed=sums.get("rows_written") or sums.get("rows_read"),
            peak_memory_bytes=max(peaks, default=None),
            cpu_seconds=Decimal(cpu).scaleb(-9),
        )

    def _told_truly(self, key: Key, part: Mapping[str, int]) -> Mapping[str, int]:
        """Spark counts the rows that a write of this package's is given; a receipt those that it wrote."""
        receipt = self.receipts.get(key)
        if receipt is not None:
            return {**part, "rows_written": receipt.items, "records_failed": receipt.rows_failed}
        if key in self.leaves_receipt:
            return {name: value for name, value in part.items() if name != "rows_written"}
        return part


def time_of(milliseconds: int) -> datetime:
    """A time of the JVM's clock."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def streaming_query(description: str | None) -> str | None:
    """The id of the streaming query whose batch has that description; None where it is no batch's."""
    found = _BATCH.search(description or "")
    return found[1] if found else None


def stage_name(description: str | None, fallback: str, written: str | None = None) -> str:
    """A stage's name as a person would say it: the job description, else the call site without what says nothing.

    >>> stage_name("parquet at NativeMethodAccessorImpl.java:0", "query 7", "file:/data/out")
    'parquet to /data/out'
    >>> stage_name("collect at /home/ann/jobs/sales.py:12", "query 8")
    'collect at sales.py:12'
    """
    described = (description or "").strip()
    batch = _BATCH.search(described)
    if batch:
        return f"batch {batch[2]}"
    name = _FOLDERS.sub(r"\1\2", _NO_PLACE.sub("", described)) or fallback
    if written and _NO_PLACE.search(described):
        name = f"{name} to {written.removeprefix('file:')}"
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def status_of(error: str | None) -> RunStatus:
    """How a stage ended that Spark told that error of."""
    if not error:
        return RunStatus.SUCCESS
    return RunStatus.CANCELLED if is_cancellation(error) else RunStatus.FAILED
