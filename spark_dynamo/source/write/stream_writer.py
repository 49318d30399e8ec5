"""The sink of Structured Streaming: each epoch is written as a frame is, and one that Spark replays leaves the same table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyspark
from pyspark import TaskContext
from pyspark.sql.datasource import WriterCommitMessage

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.source.write.plan import WritePlan
from spark_dynamo.source.write.receipts import Execution
from spark_dynamo.source.write.task import WriteTask
from spark_dynamo.source.write.writer import EPOCH, finish, give_up
from spark_dynamo.source.write.written import Written

try:
    from pyspark.sql.datasource import DataSourceStreamArrowWriter
except ImportError as error:
    raise ConfigurationError(
        f"Streams can be written with pyspark 4.1 or later, and this is {pyspark.__version__}; upgrade it, or write each "
        "epoch as a frame in foreachBatch",
        error,
    ) from error

_QUERY = "sql.streaming.queryId"  # Spark's own name of a task's local property


@dataclass(frozen=True, slots=True)
class ItemStreamWriter(DataSourceStreamArrowWriter):
    """Writes epoch after epoch by a plan.

    Spark replays an epoch whose end it did not note down, so a condition that fails because the item already is what the row
    wanted counts as done. Rejected rows go to a folder per query and epoch, where a replay replaces them.
    """

    plan: WritePlan

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Written:
        """Write the rows of one task of an epoch."""
        context = TaskContext.get()
        if context is None:
            return WriteTask(self.plan, repeated=True).run(iterator)
        query, epoch = (context.getLocalProperty(name) for name in (_QUERY, EPOCH))
        write_id = f"{query}/{epoch}" if query and epoch else None
        task = WriteTask(self.plan, partition=context.partitionId(), repeated=True, write_id=write_id)
        return replace(task.run(iterator), execution=Execution.of_task(context))

    def commit(self, messages: Sequence[WriterCommitMessage | None], batchId: int) -> None:  # noqa: N803 - Spark's name
        """Log what the epoch wrote; in output mode `complete`, items that are not in its result are deleted now."""
        finish(self.plan, messages)

    def abort(self, messages: Sequence[WriterCommitMessage | None], batchId: int) -> None:  # noqa: N803 - Spark's name
        """Log what was written of an epoch that failed; Spark will run it again."""
        give_up(self.plan, messages)
