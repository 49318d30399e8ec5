"""How a schema differs from the one that is wanted: `compare`.

Types are compared twice: whether each value is kept by a cast in Spark (`casts`), and whether DynamoDB stores both in the
same form, so that items of the one can be read and written as items of the other: INT and BIGINT are, a TIMESTAMP stored as
text and one stored as epoch seconds are not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import (
    ArrayType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    LongType,
    MapType,
    NullType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from spark_dynamo.errors import SchemaError, shorten
from spark_dynamo.schema.drift.casts import cast_of
from spark_dynamo.schema.drift.comparison import Kind, Row, SchemaComparison, SchemaDifference, Severity
from spark_dynamo.schema.drift.conversions import DIGITS
from spark_dynamo.schema.drift.given import name_of, open_paths_of, schema_of
from spark_dynamo.wire import types

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_dynamo.schema.annotations.places import Mode
    from spark_dynamo.schema.policy import SchemaPolicy

__all__ = ["SchemaComparison", "SchemaDifference", "compare", "compare_schemas"]

_EPOCH_DIGITS, _EPOCH_PLACES = 13, 6  # of a timestamp in epoch seconds


def compare(
    schema: StructType | DataFrame | type[Any],
    wanted: StructType | type[Any],
    *,
    mode: Mode = "validation",
    by_alias: bool | None = None,
    policy: SchemaPolicy | None = None,
) -> SchemaComparison:
    """All differences between a schema, or that of a DataFrame, and the wanted one, which is a schema or a Pydantic model.

    The result is a list, empty exactly where the two are equal; printed, it is one table of all fields. A column that is
    missing is compatible where the wanted one is nullable, else breaking; a column that isn't wanted is compatible, but a
    write is refused for it, unless the model says `extra="allow"` or `"ignore"`. Null where it isn't wanted is breaking, and a
    write looks at each value. `mode`, `by_alias` and `policy` are those of `struct_type`. Raises SchemaError for a model that
    has no schema.

    >>> from pyspark.sql.types import ArrayType, StructType
    >>> wanted = StructType().add("id", "string").add("n", "long").add("orders", ArrayType(StructType().add("price", "double")))
    >>> found = StructType().add("id", "string").add("n", "integer").add("orders", ArrayType(StructType().add("price", "string")))
    >>> print(compare(found, wanted))
       field           expected       actual         difference
       --------------  -------------  -------------  --------------
       id              STRING         STRING
    ~  n               BIGINT         INT            widening: type
       orders          ARRAY<STRUCT>  ARRAY<STRUCT>
    !  orders[].price  DOUBLE         STRING         breaking: type
    >>> [(difference.path, difference.severity) for difference in compare(found, wanted)]
    [('n', 'widening'), ('orders[].price', 'breaking')]
    """
    choices: dict[str, Any] = {"mode": mode, "by_alias": by_alias, "policy": policy}
    return compare_schemas(
        schema_of(schema, **choices),
        schema_of(wanted, **choices),
        open_paths_of(wanted, **choices),
        expected=name_of(wanted),
    )


def compare_schemas(
    schema: StructType, wanted: StructType, open_paths: frozenset[str] = frozenset(), *, expected: str = "expected"
) -> SchemaComparison:
    """The differences of two schemas; in the structs at `open_paths`, extra fields are welcome. `expected` names the wanted one."""
    return SchemaComparison(_Comparison(open_paths).structs(schema, wanted, ""), expected=expected)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One comparison; in the structs at `open_paths` extra fields are welcome."""

    open_paths: frozenset[str]

    def structs(self, found: StructType, wanted: StructType, path: str) -> Iterator[Row]:
        prefix = f"{path}." if path else ""
        here, there = ({field.name: field for field in struct.fields} for struct in (found, wanted))
        should, stand = [name for name in there if name in here], [name for name in here if name in there]
        if should != stand:
            order = SchemaDifference(path, "order", shorten(", ".join(should)), shorten(", ".join(stand)), "compatible")
            yield Row(path, order.expected, order.actual, (order,), is_field=False)
        for field in wanted.fields:
            if field.name in here:
                yield from self.fields(here[field.name], field, prefix + field.name)
                continue
            severity: Severity = "compatible" if field.nullable else "breaking"
            missing = _difference(prefix + field.name, "missing", severity, None, field, not field.nullable)
            yield Row(missing.path, _cell(field, whole=True), None, (missing,))
        for field in found.fields:
            if field.name not in there:
                is_refused = path not in self.open_paths
                extra = _difference(prefix + field.name, "extra", "compatible", field, None, is_refused)
                yield Row(extra.path, None, _cell(field, whole=True), (extra,))

    def fields(self, found: StructField, wanted: StructField, path: str, *, is_field: bool = True) -> Iterator[Row]:
        """The row of two columns, or of what two lists or maps hold, and those of all below them."""
        differences = tuple(_differences(found, wanted, path))
        yield Row(path, _cell(wanted), _cell(found), differences, is_field)
        here, there = found.dataType, wanted.dataType
        if isinstance(here, StructType) and isinstance(there, StructType):
            yield from self.structs(here, there, path)
        elif isinstance(here, StructType) and isinstance(there, MapType):
            for field in here.fields:
                value = StructField(field.name, there.valueType, True)  # a field that is null is left out of the map
                shown = StructField(field.name, field.dataType, True, field.metadata)
                yield from self.fields(shown, value, f"{path}.{field.name}", is_field=False)
        elif isinstance(here, MapType) and isinstance(there, MapType):
            values = [StructField("value", kind.valueType, kind.valueContainsNull) for kind in (here, there)]
            yield from self.fields(values[0], values[1], f"{path}{{}}", is_field=False)
        elif isinstance(here, ArrayType) and isinstance(there, ArrayType):
            is_same_form = _form(found) == _form(wanted)
            elements = [
                _elements_of(field, types.storage_tag(field) if is_same_form else None) for field in (found, wanted)
            ]
            yield from self.fields(elements[0], elements[1], f"{path}[]", is_field=False)


def _differences(found: StructField, wanted: StructField, path: str) -> Iterator[SchemaDifference]:
    """The differences of two columns themselves, whatever they hold."""
    here, there = found.dataType, wanted.dataType
    is_metadata_left = True
    if _is_other_type(here, there):
        is_metadata_left = False
        kind: Kind = "precision" if type(here) is type(there) is DecimalType else "type"
        yield SchemaDifference(
            path, kind, *_typed_apart(wanted, found), _severity(found, wanted, path), _blocks(found, wanted, path)
        )
    elif _form(found) != _form(wanted):
        is_metadata_left = False
        yield SchemaDifference(path, "metadata", *_typed_apart(wanted, found), "breaking", True)
    if found.nullable != wanted.nullable:
        severity: Severity = "breaking" if found.nullable else "compatible"
        yield _difference(path, "nullability", severity, found, wanted, False)
    stand, should = (_metadata(field, with_form=is_metadata_left) for field in (found, wanted))
    if stand != should:
        yield SchemaDifference(path, "metadata", should, stand, "compatible")


def _is_other_type(here: DataType, there: DataType) -> bool:
    """Whether the types differ themselves, whatever they hold; but a map's keys count."""
    if isinstance(here, MapType) and isinstance(there, MapType):
        return here.keyType != there.keyType
    if isinstance(here, StructType | ArrayType):
        return type(here) is not type(there)
    return here != there


def _severity(found: StructField, wanted: StructField, path: str) -> Severity:
    here, there = found.dataType, wanted.dataType
    if isinstance(here, NullType):
        return "widening"
    if isinstance(here, StructType) and isinstance(there, MapType):
        return "widening" if there.keyType == StringType() else "breaking"
    if isinstance(here, MapType) and isinstance(there, MapType):
        found, wanted = StructField("", here.keyType), StructField("", there.keyType)
    cast = cast_of(found, wanted)
    if cast is None or not cast.is_exact:
        return "breaking"
    forms = {_form(found), _form(wanted)} - {None}
    return "widening" if len(forms) < 2 or isinstance(there, VariantType) else "breaking"


# ---------------------------------------------------------------------------------------------------- what DynamoDB stores


def _blocks(found: StructField, wanted: StructField, path: str) -> bool:
    """Whether items of the one can't be items of the other, whatever their values."""
    form = _form(found)
    if form is None:
        return True
    if isinstance(wanted.dataType, VariantType):
        return False  # it holds anything
    if form != _form(wanted):
        return True
    if types.is_leaf(found.dataType):
        return _is_misfit(found.dataType, wanted.dataType, form)
    return isinstance(found.dataType, MapType) and isinstance(wanted.dataType, StructType)


def _form(field: StructField) -> str | None:
    """The DynamoDB type in which a column is stored, `?` for a VARIANT; None where there is none."""
    kind, tag = field.dataType, types.storage_tag(field)
    try:
        if isinstance(kind, ArrayType):
            types.element_tag(kind, tag, "")
            return tag or "L"
        if isinstance(kind, MapType):
            types.check_map_key(kind, "")
        if isinstance(kind, StructType | MapType):
            return "M" if tag in (None, "M") else None
        return "?" if isinstance(kind, VariantType) else types.leaf_of(kind, tag, "").tag
    except SchemaError:
        return None


def _is_misfit(found: DataType, wanted: DataType, form: str) -> bool:
    """Whether values of one type are surely none of another one, which is stored in the same form."""
    if isinstance(wanted, StringType):
        return False  # the text itself, or the number's own text
    if form != "N":
        if isinstance(wanted, TimestampType | TimestampNTZType) and isinstance(found, DateType):
            return False
        # what has no zone is taken for UTC
        return not (isinstance(wanted, TimestampType) and isinstance(found, TimestampNTZType))
    digits = _digits(found)
    if isinstance(wanted, FloatType | DoubleType):
        return isinstance(found, DoubleType)  # to FLOAT: may be beyond its range
    if digits is None:
        return True
    whole, fraction = digits
    if isinstance(wanted, TimestampType):
        return not isinstance(found, LongType) and (whole >= _EPOCH_DIGITS or fraction > _EPOCH_PLACES)
    most_whole, most_fraction = _digits(wanted) or (0, 0)
    if isinstance(found, DecimalType) and not isinstance(wanted, DecimalType):
        most_whole -= 1  # not every number of that many digits fits an integer type
    return whole > most_whole or fraction > most_fraction


def _elements_of(field: StructField, tag: str | None) -> StructField:
    """The elements as a column, which in a set have the set's storage form."""
    kind = field.dataType
    assert isinstance(kind, ArrayType)
    form = types.SET_TAGS.get(tag or "")
    return StructField("element", kind.elementType, kind.containsNull, {types.METADATA_KEY: form} if form else None)


def _digits(kind: DataType) -> tuple[int, int] | None:
    """The most digits before and after the point; None where there is no such limit."""
    if isinstance(kind, DecimalType):
        return kind.precision - kind.scale, kind.scale
    if isinstance(kind, TimestampType):
        return _EPOCH_DIGITS, _EPOCH_PLACES
    return (DIGITS[type(kind)], 0) if type(kind) in DIGITS else None


# ---------------------------------------------------------------------------------------------------- what is shown


def _difference(
    path: str, kind: Kind, severity: Severity, found: StructField | None, wanted: StructField | None, blocks_write: bool
) -> SchemaDifference:
    expected, actual = (None if field is None else shown(field) for field in (wanted, found))
    return SchemaDifference(path, kind, expected, actual, severity, blocks_write)


def shown(field: StructField) -> str:
    """A column's type as people write it, with its storage form where that is chosen, and whether it takes null."""
    tag = types.storage_tag(field)
    form = f" stored as {tag}" if tag else ""
    return f"{shorten(types.ddl(field.dataType))}{form}{'' if field.nullable else ' NOT NULL'}"


def _cell(field: StructField, *, whole: bool = False) -> str:
    """A field in the table, where the fields of a struct have rows of their own, unless it is shown `whole`."""
    tag = types.storage_tag(field)
    form = f" stored as {tag}" if tag else ""
    return f"{shorten(_sql(field.dataType, whole))}{form}{'' if field.nullable else ' NOT NULL'}"


def _sql(kind: DataType, whole: bool) -> str:
    if isinstance(kind, StructType):
        fields = ", ".join(f"{field.name}: {_sql(field.dataType, whole)}" for field in kind.fields)
        return f"STRUCT<{fields}>" if whole else "STRUCT"
    if isinstance(kind, ArrayType):
        return f"ARRAY<{_sql(kind.elementType, whole)}>"
    if isinstance(kind, MapType):
        return f"MAP<{_sql(kind.keyType, whole)}, {_sql(kind.valueType, whole)}>"
    return kind.simpleString().upper()


def _typed_apart(found: StructField, wanted: StructField) -> tuple[str, str]:
    """Both types as text; the storage forms stand beside them where one is of its own choice."""
    texts = []
    is_chosen = any(types.storage_tag(field) for field in (found, wanted))
    for field in (found, wanted):
        form = (_form(field) or types.storage_tag(field)) if is_chosen else None
        texts.append(shorten(types.ddl(field.dataType)) + (f" stored as {form}" if form and form != "?" else ""))
    return texts[0], texts[1]


def _metadata(field: StructField, *, with_form: bool) -> str:
    """The metadata as text, with or without the storage form."""
    kept = {name: part for name, part in field.metadata.items() if with_form or name != types.METADATA_KEY}
    return shorten(json.dumps(kept, sort_keys=True, ensure_ascii=False))
