"""What a write must leave behind, in plain Python: a table is a dictionary of items, and rows are written one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa
from pyspark.sql.types import StructType

from spark_dynamo.aws import transactions
from spark_dynamo.wire.types import arrow_schema
from tests.wire.strategies import canonical

Item: TypeAlias = dict[str, Any]  # in DynamoDB JSON
Row: TypeAlias = dict[str, Any]
Table: TypeAlias = dict[int, Item]  # the items of one partition, by sort key

SCHEMA = (
    StructType()
    .add("id", "string")
    .add("day", "long")
    .add("v", "long")
    .add("s", "string")
    .add("d", "double")
    .add("m", StructType().add("x", "long").add("y", "string"))
)
BY_COLUMN = StructType([*SCHEMA.fields]).add("op", "string")
ATTRIBUTES = ("v", "s", "d", "m")


def _number(item: Item | None, name: str) -> int | None:
    return int(item[name]["N"]) if item and "N" in item.get(name, {}) else None


def _is_null(item: Item | None, name: str) -> bool:
    return item is None or name not in item or "NULL" in item[name]


def _is_less(stored: Item | None, row: Row) -> bool:
    found = _number(stored, "v")
    return found is not None and found < row["v"]


@dataclass(frozen=True)
class Condition:
    """A condition in SQL, what it comes to, and the columns whose values in each row it compares with."""

    sql: str
    holds: Callable[[Item | None, Row], bool]
    columns: tuple[str, ...] = ()


CONDITIONS = (
    Condition("v < new.v", _is_less, ("v",)),
    Condition("id IS NULL", lambda stored, row: stored is None),
    Condition("s IS NULL", lambda stored, row: _is_null(stored, "s")),
    Condition("day IS NULL OR v < new.v", lambda stored, row: stored is None or _is_less(stored, row), ("v",)),
    Condition(
        "s IN ('a', 'b') AND v >= 2",
        lambda stored, row: (
            bool(stored) and stored.get("s") in ({"S": "a"}, {"S": "b"}) and (_number(stored, "v") or 0) >= 2
        ),
    ),
    Condition("m.x = new.v", lambda stored, row: bool(stored) and _is_x(stored, row["v"]), ("v",)),
)


def _is_x(stored: Item, value: int) -> bool:
    fields = stored.get("m", {}).get("M", {})
    return _number(fields, "x") == value


@dataclass(frozen=True)
class Options:
    """The options of a write as far as the model knows them."""

    operation: str = "put"
    by_column: bool = False
    nulls: str = "omit"
    duplicates: str = "error"
    condition: Condition | None = None
    atomic: bool = False

    @property
    def given(self) -> dict[str, str]:
        """As the data source takes them."""
        given = {"nulls": self.nulls, "duplicates": self.duplicates, "atomic": str(self.atomic).lower()}
        if self.by_column:
            given["operationColumn"] = "op"
        else:
            given["operation"] = self.operation
        if self.condition:
            given["condition"] = self.condition.sql
        return given

    @property
    def conditional(self) -> bool:
        """Whether a row may have a condition, and so `conditionFailed` a meaning."""
        return self.by_column or self.operation == "insert" or self.condition is not None

    def operation_of(self, row: Row) -> str:
        return str(row["op"]) if self.by_column else self.operation

    def condition_of(self, operation: str) -> Condition | None:
        if operation == "insert":
            return Condition("", lambda stored, row: stored is None)
        return self.condition


@dataclass
class Outcome:
    """What came of the rows; `failed` and `bad` are rows, and `duplicate` says that two had one key where that is an error."""

    table: Table
    items: int = 0
    duplicates: int = 0
    failed: list[Row] = field(default_factory=list)
    bad: list[Row] = field(default_factory=list)
    duplicate: bool = False


def is_bad(row: Row, options: Options) -> bool:
    """Whether DynamoDB can't take the row."""
    operation = options.operation_of(row)
    compared = options.condition.columns if options.condition and operation != "insert" else ()
    if row["id"] in (None, "") or row["day"] is None or any(row[name] is None for name in compared):
        return True
    return operation != "delete" and row["d"] is not None and not abs(row["d"]) < 1e126


def write(table: Mapping[int, Item], batches: Sequence[Sequence[Row]], options: Options) -> Outcome:
    """Write the rows of a task's batches one after the other.

    Where the write is atomic, each hundred of the task's rows is written at once, or not at all if one of them is bad.
    """
    outcome = Outcome(dict(table))
    seen: set[int] = set()
    size = transactions.ACTIONS_PER_TRANSACTION if options.atomic else 1
    if options.atomic:
        batches = [[row for batch in batches for row in batch]]
    for batch in batches:
        good = [row for row in batch if not is_bad(row, options)]
        outcome.bad += [row for row in batch if is_bad(row, options)]
        chosen = _distinct(good, seen, options, outcome)
        if chosen is None:
            outcome.duplicate = True
            return outcome
        sent = {id(row) for row in chosen}
        for start in range(0, len(batch), size):
            together = batch[start : start + size]
            rows = [row for row in together if id(row) in sent]
            if any(is_bad(row, options) for row in together):
                outcome.bad += rows
            else:
                _write_together(rows, options, outcome)
    return outcome


def _distinct(rows: Sequence[Row], seen: set[int], options: Options, outcome: Outcome) -> list[Row] | None:
    """The rows of a batch that are sent, None where there is an error."""
    days = [row["day"] for row in rows]
    first = [day not in days[:place] and day not in seen for place, day in enumerate(days)]
    last = [day not in days[place + 1 :] for place, day in enumerate(days)]
    repeats = [day in days[:place] or day in seen for place, day in enumerate(days)]
    if options.duplicates == "error":
        deletes = not options.by_column and options.operation == "delete"
        compares = options.condition is not None and options.condition.columns
        if any(repeats) and (not deletes or compares):
            return None
    if options.duplicates == "last":
        relative = [
            options.operation_of(row) in ("insert",)
            or options.condition is not None
            or (options.operation_of(row) == "update" and (options.by_column or options.nulls == "omit"))
            for row in rows
        ]
        if any(relative[place] and repeats[place] and last[place] for place in range(len(rows))):
            return None
    keep = last if options.duplicates == "last" else first
    seen.update(days)
    outcome.duplicates += keep.count(False)
    return [row for row, kept in zip(rows, keep, strict=True) if kept]


def _write_together(rows: Sequence[Row], options: Options, outcome: Outcome) -> None:
    after = dict(outcome.table)
    refused = []
    for row in rows:
        operation, stored = options.operation_of(row), outcome.table.get(row["day"])
        condition = options.condition_of(operation)
        if condition and not condition.holds(stored, row):
            if not is_wanted(row, stored, operation, options.nulls):
                refused.append(row)
        elif operation == "delete":
            after.pop(row["day"], None)
        else:
            after[row["day"]] = written(row, stored if operation == "update" else None, operation, options.nulls)
    if refused:
        outcome.failed += rows
    else:
        outcome.items += len(rows)
        outcome.table = after


def is_wanted(row: Row, stored: Item | None, operation: str, nulls: str) -> bool:
    """Whether the stored item already is what the row would make of it."""
    if stored is None or operation == "delete":
        return stored is None and operation == "delete"
    after = written(row, stored if operation == "update" else None, operation, nulls)
    return same({0: after}) == same({0: stored})


def written(row: Row, stored: Item | None, operation: str, nulls: str) -> Item:
    """The item after a put, insert or update."""
    item = {**(stored or {}), "id": {"S": row["id"]}, "day": {"N": str(row["day"])}}
    for name in ATTRIBUTES:
        value = _attribute(name, row[name], nulls)
        if value is not None:
            item[name] = value
        elif nulls == "remove" and operation == "update":
            item.pop(name, None)
    return item


def _attribute(name: str, value: Any, nulls: str) -> Item | None:
    if value is None:
        return {"NULL": True} if nulls == "write" else None
    if name == "m":
        tags = {"x": "N", "y": "S"}
        fields = {
            field: {tags[field]: str(found)} if found is not None else {"NULL": True}
            for field, found in value.items()
            if found is not None or nulls == "write"
        }
        return {"M": fields}
    return {"S": value} if name == "s" else {"N": repr(value)}


def row(day: int | None, **values: Any) -> Row:
    """A row with those values, and nulls."""
    return {"id": "p", "day": day, "v": None, "s": None, "d": None, "m": None, **values}


def batch_of(rows: Sequence[Row], schema: StructType) -> pa.RecordBatch:
    """The rows as Spark hands them over."""
    return pa.RecordBatch.from_pylist(
        [{name: row.get(name) for name in schema.names} for row in rows], arrow_schema(schema)
    )


def same(items: Mapping[int, Item]) -> dict[int, Any]:
    """Items in a form in which equal numbers are equal."""
    return {day: canonical({"M": item}) for day, item in items.items()}
