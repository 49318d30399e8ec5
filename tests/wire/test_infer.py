"""A schema follows from a sample by the stated rules, in whatever order it is seen, and decodes the sample without loss."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DecimalType,
    DoubleType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
    VariantType,
)

from spark_dynamo.errors import MalformedItemError
from spark_dynamo.wire.decode import PageDecoder
from spark_dynamo.wire.infer import Inference, infer_types, show_attribute
from spark_dynamo.wire.sample_counts import MOST_FIELDS, Fields, Place
from spark_dynamo.wire.variant.shape import NO_VALUE
from tests.wire.strategies import (
    ODD_NUMBERS,
    any_attributes,
    deserialized,
    meant,
    names,
    number_texts,
    pages,
    seen,
    structs,
)

Item = dict[str, Any]
NUMBER_TYPES = ["auto", "decimal", "double", "string"]
STRINGS = MapType(StringType(), StringType())


def fields_of(items: Sequence[Item]) -> Fields:
    fields = Fields()
    for item in items:
        fields.see(item)
    return fields


def infer(*items: Item, number_type: str = "auto", **keys: str) -> Inference:
    return infer_types(fields_of(items), keys, number_type)


def infer_values(*values: Item, number_type: str = "auto") -> tuple[StructField, tuple[str, ...]]:
    """The column for an attribute with these values, and the warnings."""
    inferred = infer(*({"x": value} for value in values), number_type=number_type)
    return inferred.schema["x"], inferred.warnings


def numbers(*texts: str) -> list[Item]:
    return [{"N": text} for text in texts]


def check_decodes(items: Sequence[Item], schema: StructType) -> None:
    """Every value of the items comes out of a decoder with that schema as boto3 has it."""
    body = orjson.dumps({"Items": items, "Count": len(items)})
    for item, row in zip(items, PageDecoder(schema, table="t").decode(body).to_pylist(), strict=True):
        python = {name: deserialized(attribute) for name, attribute in item.items()}
        assert seen(schema, None, row) == meant(schema, None, python)


# ---------------------------------------------------------------------------------------------------- what must hold for all

any_items = st.lists(
    st.dictionaries(st.one_of(st.sampled_from("abc"), names), any_attributes, min_size=1, max_size=4),
    min_size=1,
    max_size=5,
)
similar_items = structs(2).flatmap(pages)
samples = st.one_of(any_items, similar_items).filter(any)


@given(samples, st.sampled_from(NUMBER_TYPES))
def test_the_schema_decodes_its_own_sample_without_loss(items: list[Item], number_type: str) -> None:
    check_decodes(items, infer(*items, number_type=number_type).schema)


@given(samples, st.randoms(use_true_random=False), st.data())
def test_the_order_of_items_and_of_merges_means_nothing(items: list[Item], random: Any, data: st.DataObject) -> None:
    expected = infer(*items)
    shuffled = random.sample(items, len(items))
    cut = data.draw(st.integers(0, len(items)))
    left, right = fields_of(shuffled[:cut]), fields_of(shuffled[cut:])
    right.merge(left)
    for fields in (fields_of(shuffled), right):
        inferred = infer_types(fields, {})
        assert (inferred.schema, inferred.warnings) == (expected.schema, expected.warnings)
        assert [facts(inferred)] == [facts(expected)]


@given(samples, samples, samples)
def test_merging_is_associative(first: list[Item], second: list[Item], third: list[Item]) -> None:
    left, middle = fields_of(first), fields_of(second)
    left.merge(middle)
    left.merge(fields_of(third))
    middle.merge(fields_of(third))
    right = fields_of(first)
    right.merge(middle)
    assert infer_types(left, {}) == infer_types(right, {})


def facts(inferred: Inference) -> list[Any]:
    return [(fact.path, fact.type, fact.present, fact.seen) for fact in inferred.attributes]


# ---------------------------------------------------------------------------------------------------- the table of types


@pytest.mark.parametrize(
    ("values", "expected", "tag"),
    [
        ([{"S": "a"}], StringType(), None),
        ([{"BOOL": True}], BooleanType(), None),
        ([{"B": "AP8="}], BinaryType(), None),
        (numbers("1", "-9223372036854775808", "9223372036854775807"), LongType(), None),
        (numbers("-0", "0", "1E+2", "1.0", "-5E+18"), LongType(), None),
        (numbers("9223372036854775808"), DecimalType(38, 0), None),
        (numbers("-9223372036854775809", "1"), DecimalType(38, 0), None),
        (numbers("9" * 38), DecimalType(38, 0), None),
        (numbers("1E+37"), DecimalType(38, 0), None),
        (numbers("1E+38"), StringType(), "N"),
        (numbers("12.50"), DecimalType(38, 1), None),
        (numbers("19.9", "5", "19.95"), DecimalType(38, 2), None),
        (numbers("0.5", "12345678901234567890"), DecimalType(38, 1), None),
        (numbers("0.1234567890123456789012"), DecimalType(38, 22), None),
        (numbers("1E-18", "1" * 20), DecimalType(38, 18), None),
        (numbers("1E-38"), DecimalType(38, 38), None),
        (numbers("0E+30", "0.25"), DecimalType(38, 2), None),
        (numbers("1E-39"), StringType(), "N"),
        (numbers("0.00000000000000000001", "1234567890123456789"), StringType(), "N"),  # each fits, both together don't
        ([{"M": {"b": {"S": "x"}, "a": {"N": "1"}}}], StructType().add("a", LongType()).add("b", StringType()), None),
        (
            [{"M": {"a": {"N": "1"}}}, {"M": {"b": {"N": "1"}}}],
            StructType().add("a", LongType()).add("b", LongType()),
            None,
        ),
        ([{"M": {}}, {"M": {"a": {"BOOL": True}}}], StructType().add("a", BooleanType()), None),
        ([{"L": numbers("1")}, {"L": numbers("2.5")}, {"L": []}], ArrayType(DecimalType(38, 1)), None),
        ([{"L": [{"NULL": True}, {"S": "a"}]}], ArrayType(StringType()), None),
        ([{"L": [{"L": numbers("1")}]}], ArrayType(ArrayType(LongType())), None),
        ([{"SS": ["a"]}], ArrayType(StringType(), False), "SS"),
        ([{"NS": ["1"]}, {"NS": ["0.5"]}], ArrayType(DecimalType(38, 1), False), "NS"),
        ([{"NS": ["1E+38"]}], ArrayType(StringType(), False), "NS"),
        ([{"BS": ["AA=="]}], ArrayType(BinaryType(), False), "BS"),
        ([{"S": "a"}, {"NULL": True}], StringType(), None),
        ([{"NULL": True}], StringType(), None),
        ([{"L": []}, {"NULL": True}], ArrayType(StringType()), None),
        ([{"M": {}}], STRINGS, None),
        ([{"M": {"": {"S": "x"}, "k": {"S": "y"}}}, {"M": {}}], STRINGS, None),  # no field is called so
        ([{"M": {"": {"S": "x"}, "k": {"N": "1"}}}], MapType(StringType(), VariantType()), None),
        ([{"L": [{"M": {"": {"N": "1"}}}]}], ArrayType(MapType(StringType(), LongType())), None),
        ([{"S": "a"}, {"N": "1"}], VariantType(), None),
        ([{"M": {}}, {"L": []}], VariantType(), None),
        ([{"SS": ["a"]}, {"NS": ["1"]}], VariantType(), None),
        ([{"SS": ["a"]}, {"L": [{"S": "a"}]}], VariantType(), None),
        ([{"L": [{"S": "a"}, {"N": "1"}]}], ArrayType(VariantType()), None),
        ([{"L": [{"S": "a"}]}, {"L": numbers("1")}], ArrayType(VariantType()), None),
        ([{"L": [{"SS": ["a"]}]}], ArrayType(VariantType()), None),  # an element has no metadata to say SS
        ([{"L": numbers("1E+38")}], ArrayType(VariantType()), None),
        ([{"L": [{"NULL": True}]}], ArrayType(StringType()), None),
    ],
    ids=str,
)
def test_each_rule(values: list[Item], expected: DataType, tag: str | None) -> None:
    column, _ = infer_values(*values)
    metadata = {"dynamodb": tag} if tag else {}
    if {"NULL": True} in values:  # and it is missing nowhere
        metadata["dynamodb_nulls"] = "write"
    assert column == StructField("x", expected, True, metadata)
    check_decodes([{"x": value} for value in values], StructType([column]))


def test_a_conflict_is_variant_at_its_own_place_only() -> None:
    column, warnings = infer_values(
        {"M": {"a": {"S": "x"}, "deep": {"L": [{"M": {"c": {"N": "1"}, "d": {"S": "y"}}}]}}},
        {"M": {"a": {"S": "x"}, "deep": {"L": [{"M": {"c": {"BOOL": True}, "d": {"S": "y"}}}]}}},
    )
    inner = StructType().add("c", VariantType()).add("d", StringType())
    assert column.dataType == StructType().add("a", StringType()).add("deep", ArrayType(inner))
    assert warnings == ("'x.deep[].c' holds BOOL (1) and N (1): read as VARIANT",)


def test_sets_in_structs_keep_their_metadata() -> None:
    column, warnings = infer_values({"M": {"tags": {"SS": ["a"]}, "wide": {"N": "1E+100"}}})
    assert column.dataType == StructType(
        [
            StructField("tags", ArrayType(StringType(), False), True, {"dynamodb": "SS"}),
            StructField("wide", StringType(), True, {"dynamodb": "N"}),
        ]
    )
    (warning,) = warnings
    assert warning.startswith("'x.wide' has numbers of up to 101 digits before the point and 0 after it")


@pytest.mark.parametrize(
    ("number_type", "expected", "tag"),
    [("decimal", DecimalType(38, 17), None), ("double", DoubleType(), None), ("string", StringType(), "N")],
)
def test_number_types(number_type: str, expected: DataType, tag: str | None) -> None:
    column, warnings = infer_values(*numbers("1", "1000"), number_type=number_type)
    assert column == StructField("x", expected, True, {"dynamodb": tag} if tag else None)
    assert warnings == ()
    column, _ = infer_values({"NS": ["1", "1000"]}, number_type=number_type)
    assert column == StructField("x", ArrayType(expected, False), True, {"dynamodb": "NS"})
    column, _ = infer_values({"L": numbers("1", "1000")}, number_type=number_type)
    assert column.dataType == ArrayType(VariantType() if number_type == "string" else expected)


@pytest.mark.parametrize(
    ("texts", "scale"),
    [
        (["12.50"], 18),  # k = 1, i = 2: 18 digits after the point and 20 before
        (["0.5", "12345678901234567890"], 9),  # k = 1, i = 20: 17 to spare, 8 of them after
        (["0.1234567890123456789012"], 22),  # k = 22: already beyond 18
        (["7"], 18),
    ],
)
def test_decimals_have_room_on_both_sides_where_it_is_asked_for(texts: list[str], scale: int) -> None:
    column, _ = infer_values(*numbers(*texts), number_type="decimal")
    assert column.dataType == DecimalType(38, scale)


@pytest.mark.parametrize("later", ["0.001", "1E-38", "1" + "0" * 36, "-9.999"])
def test_a_later_number_that_does_not_fit_is_loud(later: str) -> None:
    schema = infer({"id": {"S": "a"}, "x": {"N": "19.95"}}).schema
    body = orjson.dumps({"Items": [{"id": {"S": "a"}, "x": {"N": "1"}}, {"id": {"S": "b"}, "x": {"N": later}}]})
    with pytest.raises(MalformedItemError, match=r"item {id='b'}: attribute 'x' is .* needs more than"):
        PageDecoder(schema, table="t", key_names=["id"]).decode(body)
    permissive = StructType([*schema.fields, StructField("bad", StringType())])
    rows = PageDecoder(permissive, table="t", mode="PERMISSIVE", corrupt_column="bad").decode(body).to_pylist()
    assert [row["x"] for row in rows] == [Decimal("1.00"), None]
    assert orjson.loads(rows[1]["bad"]) == {"id": {"S": "b"}, "x": {"N": later}}


INSTANTS = ["2026-11-01T10:30:00Z", "2026-11-01T10:30:00.123456+02:00", "20261101T103000-0530"]
NO_INSTANTS = [
    "2026-11-01T10:30:00",
    "2026-11-01",
    "2026-11-01T10:30:00.1234567Z",
    "2026-13-01T00:00Z",
    "",
    "10:30Z",
    "x",
]
MOMENT = TimestampType()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([{"S": text} for text in INSTANTS], MOMENT),
        ([{"S": INSTANTS[0]}, {"NULL": True}], MOMENT),
        *(([{"S": INSTANTS[0]}, {"S": text}, {"S": INSTANTS[1]}], StringType()) for text in NO_INSTANTS),
        ([{"S": text} for text in NO_INSTANTS], StringType()),
        ([{"S": INSTANTS[0]}, {"N": "1"}], VariantType()),
        ([{"L": [{"S": INSTANTS[0]}]}, {"L": []}], ArrayType(MOMENT)),
        ([{"M": {"at": {"S": INSTANTS[0]}, "id": {"S": INSTANTS[0]}}}], StructType().add("at", MOMENT).add("id", MOMENT)),
        ([{"M": {"": {"S": INSTANTS[0]}, "b": {"S": INSTANTS[1]}}}], MapType(StringType(), MOMENT)),
        ([{"M": {"": {"S": INSTANTS[0]}, "b": {"S": "x"}}}], STRINGS),
        ([{"SS": INSTANTS}], ArrayType(StringType(), False)),
    ],
    ids=str,
)  # fmt: skip
def test_instants_are_timestamps_where_it_is_asked_for(values: list[Item], expected: DataType) -> None:
    items = [{"id": {"S": INSTANTS[0]}, "x": value} for value in values]
    first, second = fields_of(items[:1]), fields_of(items[1:])
    second.merge(first)
    for fields in (fields_of(items), second):
        schema = infer_types(fields, {"id": "S"}, infer_timestamp=True).schema
        assert (schema["id"].dataType, schema["x"].dataType) == (StringType(), expected)
        check_decodes(items, schema)
    assert "timestamp" not in infer(*items, id="S").schema.simpleString()


def test_double_warns_of_numbers_that_it_may_round() -> None:
    assert infer_values(*numbers("123456789012345"), number_type="double")[1] == ()
    (warning,) = infer_values(*numbers("1234567890123456"), number_type="double")[1]
    assert warning == "'x' has numbers that span 16 digits: DOUBLE may round them"


@given(st.lists(st.one_of(number_texts(), st.sampled_from(ODD_NUMBERS)), min_size=1, max_size=3))
def test_numbers_are_never_rounded(texts: list[str]) -> None:
    for number_type in ("auto", "decimal", "string"):
        column, _ = infer_values(*numbers(*texts), number_type=number_type)
        check_decodes([{"x": {"N": text}} for text in texts if len(text) <= 38], StructType([column]))


# ---------------------------------------------------------------------------------------------------- maps with free keys


def maps(count: int, *, each: int, step: int) -> list[Item]:
    """Maps of `each` keys, of which neighbours share all but `step`."""
    return [{"M": {f"k{index * step + key:05d}": {"N": "1"} for key in range(each)}} for index in range(count)]


def test_many_keys_that_few_maps_share_are_free() -> None:
    column, warnings = infer_values(*maps(10, each=3, step=3))
    assert column.dataType == MapType(StringType(), LongType())
    assert warnings == ()


def test_few_keys_are_fields_however_rare() -> None:
    assert isinstance(infer_values(*maps(20, each=1, step=1))[0].dataType, StructType)
    assert isinstance(infer_values(*maps(21, each=1, step=1))[0].dataType, MapType)


def test_many_keys_that_most_maps_share_are_fields() -> None:
    column, _ = infer_values(*maps(10, each=500, step=0))
    assert column.dataType == StructType([StructField(f"k{key:05d}", LongType()) for key in range(500)])
    assert isinstance(infer_values(*maps(4, each=30, step=30))[0].dataType, StructType)  # each in a quarter
    assert isinstance(infer_values(*maps(5, each=30, step=30))[0].dataType, MapType)


def test_no_struct_has_more_fields_than_the_limit_but_any_number_of_attributes() -> None:
    assert isinstance(infer_values(*maps(2, each=MOST_FIELDS, step=0))[0].dataType, StructType)
    assert infer_values(*maps(2, each=MOST_FIELDS + 1, step=0))[0].dataType == MapType(StringType(), LongType())
    wide = {f"a{index:04d}": {"N": "1"} for index in range(MOST_FIELDS + 1)}
    assert infer(wide, wide).schema.names == list(wide)


def test_keys_are_forgotten_early_or_late_alike() -> None:
    """Two samples with fewer keys than the limit, which have more together; and values that disagree."""
    first, second = maps(2, each=600, step=10), maps(2, each=600, step=10)
    second = [{"M": {f"other-{name}": {"S": "s"} for name in attribute["M"]}} for attribute in second]
    values = [*first, *second, *maps(1, each=1, step=1)]
    merged = Place()
    for group in (values[3:], values[:3]):
        place = Place()
        for value in group:
            place.see(value)
        merged.merge(place)
    merged_items = Fields()
    merged_items.by_name["x"], merged_items.count = merged, len(values)
    assert infer_types(merged_items, {}).schema == infer(*({"x": value} for value in values)).schema
    assert infer_values(*values)[0].dataType == MapType(StringType(), VariantType())


def test_values_of_free_keys_are_taken_together() -> None:
    attributes = [{"M": {f"k{index}": {"M": {"n": {"N": "1.5" if index else "1"}}}}} for index in range(30)]
    column, _ = infer_values(*attributes)
    assert column.dataType == MapType(StringType(), StructType().add("n", DecimalType(38, 1)))
    sets, warnings = infer_values(*({"M": {f"k{index}": {"SS": ["a"]}}} for index in range(30)))
    assert sets.dataType == MapType(StringType(), VariantType())
    assert warnings == ("'x{}' holds sets, and only attributes and fields can be marked as such: read as VARIANT",)


# ---------------------------------------------------------------------------------------------------- columns and warnings


def test_keys_come_first_and_are_not_nullable_and_others_follow_by_name() -> None:
    schema = infer({"z": {"S": "a"}, "b": {"N": "1"}, "a": {"B": ""}, "C": {"S": ""}}, z="S", b="N").schema
    assert [(field.name, field.nullable) for field in schema] == [("z", False), ("b", False), ("C", True), ("a", True)]


def test_an_empty_sample_has_the_key_attributes() -> None:
    inferred = infer(id="S", at="N", raw="B")
    assert inferred.schema.simpleString() == "struct<id:string,at:bigint,raw:binary>"
    assert inferred.warnings == ("The sample has no items, so the schema has the key attributes only",)
    assert [(fact.present, fact.seen, fact.example) for fact in inferred.attributes] == [(0.0, {}, None)] * 3


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ([{"NULL": True}], "'x' was seen only as NULL: that it is a STRING is a guess"),
        ([{"L": [{"NULL": True}]}], "'x[]' was seen only as NULL: that it is a STRING is a guess"),
        ([{"M": {"a": {"NULL": True}}}], "'x.a' was seen only as NULL: that it is a STRING is a guess"),
        ([{"L": []}], "'x' was seen only as an empty list: that its elements are STRING is a guess"),
        ([{"M": {}}], "'x' was seen only as an empty map: that its values are STRING is a guess"),
        ([{"S": "a"}, {"N": "1"}, {"N": "2"}], "'x' holds N (2) and S (1): read as VARIANT"),
        (
            [{"L": numbers("1E+38")}],
            "'x[]' holds numbers to be kept as text, and only attributes and fields can be marked as such: read as VARIANT",
        ),
        (
            numbers("1E+38", "0.5"),
            "'x' has numbers of up to 39 digits before the point and 1 after it, more than the 38 of a DECIMAL: read as "
            "STRING with their own text",
        ),
        (
            [{"M": {"Name": {"S": "a"}, "name": {"S": "b"}}}],
            "'x.Name' and 'x.name' differ by letter case only: set spark.sql.caseSensitive to true to read them",
        ),
    ],
)
def test_what_is_guessed_or_surprising_is_a_warning(values: list[Item], warning: str) -> None:
    assert infer_values(*values)[1] == (warning,)


def test_nothing_below_a_variant_is_told() -> None:
    inferred = infer({"x": {"L": [{"NULL": True}]}}, {"x": {"M": {"a": {"NULL": True}, "A": {"NULL": True}}}})
    assert [fact.path for fact in inferred.attributes] == ["x"]
    assert len(inferred.warnings) == 1


def test_names_that_differ_by_case_stay_columns() -> None:
    inferred = infer({"Id": {"S": "a"}, "id": {"S": "b"}, "ID": {"S": "c"}}, id="S")
    assert inferred.schema.names == ["id", "ID", "Id"]
    assert inferred.warnings == (
        "'ID' and 'Id' and 'id' differ by letter case only: set spark.sql.caseSensitive to true to read them",
    )


# ---------------------------------------------------------------------------------------------------- facts


def test_facts_on_all_places() -> None:
    inferred = infer(
        {"id": {"S": "a"}, "m": {"M": {"city": {"S": "Ulm"}}}, "tags": {"SS": ["x", "y"]}, "l": {"L": []}},
        {"id": {"S": "b"}, "m": {"M": {}}, "a.b": {"NULL": True}, "l": {"L": [{"M": {"n": {"N": "1"}}}]}},
        {"id": {"S": "c"}, "m": {"NULL": True}, "a.b": {"BOOL": False}},
        {"id": {"S": "d"}},
        id="S",
    )
    assert [(fact.path, fact.type, fact.present, fact.seen, fact.example) for fact in inferred.attributes] == [
        ("id", "STRING", 1.0, {"S": 4}, "a"),
        ("`a.b`", "BOOLEAN", 0.5, {"BOOL": 1, "NULL": 1}, "false"),
        ("l", "array<struct<n:bigint>>", 0.5, {"L": 2}, "[]"),
        ("l[]", "struct<n:bigint>", 0.5, {"M": 1}, '{"n": 1}'),
        ("l[].n", "BIGINT", 1.0, {"N": 1}, "1"),
        ("m", "struct<city:string>", 0.75, {"M": 2, "NULL": 1}, '{"city": "Ulm"}'),
        ("m.city", "STRING", 0.5, {"S": 1}, "Ulm"),
        ("tags", "array<string>", 0.25, {"SS": 1}, '["x", "y"]'),
        ("tags[]", "STRING", 1.0, {"S": 2}, "x"),
    ]


def test_facts_on_free_keys() -> None:
    attributes = [{"M": {f"k{index}": {"N": str(index)}}} for index in range(1, 31)]
    inferred = infer(*({"x": attribute} for attribute in [*attributes, *[{"M": {}}] * 10]))
    assert [(fact.path, fact.type, fact.present, fact.seen) for fact in inferred.attributes] == [
        ("x", "map<string,bigint>", 1.0, {"M": 40}),
        ("x{}", "BIGINT", 0.75, {"N": 30}),
    ]


@pytest.mark.parametrize(
    ("attribute", "shown"),
    [
        ({"S": ""}, ""),
        ({"S": "x" * 40}, "x" * 40),
        ({"S": "x" * 400_000}, "x" * 39 + "…"),
        ({"S": "a\nb\x00\u202e"}, "a\\nb\\x00\\u202e"),
        ({"N": "-1.50"}, "-1.50"),
        ({"B": "AP8="}, "0x00ff"),
        ({"B": "AAAA" * 100_000}, "0x" + "0" * 37 + "…"),
        ({"BOOL": True}, "true"),
        ({"BS": ["AA=="]}, "[0x00]"),
        ({"NS": ["1", "2"]}, "[1, 2]"),
        ({"L": [{"N": "1"}] * 1_000}, "[" + "1, " * 12 + "1,…"),
        ({"M": {"a\n": {"NULL": True}, "b": {"S": "c"}}}, '{"a\\n": null, "b": "c"}'),
    ],
    ids=lambda value: str(value)[:30],
)
def test_examples_are_short_and_on_one_line(attribute: Item, shown: str) -> None:
    assert show_attribute(attribute) == shown
    assert len(shown) <= 40


@given(any_attributes)
def test_any_attribute_has_an_example(attribute: Item) -> None:
    shown = show_attribute(attribute)
    assert len(shown) <= 40
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({}, NO_VALUE),
        ({"S": "a", "N": "1"}, NO_VALUE),
        ({"X": "a"}, "the type 'X' is unknown; DynamoDB's are S, N"),
        ({"M": 5}, "a map is an object"),
        ({"L": {"S": "a"}}, "a list is an array"),
        ({"L": [{"S": "a"}, {"M": {"k": {}}}]}, "at [1].k it is {}, which is not a DynamoDB attribute value"),
        ({"N": 5}, 'a number stands in quotes, as in {"N":"5"}'),
        ({"N": "x"}, "x is not a finite number"),
        (5, NO_VALUE),
    ],
)
def test_what_is_no_attribute_value_is_refused(broken: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        fields_of([{"x": broken}])
