"""Differences of schemas: what DynamoDB stores and whether each value fits; and the table that shows them."""

from __future__ import annotations

import pickle
import re
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from pydantic import AwareDatetime, BaseModel, Field, NaiveDatetime, computed_field
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

from spark_dynamo.errors import MalformedItemError, SchemaError, SchemaMismatchError
from spark_dynamo.metadata.tables import METADATA_TABLES
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.schema.drift.compare import compare
from spark_dynamo.schema.drift.comparison import SchemaComparison, SchemaDifference
from spark_dynamo.schema.extras import open_structs
from spark_dynamo.schema.policy import SchemaPolicy
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.encode import ItemEncoder
from spark_dynamo.wire.types import arrow_schema
from tests.wire.strategies import schemas

NUMBER, SS, NS, BS = ({"dynamodb": tag} for tag in ("N", "SS", "NS", "BS"))


def field(kind: DataType, metadata: Any = None, nullable: bool = True) -> StructType:
    return StructType([StructField("x", kind, nullable, metadata)])


def found(schema: StructType, wanted: Any) -> list[tuple[str, str, str]]:
    return [(difference.path, difference.kind, difference.severity) for difference in compare(schema, wanted)]


# ---------------------------------------------------------------------------------------------------- types

# found, wanted, and what of it: every value fits once it is cast, or each has to be looked at, or a write is refused at once
FITS: list[tuple[StructType, StructType, str]] = [
    (field(IntegerType()), field(LongType()), "widening"),
    (field(LongType()), field(IntegerType()), "blocked"),
    (field(ByteType()), field(ShortType()), "widening"),
    (field(LongType()), field(DecimalType(38, 18)), "widening"),
    (field(LongType()), field(DecimalType(18, 0)), "blocked"),
    (field(DecimalType(18, 0)), field(LongType()), "widening"),
    (field(DecimalType(19, 0)), field(LongType()), "blocked"),
    (field(DecimalType(5, 1)), field(LongType()), "blocked"),
    (field(DecimalType(10, 2)), field(DecimalType(38, 18)), "widening"),
    (field(DecimalType(38, 18)), field(DecimalType(10, 2)), "blocked"),
    (field(DecimalType(10, 4)), field(DecimalType(10, 2)), "blocked"),
    (field(DecimalType(10, 2)), field(DecimalType(10, 4)), "blocked"),
    (field(DoubleType()), field(DecimalType(38, 18)), "blocked"),
    (field(DoubleType()), field(LongType()), "blocked"),
    (field(DoubleType()), field(FloatType()), "blocked"),
    (field(FloatType()), field(DoubleType()), "widening"),
    (field(IntegerType()), field(DoubleType()), "widening"),
    (field(LongType()), field(DoubleType()), "checked"),
    (field(DecimalType(38, 0)), field(DoubleType()), "checked"),
    (field(DecimalType(15, 5)), field(DoubleType()), "widening"),
    (field(StringType(), NUMBER), field(DoubleType()), "checked"),
    (field(StringType(), NUMBER), field(LongType()), "blocked"),
    (field(LongType()), field(StringType(), NUMBER), "widening"),
    (field(DoubleType()), field(StringType(), NUMBER), "widening"),
    (field(LongType()), field(StringType()), "blocked"),
    (field(StringType()), field(LongType()), "blocked"),
    (field(StringType()), field(StringType(), NUMBER), "blocked"),
    (field(TimestampType()), field(TimestampType(), NUMBER), "blocked"),
    (field(TimestampType(), NUMBER), field(TimestampType()), "blocked"),
    (field(TimestampType(), NUMBER), field(TimestampType(), NUMBER), ""),
    (field(IntegerType()), field(TimestampType(), NUMBER), "widening"),
    (field(LongType()), field(TimestampType(), NUMBER), "checked"),
    (field(DecimalType(18, 6)), field(TimestampType(), NUMBER), "widening"),
    (field(DecimalType(18, 7)), field(TimestampType(), NUMBER), "blocked"),
    (field(TimestampType(), NUMBER), field(LongType()), "blocked"),
    (field(TimestampType(), NUMBER), field(DecimalType(19, 6)), "widening"),
    (field(TimestampType()), field(StringType()), "widening"),
    (field(StringType()), field(TimestampType()), "blocked"),
    (field(DateType()), field(TimestampType()), "widening"),
    (field(DateType()), field(TimestampNTZType()), "widening"),
    (field(TimestampType()), field(DateType()), "blocked"),
    (field(TimestampNTZType()), field(TimestampType()), "widening"),
    (field(TimestampType()), field(TimestampNTZType()), "blocked"),
    (field(BinaryType()), field(StringType()), "blocked"),
    (field(BooleanType()), field(LongType()), "blocked"),
    (field(ArrayType(StringType())), field(ArrayType(StringType()), SS), "blocked"),
    (field(ArrayType(StringType()), SS), field(ArrayType(StringType())), "blocked"),
    (field(ArrayType(BinaryType()), BS), field(ArrayType(BinaryType()), BS), ""),
    (field(StructType().add("a", "long")), field(MapType(StringType(), LongType())), "widening"),
    (field(MapType(StringType(), LongType())), field(StructType().add("a", "long")), "blocked"),
    (field(ArrayType(LongType())), field(MapType(StringType(), LongType())), "blocked"),
    (field(MapType(LongType(), LongType())), field(MapType(StringType(), LongType())), "blocked"),
    (field(YearMonthIntervalType()), field(StringType()), "blocked"),
    (field(LongType()), field(VariantType()), "widening"),
    (field(ArrayType(StringType()), SS), field(VariantType()), "widening"),
    (field(VariantType()), field(VariantType()), ""),
    (field(VariantType()), field(LongType()), "blocked"),
    (field(StringType(), {"dynamodb": "B"}), field(StringType()), "blocked"),
]  # fmt: skip


def in_a_list_of_maps(schema: StructType) -> StructType:
    return StructType().add("l", ArrayType(MapType(StringType(), schema)))


@pytest.mark.parametrize(("schema", "wanted", "outcome"), FITS)
def test_types_that_fit_and_types_that_do_not(schema: StructType, wanted: StructType, outcome: str) -> None:
    severity = "widening" if outcome == "widening" else "breaking"
    for path, wrap in (("x", lambda kind: kind), ("l[]{}.x", in_a_list_of_maps)):
        differences = compare(wrap(schema), wrap(wanted))
        told = [
            (d.path, d.severity, d.blocks_write) for d in differences if d.kind in ("type", "precision", "metadata")
        ]
        assert told == ([(path, severity, outcome == "blocked")] if outcome else [])
        assert differences.is_compatible is (severity == "widening" or not outcome)


def test_the_kinds_of_types_that_differ() -> None:
    kinds = {
        (DecimalType(10, 2), DecimalType(12, 2)): "precision",
        (IntegerType(), LongType()): "type",
        (LongType(), DecimalType(38, 0)): "type",
        (MapType(StringType(), LongType()), MapType(LongType(), LongType())): "type",
    }
    for (here, there), kind in kinds.items():
        assert [(d.path, d.kind) for d in compare(field(here), field(there))] == [("x", kind)]


def test_storage_forms_and_other_metadata() -> None:
    seconds, text = field(TimestampType(), NUMBER), field(TimestampType(), {"comment": "when"})
    assert found(seconds, text) == [("x", "metadata", "breaking"), ("x", "metadata", "compatible")]
    assert [(d.expected, d.actual) for d in compare(seconds, text)] == [
        ("TIMESTAMP stored as S", "TIMESTAMP stored as N"),
        ('{"comment": "when"}', "{}"),
    ]
    # the form that the type has anyhow
    assert found(field(ArrayType(StringType()), {"dynamodb": "L"}), field(ArrayType(StringType()))) == [
        ("x", "metadata", "compatible")
    ]
    numbers = [field(ArrayType(kind, False), NS) for kind in (StringType(), IntegerType(), LongType())]
    assert found(numbers[1], numbers[2]) == [("x[]", "type", "widening")]
    assert found(numbers[2], numbers[0]) == [("x[]", "type", "widening")]


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


@pytest.mark.parametrize(("schema", "wanted", "outcome"), FITS)
def test_what_is_said_to_fit_is_read_and_what_is_not_may_fail(
    schema: StructType, wanted: StructType, outcome: str
) -> None:
    """The extreme values of a type are written, and read as the other one: no error where none is foretold."""
    if outcome == "blocked":
        return
    for value in extremes(schema):
        batch = pa.RecordBatch.from_pydict({"x": [value]}, schema=arrow_schema(schema))
        (text,) = ItemEncoder(schema, table="t").encode(batch).to_pylist()
        decoder = PageDecoder(wanted, table="t")
        try:
            read = decoder.decode(f'{{"Items":[{text}]}}'.encode())
        except MalformedItemError:
            assert (outcome, schema[0].dataType, value) == ("checked", LongType(), value)
            continue
        if outcome != "checked" and not isinstance(wanted[0].dataType, VariantType):
            (again,) = ItemEncoder(wanted, table="t").encode(read).to_pylist()
            assert again == text or isinstance(
                schema[0].dataType, DateType | TimestampNTZType | FloatType | DecimalType
            )


@given(schemas, schemas)
def test_only_equal_schemas_do_not_differ(schema: StructType, other: StructType) -> None:
    assert compare(schema, schema) == []
    assert (compare(schema, other) == []) is (schema == other)
    assert pickle.loads(pickle.dumps(compare(schema, other))) == compare(schema, other)


# ---------------------------------------------------------------------------------------------------- columns


def test_columns_that_are_missing_or_not_wanted() -> None:
    inner = StructType().add("price", "double", False).add("note", "string")
    wanted = StructType().add("id", "string", False).add("orders", ArrayType(inner, False)).add("day", "date")
    other = StructType().add("amount", "double").add("price", "double", False)
    schema = StructType().add("ID", "string").add("orders", ArrayType(other))
    assert list(compare(schema, wanted)) == [
        SchemaDifference("id", "missing", "STRING NOT NULL", None, "breaking", True),
        SchemaDifference(
            "orders[]",
            "nullability",
            "struct<price:double,note:string> NOT NULL",
            "struct<amount:double,price:double>",
            "breaking",
        ),
        SchemaDifference("orders[].note", "missing", "STRING", None, "compatible"),
        SchemaDifference("orders[].amount", "extra", None, "DOUBLE", "compatible", True),
        SchemaDifference("day", "missing", "DATE", None, "compatible"),
        SchemaDifference("ID", "extra", None, "STRING", "compatible", True),
    ]


def test_null_where_it_is_not_wanted() -> None:
    wanted = (
        StructType()
        .add("l", ArrayType(LongType(), False), False)
        .add("m", MapType(StringType(), LongType(), False), False)
    )
    schema = StructType().add("l", ArrayType(LongType())).add("m", MapType(StringType(), LongType()), False)
    paths = ["l", "l[]", "m{}"]
    assert found(schema, wanted) == [(path, "nullability", "breaking") for path in paths]
    assert found(wanted, schema) == [(path, "nullability", "compatible") for path in paths]
    assert compare(schema, wanted).blocking == []


def test_the_order_of_columns() -> None:
    wanted = StructType().add("a", "long").add("b", "long").add("s", StructType().add("x", "long").add("y", "long"))
    schema = StructType().add("s", StructType().add("y", "long").add("x", "long")).add("b", "long").add("e", "long")
    assert found(schema, wanted) == [
        ("", "order", "compatible"),
        ("a", "missing", "compatible"),
        ("s", "order", "compatible"),
        ("e", "extra", "compatible"),
    ]
    first = compare(schema, wanted)[0]
    assert (first.expected, first.actual) == ("b, s", "s, b")
    assert str(first) == "the columns: order, s, b in place of b, s (compatible)"


def test_a_struct_read_as_a_map() -> None:
    wanted = StructType().add("labels", MapType(StringType(), StringType(), False))
    schema = StructType().add("labels", StructType().add("a", "string").add("n", "long"))
    assert found(schema, wanted) == [("labels", "type", "widening"), ("labels.n", "type", "breaking")]
    assert [difference.path for difference in compare(schema, wanted).blocking] == ["labels.n"]


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
    assert compare(Order, struct_type(Order)) == []
    schema = StructType().add("order_id", "string", False).add("prices", ArrayType(StructType().add("amount", "float")))
    assert found(schema.add("tags", ArrayType(StringType()), False), Order) == [
        ("prices[]", "nullability", "breaking"),
        ("prices[].amount", "type", "breaking"),
        ("prices[].amount", "nullability", "breaking"),
        ("by_name", "missing", "breaking"),
        ("tags", "metadata", "breaking"),
        ("tags[]", "nullability", "breaking"),
        ("anything", "missing", "compatible"),
    ]


def test_what_a_new_version_may_do_without_a_migration() -> None:
    class Old(BaseModel):
        order_id: str
        price: Decimal = Field(max_digits=8, decimal_places=2)
        placed_at: NaiveDatetime
        note: str | None = None

    class New(BaseModel):
        order_id: str
        price: Decimal = Field(max_digits=10, decimal_places=3)
        placed_at: AwareDatetime
        customer: str | None = None

    differences = compare(Old, New)
    assert differences.is_compatible
    assert [(d.path, d.kind, d.severity) for d in differences] == [
        ("price", "precision", "widening"),
        ("placed_at", "type", "widening"),
        ("customer", "missing", "compatible"),
        ("note", "extra", "compatible"),
    ]
    assert [d.path for d in compare(New, Old).breaking] == ["price", "placed_at"]


def test_names_modes_and_choices_are_those_of_struct_type() -> None:
    class Aliased(BaseModel):
        order_id: str = Field(alias="orderId")
        size: int | str

        @computed_field
        def length(self) -> int:
            return 1

    policy = SchemaPolicy(scalar_unions="string")
    schema = StructType().add("orderId", "string", False).add("size", "string", False).add("length", "long", False)
    assert compare(schema, Aliased, mode="serialization", by_alias=True, policy=policy) == []
    assert [d.path for d in compare(schema, Aliased, policy=policy)] == ["order_id", "orderId", "length"]
    with pytest.raises(SchemaError, match="size"):
        compare(schema, Aliased)


def test_extra_columns_are_welcome_where_the_model_says_so() -> None:
    assert open_structs(Order) == {"prices[]", "by_name{}"}
    schema = struct_type(Order)
    price = StructType([*schema["prices"].dataType.elementType.fields, StructField("note", StringType())])
    with_extra = StructType(
        [
            *(
                StructField("prices", ArrayType(price, False)) if field.name == "prices" else field
                for field in schema.fields
            ),
            StructField("extra", StringType()),
        ]
    )
    both = [("prices[].note", "extra", "compatible"), ("extra", "extra", "compatible")]

    class Ignoring(Order, extra="ignore"):
        pass

    for model, blocking in ((Order, ["extra"]), (Ignoring, [])):
        assert found(with_extra, model) == both
        assert [difference.path for difference in compare(with_extra, model).blocking] == blocking


def test_the_metadata_tables_fit_their_models() -> None:
    for table in METADATA_TABLES.values():
        assert compare(struct_type(table.model), table.model) == []
        assert open_structs(table.model) == frozenset()


# ---------------------------------------------------------------------------------------------------- the table

WANTED = (
    StructType()
    .add("id", "string", False)
    .add("expires", "timestamp", metadata=NUMBER)
    .add("n", "long", False)
    .add("lines", ArrayType(StructType().add("price", "double")))
)
ACTUAL = (
    StructType()
    .add("expires", "timestamp")
    .add("n", "integer", True, {"comment": "x"})
    .add("lines", ArrayType(StructType().add("price", "double")))
    .add("tags", ArrayType(StringType()), metadata=SS)
    .add("s", StructType().add("a", MapType(StringType(), ArrayType(LongType()))), False)
)


def test_all_fields_stand_side_by_side() -> None:
    assert [re.sub("   +", " | ", line) for line in str(compare(ACTUAL, WANTED)).splitlines()] == [
        " | field | expected | actual | difference",
        " | -------------  ---------------------  " + "-" * 46 + "  " + "-" * 59,
        "!  id | STRING NOT NULL | - | breaking: missing",
        "!  expires | TIMESTAMP stored as N  TIMESTAMP | breaking: metadata",
        "!  n | BIGINT NOT NULL | INT | breaking: nullability; widening: type; compatible: metadata",
        " | lines | ARRAY<STRUCT> | ARRAY<STRUCT>",
        " | lines[].price  DOUBLE | DOUBLE",
        ".  tags | - | ARRAY<STRING> stored as SS | compatible: extra",
        ".  s | - | STRUCT<a: MAP<STRING, ARRAY<BIGINT>>> NOT NULL  compatible: extra",
    ]
    assert {line.find("STRING NOT NULL") for line in str(compare(ACTUAL, WANTED)).splitlines()} == {-1, 18}
    assert [difference.path for difference in compare(ACTUAL, WANTED).breaking] == ["id", "expires", "n"]
    assert [str(difference) for difference in compare(ACTUAL, WANTED)][:3] == [
        "id: missing, STRING NOT NULL is expected (breaking)",
        "expires: metadata, TIMESTAMP stored as S in place of TIMESTAMP stored as N (breaking)",
        "n: type, INT in place of BIGINT (widening)",
    ]


def test_equal_schemas_show_their_fields_too() -> None:
    class One(BaseModel):
        id: str

    assert str(compare(One, One)).splitlines()[0] == "   field  One              actual           difference"
    assert str(compare(One, One)).splitlines()[2:] == ["   id     STRING NOT NULL  STRING NOT NULL"]
    assert str(SchemaComparison()).splitlines()[0] == "   field  expected  actual  difference"


def test_a_notebook_shows_it_in_colours_and_obeys_no_name() -> None:
    shown = compare(ACTUAL, WANTED)._repr_html_()
    assert shown.count("<tr") == 8
    assert [colour in shown for colour in ("#f8d7da", "#e2e3e5", "#fff3cd")] == [True, True, False]
    assert "ARRAY&lt;STRUCT&gt;" in shown
    odd = StructType().add("<script>alert('x')</script>&\n\x1b[31m", "long")
    shown = compare(odd, StructType())._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&amp;\\n\\x1b[31m" in shown
    assert "\x1b" not in str(compare(odd, odd))
    assert len(str(compare(odd, odd)).splitlines()) == 3


def test_the_error_of_a_write_carries_all_of_it() -> None:
    differences = compare(ACTUAL, WANTED)
    error = SchemaMismatchError(
        table="orders", model="Order", differences=differences, problems={"id": "missing"}, advice="Add it"
    )
    again = pickle.loads(pickle.dumps(error))
    assert (
        str(again)
        == str(error)
        == (f"The frame for table 'orders' is not what model Order asks for. id: missing. Add it.\n{differences}")
    )
    assert (again.path, again.differences, str(again.differences)) == ("id", differences, str(differences))
