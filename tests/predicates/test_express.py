"""The texts of filter expressions."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from spark_dynamo.predicates.express import Placeholders, filter_expression
from spark_dynamo.predicates.parse import parse_predicate
from tests.conftest import Server
from tests.predicates.generate import SCHEMA


def said(text: str, **options: Any) -> str | None:
    """The expression with names and values put in for their placeholders."""
    placeholders = Placeholders()
    expression = filter_expression(parse_predicate(text, SCHEMA), placeholders, **options)
    if expression is None:
        assert placeholders == Placeholders()
        return None
    meanings = {**placeholders.names, **{alias: str(*value.values()) for alias, value in placeholders.values.items()}}
    for alias in sorted(meanings, key=len, reverse=True):
        assert alias in expression
        expression = expression.replace(alias, meanings[alias])
    return expression


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s = 'x'", "s = x"),
        ("s <> 'x'", "attribute_type(s, S) AND s <> x"),
        ("s IN ('y', 'x')", "s IN (x, y)"),
        ("s NOT IN ('y', 'x')", "attribute_type(s, S) AND NOT s IN (x, y)"),
        ("s LIKE 'a%'", "begins_with(s, a)"),
        ("s LIKE 'a%b_c'", "begins_with(s, a) AND contains(s, b) AND contains(s, c)"),
        ("s NOT LIKE '%a%'", "attribute_type(s, S) AND NOT contains(s, a)"),
        ("s LIKE '%'", "attribute_type(s, S)"),
        ("s IS NULL", "NOT attribute_type(s, S)"),
        ("s IS NOT NULL", "attribute_type(s, S)"),
        ("n BETWEEN 1 AND 5", "attribute_type(n, N) AND n BETWEEN 1 AND 5"),
        ("n > 1 AND n < 5", "attribute_type(n, N) AND n > 1 AND n < 5"),
        ("n >= 5 AND n <= 5", "n = 5"),
        ("n < 1 OR n > 5", "attribute_type(n, N) AND (n < 1 OR n > 5)"),
        ("n = 1 OR s = 'x'", "n = 1 OR s = x"),
        ("(n = 1 OR s = 'x') AND b", "(n = 1 OR s = x) AND b = True"),
        ("n = 1 AND b OR s = 'x'", "(n = 1 AND b = True) OR s = x"),
        ("NOT (n = 1 AND b)", "(attribute_type(n, N) AND n <> 1) OR b = False"),
        ("n = 1 OR (s = 'x') IS NOT TRUE", None),
        ("n = 1 AND (s = 'x') IS NOT TRUE", "n = 1"),
        ("st.inner.text = 'x'", "st.inner.Text = x"),
        ("m['a b'] = 5", "m.a b = 5"),
        ("size(sa) >= 2", "attribute_type(sa, SS) AND size(sa) >= 2"),
        ("array_contains(a, 5)", "contains(a, 5)"),
        ("NOT array_contains(sa, 'x')", "attribute_type(sa, SS) AND NOT contains(sa, x)"),
        ("array_contains(da, 1.5D)", "attribute_type(da, L)"),
        ("n < n2", "attribute_type(n, N) AND attribute_type(n2, N) AND n < n2"),
        ("n = n", "attribute_type(n, N)"),
        ("d < d2", "attribute_type(d, N) AND attribute_type(d2, N)"),
        ("n = 1.5", None),
        ("TRUE", None),
    ],
)
def test_a_predicate_is_said_as_far_as_dynamodb_can(text: str, expected: str | None) -> None:
    assert said(text) == expected


def test_what_is_excluded_is_left_out_of_an_and_and_takes_an_or_with_it() -> None:
    assert said("s = 'x' AND n = 1", exclude=frozenset({"s"})) == "n = 1"
    assert said("s = 'x' OR n = 1", exclude=frozenset({"s"})) is None
    assert said("NOT (s = 'x' OR n = 1)", exclude=frozenset({"n"})) == "attribute_type(s, S) AND s <> x"


def test_where_misfits_are_read_as_null_only_types_without_misfits_are_asked_for_null() -> None:
    assert said("ts IS NULL AND s IS NULL", reject_nulls=True) == "NOT attribute_type(s, S)"
    assert said("st.inner.text IS NULL", reject_nulls=True) is None
    assert said("ts IS NOT NULL", reject_nulls=True) == "attribute_type(ts, S)"


def test_equal_names_and_values_share_a_placeholder_and_earlier_ones_stay() -> None:
    placeholders = Placeholders()
    assert placeholders.name("n") == "#n0"
    assert filter_expression(parse_predicate("n = 5 AND n2 = 5", SCHEMA), placeholders) == "#n0 = :v0 AND #n1 = :v0"
    assert placeholders.names == {"#n0": "n", "#n1": "n2"}
    assert placeholders.values == {":v0": {"N": "5"}}


@pytest.mark.parametrize(
    "text",
    [
        f"n IN ({', '.join(map(str, range(5000)))})",
        f"n NOT IN ({', '.join(map(str, range(5000)))}) AND b",
        " AND ".join(f"s NOT LIKE '%{number}%'" for number in range(500)),
        " OR ".join(f"s LIKE '%{number}%'" for number in range(90)),
        " OR ".join(f"s LIKE '%{number}%'" for number in range(500)) + " AND b",
        f"s IN ({', '.join(repr('x' * number) for number in range(1, 251))})",
        f"n IN ({', '.join(map(str, range(250)))}) OR s = ''",
    ],
)
def test_what_exceeds_the_limits_is_left_out(server: Server, text: str) -> None:
    placeholders = Placeholders()
    expression = filter_expression(parse_predicate(text, SCHEMA), placeholders)
    if expression is None:
        assert text.count("OR") == 499
        return
    assert len(expression) <= 4096
    answer = server.client.scan(
        TableName=server.create(),
        FilterExpression=expression,
        ExpressionAttributeNames=placeholders.names,
        ExpressionAttributeValues=placeholders.values,
    )
    assert answer["Items"] == []


def test_values_are_written_as_dynamodb_takes_them(dynoxide_server: Server) -> None:
    chance = random.Random(1)
    table = dynoxide_server.create()
    dynoxide_server.put(
        table, {"id": {"S": "1"}, "q": {"N": "1.2300000001"}, "x": {"B": b""}, "s": {"S": ""}, "d": {"N": "0"}}
    )
    texts = [
        "q = 1.2300000001",
        "x = X''",
        "s = ''",
        "d = -0e0",
        "d > -1e-300",
        "d < 1e125",
        "q BETWEEN 1 AND 100000000000",
    ]
    for text in chance.sample(texts, len(texts)):
        placeholders = Placeholders()
        expression = filter_expression(parse_predicate(text, SCHEMA), placeholders)
        answer = dynoxide_server.client.scan(
            TableName=table,
            FilterExpression=expression,
            ExpressionAttributeNames=placeholders.names,
            ExpressionAttributeValues=placeholders.values,
        )
        assert answer["Count"] == 1, text


def test_equal_values_share_a_placeholder_however_many_there_are() -> None:
    """By a search for each it would take hours."""
    placeholders = Placeholders({"#n0": "a"}, {":v0": {"N": "1"}})
    first = [placeholders.value(Decimal(number)) for number in range(40_000)]
    assert [placeholders.value(Decimal(number)) for number in range(40_000)] == first
    assert len(set(first)) == len(placeholders.values) == 40_000
    assert first[1] == ":v0"
    assert placeholders.name("a") == "#n0"
    trial = placeholders.copy()
    assert trial.value("x") not in placeholders.values
    assert trial.value(Decimal(7)) == first[7]


def test_of_very_many_conditions_the_shortest_are_kept_in_their_order() -> None:
    texts = [f"s NOT LIKE '%{number}%'" for number in range(2_000)]
    expression = said(" AND ".join(["n = 7", *texts, "b"]))
    assert expression is not None
    assert len(expression) < 4_096
    assert expression.startswith("n = 7 AND ")
    assert expression.endswith(" AND b = True")


def test_of_very_many_values_that_are_left_out_that_there_is_one_remains() -> None:
    conditions = " AND ".join(f"n <> {number}" for number in range(6_000))
    assert said(conditions) == "attribute_type(n, N)"
