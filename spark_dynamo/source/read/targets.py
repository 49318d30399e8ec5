"""What a read may aim at: the table or one of its secondary indexes, with its keys, size and throughput."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spark_dynamo.aws.tables import Index, KeyAttribute, TableDescription
from spark_dynamo.errors import OptionError, nearest, shorten

TYPICAL_ITEM = 500  # bytes, where a table knows its items but not their size, as local servers do


@dataclass(frozen=True, slots=True)
class Target:
    """The table (`index` None) or an index of it.

    `size_bytes` and `item_count` are some hours old and 0 where nobody knows; `throughput` is the read units per second that
    are provisioned or warm, None where the server doesn't say.
    """

    table: TableDescription
    index: Index | None = None

    @property
    def name(self) -> str | None:
        """The index's name, None for the table."""
        return self.index.name if self.index else None

    @property
    def partition_key(self) -> KeyAttribute:
        """The key attribute that a Query must give."""
        return (self.index or self.table).partition_key

    @property
    def sort_key(self) -> KeyAttribute | None:
        """The key attribute that a Query may restrict."""
        return (self.index or self.table).sort_key

    @property
    def keys(self) -> tuple[KeyAttribute, ...]:
        """Partition key and sort key."""
        return tuple(key for key in (self.partition_key, self.sort_key) if key)

    @property
    def item_count(self) -> int:
        """Items as DescribeTable tells them."""
        return (self.index.item_count or 0) if self.index else self.table.item_count

    @property
    def size_bytes(self) -> int:
        """Bytes as DescribeTable tells them."""
        told = (self.index.size_bytes or 0) if self.index else self.table.size_bytes
        return told or self.item_count * TYPICAL_ITEM

    @property
    def throughput(self) -> int | None:
        """Read units per second; an index on demand takes what the table is warm for."""
        provisioned = self.index.read_units if self.index and self.index.kind == "GSI" else self.table.read_units
        return provisioned or self.table.warm_read_units

    @property
    def title(self) -> str:
        """As in `table 'orders'` or `index 'by-day' of table 'orders'`."""
        of_table = f"table '{self.table.name}'"
        return f"index '{self.index.name}' of {of_table}" if self.index else of_table

    def lacks(self, attributes: Sequence[str] | None) -> list[str]:
        """Those of the attributes that the index doesn't project; None, for whole items, lacks `*` unless all are there."""
        if self.index is None or self.index.projection == "ALL":
            return []
        if attributes is None:
            return ["*"]
        projected = {key.name for key in (*self.table.keys, *self.keys)} | set(self.index.projected)
        return [name for name in attributes if name not in projected]


def explicit_target(
    table: TableDescription, index: str | None, attributes: Sequence[str] | None, consistent_read: bool
) -> Target:
    """The target that option `index` names; OptionError where it can't be read as it is asked for."""
    if index is None:
        return Target(table)
    found = {known.name: known for known in table.indexes}.get(index)
    if found is None:
        raise OptionError("index", _unknown_index(table, index))
    if found.kind == "GSI" and consistent_read:
        raise OptionError(
            "consistentRead",
            f"is true, and '{index}' is a global secondary index, which is always read eventually; "
            "leave out one of the two",
        )
    target = Target(table, found)
    missing = target.lacks(attributes)
    if missing == ["*"]:
        raise OptionError(
            "index", f"is '{index}', whose projection is {found.projection}, and whole items are asked for"
        )
    if missing:
        raise OptionError(
            "index",
            f"is '{index}', which does not project {shorten(', '.join(missing))}; leave these columns out of the schema or "
            "option 'columns', or read the table",
        )
    return target


def usable_indexes(
    table: TableDescription, attributes: Sequence[str] | None, present: Iterable[str], consistent_read: bool
) -> list[Target]:
    """The indexes that hold every item and attribute wanted, where all wanted items have the attributes `present`."""
    there = {key.name for key in table.keys} | set(present)
    targets = [Target(table, index) for index in table.indexes if index.status in (None, "ACTIVE")]
    return [
        target
        for target in targets
        if target.index
        and not (consistent_read and target.index.kind == "GSI")
        and not target.lacks(attributes)
        and all(key.name in there for key in target.keys)  # an item without its key is not in the index
    ]


def _unknown_index(table: TableDescription, name: str) -> str:
    if name in table.multi_key_indexes:
        return (
            f"is '{name}', whose keys have several attributes, which is not supported; read the table, or another index"
        )
    names = [index.name for index in table.indexes]
    if not names:
        return f"is '{name}', and table '{table.name}' has no indexes"
    close = nearest(name, names)
    hint = f"; did you mean '{close}'?" if close else "."
    return f"is '{name}', and table '{table.name}' has no such index{hint} Its indexes are {shorten(', '.join(names))}"
