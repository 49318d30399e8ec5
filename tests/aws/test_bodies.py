"""What is cut out of a page's body without parsing it, and the bodies of requests that are put together from text."""

from __future__ import annotations

import doctest
import json
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spark_dynamo.aws.batch_write
import spark_dynamo.aws.scan
from spark_dynamo.aws import batch_write
from spark_dynamo.aws.batch_write import ITEMS_PER_REQUEST, request_bodies
from spark_dynamo.aws.scan import next_key

NAME = "LastEvaluatedKey"
TRAPS = [
    NAME, f'"{NAME}"', f'"{NAME}":', f'"{NAME}":{{"id":{{"S":"trap"}}}}}}', f'x"{NAME}', f"\\{NAME}", f'\\"{NAME}":',
    f'{{"{NAME}":{{"id":{{"S":"trap"}}}}}}', f'"{NAME}":{{}}', "}", "{", "]}", '"', "a", "id",
]  # fmt: skip
words = st.one_of(st.sampled_from(TRAPS), st.text(max_size=4).filter(lambda text: text.isprintable() and text))
values = st.recursive(
    st.one_of(words.map(lambda text: {"S": text}), st.just({"N": "1"})),
    lambda children: st.one_of(
        st.lists(children, max_size=2).map(lambda elements: {"L": elements}),
        st.dictionaries(words, children, max_size=2).map(lambda attributes: {"M": attributes}),
    ),
    max_leaves=4,
)
items = st.lists(st.dictionaries(words, values, max_size=3), max_size=3)
last_keys = st.dictionaries(words, words.map(lambda text: {"S": text}), min_size=1, max_size=2)


@pytest.mark.parametrize("module", [spark_dynamo.aws.scan, spark_dynamo.aws.batch_write])
def test_the_examples_in_the_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


@settings(deadline=None, max_examples=150)
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


@settings(deadline=None, max_examples=60)
@given(items, st.integers(0, 3), st.integers(0, 3))
def test_any_items_in_any_slice(content: list[Any], start: int, length: int) -> None:
    texts = pa.array([orjson.dumps(item).decode() for item in content], pa.string())
    check("t", texts.slice(start, length))


@settings(deadline=None, max_examples=60)
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
