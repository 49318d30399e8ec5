"""The table of constraints, read without Spark: which words a check has, what needs none, what stays unchecked and why."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntFlag
from typing import Annotated, Any, Literal, NewType

import annotated_types
import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pyspark.sql.types import DataType, DateType, DecimalType, DoubleType, LongType, StringType, TimestampType

from spark_dynamo.schema.bridge import node_of
from spark_dynamo.schema.checks.constraints import Checks, checks_of
from spark_dynamo.schema.checks.limits import beyond, no_multiple, too_many_digits
from spark_dynamo.schema.checks.patterns import java_pattern
from spark_dynamo.schema.checks.sql import LiteralError, field, identifier, literal, text
from spark_dynamo.schema.checks.violations import unchecked
from spark_dynamo.schema.nodes import Node
from spark_dynamo.schema.policy import SchemaPolicy, SparkType


def _checks(annotation: Any, policy: SchemaPolicy | None = None, **config: Any) -> Checks:
    model = pydantic.create_model("Model", __config__=ConfigDict(**config), value=(annotation, ...))
    return checks_of(node_of(model, policy=policy).fields[0].node, model.model_config)


def _words(annotation: Any, **config: Any) -> list[str]:
    return [check.wording for check in _checks(annotation, **config).checks]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Open(Enum):
    RED = "red"

    @classmethod
    def _missing_(cls, value: object) -> Open:
        return cls.RED


class Rights(IntFlag):
    READ = 1
    WRITE = 2


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, []),
        (Annotated[int, Field(ge=0, lt=10)], ["ge=0", "lt=10"]),
        (Annotated[int | None, Field(gt=1)], ["gt=1"]),
        (pydantic.PositiveInt, ["gt=0"]),
        (pydantic.conint(ge=1, multiple_of=2), ["ge=1", "multiple_of=2"]),
        (Annotated[int, annotated_types.Interval(gt=0, le=9)], ["gt=0", "le=9"]),
        (Annotated[int, Field(ge=5), Field(ge=1)], ["ge=1"]),  # the last one holds, as in Pydantic
        (Annotated[int, Field(strict=True)], []),
        (Annotated[int, Field(multiple_of=1)], []),
        (Annotated[int, Field(ge=-(2**63), le=2**63 - 1)], []),  # each BIGINT is
        (pydantic.FiniteFloat, ["allow_inf_nan=False"]),
        (annotated_types.IsFinite[float], ["predicate isfinite"]),
        (annotated_types.IsNotNan[float], ["not isnan"]),
        (pydantic.condecimal(max_digits=5, decimal_places=2), []),  # DECIMAL(5,2) can't hold more
        (Annotated[Decimal, Field(max_digits=3)], ["max_digits=3"]),
        (Annotated[Decimal, Field(decimal_places=2), SparkType("DECIMAL(10,4)")], ["decimal_places=2"]),
        (Annotated[str, Field(pattern="^[a-z]+$", max_length=3)], ["max_length=3", "pattern=^[a-z]+$"]),
        (Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1)], ["min_length=1"]),
        (Annotated[str, Field(min_length=0)], []),
        (Annotated[bytes, annotated_types.Len(2, 4)], ["min_length=2", "max_length=4"]),
        (list[Annotated[int, Field(ge=0)]], []),  # its elements have a node of their own
        (pydantic.conlist(int, max_length=3), ["max_length=3"]),
        (Annotated[set[int], Field(min_length=2)], ["min_length=2"]),
        (tuple[int, int], ["min_length=2", "max_length=2"]),
        (Annotated[dict[str, int], Field(max_length=1)], ["max_length=1"]),
        (Colour, ["one of 'red', 'blue'"]),
        (Literal[1, 2, None], ["one of 1, 2"]),
        (pydantic.UUID4, ["uuid", "uuid_version=4"]),
        (pydantic.PastDate, ["past"]),
        (pydantic.FutureDatetime, ["future"]),
        (Annotated[pydantic.SecretStr, Field(min_length=3)], ["min_length=3"]),
        (pydantic.ByteSize, ["ge=0"]),
    ],
)
def test_the_checks_of_an_annotation(annotation: Any, words: list[str]) -> None:
    found = _checks(annotation)
    assert sorted(check.wording for check in found.checks) == sorted(words)
    assert found.unchecked == ()


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (pydantic.HttpUrl, ["HttpUrl: only Python knows its format"]),
        (pydantic.IPvAnyAddress, ["IPvAnyAddress: only Python knows its format"]),
        (pydantic.FilePath, ["PathType: only Python knows what it does"]),
        (Rights, ["Rights: which flags there are"]),
        (Annotated[str, Field(pattern=re.compile("a"))], ["pattern=a: is a pattern of Python's re"]),
        (Annotated[str, Field(pattern="(?x)a b")], ["pattern=(?x)a b: has '(?x)a b' at position 0"]),
        (Annotated[int, pydantic.AfterValidator(abs)], ["after validator abs"]),
        (
            Annotated[int, pydantic.AfterValidator(abs), Field(ge=2)],
            ["after validator abs", "ge=2: it is checked after abs"],
        ),
        (Annotated[int, pydantic.BeforeValidator(int)], ["before validator int"]),
        (Annotated[int, pydantic.PlainValidator(int)], ["plain validator int"]),
        (Annotated[int, annotated_types.Predicate(math.isqrt)], ["predicate isqrt"]),
        (Annotated[int, Field(ge=0), SparkType("STRING")], ["ge=0: string can't be compared with 0"]),
        (
            Annotated[set[Annotated[str, StringConstraints(to_lower=True)]], Field(max_length=1)],
            ["max_length=1: elements may become equal, and one, when they are validated"],
        ),
        (
            Annotated[str, Field(pattern="^(a|b)+$")],
            ["pattern=^(a|b)+$: in texts of more than 500 characters"],
        ),
        (Annotated[str, Field(pattern="^(a|b)+$", max_length=500)], []),
        (pydantic.Json[list[int]], ["Json: only Python knows its format"]),
        (pydantic.Base64Bytes, ["EncodedBytes: only Python knows what it does"]),
    ],
)
def test_what_no_column_expression_can_check(annotation: Any, told: list[str]) -> None:
    assert list(_checks(annotation).unchecked) == told


def test_a_place_that_pydantic_does_not_look_at_has_no_checks() -> None:
    skipped = _checks(pydantic.SkipValidation[Annotated[int, Field(ge=0)]])
    assert (skipped.is_replaced, skipped.checks, skipped.unchecked) == (True, (), ())
    assert _checks(Annotated[int, Field(ge=0), pydantic.PlainValidator(int)]).is_replaced


def test_a_secret_is_not_to_be_shown() -> None:
    assert _checks(pydantic.SecretStr).is_secret
    assert not _checks(str).is_secret


def test_the_settings_of_a_model_hold_where_a_field_says_nothing_else() -> None:
    settings = {"str_max_length": 5, "str_min_length": 1, "allow_inf_nan": False}
    assert _words(str, **settings) == ["min_length=1", "max_length=5"]
    assert _words(Annotated[str, Field(max_length=9)], **settings) == ["min_length=1", "max_length=9"]
    assert _words(float, **settings) == ["allow_inf_nan=False"]
    assert _words(Annotated[float, Field(allow_inf_nan=True)], **settings) == []
    assert _words(Colour, **settings) == ["one of 'red', 'blue'"]
    assert _words(int, **settings) == []
    engine = _checks(Annotated[str, Field(pattern="a")], regex_engine="python-re")
    assert engine.unchecked == ("pattern=a: is a pattern of Python's re",)


@pytest.mark.parametrize(
    ("annotation", "conditions"),
    [
        (Annotated[int, Field(ge=0, lt=2**40)], ["v < 0", "v >= 1099511627776L"]),
        (Annotated[int, Field(multiple_of=3)], ["(v % 3 <> 0)"]),
        (Annotated[Decimal, Field(gt=0.1, max_digits=4, decimal_places=1)], ["v <= CAST('0.1' AS DECIMAL(4,1))"]),
        (Annotated[float, Field(le=1)], ["isnan(v) OR CAST(v AS DOUBLE) > 1.0D"]),
        (Annotated[str, Field(max_length=3)], ["length(v) > 3"]),
        (Annotated[str, Field(pattern="^a")], ["NOT rlike(v, CAST(X'5c4161' AS STRING))"]),
        (Annotated[set[int], Field(max_length=3)], ["array_size(array_distinct(transform(v, held -> held))) > 3"]),
        (Literal["a", "it's"], ["v NOT IN ('a', CAST(X'69742773' AS STRING))"]),
        (Annotated[date, Field(ge=date(2020, 1, 1))], ["v < CAST('2020-01-01' AS DATE)"]),
        (Annotated[datetime, Field(ge=datetime(1970, 1, 1))], ["v < timestamp_micros(0L)"]),
        (
            Annotated[timedelta, Field(gt=timedelta(days=-1, microseconds=-1))],
            ["v <= INTERVAL '-1 00:00:00.000001' DAY TO SECOND"],
        ),
        (pydantic.PastDate, ["v >= current_date()"]),
    ],
)
def test_the_condition_of_a_row_that_fails(annotation: Any, conditions: list[str]) -> None:
    assert [check.fails("v") for check in _checks(annotation).checks] == conditions


def test_names_and_texts_mean_the_same_in_every_session() -> None:
    assert [text(value) for value in ("", "a b?", "it's", "a\\b", "${x}", "é")] == [
        *("''", "'a b?'", "CAST(X'69742773' AS STRING)", "CAST(X'615c62' AS STRING)", "CAST(X'247b787d' AS STRING)"),
        "CAST(X'c3a9' AS STRING)",
    ]
    assert identifier("a`b") == "`a``b`"
    assert (field("`a`", "b c"), field("`a`", "é'")) == ("`a`['b c']", "coalesce(`a`).`é'`")


# ---------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("relation", "bound", "kind"),
    [
        ("ge", -(10**20), LongType()),
        ("gt", -(2**63) - 1, LongType()),
        ("le", Decimal("999.99"), DecimalType(5, 2)),
        ("lt", Decimal("999.991"), DecimalType(5, 2)),
    ],
)
def test_a_bound_that_every_value_of_the_type_keeps_needs_no_check(relation: str, bound: Any, kind: DataType) -> None:
    assert beyond(relation, bound, kind) is None


def test_multiples_and_digits_that_every_value_of_the_type_has_need_no_check() -> None:
    assert no_multiple(Decimal("0.01"), DecimalType(5, 2), is_decimal=True) is None
    assert no_multiple(Decimal("0.5"), LongType()) is None
    assert too_many_digits(5, 2, DecimalType(5, 2)) is None
    assert too_many_digits(None, 3, DecimalType(5, 2)) is None
    assert too_many_digits(5, None, DecimalType(5, 2)) is None


@pytest.mark.parametrize(
    ("value", "kind", "problem"),
    [
        ("a", LongType(), "'a' is no number"),
        (float("nan"), LongType(), "nan is no number"),
        (float("nan"), DoubleType(), "nothing compares with NaN"),
        (1.5, LongType(), "bigint can't hold 1.5"),
        (2**63, LongType(), "bigint can't hold 9223372036854775808"),
        (1, DateType(), "date can't be compared with 1"),
        ("2020-01-01", TimestampType(), "timestamp can't be compared with '2020-01-01'"),
        (b"a", StringType(), "string can't be compared with b'a'"),
    ],
)
def test_a_value_that_the_type_does_not_have_is_a_named_error(value: Any, kind: DataType, problem: str) -> None:
    with pytest.raises(LiteralError, match=re.escape(problem)):
        literal(value, kind)


# ---------------------------------------------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    ("rust", "java"),
    [
        ("^a$", r"\Aa\z"),
        ("a.b", r"a[^\n]b"),
        (r"\d+", r"[\p{Nd}]+"),
        (r"\D", r"[^\p{Nd}]"),
        ("[^0-9_]", r"[^0-9\_]"),
        (r"[\w.-]", r"[\p{IsAlphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}\.\-]"),
        ("(?P<year>[0-9]{4})-?", r"(?:[0-9]{4})\-?"),
        ("a{2,3}?", "a{2,3}?"),
        (r"[\]é]|x#y\t", r"[\]\x{E9}]|x\#y\x{9}"),
    ],
)
def test_a_pattern_of_rust_is_written_for_java(rust: str, java: str) -> None:
    assert java_pattern(rust) == java


# ---------------------------------------------------------------------------------------------------- models as a whole

Label = NewType("Label", str)


class Part(BaseModel):
    url: pydantic.AnyUrl

    def model_post_init(self, context: object) -> None:
        assert self.url


class Watched(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    count: int = Field(alias="Count")
    parts: list[Part] = []
    by_name: dict[str, Part] = {}
    _secret: int = 0

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def see(cls, value: object) -> object:
        return value

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def whole(cls, value: object, handler: Any) -> Any:
        return handler(value)


def test_everything_that_is_unchecked_has_its_path() -> None:
    assert unchecked(Watched) == [
        ("count", "before validator see"),
        ("parts", "before validator see"),
        ("by_name", "before validator see"),
        ("", "wrap model validator whole"),
        ("parts[]", "Part.model_post_init"),
        ("parts[].url", "AnyUrl: only Python knows its format"),
        ("by_name{}", "Part.model_post_init"),
        ("by_name{}.url", "AnyUrl: only Python knows its format"),
    ]
    assert unchecked(Watched, by_alias=True)[0] == ("Count", "before validator see")


def test_a_union_in_a_variant_or_as_text_is_unchecked() -> None:
    class Event(BaseModel):
        number: int | str
        anything: Any

    assert unchecked(Event, policy=SchemaPolicy(scalar_unions="variant")) == [
        ("number", "what a VARIANT holds: only Python knows which types it may be")
    ]
    assert unchecked(Event, policy=SchemaPolicy(scalar_unions="string")) == [
        ("number", "a union in one column: only Python knows which of its types a value is")
    ]


def test_arms_of_one_column_with_constraints_of_their_own_are_unchecked() -> None:
    class Reading(BaseModel):
        level: Annotated[int, Field(ge=3)] | Annotated[int, Field(le=-3)]
        state: Literal["a"] | Literal["b"]

    assert unchecked(Reading) == [("level", "a union in one column: only Python knows which of its types a value is")]


def test_an_enum_that_knows_more_values_than_its_members_is_unchecked() -> None:
    class Paint(BaseModel):
        colour: Open

    assert unchecked(Paint) == [("colour", "Open: its _missing_ may know more values")]
    node = Node("colour", StringType(), constraints=(Open,), members=("red",))
    found = checks_of(node, {})
    assert found.checks == ()
    assert found.unchecked == ("Open: its _missing_ may know more values",)


def test_a_node_made_by_hand_is_read_as_well() -> None:
    node = Node("price", LongType(), constraints=(Field(ge=1), annotated_types.Len(0, 3)))
    found = checks_of(node, {})
    assert [check.wording for check in found.checks] == ["ge=1"]
    assert found.unchecked == ("max_length=3: bigint has no length",)
