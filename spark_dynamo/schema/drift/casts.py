"""What becomes of a value in a column of another type: exactly the same, the same after a look at each value, or nothing.

`CASTS` is a table of families of types, the found one and the wanted one; a pair that isn't in it has no cast that keeps the
meaning of all that it lets through. Nothing here depends on ANSI mode or on the session's time zone: what has no zone is UTC,
as everywhere in this project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it
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
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
    YearMonthIntervalType,
)

from spark_dynamo.schema.drift import conversions
from spark_dynamo.schema.drift.conversions import Cast
from spark_dynamo.wire import types

__all__ = ["CASTS", "Cast", "cast_of", "cast_rows"]


def cast_of(found: StructField, wanted: StructField) -> Cast | None:
    """The cast of a column's values to another column's type, None where there is none; both are no struct, list or map.

    But anything may become VARIANT, whatever it holds. The storage form counts for timestamps alone: one that is stored as
    epoch seconds is as good as a number of them.

    >>> cast_of(StructField("x", IntegerType()), StructField("x", LongType())).is_exact
    True
    >>> cast_of(StructField("x", LongType()), StructField("x", IntegerType())).is_exact
    False
    >>> cast_of(StructField("x", BinaryType()), StructField("x", StringType())) is None
    True
    """
    here, there = found.dataType, wanted.dataType
    if here == there:
        return Cast(lambda value: value)
    if isinstance(here, NullType):
        return Cast(lambda _: F.lit(None).cast(there))
    families = _family(found), _family(wanted)
    if families[1] == "VARIANT":
        return _to_variant(here) if _has_variant(here) else None
    if types.storage_tag(wanted) == "N" and isinstance(there, StringType) and families[0] not in _NUMBERS:
        return None  # its text is no number
    make = CASTS.get(families)
    return make(here, there) if make else None


# ---------------------------------------------------------------------------------------------------- VARIANT

_IN_VARIANTS = (
    StringType, BooleanType, BinaryType, ByteType, ShortType, IntegerType, LongType, FloatType, DoubleType, DecimalType,
    DateType, TimestampType, TimestampNTZType, VariantType,
)  # fmt: skip


def _has_variant(kind: DataType) -> bool:
    if isinstance(kind, StructType):
        return all(_has_variant(field.dataType) for field in kind.fields)
    if isinstance(kind, ArrayType):
        return _has_variant(kind.elementType)
    if isinstance(kind, MapType):
        return type(kind.keyType) is StringType and _has_variant(kind.valueType)
    return isinstance(kind, _IN_VARIANTS)


def _to_variant(found: DataType) -> Cast:
    if isinstance(found, StructType | ArrayType | MapType):
        return Cast(F.to_variant_object)
    return conversions.exactly(VariantType())


# ---------------------------------------------------------------------------------------------------- the table

_NUMBERS = ("integer", "DECIMAL", "floating")
_FAMILIES: Mapping[type[DataType], str] = {
    **dict.fromkeys(conversions.DIGITS, "integer"),
    **dict.fromkeys(conversions.MANTISSA, "floating"),
    DecimalType: "DECIMAL",
    StringType: "STRING",
    BooleanType: "BOOLEAN",
    DateType: "DATE",
    TimestampType: "TIMESTAMP",
    TimestampNTZType: "TIMESTAMP_NTZ",
    DayTimeIntervalType: "INTERVAL DAY TO SECOND",
    YearMonthIntervalType: "INTERVAL YEAR TO MONTH",
    VariantType: "VARIANT",
}
_EPOCH = "TIMESTAMP stored as N"


def _family(field: StructField) -> str:
    if isinstance(field.dataType, TimestampType) and types.storage_tag(field) == "N":
        return _EPOCH
    return _FAMILIES.get(type(field.dataType), "")


CASTS: Mapping[tuple[str, str], Callable[[Any, Any], Cast]] = MappingProxyType(
    {
        ("integer", "integer"): conversions.integer_to_integer,
        ("integer", "DECIMAL"): conversions.integer_to_decimal,
        ("integer", "floating"): conversions.integer_to_floating,
        ("integer", "STRING"): conversions.to_text,
        ("integer", _EPOCH): conversions.number_to_epoch,
        ("DECIMAL", "integer"): conversions.decimal_to_integer,
        ("DECIMAL", "DECIMAL"): conversions.decimal_to_decimal,
        ("DECIMAL", "floating"): conversions.decimal_to_floating,
        ("DECIMAL", "STRING"): conversions.to_text,
        ("DECIMAL", _EPOCH): conversions.number_to_epoch,
        ("floating", "integer"): conversions.floating_to_integer,
        ("floating", "DECIMAL"): conversions.floating_to_decimal,
        ("floating", "floating"): conversions.floating_to_floating,
        ("floating", "STRING"): conversions.to_text,
        ("STRING", "integer"): conversions.text_to_integer,
        ("STRING", "DECIMAL"): conversions.text_to_decimal,
        ("STRING", "floating"): conversions.text_to_floating,
        ("STRING", "STRING"): conversions.to_text,  # of another collation
        ("STRING", "BOOLEAN"): conversions.text_to_boolean,
        ("STRING", "DATE"): conversions.text_to_date,
        ("STRING", "TIMESTAMP"): conversions.text_to_timestamp,
        ("STRING", _EPOCH): conversions.text_to_timestamp,
        ("STRING", "TIMESTAMP_NTZ"): conversions.text_to_local,
        ("BOOLEAN", "STRING"): conversions.to_text,
        ("DATE", "STRING"): conversions.to_text,
        ("DATE", "TIMESTAMP"): conversions.date_to_timestamp,
        ("DATE", _EPOCH): conversions.date_to_timestamp,
        ("DATE", "TIMESTAMP_NTZ"): lambda _, wanted: conversions.exactly(wanted),
        ("TIMESTAMP", "STRING"): conversions.moment_to_text,
        (_EPOCH, "STRING"): conversions.moment_to_text,
        (_EPOCH, "integer"): conversions.epoch_to_number,
        (_EPOCH, "DECIMAL"): conversions.epoch_to_number,
        ("TIMESTAMP_NTZ", "STRING"): conversions.moment_to_text,
        ("TIMESTAMP_NTZ", "DATE"): conversions.there_and_back,
        ("TIMESTAMP_NTZ", "TIMESTAMP"): conversions.local_to_timestamp,
        ("TIMESTAMP_NTZ", _EPOCH): conversions.local_to_timestamp,
        ("INTERVAL DAY TO SECOND", "INTERVAL DAY TO SECOND"): conversions.interval_to_interval,
        ("INTERVAL YEAR TO MONTH", "INTERVAL YEAR TO MONTH"): conversions.interval_to_interval,
    }
)


def cast_rows() -> Iterator[tuple[str, str, str]]:
    """The table as people read it, for documentation: a type, another one, and whether all values of the one fit the other.

    >>> [row for row in cast_rows() if row[0] == "BOOLEAN"]
    [('BOOLEAN', 'STRING', 'all'), ('BOOLEAN', 'VARIANT', 'all')]
    """
    kinds = [
        ByteType(), ShortType(), IntegerType(), LongType(), DecimalType(10, 2), DecimalType(38, 18), FloatType(), DoubleType(),
        StringType(), BooleanType(), BinaryType(), DateType(), TimestampType(), TimestampNTZType(), VariantType(),
    ]  # fmt: skip
    for found in kinds:
        for wanted in kinds:
            cast = cast_of(StructField("", found), StructField("", wanted))
            if cast and found != wanted:
                yield types.ddl(found).upper(), types.ddl(wanted).upper(), "all" if cast.is_exact else "each is checked"
