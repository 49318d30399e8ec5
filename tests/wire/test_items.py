"""Whole items as text and as VARIANT: boundaries found byte for byte, and texts written only where they are items."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_dynamo.errors import InvalidItemError, InvalidResponseError, MalformedItemError
from spark_dynamo.wire.item_limits import check_contents
from spark_dynamo.wire.items import ItemDecoder, RawItemEncoder, item_schema
from spark_dynamo.wire.json_tokens import structure
from spark_dynamo.wire.repeated_names import NAME_TWICE, doubtful_names, find_twice
from spark_dynamo.wire.types import VARIANT, arrow_schema
from spark_dynamo.wire.variant import decode_variant, encode_variant
from spark_dynamo.wire.variant.shape import NO_VALUE, shape_problem
from tests.wire.strategies import any_attributes, canonical, names

ENVELOPES: dict[str, Callable[[list[Any]], Any]] = {
    "Items": lambda items: {"Count": len(items), "Items": items, "LastEvaluatedKey": {"Items": {"L": [{"M": {}}]}}},
    "Responses": lambda items: {"UnprocessedKeys": {}, "Responses": {'or"ders\\': items}, "ConsumedCapacity": [{"a": [{}]}]},
    "Item": lambda items: {"ConsumedCapacity": {"Item": {"Item": {}}}} | ({"Item": items[0]} if items else {}),
}  # fmt: skip


def decoded(body: bytes, item_format: str = "json", envelope: Any = "Items") -> list[Any]:
    decoder = ItemDecoder(item_format, table="orders", envelope=envelope)
    batch = decoder.decode(body)
    batch.validate(full=True)
    assert batch.schema.equals(arrow_schema(item_schema(item_format)))
    assert decoder.misfits == ""
    found: list[Any] = batch.column("item").to_pylist()
    return found


# ---------------------------------------------------------------------------------------------------- from pages

odd_texts = st.text(st.sampled_from('{}[]",:\\é\U0001f600\n/u0 '), max_size=8)
whole_items = st.dictionaries(
    st.one_of(names, odd_texts, st.sampled_from(["Items", "Responses", "Item", '"Items":['])),
    st.one_of(any_attributes, odd_texts.map(lambda text: {"S": text})),
    max_size=4,
)


@given(
    st.lists(whole_items, max_size=4),
    st.sampled_from(list(ENVELOPES)),
    st.sampled_from([None, 0, 3, "\t"]),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n", "\t: ")]),
)
def test_texts_and_variants_are_the_items(
    items: list[Any], envelope: str, indent: Any, escaped: bool, separators: tuple[str, str]
) -> None:
    items = items[:1] if envelope == "Item" else items
    text = json.dumps(ENVELOPES[envelope](items), indent=indent, ensure_ascii=escaped, separators=separators)
    texts = decoded(text.encode(), "json", envelope)
    assert [orjson.loads(found) for found in texts] == items
    assert all(found[0] + found[-1] == "{}" and found in text for found in texts)
    variants = decoded(text.encode(), "variant", envelope)
    assert [decode_variant(row["value"], row["metadata"]) for row in variants] == [
        decode_variant(*encode_variant({"M": item})) for item in items
    ]
    assert [canonical(decode_variant(row["value"], row["metadata"])) for row in variants] == [
        canonical({"M": item}) for item in items
    ]


@given(st.data(), st.lists(whole_items, min_size=1, max_size=3), st.sampled_from(list(ENVELOPES)))
def test_bodies_that_are_damaged(data: st.DataObject, items: list[Any], envelope: str) -> None:
    """One byte lost, changed or put in: the texts are what orjson finds, or the answer is refused."""
    body = json.dumps(ENVELOPES[envelope](items), ensure_ascii=data.draw(st.booleans())).encode()
    place = data.draw(st.integers(0, len(body) - 1))
    change = data.draw(
        st.sampled_from([b"", b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b" ", b"5", b"\xff", b"\x00"])
    )
    damaged = body[:place] + change + body[place + data.draw(st.integers(0, 1)) :]
    try:
        texts = decoded(damaged, "json", envelope)
    except InvalidResponseError as error:
        assert f"in {len(damaged)} bytes" in str(error)  # noqa: PT017 - most, but not all, must be refused
        return
    answer = orjson.loads(damaged)
    found = answer.get(envelope)
    expected = {
        "Items": lambda: found,
        "Responses": lambda: [item for table in found.values() for item in table],
        "Item": lambda: [] if found is None else [found],
    }[envelope]()
    assert [orjson.loads(text) for text in texts] == expected


@pytest.mark.parametrize("envelope", list(ENVELOPES))
def test_a_body_cut_off_anywhere_is_refused(envelope: Any) -> None:
    item = {"id": {"S": 'a"}]{\\'}, "m": {"M": {"Items": {"L": [{"N": "1.50"}]}}}}
    body = json.dumps(ENVELOPES[envelope]([item]), indent=1).encode()
    decoder = ItemDecoder("json", table="orders", envelope=envelope)
    for end in range(len(body)):
        with pytest.raises(InvalidResponseError):
            decoder.decode(body[:end])


@pytest.mark.parametrize("item_format", ["json", "variant"])
@pytest.mark.parametrize(
    ("envelope", "body"),
    [
        ("Items", b"null"), ("Items", b"[]"), ("Items", b"{}"), ("Items", b'{"Items":null}'), ("Items", b'{"Items":5}'),
        ("Items", b'{"Items":{}}'), ("Items", b'{"Items":[5]}'), ("Items", b'{"Items":[null]}'), ("Items", b'{"Items":[{},5]}'),
        ("Items", b'{"Items":[[{}]]}'), ("Items", b'{"Items":["{}"]}'), ("Items", b'{"Items":[]}{"Items":[]}'),
        ("Items", b'{"x":{"Items":[{}]}}'), ("Items", b'{"x":"\\"Items\\":[{}]"}'), ("Items", b'{"Items":[{"a":"\xff"}]}'),
        ("Items", b'{"Items":[{"a":{"S":"\\ud800"}}]}'), ("Responses", b'{"Responses":[{}]}'), ("Responses", b"{}"),
        ("Responses", b'{"Responses":{"t":{}}}'), ("Responses", b'{"Responses":{"t":[5]}}'), ("Item", b'{"Item":[5]}'),
        ("Responses", b'{"Responses":{"t":5}}'), ("Responses", b'{"Responses":{"t":[[]]}}'),
        ("Responses", b'{"Responses":{"t":[{}],"u":{"v":{}}}}'), ("Item", b'{"Item":[{}]}'), ("Item", b"[]"), ("Item", b"x"),
        ("Item", b'{"Item":5}'), ("Item", b'{"Item":"{}"}'), ("Items", b'\xef\xbb\xbf{"Items":[]}'),
    ],
)  # fmt: skip
def test_what_is_no_answer(envelope: Any, body: bytes, item_format: str) -> None:
    with pytest.raises(InvalidResponseError, match=f"'orders' is no valid DynamoDB JSON: .* in {len(body)} bytes"):
        decoded(body, item_format, envelope)


@pytest.mark.parametrize("body", [b'{"Items":[]}', b' \n{ "Items" : [ \n ] }\n', b'{"It\\u0065ms":[]}'])
def test_no_items(body: bytes) -> None:
    assert decoded(body) == []
    assert decoded(body, "variant") == []


def test_no_item() -> None:
    for body in (b"{}", b'{"Item":null}', b'{"ConsumedCapacity":{"Item":{"Item":{}}}}'):
        assert decoded(body, "json", "Item") == []
        assert decoded(body, "variant", "Item") == []


def test_the_texts_keep_every_byte() -> None:
    texts = ['{ "n" : {"N":\t"1.500E+0100"} }', "{}", '{"\\u00e9":{"S":"é\\/\\\\"}}', '{"Items":{"L":[{"S":"]}"}]}}']
    assert decoded(('{"Items": [' + " ,\n".join(texts) + "]}").encode()) == texts


def test_a_column_that_may_be_null_is_of_the_same_items() -> None:
    schema = ItemDecoder("json", table="orders", nullable=True).arrow_schema
    assert schema.equals(pa.schema([pa.field("item", pa.string())]))


def test_no_variant_holds_what_is_no_attribute_value() -> None:
    with pytest.raises(
        MalformedItemError, match="attribute 'item' is {\"id\":5}, of DynamoDB type M, and does not fit"
    ):
        decoded(b'{"Items":[{"id":5}]}', "variant")


def nested(value: Any, depth: int = 1) -> list[tuple[str, int]]:
    """The quotes, braces and brackets of JSON with no spaces, each with the depth after it."""
    if isinstance(value, str):
        return [('"', depth - 1)] * 2
    marks: list[tuple[str, int]] = [("{["[isinstance(value, list)], depth)]
    for element in value.items() if isinstance(value, dict) else value:
        for part in element if isinstance(element, tuple) else [element]:
            marks += nested(part, depth + 1)
    return [*marks, ("}]"[isinstance(value, list)], depth - 1)]


json_values = st.recursive(
    odd_texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_texts, inner, max_size=3)
)


@given(st.lists(st.dictionaries(odd_texts, json_values, max_size=3), min_size=1, max_size=3), st.booleans())
def test_the_structure_of_json(values: list[Any], escaped: bool) -> None:
    data = "".join(json.dumps(value, ensure_ascii=escaped) for value in values).encode()
    marks = structure(np.frombuffer(data, np.uint8))
    expected = [mark for value in values for mark in nested(value)]
    assert list(zip(bytes(marks.codes).decode(), marks.depths.tolist(), strict=True)) == expected
    assert bytes(data[place] for place in marks.places) == bytes(marks.codes)


# ---------------------------------------------------------------------------------------------------- to requests


def encoded(
    values: list[Any], keys: dict[str, str] | None = None, item_format: str = "json"
) -> tuple[list[Any], list[Any]]:
    column = pa.array([None, *values], pa.string() if item_format == "json" else VARIANT)
    batch = pa.record_batch({"item": column}).slice(1)  # a batch need not begin where its buffers do
    encoder = RawItemEncoder(item_format, table="orders", keys={"id": "S"} if keys is None else keys)
    texts, key_batch = encoder.encode_with_keys(batch)
    texts.validate(full=True)
    key_batch.validate(full=True)
    assert key_batch.schema.names == encoder.key_schema.names
    return texts.to_pylist(), key_batch.to_pylist()


@given(
    st.lists(st.tuples(names, whole_items.filter(lambda item: "" not in item)), max_size=4),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_texts_go_out_as_they_came(rows: list[tuple[str, Any]], escaped: bool, indent: int | None) -> None:
    items = [{**item, "id": {"S": key}, "n": {"N": "1.0"}} for key, item in rows]
    texts = [f"\n{json.dumps(item, ensure_ascii=escaped, indent=indent)} " for item in items]
    found, keys = encoded(texts, {"id": "S", "n": "N"})
    assert found == texts
    assert keys == [{"id": key, "n": "1.0"} for key, _ in rows]


@given(st.lists(whole_items.filter(lambda item: "" not in item), max_size=3))
def test_variants_go_out_as_the_same_items(items: list[Any]) -> None:
    items = [{**item, "id": {"B": "AAE="}} for item in items]
    variants = [dict(zip(("value", "metadata"), encode_variant({"M": item}), strict=True)) for item in items]
    found, keys = encoded(variants, {"id": "B"}, "variant")
    assert [canonical({"M": orjson.loads(text)}) for text in found] == [canonical({"M": item}) for item in items]
    assert keys == [{"id": b"\x00\x01"}] * len(items)


json_leaves = st.one_of(st.none(), st.booleans(), st.integers(-9, 99), odd_texts, st.just([]), st.just({}))


@st.composite
def damaged_items(draw: st.DrawFn) -> dict[str, Any]:
    """An item in which one value or key, at any depth, may have been replaced."""
    item = copy.deepcopy({"id": {"S": "a"}, **draw(whole_items)})  # what st.just gives is shared
    place: Any = item
    while True:
        inside = range(len(place)) if isinstance(place, list) else list(place)
        if not inside:
            return item
        step = draw(st.sampled_from(inside))
        if isinstance(place[step], dict | list) and place[step] and draw(st.integers(0, 3)):
            place = place[step]
        elif draw(st.booleans()) and isinstance(place, dict):
            place[draw(st.sampled_from(["S", "SS", "NULL", "X", "M", "L", ""]))] = place.pop(step)
            return item
        else:
            place[step] = draw(
                st.one_of(json_leaves, any_attributes, any_attributes.map(lambda a: next(iter(a.values()))))
            )
            return item


@given(st.lists(damaged_items(), min_size=1, max_size=3), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_a_text_is_refused_where_the_value_route_refuses_it(items: list[Any], separators: tuple[str, str]) -> None:
    def is_good(item: Any) -> bool:
        try:
            encode_variant({"M": item})
            check_contents({"M": item}, containers=-1)
        except ValueError:
            return False
        return "S" in item.get("id", {}) or "NULL" in item.get("id", {})

    texts = [json.dumps(item, separators=separators) for item in items]
    batch = pa.record_batch({"item": texts})
    apart = RawItemEncoder("json", table="orders", keys={"id": "S"}).encode_apart(batch)
    assert [items[row] for row in apart.rows] == [item for item in items if is_good(item)]
    assert [bad.row for bad in apart.bad] == [row for row in range(len(items)) if row not in apart.rows]
    if apart.bad:
        with pytest.raises(InvalidItemError) as caught:
            encoded(texts)
        assert str(caught.value) == str(apart.bad[0].error)
    else:
        assert encoded(texts)[0] == texts


GOOD = '{"id":{"S":"a"},"n":{"N":"5"}}'
NO_JSON = "Row {} can't be written to table 'orders': attribute 'item' is T: it is no item in DynamoDB JSON: "
ATTRIBUTE = "Row {id='a'} can't be written to table 'orders': attribute 'v' is "
# with T for the text
BAD_TEXTS: list[tuple[Any, str]] = [
    (None, "attribute 'item' is None: an item must not be NULL; filter such rows out"),
    ("", "it is no item in DynamoDB JSON: "),
    ("  ", NO_JSON),
    ("null", NO_JSON + "it is no object"),
    ("5", NO_JSON + "it is no object"),
    ("[]", NO_JSON + "it is no object"),
    ('"{}"', NO_JSON + "it is no object"),
    ('{"id":{"S":"a"}', NO_JSON),
    ('{"id":{"S":"a', NO_JSON),
    (GOOD + "x", NO_JSON),
    (GOOD + GOOD, NO_JSON),
    (f"{GOOD}\n{GOOD}", NO_JSON),
    ("\ufeff" + GOOD, NO_JSON),
    (GOOD + '}},{"DeleteRequest":{"Key":' + GOOD + "}}", NO_JSON),
    ('{"id":{"S":"a"},"v":5}', f"{ATTRIBUTE}5: {NO_VALUE}"),
    ('{"id":{"S":"a"},"v":"x"}', f'{ATTRIBUTE}"x": {NO_VALUE}'),
    ('{"id":{"S":"a"},"v":"{"}', f'{ATTRIBUTE}"{{": {NO_VALUE}'),
    ('{"id":{"S":"a"},"v":null}', f"{ATTRIBUTE}null: {NO_VALUE}"),
    ('{"id":{"S":"a"},"v":[{"S":"x"}]}', f'{ATTRIBUTE}[{{"S":"x"}}]: {NO_VALUE}'),
    ('{"id":{"S":"a"},"v":{}}', f"{ATTRIBUTE}{{}}: {NO_VALUE}"),
    ('{"id":{"S":"a"},"v":{"S":"x","N":"5"}}', f'{ATTRIBUTE}{{"S":"x","N":"5"}}: {NO_VALUE}'),
    ('{"id":{"S":"a"},"v":{"BOOL":true,"NULL":true}}', NO_VALUE),
    ('{"id":{"S":"a"},"v":{"M":{},"L":[]}}', NO_VALUE),
    ('{"id":{"S":"a"},"v":{"X":"x"}}', "the type 'X' is unknown; DynamoDB's are S, N, B, BOOL, NULL, M, L, SS, NS and BS"),
    ('{"id":{"S":"a"},"v":{"SSS":["x"]}}', "the type 'SSS' is unknown"),
    ('{"id":{"S":"a"},"v":{"BOOLE":true}}', "the type 'BOOLE' is unknown"),
    ('{"id":{"S":"a"},"v":{"S":5}}', f'{ATTRIBUTE}{{"S":5}}: a string stands in quotes, as in {{"S":"5"}}'),
    ('{"id":{"S":"a"},"v":{"N":5}}', f'{ATTRIBUTE}{{"N":5}}: a number stands in quotes, as in {{"N":"5"}}'),
    ('{"id":{"S":"a"},"v":{"N":null}}', 'a number stands in quotes, as in {"N":"5"}'),
    ('{"id":{"S":"a"},"v":{"N":""}}', "an empty text is not a finite number"),
    ('{"id":{"S":"a"},"v":{"NS":["1",2]}}', 'a number stands in quotes, as in {"N":"2"}'),
    ('{"id":{"S":"a"},"v":{"B":5}}', 'a binary is base64 text, as in {"B":"AAE="}'),
    ('{"id":{"S":"a"},"v":{"B":"A"}}', "it is no base64"),
    ('{"id":{"S":"a"},"v":{"BOOL":"true"}}', 'a BOOL is {"BOOL":true} or {"BOOL":false}'),
    ('{"id":{"S":"a"},"v":{"M":[]}}', 'a map is an object, as in {"M":{"name":{"S":"text"}}}'),
    ('{"id":{"S":"a"},"v":{"SS":{"S":"x"}}}', 'a set is an array, as in {"SS":["text"]}'),
    ('{"id":{"S":"a"},"v":{"L":"ab"}}', 'a list is an array, as in {"L":[{"S":"text"}]}'),
    ('{"id":{"S":"a"},"v":{"L":[null]}}', 'at [0] it is null, which is not a DynamoDB attribute value; null is {"NULL":true}'),
    ('{"id":{"S":"a"},"v":{"M":{"w":{"L":[{"N":1}]}}}}', 'at w[0] it is {"N":1}, and a number stands in quotes, as in {"N":"1"}'),
    ('{"id":{"S":"a"},"v":{"L":[5]}}',
     ATTRIBUTE + '{"L":[5]}: at [0] it is 5, which is not a DynamoDB attribute value; one has one type, as in {"S":"text"}'),
    ('{"id":{"S":"a"},"v":{"L":[{"M":{"w":{"NULL":false}}}]}}', "NULL is always true, not false"),
    ("{}", "Row {} can't be written to table 'orders': attribute 'item' is {}: it lacks the key attribute 'id'"),
    ('{"ID":{"S":"a"}}', "it lacks the key attribute 'id'"),
    ('{"id":5}', f"Row {{id=5}} can't be written to table 'orders': attribute 'id' is 5: {NO_VALUE}"),
    ('{"id":null}', f"attribute 'id' is null: {NO_VALUE}"),
    ('{"id":{"N":"5"}}', """Row {id='5'} can't be written to table 'orders': attribute 'id' is {"N":"5"}: the table has it as"""),
    ('{"id":{"S":5}}', """attribute 'id' is {"S":5}: """),
    ('{"id":{"S":"\\ud800"}}', NO_JSON),
    ('{"id":{"S":"a"},"id":{"S":"b"}}', f"""attribute 'id' is {{"S":"a"}} and {{"S":"b"}}: {NAME_TWICE}"""),
    ('{"id":{"S":"a","S":"b"}}', f"""attribute 'id' is "a" and "b": {NAME_TWICE}"""),
    ('{"id":{"S":"a"},"v":{"S":"x"},"v":{"S":"x"}}', f"""{ATTRIBUTE}{{"S":"x"}} and {{"S":"x"}}: {NAME_TWICE}"""),
    ('{"id":{"S":"a"},"v":{"S":"x"},"\\u0076":{"N":"1"}}', f"""{ATTRIBUTE}{{"S":"x"}} and {{"N":"1"}}: {NAME_TWICE}"""),
    ('{"id":{"S":"a"},"v":{"S":"x","\\u0053":"y"}}', f"""{ATTRIBUTE}"x" and "y": {NAME_TWICE}"""),
    ('{"id":{"S":"a"},"v":{"M":{"w":{"L":[{"M":{"":{"N":"1"},"":{"N":"2"}}}]}}}}', "DynamoDB takes no empty attribute name"),
    ('{"id":{"S":"a"},"v":{"L":[{"M":{}},{"M":{"w":{"N":"1"},"x":{"N":"3"},"w":{"N":"2"}}}]}}',
     f"""attribute 'v[1].w' is {{"N":"1"}} and {{"N":"2"}}: {NAME_TWICE}"""),
    ('{"id":{"S":"a"},"v":5,"v":{"S":"x"}}', f"""{ATTRIBUTE}5 and {{"S":"x"}}: {NAME_TWICE}"""),
    ('{"Item":' + GOOD + "}", "attribute 'item' is T: it is no item itself, but holds one in Item, as the "
     "lines of an export do; take it out before the write, as get_json_object(item, '$.Item') does"),
    ('{"Metadata":{},"Keys":{"id":{"S":"a"}},"NewImage":' + GOOD + "}", "get_json_object(item, '$.NewImage')"),
    ('{"PutRequest":{"Item":' + GOOD + "}}", "get_json_object(item, '$.PutRequest.Item')"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), BAD_TEXTS)
@pytest.mark.parametrize("place", [0, 2, 6])
def test_texts_that_are_no_items(text: Any, sentence: str, place: int) -> None:
    texts = [GOOD] * 6
    texts.insert(place, text)
    with pytest.raises(InvalidItemError) as caught:
        encoded(texts)
    assert sentence.replace(" T:", f" {text}:") in str(caught.value)


words = st.one_of(st.sampled_from(["a", "é", "n" * 8, "n" * 9, "n" * 8 + "m", '"', "S", "M"]), odd_texts)
some_names = st.lists(st.tuples(words, st.booleans()), max_size=4)


def text_of(pairs: list[tuple[tuple[str, bool], str]]) -> str:
    """An object of those names, each with or without escapes of what is beyond ASCII, and values."""
    return "{" + ",".join(f"{json.dumps(name, ensure_ascii=flag)}:{value}" for (name, flag), value in pairs) + "}"


@given(st.lists(st.tuples(some_names, some_names), min_size=1, max_size=4))
def test_names_that_stand_twice_are_found_among_many_items(rows: list[tuple[Any, Any]]) -> None:
    texts = []
    for outer, inner in rows:
        within = text_of([(name, '{"SS":["x"]}') for name in inner])
        texts.append(
            text_of([*((name, '{"N":"1"}') for name in outer), (("within", True), f'{{"L":[{{"M":{within}}}]}}')])
        )
    data = np.frombuffer("".join(texts).encode(), np.uint8)
    bounds = np.cumsum([len(text.encode()) for text in texts])
    found = np.searchsorted(bounds, doubtful_names(data, structure(data)), side="right")
    twice = [any(len({name for name, _ in names}) < len(names) for names in row) for row in rows]
    assert sorted(set(found.tolist())) == [row for row, is_twice in enumerate(twice) if is_twice]
    assert [find_twice(text) is not None for text in texts] == twice


@pytest.mark.parametrize("place", [0, 3])
def test_a_rejected_text_keeps_both_values_of_a_name(place: int) -> None:
    bad = [
        '{"id":{"S":"a"},"v":{"S":"x"},"v":{"N":"1"}}',
        '{"id":{"S":"a"},"v":{"S":"x"},"v":{"N":"1"},"w":5}',
        '{"v":{"S":"x"},"v":{"N":"1"},"id":{"N":"5"}}',
        '{"id":{"S":"a"},"v":{"X":{"x":1,"x":2}}}',
        '{"id":{"S":"a"},"id":{"S":"b"}}',
    ]
    texts = [GOOD] * 3
    texts[place:place] = bad
    apart = RawItemEncoder("json", table="orders", keys={"id": "S"}).encode_apart(pa.record_batch({"item": texts}))
    assert apart.texts.to_pylist() == [GOOD] * 3
    assert [row.unfit for row in apart.bad] == [{"item": text} for text in bad]
    assert [orjson.loads(row.item or "") for row in apart.bad] == [
        {"id": {"S": "a"}},
        {"id": {"S": "a"}},
        {"id": {"N": "5"}},
        {"id": {"S": "a"}},
        {},
    ]


@given(damaged_items())
def test_what_is_no_attribute_value_has_a_sentence_without_words_of_python(item: Any) -> None:
    for attribute in item.values():
        problem = shape_problem(attribute)
        try:
            encode_variant(attribute)
        except ValueError as error:
            assert problem
            assert str(error).endswith(f"is not a DynamoDB attribute value: {problem}")  # noqa: PT017 - most, but not all, are none
        else:
            assert not problem
        assert not any(word in problem for word in ("'int'", "NoneType", "object of type", "has no", "unpack", "dict"))


@pytest.mark.parametrize("depth", [32, 300, 480, 600, 1_100])
@pytest.mark.parametrize("hidden", [False, True])
def test_texts_that_are_nested_too_deep(depth: int, hidden: bool) -> None:
    value = '{"M":{"v":' * depth + '{"N":"1"}' + "}}" * depth
    text = '{"id":{"S":"a"},"v":' + value + (',"v":{"S":"x"}}' if hidden else "}")
    with pytest.raises(InvalidItemError, match="32 levels deep|stands there twice|depth (limit )?exceeded"):
        encoded([GOOD, text])
    apart = RawItemEncoder("json", table="orders", keys={"id": "S"}).encode_apart(
        pa.record_batch({"item": [GOOD, text]})
    )
    assert apart.texts.to_pylist() == [GOOD]
    (bad,) = apart.bad
    assert text in {bad.item, bad.unfit.get("item")}


def test_rows_that_only_together_make_items() -> None:
    for texts in (['{"id":{"S":"a', 'b"}}'], [GOOD + GOOD, ""], [GOOD + "{", "}"], [" ", GOOD + GOOD], ["", ""]):
        with pytest.raises(InvalidItemError, match="it is no item in DynamoDB JSON"):
            encoded(texts)


@pytest.mark.parametrize(
    ("keys", "text", "sentence"),
    [
        ({"n": "N"}, '{"n":{"N":"abc"}}', 'attribute \'n\' is {"N":"abc"}: '),
        ({"n": "N"}, '{"n":{"N":"' + "9" * 39 + '"}}', "DynamoDB keeps 38 significant digits"),
        ({"n": "N"}, '{"n":{"S":"5"}}', '{"S":"5"}: the table has it as a key of type N'),
        ({"b": "B"}, '{"b":{"B":"?"}}', 'attribute \'b\' is {"B":"?"}: '),
        ({"id": "S", "n": "N"}, '{"id":{"S":"a"}}', "it lacks the key attribute 'n'"),
    ],
)
def test_keys_that_the_table_cannot_take(keys: dict[str, str], text: str, sentence: str) -> None:
    with pytest.raises(InvalidItemError) as caught:
        encoded([text], keys)
    assert sentence in str(caught.value)


def test_text_that_is_no_utf8() -> None:
    column = pa.array([b'{"id":{"S":"\xed\xa0\x80"}}']).view(pa.string())
    with pytest.raises(InvalidItemError, match="it is not valid UTF-8"):
        RawItemEncoder("json", table="orders", keys={"id": "S"}).encode_with_keys(pa.record_batch({"item": column}))


def test_odd_ways_to_write_good_items() -> None:
    texts = [
        '{"id":{"\\u0053":"a"}}',
        '{"i\\u0064":{"S":"a"},"v":{"N\\u0053":["1"]}}',
        '\t{ "id" : { "S" : "a" } , "v":{ "M" :{} } }',
    ]
    assert encoded(texts) == (texts, [{"id": "a"}] * 3)
    assert encoded([]) == ([], [])


def test_a_null_key_is_left_to_the_writer() -> None:
    assert encoded(['{"id":{"NULL":true}}'])[1] == [{"id": None}]


def test_items_that_are_too_large() -> None:
    def text(size: int) -> str:
        return '{"id":{"S":"big"},"\\u0076":{"S":"' + "\\u0061" * (size - 6) + '"}}'

    assert len(encoded([text(409_600)])[0]) == 1
    with pytest.raises(
        InvalidItemError, match="Row {id='big'} can't be written .*: the item is 409,601 bytes, and DynamoDB"
    ):
        encoded([GOOD, text(409_601)])
    with pytest.raises(
        InvalidItemError, match="Row {id='a'} can't .*: attribute 'v' is .* is not a DynamoDB attribute"
    ):
        encoded([GOOD, '{"id":{"S":"a"},"v":{"M":{"w":5}}}' + " " * 409_600])


@pytest.mark.parametrize(
    ("attribute", "sentence"),
    [
        ({"S": "x"}, 'attribute \'item\' is {"S":"x"}: the VARIANT is no object, and an item is one'),
        ({"NULL": True}, "the VARIANT is no object"),
        ({"SS": ["x"]}, "the VARIANT is no object"),
        ({"M": {"": {"S": "x"}}}, "DynamoDB takes no empty attribute name"),
        ({"M": {"v": {"S": "x"}}}, "it lacks the key attribute 'id'"),
    ],
)
def test_variants_that_are_no_items(attribute: Any, sentence: str) -> None:
    value, metadata = encode_variant(attribute)
    with pytest.raises(InvalidItemError) as caught:
        encoded([{"value": value, "metadata": metadata}], item_format="variant")
    assert sentence in str(caught.value)
