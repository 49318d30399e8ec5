"""The table of leaf types, the Arrow schema that Spark expects, and schemas that have no DynamoDB form."""

from __future__ import annotations

from inspect import signature
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from pyspark.sql.pandas.types import from_arrow_type
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    CharType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    StringType,
    StructField,
    StructType,
    TimestampType,
    VariantType,
    YearMonthIntervalType,
)

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.rows import spark_arrow_schema
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.encode import ItemEncoder
from spark_dynamo.wire.types import LEAVES, arrow_schema, ddl, leaf_of, without_large_types
from tests.wire.strategies import schemas


def without_metadata(kind: pa.DataType) -> pa.DataType:
    """The type without the metadata of its fields, but for the one by which Spark knows a VARIANT."""
    if pa.types.is_struct(kind):
        return pa.struct([without_metadata_field(kind.field(index)) for index in range(kind.num_fields)])
    if pa.types.is_map(kind):
        return pa.map_(without_metadata_field(kind.key_field), without_metadata_field(kind.item_field))
    if pa.types.is_list(kind):
        return pa.list_(without_metadata_field(kind.value_field))
    return kind


def without_metadata_field(field: pa.Field) -> pa.Field:
    variant = {key: value for key, value in (field.metadata or {}).items() if key == b"variant"}
    return pa.field(field.name, without_metadata(field.type), field.nullable, variant or None)


@given(schemas)
def test_the_arrow_schema_is_spark_s_own(schema: StructType) -> None:
    spark = spark_arrow_schema(schema)
    assert arrow_schema(schema).equals(
        pa.schema([without_metadata_field(field) for field in spark]), check_metadata=True
    )


@given(schemas)
def test_spark_reads_the_types_back(schema: StructType) -> None:
    # before Spark 4.2 it has to be told which times have no zone
    told = {"prefer_timestamp_ntz": True} if "prefer_timestamp_ntz" in signature(from_arrow_type).parameters else {}
    for field, arrow in zip(schema.fields, arrow_schema(schema), strict=True):
        read = from_arrow_type(arrow.type, **told)
        assert read.simpleString() == field.dataType.simpleString()


def test_one_row_for_each_type_and_tag() -> None:
    assert len({(leaf.spark, leaf.tag) for leaf in LEAVES}) == len(LEAVES)
    assert {leaf.tag for leaf in LEAVES} == {"S", "N", "B", "BOOL"}


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (DecimalType(10, 2), "DECIMAL(10,2)"),
        (LongType(), "BIGINT"),
        (DayTimeIntervalType(), "INTERVAL DAY TO SECOND"),
        (ArrayType(StructType().add("p", DecimalType(10, 2))), "array<struct<p:decimal(10,2)>>"),
    ],
)
def test_ddl(kind: DataType, shown: str) -> None:
    assert ddl(kind) == shown


def test_the_storage_forms() -> None:
    assert (leaf_of(StringType(), None, "").tag, leaf_of(StringType(), "N", "").tag) == ("S", "N")
    assert (leaf_of(TimestampType(), None, "").tag, leaf_of(TimestampType(), "N", "").tag) == ("S", "N")
    assert leaf_of(BooleanType(), "BOOL", "").quoted is False


BAD: list[tuple[DataType, Any, str, str]] = [
    (YearMonthIntervalType(), None, "x", "interval year to month has no DynamoDB form; cast it to one of array, binary,"),
    (DayTimeIntervalType(), "S", "x", "interval day to second can't be stored as 'S'; its storage forms are N"),
    (NullType(), None, "x", "void has no DynamoDB form"),
    (CharType(5), None, "x", "char(5) has no DynamoDB form"),
    (ArrayType(NullType()), None, "x[]", "void has no DynamoDB form"),
    (ArrayType(StructType().add("y", ArrayType(NullType()))), None, "x[].y[]", "void has no DynamoDB form"),
    (MapType(StringType(), NullType()), None, "x{}", "void has no DynamoDB form"),
    (StructType().add("y", MapType(StringType(), StructType().add("z", NullType()))), None, "x.y{}.z", "has no DynamoDB form"),
    (MapType(IntegerType(), StringType()), None, "x", "map<int,string> has keys that are no strings; cast them to STRING"),
    (ArrayType(MapType(DateType(), StringType())), None, "x[]", "has keys that are no strings"),
    (StringType(), "SS", "x", "string can't be stored as 'SS'; its storage forms are S, N"),
    (LongType(), "S", "x", "bigint can't be stored as 'S'; its storage forms are N"),
    (TimestampType(), "X", "x", "timestamp can't be stored as 'X'; its storage forms are S, N"),
    (ArrayType(StringType()), "N", "x", "array<string> can't be stored as 'N'; its storage forms are L, SS, NS, BS"),
    (ArrayType(LongType()), "SS", "x[]", "bigint can't be stored as 'S'"),
    (ArrayType(BooleanType()), "NS", "x[]", "boolean can't be stored as 'N'"),
    (ArrayType(ArrayType(StringType())), "SS", "x[]", "array<string> has no DynamoDB form"),
    (ArrayType(StructType().add("y", StringType())), "SS", "x[]", "has no DynamoDB form"),
    (StructType().add("y", StringType()), "SS", "x", "can't be stored as 'SS'; leave out the metadata"),
    (MapType(StringType(), StringType()), "L", "x", "can't be stored as 'L'; leave out the metadata"),
    (VariantType(), "S", "x", "variant can't be stored as 'S'; leave out the metadata"),
    (StructType().add("y", LongType()).add("y", StringType()), None, "x.y", "the name stands twice in the schema"),
    (StructType([StructField("y", StringType(), metadata={"dynamodb": "B"})]), None, "x.y", "can't be stored as 'B'"),
    (StructType().add("", StringType()), None, "x.", "no empty attribute name"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "tag", "path", "problem"), BAD)
def test_what_has_no_dynamodb_form(kind: DataType, tag: str | None, path: str, problem: str) -> None:
    schema = StructType().add("id", StringType()).add("x", kind, metadata={"dynamodb": tag} if tag else None)
    for build in (
        arrow_schema,
        lambda schema: PageDecoder(schema, table="t"),
        lambda schema: ItemEncoder(schema, table="t"),
    ):
        with pytest.raises(SchemaError) as caught:
            build(schema)
        assert caught.value.path == path
        assert str(caught.value).startswith(f"Field '{path}': ")
        assert problem in str(caught.value)


def test_a_name_twice_at_the_top() -> None:
    with pytest.raises(SchemaError, match="Field 'a': the name stands twice in the schema"):
        arrow_schema(StructType().add("b", StringType()).add("a", StringType()).add("a", LongType()))
    assert arrow_schema(StructType().add("a", StringType()).add("A", StringType())).names == ["a", "A"]


def test_other_metadata_and_the_natural_tags_change_nothing() -> None:
    plain = (
        StructType().add("a", ArrayType(StringType())).add("m", MapType(StringType(), LongType())).add("n", LongType())
    )
    tagged = StructType(
        [
            StructField(field.name, field.dataType, metadata={"comment": "x", "dynamodb": tag})
            for field, tag in zip(plain.fields, ["L", "M", "N"], strict=True)
        ]
    )
    assert arrow_schema(plain).equals(arrow_schema(tagged), check_metadata=True)
    body = b'{"Items":[{"a":{"L":[]},"m":{"M":{}},"n":{"N":"1"}}]}'
    batch = PageDecoder(tagged, table="t").decode(body)
    assert batch.to_pylist() == [{"a": [], "m": [], "n": 1}]
    assert ItemEncoder(tagged, table="t").encode(batch).to_pylist() == [body.decode()[10:-2]]


def test_large_types_become_plain_ones() -> None:
    schema = StructType().add("id", "string").add("l", ArrayType(StringType())).add("n", "long")
    large = pa.record_batch(
        {
            "id": pa.array(["a", None], pa.large_string()),
            "l": pa.array([["x"], None], pa.list_(pa.large_string())),
            "n": pa.array([1, 2], pa.int64()),
        }
    )
    plain = without_large_types(large, schema)
    assert [str(field.type) for field in plain.schema] == ["string", "list<element: string>", "int64"]
    assert plain.to_pylist() == large.to_pylist()
    assert without_large_types(plain, schema) is plain
