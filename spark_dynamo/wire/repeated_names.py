"""Names that stand twice in one object of JSON, of which every reader silently keeps one: found before one is lost.

`doubtful_names` looks at whole pages of items at once and points out the few that deserve a look; `find_twice` says what is twice
in one of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import orjson

from spark_dynamo.wire.item_limits import TOO_DEEP
from spark_dynamo.wire.json_tokens import BACKSLASH, OPENING, QUOTE, Bytes, Places, Structure
from spark_dynamo.wire.variant.shape import show_json

_Hashes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint64]]

NAME_TWICE = (
    "it stands there twice, and DynamoDB would keep one of the two and lose the other; leave one out or rename it"
)
_WORD = 8  # bytes
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(_WORD + 1)], np.uint64)
_FACTOR, _OWNER_FACTOR = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)  # odd, and without a pattern


def doubtful_names(data: Bytes, marks: Structure) -> Places:
    """The first places of objects in items, given one after the other as JSON text, in which a name may stand twice.

    No such object is overlooked.

    >>> from spark_dynamo.wire.json_tokens import structure
    >>> text = np.frombuffer(b'{"a":{"S":"x"},"b":{"M":{"c":{"S":"x"},"c":{"N":"1"}}}}', np.uint8)
    >>> doubtful_names(text, structure(text)).tolist()
    [24]
    """
    doubtful = [np.empty(0, np.int64)]
    for depth in range(1, int(marks.depths.max(initial=0)) + 1, 2):  # at the even ones stand tags and payloads
        level = np.flatnonzero(marks.depths == depth)
        is_opening = (marks.codes[level] | 0x20) == OPENING
        opened, quotes = level[is_opening], level[marks.codes[level] == QUOTE]
        owners = np.cumsum(is_opening)[marks.codes[level] == QUOTE][::2] - 1
        are_names = marks.codes[opened][owners] == OPENING  # or else elements of a set
        begin, end, owners = quotes[::2][are_names], quotes[1::2][are_names], owners[are_names]
        hashes = _hashes(data, marks.places[begin] + 1, marks.places[end])
        hashes ^= owners.astype(np.uint64) * _OWNER_FACTOR
        ordered = np.sort(hashes)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if len(twice):
            doubtful.append(marks.places[opened[np.unique(owners[np.isin(hashes, twice)])]])
    return np.concatenate(doubtful)


@dataclass(frozen=True, slots=True)
class Twice:
    """What stands twice in an item: the attribute in which it does, the path to it, and its values as JSON."""

    attribute: str
    path: str
    values: str


def find_twice(item: str | bytes) -> Twice | None:
    """The first name that stands twice in an object, or type in an attribute value; None where there is none.

    `item` is JSON. Raises ValueError where it is nested deeper than can be looked at.

    >>> find_twice('{"a":{"L":[{"M":{"c":{"S":"x"},"c":{"N":"1"}}}]}}')
    Twice(attribute='a', path='a[0].c', values='{"S":"x"} and {"N":"1"}')
    """
    try:
        attributes = json.loads(item, object_pairs_hook=_object)
        if isinstance(attributes, _Doubled):
            return Twice(attributes.name, attributes.name, attributes.values_of_name)
        for name, attribute in attributes.items() if isinstance(attributes, dict) else ():
            for path, values in _doubled(attribute, name, True):
                return Twice(name, path, values)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    return None


class _Doubled(dict[str, Any]):
    """A JSON object in which a name stands twice, and that name's values."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs)
        self.name = next(name for name, count in counts.items() if count > 1)
        self.values_of_name = " and ".join(show_json(value) for name, value in pairs if name == self.name)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Doubled(pairs)


def _doubled(value: Any, path: str, is_attribute: bool) -> Iterator[tuple[str, str]]:
    """The paths of what stands twice in an attribute value, or else in the names behind its type; and the values."""
    if isinstance(value, _Doubled):
        yield path if is_attribute else f"{path}.{value.name}", value.values_of_name
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _doubled(inner, path if is_attribute else f"{path}.{name}", not is_attribute)
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _doubled(element, f"{path}[{index}]", True)


def _hashes(data: Bytes, begin: Places, end: Places) -> _Hashes:
    """Numbers that are equal where the strings between those places are."""
    hashes = _hashes_of_bytes(data, begin, end)
    slashes = np.flatnonzero(data == BACKSLASH)
    if len(slashes):  # an escape is another way to write a character
        escaped = np.flatnonzero(np.searchsorted(slashes, begin) != np.searchsorted(slashes, end))
        distinct, first, where = np.unique(hashes[escaped], return_index=True, return_inverse=True)
        texts = [data[begin[place] - 1 : end[place] + 1].tobytes() for place in escaped[first].tolist()]
        plain = [orjson.loads(text).encode() for text in texts]
        bounds = np.cumsum([0, *map(len, plain)])
        if len(distinct):
            meant = _hashes_of_bytes(np.frombuffer(b"".join(plain), np.uint8), bounds[:-1], bounds[1:])
            hashes[escaped] = meant[where]
    return hashes


def _hashes_of_bytes(data: Bytes, begin: Places, end: Places) -> _Hashes:
    padded = np.concatenate([data, np.zeros(_WORD, np.uint8)])
    words: _Hashes = np.ndarray((len(data) + 1,), "<u8", padded, strides=(1,))  # one begins at every byte
    hashes = np.zeros(len(begin), np.uint64)
    rest, size = np.arange(len(begin)), end - begin
    while len(rest):
        word = words[begin[rest]] & _MASKS[np.minimum(size[rest], _WORD)]
        mixed = (hashes[rest] ^ word) * _FACTOR
        hashes[rest] = mixed ^ (mixed >> np.uint64(29))
        begin, size = begin + _WORD, size - _WORD
        rest = rest[size[rest] > 0]
    return hashes
