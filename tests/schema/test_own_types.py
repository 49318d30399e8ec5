"""Types of one's own, with a core schema of Pydantic's: each is what it is serialized as, and comes back, or is loud."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
import pydantic_core
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    RootModel,
    SecretStr,
    computed_field,
    create_model,
    field_serializer,
)
from pydantic_core import core_schema

from spark_dynamo.errors import SchemaError, ValidationError
from spark_dynamo.schema.bridge import node_of, struct_type
from spark_dynamo.schema.checks.constraints import checks_of
from spark_dynamo.schema.checks.violations import unchecked
from spark_dynamo.schema.items import ModelItems
from spark_dynamo.schema.policy import SchemaPolicy, SparkType
from spark_dynamo.schema.rows import ModelRows
from spark_dynamo.schema.storage import StorageForm
from tests.schema.own import Colour, Country, Moment, Version

T = TypeVar("T")


class Epoch(datetime):
    """A datetime that is a number where it is serialized."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(
            lambda given: given if isinstance(given, cls) else cls.fromtimestamp(given, UTC),
            core_schema.union_schema([core_schema.is_instance_schema(cls), core_schema.int_schema()]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: int(value.timestamp()), return_schema=core_schema.int_schema()
            ),
        )


class Box:
    """A list of numbers where it is serialized, and of a class that says not when two are equal."""

    __slots__ = ("corners",)

    def __init__(self, *corners: float) -> None:
        self.corners = corners

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda given: given if isinstance(given, cls) else cls(*given),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda box: list(box.corners), return_schema=core_schema.list_schema(core_schema.float_schema())
            ),
        )


class Reference(str, Generic[T]):
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())


class Period(BaseModel):
    start: date
    cost: Decimal = Decimal("0.10")


class LatePeriod:
    """Stands for a model that it looks for when it is needed, and tells nothing of how that is serialized."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            lambda given, handler: handler(Period.model_validate(given)),
            core_schema.any_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value.model_dump()),
        )


class Foreign:
    """A class that knows nothing of Pydantic."""

    def __init__(self, parts: tuple[int, ...]) -> None:
        self.parts = parts


Known = Annotated[
    Foreign,
    PlainValidator(lambda given: given if isinstance(given, Foreign) else Foreign(tuple(map(int, given.split("-"))))),
    PlainSerializer(lambda value: "-".join(map(str, value.parts)), return_type=str),
]


class Vector:
    """Holds an array, which says of each of its numbers whether it is equal."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            np.asarray,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda array: array.tolist(), return_schema=core_schema.list_schema(core_schema.float_schema())
            ),
        )


class Ratio(float):
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.float_schema())


class Nothing(BaseModel):
    pass


class Open(BaseModel, extra="allow"):
    pass


class Name(str):
    pass


class Token(SecretStr):
    pass


OWN: list[tuple[Any, str, Any]] = [
    (Country, "string", Country("DE")),
    (list[Country], "array<string>", [Country("DE"), Country("FR")]),
    (set[Country], "array<string>", {Country("DE"), Country("FR")}),
    (dict[Country, int], "map<string,bigint>", {Country("DE"): 1}),
    (Annotated[Country, Field(max_length=2)], "string", Country("DE")),
    (Moment, "timestamp", Moment(2024, 1, 1, 5, tzinfo=UTC)),
    (Annotated[Moment, StorageForm("N")], "timestamp", Moment(2024, 1, 1, 5, tzinfo=UTC)),
    (Colour, "string", Colour("#FF0000")),
    (Epoch, "bigint", Epoch(2024, 1, 1, 5, tzinfo=UTC)),
    (Box, "array<double>", Box(1.5, -2, 3)),
    (Reference[Period], "string", Reference("a/1")),
    (LatePeriod, "variant", Period(start=date(2024, 1, 1), cost=Decimal("1.50"))),
    (list[LatePeriod], "array<variant>", [Period(start=date(2024, 1, 1))]),
    (Version, "string", Version(1, 2)),
    (Known, "string", Foreign((1, 2, 3))),
    (Nothing, "variant", Nothing()),
    (list[Open], "array<variant>", [Open(), Open(a=1, b=["x", None])]),
    (object, "variant", {"a": [1, None]}),
    (dict[Any, Any], "variant", {"a": [1, None]}),
    (list, "array<variant>", [1, "a", None]),
    (tuple[float, float] | tuple[float, float, float], "array<double>", (1.5, 2.5)),
    (tuple[float, float] | tuple[float, float, float], "array<double>", (1.5, 2.5, 3.5)),
    (Annotated[dict | list, SparkType("VARIANT")], "variant", [1, {"a": 2}]),
    (Annotated[Country, SparkType("STRING COLLATE UTF8_LCASE")], "string collate UTF8_LCASE", Country("DE")),
    (Annotated[Colour, SparkType("VARIANT")], "variant", Colour("#FF0000")),
    (Annotated[Box, SparkType("ARRAY<FLOAT>")], "array<float>", Box(1.5, -2, 3)),
    (Annotated[LatePeriod, SparkType("VARIANT")], "variant", Period(start=date(2024, 1, 1))),
    (
        Annotated[LatePeriod, SparkType("STRUCT<start: DATE, cost: DECIMAL(10,2)>")],
        "struct<start:date,cost:decimal(10,2)>",
        Period(start=date(2024, 1, 1)),
    ),
    (Token, "string", Token("s3cret")),
    (Annotated[Name, SparkType("STRING")], "string", Name("a")),
    (Annotated[complex, SparkType("STRING")], "string", 1 + 2j),
    (Annotated[re.Pattern[str], SparkType("STRING")], "string", re.compile("a+")),
]


def model_of(annotation: Any) -> type[BaseModel]:
    return create_model("Model", __config__={"arbitrary_types_allowed": True}, x=(annotation, ...))


def back(annotation: Any, value: Any) -> Any:
    """The value after its way through a record batch, validated."""
    model = model_of(annotation)
    rows = ModelRows(model, node_of(model))
    (found,) = rows.models([rows.batch([model(x=value)])])
    return found.x  # type: ignore[attr-defined]


def parts_of(value: Any) -> Any:
    """What there is to compare, of a class that says not when two are equal."""
    return value.parts if isinstance(value, Foreign) else value.corners if isinstance(value, Box) else value


@pytest.mark.parametrize(("annotation", "spark", "value"), OWN)
def test_a_type_of_one_s_own_is_what_it_is_serialized_as(annotation: Any, spark: str, value: Any) -> None:
    field = struct_type(model_of(annotation))["x"]
    assert (field.dataType.simpleString(), field.nullable) == (spark, annotation is object)
    found = back(annotation, value)
    assert (parts_of(found), type(found)) == (parts_of(value), type(value))
    assert struct_type(model_of(annotation | None))["x"].nullable
    assert back(annotation | None, None) is None


class Order(BaseModel):
    country: Country
    placed: Moment
    colour: Colour | None
    box: Box
    version: Version
    periods: list[LatePeriod] = []


versions = st.builds(Version, st.integers(0, 99), st.integers(0, 99))
orders = st.builds(
    lambda country, at, colour, corners, version, starts: Order(
        country=country,
        placed=at,
        colour=colour and Colour(colour),
        box=Box(*corners),
        version=version,
        periods=[Period(start=start) for start in starts],
    ),
    st.sampled_from(["DE", "FR"]),
    st.datetimes(timezones=st.just(UTC)),
    st.none() | st.text(st.characters(codec="utf-8"), max_size=6),
    st.lists(st.floats(-1e100, 1e100).filter(lambda number: number == 0 or abs(number) > 1e-100), max_size=4),
    versions,
    st.lists(st.dates(), max_size=3),
)


@given(orders)
def test_values_come_back_from_batches_and_items(order: Order) -> None:
    rows = ModelRows(Order, node_of(Order))
    items = ModelItems(Order, table="orders")
    (row,) = rows.models([rows.batch([order])])
    (item,) = items.decode(b'{"Items":[' + items.encode([order])[0].as_py().encode() + b"]}")
    for found in (row, item):
        assert found.box.corners == order.box.corners
        assert found.model_copy(update={"box": order.box}) == order


class Masked(Colour):
    def __str__(self) -> str:
        return "***"


class Rounded(Epoch):
    pass


class Closed:
    """What is serialized in a form that it doesn't take."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.is_instance_schema(cls, serialization=core_schema.to_string_ser_schema())


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (Masked, Masked("#FF0000"), "which Pydantic takes for '***' where it serializes it, and back as "),
        (
            Rounded,
            Rounded(2024, 1, 1, 5, 6, 7, 8, tzinfo=UTC),
            "for 1704085567 where it serializes it, and back as Rounded(2024, 1, 1, 5, 6, 7, ",
        ),
        (Closed, Closed(), "but not back: Input should be an instance of Closed"),
        (
            Nothing,
            Period(start=date(2024, 1, 1)),
            "and back as Nothing(). Let the type's serializer return what its validation takes",
        ),
        (dict[Any, Any], {1: "a"}, "x: the key 1 is no text, and DynamoDB's names are"),
        (Annotated[Box, SparkType("ARRAY<FLOAT>")], Box(0.1), "takes for [0.1] where it serializes it, and back as"),
        (
            Annotated[Box, SparkType("MAP<STRING, INT>")],
            Box(0.1),
            "takes for [0.1] where it serializes it, but not back",
        ),
        (Annotated[Colour, SparkType("INT")], Colour("#FF0000"), "Input should be a valid integer"),
    ],
)
def test_what_would_come_back_as_another_value_is_loud(annotation: Any, value: Any, said: str) -> None:
    model = model_of(annotation)
    rows = ModelRows(model, node_of(model))
    with pytest.raises(ValidationError) as caught:
        rows.batch([model.model_construct(x=value)])
    assert said in str(caught.value)


def test_arrays_and_nan_come_back() -> None:
    assert back(Vector, np.array([1.5, -2.0])).tolist() == [1.5, -2.0]
    assert math.isnan(back(Ratio, Ratio("nan")))


@pytest.mark.parametrize(
    ("policy", "values"),
    [
        (SchemaPolicy(scalar_unions="variant"), [Country("DE"), 5, Version(1, 2), None]),
        (SchemaPolicy(scalar_unions="string"), [Country("DE"), 5, Version(1, 2), None]),
    ],
)
def test_a_type_of_one_s_own_in_a_union(policy: SchemaPolicy, values: list[Any]) -> None:
    model = model_of(Country | int | Version | None)
    rows = ModelRows(model, node_of(model, policy=policy))
    given = [model(x=value) for value in values]
    found = list(rows.models([rows.batch(given)]))
    assert found == given
    assert [type(one.x) for one in found] == [type(value) for value in values]  # type: ignore[attr-defined]


class Priced(BaseModel):
    colour: Colour

    @computed_field  # type: ignore[prop-decorator]
    @property
    def country(self) -> Country:
        return Country("DE")

    @field_serializer("colour")
    def _coded(self, colour: Colour) -> Country:
        return Country(colour.code[:2].upper())


def test_types_of_one_s_own_that_serialization_gives() -> None:
    node = node_of(Priced, "serialization")
    assert node.data_type.simpleString() == "struct<colour:string,country:string>"
    assert node.dump is not None
    assert node.dump(Priced(colour=Colour("red"))) == {"colour": "RE", "country": "DE"}


@pytest.mark.parametrize("annotation", [Name, Foreign, Annotated[Foreign, SparkType("STRING")], list[Foreign]])
def test_a_class_of_which_pydantic_knows_nothing_has_no_type(annotation: Any) -> None:
    with pytest.raises(SchemaError, match="has no Spark type. Use one of .* or say what it is, as in Annotated"):
        struct_type(model_of(annotation))


def test_a_secret_of_one_s_own_is_not_shown() -> None:
    (child,) = node_of(model_of(Token)).fields
    assert checks_of(child.node, {}).is_secret


def test_what_pydantic_alone_checks_is_told_as_unchecked() -> None:
    told = {(found.path, found.what) for found in unchecked(Order)}
    assert {path for path, _ in told} >= {"country", "colour", "box", "version"}


@pytest.mark.skipif(not hasattr(pydantic_core, "MISSING"), reason="Pydantic has MISSING from 2.12 on")
def test_a_field_that_is_missing_stays_missing() -> None:
    missing = pydantic_core.MISSING
    Maybe = create_model(  # noqa: N806 - a class
        "Maybe", a=(int | missing, missing), b=(int | None | missing, missing), c=(str, "c")
    )
    schema = struct_type(Maybe)
    assert schema.simpleString() == "struct<a:bigint,b:bigint,c:string>"
    assert [field.nullable for field in schema] == [True, True, False]
    rows = ModelRows(Maybe, node_of(Maybe))
    values = [Maybe(), Maybe(a=1), Maybe(b=2)]
    assert list(rows.models([rows.batch(values)])) == values
    with pytest.raises(ValidationError, match="b is None, which would come back as MISSING: a column has one null"):
        rows.batch([Maybe(b=None)])


class Tree(BaseModel):
    name: str
    children: Annotated[list[Tree], SparkType("VARIANT")]


def test_a_type_that_is_said_ends_recursion() -> None:
    assert struct_type(Tree).simpleString() == "struct<name:string,children:variant>"
    tree = Tree(name="a", children=[Tree(name="b", children=[Tree(name="c", children=[])])])
    rows = ModelRows(Tree, node_of(Tree))
    assert list(rows.models([rows.batch([tree])])) == [tree]


def test_a_model_without_fields_is_no_table() -> None:
    for model in (Nothing, Open, BaseModel, RootModel[Nothing]):
        with pytest.raises(SchemaError, match="has no fields"):
            struct_type(model)


def test_levels_of_recursion_that_leave_no_field_are_told() -> None:
    model = create_model("Empty", inner=("Empty | None", None))
    model.model_rebuild(_types_namespace={"Empty": model})
    with pytest.raises(SchemaError, match="model Empty has no fields"):
        struct_type(create_model("Holder", x=(model, ...)), policy=SchemaPolicy(recursion=0))


def test_spans_of_one_s_own_keep_what_they_are() -> None:
    class Span(timedelta):
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
            return core_schema.no_info_after_validator_function(
                lambda value: cls(seconds=value.total_seconds()), handler(timedelta)
            )

    assert struct_type(model_of(Span))["x"].dataType.simpleString() == "interval day to second"
    assert back(Span, Span(days=-1, microseconds=7)) == Span(days=-1, microseconds=7)
