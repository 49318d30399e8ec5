"""Random Spark schemas, DynamoDB items that fit them or nearly do, and batches; and what boto3 says that they mean.

`meant` turns what boto3's TypeDeserializer gives into the value that the column must hold, `seen` a value of a batch into
what is compared: number text as Decimal, sets as frozensets, VARIANT as the Python value behind it.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from hypothesis import strategies as st
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
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from spark_dynamo.wire.types import arrow_schema
from spark_dynamo.wire.variant import decode_variant, encode_variant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DIGITS = Context(prec=500)
BITS: Mapping[type[DataType], int] = {LongType: 64, IntegerType: 32, ShortType: 16, ByteType: 8}

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        ["", '"', "\\", '\\"', "\x00", "\x1f\x7f", "\u2028\u2029", "\U0001f600", "\ufeff", "{}", '"":', "NULL"]
    ),
)
ODD_NAMES = [
    "a", "a.b", "a-b", "a b", 'a"b', '"', "a\\", "\\u0041", "é", "\U0001f600", "\u2028", "select", "Items", "NULL", "S", "M",
    "L", "N", "LastEvaluatedKey", "$SS", "`a`", "a\nb", "\x00", "A", "[]", "{}", "#n", ":v",
]  # fmt: skip
names = st.one_of(st.sampled_from(ODD_NAMES), texts.filter(bool))


# ---------------------------------------------------------------------------------------------------- numbers and moments


@st.composite
def number_texts(draw: st.DrawFn) -> str:
    """Any number of DynamoDB's, with at most 38 digits in its text, or with an exponent."""
    length = draw(st.sampled_from([0, 1, 2, 9, 17, 20, 38]))
    if not length:
        return draw(st.sampled_from(["0", "0.0", "-0", "0.000"]))
    sign = draw(st.sampled_from(["", "-"]))
    digits = draw(st.integers(10 ** (length - 1), 10**length - 1))
    last = draw(st.one_of(st.integers(-length, 3), st.integers(-130, 126 - length)))
    number = Decimal(f"{sign}{digits}E{last}")
    plain = format(number, "f")
    forms = [str(number), str(number).lower()]
    if len(plain) <= 38:
        forms.append(plain)
    return draw(st.sampled_from(forms))


@st.composite
def integer_texts(draw: st.DrawFn, bits: int) -> str:
    number = draw(st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1))
    return draw(st.sampled_from([str(number), str(number), f"{number}.0", str(DIGITS.normalize(Decimal(number)))]))


@st.composite
def decimal_texts(draw: st.DrawFn, kind: DecimalType) -> str:
    number = draw(decimals(kind))
    return draw(st.sampled_from([format(number, "f"), str(number), str(DIGITS.normalize(number))]))


def decimals(kind: DecimalType) -> st.SearchStrategy[Decimal]:
    most = 10**kind.precision - 1
    unscaled = st.one_of(st.integers(-most, most), st.sampled_from([most, -most, 0, most // 7]))
    return unscaled.map(lambda number: Decimal(number).scaleb(-kind.scale, DIGITS))


dates = st.dates()
moments = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@st.composite
def moment_texts(draw: st.DrawFn, zoned: bool) -> str:
    moment = draw(moments)
    separator, precision = draw(st.sampled_from("T ")), draw(st.sampled_from(["auto", "seconds", "milliseconds"]))
    if not zoned or draw(st.booleans()):
        return draw(st.sampled_from([moment.isoformat(separator, precision), moment.date().isoformat()]))
    text = moment.replace(tzinfo=draw(st.one_of(st.just(UTC), zones))).isoformat(separator, precision)
    return text.replace("+00:00", draw(st.sampled_from(["Z", "+00", "+0000", "+00:00"])))


def in_range(number: float) -> bool:
    return number == 0 or 1e-130 <= abs(number) < 1e126


doubles = st.floats(allow_nan=False, allow_infinity=False).filter(in_range)
floats = st.floats(allow_nan=False, allow_infinity=False, width=32)
# what Spark's interval can hold, 64 bits of microseconds, but for the first second, which Arrow refuses
intervals = st.integers(1_000_000 - (1 << 63), (1 << 63) - 1).map(lambda micros: timedelta(microseconds=micros))


# ---------------------------------------------------------------------------------------------------- schemas

_TAGS_OF = {  # storage forms beside the default
    StringType: ["N"],
    TimestampType: ["N"],
}


@st.composite
def decimal_types(draw: st.DrawFn) -> DecimalType:
    precision = draw(st.one_of(st.sampled_from([1, 10, 18, 38]), st.integers(1, 38)))
    return DecimalType(precision, draw(st.integers(0, precision)))


leaf_types: st.SearchStrategy[DataType] = st.one_of(
    st.sampled_from(
        [StringType(), LongType(), IntegerType(), ShortType(), ByteType(), DoubleType(), FloatType(), BooleanType()]
    ),
    st.sampled_from([BinaryType(), TimestampType(), TimestampNTZType(), DateType(), DayTimeIntervalType()]),
    decimal_types(),
)
SET_ELEMENTS: Mapping[str, list[DataType]] = {
    "SS": [StringType(), TimestampType(), TimestampNTZType(), DateType()],
    "NS": [
        *(StringType(), LongType(), ByteType(), DecimalType(38, 4), DoubleType(), FloatType(), TimestampType()),
        DayTimeIntervalType(),
    ],
    "BS": [BinaryType()],
}


@st.composite
def fields(draw: st.DrawFn, name: str, depth: int, columnar: bool) -> StructField:
    nullable = draw(st.integers(0, 4)) > 0
    shape = draw(st.integers(0, 9))
    if shape == 0:
        tag = draw(st.sampled_from(["SS", "NS", "BS"]))
        elements = ArrayType(draw(st.sampled_from(SET_ELEMENTS[tag])), draw(st.booleans()))
        return StructField(name, elements, nullable, {"dynamodb": tag})
    kind = draw(types(depth, columnar))
    tags = [None, *_TAGS_OF.get(type(kind), [])]
    tag = draw(st.sampled_from(tags))
    return StructField(name, kind, nullable, {"dynamodb": tag} if tag else None)


@st.composite
def types(draw: st.DrawFn, depth: int, columnar: bool) -> DataType:
    shape = draw(st.integers(0, 9)) if depth else 0
    if shape == 9:
        return draw(structs(depth - 1, columnar))
    if shape >= 7:
        return ArrayType(draw(types(depth - 1, columnar)), draw(st.booleans()))
    if shape == 6 and not columnar:
        return MapType(StringType(), draw(types(depth - 1, columnar)), draw(st.booleans()))
    if shape == 5 and not columnar:
        return VariantType()
    return draw(leaf_types)


@st.composite
def structs(draw: st.DrawFn, depth: int, columnar: bool = False, least: int = 1) -> StructType:
    chosen = draw(st.lists(names, min_size=least, max_size=4, unique=True))
    return StructType([draw(fields(name, depth, columnar)) for name in chosen])


schemas = st.booleans().flatmap(lambda columnar: structs(3, columnar))


# ---------------------------------------------------------------------------------------------------- attributes

binary_texts = st.binary(max_size=8).map(lambda data: base64.b64encode(data).decode())
any_attributes: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.one_of(
        st.builds(dict, S=texts),
        st.builds(dict, N=number_texts()),
        st.builds(dict, B=binary_texts),
        st.builds(dict, BOOL=st.booleans()),
        st.builds(dict, NULL=st.just(True)),  # a new dict each time: tests may change what they get
        st.builds(dict, SS=st.lists(texts, min_size=1, max_size=3, unique=True)),
        st.builds(dict, NS=st.lists(number_texts(), min_size=1, max_size=3, unique_by=Decimal)),
        st.builds(dict, BS=st.lists(binary_texts, min_size=1, max_size=3, unique=True)),
    ),
    lambda children: st.one_of(
        st.builds(dict, L=st.lists(children, max_size=3)),
        st.builds(dict, M=st.dictionaries(names, children, max_size=3)),
    ),
    max_leaves=6,
)
ODD_NUMBERS = [
    "0.5", "1.0", "1E+2", "1e-39", "7E38", "2" + "0" * 38, "9" * 38, "1" + "0" * 40, "9223372036854775808", "-129", "1e39",
    "0." + "0" * 40 + "1", "1E-130", "-9.99E+125", "3.5E38", "0.0000001", "1" + "0" * 120, "0E+30",
]  # fmt: skip
ODD_MOMENTS = [
    "2024-01-01T10:00:00.1234567", "2024-01-01T10:00:00.1234560Z", "2024-W01-1", "20240101T100000", "0000-01-01", "0001-01-01",
    "2024-01-01T10:00:00+05:30:15", "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00", "2024-01-01T10:00:00,5", "", "x",
    "2024-02-30", "10000-01-01", "0000-12-31T23:00:00-05:00", "2024-01-01T24:00:00", "2024-01-01T10:00:00Z", "2024-01-01",
]  # fmt: skip
odd_attributes = st.one_of(
    st.sampled_from(ODD_NUMBERS).map(lambda text: {"N": text}),
    st.sampled_from(ODD_MOMENTS).map(lambda text: {"S": text}),
    any_attributes,
)


@st.composite
def attributes(draw: st.DrawFn, kind: DataType, tag: str | None, wild: bool) -> dict[str, Any]:
    """An attribute value that fits the type; a wild one perhaps doesn't."""
    if wild and draw(st.integers(0, 11)) == 0:
        return draw(odd_attributes)
    if isinstance(kind, VariantType):
        return draw(any_attributes)
    if isinstance(kind, StructType):
        return {"M": draw(items(kind, wild))}
    if isinstance(kind, MapType):
        value = optional_attributes(kind.valueType, None, kind.valueContainsNull, wild)
        return {"M": draw(st.dictionaries(names, value, max_size=3))}
    if isinstance(kind, ArrayType) and tag:
        element = leaf_texts(kind.elementType, tag[0])
        return {tag: draw(st.lists(element, min_size=1, max_size=4, unique_by=Decimal if tag == "NS" else None))}
    if isinstance(kind, ArrayType):
        return {"L": draw(st.lists(optional_attributes(kind.elementType, None, kind.containsNull, wild), max_size=3))}
    return {_leaf_tag(kind, tag): draw(leaf_texts(kind, tag))}


@st.composite
def optional_attributes(draw: st.DrawFn, kind: DataType, tag: str | None, nullable: bool, wild: bool) -> dict[str, Any]:
    if _is_absent(draw, nullable, wild):
        return {"NULL": True}
    return draw(attributes(kind, tag, wild))


def _is_absent(draw: st.DrawFn, nullable: bool, wild: bool) -> bool:
    return draw(st.integers(0, 4)) == 0 if nullable else wild and draw(st.integers(0, 40)) == 0


@st.composite
def items(draw: st.DrawFn, schema: StructType, wild: bool = False) -> dict[str, Any]:
    """An item of that schema: nullable attributes may be NULL or missing, and there may be others."""
    item = {}
    for field in schema.fields:
        if not _is_absent(draw, field.nullable, wild):
            item[field.name] = draw(optional_attributes(field.dataType, tag_of(field), field.nullable, wild))
    if draw(st.integers(0, 3)) == 0:
        others = draw(st.dictionaries(names.filter(lambda name: name not in schema.names), any_attributes, max_size=2))
        item = {**others, **item}
    return item


def tag_of(field: StructField) -> str | None:
    return (field.metadata or {}).get("dynamodb")


_DEFAULT_TAGS: Mapping[type[DataType], str] = {
    **dict.fromkeys([StringType, TimestampType, TimestampNTZType, DateType], "S"),
    **dict.fromkeys([*BITS, DecimalType, DoubleType, FloatType, DayTimeIntervalType], "N"),
    BooleanType: "BOOL",
    BinaryType: "B",
}


def _leaf_tag(kind: DataType, tag: str | None) -> str:
    return tag or _DEFAULT_TAGS[type(kind)]


def leaf_texts(kind: DataType, tag: str | None) -> st.SearchStrategy[Any]:
    """What stands behind the tag in the JSON of a leaf."""
    match kind, _leaf_tag(kind, tag):
        case StringType(), "S":
            return texts
        case ((StringType() | DoubleType()), "N"):
            return number_texts()
        case FloatType(), "N":
            return st.one_of(floats.map(repr), st.sampled_from(["1E-130", "0.1", "123456789.125", "3.4E38"]))
        case DecimalType(), "N":
            return decimal_texts(kind)
        case (TimestampType() | DayTimeIntervalType(), "N"):
            whole = st.integers(-(10**10), 10**10)
            return st.one_of(
                whole.map(str), st.integers(-(10**15), 10**15).map(lambda micros: f"{Decimal(micros).scaleb(-6)}")
            )
        case BooleanType(), _:
            return st.booleans()
        case BinaryType(), _:
            return binary_texts
        case DateType(), _:
            return dates.map(date.isoformat)
        case ((TimestampType() | TimestampNTZType()), _):
            return moment_texts(zoned=isinstance(kind, TimestampType))
    return integer_texts(BITS[type(kind)])


def pages(schema: StructType, wild: bool = False) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(items(schema, wild), min_size=1, max_size=5)


# ---------------------------------------------------------------------------------------------------- what boto3 says


def to_boto(attribute: Any) -> Any:
    """An attribute value as boto3's client gives it: binaries as bytes."""
    ((tag, value),) = attribute.items()
    match tag:
        case "B":
            return {tag: base64.b64decode(value)}
        case "BS":
            return {tag: [base64.b64decode(text) for text in value]}
        case "L":
            return {tag: [to_boto(element) for element in value]}
        case "M":
            return {tag: {name: to_boto(element) for name, element in value.items()}}
    return attribute


def deserialized(attribute: dict[str, Any]) -> Any:
    return TypeDeserializer().deserialize(to_boto(attribute))


def meant(kind: DataType, tag: str | None, value: Any) -> Any:
    """The value of a column, from what boto3's TypeDeserializer gives (None where missing)."""
    if value is None or isinstance(kind, VariantType | BooleanType):
        return value
    match kind:
        case StructType():
            return {field.name: meant(field.dataType, tag_of(field), value.get(field.name)) for field in kind.fields}
        case MapType():
            return {name: meant(kind.valueType, None, element) for name, element in value.items()}
        case ArrayType() if tag:
            return frozenset(meant(kind.elementType, tag[0], element) for element in value)
        case ArrayType():
            return [meant(kind.elementType, None, element) for element in value]
        case StringType() | DecimalType():
            return value
        case DoubleType():
            return float(value)
        case FloatType():
            return struct.unpack("f", struct.pack("f", float(value)))[0]
        case BinaryType():
            return value.value if isinstance(value, Binary) else value
        case TimestampType() if tag == "N":
            return EPOCH + timedelta(microseconds=int(DIGITS.scaleb(value, 6)))
        case DayTimeIntervalType():
            return timedelta(microseconds=int(DIGITS.scaleb(value, 6)))
        case TimestampType():
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        case TimestampNTZType():
            return datetime.fromisoformat(value)
        case DateType():
            return date.fromisoformat(value)
    assert value == int(value)
    return int(value)


def seen(kind: DataType, tag: str | None, value: Any) -> Any:
    """A value of a batch in the form that `meant` has."""
    if value is None:
        return None
    match kind:
        case VariantType():
            return deserialized(decode_variant(value["value"], value["metadata"]))
        case StructType():
            assert list(value) == kind.names
            return {field.name: seen(field.dataType, tag_of(field), value[field.name]) for field in kind.fields}
        case MapType():
            assert len(dict(value)) == len(value)
            return {name: seen(kind.valueType, None, element) for name, element in value}
        case ArrayType() if tag:
            elements = [seen(kind.elementType, tag[0], element) for element in value]
            return frozenset(elements)
        case ArrayType():
            return [seen(kind.elementType, None, element) for element in value]
        case StringType() if tag == "N":
            return Decimal(value)
    return value


# ---------------------------------------------------------------------------------------------------- batches


def values(kind: DataType, tag: str | None) -> st.SearchStrategy[Any]:
    """Values that Arrow takes for that type and DynamoDB for that storage form; never None."""
    match kind:
        case VariantType():
            return any_attributes.map(encode_variant).map(lambda pair: {"value": pair[0], "metadata": pair[1]})
        case StructType():
            return st.fixed_dictionaries(
                {field.name: optional(values(field.dataType, tag_of(field)), field.nullable) for field in kind.fields}
            )
        case MapType():
            value = optional(values(kind.valueType, None), kind.valueContainsNull)
            return st.dictionaries(names, value, max_size=3).map(lambda entries: list(entries.items()))
        case ArrayType() if tag:
            unique = (lambda text: Decimal(text)) if tag == "NS" and isinstance(kind.elementType, StringType) else None
            return st.lists(
                values(kind.elementType, tag[0]), min_size=1, max_size=4, unique=unique is None, unique_by=unique
            )
        case ArrayType():
            return st.lists(optional(values(kind.elementType, None), kind.containsNull), max_size=3)
        case StringType():
            return number_texts() if tag == "N" else texts
        case DecimalType():
            return decimals(kind)
        case DoubleType():
            return doubles
        case FloatType():
            return floats
        case BooleanType():
            return st.booleans()
        case BinaryType():
            return st.binary(max_size=8)
        case TimestampType():
            return st.datetimes(timezones=st.just(UTC))
        case TimestampNTZType():
            return st.datetimes()
        case DayTimeIntervalType():
            return st.one_of(intervals, st.integers(-(10**6), 10**6).map(lambda seconds: timedelta(seconds=seconds)))
        case DateType():
            return dates
    bits = BITS[type(kind)]
    return st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def optional(value: st.SearchStrategy[Any], nullable: bool) -> st.SearchStrategy[Any]:
    return st.one_of(value, value, value, st.none()) if nullable else value


def rows(schema: StructType) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(values(schema, None), max_size=6)


def batch_of(schema: StructType, content: list[dict[str, Any]]) -> pa.RecordBatch:
    kind = arrow_schema(schema)
    arrays = [pa.array([row[field.name] for row in content], field.type) for field in kind]
    return pa.RecordBatch.from_arrays(arrays, schema=kind)


def serialized(kind: DataType, tag: str | None, value: Any, nulls: bool) -> Any:
    """What boto3's TypeSerializer makes of a value of a batch, in the form of `canonical`."""
    if isinstance(kind, VariantType) and value is not None:
        return canonical(decode_variant(value["value"], value["metadata"]))
    if value is None or isinstance(kind, BooleanType | BinaryType):
        return canonical(TypeSerializer().serialize(value))
    match kind:
        case StructType():
            attributes = {
                field.name: serialized(field.dataType, tag_of(field), value[field.name], nulls)
                for field in kind.fields
                if nulls or value[field.name] is not None
            }
            return "M", attributes
        case MapType():
            return "M", {name: serialized(kind.valueType, None, element, nulls) for name, element in value}
        case ArrayType() if tag is None:
            return "L", [serialized(kind.elementType, None, element, nulls) for element in value]
        case ArrayType():
            return canonical(
                TypeSerializer().serialize({_plain(kind.elementType, tag[0], element) for element in value})
            )
    return canonical(TypeSerializer().serialize(_plain(kind, tag, value)))


def _plain(kind: DataType, tag: str | None, value: Any) -> Any:
    """A leaf as what boto3's TypeSerializer takes: text, Decimal, bool, bytes."""
    match kind:
        case StringType():
            return Decimal(value) if tag == "N" else value
        case DoubleType():
            return Decimal(repr(value))
        case FloatType():
            return Decimal(str(np.float32(value)))
        case TimestampType() if tag == "N":
            return Decimal((value - EPOCH) // timedelta(microseconds=1)).scaleb(-6)
        case DayTimeIntervalType():
            return Decimal(value // timedelta(microseconds=1)).scaleb(-6)
        case TimestampType() | TimestampNTZType():
            return value.isoformat(timespec="microseconds")
        case DateType():
            return value.isoformat()
    return value


def canonical(attribute: dict[str, Any]) -> Any:
    """An attribute value, of JSON or of boto3, in which equal numbers, sets and binaries are equal."""
    ((tag, value),) = attribute.items()
    match tag:
        case "N":
            return tag, Decimal(value)
        case "B":
            return tag, _bytes(value)
        case "SS":
            return tag, _distinct(value)
        case "NS":
            return tag, _distinct(map(Decimal, value))
        case "BS":
            return tag, _distinct(map(_bytes, value))
        case "L":
            return tag, [canonical(element) for element in value]
        case "M":
            return tag, {name: canonical(element) for name, element in value.items()}
    return tag, value


def _bytes(value: str | bytes) -> bytes:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


def _distinct(elements: Iterable[Any]) -> frozenset[Any]:
    listed = list(elements)
    assert len(set(listed)) == len(listed)
    return frozenset(listed)
