"""Pages become the rows that boto3's TypeDeserializer gives; the column route and the value route say the same."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql.types import (
    ArrayType,
    ByteType,
    DataType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
    VariantType,
)

from spark_dynamo.errors import InvalidResponseError, MalformedItemError, SchemaError, shorten
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.types import arrow_schema
from spark_dynamo.wire.value_reader import Misfit, attribute_reader
from tests.wire.strategies import ODD_NAMES, deserialized, items, meant, pages, schemas, seen, structs, tag_of

SET = {"dynamodb": "SS"}


def page(*content: dict[str, Any]) -> bytes:
    return orjson.dumps({"Items": content, "Count": len(content), "ScannedCount": len(content)})


def decoder_of(schema: StructType, nulls: bool = False, **options: Any) -> PageDecoder:
    """A decoder that begins in one of its two modes of parsing."""
    decoder = PageDecoder(schema, **{"table": "t", **options})
    decoder._nulls = nulls
    return decoder


def decode(schema: StructType, *content: dict[str, Any], nulls: bool = False, **options: Any) -> pa.RecordBatch:
    batch = decoder_of(schema, nulls, **options).decode(page(*content))
    batch.validate(full=True)
    assert batch.schema.equals(arrow_schema(schema))
    assert batch.num_rows == len(content)
    return batch


# ---------------------------------------------------------------------------------------------------- it is what boto3 says


@given(st.data(), schemas, st.booleans())
def test_pages_become_what_boto3_gives(data: st.DataObject, schema: StructType, nulls: bool) -> None:
    content = data.draw(pages(schema))
    batch = decode(schema, *content, nulls=nulls)
    for item, row in zip(content, batch.to_pylist(), strict=True):
        python = {name: deserialized(attribute) for name, attribute in item.items()}
        assert seen(schema, None, row) == meant(schema, None, python)


@given(st.data(), structs(2, columnar=True), st.booleans())
def test_one_decoder_for_many_pages(data: st.DataObject, schema: StructType, nulls: bool) -> None:
    """The mode changes between pages; each page is decoded as by a decoder of its own."""
    decoder = decoder_of(schema, nulls)
    for content in data.draw(st.lists(pages(schema), min_size=1, max_size=3)):
        assert decoder.decode(page(*content)).equals(decoder_of(schema, nulls).decode(page(*content)))


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(name: str, nulls: bool) -> None:
    inner = StructType().add(name, LongType()).add("other", LongType())
    schema = StructType().add(name, StringType()).add("struct", inner).add("list", ArrayType(inner))
    struct = {"M": {name: {"N": "5"}, f"{name}!": {"S": "x"}, "other": {"NULL": True}}}
    item = {name: {"S": "v"}, "struct": struct, "list": {"L": [struct]}, f"{name}?": {"S": "x"}}
    expected = {name: 5, "other": None}
    assert decode(schema, item, nulls=nulls).to_pylist() == [{name: "v", "struct": expected, "list": [expected]}]


# what only the kernels may see: had one of these columns taken the value route, the test would fail
PLAIN = StructType(
    [
        StructField("id", StringType(), nullable=False),
        StructField("long", LongType()),
        StructField("price", DecimalType(10, 2)),
        StructField("exact", DecimalType(38, 18)),
        StructField("double", DoubleType()),
        StructField("start", TimestampType()),
        StructField("expiry", TimestampType(), metadata={"dynamodb": "N"}),
        StructField("tags", ArrayType(StringType()), metadata=SET),
        StructField("parts", ArrayType(StructType().add("n", ByteType()).add("words", ArrayType(StringType())))),
    ]
)
PLAIN_ITEM = {
    "id": {"S": "a"},
    "long": {"N": "-7"},
    "price": {"N": "12.5"},
    "exact": {"N": "12345678901234567890.123456789"},
    "double": {"N": "0.1"},
    "start": {"S": "2024-01-01T10:00:00.000001+00:00"},
    "expiry": {"N": "1704103200"},
    "tags": {"SS": ["x", "y"]},
    "parts": {"L": [{"M": {"n": {"N": "1"}, "words": {"L": [{"S": "w"}, {"NULL": True}]}}}, {"NULL": True}]},
}


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize(
    "others", [[], [{"id": {"S": "b"}}], [{**PLAIN_ITEM, "parts": {"NULL": True}}], [PLAIN_ITEM] * 99]
)
def test_plain_pages_take_the_column_route(others: list[dict[str, Any]], nulls: bool) -> None:
    body = page(*others, PLAIN_ITEM, *others)
    assert set(decoder_of(PLAIN)._decode_columns([body], nulls)) == set(PLAIN.names)


def test_a_column_that_the_kernels_cannot_decode_costs_only_itself() -> None:
    schema = StructType().add("id", StringType()).add("n", LongType()).add("free", MapType(StringType(), LongType()))
    body = page({"id": {"S": "a"}, "n": {"N": "1e0"}, "free": {"M": {}}})
    assert set(decoder_of(schema)._decode_columns([body], nulls=False)) == {"id"}
    assert decoder_of(schema).decode(body).to_pylist() == [{"id": "a", "n": 1, "free": []}]


def test_no_items() -> None:
    for schema in (
        PLAIN,
        StructType().add("free", MapType(StringType(), LongType())),
        StructType().add("v", VariantType()),
    ):
        assert decode(schema).num_rows == 0
        assert decode(schema, nulls=True).num_rows == 0


def test_items_without_any_attribute_of_the_schema() -> None:
    schema = StructType().add("a", StringType()).add("b", StructType())
    assert decode(schema, {"x": {"S": "y"}}, {}, {"b": {"M": {"x": {"S": "y"}}}}).to_pylist() == [
        {"a": None, "b": None},
        {"a": None, "b": None},
        {"a": None, "b": {}},
    ]


def test_a_schema_without_columns_is_refused() -> None:
    with pytest.raises(SchemaError, match="no columns"):
        PageDecoder(StructType(), table="t")


# ---------------------------------------------------------------------------------------------------- both routes agree


def value_route(
    schema: StructType, content: list[dict[str, Any]]
) -> tuple[list[pa.Array], Misfit | None, dict[str, Any]]:
    """All columns by the value route; or the first Misfit with its path from the top, and its item."""
    arrays = []
    for field, arrow in zip(schema.fields, arrow_schema(schema), strict=True):
        read = attribute_reader(field.dataType, tag_of(field), field.nullable)
        column = []
        for item in content:
            try:
                column.append(read(item.get(field.name)))
            except Misfit as misfit:
                return [], misfit.below(field.name), item
        arrays.append(pa.array(column, arrow.type))
    return arrays, None, {}


def check_routes(schema: StructType, content: list[dict[str, Any]], nulls: bool) -> bool:
    """Whether the page fits; that both routes say the same is asserted."""
    arrays, misfit, item = value_route(schema, content)
    if misfit is None:
        for column, array in zip(decode(schema, *content, nulls=nulls).columns, arrays, strict=True):
            assert column.equals(array)
        return True
    key_name = schema.names[0]
    with pytest.raises(MalformedItemError) as caught:
        decode(schema, *content, nulls=nulls, table="some-table", key_names=[key_name])
    error = caught.value
    assert error.table == "some-table"
    assert error.key == ({key_name: next(iter(item[key_name].values()))} if key_name in item else {})
    assert (error.attribute, error.found, error.expected) == (misfit.path, misfit.found, misfit.expected)
    assert error.value == shorten(misfit.value)
    assert all(text in str(error) for text in ("some-table", misfit.path, misfit.expected, misfit.problem))
    return False


@given(st.data(), structs(2, columnar=True), st.booleans())
def test_both_routes_agree_on_pages_that_may_not_fit(data: st.DataObject, schema: StructType, nulls: bool) -> None:
    check_routes(schema, data.draw(st.lists(items(schema, wild=True), min_size=1, max_size=4)), nulls)


NUMBERS = [
    "0", "-0", "5", "5.0", "0.5", "1E+2", "1e-39", "7E38", "-7E38", "2" + "0" * 38, "-" + "9" * 38, "9" * 39, "1" + "0" * 40,
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "127", "128", "-129",
    "0." + "0" * 40 + "1", "1E-130", "-9.99E+125", "3.5E38", "3.4E38", "0.0000001", "1E+19", "12345678901234567890.5",
    "9223372036854.775807", "9223372036854.775808", "0.000001", "99999999.99", "99999999.999", "100000000", "0E+30", "1E-46",
    "0." + "9" * 38, "1.23456789012345678901234567890123456789e5", "1" + "0" * 125,
]  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
@pytest.mark.parametrize(
    ("kind", "tag"),
    [
        (LongType(), None), (ByteType(), None), (DoubleType(), None), (FloatType(), None), (StringType(), "N"),
        (TimestampType(), "N"), (DecimalType(10, 2), None), (DecimalType(38, 0), None), (DecimalType(38, 38), None),
        (DecimalType(38, 18), None), (DecimalType(20, 10), None), (DecimalType(1, 1), None),
        (DayTimeIntervalType(), None),
    ],
)  # fmt: skip
def test_both_routes_agree_on_odd_numbers(text: str, kind: DataType, tag: str | None) -> None:
    schema = StructType(
        [StructField("id", StringType()), StructField("n", kind, metadata={"dynamodb": tag} if tag else None)]
    )
    alone = check_routes(schema, [{"n": {"N": text}}], nulls=False)
    assert check_routes(schema, [{"n": {"N": "0"}}, {}, {"n": {"N": text}}], nulls=True) == alone


def item_with(value: Any, tag: str = "N") -> dict[str, Any]:
    return {"id": {"S": "k1"}, "x": {tag: value}}


BEYOND_FLOAT = "it is beyond the largest floating-point number of 32 bits"
INNER = StructType().add("n", LongType(), nullable=False).add("s", StringType())


@pytest.mark.parametrize(
    ("kind", "metadata", "attribute", "path", "shown", "found", "expected", "problem"),
    [
        (LongType(), None, {"S": "5"}, "x", "5", "S", "BIGINT", None),
        (LongType(), None, {"N": "1.5"}, "x", "1.5", "N", "BIGINT", "it has a fraction"),
        (LongType(), None, {"N": "1E+19"}, "x", "1E+19", "N", "BIGINT", "it is outside the 64-bit range"),
        (LongType(), None, {"N": "1E-39"}, "x", "1E-39", "N", "BIGINT", "it has a fraction"),
        (ByteType(), None, {"N": "128"}, "x", "128", "N", "TINYINT", "it is outside the 8-bit range"),
        (FloatType(), None, {"N": "1E+39"}, "x", "1E+39", "N", "FLOAT", BEYOND_FLOAT),
        (DecimalType(10, 2), None, {"N": ".001"}, "x", ".001", "N", "DECIMAL(10,2)", "it needs more than 2 digits after the point"),
        (DecimalType(38, 0), None, {"N": "2E+38"}, "x", "2E+38", "N", "DECIMAL(38,0)", "it needs more than 38 digits"),
        (DecimalType(38, 38), None, {"N": "7"}, "x", "7", "N", "DECIMAL(38,38)", "it needs more than 38 digits"),
        (TimestampType(), None, {"S": "soon"}, "x", "soon", "S", "TIMESTAMP", "it is no ISO 8601 date and time"),
        (TimestampType(), None, {"N": "5"}, "x", "5", "N", "TIMESTAMP", None),
        (DayTimeIntervalType(), None, {"S": "PT1M"}, "x", "PT1M", "S", "INTERVAL DAY TO SECOND", None),
        (StringType(), None, {"M": {"a": {"S": "b"}}}, "x", '{"a":{"S":"b"}}', "M", "STRING", None),
        (StringType(), None, {"BOOL": True}, "x", "true", "BOOL", "STRING", None),
        (ArrayType(LongType()), None, {"NS": ["1"]}, "x", '["1"]', "NS", "array<bigint>", None),
        (ArrayType(LongType()), None, {"L": [{"N": "1"}, {"S": "a"}]}, "x[1]", "a", "S", "BIGINT", None),
        (ArrayType(StringType()), SET, {"L": []}, "x", "[]", "L", "array<string>", None),
        (INNER, None, {"M": {"n": {"S": "a"}}}, "x.n", "a", "S", "BIGINT", None),
        (ArrayType(INNER), None, {"L": [{"M": {"n": {"N": "1"}, "s": {"N": "2"}}}]}, "x[0].s", "2", "N", "STRING", None),
        (MapType(StringType(), ArrayType(LongType())), None, {"M": {"k": {"L": [{"S": "a"}]}}}, "x.k[0]", "a", "S", "BIGINT", None),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(
    kind: DataType, metadata: Any, attribute: Any, path: str, shown: str, found: str, expected: str, problem: str | None
) -> None:
    schema = StructType([StructField("id", StringType()), StructField("x", kind, metadata=metadata)])
    with pytest.raises(MalformedItemError) as caught:
        decode(schema, {"id": {"S": "k0"}}, {"id": {"S": "k1"}, "x": attribute}, table="orders", key_names=["id"])
    assert str(caught.value) == (
        f"Table 'orders', item {{id='k1'}}: attribute '{path}' is {shown}, of DynamoDB type {found}, and does not fit the "
        f"schema's {expected}{f': {problem}' if problem else ''}. "
        "Give the column a type that holds it, or correct the item"
    )


@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize(
    ("kind", "attribute", "path", "state"),
    [
        (LongType(), None, "x", "missing"),
        (LongType(), {"NULL": True}, "x", "NULL"),
        (ArrayType(LongType(), containsNull=False), {"L": [{"N": "1"}, {"NULL": True}]}, "x[1]", "NULL"),
        (MapType(StringType(), LongType(), valueContainsNull=False), {"M": {"k": {"NULL": True}}}, "x.k", "NULL"),
        (INNER, {"M": {"s": {"S": "a"}}}, "x.n", "missing"),
        (INNER, {"M": {"n": {"NULL": True}}}, "x.n", "NULL"),
        (VariantType(), None, "x", "missing"),
    ],
)
def test_what_must_not_be_null(kind: DataType, attribute: Any, path: str, state: str, nulls: bool) -> None:
    schema = StructType([StructField("id", StringType()), StructField("x", kind, nullable=False)])
    item = {"id": {"S": "k1"}} | ({"x": attribute} if attribute else {})
    sentence = f"item {{id='k1'}}: attribute '{path}' is {state}, but the schema's .* is not nullable"
    with pytest.raises(MalformedItemError, match=sentence.replace("{", r"\{").replace("[", r"\[")) as caught:
        decode(schema, item, nulls=nulls, table="orders", key_names=["id"])
    assert caught.value.found == (None if state == "missing" else "NULL")


def test_null_below_a_null_struct_is_fine() -> None:
    schema = StructType().add("s", INNER).add("l", ArrayType(INNER))
    full = {"M": {"n": {"N": "1"}}}
    content = [{"s": full}, {"s": {"NULL": True}, "l": {"L": [{"NULL": True}, full]}}, {}]
    for nulls in (False, True):
        assert decode(schema, *content, nulls=nulls).to_pylist() == [
            {"s": {"n": 1, "s": None}, "l": None},
            {"s": None, "l": [None, {"n": 1, "s": None}]},
            {"s": None, "l": None},
        ]


# ---------------------------------------------------------------------------------------------------- answers that are none


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b"null", b'{"Items":null}', b'{"Items":5}', b'{"Items":[{"id":{"S":"a"}}]', b'{"Items":[{"id":{"S":"a',
        b'{"Items":[{"id":{"S":"a"}}]} x', b'{"Items":[]}{"Items":[]}', b"<html>", b'{"Items":[{"id":{"S":"\xff"}}]}',
        b'{"Items":[{"id":{"S":"\xed\xa0\x80"}}]}', b'{"Items":[{"id":{"S":"\\ud800"}}]}', b'{"Items":[{"id":{"S":"\\udc00"}}]}',
        b'{"message":"no"}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [StringType(), VariantType()])
def test_what_is_no_page(body: bytes, kind: DataType) -> None:
    with pytest.raises(InvalidResponseError, match=f"'orders' is no valid DynamoDB JSON: .* in {len(body)} bytes"):
        PageDecoder(StructType().add("id", kind), table="orders").decode(body)


@pytest.mark.parametrize(
    ("item", "values"),
    [
        ('{"id":{"S":"a"},"v":{"M":{"w":{"S":"x"}}},"id":{"S":"b"}}', '{"S":"a"} and {"S":"b"}'),
        ('{"id":{"S":"a","S":"b"}}', '"a" and "b"'),
        ('{"id":{"S":"a"},"v":{"M":{"w":{"S":"x"},"\\u0077":{"S":"y"}}}}', '{"S":"x"} and {"S":"y"}'),
    ],
)
@pytest.mark.parametrize("mode", ["FAILFAST", "PERMISSIVE", "DROPMALFORMED"])
def test_of_a_name_that_stands_twice_no_value_is_chosen(item: str, values: str, mode: str) -> None:
    schema = StructType().add("id", StringType()).add("v", StructType().add("w", StringType()))
    decoder = PageDecoder(schema, table="orders", key_names=["id"], mode=mode)
    with pytest.raises(InvalidResponseError) as caught:
        decoder.decode(f'{{"Items":[{{"id":{{"S":"z"}}}},{item}]}}'.encode())
    assert f"a name stands twice in an object, with the values {values}, in" in str(caught.value)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("escaped", [False, True])
def test_other_ways_to_write_json(indent: int | None, escaped: bool) -> None:
    """Servers other than AWS's indent, put spaces and escape what need not be."""
    text = json.dumps(
        {"Items": [{"é": {"S": "a\U0001f600\n"}}, {"é": {"S": "\x00"}}]}, indent=indent, ensure_ascii=escaped
    )
    assert PageDecoder(StructType().add("é", StringType()), table="t").decode(text.encode()).to_pylist() == [
        {"é": "a\U0001f600\n"},
        {"é": "\x00"},
    ]


def test_a_page_of_one_large_item() -> None:
    text = "x" * 400_000
    schema = StructType().add("s", StringType()).add("l", ArrayType(StringType()))
    assert decode(schema, {"s": {"S": text}, "l": {"L": [{"S": text}]}}).to_pylist() == [{"s": text, "l": [text]}]
