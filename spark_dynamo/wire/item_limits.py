"""What DynamoDB refuses inside of well-formed attribute values: sets, numbers, base64, names and nesting.

`check_contents` judges one value and says what is wrong; `doubtful_contents` looks at whole pages of items at once and points
out the few that deserve it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_dynamo.errors import shorten
from spark_dynamo.wire.json_tokens import OPENING, QUOTE, Bytes, Places, Structure
from spark_dynamo.wire.kernels import EMPTY_NAME, EMPTY_SET, number_problem
from spark_dynamo.wire.scalars import read_binary

DEEPEST_NESTING = (
    32  # an attribute's own value is the first level, so that 31 lists and maps may stand within each other
)
TOO_DEEP = f"it is nested more than {DEEPEST_NESTING} levels deep, which DynamoDB refuses"
_MOST_CONTAINERS = DEEPEST_NESTING - 1
_SETS = frozenset({"SS", "NS", "BS"})
# an item has the depth 1, its attribute values 2, a list or map in them 3; a list or map one level further down 5
_DEEPEST_MARK = 2 * DEEPEST_NESTING
_BRACKET, _CLOSING_BRACKET = ord("["), ord("]")
_PLAIN_NUMBER = r"^-?[0-9]+(\.[0-9]+)?$"
_MOST_DIGITS = 38
_PLAIN_INTEGER = "^(0|-?[1-9][0-9]{0,37})$"  # equal texts only where the numbers are
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


def check_contents(attribute: Mapping[str, Any], containers: int = 0) -> None:
    """Raise ValueError with the reason where DynamoDB would refuse the attribute value, which must be well-formed DynamoDB JSON.

    `containers` is how many lists and maps already are around it.

    >>> check_contents({"L": [{"NS": ["1", "1.0"]}]})
    Traceback (most recent call last):
    ValueError: the set holds 1.0 twice; use array_distinct
    """
    ((tag, payload),) = attribute.items()
    if tag in ("L", "M"):
        if containers >= _MOST_CONTAINERS:
            raise ValueError(TOO_DEEP)
        if tag == "M" and "" in payload:
            raise ValueError(EMPTY_NAME)
        for child in payload.values() if tag == "M" else payload:
            check_contents(child, containers + 1)
    elif tag in _SETS:
        _check_set(tag[0], payload)
    else:
        _check_scalar(tag, payload)


def _check_scalar(tag: str, payload: Any) -> None:
    if tag == "N":
        problem = number_problem(payload)
        if problem:
            raise ValueError(f"it holds {shorten(payload) or 'an empty text'}: {problem}")
    elif tag == "B":
        read_binary(payload)


def _check_set(kind: str, elements: list[str]) -> None:
    if not elements:
        raise ValueError(EMPTY_SET)
    seen: set[object] = set()
    for element in elements:
        _check_scalar(kind, element)
        value = Decimal(element) if kind == "N" else element
        if value in seen:
            raise ValueError(f"the set holds {shorten(element)} twice; use array_distinct")
        seen.add(value)


def doubtful_contents(data: Bytes, marks: Structure) -> Places:
    """Places in items, given one after the other as JSON text, near which DynamoDB may refuse something.

    Nothing that `check_contents` refuses is overlooked in items that are well-formed, without spaces and escapes in their tags.

    >>> text = np.frombuffer(b'{"a":{"N":"1"},"b":{"N":"one"},"c":{"SS":[]}}', np.uint8)
    >>> from spark_dynamo.wire.json_tokens import structure
    >>> doubtful_contents(text, structure(text)).tolist()
    [25, 41]
    """
    if not len(marks.places):
        return marks.places
    # more marks at either end, so that every mark has neighbours
    places = np.concatenate([[0, 0], marks.places, np.full(2, len(data))])
    codes = np.concatenate([np.zeros(2, np.uint8), marks.codes, np.zeros(2, np.uint8)])
    depths = np.concatenate([np.zeros(2, np.int32), marks.depths, np.zeros(2, np.int32)])
    doubtful = [places[depths > _DEEPEST_MARK]]

    opening = np.flatnonzero(codes == QUOTE)[::2]  # of strings
    begin, length = places[opening] + 1, places[opening + 1] - places[opening] - 1
    odd, before, after = depths[opening] % 2 == 1, codes[opening - 1], codes[opening + 2]
    is_name = odd & (after == OPENING)
    doubtful.append(begin[is_name & (length == 0)])

    padded = np.concatenate([data, np.zeros(1, np.uint8)])
    is_payload = ~odd & (before == QUOTE)
    tag = padded[places[opening - 2] + 1]
    is_number = is_payload & (tag == ord("N"))
    is_binary = is_payload & (tag == ord("B"))

    is_set = (codes == _BRACKET) & (depths % 2 == 1)
    is_set[2:] &= places[1:-1] - places[:-2] == len("SS") + 1
    sets = np.flatnonzero(is_set)
    if len(sets):
        doubtful.append(places[sets[codes[sets + 1] == _CLOSING_BRACKET]])
        is_element = odd & ~is_name
        owner = np.cumsum(is_set)[opening] - 1
        kind = np.where(is_element, padded[places[sets - 2] + 1][owner], 0)
        is_number |= kind == ord("N")
        is_binary |= kind == ord("B")
        doubtful.append(
            _doubtful_elements(data, begin[is_element], length[is_element], owner[is_element], kind[is_element])
        )
    for chosen, pattern, longest in ((is_number, _PLAIN_NUMBER, _MOST_DIGITS), (is_binary, _BASE64, len(data))):
        if chosen.any():
            is_plain = _matches(_strings(data, begin[chosen], length[chosen]), pattern)
            doubtful.append(begin[chosen][~is_plain | (length[chosen] > longest)])
    return np.sort(np.concatenate(doubtful))


def _doubtful_elements(data: Bytes, begin: Places, length: Places, owner: Places, kind: Bytes) -> Places:
    """The elements of sets that may be equal to another one of theirs."""
    texts = _strings(data, begin, length)
    codes = pc.dictionary_encode(texts).indices.to_numpy(zero_copy_only=False).astype(np.int64)
    _, first = np.unique(owner * (len(texts) + 1) + codes, return_index=True)
    doubtful = np.ones(len(texts), np.bool_)
    doubtful[first] = False
    doubtful |= _matches(texts, r"\\")  # an escape is another way to write a character
    doubtful |= (kind == ord("N")) & ~_matches(texts, _PLAIN_INTEGER)
    return begin[doubtful]


def _matches(texts: pa.StringArray, pattern: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    flags: np.ndarray[tuple[int], np.dtype[np.bool_]]
    flags = pc.match_substring_regex(texts, pattern).to_numpy(zero_copy_only=False)
    return flags


def _strings(data: Bytes, begin: Places, length: Places) -> pa.StringArray:
    """The pieces of the text as a column."""
    offsets = np.concatenate([[0], np.cumsum(length)])
    where = np.repeat(begin - offsets[:-1], length) + np.arange(offsets[-1])
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data[where])]
    return pa.StringArray.from_buffers(len(begin), buffers[1], buffers[2])
