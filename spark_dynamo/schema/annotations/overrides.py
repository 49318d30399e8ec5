"""Types that a field says itself: `SparkType`, and Pydantic's own encodings, `Json` and `Base64Bytes`."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from types import MappingProxyType, NoneType
from typing import Annotated, Any

from pydantic import EncodedBytes, EncodedStr, Json, NaiveDatetime, TypeAdapter
from pyspark.sql import types
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    CalendarIntervalType,
    CharType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    TimestampNTZType,
    TimestampType,
    VarcharType,
    VariantType,
    YearMonthIntervalType,
)

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.annotations.attributes import AttributeForm
from spark_dynamo.schema.annotations.leaves import Convert, patient
from spark_dynamo.schema.annotations.own_types import is_own, serialized_as
from spark_dynamo.schema.annotations.places import Place, name_of
from spark_dynamo.schema.annotations.variants import any_node, dump_variant, is_any
from spark_dynamo.schema.ddl import parse_ddl
from spark_dynamo.schema.nodes import Node
from spark_dynamo.schema.policy import SparkType
from spark_dynamo.timezones import read_iso
from spark_dynamo.wire.types import arrow_type
from spark_dynamo.wire.variant import decode_variant

__all__ = ["encoded_node", "overridden_node"]


def overridden_node(place: Place, annotation: Any) -> Node:
    """The node of an annotation whose `SparkType` says its type; SchemaError where values can't become that type."""
    assert place.spark_type is not None
    given = place.spark_type.kind
    kind = parse_ddl(given, place.path) if isinstance(given, str) else given
    bare = replace(place, spark_type=None, is_arm=False)
    if annotation in (object, None, NoneType) or is_any(annotation):
        node = replace(any_node(bare, annotation), nullable=annotation is not object)
        return node if isinstance(kind, VariantType) else replace(node, data_type=kind, dump=None, load=None)
    if type(kind).__name__ == "TimeType":
        bare = replace(bare, walk=replace(place.walk, policy=replace(place.walk.policy, time="time")))
    if isinstance(kind, VariantType):
        bare = replace(bare, in_variant=True)
    try:
        node = bare.node(annotation)
    except SchemaError:
        stored = _as_serialized(bare, annotation, kind)
        if stored is None:
            raise
        return stored
    if kind == node.data_type:
        return node
    place.refuse_form(kind.simpleString())
    if isinstance(kind, VariantType):
        return _as_variant(node)
    conversion = _conversion(node.data_type, kind)
    if conversion is None:
        stored = _as_serialized(bare, annotation, kind) if is_own(bare, annotation) else None
        if stored is not None:
            return stored
        raise place.refuse(
            f"{name_of(annotation)} is {node.data_type.simpleString()}, and can't be {kind.simpleString()}. "
            "Change the annotation, or write the SparkType on what it holds, as in list[Annotated[int, SparkType('INT')]]"
        )
    dump, load = conversion
    return replace(node, data_type=kind, dump=_then(node.dump, dump), load=_then(load, node.load))


def _as_serialized(place: Place, annotation: Any, kind: DataType) -> Node | None:
    """The node of an annotation that has no such type of its own, as Pydantic serializes its values; None where it can't."""
    form = _FORMS.get(type(kind))
    if form is not None:
        return serialized_as(place, annotation, Annotated[form, SparkType(kind)], "python" if form is bytes else "json")
    if isinstance(kind, VariantType):
        return serialized_as(place, annotation, Any)
    column = arrow_type(kind, None, place.path)
    return serialized_as(place, annotation, Annotated[object, SparkType(kind)], "python", column)


def _then(first: Convert | None, second: Convert | None) -> Convert | None:
    if first is None or second is None:
        return first or second
    return lambda value: second(first(value))


def _as_variant(node: Node) -> Node:
    @cache
    def form() -> AttributeForm:
        return AttributeForm(node)

    return replace(
        node,
        data_type=VariantType(),
        stored=None,
        dump=lambda value: dump_variant(form().write(value)),
        load=lambda pair: form().read(decode_variant(pair["value"], pair["metadata"])),
    )


def _conversion(there: DataType, here: DataType) -> tuple[Convert | None, Convert | None] | None:
    """How values get from the annotation's own type to the one asked for, and back; None where they can't."""
    found = _CONVERSIONS.get((type(there), type(here)))
    if found is None and type(there) is type(here) and type(there) in _FAMILIES:
        return None, None
    return found


def _exact_float(value: float) -> float:
    try:
        nearest: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        nearest = float("inf")
    if nearest != value and value == value:
        raise ValueError(
            f"{value!r} is no 32-bit floating-point number, and would be rounded to {nearest!r}; use DOUBLE"
        )
    return value


def _exact_integer(value: Decimal) -> int:
    if value != value.to_integral_value():
        raise ValueError(f"{value} has a fraction")
    return int(value)


def _of_moment(value: datetime) -> str:
    return value.isoformat()


def _known(*names: str) -> list[type[DataType]]:
    """The types of these names, of which older versions of Spark lack some."""
    return [getattr(types, name) for name in names if hasattr(types, name)]


_INTEGERS = (ByteType, ShortType, IntegerType, LongType)
# what Pydantic makes of a serialized value for a column of the type
_FORMS: Mapping[type[DataType], Any] = MappingProxyType(
    {
        **dict.fromkeys((StringType, CharType, VarcharType), str),
        **dict.fromkeys((*_INTEGERS, YearMonthIntervalType), int),
        **dict.fromkeys((DoubleType, FloatType), float),
        BooleanType: bool,
        BinaryType: bytes,
        DateType: date,
        TimestampType: datetime,
        TimestampNTZType: NaiveDatetime,
        DayTimeIntervalType: timedelta,
        DecimalType: Decimal,
    }
)
# of one class, but with parameters: precision, length, collation, units
_FAMILIES = frozenset({DecimalType, StringType, DayTimeIntervalType, *_known("TimeType")})
_CONVERSIONS: Mapping[tuple[type[DataType], type[DataType]], tuple[Convert | None, Convert | None]] = MappingProxyType(
    {
        **{(there, here): (None, None) for there in _INTEGERS for here in _INTEGERS},
        **{(there, DecimalType): (Decimal, patient(_exact_integer)) for there in _INTEGERS},
        **{(there, StringType): (str, patient(int)) for there in _INTEGERS},
        **{(there, YearMonthIntervalType): (None, None) for there in _INTEGERS},
        **{(DecimalType, here): (_exact_integer, Decimal) for here in _INTEGERS},
        (DecimalType, StringType): (str, patient(Decimal)),
        (ArrayType, CalendarIntervalType): (None, None),  # tuple[int, int, int]: months, days, microseconds
        **{(BinaryType, spatial): (None, None) for spatial in _known("GeographyType", "GeometryType")},
        (DoubleType, FloatType): (_exact_float, None),
        (BooleanType, StringType): (lambda flag: str(flag).lower(), None),
        (StringType, CharType): (None, None),
        (StringType, VarcharType): (None, None),
        (TimestampType, StringType): (_of_moment, patient(read_iso)),
        (TimestampNTZType, StringType): (_of_moment, patient(read_iso)),
        (DateType, StringType): (date.isoformat, patient(date.fromisoformat)),
    }
)


# ---------------------------------------------------------------------------------------------------- encodings


def encoded_node(place: Place, annotation: Any) -> Node | None:
    """The node of an annotation whose constraints hold `Json` or an encoding; None where they don't."""
    for entry in reversed(place.constraints):
        if entry is Json or type(entry) is Json:
            return _json(place, annotation, entry)
        if isinstance(entry, EncodedBytes | EncodedStr):
            rest = tuple(other for other in place.constraints if other is not entry)
            node = replace(place, constraints=rest).node(annotation)
            encode: Convert = entry.encode_str if isinstance(entry, EncodedStr) else entry.encode
            return replace(node, constraints=place.constraints, dump=_then(encode, node.dump), load=None)
    return None


def _json(place: Place, annotation: Any, entry: Any) -> Node:
    """Validation takes JSON text, serialization gives what stands in it."""
    if place.walk.mode == "serialization":
        rest = tuple(other for other in place.constraints if other is not entry)
        return replace(place, constraints=rest).node(annotation)
    place.refuse_form("JSON text")
    adapter = cache(lambda: TypeAdapter(annotation))
    return Node(
        place.path,
        StringType(),
        False,
        constraints=place.constraints,
        dump=lambda value: adapter().dump_json(value).decode(),
    )
