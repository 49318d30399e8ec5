"""Arrow record batches -> the JSON text of DynamoDB items: the write path's hot loop, the mirror of `decode`.

Each column becomes a column of JSON text, `"name":{"S":"value"}`, by string kernels; a row's pieces are joined to the item.
A null piece is left out; where nulls are to be written, the column has none. No Python object is made per item, but for
VARIANT columns.

The tree of columns is built once from the schema; the loop over batches only calls it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType, VariantType

from spark_dynamo.errors import InvalidItemError, SchemaError
from spark_dynamo.wire import types
from spark_dynamo.wire.good_and_bad_rows import Apart, BadRow, others
from spark_dynamo.wire.item_limits import DEEPEST_NESTING
from spark_dynamo.wire.kernels import EMPTY_NAME, EMPTY_SET, Unfit, encode_text, join, list_offsets, refuse
from spark_dynamo.wire.sizes import refuse_large
from spark_dynamo.wire.variant.text import variant_text

_LONGEST_NAME = 65_535  # bytes
_ELEMENT_TWICE = "it stands twice in a set; use array_distinct"
_KEY_TWICE = "it is twice a key of one map, and DynamoDB would keep one of the two values; drop or rename one"
NULL_VALUE = '{"NULL":true}'


class Column(Protocol):
    """A node of the tree: a typed column becomes a column of `prefix{TAG:value}suffix`, null where it is null."""

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        """The column of JSON text; `Unfit` where DynamoDB can't take a value."""
        ...


@dataclass(frozen=True, slots=True)
class _Finding:
    """A value that DynamoDB can't take: its column (None where it is the item), its path, and why."""

    column: str | None
    path: str
    value: object
    problem: str


@dataclass(frozen=True, slots=True)
class _LeafColumn:
    leaf: types.Leaf
    path: str

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        quote = '"' if self.leaf.quoted else ""
        text = _at(self.path, self.leaf.encode, values)
        return join(f'{prefix}{{"{self.leaf.tag}":{quote}', text, f"{quote}}}{suffix}")


@dataclass(frozen=True, slots=True)
class _ListColumn:
    element: Column

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        with _belonging_to(values):
            elements = pc.fill_null(self.element.encode(values.flatten(), "", ""), NULL_VALUE)
        return join(f'{prefix}{{"L":[', _join_lists(values, elements), f"]}}{suffix}")


@dataclass(frozen=True, slots=True)
class _SetColumn:
    leaf: types.Leaf
    tag: str
    path: str

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        elements = values.flatten()
        with _belonging_to(values):
            _at(f"{self.path}[]", _refuse_nulls, elements)
            text = _at(f"{self.path}[]", self.leaf.encode, elements)
        _at(self.path, _refuse_empty, values)
        with _belonging_to(values):
            _refuse_twice(values, text, self.leaf.canonical(text), self.path, _ELEMENT_TWICE)
        return join(f'{prefix}{{"{self.tag}":[', _join_lists(values, join('"', text, '"')), f"]}}{suffix}")


@dataclass(frozen=True, slots=True)
class _WrittenNulls:
    """A column or field whose nulls are NULL attributes."""

    column: Column

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        return pc.fill_null(self.column.encode(values, prefix, suffix), f"{prefix}{NULL_VALUE}{suffix}")


@dataclass(frozen=True, slots=True)
class _StructColumn:
    columns: Mapping[str, Column]

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        body = encode_fields(self.columns, values.flatten(), len(values))
        if values.null_count:
            body = pc.if_else(values.is_valid(), body, pa.scalar(None, pa.string()))
        return join(f'{prefix}{{"M":{{', body, f"}}}}{suffix}")


@dataclass(frozen=True, slots=True)
class _MapColumn:
    value: Column
    path: str

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        entry = pa.struct([("key", values.type.key_type), ("value", values.type.item_type)])
        lists = values.cast(pa.list_(entry))
        keys, items = lists.flatten().flatten()
        with _belonging_to(lists):
            _at(f"{self.path}{{}}", _refuse_bad_names, keys)
            names = join('"', _at(self.path, encode_text, keys), '":')
            _refuse_twice(lists, keys, keys, f"{self.path}{{}}", _KEY_TWICE)
            texts = join(names, pc.fill_null(self.value.encode(items, "", ""), NULL_VALUE))
        return join(f'{prefix}{{"M":{{', _join_lists(lists, texts), f"}}}}{suffix}")


@dataclass(frozen=True, slots=True)
class _VariantColumn:
    path: str
    containers: int  # lists and maps around each value

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        texts: list[str | None] = []
        found: dict[int, tuple[object, str]] = {}
        for place, row in enumerate(values.to_pylist()):
            try:
                texts.append(None if row is None else variant_text(row, self.containers))
            except ValueError as problem:
                texts.append(None)
                found[place] = "the VARIANT", str(problem)
        if found:
            raise Unfit(found, self.path)
        return join(prefix, pa.array(texts, pa.string()), suffix)


class Encoder(Protocol):
    """Turns record batches into the JSON text of items, to be put into a table.

    `key_schema` has the key attributes with their storage forms, `encode_with_keys` gives one text a row and the rows' keys
    as columns of `key_schema`. A row that DynamoDB can't take raises `InvalidItemError`, and nothing is returned then, but
    by `encode_apart`, which sorts such rows out. Keys that are null, empty or too long are left to the caller.
    """

    @property
    def key_schema(self) -> StructType:
        """The key attributes."""
        ...

    def encode_with_keys(self, batch: pa.RecordBatch) -> tuple[pa.StringArray, pa.RecordBatch]:
        """The items' texts and keys."""
        ...

    def encode_apart(self, batch: pa.RecordBatch) -> Apart:
        """The JSON texts of the rows that DynamoDB can take, and the others."""
        ...


class ItemEncoder:
    """Turns record batches of one schema into the JSON text of items, `{"id":{"S":"a"},"n":{"N":"7"}}`.

    `nulls` says what a null of a column or a struct's field becomes: `omit` no attribute, `write` a NULL attribute, `auto` what
    the field's metadata says (`types.NULLS_KEY`), else no attribute. Nulls in lists and maps are always NULL values. A row that
    DynamoDB can't take raises `InvalidItemError` with the row's key (the columns `key_names`) and the reason; no text is
    returned then.

    >>> schema = StructType().add("id", "string").add("n", "long")
    >>> encoder = ItemEncoder(schema, table="orders", key_names=["id"])
    >>> encoder.encode(pa.record_batch({"id": ["a"], "n": [7]})).to_pylist()
    ['{"id":{"S":"a"},"n":{"N":"7"}}']
    """

    def __init__(self, schema: StructType, *, table: str, key_names: Sequence[str] = (), nulls: str = "auto") -> None:
        types.arrow_schema(schema)  # every column must have a DynamoDB form
        self._table = table
        self.key_schema = StructType([field for field in schema.fields if field.name in key_names])
        self._columns = _columns_of(schema, nulls, "", 1)

    def encode(self, batch: pa.RecordBatch) -> pa.StringArray:
        """The text of one item a row."""
        try:
            texts = join("{", encode_fields(self._columns, batch.columns, batch.num_rows), "}")
            refuse_large(texts)
        except Unfit:
            raise self.encode_apart(batch).bad[0].error from None
        return texts

    def encode_with_keys(self, batch: pa.RecordBatch) -> tuple[pa.StringArray, pa.RecordBatch]:
        """The rows as JSON texts, and the key attributes' columns."""
        return self.encode(batch), self._keys(batch)

    def encode_apart(self, batch: pa.RecordBatch) -> Apart:
        """The rows that DynamoDB can take, and the others, whose items are without the attributes that it can't."""
        found: dict[int, list[_Finding]] = defaultdict(list)
        pieces = [
            _piece_apart(name, column, values, found)
            for (name, column), values in zip(self._columns.items(), batch.columns, strict=True)
        ]
        texts = join("{", _join_fields(pieces, batch.num_rows), "}")
        try:
            refuse_large(texts)
        except Unfit as unfit:
            for row, (value, problem) in unfit.places.items():
                found[row].append(_Finding(None, "", value, problem))
        rows = others(batch.num_rows, found)
        keys = self._keys(batch)
        bad = [self._bad_row(batch, row, found[row], texts[row].as_py()) for row in sorted(found)]
        return Apart(texts.take(pa.array(rows)), keys.take(pa.array(rows)), rows, bad)

    def _keys(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.select(self.key_schema.names)

    def _bad_row(self, batch: pa.RecordBatch, row: int, findings: Sequence[_Finding], item: str) -> BadRow:
        first, *more = findings
        error = InvalidItemError(
            table=self._table,
            key=key_of(self._keys(batch), row),
            attribute=first.path or None,
            value=first.value,
            problem="; ".join(
                [first.problem, *(f"and '{other.path}': {other.problem}" for other in more if other.path)]
            ),
        )
        unfit = {found.column: _text(batch.column(found.column), row) for found in findings if found.column}
        return BadRow(row, error, item, unfit)


def key_of(keys: pa.RecordBatch, row: int) -> dict[str, object]:
    """The key of a row, for messages."""
    return {name: _show(keys.column(name), row) for name in keys.schema.names}


def check_sizes(table: str, texts: pa.StringArray, keys: pa.RecordBatch) -> None:
    """Raise `InvalidItemError` for the first item that is larger than DynamoDB's largest."""
    try:
        refuse_large(texts)
    except Unfit as unfit:
        key = key_of(keys, next(iter(unfit.places)))
        raise InvalidItemError(table=table, key=key, attribute=None, value=None, problem=unfit.problem) from None


def column_of_field(field: StructField, nulls: str, prefix: str = "", depth: int = 1) -> Column:
    """The node for a field, null where the field is; `nulls` is for the structs within, `prefix` the path of what it is in."""
    return _column(field.dataType, types.storage_tag(field), nulls, prefix + field.name, depth)


def _columns_of(struct: StructType, nulls: str, prefix: str, depth: int) -> dict[str, Column]:
    """The nodes for all fields, with nulls left out or written, as the option says, or with `auto` the field itself."""
    columns = {}
    for field in struct.fields:
        column = column_of_field(field, nulls, prefix, depth)
        written = types.null_is_written(field, prefix + field.name) if nulls == "auto" else nulls == "write"
        columns[field.name] = _WrittenNulls(column) if written else column
    return columns


def _column(kind: DataType, tag: str | None, nulls: str, path: str, depth: int) -> Column:
    if depth > DEEPEST_NESTING:
        raise SchemaError(path, f"it is nested more than {DEEPEST_NESTING} levels deep, which DynamoDB refuses")
    if isinstance(kind, StructType):
        return _StructColumn(_columns_of(kind, nulls, f"{path}.", depth + 1))
    if isinstance(kind, ArrayType):
        leaf_tag = types.element_tag(kind, tag, path)
        if leaf_tag is not None:
            assert tag is not None
            return _SetColumn(types.leaf_of(kind.elementType, leaf_tag, path), tag, path)
        return _ListColumn(_column(kind.elementType, None, nulls, f"{path}[]", depth + 1))
    if isinstance(kind, MapType):
        return _MapColumn(_column(kind.valueType, None, nulls, f"{path}{{}}", depth + 1), path)
    if isinstance(kind, VariantType):
        return _VariantColumn(path, depth - 1)
    return _LeafColumn(types.leaf_of(kind, tag, path), path)


def encode_fields(columns: Mapping[str, Column], values: Sequence[pa.Array], rows: int) -> pa.StringArray:
    """The inside of each row's braces: the pieces of its fields with commas between; null pieces are left out."""
    pieces = [_piece(name, column, array) for (name, column), array in zip(columns.items(), values, strict=True)]
    return _join_fields(pieces, rows)


def _piece(name: str, column: Column, values: pa.Array) -> pa.StringArray:
    """One field of each row, `"name":{...}`."""
    return column.encode(values, f"{orjson.dumps(name).decode()}:", "")


def _piece_apart(name: str, column: Column, values: pa.Array, found: dict[int, list[_Finding]]) -> pa.StringArray:
    """A column's part of each item, with null for what has no DynamoDB form; that is told to `found`."""
    rows, kept = np.arange(len(values)), values
    while True:
        try:
            piece = _piece(name, column, kept)
        except Unfit as unfit:
            for place, (value, problem) in unfit.places.items():
                found[int(rows[place])].append(_Finding(name, unfit.path, value, problem))
            good = others(len(kept), unfit.places)
            rows, kept = rows[good], kept.take(pa.array(good))
        else:
            break
    if len(rows) == len(values):
        return piece
    places = np.full(len(values), -1)
    places[rows] = np.arange(len(rows))
    return piece.take(pa.array(places, mask=places < 0))


def _join_fields(pieces: Sequence[pa.StringArray], rows: int) -> pa.StringArray:
    """The pieces of each row with commas between; nulls are left out."""
    if any(not piece.null_count for piece in pieces):
        return pc.binary_join_element_wise(*pieces, ",", null_handling="skip")
    # Arrow's `skip` drops a row without a trace where all pieces are null: begin each with "", and cut the first comma
    empty = pa.array([""] * rows, pa.string())
    return pc.binary_replace_slice(
        pc.binary_join_element_wise(empty, *pieces, ",", null_handling="skip"), start=0, stop=1, replacement=""
    )


def _join_lists(lists: pa.ListArray, texts: pa.StringArray) -> pa.StringArray:
    """The texts of each list's elements, given for all lists in one column, with commas between."""
    mask = lists.is_null() if lists.null_count else None
    return pc.binary_join(pa.ListArray.from_arrays(list_offsets(lists), texts, mask=mask), ",")


def _at(path: str, encode: types.Encode, values: pa.Array) -> pa.Array:
    """Encode a column; a finding learns its path."""
    try:
        return encode(values)
    except Unfit as unfit:
        raise unfit.at(path) from None


def _owners(lists: pa.ListArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each element of `lists.flatten()` the row of its list."""
    return np.repeat(np.arange(len(lists)), np.diff(list_offsets(lists).to_numpy()))


@contextmanager
def _belonging_to(lists: pa.ListArray) -> Iterator[None]:
    """A finding about elements becomes one about their lists."""
    try:
        yield
    except Unfit as unfit:
        raise unfit.above(_owners(lists)) from None


def _refuse_nulls(elements: pa.Array) -> pa.Array:
    refuse(elements, elements.is_null(), "a set can't hold NULL; filter it out of the array")
    return elements


def _refuse_empty(sets: pa.ListArray) -> pa.Array:
    refuse(sets, pc.equal(pc.list_value_length(sets), 0), EMPTY_SET)
    return sets


def _refuse_twice(
    lists: pa.ListArray, texts: pa.StringArray, canonical: pa.StringArray, path: str, problem: str
) -> None:
    """Refuse texts, given for all lists in one column, that have the same canonical form as another one of their list."""
    codes = pc.dictionary_encode(canonical).indices.to_numpy(zero_copy_only=False).astype(np.int64)
    pairs = _owners(lists) * (len(texts) + 1) + codes
    ordered = np.sort(pairs)
    if (ordered[1:] == ordered[:-1]).any():
        _, first, count = np.unique(pairs, return_index=True, return_counts=True)
        twice = {place: (texts[place].as_py(), problem) for place in np.sort(first[count > 1]).tolist()}
        raise Unfit(twice, path)


def _refuse_bad_names(names: pa.StringArray) -> pa.Array:
    length = pc.binary_length(names)
    refuse(names, pc.equal(length, 0), EMPTY_NAME)
    refuse(names, pc.greater(length, _LONGEST_NAME), f"DynamoDB's attribute names have at most {_LONGEST_NAME:,} bytes")
    return names


def _show(column: pa.Array, row: int) -> object:
    try:
        return column[row].as_py()
    except (ValueError, OverflowError, UnicodeDecodeError):  # beyond Python's dates, or no UTF-8
        return str(column.slice(row, 1))


def _text(column: pa.Array, row: int) -> str:
    """A value that has no DynamoDB form, whole, as text that JSON can hold."""
    return str(_show(column, row)).encode(errors="backslashreplace").decode()
