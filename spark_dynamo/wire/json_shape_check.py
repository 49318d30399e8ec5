"""Whether JSON objects are items, that is objects of attribute values at every level, without a Python object per item.

In an item, objects of odd depth hold names and attribute values: the item itself (depth 1) and what stands behind M. Those of
even depth are attribute values, `{"TAG": payload}`. Arrays stand behind L, SS, NS and BS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from spark_dynamo.wire.json_tokens import CLOSING, OPENING, QUOTE, Bytes, Places, Structure

_Flags: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]

_AFTER_TAG: Mapping[str, str] = {  # the mark that follows the tag
    **dict.fromkeys(["S", "N", "B"], '"'),
    **dict.fromkeys(["BOOL", "NULL"], "}"),
    **dict.fromkeys(["L", "SS", "NS", "BS"], "["),
    "M": "{",
}
_SHAPES = [int.from_bytes(tag.encode(), "little") << 8 | ord(mark) for tag, mark in _AFTER_TAG.items()]
_LIST, _BRACKET = len("L"), ord("[")


def doubtful_places(data: Bytes, marks: Structure) -> Places:
    """Before or behind which places something stands that may be no attribute value, in valid JSON objects one after the other.

    Nothing wrong is overlooked but the content of strings: numbers, base64, and sets that are empty or hold a thing twice.
    Odd ways to write good items, with spaces or escaped tags, are doubtful, too.

    >>> text = np.frombuffer(b'{"a":{"S":"x"},"b":{"S":5}}', np.uint8)
    >>> from spark_dynamo.wire.json_tokens import structure
    >>> doubtful_places(text, structure(text)).tolist()
    [19, 22]
    """
    if not len(marks.places):
        return marks.places
    # three more marks, so that every mark has three others behind it
    places = np.concatenate([marks.places, np.full(3, len(data))])
    codes = np.concatenate([marks.codes, np.zeros(3, np.uint8)])
    doubtful = _gaps(data, marks)
    kinds = marks.codes | 0x20
    for depth in range(1, int(marks.depths.max()) + 1):
        # the objects and arrays of that depth open, their strings begin and end, their children close
        level = np.flatnonzero(marks.depths == depth)
        is_opening = kinds[level] == OPENING
        opened = level[is_opening]
        owners = np.cumsum(is_opening) - 1
        quotes = np.bincount(owners[kinds[level] == QUOTE], minlength=len(opened))
        children = np.bincount(owners[kinds[level] == CLOSING], minlength=len(opened))
        if depth % 2:
            # behind a list's tag of one letter stand no strings, behind a set's no objects
            is_list = places[opened - 1] - places[opened - 2] - 1 == _LIST
            in_array = np.where(is_list, quotes == 0, children == 0)
            good = np.where(codes[opened] == _BRACKET, in_array, quotes == 2 * children)
        else:
            after = codes[opened + 3]
            good = (codes[opened] == OPENING) & np.isin(_shapes(data, places, codes, opened), _SHAPES)
            good &= quotes == np.where(after == QUOTE, 4, 2)
            good &= children == ((after | 0x20) == OPENING)
        doubtful[opened] |= ~good
    return marks.places[doubtful]


def _shapes(data: Bytes, places: Places, codes: Bytes, opened: Places) -> Places:
    """The tag's bytes and the mark behind it as one number; -1 where there is no tag of at most 4 bytes."""
    padded = np.concatenate([data, np.zeros(5, np.uint8)])
    begin, length = places[opened + 1] + 1, places[opened + 2] - places[opened + 1] - 1
    tags = np.zeros(len(opened), np.int64)
    for byte in range(4):
        tags |= np.where(length > byte, padded[begin + byte], 0).astype(np.int64) << 8 * byte
    return np.where((codes[opened + 1] == QUOTE) & (length <= 4), tags << 8 | codes[opened + 3], -1)


def _gaps(data: Bytes, marks: Structure) -> _Flags:
    """The marks behind which, outside of strings, more stands than a comma or colon, but for a BOOL or NULL."""
    gaps = np.diff(marks.places, append=len(data)) - 1
    quotes = marks.codes == QUOTE
    in_string = quotes & (np.cumsum(quotes, dtype=np.uint8) & 1 == 1)
    most = np.where((marks.codes | 0x20) == OPENING, 0, 1)
    doubtful: _Flags = (gaps > most) & ~in_string & (marks.depths > 0)
    words = np.flatnonzero(doubtful[:-1] & quotes[:-1] & (marks.codes[1:] == CLOSING) & (marks.depths[:-1] % 2 == 0))
    tag, word = data[marks.places[words - 1] + 1], data[marks.places[words] + 2]
    is_true = (gaps[words] == len(":true")) & (word == ord("t"))
    is_false = (gaps[words] == len(":false")) & (word == ord("f")) & (tag == ord("B"))
    doubtful[words[is_true | is_false]] = False
    return doubtful
