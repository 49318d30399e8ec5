"""What every task of a write needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from pyspark.sql.types import LongType, StructField, StructType

from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.shared_budget import Ledger
from spark_dynamo.aws.tables import TableDescription
from spark_dynamo.schema.evolve import VERSION
from spark_dynamo.source.write.rejects import Destination
from spark_dynamo.source.write.row_checks import Required
from spark_dynamo.wire.actions import Condition

OPERATIONS = ("put", "insert", "update", "delete")


@dataclass(frozen=True, slots=True)
class WritePlan:
    """What every task of a write needs to know; Spark pickles it into each.

    `schema` is the frame's as it arrives, with the operation column where there is one. `required` are the places, by
    operation, in which a model takes no null. `units` per second are the whole job's write
    units, `read_units` what an overwrite may read when it looks for items to delete; None for no limit. `write_id` names the
    folder of rejected rows, and `seed` makes the fingerprints of all tasks' keys comparable. `version` is that of the model's
    items, None where it has none; `update_condition` holds only for items of that version, and then under `condition`. Where the
    model requires columns that the frame is `lacking`, it holds only for items that are there. So does `patch_condition`, for
    updates that leave out a null of the columns `patched`, which the model requires, too.
    """

    connection: Connection
    table: TableDescription
    table_name: str  # as it is asked for: an ARN reaches another account, the description's name does not
    schema: StructType
    write_id: str
    seed: bytes = field(repr=False)
    operation: str = "put"
    operation_column: str | None = None
    item_format: str = "columns"
    nulls: str = "auto"
    duplicates: str = "error"
    condition: Condition | None = None
    version: int | None = None
    update_condition: Condition | None = None
    lacking: Sequence[str] = ()
    patched: Sequence[str] = ()
    patch_condition: Condition | None = None
    skips_failed: bool = False
    failed: Destination | None = None
    bad: Destination | None = None
    atomic: bool = False
    required: Mapping[str, Sequence[Required]] = field(default_factory=dict)
    patience: float = 300.0
    units: float | None = None
    read_units: float | None = None
    ledger: Ledger | None = None
    tasks: int | None = None
    overwrite: bool = False
    confirmed: bool = False

    @property
    def item_schema(self) -> StructType:
        """What is written of each row: the frame's columns without the operation column, and the model's version."""
        columns = [column for column in self.schema if column.name != self.operation_column]
        return StructType([*columns, StructField(VERSION, LongType(), False)] if self.adds_version else columns)

    @property
    def adds_version(self) -> bool:
        """Whether items get a version that is no column of the frame."""
        return self.version is not None and VERSION not in self.schema.names

    def with_version(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The frame's batch with the version as a column, where it is to be added."""
        if not self.adds_version:
            return batch
        version = pa.array(np.full(batch.num_rows, self.version, np.int64))
        return pa.RecordBatch.from_arrays([*batch.columns, version], names=[*batch.schema.names, VERSION])

    def condition_of(self, operation: str) -> Condition | None:
        """The condition under which a row of that operation is written; an insert has its own."""
        if operation == "insert":
            return None
        return self.update_condition if operation == "update" else self.condition

    @property
    def takes_equal_rows(self) -> bool:
        """Whether rows with the same key always mean the same, so that one of them will do: deletes, of keys alone."""
        compares = self.condition is not None and bool(self.condition.columns)
        return self.operation == "delete" and self.operation_column is None and not compares
