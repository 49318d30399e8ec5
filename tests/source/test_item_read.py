"""Whole items without a schema: the same items as DynamoDB's own exact condition gives, for no more requests than needed."""

from __future__ import annotations

import random
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from pyspark.sql.types import StringType, StructField, StructType

from spark_dynamo.aws.tables import Index, KeyAttribute
from spark_dynamo.errors import OptionError
from spark_dynamo.predicates.condition import parse_condition
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.read.item_read import ItemRead, plan_items
from tests.conftest import Server

NUMBERS = (
    *("0", "5", "5.5", "-5.5", "5.4999999999999999999999999999999999999", "5.5000000000000000000000000000000000001"),
    *("1E+125", "-1E+125", "1E-130", "9.99", "10", "99999999999999999999999999999999999999"),
)
PREDICATES = (
    *("n = 5", "n <> 5", "n < 5.5", "n <= 5.5", "n > 5.5", "n >= 5.5", "NOT n > 5.5", "n = 5.5", "n IN (0, 5.5, 10)"),
    *("n BETWEEN -5.5 AND 5.50", "n NOT BETWEEN -5.5 AND 9.99", "n > 0 AND n < 0.0000000001", "n < -99999999999"),
    *("t = 'a'", "t > 'a'", "t LIKE 'a%'", "t LIKE '%b%'", "t IN ('a', '')", "NOT t = 'a'", "contains(t, 'b')"),
    *("flag", "NOT flag", "flag = false", "b = X'00FF'", "b > X'00'", "any IS NULL", "any IS NOT NULL", "gone IS NULL"),
    *("m.n > 5", "m.n = 5.5 OR m.t = 'a'", "m.n IS NULL", "m.deep.x = 1", "m IS NOT NULL AND m.n < 3"),
    *("id = 'i3' AND n > 5", "id IN ('i1', 'i2', 'i7') AND t = 'a'", "id = 'i3' OR n = 5", "id > 'i4'", "k < 3"),
    *("id = 'i3' AND k = 3", "id = 'i3' AND k IN (3, 4)", "s = 'open'", "s = 'open' AND n > 1", "TRUE", "FALSE"),
    *("(n = 5) IS NULL", "(n = 5) IS TRUE", "n <=> 5", "n = 5 AND NULL"),
)


@pytest.fixture(scope="module")
def table(dynoxide_server: Server) -> str:
    """A table with 150 items of all sorts of attributes."""
    chance = random.Random(7)
    table = dynoxide_server.create("id:S", "k:N", [Index("by_s", KeyAttribute("s", "S"))])
    texts = [{"S": text} for text in ("", "a", "ab", "cab", "b")]
    numbers = [{"N": number} for number in NUMBERS]
    kinds: dict[str, list[dict[str, Any]]] = {
        "n": [*numbers, {"NULL": True}, {"S": "5"}],
        "t": [*texts, {"N": "1"}],
        "flag": [{"BOOL": True}, {"BOOL": False}],
        "b": [{"B": b"\x00"}, {"B": b"\x00\xff"}],
        "any": [{"NULL": True}, {"N": "1"}, {"L": []}],
        "s": [{"S": "open"}, {"S": "shut"}],
        "m": [
            {"M": {"n": chance.choice(numbers), "t": chance.choice(texts), "deep": {"M": {"x": {"N": "1"}}}}}
            for _ in range(9)
        ]
        + [{"M": {}}, {"S": "x"}],
    }
    for number in range(150):
        attributes = {name: chance.choice(values) for name, values in kinds.items() if chance.random() < 0.8}
        dynoxide_server.put(table, {"id": {"S": f"i{number % 9}"}, "k": {"N": str(number)}, **attributes})
    return table


def planned(server: Server, table: str, predicate: str | None, **more: Any) -> ItemRead:
    limit, columns = more.pop("limit", None), more.pop("columns", None)
    options = {**server.options, "table": table, **more, **({"filter": predicate} if predicate else {})}
    return plan_items(SourceOptions(options), limit=limit, columns=columns)


def read(planned: ItemRead) -> list[dict[str, Any]]:
    return [orjson.loads(text) for texts in planned.texts() for text in texts.to_pylist()]


def exact(server: Server, table: str, predicate: str) -> set[str]:
    """The sort keys of the items for which DynamoDB itself says that the predicate holds."""
    if predicate in ("TRUE", "FALSE", "n = 5 AND NULL"):
        return {item["k"]["N"] for item in server.items(table) if predicate == "TRUE"}
    keys = StructType([StructField("id", StringType()), StructField("s", StringType())])
    condition = parse_condition(predicate, keys, StructType())
    pages = server.client.get_paginator("scan").paginate(
        TableName=table,
        FilterExpression=condition.expression,
        ExpressionAttributeNames=condition.names,
        **(
            {
                "ExpressionAttributeValues": {
                    alias: {tag: b64decode(content) if tag == "B" else content for tag, content in value.items()}
                    for alias, value in condition.values.items()
                }
            }
            if condition.values
            else {}
        ),
    )
    return {item["k"]["N"] for page in pages for item in page["Items"]}


# where a value of another type is no NULL for DynamoDB's condition, and is for the filter
OTHERWISE: dict[str, Callable[[dict[str, Any]], bool]] = {
    "m.n IS NULL": lambda item: "n" not in item.get("m", {}).get("M", {}),
    "(n = 5) IS NULL": lambda item: "N" not in item.get("n", {}),
}


@pytest.mark.parametrize("predicate", PREDICATES)
def test_the_items_are_those_of_dynamodbs_exact_condition(dynoxide_server: Server, table: str, predicate: str) -> None:
    found = read(planned(dynoxide_server, table, predicate))
    if predicate in OTHERWISE:
        expected = {item["k"]["N"] for item in dynoxide_server.items(table) if OTHERWISE[predicate](item)}
    else:
        expected = exact(dynoxide_server, table, predicate)
    assert {item["k"]["N"] for item in found} == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("predicate", "told"),
    [
        ("n < m", "with which it is compared"),
        ("k = '5'", "without quotes"),
        ("n = 5 AND n = 'a'", "compared as"),
        ("n = 1 OR n.x = 1", "can't be both"),
        ("n = 1 OR n > 10000000000000000000000000000000000000 OR n = 0.01", "more than 38 digits"),
        ("t <=> NULL", "compares t"),
        ("id.x = 1", "no fields"),
    ],
)
def test_what_can_not_be_told_is_refused(dynoxide_server: Server, table: str, predicate: str, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        planned(dynoxide_server, table, predicate)


@pytest.fixture(scope="module")
def megabytes(dynoxide_server: Server) -> str:
    """A table of 6 MB in 24 items."""
    table = dynoxide_server.create("id:S", "k:N")
    for number in range(24):
        dynoxide_server.put(
            table,
            {"id": {"S": f"i{number % 2}"}, "k": {"N": str(number)}, "text": {"S": "x" * 250_000}},
        )
    return table


@pytest.mark.parametrize(
    ("predicate", "limit", "requests", "most_items"),
    [
        (None, 1, 1, 1),
        (None, 6, 2, 7),  # dynoxide counts the item that does not fit into the page, too
        ("id = 'i1'", 3, 1, 5),
        ("k < 100", 2, 1, 5),
        ("id = 'i1' AND k = 3", 1, 1, 1),
    ],
)
def test_a_limit_ends_the_requests(
    dynoxide_server: Server, megabytes: str, predicate: str | None, limit: int, requests: int, most_items: int
) -> None:
    limited = planned(dynoxide_server, megabytes, predicate, limit=limit)
    assert len(read(limited)) == limit
    assert limited.requests.counts.requests == requests
    assert limited.requests.counts.items <= most_items


def test_pages_come_one_by_one(dynoxide_server: Server, megabytes: str) -> None:
    """Whoever stops listening ends the requests."""
    whole = planned(dynoxide_server, megabytes, "id = 'i1'")
    texts = whole.texts()
    assert len(next(texts)) < 12
    texts.close()
    assert whole.requests.counts.requests <= 3
    assert len(read(planned(dynoxide_server, megabytes, None))) == 24


def test_columns_are_what_dynamodb_is_asked_for(dynoxide_server: Server, megabytes: str) -> None:
    narrow = planned(dynoxide_server, megabytes, None, columns=["k"])
    assert {frozenset(item) for item in read(narrow)} == {frozenset({"id", "k"})}
    assert narrow.requests.counts.bytes < 10_000


def test_an_attribute_that_is_called_like_the_column_of_whole_items(local_server: Server) -> None:
    table = local_server.create()
    local_server.put(table, {"id": {"S": "a"}, "_item": {"N": "1"}}, {"id": {"S": "b"}, "_item": {"N": "2"}})
    assert read(planned(local_server, table, "_item = 2")) == [{"id": {"S": "b"}, "_item": {"N": "2"}}]


def test_a_small_table_with_a_binary_key(local_server: Server) -> None:
    table = local_server.create("id:B")
    local_server.put(table, {"id": {"B": b"\x00"}})
    assert read(planned(local_server, table, None)) == [{"id": {"B": "AA=="}}]
