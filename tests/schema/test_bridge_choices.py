"""Where an annotation leaves a choice: policies, unions, recursion; and what mode, aliases and field settings change."""

from __future__ import annotations

import dataclasses
import gc
import statistics
import time as clock
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Optional
from uuid import UUID

import annotated_types
import pydantic
import pytest
import typing_extensions
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WrapSerializer,
    computed_field,
    create_model,
    field_serializer,
    model_serializer,
)
from pyspark.sql import types
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import DecimalType, StructType

from spark_dynamo.errors import ConfigurationError, SchemaError
from spark_dynamo.schema.annotations.reference import annotation_types
from spark_dynamo.schema.bridge import _made_once, node_of, struct_type
from spark_dynamo.schema.drift.compare import compare
from spark_dynamo.schema.extras import open_structs
from spark_dynamo.schema.policy import SchemaPolicy, SparkType
from spark_dynamo.schema.storage import StorageForm
from tests.schema.models import Colour, Plain, through_arrow

VARIANT = SchemaPolicy(scalar_unions="variant", model_unions="variant", recursion="variant")
MERGE = SchemaPolicy(model_unions="merge")
TEXT = SchemaPolicy(scalar_unions="string")


def model_of(annotation: Any) -> type[BaseModel]:
    return create_model("Model", x=(annotation, ...))


def shown(annotation: Any, policy: SchemaPolicy | None = None) -> str:
    return struct_type(model_of(annotation), policy=policy)["x"].dataType.simpleString()


def back(annotation: Any, value: Any, policy: SchemaPolicy) -> Any:
    """A value's way through a column and the model's validation."""
    model = model_of(annotation)
    node = node_of(model, policy=policy)
    return model.model_validate(through_arrow(node, model(x=value))).x  # type: ignore[attr-defined]


def refusal(model: Any, **choices: Any) -> SchemaError:
    with pytest.raises(SchemaError) as caught:
        struct_type(model, **choices)
    return caught.value


# ---------------------------------------------------------------------------------------------------- policies


class Reading(BaseModel):
    schema_policy: ClassVar[SchemaPolicy] = SchemaPolicy(scalar_unions="variant", integers="bounds")
    value: int | str
    level: Annotated[int, Field(ge=0, le=9)]


def test_a_model_says_its_own_policy_and_an_argument_takes_its_place() -> None:
    assert struct_type(Reading) == struct_type(Reading, policy=Reading.schema_policy)
    assert [field.dataType.simpleString() for field in struct_type(Reading)] == ["variant", "tinyint"]
    assert [f.dataType.simpleString() for f in struct_type(Reading, policy=TEXT)] == ["string", "bigint"]
    assert not compare(Reading, struct_type(Reading))

    class Foreign(BaseModel):
        value: int | str

    class Own(Foreign):
        schema_policy: ClassVar[SchemaPolicy] = TEXT

    class Owned(Own):
        pass

    @dataclasses.dataclass
    class Plainly:
        value: int | str
        schema_policy: ClassVar[SchemaPolicy] = TEXT

    assert [struct_type(kind)["value"].dataType.simpleString() for kind in (Own, Owned, Plainly)] == ["string"] * 3
    assert "schema_policy" not in struct_type(Plainly).names
    advice = r"or a policy \(`schema_policy: ClassVar\[SchemaPolicy\]` in the model, or an argument\) with scalar_unions='variant'"
    with pytest.raises(SchemaError, match=f"'value': is one of int, str.*{advice}"):
        struct_type(Foreign)


def test_the_outermost_models_policy_counts_for_models_in_it() -> None:
    class Outer(BaseModel):
        schema_policy: ClassVar[SchemaPolicy] = TEXT
        inner: list[Reading]

    class Undecided(BaseModel):
        inner: Reading

    assert struct_type(Outer).simpleString() == "struct<inner:array<struct<value:string,level:bigint>>>"
    assert refusal(Undecided).path == "inner.value"


def test_a_policy_that_is_none_is_named() -> None:
    class Dicted(BaseModel):
        schema_policy: ClassVar[Any] = {"scalar_unions": "variant"}

    class Stored(BaseModel):
        schema_policy: str  # a field of somebody's own

    with pytest.raises(
        ConfigurationError, match="schema_policy of Dicted is {'scalar_unions': 'variant'}, and must be a"
    ):
        struct_type(Dicted)
    assert struct_type(Stored).simpleString() == "struct<schema_policy:string>"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"integers": "bound"}, "integers must be one of bigint, bounds, not 'bound'. Did you mean 'bounds'?"),
        (
            {"scalar_unions": "varaint"},
            "scalar_unions must be one of error, string, variant, not 'varaint'. Did you mean 'v",
        ),
        (
            {"model_unions": "merged"},
            "model_unions must be one of error, merge, variant, not 'merged'. Did you mean 'merge'?",
        ),
        ({"model_unions": ["merge"]}, "model_unions must be one of error, merge, variant, not ['merge']"),
        ({"time": "str"}, "time must be one of string, time, not 'str'. Did you mean 'string'?"),
        ({"recursion": -1}, "recursion must be a number of levels from 0 on, not -1"),
        ({"recursion": "2"}, "recursion must be one of error, variant or a number of levels from 0 on, not '2'"),
        ({"recursion": True}, "recursion must be one of error, variant or a number of levels from 0 on, not True"),
        ({"decimal": "DECIMAL(10,2)"}, "decimal must be a DecimalType, as in DecimalType(10, 2), not 'DECIMAL(10,2)'"),
    ],
)
def test_choices_that_no_policy_has(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SchemaPolicy(**given)
    assert str(caught.value).startswith(f"SchemaPolicy's {said}")


@pytest.mark.parametrize("given", [42, DecimalType, None])
def test_types_that_no_field_has(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="SparkType's kind must be a type as SQL writes it, or a DataType"):
        SparkType(given)


# ---------------------------------------------------------------------------------------------------- scalars


@pytest.mark.parametrize(
    ("annotation", "spark"),
    [
        (Annotated[int, Field(ge=0, le=127)], "tinyint"),
        (Annotated[int, Field(ge=-128, lt=128)], "tinyint"),
        (Annotated[int, Field(ge=0, le=128)], "smallint"),
        (Annotated[int, Field(gt=-32769, le=32767)], "smallint"),
        (Annotated[int, Field(ge=-(2**31), lt=2**31)], "int"),
        (Annotated[int, annotated_types.Interval(ge=0, le=2**31)], "bigint"),
        (Annotated[int, Field(ge=0)], "bigint"),
        (Annotated[int, Field(ge=0, le=2**64)], "decimal(38,0)"),
        (list[Annotated[int, Field(ge=0, le=1)] | None], "array<tinyint>"),
        (Literal[1, 2], "tinyint"),
        (int, "bigint"),
    ],
)
def test_integers_as_narrow_as_their_bounds(annotation: Any, spark: str) -> None:
    assert shown(annotation, SchemaPolicy(integers="bounds")) == spark


def test_the_policy_has_the_usual_decimal() -> None:
    policy = SchemaPolicy(decimal=DecimalType(20, 4))
    assert shown(list[Decimal], policy) == "array<decimal(20,4)>"
    assert shown(Annotated[Decimal, Field(max_digits=4)], policy) == "decimal(20,4)"
    with pytest.raises(SchemaError, match="max_digits=5 alone leaves the scale open"):
        shown(Annotated[Decimal, Field(max_digits=5)], policy)


@pytest.mark.skipif(not hasattr(types, "TimeType"), reason="Spark has TIME since 4.1")
def test_times_of_day() -> None:
    policy = SchemaPolicy(time="time")
    node = node_of(model_of(time), policy=policy)
    assert node.data_type.simpleString() == "struct<x:time(6)>"
    kind = to_arrow_type(node.data_type)
    assert through_arrow(node, model_of(time)(x=time(1, 2, 3, 4)), kind) == {"x": time(1, 2, 3, 4)}
    with pytest.raises(ValueError, match="has a time zone, which TIME can't hold"):
        through_arrow(node, model_of(time)(x="01:02:03Z"), kind)


# ---------------------------------------------------------------------------------------------------- scalar unions


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (int | str, [1, "1", "a"]),
        (int | float, [1, 2.5]),
        (float | int, [2.5, 2**53 + 1, -(2**63)]),
        (bool | int | str | bytes, [True, 1, "x", b"x"]),
        (UUID | date | datetime, [UUID(int=5), date(2024, 1, 1), datetime(2024, 1, 1, 5)]),
        (int | list[int] | dict[str, Decimal], [1, [1, 2], {"a": Decimal("1.5")}]),
        (Plain | int, [Plain.A, 3]),
        (Literal["a"] | int, ["a", 3]),
        (str | None | list[str | int], ["a", None, ["a", 1]]),
        (Annotated[int | str, Field(description="x")], [1, "a"]),
    ],
)
def test_unions_as_variant(annotation: Any, values: list[Any]) -> None:
    column = struct_type(model_of(annotation), policy=VARIANT)["x"]
    assert (column.dataType.simpleString(), column.nullable) == ("variant", None in values)
    for value in values:
        found = back(annotation, value, VARIANT)
        if value == datetime(2024, 1, 1, 5):
            found = found.replace(tzinfo=None)  # it counted as UTC
        assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("annotation", "value", "becomes"),
    [
        (timedelta | int, 1, "timedelta"),
        (Decimal | timedelta, timedelta(seconds=90), "Decimal"),
        (Literal[1, 2] | Literal["1"], "1", "Literal"),
        (date | Literal["2024-01-01"], "2024-01-01", "date"),
    ],
)
def test_a_text_that_would_come_back_as_another_value_is_loud(annotation: Any, value: Any, becomes: str) -> None:
    with pytest.raises(ValueError, match=f"^x is .*, which would come back as .*{becomes}"):
        back(annotation, value, TEXT)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (timedelta | int, timedelta(seconds=1)),
        (Decimal | timedelta, Decimal("1.5")),
        (Literal[1, 2] | Literal["1"], 2),
        (Literal[1, 2] | Literal["x"], "x"),
        (bool | int, 1),
        (int | float, 1.5),
    ],
)
def test_a_text_that_only_one_arm_reads_comes_back(annotation: Any, value: Any) -> None:
    found = back(annotation, value, TEXT)
    assert (found, type(found)) == (value, type(value))


def test_a_variant_that_would_come_back_as_another_type_is_loud() -> None:
    assert back(str | UUID, "a", VARIANT) == "a"
    with pytest.raises(ValueError, match=r"^x is UUID\('0.*'\), which would come back as str '0"):
        back(str | UUID, UUID(int=0), VARIANT)


@pytest.mark.parametrize(
    ("annotation", "values", "texts"),
    [
        (int | UUID, [1, UUID(int=5)], ["1", "00000000-0000-0000-0000-000000000005"]),
        (bool | int, [True, 1], ["true", "1"]),
        (int | date | None, [None, date(2024, 1, 1)], [None, "2024-01-01"]),
        (Plain | int, [Plain.A, 3], ["a", "3"]),
        (str | UUID, ["x"], ["x"]),
    ],
)
def test_unions_as_text(annotation: Any, values: list[Any], texts: list[str | None]) -> None:
    model = model_of(annotation)
    node = node_of(model, policy=TEXT)
    assert node.data_type.simpleString() == "struct<x:string>"
    assert node.dump is not None
    assert [node.dump(model(x=value))["x"] for value in values] == texts
    for value in values:
        found = back(annotation, value, TEXT)
        assert (found, type(found)) == (value, type(value))


def test_with_str_among_the_arms_text_comes_back_as_text() -> None:
    assert back(int | str, 1, TEXT) == "1"


def test_what_is_no_text() -> None:
    for annotation in (int | list[int], str | bytes, int | dict[str, Any]):
        with pytest.raises(SchemaError, match="is no text. Use a policy with scalar_unions='variant'"):
            shown(annotation, TEXT)


def test_one_type_needs_no_policy() -> None:
    node = node_of(model_of(Literal["a"] | Literal["b"] | Colour | None)).fields[0].node
    assert (node.data_type.simpleString(), node.nullable) == ("string", True)
    assert node.members == ("a", "b", "red", "blue")
    for value in ("a", "b", Colour.RED):
        assert back(Literal["a"] | Literal["b"] | Colour, value, SchemaPolicy()) == value
    free = node_of(model_of(Literal["a"] | str | None)).fields[0].node
    assert (free.data_type.simpleString(), free.nullable, free.members) == ("string", True, None)
    assert back(Literal["a"] | str, "b", SchemaPolicy()) == "b"


@pytest.mark.parametrize("annotation", [Plain | str, UUID | str, Literal["a"] | Plain, UUID | Literal["a"]])
def test_one_column_for_values_that_it_can_not_tell_apart_needs_a_policy(annotation: Any) -> None:
    with pytest.raises(SchemaError, match="and a Spark column has one type"):
        shown(annotation)


# ---------------------------------------------------------------------------------------------------- unions of models


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9
    day: date | None = None


class Dog(BaseModel):
    kind: Literal["dog"]
    owner: str
    day: date


class Bird(BaseModel):
    wings: int


def which(value: Any) -> str:
    return value["kind"] if isinstance(value, dict) else value.kind


PETS = [
    Cat(kind="cat"),
    Cat(kind="cat", lives=3, day=date(2024, 1, 1)),
    Dog(kind="dog", owner="x", day=date(2024, 1, 1)),
]
Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


@pytest.mark.parametrize(
    "annotation",
    [
        Pet,
        Cat | Dog,
        Dog | Cat | None,
        Annotated[Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(which)],
        Annotated[Cat | Dog, Field(discriminator="kind")] | None,
        Pet | Bird,
        typing_extensions.TypeAliasType("Pets", Pet),
    ],
)
@pytest.mark.parametrize("policy", [MERGE, VARIANT], ids=["merge", "variant"])
def test_unions_of_models(annotation: Any, policy: SchemaPolicy) -> None:
    for pet in PETS:
        assert back(annotation, pet, policy) == pet
    assert back(list[annotation], PETS, policy) == PETS
    with pytest.raises(
        SchemaError, match="is one of Cat, Dog|is one of Dog, Cat|is one of .*Tag.*model_unions='merge'"
    ):
        shown(annotation)


class Hen(BaseModel):
    wings: int


def one_or_other(value: Any) -> str:
    wings = value["wings"] if isinstance(value, dict) else value.wings
    return "hen" if wings == 3 else "bird"


@pytest.mark.parametrize("policy", [MERGE, VARIANT], ids=["merge", "variant"])
def test_a_function_tells_models_apart(policy: SchemaPolicy) -> None:
    either = Annotated[Bird, Tag("bird")] | Annotated[Hen, Tag("hen")] | Annotated[None, Tag("none")]
    annotation = Annotated[either, Discriminator(lambda value: "none" if value is None else one_or_other(value))]
    for value in (Bird(wings=2), Hen(wings=3), None):
        found = back(annotation, value, policy)
        assert (found, type(found)) == (value, type(value))
    with pytest.raises(ValueError, match="none of its types takes|would come back as"):
        through_arrow(
            node_of(model_of(annotation), policy=policy), model_of(annotation).model_construct(x=Hen(wings=2))
        )


def test_a_merged_struct() -> None:
    model = create_model("Owner", pet=(Cat | Dog | None, Field(None, discriminator="kind")), n=(int, 1))
    column = struct_type(model, policy=MERGE)["pet"]
    assert column.nullable is True
    assert column.dataType.simpleString() == "struct<kind:string,lives:bigint,day:date,owner:string>"
    assert [field.nullable for field in column.dataType] == [False, True, True, True]
    node = node_of(model, policy=MERGE).fields[0].node
    assert (node.discriminator, [arm.model for arm in node.arms]) == ("kind", [Cat, Dog])
    assert node.fields[0].node.members == ("cat", "dog")


def test_models_that_nothing_tells_apart() -> None:
    first, second = create_model("First", n=(int, ...)), create_model("Second", n=(int, ...))
    assert shown(first | second, MERGE) == "struct<n:bigint>"
    for policy in (MERGE, VARIANT):
        assert back(first | second, first(n=1), policy) == first(n=1)
        with pytest.raises(ValueError, match="^x is Second.*, which would come back as First"):
            back(first | second, second(n=1), policy)


def test_what_can_not_be_merged() -> None:
    other = create_model("Other", lives=(str, ...))
    error = refusal(model_of(Cat | other), policy=MERGE)
    assert error.path == "x.lives"
    assert "is bigint in Cat and string in Other, and a merged struct has one type" in str(error)
    assert "has no fields to merge" in str(refusal(model_of(Cat | pydantic.RootModel[int]), policy=MERGE))


def test_a_model_or_a_scalar() -> None:
    for value in (Bird(wings=2), 5):
        assert back(Bird | int, value, VARIANT) == value


# ---------------------------------------------------------------------------------------------------- recursion


class Tree(BaseModel):
    name: str
    children: list[Tree]
    left: Tree | None = None
    day: date = date(2024, 1, 1)


class Number(BaseModel):
    value: int


class Sum(BaseModel):
    left: Sum | Number
    right: Sum | Number


LEAF = Tree(name="leaf", children=[], day=date(1999, 1, 1))
Json = typing_extensions.TypeAliasType("Json", "dict[str, Json] | list[Json] | int | str | None")


def test_a_stated_depth() -> None:
    assert struct_type(Tree, policy=SchemaPolicy(recursion=0)).simpleString() == "struct<name:string,day:date>"
    kind = struct_type(Tree, policy=SchemaPolicy(recursion=1))
    level = "struct<name:string,day:date>"
    assert kind.simpleString() == f"struct<name:string,children:array<{level}>,left:{level},day:date>"


def test_values_within_the_depth() -> None:
    node = node_of(Tree, policy=SchemaPolicy(recursion=1))
    tree = Tree(name="top", children=[LEAF, LEAF], left=LEAF)
    assert Tree.model_validate(through_arrow(node, tree)) == tree
    with pytest.raises(
        ValueError, match=r"^children\[\].children is nested deeper than the policy's levels of recursion"
    ):
        through_arrow(node, Tree(name="top", children=[tree]))


def test_recursion_as_variant() -> None:
    assert shown(Tree, VARIANT) == "struct<name:string,children:array<variant>,left:variant,day:date>"
    deep = LEAF
    for name in "abc":
        deep = Tree(name=name, children=[deep, LEAF], left=deep)
    assert Tree.model_validate(through_arrow(node_of(Tree, policy=VARIANT), deep)) == deep


def test_recursion_through_unions_ends_in_their_variant() -> None:
    policy = SchemaPolicy(model_unions="variant")
    assert struct_type(Sum, policy=policy).simpleString() == "struct<left:variant,right:variant>"
    value = Sum(left=Sum(left=Number(value=1), right=Number(value=2)), right=Number(value=3))
    assert Sum.model_validate(through_arrow(node_of(Sum, policy=policy), value)) == value


def test_recursive_aliases() -> None:
    policy = SchemaPolicy(scalar_unions="variant")
    assert shown(Json, policy) == "variant"
    for value in (1, "a", {"a": [1, {"b": None}]}, [[["x"]]]):
        assert back(Json, value, policy) == value
    assert "holds Json within itself" in str(refusal(model_of(Json)))


def test_recursion_is_an_error_else() -> None:
    error = refusal(Tree)
    assert error.path == "children[]"
    assert "holds Tree within itself, and a Spark schema has an end" in str(error)


# ---------------------------------------------------------------------------------------------------- modes


class Line(BaseModel):
    price: Decimal = Field(max_digits=10, decimal_places=2)
    count: int
    secret: str = Field("x", exclude=True)

    @computed_field(description="what it costs")  # type: ignore[prop-decorator]
    @property
    def total(self) -> Annotated[Decimal, Field(max_digits=20, decimal_places=2)]:
        return self.price * self.count

    @computed_field(alias="labels")  # type: ignore[prop-decorator]
    @property
    def tags(self) -> set[str] | None:
        return None


def test_computed_and_excluded_fields() -> None:
    assert struct_type(Line).simpleString() == "struct<price:decimal(10,2),count:bigint,secret:string>"
    kind = struct_type(Line, "serialization")
    assert kind.simpleString() == "struct<price:decimal(10,2),count:bigint,total:decimal(20,2),tags:array<string>>"
    assert [field.nullable for field in kind] == [False, False, False, True]
    assert [field.metadata for field in kind][2:] == [{"comment": "what it costs"}, {"dynamodb": "SS"}]
    assert struct_type(Line, "serialization", by_alias=True).names[-1] == "labels"
    node = node_of(Line, "serialization")
    line = Line(price=Decimal("1.50"), count=2)
    assert node.dump is not None
    assert node.dump(line)["total"] == Decimal(3)
    assert Line.model_validate(through_arrow(node, line)) == line


class Serialized(BaseModel):
    a: Annotated[int, PlainSerializer(lambda value: f"#{value}", return_type=str)]
    b: list[Annotated[int, PlainSerializer(lambda value: value / 2, return_type=float)]]
    c: date
    d: date | None
    e: Annotated[date, PlainSerializer(str, return_type=str, when_used="json")]
    f: Number
    g: Annotated[int | None, WrapSerializer(lambda value, handler: handler(value), int, when_used="unless-none")]

    @field_serializer("c", "d", when_used="unless-none")
    def _day(self, value: date) -> int:
        return value.toordinal()

    @field_serializer("f")
    def _number(self, value: Number) -> Number | None:
        return None if value.value == 0 else Number(value=value.value + 1)


def test_serializers_with_return_types() -> None:
    kind = struct_type(Serialized, "serialization")
    assert kind.simpleString() == (
        "struct<a:string,b:array<double>,c:bigint,d:bigint,e:date,f:struct<value:bigint>,g:bigint>"
    )
    assert [field.nullable for field in kind] == [False, False, False, True, False, True, True]
    assert struct_type(Serialized)["a"].dataType.simpleString() == "bigint"
    day = date(1, 1, 2)
    row = {"a": "#1", "b": [0.5], "c": 2, "d": None, "e": day, "f": {"value": 6}, "g": None}
    node = node_of(Serialized, "serialization")
    assert node.dump is not None
    value = Serialized(a=1, b=[1], c=day, d=None, e=day, f=Number(value=5), g=None)
    assert node.dump(value) == row
    assert node.dump(value.model_copy(update={"f": Number(value=0), "g": 3})) == {**row, "f": None, "g": 3}


def test_a_model_s_own_serializer() -> None:
    class Point(BaseModel):
        x: int
        y: int

        @model_serializer
        def _text(self) -> str:
            return f"{self.x},{self.y}"

    model = create_model("Model", points=(list[Point], ...))
    assert struct_type(model, "serialization").simpleString() == "struct<points:array<string>>"
    node = node_of(model, "serialization")
    assert node.dump is not None
    assert node.dump(model(points=[{"x": 1, "y": 2}])) == {"points": ["1,2"]}
    assert "is a string, which has no fields" in str(refusal(Point, mode="serialization"))


def test_a_serializer_must_say_what_it_returns() -> None:
    class Order(BaseModel):
        price: int

        @field_serializer("price")
        def _price(self, value):  # type: ignore[no-untyped-def]
            return value

    error = refusal(Order, mode="serialization")
    assert error.path == "price"
    assert "its serializer doesn't say what it returns" in str(error)
    element = Annotated[int, PlainSerializer(lambda value: value)]
    assert refusal(model_of(list[element]), mode="serialization").path == "x[]"


def test_other_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="mode is 'validation' or 'serialization', not 'json'"):
        struct_type(Line, "json")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------- aliases


class Aliased(BaseModel):
    a: int = Field(alias="A")
    b: int = Field(validation_alias="B")
    c: int = Field(serialization_alias="C")
    d: int = Field(validation_alias=AliasChoices(AliasPath("x", 0), "D", "DD"))
    e: Number = Field(alias="E")


def test_aliases() -> None:
    assert struct_type(Aliased).names == ["a", "b", "c", "d", "e"]
    assert struct_type(Aliased, by_alias=True).names == ["A", "B", "c", "D", "E"]
    assert struct_type(Aliased, "serialization", by_alias=True).names == ["A", "b", "C", "d", "E"]
    value = Aliased.model_validate({"A": 1, "B": 2, "c": 3, "D": 4, "E": {"value": 5}})
    for choices in ({}, {"by_alias": True}, {"mode": "serialization", "by_alias": True}):
        assert Aliased.model_validate(through_arrow(node_of(Aliased, **choices), value)) == value


def test_the_configuration_of_the_model_decides() -> None:
    config = ConfigDict(alias_generator=str.upper, serialize_by_alias=True)
    inner = create_model("Inner", __config__=config, y=(int, ...))
    outer = create_model("Outer", x=(inner, Field(alias="X")))
    assert struct_type(outer).simpleString() == "struct<x:struct<Y:bigint>>"
    assert struct_type(outer, by_alias=False).simpleString() == "struct<x:struct<y:bigint>>"
    assert struct_type(outer, by_alias=True).simpleString() == "struct<X:struct<Y:bigint>>"
    assert node_of(outer).fields[0].node.fields[0].attribute == "y"


def test_aliases_that_name_no_column() -> None:
    model = create_model("Model", a=(int, Field(validation_alias=AliasPath("x", 0))), b=(int, Field(alias="c")))
    assert struct_type(model).names == ["a", "b"]
    assert struct_type(model, by_alias=True).names == ["a", "c"] == list(model.model_json_schema()["properties"])
    value = model(x=[1], c=2)
    assert model.model_validate(through_arrow(node_of(model, by_alias=True), value)) == value


def test_two_fields_of_one_name() -> None:
    model = create_model("Model", a=(int, Field(serialization_alias="x")), b=(int, Field(serialization_alias="x")))
    error = refusal(model, mode="serialization", by_alias=True)
    assert (error.path, "the fields a and b have this one name" in str(error)) == ("x", True)


# ---------------------------------------------------------------------------------------------------- fields


def test_metadata_of_one_s_own() -> None:
    extra = {"spark_metadata": {"comment": "mine", "owner": {"team": "x"}}, "other": 1}
    model = create_model(
        "Model",
        a=(set[str], Field(description="what it is", json_schema_extra=extra)),
        b=(int, Field(json_schema_extra={"x": 1})),
        c=(int, Field(json_schema_extra=lambda schema: None)),
    )
    assert [field.metadata for field in struct_type(model)] == [
        *({"comment": "mine", "owner": {"team": "x"}, "dynamodb": "SS"}, {}, {})
    ]
    wrong = create_model("Model", a=(int, Field(json_schema_extra={"spark_metadata": 5})))
    assert "spark_metadata is a dict of a column's metadata, not 5" in str(refusal(wrong))


def test_constraints_members_and_classes_are_on_the_nodes() -> None:
    text = pydantic.StringConstraints(max_length=3, pattern="a+")
    model = create_model(
        "Model",
        a=(Annotated[str, text, "a note"] | None, Field(min_length=1)),
        b=(list[Annotated[int, Field(ge=0)]], Field(max_length=2)),
        c=(Plain, ...),
        d=(UUID, ...),
        e=(tuple[int, int], ...),
        f=(dict[Annotated[str, Field(min_length=2)], Number], ...),
    )
    a, b, c, d, e, f = (child.node for child in node_of(model).fields)
    kinds = [type(entry).__name__ for entry in a.constraints]
    assert sorted(kinds) == ["MaxLen", "MinLen", "_PydanticGeneralMetadata"]
    assert b.constraints == (annotated_types.MaxLen(2),)
    assert b.element is not None
    assert (b.element.path, b.element.constraints) == ("b[]", (annotated_types.Ge(0),))
    assert c.members == ("a", "b")
    assert d.constraints == (UUID,)
    assert e.constraints == (annotated_types.MinLen(2), annotated_types.MaxLen(2))
    assert f.key is not None
    assert f.value is not None
    assert (f.key.constraints, f.value.model, f.value.path) == ((annotated_types.MinLen(2),), Number, "f{}")
    assert [node.path for node in node_of(model).below()][-3:] == ["f{}", "f{}", "f{}.value"]


def test_a_dataclass_has_its_own_descriptions() -> None:
    @dataclasses.dataclass
    class Point:
        x: Annotated[int, Field(description="across")]
        y: int = dataclasses.field(default=0, metadata={"description": "up"})
        z: int = Field(0, description="deep")

    assert [field.metadata["comment"] for field in struct_type(Point)] == ["across", "up", "deep"]


def test_forward_references_that_nothing_resolves() -> None:
    class Order(BaseModel):
        price: Optional[Nowhere]  # type: ignore[name-defined]  # noqa: F821, UP045
        items: list[int]

    error = refusal(Order)
    assert error.path == "price"
    assert "isn't resolved. Define what it names, and call the model's model_rebuild()" in str(error)

    @dataclasses.dataclass
    class Point:
        x: Nowhere  # type: ignore[name-defined]  # noqa: F821

    assert "refers to what is not defined: name 'Nowhere' is not defined" in str(refusal(Point))


def test_storage_forms_of_types_that_a_field_says_itself() -> None:
    wrong = Annotated[datetime, SparkType("STRING"), StorageForm("N")]
    assert "string can't be stored as DynamoDB type 'N'" in str(refusal(model_of(wrong)))
    right = Annotated[datetime, SparkType("TIMESTAMP"), StorageForm("N")]
    assert struct_type(model_of(right))["x"].metadata == {"dynamodb": "N"}
    assert struct_type(model_of(Annotated[set[int], SparkType("VARIANT")]))["x"].metadata == {}


def test_open_structs_of_every_kind() -> None:
    @pydantic.dataclasses.dataclass(config=ConfigDict(extra="allow"))
    class Open:
        x: int

    cat = create_model("Cat", __config__=ConfigDict(extra="ignore"), kind=(Literal["cat"], ...))
    model = create_model("Model", a=(tuple[int, Open], ...), b=(dict[str, cat | Dog], ...))  # type: ignore[valid-type]
    assert open_structs(model, policy=MERGE) == {"a._2", "b{}"}
    assert open_structs(model, policy=VARIANT) == {"a._2", "b{}"}


# ---------------------------------------------------------------------------------------------------- the whole


def test_a_schema_belongs_to_who_asked_for_it() -> None:
    struct_type(Line).add("more", "string")
    inner = struct_type(model_of(list[Line]))["x"].dataType.elementType
    assert isinstance(inner, StructType)
    inner.add("more", "string")
    assert struct_type(Line).names == ["price", "count", "secret"]
    assert struct_type(model_of(list[Line]))["x"].dataType.elementType.names == ["price", "count", "secret"]


def test_nodes_are_made_once() -> None:
    assert node_of(Line) is node_of(Line)
    assert node_of(Line) is not node_of(Line, "serialization")
    assert node_of(Line, policy=SchemaPolicy()) is node_of(Line)


def test_a_thousand_fields_take_no_time() -> None:
    annotations = [int, str, float | None, Decimal, datetime, list[int], dict[str, str], set[str], bool, Line]
    fields: dict[str, Any] = {f"field_{place}": (annotations[place % 10], ...) for place in range(1_000)}
    model = create_model("Wide", **fields)
    times = []
    gc.collect()
    for _ in range(5):
        _made_once.cache_clear()
        start = clock.process_time()  # other processes don't count
        assert len(struct_type(model).fields) == 1_000
        times.append(clock.process_time() - start)
    assert statistics.median(times) < 0.15  # 0.03 on an idle machine


def test_the_table_of_annotations() -> None:
    rows = {row.annotation: row for row in annotation_types()}
    assert rows["timedelta"][1:3] == ("INTERVAL DAY TO SECOND", "N")
    assert rows["set[str], frozenset[UUID]"].dynamodb == "SS"
    assert rows["Any, JsonValue"][1:3] == ("VARIANT", "any")
    assert len(rows) > 40
