"""Good rows and bad rows apart: each bad one with its reason, none lost, and the good ones as if there were no others."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DoubleType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
    VariantType,
)

from spark_dynamo.aws.client import raw_client
from spark_dynamo.aws.tables import Index, KeyAttribute, TableDescription, describe_table
from spark_dynamo.errors import InvalidItemError, SchemaError
from spark_dynamo.source.write.row_checks import Checks, Required, check_index_types, check_key_values, null_rows
from spark_dynamo.wire.encode import ItemEncoder
from spark_dynamo.wire.good_and_bad_rows import Apart
from spark_dynamo.wire.items import RawItemEncoder
from spark_dynamo.wire.types import arrow_schema
from spark_dynamo.wire.variant import encode_variant
from tests.conftest import Server
from tests.wire.strategies import batch_of, rows, schemas

SS, NS, BS, NUMBER = ({"dynamodb": tag} for tag in ("SS", "NS", "BS", "N"))
ID, DAY = KeyAttribute("id", "S"), KeyAttribute("day", "B")


def table(**settings: Any) -> TableDescription:
    return TableDescription("orders", "arn", ID, None, 0, 0, "ACTIVE", **settings)


def checks(schema: StructType, described: TableDescription | None = None, **settings: Any) -> Checks:
    described = described or table()
    names = [key.name for key in described.keys]
    return Checks(ItemEncoder(schema, table="orders", key_names=names), described, "orders", **settings)


def reasons(apart: Apart) -> list[tuple[int, str | None, str]]:
    return [(bad.row, bad.error.attribute, bad.error.problem) for bad in apart.bad]


# ---------------------------------------------------------------------------------------------------- values

INNER = (
    StructType().add("price", DoubleType()).add("tags", ArrayType(StringType()), metadata=SS).add("v", VariantType())
)
SCHEMA = (
    StructType()
    .add("id", StringType())
    .add("price", DoubleType())
    .add("number", StringType(), metadata=NUMBER)
    .add("when", TimestampType())
    .add("numbers", ArrayType(LongType()), metadata=NS)
    .add("lines", ArrayType(INNER))
    .add("labels", MapType(StringType(), DoubleType()))
    .add("inner", INNER)
    .add("v", VariantType())
)
BAD_UTF8 = pa.array([b"\xff"]).view(pa.string())[0]


def variant(attribute: Any) -> dict[str, bytes]:
    return dict(zip(("value", "metadata"), encode_variant(attribute), strict=True))


# column, bad value, path
BAD: list[tuple[str, Any, str]] = [
    ("price", math.nan, "price"),
    ("price", 1e200, "price"),
    ("number", "x", "number"),
    ("number", "9" * 39, "number"),
    ("when", 253402300800000000, "when"),
    ("numbers", [], "numbers"),
    ("numbers", [1, 2, 1], "numbers"),
    ("numbers", [1, None], "numbers[]"),
    ("lines", [{"price": 1.0}, {"price": math.inf}], "lines[].price"),
    ("lines", [None, {"tags": ["a", "a"]}], "lines[].tags"),
    ("lines", [{"v": variant({"SS": []})}], "lines[].v"),
    ("labels", [("a", 1.0), ("", 2.0)], "labels{}"),
    ("labels", [("a", 1.0), ("b", math.nan)], "labels{}"),
    ("inner", {"price": math.nan}, "inner.price"),
    ("inner", {"tags": []}, "inner.tags"),
    ("v", variant({"L": [{"NS": ["1", "1"]}]}), "v"),
    ("v", {"value": b"\xff", "metadata": b"\x01\x00\x00"}, "v"),
]  # fmt: skip
GOOD: dict[str, Any] = {
    "price": 1.5,
    "number": "1.50",
    "when": 0,
    "numbers": [1, 2],
    "lines": [{"price": 1.0, "tags": ["a"], "v": variant({"S": "x"})}, None],
    "labels": [("a", 1.0)],
    "inner": {"price": None, "tags": ["a", "b"]},
    "v": variant({"M": {"a": {"NS": ["1"]}}}),
}


def batch_with(bad: dict[int, dict[str, Any]], count: int) -> pa.RecordBatch:
    """Rows of which some have bad values; in a batch that is part of another one."""
    values = [{"id": f"k{row}", **GOOD, **(bad.get(row) or {})} for row in range(-1, count + 1)]
    return pa.RecordBatch.from_pylist(values, schema=arrow_schema(SCHEMA)).slice(1, count)


@given(st.dictionaries(st.integers(0, 19), st.lists(st.sampled_from(BAD), min_size=1, max_size=3)), st.integers(1, 20))
def test_bad_rows_are_found_with_their_paths_and_the_rest_is_as_ever(
    chosen: dict[int, list[tuple[str, Any, str]]], count: int
) -> None:
    bad = {
        row: {column: (value, path) for column, value, path in found} for row, found in chosen.items() if row < count
    }
    batch = batch_with({row: {name: value for name, (value, _) in found.items()} for row, found in bad.items()}, count)
    apart = checks(SCHEMA).apart(batch)
    assert [found.row for found in apart.bad] == sorted(bad)
    assert apart.rows.tolist() == [row for row in range(count) if row not in bad]
    assert apart.keys.column("id").to_pylist() == [f"k{row}" for row in apart.rows]
    good = checks(SCHEMA).all_good(batch.take(pa.array(apart.rows)))
    assert apart.texts.equals(good.texts)
    for found in apart.bad:
        expected = bad[found.row]
        assert found.error.attribute in [path for _, path in expected.values()]
        assert found.error.key == {"id": f"k{found.row}"}
        assert set(found.unfit) == set(expected)
        assert found.item is not None
        item = orjson.loads(found.item)
        assert item.keys() == {"id", *GOOD} - expected.keys()
        others = [path for _, path in expected.values() if path != found.error.attribute]
        assert all(f"'{path}'" in found.error.problem for path in others)
    if bad:
        with pytest.raises(InvalidItemError) as caught:
            checks(SCHEMA).all_good(batch)
        assert str(caught.value) == str(apart.bad[0].error)


@given(st.data(), schemas, st.sampled_from(["omit", "write"]))
def test_good_rows_stay_as_they_are(data: st.DataObject, schema: StructType, nulls: str) -> None:
    batch = batch_of(schema, data.draw(rows(schema)))
    encoder = ItemEncoder(schema, table="orders", nulls=nulls)
    apart = encoder.encode_apart(batch)
    assert not apart.bad
    assert apart.texts.equals(encoder.encode(batch))
    assert apart.rows.tolist() == list(range(batch.num_rows))


def test_a_bad_value_is_no_null_attribute() -> None:
    schema = StructType().add("id", "string").add("x", "double").add("y", "double")
    encoder = ItemEncoder(schema, table="orders", key_names=["id"], nulls="write")
    apart = encoder.encode_apart(
        pa.record_batch({"id": ["a", "b"], "x": [math.nan, 1.0], "y": pa.array([None, None], "double")})
    )
    assert apart.bad[0].item == '{"id":{"S":"a"},"y":{"NULL":true}}'
    assert apart.texts.to_pylist() == ['{"id":{"S":"b"},"x":{"N":"1"},"y":{"NULL":true}}']


def test_values_that_cannot_be_shown() -> None:
    schema = StructType().add("id", "string").add("x", "string").add("d", "date")
    columns = {
        "id": ["a", "b"],
        "x": pa.array([b"\xed\xa0\x80", b"x"]).view(pa.string()),
        "d": pa.array([0, 2932897], pa.date32()),
    }
    apart = checks(schema).apart(pa.record_batch(columns))
    assert reasons(apart) == [
        (0, "x", "it is not valid UTF-8 (a lone surrogate, say)"),
        (1, "d", "ISO 8601 text holds the years 0001 to 9999 only"),
    ]
    assert all(json.dumps(dict(bad.unfit)).encode() for bad in apart.bad)


def test_all_rows_may_be_bad() -> None:
    schema = StructType().add("id", "string").add("x", "double")
    apart = checks(schema).apart(pa.record_batch({"id": ["a", "b"], "x": [math.nan, math.inf]}))
    assert (len(apart.texts), apart.keys.num_rows, len(apart.bad)) == (0, 0, 2)
    assert [bad.unfit for bad in apart.bad] == [{"x": "nan"}, {"x": "inf"}]


def test_many_bad_rows() -> None:
    count = 10_000
    bad = np.arange(0, count, 10)
    schema = StructType().add("id", "long").add("x", "double").add("t", ArrayType(StringType()), metadata=SS)
    values = np.arange(count) * 1.5
    values[bad[::2]] = math.nan
    tags = [[] if row in set(bad[1::2].tolist()) else ["a"] for row in range(count)]
    keys = replace(table(), partition_key=KeyAttribute("id", "N"))
    apart = checks(schema, keys).apart(pa.record_batch({"id": np.arange(count), "x": values, "t": tags}))
    assert [found.row for found in apart.bad] == bad.tolist()
    assert len(apart.texts) == count - len(bad)


# ---------------------------------------------------------------------------------------------------- whole items

ITEMS: list[tuple[Any, str]] = [
    ('{"id":{"S":"a"},"v":{"SS":[]}}', "DynamoDB has no empty sets; replace it by NULL"),
    ('{"id":{"S":"a"},"v":{"N":"one"}}', "one is not a finite number"),
    ('{"id":{"S":"a"},"v":{"N":"' + "9" * 39 + '"}}', "DynamoDB keeps 38 significant digits"),
    ('{"id":{"S":"a"},"v":{"NS":["1","1.0"]}}', "the set holds 1.0 twice"),
    ('{"id":{"S":"a"},"v":{"SS":["a","\\u0061"]}}', "the set holds a twice"),
    ('{"id":{"S":"a"},"":{"S":"x"}}', "DynamoDB takes no empty attribute name"),
    ('{"id":{"S":"a"},"v":' + '{"L":[' * 32 + "]}" * 32 + "}", "nested more than 32 levels deep"),
    ('{"id":{"S":"a"},"v":{"S":"' + "x" * 409_600 + '"}}', "the item is 409,604 bytes"),
    ('{"id":{"S":"a"},"v":5}', "it is no attribute value"),
    ('{"id":{"S":"a"}', "it is no item in DynamoDB JSON"),
    ("[]", "it is no object"),
    ("", "it is no item in DynamoDB JSON"),
    ("{}", "it lacks the key attribute 'id'"),
    ('{"id":{"N":"5"}}', "the table has it as a key of type S"),
    ('{"id":{"S":"a"},"id":{"S":"b"}}', "it stands there twice"),
    ('{"id":{"S":""}}', "a key attribute must not be empty"),
    ('{"id":{"NULL":true}}', "a key attribute must not be NULL"),
    ('{"id":{"S":"' + "k" * 2049 + '"}}', "a partition key holds 2,048 bytes"),
    (None, "an item must not be NULL"),
]  # fmt: skip


@given(st.lists(st.one_of(st.none(), st.sampled_from(ITEMS)), min_size=1, max_size=12))
def test_whole_items_come_apart(chosen: list[tuple[Any, str] | None]) -> None:
    texts = [f'{{"id":{{"S":"good{row}"}}}}' if case is None else case[0] for row, case in enumerate(chosen)]
    encoder = RawItemEncoder("json", table="orders", keys={"id": "S"})
    apart = Checks(encoder, table(), "orders").apart(pa.record_batch({"item": pa.array(texts, pa.string())}))
    assert apart.rows.tolist() == [row for row, case in enumerate(chosen) if case is None]
    assert apart.texts.to_pylist() == [texts[row] for row in apart.rows]
    assert apart.keys.column("id").to_pylist() == [f"good{row}" for row in apart.rows]
    problems = {found.row: found.error.problem for found in apart.bad}
    assert problems.keys() == {row for row, case in enumerate(chosen) if case}
    assert all(case is None or case[1] in problems[row] for row, case in enumerate(chosen))


def test_whole_variants_come_apart() -> None:
    attributes = [
        {"M": {"id": {"S": "a"}}},
        {"M": {"id": {"S": "b"}, "v": {"SS": []}}},
        {"S": "x"},
        {"M": {"v": {"S": "x"}}},
    ]
    column = pa.array(
        [*map(variant, attributes), None, {"value": b"", "metadata": b""}], arrow_schema(SCHEMA).field("v").type
    )
    apart = RawItemEncoder("variant", table="orders", keys={"id": "S"}).encode_apart(pa.record_batch({"item": column}))
    assert apart.texts.to_pylist() == ['{"id":{"S":"a"}}']
    assert [(found.row, found.error.problem.split(";")[0][:40]) for found in apart.bad] == [
        (1, "DynamoDB has no empty sets"),
        (2, "the VARIANT is no object, and an item is"),
        (3, "it lacks the key attribute 'id'"),
        (4, "an item must not be NULL"),
        (5, "The variant, b'', is malformed or cut of"),
    ]


# ---------------------------------------------------------------------------------------------------- keys

LONG = "é" * 1024  # 2,048 bytes


def test_keys_of_the_table() -> None:
    schema = StructType().add("id", "string").add("day", BinaryType())
    described = replace(table(), sort_key=DAY)
    values = {"id": ["a", None, "", LONG, LONG + "x", "b", "c", "d"], "day": [*[b"x"] * 5, None, b"", b"x" * 1025]}
    batch = pa.record_batch(values, schema=arrow_schema(schema))
    assert reasons(checks(schema, described).apart(batch)) == [
        (1, "id", "a key attribute must not be NULL"),
        (2, "id", "a key attribute must not be empty"),
        (4, "id", "a partition key holds 2,048 bytes"),
        (5, "day", "a key attribute must not be NULL"),
        (6, "day", "a key attribute must not be empty"),
        (7, "day", "a sort key holds 1,024 bytes"),
    ]
    with pytest.raises(InvalidItemError, match="Row {id=None, day=.*'id' is None: a key attribute must not be NULL"):
        checks(schema, described).all_good(batch)
    with pytest.raises(InvalidItemError, match="attribute 'id' is None: a key attribute must not be NULL"):
        check_key_values(batch, described, "orders")
    check_key_values(batch.slice(3, 1), described, "orders")


def test_keys_of_secondary_indexes() -> None:
    indexes = (
        Index("by-g", KeyAttribute("g", "S"), KeyAttribute("id", "S")),
        Index("by-h", KeyAttribute("h", "B"), kind="GSI"),
    )
    schema = StructType().add("id", "string").add("g", "string").add("h", "binary")
    values = {"id": ["a", "b", "c", "d" * 1025], "g": [None, "", "x" * 2049, "x"], "h": [b"", None, None, None]}
    batch = pa.record_batch(values, schema=arrow_schema(schema))
    described = table(indexes=indexes)
    empty, long = "a key attribute must not be empty", "a secondary index's key holds 2,048 bytes"
    assert reasons(checks(schema, described).apart(batch)) == [
        (0, "h", empty), (1, "g", empty), (2, "g", long), (3, "id", "a secondary index's key holds 1,024 bytes"),
    ]  # fmt: skip
    written = reasons(checks(schema, described, nulls="write").apart(batch.slice(0, 1)))
    assert written == [(0, "g", "a key of a secondary index can't be a NULL attribute; leave out option nulls=write")]
    check_index_types(schema, described)
    for other in (StructType().add("g", "long"), StructType().add("g", ArrayType(StringType()), metadata=SS)):
        with pytest.raises(
            SchemaError, match="Field 'g': index 'by-g' of table 'orders' has it as a key of type S, but"
        ):
            check_index_types(other, described)


def test_the_server_refuses_what_is_refused_here(dynoxide_server: Server) -> None:
    """And takes what is not."""
    name = dynoxide_server.create(
        "id:S", "day:B", indexes=[Index("by-g", KeyAttribute("g", "S"), KeyAttribute("h", "B"))]
    )
    schema = StructType().add("id", "string").add("day", "binary").add("g", "string").add("h", "binary")
    values: dict[str, list[Any]] = {
        "id": [LONG, LONG + "x", "a", "b", "c", "d", "e", "f"],
        "day": [b"x" * 1024, b"x", b"x" * 1025, b"x", b"x", b"x", b"x", b"x"],
        "g": [LONG, "x", "x", LONG + "x", "", None, None, "x"],
        "h": [b"x" * 1024, b"x", b"x", b"x", b"x", b"x" * 1025, None, b""],
    }
    batch = pa.record_batch(values, schema=arrow_schema(schema))
    apart = checks(schema, describe_table(dynoxide_server.client, name)).apart(batch)
    assert [found.row for found in apart.bad] == [1, 2, 3, 4, 5, 7]
    encoder = ItemEncoder(schema, table=name)
    for row, text in enumerate(encoder.encode(batch).to_pylist()):
        request = json.dumps({"TableName": name, "Item": orjson.loads(text)}).encode()
        if row not in (3, 5):  # dynoxide does not look at how long the keys of an index are, as AWS does
            assert put(dynoxide_server, name, request) == (row not in [found.row for found in apart.bad])


def put(server: Server, name: str, request: bytes) -> bool:
    try:
        raw_client(server.connection)._make_api_call("PutItem", {"TableName": name, "RawBody": request})
    except ClientError as error:
        if "ValidationException" not in str(error):
            raise
        return False
    return True


# ---------------------------------------------------------------------------------------------------- nulls

PRICE = StructType().add("price", LongType())


@pytest.mark.parametrize(
    ("kind", "values", "steps", "expected"),
    [
        (LongType(), [1, None, 2, None], (), [1, 3]),
        (PRICE, [{"price": 1}, {"price": None}, None], ("price",), [1]),
        (ArrayType(LongType()), [[1], [], None, [1, None], [None, None]], (None,), [3, 4]),
        (ArrayType(PRICE), [[{"price": None}], [None], [{"price": 1}, {"price": None}, {"price": None}]], (None, "price"), [0, 2]),
        (MapType(StringType(), LongType()), [[("a", 1)], [("a", None)], None, []], (None,), [1]),
        (MapType(StringType(), ArrayType(PRICE)), [[("a", [None, {"price": None}])], [("a", None)]], (None, None, "price"), [0]),
        (StructType().add("a", ArrayType(PRICE)), [{"a": [{"price": None}]}, {"a": None}, None], ("a", None, "price"), [0]),
    ],
)  # fmt: skip
def test_where_nulls_stand(kind: Any, values: list[Any], steps: tuple[str | None, ...], expected: list[int]) -> None:
    column = pa.array(
        [values[0], *values, values[-1]], arrow_schema(StructType([StructField("x", kind)])).field(0).type
    )
    assert null_rows(column.slice(1, len(values)), steps).tolist() == expected
    assert null_rows(column.slice(0, 0), steps).tolist() == []


def test_nulls_that_a_model_forbids() -> None:
    schema = StructType().add("id", "string").add("status", "string").add("lines", ArrayType(PRICE))
    required = [Required("status", ("status",)), Required("lines[].price", ("lines", None, "price"))]
    batch = batch_of(
        schema,
        [
            {"id": "a", "status": "new", "lines": None},
            {"id": "b", "status": None, "lines": [{"price": None}]},
            {"id": "c", "status": "new", "lines": [{"price": 1}, {"price": None}]},
        ],
    )
    apart = checks(schema, required=required).apart(batch)
    problem = "the model requires a value, and it is NULL; fill it in, or make the model's field optional"
    assert reasons(apart) == [(1, "status", problem), (2, "lines[].price", problem)]
    assert apart.texts.to_pylist() == ['{"id":{"S":"a"},"status":{"S":"new"}}']
    with pytest.raises(
        InvalidItemError, match="Row {id='b'} can't be written to table 'orders': attribute 'status' is None"
    ):
        checks(schema, required=required).all_good(batch)
