"""What is cut out of a page's body without parsing it, and the bodies of requests that are put together from text."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_dynamo.aws import batch_write
from spark_dynamo.aws.batch_write import ITEMS_PER_REQUEST, request_bodies
from spark_dynamo.aws.pages import consumed_units, next_key, returned_items, scanned_items, unprocessed_keys

NAME = "LastEvaluatedKey"
FIELDS = ["ConsumedCapacity", "CapacityUnits", "ScannedCount", "Count", "UnprocessedKeys", "Responses"]
TRAPS = [
    NAME, f'"{NAME}"', f'"{NAME}":', f'"{NAME}":{{"id":{{"S":"trap"}}}}}}', f'x"{NAME}', f"\\{NAME}", f'\\"{NAME}":',
    f'{{"{NAME}":{{"id":{{"S":"trap"}}}}}}', f'"{NAME}":{{}}', "}", "{", "]}", '"', "a", "id",
]  # fmt: skip
FIELD_TRAPS = [
    *FIELDS, *(f'"{name}":' for name in FIELDS), *(f'x"{name}' for name in FIELDS), "\\", *(f'"{name}":7,"x' for name in FIELDS),
    '"ConsumedCapacity":{"CapacityUnits":666.5}', '{"ConsumedCapacity":[{"CapacityUnits":666.5}]}', '"UnprocessedKeys":{}',
    '"ScannedCount":7', '"Count":7,', ',"ScannedCount":7,"Count":7',
]  # fmt: skip
words = st.one_of(
    st.sampled_from(TRAPS + FIELD_TRAPS), st.text(max_size=4).filter(lambda text: text.isprintable() and text)
)
values = st.recursive(
    st.one_of(
        words.map(lambda text: {"S": text}),
        st.lists(words, min_size=1, max_size=2, unique=True).map(lambda texts: {"SS": texts}),
        st.sampled_from([{"N": "1"}, {"NS": ["7", "8"]}, {"BOOL": True}, {"NULL": True}]),
    ),
    lambda children: st.one_of(
        st.lists(children, max_size=2).map(lambda elements: {"L": elements}),
        st.dictionaries(words, children, max_size=2).map(lambda attributes: {"M": attributes}),
    ),
    max_leaves=4,
)
items = st.lists(st.dictionaries(words, values, max_size=3), max_size=3)
last_keys = st.dictionaries(words, words.map(lambda text: {"S": text}), min_size=1, max_size=2)


@given(items, st.one_of(st.none(), last_keys), st.randoms(use_true_random=False), st.booleans())
def test_the_next_key_is_what_json_says(content: Any, last_key: Any, random: Any, spaced: bool) -> None:
    """In any order of the page's fields, written with spaces or without."""
    fields = [
        ("Items", content),
        ("Count", len(content)),
        ("ConsumedCapacity", {"TableName": NAME, "CapacityUnits": 0.5}),
    ]
    if last_key is not None:
        fields.append((NAME, last_key))
    random.shuffle(fields)
    body = json.dumps(dict(fields)).encode() if spaced else orjson.dumps(dict(fields))
    assert next_key(body) == last_key


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("is_last", [True, False])
def test_an_attribute_with_that_name_or_text(trap: str, is_last: bool) -> None:
    attribute = {trap: {"M": {trap: {"S": trap}}}}
    page: dict[str, Any] = {"Items": [attribute, attribute]}
    assert next_key(orjson.dumps(page)) is None
    key = {trap: {"S": trap}}
    complete = {**page, NAME: key} if is_last else {NAME: key, **page}
    assert next_key(orjson.dumps(complete)) == key


def test_a_page_without_items() -> None:
    assert next_key(b'{"Count":0,"Items":[],"LastEvaluatedKey":{"id":{"S":"a"}},"ScannedCount":9}') == {
        "id": {"S": "a"}
    }
    assert next_key(b'{"Count":0,"Items":[]}') is None
    assert next_key(b'{"Items":[],"LastEvaluatedKey":null}') is None


units = st.sampled_from([0.5, 1.0, 128.5, 1e-7, 40_000.0, 3])


def serialized(fields: list[tuple[str, Any]], random: Any, spaced: bool) -> bytes:
    random.shuffle(fields)
    return json.dumps(dict(fields)).encode() if spaced else orjson.dumps(dict(fields))


@given(items, st.one_of(st.none(), units), st.integers(0, 2**40), st.randoms(use_true_random=False), st.booleans())
def test_the_figures_of_a_page_are_what_json_says(
    content: Any, consumed: Any, scanned: int, random: Any, spaced: bool
) -> None:
    fields = [("Items", content), ("Count", len(content)), ("ScannedCount", scanned)]
    if consumed is not None:
        fields.append(("ConsumedCapacity", {"TableName": "CapacityUnits", "CapacityUnits": consumed}))
    body = serialized(fields, random, spaced)
    assert consumed_units(body) == consumed
    assert (scanned_items(body), returned_items(body)) == (scanned, len(content))


@given(
    items,
    st.sampled_from(["t", *FIELDS]),
    st.lists(last_keys, max_size=3),
    st.one_of(st.none(), units),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_what_a_batch_leaves_and_costs_is_what_json_says(
    content: Any, table: str, left: list[Any], consumed: Any, random: Any, spaced: bool
) -> None:
    """Tables may bear such names, too."""
    aliases = {f"#n{index}": name for index, name in enumerate(FIELDS)}
    keys: dict[str, Any] = {"Keys": left, "ExpressionAttributeNames": aliases, "ConsistentRead": True}
    fields: list[tuple[str, Any]] = [
        ("Responses", {table: content}),
        ("UnprocessedKeys", {table: keys} if left else {}),
    ]
    if consumed is not None:
        fields.append(("ConsumedCapacity", [{"TableName": table, "CapacityUnits": consumed}]))
    body = serialized(fields, random, spaced)
    assert unprocessed_keys(body) == left
    assert consumed_units(body) == consumed


def test_an_answer_without_the_fields() -> None:
    assert unprocessed_keys(b'{"Responses":{"t":[]}}') == []
    assert unprocessed_keys(b'{"Responses":{"t":[]},"UnprocessedKeys":null}') == []
    assert consumed_units(b'{"Item":{"ConsumedCapacity":{"N":"3"}}}') is None
    assert consumed_units(b'{"ConsumedCapacity":null}') is None
    assert (scanned_items(b"{}"), returned_items(b"{}")) == (0, 0)


# ---------------------------------------------------------------------------------------------------- requests


def texts_of(count: int, value: str = "x") -> list[str]:
    return [orjson.dumps({"id": {"S": f"{value}{number}"}}).decode() for number in range(count)]


def check(table: str, texts: pa.StringArray) -> list[int]:
    """The number of items in each request; that all are there in order is asserted."""
    counts, written = [], []
    for body, count in request_bodies(table, texts):
        request = orjson.loads(body)
        assert set(request) == {"RequestItems", "ReturnConsumedCapacity"}
        assert request["ReturnConsumedCapacity"] == "TOTAL"
        ((name, entries),) = request["RequestItems"].items()
        assert name == table
        assert len(entries) == count
        counts.append(count)
        for entry in entries:
            assert list(entry) == ["PutRequest"]
            assert list(entry["PutRequest"]) == ["Item"]
            written.append(entry["PutRequest"]["Item"])
    assert written == [orjson.loads(text) for text in texts.to_pylist()]
    return counts


@pytest.mark.parametrize("count", [0, 1, 2, 24, 25, 26, 49, 50, 51, 260])
def test_requests_of_25_items(count: int) -> None:
    assert ITEMS_PER_REQUEST == 25
    counts = check("orders", pa.array(texts_of(count), pa.string()))
    assert counts == [25] * (count // 25) + [count % 25] * (count % 25 > 0)


@pytest.mark.parametrize("table", ["t", "orders-2.x_y", "arn:aws:dynamodb:eu-central-1:1:table/orders", 'a"b\\é'])
def test_table_names(table: str) -> None:
    check(table, pa.array(texts_of(3)))


@given(items, st.integers(0, 3), st.integers(0, 3))
def test_any_items_in_any_slice(content: list[Any], start: int, length: int) -> None:
    texts = pa.array([orjson.dumps(item).decode() for item in content], pa.string())
    check("t", texts.slice(start, length))


@given(st.lists(st.integers(0, 60), max_size=80))
def test_no_body_is_larger_than_allowed(sizes: list[int]) -> None:
    """A request ends before the item that would make it too large; an item larger than that goes alone."""
    largest = 300
    texts = pa.array([orjson.dumps({"id": {"S": "x" * size}}).decode() for size in sizes], pa.string())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_write, "_LARGEST_BODY", largest)
        counts = check("t", texts)
    lengths = [len(text) + len('{"PutRequest":{"Item":}}') for text in texts.to_pylist()]
    start = 0
    for index, count in enumerate(counts):
        assert count == 1 or sum(lengths[start : start + count]) <= largest
        if index + 1 < len(counts):
            assert count == 25 or sum(lengths[start : start + count + 1]) > largest
        start += count


def test_large_items_share_no_request() -> None:
    """Control characters take six bytes in JSON: 25 of the largest items would be 60 MB."""
    text = orjson.dumps({"s": {"S": "\x01" * 400_000}}).decode()
    bodies = list(request_bodies("t", pa.array([text] * 12)))
    assert [count for _, count in bodies] == [5, 5, 2]
    assert all(len(body) < 16_000_000 for body, _ in bodies)
