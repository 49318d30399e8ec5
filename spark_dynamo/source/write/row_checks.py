"""Rows checked before they are sent: the keys that DynamoDB refuses, and the nulls that a model forbids.

What is wrong within values and items is the encoders' to find. `Checks.apart` sorts bad rows out, so that the rest may go on;
with `Checks.all_good` the first one is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import StructType

from spark_dynamo.aws.tables import TableDescription
from spark_dynamo.errors import InvalidItemError, SchemaError
from spark_dynamo.schema.evolve import VERSION
from spark_dynamo.wire import types
from spark_dynamo.wire.encode import Encoder, key_of
from spark_dynamo.wire.good_and_bad_rows import Apart, BadRow, Rows
from spark_dynamo.wire.kernels import list_offsets

_LONGEST_PARTITION_KEY, _LONGEST_SORT_KEY = 2_048, 1_024  # bytes
OTHER_VERSION = (
    "the model's items are of version {}; read older ones with option model, which upgrades them, or drop the column, and it "
    "is written for you where the rows are of that version"
)
FORBIDDEN_NULL = "the model requires a value, and it is NULL; fill it in, or make the model's field optional"


@dataclass(frozen=True, slots=True)
class Required:
    """A place in the frame where null is forbidden, as in `orders[].price`, by a model unless `problem` says otherwise.

    `steps` lead there: the column's name, then each struct's field by its name, and None for the elements of a list or the
    values of a map.
    """

    path: str
    steps: tuple[str | None, ...]
    problem: str = FORBIDDEN_NULL


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The rows that are bad for one reason, and the column with their values where these are worth showing."""

    attribute: str
    rows: Rows
    problem: str
    values: pa.Array | None


class Checks:
    """The checks of one write's rows, which `encoder` turns into items or keys of `table`; messages call it `table_name`.

    `required` are the places where a model forbids null. `nulls` is the option of that name. The keys of secondary indexes are
    checked where they are columns; in whole items only DynamoDB looks at them. `version` is what a column `schema_version` must
    hold, None for anything.
    """

    def __init__(
        self,
        encoder: Encoder,
        table: TableDescription,
        table_name: str,
        *,
        required: Sequence[Required] = (),
        nulls: str = "omit",
        version: int | None = None,
    ) -> None:
        self._encoder = encoder
        self._table = table
        self._table_name = table_name
        self._required = required
        self._nulls = nulls
        self._version = version

    def all_good(self, batch: pa.RecordBatch) -> Apart:
        """All rows as texts, with their keys; raises `InvalidItemError` where DynamoDB can't take one."""
        texts, keys = self._encoder.encode_with_keys(batch)
        apart = self._checked(Apart(texts, keys, np.arange(batch.num_rows)), batch)
        if apart.bad:
            raise apart.bad[0].error
        return apart

    def apart(self, batch: pa.RecordBatch) -> Apart:
        """The rows that DynamoDB can take, and the others with the reasons; `rows` are the places of the good ones."""
        return self._checked(self._encoder.encode_apart(batch), batch)

    def _checked(self, apart: Apart, batch: pa.RecordBatch) -> Apart:
        """The rows without those whose keys or nulls are refused."""
        rows = batch if len(apart.rows) == batch.num_rows else batch.take(pa.array(apart.rows))
        found: dict[int, BadRow] = {}
        for refusal in self._refusals(rows, apart.keys):
            for place in refusal.rows.tolist():
                row = int(apart.rows[place])
                if row not in found:
                    error = InvalidItemError(
                        table=self._table_name,
                        key=key_of(apart.keys, place),
                        attribute=refusal.attribute,
                        value=None if refusal.values is None else refusal.values[place].as_py(),
                        problem=refusal.problem,
                    )
                    found[row] = BadRow(row, error, apart.texts[place].as_py())
        return apart.without([found[row] for row in sorted(found)])

    def _refusals(self, batch: pa.RecordBatch, keys: pa.RecordBatch) -> Iterator[_Refusal]:
        yield from _key_refusals(self._table, keys)
        for name, longest in _index_keys(self._table).items():
            if name in batch.schema.names:
                column = batch.column(name)
                yield from _bad_lengths(name, column, longest, "secondary index's")
                if self._nulls == "write":
                    problem = "a key of a secondary index can't be a NULL attribute; leave out option nulls=write"
                    yield from _refusal(name, column.is_null(), problem)
        if self._version is not None and VERSION in batch.schema.names:
            versions = batch.column(VERSION)
            other = pc.fill_null(pc.not_equal(versions, self._version), True)
            yield from _refusal(VERSION, other, OTHER_VERSION.format(self._version), versions)
        for required in self._required:
            rows = null_rows(batch.column(required.steps[0]), required.steps[1:])
            if len(rows):
                yield _Refusal(required.path, rows, required.problem, None)


def check_key_values(keys: pa.RecordBatch, table: TableDescription, table_name: str) -> None:
    """Raise `InvalidItemError` for a row whose key is null, empty or too long."""
    for refusal in _key_refusals(table, keys):
        row = int(refusal.rows[0])
        key = key_of(keys, row)
        raise InvalidItemError(
            table=table_name,
            key=key,
            attribute=refusal.attribute,
            value=key[refusal.attribute],
            problem=refusal.problem,
        )


def check_index_types(schema: StructType, table: TableDescription) -> None:
    """Raise `SchemaError` where a column has the name of a secondary index's key, but another DynamoDB type."""
    for index in table.indexes:
        for key in (index.partition_key, index.sort_key):
            if key is None or key.name not in schema.names:
                continue
            field = schema[key.name]
            tag = None
            if types.is_leaf(field.dataType):
                tag = types.leaf_of(field.dataType, types.storage_tag(field), key.name).tag
            if tag != key.type:
                raise SchemaError(
                    key.name,
                    f"index '{index.name}' of table '{table.name}' has it as a key of type {key.type}, but "
                    f"{field.dataType.simpleString()} is not stored so; cast the column",
                )


def null_rows(column: pa.Array, steps: Sequence[str | None]) -> Rows:
    """The rows of a column in which a null stands at the place to which the steps lead; no null around it counts.

    >>> prices = pa.array([[{"price": 1}], [{"price": 2}, {"price": None}], [None], None])
    >>> null_rows(prices, [None, "price"]).tolist()
    [1]
    """
    owners = np.arange(len(column))
    for step in steps:
        if step is None:
            if pa.types.is_map(column.type):
                column = column.cast(
                    pa.list_(pa.struct([("key", column.type.key_type), ("value", column.type.item_type)]))
                )
                owners = np.repeat(owners, np.diff(list_offsets(column).to_numpy()))
                column = column.flatten().flatten()[1]
            else:
                owners = np.repeat(owners, np.diff(list_offsets(column).to_numpy()))
                column = column.flatten()
        else:
            if column.null_count:
                present = column.is_valid()
                owners = owners[present.to_numpy(zero_copy_only=False)]
                column = column.filter(present)
            column = column.flatten()[column.type.get_field_index(step)]
    if not column.null_count:
        return owners[:0]
    return np.unique(owners[column.is_null().to_numpy(zero_copy_only=False)])


def _key_refusals(table: TableDescription, keys: pa.RecordBatch) -> Iterator[_Refusal]:
    for key in table.keys:
        column = keys.column(key.name)
        yield from _refusal(key.name, column.is_null(), "a key attribute must not be NULL", column)
        is_partition_key = key == table.partition_key
        longest = _LONGEST_PARTITION_KEY if is_partition_key else _LONGEST_SORT_KEY
        yield from _bad_lengths(key.name, column, longest, "partition" if is_partition_key else "sort")


def _bad_lengths(name: str, column: pa.Array, longest: int, what: str) -> Iterator[_Refusal]:
    if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
        return  # numbers, dates and timestamps have texts that are never empty and never long
    length = pc.binary_length(column)
    yield from _refusal(name, pc.equal(length, 0), "a key attribute must not be empty", column)
    yield from _refusal(name, pc.greater(length, longest), f"a {what} key holds {longest:,} bytes", column)


def _refusal(name: str, bad: pa.BooleanArray, problem: str, values: pa.Array | None = None) -> Iterator[_Refusal]:
    rows = np.flatnonzero(pc.fill_null(bad, False).to_numpy(zero_copy_only=False))
    if len(rows):
        yield _Refusal(name, rows, problem, values)


def _index_keys(table: TableDescription) -> Mapping[str, int]:
    """The names of the keys of all secondary indexes, with their longest values in bytes."""
    longest: dict[str, int] = {}
    for index in table.indexes:
        longest.setdefault(index.partition_key.name, _LONGEST_PARTITION_KEY)
        if index.sort_key is not None:
            longest[index.sort_key.name] = _LONGEST_SORT_KEY
    return longest
