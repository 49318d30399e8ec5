"""Arrow record batches -> the JSON text of single writes: put, insert, update and delete, with a condition or without.

An action is one JSON object, just what stands within Put, Update or Delete of a TransactWriteItems request:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
As in `encode`, no Python object is made per row, but for VARIANT columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import StructField, StructType

from spark_dynamo.errors import InvalidItemError, OptionError, SchemaError
from spark_dynamo.wire.encode import (
    NULL_VALUE,
    Column,
    ItemEncoder,
    check_sizes,
    column_of_field,
    encode_fields,
    key_of,
)
from spark_dynamo.wire.kernels import Unfit, join
from spark_dynamo.wire.sizes import LARGEST_ITEM

_LONGEST_EXPRESSION = 4096  # bytes, with placeholders in place of names
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
# An update that sets nothing makes an item of the key where there is none. DynamoDB takes one without an expression, but not
# in a transaction, and moto not at all; so it removes what no item has.
_NOTHING, _NOTHING_NAME = "REMOVE #u", '"#u":"spark-dynamo: an attribute that no item has"'

_Piece: TypeAlias = (
    str | pa.Array | None
)  # a text for all rows; a column of texts, null where a row has none; none for any row


_FIRST_NAME = re.compile(r"(?<![.\w])#\w+")  # the first step of a path into an item


@dataclass(frozen=True, slots=True)
class Condition:
    """A ConditionExpression: its text, the names and values behind its placeholders, and those that each row fills in.

    `names` is like `{"#c0": "version"}`, `values` like `{":c0": {"S": "x"}}`, in DynamoDB JSON with binaries as base64 text.
    `columns` are columns of the frame, like `{":r0": "version"}`, whose value in each row a placeholder stands for.
    """

    expression: str
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def attributes(self) -> set[str]:
        """The item's attributes that it speaks of, without what lies within them."""
        return {self.names[name] for name in _FIRST_NAME.findall(self.expression)}


class ActionEncoder:
    """Turns record batches of one schema into actions; `operation` is put, insert, update or delete.

    `key_names` are the table's key attributes, the partition key first. An insert is a put on the condition that there is no
    item with that key.

    An update sets those attributes that are columns, and leaves the item's others as they are; where there is no item, it
    makes one. A null leaves its attribute as it is, too (`nulls` is `auto` or `omit`), makes it NULL (`write`), or removes it
    (`remove`). A struct is one attribute, set as a whole; a null within it is a NULL with `write`, or with `auto` where the
    field's metadata says so, else left out. As `auto` does not overwrite what is stored, a column that came by its nulls in a
    join does no harm.

    A row that DynamoDB can't take, or with a null that the condition compares with, raises `InvalidItemError`, and nothing is
    returned then; keys that are null, empty or too long are left to the caller. An update of too many columns raises
    `SchemaError`, an insert with a condition `OptionError`.

    >>> schema = StructType().add("id", "string").add("n", "long")
    >>> encoder = ActionEncoder("update", table="t", schema=schema, key_names=["id"])
    >>> action = encoder.encode(pa.record_batch({"id": ["a"], "n": [7]}))[0].as_py()
    >>> orjson.loads(action)["UpdateExpression"], orjson.loads(action)["ExpressionAttributeValues"]
    ('SET #u0=:u0', {':u0': {'N': '7'}})
    """

    def __init__(
        self,
        operation: str,
        *,
        table: str,
        schema: StructType,
        key_names: Sequence[str],
        nulls: str = "auto",
        condition: Condition | None = None,
    ) -> None:
        self._operation = operation
        self._table = table
        self._condition = _condition_of(operation, key_names, condition)
        key_fields = [field for field in schema.fields if field.name in key_names]
        compared = [schema[name] for name in self._condition.columns.values()] if self._condition else []
        written = "omit" if nulls == "remove" else nulls
        self._keys = {field.name: column_of_field(field, written) for field in key_fields}
        self._compared = {field.name: column_of_field(field, written) for field in compared}
        used = schema.fields
        if operation == "update":
            self._assignments = _assignments([field for field in schema.fields if field.name not in key_names], nulls)
        elif operation == "delete":
            used = list({field.name: field for field in (*key_fields, *compared)}.values())
        self._item_schema = StructType(used)
        self._items = ItemEncoder(self._item_schema, table=table, key_names=key_names, nulls=written)

    def encode(self, batch: pa.RecordBatch, item_texts: pa.StringArray | None = None) -> pa.StringArray:
        """One action a row; `item_texts` are the rows' items, for a delete their keys, where they are already at hand."""
        try:
            return self._encode(batch, item_texts)
        except Unfit:
            self._items.encode(batch.select(self._item_schema.names))  # raises the error with row and key
            raise

    def _encode(self, batch: pa.RecordBatch, item_texts: pa.StringArray | None) -> pa.StringArray:
        names: list[_Piece] = []
        values: list[_Piece] = []
        pieces: list[_Piece] = []
        if self._operation == "update":
            pieces.append(self._update(batch, names, values))
        if self._condition:
            pieces.append(f',"ConditionExpression":{_json(self._condition.expression)}')
            names += [f"{_json(alias)}:{_json(name)}" for alias, name in self._condition.names.items()]
            values += [f"{_json(alias)}:{_json(value)}" for alias, value in self._condition.values.items()]
            values += self._row_values(batch, self._condition.columns)
        pieces.append(_around(',"ExpressionAttributeNames":{', _listed(names, batch.num_rows), "}"))
        pieces.append(_around(',"ExpressionAttributeValues":{', _listed(values, batch.num_rows), "}"))
        if self._condition:
            pieces.append(',"ReturnValuesOnConditionCheckFailure":"ALL_OLD"')
        content = "Item" if self._operation in ("put", "insert") else "Key"
        actions = join(
            f'{{"TableName":{_json(self._table)},"{content}":',
            self._texts(batch) if item_texts is None else item_texts,
            *(
                "" if piece is None else piece if isinstance(piece, str) else pc.fill_null(piece, "")
                for piece in pieces
            ),
            "}",
        )
        if self._operation == "update":
            self._check_sizes(batch, actions)
        return actions

    def _texts(self, batch: pa.RecordBatch) -> pa.StringArray:
        """The rows' items, or their keys."""
        if self._operation in ("put", "insert"):
            return self._items.encode(batch)
        columns = [batch.column(name) for name in self._keys]
        return join("{", encode_fields(self._keys, columns, batch.num_rows), "}")

    def _update(self, batch: pa.RecordBatch, names: list[_Piece], values: list[_Piece]) -> _Piece:
        """The UpdateExpression; what it needs of names and values is added to these."""
        said = [one.said(batch.column(one.name)) for one in self._assignments]
        sets = _listed([one.set for one in said], batch.num_rows)
        removed = _listed([one.remove for one in said], batch.num_rows)
        expression = _listed([_around("SET ", sets, ""), _around("REMOVE ", removed, "")], batch.num_rows, " ")
        names += [one.aliased for one in said]
        values += [one.value for one in said]
        if expression is None:
            expression = _NOTHING
            names.append(_NOTHING_NAME)
        elif not isinstance(expression, str) and expression.null_count:
            names.append(pc.if_else(expression.is_null(), _NOTHING_NAME, pa.scalar(None, pa.string())))
            expression = pc.fill_null(expression, _NOTHING)
        return _around(',"UpdateExpression":"', expression, '"')

    def _row_values(self, batch: pa.RecordBatch, columns: Mapping[str, str]) -> Iterator[_Piece]:
        for alias, name in columns.items():
            column = batch.column(name)
            if column.null_count:
                raise InvalidItemError(
                    table=self._table,
                    key=key_of(batch.select(list(self._keys)), pc.index(column.is_null(), True).as_py()),
                    attribute=name,
                    value=None,
                    problem="the condition compares the stored item with it, and it is NULL; fill it or drop the row",
                )
            yield self._compared[name].encode(column, f"{_json(alias)}:", "")

    def _check_sizes(self, batch: pa.RecordBatch, actions: pa.StringArray) -> None:
        """Raise `InvalidItemError` where what a row brings would alone be too large for an item."""
        long = pc.greater(pc.binary_length(actions), LARGEST_ITEM).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(long).tolist():
            action = orjson.loads(actions[row].as_py())
            names, values = action["ExpressionAttributeNames"], action.get("ExpressionAttributeValues", {})
            brought = {names[f"#{alias[1:]}"]: value for alias, value in values.items() if alias.startswith(":u")}
            item = orjson.dumps({**action["Key"], **brought}).decode()
            check_sizes(self._table, pa.array([item]), batch.select(list(self._keys)).slice(row, 1))


def _condition_of(operation: str, key_names: Sequence[str], condition: Condition | None) -> Condition | None:
    if operation != "insert":
        return condition
    if condition is not None:
        raise OptionError(
            "condition", "can't stand beside operation 'insert', which has its own: that there is no such item; use put"
        )
    return Condition("attribute_not_exists(#c0)", {"#c0": key_names[0]})


# ---------------------------------------------------------------------------------------------------- updates


@dataclass(frozen=True, slots=True)
class _Said:
    """What an update says of one attribute: in SET, in REMOVE, and behind the placeholders of its name and value."""

    set: _Piece
    remove: _Piece
    aliased: _Piece
    value: _Piece


@dataclass(frozen=True, slots=True)
class _Assignment:
    """One attribute of an update, with its placeholders `#u0` and `:u0`."""

    name: str
    column: Column
    alias: str
    nulls: str

    def said(self, values: pa.Array) -> _Said:
        set_, remove = f"#{self.alias}=:{self.alias}", f"#{self.alias}"
        name, prefix = f'"#{self.alias}":{_json(self.name)}', f'":{self.alias}":'
        value = self.column.encode(values, prefix, "")
        if self.nulls == "write":
            return _Said(set_, None, name, pc.fill_null(value, prefix + NULL_VALUE))
        if not value.null_count:
            return _Said(set_, None, name, value)
        given, none = value.is_valid(), pa.scalar(None, pa.string())
        if self.nulls == "remove":
            return _Said(pc.if_else(given, set_, none), pc.if_else(given, none, remove), name, value)
        return _Said(pc.if_else(given, set_, none), None, pc.if_else(given, name, none), value)


def _assignments(fields: Sequence[StructField], nulls: str) -> list[_Assignment]:
    assignments = [
        _Assignment(
            field.name, column_of_field(field, "omit" if nulls == "remove" else nulls), f"u{_short(place)}", nulls
        )
        for place, field in enumerate(fields)
    ]
    aliases = [len(one.alias) for one in assignments]
    longest = len("SET") + sum(len(" #=:") + 2 * length for length in aliases)
    if nulls == "remove":  # one `REMOVE #u0` for one `#u0=:u0` may be longer
        longest += max((len("REMOVE") - len("=:") - length for length in aliases), default=0)
    if longest > _LONGEST_EXPRESSION:
        raise SchemaError(
            assignments[-1].name,
            f"an update of {len(fields):,} attributes needs an UpdateExpression of {longest:,} bytes, and DynamoDB takes "
            f"{_LONGEST_EXPRESSION:,}; select fewer columns, put some into a struct, or use operation put",
        )
    return assignments


def _short(number: int) -> str:
    """A number in few characters."""
    head, last = divmod(number, len(_DIGITS))
    return (_short(head) if head else "") + _DIGITS[last]


# ---------------------------------------------------------------------------------------------------- pieces


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _around(prefix: str, piece: _Piece, suffix: str) -> _Piece:
    if piece is None or isinstance(piece, str):
        return piece and f"{prefix}{piece}{suffix}"
    return join(prefix, piece, suffix)


def _listed(pieces: Sequence[_Piece], rows: int, separator: str = ",") -> _Piece:
    """Each row's pieces with separators between; those that it does not have are left out."""
    parts: list[Any] = []
    for piece in pieces:
        if isinstance(piece, str) and parts and isinstance(parts[-1], str):
            parts[-1] += separator + piece
        elif piece is not None:
            parts.append(piece)
    if all(isinstance(part, str) for part in parts):
        return parts[0] if parts else None
    if any(isinstance(part, str) or not part.null_count for part in parts):
        present: _Piece = pc.binary_join_element_wise(*parts, separator, null_handling="skip")
        return present
    # Arrow's `skip` drops a row without a trace where all pieces are null: begin each with "", and cut the separator after it
    empty = pa.array([""] * rows, pa.string())
    whole = pc.binary_join_element_wise(empty, *parts, separator, null_handling="skip")
    texts = pc.binary_replace_slice(whole, start=0, stop=len(separator), replacement="")
    some: _Piece = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    return some
