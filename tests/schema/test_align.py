"""DataFrames brought to a model's schema: what is kept, what is refused at once, and what at run time, in Spark and Connect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, Field
from pyspark.errors import SparkRuntimeException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from spark_dynamo.errors import ConfigurationError, SchemaError, SchemaMismatchError
from spark_dynamo.schema.bridge import struct_type
from spark_dynamo.schema.drift.align import align
from spark_dynamo.schema.drift.casts import cast_of
from spark_dynamo.schema.drift.compare import compare
from spark_dynamo.schema.fingerprint import fingerprint

NUMBER = (("dynamodb", "N"),)
TINY, INT, LONG, FLOAT, DOUBLE = ByteType(), IntegerType(), LongType(), FloatType(), DoubleType()
CENTS, WIDE, TEXT, FLAG, DAY = DecimalType(10, 2), DecimalType(38, 18), StringType(), BooleanType(), DateType()
MOMENT, LOCAL, DAYS, TIMED = TimestampType(), TimestampNTZType(), DayTimeIntervalType(0, 0), DayTimeIntervalType(0, 3)


class Case(NamedTuple):
    """A value in SQL, the types that it has and gets, and its text then; None where it can't be that."""

    value: str
    found: DataType
    wanted: DataType
    text: str | None
    found_form: tuple[tuple[str, str], ...] = ()
    wanted_form: tuple[tuple[str, str], ...] = ()


def texts(wanted: DataType, values: Mapping[str, str | None]) -> list[Case]:
    return [Case("'" + value.replace("\n", "\\n") + "'", TEXT, wanted, text) for value, text in values.items()]


CASES = [
    # integers
    Case("127", INT, TINY, "127"),
    Case("128", INT, TINY, None),
    Case("-2147483649L", LONG, INT, None),
    Case("9223372036854775807L", LONG, WIDE, "9223372036854775807.000000000000000000"),
    Case("100000000L", LONG, CENTS, None),
    Case("99999999L", LONG, CENTS, "99999999.00"),
    Case("9007199254740993L", LONG, DOUBLE, None),
    Case("9007199254740992L", LONG, DOUBLE, "9.007199254740992E15"),
    Case("9223372036854775807L", LONG, DOUBLE, None),
    Case("-9223372036854775808L", LONG, DOUBLE, "-9.223372036854776E18"),
    Case("16777217", INT, FLOAT, None),
    Case("16777216", INT, FLOAT, "1.6777216E7"),
    Case("2147483647", INT, FLOAT, None),
    Case("9223372036854775807L", LONG, FLOAT, None),
    Case("16777217L", LONG, FLOAT, None),
    Case("-7L", LONG, TEXT, "-7"),
    # decimals
    Case("12.340BD", DecimalType(5, 3), CENTS, "12.34"),
    Case("12.345BD", DecimalType(5, 3), CENTS, None),
    Case("cast('99999999999999999999' as decimal(38,0))", DecimalType(38), DecimalType(38, 20), None),
    Case("cast(5 as decimal(10,2))", CENTS, LONG, "5"),
    Case("cast(5.5 as decimal(10,2))", CENTS, LONG, None),
    Case("cast(128 as decimal(10,2))", CENTS, TINY, None),
    Case("cast(9223372036854775808 as decimal(19,0))", DecimalType(19), LONG, None),
    Case("cast(0.1 as decimal(38,18))", WIDE, DOUBLE, "0.1"),
    Case("cast(0.123456789012345678 as decimal(38,18))", WIDE, DOUBLE, None),
    Case("cast(12345678.9 as decimal(10,2))", CENTS, FLOAT, None),
    Case("cast(0.25 as decimal(10,2))", CENTS, FLOAT, "0.25"),
    Case("cast(1e-10 as decimal(38,18))", WIDE, TEXT, "0.000000000100000000"),
    Case("cast(0 as decimal(38,18))", WIDE, TEXT, "0.000000000000000000"),
    # floating-point numbers
    Case("9.223372036854775807e18D", DOUBLE, LONG, None),
    Case("-9.223372036854775808e18D", DOUBLE, LONG, "-9223372036854775808"),
    Case("1.5D", DOUBLE, LONG, None),
    Case("3D", DOUBLE, TINY, "3"),
    Case("300D", DOUBLE, TINY, None),
    Case("double('NaN')", DOUBLE, LONG, None),
    Case("double('NaN')", DOUBLE, CENTS, None),
    Case("double('NaN')", DOUBLE, FLOAT, "NaN"),
    Case("double('-Infinity')", DOUBLE, FLOAT, "-Infinity"),
    Case("double('Infinity')", DOUBLE, WIDE, None),
    Case("float(2147483648)", FLOAT, INT, None),
    Case("float(9.223372036854775807e18D)", FLOAT, LONG, None),
    Case("float(16777216)", FLOAT, INT, "16777216"),
    Case("0.5D", DOUBLE, FLOAT, "0.5"),
    Case("0.1D", DOUBLE, FLOAT, None),
    Case("1e300D", DOUBLE, FLOAT, None),
    Case("1e-300D", DOUBLE, FLOAT, None),
    Case("12.25D", DOUBLE, CENTS, "12.25"),
    Case("12.345D", DOUBLE, CENTS, None),
    Case("0.1D + 0.2D", DOUBLE, CENTS, None),
    Case("0.1F", FLOAT, WIDE, "0.100000000000000000"),
    Case("0.1F", FLOAT, DOUBLE, "0.10000000149011612"),
    Case("1e10D", DOUBLE, TEXT, "1.0E10"),
    # text
    *texts(
        LONG,
        {
            "1": "1",
            "-12": "-12",
            "007": None,
            " 1": None,
            "+1": None,
            "1.0": None,
            "1e3": None,
            "": None,
            "1\n": None,
            "9999999999999999999": None,
            "٣": None,
        },
    ),
    *texts(TINY, {"127": "127", "128": None}),
    *texts(
        CENTS,
        {
            "1.5": "1.50",
            "1.500": "1.50",
            "1.555": None,
            "1.": None,
            ".5": None,
            "1e1": None,
            "NaN": None,
            "123456789": None,
        },
    ),
    *texts(
        DOUBLE,
        {
            "1.50": "1.5",
            "1e3": "1000.0",
            "0.30000000000000004": "0.30000000000000004",
            "0.1000000000000000055": None,
            "9007199254740993": None,
            "1e400": None,
            "1e-400": None,
            "0e5": "0.0",
            "NaN": None,
            "4.9E-324": "4.9E-324",
            "5.1E-324": None,
            "12345678901.23456": "1.234567890123456E10",
            " 1": None,
        },
    ),
    *texts(FLOAT, {"0.1": "0.1", "16777217": None, "16777216": "1.6777216E7", "3.5e38": None}),
    *texts(FLAG, {"true": "true", "false": "false", "t": None, "TRUE": None, "1": None}),
    *texts(
        DAY,
        {
            "2024-02-29": "2024-02-29",
            "2023-02-29": None,
            "2024-1-1": None,
            "2024": None,
            "0000-01-01": None,
            "2024-01-01T00:00:00": None,
            "2024-01-01\n": None,
        },
    ),
    *texts(
        MOMENT,
        {
            "2024-01-01": "2024-01-01T00:00:00.000000+00:00",
            "2024-01-01T10:20": "2024-01-01T10:20:00.000000+00:00",
            "2024-01-01 10:20:30.5": "2024-01-01T10:20:30.500000+00:00",
            "2024-03-31T02:30:00": "2024-03-31T02:30:00.000000+00:00",
            "2024-01-01T10:20+02:00": "2024-01-01T08:20:00.000000+00:00",
            "2024-01-01T00:00:00.1234560Z": "2024-01-01T00:00:00.123456+00:00",
            "2024-01-01T00:00:00.1234567Z": None,
            "2024-02-30T00:00:00Z": None,
            "2024-01-01T24:00:00": None,
            "2024-01-01T00:00:00+19:00": None,
            "2024-01-01T00:00:00 Europe/Berlin": None,
            "now": None,
        },
    ),
    *texts(
        LOCAL,
        {
            "2024-01-01T10:20": "2024-01-01T10:20:00.000000",
            "2024-01-01T00:00:00Z": None,
            "2024-01-01": "2024-01-01T00:00:00.000000",
        },
    ),
    # time
    Case("date'2024-03-31'", DAY, MOMENT, "2024-03-31T00:00:00.000000+00:00"),
    Case("date'0001-01-01'", DAY, MOMENT, "0001-01-01T00:00:00.000000+00:00"),
    Case("date'2024-03-31'", DAY, LOCAL, "2024-03-31T00:00:00.000000"),
    Case("date'2024-03-31'", DAY, TEXT, "2024-03-31"),
    Case("timestamp_ntz'2024-03-31 02:30:00.5'", LOCAL, MOMENT, "2024-03-31T02:30:00.500000+00:00"),
    Case("timestamp_ntz'2024-03-31 02:30:00.5'", LOCAL, TEXT, "2024-03-31T02:30:00.500000"),
    Case("timestamp_ntz'2024-03-31 00:00:00'", LOCAL, DAY, "2024-03-31"),
    Case("timestamp_ntz'2024-03-31 00:00:00.000001'", LOCAL, DAY, None),
    Case("timestamp'2024-03-31 02:30:00Z'", MOMENT, TEXT, "2024-03-31T02:30:00.000000+00:00"),
    Case("timestamp'9999-12-31 23:59:59.999999Z'", MOMENT, TEXT, "9999-12-31T23:59:59.999999+00:00"),
    Case("1711852200", INT, MOMENT, "2024-03-31T02:30:00.000000+00:00", (), NUMBER),
    Case("9223372036855L", LONG, MOMENT, None, (), NUMBER),
    Case("cast(1.5 as decimal(10,2))", CENTS, MOMENT, "1970-01-01T00:00:01.500000+00:00", (), NUMBER),
    Case("cast(1.0000005 as decimal(18,7))", DecimalType(18, 7), MOMENT, None, (), NUMBER),
    Case(
        "cast(1.0000050 as decimal(18,7))", DecimalType(18, 7), MOMENT, "1970-01-01T00:00:01.000005+00:00", (), NUMBER
    ),
    Case("timestamp'1969-12-31 23:59:59.5Z'", MOMENT, DecimalType(19, 6), "-0.500000", NUMBER),
    Case("timestamp_micros(9223372036854775807L)", MOMENT, DecimalType(19, 6), "9223372036854.775807", NUMBER),
    Case("timestamp'1970-01-01 00:00:01.5Z'", MOMENT, LONG, None, NUMBER),
    Case("timestamp'2024-03-31 02:30:00Z'", MOMENT, LONG, "1711852200", NUMBER),
    Case("interval '1 02:03:04' day to second", TIMED, DAYS, None),
    Case("interval '1' day", DAYS, TIMED, "INTERVAL '1 00:00:00' DAY TO SECOND"),
    Case("null", NullType(), LONG, None),
    Case("cast(null as double)", DOUBLE, LONG, None),
    Case("cast(null as string)", TEXT, MOMENT, None),
    Case("cast(null as timestamp)", MOMENT, TEXT, None),
    Case("x'00'", BinaryType(), VariantType(), '"AA=="'),
    Case("1.50BD", DecimalType(3, 2), VariantType(), "1.5"),
    Case("0.1F", FLOAT, VariantType(), "0.1"),
]


@pytest.fixture(
    params=[("true", "UTC"), pytest.param(("false", "Europe/Berlin"), marks=pytest.mark.slow)],
    ids=["ansi", "not ansi, elsewhere"],
)
def session(request: pytest.FixtureRequest, spark: SparkSession) -> Iterator[SparkSession]:
    """Two ways to set Spark up that must make no difference."""
    names = "spark.sql.ansi.enabled", "spark.sql.session.timeZone"
    before = [spark.conf.get(name) for name in names]
    for name, value in zip(names, request.param, strict=True):
        spark.conf.set(name, value)
    yield spark
    for name, value in zip(names, before, strict=True):
        spark.conf.set(name, value or "")


def test_what_becomes_of_values(session: SparkSession) -> None:
    """One column for each pair of types, one row for each value."""
    pairs: dict[str, list[Case]] = {}
    for case in CASES:
        pairs.setdefault(repr(case[1:3] + case[4:]), []).append(case)
    # conditions that Spark can't work out beforehand, so that it compiles what follows rather than folding it
    values = [" ".join(f"WHEN {row} THEN {case.value}" for row, case in enumerate(cases)) for cases in pairs.values()]
    found = session.range(0, max(map(len, pairs.values())), 1, 1).select(
        *[F.expr(f"CASE id {value} END").alias(f"c{n}") for n, value in enumerate(values)]
    )
    shown = []
    for n, (case, *_) in enumerate(pairs.values()):
        assert found.schema[f"c{n}"].dataType == case.found
        cast = cast_of(
            StructField("", case.found, True, dict(case.found_form)),
            StructField("", case.wanted, True, dict(case.wanted_form)),
        )
        assert cast is not None
        value = F.col(f"c{n}")
        new = cast.convert(value)
        kept = new if cast.fits is None else F.when(cast.fits(value, new), new)
        shown.append(in_words(kept, case.wanted).alias(f"c{n}"))
    rows = found.select(*shown).collect()
    texts = {case: row[n] for n, cases in enumerate(pairs.values()) for row, case in zip(rows, cases, strict=False)}
    assert len(texts) == len(CASES)
    assert {case: text for case, text in texts.items() if text != case.text} == {}


def in_words(value: Column, kind: DataType) -> Column:
    if isinstance(kind, VariantType):
        return F.to_json(value)
    cast = cast_of(StructField("", kind), StructField("", TEXT))
    return cast.convert(value) if cast else value.cast(TEXT)


# ---------------------------------------------------------------------------------------------------- whole frames


class Line(BaseModel):
    price: Decimal = Field(max_digits=10, decimal_places=2, description="per piece")
    note: str | None = None
    tags: set[str] | None = None


class Order(BaseModel):
    order_id: str = Field(description="unique")
    amount: int
    main: Line | None = None
    lines: list[Line] | None = None
    labels: dict[str, int] | None = None
    by_day: dict[date, float | None] | None = None
    tags: set[str] | None = None
    anything: Any = None
    same: str | None = None


ORDERS = """
    SELECT 'x' `od.d`, named_struct('price', 12.5D, 'more', true) main, array(named_struct('price', 1, 'note', 'n'), null) lines,
        named_struct('a', 1, 'b', CAST(null AS INT)) labels, map('2024-01-01', 1.5F) by_day, array('a') tags, array(1, 2) anything,
        'o-1' order_id, 5 amount, CAST('s' AS STRING) same
    UNION ALL SELECT 'y', null, null, null, null, null, null, 'o-2', 6, null
"""


def orders(spark: SparkSession) -> DataFrame:
    df = spark.sql(ORDERS)
    return df.withColumn("lines", F.filter("lines", lambda line: line.isNotNull()))


def test_a_frame_becomes_what_its_model_asks_for(session: SparkSession) -> None:
    aligned = align(orders(session), Order)
    assert aligned.schema == struct_type(Order)
    assert compare(aligned, Order) == []
    assert fingerprint(aligned) == fingerprint(Order)
    line = {"price": Decimal("12.50"), "note": None, "tags": None}
    full, empty = (row.asDict(recursive=True) for row in aligned.orderBy("order_id").collect())
    assert str(full.pop("anything").toPython()) == "[1, 2]"
    assert full == {
        "order_id": "o-1",
        "amount": 5,
        "main": line,
        "lines": [{"price": Decimal("1.00"), "note": "n", "tags": None}],
        "labels": {"a": 1},
        "by_day": {date(2024, 1, 1): 1.5},
        "tags": ["a"],
        "same": "s",
    }
    assert empty == {"order_id": "o-2", "amount": 6} | dict.fromkeys(
        ["main", "lines", "labels", "by_day", "tags", "anything", "same"]
    )


def test_what_is_equal_passes_as_it_is(spark: SparkSession) -> None:
    df = spark.createDataFrame([], struct_type(Order))
    assert align(df, Order) is df
    moved = align(df.select(*reversed(df.columns)), Order)
    assert moved.schema == struct_type(Order)
    plan = moved._jdf.queryExecution().analyzed().toString()  # type: ignore[operator]
    assert not any(word in plan for word in ("cast", "coalesce", "transform", "CASE", "raise_error"))
    bare = spark.createDataFrame(
        [], StructType([StructField(f.name, f.dataType) for f in struct_type(Order).fields[2:5]])
    )
    wanted = StructType([StructField(f.name, f.dataType, True, {"comment": "x"}) for f in bare.schema.fields])
    commented = align(bare, wanted)
    assert commented.schema == wanted
    assert align(commented, bare.schema).schema == bare.schema
    assert "cast" not in commented._jdf.queryExecution().optimizedPlan().toString()  # type: ignore[operator]


def test_extra_fields(spark: SparkSession) -> None:
    kept = align(orders(spark), Order, extra="keep")
    assert kept.columns == [*struct_type(Order).names, "od.d"]
    assert kept.schema["main"].dataType.simpleString() == (
        "struct<price:decimal(10,2),note:string,tags:array<string>,more:boolean>"
    )
    (row,) = kept.where("order_id = 'o-1'").select("main.more", "`od.d`").collect()
    assert tuple(row) == (True, "x")
    with pytest.raises(SchemaMismatchError) as caught:
        align(orders(spark), Order, extra="error")
    assert caught.value.problems == {"main.more": "not in the model", "od.d": "not in the model"}
    assert str(caught.value).startswith(
        "The frame is not what model Order asks for. main.more: not in the model; od.d: not in the model. Rename, cast"
    )
    assert {difference.path for difference in caught.value.differences} >= {"main.more", "od.d", "amount"}


LOSSES: list[tuple[str, StructType, str]] = [
    ("SELECT 12.345D x", StructType().add("x", CENTS), "Column 'x': 12.345 is no DECIMAL(10,2); correct the value, or give"),
    (
        "SELECT array(named_struct('price', 1.5D), named_struct('price', 12.345D)) orders",
        StructType().add("orders", ArrayType(StructType().add("price", CENTS))),
        "Column 'orders[].price': 12.345 is no DECIMAL(10,2)",
    ),
    ("SELECT map('k', 'a b') m", StructType().add("m", MapType(TEXT, LONG)), "Column 'm{}': a b is no BIGINT"),
    ("SELECT map('01', 1) m", StructType().add("m", MapType(LONG, INT)), "Column 'm{}': 01 is no BIGINT"),
    ("SELECT named_struct('n', 300) s", StructType().add("s", MapType(TEXT, TINY)), "Column 's.n': 300 is no TINYINT"),
    ("SELECT CAST(null AS INT) x", StructType().add("x", INT, False), "Column 'x' is null in a row, and its model takes no"),
    ("SELECT array(1, null) l", StructType().add("l", ArrayType(LONG, False)), "Column 'l[]' is null in a row"),
    ("SELECT map('k', CAST(null AS INT)) m", StructType().add("m", MapType(TEXT, INT, False)), "Column 'm{}' is null in a"),
    (
        "SELECT named_struct('a', CAST(null AS STRING)) s",
        StructType().add("s", StructType().add("a", TEXT, False)),
        "Column 's.a' is null in a row",
    ),
    ("SELECT repeat('9', 1000) x", StructType().add("x", LONG), f"Column 'x': {'9' * 120} is no BIGINT"),
]  # fmt: skip


def test_a_value_that_would_be_lost_ends_the_query(session: SparkSession) -> None:
    for query, wanted, sentence in LOSSES:
        aligned = align(session.sql(query), wanted)
        assert aligned.schema == wanted
        with pytest.raises(SparkRuntimeException) as caught:
            aligned.collect()
        assert sentence in str(caught.value), sentence


def test_two_keys_never_become_one(spark: SparkSession) -> None:
    aligned = align(spark.sql("SELECT map('1.0', 1, '1.00', 2) m"), StructType().add("m", MapType(CENTS, INT)))
    spark.conf.set("spark.sql.mapKeyDedupPolicy", "LAST_WIN")
    try:
        with pytest.raises(SparkRuntimeException, match=r"Column 'm': two of its keys are the same DECIMAL\(10,2\)"):
            aligned.collect()
    finally:
        spark.conf.unset("spark.sql.mapKeyDedupPolicy")


def test_nobody_looks_at_columns_that_no_query_asks_for(spark: SparkSession) -> None:
    wanted = StructType().add("x", LONG).add("id", LONG, False)
    assert align(spark.sql("SELECT 'bad' x, 1L id"), wanted).select("id").collect() == [(1,)]


def test_what_can_not_be_cast_is_refused_at_once(spark: SparkSession) -> None:
    wanted = (
        StructType()
        .add("flag", LONG)
        .add("s", StructType().add("raw", TEXT))
        .add("l", ArrayType(LOCAL))
        .add("m", StructType().add("k", INT))
        .add("v", INT)
        .add("day", VariantType())
    )
    df = spark.sql(
        "SELECT true flag, named_struct('raw', x'00') s, array(timestamp'2024-01-01 00:00:00') l, map('k', 1) m, "
        "parse_json('1') v, interval '1' day day"
    )
    with pytest.raises(SchemaMismatchError) as caught:
        align(df, wanted)
    assert list(caught.value.problems) == ["flag", "s.raw", "l[]", "m", "v", "day"]
    assert caught.value.problems["s.raw"] == "BINARY has no cast to STRING that surely keeps its values"
    assert "The frame is not what the schema asks for. flag: BOOLEAN has no cast to BIGINT" in str(caught.value)
    assert "breaking: type" in str(caught.value)


def test_names_of_all_kinds(spark: SparkSession) -> None:
    odd = ["a.b", "`", "a`b", "Ä ö", "select", "*", "a[0]", "$"]
    df = spark.range(1).select(
        *[F.lit(1).alias(name) for name in odd], F.struct(*[F.lit(2).alias(name) for name in odd]).alias("struct")
    )
    inner = StructType([StructField(name, LONG, False) for name in reversed(odd)])
    wanted = StructType([*inner.fields, StructField("struct", inner, False)])
    aligned = align(df, wanted)
    assert aligned.schema == wanted
    assert [tuple(row) for row in aligned.collect()] == [(*[1] * len(odd), tuple([2] * len(odd)))]


def test_names_that_stand_twice(spark: SparkSession) -> None:
    with pytest.raises(SchemaError, match="Field 'a': the name stands twice in the schema"):
        align(spark.sql("SELECT 1 a, 2 a"), StructType().add("a", LONG))
    with pytest.raises(SchemaError, match=r"Field 's\.a': the name stands twice"):
        align(spark.sql("SELECT named_struct('a', 1, 'a', 2) s"), StructType().add("s", StructType().add("a", LONG)))


# ---------------------------------------------------------------------------------------------------- missing columns


class Address(BaseModel):
    city: str = "Berlin"
    zip: str | None = None


class Customer(BaseModel):
    name: str
    active: bool = True
    score: Decimal = Field(Decimal("1.5"), max_digits=10, decimal_places=2)
    since: datetime = datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    born: date | None = None
    address: Address = Address(zip="10115")
    others: list[Address] = [Address(city="Ulm")]
    labels: dict[str, int] = {"a": 1}
    none: list[int] = []
    nothing: dict[str, str] = {}
    roles: set[str] = Field(default_factory=lambda: {"b", "a"})
    anything: Any = {"a": [1, 1.5, "x", None, True]}
    raw: bytes = b"\x00\xff"


def test_missing_columns_become_the_models_defaults(session: SparkSession) -> None:
    df = session.sql("SELECT 'n' name, array(named_struct('zip', '1')) others")
    aligned = align(df, Customer, missing="default")
    assert aligned.schema == struct_type(Customer)
    (row,) = aligned.withColumn("since", F.unix_micros("since")).collect()
    told = row.asDict(recursive=True)
    assert told.pop("anything").toJson() == '{"a":[1,1.5,"x",null,true]}'
    assert told == {
        "name": "n",
        "active": True,
        "score": Decimal("1.50"),
        "since": 1704164645000006,
        "born": None,
        "address": {"city": "Berlin", "zip": "10115"},
        "others": [{"city": "Berlin", "zip": "1"}],
        "labels": {"a": 1},
        "none": [],
        "nothing": {},
        "roles": ["a", "b"],
        "raw": b"\x00\xff",
    }


def test_missing_columns_that_may_not_be_null(spark: SparkSession) -> None:
    df = spark.sql("SELECT 'Ulm' city")
    assert align(df, Address).collect() == [("Ulm", None)]
    with pytest.raises(SchemaMismatchError) as caught:
        align(df, Address, missing="error")
    assert caught.value.problems == {"zip": "missing"}
    with pytest.raises(SchemaMismatchError) as caught:
        align(df, Customer, extra="error")
    assert caught.value.problems["name"] == "missing, and its model takes no null"
    assert "born" not in caught.value.problems
    with pytest.raises(SchemaMismatchError) as caught:
        align(df, Customer, missing="default")
    assert caught.value.problems == {"name": "missing, and its model takes no null, and it has no default"}


def test_defaults_that_no_column_can_hold(spark: SparkSession) -> None:
    class Coarse(BaseModel):
        price: Decimal = Field(Decimal("1.234"), max_digits=10, decimal_places=2)

    class Derived(BaseModel):
        first: str
        full: str = Field(default_factory=lambda data: data["first"])

    df = spark.sql("SELECT 'x' first")
    with pytest.raises(SchemaError, match=r"Field 'price': its default Decimal\('1.234'\) is no DECIMAL\(10,2\)"):
        align(df, Coarse, missing="default")
    with pytest.raises(SchemaError, match="Field 'full': its default is made of the other fields' values"):
        align(df, Derived, missing="default")


def test_names_modes_and_choices_are_those_of_struct_type(spark: SparkSession) -> None:
    class Aliased(BaseModel):
        order_id: str = Field("none", serialization_alias="orderId")

    df = spark.sql("SELECT 1 n")
    aligned = align(df, Aliased, missing="default", mode="serialization", by_alias=True)
    assert aligned.collect() == [("none",)]
    assert aligned.columns == ["orderId"]


@pytest.mark.parametrize(("choice", "sentence"), [("extra", "drop, error, keep"), ("missing", "null, default, error")])
def test_choices_that_are_none(spark: SparkSession, choice: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=f"align's {choice} must be one of {sentence}, not 'nothing'"):
        align(spark.range(1), Order, **{choice: "nothing"})  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------- Connect
