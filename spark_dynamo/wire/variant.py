"""DynamoDB attribute values <-> Spark's VARIANT, a pair of binaries `(value, metadata)`.

The binaries follow the Apache Parquet "Variant Binary Encoding" specification, version 1, which is what Spark stores.

| DynamoDB | variant |
|---|---|
| S, BOOL, NULL | string, boolean, null |
| B | binary: the bytes themselves, not their base64 text |
| N | the smallest of int8 to int64 that holds it, else of decimal4, decimal8, decimal16; 1.50 becomes 1.5 |
| N that is no decimal of 38 digits and 0 to 38 places | `{"$N": "1E+100"}`, the text as it came |
| M, L | object, array |
| SS, NS, BS | `{"$SS": [...]}`, `{"$NS": [...]}`, `{"$BS": [...]}` with strings, numbers as above, binaries |
| M whose only key is `$SS`, `$NS`, `$BS`, `$N` or `$M` | `{"$M": {...}}`, so that no map is taken for a tag |

On the way back, types that DynamoDB lacks become the nearest one that loses nothing: double and float become N in their
shortest decimal form; date, timestamp and timestamp without time zone S in ISO 8601; uuid S. An object that looks like
a tag but has other content than the table says, as in `{"$SS": 5}`, is an ordinary M. Written again it becomes
`{"$M": {"$SS": 5}}`, which is read as the same M. So every DynamoDB value comes back equal from its variant, and every
variant that Spark made is stable after one turn.
"""

from __future__ import annotations

import re
import struct
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from itertools import accumulate, pairwise
from typing import Any
from uuid import UUID

from spark_dynamo.errors import shorten

__all__ = ["decode_variant", "encode_variant"]

_TAGS = frozenset({"$SS", "$NS", "$BS", "$N", "$M"})
_SIZE_LIMIT = 16 * 1024 * 1024  # Spark refuses larger binaries

# the two low bits of a header byte; in a primitive's (0), the six bits above them are one of the ids below
_SHORT_STRING, _OBJECT, _ARRAY = 1, 2, 3
_NULL, _TRUE, _FALSE, _DOUBLE, _DATE, _TIMESTAMP, _TIMESTAMP_NTZ, _FLOAT = 0, 1, 2, 7, 11, 12, 13, 14
_BINARY, _STRING, _UUID = 15, 16, 20
_INTEGERS = ((3, 1), (4, 2), (5, 4), (6, 8))  # id, bytes
_DECIMALS = ((8, 4), (9, 8), (10, 16))  # id, bytes; for 9, 18 and 38 digits

_NUMBER = re.compile(r"([+-]?)(?=\.?\d)(\d*)\.?(\d*)(?:[eE]([+-]?\d{1,9}))?", re.ASCII)


def _parse_number(text: str) -> tuple[str, str, int]:
    """A number as sign, digits without zeros at either end, and scale: "-1.50" is ("-", "15", 1), zero ("", "", 0)."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{shorten(text)} is not a finite number")
    sign, whole, fraction, exponent = match.groups()
    written = whole + fraction
    digits = written.rstrip("0")
    if not digits:
        return "", "", 0
    scale = len(fraction) - len(written) + len(digits)
    if exponent:
        scale -= int(exponent)
    return ("-" if sign == "-" else ""), digits.lstrip("0"), scale


# DynamoDB -> variant. A writer appends bytes to `parts` and returns how many. The header of an object or array needs
# the sizes of what follows it, so it gets its place in the list first; every byte is copied once, by the final join.

_Ids = dict[str, int]
_Writer = Callable[[Any, list[bytes], _Ids], int]


def encode_variant(attribute_value: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The variant `(value, metadata)` of an attribute value in parsed DynamoDB JSON.

    Binaries are base64 text, as in the JSON. Anything that is not an attribute value is a ValueError.

    >>> encode_variant({"M": {"a": {"N": "1.5"}}})
    (b'\\x02\\x01\\x00\\x00\\x06 \\x01\\x0f\\x00\\x00\\x00', b'\\x01\\x01\\x00\\x01a')
    """
    parts: list[bytes] = []
    ids: _Ids = {}
    try:
        ((tag, payload),) = attribute_value.items()
        size = _WRITERS[tag](payload, parts, ids)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        problem = f"the type {error} is unknown" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{shorten(attribute_value)} is not a DynamoDB attribute value: {problem}") from error
    metadata = _cached_metadata(*ids) if len(ids) <= 64 else _metadata(*ids)
    if max(size, len(metadata)) > _SIZE_LIMIT:
        raise ValueError(f"The variant takes {size} bytes, its names {len(metadata)}, and Spark's limit is 16 MiB")
    return b"".join(parts), metadata


def _metadata(*names: str) -> bytes:
    encoded = [name.encode() for name in names]
    offsets = [0, *accumulate(map(len, encoded))]
    width = _width(max(len(names), offsets[-1]))
    return bytes((1 | (width - 1) << 6,)) + _pack([len(names), *offsets], width) + b"".join(encoded)


_cached_metadata = lru_cache(maxsize=256)(_metadata)  # the values of a column mostly share their names


def _width(number: int) -> int:
    return (number.bit_length() + 7) // 8 or 1


def _pack(numbers: Sequence[int], width: int) -> bytes:
    return bytes(numbers) if width == 1 else b"".join([number.to_bytes(width, "little") for number in numbers])


def _write_nested(
    basic_type: int, field_ids: Sequence[int], children: Iterable[Mapping[Any, Any]], parts: list[bytes], ids: _Ids
) -> int:
    """An object, or with no field ids an array, of the children in that order."""
    slot, end, offsets = len(parts), 0, [0]
    parts.append(b"")
    for child in children:
        ((tag, payload),) = child.items()
        end += _WRITERS[tag](payload, parts, ids)
        offsets.append(end)
    count = len(offsets) - 1
    if end <= 0xFF and count <= 0xFF and len(ids) <= 0x100:  # all numbers take one byte: the usual case, made fast
        header = bytes((basic_type, count, *field_ids, *offsets))
    else:
        width, id_width = _width(end), _width(max(field_ids, default=0))
        is_object = basic_type == _OBJECT
        first = basic_type | (width - 1) << 2 | ((id_width - 1) << 4 if is_object else 0)
        start = bytes((first, count)) if count <= 0xFF else _pack_sized(first | (0x40 if is_object else 0x10), count)
        header = start + _pack(field_ids, id_width) + _pack(offsets, width)
    parts[slot] = header
    return len(header) + end


def _write_fields(fields: Mapping[str, Any], parts: list[bytes], ids: _Ids) -> int:
    names = sorted(fields)
    # Spark searches large objects by halving, in the order of Java's strings: UTF-16. The specification's order, UTF-8,
    # differs only where an object has names with characters beyond U+FFFF next to ones with U+E000 to U+FFFF.
    if not "".join(names).isascii():
        names.sort(key=lambda name: name.encode("utf-16-be"))
    field_ids = [ids.setdefault(name, len(ids)) for name in names]
    return _write_nested(_OBJECT, field_ids, [fields[name] for name in names], parts, ids)


def _write_map(fields: Mapping[str, Any], parts: list[bytes], ids: _Ids) -> int:
    if len(_expect(dict, fields)) == 1 and not _TAGS.isdisjoint(fields):
        fields = {"$M": {_UNTAGGED_MAP: fields}}
    return _write_fields(fields, parts, ids)


def _write_list(elements: list[Any], parts: list[bytes], ids: _Ids) -> int:
    return _write_nested(_ARRAY, (), _expect(list, elements), parts, ids)


def _write_set(kind: str, elements: list[Any], parts: list[bytes], ids: _Ids) -> int:
    children = [{kind: element} for element in _expect(list, elements)]
    return _write_fields({f"${kind}S": {"L": children}}, parts, ids)


def _expect(kind: type, payload: Any) -> Any:
    # without it, a string would pass for a list of its characters, {} for an empty list, and 1 for True
    if not isinstance(payload, kind):
        raise TypeError(f"{shorten(repr(payload))} is not a {kind.__name__}")
    return payload


def _write_string(text: str, parts: list[bytes], ids: _Ids) -> int:
    data = text.encode()
    size = len(data)
    if size < 64:
        parts.append(_SHORT_STRING_HEADERS[size] + data)
        return size + 1
    parts.append(_pack_sized(_STRING << 2, size) + data)
    return size + 5


def _write_binary(text: str, parts: list[bytes], ids: _Ids) -> int:
    data = a2b_base64(text, strict_mode=True)
    parts.append(_pack_sized(_BINARY << 2, len(data)) + data)
    return len(data) + 5


_SHORT_STRING_HEADERS = tuple(bytes((size << 2 | _SHORT_STRING,)) for size in range(64))
_pack_sized = struct.Struct("<BI").pack


def _write_number(text: str, parts: list[bytes], ids: _Ids) -> int:
    if len(text) <= 18 and text.isdecimal() and text.isascii():  # the usual case, made fast
        return _write_integer(int(text), parts)
    sign, digits, scale = _parse_number(text)
    if scale < 0 and len(digits) - scale <= 38:
        digits, scale = digits + "0" * -scale, 0
    precision = len(digits)
    if not 0 <= scale <= 38 or precision > 38:
        return _write_fields({"$N": {"S": text}}, parts, ids)
    unscaled = int(sign + digits) if digits else 0
    if scale == 0 and -1 << 63 <= unscaled < 1 << 63:
        return _write_integer(unscaled, parts)
    row = (precision > 9 or scale > 9) + (precision > 18 or scale > 18)  # Spark limits a decimal's places as its digits
    primitive, width = _DECIMALS[row]
    parts.append(bytes((primitive << 2, scale)) + unscaled.to_bytes(width, "little", signed=True))
    return width + 2


def _write_integer(number: int, parts: list[bytes]) -> int:
    bits = (~number if number < 0 else number).bit_length()
    width = 1 if bits < 8 else 2 if bits < 16 else 4 if bits < 32 else 8
    parts.append(_INTEGER_HEADERS[width] + number.to_bytes(width, "little", signed=True))
    return width + 1


_INTEGER_HEADERS = {width: bytes((primitive << 2,)) for primitive, width in _INTEGERS}


def _write_bool(flag: bool, parts: list[bytes], ids: _Ids) -> int:
    parts.append(_TRUE_HEADER if _expect(bool, flag) else _FALSE_HEADER)
    return 1


def _write_null(flag: bool, parts: list[bytes], ids: _Ids) -> int:
    if flag is not True:
        raise ValueError(f"NULL is always true, not {shorten(repr(flag))}")
    parts.append(_NULL_HEADER)
    return 1


_NULL_HEADER, _TRUE_HEADER, _FALSE_HEADER = (bytes((primitive << 2,)) for primitive in (_NULL, _TRUE, _FALSE))
_UNTAGGED_MAP = None  # a type of our own; the types in JSON are strings, so none can be taken for it
_WRITERS: dict[str | None, _Writer] = {
    "S": _write_string,
    "N": _write_number,
    "B": _write_binary,
    "BOOL": _write_bool,
    "NULL": _write_null,
    "M": _write_map,
    "L": _write_list,
    "SS": partial(_write_set, "S"),
    "NS": partial(_write_set, "N"),
    "BS": partial(_write_set, "B"),
    _UNTAGGED_MAP: _write_fields,
}


# Variant -> DynamoDB. A reader takes the value, the position of its header byte and the dictionary of field names.

_Names = tuple[str, ...]
_Reader = Callable[[bytes, int, _Names], dict[str, Any]]


def decode_variant(value: bytes | bytearray, metadata: bytes | bytearray) -> dict[str, Any]:
    """The attribute value of a variant, in DynamoDB JSON ready for `orjson.dumps`.

    A variant that is malformed, has a type unknown here, or holds a number beyond DynamoDB's (38 significant digits,
    1E-130 to 9.99E+125, no NaN, no infinity) is a ValueError.

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
    if len(positions) != 1 or _TAGS.isdisjoint(positions):
        return _read_fields(value, positions, names)
    ((tag, child),) = positions.items()
    if tag == "$M":
        inner = _positions(value, child, names) if value[child] & 3 == _OBJECT else {}
        is_wrapped = len(inner) == 1 and not _TAGS.isdisjoint(inner)
        return _read_fields(value, inner if is_wrapped else positions, names)
    content = _READERS[value[child]](value, child, names)
    if tag == "$N":
        text = content.get("S", "")
        return {"N": text} if _NUMBER.fullmatch(text) and _plain(text) else {"M": {tag: content}}
    kind, elements = tag[1], content.get("L")
    if elements is None or not all(kind in element for element in elements):
        return {"M": {tag: content}}
    return {tag[1:]: [element[kind] for element in elements]}


def _plain(text: str) -> str:
    """A number without exponent and needless zeros, if it is in DynamoDB's range."""
    sign, digits, scale = _parse_number(text)
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
    _NULL: lambda value, at, names: {"NULL": True},
    _TRUE: lambda value, at, names: {"BOOL": True},
    _FALSE: lambda value, at, names: {"BOOL": False},
    _DOUBLE: _fixed("<d", lambda number: {"N": _plain(repr(number))}),
    _FLOAT: _fixed("<f", _from_float),
    _DATE: _fixed("<i", lambda days: {"S": (date(1970, 1, 1) + timedelta(days)).isoformat()}),
    _TIMESTAMP: _fixed("<q", partial(_from_timestamp, datetime(1970, 1, 1, tzinfo=UTC))),
    _TIMESTAMP_NTZ: _fixed("<q", partial(_from_timestamp, datetime(1970, 1, 1))),
    _BINARY: _read_binary,
    _STRING: _read_string,
    _UUID: _fixed("16s", lambda data: {"S": str(UUID(bytes=data))}),
    **{primitive: _fixed(f"{width}s", _from_integer) for primitive, width in _INTEGERS},
    **{primitive: _fixed(f"B{width}s", _from_decimal) for primitive, width in _DECIMALS},
}


def _reader_of(header: int) -> _Reader:
    by_basic_type = (None, _read_short_string, _read_object, _read_array)
    return by_basic_type[header & 3] or _PRIMITIVES.get(header >> 2, _read_unknown)


_READERS = tuple(_reader_of(header) for header in range(256))
