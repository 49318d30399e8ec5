"""`violations` refuses exactly the rows that Pydantic refuses, in one job; the rest is told as unchecked."""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pydantic
import pytest
from pydantic import UUID4, AwareDatetime, BaseModel, ConfigDict, Field, NaiveDatetime, SecretStr, StringConstraints
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import LongType, StructField, StructType
from typing_extensions import TypedDict

from spark_dynamo.errors import SchemaError, SchemaMismatchError
from spark_dynamo.schema.bridge import node_of, struct_type
from spark_dynamo.schema.checks.violations import unchecked, violations
from spark_dynamo.schema.policy import SchemaPolicy, SparkType
from tests.schema.refusals import all_nullable, random_rows, refused_paths, without_order, without_what_one_hides
from tests.tiers import quick

_TWO_HOURS_EAST = timezone(timedelta(hours=2))


@pytest.fixture
def setting(spark: SparkSession) -> Iterator[Callable[[str, str], None]]:
    """Sets a configuration of the session, which is put back after the test."""
    before: dict[str, str | None] = {}

    def set_to(name: str, value: str) -> None:
        before.setdefault(name, spark.conf.get(name))
        spark.conf.set(name, value)

    yield set_to
    for name, value in before.items():
        assert value is not None
        spark.conf.set(name, value)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 9


class Numbers(BaseModel):
    plain: int
    between: int = Field(ge=1, lt=10)
    edge: int = Field(ge=-(2**63), lt=2**63 - 1)
    beyond: int = Field(gt=-(10**30), multiple_of=5)
    third: int | None = Field(default=None, multiple_of=3, gt=-1)
    narrow: Annotated[int, Field(le=100), SparkType("TINYINT")]
    price: Decimal = Field(max_digits=6, decimal_places=2, ge=0, multiple_of=Decimal("0.05"))
    ratio: Decimal = Field(gt=Decimal("0.1"), le=10.5)
    few: Decimal = Field(max_digits=3)
    places: Annotated[Decimal, Field(decimal_places=3), SparkType("DECIMAL(12, 6)")]
    odd: Annotated[Decimal, Field(multiple_of=Decimal("0.003")), SparkType("DECIMAL(9, 2)")]
    long: Decimal = Field(multiple_of=Decimal("0.000001"))
    free: float
    positive: float = Field(gt=0)
    finite: float = Field(ge=-1, le=9.5, allow_inf_nan=False)
    tenth: float = Field(multiple_of=0.1)
    level: Level | None
    one: Literal[1, 2, 3]


class Texts(BaseModel):
    code: str = Field(pattern=r"^[a-z]+\d*$", max_length=4)
    found: str = Field(pattern=r"\w\W?$")
    folded: str | None = Field(pattern="^[^k-sK-S]*$")
    shorts: str = Field(min_length=1, max_length=1)
    trimmed: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2, pattern="^[^ ]*$")]
    lowered: Annotated[str, StringConstraints(to_lower=True, pattern="^[A-Z]?")]
    above: str = Field(ge="a", lt="\U0001d400c")
    colour: Colour
    kind: Literal["a", "b", None]
    size: Annotated[bytes, Field(min_length=1, max_length=3)]
    uuid: UUID
    version: UUID4 | None
    address: IPv4Address
    secret: Annotated[SecretStr, Field(min_length=2)]
    done: bool


class Settled(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True, str_min_length=1, str_max_length=3, allow_inf_nan=False)

    class Inner(BaseModel):
        text: str
        number: float

    class Part(TypedDict):
        text: str

    text: str
    longer: str = Field(max_length=4)
    texts: dict[str, list[str]]
    number: float
    wide: float = Field(allow_inf_nan=True)
    colour: Colour
    inner: Inner
    part: Part


class Times(BaseModel):
    day: date = Field(ge=date(2020, 1, 1))
    past: pydantic.PastDate
    future: pydantic.FutureDate | None
    moment: datetime = Field(gt=datetime(2020, 1, 1, 1, tzinfo=_TWO_HOURS_EAST))
    unzoned: AwareDatetime = Field(le=datetime(2020, 1, 1))
    past_moment: pydantic.PastDatetime
    future_moment: pydantic.FutureDatetime | None
    clock: NaiveDatetime = Field(ge=datetime(2019, 12, 31, 23, tzinfo=_TWO_HOURS_EAST))
    span: timedelta = Field(gt=timedelta(0), le=timedelta(days=1))


class Line(BaseModel):
    sku: str = Field(min_length=2)
    price: Decimal | None = Field(ge=0)


@dataclasses.dataclass
class Place:
    shelf: Annotated[int, Field(ge=1)]
    name: str | None = None


class Point(NamedTuple):
    x: Annotated[int, Field(le=10)]
    y: int


class Nested(BaseModel):
    lines: list[Line] = Field(min_length=1, max_length=2)
    maybe: Line | None
    gaps: list[int | None]
    deep: list[list[Annotated[int, Field(ge=1)]]] | None
    labels: dict[Annotated[str, Field(max_length=2)], Annotated[int, Field(ge=0)] | None] = Field(max_length=2)
    by_name: dict[str, Line]
    place: Place
    point: Point
    pair: tuple[int, Annotated[str, Field(max_length=3)]]
    two: tuple[int, int]
    tags: Annotated[set[str], Field(min_length=2)]
    trimmed: Annotated[set[Annotated[str, StringConstraints(strip_whitespace=True)]], Field(max_length=1)] | None
    numbers: Annotated[frozenset[int], Field(max_length=2)]


class Inner(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    quoted: int = Field(alias="it's", le=5)
    slashed: str | None = Field(alias="a\\b", pattern=r"^\w*$")


class Named(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    with_dot: int = Field(alias="a.b", ge=1)
    with_tick: list[int] = Field(alias="a`b", max_length=1)
    with_space: Line | None = Field(alias="the line")
    with_quote: Inner | None = Field(alias="it's")


class Circle(BaseModel):
    kind: Literal["circle", "dot"]
    radius: Annotated[float, Field(gt=0)]
    name: str = "round"


class Square(BaseModel):
    kind: Literal["square"]
    side: Annotated[int, Field(ge=1)]
    name: str | None


class Cat(BaseModel):
    lives: int = Field(le=9)


class Dog(BaseModel):
    tricks: list[Annotated[str, Field(max_length=2)]]


class Unions(BaseModel):
    shape: Circle | Square = Field(discriminator="kind")
    shapes: list[Annotated[Circle | Square, Field(discriminator="kind")]] | None
    pet: Cat | Dog


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    count: int = Field(ge=1)
    colour: Colour
    uuid: UUID
    tags: set[str]
    line: Line | None
    when: date


_MERGED = SchemaPolicy(model_unions="merge")
_MODELS = [Numbers, Texts, Settled, Times, Nested, Named, Unions, Strict]
_COUNT = 200


@pytest.mark.parametrize(
    ("model", "ansi"),
    quick(5, [*((model, "true") for model in _MODELS), (Numbers, "false"), (Nested, "false")]),
)
def test_exactly_the_rows_and_paths_that_pydantic_refuses_are_found_in_one_job(
    spark: SparkSession, setting: Callable[[str, str], None], model: type[BaseModel], ansi: str
) -> None:
    setting("spark.sql.ansi.enabled", ansi)
    source = random.Random(f"{model.__name__} {ansi}")
    node = node_of(model, policy=_MERGED)
    validate = pydantic.TypeAdapter(model).validate_python
    rows = random_rows(node, _COUNT, validate, source)
    schema = all_nullable(node.data_type)
    assert isinstance(schema, StructType)
    numbered = StructType([StructField("row number", LongType()), *schema.fields])
    frame = spark.createDataFrame([(number, *row.values()) for number, row in enumerate(rows)], numbered)
    assert unchecked(model, policy=_MERGED) == []

    group = f"violations of {model.__name__}, {ansi}"
    spark.sparkContext.setJobGroup(group, group)
    found = {row["row number"]: row["violations"] for row in violations(frame, model, policy=_MERGED).collect()}
    assert len(spark.sparkContext.statusTracker().getJobIdsForGroup(group)) == 1

    wrong = 0
    for number, row in enumerate(rows):
        theirs = without_order(node, refused_paths(node, row, validate))
        ours = without_order(node, {violation.path for violation in found.get(number, [])})
        lengths = {violation.path for violation in found.get(number, []) if "_length=" in violation.constraint}
        seen = without_what_one_hides(ours, theirs, lengths)
        assert seen == theirs, (seen ^ theirs, found.get(number), row)
        wrong += bool(theirs)
    assert _COUNT / 5 < wrong < _COUNT * 4 / 5


# ---------------------------------------------------------------------------------------------------- what a row is told


class Order(BaseModel):
    order_id: str = Field(min_length=1)
    price: Decimal = Field(ge=0)
    note: str | None = Field(default=None, max_length=3)
    lines: list[Line] = Field(default=[], max_length=1)
    password: SecretStr | None = Field(default=None, min_length=4)
    photo: bytes | None = Field(default=None, max_length=1)


def _found(frame: DataFrame, model: type[BaseModel], **choices: Any) -> list[tuple[Any, ...]]:
    """All violations of a frame, each as path, constraint and value."""
    return [
        tuple(violation) for row in violations(frame, model, **choices).collect() for violation in row["violations"]
    ]


def _frame(spark: SparkSession, *rows: tuple[Any, ...], model: type[BaseModel] = Order, **choices: Any) -> DataFrame:
    schema = all_nullable(struct_type(model, **choices))
    assert isinstance(schema, StructType)
    return spark.createDataFrame(list(rows), schema)


def test_each_violation_has_its_path_its_constraint_and_its_value(spark: SparkSession) -> None:
    lines = [{"sku": "a", "price": Decimal("-0.0000001")}, {"sku": None, "price": None}]
    frame = _frame(spark, ("", Decimal(-7), "four", lines, "abc", b"ab"), ("1", Decimal(0), None, [], None, None))
    assert _found(frame, Order) == [
        ("order_id", "min_length=1", ""),
        ("price", "ge=0", "-7"),
        ("note", "max_length=3", "four"),
        ("lines", "max_length=1", "2 elements"),
        ("lines[0].sku", "min_length=2", "a"),
        ("lines[0].price", "ge=0", "-0.0000001"),
        ("lines[1].sku", "not null", None),
        ("password", "min_length=4", "**********"),
        ("photo", "max_length=1", "0x6162"),
    ]


def test_the_result_has_all_columns_and_the_violations_and_is_lazy(spark: SparkSession) -> None:
    fails_when_read = F.raise_error(F.lit("read")).cast("string").alias("extra")
    frame = _frame(spark, ("", Decimal(0), None, [], None, None)).select("*", fails_when_read)
    found = violations(frame, Order)
    assert found.columns == [*frame.columns, "violations"]
    assert found.schema["violations"].dataType.simpleString() == (
        "array<struct<path:string,constraint:string,value:string>>"
    )


def test_no_python_runs_on_the_rows(spark: SparkSession) -> None:
    frame = _frame(spark, ("", Decimal(0), None, [], None, None))
    plan = violations(frame, Order)._jdf.queryExecution().toString()
    assert "Python" not in plan
    assert "array" in plan


def test_a_missing_column_that_may_be_null_is_null_and_extra_ones_are_kept(spark: SparkSession) -> None:
    frame = spark.sql(
        "SELECT 'a' AS order_id, CAST(-1 AS DECIMAL(38,18)) AS price, array(struct('x' AS sku, 1 AS n)) AS lines, 5 AS extra"
    )
    (row,) = violations(frame, Order).collect()
    assert [violation.path for violation in row["violations"]] == ["price", "lines[0].sku"]
    assert row["extra"] == 5


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        ("SELECT 'a' AS order_id", dict.fromkeys(("price", "lines"), "is missing, and may not be null")),
        (
            "SELECT 1 AS order_id, 1.5D AS price, array(struct(2 AS sku)) AS lines",
            {
                "order_id": "is INT, not STRING",
                "price": "is DOUBLE, not DECIMAL(38,18)",
                "lines[].sku": "is INT, not STRING",
            },
        ),
        (
            "SELECT 'a' AS order_id, 'b' AS order_id, CAST(1 AS DECIMAL(38,18)) AS price, array(struct('a' AS sku)) AS lines",
            {"order_id": "the name stands twice"},
        ),
    ],
)
def test_other_types_are_an_error_at_once_that_points_to_align(
    spark: SparkSession, query: str, problems: dict[str, str]
) -> None:
    with pytest.raises(SchemaMismatchError, match=r"sd\.align\(df, model\)") as error:
        violations(spark.sql(query), Order)
    assert error.value.problems == problems


def test_a_frame_with_a_column_of_that_name_is_refused(spark: SparkSession) -> None:
    with pytest.raises(SchemaError, match="Field 'violations': .* Rename it"):
        violations(spark.sql("SELECT 1 AS violations"), Order)


def test_null_within_a_variant_is_null(spark: SparkSession) -> None:
    class Event(BaseModel):
        number: int | str
        content: dict[str, Any]
        anything: Any

    policy = SchemaPolicy(scalar_unions="variant")
    columns = ", ".join(f"parse_json(t) AS {name}" for name in Event.model_fields)
    query = f"SELECT {columns} FROM VALUES ('null'), ('{{}}') AS v(t)"
    assert _found(spark.sql(query), Event, policy=policy) == [
        ("number", "not null", None),
        ("content", "not null", None),
    ]


def test_a_field_beyond_its_own_model_is_told_where_the_model_forbids_it(spark: SparkSession) -> None:
    class Small(BaseModel, extra="forbid"):
        kind: Literal["small"]

    class Large(BaseModel):
        kind: Literal["large"]
        size: int | None

    class Box(BaseModel):
        content: Small | Large = Field(discriminator="kind")

    rows = [
        ({"kind": kind, "size": size},) for kind, size in [("small", None), ("small", 1), ("large", 1), (None, None)]
    ]
    frame = _frame(spark, *rows, model=Box, policy=_MERGED)
    assert _found(frame, Box, policy=_MERGED) == [
        ("content.size", "not in Small", "1"),
        ("content", "kind: one of 'small', 'large'", None),
    ]


def test_the_constraints_of_other_types_too(spark: SparkSession) -> None:
    class Measures(BaseModel):
        single: Annotated[float, Field(le=0.1), SparkType("FLOAT")]
        small: Annotated[int, Field(ge=-(10**12), le=10**12), SparkType("SMALLINT")]
        never: Annotated[int, Field(ge=200), SparkType("TINYINT")]

    frame = _frame(spark, (0.25, 5, 100), (0.0625, -5, 127), model=Measures)
    assert {row[:2] for row in _found(frame, Measures)} == {("single", "le=0.1"), ("never", "ge=200")}


def test_a_column_is_meant_also_where_the_frame_has_its_name(spark: SparkSession) -> None:
    class Box(BaseModel):
        maybe: Line

    frame = spark.sql("SELECT struct('a' AS sku, CAST(-1 AS DECIMAL(38,18)) AS price) AS maybe, 5 AS sku").alias(
        "maybe"
    )
    assert _found(frame, Box) == [("maybe.sku", "min_length=2", "a"), ("maybe.price", "ge=0", "-1")]


def test_settings_of_the_parser_change_nothing(spark: SparkSession, setting: Callable[[str, str], None]) -> None:
    class Marked(BaseModel):
        code: str = Field(pattern=r"^\d\\'$")
        kind: Literal["it's", "a\\b", "${user}"]

    frame = _frame(spark, ("1\\'", "it's"), ("1", "a\\b"), ("x", "${user}"), ("1\\'", "x"), model=Marked)
    found = _found(frame, Marked)
    assert [row[0] for row in found] == ["code", "code", "kind"]
    setting("spark.sql.parser.escapedStringLiterals", "true")
    assert _found(frame, Marked) == found


def test_a_long_text_does_not_end_the_jvm_where_a_group_is_repeated(spark: SparkSession) -> None:
    class Slug(BaseModel):
        slug: str = Field(pattern="^([a-z]|[0-9])+$")

    frame = _frame(spark, ("a" * 100_000,), ("a" * 500,), ("a" * 499 + "!",), model=Slug)
    assert [len(value) for _, _, value in _found(frame, Slug)] == [500]
    assert unchecked(Slug) == [("slug", "pattern=^([a-z]|[0-9])+$: in texts of more than 500 characters")]


# ---------------------------------------------------------------------------------------------------- what is unchecked


class Watched(BaseModel):
    count: int = Field(ge=0)
    page: pydantic.HttpUrl | None = None

    @pydantic.field_validator("count")
    @classmethod
    def no_thirteen(cls, value: int) -> int:
        assert value != 13
        return value

    @pydantic.model_validator(mode="after")
    def is_whole(self) -> Watched:
        return self


def test_what_only_python_can_check_is_one_warning(spark: SparkSession, caplog: pytest.LogCaptureFixture) -> None:
    frame = _frame(spark, (-1, None), (13, None), model=Watched)
    with caplog.at_level(logging.WARNING, "spark_dynamo.schema.checks.violations"):
        assert _found(frame, Watched) == [("count", "ge=0", "-1")]
    assert [record.getMessage() for record in caplog.records] == [
        "violations of Watched: not checked, as only Python can do it: count: after validator no_thirteen; "
        "the model: after model validator is_whole; page: HttpUrl: only Python knows its format"
    ]


def test_nothing_unchecked_is_no_warning(spark: SparkSession, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        violations(_frame(spark, ("a", Decimal(0), None, [], None, None)), Order)
    assert caplog.records == []


def test_what_a_plain_validator_replaces_is_not_checked(spark: SparkSession) -> None:
    class Free(BaseModel):
        anything: Annotated[int, Field(ge=0), pydantic.PlainValidator(abs)]
        skipped: pydantic.SkipValidation[list[Annotated[int, Field(ge=0)]]]
        field: int = Field(ge=0)
        after: Annotated[int, pydantic.AfterValidator(abs), Field(ge=5)]

        @pydantic.field_validator("field", mode="plain")
        @classmethod
        def take(cls, value: object) -> object:
            return value

    assert unchecked(Free) == [
        ("field", "plain validator take"),
        ("anything", "plain validator abs"),
        ("after", "after validator abs"),
        ("after", "ge=5: it is checked after abs"),
    ]
    frame = _frame(spark, (-1, [-1], -1, -9), (None, None, None, None), model=Free)
    assert _found(frame, Free) == [("after", "not null", None)]
