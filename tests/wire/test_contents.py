"""What DynamoDB refuses inside of attribute values: found in single values and in whole pages, and AWS's own server agrees."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from spark_dynamo.aws.client import raw_client
from spark_dynamo.wire.item_limits import DEEPEST_NESTING, check_contents, doubtful_contents
from spark_dynamo.wire.json_shape_check import doubtful_places
from spark_dynamo.wire.json_tokens import structure
from spark_dynamo.wire.variant import encode_variant
from spark_dynamo.wire.variant.text import variant_text
from tests.conftest import Server
from tests.wire.strategies import any_attributes, names


def deep(containers: int, leaf: Any, tag: str = "L") -> Any:
    for _ in range(containers):
        leaf = {"L": [leaf]} if tag == "L" else {"M": {"k": leaf}}
    return leaf


# empty ones at the last level: dynoxide takes them, other emulators don't, and what is refused here is told at once
DISPUTED: list[tuple[Any, str]] = [
    (deep(31, {"L": []}), "it is nested more than 32 levels deep"),
    (deep(31, {"M": {}}), "it is nested more than 32 levels deep"),
]
# an attribute value, and the reason where DynamoDB refuses it
VALUES: list[tuple[Any, str]] = [
    ({"SS": []}, "DynamoDB has no empty sets"),
    ({"NS": []}, "DynamoDB has no empty sets"),
    ({"BS": []}, "DynamoDB has no empty sets"),
    ({"SS": ["a", "b", "a"]}, "the set holds a twice; use array_distinct"),
    ({"SS": ["", ""]}, "the set holds  twice"),
    ({"SS": ["", "a", "b"]}, ""),
    ({"NS": ["1", "1.0"]}, "the set holds 1.0 twice"),
    ({"NS": ["1e2", "100"]}, "the set holds 100 twice"),
    ({"NS": ["0", "-0"]}, "the set holds -0 twice"),
    ({"NS": ["1", "2", "-1", "0.5"]}, ""),
    ({"NS": ["1", "x"]}, "it holds x: it is no number"),
    ({"NS": ["9" * 39]}, "DynamoDB keeps 38 significant digits"),
    ({"BS": ["AAE=", "AAE="]}, "the set holds AAE= twice"),
    ({"BS": ["AAE=", ""]}, ""),
    ({"N": "1"}, ""),
    ({"N": "-1.50"}, ""),
    ({"N": "1E+125"}, ""),
    ({"N": "0" * 45 + "1"}, ""),
    ({"N": "1." + "0" * 45}, ""),
    ({"N": "9" * 38}, ""),
    ({"N": "9" * 39}, "DynamoDB keeps 38 significant digits"),
    ({"N": "1E+126"}, "DynamoDB's numbers reach"),
    ({"N": "-1E-131"}, "DynamoDB's numbers reach"),
    ({"N": "NaN"}, "DynamoDB has no NaN"),
    ({"N": "Infinity"}, "DynamoDB has no NaN"),
    ({"N": ""}, "it is no number"),
    ({"N": " 1"}, "it is no number"),
    ({"N": "1_0"}, "it is no number"),
    ({"N": "1\n"}, "it is no number"),
    ({"M": {"": {"S": "x"}}}, "DynamoDB takes no empty attribute name"),
    ({"M": {"a": {"M": {"b": {"L": [{"M": {"": {"NULL": True}}}]}}}}}, "DynamoDB takes no empty attribute name"),
    ({"M": {'"': {"S": ""}, "\\": {"S": '""'}}}, ""),
    ({"S": ""}, ""),
    ({"S": '"":{"S'}, ""),
    ({"L": []}, ""),
    ({"L": [{"L": []}, {"SS": []}]}, "DynamoDB has no empty sets"),
    ({"M": {"a": {"NS": ["1", "1"]}}}, "the set holds 1 twice"),
    *((deep(31, leaf, tag), "") for leaf in ({"N": "1"}, {"SS": ["a"]}, {"S": "x"}) for tag in "LM"),
    *((deep(32, {"N": "1"}, tag), "it is nested more than 32 levels deep") for tag in "LM"),
    *DISPUTED,
]  # fmt: skip


def found_in_page(items: list[Any]) -> list[int]:
    """The items near which something doubtful stands."""
    texts = [json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in items]
    data = np.frombuffer("".join(texts).encode(), np.uint8)
    marks = structure(data)
    assert not len(doubtful_places(data, marks))
    starts = np.cumsum([0, *(len(text.encode()) for text in texts)])
    rows = np.searchsorted(starts, doubtful_contents(data, marks), side="right") - 1
    return sorted(set(rows.tolist()))


@pytest.mark.parametrize(("attribute", "problem"), VALUES)
def test_what_is_refused(attribute: Any, problem: str) -> None:
    good = {"id": {"S": "a"}, "n": {"NS": ["1", "2"]}, "s": {"SS": ["x", "y"]}, "l": {"L": [{"S": "x"}]}}
    bad = {"id": {"S": "b"}, "v": attribute, "z": {"N": "1"}}
    if not problem:
        check_contents(attribute)
        check_contents({"M": bad}, containers=-1)
        return
    with pytest.raises(ValueError, match=problem.replace("'", ".")):
        check_contents(attribute)
    assert found_in_page([good, bad, good, good, bad]) == [1, 4]


@pytest.mark.parametrize(("attribute", "problem"), VALUES[: -len(DISPUTED)])
def test_the_server_says_the_same(dynoxide_server: Server, attribute: Any, problem: str) -> None:
    body = json.dumps({"TableName": table_of(dynoxide_server), "Item": {"id": {"S": "a"}, "v": attribute}}).encode()

    def put() -> None:
        raw_client(dynoxide_server.connection)._make_api_call(
            "PutItem", {"TableName": table_of(dynoxide_server), "RawBody": body}
        )

    if problem:
        with pytest.raises(ClientError, match="ValidationException"):
            put()
    else:
        put()


_tables: dict[str, str] = {}


def table_of(server: Server) -> str:
    """One table for all of these tests: they only ask whether an item is taken."""
    if server.endpoint not in _tables:
        _tables[server.endpoint] = server.create()
    return _tables[server.endpoint]


@pytest.mark.parametrize("text", ["A", "AA", "AAE", "AAE=A", "A===", "AA=A", "A!E=", "\\u0041AE=", "AAE=\\n", "ÄAE="])
@pytest.mark.parametrize("attribute", ['{"B":"%s"}', '{"BS":["AAEC","%s"]}'])
def test_what_may_be_no_base64_is_looked_at(text: str, attribute: str) -> None:
    for bad, expected in ((text, 1), ("AAECAwQF", 0), ("AA==", 0), ("+/8=", 0)):
        data = np.frombuffer(f'{{"id":{{"S":"a"}},"v":{attribute % bad}}}'.encode(), np.uint8)
        assert len(doubtful_contents(data, structure(data))) >= expected
        assert expected or not len(doubtful_contents(data, structure(data)))


def test_ordinary_pages_have_nothing_doubtful() -> None:
    item = {
        "id": {"S": 'a "{}[]\\ é'},
        "n": {"N": "-12.50"},
        "b": {"B": "AAEC"},
        "m": {"M": {"x": {"L": [{"N": "1"}, {"M": {}}, {"L": []}, {"S": ""}, {"B": ""}]}}},
        "s": {"SS": ["", "b"]},
        "ns": {"NS": ["1", "-2", "0"]},
        "t": {"BOOL": True},
        "z": {"NULL": True},
    }
    assert found_in_page([item] * 5) == []
    assert found_in_page([]) == []
    assert found_in_page([{}]) == []


@st.composite
def spoilt_items(draw: st.DrawFn) -> dict[str, Any]:
    """Items of which some hold, at any depth, what DynamoDB refuses."""
    item = copy.deepcopy(draw(st.dictionaries(st.one_of(names, st.just("")), any_attributes, max_size=3)))
    places: list[dict[str, Any]] = list(item.values())
    for place in places:
        ((tag, content),) = place.items()
        places += content.values() if tag == "M" else content if tag == "L" else []
    if places and draw(st.booleans()):
        place = draw(st.sampled_from(places))
        place.clear()
        place.update(copy.deepcopy(draw(st.sampled_from([value for value, _ in VALUES]))))
    return item


@given(st.lists(spoilt_items(), max_size=4))
def test_nothing_is_overlooked(items: list[Any]) -> None:
    def is_good(item: Any) -> bool:
        try:
            check_contents({"M": item}, containers=-1)
        except ValueError:
            return False
        return True

    doubtful = found_in_page(items)
    assert all(row in doubtful for row, item in enumerate(items) if not is_good(item))


# ---------------------------------------------------------------------------------------------------- variants


def text_of(attribute: Any, containers: int = 0) -> str:
    return variant_text(dict(zip(("value", "metadata"), encode_variant(attribute), strict=True)), containers)


@pytest.mark.parametrize(
    ("attribute", "problem"), [case for case in VALUES if "no number" not in case[1] and "NaN" not in case[1]]
)
def test_variants_are_checked(attribute: Any, problem: str) -> None:
    if problem:
        with pytest.raises(ValueError, match=r"can't hold|twice|" + problem.replace("'", ".")):
            text_of(attribute)
    else:
        assert json.loads(text_of(attribute)).keys() == attribute.keys()


def test_what_is_around_a_variant_counts() -> None:
    for containers in (0, 5, 31):
        left = DEEPEST_NESTING - 1 - containers
        for tag in "LM":
            text_of(deep(left, {"SS": ["a"]}, tag), containers)
            with pytest.raises(ValueError, match="nested more than 32 levels deep"):
                text_of(deep(left + 1, {"N": "1"}, tag), containers)
    # texts and names that look like lists and maps count for nothing
    text_of({"M": {'{"L":[' * 40: {"S": '{"M":{' * 40}}})
