"""What the tasks of a write tell of what they did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from pyspark.sql.datasource import WriterCommitMessage

from spark_dynamo.aws.shared_budget import Ledger
from spark_dynamo.source.write.kept_rows import Kept
from spark_dynamo.source.write.receipts import Execution


@dataclass
class Written(WriterCommitMessage):
    """What one task wrote, or all of them together.

    >>> print(Written(items=1_200, bytes=530_000, units=1_200.0, requests=48, retries=1, failed=3))
    1,200 items, 0.5 MB, 1,200 units; 48 requests, 1 repeated; rows not written: 3 whose condition failed

    `items` were put, updated or deleted, or `found` as their rows want them where a condition failed; `bytes` are those of
    request bodies, `units` the write units that DynamoDB says it consumed. `duplicates` were dropped as option duplicates says,
    `failed` are rows whose condition failed, `bad` those that DynamoDB can't take, each with the rows of its transaction. `kept`
    are the fingerprints of an overwrite's rows. `ledger` is the plan's, which the commit of a stream would not find
    otherwise; `execution` is what the run's log calls it by.
    """

    items: int = 0
    bytes: int = 0
    units: float = 0.0
    requests: int = 0
    retries: int = 0
    duplicates: int = 0
    failed: int = 0
    bad: int = 0
    found: int = 0
    kept: Kept | None = field(default=None, repr=False)
    ledger: Ledger | None = field(default=None, repr=False)
    execution: Execution | None = field(default=None, repr=False)

    def __str__(self) -> str:
        found = f" ({self.found:,} of them found written already)" if self.found else ""
        done = f"{self.items:,} items{found}, {self.bytes / 1e6:,.1f} MB, {self.units:,.0f} units"
        sent = f"{self.requests:,} requests, {self.retries:,} repeated"
        odd = (
            f"{self.duplicates:,} dropped as duplicates",
            f"{self.failed:,} whose condition failed",
            f"{self.bad:,} that DynamoDB can't take",
        )
        odd_counts = (self.duplicates, self.failed, self.bad)
        left = ", ".join(words for words, count in zip(odd, odd_counts, strict=True) if count)
        return f"{done}; {sent}" + (f"; rows not written: {left}" if left else "")

    @classmethod
    def total(cls, messages: Iterable[WriterCommitMessage | None]) -> Written:
        """The sums over all tasks that ended well."""
        written = [message for message in messages if isinstance(message, Written)]
        sums = {one.name: sum(getattr(message, one.name) for message in written) for one in fields(cls)[:9]}
        parts = [message.kept for message in written if message.kept]
        kept = Kept.together(parts) if parts else None
        execution = next((message.execution for message in written if message.execution), None)
        return cls(**sums, kept=kept, execution=execution)
