"""Base64 text <-> bytes for whole Arrow columns: DynamoDB JSON carries B and BS as base64.

Every value's text is a multiple of 4 characters, so the text of a column, but for the padding at the values' ends, is
itself base64. It goes through one call of `binascii`; numpy finds the padding and Arrow's kernels add and cut it. No
Python object is made per value.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64, b2a_base64

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.compute as pc  # type: ignore[import-untyped,unused-ignore]

from spark_dynamo.errors import shorten

__all__ = ["decode_base64", "encode_base64"]

_PADDING, _ZERO_BITS = ord("="), ord("A")
_LARGEST_OFFSET = 2**31 - 1
_VALUE = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")

_Integers = npt.NDArray[np.int64]
_Bytes = npt.NDArray[np.uint8]


def decode_base64(column: pa.StringArray) -> pa.BinaryArray:
    """The bytes of each base64 text, of the standard alphabet and padded; nulls stay null.

    Any other text is a ValueError that names the first such value.

    >>> decode_base64(pa.array(["aGVsbG8=", None])).to_pylist()
    [b'hello', None]
    """
    offsets, text = _buffers(column, pa.string())
    lengths = np.diff(offsets)
    if np.any(lengths % 4):
        raise _not_base64(column)
    filled = np.flatnonzero(lengths)
    padded = filled[text[offsets[filled + 1] - 1] == _PADDING]
    twice_padded = padded[text[offsets[padded + 1] - 2] == _PADDING]
    text = text.copy()
    text[offsets[padded + 1] - 1] = _ZERO_BITS
    text[offsets[twice_padded + 1] - 2] = _ZERO_BITS
    try:
        data = a2b_base64(text.data, strict_mode=True)  # strict: padding anywhere else and other characters are refused
    except Error as error:
        raise _not_base64(column) from error
    aligned = _array(pa.binary(), lengths // 4 * 3, data, column)
    if not padded.size:
        return aligned
    padding = np.zeros(len(column), dtype=np.int8)
    padding[padded] = 1
    padding[twice_padded] = 2
    return pc.choose(pa.array(padding), aligned, pc.binary_slice(aligned, 0, -1), pc.binary_slice(aligned, 0, -2))


def encode_base64(column: pa.BinaryArray) -> pa.StringArray:
    """The base64 text of each value, of the standard alphabet and padded; nulls stay null.

    Text of more than 2 GiB, which no string column can hold, is a ValueError.

    >>> encode_base64(pa.array([b"hello", None])).to_pylist()
    ['aGVsbG8=', None]
    """
    offsets, data = _buffers(column, pa.binary())
    sizes = np.diff(offsets)
    missing = -sizes % 3
    if missing.any():
        zeros = pa.array([b"", b"\0", b"\0\0"], pa.binary()).take(pa.array(missing))
        _, data = _buffers(pc.binary_join_element_wise(column, zeros, b""), pa.binary())
    sizes += missing
    text = bytearray(b2a_base64(data.data, newline=False))
    characters, ends = np.frombuffer(text, dtype=np.uint8), np.cumsum(sizes) // 3 * 4
    characters[ends[missing > 0] - 1] = _PADDING
    characters[ends[missing == 2] - 2] = _PADDING
    return _array(pa.string(), sizes // 3 * 4, text, column)


def _buffers(column: pa.Array, expected: pa.DataType) -> tuple[_Integers, _Bytes]:
    """The offsets of a column's values, counted from 0, and the bytes they divide; nulls are empty."""
    if column.type != expected:  # large_string, for one, has offsets of twice the width
        raise TypeError(f"A column of Arrow type {expected} is expected, not {column.type}")
    if not len(column):
        return np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.uint8)
    if column.null_count:
        column = column.fill_null(pa.scalar("").cast(expected))  # what lies under a null may be anything
    _, offset_buffer, data_buffer = column.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int32, count=len(column) + 1, offset=4 * column.offset)
    data = np.frombuffer(data_buffer or b"", dtype=np.uint8)[offsets[0] : offsets[-1]]
    return offsets.astype(np.int64) - offsets[0], data


def _array(arrow_type: pa.DataType, sizes: _Integers, data: bytes | bytearray, like: pa.Array) -> pa.Array:
    """The array of values of these sizes, null where `like` is."""
    offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    if offsets[-1] > _LARGEST_OFFSET:
        raise ValueError(f"The column takes {offsets[-1]} bytes, and Arrow's limit is 2 GiB: use smaller batches")
    validity = None
    if like.null_count:
        validity = pa.py_buffer(np.packbits(like.is_valid().to_numpy(zero_copy_only=False), bitorder="little"))
    buffers = [validity, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(arrow_type, len(sizes), buffers, like.null_count)


def _not_base64(column: pa.StringArray) -> ValueError:
    texts = enumerate(column.to_pylist())
    row, text = next((row, text) for row, text in texts if text is not None and not _VALUE.fullmatch(text))
    return ValueError(f"'{shorten(text)}', value {row} of the column, is not base64")
