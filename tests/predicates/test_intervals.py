"""Sets of stored values: their algebra, and what predicates say about attributes."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    LongType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from spark_dynamo.predicates.intervals import ALL, EXISTS, NOTHING, Domain, Domains, Interval
from spark_dynamo.predicates.parse import parse_predicate
from spark_dynamo.predicates.ranges import intersection, prefixed

SCHEMA = (
    StructType()
    .add("s", StringType())
    .add("sn", StringType(), metadata={"dynamodb": "N"})
    .add("n", LongType())
    .add("p", DecimalType(10, 2))
    .add("d", DoubleType())
    .add("f", FloatType())
    .add("b", BooleanType())
    .add("x", BinaryType())
    .add("day", DateType())
    .add("at", TimestampType())
    .add("te", TimestampType(), metadata={"dynamodb": "N"})
    .add("nt", TimestampNTZType())
    .add("st", StructType().add("n", LongType()))
)


def below(value: object) -> Interval:
    return Interval(None, value, high_inclusive=False)  # type: ignore[arg-type]


def above(value: object) -> Interval:
    return Interval(value, None, low_inclusive=False)  # type: ignore[arg-type]


D = Decimal


@pytest.mark.parametrize(
    ("text", "column", "domain"),
    [
        ("s = 'a'", "s", Domain.points(["a"])),
        ("s = 'a'", "n", ALL),
        ("s <> 'a'", "s", Domain.of(below("a"), above("a"))),
        ("s IN ('b', 'a', NULL)", "s", Domain.points(["a", "b"])),
        ("s NOT IN ('b', 'a')", "s", Domain.of(below("a"), Interval("a", "b", False, False), above("b"))),
        ("s NOT IN ('b', NULL)", "s", NOTHING),
        ("s LIKE 'ab%c'", "s", Domain.of(Interval("ab", "ac", high_inclusive=False))),
        ("s LIKE 'ab'", "s", Domain.points(["ab"])),
        ("s LIKE '%ab'", "s", EXISTS),
        ("s NOT LIKE 'ab%'", "s", EXISTS),
        ("s > 'a' AND s <= 'c'", "s", Domain.of(Interval("a", "c", low_inclusive=False))),
        ("s < 'a' AND s > 'c'", "s", NOTHING),
        ("s < 'b' OR s > 'a'", "s", EXISTS),
        ("s = 'a' OR n = 5", "s", ALL),
        ("s = 'a' OR FALSE", "s", Domain.points(["a"])),
        ("s = 'a' AND n = 5", "n", Domain.points([D(5)])),
        ("NOT (s = 'a' OR n = 5)", "n", Domain.of(below(D(5)), above(D(5)))),
        ("s IS NULL", "s", ALL),
        ("s IS NOT NULL", "s", EXISTS),
        ("(s = 'a') IS TRUE", "s", Domain.points(["a"])),
        ("(s = 'a') IS NOT TRUE", "s", ALL),
        ("s <=> 'a'", "s", Domain.points(["a"])),
        ("n = p", "n", EXISTS),
        ("n = NULL", "n", NOTHING),
        ("p > 1.234", "p", Domain.of(above(D("1.23")))),
        ("p = 1.234", "p", NOTHING),
        ("p = 1.234", "n", NOTHING),
        ("b", "b", Domain.points([True])),
        ("NOT b", "b", Domain.points([False])),
        ("x >= X'00ff'", "x", Domain.of(Interval(b"\x00\xff"))),
        ("st.n = 5", "st", EXISTS),
        ("sn = '1.50'", "sn", Domain.points([D("1.5")])),
        ("sn = 'x'", "sn", NOTHING),
        ("sn > '1.5'", "sn", EXISTS),
        ("te >= '1970-01-01T00:00:01.5Z'", "te", Domain.of(Interval(D("1.5")))),
        ("te < '1970-01-02'", "te", Domain.of(Interval(None, D(172800)))),
        ("d = 1e200", "d", NOTHING),
        ("d > 0", "d", Domain.of(Interval(D("1E-130")))),
        ("d <= 1e300", "d", EXISTS),
        ("TRUE", "s", ALL),
        ("FALSE", "s", NOTHING),
    ],
)
def test_a_predicate_bounds_an_attribute(text: str, column: str, domain: Domain) -> None:
    assert Domains.of(parse_predicate(text, SCHEMA))[column] == domain


@pytest.mark.parametrize(
    ("text", "column", "inside", "outside"),
    [
        (
            "day = '2026-11-01'",
            "day",
            ["2026-11-01", "20261101", "2026-W44-7", "2026W447"],
            ["2026-11-02", "2025-W44-7", "2027"],
        ),
        (
            "day = '2027-01-01'",
            "day",
            ["2027-01-01", "20270101", "2026-W53-5", "2026W535"],
            ["2026-12-31", "2027-01-02"],
        ),
        (
            "day >= '2024-12-30'",
            "day",
            ["2025-W01-1", "2025W011", "20241230", "2024-12-30"],
            ["2024-12-29", "20231231"],
        ),
        ("day <= '2024-12-31'", "day", ["2025-W01-1", "2025W012", "20241231", "0001-01-01"], ["2025-01-01", "2026"]),
        ("nt < '2026-11-02'", "nt", ["2026-11-01é23:59", "20261101T235959"], ["2026-11-03", "2027"]),
        ("nt >= '2026-11-02'", "nt", ["2026-11-01T24:00", "2026-W44-7T24", "20261101 2400"], ["2026-10-31T24:00"]),
        ("at >= '2026-11-02T00:00:00Z'", "at", ["2026-11-01T24:00Z", "2026-11-01T24:00-23:59"], ["2026-10-31T24:00"]),
        ("at >= '2026-11-01T00:00:00Z'", "at", ["2026-10-31T00:00:01-23:59:59", "2026-11-01"], ["2026-10-30T23:59"]),
        ("at = '2026-11-01'", "at", ["2026-10-31T10:00", "2026-11-02T23:59+23:59"], ["2026-10-28", "2026-11-05"]),
        ("d = 1.5", "d", [D("1.5"), D("1.5000000000000001")], [D("1.5000000000000003")]),
        ("d < 1.5", "d", [D("1.4999999999999998")], [D("1.5")]),
        ("f >= 0.1F", "f", [D("0.1"), D("0.0999999978")], [D("0.09999999")]),
        ("f < 1.1F", "f", [D("1.099999964237213134765625")], [D("1.1")]),  # rounds twice: to a double, then down
        ("f = 3.4028234663852886e38", "f", [D("3.4028234663852886e38"), D("3.4028235e38")], [D("3.40282e38")]),
    ],
)
def test_the_stored_forms_of_a_value_lie_within(
    text: str, column: str, inside: list[object], outside: list[object]
) -> None:
    domain = Domains.of(parse_predicate(text, SCHEMA))[column]
    assert [value for value in inside if value not in domain] == []  # type: ignore[operator]
    assert [value for value in outside if value in domain] == []  # type: ignore[operator]


DAYS = st.dates(date(1, 1, 8), date(9999, 12, 20))


@given(bound=DAYS, distance=st.integers(0, 400), op=st.sampled_from(["=", "<", "<=", ">", ">="]))
def test_every_form_of_a_date_lies_within(bound: date, distance: int, op: str) -> None:
    domain = Domains.of(parse_predicate(f"day {op} DATE'{bound.isoformat()}'", SCHEMA))["day"]
    sign = {"=": 0, "<": -1, "<=": -1, ">": 1, ">=": 1}[op]
    try:
        day = bound + timedelta(days=sign * (distance + (op in "<>")))
    except OverflowError:
        return
    year, week, weekday = day.isocalendar()
    forms = [
        day.isoformat(),
        day.isoformat().replace("-", ""),
        f"{year:04}-W{week:02}-{weekday}",
        f"{year:04}W{week:02}{weekday}",
    ]
    for form in forms:
        assert date.fromisoformat(form) == day
        assert form in domain


INTERVALS = st.builds(
    Interval, st.none() | st.integers(0, 9).map(D), st.none() | st.integers(0, 9).map(D), st.booleans(), st.booleans()
)
PROBES = [D(number) / 2 for number in range(-1, 20)]


@given(first=st.lists(INTERVALS, max_size=4), second=st.lists(INTERVALS, max_size=4))
def test_domains_are_sets_of_disjoint_intervals_in_order(first: list[Interval], second: list[Interval]) -> None:
    one, two = Domain.of(*first), Domain.of(*second)
    for probe in PROBES:
        assert (probe in one) == any(probe in interval for interval in first)
        assert (probe in one & two) == (probe in one and probe in two)
        assert (probe in one | two) == (probe in one or probe in two)
    for before, after in pairwise((one | two).intervals or ()):
        assert before.high is not None
        assert after.low is not None
        assert before.high < after.low or not (before.high_inclusive or after.low_inclusive)
    assert one & ALL == one
    assert one | ALL == ALL


def test_a_domain_knows_its_points_and_its_hull() -> None:
    assert Domain.points(["b", "a"]).only_points == ("a", "b")
    assert EXISTS.only_points is None
    assert ALL.only_points is None
    assert Domain.points(["b", "a"]).hull == Interval("a", "b")
    assert NOTHING.hull is None
    assert NOTHING.is_empty
    assert ALL.is_all


@pytest.mark.parametrize(
    ("prefix", "end"), [("a", "b"), ("\ud7ff", "\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", None)]
)
def test_a_prefix_ends_before_the_next_character(prefix: str, end: str | None) -> None:
    interval = prefixed(prefix)
    assert interval.high == end
    assert prefix in interval
    assert prefix + "\U0010ffff" * 3 in interval


def test_an_intersection_of_very_many_domains_is_found_by_one_sort() -> None:
    """By pairs of intervals it would take hours."""
    numbers = [Decimal(number) for number in range(20_000)]
    rest = intersection(Domain.all_but([number]) for number in numbers)
    assert rest == Domain.all_but(numbers)
    assert numbers[10_000] not in rest
    assert Decimal("10000.5") in rest
    assert rest & Domain.points(numbers) == NOTHING
    assert rest & Domain.points([*numbers[1:], Decimal("0.5")]) == Domain.points([Decimal("0.5")])


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.booleans(), st.booleans()), max_size=4), st.data())
def test_an_intersection_holds_what_all_domains_hold(
    bounds: list[tuple[int, int, bool, bool]], data: st.DataObject
) -> None:
    spans = [Interval(Decimal(low), Decimal(high), first, last) for low, high, first, last in bounds]
    more = data.draw(st.lists(st.sampled_from([EXISTS, ALL, NOTHING, Domain.of(below(D(3)), above(D(3)))]), max_size=2))
    domains = [*more, *(Domain.of(span, above(D(5))) for span in spans)]
    found = intersection(domains)
    for half in range(-1, 15):
        assert (D(half) / 2 in found) is all(D(half) / 2 in domain for domain in domains)
    if found.intervals is not None:
        assert Domain.of(*found.intervals) == found
