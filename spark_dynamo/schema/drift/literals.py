"""Values as Spark columns: a default of a model's field, and a value of each type that is surely no null."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it
from pyspark.sql import types as spark_types
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
    YearMonthIntervalType,
)

from spark_dynamo.errors import SchemaError, shorten
from spark_dynamo.wire import types
from spark_dynamo.wire.variant import decode_variant

if TYPE_CHECKING:
    from spark_dynamo.schema.nodes import FieldNode

__all__ = ["default_of", "has_default", "literal", "never_null"]

_PLACEHOLDERS: Mapping[type[DataType], str] = MappingProxyType(
    {
        StringType: "''",
        BooleanType: "false",
        BinaryType: "X''",
        ByteType: "0Y",
        ShortType: "0S",
        IntegerType: "0",
        LongType: "0L",
        FloatType: "0F",
        DoubleType: "0D",
        DateType: "DATE'1970-01-01'",
        TimestampType: "TIMESTAMP_LTZ'1970-01-01 00:00:00Z'",
        TimestampNTZType: "TIMESTAMP_NTZ'1970-01-01 00:00:00'",
        DayTimeIntervalType: "INTERVAL '0' DAY",
        YearMonthIntervalType: "INTERVAL '0' YEAR",
        VariantType: "CAST(0 AS VARIANT)",
        **({spark_types.TimeType: "TIME'00:00:00'"} if hasattr(spark_types, "TimeType") else {}),  # since Spark 4.1
    }
)


def never_null(value: Column, kind: DataType) -> Column:
    """A column of the same values, of which Spark knows that none is null; for values that raise rather than be null.

    Of a type for which there is no literal, Spark still says that it may be null.
    """
    if not _has_placeholder(kind):
        return value
    return F.coalesce(value, _placeholder(kind))


def _has_placeholder(kind: DataType) -> bool:
    if isinstance(kind, StructType):
        return all(_has_placeholder(field.dataType) for field in kind.fields)
    if isinstance(kind, ArrayType):
        return _has_placeholder(kind.elementType)
    if isinstance(kind, MapType):
        return _has_placeholder(kind.keyType) and _has_placeholder(kind.valueType)
    return isinstance(kind, DecimalType) or type(kind) in _PLACEHOLDERS


def _placeholder(kind: DataType) -> Column:
    """Any value of the type; its type holds no null wherever it can be said."""
    if isinstance(kind, StructType):
        return F.struct(*[_placeholder(field.dataType).alias(field.name) for field in kind.fields])
    if isinstance(kind, ArrayType):
        return F.array_repeat(_placeholder(kind.elementType), 0)
    if isinstance(kind, MapType):
        keys, values = (F.array_repeat(_placeholder(inner), 0) for inner in (kind.keyType, kind.valueType))
        return F.map_from_arrays(keys, values)
    if isinstance(kind, DecimalType):  # with its own scale, so that the cast can't fail in Spark's eyes
        return F.lit(Decimal(0).scaleb(-kind.scale)).cast(kind)
    return F.expr(_PLACEHOLDERS[type(kind)]).cast(kind)


def literal(value: object, kind: DataType, tag: str | None, path: str) -> Column:
    """A value, as pyarrow takes it for that type and storage form, as a column; SchemaError where the type doesn't hold it."""
    if value is None:
        return F.lit(None).cast(kind)
    try:
        (held,) = pa.array([value], types.arrow_type(kind, tag, path)).to_pylist()
    except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
        raise SchemaError(path, f"its default {shorten(repr(value))} is no {types.ddl(kind)}: {error}") from error
    return _literal(held, kind, path)


def _literal(value: Any, kind: DataType, path: str) -> Column:
    if value is None:
        return F.lit(None).cast(kind)
    if isinstance(kind, StructType):
        return F.struct(*[_literal(value[f.name], f.dataType, f"{path}.{f.name}").alias(f.name) for f in kind.fields])
    if isinstance(kind, ArrayType):
        elements = [_literal(element, kind.elementType, f"{path}[]") for element in value]
        return F.array(*elements) if elements else _placeholder(kind)
    if isinstance(kind, MapType):
        parts = [
            _literal(part, inner, f"{path}{{}}")
            for entry in value
            for part, inner in zip(entry, (kind.keyType, kind.valueType), strict=True)
        ]
        return F.create_map(*parts) if parts else _placeholder(kind)
    return never_null(_leaf(value, kind, path), kind)


def _leaf(value: Any, kind: DataType, path: str) -> Column:
    if isinstance(kind, VariantType):
        return F.parse_json(F.lit(_json(decode_variant(value["value"], value["metadata"]), path)))
    if isinstance(kind, TimestampNTZType):
        assert isinstance(value, datetime)
        return F.lit(value.isoformat(" ")).cast(kind)
    return F.lit(value).cast(kind)


def _json(attribute: Mapping[str, Any], path: str) -> str:
    """An attribute value in DynamoDB JSON as plain JSON, from which Spark makes the same VARIANT."""
    ((tag, held),) = attribute.items()
    if tag in ("S", "BOOL"):
        return json.dumps(held, ensure_ascii=False)
    if tag == "NULL":
        return "null"
    if tag == "N" and "E" not in held:
        return str(held)
    if tag == "L":
        return f"[{','.join(_json(element, path) for element in held)}]"
    if tag == "M":
        return f"{{{','.join(f'{json.dumps(name)}:{_json(inner, path)}' for name, inner in held.items())}}}"
    raise SchemaError(path, f"its default holds {shorten(repr(held))}, which a VARIANT in Spark can't be made of")


def has_default(told: FieldNode) -> bool:
    """Whether a model's field has a default, or a function that makes one."""
    return told.info is not None and not told.info.is_required()


def default_of(told: FieldNode, path: str) -> object:
    """A field's default as pyarrow takes it; SchemaError where only a whole model has it, or its type doesn't."""
    assert told.info is not None
    if told.info.default_factory_takes_validated_data:
        raise SchemaError(
            path, "its default is made of the other fields' values, which Spark can't; fill the column first"
        )
    value = told.info.get_default(call_default_factory=True)
    try:
        return value if value is None or told.node.dump is None else told.node.dump(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise SchemaError(path, f"its default {shorten(repr(value))} doesn't fit its type: {error}") from error
