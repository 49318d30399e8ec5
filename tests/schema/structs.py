"""Random Spark schemas: every type, nested, with nullability at each level, odd names and metadata."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
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
    MapType,
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VarcharType,
    VariantType,
    YearMonthIntervalType,
)

ODD_NAMES = [
    *(
        "order id",
        "Größe",
        "数量",
        "a.b",
        "a-b",
        "1st",
        "",
        " ",
        "_",
        "__",
        "_id",
        "__class__",
        "id_",
        "a__b",
        "{}",
        "a`b",
    ),
    *("class", "None", "True", "import", "match", "type", "Config", "root", "self", "cls", "mro", "register"),
    *("copy", "json", "dict", "schema", "validate", "construct", "model_fields", "model_config", "model_dump"),
    *("model_id", "model_dump_day", "model_validate_all", "model_post_init", "__init__", "__pydantic_fields__"),
    *(
        "int",
        "str",
        "list",
        "set",
        "bytes",
        "float",
        "bool",
        "tuple",
        "object",
        "Any",
        "Annotated",
        "BaseModel",
        "Field",
    ),
    *("date", "time", "timedelta", "date_", "time_", "Decimal", "Decimal_", "SparkType", "StorageForm", "ConfigDict"),
    *("AwareDatetime", "NaiveDatetime", "ﬁeld", "ª", "a\n", "\x00", "'", '"', "'\"", "\\", "order_id", "a_b", "field"),
    *(
        "é",
        "e\u0301",
        "\u212b",
        "x" * 90,
        "very_long_name_of_a_column_that_tells_everything",
        "Order",
        "OrderA",
        "²",
        "a²",
    ),
]
names = st.one_of(
    st.sampled_from(["a", "b", "c", "id", "price", "unit_price", "unitPrice"]),
    st.sampled_from(ODD_NAMES),
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.text(st.sampled_from("abc_"), min_size=1, max_size=50),
)
texts = st.one_of(
    st.sampled_from(["", "The price", 'it\'s "so"', "x" * 80]), st.text(st.characters(codec="utf-8"), max_size=20)
)

_newer = [getattr(types, name) for name in ("TimeType", "GeometryType", "GeographyType") if hasattr(types, name)]
_SINGLE: list[DataType] = [
    *(StringType(), LongType(), IntegerType(), ShortType(), ByteType(), DoubleType(), FloatType(), BooleanType()),
    *(BinaryType(), DateType(), TimestampType(), TimestampNTZType(), VariantType(), NullType(), CalendarIntervalType()),
    *(StringType("UNICODE_CI"), StringType("de_CI_AI"), CharType(3), VarcharType(255)),
    *(DayTimeIntervalType(start, end) for start in range(4) for end in range(start, 4)),
    *(YearMonthIntervalType(start, end) for start in range(2) for end in range(start, 2)),
    *(kind(argument) for kind in _newer for argument in ([0, 3, 6] if kind.__name__ == "TimeType" else ["ANY", 4326])),
]
decimals = st.integers(1, 38).flatmap(
    lambda precision: st.integers(0, precision).map(lambda scale: DecimalType(precision, scale))
)
single: st.SearchStrategy[DataType] = st.one_of(st.sampled_from(_SINGLE), decimals)
keys = single.filter(lambda kind: not isinstance(kind, VariantType))


def _nested(inner: st.SearchStrategy[DataType]) -> st.SearchStrategy[DataType]:
    return st.one_of(
        st.builds(ArrayType, inner, st.booleans()),
        st.builds(MapType, st.one_of(st.just(StringType()), keys), inner, st.booleans()),
        structs_of(inner),
    )


json: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)
metadata = st.one_of(
    st.just({}),
    st.just({}),
    st.fixed_dictionaries({"comment": texts}),
    st.fixed_dictionaries({"dynamodb": st.sampled_from(["SS", "NS", "BS", "N", "S", "L", "M", "B"])}),
    st.fixed_dictionaries(
        {},
        optional={
            "comment": st.one_of(texts, json),
            "dynamodb": st.one_of(st.sampled_from(["SS", "NS", "BS", "N", "S"]), json),
            "dynamodb_nulls": st.sampled_from(["write", "omit"]),
            "delta.identity": json,
            "default": json,
        },
    ),
)


@st.composite
def fields(draw: st.DrawFn, name: str, kind: st.SearchStrategy[DataType]) -> StructField:
    """A field; those that can be sets often are."""
    return StructField(name, draw(kind), draw(st.booleans()), draw(metadata))


@st.composite
def structs_of(draw: st.DrawFn, kind: st.SearchStrategy[DataType]) -> StructType:
    """A struct of such fields, at least one."""
    columns = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    return StructType([draw(fields(name, kind)) for name in columns])


all_types = st.recursive(single, _nested, max_leaves=6)
structs: st.SearchStrategy[StructType] = structs_of(all_types)
