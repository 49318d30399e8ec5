"""What the server tells of an operation, as figures.

Plan metrics come at the end of a query that succeeded, one message per node of its plan; of commands (writes, SQL commands)
there are none. Progress comes every two seconds, and with the rows of a query; the newest may be behind. Therefore

* rows read and shuffles are known for queries, but for those whose plan has a cached frame, since the reading that fills the cache
  is not in it, and for those that the server computes in advance (`show`);
* tasks and bytes read are known for such queries if progress came after the last rows and speaks of ended stages only;
* tasks that have ended are told while an operation runs;
* rows written are known for writes of DataFrames, by an observation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from spark_dynamo.run_logs.events import Figures

__all__ = ["Observed"]

_CACHES = ("InMemoryTableScan", "Scan In-memory")
_NO_SOURCES = ("Scan OneRowRelation", "Scan ExistingRDD")
_COMPUTED = ("LocalTableScan", "CommandResult")


@dataclass(slots=True)
class Observed:
    """What was seen of one operation; `is_local` says that all its rows are in the request itself."""

    is_query: bool
    is_local: bool = False
    rows_written: int | None = None
    _nodes: dict[int, tuple[str, dict[str, int]]] = field(default_factory=dict)
    _tasks: int = 0
    _bytes: int = 0
    _is_settled: bool = False

    def node(self, metrics: Any) -> None:
        """Take in the metrics of a node of the plan."""
        self._nodes[metrics.plan_id] = metrics.name, {metric.name: metric.value for metric in metrics.metrics}

    def progress(self, stages: Iterable[Any], inflight_tasks: int) -> None:
        """Take in the newest progress."""
        told = list(stages)
        self._tasks = sum(stage.num_completed_tasks for stage in told)
        self._bytes = sum(stage.num_bytes_read for stage in told)
        # a stage of which no task has run is one that Spark skips, as its result is there already
        is_still = all(stage.done or not stage.num_completed_tasks for stage in told)
        self._is_settled = is_still and not inflight_tasks and any(stage.done for stage in told)

    def rows(self) -> None:
        """Take note of rows that came."""
        self._is_settled = False  # the progress before them knows nothing of the tasks that they come from

    def so_far(self) -> Figures:
        """What is known while the operation runs."""
        return Figures(task_count=self._tasks or None)

    def figures(self, *, succeeded: bool) -> Figures:
        """What is known when the operation has ended."""
        if not self.is_query:
            rows = self.rows_written if succeeded else None
            return Figures(records_processed=rows, rows_written=rows)
        tasks = self._tasks if succeeded and self._is_settled else None
        if not succeeded or not self._is_whole:
            return Figures(rows_written=0, task_count=tasks)
        rows = sum(values["numOutputRows"] for values in self._scans)
        is_read = self._is_settled and (self._bytes > 0 or not rows)
        return Figures(
            records_processed=rows,
            rows_read=rows,
            rows_written=0,
            input_bytes=self._bytes if is_read else 0 if self.is_local else None,
            shuffle_read_bytes=self._sum("localBytesRead", "remoteBytesRead"),
            shuffle_write_bytes=self._sum("shuffleBytesWritten"),
            task_count=tasks,
        )

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing from the figures of an operation that succeeded."""
        return self.is_query and self._is_whole and (self._is_settled or self.is_local)

    @property
    def _is_whole(self) -> bool:
        """Whether the metrics are those of all that was read."""
        names = [name for name, _ in self._nodes.values()]
        is_computed = len(names) == 1 and names[0].startswith(_COMPUTED) and not self.is_local
        is_counted = all("numOutputRows" in values for values in self._scans)
        return bool(names) and not is_computed and is_counted and not any(name.startswith(_CACHES) for name in names)

    @property
    def _scans(self) -> Sequence[dict[str, int]]:
        return [
            values
            for name, values in self._nodes.values()
            if "Scan " in name and not name.startswith((*_CACHES, *_NO_SOURCES))
        ]

    def _sum(self, *names: str) -> int:
        return sum(values.get(name, 0) for _, values in self._nodes.values() for name in names)
