"""Conditions of writes say in DynamoDB's words just what the predicate says: on real servers, against our own evaluator."""

from __future__ import annotations

import base64
import http.client
import math
import operator
import pickle
import random
from collections.abc import Iterator
from contextlib import suppress
from decimal import Context, Decimal
from typing import Any
from urllib.parse import urlsplit

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from spark_dynamo.errors import OptionError
from spark_dynamo.predicates.condition import condition_tree, parse_condition
from spark_dynamo.predicates.evaluate import mask
from spark_dynamo.predicates.parse import parse_predicate
from spark_dynamo.predicates.ranges import Domain
from spark_dynamo.predicates.roundings import read_as
from spark_dynamo.wire.actions import ActionEncoder, Condition
from spark_dynamo.wire.encode import ItemEncoder
from tests.conftest import Server
from tests.predicates.generate import ORDERS, SCHEMA, predicate, table
from tests.predicates.items import Item, decode, item

STORED = StructType([StructField("id", StringType()), *SCHEMA.fields])
CANONICAL = ["dt", "ts", "nt", "st"]  # with dates and timestamps in them: only the form that is written counts


def stored_items(chance: random.Random, count: int) -> list[Item]:
    """Items with values in many forms, but for dates and timestamps in texts."""
    moments = StructType([SCHEMA[name] for name in CANONICAL])
    texts = ItemEncoder(moments, table="t").encode(table(chance, count).select(CANONICAL))
    items = []
    for number, text in enumerate(texts.to_pylist()):
        one = {name: value for name, value in item(chance, str(number)).items() if name not in [*CANONICAL, "ta"]}
        items.append({**one, **orjson.loads(text)})
    return items


def a_row(chance: random.Random) -> pa.RecordBatch:
    """A row of the frame, without nulls where there are any others."""
    rows = table(chance, 12)
    columns = [column.drop_null().slice(0, 1) for column in rows.columns]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


GROUPS = [["s", "s2", "`odd name.x`", "ms.k", "st.inner.text"], ["t", "i", "n", "n2", "size(a)", "m['k']", "st.i"], ["p", "q"],
          ["b", "b2"], ["x"], ["ts", "st.inner.at"], ["te"], ["nt"], ["dt"]]  # fmt: skip


def with_rows(chance: random.Random) -> str:
    """A comparison with the row's own value."""
    group = chance.choice(GROUPS)
    columns = [name for name in group if name.strip("`") in SCHEMA.names]
    sides = [chance.choice(group), f"{chance.choice(['new', 'NEW', 'New'])}.{chance.choice(columns)}"]
    if chance.random() < 0.3:
        sides.reverse()
    return f"{sides[0]} {chance.choice(ORDERS)} {sides[1]}"


def some_condition(chance: random.Random) -> str:
    text = predicate(chance, chance.choice([0, 0, 1, 2]))
    kind = chance.random()
    if kind < 0.35:
        return text
    if kind < 0.6:
        return chance.choice(["{}", "NOT ({})", "({}) IS NULL", "NOT (({}) IS NULL)"]).format(with_rows(chance))
    return f"{chance.choice(['', 'NOT '])}({text}) {chance.choice(['AND', 'OR'])} ({with_rows(chance)})"


def conditions(chance: random.Random, count: int) -> Iterator[tuple[str, Condition]]:
    while count:
        text = some_condition(chance)
        with suppress(OptionError):
            yield text, parse_condition(text, STORED, SCHEMA, zone="America/New_York")
            count -= 1


def holds(text: str, batch: pa.RecordBatch, row: pa.RecordBatch) -> list[bool]:
    """What the evaluator says of the condition for each item of the batch."""
    new = row.take(pa.array([0] * batch.num_rows, pa.int64())).to_struct_array()
    node = condition_tree(text, STORED, SCHEMA)
    chosen: list[bool] = mask(node, batch.append_column("new", new), "America/New_York").to_pylist()
    return chosen


def post(server: Server, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """One request with the body as it is, and its answer."""
    address = urlsplit(server.endpoint)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    credential = "local/20260101/us-east-1/dynamodb/aws4_request"
    try:
        connection.request(
            "POST",
            "/",
            body,
            {
                "X-Amz-Target": f"DynamoDB_20120810.{operation}",
                "Content-Type": "application/x-amz-json-1.0",
                "X-Amz-Date": "20260101T000000Z",
                "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0",
            },
        )
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status in (200, 400), content
        return answer.status, orjson.loads(content)
    finally:
        connection.close()


def matching(server: Server, table: str, condition: Condition, row: pa.RecordBatch) -> set[str]:
    """The keys of the items for which the condition holds, with that row's values: a Scan's filter is of the same kind."""
    schema = STORED if "s" in row.schema.names else StructType().add("id", "string")
    encoder = ActionEncoder("delete", table=table, schema=schema, key_names=["id"], condition=condition)
    action = orjson.loads(encoder.encode(row)[0].as_py())
    body = {"TableName": table, "ConsistentRead": True, "FilterExpression": action["ConditionExpression"]}
    body |= {key: value for key, value in action.items() if key.startswith("ExpressionAttribute")}
    body |= {"ProjectionExpression": "#k", "ExpressionAttributeNames": {**condition.names, "#k": "id"}}
    status, answer = post(server, "Scan", orjson.dumps(body))
    assert status == 200, (condition, answer)
    return {one["id"]["S"] for one in answer["Items"]}


def write(server: Server, operation: str, action: str) -> bool:
    """Send an action by itself; False where its condition failed."""
    name = {"put": "PutItem", "insert": "PutItem", "update": "UpdateItem", "delete": "DeleteItem"}[operation]
    status, answer = post(server, name, action.encode())
    if status == 400:
        assert answer["__type"].endswith("ConditionalCheckFailedException"), (answer, action)
    return status == 200


def keyed(row: pa.RecordBatch, keys: list[str]) -> pa.RecordBatch:
    """The row once for each key."""
    columns = row.take(pa.array([0] * len(keys), pa.int64())).columns
    return pa.RecordBatch.from_arrays([pa.array(keys), *columns], names=["id", *row.schema.names])


# ---------------------------------------------------------------------------------------------------- exactly


def test_a_condition_holds_for_just_the_items_for_which_the_predicate_is_true(server: Server) -> None:
    chance = random.Random(5)
    name = server.create()
    server.put(name, *stored_items(chance, 40))
    items = server.items(name)
    batch = decode(items, STORED)
    outcomes = {True: 0, False: 0}
    for text, condition in conditions(chance, 70):
        row = a_row(chance)
        found = matching(server, name, condition, keyed(row, ["-"]))
        for one, expected in zip(items, holds(text, batch, row), strict=True):
            assert (one["id"]["S"] in found) is expected, f"{text}\n{condition}\n{one}\n{row.to_pylist()}"
            outcomes[expected] += 1
    assert min(outcomes.values()) > 400


def test_a_write_succeeds_just_where_the_predicate_is_true_of_the_item_that_is_there_or_not(server: Server) -> None:
    chance = random.Random(9)
    name = server.create()
    outcomes = {True: 0, False: 0}
    for text, condition in conditions(chance, 25):
        row = a_row(chance)
        items = [*stored_items(chance, 2), {"id": {"S": "missing"}}]
        server.put(name, *items[:-1])
        operation = chance.choice(["put", "delete", "update"])
        encoder = ActionEncoder(operation, table=name, schema=STORED, key_names=["id"], condition=condition)
        batch = keyed(row, [one["id"]["S"] for one in items])
        texts = pa.array([f'{{"id":{{"S":"{key}"}}}}' for key in batch.column("id").to_pylist()])
        if operation == "update":
            batch = _without_misfits(batch)
        actions = encoder.encode(batch, None if operation == "update" else texts).to_pylist()
        absent = {key: value for key, value in items[-1].items() if key != "id"}
        expected = holds(text, decode([*items[:-1], absent], STORED), row)
        for one, action, should in zip(items, actions, expected, strict=True):
            assert write(server, operation, action) is should, (
                f"{operation}\n{text}\n{condition}\n{one}\n{row.to_pylist()}"
            )
            outcomes[should] += 1
        server.client.delete_item(TableName=name, Key={"id": {"S": "missing"}})
    assert min(outcomes.values()) > 12


def _without_misfits(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The row without what DynamoDB can't take, as numbers of 300 digits and sets that hold a thing twice."""
    columns = [
        pa.nulls(batch.num_rows, column.type) if field.name in ("d", "d2", "f", "da", "sa", "pa", "ta") else column
        for field, column in zip(batch.schema, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


HOLDS = {"=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.data(), st.booleans())
def test_the_numbers_that_read_as_a_floating_point_number_are_found_to_the_last_digit(
    data: st.DataObject, narrow: bool
) -> None:
    width = 32 if narrow else 64
    value = data.draw(st.floats(allow_nan=False, allow_infinity=False, width=width)) + 0.0  # type: ignore[arg-type]
    kind = pa.float32() if narrow else pa.float64()
    digits = Context(prec=38)
    stored = [digits.create_decimal(value), digits.create_decimal(repr(value))]
    bounds = [read_as(op, value, narrow=narrow) for op in HOLDS]
    for interval in (interval for domain in bounds for interval in domain.intervals or ()):
        for bound in (interval.low, interval.high):
            if isinstance(bound, Decimal):
                stored += [bound, digits.next_minus(bound), digits.next_plus(bound)]
    for number in stored:
        if number and not -130 <= number.adjusted() <= 125:
            continue
        read = pa.array([str(number)]).cast(kind)[0].as_py()
        if math.isinf(read):
            continue  # it does not fit the column
        for (op, compare), domain in zip(HOLDS.items(), bounds, strict=True):
            assert (number in domain) is compare(read, value), (op, value, number, domain)


def test_what_no_stored_number_reads_as() -> None:
    assert read_as("=", 1e300, narrow=False) == Domain(())
    assert read_as("<", 1e300, narrow=False).intervals
    assert read_as(">=", -1e300, narrow=False) == read_as("<", 1e300, narrow=False)
    assert read_as("<", -1e300, narrow=False).is_empty


# ---------------------------------------------------------------------------------------------------- in words

FRAME = (
    StructType()
    .add("id", "string")
    .add("version", "long")
    .add("price", "decimal(10,2)")
    .add("ratio", "double")
    .add("open", "boolean")
    .add("updated", "timestamp")
    .add("expires", "timestamp", metadata={"dynamodb": "N"})
    .add("tags", ArrayType(StringType()), metadata={"dynamodb": "SS"})
    .add("address", StructType().add("City", "string"))
    .add("code", "string", metadata={"dynamodb": "N"})
)


def said(text: str, stored: StructType = FRAME, zone: str | None = None) -> str:
    """The condition with names and values put in for their placeholders, and `new.` before what the row fills in."""
    condition = parse_condition(text, stored, FRAME, zone)
    meanings = {
        **condition.names,
        **{alias: str(*value.values()) for alias, value in condition.values.items()},
        **{alias: f"new.{name}" for alias, name in condition.columns.items()},
    }
    expression = condition.expression
    for alias in sorted(meanings, key=len, reverse=True):
        assert alias in expression
        expression = expression.replace(alias, meanings[alias])
    return expression


WRITTEN = "attribute_type(updated, S) AND size(updated) = 32 AND contains(updated, T) AND contains(updated, +00:00)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id IS NULL", "attribute_not_exists(id) OR attribute_type(id, NULL)"),
        ("id IS NOT NULL", "attribute_exists(id) AND NOT attribute_type(id, NULL)"),
        ("version < new.version", "attribute_type(version, N) AND version < new.version"),
        ("NEW.Version >= VERSION", "attribute_type(version, N) AND version <= new.version"),
        ("version = new.version", "version = new.version"),
        ("version <> new.version", "attribute_type(version, N) AND version <> new.version"),
        ("NOT version <=> new.version", "NOT version = new.version"),
        ("version > 1 AND version <= 5", "attribute_type(version, N) AND version > 1 AND version <= 5"),
        ("version IN (1, 2) OR version = 3", "version IN (1, 2, 3)"),
        ("(version > 1) IS NULL", "NOT attribute_type(version, N)"),
        ("(version > 1) IS NOT TRUE", "NOT (attribute_type(version, N) AND version > 1)"),
        ("(open OR version > 1) IS NULL", "NOT (open = True OR (attribute_type(version, N) AND version > 1) OR "
         "(open = False AND attribute_type(version, N) AND version <= 1))"),
        ("price > 1.234", "attribute_type(price, N) AND price > 1.23"),
        ("ratio = 0.5", "attribute_type(ratio, N) AND ratio >= 0.49999999999999997224442438437108648941 AND ratio < "
         "0.50000000000000005551115123125782702119"),
        ("NOT open", "open = False"),
        ("updated < new.updated", f"{WRITTEN} AND NOT contains(updated, W) AND updated < new.updated"),
        ("updated = new.updated", "updated = new.updated"),
        ("updated >= '2026-11-01T10:30:00Z'",
         f"{WRITTEN} AND NOT contains(updated, W) AND updated >= 2026-11-01T10:30:00.000000+00:00"),
        ("expires < new.expires", "attribute_type(expires, N) AND expires < new.expires"),
        ("expires > '1970-01-01T00:01:00.5Z'", "attribute_type(expires, N) AND expires > 60.5"),
        ("array_contains(tags, 'x')", "attribute_type(tags, SS) AND contains(tags, x)"),
        ("NOT array_contains(tags, 'x')", "attribute_type(tags, SS) AND NOT contains(tags, x)"),
        ("size(tags) > 3", "attribute_type(tags, SS) AND size(tags) > 3"),
        ("address.city LIKE 'Ber%'", "begins_with(address.City, Ber)"),
        ("address.city NOT LIKE '%x%'", "attribute_type(address.City, S) AND NOT contains(address.City, x)"),
        ("code IS NULL", "attribute_not_exists(code) OR attribute_type(code, NULL)"),
    ],
)  # fmt: skip
def test_a_condition_in_dynamodbs_words(text: str, expected: str) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("owner = 'me'", "owner = me"),
        ("owner IS NULL", "attribute_not_exists(owner) OR attribute_type(owner, NULL)"),
        ("(owner) = ('me')", "owner = me"),
        ("'a' < Owner", "attribute_type(Owner, S) AND Owner > a"),
        ("owner LIKE 'a%'", "begins_with(owner, a)"),
        ("startswith(owner, 'a')", "begins_with(owner, a)"),
        ("owner.`first name` = 'x'", "owner.first name = x"),
        ("count > 1.5 AND count < new.version",
         "attribute_type(count, N) AND count > 1.5 AND attribute_type(count, N) AND count < new.version"),
        ("count IN (1, 2.5)", "count IN (1, 2.5)"),
        ("count BETWEEN 1 AND 2", "attribute_type(count, N) AND count BETWEEN 1 AND 2"),
        ("count IS DISTINCT FROM 1", "NOT count = 1"),
        ("count IS NOT DISTINCT FROM new.version", "count = new.version"),
        ("count NOT IN (1)", "attribute_type(count, N) AND count <> 1"),
        ("seen < new.expires", "attribute_type(seen, N) AND seen < new.expires"),
        ("done", "done = True"),
        ("NOT done OR done IS NULL", "done = False OR attribute_not_exists(done) OR attribute_type(done, NULL)"),
        ("blob = X'00ff'", "blob = AP8="),
        ("count = NULL OR owner = 'me'", "owner = me"),
        ("`new` = 'x'", "new = x"),
        ("`versions` = 2", "versions = 2"),
        ("updated_by = new.id AND updated IS NOT NULL", None),
    ],
)  # fmt: skip
def test_an_attribute_that_no_column_has_takes_its_type_from_what_it_is_compared_with(
    text: str, expected: str | None
) -> None:
    if expected is None:
        with pytest.raises(OptionError, match="did you mean 'updated'\\? .* in backticks: `updated_by`"):
            said(text)
    else:
        assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("size(colours) > 3", r"needs the type of the attribute 'colours', .* size\(...\) does not tell it; give the stored"),
        ("one = other", "needs the type of the attribute 'one'.* neither is that of 'other'"),
        ("count = 1 OR count = 'x'", "'count'.* compared as DECIMAL.* and STRING"),
        ("new.version > 5", r"compares new.version with no attribute .* before the write"),
        ("new.version > new.price", "both of the row"),
        ("new.version IS NULL", "asks whether new.version is NULL"),
        ("version < new.versoin", "names 'new.versoin', and the frame has no such column; did you mean 'new.version'"),
        ("version = new.address.city", "has 'new.address.city'; write new.<column>"),
        ("version = new", "has 'new'; write new.<column>"),
        ("version < new.id", "BIGINT, with new.id, which is STRING"),
        ("version BETWEEN 1 AND new.version", "only a literal"),
        ("ratio < new.ratio", "many stored numbers read as one .* cast the column to DECIMAL"),
        ("open < new.open", "no order of booleans"),
        ("updated < new.expires", "stored as S and N; give both columns the same storage form"),
        ("code = '1.5'", "STRING but stored as a number.* declare it as DECIMAL"),
        ("id LIKE 'a%b'", "pattern that DynamoDB can't check"),
        ("id LIKE '_'", "pattern that DynamoDB can't check"),
        ("endswith(id, 'a')", "pattern that DynamoDB can't check"),
        ("updated < '2026-11-01 10:30:00'", "without a time zone; write it with one"),
        ("updated < '0001-01-01T00:00:00+18:00'", "beyond the years"),
        ("version + 1 = 2", "arithmetic is not supported; leave it out of the condition"),
        ("lower(id) = 'x'", "leave it out of the condition"),
        ("TRUE", "holds for every row; leave the option out"),
        ("version > 5 AND version < 3", "can't hold for any row"),
        ("version = NULL", "can't hold for any row"),
        ("", "is empty"),
        ("id IN (" + ", ".join(f"'{number:09}'" for number in range(600)) + ")", "too long for DynamoDB: .* of 4,096"),
        (" OR ".join(f"(version > {number} AND open)" for number in range(200)), "too long for DynamoDB: .* operators of 300"),
    ],
)  # fmt: skip
def test_what_can_not_be_said_exactly_is_refused(text: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem) as caught:
        parse_condition(text, FRAME, FRAME)
    assert caught.value.option == "condition"
    assert "after load" not in str(caught.value)


def test_a_timestamp_without_a_zone_is_meant_in_the_zone_that_is_given() -> None:
    text = "expires > '2026-07-01 00:00:00'"
    assert said(text, zone="America/New_York") == "attribute_type(expires, N) AND expires > 1782878400"
    with pytest.raises(OptionError, match="no time zone 'Mars/Base'") as caught:
        parse_condition(text, FRAME, FRAME, "Mars/Base")
    assert caught.value.option == "condition"


def test_a_condition_can_be_pickled() -> None:
    condition = parse_condition("blob = X'00ff' AND version < new.version", FRAME, FRAME)
    assert pickle.loads(pickle.dumps(condition)) == condition
    assert condition.values[":c0"] == {"B": base64.b64encode(b"\x00\xff").decode()}


def test_an_error_about_the_filter_is_still_about_the_filter() -> None:
    with pytest.raises(OptionError):
        parse_condition("version + 1 = 2", FRAME, FRAME)
    with pytest.raises(OptionError, match="after load") as caught:
        parse_predicate("version + 1 = 2", FRAME)
    assert caught.value.option == "filter"


def test_a_date_or_timestamp_in_another_form_of_text_is_neither_earlier_nor_later(server: Server) -> None:
    schema = StructType().add("id", "string").add("at", "timestamp").add("local", "timestamp_ntz").add("day", "date")
    texts = ["2026-11-01T10:00:00Z", "2026-11-01T10:00:00.000000Z", "2026-11-01 10:00:00.000000+00:00",
             "2026-11-01T10:00:00.000000+02:00", "2026-W44-7T10:00:00.000000+00:00", "20261101", "2026-W44-7",
             "2026-11-01T10:00:00", "2026-11-01 10:00:00.000000"]  # fmt: skip
    name = server.create()
    for text in texts:
        server.put(name, {"id": {"S": text}, **{column: {"S": text} for column in ("at", "local", "day")}})
    written = "2026-11-01T10:00:00.000000+00:00"
    server.put(name, {"id": {"S": "-"}, "at": {"S": written}, "local": {"S": written[:26]}, "day": {"S": written[:10]}})
    for column, literal in [("at", f"'{written[:26]}Z'"), ("local", f"'{written[:26]}'"), ("day", f"'{written[:10]}'")]:
        for op in ORDERS:
            condition = parse_condition(f"{column} {op} {literal}", schema, schema)
            expected = {"-"} if "=" in op and op != "!=" else set()
            assert matching(server, name, condition, pa.record_batch({"id": ["-"]})) == expected, (column, op)
