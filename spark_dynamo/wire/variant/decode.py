"""VARIANT binaries -> DynamoDB attribute values."""

from __future__ import annotations

import struct
import uuid
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

from spark_dynamo.errors import shorten
from spark_dynamo.wire.variant.layout import (
    BINARY,
    DATE,
    DECIMALS,
    DOUBLE,
    FALSE,
    FLOAT,
    INTEGERS,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    TAGS,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    TRUE,
    UUID,
    parse_number,
)

# Variant -> DynamoDB. A reader takes the value, the position of its header byte and the dictionary of field names.

_Names = tuple[str, ...]
_Reader = Callable[[bytes, int, _Names], dict[str, Any]]


def decode_variant(value: bytes | bytearray, metadata: bytes | bytearray) -> dict[str, Any]:
    """The attribute value of a variant, in DynamoDB JSON ready for `orjson.dumps`.

    A variant that is malformed, has a type unknown here, or holds a number beyond DynamoDB's (38 significant digits,
    1E-130 to 9.99E+125, no NaN, no infinity) is a ValueError.

    >>> from spark_dynamo.wire.variant.encode import encode_variant
    >>> decode_variant(*encode_variant({"M": {"a": {"NS": ["1.50", "1E+100"]}}}))
    {'M': {'a': {'NS': ['1.5', '1E+100']}}}
    """
    value, metadata = bytes(value), bytes(metadata)  # Spark's rows hold a bytearray; bytes are not copied
    try:
        return _READERS[value[0]](value, 0, _cached_names(metadata) if len(metadata) <= 4096 else _names(metadata))
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"The variant, {shorten(value)}, is malformed or cut off: {error}") from error
    except OverflowError as error:
        raise ValueError(f"The variant holds a date or timestamp beyond the years 1 to 9999: {error}") from error
    except RecursionError as error:
        raise ValueError("The variant nests far deeper than the 32 levels that DynamoDB takes") from error


def _names(metadata: bytes) -> _Names:
    if metadata[0] & 0x0F != 1:
        raise ValueError(f"The variant's version is {metadata[0] & 0x0F}, and only version 1 is known")
    width = (metadata[0] >> 6) + 1
    count = int.from_bytes(_slice(metadata, 1, width), "little")
    offsets = _unpack(_slice(metadata, 1 + width, width * (count + 1)), width)
    start = 1 + (count + 2) * width
    return tuple([_slice(metadata, start + begin, end - begin).decode() for begin, end in pairwise(offsets)])


_cached_names = lru_cache(maxsize=256)(_names)  # as in the other direction


def _slice(data: bytes, at: int, size: int) -> bytes:
    if not 0 <= size <= len(data) - at:
        raise IndexError(f"no {size} bytes at position {at} of {len(data)}")
    return data[at : at + size]


def _unpack(packed: bytes, width: int) -> Sequence[int]:
    if width == 1:
        return packed
    return [int.from_bytes(packed[i : i + width], "little") for i in range(0, len(packed), width)]


def _layout(value: bytes, at: int, large: int, id_width: int) -> tuple[Sequence[int], Sequence[int], int]:
    """An object's field ids (none in an array), the children's offsets, and the position these count from."""
    header = value[at]
    width = (header >> 2 & 3) + 1
    ids_at = at + (5 if header & large else 2)
    count = int.from_bytes(value[at + 1 : ids_at], "little")
    offsets_at = ids_at + count * id_width
    children_at = offsets_at + (count + 1) * width
    if children_at > len(value):
        raise IndexError(f"{count} children do not fit into {len(value)} bytes")
    ids = _unpack(value[ids_at:offsets_at], id_width) if id_width else ()
    return ids, _unpack(value[offsets_at : children_at - width], width), children_at


def _positions(value: bytes, at: int, names: _Names) -> dict[str, int]:
    """The position of each field's value in an object."""
    ids, offsets, children_at = _layout(value, at, 0x40, (value[at] >> 4 & 3) + 1)
    positions = {names[i]: children_at + offset for i, offset in zip(ids, offsets, strict=True)}
    if len(positions) != len(ids):
        raise ValueError("The variant is malformed: an object has two fields of one name")
    return positions


def _read_array(value: bytes, at: int, names: _Names) -> dict[str, Any]:
    _, offsets, children_at = _layout(value, at, 0x10, 0)
    starts = [children_at + offset for offset in offsets]
    return {"L": [_READERS[value[start]](value, start, names) for start in starts]}


def _read_fields(value: bytes, positions: Mapping[str, int], names: _Names) -> dict[str, Any]:
    return {"M": {name: _READERS[value[at]](value, at, names) for name, at in positions.items()}}


def _read_object(value: bytes, at: int, names: _Names) -> dict[str, Any]:
    positions = _positions(value, at, names)
    if len(positions) != 1 or TAGS.isdisjoint(positions):
        return _read_fields(value, positions, names)
    ((tag, child),) = positions.items()
    if tag == "$M":
        inner = _positions(value, child, names) if value[child] & 3 == OBJECT else {}
        is_wrapped = len(inner) == 1 and not TAGS.isdisjoint(inner)
        return _read_fields(value, inner if is_wrapped else positions, names)
    content = _READERS[value[child]](value, child, names)
    if tag == "$N":
        text = content.get("S", "")
        return {"N": text} if NUMBER.fullmatch(text) and _plain(text) else {"M": {tag: content}}
    kind, elements = tag[1], content.get("L")
    if elements is None or not all(kind in element for element in elements):
        return {"M": {tag: content}}
    return {tag[1:]: [element[kind] for element in elements]}


def _plain(text: str) -> str:
    """A number without exponent and needless zeros, if it is in DynamoDB's range."""
    sign, digits, scale = parse_number(text)
    if len(digits) > 38 or not -130 <= len(digits) - 1 - scale <= 125:
        raise ValueError(f"DynamoDB can't hold {shorten(text)}: its numbers have 38 digits, from 1E-130 to 9.99E+125")
    if scale <= 0:
        return sign + digits + "0" * -scale or "0"
    digits = digits.zfill(scale + 1)
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


def _from_integer(number: bytes) -> dict[str, Any]:
    return {"N": str(int.from_bytes(number, "little", signed=True))}


def _from_decimal(scale: int, unscaled: bytes) -> dict[str, Any]:
    if scale > 38:
        raise ValueError(f"The variant is malformed: a decimal has {scale} decimal places, and 38 is the most")
    return {"N": _plain(f"{int.from_bytes(unscaled, 'little', signed=True)}E-{scale}")}


def _from_float(number: float) -> dict[str, Any]:
    # a 4-byte float keeps any 6 digits, and 9 always tell it from its neighbours; NaN equals nothing, not even itself
    texts = (f"{number:.{digits}g}" for digits in range(6, 10))
    return {"N": _plain(next((text for text in texts if _to_float(float(text)) == number), "NaN"))}


def _to_float(number: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


def _from_timestamp(start: datetime, microseconds: int) -> dict[str, Any]:
    return {"S": (start + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")}


def _fixed(form: str, convert: Callable[..., dict[str, Any]]) -> _Reader:
    unpack = struct.Struct(form).unpack_from
    return lambda value, at, names: convert(*unpack(value, at + 1))


_read_size = struct.Struct("<I").unpack_from


def _read_short_string(value: bytes, at: int, names: _Names) -> dict[str, Any]:
    return {"S": _slice(value, at + 1, value[at] >> 2).decode()}


def _read_string(value: bytes, at: int, names: _Names) -> dict[str, Any]:
    return {"S": _slice(value, at + 5, *_read_size(value, at + 1)).decode()}


def _read_binary(value: bytes, at: int, names: _Names) -> dict[str, Any]:
    return {"B": b2a_base64(_slice(value, at + 5, *_read_size(value, at + 1)), newline=False).decode()}


def _read_unknown(value: bytes, at: int, names: _Names) -> dict[str, Any]:
    raise ValueError(f"The variant holds the primitive type {value[at] >> 2}, which has no DynamoDB form here")


_PRIMITIVES: dict[int, _Reader] = {
    NULL: lambda value, at, names: {"NULL": True},
    TRUE: lambda value, at, names: {"BOOL": True},
    FALSE: lambda value, at, names: {"BOOL": False},
    DOUBLE: _fixed("<d", lambda number: {"N": _plain(repr(number))}),
    FLOAT: _fixed("<f", _from_float),
    DATE: _fixed("<i", lambda days: {"S": (date(1970, 1, 1) + timedelta(days)).isoformat()}),
    TIMESTAMP: _fixed("<q", partial(_from_timestamp, datetime(1970, 1, 1, tzinfo=UTC))),
    TIMESTAMP_NTZ: _fixed("<q", partial(_from_timestamp, datetime(1970, 1, 1))),
    BINARY: _read_binary,
    STRING: _read_string,
    UUID: _fixed("16s", lambda data: {"S": str(uuid.UUID(bytes=data))}),
    **{primitive: _fixed(f"{width}s", _from_integer) for primitive, width in INTEGERS},
    **{primitive: _fixed(f"B{width}s", _from_decimal) for primitive, width in DECIMALS},
}


def _reader_of(header: int) -> _Reader:
    by_basic_type = (None, _read_short_string, _read_object, _read_array)
    return by_basic_type[header & 3] or _PRIMITIVES.get(header >> 2, _read_unknown)


_READERS = tuple(_reader_of(header) for header in range(256))
