"""What every task of a write needs to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql.types import StructType

from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.ledger import Ledger
from spark_dynamo.aws.tables import TableDescription
from spark_dynamo.source.checked import Required
from spark_dynamo.source.rejects import Destination
from spark_dynamo.wire.actions import Condition

OPERATIONS = ("put", "insert", "update", "delete")


@dataclass(frozen=True, slots=True)
class WritePlan:
    """What every task of a write needs to know; Spark pickles it into each.

    `schema` is the frame's as it arrives, with the operation column where there is one. `required` are the places, by
    operation, in which a model takes no null. `units` per second are the whole job's write
    units, `read_units` what an overwrite may read when it looks for items to delete; None for no limit. `write_id` names the
    folder of rejected rows, and `seed` makes the fingerprints of all tasks' keys comparable.
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
        """The frame's schema without the operation column."""
        return StructType([column for column in self.schema if column.name != self.operation_column])

    @property
    def takes_equal_rows(self) -> bool:
        """Whether rows with the same key always mean the same, so that one of them will do: deletes, of keys alone."""
        compares = self.condition is not None and bool(self.condition.columns)
        return self.operation == "delete" and self.operation_column is None and not compares
