"""DynamoDB pages -> Arrow record batches: the read path's hot loop, in C++ as far as Arrow goes.

Arrow's JSON reader parses a page with an explicit schema of the page's own shape, `Items: list<struct<attribute:
struct<TAG: ...>>>`; kernels cast what stands behind the tags. An attribute of another type than expected would look like
a null there, so each column is counted: an attribute that is present without the expected tag is either NULL, which a
second parse with `NULL: bool` beside the tag confirms, or goes to `reference`, which says what is wrong.

The tree of columns is built once from the schema; the loop over pages only calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType, VariantType

from spark_dynamo.errors import InvalidResponseError, MalformedItemError, SchemaError
from spark_dynamo.wire import types
from spark_dynamo.wire.kernels import list_offsets
from spark_dynamo.wire.reference import Misfit, attribute_reader


class _NullsSeen(Exception):  # noqa: N818 - a signal, not an error
    """An attribute lacks the expected tag, and the page was parsed without NULLs."""


class _Doubtful(Exception):  # noqa: N818 - a signal, not an error
    """A column that the value route must look at."""


class _Column(Protocol):
    """A node of the tree: how the JSON reader sees what stands behind the tag, and how that becomes a typed column."""

    @property
    def tag(self) -> str: ...

    def wire_type(self, nulls: bool) -> pa.DataType: ...

    def decode(self, values: pa.Array, nulls: bool) -> pa.Array: ...


@dataclass(frozen=True, slots=True)
class _LeafColumn:
    leaf: types.Leaf
    arrow: pa.DataType

    @property
    def tag(self) -> str:
        return self.leaf.tag

    def wire_type(self, nulls: bool) -> pa.DataType:
        return pa.string() if self.leaf.quoted else pa.bool_()

    def decode(self, values: pa.Array, nulls: bool) -> pa.Array:
        return self.leaf.decode(values, self.arrow)


@dataclass(frozen=True, slots=True)
class _ListColumn:
    element: _Column
    contains_null: bool
    arrow: pa.DataType
    tag: str = "L"

    def wire_type(self, nulls: bool) -> pa.DataType:
        return pa.list_(_attribute_type(self.element, nulls))

    def decode(self, values: pa.Array, nulls: bool) -> pa.Array:
        attributes = values.flatten()
        if attributes.null_count:
            raise _Doubtful
        allowed = len(attributes) if self.contains_null else 0
        return _relist(values, _decode_attributes(self.element, attributes, nulls, allowed), self.arrow)


@dataclass(frozen=True, slots=True)
class _SetColumn:
    leaf: types.Leaf
    arrow: pa.DataType
    tag: str

    def wire_type(self, nulls: bool) -> pa.DataType:
        return pa.list_(pa.string())

    def decode(self, values: pa.Array, nulls: bool) -> pa.Array:
        return _relist(values, self.leaf.decode(values.flatten(), self.arrow.value_type), self.arrow)


@dataclass(frozen=True, slots=True)
class _StructColumn:
    columns: Mapping[str, _Column]
    arrow: pa.DataType
    tag: str = "M"

    def wire_type(self, nulls: bool) -> pa.DataType:
        return pa.struct([(name, _attribute_type(column, nulls)) for name, column in self.columns.items()])

    def decode(self, values: pa.Array, nulls: bool) -> pa.Array:
        fields = [self.arrow.field(index) for index in range(self.arrow.num_fields)]
        children = [
            _decode_attributes(
                column, values.field(field.name), nulls, len(values) if field.nullable else values.null_count
            )
            for field, column in zip(fields, self.columns.values(), strict=True)
        ]
        return pa.StructArray.from_arrays(children, fields=fields, mask=values.is_null())


class PageDecoder:
    """Turns the bodies of Scan and Query answers into record batches of one schema.

    A batch has the page's items in order, one row an item. An item that doesn't fit the schema raises
    `MalformedItemError`, which names `table`, the item's key (the attributes `key_names`), attribute, value and both types;
    a body that is no JSON raises `InvalidResponseError`.

    >>> schema = StructType().add("id", "string", nullable=False).add("n", "long")
    >>> decoder = PageDecoder(schema, table="orders", key_names=["id"])
    >>> decoder.decode(b'{"Items":[{"id":{"S":"a"},"n":{"N":"7"}},{"id":{"S":"b"}}]}').to_pylist()
    [{'id': 'a', 'n': 7}, {'id': 'b', 'n': None}]
    """

    def __init__(self, schema: StructType, *, table: str, key_names: Sequence[str] = ()) -> None:
        if not schema.fields:
            raise SchemaError("", "the schema has no columns; name at least one")
        self.arrow_schema = types.arrow_schema(schema)
        self._table = table
        self._key_names = key_names
        self._fields = schema.fields
        self._columns = {field.name: _column_of_field(field) for field in schema.fields if _is_columnar(field.dataType)}
        self._readers = {
            field.name: attribute_reader(field.dataType, types.storage_tag(field), field.nullable)
            for field in schema.fields
        }
        self._parse_options = {nulls: self._parse_options_with(nulls) for nulls in (False, True)}
        self._nulls = False  # until an attribute lacks its tag, parse without the NULLs: a quarter faster

    def decode(self, body: bytes) -> pa.RecordBatch:
        """One page's items as a record batch."""
        done = self._decode_columns(body)
        if len(done) < len(self._fields):
            items = self._items(body)
            for field in self._fields:
                if field.name not in done:
                    done[field.name] = self._decode_values(items, field)
        arrays = [done[field.name] for field in self._fields]
        return pa.RecordBatch.from_arrays(arrays, schema=self.arrow_schema)

    def _decode_columns(self, body: bytes) -> dict[str, pa.Array]:
        """The columns that the kernels could decode; the others are left to the value route."""
        if not self._columns:
            return {}
        try:
            page = self._parse(body)
        except pa.ArrowInvalid:
            return {}
        done: dict[str, pa.Array] = {}
        for index, (name, column) in enumerate(self._columns.items()):
            field = self.arrow_schema.field(name)
            attributes = page.field(index)
            try:
                allowed = len(attributes) if field.nullable else 0
                done[name] = _decode_attributes(column, attributes, self._nulls, allowed)
            except _NullsSeen:
                self._nulls = True
                return self._decode_columns(body)
            except (_Doubtful, pa.ArrowInvalid, ValueError):
                continue
        return done

    def _parse(self, body: bytes) -> pa.StructArray:
        if not body.startswith(b"{"):
            raise pa.ArrowInvalid("the body is no object")  # of a body `null`, read_json would crash the process
        table = pj.read_json(
            pa.BufferReader(body),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(body) + 1),
            parse_options=self._parse_options[self._nulls],
        )
        items = table.column(0).combine_chunks()
        if len(items) != 1 or items.null_count:
            raise pa.ArrowInvalid("the body has no Items")
        return items.flatten()

    def _parse_options_with(self, nulls: bool) -> pj.ParseOptions:
        item = pa.struct([(name, _attribute_type(column, nulls)) for name, column in self._columns.items()])
        return pj.ParseOptions(
            explicit_schema=pa.schema([("Items", pa.list_(item))]), unexpected_field_behavior="ignore"
        )

    def _items(self, body: bytes) -> list[dict[str, Any]]:
        try:
            return list(orjson.loads(body)["Items"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise InvalidResponseError(self._table, f"{error} in {len(body)} bytes", error) from error

    def _decode_values(self, items: Sequence[Mapping[str, Any]], field: StructField) -> pa.Array:
        read = self._readers[field.name]
        values = []
        for item in items:
            try:
                values.append(read(item.get(field.name)))
            except Misfit as misfit:
                misfit.below(field.name)
                raise MalformedItemError(
                    table=self._table,
                    key={name: next(iter(item[name].values())) for name in self._key_names if name in item},
                    attribute=misfit.path,
                    value=misfit.value,
                    found=misfit.found,
                    expected=misfit.expected,
                    problem=misfit.problem,
                ) from None
        return pa.array(values, self.arrow_schema.field(field.name).type)


def _is_columnar(kind: DataType) -> bool:
    """Whether Arrow's JSON reader can express the type: all keys known, one type each."""
    if isinstance(kind, StructType):
        return bool(kind.fields) and all(_is_columnar(field.dataType) for field in kind.fields)
    if isinstance(kind, ArrayType):
        return _is_columnar(kind.elementType)
    return not isinstance(kind, MapType | VariantType)


def _column_of_field(field: StructField) -> _Column:
    return _column(field.dataType, types.storage_tag(field), field.name)


def _column(kind: DataType, tag: str | None, path: str) -> _Column:
    arrow = types.arrow_type(kind, tag, path)
    if isinstance(kind, StructType):
        return _StructColumn({field.name: _column_of_field(field) for field in kind.fields}, arrow)
    if isinstance(kind, ArrayType):
        leaf_tag = types.element_tag(kind, tag, path)
        if leaf_tag is not None:
            assert tag is not None
            return _SetColumn(types.leaf_of(kind.elementType, leaf_tag, path), arrow, tag)
        return _ListColumn(_column(kind.elementType, None, f"{path}[]"), kind.containsNull, arrow)
    return _LeafColumn(types.leaf_of(kind, tag, path), arrow)


def _attribute_type(column: _Column, nulls: bool) -> pa.DataType:
    tagged = [pa.field(column.tag, column.wire_type(nulls))]
    return pa.struct([*tagged, pa.field("NULL", pa.bool_())] if nulls else tagged)


def _decode_attributes(column: _Column, attributes: pa.StructArray, nulls: bool, allowed_nulls: int) -> pa.Array:
    """The typed column behind a column of attributes, of which at most `allowed_nulls` may be missing or NULL."""
    values = attributes.field(0)
    untagged = values.null_count - attributes.null_count
    if untagged:
        if not nulls:
            raise _NullsSeen
        if untagged != pc.sum(attributes.field(1), min_count=0).as_py():
            raise _Doubtful
    if values.null_count > allowed_nulls:
        raise _Doubtful
    return column.decode(values, nulls)


def _relist(lists: pa.ListArray, elements: pa.Array, arrow: pa.DataType) -> pa.ListArray:
    """Lists of the same lengths as those given, with other elements."""
    return pa.ListArray.from_arrays(list_offsets(lists), elements, type=arrow, mask=lists.is_null())
