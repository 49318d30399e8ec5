"""What a model's values become in columns and what comes back: what is lossless, what is not and what it becomes, what is loud."""

from __future__ import annotations

import collections
import dataclasses
import ipaddress
import math
import pickle
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pydantic
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, AwareDatetime, BaseModel, ConfigDict, Field, create_model
from pyspark.sql import types
from pyspark.sql.types import StructType

from spark_dynamo.errors import SchemaError
from spark_dynamo.schema.bridge import node_of
from spark_dynamo.schema.policy import SchemaPolicy, SparkType
from spark_dynamo.schema.rows import spark_arrow_schema
from spark_dynamo.wire.types import arrow_type
from tests.schema.models import Colour, Plain, Size, Weekday, models, through_arrow, values

SOME_ID = UUID("12345678-1234-5678-1234-567812345678")


@given(st.data(), models())
def test_every_model_comes_back_as_it_was(data: st.DataObject, model: type[BaseModel]) -> None:
    value = data.draw(values(model))
    assert model.model_validate(through_arrow(node_of(model), value)) == value


def back(annotation: Any, value: Any, *, strict: bool = True, **choices: Any) -> Any:
    """The value of a field after its way through a column, validated by a model that converts nothing."""
    config = ConfigDict(strict=strict, extra="forbid", arbitrary_types_allowed=True)
    model = create_model("Model", __config__=config, x=(annotation, ...))
    node = node_of(model, **choices)
    loaded = through_arrow(
        node, model(x=value), spark_arrow_schema(StructType().add("x", node.data_type)).field(0).type
    )
    return model.model_validate(loaded).x  # type: ignore[attr-defined]


class Pair(NamedTuple):
    left: int
    right: Plain | None = None


class Options(typing_extensions.TypedDict, total=False):
    depth: int
    name: typing_extensions.Required[Plain]


@pydantic.dataclasses.dataclass
class Point:
    x: int
    colour: Plain = Field(alias="c")


class Ids(pydantic.RootModel[list[UUID]]):
    pass


@dataclasses.dataclass
class Box:
    """Only its `width` is taken by `__init__`."""

    width: int
    colour: Plain = dataclasses.field(init=False)
    inner: Child | None = dataclasses.field(init=False, default=None)
    _area: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        self.colour, self._area = Plain.A, self.width**2


@pydantic.dataclasses.dataclass(frozen=True)
class Frozen:
    x: int
    y: int = Field(default=0, init=False)


def changed(instance: Any, **held: Any) -> Any:
    for name, value in held.items():
        object.__setattr__(instance, name, value)
    return instance


class Elsewhere(BaseModel):
    """All that it holds is found inside other values, or in one that another field has the name of."""

    city: str = Field("", validation_alias=AliasPath("address", "city"))
    code: Plain | None = Field(None, validation_alias=AliasPath("address", "codes", -1))
    first: int = Field(0, validation_alias=AliasChoices(AliasPath("numbers", 0), AliasPath("numbers", "first")))
    numbers: list[int] = Field([], validation_alias=AliasChoices("counts", AliasPath("more", "numbers")))
    a: int = Field(1, alias="b")
    b: int = Field(2, alias="a")


class Crossed(BaseModel, populate_by_name=True):
    a: int = Field(alias="b")
    b: int = Field(alias="a")
    c: int = Field(0, validation_alias=AliasPath("deep", "c"))


class Named(BaseModel, validate_by_alias=False, validate_by_name=True):
    a: int = Field(alias="b")
    b: int = Field(alias="a")


class Child(BaseModel):
    day: date


ROUND: list[tuple[Any, Any]] = [
    (pydantic.SecretStr, pydantic.SecretStr("s3cret")),
    (pydantic.SecretBytes, pydantic.SecretBytes(b"s3cret")),
    (pydantic.Secret[int], pydantic.Secret[int](5)),
    (pydantic.Secret[date], pydantic.Secret[date](date(2024, 1, 1))),
    (pydantic.IPvAnyInterface, ipaddress.ip_interface("10.0.0.1/8")),
    (pydantic.PostgresDsn, pydantic.PostgresDsn("postgres://u:p@h1,h2/db")),
    (ZoneInfo, ZoneInfo("Europe/Berlin")),
    (pydantic.ByteSize, pydantic.ByteSize(5)),
    (Path, Path("a/ä")),
    (time, time(1, 2, 3, 4, tzinfo=timezone(timedelta(hours=1)))),
    (timedelta, timedelta(microseconds=-1)),
    (Decimal, Decimal("-0.000000000000000001")),
    (AwareDatetime, datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
    (AwareDatetime, datetime(1, 1, 1, tzinfo=UTC)),
    (Weekday, Weekday.MONDAY | Weekday.SUNDAY),
    (set[Plain], {Plain.A, Plain.B}),
    (frozenset[int], frozenset()),
    (collections.deque[Plain], collections.deque([Plain.A])),
    (Sequence[Plain], [Plain.A]),
    (Mapping[Size, Plain], {Size.LARGE: Plain.A}),
    (dict[int, date], {1: date(2024, 1, 1)}),
    (dict[date, str], {date(2024, 1, 1): "a"}),
    (dict[bool, int | None], {True: None}),
    (dict[Decimal, UUID], {Decimal("1.5"): SOME_ID}),
    (collections.OrderedDict[str, UUID], collections.OrderedDict(a=SOME_ID)),
    (tuple[Plain, Plain], (Plain.A, Plain.B)),
    (tuple[Plain, int, Child | None], (Plain.A, 1, Child(day=date(2024, 1, 1)))),
    (Pair, Pair(1, Plain.A)),
    (Pair, Pair(1)),
    (Options, {"name": Plain.B}),
    (Options, {"name": Plain.B, "depth": 3}),
    (Point, Point(1, c=Plain.A)),  # type: ignore[call-arg]
    (Ids, Ids([SOME_ID])),
    (Box, Box(3)),
    (Box, changed(Box(3), colour=Plain.B, inner=Child(day=date(2024, 1, 1)), _area=8)),
    (list[Frozen], [changed(Frozen(1), y=5)]),
    (Elsewhere, Elsewhere()),
    (Elsewhere, Elsewhere().model_copy(update={"city": "Rome", "code": Plain.B, "first": 3, "numbers": [1], "a": 5})),
    (dict[str, Elsewhere], {"x": Elsewhere().model_copy(update={"city": "Rome"})}),
    (Crossed, Crossed(b=1, a=2).model_copy(update={"c": 3})),
    (Named, Named(a=1, b=2)),  # type: ignore[call-arg]
    (list[Ids | None], [Ids([]), None]),
    (dict[str, Child], {"a": Child(day=date(2024, 1, 1))}),
    (Annotated[int, SparkType("DECIMAL(20,0)")], 2**63),
    (Annotated[int, SparkType("STRING")], -5),
    (Annotated[Plain, SparkType("STRING COLLATE UTF8_LCASE")], Plain.A),
    (Annotated[Decimal, SparkType("BIGINT")], Decimal(5)),
    (Annotated[Decimal, SparkType("STRING")], Decimal("1.50")),
    (Annotated[float, SparkType("FLOAT")], 0.5),
    (Annotated[datetime, SparkType("STRING")], datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
    (Annotated[date, SparkType("STRING")], date(2024, 1, 1)),
    (Annotated[Child, SparkType("VARIANT")], Child(day=date(2024, 1, 1))),
    (Annotated[dict[str, timedelta], SparkType("VARIANT")], {"a": timedelta(1)}),
    (Annotated[object, SparkType("VARIANT")], {"a": [1, None]}),
    *(
        [(Annotated[time, SparkType("TIME")], time(1, 2, 3, 4))] if hasattr(types, "TimeType") else []
    ),  # since Spark 4.1
    (Any, {"a": {1, 2}, "b": [b"x", Decimal("1.5"), None, True], "c": {"x"}, "d": {b"y"}}),
]


@pytest.mark.parametrize(("annotation", "value"), ROUND)
def test_what_round_trips(annotation: Any, value: Any) -> None:
    found = back(annotation, value)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("annotation", "given"),
    [(pydantic.Json[list[int]], "[1, 2]"), (pydantic.Base64Str, "aGk="), (pydantic.Base64Bytes, b"aGk=")],
)
def test_what_validation_decodes_is_stored_as_encoded(annotation: Any, given: str | bytes) -> None:
    model = create_model("Model", x=(annotation, ...))
    value = model(x=given)
    assert model.model_validate(through_arrow(node_of(model), value)) == value


# what a value becomes that does not come back as it was
BECOMES: list[tuple[Any, Any, Any]] = [
    (datetime, datetime(2024, 1, 1, 10), datetime(2024, 1, 1, 10, tzinfo=UTC)),  # no zone counts as UTC
    (Any, 0.1, Decimal("0.1")),
    (Any, 2.0, 2),
    (Any, (1, 2), [1, 2]),
    (Any, Size.LARGE, 2),
    (Any, Plain.A, "a"),
    (Any, datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "2024-01-01T00:00:00.000000+00:00"),
    (Any, datetime(2024, 1, 1), "2024-01-01T00:00:00.000000"),
    (Any, date(2024, 1, 1), "2024-01-01"),
    (Any, time(1, 2), "01:02:00"),
    (Any, timedelta(seconds=90), 90),
    (Any, SOME_ID, str(SOME_ID)),
    (Any, Path("a"), "a"),
    (Any, pydantic.SecretStr("s"), "s"),
    (Any, Child(day=date(2024, 1, 1)), {"day": "2024-01-01"}),
    (Any, Pair(1), [1, None]),
    (Any, Point(1, c=Plain.A), {"x": 1, "colour": "a"}),  # type: ignore[call-arg]
    (Any, bytearray(b"x"), b"x"),
    (
        typing_extensions.TypedDict("Maybe", {"x": typing_extensions.NotRequired[int | None]}),
        {"x": None},
        {},
    ),
]


@pytest.mark.parametrize(("annotation", "value", "becomes"), BECOMES)
def test_what_does_not_round_trip_and_what_it_becomes(annotation: Any, value: Any, becomes: Any) -> None:
    found = back(annotation, value)
    assert found == becomes
    assert type(found) is type(becomes)


class Loose(BaseModel, extra="allow"):
    n: int


class Further(Child):
    note: str = "x"


LOUD: list[tuple[Any, Any, str]] = [
    (int, 2**63, "too large"),
    (int, 1.5, "cannot be interpreted as an integer"),
    (Annotated[int, Field(le=10**30)], -(10**38), "38"),
    (Decimal, Decimal("1E-19"), "data loss"),
    (Decimal, Decimal("NaN"), "NaN"),
    (Annotated[Decimal, SparkType("BIGINT")], Decimal("1.5"), "1.5 has a fraction"),
    (Annotated[float, SparkType("FLOAT")], 0.1, "0.1 is no 32-bit floating-point number, and would be rounded to"),
    (Annotated[float, SparkType("FLOAT")], 1e300, "is no 32-bit floating-point number"),
    (timedelta, timedelta.max, "too large"),
    (date, datetime(2024, 1, 1, 5), "is a datetime, not a date"),
    (pydantic.NaiveDatetime, datetime(2024, 1, 1, tzinfo=UTC), "has a time zone, which TIMESTAMP_NTZ can't hold"),
    (datetime, pd.Timestamp("2024-01-01 00:00:00.123456789Z"), "has nanoseconds, and a column ends with microseconds"),
    (list[AwareDatetime], [pd.Timestamp("2024-01-01 00:00:00.000000001Z")], "has nanoseconds"),
    (pydantic.NaiveDatetime, pd.Timestamp("2024-01-01 00:00:00.000000001"), "has nanoseconds"),
    (timedelta, pd.Timedelta("1ns"), "has nanoseconds"),
    (Any, {"at": pd.Timestamp("2024-01-01 00:00:00.000000001")}, "has nanoseconds"),
    (Any, [pd.Timedelta("1ns")], "has nanoseconds"),
    (Child, {"day": date(2024, 1, 1)}, r"^x \(Child\) is a dict, and no Child"),
    (Box, [1], r"^x \(Box\) is a list, and no Box"),
    (Box, Box, r"^x \(Box\) is a type, and no Box"),
    (str, "\ud800", "surrogates not allowed"),
    (str, None, "^x is None, which its type doesn't allow"),
    (list[str], ["a", None], r"^x\[\] holds None, which its type doesn't allow"),
    (set[str], {"a", None}, r"^x\[\] holds None, which its type doesn't allow"),
    (dict[str, int], {"a": None}, "^x{} is None, which its type doesn't allow"),
    (tuple[int, str], (1, None), "^x._2 is None, which its type doesn't allow"),
    (tuple[int, str], (1, "a", "b"), "^x holds 3 values, not 2"),
    (Colour, "green", "^'green' is none of 'red', 'blue'"),
    (Child, Further(day=date(2024, 1, 1)), r"^x \(Child\) is a Further, whose fields note no column holds"),
    (Loose, Loose(n=1, more=2), r"^x \(Loose\) has values that no column holds: more"),  # type: ignore[call-arg]
    (Options, {"name": Plain.A, "more": 1}, r"^x \(Options\) has values that no column holds: more"),
    (Any, {1: 2}, "^x: the key 1 is no text"),
    (Any, {"": 2}, "empty"),
    (Any, set(), "empty sets"),
    (Any, {1, "a"}, "is no set of texts, numbers or bytes alone"),
    (Any, math.nan, "NaN"),
    (Any, 10**39 + 1, "38 significant digits"),
    (Any, object(), "is of type object, which a VARIANT can't hold"),
]


@pytest.mark.parametrize(("annotation", "value", "problem"), LOUD)
def test_what_does_not_fit_is_loud(annotation: Any, value: Any, problem: str) -> None:
    config = ConfigDict(arbitrary_types_allowed=True)
    model = create_model("Model", __config__=config, x=(annotation, ...))
    node = node_of(model)
    with pytest.raises((ValueError, TypeError, OverflowError, pa.ArrowException), match=problem):
        through_arrow(node, model.model_construct(x=value))


def test_times_of_pandas_without_nanoseconds_come_back() -> None:
    assert back(datetime, pd.Timestamp("2024-01-01 00:00:00.123456Z")) == datetime(
        2024, 1, 1, 0, 0, 0, 123456, tzinfo=UTC
    )


def test_what_validation_would_find_elsewhere_is_loud_unless_it_is_the_same() -> None:
    class Event(BaseModel):
        payload: dict[str, str | None]
        city: str = Field("Rome", validation_alias=AliasPath("payload", "city"))
        day: date = Field(date(2024, 1, 1), alias="at")
        at: date = date(2024, 1, 1)

    node = node_of(Event)
    for payload in ({"city": "Paris"}, {}):
        event = Event.model_validate({"payload": payload})
        assert Event.model_validate(through_arrow(node, event)) == event
    for update in ({"city": "Oslo"}, {"payload": {}, "city": "Paris"}, {"day": date(2025, 1, 1)}):
        other = Event.model_validate({"payload": {"city": "Paris"}}).model_copy(update=update)
        with pytest.raises(
            SchemaError, match=r"^Field '(city|at)': its value can't be handed back, as validation takes"
        ):
            through_arrow(node, other)


def test_what_an_init_does_not_take_is_validated() -> None:
    model = create_model("Model", x=(Frozen, ...), y=(Box, ...))
    load = node_of(model).load
    assert load is not None
    missing = model.model_validate(load({"x": {"x": 1}, "y": {"width": 2}}))
    assert missing == model(x=Frozen(1), y=Box(2))
    with pytest.raises(pydantic.ValidationError, match="colour"):
        load({"x": {"x": 1}, "y": {"width": 2, "colour": "green"}})
    with pytest.raises(pydantic.ValidationError, match=r"y\.width\n"):
        model.model_validate(load({"x": {"x": 1}, "y": {"width": "two", "colour": "a"}}))


@pytest.mark.parametrize("text", ["24:00", "T24", "24:00:00Z"])
def test_the_end_of_a_day_is_no_time_of_it(text: str) -> None:
    model = create_model("Model", x=(time, ...))
    load = node_of(model).load
    assert load is not None
    assert load({"x": "T23:59"}) == {"x": time(23, 59)}
    assert load({"x": text}) == {"x": text}  # the model says what is wrong with it
    with pytest.raises(pydantic.ValidationError):
        model.model_validate(load({"x": text}))


def test_two_values_that_are_one_in_a_set_are_loud() -> None:
    model = create_model("Model", x=(set[pydantic.AnyUrl | str], ...))
    node = node_of(model, policy=SchemaPolicy(scalar_unions="string"))
    with pytest.raises(ValueError, match="^x holds values that are one and the same in DynamoDB"):
        through_arrow(node, model.model_construct(x={pydantic.AnyUrl("http://a/"), "http://a/"}))


def test_what_a_column_holds_that_is_no_member_is_left_to_the_model() -> None:
    model = create_model("Model", x=(Plain, ...), y=(UUID, ...), z=(Weekday, ...))
    node = node_of(model)
    assert node.load is not None
    loaded = node.load({"x": "zzz", "y": "no uuid", "z": 128})
    assert loaded == {"x": "zzz", "y": "no uuid", "z": 128}
    with pytest.raises(pydantic.ValidationError, match="3 validation errors"):
        model.model_validate(loaded)


def test_a_secret_is_not_in_an_error() -> None:
    model = create_model("Model", x=(pydantic.SecretStr, Field(max_length=3)))
    node = node_of(model)
    assert node.load is not None
    with pytest.raises(pydantic.ValidationError) as caught:
        model.model_validate(node.load({"x": "very secret"}))
    assert "very" not in str(caught.value)


def test_enum_values_in_place_of_members() -> None:
    model = create_model("Model", __config__=ConfigDict(use_enum_values=True), x=(Plain, ...), y=(Size, ...))
    value = model(x="a", y=2)
    assert model.model_validate(through_arrow(node_of(model), value)) == value


def test_a_missing_column_leaves_the_default() -> None:
    model = create_model("Model", x=(int, 5), y=(int | None, 6))
    node = node_of(model)
    assert node.load is not None
    assert node.load({}) == {}
    assert node.load({"y": None}) == {"y": None}


def test_sets_are_sorted() -> None:
    model = create_model("Model", x=(set[Colour], ...), y=(set[int], ...))
    node = node_of(model)
    assert node.dump is not None
    assert node.dump(model(x={"red", "blue"}, y={3, -1, 2})) == {"x": ["blue", "red"], "y": [-1, 2, 3]}


def test_the_arrow_type_of_values_is_that_of_the_wire() -> None:
    model = create_model("Model", x=(timedelta, ...), y=(set[int], ...))
    assert arrow_type(node_of(model).data_type).field("x").type == pa.duration("us")


def test_schemas_survive_pickling() -> None:
    assert pickle.loads(pickle.dumps(node_of(Child).data_type)) == node_of(Child).data_type
