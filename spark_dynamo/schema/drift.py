"""How a schema differs from the one that is wanted: `compare`, and the table that shows it.

Two types are as good as equal where DynamoDB stores them in the same form and each value of the one fits the other: INT and
BIGINT do, a TIMESTAMP stored as text and one stored as epoch seconds don't.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pyspark.sql.types import (
    ArrayType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from spark_dynamo.errors import SchemaError, shorten
from spark_dynamo.wire import types

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Difference", "compare", "differences", "show_differences"]

Kind = Literal["missing", "extra", "type", "nullable"]
Severity = Literal["error", "warning"]

# what stays exact: digits before the point of each integer type, and the digits that a floating-point number surely keeps
_DIGITS: Mapping[type[DataType], int] = {ByteType: 3, ShortType: 5, IntegerType: 10, LongType: 19}
_EXACT_DIGITS: Mapping[type[DataType], int] = {FloatType: 6, DoubleType: 15}
_EPOCH_DIGITS, _EPOCH_PLACES = 13, 6  # of a timestamp in epoch seconds


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: where, of which kind, and what stands there and should stand there.

    `path` is like `orders[].price` or `labels{}`. `severity` is `error` where items of the found schema would not be items of
    the wanted one, and `warning` where they are as long as no value is null that must not be, or none is rounded. `found` and
    `wanted` are types as people write them; None where there is no such column.
    """

    path: str
    kind: Kind
    severity: Severity
    found: str | None
    wanted: str | None


def compare(schema: StructType, wanted: StructType | type[BaseModel]) -> list[Difference]:
    """All differences between a schema and the wanted one, which is a schema or a Pydantic model; the errors first.

    What counts is what DynamoDB stores, and whether each value fits: the field metadata that chooses a storage form matters,
    INT in place of BIGINT does not. A column that is missing is an error, unless the wanted one is nullable. An extra column
    is an error, unless the model says `extra="allow"` or `"ignore"`. A nullable column where null is not wanted is a warning:
    a write checks its values. Raises SchemaError for a model that has no schema.

    >>> from pyspark.sql.types import ArrayType, StructType
    >>> wanted = StructType().add("id", "string", False).add("orders", ArrayType(StructType().add("price", "decimal(10,2)")))
    >>> found = StructType().add("id", "string").add("orders", ArrayType(StructType().add("price", "double")))
    >>> for difference in compare(found, wanted):
    ...     print(difference.path, difference.kind, difference.severity, difference.found, difference.wanted)
    orders[].price type error DOUBLE DECIMAL(10,2)
    id nullable warning STRING STRING NOT NULL
    """
    if isinstance(wanted, StructType):
        return differences(schema, wanted)
    from spark_dynamo.schema.bridge import struct_type
    from spark_dynamo.schema.extras import open_structs

    return differences(schema, struct_type(wanted), open_structs(wanted))


def differences(schema: StructType, wanted: StructType, open_paths: frozenset[str] = frozenset()) -> list[Difference]:
    """The same for two schemas; in the structs at `open_paths`, extra fields are only a warning."""
    found = list(_Comparison(open_paths).structs(schema, wanted, ""))
    return sorted(found, key=lambda difference: difference.severity != "error")


def show_differences(differences: Iterable[Difference]) -> str:
    """The differences as a table of text, side by side.

    >>> print(show_differences([Difference("id", "missing", "error", None, "STRING NOT NULL")]))
    column  in the frame  wanted           difference
    ------  ------------  ---------------  --------------
    id      -             STRING NOT NULL  error: missing
    """
    rows = [("column", "in the frame", "wanted", "difference")]
    rows += [(d.path, d.found or "-", d.wanted or "-", f"{d.severity}: {_MEANINGS[d.kind]}") for d in differences]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    rows.insert(1, ("-" * widths[0], "-" * widths[1], "-" * widths[2], "-" * widths[3]))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


_MEANINGS: Mapping[Kind, str] = {
    "missing": "missing",
    "extra": "not wanted",
    "type": "another type",
    "nullable": "may be null",
}


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One comparison; in the structs at `open_paths` extra fields are welcome."""

    open_paths: frozenset[str]

    def structs(self, found: StructType, wanted: StructType, path: str) -> Iterator[Difference]:
        prefix = f"{path}." if path else ""
        for field in wanted.fields:
            if field.name not in found.names:
                severity: Severity = "warning" if field.nullable else "error"
                yield Difference(prefix + field.name, "missing", severity, None, _shown(field))
        for field in found.fields:
            if field.name in wanted.names:
                yield from self.fields(field, wanted[field.name], prefix + field.name)
            else:
                severity = "warning" if path in self.open_paths else "error"
                yield Difference(prefix + field.name, "extra", severity, _shown(field), None)

    def fields(self, found: StructField, wanted: StructField, path: str) -> Iterator[Difference]:
        """The differences of two columns, or of what two lists or maps hold."""
        severity = self._severity(found, wanted, path)
        if severity:
            yield Difference(path, "type", severity, *_typed_apart(found, wanted))
            if severity == "error":
                return
        if found.nullable and not wanted.nullable:
            yield Difference(path, "nullable", "warning", _shown(found), _shown(wanted))
        yield from self._inside(found, wanted, path)

    def _severity(self, found: StructField, wanted: StructField, path: str) -> Severity | None:
        """How bad the difference of the two types themselves is, whatever they hold; None where there is none."""
        try:
            stored = _stored(found, path)
        except SchemaError:
            return "error"  # no DynamoDB form
        if isinstance(wanted.dataType, VariantType):
            return None  # it holds anything
        if stored != _stored(wanted, path):
            return "error"
        if types.is_leaf(found.dataType):
            return _misfit(found.dataType, wanted.dataType, stored)
        return "error" if isinstance(found.dataType, MapType) and isinstance(wanted.dataType, StructType) else None

    def _inside(self, found: StructField, wanted: StructField, path: str) -> Iterator[Difference]:
        here, there = found.dataType, wanted.dataType
        if isinstance(here, StructType) and isinstance(there, StructType):
            yield from self.structs(here, there, path)
        elif isinstance(here, StructType) and isinstance(there, MapType):
            for field in here.fields:
                value = StructField(field.name, there.valueType, True)  # a field that is null is left out of the map
                yield from self.fields(field, value, f"{path}.{field.name}")
        elif isinstance(here, MapType) and isinstance(there, MapType):
            yield from self.fields(_values_of(here), _values_of(there), f"{path}{{}}")
        elif isinstance(here, ArrayType) and isinstance(there, ArrayType):
            tag = types.element_tag(here, types.storage_tag(found), path)
            yield from self.fields(_elements_of(here, tag), _elements_of(there, tag), f"{path}[]")


def _values_of(kind: MapType) -> StructField:
    return StructField("value", kind.valueType, kind.valueContainsNull)


def _elements_of(kind: ArrayType, tag: str | None) -> StructField:
    """The elements as a column; in a set, null is refused in any case."""
    if tag is None:
        return StructField("element", kind.elementType, kind.containsNull)
    return StructField("element", kind.elementType, False, {types.METADATA_KEY: tag})


def _stored(field: StructField, path: str) -> str:
    """The DynamoDB type in which a column is stored, `?` for a VARIANT; SchemaError where there is none."""
    kind, tag = field.dataType, types.storage_tag(field)
    if isinstance(kind, ArrayType):
        types.element_tag(kind, tag, path)
        return tag or "L"
    if isinstance(kind, MapType):
        types.check_map_key(kind, path)
    if isinstance(kind, StructType | MapType):
        if tag not in (None, "M"):
            raise SchemaError(path, f"{kind.simpleString()} can't be stored as '{tag}'")
        return "M"
    return "?" if isinstance(kind, VariantType) else types.leaf_of(kind, tag, path).tag


def _misfit(found: DataType, wanted: DataType, stored: str) -> Severity | None:
    """How bad it is that values of one type are read as another one, which is stored in the same form."""
    if type(found) is type(wanted) and not isinstance(found, DecimalType):
        return None
    return _number_misfit(found, wanted) if stored == "N" else _text_misfit(found, wanted)


def _text_misfit(found: DataType, wanted: DataType) -> Severity | None:
    if isinstance(wanted, StringType):
        return None
    if isinstance(wanted, TimestampType | TimestampNTZType) and isinstance(found, DateType):
        return None
    if isinstance(wanted, TimestampType) and isinstance(found, TimestampNTZType):
        return "warning"  # what has no zone is taken for UTC
    return "error"


def _number_misfit(found: DataType, wanted: DataType) -> Severity | None:
    if isinstance(wanted, StringType):
        return None  # the number's own text
    digits = _digits(found)
    if isinstance(wanted, FloatType | DoubleType):
        if isinstance(found, DoubleType):
            return "error"  # to FLOAT: may be beyond its range
        is_exact = isinstance(found, FloatType) or (digits is not None and sum(digits) <= _EXACT_DIGITS[type(wanted)])
        return None if is_exact else "warning"
    if digits is None:
        return "error"
    whole, fraction = digits
    if isinstance(wanted, TimestampType):
        if isinstance(found, LongType):
            return "warning"  # only far beyond the year 9999
        return None if whole < _EPOCH_DIGITS and fraction <= _EPOCH_PLACES else "error"
    most_whole, most_fraction = _digits(wanted) or (0, 0)
    if isinstance(found, DecimalType) and not isinstance(wanted, DecimalType):
        most_whole -= 1  # not every number of that many digits fits an integer type
    return None if whole <= most_whole and fraction <= most_fraction else "error"


def _digits(kind: DataType) -> tuple[int, int] | None:
    """The most digits before and after the point; None where there is no such limit."""
    if isinstance(kind, DecimalType):
        return kind.precision - kind.scale, kind.scale
    if isinstance(kind, TimestampType):
        return _EPOCH_DIGITS, _EPOCH_PLACES
    return (_DIGITS[type(kind)], 0) if type(kind) in _DIGITS else None


def _shown(field: StructField) -> str:
    tag = types.storage_tag(field)
    form = f" stored as {tag}" if tag else ""
    return f"{shorten(types.ddl(field.dataType))}{form}{'' if field.nullable else ' NOT NULL'}"


def _typed_apart(found: StructField, wanted: StructField) -> tuple[str, str]:
    """Both types as text; the storage forms stand beside them where one is of its own choice."""
    tags = [types.storage_tag(field) for field in (found, wanted)]
    if not any(tags):
        return shorten(types.ddl(found.dataType)), shorten(types.ddl(wanted.dataType))
    shown = []
    for field in (found, wanted):
        try:
            form = f" stored as {_stored(field, field.name)}"
        except SchemaError:
            form = f" stored as {types.storage_tag(field)}" if types.storage_tag(field) else ""
        shown.append(shorten(types.ddl(field.dataType)) + form.removesuffix(" stored as ?"))
    return shown[0], shown[1]
