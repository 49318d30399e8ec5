"""Filters of very many values: they mean what short ones mean, and what they cost grows as their number does."""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Callable

import pyarrow as pa
import pytest
from pyspark.sql.types import StructType

from spark_dynamo.aws.client import Connection
from spark_dynamo.aws.tables import Index, KeyAttribute, TableDescription
from spark_dynamo.predicates.evaluate import mask
from spark_dynamo.predicates.lexer import words
from spark_dynamo.predicates.parse import parse_predicate
from spark_dynamo.predicates.tree import And, Or
from spark_dynamo.source.location import Found
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.read.explain import plan_of
from spark_dynamo.source.read.item_filter import ItemFilter
from spark_dynamo.source.read.planner import plan_read
from tests.tiers import quick

SCHEMA = (
    StructType().add("id", "string").add("n", "long").add("d", "decimal(20,4)").add("x", "double").add("m", "integer")
)
TABLE = TableDescription(
    "t",
    "arn:aws:dynamodb:eu-central-1:123456789012:table/t",
    KeyAttribute("id", "S"),
    KeyAttribute("n", "N"),
    item_count=0,
    size_bytes=0,
    status="ACTIVE",
    indexes=(Index("by-m", KeyAttribute("m", "N")),),
)
FOUND = Found(Connection(region="eu-central-1"), "t", TABLE)


def listed(form: str, count: int, between: str = ", ") -> str:
    return between.join(form.replace("#", str(number)) for number in range(count))


def texts(count: int) -> str:
    return listed("'v#'", count)


SHAPES: dict[str, Callable[[int], str]] = {
    "IN": lambda count: f"id IN ({texts(count)})",
    "NOT IN": lambda count: f"n NOT IN ({listed('#', count)})",
    "IN of decimals": lambda count: f"d IN ({listed('#.5', count)})",
    "IN of doubles": lambda count: f"x IN ({listed('#.5D', count)})",
    "keys": lambda count: f"id = 'a' AND n IN ({listed('#', count)})",
    "keys of many partitions": lambda count: f"id IN ({texts(count)}) AND n = 1",
    "keys of an index": lambda count: f"m IN ({listed('#', count)})",
    "other values": lambda count: listed("n <> #", count, " AND "),
    "other values of a sort key": lambda count: f"id = 'a' AND {listed('n <> #', count, ' AND ')}",
    "one of": lambda count: listed("n = #", count, " OR "),
    "ranges": lambda count: listed("n BETWEEN #0 AND #3", count, " OR "),
    "patterns": lambda count: listed("id LIKE '#%'", count, " OR "),
    "no pattern": lambda count: listed("id NOT LIKE '%#%'", count, " AND "),
    "AND of ORs": lambda count: listed("(n = # OR m = #)", count, " AND "),
    "OR of ANDs": lambda count: listed("(id = 'v#' AND (n = # OR m > #))", count, " OR "),
    "NOT": lambda count: listed("NOT (n = # OR m = #)", count, " AND "),
}


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, those in C too: a measure that no other process disturbs."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("shape", quick(8, SHAPES))
def test_twice_as_many_values_cost_twice_as_much(shape: str) -> None:
    def plan(count: int) -> None:
        options = SourceOptions({"table": "t", "filter": SHAPES[shape](count)})
        assert plan_of(plan_read(options, FOUND, SCHEMA), FOUND).filtered_in_spark
        ItemFilter.of(str(options.filter), TABLE)

    plan(2)  # what is imported and compiled once
    once, twice = calls(lambda: plan(150)), calls(lambda: plan(300))
    assert once < twice < 2.4 * once


def test_what_many_values_cost_does_not_grow_with_columns_that_are_not_named() -> None:
    wide = StructType([*SCHEMA, *(StructType().add(f"c{number}", "string")[0] for number in range(60))])
    options = SourceOptions({"table": "t", "filter": SHAPES["IN"](300)})
    narrow = calls(lambda: plan_read(options, FOUND, SCHEMA))
    assert calls(lambda: plan_read(options, FOUND, wide)) < 2 * narrow


def test_comments_are_read_once() -> None:
    def seconds(count: int) -> float:
        text = f"n IN ({listed('/* one of them */ #', count)})"
        started = time.process_time()
        words(text)
        return time.process_time() - started

    assert min(seconds(40_000) for _ in range(2)) < 8 * max(seconds(10_000) for _ in range(2))  # were it all: 16


@pytest.mark.parametrize("joint", ["AND", "OR"])
def test_a_chain_of_thousands_is_flat_and_means_what_it_says(joint: str) -> None:
    op = "<>" if joint == "AND" else "="
    node = parse_predicate(listed(f"n {op} #", 5_000, f" {joint} "), SCHEMA)
    assert isinstance(node, And if joint == "AND" else Or)
    assert len(node.children) == 5_000
    batch = pa.record_batch({"n": pa.array([-1, 0, 4_999, 5_000, None], pa.int64())})
    wanted = [False, True, True, False, False]
    assert mask(node, batch).to_pylist() == (wanted if joint == "OR" else [True, False, False, True, False])
    reader = plan_read(
        SourceOptions({"table": "t", "filter": f"id = 'a' AND ({SHAPES['one of'](5_000)})"}), FOUND, SCHEMA
    )
    assert len(pickle.loads(pickle.dumps(reader)).access.own) == 50


@pytest.mark.parametrize("members", ["7, -7, 8, 7", "1, 2", "1, 'x', 3", "1, NULL, 3, 4", "1.5, 2, 3e0", "3"])
def test_a_list_is_read_like_its_members(members: str) -> None:
    one_by_one = ", ".join(f"({member})" for member in members.split(", "))
    assert outcome(f"n IN ({members})") == outcome(f"n IN ({one_by_one})")
    assert outcome(f"NOT (n IN ({members}) OR m NOT IN ({members}))") == outcome(
        f"NOT (n IN ({one_by_one}) OR m NOT IN ({one_by_one}))"
    )


def outcome(text: str) -> object:
    try:
        return parse_predicate(text, SCHEMA)
    except ValueError as refused:
        return str(refused)
