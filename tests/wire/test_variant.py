"""What round-trips between DynamoDB values and variants, what Spark's own reader makes of them, and what is refused."""

from __future__ import annotations

import base64
import contextlib
import decimal
import json
import struct
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql.types import VariantVal

from spark_dynamo.wire.variant import decode_variant, encode_variant

EMPTY_METADATA = b"\x01\x00\x00"
TAGS = ["$SS", "$NS", "$BS", "$N", "$M"]

strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
names = st.one_of(strings, st.sampled_from([*TAGS, "$", "", "\ue000", "\U0001f600"]))
binaries = st.binary(max_size=100).map(lambda data: base64.b64encode(data).decode())


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """Any text that is a DynamoDB number, written plainly or with an exponent."""
    digits = str(draw(st.integers(1, 10 ** draw(st.sampled_from([1, 4, 10, 18, 20, 38])) - 1)))
    last = draw(st.one_of(st.integers(-40, 5), st.integers(-130, 125 - len(digits) + 1)))
    number = draw(st.sampled_from(["", "-"])) + f"{digits}E{max(last, -130):+d}"
    return draw(
        st.sampled_from([number, format(Decimal(number), "f"), number.lower(), str(Decimal(number)), "0", "-0.00"])
    )


plain_leaves = st.one_of(
    strings.map(lambda text: {"S": text}),
    st.integers(-(2**70), 2**70).map(lambda number: {"N": str(number)}),
    st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20).map(
        lambda number: {"N": str(number)}
    ),
    binaries.map(lambda text: {"B": text}),
    st.booleans().map(lambda flag: {"BOOL": flag}),
    st.just({"NULL": True}),
)
leaves = st.one_of(
    plain_leaves,
    numbers().map(lambda number: {"N": number}),
    st.lists(strings, max_size=4).map(lambda texts: {"SS": texts}),
    st.lists(numbers(), max_size=4).map(lambda texts: {"NS": texts}),
    st.lists(binaries, max_size=4).map(lambda texts: {"BS": texts}),
)


def nested(children: st.SearchStrategy[Any], keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(children, max_size=5).map(lambda elements: {"L": elements}),
        st.dictionaries(keys, children, max_size=5).map(lambda fields: {"M": fields}),
    )


values = st.recursive(leaves, lambda children: nested(children, names), max_leaves=20)
plain_values = st.recursive(plain_leaves, lambda children: nested(children, strings), max_leaves=20)


def canonical(attribute_value: dict[str, Any]) -> Any:
    """An attribute value in which equal numbers are equal, whatever their text."""
    ((tag, payload),) = attribute_value.items()
    match tag:
        case "N":
            return tag, Decimal(payload)
        case "NS":
            return tag, [Decimal(number) for number in payload]
        case "L":
            return tag, [canonical(element) for element in payload]
        case "M":
            return tag, {name: canonical(value) for name, value in payload.items()}
    return tag, payload


def python(attribute_value: dict[str, Any]) -> Any:
    """The Python value that Spark shows for an attribute value whose types variants have too."""
    ((tag, payload),) = attribute_value.items()
    match tag:
        case "N":
            return Decimal(payload)
        case "B":
            return base64.b64decode(payload)
        case "NULL":
            return None
        case "L":
            return [python(element) for element in payload]
        case "M":
            return {name: python(value) for name, value in payload.items()}
    return payload


def seen_by_spark(attribute_value: dict[str, Any]) -> Any:
    with decimal.localcontext(prec=100):  # pyspark multiplies in the current context, whose 28 digits are too few
        return VariantVal(*encode_variant(attribute_value)).toPython()


def turn(attribute_value: dict[str, Any]) -> dict[str, Any]:
    return decode_variant(*encode_variant(attribute_value))


@given(values)
def test_every_dynamodb_value_comes_back_equal(attribute_value: dict[str, Any]) -> None:
    result = turn(attribute_value)
    assert canonical(result) == canonical(attribute_value)
    assert orjson.loads(orjson.dumps(result)) == result
    assert turn(result) == result
    assert decode_variant(*map(bytearray, encode_variant(attribute_value))) == result


@given(plain_values)
def test_spark_reads_the_same_values(attribute_value: dict[str, Any]) -> None:
    assert seen_by_spark(attribute_value) == python(attribute_value)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("0", 3), ("-0", 3), ("-0.00", 3), ("0E+5", 3), ("127", 3), ("-128", 3), ("1E+2", 3), ("5.000", 3),
        ("+7", 3), (".0", 3),
        ("128", 4), ("-129", 4), ("32767", 4), ("-32768", 4),
        ("32768", 5), ("2147483647", 5), ("-2147483648", 5),
        ("2147483648", 6), ("-9223372036854775808", 6), ("9223372036854775807", 6), ("999999999999999999", 6),
        ("1.5", 8), ("-1.50", 8), ("0.000000001", 8), ("9.99999999", 8),
        ("0.0000000001", 9), ("1234567890.5", 9), ("1E-18", 9),
        ("9223372036854775808", 10), ("-9223372036854775809", 10), ("1E+37", 10), ("1E-38", 10), ("9" * 38, 10),
        ("-0." + "9" * 38, 10), ("1E-19", 10),
    ],
)  # fmt: skip
def test_numbers_take_the_smallest_type(text: str, header: int) -> None:
    value, metadata = encode_variant({"N": text})
    assert value[0] == header << 2
    assert metadata == EMPTY_METADATA
    assert Decimal(decode_variant(value, metadata)["N"]) == Decimal(text)
    with decimal.localcontext(prec=100):
        assert VariantVal(value, metadata).toPython() == Decimal(text)


@pytest.mark.parametrize(
    "text",
    ["1E+38", "1E-39", "1E+100", "1E-130", "9.9999999999999999999999999999999999999E+125", "-1e100", "1" + "0" * 38],
)
def test_numbers_beyond_decimals_keep_their_text(text: str) -> None:
    assert seen_by_spark({"N": text}) == {"$N": text}
    assert turn({"N": text}) == {"N": text}


@pytest.mark.parametrize(
    ("attribute_value", "shown"),
    [
        ({"SS": ["a", "b"]}, {"$SS": ["a", "b"]}),
        ({"NS": ["1", "2.5", "1E+100"]}, {"$NS": [1, Decimal("2.5"), {"$N": "1E+100"}]}),
        ({"BS": ["AAE="]}, {"$BS": [b"\x00\x01"]}),
        ({"M": {"$SS": {"S": "x"}}}, {"$M": {"$SS": "x"}}),
        ({"M": {"$M": {"M": {"$M": {"S": "x"}}}}}, {"$M": {"$M": {"$M": {"$M": "x"}}}}),
        ({"M": {"$SS": {"L": [{"S": "x"}]}, "a": {"NULL": True}}}, {"$SS": ["x"], "a": None}),
        ({"M": {"$X": {"S": "x"}}}, {"$X": "x"}),
    ],
)
def test_tags(attribute_value: dict[str, Any], shown: Any) -> None:
    assert seen_by_spark(attribute_value) == shown
    assert turn(attribute_value) == attribute_value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"$SS": 5}', {"M": {"$SS": {"N": "5"}}}),
        ('{"$SS": ["a", 5]}', {"M": {"$SS": {"L": [{"S": "a"}, {"N": "5"}]}}}),
        ('{"$SS": {"$SS": 5}}', {"M": {"$SS": {"M": {"$SS": {"N": "5"}}}}}),
        ('{"$NS": ["5"]}', {"M": {"$NS": {"L": [{"S": "5"}]}}}),
        ('{"$BS": ["AAE="]}', {"M": {"$BS": {"L": [{"S": "AAE="}]}}}),
        ('{"$N": 5}', {"M": {"$N": {"N": "5"}}}),
        ('{"$N": "five"}', {"M": {"$N": {"S": "five"}}}),
        ('{"$N": "NaN"}', {"M": {"$N": {"S": "NaN"}}}),
        ('{"$M": 5}', {"M": {"$M": {"N": "5"}}}),
        ('{"$M": {}}', {"M": {"$M": {"M": {}}}}),
        ('{"$M": {"a": 1}}', {"M": {"$M": {"M": {"a": {"N": "1"}}}}}),
        ('{"$M": {"$M": 5}}', {"M": {"$M": {"N": "5"}}}),
        ('{"$N": "5"}', {"N": "5"}),
        ('{"$SS": []}', {"SS": []}),
    ],
)
def test_what_looks_like_a_tag_and_is_none_is_a_map(text: str, expected: dict[str, Any]) -> None:
    variant = VariantVal.parseJson(text)
    assert decode_variant(variant.value, variant.metadata) == expected
    assert turn(expected) == expected


@given(
    st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(10**30), 10**30),
            strings,
            st.floats(1e-100, 1e100),
            st.floats(-9, 9),
        ),
        lambda children: st.one_of(
            st.lists(children), st.dictionaries(st.one_of(strings, st.sampled_from(TAGS)), children)
        ),
        max_leaves=20,
    )
)
def test_spark_s_variants_settle_after_one_turn(content: Any) -> None:
    variant = VariantVal.parseJson(json.dumps(content))
    try:
        read = decode_variant(variant.value, variant.metadata)
    except ValueError as error:
        assert "can't hold" in str(error)  # noqa: PT017 - the one other outcome
        return
    assert turn(read) == read


def test_large_objects_and_arrays() -> None:
    fields = {f"name {i}": {"L": [{"S": "x" * 300}, {"N": str(i)}]} for i in range(300)}
    fields["elements"] = {"L": [{"N": str(i)} for i in range(70_000)]}
    attribute_value = {"M": {"small": {"M": {"name 1": {"NULL": True}}}, **fields}}
    assert turn(attribute_value) == attribute_value
    assert seen_by_spark(attribute_value) == python(attribute_value)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 255, 256, 65_535, 65_536, 400_000])
def test_sizes(size: int) -> None:
    for attribute_value in (
        {"S": "x" * size},
        {"M": {"x" * size: {"L": [{"S": "é" * size}]}}},
        {"B": base64.b64encode(bytes(size)).decode()},
    ):
        assert turn(attribute_value) == attribute_value
        assert seen_by_spark(attribute_value) == python(attribute_value)


def test_deep_nesting() -> None:
    attribute_value: dict[str, Any] = {"S": "bottom"}
    for _ in range(16):
        attribute_value = {"M": {"$M": {"L": [attribute_value]}}}
    assert turn(attribute_value) == attribute_value


def test_field_names_are_in_the_order_in_which_spark_searches() -> None:
    attribute_value = {"M": {name: {"NULL": True} for name in ("\uff5e", "\U0001f600", "b", "é", "")}}
    assert list(turn(attribute_value)["M"]) == ["", "b", "é", "\U0001f600", "\uff5e"]


def primitive(kind: int, content: bytes) -> dict[str, Any]:
    return decode_variant(bytes((kind << 2,)) + content, EMPTY_METADATA)


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        (7, struct.pack("<d", 0.1), {"N": "0.1"}),
        (7, struct.pack("<d", -0.0), {"N": "0"}),
        (7, struct.pack("<d", 5.0), {"N": "5"}),
        (7, struct.pack("<d", 1e22), {"N": "1" + "0" * 22}),
        (7, struct.pack("<d", -1.5e-7), {"N": "-0.00000015"}),
        (14, struct.pack("<f", 0.1), {"N": "0.1"}),
        (14, struct.pack("<f", 16777216.0), {"N": "16777216"}),
        (14, struct.pack("<f", 3.4028234663852886e38), {"N": "34028235" + "0" * 31}),
        (8, b"\x02" + struct.pack("<i", -150), {"N": "-1.5"}),
        (9, b"\x12" + struct.pack("<q", 1), {"N": "0.000000000000000001"}),
        (11, struct.pack("<i", -1), {"S": "1969-12-31"}),
        (11, struct.pack("<i", -719162), {"S": "0001-01-01"}),
        (12, struct.pack("<q", 1), {"S": "1970-01-01T00:00:00.000001+00:00"}),
        (12, struct.pack("<q", 253402300799999999), {"S": "9999-12-31T23:59:59.999999+00:00"}),
        (13, struct.pack("<q", -1_000_000), {"S": "1969-12-31T23:59:59.000000"}),
        (15, struct.pack("<I", 2) + b"\xff\x00", {"B": "/wA="}),
        (16, struct.pack("<I", 2) + "é".encode(), {"S": "é"}),
        (20, UUID("12345678-1234-5678-1234-567812345678").bytes, {"S": "12345678-1234-5678-1234-567812345678"}),
    ],
)
def test_types_that_only_spark_writes(kind: int, content: bytes, expected: dict[str, Any]) -> None:
    assert primitive(kind, content) == expected
    for size in range(len(content)):
        with pytest.raises(ValueError, match="malformed or cut off"):
            primitive(kind, content[:size])


@given(st.floats(min_value=2.0**-126, max_value=2.0**126, width=32))
def test_floats_of_4_bytes_come_back(number: float) -> None:
    text = primitive(14, struct.pack("<f", number))["N"]
    assert struct.pack("<f", float(text)) == struct.pack("<f", number)
    assert len(text.strip("0").replace(".", "").strip("0")) <= 9


@pytest.mark.parametrize(
    ("kind", "content", "problem"),
    [
        (7, struct.pack("<d", float("nan")), "not a finite number"),
        (7, struct.pack("<d", float("inf")), "not a finite number"),
        (14, struct.pack("<f", float("nan")), "not a finite number"),
        (14, struct.pack("<f", float("-inf")), "not a finite number"),
        (7, struct.pack("<d", 1e126), "DynamoDB can't hold"),
        (7, struct.pack("<d", 5e-324), "DynamoDB can't hold"),
        (10, b"\x00" + (10**38 + 1).to_bytes(16, "little"), "DynamoDB can't hold"),
        (10, b"\x27" + bytes(16), "39 decimal places"),
        (11, struct.pack("<i", -719163), "years 1 to 9999"),
        (12, struct.pack("<q", 2**63 - 1), "years 1 to 9999"),
        (17, bytes(8), "primitive type 17"),
        (63, bytes(8), "primitive type 63"),
        (16, struct.pack("<I", 1) + b"\xff", "malformed"),
    ],
)
def test_refused_primitives(kind: int, content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        primitive(kind, content)


def test_a_tagged_number_beyond_dynamodb_is_refused() -> None:
    variant = VariantVal.parseJson('{"$N": "1E+126"}')
    with pytest.raises(ValueError, match="can't hold 1E\\+126"):
        decode_variant(variant.value, variant.metadata)


@pytest.mark.parametrize(
    ("value", "metadata"),
    [
        (b"", EMPTY_METADATA),
        (b"\x00", b""),
        (b"\x00", b"\x01"),
        (b"\x00", b"\x01\x01\x00\x05a"),
        (b"\x00", b"\x01\x01\x05\x01a"),
        (b"\x02\x01\x05\x00\x01\x00", b"\x01\x01\x00\x01a"),
        (b"\x02\x01\x00\x00\x09", b"\x01\x01\x00\x01a"),
        (b"\x02\x01\x00\x09\x09\x00", b"\x01\x01\x00\x01a"),
        (b"\x53\xff\xff\xff\xff\x00", EMPTY_METADATA),
        (b"\x09a", EMPTY_METADATA),
    ],
)
def test_malformed_variants(value: bytes, metadata: bytes) -> None:
    with pytest.raises(ValueError, match="malformed or cut off"):
        decode_variant(value, metadata)


def test_other_errors() -> None:
    with pytest.raises(ValueError, match="version is 2"):
        decode_variant(b"\x00", b"\x02\x00\x00")
    with pytest.raises(ValueError, match="two fields of one name"):
        decode_variant(b"\x02\x02\x00\x00\x00\x01\x02\x00\x00", b"\x01\x01\x00\x01a")
    with pytest.raises(ValueError, match="nests far deeper"):
        decode_variant(b"\x03\x01\x00\x00" * 5000 + b"\x00", EMPTY_METADATA)
    with pytest.raises(ValueError, match="16 MiB"):
        encode_variant({"S": "x" * (1 << 24)})


@given(values, st.data())
def test_a_damaged_variant_is_a_value_error_or_another_value(
    attribute_value: dict[str, Any], data: st.DataObject
) -> None:
    value, metadata = map(bytearray, encode_variant(attribute_value))
    for binary in (value, metadata):
        for _ in range(data.draw(st.integers(0, 2))):
            binary[data.draw(st.integers(0, len(binary) - 1))] = data.draw(st.integers(0, 255))
        del binary[data.draw(st.integers(0, len(binary))) :]
    with contextlib.suppress(ValueError):
        orjson.dumps(decode_variant(bytes(value), bytes(metadata)))


@pytest.mark.parametrize(
    "attribute_value",
    [
        {},
        {"S": "a", "N": "1"},
        {"X": "a"},
        {"S": 5},
        {"S": "\ud800"},
        {"N": 5},
        {"N": ""},
        {"N": "."},
        {"N": "NaN"},
        {"N": "Infinity"},
        {"N": "1_000"},
        {"N": "٣"},
        {"N": "1 "},
        {"N": "1E"},
        {"B": "AAE"},
        {"B": "A!E="},
        {"BOOL": 1},
        {"BOOL": "true"},
        {"NULL": False},
        {"NULL": None},
        {"L": {}},
        {"L": "ab"},
        {"L": ["ab"]},
        {"M": []},
        {"M": {"a": "b"}},
        {"M": {"a": {}}},
        {"SS": "ab"},
        {"SS": [5]},
        {"NS": ["x"]},
        "S",
        None,
    ],
)
def test_what_is_no_attribute_value(attribute_value: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a DynamoDB attribute value: ."):
        encode_variant(attribute_value)
