"""Batches become the items that boto3's TypeSerializer makes; what DynamoDB can't take is named with row and path."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)

from spark_dynamo.errors import InvalidItemError, SchemaError
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.encode import ItemEncoder
from spark_dynamo.wire.sizes import LARGEST_ITEM, item_size
from spark_dynamo.wire.types import arrow_schema
from spark_dynamo.wire.variant import encode_variant
from tests.wire.strategies import (
    ODD_NAMES,
    any_attributes,
    batch_of,
    canonical,
    deserialized,
    names,
    number_texts,
    rows,
    schemas,
    seen,
    serialized,
    texts,
)

NUMBER, SS, NS, BS = ({"dynamodb": tag} for tag in ("N", "SS", "NS", "BS"))


def encode(schema: StructType, batch: pa.RecordBatch, nulls: str = "omit") -> list[str]:
    encoded = ItemEncoder(schema, table="orders", key_names=["id"], nulls=nulls).encode(batch)
    encoded.validate(full=True)
    assert len(encoded) == batch.num_rows
    result: list[str] = encoded.to_pylist()
    return result


def slice_of(data: st.DataObject, batch: pa.RecordBatch) -> pa.RecordBatch:
    start = data.draw(st.integers(0, batch.num_rows))
    return batch.slice(start, data.draw(st.integers(0, batch.num_rows - start)))


# ---------------------------------------------------------------------------------------------------- it is what boto3 makes


@given(st.data(), schemas, st.sampled_from(["omit", "write"]))
def test_batches_become_what_boto3_makes(data: st.DataObject, schema: StructType, nulls: str) -> None:
    batch = slice_of(data, batch_of(schema, data.draw(rows(schema))))
    for text, row in zip(encode(schema, batch, nulls), batch.to_pylist(), strict=True):
        item = orjson.loads(text)
        assert ("M", {name: canonical(value) for name, value in item.items()}) == serialized(
            schema, None, row, nulls == "write"
        )
        assert len(text.encode()) >= item_size(item)


@given(st.data(), schemas, st.sampled_from(["omit", "write"]))
def test_what_is_written_is_read_back(data: st.DataObject, schema: StructType, nulls: str) -> None:
    batch = slice_of(data, batch_of(schema, data.draw(rows(schema))))
    body = f'{{"Items":[{",".join(encode(schema, batch, nulls))}]}}'.encode()
    read = PageDecoder(schema, table="orders").decode(body)
    read.validate(full=True)
    assert read.schema.equals(batch.schema)
    assert [seen(schema, None, row) for row in read.to_pylist()] == [
        seen(schema, None, row) for row in batch.to_pylist()
    ]


@given(st.lists(st.one_of(st.none(), texts, st.text(st.characters(max_codepoint=0x7F)))), st.data())
def test_json_text_is_exact(strings: list[str | None], data: st.DataObject) -> None:
    schema = StructType().add("s", StringType()).add("m", MapType(StringType(), StringType()))
    maps = [None if text is None else [(text or "x", text)] for text in strings]
    batch = slice_of(data, pa.RecordBatch.from_pydict({"s": strings, "m": maps}, schema=arrow_schema(schema)))
    items = [orjson.loads(text) for text in encode(schema, batch)]
    kept = batch.column(0).to_pylist()
    assert items == [
        {} if text is None else {"s": {"S": text}, "m": {"M": {text or "x": {"S": text}}}} for text in kept
    ]


ALL_ASCII = "".join(map(chr, range(128)))


@pytest.mark.parametrize(
    "text",
    [*ALL_ASCII, ALL_ASCII, ALL_ASCII[::-1], "\\u0041", '\\"', '\\\\"', "\\n\n", "\u2028\u2029", "\U0001f600", "\ufffe\uffff",
     "\x80\x9f", "\U0010ffff", "\ud7ff\ue000", "\ufeff"],
)  # fmt: skip
def test_every_kind_of_character(text: str) -> None:
    schema = (
        StructType()
        .add("s", StringType())
        .add("l", ArrayType(StringType()))
        .add("t", ArrayType(StringType()), metadata=SS)
    )
    batch = batch_of(
        schema, [{"s": "plain", "l": [], "t": ["x"]}, {"s": text, "l": [text, None], "t": ["x" + text, "x"]}]
    )
    assert orjson.loads(encode(schema, batch)[1]) == {
        "s": {"S": text},
        "l": {"L": [{"S": text}, {"NULL": True}]},
        "t": {"SS": ["x" + text, "x"]},
    }


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(name: str) -> None:
    schema = StructType().add(name, StructType().add(name, LongType())).add("m?", MapType(StringType(), LongType()))
    schema.add("v?", VariantType())
    variant = dict(zip(("value", "metadata"), encode_variant({"M": {name: {"N": "1"}}}), strict=True))
    batch = batch_of(schema, [{name: {name: 1}, "m?": [(name, 1)], "v?": variant}])
    entry = {"M": {name: {"N": "1"}}}
    assert orjson.loads(encode(schema, batch)[0]) == {name: entry, "m?": entry, "v?": entry}


@given(st.dictionaries(names, any_attributes, max_size=4))
def test_variants_of_any_content(content: dict[str, Any]) -> None:
    schema = StructType().add("v", VariantType())
    value, metadata = encode_variant({"M": content})
    (text,) = encode(schema, batch_of(schema, [{"v": {"value": value, "metadata": metadata}}]))
    assert canonical(orjson.loads(text)["v"]) == canonical({"M": content})


STRUCT = StructType().add("a", LongType()).add("b", StructType().add("c", StringType()))


@pytest.mark.parametrize(
    ("nulls", "expected"),
    [
        ("omit", ["{}", '{"s":{"M":{}}}', '{"s":{"M":{"b":{"M":{}}}}}', '{"s":{"M":{"a":{"N":"1"}}},"n":{"N":"2"}}']),
        (
            "write",
            [
                '{"s":{"NULL":true},"n":{"NULL":true}}',
                '{"s":{"M":{"a":{"NULL":true},"b":{"NULL":true}}},"n":{"NULL":true}}',
                '{"s":{"M":{"a":{"NULL":true},"b":{"M":{"c":{"NULL":true}}}}},"n":{"NULL":true}}',
                '{"s":{"M":{"a":{"N":"1"},"b":{"NULL":true}}},"n":{"N":"2"}}',
            ],
        ),
    ],
)
def test_null_structs_and_structs_of_nulls(nulls: str, expected: list[str]) -> None:
    schema = StructType().add("s", STRUCT).add("n", LongType())
    structs = [None, {"a": None, "b": None}, {"a": None, "b": {"c": None}}, {"a": 1, "b": None}]
    numbers = [None, None, None, 2]
    batch = batch_of(schema, [{"s": struct, "n": number} for struct, number in zip(structs, numbers, strict=True)])
    assert encode(schema, batch, nulls) == expected
    for row in range(4):
        assert encode(schema, batch.slice(row, 1), nulls) == expected[row : row + 1]


def test_what_lies_under_a_null_does_not_matter() -> None:
    """Arrow allows anything there: NaN, a set that repeats, values of a null list or struct."""
    offsets, mask = pa.array([0, 2, 4, 6], pa.int32()), pa.array([False, True, False])
    words, numbers = pa.array(["a", "b", "c", "c", "d", "e"]), pa.array([1.0, 2.0, math.nan, math.inf, 3.0, 4.0])
    columns = {
        "t": pa.ListArray.from_arrays(offsets, words, mask=mask),
        "l": pa.ListArray.from_arrays(offsets, numbers, mask=mask),
        "m": pa.MapArray.from_arrays(offsets, words, numbers, mask=mask),
        "s": pa.StructArray.from_arrays([pa.array([1.0, math.nan, 2.0])], names=["x"], mask=mask),
    }
    schema = StructType().add("t", ArrayType(StringType()), metadata=SS).add("l", ArrayType(DoubleType()))
    schema.add("m", MapType(StringType(), DoubleType())).add("s", StructType().add("x", DoubleType()))
    expected = [
        '{"t":{"SS":["a","b"]},"l":{"L":[{"N":"1"},{"N":"2"}]},"m":{"M":{"a":{"N":"1"},"b":{"N":"2"}}},"s":{"M":{"x":{"N":"1"}}}}',
        "{}",
        '{"t":{"SS":["d","e"]},"l":{"L":[{"N":"3"},{"N":"4"}]},"m":{"M":{"d":{"N":"3"},"e":{"N":"4"}}},"s":{"M":{"x":{"N":"2"}}}}',
    ]
    batch = pa.record_batch(columns)
    for start in range(3):
        assert encode(schema, batch.slice(start)) == expected[start:]


def test_no_rows() -> None:
    schema = StructType().add("t", ArrayType(StringType()), metadata=SS).add("s", STRUCT).add("v", VariantType())
    schema.add("m", MapType(StringType(), BinaryType())).add("d", DateType()).add("b", BinaryType())
    assert encode(schema, batch_of(schema, [])) == []


# ---------------------------------------------------------------------------------------------------- what DynamoDB can't take

LONE_SURROGATE = pa.array([b"\xed\xa0\x80"], pa.binary()).view(pa.string())[0]
INVALID = "it is not valid UTF-8 (a lone surrogate, say)"
NOT_FINITE = "DynamoDB has no NaN and no infinity; replace it by NULL or drop the row"
OUT_OF_RANGE = "DynamoDB's numbers reach from 1E-130 to 9.99E+125; write it as a string"
YEARS = "ISO 8601 text holds the years 0001 to 9999 only"
TWICE = "it stands twice in a set; use array_distinct"
DIGITS = "DynamoDB keeps 38 significant digits; round it, or write it as a string"
NULL_IN_SET = "a set can't hold NULL; filter it out of the array"
EMPTY_SET = "DynamoDB has no empty sets; replace it by NULL"

# type, metadata, a good value, a bad value (as Arrow takes them), the value as shown, the problem
BAD_VALUES: list[tuple[DataType, Any, Any, Any, str, str]] = [
    (DoubleType(), None, 1.5, math.nan, "nan", NOT_FINITE),
    (DoubleType(), None, 1.5, math.inf, "inf", NOT_FINITE),
    (DoubleType(), None, 1.5, -math.inf, "-inf", NOT_FINITE),
    (FloatType(), None, 1.5, math.nan, "nan", NOT_FINITE),
    (DoubleType(), None, math.nextafter(1e126, 0), 1e126, "1e+126", OUT_OF_RANGE),
    (DoubleType(), None, -0.0, -1.5e300, "-1.5e+300", OUT_OF_RANGE),
    (DoubleType(), None, 1e-130, 9.9e-131, "9.9e-131", OUT_OF_RANGE),
    (DoubleType(), None, 0.0, 5e-324, "5e-324", OUT_OF_RANGE),
    (TimestampType(), None, -62135596800000000, -62135596800000001, "-62135596800000001 microseconds since 1970", YEARS),
    (TimestampType(), None, 253402300799999999, 253402300800000000, "253402300800000000 microseconds since 1970", YEARS),
    (TimestampNTZType(), None, 0, 253402300800000000, "253402300800000000 microseconds since 1970", YEARS),
    (DateType(), None, -719162, -719163, "-719163 days since 1970", YEARS),
    (DateType(), None, 2932896, 2932897, "2932897 days since 1970", YEARS),
    (StringType(), None, "é", LONE_SURROGATE, "b'\\xed\\xa0\\x80'", INVALID),
    (StringType(), NUMBER, "1", LONE_SURROGATE, "b'\\xed\\xa0\\x80'", INVALID),
    (StringType(), NUMBER, "9" * 38, "9" * 39, "9" * 39, DIGITS),
    (StringType(), NUMBER, "1" + "0" * 60, "1." + "0" * 37 + "1", "1." + "0" * 37 + "1", DIGITS),
    (StringType(), NUMBER, "9.99E+125", "1E+126", "1E+126", OUT_OF_RANGE),
    (StringType(), NUMBER, "-1E-130", "-9E-131", "-9E-131", OUT_OF_RANGE),
    (StringType(), NUMBER, "+.5", "NaN", "NaN", NOT_FINITE),
    (StringType(), NUMBER, "5.", "-Infinity", "-Infinity", NOT_FINITE),
    *(
        (StringType(), NUMBER, "-1.50", bad, bad, "it is no number")
        for bad in ("", "x", "1_000", " 1", "1 ", "1\n", "\u0661", "0x1F", "1,5", "--1", '1"', "1E", "1\x00")
    ),
    (ArrayType(StringType()), SS, ["a"], [], "[]", EMPTY_SET),
    (ArrayType(BinaryType()), BS, [b"a"], [], "[]", EMPTY_SET),
    (ArrayType(StringType()), SS, ["a", "b"], ["a", "b", "a"], "a", TWICE),
    (ArrayType(LongType()), NS, [1, 2], [1, 1], "1", TWICE),
    (ArrayType(DoubleType()), NS, [1.0, -1.0], [0.0, -0.0], "0", TWICE),
    (ArrayType(StringType()), NS, ["1", "10"], ["1", "1.0"], "1", TWICE),
    (ArrayType(StringType()), NS, ["1", "1.01"], ["1E+2", "100"], "1E+2", TWICE),
    (ArrayType(BinaryType()), BS, [b"a", b""], [b"a", b"a"], "YQ==", TWICE),
]  # fmt: skip


def bad_column(kind: DataType, metadata: Any, wrap: Callable[[pa.Array], pa.Array], values: list[Any]) -> pa.Array:
    field = StructType([StructField("x", kind, metadata=metadata)])
    arrow = arrow_schema(field).field(0).type
    if any(value is LONE_SURROGATE for value in values):
        raw = [value.as_buffer().to_pybytes() if value is LONE_SURROGATE else value.encode() for value in values]
        return wrap(pa.array(raw, pa.binary()).view(pa.string()))
    return wrap(pa.array(values, arrow))


def refuse(schema: StructType, batch: pa.RecordBatch) -> InvalidItemError:
    with pytest.raises(InvalidItemError) as caught:
        encode(schema, batch)
    return caught.value


@pytest.mark.parametrize(("kind", "metadata", "good", "bad", "shown", "problem"), BAD_VALUES)
@pytest.mark.parametrize("bad_rows", [[0], [3], [1, 4]])
def test_what_dynamodb_cannot_take(
    kind: DataType, metadata: Any, good: Any, bad: Any, shown: str, problem: str, bad_rows: list[int]
) -> None:
    schema = StructType().add("id", StringType()).add("x", kind, metadata=metadata)
    values = [bad if row in bad_rows else good for row in range(5)]
    batch = pa.record_batch({"id": list("abcde"), "x": bad_column(kind, metadata, lambda column: column, values)})
    error = refuse(schema, batch)
    key = "abcde"[bad_rows[0]]
    assert str(error) == f"Row {{id='{key}'}} can't be written to table 'orders': attribute 'x' is {shown}: {problem}"
    assert (error.table, error.key, error.attribute, error.value) == ("orders", {"id": key}, "x", shown)
    expected = [row for row in range(5) if row not in bad_rows]
    assert len(
        encode(schema, pa.RecordBatch.from_arrays(batch.columns, batch.schema.names).take(pa.array(expected)))
    ) == len(expected)


def lists(column: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(range(len(column) + 1), pa.int32()), column)


def structs(column: pa.Array) -> pa.Array:
    return pa.StructArray.from_arrays([column], names=["y"])


def maps(column: pa.Array) -> pa.Array:
    offsets = pa.array(range(len(column) + 1), pa.int32())
    return pa.MapArray.from_arrays(offsets, pa.array(["k"] * len(column)), column)


ROW = 7_345


@pytest.mark.parametrize(
    ("path", "nest", "wrap"),
    [
        ("x", lambda kind: kind, lambda column: column),
        ("x[]", ArrayType, lists),
        ("x[][]", lambda kind: ArrayType(ArrayType(kind)), lambda column: lists(lists(column))),
        ("x.y", lambda kind: StructType().add("y", kind), structs),
        ("x{}", lambda kind: MapType(StringType(), kind), maps),
        ("x[].y{}[]", lambda kind: ArrayType(StructType().add("y", MapType(StringType(), ArrayType(kind)))),
         lambda column: lists(structs(maps(lists(column))))),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [(DoubleType(), 1.5, math.nan), (StringType(), "a", LONE_SURROGATE), (TimestampType(), 0, 253402300800000000)],
)
def test_the_row_and_the_path_are_found(
    path: str,
    nest: Callable[[DataType], DataType],
    wrap: Callable[[pa.Array], pa.Array],
    kind: DataType,
    good: Any,
    bad: Any,
) -> None:
    schema = StructType().add("id", LongType()).add("x", nest(kind))
    values = [good] * ROW + [bad] + [good] * 1_000 + [bad] * 2 + [good] * (10_000 - ROW - 1_003)
    column = bad_column(kind, None, wrap, values)
    error = refuse(schema, pa.record_batch({"id": pa.array(range(10_000)), "x": column}))
    assert error.key == {"id": ROW}
    assert error.attribute == path


def test_sets_are_found_in_structs_with_their_path() -> None:
    inner = StructType().add("tags", ArrayType(StringType()), metadata=SS)
    schema = StructType().add("id", StringType()).add("l", ArrayType(inner))
    error = refuse(schema, batch_of(schema, [{"id": "a", "l": []}, {"id": "b", "l": [None, {"tags": []}]}]))
    assert (error.key, error.attribute, error.problem) == ({"id": "b"}, "l[].tags", EMPTY_SET)
    error = refuse(schema, batch_of(schema, [{"id": "a", "l": [{"tags": ["x", None]}]}]))
    assert (error.key, error.attribute, error.problem) == ({"id": "a"}, "l[].tags[]", NULL_IN_SET)
    error = refuse(schema, batch_of(schema, [{"id": "a", "l": [{"tags": ["x"]}, {"tags": ["y", "y"]}]}]))
    assert (error.key, error.attribute, error.problem) == ({"id": "a"}, "l[].tags", TWICE)


@pytest.mark.parametrize("tag", ["SS", "NS"])
def test_the_same_value_in_two_sets_is_fine(tag: str) -> None:
    schema = StructType().add("t", ArrayType(StringType()), metadata={"dynamodb": tag})
    assert len(encode(schema, batch_of(schema, [{"t": ["1", "2"]}, {"t": None}, {"t": ["2", "1"]}]))) == 3


def test_a_key_that_cannot_be_shown_as_a_python_value() -> None:
    schema = StructType().add("id", StringType()).add("d", DateType())
    ids = pa.array([b"\xff"], pa.binary()).view(pa.string())
    with pytest.raises(InvalidItemError, match=r"Row .* can't be written"):
        encode(schema, pa.record_batch({"id": ids, "d": pa.array([2932897], pa.date32())}))


@pytest.mark.parametrize("bad", [b"", b"\xff", b"\x1c" + b"\x00\x00\x00\x00\x00\x00\xf8\x7f"])
def test_variants_that_dynamodb_cannot_take(bad: bytes) -> None:
    """Cut off, of an unknown type, and a double that is NaN."""
    schema = StructType().add("id", StringType()).add("v", ArrayType(VariantType()))
    variants = [
        {"value": encode_variant({"S": "a"})[0], "metadata": b"\x01\x00\x00"},
        {"value": bad, "metadata": b"\x01\x00\x00"},
    ]
    error = refuse(schema, batch_of(schema, [{"id": "a", "v": variants[:1]}, {"id": "b", "v": variants}]))
    assert (error.key, error.attribute) == ({"id": "b"}, "v[]")


def test_an_empty_name_in_a_map_is_refused() -> None:
    schema = StructType().add("id", StringType()).add("m", MapType(StringType(), LongType()))
    error = refuse(schema, batch_of(schema, [{"id": "a", "m": [("x", 1)]}, {"id": "b", "m": [("x", 1), ("", 2)]}]))
    assert (error.key, error.attribute) == ({"id": "b"}, "m{}")


@pytest.mark.parametrize(
    ("kind", "good", "bad", "path"),
    [
        (MapType(StringType(), LongType()), [("x", 1), ("y", 1)], [("x", 1), ("y", 2), ("x", 3)], "m{}"),
        (MapType(StringType(), LongType()), None, [("x", 1), ("x", None)], "m{}"),
        (ArrayType(MapType(StringType(), LongType())), [[("x", 1)], [("x", 1)]], [[], [("x", 1), ("x", 1)]], "m[]{}"),
        (MapType(StringType(), MapType(StringType(), LongType())), [], [("y", []), ("z", [("x", 1)] * 2)], "m{}{}"),
    ],
)
def test_a_key_that_a_map_holds_twice_is_refused(kind: DataType, good: Any, bad: Any, path: str) -> None:
    schema = StructType().add("id", StringType()).add("m", kind)
    batch = batch_of(schema, [{"id": "a", "m": good}, {"id": "b", "m": bad}, {"id": "c", "m": good}])
    error = refuse(schema, batch)
    assert (error.key, error.attribute, error.value) == ({"id": "b"}, path, "x")
    assert "it is twice a key of one map" in str(error)
    apart = ItemEncoder(schema, table="orders", key_names=["id"]).encode_apart(batch)
    assert apart.keys.column("id").to_pylist() == ["a", "c"]
    assert apart.bad[0].unfit == {"m": str(bad)}


@pytest.mark.parametrize(
    "content", [{"": {"S": "x"}}, {"a": {"S": '"'}, "": {"NULL": True}}, {"z": {"M": {"": {"L": []}}}}]
)
def test_an_empty_name_in_a_variant_is_refused(content: dict[str, Any]) -> None:
    schema = StructType().add("id", StringType()).add("v", VariantType())
    value, metadata = encode_variant({"M": content})
    error = refuse(
        schema, batch_of(schema, [{"id": "a", "v": None}, {"id": "b", "v": {"value": value, "metadata": metadata}}])
    )
    assert (error.key, error.attribute) == ({"id": "b"}, "v")


# ---------------------------------------------------------------------------------------------------- size and depth


@pytest.mark.parametrize("character", ["x", "é", "\U0001f600", "\n"])
def test_the_largest_item(character: str) -> None:
    """id and its 4 bytes, s: 6 bytes but for the text; control characters count once, though their JSON takes 6 bytes."""
    schema = StructType().add("id", StringType()).add("s", StringType())
    width = len(character.encode())
    text = character * ((LARGEST_ITEM - 7) // width)
    text += "x" * (LARGEST_ITEM - 7 - len(text.encode()))
    batch = batch_of(schema, [{"id": "key0", "s": text}, {"id": "key1", "s": "x"}])
    assert [item_size(orjson.loads(item)) for item in encode(schema, batch)] == [409_600, 8]
    error = refuse(schema, batch_of(schema, [{"id": "key0", "s": "x"}, {"id": "key1", "s": text + "x"}]))
    assert (error.key, error.attribute) == ({"id": "key1"}, None)
    problem = "the item is 409,601 bytes, and DynamoDB takes at most 409,600 with names and values"
    assert str(error).startswith(f"Row {{id='key1'}} can't be written to table 'orders': {problem}")


def counted(value: Any) -> int:
    """The size of a value by the rules in DynamoDB's documentation, from Python values as boto3 gives them."""
    match value:
        case str():
            return len(value.encode())
        case bool() | None:
            return 1
        case Decimal():
            digits = len(Context(prec=100).normalize(value).as_tuple().digits) if value else 0
            return math.ceil(digits / 2) + 1 + value.is_signed()
        case set():
            return sum(map(counted, value))
        case list():
            return 3 + sum(1 + counted(element) for element in value)
        case dict():
            return 3 + sum(1 + counted(name) + counted(element) for name, element in value.items())
    return len(bytes(value))


@given(st.dictionaries(names, any_attributes, max_size=4))
def test_sizes(item: dict[str, Any]) -> None:
    python = {name: deserialized(attribute) for name, attribute in item.items()}
    assert item_size(item) == counted(python) - 3 - len(item)
    assert len(orjson.dumps(item)) >= item_size(item)


@given(number_texts())
def test_sizes_of_numbers(text: str) -> None:
    assert item_size({"": {"N": text}}) == counted(Decimal(text))
    assert item_size({"n": {"NS": [text]}}) == counted(Decimal(text)) + 1


@given(st.binary(max_size=20))
def test_sizes_of_binaries(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert item_size({"b": {"B": text}}) == item_size({"b": {"BS": [text]}}) == len(data) + 1


def nested(levels: int, step: Callable[[DataType], DataType]) -> StructType:
    kind: DataType = LongType()
    for _ in range(levels - 1):
        kind = step(kind)
    return StructType().add("x", kind)


@pytest.mark.parametrize(
    ("step", "path"),
    [
        (ArrayType, "x" + "[]" * 32),
        (lambda kind: StructType().add("y", kind), "x" + ".y" * 32),
        (lambda kind: MapType(StringType(), kind), "x" + "{}" * 32),
    ],
)
def test_the_deepest_schema(step: Callable[[DataType], DataType], path: str) -> None:
    schema = nested(32, step)
    assert encode(schema, batch_of(schema, [{"x": None}])) == ["{}"]
    with pytest.raises(SchemaError, match="nested more than 32 levels deep") as caught:
        ItemEncoder(nested(33, step), table="orders")
    assert caught.value.path == path


def test_decimals_keep_their_value() -> None:
    kind = DecimalType(38, 20)
    schema = StructType().add("d", kind).add("e", DecimalType(38, 0))
    numbers = [Decimal("1E-20"), Decimal("0E-20"), Decimal("-123456789012345678.12345678901234567890"), None]
    batch = batch_of(schema, [{"d": number, "e": Decimal("9" * 38)} for number in numbers])
    items = [orjson.loads(text) for text in encode(schema, batch)]
    assert [Decimal(item["d"]["N"]) if "d" in item else None for item in items] == numbers
    assert {item["e"]["N"] for item in items} == {"9" * 38}
