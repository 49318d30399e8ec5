"""Spark schemas as Pydantic models: the schema of the model is the schema it was made of, whatever it holds."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from pydantic import BaseModel, ValidationError
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    CharType,
    DataType,
    DecimalType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    StringType,
    StructField,
    StructType,
    TimestampType,
    UserDefinedType,
    VariantType,
)

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.schema.ddl import parse_ddl
from spark_dynamo.schema.generation.model_source import model_source
from spark_dynamo.schema.generation.model_type import model_type
from tests.schema.structs import ODD_NAMES, structs


def struct(text: str) -> StructType:
    found = parse_ddl(text)
    assert isinstance(found, StructType)
    return found


def executed(found: StructType, name: str = "Model") -> type[BaseModel]:
    module: dict[str, Any] = {}
    exec(compile(model_source(found, name), "order.py", "exec", dont_inherit=True), module)
    model: type[BaseModel] = module[name]
    return model


def check_identity(found: StructType) -> None:
    """Both forms of the model have the schema, down to the metadata, and are the same model."""
    made, written = model_type(found, "Order"), executed(found, "Order")
    for model in (made, written):
        assert struct_type(model) == found
        assert struct_type(model).json() == found.json()
    assert repr(made.model_fields) == repr(written.model_fields)
    assert made.model_config == written.model_config
    assert model_source(struct_type(written), "Order") == model_source(found, "Order")


@given(structs)
def test_a_schema_comes_back(found: StructType) -> None:
    check_identity(found)


def test_names_of_all_kinds_at_once() -> None:
    names = list(dict.fromkeys(ODD_NAMES))
    fields = [StructField(name, LongType(), number % 2 == 0) for number, name in enumerate(names)]
    check_identity(StructType(fields))
    nested = StructType([StructField(name, LongType()) for name in ("a", "b c", "date", "_id")])
    check_identity(StructType([StructField(name, nested) for name in names]))


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_alone(name: str) -> None:
    found = StructType([StructField(name, StringType(), False)])
    check_identity(found)
    model = model_type(found)
    (attribute,) = model.model_fields
    for value in (model.model_validate({name: "x"}), model(**{attribute: "x"})):
        assert getattr(value, attribute) == "x"
        assert value.model_dump() == {name: "x"}


@pytest.mark.parametrize(
    ("columns", "attributes"),
    [
        (["order id", "order_id", "order-id", "order.id"], ["order_id_2", "order_id", "order_id_3", "order_id_4"]),
        (["_id", "id"], ["id_2", "id"]),
        (["_id", "__id"], ["id", "id_2"]),
        (["class", "class_"], ["class_2", "class_"]),
        (["copy", "json", "model_fields", "schema"], ["copy_", "json_", "model_fields_", "schema_"]),
        (["model_id", "model_dump_day"], ["model_id", "field_model_dump_day"]),
        (["1st", "", "_", "%"], ["field_1st", "field", "field_2", "field_3"]),
        (["str", "date", "Decimal", "type"], ["str_", "date", "Decimal", "type"]),
        (["ﬁeld", "Größe", "数量"], ["field", "Größe", "数量"]),
        (["a", "A"], ["a", "A"]),
    ],
)
def test_attributes(columns: list[str], attributes: list[str]) -> None:
    found = StructType([StructField(name, LongType()) for name in columns])
    assert list(model_type(found).model_fields) == attributes
    check_identity(found)


def test_a_model_without_odd_names_has_no_aliases() -> None:
    model = model_type(struct("id string, date date"))
    assert model.model_config == {}
    assert all(info.alias is None for info in model.model_fields.values())


def test_values() -> None:
    model = model_type(
        struct("id string not null, price decimal(5,2), at timestamp, items array<struct<n: int not null>>"), "Order"
    )
    order = model.model_validate({"id": "1", "price": "9.50", "at": "2024-05-01T00:00:00Z", "items": [{"n": 3}, None]})
    assert order.model_dump() == {
        "id": "1",
        "price": Decimal("9.50"),
        "at": datetime(2024, 5, 1, tzinfo=UTC),
        "items": [{"n": 3}, None],
    }
    assert model(id="1").model_dump() == {"id": "1", "price": None, "at": None, "items": None}
    for wrong in ({}, {"id": None}, {"id": "1", "price": "1234.5"}, {"id": "1", "at": "2024-05-01T00:00:00"}):
        with pytest.raises(ValidationError):
            model.model_validate(wrong)


def test_a_name_for_the_class() -> None:
    found = struct("a struct<b: struct<c: int>>")
    model = model_type(found, "Order")
    assert "OrderA" in repr(model.model_fields["a"].annotation)
    for name in ("", "my order", "class", "1st"):
        said = f"Field '{name}': is" if name else "^Is"
        with pytest.raises(SchemaError, match=f"{said} no name for a Python class"):
            model_type(found, name)
    for name in ("Any", "Field", "date", "BaseModel"):
        with pytest.raises(SchemaError, match="is the name of a type that models are made of"):
            model_type(found, name)


class Point(UserDefinedType):
    @classmethod
    def sqlType(cls) -> DataType:  # noqa: N802 - Spark's name
        return ArrayType(LongType())


ITEM = StructType([StructField("x", LongType())])


@pytest.mark.parametrize(
    ("found", "path", "problem"),
    [
        (StructType(), "Model", "is a struct without fields"),
        (StructType().add("a", ArrayType(StructType())), r"a\[\]", "is a struct without fields"),
        (StructType().add("a", "long").add("a", "string"), "a", "stands twice in its struct"),
        (StructType().add("s", StructType().add("a", "long").add("a", "long")), "s.a", "stands twice"),
        (
            StructType().add("m", MapType(ITEM, LongType())),
            r"m\{\}",
            "keys of struct<x:bigint> can't be those of a dict",
        ),
        (StructType().add("m", MapType(ArrayType(LongType()), LongType())), r"m\{\}", "Cast them to STRING"),
        (StructType().add("p", Point()), "p", "has no name in Spark's SQL"),
        (StructType().add("c", StringType("no collation")), "c", "has no name in Spark's SQL"),
        (StructType().add("d", DecimalType(0, 0)), "d", "must have 0 <= scale <= precision <= 38"),
        (StructType().add("d", ArrayType(DecimalType(5, 6))), r"d\[\]", r"decimal\(5,6\) must have"),
        (StructType().add("a", "long", True, {"x": {1: 2}}), "a", "its metadata holds {1: 2}, which is no JSON"),
        (StructType().add("a", "long", True, {"x": [float("nan")]}), "a", "its metadata holds nan"),
        (StructType().add("a", "long", True, {"x": (1, 2)}), "a", r"its metadata holds \(1, 2\)"),
    ],
)
def test_what_no_model_can_be(found: StructType, path: str, problem: str) -> None:
    for make in (model_type, model_source):
        with pytest.raises(SchemaError, match=f"Field '{path}': {problem}|Field '{path}': .*{problem}"):
            make(found)


@pytest.mark.parametrize(
    ("kind", "form", "annotation"),
    [
        (ArrayType(StringType(), False), "SS", "set[str]"),
        (ArrayType(LongType(), False), "NS", "set[int]"),
        (ArrayType(BinaryType(), False), "BS", "set[bytes]"),
        (ArrayType(DecimalType(5, 2), False), "NS", "set[Annotated[Decimal, Field(max_digits=5, decimal_places=2)]]"),
        (ArrayType(IntegerType(), False), "NS", 'set[Annotated[int, SparkType("INT")]]'),
        (TimestampType(), "N", 'Annotated[AwareDatetime, StorageForm("N")]'),
        (TimestampType(), "S", 'Annotated[AwareDatetime, StorageForm("S")]'),
    ],
)
def test_storage_forms_in_the_annotation(kind: DataType, form: str, annotation: str) -> None:
    required = StructType([StructField("x", kind, False, {"dynamodb": form})])
    assert f"    x: {annotation}\n" in model_source(required)
    check_identity(required)
    check_identity(StructType([StructField("x", kind, True, {"dynamodb": form, "comment": "c"})]))


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (ArrayType(StringType(), True), "SS"),
        (ArrayType(StringType(), False), "NS"),
        (ArrayType(FloatType(), False), "NS"),
        (ArrayType(LongType(), False), ["NS"]),
        (StringType(), "N"),
        (CharType(3), "S"),
        (VariantType(), "M"),
        (NullType(), 1),
        (TimestampType(), None),
    ],
)
def test_storage_forms_that_stay_metadata(kind: DataType, form: Any) -> None:
    found = StructType([StructField("x", kind, False, {"dynamodb": form})])
    assert "json_schema_extra=" in model_source(found)
    check_identity(found)


def test_the_schema_is_not_tied_to_the_model() -> None:
    metadata = {"tags": ["a"]}
    found = StructType([StructField("x", LongType(), True, metadata)])
    model = model_type(found)
    metadata["tags"].append("b")
    assert struct_type(model)["x"].metadata == {"tags": ["a"]}
