"""Where JSON's strings, objects and arrays begin and end, for whole pages at once and without a Python object per item.

`structure` takes for granted that the text is valid JSON; `read_objects` makes sure, in C++.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

Bytes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]
Places: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
Depths: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int32]]

QUOTE, BACKSLASH = ord('"'), ord("\\")
OPENING, CLOSING = ord("{"), ord("}")  # brackets become braces by the bit 0x20
_OBJECT = re.compile(rb"[ \t\r\n]*\{")


@dataclass(frozen=True, slots=True)
class Structure:
    """The quotes of JSON text, and its braces and brackets outside of strings.

    `places` are their positions in the text, `codes` the bytes there, `depths` how many braces and brackets are open after
    each, so that a string's two quotes stand side by side.
    """

    places: Places
    codes: Bytes
    depths: Depths

    def opened(self, depth: int) -> Places:
        """Which of the marks open an object or array of that depth; the outermost has 1."""
        return np.flatnonzero((self.depths == depth) & ((self.codes | 0x20) == OPENING))

    def closed(self, depth: int) -> Places:
        """Which of the marks close an object or array of that depth, in the same order as `opened`."""
        return np.flatnonzero((self.depths == depth - 1) & ((self.codes | 0x20) == CLOSING))


def structure(data: Bytes) -> Structure:
    """The structure of valid JSON text, or of several texts one after the other.

    >>> found = structure(np.frombuffer(b'{"a{":[1]}', np.uint8))
    >>> bytes(found.codes), found.depths.tolist()
    (b'{""[]}', [1, 1, 1, 2, 1, 0])
    """
    like_brace = data | 0x20
    places = np.flatnonzero((data == QUOTE) | (like_brace == OPENING) | (like_brace == CLOSING))
    escaped = _escaped(data)
    if len(escaped):
        is_escaped = np.zeros(len(data) + 1, np.bool_)
        is_escaped[escaped] = True
        places = places[~is_escaped[places]]
    codes = data[places]
    quotes = codes == QUOTE
    in_string = np.cumsum(quotes, dtype=np.uint8) & 1  # the sum may wrap around; its last bit stays true
    outside = quotes | (in_string == 0)
    places, codes = places[outside], codes[outside]
    steps = ((codes | 0x20) == OPENING).view(np.int8) - ((codes | 0x20) == CLOSING).view(np.int8)
    return Structure(places, codes, np.cumsum(steps, dtype=np.int32))


def read_objects(buffer: pa.Buffer, schema: pa.Schema) -> pa.Table:
    """The JSON objects in the text, one after the other, as rows with the columns of the schema; all else is ignored.

    Anything but objects is `pa.ArrowInvalid`, and so is a column's value that is none of its type. A NaN where a number may
    stand passes, but in DynamoDB JSON numbers are strings.
    """
    # of `null`, read_json would crash the process; a byte order mark, it would skip
    if not _OBJECT.match(buffer):
        raise pa.ArrowInvalid("there is no object")
    return pj.read_json(
        pa.BufferReader(buffer),
        read_options=pj.ReadOptions(use_threads=False, block_size=len(buffer) + 1),
        parse_options=pj.ParseOptions(
            explicit_schema=schema, newlines_in_values=True, unexpected_field_behavior="ignore"
        ),
    )


def _escaped(data: Bytes) -> Places:
    """The positions right behind an odd number of backslashes."""
    slashes: Places = np.flatnonzero(data == BACKSLASH)
    if not len(slashes):
        return slashes
    apart = np.diff(slashes) != 1
    first = np.concatenate([[0], np.flatnonzero(apart) + 1])
    last = np.concatenate([np.flatnonzero(apart), [len(slashes) - 1]])
    ends: Places = slashes[last[(last - first) % 2 == 0]]
    return ends + 1
