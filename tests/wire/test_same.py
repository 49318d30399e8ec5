"""A stored item is what was wanted exactly where DynamoDB would see no difference."""

from __future__ import annotations

import base64
import random
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_dynamo.wire.equality import canonical_texts, is_done, is_same, is_same_item

Value = dict[str, Any]

digits = st.integers(-(10**38) + 1, 10**38 - 1)
numbers = st.builds(lambda number, exponent: f"{Decimal(number).scaleb(exponent)}", digits, st.integers(-80, 80))
binaries = st.binary(max_size=4).map(lambda data: base64.b64encode(data).decode())


def sets(texts: st.SearchStrategy[str], key: Any = None) -> st.SearchStrategy[list[str]]:
    return st.lists(texts, min_size=1, max_size=3, unique_by=key or (lambda text: text))


leaves = st.one_of(
    numbers.map(lambda text: {"N": text}),
    st.text(max_size=3).map(lambda text: {"S": text}),
    binaries.map(lambda text: {"B": text}),
    st.booleans().map(lambda flag: {"BOOL": flag}),
    st.just({"NULL": True}),
    sets(numbers, Decimal).map(lambda texts: {"NS": texts}),
    sets(st.text(max_size=2)).map(lambda texts: {"SS": texts}),
    sets(binaries).map(lambda texts: {"BS": texts}),
)
values: st.SearchStrategy[Value] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda elements: {"L": elements}),
        st.dictionaries(st.text(max_size=2), inner, max_size=3).map(lambda attributes: {"M": attributes}),
    ),
    max_leaves=6,
)


def written_otherwise(value: Value, chance: random.Random) -> Value:
    """The same value as another server or writer would put it."""

    def number(text: str) -> str:
        exact = Decimal(text)
        forms = [text, f"{exact:E}", f"{exact.normalize():f}", f"{exact:f}" + ("" if "." in f"{exact:f}" else ".00")]
        return chance.choice([form for form in forms if Decimal(form) == exact])

    ((tag, content),) = value.items()
    match tag:
        case "N":
            return {tag: number(content)}
        case "NS":
            return {tag: chance.sample([number(text) for text in content], len(content))}
        case "SS" | "BS":
            return {tag: chance.sample(content, len(content))}
        case "L":
            return {tag: [written_otherwise(element, chance) for element in content]}
        case "M":
            return {tag: {name: written_otherwise(content[name], chance) for name in reversed(content)}}
    return {tag: content}


def canonical(value: Value) -> Any:
    """What DynamoDB sees, in Python's terms; the reference."""
    ((tag, content),) = value.items()
    match tag:
        case "N":
            return tag, Decimal(content)
        case "NS":
            return tag, frozenset(map(Decimal, content))
        case "SS" | "BS":
            return tag, frozenset(content)
        case "L":
            return tag, tuple(map(canonical, content))
        case "M":
            return tag, frozenset((name, canonical(element)) for name, element in content.items())
    return tag, content


@given(values, st.integers())
def test_a_value_is_the_same_however_it_is_written(value: Value, seed: int) -> None:
    other = written_otherwise(value, random.Random(seed))
    assert is_same(value, other)
    assert is_same(other, value)


@given(values, values)
def test_two_values_are_the_same_exactly_where_the_reference_says_so(left: Value, right: Value) -> None:
    assert is_same(left, right) == (canonical(left) == canonical(right))


@given(values, st.integers(), values)
def test_the_texts_of_two_items_are_equal_exactly_where_the_items_are(value: Value, seed: int, another: Value) -> None:
    same = written_otherwise(value, random.Random(seed))
    items = [{"id": {"S": 'é"N'}, "v": value}, {"v": same, "id": {"S": 'é"N'}}, {"id": {"S": 'é"N'}, "v": another}]
    texts = canonical_texts(items).to_pylist()
    assert texts[0] == texts[1]
    assert (texts[0] == texts[2]) == is_same(value, another)
    assert is_same_item(orjson.loads(texts[0]), items[0])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"N": "1"}, {"S": "1"}),
        ({"N": "1"}, {"BOOL": True}),
        ({"N": "1"}, {"N": "1.0000000000000000000000000000000000001"}),  # 38 digits
        ({"N": "12345678901234567890123456789012345678"}, {"N": "12345678901234567890123456789012345679"}),
        ({"NS": ["1", "2"]}, {"NS": ["1"]}),
        ({"L": [{"N": "1"}, {"N": "2"}]}, {"L": [{"N": "2"}, {"N": "1"}]}),
        ({"M": {"a": {"NULL": True}}}, {"M": {}}),
        ({"SS": ["a"]}, {"BS": ["a"]}),
        ({"SS": ["a"]}, {"L": [{"S": "a"}]}),
        ({"B": "AAE="}, {"B": "AAI="}),
        ({"S": ""}, {"NULL": True}),
        ({"N": "odd"}, {"N": "1"}),
        ({"S": '"N":"1.0"'}, {"S": '"N":"1"'}),
        ({"S": '"SS":["b","a"]'}, {"S": '"SS":["a","b"]'}),
    ],
)
def test_values_that_differ(left: Value, right: Value) -> None:
    assert not is_same(left, right)
    assert not is_same_item({"m": {"M": {"a": left}}}, {"m": {"M": {"a": right}}})
    assert len(canonical_texts([{"a": left}, {"a": right}]).unique()) == 2
    assert is_same(left, left)


KEY = {"id": {"S": "a"}}


@pytest.mark.parametrize(
    ("operation", "action", "stored", "expected"),
    [
        ("put", {"Item": {**KEY, "v": {"N": "1"}}}, {"v": {"N": "1.0"}, **KEY}, True),
        ("put", {"Item": KEY}, {**KEY, "v": {"N": "1"}}, False),
        ("put", {"Item": KEY}, None, False),
        ("insert", {"Item": KEY}, KEY, True),
        ("insert", {"Item": KEY}, {**KEY, "more": {"NULL": True}}, False),
        ("delete", {"Key": KEY}, None, True),
        ("delete", {"Key": KEY}, KEY, False),
    ],
)
def test_whether_an_action_is_done(operation: str, action: Value, stored: Value | None, expected: bool) -> None:
    assert is_done(operation, action, stored) is expected


NAMES = {"#u0": "a", "#u1": "b", "#u2": "gone"}
VALUES = {":u0": {"N": "1.0"}, ":u1": {"NS": ["2", "1"]}}
DONE = {**KEY, "a": {"N": "1"}, "b": {"NS": ["1", "2"]}, "other": {"S": "x"}}


@pytest.mark.parametrize(
    ("expression", "stored", "expected"),
    [
        ("SET #u0=:u0,#u1=:u1 REMOVE #u2", DONE, True),
        ("SET #u0 = :u0, #u1 = :u1 REMOVE #u2", DONE, True),
        ("SET #u0=:u0", DONE, True),
        ("REMOVE #u2", DONE, True),
        ("REMOVE #u2, #u1", DONE, False),
        ("SET a=:u0", DONE, True),
        ("SET #u0=:u1", DONE, False),
        ("SET #u2=:u0", DONE, False),
        ("SET #u0=:u0 REMOVE #u2", {**DONE, "gone": {"NULL": True}}, False),
        ("SET #u0=:u0", None, False),
        ("SET #u0=#u0 + :u0", DONE, False),
        ("SET #u0.x=:u0", DONE, False),
        ("SET #u0=if_not_exists(#u0, :u0)", DONE, False),
        ("ADD #u0 :u0", DONE, False),
        ("SET #u0=:u0 ADD #u1 :u1", DONE, False),
    ],
)
def test_whether_an_update_is_done(expression: str, stored: Value | None, expected: bool) -> None:
    action = {
        "Key": KEY,
        "UpdateExpression": expression,
        "ExpressionAttributeNames": NAMES,
        "ExpressionAttributeValues": VALUES,
    }
    assert is_done("update", action, stored) is expected


def test_an_update_without_an_expression_is_done_where_there_is_an_item() -> None:
    assert is_done("update", {"Key": KEY}, KEY)
    assert not is_done("update", {"Key": KEY}, None)
