"""The short hash of a schema: what changes it, what doesn't, and that it stays what it is."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from pydantic import AwareDatetime, BaseModel, Field
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DecimalType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.schema.fingerprint import fingerprint
from tests.wire.strategies import schemas


class Status(Enum):
    NEW = "new"


class Line(BaseModel):
    price: Decimal = Field(max_digits=10, decimal_places=2)
    note: str | None = None


class Order(BaseModel):
    order_id: str
    status: Status
    lines: list[Line] = []
    labels: dict[str, int | None] = {}
    tags: set[str] = set()
    placed_at: AwareDatetime = Field(description="when it came in")
    anything: Any = None


def test_it_is_the_same_today_as_ever() -> None:
    """Run logs keep it: should this fail, the canonical form has changed, and all that is stored means nothing any more."""
    assert fingerprint(Order) == "656aa3e76f0363e1"


def test_order_comments_and_foreign_metadata_do_not_count() -> None:
    schema = struct_type(Order)
    fields = [
        StructField(f.name, f.dataType, f.nullable, {**f.metadata, "comment": "other", "ml": 1})
        for f in reversed(schema.fields)
    ]
    assert fingerprint(StructType(fields)) == fingerprint(schema) == fingerprint(Order)
    inner = [
        StructType().add("l", ArrayType(StructType(line.fields))) for line in (struct_type(Line), struct_type(Line))
    ]
    inner[1]["l"].dataType.elementType.fields.reverse()
    assert fingerprint(inner[0]) == fingerprint(inner[1])


def one(kind: DataType, nullable: bool = True, metadata: dict[str, str] | None = None, name: str = "x") -> StructType:
    return StructType([StructField(name, kind, nullable, metadata)])


def test_the_default_storage_form_is_that_form() -> None:
    assert fingerprint(one(TimestampType(), metadata={"dynamodb": "S"})) == fingerprint(one(TimestampType()))
    assert fingerprint(one(ArrayType(StringType()), metadata={"dynamodb": "L"})) == fingerprint(
        one(ArrayType(StringType()))
    )


def test_all_else_counts() -> None:
    different = [
        one(LongType()),
        one(LongType(), name="X"),
        one(LongType(), False),
        one(IntegerType()),
        one(DecimalType(10, 2)),
        one(DecimalType(10, 3)),
        one(TimestampType()),
        one(TimestampType(), metadata={"dynamodb": "N"}),
        one(LongType(), metadata={"dynamodb_nulls": "write"}),
        one(ArrayType(StringType())),
        one(ArrayType(StringType(), False)),
        one(ArrayType(StringType()), metadata={"dynamodb": "SS"}),
        one(MapType(StringType(), StringType())),
        one(MapType(StringType(), StringType(), False)),
        one(MapType(LongType(), StringType())),
        one(StructType()),
        one(one(LongType())),
        one(one(LongType(), False)),
        StructType(),
        one(LongType()).add("y", "long"),
    ]
    assert len({fingerprint(schema) for schema in different}) == len(different)


@given(schemas)
def test_it_is_sixteen_hexadecimal_digits(schema: StructType) -> None:
    assert fingerprint(schema) == fingerprint(StructType.fromJson(schema.jsonValue()))
    assert len(fingerprint(schema)) == 16
    assert int(fingerprint(schema), 16) >= 0


def test_a_models_choices_are_those_of_struct_type() -> None:
    class Aliased(BaseModel):
        order_id: str = Field(serialization_alias="orderId")

    by_alias = fingerprint(Aliased, mode="serialization", by_alias=True)
    assert by_alias == fingerprint(one(StringType(), False, name="orderId"))
    assert by_alias != fingerprint(Aliased)
    with pytest.raises(TypeError):
        fingerprint("order_id STRING")  # type: ignore[arg-type]
