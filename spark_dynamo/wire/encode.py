"""Arrow record batches -> the JSON text of DynamoDB items: the write path's hot loop, the mirror of `decode`.

Each column becomes a column of JSON text, `"name":{"S":"value"}`, by string kernels; a row's pieces are joined to the item.
A null piece is left out, so a null attribute is not written. No Python object is made per item, but for VARIANT columns.

The tree of columns is built once from the schema; the loop over batches only calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType, VariantType

from spark_dynamo.errors import InvalidItemError, SchemaError
from spark_dynamo.wire import types
from spark_dynamo.wire.kernels import Unfit, encode_text, join, list_offsets
from spark_dynamo.wire.variant import decode_variant

LARGEST_ITEM = 409_600  # bytes, as DynamoDB counts them
DEEPEST_NESTING = 32
_NULL = '{"NULL":true}'
_EMPTY_NAME = "DynamoDB takes no empty attribute name; rename the key"


class _Column(Protocol):
    """A node of the tree: a typed column becomes a column of `prefix{TAG:value}suffix`, null where it is null."""

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array: ...


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
    element: _Column

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        elements = pc.fill_null(self.element.encode(values.flatten(), "", ""), _NULL)
        return join(f'{prefix}{{"L":[', _join_lists(values, elements), f"]}}{suffix}")


@dataclass(frozen=True, slots=True)
class _SetColumn:
    leaf: types.Leaf
    tag: str
    path: str

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        elements = values.flatten()
        if elements.null_count:
            raise Unfit(None, "a set can't hold NULL; filter it out of the array", f"{self.path}[]")
        if pc.any(pc.equal(pc.list_value_length(values), 0)).as_py():
            raise Unfit([], "DynamoDB has no empty sets; replace it by NULL", self.path)
        text = _at(f"{self.path}[]", self.leaf.encode, elements)
        self._check_distinct(values, text)
        return join(f'{prefix}{{"{self.tag}":[', _join_lists(values, join('"', text, '"')), f"]}}{suffix}")

    def _check_distinct(self, values: pa.Array, text: pa.Array) -> None:
        codes = pc.dictionary_encode(self.leaf.canonical(text)).indices.to_numpy(zero_copy_only=False).astype(np.int64)
        owners = np.repeat(np.arange(len(values)), np.diff(list_offsets(values).to_numpy()))
        pairs = owners * (len(text) + 1) + codes
        _, first, count = np.unique(pairs, return_index=True, return_counts=True)
        if (count > 1).any():
            value = text[int(first[count > 1][0])].as_py()
            raise Unfit(value, "it stands twice in a set; use array_distinct", self.path)


@dataclass(frozen=True, slots=True)
class _StructColumn:
    columns: Mapping[str, _Column]
    nulls: bool

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        body = _encode_fields(self.columns, values.flatten(), len(values), self.nulls)
        if values.null_count:
            body = pc.if_else(values.is_valid(), body, pa.scalar(None, pa.string()))
        return join(f'{prefix}{{"M":{{', body, f"}}}}{suffix}")


@dataclass(frozen=True, slots=True)
class _MapColumn:
    value: _Column
    path: str

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        entry = pa.struct([("key", values.type.key_type), ("value", values.type.item_type)])
        lists = values.cast(pa.list_(entry))
        keys, items = lists.flatten().flatten()
        if pc.any(pc.equal(pc.binary_length(keys), 0)).as_py():
            raise Unfit("", _EMPTY_NAME, f"{self.path}{{}}")
        names = join('"', _at(self.path, encode_text, keys), '":')
        texts = join(names, pc.fill_null(self.value.encode(items, "", ""), _NULL))
        return join(f'{prefix}{{"M":{{', _join_lists(lists, texts), f"}}}}{suffix}")


@dataclass(frozen=True, slots=True)
class _VariantColumn:
    path: str

    def encode(self, values: pa.Array, prefix: str, suffix: str) -> pa.Array:
        texts = [None if row is None else variant_text(row, self.path) for row in values.to_pylist()]
        return join(prefix, pa.array(texts, pa.string()), suffix)


def variant_text(variant: Mapping[str, bytes], path: str) -> str:
    """A VARIANT as the JSON text of its attribute value; `Unfit` where it has none."""
    try:
        text = orjson.dumps(decode_variant(variant["value"], variant["metadata"])).decode()
    except (ValueError, TypeError) as problem:
        raise Unfit("the VARIANT", str(problem), path) from None
    if '{"":' in text or ',"":' in text:  # within a string every quote has a backslash before it
        raise Unfit("the VARIANT", _EMPTY_NAME, path)
    return text


class Encoder(Protocol):
    """Turns record batches into the JSON text of items, to be put into a table.

    `key_schema` has the key attributes with their storage forms, `encode_with_keys` gives one text a row and the rows' keys
    as columns of `key_schema`. A row that DynamoDB can't take raises `InvalidItemError`, and nothing is returned then; but
    keys that are null, empty or too long are left to the caller.
    """

    @property
    def key_schema(self) -> StructType:
        """The key attributes."""
        ...

    def encode_with_keys(self, batch: pa.RecordBatch) -> tuple[pa.StringArray, pa.RecordBatch]:
        """The items' texts and keys."""
        ...


class ItemEncoder:
    """Turns record batches of one schema into the JSON text of items, `{"id":{"S":"a"},"n":{"N":"7"}}`.

    `nulls` says what a null of a column or a struct's field becomes: `omit` no attribute, `write` a NULL attribute. Nulls in
    lists and maps are always NULL values. A row that DynamoDB can't take raises `InvalidItemError` with the row's key (the
    columns `key_names`) and the reason; no text is returned then.

    >>> schema = StructType().add("id", "string").add("n", "long")
    >>> encoder = ItemEncoder(schema, table="orders", key_names=["id"])
    >>> encoder.encode(pa.record_batch({"id": ["a"], "n": [7]})).to_pylist()
    ['{"id":{"S":"a"},"n":{"N":"7"}}']
    """

    def __init__(self, schema: StructType, *, table: str, key_names: Sequence[str] = (), nulls: str = "omit") -> None:
        types.arrow_schema(schema)  # every column must have a DynamoDB form
        self._table = table
        self.key_schema = StructType([field for field in schema.fields if field.name in key_names])
        self._nulls = nulls == "write"
        self._columns = {field.name: _column_of_field(field, self._nulls) for field in schema.fields}

    def encode(self, batch: pa.RecordBatch) -> pa.StringArray:
        """The text of one item a row."""
        try:
            texts = self._encode(batch)
        except Unfit as unfit:
            raise self._explain(batch, unfit) from None
        check_sizes(self._table, texts, self._keys(batch))
        return texts

    def encode_with_keys(self, batch: pa.RecordBatch) -> tuple[pa.StringArray, pa.RecordBatch]:
        """The same, and the key attributes' columns."""
        return self.encode(batch), self._keys(batch)

    def _keys(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.select(self.key_schema.names)

    def _encode(self, batch: pa.RecordBatch) -> pa.StringArray:
        body = _encode_fields(self._columns, batch.columns, batch.num_rows, self._nulls)
        return join("{", body, "}")

    def _explain(self, batch: pa.RecordBatch, unfit: Unfit) -> InvalidItemError:
        """The error for the first row that has no DynamoDB form, found by halving the batch."""
        start, stop = 0, batch.num_rows
        while stop - start > 1:
            middle = (start + stop) // 2
            try:
                self._encode(batch.slice(start, middle - start))
            except Unfit as earlier:
                unfit, stop = earlier, middle
            else:
                start = middle
        try:
            self._encode(batch.slice(start, 1))
        except Unfit as exact:
            unfit = exact
        return InvalidItemError(
            table=self._table,
            key=key_of(self._keys(batch), start),
            attribute=unfit.path,
            value=unfit.value,
            problem=unfit.problem,
        )


def key_of(keys: pa.RecordBatch, row: int) -> dict[str, object]:
    """The key of a row, for messages."""
    return {name: _show(keys.column(name), row) for name in keys.schema.names}


def check_sizes(table: str, texts: pa.StringArray, keys: pa.RecordBatch) -> None:
    """Raise `InvalidItemError` for the first item that is larger than DynamoDB's largest.

    The JSON text is never shorter than the item as DynamoDB counts it, so only long texts need counting.
    """
    large = pc.greater(pc.binary_length(texts), LARGEST_ITEM)
    for row in np.flatnonzero(large.to_numpy(zero_copy_only=False)).tolist():
        size = item_size(orjson.loads(texts[row].as_py()))
        if size > LARGEST_ITEM:
            raise InvalidItemError(
                table=table,
                key=key_of(keys, row),
                attribute=None,
                value=None,
                problem=f"the item is {size:,} bytes, and DynamoDB takes at most {LARGEST_ITEM:,} with names and values; "
                "keep large values in S3 and their address here, or split the item",
            )


def item_size(attributes: Mapping[str, Mapping[str, object]]) -> int:
    """The size of an item in bytes as DynamoDB counts it: names and values in UTF-8, 3 + 1 per entry for lists and maps.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html

    >>> item_size({"id": {"S": "a"}, "n": {"N": "7"}})
    6
    """
    return sum(len(name.encode()) + _value_size(attribute) for name, attribute in attributes.items())


def _value_size(attribute: Mapping[str, object]) -> int:
    ((tag, value),) = attribute.items()
    return _SIZES[tag](value)


_SIZES: Mapping[str, Callable[[Any], int]] = {
    "S": lambda text: len(text.encode()),
    "N": lambda text: _number_size(text),
    "B": lambda text: len(text) // 4 * 3 - text.count("=", -2),
    "BOOL": lambda _: 1,
    "NULL": lambda _: 1,
    "SS": lambda texts: sum(len(text.encode()) for text in texts),
    "NS": lambda texts: sum(map(_number_size, texts)),
    "BS": lambda texts: sum(len(text) // 4 * 3 - text.count("=", -2) for text in texts),
    "L": lambda elements: 3 + sum(1 + _value_size(element) for element in elements),
    "M": lambda attributes: 3 + len(attributes) + item_size(attributes),
}


def _number_size(text: str) -> int:
    """One byte for two significant digits, and one more, two for a negative number."""
    digits = text.upper().split("E")[0].lstrip("-").replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + text.startswith("-")


def _column_of_field(field: StructField, nulls: bool, prefix: str = "", depth: int = 1) -> _Column:
    return _column(field.dataType, types.storage_tag(field), nulls, prefix + field.name, depth)


def _column(kind: DataType, tag: str | None, nulls: bool, path: str, depth: int) -> _Column:
    if depth > DEEPEST_NESTING:
        raise SchemaError(path, f"it is nested more than {DEEPEST_NESTING} levels deep, which DynamoDB refuses")
    if isinstance(kind, StructType):
        fields = {field.name: _column_of_field(field, nulls, f"{path}.", depth + 1) for field in kind.fields}
        return _StructColumn(fields, nulls)
    if isinstance(kind, ArrayType):
        leaf_tag = types.element_tag(kind, tag, path)
        if leaf_tag is not None:
            assert tag is not None
            return _SetColumn(types.leaf_of(kind.elementType, leaf_tag, path), tag, path)
        return _ListColumn(_column(kind.elementType, None, nulls, f"{path}[]", depth + 1))
    if isinstance(kind, MapType):
        return _MapColumn(_column(kind.valueType, None, nulls, f"{path}{{}}", depth + 1), path)
    if isinstance(kind, VariantType):
        return _VariantColumn(path)
    return _LeafColumn(types.leaf_of(kind, tag, path), path)


def _encode_fields(
    columns: Mapping[str, _Column], values: Sequence[pa.Array], rows: int, nulls: bool
) -> pa.StringArray:
    """The inside of each row's braces: the pieces of its fields with commas between, nulls left out or written."""
    pieces = []
    for (name, column), array in zip(columns.items(), values, strict=True):
        prefix = f"{orjson.dumps(name).decode()}:"
        piece = column.encode(array, prefix, "")
        pieces.append(pc.fill_null(piece, prefix + _NULL) if nulls else piece)
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
        raise Unfit(unfit.value, unfit.problem, path) from None


def _show(column: pa.Array, row: int) -> object:
    try:
        return column[row].as_py()
    except (ValueError, OverflowError, UnicodeDecodeError):  # beyond Python's dates, or no UTF-8
        return str(column.slice(row, 1))
