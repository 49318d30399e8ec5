"""Differences of schemas: what DynamoDB stores and whether each value fits; and the table that shows them."""

from __future__ import annotations

import doctest
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from pydantic import BaseModel, Field
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
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
    YearMonthIntervalType,
)

import spark_dynamo as sd
import spark_dynamo.schema.drift
import spark_dynamo.schema.extras
from spark_dynamo.errors import MalformedItemError, SchemaMismatchError
from spark_dynamo.metadata.tables import METADATA_TABLES
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.schema.drift import Difference, compare, show_differences
from spark_dynamo.schema.extras import open_structs
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.encode import ItemEncoder
from spark_dynamo.wire.types import arrow_schema
from tests.wire.strategies import schemas

NUMBER, SS, NS, BS = ({"dynamodb": tag} for tag in ("N", "SS", "NS", "BS"))


def field(kind: DataType, metadata: Any = None, nullable: bool = True) -> StructType:
    return StructType([StructField("x", kind, nullable, metadata)])


def found(schema: StructType, wanted: Any) -> list[tuple[str, str, str]]:
    return [(difference.path, difference.kind, difference.severity) for difference in compare(schema, wanted)]


def test_the_examples_in_the_docstrings() -> None:
    assert doctest.testmod(spark_dynamo.schema.drift).failed == 0
    assert doctest.testmod(spark_dynamo.schema.extras).failed == 0


def test_the_public_names() -> None:
    assert sd.compare is compare
    assert sd.Difference is Difference
    assert sd.show_differences is show_differences


# ---------------------------------------------------------------------------------------------------- types

# found, wanted, what may go wrong where the one is read as the other
FITS: list[tuple[StructType, StructType, str]] = [
    (field(IntegerType()), field(LongType()), ""),
    (field(LongType()), field(IntegerType()), "error"),
    (field(ByteType()), field(ShortType()), ""),
    (field(LongType()), field(DecimalType(38, 18)), ""),
    (field(LongType()), field(DecimalType(18, 0)), "error"),
    (field(DecimalType(18, 0)), field(LongType()), ""),
    (field(DecimalType(19, 0)), field(LongType()), "error"),
    (field(DecimalType(5, 1)), field(LongType()), "error"),
    (field(DecimalType(10, 2)), field(DecimalType(38, 18)), ""),
    (field(DecimalType(38, 18)), field(DecimalType(10, 2)), "error"),
    (field(DecimalType(10, 4)), field(DecimalType(10, 2)), "error"),
    (field(DecimalType(10, 2)), field(DecimalType(10, 4)), "error"),
    (field(DoubleType()), field(DecimalType(38, 18)), "error"),
    (field(DoubleType()), field(LongType()), "error"),
    (field(DoubleType()), field(FloatType()), "error"),
    (field(FloatType()), field(DoubleType()), ""),
    (field(IntegerType()), field(DoubleType()), ""),
    (field(LongType()), field(DoubleType()), "warning"),
    (field(DecimalType(38, 0)), field(DoubleType()), "warning"),
    (field(DecimalType(15, 5)), field(DoubleType()), ""),
    (field(StringType(), NUMBER), field(DoubleType()), "warning"),
    (field(StringType(), NUMBER), field(LongType()), "error"),
    (field(LongType()), field(StringType(), NUMBER), ""),
    (field(DoubleType()), field(StringType(), NUMBER), ""),
    (field(LongType()), field(StringType()), "error"),
    (field(StringType()), field(LongType()), "error"),
    (field(StringType()), field(StringType(), NUMBER), "error"),
    (field(TimestampType()), field(TimestampType(), NUMBER), "error"),
    (field(TimestampType(), NUMBER), field(TimestampType()), "error"),
    (field(TimestampType(), NUMBER), field(TimestampType(), NUMBER), ""),
    (field(IntegerType()), field(TimestampType(), NUMBER), ""),
    (field(LongType()), field(TimestampType(), NUMBER), "warning"),
    (field(DecimalType(18, 6)), field(TimestampType(), NUMBER), ""),
    (field(DecimalType(18, 7)), field(TimestampType(), NUMBER), "error"),
    (field(TimestampType(), NUMBER), field(LongType()), "error"),
    (field(TimestampType(), NUMBER), field(DecimalType(19, 6)), ""),
    (field(TimestampType()), field(StringType()), ""),
    (field(StringType()), field(TimestampType()), "error"),
    (field(DateType()), field(TimestampType()), ""),
    (field(DateType()), field(TimestampNTZType()), ""),
    (field(TimestampType()), field(DateType()), "error"),
    (field(TimestampNTZType()), field(TimestampType()), "warning"),
    (field(TimestampType()), field(TimestampNTZType()), "error"),
    (field(BinaryType()), field(StringType()), "error"),
    (field(BooleanType()), field(LongType()), "error"),
    (field(ArrayType(StringType())), field(ArrayType(StringType()), SS), "error"),
    (field(ArrayType(StringType()), SS), field(ArrayType(StringType())), "error"),
    (field(ArrayType(StringType()), {"dynamodb": "L"}), field(ArrayType(StringType())), ""),
    (field(ArrayType(IntegerType()), NS), field(ArrayType(LongType(), False), NS), ""),
    (field(ArrayType(BinaryType()), BS), field(ArrayType(BinaryType(), False), BS), ""),
    (field(StructType().add("a", "long")), field(MapType(StringType(), LongType())), ""),
    (field(MapType(StringType(), LongType())), field(StructType().add("a", "long")), "error"),
    (field(ArrayType(LongType())), field(MapType(StringType(), LongType())), "error"),
    (field(MapType(LongType(), LongType())), field(MapType(StringType(), LongType())), "error"),
    (field(YearMonthIntervalType()), field(StringType()), "error"),
    (field(LongType()), field(VariantType()), ""),
    (field(ArrayType(StringType()), SS), field(VariantType()), ""),
    (field(VariantType()), field(VariantType()), ""),
    (field(VariantType()), field(LongType()), "error"),
    (field(StringType(), {"dynamodb": "B"}), field(StringType()), "error"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "wanted", "severity"), FITS)
def test_types_that_fit_and_types_that_do_not(schema: StructType, wanted: StructType, severity: str) -> None:
    assert found(schema, wanted) == ([("x", "type", severity)] if severity else [])
    nested = [StructType().add("l", ArrayType(MapType(StringType(), kind))) for kind in (schema, wanted)]
    assert found(*nested) == ([("l[]{}.x", "type", severity)] if severity else [])


EXTREMES: dict[type[DataType], list[Any]] = {
    ByteType: [-128, 127],
    IntegerType: [-(2**31), 2**31 - 1],
    LongType: [-(2**63), 2**63 - 1],
    DoubleType: [1.5e120, -1e-100, 0.1],
    FloatType: [1.5e30, -1e-30],
    DateType: [0, 2932896],
    TimestampType: [-62135596800000000 + 86_400_000_000 * 400, 1, 253402300799999999],
    TimestampNTZType: [1, 253402300799999999],
    StringType: ["x"],
    BooleanType: [True],
    BinaryType: [b"x"],
}


def extremes(schema: StructType) -> list[Any]:
    kind, tag = schema[0].dataType, (schema[0].metadata or {}).get("dynamodb")
    if isinstance(kind, DecimalType):
        most = Decimal(f"{10**kind.precision - 1}E-{kind.scale}")
        return [most, most.copy_negate(), Decimal(f"1E-{kind.scale}")]
    return ["9" * 38, "1E-130", "0.5"] if tag == "N" and isinstance(kind, StringType) else EXTREMES.get(type(kind), [])


@pytest.mark.parametrize(("schema", "wanted", "severity"), FITS)
def test_what_is_said_to_fit_is_read_and_what_is_not_may_fail(
    schema: StructType, wanted: StructType, severity: str
) -> None:
    """The extreme values of a type are written, and read as the other one: no error where none is foretold."""
    if severity == "error":
        return
    for value in extremes(schema):
        batch = pa.RecordBatch.from_pydict({"x": [value]}, schema=arrow_schema(schema))
        (text,) = ItemEncoder(schema, table="t").encode(batch).to_pylist()
        decoder = PageDecoder(wanted, table="t")
        try:
            read = decoder.decode(f'{{"Items":[{text}]}}'.encode())
        except MalformedItemError:
            assert (severity, schema[0].dataType, value) == ("warning", LongType(), value)
            continue
        if not severity and not isinstance(wanted[0].dataType, VariantType):
            (again,) = ItemEncoder(wanted, table="t").encode(read).to_pylist()
            assert again == text or isinstance(schema[0].dataType, DateType | FloatType | DecimalType)


@settings(deadline=None, max_examples=100)
@given(schemas)
def test_a_schema_does_not_differ_from_itself(schema: StructType) -> None:
    assert compare(schema, schema) == []


# ---------------------------------------------------------------------------------------------------- columns


def test_columns_that_are_missing_or_not_wanted() -> None:
    inner = StructType().add("price", "double", False).add("note", "string")
    wanted = StructType().add("id", "string", False).add("orders", ArrayType(inner, False)).add("day", "date")
    other = StructType().add("amount", "double").add("price", "double", False)
    schema = StructType().add("ID", "string").add("orders", ArrayType(other))
    assert [(d.path, d.kind, d.severity, d.found, d.wanted) for d in compare(schema, wanted)] == [
        ("id", "missing", "error", None, "STRING NOT NULL"),
        ("ID", "extra", "error", "STRING", None),
        ("orders[].amount", "extra", "error", "DOUBLE", None),
        ("day", "missing", "warning", None, "DATE"),
        (
            "orders[]",
            "nullable",
            "warning",
            "struct<amount:double,price:double>",
            "struct<price:double,note:string> NOT NULL",
        ),
        ("orders[].note", "missing", "warning", None, "STRING"),
    ]


def test_null_where_it_is_not_wanted() -> None:
    wanted = (
        StructType()
        .add("l", ArrayType(LongType(), False), False)
        .add("m", MapType(StringType(), LongType(), False), False)
    )
    schema = StructType().add("l", ArrayType(LongType())).add("m", MapType(StringType(), LongType()), False)
    assert found(schema, wanted) == [
        ("l", "nullable", "warning"),
        ("l[]", "nullable", "warning"),
        ("m{}", "nullable", "warning"),
    ]
    assert found(wanted, schema) == []


def test_a_struct_read_as_a_map() -> None:
    wanted = StructType().add("labels", MapType(StringType(), StringType(), False))
    schema = StructType().add("labels", StructType().add("a", "string").add("n", "long"))
    assert found(schema, wanted) == [("labels.n", "type", "error")]


class Price(BaseModel, extra="allow"):
    amount: Decimal = Field(max_digits=10, decimal_places=2)


class Order(BaseModel):
    order_id: str
    prices: list[Price] | None = None
    by_name: dict[str, Price] = {}
    tags: set[str] = set()
    anything: Any = None


def test_a_model_is_its_schema() -> None:
    assert compare(struct_type(Order), Order) == []
    schema = StructType().add("order_id", "string", False).add("prices", ArrayType(StructType().add("amount", "float")))
    assert found(schema.add("tags", ArrayType(StringType()), False), Order) == [
        ("by_name", "missing", "error"),
        ("prices[].amount", "type", "error"),
        ("tags", "type", "error"),
        ("anything", "missing", "warning"),
        ("prices[]", "nullable", "warning"),
    ]


def test_extra_columns_are_welcome_where_the_model_says_so() -> None:
    assert open_structs(Order) == {"prices[]", "by_name{}"}
    schema = struct_type(Order)
    price = StructType([*schema["prices"].dataType.elementType.fields, StructField("note", StringType())])
    with_extra = StructType(
        [
            StructField("extra", StringType()),
            *(
                StructField("prices", ArrayType(price, False)) if field.name == "prices" else field
                for field in schema.fields
            ),
        ]
    )
    assert found(with_extra, Order) == [("extra", "extra", "error"), ("prices[].note", "extra", "warning")]

    class Ignoring(Order, extra="ignore"):
        pass

    assert found(with_extra, Ignoring) == [("extra", "extra", "warning"), ("prices[].note", "extra", "warning")]


def test_the_metadata_tables_fit_their_models() -> None:
    for table in METADATA_TABLES.values():
        assert compare(struct_type(table.model), table.model) == []
        assert open_structs(table.model) == frozenset()


def test_all_differences_stand_side_by_side() -> None:
    wanted = (
        StructType().add("id", "string", False).add("expires", "timestamp", metadata=NUMBER).add("n", "long", False)
    )
    schema = (
        StructType().add("expires", "timestamp").add("n", "integer").add("tags", ArrayType(StringType()), metadata=SS)
    )
    differences = compare(schema, wanted)
    shown = show_differences(differences)
    assert shown.splitlines() == [
        "column   in the frame                wanted                 difference",
        "-------  --------------------------  ---------------------  --------------------",
        "id       -                           STRING NOT NULL        error: missing",
        "expires  TIMESTAMP stored as S       TIMESTAMP stored as N  error: another type",
        "tags     array<string> stored as SS  -                      error: not wanted",
        "n        INT                         BIGINT NOT NULL        warning: may be null",
    ]  # fmt: skip
    error = SchemaMismatchError(table="orders", model="Order", differences=differences, shown=shown)
    assert str(error).startswith(
        "The frame for table 'orders' is not what model Order asks for; 4 differences:\ncolumn "
    )
    assert (error.path, error.differences) == ("id", differences)
