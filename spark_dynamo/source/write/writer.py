"""Writers as Spark calls them: tasks write by a plan, and the commit tells what they wrote together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql.datasource import DataSourceArrowWriter, WriterCommitMessage

from spark_dynamo.source.write.kept_rows import Kept
from spark_dynamo.source.write.overwrite import delete_others
from spark_dynamo.source.write.plan import WritePlan
from spark_dynamo.source.write.receipts import Execution, Receipt, leave_receipt
from spark_dynamo.source.write.task import WriteTask
from spark_dynamo.source.write.written import Written
from spark_dynamo.telemetry import facts

logger = logging.getLogger(__name__)

EPOCH = "streaming.sql.batchId"  # Spark's own name of a task's local property
SPECULATION = "spark.speculation"  # a query's settings are local properties of its tasks


@dataclass(frozen=True, slots=True)
class ItemWriter(DataSourceArrowWriter):
    """Writes a frame by its plan; a task that Spark runs again does no harm."""

    plan: WritePlan

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Written:
        """Write one task's rows."""
        context = TaskContext.get()
        if context is None:
            return WriteTask(self.plan).run(iterator)
        # within foreachBatch it writes a stream's epoch, and Spark replays those
        repeated = (
            context.attemptNumber() > 0
            or context.getLocalProperty(EPOCH) is not None
            or context.getLocalProperty(SPECULATION) == "true"  # a later attempt may have written before the first
        )
        written = WriteTask(self.plan, partition=context.partitionId(), repeated=repeated).run(iterator)
        return replace(written, execution=Execution.of_task(context))

    def commit(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Log what all tasks wrote together; an overwrite deletes the items that are not in the frame now."""
        finish(self.plan, messages)

    def abort(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Log what tasks that ended well have written: DynamoDB has no rollback."""
        give_up(self.plan, messages)


def finish(plan: WritePlan, messages: Sequence[WriterCommitMessage | None]) -> None:
    """What the driver does when all tasks have ended well."""
    total = Written.total(messages)
    level = logging.WARNING if total.failed or total.bad or total.duplicates else logging.INFO
    did = f"operations of column {plan.operation_column}" if plan.operation_column else plan.operation
    told = facts(did, plan.table_name, units=total.units, retries=total.retries, items=total.items)
    logger.log(level, "%s to table %s: %s", did, plan.table_name, total, extra=told)
    if total.execution is not None:
        left = total.failed + total.bad
        sentence = f"{did} to table {plan.table_name}: {total}"
        leave_receipt(total.execution, Receipt(total.items, left, sentence, is_whole=level == logging.INFO))
    if plan.overwrite:
        deleted = delete_others(
            plan.connection,
            plan.table,
            plan.table_name,
            total.kept or Kept(plan.seed),
            confirmed=plan.confirmed,
            patience=plan.patience,
            read_units=plan.read_units,
            write_units=plan.units,
        )
        logger.info("overwrite of table %s: %s", plan.table_name, deleted)
        if deleted.left:
            logger.warning(
                "table %s has %s items more than the frame: others put new ones while it was overwritten, again and again",
                plan.table_name,
                f"{deleted.left:,}",
            )
    _remove_ledgers(plan, messages)


def give_up(plan: WritePlan, messages: Sequence[WriterCommitMessage | None]) -> None:
    """What the driver does when a task has failed for good."""
    logger.warning(
        "the write to table %s failed; items of finished tasks stay (%s), those of failed tasks may be written in part. "
        "The write is safe to repeat",
        plan.table_name,
        Written.total(messages),
    )
    _remove_ledgers(plan, messages)


def _remove_ledgers(plan: WritePlan, messages: Sequence[WriterCommitMessage | None]) -> None:
    """That of the plan and those of the tasks, which in a stream are of another plan."""
    ledgers = [plan.ledger, *(message.ledger for message in messages if isinstance(message, Written))]
    for ledger in filter(None, ledgers):
        ledger.remove()
