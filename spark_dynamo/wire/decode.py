"""DynamoDB pages -> Arrow record batches: the read path's hot loop, in C++ as far as Arrow goes.

Arrow's JSON reader parses a page with an explicit schema of the page's own shape, `Items: list<struct<attribute:
struct<TAG: ...>>>`; kernels cast what stands behind the tags. An attribute of another type than expected would look like
a null there, so each column is counted: an attribute that is present without the expected tag is either NULL, which a
second parse with `NULL: bool` beside the tag confirms, or goes to `value_reader`, which says what is wrong.

The tree of columns is built once from the schema; the loop over pages only calls it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructField, StructType, VariantType

from spark_dynamo.errors import InvalidResponseError, MalformedItemError, SchemaError
from spark_dynamo.wire import types
from spark_dynamo.wire.envelope import ENVELOPES, EnvelopeName, Item
from spark_dynamo.wire.json_tokens import read_objects
from spark_dynamo.wire.kernels import list_offsets
from spark_dynamo.wire.repeated_names import find_twice
from spark_dynamo.wire.value_reader import Misfit, attribute_reader, bare


class _NullsSeen(Exception):  # noqa: N818 - a signal, not an error
    """An attribute lacks the expected tag, and the page was parsed without NULLs."""


class _Doubtful(Exception):  # noqa: N818 - a signal, not an error
    """A column that the value route must look at."""


class OtherVersionsError(Exception):
    """Not all items are of the version that the decoder was told to expect; nothing was decoded."""


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
        elements = values.flatten()
        if elements.null_count:
            raise _Doubtful
        return _relist(values, self.leaf.decode(elements, self.arrow.value_type), self.arrow)


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
    """Turns the bodies of answers into record batches of one schema; two threads may do so at once.

    A batch has the answer's items in order, one row an item; `envelope` says where they stand: `Items` in the answers of
    Scan and Query, `Responses` of BatchGetItem (under the name `responses_table`, by default `table`), `Item` of GetItem.
    An answer that is none raises `InvalidResponseError`. `mode` says what becomes of an item that doesn't fit the schema, as
    in Spark's own JSON reader:

    * `FAILFAST`: `MalformedItemError`, which names `table`, the item's key (the attributes `key_names`), attribute, value
      and both types.
    * `PERMISSIVE`: what doesn't fit becomes null, at the nearest struct's field or column around it that may be null;
      `MalformedItemError` where none may. `corrupt` counts those items.
    * `DROPMALFORMED`: the item is left out. `dropped` counts those.

    `corrupt_column` is the name of a STRING column that holds the whole item as it came, in DynamoDB JSON, where mode
    PERMISSIVE has put a null in it, and is null in every other row. An attribute of that name is not read into it. Where
    the schema has no such column, no text is kept.

    With a `version`, answers that hold an item whose attribute `version_name` is not exactly that number (1 where it is
    missing) raise `OtherVersionsError` before anything is decoded or counted.

    DynamoDB sends no attribute value with several types and no name twice in one object. The former is only found out where it
    is read value by value; the latter is `InvalidResponseError` in all columns but MAP and VARIANT, whose values are the last.

    >>> schema = StructType().add("id", "string", nullable=False).add("n", "long")
    >>> decoder = PageDecoder(schema, table="orders", key_names=["id"])
    >>> decoder.decode(b'{"Items":[{"id":{"S":"a"},"n":{"N":"7"}},{"id":{"S":"b"}}]}').to_pylist()
    [{'id': 'a', 'n': 7}, {'id': 'b', 'n': None}]
    """

    def __init__(
        self,
        schema: StructType,
        *,
        table: str,
        key_names: Sequence[str] = (),
        mode: str = "FAILFAST",
        corrupt_column: str | None = None,
        envelope: EnvelopeName = "Items",
        responses_table: str | None = None,
        version: int | None = None,
        version_name: str = "schema_version",
    ) -> None:
        if not schema.fields:
            raise SchemaError("", "the schema has no columns; name at least one")
        self.arrow_schema = types.arrow_schema(schema)
        self.corrupt = self.dropped = 0
        self._table = table
        self._key_names = key_names
        self._envelope = ENVELOPES[envelope]
        self._fields = [field for field in schema.fields if field.name != corrupt_column]
        self._corrupt_columns = [_corrupt_column(field) for field in schema.fields if field.name == corrupt_column]
        self._columns = {field.name: _column_of_field(field) for field in self._fields if _is_columnar(field.dataType)}
        self._readers = {field.name: _reader_of_field(field) for field in self._fields}
        self._lenient_readers = {field.name: _reader_of_field(field, lenient=True) for field in self._fields}
        self._instead = {"FAILFAST": self._fail, "PERMISSIVE": self._salvage, "DROPMALFORMED": self._drop}[mode]
        self._drops = mode == "DROPMALFORMED"
        self._first_misfit = ""
        self._version = None if version is None else (version_name, str(version))
        if version is not None and version_name in self._columns and self._columns[version_name].tag != "N":
            raise SchemaError(
                version_name, "it is the version of a model's items, a number, and so must be BIGINT or INT"
            )
        self._lock = threading.Lock()
        self._parse_schemas = [self._parse_schema(nulls, responses_table or table) for nulls in (False, True)]
        self._nulls = False  # until an attribute lacks its tag, parse without the NULLs: a quarter faster

    def decode(self, *bodies: bytes) -> pa.RecordBatch:
        """The items of one answer, or of several at once: small ones cost much less together than one by one."""
        done = self._decode_columns(bodies, self._nulls)
        rows = len(next(iter(done.values()))) if done else 0
        bad: set[int] = set()
        if len(done) < max(1, len(self._fields)):
            items = [item for body in bodies for item in self._envelope.items(body, self._table)]
            self._check_versions(items)
            rows = len(items)
            for field in self._fields:
                if field.name not in done:
                    done[field.name] = self._decode_values(items, field, bad)
        return self._assemble(bodies, done, rows, bad)

    @property
    def misfits(self) -> str:
        """A sentence for the task's log: how many items didn't fit, and what was wrong with the first; empty where all did."""
        if not self._first_misfit:
            return ""
        done = f"dropped ({self.dropped:,})" if self._drops else f"given nulls ({self.corrupt:,})"
        return f"items that don't fit the schema were {done}, the first: {self._first_misfit}"

    def _assemble(self, bodies: Sequence[bytes], done: dict[str, pa.Array], rows: int, bad: set[int]) -> pa.RecordBatch:
        is_bad = None
        if bad:
            is_bad = np.zeros(rows, np.bool_)
            is_bad[list(bad)] = True
            with self._lock:
                self.dropped += len(bad) * self._drops
                self.corrupt += len(bad) * (not self._drops)
        for name in self._corrupt_columns:
            texts = pa.nulls(rows, pa.string())
            if is_bad is not None and not self._drops:
                items = pa.concat_arrays([self._envelope.texts(body, self._table) for body in bodies])
                texts = pc.if_else(pa.array(is_bad), items, texts)
            done[name] = texts
        batch = pa.RecordBatch.from_arrays([done[name] for name in self.arrow_schema.names], schema=self.arrow_schema)
        return batch.filter(pa.array(~is_bad)) if is_bad is not None and self._drops else batch

    def _decode_columns(self, bodies: Sequence[bytes], nulls: bool) -> dict[str, pa.Array]:
        """The columns that the kernels could decode; the others are left to the value route."""
        if not self._columns and self._version is None:
            return {}
        try:
            page = self._envelope.unpack(self._parse(bodies, nulls))
        except pa.ArrowInvalid:
            self._refuse_twice(bodies)
            return {}
        if self._version is not None:
            name, expected = self._version
            attributes = page.field(page.type.get_field_index(name))
            versions, may_lack = attributes.field(0), attributes.null_count if expected == "1" else 0
            if versions.null_count > may_lack or not pc.all(pc.equal(versions, expected), min_count=0).as_py():
                raise OtherVersionsError
        done: dict[str, pa.Array] = {}
        for index, (name, column) in enumerate(self._columns.items()):
            field = self.arrow_schema.field(name)
            attributes = page.field(index)
            try:
                allowed = len(attributes) if field.nullable else 0
                done[name] = _decode_attributes(column, attributes, nulls, allowed)
            except _NullsSeen:
                self._nulls = True
                return self._decode_columns(bodies, nulls=True)
            except (_Doubtful, pa.ArrowInvalid, ValueError):
                continue
        return done

    def _refuse_twice(self, bodies: Sequence[bytes]) -> None:
        """Raise `InvalidResponseError` for a name that stands twice, of whose values the value route would keep one."""
        for body in bodies:
            with suppress(ValueError):  # what is no JSON, the envelope tells
                twice = find_twice(body)
                if twice:
                    problem = f"a name stands twice in an object, with the values {twice.values},"
                    raise InvalidResponseError(self._table, f"{problem} in {len(body)} bytes")

    def _parse(self, bodies: Sequence[bytes], nulls: bool) -> pa.Array:
        answers = read_objects(pa.py_buffer(b"\n".join(bodies)), self._parse_schemas[nulls])
        if answers.num_rows != len(bodies):
            raise pa.ArrowInvalid("an answer is no single object")
        return answers.column(0).combine_chunks()

    def _parse_schema(self, nulls: bool, table: str) -> pa.Schema:
        attributes = {name: _attribute_type(column, nulls) for name, column in self._columns.items()}
        if self._version is not None:
            attributes.setdefault(self._version[0], pa.struct([("N", pa.string())]))
        item = pa.struct(list(attributes.items()))
        return pa.schema([(self._envelope.name, self._envelope.wire_type(item, table))])

    def _check_versions(self, items: Sequence[Item]) -> None:
        if self._version is not None:
            name, expected = self._version
            if not all(item.get(name, {"N": "1"}) == {"N": expected} for item in items):
                raise OtherVersionsError

    def _decode_values(self, items: Sequence[Item], field: StructField, bad: set[int]) -> pa.Array:
        """A column by the value route; the rows with misfits join the `bad` ones."""
        read = self._readers[field.name]
        values = []
        for row, item in enumerate(items):
            try:
                values.append(read(item.get(field.name)))
            except Misfit as misfit:
                values.append(self._instead(field, item, misfit.below(field.name)))
                bad.add(row)
                if not self._first_misfit:
                    self._first_misfit = str(self._error(item, misfit))
        return pa.array(values, self.arrow_schema.field(field.name).type)

    def _fail(self, field: StructField, item: Item, misfit: Misfit) -> object:
        raise self._error(item, misfit) from None

    def _drop(self, field: StructField, item: Item, misfit: Misfit) -> object:
        return None

    def _salvage(self, field: StructField, item: Item, misfit: Misfit) -> object:
        try:
            return self._lenient_readers[field.name](item.get(field.name))
        except Misfit:
            if field.nullable:
                return None
        because = f"{misfit.problem}; " if misfit.problem else ""
        misfit.problem = f"{because}mode PERMISSIVE can't make it NULL, for column '{field.name}' is not nullable"
        raise self._error(item, misfit) from None

    def _error(self, item: Item, misfit: Misfit) -> MalformedItemError:
        return MalformedItemError(
            table=self._table,
            key={name: bare(item[name]) for name in self._key_names if name in item},
            attribute=misfit.path,
            value=misfit.value,
            found=misfit.found,
            expected=misfit.expected,
            problem=misfit.problem,
        )


def _corrupt_column(field: StructField) -> str:
    if type(field.dataType) is not StringType or not field.nullable:
        raise SchemaError(field.name, "the column of corrupt records must be STRING and nullable")
    return field.name


def _reader_of_field(field: StructField, *, lenient: bool = False) -> Callable[[Any], object]:
    return attribute_reader(field.dataType, types.storage_tag(field), field.nullable, lenient=lenient)


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
