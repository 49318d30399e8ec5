"""DynamoDB attribute values -> VARIANT binaries."""

from __future__ import annotations

import struct
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any

from spark_dynamo.errors import shorten
from spark_dynamo.wire.variant.layout import (
    ARRAY,
    BINARY,
    DECIMALS,
    FALSE,
    INTEGERS,
    NULL,
    OBJECT,
    SHORT_STRING,
    SIZE_LIMIT,
    STRING,
    TAGS,
    TRUE,
    parse_number,
)
from spark_dynamo.wire.variant.shape import shape_problem, show_json

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
        problem = shape_problem(attribute_value) or str(error)
        raise ValueError(f"{show_json(attribute_value)} is not a DynamoDB attribute value: {problem}") from error
    metadata = _cached_metadata(*ids) if len(ids) <= 64 else _metadata(*ids)
    if max(size, len(metadata)) > SIZE_LIMIT:
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
        is_object = basic_type == OBJECT
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
    return _write_nested(OBJECT, field_ids, [fields[name] for name in names], parts, ids)


def _write_map(fields: Mapping[str, Any], parts: list[bytes], ids: _Ids) -> int:
    if len(_expect(dict, fields)) == 1 and not TAGS.isdisjoint(fields):
        fields = {"$M": {_UNTAGGED_MAP: fields}}
    return _write_fields(fields, parts, ids)


def _write_list(elements: list[Any], parts: list[bytes], ids: _Ids) -> int:
    return _write_nested(ARRAY, (), _expect(list, elements), parts, ids)


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
    parts.append(_pack_sized(STRING << 2, size) + data)
    return size + 5


def _write_binary(text: str, parts: list[bytes], ids: _Ids) -> int:
    data = a2b_base64(text, strict_mode=True)
    parts.append(_pack_sized(BINARY << 2, len(data)) + data)
    return len(data) + 5


_SHORT_STRING_HEADERS = tuple(bytes((size << 2 | SHORT_STRING,)) for size in range(64))
_pack_sized = struct.Struct("<BI").pack


def _write_number(text: str, parts: list[bytes], ids: _Ids) -> int:
    if len(text) <= 18 and text.isdecimal() and text.isascii():  # the usual case, made fast
        return _write_integer(int(text), parts)
    sign, digits, scale = parse_number(text)
    if scale < 0 and len(digits) - scale <= 38:
        digits, scale = digits + "0" * -scale, 0
    precision = len(digits)
    if not 0 <= scale <= 38 or precision > 38:
        return _write_fields({"$N": {"S": text}}, parts, ids)
    unscaled = int(sign + digits) if digits else 0
    if scale == 0 and -1 << 63 <= unscaled < 1 << 63:
        return _write_integer(unscaled, parts)
    row = (precision > 9 or scale > 9) + (precision > 18 or scale > 18)  # Spark limits a decimal's places as its digits
    primitive, width = DECIMALS[row]
    parts.append(bytes((primitive << 2, scale)) + unscaled.to_bytes(width, "little", signed=True))
    return width + 2


def _write_integer(number: int, parts: list[bytes]) -> int:
    bits = (~number if number < 0 else number).bit_length()
    width = 1 if bits < 8 else 2 if bits < 16 else 4 if bits < 32 else 8
    parts.append(_INTEGER_HEADERS[width] + number.to_bytes(width, "little", signed=True))
    return width + 1


_INTEGER_HEADERS = {width: bytes((primitive << 2,)) for primitive, width in INTEGERS}


def _write_bool(flag: bool, parts: list[bytes], ids: _Ids) -> int:
    parts.append(_TRUE_HEADER if _expect(bool, flag) else _FALSE_HEADER)
    return 1


def _write_null(flag: bool, parts: list[bytes], ids: _Ids) -> int:
    if flag is not True:
        raise ValueError(f"NULL is always true, not {shorten(repr(flag))}")
    parts.append(_NULL_HEADER)
    return 1


_NULL_HEADER, _TRUE_HEADER, _FALSE_HEADER = (bytes((primitive << 2,)) for primitive in (NULL, TRUE, FALSE))
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
